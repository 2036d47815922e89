import assert from 'node:assert/strict';
import { createReadStream, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { importFile } from '../../hub/import-file.ts';
import { ATTR } from '../../model/attributes.ts';
import type { LogPage, LogRow } from '../../model/api.ts';
import { readKernelReport } from '../../model/kernel-report.ts';
import { openStore } from '../../store/open.ts';
import { REPORT_FOLDER } from '../support/report-fixtures.ts';
import { RunningCli } from '../support/run-cli.ts';
import { getJson, nowNs, post, runHub, SPAWN, toLogsBody, type Line, type RunningHub } from './running-hub.ts';

/** A machine that is busy otherwise takes its time. */
const WAIT_MS = 45_000;

/** The oops of a recorded kernel, line by line, a microsecond apart. */
function oopsLines(startNs: bigint, firstSequence = 100): Line[] {
  const text = readFileSync(join(REPORT_FOLDER, '6.1-cloud.console'), 'latin1').split('\r\n');
  const from = text.findIndex((line) => line.includes('BUG: kernel NULL pointer dereference'));
  const to = text.findIndex((line) => line.includes('exited with irqs disabled'));
  return text.slice(from, to + 1).map((line, index) => ({
    text: line.replace(/^\[ *[\d.]+\] /, ''),
    unixNs: startNs + BigInt(index) * 1000n,
    level: index === 0 ? 1 : 4,
    sequence: firstSequence + index,
  }));
}

async function send(hub: RunningHub, lines: readonly Line[], stream = 'kmsg'): Promise<void> {
  const answer = await post(`${hub.addresses.otlp}/v1/logs`, toLogsBody(SPAWN, lines, stream));
  assert.equal(answer.status, 200);
}

async function readReports(hub: RunningHub, least: number): Promise<readonly LogRow[]> {
  for (const endMs = Date.now() + WAIT_MS; ;) {
    const { rows } = await getJson<LogPage>(hub, '/api/logs?event=kernel.*');
    if (rows.length >= least || Date.now() > endMs) return rows;
    await sleep(200);
  }
}

test('kernel reports: lines that come live in any order, over two ways, become one record beside them', async () => {
  const hub = await runHub();
  try {
    const lines = oopsLines((nowNs() / 1000n) * 1000n);
    // The lanes of a collector: the severe one is faster. The console brings all of it once more.
    await send(hub, lines.slice(20));
    await send(hub, lines, 'console:ttyS0');
    await send(hub, lines.slice(0, 20));
    const rows = await readReports(hub, 1);
    assert.equal(rows.length, 1);
    const [row] = rows as [LogRow];
    assert.equal(row.eventName, 'kernel.oops');
    assert.equal(row.level, 1);
    assert.equal(row.unixNs, String(lines[0]?.unixNs));
    assert.equal(row.stream, '');
    assert.equal(row.attributes[ATTR.exceptionType], 'NULL pointer dereference');
    assert.match(row.attributes[ATTR.exceptionStacktrace] ?? '', /^fault_oops\+0xa\/0x20 \[mkfault\]\nCall Trace:\n <TASK>\n run_order/);
    assert.equal(row.attributes[ATTR.stream], 'kmsg');
    assert.equal(row.attributes[ATTR.reportFirst], '100');
    assert.equal(row.attributes[ATTR.reportLast], String(99 + lines.length));
    assert.equal(row.attributes[ATTR.reportIncomplete], undefined);
    assert.equal(readKernelReport(row.attributes[ATTR.report])?.registers?.['RAX'], '0000000000000010');
    // It stands directly above its first line, and the lines are as they came.
    const { rows: all } = await getJson<LogPage>(hub, `/api/logs?to=${lines[0]?.unixNs}`);
    assert.deepEqual(
      all.map(({ stream, eventName }) => `${stream} ${eventName}`),
      [' kernel.oops', 'console:ttyS0 ', 'kmsg '],
    );
    const ledger = await getJson<{ rows: readonly { stream: string }[] }>(hub, '/api/ledger');
    assert.ok(!ledger.rows.some(({ stream }) => stream === ''), 'reports count in no books');
  } finally {
    await hub.stop();
  }
});

test('kernel reports: more lines in the second before than are read at once hide none', async () => {
  const hub = await runHub();
  try {
    const startNs = (nowNs() / 1000n) * 1000n;
    const storm = Array.from({ length: 20_400 }, (_, index) => ({
      text: `line ${index} of a storm`,
      unixNs: startNs + BigInt(index) * 20_000n,
      sequence: index,
    }));
    await send(hub, storm);
    const lines = oopsLines(startNs + 500_000_000n, storm.length);
    await send(hub, lines);
    const [row] = await readReports(hub, 1);
    assert.equal(row?.eventName, 'kernel.oops');
    assert.equal(row.attributes[ATTR.reportLines], String(lines.length));
  } finally {
    await hub.stop();
  }
});

test('kernel reports: a hub that is killed in the middle of one stores it once, whole, when the rest has come', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'mkscope-reports-'));
  try {
    const lines = oopsLines((nowNs() / 1000n) * 1000n);
    const ports = ['--page', '127.0.0.1:0', '--otlp', '127.0.0.1:0', '--clickhouse', '127.0.0.1:0'];
    const killed = new RunningCli(['hub', '--data', dataDir, ...ports]);
    await killed.waitFor(({ stdout }) => stdout.includes('OTLP http'), 'the hub', 60_000);
    const answer = await post(`${/OTLP (http:[^,]+)/.exec(killed.stdout)?.[1]}/v1/logs`, toLogsBody(SPAWN, lines.slice(0, 15)));
    killed.kill('SIGKILL');
    await killed.ended;
    assert.equal(answer.status, 200);
    const second = await runHub({ dataDir });
    await send(second, lines.slice(15));
    await second.close();
    // Nothing waited for the timer: closing stores what was printed to its end. A third hub, and the same lines again, add nothing.
    const third = await runHub({ dataDir });
    const rows = await readReports(third, 1);
    await send(third, lines);
    await sleep(2500);
    assert.deepEqual(
      (await getJson<LogPage>(third, '/api/logs?event=kernel.*')).rows.map(({ uid }) => uid),
      rows.map(({ uid }) => uid),
    );
    assert.equal(rows.length, 1);
    assert.equal(rows[0]?.attributes[ATTR.reportLines], String(lines.length));
    assert.equal(rows[0]?.attributes[ATTR.reportIncomplete], undefined);
    await third.close();
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
});

test('kernel reports: a file brings its reports once, however often it is imported', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'mkscope-reports-'));
  const store = await openStore({ dataDir });
  try {
    const path = join(REPORT_FOLDER, '6.12-cloud.console');
    const options = { fileName: 'spawn1.console', identity: SPAWN, modifiedUnixNs: 1_800_000_000_000_000_000n };
    for (const again of [false, true]) {
      const { reports, records, alreadyStored } = await importFile(store, createReadStream(path) as AsyncIterable<Uint8Array>, options);
      assert.equal(reports, 12);
      assert.equal(alreadyStored, again ? records : 0);
      const kinds = await store.query<{ name: string; rows: string }>(
        "SELECT EventName AS name, count() AS rows FROM otel_logs WHERE EventName LIKE 'kernel.%' GROUP BY name ORDER BY name",
      );
      assert.deepEqual(Object.fromEntries(kinds.map(({ name, rows }) => [name, Number(rows)])), {
        'kernel.bug': 1,
        'kernel.hung_task': 2,
        'kernel.oom': 1,
        'kernel.oops': 1,
        'kernel.panic': 1,
        'kernel.rcu_stall': 3,
        'kernel.soft_lockup': 1,
        'kernel.warning': 2,
      });
    }
  } finally {
    await store.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
});
