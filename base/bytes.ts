/** Growable byte buffer with a cursor, for every encoder on the bulk path: no object per value, one copy on growth. */
const encoder = new TextEncoder();
// Kernel text may begin with U+FEFF like with any other character: keep it.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

export class ByteWriter {
  bytes: Uint8Array<ArrayBuffer>;
  length = 0;
  #view: DataView<ArrayBuffer>;

  constructor(capacity = 4096) {
    this.bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.bytes.buffer);
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.bytes.length) return;
    let capacity = this.bytes.length * 2;
    while (capacity < needed) capacity *= 2;
    const grown = new Uint8Array(capacity);
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
    this.#view = new DataView(grown.buffer);
  }

  reset(): void {
    this.length = 0;
  }

  /** The bytes written so far: a view, valid until the next write. */
  view(): Uint8Array<ArrayBuffer> {
    return this.bytes.subarray(0, this.length);
  }

  /** The bytes written so far, copied. */
  toBytes(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(0, this.length);
  }

  writeU8(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  writeU32(value: number): void {
    this.reserve(4);
    this.#view.setUint32(this.length, value, true);
    this.length += 4;
  }

  writeU64Words(low: number, high: number): void {
    this.reserve(8);
    this.#view.setUint32(this.length, low, true);
    this.#view.setUint32(this.length + 4, high, true);
    this.length += 8;
  }

  writeF64(value: number): void {
    this.reserve(8);
    this.#view.setFloat64(this.length, value, true);
    this.length += 8;
  }

  /** Unsigned LEB128 of a non-negative integer below 2^53. */
  writeVarint(value: number): void {
    this.reserve(10);
    let rest = value;
    while (rest > 0x7f) {
      this.bytes[this.length++] = (rest & 0x7f) | 0x80;
      rest = rest < 0x8000_0000 ? rest >>> 7 : Math.floor(rest / 128);
    }
    this.bytes[this.length++] = rest;
  }

  writeBytes(source: Uint8Array, start = 0, end = source.length): void {
    const count = end - start;
    this.reserve(count);
    if (count < 24) {
      const { bytes } = this;
      let at = this.length;
      for (let i = start; i < end; i++) bytes[at++] = source[i] as number;
    } else {
      this.bytes.set(start === 0 && end === source.length ? source : source.subarray(start, end), this.length);
    }
    this.length += count;
  }

  /** UTF-8 bytes of `text` with no length in front. */
  writeUtf8(text: string): void {
    this.reserve(text.length * 3);
    this.length += encoder.encodeInto(text, this.bytes.subarray(this.length)).written;
  }

  /** Varint byte length, then UTF-8: the string form of protobuf and of ClickHouse Native. */
  writeString(text: string): void {
    const at = this.length;
    // One byte is reserved for the length; longer texts shift.
    this.reserve(text.length * 3 + 5);
    const { written } = encoder.encodeInto(text, this.bytes.subarray(at + 1));
    if (written < 0x80) {
      this.bytes[at] = written;
      this.length = at + 1 + written;
      return;
    }
    const width = written < 0x4000 ? 2 : written < 0x20_0000 ? 3 : written < 0x1000_0000 ? 4 : 5;
    this.bytes.copyWithin(at + width, at + 1, at + 1 + written);
    this.writeVarint(written);
    this.length = at + width + written;
  }
}

/** UTF-8 → string; broken sequences become U+FFFD. */
export function decodeUtf8(bytes: Uint8Array, start = 0, end = bytes.length): string {
  if (end - start < 24) {
    // Short ASCII is faster without the decoder's call overhead.
    let text = '';
    for (let i = start; i < end; i++) {
      const byte = bytes[i] as number;
      if (byte >= 0x80) return decoder.decode(bytes.subarray(start, end));
      text += String.fromCharCode(byte);
    }
    return text;
  }
  return decoder.decode(bytes.subarray(start, end));
}

/** One character per byte, so that lengths agree. */
export function latin1(bytes: Uint8Array, start: number, end: number): string {
  let text = '';
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i] as number);
  return text;
}

export function encodeUtf8(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

export function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 48 && byte <= 57;
}

/** The value of a hexadecimal digit of either case; -1 for another byte. */
export function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const letter = byte | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}

const HEX = '0123456789abcdef';

export function toHex(bytes: Uint8Array, start = 0, end = bytes.length): string {
  let text = '';
  for (let i = start; i < end; i++) {
    const byte = bytes[i] as number;
    text += (HEX[byte >> 4] as string) + (HEX[byte & 15] as string);
  }
  return text;
}
