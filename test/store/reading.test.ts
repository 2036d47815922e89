/** What a user's query may and may not do, and what it sees. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isOperational } from '../../base/errors.ts';
import { makeLogs, openTestStore, RESOURCE, SCOPE, tempFolder } from './support.ts';

const ENDLESS = 'SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(sipHash64(number))';
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isOperational(error), String(error));
    assert.equal(error.code, code, error.message);
    assert.ok(error.hint.length > 0);
    return true;
  };
}

test('reading: sees everything that was acknowledged', async (t) => {
  const store = await openTestStore(t, { loadAfterMs: 3_600_000 });
  for (let round = 0; round < 5; round++) {
    await store.append({ logs: [{ resource: RESOURCE, scope: SCOPE, batch: makeLogs(['a', 'b'], round * 2) }] });
    assert.deepEqual(await store.query('SELECT toInt32(count()) AS n FROM otel_logs'), [{ n: (round + 1) * 2 }]);
  }
  await store.append({ logs: [{ resource: RESOURCE, scope: SCOPE, batch: makeLogs(['late'], 100) }] });
  assert.deepEqual(await store.query('SELECT toInt32(count()) AS n FROM otel_logs', { stale: true }), [{ n: 10 }]);
  assert.equal((await store.health()).pendingFiles, 1);
  await store.flush();
  assert.equal((await store.health()).pendingBytes, 0);
});

test('reading: an idle store loads on its own', async (t) => {
  const store = await openTestStore(t, { loadAfterMs: 40 });
  await store.append({ logs: [{ resource: RESOURCE, scope: SCOPE, batch: makeLogs(['a']) }] });
  const deadline = Date.now() + 10_000;
  while ((await store.health()).pendingFiles > 0 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(await store.query('SELECT toInt32(count()) AS n FROM otel_logs', { stale: true }), [{ n: 1 }]);
});

test('reading: parameters of any content arrive as they are, also side by side', async (t) => {
  const store = await openTestStore(t);
  const texts = ["it's", 'back\\slash', "\\' OR 1=1 --", 'tab\tnew\nline', '漢字 🐧', '{x:String}', '', '$$', "a'b\\'c"];
  const answers = await Promise.all(
    texts.map((s) =>
      store.query<{ s: string; list: string[] }>('SELECT {s:String} AS s, {list:Array(String)} AS list, {n:Int64} AS n', {
        params: { s, list: [s, 'x'], n: -(2n ** 63n) },
      }),
    ),
  );
  assert.deepEqual(
    answers.flat(),
    texts.map((s) => ({ s, list: [s, 'x'], n: String(-(2n ** 63n)) })),
  );
});

test('reading: a raw query answers in the format asked for, with what it read', async (t) => {
  const store = await openTestStore(t);
  await store.append({ logs: [{ resource: RESOURCE, scope: SCOPE, batch: makeLogs(['a', 'b', 'c']) }] });
  const csv = await store.queryRaw('SELECT Body FROM otel_logs ORDER BY Body -- all of them', 'CSV');
  assert.equal(text(csv.bytes), '"a"\n"b"\n"c"\n');
  assert.equal(csv.rowsRead, 3);
  assert.ok(csv.bytesRead > 0);
  assert.equal(text((await store.queryRaw('SELECT 1 AS x FORMAT JSONEachRow', 'CSV')).bytes), '{"x":1}\n');
  assert.equal(text((await store.queryRaw('SELECT {x:UInt8} + 1', 'TSV', { params: { x: 4 } })).bytes), '5\n');
  assert.equal(text((await store.queryRaw('WITH 2 AS a SELECT a;', 'TSV')).bytes), '2\n');
  assert.match(text((await store.queryRaw('SHOW TABLES', 'TSV')).bytes), /otel_logs/);
  assert.match(text((await store.queryRaw('DESCRIBE otel_logs', 'TSV')).bytes), /Body/);
  assert.match(text((await store.queryRaw('EXPLAIN SELECT 1', 'TSV')).bytes), /ReadFromSystemOne/);
});

/** Each must be refused with E_QUERY_READONLY, however it is spelled. */
function forbidden(folder: string): string[] {
  const secret = join(folder, 'secret.txt');
  return [
    `SELECT file('${secret}')`,
    `SELECT FiLe('${secret}')`,
    `SELECT \`file\`('${secret}')`,
    `SELECT "file" /* x */ ('${secret}')`,
    `SELECT arrayMap(file, ['${secret}'])`,
    `SELECT * APPLY file FROM (SELECT '${secret}')`,
    `SELECT arrayMap({f:Identifier}, ['${secret}'])`,
    `SELECT * FROM file('${secret}', 'LineAsString')`,
    `SELECT 1 /* ' */ , file('${secret}') -- '`,
    `SELECT $$'$$, file('${secret}')`,
    `EXPLAIN SELECT * FROM file('${secret}')`,
    `DESCRIBE TABLE file('${secret}')`,
    `DESCRIBE file('${secret}')`,
    `SELECT * FROM default.\`${secret}\``,
    `SELECT * FROM "default"."${secret}"`,
    `DESCRIBE default.\`${secret}\``,
    `SELECT * FROM (SELECT * FROM fileCluster('c', '${secret}'))`,
    `SELECT * FROM view(SELECT file('${secret}'))`,
    `SELECT * FROM eval('SELECT 1')`,
    `SELECT * FROM url('http://127.0.0.1:9/', 'LineAsString')`,
    `SELECT * FROM s3('http://127.0.0.1:9/bucket/x', 'TSV', 'a String')`,
    `SELECT * FROM remote('127.0.0.1', system.one)`,
    `SELECT * FROM executable('id', 'TSV', 'a String')`,
    `SELECT * FROM filesystem('/')`,
    `SELECT * FROM sqlite('${secret}', 't')`,
    `SELECT * FROM system.stack_trace`,
    `SELECT catboostEvaluate('${secret}', 1)`,
    `SELECT 1 INTO OUTFILE '${join(folder, 'out.txt')}'`,
    `SELECT 1 INTO/**/OUTFILE '${join(folder, 'out.txt')}' FORMAT CSV`,
    `INSERT INTO otel_logs (Body) VALUES ('x')`,
    'DROP TABLE otel_logs',
    'TRUNCATE TABLE otel_logs',
    'ALTER TABLE otel_logs DELETE WHERE 1',
    'CREATE TABLE t (a Int8) ENGINE = Memory',
    'CREATE TEMPORARY TABLE t (a Int8)',
    'OPTIMIZE TABLE otel_logs',
    'SYSTEM FLUSH LOGS',
    'SET readonly = 0',
    'USE system',
    'KILL QUERY WHERE 1',
    `BACKUP TABLE otel_logs TO File('${join(folder, 'b')}')`,
    'GRANT ALL ON *.* TO default',
    'SELECT 1 SETTINGS readonly = 0',
    'SELECT 1 SETTINGS max_execution_time = 0',
  ];
}

test('reading: nothing that writes, reads files or leaves the machine gets through', async (t) => {
  const folder = tempFolder();
  writeFileSync(join(folder, 'secret.txt'), 'the secret\n');
  const store = await openTestStore(t);
  await store.append({ logs: [{ resource: RESOURCE, scope: SCOPE, batch: makeLogs(['a']) }] });
  for (const sql of forbidden(folder)) {
    await assert.rejects(store.queryRaw(sql, 'TSV', { params: { f: 'file' } }), hasCode('E_QUERY_READONLY'), sql);
  }
  const asTable = `SELECT * FROM '${join(folder, 'secret.txt')}'`;
  const wrong = [asTable, 'SELECT 1; SELECT 2', 'SELECT 1; DROP TABLE otel_logs', '', 'SELEC 1', 'SELECT no_such_column FROM otel_logs'];
  for (const sql of wrong) await assert.rejects(store.queryRaw(sql, 'TSV'), hasCode('E_STORE_QUERY'), sql);
  assert.ok(!existsSync(join(folder, 'out.txt')));
  assert.deepEqual(await store.query('SELECT toInt32(count()) AS n FROM otel_logs'), [{ n: 1 }]);
  // The hub's own queries are read-only as well.
  await assert.rejects(store.query('DROP TABLE otel_logs'), hasCode('E_QUERY_READONLY'));
});

test('reading: limits end a query with E_QUERY_LIMIT, and the store goes on', async (t) => {
  const store = await openTestStore(t);
  await assert.rejects(store.queryRaw(ENDLESS, 'TSV', { maxSeconds: 1 }), hasCode('E_QUERY_LIMIT'));
  await assert.rejects(store.queryRaw('SELECT number FROM numbers(100000000)', 'TSV'), hasCode('E_QUERY_LIMIT'));
  await assert.rejects(store.queryRaw('SELECT groupArray(number) FROM numbers(1000000000)', 'TSV'), hasCode('E_QUERY_LIMIT'));
  const cut = await store.queryRaw('SELECT number FROM numbers(100)', 'TSV', { maxResultRows: 3 });
  assert.equal(text(cut.bytes), '0\n1\n2\n');
});

test('reading: long queries do not keep appends and loads waiting', async (t) => {
  const store = await openTestStore(t);
  let ended = 0;
  const long = [1, 2, 3].map(() => assert.rejects(store.queryRaw(ENDLESS, 'TSV', { maxSeconds: 5 })).then(() => ended++));
  await new Promise((resolve) => setTimeout(resolve, 100));
  await store.append({ logs: [{ resource: RESOURCE, scope: SCOPE, batch: makeLogs(['a']) }] });
  await store.flush();
  assert.equal(ended, 0, 'the load waited for a query');
  await Promise.all(long);
});

test('reading: a store that is closed while a query runs leaves the engine free for another', async (t) => {
  const first = await openTestStore(t);
  const given = first.queryRaw(ENDLESS, 'TSV', { maxSeconds: 2 }).catch(() => 'ended');
  await new Promise((resolve) => setTimeout(resolve, 100));
  await first.close();
  const second = await openTestStore(t);
  assert.deepEqual(await second.query('SELECT 1 AS one'), [{ one: 1 }]);
  assert.equal(await given, 'ended');
});

test('reading: a folder that cannot be written is E_DATA_DIR, one in use E_DATA_LOCKED', async (t) => {
  const folder = tempFolder();
  writeFileSync(join(folder, 'plain-file'), '');
  await assert.rejects(openTestStore(t, { dataDir: join(folder, 'plain-file') }), hasCode('E_DATA_DIR'));
  const dataDir = join(folder, 'data');
  mkdirSync(dataDir);
  const store = await openTestStore(t, { dataDir });
  await assert.rejects(openTestStore(t, { dataDir }), (error) => {
    assert.ok(hasCode('E_DATA_LOCKED')(error));
    assert.match(String(error), new RegExp(`process ${process.pid}`));
    return true;
  });
  assert.deepEqual(await store.query('SELECT 1 AS one'), [{ one: 1 }]);
});
