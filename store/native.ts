/**
 * ClickHouse's Native format, written column by column: what `file(path, Native)` and `INSERT … FORMAT Native` read fastest.
 * A file is blocks one after the other; each names its own columns, so a block may leave out columns that the table fills.
 *
 *   02 | 03 | 03 43 70 75 | 06 55 49 6e 74 31 36 | 00 00 01 00 03 00 | 05 45 76 65 6e 74 | …
 *   |    |    |             |                      |                   +-- name of the next column: "Event"
 *   |    |    |             |                      +-- the values of all rows: here three u16
 *   |    |    |             +-- type: "UInt16"
 *   |    |    +-- name: "Cpu" (a varint length, then UTF-8)
 *   |    +-- rows (varint)
 *   +-- columns (varint)
 *
 * Values by type, all little-endian:
 *   numbers, DateTime64, Bool   one after the other
 *   String                      varint length and bytes, one after the other
 *   FixedString(N)              N bytes each
 *   Array(T)                    u64 end offset of each row, then all elements as one column of T
 *   Map(K, V)                   u64 end offset of each row, then all keys as a column, then all values as a column
 *   Nested                      one Array column for each member, `Links.TraceId Array(String)`
 *   LowCardinality(String)      u64 1 (version, in front of the whole column, before the offsets of an enclosing Array or Map)
 *                               u64 flags: index width (0 u8, 1 u16, 2 u32) | 0x600 (own dictionary, all of it here)
 *                               u64 keys, the keys as Strings (key 0 is the empty string), u64 rows, the indices
 *                               (nothing after the version where there are no values at all)
 *
 * Not written: block headers of the TCP protocol (a file has none), sparse columns, Nullable, Variant and JSON.
 */
import { ByteWriter } from '../base/bytes.ts';
import type { Int64Array } from '../base/int64.ts';
import { Interner } from '../base/interner.ts';
import { VALUE_KIND, type AttributeColumns } from '../model/attribute-columns.ts';

const LOW_CARDINALITY = 'LowCardinality(String)';
const LOW_CARDINALITY_VERSION = 1;
/** Index width is added: the block brings its own keys, and the reader starts its dictionary anew. */
const OWN_DICTIONARY = 0x600;
export const ATTRIBUTE_MAP = `Map(${LOW_CARDINALITY}, String)`;

type FixedWidthArray = Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array | Float64Array | BigInt64Array;

/** Dictionary ids of some rows of a column, or the one id that all of them have. */
export interface IdPart {
  readonly ids: Uint32Array | number;
  readonly rows: number;
}

/** Writes the blocks of one table, one after the other, into a ByteWriter. */
export class NativeWriter {
  readonly out: ByteWriter;
  /** Rows of the open block. */
  rows = 0;
  #columns = 0;
  #columnsAt = 0;

  constructor(out = new ByteWriter(1 << 16)) {
    this.out = out;
  }

  /** Starts a block of `rows` rows; every column up to `closeBlock` has as many values. */
  openBlock(rows: number): void {
    this.rows = rows;
    this.#columns = 0;
    this.#columnsAt = this.out.length;
    // The column count is known at the end: two bytes hold up to 16383, with the first one's continuation bit set.
    this.out.writeU8(0);
    this.out.writeU8(0);
    this.out.writeVarint(rows);
  }

  closeBlock(): void {
    this.out.bytes[this.#columnsAt] = (this.#columns & 0x7f) | 0x80;
    this.out.bytes[this.#columnsAt + 1] = this.#columns >> 7;
  }

  /** Begins a column that comes in parts: what the `add` methods write, of as many rows in all as the block has. */
  openColumn(name: string, type: string): void {
    this.#columns++;
    this.out.writeString(name);
    this.out.writeString(type);
  }

  /** Values as they lie in memory. */
  addNumbers(values: FixedWidthArray, rows: number): void {
    this.#copy(values, rows);
  }

  addWords(values: Int64Array, rows: number): void {
    this.#copyWords(values, rows);
  }

  /** 32-bit values in a column of 64-bit ones. */
  addWidened(values: Int32Array | Uint32Array, rows: number): void {
    const { out } = this;
    out.reserve(rows * 8);
    for (let row = 0; row < rows; row++) {
      const value = values[row] as number;
      out.writeU64Words(value, value < 0 ? -1 : 0);
    }
  }

  /** `values - subtracted`, row by row, in a column of 64-bit values. */
  addDifferences(values: Int64Array, subtracted: Int64Array, rows: number): void {
    const { out } = this;
    const from = values.words;
    const less = subtracted.words;
    out.reserve(rows * 8);
    for (let at = 0; at < rows * 2; at += 2) {
      const low = (from[at] as number) - (less[at] as number);
      out.writeU64Words(low, (from[at + 1] as number) - (less[at + 1] as number) - (low < 0 ? 1 : 0));
    }
  }

  /** The same 64-bit value in `rows` rows. */
  addConstantBigint(value: bigint, rows: number): void {
    const start = this.out.length;
    writeBigint(this.out, value);
    this.#repeat(start, rows);
  }

  addZeros(bytes: number): void {
    this.#zeros(bytes);
  }

  /** Values as they lie in memory: one copy. */
  numbers(name: string, type: string, values: FixedWidthArray): void {
    this.openColumn(name, type);
    this.#copy(values, this.rows);
  }

  /** 32-bit values of a column of 64-bit ones: ClickHouse widens them when it reads the block. */
  narrowed(name: string, type: 'Int32' | 'UInt32', values: Int32Array | Uint32Array): void {
    this.numbers(name, type, values);
  }

  /** What a column has in rows that say nothing: `width` bytes of zero each, or as many values of no length. */
  defaults(type: string, width: number | undefined): void {
    if (type.includes(LOW_CARDINALITY)) writeWord(this.out, LOW_CARDINALITY_VERSION);
    if (type === LOW_CARDINALITY) writeIndexed(this.out, [{ ids: 0, rows: this.rows }], new Interner());
    else this.#zeros(this.rows * (width ?? (type === 'String' ? 1 : 8)));
  }

  /** 64-bit values: Int64, UInt64, DateTime64(9). */
  words(name: string, type: string, values: Int64Array): void {
    this.openColumn(name, type);
    this.#copyWords(values, this.rows);
  }

  /** 64-bit values from doubles that hold integers of magnitude below 2^53. */
  integers(name: string, type: string, values: Float64Array | readonly number[]): void {
    this.openColumn(name, type);
    const { out, rows } = this;
    out.reserve(rows * 8);
    for (let row = 0; row < rows; row++) writeInteger(out, values[row] as number);
  }

  bigints(name: string, type: string, values: readonly bigint[]): void {
    this.openColumn(name, type);
    for (const value of values) writeBigint(this.out, value);
  }

  /** The same 64-bit value in every row. */
  constantBigint(name: string, type: string, value: bigint): void {
    this.openColumn(name, type);
    this.addConstantBigint(value, this.rows);
  }

  /** The same value of `width` bytes (1, 2 or 4) in every row; two's complement where it is negative. */
  constantNumber(name: string, type: string, width: 1 | 2 | 4, value: number): void {
    this.openColumn(name, type);
    const start = this.out.length;
    for (let byte = 0; byte < width; byte++) this.out.writeU8((value >> (byte * 8)) & 0xff);
    this.#repeat(start, this.rows);
  }

  /** FixedString, or any type of fixed width, from packed bytes. */
  packed(name: string, type: string, bytes: Uint8Array, width: number): void {
    this.openColumn(name, type);
    this.out.writeBytes(bytes, 0, this.rows * width);
  }

  constantString(name: string, value: string): void {
    this.openColumn(name, 'String');
    const start = this.out.length;
    this.out.writeString(value);
    this.#repeat(start, this.rows);
  }

  strings(name: string, values: readonly string[]): void {
    this.openColumn(name, 'String');
    for (const value of values) this.out.writeString(value);
  }

  /** Texts that lie in an arena. */
  texts(name: string, arena: Uint8Array, starts: Uint32Array, ends: Uint32Array): void {
    this.openColumn(name, 'String');
    writeSlices(this.out, arena, starts, ends, this.rows);
  }

  stringsById(name: string, ids: Uint32Array, strings: Interner): void {
    this.openColumn(name, 'String');
    this.addStrings(ids, this.rows, strings);
  }

  addStrings(ids: Uint32Array, rows: number, strings: Interner): void {
    for (let row = 0; row < rows; row++) writeInterned(this.out, ids[row] as number, strings);
  }

  /** Ids as lower-case hexadecimal; an id of only zeros is the empty string. `ids` undefined = empty in every row. */
  hexIds(name: string, ids: Uint8Array | undefined, width: number): void {
    this.openColumn(name, 'String');
    if (ids === undefined) this.#zeros(this.rows);
    else for (let row = 0; row < this.rows; row++) writeHexId(this.out, ids, row * width, width);
  }

  constantLowCardinality(name: string, value: string): void {
    this.openColumn(name, LOW_CARDINALITY);
    const { out, rows } = this;
    writeWord(out, LOW_CARDINALITY_VERSION);
    if (rows === 0) return;
    writeWord(out, OWN_DICTIONARY);
    writeWord(out, value === '' ? 1 : 2);
    out.writeU8(0);
    if (value !== '') out.writeString(value);
    writeWord(out, rows);
    out.reserve(rows);
    out.bytes.fill(value === '' ? 0 : 1, out.length, out.length + rows);
    out.length += rows;
  }

  lowCardinality(name: string, ids: Uint32Array, strings: Interner): void {
    this.openColumn(name, LOW_CARDINALITY);
    writeWord(this.out, LOW_CARDINALITY_VERSION);
    writeIndexed(this.out, [{ ids, rows: this.rows }], strings);
  }

  /** A column whose ids lie in several arrays. */
  lowCardinalityParts(name: string, parts: readonly IdPart[], strings: Interner): void {
    this.openColumn(name, LOW_CARDINALITY);
    writeWord(this.out, LOW_CARDINALITY_VERSION);
    writeIndexed(this.out, parts, strings);
  }

  /** One number per row that picks from a few texts: severity by level. */
  lowCardinalityOf(name: string, values: Uint8Array, texts: readonly string[]): void {
    const strings = new Interner();
    const ids = Uint32Array.from(texts, (text) => strings.internString(text));
    const picked = new Uint32Array(this.rows);
    for (let row = 0; row < this.rows; row++) picked[row] = ids[values[row] as number] ?? 0;
    this.lowCardinality(name, picked, strings);
  }

  /** Attributes as `Map(LowCardinality(String), String)`: of the given rows of `attributes`, or of all from the first on. */
  attributeMap(name: string, attributes: AttributeColumns, rows?: readonly number[]): void {
    this.openColumn(name, ATTRIBUTE_MAP);
    writeWord(this.out, LOW_CARDINALITY_VERSION);
    if (rows === undefined || rows.length === attributes.rows) writeMaps(this.out, attributes, this.rows);
    else writePickedMaps(this.out, attributes, rows);
  }

  /** The same map in every row. */
  constantMap(name: string, pairs: Readonly<Record<string, string>>): void {
    this.openColumn(name, ATTRIBUTE_MAP);
    const { out, rows } = this;
    const entries = Object.entries(pairs);
    writeWord(out, LOW_CARDINALITY_VERSION);
    out.reserve(rows * 8);
    for (let row = 1; row <= rows; row++) writeInteger(out, row * entries.length);
    if (rows === 0 || entries.length === 0) return;
    const strings = new Interner();
    const keys = new Uint32Array(rows * entries.length);
    for (let pair = 0; pair < entries.length; pair++) keys[pair] = strings.internString((entries[pair] as [string, string])[0]);
    for (let filled = entries.length; filled < keys.length; filled *= 2) keys.copyWithin(filled, 0, filled);
    writeIndexed(out, [{ ids: keys, rows: keys.length }], strings);
    const start = out.length;
    for (const [, value] of entries) out.writeString(value);
    this.#repeat(start, rows);
  }

  /** `Array(T)` of fixed-width elements: `ends[row]` is the number of elements up to and with that row. */
  arrays(name: string, elementType: string, ends: ArrayLike<number>, values: ArrayLike<number | bigint>): void {
    this.openColumn(name, `Array(${elementType})`);
    this.writeEnds(ends);
    const isDouble = elementType === 'Float64';
    for (let at = 0; at < values.length; at++) {
      const value = values[at] as number | bigint;
      if (isDouble) this.out.writeF64(Number(value));
      else writeBigint(this.out, BigInt(value));
    }
  }

  arraysOfStrings(name: string, ends: ArrayLike<number>, values: readonly string[]): void {
    this.openColumn(name, 'Array(String)');
    this.writeEnds(ends);
    for (const value of values) this.out.writeString(value);
  }

  arraysOfLowCardinality(name: string, ends: ArrayLike<number>, ids: Uint32Array, strings: Interner): void {
    this.openColumn(name, `Array(${LOW_CARDINALITY})`);
    writeWord(this.out, LOW_CARDINALITY_VERSION);
    this.writeEnds(ends);
    writeIndexed(this.out, [{ ids, rows: ids.length }], strings);
  }

  /** `Array(Map(…))`: the maps are the rows of `attributes`. */
  arraysOfMaps(name: string, ends: ArrayLike<number>, attributes: AttributeColumns): void {
    this.openColumn(name, `Array(${ATTRIBUTE_MAP})`);
    const { out } = this;
    // The dictionary's version comes before the offsets of all that encloses it.
    writeWord(out, LOW_CARDINALITY_VERSION);
    this.writeEnds(ends);
    writeMaps(out, attributes, attributes.rows);
  }

  /** Number of elements up to and with each row. */
  protected writeEnds(ends: ArrayLike<number>): void {
    this.out.reserve(this.rows * 8);
    for (let row = 0; row < this.rows; row++) writeInteger(this.out, ends[row] as number);
  }

  #copy(values: FixedWidthArray, count: number): void {
    this.out.writeBytes(new Uint8Array(values.buffer, values.byteOffset, count * values.BYTES_PER_ELEMENT));
  }

  #copyWords(values: Int64Array, count: number): void {
    this.out.writeBytes(new Uint8Array(values.words.buffer, values.words.byteOffset, count * 8));
  }

  #zeros(count: number): void {
    const { out } = this;
    out.reserve(count);
    out.bytes.fill(0, out.length, out.length + count);
    out.length += count;
  }

  /** Repeats the bytes since `start` until they stand `times` times: doubling copies, no loop over rows. */
  #repeat(start: number, times: number): void {
    const { out } = this;
    const unit = out.length - start;
    const total = unit * times;
    if (times === 0) out.length = start;
    if (times <= 1) return;
    out.reserve(total - unit);
    let filled = unit;
    while (filled < total) {
      const count = Math.min(filled, total - filled);
      out.bytes.copyWithin(start + filled, start, start + count);
      filled += count;
    }
    out.length = start + total;
  }
}

function writeWord(out: ByteWriter, value: number): void {
  out.writeU64Words(value, 0);
}

function writeInteger(out: ByteWriter, value: number): void {
  const high = Math.floor(value / 0x1_0000_0000);
  out.writeU64Words(value - high * 0x1_0000_0000, high);
}

function writeBigint(out: ByteWriter, value: bigint): void {
  out.writeU64Words(Number(value & 0xffff_ffffn), Number((value >> 32n) & 0xffff_ffffn));
}

function writeInterned(out: ByteWriter, id: number, strings: Interner): void {
  const start = strings.starts[id] as number;
  const end = strings.ends[id] as number;
  out.writeVarint(end - start);
  out.writeBytes(strings.arena, start, end);
}

function writeSlices(out: ByteWriter, arena: Uint8Array, starts: Uint32Array, ends: Uint32Array, rows: number): void {
  for (let row = 0; row < rows; row++) {
    const start = starts[row] as number;
    const end = ends[row] as number;
    out.writeVarint(end - start);
    out.writeBytes(arena, start, end);
  }
}

const HEX_BYTES = new TextEncoder().encode('0123456789abcdef');

function writeHexId(out: ByteWriter, ids: Uint8Array, at: number, width: number): void {
  let any = 0;
  for (let i = 0; i < width; i++) any |= ids[at + i] as number;
  if (any === 0) {
    out.writeU8(0);
    return;
  }
  out.reserve(width * 2 + 1);
  out.writeU8(width * 2);
  const { bytes } = out;
  let to = out.length;
  for (let i = 0; i < width; i++) {
    const byte = ids[at + i] as number;
    bytes[to++] = HEX_BYTES[byte >> 4] as number;
    bytes[to++] = HEX_BYTES[byte & 15] as number;
  }
  out.length = to;
}

/** Dictionary and indices of a LowCardinality column: only the strings that the rows use, in the order they come. */
function writeIndexed(out: ByteWriter, parts: readonly IdPart[], strings: Interner): void {
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  if (rows === 0) return;
  const keyOf = new Uint32Array(strings.size);
  const used: number[] = [0];
  for (const { ids, rows: count } of parts) addKeys(ids, count, keyOf, used);
  const width = used.length <= 0x100 ? 0 : used.length <= 0x1_0000 ? 1 : 2;
  writeWord(out, OWN_DICTIONARY | width);
  writeWord(out, used.length);
  for (const id of used) writeInterned(out, id, strings);
  writeWord(out, rows);
  out.reserve(rows << width);
  for (const { ids, rows: count } of parts) writeKeys(out, ids, count, keyOf, width);
}

function addKeys(ids: Uint32Array | number, rows: number, keyOf: Uint32Array, used: number[]): void {
  if (typeof ids === 'number') {
    if (ids !== 0 && keyOf[ids] === 0) keyOf[ids] = used.push(ids) - 1;
    return;
  }
  for (let row = 0; row < rows; row++) {
    const id = ids[row] as number;
    if (id !== 0 && keyOf[id] === 0) keyOf[id] = used.push(id) - 1;
  }
}

/** Room is reserved. */
function writeKeys(out: ByteWriter, ids: Uint32Array | number, rows: number, keyOf: Uint32Array, width: number): void {
  const { bytes } = out;
  let at = out.length;
  for (let row = 0; row < rows; row++) {
    const key = keyOf[typeof ids === 'number' ? ids : (ids[row] as number)] as number;
    bytes[at++] = key;
    if (width > 0) bytes[at++] = key >> 8;
    if (width > 1) {
      bytes[at++] = key >> 16;
      bytes[at++] = key >>> 24;
    }
  }
  out.length = at;
}

/** The maps of rows 0 … rows - 1, whose pairs lie one after the other. */
function writeMaps(out: ByteWriter, attributes: AttributeColumns, rows: number): void {
  out.reserve(rows * 8);
  for (let row = 1; row <= rows; row++) out.writeU64Words(attributes.offsets[row] as number, 0);
  const pairs = attributes.offsets[rows] as number;
  if (pairs === 0) return;
  writeIndexed(out, [{ ids: attributes.keys, rows: pairs }], attributes.strings);
  for (let pair = 0; pair < pairs; pair++) writeValue(out, attributes, pair);
}

function writePickedMaps(out: ByteWriter, attributes: AttributeColumns, rows: readonly number[]): void {
  const pairs: number[] = [];
  for (const row of rows) {
    for (let pair = attributes.offsets[row] as number; pair < (attributes.offsets[row + 1] as number); pair++) pairs.push(pair);
    writeWord(out, pairs.length);
  }
  if (pairs.length === 0) return;
  const keys = Uint32Array.from(pairs, (pair) => attributes.keys[pair] as number);
  writeIndexed(out, [{ ids: keys, rows: keys.length }], attributes.strings);
  for (const pair of pairs) writeValue(out, attributes, pair);
}

function writeValue(out: ByteWriter, attributes: AttributeColumns, pair: number): void {
  const kind = attributes.kinds[pair];
  if (kind === VALUE_KIND.string || kind === VALUE_KIND.json) writeInterned(out, attributes.ids[pair] as number, attributes.strings);
  else out.writeString(attributes.textOf(pair));
}
