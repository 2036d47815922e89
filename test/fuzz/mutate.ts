/**
 * New inputs from known ones: bytes, whole numbers, digits, lines, chunks and tokens are changed, repeated, moved and mixed.
 * The same seed and corpus give the same inputs.
 *
 *   known input   6,341,1804081078,-;usb 1-1: new device⏎ SUBSYSTEM=usb⏎
 *   digits        6,341,18446744073709551616,-;usb 1-1: …
 *   token         6,341,caller=T,-;usb 1-1: …                  from the recordings of the format
 *   lines         ⏎ SUBSYSTEM=usb⏎ SUBSYSTEM=usb⏎6,341,…
 *   crossover     6,341,1804081078,-;usb 1[    1.204500] …     the end of another known input
 */
const MAX_TOKENS = 2000;
const MAX_TOKEN_BYTES = 24;
const NEWLINE = 10;
/** Where parsers that count, add and multiply lengths go wrong. */
const INTEGERS = [
  0, 1, 2, 3, 4, 7, 8, 12, 15, 16, 27, 28, 29, 30, 31, 32, 63, 64, 100, 127, 128, 255, 256, 4095, 4096, 0x7fff, 0x8000, 0xfffe, 0xffff,
  0x1_0000, 0x7ff_ffff, 0x800_0000, 0x3fff_ffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_fffc, 0xffff_fffe, 0xffff_ffff,
] as const;
const NUMERALS = [
  '0',
  '-1',
  '1',
  '00',
  '255',
  '256',
  '999',
  '4294967295',
  '4294967296',
  '9007199254740991',
  '9007199254740993',
  '9223372036854775807',
  '9223372036854775808',
  '18446744073709551615',
  '18446744073709551616',
  '0x',
  '0xffffffffffffffff',
  '1e9',
  '.',
  '-',
  '99999999999999999999999999',
].map((text) => new TextEncoder().encode(text));

export class Mutator {
  /** What new inputs are made from; inputs that reach new code are added. */
  readonly corpus: Uint8Array[];
  readonly #tokens: readonly Uint8Array[];
  readonly #random: () => number;
  readonly #maxBytes: number;
  #bytes = new Uint8Array(0);
  #length = 0;

  constructor(seeds: readonly Uint8Array[], maxBytes: number, random: () => number) {
    this.corpus = seeds.map((seed) => seed.slice(0, maxBytes));
    this.#tokens = collectTokens(seeds);
    this.#maxBytes = maxBytes;
    this.#random = random;
  }

  /** A known input: those that were added last come more often. */
  pick(): Uint8Array {
    const { corpus } = this;
    const recent = corpus.length > 64 && this.#random() < 0.3 ? 64 : corpus.length;
    return corpus[corpus.length - 1 - this.#below(recent)] as Uint8Array;
  }

  /** Writes a mutation of `base` to the start of `target` and returns its length. */
  mutate(base: Uint8Array, target: Uint8Array<ArrayBuffer>): number {
    this.#bytes = target;
    this.#length = Math.min(base.length, this.#maxBytes);
    target.set(base.subarray(0, this.#length));
    for (let left = 1 + this.#below(this.#random() < 0.7 ? 3 : 12); left > 0; left--) this.#changeOnce();
    return this.#length;
  }

  #below(count: number): number {
    return Math.floor(this.#random() * count);
  }

  #changeOnce(): void {
    if (this.#length === 0) return this.#insertToken();
    switch (this.#below(16)) {
      case 0:
        return this.#flipBit();
      case 1:
      case 2:
        this.#bytes[this.#below(this.#length)] = this.#below(256);
        return;
      case 3:
      case 4:
      case 5:
        return this.#setInteger();
      case 6:
        return this.#addToInteger();
      case 7:
        return this.#changeNumeral();
      case 8:
        return this.#removeChunk();
      case 9:
        return this.#repeatChunk();
      case 10:
        return this.#moveChunk();
      case 11:
        return this.#insertToken();
      case 12:
        return this.#cross();
      case 13:
        return this.#changeLines();
      case 14:
        return this.#fillRun();
      default:
        if (this.#below(4) === 0) this.#length = this.#below(this.#length) + 1;
    }
  }

  #flipBit(): void {
    const at = this.#below(this.#length);
    this.#bytes[at] = (this.#bytes[at] as number) ^ (1 << this.#below(8));
  }

  /** One, two, four or eight bytes at an aligned place, in either byte order; also lengths that nearly fit. */
  #setInteger(): void {
    const width = 1 << this.#below(4);
    const at = this.#below(this.#length) & ~(this.#below(2) === 0 ? width - 1 : 0);
    if (at + width > this.#length) return;
    const near = this.#below(4) === 0 ? Math.max(0, this.#length - at + this.#below(33) - 16) : undefined;
    this.#writeInteger(at, width, near ?? (INTEGERS[this.#below(INTEGERS.length)] as number));
  }

  #writeInteger(at: number, width: number, value: number): void {
    const little = this.#below(3) > 0;
    // The upper half of eight bytes: as for a small number, or all ones as a sign-extended one.
    const top = width === 8 && this.#below(4) === 0 ? 0xff : 0;
    for (let i = 0; i < width; i++) {
      const byte = i < 4 ? (value >>> (i * 8)) & 0xff : top;
      this.#bytes[little ? at + i : at + width - 1 - i] = byte;
    }
  }

  #addToInteger(): void {
    const at = this.#below(this.#length);
    const step = 1 + this.#below(16);
    const sum = (this.#bytes[at] as number) + (this.#below(2) === 0 ? step : -step);
    this.#bytes[at] = sum;
    if ((sum < 0 || sum > 255) && at + 1 < this.#length) this.#bytes[at + 1] = (this.#bytes[at + 1] as number) + (sum < 0 ? -1 : 1);
  }

  /** Puts another number where decimal digits stand. */
  #changeNumeral(): void {
    const bytes = this.#bytes;
    let from = this.#below(this.#length);
    while (from < this.#length && !isDigit(bytes[from] as number)) from++;
    let to = from;
    while (to < this.#length && isDigit(bytes[to] as number)) to++;
    if (from < to) this.#replace(from, to, NUMERALS[this.#below(NUMERALS.length)] as Uint8Array);
  }

  #removeChunk(): void {
    const from = this.#below(this.#length);
    this.#replace(from, Math.min(this.#length, from + this.#chunkBytes()), new Uint8Array(0));
  }

  #repeatChunk(): void {
    const from = this.#below(this.#length);
    const chunk = this.#bytes.slice(from, Math.min(this.#length, from + this.#chunkBytes()));
    for (let left = 1 + this.#below(this.#random() < 0.9 ? 2 : 16); left > 0; left--) this.#replace(from, from, chunk);
  }

  #moveChunk(): void {
    const from = this.#below(this.#length);
    const chunk = this.#bytes.slice(from, Math.min(this.#length, from + this.#chunkBytes()));
    const to = this.#below(this.#length);
    if (this.#below(2) === 0) this.#replace(to, to, chunk);
    else this.#replace(to, Math.min(this.#length, to + chunk.length), chunk);
  }

  #insertToken(): void {
    const token = this.#tokens[this.#below(this.#tokens.length)];
    if (token === undefined) return;
    const at = this.#below(this.#length + 1);
    this.#replace(at, this.#below(2) === 0 ? at : Math.min(this.#length, at + token.length), token);
  }

  /** The beginning of this input and the end of another one, or a part of the other in the middle. */
  #cross(): void {
    const other = this.pick();
    if (other.length === 0) return;
    const from = this.#below(other.length);
    const at = this.#below(this.#length);
    if (this.#below(2) === 0) this.#replace(at, this.#length, other.subarray(from));
    else this.#replace(at, at, other.subarray(from, from + this.#chunkBytes()));
  }

  /** Repeats, removes or moves whole lines. */
  #changeLines(): void {
    const bytes = this.#bytes.subarray(0, this.#length);
    const from = bytes.lastIndexOf(NEWLINE, this.#below(this.#length)) + 1;
    const newline = bytes.indexOf(NEWLINE, from);
    const to = newline < 0 ? this.#length : newline + 1;
    const line = bytes.slice(from, to);
    const kind = this.#below(3);
    if (kind !== 0) this.#replace(from, to, new Uint8Array(0));
    if (kind === 1) return;
    const at = this.#bytes.subarray(0, this.#length).lastIndexOf(NEWLINE, this.#below(this.#length + 1)) + 1;
    this.#replace(at, at, line);
  }

  /** One byte many times: indents, bracket nests, zeros. */
  #fillRun(): void {
    const from = this.#below(this.#length);
    const value = this.#below(2) === 0 ? (this.#bytes[from] as number) : this.#below(256);
    const count = this.#chunkBytes();
    if (this.#below(2) === 0) this.#bytes.fill(value, from, Math.min(this.#length, from + count));
    else this.#replace(from, from, new Uint8Array(count).fill(value));
  }

  /** Mostly a few bytes, sometimes many. */
  #chunkBytes(): number {
    return 1 + this.#below(this.#random() < 0.6 ? 8 : this.#random() < 0.8 ? 48 : this.#maxBytes >> 1);
  }

  /** Puts `middle` in place of `[from, to)`; what does not fit falls off the end. */
  #replace(from: number, to: number, middle: Uint8Array): void {
    const bytes = this.#bytes;
    const kept = Math.min(middle.length, this.#maxBytes - from);
    const tail = Math.max(0, Math.min(this.#length - to, this.#maxBytes - from - kept));
    bytes.copyWithin(from + kept, to, to + tail);
    bytes.set(kept === middle.length ? middle : middle.subarray(0, kept), from);
    this.#length = from + kept + tail;
  }
}

function isDigit(byte: number): boolean {
  return byte >= 48 && byte <= 57;
}

/** Words and marks of the recordings: `caller=`, `==>`, `__data_loc`. */
function collectTokens(seeds: readonly Uint8Array[]): Uint8Array[] {
  const seen = new Set<string>();
  for (const seed of seeds) {
    const text = new TextDecoder('latin1').decode(seed);
    for (const [token] of text.matchAll(/[A-Za-z_][\w.]*[=:([]?|[^\w\s]{1,4}| {2,}|\s/g)) {
      if (token.length <= MAX_TOKEN_BYTES && seen.size < MAX_TOKENS) seen.add(token);
    }
  }
  return [...seen].map((token) => Uint8Array.from(token, (char) => char.charCodeAt(0)));
}
