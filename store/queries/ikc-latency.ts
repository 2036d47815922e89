/** How long messages between kernels took, as a picture: time × the latency's logarithm, with percentiles for each step of time. */
import type { IkcLatency, IkcLatencyQuery } from '../../model/api.ts';
import type { Store } from '../store.ts';
import { Conditions } from './conditions.ts';
import { addEnds } from './ikc.ts';

const DEFAULT_COLUMNS = 160;
/** Each is a factor of 1.33 wide. */
const BUCKETS_PER_DECADE = 8;
/** Decades that fit into an Int64 of ns, and the bucket below them. */
const MAX_BUCKETS = 19 * BUCKETS_PER_DECADE + 1;
const MAX_COLUMNS = 1_000;

interface Extent {
  readonly count: number;
  readonly firstNs: string;
  readonly lastNs: string;
  readonly matched: number;
  readonly unordered: number;
}

interface ColumnRow {
  readonly column: number;
  readonly matched: number;
  readonly other: number;
  readonly p50Ns: number;
  readonly p99Ns: number;
}

interface CellRow {
  readonly column: number;
  readonly bucket: number;
  readonly count: number;
}

export async function queryIkcLatency(store: Store, query: IkcLatencyQuery): Promise<IkcLatency> {
  const startMs = performance.now();
  const where = new Conditions().addRange('Timestamp', query.from, query.to);
  addEnds(where, query);
  const [extent] = await store.query<Extent>(
    `SELECT toFloat64(count()) AS count, toString(toUnixTimestamp64Nano(min(Timestamp))) AS firstNs,
       toString(toUnixTimestamp64Nano(max(Timestamp))) AS lastNs, toFloat64(countIf(State = 'matched')) AS matched,
       toFloat64(countIf(State = 'matched' AND abs(LatencyNs) <= SendErrorNs + ReceiveErrorNs)) AS unordered
     FROM ikc_messages FINAL${where.toSql()}`,
    where.toOptions(),
  );
  if (extent === undefined || extent.count === 0) return toEmpty(performance.now() - startMs);
  const firstNs = BigInt(query.from ?? extent.firstNs);
  const lastNs = BigInt(query.to ?? extent.lastNs);
  const { fromNs, stepNs, columns } = toColumns(firstNs, lastNs < firstNs ? firstNs : lastNs, query.columns ?? DEFAULT_COLUMNS);
  where.addParams({ originNs: fromNs.toString(), stepNs: stepNs.toString() });
  const column = 'toFloat64(intDiv(toUnixTimestamp64Nano(Timestamp) - {originNs:Int64}, {stepNs:Int64}))';
  const series = await store.query<ColumnRow>(
    `SELECT ${column} AS column, toFloat64(countIf(State = 'matched')) AS matched, toFloat64(countIf(State != 'matched')) AS other,
       ifNotFinite(quantileTDigestIf(0.5)(LatencyNs, State = 'matched'), -1) AS p50Ns,
       ifNotFinite(quantileTDigestIf(0.99)(LatencyNs, State = 'matched'), -1) AS p99Ns
     FROM ikc_messages FINAL${where.toSql()} GROUP BY column ORDER BY column`,
    where.toOptions(),
  );
  where.add(`State = 'matched'`);
  const cells = await store.query<CellRow>(
    `SELECT ${column} AS column, if(LatencyNs < 1, -1, floor(log10(LatencyNs) * ${BUCKETS_PER_DECADE})) AS bucket,
       toFloat64(count()) AS count
     FROM ikc_messages FINAL${where.toSql()} GROUP BY column, bucket ORDER BY column, bucket`,
    { ...where.toOptions(), maxResultRows: MAX_COLUMNS * MAX_BUCKETS },
  );
  return {
    fromUnixNs: fromNs.toString(),
    stepNs: Number(stepNs),
    columns,
    bucketsPerDecade: BUCKETS_PER_DECADE,
    cells: { column: cells.map((cell) => cell.column), bucket: cells.map((cell) => cell.bucket), count: cells.map((cell) => cell.count) },
    series: {
      column: series.map((one) => one.column),
      matched: series.map((one) => one.matched),
      other: series.map((one) => one.other),
      p50Ns: series.map((one) => (one.matched === 0 ? -1 : one.p50Ns)),
      p99Ns: series.map((one) => (one.matched === 0 ? -1 : one.p99Ns)),
    },
    matched: extent.matched,
    unordered: extent.unordered,
    tookMs: performance.now() - startMs,
  };
}

/** The shortest step of 1, 2, 5, 10, … ns with which `wanted` columns hold both moments; the first begins on a whole step. */
export function toColumns(firstNs: bigint, lastNs: bigint, wanted: number): { fromNs: bigint; stepNs: bigint; columns: number } {
  for (let decade = 1n; ; decade *= 10n) {
    for (const factor of [1n, 2n, 5n]) {
      const stepNs = factor * decade;
      const columns = Number(lastNs / stepNs - firstNs / stepNs) + 1;
      if (columns <= wanted) return { fromNs: (firstNs / stepNs) * stepNs, stepNs, columns };
    }
  }
}

function toEmpty(tookMs: number): IkcLatency {
  return {
    fromUnixNs: '',
    stepNs: 1,
    columns: 0,
    bucketsPerDecade: BUCKETS_PER_DECADE,
    cells: { column: [], bucket: [], count: [] },
    series: { column: [], matched: [], other: [], p50Ns: [], p99Ns: [] },
    matched: 0,
    unordered: 0,
    tookMs,
  };
}
