/** What the encoders write, as the oracle reads it: never through our own decoder. */
import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteWriter, toHex } from '../../base/bytes.ts';
import { ATTR } from '../../model/attributes.ts';
import { fromAttributes } from '../../model/identity.ts';
import { LogBatch } from '../../model/log-batch.ts';
import { METRIC_TYPE, MetricBatch, TEMPORALITY, type DistributionPoint } from '../../model/metric-batch.ts';
import { toSeverityNumber, toSeverityText } from '../../model/severity.ts';
import { SpanBatch } from '../../model/span-batch.ts';
import { encodeLogs, encodeMetrics, encodeSpans } from '../../otlp/encode.ts';
import { addPairs, id, pairs, RUNS, text, uint64, unlessDefault, withAttributes } from './arbitrary.ts';
import { oracleDecode, oracleStrings, type Plain } from './oracle.ts';
import { BASE_NS, RESOURCE, sampleLogs, sampleSpans, SCOPE } from './samples.ts';

const NO_RESOURCE = fromAttributes({});
const NO_SCOPE = { name: '', version: '', attributes: {}, schemaUrl: '' };

function items(type: string, path: readonly [string, string, string], bytes: Uint8Array): Plain[] {
  const request = oracleDecode(type, bytes) as Record<string, Record<string, Record<string, Plain[]>[]>[]>;
  return request[path[0]]?.[0]?.[path[1]]?.[0]?.[path[2]] ?? [];
}
const logsOf = (bytes: Uint8Array): Plain[] => items('ExportLogsServiceRequest', ['resourceLogs', 'scopeLogs', 'logRecords'], bytes);
const spansOf = (bytes: Uint8Array): Plain[] => items('ExportTraceServiceRequest', ['resourceSpans', 'scopeSpans', 'spans'], bytes);
const metricsOf = (bytes: Uint8Array): Plain[] =>
  items('ExportMetricsServiceRequest', ['resourceMetrics', 'scopeMetrics', 'metrics'], bytes);

test('encode: a log record has its columns as attributes and its envelope around it', () => {
  const batch = new LogBatch(1);
  batch.attributes.add('SUBSYSTEM', 'pci');
  const row = batch.addText('lost the plot\nsecond line', 3);
  batch.sequence[row] = 2 ** 40 + 7;
  batch.rawTime.setBigint(row, 1_804_081_078_000n);
  batch.unixTime.setBigint(row, BASE_NS);
  batch.observedTime.setBigint(row, BASE_NS + 1n);
  batch.facility[row] = 3;
  batch.flags[row] = 300;
  batch.cpu[row] = 0;
  batch.pid[row] = 123_456;
  batch.eventName[row] = batch.strings.internString('mk.test');
  const writer = new ByteWriter(1);
  encodeLogs(RESOURCE, SCOPE, batch, writer, { stream: 'kmsg', clockErrorNs: 41.6, uidPrefix: 'boot-' });
  const request = oracleDecode('ExportLogsServiceRequest', writer.view()) as { resourceLogs: Plain[] };
  assert.equal(request.resourceLogs.length, 1);
  const { resource, scopeLogs, schemaUrl } = request.resourceLogs[0] as {
    resource: { attributes: Plain[] };
    scopeLogs: Plain[];
    schemaUrl: string;
  };
  assert.equal(schemaUrl, RESOURCE.schemaUrl);
  assert.deepEqual(
    resource.attributes.find(({ key }) => key === ATTR.kernelId),
    { key: ATTR.kernelId, value: { intValue: '2' } },
  );
  assert.equal(resource.attributes.length, Object.keys(RESOURCE.attributes).length);
  assert.deepEqual(scopeLogs, [
    {
      scope: {
        name: 'mkscope',
        version: '0.1.0',
        attributes: [
          { key: 'mk.stream', value: { stringValue: 'kmsg' } },
          { key: 'mk.clock.domain', value: { stringValue: 'printk' } },
          { key: 'mk.clock.error_ns', value: { intValue: '42' } },
        ],
      },
      schemaUrl: SCOPE.schemaUrl,
      logRecords: [
        {
          timeUnixNano: BASE_NS.toString(),
          observedTimeUnixNano: (BASE_NS + 1n).toString(),
          severityNumber: 17,
          severityText: 'ERROR',
          body: { stringValue: 'lost the plot\nsecond line' },
          eventName: 'mk.test',
          attributes: [
            { key: 'mk.seq', value: { intValue: String(2 ** 40 + 7) } },
            { key: 'mk.clock.raw', value: { intValue: '1804081078000' } },
            { key: 'mk.facility', value: { intValue: '3' } },
            { key: 'mk.flags', value: { intValue: '300' } },
            { key: 'cpu.logical_number', value: { intValue: '0' } },
            { key: 'thread.id', value: { intValue: '123456' } },
            { key: 'log.record.uid', value: { stringValue: `boot-${2 ** 40 + 7}` } },
            { key: 'SUBSYSTEM', value: { stringValue: 'pci' } },
          ],
        },
      ],
    },
  ]);
});

test('encode: batches written one after the other are one request', () => {
  const writer = new ByteWriter();
  encodeLogs(RESOURCE, SCOPE, sampleLogs(3), writer);
  encodeLogs(NO_RESOURCE, NO_SCOPE, sampleLogs(2), writer);
  const request = oracleDecode('ExportLogsServiceRequest', writer.view()) as { resourceLogs: { scopeLogs: { logRecords: Plain[] }[] }[] };
  assert.deepEqual(
    request.resourceLogs.map(({ scopeLogs }) => scopeLogs[0]?.logRecords.length),
    [3, 2],
  );
});

test('encode: lengths of every width are right (bodies around 2^7, 2^14, 2^21)', () => {
  for (const size of [0, 1, 90, 120, 126, 127, 128, 16_250, 16_383, 16_384, 2_097_151, 2_097_152]) {
    const batch = new LogBatch(1);
    batch.attributes.add('long', 'x'.repeat(size));
    batch.addText('x'.repeat(size), 6);
    const writer = new ByteWriter(16);
    encodeLogs(NO_RESOURCE, NO_SCOPE, batch, writer);
    const value = { stringValue: 'x'.repeat(size) };
    assert.deepEqual(logsOf(writer.view()), [
      { severityNumber: 9, severityText: 'INFO', body: value, attributes: [{ key: 'long', value }] },
    ]);
  }
});

test('encode: recorded kmsg comes out whole and in order', () => {
  const batch = sampleLogs(500);
  const writer = new ByteWriter();
  encodeLogs(RESOURCE, SCOPE, batch, writer);
  const records = logsOf(writer.view());
  assert.equal(records.length, 500);
  for (const [row, record] of records.entries()) {
    assert.deepEqual(record['body'], { stringValue: batch.textOf(row) });
    assert.equal(record['timeUnixNano'], batch.unixTime.getBigint(row).toString());
  }
});

const logSpec = fc.record({
  body: text(300),
  time: uint64,
  observed: uint64,
  level: fc.oneof(fc.integer({ min: 0, max: 7 }), fc.constant(255)),
  number: fc.integer({ min: 0, max: 24 }),
  severity: text(8),
  event: text(12),
  traceId: fc.option(id(16), { nil: undefined }),
  spanId: fc.option(id(8), { nil: undefined }),
  flags: fc.integer({ min: 0, max: 255 }),
  attributes: pairs,
});

test('encode: any log record is what the oracle reads', () => {
  fc.assert(
    fc.property(fc.array(logSpec, { minLength: 1, maxLength: 5 }), (specs) => {
      const batch = new LogBatch(1);
      for (const spec of specs) {
        addPairs(batch.attributes, spec.attributes);
        const row = batch.addText(spec.body, spec.level);
        batch.unixTime.setBigint(row, BigInt.asIntN(64, spec.time));
        batch.observedTime.setBigint(row, BigInt.asIntN(64, spec.observed));
        batch.severityNumber[row] = spec.number;
        batch.severityText[row] = batch.strings.internString(spec.severity);
        batch.eventName[row] = batch.strings.internString(spec.event);
        batch.ensureTraceIds();
        if (spec.traceId !== undefined) batch.traceId?.set(spec.traceId, row * 16);
        if (spec.spanId !== undefined) batch.spanId?.set(spec.spanId, row * 8);
        (batch.traceFlags as Uint8Array)[row] = spec.flags;
      }
      const writer = new ByteWriter(1);
      encodeLogs(NO_RESOURCE, NO_SCOPE, batch, writer);
      const expected = specs.map((spec) => ({
        ...unlessDefault('timeUnixNano', spec.time),
        ...unlessDefault('observedTimeUnixNano', spec.observed),
        ...unlessDefault('severityNumber', spec.number || toSeverityNumber(spec.level)),
        ...unlessDefault('severityText', spec.severity || (spec.number === 0 ? toSeverityText(spec.level) : '')),
        body: { stringValue: spec.body },
        ...withAttributes(spec.attributes),
        ...(spec.traceId === undefined ? {} : { traceId: toHex(spec.traceId) }),
        ...(spec.spanId === undefined ? {} : { spanId: toHex(spec.spanId) }),
        ...unlessDefault('flags', spec.flags),
        ...unlessDefault('eventName', spec.event),
      }));
      assert.deepEqual(logsOf(writer.view()), expected);
    }),
    RUNS,
  );
});

test('encode: attribute values keep their types, lists and bytes too', () => {
  const batch = new LogBatch(1);
  const { attributes, strings } = batch;
  const addJson = (key: string, json: string): void => attributes.addJson(strings.internString(key), strings.internString(json));
  addJson('list', '["a",1,2.0,9223372036854775807,true,null,[-0.5],{"k":"v"}]');
  addJson('map', '{"a":{"b":[1e3]},"":"empty key"}');
  addJson('bytes', '"3q2+7w=="');
  addJson('none', 'null');
  addJson('broken', '{not json');
  batch.addText('', 6);
  const writer = new ByteWriter();
  encodeLogs(NO_RESOURCE, NO_SCOPE, batch, writer);
  assert.deepEqual(logsOf(writer.view())[0]?.['attributes'], [
    {
      key: 'list',
      value: {
        arrayValue: {
          values: [
            { stringValue: 'a' },
            { intValue: '1' },
            { doubleValue: 2 },
            { intValue: '9223372036854775807' },
            { boolValue: true },
            {},
            { arrayValue: { values: [{ doubleValue: -0.5 }] } },
            { kvlistValue: { values: [{ key: 'k', value: { stringValue: 'v' } }] } },
          ],
        },
      },
    },
    {
      key: 'map',
      value: {
        kvlistValue: {
          values: [
            { key: 'a', value: { kvlistValue: { values: [{ key: 'b', value: { arrayValue: { values: [{ doubleValue: 1000 }] } } }] } } },
            { value: { stringValue: 'empty key' } },
          ],
        },
      },
    },
    { key: 'bytes', value: { bytesValue: 'deadbeef' } },
    { key: 'none', value: {} },
    { key: 'broken', value: { stringValue: '{not json' } },
  ]);
});

test('encode: bytes that are not UTF-8 go out as U+FFFD, all others as they are', () => {
  // A lone byte, a character cut at the end, one cut at the start of the next text, and texts that are whole.
  const texts = [[0x61, 0xff, 0x62], [0x61, 0xc3], [0xa9, 0x62], [0xc3, 0xa9], [0x63]];
  const expected = ['a\ufffdb', 'a\ufffd', '\ufffdb', 'é', 'c'];
  for (const subset of [
    [0, 1, 2, 3, 4],
    [1, 2],
    [3, 4],
    [2, 1],
  ]) {
    const batch = new LogBatch(1);
    for (const index of subset) {
      const bytes = Uint8Array.from(texts[index] as number[]);
      batch.attributes.addString(batch.strings.intern(bytes, 0, bytes.length), batch.strings.intern(bytes, 0, bytes.length));
      const row = batch.openRow();
      batch.textStart[row] = batch.appendText(bytes);
      batch.textEnd[row] = batch.textLength;
      batch.eventName[row] = batch.strings.intern(bytes, 0, bytes.length);
      batch.closeRow();
    }
    const writer = new ByteWriter(1);
    encodeLogs(NO_RESOURCE, NO_SCOPE, batch, writer);
    assert.deepEqual(
      logsOf(writer.view()),
      subset.map((index) => {
        const of = expected[index] as string;
        return { body: { stringValue: of }, attributes: [{ key: of, value: { stringValue: of } }], eventName: of };
      }),
    );
    const strings = oracleStrings('ExportLogsServiceRequest', writer.view());
    assert.equal(strings.length, subset.length * 4);
    assert.ok(strings.every((bytes) => isUtf8(bytes)));
  }
});

const spanSpec = fc.record({
  traceId: id(16),
  spanId: id(8),
  parent: fc.option(id(8), { nil: undefined }),
  state: text(20),
  name: text(60),
  kind: fc.integer({ min: 0, max: 5 }),
  start: uint64,
  end: uint64,
  flags: fc.nat({ max: 0xffff_ffff }),
  code: fc.integer({ min: 0, max: 2 }),
  message: text(30),
  attributes: pairs,
  events: fc.array(fc.record({ time: uint64, name: text(20), attributes: pairs }), { maxLength: 3 }),
  links: fc.array(fc.record({ traceId: id(16), spanId: id(8), state: text(10), attributes: pairs }), { maxLength: 3 }),
});

test('encode: any span is what the oracle reads', () => {
  fc.assert(
    fc.property(fc.array(spanSpec, { minLength: 1, maxLength: 4 }), (specs) => {
      const batch = new SpanBatch(1);
      for (const spec of specs) {
        const row = batch.openRow();
        batch.traceId.set(spec.traceId, row * 16);
        batch.spanId.set(spec.spanId, row * 8);
        if (spec.parent !== undefined) batch.parentSpanId.set(spec.parent, row * 8);
        batch.traceState[row] = batch.strings.internString(spec.state);
        batch.name[row] = batch.strings.internString(spec.name);
        batch.kind[row] = spec.kind;
        batch.startTime.setBigint(row, BigInt.asIntN(64, spec.start));
        batch.endTime.setBigint(row, BigInt.asIntN(64, spec.end));
        batch.traceFlags[row] = spec.flags;
        batch.statusCode[row] = spec.code;
        batch.statusMessage[row] = batch.strings.internString(spec.message);
        addPairs(batch.attributes, spec.attributes);
        for (const event of spec.events) {
          addPairs(batch.events.attributes, event.attributes);
          batch.events.add(event.time, batch.strings.internString(event.name));
        }
        for (const link of spec.links) {
          addPairs(batch.links.attributes, link.attributes);
          batch.links.add(link.traceId, link.spanId, batch.strings.internString(link.state));
        }
        batch.closeRow();
      }
      const writer = new ByteWriter(1);
      encodeSpans(NO_RESOURCE, NO_SCOPE, batch, writer);
      const expected = specs.map((spec) => ({
        traceId: toHex(spec.traceId),
        spanId: toHex(spec.spanId),
        ...(spec.parent === undefined ? {} : { parentSpanId: toHex(spec.parent) }),
        ...unlessDefault('traceState', spec.state),
        ...unlessDefault('name', spec.name),
        ...unlessDefault('kind', spec.kind),
        ...unlessDefault('startTimeUnixNano', spec.start),
        ...unlessDefault('endTimeUnixNano', spec.end),
        ...unlessDefault('flags', spec.flags),
        ...withAttributes(spec.attributes),
        ...(spec.events.length === 0
          ? {}
          : {
              events: spec.events.map((event) => ({
                ...unlessDefault('timeUnixNano', event.time),
                ...unlessDefault('name', event.name),
                ...withAttributes(event.attributes),
              })),
            }),
        ...(spec.links.length === 0
          ? {}
          : {
              links: spec.links.map((link) => ({
                traceId: toHex(link.traceId),
                spanId: toHex(link.spanId),
                ...unlessDefault('traceState', link.state),
                ...withAttributes(link.attributes),
              })),
            }),
        ...(spec.code === 0 && spec.message === ''
          ? {}
          : { status: { ...unlessDefault('message', spec.message), ...unlessDefault('code', spec.code) } }),
      }));
      assert.deepEqual(spansOf(writer.view()), expected);
    }),
    RUNS,
  );
});

test('encode: consecutive points of one metric share it, integers are sfixed64', () => {
  const batch = new MetricBatch(2);
  const counter = { name: 'c', description: 'd', unit: '1', type: 'counter', integer: true } as const;
  const gauge = { name: 'g', description: '', unit: 's', type: 'gauge', integer: false } as const;
  batch.add(counter, BASE_NS, BASE_NS + 5n, -(2 ** 40) - 3, { 'cpu.logical_number': 0 });
  batch.add(counter, BASE_NS, BASE_NS + 5n, 2 ** 53 - 1, { 'cpu.logical_number': 1 });
  batch.add(gauge, 0n, BASE_NS, 0.1, {});
  batch.add(counter, BASE_NS, BASE_NS + 6n, Number.NaN, {});
  const writer = new ByteWriter(1);
  encodeMetrics(RESOURCE, SCOPE, batch, writer);
  const times = { startTimeUnixNano: BASE_NS.toString(), timeUnixNano: (BASE_NS + 5n).toString() };
  const cpu = (number: string): Plain => ({ attributes: [{ key: 'cpu.logical_number', value: { intValue: number } }] });
  assert.deepEqual(metricsOf(writer.view()), [
    {
      name: 'c',
      description: 'd',
      unit: '1',
      sum: {
        aggregationTemporality: 2,
        isMonotonic: true,
        dataPoints: [
          { ...times, asInt: String(-(2 ** 40) - 3), ...cpu('0') },
          { ...times, asInt: String(2 ** 53 - 1), ...cpu('1') },
        ],
      },
    },
    { name: 'g', unit: 's', gauge: { dataPoints: [{ timeUnixNano: BASE_NS.toString(), asDouble: 0.1 }] } },
    {
      name: 'c',
      description: 'd',
      unit: '1',
      sum: {
        aggregationTemporality: 2,
        isMonotonic: true,
        dataPoints: [{ startTimeUnixNano: BASE_NS.toString(), timeUnixNano: (BASE_NS + 6n).toString(), asDouble: Number.NaN }],
      },
    },
  ]);
});

const NO_POINT: DistributionPoint = {
  count: 0n,
  sum: undefined,
  min: undefined,
  max: undefined,
  bucketCounts: [],
  bounds: [],
  scale: 0,
  zeroCount: 0n,
  positiveOffset: 0,
  positiveCounts: [],
  negativeOffset: 0,
  negativeCounts: [],
  quantiles: [],
};

test('encode: histograms, exponential histograms, summaries and exemplars', () => {
  const batch = new MetricBatch(1);
  const add = (type: number, name: string, point: Partial<DistributionPoint>): number => {
    const row = batch.openRow();
    batch.type[row] = type;
    batch.name[row] = batch.strings.internString(name);
    batch.time.setBigint(row, BASE_NS);
    batch.temporality[row] = type === METRIC_TYPE.summary ? 0 : TEMPORALITY.delta;
    batch.distributions.set(row, { ...NO_POINT, ...point });
    batch.attributes.add('mode', 'x');
    batch.flags[row] = 1;
    batch.closeRow();
    return row;
  };
  const row = add(METRIC_TYPE.histogram, 'h', {
    count: 2n ** 60n,
    sum: 1.5,
    min: -1,
    max: 2,
    bucketCounts: [1n, 2n ** 63n],
    bounds: [0.5],
  });
  add(METRIC_TYPE.expHistogram, 'e', {
    count: 9n,
    sum: -2,
    scale: -3,
    zeroCount: 4n,
    positiveOffset: -7,
    positiveCounts: [0n, 300n, 2n ** 64n - 1n],
    negativeOffset: 2,
    negativeCounts: [],
  });
  add(METRIC_TYPE.summary, 's', {
    count: 3n,
    sum: 6,
    quantiles: [
      { quantile: 0, value: 1 },
      { quantile: 0.99, value: 3 },
    ],
  });
  batch.exemplars.push({
    row,
    timeNs: BASE_NS,
    value: 1.25,
    traceId: new Uint8Array(16).fill(1),
    spanId: new Uint8Array(8).fill(2),
    attributes: { a: 'b' },
  });
  const writer = new ByteWriter(1);
  encodeMetrics(NO_RESOURCE, NO_SCOPE, batch, writer);
  const shared = { timeUnixNano: BASE_NS.toString(), attributes: [{ key: 'mode', value: { stringValue: 'x' } }], flags: 1 };
  assert.deepEqual(metricsOf(writer.view()), [
    {
      name: 'h',
      histogram: {
        aggregationTemporality: 1,
        dataPoints: [
          {
            ...shared,
            count: (2n ** 60n).toString(),
            sum: 1.5,
            min: -1,
            max: 2,
            bucketCounts: ['1', (2n ** 63n).toString()],
            explicitBounds: [0.5],
            exemplars: [
              {
                timeUnixNano: BASE_NS.toString(),
                asDouble: 1.25,
                traceId: '01'.repeat(16),
                spanId: '02'.repeat(8),
                filteredAttributes: [{ key: 'a', value: { stringValue: 'b' } }],
              },
            ],
          },
        ],
      },
    },
    {
      name: 'e',
      exponentialHistogram: {
        aggregationTemporality: 1,
        dataPoints: [
          {
            ...shared,
            count: '9',
            sum: -2,
            scale: -3,
            zeroCount: '4',
            positive: { offset: -7, bucketCounts: ['0', '300', (2n ** 64n - 1n).toString()] },
            negative: { offset: 2 },
          },
        ],
      },
    },
    {
      name: 's',
      summary: { dataPoints: [{ ...shared, count: '3', sum: 6, quantileValues: [{ value: 1 }, { quantile: 0.99, value: 3 }] }] },
    },
  ]);
});

test('encode: a thousand spans keep their order and ids', () => {
  const batch = sampleSpans(1000);
  const writer = new ByteWriter();
  encodeSpans(RESOURCE, SCOPE, batch, writer);
  const spans = spansOf(writer.view());
  assert.equal(spans.length, 1000);
  for (const [row, span] of spans.entries()) assert.equal(span['spanId'], toHex(batch.spanId, row * 8, row * 8 + 8));
});
