/** The second oracle: OpenTelemetry JS. What it writes we read, and it means the same as what we write. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { ByteWriter } from '../../base/bytes.ts';
import { encodeSuccess } from '../../otlp/answer.ts';
import { decodeLogs, decodeMetrics, decodeSpans } from '../../otlp/decode.ts';
import { encodeLogs, encodeMetrics, encodeSpans } from '../../otlp/encode.ts';
import { oracleDecode, type Plain } from './oracle.ts';
import { toPeerLogs, toPeerMetrics, toPeerSpans } from './peer-records.ts';
import { RESOURCE, sampleLogs, sampleMetrics, sampleSpans, SCOPE } from './samples.ts';

interface Serializer {
  serializeRequest(request: unknown): Uint8Array;
  deserializeResponse(bytes: Uint8Array): Plain;
}
const exporter = createRequire(createRequire(import.meta.url).resolve('@opentelemetry/exporter-trace-otlp-http'));
const peer = exporter('@opentelemetry/otlp-transformer') as Record<`Protobuf${'Logs' | 'Trace' | 'Metrics'}Serializer`, Serializer>;

/** What the peer writes and we do not: default counts, span flags beyond W3C's, an empty status. */
const PEER_ONLY = new Set(['droppedAttributesCount', 'droppedEventsCount', 'droppedLinksCount', 'flags']);

/** Objects with attributes sorted by key and without what only the peer writes. */
function normalize(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map(normalize);
    return items.every((item) => typeof item === 'object' && item !== null && 'key' in item)
      ? items.sort((a, b) => ((a as { key: string }).key < (b as { key: string }).key ? -1 : 1))
      : items;
  }
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(
    ([key, item]) => !PEER_ONLY.has(key) && !(key === 'status' && Object.keys(item as object).length === 0),
  );
  return Object.fromEntries(entries.map(([key, item]) => [key, normalize(item)]));
}

function compare(type: string, ours: ByteWriter, theirs: Uint8Array): void {
  assert.deepEqual(normalize(oracleDecode(type, ours.view())), normalize(oracleDecode(type, theirs)));
}

test('peer: our logs mean what OpenTelemetry JS writes of the same records', () => {
  const batch = sampleLogs(100);
  const writer = new ByteWriter();
  const noClock = { ...SCOPE };
  encodeLogs(RESOURCE, noClock, batch, writer);
  const theirs = peer.ProtobufLogsSerializer.serializeRequest(toPeerLogs(RESOURCE, SCOPE, batch));
  const ours = oracleDecode('ExportLogsServiceRequest', writer.view()) as { resourceLogs: { scopeLogs: { scope: Plain }[] }[] };
  // The one thing more that we say: the clock of the raw times.
  assert.deepEqual(ours.resourceLogs[0]?.scopeLogs[0]?.scope['attributes'], [{ key: 'mk.clock.domain', value: { stringValue: 'printk' } }]);
  delete ours.resourceLogs[0]?.scopeLogs[0]?.scope['attributes'];
  assert.deepEqual(normalize(ours), normalize(oracleDecode('ExportLogsServiceRequest', theirs)));
});

test('peer: our spans mean what OpenTelemetry JS writes of the same records', () => {
  const batch = sampleSpans(101);
  const writer = new ByteWriter();
  encodeSpans(RESOURCE, SCOPE, batch, writer);
  compare('ExportTraceServiceRequest', writer, peer.ProtobufTraceSerializer.serializeRequest(toPeerSpans(RESOURCE, SCOPE, batch)));
});

test('peer: our metrics mean what OpenTelemetry JS writes of the same points', () => {
  const batch = sampleMetrics(200);
  const writer = new ByteWriter();
  encodeMetrics(RESOURCE, SCOPE, batch, writer);
  compare('ExportMetricsServiceRequest', writer, peer.ProtobufMetricsSerializer.serializeRequest(toPeerMetrics(RESOURCE, SCOPE, batch)));
});

test('peer: we read what OpenTelemetry JS writes', () => {
  const logs = sampleLogs(50);
  const decoded = decodeLogs(peer.ProtobufLogsSerializer.serializeRequest(toPeerLogs(RESOURCE, SCOPE, logs)));
  assert.ok(decoded.ok);
  const batch = decoded.parts[0]?.batch;
  assert.deepEqual(decoded.parts[0]?.resource.identity, RESOURCE.identity);
  for (let row = 0; row < logs.length; row++) {
    assert.equal(batch?.textOf(row), logs.textOf(row));
    assert.equal(batch?.sequence[row], logs.sequence[row]);
    assert.equal(batch?.rawTime.getBigint(row), logs.rawTime.getBigint(row));
    assert.equal(batch?.level[row], logs.level[row]);
    assert.deepEqual(batch?.attributes.rowOf(row), logs.attributes.rowOf(row));
  }
  const spans = decodeSpans(peer.ProtobufTraceSerializer.serializeRequest(toPeerSpans(RESOURCE, SCOPE, sampleSpans(50))));
  assert.ok(spans.ok && spans.parts[0]?.batch.length === 50);
  const metrics = decodeMetrics(peer.ProtobufMetricsSerializer.serializeRequest(toPeerMetrics(RESOURCE, SCOPE, sampleMetrics(50))));
  assert.ok(metrics.ok && metrics.parts[0]?.batch.length === 50);
});

test('peer: OpenTelemetry JS reads our answers', () => {
  const partial = { rejected: 3, message: 'three were bad' };
  assert.deepEqual(peer.ProtobufLogsSerializer.deserializeResponse(encodeSuccess('logs', 'protobuf', partial)), {
    partialSuccess: { rejectedLogRecords: 3, errorMessage: 'three were bad' },
  });
  assert.deepEqual(peer.ProtobufTraceSerializer.deserializeResponse(encodeSuccess('traces', 'protobuf', partial)), {
    partialSuccess: { rejectedSpans: 3, errorMessage: 'three were bad' },
  });
  assert.deepEqual(peer.ProtobufTraceSerializer.deserializeResponse(encodeSuccess('traces', 'protobuf')), {});
});
