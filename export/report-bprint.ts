/**
 * `ftrace:bprint`: what `trace_printk` with numbers leaves, a format by its address and its arguments in binary.
 *
 *   u64 ip | u64 fmt → "count %d of %s\n" in printk_formats | buf: 2a 00 00 00 | 66 6f 6f 00
 *                                                               +-- each at a multiple of 4   +-- strings with their NUL
 *
 * The kernel writes a `%hd` and a `%c` as 2 bytes and 1, at a multiple of as many, and what a pointer points to (`%pM`, `%*pbl`) as text.
 * libtraceevent knows no `%hd`, `%c`, `%-5d` and `%+d`: from the first one on it prints fields in place of all such texts. Here they are printed.
 *
 *   trace-cmd    vfs_read: count 42 of foo
 *
 * Source: lib/vsprintf.c (vbin_printf, bstr_printf); libtraceevent, make_bprint_args.
 */
import type { EventFormat } from '../parsers/event-format.ts';
import { putSymbol } from './kallsyms.ts';
import { ARGUMENT, parseTemplate, putConverted, type Conversion, type TemplatePart } from './print-fmt-conversions.ts';
import { readField, type Arithmetic, type EventRecord } from './print-fmt-numbers.ts';
import { toAddress, unescape, type Put } from './print-fmt-strings.ts';
import type { PrintContext } from './print-fmt.ts';
import type { TextOut } from './text-out.ts';

/** Pointers that are written as they are; what others point to is. */
const VALUE_POINTER = /p(?:[sSfFxKe]|$)/;

/** Compiles the printer of the event; undefined where it has not the fields. */
export function compileBprint(format: EventFormat, of: Arithmetic, context: PrintContext): Put | undefined {
  const buffer = format.fields.find(({ name }) => name === 'buf');
  if (buffer === undefined || !['ip', 'fmt'].every((name) => format.fields.some((field) => field.name === name))) return undefined;
  const readFormat = readField('fmt', of);
  if (readFormat === undefined) return undefined;
  const templates = new Map<string, readonly TemplatePart[] | undefined>();
  return (record, out) => {
    const low = readFormat(record) >>> 0;
    const address = toAddress(low, record.high >>> 0);
    if (!templates.has(address)) templates.set(address, readTemplate(context.strings.get(address), context));
    const parts = templates.get(address);
    if (parts === undefined) {
      out.putText(`(NO FORMAT FOUND at ${address})\n`);
      return;
    }
    new Arguments(record, record.start + buffer.offsetBytes, context).print(parts, out);
  };
}

function readTemplate(text: string | undefined, context: PrintContext): readonly TemplatePart[] | undefined {
  if (text === undefined) return undefined;
  const parts = parseTemplate(text, context.longBytes, context.dialect === 'kernel');
  return Array.isArray(parts) ? parts : undefined;
}

/** The arguments of one record, taken one after the other. */
class Arguments {
  readonly #record: EventRecord;
  readonly #context: PrintContext;
  #at: number;

  constructor(record: EventRecord, at: number, context: PrintContext) {
    this.#record = record;
    this.#at = at;
    this.#context = context;
  }

  print(parts: readonly TemplatePart[], out: TextOut): void {
    for (const part of parts) {
      if (typeof part === 'string') out.putText(unescape(part));
      else this.#printConversion(part, out);
    }
  }

  #printConversion(conversion: Conversion, out: TextOut): void {
    const width = conversion.width === ARGUMENT ? this.#readNumber(4) : conversion.width;
    const precision = conversion.precision === ARGUMENT ? this.#readNumber(4) : conversion.precision;
    const { letter, pointer, text } = conversion;
    const mark = out.length;
    if (letter === 's') {
      this.#putText(out);
      if (precision >= 0 && out.length - mark > precision) out.length = mark + precision;
      out.pad(mark, width, conversion.left);
      return;
    }
    if (letter === 'p' && !VALUE_POINTER.test(text)) {
      this.#putText(out);
      return;
    }
    const low = this.#readArgument(conversion);
    const { high } = this.#record;
    const isKernel = this.#context.dialect === 'kernel';
    if (letter === 'c') out.putByte(low & 0xff);
    else if (letter === 'p' && /^[sSfF]/.test(pointer)) this.#putSymbol(out, low, high, /^[SF]/.test(pointer));
    else if (letter === 'p') this.#putPointer(out, low, high);
    else {
      const signed = letter === 'd' && conversion.sizeBytes < 8;
      putConverted(out, conversion, low, signed ? low >> 31 : high, width, precision, { prefixZero: isKernel });
    }
    if (isKernel || letter !== 'p') out.pad(mark, width, conversion.left);
  }

  #readArgument({ letter, sizeBytes }: Conversion): number {
    if (letter === 'p') return this.#readNumber(this.#context.longBytes);
    const bytes = letter === 'c' ? 1 : sizeBytes;
    return bytes >= 4 ? this.#readNumber(bytes) : this.#readShort(bytes, letter);
  }

  /** The next number of 1 or 2 bytes. */
  #readShort(bytes: number, letter: string): number {
    const record = this.#record;
    const at = bytes === 1 ? this.#at : record.start + ((this.#at - record.start + 1) & ~1);
    this.#at = at + bytes;
    record.high = 0;
    if (this.#at > record.end) return 0;
    const { view, little } = record;
    if (letter === 'd') return bytes === 1 ? view.getInt8(at) : view.getInt16(at, little);
    return bytes === 1 ? view.getUint8(at) : view.getUint16(at, little);
  }

  #putSymbol(out: TextOut, low: number, high: number, withOffset: boolean): void {
    const { symbols, dialect } = this.#context;
    const symbol = symbols.find(low, high);
    if (dialect === 'kernel' || symbol === undefined) putSymbol(out, symbols, low, high, withOffset);
    else out.putText(withOffset ? `${symbol.name}+0x${symbol.offset.toString(16)}` : symbol.name);
  }

  #putPointer(out: TextOut, low: number, high: number): void {
    const isKernel = this.#context.dialect === 'kernel';
    if (!isKernel && (low | high) === 0) {
      out.putText('(nil)');
      return;
    }
    if (!isKernel) out.putText('0x');
    const mark = out.length;
    out.putHexWords(low, high);
    if (isKernel) out.insertFill(mark, 48, this.#context.longBytes * 2 - (out.length - mark));
  }

  #putText(out: TextOut): void {
    const { bytes, end } = this.#record;
    const from = Math.min(this.#at, end);
    out.putString(bytes, from, end);
    const zero = bytes.indexOf(0, from);
    this.#at = zero < 0 || zero >= end ? end : zero + 1;
  }

  /** The next number, 0 behind the end; the high word goes to the record. */
  #readNumber(sizeBytes: number): number {
    const record = this.#record;
    const { view, little, start, end } = record;
    // Arguments lie at multiples of 4 of the record, which itself lies so.
    const at = start + ((this.#at - start + 3) & ~3);
    this.#at = at + sizeBytes;
    record.high = 0;
    if (this.#at > end) return 0;
    if (sizeBytes === 4) return view.getInt32(at, little);
    record.high = view.getInt32(little ? at + 4 : at, little);
    return view.getInt32(little ? at : at + 4, little);
  }
}
