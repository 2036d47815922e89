/** Traces out of `otel_traces`: the newest that fit, and all spans of one. */
import type { Trace, TraceQuery, TraceRow, TraceSpan } from '../../model/api.ts';
import type { Store } from '../store.ts';
import { Conditions } from './conditions.ts';

const DEFAULT_LIMIT = 100;
/** Spans of one trace that are sent: more than a page can show. */
const MAX_SPANS = 5_000;

const START = 'toUnixTimestamp64Nano(Timestamp)';
const END = `(${START} + toInt64(Duration))`;

/** Newest first. A trace is in the answer when one span of it has the kernel and the name, and when all of it is long enough. */
export async function queryTraces(store: Store, query: TraceQuery): Promise<TraceRow[]> {
  const ids = await queryIds(store, query);
  if (ids.length === 0) return [];
  const rows = await store.query<TraceRow>(
    `SELECT TraceId AS traceId, toString(min(${START})) AS startUnixNs, toFloat64(max(${END}) - min(${START})) AS durationNs,
       toString(argMin(SpanName, (ParentSpanId != '', Timestamp))) AS name,
       toString(argMin(if(KernelName = '', ServiceName, KernelName), (ParentSpanId != '', Timestamp))) AS kernelName,
       toString(argMin(BootId, (ParentSpanId != '', Timestamp))) AS bootId,
       arraySort(arrayMap(x -> toString(x), groupUniqArray(if(KernelName = '', ServiceName, KernelName)))) AS kernels,
       toFloat64(uniqExact(SpanId)) AS spans, toFloat64(uniqExactIf(SpanId, StatusCode = 'Error')) AS errors
     FROM otel_traces WHERE TraceId IN {ids:Array(String)} GROUP BY TraceId ORDER BY min(Timestamp) DESC, traceId`,
    { params: { ids } },
  );
  return rows;
}

async function queryIds(store: Store, query: TraceQuery): Promise<string[]> {
  const where = new Conditions().addRange('Timestamp', query.from, query.to).add(`TraceId != ''`);
  const span = new Conditions().addKernel(query.kernel);
  if (query.name !== undefined) span.add('positionCaseInsensitiveUTF8(SpanName, {spanName:String}) > 0', { spanName: query.name });
  const limit = query.limit ?? DEFAULT_LIMIT;
  const spanSql = span.toSql().replace(' WHERE ', '');
  where.addParams(span.params);
  if (query.minDurationNs === undefined) {
    if (spanSql !== '') where.add(spanSql);
    const rows = await store.query<{ id: string }>(
      `SELECT TraceId AS id FROM otel_traces${where.toSql()} ORDER BY Timestamp DESC LIMIT 1 BY TraceId LIMIT ${limit}`,
      where.toOptions(),
    );
    return rows.map(({ id }) => id);
  }
  where.addParams({ minNs: query.minDurationNs });
  const rows = await store.query<{ id: string }>(
    `SELECT TraceId AS id FROM otel_traces${where.toSql()} GROUP BY TraceId
     HAVING max(${END}) - min(${START}) >= {minNs:Int64}${spanSql === '' ? '' : ` AND countIf(${spanSql}) > 0`}
     ORDER BY max(Timestamp) DESC LIMIT ${limit}`,
    where.toOptions(),
  );
  return rows.map(({ id }) => id);
}

interface SpanRow extends Omit<TraceSpan, 'events' | 'links'> {
  readonly eventTimes: readonly string[];
  readonly eventNames: readonly string[];
  readonly eventAttributes: readonly Readonly<Record<string, string>>[];
  readonly linkTraces: readonly string[];
  readonly linkSpans: readonly string[];
}

/** Spans oldest first, the outer before the inner; none where nothing of it is stored. A span that was sent twice is there once. */
export async function queryTrace(store: Store, traceId: string): Promise<Trace> {
  const startMs = performance.now();
  const rows = await store.query<SpanRow>(
    `SELECT SpanId AS spanId, ParentSpanId AS parentSpanId, toString(SpanName) AS name, toString(SpanKind) AS kind,
       toString(ServiceName) AS service, ScopeName AS scope, toString(MachineName) AS machine, KernelId AS kernelId,
       toString(KernelName) AS kernelName, toString(BootId) AS bootId, toString(${START}) AS startUnixNs,
       toFloat64(Duration) AS durationNs, toString(StatusCode) AS status, StatusMessage AS statusMessage,
       CAST(SpanAttributes, 'Map(String, String)') AS attributes,
       arrayMap(x -> toString(toUnixTimestamp64Nano(x)), Events.Timestamp) AS eventTimes,
       arrayMap(x -> toString(x), Events.Name) AS eventNames,
       arrayMap(x -> CAST(x, 'Map(String, String)'), Events.Attributes) AS eventAttributes,
       Links.TraceId AS linkTraces, Links.SpanId AS linkSpans
     FROM otel_traces WHERE TraceId = {traceId:String}
     ORDER BY Timestamp, Duration DESC, SpanId LIMIT 1 BY SpanId LIMIT ${MAX_SPANS + 1}`,
    { params: { traceId }, maxResultRows: MAX_SPANS + 1 },
  );
  return {
    traceId,
    spans: rows.slice(0, MAX_SPANS).map(toSpan),
    truncated: rows.length > MAX_SPANS,
    tookMs: performance.now() - startMs,
  };
}

function toSpan({ eventTimes, eventNames, eventAttributes, linkTraces, linkSpans, ...span }: SpanRow): TraceSpan {
  return {
    ...span,
    events: eventTimes.map((unixNs, at) => ({ unixNs, name: eventNames[at] ?? '', attributes: eventAttributes[at] ?? {} })),
    links: linkTraces.map((traceId, at) => ({ traceId, spanId: linkSpans[at] ?? '' })),
  };
}
