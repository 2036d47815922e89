/** A received segment: pages → aligned events with task names, and what the pages say was lost. */
import { alignTimes, toUnixNs } from '../clock/fit.ts';
import { OperationalError } from '../base/errors.ts';
import { EventBatch, type EventTable } from '../model/event-batch.ts';
import type { Gap } from '../model/gap.ts';
import { splitSegment, toSegmentHeader, type Segment, type SegmentHeader } from '../model/segment.ts';
import { NO_RAW_TIME } from '../model/time.ts';
import type { PageReader } from '../parsers/ring-buffer.ts';
import type { SegmentClock } from './clock-watch.ts';
import type { TaskNames } from './task-names.ts';

/** One record each; the other reasons hide an unknown number of records. */
const SINGLE_RECORD_REASONS: ReadonlySet<string> = new Set(['unknown_event', 'record_too_short']);
/** The row stands, only a value of it is empty. */
const NO_LOSS_REASONS: ReadonlySet<string> = new Set(['value_outside_record']);

export interface SegmentRows {
  readonly batch: EventBatch;
  readonly gaps: readonly Gap[];
  /** Events by CPU. */
  readonly counts: ReadonlyMap<number, number>;
  /** Latest time of an event, Unix ns; 0 where there is none. */
  readonly frontNs: bigint;
  /** Unreadable bytes, by reason. */
  readonly malformed: ReadonlyMap<string, number>;
  /** Bound of the times, ns; -1 = unknown. */
  readonly errorNs: number;
  /** What the sender says the time is, where that cannot be. */
  readonly brokenNs: bigint | undefined;
}

/** Says how events between two raw times (NO_RAW_TIME where there is none) are aligned. */
export type OpenSegmentClock = (header: SegmentHeader, fromRaw: bigint, toRaw: bigint) => SegmentClock;

/** Checks everything about a segment that can be checked without its formats; throws E_REQUEST. */
export function readSegment(bytes: Uint8Array): Segment {
  const split = splitSegment(bytes);
  if (typeof split === 'string') throw invalid(split);
  const header = toSegmentHeader(split.header);
  if (typeof header === 'string') throw invalid(header);
  const pages = header.chunks.reduce((total, chunk) => total + chunk.pages, 0);
  if (pages * header.pageSizeBytes !== split.pages.length) {
    throw invalid(`the chunks name ${pages} pages of ${header.pageSizeBytes} bytes, ${split.pages.length} bytes of pages follow`);
  }
  return { header, pages: split.pages };
}

export function readEvents({ header, pages }: Segment, reader: PageReader, names: TaskNames, openClock: OpenSegmentClock): SegmentRows {
  const batch = new EventBatch();
  batch.clock = header.clock;
  const losses: RawGap[] = [];
  const counts = new Map<number, number>();
  const malformed = new Map<string, number>();
  let at = 0;
  for (const chunk of header.chunks) {
    const end = at + chunk.pages * header.pageSizeBytes;
    const recordsBefore = reader.counts.records;
    const before = new Map(reader.counts.malformed);
    reader.read(pages.subarray(at, end), header.pageSizeBytes, chunk.cpu, batch);
    counts.set(chunk.cpu, (counts.get(chunk.cpu) ?? 0) + reader.counts.records - recordsBefore);
    for (const loss of reader.takeLosses()) losses.push({ ...loss, reason: 'ring_lost' });
    const unreadable = countUnreadable(before, reader.counts.malformed, malformed);
    if (unreadable.found) losses.push(toParseGap(header, chunk.cpu, unreadable.records, batch));
    at = end;
  }
  const range = rawRange(batch.tables);
  const clock = openClock(header, range.from, range.to);
  let { errorNs } = clock.fit;
  let frontNs = 0n;
  for (const table of batch.tables) {
    const bound = clock.aligned?.align(table.rawTime, table.unixTime, table.length);
    if (bound === undefined) alignTimes(table.rawTime, table.unixTime, table.length, clock.fit);
    else errorNs = clock.aligned?.worstError(range.from, range.to) ?? bound;
    // Chunks of several CPUs follow each other, so the last row need not be the latest; it is within one segment of it.
    if (table.length > 0) frontNs = maxOf(frontNs, table.unixTime.getBigint(table.length - 1));
  }
  batch.ties.separate();
  names.fill(header.identity.bootId, batch, header.comms);
  const gaps = losses.map((loss) => toGap(header.stream, clock, loss));
  return { batch, gaps, counts, frontNs, malformed, errorNs, brokenNs: clock.brokenNs };
}

interface RawGap extends Pick<Gap, 'cpu' | 'count' | 'reason'> {
  /** NO_RAW_TIME = as `toRaw`. */
  readonly fromRaw: bigint;
  readonly toRaw: bigint;
}

function rawRange(tables: readonly EventTable[]): { readonly from: bigint; readonly to: bigint } {
  let from = NO_RAW_TIME;
  let to = NO_RAW_TIME;
  for (const { rawTime, length } of tables) {
    // Doubles find the row: what they round is next to it.
    let [first, last] = [0, 0];
    for (let row = 1; row < length; row++) {
      const time = rawTime.getNumber(row);
      if (time < rawTime.getNumber(first)) first = row;
      if (time > rawTime.getNumber(last)) last = row;
    }
    if (length === 0) continue;
    const [least, most] = [rawTime.getBigint(first), rawTime.getBigint(last)];
    if (from === NO_RAW_TIME || least < from) from = least;
    if (most > to) to = most;
  }
  return { from, to };
}

function toGap(stream: string, { fit, aligned }: SegmentClock, { cpu, fromRaw, toRaw, count, reason }: RawGap): Gap {
  const toUnix = (raw: bigint): bigint => aligned?.toUnix(raw)?.unixNs ?? toUnixNs(fit, raw);
  const toUnixTime = toUnix(toRaw);
  return {
    stream,
    cpu,
    fromUnixNs: fromRaw === NO_RAW_TIME ? toUnixTime : toUnix(fromRaw),
    toUnixNs: toUnixTime,
    count,
    reason,
  };
}

/** What became unreadable since `before`; `records` undefined = not known. */
function countUnreadable(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
  malformed: Map<string, number>,
): { found: boolean; records: number | undefined } {
  let records: number | undefined = 0;
  let found = false;
  for (const [reason, count] of after) {
    const fresh = count - (before.get(reason) ?? 0);
    if (fresh === 0) continue;
    malformed.set(reason, (malformed.get(reason) ?? 0) + fresh);
    if (NO_LOSS_REASONS.has(reason)) continue;
    found = true;
    records = SINGLE_RECORD_REASONS.has(reason) && records !== undefined ? records + fresh : undefined;
  }
  return { found, records };
}

/** Nobody knows where in the segment the unreadable bytes stood in time: the window is the segment's. */
function toParseGap(header: SegmentHeader, cpu: number, count: number | undefined, batch: EventBatch): RawGap {
  const { from, to } = rawRange(batch.tables);
  const base = BigInt(header.fit.baseRaw);
  return { cpu, fromRaw: from === NO_RAW_TIME ? base : from, toRaw: to === NO_RAW_TIME ? base : to, count, reason: 'parse_error' };
}

function maxOf(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function invalid(message: string): OperationalError {
  return new OperationalError('E_REQUEST', message, 'send a segment as model/segment.ts draws it');
}
