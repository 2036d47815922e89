/**
 * The quick way through ftrace text: lines that are as lines before them. The prefix is predicted (ftrace-predict.ts), the event is
 * found by a hash of its name, its text is split by programs made of templates that ftrace-body.ts has learnt, and the columns are
 * written at once. Every line that is new in any way is left to the careful way, which learns from it.
 *
 *   bash-11843   [001] d..2.  2351.415237: sched_switch: prev_comm=bash prev_pid=11843 …
 *   +----------- predicted ---------------++-- hash ----++-- program ----------------
 */
import { encodeUtf8 } from '../base/bytes.ts';
import { TWO_POW_32 } from '../base/int64.ts';
import type { EventBatch } from '../model/event-batch.ts';
import { BODY, type BodyKind, type EventEntry, type FtraceBodies, type LearntShape } from './ftrace-body.ts';
import { compileReader } from './ftrace-compile.ts';
import { FtraceColumns } from './ftrace-columns.ts';
import type { FtraceGraph } from './ftrace-graph.ts';
import { FtracePredictor } from './ftrace-predict.ts';
import { TIME, UNKNOWN_TGID, type FtracePrefix, type TimeKind } from './ftrace-prefix.ts';
import { findCommentEnd, findLineEnd, hasWords, readDecimal, runProgram, setNumber, toWords } from './ftrace-program.ts';
import { readHexLine, readRawLine } from './ftrace-raw.ts';
import { PluginValues, readSwitch, readWakeup } from './ftrace-plugin.ts';
import type { FtraceRows, OpenTable, RowHead, Shape } from './ftrace-rows.ts';
import { FIELD_VALUES, MAX_FIELDS } from './ftrace-template.ts';
import type { PredictedPrefix } from './ftrace-stamp.ts';
import { isSymbol, skipSymbolTail } from './ftrace-symbol.ts';
import type { FtraceTimes } from './ftrace-times.ts';

const NEWLINE = 10;
const SPACE = 32;
const HASH = 35;
const OPEN_PAREN = 40;
const CLOSE_PAREN = 41;
const DASH = 45;
const DOT = 46;
const COLON = 58;
const LESS = 60;
const GREATER = 62;
/** Set in letters and `_`, not in digits, spaces and most marks. */
const LETTER_BITS = 0x4040_4040;
const NAME_PRIME = 0x0100_0193;
const LAST_PRIME = 0x85eb_ca6b | 0;
const NAME_SLOTS = 1024;
/** A pid of six digits moves what trace-cmd prints behind it, and files of several instances stand in other columns. */
const MOST_OTHER_COLUMNS = 4;
/** In one piece of input: where columns stand as they like, learning them is for nothing. */
const MOST_LEARNT_COLUMNS = 32;
const FREE_LEARNS = 256;
const MAX_NAME_BYTES = 128;
/** Lines of an event until its program becomes a function of its own: to make and optimise one for each of hundreds of events costs more than it gains. */
const RUNS_TO_COMPILE = 512;
/** Of a time, so that its ns are exact. */
const MOST_SECONDS_DIGITS = 7;
const MOST_FRACTION_DIGITS = 9;
const POW_10 = [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8] as const;
const REPEATS = toLabel(' (repeats: ');
const LAST_TS = toLabel(', last_ts:');
const TYPE = toLabel('type: ');
const MOST_TYPE_DIGITS = 10;
const MOST_OWN_BYTES = 256;
const STACK = toLabel('<stack trace>\n');
const USER_STACK = toLabel('<user stack trace>\n');
/** ` =>` as three bytes of a word. */
const ARROW = 0x3e_3d20;
const ARROW_MASK = 0xff_ffff;
/** Longer ones are cut by ftrace-text.ts. */
const MOST_STACK_BYTES = 32 << 10;
/** Of what trace-cmd's plugin prints; that of wakeups has four. */
export const SWITCH_COLUMNS = 7;
/** A line that ends in the last bytes of a piece is left: whole words are read, also behind its end. */
export const QUICK_MARGIN_BYTES = 256;

/** What lines are as: those of the kernel's own columns, of columns that were learnt, of latency-format with verbose. */
const MODE = { event: 0, other: 1, verbose: 2 } as const;
type Mode = (typeof MODE)[keyof typeof MODE];

/** An event by one way of writing it. */
interface Candidate {
  readonly kind: BodyKind;
  readonly entry: EventEntry;
  readonly nameBytes: number;
  /** Pairs of mask and word. */
  readonly name: Int32Array;
}

/** Before the first event is known; copied then, since filling an array anew takes twenty times as long. */
const NO_CANDIDATES: (Candidate | undefined)[] = Array.from({ length: NAME_SLOTS }, () => undefined);

export class FtraceQuick {
  /** Of the last row: its line, whose newline is at `lastEnd`. */
  lastAt = 0;
  lastEnd = 0;
  lastRows = 1;
  readonly #rows: FtraceRows;
  readonly #bodies: FtraceBodies;
  readonly #times: FtraceTimes;
  readonly #graph: FtraceGraph;
  readonly #predictor = new FtracePredictor();
  /** Other columns, the last ones first. */
  readonly #others: FtraceColumns[] = [];
  #mode: Mode = MODE.event;
  #isComment = false;
  #spare = new FtraceColumns();
  /** In the piece at hand: columns that may still be learnt, lines that were learnt from, rows added by them. */
  #columnsLeft = MOST_LEARNT_COLUMNS;
  #learns = 0;
  #added = 0;
  #candidates = NO_CANDIDATES;
  readonly #values = FIELD_VALUES;
  readonly #plugin = new PluginValues();
  /** Dictionary ids of names of events, in the piece at hand. */
  readonly #eventIds = new Map<string, number>();
  #view: DataView = new DataView(new ArrayBuffer(0));

  constructor(rows: FtraceRows, bodies: FtraceBodies, times: FtraceTimes, graph: FtraceGraph) {
    this.#rows = rows;
    this.#graph = graph;
    this.#bodies = bodies;
    this.#times = times;
  }

  /** Before each piece of input. */
  begin(bytes: Uint8Array): void {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#eventIds.clear();
    this.#predictor.forgetTasks();
    for (const columns of this.#others) columns.forgetTasks();
    this.#columnsLeft = MOST_LEARNT_COLUMNS;
    this.#learns = this.#added = 0;
  }

  /** After a header, whose columns may be others. */
  forget(): void {
    this.#predictor.forget();
    for (const columns of this.#others) columns.forget();
    this.#mode = MODE.event;
  }

  /** From a line whose prefix was read in full. */
  learn(bytes: Uint8Array, at: number, prefix: FtracePrefix, batch: EventBatch, isVerbose: boolean): void {
    if (at > bytes.length - QUICK_MARGIN_BYTES) return;
    const view = this.#view;
    if (isVerbose) {
      if (this.#predictor.learnVerbose(bytes, view, at, prefix, batch.strings)) this.#mode = MODE.verbose;
    } else if (this.#predictor.learn(bytes, view, at, prefix, batch.strings)) this.#mode = MODE.event;
    else if (this.#learnOther(bytes, at, prefix, batch)) this.#mode = MODE.other;
  }

  /** By the columns that fit, which are then the first ones to be tried, or by new ones in place of the last. */
  #learnOther(bytes: Uint8Array, at: number, prefix: FtracePrefix, batch: EventBatch): boolean {
    const others = this.#others;
    // Where hardly any line is as another one, what is learnt is of no use.
    if (this.#learns++ > FREE_LEARNS + (this.#added >> 2)) return false;
    const { strings } = batch;
    const place = others.findIndex((columns) => columns.learn(bytes, this.#view, at, prefix, strings));
    if (place >= 0) {
      others.unshift(...others.splice(place, 1));
      return true;
    }
    if (this.#columnsLeft === 0 || !this.#spare.learn(bytes, this.#view, at, prefix, strings)) return false;
    this.#columnsLeft--;
    others.unshift(this.#spare);
    this.#spare = (others.length > MOST_OTHER_COLUMNS ? others.pop() : undefined) ?? new FtraceColumns();
    this.#spare.forget();
    return true;
  }

  /** Adds a row for each line from `at` that is as those before, and for `most` at most; returns how many. The last one's place is in `lastAt`, `lastEnd`. */
  addLines(bytes: Uint8Array, at: number, most: number): number {
    const limit = bytes.length - QUICK_MARGIN_BYTES;
    const { line } = this.#predictor;
    const view = this.#view;
    const mode = this.#mode;
    // Rows of the kernel's own columns have no thread group.
    if (mode !== MODE.other && (this.#rows.hasTgid || !this.#times.isPlain(this.#timeOf(mode)))) return 0;
    let rows = 0;
    let lastRows = 1;
    let p = at;
    while (p < limit && rows < most) {
      if (!this.#readPrefix(mode, view, p)) break;
      this.lastRows = 1;
      const end = this.#addBody(bytes, view, line.bodyStart, limit);
      if (end < 0) break;
      this.#times.noteRow(line.head.cpu, line.seconds, line.nanos);
      this.lastAt = p;
      this.lastEnd = end;
      lastRows = this.lastRows;
      rows += lastRows;
      p = end + 1;
    }
    this.lastRows = lastRows;
    this.#added += rows;
    return rows;
  }

  /** As `addLines`, for lines that have a body alone. */
  addBareLines(bytes: Uint8Array, at: number): number {
    this.lastRows = 1;
    if (this.#rows.hasTgid) return 0;
    const limit = bytes.length - QUICK_MARGIN_BYTES;
    const times = this.#times;
    const { head } = this.#predictor.line;
    head.pid = head.cpu = head.bits = head.comm = 0;
    let rows = 0;
    let p = at;
    while (p < limit) {
      const ordinal = times.nextOrdinal();
      head.high = Math.floor(ordinal / TWO_POW_32);
      head.low = ordinal | 0;
      const end = this.#addBody(bytes, this.#view, p, limit);
      if (end < 0) {
        times.takeBackOrdinal();
        break;
      }
      times.noteRow(0, Math.floor(ordinal / 1e9), ordinal % 1e9);
      this.lastAt = p;
      this.lastEnd = end;
      rows++;
      p = end + 1;
    }
    return rows;
  }

  /** As `addLines`, for lines of the options raw and hex of which the body is a type. */
  addTypeLines(bytes: Uint8Array, at: number, isHex: boolean): number {
    this.lastRows = 1;
    const limit = bytes.length - QUICK_MARGIN_BYTES;
    const view = this.#view;
    const { line } = this.#predictor;
    const { open } = this.#bodies.untyped;
    if (open === undefined || this.#rows.hasTgid || !this.#times.isPlain(TIME.ns)) return 0;
    let rows = 0;
    let p = at;
    while (p < limit && (isHex ? readHexLine(view, p, line) : readRawLine(view, p, line))) {
      const row = this.#rows.openRow(open);
      const { bodyStart, head } = line;
      if (!hasWords(view, bodyStart, TYPE.words, 0, TYPE.words.length)) break;
      const typeAt = bodyStart + TYPE.sizeBytes;
      const end = bytes[typeAt] === DASH ? -1 : readDecimal(bytes, typeAt, open.columns[0] as Uint32Array, row);
      if (end < 0 || end > typeAt + MOST_TYPE_DIGITS || bytes[end] !== NEWLINE) break;
      this.#rows.closeRow(open, row, head, bodyStart, end);
      this.#bodies.noteEvent(head.cpu, 'untyped');
      this.#times.noteRow(head.cpu, line.seconds, line.nanos);
      this.lastAt = p;
      // hex has an empty line behind each.
      this.lastEnd = bytes[end + 1] === NEWLINE ? end + 1 : end;
      rows++;
      p = this.lastEnd + 1;
    }
    return rows;
  }

  #timeOf(mode: Mode): TimeKind {
    return mode === MODE.verbose ? this.#predictor.verboseTime : TIME.dotted;
  }

  #readPrefix(mode: Mode, view: DataView, at: number): boolean {
    if (mode === MODE.event) return this.#predictor.readEvent(view, at);
    return mode === MODE.other ? this.#readOther(view, at, this.#predictor.line) : this.#predictor.readVerbose(view, at);
  }

  /** A row for the event whose text is at `at` in a comment of function_graph; returns where the text ends, or -1. */
  addComment(bytes: Uint8Array, at: number, { low, high, cpu, pid, bits, comm }: RowHead): number {
    const { head } = this.#predictor.line;
    head.low = low;
    head.high = high;
    head.cpu = cpu;
    head.pid = pid;
    head.comm = comm;
    head.bits = bits;
    head.tgid = UNKNOWN_TGID;
    this.#isComment = true;
    const end = this.#addBody(bytes, this.#view, at, bytes.length - QUICK_MARGIN_BYTES);
    this.#isComment = false;
    return end;
  }

  #readOther(view: DataView, at: number, into: PredictedPrefix): boolean {
    const others = this.#others;
    for (let i = 0; i < others.length; i++) {
      const columns = others[i] as FtraceColumns;
      if (columns.hasTgid !== this.#rows.hasTgid || !this.#times.isPlain(columns.time)) continue;
      if (columns.read(view, at, into)) return true;
    }
    return false;
  }

  /** Returns the end of the line, or -1. */
  #addBody(bytes: Uint8Array, view: DataView, at: number, limit: number): number {
    const first = bytes[at] as number;
    // No event's name begins so, but a marker's may.
    if (first < COLON && (first === SPACE || first === HASH || first >= 48)) {
      const end = this.#addOwn(bytes, view, at, limit);
      if (end >= 0) return end;
    }
    const latest = Math.min(limit, at + MAX_NAME_BYTES);
    let p = at;
    let word = view.getInt32(p, true);
    while ((word & LETTER_BITS) === LETTER_BITS && p < latest) {
      p += 4;
      word = view.getInt32(p, true);
    }
    const others = ~word & LETTER_BITS;
    p += (31 - Math.clz32(others & -others)) >> 3;
    let byte = bytes[p] as number;
    while (byte > SPACE && byte !== COLON && byte !== OPEN_PAREN && p < latest) byte = bytes[++p] as number;
    const hash = hashName(view, at, p);
    if (byte === COLON) {
      if (bytes[p + 1] !== SPACE) return -1;
      // trace-cmd pads the name.
      let textAt = p + 2;
      while (bytes[textAt] === SPACE && textAt < latest) textAt++;
      return this.#addEvent(BODY.plain, hash, bytes, view, at, p, textAt, textAt, limit);
    }
    if (byte === OPEN_PAREN) return this.#addEvent(BODY.enter, hash ^ 1, bytes, view, at, p, at, p + 1, limit);
    if (byte !== SPACE || p === at) return -1;
    if (bytes[at] === LESS) return this.#addStack(view, at, limit);
    // `callee <-caller` and `sys_read -> 0x1`.
    const symbolEnd = skipSymbolTail(bytes, p, limit);
    if (bytes[symbolEnd] === SPACE && bytes[symbolEnd + 1] === LESS && bytes[symbolEnd + 2] === DASH)
      return this.#addFunction(bytes, view, at, symbolEnd, limit);
    if (bytes[p + 1] !== DASH || bytes[p + 2] !== GREATER || bytes[p + 3] !== SPACE) return -1;
    return this.#addEvent(BODY.exit, hash ^ 2, bytes, view, at, p, at, p + 4, limit);
  }

  /** What a tracer prints of its own entries; returns the end of the line, or -1. */
  #addOwn(bytes: Uint8Array, view: DataView, at: number, limit: number): number {
    const end = this.#isComment ? -1 : findLineEnd(view, at, limit);
    const body = end < 0 || end - at > MOST_OWN_BYTES ? undefined : this.#bodies.scanOwn(bytes, at, end);
    if (body === undefined) return -1;
    const { event, scan, shape } = body;
    const { open } = shape;
    if (open === undefined) return -1;
    const row = this.#rows.openRow(open);
    scan.write(open.columns, row, bytes, this.#rows.batch.strings);
    const { head } = this.#predictor.line;
    this.#rows.closeRow(open, row, head, at, end);
    this.#bodies.noteEvent(head.cpu, event);
    return end;
  }

  #addFunction(bytes: Uint8Array, view: DataView, at: number, nameEnd: number, limit: number): number {
    if (this.#isComment) return -1;
    const callerAt = nameEnd + 3;
    let end = callerAt;
    while (end < limit && (bytes[end] as number) > SPACE && bytes[end] !== OPEN_PAREN) end++;
    if (end === callerAt || bytes[callerAt] === DASH) return -1;
    if (bytes[end] === SPACE) end = skipSymbolTail(bytes, end, limit);
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
    if (open === undefined || !hasWords(view, tailAt, REPEATS.words, 0, REPEATS.words.length)) return -1;
    const row = this.#rows.openRow(open);
    const columns = open.columns as [Uint32Array, Uint32Array, Uint32Array, Uint32Array];
    const countAt = tailAt + REPEATS.sizeBytes;
    const countEnd = bytes[countAt] === DASH ? -1 : readDecimal(bytes, countAt, columns[2], row);
    if (countEnd < 0 || !hasWords(view, countEnd, LAST_TS.words, 0, LAST_TS.words.length)) return -1;
    const end = readNanos(bytes, countEnd + LAST_TS.sizeBytes, columns[3], row);
    if (end < 0 || bytes[end] !== CLOSE_PAREN || bytes[end + 1] !== NEWLINE) return -1;
    if (!isSymbol(bytes, at, nameEnd) || !isSymbol(bytes, callerAt, tailAt)) return -1;
    this.#closeFunction('func_repeats', open, row, bytes, view, at, nameEnd, callerAt, tailAt, end + 1);
    return end + 1;
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
    const { head } = this.#predictor.line;
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
    const { entry } = candidate;
    if (entry === this.#bodies.marker) return this.#addMarker(view, nameEnd, limit);
    if (entry === this.#bodies.graph) return this.#addGraph(bytes, view, nameEnd + 1, limit);
    return this.#addFields(entry, bytes, view, bodyAt, textAt, limit);
  }

  #findCandidate(slot: number, kind: BodyKind, bytes: Uint8Array, at: number, end: number): Candidate | undefined {
    const entry = this.#bodies.findEntry(kind, bytes, at, end);
    if (entry === undefined) return undefined;
    const candidate = { kind, entry, nameBytes: end - at, name: Int32Array.from(toWords(bytes.subarray(at, end))) };
    // The one that is there moves to the second place.
    if (this.#candidates === NO_CANDIDATES) this.#candidates = [...NO_CANDIDATES];
    this.#candidates[slot ^ 1] = this.#candidates[slot];
    return (this.#candidates[slot] = candidate);
  }

  #addFields(entry: EventEntry, bytes: Uint8Array, view: DataView, bodyAt: number, textAt: number, limit: number): number {
    const { shapes } = entry;
    const rows = this.#rows;
    for (let i = shapes.length - 1; i >= 0; i--) {
      const learnt = shapes[i] as LearntShape;
      const { program, shape, reader } = learnt;
      if (program === undefined) return -1;
      const { open } = shape;
      const row = open === undefined ? 0 : rows.openRow(open);
      const columns = open === undefined ? NO_COLUMNS : open.columns;
      const end =
        reader === undefined
          ? runProgram(program, bytes, view, textAt, limit, columns, row, this.#values, this.#isComment)
          : reader(bytes, view, textAt, limit, columns, row, rows.batch.strings, this.#isComment);
      if (end < 0) continue;
      if (open === undefined) return -1;
      if (reader === undefined) {
        this.#setTexts(program.texts, columns, row, bytes, view);
        if (++learnt.runs === RUNS_TO_COMPILE) learnt.reader = compileReader(program);
      }
      this.#closeEvent(entry, open, row, bodyAt, end);
      return end;
    }
    if (entry.plugin !== undefined) return this.#addPlugin(entry, entry.plugin, bytes, view, textAt, limit);
    const { open } = entry.text;
    if (open === undefined || !this.#bodies.isText(entry)) return -1;
    const end = this.#isComment ? findCommentEnd(view, textAt, limit) : findLineEnd(view, textAt, limit);
    if (end >= 0) this.#closeEvent(entry, open, rows.openRow(open), bodyAt, end);
    return end;
  }

  /** What trace-cmd prints of a switch or a wakeup. */
  #addPlugin(entry: EventEntry, { open }: Shape, bytes: Uint8Array, view: DataView, at: number, limit: number): number {
    if (open === undefined || this.#isComment) return -1;
    const end = findLineEnd(view, at, limit);
    const isSwitch = open.columns.length === SWITCH_COLUMNS;
    const task = this.#plugin;
    if (end < 0 || !(isSwitch ? readSwitch(bytes, view, at, end, task) : readWakeup(bytes, view, at, end, task))) return -1;
    const rows = this.#rows;
    const row = rows.openRow(open);
    const { strings } = rows.batch;
    const columns = open.columns as [Uint32Array, Uint32Array, Uint32Array, Uint32Array, Uint32Array, Uint32Array, Uint32Array];
    columns[0][row] = strings.internWords(view, bytes, at, task.nameEnd);
    setNumber(columns[1], row, task.pid);
    setNumber(columns[2], row, task.priority);
    if (isSwitch) {
      columns[3][row] = strings.internWords(view, bytes, task.stateStart, task.stateEnd);
      columns[4][row] = strings.internWords(view, bytes, task.nextStart, task.nextEnd);
      setNumber(columns[5], row, task.nextPid);
      setNumber(columns[6], row, task.nextPriority);
    } else setNumber(columns[3], row, task.cpu);
    this.#closeEvent(entry, open, row, at, end);
    return end;
  }

  /** A function's entry or exit as trace-cmd prints it. */
  #addGraph(bytes: Uint8Array, view: DataView, at: number, limit: number): number {
    const end = this.#isComment ? -1 : findLineEnd(view, at, limit);
    if (end < 0) return -1;
    const { line } = this.#predictor;
    const rows = this.#graph.addText(bytes, view, at, end, line.head);
    if (rows < 0) return -1;
    this.lastRows = rows;
    if (rows === 2) this.#advance(line);
    return end;
  }

  /** To the end of the leaf that was added. */
  #advance(line: PredictedPrefix): void {
    const nanos = line.nanos + Math.max(0, this.#graph.durationNs);
    const carry = Math.floor(nanos / 1e9);
    line.seconds += carry;
    line.nanos = nanos - carry * 1e9;
  }

  /** A marker, whose text begins behind the one space; it is in the dictionary once, as the body. */
  #addMarker(view: DataView, nameEnd: number, limit: number): number {
    const { open } = this.#bodies.print;
    const at = nameEnd + 2;
    const end = open === undefined || this.#isComment ? -1 : findLineEnd(view, at, limit);
    if (open === undefined || end <= at) return -1;
    const row = this.#rows.openRow(open);
    this.#rows.closeRow(open, row, this.#predictor.line.head, at, end);
    (open.columns[0] as Uint32Array)[row] = open.body[row] as number;
    return end;
  }

  /** `<stack trace>` at `at`, and the lines ` => …` behind it; returns where the last one ends. */
  #addStack(view: DataView, at: number, limit: number): number {
    const isKernel = hasWords(view, at, STACK.words, 0, STACK.words.length);
    if (this.#isComment || (!isKernel && !hasWords(view, at, USER_STACK.words, 0, USER_STACK.words.length))) return -1;
    const { open } = isKernel ? this.#bodies.kernelStack : this.#bodies.userStack;
    const textAt = at + (isKernel ? STACK.sizeBytes : USER_STACK.sizeBytes);
    let next = textAt;
    while (next < limit && (view.getInt32(next, true) & ARROW_MASK) === ARROW) {
      const end = findLineEnd(view, next, limit);
      if (end < 0) return -1;
      next = end + 1;
    }
    if (open === undefined || next === textAt || next >= limit || next - at > MOST_STACK_BYTES) return -1;
    const row = this.#rows.openRow(open);
    const { head } = this.#predictor.line;
    this.#rows.closeRow(open, row, head, textAt, next - 1);
    (open.columns[0] as Uint32Array)[row] = open.body[row] as number;
    (open.columns[1] as Uint32Array)[row] = this.#idOf(this.#bodies.lastOf(head.cpu));
    return next - 1;
  }

  /** Of an event's name, in the batch's dictionary. */
  #idOf(event: string): number {
    let id = this.#eventIds.get(event);
    if (id === undefined) this.#eventIds.set(event, (id = this.#rows.batch.strings.internString(event)));
    return id;
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
    const { head } = this.#predictor.line;
    this.#rows.closeRow(open, row, head, bodyAt, end);
    this.#bodies.noteEvent(head.cpu, entry.event);
  }
}

/** By length and the words at both ends. */
function hashName(view: DataView, at: number, end: number): number {
  const length = end - at;
  const first = view.getInt32(at, true);
  if (length < 4) return (first & ((1 << (length * 8)) - 1)) ^ length;
  const last = Math.imul(view.getInt32(end - 4, true), NAME_PRIME) ^ length;
  const mixed = first ^ last ^ (length < 8 ? 0 : Math.imul(view.getInt32(end - 8, true), LAST_PRIME));
  return mixed ^ (mixed >>> 15);
}

/** In place of those of a table that the batch does not have yet. */
const NO_COLUMNS: readonly Uint32Array[] = Array.from({ length: MAX_FIELDS }, () => new Uint32Array(2));

function isNamed(candidate: Candidate | undefined, kind: BodyKind, view: DataView, at: number, end: number): candidate is Candidate {
  if (candidate === undefined || candidate.kind !== kind || candidate.nameBytes !== end - at) return false;
  return hasWords(view, at, candidate.name, 0, candidate.name.length);
}

function toLabel(text: string): { readonly words: Int32Array; readonly sizeBytes: number } {
  const bytes = encodeUtf8(text);
  return { words: Int32Array.from(toWords(bytes)), sizeBytes: bytes.length };
}

/** `   399.795127` as ns into a row of its column; returns its end or -1. */
function readNanos(bytes: Uint8Array, start: number, column: Uint32Array, row: number): number {
  let p = start;
  while (bytes[p] === SPACE) p++;
  const secondsAt = p;
  let seconds = 0;
  for (let byte = bytes[p] as number; byte >= 48 && byte <= 57; byte = bytes[++p] as number) seconds = seconds * 10 + byte - 48;
  const dot = p;
  if (dot === secondsAt || dot > secondsAt + MOST_SECONDS_DIGITS || bytes[p++] !== DOT) return -1;
  let nanos = 0;
  for (let byte = bytes[p] as number; byte >= 48 && byte <= 57; byte = bytes[++p] as number) nanos = nanos * 10 + byte - 48;
  const digits = p - dot - 1;
  if (digits === 0 || digits > MOST_FRACTION_DIGITS) return -1;
  setNumber(column, row, seconds * 1e9 + nanos * (POW_10[MOST_FRACTION_DIGITS - digits] as number));
  return p;
}
