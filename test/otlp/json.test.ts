/** OTLP/JSON: the exact rules, both ways; the texts written are goldens. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteWriter, encodeUtf8, toHex } from '../../base/bytes.ts';
import { decodeLogsJson, decodeMetricsJson, decodeSpansJson, type Decoded } from '../../otlp/decode.ts';
import { encodeLogsJson, encodeMetrics, encodeMetricsJson, encodeSpans, encodeSpansJson, toRequestJson } from '../../otlp/encode.ts';
import { toJsonObject, toProtobuf } from '../../otlp/json.ts';
import { REQUESTS } from '../../otlp/schema.ts';
import { assertGolden } from '../support/golden.ts';
import { id, RUNS, text, uint64 } from './arbitrary.ts';
import { oracleDecode, oracleEncode } from './oracle.ts';
import { RESOURCE, sampleLogs, sampleMetrics, sampleSpans, SCOPE } from './samples.ts';

const lines = (json: string): string[] => JSON.stringify(JSON.parse(json), undefined, 1).split('\n');

test('json: requests of recorded logs, spans and metrics', () => {
  assertGolden('otlp-logs-json', lines(encodeLogsJson(RESOURCE, SCOPE, sampleLogs(12), { stream: 'kmsg', clockErrorNs: 40 })));
  assertGolden('otlp-spans-json', lines(encodeSpansJson(RESOURCE, SCOPE, sampleSpans(3))));
  assertGolden('otlp-metrics-json', lines(encodeMetricsJson(RESOURCE, SCOPE, sampleMetrics(3))));
});

function ok<Part>(decoded: Decoded<Part>): Part {
  assert.ok(decoded.ok, decoded.ok ? '' : decoded.failure.message);
  assert.equal(decoded.parts.length, 1);
  return decoded.parts[0] as Part;
}
const decodeRecord = (record: string) =>
  ok(decodeLogsJson(encodeUtf8(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[${record}]}]}]}`))).batch;

test('json: 64-bit integers come as strings or as numbers, to the last digit', () => {
  for (const time of ['"1790000000123456789"', '1790000000123456789', '"1790000000123456789" ']) {
    const batch = decodeRecord(
      `{"timeUnixNano": ${time}, "attributes":[{"key":"a","value":{"intValue":-7}},{"key":"b","value":{"intValue":"-8"}}]}`,
    );
    assert.equal(batch.unixTime.getBigint(0), 1790000000123456789n);
    assert.deepEqual(batch.attributes.rowOf(0), { a: '-7', b: '-8' });
  }
});

test('json: ids are hex in either case', () => {
  const batch = decodeRecord('{"traceId":"5B8EFFF798038103d269b633813fc60c","spanId":"EEE19B7EC3C1B174"}');
  assert.equal(toHex(batch.traceId as Uint8Array), '5b8efff798038103d269b633813fc60c');
  assert.equal(toHex(batch.spanId as Uint8Array), 'eee19b7ec3c1b174');
});

test('json: unknown names, snake_case and null are ignored', () => {
  const batch = decodeRecord(
    '{"severity_number":17,"severityNumber":13,"newField":{"x":[1]},"eventName":null,"body":{"stringValue":"b","string_value":"no"}}',
  );
  assert.equal(batch.level[0], 4);
  assert.equal(batch.textOf(0), 'b');
});

test('json: bytes values are base64, empty values are allowed', () => {
  const batch = decodeRecord('{"attributes":[{"key":"b","value":{"bytesValue":"3q2+7w=="}},{"key":"n","value":{}},{"key":"m"}]}');
  assert.deepEqual(batch.attributes.rowOf(0), { b: '"3q2+7w=="', n: 'null', m: 'null' });
});

test('json: doubles that JSON has no number for are strings', () => {
  const point = (value: string) =>
    ok(
      decodeMetricsJson(
        encodeUtf8(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[{"asDouble":${value}}]}}]}]}]}`),
      ),
    ).batch.value[0];
  assert.deepEqual(['"NaN"', '"-Infinity"', '1.5', '"2.5"', '3'].map(point), [Number.NaN, -Infinity, 1.5, 2.5, 3]);
  const batch = sampleMetrics(1);
  batch.value[0] = Infinity;
  assert.match(encodeMetricsJson(RESOURCE, SCOPE, batch), /"asDouble":"Infinity"/);
});

test('json: what is wrong is named with its path', () => {
  const wrong: [string, RegExp][] = [
    ['{"resourceLogs":5}', /^resourceLogs: a list is expected$/],
    [
      '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{},{"timeUnixNano":"x"}]}]}]}',
      /^resourceLogs\[0\]\.scopeLogs\[0\]\.logRecords\[1\]\.timeUnixNano: an integer/,
    ],
    ['{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":"INFO"}]}]}]}', /severityNumber: an integer/],
    ['{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":1.5}]}]}]}', /severityNumber: an integer/],
    ['{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":-1}]}]}]}', /does not fit fixed64/],
    ['{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"flags":4294967296}]}]}]}', /does not fit fixed32/],
    ['{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"traceId":"xyz"}]}]}]}', /traceId: hexadecimal/],
    ['{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":"text"}]}]}]}', /body: an object is expected$/],
    ['{"resourceLogs":[{"schemaUrl":1}]}', /^resourceLogs\[0\]\.schemaUrl: a string/],
    ['[]', /not an object/],
    ['"x"', /not an object/],
    ['{"resourceLogs":[', /not JSON/],
    ['', /not JSON/],
  ];
  for (const [json, message] of wrong) {
    const decoded = decodeLogsJson(encodeUtf8(json));
    assert.ok(!decoded.ok, json);
    assert.match(decoded.failure.message, message);
  }
  assert.deepEqual(decodeSpansJson(encodeUtf8('{}')), { ok: true, parts: [], rejected: 0, rejectedReason: '' });
});

test('json: text ↔ protobuf agrees with the oracle in both directions', () => {
  const spans = fc.array(
    fc.record({ traceId: id(16), spanId: id(8), name: text(20), start: uint64, flags: fc.nat({ max: 0xffff_ffff }) }),
    { maxLength: 4 },
  );
  fc.assert(
    fc.property(spans, (specs) => {
      const list = specs.map(({ traceId, spanId, name, start, flags }) => ({
        traceId,
        spanId,
        name,
        startTimeUnixNano: start.toString(),
        flags,
      }));
      const bytes = oracleEncode('ExportTraceServiceRequest', { resourceSpans: [{ scopeSpans: [{ spans: list }] }] });
      const json = JSON.stringify(toJsonObject(REQUESTS.traces, bytes));
      const hex = specs.map(({ traceId, spanId }) => ({ traceId: toHex(traceId), spanId: toHex(spanId) }));
      const found = JSON.parse(json).resourceSpans?.[0]?.scopeSpans?.[0]?.spans ?? [];
      assert.deepEqual(
        found.map(({ traceId, spanId }: { traceId: string; spanId: string }) => ({ traceId, spanId })),
        hex,
      );
      assert.deepEqual(
        oracleDecode('ExportTraceServiceRequest', toProtobuf(REQUESTS.traces, json) as Uint8Array),
        oracleDecode('ExportTraceServiceRequest', bytes),
      );
    }),
    RUNS,
  );
});

test('json: all that our encoders write survives the way through JSON', () => {
  const writer = new ByteWriter();
  encodeSpans(RESOURCE, SCOPE, sampleSpans(60), writer);
  const spans = writer.toBytes();
  writer.reset();
  encodeMetrics(RESOURCE, SCOPE, sampleMetrics(200), writer);
  for (const [signal, type, bytes] of [
    ['traces', 'ExportTraceServiceRequest', spans],
    ['metrics', 'ExportMetricsServiceRequest', writer.toBytes()],
  ] as const) {
    assert.deepEqual(
      oracleDecode(type, toProtobuf(REQUESTS[signal], toRequestJson(signal, bytes)) as Uint8Array),
      oracleDecode(type, bytes),
    );
  }
});
