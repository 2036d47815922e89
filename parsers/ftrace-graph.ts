/**
 * Lines of the function_graph tracer. Which columns there are, options decide; they stand in this order:
 *
 *     402.924639 |   0)     sh-470     |  ...1. | + 13.215 us   |    vfs_open();
 *     |              |      |             |       | |                | +-- `f();` a leaf, `f() {` an entry, `}` an exit,
 *     |              |      |             |       | |                |     or the text of another event in a comment
 *     |              |      |             |       | |                +-- two spaces for each level of depth
 *     |              |      |             |       | +-- of a leaf or an exit; `==========>` and `<==========` around an interrupt
 *     |              |      |             |       +-- + > 10 us, ! > 100 us, # > 1 ms, * > 10 ms, @ > 100 ms, $ > 1 s
 *     |              |      |             +-- flags (latency-format)
 *     |              |      +-- task, its name cut to 7 (funcgraph-proc)
 *     |              +-- CPU
 *     +-- funcgraph-abstime; `5 us |` since the trace began in latency tracers
 *
 *   1) ! 119.557 us  |  } /* do_sys_openat2 *\/       with funcgraph-tail, or where the entry is not in the buffer
 *   1)   0.5 us      |  vfs_read(file=0x1, count=3); /* <-ksys_read ret=0x3 *\/       funcgraph-args, -retaddr, -retval
 *   1)               |  virtnet_poll [virtio_net]() {                a function of a module, as in tails and callers
 *  ------------------------------------------
 *   0)    <idle>-0    =>     ls-534                   the CPU has switched tasks
 *  ------------------------------------------
 *   (Overruns: 3)                                     functions that were too deep for the task of the line above
 *
 * An entry is a row of `ftrace:funcgraph_entry`, an exit one of `ftrace:funcgraph_exit`, a leaf one of each; an exit without a
 * name gets that of its CPU's last entry of this depth.
 */
import { decodeUtf8, encodeUtf8 } from '../base/bytes.ts';
import { TWO_POW_32 } from '../base/int64.ts';
import type { EventField } from '../model/event-batch.ts';
import { startsWith } from './boot-phase.ts';
import { GraphStack } from './ftrace-graph-stack.ts';
import { hasArrow, isRule, readCpu, readFlags, readStamp, readTask, TaskSwitch } from './ftrace-graph-columns.ts';
import { GRAPH, GraphText, RETURNED, type GraphKind } from './ftrace-graph-text.ts';
import { FtracePrefix, TIME } from './ftrace-prefix.ts';
import type { FtraceQuick } from './ftrace-quick.ts';
import { createShape, RowHead, type FtraceRows, type OpenTable, type Shape } from './ftrace-rows.ts';
import { skipModule } from './ftrace-symbol.ts';
import type { FtraceTimes } from './ftrace-times.ts';

const NEWLINE = 10;
const SPACE = 32;
const OPEN_PAREN = 40;
const DASH = 45;
const SLASH = 47;
const CLOSE_BRACE = 125;

const OVERRUNS = /^ \(Overruns: (\d{1,10})\)\s*$/;
const NO_OVERRUNS = encodeUtf8(' (Overruns: 0)\n');

/** `();` and the newline, `() {`: as words. */
const LEAF_TAIL = 0x0a3b_2928;
const ENTRY_TAIL = 0x7b20_2928;
/** Star and blank behind the slash; what ends the comment, and the newline. */
const COMMENT_HEAD = 0x202a;
const COMMENT_TAIL_BYTES = 4;
/** What `addLines` may read of a line. */
const LINE_MARGIN_BYTES = 512;
const LONGEST_RULE = 60;
const LONGEST_STAMP = 30;
const LONGEST_NAME = 100;
const LONGEST_INDENT = 100;
const LONGEST_FLAGS = 16;
/** Of which the ns are an exact double. */
const EXACT_SECONDS = 9_000_000;
const LONGEST_TASK = 40;
const LONGEST_DURATION = 40;
const MAX_TASKS = 4096;
const MAX_DEPTH = 512;
/** Bits of a row's shape: which optional fields it has. */
const HAS = { duration: 1, overhead: 2, caller: 4, args: 8, decimal: 16, hex: 32 } as const;

const FUNC: EventField = { name: 'func', kind: 'string', type: '', hex: false };
const DEPTH: EventField = { name: 'depth', kind: 'int64', type: '', hex: false };
/** In the order of a row's columns. */
const OPTIONAL: readonly (readonly [bit: number, field: EventField])[] = [
  [HAS.duration, { name: 'duration', kind: 'int64', type: '', hex: false }],
  [HAS.overhead, { name: 'overhead', kind: 'string', type: '', hex: false }],
  [HAS.caller, { name: 'parent_ip', kind: 'string', type: '', hex: false }],
  [HAS.args, { name: 'args', kind: 'string', type: '', hex: false }],
  [HAS.decimal, { name: 'retval', kind: 'int64', type: '', hex: false }],
  [HAS.hex, { name: 'retval', kind: 'uint64', type: '', hex: true }],
];

const NOTHING = new Uint8Array(0);

export class FtraceGraph {
  readonly #rows: FtraceRows;
  /** By bits of HAS. */
  readonly #entries: (Shape | undefined)[] = [];
  readonly #exits: (Shape | undefined)[] = [];
  readonly #switch = createShape(
    'ftrace',
    'funcgraph_switch',
    ['prev_comm', 'prev_pid', 'next_comm', 'next_pid'].map((name) => ({
      name,
      kind: name.endsWith('pid') ? 'int64' : 'string',
      type: '',
      hex: false,
    })),
  );
  readonly #irq = createShape('ftrace', 'funcgraph_irq', [{ name: 'action', kind: 'string', type: '', hex: false }]);
  readonly #overrun = createShape('ftrace', 'funcgraph_overrun', [{ name: 'count', kind: 'int64', type: '', hex: false }]);
  /** Functions that are open: of each CPU's task, and of tasks that run on none. */
  readonly #open: (GraphStack | undefined)[] = [];
  readonly #parked = new Map<number, GraphStack>();
  /** Stacks that have names in the dictionary of the batch at hand. */
  #fresh: GraphStack[] = [];
  /** Of each CPU, as the last switch told. */
  readonly #pids: number[] = [];
  readonly #comms: Uint8Array[] = [];
  /** The same in the dictionary of the batch at hand. */
  #commIds: number[] = [];
  readonly #head = new RowHead();
  readonly #prefix = new FtracePrefix();
  /** Where the lines end that `addLines` has taken. */
  linesEnd = 0;
  #hasCpu = true;
  #hasTask = false;
  #hasFlags = false;
  #hasDuration = true;
  /** The line that `addLines` reads names its task. */
  #isTaskNamed = false;
  #isNamed = false;

  /** Of the last call or end of one: what was too deep is counted in the line behind it. */
  #lastCpu = 0;

  // The line that was read last.
  readonly #text = new GraphText();
  #overruns = 0;
  readonly #switched = new TaskSwitch();

  constructor(rows: FtraceRows) {
    this.#rows = rows;
  }

  /** The line of column names, where there is one, and what the columns of flags are. */
  setColumns(line: string | undefined, flags: readonly number[]): void {
    this.#isNamed = line !== undefined;
    this.#hasCpu = line === undefined || /\bCPU/.test(line);
    this.#hasTask = line !== undefined && /\bTASK/.test(line);
    this.#hasFlags = line !== undefined && line.includes('|||');
    this.#hasDuration = line === undefined || line.includes('DURATION');
    this.#prefix.columns = flags;
  }

  /** Reads the line `[at, end)` without changing anything but what it found. */
  read(bytes: Uint8Array, at: number, end: number, into: FtracePrefix): GraphKind {
    if (bytes[at] === SPACE && end - at < LONGEST_RULE && (bytes[at + 1] === DASH || bytes[at + 1] === OPEN_PAREN)) {
      if (isRule(bytes, at, end)) return GRAPH.rule;
      const overruns = OVERRUNS.exec(decodeUtf8(bytes, at, end));
      if (overruns !== null) {
        into.clear();
        into.cpu = this.#lastCpu;
        this.#setKnownTask(into);
        this.#overruns = Number(overruns[1]);
        return this.#overruns === 0 ? GRAPH.rule : GRAPH.overrun;
      }
    }
    into.clear();
    let p = readStamp(bytes, at, end, into);
    const cpuEnd = readCpu(bytes, p, end, into);
    if (cpuEnd < 0 && this.#hasCpu) return GRAPH.none;
    if (cpuEnd >= 0) {
      if (hasArrow(bytes, cpuEnd, end) && this.#switched.read(bytes, cpuEnd, end)) return GRAPH.switch;
      p = cpuEnd;
    }
    this.#setKnownTask(into);
    p = readTask(bytes, p, end, into);
    p = readFlags(bytes, p, end, into);
    const kind = this.#text.read(bytes, p, end);
    // Without columns of its own a line is one of function_graph only where the header says so.
    return cpuEnd < 0 && !this.#isNamed ? GRAPH.none : kind;
  }

  /** Reads duration and function in `[at, end)`: the body of trace-cmd's `funcgraph_entry: …`, or a line of another tracer. */
  readText(bytes: Uint8Array, at: number, end: number): GraphKind {
    return this.#text.read(bytes, at, end);
  }

  /** Where the text of a comment starts. */
  get commentStart(): number {
    return this.#text.nameStart;
  }

  #setKnownTask(into: FtracePrefix): void {
    into.pid = this.#pids[into.cpu] ?? 0;
    into.comm = this.#comms[into.cpu];
  }

  addEntry(bytes: Uint8Array, prefix: FtracePrefix, at: number, end: number, isLeaf: boolean): void {
    const bits = this.#entryBits();
    const shape = (this.#entries[bits] ??= toShape('funcgraph_entry', bits));
    const row = this.#rows.add(shape, prefix, bytes);
    const name = this.#rows.batch.strings.intern(bytes, this.#text.nameStart, this.#text.nameEnd);
    this.#setFields(shape.open as OpenTable, row, name, bits, bytes);
    this.#rows.setBody(shape, row, at, end);
    this.#lastCpu = prefix.cpu;
    if (!isLeaf) this.#noteOpen(prefix.cpu, name);
  }

  addExit(bytes: Uint8Array, prefix: FtracePrefix, at: number, end: number): void {
    const bits = this.#exitBits();
    const shape = (this.#exits[bits] ??= toShape('funcgraph_exit', bits));
    const row = this.#rows.add(shape, prefix, bytes);
    const { nameStart, nameEnd, depth } = this.#text;
    const isNamed = nameEnd > nameStart;
    const name = isNamed ? this.#rows.batch.strings.intern(bytes, nameStart, nameEnd) : this.#openName(prefix.cpu, depth);
    this.#setFields(shape.open as OpenTable, row, name, bits, bytes);
    this.#rows.setBody(shape, row, at, end);
    this.#lastCpu = prefix.cpu;
  }

  #entryBits(): number {
    const { argsStart, argsEnd, callerStart, callerEnd } = this.#text;
    return (callerEnd > callerStart ? HAS.caller : 0) | (argsEnd > argsStart ? HAS.args : 0);
  }

  #exitBits(): number {
    const { durationNs, markAt, returned } = this.#text;
    const result = returned === RETURNED.none ? 0 : returned === RETURNED.hex ? HAS.hex : HAS.decimal;
    return (durationNs < 0 ? 0 : HAS.duration) | (markAt < 0 ? 0 : HAS.overhead) | result;
  }

  /** Of a row, those in front of its context; optional ones in the order of OPTIONAL. */
  #setFields({ columns }: OpenTable, row: number, name: number, bits: number, bytes: Uint8Array): void {
    const text = this.#text;
    (columns[0] as Uint32Array)[row] = name;
    setWords(columns[1] as Uint32Array, row, text.depth, 0);
    if (bits === 0) return;
    const { strings } = this.#rows.batch;
    let field = 2;
    if ((bits & HAS.duration) !== 0) {
      const high = Math.floor(text.durationNs / TWO_POW_32);
      setWords(columns[field++] as Uint32Array, row, text.durationNs - high * TWO_POW_32, high);
    }
    if ((bits & HAS.overhead) !== 0) (columns[field++] as Uint32Array)[row] = strings.intern(bytes, text.markAt, text.markAt + 1);
    if ((bits & HAS.caller) !== 0) (columns[field++] as Uint32Array)[row] = strings.intern(bytes, text.callerStart, text.callerEnd);
    if ((bits & HAS.args) !== 0) (columns[field++] as Uint32Array)[row] = strings.intern(bytes, text.argsStart, text.argsEnd);
    if ((bits & (HAS.decimal | HAS.hex)) !== 0) setWords(columns[field] as Uint32Array, row, text.returnLow, text.returnHigh);
  }

  #noteOpen(cpu: number, name: number): void {
    const { depth } = this.#text;
    if (depth > MAX_DEPTH) return;
    const stack = (this.#open[cpu] ??= new GraphStack());
    if (!stack.isFresh) {
      stack.isFresh = true;
      this.#fresh.push(stack);
    }
    stack.open(depth, name);
  }

  /** Dictionary id of the name of the CPU's last entry of this depth; 0 = none. */
  #openName(cpu: number, depth: number): number {
    const stack = this.#open[cpu];
    if (stack === undefined) return 0;
    const id = stack.ids[depth] ?? 0;
    if (id !== 0) return id;
    const name = stack.names[depth] ?? NOTHING;
    return this.#rows.batch.strings.intern(name, 0, name.length);
  }

  /**
   * Adds the rows of lines from `at` that have the columns which the header names, all with a time or none, and of what stands between
   * them; returns how many. They end at `linesEnd`. Every other line is left.
   */
  addLines(bytes: Uint8Array, at: number, times: FtraceTimes, quick: FtraceQuick): number {
    this.linesEnd = at;
    const limit = bytes.length - LINE_MARGIN_BYTES;
    if (at >= limit) return 0;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let rows = 0;
    let p = at;
    while (p < limit) {
      const added = bytes[p] === NEWLINE ? this.#skipLine(p) : this.#addLine(bytes, view, p, times, quick);
      if (added < 0) break;
      rows += added;
      p = this.linesEnd;
    }
    return rows;
  }

  /** The line that ends at `newline` gives no row. */
  #skipLine(newline: number): number {
    this.linesEnd = newline + 1;
    return 0;
  }

  /**
   * Adds the rows of the body `[at, end)` of trace-cmd's `funcgraph_entry: …`, of which `head` has the rest; returns how many, or -1 when
   * it is left. A leaf ends when its duration is over.
   */
  addText(bytes: Uint8Array, view: DataView, at: number, end: number, head: RowHead): number {
    const text = this.#text;
    const kind = text.read(bytes, at, end);
    if (kind !== GRAPH.entry && kind !== GRAPH.exit && kind !== GRAPH.leaf) return -1;
    const [entryBits, exitBits] = [this.#entryBits(), this.#exitBits()];
    const entry = kind === GRAPH.exit ? undefined : this.#entries[entryBits]?.open;
    const exit = kind === GRAPH.entry ? undefined : this.#exits[exitBits]?.open;
    if ((kind !== GRAPH.exit && entry === undefined) || (kind !== GRAPH.entry && exit === undefined)) return -1;
    const rows = this.#rows;
    const name = this.#nameOf(bytes, view, head.cpu);
    if (entry !== undefined) {
      const row = rows.openRow(entry);
      this.#setFields(entry, row, name, entryBits, bytes);
      rows.closeRow(entry, row, head, at, end);
      if (kind === GRAPH.entry) this.#noteOpen(head.cpu, name);
    }
    if (exit === undefined) return 1;
    if (entry !== undefined && text.durationNs > 0) {
      const low = (head.low >>> 0) + text.durationNs;
      head.high += Math.floor(low / TWO_POW_32);
      head.low = low | 0;
    }
    const row = rows.openRow(exit);
    this.#setFields(exit, row, name, exitBits, bytes);
    rows.closeRow(exit, row, head, at, end);
    if (entry === undefined) return 1;
    rows.pair(entry.table);
    return 2;
  }

  /** Of the last line that ended a function. */
  get durationNs(): number {
    return this.#text.durationNs;
  }

  /** Of the function of the line that was read last, or of the one that it ends. */
  #nameOf(bytes: Uint8Array, view: DataView, cpu: number): number {
    const { nameStart, nameEnd, depth } = this.#text;
    return nameEnd > nameStart ? this.#rows.batch.strings.internWords(view, bytes, nameStart, nameEnd) : this.#openName(cpu, depth);
  }

  /** Returns how many rows the line gave; -1 = it is left. */
  #addLine(bytes: Uint8Array, view: DataView, at: number, times: FtraceTimes, quick: FtraceQuick): number {
    if (bytes[at] === SPACE && (bytes[at + 1] === DASH || bytes[at + 1] === OPEN_PAREN)) return this.#addRule(bytes, at);
    const prefix = this.#prefix;
    prefix.clear();
    let p = times.isOrder ? at : this.#readLineStamp(bytes, at);
    if (p < 0) return -1;
    const cpuEnd = readCpu(bytes, p, bytes.length, prefix);
    if (cpuEnd < 0 && this.#hasCpu) return -1;
    if (cpuEnd >= 0) p = cpuEnd;
    const taskEnd = this.#hasTask ? readTask(bytes, p, p + LONGEST_TASK, prefix) : p;
    this.#isTaskNamed = taskEnd > p;
    p = taskEnd;
    if (this.#hasFlags) {
      p = readFlags(bytes, taskEnd, taskEnd + LONGEST_FLAGS, prefix);
      if (p === taskEnd) return -1;
    }
    const text = this.#text;
    const durationEnd = text.readDuration(bytes, p, p + LONGEST_DURATION);
    if (durationEnd < 0 && this.#hasDuration) return times.isOrder ? this.#addSwitchLine(bytes, at, cpuEnd, times) : -1;
    if (text.irqAction !== '') return -1;
    const from = text.skipLead(bytes, p, durationEnd);
    for (p = from; bytes[p] === SPACE && p < from + LONGEST_INDENT;) p++;
    text.depth = (p - from) >> 1;
    if (bytes[p] === SLASH) return this.#addCommentLine(bytes, view, p, times, quick);
    return this.#addCall(bytes, view, at, p, times);
  }

  /** Reads the function at `nameAt`. */
  #addCall(bytes: Uint8Array, view: DataView, at: number, nameAt: number, times: FtraceTimes): number {
    const text = this.#text;
    let p = nameAt;
    let byte = bytes[p] as number;
    while (byte > SPACE && byte !== OPEN_PAREN && p < nameAt + LONGEST_NAME) byte = bytes[++p] as number;
    text.clearDetails();
    text.nameStart = text.nameEnd = nameAt;
    if (bytes[nameAt] === CLOSE_BRACE && byte === NEWLINE && p === nameAt + 1) return this.#addRows(bytes, view, GRAPH.exit, at, p, times);
    if (byte === SPACE) p = skipModule(bytes, p, nameAt + LONGEST_NAME);
    if (p === nameAt) return -1;
    text.nameEnd = p;
    // `();` and `() {` at the end of the line.
    const tail = view.getInt32(p, true);
    if (tail === LEAF_TAIL) return this.#addRows(bytes, view, GRAPH.leaf, at, p + 3, times);
    if (tail === ENTRY_TAIL && bytes[p + 4] === NEWLINE) return this.#addRows(bytes, view, GRAPH.entry, at, p + 4, times);
    const newline = bytes.indexOf(NEWLINE, p);
    if (newline < 0 || newline >= at + LINE_MARGIN_BYTES || (bytes[newline - 1] as number) <= SPACE) return -1;
    const kind = text.readFunction(bytes, nameAt, newline);
    return kind === GRAPH.none ? -1 : this.#addRows(bytes, view, kind, at, newline, times);
  }

  /** Returns what follows; -1 where the line has none, or one that is beyond exact numbers. */
  #readLineStamp(bytes: Uint8Array, at: number): number {
    const prefix = this.#prefix;
    const end = readStamp(bytes, at, at + LONGEST_STAMP, prefix);
    return prefix.time === TIME.dotted && prefix.seconds < EXACT_SECONDS ? end : -1;
  }

  #addRule(bytes: Uint8Array, at: number): number {
    if (startsWith(bytes, at, bytes.length, NO_OVERRUNS)) return this.#skipLine(at + NO_OVERRUNS.length - 1);
    const newline = bytes.indexOf(NEWLINE, at);
    return newline >= 0 && newline < at + LONGEST_RULE && isRule(bytes, at, newline) ? this.#skipLine(newline) : -1;
  }

  #addSwitchLine(bytes: Uint8Array, at: number, cpuEnd: number, times: FtraceTimes): number {
    const newline = bytes.indexOf(NEWLINE, cpuEnd);
    let end = newline;
    while (end > cpuEnd && bytes[end - 1] === SPACE) end--;
    if (cpuEnd < 0 || newline < 0 || !hasArrow(bytes, cpuEnd, newline) || !this.#switched.read(bytes, cpuEnd, end)) return -1;
    const prefix = this.#prefix;
    const { cpu } = prefix;
    prefix.clear();
    prefix.cpu = cpu;
    const ordinal = times.nextOrdinal();
    prefix.seconds = Math.floor(ordinal / 1e9);
    prefix.nanos = ordinal % 1e9;
    this.#addSwitch(bytes, prefix, at, end);
    times.note(prefix);
    this.linesEnd = newline + 1;
    return 1;
  }

  /** A comment with an event that is known. */
  #addCommentLine(bytes: Uint8Array, view: DataView, at: number, times: FtraceTimes, quick: FtraceQuick): number {
    if (view.getInt16(at + 1, true) !== COMMENT_HEAD) return -1;
    const head = this.#setHead(bytes);
    const end = quick.addComment(bytes, at + 3, this.#setTime(head, times, times.ordinal + 1));
    if (end < 0) return -1;
    if (times.isOrder) times.nextOrdinal();
    this.#noteTime(head.cpu, times);
    this.linesEnd = end + COMMENT_TAIL_BYTES;
    return 1;
  }

  /** Of a row of the task that the line names, or that runs on a CPU. */
  #setHead(bytes: Uint8Array): RowHead {
    const head = this.#head;
    const { cpu, pid, commStart, commEnd, flags, preemptCount } = this.#prefix;
    head.cpu = cpu;
    head.bits = flags | (preemptCount << 8);
    head.pid = this.#isTaskNamed ? pid : (this.#pids[cpu] ?? 0);
    if (this.#isTaskNamed) head.comm = this.#rows.batch.strings.intern(bytes, commStart, commEnd);
    else head.comm = this.#commIds[cpu] ?? this.#internComm(cpu);
    return head;
  }

  /** The line's time, or its number. */
  #setTime(head: RowHead, times: FtraceTimes, ordinal: number): RowHead {
    const prefix = this.#prefix;
    if (times.isOrder) {
      prefix.seconds = Math.floor(ordinal / 1e9);
      prefix.nanos = ordinal - prefix.seconds * 1e9;
    }
    const ns = prefix.seconds * 1e9 + prefix.nanos;
    head.high = Math.floor(ns / TWO_POW_32);
    head.low = (ns - head.high * TWO_POW_32) | 0;
    return head;
  }

  #noteTime(cpu: number, times: FtraceTimes): void {
    times.noteRow(cpu, this.#prefix.seconds, this.#prefix.nanos);
  }

  /** Of the function that was read, which is `kind`. */
  #addRows(bytes: Uint8Array, view: DataView, kind: GraphKind, at: number, end: number, times: FtraceTimes): number {
    const [entryBits, exitBits] = [this.#entryBits(), this.#exitBits()];
    const entry = kind === GRAPH.exit ? undefined : this.#entries[entryBits]?.open;
    const exit = kind === GRAPH.entry ? undefined : this.#exits[exitBits]?.open;
    if ((kind !== GRAPH.exit && entry === undefined) || (kind !== GRAPH.entry && exit === undefined)) return -1;
    const { cpu } = this.#setHead(bytes);
    const name = this.#nameOf(bytes, view, cpu);
    this.#lastCpu = cpu;
    this.linesEnd = end + 1;
    if (entry !== undefined) {
      this.#addRow(entry, name, entryBits, bytes, at, end, times);
      if (kind === GRAPH.entry) this.#noteOpen(cpu, name);
    }
    if (exit === undefined) return 1;
    if (entry !== undefined && !times.isOrder) this.advance(this.#prefix);
    this.#addRow(exit, name, exitBits, bytes, at, end, times);
    return entry === undefined ? 1 : 2;
  }

  #internComm(cpu: number): number {
    const comm = this.#comms[cpu];
    return (this.#commIds[cpu] = comm === undefined ? 0 : this.#rows.batch.strings.intern(comm, 0, comm.length));
  }

  #addRow(open: OpenTable, name: number, bits: number, bytes: Uint8Array, at: number, end: number, times: FtraceTimes): void {
    const rows = this.#rows;
    const head = this.#head;
    const row = rows.openRow(open);
    this.#setFields(open, row, name, bits, bytes);
    this.#setTime(head, times, times.isOrder ? times.nextOrdinal() : 0);
    rows.closeRow(open, row, head, at, end);
    this.#noteTime(head.cpu, times);
  }

  /** Before the batch goes: names of open functions are kept without its dictionary. */
  keepNames(): void {
    for (const stack of this.#fresh) stack.keepNames(this.#rows.batch.strings);
    this.#fresh = [];
    this.#commIds = [];
  }

  /** Adds what is no function: a switch of tasks, an interrupt, a count of overruns. */
  addOther(kind: GraphKind, bytes: Uint8Array, prefix: FtracePrefix, at: number, end: number): void {
    const rows = this.#rows;
    if (kind === GRAPH.switch) return this.#addSwitch(bytes, prefix, at, end);
    const shape = kind === GRAPH.irq ? this.#irq : this.#overrun;
    const row = rows.add(shape, prefix, bytes);
    rows.setBody(shape, row, at, end);
    if (kind === GRAPH.irq) rows.setString(shape, row, 0, this.#text.irqAction);
    else rows.setNumber(shape, row, 0, this.#overruns);
  }

  #addSwitch(bytes: Uint8Array, prefix: FtracePrefix, at: number, end: number): void {
    const { prev, next } = this.#switched;
    const { cpu } = prefix;
    prefix.pid = prev.pid;
    prefix.comm = undefined;
    prefix.commStart = prev.start;
    prefix.commEnd = prev.end;
    const shape = this.#switch;
    const rows = this.#rows;
    const row = rows.add(shape, prefix, bytes);
    rows.setText(shape, row, 0, bytes, prev.start, prev.end);
    rows.setNumber(shape, row, 1, prev.pid);
    rows.setText(shape, row, 2, bytes, next.start, next.end);
    rows.setNumber(shape, row, 3, next.pid);
    rows.setBody(shape, row, at, end);
    if (this.#parked.size >= MAX_TASKS) this.#parked.clear();
    this.#parked.set(toTask(prev.pid, cpu), this.#open[cpu] ?? new GraphStack());
    this.#open[cpu] = this.#parked.get(toTask(next.pid, cpu));
    this.#pids[cpu] = next.pid;
    this.#comms[cpu] = bytes.slice(next.start, next.end);
    this.#commIds = [];
  }

  /** From the entry of a leaf to its exit. */
  advance(prefix: FtracePrefix): void {
    const { durationNs } = this.#text;
    if (durationNs < 0) return;
    const nanos = prefix.nanos + durationNs;
    const carry = Math.floor(nanos / 1e9);
    prefix.seconds += carry;
    prefix.nanos = nanos - carry * 1e9;
  }
}

/** Each CPU has an idle task of its own. */
function toTask(pid: number, cpu: number): number {
  return pid === 0 ? -1 - cpu : pid;
}

function toShape(event: string, bits: number): Shape {
  const optional = OPTIONAL.filter(([bit]) => (bits & bit) !== 0).map(([, field]) => field);
  return createShape('ftrace', event, [FUNC, DEPTH, ...optional], String(bits));
}

function setWords(column: Uint32Array, row: number, low: number, high: number): void {
  column[row * 2] = low;
  column[row * 2 + 1] = high;
}
