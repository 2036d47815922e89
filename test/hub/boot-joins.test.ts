/** A boot that is heard on a console and stated by a collector inside is one incarnation: what came before, and what comes. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import type { KernelList, LogPage } from '../../model/api.ts';
import type { KernelIdentity } from '../../model/identity.ts';
import { MetricBatch, type MetricDefinition } from '../../model/metric-batch.ts';
import { getJson, HOST, nowNs, post, runHub, SPAWN, toGapsBody, toLogsBody, toMetricsBody, type Line } from './running-hub.ts';

const STARTED_NS = (nowNs() / 1_000_000_000n) * 1_000_000_000n;
const HEARD: KernelIdentity = { ...SPAWN, bootId: '00000000-0000-4000-8000-0000000000aa', release: '', arch: '', isHeard: true };
const CONSOLE = 'console:spawn1';

/** Lines of one boot; another boot of the same kernel prints the same, each at a µs of its own. */
function bootLines(boot: number, from: number, to: number): Line[] {
  return Array.from({ length: to - from }, (_, at) => from + at).map((line) => ({
    text: `driver ${line}: ready`,
    unixNs: STARTED_NS + BigInt(line) * 10_000_000n + BigInt(boot * 1700 + ((line * 37) % 90)) * 1000n + 1000n,
    sequence: line,
  }));
}

let hub = await runHub();
after(async () => {
  await hub.close();
  rmSync(hub.dataDir, { recursive: true, force: true });
});
const sendLogs = async (identity: KernelIdentity, lines: readonly Line[], stream: string): Promise<void> => {
  assert.equal((await post(`${hub.addresses.otlp}/v1/logs`, toLogsBody(identity, lines, stream))).status, 200);
};
const kernelsOf = async (kernelId: number): Promise<KernelList['kernels'][number][]> =>
  (await getJson<KernelList>(hub, '/api/kernels')).kernels.filter((kernel) => kernel.kernelId === kernelId);
const bootsOf = async (table: string, where = '1'): Promise<string[]> =>
  (await hub.store.query<{ boot: string }>(`SELECT DISTINCT BootId AS boot FROM ${table} WHERE KernelId = 1 AND ${where}`)).map(
    ({ boot }) => boot,
  );
const BOOKS: MetricDefinition = { name: 'mk.stream.read', description: '', unit: '{record}', type: 'counter', integer: true };

test('boot joins: another boot that prints the same lines at other moments is another incarnation', async () => {
  await sendLogs({ ...HEARD, bootId: 'of-an-earlier-boot' }, bootLines(1, 0, 40), CONSOLE);
  await sendLogs(HEARD, bootLines(2, 0, 30), CONSOLE);
  const metrics = new MetricBatch();
  metrics.add(BOOKS, STARTED_NS, nowNs(), 30, { 'mk.stream': CONSOLE });
  assert.equal((await post(`${hub.addresses.otlp}/v1/metrics`, toMetricsBody(HEARD, metrics))).status, 200);
  const gap = { stream: CONSOLE, cpu: -1, fromUnixNs: STARTED_NS, toUnixNs: STARTED_NS + 1n, count: 3, reason: 'queue_full' } as const;
  assert.equal((await post(`${hub.addresses.otlp}/v1/logs`, toGapsBody(HEARD, [gap]))).status, 200);
  await sendLogs(SPAWN, bootLines(3, 0, 40), 'kmsg');
  assert.equal((await kernelsOf(1)).length, 3);
});

test('boot joins: the same lines at the same moments are one boot, in all tables and on the page', async () => {
  const stated = { ...SPAWN, bootId: 'stated' };
  await sendLogs(stated, bootLines(2, 10, 13), 'kmsg');
  assert.equal((await kernelsOf(1)).length, 4, 'three lines are not enough');
  await sendLogs(stated, bootLines(2, 13, 40), 'kmsg');
  // At once under the new name, also while the old rows are not renamed yet.
  await sendLogs(HEARD, bootLines(2, 30, 32), CONSOLE);
  assert.deepEqual(await bootsOf('otel_logs', `Body = 'driver 31: ready' AND Stream = '${CONSOLE}' AND BootId != 'of-an-earlier-boot'`), [
    'stated',
  ]);
  for (const endMs = Date.now() + 30_000; (await bootsOf('otel_logs')).includes(HEARD.bootId) && Date.now() < endMs;) await sleep(100);
  const boots = ['00000000-0000-4000-8000-000000000002', 'of-an-earlier-boot', 'stated'];
  for (let tries = 0; tries < 100 && (await bootsOf('kernels')).length > boots.length; tries++) await sleep(100);
  assert.deepEqual((await bootsOf('otel_logs')).sort(), boots);
  assert.deepEqual((await bootsOf('kernels')).sort(), boots);
  assert.deepEqual(await bootsOf('gaps'), ['stated']);
  assert.deepEqual(await bootsOf('otel_metrics_sum'), ['stated']);
  const [resource] = await hub.store.query<{ release: string; boot: string; uid: string }>(
    `SELECT ResourceAttributes['os.version'] AS release, ResourceAttributes['mk.boot.id'] AS boot, ResourceAttributes['service.instance.id'] AS uid
     FROM otel_logs WHERE BootId = 'stated' AND Body = 'driver 1: ready'`,
  );
  assert.deepEqual(resource, { release: SPAWN.release, boot: 'stated', uid: 'stated' });
  const { rows } = await getJson<LogPage>(hub, `/api/logs?boot=stated&stream=${CONSOLE}&limit=100`);
  assert.equal(rows.length, 32);
  const kernel = (await kernelsOf(1)).find(({ bootId }) => bootId === 'stated');
  assert.deepEqual([kernel?.release, kernel?.arch, kernel?.lost], [SPAWN.release, SPAWN.arch, 3]);
});

test('boot joins: what an earlier process joined stays joined, and books of who listens do not keep a kernel alive', async () => {
  await hub.close();
  hub = await runHub({ dataDir: hub.dataDir });
  const metrics = new MetricBatch();
  metrics.add(BOOKS, STARTED_NS, nowNs(), 33, { 'mk.stream': CONSOLE });
  assert.equal((await post(`${hub.addresses.otlp}/v1/metrics`, toMetricsBody(HEARD, metrics))).status, 200);
  await sendLogs(HOST, [{ text: 'the host goes on', unixNs: nowNs() }], 'kmsg');
  const [host] = await kernelsOf(0);
  assert.equal(host?.state, 'live');
  const seen = await hub.store.query<{ boot: string; last: string }>(
    `SELECT BootId AS boot, toString(max(Value)) AS last FROM otel_metrics_sum WHERE KernelId = 1 GROUP BY boot`,
  );
  assert.deepEqual(seen, [{ boot: 'stated', last: '33' }]);
  await sendLogs(HEARD, bootLines(2, 40, 41), CONSOLE);
  assert.deepEqual(await bootsOf('otel_logs', "Body = 'driver 40: ready'"), ['stated']);
});
