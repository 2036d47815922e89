/** Span batches as Native blocks of `otel_traces`. */
import type { Resource, Scope } from '../model/identity.ts';
import { Int64Array, TWO_POW_32 } from '../base/int64.ts';
import { toHex } from '../base/bytes.ts';
import type { SpanBatch } from '../model/span-batch.ts';
import type { NativeWriter } from './native.ts';
import { writeIdentity } from './resource-columns.ts';

/** Index = OTLP number. */
export const KIND_TEXTS = ['Unspecified', 'Internal', 'Server', 'Client', 'Producer', 'Consumer'];
export const STATUS_TEXTS = ['Unset', 'Ok', 'Error'];

export function writeSpans(writer: NativeWriter, resource: Resource, scope: Scope, batch: SpanBatch): void {
  if (batch.length === 0) return;
  writer.openBlock(batch.length);
  writer.words('Timestamp', 'DateTime64(9)', batch.startTime);
  writer.hexIds('TraceId', batch.traceId, 16);
  writer.hexIds('SpanId', batch.spanId, 8);
  writer.hexIds('ParentSpanId', batch.parentSpanId, 8);
  writer.stringsById('TraceState', batch.traceState, batch.strings);
  writer.lowCardinality('SpanName', batch.name, batch.strings);
  writer.lowCardinalityOf('SpanKind', batch.kind, KIND_TEXTS);
  writeIdentity(writer, resource);
  writer.constantString('ScopeName', scope.name);
  writer.constantString('ScopeVersion', scope.version);
  writer.attributeMap('SpanAttributes', batch.attributes);
  writer.words('Duration', 'UInt64', toDurations(batch));
  writer.lowCardinalityOf('StatusCode', batch.statusCode, STATUS_TEXTS);
  writer.stringsById('StatusMessage', batch.statusMessage, batch.strings);
  writeEvents(writer, batch);
  writeLinks(writer, batch);
  writer.closeBlock();
}

/** End minus start, ns; 0 where a span ends before it starts. */
function toDurations(batch: SpanBatch): Int64Array {
  const durations = new Int64Array(batch.length);
  for (let row = 0; row < batch.length; row++) {
    const start = batch.startTime.words;
    const end = batch.endTime.words;
    const low = (end[row * 2] as number) - (start[row * 2] as number);
    const high = (end[row * 2 + 1] as number) - (start[row * 2 + 1] as number);
    // Exact: a duration is far below 2^53 ns, and a wrong one is cut to 0.
    const ns = high * TWO_POW_32 + low;
    if (ns > 0) durations.setNumber(row, ns);
  }
  return durations;
}

function writeEvents(writer: NativeWriter, batch: SpanBatch): void {
  const { events } = batch;
  if (events.timeNs.length === 0) return;
  const ends = events.offsets.slice(1);
  writer.arrays('Events.Timestamp', 'DateTime64(9)', ends, events.timeNs);
  writer.arraysOfLowCardinality('Events.Name', ends, Uint32Array.from(events.name), batch.strings);
  writer.arraysOfMaps('Events.Attributes', ends, events.attributes);
}

function writeLinks(writer: NativeWriter, batch: SpanBatch): void {
  const { links } = batch;
  if (links.traceId.length === 0) return;
  const ends = links.offsets.slice(1);
  writer.arraysOfStrings(
    'Links.TraceId',
    ends,
    links.traceId.map((id) => toHex(id)),
  );
  writer.arraysOfStrings(
    'Links.SpanId',
    ends,
    links.spanId.map((id) => toHex(id)),
  );
  writer.arraysOfStrings(
    'Links.TraceState',
    ends,
    links.traceState.map((id) => batch.strings.get(id)),
  );
  writer.arraysOfMaps('Links.Attributes', ends, links.attributes);
}
