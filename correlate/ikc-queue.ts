/** Halves of a channel that wait for their other end: a pool of rows, and orders of such rows by time. */
import { TWO_POW_32 } from '../base/int64.ts';
import { copyInto } from '../model/log-batch.ts';
import { HalfBatch } from './ikc-halves.ts';

/** Rows at first: of 64 kernels that all talk to each other there are 4,032 channels. */
const FIRST_ROWS = 16;

export class HalfPool {
  readonly rows = new HalfBatch(FIRST_ROWS);
  /** By row: ns since the base of the matcher; of a sending its claim. */
  atNs = new Float64Array(FIRST_ROWS);
  /** By row: index of the incarnation that recorded it, when it came (ms), and whether a row of it is stored. */
  kernel = new Int32Array(FIRST_ROWS);
  arrivedMs = new Float64Array(FIRST_ROWS);
  isWritten = new Uint8Array(FIRST_ROWS);
  /** By row: its channel was decided beyond it before it came. */
  isLate = new Uint8Array(FIRST_ROWS);
  /** Receivings: positions without a record since the count began, and which count that is (a new one after an unknown hole). */
  cumulative = new Float64Array(FIRST_ROWS);
  count = new Float64Array(FIRST_ROWS);
  #free: number[] = [];

  get size(): number {
    return this.rows.length - this.#free.length;
  }

  /** Takes a row of a batch over; returns its row here. `low`, `high`: words of the base. */
  add(source: HalfBatch, from: number, low: number, high: number): number {
    const row = this.#free.pop() ?? this.rows.openRow();
    if (row >= this.atNs.length) this.#grow();
    this.rows.copyRow(row, source, from);
    const { words } = source.time;
    const sinceNs = (((words[from * 2 + 1] as number) - high) | 0) * TWO_POW_32 + ((words[from * 2] as number) - low);
    this.atNs[row] = sinceNs + (source.claimNs[from] as number);
    this.isWritten[row] = 0;
    this.isLate[row] = 0;
    return row;
  }

  /** Takes a row of another pool over, with all that is known of it. */
  adopt(other: HalfPool, from: number): number {
    const row = this.#free.pop() ?? this.rows.openRow();
    if (row >= this.atNs.length) this.#grow();
    this.rows.copyRow(row, other.rows, from);
    for (const name of ['atNs', 'kernel', 'arrivedMs', 'isWritten', 'isLate', 'cumulative', 'count'] as const) {
      this[name][row] = other[name][from] as number;
    }
    return row;
  }

  free(row: number): void {
    this.#free.push(row);
  }

  #grow(): void {
    const capacity = this.atNs.length * 2;
    this.atNs = copyInto(new Float64Array(capacity), this.atNs);
    this.kernel = copyInto(new Int32Array(capacity), this.kernel);
    this.arrivedMs = copyInto(new Float64Array(capacity), this.arrivedMs);
    this.isWritten = copyInto(new Uint8Array(capacity), this.isWritten);
    this.isLate = copyInto(new Uint8Array(capacity), this.isLate);
    this.cumulative = copyInto(new Float64Array(capacity), this.cumulative);
    this.count = copyInto(new Float64Array(capacity), this.count);
  }
}

/** Rows of a pool by time, and in the order they came where that is the same. */
export class TimeOrder {
  readonly pool: HalfPool;
  rows = new Uint32Array(FIRST_ROWS);
  length = 0;

  constructor(pool: HalfPool) {
    this.pool = pool;
  }

  /** Returns the place of the row. */
  insert(row: number): number {
    if (this.length === this.rows.length) this.rows = copyInto(new Uint32Array(this.length * 2), this.rows);
    const { atNs } = this.pool;
    const at = atNs[row] as number;
    let place = this.length;
    if (place > 0 && (atNs[this.rows[place - 1] as number] as number) > at) {
      place = this.after(at);
      this.rows.copyWithin(place + 1, place, this.length);
    }
    this.rows[place] = row;
    this.length++;
    return place;
  }

  /** Place of the first row that is later than `at`. */
  after(at: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.pool.atNs[this.rows[middle] as number] as number) <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Takes the rows out that `goes` marks by place, among the first `count`. Their memory is the caller's to free. */
  cut(count: number, goes: Uint8Array): void {
    let to = 0;
    for (let place = 0; place < count; place++) if (goes[place] === 0) this.rows[to++] = this.rows[place] as number;
    this.rows.copyWithin(to, count, this.length);
    this.length -= count - to;
  }
}
