/**
 * How the fields of one event stand in its text, learnt from its first line (ftrace-learn.ts) and tried on all that follow:
 *
 *   prev_comm=bash prev_pid=11843 prev_prio=120 prev_state=R+ ==> next_comm=sleep next_pid=0 next_prio=120
 *   +--------- label 0     +-- label 1 " prev_pid="        +-- label 4 " ==> next_comm="
 *   runtime=109390 [ns]                             suffix " [ns]": a unit is no part of a number
 *   vec=9 [action=RCU]                              labels "vec=", " [action=", suffix "]"
 *   sys_read(fd: 3, buf: 0x7ffe, count: 0x340)      labels "fd: ", ", buf: ", ", count: ", suffix ")"
 *   pid=0x7a54 (31316)                              option fields: the number twice
 *
 * A value reaches to the next label, so it may hold spaces and `=`. A template that expects a number where a line has text
 * does not match; the line then makes another template, in which that field is text.
 */
import { isDigit } from '../base/bytes.ts';
import type { EventField } from '../model/event-batch.ts';

const NEWLINE = 10;
const CARRIAGE_RETURN = 13;
const SPACE = 32;
const OPEN_PAREN = 40;
const CLOSE_PAREN = 41;
const DASH = 45;
export const MAX_FIELDS = 64;

/** How a value is written. */
export const VALUE = { text: 0, decimal: 1, hex: 2, hexWithDecimal: 3, decimalBehindHex: 4 } as const;
type ValueForm = (typeof VALUE)[keyof typeof VALUE];

export interface Template {
  /** The labels in front of the values, one after the other; label `i` ends at `labelEnds[i]`. */
  readonly labels: Uint8Array;
  readonly labelEnds: Uint32Array;
  readonly suffix: Uint8Array;
  readonly fields: readonly EventField[];
  readonly forms: Uint8Array;
}

export interface TemplateField {
  readonly label: string;
  readonly field: EventField;
  readonly form: ValueForm;
}

export function createTemplate(parts: readonly TemplateField[], suffix: string): Template {
  const labelEnds = new Uint32Array(parts.length);
  let end = 0;
  parts.forEach(({ label }, index) => {
    labelEnds[index] = end += label.length;
  });
  return {
    labels: toBytes(parts.map(({ label }) => label).join('')),
    labelEnds,
    suffix: toBytes(suffix),
    fields: parts.map(({ field }) => field),
    forms: Uint8Array.from(parts, ({ form }) => form),
  };
}

/** For events whose body is text: one row per line, no fields. */
export const NO_FIELDS: Template = createTemplate([], '');

/** A value's text in a line, and its 64 bits where it is a number; arrays for all fields of a line, used again and again. */
export class FieldValuesScratch {
  readonly start = new Uint32Array(MAX_FIELDS);
  readonly end = new Uint32Array(MAX_FIELDS);
  readonly low = new Uint32Array(MAX_FIELDS);
  readonly high = new Uint32Array(MAX_FIELDS);
}

/** Of the line at hand, whichever session reads it: none waits within a line. */
export const FIELD_VALUES = new FieldValuesScratch();

/**
 * Splits a body by the template; returns its end, or -1 when it does not fit. An `isOpen` body reaches to the end of its line,
 * wherever that is in `[at, end)`; else it is `[at, end)`.
 */
export function matchTemplate(
  template: Template,
  bytes: Uint8Array,
  at: number,
  end: number,
  isOpen: boolean,
  into: FieldValuesScratch,
): number {
  const { labels, labelEnds, suffix, forms } = template;
  const count = forms.length;
  let p = at;
  let label = 0;
  const firstEnd = labelEnds[0] as number;
  while (label < firstEnd) if (bytes[p++] !== labels[label++]) return -1;
  for (let field = 0; field < count; field++) {
    const form = forms[field] as number;
    const isLast = field === count - 1;
    if (form === VALUE.text) {
      const stop = isLast ? endOf(bytes, p, end, isOpen) : findLabel(bytes, p, end, isOpen, labels, label, labelEnds[field + 1] as number);
      if (stop < 0) return -1;
      into.start[field] = p;
      if (isLast) return closeText(template, bytes, stop, field, into);
      into.end[field] = stop;
      const nextEnd = labelEnds[field + 1] as number;
      p = stop + nextEnd - label;
      label = nextEnd;
      continue;
    }
    into.start[field] = p;
    p = form === VALUE.decimal ? readDecimal(bytes, p, into, field) : readOther(bytes, p, form, into, field);
    if (p < 0) return -1;
    into.end[field] = p;
    if (isLast) break;
    const nextEnd = labelEnds[field + 1] as number;
    while (label < nextEnd) if (bytes[p++] !== labels[label++]) return -1;
  }
  for (let i = 0; i < suffix.length; i++) if (bytes[p++] !== suffix[i]) return -1;
  return isOpen ? (p < end && bytes[p] === NEWLINE ? p : -1) : p === end ? p : -1;
}

/** The end of a body whose last field is text, after checking the suffix. */
function closeText(template: Template, bytes: Uint8Array, end: number, field: number, into: FieldValuesScratch): number {
  const { suffix } = template;
  const valueEnd = end - suffix.length;
  if (valueEnd < (into.start[field] as number)) return -1;
  for (let i = 0; i < suffix.length; i++) if (bytes[valueEnd + i] !== suffix[i]) return -1;
  into.end[field] = valueEnd;
  return end;
}

/** The newline of an open body; -1 where the line is not whole or has a carriage return, which the careful way cuts. */
function endOf(bytes: Uint8Array, at: number, end: number, isOpen: boolean): number {
  if (!isOpen) return end;
  let p = at;
  while (p < end && bytes[p] !== NEWLINE) p++;
  return p < end && bytes[p - 1] !== CARRIAGE_RETURN ? p : -1;
}

function findLabel(
  bytes: Uint8Array,
  start: number,
  end: number,
  isOpen: boolean,
  labels: Uint8Array,
  label: number,
  labelEnd: number,
): number {
  const first = labels[label] as number;
  for (let p = start; p < end; p++) {
    const byte = bytes[p] as number;
    if (byte === first) {
      let i = label + 1;
      let q = p + 1;
      while (i < labelEnd && bytes[q] === labels[i]) {
        i++;
        q++;
      }
      if (i === labelEnd) return q <= end ? p : -1;
    }
    if (byte === NEWLINE && isOpen) return -1;
  }
  return -1;
}

/** A decimal below 2^53 in magnitude (longer ones are text); returns its end or -1. */
function readDecimal(bytes: Uint8Array, start: number, into: FieldValuesScratch, field: number): number {
  let p = start;
  let byte = bytes[p] as number;
  const isNegative = byte === DASH;
  if (isNegative) byte = bytes[++p] as number;
  const from = p;
  let value = 0;
  while (byte >= 48 && byte <= 57) {
    value = value * 10 + byte - 48;
    byte = bytes[++p] as number;
  }
  if (p === from || p - from > 15) return -1;
  if (value < 0x8000_0000) {
    into.low[field] = isNegative ? -value : value;
    into.high[field] = isNegative && value > 0 ? -1 : 0;
  } else {
    const signed = isNegative ? -value : value;
    const high = Math.floor(signed / 0x1_0000_0000);
    into.low[field] = signed - high * 0x1_0000_0000;
    into.high[field] = high;
  }
  return p;
}

export function readOther(bytes: Uint8Array, start: number, form: number, into: FieldValuesScratch, field: number): number {
  const p = readHex(bytes, start, into, field);
  if (p < 0 || form === VALUE.hex) return p;
  if (bytes[p] !== SPACE || bytes[p + 1] !== OPEN_PAREN) return -1;
  const { low, high } = into;
  const hexLow = low[field] as number;
  const hexHigh = high[field] as number;
  let close = readDecimal(bytes, p + 2, into, field);
  if (form === VALUE.hexWithDecimal) {
    low[field] = hexLow;
    high[field] = hexHigh;
    // Its own decimal may be longer than a number that is read.
    if (close < 0) for (close = p + 2; isDigit(bytes[close]) || bytes[close] === DASH;) close++;
  }
  return close > 0 && bytes[close] === CLOSE_PAREN ? close + 1 : -1;
}

/** `0x1f`, 16 bare digits as `%p` prints them, or a lone digit below ten; returns its end or -1. */
function readHex(bytes: Uint8Array, start: number, into: FieldValuesScratch, field: number): number {
  const isPrefixed = bytes[start] === 48 && bytes[start + 1] === 120;
  const from = isPrefixed ? start + 2 : start;
  let p = from;
  let low = 0;
  let high = 0;
  for (;;) {
    const byte = bytes[p] as number;
    let digit = byte - 48;
    if (digit < 0 || digit > 9) {
      digit = (byte | 32) - 87;
      if (digit < 10 || digit > 15) break;
    }
    high = (high << 4) | (low >>> 28);
    low = (low << 4) | digit;
    p++;
    if (p - from > 16) return -1;
  }
  const digits = p - from;
  if (digits === 0 || (!isPrefixed && digits !== 16 && !(digits === 1 && low < 10))) return -1;
  into.low[field] = low;
  into.high[field] = high;
  return p;
}

/** One byte per character: labels come from text that was read so. */
function toBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
