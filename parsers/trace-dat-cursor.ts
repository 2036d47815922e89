/** A bounded cursor over a file, in the file's byte order. Whoever reads past the end gets zeros and finds `failed` set. */
import { isAscii } from 'node:buffer';
import { decodeUtf8 } from '../base/bytes.ts';
import type { ByteSource } from '../model/event-file.ts';

const WINDOW_BYTES = 64 << 10;
const NOTHING = new Uint8Array(0);
const NO_VIEW = new DataView(NOTHING.buffer);

export class DatCursor {
  readonly little: boolean;
  /** First offset that is not to be read. */
  readonly end: number;
  at: number;
  failed = false;
  readonly #source: ByteSource;
  #window: Uint8Array = NOTHING;
  #view: DataView = NO_VIEW;
  #windowAt = 0;

  constructor(source: ByteSource, little: boolean, at: number, end = source.sizeBytes) {
    this.#source = source;
    this.little = little;
    this.at = at;
    this.end = Math.min(end, source.sizeBytes);
    if (!(at >= 0 && at <= this.end)) this.failed = true;
  }

  get left(): number {
    return this.failed ? 0 : this.end - this.at;
  }

  readU8(): number {
    const at = this.#take(1);
    return at < 0 ? 0 : (this.#window[at] as number);
  }

  readU16(): number {
    const at = this.#take(2);
    return at < 0 ? 0 : this.#view.getUint16(at, this.little);
  }

  readU32(): number {
    const at = this.#take(4);
    return at < 0 ? 0 : this.#view.getUint32(at, this.little);
  }

  readU64(): bigint {
    const at = this.#take(8);
    return at < 0 ? 0n : this.#view.getBigUint64(at, this.little);
  }

  /** An unsigned 64-bit size or offset; one that a double cannot hold is larger than any file. */
  readSize(): number {
    return Number(this.readU64());
  }

  /** A string up to its NUL, which is at most `most` bytes away. */
  readString(most: number): string {
    const start = this.at;
    while (this.readU8() !== 0) {
      if (this.failed || this.at - start > most) return this.#fail();
    }
    return this.failed ? '' : decodeUtf8(this.#source.read(start, this.at - 1 - start));
  }

  /** Text of `sizeBytes`; more than `most` is taken for damage. */
  readText(sizeBytes: number, most: number): string {
    const start = this.at;
    if (!(sizeBytes <= most) || !this.skip(sizeBytes)) return this.#fail();
    const { latin1 } = this.#source;
    const bytes = this.#source.read(start, sizeBytes);
    return latin1 !== undefined && isAscii(bytes) ? latin1.slice(start, start + sizeBytes) : decodeUtf8(bytes);
  }

  /** So many bytes, copied; more than `most` is taken for damage. */
  readBytes(sizeBytes: number, most: number): Uint8Array {
    const start = this.at;
    if (sizeBytes <= most && this.skip(sizeBytes)) return this.#source.read(start, sizeBytes).slice();
    this.failed = true;
    return NOTHING;
  }

  /** All bytes that are left, copied; the cursor stays where it is. */
  peekBytes(): Uint8Array {
    return this.#source.read(this.at, this.left).slice();
  }

  skip(sizeBytes: number): boolean {
    if (this.failed || !(sizeBytes <= this.end - this.at)) this.failed = true;
    else this.at += sizeBytes;
    return !this.failed;
  }

  #fail(): string {
    this.failed = true;
    return '';
  }

  /** Where the next bytes lie in the window; negative where the file ends before them. */
  #take(bytes: number): number {
    if (this.failed || this.at + bytes > this.end) {
      this.failed = true;
      return -1;
    }
    let inside = this.at - this.#windowAt;
    if (inside < 0 || inside + bytes > this.#window.length) {
      const window = this.#source.read(this.at, Math.min(WINDOW_BYTES, this.end - this.at));
      this.#window = this.#source.isLasting === true ? window : window.slice();
      this.#view = new DataView(this.#window.buffer, this.#window.byteOffset, this.#window.byteLength);
      this.#windowAt = this.at;
      inside = 0;
      if (bytes > this.#window.length) {
        this.failed = true;
        return -1;
      }
    }
    this.at += bytes;
    return inside;
  }
}

/** Bytes in memory as a file. */
export function toSource(bytes: Uint8Array): ByteSource {
  return {
    sizeBytes: bytes.length,
    isLasting: true,
    read: (offset, length) => bytes.subarray(offset, Math.min(bytes.length, offset + length)),
  };
}

/** As `toSource`, for what is thousands of texts: to decode each takes longer than to cut it out of one string. */
export function toTextSource(bytes: Uint8Array): ByteSource {
  const latin1 = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  return { ...toSource(bytes), latin1 };
}
