/**
 * The bytes of an ExportMetricsServiceRequest → one MetricBatch per resource and scope, one row per data point (the picture
 * is in encode-metrics.ts).
 *
 * Deliberately not kept: metric metadata, zero_threshold, the int/double distinction of exemplars.
 */
import { METRIC_TYPE, MetricBatch, type DistributionPoint } from '../model/metric-batch.ts';
import { PairSlot, readAttribute } from './attributes.ts';
import { DECODE_MEMORY_BYTES, readTextPair, walkRequest, type Decoded, type SignalPart } from './envelope.ts';
import { ProtoReader } from './proto-reader.ts';
import * as tags from './tags.ts';

export type DecodedMetrics = SignalPart<MetricBatch>;

const ROW_MEMORY_BYTES = 64;
/** A DistributionPoint with its Map entry and four lists. */
const DISTRIBUTION_MEMORY_BYTES = 600;
/** A bigint, or an entry of a list. */
const ENTRY_MEMORY_BYTES = 32;
const EXEMPLAR_MEMORY_BYTES = 320;

export function decodeMetrics(bytes: Uint8Array, memoryLimitBytes = DECODE_MEMORY_BYTES): Decoded<DecodedMetrics> {
  const reader = new ProtoReader(bytes, memoryLimitBytes);
  const parts: DecodedMetrics[] = [];
  walkRequest(reader, (resource, scope, end, items) => {
    if (!reader.charge(items * ROW_MEMORY_BYTES)) return;
    const batch = new MetricBatch(items);
    new MetricReader(reader, batch).readScope(end);
    if (batch.length > 0) parts.push({ resource, scope, batch });
  });
  if (reader.failure !== undefined) return { ok: false, failure: reader.failure };
  return { ok: true, parts, rejected: 0, rejectedReason: '' };
}

/** What a metric's points share. */
interface MetricHeader {
  name: number;
  description: number;
  unit: number;
}

class MetricReader {
  readonly #reader: ProtoReader;
  readonly #batch: MetricBatch;
  readonly #pair = new PairSlot();
  readonly #header: MetricHeader = { name: 0, description: 0, unit: 0 };

  constructor(reader: ProtoReader, batch: MetricBatch) {
    this.#reader = reader;
    this.#batch = batch;
  }

  readScope(end: number): void {
    const reader = this.#reader;
    while (reader.at < end) {
      const tag = reader.readTag();
      if (tag === tags.SCOPE_ITEM) this.#readMetric(reader.readEnd(end));
      else reader.skip(tag, end);
    }
  }

  /** Name and unit may stand behind the points, so they are read first. */
  #readMetric(end: number): void {
    const reader = this.#reader;
    const header = this.#header;
    const start = reader.at;
    header.name = 0;
    header.description = 0;
    header.unit = 0;
    while (reader.at < end) {
      const tag = reader.readTag();
      if (tag === tags.METRIC_NAME) header.name = this.#readText(end);
      else if (tag === tags.METRIC_DESCRIPTION) header.description = this.#readText(end);
      else if (tag === tags.METRIC_UNIT) header.unit = this.#readText(end);
      else reader.skip(tag, end);
    }
    reader.close(end);
    if (reader.failure !== undefined) return;
    reader.at = start;
    while (reader.at < end) {
      const tag = reader.readTag();
      const type = typeOf(tag);
      if (type === 0) reader.skip(tag, end);
      else this.#readPoints(type, reader.readEnd(end));
    }
  }

  #readText(limit: number): number {
    const reader = this.#reader;
    const end = reader.readEnd(limit);
    const id = this.#batch.strings.intern(reader.bytes, reader.at, end);
    reader.at = end;
    return id;
  }

  /** Gauge, sum, histogram, …: points first, then what they share is set on all of them, since it usually stands behind. */
  #readPoints(type: number, end: number): void {
    const reader = this.#reader;
    const batch = this.#batch;
    const firstRow = batch.length;
    let temporality = 0;
    let monotonic = 0;
    while (reader.at < end) {
      const tag = reader.readTag();
      if (tag === tags.POINTS) this.#readPoint(type, reader.readEnd(end));
      else if (tag === tags.POINTS_TEMPORALITY) temporality = atMost(reader.readVarint(), 2);
      else if (tag === tags.SUM_MONOTONIC && type === METRIC_TYPE.sum) monotonic = reader.readVarint() === 0 ? 0 : 1;
      else reader.skip(tag, end);
    }
    reader.close(end);
    if (type === METRIC_TYPE.gauge || type === METRIC_TYPE.summary) temporality = 0;
    batch.temporality.fill(temporality, firstRow, batch.length);
    batch.monotonic.fill(monotonic, firstRow, batch.length);
  }

  #readPoint(type: number, end: number): void {
    const reader = this.#reader;
    const batch = this.#batch;
    if (!reader.charge(ROW_MEMORY_BYTES)) return;
    const row = batch.openRow();
    batch.type[row] = type;
    batch.name[row] = this.#header.name;
    batch.description[row] = this.#header.description;
    batch.unit[row] = this.#header.unit;
    if (type === METRIC_TYPE.gauge || type === METRIC_TYPE.sum) this.#readNumber(row, end);
    else this.#readDistribution(type, row, end);
    reader.close(end);
    batch.closeRow();
  }

  #readNumber(row: number, end: number): void {
    const reader = this.#reader;
    const batch = this.#batch;
    while (reader.at < end) {
      const tag = reader.readTag();
      switch (tag) {
        case tags.NUMBER_DOUBLE:
          batch.value[row] = reader.readDouble();
          batch.isInteger[row] = 0;
          break;
        case tags.NUMBER_INT:
          reader.readFixed64();
          batch.value[row] = reader.signedNumber();
          batch.isInteger[row] = 1;
          break;
        case tags.NUMBER_ATTRIBUTES:
          readAttribute(reader, end, this.#pair, batch.attributes);
          break;
        case tags.NUMBER_FLAGS:
          batch.flags[row] = reader.readVarint();
          break;
        case tags.NUMBER_EXEMPLARS:
          this.#readExemplar(row, reader.readEnd(end));
          break;
        default:
          this.#readTime(tag, row, end);
      }
    }
  }

  #readTime(tag: number, row: number, end: number): void {
    const reader = this.#reader;
    if (tag !== tags.POINT_TIME && tag !== tags.POINT_START_TIME) {
      reader.skip(tag, end);
      return;
    }
    reader.readFixed64();
    (tag === tags.POINT_TIME ? this.#batch.time : this.#batch.startTime).setWords(row, reader.low, reader.high);
  }

  #readDistribution(type: number, row: number, end: number): void {
    const reader = this.#reader;
    if (!reader.charge(DISTRIBUTION_MEMORY_BYTES)) return;
    const point = emptyPoint();
    while (reader.at < end) {
      const tag = reader.readTag();
      if (tag === tags.POINT_COUNT) {
        reader.readFixed64();
        point.count = reader.unsigned();
      } else if (tag === tags.POINT_SUM) point.sum = reader.readDouble();
      else if (type === METRIC_TYPE.histogram) this.#readHistogramField(tag, point, row, end);
      else if (type === METRIC_TYPE.expHistogram) this.#readExpHistogramField(tag, point, row, end);
      else this.#readSummaryField(tag, point, row, end);
    }
    this.#batch.distributions.set(row, point);
  }

  #readHistogramField(tag: number, point: OpenPoint, row: number, end: number): void {
    const reader = this.#reader;
    switch (tag) {
      case tags.HISTOGRAM_BUCKET_COUNTS:
      case UNPACKED_BUCKET_COUNT:
        readList(reader, tag, end, () => {
          reader.readFixed64();
          point.bucketCounts.push(reader.unsigned());
        });
        break;
      case tags.HISTOGRAM_BOUNDS:
      case UNPACKED_BOUND:
        readList(reader, tag, end, () => point.bounds.push(reader.readDouble()));
        break;
      case tags.HISTOGRAM_MIN:
        point.min = reader.readDouble();
        break;
      case tags.HISTOGRAM_MAX:
        point.max = reader.readDouble();
        break;
      case tags.HISTOGRAM_FLAGS:
        this.#batch.flags[row] = reader.readVarint();
        break;
      case tags.HISTOGRAM_ATTRIBUTES:
        readAttribute(reader, end, this.#pair, this.#batch.attributes);
        break;
      case tags.HISTOGRAM_EXEMPLARS:
        this.#readExemplar(row, reader.readEnd(end));
        break;
      default:
        this.#readTime(tag, row, end);
    }
  }

  #readExpHistogramField(tag: number, point: OpenPoint, row: number, end: number): void {
    const reader = this.#reader;
    switch (tag) {
      case tags.EXP_SCALE:
        point.scale = fromZigZag(reader.readVarint());
        break;
      case tags.EXP_ZERO_COUNT:
        reader.readFixed64();
        point.zeroCount = reader.unsigned();
        break;
      case tags.EXP_POSITIVE:
        point.positiveOffset = this.#readBuckets(reader.readEnd(end), point.positiveCounts);
        break;
      case tags.EXP_NEGATIVE:
        point.negativeOffset = this.#readBuckets(reader.readEnd(end), point.negativeCounts);
        break;
      case tags.EXP_MIN:
        point.min = reader.readDouble();
        break;
      case tags.EXP_MAX:
        point.max = reader.readDouble();
        break;
      case tags.EXP_FLAGS:
        this.#batch.flags[row] = reader.readVarint();
        break;
      case tags.EXP_ATTRIBUTES:
        readAttribute(reader, end, this.#pair, this.#batch.attributes);
        break;
      case tags.EXP_EXEMPLARS:
        this.#readExemplar(row, reader.readEnd(end));
        break;
      default:
        this.#readTime(tag, row, end);
    }
  }

  #readBuckets(end: number, counts: bigint[]): number {
    const reader = this.#reader;
    let offset = 0;
    while (reader.at < end) {
      const tag = reader.readTag();
      if (tag === tags.BUCKETS_OFFSET) offset = fromZigZag(reader.readVarint());
      else if (tag === tags.BUCKETS_COUNTS || tag === UNPACKED_BUCKETS_COUNT) {
        readList(reader, tag, end, () => {
          reader.readVarint64();
          counts.push(reader.unsigned());
        });
      } else reader.skip(tag, end);
    }
    reader.close(end);
    return offset;
  }

  #readSummaryField(tag: number, point: OpenPoint, row: number, end: number): void {
    const reader = this.#reader;
    switch (tag) {
      case tags.SUMMARY_QUANTILES:
        this.#readQuantile(reader.readEnd(end), point);
        break;
      case tags.SUMMARY_FLAGS:
        this.#batch.flags[row] = reader.readVarint();
        break;
      case tags.SUMMARY_ATTRIBUTES:
        readAttribute(reader, end, this.#pair, this.#batch.attributes);
        break;
      default:
        this.#readTime(tag, row, end);
    }
  }

  #readQuantile(end: number, point: OpenPoint): void {
    const reader = this.#reader;
    let quantile = 0;
    let value = 0;
    while (reader.at < end) {
      const tag = reader.readTag();
      if (tag === tags.QUANTILE_QUANTILE) quantile = reader.readDouble();
      else if (tag === tags.QUANTILE_VALUE) value = reader.readDouble();
      else reader.skip(tag, end);
    }
    reader.close(end);
    if (reader.charge(ENTRY_MEMORY_BYTES * 3)) point.quantiles.push({ quantile, value });
  }

  #readExemplar(row: number, end: number): void {
    const reader = this.#reader;
    if (!reader.charge(EXEMPLAR_MEMORY_BYTES)) return;
    const attributes: [string, string][] = [];
    let timeNs = 0n;
    let value = 0;
    let traceId: Uint8Array = new Uint8Array(16);
    let spanId: Uint8Array = new Uint8Array(8);
    while (reader.at < end) {
      const tag = reader.readTag();
      if (tag === tags.EXEMPLAR_TIME) {
        reader.readFixed64();
        timeNs = reader.unsigned();
      } else if (tag === tags.EXEMPLAR_DOUBLE) value = reader.readDouble();
      else if (tag === tags.EXEMPLAR_INT) {
        reader.readFixed64();
        value = reader.signedNumber();
      } else if (tag === tags.EXEMPLAR_TRACE_ID) traceId = readId(reader, end, 16) ?? traceId;
      else if (tag === tags.EXEMPLAR_SPAN_ID) spanId = readId(reader, end, 8) ?? spanId;
      else if (tag === tags.EXEMPLAR_ATTRIBUTES) attributes.push(readTextPair(reader, end, this.#pair));
      else reader.skip(tag, end);
    }
    reader.close(end);
    this.#batch.exemplars.push({ row, timeNs, value, traceId, spanId, attributes: Object.fromEntries(attributes) });
  }
}

/** Repeated numbers are packed as a rule; a sender may also write one field per number, with the number's own wire type. */
const UNPACKED_BUCKET_COUNT = 0x31;
const UNPACKED_BOUND = 0x39;
const UNPACKED_BUCKETS_COUNT = 0x10;

function readList(reader: ProtoReader, tag: number, limit: number, readOne: () => void): void {
  if ((tag & 7) !== tags.WIRE_LENGTH) {
    if (reader.charge(ENTRY_MEMORY_BYTES)) readOne();
    return;
  }
  const end = reader.readEnd(limit);
  while (reader.at < end && reader.charge(ENTRY_MEMORY_BYTES)) readOne();
  reader.close(end);
}

function readId(reader: ProtoReader, limit: number, size: number): Uint8Array | undefined {
  const end = reader.readEnd(limit);
  const id = end - reader.at === size ? reader.bytes.slice(reader.at, end) : undefined;
  reader.at = end;
  return id;
}

function typeOf(tag: number): number {
  switch (tag) {
    case tags.METRIC_GAUGE:
      return METRIC_TYPE.gauge;
    case tags.METRIC_SUM:
      return METRIC_TYPE.sum;
    case tags.METRIC_HISTOGRAM:
      return METRIC_TYPE.histogram;
    case tags.METRIC_EXP_HISTOGRAM:
      return METRIC_TYPE.expHistogram;
    case tags.METRIC_SUMMARY:
      return METRIC_TYPE.summary;
    default:
      return 0;
  }
}

/** A DistributionPoint while it is read. */
type OpenPoint = {
  -readonly [Key in keyof DistributionPoint]: DistributionPoint[Key] extends readonly (infer Item)[] ? Item[] : DistributionPoint[Key];
};

function emptyPoint(): OpenPoint {
  return {
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
}

function fromZigZag(value: number): number {
  return (value >>> 1) ^ -(value & 1);
}

function atMost(value: number, limit: number): number {
  return value > limit ? 0 : value;
}
