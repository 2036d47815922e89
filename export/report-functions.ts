/**
 * The tracer's own events as trace-cmd prints them.
 *
 *   function            "      vfs_read"        indented by what called what on this CPU
 *   func_repeats        vfs_read (count: 12  last_ts: 13432.829484)
 *   funcgraph_…         report-graph.ts
 *   kernel_stack        <stack trace >, then => symbol (address) on lines of their own
 *   raw_data            # 2a 01 02 03
 *
 * Source: libtraceevent 1.7 plugins/plugin_function.c, trace-cmd 3.1 lib/trace-cmd/trace-ftrace.c.
 */
import type { EventFormat } from '../parsers/event-format.ts';
import type { Kallsyms } from './kallsyms.ts';
import { compileFieldRegion, type Arithmetic, type EventRecord } from './print-fmt-numbers.ts';
import { graphEntryHandler, graphExitHandler, MAX_DEPTH, type GraphTools } from './report-graph.ts';
import { fieldReader, type FieldReader, type ReportHandler } from './report-handler.ts';
import type { TextOut } from './text-out.ts';

/** Blanks per depth of calls. */
const FUNCTION_INDENT = 3;

export interface FunctionTools extends GraphTools {
  /** Repeated calls are among the others. */
  readonly calls: CallStacks;
  /** Prints a time as lines show it. */
  readonly putTime: (out: TextOut, low: number, high: number) => void;
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
