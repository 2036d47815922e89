/** Rows of an event in order of time: a batch has runs of them, one for each turn of a CPU. */
import { Int64Array } from '../base/int64.ts';
import type { FieldValues } from '../model/event-batch.ts';
import type { EventColumns } from './event-rows.ts';

/** The rows of a table in order of `unixTime`; those of one time stay in their order. */
export class OrderedRows {
  readonly table: EventColumns;
  /** Row of the table by place; undefined where the table is in order. */
  readonly #order: Uint32Array | undefined;

  constructor(table: EventColumns) {
    this.table = table;
    this.#order = orderOf(table.unixTime, table.length);
  }

  timeAt(place: number): bigint {
    return this.table.unixTime.getBigint(this.#order === undefined ? place : (this.#order[place] as number));
  }

  /** Rows `from` up to `to`: views of the table, or copies in `memory`, valid until that is cleared. */
  slice(from: number, to: number, memory: ColumnMemory): EventColumns {
    const { table } = this;
    const order = this.#order?.subarray(from, to);
    if (order === undefined && from === 0 && to === table.length) return table;
    const bytes = (values: Uint8Array): Uint8Array =>
      order === undefined ? values.subarray(from, to) : pick(values, order, memory.take(Uint8Array, to - from));
    const wide = (values: Int64Array): Int64Array =>
      order === undefined ? values.subarray(from, to) : pickWords(values, order, memory.take(Uint32Array, (to - from) * 2));
    const ids = (values: Uint32Array): Uint32Array =>
      order === undefined ? values.subarray(from, to) : pick(values, order, memory.take(Uint32Array, to - from));
    const numbers = (values: Int32Array): Int32Array =>
      order === undefined ? values.subarray(from, to) : pick(values, order, memory.take(Int32Array, to - from));
    return {
      schema: table.schema,
      length: to - from,
      rawTime: wide(table.rawTime),
      unixTime: wide(table.unixTime),
      cpu: order === undefined ? table.cpu.subarray(from, to) : pick(table.cpu, order, memory.take(Uint16Array, to - from)),
      pid: numbers(table.pid),
      flags: bytes(table.flags),
      preemptCount: bytes(table.preemptCount),
      comm: ids(table.comm),
      body: ids(table.body),
      fields: table.fields.map((field): FieldValues => {
        switch (field.kind) {
          case 'int32':
            return { kind: field.kind, values: numbers(field.values) };
          case 'uint32':
          case 'string':
            return { kind: field.kind, values: ids(field.values) };
          case 'int64':
          case 'uint64':
            return { kind: field.kind, values: wide(field.values) };
        }
      }),
    };
  }
}

/** Of a granule at a time: new arrays for each of a million rows would have V8 collect garbage all the time. */
export class ColumnMemory {
  #buffer = new ArrayBuffer(1 << 20);
  #at = 0;

  clear(): void {
    this.#at = 0;
  }

  take<T>(type: { new (buffer: ArrayBuffer, offset: number, length: number): T; BYTES_PER_ELEMENT: number }, length: number): T {
    const bytes = length * type.BYTES_PER_ELEMENT;
    // What was taken before keeps the buffer that it lies in.
    if (this.#at + bytes > this.#buffer.byteLength) {
      this.#buffer = new ArrayBuffer(Math.max(this.#buffer.byteLength * 2, bytes));
      this.#at = 0;
    }
    const taken = new type(this.#buffer, this.#at, length);
    this.#at = (this.#at + bytes + 7) & ~7;
    return taken;
  }
}

function pick<T extends Uint8Array | Uint16Array | Uint32Array | Int32Array>(values: T, order: Uint32Array, target: T): T {
  for (let row = 0; row < order.length; row++) target[row] = values[order[row] as number] as number;
  return target;
}

function pickWords({ words }: Int64Array, order: Uint32Array, picked: Uint32Array<ArrayBuffer>): Int64Array {
  for (let row = 0; row < order.length; row++) {
    const at = (order[row] as number) * 2;
    picked[row * 2] = words[at] as number;
    picked[row * 2 + 1] = words[at + 1] as number;
  }
  return new Int64Array(picked);
}

/** Rows by time: runs that are in order already are merged, two at a time. Undefined where there is one run. */
function orderOf({ words }: Int64Array, rows: number): Uint32Array | undefined {
  let ends = runsOf(words, rows);
  if (ends.length <= 1) return undefined;
  let from = new Uint32Array(rows);
  let to = new Uint32Array(rows);
  for (let row = 0; row < rows; row++) from[row] = row;
  while (ends.length > 1) {
    const merged: number[] = [];
    for (let run = 0; run < ends.length; run += 2) {
      const start = run === 0 ? 0 : (ends[run - 1] as number);
      const middle = ends[run] as number;
      const end = ends[run + 1] ?? middle;
      mergeRuns(words, from, to, start, middle, end);
      merged.push(end);
    }
    [from, to] = [to, from];
    ends = merged;
  }
  return from;
}

function runsOf(words: Uint32Array, rows: number): number[] {
  const ends: number[] = [];
  for (let row = 1; row < rows; row++) if (isBefore(words, row, row - 1)) ends.push(row);
  if (rows > 0) ends.push(rows);
  return ends;
}

function mergeRuns(words: Uint32Array, from: Uint32Array, to: Uint32Array, start: number, middle: number, end: number): void {
  let left = start;
  let right = middle;
  for (let at = start; at < end; at++) {
    const takesRight = right < end && (left >= middle || isBefore(words, from[right] as number, from[left] as number));
    to[at] = from[takesRight ? right++ : left++] as number;
  }
}

/** Whether one row's time is less than another's; the high words are signed. */
function isBefore(words: Uint32Array, row: number, other: number): boolean {
  const high = (words[row * 2 + 1] as number) | 0;
  const otherHigh = (words[other * 2 + 1] as number) | 0;
  return high < otherHigh || (high === otherHigh && (words[row * 2] as number) < (words[other * 2] as number));
}
