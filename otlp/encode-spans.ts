/**
 * SpanBatch → the bytes of an ExportTraceServiceRequest, straight from the columns. One span, annotated:
 *
 *   12 62                               scope_spans.spans, 98 bytes
 *      0a 10 5b 8e …   12 08 ee e1 …    trace_id, span_id
 *      22 08 …                          parent_span_id; absent in a root span
 *      2a 0c 73 65 6e 64 …              name
 *      30 04                            kind PRODUCER
 *      39 …   41 …                      start and end, fixed64
 *      4a …                             attributes
 *      5a …   6a …                      events, links
 *      7a 02 18 02                      status { code ERROR }
 *      85 01 01 00 00 00                flags, fixed32 (field 16: a tag of two bytes)
 *
 * Deliberately not written: the dropped_…_count fields (we drop none) and the flags of links (not in the batch).
 */
import type { ByteWriter } from '../base/bytes.ts';
import type { Resource, Scope } from '../model/identity.ts';
import type { SpanBatch } from '../model/span-batch.ts';
import { writeAttributeRow } from './attributes.ts';
import { closeEnvelope, openEnvelope } from './envelope.ts';
import {
  closeMessage,
  isZero,
  openMessage,
  putBytes,
  putFixed32,
  putFixed64,
  writeBytesField,
  writeFixed64BigintField,
  writeText,
  writeVarintField,
} from './proto-writer.ts';
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
import { toUtf8Dictionary, type Dictionary } from './utf8.ts';

/** Ids, kind, times and flags with their tags. */
const FIXED_BYTES = 80;

/** Appends the batch to the request in `writer`. */
export function encodeSpans(resource: Resource, scope: Scope, batch: SpanBatch, writer: ByteWriter): void {
  const envelope = openEnvelope(writer, resource, scope, scope.attributes);
  const dictionary = toUtf8Dictionary(batch.strings);
  for (let row = 0; row < batch.length; row++) writeSpan(writer, batch, dictionary, row);
  closeEnvelope(writer, envelope);
}

function writeSpan(writer: ByteWriter, batch: SpanBatch, dictionary: Dictionary, row: number): void {
  const span = openMessage(writer, SCOPE_ITEM, 2);
  writer.length = putFixedPart(writer, batch, row);
  writeText(writer, SPAN_TRACE_STATE, dictionary, batch.traceState[row] as number);
  writeText(writer, SPAN_NAME, dictionary, batch.name[row] as number);
  writeAttributeRow(writer, batch.attributes, dictionary, row, SPAN_ATTRIBUTES);
  writeEvents(writer, batch, dictionary, row);
  writeLinks(writer, batch, dictionary, row);
  if (batch.statusCode[row] !== 0 || batch.statusMessage[row] !== 0) writeStatus(writer, batch, dictionary, row);
  closeMessage(writer, span, 2);
}

function putFixedPart(writer: ByteWriter, batch: SpanBatch, row: number): number {
  writer.reserve(FIXED_BYTES);
  const { bytes } = writer;
  let at = writer.length;
  bytes[at++] = SPAN_TRACE_ID;
  bytes[at++] = 16;
  at = putBytes(bytes, at, batch.traceId, row * 16, row * 16 + 16);
  bytes[at++] = SPAN_SPAN_ID;
  bytes[at++] = 8;
  at = putBytes(bytes, at, batch.spanId, row * 8, row * 8 + 8);
  if (!isZero(batch.parentSpanId, row * 8, 8)) {
    bytes[at++] = SPAN_PARENT_SPAN_ID;
    bytes[at++] = 8;
    at = putBytes(bytes, at, batch.parentSpanId, row * 8, row * 8 + 8);
  }
  const kind = batch.kind[row] as number;
  if (kind !== 0) {
    bytes[at++] = SPAN_KIND_TAG;
    bytes[at++] = kind & 0x7f;
  }
  const starts = batch.startTime.words;
  const ends = batch.endTime.words;
  bytes[at++] = SPAN_START_TIME;
  at = putFixed64(bytes, at, starts[row * 2] as number, starts[row * 2 + 1] as number);
  bytes[at++] = SPAN_END_TIME;
  at = putFixed64(bytes, at, ends[row * 2] as number, ends[row * 2 + 1] as number);
  const flags = batch.traceFlags[row] as number;
  if (flags === 0) return at;
  bytes[at++] = SPAN_FLAGS;
  bytes[at++] = 1;
  return putFixed32(bytes, at, flags);
}

function writeEvents(writer: ByteWriter, batch: SpanBatch, dictionary: Dictionary, row: number): void {
  const { events } = batch;
  for (let i = events.offsets[row] as number; i < (events.offsets[row + 1] as number); i++) {
    const event = openMessage(writer, SPAN_EVENTS);
    writeFixed64BigintField(writer, EVENT_TIME, events.timeNs[i] as bigint);
    writeText(writer, EVENT_NAME, dictionary, events.name[i] as number);
    writeAttributeRow(writer, events.attributes, dictionary, i, EVENT_ATTRIBUTES);
    closeMessage(writer, event);
  }
}

function writeLinks(writer: ByteWriter, batch: SpanBatch, dictionary: Dictionary, row: number): void {
  const { links } = batch;
  for (let i = links.offsets[row] as number; i < (links.offsets[row + 1] as number); i++) {
    const link = openMessage(writer, SPAN_LINKS);
    writeBytesField(writer, LINK_TRACE_ID, links.traceId[i] as Uint8Array, 0, 16);
    writeBytesField(writer, LINK_SPAN_ID, links.spanId[i] as Uint8Array, 0, 8);
    writeText(writer, LINK_TRACE_STATE, dictionary, links.traceState[i] as number);
    writeAttributeRow(writer, links.attributes, dictionary, i, LINK_ATTRIBUTES);
    closeMessage(writer, link);
  }
}

function writeStatus(writer: ByteWriter, batch: SpanBatch, dictionary: Dictionary, row: number): void {
  const status = openMessage(writer, SPAN_STATUS);
  writeText(writer, STATUS_MESSAGE, dictionary, batch.statusMessage[row] as number);
  if (batch.statusCode[row] !== 0) writeVarintField(writer, STATUS_CODE_TAG, batch.statusCode[row] as number);
  closeMessage(writer, status);
}
