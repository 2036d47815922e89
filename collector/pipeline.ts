/**
 * The sink of all sources: batches → OTLP bytes → spool. Several requests of one kind make one body simply by standing one
 * after the other, since a protobuf message is the concatenation of its fields; so a batch is encoded as it comes and nothing
 * is held but bytes.
 */
import { ByteWriter } from '../base/bytes.ts';
import { createLogger } from '../base/log.ts';
import { messageOf } from '../base/errors.ts';
import type { MessageMatcher } from '../correlate/match-messages.ts';
import { MessageRecogniser } from '../correlate/recognise-messages.ts';
import type { Gap, GapReason } from '../model/gap.ts';
import { SCHEMA_URL, type Resource, type Scope } from '../model/identity.ts';
import type { LogBatch } from '../model/log-batch.ts';
import type { MetricBatch } from '../model/metric-batch.ts';
import type { Sink, SourcePosition, SourceRecord } from '../model/pipeline.ts';
import { SEGMENT_CONTENT_TYPE, SEGMENT_PATH, writeSegment, type Segment } from '../model/segment.ts';
import type { SpanBatch } from '../model/span-batch.ts';
import { encodeGaps } from '../otlp/gap.ts';
import { encodeLogs } from '../otlp/encode-logs.ts';
import { encodeMetrics } from '../otlp/encode-metrics.ts';
import { encodeSpans } from '../otlp/encode-spans.ts';
import type { KernelClock } from './kernel-clock.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { FormatStore } from './format-store.ts';
import type { Compression } from '../otlp/compression.ts';
import type { Ledger } from './ledger.ts';
import type { PageKeeper } from './page-keeper.ts';
import type { Peer } from './peer.ts';
import { isDiskFull, type Lane, type Spool, type SpoolDrop, type SpooledRows } from './spool.ts';
import { compress } from './wire-form.ts';

const PROTOBUF = 'application/x-protobuf';
/** A batch leaves when its first record is this old, or when it is this large. */
const LOG_DELAY_MS = 10;
const SPAN_DELAY_MS = 200;
const MAX_BATCH_BYTES = 1 << 20;
const MAX_BATCH_ROWS = 8192;
/** Levels of at most this (err) go to the lane that is dropped last. */
const SEVERE_LEVEL = 3;

const log = createLogger('pipeline');

type Signal = 'logs' | 'traces' | 'metrics';

/** A body being filled: what the next spool record will hold. */
interface Draft {
  readonly lane: Lane;
  readonly signal: Signal;
  readonly writer: ByteWriter;
  readonly rows: Map<string, SpooledRows>;
  positions: Record<string, SourcePosition>;
  count: number;
  fromUnixNs: bigint;
  toUnixNs: bigint;
  readonly waiting: ((spooled: boolean) => void)[];
}

interface PackedSegment {
  readonly header: Parameters<Spool['append']>[1];
  readonly body: Uint8Array;
}

export interface PipelineParts {
  readonly resource: Resource;
  readonly version: string;
  readonly clock: KernelClock;
  readonly spool: Spool;
  readonly checkpoint: Checkpoint;
  readonly formats: FormatStore;
  readonly ledger: Ledger;
  readonly peer: Peer;
  readonly messages: MessageMatcher;
  /** Set where trace pages are kept and not sent. */
  readonly keeper: PageKeeper | undefined;
  /** For receivers that are no hub. */
  readonly compression: Compression;
  /** Called when a record lies in the lane: the sender's turn. */
  readonly wake: (lane: Lane) => void;
}

export class Pipeline implements Sink {
  readonly #parts: PipelineParts;
  /** In order of arrival, so that positions reach the disk in order even over two lanes. */
  #drafts: Draft[] = [];
  #timer: NodeJS.Timeout | undefined;
  #dueMs = Infinity;
  #spareWriter: ByteWriter | undefined;
  /** Reused: a segment is a megabyte, and they come five a second. */
  readonly #segment = new ByteWriter(256 << 10);
  /** By stream, of which a kernel has a few. */
  readonly #recognisers = new Map<string, MessageRecogniser>();
  #reportingDrops = false;
  /** Drops that no gap record tells of yet. */
  #unreported: Gap[] = [];

  constructor(parts: PipelineParts) {
    this.#parts = parts;
  }

  write(record: SourceRecord): Promise<boolean> {
    switch (record.kind) {
      case 'logs':
        return this.#writeLogs(record);
      case 'gaps':
        return this.#writeGaps(record.gaps, record.stream, record.position);
      case 'metrics':
        return this.#writeMetrics(record.batch);
      case 'spans':
        return this.#writeSpans(record.batch);
      case 'formats':
        this.#parts.formats.put(record.hash, record.set);
        this.#parts.keeper?.noteFormats(record.hash, record.set);
        return Promise.resolve(true);
      case 'segment':
        return Promise.resolve(this.#writeSegment(record));
    }
  }

  /**
   * Writes counters of the books behind all that was handed on before, in the lane of the streams that they count: so the
   * receiver can compare them with what it has.
   */
  writeBooks(lane: 'logs' | 'bulk', batch: MetricBatch): void {
    if (batch.length === 0) return;
    this.flush();
    const draft = this.#draftFor(lane, 'metrics');
    encodeMetrics(this.#parts.resource, this.#scope(), batch, draft.writer);
    addWindow(draft, batch.time.getBigint(0), batch.time.getBigint(batch.length - 1));
    void this.#fill(draft, 'metrics', -1, batch.length, undefined, 0);
    this.flush();
  }

  /** Puts everything that is held in memory into the spool. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#dueMs = Infinity;
    const drafts = this.#drafts;
    this.#drafts = [];
    for (const draft of drafts) this.#seal(draft);
  }

  #writeLogs({ stream, batch, position, clockErrorNs }: Extract<SourceRecord, { kind: 'logs' }>): Promise<boolean> {
    if (batch.length === 0) return Promise.resolve(true);
    const { clock, resource, peer } = this.#parts;
    // Before the lane is chosen: a console's lines get their levels here.
    this.#recogniserOf(stream).take(batch);
    const errorNs = clockErrorNs ?? clock.alignLogs(batch);
    const hub = peer.kind === 'hub' ? clock.wallLink() : undefined;
    const draft = this.#draftFor(severestOf(batch) <= SEVERE_LEVEL ? 'severe' : 'logs', 'logs');
    encodeLogs(resource, this.#scope(), batch, draft.writer, {
      stream,
      clockErrorNs: errorNs,
      ...(hub === undefined ? {} : { hub }),
      // A hub knows a record by boot, stream and number; for others it is written out.
      ...(peer.kind === 'hub' ? {} : { uidPrefix: `${resource.identity?.bootId ?? ''}/${stream}/` }),
    });
    addWindow(draft, batch.unixTime.getBigint(0), batch.unixTime.getBigint(batch.length - 1));
    return this.#fill(draft, stream, -1, batch.length, position, LOG_DELAY_MS);
  }

  #recogniserOf(stream: string): MessageRecogniser {
    const known = this.#recognisers.get(stream);
    if (known !== undefined) return known;
    const recogniser = new MessageRecogniser(this.#parts.messages);
    this.#recognisers.set(stream, recogniser);
    return recogniser;
  }

  #writeGaps(gaps: readonly Gap[], stream: string | undefined, position: SourcePosition | undefined): Promise<boolean> {
    if (gaps.length === 0) return Promise.resolve(true);
    const draft = this.#draftFor('severe', 'logs');
    encodeGaps(this.#parts.resource, this.#scope(), gaps, draft.writer);
    for (const gap of gaps) addWindow(draft, gap.fromUnixNs, gap.toUnixNs);
    return this.#fill(draft, stream ?? 'gaps', -1, 0, position, LOG_DELAY_MS);
  }

  #writeMetrics(batch: MetricBatch): Promise<boolean> {
    if (batch.length === 0) return Promise.resolve(true);
    const draft = this.#draftFor('metrics', 'metrics');
    encodeMetrics(this.#parts.resource, this.#scope(), batch, draft.writer);
    addWindow(draft, batch.time.getBigint(0), batch.time.getBigint(batch.length - 1));
    return this.#fill(draft, 'metrics', -1, batch.length, undefined, LOG_DELAY_MS);
  }

  #writeSpans(batch: SpanBatch): Promise<boolean> {
    if (batch.length === 0) return Promise.resolve(true);
    const draft = this.#draftFor('spans', 'traces');
    encodeSpans(this.#parts.resource, this.#scope(), batch, draft.writer);
    addWindow(draft, batch.startTime.getBigint(0), batch.endTime.getBigint(batch.length - 1));
    return this.#fill(draft, 'spans', -1, batch.length, undefined, SPAN_DELAY_MS);
  }

  /** Segments are whole bodies: they go to the spool at once. A receiver that is no hub has no use for them. */
  #writeSegment(record: Extract<SourceRecord, { kind: 'segment' }>): boolean {
    const { peer, keeper, clock } = this.#parts;
    if (peer.kind === 'otlp') return true;
    const { stream } = record.segment.header;
    const rows = record.events.map(({ cpu, count }) => ({ stream, cpu, count }));
    const positions = record.position === undefined ? {} : { [stream]: record.position };
    if (keeper === undefined) return this.#spoolSegment(record.segment, rows, positions);
    const nowNs = clock.nowUnixNs();
    const { header, body } = this.#packSegment(record.segment, rows, {});
    const isKept = keeper.keep(record, header, body, nowNs);
    if (!isKept) this.#report([{ lane: 'bulk', headers: [{ ...header, seq: -1 }] }], 'spool_full');
    const outline = keeper.outlineOf(record.segment, performance.now());
    if (outline !== undefined) this.#spoolSegment(outline, [], {});
    return isKept;
  }

  #spoolSegment(segment: Segment, rows: readonly SpooledRows[], positions: Record<string, SourcePosition>): boolean {
    const { header, body } = this.#packSegment(segment, rows, positions);
    return this.#spool('bulk', body, header);
  }

  #packSegment(segment: Segment, rows: readonly SpooledRows[], positions: Record<string, SourcePosition>): PackedSegment {
    this.#segment.reset();
    writeSegment(segment, this.#segment);
    const nowNs = String(this.#parts.clock.nowUnixNs());
    const { body, encoding } = compress(this.#segment.view(), 'zstd');
    const { formatSet } = segment.header;
    const type = { path: SEGMENT_PATH, contentType: SEGMENT_CONTENT_TYPE, encoding };
    return { header: { ...type, rows, fromUnixNs: nowNs, toUnixNs: nowNs, positions, formatSet }, body };
  }

  #scope(): Scope {
    return { name: 'mkscope', version: this.#parts.version, attributes: {}, schemaUrl: SCHEMA_URL };
  }

  /** The draft to add to. Logs of one lane only join the draft in front of them when no other log draft came between. */
  #draftFor(lane: Lane, signal: Signal): Draft {
    const last = this.#drafts.findLast((draft) => draft.signal === signal);
    if (last !== undefined && last.lane === lane && last.writer.length < MAX_BATCH_BYTES && last.count < MAX_BATCH_ROWS) return last;
    const writer = this.#spareWriter ?? new ByteWriter(16 << 10);
    this.#spareWriter = undefined;
    const draft: Draft = { lane, signal, writer, rows: new Map(), positions: {}, count: 0, fromUnixNs: 0n, toUnixNs: 0n, waiting: [] };
    this.#drafts.push(draft);
    return draft;
  }

  #fill(draft: Draft, stream: string, cpu: number, rows: number, position: SourcePosition | undefined, delayMs: number): Promise<boolean> {
    const known = draft.rows.get(stream);
    draft.rows.set(stream, { stream, cpu, count: (known?.count ?? 0) + rows });
    draft.count += rows;
    if (position !== undefined) draft.positions = { ...draft.positions, [stream]: position };
    const spooled = new Promise<boolean>((resolve) => draft.waiting.push(resolve));
    if (draft.writer.length >= MAX_BATCH_BYTES || draft.count >= MAX_BATCH_ROWS) this.flush();
    else this.#schedule(delayMs);
    return spooled;
  }

  #schedule(delayMs: number): void {
    const dueMs = performance.now() + delayMs;
    if (dueMs >= this.#dueMs) return;
    clearTimeout(this.#timer);
    this.#dueMs = dueMs;
    this.#timer = setTimeout(() => this.flush(), delayMs);
  }

  #seal(draft: Draft): void {
    const plain = draft.writer.view();
    // What is not known to be a hub yet gets what everybody takes.
    const { encoding, body } = compress(plain, this.#parts.peer.kind === 'hub' ? 'zstd' : this.#parts.compression);
    const spooled = this.#spool(draft.lane, body, {
      path: `/v1/${draft.signal}`,
      contentType: PROTOBUF,
      encoding,
      rows: [...draft.rows.values()],
      fromUnixNs: String(draft.fromUnixNs),
      toUnixNs: String(draft.toUnixNs),
      positions: draft.positions,
    });
    // One writer is kept for the next draft, unless a flood has made it large.
    if (draft.writer.bytes.length <= MAX_BATCH_BYTES / 4) {
      draft.writer.reset();
      this.#spareWriter = draft.writer;
    }
    for (const resolve of draft.waiting) resolve(spooled);
  }

  /** Appends to the spool, makes room where it must; false = dropped, counted and reported. */
  #spool(lane: Lane, body: Uint8Array, header: Parameters<Spool['append']>[1]): boolean {
    const { spool } = this.#parts;
    this.#report(spool.makeRoom(body.length + 1024), 'spool_full');
    for (;;) {
      try {
        spool.append(lane, header, body);
        this.#parts.wake(lane);
        return true;
      } catch (error) {
        const freed = isDiskFull(error) ? spool.dropOldest() : undefined;
        if (freed !== undefined) {
          this.#report([freed], 'spool_full');
          continue;
        }
        log.error('a batch could not be written to the spool and is dropped', { lane, bytes: body.length, error: messageOf(error) });
        this.#report([{ lane, headers: [{ ...header, seq: -1 }] }], 'spool_full');
        return false;
      }
    }
  }

  /** Writes what had to be dropped into the books, as counters and as gaps. */
  #report(drops: readonly SpoolDrop[], reason: GapReason): void {
    const gaps: Gap[] = [];
    for (const { lane, headers } of drops) {
      for (const header of headers) {
        for (const { stream, cpu, count } of header.rows) {
          if (count === 0) continue;
          this.#parts.ledger.countDropped(stream, cpu, count, reason);
          gaps.push({ stream, cpu, fromUnixNs: BigInt(header.fromUnixNs), toUnixNs: BigInt(header.toUnixNs), count, reason });
        }
        if (header.seq >= 0) this.#parts.checkpoint.settle(lane, header);
      }
    }
    this.#unreported.push(...gaps);
    if (gaps.length === 0 || this.#reportingDrops) return;
    // The report is itself spooled, and may push out more: that waits for the next report, it does not start one in this one.
    this.#reportingDrops = true;
    queueMicrotask(() => {
      this.#reportingDrops = false;
      const merged = mergeGaps(this.#unreported);
      this.#unreported = [];
      void this.#writeGaps(merged, undefined, undefined);
    });
  }

  /** The receiver will never take this record: the sender's call. */
  reportRefused(lane: Lane, header: SpoolDrop['headers'][number]): void {
    this.#report([{ lane, headers: [header] }], 'refused');
  }
}

function severestOf(batch: LogBatch): number {
  let severest = 255;
  for (let row = 0; row < batch.length; row++) severest = Math.min(severest, batch.level[row] as number);
  return severest;
}

function addWindow(draft: Draft, fromNs: bigint, toNs: bigint): void {
  if (draft.fromUnixNs === 0n || fromNs < draft.fromUnixNs) draft.fromUnixNs = fromNs;
  if (toNs > draft.toUnixNs) draft.toUnixNs = toNs;
}

/** One gap per stream, CPU and reason: a dropped file holds thousands of records. */
function mergeGaps(gaps: readonly Gap[]): Gap[] {
  const merged = new Map<string, Gap>();
  for (const gap of gaps) {
    const key = `${gap.stream}\n${gap.cpu}\n${gap.reason}`;
    const known = merged.get(key);
    merged.set(key, {
      ...gap,
      fromUnixNs: known !== undefined && known.fromUnixNs < gap.fromUnixNs ? known.fromUnixNs : gap.fromUnixNs,
      toUnixNs: known !== undefined && known.toUnixNs > gap.toUnixNs ? known.toUnixNs : gap.toUnixNs,
      count: (known?.count ?? 0) + (gap.count ?? 0),
    });
  }
  return [...merged.values()];
}
