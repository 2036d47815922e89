/**
 * The lab's bus: the C program that owns the memory which the kernels share, carries their interrupts, writes the true clock
 * into it and takes the true time of every message out (bus/mkbus.c; docs/formats/lab_truth.md). It ends with the lab.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import split2 from 'split2';
import { messageOf, OperationalError } from '../../base/errors.ts';

const READY_TIMEOUT_MS = 5000;

/** What the bus tells: a line of JSON each. */
export type BusEvent =
  | { readonly event: 'ready' }
  /** A peer of the shared memory, by QEMU's number: not an instance's id. */
  | { readonly event: 'peer'; readonly id: number; readonly state: 'up' | 'down' }
  | {
      readonly event: 'instance';
      readonly id: number;
      readonly name: string;
      readonly state: string;
      /** How it came to its end: `none`, `graceful`, `poweroff`, `panic`, `killed`, `lost`. */
      readonly halt: string;
      readonly epoch: number;
      /** Its own mkikc has joined. */
      readonly attached: boolean;
    }
  | { readonly event: 'truth'; readonly records: number; readonly lost: number };

export class Bus {
  readonly #process: ChildProcess;
  readonly #ended: Promise<void>;

  private constructor(process: ChildProcess, ended: Promise<void>) {
    this.#process = process;
    this.#ended = ended;
  }

  /** Resolves when QEMU can connect. */
  static async start(program: string, socket: string, truth: string, onEvent: (event: BusEvent) => void): Promise<Bus> {
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', program, '--socket', socket, '--truth', truth], {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
    let errorText = '';
    child.stderr.on('data', (text: Buffer) => {
      errorText = (errorText + text.toString()).slice(-400);
    });
    child.stdout.pipe(split2()).on('data', (line: string) => {
      const event = JSON.parse(line) as BusEvent;
      if (event.event === 'ready') resolve();
      else onEvent(event);
    });
    const fail = (why: string): void =>
      reject(new OperationalError('E_LAB_BOOT', `the bus of the lab does not start: ${why}`, 'is there memory left? free -m'));
    const ended = new Promise<void>((settle) => {
      child.once('exit', (code) => {
        fail(errorText.trim() || `it ended with ${code}`);
        settle();
      });
      child.once('error', (error) => {
        fail(messageOf(error));
        settle();
      });
    });
    child.stdin.on('error', () => undefined);
    const timer = setTimeout(() => fail('it says nothing'), READY_TIMEOUT_MS);
    try {
      await ready;
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    } finally {
      clearTimeout(timer);
    }
    return new Bus(child, ended);
  }

  async stop(): Promise<void> {
    this.#process.stdin?.end();
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), 2000);
    await this.#ended;
    clearTimeout(timer);
  }
}
