/**
 * Events that are rare in a batch, as one block of many kinds: a Native block costs ClickHouse 0.15 ms whatever its size, and
 * a kernel has hundreds of kinds of events (bench/store.bench.ts: 1.9 times the rate on a syscall trace).
 */
import { Int64Array } from '../base/int64.ts';
import type { EventBatch, EventTable, FieldValues } from '../model/event-batch.ts';
import { INTEGER_SLOTS, layoutOf, TEXT_SLOTS } from './event-formats.ts';

/** Rows of several tables of a batch, one table after the other, in the columns of `events`. */
export interface EventGroup {
  readonly length: number;
  readonly unixTime: Int64Array;
  readonly rawTime: Int64Array;
  readonly cpu: Uint16Array;
  readonly pid: Int32Array;
  readonly flags: Uint8Array;
  readonly preemptCount: Uint8Array;
  /** Dictionary ids. */
  readonly comm: Uint32Array;
  readonly body: Uint32Array;
  readonly event: Uint32Array;
  readonly formatId: Int64Array;
  /** By slot, as many as the widest of the events needs; zero or empty where an event has no such field. */
  readonly integers: readonly Int64Array[];
  readonly texts: readonly Uint32Array[];
}

export function groupTables(batch: EventBatch, tables: readonly EventTable[]): EventGroup {
  const length = tables.reduce((sum, table) => sum + table.length, 0);
  const layouts = tables.map((table) => layoutOf(table.schema));
  const width = (most: number, of: readonly number[]): number =>
    Math.min(
      most,
      of.reduce((a, b) => Math.max(a, b), 0),
    );
  const integers = width(
    INTEGER_SLOTS,
    layouts.map((layout) => layout.integers),
  );
  const texts = width(
    TEXT_SLOTS,
    layouts.map((layout) => layout.texts),
  );
  const group = {
    length,
    unixTime: new Int64Array(length),
    rawTime: new Int64Array(length),
    cpu: new Uint16Array(length),
    pid: new Int32Array(length),
    flags: new Uint8Array(length),
    preemptCount: new Uint8Array(length),
    comm: new Uint32Array(length),
    body: new Uint32Array(length),
    event: new Uint32Array(length),
    formatId: new Int64Array(length),
    integers: Array.from({ length: integers }, () => new Int64Array(length)),
    texts: Array.from({ length: texts }, () => new Uint32Array(length)),
  } satisfies EventGroup;
  let at = 0;
  for (const table of tables) {
    copyShared(group, batch, table, at);
    copyFields(group, table, at);
    at += table.length;
  }
  return group;
}

function copyShared(group: EventGroup, batch: EventBatch, table: EventTable, at: number): void {
  const { length } = table;
  group.unixTime.words.set(table.unixTime.words.subarray(0, length * 2), at * 2);
  group.rawTime.words.set(table.rawTime.words.subarray(0, length * 2), at * 2);
  group.cpu.set(table.cpu.subarray(0, length), at);
  group.pid.set(table.pid.subarray(0, length), at);
  group.flags.set(table.flags.subarray(0, length), at);
  group.preemptCount.set(table.preemptCount.subarray(0, length), at);
  group.comm.set(table.comm.subarray(0, length), at);
  group.body.set(table.body.subarray(0, length), at);
  group.event.fill(batch.strings.internString(table.schema.name), at, at + length);
  group.formatId.signed.fill(layoutOf(table.schema).formatId, at, at + length);
}

function copyFields(group: EventGroup, table: EventTable, at: number): void {
  const { slots } = layoutOf(table.schema);
  for (const [field, column] of table.fields.entries()) {
    const slot = slots[field] as number;
    if (column.kind === 'string') group.texts[-slot - 1]?.set(column.values.subarray(0, table.length), at);
    else copyIntegers(group.integers[slot - 1], column, table.length, at);
  }
}

/** A field beyond the slots has no target: such events do not come here. */
function copyIntegers(target: Int64Array | undefined, column: Exclude<FieldValues, { kind: 'string' }>, length: number, at: number): void {
  if (target === undefined) return;
  const { words } = target;
  const { values } = column;
  if (values instanceof Int64Array) {
    words.set(values.words.subarray(0, length * 2), at * 2);
    return;
  }
  for (let row = 0, to = at * 2; row < length; row++, to += 2) {
    const value = values[row] as number;
    words[to] = value;
    words[to + 1] = value < 0 ? -1 : 0;
  }
}
