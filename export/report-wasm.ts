/**
 * Windows of a report printed by a module of WebAssembly, which is written in report-wasm-lines.ts and report-wasm-walk.ts and encoded
 * when a report begins:
 *
 *   pages in its memory → records in order of time → head · time · program of the event → text in its memory
 *
 * It asks for what it does not have: programs of events, heads of threads, texts of symbols and flags that it has not met, and steps
 * that only JavaScript can do. What it is not made for (damage, calls of the function graph in several instances or of chosen CPUs, a
 * window whose text finds no room or, with -R, has characters that cannot be printed, times that are converted, pages of a big-endian
 * kernel) is printed by
 * ReportLines alone: the same bytes, some three times as slow.
 */
import { parseHeaderPage } from '../parsers/page-header.ts';
import type { Kallsyms } from './kallsyms.ts';
import { putSymbolOrAddress, type LineStep } from './line-program.ts';
import { EventRecord, loadNarrow, type Load } from './print-fmt-numbers.ts';
import type { Put } from './print-fmt-strings.ts';
import type { Moment } from './moment.ts';
import type { CursorStop } from './page-cursor.ts';
import type { EventPrinter, ReportLines } from './report-lines.ts';
import type { RecordPlace } from './report-handler.ts';
import type { ReportFilter, ReportOptions, ReportSource } from './report-options.ts';
import { putCallee, type GraphShape } from './report-graph.ts';
import { FAILED, LINE_FUNCTIONS } from './report-wasm-lines.ts';
import * as M from './report-wasm-memory.ts';
import type { WasmSlot } from './report-wasm-memory.ts';
import { ProgramWriter, type CallStep, type ProgramPart } from './report-wasm-program.ts';
import { walkFunctions, type WalkShape } from './report-wasm-walk.ts';
import type { TaskNote } from './report-tasks.ts';
import { toBytes, TextOut } from './text-out.ts';
import { encodeModule, I32 } from '../base/wasm-assembler.ts';
import { Instance, Module, type WasmInstance, type WasmMemory } from '../base/wasm-runtime.ts';

/** No source. */
const NONE = -1;
const NO_TEXT = new Uint8Array(0);
/** Texts of one tag; what comes behind is made each time. */
const MAX_KEPT = 1024;
const MAX_SYMBOLS = 1 << 14;
const MAX_PIDS = 1 << 12;
const LAST_TIME = 0xffff_ffff_ffff_ffffn;
const SIGNATURES: Readonly<Record<string, number>> = { compileEvent: 1, makeHead: 2, makeText: 5, putLostHead: 5, putOther: 5 };

/** Pages of some CPUs, one behind the other, and the times that are printed of them. */
export interface WasmWindow {
  readonly lanes: readonly { readonly bytes: number }[];
  readonly since: Moment | undefined;
  readonly until: Moment | undefined;
}

export interface WasmLane {
  /** Names the instance. */
  readonly prefix: string;
  readonly cpu: number;
  readonly pageSizeBytes: number;
}

export interface WasmText {
  /** Where the text ends. */
  readonly end: number;
  readonly records: number;
  /** Address, bytes and thread of each name that lines before may have told. */
  readonly notes: readonly TaskNote[];
  /** Where each CPU met the end of the window. */
  readonly stops: readonly (CursorStop | undefined)[];
}

interface TextMaker {
  readonly put: (low: number, high: number, record: EventRecord, out: TextOut) => void;
  /** So many more are kept. */
  left: number;
}

/** Prints windows that lie in its memory. */
export class WasmPrinter {
  readonly #lines: ReportLines;
  readonly #lanes: readonly WasmLane[];
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #out: TextOut;
  readonly #instance: WasmInstance;
  readonly #programs: ProgramWriter;
  readonly #graph: GraphShape | undefined;
  /** The record at hand. */
  readonly #place: { -readonly [name in keyof RecordPlace]: RecordPlace[name] };
  /** Threads that a filter lets through. */
  readonly #pids: readonly number[];
  readonly #puts: Put[] = [];
  readonly #texts: TextMaker[] = [];
  /** Symbols are the same text whichever step shows them. */
  readonly #symbolTags: (number | undefined)[] = [];
  readonly #scratch = new TextOut(1 << 10);
  #textAt = M.TEXTS;
  #entries = 0;
  #told = 0;

  /** undefined where it is not made for what is asked for. */
  static open(
    { formats }: ReportSource,
    options: ReportOptions,
    lines: ReportLines,
    lanes: readonly WasmLane[],
    memory: WasmMemory,
  ): WasmPrinter | undefined {
    const layout = parseHeaderPage(formats.headerPage);
    const { latency, raw, timeDifference, filter, convert } = options;
    if (
      convert !== undefined ||
      (filter !== undefined && !isFilterable(filter, lanes)) ||
      typeof layout === 'string' ||
      formats.endian !== 'little' ||
      lanes.length > M.MAX_LANES
    )
      return undefined;
    if (lanes.some(({ pageSizeBytes }) => pageSizeBytes < layout.dataOffset)) return undefined;
    const times = !lines.isNanoseconds ? 'number' : options.nanoseconds ? 'nanos' : 'micros';
    const shape: WalkShape = {
      layout,
      commonPid: lines.commonPid,
      times,
      latency: latency ? { flags: lines.commonFlags, preempt: lines.commonPreempt, isRaw: raw } : undefined,
      timeDifference: !timeDifference ? undefined : options.nanoseconds ? 'nanos' : 'micros',
      filter: filter && {
        hasPids: filter.pids !== undefined,
        since: filter.since ?? 0n,
        until: filter.until ?? LAST_TIME,
        stackId: lines.stackId,
      },
      graph: !raw && filter?.cpus === undefined && new Set(lanes.map(({ prefix }) => prefix)).size === 1 ? lines.graph : undefined,
    };
    return new WasmPrinter(shape, filter?.pids ?? [], lines, lanes, memory);
  }

  constructor(shape: WalkShape, pids: Iterable<number>, lines: ReportLines, lanes: readonly WasmLane[], memory: WasmMemory) {
    this.#lines = lines;
    this.#lanes = lanes;
    this.#graph = shape.graph;
    this.#bytes = new Uint8Array(memory.buffer);
    this.#view = new DataView(memory.buffer);
    this.#out = new TextOut(0, this.#bytes);
    const record = new EventRecord();
    record.bytes = this.#bytes;
    record.view = this.#view;
    this.#place = { record, source: 0, cpu: 0, low: 0, high: 0 };
    this.#programs = new ProgramWriter(this.#bytes, {
      addPut: (put) => this.#puts.push(put) - 1,
      addTask: (put, load) => this.#puts.push((record, out) => this.#putTask(put, load, record, out)) - 1,
      addText: (step) => this.#addText(step),
    });
    this.#instance = new Instance(new Module(encodeWindowModule(shape)), {
      host: {
        memory,
        compileEvent: (id) => this.#compileEvent(id as number),
        makeHead: (source, pid) => this.#makeHead(source as number, pid as number),
        makeText: (tag, low, high, start, end) =>
          this.#makeText(tag as number, low as number, high as number, start as number, end as number),
        putLostHead: (source, pid, lost, out, limit) => {
          const { cpu } = this.#lanes[source as number] as WasmLane;
          const lane = this.#view.getUint32(M.REGISTERS + M.REGISTER.lane, true);
          const record = this.#recordAt(
            this.#view.getUint32(lane + M.LANE.start, true),
            this.#view.getUint32(lane + M.LANE.recordEnd, true),
          );
          return this.#put(out as number, limit as number, (to) =>
            this.#lines.putLostHead({ source: source as number, cpu, record }, pid as number, lost as number, to),
          );
        },
        putOther: (number, start, end, out, limit) =>
          this.#putOther(number as number, start as number, end as number, out as number, limit as number),
      },
    });
    writeTables(this.#bytes, this.#view);
    this.#pids = [...pids];
    this.#keepPids();
  }

  /** Prints a window whose pages begin at `pagesAt`; undefined where ReportLines has to. The names of the part have been started. */
  print(window: WasmWindow, { pagesAt, textAt, textEnd }: WasmSlot): WasmText | undefined {
    const view = this.#view;
    const { since, until } = window;
    const set = (offset: number, value: number): void => view.setUint32(M.REGISTERS + offset, value, true);
    const { REGISTER } = M;
    for (const [at, moment, flag] of [
      [REGISTER.since, since, REGISTER.hasSince],
      [REGISTER.until, until, REGISTER.hasUntil],
    ] as const) {
      set(flag, moment === undefined ? 0 : 1);
      set(at, moment?.low ?? 0);
      set(at + 4, moment?.high ?? 0);
    }
    for (const offset of [REGISTER.damaged, REGISTER.records, REGISTER.notes]) set(offset, 0);
    this.#startEpoch();
    this.#told = this.#lines.names.toldCount;
    this.#writeLanes(window, pagesAt);
    view.setBigUint64(M.REGISTERS + REGISTER.lastShown, this.#lines.lastShown, true);
    view.setInt32(M.REGISTERS + REGISTER.taken, this.#lines.taken[0] ?? NONE, true);
    const end = this.#call('printWindow', window.lanes.length, textAt, textEnd - M.SLACK_BYTES);
    if (end === FAILED || this.#lines.hasPast) return undefined;
    this.#readState();
    return {
      end,
      records: view.getUint32(M.REGISTERS + REGISTER.records, true),
      notes: this.#readNotes(),
      stops: window.lanes.map((_lane, i) => this.#readStop(i)),
    };
  }

  #call(name: string, ...args: number[]): number {
    return (this.#instance.exports[name] as (...args: number[]) => number)(...args);
  }

  /** What was kept for a window does not hold any more. */
  #startEpoch(): void {
    const at = M.REGISTERS + M.REGISTER.epoch;
    this.#view.setUint32(at, (this.#view.getUint32(at, true) + 1) >>> 0 || 1, true);
  }

  get #epoch(): number {
    return this.#view.getUint32(M.REGISTERS + M.REGISTER.epoch, true);
  }

  #writeLanes({ lanes }: WasmWindow, pagesAt: number): void {
    let at = pagesAt;
    for (const [i, { bytes }] of lanes.entries()) {
      const lane = M.LANES + i * M.LANE_BYTES;
      this.#bytes.fill(0, lane, lane + M.LANE_BYTES);
      const set = (field: number, value: number): void => this.#view.setInt32(lane + field, value, true);
      set(M.LANE.pageAt, at);
      set(M.LANE.pagesEnd, (at += bytes));
      set(M.LANE.page, -1);
      set(M.LANE.stopPage, -1);
      set(M.LANE.source, i);
      set(M.LANE.wasShown, Number(this.#lines.wasShown((this.#lanes[i] as WasmLane).cpu)));
      set(M.LANE.pageSize, (this.#lanes[i] as WasmLane).pageSizeBytes);
    }
  }

  /** Back to where JavaScript would have it: a window that is printed by it goes on from there. */
  #readState(): void {
    this.#lines.lastShown = this.#view.getBigUint64(M.REGISTERS + M.REGISTER.lastShown, true);
    const taken = this.#view.getInt32(M.REGISTERS + M.REGISTER.taken, true);
    this.#lines.taken = taken === NONE ? [] : [taken];
    for (const [i, { cpu }] of this.#lanes.entries())
      this.#lines.noteShown(cpu, this.#view.getUint32(M.LANES + i * M.LANE_BYTES + M.LANE.wasShown, true) !== 0);
  }

  #readStop(lane: number): CursorStop | undefined {
    const read = (field: number): number => this.#view.getInt32(M.LANES + lane * M.LANE_BYTES + field, true);
    const page = read(M.LANE.stopPage);
    if (page < 0) return undefined;
    return { page, isFirst: read(M.LANE.stopIsFirst) !== 0, lost: read(M.LANE.stopLost), sincePage: read(M.LANE.stopSince) };
  }

  #readNotes(): TaskNote[] {
    const count = this.#view.getUint32(M.REGISTERS + M.REGISTER.notes, true);
    return Array.from({ length: count }, (_, i) => {
      const at = M.NOTES + i * M.NOTE_BYTES;
      return [this.#view.getUint32(at, true), this.#view.getUint32(at + 4, true), this.#view.getInt32(at + 8, true)] as const;
    });
  }

  #compileEvent(id: number): number {
    const printer = this.#lines.printerOf(id);
    const isHidden = !printer.isShown && id !== this.#lines.stackId;
    const program = isHidden ? M.HIDDEN : this.#writeProgram(id, printer);
    if (program !== 0) this.#view.setUint32(M.FORMATS + id * 4, program, true);
    return program;
  }

  #writeProgram(id: number, printer: EventPrinter): number {
    const graph = this.#graph;
    const { bytes } = printer.name;
    if (id === graph?.entryId) return this.#programs.write(bytes, callLine(graph, this.#lines.symbols));
    if (id === graph?.exitId) return this.#programs.write(bytes, returnLine(graph));
    if (printer.looksAround) return 0;
    return this.#programs.write(bytes, printer.handler === undefined ? printer.line : this.#toLine(printer));
  }

  /** A handler is one step. */
  #toLine({ handler, put }: EventPrinter): EventPrinter['line'] {
    const putAll: Put = (record, out) => {
      this.#findPlace();
      if (handler?.(this.#place, out) === true) put(record, out);
    };
    return [{ text: '', step: { kind: 'put', put: putAll } }];
  }

  /** The rest of the record that is being printed. */
  #findPlace(): void {
    const place = this.#place;
    const lane = this.#view.getUint32(M.REGISTERS + M.REGISTER.lane, true);
    place.source = this.#view.getUint32(lane + M.LANE.source, true);
    place.cpu = (this.#lanes[place.source] as WasmLane).cpu;
    place.low = this.#view.getUint32(lane + M.LANE.time, true);
    place.high = this.#view.getUint32(lane + M.LANE.time + 4, true);
  }

  #addText(step: LineStep | CallStep): number {
    if (step.kind === 'callee') {
      const { symbols } = step;
      return this.#addTag((low, high, _record, out) => putCallee(out, symbols, low, high), MAX_SYMBOLS);
    }
    if (step.kind === 'put' || step.kind === 'kept') {
      const { put } = step;
      return this.#addTag((_low, _high, record, out) => put(record, out), MAX_KEPT);
    }
    if (step.kind !== 'symbol') throw new Error(`${step.kind} keeps no texts`);
    const { symbols, withOffset } = step;
    const known = this.#symbolTags[Number(withOffset)];
    if (known !== undefined) return known;
    const tag = this.#addTag((low, high, _record, out) => putSymbolOrAddress(out, symbols, low, high, withOffset), MAX_SYMBOLS);
    this.#symbolTags[Number(withOffset)] = tag;
    return tag;
  }

  #addTag(put: TextMaker['put'], left: number): number {
    return M.FIRST_KEPT_TAG + this.#texts.push({ put, left }) - 1;
  }

  #makeText(tag: number, low: number, high: number, start: number, end: number): number {
    const text = this.#texts[tag - M.FIRST_KEPT_TAG] as TextMaker;
    const out = this.#scratch;
    out.clear();
    text.put(low, high, this.#recordAt(start, end), out);
    if (text.left <= 0) return this.#pass(out.view());
    text.left--;
    return this.#keep(tag, low, high, out.view(), 0);
  }

  #makeHead(source: number, pid: number): number {
    const { cpu } = this.#lanes[source] as WasmLane;
    const head = this.#lines.headOf({ source, cpu, record: this.#place.record }, pid);
    const entry = this.#keep(source + 1, pid, 0, head.bytes, head.isFinal ? 0 : this.#epoch);
    if (entry !== 0 && !head.isFinal) {
      this.#view.setUint32(entry + M.ENTRY.noteAt, head.nameAt, true);
      this.#view.setUint32(entry + M.ENTRY.noteLength, head.nameLength, true);
    }
    return entry;
  }

  /** Enters a text into the table; 0 where it is longer than any should be. */
  #keep(tag: number, low: number, high: number, text: Uint8Array, epoch: number): number {
    if (text.length > M.PASSING_TEXT_BYTES / 2) return 0;
    if (this.#entries >= M.ENTRIES / 2 || this.#textAt + text.length + M.SLACK_BYTES > M.TEXTS_END) this.#forget();
    const entry = this.#call('placeOfWords', tag, low, high);
    const view = this.#view;
    if (view.getUint32(entry + M.ENTRY.tag, true) === 0) this.#entries++;
    view.setInt32(entry + M.ENTRY.value, low, true);
    view.setInt32(entry + M.ENTRY.value + 4, high, true);
    view.setUint32(entry + M.ENTRY.tag, tag, true);
    view.setUint32(entry + M.ENTRY.epoch, epoch, true);
    view.setUint32(entry + M.ENTRY.text, this.#textAt, true);
    view.setUint32(entry + M.ENTRY.length, text.length, true);
    view.setUint32(entry + M.ENTRY.noteLength, 0, true);
    this.#bytes.set(text, this.#textAt);
    this.#textAt += (text.length + 31) & ~15;
    return entry;
  }

  /** A text for this once. */
  #pass(text: Uint8Array): number {
    if (text.length > M.PASSING_TEXT_BYTES / 2) return 0;
    this.#bytes.set(text, M.TEXTS_END);
    this.#view.setUint32(M.PASSING_ENTRY + M.ENTRY.text, M.TEXTS_END, true);
    this.#view.setUint32(M.PASSING_ENTRY + M.ENTRY.length, text.length, true);
    return M.PASSING_ENTRY;
  }

  #keepPids(): void {
    for (const pid of this.#pids) this.#keep(M.TAG_WANTED, pid, 0, NO_TEXT, 0);
  }

  #forget(): void {
    this.#bytes.fill(0, M.TABLE, M.TABLE + M.ENTRIES * M.ENTRY_BYTES);
    this.#textAt = M.TEXTS;
    this.#entries = 0;
    this.#keepPids();
  }

  #recordAt(start: number, end: number): EventRecord {
    const { record } = this.#place;
    record.start = start;
    record.end = end;
    return record;
  }

  /** Its step tells the name of a thread that has none; from then on it has one. */
  #putTask(put: Put, { at, sizeBytes, least }: Load, record: EventRecord, out: TextOut): void {
    put(record, out);
    const isInside = record.start + least <= record.end;
    const pid = isInside ? loadNarrow(record, record.start + at, Math.min(4, sizeBytes), false) : 0;
    this.#noteTold();
    this.#keep(M.TAG_KNOWN, pid, 0, NO_TEXT, this.#lines.names.isFinal(pid) ? 0 : this.#epoch);
  }

  #noteTold(): void {
    const { toldCount } = this.#lines.names;
    if (toldCount === this.#told) return;
    this.#told = toldCount;
    this.#startEpoch();
  }

  #putOther(number: number, start: number, end: number, at: number, limit: number): number {
    const record = this.#recordAt(start, end);
    return this.#put(at, limit, (to) => (this.#puts[number] as Put)(record, to));
  }

  /** Writes at a place of the memory; FAILED where there is no room for it. */
  #put(at: number, limit: number, write: (out: TextOut) => void): number {
    const out = this.#out;
    out.moveTo(at, limit);
    write(out);
    if (out.bytes === this.#bytes && out.length <= limit) return out.length;
    this.#out = new TextOut(0, this.#bytes);
    return FAILED;
  }
}

function callLine({ entry: { depth, func } }: GraphShape, symbols: Kallsyms): readonly ProgramPart[] {
  return [
    { text: '', step: { kind: 'called', depth } },
    { text: '', step: { kind: 'callee', func, symbols } },
    { text: '', step: { kind: 'brace' } },
  ];
}

function returnLine({ exit: { depth, calltime, rettime } }: GraphShape): readonly ProgramPart[] {
  return [
    { text: '', step: { kind: 'returned', depth, calltime, rettime } },
    { text: '}', step: undefined },
  ];
}

/** What is shown of a stack is told by CPU, in one lane each; and the table of texts has room for some threads more. */
function isFilterable({ pids }: ReportFilter, lanes: readonly WasmLane[]): boolean {
  return (pids?.size ?? 0) <= MAX_PIDS && new Set(lanes.map(({ cpu }) => cpu)).size === lanes.length;
}

function encodeWindowModule(shape: WalkShape): Uint8Array<ArrayBuffer> {
  const imports = Object.entries(SIGNATURES).map(([name, count]) => ({
    name,
    params: Array.from({ length: count }, () => I32 as typeof I32),
    results: [I32 as typeof I32],
  }));
  return encodeModule(
    { pages: M.SLOTS / M.MEMORY_PAGE_BYTES, isShared: true },
    imports,
    [...LINE_FUNCTIONS, ...walkFunctions(shape)],
    ['printWindow', 'placeOfWords'],
  );
}

function writeTables(bytes: Uint8Array, view: DataView): void {
  for (let i = 0; i < 100; i++) {
    bytes[M.DIGIT_PAIRS + i * 2] = 48 + Math.floor(i / 10);
    bytes[M.DIGIT_PAIRS + i * 2 + 1] = 48 + (i % 10);
  }
  for (let byte = 0; byte < 256; byte++) bytes.set(toBytes(byte.toString(16).padStart(2, '0')), M.HEX_PAIRS + byte * 2);
  // The first second; its text is that of the time 0.
  bytes.set([32, 32, 32, 32, 48, 46], M.SECOND + 16);
  view.setUint32(M.SECOND + 8, 6, true);
}
