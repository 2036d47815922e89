/**
 * OTLP/JSON ↔ OTLP protobuf, driven by the schema table, so that there is one encoder and one decoder of records and JSON is
 * a spelling of the same bytes:
 *
 *   {"resourceLogs":[{"scopeLogs":[{"logRecords":[
 *     {"timeUnixNano":"1544712660300000000","severityNumber":13,"traceId":"5B8EFFF798038103D269B633813FC60C",
 *      |               |                                     |             +-- hex in either case, not base64
 *      |               |                                     +-- enums are integers
 *      |               +-- 64-bit integers: strings out, strings or numbers in
 *      +-- lowerCamelCase only; unknown names are ignored
 *      "body":{"stringValue":"…"}, "attributes":[{"key":"…","value":{"intValue":"7"}}]}
 *
 * JSON is the slow path (an object per record); bulk data travels as protobuf.
 */
import { Buffer } from 'node:buffer';
import { ByteWriter, decodeUtf8, toHex } from '../base/bytes.ts';
import { messageOf } from '../base/errors.ts';
import { MAX_VALUE_DEPTH } from './any-value.ts';
import { ProtoReader, type DecodeFailure } from './proto-reader.ts';
import { closeMessage, highWord, lowWord, putFixed32, putFixed64, putDouble, putVarint, putVarintWords, toZigZag } from './proto-writer.ts';
import type { Field, Message, ScalarType } from './schema.ts';
import { WIRE_FIXED32, WIRE_FIXED64, WIRE_LENGTH, WIRE_VARINT } from './tags.ts';

/** Each level of an AnyValue takes three messages (value, list, pair), and six more stand around it. */
const MAX_MESSAGE_DEPTH = MAX_VALUE_DEPTH * 3 + 8;

const WIRE_TYPES: Readonly<Record<ScalarType, number>> = {
  string: WIRE_LENGTH,
  id: WIRE_LENGTH,
  bytes: WIRE_LENGTH,
  bool: WIRE_VARINT,
  enum: WIRE_VARINT,
  int32: WIRE_VARINT,
  uint32: WIRE_VARINT,
  sint32: WIRE_VARINT,
  int64: WIRE_VARINT,
  uint64: WIRE_VARINT,
  double: WIRE_FIXED64,
  fixed64: WIRE_FIXED64,
  sfixed64: WIRE_FIXED64,
  fixed32: WIRE_FIXED32,
};

type JsonObject = { readonly [key: string]: unknown };

/** JSON text → protobuf bytes, or what is wrong with it. */
export function toProtobuf(message: Message, text: string): Uint8Array<ArrayBuffer> | DecodeFailure {
  const value = parseJson(text);
  if (!isObject(value)) return failure(typeof value === 'string' ? value : 'a JSON object is expected');
  const writer = new ByteWriter(1024 + (text.length >> 1));
  const problem = writeFields(writer, message, value, 0);
  return problem === undefined ? writer.view() : failure(problem);
}

function failure(message: string): DecodeFailure {
  return { message, offset: 0, tooLarge: false };
}

/** An integer beyond 2^53 that stands as a JSON number would be rounded: only such texts pay for a reviver. */
const LONG_INTEGER = /[:[,]\s*-?\d{16,}/;

/** The parsed object, or a string that says why it is none. */
function parseJson(text: string): unknown {
  const keepDigits = (_key: string, value: unknown, context?: { readonly source?: string }): unknown =>
    typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? '') ? context?.source : value;
  try {
    const value: unknown = LONG_INTEGER.test(text) ? JSON.parse(text, keepDigits) : JSON.parse(text);
    return isObject(value) ? value : 'the body is JSON but not an object';
  } catch (error) {
    return `the body is not JSON: ${messageOf(error)}`;
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Writes an object's fields; returns what is wrong with the first bad one, with its path. */
function writeFields(writer: ByteWriter, message: Message, object: JsonObject, depth: number): string | undefined {
  if (depth > MAX_MESSAGE_DEPTH) return `: values are nested deeper than ${MAX_VALUE_DEPTH} levels`;
  for (const name of Object.keys(object)) {
    const field = message.byName.get(name);
    const value = object[name];
    // null stands for an absent field in protobuf's JSON.
    if (field === undefined || value === null || value === undefined) continue;
    const problem = field.repeated ? writeList(writer, field, value, depth) : writeField(writer, field, value, depth);
    if (problem !== undefined) return atPath(name, problem);
  }
  return undefined;
}

/** Problems read `path: what is wrong`; the path grows on the way up. */
function atPath(step: string, problem: string): string {
  return problem.startsWith(':') || problem.startsWith('[') ? step + problem : `${step}.${problem}`;
}

function writeList(writer: ByteWriter, field: Field, value: unknown, depth: number): string | undefined {
  if (!Array.isArray(value)) return ': a list is expected';
  for (const [index, item] of value.entries()) {
    const problem = writeField(writer, field, item, depth);
    if (problem !== undefined) return atPath(`[${index}]`, problem);
  }
  return undefined;
}

function writeField(writer: ByteWriter, field: Field, value: unknown, depth: number): string | undefined {
  const { number, type } = field;
  writer.reserve(16);
  if (typeof type !== 'string') {
    if (!isObject(value)) return ': an object is expected';
    writer.writeVarint((number << 3) | WIRE_LENGTH);
    writer.length++;
    const contentAt = writer.length;
    const problem = writeFields(writer, type, value, depth + 1);
    closeMessage(writer, contentAt);
    return problem;
  }
  writer.writeVarint((number << 3) | WIRE_TYPES[type]);
  writer.reserve(16);
  return writeScalar(writer, type, value);
}

function writeScalar(writer: ByteWriter, type: ScalarType, value: unknown): string | undefined {
  switch (type) {
    case 'string':
      if (typeof value !== 'string') return ': a string is expected';
      writer.writeString(value);
      return undefined;
    case 'bool':
      if (typeof value !== 'boolean') return ': a boolean is expected';
      writer.writeU8(value ? 1 : 0);
      return undefined;
    case 'id':
      return writeHex(writer, value);
    case 'bytes':
      if (typeof value !== 'string') return ': base64 text is expected';
      writeBlock(writer, Buffer.from(value, 'base64'));
      return undefined;
    case 'double':
      return writeDouble(writer, value);
    default:
      return writeInteger(writer, type, value);
  }
}

function writeBlock(writer: ByteWriter, bytes: Uint8Array): void {
  writer.writeVarint(bytes.length);
  writer.writeBytes(bytes);
}

function writeHex(writer: ByteWriter, value: unknown): string | undefined {
  if (typeof value !== 'string' || value.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(value)) return ': hexadecimal text is expected';
  writeBlock(writer, Buffer.from(value, 'hex'));
  return undefined;
}

function writeDouble(writer: ByteWriter, value: unknown): string | undefined {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number !== 'number' || (Number.isNaN(number) && value !== 'NaN')) return ': a number is expected';
  writer.length = putDouble(writer.bytes, writer.length, number);
  return undefined;
}

function writeInteger(writer: ByteWriter, type: ScalarType, value: unknown): string | undefined {
  const integer = toInteger(value);
  if (integer === undefined) return ': an integer is expected, as a number or a string';
  const { bytes, length } = writer;
  const wide = type === 'int64' || type === 'uint64' || type === 'fixed64' || type === 'sfixed64';
  const signed = type === 'int64' || type === 'sfixed64' || type === 'int32' || type === 'sint32' || type === 'enum';
  const bits = wide ? 64 : 32;
  if ((signed ? BigInt.asIntN(bits, integer) : BigInt.asUintN(bits, integer)) !== integer) return `: the integer does not fit ${type}`;
  const low = lowWord(integer);
  const high = highWord(integer);
  if (type === 'fixed64' || type === 'sfixed64') writer.length = putFixed64(bytes, length, low, high);
  else if (type === 'fixed32') writer.length = putFixed32(bytes, length, low);
  else if (type === 'sint32') writer.length = putVarint(bytes, length, toZigZag(low | 0));
  else writer.length = putVarintWords(bytes, length, low, high);
  return undefined;
}

function toInteger(value: unknown): bigint | undefined {
  if (typeof value === 'number' && Number.isInteger(value)) return BigInt(value);
  return typeof value === 'string' && /^-?\d{1,20}$/.test(value) ? BigInt(value) : undefined;
}

/** Protobuf bytes (of our own encoder, or of a peer's answer) → an object of OTLP/JSON; undefined when they are malformed. */
export function toJsonObject(message: Message, bytes: Uint8Array): Record<string, unknown> | undefined {
  const reader = new ProtoReader(bytes, Infinity);
  const object = readFields(reader, message, bytes.length, 0);
  return reader.failure === undefined ? object : undefined;
}

function readFields(reader: ProtoReader, message: Message, end: number, depth: number): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  if (depth > MAX_MESSAGE_DEPTH) reader.fail('messages are nested too deep');
  while (reader.at < end) {
    const tag = reader.readTag();
    const field = message.byNumber.get(tag >>> 3);
    if (field === undefined) reader.skip(tag, end);
    else if (field.repeated) readItems(reader, field, tag, end, depth, (object[field.name] ??= []) as unknown[]);
    else object[field.name] = readOne(reader, field, end, depth);
  }
  reader.close(end);
  return object;
}

function readItems(reader: ProtoReader, field: Field, tag: number, limit: number, depth: number, items: unknown[]): void {
  const packed = typeof field.type === 'string' && WIRE_TYPES[field.type] !== WIRE_LENGTH && (tag & 7) === WIRE_LENGTH;
  if (!packed) {
    items.push(readOne(reader, field, limit, depth));
    return;
  }
  const end = reader.readEnd(limit);
  while (reader.at < end) items.push(readOne(reader, field, end, depth));
  reader.close(end);
}

function readOne(reader: ProtoReader, { type }: Field, limit: number, depth: number): unknown {
  if (typeof type !== 'string') return readFields(reader, type, reader.readEnd(limit), depth + 1);
  switch (WIRE_TYPES[type]) {
    case WIRE_LENGTH:
      return readBlock(reader, type, reader.readEnd(limit));
    case WIRE_FIXED32:
      return reader.readFixed32();
    case WIRE_FIXED64:
      if (type === 'double') return jsonDouble(reader.readDouble());
      reader.readFixed64();
      break;
    default:
      reader.readVarint64();
  }
  return jsonInteger(reader, type);
}

function readBlock(reader: ProtoReader, type: ScalarType, end: number): string {
  const start = reader.at;
  reader.at = end;
  if (type === 'string') return decodeUtf8(reader.bytes, start, end);
  if (type === 'id') return toHex(reader.bytes, start, end);
  return Buffer.from(reader.bytes.subarray(start, end)).toString('base64');
}

function jsonDouble(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}

/** From the words of the last read. */
function jsonInteger(reader: ProtoReader, type: ScalarType): unknown {
  switch (type) {
    case 'bool':
      return reader.low !== 0 || reader.high !== 0;
    case 'sint32':
      return (reader.low >>> 1) ^ -(reader.low & 1);
    case 'int32':
    case 'enum':
      return reader.low | 0;
    case 'uint32':
      return reader.low;
    case 'int64':
    case 'sfixed64':
      return BigInt.asIntN(64, reader.unsigned()).toString();
    default:
      return reader.unsigned().toString();
  }
}
