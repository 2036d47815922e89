/**
 * The kernel's own text of trace events, as an oracle for what we read from the pages. With the trace option `fields` it
 * prints each field's stored value:
 *
 *   sh-12301   [001] d..2.  2458.283401: sched_switch: prev_comm=sh prev_pid=0x300d (12301) … next_comm=yes
 *   +-- comm   +-- cpu      +-- µs, rounded             +-- name=value, in the format file's order or not
 */
import { fieldText, type EventBatch, type EventTable } from '../../model/event-batch.ts';

export interface TextEvent {
  readonly cpu: number;
  readonly pid: number;
  readonly flags: string;
  readonly timeUs: bigint;
  readonly event: string;
  readonly body: string;
}

const LINE = /^\s*(.+)-(\d+)\s+\[(\d+)\]\s+(\S+)\s+(\d+)\.(\d+): (.*)$/;
/** Events that `fields` does not print, by the type ids that have been the same since 2.6.33. */
const UNPRINTED: Readonly<Record<string, string>> = {
  4: 'kernel_stack',
  5: 'print',
  6: 'bprint',
  13: 'user_stack',
  15: 'bputs',
  19: 'raw_data',
};

export function parseTextEvents(text: string): TextEvent[] {
  const events: TextEvent[] = [];
  for (const line of text.split('\n')) {
    const match = LINE.exec(line);
    if (match === null || line.startsWith('#')) continue;
    const rest = match[7] as string;
    const unknown = /^UNKNOWN TYPE (\d+)/.exec(rest)?.[1];
    const named = /^(\w+):? ?(.*)$/.exec(rest);
    events.push({
      cpu: Number(match[3]),
      pid: Number(match[2]),
      flags: match[4] as string,
      timeUs: BigInt(match[5] as string) * 1_000_000n + BigInt(match[6] as string),
      event: unknown === undefined ? (named?.[1] ?? '') : (UNPRINTED[unknown] ?? unknown),
      body: unknown === undefined ? (named?.[2] ?? '') : '',
    });
  }
  return events;
}

/** Compares each event of the text with its row; returns what differs, and how many field values were compared. */
export function compareWithText(
  batch: EventBatch,
  events: readonly TextEvent[],
): { readonly differences: string[]; readonly fields: number } {
  const rows = indexRows(batch);
  const seen = new Map<string, number>();
  const differences: string[] = [];
  let fields = 0;
  for (const event of events) {
    const key = `${event.cpu} ${event.event}`;
    const nth = seen.get(key) ?? 0;
    seen.set(key, nth + 1);
    const found = rows.get(key)?.[nth];
    if (found === undefined) {
      differences.push(`no row: ${key} #${nth}`);
      continue;
    }
    const { table, row } = found;
    const where = `${key} #${nth}`;
    if (table.pid[row] !== event.pid) differences.push(`${where}: pid ${table.pid[row]} is not ${event.pid}`);
    const timeUs = (table.rawTime.getBigint(row) + 500n) / 1000n;
    if (timeUs !== event.timeUs) differences.push(`${where}: time ${timeUs} is not ${event.timeUs}`);
    const preempt = ((table.preemptCount[row] as number) & 15).toString(16).replace('0', '.');
    if (preempt !== event.flags[3]) differences.push(`${where}: preempt depth ${preempt} is not in ${event.flags}`);
    if (event.body === '') continue;
    fields += table.schema.fields.length;
    for (let i = 0; i < table.schema.fields.length; i++) compareField(batch, table, i, row, event, where, differences);
  }
  return { differences, fields };
}

function indexRows(batch: EventBatch): Map<string, { table: EventTable; row: number }[]> {
  const rows = new Map<string, { table: EventTable; row: number }[]>();
  for (const table of batch.tables) {
    for (let row = 0; row < table.length; row++) {
      const key = `${table.cpu[row]} ${table.schema.event}`;
      const list = rows.get(key);
      if (list === undefined) rows.set(key, [{ table, row }]);
      else list.push({ table, row });
    }
  }
  return rows;
}

function compareField(
  batch: EventBatch,
  table: EventTable,
  index: number,
  row: number,
  event: TextEvent,
  where: string,
  out: string[],
): void {
  const field = table.schema.fields[index];
  const column = table.fields[index];
  if (field === undefined || column === undefined) return;
  const text = new RegExp(`(?:^| )${field.name}=(.*?)(?= [a-zA-Z_]\\w*=|$)`).exec(event.body)?.[1];
  // A pointer to text is printed as the text, arrays of anything but characters and bytes as their size.
  if (text === undefined || text.includes('<INVALID-SIZE>') || /^(?:const )?char \*/.test(field.type)) return;
  if (column.kind === 'string') {
    const value = fieldText(batch, table, index, row);
    const bytes = /^(?:[0-9a-f]{2},?)+$/.test(text) ? text.replaceAll(',', '') : text;
    // An array as large as an integer is printed as one: an IPv4 address.
    const number = /^0x([0-9a-f]+) \(-?\d+\)$/.exec(text)?.[1];
    const sameNumber = number !== undefined && Buffer.from(value, 'hex').reverse().toString('hex') === number.padStart(value.length, '0');
    if (value !== text && value !== bytes && !sameNumber) out.push(`${where}: ${field.name} "${value}" is not "${text}"`);
    return;
  }
  const value =
    column.kind === 'int64' || column.kind === 'uint64' ? column.values.getBigint(row) : BigInt((column.values as Int32Array)[row] ?? 0);
  const hex = text.includes('+0x') ? undefined : /^\(?(0x[0-9a-f]+)/.exec(text)?.[1];
  const decimal = /\((-?\d+)\)$/.exec(text)?.[1];
  if (hex === undefined && decimal === undefined) out.push(`${where}: ${field.name} not understood: "${text}"`);
  // The decimal of a pointer is cut to an int by the kernel; the hexadecimal of a short one is not sign-extended.
  const same =
    hex === undefined
      ? BigInt.asUintN(32, BigInt(decimal ?? 0)) === BigInt.asUintN(32, value)
      : BigInt.asUintN(64, value) === BigInt(hex) ||
        (column.kind === 'int32' && BigInt.asUintN(32, value) === BigInt.asUintN(32, BigInt(hex)));
  if (!same) out.push(`${where}: ${field.name} ${value} is not "${text}"`);
}
