/**
 * Calls and their ends of the function_graph tracer as trace-cmd prints them:
 *
 *   funcgraph_entry     "             |    vfs_read() {"   or, where the next record of the buffer is its end, which then has no line,
 *                       "  1.234 us    |    mutex_lock();"
 *   funcgraph_exit      "+ 12.345 us   |  }"
 *
 * Source: libtraceevent 1.7, trace-cmd 3.1 lib/trace-cmd/trace-ftrace.c.
 */
import { TWO_POW_32 } from '../base/int64.ts';
import type { EventFormat } from '../parsers/event-format.ts';
import type { Kallsyms } from './kallsyms.ts';
import type { CursorMerge } from './page-cursor.ts';
import type { Arithmetic, EventRecord, Load } from './print-fmt-numbers.ts';
import { fieldReader, type ReportHandler, type ReportTools } from './report-handler.ts';
import type { TextOut } from './text-out.ts';

/** Blanks per depth of calls. */
export const GRAPH_INDENT = 2;
/** Deeper, the indent would be all there is. */
export const MAX_DEPTH = 256;
/** In place of a duration. */
export const NO_DURATION = '             |  ';
/** In front of durations of more ns, the longest first. */
export const OVERHEADS: readonly (readonly [number, string])[] = [
  [1e9, '$ '],
  [1e6, '# '],
  [1e5, '! '],
  [1e4, '+ '],
];
export const NO_OVERHEAD = '  ';
/** µs with three digits behind the dot, unless they have so many themselves. */
export const DURATION_WIDTH = 7;

export interface GraphTools extends ReportTools {
  /** Records in their order, to look at the one that follows. */
  readonly merge: () => CursorMerge | undefined;
  /** Are two sources of records CPUs of one instance? */
  readonly isSameBuffer: (source: number, other: number) => boolean;
  /** The format of `ftrace:funcgraph_exit`, and how to compute with it. */
  readonly graphExit: Arithmetic | undefined;
}

/** How calls and their ends lie in records, for who prints them without these handlers. */
export interface GraphShape {
  readonly entryId: number;
  readonly exitId: number;
  readonly entry: { readonly func: Load; readonly depth: Load };
  readonly exit: { readonly func: Load; readonly depth: Load; readonly calltime: Load; readonly rettime: Load };
}

/** undefined where they do not lie as those of kernels of 64 bits do. */
export function toGraphShape(
  entryId: number,
  entry: EventFormat | undefined,
  exitId: number,
  exit: EventFormat | undefined,
): GraphShape | undefined {
  if (entry === undefined || exit === undefined) return undefined;
  const called = loadOf(entry, 'func', 8);
  const depth = loadOf(entry, 'depth', 4);
  const func = loadOf(exit, 'func', 8);
  const exitDepth = loadOf(exit, 'depth', 4);
  const calltime = loadOf(exit, 'calltime', 8);
  const rettime = loadOf(exit, 'rettime', 8);
  if (called === undefined || depth === undefined || func === undefined || exitDepth === undefined) return undefined;
  if (calltime === undefined || rettime === undefined) return undefined;
  return { entryId, exitId, entry: { func: called, depth }, exit: { func, depth: exitDepth, calltime, rettime } };
}

function loadOf({ fields }: EventFormat, name: string, bytes: number): Load | undefined {
  const field = fields.find((one) => one.name === name);
  if (field?.shape !== 'scalar' || field.sizeBytes !== bytes) return undefined;
  const { offsetBytes, sizeBytes, signed } = field;
  return { at: offsetBytes, sizeBytes, signed, least: offsetBytes + sizeBytes };
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

function putDuration(out: TextOut, durationNs: number): void {
  out.putText(OVERHEADS.find(([least]) => durationNs > least)?.[1] ?? NO_OVERHEAD);
  const mark = out.length;
  const micros = Math.floor(durationNs / 1000);
  out.putDecimal(micros);
  if (out.length - mark < DURATION_WIDTH) {
    out.putByte(46);
    out.putPaddedDecimal(durationNs - micros * 1000, 3);
  }
  const written = out.length - mark;
  out.putText(' us ');
  out.putFill(32, DURATION_WIDTH - written);
  out.putText('|  ');
}

function putIndent(out: TextOut, depth: number): void {
  out.putFill(32, Math.min(MAX_DEPTH, Math.max(0, depth)) * GRAPH_INDENT);
}

/** The name of a function, or its address without 0x. */
export function putCallee(out: TextOut, symbols: Kallsyms, low: number, high: number): void {
  const symbol = symbols.find(low, high);
  if (symbol === undefined) out.putHexWords(low, high);
  else out.putPiece(symbol.piece);
}

export function graphEntryHandler(of: Arithmetic, tools: GraphTools): ReportHandler | undefined {
  const { symbols, graphExit } = tools;
  const readFunction = fieldReader('func', of);
  const readDepth = fieldReader('depth', of);
  const readExitFunction = graphExit === undefined ? undefined : fieldReader('func', graphExit);
  const readDuration = graphExit === undefined ? undefined : durationReader(graphExit);
  if (readFunction === undefined || readDepth === undefined || graphExit === undefined) return undefined;
  const readPid = pidReader(of);
  const readExitPid = pidReader(graphExit);
  /** The exit of the function entered: the very next record of the buffer, which then has no line of its own. */
  const takeLeaf = (low: number, high: number, pid: number, source: number): number | undefined => {
    const merge = tools.merge();
    const next = merge?.peek((cursor) => tools.isSameBuffer(cursor.source, source));
    if (merge === undefined || next === undefined) return undefined;
    const { record } = next;
    const isExit = record.view.getUint16(record.start, record.little) === graphExit.format.id && readExitPid(record) === pid;
    if (!isExit || readExitFunction?.(record) !== low || record.high !== high) return undefined;
    const duration = readDuration?.(record) ?? 0;
    merge.skip(next);
    return duration;
  };
  return ({ record, source }, out) => {
    const low = readFunction(record);
    const { high } = record;
    const depth = readDepth(record);
    const duration = takeLeaf(low, high, readPid(record), source);
    if (duration === undefined) out.putText(NO_DURATION);
    else putDuration(out, duration);
    putIndent(out, depth);
    putCallee(out, symbols, low, high);
    out.putText(duration === undefined ? '() {' : '();');
    return false;
  };
}

/** The thread; 0 in a record that is too short to have one. */
function pidReader({ format }: Arithmetic): (record: EventRecord) => number {
  const offset = format.common.find(({ name }) => name === 'common_pid')?.offsetBytes ?? 4;
  return ({ view, start, end, little }) => (start + offset + 4 <= end ? view.getInt32(start + offset, little) : 0);
}

export function graphExitHandler(of: Arithmetic): ReportHandler | undefined {
  const readDuration = durationReader(of);
  const readDepth = fieldReader('depth', of);
  if (readDuration === undefined || readDepth === undefined) return undefined;
  return ({ record }, out) => {
    putDuration(out, readDuration(record));
    putIndent(out, readDepth(record));
    out.putByte(125);
    return false;
  };
}
