/**
 * Protobuf strings must be UTF-8, and strict receivers refuse a whole request over one bad byte. Kernel text is bytes: anyone may
 * write any to `/dev/kmsg`, and a task name is cut at 15 bytes. So what is not UTF-8 goes out with U+FFFD in its place; all else
 * is copied as it is. Whole arenas are checked at once, which costs next to nothing (some GB/s).
 */
import { isUtf8 } from 'node:buffer';
import { ByteWriter, decodeUtf8, encodeUtf8 } from '../base/bytes.ts';
import type { Interner } from '../base/interner.ts';

/** The strings of a batch as they go out: string `id` is `arena[starts[id], ends[id])`. */
export type Dictionary = Pick<Interner, 'arena' | 'starts' | 'ends'>;

/** The dictionary itself when all its strings are UTF-8, else a repaired copy. */
export function toUtf8Dictionary(strings: Interner): Dictionary {
  const { arena, starts, ends, size, usedBytes } = strings;
  let clean = isUtf8(arena.subarray(0, usedBytes));
  // Two bad halves of a character may stand side by side and look like a good one.
  for (let id = 1; clean && id < size; id++)
    clean = starts[id] === ends[id] || isCutBetween(arena, starts[id] as number, ends[id] as number);
  return clean ? strings : repair(strings);
}

function repair({ arena, starts, ends, size }: Interner): Dictionary {
  const writer = new ByteWriter(arena.length);
  const repairedStarts = new Uint32Array(size);
  const repairedEnds = new Uint32Array(size);
  for (let id = 0; id < size; id++) {
    const bytes = arena.subarray(starts[id], ends[id]);
    repairedStarts[id] = writer.length;
    writer.writeBytes(isUtf8(bytes) ? bytes : repairUtf8(bytes));
    repairedEnds[id] = writer.length;
  }
  return { arena: writer.view() as Uint8Array<ArrayBuffer>, starts: repairedStarts, ends: repairedEnds };
}

/** `bytes[start, end)` is UTF-8 where the whole of `bytes` is and the cuts are between characters. */
export function isCutBetween(bytes: Uint8Array, start: number, end: number): boolean {
  return !isContinuation(bytes[start]) && !isContinuation(bytes[end]);
}

export function repairUtf8(bytes: Uint8Array): Uint8Array {
  return encodeUtf8(decodeUtf8(bytes));
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}
