/**
 * Recorded pages as the text of the kernel's own `trace` file for that buffer:
 *
 *   # tracer: nop                                                   head                trace-text-header.ts
 *   #
 *   # entries-in-buffer/entries-written: 57/57   #P:2
 *   …
 *               sh-3120    [000] d..2.   478.642108: sched_switch: prev_comm=sh …
 *   |                                                |              +-- body            trace-text-events.ts, -builtin, -fields
 *   |                                                +-- event
 *   +-- columns by the instance's options: trace-text-context.ts; calls as a tree: trace-text-graph.ts
 *
 *   ##### CPU 1 buffer started ####        annotate: a CPU of an overwritten buffer comes in
 *   CPU:1 [LOST 1872 EVENTS]               as trace_pipe tells it: in front of the event behind a loss within the recording
 *
 * What an overwritten buffer lost before its first page is in the head alone, as the kernel has it.
 * Kernel: kernel/trace/trace.c (print_trace_line, s_show).
 */
import { createCounts, type ParseCounts } from '../model/parser.ts';
import type { FormatSet } from '../model/segment.ts';
import type { PageSequence } from '../model/event-file.ts';
import { findBlktraceId } from '../parsers/blktrace-format.ts';
import { parseEventFormat, type EventFormat } from '../parsers/event-format.ts';
import type { Kallsyms } from './kallsyms.ts';
import { LOST_UNKNOWN, PageCursor } from './page-cursor.ts';
import { parseHeaderPage } from '../parsers/page-header.ts';
import type { EventRecord } from './print-fmt-numbers.ts';
import { toAddress, unescape } from './print-fmt-strings.ts';
import { toArithmetic, type PrintContext } from './print-fmt.ts';
import { compileBuiltin, type BuiltinPrinter, type BuiltinTools, type TracedPut } from './trace-text-builtin.ts';
import { BlkText } from './trace-text-blk.ts';
import { TraceContext } from './trace-text-context.ts';
import { compileBody } from './trace-text-events.ts';
import { compileFieldList } from './trace-text-fields.ts';
import { FunctionGraph, LATENCY_GRAPH, readGraphFlags } from './trace-text-graph.ts';
import { putTraceHeader } from './trace-text-header.ts';
import { compileMmio, isMmioEvent, type MmioLine } from './trace-text-mmio.ts';
import { TraceMerge, type TracedCpu } from './trace-text-merge.ts';
import { versionOf, type KeptFacts, type TraceSettings } from '../parsers/tracefs-settings.ts';
import { findStart } from './trace-text-start.ts';
import { SymbolText } from './trace-text-symbols.ts';
import type { TextOut } from './text-out.ts';

export interface TracedBuffer {
  readonly formats: FormatSet;
  readonly settings: TraceSettings;
  readonly pageSizeBytes: number;
  /** Opens the pages of each CPU from their beginning. */
  readonly openPages: () => readonly PageSequence[];
  readonly symbols: Kallsyms;
}

/** Last of the events that are the kernel's own: `fields` prints most of them as unknown. */
const LAST_BUILTIN_ID = 20;

export class TraceText {
  readonly counts: ParseCounts = createCounts();
  /** Events that were printed otherwise than the kernel does, and why: by name. */
  readonly problems = new Map<string, string>();
  records = 0;
  readonly #settings: TraceSettings;
  readonly #formats: FormatTable;
  readonly #printers: (BuiltinPrinter | undefined)[] = [];
  readonly #merge: TraceMerge;
  readonly #context: TraceContext;
  readonly #tools: BuiltinTools;
  readonly #graph: FunctionGraph | undefined;
  readonly #looseGraph: FunctionGraph;
  readonly #blk: BlkText;
  readonly #blkId: number;
  /** Lines of mmiotrace by event; undefined = that one is not the tracer. */
  readonly #mmio: Map<number, MmioLine | undefined> | undefined;
  /** CPUs that a line was printed of, and those of which one had the columns that all have. */
  readonly #seen = new Set<number>();
  readonly #started = new Set<number>();
  readonly #annotates: boolean;
  readonly #layoutProblem: string | undefined;
  #index = -1;
  #isHeaderWritten = false;

  constructor(buffer: TracedBuffer) {
    const { formats, settings } = buffer;
    this.#settings = settings;
    this.#formats = new FormatTable(formats);
    const layout = parseHeaderPage(formats.headerPage);
    this.#layoutProblem = typeof layout === 'string' ? layout : undefined;
    const longBytes = typeof layout === 'string' ? 8 : layout.longBytes;
    const isOn = (name: string, otherwise: boolean): boolean => settings.options.get(name) ?? otherwise;
    const { symbols } = buffer;
    const context: PrintContext = {
      dialect: 'kernel',
      longBytes,
      symbols,
      strings: readKernelStrings(formats.printkFormats),
      noteNumber: (event, names) => {
        if (!this.problems.has(event)) this.problems.set(event, `with numbers for names whose values differ between kernels: ${names}`);
      },
    };
    const known = this.#formats.findGraphEvents();
    this.#context = new TraceContext(settings, this.#formats.any(), settings.hasLazy);
    const style = { offset: isOn('sym-offset', false), address: isOn('sym-addr', false) };
    const symbolText = new SymbolText(symbols, style, longBytes);
    const losesFirstString =
      !isOn('hash-ptr', true) && versionOf(settings.release) < 6013 && symbols.addressOf('trace_check_vprintf') !== undefined;
    this.#tools = { settings, context, symbols: symbolText, losesFirstString, line: this.#context };
    const graphTools = {
      settings,
      context: this.#context,
      symbols: symbolText,
      longBytes,
      toArithmetic: (format: EventFormat) => toArithmetic(format, context),
      idOf,
    };
    const isGraph = settings.tracer === 'function_graph';
    const isLatencyGraph = /^(?:wakeup|irqsoff|preempt)/.test(settings.tracer) && isOn('display-graph', false);
    const flags = isLatencyGraph ? LATENCY_GRAPH : readGraphFlags(settings);
    if (isGraph || isLatencyGraph) this.#graph = new FunctionGraph(known, flags, false, graphTools);
    this.#looseGraph = new FunctionGraph(known, flags, true, graphTools);
    this.#blk = new BlkText(settings, this.#context);
    this.#blkId = findBlktraceId(formats.events) ?? -1;
    this.#mmio = settings.tracer === 'mmiotrace' ? new Map() : undefined;
    const little = formats.endian === 'little';
    const openMerge = (counts: ParseCounts): TraceMerge => {
      if (typeof layout === 'string') return new TraceMerge([]);
      return new TraceMerge(
        buffer.openPages().map((pages) => new PageCursor(pages, buffer.pageSizeBytes, layout, little, counts, { countsDiscarded: false })),
      );
    };
    if (isOn('latency-format', false) || isLatencyGraph) this.#setStart(settings.kept, openMerge);
    this.#merge = openMerge(this.counts);
    this.#annotates = isOn('annotate', true) && (settings.overrun ?? 0) > 0;
  }

  /** The events met so far, by id. */
  get seenIds(): readonly number[] {
    return [...Object.keys(this.#printers).map(Number), ...(this.#mmio?.keys() ?? [])];
  }

  /** What keeps all pages from being read. */
  get failure(): string | undefined {
    return this.#layoutProblem;
  }

  /** Appends about so many bytes of lines; false when there are no more. */
  write(out: TextOut, budgetBytes: number): boolean {
    const end = out.length + budgetBytes;
    if (!this.#isHeaderWritten) this.#putHeader(out);
    while (out.length < end) {
      const at = this.#merge.next();
      if (at === undefined) return false;
      this.#index++;
      this.records++;
      this.#putRecord(at, out);
    }
    return true;
  }

  #putHeader(out: TextOut): void {
    this.#isHeaderWritten = true;
    const { entries = 0, overrun = 0 } = this.#settings;
    putTraceHeader(out, this.#settings, { entries, overrun }, this.#graph?.flags);
  }

  /** Where nobody says when the buffer was emptied, times count from its first event. */
  #setStart(kept: KeptFacts, openMerge: (counts: ParseCounts) => TraceMerge): void {
    const start = kept.startRaw ?? findStart(kept.readText(), openMerge(createCounts()), (record, pid) => this.#isLineOf(record, pid));
    if (start !== undefined) {
      this.#context.setStart(Number(BigInt.asUintN(32, start)), Number(BigInt.asUintN(32, start >> 32n)));
      return;
    }
    const first = openMerge(createCounts()).peek();
    if (first !== undefined) this.#context.setStart(first.low, first.high);
  }

  /** Has the record a line of its own with a time, and is it of this thread? In a graph stacks alone have. */
  #isLineOf(record: EventRecord, pid: number): boolean {
    const isStack = (): boolean => /^(?:kernel|user)_stack$/.test(this.#formats.get(idOf(record))?.event ?? '');
    return this.#context.pidOf(record) === pid && (this.#graph === undefined || isStack());
  }

  #putRecord(at: TracedCpu, out: TextOut): void {
    if (at.lost !== 0 && this.#seen.has(at.cpu)) {
      out.putText(at.lost === LOST_UNKNOWN ? `CPU:${at.cpu} [LOST EVENTS]\n` : `CPU:${at.cpu} [LOST ${at.lost} EVENTS]\n`);
    }
    const id = idOf(at.record);
    const { options } = this.#settings;
    this.#seen.add(at.cpu);
    this.#context.startsAt = out.length;
    if (this.#putOwnLine(at, id, out)) return;
    const printer = this.#printerOf(id);
    if (options.get('printk-msg-only') === true && options.get('trace_printk') !== false && printer?.message !== undefined) {
      printer.message(at.record, out, at);
    } else if (options.get('bin') === true) this.#putBinary(at, id, printer, out);
    else if (options.get('hex') === true) this.#putHex(at, id, printer, out);
    else if (options.get('raw') === true) this.#putRaw(at, id, printer, out);
    else this.#putText(at, id, printer, out);
  }

  /** Lines that the tracer itself prints; false for those that are as everybody's. */
  #putOwnLine(at: TracedCpu, id: number, out: TextOut): boolean {
    if (this.#mmio !== undefined) {
      if (!this.#mmio.has(id)) this.#mmio.set(id, this.#compileMmio(id));
      this.#mmio.get(id)?.(at, out);
      return true;
    }
    if (id === this.#blkId && this.#blk.isClassic) {
      this.#blk.text(at.record, out, at);
      return true;
    }
    return this.#graph !== undefined && this.#putGraph(at, id, this.#graph, out);
  }

  #compileMmio(id: number): MmioLine | undefined {
    const format = this.#formats.get(id);
    const line = format && compileMmio(format, toArithmetic(format, this.#tools.context));
    if (line === undefined && format !== undefined && isMmioEvent(format))
      this.problems.set(format.event, 'as its fields: its format has not those of mmiotrace');
    return line;
  }

  /** Calls and returns, and other events as comments; false for what stands outside of the tree. */
  #putGraph(at: TracedCpu, id: number, graph: FunctionGraph, out: TextOut): boolean {
    if (graph.isGraphEvent(id)) {
      graph.put(at, id, out);
      return true;
    }
    const format = this.#formats.get(id);
    if (format?.system === 'ftrace' && (format.event === 'function' || format.event === 'kernel_stack')) return false;
    const printer = this.#printerOf(id);
    if (printer === undefined) return false;
    graph.putComment(at, () => (printer.message ?? printer.text)(at.record, out, at), out);
    return true;
  }

  #putText(at: TracedCpu, id: number, printer: BuiltinPrinter | undefined, out: TextOut): void {
    if (this.#annotates && !this.#started.has(at.cpu)) {
      this.#started.add(at.cpu);
      if (this.#index > 1) out.putText(`##### CPU ${at.cpu} buffer started ####\n`);
    }
    const { options } = this.#settings;
    if (options.get('context-info') !== false) {
      if (options.get('latency-format') === true) this.#context.putLatency(at, this.#index, this.#merge, out);
      else this.#context.put(at, out);
    }
    if (printer === undefined) out.putText(`Unknown type ${id}\n`);
    else if (options.get('fields') === true && id <= LAST_BUILTIN_ID) out.putText(`UNKNOWN TYPE ${id}\n`);
    else printer.text(at.record, out, at);
  }

  #putRaw(at: TracedCpu, id: number, printer: BuiltinPrinter | undefined, out: TextOut): void {
    if (this.#withContext()) this.#context.putRaw(at, out);
    if (printer === undefined) out.putText(`${id} ?\n`);
    else if (printer.raw === undefined) out.putText(`type: ${id}\n`);
    else printer.raw(at.record, out, at);
  }

  #putHex(at: TracedCpu, id: number, printer: BuiltinPrinter | undefined, out: TextOut): void {
    if (this.#withContext()) this.#context.putHex(at, out);
    if (printer?.hex !== undefined) printer.hex(at.record, out, at);
    else if (printer !== undefined) out.putText(`type: ${id}\n`);
    out.putByte(10);
  }

  #putBinary(at: TracedCpu, id: number, printer: BuiltinPrinter | undefined, out: TextOut): void {
    if (this.#withContext()) this.#context.putBinary(at, out);
    if (printer?.binary !== undefined) printer.binary(at.record, out, at);
    else if (printer !== undefined) out.putText(`type: ${id}\n`);
  }

  #withContext(): boolean {
    return this.#settings.options.get('context-info') !== false;
  }

  #printerOf(id: number): BuiltinPrinter | undefined {
    if (id in this.#printers) return this.#printers[id];
    if (id === this.#blkId) return (this.#printers[id] = this.#blk);
    const format = this.#formats.get(id);
    const isKnown = format !== undefined && !(format.system === 'ftrace' && format.event.startsWith('mmiotrace_'));
    return (this.#printers[id] = isKnown ? this.#compile(format) : undefined);
  }

  #compile(format: EventFormat): BuiltinPrinter {
    // Comments in a graph are never fields.
    const wantsFields = this.#settings.options.get('fields') === true && this.#graph === undefined;
    if (wantsFields && format.id > LAST_BUILTIN_ID) return { text: compileFieldList(format, this.#tools) };
    if (format.system === 'ftrace') {
      if (this.#looseGraph.isGraphEvent(format.id)) return { text: (_record, out, at) => this.#looseGraph.put(at, format.id, out) };
      const builtin = compileBuiltin(format, this.#tools);
      if (builtin !== undefined) return builtin;
    }
    const { put, problem } = compileBody(format, this.#tools);
    if (problem !== undefined) this.problems.set(format.event, `as its fields: ${problem}`);
    const text: TracedPut = put;
    return { text };
  }
}

/** Formats by id, parsed when the first record of an event comes: a kernel has 1,500 of them, a buffer some 50. */
class FormatTable {
  readonly #texts = new Map<number, FormatSet['events'][number]>();
  readonly #parsed = new Map<number, EventFormat | undefined>();

  constructor({ events }: FormatSet) {
    for (const event of events) {
      const id = /^ID: *(\d+)/m.exec(event.format)?.[1];
      if (id !== undefined) this.#texts.set(Number(id), event);
    }
  }

  get(id: number): EventFormat | undefined {
    if (!this.#parsed.has(id)) {
      const text = this.#texts.get(id);
      const parsed = text === undefined ? undefined : parseEventFormat(text.format, text.system);
      this.#parsed.set(id, typeof parsed === 'string' ? undefined : parsed);
    }
    return this.#parsed.get(id);
  }

  /** The common fields are those of any event. */
  any(): EventFormat | undefined {
    for (const id of this.#texts.keys()) {
      const format = this.get(id);
      if (format !== undefined) return format;
    }
    return undefined;
  }

  findGraphEvents(): EventFormat[] {
    const ids = [...this.#texts].filter(([, { system, format }]) => system === 'ftrace' && /^name: (?:funcgraph_|fgraph_)/m.test(format));
    return ids.flatMap(([id]) => this.get(id) ?? []);
  }
}

/** The first field of every record. */
function idOf({ view, start, little }: EventRecord): number {
  return view.getUint16(start, little);
}

/** `0xffffffff82abcdef : "text\n"` → text by address, with its newline. */
function readKernelStrings(printkFormats: string): Map<string, string> {
  const strings = new Map<string, string>();
  for (const [, address, text = ''] of printkFormats.matchAll(/^(?:0x)?([\da-fA-F]+) : "(.*)"$/gm)) {
    const value = BigInt(`0x${address}`);
    strings.set(toAddress(Number(value & 0xffff_ffffn), Number(value >> 32n)), unescape(text));
  }
  return strings;
}
