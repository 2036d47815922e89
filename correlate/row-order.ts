/**
 * Rows of event tables in the order of time. The rows of a CPU are in order already, and the CPUs of a batch stand one after the other:
 * so a column is a few ascending runs, which are merged, instead of being sorted.
 */
import { TWO_POW_32 } from '../base/int64.ts';
import type { EventTable } from '../model/event-batch.ts';

/** Raw time of a row as two words; a difference of two is exact in a double, a stamp may not be. */
export interface TimeBase {
  readonly low: number;
  readonly high: number;
}

export interface OrderedRows {
  readonly rows: Uint32Array;
  /** Of `rows[i]`: raw time since the base. */
  readonly times: Float64Array;
}

export function baseOf(table: EventTable): TimeBase {
  return { low: table.rawTime.words[0] as number, high: table.rawTime.words[1] as number };
}

export function orderRows(table: EventTable, base: TimeBase): OrderedRows {
  const { length } = table;
  const { words } = table.rawTime;
  const times = new Float64Array(length);
  const runs: number[] = [0];
  let last = -Infinity;
  for (let row = 0; row < length; row++) {
    const time = ((words[row * 2 + 1] as number) - base.high) * TWO_POW_32 + ((words[row * 2] as number) - base.low);
    times[row] = time;
    if (time < last) runs.push(row);
    last = time;
  }
  runs.push(length);
  const rows = Uint32Array.from({ length }, (_, row) => row);
  return runs.length === 2 ? { rows, times } : mergeRuns(rows, times, runs);
}

/** Bottom-up: neighbours are merged until one is left. Rows of one time keep their order. */
function mergeRuns(rows: Uint32Array, times: Float64Array, runs: readonly number[]): OrderedRows {
  let from: OrderedRows = { rows, times };
  let to: OrderedRows = { rows: new Uint32Array(rows.length), times: new Float64Array(rows.length) };
  let bounds = runs;
  while (bounds.length > 2) {
    const next = [0];
    for (let run = 0; run < bounds.length - 1; run += 2) {
      const start = bounds[run] as number;
      const middle = bounds[run + 1] as number;
      const end = bounds[run + 2] ?? middle;
      mergeTwo(from, to, start, middle, end);
      next.push(end);
    }
    [from, to] = [to, from];
    bounds = next;
  }
  return from;
}

function mergeTwo(from: OrderedRows, to: OrderedRows, start: number, middle: number, end: number): void {
  let a = start;
  let b = middle;
  for (let at = start; at < end; at++) {
    const takesA = b >= end || (a < middle && (from.times[a] as number) <= (from.times[b] as number));
    const of = takesA ? a++ : b++;
    to.rows[at] = from.rows[of] as number;
    to.times[at] = from.times[of] as number;
  }
}
