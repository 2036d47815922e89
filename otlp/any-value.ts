/**
 * AnyValue, OTLP's variant type. Scalars keep their type in the attribute columns; arrays, key-value lists and bytes are held
 * as JSON text there (kind `json`) and become the same AnyValue again on the way out:
 *
 *   array   ["eth0", 1, 2.0]      an integer literal is an int, one with a point or an exponent a double
 *   kvlist  {"a": true}
 *   bytes   "3q2+7w=="            a JSON string at the top is base64
 *   empty   null
 *
 * Deliberately not kept: bytes inside a list come back as a string of base64, NaN and infinities there as strings.
 */
import { Buffer } from 'node:buffer';
import type { ByteWriter } from '../base/bytes.ts';
import { decodeUtf8 } from '../base/bytes.ts';
import type { ProtoReader } from './proto-reader.ts';
import {
  closeMessage,
  highWord,
  lowWord,
  openMessage,
  putVarintWords,
  writeBytesField,
  writeDoubleField,
  writeStringField,
  writeVarintField,
} from './proto-writer.ts';
import {
  ANY_ARRAY,
  ANY_BOOL,
  ANY_BYTES,
  ANY_DOUBLE,
  ANY_INT,
  ANY_KVLIST,
  ANY_STRING,
  KEY_VALUE_KEY,
  KEY_VALUE_VALUE,
  LIST_VALUES,
} from './tags.ts';

/** Values nested deeper than this are refused, and not written either: protobuf readers stop at 100 messages, a level is up to three. */
export const MAX_VALUE_DEPTH = 32;

/** One AnyValue as it was read; reused, so that scalars cost nothing. */
export class AnyValueSlot {
  /** The ANY_… tag of the value; 0 = empty. */
  tag = 0;
  /** Range of the payload where it has one. */
  start = 0;
  end = 0;
  /** Words of an int; `low` is 0 or 1 for a bool. */
  low = 0;
  high = 0;
  double = 0;
}

/** Reads the fields of an AnyValue up to `end`; the last one wins, as in every oneof. */
export function readAnyValue(reader: ProtoReader, end: number, slot: AnyValueSlot): void {
  slot.tag = 0;
  while (reader.at < end) {
    const tag = reader.readTag();
    switch (tag) {
      case ANY_STRING:
      case ANY_ARRAY:
      case ANY_KVLIST:
      case ANY_BYTES:
        slot.end = reader.readEnd(end);
        slot.start = reader.at;
        slot.tag = tag;
        reader.at = slot.end;
        break;
      case ANY_BOOL:
      case ANY_INT:
        reader.readVarint64();
        slot.low = tag === ANY_BOOL ? Number(reader.low !== 0 || reader.high !== 0) : reader.low;
        slot.high = reader.high;
        slot.tag = tag;
        break;
      case ANY_DOUBLE:
        slot.double = reader.readDouble();
        slot.tag = tag;
        break;
      default:
        reader.skip(tag, end);
    }
  }
  reader.close(end);
}

/** The value as plain text: a string as it is, everything else as in JSON. */
export function textOfValue(reader: ProtoReader, slot: AnyValueSlot): string {
  return slot.tag === ANY_STRING ? decodeUtf8(reader.bytes, slot.start, slot.end) : jsonOfValue(reader, slot, 0);
}

/** The value as JSON text. Leaves the cursor where it was; too deep a nesting fails the reader. */
export function jsonOfValue(reader: ProtoReader, slot: AnyValueSlot, depth: number): string {
  switch (slot.tag) {
    case ANY_STRING:
      return JSON.stringify(decodeUtf8(reader.bytes, slot.start, slot.end));
    case ANY_BOOL:
      return slot.low === 1 ? 'true' : 'false';
    case ANY_INT:
      return BigInt.asIntN(64, (BigInt(slot.high) << 32n) | BigInt(slot.low)).toString();
    case ANY_DOUBLE:
      return jsonOfDouble(slot.double);
    case ANY_BYTES: {
      const { buffer, byteOffset } = reader.bytes;
      return `"${Buffer.from(buffer, byteOffset + slot.start, slot.end - slot.start).toString('base64')}"`;
    }
    case ANY_ARRAY:
    case ANY_KVLIST:
      return jsonOfList(reader, slot.tag, slot.start, slot.end, depth + 1);
    default:
      return 'null';
  }
}

function jsonOfDouble(value: number): string {
  if (!Number.isFinite(value)) return `"${value}"`;
  const text = Object.is(value, -0) ? '-0' : String(value);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}

function jsonOfList(reader: ProtoReader, kind: number, start: number, end: number, depth: number): string {
  if (depth > MAX_VALUE_DEPTH) {
    reader.fail(`a value is nested deeper than ${MAX_VALUE_DEPTH} levels`);
    return '';
  }
  const back = reader.at;
  const slot = new AnyValueSlot();
  const parts: string[] = [];
  reader.at = start;
  while (reader.at < end) {
    const tag = reader.readTag();
    if (tag !== LIST_VALUES) {
      reader.skip(tag, end);
      continue;
    }
    const itemEnd = reader.readEnd(end);
    // A list's items are a few bytes each at least, in JSON and as the strings that hold it on the way.
    if (!reader.charge(32)) break;
    if (kind === ANY_ARRAY) {
      readAnyValue(reader, itemEnd, slot);
      parts.push(jsonOfValue(reader, slot, depth));
    } else parts.push(jsonOfPair(reader, itemEnd, slot, depth));
  }
  reader.close(end);
  if (reader.failure !== undefined) return '';
  reader.at = back;
  return kind === ANY_ARRAY ? `[${parts.join(',')}]` : `{${parts.join(',')}}`;
}

function jsonOfPair(reader: ProtoReader, end: number, slot: AnyValueSlot, depth: number): string {
  let key = '';
  let value = 'null';
  while (reader.at < end) {
    const tag = reader.readTag();
    if (tag === KEY_VALUE_KEY) {
      const keyEnd = reader.readEnd(end);
      key = decodeUtf8(reader.bytes, reader.at, keyEnd);
      reader.at = keyEnd;
    } else if (tag === KEY_VALUE_VALUE) {
      readAnyValue(reader, reader.readEnd(end), slot);
      value = jsonOfValue(reader, slot, depth);
    } else reader.skip(tag, end);
  }
  reader.close(end);
  return `${JSON.stringify(key)}:${value}`;
}

/** Writes the fields of the AnyValue that JSON text of an attribute stands for (see the top of this file). */
export function writeJsonValue(writer: ByteWriter, text: string): void {
  const value = parseJsonValue(text);
  if (value === undefined) writeString(writer, text);
  else if (typeof value === 'string') writeBytesValue(writer, Buffer.from(value, 'base64'));
  else writePlainValue(writer, value, 0);
}

function writeBytesValue(writer: ByteWriter, bytes: Uint8Array): void {
  writeBytesField(writer, ANY_BYTES, bytes, 0, bytes.length);
}

/** Unlike a field of a message, a value of a oneof is written even when it is empty. */
function writeString(writer: ByteWriter, text: string): void {
  writer.writeU8(ANY_STRING);
  writer.writeString(text);
}

type PlainValue = string | number | bigint | boolean | null | PlainValue[] | { [key: string]: PlainValue };

/** Integer literals become bigints, so that 64 bits survive and `2.0` stays a double; undefined when it is not JSON. */
function parseJsonValue(text: string): PlainValue | undefined {
  const keepIntegers = (_key: string, value: PlainValue, context?: { readonly source?: string }): PlainValue =>
    typeof value === 'number' && context?.source !== undefined && /^-?\d+$/.test(context.source) ? BigInt(context.source) : value;
  try {
    return JSON.parse(text, keepIntegers) as PlainValue;
  } catch {
    return undefined;
  }
}

function writePlainValue(writer: ByteWriter, value: PlainValue, depth: number): void {
  if (value === null || depth > MAX_VALUE_DEPTH) return;
  if (typeof value === 'string') writeString(writer, value);
  else if (typeof value === 'boolean') writeVarintField(writer, ANY_BOOL, value ? 1 : 0);
  else if (typeof value === 'bigint') writeIntValue(writer, value);
  else if (typeof value === 'number') writeDoubleField(writer, ANY_DOUBLE, value);
  else if (Array.isArray(value)) {
    const list = openMessage(writer, ANY_ARRAY);
    for (const item of value) writeListItem(writer, item, depth + 1);
    closeMessage(writer, list);
  } else {
    const list = openMessage(writer, ANY_KVLIST);
    for (const [key, item] of Object.entries(value)) {
      const pair = openMessage(writer, LIST_VALUES);
      writeStringField(writer, KEY_VALUE_KEY, key);
      const any = openMessage(writer, KEY_VALUE_VALUE);
      writePlainValue(writer, item, depth + 1);
      closeMessage(writer, any);
      closeMessage(writer, pair);
    }
    closeMessage(writer, list);
  }
}

function writeListItem(writer: ByteWriter, value: PlainValue, depth: number): void {
  const item = openMessage(writer, LIST_VALUES);
  writePlainValue(writer, value, depth);
  closeMessage(writer, item);
}

function writeIntValue(writer: ByteWriter, value: bigint): void {
  if (BigInt.asIntN(64, value) !== value) {
    writeDoubleField(writer, ANY_DOUBLE, Number(value));
    return;
  }
  writer.reserve(11);
  writer.bytes[writer.length] = ANY_INT;
  writer.length = putVarintWords(writer.bytes, writer.length + 1, lowWord(value), highWord(value));
}

/** A pair with a string value, for resource and scope attributes. */
export function writeTextPair(writer: ByteWriter, tag: number, key: string, value: string): void {
  const pair = openMessage(writer, tag);
  writeStringField(writer, KEY_VALUE_KEY, key);
  const any = openMessage(writer, KEY_VALUE_VALUE);
  writeString(writer, value);
  closeMessage(writer, any);
  closeMessage(writer, pair);
}

/** The same with an integer value in decimal; text that is no 64-bit integer stays text. */
export function writeIntegerPair(writer: ByteWriter, tag: number, key: string, value: string): void {
  if (!/^-?\d{1,18}$/.test(value)) {
    writeTextPair(writer, tag, key, value);
    return;
  }
  const pair = openMessage(writer, tag);
  writeStringField(writer, KEY_VALUE_KEY, key);
  const any = openMessage(writer, KEY_VALUE_VALUE);
  writeIntValue(writer, BigInt(value));
  closeMessage(writer, any);
  closeMessage(writer, pair);
}
