/**
 * Event tables as Native blocks of `events`: the batch's columns, copied as they are. A block costs ClickHouse 0.15 ms whatever
 * its size, and a kernel has hundreds of kinds of events, so the rare ones of a batch share one block
 * (bench/store.bench.ts: 1.9 times the rate on a syscall trace).
 */
import { Int64Array } from '../base/int64.ts';
import type { Interner } from '../base/interner.ts';
import type { EventBatch, EventSchema, EventTable, FieldValues } from '../model/event-batch.ts';
import type { KernelIdentity } from '../model/identity.ts';
import { INTEGER_SLOTS, layoutOf, TEXT_SLOTS, type EventLayout } from './event-formats.ts';
import type { IdPart, NativeWriter } from './native.ts';
import { writeKernel } from './resource-columns.ts';

export interface EventRows {
  readonly identity: KernelIdentity;
  readonly stream: string;
  readonly clockErrorNs: number;
  readonly batch: EventBatch;
}

/** An event table, or some of its rows. */
export type EventColumns = Omit<EventTable, 'capacity' | 'grow' | 'reserve' | 'column'>;

/** Tables of more rows than this are a block of their own: only the columns that the event has, 32-bit ones half as wide. */
const ROWS_ALONE = 4096;

export function writeEvents(writer: NativeWriter, rows: EventRows): void {
  const small: EventTable[] = [];
  for (const table of rows.batch.tables) {
    if (table.length > ROWS_ALONE || (isWide(table) && table.length > 0)) {
      writer.openBlock(table.length);
      writeAlone(writer, rows, table);
      writer.closeBlock();
    } else if (table.length > 0) small.push(table);
  }
  if (small.length === 0) return;
  writer.openBlock(small.reduce((sum, table) => sum + table.length, 0));
  writeTogether(writer, rows, small);
  writer.closeBlock();
}

/** Whether the event has fields beyond the slots. */
export function isWide({ schema }: EventColumns): boolean {
  const { integers, texts } = layoutOf(schema);
  return integers > INTEGER_SLOTS || texts > TEXT_SLOTS;
}

/** The columns of a block that has rows of one event. */
export function writeAlone(writer: NativeWriter, rows: EventRows, table: EventColumns): void {
  writeSharedColumns(writer, rows, [table]);
  writeFields(writer, table, layoutOf(table.schema), rows.batch.strings);
}

/** The columns of a block that has rows of events without fields beyond the slots, one after the other. */
export function writeTogether(writer: NativeWriter, rows: EventRows, tables: readonly EventColumns[]): void {
  const { strings } = rows.batch;
  writeSharedColumns(writer, rows, tables);
  const slots = tables.map((table) => fieldsBySlot(table));
  const integers = Math.max(...tables.map((table) => layoutOf(table.schema).integers));
  const texts = Math.max(...tables.map((table) => layoutOf(table.schema).texts));
  for (let slot = 1; slot <= integers; slot++) {
    writer.openColumn(`I${slot - 1}`, 'Int64');
    for (const [at, { length }] of tables.entries()) addIntegers(writer, slots[at]?.get(slot), length);
  }
  for (let slot = 1; slot <= texts; slot++) {
    const parts = tables.map(({ length }, at): IdPart => {
      const field = slots[at]?.get(-slot);
      return { ids: field?.kind === 'string' ? field.values : 0, rows: length };
    });
    writer.lowCardinalityParts(`S${slot - 1}`, parts, strings);
  }
}

function fieldsBySlot(table: EventColumns): Map<number, FieldValues> {
  const { slots } = layoutOf(table.schema);
  return new Map(table.fields.map((field, at) => [slots[at] as number, field]));
}

function addIntegers(writer: NativeWriter, field: FieldValues | undefined, rows: number): void {
  if (field === undefined || field.kind === 'string') writer.addZeros(rows * 8);
  else if (field.values instanceof Int64Array) writer.addWords(field.values, rows);
  else writer.addWidened(field.values, rows);
}

/** The columns that all events have. */
function writeSharedColumns(writer: NativeWriter, rows: EventRows, tables: readonly EventColumns[]): void {
  const { identity, stream, clockErrorNs, batch } = rows;
  writer.openColumn('Timestamp', 'DateTime64(9)');
  for (const { unixTime, length } of tables) writer.addWords(unixTime, length);
  // `RawTime` is stored as its distance from `Timestamp`: with one clock fit that is (almost) the same number in every row,
  // which costs nothing on disk, where the raw time would cost as much as the time.
  writer.openColumn('RawOffset', 'Int64');
  for (const { unixTime, rawTime, length } of tables) writer.addDifferences(unixTime, rawTime, length);
  writeKernel(writer, identity);
  writer.constantLowCardinality('Stream', stream);
  writer.constantLowCardinality('ClockDomain', batch.clock);
  writer.constantBigint('ClockErrorNs', 'Int64', BigInt(Math.round(clockErrorNs)));
  const names = tables.map(({ schema, length }) => ({ ids: batch.strings.internString(schema.name), rows: length }));
  writer.lowCardinalityParts('Event', names, batch.strings);
  writer.openColumn('FormatId', 'UInt64');
  for (const { schema, length } of tables) writer.addConstantBigint(layoutOf(schema).formatId, length);
  writer.openColumn('Cpu', 'UInt16');
  for (const { cpu, length } of tables) writer.addNumbers(cpu, length);
  writer.openColumn('Pid', 'Int32');
  for (const { pid, length } of tables) writer.addNumbers(pid, length);
  writer.openColumn('Flags', 'UInt8');
  for (const { flags, length } of tables) writer.addNumbers(flags, length);
  writer.openColumn('PreemptCount', 'UInt8');
  for (const { preemptCount, length } of tables) writer.addNumbers(preemptCount, length);
  writeTaskAndBody(writer, tables, batch.strings);
}

function writeTaskAndBody(writer: NativeWriter, tables: readonly EventColumns[], strings: Interner): void {
  if (tables.some(({ comm, length }) => anyOf(comm, length))) {
    writer.lowCardinalityParts(
      'Comm',
      tables.map(({ comm, length }) => ({ ids: comm, rows: length })),
      strings,
    );
  }
  if (tables.some(({ body, length }) => anyOf(body, length))) {
    writer.openColumn('Body', 'String');
    for (const { body, length } of tables) writer.addStrings(body, length, strings);
  }
}

function writeFields(writer: NativeWriter, table: EventColumns, layout: EventLayout, strings: Interner): void {
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

/** Unsigned 64-bit values keep their bits. */
function writeInteger(writer: NativeWriter, name: string, values: Exclude<FieldValues, { kind: 'string' }>): void {
  if (values.kind === 'int32') writer.narrowed(name, 'Int32', values.values);
  else if (values.kind === 'uint32') writer.narrowed(name, 'UInt32', values.values);
  else writer.words(name, 'Int64', values.values);
}

/** The integers beyond the slots, row by row: few events have them. */
function writeFurtherIntegers(writer: NativeWriter, table: EventColumns, layout: EventLayout): void {
  const further = table.fields.filter((_, field) => (layout.slots[field] as number) > INTEGER_SLOTS);
  const values: (number | bigint)[] = [];
  for (let row = 0; row < table.length; row++) for (const column of further) values.push(integerAt(column, row));
  writer.arrays('IX', 'Int64', endsOf(table.length, further.length), values);
}

function integerAt({ values }: FieldValues, row: number): number | bigint {
  return values instanceof Int64Array ? values.getBigint(row) : (values[row] as number);
}

function writeFurtherTexts(writer: NativeWriter, table: EventColumns, layout: EventLayout, strings: Interner): void {
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
