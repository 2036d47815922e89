/** What this process holds: objects, and the buffers of typed arrays, after a collection. */
import { setTimeout } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

export function heldBytes(): number {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/**
 * What is held beyond `before`, once it is less than `most` or 20 s are over: what work in the background still has, and what Node gives
 * back on a later turn, is not what stays.
 */
export async function grownBytes(before: number, most: number): Promise<number> {
  for (const endMs = Date.now() + 20_000; heldBytes() - before >= most && Date.now() < endMs;) await setTimeout(200);
  return heldBytes() - before;
}
