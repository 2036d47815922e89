/**
 * What a print format shows through `%s`: strings in the record, strings by their address, and the helpers that make text.
 *
 *   __get_str(f)                              bytes up to a NUL
 *   __print_flags(v, "|", { 1, "A" }, …)      A|B|0x40: what no name takes, in hexadecimal
 *   __print_symbolic(v, { 1, "A" }, …)        A, or 0x7
 *   __print_hex(p, n) __print_hex_str(p, n)   0a ff; 0aff
 *   __print_array(p, n, size)                 {0x1,0xff}
 *   __print_ns_to_secs(v) …without_secs(v)    the quotient and the rest by 10^9: numbers
 *   __get_bitmask(f) __get_cpumask(f)         ff,ffffffff; 0-7
 *   __get_stacktrace(f)                       STACK:, and a line for each address: => schedule+0x27/0xc0
 *
 * Kernel: kernel/trace/trace_output.c (trace_print_flags_seq …), include/trace/stages/stage3_trace_output.h.
 */
import { putSymbol } from './kallsyms.ts';
import type { Conversion } from './print-fmt-conversions.ts';
import {
  compileNumber,
  compileRegion,
  findField,
  NotComputable,
  toTest,
  toWide,
  type Arithmetic,
  EventRecord,
  type NumberCode,
} from './print-fmt-numbers.ts';
import { compileKernelText } from './print-fmt-kernel.ts';
import { compileNvmeText } from './print-fmt-nvme.ts';
import { compileLibraryText } from './print-fmt-plugins.ts';
import { compileScsiCommand } from './print-fmt-scsi.ts';
import { putBitmap, putBitmapList } from './print-fmt-pointers.ts';
import type { Expr } from './print-fmt-syntax.ts';
import type { PrintContext } from './print-fmt.ts';
import { toPiece, type TextOut } from './text-out.ts';

export type Put = (record: EventRecord, out: TextOut) => void;

export interface StringPlace {
  readonly conversion: Conversion;
  readonly width: NumberCode['read'];
  readonly precision: NumberCode['read'];
}

/** A value and its name. */
interface Pair {
  readonly low: number;
  readonly high: number;
  readonly put: Put;
  readonly known: boolean;
  readonly name: string;
}

/** Of names that a note tells: they are whatever the file says. */
const MAX_NAMES_CHARS = 160;
/** More elements than a record can hold. */
const MAX_ELEMENTS = 1 << 16;

/** Compiles an argument of `%s`, with its width and precision. */
export function compileString(expr: Expr, place: StringPlace, context: PrintContext, of: Arithmetic): Put {
  const { conversion, width, precision } = place;
  const isPlain = conversion.width === -1 && conversion.precision === -1;
  const finish = (put: Put): Put => {
    if (isPlain) return put;
    return (record, out) => {
      const mark = out.length;
      put(record, out);
      const most = precision(record);
      if (most >= 0 && out.length - mark > most) out.length = mark + most;
      out.pad(mark, width(record), conversion.left);
    };
  };
  const compiler = new StringCompiler(context, of, finish);
  // The C library's width counts for each name that __print_flags finds, as libtraceevent prints one by one.
  return context.dialect === 'kernel' ? finish(compiler.compile(expr)) : compiler.compile(expr);
}

class StringCompiler {
  readonly #context: PrintContext;
  readonly #of: Arithmetic;
  /** Applies the conversion to one string: only in trace-cmd's dialect, where each piece is printed by itself. */
  readonly #piece: (put: Put) => Put;

  constructor(context: PrintContext, of: Arithmetic, finish: (put: Put) => Put) {
    this.#context = context;
    this.#of = of;
    this.#piece = context.dialect === 'kernel' ? (put) => put : finish;
  }

  compile(expr: Expr): Put {
    switch (expr.kind) {
      case 'string':
        return this.#compileLiteral(expr.text);
      case 'conditional': {
        const test = toTest(compileNumber(expr.test, this.#of));
        const [yes, no] = [this.compile(expr.yes), this.compile(expr.no)];
        return (record, out) => (test(record) ? yes(record, out) : no(record, out));
      }
      case 'field':
        return this.#compileField(expr.name);
      case 'cast':
        if (this.#context.dialect === 'trace-cmd') return () => undefined;
        if (isNull(expr)) return (_record, out) => out.putText('(null)');
        return this.#compileRegion(expr);
      case 'call':
        return this.#compileCall(expr.name, expr.args);
      default:
        return this.#compileRegion(expr);
    }
  }

  #compileLiteral(text: string): Put {
    const shown = this.#context.dialect === 'kernel' ? unescape(text) : text;
    const piece = toPiece(shown);
    return this.#piece((_record, out) => out.putPiece(piece));
  }

  #compileRegion(expr: Expr): Put {
    if (this.#context.dialect === 'trace-cmd' && expr.kind !== 'field') return () => undefined;
    const { locate } = compileRegion(expr, this.#of);
    return this.#piece((record, out) => {
      if (locate(record)) out.putString(record.bytes, record.from, record.to);
    });
  }

  /** Characters in the record, or a pointer to text of the kernel that `printk_formats` may list. */
  #compileField(name: string): Put {
    const field = findField(name, this.#of);
    if (field.shape !== 'scalar' || field.sizeBytes !== this.#context.longBytes) {
      return this.#compileRegion({ kind: 'field', name });
    }
    const read = toWide(compileNumber({ kind: 'field', name }, this.#of));
    const { strings } = this.#context;
    const put: Put = (record, out) => {
      const low = read(record) >>> 0;
      const high = record.high >>> 0;
      const known = strings.size === 0 ? undefined : strings.get(toAddress(low, high));
      if (known === undefined) out.putHexWords(low | 0, high | 0);
      else out.putText(known);
    };
    return put;
  }

  #compileCall(name: string, args: readonly Expr[]): Put {
    switch (name) {
      case '__get_str':
      case '__get_rel_str':
        return this.#compileText(name, args);
      case '__print_flags':
      case '__print_flags_u64':
        return this.#compileFlags(args);
      case '__print_symbolic':
      case '__print_symbolic_u64':
        return this.#compileSymbolic(args);
      case '__print_hex':
      case '__print_hex_str':
        return this.#compileHex(name === '__print_hex' ? 32 : -1, args);
      case '__print_array':
        return this.#compileArray(args);
      case '__print_dynamic_array':
        return this.#compileDynamicArray(args);
      case '__get_bitmask':
      case '__get_rel_bitmask':
        return this.#compileMask(name, args, false);
      case '__get_cpumask':
      case '__get_rel_cpumask':
        return this.#compileMask(name, args, true);
      case '__get_stacktrace':
        return this.#compileStack(args);
      default: {
        const compile = this.#context.dialect === 'trace-cmd' ? compileLibraryText : compileDriverText;
        const library = compile(name, args, this.#of);
        if (library !== undefined) return library;
        if (!name.startsWith('__get_')) throw new NotComputable(`nothing says what ${name}() does`);
        return this.#compileRegion({ kind: 'call', name, args });
      }
    }
  }

  #compileText(name: string, args: readonly Expr[]): Put {
    const { locate } = compileRegion({ kind: 'call', name, args }, this.#of);
    const isKernel = this.#context.dialect === 'kernel';
    const put = this.#piece((record, out) => out.putString(record.bytes, record.from, record.to));
    // libtraceevent prints nothing, not even a width, for a string without bytes.
    return (record, out) => {
      if (locate(record) && (isKernel || record.to > record.from)) put(record, out);
    };
  }

  /** Of a synthetic event: how many, and the addresses. */
  #compileStack(args: readonly Expr[]): Put {
    if (this.#context.dialect === 'trace-cmd') throw new NotComputable('libtraceevent does not know __get_stacktrace()');
    const { locate } = compileRegion({ kind: 'call', name: '__get_dynamic_array', args }, this.#of);
    const { longBytes, symbols } = this.#context;
    return (record, out) => {
      out.putText('STACK:\n');
      if (!locate(record)) return;
      const { view, little, to } = record;
      for (let at = record.from + longBytes; at + longBytes <= to; at += longBytes) {
        const low = view.getInt32(longBytes === 8 && !little ? at + 4 : at, little);
        const high = longBytes === 8 ? view.getInt32(little ? at + 4 : at, little) : 0;
        out.putText('=> ');
        putSymbol(out, symbols, low, high, true);
        out.putByte(10);
      }
    };
  }

  #readPairs(lists: readonly Expr[]): Pair[] {
    // { 0, NULL } ends a list.
    const end = lists.findIndex((list) => list.kind === 'list' && list.items[1] !== undefined && isNull(list.items[1]));
    return (end < 0 ? lists : lists.slice(0, end)).map((list) => {
      const [value, text] = list.kind === 'list' ? list.items : [];
      if (value === undefined || text?.kind !== 'string') throw new NotComputable('a list that is no pair of value and name');
      const put = this.#compileLiteral(text.text);
      const constant = value.kind === 'name' ? this.#of.constants.get(value.name) : constantOf(value, this.#of);
      // A name that nobody knows is -1 to libtraceevent, as is every number that it has computed and that is below 0; no value to the kernel's dialect.
      const isMinus = this.#context.dialect === 'trace-cmd' && value.kind !== 'number' && (constant ?? 0n) < 0n;
      const bits = constant === undefined || isMinus ? -1n : constant;
      return {
        low: Number(BigInt.asIntN(32, bits)),
        high: Number(BigInt.asIntN(32, bits >> 32n)),
        put,
        known: constant !== undefined,
        name: text.text,
      };
    });
  }

  /** For where none of the pairs is the value: one that is not known may be it. */
  #noteUnknown(pairs: readonly Pair[]): () => void {
    const { noteNumber } = this.#context;
    const unknown = pairs.filter(({ known }) => !known);
    if (unknown.length === 0 || noteNumber === undefined) return () => {};
    const { event } = this.#of.format;
    const names = unknown
      .map(({ name }) => name)
      .join(', ')
      .slice(0, MAX_NAMES_CHARS);
    return () => noteNumber(event, names);
  }

  #compileFlags([value, delimiter, ...lists]: readonly Expr[]): Put {
    if (value === undefined || delimiter?.kind !== 'string') throw new NotComputable('__print_flags without its arguments');
    const read = toWide(compileNumber(value, this.#of));
    const pairs = this.#readPairs(lists);
    const isKernel = this.#context.dialect === 'kernel';
    const note = this.#noteUnknown(pairs);
    const between = isKernel ? unescape(delimiter.text) : delimiter.text;
    return (record, out) => {
      let low = read(record);
      let { high } = record;
      let isFirst = true;
      for (const pair of pairs) {
        if (isKernel && (low | high) === 0) break;
        if (!isKernel && (low | high) === 0 && pair.high < 0) {
          pair.put(record, out);
          break;
        }
        if ((low & pair.low) !== pair.low || (high & pair.high) !== pair.high) continue;
        if (!isKernel && (pair.high < 0 || (pair.low | pair.high) === 0)) continue;
        if (isKernel && !pair.known) continue;
        if (!isFirst) out.putText(between);
        isFirst = false;
        pair.put(record, out);
        low &= ~pair.low;
        high &= ~pair.high;
      }
      if ((low | high) === 0) return;
      if (!isFirst) out.putText(between);
      note();
      putHex(out, low, high);
    };
  }

  #compileSymbolic([value, ...lists]: readonly Expr[]): Put {
    if (value === undefined) throw new NotComputable('__print_symbolic without its arguments');
    const code = compileNumber(value, this.#of);
    const read = toWide(code);
    const pairs = this.#readPairs(lists);
    const isKernel = this.#context.dialect === 'kernel';
    const note = this.#noteUnknown(pairs);
    return (record, out) => {
      const low = read(record);
      const { high } = record;
      for (let i = 0; i < pairs.length; i++) {
        const pair = pairs[i] as (typeof pairs)[number];
        if (pair.low !== low || pair.high !== high || (isKernel && !pair.known)) continue;
        pair.put(record, out);
        return;
      }
      note();
      putHex(out, low, high);
    };
  }

  #compileHex(separator: number, [region, count]: readonly Expr[]): Put {
    if (region === undefined || count === undefined) throw new NotComputable('__print_hex without its arguments');
    const { locate } = compileRegion(region, this.#of);
    const { read } = compileNumber(count, this.#of);
    return (record, out) => {
      const bytes = read(record);
      if (!locate(record)) return;
      const to = Math.min(record.end, record.from + Math.max(0, bytes));
      for (let at = record.from; at < to; at++) {
        if (at > record.from && separator >= 0) out.putByte(separator);
        out.putHexByte(record.bytes[at] as number);
      }
    };
  }

  #compileArray([region, count, size]: readonly Expr[]): Put {
    if (region === undefined || count === undefined || size === undefined) throw new NotComputable('__print_array without its arguments');
    const { locate } = compileRegion(region, this.#of);
    const { read } = compileNumber(count, this.#of);
    const { read: readSize } = compileNumber(size, this.#of);
    if (this.#context.dialect === 'trace-cmd') {
      return (record, out) => {
        const elements = read(record);
        const elementBytes = readSize(record);
        if (locate(record)) putLibraryArray(out, record, elements, elementBytes);
      };
    }
    return (record, out) => {
      const elements = read(record);
      const elementBytes = readSize(record);
      if (locate(record)) putArray(out, record, Math.min(MAX_ELEMENTS, elements), elementBytes);
      else out.putText('{}');
    };
  }

  #compileDynamicArray([name, size]: readonly Expr[]): Put {
    if (name === undefined || size === undefined) throw new NotComputable('__print_dynamic_array without its arguments');
    const { locate } = compileRegion({ kind: 'call', name: '__get_dynamic_array', args: [name] }, this.#of);
    const { read } = compileNumber(size, this.#of);
    return (record, out) => {
      const elementBytes = read(record);
      if (locate(record) && elementBytes > 0) putArray(out, record, Math.floor((record.to - record.from) / elementBytes), elementBytes);
      else out.putText('{}');
    };
  }

  #compileMask(name: string, args: readonly Expr[], isList: boolean): Put {
    const { locate } = compileRegion({ kind: 'call', name, args }, this.#of);
    const put = isList ? putBitmapList : putBitmap;
    const { longBytes } = this.#context;
    return this.#piece((record, out) => {
      if (locate(record)) put(out, record.view, record.from, record.to, record.little, longBytes);
    });
  }
}

function isNull(expr: Expr): boolean {
  return expr.kind === 'cast' ? isNull(expr.of) : expr.kind === 'number' && expr.value === 0n;
}

/** `{0x1,0xff}`: elements of 1, 2, 4 or 8 bytes, as many as lie in the record. */
function putArray(out: TextOut, record: EventRecord, count: number, elementBytes: number): void {
  const { view, little, from, end } = record;
  out.putByte(123);
  for (let i = 0, at = from; i < count && at + elementBytes <= end; i++, at += elementBytes) {
    if (i > 0) out.putByte(44);
    if (elementBytes === 8) putHex(out, view.getInt32(little ? at : at + 4, little), view.getInt32(little ? at + 4 : at, little));
    else if (elementBytes === 4) putHex(out, view.getInt32(at, little), 0);
    else if (elementBytes === 2) putHex(out, view.getUint16(at, little), 0);
    else putHex(out, view.getUint8(at), 0);
    if (elementBytes <= 0) break;
  }
  out.putByte(125);
}

/** `1 255`: as libtraceevent prints them, which takes a size that it does not know for 1 and says so. */
function putLibraryArray(out: TextOut, record: EventRecord, count: number, elementBytes: number): void {
  const { view, little, from, end } = record;
  const isKnown = [1, 2, 4, 8].includes(elementBytes);
  const step = isKnown ? elementBytes : 1;
  for (let i = 0, at = from; i < count && at + step <= end; i++, at += step) {
    if (i > 0) out.putByte(32);
    if (!isKnown && i === 0) out.putText(`BAD SIZE:${elementBytes} 0x${view.getUint8(at).toString(16)}`);
    else if (step === 8)
      out.putDecimalWords(view.getInt32(little ? at : at + 4, little), view.getInt32(little ? at + 4 : at, little), false);
    else if (step === 4) out.putDecimalWords(view.getInt32(at, little), 0, false);
    else out.putDecimal(step === 2 ? view.getUint16(at, little) : view.getUint8(at));
  }
}

function putHex(out: TextOut, low: number, high: number): void {
  out.putText('0x');
  out.putHexWords(low, high);
}

/** The value of an expression without fields. */
function constantOf(expr: Expr, of: Arithmetic): bigint | undefined {
  try {
    const code = compileNumber(expr, of);
    const scratch = new EventRecord();
    const low = toWide(code)(scratch);
    return (BigInt(scratch.high) << 32n) | BigInt(low >>> 0);
  } catch (error) {
    if (error instanceof NotComputable) return undefined;
    throw error;
  }
}

/** Key of a string by its address. */
export function toAddress(low: number, high: number): string {
  return high === 0 ? low.toString(16) : high.toString(16) + low.toString(16).padStart(8, '0');
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r' };

/** C escapes → characters. */
export function unescape(text: string): string {
  if (!text.includes('\\')) return text;
  return text.replace(/\\([0-7]{1,3}|[\s\S])/g, (_all, escaped: string) => {
    if (/^[0-7]/.test(escaped)) return String.fromCharCode(Number.parseInt(escaped, 8) & 0xff);
    return ESCAPES[escaped] ?? escaped;
  });
}

/** Functions of the kernel and of drivers that formats call; undefined for others. */
function compileDriverText(name: string, args: readonly Expr[], of: Arithmetic): Put | undefined {
  if (name === 'scsi_trace_parse_cdb' && args[1] !== undefined) return compileScsiCommand(args[1], of, 'kernel');
  return compileKernelText(name, args, of) ?? compileNvmeText(name, args, of);
}
