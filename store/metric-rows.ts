/** Metric batches as Native blocks of the five `otel_metrics_*` tables: one block for each type of point that is present. */
import { Int64Array } from '../base/int64.ts';
import { toHex } from '../base/bytes.ts';
import { AttributeColumns } from '../model/attribute-columns.ts';
import type { Resource, Scope } from '../model/identity.ts';
import { METRIC_TYPE, type DistributionPoint, type Exemplar, type MetricBatch, type MetricType } from '../model/metric-batch.ts';
import type { NativeWriter } from './native.ts';
import { writeIdentity, writeScope } from './resource-columns.ts';

export const METRIC_TABLES = [
  { type: METRIC_TYPE.gauge, table: 'otel_metrics_gauge' },
  { type: METRIC_TYPE.sum, table: 'otel_metrics_sum' },
  { type: METRIC_TYPE.histogram, table: 'otel_metrics_histogram' },
  { type: METRIC_TYPE.expHistogram, table: 'otel_metrics_exp_histogram' },
  { type: METRIC_TYPE.summary, table: 'otel_metrics_summary' },
] as const;

const NO_POINT: DistributionPoint = {
  count: 0n,
  sum: undefined,
  min: undefined,
  max: undefined,
  bucketCounts: [],
  bounds: [],
  scale: 0,
  zeroCount: 0n,
  positiveOffset: 0,
  positiveCounts: [],
  negativeOffset: 0,
  negativeCounts: [],
  quantiles: [],
};

/** Writes the points of one type; `writer` belongs to that type's table. */
export function writeMetrics(writer: NativeWriter, type: MetricType, resource: Resource, scope: Scope, batch: MetricBatch): void {
  const rows: number[] = [];
  for (let row = 0; row < batch.length; row++) if (batch.type[row] === type) rows.push(row);
  if (rows.length === 0) return;
  writer.openBlock(rows.length);
  writeIdentity(writer, resource);
  writer.constantString('ResourceSchemaUrl', resource.schemaUrl);
  writeScope(writer, scope, 'String');
  writer.lowCardinality('MetricName', pickIds(batch.name, rows), batch.strings);
  writer.lowCardinality('MetricDescription', pickIds(batch.description, rows), batch.strings);
  writer.lowCardinality('MetricUnit', pickIds(batch.unit, rows), batch.strings);
  writer.attributeMap('Attributes', batch.attributes, rows);
  writer.words('StartTimeUnix', 'DateTime64(9)', pickWords(batch.startTime, rows));
  writer.words('TimeUnix', 'DateTime64(9)', pickWords(batch.time, rows));
  writer.numbers('Flags', 'UInt32', pickIds(batch.flags, rows));
  if (type === METRIC_TYPE.gauge || type === METRIC_TYPE.sum) {
    writer.numbers(
      'Value',
      'Float64',
      Float64Array.from(rows, (row) => batch.value[row] as number),
    );
  } else {
    writeDistributions(
      writer,
      type,
      rows.map((row) => batch.distributions.get(row) ?? NO_POINT),
    );
  }
  if (type === METRIC_TYPE.sum) {
    writer.numbers(
      'IsMonotonic',
      'Bool',
      Uint8Array.from(rows, (row) => batch.monotonic[row] as number),
    );
  }
  if (type !== METRIC_TYPE.gauge && type !== METRIC_TYPE.summary) {
    writer.numbers(
      'AggregationTemporality',
      'Int32',
      Int32Array.from(rows, (row) => batch.temporality[row] as number),
    );
  }
  if (type !== METRIC_TYPE.summary) writeExemplars(writer, rows, batch);
  writer.closeBlock();
}

function writeDistributions(writer: NativeWriter, type: MetricType, points: readonly DistributionPoint[]): void {
  const doubles = (name: string, of: (point: DistributionPoint) => number | undefined): void =>
    writer.numbers(
      name,
      'Float64',
      Float64Array.from(points, (point) => of(point) ?? 0),
    );
  const lists = (name: string, element: string, of: (point: DistributionPoint) => readonly (number | bigint)[]): void =>
    writer.arrays(name, element, endsOf(points, of), points.flatMap(of));
  writer.bigints(
    'Count',
    'UInt64',
    points.map((point) => point.count),
  );
  doubles('Sum', (point) => point.sum);
  if (type === METRIC_TYPE.summary) {
    lists('ValueAtQuantiles.Quantile', 'Float64', (point) => point.quantiles.map((at) => at.quantile));
    lists('ValueAtQuantiles.Value', 'Float64', (point) => point.quantiles.map((at) => at.value));
    return;
  }
  doubles('Min', (point) => point.min);
  doubles('Max', (point) => point.max);
  if (type === METRIC_TYPE.histogram) {
    lists('BucketCounts', 'UInt64', (point) => point.bucketCounts);
    lists('ExplicitBounds', 'Float64', (point) => point.bounds);
    return;
  }
  const offsets = (name: string, of: (point: DistributionPoint) => number): void =>
    writer.numbers(name, 'Int32', Int32Array.from(points, of));
  offsets('Scale', (point) => point.scale);
  writer.bigints(
    'ZeroCount',
    'UInt64',
    points.map((point) => point.zeroCount),
  );
  offsets('PositiveOffset', (point) => point.positiveOffset);
  lists('PositiveBucketCounts', 'UInt64', (point) => point.positiveCounts);
  offsets('NegativeOffset', (point) => point.negativeOffset);
  lists('NegativeBucketCounts', 'UInt64', (point) => point.negativeCounts);
}

function writeExemplars(writer: NativeWriter, rows: readonly number[], batch: MetricBatch): void {
  if (batch.exemplars.length === 0) return;
  const byRow = Map.groupBy(batch.exemplars, (exemplar) => exemplar.row);
  const lists = rows.map((row): readonly Exemplar[] => byRow.get(row) ?? []);
  const all = lists.flat();
  const ends = endsOf(lists, (list) => list);
  const filtered = new AttributeColumns(batch.strings);
  for (const exemplar of all) {
    for (const [key, value] of Object.entries(exemplar.attributes)) filtered.add(key, value);
    filtered.closeRow();
  }
  writer.arraysOfMaps('Exemplars.FilteredAttributes', ends, filtered);
  writer.arrays(
    'Exemplars.TimeUnix',
    'DateTime64(9)',
    ends,
    all.map((exemplar) => exemplar.timeNs),
  );
  writer.arrays(
    'Exemplars.Value',
    'Float64',
    ends,
    all.map((exemplar) => exemplar.value),
  );
  writer.arraysOfStrings(
    'Exemplars.SpanId',
    ends,
    all.map((exemplar) => toHex(exemplar.spanId)),
  );
  writer.arraysOfStrings(
    'Exemplars.TraceId',
    ends,
    all.map((exemplar) => toHex(exemplar.traceId)),
  );
}

function endsOf<Item>(items: readonly Item[], of: (item: Item) => readonly unknown[]): number[] {
  let end = 0;
  return items.map((item) => (end += of(item).length));
}

function pickIds(ids: Uint32Array, rows: readonly number[]): Uint32Array {
  return Uint32Array.from(rows, (row) => ids[row] as number);
}

function pickWords(from: Int64Array, rows: readonly number[]): Int64Array {
  const picked = new Int64Array(rows.length);
  for (const [at, row] of rows.entries()) picked.setWords(at, from.words[row * 2] as number, from.words[row * 2 + 1] as number);
  return picked;
}
