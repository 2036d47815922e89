/**
 * Targets for OTLP: the requests of each signal as protobuf and JSON, and the answers that a sender reads. What was decoded is
 * encoded and decoded again now and then: the second reading must hold as many records as the first.
 */
import { ByteWriter, encodeUtf8 } from '../../base/bytes.ts';
import type { AttributeColumns } from '../../model/attribute-columns.ts';
import type { LogBatch } from '../../model/log-batch.ts';
import type { MetricBatch } from '../../model/metric-batch.ts';
import type { SpanBatch } from '../../model/span-batch.ts';
import { CONTENT_TYPES, decodeStatus, decodeSuccess, encodeStatus, encodeSuccess } from '../../otlp/answer.ts';
import { decodeLogs, decodeLogsJson, decodeMetrics, decodeMetricsJson, decodeSpans, decodeSpansJson } from '../../otlp/decode.ts';
import { encodeLogs, encodeMetrics, encodeSpans, toRequestJson } from '../../otlp/encode.ts';
import type { Decoded, SignalPart } from '../../otlp/envelope.ts';
import type { Signal } from '../../otlp/schema.ts';
import { RESOURCE, sampleLogs, sampleMetrics, sampleSpans, SCOPE } from '../otlp/samples.ts';
import { restructureProto } from './proto-tree.ts';
import { countOutcome, Violation, type Runner, type Target } from './target.ts';

const ROWS = 2;
const MAX_MESSAGE_CHARS = 500;

interface SignalForm<Batch extends LogBatch | SpanBatch | MetricBatch> {
  readonly signal: Signal;
  readonly sample: (rows: number) => Batch;
  readonly encode: (part: SignalPart<Batch>, writer: ByteWriter) => void;
  readonly decode: (bytes: Uint8Array) => Decoded<SignalPart<Batch>>;
  readonly decodeJson: (bytes: Uint8Array) => Decoded<SignalPart<Batch>>;
}

const LOGS: SignalForm<LogBatch> = {
  signal: 'logs',
  sample: sampleLogs,
  encode: ({ resource, scope, batch }, writer) => encodeLogs(resource, scope, batch, writer, { stream: 'kmsg' }),
  decode: decodeLogs,
  decodeJson: decodeLogsJson,
};
const SPANS: SignalForm<SpanBatch> = {
  signal: 'traces',
  sample: sampleSpans,
  encode: ({ resource, scope, batch }, writer) => encodeSpans(resource, scope, batch, writer),
  decode: decodeSpans,
  decodeJson: decodeSpansJson,
};
const METRICS: SignalForm<MetricBatch> = {
  signal: 'metrics',
  sample: sampleMetrics,
  encode: ({ resource, scope, batch }, writer) => encodeMetrics(resource, scope, batch, writer),
  decode: decodeMetrics,
  decodeJson: decodeMetricsJson,
};

/** A small resource, and samples of one row and of some. */
function requestsOf<Batch extends LogBatch | SpanBatch | MetricBatch>({ sample, encode }: SignalForm<Batch>): Uint8Array[] {
  const resource = { ...RESOURCE, attributes: { 'service.name': 'spawn-2', 'mk.kernel.id': '2' } };
  return [1, ROWS, 9].map((rows) => {
    const writer = new ByteWriter();
    encode({ resource, scope: SCOPE, batch: sample(rows) }, writer);
    return writer.toBytes();
  });
}

function protobufTarget<Batch extends LogBatch | SpanBatch | MetricBatch>(form: SignalForm<Batch>): Target {
  return {
    id: `otlp_${form.signal}`,
    maxBytes: 1024,
    seeds: () => requestsOf(form),
    restructure: restructureProto,
    open: () => new OtlpRunner(form, form.decode),
  };
}

function jsonTarget<Batch extends LogBatch | SpanBatch | MetricBatch>(form: SignalForm<Batch>): Target {
  return {
    id: `otlp_${form.signal}_json`,
    maxBytes: 2048,
    seeds: () => requestsOf(form).map((request) => encodeUtf8(toRequestJson(form.signal, request))),
    open: () => new OtlpRunner(form, form.decodeJson),
  };
}

class OtlpRunner<Batch extends LogBatch | SpanBatch | MetricBatch> implements Runner {
  readonly outcomes = new Map<string, number>();
  readonly #form: SignalForm<Batch>;
  readonly #decode: (bytes: Uint8Array) => Decoded<SignalPart<Batch>>;

  constructor(form: SignalForm<Batch>, decode: (bytes: Uint8Array) => Decoded<SignalPart<Batch>>) {
    this.#form = form;
    this.#decode = decode;
  }

  run(input: Uint8Array, deep: boolean): void {
    const decoded = this.#decode(input);
    if (!decoded.ok) {
      const { message, offset } = decoded.failure;
      if (message.length === 0 || message.length > MAX_MESSAGE_CHARS) throw new Violation(`message: ${message.length} characters`);
      if (!(offset >= 0 && offset <= input.length)) throw new Violation(`offset: ${offset} of ${input.length}`);
      if (deep) countOutcome(this.outcomes, message);
      return;
    }
    let rows = 0;
    for (const { batch } of decoded.parts) {
      rows += batch.length;
      checkAttributes(batch.attributes, batch.length);
    }
    // A record is a tag and a length at least; metrics have a point in it.
    if (rows + decoded.rejected > input.length / 2) throw new Violation(`rows: ${rows} for ${input.length} bytes`);
    countOutcome(this.outcomes, 'rows', rows);
    if (deep) for (const part of decoded.parts) this.#checkAgain(part);
  }

  #checkAgain(part: SignalPart<Batch>): void {
    const writer = new ByteWriter();
    this.#form.encode(part, writer);
    const again = this.#form.decode(writer.toBytes());
    if (!again.ok) throw new Violation(`again: ${again.failure.message}`);
    const rows = again.parts.reduce((sum, { batch }) => sum + batch.length, 0);
    if (rows !== part.batch.length) throw new Violation(`again: ${rows} rows of ${part.batch.length}`);
  }
}

function checkAttributes({ rows, pairs, offsets, keys, strings }: AttributeColumns, length: number): void {
  if (rows !== length) throw new Violation(`columns: ${rows} rows of attributes for ${length}`);
  if (offsets[rows] !== pairs) throw new Violation('columns: attributes end elsewhere than their last row');
  for (let pair = 0; pair < pairs; pair++) if ((keys[pair] as number) >= strings.size) throw new Violation('columns: a key is not there');
}

/** First byte: which encoding the answer says it has. */
const answers: Target = {
  id: 'otlp_answer',
  seeds: () =>
    (['protobuf', 'json'] as const).flatMap((encoding, index) => [
      Uint8Array.of(index, ...encodeSuccess('logs', encoding, { rejected: 3, message: 'too old' })),
      Uint8Array.of(index, ...encodeStatus(encoding, 8, 'slow down')),
    ]),
  open: () => ({
    outcomes: new Map(),
    run(input) {
      const type = [CONTENT_TYPES.protobuf, CONTENT_TYPES.json, 'text/html'][(input[0] ?? 0) % 3];
      const body = input.subarray(1);
      const partial = decodeSuccess(type, body);
      if (partial !== undefined && !(partial.rejected >= 0)) throw new Violation(`rejected: ${partial.rejected}`);
      const status = decodeStatus(type, body);
      if (status.length > 4096) throw new Violation(`message: ${status.length} characters`);
    },
  }),
};

export const OTLP_TARGETS: readonly Target[] = [
  protobufTarget(LOGS),
  protobufTarget(SPANS),
  protobufTarget(METRICS),
  jsonTarget(LOGS),
  jsonTarget(SPANS),
  jsonTarget(METRICS),
  answers,
];
