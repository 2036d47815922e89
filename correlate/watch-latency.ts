/**
 * Whether messages of a channel got slower: the 99th percentile of each minute against that of the minutes before it.
 *
 *   minute   1    2   …   9   10  │ 11                 baseline: up to 60 minutes, of which 5 are needed
 *   p99     2.0  2.3     1.9  2.2 │ 48 ms  ◄── worse than three times all of it, than each minute of it, and than the bounds
 *
 * A minute that is worse is not learnt; when thirty in a row were, that is how it is now, and the baseline begins anew. Minutes
 * with fewer than 100 messages are passed over. Latencies are counted in buckets of a twelfth (10^(1/20)): a p99 is right to 12 %.
 */

/** Messages without which a minute has no 99th percentile. */
const LEAST_MESSAGES = 100;
const LEAST_MINUTES = 5;
const MOST_MINUTES = 60;
/** A shared machine doubles what takes a scheduler's turn; three times is no noise. */
const WORSE = 3;
/** Than each single minute before. */
const WORSE_THAN_WORST = 1.5;
/** Nobody is hurt by less. */
const LEAST_DIFFERENCE_NS = 100_000;
const NEW_NORMAL_MINUTES = 30;
const MINUTE_NS = 60_000_000_000n;
const PER_DECADE = 20;
/** From 1 ns to 1000 s. */
const BUCKETS = 12 * PER_DECADE;

interface Minute {
  readonly counts: Uint32Array;
  count: number;
  /** The largest bound of the difference of two clocks. */
  errorNs: number;
}

export interface Regression {
  /** The minute that was worse, Unix ns. */
  readonly fromNs: bigint;
  readonly messages: number;
  readonly p99Ns: number;
  readonly baselineNs: number;
  readonly baselineMinutes: number;
}

/** Of one channel. */
export class LatencyWatch {
  #minute: bigint | undefined;
  #current = createMinute();
  #before: Minute[] = [];
  #worse = 0;

  /** A message in the order in which they are matched; tells when a minute that is over by now was worse. */
  add(sentNs: bigint, latencyNs: number, errorNs: number): Regression | undefined {
    const minute = sentNs / MINUTE_NS;
    const isNext = this.#minute !== undefined && minute > this.#minute;
    const found = isNext ? this.endMinute() : undefined;
    // One that comes late counts for the minute that is open.
    if (this.#minute === undefined || isNext) this.#minute = minute;
    const bucket = Math.min(BUCKETS - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, latencyNs)) * PER_DECADE)));
    this.#current.counts[bucket] = (this.#current.counts[bucket] as number) + 1;
    this.#current.count++;
    if (errorNs > this.#current.errorNs) this.#current.errorNs = errorNs;
    return found;
  }

  /** The minute that is open is over: no message of it comes any more. */
  endMinute(): Regression | undefined {
    const last = this.#current;
    const fromNs = (this.#minute ?? 0n) * MINUTE_NS;
    if (last.count < LEAST_MESSAGES) {
      this.#current = createMinute();
      return undefined;
    }
    this.#current = createMinute();
    const found = this.#judge(last, fromNs);
    if (found === undefined || ++this.#worse > NEW_NORMAL_MINUTES) {
      if (found !== undefined) this.#before = [];
      this.#worse = 0;
      this.#before.push(last);
      if (this.#before.length > MOST_MINUTES) this.#before.shift();
    }
    return found;
  }

  #judge(last: Minute, fromNs: bigint): Regression | undefined {
    if (this.#before.length < LEAST_MINUTES) return undefined;
    const p99Ns = p99Of([last]);
    const baselineNs = p99Of(this.#before);
    const worstNs = Math.max(...this.#before.map((one) => p99Of([one])));
    const bounds = this.#before.map((one) => one.errorNs).sort((a, b) => a - b);
    const errorNs = Math.max(last.errorNs, bounds[bounds.length >> 1] ?? 0);
    const isWorse = p99Ns >= baselineNs * WORSE && p99Ns >= worstNs * WORSE_THAN_WORST;
    if (!isWorse || p99Ns - baselineNs < Math.max(LEAST_DIFFERENCE_NS, 2 * errorNs)) return undefined;
    return { fromNs, messages: last.count, p99Ns, baselineNs, baselineMinutes: this.#before.length };
  }
}

function createMinute(): Minute {
  return { counts: new Uint32Array(BUCKETS), count: 0, errorNs: 0 };
}

/** Middle of the bucket that holds it, ns. */
function p99Of(minutes: readonly Minute[]): number {
  let left = Math.ceil(minutes.reduce((sum, { count }) => sum + count, 0) * 0.01);
  for (let bucket = BUCKETS - 1; bucket >= 0; bucket--) {
    for (const { counts } of minutes) left -= counts[bucket] as number;
    if (left <= 0) return 10 ** ((bucket + 0.5) / PER_DECADE);
  }
  return 0;
}
