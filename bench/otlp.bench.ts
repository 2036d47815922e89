/**
 * OTLP protobuf, encode and decode, per core; beside OpenTelemetry JS's own serializer on the same records in the same run.
 * Its decode has no counterpart: the SDK never reads requests. Its input objects are made before the clock starts, which is
 * the part of its work (and garbage) that columns do not have.
 */
import { createRequire } from 'node:module';
import { ByteWriter } from '../base/bytes.ts';
import { decodeLogs, decodeLogsJson, decodeMetrics, decodeSpans } from '../otlp/decode.ts';
import { encodeLogs, encodeLogsJson, encodeMetrics, encodeSpans } from '../otlp/encode.ts';
import { toPeerLogs, toPeerMetrics, toPeerSpans } from '../test/otlp/peer-records.ts';
import { RESOURCE, sampleLogs, sampleMetrics, sampleSpans, SCOPE } from '../test/otlp/samples.ts';
import { measureRate, type Bench, type BenchResult } from './bench.ts';

const ROWS = 8192;

interface PeerSerializer {
  serializeRequest(request: unknown): Uint8Array;
}
// Not a dependency of ours: it is what the OpenTelemetry exporter that we use brings along.
const exporter = createRequire(createRequire(import.meta.url).resolve('@opentelemetry/exporter-trace-otlp-http'));
const peer = exporter('@opentelemetry/otlp-transformer') as Record<`Protobuf${'Logs' | 'Trace' | 'Metrics'}Serializer`, PeerSerializer>;

function compareEncode(unit: string, writer: ByteWriter, encode: () => void, serializer: PeerSerializer, records: unknown): BenchResult {
  const value = measureRate(ROWS, () => {
    writer.reset();
    encode();
  });
  const rate = measureRate(ROWS, () => serializer.serializeRequest(records));
  const sizeBytes = Math.round(writer.length / ROWS);
  return { value, unit, detail: `${(value / rate).toFixed(1)} × OpenTelemetry JS (${(rate / 1e6).toFixed(2)} M), ${sizeBytes} B each` };
}

function measureDecode(
  unit: string,
  encode: (writer: ByteWriter) => void,
  decode: (bytes: Uint8Array) => { readonly ok: boolean },
): BenchResult {
  const writer = new ByteWriter();
  encode(writer);
  const bytes = writer.toBytes();
  const value = measureRate(ROWS, () => {
    if (!decode(bytes).ok) throw new Error('the decoder refused our own bytes');
  });
  return { value, unit, detail: `${((value * bytes.length) / ROWS / 1e6).toFixed(0)} MB/s` };
}

export const benches: Bench[] = [
  {
    name: 'otlp: encode logs',
    target: '≥ 1.5 M/s',
    run: () => {
      const batch = sampleLogs(ROWS);
      const writer = new ByteWriter();
      const encode = (): void => encodeLogs(RESOURCE, SCOPE, batch, writer, { stream: 'kmsg' });
      return compareEncode('logs/s', writer, encode, peer.ProtobufLogsSerializer, toPeerLogs(RESOURCE, SCOPE, batch));
    },
  },
  {
    name: 'otlp: decode logs',
    target: '≥ 1.5 M/s',
    run: () => {
      const batch = sampleLogs(ROWS);
      return measureDecode('logs/s', (writer) => encodeLogs(RESOURCE, SCOPE, batch, writer, { stream: 'kmsg' }), decodeLogs);
    },
  },
  {
    name: 'otlp: encode spans',
    target: '≥ 1 M/s',
    run: () => {
      const batch = sampleSpans(ROWS);
      const writer = new ByteWriter();
      const encode = (): void => encodeSpans(RESOURCE, SCOPE, batch, writer);
      return compareEncode('spans/s', writer, encode, peer.ProtobufTraceSerializer, toPeerSpans(RESOURCE, SCOPE, batch));
    },
  },
  {
    name: 'otlp: decode spans',
    target: '≥ 1 M/s',
    run: () => {
      const batch = sampleSpans(ROWS);
      return measureDecode('spans/s', (writer) => encodeSpans(RESOURCE, SCOPE, batch, writer), decodeSpans);
    },
  },
  {
    name: 'otlp: encode metric points',
    run: () => {
      const batch = sampleMetrics(ROWS);
      const writer = new ByteWriter();
      const encode = (): void => encodeMetrics(RESOURCE, SCOPE, batch, writer);
      return compareEncode('points/s', writer, encode, peer.ProtobufMetricsSerializer, toPeerMetrics(RESOURCE, SCOPE, batch));
    },
  },
  {
    name: 'otlp: decode metric points',
    run: () => {
      const batch = sampleMetrics(ROWS);
      return measureDecode('points/s', (writer) => encodeMetrics(RESOURCE, SCOPE, batch, writer), decodeMetrics);
    },
  },
  {
    name: 'otlp: encode logs as JSON (the slow path)',
    run: () => {
      const batch = sampleLogs(ROWS);
      const value = measureRate(ROWS, () => void encodeLogsJson(RESOURCE, SCOPE, batch));
      return { value, unit: 'logs/s' };
    },
  },
  {
    name: 'otlp: decode logs from JSON (the slow path)',
    run: () => {
      const bytes = new TextEncoder().encode(encodeLogsJson(RESOURCE, SCOPE, sampleLogs(ROWS)));
      const value = measureRate(ROWS, () => void decodeLogsJson(bytes));
      return { value, unit: 'logs/s' };
    },
  },
];
