/**
 * The tracer's own events as trace-cmd prints them.
 *
 *   function            "      vfs_read"        indented by what called what on this CPU
 *   func_repeats        vfs_read (count: 12  last_ts: 13432.829484)
 *   funcgraph_entry     "  1.234 us    |    mutex_lock();"  or  "             |    vfs_read() {"
 *   funcgraph_exit      "+ 12.345 us   |  }"
 *   kernel_stack        <stack trace >, then => symbol (address) on lines of their own
 *   raw_data            # 2a 01 02 03
 *
 * Source: libtraceevent 1.7 plugins/plugin_function.c, trace-cmd 3.1 lib/trace-cmd/trace-ftrace.c.
 */
import { TWO_POW_32 } from '../base/int64.ts';
import type { EventFormat } from '../parsers/event-format.ts';
import type { Kallsyms } from './kallsyms.ts';
import type { CursorMerge } from './page-cursor.ts';
import { compileFieldRegion, type Arithmetic, type EventRecord } from './print-fmt-numbers.ts';
import { fieldReader, type FieldReader, type ReportHandler, type ReportTools } from './report-handler.ts';
import type { TextOut } from './text-out.ts';

/** Blanks per depth of calls. */
const FUNCTION_INDENT = 3;
const GRAPH_INDENT = 2;
/** Deeper, the indent would be all there is. */
const MAX_DEPTH = 256;

export interface FunctionTools extends ReportTools {
  /** Repeated calls are among the others. */
  readonly calls: CallStacks;
  /** Records in their order, to look at the one that follows. */
  readonly merge: () => CursorMerge | undefined;
  /** Are two sources of records CPUs of one instance? */
  readonly isSameBuffer: (source: number, other: number) => boolean;
  /** Prints a time as lines show it. */
  readonly putTime: (out: TextOut, low: number, high: number) => void;
  /** The format of `ftrace:funcgraph_exit`, and how to compute with it. */
  readonly graphExit: Arithmetic | undefined;
}

export function compileFunctionEvent(format: EventFormat, of: Arithmetic, tools: FunctionTools): ReportHandler | undefined {
  if (format.system !== 'ftrace') return undefined;
  switch (format.event) {
    case 'function':
      return functionHandler(of, tools);
    case 'func_repeats':
      return repeatsHandler(of, tools);
    case 'funcgraph_entry':
      return graphEntryHandler(of, tools);
    case 'funcgraph_exit':
      return graphExitHandler(of);
    case 'kernel_stack':
      return stackHandler(format, of, tools);
    case 'raw_data':
      return rawDataHandler(format, of, tools);
    default:
      return undefined;
  }
}

/** The calls on each CPU, from the outermost inwards: their names. */
export type CallState = readonly (readonly [cpu: number, names: readonly string[]])[];

/** Which function called which on each CPU, as far as parents tell. */
export class CallStacks {
  readonly #symbols: Kallsyms;
  /** Numbers of names. */
  #stacks: (number[] | undefined)[] = [];

  constructor(symbols: Kallsyms) {
    this.#symbols = symbols;
  }

  /** What lines behind go on from. */
  get state(): CallState {
    return this.#stacks.flatMap((stack, cpu) => (stack === undefined ? [] : [[cpu, stack.map((id) => this.#symbols.nameOf(id))] as const]));
  }

  set state(state: CallState) {
    this.#stacks = [];
    for (const [cpu, names] of state) this.#stacks[cpu] = names.map((name) => this.#symbols.idOf(name));
  }

  /** Notes the call and returns its depth. */
  note(cpu: number, parent: number, child: number | undefined): number {
    const stack = (this.#stacks[cpu] ??= []);
    const at = stack.indexOf(parent);
    if (at < 0) stack[0] = parent;
    const depth = Math.max(0, at);
    if (child !== undefined && depth < MAX_DEPTH) stack[depth + 1] = child;
    return depth;
  }
}

function functionHandler(of: Arithmetic, { symbols, calls }: FunctionTools): ReportHandler | undefined {
  const readIp = fieldReader('ip', of);
  const readParent = fieldReader('parent_ip', of);
  if (readIp === undefined || readParent === undefined) return undefined;
  return ({ record, cpu }, out) => {
    const low = readIp(record);
    const { high } = record;
    const called = symbols.find(low, high);
    const parent = symbols.find(readParent(record), record.high);
    if (parent !== undefined) out.putFill(32, calls.note(cpu, parent.nameId, called?.nameId) * FUNCTION_INDENT);
    if (called === undefined) putHex(out, low, high);
    else out.putPiece(called.piece);
    return false;
  };
}

function repeatsHandler(of: Arithmetic, tools: FunctionTools): ReportHandler | undefined {
  const putFunction = functionHandler(of, tools);
  const readCount = fieldReader('count', of);
  const readTop = fieldReader('top_delta_ts', of);
  const readBottom = fieldReader('bottom_delta_ts', of);
  if (putFunction === undefined || readCount === undefined || readTop === undefined || readBottom === undefined) return undefined;
  return (cursor, out) => {
    const { record } = cursor;
    putFunction(cursor, out);
    out.putText(' (count: ');
    out.putDecimalWords(readCount(record), record.high, true);
    out.putText('  last_ts: ');
    const bottom = readBottom(record) >>> 0;
    const low = cursor.low - bottom;
    tools.putTime(out, low >>> 0, (cursor.high - readTop(record) - (low < 0 ? 1 : 0)) >>> 0);
    out.putByte(41);
    return false;
  };
}

function putHex(out: TextOut, low: number, high: number): void {
  out.putText('0x');
  out.putHexWords(low, high);
}

/** Nanoseconds between two fields of the exit of a function. */
function durationReader(of: Arithmetic): ((record: EventRecord) => number) | undefined {
  const readStart = fieldReader('calltime', of);
  const readEnd = fieldReader('rettime', of);
  if (readStart === undefined || readEnd === undefined) return undefined;
  return (record) => {
    const low = readEnd(record) >>> 0;
    const high = record.high >>> 0;
    const startLow = readStart(record) >>> 0;
    return (high - (record.high >>> 0)) * TWO_POW_32 + (low - startLow);
  };
}

const OVERHEADS: readonly (readonly [number, string])[] = [
  [1e9, '$ '],
  [1e6, '# '],
  [1e5, '! '],
  [1e4, '+ '],
];

function putDuration(out: TextOut, durationNs: number): void {
  out.putText(OVERHEADS.find(([least]) => durationNs > least)?.[1] ?? '  ');
  const mark = out.length;
  const micros = Math.floor(durationNs / 1000);
  out.putDecimal(micros);
  if (out.length - mark < 7) {
    out.putByte(46);
    out.putPaddedDecimal(durationNs - micros * 1000, 3);
  }
  const written = out.length - mark;
  out.putText(' us ');
  out.putFill(32, 7 - written);
  out.putText('|  ');
}

function graphEntryHandler(of: Arithmetic, tools: FunctionTools): ReportHandler | undefined {
  const { symbols, graphExit, notePast } = tools;
  const readFunction = fieldReader('func', of);
  const readDepth = fieldReader('depth', of);
  const readExitFunction = graphExit === undefined ? undefined : fieldReader('func', graphExit);
  const readDuration = graphExit === undefined ? undefined : durationReader(graphExit);
  if (readFunction === undefined || readDepth === undefined || graphExit === undefined) return undefined;
  /** The exit of the function entered: the very next record of the buffer, which then has no line of its own. */
  const takeLeaf = (low: number, high: number, pid: number, source: number): number | undefined => {
    const merge = tools.merge();
    const next = merge?.peek((cursor) => tools.isSameBuffer(cursor.source, source));
    if (merge === undefined || next === undefined) {
      // Where a window ends, the exit may stand in the next one.
      notePast();
      return undefined;
    }
    const { record } = next;
    const isExit = record.view.getUint16(record.start, record.little) === graphExit.format.id && readPid(graphExit, record) === pid;
    if (!isExit || readExitFunction?.(record) !== low || record.high !== high) return undefined;
    const duration = readDuration?.(record) ?? 0;
    merge.skip(next);
    return duration;
  };
  return ({ record, source }, out) => {
    const low = readFunction(record);
    const { high } = record;
    const depth = Math.min(MAX_DEPTH, Math.max(0, readDepth(record)));
    const duration = takeLeaf(low, high, readPid(of, record), source);
    if (duration === undefined) out.putText('             |  ');
    else putDuration(out, duration);
    out.putFill(32, depth * GRAPH_INDENT);
    const symbol = symbols.find(low, high);
    if (symbol === undefined) out.putHexWords(low, high);
    else out.putPiece(symbol.piece);
    out.putText(duration === undefined ? '() {' : '();');
    return false;
  };
}

function readPid({ format }: Arithmetic, { view, start, little }: EventRecord): number {
  const offset = format.common.find(({ name }) => name === 'common_pid')?.offsetBytes ?? 4;
  return view.getInt32(start + offset, little);
}

function graphExitHandler(of: Arithmetic): ReportHandler | undefined {
  const readDuration = durationReader(of);
  const readDepth = fieldReader('depth', of);
  if (readDuration === undefined || readDepth === undefined) return undefined;
  return ({ record }, out) => {
    putDuration(out, readDuration(record));
    out.putFill(32, Math.min(MAX_DEPTH, Math.max(0, readDepth(record))) * GRAPH_INDENT);
    out.putByte(125);
    return false;
  };
}

function stackHandler(format: EventFormat, of: Arithmetic, { symbols, longBytes }: FunctionTools): ReportHandler | undefined {
  const caller = format.fields.find(({ name }) => name === 'caller');
  if (caller === undefined) return undefined;
  const offset = caller.shape === 'data_loc' ? undefined : caller.offsetBytes;
  const { locate } = compileFieldRegion(caller, of);
  return ({ record }, out) => {
    out.putText('<stack trace >\n');
    const found = locate(record);
    const from = offset === undefined ? (found ? record.from : record.end) : record.start + offset;
    const to = offset === undefined ? record.to : record.end;
    for (let at = from; at + longBytes <= to; at += longBytes) {
      const low = readWord(record, at, longBytes, 0);
      const high = longBytes === 8 ? readWord(record, at, longBytes, 1) : 0;
      if (low === -1) break;
      const symbol = symbols.find(low, high);
      out.putText('=> ');
      if (symbol !== undefined) out.putText(`${symbol.name} (`);
      out.putHexWords(low, high);
      out.putText(symbol === undefined ? '\n' : ')\n');
    }
    return false;
  };
}

function readWord({ view, little }: EventRecord, at: number, longBytes: 4 | 8, word: 0 | 1): number {
  const offset = longBytes === 4 ? 0 : (word === 0) === little ? 0 : 4;
  return view.getInt32(at + offset, little);
}

function rawDataHandler(format: EventFormat, of: Arithmetic, _tools: FunctionTools): ReportHandler | undefined {
  const readId: FieldReader | undefined = fieldReader('id', of);
  const buffer = format.fields.find(({ name }) => name === 'buf');
  if (readId === undefined || buffer === undefined) return undefined;
  return ({ record }, out) => {
    out.putText('# ');
    out.putHexWords(readId(record), record.high);
    for (let at = record.start + buffer.offsetBytes; at < record.end; at++) {
      out.putByte(32);
      out.putHexByte(record.bytes[at] as number);
    }
    return false;
  };
}
