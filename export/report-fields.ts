/**
 * The fields of a record as `trace-cmd report -R` lists them, and behind `[FAILED TO PARSE]`:
 *
 *    prev_comm=bash prev_pid=812 prev_state=0x1 addr=0xffff888104692c00 args=ARRAY[01, 00]
 *   |          |                            +-- a `long`, or as the print format shows this field
 *   |          +-- text of characters, where all of it can be printed
 *   +-- one blank before each
 *
 * Source: libtraceevent, print_selected_fields.
 */
import type { EventFormat, FormatField } from '../parsers/event-format.ts';
import type { LinePart, LineStep } from './line-program.ts';
import { compileField, compileFieldRegion, type Arithmetic, type EventRecord } from './print-fmt-numbers.ts';
import type { Put } from './print-fmt-strings.ts';
import type { PrintPart } from './print-fmt.ts';
import type { TextOut } from './text-out.ts';

/**
 * All fields, each a part; `parts` are those of the print format, empty where it can't be computed. `notePast` is called where what
 * is printed from then on depends on it.
 */
export function compileFields(format: EventFormat, parts: readonly PrintPart[], of: Arithmetic, notePast: () => void): readonly LinePart[] {
  let next = 0;
  return format.fields.map((field): LinePart => {
    const label = ` ${field.name}=`;
    const found = field.shape === 'scalar' && next < parts.length ? findPart(parts, next, field.name) : -1;
    const part = parts[found];
    if (part === undefined) return compileRawField(label, field, of, notePast);
    // The search goes on behind the last hit, and ends for good where a hit was the last part.
    next = found + 1;
    const { put, step = { kind: 'put', put } } = part;
    return { text: (parts[found - 1]?.text ?? '').endsWith('0x') ? `${label}0x` : label, step };
  });
}

/** The part that shows nothing but this field, from `start` on and round to it. */
function findPart(parts: readonly PrintPart[], start: number, name: string): number {
  for (let i = 0; i < parts.length; i++) {
    const at = (start + i) % parts.length;
    if ((parts[at] as PrintPart).field === name) return at;
  }
  return -1;
}

function compileRawField(label: string, field: FormatField, of: Arithmetic, notePast: () => void): LinePart {
  const { shape, type, sizeBytes, signed } = field;
  if (shape !== 'scalar') return { text: label, step: compileArray(field, of, notePast) };
  const isLong = /long/.test(type);
  // Not by its name: another field may have that too.
  const load = sizeBytes === 1 || sizeBytes === 2 || sizeBytes === 4 || sizeBytes === 8 ? compileField(field, of).load : undefined;
  if (load === undefined) return { text: `${label}${signed || !isLong ? '0' : '0x0'}`, step: undefined };
  if (type.includes('*') || (isLong && (!signed || sizeBytes === 4))) {
    return { text: `${label}0x`, step: { kind: 'hex', load, sizeBytes: 8, signed: false, upper: false } };
  }
  if (signed && sizeBytes === 2) {
    const put: Put = (record, out) => {
      const mark = out.length;
      const value = record.start + load.least <= record.end ? record.view.getInt16(record.start + load.at, record.little) : 0;
      out.putDecimal(value);
      out.pad(mark, 2);
    };
    const shown = { isHex: false, sizeBytes, signed, width: 2, left: false, zero: false, alternate: false };
    return { text: label, step: { kind: 'put', put, native: { kind: 'number', value: [{ kind: 'load', load }], ...shown } } };
  }
  return { text: label, step: { kind: 'decimal', load, sizeBytes: signed ? sizeBytes : 8, signed, upper: false } };
}

function compileArray(field: FormatField, of: Arithmetic, notePast: () => void): LineStep {
  const { locate } = compileFieldRegion(field, of);
  const isDynamic = field.shape === 'data_loc' || field.shape === 'rel_loc';
  const canBeText = /char|u8|s8/.test(field.type);
  // Once a text of this field was not printable, the field is no text any more.
  let isText = canBeText;
  const put: Put = (record, out) => {
    const found = locate(record) || endWithRecord(field, record);
    const from = found ? record.from : record.start;
    const to = found ? (isDynamic || field.sizeBytes > 0 ? record.to : from) : from;
    if (isText && !isPrintable(record.bytes, from, to)) {
      isText = false;
      notePast();
    }
    if (isText) putText(out, record, from);
    else putBytes(out, record.bytes, from, to);
  };
  return { kind: 'put', put, native: { kind: canBeText ? 'characters' : 'bytes', field } };
}

/** A stack of few calls is shorter than its field: what is there of it. */
function endWithRecord({ shape, offsetBytes }: FormatField, record: EventRecord): boolean {
  record.from = record.start + offsetBytes;
  record.to = record.end;
  return shape === 'fixed' && record.from < record.end;
}

/** Up to a NUL, which may lie behind the field: that is how the library prints it. */
function putText(out: TextOut, record: EventRecord, from: number): void {
  out.putString(record.bytes, from, record.end);
}

function isPrintable(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const byte = bytes[at] as number;
    if (byte === 0) return true;
    if ((byte < 32 && (byte < 9 || byte > 13)) || byte > 126) return false;
  }
  return true;
}

function putBytes(out: TextOut, bytes: Uint8Array, from: number, to: number): void {
  out.putText('ARRAY[');
  for (let at = from; at < to; at++) {
    if (at > from) out.putText(', ');
    out.putHexByte(bytes[at] as number);
  }
  out.putByte(93);
}
