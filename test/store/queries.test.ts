import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { SCHEMA_URL, toResource, type KernelIdentity } from '../../model/identity.ts';
import { METRIC_TYPE, MetricBatch, TEMPORALITY, type MetricDefinition } from '../../model/metric-batch.ts';
import { openStore } from '../../store/open.ts';
import { decodeCursor, encodeCursor } from '../../store/queries/cursor.ts';
import { queryCpuLoad, queryKernels, querySystemMetrics } from '../../store/queries/kernels.ts';
import { queryMetricNames, querySeries } from '../../store/queries/series.ts';
import { switchColumns } from '../../store/queries/switch-columns.ts';
import type { Store } from '../../store/store.ts';

const KERNEL: KernelIdentity = {
  machineId: 'm',
  machineName: 'box',
  kernelId: 0,
  kernelName: 'host',
  bootId: 'boot-1',
  release: '7.0',
  arch: 'amd64',
};
const BASE_MS = 1_780_000_000_000;
const ns = (ms: number): bigint => BigInt(Math.round(ms)) * 1_000_000n;
const WINDOW = { from: String(ns(BASE_MS)), to: String(ns(BASE_MS + 100_000)) };
let dataDir: string;
let store: Store;

before(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'mkscope-queries-'));
  store = await openStore({ dataDir });
});
after(async () => {
  await store.close();
  rmSync(dataDir, { recursive: true, force: true });
});

function append(batch: MetricBatch): Promise<unknown> {
  const scope = { name: 't', version: '', attributes: {}, schemaUrl: SCHEMA_URL };
  return store.append({
    metrics: [{ resource: toResource(KERNEL), scope, batch }],
    kernels: [{ identity: KERNEL, seenUnixNs: ns(BASE_MS), origin: 'live' }],
  });
}

const metric = (name: string, type: MetricDefinition['type']): MetricDefinition => ({
  name,
  description: `about ${name}`,
  unit: '1',
  type,
  integer: false,
});

test('series: gauges are means per step, one series per set of attributes', async () => {
  const batch = new MetricBatch();
  for (let second = 0; second < 20; second++) {
    batch.add(metric('load', 'gauge'), 0n, ns(BASE_MS + second * 1_000), second, { cpu: second % 2 });
  }
  await append(batch);
  const series = await querySeries(store, { name: 'load', ...WINDOW, stepMs: 10_000 });
  assert.deepEqual(
    series.map((of) => [of.attributes, of.timesMs, of.values]),
    [
      [{ cpu: '0' }, [BASE_MS, BASE_MS + 10_000], [4, 14]],
      [{ cpu: '1' }, [BASE_MS, BASE_MS + 10_000], [5, 15]],
    ],
  );
  assert.deepEqual([series[0]?.unit, series[0]?.kernelName, series[0]?.bootId], ['1', 'host', 'boot-1']);
});

test('series: monotonic sums are rates, and a restarted counter is no drop', async () => {
  const batch = new MetricBatch();
  for (let second = 0; second <= 20; second++)
    batch.add(metric('sent', 'counter'), ns(BASE_MS), ns(BASE_MS + second * 1_000), second * 5, {});
  // A new run begins at 25 s and has counted 40 by 30 s: 8 per second since its start.
  batch.add(metric('sent', 'counter'), ns(BASE_MS + 25_000), ns(BASE_MS + 30_000), 40, {});
  await append(batch);
  const [series] = await querySeries(store, { name: 'sent', ...WINDOW, stepMs: 10_000 });
  assert.deepEqual(series?.timesMs, [BASE_MS + 10_000, BASE_MS + 20_000, BASE_MS + 30_000]);
  assert.deepEqual(series?.values, [5, 5, 8]);
});

test('series: histograms are the mean of what came in a step', async () => {
  const batch = new MetricBatch();
  for (const [second, count, sum] of [
    [0, 10, 100],
    [10, 20, 400],
    [20, 20, 400],
    [30, 30, 450],
  ] as const) {
    const row = batch.openRow();
    batch.type[row] = METRIC_TYPE.histogram;
    batch.temporality[row] = TEMPORALITY.cumulative;
    batch.name[row] = batch.strings.internString('latency');
    batch.startTime.setBigint(row, ns(BASE_MS));
    batch.time.setBigint(row, ns(BASE_MS + second * 1_000));
    batch.distributions.set(row, {
      count: BigInt(count),
      sum,
      min: undefined,
      max: undefined,
      bucketCounts: [BigInt(count)],
      bounds: [],
      scale: 0,
      zeroCount: 0n,
      positiveOffset: 0,
      positiveCounts: [],
      negativeOffset: 0,
      negativeCounts: [],
      quantiles: [],
    });
    batch.closeRow();
  }
  await append(batch);
  const [series] = await querySeries(store, { name: 'latency', ...WINDOW, stepMs: 10_000 });
  assert.deepEqual(
    [series?.timesMs, series?.values],
    [
      [BASE_MS + 10_000, BASE_MS + 30_000],
      [30, 5],
    ],
  );
});

test('series: names come with their kind', async () => {
  const names = await queryMetricNames(store);
  assert.deepEqual(
    names.map(({ name, kind, description }) => [name, kind, description]),
    [
      ['latency', 'histogram', ''],
      ['load', 'gauge', 'about load'],
      ['sent', 'sum', 'about sent'],
    ],
  );
});

test('kernels: system metrics are the last values; load is the share of CPU time that was not idle', async () => {
  const nowMs = Date.now();
  const batch = new MetricBatch();
  batch.add(metric('system.cpu.logical.count', 'updown'), 0n, ns(nowMs - 2_000), 2, {});
  batch.add(metric('system.cpu.logical.count', 'updown'), 0n, ns(nowMs), 4, {});
  for (let second = 0; second < 5; second++) {
    for (const cpu of [0, 1]) {
      const time = (mode: string, value: number): void =>
        batch.add(metric('system.cpu.time', 'counter'), ns(nowMs - 60_000), ns(nowMs - 10_000 + second * 1_000), 100 + value, {
          'cpu.mode': mode,
          cpu,
        });
      time('idle', second * 0.75);
      time('user', second * 0.25);
    }
  }
  await append(batch);
  const count = (await querySystemMetrics(store)).filter((of) => of.name === 'system.cpu.logical.count');
  assert.deepEqual(
    count.map((of) => of.value),
    [4],
  );
  const loads = await queryCpuLoad(store);
  assert.equal(loads.length, 4);
  for (const { utilization } of loads) assert.ok(Math.abs(utilization - 0.25) < 1e-9);
  const [kernel] = await queryKernels(store);
  assert.deepEqual([kernel?.kernelName, kernel?.release, kernel?.origin], ['host', '7.0', 'live']);
});

test('cursor: reads back what it wrote and refuses everything else', () => {
  const key = ['1', 'ü"\\', ''];
  assert.deepEqual(decodeCursor(encodeCursor('newer', key), 3), { direction: 'newer', key });
  for (const text of [
    '',
    '!!',
    encodeCursor('older', ['1']),
    Buffer.from('{"a":1}').toString('base64url'),
    Buffer.from('[2,"1","2","3"]').toString('base64url'),
  ]) {
    assert.throws(() => decodeCursor(text, 3), { code: 'E_REQUEST' });
  }
});

test('timeline: formats of sched_switch that differ are told apart by their id', () => {
  const names = ['prev_comm', 'prev_pid', 'next_comm', 'next_pid'];
  const modern = { formatId: '1', names, kinds: ['string', 'int32', 'string', 'int32'] as const, slots: [-1, 1, -2, 2] };
  const text = { formatId: '2', names, kinds: ['string', 'string', 'string', 'string'] as const, slots: [-1, -2, -3, -4] };
  assert.deepEqual(switchColumns([modern]), {
    prevPid: 'toInt64(I0)',
    prevComm: 'toString(S0)',
    nextPid: 'toInt64(I1)',
    nextComm: 'toString(S1)',
  });
  assert.equal(switchColumns([modern, text])?.nextPid, 'multiIf(FormatId = 1, toInt64(I1), FormatId = 2, toInt64OrZero(toString(S3)), 0)');
  assert.equal(switchColumns([]), undefined);
});
