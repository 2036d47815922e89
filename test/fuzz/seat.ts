/**
 * A worker that runs legs of loops and is watched: a run that takes seconds of processor time is a hang, a heap that grows over its
 * limit is a finding too, and in both cases the input is known from the shared memory.
 */
import { Worker } from 'node:worker_threads';
import { LONG_BYTES, type Leg, type LegReport } from './loop.ts';

const POLL_MS = 100;

/** What a worker is started with. */
export interface Job {
  /** Module that exports TARGETS. */
  readonly table: string;
  readonly isScout: boolean;
  readonly shared: SharedArrayBuffer;
}

/** What a worker is told to run; a target other than its last starts a loop. */
export interface Order {
  readonly target: string;
  readonly seed: number;
  readonly leg: Leg;
}

export interface SeatOptions {
  readonly table: string;
  readonly isScout: boolean;
  readonly hangCpuMs: number;
  readonly heapMb: number;
}

/** A worker that was ended: what for, and the input that it was at. */
export interface Broken {
  readonly key: 'hang' | 'heap';
  readonly message: string;
  readonly runs: number;
  readonly input: Uint8Array;
}

/** In the shared memory: runs begun, bytes of the last input; then the input. */
export const SHARED_HEAD_BYTES = 8;

export class Seat {
  readonly #options: SeatOptions;
  readonly #shared = new SharedArrayBuffer(SHARED_HEAD_BYTES + LONG_BYTES);
  readonly #words = new Int32Array(this.#shared, 0, 2);
  #worker: Worker | undefined;

  constructor(options: SeatOptions) {
    this.#options = options;
  }

  /** One leg, in a worker that is started for the first and after one that was ended. */
  async run(order: Order): Promise<LegReport | Broken> {
    const worker = (this.#worker ??= this.#start());
    const before = Atomics.load(this.#words, 0);
    const { promise, resolve, reject } = Promise.withResolvers<LegReport | Broken>();
    const giveUp = (key: Broken['key'], message: string): void => {
      const [begun = 0, length = 0] = this.#words;
      resolve({ key, message, runs: begun - before, input: new Uint8Array(this.#shared, SHARED_HEAD_BYTES, length).slice() });
    };
    const timer = this.#watch((message) => giveUp('hang', message));
    const fail = (error: unknown): void => {
      if (error instanceof Error && 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY') giveUp('heap', error.message);
      else reject(error instanceof Error ? error : new Error(String(error)));
    };
    worker.once('message', resolve).once('error', fail);
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
    worker.postMessage(order);
    try {
      const answer = await promise;
      if ('key' in answer) await this.close();
      return answer;
    } finally {
      clearInterval(timer);
      worker.off('message', resolve).off('error', fail);
    }
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
    this.#worker = undefined;
  }

  #start(): Worker {
    const { table, isScout, heapMb } = this.#options;
    const job: Job = { table, isScout, shared: this.#shared };
    return new Worker(new URL('worker.ts', import.meta.url), { workerData: job, resourceLimits: { maxOldGenerationSizeMb: heapMb } });
  }

  /** Processor time of the process, which does nothing else meanwhile; counted from the first run on. */
  #watch(giveUp: (message: string) => void): NodeJS.Timeout {
    const { hangCpuMs } = this.#options;
    const before = Atomics.load(this.#words, 0);
    let seen = before;
    let cpuThen = process.cpuUsage();
    return setInterval(() => {
      const now = Atomics.load(this.#words, 0);
      if (now !== seen || now === before) {
        seen = now;
        cpuThen = process.cpuUsage();
        return;
      }
      const { user, system } = process.cpuUsage(cpuThen);
      if ((user + system) / 1000 > hangCpuMs) giveUp(`one run took more than ${hangCpuMs} ms of processor time`);
    }, POLL_MS);
  }
}
