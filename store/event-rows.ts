/** Event tables as Native blocks of `events`: the batch's columns as they are, one block for each kind of event. */
import { Int64Array } from '../base/int64.ts';
import type { Interner } from '../base/interner.ts';
import type { EventBatch, EventSchema, EventTable, FieldValues } from '../model/event-batch.ts';
import type { KernelIdentity } from '../model/identity.ts';
import { groupTables, type EventGroup } from './event-group.ts';
import { INTEGER_SLOTS, layoutOf, TEXT_SLOTS, type EventLayout } from './event-formats.ts';
import type { NativeWriter } from './native.ts';
import { writeKernel } from './resource-columns.ts';

export interface EventRows {
  readonly identity: KernelIdentity;
  readonly stream: string;
  readonly clockErrorNs: number;
  readonly batch: EventBatch;
}

/** Tables of more rows than this are a block of their own, copied as they are; smaller ones share one. */
const ROWS_ALONE = 4096;

export function writeEvents(writer: NativeWriter, rows: EventRows): void {
  const small: EventTable[] = [];
  for (const table of rows.batch.tables) {
    const layout = layoutOf(table.schema);
    const isWide = layout.integers > INTEGER_SLOTS || layout.texts > TEXT_SLOTS;
    if (table.length > ROWS_ALONE || (isWide && table.length > 0)) writeTable(writer, rows, table, layout);
    else if (table.length > 0) small.push(table);
  }
  if (small.length > 0) writeGroup(writer, rows, groupTables(rows.batch, small));
}

function writeTable(writer: NativeWriter, rows: EventRows, table: EventTable, layout: EventLayout): void {
  writer.openBlock(table.length);
  writeSharedColumns(writer, rows, table);
  writer.constantLowCardinality('Event', table.schema.name);
  writer.constantBigint('FormatId', 'UInt64', layout.formatId);
  writeFields(writer, table, layout, rows.batch.strings);
  writer.closeBlock();
}

function writeGroup(writer: NativeWriter, rows: EventRows, group: EventGroup): void {
  writer.openBlock(group.length);
  writeSharedColumns(writer, rows, group);
  writer.lowCardinality('Event', group.event, rows.batch.strings);
  writer.words('FormatId', 'UInt64', group.formatId);
  for (const [slot, values] of group.integers.entries()) writer.words(`I${slot}`, 'Int64', values);
  for (const [slot, ids] of group.texts.entries()) writer.lowCardinality(`S${slot}`, ids, rows.batch.strings);
  writer.closeBlock();
}

/** The columns that all events have, from a table or a group. */
function writeSharedColumns(writer: NativeWriter, rows: EventRows, table: EventTable | EventGroup): void {
  const { identity, stream, clockErrorNs, batch } = rows;
  writer.words('Timestamp', 'DateTime64(9)', table.unixTime);
  writer.words('RawOffset', 'Int64', toRawOffsets(table));
  writeKernel(writer, identity);
  writer.constantLowCardinality('Stream', stream);
  writer.constantLowCardinality('ClockDomain', batch.clock);
  writer.constantBigint('ClockErrorNs', 'Int64', BigInt(Math.round(clockErrorNs)));
  writer.numbers('Cpu', 'UInt16', table.cpu);
  writer.numbers('Pid', 'Int32', table.pid);
  writer.numbers('Flags', 'UInt8', table.flags);
  writer.numbers('PreemptCount', 'UInt8', table.preemptCount);
  if (anyOf(table.comm, table.length)) writer.lowCardinality('Comm', table.comm, batch.strings);
  if (anyOf(table.body, table.length)) writer.stringsById('Body', table.body, batch.strings);
}

/**
 * `RawTime` is stored as its distance from `Timestamp`: with one clock fit that is (almost) the same number in every row,
 * which costs nothing on disk, where the raw time would cost as much as the time.
 */
function toRawOffsets(table: EventTable | EventGroup): Int64Array {
  const offsets = new Int64Array(table.length);
  const unix = table.unixTime.words;
  const raw = table.rawTime.words;
  const { words } = offsets;
  for (let at = 0; at < table.length * 2; at += 2) {
    const low = (unix[at] as number) - (raw[at] as number);
    words[at] = low;
    words[at + 1] = (unix[at + 1] as number) - (raw[at + 1] as number) - (low < 0 ? 1 : 0);
  }
  return offsets;
}

function writeFields(writer: NativeWriter, table: EventTable, layout: EventLayout, strings: Interner): void {
  for (const [at, values] of table.fields.entries()) {
    const slot = layout.slots[at] as number;
    if (values.kind === 'string') {
      if (-slot <= TEXT_SLOTS) writer.lowCardinality(`S${-slot - 1}`, values.values, strings);
    } else if (slot <= INTEGER_SLOTS) {
      writeInteger(writer, `I${slot - 1}`, values);
    }
  }
  if (layout.integers > INTEGER_SLOTS) writeFurtherIntegers(writer, table, layout);
  if (layout.texts > TEXT_SLOTS) writeFurtherTexts(writer, table, layout, strings);
}

/** ClickHouse widens 32-bit values when it reads the block; unsigned 64-bit values keep their bits. */
function writeInteger(writer: NativeWriter, name: string, values: Exclude<FieldValues, { kind: 'string' }>): void {
  if (values.kind === 'int32') writer.numbers(name, 'Int32', values.values);
  else if (values.kind === 'uint32') writer.numbers(name, 'UInt32', values.values);
  else writer.words(name, 'Int64', values.values);
}

/** The integers beyond the slots, row by row: few events have them. */
function writeFurtherIntegers(writer: NativeWriter, table: EventTable, layout: EventLayout): void {
  const further = table.fields.filter((_, field) => (layout.slots[field] as number) > INTEGER_SLOTS);
  const values: (number | bigint)[] = [];
  for (let row = 0; row < table.length; row++) for (const column of further) values.push(integerAt(column, row));
  writer.arrays('IX', 'Int64', endsOf(table.length, further.length), values);
}

function integerAt({ values }: FieldValues, row: number): number | bigint {
  return values instanceof Int64Array ? values.getBigint(row) : (values[row] as number);
}

function writeFurtherTexts(writer: NativeWriter, table: EventTable, layout: EventLayout, strings: Interner): void {
  const further = table.fields.filter((_, field) => -(layout.slots[field] as number) > TEXT_SLOTS);
  const ids = new Uint32Array(table.length * further.length);
  let at = 0;
  for (let row = 0; row < table.length; row++) {
    for (const column of further) if (column.kind === 'string') ids[at++] = column.values[row] as number;
  }
  writer.arraysOfLowCardinality('SX', endsOf(table.length, further.length), ids, strings);
}

function endsOf(rows: number, width: number): Float64Array {
  const ends = new Float64Array(rows);
  for (let row = 0; row < rows; row++) ends[row] = (row + 1) * width;
  return ends;
}

/** Format rows of the events of a batch that are neither in `known` nor in `fresh`; their ids are added to `fresh`. */
export function writeFormats(writer: NativeWriter, batch: EventBatch, known: ReadonlySet<bigint>, fresh: Set<bigint>): void {
  const schemas: EventSchema[] = [];
  for (const { schema, length } of batch.tables) {
    const { formatId } = layoutOf(schema);
    if (length === 0 || known.has(formatId) || fresh.has(formatId)) continue;
    fresh.add(formatId);
    schemas.push(schema);
  }
  if (schemas.length === 0) return;
  const fields = schemas.flatMap((schema) => schema.fields);
  let end = 0;
  const ends = schemas.map((schema) => (end += schema.fields.length));
  writer.openBlock(schemas.length);
  writer.bigints(
    'FormatId',
    'UInt64',
    schemas.map((schema) => layoutOf(schema).formatId),
  );
  writer.strings(
    'Name',
    schemas.map((schema) => schema.name),
  );
  writer.strings(
    'System',
    schemas.map((schema) => schema.system),
  );
  writer.strings(
    'Event',
    schemas.map((schema) => schema.event),
  );
  const texts = (name: string, values: readonly string[]): void => writer.arraysOfStrings(name, ends, values);
  texts(
    'FieldNames',
    fields.map((field) => field.name),
  );
  texts(
    'FieldKinds',
    fields.map((field) => field.kind),
  );
  texts(
    'FieldTypes',
    fields.map((field) => field.type),
  );
  writer.arrays(
    'FieldSlots',
    'Int64',
    ends,
    schemas.flatMap((schema) => layoutOf(schema).slots),
  );
  writer.arrays(
    'FieldHex',
    'Int64',
    ends,
    fields.map((field) => (field.hex ? 1 : 0)),
  );
  writer.closeBlock();
}

function anyOf(ids: Uint32Array, rows: number): boolean {
  for (let row = 0; row < rows; row++) if (ids[row] !== 0) return true;
  return false;
}
