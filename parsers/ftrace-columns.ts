/**
 * Prefixes of other columns than the kernel prints by itself (ftrace-predict.ts), which are learnt from a line: those of
 * `trace-cmd report`, with a thread group, without flags or with more of them, with a time of another kind; of latency-format.
 *
 *   big:               sh-9757  [000] 52394.160058: sched_waking:  comm=…    trace-cmd report, with an instance in front
 *           bash-11843   (  11843) [001] d..2.  2351.415237: sched_waking: … record-tgid
 *   |                              ||   | |  |  +-- ftrace-stamp.ts
 *   |                              ||   | +--+-- up to eight flags, a table
 *   |                              |+---+-- three digits of the CPU
 *   +------------------------------+-- task, pid and thread group, a table: the line up to the bracket, as words
 *         sh-28326     0d..2. 63738507142us : sched_waking: …               latency-format, trace-cmd report -l
 *   |                | ||   +-- flags behind the CPU
 *   |                +-+-- the CPU, three wide
 *   +----------------+-- task
 */
import { isDigit } from '../base/bytes.ts';
import type { Interner } from '../base/interner.ts';
import { UNKNOWN_TGID, type FtracePrefix, type TimeKind } from './ftrace-prefix.ts';
import { FtraceStamp, type PredictedPrefix } from './ftrace-stamp.ts';

const SPACE = 32;
const OPEN_PAREN = 40;
const CLOSE_PAREN = 41;
const DASH = 45;
const COLON = 58;
const OPEN = 91;
const CLOSE = 93;

/** An instance's name, a task's of trace-cmd, two pids. */
const MOST_TASK_BYTES = 72;
/** What the place of a task is found by. */
const LEAST_TASK_BYTES = 12;
const MOST_FLAGS = 8;
const GLUED_FLAGS = 5;
/** A space, where a digit is expected. */
const BLANK = SPACE - 48;
const TASK_SLOTS = 512;
/** Words of the line, then pid, dictionary id of the name, thread group. */
const KEY_WORDS = MOST_TASK_BYTES / 4;
const TASK_WORDS = KEY_WORDS + 3;
const FLAG_SLOTS = 512;
/** Two words of the line, EventTable.flags and preemptCount. */
const FLAG_WORDS = 3;
/** Before a line is known: most files have no such columns. */
const NO_TABLE = new Int32Array(0);

export class FtraceColumns {
  /** Lines have a thread group. */
  hasTgid = false;
  readonly #stamp = new FtraceStamp();
  #tasks = NO_TABLE;
  #flags = NO_TABLE;
  /** Where the task's text ends: at `[`, or at the CPU's three places; 0 before a line is known. */
  #bracket = 0;
  /** The CPU has no brackets. */
  #isGlued = false;
  #flagsOffset = 0;
  /** A blank is in front of the time. */
  #hasGap = true;
  #keyWords = 0;
  #lastMask = 0;
  #flagsCount = 0;
  /** Offsets of task's end and flags, number of flags, gap, thread group: what tells columns apart. */
  #layout: readonly number[] = [];
  #flagsMask0 = 0;
  #flagsMask1 = 0;

  /** Before another dictionary: ids of names are of no more use. */
  forgetTasks(): void {
    if (this.#bracket > 0) this.#tasks.fill(0);
  }

  /** Before text whose columns may mean something else. */
  forget(): void {
    this.forgetTasks();
    this.#bracket = 0;
    this.#stamp.forget();
  }

  /** True when the line at `at` is an event as those before it; reads up to 128 bytes, whatever the line has. */
  read(view: DataView, at: number, into: PredictedPrefix): boolean {
    if (this.#bracket === 0) return false;
    const cpu = this.#isGlued ? readGlued(view, at + this.#bracket) : readBracketed(view, at + this.#bracket, this.#hasGap);
    if (cpu < 0) return false;
    into.head.cpu = cpu;
    const flagsAt = at + this.#flagsOffset;
    if (this.#flagsCount === 0) into.head.bits = 0;
    else if (!this.#readFlags(view, flagsAt, into)) return false;
    return this.#stamp.read(view, at, flagsAt + this.#flagsCount, into) && this.#readTask(view, at, into);
  }

  /** Of the times of its lines. */
  get time(): TimeKind {
    return this.#stamp.kind;
  }

  #readFlags(view: DataView, at: number, into: PredictedPrefix): boolean {
    const first = view.getInt32(at, true) & this.#flagsMask0;
    const second = view.getInt32(at + 4, true) & this.#flagsMask1;
    const flags = this.#flags;
    const slot = slotOfFlags(first, second);
    // An empty slot is all zeros.
    if (first === 0 || flags[slot] !== first || flags[slot + 1] !== second) return false;
    if (this.#hasGap && view.getUint8(at + this.#flagsCount) !== SPACE) return false;
    into.head.bits = flags[slot + 2] as number;
    return true;
  }

  #readTask(view: DataView, at: number, into: PredictedPrefix): boolean {
    const tasks = this.#tasks;
    const slot = this.#slotOfTask(view, at);
    const last = this.#keyWords - 1;
    for (let i = 0; i < last; i++) if (tasks[slot + i] !== view.getInt32(at + i * 4, true)) return false;
    if (tasks[slot + last] !== (view.getInt32(at + last * 4, true) & this.#lastMask)) return false;
    const { head } = into;
    head.pid = tasks[slot + KEY_WORDS] as number;
    head.comm = tasks[slot + KEY_WORDS + 1] as number;
    head.tgid = tasks[slot + KEY_WORDS + 2] as number;
    return true;
  }

  /** Names are right-aligned: of a line's first words some are blanks, and of most tasks the others differ. */
  #slotOfTask(view: DataView, at: number): number {
    const end = at + this.#bracket;
    const mixed =
      view.getInt32(end - 4, true) ^
      Math.imul(view.getInt32(end - 8, true), 0x85eb_ca6b) ^
      Math.imul(view.getInt32(end - 12, true), 0xc2b2_ae35) ^
      (this.#bracket < 16 ? 0 : Math.imul(view.getInt32(end - 16, true), 0x27d4_eb2f));
    return (Math.imul(mixed ^ (mixed >>> 15), 0x2c1b_3c6d) >>> 23) * TASK_WORDS;
  }

  /** From a line that was read in full; false where it has other columns than those that are known, or none that can be. */
  learn(bytes: Uint8Array, view: DataView, at: number, prefix: FtracePrefix, strings: Interner): boolean {
    const bracket = endOfTask(bytes, prefix.commEnd, at + MOST_TASK_BYTES);
    if (bracket < at + LEAST_TASK_BYTES) return false;
    const isGlued = bytes[bracket] !== OPEN;
    const flagsAt = bracket + (isGlued ? 3 : 5) + (!isGlued && bytes[bracket + 5] === SPACE ? 1 : 0);
    if (!isGlued && bytes[bracket + 4] !== CLOSE) return false;
    let flagsEnd = flagsAt;
    if (bytes[flagsAt] !== SPACE && !isDigit(bytes[flagsAt])) while ((bytes[flagsEnd] as number) > SPACE) flagsEnd++;
    // trace-cmd puts no blank between five flags and a long count.
    if (isGlued && bytes[flagsEnd - 1] === COLON && flagsEnd - flagsAt > GLUED_FLAGS) flagsEnd = flagsAt + GLUED_FLAGS;
    const count = flagsEnd - flagsAt;
    if (count > MOST_FLAGS || (isGlued && count === 0)) return false;
    const hasGap = bytes[count === 0 ? flagsAt - 1 : flagsEnd] === SPACE;
    const layout = [bracket - at, flagsAt - at, count, Number(hasGap), Number(prefix.hasTgid)];
    if (this.#bracket > 0 && (layout.some((value, place) => value !== this.#layout[place]) || this.time !== prefix.time)) return false;
    // The time has a blank in front, which without flags is that of the CPU.
    const timeAt = count === 0 && hasGap ? flagsAt - 1 : flagsEnd;
    if (!this.#stamp.learn(bytes, view, at, timeAt, prefix.time, prefix.seconds)) return false;
    if (this.#bracket === 0) this.#begin(layout, isGlued);
    if (count > 0) this.#learnFlags(view, flagsAt, prefix);
    this.#learnTask(bytes, view, at, prefix, strings);
    return true;
  }

  #begin(layout: readonly number[], isGlued: boolean): void {
    const [bracket = 0, flagsOffset = 0, flags = 0, hasGap = 0, hasTgid = 0] = layout;
    this.#layout = layout;
    this.#bracket = bracket;
    this.#isGlued = isGlued;
    this.#flagsOffset = flagsOffset;
    this.#hasGap = hasGap === 1;
    this.#keyWords = Math.ceil(bracket / 4);
    this.#lastMask = maskOfFirst(bracket - (this.#keyWords - 1) * 4);
    this.#flagsCount = flags;
    this.#flagsMask0 = maskOfFirst(flags);
    this.#flagsMask1 = maskOfFirst(flags - 4);
    this.hasTgid = hasTgid === 1;
    if (this.#tasks === NO_TABLE) {
      this.#tasks = new Int32Array(TASK_SLOTS * TASK_WORDS);
      this.#flags = new Int32Array(FLAG_SLOTS * FLAG_WORDS);
      return;
    }
    this.#tasks.fill(0);
    this.#flags.fill(0);
  }

  #learnFlags(view: DataView, at: number, { flags, preemptCount }: FtracePrefix): void {
    const first = view.getInt32(at, true) & this.#flagsMask0;
    const second = view.getInt32(at + 4, true) & this.#flagsMask1;
    this.#flags.set([first, second, flags | (preemptCount << 8)], slotOfFlags(first, second));
  }

  #learnTask(bytes: Uint8Array, view: DataView, at: number, prefix: FtracePrefix, strings: Interner): void {
    const slot = this.#slotOfTask(view, at);
    const last = this.#keyWords - 1;
    for (let i = 0; i <= last; i++) this.#tasks[slot + i] = view.getInt32(at + i * 4, true) & (i === last ? this.#lastMask : -1);
    const comm = strings.intern(bytes, prefix.commStart, prefix.commEnd);
    this.#tasks.set([prefix.pid, comm, prefix.hasTgid ? prefix.tgid : UNKNOWN_TGID], slot + KEY_WORDS);
  }
}

/** `[001] ` at `at`, without the blank where there is no gap; -1 for another text. */
function readBracketed(view: DataView, at: number, hasGap: boolean): number {
  const word = view.getInt32(at, true);
  if ((word & 0xff) !== OPEN || view.getUint8(at + 4) !== CLOSE || (hasGap && view.getUint8(at + 5) !== SPACE)) return -1;
  const hundreds = ((word >>> 8) & 0xff) - 48;
  const tens = ((word >>> 16) & 0xff) - 48;
  const ones = (word >>> 24) - 48;
  if (hundreds < 0 || hundreds > 9 || tens < 0 || tens > 9 || ones < 0 || ones > 9) return -1;
  return hundreds * 100 + tens * 10 + ones;
}

/** `  1`, right-aligned; -1 for another text. */
export function readGlued(view: DataView, at: number): number {
  const word = view.getInt32(at, true);
  const ones = ((word >>> 16) & 0xff) - 48;
  if (ones < 0 || ones > 9) return -1;
  const tens = ((word >>> 8) & 0xff) - 48;
  const hundreds = (word & 0xff) - 48;
  if (tens === BLANK && hundreds === BLANK) return ones;
  if (tens < 0 || tens > 9) return -1;
  if (hundreds === BLANK) return tens * 10 + ones;
  return hundreds < 0 || hundreds > 9 ? -1 : hundreds * 100 + tens * 10 + ones;
}

/** Where the CPU's column begins behind the dash at `dash`, a pid, and perhaps a thread group; 0 where something else stands there. */
function endOfTask(bytes: Uint8Array, dash: number, limit: number): number {
  let p = dash;
  if (bytes[p++] !== DASH || !isDigit(bytes[p])) return 0;
  while (isDigit(bytes[p])) p++;
  while (bytes[p] === SPACE) p++;
  if (isDigit(bytes[p])) {
    while (isDigit(bytes[p])) p++;
    // The column is three wide, and a blank is in front of it.
    return bytes[p - 4] === SPACE && p - 3 <= limit ? p - 3 : 0;
  }
  if (bytes[p] === OPEN_PAREN) {
    p++;
    while (bytes[p] === SPACE || bytes[p] === DASH || isDigit(bytes[p])) p++;
    if (bytes[p++] !== CLOSE_PAREN) return 0;
    while (bytes[p] === SPACE) p++;
  }
  return bytes[p] === OPEN && p <= limit ? p : 0;
}

/** The first `count` bytes of a word, none or all of it beyond its size. */
function maskOfFirst(count: number): number {
  if (count <= 0) return 0;
  return count >= 4 ? -1 : (1 << (count * 8)) - 1;
}

function slotOfFlags(first: number, second: number): number {
  const mixed = Math.imul(first ^ Math.imul(second, 0x85eb_ca6b), 0x9e37_79b1);
  return (Math.imul(mixed ^ (mixed >>> 15), 0x2c1b_3c6d) >>> 23) * FLAG_WORDS;
}
