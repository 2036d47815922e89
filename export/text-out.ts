/**
 * Text being written, as bytes: kernel text is bytes in no promised encoding, and a line of a report costs some 300 ns, which
 * is what one short JS string would cost that is only made to be encoded.
 */
import { TWO_POW_32 } from '../base/int64.ts';

const DIGITS = Uint8Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0));
const UPPER_DIGITS = Uint8Array.from('0123456789ABCDEF', (digit) => digit.charCodeAt(0));
/** 00 … 99 and 00 … ff, the first digit in the low byte: two digits for one store. */
const PAIRS = Uint16Array.from({ length: 100 }, (_, i) => 0x3030 + (Math.floor(i / 10) | ((i % 10) << 8)));
const HEX_PAIRS = Uint16Array.from({ length: 256 }, (_, i) => (DIGITS[i >> 4] as number) | ((DIGITS[i & 15] as number) << 8));
const SPACE = 32;
const ZERO = 48;
const MINUS = 45;
const BILLION = 1_000_000_000;
/** The longest number: 64 bits in octal. */
const NUMBER_BYTES = 24;
/** Free behind what was reserved: the last eight bytes of a piece are stored whole. */
const SLACK_BYTES = 8;

/**
 * Text that is printed again and again, eight bytes to a store: 43 bytes take 9 ns, 27 one by one. As doubles, since stores of
 * bigints make some; a double that is no number could lose bits, but text below 0x80 has none.
 */
export class Piece {
  readonly bytes: Uint8Array;
  readonly length: number;
  /**
   * The bytes by eight, zeros behind the end; undefined where they could be no numbers. A plain array: with some hundred pieces
   * in turn it takes half the time of typed ones, whose elements lie one more step away.
   */
  readonly eights: readonly number[] | undefined;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.length = bytes.length;
    for (let i = 0; i < bytes.length; i++) if ((bytes[i] as number) > 0x7f) return;
    const padded = new Uint8Array((bytes.length + 7) & ~7);
    padded.set(bytes);
    const view = new DataView(padded.buffer);
    const eights: number[] = [];
    for (let at = 0; at < padded.length; at += 8) eights.push(view.getFloat64(at, true));
    this.eights = eights;
  }
}

/** A piece of text that is ASCII or was read as latin1. */
export function toPiece(text: string): Piece {
  return new Piece(toBytes(text));
}

export class TextOut {
  bytes: Uint8Array;
  length = 0;
  #view: DataView;
  /** Bytes that may be written before more are needed. */
  #room: number;

  /** `memory`: is written to as far as it goes. */
  constructor(capacity = 1 << 16, memory?: Uint8Array) {
    this.bytes = memory !== undefined && memory.length > SLACK_BYTES ? memory : new Uint8Array(capacity + SLACK_BYTES);
    this.#view = new DataView(this.bytes.buffer, this.bytes.byteOffset);
    this.#room = this.bytes.length - SLACK_BYTES;
  }

  /** Writes on at a place of its memory, up to `end` without growing. */
  moveTo(at: number, end: number): void {
    this.length = at;
    this.#room = end;
  }

  /** Makes room for `more` bytes. */
  reserve(more: number): void {
    if (this.length + more > this.#room) this.#grow(more);
  }

  #grow(more: number): void {
    this.#room = Math.max(this.#room * 2, this.length + more);
    const grown = new Uint8Array(this.#room + SLACK_BYTES);
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
    this.#view = new DataView(grown.buffer);
  }

  putPiece(piece: Piece): void {
    const { eights } = piece;
    if (eights === undefined) {
      this.putBytes(piece.bytes, 0, piece.length);
      return;
    }
    this.reserve(piece.length);
    const view = this.#view;
    const at = this.length;
    for (let i = 0; i < eights.length; i++) view.setFloat64(at + i * 8, eights[i] as number, true);
    this.length = at + piece.length;
  }

  putByte(byte: number): void {
    this.reserve(1);
    this.bytes[this.length++] = byte;
  }

  /** One byte per character: text that was read as latin1, or is ASCII. */
  putText(text: string): void {
    const { length } = text;
    this.reserve(length);
    const { bytes } = this;
    let at = this.length;
    for (let i = 0; i < length; i++) bytes[at++] = text.charCodeAt(i);
    this.length = at;
  }

  putBytes(from: Uint8Array, start: number, end: number): void {
    this.reserve(end - start);
    const { bytes } = this;
    let at = this.length;
    for (let i = start; i < end; i++) bytes[at++] = from[i] as number;
    this.length = at;
  }

  /** The bytes up to the first NUL. */
  putString(from: Uint8Array, start: number, end: number): void {
    this.reserve(end - start);
    const { bytes } = this;
    let at = this.length;
    for (let i = start; i < end; i++) {
      const byte = from[i] as number;
      if (byte === 0) break;
      bytes[at++] = byte;
    }
    this.length = at;
  }

  putFill(byte: number, count: number): void {
    if (count <= 0) return;
    this.reserve(count);
    const { bytes } = this;
    let at = this.length;
    const end = at + count;
    // A call of fill costs as much as 20 bytes one by one.
    if (count > 32) bytes.fill(byte, at, end);
    else while (at < end) bytes[at++] = byte;
    this.length = end;
  }

  /** A whole number of magnitude below 2^53. */
  putDecimal(value: number): void {
    this.reserve(NUMBER_BYTES);
    let left = value;
    if (left >= 0 && left < 10) {
      this.bytes[this.length++] = ZERO + left;
      return;
    }
    if (left < 0) {
      this.bytes[this.length++] = MINUS;
      left = -left;
    }
    this.#putDigits(left, countDigits(left));
  }

  /** At least `width` digits, zeros in front. */
  putPaddedDecimal(value: number, width: number): void {
    this.reserve(NUMBER_BYTES + width);
    this.#putDigits(value, Math.max(width, countDigits(value)));
  }

  /** Zeros in front; `value` is below a million. */
  putSixDigits(value: number): void {
    this.reserve(6);
    const view = this.#view;
    const at = this.length;
    const upper = (value / 10_000) | 0;
    const lower = value - upper * 10_000;
    const middle = (lower / 100) | 0;
    view.setUint16(at, PAIRS[upper] as number, true);
    view.setUint16(at + 2, PAIRS[middle] as number, true);
    view.setUint16(at + 4, PAIRS[lower - middle * 100] as number, true);
    this.length = at + 6;
  }

  /** 64 bits given as two words. */
  putDecimalWords(low: number, high: number, signed: boolean): void {
    const unsignedLow = low >>> 0;
    if (high === 0 || (signed && high === -1 && unsignedLow > 0)) {
      this.putDecimal(high === 0 ? unsignedLow : unsignedLow - TWO_POW_32);
      return;
    }
    const top = signed ? high | 0 : high >>> 0;
    if (top < 0x20_0000 && top >= -0x20_0000) this.putDecimal(top * TWO_POW_32 + unsignedLow);
    else this.#putBigDecimal((BigInt(top) << 32n) | BigInt(unsignedLow));
  }

  putHexWords(low: number, high: number, upper = false): void {
    this.reserve(NUMBER_BYTES);
    let count = high === 0 ? 8 - (Math.clz32(low) >> 2) : 16 - (Math.clz32(high) >> 2);
    if (count === 16 && !upper) {
      // Most are addresses of the kernel.
      this.#putHexWord(high, this.length);
      this.#putHexWord(low, this.length + 8);
      this.length += 16;
      return;
    }
    const digits = upper ? UPPER_DIGITS : DIGITS;
    const { bytes } = this;
    if (count === 0) count = 1;
    let at = this.length + count;
    this.length = at;
    let word = low;
    for (let i = 0; i < count; i++) {
      if (i === 8) word = high;
      bytes[--at] = digits[word & 15] as number;
      word >>>= 4;
    }
  }

  #putHexWord(word: number, at: number): void {
    const view = this.#view;
    view.setUint16(at, HEX_PAIRS[word >>> 24] as number, true);
    view.setUint16(at + 2, HEX_PAIRS[(word >>> 16) & 255] as number, true);
    view.setUint16(at + 4, HEX_PAIRS[(word >>> 8) & 255] as number, true);
    view.setUint16(at + 6, HEX_PAIRS[word & 255] as number, true);
  }

  putHexByte(byte: number): void {
    this.reserve(2);
    this.bytes[this.length++] = DIGITS[byte >> 4] as number;
    this.bytes[this.length++] = DIGITS[byte & 15] as number;
  }

  putOctalWords(low: number, high: number): void {
    this.putText(((BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)).toString(8));
  }

  /** Brings what was written since `mark` to at least `width` bytes: at the right end, or the left one. */
  pad(mark: number, width: number, left = false): void {
    const missing = width - (this.length - mark);
    if (missing <= 0) return;
    if (left) {
      this.putFill(SPACE, missing);
      return;
    }
    this.insertFill(mark, SPACE, missing);
  }

  /** Puts `count` bytes in front of what stands at `at`. */
  insertFill(at: number, byte: number, count: number): void {
    if (count <= 0) return;
    this.reserve(count);
    this.bytes.copyWithin(at + count, at, this.length);
    this.bytes.fill(byte, at, at + count);
    this.length += count;
  }

  /** Seconds and `places` of the fraction, as `%5lu.%06lu`; `wide` pads the seconds. */
  putSeconds(seconds: number, fraction: number, places: number, wide: number): void {
    const digits = countDigits(seconds);
    this.putFill(SPACE, wide - digits);
    this.reserve(NUMBER_BYTES * 2);
    this.#putDigits(seconds, digits);
    this.bytes[this.length++] = 46;
    this.#putDigits(fraction, places);
  }

  /** What was written; valid until the next `put`. */
  view(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }

  clear(): void {
    this.length = 0;
  }

  #putDigits(value: number, count: number): void {
    const { bytes } = this;
    const end = this.length;
    let at = end + count;
    this.length = at;
    let left = value;
    // Above 2^31 a modulo of doubles is slow: two halves.
    if (left > 0x7fff_ffff) {
      const upper = Math.floor(left / BILLION);
      let lower = left - upper * BILLION;
      for (let i = 0; i < 9 && at > end; i++) {
        const next = (lower / 10) | 0;
        bytes[--at] = ZERO + lower - next * 10;
        lower = next;
      }
      left = upper;
      while (left > 0x7fff_ffff) {
        const next = Math.floor(left / 10);
        bytes[--at] = ZERO + left - next * 10;
        left = next;
      }
    }
    // Two digits for one division.
    const view = this.#view;
    while (at - 2 >= end) {
      const next = (left / 100) | 0;
      at -= 2;
      view.setUint16(at, PAIRS[left - next * 100] as number, true);
      left = next;
    }
    if (at > end) bytes[--at] = ZERO + (left % 10);
  }

  #putBigDecimal(value: bigint): void {
    this.putText(value.toString());
  }
}

/** One byte per character: latin1, or ASCII. */
export function toBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function countDigits(value: number): number {
  if (value < 10) return 1;
  if (value < 100) return 2;
  if (value < 1000) return 3;
  if (value < 10_000) return 4;
  if (value < 100_000) return 5;
  if (value < 1_000_000) return 6;
  let count = 7;
  for (let bound = 10_000_000; value >= bound; bound *= 10) count++;
  return count;
}
