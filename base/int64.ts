/**
 * 64-bit values as two 32-bit words (little-endian word order: low, high), because a bigint per event costs an allocation
 * and a Unix time in ns does not fit a double (it would round to 256 ns).
 */
export const TWO_POW_32 = 0x1_0000_0000;

/** A typed array of 64-bit values, seen as words (for writing in loops) and as bigints (at the edges). */
export class Int64Array {
  readonly words: Uint32Array<ArrayBuffer>;
  /** Made when it is asked for: a batch has many columns, and most are only written. */
  #signed: BigInt64Array | undefined;

  /** Zeros, or the values of these words. */
  constructor(capacity: number | Uint32Array<ArrayBuffer>) {
    this.words = typeof capacity === 'number' ? new Uint32Array(capacity * 2) : capacity;
  }

  get signed(): BigInt64Array {
    return (this.#signed ??= new BigInt64Array(this.words.buffer, this.words.byteOffset, this.words.length >> 1));
  }

  get capacity(): number {
    return this.words.length >> 1;
  }

  /** Values `from` up to `to`: a view, not a copy. */
  subarray(from: number, to: number): Int64Array {
    return new Int64Array(this.words.subarray(from * 2, to * 2));
  }

  /** A copy with room for `capacity` values. */
  grow(capacity: number): Int64Array {
    const grown = new Int64Array(capacity);
    grown.words.set(this.words);
    return grown;
  }

  /** Stores an integer of magnitude below 2^53. */
  setNumber(index: number, value: number): void {
    const high = Math.floor(value / TWO_POW_32);
    this.words[index * 2] = value - high * TWO_POW_32;
    this.words[index * 2 + 1] = high;
  }

  setWords(index: number, low: number, high: number): void {
    this.words[index * 2] = low;
    this.words[index * 2 + 1] = high;
  }

  setBigint(index: number, value: bigint): void {
    this.signed[index] = value;
  }

  getBigint(index: number): bigint {
    return this.signed[index] as bigint;
  }

  /** The value as a double: exact below 2^53, else rounded. */
  getNumber(index: number): number {
    return ((this.words[index * 2 + 1] as number) | 0) * TWO_POW_32 + (this.words[index * 2] as number);
  }
}
