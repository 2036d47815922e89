/**
 * LogBatch → the bytes of an ExportLogsServiceRequest, straight from the columns. One record, annotated:
 *
 *   12 8a 01                            scope_logs.log_records, 138 bytes
 *      09 ce 7b …                       time_unix_nano, fixed64
 *      59 10 5f …                       observed_time_unix_nano, fixed64
 *      10 0d                            severity_number 13 (WARN)
 *      1a 04 57 41 52 4e                severity_text
 *      2a 24 0a 22 70 63 69 …           body { string_value }: copied from the batch's text arena
 *      32 0c 0a 06 6d 6b 2e 73 65 71 12 02 18 07     attribute mk.seq = 7: a column (log-columns.ts)
 *      32 …                             the row's own attributes, copied from the dictionary's arena
 *      4a 10 … 52 08 …                  trace and span id, where the batch has them
 *      62 06 6d 6b 2e 67 61 70          event_name
 *
 * Calls append: several batches after one another in one writer are one request, since protobuf concatenates repeated fields.
 * Deliberately not written: dropped_attributes_count (we drop none).
 */
import { isUtf8 } from 'node:buffer';
import { encodeUtf8, type ByteWriter } from '../base/bytes.ts';
import {
  highWordOf,
  isZero,
  writeText,
  closeMessage,
  openMessage,
  putBytes,
  putFixed32,
  putFixed64,
  putVarint,
  varintSize,
  writeBytesField,
} from './proto-writer.ts';
import { ATTR } from '../model/attributes.ts';
import type { Attributes, Resource, Scope } from '../model/identity.ts';
import type { LogBatch } from '../model/log-batch.ts';
import type { HubLink } from '../model/segment.ts';
import { toSeverityNumber, toSeverityText } from '../model/severity.ts';
import { writeAttributeRow } from './attributes.ts';
import { closeEnvelope, openEnvelope } from './envelope.ts';
import { COLUMN_FIELD_BYTES, LOG_COLUMN, putColumn, putDecimal } from './log-columns.ts';
import {
  ANY_STRING,
  KEY_VALUE_KEY,
  KEY_VALUE_VALUE,
  LOG_ATTRIBUTES,
  LOG_BODY,
  LOG_EVENT_NAME,
  LOG_FLAGS,
  LOG_OBSERVED_TIME,
  LOG_SEVERITY_NUMBER,
  LOG_SEVERITY_TEXT,
  LOG_SPAN_ID,
  LOG_TIME,
  LOG_TRACE_ID,
  SCOPE_ITEM,
} from './tags.ts';
import { isCutBetween, repairUtf8, toUtf8Dictionary, type Dictionary } from './utf8.ts';

export interface LogEncoding {
  /** Travels once, as scope attribute `mk.stream`. */
  readonly stream?: string;
  /** Half-width, in ns, of the interval around each aligned time: scope attribute `mk.clock.error_ns`. */
  readonly clockErrorNs?: number;
  /** How the times lie to the hub's clock: scope attribute `mk.clock.hub`. */
  readonly hub?: HubLink;
  /** When set, each record gets `log.record.uid` = this and its sequence number, so that any backend can drop duplicates. */
  readonly uidPrefix?: string;
}

/** Two times, severity number and text. */
const HEAD_BYTES = 48;
const COLUMNS_BYTES = 6 * COLUMN_FIELD_BYTES;

/** `severity_number`, `severity_text` for levels 0 … 7. */
const LEVEL_FIELDS: readonly Uint8Array[] = Array.from({ length: 8 }, (_, level) => {
  const text = encodeUtf8(toSeverityText(level));
  return Uint8Array.of(LOG_SEVERITY_NUMBER, toSeverityNumber(level), LOG_SEVERITY_TEXT, text.length, ...text);
});

/** Appends the batch to the request in `writer`. */
export function encodeLogs(resource: Resource, scope: Scope, batch: LogBatch, writer: ByteWriter, encoding: LogEncoding = {}): void {
  const envelope = openEnvelope(writer, resource, scope, scopeAttributesOf(scope, batch, encoding));
  const parts: RecordParts = {
    batch,
    dictionary: toUtf8Dictionary(batch.strings),
    textIsUtf8: isUtf8(batch.text.subarray(0, batch.textLength)),
    uidPrefix: encoding.uidPrefix === undefined ? undefined : encodeUtf8(encoding.uidPrefix),
  };
  for (let row = 0; row < batch.length; row++) writeRecord(writer, parts, row);
  closeEnvelope(writer, envelope);
}

/** A batch with what the writing of its records needs. */
interface RecordParts {
  readonly batch: LogBatch;
  readonly dictionary: Dictionary;
  /** The text arena as a whole. */
  readonly textIsUtf8: boolean;
  readonly uidPrefix: Uint8Array | undefined;
}

function scopeAttributesOf(scope: Scope, batch: LogBatch, encoding: LogEncoding): Attributes {
  const attributes: Record<string, string> = { ...scope.attributes };
  if (encoding.stream !== undefined) attributes[ATTR.stream] = encoding.stream;
  if (hasRawTime(batch)) attributes[ATTR.clock] = batch.clock;
  if (encoding.clockErrorNs !== undefined) attributes[ATTR.clockError] = String(Math.round(encoding.clockErrorNs));
  if (encoding.hub !== undefined) attributes[ATTR.clockHub] = JSON.stringify(encoding.hub);
  return attributes;
}

function hasRawTime(batch: LogBatch): boolean {
  const { words } = batch.rawTime;
  for (let i = 0; i < batch.length * 2; i++) if (words[i] !== 0xffff_ffff) return true;
  return false;
}

function writeRecord(writer: ByteWriter, parts: RecordParts, row: number): void {
  const { batch, dictionary, uidPrefix } = parts;
  // Most records take 128 bytes or more, so two bytes of length.
  const record = openMessage(writer, SCOPE_ITEM, 2);
  writer.length = putHead(writer, batch, row);
  writeBody(writer, parts, row);
  writer.reserve(COLUMNS_BYTES);
  writer.length = putColumns(writer.bytes, writer.length, batch, row);
  writeText(writer, LOG_SEVERITY_TEXT, dictionary, batch.severityText[row] as number);
  if (uidPrefix !== undefined) writeUid(writer, uidPrefix, batch.sequence[row] as number);
  writeAttributeRow(writer, batch.attributes, dictionary, row, LOG_ATTRIBUTES);
  if (batch.traceId !== undefined) writeIds(writer, batch, row);
  writeText(writer, LOG_EVENT_NAME, dictionary, batch.eventName[row] as number);
  closeMessage(writer, record, 2);
}

/** Times and severity. */
function putHead(writer: ByteWriter, batch: LogBatch, row: number): number {
  writer.reserve(HEAD_BYTES);
  const { bytes } = writer;
  const times = batch.unixTime.words;
  const observed = batch.observedTime.words;
  let at = putTime(bytes, writer.length, LOG_TIME, times[row * 2] as number, times[row * 2 + 1] as number);
  at = putTime(bytes, at, LOG_OBSERVED_TIME, observed[row * 2] as number, observed[row * 2 + 1] as number);
  return putSeverity(bytes, at, batch, row);
}

function putTime(bytes: Uint8Array, at: number, tag: number, low: number, high: number): number {
  if (low === 0 && high === 0) return at;
  bytes[at] = tag;
  return putFixed64(bytes, at + 1, low, high);
}

/** A received number or text wins over the level. */
function putSeverity(bytes: Uint8Array, at: number, batch: LogBatch, row: number): number {
  const received = batch.severityNumber[row] as number;
  const fields = LEVEL_FIELDS[batch.level[row] as number];
  if (received === 0 && batch.severityText[row] === 0) return fields === undefined ? at : putBytes(bytes, at, fields, 0, fields.length);
  const number = received === 0 ? toSeverityNumber(batch.level[row] as number) : received;
  if (number === 0) return at;
  bytes[at] = LOG_SEVERITY_NUMBER;
  return putVarint(bytes, at + 1, number);
}

function writeBody(writer: ByteWriter, { batch, textIsUtf8 }: RecordParts, row: number): void {
  const { text } = batch;
  const start = batch.textStart[row] as number;
  const end = batch.textEnd[row] as number;
  if (textIsUtf8 ? isCutBetween(text, start, end) : isUtf8(text.subarray(start, end))) writeBodyText(writer, text, start, end);
  else {
    const repaired = repairUtf8(text.subarray(start, end));
    writeBodyText(writer, repaired, 0, repaired.length);
  }
}

function writeBodyText(writer: ByteWriter, text: Uint8Array, start: number, end: number): void {
  const size = end - start;
  writer.reserve(size + 12);
  const { bytes } = writer;
  bytes[writer.length] = LOG_BODY;
  const valueAt = putVarint(bytes, writer.length + 1, 1 + varintSize(size) + size);
  bytes[valueAt] = ANY_STRING;
  writer.length = putBytes(bytes, putVarint(bytes, valueAt + 1, size), text, start, end);
}

/** Columns at their neutral value (sequence 0, no stamp, facility kern, no flags, no CPU, no thread) are not written. */
function putColumns(bytes: Uint8Array, start: number, batch: LogBatch, row: number): number {
  let at = start;
  const sequence = batch.sequence[row] as number;
  if (sequence !== 0) at = putColumn(bytes, at, LOG_COLUMN.sequence, sequence >>> 0, highWordOf(sequence));
  const low = batch.rawTime.words[row * 2] as number;
  const high = batch.rawTime.words[row * 2 + 1] as number;
  if (low !== 0xffff_ffff || high !== 0xffff_ffff) at = putColumn(bytes, at, LOG_COLUMN.rawTime, low, high);
  const facility = batch.facility[row] as number;
  if (facility !== 0) at = putColumn(bytes, at, LOG_COLUMN.facility, facility, 0);
  const flags = batch.flags[row] as number;
  if (flags !== 0) at = putColumn(bytes, at, LOG_COLUMN.flags, flags, 0);
  const cpu = batch.cpu[row] as number;
  if (cpu >= 0) at = putColumn(bytes, at, LOG_COLUMN.cpu, cpu, 0);
  const threadId = batch.pid[row] as number;
  if (threadId >= 0) at = putColumn(bytes, at, LOG_COLUMN.threadId, threadId, 0);
  return at;
}

function writeUid(writer: ByteWriter, prefix: Uint8Array, sequence: number): void {
  const pair = openMessage(writer, LOG_ATTRIBUTES);
  writer.writeU8(KEY_VALUE_KEY);
  writer.writeString(ATTR.logUid);
  const any = openMessage(writer, KEY_VALUE_VALUE);
  const text = openMessage(writer, ANY_STRING);
  writer.writeBytes(prefix);
  writer.reserve(20);
  writer.length = putDecimal(writer.bytes, writer.length, sequence);
  closeMessage(writer, text);
  closeMessage(writer, any);
  closeMessage(writer, pair);
}

function writeIds(writer: ByteWriter, batch: LogBatch, row: number): void {
  const { traceId, spanId, traceFlags } = batch;
  if (traceId !== undefined && !isZero(traceId, row * 16, 16)) writeBytesField(writer, LOG_TRACE_ID, traceId, row * 16, row * 16 + 16);
  if (spanId !== undefined && !isZero(spanId, row * 8, 8)) writeBytesField(writer, LOG_SPAN_ID, spanId, row * 8, row * 8 + 8);
  const flags = traceFlags?.[row] ?? 0;
  if (flags === 0) return;
  writer.reserve(5);
  writer.bytes[writer.length] = LOG_FLAGS;
  writer.length = putFixed32(writer.bytes, writer.length + 1, flags);
}
