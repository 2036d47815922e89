import assert from 'node:assert/strict';
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Problem, SqlResult } from '../../model/api.ts';
import { HOST, nowNs, post, runHub, toLogsBody, type RunningHub } from './running-hub.ts';

let hub: RunningHub;

before(async () => {
  hub = await runHub();
});
after(() => hub.stop());

const get = (path: string, headers: Record<string, string> = {}): Promise<Response> => fetch(`${hub.addresses.page}${path}`, { headers });

test('page: before it is built the hub says how to build it', async () => {
  const response = await get('/');
  assert.equal(response.status, 503);
  assert.match(await response.text(), /npm run build/);
});

test('page: files have their type, a strict policy, and the index is never cached', async () => {
  const folder = join(hub.dataDir, 'web');
  mkdirSync(folder);
  writeFileSync(join(hub.dataDir, 'secret.js'), 'secret');
  writeFileSync(join(folder, 'app.js'), 'run()');
  writeFileSync(join(folder, 'app.css'), 'body{}');
  writeFileSync(join(folder, 'index.html'), '<!doctype html>one');
  const index = await get('/');
  assert.equal(await index.text(), '<!doctype html>one');
  assert.equal(index.headers.get('content-type'), 'text/html; charset=utf-8');
  assert.equal(index.headers.get('cache-control'), 'no-store');
  assert.match(index.headers.get('content-security-policy') ?? '', /default-src 'self'/);
  assert.equal(index.headers.get('x-content-type-options'), 'nosniff');
  assert.equal(await (await get('/logs')).text(), '<!doctype html>one', 'the page has its own paths');
  const script = await get('/app.js');
  assert.equal(script.headers.get('content-type'), 'text/javascript; charset=utf-8');
  assert.equal((await get('/app.css')).headers.get('content-type'), 'text/css; charset=utf-8');
  assert.equal((await get('/app.js', { 'if-none-match': script.headers.get('etag') ?? '' })).status, 304);
  for (const path of ['/nothing.js', '/../secret.js', '/%2e%2e/secret.js', '/..%2fsecret.js'])
    assert.equal((await get(path)).status, 404, path);
  writeFileSync(join(folder, 'index.html'), '<!doctype html>two');
  utimesSync(join(folder, 'index.html'), new Date(), new Date(Date.now() + 5_000));
  assert.equal(await (await get('/')).text(), '<!doctype html>two', 'a rebuilt page needs no restart');
});

test('page: an unknown address of the API is a problem', async () => {
  const response = await get('/api/nothing');
  assert.equal(response.status, 404);
  assert.equal(((await response.json()) as Problem).code, 'E_NOT_FOUND');
});

async function sql(text: string, status = 200): Promise<SqlResult & Problem> {
  const body = JSON.stringify({ sql: text });
  const response = await post(`${hub.addresses.page}/api/sql`, body, { 'content-type': 'application/json' });
  const answer = (await response.json()) as SqlResult & Problem;
  assert.equal(response.status, status, JSON.stringify(answer));
  return answer;
}

test('sql: a table comes back with its types; too long a one is cut and says so', async () => {
  await post(`${hub.addresses.otlp}/v1/logs`, toLogsBody(HOST, [{ text: 'x', unixNs: nowNs() }]));
  const result = await sql('SELECT KernelName, count() AS rows FROM otel_logs GROUP BY 1 FORMAT CSV');
  assert.deepEqual(result.columns, [
    { name: 'KernelName', type: 'LowCardinality(String)' },
    { name: 'rows', type: 'UInt64' },
  ]);
  assert.deepEqual([result.rows, result.truncated], [[['host', '1']], false]);
  const long = await sql('SELECT number FROM numbers(100000)');
  assert.deepEqual([long.rows.length, long.truncated], [10_000, true]);
});

test('sql: what is not one reading statement is refused with a code', async () => {
  assert.equal((await sql('DROP TABLE otel_logs', 403)).code, 'E_QUERY_READONLY');
  assert.equal((await sql('SELECT * FROM url(1)', 403)).code, 'E_QUERY_READONLY');
  assert.equal((await sql('SELECT 1; SELECT 2', 400)).code, 'E_STORE_QUERY');
  assert.equal((await sql('SELECT nothing', 400)).code, 'E_STORE_QUERY');
  assert.equal((await sql('', 400)).code, 'E_REQUEST');
  const other = await post(`${hub.addresses.page}/api/sql`, '{"query":"SELECT 1"}', { 'content-type': 'application/json' });
  assert.match(((await other.json()) as Problem).detail, /query/);
  assert.equal((await post(`${hub.addresses.page}/api/sql`, 'SELECT 1', { 'content-type': 'application/json' })).status, 400);
});
