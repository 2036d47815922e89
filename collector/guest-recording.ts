/**
 * A recorded stream of a guest: the bytes that the forwarder sent, and beside them `<file>.at`, which says when they came:
 *
 *   1788511001502000123 4096      the first 4096 bytes of the recording came at this Unix time, ns
 *   1788511001503100456 132       the next 132 bytes …
 *
 * Without the index the guest's own wall clock is believed (collector/guest-clock.ts).
 */
import { createReadStream, existsSync } from 'node:fs';
import { pipeline } from 'node:stream';
import { createZstdDecompress } from 'node:zlib';
import { OperationalError, errnoOf, messageOf } from '../base/errors.ts';
import type { GuestClock } from './guest-clock.ts';
import { GuestReader, type GuestItem, type GuestReaderOptions } from './guest-reader.ts';

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

/** Bytes that came together; `unixNs` is undefined where nobody wrote down when. */
export interface RecordedChunk {
  readonly bytes: Uint8Array;
  readonly unixNs: bigint | undefined;
}

/**
 * A recording in the pieces in which it came, whatever pieces the disk gives it in. `path` may lie there packed, as `<path>.zst`,
 * and so may its index. Throws OperationalError E_INPUT_READ.
 */
export async function* readRecordedChunks(path: string): AsyncGenerator<RecordedChunk> {
  const arrivals = await readArrivals(`${path}.at`);
  let next = 0;
  let piece: Buffer[] = [];
  let missing = arrivals[0]?.bytes ?? 0;
  for await (const chunk of openFile(path)) {
    let at = 0;
    while (at < chunk.length) {
      const arrival = arrivals[next];
      // Bytes behind the index came with its last line, or later.
      if (arrival === undefined) {
        yield { bytes: chunk.subarray(at), unixNs: arrivals.at(-1)?.unixNs };
        break;
      }
      const end = Math.min(chunk.length, at + missing);
      piece.push(chunk.subarray(at, end));
      missing -= end - at;
      at = end;
      if (missing > 0) break;
      yield { bytes: piece.length === 1 ? (piece[0] as Buffer) : Buffer.concat(piece), unixNs: arrival.unixNs };
      piece = [];
      do missing = arrivals[++next]?.bytes ?? 0;
      while (missing === 0 && next < arrivals.length);
    }
  }
  if (piece.length > 0) yield { bytes: Buffer.concat(piece), unixNs: arrivals[next]?.unixNs };
}

/** How much of each boot is read ahead for its clock: later samples narrow the first records' times no further. */
const SURVEY_NS = 60_000_000_000n;

/** The clocks of the boots in a recording, as known a while after their beginning; `shiftNs` as in GuestReaderOptions. */
export async function surveyClocks(path: string, options: GuestReaderOptions): Promise<Map<string, GuestClock>> {
  const clocks = new Map<string, GuestClock>();
  const reader = new GuestReader(options);
  const { shiftNs = 0n } = options;
  let boot: { readonly clock: GuestClock; readonly bootId: string; readonly untilNs: bigint } | undefined;
  for await (const { bytes, unixNs } of readRecordedChunks(path)) {
    const atNs = unixNs === undefined ? undefined : unixNs + shiftNs;
    for (const item of reader.add(bytes, atNs)) {
      if (item.kind !== 'incarnation') continue;
      if (boot !== undefined && !clocks.has(boot.bootId)) clocks.set(boot.bootId, boot.clock);
      boot = { clock: item.clock, bootId: item.identity.bootId, untilNs: (atNs ?? 0n) + SURVEY_NS };
    }
    if (boot === undefined || clocks.has(boot.bootId) || (atNs ?? 0n) < boot.untilNs) continue;
    clocks.set(boot.bootId, boot.clock.copy());
  }
  if (boot !== undefined && !clocks.has(boot.bootId)) clocks.set(boot.bootId, boot.clock);
  return clocks;
}

/** Reads a recording to its end through a `GuestReader` that was made without a timeline. */
export async function* readGuestRecording(path: string, reader: GuestReader): AsyncGenerator<GuestItem> {
  for await (const { bytes, unixNs } of readRecordedChunks(path)) yield* reader.add(bytes, unixNs);
  yield* reader.flush();
}

/** Empty where there is no index. */
async function readArrivals(path: string): Promise<Arrival[]> {
  if (!existsSync(path) && !existsSync(`${path}.zst`)) return [];
  const parts: Buffer[] = [];
  for await (const chunk of openFile(path)) parts.push(chunk);
  return parseArrivals(Buffer.concat(parts).toString('latin1'));
}

async function* openFile(path: string): AsyncGenerator<Buffer> {
  const isPacked = !existsSync(path) && existsSync(`${path}.zst`);
  const file = createReadStream(isPacked ? `${path}.zst` : path, { highWaterMark: 256 << 10 });
  try {
    // Errors of the file end the unpacker as well.
    const bytes: AsyncIterable<Buffer> = isPacked ? pipeline(file, createZstdDecompress(), () => undefined) : file;
    yield* bytes;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    throw new OperationalError(
      'E_INPUT_READ',
      `${path} cannot be read: ${messageOf(error)}`,
      'check the path; a damaged file has to be recorded again',
      error,
    );
  } finally {
    file.destroy();
  }
}
