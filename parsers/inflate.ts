/**
 * Inflate (RFC 1951) in the zlib wrapper (RFC 1950), piece by piece: node:zlib's synchronous functions take a whole input only, and
 * a parser neither waits nor holds an input of any size.
 *
 *   78 9c | block block … | adler32          a block: 1 bit last, 2 bits type (0 stored, 1 fixed codes, 2 codes in front), symbols
 *
 * Output goes out in pieces of the window's size; the caller stops at its own bound. The checksum is not checked: text that was
 * cut is worth as much as it is.
 */
const WINDOW_BYTES = 32 << 10;
const OUTPUT_BYTES = 256 << 10;
const MAX_BITS = 15;
const END_OF_BLOCK = 256;

const LENGTH_BASE = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
const LENGTH_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_BASE = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385,
  24577,
];
const CODE_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/** How many codes there are of each length, and the symbols in the order of their codes. */
interface Codes {
  readonly counts: Uint16Array;
  readonly symbols: Uint16Array;
}

export type InflateState = 'reading' | 'ended' | 'broken';

const STATE = { header: 0, block: 1, stored: 2, symbols: 3, ended: 4, broken: 5 } as const;
/** Thrown, and caught in `push`, where the input at hand ends within a symbol. */
const MORE = new Error('more input');

export class Inflater {
  #state: (typeof STATE)[keyof typeof STATE] = STATE.header;
  #input: Uint8Array = new Uint8Array(0);
  /** Next bit of `#input`. */
  #bit = 0;
  #isLast = false;
  #storedLeft = 0;
  #literals: Codes = FIXED_LITERALS;
  #distances: Codes = FIXED_DISTANCES;
  /** The window, and behind it what has not gone out. */
  readonly #output = new Uint8Array(WINDOW_BYTES + OUTPUT_BYTES + 258);
  #from = 0;
  #to = 0;

  get state(): InflateState {
    if (this.#state === STATE.ended) return 'ended';
    return this.#state === STATE.broken ? 'broken' : 'reading';
  }

  /**
   * Takes more input and hands out what comes of it, each piece valid during the call; `sink` returns false to stop for good.
   * Returns how many bytes of `bytes` belong to the stream.
   */
  push(bytes: Uint8Array, sink: (text: Uint8Array) => boolean): number {
    const keptBytes = this.#input.length;
    this.#input = keptBytes === 0 ? bytes : join(this.#input, bytes);
    let mark = this.#bit;
    try {
      while (this.#state !== STATE.ended && this.#state !== STATE.broken) {
        mark = this.#bit;
        this.#step();
        if (this.#to - WINDOW_BYTES >= OUTPUT_BYTES - 258 && !this.#flush(sink)) this.#state = STATE.broken;
      }
    } catch (error) {
      if (error !== MORE) throw error;
      this.#bit = mark;
    }
    if (!this.#flush(sink)) this.#state = STATE.broken;
    const whole = this.#state === STATE.ended ? (this.#bit + 7) >> 3 : this.#bit >> 3;
    const used = this.#state === STATE.ended ? Math.min(this.#input.length, whole) - keptBytes : bytes.length;
    this.#input = this.#input.slice(this.#bit >> 3);
    this.#bit &= 7;
    return used;
  }

  /** Hands out what is new, and keeps the window. */
  #flush(sink: (text: Uint8Array) => boolean): boolean {
    if (this.#to === this.#from) return true;
    const goesOn = sink(this.#output.subarray(this.#from, this.#to));
    if (this.#to > WINDOW_BYTES) {
      this.#output.copyWithin(0, this.#to - WINDOW_BYTES, this.#to);
      this.#to = WINDOW_BYTES;
    }
    this.#from = this.#to;
    return goesOn;
  }

  /** One step that is done whole or, when the input ends within it, not at all. */
  #step(): void {
    switch (this.#state) {
      case STATE.header: {
        const header = (this.#take(8) << 8) | this.#take(8);
        if ((header & 0x0f20) !== 0x0800 || header % 31 !== 0) this.#state = STATE.broken;
        else this.#state = STATE.block;
        break;
      }
      case STATE.block:
        this.#beginBlock();
        break;
      case STATE.stored: {
        const byte = this.#take(8);
        this.#output[this.#to++] = byte;
        if (--this.#storedLeft === 0) this.#endBlock();
        break;
      }
      default:
        this.#readSymbol();
        break;
    }
  }

  #endBlock(): void {
    this.#state = this.#isLast ? STATE.ended : STATE.block;
  }

  #beginBlock(): void {
    const isLast = this.#take(1) === 1;
    const type = this.#take(2);
    if (type === 0) {
      this.#bit = (this.#bit + 7) & ~7;
      const length = this.#take(16);
      const inverse = this.#take(16);
      if ((length ^ inverse) !== 0xffff) {
        this.#state = STATE.broken;
        return;
      }
      this.#storedLeft = length;
      this.#isLast = isLast;
      if (length === 0) this.#endBlock();
      else this.#state = STATE.stored;
      return;
    }
    if (type === 3) {
      this.#state = STATE.broken;
      return;
    }
    const codes = type === 1 ? { literals: FIXED_LITERALS, distances: FIXED_DISTANCES } : this.#readCodes();
    if (codes === undefined) {
      this.#state = STATE.broken;
      return;
    }
    this.#isLast = isLast;
    this.#literals = codes.literals;
    this.#distances = codes.distances;
    this.#state = STATE.symbols;
  }

  #readCodes(): { literals: Codes; distances: Codes } | undefined {
    const literalCount = this.#take(5) + 257;
    const distanceCount = this.#take(5) + 1;
    const orderCount = this.#take(4) + 4;
    const lengths = new Uint8Array(19);
    for (let i = 0; i < orderCount; i++) lengths[CODE_ORDER[i] as number] = this.#take(3);
    const lengthCodes = toCodes(lengths, 0, 19);
    const all = new Uint8Array(literalCount + distanceCount);
    for (let at = 0; at < all.length;) {
      const symbol = this.#decode(lengthCodes);
      if (symbol < 0) return undefined;
      if (symbol < 16) all[at++] = symbol;
      else {
        if (symbol === 16 && at === 0) return undefined;
        const value = symbol === 16 ? (all[at - 1] as number) : 0;
        const repeat = symbol === 16 ? 3 + this.#take(2) : symbol === 17 ? 3 + this.#take(3) : 11 + this.#take(7);
        if (at + repeat > all.length) return undefined;
        all.fill(value, at, at + repeat);
        at += repeat;
      }
    }
    return { literals: toCodes(all, 0, literalCount), distances: toCodes(all, literalCount, all.length) };
  }

  #readSymbol(): void {
    const symbol = this.#decode(this.#literals);
    if (symbol < END_OF_BLOCK) {
      if (symbol < 0) this.#state = STATE.broken;
      else this.#output[this.#to++] = symbol;
      return;
    }
    if (symbol === END_OF_BLOCK) {
      this.#endBlock();
      return;
    }
    const at = symbol - 257;
    const base = LENGTH_BASE[at];
    if (base === undefined) {
      this.#state = STATE.broken;
      return;
    }
    const length = base + this.#take(LENGTH_BITS[at] as number);
    const code = this.#decode(this.#distances);
    const distanceBase = DISTANCE_BASE[code];
    if (distanceBase === undefined) {
      this.#state = STATE.broken;
      return;
    }
    const distance = distanceBase + this.#take(code < 4 ? 0 : (code - 2) >> 1);
    if (distance > this.#to) {
      this.#state = STATE.broken;
      return;
    }
    const output = this.#output;
    for (let i = 0; i < length; i++, this.#to++) output[this.#to] = output[this.#to - distance] as number;
  }

  /** The next symbol; -1 for a code that is none. */
  #decode({ counts, symbols }: Codes): number {
    const input = this.#input;
    let bit = this.#bit;
    let code = 0;
    let first = 0;
    let index = 0;
    for (let length = 1; length <= MAX_BITS; length++) {
      const byte = input[bit >> 3];
      if (byte === undefined) throw MORE;
      code |= (byte >> (bit & 7)) & 1;
      bit++;
      const count = counts[length] as number;
      if (code - count < first) {
        this.#bit = bit;
        return symbols[index + code - first] as number;
      }
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    return -1;
  }

  #take(count: number): number {
    const input = this.#input;
    let value = 0;
    for (let i = 0; i < count; i++, this.#bit++) {
      const byte = input[this.#bit >> 3];
      if (byte === undefined) throw MORE;
      value |= ((byte >> (this.#bit & 7)) & 1) << i;
    }
    return value;
  }
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}

/** Canonical codes of symbols by their lengths `[from, to)`. */
function toCodes(lengths: Uint8Array, from: number, to: number): Codes {
  const counts = new Uint16Array(MAX_BITS + 1);
  for (let i = from; i < to; i++) {
    const length = lengths[i] as number;
    counts[length] = (counts[length] as number) + 1;
  }
  counts[0] = 0;
  const next = new Uint16Array(MAX_BITS + 2);
  for (let length = 1; length <= MAX_BITS; length++) next[length + 1] = (next[length] as number) + (counts[length] as number);
  const symbols = new Uint16Array(to - from);
  for (let i = from; i < to; i++) {
    const length = lengths[i] as number;
    if (length === 0) continue;
    const index = next[length] as number;
    next[length] = index + 1;
    symbols[index] = i - from;
  }
  return { counts, symbols };
}

const FIXED_LITERALS = toCodes(
  Uint8Array.from({ length: 288 }, (_length, symbol) => (symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8)),
  0,
  288,
);
const FIXED_DISTANCES = toCodes(new Uint8Array(30).fill(5), 0, 30);
