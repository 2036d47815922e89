/**
 * Recorded events as text, line for line what `trace-cmd report` prints:
 *
 *   cpus=2
 *   web:            bash-812   [001] 13432.829484: sched_switch:         bash:812 [120] S ==> swapper/1:0 [120]
 *   |    |               |     |     |             |                     +-- body: plugin, print format or fields
 *   |    |               |     |     |             +-- event, padded to 20
 *   |    |               |     |     +-- s.µs, rounded; s.ns with -t; the bare number where the clock counts no ns
 *   |    |               |     +-- CPU
 *   |    +-- task, right-aligned in 16: from saved_cmdlines, and from scheduler events already printed
 *   +-- instance, where the file has some
 *   CPU:1 [39915 EVENTS DROPPED]         in front of the event behind the loss
 *
 * -l: `bash-812      1d.h.. 13432.829484: …`. -R: fields instead of bodies (report-fields.ts).
 * Not handled: --profile, --tail, plugin options, text of the latency tracers.
 * Source: trace-cmd 3.1 tracecmd/trace-read.c (trace_show_data).
 */
import { findBlktraceId, writeBlktraceFormat } from '../parsers/blktrace-format.ts';
import { parseEventFormat, type EventFormat } from '../parsers/event-format.ts';
import { Kallsyms } from './kallsyms.ts';
import { parseHeaderPage } from '../parsers/page-header.ts';
import { LOST_UNKNOWN, type CursorMerge, type PageCursor } from './page-cursor.ts';
import type { Arithmetic, EventRecord } from './print-fmt-numbers.ts';
import { toAddress, type Put } from './print-fmt-strings.ts';
import { compileLine, type LinePart } from './line-program.ts';
import { compilePrintFormat, joinParts, toArithmetic, toLine, type PrintContext, type PrintPart } from './print-fmt.ts';
import { compileBprint } from './report-bprint.ts';
import { compileFields } from './report-fields.ts';
import { FLAG } from './report-flags.ts';
import { CallStacks, compileFunctionEvent, type CallState, type FunctionTools } from './report-functions.ts';
import { toGraphShape, type GraphShape } from './report-graph.ts';
import type { ReportHandler } from './report-handler.ts';
import { compilePlugin } from './report-plugins.ts';
import { showsSeconds, type NamedFormat, type ReportFilter, type ReportOptions, type ReportSource } from './report-options.ts';
import { TaskNames } from './report-tasks.ts';
import { Piece, TextOut, toPiece } from './text-out.ts';

/** What one event needs to become a line. */
export interface EventPrinter {
  readonly name: Piece;
  readonly handler: ReportHandler | undefined;
  /** Behind the handler, or alone. */
  readonly put: Put;
  /** The same as `put`. */
  readonly line: readonly LinePart[];
  readonly isShown: boolean;
  /** What the handler prints depends on the record behind this one. */
  readonly looksAround: boolean;
  /** There is no format of the event. */
  readonly isUnknown: boolean;
}

/** A CPU by the number of its cursor, and a record of it. */
export type LanePlace = Pick<PageCursor, 'source' | 'cpu' | 'record'>;

/** What a line takes from those before it, where there is a filter, times are differences, or functions call each other. */
export interface LineState {
  readonly calls: CallState;
  readonly lastShown: bigint;
  /** CPUs whose last record was shown. */
  readonly wasShown: readonly number[];
  /** Sources whose next record has no line, since it is the end of a call that is printed (report-graph.ts). */
  readonly taken: readonly number[];
}

/** What stands in front of the time, and of the flags where they are shown. */
export interface LineHead {
  readonly bytes: Uint8Array;
  readonly nameAt: number;
  readonly nameLength: number;
  /** No line will tell another name of the thread. */
  readonly isFinal: boolean;
}

const UNKNOWN_EVENT = '[UNKNOWN EVENT]';
const NAME_WIDTH = 20;
/** Of most heads. */
const HEAD_BYTES = 64;
const BILLION = 1_000_000_000n;
/** From here on a time is rounded to the next second. */
const LAST_HALF_MICRO = 999_999_500;
const TWO_POW_32 = 0x1_0000_0000;

/** `ID: 225`; -1 where there is none. */
export function readFormatId(named: NamedFormat): number {
  return named.id ?? Number(/^ID:\s*(\d{1,5})/m.exec(named.format)?.[1] ?? -1);
}

/** Prints records one by one; what a line takes from those before it is kept here. */
export class ReportLines {
  readonly names: TaskNames;
  /** Lines written, notices of losses not counted. */
  count = 0;
  /** A line was printed that may take something from records before it, other than names and its state. */
  hasPast = false;
  readonly symbols: Kallsyms;
  readonly #calls: CallStacks;
  /** What is wrong with formats that were asked for. */
  readonly problems: string[] = [];
  readonly #options: ReportOptions;
  readonly #context: PrintContext;
  readonly #tools: FunctionTools;
  /** Format files by id. */
  readonly #texts: (NamedFormat | undefined)[] = [];
  readonly #printers: (EventPrinter | undefined)[] = [];
  /** Of the records that are printed, to look at the one behind. */
  #merge: CursorMerge | undefined;
  /** Names of the instances, by the source of a cursor. */
  readonly #prefixes: readonly Piece[];
  /** Offset of the thread in each record. */
  readonly commonPid: number;
  /** Of flags and preemption depth. */
  readonly commonFlags: number;
  readonly commonPreempt: number;
  readonly isNanoseconds: boolean;
  /** The second of the line before, and its first ns. */
  #secondsText = toPiece('');
  #secondsStart = Number.NaN;
  /** What stands in front of the time, by cursor and thread. */
  readonly #heads: (Map<number, Piece> | undefined)[] = [];
  /** The time of the line before, in the unit that differences are shown in; 0 = there is none. */
  lastShown = 0n;
  /** CPUs whose record before was shown. */
  #shown = new Set<number>();
  /** As in LineState. */
  taken: readonly number[] = [];
  /** A call came whose line depends on the record behind it. */
  hasLookedAhead = false;
  /** The event of stacks, or -1. */
  readonly stackId: number;
  /** undefined: calls of function_graph are printed by their handlers only. */
  readonly graph: GraphShape | undefined;

  constructor({ info, formats }: ReportSource, options: ReportOptions, prefixes: readonly string[]) {
    this.#options = options;
    this.#prefixes = prefixes.map(toPiece);
    const layout = parseHeaderPage(formats.headerPage);
    const longBytes = typeof layout === 'string' ? 8 : layout.longBytes;
    const symbols = new Kallsyms(info.readKallsyms, 'bisected');
    this.symbols = symbols;
    this.#calls = new CallStacks(symbols);
    this.#context = { dialect: 'trace-cmd', longBytes, symbols, strings: readStrings(formats.printkFormats) };
    // Parsed when their first record comes: a kernel has 2,300, a recording some dozens.
    for (const named of formats.events) this.#texts[readFormatId(named)] = named;
    const blkId = findBlktraceId(formats.events);
    if (blkId !== undefined) this.#texts[blkId] ??= { system: 'ftrace', format: writeBlktraceFormat(blkId, false), id: blkId };
    this.isNanoseconds = showsSeconds(info);
    this.names = new TaskNames(info.comms, options.latency);
    const common = this.#parse(this.#texts.findIndex((named) => named !== undefined))?.common ?? [];
    const offsetOf = (name: string, otherwise: number): number => common.find((field) => field.name === name)?.offsetBytes ?? otherwise;
    this.commonPid = offsetOf('common_pid', 4);
    this.commonFlags = offsetOf('common_flags', 2);
    this.commonPreempt = offsetOf('common_preempt_count', 3);
    const [entryId, exitId] = [this.#idOf('funcgraph_entry'), this.#idOf('funcgraph_exit')];
    const exit = this.#parse(exitId);
    this.graph = toGraphShape(entryId, this.#parse(entryId), exitId, exit);
    this.stackId = this.#idOf('kernel_stack');
    this.#tools = {
      symbols,
      longBytes,
      names: this.names,
      calls: this.#calls,
      merge: () => this.#merge,
      isSameBuffer: (source, other) => prefixes[source] === prefixes[other],
      notePast: () => (this.hasPast = true),
      putTime: (out, low, high) => this.#putTime(out, low, high),
      graphExit: exit === undefined ? undefined : toArithmetic(exit, this.#context),
    };
  }

  /** What lines go on from, other than names. */
  get state(): LineState {
    const { lastShown, taken } = this;
    return { calls: this.#calls.state, lastShown, wasShown: [...this.#shown].sort((a, b) => a - b), taken };
  }

  set state({ calls, lastShown, wasShown, taken }: LineState) {
    this.#calls.state = calls;
    this.lastShown = lastShown;
    this.#shown = new Set(wasShown);
    this.taken = taken;
  }

  /** Was the record before on this CPU shown? Its stack goes with it. */
  wasShown(cpu: number): boolean {
    return this.#shown.has(cpu);
  }

  noteShown(cpu: number, isShown: boolean): void {
    if (isShown) this.#shown.add(cpu);
    else this.#shown.delete(cpu);
  }

  /** Appends about so many bytes of lines; false when there are no more. */
  write(merge: CursorMerge, out: TextOut, budgetBytes: number): boolean {
    const end = out.length + budgetBytes;
    this.#merge = merge;
    while (out.length < end) {
      const cursor = merge.next();
      if (cursor === undefined) {
        this.taken = merge.taken;
        return false;
      }
      this.#writeRecord(cursor, out);
    }
    return true;
  }

  #writeRecord(cursor: PageCursor, out: TextOut): void {
    const { record, lost } = cursor;
    const id = record.view.getUint16(record.start, record.little);
    const printer = this.printerOf(id);
    const pid = record.start + this.commonPid + 4 <= record.end ? record.view.getInt32(record.start + this.commonPid, record.little) : 0;
    if (this.#options.filter !== undefined && !this.#isWanted(cursor, id, pid, printer)) return;
    if (printer.isUnknown) this.#putUnknownHead(cursor, lost, out);
    else {
      if (lost !== 0) this.putLostHead(cursor, pid, lost, out);
      else if (this.#options.latency) this.#putLatencyHead(cursor, pid, out);
      else this.#putHead(cursor, pid, out);
      this.#putTime(out, cursor.low, cursor.high);
    }
    if (this.#options.timeDifference) this.#putDifference(cursor.low, cursor.high, printer.isUnknown ? ' ' : ': ', out);
    out.putPiece(printer.name);
    const body = out.length;
    if (printer.handler === undefined || printer.handler(cursor, out)) printer.put(record, out);
    if (out.length > body && out.bytes[out.length - 1] === 10) out.length--;
    out.putByte(10);
    this.count++;
  }

  #putPrefix(source: number, out: TextOut): void {
    out.putPiece(this.#prefixes[source] as Piece);
  }

  /** Instance, task and CPU, as they were for the last event of this thread on this CPU. */
  #putHead({ source, cpu }: LanePlace, pid: number, out: TextOut): void {
    const heads = (this.#heads[source] ??= new Map());
    const known = heads.get(pid);
    if (known !== undefined) {
      out.putPiece(known);
      return;
    }
    const mark = out.length;
    this.#putPrefix(source, out);
    this.names.put(pid, out);
    this.#putThread(cpu, pid, out);
    // A name that is not known yet may become so.
    if (this.names.isFinal(pid)) heads.set(pid, new Piece(out.bytes.slice(mark, out.length)));
  }

  /** The same, for who keeps it. */
  headOf({ source, cpu }: LanePlace, pid: number): LineHead {
    const out = new TextOut(HEAD_BYTES);
    this.#putPrefix(source, out);
    const nameAt = out.length;
    out.putPiece(this.names.pieceOf(pid));
    const nameLength = out.length - nameAt;
    if (this.#options.latency) this.#putLatencyThread(cpu, pid, out);
    else this.#putThread(cpu, pid, out);
    return { bytes: out.view(), nameAt, nameLength, isFinal: this.names.isFinal(pid) };
  }

  /** Task, flags and time, none of which can be told. */
  #putUnknownHead(place: LanePlace, lost: number, out: TextOut): void {
    this.#putPrefix(place.source, out);
    if (lost !== 0) putLost(place.cpu, lost, out);
    for (let i = this.#options.latency ? 3 : 2; i > 0; i--) out.putText(UNKNOWN_EVENT);
  }

  /** With the notice of a loss between instance and task. */
  putLostHead(place: LanePlace, pid: number, lost: number, out: TextOut): void {
    this.#putPrefix(place.source, out);
    putLost(place.cpu, lost, out);
    this.names.put(pid, out);
    if (this.#options.latency) this.#putLatency(place, pid, out);
    else this.#putThread(place.cpu, pid, out);
  }

  #putLatencyHead(place: LanePlace, pid: number, out: TextOut): void {
    this.#putPrefix(place.source, out);
    this.names.put(pid, out);
    this.#putLatency(place, pid, out);
  }

  #putPid(pid: number, out: TextOut): void {
    out.putByte(45);
    const mark = out.length;
    out.putDecimal(pid);
    out.pad(mark, 5, true);
  }

  #putThread(cpu: number, pid: number, out: TextOut): void {
    this.#putPid(pid, out);
    out.putText(' [');
    out.putPaddedDecimal(cpu, 3);
    out.putByte(93);
    if (this.isNanoseconds) out.putByte(32);
  }

  #putLatencyThread(cpu: number, pid: number, out: TextOut): void {
    this.#putPid(pid, out);
    out.putByte(32);
    const at = out.length;
    out.putDecimal(cpu);
    out.pad(at, 3);
  }

  #putLatency({ cpu, record }: LanePlace, pid: number, out: TextOut): void {
    this.#putLatencyThread(cpu, pid, out);
    this.#putFlags(record, out);
    if (this.isNanoseconds) out.putByte(32);
  }

  #putFlags({ bytes, start, end }: EventRecord, out: TextOut): void {
    const flags = start + this.commonFlags < end ? (bytes[start + this.commonFlags] as number) : 0;
    const preempt = start + this.commonPreempt < end ? (bytes[start + this.commonPreempt] as number) : 0;
    if (this.#options.raw) {
      out.putText('-0x');
      out.putHexWords(flags, 0);
      return;
    }
    out.putText((flags & FLAG.irqsOff) !== 0 ? 'd' : (flags & FLAG.irqsUnknown) !== 0 ? 'X' : '.');
    out.putText((flags & FLAG.needResched) !== 0 ? 'N' : '.');
    const inHardirq = (flags & FLAG.hardirq) !== 0;
    const inSoftirq = (flags & FLAG.softirq) !== 0;
    out.putText(inHardirq ? (inSoftirq ? 'H' : 'h') : inSoftirq ? 's' : '.');
    for (const depth of [preempt & 15, preempt >> 4]) {
      if (depth === 0) out.putByte(46);
      else out.putHexWords(depth, 0);
    }
  }

  #putTime(out: TextOut, low: number, high: number): void {
    if (!this.isNanoseconds) {
      const mark = out.length;
      out.putDecimalWords(low | 0, high | 0, false);
      out.pad(mark, 12);
      return;
    }
    // Exact below 2^53 ns, 104 days; later times go through a bigint.
    if (high < 0x20_0000) {
      const ns = high * TWO_POW_32 + low;
      const within = ns - this.#secondsStart;
      // Line after line is of the same second.
      if (within >= 0 && within < LAST_HALF_MICRO && !this.#options.nanoseconds) {
        out.putPiece(this.#secondsText);
        out.putSixDigits(((within + 500) / 1000) | 0);
        return;
      }
      const shown = this.#options.nanoseconds ? ns : Math.floor((ns + 500) / 1000);
      const perSecond = this.#options.nanoseconds ? 1e9 : 1e6;
      const seconds = Math.floor(shown / perSecond);
      this.#putSeconds(seconds, shown - seconds * perSecond, out);
      return;
    }
    const ns = (BigInt(high) << 32n) | BigInt(low);
    const rounded = this.#options.nanoseconds ? ns : ((ns + 500n) / 1000n) * 1000n;
    const fraction = Number(rounded % BILLION);
    this.#putSeconds(Number(rounded / BILLION), this.#options.nanoseconds ? fraction : fraction / 1000, out);
  }

  #putSeconds(seconds: number, fraction: number, out: TextOut): void {
    if (seconds * 1e9 !== this.#secondsStart) {
      this.#secondsStart = seconds * 1e9;
      this.#secondsText = toPiece(`${String(seconds).padStart(5)}.`);
    }
    out.putPiece(this.#secondsText);
    out.putPaddedDecimal(fraction, this.#options.nanoseconds ? 9 : 6);
  }

  #putDifference(low: number, high: number, before: string, out: TextOut): void {
    const time = (BigInt(high) << 32n) | BigInt(low);
    // Rounded as µs are, whatever the clock counts.
    const shown = this.#options.nanoseconds ? time : (time + 500n) / 1000n;
    out.putText(before);
    const mark = out.length;
    if (this.lastShown !== 0n) out.putText(`(+${shown - this.lastShown})`);
    out.pad(mark, 8, true);
    this.lastShown = shown;
  }

  #isWanted(cursor: PageCursor, id: number, pid: number, printer: EventPrinter): boolean {
    const { cpus, pids, since, until } = this.#options.filter as ReportFilter;
    if (cpus !== undefined && !cpus.has(cursor.cpu)) return false;
    // The stack of an event that is shown belongs to it.
    if (id === this.stackId && id >= 0) return this.wasShown(cursor.cpu);
    let wanted = printer.isShown;
    if (wanted && pids !== undefined) wanted = pids.has(pid);
    if (wanted && (since !== undefined || until !== undefined)) {
      const time = (BigInt(cursor.high) << 32n) | BigInt(cursor.low);
      wanted = time >= (since ?? time) && time <= (until ?? time);
    }
    this.noteShown(cursor.cpu, wanted);
    return wanted;
  }

  /** Id of an event of the tracer itself, or -1. */
  #idOf(event: string): number {
    return this.#texts.findIndex((named) => named?.system === 'ftrace' && named.format.startsWith(`name: ${event}\n`));
  }

  #parse(id: number): EventFormat | undefined {
    const named = this.#texts[id];
    const parsed = named === undefined ? undefined : parseEventFormat(named.format, named.system);
    if (typeof parsed !== 'string') return parsed;
    this.problems.push(parsed);
    return undefined;
  }

  printerOf(id: number): EventPrinter {
    return this.#printers[id] ?? this.#compile(id);
  }

  #compile(id: number): EventPrinter {
    const format = this.#parse(id);
    const printer = format === undefined ? unknownEvent() : this.#compileFormat(format);
    this.#printers[id] = printer;
    return printer;
  }

  #compileFormat(format: EventFormat): EventPrinter {
    const context = this.#context;
    const of = toArithmetic(format, context);
    const parts = compilePrintFormat(format, context);
    // Of bprint the library looks at each record's own format.
    const fieldParts = typeof parts === 'string' || isBprint(format) ? [] : parts;
    const fields = compileFields(format, fieldParts, of, this.#tools.notePast);
    const { raw, filter, timeDifference } = this.#options;
    const common = { name: padName(format.event, timeDifference), isShown: filter?.events?.(format.system, format.event) ?? true };
    if (raw) return toPrinter(common, undefined, fields);
    const handler = compileFunctionEvent(format, of, this.#tools);
    if (handler !== undefined) {
      this.hasLookedAhead ||= looksAhead(format);
      return { ...toPrinter(common, handler, []), looksAround: looksAhead(format) };
    }
    const plugin = compilePlugin(format, of, this.#tools);
    const line = this.#compileLine(format, parts, fields, of);
    if (typeof plugin === 'function') return toPrinter(common, plugin, line);
    return toPrinter(common, undefined, plugin === undefined ? line : plugin.isAlone ? plugin.parts : [...plugin.parts, ...line]);
  }

  /** What is printed by the format. */
  #compileLine(format: EventFormat, parts: PrintPart[] | string, fields: readonly LinePart[], of: Arithmetic): readonly LinePart[] {
    const bprint = isBprint(format) ? this.#compileBprint(format, of) : undefined;
    if (bprint !== undefined) return putAlone(bprint);
    return typeof parts === 'string' ? [{ text: '[FAILED TO PARSE]', step: undefined }, ...fields] : toLine(parts);
  }

  /** `function: text`, as the format of bprint would have it. */
  #compileBprint(format: EventFormat, of: Arithmetic): Put | undefined {
    const context = this.#context;
    const put = compileBprint(format, of, context);
    const caller = compilePrintFormat({ ...format, printFormat: '"%ps: ", (void *)REC->ip' }, context);
    if (put === undefined || typeof caller === 'string') return undefined;
    const putCaller = joinParts(caller);
    return (record, out) => {
      putCaller(record, out);
      put(record, out);
    };
  }
}

function isBprint({ system, event }: EventFormat): boolean {
  return system === 'ftrace' && event === 'bprint';
}

function putLost(cpu: number, lost: number, out: TextOut): void {
  out.putText(lost === LOST_UNKNOWN ? `CPU:${cpu} [EVENTS DROPPED]\n` : `CPU:${cpu} [${lost} EVENTS DROPPED]\n`);
}

/** With the colon behind the time, unless the time since the line before stands between. */
function padName(name: string, isApart: boolean): Piece {
  return toPiece(`${isApart ? '' : ':'} ${name}: ${' '.repeat(Math.max(0, NAME_WIDTH - name.length))}`);
}

/** The library has nothing to show in any of its columns; the time loses its colon with it. */
function unknownEvent(): EventPrinter {
  const common = { name: padName('(NULL)', true), isShown: true };
  return { ...toPrinter(common, undefined, [{ text: UNKNOWN_EVENT, step: undefined }]), isUnknown: true, looksAround: true };
}

function putAlone(put: Put): readonly LinePart[] {
  return [{ text: '', step: { kind: 'put', put } }];
}

function toPrinter(
  common: Pick<EventPrinter, 'name' | 'isShown'>,
  handler: ReportHandler | undefined,
  line: readonly LinePart[],
): EventPrinter {
  return { ...common, handler, put: compileLine(line), line, looksAround: false, isUnknown: false };
}

/** Whether a call has a line of its own for its end is told by the record behind it. */
function looksAhead({ event }: EventFormat): boolean {
  return event === 'funcgraph_entry';
}

/** `0xffffffff8225d1b8 : "count %d\n"` → address → text, without the quotes and a line end. */
export function readStrings(printkFormats: string): Map<string, string> {
  const strings = new Map<string, string>();
  for (const [, address, text = ''] of printkFormats.matchAll(/^(?:0x)?([\da-fA-F]+) : "?(.*?)"?$/gm)) {
    const value = BigInt(`0x${address}`);
    strings.set(toAddress(Number(value & 0xffff_ffffn), Number(value >> 32n)), text.replace(/\\n$/, ''));
  }
  return strings;
}
