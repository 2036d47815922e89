/** The contract of `parsers/`: bytes in, batch rows out; pure, synchronous, no I/O. */
import type { EventBatch } from './event-batch.ts';
import type { EventFileParser } from './event-file.ts';
import type { GapReason } from './gap.ts';
import type { LogBatch } from './log-batch.ts';

export interface ParserOf<Id extends string, Batch> {
  /** The name the outside world gives the format. */
  readonly id: Id;
  readonly title: string;
  /** Does this look like the format? Given the first bytes of a file (up to 64 KiB). Must refuse the others' fixtures. */
  sniff(head: Uint8Array): boolean;
  open(hints?: InputHints): ParserSession<Batch>;
}

/** What is known of an input beside its bytes. */
export interface InputHints {
  /** When it was written at last, Unix ns: a syslog file has no years. */
  readonly writtenUnixNs?: bigint | undefined;
}

/** One input being parsed: keeps what the format carries from record to record (header columns, boots, …). */
export interface ParserSession<Batch> {
  /**
   * Consumes whole records and returns the offset of the first unfinished one. The caller keeps the tail, caps it, and hands
   * it in again with more bytes behind it. Bad input never throws: it is counted.
   */
  parse(bytes: Uint8Array, batch: Batch): number;
  /** The end of the input: takes what `parse` left as far as it can, and returns like `parse`. */
  finish(bytes: Uint8Array, batch: Batch): number;
  readonly counts: ParseCounts;
  /** Losses met since the last call, oldest first; the caller turns them into gap rows (model/gap.ts). */
  takeLosses(): InputLoss[];
  /** Times that the input tells beside its lines, met since the last call. */
  takeMoments?(): InputMoment[];
}

/** Loss that the input itself reports: a sequence jump, `** 123 printk messages dropped **`, `CPU:1 [LOST 1872 EVENTS]`. */
export interface InputLoss {
  /** Logical CPU of a per-CPU stream, -1 for others. */
  readonly cpu: number;
  /** Lost records; undefined = the input does not say. */
  readonly count: number | undefined;
  /** Raw times, on the batch's clock, of the records before and after the hole; NO_RAW_TIME where there is none. */
  readonly fromRaw: bigint;
  readonly toRaw: bigint;
  readonly reason: GapReason;
  /** Which of the input's boots, from 0; default: the last one so far. */
  readonly boot?: number;
}

/** What the input itself says of when something was: at the stamp `raw` it was between these Unix times. */
export interface InputMoment {
  /** Which of the input's boots, from 0. */
  readonly boot: number;
  readonly raw: bigint;
  readonly unixLow: bigint;
  readonly unixHigh: bigint;
  /** Whoever wrote the log put it in front of a line, late rather than early: with its zone, or in a time that may be any zone's. */
  readonly ofLine?: 'zoned' | 'local';
}

export type LogParser = ParserOf<string, LogBatch> & { readonly yields: 'logs' };
export type EventTextParser = ParserOf<string, EventBatch> & { readonly yields: 'events' };
export type FileParser = LogParser | EventTextParser | EventFileParser;

/** What a session did with its bytes: parsed + malformed accounts for all of them. */
export interface ParseCounts {
  records: number;
  /** Bytes of records that became rows, or were understood and need no row (headers, blank lines). */
  parsedBytes: number;
  malformedBytes: number;
  /** Loss that the input itself reports, in records. */
  lost: number;
  /** Loss notices without a number. */
  lostUnknown: number;
  readonly malformed: Map<string, number>;
  /** First few malformed inputs per reason, for `inspect`; `offset` counts from the start of the input. */
  readonly samples: { readonly reason: string; readonly offset: number; readonly bytes: Uint8Array }[];
}

const MAX_SAMPLES = 8;
const MAX_SAMPLE_BYTES = 256;

export function createCounts(): ParseCounts {
  return { records: 0, parsedBytes: 0, malformedBytes: 0, lost: 0, lostUnknown: 0, malformed: new Map(), samples: [] };
}

/** Counts `bytes[start, end)` as malformed and keeps a sample; all bytes in front of them have been counted, or `offset` says where. */
export function countMalformed(
  counts: ParseCounts,
  reason: string,
  bytes: Uint8Array,
  start: number,
  end: number,
  offset = counts.parsedBytes + counts.malformedBytes,
): void {
  counts.malformedBytes += end - start;
  const seen = counts.malformed.get(reason) ?? 0;
  counts.malformed.set(reason, seen + 1);
  if (seen < 2 && counts.samples.length < MAX_SAMPLES) {
    counts.samples.push({ reason, offset, bytes: bytes.slice(start, Math.min(end, start + MAX_SAMPLE_BYTES)) });
  }
}

/** What was not understood, with the place of the first of each reason: for the people who have the file. */
export function tellMalformed({ malformed, samples }: ParseCounts): Map<string, number> {
  return new Map(
    [...malformed].map(([reason, count]) => {
      const first = samples.find((sample) => sample.reason === reason);
      return [first === undefined ? reason : `${reason} at byte ${first.offset}${count > 1 ? ' and elsewhere' : ''}`, count];
    }),
  );
}
