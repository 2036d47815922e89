/**
 * A recorded stream of a guest: the bytes that the forwarder sent, and beside them `<file>.at`, which says when they came:
 *
 *   1788511001502000123 4096      the first 4096 bytes of the recording came at this Unix time, ns
 *   1788511001503100456 132       the next 132 bytes …
 *
 * Without the index the guest's own wall clock is believed (collector/guest-clock.ts).
 */
import { createReadStream, readFileSync } from 'node:fs';
import { OperationalError, errnoOf, messageOf } from '../base/errors.ts';
import type { GuestItem, GuestReader } from './guest-reader.ts';

/** Unix ns of an arrival, and how many bytes came with it. */
export interface Arrival {
  readonly unixNs: bigint;
  readonly bytes: number;
}

const MS = 1_000_000n;

/**
 * The index of a recording. Lines that say nothing are skipped. An index in whole ms was cut to them: its bytes came at the
 * latest at the end of the ms, and never before they were asked for.
 */
export function parseArrivals(text: string): Arrival[] {
  const arrivals = text.split('\n').flatMap((line) => {
    const match = /^(\d{1,19}) (\d{1,12})$/.exec(line);
    return match === null ? [] : [{ unixNs: BigInt(match[1] as string), bytes: Number(match[2]) }];
  });
  if (!arrivals.every(({ unixNs }) => unixNs % MS === 0n)) return arrivals;
  return arrivals.map(({ unixNs, bytes }) => ({ unixNs: unixNs + MS - 1n, bytes }));
}

/** Reads a recording to its end through a `GuestReader` that was made without a timeline. */
export async function* readGuestRecording(path: string, reader: GuestReader): AsyncGenerator<GuestItem> {
  const arrivals = readArrivals(`${path}.at`);
  let next = 0;
  let left = arrivals[0]?.bytes ?? 0;
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      let at = 0;
      while (at < chunk.length) {
        while (left === 0 && next + 1 < arrivals.length) left = arrivals[++next]?.bytes ?? 0;
        const arrival = arrivals[next];
        // Bytes behind the index came with its last line, or later.
        const end = left === 0 ? chunk.length : Math.min(chunk.length, at + left);
        left = Math.max(0, left - (end - at));
        yield* reader.add(chunk.subarray(at, end), arrival?.unixNs);
        at = end;
      }
    }
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    throw new OperationalError('E_SOURCE_OPEN', `${path} cannot be read: ${messageOf(error)}`, 'check the path', error);
  }
  yield* reader.flush();
}

/** Empty where there is no index. */
function readArrivals(path: string): Arrival[] {
  try {
    return parseArrivals(readFileSync(path, 'utf8'));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}
