/** The store against a ClickHouse server: the HTTP side is a loopback server of this test, the engine behind it is chDB. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { EventBatch } from '../../model/event-batch.ts';
import { isOperational } from '../../base/errors.ts';
import { addEvents, field, KERNEL, makeLogs, makeSpans, openTestStore, RESOURCE, SCOPE, tempFolder } from './support.ts';

interface Session {
  queryAsync(sql: string, options: { format: string }): Promise<{ bytes(): Uint8Array; rowsRead: number; bytesRead: number }>;
  close(): void;
}

interface Server {
  readonly url: string;
  /** What was asked, with its URL parameters. */
  readonly requests: { readonly sql: string; readonly params: URLSearchParams; readonly auth: string }[];
  /** Answers the next inserts with this status after they were done: an answer that got lost. */
  loseAnswers: number;
  /** Refuses everything. */
  isAway: boolean;
}

/** Parameters of the HTTP interface that are not settings of a query. */
const NOT_SETTINGS = new Set(['query', 'query_id', 'database', 'default_format', 'wait_end_of_query', 'enable_http_compression']);

async function startServer(t: TestContext): Promise<Server> {
  const { Session: Open } = createRequire(import.meta.url)('chdb') as { Session: new (path: string) => Session };
  const folder = tempFolder();
  const engine = new Open(join(folder, 'engine'));
  const server: Server & { url: string } = { url: '', requests: [], loseAnswers: 0, isAway: false };
  let count = 0;
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const params = new URL(request.url ?? '', 'http://localhost').searchParams;
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk as Uint8Array);
    const body = Buffer.concat(chunks);
    let sql = params.get('query') ?? body.toString();
    server.requests.push({ sql, params, auth: request.headers.authorization ?? '' });
    if (server.isAway) {
      response.writeHead(503).end('away');
      return;
    }
    if (params.has('query') && body.length > 0) {
      // An INSERT with its data: chDB reads Native from files only.
      const file = join(folder, `body-${count++}.native`);
      writeFileSync(file, body);
      sql = sql.replace(/input\((?=')/, `file('${file}', 'Native', `).replace(/ FORMAT Native$/, '');
    }
    const settings = [...params]
      .filter(([name]) => !NOT_SETTINGS.has(name))
      .map(([name, value]) => `SET ${name} = '${value.replace(/[\\']/g, '\\$&')}';`);
    const connection = new Open(join(folder, 'engine'));
    try {
      const result = await connection.queryAsync(`USE \`${params.get('database') ?? 'default'}\`; ${settings.join(' ')} ${sql}`, {
        format: params.get('default_format') ?? 'TSV',
      });
      if (body.length > 0 && params.has('query') && server.loseAnswers > 0) {
        server.loseAnswers--;
        response.writeHead(503).end('gateway timeout');
        return;
      }
      response.writeHead(200, {
        'x-clickhouse-summary': JSON.stringify({ read_rows: String(result.rowsRead), read_bytes: String(result.bytesRead) }),
      });
      response.end(result.bytes());
    } catch (error) {
      response.writeHead(500).end(error instanceof Error ? error.message : String(error));
    } finally {
      connection.close();
    }
  };
  const http = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    http.closeAllConnections();
    http.close();
    engine.close();
  });
  server.url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  return server;
}

test('server: migrations, loads and queries go over HTTP, with user, database and limits', async (t) => {
  const server = await startServer(t);
  const clickhouse = { url: server.url, username: 'mk', password: 'secret', database: 'kernels_of_rack_7' };
  const store = await openTestStore(t, { clickhouse });
  const batch = new EventBatch();
  addEvents(batch, 'sched:remote', [field('pid', 'int32'), field('comm', 'string')], [[1, "it's"]]);
  await store.append({
    logs: [{ resource: RESOURCE, scope: SCOPE, batch: makeLogs(['über', 'b']) }],
    spans: [{ resource: RESOURCE, scope: SCOPE, batch: makeSpans(3, 1) }],
    events: [{ identity: KERNEL, stream: 's', clockErrorNs: 1, batch }],
  });
  assert.deepEqual(await store.query('SELECT Body FROM otel_logs WHERE Body = {text:String}', { params: { text: 'über' } }), [
    { Body: 'über' },
  ]);
  assert.deepEqual(await store.query('SELECT pid, comm FROM remote'), [{ pid: '1', comm: "it's" }]);
  assert.deepEqual(await store.query('SELECT toInt32(count()) AS n FROM otel_traces_trace_id_ts'), [{ n: 3 }]);
  const raw = await store.queryRaw('SELECT count() FROM otel_logs', 'CSV', { maxSeconds: 3 });
  assert.equal(Buffer.from(raw.bytes).toString(), '2\n');
  const last = server.requests.at(-1);
  assert.equal(last?.params.get('readonly'), '1');
  assert.equal(last?.params.get('max_execution_time'), '3');
  assert.equal(last?.params.get('database'), 'kernels_of_rack_7');
  assert.equal(last?.auth, `Basic ${Buffer.from('mk:secret').toString('base64')}`);
  assert.ok(server.requests.some(({ params }) => params.get('insert_deduplication_token')?.endsWith('/otel_logs')));
  const health = await store.health();
  assert.match(health.engine, /^ClickHouse server \d+/);
  await assert.rejects(store.queryRaw('DROP TABLE otel_logs', 'TSV'), (error) => isOperational(error) && error.code === 'E_QUERY_READONLY');
});

test('server: a lost answer does not double rows, and an absent server loses none', async (t) => {
  const server = await startServer(t);
  const dataDir = tempFolder();
  const clickhouse = { url: server.url };
  let store = await openTestStore(t, { clickhouse, dataDir });
  server.loseAnswers = 1;
  await store.append({ origin: { stream: 'c', sequence: 1 }, logs: [{ resource: RESOURCE, scope: SCOPE, batch: makeLogs(['a', 'b']) }] });
  await assert.rejects(store.flush());
  await store.flush();
  assert.deepEqual(await store.query('SELECT toInt32(count()) AS n FROM otel_logs'), [{ n: 2 }]);

  server.isAway = true;
  await store.append({ origin: { stream: 'c', sequence: 2 }, logs: [{ resource: RESOURCE, scope: SCOPE, batch: makeLogs(['c'], 5) }] });
  await assert.rejects(store.flush());
  await store.close();
  await assert.rejects(openTestStore(t, { clickhouse, dataDir }), (error) => isOperational(error) && error.code === 'E_STORE_OPEN');
  server.isAway = false;
  store = await openTestStore(t, { clickhouse, dataDir });
  assert.equal(
    await store.append({ origin: { stream: 'c', sequence: 2 }, logs: [{ resource: RESOURCE, scope: SCOPE, batch: makeLogs(['c'], 5) }] }),
    'duplicate',
  );
  assert.deepEqual(await store.query('SELECT toInt32(count()) AS n FROM otel_logs'), [{ n: 3 }]);
});
