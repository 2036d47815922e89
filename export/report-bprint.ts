/**
 * `ftrace:bprint`: what `trace_printk` with numbers leaves, a format by its address and its arguments in binary.
 *
 *   u64 ip | u64 fmt → "count %d of %s\n" in printk_formats | buf: 2a 00 00 00 | 66 6f 6f 00
 *                                                               +-- each at a multiple of 4   +-- strings with their NUL
 *
 *   trace-cmd    vfs_read: count 42 of foo
 *
 * Source: lib/vsprintf.c (vbin_printf, bstr_printf); libtraceevent, make_bprint_args.
 */
import type { EventFormat } from '../parsers/event-format.ts';
import { ARGUMENT, parseTemplate, putConverted, type Conversion, type TemplatePart } from './print-fmt-conversions.ts';
import { toWide, compileNumber, type Arithmetic, type EventRecord } from './print-fmt-numbers.ts';
import { toAddress, unescape, type Put } from './print-fmt-strings.ts';
import { putSymbol, type PrintContext } from './print-fmt.ts';
import type { TextOut } from './text-out.ts';

/** Compiles the printer of the event; undefined where it has not the fields. */
export function compileBprint(format: EventFormat, of: Arithmetic, context: PrintContext): Put | undefined {
  const buffer = format.fields.find(({ name }) => name === 'buf');
  if (buffer === undefined || !['ip', 'fmt'].every((name) => format.fields.some((field) => field.name === name))) return undefined;
  const readFormat = toWide(compileNumber({ kind: 'field', name: 'fmt' }, of));
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
  const parts = parseTemplate(text, context.longBytes, true);
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
    const { letter, pointer } = conversion;
    const mark = out.length;
    if (letter === 's' || (letter === 'p' && !/^(?:[sSfFx]|$)/.test(pointer))) {
      this.#putText(out);
      if (precision >= 0 && out.length - mark > precision) out.length = mark + precision;
      out.pad(mark, width, conversion.left);
      return;
    }
    const low = this.#readNumber(letter === 'p' ? this.#context.longBytes : Math.max(4, conversion.sizeBytes));
    const { high } = this.#record;
    if (letter === 'c') out.putByte(low & 0xff);
    else if (letter === 'p' && /^[sSfF]/.test(pointer)) this.#putSymbol(out, low, high, /^[SF]/.test(pointer));
    else if (letter === 'p') this.#putPointer(out, low, high);
    else {
      const signed = letter === 'd' && conversion.sizeBytes < 8;
      putConverted(out, conversion, low, signed ? low >> 31 : high, width, precision, { prefixZero: this.#context.dialect === 'kernel' });
    }
    out.pad(mark, width, conversion.left);
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
