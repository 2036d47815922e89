/** Reads the columns of an event table as a pack means them: made once for a table and a batch. */
import { Int64Array } from '../base/int64.ts';
import type { EventBatch, EventTable } from '../model/event-batch.ts';
import { toFilterReader, type EventFilter } from './event-filter.ts';
import { NONE } from './ikc-halves.ts';
import { mixWords } from './ikc-ids.ts';
import type { IkcEvent, IkcFields, IkcPack } from './ikc-pack.ts';

const PAGE_BYTES = 4096;
const WORD_BYTES = 8;

/** An entry of a pack for the events of one name. */
export interface KnownEvent {
  readonly event: IkcEvent;
  readonly role: number;
  readonly pack: number;
  readonly filter: EventFilter | undefined;
}

/** The halves of a word of 64 bits. */
interface WordReader {
  readonly low: (row: number) => number;
  readonly high: (row: number) => number;
}

export interface Reader {
  readonly role: number;
  readonly table: EventTable;
  readonly event: IkcEvent;
  readonly pack: number;
  /** Rows that are this entry's; undefined = all. */
  readonly rows: Uint32Array | undefined;
  readonly low: Readonly<Record<string, (row: number) => number>>;
  readonly keys: readonly ((row: number) => number)[];
  readonly payload: readonly WordReader[];
  readonly resource: (row: number) => bigint;
}

/** A reader for each entry; a row is of the first one whose filter it passes. */
export function toReaders(batch: EventBatch, table: EventTable, entries: readonly KnownEvent[]): Reader[] {
  const [first] = entries;
  if (entries.length === 1 && first !== undefined && first.filter === undefined) return [toReader(batch, table, first, undefined)];
  const taken = new Uint8Array(table.length);
  return entries.map((entry) => {
    const passes = entry.filter === undefined ? () => true : toFilterReader(entry.filter, batch, table);
    const rows: number[] = [];
    for (let row = 0; row < table.length; row++) {
      if (taken[row] === 1 || !passes(row)) continue;
      taken[row] = 1;
      rows.push(row);
    }
    return toReader(batch, table, entry, Uint32Array.from(rows));
  });
}

function toReader(batch: EventBatch, table: EventTable, { event, role, pack }: KnownEvent, rows: Uint32Array | undefined): Reader {
  const low: Record<string, (row: number) => number> = {};
  for (const [meaning, field] of Object.entries(event.fields) as [keyof IkcFields, string | readonly string[]][]) {
    const read = typeof field === 'string' ? toNumberReader(batch, table, field) : undefined;
    if (read !== undefined) low[meaning] = read;
  }
  const keys = (event.fields.keys ?? []).flatMap((field) => toNumberReader(batch, table, field) ?? []);
  const payload = (event.fields.payload ?? []).flatMap((field) => toWordReader(batch, table, field) ?? []);
  return { role, table, event, pack, rows, low, keys, payload, resource: toWideReader(batch, table, event.fields.resource) };
}

/** Hash of what tells messages apart beside type, subtype and length; 0 = nothing does. `lengthBytes`: of the payload. */
export function keyOf({ keys, payload }: Reader, row: number, lengthBytes: number): number {
  let key = 0;
  for (const read of keys) key = mixWords(key, read(row), 0, 1);
  for (const [at, { low, high }] of payload.entries()) {
    const bytes = lengthBytes - at * WORD_BYTES;
    if (bytes <= 0) break;
    // What lies behind the payload is not the same at both ends.
    key = mixWords(key, maskOf(bytes) & low(row), maskOf(bytes - 4) & high(row), 2);
  }
  return key;
}

function maskOf(bytes: number): number {
  return bytes >= 4 ? -1 : bytes <= 0 ? 0 : (1 << (bytes * 8)) - 1;
}

/** The low 32 bits of a field, signed where it is: enough for ids, types, lengths and places in a ring. */
function toNumberReader(batch: EventBatch, table: EventTable, field: string): ((row: number) => number) | undefined {
  const column = table.column(field);
  if (column === undefined) return undefined;
  if (column.kind === 'string') return (row) => lowBitsOf(batch.strings.get(column.values[row] as number));
  const { values, kind } = column;
  if (!(values instanceof Int64Array)) return (row) => values[row] as number;
  const { words } = values;
  return kind === 'int64' ? (row) => (words[row * 2] as number) | 0 : (row) => words[row * 2] as number;
}

/** Of a number as text: text input and rows read back have all fields so. */
function lowBitsOf(text: string): number {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : Number(BigInt.asUintN(32, toBigint(text)));
}

function toBigint(text: string): bigint {
  return /^(0x[0-9a-f]{1,16}|-?\d{1,20})$/i.test(text) ? BigInt(text) : 0n;
}

function toWordReader(batch: EventBatch, table: EventTable, field: string): WordReader | undefined {
  const column = table.column(field);
  if (column === undefined) return undefined;
  if (column.kind === 'string') {
    const wide = toWideReader(batch, table, field);
    return { low: (row) => Number(BigInt.asUintN(32, wide(row))), high: (row) => Number(wide(row) >> 32n) };
  }
  const { values } = column;
  if (!(values instanceof Int64Array)) return { low: (row) => values[row] as number, high: () => 0 };
  const { words } = values;
  return { low: (row) => words[row * 2] as number, high: (row) => words[row * 2 + 1] as number };
}

/** All 64 bits of a field, unsigned. */
function toWideReader(batch: EventBatch, table: EventTable, field: string | undefined): (row: number) => bigint {
  const column = field === undefined ? undefined : table.column(field);
  if (column === undefined) return () => 0n;
  if (column.kind === 'string') return (row) => BigInt.asUintN(64, toBigint(batch.strings.get(column.values[row] as number)));
  const { values } = column;
  if (values instanceof Int64Array) return (row) => BigInt.asUintN(64, values.getBigint(row));
  return (row) => BigInt((values[row] as number) >>> 0);
}

/**
 * The index of a slot: the field itself where it counts positions (they may go on beyond the ring), else from the low bits of its
 * address: a ring begins at a page, and the slots are such that no two of one ring stand at the same place of a page. NONE where the
 * pack's slots are not so.
 */
export function slotOf(address: number, event: IkcEvent, pack: IkcPack | undefined): number {
  const generation = event.generations?.[0] ?? Object.keys(pack?.rings ?? {})[0] ?? '';
  const ring = pack?.rings[generation];
  if (ring === undefined || ring.slots === 0) return NONE;
  if (ring.slotBytes === 0) return ((address % ring.slots) + ring.slots) % ring.slots;
  const stride = ring.slotBytes % PAGE_BYTES;
  const place = ((((address >>> 0) - ring.headerBytes) % PAGE_BYTES) + PAGE_BYTES) % PAGE_BYTES;
  const index = place / stride;
  return stride * ring.slots <= PAGE_BYTES && Number.isInteger(index) && index < ring.slots ? index : NONE;
}
