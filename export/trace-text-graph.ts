/**
 * Calls and returns of the function graph, as the kernel draws them:
 *
 *   # CPU  DURATION                  FUNCTION CALLS
 *    0)               |  page_remove_rmap() {            entry whose return does not come next on its CPU
 *    0)   0.962 us    |    lock_page_memcg();            entry and return, one line: a leaf
 *    0)   4.509 us    |  }                               return; its entry was printed
 *    0)   5.120 us    |  } /* page_remove_rmap …        return; its entry was lost, or funcgraph-tail
 *    0) + 12.345 us   |    /* sched_switch: …         any other event is a comment
 *    |  |                                                +-- task changed: a block with ` cat-7682   =>  sh-7600  `
 *    |  +-- mark of long ones, as in the latency format
 *    +-- CPU, as wide as the last possible one
 *
 * In front, by options: time, time since the buffer was emptied, task, flags. `==========> |` and `<========== |` stand around
 * what runs between __irqentry_text_start and _end.
 *
 * Not handled: names and types of arguments (funcgraph-args), which only BTF knows: they are printed as numbers.
 * Kernel: kernel/trace/trace_functions_graph.c.
 */
import type { EventFormat } from '../parsers/event-format.ts';
import { readField, type Arithmetic, type EventRecord, type NumberCode } from './print-fmt-numbers.ts';
import { findMark, MAX_LINE_BYTES, type TraceContext } from './trace-text-context.ts';
import type { TracedCpu } from './trace-text-merge.ts';
import type { SymbolText } from './trace-text-symbols.ts';
import { versionOf, type TraceSettings } from '../parsers/tracefs-settings.ts';
import type { TextOut } from './text-out.ts';

export interface GraphFlags {
  readonly time: boolean;
  readonly relative: boolean;
  readonly cpu: boolean;
  readonly task: boolean;
  readonly duration: boolean;
  readonly overhead: boolean;
  readonly irqs: boolean;
  readonly tail: boolean;
  readonly overrun: boolean;
  readonly retval: boolean;
  readonly retvalHex: boolean;
  readonly retaddr: boolean;
}

/** Options of the function_graph tracer, with its defaults. */
export function readGraphFlags({ options }: TraceSettings): GraphFlags {
  const isOn = (name: string, otherwise = false): boolean => options.get(`funcgraph-${name}`) ?? otherwise;
  return {
    time: isOn('abstime'),
    relative: false,
    cpu: isOn('cpu', true),
    task: isOn('proc'),
    duration: isOn('duration', true),
    overhead: isOn('overhead', true),
    irqs: isOn('irqs', true),
    tail: isOn('tail'),
    overrun: isOn('overrun'),
    retval: isOn('retval'),
    retvalHex: isOn('retval-hex'),
    retaddr: isOn('retaddr'),
  };
}

/** What the wakeup and irqsoff tracers print with display-graph. */
export const LATENCY_GRAPH: GraphFlags = {
  time: false,
  relative: true,
  cpu: true,
  task: true,
  duration: true,
  overhead: true,
  irqs: true,
  tail: false,
  overrun: false,
  retval: false,
  retvalHex: false,
  retaddr: false,
};

/** Longest chain of calls that the kernel remembers. */
const MAX_DEPTH = 50;
/** Blanks for more are nobody's: a record may claim two billion. */
const MOST_SHOWN_DEPTH = 256;
const TASK_WIDTH = 14;
const GRAPH_COMM_CHARS = 7;
const ARGUMENTS = 6;
const COMMENT_END = ' */\n';

interface CpuState {
  lastPid: number;
  depth: number;
  irqDepth: number;
  /** Functions entered, by depth: `high:low`. */
  readonly entered: (string | undefined)[];
}

/** Reads the fields of one event. */
interface GraphFields {
  readonly id: number;
  readonly of: Arithmetic;
  readonly func: NumberCode['read'];
  readonly depth: NumberCode['read'];
  /** Bytes of the record without arguments. */
  readonly sizeBytes: number;
}

interface Call {
  readonly low: number;
  readonly high: number;
  readonly depth: number;
}

export interface GraphTools {
  readonly settings: TraceSettings;
  readonly context: TraceContext;
  readonly symbols: SymbolText;
  readonly longBytes: 4 | 8;
  toArithmetic(format: EventFormat): Arithmetic;
  idOf(record: EventRecord): number;
}

export class FunctionGraph {
  readonly flags: GraphFlags;
  readonly #tools: GraphTools;
  readonly #entries = new Map<number, GraphFields>();
  readonly #retaddrs = new Map<number, NumberCode['read']>();
  readonly #exit: GraphFields | undefined;
  readonly #readOverrun: NumberCode['read'] | undefined;
  readonly #readRetval: NumberCode['read'] | undefined;
  readonly #readDuration: ((record: EventRecord) => number) | undefined;
  readonly #cpus = new Map<number, CpuState>();
  readonly #withContext: boolean;
  readonly #isLatency: boolean;
  readonly #cpuWidth: number;
  #irqText: { readonly from: bigint; readonly to: bigint } | undefined;
  readonly #isOldRetval: boolean;
  /** Without a state of its own: graph events in the buffer of another tracer. */
  readonly #isStateless: boolean;

  constructor(formats: readonly EventFormat[], flags: GraphFlags, isStateless: boolean, tools: GraphTools) {
    this.flags = flags;
    this.#tools = tools;
    this.#isStateless = isStateless;
    const { settings } = tools;
    for (const format of formats) {
      if (format.event !== 'funcgraph_entry' && format.event !== 'fgraph_retaddr_entry') continue;
      const fields = this.#readFields(format);
      if (fields === undefined) continue;
      this.#entries.set(format.id, fields);
      if (format.event === 'fgraph_retaddr_entry') this.#retaddrs.set(format.id, readField('retaddr', fields.of) ?? (() => 0));
    }
    const exit = formats.find(({ event }) => event === 'funcgraph_exit');
    this.#exit = exit === undefined ? undefined : this.#readFields(exit);
    if (this.#exit !== undefined) {
      this.#readOverrun = readField('overrun', this.#exit.of);
      this.#readRetval = readField('retval', this.#exit.of);
      this.#readDuration = this.#compileDuration(this.#exit.of);
    }
    this.#withContext = settings.options.get('context-info') !== false;
    this.#isLatency = settings.options.get('latency-format') === true;
    this.#cpuWidth = String(settings.possibleCpus - 1).length;
    this.#isOldRetval = versionOf(settings.release) < 6013;
  }

  isGraphEvent(id: number): boolean {
    return this.#entries.has(id) || this.#exit?.id === id;
  }

  /** Prints a call or return; the return of a leaf is taken out of its CPU's records. */
  put(at: TracedCpu, id: number, out: TextOut): void {
    const entry = this.#entries.get(id);
    if (entry !== undefined) this.#putEntry(at, entry, id, out);
    else this.#putReturn(at, out);
  }

  /** Prints any other event as a comment, whose text is what `put` writes. */
  putComment(at: TracedCpu, put: () => void, out: TextOut): void {
    const depth = this.#stateOf(at.cpu)?.depth ?? 0;
    this.#putPrologue(at, undefined, true, out);
    this.#putBlank(out);
    if (depth > 0) out.putFill(32, (depth + 1) * 2);
    out.putText('/* ');
    put();
    if (out.bytes[out.length - 1] === 10) out.length--;
    // Behind one that had to be cut, nothing has room.
    if (out.length - this.#tools.context.startsAt + COMMENT_END.length <= MAX_LINE_BYTES) out.putText(COMMENT_END);
  }

  #putEntry(at: TracedCpu, fields: GraphFields, id: number, out: TextOut): void {
    const { record } = at;
    const call = this.#readCall(fields, record);
    const state = this.#stateOf(at.cpu);
    if (this.#isHiddenEntry(state, call)) return;
    const args =
      record.end - record.start - fields.sizeBytes >= ARGUMENTS * this.#tools.longBytes ? this.#readArguments(record, fields) : '()';
    const readRetaddr = this.#retaddrs.get(id);
    const retaddr = readRetaddr === undefined || !this.flags.retaddr ? undefined : { low: readRetaddr(record), high: record.high };
    this.#putPrologue(at, call, true, out);
    const leaf = this.#findLeaf(at, call);
    if (leaf !== undefined) {
      const duration = this.#readDuration?.(leaf) ?? 0;
      if (state !== undefined) {
        state.depth = call.depth - 1;
        if (call.depth < MAX_DEPTH) state.entered[call.depth] = undefined;
      }
      this.#putDuration(duration, out);
      out.putFill(32, call.depth * 2);
      this.#tools.symbols.putName(out, call.low, call.high);
      out.putText(`${args};`);
      this.#putLeafNotes(leaf, retaddr, out);
      out.putByte(10);
      at.skip();
      this.#putIrq(at, call, false, out);
      return;
    }
    if (state !== undefined) {
      state.depth = call.depth;
      if (call.depth < MAX_DEPTH) state.entered[call.depth] = keyOf(call);
    }
    this.#putBlank(out);
    out.putFill(32, call.depth * 2);
    this.#tools.symbols.putName(out, call.low, call.high);
    out.putText(`${args} {`);
    if (retaddr !== undefined) {
      out.putText(' /* <-');
      this.#tools.symbols.putWithOffset(out, retaddr.low, retaddr.high);
      out.putText(' */');
    }
    out.putByte(10);
  }

  #putLeafNotes(leaf: EventRecord, retaddr: { readonly low: number; readonly high: number } | undefined, out: TextOut): void {
    const withRetval = this.flags.retval && this.#readRetval !== undefined;
    if (!withRetval && retaddr === undefined) return;
    out.putText(' /*');
    if (retaddr !== undefined) {
      out.putText(' <-');
      this.#tools.symbols.putWithOffset(out, retaddr.low, retaddr.high);
    }
    if (withRetval) this.#putRetval(leaf, out);
    out.putText(' */');
  }

  #putRetval(exit: EventRecord, out: TextOut): void {
    const low = (this.#readRetval?.(exit) ?? 0) | 0;
    const { high } = exit;
    out.putText(this.#isOldRetval ? ' = ' : ' ret=');
    const isError = this.#errorOf(low, high);
    if (isError !== undefined && !this.flags.retvalHex) out.putDecimal(isError);
    else {
      out.putText('0x');
      out.putHexWords(low, high);
    }
  }

  /** −1 … −4095, in 64 bits or in the lower 32. */
  #errorOf(low: number, high: number): number | undefined {
    const isNegative = this.#tools.longBytes === 8 ? high === -1 || high === 0 : true;
    return isNegative && low < 0 && low >= -4095 ? low : undefined;
  }

  #putReturn(at: TracedCpu, out: TextOut): void {
    const fields = this.#exit;
    if (fields === undefined) return;
    const { record } = at;
    const call = this.#readCall(fields, record);
    const state = this.#stateOf(at.cpu);
    if (this.#isHiddenReturn(state, call)) return;
    let isMatched = true;
    if (state !== undefined) {
      state.depth = call.depth - 1;
      if (call.depth < MAX_DEPTH) {
        isMatched = state.entered[call.depth] === keyOf(call);
        state.entered[call.depth] = undefined;
      }
    }
    this.#putPrologue(at, undefined, true, out);
    this.#putDuration(this.#readDuration?.(record) ?? 0, out);
    out.putFill(32, call.depth * 2);
    const withRetval = this.flags.retval && this.#readRetval !== undefined;
    if (isMatched && !this.flags.tail && !withRetval) out.putByte(125);
    else {
      out.putText('} /* ');
      this.#tools.symbols.putName(out, call.low, call.high);
      if (withRetval) this.#putRetval(record, out);
      out.putText(' */');
    }
    out.putByte(10);
    if (this.flags.overrun) out.putText(` (Overruns: ${(this.#readOverrun?.(record) ?? 0) >>> 0})\n`);
    this.#putIrq(at, call, false, out);
  }

  /** The return of this very call, where it is the next record of its CPU. */
  #findLeaf(at: TracedCpu, call: Call): EventRecord | undefined {
    const next = at.peek()?.record;
    const { context } = this.#tools;
    if (next === undefined || this.#exit === undefined || this.#tools.idOf(next) !== this.#exit.id) return undefined;
    if (context.pidOf(next) !== context.pidOf(at.record)) return undefined;
    const low = this.#exit.func(next) | 0;
    return low === call.low && next.high === call.high ? next : undefined;
  }

  #isHiddenEntry(state: CpuState | undefined, call: Call): boolean {
    if (this.flags.irqs || state === undefined) return false;
    if (state.irqDepth >= 0) return true;
    if (!this.#isIrqText(call)) return false;
    state.irqDepth = call.depth;
    return true;
  }

  #isHiddenReturn(state: CpuState | undefined, call: Call): boolean {
    if (this.flags.irqs || state === undefined || state.irqDepth === -1) return false;
    if (state.irqDepth >= call.depth) state.irqDepth = -1;
    return true;
  }

  #putPrologue(at: TracedCpu, call: Call | undefined, isEntry: boolean, out: TextOut): void {
    const pid = this.#tools.context.pidOf(at.record);
    const state = this.#stateOf(at.cpu);
    if (state !== undefined && state.lastPid !== pid) {
      if (state.lastPid !== -1) this.#putSwitch(at.cpu, state.lastPid, pid, out);
      state.lastPid = pid;
    }
    if (call !== undefined) this.#putIrq(at, call, isEntry, out);
    this.#putColumns(at, pid, out);
  }

  #putColumns(at: TracedCpu, pid: number, out: TextOut): void {
    if (!this.#withContext) return;
    const { time, relative, cpu, task } = this.flags;
    if (time) this.#putTime(at, out);
    if (relative) {
      const mark = out.length;
      out.putDecimal(this.#tools.context.relativeUs(at));
      out.pad(mark, 9);
      out.putText(' us |  ');
    }
    if (cpu) this.#putCpu(at.cpu, out);
    if (task) {
      this.#putTask(pid, out);
      out.putText(' | ');
    }
    if (!this.#isLatency) return;
    out.putByte(32);
    this.#tools.context.putFlags(at.record, out);
    out.putText(' | ');
  }

  /** Seconds and µs, cut; of every clock as if it counted nanoseconds. */
  #putTime(at: TracedCpu, out: TextOut): void {
    const ns = (BigInt(at.high) << 32n) | BigInt(at.low);
    const us = ns / 1000n;
    out.putSeconds(Number(us / 1_000_000n), Number(us % 1_000_000n), 6, 5);
    out.putText(' |  ');
  }

  #putCpu(cpu: number, out: TextOut): void {
    out.putByte(32);
    const mark = out.length;
    out.putDecimal(cpu);
    out.pad(mark, this.#cpuWidth);
    out.putText(') ');
  }

  #putTask(pid: number, out: TextOut): void {
    const text = `${this.#tools.context.commOf(pid).slice(0, GRAPH_COMM_CHARS)}-${pid}`;
    const spaces = Math.max(0, TASK_WIDTH - text.length);
    const before = spaces >> 1;
    out.putFill(32, before);
    out.putText(text);
    out.putFill(32, spaces - before);
  }

  #putSwitch(cpu: number, from: number, to: number, out: TextOut): void {
    out.putText(' ------------------------------------------\n');
    this.#putCpu(cpu, out);
    this.#putTask(from, out);
    out.putText(' => ');
    this.#putTask(to, out);
    out.putText('\n ------------------------------------------\n\n');
  }

  #putIrq(at: TracedCpu, call: Call, isEntry: boolean, out: TextOut): void {
    if (!this.#isIrqText(call)) return;
    this.#putColumns(at, this.#tools.context.pidOf(at.record), out);
    const hasDuration = this.flags.duration && this.#withContext;
    if (hasDuration) out.putText('  ');
    out.putText(isEntry ? '==========>' : '<==========');
    if (hasDuration) out.putText(' |');
    out.putByte(10);
  }

  #isIrqText({ low, high }: Call): boolean {
    const { from, to } = (this.#irqText ??= this.#findIrqText());
    const address = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
    return address >= from && address < to;
  }

  /** Symbols are read when the first call is printed. */
  #findIrqText(): { readonly from: bigint; readonly to: bigint } {
    const { symbols } = this.#tools;
    return { from: symbols.addressOf('__irqentry_text_start') ?? 0n, to: symbols.addressOf('__irqentry_text_end') ?? 0n };
  }

  #putBlank(out: TextOut): void {
    if (this.flags.duration && this.#withContext) out.putText('              |  ');
  }

  #putDuration(ns: number, out: TextOut): void {
    if (!this.flags.duration || !this.#withContext) return;
    out.putText(this.flags.overhead ? `${findMark(ns)} ` : '  ');
    const us = Math.floor(ns / 1000);
    const whole = String(us);
    let { length } = whole;
    out.putText(whole);
    if (length < 7) {
      // As many digits of the fraction as make seven with the rest.
      const fraction = String(ns - us * 1000)
        .padStart(3, '0')
        .slice(0, Math.min(4, 7 - length));
      out.putText(`.${fraction}`);
      length += fraction.length + 1;
    }
    out.putText(' us ');
    out.putFill(32, 8 - length);
    out.putText('|  ');
  }

  #readArguments(record: EventRecord, fields: GraphFields): string {
    const values: string[] = [];
    const { longBytes } = this.#tools;
    for (let i = 0; i < ARGUMENTS; i++) {
      const at = record.start + fields.sizeBytes + i * longBytes;
      const value = longBytes === 8 ? record.view.getBigUint64(at, record.little) : BigInt(record.view.getUint32(at, record.little));
      values.push(`0x${value.toString(16)}`);
    }
    return `(${values.join(', ')})`;
  }

  #readCall(fields: GraphFields, record: EventRecord): Call {
    const low = fields.func(record) | 0;
    const { high } = record;
    return { low, high, depth: Math.min(MOST_SHOWN_DEPTH, Math.max(0, fields.depth(record) | 0)) };
  }

  #stateOf(cpu: number): CpuState | undefined {
    if (this.#isStateless) return undefined;
    let state = this.#cpus.get(cpu);
    if (state === undefined) {
      state = { lastPid: -1, depth: 0, irqDepth: -1, entered: [] };
      this.#cpus.set(cpu, state);
    }
    return state;
  }

  #readFields(format: EventFormat): GraphFields | undefined {
    const of = this.#tools.toArithmetic(format);
    const func = readField('func', of);
    const depth = readField('depth', of);
    if (func === undefined || depth === undefined) return undefined;
    const fields = format.fields.filter(({ sizeBytes }) => sizeBytes > 0);
    const end = fields.reduce((most, field) => Math.max(most, field.offsetBytes + field.sizeBytes), 0);
    const flexible = format.fields.find(({ shape }) => shape === 'flexible');
    return { id: format.id, of, func, depth, sizeBytes: flexible?.offsetBytes ?? end };
  }

  #compileDuration(of: Arithmetic): ((record: EventRecord) => number) | undefined {
    const [from, to] = [readField('calltime', of), readField('rettime', of)];
    if (from === undefined || to === undefined) return undefined;
    return (record) => {
      const lowTo = to(record) >>> 0;
      const highTo = record.high;
      const lowFrom = from(record) >>> 0;
      return (highTo - record.high) * 0x1_0000_0000 + (lowTo - lowFrom);
    };
  }
}

function keyOf({ low, high }: Call): string {
  return `${high}:${low}`;
}
