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
import { compileField, compileFieldRegion, toWide, type Arithmetic, type EventRecord } from './print-fmt-numbers.ts';
import type { Put } from './print-fmt-strings.ts';
import type { PrintPart } from './print-fmt.ts';
import { toPiece, type TextOut } from './text-out.ts';

/**
 * Prints all fields; `parts` are those of the print format, empty where it can't be computed. `notePast` is called where what is
 * printed from then on depends on it.
 */
export function compileFields(format: EventFormat, parts: readonly PrintPart[], of: Arithmetic, notePast: () => void): Put {
  let next = 0;
  const puts = format.fields.map((field): Put => {
    const name = ` ${field.name}=`;
    const found = field.shape === 'scalar' && next < parts.length ? findPart(parts, next, field.name) : -1;
    // The search goes on behind the last hit, and ends for good where a hit was the last part.
    if (found >= 0) next = found + 1;
    const before = parts[found - 1]?.text ?? '';
    const put = found >= 0 ? (parts[found] as PrintPart).put : compileRawField(field, of, notePast);
    const label = toPiece(found >= 0 && before.endsWith('0x') ? `${name}0x` : name);
    return (record, out) => {
      out.putPiece(label);
      put(record, out);
    };
  });
  return (record, out) => {
    for (const put of puts) put(record, out);
  };
}

/** The part that shows nothing but this field, from `start` on and round to it. */
function findPart(parts: readonly PrintPart[], start: number, name: string): number {
  for (let i = 0; i < parts.length; i++) {
    const at = (start + i) % parts.length;
    if ((parts[at] as PrintPart).field === name) return at;
  }
  return -1;
}

function compileRawField(field: FormatField, of: Arithmetic, notePast: () => void): Put {
  if (field.shape !== 'scalar') return compileArray(field, of, notePast);
  const isLong = /long/.test(field.type);
  if (field.sizeBytes !== 1 && field.sizeBytes !== 2 && field.sizeBytes !== 4 && field.sizeBytes !== 8) {
    return (_record, out) => out.putText(field.signed || !isLong ? '0' : '0x0');
  }
  // Not by its name: another field may have that too.
  const read = toWide(compileField(field, of));
  const putHex: Put = (record, out) => {
    const low = read(record);
    out.putText('0x');
    out.putHexWords(low, record.high);
  };
  if (field.type.includes('*')) return putHex;
  if (!field.signed) return isLong ? putHex : (record, out) => out.putDecimalWords(read(record), record.high, false);
  switch (field.sizeBytes) {
    case 4:
      return isLong ? putHex : (record, out) => out.putDecimal(read(record) | 0);
    case 2:
      return (record, out) => {
        const mark = out.length;
        out.putDecimal((read(record) << 16) >> 16);
        out.pad(mark, 2);
      };
    case 1:
      return (record, out) => out.putDecimal((read(record) << 24) >> 24);
    default:
      return (record, out) => out.putDecimalWords(read(record), record.high, true);
  }
}

function compileArray(field: FormatField, of: Arithmetic, notePast: () => void): Put {
  const { locate } = compileFieldRegion(field, of);
  const isDynamic = field.shape === 'data_loc' || field.shape === 'rel_loc';
  // Once a text of this field was not printable, the field is no text any more.
  let isText = /char|u8|s8/.test(field.type);
  return (record, out) => {
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
