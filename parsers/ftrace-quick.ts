/**
 * The quick way through ftrace text: lines that are as lines before them. The prefix is predicted (ftrace-predict.ts), the event is
 * found by a hash of its name, its text is split by programs made of templates that ftrace-body.ts has learnt, and the columns are
 * written at once. Every line that is new in any way is left to the careful way, which learns from it.
 *
 *   bash-11843   [001] d..2.  2351.415237: sched_switch: prev_comm=bash prev_pid=11843 …
 *   +----------- predicted ---------------++-- hash ----++-- program ----------------
 */
import { latin1 } from '../base/bytes.ts';
import type { EventBatch } from '../model/event-batch.ts';
import { BODY, type BodyKind, type EventEntry, type FtraceBodies, type LearntShape } from './ftrace-body.ts';
import { FtracePredictor } from './ftrace-predict.ts';
import type { FtracePrefix } from './ftrace-prefix.ts';
import { findLineEnd, hasWords, runProgram, setNumber, toWords } from './ftrace-program.ts';
import type { FtraceRows, OpenTable } from './ftrace-rows.ts';
import { FieldValuesScratch, MAX_FIELDS } from './ftrace-template.ts';
import type { FtraceTimes } from './ftrace-times.ts';

const NEWLINE = 10;
const SPACE = 32;
const OPEN_PAREN = 40;
const DASH = 45;
const COLON = 58;
const LESS = 60;
const GREATER = 62;
/** Set in letters and `_`, not in digits, spaces and most marks. */
const LETTER_BITS = 0x4040_4040;
const NAME_PRIME = 0x0100_0193;
const NAME_SLOTS = 1024;
const MAX_NAME_BYTES = 128;
/** Seconds below 10^7, so that ns are exact. */
const REPEATS = /^ \(repeats: (\d{1,15}), last_ts: *(\d{1,7})\.(\d{1,9})\)\n/;
const LONGEST_REPEATS = 80;
/** A line that ends in the last bytes of a piece is left: whole words are read, also behind its end. */
export const QUICK_MARGIN_BYTES = 256;

/** An event by one way of writing it. */
interface Candidate {
  readonly kind: BodyKind;
  readonly entry: EventEntry;
  readonly nameBytes: number;
  /** Pairs of mask and word. */
  readonly name: Int32Array;
}

/** Copied for each session: filling an array anew takes twenty times as long. */
const NO_CANDIDATES: readonly (Candidate | undefined)[] = Array.from({ length: NAME_SLOTS }, () => undefined);

export class FtraceQuick {
  /** Of the last row: its line, whose newline is at `lastEnd`. */
  lastAt = 0;
  lastEnd = 0;
  readonly #rows: FtraceRows;
  readonly #bodies: FtraceBodies;
  readonly #times: FtraceTimes;
  readonly #predictor = new FtracePredictor();
  readonly #candidates: (Candidate | undefined)[] = [...NO_CANDIDATES];
  readonly #values = new FieldValuesScratch();
  #view: DataView = new DataView(new ArrayBuffer(0));

  constructor(rows: FtraceRows, bodies: FtraceBodies, times: FtraceTimes) {
    this.#rows = rows;
    this.#bodies = bodies;
    this.#times = times;
  }

  /** Before each piece of input. */
  begin(bytes: Uint8Array): void {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#predictor.forgetTasks();
  }

  /** After a header, whose columns may be others. */
  forget(): void {
    this.#predictor.forget();
  }

  /** From a line whose prefix was read in full. */
  learn(bytes: Uint8Array, at: number, prefix: FtracePrefix, batch: EventBatch): void {
    if (at <= bytes.length - QUICK_MARGIN_BYTES) this.#predictor.learn(bytes, this.#view, at, prefix, batch.strings);
  }

  /** Adds a row for each line from `at` that is as those before; returns how many. The last one's place is in `lastAt`, `lastEnd`. */
  addLines(bytes: Uint8Array, at: number, isLatency: boolean): number {
    const limit = bytes.length - QUICK_MARGIN_BYTES;
    const predictor = this.#predictor;
    const view = this.#view;
    let rows = 0;
    let p = at;
    while (p < limit) {
      if (!(isLatency ? predictor.readLatency(view, p) : predictor.readEvent(view, p))) break;
      const end = this.#addBody(bytes, view, predictor.bodyStart, limit);
      if (end < 0) break;
      this.#times.noteRow(predictor.head.cpu, predictor.seconds, predictor.nanos);
      this.lastAt = p;
      this.lastEnd = end;
      rows++;
      p = end + 1;
    }
    return rows;
  }

  /** Returns the end of the line, or -1. */
  #addBody(bytes: Uint8Array, view: DataView, at: number, limit: number): number {
    const latest = Math.min(limit, at + MAX_NAME_BYTES);
    let hash = 0;
    let p = at;
    let word = view.getInt32(p, true);
    while ((word & LETTER_BITS) === LETTER_BITS && p < latest) {
      hash = Math.imul(hash ^ word, NAME_PRIME);
      hash ^= hash >>> 15;
      p += 4;
      word = view.getInt32(p, true);
    }
    let byte = bytes[p] as number;
    while (byte > SPACE && byte !== COLON && byte !== OPEN_PAREN && p < latest) {
      hash = Math.imul(hash ^ byte, NAME_PRIME);
      byte = bytes[++p] as number;
    }
    if (byte === COLON) {
      if (bytes[p + 1] !== SPACE || bytes[p + 2] === SPACE) return -1;
      return this.#addEvent(BODY.plain, hash, bytes, view, at, p, p + 2, p + 2, limit);
    }
    if (byte === OPEN_PAREN) return this.#addEvent(BODY.enter, hash ^ 1, bytes, view, at, p, at, p + 1, limit);
    if (byte !== SPACE || p === at) return -1;
    // `callee <-caller` and `sys_read -> 0x1`.
    if (bytes[p + 1] === LESS && bytes[p + 2] === DASH) return this.#addFunction(bytes, view, at, p, limit);
    if (bytes[p + 1] !== DASH || bytes[p + 2] !== GREATER || bytes[p + 3] !== SPACE) return -1;
    return this.#addEvent(BODY.exit, hash ^ 2, bytes, view, at, p, at, p + 4, limit);
  }

  #addFunction(bytes: Uint8Array, view: DataView, at: number, nameEnd: number, limit: number): number {
    const callerAt = nameEnd + 3;
    let end = callerAt;
    while (end < limit && (bytes[end] as number) > SPACE && bytes[end] !== OPEN_PAREN) end++;
    if (end === callerAt || bytes[callerAt] === DASH) return -1;
    if (bytes[end] === SPACE) return this.#addRepeats(bytes, view, at, nameEnd, callerAt, end);
    const { open } = this.#bodies.functions;
    if (bytes[end] !== NEWLINE || open === undefined) return -1;
    const row = this.#rows.openRow(open);
    this.#closeFunction('function', open, row, bytes, view, at, nameEnd, callerAt, end, end);
    return end;
  }

  /** ` (repeats: 2, last_ts:   399.795127)` at `tailAt`. */
  #addRepeats(bytes: Uint8Array, view: DataView, at: number, nameEnd: number, callerAt: number, tailAt: number): number {
    const { open } = this.#bodies.repeats;
    const found = REPEATS.exec(latin1(bytes, tailAt, Math.min(bytes.length, tailAt + LONGEST_REPEATS)));
    if (open === undefined || found === null || !isSymbol(bytes, at, nameEnd) || !isSymbol(bytes, callerAt, tailAt)) return -1;
    const [text, count = '', seconds = '', fraction = ''] = found;
    const row = this.#rows.openRow(open);
    const columns = open.columns as [Uint32Array, Uint32Array, Uint32Array, Uint32Array];
    setNumber(columns[2], row, Number(count));
    setNumber(columns[3], row, Number(seconds) * 1e9 + Number(fraction.padEnd(9, '0')));
    const end = tailAt + text.length - 1;
    this.#closeFunction('func_repeats', open, row, bytes, view, at, nameEnd, callerAt, tailAt, end);
    return end;
  }

  #closeFunction(
    event: string,
    open: OpenTable,
    row: number,
    bytes: Uint8Array,
    view: DataView,
    at: number,
    nameEnd: number,
    callerAt: number,
    callerEnd: number,
    end: number,
  ): void {
    const rows = this.#rows;
    const { strings } = rows.batch;
    const [callee, caller] = open.columns as [Uint32Array, Uint32Array];
    callee[row] = strings.internWords(view, bytes, at, nameEnd);
    caller[row] = strings.internWords(view, bytes, callerAt, callerEnd);
    const { head } = this.#predictor;
    rows.closeRow(open, row, head, at, end);
    this.#bodies.noteEvent(head.cpu, event);
  }

  #addEvent(
    kind: BodyKind,
    hash: number,
    bytes: Uint8Array,
    view: DataView,
    at: number,
    nameEnd: number,
    bodyAt: number,
    textAt: number,
    limit: number,
  ): number {
    const slot = Math.imul(hash, 0x9e37_79b1) >>> 22;
    let candidate = this.#candidates[slot];
    if (!isNamed(candidate, kind, view, at, nameEnd)) {
      candidate = this.#candidates[slot ^ 1];
      if (!isNamed(candidate, kind, view, at, nameEnd)) candidate = this.#findCandidate(slot, kind, bytes, at, nameEnd);
      if (candidate === undefined) return -1;
    }
    return this.#addFields(candidate.entry, bytes, view, bodyAt, textAt, limit);
  }

  #findCandidate(slot: number, kind: BodyKind, bytes: Uint8Array, at: number, end: number): Candidate | undefined {
    const entry = this.#bodies.findEntry(kind, bytes, at, end);
    if (entry === undefined) return undefined;
    const candidate = { kind, entry, nameBytes: end - at, name: Int32Array.from(toWords(bytes.subarray(at, end))) };
    // The one that is there moves to the second place.
    this.#candidates[slot ^ 1] = this.#candidates[slot];
    return (this.#candidates[slot] = candidate);
  }

  #addFields(entry: EventEntry, bytes: Uint8Array, view: DataView, bodyAt: number, textAt: number, limit: number): number {
    const { shapes } = entry;
    const rows = this.#rows;
    for (let i = shapes.length - 1; i >= 0; i--) {
      const { program, shape } = shapes[i] as LearntShape;
      if (program === undefined) return -1;
      const { open } = shape;
      const row = open === undefined ? 0 : rows.openRow(open);
      const columns = open === undefined ? NO_COLUMNS : open.columns;
      const end = runProgram(program, bytes, view, textAt, limit, columns, row, this.#values);
      if (end < 0) continue;
      if (open === undefined) return -1;
      this.#setTexts(program.texts, columns, row, bytes, view);
      this.#closeEvent(entry, open, row, bodyAt, end);
      return end;
    }
    const { open } = entry.text;
    if (open === undefined || !this.#bodies.isText(entry)) return -1;
    const end = findLineEnd(view, textAt, limit);
    if (end >= 0) this.#closeEvent(entry, open, rows.openRow(open), bodyAt, end);
    return end;
  }

  #setTexts(texts: Uint8Array, columns: readonly Uint32Array[], row: number, bytes: Uint8Array, view: DataView): void {
    const { strings } = this.#rows.batch;
    const { start, end } = this.#values;
    for (let i = 0; i < texts.length; i++) {
      const field = texts[i] as number;
      const column = columns[field] as Uint32Array;
      column[row] = strings.internWords(view, bytes, start[field] as number, end[field] as number);
    }
  }

  #closeEvent(entry: EventEntry, open: OpenTable, row: number, bodyAt: number, end: number): void {
    const { head } = this.#predictor;
    this.#rows.closeRow(open, row, head, bodyAt, end);
    this.#bodies.noteEvent(head.cpu, entry.event);
  }
}

/** In place of those of a table that the batch does not have yet. */
const NO_COLUMNS: readonly Uint32Array[] = Array.from({ length: MAX_FIELDS }, () => new Uint32Array(2));

function isNamed(candidate: Candidate | undefined, kind: BodyKind, view: DataView, at: number, end: number): candidate is Candidate {
  if (candidate === undefined || candidate.kind !== kind || candidate.nameBytes !== end - at) return false;
  return hasWords(view, at, candidate.name, 0, candidate.name.length);
}

/** Letters, digits, `_`, `.` and `$` alone. */
function isSymbol(bytes: Uint8Array, start: number, end: number): boolean {
  for (let p = start; p < end; p++) {
    const byte = bytes[p] as number;
    const letter = byte | 32;
    if (!((letter >= 97 && letter <= 122) || (byte >= 48 && byte <= 57) || byte === 95 || byte === 46 || byte === 36)) return false;
  }
  return true;
}
