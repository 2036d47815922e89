/**
 * The bytes of an ExportLogsServiceRequest → one LogBatch per resource and scope (the picture is in encode-logs.ts).
 * Bodies are not copied: the batch's text arena is the part of the request that holds the scope, so the request's bytes must
 * not be reused while the batch lives. Attributes that are columns (log-columns.ts) go to their column only.
 *
 * Deliberately not kept: dropped_attributes_count; ids of a wrong length (the record counts, the id does not).
 */
import { encodeUtf8 } from '../base/bytes.ts';
import { ATTR } from '../model/attributes.ts';
import { LogBatch } from '../model/log-batch.ts';
import { toLevel, toSeverityNumber, toSeverityText } from '../model/severity.ts';
import { isClockDomain } from '../model/time.ts';
import { AnyValueSlot, jsonOfValue, readAnyValue } from './any-value.ts';
import { addPair, PairSlot, readPair } from './attributes.ts';
import { DECODE_MEMORY_BYTES, walkRequest, type Decoded, type SignalPart } from './envelope.ts';
import { LOG_COLUMN, matchColumn, setColumn } from './log-columns.ts';
import { ProtoReader } from './proto-reader.ts';
import {
  ANY_STRING,
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

export interface DecodedLogs extends SignalPart<LogBatch> {
  /** The scope's `mk.stream`; empty when the sender names none. */
  readonly stream: string;
}

/** Memory of a row's columns, and of the pair offsets. */
const ROW_MEMORY_BYTES = 72;

export function decodeLogs(bytes: Uint8Array, memoryLimitBytes = DECODE_MEMORY_BYTES): Decoded<DecodedLogs> {
  const reader = new ProtoReader(bytes, memoryLimitBytes);
  const parts: DecodedLogs[] = [];
  walkRequest(reader, (resource, scope, end, items) => {
    if (!reader.charge(items * ROW_MEMORY_BYTES)) return;
    const batch = new LogBatch(items);
    const clock = scope.attributes[ATTR.clock];
    if (clock !== undefined && isClockDomain(clock)) batch.clock = clock;
    new LogReader(reader, batch).readScope(end);
    parts.push({ resource, scope, batch, stream: scope.attributes[ATTR.stream] ?? '' });
  });
  if (reader.failure !== undefined) return { ok: false, failure: reader.failure };
  return { ok: true, parts, rejected: 0, rejectedReason: '' };
}

class LogReader {
  readonly #reader: ProtoReader;
  readonly #batch: LogBatch;
  readonly #pair = new PairSlot();
  readonly #body = new AnyValueSlot();
  /** Offset in the request of the batch's text arena. */
  #textBase = 0;
  /** Of the record being read. */
  #severityNumber = 0;

  constructor(reader: ProtoReader, batch: LogBatch) {
    this.#reader = reader;
    this.#batch = batch;
  }

  /** Reads all records of the scope message that ends at `end`. */
  readScope(end: number): void {
    const reader = this.#reader;
    this.#textBase = reader.at;
    this.#batch.text = reader.bytes.subarray(reader.at, end) as Uint8Array<ArrayBuffer>;
    this.#batch.textLength = end - reader.at;
    while (reader.at < end) {
      const tag = reader.readTag();
      if (tag === SCOPE_ITEM) this.#readRecord(reader.readEnd(end));
      else reader.skip(tag, end);
    }
  }

  #readRecord(end: number): void {
    const reader = this.#reader;
    const batch = this.#batch;
    const row = batch.openRow();
    let severityTextStart = 0;
    let severityTextEnd = 0;
    this.#severityNumber = 0;
    while (reader.at < end) {
      const tag = reader.readTag();
      switch (tag) {
        case LOG_TIME:
          reader.readFixed64();
          batch.unixTime.setWords(row, reader.low, reader.high);
          break;
        case LOG_OBSERVED_TIME:
          reader.readFixed64();
          batch.observedTime.setWords(row, reader.low, reader.high);
          break;
        case LOG_SEVERITY_NUMBER:
          this.#severityNumber = reader.readVarint();
          break;
        case LOG_SEVERITY_TEXT:
          severityTextEnd = reader.readEnd(end);
          severityTextStart = reader.at;
          reader.at = severityTextEnd;
          break;
        case LOG_BODY:
          this.#readBody(row, reader.readEnd(end));
          break;
        case LOG_ATTRIBUTES:
          this.#readAttribute(row, end);
          break;
        case LOG_EVENT_NAME: {
          const nameEnd = reader.readEnd(end);
          batch.eventName[row] = batch.strings.intern(reader.bytes, reader.at, nameEnd);
          reader.at = nameEnd;
          break;
        }
        default:
          this.#readRare(tag, row, end);
      }
    }
    reader.close(end);
    this.#setSeverity(row, severityTextStart, severityTextEnd);
    batch.closeRow();
  }

  #readBody(row: number, end: number): void {
    const reader = this.#reader;
    const batch = this.#batch;
    const body = this.#body;
    readAnyValue(reader, end, body);
    if (body.tag === ANY_STRING) {
      batch.textStart[row] = body.start - this.#textBase;
      batch.textEnd[row] = body.end - this.#textBase;
    } else if (body.tag !== 0) this.#addJsonBody(row);
  }

  /** A structured body becomes JSON text, behind the request's own bytes. */
  #addJsonBody(row: number): void {
    const batch = this.#batch;
    const text = encodeUtf8(jsonOfValue(this.#reader, this.#body, 0));
    // The first one moves the arena into memory of its own, which may double.
    const needed = batch.textLength + text.length;
    if (needed > batch.text.length && !this.#reader.charge(needed * 2)) return;
    batch.textStart[row] = batch.appendText(text);
    batch.textEnd[row] = batch.textLength;
  }

  #readAttribute(row: number, limit: number): void {
    const reader = this.#reader;
    const pair = this.#pair;
    readPair(reader, reader.readEnd(limit), pair);
    const column = matchColumn(reader.bytes, pair.keyStart, pair.keyEnd);
    if (column !== LOG_COLUMN.none && setColumn(this.#batch, row, column, pair.value, reader.bytes)) return;
    addPair(reader, pair, this.#batch.attributes);
  }

  #readRare(tag: number, row: number, limit: number): void {
    const reader = this.#reader;
    switch (tag) {
      case LOG_TRACE_ID:
        this.#readId(row, limit, 16);
        return;
      case LOG_SPAN_ID:
        this.#readId(row, limit, 8);
        return;
      case LOG_FLAGS: {
        const flags = reader.readFixed32() & 0xff;
        if (flags === 0) return;
        this.#batch.ensureTraceIds();
        if (this.#batch.traceFlags !== undefined) this.#batch.traceFlags[row] = flags;
        return;
      }
      default:
        reader.skip(tag, limit);
    }
  }

  #readId(row: number, limit: number, size: number): void {
    const reader = this.#reader;
    const end = reader.readEnd(limit);
    if (end - reader.at === size) {
      this.#batch.ensureTraceIds();
      const column = size === 16 ? this.#batch.traceId : this.#batch.spanId;
      column?.set(reader.bytes.subarray(reader.at, end), row * size);
    }
    reader.at = end;
  }

  /** Number and text are kept only where the level does not say the same. */
  #setSeverity(row: number, textStart: number, textEnd: number): void {
    const batch = this.#batch;
    const number = this.#severityNumber > 24 ? 0 : this.#severityNumber;
    const level = toLevel(number);
    batch.level[row] = level;
    if (toSeverityNumber(level) !== number) batch.severityNumber[row] = number;
    else if (isAscii(this.#reader.bytes, textStart, textEnd, toSeverityText(level))) return;
    batch.severityText[row] = batch.strings.intern(this.#reader.bytes, textStart, textEnd);
  }
}

function isAscii(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text.charCodeAt(i)) return false;
  return true;
}
