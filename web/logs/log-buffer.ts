/** The loaded part of the merged log: in time order, without doubles, bounded. */
import type { LogRow } from '../../model/api.ts';
import { compareDecimal } from '../format/time.ts';

/** Rows held at most; about 100 MB of short lines. */
export const MAX_ROWS = 200_000;

function compareRows(a: LogRow, b: LogRow): number {
  const byTime = compareDecimal(a.unixNs, b.unixNs);
  if (byTime !== 0) return byTime;
  // Records with one stamp keep the order of their stream.
  if (a.bootId === b.bootId && a.stream === b.stream) return a.sequence - b.sequence;
  return a.uid < b.uid ? -1 : a.uid > b.uid ? 1 : 0;
}

export class LogBuffer {
  readonly rows: LogRow[] = [];
  readonly #known = new Map<string, LogRow>();

  get length(): number {
    return this.rows.length;
  }

  clear(): void {
    this.rows.length = 0;
    this.#known.clear();
  }

  /** Adds rows where they belong; returns how many are new and how many of those stand before the row that was first. */
  insert(rows: readonly LogRow[]): { readonly added: number; readonly before: number } {
    const first = this.rows[0];
    const fresh = rows.filter((row) => !this.#known.has(row.uid) && this.#known.set(row.uid, row));
    if (fresh.length === 0) return { added: 0, before: 0 };
    fresh.sort(compareRows);
    const before = first === undefined ? 0 : fresh.findLastIndex((row) => compareRows(row, first) < 0) + 1;
    this.#merge(fresh);
    return { added: fresh.length, before };
  }

  /** Drops the oldest rows over the bound; returns how many. */
  trimStart(limit = MAX_ROWS): number {
    const over = this.rows.length - limit;
    if (over <= 0) return 0;
    for (const row of this.rows.splice(0, over)) this.#known.delete(row.uid);
    return over;
  }

  /** Index of the first row at or after a moment, `length` where all are older. */
  indexAt(unixNs: string): number {
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const row = this.rows[middle];
      if (row !== undefined && compareDecimal(row.unixNs, unixNs) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The row of a moment: the one with this name, else the first at or after it. */
  indexOfMoment(unixNs: string, uid: string | undefined): number {
    const row = uid === undefined ? undefined : this.#known.get(uid);
    return row === undefined ? this.indexAt(unixNs) : this.rows.indexOf(row, this.indexAt(row.unixNs));
  }

  #merge(fresh: readonly LogRow[]): void {
    const { rows } = this;
    const head = fresh[0];
    const last = rows[rows.length - 1];
    if (head === undefined) return;
    // Live rows nearly always belong at the end, older pages at the start.
    if (last === undefined || compareRows(head, last) > 0) {
      for (const row of fresh) rows.push(row);
      return;
    }
    const all = mergeSorted(rows, fresh);
    rows.length = 0;
    for (const row of all) rows.push(row);
  }
}

function mergeSorted(a: readonly LogRow[], b: readonly LogRow[]): LogRow[] {
  const merged: LogRow[] = [];
  let i = 0;
  let j = 0;
  for (;;) {
    const left = a[i];
    const right = b[j];
    if (left === undefined && right === undefined) return merged;
    if (right === undefined || (left !== undefined && compareRows(left, right) <= 0)) {
      merged.push(left as LogRow);
      i++;
    } else {
      merged.push(right);
      j++;
    }
  }
}
