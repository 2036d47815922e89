/**
 * How the fields of one event stand in its text, learnt from its first line and tried on all that follow:
 *
 *   prev_comm=bash prev_pid=11843 prev_prio=120 prev_state=R+ ==> next_comm=sleep next_pid=0 next_prio=120
 *   +--------- label 0     +-- label 1 " prev_pid="        +-- label 4 " ==> next_comm="
 *   runtime=109390 [ns]                             suffix " [ns]": a unit is no part of a number
 *   vec=9 [action=RCU]                              labels "vec=", " [action=", suffix "]"
 *   sys_read(fd: 3, buf: 0x7ffe, count: 0x340)      labels "fd: ", ", buf: ", ", count: ", suffix ")"
 *
 * A value reaches to the next label, so it may hold spaces and `=`. A template that expects a number where a line has text
 * does not match; the line then makes another template, in which that field is text.
 */
import type { EventField } from '../model/event-batch.ts';

const MAX_FIELDS = 64;

export interface Template {
  readonly labels: readonly Uint8Array[];
  readonly suffix: Uint8Array;
  readonly fields: readonly EventField[];
}

/** A value's text in a line, and its 64 bits where it is a number; arrays for all fields of a line, used again and again. */
export class FieldValuesScratch {
  readonly start = new Uint32Array(MAX_FIELDS);
  readonly end = new Uint32Array(MAX_FIELDS);
  readonly low = new Uint32Array(MAX_FIELDS);
  readonly high = new Uint32Array(MAX_FIELDS);
}

/** Splits `[at, end)` by the template; false when it does not fit. */
export function matchTemplate(template: Template, bytes: Uint8Array, at: number, end: number, into: FieldValuesScratch): boolean {
  const { labels, suffix, fields } = template;
  const valuesEnd = end - suffix.length;
  if (suffix.length > 0 && !matches(bytes, valuesEnd, end, suffix)) return false;
  let p = at;
  if (labels.length > 0) {
    const first = labels[0] as Uint8Array;
    if (!matches(bytes, p, valuesEnd, first)) return false;
    p += first.length;
  }
  for (let field = 0; field < labels.length; field++) {
    const next = labels[field + 1];
    const { kind, hex } = fields[field] as EventField;
    let stop: number;
    if (kind === 'string') {
      stop = next === undefined ? valuesEnd : findLabel(bytes, p, valuesEnd, next);
      if (stop < 0) return false;
    } else {
      stop = hex ? readHex(bytes, p, valuesEnd, into, field) : readDecimal(bytes, p, valuesEnd, into, field);
      if (stop < 0 || (next === undefined ? stop !== valuesEnd : !matches(bytes, stop, valuesEnd, next))) return false;
    }
    into.start[field] = p;
    into.end[field] = stop;
    p = next === undefined ? stop : stop + next.length;
  }
  return true;
}

function matches(bytes: Uint8Array, at: number, end: number, label: Uint8Array): boolean {
  if (at + label.length > end) return false;
  for (let i = 0; i < label.length; i++) if (bytes[at + i] !== label[i]) return false;
  return true;
}

function findLabel(bytes: Uint8Array, start: number, end: number, label: Uint8Array): number {
  const first = label[0] as number;
  const last = end - label.length;
  for (let p = start; p <= last; p++) if (bytes[p] === first && matches(bytes, p, end, label)) return p;
  return -1;
}

/** A decimal below 2^53 in magnitude (longer ones are text); returns its end or -1. */
function readDecimal(bytes: Uint8Array, start: number, end: number, into: FieldValuesScratch, field: number): number {
  const negative = bytes[start] === 45;
  const from = negative ? start + 1 : start;
  let p = from;
  let value = 0;
  for (let byte = bytes[p] as number; p < end && byte >= 48 && byte <= 57; byte = bytes[++p] as number) value = value * 10 + byte - 48;
  if (p === from || p - from > 15) return -1;
  if (value < 0x8000_0000) {
    into.low[field] = negative ? -value : value;
    into.high[field] = negative && value > 0 ? -1 : 0;
  } else {
    const signed = negative ? -value : value;
    const high = Math.floor(signed / 0x1_0000_0000);
    into.low[field] = signed - high * 0x1_0000_0000;
    into.high[field] = high;
  }
  return p;
}

/** `0x1f`, 16 bare digits as `%p` prints them, or a lone 0; returns its end or -1. */
function readHex(bytes: Uint8Array, start: number, end: number, into: FieldValuesScratch, field: number): number {
  const prefixed = bytes[start] === 48 && bytes[start + 1] === 120;
  const from = prefixed ? start + 2 : start;
  let p = from;
  let low = 0;
  let high = 0;
  while (p < end) {
    const byte = bytes[p] as number;
    const letter = byte | 32;
    const digit = byte >= 48 && byte <= 57 ? byte - 48 : letter >= 97 && letter <= 102 ? letter - 87 : -1;
    if (digit < 0) break;
    high = (high << 4) | (low >>> 28);
    low = (low << 4) | digit;
    p++;
  }
  const digits = p - from;
  if (digits === 0 || digits > 16 || (!prefixed && digits !== 16 && !(digits === 1 && low === 0))) return -1;
  into.low[field] = low;
  into.high[field] = high;
  return p;
}

/** Learns a template from a line of `name=value`; `known` is the template that did not fit, whose text fields stay text. */
export function learnKeyValues(bytes: Uint8Array, at: number, end: number, known: Template | undefined): Template {
  const text = latin1(bytes, at, end);
  const keys = [...text.matchAll(/(?:^| (?:==> )?[[({]?)([A-Za-z_][\w.\-/]*)=/g)].slice(0, MAX_FIELDS);
  // Text in front of the first field (kprobes: `(do_sys_open+0x0/0x10) dfd=…`) has no label that would fit the next line.
  if (keys[0] === undefined || keys[0].index !== 0 || hasDuplicates(keys.map((key) => key[1] as string))) return NO_FIELDS;
  const labels = keys.map((key) => key[0]);
  let suffix = /[[({][^\])}]*=$/.test(labels.at(-1) ?? '') ? (/[\])}]$/.exec(text)?.[0] ?? '') : '';
  for (const unit of text.matchAll(/=-?\d{1,15}( \[\w+\])(?= |$)/g)) {
    const unitEnd = unit.index + unit[0].length;
    if (unitEnd === text.length) suffix = unit[1] as string;
    const following = keys.findIndex((key) => key.index === unitEnd);
    if (following > 0) labels[following] = (unit[1] as string) + (labels[following] as string);
  }
  return build(
    text,
    labels,
    keys.map((key) => key[1] as string),
    suffix,
    known,
    false,
  );
}

/** Learns a template from a system call as the kernel prints it, behind the opening parenthesis. */
export function learnCall(bytes: Uint8Array, at: number, end: number, known: Template | undefined): Template {
  return learnArguments(bytes, at, end, known, ')');
}

/** Learns a template from a system call as trace-cmd prints it: the arguments alone, or raw fields (`-R`). */
export function learnBareCall(bytes: Uint8Array, at: number, end: number, known: Template | undefined): Template {
  const template = learnArguments(bytes, at, end, known, '');
  return template.fields.length > 0 ? template : learnKeyValues(bytes, at, end, known);
}

/** Types in front of the names (option `verbose`) are part of the labels. */
function learnArguments(bytes: Uint8Array, at: number, end: number, known: Template | undefined, suffix: string): Template {
  const text = latin1(bytes, at, end);
  const keys = [...text.matchAll(/(?:^|, )(?:[\w*][\w *[\]]*[ *])?([A-Za-z_]\w*): /g)].slice(0, MAX_FIELDS);
  const names = keys.map((key) => key[1] as string);
  if (keys[0]?.index !== 0 || !text.endsWith(suffix) || hasDuplicates(names)) return NO_FIELDS;
  return build(
    text,
    keys.map((key) => key[0]),
    names,
    suffix,
    known,
    true,
  );
}

/** The return value of a system call: binary pages hold it as a signed long. */
export function learnReturn(bytes: Uint8Array, at: number, end: number, known: Template | undefined): Template {
  const raw = learnKeyValues(bytes, at, end, known);
  return raw.fields.length > 0 ? raw : RETURN;
}

const RETURN: Template = {
  labels: [new Uint8Array(0)],
  suffix: new Uint8Array(0),
  fields: [{ name: 'ret', kind: 'int64', type: '', hex: true }],
};

/** For events whose body is text: one row per line, no fields. */
export const NO_FIELDS: Template = { labels: [], suffix: new Uint8Array(0), fields: [] };

function build(
  text: string,
  labels: readonly string[],
  names: readonly string[],
  suffix: string,
  known: Template | undefined,
  hexWhenNumber: boolean,
): Template {
  const wasText = new Set(known?.fields.filter((field) => field.kind === 'string').map((field) => field.name));
  let p = 0;
  const fields = labels.map((label, index): EventField => {
    const start = p + label.length;
    const next = labels[index + 1];
    const stop = next === undefined ? text.length - suffix.length : text.indexOf(next, start);
    p = stop;
    const name = names[index] as string;
    const value = text.slice(start, stop);
    if (wasText.has(name)) return { name, kind: 'string', type: '', hex: false };
    if (/^(?:0x[\da-fA-F]{1,16}|[\da-f]{16})$/.test(value) || (hexWhenNumber && /^0$/.test(value))) {
      return { name, kind: 'uint64', type: '', hex: true };
    }
    return { name, kind: /^-?\d{1,15}$/.test(value) ? 'int64' : 'string', type: '', hex: false };
  });
  return { labels: labels.map(toBytes), suffix: toBytes(suffix), fields };
}

function hasDuplicates(names: readonly string[]): boolean {
  return new Set(names).size !== names.length;
}

/** One character per byte, so that lengths agree; labels go back the same way. */
function latin1(bytes: Uint8Array, start: number, end: number): string {
  let text = '';
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i] as number);
  return text;
}

function toBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
