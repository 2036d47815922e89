import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { ByteWriter } from '../../base/bytes.ts';
import type { GapRow, KernelRow, LogPage } from '../../model/api.ts';
import { SCHEMA_URL, toResource } from '../../model/identity.ts';
import { SpanBatch } from '../../model/span-batch.ts';
import { encodeSpans } from '../../otlp/encode.ts';
import { createRandom, randomBytes } from '../support/random.ts';
import { getJson, HOST, nowNs, post, runHub, SPAWN, toGapsBody, toLogsBody, type RunningHub } from './running-hub.ts';

const MAX_BODY_BYTES = 1 << 20;
let hub: RunningHub;
let logs: string;

before(async () => {
  hub = await runHub({ maxBodyBytes: MAX_BODY_BYTES });
  logs = `${hub.addresses.otlp}/v1/logs`;
});
after(() => hub.stop());

async function countLogs(search: string): Promise<number> {
  return (await getJson<LogPage>(hub, `/api/logs?limit=5000&search=${encodeURIComponent(search)}`)).rows.length;
}

test('receive: protobuf and JSON, plain, gzip and zstd, are stored and answered in kind', async () => {
  const body = toLogsBody(HOST, [{ text: 'plain protobuf', unixNs: nowNs() }]);
  const plain = await post(logs, body);
  assert.deepEqual([plain.status, plain.headers.get('content-type'), await plain.text()], [200, 'application/x-protobuf', '']);
  assert.equal((await post(logs, new Uint8Array(gzipSync(body)), { 'content-encoding': 'gzip' })).status, 200);
  assert.equal((await post(logs, new Uint8Array(zstdCompressSync(body)), { 'content-encoding': 'zstd' })).status, 200);
  const record = { timeUnixNano: String(nowNs()), body: { stringValue: 'from a foreign sender' }, severityNumber: 17 };
  const json = JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords: [record] }] }] });
  const answer = await post(logs, json, { 'content-type': 'application/json' });
  assert.deepEqual([answer.status, answer.headers.get('content-type'), await answer.text()], [200, 'application/json', '{}']);
  assert.equal(await countLogs('plain protobuf'), 3);
  const [foreign] = (await getJson<LogPage>(hub, '/api/logs?search=foreign')).rows;
  assert.deepEqual([foreign?.kernelId, foreign?.level, foreign?.bootId], [-1, 3, '']);
});

test('receive: an empty request is a success', async () => {
  assert.equal((await post(logs, new Uint8Array(0))).status, 200);
  assert.equal((await post(`${hub.addresses.otlp}/v1/traces`, '{}', { 'content-type': 'application/json' })).status, 200);
});

test('receive: a batch that is sent again under its number is stored once', async () => {
  const body = toLogsBody(HOST, [{ text: 'only once', unixNs: nowNs() }]);
  const origin = { 'x-mkscope-batch-stream': 'spool-a', 'x-mkscope-batch-seq': '1' };
  for (let time = 0; time < 3; time++) assert.equal((await post(logs, body, origin)).status, 200);
  assert.equal(await countLogs('only once'), 1);
  assert.equal((await post(logs, body, { 'x-mkscope-batch-stream': 'spool-a' })).status, 400);
  assert.equal((await post(logs, body, { ...origin, 'x-mkscope-batch-seq': '-1' })).status, 400);
});

test('receive: what is no OTLP is refused with a status and a google.rpc.Status, and nothing is stored', async () => {
  const body = toLogsBody(HOST, [{ text: 'must not be stored', unixNs: nowNs() }]);
  const json = { 'content-type': 'application/json' };
  const cases: readonly (readonly [string, number, () => Promise<Response>])[] = [
    ['wrong type', 415, () => post(logs, body, { 'content-type': 'text/plain' })],
    ['wrong encoding', 415, () => post(logs, body, { 'content-encoding': 'br' })],
    ['not gzip', 400, () => post(logs, body, { 'content-encoding': 'gzip' })],
    ['torn gzip', 400, () => post(logs, new Uint8Array(gzipSync(body)).slice(0, -20), { 'content-encoding': 'gzip' })],
    ['truncated', 400, () => post(logs, body.slice(0, -3))],
    ['not JSON', 400, () => post(logs, '{"resourceLogs":', json)],
    ['wrong method', 405, () => fetch(logs)],
    ['wrong path', 404, () => post(`${hub.addresses.otlp}/v1/profiles`, body)],
    ['too large', 413, () => post(logs, new Uint8Array(MAX_BODY_BYTES + 1))],
    ['gzip bomb', 413, () => post(logs, new Uint8Array(gzipSync(new Uint8Array(64 << 20))), { 'content-encoding': 'gzip' })],
    ['zstd bomb', 413, () => post(logs, new Uint8Array(zstdCompressSync(new Uint8Array(64 << 20))), { 'content-encoding': 'zstd' })],
  ];
  for (const [name, status, send] of cases) assert.equal((await send()).status, status, name);
  const refused = await post(logs, '[', json);
  const status = (await refused.json()) as { code: number; message: string };
  assert.equal(status.code, 3);
  assert.match(status.message, /E_REQUEST/);
  assert.equal(await countLogs('must not be stored'), 0);
});

test('receive: a body without a length that grows over the limit is cut off', async () => {
  const chunk = new Uint8Array(256 << 10);
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      sent += chunk.length;
      if (sent > 64 << 20) controller.close();
      else controller.enqueue(chunk);
    },
  });
  const send = fetch(logs, { method: 'POST', body, duplex: 'half', headers: { 'content-type': 'application/x-protobuf' } } as RequestInit);
  // The server may close the connection while the client still writes.
  const status = await send.then(
    (response) => response.status,
    () => 413,
  );
  assert.equal(status, 413);
  assert.ok(sent < 64 << 20, `${sent} bytes were read`);
});

test('receive: random bytes never crash the hub', async () => {
  const random = createRandom(5);
  for (let round = 0; round < 150; round++) {
    const body = randomBytes(random, Math.floor(random() * 300));
    const path = ['logs', 'traces', 'metrics', 'mkscope/segments'][round % 4] as string;
    const type = path === 'mkscope/segments' ? 'application/vnd.mkscope.segment' : 'application/x-protobuf';
    const { status } = await post(`${hub.addresses.otlp}/v1/${path}`, body, { 'content-type': type });
    assert.ok(status === 200 || status === 400, `${path}: ${status}`);
  }
  assert.equal((await getJson<{ status: string }>(hub, '/api/health')).status, 'ok');
});

test('receive: a gap record is a log line and a row of the gaps', async () => {
  const fromUnixNs = nowNs() - 5_000_000_000n;
  const body = toGapsBody(SPAWN, [
    { stream: 'kmsg', cpu: -1, fromUnixNs, toUnixNs: fromUnixNs + 1_000n, count: 42, reason: 'kmsg_overwritten' },
    { stream: 'tracefs:x', cpu: 3, fromUnixNs, toUnixNs: fromUnixNs, count: undefined, reason: 'ring_lost' },
  ]);
  assert.equal((await post(logs, body)).status, 200);
  const { gaps } = await getJson<{ gaps: GapRow[] }>(hub, '/api/gaps?kernel=spawn1');
  assert.deepEqual(gaps.map((gap) => [gap.stream, gap.cpu, gap.count, gap.reason, gap.kernelId]).toSorted(), [
    ['kmsg', -1, 42, 'kmsg_overwritten', 1],
    ['tracefs:x', 3, -1, 'ring_lost', 1],
  ]);
  assert.match(gaps[0]?.detail ?? '', /\w+ \w+/);
  const { rows } = await getJson<LogPage>(hub, '/api/logs?kernel=spawn1&level=4');
  assert.deepEqual([...new Set(rows.map((row) => row.eventName))], ['mk.gap']);
  assert.equal(new Set(rows.map((row) => row.uid)).size, 2, 'rows without a number have names of their own');
  const { kernels } = await getJson<{ kernels: KernelRow[] }>(hub, '/api/kernels');
  assert.equal(kernels.find((kernel) => kernel.kernelName === 'spawn1')?.lost, 42);
});

test('receive: spans are stored', async () => {
  const batch = new SpanBatch();
  const row = batch.openRow();
  batch.traceId.fill(7, 0, 16);
  batch.spanId.fill(9, 0, 8);
  batch.name[row] = batch.strings.internString('boot');
  batch.startTime.setBigint(row, nowNs());
  batch.endTime.setBigint(row, nowNs() + 1_000n);
  batch.closeRow();
  const writer = new ByteWriter();
  encodeSpans(toResource(HOST), { name: 'test', version: '', attributes: {}, schemaUrl: SCHEMA_URL }, batch, writer);
  assert.equal((await post(`${hub.addresses.otlp}/v1/traces`, writer.toBytes())).status, 200);
  const [span] = await hub.store.query<{ name: string; kernel: string }>('SELECT SpanName AS name, KernelName AS kernel FROM otel_traces');
  assert.deepEqual(span, { name: 'boot', kernel: 'host' });
});

test('receive: received = stored + duplicate + refused', async () => {
  const text = await (await fetch(`${hub.addresses.page}/metrics`)).text();
  const value = (pattern: RegExp): number => [...text.matchAll(pattern)].reduce((total, match) => total + Number(match[1]), 0);
  const received = value(/^mkscope_hub_batches_received_total (\d+)$/gm);
  const empty = value(/^mkscope_hub_batches_empty_total (\d+)$/gm);
  const stored = value(/^mkscope_hub_batches_stored_total (\d+)$/gm);
  const duplicate = value(/^mkscope_hub_batches_duplicate_total (\d+)$/gm);
  const refused = value(/^mkscope_hub_errors_total\{.*\} (\d+)$/gm);
  assert.ok(stored > 0 && duplicate === 2 && refused > 10);
  assert.equal(received, stored + duplicate + refused + empty);
});
