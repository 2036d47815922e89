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
 *   (Overruns: 3)                                     functions that were too deep, before the line above
 *
 * An entry is a row of `ftrace:funcgraph_entry`, an exit one of `ftrace:funcgraph_exit`, a leaf one of each; an exit without a
 * name gets that of its CPU's last entry of this depth.
 */
import { decodeUtf8, isDigit } from '../base/bytes.ts';
import { TWO_POW_32 } from '../base/int64.ts';
import type { EventField } from '../model/event-batch.ts';
import { GraphStack } from './ftrace-graph-stack.ts';
import { hasArrow, isRule, readCpu, readFlags, readStamp, readTask, skipModule, TaskSwitch } from './ftrace-graph-columns.ts';
import { FtracePrefix, TIME } from './ftrace-prefix.ts';
import type { FtraceQuick } from './ftrace-quick.ts';
import { createShape, RowHead, type FtraceRows, type OpenTable, type Shape } from './ftrace-rows.ts';
import type { FtraceTimes } from './ftrace-times.ts';

const NEWLINE = 10;
const SPACE = 32;
const OPEN_PAREN = 40;
const CLOSE_PAREN = 41;
const DASH = 45;
const DOT = 46;
const SLASH = 47;
const SEMICOLON = 59;
const OPEN_BRACE = 123;
const BAR = 124;
const CLOSE_BRACE = 125;

/** What a line turned out to be. */
export const GRAPH = { none: 0, rule: 1, entry: 2, exit: 3, leaf: 4, comment: 5, switch: 6, irq: 7, overrun: 8 } as const;
type GraphKind = (typeof GRAPH)[keyof typeof GRAPH];

const OVERRUNS = /^ \(Overruns: (\d{1,10})\)\s*$/;
const CALL = /^([^\s(]+(?: \[[^\s\]]+\])?)\((.*)\)(;| \{)(?: +\/\* (.*) \*\/)?$/;
const END = /^\}(?: +\/\* (.*) \*\/)?$/;
const CALLER = /<-(\S+(?: \[[^\s\]]+\])?)/;
const TAIL_NAME = /^([^\s=<]+(?: \[[^\s\]]+\])?)/;
const RETURN = /(?:^|\s)(?:ret=|= )(-?\d{1,19}|(?:0x)?[\da-fA-F]{1,16})(?=\s|$)/;

/** `();` and the newline, `() {`, two spaces: as words. */
const LEAF_TAIL = 0x0a3b_2928;
const ENTRY_TAIL = 0x7b20_2928;
const LESS = 60;
const EQUALS = 61;
const TWO_SPACES = 0x2020;
/** Star and blank behind the slash; what ends the comment, and the newline. */
const COMMENT_HEAD = 0x202a;
/** What stands in front of the name behind an end, and behind it, with the newline. */
const TAIL_HEAD = 0x202a_2f20;
const TAIL_END = 0x0a2f_2a20;
const COMMENT_TAIL_BYTES = 4;
/** What `addLines` may read of a line. */
const LINE_MARGIN_BYTES = 512;
const LONGEST_LINE = 1024;
const LONGEST_RULE = 60;
const LONGEST_STAMP = 30;
const LONGEST_NAME = 100;
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
  /** The line that `addLines` reads names its task. */
  #isTaskNamed = false;
  #isNamed = false;

  // The line that was read last.
  #depth = 0;
  #nameStart = 0;
  #nameEnd = 0;
  #durationNs = -1;
  /** Where the overhead's mark stands; -1 = none. */
  #markAt = -1;
  #caller = '';
  #args: string | undefined;
  #return: string | undefined;
  #number = 0;
  #irqText = '';
  #isPlain = true;
  #tail = '';
  readonly #switched = new TaskSwitch();

  constructor(rows: FtraceRows) {
    this.#rows = rows;
  }

  /** The line of column names, where there is one. */
  setColumns(line: string | undefined): void {
    this.#isNamed = line !== undefined;
    this.#hasCpu = line === undefined || /\bCPU/.test(line);
    this.#hasTask = line !== undefined && /\bTASK/.test(line);
  }

  /** Reads the line `[at, end)` without changing anything but what it found. */
  read(bytes: Uint8Array, at: number, end: number, into: FtracePrefix): GraphKind {
    if (bytes[at] === SPACE && end - at < LONGEST_RULE && (bytes[at + 1] === DASH || bytes[at + 1] === OPEN_PAREN)) {
      if (isRule(bytes, at, end)) return GRAPH.rule;
      const overruns = OVERRUNS.exec(decodeUtf8(bytes, at, end));
      if (overruns !== null) {
        this.#number = Number(overruns[1]);
        return this.#number === 0 ? GRAPH.rule : GRAPH.overrun;
      }
    }
    into.clear();
    into.time = TIME.none;
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
    const kind = this.readText(bytes, p, end);
    // Without columns of its own a line is one of function_graph only where the header says so.
    return cpuEnd < 0 && !this.#isNamed ? GRAPH.none : kind;
  }

  /** Reads duration and function in `[at, end)`: the end of a line, or the body of trace-cmd's `funcgraph_entry: …`. */
  readText(bytes: Uint8Array, at: number, end: number): GraphKind {
    let p = this.#readDuration(bytes, at, end);
    if (p < 0) {
      this.#durationNs = -1;
      this.#markAt = -1;
      p = bytes[at] === SPACE ? at + 1 : at;
    } else if (bytes[p] === SPACE && bytes[p + 1] === SPACE) p += 2;
    if (this.#irqText !== '') return GRAPH.irq;
    const from = p;
    while (p < end && bytes[p] === SPACE) p++;
    this.#depth = (p - from) >> 1;
    while (end > p && (bytes[end - 1] as number) <= SPACE) end--;
    if (p === end) return GRAPH.none;
    if (bytes[p] === SLASH) {
      this.#nameStart = p + 3;
      return GRAPH.comment;
    }
    return this.#readFunction(bytes, p, end);
  }

  /** Where the text of a comment starts. */
  get commentStart(): number {
    return this.#nameStart;
  }

  #readFunction(bytes: Uint8Array, at: number, end: number): GraphKind {
    this.#isPlain = true;
    if (bytes[at] === CLOSE_BRACE && end === at + 1) {
      this.#nameStart = this.#nameEnd = at;
      return GRAPH.exit;
    }
    let p = at;
    while (p < end && (bytes[p] as number) > SPACE && bytes[p] !== OPEN_PAREN) p++;
    if (bytes[p] === SPACE) p = skipModule(bytes, p, end);
    this.#nameStart = at;
    this.#nameEnd = p;
    if (bytes[p] === OPEN_PAREN && bytes[p + 1] === CLOSE_PAREN) {
      if (bytes[p + 2] === SEMICOLON && p + 3 === end) return GRAPH.leaf;
      if (bytes[p + 2] === SPACE && bytes[p + 3] === OPEN_BRACE && p + 4 === end) return GRAPH.entry;
    }
    return end - at > LONGEST_LINE ? GRAPH.none : this.#readDetails(bytes, at, end);
  }

  /** Arguments, and what stands in a comment behind the function. */
  #readDetails(bytes: Uint8Array, at: number, end: number): GraphKind {
    const text = decodeUtf8(bytes, at, end);
    const call = CALL.exec(text);
    const exit = call === null ? END.exec(text) : null;
    if (call === null && exit === null) return GRAPH.none;
    const remark = call?.[4] ?? exit?.[1] ?? '';
    this.#isPlain = false;
    this.#args = call === null || call[2] === '' ? undefined : call[2];
    this.#caller = CALLER.exec(remark)?.[1] ?? '';
    this.#return = RETURN.exec(remark)?.[1];
    if (call !== null) return call[3] === ';' ? GRAPH.leaf : GRAPH.entry;
    const name = TAIL_NAME.exec(remark)?.[1] ?? '';
    this.#tail = name.startsWith('ret') && remark.startsWith('ret=') ? '' : name;
    this.#nameStart = this.#nameEnd = at;
    return GRAPH.exit;
  }

  /** `+ 13.215 us   |`, spaces and `|`, or an interrupt's arrow; returns what follows, or -1 where there is none of them. */
  #readDuration(bytes: Uint8Array, at: number, end: number): number {
    this.#durationNs = -1;
    this.#markAt = -1;
    this.#irqText = '';
    let p = at;
    while (p < end && bytes[p] === SPACE) p++;
    // `end` may be beyond the line: an overhead's mark is never the line's end.
    if (p >= end || (bytes[p] as number) < SPACE) return -1;
    if (bytes[p] === BAR) return p + 1;
    const mark = bytes[p] as number;
    if ((mark === 61 || mark === 60) && bytes[p + 1] === 61) return this.#readArrow(bytes, p, end);
    if (!isDigit(mark)) {
      if (bytes[p + 1] !== SPACE) return -1;
      this.#markAt = p;
      p++;
      while (p < end && bytes[p] === SPACE) p++;
    }
    let whole = 0;
    const from = p;
    while (isDigit(bytes[p]) && p < from + 12) whole = whole * 10 + (bytes[p++] as number) - 48;
    if (p === from) return -1;
    let nanos = 0;
    if (bytes[p] === DOT) {
      let unit = 100;
      for (p++; isDigit(bytes[p]) && unit >= 1; unit /= 10) nanos += ((bytes[p++] as number) - 48) * unit;
    }
    if (bytes[p] !== SPACE || bytes[p + 1] !== 0x75 || bytes[p + 2] !== 0x73) return -1;
    for (p += 3; p < end && bytes[p] === SPACE;) p++;
    if (bytes[p] !== BAR) return -1;
    this.#durationNs = whole * 1000 + nanos;
    return p + 1;
  }

  /** `==========> |` and `<========== |`: an interrupt begins and ends. */
  #readArrow(bytes: Uint8Array, at: number, end: number): number {
    const match = /^(=+>|<=+) +\|/.exec(decodeUtf8(bytes, at, Math.min(end, at + 64)));
    if (match === null) return -1;
    this.#irqText = (match[1] as string).startsWith('<') ? 'leave' : 'enter';
    return at + match[0].length;
  }

  #setKnownTask(into: FtracePrefix): void {
    into.pid = this.#pids[into.cpu] ?? 0;
    into.comm = this.#comms[into.cpu];
  }

  addEntry(bytes: Uint8Array, prefix: FtracePrefix, at: number, end: number, isLeaf: boolean): void {
    const { caller, args } = HAS;
    const isPlain = this.#isPlain;
    const bits = isPlain ? 0 : (this.#caller === '' ? 0 : caller) | (this.#args === undefined ? 0 : args);
    const shape = (this.#entries[bits] ??= toShape('funcgraph_entry', bits));
    const row = this.#rows.add(shape, prefix, bytes);
    const name = this.#rows.batch.strings.intern(bytes, this.#nameStart, this.#nameEnd);
    this.#rows.setId(shape, row, 0, name);
    this.#rows.setWords(shape, row, 1, this.#depth, 0);
    this.#rows.setBody(shape, row, at, end);
    this.#setOptional(bytes, shape, row, bits);
    if (!isLeaf) this.#noteOpen(prefix.cpu, name);
  }

  addExit(bytes: Uint8Array, prefix: FtracePrefix, at: number, end: number): void {
    let bits = (this.#durationNs < 0 ? 0 : HAS.duration) | (this.#markAt < 0 ? 0 : HAS.overhead);
    const result = this.#isPlain ? undefined : this.#return;
    if (result !== undefined) bits |= /^-?\d+$/.test(result) ? HAS.decimal : HAS.hex;
    const shape = (this.#exits[bits] ??= toShape('funcgraph_exit', bits));
    const row = this.#rows.add(shape, prefix, bytes);
    if (this.#nameEnd > this.#nameStart) this.#rows.setText(shape, row, 0, bytes, this.#nameStart, this.#nameEnd);
    else if (!this.#isPlain && this.#tail !== '') this.#rows.setString(shape, row, 0, this.#tail);
    else this.#rows.setId(shape, row, 0, this.#openName(prefix.cpu, this.#depth));
    this.#rows.setWords(shape, row, 1, this.#depth, 0);
    this.#rows.setBody(shape, row, at, end);
    this.#setOptional(bytes, shape, row, bits);
  }

  /** In the order of OPTIONAL. */
  #setOptional(bytes: Uint8Array, shape: Shape, row: number, bits: number): void {
    if (bits === 0) return;
    const rows = this.#rows;
    let field = 2;
    if ((bits & HAS.duration) !== 0) rows.setNumber(shape, row, field++, this.#durationNs);
    if ((bits & HAS.overhead) !== 0) rows.setText(shape, row, field++, bytes, this.#markAt, this.#markAt + 1);
    if ((bits & HAS.caller) !== 0) rows.setString(shape, row, field++, this.#caller);
    if ((bits & HAS.args) !== 0) rows.setString(shape, row, field++, this.#args ?? '');
    if ((bits & (HAS.decimal | HAS.hex)) === 0) return;
    const value = parseReturn(this.#return ?? '0', (bits & HAS.hex) !== 0);
    rows.setWords(shape, row, field, Number(value & 0xffff_ffffn), Number((value >> 32n) & 0xffff_ffffn));
  }

  #noteOpen(cpu: number, name: number): void {
    if (this.#depth > MAX_DEPTH) return;
    const stack = (this.#open[cpu] ??= new GraphStack());
    if (!stack.isFresh) {
      stack.isFresh = true;
      this.#fresh.push(stack);
    }
    stack.open(this.#depth, name);
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
   * Adds the rows of lines from `at` that have CPU, duration and function, all with a time or none, and a task where the header names
   * that column, and what stands between them; returns how many. They end at `linesEnd`. Every other line is left.
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
    const kind = this.readText(bytes, at, end);
    if ((kind !== GRAPH.entry && kind !== GRAPH.exit && kind !== GRAPH.leaf) || !this.#isPlain) return -1;
    const entry = kind === GRAPH.exit ? undefined : this.#entries[0]?.open;
    const exit = kind === GRAPH.entry ? undefined : this.#exits[this.#exitBits()]?.open;
    if ((kind !== GRAPH.exit && entry === undefined) || (kind !== GRAPH.entry && exit === undefined)) return -1;
    const rows = this.#rows;
    const { strings } = rows.batch;
    const isNamed = this.#nameEnd > this.#nameStart;
    const name = isNamed ? strings.internWords(view, bytes, this.#nameStart, this.#nameEnd) : this.#openName(head.cpu, this.#depth);
    if (entry !== undefined) {
      rows.closeRow(entry, this.#openRow(entry, name), head, at, end);
      if (kind === GRAPH.entry) this.#noteOpen(head.cpu, name);
    }
    if (exit === undefined) return 1;
    if (entry !== undefined && this.#durationNs > 0) {
      const low = (head.low >>> 0) + this.#durationNs;
      head.high += Math.floor(low / TWO_POW_32);
      head.low = low | 0;
    }
    const row = this.#openRow(exit, name);
    this.#setDuration(exit, row, bytes, view);
    rows.closeRow(exit, row, head, at, end);
    if (entry === undefined) return 1;
    rows.pair(entry.table);
    return 2;
  }

  /** Of the last line that ended a function. */
  get durationNs(): number {
    return this.#durationNs;
  }

  #exitBits(): number {
    return (this.#durationNs < 0 ? 0 : HAS.duration) | (this.#markAt < 0 ? 0 : HAS.overhead);
  }

  /** Returns how many rows the line gave; -1 = it is left. */
  #addLine(bytes: Uint8Array, view: DataView, at: number, times: FtraceTimes, quick: FtraceQuick): number {
    const prefix = this.#prefix;
    prefix.clear();
    const stampEnd = times.isOrder ? at : this.#readLineStamp(bytes, at);
    if (stampEnd < 0) return -1;
    let p = stampEnd;
    while (bytes[p] === SPACE && p < stampEnd + 3) p++;
    const cpuAt = p;
    let cpu = 0;
    let byte = bytes[p] as number;
    while (byte >= 48 && byte <= 57 && p < cpuAt + 4) {
      cpu = cpu * 10 + byte - 48;
      byte = bytes[++p] as number;
    }
    if (byte !== CLOSE_PAREN || p === cpuAt) return byte === DASH && p === at + 1 ? this.#addRule(bytes, at) : -1;
    const cpuEnd = p + 1;
    const taskEnd = this.#hasTask ? readTask(bytes, cpuEnd, cpuEnd + LONGEST_TASK, prefix) : cpuEnd;
    this.#isTaskNamed = taskEnd > cpuEnd;
    p = this.#readDuration(bytes, taskEnd, taskEnd + LONGEST_DURATION);
    if (p < 0 && stampEnd !== at) return -1;
    if (p < 0) return this.#addSwitchLine(bytes, cpu, at, cpuEnd, times);
    if (this.#irqText !== '' || view.getInt16(p, true) !== TWO_SPACES) return -1;
    const from = p + 2;
    p = from;
    while (bytes[p] === SPACE && p < from + 100) p++;
    this.#depth = (p - from) >> 1;
    const nameAt = p;
    byte = bytes[p] as number;
    if (byte === SLASH) return this.#addCommentLine(bytes, view, cpu, nameAt, times, quick);
    while (byte > SPACE && byte !== OPEN_PAREN && p < nameAt + LONGEST_NAME) byte = bytes[++p] as number;
    const isExit = byte === NEWLINE && p === nameAt + 1 && bytes[nameAt] === CLOSE_BRACE;
    if (byte === SPACE && bytes[nameAt] === CLOSE_BRACE && p === nameAt + 1) return this.#addTail(bytes, view, cpu, at, p, times);
    if (isExit) return this.#addPlain(bytes, view, cpu, GRAPH.exit, at, nameAt, nameAt, p, times);
    // `();` and `() {` at the end of the line.
    if (p === nameAt) return -1;
    if (byte === SPACE) p = skipModule(bytes, p, nameAt + LONGEST_NAME);
    const tail = view.getInt32(p, true);
    if (tail === LEAF_TAIL) return this.#addPlain(bytes, view, cpu, GRAPH.leaf, at, nameAt, p, p + 3, times);
    if (tail !== ENTRY_TAIL || bytes[p + 4] !== NEWLINE) return -1;
    return this.#addPlain(bytes, view, cpu, GRAPH.entry, at, nameAt, p, p + 4, times);
  }

  /** Returns what follows; -1 where the line has none, or one that is beyond exact numbers. */
  #readLineStamp(bytes: Uint8Array, at: number): number {
    const prefix = this.#prefix;
    const end = readStamp(bytes, at, at + LONGEST_STAMP, prefix);
    return prefix.time === TIME.dotted && prefix.seconds < EXACT_SECONDS ? end : -1;
  }

  /** An end with the name of its function in a comment behind the blank at `blank`. */
  #addTail(bytes: Uint8Array, view: DataView, cpu: number, at: number, blank: number, times: FtraceTimes): number {
    if (view.getInt32(blank, true) !== TAIL_HEAD) return -1;
    const nameAt = blank + 4;
    let p = nameAt;
    let byte = bytes[p] as number;
    while (byte > SPACE && byte !== EQUALS && byte !== LESS && p < nameAt + LONGEST_NAME) byte = bytes[++p] as number;
    if (byte === SPACE) p = skipModule(bytes, p, nameAt + LONGEST_NAME);
    if (p === nameAt || view.getInt32(p, true) !== TAIL_END) return -1;
    return this.#addPlain(bytes, view, cpu, GRAPH.exit, at, nameAt, p, p + 3, times);
  }

  #addRule(bytes: Uint8Array, at: number): number {
    const newline = bytes.indexOf(NEWLINE, at);
    return newline >= 0 && newline < at + LONGEST_RULE && isRule(bytes, at, newline) ? this.#skipLine(newline) : -1;
  }

  #addSwitchLine(bytes: Uint8Array, cpu: number, at: number, cpuEnd: number, times: FtraceTimes): number {
    const newline = bytes.indexOf(NEWLINE, cpuEnd);
    let end = newline;
    while (end > cpuEnd && bytes[end - 1] === SPACE) end--;
    if (newline < 0 || !hasArrow(bytes, cpuEnd, newline) || !this.#switched.read(bytes, cpuEnd, end)) return -1;
    const prefix = this.#prefix;
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
  #addCommentLine(bytes: Uint8Array, view: DataView, cpu: number, at: number, times: FtraceTimes, quick: FtraceQuick): number {
    if (view.getInt16(at + 1, true) !== COMMENT_HEAD) return -1;
    const head = this.#setHead(bytes, cpu);
    const end = quick.addComment(bytes, at + 3, this.#setTime(head, times, times.ordinal + 1));
    if (end < 0) return -1;
    if (times.isOrder) times.nextOrdinal();
    this.#noteTime(cpu, times);
    this.linesEnd = end + COMMENT_TAIL_BYTES;
    return 1;
  }

  /** Of a row of the task that the line names, or that runs on a CPU. */
  #setHead(bytes: Uint8Array, cpu: number): RowHead {
    const head = this.#head;
    const { pid, commStart, commEnd } = this.#prefix;
    head.cpu = cpu;
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

  #addPlain(
    bytes: Uint8Array,
    view: DataView,
    cpu: number,
    kind: GraphKind,
    at: number,
    nameAt: number,
    nameEnd: number,
    end: number,
    times: FtraceTimes,
  ): number {
    const entry = kind === GRAPH.exit ? undefined : this.#entries[0]?.open;
    const exit = kind === GRAPH.entry ? undefined : this.#exits[this.#exitBits()]?.open;
    if ((kind !== GRAPH.exit && entry === undefined) || (kind !== GRAPH.entry && exit === undefined)) return -1;
    const { strings } = this.#rows.batch;
    this.#setHead(bytes, cpu);
    const name = nameEnd === nameAt ? this.#openName(cpu, this.#depth) : strings.internWords(view, bytes, nameAt, nameEnd);
    this.linesEnd = end + 1;
    let rows = 0;
    if (entry !== undefined) {
      this.#addRow(entry, name, at, end, times);
      if (kind === GRAPH.entry) this.#noteOpen(cpu, name);
      rows++;
    }
    if (exit === undefined) return rows;
    this.#setDuration(exit, this.#rows.openRow(exit), bytes, view);
    if (entry !== undefined && !times.isOrder) this.advance(this.#prefix);
    this.#addRow(exit, name, at, end, times);
    return rows + 1;
  }

  #setDuration({ columns }: OpenTable, row: number, bytes: Uint8Array, view: DataView): void {
    let field = 2;
    if (this.#durationNs >= 0) {
      const column = columns[field++] as Uint32Array;
      const high = Math.floor(this.#durationNs / TWO_POW_32);
      column[row * 2] = this.#durationNs - high * TWO_POW_32;
      column[row * 2 + 1] = high;
    }
    if (this.#markAt < 0) return;
    (columns[field] as Uint32Array)[row] = this.#rows.batch.strings.internWords(view, bytes, this.#markAt, this.#markAt + 1);
  }

  /** The next row, with the fields that all have. */
  #openRow(open: OpenTable, name: number): number {
    const row = this.#rows.openRow(open);
    const [names, depths] = open.columns as [Uint32Array, Uint32Array];
    names[row] = name;
    depths[row * 2] = this.#depth;
    depths[row * 2 + 1] = 0;
    return row;
  }

  #internComm(cpu: number): number {
    const comm = this.#comms[cpu];
    return (this.#commIds[cpu] = comm === undefined ? 0 : this.#rows.batch.strings.intern(comm, 0, comm.length));
  }

  /** A row with all but the fields that only some have. */
  #addRow(open: OpenTable, name: number, at: number, end: number, times: FtraceTimes): void {
    const rows = this.#rows;
    const head = this.#head;
    const row = this.#openRow(open, name);
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
    if (kind === GRAPH.irq) rows.setString(shape, row, 0, this.#irqText);
    else rows.setNumber(shape, row, 0, this.#number);
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
    if (this.#durationNs < 0) return;
    const nanos = prefix.nanos + this.#durationNs;
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

function parseReturn(text: string, isHex: boolean): bigint {
  const value = isHex && !text.startsWith('0x') ? BigInt(`0x${text}`) : text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text);
  return BigInt.asUintN(64, value);
}
