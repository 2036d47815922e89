/**
 * From the columns of an event back to its record: event-columns.ts the other way round.
 *
 *   74 01 | 00 | 02 | 2d 05 00 00 | 63 61 74 00 … | 2c 00 07 00 | … 65 74 68 30 00
 *   |       |    |    +-- pid       +-- fixed: text, NULs      |      +-- what the location points to
 *   |       |    +-- preempt count                              +-- __data_loc: length << 16 | offset
 *   +-- id  +-- flags
 *
 * What the columns do not hold is not written back: bytes behind the NUL of a text, the length of a CPU mask (as many longs as
 * its highest bit needs), padding. Text that is no value of its field (a list of other things, a mask of words) fails.
 */
import { planColumns } from '../parsers/event-columns.ts';
import { elementSizeBytes, type EventFormat, type FormatField } from '../parsers/event-format.ts';
import { findFieldsOf } from '../parsers/print-format.ts';

/** A row of an event: its integers and its texts, each in the order of its fields. */
export interface EventRow {
  readonly pid: number;
  readonly flags: number;
  readonly preemptCount: number;
  readonly integers: readonly (string | number)[];
  readonly texts: readonly string[];
}

const ALIGN = 4;
const encoder = new TextEncoder();

export class EventEncoder {
  readonly #format: EventFormat;
  readonly #little: boolean;
  readonly #longBytes: 4 | 8;
  readonly #fields: readonly { readonly field: FormatField; readonly isText: boolean }[];
  readonly #masks: ReadonlySet<string>;
  readonly #fixedBytes: number;
  readonly #isStack: boolean;

  constructor(format: EventFormat, longBytes: 4 | 8, little: boolean) {
    this.#format = format;
    this.#little = little;
    this.#longBytes = longBytes;
    const plans = planColumns(format, longBytes);
    this.#fields = format.fields.map((field, i) => ({ field, isText: plans[i]?.field.kind === 'string' }));
    this.#masks = findFieldsOf(format.printFormat, '__get_bitmask');
    const ends = [...format.common, ...format.fields].map(({ offsetBytes, sizeBytes }) => offsetBytes + sizeBytes);
    this.#fixedBytes = Math.max(2, ...ends);
    this.#isStack = format.system === 'ftrace' && format.event === 'kernel_stack';
  }

  /** The record's payload; undefined where a text is no value of its field. */
  encode(row: EventRow): Uint8Array | undefined {
    const tails: Uint8Array[] = [];
    const head = new Uint8Array((this.#fixedBytes + ALIGN - 1) & -ALIGN);
    const view = new DataView(head.buffer);
    this.#writeCommon(view, row);
    let integers = 0;
    let texts = 0;
    let end = head.length;
    for (const { field, isText } of this.#fields) {
      if (!isText) {
        writeInteger(view, field, BigInt(row.integers[integers++] ?? 0), this.#little);
        continue;
      }
      const value = this.#toBytes(field, row.texts[texts++] ?? '');
      if (value === undefined) return undefined;
      if (field.shape === 'fixed' || field.shape === 'scalar') {
        head.set(value.subarray(0, field.sizeBytes), field.offsetBytes);
        // A stack is as long as it was, whatever its format says.
        if (this.#isStack && field.name === 'caller' && value.length < field.sizeBytes)
          return head.slice(0, field.offsetBytes + value.length);
        if (value.length > field.sizeBytes) tails.push(value.subarray(field.sizeBytes));
        end += Math.max(0, value.length - field.sizeBytes);
        continue;
      }
      if (field.shape !== 'flexible') {
        const origin = field.shape === 'rel_loc' ? field.offsetBytes + 4 : 0;
        view.setUint32(field.offsetBytes, ((value.length << 16) | (end - origin)) >>> 0, this.#little);
      }
      tails.push(value);
      end += value.length;
    }
    return concat(head, tails, end);
  }

  #writeCommon(view: DataView, { pid, flags, preemptCount }: EventRow): void {
    const values: Record<string, number> = {
      common_type: this.#format.id,
      common_flags: flags,
      common_preempt_count: preemptCount,
      common_pid: pid,
    };
    for (const field of this.#format.common) writeInteger(view, field, BigInt(values[field.name] ?? 0), this.#little);
  }

  #toBytes(field: FormatField, text: string): Uint8Array | undefined {
    const isRaw = this.#format.event === 'raw_data' && this.#format.system === 'ftrace';
    if (field.element === 'char' && !isRaw) return this.#toText(field, text);
    if (text === '') return new Uint8Array(0);
    if (field.element === 'cpumask_t' || this.#masks.has(field.name)) return this.#toMask(text);
    return text.startsWith('{') ? this.#toList(field, text) : parseHex(text);
  }

  #toText({ shape }: FormatField, text: string): Uint8Array {
    if (shape === 'fixed') return encoder.encode(text);
    // The kernel ends a marker's line.
    return encoder.encode(shape === 'flexible' ? `${text}\n\0` : `${text}\0`);
  }

  #toMask(text: string): Uint8Array | undefined {
    const ranges = text.split(',').map((range) => /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(range));
    if (ranges.some((range) => range === null)) return undefined;
    const bounds = ranges.map((range) => ({ from: Number(range?.[1]), to: Number(range?.[2] ?? range?.[1]) }));
    const longBits = this.#longBytes * 8;
    const longs = Math.floor(Math.max(...bounds.map(({ to }) => to)) / longBits) + 1;
    const mask = new Uint8Array(longs * this.#longBytes);
    for (const { from, to } of bounds) {
      for (let bit = from; bit <= to; bit++) {
        const byte = (bit >> 3) % this.#longBytes;
        const at = (bit >> 3) - byte + (this.#little ? byte : this.#longBytes - 1 - byte);
        mask[at] = (mask[at] as number) | (1 << (bit & 7));
      }
    }
    return mask;
  }

  #toList(field: FormatField, text: string): Uint8Array | undefined {
    const values = text.slice(1, -1).split(',');
    if (values.some((value) => !/^(?:-?\d{1,20}|0x[0-9a-f]{1,16})$/.test(value))) return undefined;
    const bound = Number(/\[(\d+)\]$/.exec(field.type)?.[1] ?? 0);
    const width = elementSizeBytes(field.element, this.#longBytes) ?? (bound > 0 ? field.sizeBytes / bound : 0);
    if (width !== 2 && width !== 4 && width !== 8) return undefined;
    const bytes = new Uint8Array(values.length * width);
    const view = new DataView(bytes.buffer);
    for (const [i, value] of values.entries()) {
      writeInteger(view, { offsetBytes: i * width, sizeBytes: width }, BigInt(value), this.#little);
    }
    return bytes;
  }
}

function writeInteger(
  view: DataView,
  { offsetBytes, sizeBytes }: Pick<FormatField, 'offsetBytes' | 'sizeBytes'>,
  value: bigint,
  little: boolean,
): void {
  if (sizeBytes === 8) view.setBigUint64(offsetBytes, BigInt.asUintN(64, value), little);
  else if (sizeBytes === 4) view.setUint32(offsetBytes, Number(BigInt.asUintN(32, value)), little);
  else if (sizeBytes === 2) view.setUint16(offsetBytes, Number(BigInt.asUintN(16, value)), little);
  else if (sizeBytes === 1) view.setUint8(offsetBytes, Number(BigInt.asUintN(8, value)));
}

function parseHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) return undefined;
  return Uint8Array.from({ length: text.length / 2 }, (_, i) => Number.parseInt(text.slice(i * 2, i * 2 + 2), 16));
}

function concat(head: Uint8Array, tails: readonly Uint8Array[], length: number): Uint8Array {
  if (tails.length === 0) return head;
  const whole = new Uint8Array(length);
  whole.set(head);
  let at = head.length;
  for (const tail of tails) {
    whole.set(tail, at);
    at += tail.length;
  }
  return whole;
}
