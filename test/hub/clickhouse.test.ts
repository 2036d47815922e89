import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ClickHouseLogLevel, createClient, type ClickHouseClient } from '@clickhouse/client';
import { splitFormat } from '../../hub/clickhouse-query.ts';
import { HOST, post, runHub, toLogsBody, type RunningHub } from './running-hub.ts';

let hub: RunningHub;
let client: ClickHouseClient;

before(async () => {
  hub = await runHub();
  client = createClient({
    url: hub.addresses.clickhouse,
    database: 'mkscope',
    compression: { response: true },
    log: { level: ClickHouseLogLevel.OFF },
  });
  const lines = Array.from({ length: 2_000 }, (_, index) => ({
    text: `it's line ${index}\twith\ta tab`,
    unixNs: 1_780_000_000_000_000_000n + BigInt(index),
    sequence: index,
  }));
  await post(`${hub.addresses.otlp}/v1/logs`, toLogsBody(HOST, lines));
});
after(async () => {
  await client.close();
  await hub.stop();
});

test('clickhouse: the official client pings and reads in several formats', async () => {
  assert.deepEqual(await client.ping(), { success: true });
  assert.equal((await client.ping({ select: true })).success, true);
  const json = await client.query({ query: 'SELECT count() AS rows FROM otel_logs', format: 'JSON' });
  assert.deepEqual((await json.json<{ rows: string }>()).data, [{ rows: '2000' }]);
  const each = await client.query({ query: 'SELECT Sequence FROM otel_logs ORDER BY Sequence LIMIT 2', format: 'JSONEachRow' });
  assert.deepEqual(await each.json(), [{ Sequence: '0' }, { Sequence: '1' }]);
  const compact = await client.query({
    query: 'SELECT KernelId, Body FROM otel_logs ORDER BY Sequence LIMIT 1',
    format: 'JSONCompactEachRowWithNamesAndTypes',
  });
  assert.deepEqual(await compact.json(), [
    ['KernelId', 'Body'],
    ['Int32', 'String'],
    [0, "it's line 0\twith\ta tab"],
  ]);
});

test('clickhouse: parameters of every kind reach the query as they are', async () => {
  const params = { text: "a'b\\c\td\ne", many: ["x'y", 'z'], id: 7, none: null, at: new Date(1_780_000_000_000) };
  const answer = await client.query({
    query: `SELECT {text:String} AS text, {many:Array(String)} AS many, {id:UInt64} AS id, {none:Nullable(String)} AS none,
      toUnixTimestamp({at:DateTime}) AS at`,
    query_params: params,
    format: 'JSONEachRow',
  });
  assert.deepEqual(await answer.json(), [{ text: params.text, many: params.many, id: '7', none: null, at: 1_780_000_000 }]);
});

test('clickhouse: rows stream', async () => {
  const answer = await client.query({ query: 'SELECT number FROM numbers(50000)', format: 'JSONEachRow' });
  let rows = 0;
  for await (const part of answer.stream()) rows += part.length;
  assert.equal(rows, 50_000);
});

test('clickhouse: what writes is refused with the code of ClickHouse, and what is wrong with its message', async () => {
  for (const [sql, code] of [
    ['DROP TABLE otel_logs', '164'],
    ['INSERT INTO gaps (Stream) VALUES (1)', '164'],
    ["SELECT * FROM file('/etc/passwd', 'LineAsString')", '164'],
    ['SELEC 1', '62'],
    ['SELECT nothing FROM otel_logs', '47'],
  ] as const) {
    const error = await client.query({ query: sql }).then(
      () => undefined,
      (caught: unknown) => caught as { code: string },
    );
    assert.equal(error?.code, code, sql);
  }
  const response = await fetch(`${hub.addresses.clickhouse}/?query=SELEC+1`);
  assert.equal(response.headers.get('x-clickhouse-exception-code'), '62');
  assert.match(await response.text(), /^Code: 62\. DB::Exception: /);
});

test('clickhouse: what Grafana sends over HTTP is answered', async () => {
  const url = `${hub.addresses.clickhouse}/?database=default&default_format=Native&max_execution_time=60&enable_http_compression=1`;
  const native = await post(url, 'SELECT displayName(), version(), revision(), timezone()', { 'content-type': 'text/plain' });
  assert.equal(native.status, 200);
  assert.equal(native.headers.get('x-clickhouse-format'), 'Native');
  const bytes = new Uint8Array(await native.arrayBuffer());
  assert.deepEqual([...bytes.subarray(0, 2)], [4, 1], 'four columns, one row');
  for (const sql of [
    'SELECT name, engine FROM system.tables WHERE database = currentDatabase() ORDER BY name',
    "SELECT name, type FROM system.columns WHERE table = 'otel_logs'",
    'SHOW TABLES',
    'DESCRIBE TABLE otel_logs',
    'SELECT Timestamp AS "timestamp", Body AS "body", SeverityText AS "level" FROM "mkscope"."otel_logs" LIMIT 10 FORMAT JSON',
    'SELECT toStartOfInterval(toDateTime64(Timestamp, 9), INTERVAL 1 second) AS time, count() FROM otel_logs GROUP BY time ORDER BY time;',
  ]) {
    const answer = await post(`${hub.addresses.clickhouse}/?default_format=JSON`, sql, { 'content-type': 'text/plain' });
    assert.equal(answer.status, 200, `${sql}: ${await answer.text()}`);
  }
});

test('clickhouse: headers and refusals are those of a server', async () => {
  const url = hub.addresses.clickhouse;
  assert.equal(await (await fetch(`${url}/ping`)).text(), 'Ok.\n');
  assert.equal(await (await fetch(url)).text(), 'Ok.\n');
  const answer = await fetch(`${url}/?query=${encodeURIComponent('SELECT 1')}&query_id=mine`, {
    headers: { 'x-clickhouse-user': 'default' },
  });
  assert.equal(await answer.text(), '1\n');
  assert.equal(answer.headers.get('x-clickhouse-query-id'), 'mine');
  assert.equal((JSON.parse(answer.headers.get('x-clickhouse-summary') ?? '{}') as { written_rows?: string }).written_rows, '0');
  assert.match(await (await fetch(`${url}/?query=SELECT+1&database=nowhere`)).text(), /nowhere/);
  assert.equal((await fetch(`${url}/?query=SELECT+1&compress=1`)).status, 415);
  const packed = await fetch(`${url}/?query=${encodeURIComponent('SELECT number FROM numbers(5000)')}&enable_http_compression=1`, {
    headers: { 'accept-encoding': 'gzip' },
  });
  assert.equal(packed.headers.get('content-encoding'), 'gzip');
  assert.equal((await packed.text()).split('\n').length, 5001);
});

test('clickhouse: FORMAT is found at the end of a statement only', () => {
  assert.deepEqual(splitFormat('SELECT 1 FORMAT JSON;'), { sql: 'SELECT 1', format: 'JSON' });
  assert.deepEqual(splitFormat('SELECT 1\nformat JSONEachRow SETTINGS max_threads = 1'), {
    sql: 'SELECT 1\nSETTINGS max_threads = 1',
    format: 'JSONEachRow',
  });
  assert.deepEqual(splitFormat("SELECT ' FORMAT JSON'"), { sql: "SELECT ' FORMAT JSON'", format: undefined });
  assert.deepEqual(splitFormat('SELECT 1 AS format'), { sql: 'SELECT 1 AS format', format: undefined });
});
