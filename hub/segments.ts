/** A received segment: pages → aligned events with task names, and what the pages say was lost. */
import { alignTimes, fromFitFields, toUnixNs, type ClockFit } from '../clock/fit.ts';
import { OperationalError } from '../base/errors.ts';
import { EventBatch } from '../model/event-batch.ts';
import type { Gap } from '../model/gap.ts';
import { splitSegment, toSegmentHeader, type Segment, type SegmentHeader } from '../model/segment.ts';
import { NO_RAW_TIME } from '../model/time.ts';
import type { PageReader } from '../parsers/ring-buffer.ts';
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
}

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

export function readEvents({ header, pages }: Segment, reader: PageReader, names: TaskNames): SegmentRows {
  const batch = new EventBatch();
  batch.clock = header.clock;
  const fit = fromFitFields(header.fit);
  const gaps: Gap[] = [];
  const counts = new Map<number, number>();
  const malformed = new Map<string, number>();
  let at = 0;
  for (const chunk of header.chunks) {
    const end = at + chunk.pages * header.pageSizeBytes;
    const recordsBefore = reader.counts.records;
    const before = new Map(reader.counts.malformed);
    reader.read(pages.subarray(at, end), header.pageSizeBytes, chunk.cpu, batch);
    counts.set(chunk.cpu, (counts.get(chunk.cpu) ?? 0) + reader.counts.records - recordsBefore);
    for (const loss of reader.takeLosses()) gaps.push(toGap(header.stream, fit, loss));
    const unreadable = countUnreadable(before, reader.counts.malformed, malformed);
    if (unreadable.found) gaps.push(toParseGap(header, chunk.cpu, fit, unreadable.records, batch));
    at = end;
  }
  let frontNs = 0n;
  for (const table of batch.tables) {
    alignTimes(table.rawTime, table.unixTime, table.length, fit);
    // Chunks of several CPUs follow each other, so the last row need not be the latest; it is within one segment of it.
    if (table.length > 0) frontNs = maxOf(frontNs, table.unixTime.getBigint(table.length - 1));
  }
  names.fill(header.identity.bootId, batch, header.comms);
  return { batch, gaps, counts, frontNs, malformed };
}

function toGap(stream: string, fit: ClockFit, loss: { cpu: number; fromRaw: bigint; toRaw: bigint; count: number | undefined }): Gap {
  const toUnix = toUnixNs(fit, loss.toRaw);
  return {
    stream,
    cpu: loss.cpu,
    fromUnixNs: loss.fromRaw === NO_RAW_TIME ? toUnix : toUnixNs(fit, loss.fromRaw),
    toUnixNs: toUnix,
    count: loss.count,
    reason: 'ring_lost',
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
function toParseGap(header: SegmentHeader, cpu: number, fit: ClockFit, count: number | undefined, batch: EventBatch): Gap {
  let from: bigint | undefined;
  let to: bigint | undefined;
  for (const table of batch.tables) {
    if (table.length === 0) continue;
    const first = table.rawTime.getBigint(0);
    const last = table.rawTime.getBigint(table.length - 1);
    if (from === undefined || first < from) from = first;
    if (to === undefined || last > to) to = last;
  }
  const base = BigInt(header.fit.baseRaw);
  return {
    stream: header.stream,
    cpu,
    fromUnixNs: toUnixNs(fit, from ?? base),
    toUnixNs: toUnixNs(fit, to ?? base),
    count,
    reason: 'parse_error',
  };
}

function maxOf(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function invalid(message: string): OperationalError {
  return new OperationalError('E_REQUEST', message, 'send a segment as model/segment.ts draws it');
}
