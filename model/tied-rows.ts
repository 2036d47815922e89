/**
 * Events of one CPU that follow each other with one stamp: neither their times nor their tables tell in which order they were written.
 * So the aligned time of the n-th one after the first is n ns later, which is less than any clock is known to; the raw time stays.
 *
 *   as written, CPU 1, raw 5396697   waking   exit   waking
 *   rank                             0        1      2
 *   aligned                          …937     …938   …939
 */
import type { EventTable } from './event-batch.ts';

export class TiedRows {
  readonly #tables: EventTable[] = [];
  readonly #rows: number[] = [];
  readonly #ranks: number[] = [];

  add(table: EventTable, row: number, rank: number): void {
    this.#tables.push(table);
    this.#rows.push(row);
    this.#ranks.push(rank);
  }

  clear(): void {
    this.#tables.length = 0;
    this.#rows.length = 0;
    this.#ranks.length = 0;
  }

  /** Moves the aligned times apart; once, after they were filled. */
  separate(): void {
    for (const [i, table] of this.#tables.entries()) {
      const row = this.#rows[i] as number;
      table.unixTime.setBigint(row, table.unixTime.getBigint(row) + BigInt(this.#ranks[i] as number));
    }
  }
}
