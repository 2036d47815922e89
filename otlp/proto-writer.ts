/**
 * Protobuf values onto a ByteWriter. A message's length is not known before its content: room for the expected width of the
 * length is left, and the content shifts by a few bytes when the guess was wrong, which costs less than sizing in a pass before.
 * Lengths are always written in their shortest form.
 */
import type { ByteWriter } from '../base/bytes.ts';
import { TWO_POW_32 } from '../base/int64.ts';
import type { Dictionary } from './utf8.ts';

/** Above this many bytes a view and a memmove beat a byte loop (38 ns against 0.7 ns a byte). */
const LOOP_BYTES = 48;

const scratchDouble = new Float64Array(1);
const scratchWords = new Uint32Array(scratchDouble.buffer);

export function varintSize(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5;
}

/** Starts a length-delimited field and returns where its content begins. `width` = expected bytes of the length. */
export function openMessage(writer: ByteWriter, tag: number, width = 1): number {
  writer.reserve(1 + width);
  writer.bytes[writer.length] = tag;
  writer.length += 1 + width;
  return writer.length;
}

/** Ends the field that `openMessage` started with the same `width`. */
export function closeMessage(writer: ByteWriter, contentAt: number, width = 1): void {
  const size = writer.length - contentAt;
  const needed = varintSize(size);
  if (needed !== width) {
    if (needed > width) writer.reserve(needed - width);
    writer.bytes.copyWithin(contentAt + needed - width, contentAt, writer.length);
    writer.length += needed - width;
  }
  putVarint(writer.bytes, contentAt - width, size);
}

/** Writes an unsigned value below 2^32 where there is room, and returns the offset behind it. */
export function putVarint(bytes: Uint8Array, at: number, value: number): number {
  let end = at;
  let rest = value;
  while (rest > 0x7f) {
    bytes[end++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[end++] = rest;
  return end;
}

/** A 64-bit two's complement value as a varint: ten bytes when it is negative. */
export function putVarintWords(bytes: Uint8Array, at: number, low: number, high: number): number {
  let end = at;
  let lowRest = low >>> 0;
  let highRest = high >>> 0;
  while (highRest !== 0) {
    bytes[end++] = (lowRest & 0x7f) | 0x80;
    lowRest = ((lowRest >>> 7) | (highRest << 25)) >>> 0;
    highRest >>>= 7;
  }
  return putVarint(bytes, end, lowRest);
}

export function putFixed32(bytes: Uint8Array, at: number, value: number): number {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
  return at + 4;
}

export function putFixed64(bytes: Uint8Array, at: number, low: number, high: number): number {
  return putFixed32(bytes, putFixed32(bytes, at, low), high);
}

export function putDouble(bytes: Uint8Array, at: number, value: number): number {
  scratchDouble[0] = value;
  return putFixed64(bytes, at, scratchWords[0] as number, scratchWords[1] as number);
}

export function putBytes(bytes: Uint8Array, at: number, source: Uint8Array, start: number, end: number): number {
  if (end - start > LOOP_BYTES) {
    bytes.set(source.subarray(start, end), at);
    return at + end - start;
  }
  let to = at;
  for (let from = start; from < end; from++) bytes[to++] = source[from] as number;
  return to;
}

/** Tag, length and bytes of `source[start, end)`. */
export function writeBytesField(writer: ByteWriter, tag: number, source: Uint8Array, start: number, end: number): void {
  const size = end - start;
  writer.reserve(size + 6);
  const { bytes } = writer;
  bytes[writer.length] = tag;
  writer.length = putBytes(bytes, putVarint(bytes, writer.length + 1, size), source, start, end);
}

/** A dictionary string as a field; nothing for the empty one. */
export function writeText(writer: ByteWriter, tag: number, { arena, starts, ends }: Dictionary, id: number): void {
  if (id !== 0) writeBytesField(writer, tag, arena, starts[id] as number, ends[id] as number);
}

/** True where an id column holds no id. */
export function isZero(bytes: Uint8Array, start: number, count: number): boolean {
  for (let i = start; i < start + count; i++) if (bytes[i] !== 0) return false;
  return true;
}

/** A string field; nothing for the empty string, which is proto3's default. */
export function writeStringField(writer: ByteWriter, tag: number, text: string): void {
  if (text === '') return;
  writer.writeU8(tag);
  writer.writeString(text);
}

export function writeVarintField(writer: ByteWriter, tag: number, value: number): void {
  writer.reserve(6);
  writer.bytes[writer.length] = tag;
  writer.length = putVarint(writer.bytes, writer.length + 1, value);
}

export function writeFixed64Field(writer: ByteWriter, tag: number, low: number, high: number): void {
  writer.reserve(9);
  writer.bytes[writer.length] = tag;
  writer.length = putFixed64(writer.bytes, writer.length + 1, low, high);
}

export function writeDoubleField(writer: ByteWriter, tag: number, value: number): void {
  writer.reserve(9);
  writer.bytes[writer.length] = tag;
  writer.length = putDouble(writer.bytes, writer.length + 1, value);
}

/** A bigint as eight bytes: for rare rows. */
export function writeFixed64BigintField(writer: ByteWriter, tag: number, value: bigint): void {
  writeFixed64Field(writer, tag, lowWord(value), highWord(value));
}

export function lowWord(value: bigint): number {
  return Number(BigInt.asUintN(32, value));
}

export function highWord(value: bigint): number {
  return Number(BigInt.asUintN(32, value >> 32n));
}

/** High word of an integer that a double holds exactly. */
export function highWordOf(value: number): number {
  return Math.floor(value / TWO_POW_32) >>> 0;
}

/** ZigZag form of a 32-bit integer (protobuf `sint32`). */
export function toZigZag(value: number): number {
  return ((value << 1) ^ (value >> 31)) >>> 0;
}
