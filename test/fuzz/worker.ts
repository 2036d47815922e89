/** Runs one loop in a thread of its own, and shows each input before it is run: who hangs here can be ended and named. */
import { parentPort, workerData } from 'node:worker_threads';
import { fuzz, type Watch } from './loop.ts';
import { SHARED_HEAD_BYTES, type Job } from './supervise.ts';
import type { Target } from './target.ts';

const job = workerData as Job;
const { TARGETS } = (await import(job.table)) as { readonly TARGETS: readonly Target[] };
const words = new Int32Array(job.shared, 0, 2);
const bytes = new Uint8Array(job.shared, SHARED_HEAD_BYTES);
const watch: Watch = {
  begin(input) {
    bytes.set(input);
    words[1] = input.length;
    Atomics.add(words, 0, 1);
  },
};
for (const id of job.targets) {
  const target = TARGETS.find((of) => of.id === id);
  if (target === undefined) throw new Error(`no target ${id}`);
  const { seed, runs, seconds, mostFindings } = job;
  const report = fuzz(target, { seed, runs, seconds, mostFindings, watch });
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port of a worker, not a window
  parentPort?.postMessage(report);
}
