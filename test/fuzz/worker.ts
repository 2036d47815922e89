/** Runs the legs of one target's loop in a thread of its own, and shows each input before it is run: who hangs here can be ended and named. */
import { parentPort, workerData } from 'node:worker_threads';
import { FuzzLoop, type Watch } from './loop.ts';
import { SHARED_HEAD_BYTES, type Job, type Order } from './seat.ts';
import type { Target } from './target.ts';

const { table, shared, isScout } = workerData as Job;
const { TARGETS } = (await import(table)) as { readonly TARGETS: readonly Target[] };
const words = new Int32Array(shared, 0, 2);
const bytes = new Uint8Array(shared, SHARED_HEAD_BYTES);
const watch: Watch = {
  begin(input) {
    bytes.set(input);
    words[1] = input.length;
    Atomics.add(words, 0, 1);
  },
};
let current: { readonly id: string; readonly loop: FuzzLoop } | undefined;

// Not within the message's own callback: Node (26.10) aborts where a worker is ended in it (`Context::Exit`).
parentPort?.on('message', (order: Order) => setImmediate(() => void run(order)));

async function run({ target, seed, leg }: Order): Promise<void> {
  if (current?.id !== target) {
    current?.loop.close();
    current = { id: target, loop: openLoop(target, seed) };
  }
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port of a worker, not a window
  parentPort?.postMessage(await current.loop.run(leg));
}

function openLoop(id: string, seed: number): FuzzLoop {
  const target = TARGETS.find((of) => of.id === id);
  if (target === undefined) throw new Error(`no target ${id}`);
  return new FuzzLoop(target, { seed, isScout, watch });
}
