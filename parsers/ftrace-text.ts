/**
 * ftrace text: the files `trace` and `trace_pipe` with whatever tracer and options, and what `trace-cmd report` prints.
 *
 *   # tracer: nop                                     header: ftrace-header.ts; absent in trace_pipe
 *               bash-11843   (  11843) [001] d..2.  2351.415237: sched_switch: prev_comm=bash prev_pid=11843 …
 *               |    |          |       |    |      |            +-- body: ftrace-body.ts
 *               |    |          |       |    |      +-- s.us, or a whole number (clocks counter, uptime, x86-tsc)
 *               |    |          |       |    +-- flags, as the header names them; absent with irq-info off
 *               |    |          |       +-- CPU
 *               |    |          +-- thread group, with record-tgid only
 *               |    +-- pid
 *               +-- task name, 16 wide: may hold spaces, dashes, brackets; <...> = unknown
 *   CPU:1 [LOST 1872 EVENTS]                          before the next event of that CPU
 *   ##### CPU 1 buffer started ####                   this CPU's data begins here
 *    => ttwu_do_activate                              no prefix: belongs to the event before (stacks, markers with newlines)
 *
 * Long inputs are read by WebAssembly where lines are as those before them (ftrace-walker.ts), else by ftrace-quick.ts, and what is new by the careful
 * way here. Other options and tracers have lines of other shapes: latency-format and verbose (ftrace-latency.ts), raw and hex
 * (ftrace-raw.ts), bin (ftrace-bin.ts), function_graph (ftrace-graph.ts); with context-info off a line is a body alone. Clocks:
 * ftrace-times.ts. A line that no rule takes is counted, and becomes a row of `ftrace:unparsed` with its text.
 * blk_classic and mmiotrace: ftrace-tracers.ts. Not handled: the counters of the tracer's own files (`stats`, `trace_stat/`). Histograms: ftrace-hist.ts.
 * Spec: kernel/trace/trace_output.c, trace.c (trace_print_context, print_trace_header), trace_functions_graph.c.
 */
import { decodeUtf8 } from '../base/bytes.ts';
import type { EventBatch, EventField } from '../model/event-batch.ts';
import { countMalformed, createCounts, type EventTextParser, type InputLoss, type ParserSession } from '../model/parser.ts';
import { readAddresses, readBinRecord } from './ftrace-bin.ts';
import { FtraceBodies } from './ftrace-body.ts';
import { FtraceGraph } from './ftrace-graph.ts';
import { findGraphText } from './ftrace-graph-columns.ts';
import { GRAPH } from './ftrace-graph-text.ts';
import { FtraceHeader, LATENCY_NAMES, type LatencyTrace } from './ftrace-header.ts';
import { readLatency, readVerbose } from './ftrace-latency.ts';
import { readLost } from './ftrace-lost.ts';
import { FtracePrefix, TIME } from './ftrace-prefix.ts';
import { FtraceQuick, QUICK_MARGIN_BYTES } from './ftrace-quick.ts';
import { readHex, readRaw } from './ftrace-raw.ts';
import { createShape, FtraceRows, type Shape } from './ftrace-rows.ts';
import { sniffFtrace } from './ftrace-sniff.ts';
import { FtraceTimes } from './ftrace-times.ts';
import { FtraceWalker } from './ftrace-walker.ts';
import { findMmioMark, readTracerLine } from './ftrace-tracers.ts';

const NEWLINE = 10;
const CARRIAGE_RETURN = 13;
const SPACE = 32;
const HASH = 35;
const CAPITAL_C = 0x43;
const CLOSE = 93;

/** One event with its further lines; the kernel's own bound for a line is a page. */
const MAX_EVENT_BYTES = 64 << 10;
const LONGEST_REMARK = 256;
/** What an input has before its lines are read by WebAssembly, which has to be made ready. */
const WALKER_FROM_BYTES = 64 << 10;
const LOST = /^(?: *\S{1,64}: )?CPU:(\d{1,5}) \[(?:LOST (\d{1,15}) EVENTS|LOST EVENTS|EVENTS DROPPED|(\d{1,15}) EVENTS DROPPED)\]/;
/** What trace-cmd prints of an event that the file has no format of. */
const UNKNOWN_EVENT = /^(?: *\S{1,64}:)? *(?:\[UNKNOWN EVENT\]){2,3} /;
/** Of the last line that `readLost` took. */
const LOSS = { cpu: 0, count: 0 };
const STARTED = /^##### CPU \d+ buffer started ####/;
/** Lines of trace-cmd report before its first event. */
const REPORT_HEADER =
  /^(?: *\S{1,64}: )?(?:cpus=\d+|version = \d+|CPU \d+ is empty|trace-cmd version .*|registering plugin: .*|overriding event .*)?\s*$/;
const TRACER = '# tracer: ';

/** Shapes of lines; `any` lines may stand beside each other, lines of the others only among their like. */
const SHAPE = { unknown: 0, any: 1, raw: 2, hex: 3, bin: 4, bare: 5 } as const;
type LineShape = (typeof SHAPE)[keyof typeof SHAPE];
/** Which reader took the last line: the first to be asked for the next one. */
const READER = { event: 0, latency: 1, verbose: 2 } as const;
type LineReader = (typeof READER)[keyof typeof READER];

/** A body without a context: an event's name, a system call, a function and its caller, a type. */
const BARE =
  /^(?:[A-Za-z_][\w.]{0,126}: |tracing_mark_write: |sys_\w+(?:\(| -> )|<(?:user )?stack trace>|[\w.$]+(?:\+0x[\da-f]+\/0x[\da-f]+)?(?: <[\da-f]+>)? <-[\w.$]|type: \d|# [\da-f]{1,16} buf:|UNKNOWN TYPE \d| *\d+: *\d+:\S )/;

const UNPARSED: readonly EventField[] = [{ name: 'reason', kind: 'string', type: '', hex: false }];
const LATENCY_FIELDS: readonly EventField[] = LATENCY_NAMES.map(([name, kind]): EventField => ({ name, kind, type: '', hex: false }));

export const ftraceText: EventTextParser = {
  id: 'ftrace_text',
  title: 'ftrace text (trace, trace_pipe, trace-cmd report)',
  yields: 'events',
  sniff: sniffFtrace,
  open: () => new FtraceSession(),
};

export class FtraceSession implements ParserSession<EventBatch> {
  readonly counts = createCounts();
  readonly #times = new FtraceTimes(this.counts);
  readonly #header = new FtraceHeader();
  readonly #rows = new FtraceRows();
  readonly #bodies = new FtraceBodies(this.#rows);
  readonly #graph = new FtraceGraph(this.#rows);
  readonly #quick = new FtraceQuick(this.#rows, this.#bodies, this.#times, this.#graph);
  readonly #unparsed = createShape('ftrace', 'unparsed', UNPARSED);
  readonly #unknown = createShape('ftrace', 'unknown_event', []);
  readonly #latency = createShape('ftrace', 'latency', LATENCY_FIELDS);
  readonly #spare = new FtracePrefix();
  /** Of the event that may still get further lines, and of the line after it; they change places. */
  #current = new FtracePrefix();
  #next = new FtracePrefix();
  #currentAt = -1;
  #currentEnd = 0;
  /** The current event is the comment of a function_graph line. */
  #isComment = false;
  /** The last line was one of function_graph: the next one is tried as such first. */
  #isGraph = false;
  /** Line of the row that was added last by the quick way and may still get further lines, or -1. */
  #quickAt = -1;
  #quickEnd = 0;
  #quickRows = 1;
  #inHeader = false;
  #shape: LineShape = SHAPE.unknown;
  #reader: LineReader = READER.event;
  #latencyTrace: LatencyTrace | undefined;
  /** Bytes to come before there is a walker; then none. */
  #walkerFrom: number;
  #walker: FtraceWalker | undefined;
  readonly #leastWindow: number | undefined;

  /** Tests begin with WebAssembly at once, and compare with what goes without. */
  constructor(walkerFromBytes = WALKER_FROM_BYTES) {
    this.#walkerFrom = walkerFromBytes;
    this.#leastWindow = walkerFromBytes === 0 ? 1 : undefined;
  }

  parse(bytes: Uint8Array, batch: EventBatch): number {
    return this.#read(bytes, batch, false);
  }

  finish(bytes: Uint8Array, batch: EventBatch): number {
    const at = this.#read(bytes, batch, true);
    this.#times.closeLosses();
    this.#walker?.close();
    this.#walker = undefined;
    return at;
  }

  takeLosses(): InputLoss[] {
    return this.#times.takeLosses();
  }

  #read(input: Uint8Array, batch: EventBatch, atEnd: boolean): number {
    // Always the same kind of array: the loops below then have one way to read a byte.
    const bytes = new Uint8Array(input.buffer, input.byteOffset, input.length);
    this.#times.begin(batch);
    this.#rows.begin(bytes, batch);
    this.#quick.begin(bytes);
    this.#beginWalker(bytes);
    this.#currentAt = this.#quickAt = -1;
    let at = this.#readLines(bytes, batch, atEnd);
    this.#walker?.flush();
    if (atEnd) this.#takeCurrent(bytes, at, batch);
    else if (this.#quickAt >= 0) at = this.#undoQuick();
    else if (this.#currentAt >= 0) at = this.#currentAt;
    this.#graph.keepNames();
    return at;
  }

  #beginWalker(bytes: Uint8Array): void {
    if (this.#walker === undefined) {
      this.#walkerFrom -= bytes.length;
      if (this.#walkerFrom >= 0) return;
      this.#walkerFrom = Number.POSITIVE_INFINITY;
      this.#walker = FtraceWalker.create(this.#rows, this.#bodies, this.#times, this.#leastWindow);
      this.#walker?.setColumns(this.#header.columns);
    }
    this.#walker?.begin(bytes);
  }

  /** A loop of its own, without what is done once: V8 leaves code it has made for a loop when it comes to lines it has not seen run. */
  #readLines(bytes: Uint8Array, batch: EventBatch, atEnd: boolean): number {
    const quickEnd = bytes.length - QUICK_MARGIN_BYTES;
    let at = 0;
    while (at < bytes.length) {
      if (at < quickEnd && this.#isPlain()) {
        at = this.#readPredicted(bytes, at);
        const end = at < quickEnd ? this.#readQuick(bytes, at, batch) : -1;
        if (end >= 0) {
          at = end + 1;
          continue;
        }
        const next = bytes[at] === CAPITAL_C ? this.#readLost(bytes, at, batch) : at;
        if (next > at) {
          at = next;
          continue;
        }
      }
      if (this.#isGraph) at = this.#readGraphLines(bytes, at);
      else if (this.#shape > SHAPE.any && at < quickEnd) at = this.#readShapeLines(bytes, at, batch);
      if (at >= bytes.length) return at;
      const next = this.#readCareful(bytes, at, batch, atEnd);
      if (next < 0) return at;
      at = next;
    }
    return at;
  }

  /** `CPU:1 [LOST 171 EVENTS]` between plain lines; returns where the next line is, `at` when this is no such one. */
  #readLost(bytes: Uint8Array, at: number, batch: EventBatch): number {
    const next = readLost(bytes, at, LOSS);
    if (next < 0) return at;
    this.#takeCurrent(bytes, at, batch);
    this.#quickAt = -1;
    this.#times.openLoss(LOSS.cpu, LOSS.count);
    this.counts.parsedBytes += next - at;
    return next;
  }

  /** Adds what is plain of bare, raw and hex lines; returns where the first other line is. */
  #readShapeLines(bytes: Uint8Array, at: number, batch: EventBatch): number {
    const shape = this.#shape;
    if (this.#inHeader || this.#latencyTrace !== undefined || shape === SHAPE.bin) return at;
    if (shape === SHAPE.bare && (this.#header.tracer === 'blk' || this.#header.tracer === 'mmiotrace' || !this.#times.isOrder)) return at;
    if (this.#currentAt >= 0) {
      const lineEnd = bytes.indexOf(NEWLINE, at);
      if (lineEnd < 0 || !this.#readLine(bytes, at, lineEnd, this.#next)) return at;
      this.#takeCurrent(bytes, at, batch);
    }
    const quick = this.#quick;
    const rows = shape === SHAPE.bare ? quick.addBareLines(bytes, at) : quick.addTypeLines(bytes, at, shape === SHAPE.hex);
    return this.#takeRows(rows, at, quick, quick.lastRows);
  }

  /** Counts what a quick way has added from `at`; returns where the next line is. */
  #takeRows(
    rows: number,
    at: number,
    { lastAt, lastEnd }: { readonly lastAt: number; readonly lastEnd: number },
    lastRows: number,
  ): number {
    if (rows === 0) return at;
    this.#quickRows = lastRows;
    this.#quickAt = lastAt;
    this.#quickEnd = lastEnd;
    this.counts.records += rows;
    this.counts.parsedBytes += lastEnd + 1 - at;
    return lastEnd + 1;
  }

  /** Adds what is plain of function_graph; returns where the first other line is. */
  #readGraphLines(bytes: Uint8Array, at: number): number {
    if (
      this.#currentAt >= 0 ||
      this.#latencyTrace !== undefined ||
      !(this.#times.isOrder || this.#times.isPlain(TIME.dotted)) ||
      this.#shape !== SHAPE.any
    )
      return at;
    const rows = this.#graph.addLines(bytes, at, this.#times, this.#quick);
    const end = this.#graph.linesEnd;
    this.counts.records += rows;
    this.counts.parsedBytes += end - at;
    return end;
  }

  /** Nothing stands in the way of lines that are as those before them. */
  #isPlain(): boolean {
    return !this.#inHeader && !this.#isGraph && this.#latencyTrace === undefined && this.#shape === SHAPE.any;
  }

  /** Adds the events of lines that are as those before them; returns where the first other one is. */
  #readPredicted(bytes: Uint8Array, at: number): number {
    if (this.#currentAt >= 0) return at;
    const walker = this.#walker;
    if (walker === undefined || this.#reader === READER.verbose) {
      const rows = this.#quick.addLines(bytes, at, Number.MAX_SAFE_INTEGER);
      return this.#takeRows(rows, at, this.#quick, this.#quick.lastRows);
    }
    const walked = walker.addLines(at, this.#reader === READER.latency);
    if (walked > 0) return this.#takeRows(walked, at, walker, 1);
    const rows = this.#quick.addLines(bytes, at, walker.restLines + 1);
    walker.noteRest(rows);
    return this.#takeRows(rows, at, this.#quick, this.#quick.lastRows);
  }

  /** Adds the event of a plain line; returns where the line ends, or -1 when it needs care. */
  #readQuick(bytes: Uint8Array, at: number, batch: EventBatch): number {
    const prefix = this.#next;
    if (!this.#readAs(this.#reader, bytes, at, prefix) || hasNewline(bytes, at, prefix.commEnd)) return -1;
    this.#takeCurrent(bytes, at, batch);
    this.#quickAt = -1;
    if (!this.#times.isPlain(prefix.time)) return -1;
    this.#quick.learn(bytes, at, prefix, batch, this.#reader === READER.verbose);
    const next = this.#readPredicted(bytes, at);
    if (next > at) return next - 1;
    const end = this.#bodies.addLine(bytes, prefix, bytes.length);
    if (end < 0) return -1;
    this.counts.records++;
    this.counts.parsedBytes += end + 1 - at;
    this.#times.note(prefix);
    this.#quickAt = at;
    this.#quickEnd = end;
    this.#quickRows = 1;
    return end;
  }

  /** The last quick row gets further lines, or may get them in the next piece: it is read anew. Returns where its line is. */
  #undoQuick(): number {
    const at = this.#quickAt;
    this.#walker?.flush();
    this.#rows.undo();
    this.#times.takeBackOrdinal();
    this.counts.records -= this.#quickRows;
    this.counts.parsedBytes -= this.#quickEnd + 1 - at;
    this.#quickAt = -1;
    return at;
  }

  #readCareful(bytes: Uint8Array, at: number, batch: EventBatch, atEnd: boolean): number {
    const first = bytes[at] as number;
    if (this.#shape === SHAPE.unknown && this.#inHeader && first !== HASH) {
      const found = readBinRecord(bytes, at, atEnd, this.#next);
      if (found < 0) return -1;
      if (found > 0) this.#startBin();
    }
    if (this.#shape === SHAPE.bin) return this.#readBin(bytes, at, batch, atEnd);
    const newline = bytes.indexOf(NEWLINE, at);
    let lineEnd = newline;
    if (newline < 0 || newline - at > MAX_EVENT_BYTES) {
      if (!atEnd && bytes.length - at <= MAX_EVENT_BYTES) return -1;
      lineEnd = Math.min(bytes.length, at + MAX_EVENT_BYTES);
    }
    const next = lineEnd === newline ? newline + 1 : lineEnd;
    const mayBeGraph = first !== HASH || isHashMark(bytes, at);
    if (this.#isGraph && mayBeGraph && this.#takeGraph(bytes, at, lineEnd, next, batch)) return next;
    if ((first !== HASH || this.#shape === SHAPE.bare) && this.#readLine(bytes, at, lineEnd, this.#next)) {
      this.#takeCurrent(bytes, at, batch);
      this.#quickAt = -1;
      this.#inHeader = false;
      const read = this.#next;
      this.#next = this.#current;
      this.#current = read;
      this.#currentAt = at;
      this.#currentEnd = lineEnd;
      this.#isComment = this.#isGraph = false;
      return next;
    }
    if (mayBeGraph && this.#takeGraph(bytes, at, lineEnd, next, batch)) return next;
    return this.#takeOther(bytes, at, lineEnd, next, batch);
  }

  /** True when the line starts an event, whatever its shape. */
  #readLine(bytes: Uint8Array, at: number, lineEnd: number, into: FtracePrefix): boolean {
    switch (this.#shape) {
      case SHAPE.raw:
        return readRaw(bytes, at, into);
      case SHAPE.hex:
        return readHex(bytes, at, into);
      case SHAPE.bare:
        return this.#readBare(bytes, at, lineEnd, into);
      default:
        break;
    }
    for (const reader of [this.#reader, READER.event, READER.latency, READER.verbose] as const) {
      if (!this.#readAs(reader, bytes, at, into) || into.bodyStart > lineEnd) continue;
      this.#reader = reader;
      this.#shape = SHAPE.any;
      return true;
    }
    return this.#shape === SHAPE.unknown && this.#readUnknown(bytes, at, lineEnd, into);
  }

  #readAs(reader: LineReader, bytes: Uint8Array, at: number, into: FtracePrefix): boolean {
    if (reader === READER.event) return into.read(bytes, at);
    return reader === READER.latency ? readLatency(bytes, at, into) : readVerbose(bytes, at, into);
  }

  /** The first event of an input of another shape. */
  #readUnknown(bytes: Uint8Array, at: number, lineEnd: number, into: FtracePrefix): boolean {
    if (readRaw(bytes, at, into)) this.#shape = SHAPE.raw;
    else if (readHex(bytes, at, into)) this.#shape = SHAPE.hex;
    else if (this.#inHeader && this.#readBare(bytes, at, lineEnd, into)) this.#shape = SHAPE.bare;
    else return false;
    return true;
  }

  /** With context-info off a line is a body: what looks like one starts an event. Two tracers have lines of their own. */
  #readBare(bytes: Uint8Array, at: number, lineEnd: number, into: FtracePrefix): boolean {
    const { tracer, hasColumns } = this.#header;
    if (readTracerLine(tracer, bytes, at, lineEnd, into)) return true;
    if (hasColumns) return false;
    const head = decodeUtf8(bytes, at, Math.min(lineEnd, at + 160));
    if (!BARE.test(head)) return false;
    into.clear();
    into.bodyStart = at;
    return true;
  }

  #startBin(): void {
    this.#shape = SHAPE.bin;
    this.#inHeader = false;
  }

  #readBin(bytes: Uint8Array, at: number, batch: EventBatch, atEnd: boolean): number {
    const end = readBinRecord(bytes, at, atEnd, this.#next);
    if (end < 0) return -1;
    if (end > 0) {
      const prefix = this.#next;
      const addresses = readAddresses(bytes, prefix.bodyStart);
      this.#times.accept(prefix, batch);
      if (addresses !== undefined) this.#bodies.addAddresses(bytes, prefix, addresses);
      if (addresses !== undefined || this.#bodies.add(bytes, prefix, end - 1) === undefined) this.#count(prefix, end - at);
      else this.#addUnparsed('no event name', bytes, at, end);
      return end;
    }
    const newline = bytes.indexOf(NEWLINE, at);
    if (newline < 0 && !atEnd && bytes.length - at <= MAX_EVENT_BYTES) return -1;
    const next = newline < 0 || newline - at > MAX_EVENT_BYTES ? Math.min(bytes.length, at + MAX_EVENT_BYTES) : newline + 1;
    this.#addUnparsed('no binary record', bytes, at, next);
    return next;
  }

  /** Makes rows of the event at hand, whose bytes end at `end`. */
  #takeCurrent(bytes: Uint8Array, end: number, batch: EventBatch): void {
    const at = this.#currentAt;
    if (at < 0) return;
    this.#currentAt = -1;
    const prefix = this.#current;
    let bodyEnd = this.#currentEnd;
    const markAt = this.#shape === SHAPE.bare ? findMmioMark(this.#header.tracer, bytes, at, bodyEnd) : -1;
    while (bodyEnd > prefix.bodyStart && (bytes[bodyEnd - 1] === NEWLINE || bytes[bodyEnd - 1] === CARRIAGE_RETURN)) bodyEnd--;
    if (this.#isComment) bodyEnd = cutComment(bytes, prefix.bodyStart, bodyEnd);
    else if (markAt >= 0) prefix.bodyStart = markAt;
    else {
      const newline = bytes.indexOf(NEWLINE, prefix.bodyStart);
      if (newline >= 0 && newline < bodyEnd && !this.#bodies.hasLines(bytes, prefix, newline, bodyEnd)) {
        this.#takeFirstLine(bytes, at, newline, end, batch);
        return;
      }
    }
    if (!this.#times.accept(prefix, batch)) {
      this.#addUnparsed('another clock than the first event', bytes, at, end);
      return;
    }
    this.#addLatency(prefix, bytes);
    const graphAt = this.#isComment ? -1 : findGraphText(bytes, prefix.bodyStart, bodyEnd);
    if (graphAt >= 0 && this.#addGraphEvent(bytes, prefix, graphAt, bodyEnd, batch)) {
      this.counts.parsedBytes += end - at;
      return;
    }
    const reason =
      this.#isComment || markAt >= 0 ? this.#addComment(bytes, prefix, bodyEnd, markAt >= 0) : this.#bodies.add(bytes, prefix, bodyEnd);
    if (reason === undefined) this.#count(prefix, end - at);
    else this.#addUnparsed(reason, bytes, at, end);
  }

  /** An event of one line, and lines behind it that belong to nothing. */
  #takeFirstLine(bytes: Uint8Array, at: number, newline: number, end: number, batch: EventBatch): void {
    this.#currentAt = at;
    this.#currentEnd = newline;
    this.#takeCurrent(bytes, newline + 1, batch);
    for (let from = newline + 1; from < end;) {
      const found = bytes.indexOf(NEWLINE, from);
      const to = found < 0 || found >= end ? end : found + 1;
      if (isBlank(bytes, from, to)) this.counts.parsedBytes += to - from;
      else this.#addUnparsed('no event line', bytes, from, to);
      from = to;
    }
  }

  #count(prefix: FtracePrefix, sizeBytes: number): void {
    this.counts.records++;
    this.counts.parsedBytes += sizeBytes;
    this.#times.note(prefix);
  }

  /** In a comment of function_graph, and in mmiotrace, a marker has no name in front. */
  #addComment(bytes: Uint8Array, prefix: FtracePrefix, end: number, isMark: boolean): string | undefined {
    const head = decodeUtf8(bytes, prefix.bodyStart, Math.min(end, prefix.bodyStart + 160));
    const isEvent = !isMark && (BARE.test(head) || head.startsWith('<'));
    if (isEvent) return this.#bodies.add(bytes, prefix, end);
    // A wakeup begins with blanks, but so may a marker.
    if (!isMark && head.startsWith(' ') && this.#bodies.add(bytes, prefix, end) === undefined) return undefined;
    this.#bodies.addMarker(bytes, prefix, end);
    return undefined;
  }

  /** A call or its end, whose duration and function begin at `at`. */
  #addGraphEvent(bytes: Uint8Array, prefix: FtracePrefix, at: number, end: number, batch: EventBatch): boolean {
    const kind = this.#graph.readText(bytes, at, end);
    if (kind !== GRAPH.entry && kind !== GRAPH.exit && kind !== GRAPH.leaf) return false;
    this.#addFunction(kind, bytes, prefix, at, end, batch);
    return true;
  }

  #addFunction(kind: number, bytes: Uint8Array, prefix: FtracePrefix, at: number, end: number, batch: EventBatch): void {
    if (kind !== GRAPH.exit) {
      this.#graph.addEntry(bytes, prefix, at, end, kind === GRAPH.leaf);
      this.#count(prefix, 0);
    }
    if (kind === GRAPH.leaf) {
      if (prefix.time === TIME.none) this.#times.accept(prefix, batch);
      else this.#graph.advance(prefix);
    }
    if (kind !== GRAPH.entry) {
      this.#graph.addExit(bytes, prefix, at, end);
      this.#count(prefix, 0);
    }
  }

  /** A line of function_graph. */
  #takeGraph(bytes: Uint8Array, at: number, lineEnd: number, next: number, batch: EventBatch): boolean {
    const { tracer, graph } = this.#header;
    if (this.#shape > SHAPE.any || (tracer !== '' && graph === undefined)) return false;
    const prefix = this.#spare;
    prefix.columns = this.#current.columns;
    const kind = this.#graph.read(bytes, at, lineEnd, prefix);
    if (kind === GRAPH.none) return false;
    // The rule and blank lines around a switch could also be text of a marker.
    if (kind === GRAPH.rule && this.#currentAt >= 0 && !this.#isComment && this.#header.graph === undefined) return false;
    this.#takeCurrent(bytes, at, batch);
    this.#quickAt = -1;
    this.#inHeader = false;
    this.#isGraph = true;
    if (kind === GRAPH.comment) {
      this.#current.clear();
      const current = this.#graph.read(bytes, at, lineEnd, this.#current);
      this.#current.bodyStart = this.#graph.commentStart;
      this.#currentAt = current === GRAPH.comment ? at : -1;
      this.#currentEnd = lineEnd;
      this.#isComment = true;
      // Its end is the end of the event; else more lines may follow.
      if (bytes[lineEnd - 1] === 47 && bytes[lineEnd - 2] === 42) this.#takeCurrent(bytes, next, batch);
      return true;
    }
    this.counts.parsedBytes += next - at;
    if (kind === GRAPH.rule) return true;
    this.#shape = SHAPE.any;
    let end = lineEnd;
    while (end > at && (bytes[end - 1] as number) <= SPACE) end--;
    this.#times.accept(prefix, batch);
    this.#addLatency(prefix, bytes);
    if (kind === GRAPH.entry || kind === GRAPH.exit || kind === GRAPH.leaf) this.#addFunction(kind, bytes, prefix, at, end, batch);
    else {
      this.#graph.addOther(kind, bytes, prefix, at, end);
      this.#count(prefix, 0);
    }
    return true;
  }

  /** A line that starts no event: a comment, a loss, more of the event before, or nothing known. Returns where the next one is. */
  #takeOther(bytes: Uint8Array, at: number, lineEnd: number, next: number, batch: EventBatch): number {
    const first = bytes[at] as number;
    if (UNKNOWN_EVENT.test(decodeUtf8(bytes, at, Math.min(lineEnd, at + LONGEST_REMARK)))) {
      this.#takeCurrent(bytes, at, batch);
      this.#quickAt = -1;
      this.#addBare(this.#unknown, bytes, at, next);
      this.counts.parsedBytes += next - at;
      return next;
    }
    const hasEvent = this.#currentAt >= 0 || this.#quickAt >= 0;
    if (first === HASH || first === CAPITAL_C || bytes[lineEnd - 1] === CLOSE || !hasEvent) {
      const line = decodeUtf8(bytes, at, Math.min(lineEnd, at + LONGEST_REMARK));
      if (this.#takeRemark(line, bytes, at, hasEvent, batch)) {
        this.counts.parsedBytes += next - at;
        return next;
      }
    }
    if (this.#quickAt >= 0) {
      // Read the event again, now that it has more lines.
      const again = this.#undoQuick();
      this.#readLine(bytes, again, this.#quickEnd, this.#current);
      this.#currentAt = again;
      this.#isComment = false;
    }
    if (this.#currentAt >= 0 && next - this.#currentAt <= MAX_EVENT_BYTES) {
      this.#currentEnd = lineEnd;
      return next;
    }
    this.#takeCurrent(bytes, at, batch);
    if (isBlank(bytes, at, lineEnd)) this.counts.parsedBytes += next - at;
    else this.#addUnparsed('no event line', bytes, at, next);
    return next;
  }

  /** Header lines and loss notices; they end the event before them. */
  #takeRemark(line: string, bytes: Uint8Array, at: number, hasEvent: boolean, batch: EventBatch): boolean {
    const lost = LOST.exec(line);
    const isHeader = line.startsWith(TRACER) || (this.#inHeader && line.startsWith('#'));
    const isReport = !hasEvent && REPORT_HEADER.test(line);
    if (lost === null && !isHeader && !isReport && !STARTED.test(line)) return false;
    this.#takeCurrent(bytes, at, batch);
    this.#quickAt = -1;
    if (lost !== null) {
      const count = lost[2] ?? lost[3];
      this.#times.openLoss(Number(lost[1]), count === undefined ? undefined : Number(count));
    } else if (isHeader) this.#takeHeader(line);
    return true;
  }

  #takeHeader(line: string): void {
    if (line.startsWith(TRACER)) {
      this.#shape = SHAPE.unknown;
      this.#reader = READER.event;
      this.#isGraph = false;
    }
    this.#inHeader = true;
    const overwritten = this.#header.take(line);
    if (overwritten > 0) this.#times.openLoss(-1, overwritten);
    this.#current.columns = this.#next.columns = this.#header.columns;
    this.#graph.setColumns(this.#header.graph, this.#header.columns);
    this.#latencyTrace = this.#header.latency;
    this.#quick.forget();
    this.#walker?.setColumns(this.#header.columns);
  }

  /** What the header says of a latency that was traced stands in front of its first event. */
  #addLatency(prefix: FtracePrefix, bytes: Uint8Array): void {
    const trace = this.#latencyTrace;
    if (trace === undefined) return;
    this.#latencyTrace = undefined;
    const hadTgid = prefix.hasTgid;
    prefix.hasTgid = false;
    const row = this.#rows.add(this.#latency, prefix, bytes);
    prefix.hasTgid = hadTgid;
    LATENCY_FIELDS.forEach(({ name }, field) => {
      const value = trace[name as keyof LatencyTrace];
      if (typeof value === 'number') this.#rows.setNumber(this.#latency, row, field, value);
      else this.#rows.setString(this.#latency, row, field, value);
    });
    this.counts.records++;
  }

  /** Counts what no rule takes, and keeps it. */
  #addUnparsed(reason: string, bytes: Uint8Array, at: number, end: number): void {
    countMalformed(this.counts, reason, bytes, at, end);
    const row = this.#addBare(this.#unparsed, bytes, at, end);
    this.#rows.setString(this.#unparsed, row, 0, reason);
  }

  /** A row of a line that tells nothing of its context. */
  #addBare(shape: Shape, bytes: Uint8Array, at: number, end: number): number {
    const prefix = this.#spare;
    prefix.clear();
    this.#times.stampLast(prefix);
    let textEnd = end;
    while (textEnd > at && (bytes[textEnd - 1] === NEWLINE || bytes[textEnd - 1] === CARRIAGE_RETURN)) textEnd--;
    const row = this.#rows.add(shape, prefix, bytes);
    this.#rows.setBody(shape, row, at, textEnd);
    if (!this.#times.hasLast) this.#rows.setUntimed(shape, row);
    this.counts.records++;
    return row;
  }
}

/** A task's name ends with its line: what stands behind is the pid of another one. */
function hasNewline(bytes: Uint8Array, start: number, end: number): boolean {
  for (let p = start; p < end; p++) if (bytes[p] === NEWLINE) return true;
  return false;
}

/** The end of a comment's text. */
function cutComment(bytes: Uint8Array, start: number, end: number): number {
  const isClosed = bytes[end - 1] === 47 && bytes[end - 2] === 42 && end - 2 >= start;
  return isClosed ? (bytes[end - 3] === SPACE && end - 3 >= start ? end - 3 : end - 2) : end;
}

function isBlank(bytes: Uint8Array, start: number, end: number): boolean {
  for (let p = start; p < end; p++) if (bytes[p] !== SPACE && bytes[p] !== CARRIAGE_RETURN && bytes[p] !== NEWLINE) return false;
  return true;
}

/** `# 7972.858 us |`: without the column of CPUs a line of function_graph can begin with the mark of more than a ms. */
function isHashMark(bytes: Uint8Array, at: number): boolean {
  const byte = bytes[at + 2] as number;
  return bytes[at + 1] === SPACE && byte >= 48 && byte <= 57;
}
