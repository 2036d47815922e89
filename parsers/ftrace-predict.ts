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
 *                 sh   28326   0 1 00000002 00000004 [ed71c6f82] 63738507.138ms (+0.003ms): sched_switch: …     verbose
 *   +--------------------------+ 24 bytes of task
 *
 * A line that is unlike those before is left to ftrace-prefix.ts; `learn` then takes from it what the next ones may have.
 */
import { isDigit } from '../base/bytes.ts';
import { TWO_POW_32 } from '../base/int64.ts';
import type { Interner } from '../base/interner.ts';
import { readGlued } from './ftrace-columns.ts';
import { DIGITS, HEX, readDigits, readHexDigits } from './ftrace-digits.ts';
import { TIME, type FtracePrefix, type TimeKind } from './ftrace-prefix.ts';
import { FtraceStamp, PredictedPrefix } from './ftrace-stamp.ts';

const SPACE = 32;
const DASH = 45;
const OPEN = 91;
const CLOSE = 93;

const TASK_SLOTS = 512;
/** Six words of the line, the pid, the dictionary id of the name. */
const TASK_WORDS = 8;
const FLAG_SLOTS = 1024;
/** Four flags, the fifth (a space where there is none), EventTable.flags and preemptCount. */
const FLAG_WORDS = 4;
const NO_FLAGS = -1;
/** Before something is learnt: most files are short, and to allocate 32 KB costs as much as to read some lines. */
const NO_TASK_TABLE = new Int32Array(TASK_SLOTS * TASK_WORDS);
const NO_FLAG_TABLE = new Int32Array(FLAG_SLOTS * FLAG_WORDS).fill(NO_FLAGS);
/** Where the columns of a line are. */
const EVENT = { dash: 16, bracket: 24, cpu: 26, flags: 31 } as const;
const VERBOSE = { commEnd: 16, pidEnd: 24, cpu: 25, flags: 29 } as const;
/** So that ns are exact. */
const MOST_EXACT = 2 ** 53;
const MOST_MICROS_DIGITS = 13;
const MOST_DELAY_BYTES = 64;
/** ` [`, `] ` and `):` as words. */
const SPACE_OPEN = 0x5b20;
const CLOSE_SPACE = 0x205d;
const PAREN_COLON = 0x3a29;

export class FtracePredictor {
  /** Of lines of verbose. */
  verboseTime: TimeKind = TIME.none;
  /** The line that was read last. */
  readonly line = new PredictedPrefix();
  #tasks = NO_TASK_TABLE;
  #flags = NO_FLAG_TABLE;
  readonly #stamp = new FtraceStamp();

  /** Before text whose columns may mean something else. */
  forget(): void {
    this.forgetTasks();
    if (this.#flags !== NO_FLAG_TABLE) this.#flags.fill(NO_FLAGS);
    this.#stamp.forget();
  }

  /** Before another dictionary: ids of names are of no more use. */
  forgetTasks(): void {
    if (this.#tasks !== NO_TASK_TABLE) this.#tasks.fill(0);
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
    this.line.head.cpu = hundreds * 100 + tens * 10 + ones;
    if (!this.#readFlags(view, at + EVENT.flags) || !this.#stamp.read(view, at, 0, this.line)) return false;
    return this.#readTask(
      view.getInt32(at, true),
      view.getInt32(at + 4, true),
      view.getInt32(at + 8, true),
      view.getInt32(at + 12, true),
      view.getInt32(at + 16, true),
      view.getInt32(at + 20, true),
    );
  }

  /** As `readEvent`, for latency-format with verbose; reads up to 200 bytes. */
  readVerbose(view: DataView, at: number): boolean {
    const { line } = this;
    const cpu = readGlued(view, at + VERBOSE.cpu);
    if (cpu < 0 || view.getUint8(at + VERBOSE.pidEnd) !== SPACE || view.getUint8(at + VERBOSE.flags - 1) !== SPACE) return false;
    const flagsEnd = readDigits(view, at + VERBOSE.flags);
    const flags = DIGITS.value;
    if (flagsEnd < 0 || flags > 0xff || view.getUint8(flagsEnd) !== SPACE) return false;
    const preemptEnd = readHexDigits(view, flagsEnd + 1);
    const preempt = HEX.low;
    const indexEnd = readHexDigits(view, preemptEnd + 1);
    if (preemptEnd !== flagsEnd + 9 || indexEnd !== preemptEnd + 9 || view.getUint8(preemptEnd) !== SPACE) return false;
    if (view.getUint16(indexEnd, true) !== SPACE_OPEN || !this.#readVerboseTime(view, indexEnd + 2)) return false;
    line.head.cpu = cpu;
    line.head.bits = flags | ((preempt & 0xff) << 8);
    return this.#readTask(
      view.getInt32(at, true),
      view.getInt32(at + 4, true),
      view.getInt32(at + 8, true),
      view.getInt32(at + 12, true),
      view.getInt32(at + 16, true),
      view.getInt32(at + 20, true),
    );
  }

  /** `ed71c6f82] 63738507.138ms (+0.003ms): `: us; where a clock has no unit 16 digits. */
  #readVerboseTime(view: DataView, at: number): boolean {
    const end = readHexDigits(view, at);
    const isWhole = end - at === 16;
    if (end < 0 || isWhole !== (this.verboseTime === TIME.whole) || (!isWhole && end > at + MOST_MICROS_DIGITS)) return false;
    if (view.getUint16(end, true) !== CLOSE_SPACE) return false;
    const { line } = this;
    let raw = HEX.high * TWO_POW_32 + HEX.low;
    if (!isWhole) raw *= 1000;
    if (raw >= MOST_EXACT) return false;
    let p = end + 2;
    while (view.getUint16(p, true) !== PAREN_COLON) if (view.getUint8(p) < SPACE || ++p > end + MOST_DELAY_BYTES) return false;
    if (view.getUint8(p + 2) !== SPACE) return false;
    line.bodyStart = p + 3;
    line.seconds = Math.floor(raw / 1e9);
    line.nanos = raw - line.seconds * 1e9;
    line.head.high = Math.floor(raw / TWO_POW_32);
    line.head.low = (raw - line.head.high * TWO_POW_32) | 0;
    return true;
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
    this.line.head.pid = tasks[slot + 6] as number;
    this.line.head.comm = tasks[slot + 7] as number;
    return true;
  }

  #readFlags(view: DataView, at: number): boolean {
    const four = view.getInt32(at, true);
    const fifth = view.getUint8(at + 4);
    const flags = this.#flags;
    const slot = slotOfFlags(four, fifth);
    if (flags[slot] !== four || flags[slot + 1] !== fifth) return false;
    this.line.head.bits = flags[slot + 2] as number;
    return true;
  }

  /** From a line that was read by ftrace-prefix.ts and whose body is at `prefix.bodyStart`; false where it has other columns. */
  learn(bytes: Uint8Array, view: DataView, at: number, prefix: FtracePrefix, strings: Interner): boolean {
    if (prefix.hasTgid || prefix.comm !== undefined) return false;
    return prefix.time === TIME.dotted && this.#learnEvent(bytes, view, at, prefix, strings);
  }

  #learnEvent(bytes: Uint8Array, view: DataView, at: number, prefix: FtracePrefix, strings: Interner): boolean {
    const { bracket, cpu, flags } = EVENT;
    if (prefix.commEnd !== at + EVENT.dash || !hasTask(bytes, at, EVENT.dash, bracket + 1) || bytes[at + bracket + 1] !== OPEN)
      return false;
    if (bytes[at + cpu + 3] !== CLOSE || bytes[at + cpu + 4] !== SPACE || isDigit(bytes[at + flags])) return false;
    const flagsEnd = this.#learnFlags(bytes, view, at + flags, prefix);
    if (flagsEnd === 0 || !this.#stamp.learn(bytes, view, at, flagsEnd, prefix.time, prefix.seconds)) return false;
    this.#learnTask(bytes, view, at, prefix, strings);
    return true;
  }

  /** As `learn`, from a line that was read as latency-format with verbose. */
  learnVerbose(bytes: Uint8Array, view: DataView, at: number, prefix: FtracePrefix, strings: Interner): boolean {
    const isPid = isDigit(bytes[at + VERBOSE.pidEnd - 1]) && bytes[at + VERBOSE.pidEnd] === SPACE;
    if (!isPid || prefix.commEnd !== at + VERBOSE.commEnd || (prefix.time !== TIME.ns && prefix.time !== TIME.whole)) return false;
    this.verboseTime = prefix.time;
    this.#learnTask(bytes, view, at, prefix, strings);
    return true;
  }

  #learnTask(bytes: Uint8Array, view: DataView, at: number, prefix: FtracePrefix, strings: Interner): void {
    const words = [0, 4, 8, 12, 16, 20].map((offset) => view.getInt32(at + offset, true));
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = words;
    const comm = strings.intern(bytes, prefix.commStart, prefix.commEnd);
    const slot = slotOfTask(a, b, c, d, e, f);
    if (this.#tasks === NO_TASK_TABLE) this.#tasks = NO_TASK_TABLE.slice();
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
    if (this.#flags === NO_FLAG_TABLE) this.#flags = NO_FLAG_TABLE.slice();
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
