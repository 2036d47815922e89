import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startHub } from '../../hub/hub.ts';
import type { Health, LogPage } from '../../model/api.ts';
import { encodeSegment, hashFormatSet } from '../../model/segment.ts';
import { readRingFixture } from '../support/ring-fixture.ts';
import { getJson, HOST, nowNs, post, runHub, toLogsBody } from './running-hub.ts';

// The embedded engine is one per process, so these run one after the other.

test('start: off loopback a hub without a credential does not start', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'mkscope-hub-'));
  const address = { host: '0.0.0.0', port: 0 };
  const local = { host: '127.0.0.1', port: 0 };
  const options = { dataDir, version: 'test', webDir: dataDir, page: local, otlp: local };
  const reader = { token: 't', grants: 'read' } as const;
  for (const open of [{ page: address }, { otlp: address }, { clickhouse: address }, { otlp: address, tokens: [reader] }]) {
    await assert.rejects(startHub({ ...options, ...open }), { code: 'E_CONFIG_VALUE', hint: /token/ });
  }
  rmSync(dataDir, { recursive: true });
});

test('start: a taken port is said so, with the option that chooses another, and nothing stays open', async () => {
  const other = createServer().unref();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const taken = { host: '127.0.0.1', port: (other.address() as AddressInfo).port };
  const dataDir = mkdtempSync(join(tmpdir(), 'mkscope-hub-'));
  await assert.rejects(runHub({ dataDir, otlp: taken }), { code: 'E_PORT_IN_USE', message: /OTLP/, hint: /--otlp/ });
  await assert.rejects(runHub({ dataDir, clickhouse: taken }), { code: 'E_PORT_IN_USE', hint: /--clickhouse/ });
  await new Promise((resolve) => other.close(resolve));
  const hub = await runHub({ dataDir, otlp: taken });
  await assert.rejects(runHub({ dataDir }), { code: 'E_DATA_LOCKED' });
  assert.equal(hub.addresses.otlp, `http://127.0.0.1:${taken.port}`);
  assert.deepEqual((await getJson<Health>(hub, '/api/health')).listening, hub.addresses);
  await hub.stop();
});

test('start: what was received is there after a restart, numbers and format sets too', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'mkscope-hub-'));
  const { set, segment } = readRingFixture();
  const body = toLogsBody(HOST, [{ text: 'before the restart', unixNs: nowNs() }]);
  const origin = { 'x-mkscope-batch-stream': 's', 'x-mkscope-batch-seq': '1' };
  const first = await runHub({ dataDir });
  await post(`${first.addresses.otlp}/v1/logs`, body, origin);
  await fetch(`${first.addresses.otlp}/v1/mkscope/formats/${hashFormatSet(set)}`, { method: 'PUT', body: JSON.stringify(set) });
  await first.close();
  const hub = await runHub({ dataDir });
  assert.equal((await post(`${hub.addresses.otlp}/v1/logs`, body, origin)).status, 200);
  assert.equal((await getJson<LogPage>(hub, '/api/logs')).rows.length, 1);
  const taken = await post(`${hub.addresses.otlp}/v1/mkscope/segments`, encodeSegment(segment), {
    'content-type': 'application/vnd.mkscope.segment',
  });
  assert.equal(taken.status, 200, await taken.text());
  await hub.stop();
});

test('start: while the store is at its bound senders are told to retry, and nothing is lost', async () => {
  const hub = await runHub({ store: { maxSpoolBytes: 1, loadAfterMs: 600_000 } });
  const send = (text: string): Promise<Response> => post(`${hub.addresses.otlp}/v1/logs`, toLogsBody(HOST, [{ text, unixNs: nowNs() }]));
  const answers = [await send('one'), await send('two'), await send('three')];
  const busy = answers.filter((answer) => answer.status === 503);
  assert.ok(busy.length > 0);
  assert.ok(Number(busy[0]?.headers.get('retry-after')) >= 1);
  await hub.store.flush();
  assert.equal((await send('after')).status, 200);
  const { rows } = await getJson<LogPage>(hub, '/api/logs');
  assert.equal(rows.length, answers.length - busy.length + 1);
  assert.match(await (await fetch(`${hub.addresses.page}/metrics`)).text(), /mkscope_hub_errors_total\{reason="E_STORE_BUSY"\} [1-9]/);
  await hub.stop();
});
