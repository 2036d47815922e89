/** Latencies of messages as histograms with exemplars: in the store, for Prometheus, and at an OTLP receiver behind the hub. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { DurationHistogram } from '../../correlate/duration-histogram.ts';
import type { IkcSample } from '../../correlate/ikc-pack.ts';
import { IKC_PACKS } from '../../correlate/ikc-packs/index.ts';
import { MetricForwarder } from '../../hub/forward-metrics.ts';
import { IkcJoin } from '../../hub/ikc-join.ts';
import { IkcLatency } from '../../hub/ikc-latency.ts';
import { formatLatency } from '../../hub/latency-text.ts';
import { METRIC_TYPE, MetricBatch, TEMPORALITY } from '../../model/metric-batch.ts';
import { decodeMetrics } from '../../otlp/decode.ts';
import { resolveEndpoint } from '../../otlp/endpoint.ts';
import { openStore } from '../../store/open.ts';
import { Receiver } from '../collector/receiver.ts';
import { BASE_NS, toEventBatch } from '../support/ikc-events.ts';
import { HOST, nowNs, post, runHub, SPAWN, toMetricsBody } from './running-hub.ts';

const US = 1_000;
/** Of 100 messages one takes 5 ms, the others 20 µs. */
const delayOf = (at: number): number => (at === 50 ? 5_000 * US : 20 * US);

function toEvents(): { readonly sends: IkcSample['events']; readonly receives: IkcSample['events'] } {
  const times = Array.from({ length: 100 }, (_, at) => at);
  const sends = times.flatMap((at) => [
    { event: 'ikc:mk_send', atNs: at * 10_000 * US, pid: 7, fields: { inst: 1, type: 0x4000, sub: 1, len: at } },
    { event: 'ikc:mk_send_ret', atNs: at * 10_000 * US + 3 * US, pid: 7, fields: { ret: 0 } },
  ]);
  const receives = times.map((at) => ({
    event: 'ikc:mk_recv',
    atNs: at * 10_000 * US + delayOf(at),
    fields: {
      slot: 0xffff_c900_0020_0008n + BigInt(at % 64) * 4120n,
      from_cpu: 0n,
      type: 0x4000,
      size: BigInt(24 + at),
      sub: 1,
      msg_id: 0n,
      len: at,
    },
  }));
  return { sends, receives };
}

async function until(what: string, probe: () => boolean): Promise<void> {
  const endMs = Date.now() + 30_000;
  while (!probe()) {
    if (Date.now() > endMs) throw new Error(`${what}: not within 30 s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test('ikc latency: a histogram of each pair is stored with the ids of spans that are there, and Prometheus gets it with exemplars', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'mkscope-latency-'));
  const store = await openStore({ dataDir });
  const told: number[] = [];
  const latency = new IkcLatency({
    store,
    version: 'test',
    packs: IKC_PACKS,
    onStored: (parts) => told.push(...parts.map(({ batch }) => batch.exemplars.length)),
  });
  try {
    const ikc = new IkcJoin({
      store,
      version: 'test',
      packs: IKC_PACKS,
      onDecided: (batch, kernels, ids) => latency.take(batch, kernels, ids, BASE_NS + 10_000_000_000n),
    });
    const { sends, receives } = toEvents();
    ikc.addEvents(HOST, toEventBatch(sends), 500, 0);
    ikc.addEvents(SPAWN, toEventBatch(receives), 500, 0);
    await ikc.advance(0, true);
    await latency.write(BASE_NS + 20_000_000_000n);
    await latency.write(BASE_NS + 30_000_000_000n);
    const [row, ...others] = await store.query<Record<string, unknown>>(
      `SELECT toString(ServiceName) AS service, Attributes['mk.ikc.sender'] AS sender, Attributes['messaging.system'] AS system, toFloat64(Count) AS count,
         Max AS max, arraySort(Exemplars.Value) AS values, Exemplars.TraceId AS traces, Exemplars.SpanId AS spans
       FROM otel_metrics_exp_histogram WHERE MetricName = 'mk.ikc.latency'`,
    );
    assert.deepEqual(others, []);
    const { traces, spans, ...rest } = row as { traces: string[]; spans: string[] };
    assert.deepEqual(rest, { service: 'spawn1', sender: 'host', system: 'multikernel', count: 100, max: 0.005, values: [0.00002, 0.005] });
    const found = await store.query<{ kind: string; took: number }>(
      `SELECT toString(SpanKind) AS kind, toFloat64OrZero(SpanAttributes['mk.ikc.latency_ns']) AS took FROM otel_traces
       WHERE TraceId IN {traces:Array(String)} AND SpanId IN {spans:Array(String)} ORDER BY took`,
      { params: { traces, spans } },
    );
    assert.deepEqual(found, [
      { kind: 'Consumer', took: 20_000 },
      { kind: 'Consumer', took: 5_000_000 },
    ]);
    assert.deepEqual(told, [2]);
    const open = formatLatency(latency.list(), true).split('\n');
    const ends = `system="multikernel",machine="alpha",sender="host",receiver="spawn1",sender_boot="${HOST.bootId}",receiver_boot="${SPAWN.bootId}"`;
    const slow = open.find((line) => line.includes(`{${ends},le="0.015625"}`)) ?? '';
    assert.match(slow, /} 100 # \{trace_id="[0-9a-f]{32}",span_id="[0-9a-f]{16}"\} 0\.005 1700000000\.505$/);
    assert.ok(open.includes(`mkscope_ikc_latency_seconds_count{${ends}} 100`));
    assert.match(open.find((line) => line.includes('le="0.0009765625"')) ?? '', /} 99$/);
    assert.match(open.find((line) => line.includes('le="+Inf"')) ?? '', /} 100$/);
    assert.ok(!formatLatency(latency.list(), false).includes(' # {'));
  } finally {
    await latency.close();
    await store.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
});

test('ikc latency: what is imported, unsure, printed or of unknown ends is none of now', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'mkscope-latency-'));
  const store = await openStore({ dataDir });
  const latency = new IkcLatency({ store, version: 'test', packs: IKC_PACKS, onStored: () => undefined });
  try {
    const ikc = new IkcJoin({ store, version: 'test', packs: IKC_PACKS, onDecided: (...of) => latency.take(...of) });
    const { sends, receives } = toEvents();
    ikc.addEvents(HOST, toEventBatch(sends), 500, 0);
    ikc.addEvents(SPAWN, toEventBatch(receives), 500, 0);
    await ikc.advance(0, true);
    assert.deepEqual(latency.list(), []);
  } finally {
    await latency.close();
    await store.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
});

/** What a collector sends of a span rule, with an exemplar; or a counter. */
function toBatch(name: string, type: number): MetricBatch {
  const histogram = new DurationHistogram();
  histogram.add(2e6);
  histogram.addExemplar({ ns: 2e6, timeNs: 5n, traceId: new Uint8Array(16).fill(7), spanId: new Uint8Array(8).fill(9) });
  const batch = new MetricBatch();
  const [startNs, timeNs] = [nowNs() - 1_000_000_000n, nowNs()];
  if (type === METRIC_TYPE.expHistogram) histogram.openRow(batch, { name, description: '', startNs, timeNs });
  else {
    const row = batch.openRow();
    batch.type[row] = type;
    batch.temporality[row] = TEMPORALITY.cumulative;
    batch.name[row] = batch.strings.internString(name);
    batch.startTime.setBigint(row, startNs);
    batch.time.setBigint(row, timeNs);
  }
  batch.closeRow();
  return batch;
}

test('ikc latency: latency histograms go on to the OTLP receiver with their exemplars, other metrics do not; /metrics is OpenMetrics where asked', async () => {
  const receiver = await new Receiver(false).open();
  const hub = await runHub({ forward: { endpoint: receiver.url } });
  try {
    for (const [name, type] of [
      ['mk.span.duration', METRIC_TYPE.expHistogram],
      ['http.server.duration', METRIC_TYPE.expHistogram],
      ['mk.other', METRIC_TYPE.sum],
    ] as const)
      assert.equal((await post(`${hub.addresses.otlp}/v1/metrics`, toMetricsBody(HOST, toBatch(name, type)))).status, 200);
    await until('the histogram', () => receiver.batches.length > 0);
    const [{ path, body } = { path: '', body: new Uint8Array() }] = receiver.batches;
    const decoded = decodeMetrics(body);
    assert.ok(path === '/v1/metrics' && decoded.ok);
    const [part, ...others] = decoded.parts;
    assert.deepEqual([others.length, part?.batch.length, part?.resource.identity?.kernelName], [0, 1, 'host']);
    assert.deepEqual(
      part?.batch.exemplars.map(({ value, traceId, spanId }) => [value, traceId[0], spanId[0]]),
      [[0.002, 7, 9]],
    );
    const ask = async (accept: string): Promise<{ type: string; text: string }> => {
      const response = await fetch(`${hub.addresses.page}/metrics`, { headers: { accept } });
      return { type: response.headers.get('content-type') ?? '', text: await response.text() };
    };
    const [open, plain] = await Promise.all([ask('application/openmetrics-text;version=1.0.0,text/plain;q=0.5'), ask('*/*')]);
    assert.match(open.type, /^application\/openmetrics-text; version=1\.0\.0/);
    assert.match(open.text, /# TYPE mkscope_forward_points counter\nmkscope_forward_points_total 1\n/);
    assert.match(open.text, /# TYPE mkscope_ikc_latency_seconds histogram\n# EOF\n$/);
    // Each sample belongs to the family above it.
    let family = '';
    for (const line of open.text.trimEnd().split('\n')) {
      if (line.startsWith('# TYPE ')) family = line.split(' ')[2] ?? '';
      else if (!line.startsWith('#')) assert.match(line, new RegExp(`^${family}(_total|_bucket|_sum|_count)?[ {]`));
    }
    assert.match(plain.type, /^text\/plain; version=0\.0\.4/);
    assert.match(plain.text, /# TYPE mkscope_forward_points_total counter\nmkscope_forward_points_total 1\n/);
  } finally {
    await hub.stop();
    await receiver.close();
  }
});

test('ikc latency: histograms wait while the receiver is away, and the oldest go first where there is no room', async () => {
  const receiver = await new Receiver(false).open();
  receiver.refuse = () => 503;
  const forwarder = new MetricForwarder(resolveEndpoint('metrics', { endpoint: receiver.url }, {}), 20);
  const resource = { attributes: { 'service.name': 'host' }, schemaUrl: '', identity: HOST };
  const scope = { name: 's', version: '1', attributes: {}, schemaUrl: '' };
  const batch = toBatch('mk.span.duration', METRIC_TYPE.expHistogram);
  try {
    forwarder.take([{ resource, scope, batch }]);
    await until('a refusal', () => forwarder.counts.lastError !== '');
    assert.equal(forwarder.counts.sent, 0);
    // Some 17 MB more than may wait.
    const large = { ...resource, attributes: { ...resource.attributes, text: 'x'.repeat(1 << 20) } };
    for (let at = 0; at < 17; at++) forwarder.take([{ resource: large, scope, batch }]);
    assert.ok(forwarder.counts.dropped >= 2 && forwarder.counts.dropped < 4);
    receiver.refuse = () => undefined;
    await until('all of them', () => forwarder.counts.sent === 18 - forwarder.counts.dropped);
    assert.equal(forwarder.counts.lastError, '');
  } finally {
    await forwarder.close();
    await receiver.close();
  }
});
