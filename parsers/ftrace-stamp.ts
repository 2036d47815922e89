/**
 * The time of a line, read by what the line before had: its seconds stand in the same columns and are the same ones.
 *
 *   ]  2351.415237: sched_switch: …         ] 52394.160058123: (+37)  …
 *    |     ||    | +-- body                         |          +-- trace-cmd report --ts-diff
 *    |     |+----+-- six digits of us               +-- nine digits of ns (trace-cmd report -t)
 *    +-----+-- compared as words with those of the line before
 *   ] 1130244596427912: sched_switch: …     a whole number, of clocks without a unit
 *   ..... 63738507134us!: sched_switch: …   latency-format
 */
import { isDigit } from '../base/bytes.ts';
import { Int64Array, TWO_POW_32 } from '../base/int64.ts';
import { TIME, type TimeKind } from './ftrace-prefix.ts';
import { DIGITS, readDigits } from './ftrace-digits.ts';
import { RowHead } from './ftrace-rows.ts';
import { setSecondsNs } from './raw-time.ts';

const SPACE = 32;
const DOT = 46;
const COLON = 58;
const OPEN_PAREN = 40;
const CLOSE_PAREN = 41;
/** `(+`, `us` and `: ` as words. */
const PLUS_OPEN = 0x2b28;
const US = 0x7375;
const COLON_SPACE = 0x203a;
/** Of a difference to the event before. */
const MOST_DIFFERENCE_BYTES = 32;
const MOST_SPACES = 16;
const MICROS_DIGITS = 6;
const NANOS_DIGITS = 9;
/** Of the time up to its dot, with the spaces in front. */
const MOST_LEAD_BYTES = 12;
/** So that ns are exact. */
const MOST_MICROS = 9e12;
const BASE = new Int64Array(1);

/** What a line that was predicted has in front of its body. */
export class PredictedPrefix {
  readonly head = new RowHead();
  bodyStart = 0;
  /** The time, as FtraceTimes wants it. */
  seconds = 0;
  nanos = 0;
}

export class FtraceStamp {
  /** What lines have; `TIME.none` before the first one is known. */
  kind: TimeKind = TIME.none;
  /** Of the dot in the line. */
  #dotOffset = 0;
  #isNanos = false;
  /** The twelve bytes in front of the dot, and which of them count. */
  #lead0 = 0;
  #lead1 = 0;
  #lead2 = 0;
  #mask0 = 0;
  #mask1 = 0;
  #mask2 = 0;
  #wholeSeconds = 0;
  #baseLow = 0;
  #baseHigh = 0;

  forget(): void {
    this.kind = TIME.none;
  }

  /** Of the line at `at`, in which the time stands at `from` or behind spaces there. */
  read(view: DataView, at: number, from: number, into: PredictedPrefix): boolean {
    if (this.kind === TIME.dotted) return this.#readDotted(view, at, into);
    return this.kind !== TIME.none && this.#readWhole(view, from, into);
  }

  /** False where the second is another one; reads up to 13 bytes behind the dot, and a difference. */
  #readDotted(view: DataView, at: number, into: PredictedPrefix): boolean {
    const dot = at + this.#dotOffset;
    const differing =
      ((view.getInt32(dot - 4, true) ^ this.#lead0) & this.#mask0) |
      ((view.getInt32(dot - 8, true) ^ this.#lead1) & this.#mask1) |
      ((view.getInt32(dot - 12, true) ^ this.#lead2) & this.#mask2);
    if (differing !== 0 || view.getUint8(dot) !== DOT) return false;
    // `.4152`, `37: `: digits are 0x30 to 0x39.
    const digits = view.getInt32(dot + 1, true);
    const last = view.getInt32(dot + 5, true);
    if ((digits & 0xf0f0_f0f0) !== (0x3030_3030 | 0) || ((digits + 0x0606_0606) & 0xf0f0_f0f0) !== (0x3030_3030 | 0)) return false;
    if ((last & 0xf0f0) !== 0x3030 || ((last + 0x0606) & 0xf0f0) !== 0x3030) return false;
    const values = digits & 0x0f0f_0f0f;
    const pairs = Math.imul(values, 10) + (values >>> 8);
    const micros = (pairs & 0xff) * 10_000 + ((pairs >>> 16) & 0xff) * 100 + (last & 0xf) * 10 + ((last >>> 8) & 0xf);
    let nanos = micros * 1000;
    let end = dot + MICROS_DIGITS + 1;
    if (this.#isNanos) {
      const hundreds = ((last >>> 16) & 0xff) - 48;
      const tens = (last >>> 24) - 48;
      const ones = view.getUint8(dot + NANOS_DIGITS) - 48;
      if (hundreds < 0 || hundreds > 9 || tens < 0 || tens > 9 || ones < 0 || ones > 9) return false;
      nanos += hundreds * 100 + tens * 10 + ones;
      end = dot + NANOS_DIGITS + 1;
      if (view.getUint8(end) !== COLON || view.getUint8(end + 1) !== SPACE) return false;
    } else if (last >>> 16 !== COLON_SPACE) return false;
    const behind = view.getUint8(end + 2);
    into.bodyStart = behind === SPACE || behind === OPEN_PAREN ? skipDifference(view, end + 2) : end + 2;
    into.nanos = nanos;
    into.seconds = this.#wholeSeconds;
    const low = this.#baseLow + nanos;
    into.head.low = low | 0;
    into.head.high = low < TWO_POW_32 ? this.#baseHigh : this.#baseHigh + 1;
    return true;
  }

  /** `1130244596427912: ` and `63738507134us!: `. */
  #readWhole(view: DataView, from: number, into: PredictedPrefix): boolean {
    let p = from;
    while (view.getUint8(p) === SPACE) if (++p > from + MOST_SPACES) return false;
    const end = readDigits(view, p);
    if (end < 0) return false;
    const { value } = DIGITS;
    let raw = value;
    if (this.kind === TIME.relative) {
      if (view.getUint16(end, true) !== US || view.getUint16(end + 3, true) !== COLON_SPACE || value > MOST_MICROS) return false;
      raw = value * 1000;
      into.bodyStart = end + 5;
    } else {
      if (view.getUint16(end, true) !== COLON_SPACE) return false;
      const behind = view.getUint8(end + 2);
      into.bodyStart = behind === SPACE || behind === OPEN_PAREN ? skipDifference(view, end + 2) : end + 2;
    }
    into.seconds = Math.floor(raw / 1e9);
    into.nanos = raw - into.seconds * 1e9;
    const high = Math.floor(raw / TWO_POW_32);
    into.head.high = high;
    into.head.low = (raw - high * TWO_POW_32) | 0;
    return true;
  }

  /** From a line whose time, of this kind, begins at `from`, with spaces in front; false where it is unlike these. */
  learn(bytes: Uint8Array, view: DataView, at: number, from: number, kind: TimeKind, seconds: number): boolean {
    if (kind === TIME.whole || kind === TIME.relative) {
      this.kind = kind;
      return true;
    }
    const dot = endOfLead(bytes, from);
    let p = dot + 1;
    while (isDigit(bytes[p])) p++;
    const digits = p - dot - 1;
    if (dot < 0 || kind !== TIME.dotted || bytes[p] !== COLON || bytes[p + 1] !== SPACE) return false;
    if (digits !== MICROS_DIGITS && digits !== NANOS_DIGITS) return false;
    const count = dot - from;
    this.kind = kind;
    this.#isNanos = digits === NANOS_DIGITS;
    this.#dotOffset = dot - at;
    this.#lead0 = view.getInt32(dot - 4, true);
    this.#lead1 = view.getInt32(dot - 8, true);
    this.#lead2 = view.getInt32(dot - 12, true);
    this.#mask0 = maskOfLast(count);
    this.#mask1 = maskOfLast(count - 4);
    this.#mask2 = maskOfLast(count - 8);
    setSecondsNs(BASE, 0, seconds, 0);
    this.#wholeSeconds = seconds;
    this.#baseLow = BASE.words[0] as number;
    this.#baseHigh = BASE.words[1] as number;
    return true;
  }
}

/** Of spaces and digits: where the dot is behind them, -1 where there is none or it is far. */
function endOfLead(bytes: Uint8Array, from: number): number {
  let p = from;
  while (bytes[p] === SPACE) p++;
  const digitsAt = p;
  while (isDigit(bytes[p])) p++;
  return digitsAt > from && p > digitsAt && bytes[p] === DOT && p - from <= MOST_LEAD_BYTES ? p : -1;
}

/** `(+37)    ` or as many spaces in front of the event; anything else is left. */
function skipDifference(view: DataView, at: number): number {
  let p = at;
  if (view.getUint16(p, true) === PLUS_OPEN) {
    p += 2;
    while (isDigit(view.getUint8(p)) && p < at + MOST_DIFFERENCE_BYTES) p++;
    if (view.getUint8(p++) !== CLOSE_PAREN) return at;
  } else if (view.getUint8(p) === OPEN_PAREN) return at;
  while (view.getUint8(p) === SPACE && p < at + MOST_DIFFERENCE_BYTES) p++;
  return p;
}

/** The last `count` bytes of a word, none or all of it beyond its size. */
function maskOfLast(count: number): number {
  if (count <= 0) return 0;
  return count >= 4 ? -1 : -1 << ((4 - count) * 8);
}
