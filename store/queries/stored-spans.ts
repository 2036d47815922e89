/** Spans in the order in which they were stored, for whoever sends them on. */
import type { Store } from '../store.ts';

/** Behind which span of the order a reader stands. */
export interface SpanCursor {
  /** Unix ns, in decimal. */
  readonly storedNs: string;
  readonly traceId: string;
  readonly spanId: string;
}

export interface StoredSpan extends SpanCursor {
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly name: string;
  /** `Internal`, `Producer`, … */
  readonly kind: string;
  readonly startNs: string;
  readonly durationNs: string;
  readonly resource: Readonly<Record<string, string>>;
  readonly scopeName: string;
  readonly scopeVersion: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly statusCode: string;
  readonly statusMessage: string;
  readonly eventTimes: readonly string[];
  readonly eventNames: readonly string[];
  readonly eventAttributes: readonly Readonly<Record<string, string>>[];
  readonly linkTraceIds: readonly string[];
  readonly linkSpanIds: readonly string[];
  readonly linkTraceStates: readonly string[];
  readonly linkAttributes: readonly Readonly<Record<string, string>>[];
}

/** The next spans behind the cursor. All of a load have one stamp, and loads are visible in the order of their stamps. */
export async function queryStoredSpans(store: Store, after: SpanCursor, limit: number): Promise<StoredSpan[]> {
  return store.query<StoredSpan>(
    `SELECT toString(toUnixTimestamp64Nano(StoredAt)) AS storedNs, TraceId AS traceId, SpanId AS spanId, ParentSpanId AS parentSpanId,
       TraceState AS traceState, SpanName AS name, SpanKind AS kind, toString(toUnixTimestamp64Nano(Timestamp)) AS startNs,
       toString(Duration) AS durationNs, ResourceAttributes AS resource, ScopeName AS scopeName, ScopeVersion AS scopeVersion,
       SpanAttributes AS attributes, StatusCode AS statusCode, StatusMessage AS statusMessage,
       arrayMap(time -> toString(toUnixTimestamp64Nano(time)), Events.Timestamp) AS eventTimes, Events.Name AS eventNames,
       Events.Attributes AS eventAttributes, Links.TraceId AS linkTraceIds, Links.SpanId AS linkSpanIds,
       Links.TraceState AS linkTraceStates, Links.Attributes AS linkAttributes
     FROM otel_traces
     WHERE StoredAt >= fromUnixTimestamp64Nano({storedNs:Int64})
       AND (StoredAt, TraceId, SpanId) > (fromUnixTimestamp64Nano({storedNs:Int64}), {traceId:String}, {spanId:String})
     ORDER BY StoredAt, TraceId, SpanId LIMIT {limit:UInt32}`,
    { params: { ...after, limit } },
  );
}

/** Behind all that is stored. */
export async function queryLastStored(store: Store): Promise<SpanCursor> {
  const [last] = await store.query<{ storedNs: string }>(
    `SELECT toString(toUnixTimestamp64Nano(max(StoredAt))) AS storedNs FROM otel_traces`,
  );
  // The ids are hexadecimal: no id of that load is greater.
  return { storedNs: last?.storedNs ?? '0', traceId: 'g', spanId: '' };
}
