/** Migrations, retention, the lock, and the small pieces of SQL text. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isOperational } from '../../base/errors.ts';
import { openEmbedded } from '../../store/engine-embedded.ts';
import { lockFolder } from '../../store/folder-lock.ts';
import { migrate, readMigrations } from '../../store/migrations.ts';
import { applyRetention } from '../../store/retention.ts';
import { refuseUnsafe } from '../../store/sql-guard.ts';
import { quoteName, quoteText, splitStatements, toParamText } from '../../store/sql-text.ts';
import { tempFolder } from './support.ts';

const rowsOf = async (engine: Awaited<ReturnType<typeof openEmbedded>>, sql: string): Promise<string[]> => {
  const { bytes } = await engine.read(sql, 'TSVRaw', {}, { maxSeconds: 10, maxRows: undefined });
  return Buffer.from(bytes).toString().trim().split('\n');
};

test('schema: scripts run once, in order, and a changed one is refused', async (t) => {
  const engine = await openEmbedded(tempFolder());
  t.after(() => engine.close());
  const scripts = readMigrations();
  assert.deepEqual(
    scripts.map(({ name }) => name),
    scripts.map(({ name }) => name).toSorted(),
  );
  assert.deepEqual(
    await migrate(engine, scripts),
    scripts.map(({ name }) => name),
  );
  assert.deepEqual(await migrate(engine, scripts), []);
  const more = {
    name: '900-more',
    sql: "-- two statements; one comment\nCREATE TABLE more (a String DEFAULT ';') ENGINE = Memory;\nCREATE TABLE more2 (a Int8) ENGINE = Memory;",
  };
  assert.deepEqual(await migrate(engine, [...scripts, more]), ['900-more']);
  await assert.rejects(
    migrate(engine, [...scripts, { ...more, sql: `${more.sql}\n` }]),
    (error) => isOperational(error) && error.code === 'E_STORE_MIGRATION' && /900-more has changed/.test(error.message),
  );
  // Cut short by a crash behind its first statement: it runs again from the start.
  const broken = {
    name: '901-broken',
    sql: 'CREATE TABLE half (a Int8) ENGINE = Memory; CREATE TABLE other (a NoSuchType) ENGINE = Memory;',
  };
  await assert.rejects(migrate(engine, [...scripts, more, broken]), (error) => isOperational(error) && error.code === 'E_STORE_MIGRATION');
  const mended = { name: '901-broken', sql: broken.sql.replace('NoSuchType', 'Int8') };
  assert.deepEqual(await migrate(engine, [...scripts, more, mended]), ['901-broken']);

  const unprotected = await rowsOf(
    engine,
    `SELECT name FROM system.tables WHERE database = 'mkscope' AND engine LIKE '%MergeTree' AND name != 'schema_migrations'
       AND engine_full NOT LIKE '%non_replicated_deduplication_window = 1000%'`,
  );
  assert.deepEqual(unprotected, [''], 'every table behind a load needs its deduplication window');
});

test('schema: the exporter can insert its own columns, and the typed ones are filled from them', async (t) => {
  const engine = await openEmbedded(tempFolder());
  t.after(() => engine.close());
  await migrate(engine, readMigrations());
  await engine.command(`INSERT INTO otel_logs (Timestamp, TraceId, SpanId, TraceFlags, SeverityText, SeverityNumber, ServiceName, Body,
      ResourceSchemaUrl, ResourceAttributes, ScopeSchemaUrl, ScopeName, ScopeVersion, ScopeAttributes, LogAttributes, EventName)
    VALUES ('2026-11-23 10:00:00.000000001', '', '', 0, 'Error', 17, 'guest', 'oops', '',
      {'mk.kernel.id': '4', 'mk.kernel.name': 'guest', 'mk.boot.id': 'b', 'host.id': 'm'}, '', 's', '1',
      {'mk.stream': 'kmsg', 'mk.clock.error_ns': '12'}, {'mk.seq': '99', 'mk.clock.raw': '123456', 'cpu.logical_number': '2'}, ''),
      ('2026-11-23 10:00:00', '', '', 0, 'INFO', 9, 'web', 'hi', '', {}, '', 's', '1', {}, {}, '')`);
  assert.deepEqual(
    await rowsOf(
      engine,
      `SELECT KernelId, KernelName, BootId, MachineId, Stream, Sequence, RawTime, ClockErrorNs, Level, Cpu, Pid, Caller FROM otel_logs ORDER BY Body`,
    ),
    ['-1\t\t\t\t\t0\t-1\t-1\t6\t-1\t-1\t', '4\tguest\tb\tm\tkmsg\t99\t123456\t12\t3\t2\t-1\tC2'],
  );
});

test('schema: retention is set, changed, kept and taken away', async (t) => {
  const engine = await openEmbedded(tempFolder());
  t.after(() => engine.close());
  await migrate(engine, readMigrations());
  const ttlOf = async (table: string): Promise<string> => {
    const [sql = ''] = await rowsOf(engine, `SELECT engine_full FROM system.tables WHERE database = 'mkscope' AND name = '${table}'`);
    return /TTL (.*?) SETTINGS/.exec(sql)?.[1] ?? '';
  };
  const all = { logsDays: 30, quietLogsDays: 7, tracesDays: 10, metricsDays: 20, eventsDays: 3, gapsDays: 90 };
  for (let start = 0; start < 2; start++) {
    await applyRetention(engine, all);
    assert.equal(await ttlOf('events'), 'toDateTime(StoredAt) + toIntervalDay(3)');
    assert.equal(await ttlOf('otel_traces_trace_id_ts'), 'toDateTime(StoredAt) + toIntervalDay(10)');
    assert.equal(
      await ttlOf('otel_logs'),
      'toDateTime(StoredAt) + toIntervalDay(30), toDateTime(StoredAt) + toIntervalDay(7) WHERE Level >= 6',
    );
  }
  await applyRetention(engine, { eventsDays: 0, logsDays: 5 });
  assert.equal(await ttlOf('events'), '');
  assert.equal(await ttlOf('otel_logs'), 'toDateTime(StoredAt) + toIntervalDay(5)');
  assert.equal(await ttlOf('gaps'), 'toDateTime(StoredAt) + toIntervalDay(90)');
});

test('schema: the lock of a dead process is taken over, that of a living one is not', () => {
  const folder = tempFolder();
  const lock = lockFolder(folder);
  assert.throws(
    () => lockFolder(folder),
    (error) => isOperational(error) && error.code === 'E_DATA_LOCKED',
  );
  lock.release();
  const dead = spawnSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' }).stdout.trim();
  for (const stale of [`${dead} 12345\n`, `${process.pid} 1\n`, '', 'garbage']) {
    writeFileSync(join(folder, 'lock'), stale);
    lockFolder(folder).release();
  }
  const own = lockFolder(folder);
  assert.match(readFileSync(join(folder, 'lock'), 'utf8'), new RegExp(`^${process.pid} \\d+\n$`));
  own.release();
});

test('sql text: statements end at semicolons that are none of strings, names or comments', () => {
  assert.deepEqual(splitStatements('SELECT 1;\n-- a; comment\n; SELECT \';\' || `a;b` || "c;d" /* ; */ ; # x;\n  '), [
    'SELECT 1',
    'SELECT \';\' || `a;b` || "c;d" /* ; */',
  ]);
  assert.deepEqual(splitStatements("SELECT 'it''s; \\'; x'; SELECT 2"), ["SELECT 'it''s; \\'; x'", 'SELECT 2']);
  assert.deepEqual(splitStatements(''), []);
});

test('sql text: quoting leaves nothing open', () => {
  assert.equal(quoteText("a'b\\"), "'a\\'b\\\\'");
  assert.equal(quoteName('a`b\\'), '`a\\`b\\\\`');
  assert.equal(toParamText(["a'b", 'c']), "['a\\'b','c']");
  assert.equal(toParamText('a\tb\\'), 'a\\tb\\\\');
  assert.equal(toParamText(true), '1');
  assert.equal(toParamText(-5n), '-5');
});

test('sql guard: a column named like a function is reached through its table', () => {
  const functions = new Set(['url', 'file', 'numbers']);
  refuseUnsafe('SELECT e.file FROM e', functions);
  refuseUnsafe("SELECT 'file(1)', url FROM numbers(3)", functions);
  refuseUnsafe('(SELECT 1)', functions);
  for (const sql of ['SELECT file', 'SELECT e.file(1)', 'SELECT * FROM url(1)', 'INSERT INTO x SELECT 1', '']) {
    assert.throws(
      () => refuseUnsafe(sql, functions),
      (error) => isOperational(error) && error.code === 'E_QUERY_READONLY',
      sql,
    );
  }
});
