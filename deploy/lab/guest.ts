/**
 * One kernel of the lab: its QEMU process and what comes out of it. It can be started again after it ended, as an instance of
 * Multikernel can; each start is a new incarnation of the kernel.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Socket } from 'node:net';
import { OperationalError, messageOf } from '../../base/errors.ts';
import { ConsoleTail } from './console-tail.ts';
import { GuestControl, type GuestAnswer } from './guest-control.ts';
import { PORTS, toQemuArgs, type GuestSpec, type PortName } from './qemu-args.ts';
import { QmpClient, type QmpEvent } from './qmp.ts';
import { Relay } from './relay.ts';
import { acceptOne } from './sockets.ts';

/** Three at once are up after some 10 s on two cores; a machine that is busy otherwise gets several times that. */
const BOOT_TIMEOUT_MS = 90_000;
const STOP_TIMEOUT_MS = 5000;
/** Of what QEMU printed when it failed. */
const SHOWN_ERROR_CHARS = 600;

export type GuestState = 'off' | 'booting' | 'up' | 'paused';

export interface GuestListener {
  /** The process ended, by itself or not. */
  ended(guest: Guest): void;
  /** QEMU saw the guest panic. */
  panicked(guest: Guest): void;
}

export class Guest {
  readonly spec: GuestSpec;
  readonly console = new Relay('drop');
  readonly stream = new Relay('hold');
  /** The end of the console's text, of this incarnation and those before. */
  readonly tail = new ConsoleTail();
  readonly #listener: GuestListener;
  #process: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #control: GuestControl | undefined;
  #errorText = '';
  state: GuestState = 'off';
  hasPanicked = false;
  bootId = '';
  /** Milliseconds from the start of the process to the guest's word that it is ready. */
  bootMs = 0;
  starts = 0;

  constructor(spec: GuestSpec, listener: GuestListener) {
    this.spec = spec;
    this.#listener = listener;
    this.console.taps.add((bytes) => this.tail.add(bytes));
    mkdirSync(spec.dir, { recursive: true });
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Boots the kernel and waits until it answers; throws E_LAB_BOOT with the end of its console. */
  async start(): Promise<void> {
    if (this.#process !== undefined) throw new OperationalError('E_LAB_FAULT', `${this.spec.name} runs already`, 'see: mkscope lab status');
    this.state = 'booting';
    this.hasPanicked = false;
    this.#errorText = '';
    this.starts++;
    const startedMs = performance.now();
    const ports = await this.#openPorts();
    try {
      this.#launch();
      const control = await this.#connect(ports);
      const hello = await this.#within(control.ready, BOOT_TIMEOUT_MS);
      this.bootId = hello['boot_id'] ?? '';
      this.bootMs = performance.now() - startedMs;
      // A fault may have been quicker.
      if (this.#process !== undefined) this.state = 'up';
    } catch (error) {
      const why = this.#errorText === '' ? this.#lastWords() : this.#errorText.trim();
      await this.kill();
      throw new OperationalError(
        'E_LAB_BOOT',
        `kernel ${this.spec.name} (${this.spec.release}) does not come up: ${messageOf(error)}; ${why}`,
        BOOT_HINT,
        error,
      );
    } finally {
      for (const port of Object.values(ports)) port.close();
    }
  }

  /** Runs a shell command in the guest; undefined where it does not answer. */
  run(command: string, timeoutMs?: number): Promise<GuestAnswer | undefined> {
    return this.#control?.run(command, timeoutMs) ?? Promise.resolve(undefined);
  }

  /** Stops all its CPUs: a hang that leaves no word. QMP's `stop` would stop the guest's counter too, and the truth with it. */
  pause(): void {
    this.#signal('SIGSTOP');
    this.state = 'paused';
  }

  resume(): void {
    this.#signal('SIGCONT');
    this.state = 'up';
  }

  /** Ends the process at once; the guest does not learn of it. */
  async kill(): Promise<void> {
    this.#process?.kill('SIGKILL');
    await this.#ended;
  }

  /** Resolves when the process has ended, or false after `timeoutMs`. */
  async waitEnd(timeoutMs = STOP_TIMEOUT_MS): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), timeoutMs);
    void this.#ended.then(() => resolve(true));
    const isOver = await promise;
    clearTimeout(timer);
    return isOver;
  }

  async #openPorts(): Promise<Record<PortName, Awaited<ReturnType<typeof acceptOne>>>> {
    const opened = await Promise.all(PORTS.map(async (name) => [name, await acceptOne(join(this.spec.dir, name))] as const));
    return Object.fromEntries(opened) as Record<PortName, Awaited<ReturnType<typeof acceptOne>>>;
  }

  #launch(): void {
    // The kernel ends it with the lab, however that ends.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...toQemuArgs(this.spec)], {
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    });
    this.#process = child;
    child.stderr.on('data', (text: Buffer) => {
      this.#errorText = (this.#errorText + text.toString()).slice(-SHOWN_ERROR_CHARS);
    });
    this.#ended = new Promise((resolve) => {
      const end = (): void => {
        if (this.#process !== child) return;
        this.#process = undefined;
        this.#control = undefined;
        this.state = 'off';
        resolve();
        this.#listener.ended(this);
      };
      child.once('exit', end);
      child.once('error', (error) => {
        this.#errorText = messageOf(error);
        end();
      });
    });
  }

  async #connect(ports: Record<PortName, { readonly socket: Promise<Socket> }>): Promise<GuestControl> {
    const all = Promise.all(PORTS.map((name) => ports[name].socket));
    await this.#within(all, STOP_TIMEOUT_MS * 2);
    const qmp = new QmpClient(await ports.qmp.socket, (event) => this.#onEvent(event));
    await qmp.open();
    this.console.connectGuest(await ports.console.socket);
    this.stream.connectGuest(await ports.stream.socket);
    this.#control = new GuestControl(await ports.control.socket);
    return this.#control;
  }

  #onEvent({ event }: QmpEvent): void {
    if (event !== 'GUEST_PANICKED') return;
    this.hasPanicked = true;
    this.#listener.panicked(this);
  }

  /** What is awaited, unless the process ends or the time is over before. */
  async #within<Value>(awaited: Promise<Value>, timeoutMs: number): Promise<Value> {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error(`nothing after ${timeoutMs / 1000} s`)), timeoutMs);
    void this.#ended.then(() => reject(new Error('QEMU ended')));
    try {
      return await Promise.race([awaited, promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Of a console that ends in a backtrace, the line that says why. */
  #lastWords(): string {
    const lines = this.tail.lines(200);
    const panic = lines.findLast((line) => line.includes('Kernel panic'));
    return panic ?? (lines.slice(-4).join(' | ') || 'its console is empty');
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#process?.kill(signal) === true) return;
    throw new OperationalError('E_LAB_FAULT', `${this.spec.name} is not running`, `start it: mkscope lab start ${this.spec.name}`);
  }
}

const BOOT_HINT = 'a busy machine boots slowly: try fewer kernels (--kernels 2); --append adds to the kernel’s command line';
