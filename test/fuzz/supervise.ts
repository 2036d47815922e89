/**
 * Starts a loop in a worker and watches it: a run that takes seconds of processor time is a hang, a heap that grows over its
 * limit is a finding too, and in both cases the input is known from the shared memory.
 */
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { LONG_BYTES, type Finding, type LoopReport } from './loop.ts';

const POLL_MS = 100;
/** Processor time of one run, of which most take microseconds. */
const HANG_CPU_MS = 10_000;
const MAX_HEAP_MB = 512;
const TABLE = pathToFileURL(join(import.meta.dirname, 'targets.ts')).href;

export interface Job {
  /** Module that exports TARGETS. */
  readonly table: string;
  readonly targets: readonly string[];
  readonly seed: number;
  readonly runs: number;
  readonly seconds: number;
  readonly mostFindings: number;
  readonly shared: SharedArrayBuffer;
}

/** In the shared memory: runs begun, bytes of the last input; then the input. */
export const SHARED_HEAD_BYTES = 8;

export interface SuperviseOptions {
  readonly seed: number;
  readonly runs: number;
  readonly seconds: number;
  /** Module that exports TARGETS; ours by default. */
  readonly table?: string;
  readonly hangCpuMs?: number;
  readonly heapMb?: number;
  readonly mostFindings?: number;
}

/** Fuzzes some targets, one after the other in one worker; a hang or a full heap ends it. */
export async function supervise(targets: readonly string[], options: SuperviseOptions): Promise<LoopReport[]> {
  const shared = new SharedArrayBuffer(SHARED_HEAD_BYTES + LONG_BYTES);
  const { seed, runs, seconds, table = TABLE, hangCpuMs = HANG_CPU_MS, heapMb = MAX_HEAP_MB, mostFindings = 20 } = options;
  const job: Job = { table, targets, seed, runs, seconds, mostFindings, shared };
  const worker = new Worker(new URL('worker.ts', import.meta.url), {
    workerData: job,
    resourceLimits: { maxOldGenerationSizeMb: heapMb },
  });
  const words = new Int32Array(shared, 0, 2);
  const reports: LoopReport[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const giveUp = (key: string, message: string): void => {
    reports.push(brokenReport(targets[reports.length] as string, seed, key, message, shared));
    resolve();
  };
  let seen = -1;
  let cpuThen = process.cpuUsage();
  const timer = setInterval(() => {
    const now = Atomics.load(words, 0);
    if (now !== seen || now === 0) {
      seen = now;
      cpuThen = process.cpuUsage();
      return;
    }
    const { user, system } = process.cpuUsage(cpuThen);
    if ((user + system) / 1000 > hangCpuMs) giveUp('hang', `one run took more than ${hangCpuMs} ms of processor time`);
  }, POLL_MS);
  worker.on('message', (report: LoopReport) => {
    reports.push(report);
    if (reports.length === targets.length) resolve();
  });
  worker.once('error', (error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY') giveUp('heap', error.message);
    else reject(error instanceof Error ? error : new Error(String(error)));
  });
  try {
    await promise;
    return reports;
  } finally {
    clearInterval(timer);
    await worker.terminate();
  }
}

/** The report of a loop that did not come back, with the input that it was at. */
function brokenReport(target: string, seed: number, key: string, message: string, shared: SharedArrayBuffer): LoopReport {
  const [runs = 0, length = 0] = new Int32Array(shared, 0, 2);
  const input = new Uint8Array(shared, SHARED_HEAD_BYTES, length).slice();
  const findings: Finding[] = [{ target, key, message, seed, run: runs, input }];
  return { target, seed, runs, seconds: 0, corpus: 0, reachedChars: 0, peakBytes: 0, outcomes: [], findings };
}
