/**
 * A child process that is kept running: started again with a growing pause when it ends, told to stop with SIGTERM, ended with
 * SIGKILL when it does not. The child leads a process group of its own, so that a Ctrl-C in the terminal reaches the parent
 * alone, which then stops things in order. The IPC channel carries the child's reports; when the parent dies, it closes, and
 * the child stops by itself.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

export interface ChildExit {
  readonly code: number | undefined;
  readonly signal: string | undefined;
  /** Pause until it is started again; undefined = it is not. */
  readonly restartMs: number | undefined;
}

export interface SupervisorOptions {
  /** Arguments of this process's own Node. */
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly onReport?: (report: unknown) => void;
  /** Ended without being told to. */
  readonly onExit?: (exit: ChildExit) => void;
}

const PAUSE_MS = { first: 500, most: 30_000 };
/** A child that ran this long was well: its next pause is the first one again. */
const WELL_AFTER_MS = 60_000;
/** Wrong arguments stay wrong: see report-error.ts. */
const USAGE_EXIT = 2;

export class Supervisor {
  readonly #options: SupervisorOptions;
  #child: ChildProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  #pauseMs = PAUSE_MS.first;
  #stopping = false;
  #ended: Promise<void> = Promise.resolve();
  restarts = 0;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  start(): void {
    const startedMs = performance.now();
    const child = spawn(process.execPath, [...this.#options.args], {
      detached: true,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: this.#options.env ?? process.env,
    });
    this.#child = child;
    child.on('message', (report) => this.#options.onReport?.(report));
    this.#ended = new Promise((resolve) => {
      let isOver = false;
      const end = (code: number | null, signal: string | null): void => {
        if (isOver) return;
        isOver = true;
        this.#child = undefined;
        resolve();
        this.#afterExit(code ?? undefined, signal ?? undefined, performance.now() - startedMs);
      };
      child.once('exit', end);
      // It could not be started at all: no memory, no process slot.
      child.once('error', () => end(null, null));
    });
  }

  /** Asks the child to stop and waits; after `graceMs` it is killed. True when it stopped by itself. */
  async stop(graceMs: number): Promise<boolean> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    const child = this.#child;
    if (child === undefined) return true;
    let wasKilled = false;
    const timer = setTimeout(() => {
      wasKilled = true;
      child.kill('SIGKILL');
    }, graceMs);
    child.kill('SIGTERM');
    await this.#ended;
    clearTimeout(timer);
    return !wasKilled;
  }

  /** Ends the child at once. */
  kill(): void {
    this.#stopping = true;
    clearTimeout(this.#timer);
    this.#child?.kill('SIGKILL');
  }

  #afterExit(code: number | undefined, signal: string | undefined, ranMs: number): void {
    if (this.#stopping) return;
    if (ranMs >= WELL_AFTER_MS) this.#pauseMs = PAUSE_MS.first;
    const restartMs = code === USAGE_EXIT ? undefined : this.#pauseMs;
    this.#options.onExit?.({ code, signal, restartMs });
    if (restartMs === undefined) return;
    this.#pauseMs = Math.min(this.#pauseMs * 2, PAUSE_MS.most);
    this.restarts++;
    this.#timer = setTimeout(() => this.start(), restartMs);
  }
}
