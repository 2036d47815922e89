/**
 * Records of all CPUs in the order in which the kernel prints them: the earliest first, of equal times the lower CPU.
 * Unlike CursorMerge it lets one look at what comes next, on one CPU or on all: the latency format marks a long wait before
 * the next record, and the function graph closes a function whose return comes next.
 */
import { EventRecord } from './print-fmt-numbers.ts';
import type { PageCursor } from './page-cursor.ts';

/** The record at hand of one CPU; its cursor stands at the next one. */
export class TracedCpu {
  readonly cpu: number;
  readonly record = new EventRecord();
  low = 0;
  high = 0;
  lost = 0;
  readonly #cursor: PageCursor;
  #hasNext: boolean;

  constructor(cursor: PageCursor) {
    this.#cursor = cursor;
    this.cpu = cursor.cpu;
    this.#hasNext = cursor.next();
  }

  /** The next record, with its time in `low` and `high`; undefined at the end. */
  peek(): PageCursor | undefined {
    return this.#hasNext ? this.#cursor : undefined;
  }

  advance(): void {
    const cursor = this.#cursor;
    const { record } = this;
    record.view = cursor.record.view;
    record.bytes = cursor.record.bytes;
    record.little = cursor.record.little;
    record.start = cursor.record.start;
    record.end = cursor.record.end;
    this.low = cursor.low;
    this.high = cursor.high;
    this.lost = cursor.lost;
    this.#hasNext = cursor.next();
  }

  /** Leaves the next record out. */
  skip(): void {
    this.#hasNext = this.#cursor.next();
  }
}

export class TraceMerge {
  readonly #cpus: readonly TracedCpu[];

  constructor(cursors: readonly PageCursor[]) {
    this.#cpus = [...cursors].sort((a, b) => a.cpu - b.cpu).map((cursor) => new TracedCpu(cursor));
  }

  next(): TracedCpu | undefined {
    const cpu = this.#earliest();
    cpu?.advance();
    return cpu;
  }

  /** The cursor of the record that comes next. */
  peek(): PageCursor | undefined {
    return this.#earliest()?.peek();
  }

  #earliest(): TracedCpu | undefined {
    let found: TracedCpu | undefined;
    let low = 0;
    let high = 0;
    for (const cpu of this.#cpus) {
      const next = cpu.peek();
      if (next === undefined) continue;
      if (found !== undefined && (next.high > high || (next.high === high && next.low >= low))) continue;
      found = cpu;
      ({ low, high } = next);
    }
    return found;
  }
}
