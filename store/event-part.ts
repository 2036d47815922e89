/** Many events as a part of the table `events`, in the order of its key: (BootId, minute, Event, Timestamp). */
import { ByteWriter, encodeUtf8 } from '../base/bytes.ts';
import { ColumnMemory, OrderedRows } from './event-order.ts';
import { isWide, writeAlone, writeTogether, type EventColumns, type EventRows } from './event-rows.ts';
import { layoutOf } from './event-formats.ts';
import type { Column } from './table-columns.ts';
import { PartWriter, type PartColumn } from './part-writer.ts';

/** Four times what ClickHouse makes: fewer frames, and a search in time reads 0.2 MB more. Merges make small ones of them. */
const GRANULE_ROWS = 32_768;
/** Is no column of a load (table-columns.ts): the store fills it. */
const STORED_AT: Column = { name: 'StoredAt', type: 'DateTime64(9)', isDelta: true };
const NS_PER_SECOND = 1_000_000_000n;
/** Days from 1970 on, as a Date has them. */
const MOST_DAYS = 0xffff;
/** Each costs some µs, as each table and minute does. */
const MOST_SLICES = 8192;

export interface EventPart {
  /** `20261126`: the day of all rows. */
  readonly partition: string;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** Day of a time in Unix ns, in ClickHouse's time zone: days since 1970, and `20261126`. */
export type DayOf = (unixNs: bigint) => { readonly number: number; readonly name: string };

/** Rows of one event in one minute, or some of them. */
interface Slice {
  readonly minute: number;
  /** Of the event's name among the names of the batch, by their bytes. */
  readonly rank: number;
  readonly name: Uint8Array;
  readonly rows: OrderedRows;
  readonly from: number;
  readonly to: number;
}

/** The part; undefined where the rows are not of one day, or in too many pieces: those are rows to be inserted. */
export function encodeEventPart(rows: EventRows, storedNs: bigint, columns: readonly Column[], dayOf: DayOf): EventPart | undefined {
  const tables = rows.batch.tables.filter(({ length }) => length > 0);
  if (tables.length === 0) return undefined;
  const ordered = tables.map((table) => new OrderedRows(table));
  const from = ordered.map((own) => own.timeAt(0)).reduce((least, time) => (time < least ? time : least));
  const to = ordered.map((own) => own.timeAt(own.table.length - 1)).reduce((most, time) => (time > most ? time : most));
  const day = dayOf(from);
  if (day.number !== dayOf(to).number || day.number < 0 || day.number > MOST_DAYS) return undefined;
  const slices = slicesOf(ordered);
  if (slices === undefined) return undefined;
  const writer = new PartWriter(columnsOf(tables, columns));
  const { bootId } = rows.identity;
  const memory = new ColumnMemory();
  for (const granule of granulesOf(slices)) {
    const first = granule[0] as Slice;
    writer.addKey(keyOf(bootId, first, first.from));
    memory.clear();
    const parts = granule.map((slice) => slice.rows.slice(slice.from, slice.to, memory));
    writer.openBlock(parts.reduce((sum, { length }) => sum + length, 0));
    if (parts.length === 1) writeAlone(writer, rows, parts[0] as EventColumns);
    else writeTogether(writer, rows, parts);
    writer.constantBigint('StoredAt', 'DateTime64(9)', storedNs);
    writer.closeBlock();
  }
  const last = slices.at(-1) as Slice;
  const files = writer.finish({
    lastKey: keyOf(bootId, last, last.to - 1),
    partition: Uint8Array.of(day.number & 0xff, day.number >> 8),
    minmax: { column: 'Timestamp', bytes: new Uint8Array(BigInt64Array.of(from, to).buffer) },
  });
  return { partition: day.name, files };
}

/** Of the table's columns those that any of the rows says something in. */
function columnsOf(tables: readonly EventColumns[], columns: readonly Column[]): PartColumn[] {
  const layouts = tables.map(({ schema }) => layoutOf(schema));
  const integers = Math.max(...layouts.map((layout) => layout.integers));
  const texts = Math.max(...layouts.map((layout) => layout.texts));
  const isUsed = ({ name }: Column): boolean => {
    const slot = /^([IS])(\d+|X)$/.exec(name);
    if (slot === null) return true;
    const fields = slot[1] === 'I' ? integers : texts;
    return slot[2] === 'X' ? tables.some((table) => isWide(table)) : Number(slot[2]) < fields;
  };
  return [...columns.filter(isUsed), STORED_AT].map(({ name, type, isDelta }) => ({ name, type, codec: isDelta ? 'delta, zstd' : 'zstd' }));
}

/** In the order of the key; undefined where tables with events of one name take turns so often that their slices have hardly a row. */
function slicesOf(ordered: readonly OrderedRows[]): Slice[] | undefined {
  const names = new Map(ordered.map(({ table: { schema } }) => [schema.name, encodeUtf8(schema.name)]));
  const ranks = new Map([...names].toSorted(([, a], [, b]) => Buffer.compare(a, b)).map(([name], rank) => [name, rank]));
  const slices = ordered.flatMap((rows) => {
    const { name } = rows.table.schema;
    const [rank, bytes] = [ranks.get(name) as number, names.get(name) as Uint8Array];
    return minutesOf(rows).map(({ minute, from, to }): Slice => ({ minute, rank, name: bytes, rows, from, to }));
  });
  slices.sort((a, b) => a.minute - b.minute || a.rank - b.rank);
  if (names.size === ordered.length) return slices;
  const most = MOST_SLICES + slices.length;
  const turns: Slice[] = [];
  for (let from = 0; from < slices.length && turns.length <= most;) {
    const { minute, rank } = slices[from] as Slice;
    let to = from + 1;
    while (slices[to]?.minute === minute && slices[to]?.rank === rank) to++;
    takeTurns(slices.slice(from, to), turns, most);
    from = to;
  }
  return turns.length > most ? undefined : turns;
}

/** Events of one name in one minute that stand in several tables, as texts have them that spell an event in two ways: by their times. */
function takeTurns(tables: readonly Slice[], turns: Slice[], most: number): void {
  const left = tables.map((slice) => ({ slice, at: slice.from }));
  const timeOf = ({ slice: { rows }, at }: (typeof left)[number]): bigint => rows.timeAt(at);
  while (left.length > 1 && turns.length <= most) {
    left.sort((a, b) => Number(timeOf(a) - timeOf(b)));
    const [next, second] = left as [(typeof left)[number], (typeof left)[number]];
    const until = timeOf(second);
    const from = next.at;
    do next.at++;
    while (next.at < next.slice.to && timeOf(next) <= until);
    turns.push({ ...next.slice, from, to: next.at });
    if (next.at === next.slice.to) left.shift();
  }
  for (const { slice, at } of left) turns.push({ ...slice, from: at });
}

function minutesOf(rows: OrderedRows): Pick<Slice, 'minute' | 'from' | 'to'>[] {
  const cuts: Pick<Slice, 'minute' | 'from' | 'to'>[] = [];
  const { length } = rows.table;
  for (let from = 0; from < length;) {
    const minute = Number(rows.timeAt(from) / NS_PER_SECOND / 60n) * 60;
    const end = BigInt(minute + 60) * NS_PER_SECOND;
    let to = length;
    for (let low = from + 1; low < to;) {
      const middle = (low + to) >> 1;
      if (rows.timeAt(middle) < end) low = middle + 1;
      else to = middle;
    }
    cuts.push({ minute, from, to });
    from = to;
  }
  return cuts;
}

/** Slices that share a granule, in their order. One whose event has fields beyond the slots shares none. */
function granulesOf(slices: readonly Slice[]): Slice[][] {
  const granules: Slice[][] = [];
  let open: Slice[] = [];
  let room = GRANULE_ROWS;
  const close = (): void => {
    if (open.length > 0) granules.push(open);
    open = [];
    room = GRANULE_ROWS;
  };
  for (const slice of slices) {
    const wide = isWide(slice.rows.table);
    if (wide) close();
    for (let { from } = slice; from < slice.to;) {
      const to = Math.min(slice.to, from + room);
      open.push({ ...slice, from, to });
      room -= to - from;
      from = to;
      if (room === 0 || wide) close();
    }
  }
  close();
  return granules;
}

/** As primary.idx has it: text, DateTime, text, DateTime64. */
function keyOf(bootId: string, { minute, name, rows }: Slice, place: number): Uint8Array {
  const key = new ByteWriter(128);
  key.writeString(bootId);
  key.writeU32(minute);
  key.writeVarint(name.length);
  key.writeBytes(name);
  const time = BigInt.asUintN(64, rows.timeAt(place));
  key.writeU64Words(Number(time & 0xffff_ffffn), Number(time >> 32n));
  return key.toBytes();
}
