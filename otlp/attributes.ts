/** Attribute lists (`repeated KeyValue`) ↔ the flat attribute columns of a batch. */
import type { ByteWriter } from '../base/bytes.ts';
import { VALUE_KIND, type AttributeColumns } from '../model/attribute-columns.ts';
import { AnyValueSlot, jsonOfValue, readAnyValue, writeJsonValue } from './any-value.ts';
import type { ProtoReader } from './proto-reader.ts';
import { closeMessage, openMessage, putBytes, putDouble, putVarint, putVarintWords, varintSize } from './proto-writer.ts';
import { ANY_BOOL, ANY_DOUBLE, ANY_INT, ANY_STRING, KEY_VALUE_KEY, KEY_VALUE_VALUE } from './tags.ts';
import type { Dictionary } from './utf8.ts';

/** Memory that a pair takes in the columns, and what it may add to the dictionary's index. */
const PAIR_MEMORY_BYTES = 48;

/** Writes the pairs of one row, each as a field with `tag`. `dictionary` is the columns' own as UTF-8. */
export function writeAttributeRow(writer: ByteWriter, columns: AttributeColumns, dictionary: Dictionary, row: number, tag: number): void {
  const end = columns.offsets[row + 1] as number;
  for (let pair = columns.offsets[row] as number; pair < end; pair++) {
    switch (columns.kinds[pair]) {
      case VALUE_KIND.string:
        writeStringPair(writer, columns, dictionary, pair, tag);
        break;
      case VALUE_KIND.json:
        writeJsonPair(writer, columns, pair, tag);
        break;
      default:
        writeScalarPair(writer, columns, dictionary, pair, tag);
    }
  }
}

/** All sizes are known from the dictionary's bounds, so nothing shifts. */
function writeStringPair(
  writer: ByteWriter,
  columns: AttributeColumns,
  { arena, starts, ends }: Dictionary,
  pair: number,
  tag: number,
): void {
  const key = columns.keys[pair] as number;
  const id = columns.ids[pair] as number;
  const keyStart = starts[key] as number;
  const keyEnd = ends[key] as number;
  const start = starts[id] as number;
  const end = ends[id] as number;
  const size = end - start;
  const anySize = 1 + varintSize(size) + size;
  const keySize = keyEnd - keyStart;
  const pairSize = 2 + varintSize(keySize) + keySize + varintSize(anySize) + anySize;
  writer.reserve(pairSize + 6);
  const { bytes } = writer;
  let at = writer.length;
  bytes[at++] = tag;
  at = putVarint(bytes, at, pairSize);
  bytes[at++] = KEY_VALUE_KEY;
  at = putVarint(bytes, at, keySize);
  at = putBytes(bytes, at, arena, keyStart, keyEnd);
  bytes[at++] = KEY_VALUE_VALUE;
  at = putVarint(bytes, at, anySize);
  bytes[at++] = ANY_STRING;
  at = putVarint(bytes, at, size);
  writer.length = putBytes(bytes, at, arena, start, end);
}

function writeScalarPair(
  writer: ByteWriter,
  columns: AttributeColumns,
  { arena, starts, ends }: Dictionary,
  pair: number,
  tag: number,
): void {
  const key = columns.keys[pair] as number;
  const keyStart = starts[key] as number;
  const keyEnd = ends[key] as number;
  const opened = openMessage(writer, tag);
  writer.reserve(keyEnd - keyStart + 24);
  const { bytes } = writer;
  let at = writer.length;
  bytes[at++] = KEY_VALUE_KEY;
  at = putVarint(bytes, at, keyEnd - keyStart);
  at = putBytes(bytes, at, arena, keyStart, keyEnd);
  bytes[at++] = KEY_VALUE_VALUE;
  const sizeAt = at++;
  at = putScalar(bytes, at, columns, pair);
  bytes[sizeAt] = at - sizeAt - 1;
  writer.length = at;
  closeMessage(writer, opened);
}

function putScalar(bytes: Uint8Array, at: number, columns: AttributeColumns, pair: number): number {
  switch (columns.kinds[pair]) {
    case VALUE_KIND.bool:
      bytes[at] = ANY_BOOL;
      bytes[at + 1] = columns.ids[pair] as number;
      return at + 2;
    case VALUE_KIND.int:
      bytes[at] = ANY_INT;
      return putVarintWords(bytes, at + 1, columns.ints.words[pair * 2] as number, columns.ints.words[pair * 2 + 1] as number);
    default:
      bytes[at] = ANY_DOUBLE;
      return putDouble(bytes, at + 1, columns.doubles[pair] as number);
  }
}

function writeJsonPair(writer: ByteWriter, columns: AttributeColumns, pair: number, tag: number): void {
  const { strings } = columns;
  const opened = openMessage(writer, tag);
  writer.writeU8(KEY_VALUE_KEY);
  writer.writeString(strings.get(columns.keys[pair] as number));
  const any = openMessage(writer, KEY_VALUE_VALUE);
  writeJsonValue(writer, strings.get(columns.ids[pair] as number));
  closeMessage(writer, any);
  closeMessage(writer, opened);
}

/** Where a pair's key lies, and its value: what `readPair` read last. Reused. */
export class PairSlot {
  keyStart = 0;
  keyEnd = 0;
  readonly value = new AnyValueSlot();
}

/** Reads the fields of one KeyValue up to `end`. */
export function readPair(reader: ProtoReader, end: number, slot: PairSlot): void {
  if (end - reader.at >= 128 || !readPlainPair(reader, end, slot)) readAnyPair(reader, end, slot);
}

/**
 * The pair as every encoder writes it: key, then a value that is a string or an integer and nothing else, all lengths of one
 * byte. False, and nothing read, for any other. Straight-line, since most bytes of a request are such pairs (decode spans
 * 0.91 → 1.07 M/s in bench/otlp.bench.ts).
 */
function readPlainPair(reader: ProtoReader, end: number, slot: PairSlot): boolean {
  const { bytes, at } = reader;
  const keyStart = at + 2;
  // A length of 0x80 or more would overshoot `end`, which is less than 128 away, so it is refused here as well.
  const keyEnd = keyStart + (bytes[at + 1] as number);
  if (bytes[at] !== KEY_VALUE_KEY || !(keyEnd + 4 <= end) || bytes[keyEnd] !== KEY_VALUE_VALUE) return false;
  if (keyEnd + 2 + (bytes[keyEnd + 1] as number) !== end) return false;
  const { value } = slot;
  const tag = bytes[keyEnd + 2];
  if (tag === ANY_STRING) {
    if (keyEnd + 4 + (bytes[keyEnd + 3] as number) !== end) return false;
    value.start = keyEnd + 4;
    value.end = end;
  } else if (tag === ANY_INT && end === keyEnd + 4 && (bytes[keyEnd + 3] as number) < 0x80) {
    value.low = bytes[keyEnd + 3] as number;
    value.high = 0;
  } else if (tag === ANY_INT && end === keyEnd + 5 && (bytes[keyEnd + 3] as number) >= 0x80 && (bytes[keyEnd + 4] as number) < 0x80) {
    value.low = ((bytes[keyEnd + 3] as number) & 0x7f) | ((bytes[keyEnd + 4] as number) << 7);
    value.high = 0;
  } else return false;
  value.tag = tag;
  slot.keyStart = keyStart;
  slot.keyEnd = keyEnd;
  reader.at = end;
  return true;
}

function readAnyPair(reader: ProtoReader, end: number, slot: PairSlot): void {
  slot.keyStart = 0;
  slot.keyEnd = 0;
  slot.value.tag = 0;
  while (reader.at < end) {
    const tag = reader.readTag();
    if (tag === KEY_VALUE_KEY) {
      slot.keyEnd = reader.readEnd(end);
      slot.keyStart = reader.at;
      reader.at = slot.keyEnd;
    } else if (tag === KEY_VALUE_VALUE) readAnyValue(reader, reader.readEnd(end), slot.value);
    else reader.skip(tag, end);
  }
  reader.close(end);
}

/** Adds the pair that was read to the open row. */
export function addPair(reader: ProtoReader, slot: PairSlot, columns: AttributeColumns): void {
  if (reader.failure !== undefined || !reader.charge(PAIR_MEMORY_BYTES)) return;
  const { value } = slot;
  const { strings } = columns;
  const key = strings.intern(reader.bytes, slot.keyStart, slot.keyEnd);
  switch (value.tag) {
    case ANY_STRING:
      columns.addString(key, strings.intern(reader.bytes, value.start, value.end));
      break;
    case ANY_BOOL:
      columns.addBool(key, value.low === 1);
      break;
    case ANY_INT:
      columns.addIntWords(key, value.low, value.high);
      break;
    case ANY_DOUBLE:
      columns.addDouble(key, value.double);
      break;
    default: {
      const text = jsonOfValue(reader, value, 0);
      if (reader.charge(text.length)) columns.addJson(key, strings.internString(text));
    }
  }
}

/** One attribute of a row: reads it and adds it. */
export function readAttribute(reader: ProtoReader, limit: number, slot: PairSlot, columns: AttributeColumns): void {
  readPair(reader, reader.readEnd(limit), slot);
  addPair(reader, slot, columns);
}
