/** Learns templates (ftrace-template.ts) from lines: regular expressions are for the first lines of an event only. */
import { latin1 } from '../base/bytes.ts';
import { NO_FIELDS, VALUE, createTemplate, MAX_FIELDS, type Template, type TemplateField } from './ftrace-template.ts';

/** Makes a template of the body `[at, end)`; `known` is one that did not fit, whose text fields stay text. */
export type Learn = (bytes: Uint8Array, at: number, end: number, known: Template | undefined) => Template;

/** In front of the fields of an event whose format trace-cmd could not read. */
const UNPARSED = '[FAILED TO PARSE] ';
const HEX = /^(?:0x[\da-fA-F]{1,16}|[\da-f]{16})$/;
const DECIMAL = /^-?\d{1,15}$/;
/** Option fields: `0x7a54 (31316)`. */
const TWICE = /^0x([\da-fA-F]{1,16}) \((-?\d{1,20})\)$/;
const KEY = /(?:^| (?:==> )?[[({]?)([A-Za-z_][\w.\-/]*)=/g;

/** From a line of `name=value`. */
export function learnKeyValues(bytes: Uint8Array, at: number, end: number, known: Template | undefined): Template {
  const text = latin1(bytes, at, end);
  const probe = readProbe(text);
  if (probe !== undefined) return learnPairs(text, probe, known);
  return learnPairs(text, { labels: [], names: [], end: text.startsWith(UNPARSED) ? UNPARSED.length : 0 }, known);
}

/** Fields in front of the pairs, and where those begin. */
interface Lead {
  readonly labels: string[];
  readonly names: string[];
  readonly end: number;
}

/**
 * `(do_sys_openat2+0x0/0x170) dfd=…` and `(caller+0x6a/0xa0 <- do_sys_openat2) ret=…`: where the probe is, under the names that
 * the kernel's format has.
 */
function readProbe(text: string): Lead | undefined {
  const match = /^\(([^()]*?)( <- [^()]*)?\)(?= |$)/.exec(text);
  if (match === null) return undefined;
  const isReturn = match[2] !== undefined;
  return {
    labels: isReturn ? ['(', ' <- '] : ['('],
    names: isReturn ? ['__probe_ret_ip', '__probe_func'] : ['__probe_ip'],
    end: match[0].length - 1,
  };
}

function learnPairs(text: string, lead: Lead, known: Template | undefined): Template {
  const rest = text.slice(lead.end);
  const isProbe = lead.names.length > 0;
  const keys = [...(isProbe ? rest.slice(1) : rest).matchAll(KEY)].slice(0, MAX_FIELDS - 2);
  const names = [...lead.names, ...keys.map((key) => key[1] as string)];
  // Text in front of the first field has no label that would fit the next line.
  if (names.length === 0 || (!isProbe && keys[0]?.index !== 0) || hasDuplicates(names)) return NO_FIELDS;
  const labels = keys.map((key) => key[0]);
  let suffix = /[[({][^\])}]*=$/.test(labels.at(-1) ?? '') ? (/[\])}]$/.exec(text)?.[0] ?? '') : '';
  for (const unit of rest.matchAll(/=-?\d{1,15}( \[\w+\])(?= |$)/g)) {
    const unitEnd = unit.index + unit[0].length;
    if (unitEnd === rest.length) suffix = unit[1] as string;
    const following = keys.findIndex((key) => key.index === unitEnd - (isProbe ? 1 : 0));
    if (following > 0) labels[following] = (unit[1] as string) + (labels[following] as string);
  }
  if (isProbe) {
    // The closing parenthesis is part of what stands in front of the first pair.
    if (labels.length === 0) suffix = text.slice(lead.end);
    else labels[0] = `)${labels[0]}`;
  } else labels[0] = text.slice(0, lead.end) + (labels[0] as string);
  return build(text, [...lead.labels, ...labels], names, suffix, known, false);
}

/** From a system call as the kernel prints it, behind the opening parenthesis. */
export function learnCall(bytes: Uint8Array, at: number, end: number, known: Template | undefined): Template {
  return learnArguments(bytes, at, end, known, ')');
}

/** From a system call as trace-cmd prints it: the arguments alone, or raw fields (`-R`, option fields). */
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

/** From the call of a function as trace-cmd prints it: its name, and its caller's where that is asked for (`-O parent`); or raw fields. */
export function learnFunction(bytes: Uint8Array, at: number, end: number, known: Template | undefined): Template {
  const raw = learnKeyValues(bytes, at, end, known);
  if (raw.fields.length > 0) return raw;
  return latin1(bytes, at, end).includes(CALLED_BY) ? CALLEE_AND_CALLER : CALLEE;
}

const CALLED_BY = ' <-- ';
const IP: TemplateField = { label: '', field: { name: 'ip', kind: 'string', type: '', hex: false }, form: VALUE.text };
const PARENT_IP: TemplateField = { label: CALLED_BY, field: { name: 'parent_ip', kind: 'string', type: '', hex: false }, form: VALUE.text };
export const CALLEE = createTemplate([IP], '');
/** Tried before the other one, which any text fits. */
export const CALLEE_AND_CALLER = createTemplate([IP, PARENT_IP], '');
const RETURN = createTemplate([{ label: '', field: { name: 'ret', kind: 'int64', type: '', hex: true }, form: VALUE.hex }], '');

function build(
  text: string,
  labels: readonly string[],
  names: readonly string[],
  suffix: string,
  known: Template | undefined,
  isCall: boolean,
): Template {
  const wasText = new Set(known?.fields.filter((field) => field.kind === 'string').map((field) => field.name));
  let p = 0;
  const parts = labels.map((label, index): TemplateField => {
    const start = p + label.length;
    const next = labels[index + 1];
    const stop = next === undefined ? text.length - suffix.length : text.indexOf(next, start);
    p = stop;
    const name = names[index] as string;
    return toPart(label, name, wasText.has(name) ? '' : text.slice(start, stop), isCall);
  });
  return createTemplate(parts, suffix);
}

function toPart(label: string, name: string, value: string, isCall: boolean): TemplateField {
  // The kernel prints arguments of system calls in hexadecimal, those below ten without `0x`.
  if (HEX.test(value) || (isCall && /^\d$/.test(value))) {
    return { label, field: { name, kind: 'uint64', type: '', hex: true }, form: VALUE.hex };
  }
  if (DECIMAL.test(value)) return { label, field: { name, kind: 'int64', type: '', hex: false }, form: VALUE.decimal };
  const twice = TWICE.exec(value);
  if (twice === null) return { label, field: { name, kind: 'string', type: '', hex: false }, form: VALUE.text };
  // An address is hexadecimal; its decimal is of no use, and may be too long.
  return (twice[1] as string).length > 11
    ? { label, field: { name, kind: 'uint64', type: '', hex: true }, form: VALUE.hexWithDecimal }
    : { label, field: { name, kind: 'int64', type: '', hex: false }, form: VALUE.decimalBehindHex };
}

function hasDuplicates(names: readonly string[]): boolean {
  return new Set(names).size !== names.length;
}
