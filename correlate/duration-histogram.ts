/**
 * Durations as an OTLP exponential histogram of seconds: buckets of 2^(1/8), so a quantile read from it is right within 9 %.
 * Cumulative since it was made; a duration costs a logarithm and an addition.
 */
import type { DistributionPoint } from '../model/metric-batch.ts';

const SCALE = 3;
const PER_DOUBLING = 2 ** SCALE;
/** log2 of a second in ns. */
const SECOND_LOG2 = Math.log2(1e9);
/** Of 1 ns, rounded down; the last bucket begins at some 2^33 s. */
const FIRST_INDEX = -240;
const BUCKETS = 512;

export class DurationHistogram {
  readonly #counts = new Float64Array(BUCKETS);
  #zero = 0;
  #count = 0;
  #sumNs = 0;
  #leastNs = Infinity;
  #mostNs = 0;

  get count(): number {
    return this.#count;
  }

  add(ns: number): void {
    this.#count++;
    this.#sumNs += ns;
    if (ns < this.#leastNs) this.#leastNs = ns;
    if (ns > this.#mostNs) this.#mostNs = ns;
    if (ns < 1) {
      this.#zero++;
      return;
    }
    const index = Math.floor((Math.log2(ns) - SECOND_LOG2) * PER_DOUBLING) - FIRST_INDEX;
    const bucket = Math.min(index, BUCKETS - 1);
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
  }

  toPoint(): DistributionPoint {
    const first = Math.max(
      0,
      this.#counts.findIndex((count) => count > 0),
    );
    const last = this.#counts.findLastIndex((count) => count > 0);
    return {
      count: BigInt(this.#count),
      sum: this.#sumNs / 1e9,
      min: this.#count === 0 ? undefined : this.#leastNs / 1e9,
      max: this.#count === 0 ? undefined : this.#mostNs / 1e9,
      bucketCounts: [],
      bounds: [],
      scale: SCALE,
      zeroCount: BigInt(this.#zero),
      positiveOffset: first + FIRST_INDEX,
      positiveCounts: Array.from(this.#counts.subarray(first, last + 1), BigInt),
      negativeOffset: 0,
      negativeCounts: [],
      quantiles: [],
    };
  }
}
