/**
 * What stands in front of an ftrace text event, up to its body: the drawing is in ftrace-text.ts. One object is filled again and
 * again, also by the readers of the other shapes (ftrace-latency.ts, ftrace-raw.ts, ftrace-bin.ts, ftrace-graph.ts).
 */
import { startsWith } from './boot-phase.ts';
import { encodeUtf8 } from '../base/bytes.ts';

const NEWLINE = 10;
const SPACE = 32;
const OPEN_PAREN = 40;
const CLOSE_PAREN = 41;
const PLUS = 43;
const DASH = 45;
const DOT = 46;
const COLON = 58;
const LESS = 60;
const OPEN = 91;
const CLOSE = 93;

/** The kernel prints the task name right-aligned in 16 columns, so that the dash before the pid stands here. */
const DASH_COLUMN = 16;
/** How far a dash is looked for in lines that were cut or padded by other tools. */
const LAST_DASH_COLUMN = 96;
export const MAX_CPU = 0xffff;
const POW_10 = [1e9, 1e8, 1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1] as const;
const UNKNOWN_COMM = encodeUtf8('<...>');

/** What one flag column shows; the header names them. */
export const FLAG_COLUMN = { irqs: 0, reschedule: 1, context: 2, preempt: 3, migrate: 4, rescheduleLazy: 5, other: 6 } as const;
/** 3.x to about 5.14, and since; other layouts (PREEMPT_RT) come with their header. */
const FOUR_COLUMNS: readonly number[] = [0, 1, 2, 3];
const FIVE_COLUMNS: readonly number[] = [0, 1, 2, 3, 4];

const DIGITS = Array.from('0123456789abcdef');

/** By column and the character shown: EventTable.flags in the low byte, preemptCount in the high one. */
const COLUMN_BITS: readonly Uint16Array[] = [
  toBits({ d: 0x01, b: 0x80, D: 0x81 }),
  toBits({ N: 0x24, n: 0x04, p: 0x20, B: 0x26, L: 0x22, b: 0x06, l: 0x02 }),
  toBits({ Z: 0x48, z: 0x40, H: 0x18, h: 0x08, s: 0x10 }),
  toBits(Object.fromEntries(DIGITS.map((digit, value) => [digit, value << 8]))),
  toBits(Object.fromEntries(DIGITS.map((digit, value) => [digit, value << 12]))),
  toBits({ L: 0x02, l: 0x02, N: 0x02, n: 0x02 }),
  toBits({}),
];

/** How a line gives its time. */
export const TIME = {
  /** `2351.415237`: seconds and ns. */
  dotted: 0,
  /** A whole number without a unit (clocks counter, uptime, x86-tsc), split at 10^9. */
  whole: 1,
  /** A whole number of ns, split at 10^9. */
  ns: 2,
  /** Since the first event of the buffer, or of the latency that was traced. */
  relative: 3,
  none: 4,
} as const;
export type TimeKind = (typeof TIME)[keyof typeof TIME];

/** A thread group that the kernel prints as `-------`. */
export const UNKNOWN_TGID = -1;

export class FtracePrefix {
  commStart = 0;
  commEnd = 0;
  /** The task's name where it does not stand in the line; undefined = `[commStart, commEnd)`. */
  comm: Uint8Array | undefined;
  pid = 0;
  cpu = 0;
  flags = 0;
  preemptCount = 0;
  hasTgid = false;
  tgid = UNKNOWN_TGID;
  time: TimeKind = TIME.none;
  seconds = 0;
  nanos = 0;
  bodyStart = 0;
  /** Flag columns as the input's header names them; undefined without one. */
  columns: readonly number[] | undefined;

  /** True when the line at `at` starts as an event does. */
  read(bytes: Uint8Array, at: number): boolean {
    if (bytes[at + DASH_COLUMN] === DASH && this.#readFrom(bytes, at, at + DASH_COLUMN)) return true;
    return this.#readUnaligned(bytes, at);
  }

  #readUnaligned(bytes: Uint8Array, at: number): boolean {
    const last = Math.min(at + LAST_DASH_COLUMN, bytes.length);
    let lineEnd = at;
    while (lineEnd < last && bytes[lineEnd] !== NEWLINE) lineEnd++;
    for (let dash = Math.min(at + DASH_COLUMN, lineEnd) - 1; dash > at; dash--) {
      if (bytes[dash] === DASH && this.#readFrom(bytes, at, dash)) return true;
    }
    for (let dash = at + DASH_COLUMN + 1; dash < lineEnd; dash++) {
      if (bytes[dash] === DASH && this.#readFrom(bytes, at, dash)) {
        this.skipInstance(bytes, at);
        return true;
      }
    }
    return false;
  }

  /** trace-cmd puts `instance: ` or `file: ` in front of the columns. */
  skipInstance(bytes: Uint8Array, at: number): void {
    let p = at;
    while (p < this.commEnd && bytes[p] === SPACE) p++;
    while (p < this.commEnd && bytes[p] !== SPACE) p++;
    if (p === at || bytes[p - 1] !== COLON) return;
    this.setTask(bytes, p, this.commEnd, this.pid);
  }

  #readFrom(bytes: Uint8Array, at: number, dash: number): boolean {
    let p = this.readPid(bytes, dash + 1);
    if (p === 0) return false;
    let byte = bytes[p] as number;
    const { pid } = this;
    this.hasTgid = byte === OPEN_PAREN;
    if (byte === OPEN_PAREN) {
      p = this.#readTgid(bytes, p);
      byte = bytes[p] as number;
    }
    if (byte !== OPEN) return false;
    let cpu = 0;
    const cpuAt = ++p;
    byte = bytes[p] as number;
    while (byte >= 48 && byte <= 57 && cpu <= MAX_CPU) {
      cpu = cpu * 10 + byte - 48;
      byte = bytes[++p] as number;
    }
    if (byte !== CLOSE || p === cpuAt || cpu > MAX_CPU) return false;
    byte = bytes[++p] as number;
    while (byte === SPACE) byte = bytes[++p] as number;
    const flagsAt = p;
    let flagsEnd = p;
    if (!(byte >= 48 && byte <= 57)) {
      while (byte > SPACE) byte = bytes[++p] as number;
      flagsEnd = p;
      while (byte === SPACE) byte = bytes[++p] as number;
    }
    const bodyStart = this.readTime(bytes, p);
    if (bodyStart === 0) return false;
    if (flagsEnd > flagsAt) this.readFlags(bytes, flagsAt, flagsEnd);
    else this.flags = this.preemptCount = 0;
    this.setTask(bytes, at, dash, pid);
    this.cpu = cpu;
    this.bodyStart = bodyStart;
    return true;
  }

  /** `11843   `: a pid and the spaces behind it; returns what follows, or 0. */
  readPid(bytes: Uint8Array, at: number): number {
    let p = at;
    let byte = bytes[p] as number;
    let pid = 0;
    while (byte >= 48 && byte <= 57 && pid < 2 ** 31) {
      pid = pid * 10 + byte - 48;
      byte = bytes[++p] as number;
    }
    if (p === at || byte !== SPACE || pid >= 2 ** 31) return 0;
    this.pid = pid;
    while (byte === SPACE) byte = bytes[++p] as number;
    return p;
  }

  /** The task whose name stands right-aligned in `[at, dash)`. */
  setTask(bytes: Uint8Array, at: number, dash: number, pid: number): void {
    let start = at;
    while (bytes[start] === SPACE && start < dash) start++;
    this.comm = undefined;
    this.commStart = start;
    this.commEnd = dash;
    this.pid = pid;
    if (bytes[start] === LESS && startsWith(bytes, start, dash, UNKNOWN_COMM)) this.commStart = dash;
  }

  /** Nothing is known of the task, its state and its time. */
  clear(): void {
    this.comm = undefined;
    this.commStart = this.commEnd = 0;
    this.pid = this.cpu = this.flags = this.preemptCount = 0;
    this.hasTgid = false;
    this.time = TIME.none;
  }

  /** `(  11843) ` or `(-------) `; returns where the next column starts. */
  #readTgid(bytes: Uint8Array, at: number): number {
    let p = at + 1;
    let byte = bytes[p] as number;
    while (byte === SPACE) byte = bytes[++p] as number;
    let tgid = 0;
    const from = p;
    while (byte >= 48 && byte <= 57 && tgid < 2 ** 31) {
      tgid = tgid * 10 + byte - 48;
      byte = bytes[++p] as number;
    }
    this.tgid = p === from ? UNKNOWN_TGID : tgid;
    while (byte === DASH) byte = bytes[++p] as number;
    if (byte !== CLOSE_PAREN) return p;
    byte = bytes[++p] as number;
    while (byte === SPACE) byte = bytes[++p] as number;
    return p;
  }

  /** `2351.415237: ` or `6114158012007: `; returns where the body starts, or 0. */
  readTime(bytes: Uint8Array, at: number): number {
    const p = this.readNumber(bytes, at);
    if (p === 0 || bytes[p] !== COLON) return 0;
    if (bytes[p + 1] !== SPACE) return p + 1;
    return bytes[p + 2] === OPEN_PAREN || bytes[p + 2] === SPACE ? skipDifference(bytes, p + 2) : p + 2;
  }

  /** `2351.415237` or `6114158012007`; returns its end, or 0. */
  readNumber(bytes: Uint8Array, at: number): number {
    let p = at;
    let byte = bytes[p] as number;
    let whole = 0;
    while (byte >= 48 && byte <= 57) {
      whole = whole * 10 + byte - 48;
      byte = bytes[++p] as number;
    }
    const digits = p - at;
    if (digits === 0 || digits > 20) return 0;
    if (byte === DOT) {
      let fraction = 0;
      const from = ++p;
      byte = bytes[p] as number;
      while (byte >= 48 && byte <= 57 && p < from + 9) {
        fraction = fraction * 10 + byte - 48;
        byte = bytes[++p] as number;
      }
      if (p === from || digits > 10) return 0;
      this.seconds = whole;
      this.nanos = fraction * (POW_10[p - from] as number);
      this.time = TIME.dotted;
    } else {
      this.time = TIME.whole;
      if (digits <= 15) {
        this.seconds = Math.floor(whole / 1e9);
        this.nanos = whole - this.seconds * 1e9;
      } else this.#splitLong(bytes, at, p);
    }
    return p;
  }

  /** Counters beyond 2^53. */
  #splitLong(bytes: Uint8Array, start: number, end: number): void {
    this.seconds = this.nanos = 0;
    for (let p = start; p < end - 9; p++) this.seconds = this.seconds * 10 + (bytes[p] as number) - 48;
    for (let p = end - 9; p < end; p++) this.nanos = this.nanos * 10 + (bytes[p] as number) - 48;
  }

  readFlags(bytes: Uint8Array, start: number, end: number): void {
    const count = end - start;
    const columns = columnsOf(this.columns, count);
    let bits = 0;
    for (let i = 0; i < count && i < columns.length; i++)
      bits |= (COLUMN_BITS[columns[i] as number] as Uint16Array)[bytes[start + i] as number] as number;
    this.flags = bits & 0xff;
    this.preemptCount = bits >> 8;
  }
}

/** osnoise and timerlat print a header with more columns than their lines have: then the number decides. */
function columnsOf(columns: readonly number[] | undefined, count: number): readonly number[] {
  return columns?.length === count ? columns : count === 5 ? FIVE_COLUMNS : FOUR_COLUMNS;
}

const NO_BITS = new Uint16Array(256);

/** What `readFlags` takes from the character at `place` of `count`: EventTable.flags in the low byte, preemptCount in the one above. */
export function flagBits(columns: readonly number[] | undefined, count: number, place: number): Uint16Array {
  const column = columnsOf(columns, count)[place];
  return column === undefined ? NO_BITS : (COLUMN_BITS[column] as Uint16Array);
}

/** trace-cmd report --ts-diff: `(+37)    `, `(+-37)   ` or as many spaces in front of the event; anything else is left. */
function skipDifference(bytes: Uint8Array, at: number): number {
  let p = at;
  if (bytes[p] === OPEN_PAREN) {
    if (bytes[++p] !== PLUS) return at;
    let byte = bytes[++p] as number;
    // Times run backwards where trace-cmd has merged them so.
    if (byte === DASH) byte = bytes[++p] as number;
    while (byte >= 48 && byte <= 57) byte = bytes[++p] as number;
    if (byte !== CLOSE_PAREN) return at;
    p++;
  }
  while (bytes[p] === SPACE) p++;
  return p;
}

function toBits(values: Readonly<Record<string, number>>): Uint16Array {
  const table = new Uint16Array(256);
  for (const [character, value] of Object.entries(values)) table[character.charCodeAt(0)] = value;
  return table;
}
