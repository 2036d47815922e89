/**
 * Print formats, compiled: `print fmt` of an event → a function that prints the body of a record's line.
 *
 *   "irq=%d name=%s", REC->irq, __get_str(name)   →   irq=28 name=virtio2-req.0
 *   syntax: print-fmt-syntax.ts    numbers: print-fmt-numbers.ts    strings and helpers: print-fmt-strings.ts
 *
 * Two dialects, because both are somebody's reference: `kernel` prints what the kernel's own `trace` file holds, `trace-cmd` what
 * `trace-cmd report` (libtraceevent) makes of the same record. Compiled when the first record of an event is printed.
 *
 * A format that can't be computed is no loss: the caller prints the fields (report-fields.ts).
 * Not handled: `%pV`, `%pd` and other pointers to memory of the kernel, hashed pointers (both print the address).
 */
import { CONSTANTS } from './print-fmt-constants.ts';
import { messageOf } from '../base/errors.ts';
import type { EventFormat, FormatField } from '../parsers/event-format.ts';
import { putSymbol, type Kallsyms } from './kallsyms.ts';
import { compileLine, putSymbolOrAddress, type LinePart, type LineStep, type NativeStep } from './line-program.ts';
import {
  ARGUMENT,
  isPlain,
  MAX_WIDTH,
  parseTemplate,
  putConverted,
  type Conversion,
  type NumberStyle,
  type TemplatePart,
} from './print-fmt-conversions.ts';
import { compileKernelNumber } from './print-fmt-kernel.ts';
import {
  compileNumber,
  compileRegion,
  findField,
  NotComputable,
  toWide,
  type Arithmetic,
  type EventRecord,
  type Load,
  type NumberCode,
} from './print-fmt-numbers.ts';
import { compileLibraryNumber } from './print-fmt-plugins.ts';
import { putBitmap, putBitmapList, putHexBytes, putIpv4, putIpv6, putMac, putSockaddr, putUuid } from './print-fmt-pointers.ts';
import { compileString, unescape, type Put } from './print-fmt-strings.ts';
import { parsePrintFormat, type Expr } from './print-fmt-syntax.ts';
import { toPiece, type TextOut } from './text-out.ts';
import { toOperations } from './value-operations.ts';

export type Dialect = 'kernel' | 'trace-cmd';

export interface PrintContext {
  readonly dialect: Dialect;
  readonly longBytes: 4 | 8;
  readonly symbols: Kallsyms;
  /** Strings by their address in hexadecimal: what `printk_formats` lists. */
  readonly strings: ReadonlyMap<string, string>;
  /** Told where the kernel's dialect prints a number for which the format may have a name: of a value that nothing knows. */
  readonly noteNumber?: (event: string, names: string) => void;
}

/** What libtraceevent knows of them. */
const LIBRARY_CONSTANTS: ReadonlyMap<string, bigint> = new Map(
  [...CONSTANTS].filter(([name]) => /SOFTIRQ$|^HRTIMER_(?:NO)?RESTART$/.test(name)),
);

const MAX_PROBLEM_CHARS = 200;

export interface PrintPart {
  /** The field that is all of the argument, casts aside. */
  readonly field: string | undefined;
  /** Literal text; undefined for a conversion. */
  readonly text: string | undefined;
  readonly put: Put;
  /** The same as `put`, where it is one of the simple ones. */
  readonly step?: LineStep;
}

/** Compiles the print format of an event; a string says what it needs that is not there. */
export function compilePrintFormat(format: EventFormat, context: PrintContext): PrintPart[] | string {
  const parsed = parsePrintFormat(format.printFormat, context.dialect === 'kernel' ? 'c' : 'library');
  if (typeof parsed === 'string') return parsed;
  return compileTemplate(parsed.template, parsed.args, format, context);
}

/** Compiles a template with its arguments. */
export function compileTemplate(template: string, args: readonly Expr[], format: EventFormat, context: PrintContext): PrintPart[] | string {
  const parts = parseTemplate(template, context.longBytes, context.dialect === 'kernel');
  if (!Array.isArray(parts)) return parts.problem;
  try {
    return new Compiler(context, toArithmetic(format, context), args).compile(parts);
  } catch (error) {
    // Names in it are whatever the file says.
    if (error instanceof NotComputable) return messageOf(error).slice(0, MAX_PROBLEM_CHARS);
    throw error;
  }
}

/** How a dialect computes with the fields of an event. */
export function toArithmetic(format: EventFormat, { dialect, longBytes, symbols }: PrintContext): Arithmetic {
  if (dialect === 'kernel')
    return { kind: 'c', format, longBytes, constants: CONSTANTS, resolve: () => undefined, callLibrary: compileKernelNumber };
  // libtraceevent takes a name it does not know for a symbol, whose address is its value, and 0 where there is none.
  return {
    kind: 'unsigned',
    format,
    longBytes,
    constants: LIBRARY_CONSTANTS,
    resolve: (name) => symbols.addressOf(name) ?? 0n,
    callLibrary: compileLibraryNumber,
  };
}

/** One function of all parts. */
export function joinParts(parts: readonly PrintPart[]): Put {
  return compileLine(toLine(parts));
}

/** The parts as texts and what stands behind each. */
export function toLine(parts: readonly PrintPart[]): readonly LinePart[] {
  const line: LinePart[] = [];
  let text = '';
  for (const { text: literal, step, put } of parts) {
    if (literal !== undefined) text += literal;
    else {
      line.push({ text, step: step ?? { kind: 'put', put } });
      text = '';
    }
  }
  if (text !== '') line.push({ text, step: undefined });
  return line;
}

class Compiler {
  readonly #context: PrintContext;
  readonly #arithmetic: Arithmetic;
  readonly #args: readonly Expr[];
  readonly #style: NumberStyle;
  #next = 0;

  constructor(context: PrintContext, arithmetic: Arithmetic, args: readonly Expr[]) {
    this.#context = context;
    this.#arithmetic = arithmetic;
    this.#args = args;
    this.#style = { prefixZero: context.dialect === 'kernel' };
  }

  compile(parts: readonly TemplatePart[]): PrintPart[] {
    return parts.map((part): PrintPart => {
      if (typeof part === 'string') return compileText(unescape(part));
      // libtraceevent knows no `%c`: it names the letter and goes on with the argument that was meant for it.
      if (part.letter === 'c' && this.#context.dialect === 'trace-cmd') return compileText('>c<');
      const width = part.width === ARGUMENT ? this.#takeCount(part) : constant(part.width);
      const precision = part.precision === ARGUMENT ? this.#takeCount(part) : constant(part.precision);
      const expr = this.#args[this.#next++];
      if (expr === undefined) throw new NotComputable(`there is no argument for ${part.text}`);
      const step = this.#compileStep(part, expr);
      const put = step === undefined ? this.#compileConversion(part, expr, width, precision) : undefined;
      if (put !== undefined && isKept(part)) {
        const load = this.#findOnlyField(expr);
        if (load !== undefined) return { field: plainField(expr), text: undefined, put, step: { kind: 'kept', load, put } };
      }
      if (put !== undefined) {
        const native = this.#compileNative(part, expr);
        return { field: plainField(expr), text: undefined, put, step: { kind: 'put', put, native } };
      }
      if (step === undefined) throw new NotComputable(`nothing puts ${part.text}`);
      return { field: plainField(expr), text: undefined, put: compileLine([{ text: '', step }]), step };
    });
  }

  /** What most arguments are: a number as it lies in the record, or the symbol at such an address. */
  #compileStep(conversion: Conversion, expr: Expr): LineStep | undefined {
    const { letter, pointer, sizeBytes } = conversion;
    const { symbols, dialect } = this.#context;
    const isSymbol = letter === 'p' && /^[SsFf]/.test(pointer) && dialect === 'trace-cmd';
    if (!isSymbol && !('duxX'.includes(letter) && isPlain(conversion))) return undefined;
    const { load } = compileNumber(expr, this.#arithmetic);
    if (load === undefined) return undefined;
    if (isSymbol) return { kind: 'symbol', load, symbols, withOffset: /^[SF]/.test(pointer) };
    const isHex = letter === 'x' || letter === 'X';
    return { kind: isHex ? 'hex' : 'decimal', load, sizeBytes, signed: letter === 'd', upper: letter === 'X' };
  }

  /** The same as a `put` of numbers and texts that lie in the record. */
  #compileNative(conversion: Conversion, expr: Expr): NativeStep | undefined {
    const { letter, pointer, width, precision, plus, space, sizeBytes, left, zero, alternate } = conversion;
    if (this.#arithmetic.kind !== 'unsigned' || width === ARGUMENT || precision !== -1) return undefined;
    if (letter === 's') {
      const field = width === -1 ? this.#findText(expr) : undefined;
      return field && { kind: 'string', field };
    }
    const value = toOperations(expr, this.#arithmetic);
    if (value === undefined) return undefined;
    if (letter === 'p') {
      if (/^[SsFf]/.test(pointer)) return { kind: 'kept', value };
      return /^[MmIiUh]/.test(pointer) ? undefined : { kind: 'pointer', value };
    }
    if (!'dux'.includes(letter) || plus || space) return undefined;
    const isHex = letter === 'x';
    const shape = { width: Math.max(0, width), left, zero, alternate: alternate && isHex };
    return { kind: 'number', value, isHex, sizeBytes, signed: letter === 'd', ...shape };
  }

  /** The field whose bytes are the text of a `%s`. */
  #findText(expr: Expr): FormatField | undefined {
    const isCall = expr.kind === 'call' && /^__get_(?:rel_)?str$/.test(expr.name);
    const name = isCall ? expr.args[0] : expr;
    // A bare name is a field only where the helper says so.
    if (name?.kind !== 'field' && !(isCall && name?.kind === 'name')) return undefined;
    const field = findField(name.name, this.#arithmetic);
    return !isCall && field.shape === 'scalar' && field.sizeBytes === this.#context.longBytes ? undefined : field;
  }

  /** The one field that an expression depends on. */
  #findOnlyField(expr: Expr): Load | undefined {
    const fields = new Set<string>();
    if (!addFields(expr, fields) || fields.size !== 1) return undefined;
    return compileNumber({ kind: 'field', name: [...fields][0] as string }, this.#arithmetic).load;
  }

  /** A width or precision that a record says: two billion blanks are no line. For a pointer it counts what the record has. */
  #takeCount({ letter }: Conversion): NumberCode['read'] {
    const expr = this.#args[this.#next++];
    if (expr === undefined) throw new NotComputable('there is no argument for a width');
    const { read } = compileNumber(expr, this.#arithmetic);
    return letter === 'p' ? read : (record) => Math.min(MAX_WIDTH, read(record));
  }

  #compileConversion(conversion: Conversion, expr: Expr, width: NumberCode['read'], precision: NumberCode['read']): Put {
    switch (conversion.letter) {
      case 's':
        return compileString(expr, { conversion, width, precision }, this.#context, this.#arithmetic);
      case 'p':
        return this.#compilePointer(conversion, expr, width);
      case 'c': {
        const { read } = compileNumber(expr, this.#arithmetic);
        return (record, out) => {
          const mark = out.length;
          out.putByte(read(record) & 0xff);
          out.pad(mark, width(record), conversion.left);
        };
      }
      default:
        return compileInteger(conversion, compileNumber(expr, this.#arithmetic), width, precision, this.#style);
    }
  }

  #compilePointer(conversion: Conversion, expr: Expr, width: NumberCode['read']): Put {
    const { pointer } = conversion;
    const isKernel = this.#context.dialect === 'kernel';
    switch (pointer[0]) {
      case 'S':
      case 's':
      case 'F':
      case 'f':
      case 'B':
        if (pointer[0] === 'B' && !isKernel) break;
        return this.#compileSymbol(pointer, compileNumber(expr, this.#arithmetic));
      case 'M':
      case 'm':
        return this.#compileBytes(expr, 6, 'INVALIDMAC', (out, record) => putMac(out, record.bytes, record.from, pointer));
      case 'I':
      case 'i':
        return this.#compileAddress(expr, pointer);
      case 'U':
        return this.#compileBytes(expr, 16, 'INVALIDUUID', (out, record) => putUuid(out, record.bytes, record.from, pointer));
      case 'h':
        return this.#compileHex(expr, pointer, width);
      case 'b':
        if (isKernel) return this.#compileBitmap(expr, pointer, width);
        break;
      default:
    }
    return this.#compileAddressNumber(conversion, compileNumber(expr, this.#arithmetic));
  }

  /** Symbols: the kernel adds the symbol's size and its module, libtraceevent only the offset. */
  #compileSymbol(pointer: string, code: NumberCode): Put {
    const read = toWide(code);
    const { symbols, dialect } = this.#context;
    const withOffset = /^[SFB]/.test(pointer);
    if (dialect === 'trace-cmd') return (record, out) => putSymbolOrAddress(out, symbols, read(record), record.high, withOffset);
    return (record, out) => {
      const low = read(record);
      putSymbol(out, symbols, low, record.high, withOffset);
    };
  }

  /** Bytes of a fixed length that the argument points to. */
  #compileBytes(expr: Expr, sizeBytes: number, invalid: string, put: (out: TextOut, record: EventRecord) => void): Put {
    const { locate } = compileRegion(expr, this.#arithmetic);
    return (record, out) => {
      if (!locate(record)) return;
      if (record.to - record.from >= sizeBytes) put(out, record);
      else if (this.#context.dialect === 'trace-cmd') out.putText(invalid);
    };
  }

  #compileAddress(expr: Expr, pointer: string): Put {
    if (pointer[1] === '4') {
      return this.#compileBytes(expr, 4, 'INVALIDIPv4', (out, record) => putIpv4(out, record.bytes, record.from, pointer, record.little));
    }
    if (pointer[1] === '6')
      return this.#compileBytes(expr, 16, 'INVALIDIPv6', (out, record) => putIpv6(out, record.bytes, record.from, pointer));
    if (pointer[1] !== 'S') throw new NotComputable(`nothing says what %p${pointer} is`);
    const { locate } = compileRegion(expr, this.#arithmetic);
    const isKernel = this.#context.dialect === 'kernel';
    return (record, out) => {
      if (!locate(record)) return;
      const isPut = putSockaddr(out, record.bytes, record.from, record.to, pointer, record.little);
      if (!isPut && isKernel) out.putText('(einval)');
    };
  }

  #compileHex(expr: Expr, pointer: string, width: NumberCode['read']): Put {
    const { locate } = compileRegion(expr, this.#arithmetic);
    return (record, out) => {
      const count = width(record) | 0;
      if (!locate(record)) return;
      // The kernel prints at most 64 bytes; without a width, one.
      const most = this.#context.dialect === 'kernel' ? 64 : Number.MAX_SAFE_INTEGER;
      const to = Math.min(record.to, record.from + Math.min(most, count < 0 ? 1 : count));
      putHexBytes(out, record.bytes, record.from, to, pointer);
    };
  }

  #compileBitmap(expr: Expr, pointer: string, width: NumberCode['read']): Put {
    const { locate } = compileRegion(expr, this.#arithmetic);
    const put = pointer.startsWith('bl') ? putBitmapList : putBitmap;
    return (record, out) => {
      const bits = width(record);
      if (!locate(record)) return;
      const to = Math.min(record.to, record.from + (((bits + 31) >> 5) << 2));
      put(out, record.view, record.from, to, record.little, this.#context.longBytes);
    };
  }

  /** A pointer as a number. */
  #compileAddressNumber({ width, left }: Conversion, code: NumberCode): Put {
    const read = toWide(code);
    const digits = this.#context.longBytes * 2;
    if (this.#context.dialect === 'trace-cmd') {
      return (record, out) => {
        const low = read(record);
        if ((low | record.high) === 0) out.putText('(nil)');
        else {
          out.putText('0x');
          out.putHexWords(low, record.high);
        }
      };
    }
    return (record, out) => {
      const mark = out.length;
      const low = read(record);
      out.putHexWords(low, this.#context.longBytes === 4 ? 0 : record.high);
      out.insertFill(mark, 48, digits - (out.length - mark));
      out.pad(mark, width, left);
    };
  }
}

function constant(value: number): NumberCode['read'] {
  return () => value;
}

function compileText(text: string): PrintPart {
  const piece = toPiece(text);
  const put: Put = (_record, out) => out.putPiece(piece);
  return { field: undefined, text, put };
}

function plainField(expr: Expr): string | undefined {
  if (expr.kind === 'cast') return plainField(expr.of);
  return expr.kind === 'field' ? expr.name : undefined;
}

/** Is the text of a conversion kept by the value that it comes from? What the record says of widths is no part of it. */
function isKept({ letter, width, precision }: Conversion): boolean {
  return letter === 's' && width !== ARGUMENT && precision !== ARGUMENT;
}

/** Adds the fields whose numbers an expression depends on; false where it depends on more than numbers. */
function addFields(expr: Expr, fields: Set<string>): boolean {
  switch (expr.kind) {
    case 'number':
    case 'string':
    case 'name':
      return true;
    case 'field':
      fields.add(expr.name);
      return true;
    case 'cast':
      return addFields(expr.of, fields);
    case 'unary':
      return expr.operator !== '&' && expr.operator !== '*' && addFields(expr.of, fields);
    case 'binary':
      return addFields(expr.left, fields) && addFields(expr.right, fields);
    case 'conditional':
      return [expr.test, expr.yes, expr.no].every((one) => addFields(one, fields));
    case 'list':
      return expr.items.every((item) => addFields(item, fields));
    case 'call':
      return /^__print_(?:flags|symbolic)(?:_u64)?$/.test(expr.name) && expr.args.every((arg) => addFields(arg, fields));
    default:
      return false;
  }
}

/** A number, cut to the bytes that the conversion takes and extended by its sign. */
function compileInteger(
  conversion: Conversion,
  code: NumberCode,
  width: NumberCode['read'],
  precision: NumberCode['read'],
  style: NumberStyle,
): Put {
  const { letter, sizeBytes } = conversion;
  const signed = letter === 'd';
  const cut = toSize(sizeBytes, signed);
  if (isPlain(conversion) && sizeBytes < 8) {
    const { read } = code;
    if (signed) return (record, out) => out.putDecimal(cut(read(record)));
    if (letter === 'u') return (record, out) => out.putDecimal(cut(read(record)) >>> 0);
    if (letter !== 'o') return (record, out) => out.putHexWords(cut(read(record)), 0, letter === 'X');
  }
  const read = toWide(code);
  if (isPlain(conversion) && sizeBytes === 8) {
    if (letter === 'd' || letter === 'u') return (record, out) => out.putDecimalWords(read(record), record.high, signed);
    if (letter !== 'o') return (record, out) => out.putHexWords(read(record), record.high, letter === 'X');
  }
  return (record, out) => {
    let low = read(record);
    let { high } = record;
    if (sizeBytes < 8) {
      low = cut(low);
      high = signed ? low >> 31 : 0;
    }
    putConverted(out, conversion, low, high, width(record), precision(record), style);
  };
}

function toSize(sizeBytes: number, signed: boolean): (low: number) => number {
  if (sizeBytes === 1) return signed ? (low) => (low << 24) >> 24 : (low) => low & 0xff;
  if (sizeBytes === 2) return signed ? (low) => (low << 16) >> 16 : (low) => low & 0xffff;
  return (low) => low | 0;
}
