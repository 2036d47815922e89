/**
 * Batches → the bytes of OTLP requests. Protobuf straight from the columns (encode-logs.ts, encode-spans.ts,
 * encode-metrics.ts: each call appends to the writer, and several make one request); JSON as a spelling of the same bytes.
 */
import { ByteWriter } from '../base/bytes.ts';
import { ensureDefined } from '../base/assert.ts';
import type { Resource, Scope } from '../model/identity.ts';
import type { LogBatch } from '../model/log-batch.ts';
import type { MetricBatch } from '../model/metric-batch.ts';
import type { SpanBatch } from '../model/span-batch.ts';
import { encodeLogs, type LogEncoding } from './encode-logs.ts';
import { encodeMetrics } from './encode-metrics.ts';
import { encodeSpans } from './encode-spans.ts';
import { toJsonObject } from './json.ts';
import { REQUESTS, type Signal } from './schema.ts';

export { encodeLogs, encodeMetrics, encodeSpans };

export function encodeLogsJson(resource: Resource, scope: Scope, batch: LogBatch, encoding?: LogEncoding): string {
  const writer = new ByteWriter();
  encodeLogs(resource, scope, batch, writer, encoding);
  return toRequestJson('logs', writer.view());
}

export function encodeSpansJson(resource: Resource, scope: Scope, batch: SpanBatch): string {
  const writer = new ByteWriter();
  encodeSpans(resource, scope, batch, writer);
  return toRequestJson('traces', writer.view());
}

export function encodeMetricsJson(resource: Resource, scope: Scope, batch: MetricBatch): string {
  const writer = new ByteWriter();
  encodeMetrics(resource, scope, batch, writer);
  return toRequestJson('metrics', writer.view());
}

/** The OTLP/JSON text of a request that our encoder wrote, for backends that take only JSON. */
export function toRequestJson(signal: Signal, request: Uint8Array): string {
  return JSON.stringify(ensureDefined(toJsonObject(REQUESTS[signal], request), 'request of our own encoder'));
}
