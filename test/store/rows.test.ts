/** What is appended comes back from ClickHouse as it was: the oracle of the Native writer is ClickHouse. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { EventBatch } from '../../model/event-batch.ts';
import { LogBatch } from '../../model/log-batch.ts';
import { MetricBatch, METRIC_TYPE, type DistributionPoint } from '../../model/metric-batch.ts';
import { SpanBatch } from '../../model/span-batch.ts';
import { addEvents, BASE_NS, field, KERNEL, makeLogs, openTestStore, RESOURCE, SCOPE } from './support.ts';

const I64_MIN = -(2n ** 63n);
const U64_MAX = 2n ** 64n - 1n;
/** The largest time that DateTime64(9) holds and this file uses. */
const LATE_NS = 9_000_000_000_000_000_000n;

test('rows: log records keep every column, extremes included', async (t) => {
  const store = await openTestStore(t);
  const batch = new LogBatch(1);
  const long = 'x'.repeat(300_000);
  const texts = ['', 'plain', 'zwölf – 漢字 🐧', long, "tab\tquote' back\\slash\0nul\nline", 'é'.repeat(100)];
  for (const text of texts) {
    const row = batch.addText(text, batch.length % 8);
    batch.unixTime.setBigint(row, row === 0 ? 0n : row === 1 ? LATE_NS : BASE_NS);
    batch.rawTime.setBigint(row, row === 0 ? I64_MIN : 2n ** 63n - 1n);
    batch.sequence[row] = row === 0 ? Number.MAX_SAFE_INTEGER : row;
    batch.facility[row] = 0xffff;
    batch.flags[row] = 0xfffe;
    batch.cpu[row] = row === 0 ? -1 : 2 ** 31 - 1;
    batch.pid[row] = row === 0 ? -(2 ** 31) : row;
  }
  const last = batch.openRow();
  batch.ensureTraceIds();
  batch.traceId?.fill(0xab, last * 16, last * 16 + 16);
  batch.spanId?.fill(0x0c, last * 8, last * 8 + 8);
  batch.eventName[last] = batch.strings.internString('mk.gap');
  batch.severityNumber[last] = 24;
  for (let pair = 0; pair < 300; pair++)
    batch.attributes.add(`key.${pair}`, pair % 3 === 0 ? `välue ${pair}` : pair % 3 === 1 ? -pair : pair > 150);
  batch.attributes.add('int.max', 2n ** 63n - 1n);
  batch.attributes.add('double', 0.1);
  batch.attributes.add('', '');
  batch.closeRow();
  const scope = { ...SCOPE, attributes: { 'mk.stream': 'kmsg', 'mk.clock.error_ns': '77' } };
  await store.append({ logs: [{ resource: RESOURCE, scope, batch }] });

  const rows = await store.query<Record<string, string>>('SELECT *, LogUid FROM otel_logs ORDER BY Flags, length(Body), Body');
  assert.deepEqual(rows.map((row) => row['Body']).sort(), [...texts, ''].sort());
  const first = rows.find((row) => row['Sequence'] === String(Number.MAX_SAFE_INTEGER));
  assert.equal(first?.['RawTime'], String(I64_MIN));
  assert.equal(first?.['Timestamp'], '1970-01-01 00:00:00.000000000');
  assert.equal(Number(first?.['Pid']), -(2 ** 31));
  assert.equal(Number(first?.['Facility']), 0xffff);
  assert.equal(first?.['SeverityText'], 'FATAL');
  assert.equal(first?.['ServiceName'], 'guest');
  assert.deepEqual(first?.['ResourceAttributes'], RESOURCE.attributes);
  assert.equal(first?.['LogUid'], `${KERNEL.bootId}:kmsg:${Number.MAX_SAFE_INTEGER}`);
  assert.equal(first?.['ClockErrorNs'], '77');
  assert.equal(Number(first?.['KernelId']), 3);
  assert.equal(first?.['TraceId'], '');
  const tagged = rows.find((row) => row['EventName'] === 'mk.gap');
  assert.equal(tagged?.['TraceId'], 'ab'.repeat(16));
  assert.equal(tagged?.['SpanId'], '0c'.repeat(8));
  assert.equal(Number(tagged?.['SeverityNumber']), 24);
  assert.equal(Number(tagged?.['Level']), 0);
  assert.deepEqual(tagged?.['LogAttributes'], batch.attributes.rowOf(last));
});

test('rows: dictionaries of every index width come back', async (t) => {
  const store = await openTestStore(t);
  for (const distinct of [1, 255, 256, 70_000]) {
    const batch = new EventBatch();
    const rows = Array.from({ length: distinct + 5 }, (_, row) => [`name ${row % distinct}`]);
    addEvents(batch, `width:w${distinct}`, [field('text', 'string')], rows);
    await store.append({ events: [{ identity: KERNEL, stream: 's', clockErrorNs: 1, batch }] });
    const [found] = await store.query<{ distinct: number; wrong: number }>(
      `SELECT toInt32(uniqExact(text)) AS distinct,
         toInt32(countIf(text != concat('name ', toString((RawTime - 5000) % {n:Int64})))) AS wrong FROM w${distinct}`,
      { params: { n: distinct } },
    );
    assert.deepEqual(found, { distinct, wrong: 0 });
  }
});

test('rows: spans keep ids, events and links, and fill the trace index', async (t) => {
  const store = await openTestStore(t);
  const batch = new SpanBatch(1);
  for (let at = 0; at < 3; at++) {
    const row = batch.openRow();
    batch.traceId.fill(row + 1, row * 16, row * 16 + 16);
    batch.spanId.fill(row + 0x10, row * 8, row * 8 + 8);
    if (at > 0) batch.parentSpanId.fill(0x10, row * 8, row * 8 + 8);
    batch.startTime.setBigint(row, BASE_NS);
    batch.endTime.setBigint(row, at === 2 ? BASE_NS - 5n : BASE_NS + 5_000_000_000n + BigInt(at));
    batch.name[row] = batch.strings.internString(`span ${at}`);
    batch.kind[row] = at + 3;
    batch.statusCode[row] = at;
    batch.statusMessage[row] = batch.strings.internString(at === 2 ? 'broken pipe' : '');
    batch.attributes.add('messaging.system', 'multikernel');
    for (let extra = 0; extra < at; extra++) {
      batch.events.attributes.add('attempt', extra);
      batch.events.add(BASE_NS + BigInt(extra), batch.strings.internString(`event ${extra}`));
      batch.links.attributes.add('leg', `${extra}`);
      batch.links.add(new Uint8Array(16).fill(9), new Uint8Array(8).fill(8), batch.strings.internString('k=v'));
    }
    batch.closeRow();
  }
  await store.append({ spans: [{ resource: RESOURCE, scope: SCOPE, batch }] });
  const rows = await store.query<Record<string, unknown>>('SELECT * FROM otel_traces ORDER BY SpanName');
  assert.deepEqual(
    rows.map((row) => [row['SpanKind'], row['StatusCode'], row['Duration'], row['ParentSpanId']]),
    [
      ['Client', 'Unset', '5000000000', ''],
      ['Producer', 'Ok', '5000000001', '10'.repeat(8)],
      ['Consumer', 'Error', '0', '10'.repeat(8)],
    ],
  );
  assert.deepEqual(rows[2]?.['Events.Name'], ['event 0', 'event 1']);
  assert.deepEqual(rows[2]?.['Events.Attributes'], [{ attempt: '0' }, { attempt: '1' }]);
  assert.deepEqual(rows[1]?.['Links.TraceId'], ['09'.repeat(16)]);
  assert.deepEqual(rows[1]?.['Links.Attributes'], [{ leg: '0' }]);
  assert.deepEqual(rows[0]?.['Events.Name'], []);
  assert.equal(rows[2]?.['StatusMessage'], 'broken pipe');
  assert.deepEqual(await store.query('SELECT toInt32(count()) AS n FROM otel_traces_trace_id_ts'), [{ n: 3 }]);
});

test('rows: metric points of all five types go to their tables', async (t) => {
  const store = await openTestStore(t);
  const batch = new MetricBatch(1);
  const point: DistributionPoint = {
    count: U64_MAX,
    sum: 12.5,
    min: -1,
    max: undefined,
    bucketCounts: [1n, U64_MAX],
    bounds: [0.5],
    scale: -3,
    zeroCount: 4n,
    positiveOffset: -7,
    positiveCounts: [5n],
    negativeOffset: 2,
    negativeCounts: [],
    quantiles: [{ quantile: 0.99, value: 3 }],
  };
  batch.add({ name: 'g', description: 'a gauge', unit: 'By', type: 'gauge', integer: false }, 0n, BASE_NS, -0.25, { cpu: 1 });
  batch.add({ name: 'c', description: '', unit: '1', type: 'counter', integer: true }, 1n, BASE_NS, 7, { state: 'user' });
  for (const type of [METRIC_TYPE.histogram, METRIC_TYPE.expHistogram, METRIC_TYPE.summary]) {
    const row = batch.openRow();
    batch.type[row] = type;
    batch.temporality[row] = 2;
    batch.name[row] = batch.strings.internString(`d${type}`);
    batch.time.setBigint(row, BASE_NS);
    batch.distributions.set(row, point);
    batch.attributes.add('leg', 'ikc');
    batch.closeRow();
  }
  batch.exemplars.push({
    row: 2,
    timeNs: BASE_NS,
    value: 9,
    traceId: new Uint8Array(16).fill(1),
    spanId: new Uint8Array(8),
    attributes: { a: 'b' },
  });
  await store.append({ metrics: [{ resource: RESOURCE, scope: SCOPE, batch }] });
  const one = async (table: string): Promise<Record<string, unknown>> =>
    (await store.query<Record<string, unknown>>(`SELECT * FROM otel_metrics_${table}`))[0] ?? {};
  const gauge = await one('gauge');
  assert.deepEqual([gauge['Value'], gauge['Attributes'], gauge['MetricUnit'], gauge['KernelName']], [-0.25, { cpu: '1' }, 'By', 'guest']);
  const sum = await one('sum');
  assert.deepEqual([sum['Value'], sum['IsMonotonic'], Number(sum['AggregationTemporality'])], [7, true, 2]);
  const histogram = await one('histogram');
  assert.deepEqual(
    [histogram['Count'], histogram['BucketCounts'], histogram['ExplicitBounds'], histogram['Min'], histogram['Exemplars.Value']],
    [String(U64_MAX), ['1', String(U64_MAX)], [0.5], -1, [9]],
  );
  assert.deepEqual(histogram['Exemplars.FilteredAttributes'], [{ a: 'b' }]);
  const exp = await one('exp_histogram');
  assert.deepEqual([exp['Scale'], exp['PositiveOffset'], exp['PositiveBucketCounts'], exp['NegativeBucketCounts']], [-3, -7, ['5'], []]);
  const summary = await one('summary');
  assert.deepEqual([summary['ValueAtQuantiles.Quantile'], summary['ValueAtQuantiles.Value']], [[0.99], [3]]);
});

test('rows: event fields keep sign, width and text, in slots and beyond them', async (t) => {
  const store = await openTestStore(t);
  const batch = new EventBatch();
  addEvents(
    batch,
    'test:extremes',
    [
      field('i32', 'int32'),
      field('u32', 'uint32'),
      field('i64', 'int64'),
      field('u64', 'uint64'),
      field('ptr', 'uint64', true),
      field('s', 'string'),
    ],
    [
      [-1, 0xffff_ffff, I64_MIN, U64_MAX, 0xffff_8881_0000_0abcn, ''],
      [-(2 ** 31), 0, 2n ** 63n - 1n, 0, 15, 'zwölf'],
    ],
  );
  const wide = Array.from({ length: 30 }, (_, at) => field(`f${at}`, at % 3 === 0 ? 'string' : at % 3 === 1 ? 'int32' : 'uint64'));
  const values = wide.map((of, at) => (of.kind === 'string' ? `text ${at}` : of.kind === 'int32' ? -at : U64_MAX - BigInt(at)));
  addEvents(batch, 'test:wide', wide, [values, values]);
  // More rows than share a block.
  addEvents(
    batch,
    'test:many',
    [field('n', 'int32')],
    Array.from({ length: 5000 }, (_, at) => [-at]),
  );
  await store.append({ events: [{ identity: KERNEL, stream: 'tracefs:t', clockErrorNs: 40, batch }] });

  const extremes = await store.query<Record<string, unknown>>(
    'SELECT toString(i32) AS i32, u32, i64, u64, hex(ptr) AS ptr, s, RawTime FROM extremes ORDER BY RawTime',
  );
  assert.deepEqual(extremes[0], {
    i32: '-1',
    u32: '4294967295',
    i64: String(I64_MIN),
    u64: String(U64_MAX),
    ptr: 'FFFF888100000ABC',
    s: '',
    RawTime: '5000',
  });
  assert.equal(extremes[1]?.['s'], 'zwölf');
  const [fields] = await store.query<{ Fields: Record<string, string> }>(
    `SELECT Fields FROM events WHERE Event = 'test:extremes' ORDER BY Timestamp DESC`,
  );
  assert.deepEqual(fields?.Fields, { i32: '-2147483648', u32: '0', i64: '9223372036854775807', u64: '0', ptr: '0xf', s: 'zwölf' });
  const [row] = await store.query<Record<string, unknown>>('SELECT * FROM wide LIMIT 1');
  for (const [at, { name }] of wide.entries()) assert.equal(row?.[name], String(values[at]), name);
  const [many] = await store.query('SELECT toInt32(count()) AS rows, toInt32(min(n)) AS least FROM many');
  assert.deepEqual(many, { rows: 5000, least: -4999 });
});

test('rows: an event that two kernels define differently has one view with the fields of both', async (t) => {
  const store = await openTestStore(t);
  const first = new EventBatch();
  addEvents(first, 'sched:moved', [field('pid', 'int32'), field('comm', 'string')], [[7, 'sh']]);
  await store.append({ events: [{ identity: KERNEL, stream: 's', clockErrorNs: 1, batch: first }] });
  assert.deepEqual(await store.query('SELECT pid, comm FROM moved'), [{ pid: '7', comm: 'sh' }]);
  const second = new EventBatch();
  addEvents(second, 'sched:moved', [field('flags', 'uint32'), field('pid', 'int32'), field('comm', 'string')], [[1, 8, 'ls']]);
  addEvents(second, 'other:moved', [field('x', 'int32')], [[5]]);
  addEvents(second, 'evil:events', [field('x', 'int32')], [[6]]);
  addEvents(second, "evil:a'; DROP TABLE events", [field('Timestamp', 'int32'), field('b`; --', 'int32')], [[6, 7]]);
  await store.append({ events: [{ identity: { ...KERNEL, kernelId: 4 }, stream: 's', clockErrorNs: 1, batch: second }] });
  assert.deepEqual(await store.query('SELECT KernelId, pid, comm, flags FROM moved ORDER BY KernelId'), [
    { KernelId: 3, pid: '7', comm: 'sh', flags: '0' },
    { KernelId: 4, pid: '8', comm: 'ls', flags: '1' },
  ]);
  assert.deepEqual(await store.query('SELECT x FROM other__moved'), [{ x: '5' }]);
  assert.deepEqual(await store.query('SELECT x FROM evil__events'), [{ x: '6' }]);
  assert.deepEqual(await store.query('SELECT toInt32(count()) AS n FROM events'), [{ n: 5 }]);
});

test('rows: views are there for whoever looks what there is, and come by themselves', async (t) => {
  const store = await openTestStore(t);
  const append = async (name: string): Promise<void> => {
    const batch = new EventBatch();
    addEvents(batch, `test:${name}`, [field('x', 'int32')], [[1]]);
    await store.append({ events: [{ identity: KERNEL, stream: 's', clockErrorNs: 1, batch }] });
  };
  // Beside those of the schema.
  const views = `SELECT name FROM system.tables WHERE engine = 'View' AND database = currentDatabase() AND name NOT LIKE 'otel%' ORDER BY name`;
  await append('asked');
  await store.flush();
  assert.deepEqual(await store.query(views, { stale: true }), []);
  assert.deepEqual(await store.query(views), [{ name: 'asked' }]);
  await append('waited');
  await store.flush();
  const deadline = Date.now() + 20_000;
  let names = await store.query<{ name: string }>(views, { stale: true });
  while (names.length < 2 && Date.now() < deadline) {
    await sleep(100);
    names = await store.query(views, { stale: true });
  }
  assert.deepEqual(names, [{ name: 'asked' }, { name: 'waited' }]);
});

test('rows: sightings merge to one incarnation, gaps keep what is unknown', async (t) => {
  const store = await openTestStore(t);
  const seen = (ns: bigint) => ({ identity: KERNEL, seenUnixNs: ns, origin: 'live' as const });
  await store.append({
    logs: [{ resource: RESOURCE, scope: SCOPE, batch: makeLogs(['x']) }],
    kernels: [seen(BASE_NS + 5_000_000_000n)],
    gaps: [
      {
        identity: KERNEL,
        gaps: [
          { stream: 'kmsg', cpu: -1, fromUnixNs: BASE_NS, toUnixNs: BASE_NS + 1n, count: undefined, reason: 'kmsg_overwritten' },
          { stream: 'tracefs:t', cpu: 3, fromUnixNs: BASE_NS, toUnixNs: BASE_NS, count: 2 ** 40, reason: 'ring_overrun' },
        ],
      },
    ],
  });
  await store.append({ kernels: [seen(BASE_NS + 5_000_000_001n), seen(BASE_NS)] });
  assert.deepEqual(
    await store.query(
      `SELECT KernelName, Release, toUnixTimestamp64Nano(min(FirstSeen)) AS first, toUnixTimestamp64Nano(max(LastSeen)) AS last
       FROM kernels GROUP BY KernelName, Release`,
    ),
    [{ KernelName: 'guest', Release: '7.0.0-mk2', first: String(BASE_NS), last: String(BASE_NS + 5_000_000_000n) }],
  );
  assert.deepEqual(await store.query('SELECT Stream, Cpu, Count, Reason FROM gaps ORDER BY Stream'), [
    { Stream: 'kmsg', Cpu: -1, Count: '-1', Reason: 'kmsg_overwritten' },
    { Stream: 'tracefs:t', Cpu: 3, Count: String(2 ** 40), Reason: 'ring_overrun' },
  ]);
});

test('rows: a batch whose times are broken is refused whole, before it shreds the tables', async (t) => {
  const store = await openTestStore(t);
  const batch = makeLogs(Array.from({ length: 3000 }, () => 'x'));
  await store.append({ logs: [{ resource: RESOURCE, scope: SCOPE, batch }] });
  for (let row = 0; row < batch.length; row++) batch.unixTime.setBigint(row, BigInt(row) * 86_400_000_000_000n);
  await assert.rejects(
    store.append({ origin: { stream: 's', sequence: 1 }, logs: [{ resource: RESOURCE, scope: SCOPE, batch }] }),
    /more than 1100 days/,
  );
  assert.deepEqual(await store.query('SELECT toInt32(count()) AS n FROM otel_logs'), [{ n: 3000 }]);
  assert.equal(await store.append({ origin: { stream: 's', sequence: 1 } }), 'stored');
});
