/** The tables of otlp/ against the published protocol (the oracle's file), field by field. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type protobuf from 'protobufjs';
import { REQUESTS, RESPONSES, RPC_STATUS, type Field, type Message } from '../../otlp/schema.ts';
import * as tags from '../../otlp/tags.ts';
import { oracleRoot } from './oracle.ts';

const ORACLE_NAMES: Readonly<Record<string, string>> = { Logs: 'Logs', Spans: 'Trace', Metrics: 'Metrics' };

function oracleType(name: string): protobuf.Type {
  return oracleRoot.lookupType(
    `oracle.${name.replace(/^Export(Logs|Spans|Metrics)(?=Service)/, (_, signal: string) => `Export${ORACLE_NAMES[signal]}`)}`,
  );
}

/** Our field in the words of the .proto file. */
function describe(field: Field): string {
  const type = typeof field.type === 'string' ? ({ enum: 'int32', id: 'bytes' }[field.type as string] ?? field.type) : 'message';
  return `${field.repeated ? 'repeated ' : ''}${type} ${field.name} = ${field.number}`;
}

function compare(message: Message, oracle: protobuf.Type, seen: Set<string>): void {
  if (seen.has(message.name + oracle.name)) return;
  seen.add(message.name + oracle.name);
  const ours = [...message.byName.values()].map((field) => describe(field)).sort();
  const theirs = oracle.fieldsArray.map((field) => {
    field.resolve();
    const type = field.resolvedType === null ? field.type : 'message';
    return `${field.repeated ? 'repeated ' : ''}${type} ${field.name} = ${field.id}`;
  });
  assert.deepEqual(ours, theirs.sort(), message.name);
  for (const field of message.byName.values()) {
    if (typeof field.type !== 'string') compare(field.type, oracle.fields[field.name]?.resolvedType as protobuf.Type, seen);
  }
}

test('schema: is the published protocol', () => {
  const seen = new Set<string>();
  for (const message of [...Object.values(REQUESTS), ...Object.values(RESPONSES)]) compare(message, oracleType(message.name), seen);
  compare(RPC_STATUS, oracleType('RpcStatus'), seen);
  assert.ok(seen.size > 30, `${seen.size} messages compared`);
});

const WIRE: Readonly<Record<string, number>> = {
  string: 2,
  bytes: 2,
  bool: 0,
  int32: 0,
  int64: 0,
  uint32: 0,
  uint64: 0,
  sint32: 0,
  double: 1,
  fixed64: 1,
  sfixed64: 1,
  fixed32: 5,
};

/** Tag constants by the message that they belong to, as `CONSTANT: field`. */
const TAGS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  ExportLogsServiceRequest: { REQUEST_RESOURCE: 'resourceLogs' },
  ResourceLogs: { RESOURCE_RESOURCE: 'resource', RESOURCE_SCOPE: 'scopeLogs', RESOURCE_SCHEMA_URL: 'schemaUrl' },
  ScopeSpans: { SCOPE_SCOPE: 'scope', SCOPE_ITEM: 'spans', SCOPE_SCHEMA_URL: 'schemaUrl' },
  Resource: { RESOURCE_ATTRIBUTES: 'attributes' },
  InstrumentationScope: { SCOPE_NAME: 'name', SCOPE_VERSION: 'version', SCOPE_ATTRIBUTES: 'attributes' },
  KeyValue: { KEY_VALUE_KEY: 'key', KEY_VALUE_VALUE: 'value' },
  ArrayValue: { LIST_VALUES: 'values' },
  AnyValue: {
    ANY_STRING: 'stringValue',
    ANY_BOOL: 'boolValue',
    ANY_INT: 'intValue',
    ANY_DOUBLE: 'doubleValue',
    ANY_ARRAY: 'arrayValue',
    ANY_KVLIST: 'kvlistValue',
    ANY_BYTES: 'bytesValue',
  },
  LogRecord: {
    LOG_TIME: 'timeUnixNano',
    LOG_SEVERITY_NUMBER: 'severityNumber',
    LOG_SEVERITY_TEXT: 'severityText',
    LOG_BODY: 'body',
    LOG_ATTRIBUTES: 'attributes',
    LOG_FLAGS: 'flags',
    LOG_TRACE_ID: 'traceId',
    LOG_SPAN_ID: 'spanId',
    LOG_OBSERVED_TIME: 'observedTimeUnixNano',
    LOG_EVENT_NAME: 'eventName',
  },
  Span: {
    SPAN_TRACE_ID: 'traceId',
    SPAN_SPAN_ID: 'spanId',
    SPAN_TRACE_STATE: 'traceState',
    SPAN_PARENT_SPAN_ID: 'parentSpanId',
    SPAN_NAME: 'name',
    SPAN_KIND_TAG: 'kind',
    SPAN_START_TIME: 'startTimeUnixNano',
    SPAN_END_TIME: 'endTimeUnixNano',
    SPAN_ATTRIBUTES: 'attributes',
    SPAN_EVENTS: 'events',
    SPAN_LINKS: 'links',
    SPAN_STATUS: 'status',
    SPAN_FLAGS: 'flags',
  },
  SpanStatus: { STATUS_MESSAGE: 'message', STATUS_CODE_TAG: 'code' },
  Event: { EVENT_TIME: 'timeUnixNano', EVENT_NAME: 'name', EVENT_ATTRIBUTES: 'attributes' },
  Link: { LINK_TRACE_ID: 'traceId', LINK_SPAN_ID: 'spanId', LINK_TRACE_STATE: 'traceState', LINK_ATTRIBUTES: 'attributes' },
  Metric: {
    METRIC_NAME: 'name',
    METRIC_DESCRIPTION: 'description',
    METRIC_UNIT: 'unit',
    METRIC_GAUGE: 'gauge',
    METRIC_SUM: 'sum',
    METRIC_HISTOGRAM: 'histogram',
    METRIC_EXP_HISTOGRAM: 'exponentialHistogram',
    METRIC_SUMMARY: 'summary',
  },
  Sum: { POINTS: 'dataPoints', POINTS_TEMPORALITY: 'aggregationTemporality', SUM_MONOTONIC: 'isMonotonic' },
  NumberDataPoint: {
    POINT_START_TIME: 'startTimeUnixNano',
    POINT_TIME: 'timeUnixNano',
    NUMBER_DOUBLE: 'asDouble',
    NUMBER_EXEMPLARS: 'exemplars',
    NUMBER_INT: 'asInt',
    NUMBER_ATTRIBUTES: 'attributes',
    NUMBER_FLAGS: 'flags',
  },
  HistogramDataPoint: {
    POINT_COUNT: 'count',
    POINT_SUM: 'sum',
    HISTOGRAM_BUCKET_COUNTS: 'bucketCounts',
    HISTOGRAM_BOUNDS: 'explicitBounds',
    HISTOGRAM_EXEMPLARS: 'exemplars',
    HISTOGRAM_ATTRIBUTES: 'attributes',
    HISTOGRAM_FLAGS: 'flags',
    HISTOGRAM_MIN: 'min',
    HISTOGRAM_MAX: 'max',
  },
  ExponentialHistogramDataPoint: {
    EXP_ATTRIBUTES: 'attributes',
    EXP_SCALE: 'scale',
    EXP_ZERO_COUNT: 'zeroCount',
    EXP_POSITIVE: 'positive',
    EXP_NEGATIVE: 'negative',
    EXP_FLAGS: 'flags',
    EXP_EXEMPLARS: 'exemplars',
    EXP_MIN: 'min',
    EXP_MAX: 'max',
  },
  Buckets: { BUCKETS_OFFSET: 'offset', BUCKETS_COUNTS: 'bucketCounts' },
  SummaryDataPoint: { SUMMARY_QUANTILES: 'quantileValues', SUMMARY_ATTRIBUTES: 'attributes', SUMMARY_FLAGS: 'flags' },
  ValueAtQuantile: { QUANTILE_QUANTILE: 'quantile', QUANTILE_VALUE: 'value' },
  Exemplar: {
    EXEMPLAR_TIME: 'timeUnixNano',
    EXEMPLAR_DOUBLE: 'asDouble',
    EXEMPLAR_SPAN_ID: 'spanId',
    EXEMPLAR_TRACE_ID: 'traceId',
    EXEMPLAR_INT: 'asInt',
    EXEMPLAR_ATTRIBUTES: 'filteredAttributes',
  },
  ExportLogsServiceResponse: { RESPONSE_PARTIAL_SUCCESS: 'partialSuccess' },
  ExportLogsPartialSuccess: { PARTIAL_REJECTED: 'rejectedLogRecords', PARTIAL_MESSAGE: 'errorMessage' },
  RpcStatus: { RPC_CODE: 'code', RPC_MESSAGE: 'message' },
};

test('tags: each is its field number and wire type', () => {
  const checked = new Set<string>(['WIRE_VARINT', 'WIRE_FIXED64', 'WIRE_LENGTH', 'WIRE_FIXED32']);
  for (const [message, constants] of Object.entries(TAGS)) {
    for (const [constant, name] of Object.entries(constants)) {
      const field = oracleType(message).fields[name]?.resolve();
      assert.ok(field !== undefined, `${message}.${name}`);
      const wire = field.repeated ? 2 : (WIRE[field.type] ?? 2);
      assert.equal((tags as Readonly<Record<string, number>>)[constant], (field.id << 3) | wire, `${constant} = ${message}.${name}`);
      checked.add(constant);
    }
  }
  assert.deepEqual(
    Object.keys(tags).filter((name) => !checked.has(name)),
    [],
    'tags without a check',
  );
});
