/** Tables are partitioned by day, so a batch of broken times would cut itself into thousands of parts: it is refused instead. */
import { OperationalError } from '../base/errors.ts';
import { TWO_POW_32, type Int64Array } from '../base/int64.ts';

/** Three years of days in one batch: an import of old logs has fewer. */
const MAX_DAYS = 1_100;
/** Days in one step of the high word of a time in ns. */
const DAYS_PER_HIGH_WORD = TWO_POW_32 / 86_400e9;

export class DayGuard {
  readonly #days = new Set<number>();

  reset(): void {
    this.#days.clear();
  }

  /** Counts the days of a column of Unix ns, to within 4.3 s at midnight; throws E_REQUEST when they are too many. */
  count(times: Int64Array, rows: number): void {
    const { words } = times;
    let lastHigh = -1;
    for (let at = 1; at < rows * 2; at += 2) {
      const high = words[at] as number;
      if (high === lastHigh) continue;
      lastHigh = high;
      this.#days.add(Math.floor(high * DAYS_PER_HIGH_WORD));
    }
    if (this.#days.size > MAX_DAYS) {
      throw new OperationalError(
        'E_REQUEST',
        `the times of one batch lie on more than ${MAX_DAYS} days`,
        'its clock is broken: check how the sender aligns its times',
      );
    }
  }
}
