/** What the decoders make of bytes that the oracle wrote: never of our own encoder's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { toHex } from '../../base/bytes.ts';
import { VALUE_KIND, type AttributeColumns } from '../../model/attribute-columns.ts';
import { GAP_EVENT } from '../../model/attributes.ts';
import { LEVEL_UNKNOWN, toLevel, toSeverityNumber, toSeverityText } from '../../model/severity.ts';
import { NO_RAW_TIME } from '../../model/time.ts';
import { decodeLogs, decodeMetrics, decodeSpans, type Decoded } from '../../otlp/decode.ts';
import { id, pairs, RUNS, text, toKeyValues, uint64, type Pair, type Value } from './arbitrary.ts';
import { oracleEncode, type Plain } from './oracle.ts';

function parts<Part>(decoded: Decoded<Part>): readonly Part[] {
  assert.ok(decoded.ok, decoded.ok ? '' : decoded.failure.message);
  return decoded.parts;
}

function only<Part>(decoded: Decoded<Part>): Part {
  const found = parts(decoded);
  assert.equal(found.length, 1);
  return found[0] as Part;
}

const logsRequest = (records: Plain[], scope: Plain = {}): Uint8Array =>
  oracleEncode('ExportLogsServiceRequest', { resourceLogs: [{ scopeLogs: [{ scope, logRecords: records }] }] });
const spansRequest = (spans: Plain[]): Uint8Array =>
  oracleEncode('ExportTraceServiceRequest', { resourceSpans: [{ scopeSpans: [{ spans }] }] });
const metricsRequest = (metrics: Plain[]): Uint8Array =>
  oracleEncode('ExportMetricsServiceRequest', { resourceMetrics: [{ scopeMetrics: [{ metrics }] }] });
const string = (key: string, value: string): Plain => ({ key, value: { stringValue: value } });
const int = (key: string, value: number | string): Plain => ({ key, value: { intValue: value } });

/** A row's pairs as plain values, with their types. */
function pairsOf(columns: AttributeColumns, row: number): Pair[] {
  const found: Pair[] = [];
  for (let pair = columns.offsets[row] as number; pair < (columns.offsets[row + 1] as number); pair++) {
    const key = columns.strings.get(columns.keys[pair] as number);
    found.push({ key, value: valueOf(columns, pair) });
  }
  return found;
}

function valueOf(columns: AttributeColumns, pair: number): Value {
  switch (columns.kinds[pair]) {
    case VALUE_KIND.bool:
      return { kind: 'bool', value: columns.ids[pair] === 1 };
    case VALUE_KIND.int:
      return { kind: 'int', value: columns.ints.getBigint(pair) };
    case VALUE_KIND.double:
      return { kind: 'double', value: columns.doubles[pair] as number };
    default:
      return { kind: 'string', value: columns.textOf(pair) };
  }
}

test('decode: mk attributes go to their columns and are not duplicated', () => {
  const request = logsRequest(
    [
      {
        body: { stringValue: 'usb 1-1: new device' },
        severityNumber: 10,
        severityText: 'INFO2',
        attributes: [
          int('mk.seq', '4503599627370497'),
          int('mk.clock.raw', '1804081078000'),
          int('mk.facility', 3),
          int('mk.flags', 33),
          int('cpu.logical_number', 0),
          int('thread.id', 77),
          string('SUBSYSTEM', 'usb'),
        ],
      },
      { attributes: [string('mk.caller', 'T123'), string('mk.caller', 'C7')] },
    ],
    { name: 'mkscope', attributes: [string('mk.stream', 'kmsg'), string('mk.clock.domain', 'local'), int('mk.clock.error_ns', 12)] },
  );
  const { batch, stream, scope } = only(decodeLogs(request));
  assert.equal(stream, 'kmsg');
  assert.equal(batch.clock, 'local');
  assert.equal(scope.attributes['mk.clock.error_ns'], '12');
  assert.equal(batch.sequence[0], 4503599627370497);
  assert.equal(batch.rawTime.getBigint(0), 1804081078000n);
  assert.deepEqual([batch.facility[0], batch.flags[0], batch.cpu[0], batch.pid[0], batch.level[0]], [3, 33, 0, 77, 5]);
  assert.deepEqual([batch.severityNumber[0], batch.severityText[0]], [0, 0]);
  assert.deepEqual(batch.attributes.rowOf(0), { SUBSYSTEM: 'usb' });
  assert.deepEqual([batch.pid[1], batch.cpu[1], batch.rawTime.getBigint(1), batch.sequence[1]], [123, 7, NO_RAW_TIME, 0]);
  assert.deepEqual(batch.attributes.rowOf(1), {});
});

test('decode: values that do not fit their column stay attributes', () => {
  const odd: [string, Plain, string][] = [
    ['mk.seq', { intValue: '-1' }, '-1'],
    ['mk.seq', { intValue: '9007199254740992' }, '9007199254740992'],
    ['mk.seq', { stringValue: '7' }, '7'],
    ['mk.facility', { intValue: 65_536 }, '65536'],
    ['mk.flags', { doubleValue: 1 }, '1'],
    ['cpu.logical_number', { intValue: -1 }, '-1'],
    ['cpu.logical_number', { intValue: 2 ** 31 }, '2147483648'],
    ['thread.id', { intValue: '4294967297' }, '4294967297'],
    ['mk.caller', { stringValue: 'T' }, 'T'],
    ['mk.caller', { stringValue: 'T12x' }, 'T12x'],
    ['mk.caller', { stringValue: 'T1234567890' }, 'T1234567890'],
    ['mk.caller', { intValue: 4 }, '4'],
    ['mk.seqq', { intValue: 4 }, '4'],
    ['mk.sex', { intValue: 4 }, '4'],
  ];
  const { batch } = only(decodeLogs(logsRequest(odd.map(([key, value]) => ({ attributes: [{ key, value }] })))));
  for (const [row, [key, , kept]] of odd.entries()) {
    assert.deepEqual(batch.attributes.rowOf(row), { [key]: kept });
    assert.deepEqual([batch.sequence[row], batch.facility[row], batch.flags[row], batch.cpu[row], batch.pid[row]], [0, 0, 0, -1, -1]);
  }
});

test('decode: one batch per resource and scope, whatever the order of fields', () => {
  const scope = (name: string, count: number): Plain => ({
    scope: { name, version: '1' },
    schemaUrl: `${name}-schema`,
    logRecords: Array.from({ length: count }, (_, i) => ({ body: { stringValue: `${name} ${i}` } })),
  });
  const request = oracleEncode('ExportLogsServiceRequest', {
    resourceLogs: [
      {
        resource: { attributes: [int('mk.kernel.id', 3), string('mk.boot.id', 'b')] },
        schemaUrl: 's',
        scopeLogs: [scope('a', 2), scope('empty', 0), scope('b', 1)],
      },
      { scopeLogs: [scope('c', 1)] },
      { resource: { attributes: [string('x', 'y')] } },
    ],
  });
  const found = parts(decodeLogs(request));
  assert.deepEqual(
    found.map(({ resource, scope: { name, version, schemaUrl }, batch }) => [
      resource.identity?.kernelId,
      resource.schemaUrl,
      name,
      version,
      schemaUrl,
      batch.length,
    ]),
    [
      [3, 's', 'a', '1', 'a-schema', 2],
      [3, 's', 'b', '1', 'b-schema', 1],
      [undefined, '', 'c', '1', 'c-schema', 1],
    ],
  );
  assert.equal(found[1]?.batch.textOf(0), 'b 0');
});

test('decode: fields in the reverse of the usual order mean the same', () => {
  const record = oracleEncode('LogRecord', { body: { stringValue: 'hello' }, severityNumber: 13 });
  const scope = oracleEncode('InstrumentationScope', { name: 'late' });
  const resource = oracleEncode('Resource', { attributes: [string('k', 'v')] });
  const field = (tag: number, bytes: Uint8Array): number[] => [tag, bytes.length, ...bytes];
  const scopeLogs = Uint8Array.from([...field(0x12, record), ...field(0x0a, scope)]);
  const resourceLogs = Uint8Array.from([...field(0x12, scopeLogs), ...field(0x0a, resource)]);
  const part = only(decodeLogs(Uint8Array.from(field(0x0a, resourceLogs))));
  assert.equal(part.scope.name, 'late');
  assert.deepEqual(part.resource.attributes, { k: 'v' });
  assert.equal(part.batch.textOf(0), 'hello');
});

test('decode: unknown fields of every wire type are skipped', () => {
  const record = oracleEncode('LogRecord', { body: { stringValue: 'known' } });
  const unknown = [0xa0, 0x06, 0x96, 0x01, 0xa1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8, 0xa2, 0x06, 2, 0xff, 0xff, 0xa5, 0x06, 1, 2, 3, 4];
  const item = Uint8Array.from([...unknown, ...record, ...unknown]);
  const scopeLogs = Uint8Array.from([0x12, item.length, ...item]);
  const resourceLogs = Uint8Array.from([0x12, scopeLogs.length, ...scopeLogs]);
  assert.equal(only(decodeLogs(Uint8Array.from([0x0a, resourceLogs.length, ...resourceLogs]))).batch.textOf(0), 'known');
});

test('decode: an empty request is a success without batches', () => {
  for (const decode of [decodeLogs, decodeSpans, decodeMetrics])
    assert.deepEqual(decode(new Uint8Array(0)), { ok: true, parts: [], rejected: 0, rejectedReason: '' });
});

test('decode: a resource attribute named __proto__ is an attribute', () => {
  const request = oracleEncode('ExportLogsServiceRequest', {
    resourceLogs: [{ resource: { attributes: [string('__proto__', 'x')] }, scopeLogs: [{ logRecords: [{}] }] }],
  });
  assert.deepEqual(Object.entries(only(decodeLogs(request)).resource.attributes), [['__proto__', 'x']]);
});

test('decode: structured bodies become JSON text, next to plain ones', () => {
  const list = {
    arrayValue: { values: [{ stringValue: 'a"b' }, { intValue: '-5' }, { doubleValue: 1 }, { bytesValue: Buffer.from('hi') }, {}] },
  };
  const map = { kvlistValue: { values: [{ key: 'k', value: list }, { key: 'n' }] } };
  const { batch } = only(
    decodeLogs(
      logsRequest([
        { body: { stringValue: 'plain' } },
        { body: map },
        { body: { stringValue: 'after' } },
        { body: { boolValue: true } },
        {},
      ]),
    ),
  );
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((row) => batch.textOf(row)),
    ['plain', '{"k":["a\\"b",-5,1.0,"aGk=",null],"n":null}', 'after', 'true', ''],
  );
});

const logSpec = fc.record({
  body: text(300),
  time: uint64,
  observed: uint64,
  number: fc.integer({ min: 0, max: 24 }),
  severity: fc.oneof(text(8), fc.constant('INFO'), fc.constant('')),
  event: fc.oneof(text(12), fc.constant(GAP_EVENT)),
  traceId: fc.option(id(16), { nil: undefined }),
  spanId: fc.option(id(8), { nil: undefined }),
  flags: fc.nat({ max: 0xffff_ffff }),
  attributes: pairs,
});

test('decode: any log record of the oracle', () => {
  fc.assert(
    fc.property(fc.array(logSpec, { minLength: 1, maxLength: 6 }), (specs) => {
      const records = specs.map((spec) => ({
        timeUnixNano: spec.time.toString(),
        observedTimeUnixNano: spec.observed.toString(),
        severityNumber: spec.number,
        severityText: spec.severity,
        body: { stringValue: spec.body },
        eventName: spec.event,
        traceId: spec.traceId ?? [],
        spanId: spec.spanId ?? [],
        flags: spec.flags,
        attributes: toKeyValues(spec.attributes),
      }));
      const { batch } = only(decodeLogs(logsRequest(records)));
      assert.equal(batch.length, specs.length);
      for (const [row, spec] of specs.entries()) {
        assert.equal(batch.textOf(row), spec.body);
        assert.equal(BigInt.asUintN(64, batch.unixTime.getBigint(row)), spec.time);
        assert.equal(BigInt.asUintN(64, batch.observedTime.getBigint(row)), spec.observed);
        assert.equal(batch.strings.get(batch.eventName[row] as number), spec.event);
        const level = batch.level[row] as number;
        assert.equal(level, spec.number === 0 ? LEVEL_UNKNOWN : toLevel(spec.number));
        assert.equal(batch.severityNumber[row] || toSeverityNumber(level), spec.number);
        const derived = batch.severityNumber[row] === 0 ? toSeverityText(level) : '';
        const severity = batch.strings.get(batch.severityText[row] as number);
        assert.equal(severity === '' && spec.severity !== '' ? derived : severity, spec.severity);
        assert.equal(batch.traceFlags?.[row] ?? 0, spec.flags & 0xff);
        assert.equal(
          toHex(batch.traceId?.subarray(row * 16, row * 16 + 16) ?? new Uint8Array(16)),
          toHex(spec.traceId ?? new Uint8Array(16)),
        );
        assert.equal(toHex(batch.spanId?.subarray(row * 8, row * 8 + 8) ?? new Uint8Array(8)), toHex(spec.spanId ?? new Uint8Array(8)));
        assert.deepEqual(pairsOf(batch.attributes, row), spec.attributes);
      }
    }),
    RUNS,
  );
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
  /** Spans with this fault must be left out, with all that belongs to them. */
  fault: fc.constantFrom('none', 'none', 'none', 'zero trace id', 'short span id', 'no span id'),
});
type SpanSpec = typeof spanSpec extends fc.Arbitrary<infer Spec> ? Spec : never;

function toOracleSpan(spec: SpanSpec): Plain {
  return {
    traceId: spec.fault === 'zero trace id' ? new Uint8Array(16) : spec.traceId,
    spanId: spec.fault === 'short span id' ? spec.spanId.subarray(1) : spec.fault === 'no span id' ? [] : spec.spanId,
    parentSpanId: spec.parent ?? [],
    traceState: spec.state,
    name: spec.name,
    kind: spec.kind,
    startTimeUnixNano: spec.start.toString(),
    endTimeUnixNano: spec.end.toString(),
    flags: spec.flags,
    status: { code: spec.code, message: spec.message },
    attributes: toKeyValues(spec.attributes),
    events: spec.events.map(({ time, name, attributes }) => ({ timeUnixNano: time.toString(), name, attributes: toKeyValues(attributes) })),
    links: spec.links.map(({ traceId, spanId, state, attributes }) => ({
      traceId,
      spanId,
      traceState: state,
      attributes: toKeyValues(attributes),
    })),
  };
}

test('decode: any span of the oracle; invalid ones are left out and counted', () => {
  fc.assert(
    fc.property(fc.array(spanSpec, { minLength: 1, maxLength: 6 }), (specs) => {
      const decoded = decodeSpans(spansRequest(specs.map(toOracleSpan)));
      const valid = specs.filter(({ fault }) => fault === 'none');
      assert.ok(decoded.ok);
      assert.equal(decoded.rejected, specs.length - valid.length);
      assert.equal(decoded.rejectedReason === '', decoded.rejected === 0);
      assert.equal(decoded.parts.length, valid.length === 0 ? 0 : 1);
      if (valid.length === 0) return;
      const { batch } = only(decoded);
      const { events, links, strings } = batch;
      assert.equal(batch.length, valid.length);
      for (const [row, spec] of valid.entries()) {
        assert.equal(toHex(batch.traceId, row * 16, row * 16 + 16), toHex(spec.traceId));
        assert.equal(toHex(batch.spanId, row * 8, row * 8 + 8), toHex(spec.spanId));
        assert.equal(toHex(batch.parentSpanId, row * 8, row * 8 + 8), toHex(spec.parent ?? new Uint8Array(8)));
        assert.equal(strings.get(batch.traceState[row] as number), spec.state);
        assert.equal(strings.get(batch.name[row] as number), spec.name);
        assert.equal(strings.get(batch.statusMessage[row] as number), spec.message);
        assert.deepEqual([batch.kind[row], batch.statusCode[row], batch.traceFlags[row]], [spec.kind, spec.code, spec.flags]);
        assert.equal(BigInt.asUintN(64, batch.startTime.getBigint(row)), spec.start);
        assert.equal(BigInt.asUintN(64, batch.endTime.getBigint(row)), spec.end);
        assert.deepEqual(pairsOf(batch.attributes, row), spec.attributes);
        const from = events.offsets[row] as number;
        assert.equal((events.offsets[row + 1] as number) - from, spec.events.length);
        for (const [i, event] of spec.events.entries()) {
          assert.deepEqual([events.timeNs[from + i], strings.get(events.name[from + i] as number)], [event.time, event.name]);
          assert.deepEqual(pairsOf(events.attributes, from + i), event.attributes);
        }
        const first = links.offsets[row] as number;
        assert.equal((links.offsets[row + 1] as number) - first, spec.links.length);
        for (const [i, link] of spec.links.entries()) {
          assert.deepEqual(
            [links.traceId[first + i], links.spanId[first + i]].map((of) => toHex(of as Uint8Array)),
            [toHex(link.traceId), toHex(link.spanId)],
          );
          assert.equal(strings.get(links.traceState[first + i] as number), link.state);
          assert.deepEqual(pairsOf(links.attributes, first + i), link.attributes);
        }
      }
    }),
    RUNS,
  );
});

test('decode: a link without valid ids is left out with its attributes', () => {
  const ids = { traceId: new Uint8Array(16).fill(1), spanId: new Uint8Array(8).fill(2) };
  const links = [
    { traceId: ids.traceId, attributes: [string('bad', '1')] },
    { ...ids, attributes: [string('good', '1')] },
  ];
  const { batch } = only(decodeSpans(spansRequest([{ ...ids, links }])));
  assert.equal(batch.links.traceId.length, 1);
  assert.deepEqual(batch.links.attributes.rowOf(0), { good: '1' });
});

test('decode: number points, with what their metric says of them', () => {
  const point = (asInt: string, cpu: number): Plain => ({
    timeUnixNano: '5',
    startTimeUnixNano: '1',
    asInt,
    flags: 1,
    attributes: [int('cpu', cpu)],
  });
  const { batch } = only(
    decodeMetrics(
      metricsRequest([
        {
          name: 'c',
          unit: '1',
          description: 'd',
          sum: { aggregationTemporality: 2, isMonotonic: true, dataPoints: [point('-9007199254740991', 0), point('7', 1)] },
        },
        { name: 'g', gauge: { dataPoints: [{ timeUnixNano: '6', asDouble: 0.25 }] } },
        { name: 'nothing' },
      ]),
    ),
  );
  const text = (column: Uint32Array, row: number): string => batch.strings.get(column[row] as number);
  assert.equal(batch.length, 3);
  assert.deepEqual(
    [0, 1, 2].map((row) => [text(batch.name, row), text(batch.unit, row), text(batch.description, row), batch.type[row]]),
    [
      ['c', '1', 'd', 2],
      ['c', '1', 'd', 2],
      ['g', '', '', 1],
    ],
  );
  assert.deepEqual([...batch.value.slice(0, 3)], [-9007199254740991, 7, 0.25]);
  assert.deepEqual([...batch.isInteger.slice(0, 3)], [1, 1, 0]);
  assert.deepEqual([...batch.temporality.slice(0, 3)], [2, 2, 0]);
  assert.deepEqual([...batch.monotonic.slice(0, 3)], [1, 1, 0]);
  assert.deepEqual([...batch.flags.slice(0, 3)], [1, 1, 0]);
  assert.deepEqual([batch.time.getBigint(0), batch.startTime.getBigint(0), batch.time.getBigint(2)], [5n, 1n, 6n]);
  assert.deepEqual(batch.attributes.rowOf(1), { cpu: '1' });
});

test('decode: distributions and exemplars', () => {
  const exemplar = {
    timeUnixNano: '9',
    asInt: '3',
    traceId: new Uint8Array(16).fill(1),
    spanId: new Uint8Array(8).fill(2),
    filteredAttributes: [string('a', 'b')],
  };
  const histogram = {
    count: '18446744073709551615',
    sum: 0,
    min: -1,
    max: 2,
    bucketCounts: ['1', '2'],
    explicitBounds: [0.5],
    exemplars: [exemplar],
    flags: 1,
  };
  const exponential = {
    count: '9',
    scale: -3,
    zeroCount: '4',
    positive: { offset: -7, bucketCounts: ['0', '300', '18446744073709551615'] },
    negative: { offset: 2 },
    attributes: [string('m', 'x')],
  };
  const summary = {
    count: '3',
    sum: 6,
    quantileValues: [
      { quantile: 0.5, value: 2 },
      { quantile: 0.99, value: 3 },
    ],
  };
  const { batch } = only(
    decodeMetrics(
      metricsRequest([
        { name: 'h', histogram: { aggregationTemporality: 1, dataPoints: [histogram] } },
        { name: 'e', exponentialHistogram: { aggregationTemporality: 1, dataPoints: [exponential] } },
        { name: 's', summary: { dataPoints: [summary] } },
      ]),
    ),
  );
  assert.deepEqual([...batch.type.slice(0, 3)], [3, 4, 5]);
  assert.deepEqual([...batch.temporality.slice(0, 3)], [1, 1, 0]);
  const none = {
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
  const absent = { sum: undefined, min: undefined, max: undefined };
  assert.deepEqual(batch.distributions.get(0), {
    ...none,
    count: 2n ** 64n - 1n,
    sum: 0,
    min: -1,
    max: 2,
    bucketCounts: [1n, 2n],
    bounds: [0.5],
  });
  assert.deepEqual(batch.distributions.get(1), {
    ...none,
    ...absent,
    count: 9n,
    scale: -3,
    zeroCount: 4n,
    positiveOffset: -7,
    positiveCounts: [0n, 300n, 2n ** 64n - 1n],
    negativeOffset: 2,
  });
  assert.deepEqual(batch.distributions.get(2), {
    ...none,
    ...absent,
    count: 3n,
    sum: 6,
    quantiles: [
      { quantile: 0.5, value: 2 },
      { quantile: 0.99, value: 3 },
    ],
  });
  assert.deepEqual(batch.attributes.rowOf(1), { m: 'x' });
  assert.deepEqual(batch.exemplars, [
    { row: 0, timeNs: 9n, value: 3, traceId: exemplar.traceId, spanId: exemplar.spanId, attributes: { a: 'b' } },
  ]);
});

test('decode: repeated numbers that are not packed read the same', () => {
  // HistogramDataPoint { count: 3, bucket_counts: 1, bucket_counts: 2, explicit_bounds: 0.5 }, one field per number
  const fixed = (tag: number, value: number): number[] => [tag, value, 0, 0, 0, 0, 0, 0, 0];
  const point = [...fixed(0x21, 3), ...fixed(0x31, 1), ...fixed(0x31, 2), 0x39, ...new Uint8Array(new Float64Array([0.5]).buffer)];
  const wrap = (tag: number, bytes: number[]): number[] => [tag, bytes.length, ...bytes];
  const request = wrap(0x0a, wrap(0x12, wrap(0x12, wrap(0x4a, wrap(0x0a, point)))));
  const { batch } = only(decodeMetrics(Uint8Array.from(request)));
  assert.deepEqual(batch.distributions.get(0)?.bucketCounts, [1n, 2n]);
  assert.deepEqual(batch.distributions.get(0)?.bounds, [0.5]);
});
