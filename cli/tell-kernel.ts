/**
 * Which kernel of a Multikernel machine wrote a log, from the log itself:
 *
 *   platform-quirks: hardware_subarch=0 (MULTIKERNEL=5)      the host
 *   DTB contains instance ID 23, name 'web-1'                instance 23
 */
import { readHead } from '../hub/file-source.ts';
import { HOST_KERNEL_ID } from '../model/identity.ts';

/** A spawned kernel knows itself after some hundred lines. */
const HEAD_BYTES = 256 << 10;
const IDENTITY = /DTB contains instance ID (\d{1,5}), name '([^'\n]{1,128})'/;
const HOST = /hardware_subarch=0 \(MULTIKERNEL=\d+\)/;

export interface ToldKernel {
  readonly id: number;
  readonly name: string;
}

/** Undefined where the log does not say, or is none that can be read: the import says why. */
export function tellKernel(path: string): ToldKernel | undefined {
  const head = Buffer.from(readHead(path, HEAD_BYTES)).toString('utf8');
  const identity = IDENTITY.exec(head);
  if (identity !== null && Number(identity[1]) > HOST_KERNEL_ID) return { id: Number(identity[1]), name: identity[2] as string };
  return HOST.test(head) ? { id: HOST_KERNEL_ID, name: 'host' } : undefined;
}
