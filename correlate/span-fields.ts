/** What span rules read of events: names, labels, attributes and keys. */
import { Int64Array, TWO_POW_32 } from '../base/int64.ts';
import { fieldText, type EventBatch, type EventTable } from '../model/event-batch.ts';
import { VALUE_NAMES, type SpanRule } from './span-rules.ts';

/** Of two whole numbers in one key the second has 31 bits, the first what is left of a double: pids have 22. */
const SECOND_PART = 2 ** 31;
/** A pointer's high bits are the same for all; of the rest a double holds 53. */
const POINTER_HIGH = 0x1f_ffff;

export type Key = number | string;

export interface SpanBegin {
  readonly name: string;
  readonly label: string;
  readonly cpu: number;
  readonly pid: number;
  readonly attributes: readonly (readonly [string, string | number])[];
}

export function readLabel({ label }: SpanRule, events: EventBatch, table: EventTable, row: number): string {
  return label === undefined ? '' : String(readField(events, table, label, row) ?? '');
}

export function describeBegin(rule: SpanRule, events: EventBatch, table: EventTable, row: number): SpanBegin {
  return {
    name: rule.spanName.replaceAll(/\{(\w+)\}/g, (_, field: string) => String(readField(events, table, field, row) ?? '?')),
    label: readLabel(rule, events, table, row),
    cpu: table.cpu[row] as number,
    pid: table.pid[row] as number,
    attributes: readFields(rule.attributes, events, table, row),
  };
}

export function readFields(
  wanted: Readonly<Record<string, string>>,
  events: EventBatch,
  table: EventTable,
  row: number,
): (readonly [string, string | number])[] {
  return Object.entries(wanted).flatMap(([attribute, field]) => {
    const value = readField(events, table, field, row);
    return value === undefined ? [] : [[attribute, value] as const];
  });
}

/** A field as a number, as the kernel's name for the number, or as text; 64-bit numbers and addresses as text. */
function readField(events: EventBatch, table: EventTable, field: string, row: number): string | number | undefined {
  const index = table.schema.fields.findIndex((candidate) => candidate.name === field);
  const found = table.schema.fields[index];
  if (found === undefined) return undefined;
  const text = fieldText(events, table, index, row);
  if (found.kind === 'string' || found.hex) return text;
  const value = VALUE_NAMES[field]?.[Number(text)] ?? Number(text);
  return typeof value === 'string' || Number.isSafeInteger(value) ? value : text;
}

/** Key of a row: the numbers or texts of the rule's key fields. The form of a key follows from the rule alone: it outlives a batch. */
export function toKeyReader(parts: readonly string[], wideKey: boolean, events: EventBatch, table: EventTable): (row: number) => Key {
  const [first, second] = parts.map((part) => toNumberReader(part, table, parts.length > 1));
  if (!wideKey && first !== undefined) {
    return second === undefined ? first : (row) => first(row) * SECOND_PART + (second(row) % SECOND_PART);
  }
  const readers = parts.map((part): ((row: number) => string) => {
    const index = table.schema.fields.findIndex((field) => field.name === part);
    if (index < 0) return (row) => String(toNumberReader(part, table, true)?.(row) ?? '?');
    return (row) => fieldText(events, table, index, row);
  });
  return (row) => readers.map((reader) => reader(row)).join('/');
}

/** undefined where the value is a text or missing. */
function toNumberReader(part: string, table: EventTable, shares: boolean): ((row: number) => number) | undefined {
  const column = table.column(part);
  const { cpu, pid } = table;
  if (column === undefined && part === 'cpu') return (row) => cpu[row] as number;
  if (column === undefined && part === 'pid') return (row) => (pid[row] === 0 ? -1 - (cpu[row] as number) : (pid[row] as number));
  if (column === undefined || column.kind === 'string') return undefined;
  const { values } = column;
  if (!(values instanceof Int64Array)) return (row) => values[row] as number;
  const { words } = values;
  if (shares) return (row) => words[row * 2] as number;
  return (row) => ((words[row * 2 + 1] as number) & POINTER_HIGH) * TWO_POW_32 + (words[row * 2] as number);
}

/** A part of a key as text, the same whatever kernel and form of input it comes from. */
export function readKeyText(events: EventBatch, table: EventTable, part: string, row: number): string {
  const index = table.schema.fields.findIndex((field) => field.name === part);
  if (index < 0) return String(toNumberReader(part, table, true)?.(row) ?? '?');
  const text = fieldText(events, table, index, row);
  return /^0x[0-9a-f]{1,16}$/i.test(text) ? BigInt(text).toString() : text;
}
