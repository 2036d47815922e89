/**
 * The fields of a record, as the kernel's trace option `fields` prints them (since 6.4):
 *
 *   sched_waking: comm=sh pid=0xd43 (3395) prio=0x78 (120) target_cpu=0x0 (0)
 *   |                         +-- 1, 2, 4 and 8 bytes in hexadecimal and, with its sign, in decimal; bytes: 'a'(97)
 *   +-- an event of ftrace itself: UNKNOWN TYPE 5
 *
 * Not handled: text that a pointer points to, which is in the kernel's memory (the address is printed).
 * Kernel: kernel/trace/trace_output.c (print_fields).
 */
import { type EventFormat, type FormatField } from '../parsers/event-format.ts';
import type { EventRecord } from './print-fmt-numbers.ts';
import type { Put } from './print-fmt-strings.ts';
import type { BodyTools } from './trace-text-events.ts';
import { versionOf } from '../parsers/tracefs-settings.ts';
import type { TextOut } from './text-out.ts';

/** `name: field=value …` with its newline. */
export function compileFieldList(format: EventFormat, tools: BodyTools): Put {
  const fields = format.fields.map((field) => ({
    label: ` ${field.name}=`,
    field,
    put: compileField(field, format.system === 'synthetic', tools),
  }));
  const name = `${format.event}:${fields.length === 0 ? 'No fields found' : ''}`;
  return (record, out) => {
    out.putText(name);
    for (const { label, field, put } of fields) {
      out.putText(label);
      if (record.start + field.offsetBytes + field.sizeBytes > record.end) out.putText('<OVERFLOW>');
      else put(record, out);
    }
    out.putByte(10);
  };
}

function compileField(field: FormatField, isSynthetic: boolean, tools: BodyTools): Put {
  const { type, shape, sizeBytes } = field;
  const isText = /\bchar\b/.test(type);
  // The second is the stack of a synthetic event.
  const isOther = /cpumask/.test(type) || (isSynthetic && /unsigned long\[\]/.test(type));
  if ((shape === 'data_loc' || shape === 'rel_loc') && isOther) return (_record, out) => out.putText('<INVALID-TYPE>');
  if (shape === 'data_loc' || shape === 'rel_loc') return (record, out) => putLocated(record, out, field, isText);
  // Of an array of texts, as probes have them, the first.
  if (/^(?:__data_loc )?char\[\]\[\d+\]$/.test(type))
    return (record, out) => putLocated(record, out, { ...field, shape: 'data_loc' }, true);
  if (shape === 'fixed' && isText) {
    return (record, out) => out.putString(record.bytes, record.start + field.offsetBytes, record.start + field.offsetBytes + sizeBytes);
  }
  if (/^(?:const )?char ?\*$/.test(type)) return (record, out) => putPointer(record, out, field, tools);
  if (sizeBytes === 8 && versionOf(tools.settings.release) >= 6016) return compileLongField(field, tools);
  return compileNumberField(field);
}

function putLocated(record: EventRecord, out: TextOut, { offsetBytes, shape }: FormatField, isText: boolean): void {
  const location = record.view.getUint32(record.start + offsetBytes, record.little);
  const from = record.start + (location & 0xffff) + (shape === 'rel_loc' ? offsetBytes + 4 : 0);
  const to = from + (location >>> 16);
  if (to > record.end) out.putText('<OVERFLOW>');
  else if (isText) out.putString(record.bytes, from, to);
  else {
    for (let at = from; at < to; at++) {
      if (at > from) out.putByte(44);
      out.putHexByte(record.bytes[at] as number);
    }
  }
}

/** `(0xffffffff82abcdef:text)`. */
function putPointer(record: EventRecord, out: TextOut, { offsetBytes, sizeBytes }: FormatField, { context }: BodyTools): void {
  const at = record.start + offsetBytes;
  const value = sizeBytes === 8 ? record.view.getBigUint64(at, record.little) : BigInt(record.view.getUint32(at, record.little));
  out.putText(`(0x${value.toString(16).padStart(sizeBytes * 2, '0')}`);
  const known = context.strings.get(value.toString(16));
  if (known !== undefined) out.putText(`:${known}`);
  out.putByte(41);
}

/** Since 6.16 an address of kernel code is shown as such: `alloc_empty_file+0x3c/0x110 (-2123526468)`. */
function compileLongField(field: FormatField, { symbols }: BodyTools): Put {
  const put = compileNumberField(field);
  return (record, out) => {
    const value = record.view.getBigInt64(record.start + field.offsetBytes, record.little);
    if (!symbols.isCode(BigInt.asUintN(64, value))) {
      put(record, out);
      return;
    }
    symbols.putSymbol(out, Number(BigInt.asIntN(32, value)), Number(value >> 32n));
    out.putText(` (${value})`);
  };
}

function compileNumberField({ offsetBytes, sizeBytes }: FormatField): Put {
  switch (sizeBytes) {
    case 1:
      return (record, out) => {
        const value = record.bytes[record.start + offsetBytes] as number;
        // The kernel counts the upper half of latin1 among what can be printed.
        if ((value >= 32 && value < 127) || value >= 0xa0) out.putText(`'${String.fromCharCode(value)}'`);
        out.putText(`(${value})`);
      };
    case 2:
      return (record, out) => {
        const value = record.view.getUint16(record.start + offsetBytes, record.little);
        out.putText(`0x${value.toString(16)} (${value})`);
      };
    case 4:
      return (record, out) => {
        const value = record.view.getInt32(record.start + offsetBytes, record.little);
        out.putText(`0x${(value >>> 0).toString(16)} (${value})`);
      };
    case 8:
      return (record, out) => {
        const value = record.view.getBigInt64(record.start + offsetBytes, record.little);
        out.putText(`0x${BigInt.asUintN(64, value).toString(16)} (${value})`);
      };
    default:
      return (_record, out) => out.putText('<INVALID-SIZE>');
  }
}
