/**
 * The bytes of an ExportTraceServiceRequest → one SpanBatch per resource and scope (the picture is in encode-spans.ts).
 * A span whose trace or span id is missing, zero or of a wrong length is invalid by the specification: it is left out and
 * counted as rejected. A link with such an id is left out.
 *
 * Deliberately not kept: the dropped_…_count fields and the flags of links.
 */
import type { AttributeColumns } from '../model/attribute-columns.ts';
import { SpanBatch } from '../model/span-batch.ts';
import { PairSlot, readAttribute } from './attributes.ts';
import { isZero } from './proto-writer.ts';
import { DECODE_MEMORY_BYTES, walkRequest, type Decoded, type SignalPart } from './envelope.ts';
import { ProtoReader } from './proto-reader.ts';
import {
  EVENT_ATTRIBUTES,
  EVENT_NAME,
  EVENT_TIME,
  LINK_ATTRIBUTES,
  LINK_SPAN_ID,
  LINK_TRACE_ID,
  LINK_TRACE_STATE,
  SCOPE_ITEM,
  SPAN_ATTRIBUTES,
  SPAN_END_TIME,
  SPAN_EVENTS,
  SPAN_FLAGS,
  SPAN_KIND_TAG,
  SPAN_LINKS,
  SPAN_NAME,
  SPAN_PARENT_SPAN_ID,
  SPAN_SPAN_ID,
  SPAN_START_TIME,
  SPAN_STATUS,
  SPAN_TRACE_ID,
  SPAN_TRACE_STATE,
  STATUS_CODE_TAG,
  STATUS_MESSAGE,
} from './tags.ts';

export type DecodedSpans = SignalPart<SpanBatch>;

/** Columns of a span, with its offsets into attributes, events and links. */
const ROW_MEMORY_BYTES = 112;
/** An event or a link: plain array entries, a bigint or two small arrays. */
const CHILD_MEMORY_BYTES = 256;

const REJECTED = 'spans without a valid trace_id (16 bytes) and span_id (8 bytes)';

export function decodeSpans(bytes: Uint8Array, memoryLimitBytes = DECODE_MEMORY_BYTES): Decoded<DecodedSpans> {
  const reader = new ProtoReader(bytes, memoryLimitBytes);
  const parts: DecodedSpans[] = [];
  let rejected = 0;
  walkRequest(reader, (resource, scope, end, items) => {
    if (!reader.charge(items * ROW_MEMORY_BYTES)) return;
    const batch = new SpanBatch(items);
    const spans = new SpanReader(reader, batch);
    spans.readScope(end);
    rejected += spans.rejected;
    if (batch.length > 0) parts.push({ resource, scope, batch });
  });
  if (reader.failure !== undefined) return { ok: false, failure: reader.failure };
  return { ok: true, parts, rejected, rejectedReason: rejected === 0 ? '' : REJECTED };
}

class SpanReader {
  rejected = 0;
  readonly #reader: ProtoReader;
  readonly #batch: SpanBatch;
  readonly #pair = new PairSlot();

  constructor(reader: ProtoReader, batch: SpanBatch) {
    this.#reader = reader;
    this.#batch = batch;
  }

  /** Reads all spans of the scope message that ends at `end`. */
  readScope(end: number): void {
    const reader = this.#reader;
    while (reader.at < end) {
      const tag = reader.readTag();
      if (tag === SCOPE_ITEM) this.#readSpan(reader.readEnd(end));
      else reader.skip(tag, end);
    }
  }

  #readSpan(end: number): void {
    const reader = this.#reader;
    const batch = this.#batch;
    const row = batch.openRow();
    while (reader.at < end) {
      const tag = reader.readTag();
      switch (tag) {
        case SPAN_TRACE_ID:
          this.#readId(batch.traceId, row, 16, end);
          break;
        case SPAN_SPAN_ID:
          this.#readId(batch.spanId, row, 8, end);
          break;
        case SPAN_PARENT_SPAN_ID:
          this.#readId(batch.parentSpanId, row, 8, end);
          break;
        case SPAN_NAME:
          batch.name[row] = this.#readText(end);
          break;
        case SPAN_KIND_TAG:
          batch.kind[row] = atMost(reader.readVarint(), 5);
          break;
        case SPAN_START_TIME:
          reader.readFixed64();
          batch.startTime.setWords(row, reader.low, reader.high);
          break;
        case SPAN_END_TIME:
          reader.readFixed64();
          batch.endTime.setWords(row, reader.low, reader.high);
          break;
        case SPAN_ATTRIBUTES:
          readAttribute(reader, end, this.#pair, batch.attributes);
          break;
        default:
          this.#readRare(tag, row, end);
      }
    }
    reader.close(end);
    if (isZero(batch.traceId, row * 16, 16) || isZero(batch.spanId, row * 8, 8)) this.#dropRow(row);
    else batch.closeRow();
  }

  #readRare(tag: number, row: number, end: number): void {
    const reader = this.#reader;
    const batch = this.#batch;
    switch (tag) {
      case SPAN_TRACE_STATE:
        batch.traceState[row] = this.#readText(end);
        break;
      case SPAN_FLAGS:
        batch.traceFlags[row] = reader.readFixed32();
        break;
      case SPAN_STATUS:
        this.#readStatus(row, reader.readEnd(end));
        break;
      case SPAN_EVENTS:
        this.#readEvent(reader.readEnd(end));
        break;
      case SPAN_LINKS:
        this.#readLink(reader.readEnd(end));
        break;
      default:
        reader.skip(tag, end);
    }
  }

  #readText(limit: number): number {
    const reader = this.#reader;
    const end = reader.readEnd(limit);
    const id = this.#batch.strings.intern(reader.bytes, reader.at, end);
    reader.at = end;
    return id;
  }

  /** An id of another length leaves zeros: no id. */
  #readId(column: Uint8Array, row: number, size: number, limit: number): void {
    const reader = this.#reader;
    const end = reader.readEnd(limit);
    if (end - reader.at === size) for (let i = 0; i < size; i++) column[row * size + i] = reader.bytes[reader.at + i] as number;
    reader.at = end;
  }

  #readStatus(row: number, end: number): void {
    const reader = this.#reader;
    const batch = this.#batch;
    while (reader.at < end) {
      const tag = reader.readTag();
      if (tag === STATUS_CODE_TAG) batch.statusCode[row] = atMost(reader.readVarint(), 2);
      else if (tag === STATUS_MESSAGE) batch.statusMessage[row] = this.#readText(end);
      else reader.skip(tag, end);
    }
    reader.close(end);
  }

  #readEvent(end: number): void {
    const reader = this.#reader;
    const { events } = this.#batch;
    let timeNs = 0n;
    let name = 0;
    while (reader.at < end) {
      const tag = reader.readTag();
      if (tag === EVENT_TIME) {
        reader.readFixed64();
        timeNs = reader.unsigned();
      } else if (tag === EVENT_NAME) name = this.#readText(end);
      else if (tag === EVENT_ATTRIBUTES) readAttribute(reader, end, this.#pair, events.attributes);
      else reader.skip(tag, end);
    }
    reader.close(end);
    if (reader.charge(CHILD_MEMORY_BYTES)) events.add(timeNs, name);
  }

  #readLink(end: number): void {
    const reader = this.#reader;
    const { links } = this.#batch;
    const traceId = new Uint8Array(16);
    const spanId = new Uint8Array(8);
    let traceState = 0;
    while (reader.at < end) {
      const tag = reader.readTag();
      if (tag === LINK_TRACE_ID) this.#readId(traceId, 0, 16, end);
      else if (tag === LINK_SPAN_ID) this.#readId(spanId, 0, 8, end);
      else if (tag === LINK_TRACE_STATE) traceState = this.#readText(end);
      else if (tag === LINK_ATTRIBUTES) readAttribute(reader, end, this.#pair, links.attributes);
      else reader.skip(tag, end);
    }
    reader.close(end);
    if (isZero(traceId, 0, 16) || isZero(spanId, 0, 8)) dropOpenPairs(links.attributes);
    else if (reader.charge(CHILD_MEMORY_BYTES)) links.add(traceId, spanId, traceState);
  }

  /** Takes the open row back, with everything that was read into it. */
  #dropRow(row: number): void {
    const { attributes, events, links } = this.#batch;
    this.rejected++;
    this.#batch.length = row;
    const batch = this.#batch;
    for (const ids of [batch.traceId.subarray(row * 16), batch.spanId.subarray(row * 8), batch.parentSpanId.subarray(row * 8)])
      ids.fill(0, 0, 16);
    for (const column of [batch.traceFlags, batch.traceState, batch.name, batch.statusMessage, batch.kind, batch.statusCode])
      column[row] = 0;
    batch.startTime.setWords(row, 0, 0);
    batch.endTime.setWords(row, 0, 0);
    dropOpenPairs(attributes);
    truncate(events.attributes, [events.timeNs, events.name], events.offsets[row] as number);
    truncate(links.attributes, [links.traceId, links.spanId, links.traceState], links.offsets[row] as number);
  }
}

/** Forgets the pairs that were added since the last closed row. */
function dropOpenPairs(attributes: AttributeColumns): void {
  attributes.pairs = attributes.offsets[attributes.rows] as number;
}

function truncate(attributes: AttributeColumns, columns: readonly unknown[][], length: number): void {
  for (const column of columns) column.length = length;
  attributes.rows = length;
  dropOpenPairs(attributes);
}

/** Values that a later version of OTLP may add read as 0, unspecified. */
function atMost(value: number, limit: number): number {
  return value > limit ? 0 : value;
}
