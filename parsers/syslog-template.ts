/**
 * The prefix of the kernel's last line, for those behind it that differ in digits only, nearly all of a log:
 *
 *   <6>2026-11-26T14:28:28.672542+00:00 web1 kernel: [   12.345678] usb 1-1: …
 *    d           dd dd dd dddddd                        d: any digit; all else as it was
 *
 * The patterns of syslog-line.ts alone take 0.3 M lines per CPU-second on a busy machine, 1.4–1.9 M there with this (docs/performance.md).
 */
const SECOND_US = 1e6;
const MAX_PREFIX_BYTES = 128;
const LESS = 60;
const GREATER = 62;
const SPACE = 32;
const TIME_BYTES = 8;

export class SyslogTemplate {
  /** Unix µs of the line that `match` took. */
  micros = 0;
  /** Digit of `<6>`, -1 where none stands there. */
  priority = -1;
  readonly #bytes = new Uint8Array(MAX_PREFIX_BYTES);
  readonly #isDigit = new Uint8Array(MAX_PREFIX_BYTES);
  #length = 0;
  #timeAt = 0;
  #fractionDigits = 0;
  #dayMicros = 0;

  /** From the prefix `bytes[at, textAt)`, in which `14:28:28` stands `timeAt` bytes behind its beginning. */
  learn(bytes: Uint8Array, at: number, textAt: number, timeAt: number, micros: number): void {
    const length = textAt - at;
    this.#length = 0;
    if (length > MAX_PREFIX_BYTES || timeAt + TIME_BYTES > length) return;
    this.#bytes.set(bytes.subarray(at, textAt));
    this.#isDigit.fill(0);
    this.#timeAt = timeAt;
    this.#fractionDigits = 0;
    for (const digit of [0, 1, 3, 4, 6, 7]) this.#isDigit[timeAt + digit] = 1;
    if (this.#bytes[timeAt + TIME_BYTES] === 46)
      for (let i = timeAt + TIME_BYTES + 1; isDigit(this.#bytes[i] as number) && i < length; i++, this.#fractionDigits++)
        this.#isDigit[i] = 1;
    if (this.#bytes[0] === LESS && this.#bytes[2] === GREATER) this.#isDigit[1] = 1;
    this.#dayMicros = 0;
    this.#dayMicros = micros - this.#read(bytes, at);
    this.#length = length;
  }

  /** Reads the prefix at `at`: its length, or 0 where it is not like the one that was learnt. */
  match(bytes: Uint8Array, at: number, end: number): number {
    const length = this.#length;
    if (length === 0 || at + length >= end || bytes[at + length] === SPACE) return 0;
    const template = this.#bytes;
    const digits = this.#isDigit;
    for (let i = 0; i < length; i++) {
      const byte = bytes[at + i] as number;
      if (byte === template[i]) continue;
      if (digits[i] === 0 || !isDigit(byte)) return 0;
    }
    const micros = this.#read(bytes, at);
    if (micros < 0) return 0;
    this.micros = micros;
    this.priority = digits[1] === 1 && template[0] === LESS ? (bytes[at + 1] as number) - 48 : -1;
    return length;
  }

  #read(bytes: Uint8Array, at: number): number {
    const p = at + this.#timeAt;
    const hours = twoDigits(bytes, p);
    const minutes = twoDigits(bytes, p + 3);
    const seconds = twoDigits(bytes, p + 6);
    if (hours > 23 || minutes > 59 || seconds > 60) return -1;
    let fraction = 0;
    let scale = SECOND_US;
    for (let i = 0; i < this.#fractionDigits && scale > 1; i++) {
      scale /= 10;
      fraction += ((bytes[p + TIME_BYTES + 1 + i] as number) - 48) * scale;
    }
    return this.#dayMicros + (hours * 3600 + minutes * 60 + seconds) * SECOND_US + fraction;
  }
}

function isDigit(byte: number): boolean {
  return byte >= 48 && byte <= 57;
}

function twoDigits(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) - 48) * 10 + (bytes[at + 1] as number) - 48;
}
