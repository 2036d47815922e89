/** Event tables as a parser of ring-buffer pages would make them, from samples of packs. */
import { EventBatch, type FieldKind } from '../../model/event-batch.ts';
import { Int64Array } from '../../base/int64.ts';
import type { IkcSample } from '../../correlate/ikc-pack.ts';

export const BASE_NS = 1_700_000_000_000_000_000n;

export function toEventBatch(events: IkcSample['events']): EventBatch {
  const batch = new EventBatch();
  for (const { event, atNs, cpu = 0, pid = 0, flags = 0, fields } of events) {
    const names = Object.keys(fields);
    const kindOf = (field: string): FieldKind =>
      typeof fields[field] === 'string' ? 'string' : typeof fields[field] === 'bigint' ? 'uint64' : 'int32';
    const [system = '', name = ''] = event.split(':');
    const schema = { name: event, system, event: name, fields: names.map((of) => ({ name: of, kind: kindOf(of), type: '', hex: false })) };
    const table = batch.find(event) ?? batch.addTable(schema);
    if (table.length === table.capacity) table.grow();
    const row = table.length++;
    table.rawTime.setNumber(row, atNs);
    table.unixTime.setBigint(row, BASE_NS + BigInt(atNs));
    table.cpu[row] = cpu;
    table.pid[row] = pid;
    table.flags[row] = flags;
    for (const [index, column] of table.fields.entries()) {
      const value = fields[names[index] ?? ''] ?? 0;
      if (column.kind === 'string') column.values[row] = batch.strings.internString(String(value));
      else if (column.values instanceof Int64Array) column.values.setBigint(row, BigInt(value));
      else column.values[row] = Number(value);
    }
  }
  return batch;
}
