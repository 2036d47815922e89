/**
 * MetricBatch → the bytes of an ExportMetricsServiceRequest. A batch has one row per data point; on the wire points stand
 * inside their metric, so consecutive rows of one metric become one:
 *
 *   12 4d                               scope_metrics.metrics
 *      0a 0f 73 79 73 74 …              name; 12 description; 1a unit
 *      3a 2f                            sum (2a gauge, 4a histogram, 52 exponential histogram, 5a summary)
 *         0a 29                         data_points (repeated)
 *            11 …  19 …                 start and time, fixed64
 *            31 2a 00 …                 as_int (sfixed64), or 21 as_double
 *            3a …                       attributes
 *         10 02  18 01                  temporality CUMULATIVE, monotonic
 *
 * Deliberately not kept: zero_threshold of exponential histograms, integer exemplars (sent as doubles), metric metadata.
 */
import type { ByteWriter } from '../base/bytes.ts';
import type { Resource, Scope } from '../model/identity.ts';
import { METRIC_TYPE, type DistributionPoint, type Exemplar, type MetricBatch } from '../model/metric-batch.ts';
import { writeTextPair } from './any-value.ts';
import { writeAttributeRow } from './attributes.ts';
import { closeEnvelope, openEnvelope } from './envelope.ts';
import {
  closeMessage,
  highWord,
  highWordOf,
  isZero,
  lowWord,
  openMessage,
  putVarintWords,
  toZigZag,
  writeBytesField,
  writeDoubleField,
  writeFixed64BigintField,
  writeFixed64Field,
  writeText,
  writeVarintField,
} from './proto-writer.ts';
import {
  BUCKETS_COUNTS,
  BUCKETS_OFFSET,
  EXEMPLAR_ATTRIBUTES,
  EXEMPLAR_DOUBLE,
  EXEMPLAR_SPAN_ID,
  EXEMPLAR_TIME,
  EXEMPLAR_TRACE_ID,
  EXP_ATTRIBUTES,
  EXP_EXEMPLARS,
  EXP_FLAGS,
  EXP_MAX,
  EXP_MIN,
  EXP_NEGATIVE,
  EXP_POSITIVE,
  EXP_SCALE,
  EXP_ZERO_COUNT,
  HISTOGRAM_ATTRIBUTES,
  HISTOGRAM_BOUNDS,
  HISTOGRAM_BUCKET_COUNTS,
  HISTOGRAM_EXEMPLARS,
  HISTOGRAM_FLAGS,
  HISTOGRAM_MAX,
  HISTOGRAM_MIN,
  METRIC_DESCRIPTION,
  METRIC_EXP_HISTOGRAM,
  METRIC_GAUGE,
  METRIC_HISTOGRAM,
  METRIC_NAME,
  METRIC_SUM,
  METRIC_SUMMARY,
  METRIC_UNIT,
  NUMBER_ATTRIBUTES,
  NUMBER_DOUBLE,
  NUMBER_EXEMPLARS,
  NUMBER_FLAGS,
  NUMBER_INT,
  POINTS,
  POINTS_TEMPORALITY,
  POINT_COUNT,
  POINT_START_TIME,
  POINT_SUM,
  POINT_TIME,
  QUANTILE_QUANTILE,
  QUANTILE_VALUE,
  SCOPE_ITEM,
  SUMMARY_ATTRIBUTES,
  SUMMARY_FLAGS,
  SUMMARY_QUANTILES,
  SUM_MONOTONIC,
} from './tags.ts';
import { toUtf8Dictionary, type Dictionary } from './utf8.ts';

const TYPE_TAGS: Readonly<Record<number, number>> = {
  [METRIC_TYPE.gauge]: METRIC_GAUGE,
  [METRIC_TYPE.sum]: METRIC_SUM,
  [METRIC_TYPE.histogram]: METRIC_HISTOGRAM,
  [METRIC_TYPE.expHistogram]: METRIC_EXP_HISTOGRAM,
  [METRIC_TYPE.summary]: METRIC_SUMMARY,
};

const NO_EXEMPLARS: readonly Exemplar[] = [];

/** Appends the batch to the request in `writer`. */
export function encodeMetrics(resource: Resource, scope: Scope, batch: MetricBatch, writer: ByteWriter): void {
  const envelope = openEnvelope(writer, resource, scope, scope.attributes);
  const points: PointParts = {
    batch,
    dictionary: toUtf8Dictionary(batch.strings),
    exemplars: Map.groupBy(batch.exemplars, ({ row }) => row),
  };
  let row = 0;
  while (row < batch.length) {
    let end = row + 1;
    while (end < batch.length && isSameMetric(batch, row, end)) end++;
    writeMetric(writer, points, row, end);
    row = end;
  }
  closeEnvelope(writer, envelope);
}

function isSameMetric(batch: MetricBatch, a: number, b: number): boolean {
  return (
    batch.name[a] === batch.name[b] &&
    batch.type[a] === batch.type[b] &&
    batch.unit[a] === batch.unit[b] &&
    batch.description[a] === batch.description[b] &&
    batch.temporality[a] === batch.temporality[b] &&
    batch.monotonic[a] === batch.monotonic[b]
  );
}

/** A batch with what the writing of its points needs. */
interface PointParts {
  readonly batch: MetricBatch;
  readonly dictionary: Dictionary;
  readonly exemplars: ReadonlyMap<number, readonly Exemplar[]>;
}

function writeMetric(writer: ByteWriter, parts: PointParts, from: number, to: number): void {
  const { batch, dictionary } = parts;
  const type = batch.type[from] as number;
  const typeTag = TYPE_TAGS[type];
  if (typeTag === undefined) return;
  const metric = openMessage(writer, SCOPE_ITEM, 2);
  writeText(writer, METRIC_NAME, dictionary, batch.name[from] as number);
  writeText(writer, METRIC_DESCRIPTION, dictionary, batch.description[from] as number);
  writeText(writer, METRIC_UNIT, dictionary, batch.unit[from] as number);
  const points = openMessage(writer, typeTag, 2);
  for (let row = from; row < to; row++) {
    const point = openMessage(writer, POINTS);
    writeTimes(writer, batch, row);
    writePoint(writer, parts, row);
    closeMessage(writer, point);
  }
  if (batch.temporality[from] !== 0) writeVarintField(writer, POINTS_TEMPORALITY, batch.temporality[from] as number);
  if (type === METRIC_TYPE.sum && batch.monotonic[from] === 1) writeVarintField(writer, SUM_MONOTONIC, 1);
  closeMessage(writer, points, 2);
  closeMessage(writer, metric, 2);
}

function writeTimes(writer: ByteWriter, batch: MetricBatch, row: number): void {
  const starts = batch.startTime.words;
  const times = batch.time.words;
  if (starts[row * 2] !== 0 || starts[row * 2 + 1] !== 0) {
    writeFixed64Field(writer, POINT_START_TIME, starts[row * 2] as number, starts[row * 2 + 1] as number);
  }
  writeFixed64Field(writer, POINT_TIME, times[row * 2] as number, times[row * 2 + 1] as number);
}

function writePoint(writer: ByteWriter, parts: PointParts, row: number): void {
  const { batch } = parts;
  const exemplars = parts.exemplars.get(row) ?? NO_EXEMPLARS;
  const distribution = batch.distributions.get(row);
  const flags = batch.flags[row] as number;
  switch (batch.type[row]) {
    case METRIC_TYPE.histogram:
      if (distribution !== undefined) writeHistogram(writer, distribution);
      writeTail(writer, parts, row, HISTOGRAM_ATTRIBUTES, HISTOGRAM_FLAGS, flags);
      writeExemplars(writer, HISTOGRAM_EXEMPLARS, exemplars);
      return;
    case METRIC_TYPE.expHistogram:
      if (distribution !== undefined) writeExpHistogram(writer, distribution);
      writeTail(writer, parts, row, EXP_ATTRIBUTES, EXP_FLAGS, flags);
      writeExemplars(writer, EXP_EXEMPLARS, exemplars);
      return;
    case METRIC_TYPE.summary:
      if (distribution !== undefined) writeSummary(writer, distribution);
      writeTail(writer, parts, row, SUMMARY_ATTRIBUTES, SUMMARY_FLAGS, flags);
      return;
    default:
      writeNumber(writer, batch.value[row] as number, batch.isInteger[row] === 1);
      writeTail(writer, parts, row, NUMBER_ATTRIBUTES, NUMBER_FLAGS, flags);
      writeExemplars(writer, NUMBER_EXEMPLARS, exemplars);
  }
}

/** 2^63: integers from here on have no sfixed64 form. */
const INT64_END = 9_223_372_036_854_775_808;

function writeNumber(writer: ByteWriter, value: number, isInteger: boolean): void {
  if (isInteger && Number.isInteger(value) && value >= -INT64_END && value < INT64_END) {
    const high = highWordOf(value);
    writeFixed64Field(writer, NUMBER_INT, value >>> 0, high);
  } else writeDoubleField(writer, NUMBER_DOUBLE, value);
}

function writeTail(
  writer: ByteWriter,
  { batch, dictionary }: PointParts,
  row: number,
  attributesTag: number,
  flagsTag: number,
  flags: number,
): void {
  writeAttributeRow(writer, batch.attributes, dictionary, row, attributesTag);
  if (flags !== 0) writeVarintField(writer, flagsTag, flags);
}

function writeHistogram(writer: ByteWriter, point: DistributionPoint): void {
  writeFixed64BigintField(writer, POINT_COUNT, point.count);
  writeOptionalDouble(writer, POINT_SUM, point.sum);
  const counts = openMessage(writer, HISTOGRAM_BUCKET_COUNTS);
  for (const count of point.bucketCounts) writer.writeU64Words(lowWord(count), highWord(count));
  closeMessage(writer, counts);
  const bounds = openMessage(writer, HISTOGRAM_BOUNDS);
  for (const bound of point.bounds) writer.writeF64(bound);
  closeMessage(writer, bounds);
  writeOptionalDouble(writer, HISTOGRAM_MIN, point.min);
  writeOptionalDouble(writer, HISTOGRAM_MAX, point.max);
}

function writeExpHistogram(writer: ByteWriter, point: DistributionPoint): void {
  writeFixed64BigintField(writer, POINT_COUNT, point.count);
  writeOptionalDouble(writer, POINT_SUM, point.sum);
  writeVarintField(writer, EXP_SCALE, toZigZag(point.scale));
  writeFixed64BigintField(writer, EXP_ZERO_COUNT, point.zeroCount);
  writeBuckets(writer, EXP_POSITIVE, point.positiveOffset, point.positiveCounts);
  writeBuckets(writer, EXP_NEGATIVE, point.negativeOffset, point.negativeCounts);
  writeOptionalDouble(writer, EXP_MIN, point.min);
  writeOptionalDouble(writer, EXP_MAX, point.max);
}

function writeBuckets(writer: ByteWriter, tag: number, offset: number, counts: readonly bigint[]): void {
  const buckets = openMessage(writer, tag);
  if (offset !== 0) writeVarintField(writer, BUCKETS_OFFSET, toZigZag(offset));
  const list = openMessage(writer, BUCKETS_COUNTS);
  for (const count of counts) {
    writer.reserve(10);
    writer.length = putVarintWords(writer.bytes, writer.length, lowWord(count), highWord(count));
  }
  closeMessage(writer, list);
  closeMessage(writer, buckets);
}

function writeSummary(writer: ByteWriter, point: DistributionPoint): void {
  writeFixed64BigintField(writer, POINT_COUNT, point.count);
  writeDoubleField(writer, POINT_SUM, point.sum ?? 0);
  for (const { quantile, value } of point.quantiles) {
    const entry = openMessage(writer, SUMMARY_QUANTILES);
    writeDoubleField(writer, QUANTILE_QUANTILE, quantile);
    writeDoubleField(writer, QUANTILE_VALUE, value);
    closeMessage(writer, entry);
  }
}

function writeOptionalDouble(writer: ByteWriter, tag: number, value: number | undefined): void {
  if (value !== undefined) writeDoubleField(writer, tag, value);
}

function writeExemplars(writer: ByteWriter, tag: number, exemplars: readonly Exemplar[]): void {
  for (const exemplar of exemplars) {
    const message = openMessage(writer, tag);
    writeFixed64BigintField(writer, EXEMPLAR_TIME, exemplar.timeNs);
    writeDoubleField(writer, EXEMPLAR_DOUBLE, exemplar.value);
    if (!isZero(exemplar.spanId, 0, exemplar.spanId.length))
      writeBytesField(writer, EXEMPLAR_SPAN_ID, exemplar.spanId, 0, exemplar.spanId.length);
    if (!isZero(exemplar.traceId, 0, exemplar.traceId.length)) {
      writeBytesField(writer, EXEMPLAR_TRACE_ID, exemplar.traceId, 0, exemplar.traceId.length);
    }
    for (const [key, value] of Object.entries(exemplar.attributes)) writeTextPair(writer, EXEMPLAR_ATTRIBUTES, key, value);
    closeMessage(writer, message);
  }
}
