/**
 * The messages of OTLP 1.x as data: names as in OTLP/JSON, field numbers and types as in the published protocol. The JSON
 * forms (json.ts) are made from it in both directions; the protobuf encoders and decoders have their tags in tags.ts.
 *
 * Deliberately left out: fields of profiles, and entity references of resources (in development).
 */

/**
 * How a field is written. `id` is bytes as hex in JSON (trace and span ids), `bytes` is base64 there; 64-bit integers are
 * decimal strings, enums are integers.
 */
export type ScalarType =
  | 'string'
  | 'bool'
  | 'double'
  | 'int64'
  | 'uint64'
  | 'fixed64'
  | 'sfixed64'
  | 'uint32'
  | 'int32'
  | 'sint32'
  | 'fixed32'
  | 'enum'
  | 'id'
  | 'bytes';

export interface Field {
  readonly name: string;
  readonly number: number;
  readonly type: ScalarType | Message;
  readonly repeated: boolean;
}

export interface Message {
  readonly name: string;
  readonly byName: ReadonlyMap<string, Field>;
  readonly byNumber: ReadonlyMap<number, Field>;
}

type FieldRow = readonly [number: number, name: string, type: ScalarType | Message, repeated?: 'repeated'];

class MessageTable implements Message {
  readonly name: string;
  readonly byName = new Map<string, Field>();
  readonly byNumber = new Map<number, Field>();

  constructor(name: string) {
    this.name = name;
  }

  define(...rows: readonly FieldRow[]): this {
    for (const [number, name, type, repeated] of rows) {
      const field = { name, number, type, repeated: repeated === 'repeated' };
      this.byName.set(name, field);
      this.byNumber.set(number, field);
    }
    return this;
  }
}

const message = (name: string, ...rows: readonly FieldRow[]): MessageTable => new MessageTable(name).define(...rows);

// common.v1; AnyValue contains itself through the two lists.
const anyValue = message('AnyValue');
const keyValue = message('KeyValue', [1, 'key', 'string'], [2, 'value', anyValue]);
const arrayValue = message('ArrayValue', [1, 'values', anyValue, 'repeated']);
const keyValueList = message('KeyValueList', [1, 'values', keyValue, 'repeated']);
anyValue.define(
  [1, 'stringValue', 'string'],
  [2, 'boolValue', 'bool'],
  [3, 'intValue', 'int64'],
  [4, 'doubleValue', 'double'],
  [5, 'arrayValue', arrayValue],
  [6, 'kvlistValue', keyValueList],
  [7, 'bytesValue', 'bytes'],
);
const scope = message(
  'InstrumentationScope',
  [1, 'name', 'string'],
  [2, 'version', 'string'],
  [3, 'attributes', keyValue, 'repeated'],
  [4, 'droppedAttributesCount', 'uint32'],
);
const resource = message('Resource', [1, 'attributes', keyValue, 'repeated'], [2, 'droppedAttributesCount', 'uint32']);

// logs.v1
const logRecord = message(
  'LogRecord',
  [1, 'timeUnixNano', 'fixed64'],
  [2, 'severityNumber', 'enum'],
  [3, 'severityText', 'string'],
  [5, 'body', anyValue],
  [6, 'attributes', keyValue, 'repeated'],
  [7, 'droppedAttributesCount', 'uint32'],
  [8, 'flags', 'fixed32'],
  [9, 'traceId', 'id'],
  [10, 'spanId', 'id'],
  [11, 'observedTimeUnixNano', 'fixed64'],
  [12, 'eventName', 'string'],
);

// trace.v1
const spanEvent = message(
  'Event',
  [1, 'timeUnixNano', 'fixed64'],
  [2, 'name', 'string'],
  [3, 'attributes', keyValue, 'repeated'],
  [4, 'droppedAttributesCount', 'uint32'],
);
const spanLink = message(
  'Link',
  [1, 'traceId', 'id'],
  [2, 'spanId', 'id'],
  [3, 'traceState', 'string'],
  [4, 'attributes', keyValue, 'repeated'],
  [5, 'droppedAttributesCount', 'uint32'],
  [6, 'flags', 'fixed32'],
);
const spanStatus = message('Status', [2, 'message', 'string'], [3, 'code', 'enum']);
const span = message(
  'Span',
  [1, 'traceId', 'id'],
  [2, 'spanId', 'id'],
  [3, 'traceState', 'string'],
  [4, 'parentSpanId', 'id'],
  [5, 'name', 'string'],
  [6, 'kind', 'enum'],
  [7, 'startTimeUnixNano', 'fixed64'],
  [8, 'endTimeUnixNano', 'fixed64'],
  [9, 'attributes', keyValue, 'repeated'],
  [10, 'droppedAttributesCount', 'uint32'],
  [11, 'events', spanEvent, 'repeated'],
  [12, 'droppedEventsCount', 'uint32'],
  [13, 'links', spanLink, 'repeated'],
  [14, 'droppedLinksCount', 'uint32'],
  [15, 'status', spanStatus],
  [16, 'flags', 'fixed32'],
);

// metrics.v1
const exemplar = message(
  'Exemplar',
  [2, 'timeUnixNano', 'fixed64'],
  [3, 'asDouble', 'double'],
  [4, 'spanId', 'id'],
  [5, 'traceId', 'id'],
  [6, 'asInt', 'sfixed64'],
  [7, 'filteredAttributes', keyValue, 'repeated'],
);
const numberPoint = message(
  'NumberDataPoint',
  [2, 'startTimeUnixNano', 'fixed64'],
  [3, 'timeUnixNano', 'fixed64'],
  [4, 'asDouble', 'double'],
  [5, 'exemplars', exemplar, 'repeated'],
  [6, 'asInt', 'sfixed64'],
  [7, 'attributes', keyValue, 'repeated'],
  [8, 'flags', 'uint32'],
);
const histogramPoint = message(
  'HistogramDataPoint',
  [2, 'startTimeUnixNano', 'fixed64'],
  [3, 'timeUnixNano', 'fixed64'],
  [4, 'count', 'fixed64'],
  [5, 'sum', 'double'],
  [6, 'bucketCounts', 'fixed64', 'repeated'],
  [7, 'explicitBounds', 'double', 'repeated'],
  [8, 'exemplars', exemplar, 'repeated'],
  [9, 'attributes', keyValue, 'repeated'],
  [10, 'flags', 'uint32'],
  [11, 'min', 'double'],
  [12, 'max', 'double'],
);
const buckets = message('Buckets', [1, 'offset', 'sint32'], [2, 'bucketCounts', 'uint64', 'repeated']);
const expHistogramPoint = message(
  'ExponentialHistogramDataPoint',
  [1, 'attributes', keyValue, 'repeated'],
  [2, 'startTimeUnixNano', 'fixed64'],
  [3, 'timeUnixNano', 'fixed64'],
  [4, 'count', 'fixed64'],
  [5, 'sum', 'double'],
  [6, 'scale', 'sint32'],
  [7, 'zeroCount', 'fixed64'],
  [8, 'positive', buckets],
  [9, 'negative', buckets],
  [10, 'flags', 'uint32'],
  [11, 'exemplars', exemplar, 'repeated'],
  [12, 'min', 'double'],
  [13, 'max', 'double'],
  [14, 'zeroThreshold', 'double'],
);
const quantile = message('ValueAtQuantile', [1, 'quantile', 'double'], [2, 'value', 'double']);
const summaryPoint = message(
  'SummaryDataPoint',
  [2, 'startTimeUnixNano', 'fixed64'],
  [3, 'timeUnixNano', 'fixed64'],
  [4, 'count', 'fixed64'],
  [5, 'sum', 'double'],
  [6, 'quantileValues', quantile, 'repeated'],
  [7, 'attributes', keyValue, 'repeated'],
  [8, 'flags', 'uint32'],
);
const metric = message(
  'Metric',
  [1, 'name', 'string'],
  [2, 'description', 'string'],
  [3, 'unit', 'string'],
  [5, 'gauge', message('Gauge', [1, 'dataPoints', numberPoint, 'repeated'])],
  [7, 'sum', message('Sum', [1, 'dataPoints', numberPoint, 'repeated'], [2, 'aggregationTemporality', 'enum'], [3, 'isMonotonic', 'bool'])],
  [9, 'histogram', message('Histogram', [1, 'dataPoints', histogramPoint, 'repeated'], [2, 'aggregationTemporality', 'enum'])],
  [
    10,
    'exponentialHistogram',
    message('ExponentialHistogram', [1, 'dataPoints', expHistogramPoint, 'repeated'], [2, 'aggregationTemporality', 'enum']),
  ],
  [11, 'summary', message('Summary', [1, 'dataPoints', summaryPoint, 'repeated'])],
  [12, 'metadata', keyValue, 'repeated'],
);

function request(signal: string, items: string, item: Message): Message {
  const scopeItems = message(`Scope${signal}`, [1, 'scope', scope], [2, items, item, 'repeated'], [3, 'schemaUrl', 'string']);
  const resourceItems = message(
    `Resource${signal}`,
    [1, 'resource', resource],
    [2, `scope${signal}`, scopeItems, 'repeated'],
    [3, 'schemaUrl', 'string'],
  );
  return message(`Export${signal}ServiceRequest`, [1, `resource${signal}`, resourceItems, 'repeated']);
}

function response(signal: string, rejected: string): Message {
  const partial = message(`Export${signal}PartialSuccess`, [1, rejected, 'int64'], [2, 'errorMessage', 'string']);
  return message(`Export${signal}ServiceResponse`, [1, 'partialSuccess', partial]);
}

export type Signal = 'logs' | 'traces' | 'metrics';

export const REQUESTS: Readonly<Record<Signal, Message>> = {
  logs: request('Logs', 'logRecords', logRecord),
  traces: request('Spans', 'spans', span),
  metrics: request('Metrics', 'metrics', metric),
};

export const RESPONSES: Readonly<Record<Signal, Message>> = {
  logs: response('Logs', 'rejectedLogRecords'),
  traces: response('Trace', 'rejectedSpans'),
  metrics: response('Metrics', 'rejectedDataPoints'),
};

/** The three answers are the same but for the name of the count: what a sender reads, which need not know the signal. */
export const ANY_RESPONSE: Message = message('ExportServiceResponse', [
  1,
  'partialSuccess',
  message(
    'PartialSuccess',
    [1, 'rejectedLogRecords', 'int64'],
    [1, 'rejectedSpans', 'int64'],
    [1, 'rejectedDataPoints', 'int64'],
    [2, 'errorMessage', 'string'],
  ),
]);

/** google.rpc.Status, the body of every error; its `details` are not used. */
export const RPC_STATUS: Message = message('Status', [1, 'code', 'int32'], [2, 'message', 'string']);
