/**
 * What stands in front of a record's text on a console, each part optional:
 *
 *   <6>[   12.345678][  T123] text           console with printk level; `dmesg -r`
 *   |  |             +-- caller: task T<tid> or CPU C<n>, 6 wide (dmesg puts a space in front)
 *   |  +-- printk time
 *   +-- facility << 3 | level
 *   kern  :info  : [   12.345678] text       dmesg and its other times: dmesg-prefix.ts
 *
 * One object is filled again and again: nothing is allocated for the kernel's own form.
 */
import { LEVEL_UNKNOWN } from '../model/severity.ts';
import { readBracket, readDecodedPriority, readIso, type DmesgTime } from './dmesg-prefix.ts';

const SPACE = 32;
const DOT = 46;
const COLON = 58;
const DASH = 45;
const LESS = 60;
const GREATER = 62;
const OPEN = 91;
const CLOSE = 93;
const CAPITAL_C = 0x43;
const CAPITAL_T = 0x54;
const FRACTION_DIGITS = 6;
const MAX_PRIORITY = 0x3ff;
/** Longest stamp that is looked for in the middle of a line, with a level in front and a byte behind. */
export const STAMP_LOOKAHEAD = 40;

/** `<6>[`, its digit left out, and `] `. */
const PRIORITY = 0x5b3e_003c;
const PRIORITY_MASK = 0xffff_00ff | 0;
const STAMP_END = 0x205d;
const ZEROS = 0x3030_3030;
/** More than `readPlain` looks at. */
const LONG_PREFIX_BYTES = 24;

export class ConsolePrefix {
  level = LEVEL_UNKNOWN;
  facility = 0;
  /** The kernel's own stamp was read: `seconds` and `nanos`. */
  stamped = false;
  seconds = 0;
  nanos = 0;
  /** Another of dmesg's times. */
  time: DmesgTime | undefined;
  pid = -1;
  cpu = -1;

  /** Of the last stamp that was five wide up to its dot: the six bytes behind its bracket as two words, and the seconds. */
  #lead = 0;
  /** The words overlap: these two stand nowhere. */
  #leadEnd = -1;
  #leadSeconds = 0;

  /**
   * As `read`, for what stands in front of most lines: `[    0.473630] ` or `<6>[    0.473630] ` of the same second as the last one that
   * `learn` was given. Returns 0 where it is anything else.
   */
  readPlain(view: DataView, at: number): number {
    if (at + LONG_PREFIX_BYTES > view.byteLength) return 0;
    let p = at;
    let level: number = LEVEL_UNKNOWN;
    const priority = view.getInt32(at, true);
    if ((priority & PRIORITY_MASK) === PRIORITY) {
      level = ((priority >>> 8) & 0xff) - 48;
      if (level < 0 || level > 7) return 0;
      p += 3;
    } else if ((priority & 0xff) !== OPEN) return 0;
    if (view.getInt32(p + 1, true) !== this.#lead || view.getInt32(p + 3, true) !== this.#leadEnd) return 0;
    // `4736`, `30] `: digits are 0x30 to 0x39.
    const digits = view.getInt32(p + 7, true);
    const last = view.getInt32(p + 11, true);
    if (last >>> 16 !== STAMP_END || view.getUint8(p + 15) === OPEN) return 0;
    if ((digits & 0xf0f0_f0f0) !== ZEROS || ((digits + 0x0606_0606) & 0xf0f0_f0f0) !== ZEROS) return 0;
    if ((last & 0xf0f0) !== 0x3030 || ((last + 0x0606) & 0xf0f0) !== 0x3030) return 0;
    const values = digits & 0x0f0f_0f0f;
    const pairs = Math.imul(values, 10) + (values >>> 8);
    this.nanos = ((pairs & 0xff) * 10_000 + ((pairs >>> 16) & 0xff) * 100 + (last & 0xf) * 10 + ((last >>> 8) & 0xf)) * 1000;
    this.seconds = this.#leadSeconds;
    this.level = level;
    this.facility = 0;
    this.stamped = true;
    this.time = undefined;
    this.pid = this.cpu = -1;
    return p + 15;
  }

  /** From the prefix at `at`, which was read last. */
  learn(view: DataView, at: number): void {
    if (!this.stamped || at + LONG_PREFIX_BYTES > view.byteLength) return;
    const p = view.getUint8(at) === LESS ? at + 3 : at;
    if (view.getUint8(p) !== OPEN || view.getUint8(p + 6) !== DOT) return;
    this.#lead = view.getInt32(p + 1, true);
    this.#leadEnd = view.getInt32(p + 3, true);
    this.#leadSeconds = this.seconds;
  }

  /** Reads the prefix at `at` and returns where the text starts. A newline or the end of `bytes` ends every form. */
  read(bytes: Uint8Array, at: number): number {
    this.level = LEVEL_UNKNOWN;
    this.facility = 0;
    this.stamped = false;
    this.time = undefined;
    this.pid = this.cpu = -1;
    let p = at;
    if (bytes[p] === LESS) p = this.#readPriority(bytes, p);
    const first = bytes[p] as number;
    if (first === OPEN) {
      const end = this.readStamp(bytes, p);
      if (end > 0) return this.#readCaller(bytes, end);
      return this.#readOther(bytes, p);
    }
    if (first >= 48 && first <= 57) return bytes[p + 4] === DASH && bytes[p + 7] === DASH ? this.#readOther(bytes, p) : p;
    if (first >= 97 && first <= 122 && p === at && (bytes[p + 6] === COLON || bytes[p + 8] === COLON)) return this.#readDecoded(bytes, p);
    return p;
  }

  /** `[   12.345678]` at `at`: fills seconds and nanos and returns what follows, or 0. */
  readStamp(bytes: Uint8Array, at: number): number {
    let p = at + 1;
    let byte = bytes[p] as number;
    while (byte === SPACE && p < at + 8) byte = bytes[++p] as number;
    const from = p;
    let seconds = 0;
    while (byte >= 48 && byte <= 57 && p - from < 10) {
      seconds = seconds * 10 + byte - 48;
      byte = bytes[++p] as number;
    }
    if (byte !== DOT || p === from) return 0;
    let micros = 0;
    const fractionEnd = p + 1 + FRACTION_DIGITS;
    for (p++; p < fractionEnd; p++) {
      byte = bytes[p] as number;
      if (!(byte >= 48 && byte <= 57)) return 0;
      micros = micros * 10 + byte - 48;
    }
    if (bytes[p] !== CLOSE) return 0;
    this.seconds = seconds;
    this.nanos = micros * 1000;
    this.stamped = true;
    return p + 1;
  }

  #readPriority(bytes: Uint8Array, at: number): number {
    let p = at + 1;
    let value = 0;
    let byte = bytes[p] as number;
    while (byte >= 48 && byte <= 57 && value <= MAX_PRIORITY) {
      value = value * 10 + byte - 48;
      byte = bytes[++p] as number;
    }
    if (byte !== GREATER || p === at + 1 || value > MAX_PRIORITY) return at;
    this.level = value & 7;
    this.facility = value >>> 3;
    return p + 1;
  }

  /** The caller behind a stamp, if there is one, and the space in front of the text. */
  #readCaller(bytes: Uint8Array, at: number): number {
    const open = bytes[at] === OPEN ? at : bytes[at] === SPACE && bytes[at + 1] === OPEN ? at + 1 : -1;
    if (open >= 0) {
      let p = open + 1;
      while (bytes[p] === SPACE && p < open + 6) p++;
      const kind = bytes[p];
      let id = 0;
      let byte = bytes[++p] as number;
      while (byte >= 48 && byte <= 57 && id < 1e8) {
        id = id * 10 + byte - 48;
        byte = bytes[++p] as number;
      }
      // Narrower brackets are text that happens to look like a caller.
      if (byte === CLOSE && p - open > 6 && (kind === CAPITAL_T || kind === CAPITAL_C)) {
        if (kind === CAPITAL_T) this.pid = id;
        else this.cpu = id;
        return bytes[p + 1] === SPACE ? p + 2 : p + 1;
      }
    }
    return bytes[at] === SPACE ? at + 1 : at;
  }

  #readOther(bytes: Uint8Array, at: number): number {
    this.time = bytes[at] === OPEN ? readBracket(bytes, at) : readIso(bytes, at);
    return this.time === undefined ? at : this.#readCaller(bytes, this.time.end);
  }

  #readDecoded(bytes: Uint8Array, at: number): number {
    const priority = readDecodedPriority(bytes, at);
    if (priority === undefined) return at;
    const { end, level, facility } = priority;
    const textAt = this.read(bytes, end);
    this.level = level;
    this.facility = facility;
    return textAt;
  }
}

/**
 * Where a record starts whose stamp stands at `at` in the middle of a line: its `<N>` if it has one, else `at`; -1 when this
 * is no stamp. Stricter than at the start of a line: text or a caller must follow.
 */
export function findMidLineStart(scratch: ConsolePrefix, bytes: Uint8Array, at: number, least: number): number {
  const end = scratch.readStamp(bytes, at);
  if (end === 0 || (bytes[end] !== SPACE && bytes[end] !== OPEN)) return -1;
  if (bytes[at - 1] !== GREATER) return at;
  let p = at - 2;
  while (p > least && p > at - 5 && (bytes[p] as number) >= 48 && (bytes[p] as number) <= 57) p--;
  return p >= least && p < at - 2 && bytes[p] === LESS ? p : at;
}
