import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, test } from 'node:test';
import { isLoopback } from '../../hub/access.ts';
import type { Problem } from '../../model/api.ts';
import { encodeSegment } from '../../model/segment.ts';
import { readRingFixture } from '../support/ring-fixture.ts';
import { HOST, nowNs, post, runHub, SPAWN, toLogsBody, type RunningHub } from './running-hub.ts';

let hub: RunningHub;

before(async () => {
  hub = await runHub({
    tokens: [
      { token: 'any-kernel', grants: 'ingest' },
      { token: 'only-spawn1', grants: 'ingest', kernel: { machineId: SPAWN.machineId, kernelId: 1 } },
      { token: 'reader', grants: 'read' },
    ],
  });
});
after(() => hub.stop());

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

test('access: without a credential, or with the wrong one, nothing is answered', async () => {
  const body = toLogsBody(HOST, [{ text: 'x', unixNs: nowNs() }]);
  for (const headers of [{}, bearer('wrong'), bearer('reader'), { authorization: 'Basic !!' }]) {
    assert.equal((await post(`${hub.addresses.otlp}/v1/logs`, body, headers)).status, 401);
  }
  assert.equal((await fetch(`${hub.addresses.otlp}/v1/mkscope/hello`)).status, 401);
  for (const path of ['/', '/api/logs', '/api/logs/live', '/metrics']) {
    const response = await fetch(`${hub.addresses.page}${path}`, { headers: bearer('any-kernel') });
    assert.equal(response.status, 401, path);
    assert.match(response.headers.get('www-authenticate') ?? '', /^Basic/);
  }
  const exception = await fetch(`${hub.addresses.clickhouse}/?query=SELECT+1`);
  assert.deepEqual([exception.status, exception.headers.get('x-clickhouse-exception-code')], [401, '516']);
});

test('access: the right credential opens its listener, as bearer, password and ClickHouse key', async () => {
  const body = toLogsBody(HOST, [{ text: 'x', unixNs: nowNs() }]);
  assert.equal((await post(`${hub.addresses.otlp}/v1/logs`, body, bearer('any-kernel'))).status, 200);
  assert.equal((await fetch(`${hub.addresses.page}/api/kernels`, { headers: bearer('reader') })).status, 200);
  const basic = { authorization: `Basic ${Buffer.from('me:reader').toString('base64')}` };
  assert.equal((await fetch(`${hub.addresses.page}/api/kernels`, { headers: basic })).status, 200);
  const key = { 'x-clickhouse-user': 'me', 'x-clickhouse-key': 'reader' };
  assert.equal((await fetch(`${hub.addresses.clickhouse}/?query=SELECT+1`, { headers: key })).status, 200);
});

test('access: a credential of one kernel cannot write as another, nor as nobody, nor use up its batch numbers', async () => {
  const url = `${hub.addresses.otlp}/v1/logs`;
  const origin = { 'x-mkscope-batch-stream': 'spool', 'x-mkscope-batch-seq': '1' };
  const line = [{ text: 'mine', unixNs: nowNs() }];
  assert.equal((await post(url, toLogsBody(SPAWN, line), { ...bearer('only-spawn1'), ...origin })).status, 200);
  const refused = await post(url, toLogsBody(HOST, line), { ...bearer('only-spawn1'), ...origin });
  assert.equal(refused.status, 403);
  assert.equal((await post(url, toLogsBody({ ...SPAWN, machineId: 'other' }, line), bearer('only-spawn1'))).status, 403);
  const json = JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords: [{ body: { stringValue: 'x' } }] }] }] });
  assert.equal((await post(url, json, { ...bearer('only-spawn1'), 'content-type': 'application/json' })).status, 403);
  const { segment } = readRingFixture();
  const type = { 'content-type': 'application/vnd.mkscope.segment' };
  const asHost = await post(`${hub.addresses.otlp}/v1/mkscope/segments`, encodeSegment(segment), { ...bearer('only-spawn1'), ...type });
  assert.equal(asHost.status, 403);
  assert.equal((await post(url, toLogsBody(HOST, line), { ...bearer('any-kernel'), ...origin })).status, 200);
  const rows = await hub.store.query<{ name: string }>("SELECT KernelName AS name FROM otel_logs WHERE Body = 'mine' ORDER BY name");
  assert.deepEqual(
    rows.map((row) => row.name),
    ['host', 'spawn1'],
  );
});

test('access: a web page of another site can neither read nor write', async () => {
  const evil = await requestRaw('GET', '/api/kernels', { host: 'evil.example', ...bearer('reader') });
  assert.equal(evil.status, 403);
  assert.equal((JSON.parse(evil.body) as Problem).code, 'E_FORBIDDEN');
  const page = new URL(hub.addresses.page);
  assert.equal((await requestRaw('GET', '/api/kernels', { host: `localhost:${page.port}`, ...bearer('reader') })).status, 200);
  const sql = { 'content-type': 'application/json', ...bearer('reader') };
  assert.equal((await requestRaw('POST', '/api/sql', { host: page.host, origin: 'http://evil.example', ...sql })).status, 403);
  assert.equal((await requestRaw('POST', '/api/sql', { host: page.host, 'sec-fetch-site': 'cross-site', ...sql })).status, 403);
  assert.equal((await requestRaw('POST', '/api/sql', { host: page.host, origin: page.origin, ...sql }, '{"sql":"SELECT 1"}')).status, 200);
  assert.equal((await requestRaw('POST', '/api/sql', { host: page.host, ...bearer('reader'), 'content-type': 'text/plain' })).status, 415);
});

/** fetch sets Host by itself. */
function requestRaw(method: string, path: string, headers: Record<string, string>, body = ''): Promise<{ status: number; body: string }> {
  const { hostname, port } = new URL(hub.addresses.page);
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, method, path, headers }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

test('access: loopback is what stays on this machine', () => {
  for (const host of ['127.0.0.1', '127.1.2.3', 'localhost', '::1', '[::1]']) assert.ok(isLoopback(host), host);
  for (const host of ['0.0.0.0', '::', '10.0.0.1', '127.0.0.1.evil.example', 'localhost.evil.example', ''])
    assert.ok(!isLoopback(host), host);
});
