/** Runs the real command line as a child process. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const MAIN = join(import.meta.dirname, '../../cli/main.ts');
export const LAUNCHER = join(import.meta.dirname, '../../cli/mkscope.js');

const MAX_RUN_MS = 90_000;

export interface CliResult {
  readonly code: number | undefined;
  readonly signal: string | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
  readonly entry?: string;
  readonly uid?: number;
}

/** A clean environment: nothing of the caller's configuration leaks in. */
export function toEnvironment(extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('MKSCOPE_') && !name.startsWith('OTEL_') && name !== 'NODE_TEST_CONTEXT',
  );
  return { ...Object.fromEntries(kept), ...extra };
}

export class RunningCli {
  stdout = '';
  stderr = '';
  readonly #child;
  readonly ended: Promise<CliResult>;

  constructor(args: readonly string[], options: CliOptions = {}) {
    this.#child = spawn(process.execPath, [options.entry ?? MAIN, ...args], {
      cwd: options.cwd ?? tmpdir(),
      env: toEnvironment(options.env),
      ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
      stdio: 'pipe',
    });
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.#child.stdin.on('error', () => undefined).end(options.input ?? '');
    // A run that hangs fails its own test, and not the whole suite.
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), MAX_RUN_MS);
    this.#child.once('close', () => clearTimeout(timer));
    this.ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', (code, signal) =>
        resolve({ code: code ?? undefined, signal: signal ?? undefined, stdout: this.stdout, stderr: this.stderr }),
      );
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** Ends its standard output on this side, as `| head` does. */
  closeOutput(): void {
    this.#child.stdout.destroy();
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits until `isThere` finds what it looks for in the output; fails with the output when it does not come. */
  async waitFor(isThere: (run: RunningCli) => boolean, what: string, timeoutMs = 30_000): Promise<void> {
    const deadlineMs = Date.now() + timeoutMs;
    while (!isThere(this)) {
      if (Date.now() > deadlineMs || this.#child.exitCode !== null) {
        throw new Error(`${what} did not come\nstdout: ${this.stdout}\nstderr: ${this.stderr}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return new RunningCli(args, options).ended;
}

/** A temporary folder that is gone after `use`. */
export async function withFolder<T>(use: (folder: string) => Promise<T> | T): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'mkscope-test-'));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
