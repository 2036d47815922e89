/**
 * Cursor over protobuf bytes. Errors are sticky, not thrown: the first one is kept in `failure`, the cursor jumps to the end, and
 * every loop over fields ends by itself. Nothing is read outside `bytes`, whatever the lengths say.
 */
import { TWO_POW_32 } from '../base/int64.ts';
import { WIRE_FIXED32, WIRE_FIXED64, WIRE_LENGTH, WIRE_VARINT } from './tags.ts';

/** Why a request cannot be read, and at which byte. */
export interface DecodeFailure {
  readonly message: string;
  readonly offset: number;
  /** True when the input is well-formed but would take more memory than the decoder may use. */
  readonly tooLarge: boolean;
}

const scratchWords = new Uint32Array(2);
const scratchDouble = new Float64Array(scratchWords.buffer);

export class ProtoReader {
  readonly bytes: Uint8Array;
  at: number;
  failure: DecodeFailure | undefined;
  /** The words that `readFixed64` and `readVarint64` read. */
  low = 0;
  high = 0;
  #memoryLeftBytes: number;

  constructor(bytes: Uint8Array, memoryLimitBytes: number) {
    // A Buffer's slice() is a view, and a second class of array makes each access slower.
    this.bytes = bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    this.at = 0;
    this.#memoryLeftBytes = memoryLimitBytes;
  }

  fail(message: string, tooLarge = false): void {
    this.failure ??= { message, offset: Math.min(this.at, this.bytes.length), tooLarge };
    this.at = this.bytes.length;
  }

  /** Books memory that the decoded form takes; small inputs can expand a lot (an empty record takes two bytes). */
  charge(memoryBytes: number): boolean {
    this.#memoryLeftBytes -= memoryBytes;
    if (this.#memoryLeftBytes >= 0) return true;
    this.fail('request holds more records and attributes than one request may', true);
    return false;
  }

  /** Field number and wire type; 0 after a failure. */
  readTag(): number {
    const tag = this.readVarint();
    if (tag < 8 && this.failure === undefined) this.fail('field number 0');
    return tag;
  }

  /** An unsigned varint of at most 32 bits; longer ones lose their upper bits as in any protobuf reader. */
  readVarint(): number {
    const { bytes } = this;
    const first = bytes[this.at];
    if (first !== undefined && first < 0x80) {
      this.at++;
      return first;
    }
    this.readVarint64();
    return this.low;
  }

  /** A varint into `low` and `high`. */
  readVarint64(): void {
    const { bytes } = this;
    let { at } = this;
    let low = 0;
    let high = 0;
    this.low = 0;
    this.high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= bytes.length) {
        this.fail('varint is cut');
        return;
      }
      const byte = bytes[at++] as number;
      const part = byte & 0x7f;
      if (shift < 28) low |= part << shift;
      else if (shift === 28) {
        low |= part << 28;
        high = part >>> 4;
      } else high |= part << (shift - 32);
      if (byte < 0x80) {
        this.at = at;
        this.low = low >>> 0;
        this.high = high >>> 0;
        return;
      }
    }
    this.fail('varint is longer than ten bytes');
  }

  /** Eight little-endian bytes into `low` and `high`. */
  readFixed64(): void {
    this.low = this.readFixed32();
    this.high = this.readFixed32();
  }

  readFixed32(): number {
    const { bytes, at } = this;
    if (at + 4 > bytes.length) {
      this.fail('fixed-width field is cut');
      return 0;
    }
    this.at = at + 4;
    return (
      ((bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24)) >>>
      0
    );
  }

  readDouble(): number {
    scratchWords[0] = this.readFixed32();
    scratchWords[1] = this.readFixed32();
    return scratchDouble[0] as number;
  }

  /** Words of the last read as a bigint. */
  unsigned(): bigint {
    return (BigInt(this.high) << 32n) | BigInt(this.low);
  }

  /** Words of the last read as a signed double (rounded above 2^53). */
  signedNumber(): number {
    return (this.high | 0) * TWO_POW_32 + this.low;
  }

  /** Reads a length and returns the offset where the field ends, which lies inside the enclosing message's `limit`. */
  readEnd(limit: number): number {
    const length = this.readVarint();
    const end = this.at + length;
    if (end <= limit) return end;
    this.fail(`field of ${length} bytes does not fit in its message`);
    return this.at;
  }

  /** To be called behind a message's last field: fields that run over the message's end are caught here. */
  close(end: number): void {
    if (this.at !== end && this.failure === undefined) this.fail('a field runs over the end of its message');
  }

  /** Steps over the value of an unknown field. */
  skip(tag: number, limit: number): void {
    switch (tag & 7) {
      case WIRE_VARINT:
        this.readVarint64();
        return;
      case WIRE_FIXED64:
        this.#advance(8);
        return;
      case WIRE_LENGTH:
        this.at = this.readEnd(limit);
        return;
      case WIRE_FIXED32:
        this.#advance(4);
        return;
      default:
        if (this.failure === undefined) this.fail(`wire type ${tag & 7} is not used in OTLP`);
    }
  }

  #advance(count: number): void {
    if (this.at + count > this.bytes.length) this.fail('fixed-width field is cut');
    else this.at += count;
  }
}
