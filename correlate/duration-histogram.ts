/**
 * Durations as an OTLP exponential histogram of seconds: buckets of 2^(1/8), so a quantile read from it is right within 9 %.
 * Cumulative since it was made; a duration costs a logarithm and an addition. Of those with a span one of each doubling is
 * kept as an exemplar: what is rare and slow is not pushed out by what is common.
 */
import { METRIC_TYPE, TEMPORALITY, type DistributionPoint, type Exemplar, type MetricBatch } from '../model/metric-batch.ts';

const SCALE = 3;
const PER_DOUBLING = 2 ** SCALE;
/** log2 of a second in ns. */
const SECOND_LOG2 = Math.log2(1e9);
/** Of 1 ns, rounded down; the last bucket begins at some 2^33 s. */
const FIRST_INDEX = -240;
const BUCKETS = 512;

/** Doublings with an exemplar: the slowest ones. */
const MAX_EXEMPLARS = 8;
const NO_ATTRIBUTES = {};

/** Which metric a point is of, and over what time, Unix ns. */
export interface DurationMetric {
  readonly name: string;
  readonly description: string;
  readonly startNs: bigint;
  readonly timeNs: bigint;
}

/** A span whose duration is among those counted. */
export interface SpanExemplar {
  readonly ns: number;
  readonly timeNs: bigint;
  readonly traceId: Uint8Array;
  readonly spanId: Uint8Array;
}

interface KeptExemplar {
  readonly exemplar: SpanExemplar;
  /** It was in a point already. */
  isTold: boolean;
}

export class DurationHistogram {
  readonly #counts = new Float64Array(BUCKETS);
  #zero = 0;
  #count = 0;
  #sumNs = 0;
  #leastNs = Infinity;
  #mostNs = 0;
  /** By doubling. */
  readonly #exemplars = new Map<number, KeptExemplar>();

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

  /** Ids are copied. The first one since a point was made of its doubling stays. */
  addExemplar({ ns, timeNs, traceId, spanId }: SpanExemplar): void {
    const doubling = Math.floor(Math.log2(Math.max(1, ns)));
    if (this.#exemplars.get(doubling)?.isTold === false) return;
    this.#exemplars.set(doubling, { exemplar: { ns, timeNs, traceId: traceId.slice(), spanId: spanId.slice() }, isTold: false });
    if (this.#exemplars.size > MAX_EXEMPLARS) this.#exemplars.delete(Math.min(...this.#exemplars.keys()));
  }

  /** Opens a row with all so far, and the exemplars that are in none yet. Its attributes come from whoever closes it. */
  openRow(batch: MetricBatch, { name, description, startNs, timeNs }: DurationMetric): void {
    const row = batch.openRow();
    batch.type[row] = METRIC_TYPE.expHistogram;
    batch.temporality[row] = TEMPORALITY.cumulative;
    batch.name[row] = batch.strings.internString(name);
    batch.description[row] = batch.strings.internString(description);
    batch.unit[row] = batch.strings.internString('s');
    batch.startTime.setBigint(row, startNs);
    batch.time.setBigint(row, timeNs);
    batch.distributions.set(row, this.toPoint());
    batch.exemplars.push(...this.#takeExemplars(row));
  }

  #takeExemplars(row: number): Exemplar[] {
    const fresh = [...this.#exemplars.values()].filter(({ isTold }) => !isTold);
    return fresh.map((kept) => {
      kept.isTold = true;
      const { ns, timeNs, traceId, spanId } = kept.exemplar;
      return { row, timeNs, value: ns / 1e9, traceId, spanId, attributes: NO_ATTRIBUTES };
    });
  }

  /** How many took at most 2^`doubling` seconds, and the slowest exemplar of those that took more than 2^`above` seconds. */
  readBucket(doubling: number, above: number): { readonly count: number; readonly exemplar: SpanExemplar | undefined } {
    const end = Math.min(BUCKETS, Math.max(0, doubling * PER_DOUBLING - FIRST_INDEX));
    let count = this.#zero;
    for (let bucket = 0; bucket < end; bucket++) count += this.#counts[bucket] as number;
    const [low, high] = [2 ** above * 1e9, 2 ** doubling * 1e9];
    let slowest: SpanExemplar | undefined;
    for (const { exemplar } of this.#exemplars.values()) {
      if (exemplar.ns >= low && exemplar.ns < high && exemplar.ns > (slowest?.ns ?? -1)) slowest = exemplar;
    }
    return { count, exemplar: slowest };
  }

  get sumNs(): number {
    return this.#sumNs;
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
