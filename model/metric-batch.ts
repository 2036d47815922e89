/** Metric data points of one resource and scope. One row per data point; the metric's own description repeats by id. */
import { Int64Array } from '../base/int64.ts';
import { Interner } from '../base/interner.ts';
import { AttributeColumns } from './attribute-columns.ts';
import { copyInto } from './log-batch.ts';

export const METRIC_TYPE = { gauge: 1, sum: 2, histogram: 3, expHistogram: 4, summary: 5 } as const;
export type MetricType = (typeof METRIC_TYPE)[keyof typeof METRIC_TYPE];
/** OTLP aggregation temporality. */
export const TEMPORALITY = { unspecified: 0, delta: 1, cumulative: 2 } as const;

/** What a histogram, exponential histogram or summary point has besides the columns. */
export interface DistributionPoint {
  readonly count: bigint;
  readonly sum: number | undefined;
  readonly min: number | undefined;
  readonly max: number | undefined;
  /** Explicit buckets (histogram). */
  readonly bucketCounts: readonly bigint[];
  readonly bounds: readonly number[];
  /** Exponential buckets. */
  readonly scale: number;
  readonly zeroCount: bigint;
  readonly positiveOffset: number;
  readonly positiveCounts: readonly bigint[];
  readonly negativeOffset: number;
  readonly negativeCounts: readonly bigint[];
  /** Summary. */
  readonly quantiles: readonly { readonly quantile: number; readonly value: number }[];
}

export interface Exemplar {
  readonly row: number;
  readonly timeNs: bigint;
  readonly value: number;
  readonly traceId: Uint8Array;
  readonly spanId: Uint8Array;
  readonly attributes: Readonly<Record<string, string>>;
}

export class MetricBatch {
  length = 0;
  capacity: number;
  type: Uint8Array;
  temporality: Uint8Array;
  monotonic: Uint8Array;
  /** 1 where the value came as an integer. */
  isInteger: Uint8Array;
  /** OTLP data point flags. */
  flags: Uint32Array;
  /** Dictionary ids. */
  name: Uint32Array;
  description: Uint32Array;
  unit: Uint32Array;
  /** Unix ns. */
  startTime: Int64Array;
  time: Int64Array;
  /** Value of gauges and sums. */
  value: Float64Array;
  /** Set for rows of the other types, by row. */
  readonly distributions = new Map<number, DistributionPoint>();
  readonly exemplars: Exemplar[] = [];

  readonly strings = new Interner();
  readonly attributes = new AttributeColumns(this.strings);

  constructor(capacity = 256) {
    this.capacity = capacity;
    this.type = new Uint8Array(capacity);
    this.temporality = new Uint8Array(capacity);
    this.monotonic = new Uint8Array(capacity);
    this.isInteger = new Uint8Array(capacity);
    this.flags = new Uint32Array(capacity);
    this.name = new Uint32Array(capacity);
    this.description = new Uint32Array(capacity);
    this.unit = new Uint32Array(capacity);
    this.startTime = new Int64Array(capacity);
    this.time = new Int64Array(capacity);
    this.value = new Float64Array(capacity);
  }

  /** Starts a row of zeros and returns its index; add attributes, then `closeRow`. */
  openRow(): number {
    const row = this.length++;
    if (row === this.capacity) this.#grow();
    return row;
  }

  closeRow(): void {
    this.attributes.closeRow();
  }

  /** A whole gauge or cumulative-sum point. */
  add(
    metric: MetricDefinition,
    startNs: bigint,
    timeNs: bigint,
    value: number,
    attributes: Readonly<Record<string, string | number>>,
  ): void {
    const row = this.openRow();
    this.type[row] = metric.type === 'gauge' ? METRIC_TYPE.gauge : METRIC_TYPE.sum;
    this.temporality[row] = metric.type === 'gauge' ? TEMPORALITY.unspecified : TEMPORALITY.cumulative;
    this.monotonic[row] = metric.type === 'counter' ? 1 : 0;
    this.isInteger[row] = metric.integer ? 1 : 0;
    this.name[row] = this.strings.internString(metric.name);
    this.description[row] = this.strings.internString(metric.description);
    this.unit[row] = this.strings.internString(metric.unit);
    this.startTime.setBigint(row, startNs);
    this.time.setBigint(row, timeNs);
    this.value[row] = value;
    for (const [key, of] of Object.entries(attributes)) this.attributes.add(key, of);
    this.closeRow();
  }

  get sizeBytes(): number {
    return this.length * 56 + this.attributes.pairs * 25 + this.distributions.size * 400;
  }

  #grow(): void {
    const capacity = this.capacity * 2;
    this.type = copyInto(new Uint8Array(capacity), this.type);
    this.temporality = copyInto(new Uint8Array(capacity), this.temporality);
    this.monotonic = copyInto(new Uint8Array(capacity), this.monotonic);
    this.isInteger = copyInto(new Uint8Array(capacity), this.isInteger);
    this.flags = copyInto(new Uint32Array(capacity), this.flags);
    this.name = copyInto(new Uint32Array(capacity), this.name);
    this.description = copyInto(new Uint32Array(capacity), this.description);
    this.unit = copyInto(new Uint32Array(capacity), this.unit);
    this.startTime = this.startTime.grow(capacity);
    this.time = this.time.grow(capacity);
    this.value = copyInto(new Float64Array(capacity), this.value);
    this.capacity = capacity;
  }
}

/** A metric as its producer defines it; `counter` = monotonic cumulative sum, `updown` = cumulative sum. */
export interface MetricDefinition {
  readonly name: string;
  readonly description: string;
  /** UCUM: `s`, `By`, `1`, `{record}`. */
  readonly unit: string;
  readonly type: 'gauge' | 'counter' | 'updown';
  readonly integer: boolean;
}
