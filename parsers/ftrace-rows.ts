/**
 * Rows of ftrace text in the batch at hand: a table for each shape of an event's text. Bodies are pieces of one copy of the input,
 * so that a row costs no copy of its own.
 */
import type { EventBatch, EventField, EventTable } from '../model/event-batch.ts';
import { NO_RAW_TIME } from '../model/time.ts';
import type { FtracePrefix } from './ftrace-prefix.ts';
import { setSecondsNs } from './raw-time.ts';

const TGID: EventField = { name: 'common_tgid', kind: 'int32', type: '', hex: false };

const FEW_ROWS = 16;
const MOST_ROWS = 65_536;

/** One set of fields that rows of an event can have. */
export interface Shape {
  readonly name: string;
  readonly system: string;
  readonly event: string;
  readonly fields: readonly EventField[];
  /** Tells apart shapes of one event. */
  readonly key: string;
  /** In the batch at hand. */
  open: OpenTable | undefined;
  /** Of the batch before: the next one is likely to have as many. */
  rows: number;
}

/** What tells apart sets of fields: batches may hold rows of several inputs. */
export function toVariant(fields: readonly EventField[]): string {
  return fields.map(({ name, kind, hex }) => `${name}:${kind}${hex ? ':hex' : ''}`).join();
}

export function createShape(system: string, event: string, fields: readonly EventField[], variant = ''): Shape {
  const name = system === '' ? event : `${system}:${event}`;
  return { name, system, event, fields, key: variant === '' ? name : `${name}#${variant}`, open: undefined, rows: 0 };
}

/** Rows of a table that are not there yet. */
export interface PendingRows {
  flush(): void;
}

/** A table with its columns at hand; all fields but the thread group are 64-bit words or dictionary ids. */
export class OpenTable {
  readonly table: EventTable;
  /** Come in front of the next row. */
  pending: PendingRows | undefined;
  columns: Uint32Array[] = [];
  tgid: Int32Array | undefined;
  /** The table's own columns. */
  rawTime!: Uint32Array;
  cpu!: Uint16Array;
  pid!: Int32Array;
  flags!: Uint8Array;
  preemptCount!: Uint8Array;
  comm!: Uint32Array;
  body!: Uint32Array;
  /** Of the table when the columns were taken. */
  #capacity = -1;

  constructor(table: EventTable) {
    this.table = table;
    this.refresh();
  }

  /** After a table has grown its columns are others. */
  refresh(): void {
    const { table } = this;
    if (this.#capacity === table.capacity) return;
    this.#capacity = table.capacity;
    this.columns = [];
    this.rawTime = table.rawTime.words;
    this.cpu = table.cpu;
    this.pid = table.pid;
    this.flags = table.flags;
    this.preemptCount = table.preemptCount;
    this.comm = table.comm;
    this.body = table.body;
    for (const column of table.fields) {
      if (column.kind === 'string') this.columns.push(column.values);
      else if (column.kind === 'int32') this.tgid = column.values;
      else if (column.kind !== 'uint32') this.columns.push(column.values.words);
    }
  }
}

/** What a row has besides fields and body, as its columns hold it. */
export class RowHead {
  /** Raw time. */
  low = 0;
  high = 0;
  cpu = 0;
  pid = 0;
  /** EventTable.flags in the low byte, preemptCount in the one above. */
  bits = 0;
  /** Dictionary id of the task's name. */
  comm = 0;
  /** For rows that have one. */
  tgid = 0;
}

export class FtraceRows {
  batch!: EventBatch;
  #bytes: Uint8Array | undefined;
  #withTgid = false;
  /** Of `#bytes` in the arena; negative before the first body. */
  #base = -1;
  #last: EventTable | undefined;
  /** The row before is of the same line. */
  #pair: EventTable | undefined;
  #opened: Shape[] = [];
  readonly #tables = new Map<EventTable, OpenTable>();
  /** Grows whenever all shapes are closed. */
  session = 0;

  /** Before each piece of input: bodies that follow are pieces of `bytes`. */
  begin(bytes: Uint8Array, batch: EventBatch): void {
    if (batch !== this.batch) {
      this.batch = batch;
      this.#close();
    }
    this.#bytes = bytes;
    this.#base = -1;
  }

  /** Adds a row with all but its fields and body. */
  add(shape: Shape, prefix: FtracePrefix, bytes: Uint8Array): number {
    if (prefix.hasTgid !== this.#withTgid) {
      this.#close();
      this.#withTgid = prefix.hasTgid;
    }
    const open = shape.open ?? this.#open(shape);
    const row = this.openRow(open);
    const { table } = open;
    table.length++;
    setSecondsNs(table.rawTime, row, prefix.seconds, prefix.nanos);
    table.cpu[row] = prefix.cpu;
    table.pid[row] = prefix.pid;
    table.flags[row] = prefix.flags;
    table.preemptCount[row] = prefix.preemptCount;
    const { comm } = prefix;
    const { strings } = this.batch;
    table.comm[row] = comm === undefined ? strings.intern(bytes, prefix.commStart, prefix.commEnd) : strings.intern(comm, 0, comm.length);
    table.body[row] = 0;
    if (open.tgid !== undefined) open.tgid[row] = prefix.tgid;
    this.#last = table;
    this.#pair = undefined;
    return row;
  }

  /** The next row's number: it counts when it is closed, and until then its columns can be filled for nothing. */
  openRow(open: OpenTable): number {
    if (open.pending !== undefined) open.pending.flush();
    const { table } = open;
    const row = table.length;
    if (row === table.capacity) table.grow();
    open.refresh();
    return row;
  }

  /** Makes a row of `openRow` one, with all but its fields. */
  closeRow(open: OpenTable, row: number, head: RowHead, bodyStart: number, bodyEnd: number): void {
    const { table, rawTime, tgid } = open;
    rawTime[row * 2] = head.low;
    rawTime[row * 2 + 1] = head.high;
    open.cpu[row] = head.cpu;
    open.pid[row] = head.pid;
    open.flags[row] = head.bits;
    open.preemptCount[row] = head.bits >> 8;
    open.comm[row] = head.comm;
    if (tgid !== undefined) tgid[row] = head.tgid;
    open.body[row] = this.#slice(bodyStart, bodyEnd);
    table.length = row + 1;
    this.#last = table;
    this.#pair = undefined;
  }

  /** The last row and one of `table` in front of it are of one line. */
  pair(table: EventTable): void {
    this.#pair = table;
  }

  setBody(shape: Shape, row: number, start: number, end: number): void {
    (shape.open as OpenTable).table.body[row] = this.#slice(start, end);
  }

  #slice(start: number, end: number): number {
    const base = this.#base < 0 ? this.sliceBase() : this.#base;
    return this.batch.strings.slice(base + start, base + end);
  }

  /** Where the piece of input begins in the dictionary's bytes. */
  sliceBase(): number {
    if (this.#base < 0) this.#base = this.batch.strings.adopt(this.#bytes as Uint8Array);
    return this.#base;
  }

  /** In the batch at hand, in the order in which they were opened. */
  get openedShapes(): readonly Shape[] {
    return this.#opened;
  }

  /** The last row, which is one of this table. */
  noteLast(open: OpenTable): void {
    this.#last = open.table;
    this.#pair = undefined;
  }

  /** Rows that are open have a thread group. */
  get hasTgid(): boolean {
    return this.#withTgid;
  }

  setText(shape: Shape, row: number, field: number, bytes: Uint8Array, start: number, end: number): void {
    const column = (shape.open as OpenTable).columns[field] as Uint32Array;
    column[row] = this.batch.strings.intern(bytes, start, end);
  }

  /** A text that is in the batch's dictionary. */
  setId(shape: Shape, row: number, field: number, id: number): void {
    ((shape.open as OpenTable).columns[field] as Uint32Array)[row] = id;
  }

  setString(shape: Shape, row: number, field: number, text: string): void {
    const column = (shape.open as OpenTable).columns[field] as Uint32Array;
    column[row] = this.batch.strings.internString(text);
  }

  /** An integer of magnitude below 2^53. */
  setNumber(shape: Shape, row: number, field: number, value: number): void {
    const high = Math.floor(value / 0x1_0000_0000);
    this.setWords(shape, row, field, value - high * 0x1_0000_0000, high);
  }

  setWords(shape: Shape, row: number, field: number, low: number, high: number): void {
    const column = (shape.open as OpenTable).columns[field] as Uint32Array;
    column[row * 2] = low;
    column[row * 2 + 1] = high;
  }

  /** A row in front of the first event: it has no time. */
  setUntimed(shape: Shape, row: number): void {
    (shape.open as OpenTable).table.rawTime.setBigint(row, NO_RAW_TIME);
  }

  /** Takes the rows back of the line that was added last. */
  undo(): void {
    if (this.#last !== undefined) this.#last.length--;
    if (this.#pair !== undefined) this.#pair.length--;
    this.#last = this.#pair = undefined;
  }

  #open(shape: Shape): OpenTable {
    const { name, system, event } = shape;
    const key = this.#withTgid ? `${shape.key}+tgid` : shape.key;
    const fields = this.#withTgid ? [...shape.fields, TGID] : shape.fields;
    const table = this.batch.find(key) ?? this.batch.addTable({ name, system, event, fields }, key, Math.max(FEW_ROWS, shape.rows));
    // Two shapes with the same fields have one table.
    let open = this.#tables.get(table);
    if (open === undefined) this.#tables.set(table, (open = new OpenTable(table)));
    shape.open = open;
    this.#opened.push(shape);
    return open;
  }

  #close(): void {
    for (const shape of this.#opened) {
      shape.open?.pending?.flush();
      const length = shape.open?.table.length ?? 0;
      shape.rows = Math.min(MOST_ROWS, length + (length >> 2));
      shape.open = undefined;
    }
    this.#opened = [];
    this.#tables.clear();
    this.session++;
    this.#last = this.#pair = undefined;
  }
}
