/**
 * Trace events of one kernel: one table per event, struct of arrays, so that a table's columns are the store's columns and
 * the timeline's data. Time order across tables is by `rawTime`, then `cpu`.
 */
import { Int64Array } from '../base/int64.ts';
import { Interner } from '../base/interner.ts';
import { TiedRows } from './tied-rows.ts';
import type { ClockDomain } from './time.ts';
import { copyInto } from './log-batch.ts';

/**
 * How a field's values are held. Integers of up to 32 bits are widened to 32; `int64`/`uint64` are word pairs; `string` is
 * a dictionary id (also for arrays, bitmasks and byte blobs, written as text).
 */
export type FieldKind = 'int32' | 'uint32' | 'int64' | 'uint64' | 'string';

export interface EventField {
  readonly name: string;
  readonly kind: FieldKind;
  /** C type as the kernel's format file writes it; empty for text input. */
  readonly type: string;
  /** Show as hexadecimal (pointers, flags). */
  readonly hex: boolean;
}

export type FieldValues =
  | { readonly kind: 'int32'; values: Int32Array }
  | { readonly kind: 'uint32'; values: Uint32Array }
  | { readonly kind: 'int64' | 'uint64'; values: Int64Array }
  | { readonly kind: 'string'; values: Uint32Array };

/** What a row needs besides its own fields. */
export interface EventSchema {
  /** `sched:sched_switch`; text input without a system has the bare name. */
  readonly name: string;
  readonly system: string;
  readonly event: string;
  readonly fields: readonly EventField[];
}

const DEFAULT_CAPACITY = 64;

export class EventTable {
  readonly schema: EventSchema;
  length = 0;
  capacity: number;
  /** In units of the batch's clock. */
  rawTime: Int64Array;
  /** Aligned Unix ns; 0 until `clock/` has filled it. */
  unixTime: Int64Array;
  cpu: Uint16Array;
  /** Thread that was running: `common_pid`. */
  pid: Int32Array;
  /** `common_flags` bits (facts: IRQS_OFF 1, NEED_RESCHED_LAZY 2, NEED_RESCHED 4, HARDIRQ 8, SOFTIRQ 16, PREEMPT_RESCHED 32, NMI 64, BH_OFF 128). */
  flags: Uint8Array;
  /** Low nibble preempt depth, high nibble migrate-disable depth. */
  preemptCount: Uint8Array;
  /** Task name, dictionary id; 0 = unknown (binary pages carry none: the hub fills it from sched events and saved_cmdlines). */
  comm: Uint32Array;
  /** Verbatim body of text input, dictionary id; 0 = render from the fields. */
  body: Uint32Array;
  readonly fields: FieldValues[];

  constructor(schema: EventSchema, capacity = DEFAULT_CAPACITY) {
    this.schema = schema;
    this.capacity = capacity;
    this.rawTime = new Int64Array(capacity);
    this.unixTime = new Int64Array(capacity);
    this.cpu = new Uint16Array(capacity);
    this.pid = new Int32Array(capacity);
    this.flags = new Uint8Array(capacity);
    this.preemptCount = new Uint8Array(capacity);
    this.comm = new Uint32Array(capacity);
    this.body = new Uint32Array(capacity);
    this.fields = schema.fields.map((field) => createValues(field.kind, capacity));
  }

  /** Doubles the room for rows; re-read hoisted columns afterwards. */
  grow(): void {
    this.#resize(this.capacity * 2);
  }

  /** Makes room for `rows` rows in all; re-read hoisted columns afterwards. */
  reserve(rows: number): void {
    let capacity = Math.max(1, this.capacity);
    while (capacity < rows) capacity *= 2;
    if (capacity > this.capacity) this.#resize(capacity);
  }

  #resize(capacity: number): void {
    this.rawTime = this.rawTime.grow(capacity);
    this.unixTime = this.unixTime.grow(capacity);
    this.cpu = copyInto(new Uint16Array(capacity), this.cpu);
    this.pid = copyInto(new Int32Array(capacity), this.pid);
    this.flags = copyInto(new Uint8Array(capacity), this.flags);
    this.preemptCount = copyInto(new Uint8Array(capacity), this.preemptCount);
    this.comm = copyInto(new Uint32Array(capacity), this.comm);
    this.body = copyInto(new Uint32Array(capacity), this.body);
    for (const column of this.fields) growValues(column, capacity);
    this.capacity = capacity;
  }

  /** The column of a field by name, or undefined. */
  column(name: string): FieldValues | undefined {
    return this.fields[this.schema.fields.findIndex((field) => field.name === name)];
  }
}

/** A dictionary of more strings than this is not carried on: encoders walk it for each column. */
const MAX_KEPT_STRINGS = 4096;

export class EventBatch {
  /** Clock of `rawTime`. */
  clock: ClockDomain = 'local';
  readonly strings = new Interner();
  readonly tables: EventTable[] = [];
  /** Of binary pages. */
  readonly ties = new TiedRows();
  readonly #byName = new Map<string, EventTable>();

  get length(): number {
    let rows = 0;
    for (const table of this.tables) rows += table.length;
    return rows;
  }

  find(name: string): EventTable | undefined {
    return this.#byName.get(name);
  }

  /** All tables of an event: text input may have several, with other fields. */
  tablesOf(name: string): EventTable[] {
    return this.tables.filter(({ schema }) => schema.name === name);
  }

  /**
   * Forgets the rows and keeps tables and their memory, for whoever reads a long input batch by batch and has no use for the
   * rows of the one before: to allocate and zero new columns costs more than to fill them. Task and body are zeroed; a parser
   * that reads into a cleared batch writes every other column of every row.
   */
  clear(): void {
    if (this.strings.size > MAX_KEPT_STRINGS) this.strings.clear();
    this.ties.clear();
    for (const table of this.tables) {
      table.comm.fill(0, 0, table.length);
      table.body.fill(0, 0, table.length);
      table.length = 0;
    }
  }

  /** Adds an empty table with room for `capacity` rows; `key` tells apart events of one name and different fields. */
  addTable(schema: EventSchema, key = schema.name, capacity = DEFAULT_CAPACITY): EventTable {
    const table = new EventTable(schema, capacity);
    this.tables.push(table);
    this.#byName.set(key, table);
    return table;
  }
}

function createValues(kind: FieldKind, capacity: number): FieldValues {
  switch (kind) {
    case 'int32':
      return { kind, values: new Int32Array(capacity) };
    case 'uint32':
    case 'string':
      return { kind, values: new Uint32Array(capacity) };
    case 'int64':
    case 'uint64':
      return { kind, values: new Int64Array(capacity) };
  }
}

function growValues(column: FieldValues, capacity: number): void {
  switch (column.kind) {
    case 'int32':
      column.values = copyInto(new Int32Array(capacity), column.values);
      break;
    case 'uint32':
    case 'string':
      column.values = copyInto(new Uint32Array(capacity), column.values);
      break;
    case 'int64':
    case 'uint64':
      column.values = column.values.grow(capacity);
      break;
  }
}

/** One value as text, for display: decimal, hexadecimal where the field says so, or the string. */
export function fieldText(batch: EventBatch, table: EventTable, field: number, row: number): string {
  const column = table.fields[field] as FieldValues;
  const { hex } = table.schema.fields[field] as EventField;
  switch (column.kind) {
    case 'string':
      return batch.strings.get(column.values[row] as number);
    case 'int32':
    case 'uint32': {
      const value = column.values[row] as number;
      return hex ? `0x${(value >>> 0).toString(16)}` : String(value);
    }
    case 'int64':
    case 'uint64': {
      const value = column.kind === 'uint64' || hex ? BigInt.asUintN(64, column.values.getBigint(row)) : column.values.getBigint(row);
      return hex ? `0x${value.toString(16)}` : value.toString();
    }
  }
}
