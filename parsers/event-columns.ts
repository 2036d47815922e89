/**
 * From the fields of an event format to loops that fill one column each. Records of one event are first gathered (their
 * offsets in the pages), then each field is read for all of them by one loop that knows the field's kind:
 *
 *   records of irq:irq_handler_entry   at 4016, 4072, 4120, …        (gathered by ring-buffer.ts)
 *     field irq   scalar s32, +8       values[row] = getInt32(at + 8)
 *     field name  data_loc char, +12   ids[row] = intern(at + (loc & 0xffff), loc >>> 16)
 *
 * On the pages of bench/ring-buffer.bench.ts a column at a time reads 14.7 M events/s; a reader per record made of one closure
 * per field 10.0 M, one generated with `new Function` 13.4 M. So nothing has to be generated from kernel text.
 */
import { decodeUtf8, encodeUtf8, toHex } from '../base/bytes.ts';
import type { Interner } from '../base/interner.ts';
import type { EventField, FieldKind, FieldValues } from '../model/event-batch.ts';
import { elementSizeBytes, isSignedType, type EventFormat, type FormatField } from './event-format.ts';
import { findFieldsOf, findHexFields } from './print-format.ts';

/** Records of one event in a run of pages: payloads are `[starts[i], ends[i])`. */
export interface RecordRun {
  readonly view: DataView;
  readonly bytes: Uint8Array;
  readonly little: boolean;
  readonly starts: Uint32Array;
  readonly ends: Uint32Array;
  readonly count: number;
  readonly strings: Interner;
  readonly names: NameCache;
  /** Bytes that arrays and located values may still take from the records: overlapping ones must not multiply a page. */
  budgetBytes: number;
}

/** Fills rows `[row, row + run.count)` of a column; returns how many values pointed outside of their record. */
export type ColumnReader = (run: RecordRun, column: FieldValues, row: number) => number;

export interface ColumnPlan {
  readonly field: EventField;
  readonly read: ColumnReader;
}

/** Bytes that every record of the event must have: the end of its last fixed-size field. */
export function minRecordBytes(format: EventFormat): number {
  let least = 2;
  for (const field of [...format.common, ...format.fields]) {
    if (isOpenEnded(format, field)) continue;
    least = Math.max(least, field.offsetBytes + field.sizeBytes);
  }
  return least;
}

/** Fields that run to the end of the record. The kernel writes as many callers as there are, whatever the format says. */
function isOpenEnded(format: EventFormat, field: FormatField): boolean {
  return field.shape === 'flexible' || (format.system === 'ftrace' && format.event === 'kernel_stack' && field.name === 'caller');
}

/** One plan per field of the event (without the common ones), in the format's order. */
export function planColumns(format: EventFormat, longBytes: 4 | 8): ColumnPlan[] {
  const hex = findHexFields(format.printFormat);
  const masks = findFieldsOf(format.printFormat, '__get_bitmask');
  return format.fields.map((field) => {
    const isHex = hex.has(field.name) || (field.shape === 'scalar' && field.element.endsWith('*'));
    if (field.shape === 'scalar') {
      const scalar = planScalar(field);
      if (scalar !== undefined) return toPlan(field, scalar.kind, isHex, scalar.read);
    }
    const locate = locatorOf(format, field);
    const render = rendererOf(format, field, { longBytes, isHex, isMask: masks.has(field.name) });
    if (render === undefined) return toPlan(field, 'string', isHex, readTexts(locate));
    return toPlan(field, 'string', isHex, readRendered(locate, render));
  });
}

function toPlan(field: FormatField, kind: FieldKind, hex: boolean, read: ColumnReader): ColumnPlan {
  return { field: { name: field.name, kind, type: field.type, hex }, read };
}

/** Integers of the natural sizes; anything else (a struct by value) is shown as bytes. */
function planScalar(field: FormatField): { readonly kind: FieldKind; readonly read: ColumnReader } | undefined {
  const at = field.offsetBytes;
  switch (field.sizeBytes) {
    case 1:
      return field.signed ? { kind: 'int32', read: readInt8s(at) } : { kind: 'uint32', read: readUint8s(at) };
    case 2:
      return field.signed ? { kind: 'int32', read: readInt16s(at) } : { kind: 'uint32', read: readUint16s(at) };
    case 4:
      return field.signed ? { kind: 'int32', read: readInt32s(at) } : { kind: 'uint32', read: readUint32s(at) };
    case 8:
      return { kind: field.signed ? 'int64' : 'uint64', read: readInt64s(at) };
    default:
      return undefined;
  }
}

function readUint8s(offset: number): ColumnReader {
  return ({ bytes, starts, count }, column, row) => {
    const values = column.values as Uint32Array;
    for (let i = 0; i < count; i++) values[row + i] = bytes[(starts[i] as number) + offset] as number;
    return 0;
  };
}

function readInt8s(offset: number): ColumnReader {
  return ({ bytes, starts, count }, column, row) => {
    const values = column.values as Int32Array;
    for (let i = 0; i < count; i++) values[row + i] = ((bytes[(starts[i] as number) + offset] as number) << 24) >> 24;
    return 0;
  };
}

function readUint16s(offset: number): ColumnReader {
  return ({ view, little, starts, count }, column, row) => {
    const values = column.values as Uint32Array;
    for (let i = 0; i < count; i++) values[row + i] = view.getUint16((starts[i] as number) + offset, little);
    return 0;
  };
}

function readInt16s(offset: number): ColumnReader {
  return ({ view, little, starts, count }, column, row) => {
    const values = column.values as Int32Array;
    for (let i = 0; i < count; i++) values[row + i] = view.getInt16((starts[i] as number) + offset, little);
    return 0;
  };
}

function readUint32s(offset: number): ColumnReader {
  return ({ view, little, starts, count }, column, row) => {
    const values = column.values as Uint32Array;
    for (let i = 0; i < count; i++) values[row + i] = view.getUint32((starts[i] as number) + offset, little);
    return 0;
  };
}

export function readInt32s(offset: number): ColumnReader {
  return ({ view, little, starts, count }, column, row) => {
    const values = column.values as Int32Array;
    for (let i = 0; i < count; i++) values[row + i] = view.getInt32((starts[i] as number) + offset, little);
    return 0;
  };
}

function readInt64s(offset: number): ColumnReader {
  return ({ view, little, starts, count }, column, row) => {
    if (column.kind !== 'int64' && column.kind !== 'uint64') return 0;
    const { words } = column.values;
    const low = little ? offset : offset + 4;
    const high = little ? offset + 4 : offset;
    for (let i = 0, word = row * 2; i < count; i++, word += 2) {
      const start = starts[i] as number;
      words[word] = view.getUint32(start + low, little);
      words[word + 1] = view.getUint32(start + high, little);
    }
    return 0;
  };
}

/** Where a value lies: sets `from` and `to`, false where it would lie outside of its record. */
interface Locator {
  from: number;
  to: number;
  locate(view: DataView, little: boolean, start: number, end: number): boolean;
}

function locatorOf(format: EventFormat, field: FormatField): Locator {
  const { offsetBytes, sizeBytes } = field;
  if (field.shape === 'data_loc' || field.shape === 'rel_loc') return locateThrough(offsetBytes, field.shape === 'rel_loc');
  const openEnded = isOpenEnded(format, field);
  return {
    from: 0,
    to: 0,
    locate(_view, _little, start, end) {
      this.from = start + offsetBytes;
      this.to = openEnded ? end : this.from + sizeBytes;
      return this.from <= end;
    },
  };
}

/** Through a u32 location: length << 16 | offset. */
function locateThrough(offsetBytes: number, relative: boolean): Locator {
  const origin = relative ? offsetBytes + 4 : 0;
  return {
    from: 0,
    to: 0,
    locate(view, little, start, end) {
      const location = view.getUint32(start + offsetBytes, little);
      this.from = start + origin + (location & 0xffff);
      this.to = this.from + (location >>> 16);
      return this.to <= end;
    },
  };
}

/** Bytes up to the first NUL, interned. */
function readTexts(locator: Locator): ColumnReader {
  return (run, column, row) => {
    const ids = column.values as Uint32Array;
    const { view, bytes, little, starts, ends, count, strings, names } = run;
    let budget = run.budgetBytes;
    let outside = 0;
    for (let i = 0; i < count; i++) {
      if (locator.locate(view, little, starts[i] as number, ends[i] as number) && (budget -= locator.to - locator.from) >= 0) {
        ids[row + i] = names.intern(view, bytes, locator.from, locator.to, strings);
      } else {
        ids[row + i] = 0;
        outside++;
      }
    }
    run.budgetBytes = budget;
    return outside;
  };
}

/** Makes a text of a region and gives its id. */
type Renderer = (view: DataView, bytes: Uint8Array, from: number, to: number, little: boolean, strings: Interner) => number;

/** Anything that is shown as composed text: lists, masks, bytes. Rare beside integers and names. */
function readRendered(locator: Locator, render: Renderer): ColumnReader {
  return (run, column, row) => {
    const ids = column.values as Uint32Array;
    const { view, bytes, little, starts, ends, count, strings } = run;
    let outside = 0;
    for (let i = 0; i < count; i++) {
      const inside = locator.locate(view, little, starts[i] as number, ends[i] as number);
      if (inside && (run.budgetBytes -= locator.to - locator.from) >= 0) {
        ids[row + i] = render(view, bytes, locator.from, locator.to, little, strings);
      } else {
        ids[row + i] = 0;
        outside++;
      }
    }
    return outside;
  };
}

interface RenderHints {
  readonly longBytes: 4 | 8;
  readonly isHex: boolean;
  readonly isMask: boolean;
}

/** How a value that is no scalar becomes text; undefined = it is text. */
function rendererOf(format: EventFormat, field: FormatField, { longBytes, isHex, isMask }: RenderHints): Renderer | undefined {
  // `raw_data` has no true length and is whatever its writer made it.
  const isRaw = format.system === 'ftrace' && format.event === 'raw_data';
  if (field.element === 'char' && !isRaw) return field.shape === 'flexible' ? renderLine : undefined;
  if (field.element === 'cpumask_t' || isMask) {
    return (view, _bytes, from, to, little, strings) => strings.internString(renderMask(view, from, to, little, longBytes));
  }
  const bound = Number(/\[(\d+)\]$/.exec(field.type)?.[1] ?? 0);
  const width = elementSizeBytes(field.element, longBytes) ?? (bound > 0 ? field.sizeBytes / bound : 1);
  if (isRaw || (width !== 2 && width !== 4 && width !== 8)) {
    return (_view, bytes, from, to, _little, strings) => strings.internString(toHex(bytes, from, to));
  }
  const signed = field.shape === 'fixed' ? field.signed : isSignedType(field.element);
  if (isHex) return (view, _bytes, from, to, little, strings) => internHexList(view, from, to, little, width, strings);
  return (view, _bytes, from, to, little, strings) => strings.internString(renderList(view, from, to, little, width, signed));
}

/** A marker's text without the line end that the kernel adds. */
function renderLine(_view: DataView, bytes: Uint8Array, from: number, to: number, _little: boolean, strings: Interner): number {
  let end = bytes.indexOf(0, from);
  if (end < 0 || end > to) end = to;
  return strings.internString(decodeUtf8(bytes, from, end > from && bytes[end - 1] === 0x0a ? end - 1 : end));
}

/** `{1,-2,3}`: as the kernel's own __print_array. */
function renderList(view: DataView, from: number, to: number, little: boolean, width: number, signed: boolean): string {
  const values: string[] = [];
  for (let at = from; at + width <= to; at += width) values.push(readInteger(view, at, width, little, signed).toString());
  return `{${values.join(',')}}`;
}

function readInteger(view: DataView, at: number, width: number, little: boolean, signed: boolean): number | bigint {
  if (width === 8) return signed ? view.getBigInt64(at, little) : view.getBigUint64(at, little);
  if (width === 4) return signed ? view.getInt32(at, little) : view.getUint32(at, little);
  return signed ? view.getInt16(at, little) : view.getUint16(at, little);
}

const HEX_DIGITS = encodeUtf8('0123456789abcdef');
/** `0x`, digits and a comma for each two bytes at least. */
const HEX_CHARS_PER_BYTE = 4;
let hexList = new Uint8Array(512);

/**
 * `{0x1,0xff}`, written as bytes: so are the arguments of each system call (`raw_syscalls`), where strings of bigints took a third of
 * an import's time.
 */
function internHexList(view: DataView, from: number, to: number, little: boolean, width: number, strings: Interner): number {
  const room = (to - from) * HEX_CHARS_PER_BYTE + 2;
  if (room > hexList.length) hexList = new Uint8Array(room);
  const out = hexList;
  out[0] = 0x7b;
  let end = 1;
  for (let at = from; at + width <= to; at += width) {
    if (at > from) out[end++] = 0x2c;
    out[end++] = 0x30;
    out[end++] = 0x78;
    const low = width === 2 ? view.getUint16(at, little) : view.getInt32(little || width === 4 ? at : at + 4, little);
    const high = width === 8 ? view.getInt32(little ? at + 4 : at, little) : 0;
    if (high !== 0) end = putHex(out, end, high, 8 - (Math.clz32(high) >>> 2));
    end = putHex(out, end, low, high !== 0 ? 8 : Math.max(1, 8 - (Math.clz32(low) >>> 2)));
  }
  out[end++] = 0x7d;
  return strings.intern(out, 0, end);
}

function putHex(out: Uint8Array, at: number, word: number, digits: number): number {
  for (let left = digits; left > 0; left--) out[at + digits - left] = HEX_DIGITS[(word >>> ((left - 1) * 4)) & 15] as number;
  return at + digits;
}

/** Set bits as ranges, the way sysfs writes CPU lists: `0-3,8`. The mask is an array of `long`, lowest first. */
function renderMask(view: DataView, from: number, to: number, little: boolean, longBytes: number): string {
  const ranges: string[] = [];
  let first = -1;
  const bits = Math.floor((to - from) / longBytes) * longBytes * 8;
  for (let bit = 0; bit <= bits; bit++) {
    const byte = (bit >> 3) % longBytes;
    const at = from + (bit >> 3) - byte + (little ? byte : longBytes - 1 - byte);
    const isSet = bit < bits && (view.getUint8(at) & (1 << (bit & 7))) !== 0;
    if (isSet && first < 0) first = bit;
    if (isSet || first < 0) continue;
    ranges.push(bit - 1 === first ? String(first) : `${first}-${bit - 1}`);
    first = -1;
  }
  return ranges.join(',');
}

const CACHE_SLOTS = 512;
const CACHED_BYTES = 16;

/**
 * Task and device names repeat, so the dictionary id of the last name per hash of its first 16 raw bytes is kept: a
 * without it the bench reads 12.3 M events/s instead of 13.6 M. Zeroed slots are true by themselves: no bytes, id 0.
 */
export class NameCache {
  readonly #words = new Int32Array(CACHE_SLOTS * 4);
  readonly #ids = new Uint32Array(CACHE_SLOTS);

  /** Ids belong to one dictionary: forget them with it. */
  clear(): void {
    this.#words.fill(0);
    this.#ids.fill(0);
  }

  /** The id of `bytes[from, to)` up to its first NUL. */
  intern(view: DataView, bytes: Uint8Array, from: number, to: number, strings: Interner): number {
    const length = to - from;
    // Whole words are read, so the last name of a buffer goes the slow way.
    if (length > CACHED_BYTES || from + CACHED_BYTES > bytes.length) return internUpToNul(bytes, from, to, strings);
    const a = wordOf(view, from, length);
    const b = wordOf(view, from + 4, length - 4);
    const c = wordOf(view, from + 8, length - 8);
    const d = wordOf(view, from + 12, length - 12);
    const mixed = Math.imul(a ^ Math.imul(b, 0x85ebca6b) ^ Math.imul(c, 0xc2b2ae35) ^ Math.imul(d, 0x27d4eb2f), 0x9e3779b1);
    const slot = mixed >>> 23;
    const words = this.#words;
    const at = slot * 4;
    if (words[at] === a && words[at + 1] === b && words[at + 2] === c && words[at + 3] === d) return this.#ids[slot] as number;
    words[at] = a;
    words[at + 1] = b;
    words[at + 2] = c;
    words[at + 3] = d;
    return (this.#ids[slot] = internUpToNul(bytes, from, to, strings));
  }
}

/** Four bytes, those behind `length` as zeros. */
function wordOf(view: DataView, at: number, length: number): number {
  if (length >= 4) return view.getInt32(at, true);
  return length <= 0 ? 0 : view.getInt32(at, true) & ((1 << (length * 8)) - 1);
}

function internUpToNul(bytes: Uint8Array, from: number, to: number, strings: Interner): number {
  let end = from;
  while (end < to && bytes[end] !== 0) end++;
  return strings.intern(bytes, from, end);
}
