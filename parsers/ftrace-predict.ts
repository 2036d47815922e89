/**
 * The prefix of an ftrace text line, read by what was learnt from lines before it: tasks, flags and the second come again and
 * again, and the kernel prints them at the same columns, so that whole words are compared instead of reading byte by byte.
 *
 *               bash-11843   [001] d..2.  2351.415237: sched_switch: …
 *   |.......................||   | |   |  |   |     +-- six digits of us
 *   |                        |   | |   |  +---+-- as in the line before, up to the dot
 *   |                        |   | +---+-- flags: a small table
 *   |                        |   +-- three digits of the CPU
 *   +-- 24 bytes: task and pid, a table
 *         sh-31316     1d..2. 20720us!: sched_switch: …          latency-format: 16 bytes of task, us since the first event
 *
 * A line that is unlike those before is left to ftrace-prefix.ts; `learn` then takes from it what the next ones may have.
 */
import { isDigit } from '../base/bytes.ts';
import { Int64Array, TWO_POW_32 } from '../base/int64.ts';
import type { Interner } from '../base/interner.ts';
import { TIME, type FtracePrefix } from './ftrace-prefix.ts';
import { RowHead } from './ftrace-rows.ts';
import { setSecondsNs } from './raw-time.ts';

const SPACE = 32;
const DASH = 45;
const DOT = 46;
const COLON = 58;
const OPEN = 91;
const CLOSE = 93;
const OPEN_PAREN = 40;

const TASK_SLOTS = 512;
/** Six words of the line, the pid, the dictionary id of the name. */
const TASK_WORDS = 8;
const FLAG_SLOTS = 1024;
/** Four flags, the fifth (a space where there is none), EventTable.flags and preemptCount. */
const FLAG_WORDS = 4;
const NO_FLAGS = -1;
/** Where the columns of a line are. */
const EVENT = { dash: 16, bracket: 24, cpu: 26, flags: 31 } as const;
const LATENCY = { dash: 8, cpu: 17, flags: 20, time: 26 } as const;
/** Of the time up to its dot, with the spaces in front. */
const MOST_LEAD_BYTES = 12;

export class FtracePredictor {
  bodyStart = 0;
  readonly head = new RowHead();
  /** The time, as FtraceTimes wants it. */
  seconds = 0;
  nanos = 0;
  readonly #tasks = new Int32Array(TASK_SLOTS * TASK_WORDS);
  readonly #flags = new Int32Array(FLAG_SLOTS * FLAG_WORDS);
  /** Offset of the dot in the line, 0 before the first one is known. */
  #dotOffset = 0;
  #flagsEnd = 0;
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

  constructor() {
    this.forget();
  }

  /** Before text whose columns may mean something else. */
  forget(): void {
    this.forgetTasks();
    this.#flags.fill(NO_FLAGS);
    this.#dotOffset = 0;
  }

  /** Before another dictionary: ids of names are of no more use. */
  forgetTasks(): void {
    this.#tasks.fill(0);
  }

  /** True when the line at `at` is an event as the ones before it; reads up to 64 bytes, whatever the line has. */
  readEvent(view: DataView, at: number): boolean {
    const bracket = view.getInt32(at + EVENT.bracket, true);
    const rest = view.getInt32(at + EVENT.bracket + 4, true);
    // ` [` and `] `.
    if ((bracket & 0xffff) !== 0x5b20 || (rest & 0xff_ff00) !== 0x20_5d00) return false;
    const hundreds = ((bracket >>> 16) & 0xff) - 48;
    const tens = (bracket >>> 24) - 48;
    const ones = (rest & 0xff) - 48;
    if (hundreds < 0 || hundreds > 9 || tens < 0 || tens > 9 || ones < 0 || ones > 9) return false;
    this.head.cpu = hundreds * 100 + tens * 10 + ones;
    if (!this.#readFlags(view, at + EVENT.flags) || !this.#readStamp(view, at)) return false;
    return this.#readTask(
      view.getInt32(at, true),
      view.getInt32(at + 4, true),
      view.getInt32(at + 8, true),
      view.getInt32(at + 12, true),
      view.getInt32(at + 16, true),
      view.getInt32(at + 20, true),
    );
  }

  /** As `readEvent`, for latency-format. */
  readLatency(view: DataView, at: number): boolean {
    // ` ` and the CPU, three wide.
    const columns = view.getInt32(at + LATENCY.cpu - 1, true);
    const tens = (columns >>> 16) & 0xff;
    const ones = (columns >>> 24) - 48;
    if ((columns & 0xffff) !== 0x2020 || ones < 0 || ones > 9) return false;
    if (tens === SPACE) this.head.cpu = ones;
    else if (tens >= 49 && tens <= 57) this.head.cpu = (tens - 48) * 10 + ones;
    else return false;
    if (!this.#readFlags(view, at + LATENCY.flags) || view.getUint8(at + LATENCY.time - 1) !== SPACE) return false;
    return (
      this.#readMicros(view, at + LATENCY.time) &&
      this.#readTask(view.getInt32(at, true), view.getInt32(at + 4, true), view.getInt32(at + 8, true), view.getInt32(at + 12, true), 0, 0)
    );
  }

  #readTask(a: number, b: number, c: number, d: number, e: number, f: number): boolean {
    const tasks = this.#tasks;
    let slot = slotOfTask(a, b, c, d, e, f);
    // An empty slot is all zeros.
    if (c === 0) return false;
    if (tasks[slot + 3] !== d || tasks[slot + 4] !== e || tasks[slot + 2] !== c) slot ^= TASK_WORDS;
    if (
      tasks[slot] !== a ||
      tasks[slot + 1] !== b ||
      tasks[slot + 2] !== c ||
      tasks[slot + 3] !== d ||
      tasks[slot + 4] !== e ||
      tasks[slot + 5] !== f
    )
      return false;
    this.head.pid = tasks[slot + 6] as number;
    this.head.comm = tasks[slot + 7] as number;
    return true;
  }

  #readFlags(view: DataView, at: number): boolean {
    const four = view.getInt32(at, true);
    const fifth = view.getUint8(at + 4);
    const flags = this.#flags;
    const slot = slotOfFlags(four, fifth);
    if (flags[slot] !== four || flags[slot + 1] !== fifth) return false;
    this.head.bits = flags[slot + 2] as number;
    return true;
  }

  /** The time, whose seconds are those of the line before. */
  #readStamp(view: DataView, at: number): boolean {
    if (this.#dotOffset === 0) return false;
    const dot = at + this.#dotOffset;
    const differing =
      ((view.getInt32(dot - 4, true) ^ this.#lead0) & this.#mask0) |
      ((view.getInt32(dot - 8, true) ^ this.#lead1) & this.#mask1) |
      ((view.getInt32(dot - 12, true) ^ this.#lead2) & this.#mask2);
    if (differing !== 0) return false;
    // `.4152`, `37: `: digits are 0x30 to 0x39.
    const digits = view.getInt32(dot + 1, true);
    const last = view.getInt32(dot + 5, true);
    const behind = view.getUint8(dot + 9);
    if (view.getUint8(dot) !== DOT || last >>> 16 !== 0x203a || behind === SPACE || behind === OPEN_PAREN) return false;
    if ((digits & 0xf0f0_f0f0) !== (0x3030_3030 | 0) || ((digits + 0x0606_0606) & 0xf0f0_f0f0) !== (0x3030_3030 | 0)) return false;
    if ((last & 0xf0f0) !== 0x3030 || ((last + 0x0606) & 0xf0f0) !== 0x3030) return false;
    const values = digits & 0x0f0f_0f0f;
    const pairs = Math.imul(values, 10) + (values >>> 8);
    const micros = (pairs & 0xff) * 10_000 + ((pairs >>> 16) & 0xff) * 100 + (last & 0xf) * 10 + ((last >>> 8) & 0xf);
    this.nanos = micros * 1000;
    this.seconds = this.#wholeSeconds;
    const low = this.#baseLow + this.nanos;
    this.head.low = low | 0;
    this.head.high = low < TWO_POW_32 ? this.#baseHigh : this.#baseHigh + 1;
    this.bodyStart = dot + 9;
    return true;
  }

  /** `20720us!: ` */
  #readMicros(view: DataView, at: number): boolean {
    let p = at;
    let byte = view.getUint8(p);
    while (byte === SPACE && p < at + 8) byte = view.getUint8(++p);
    const from = p;
    let micros = 0;
    while (byte >= 48 && byte <= 57 && p < from + 9) {
      micros = Math.imul(micros, 10) + byte - 48;
      byte = view.getUint8(++p);
    }
    const unit = view.getInt32(p, true);
    if (p === from || (unit & 0xffff) !== 0x7375 || unit >>> 24 !== COLON || view.getUint8(p + 4) !== SPACE) return false;
    const total = micros * 1000;
    this.head.high = Math.floor(total / TWO_POW_32);
    this.head.low = total | 0;
    this.seconds = Math.floor(micros / 1e6);
    this.nanos = (micros - this.seconds * 1e6) * 1000;
    this.bodyStart = p + 5;
    return true;
  }

  /** From a line that was read by ftrace-prefix.ts and whose body is at `prefix.bodyStart`. */
  learn(bytes: Uint8Array, view: DataView, at: number, prefix: FtracePrefix, strings: Interner): void {
    if (prefix.hasTgid || prefix.comm !== undefined) return;
    if (prefix.time === TIME.relative) this.#learnLatency(bytes, view, at, prefix, strings);
    else if (prefix.time === TIME.dotted) this.#learnEvent(bytes, view, at, prefix, strings);
  }

  #learnEvent(bytes: Uint8Array, view: DataView, at: number, prefix: FtracePrefix, strings: Interner): void {
    const { bracket, cpu, flags } = EVENT;
    if (prefix.commEnd !== at + EVENT.dash || !hasTask(bytes, at, EVENT.dash, bracket + 1) || bytes[at + bracket + 1] !== OPEN) return;
    if (bytes[at + cpu + 3] !== CLOSE || bytes[at + cpu + 4] !== SPACE || isDigit(bytes[at + flags])) return;
    const flagsEnd = this.#learnFlags(bytes, view, at + flags, prefix);
    if (flagsEnd === 0) return;
    const dot = prefix.bodyStart - 9;
    if (bytes[dot] !== DOT || dot - flagsEnd > MOST_LEAD_BYTES || !isLead(bytes, flagsEnd, dot)) return;
    this.#flagsEnd = flagsEnd - at;
    this.#learnTask(bytes, view, at, prefix, strings, true);
    this.#learnLead(view, at, dot, prefix.seconds);
  }

  #learnLead(view: DataView, at: number, dot: number, seconds: number): void {
    const count = dot - at - this.#flagsEnd;
    this.#dotOffset = dot - at;
    this.#lead0 = view.getInt32(dot - 4, true);
    this.#lead1 = view.getInt32(dot - 8, true);
    this.#lead2 = view.getInt32(dot - 12, true);
    this.#mask0 = maskOfLast(count);
    this.#mask1 = maskOfLast(count - 4);
    this.#mask2 = maskOfLast(count - 8);
    const base = new Int64Array(1);
    setSecondsNs(base, 0, seconds, 0);
    this.#wholeSeconds = seconds;
    this.#baseLow = base.words[0] as number;
    this.#baseHigh = base.words[1] as number;
  }

  #learnLatency(bytes: Uint8Array, view: DataView, at: number, prefix: FtracePrefix, strings: Interner): void {
    if (prefix.commEnd !== at + LATENCY.dash || !hasTask(bytes, at, LATENCY.dash, LATENCY.cpu)) return;
    if (this.#learnFlags(bytes, view, at + LATENCY.flags, prefix) !== at + LATENCY.time - 1) return;
    this.#learnTask(bytes, view, at, prefix, strings, false);
  }

  #learnTask(bytes: Uint8Array, view: DataView, at: number, prefix: FtracePrefix, strings: Interner, isEvent: boolean): void {
    const words = [0, 4, 8, 12].map((offset) => view.getInt32(at + offset, true));
    words.push(isEvent ? view.getInt32(at + 16, true) : 0, isEvent ? view.getInt32(at + 20, true) : 0);
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = words;
    const comm = strings.intern(bytes, prefix.commStart, prefix.commEnd);
    const slot = slotOfTask(a, b, c, d, e, f);
    // The one that is there moves to the second place.
    this.#tasks.copyWithin(slot ^ TASK_WORDS, slot, slot + TASK_WORDS);
    this.#tasks.set([...words, prefix.pid, comm], slot);
  }

  /** Returns where the flags end; 0 where they are not four or five. */
  #learnFlags(bytes: Uint8Array, view: DataView, at: number, prefix: FtracePrefix): number {
    let end = at;
    while ((bytes[end] as number) > SPACE && end < at + 6) end++;
    if (bytes[end] !== SPACE || end < at + 4 || end > at + 5) return 0;
    const four = view.getInt32(at, true);
    const fifth = bytes[at + 4] as number;
    this.#flags.set([four, fifth, prefix.flags | (prefix.preemptCount << 8)], slotOfFlags(four, fifth));
    return end;
  }
}

/** A dash at `dash`, digits behind it, and spaces from there to `end`. */
function hasTask(bytes: Uint8Array, at: number, dash: number, end: number): boolean {
  let p = at + dash;
  if (bytes[p++] !== DASH || !isDigit(bytes[p])) return false;
  while (isDigit(bytes[p])) p++;
  const pidEnd = p;
  while (bytes[p] === SPACE && p < at + end) p++;
  return p === at + end && pidEnd < p;
}

/** Spaces, and digits up to the dot. */
function isLead(bytes: Uint8Array, from: number, dot: number): boolean {
  let p = from;
  while (bytes[p] === SPACE) p++;
  const digitsAt = p;
  while (isDigit(bytes[p])) p++;
  return digitsAt > from && p > digitsAt && p === dot;
}

/** The last `count` bytes of a word, none or all of it beyond its size. */
function maskOfLast(count: number): number {
  if (count <= 0) return 0;
  return count >= 4 ? -1 : -1 << ((4 - count) * 8);
}

function slotOfTask(a: number, b: number, c: number, d: number, e: number, f: number): number {
  const mixed =
    a ^
    Math.imul(b, 0x85eb_ca6b) ^
    Math.imul(c, 0xc2b2_ae35) ^
    Math.imul(d, 0x27d4_eb2f) ^
    Math.imul(e, 0x1656_67b1) ^
    Math.imul(f, 0x9e37_79b1);
  return (Math.imul(mixed ^ (mixed >>> 15), 0x2c1b_3c6d) >>> 23) * TASK_WORDS;
}

function slotOfFlags(four: number, fifth: number): number {
  const mixed = Math.imul(four ^ (fifth << 7), 0x9e37_79b1);
  return (Math.imul(mixed ^ (mixed >>> 15), 0x2c1b_3c6d) >>> 22) * FLAG_WORDS;
}
