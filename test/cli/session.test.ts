/** Recorded sessions: the demo that comes with mkscope, and `mkscope import DIR`, with the real program and the real store. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { HubClient } from '../../cli/hub-client.ts';
import type { IncidentRow, KernelRow } from '../../model/api.ts';
import { runCli, RunningCli, withFolder } from '../support/run-cli.ts';

const SESSION = join(import.meta.dirname, '../fixtures/lab');
const ANY_PORTS = ['--page', '127.0.0.1:0', '--otlp', '127.0.0.1:0', '--clickhouse', '127.0.0.1:0'];

interface SqlAnswer {
  readonly rows: readonly (readonly unknown[])[];
}

async function ask(url: string, sql: string): Promise<SqlAnswer['rows']> {
  return (await new HubClient(url).postJson<SqlAnswer>('/api/sql', { sql })).rows;
}

/** Kind, title and signals of each, when the report of the panic is in it. */
async function waitForIncidents(url: string): Promise<readonly string[]> {
  for (const endMs = Date.now() + 45_000; ;) {
    const { incidents } = await new HubClient(url).getJson<{ incidents: readonly IncidentRow[] }>('/api/incidents');
    if (incidents.some(({ count }) => count >= 8) || Date.now() > endMs)
      return incidents.map(({ kind, title, count }) => `${kind} ${title} ${count}`);
    await sleep(250);
  }
}

const IKC_ROWS = "SELECT KernelId, Event, count() FROM events WHERE Event LIKE 'ikc:%' GROUP BY ALL ORDER BY ALL";

test('demo: three kernels, their traffic and the panic are on one timeline, without root or network', async () => {
  await withFolder(async (folder) => {
    const demo = new RunningCli(['demo', '--fast', ...ANY_PORTS], { env: { TMPDIR: folder } });
    try {
      await demo.waitFor(({ stdout }) => stdout.includes('That was all of it'), 'the end of the recording', 60_000);
      const url = /page +(http:\S+)/.exec(demo.stdout)?.[1] ?? '';
      const kernels = await new HubClient(url).getJson<{ kernels: KernelRow[] }>('/api/kernels');
      assert.deepEqual(kernels.kernels.map(({ kernelId, kernelName }) => `${kernelId} ${kernelName}`).toSorted(), [
        '0 host',
        '1 spawn1',
        '2 spawn2',
      ]);
      const death = await ask(
        url,
        `SELECT KernelId, Body FROM otel_logs WHERE Body LIKE 'Kernel panic - not syncing%' OR Body LIKE 'Multikernel instance 1 shutting down'
         OR Body LIKE 'Instance 1 (spawn1) halted%' ORDER BY Timestamp`,
      );
      assert.deepEqual(
        death.map(([kernel, body]) => `${String(kernel)} ${String(body).replace(/:.*/, '')}`),
        ['1 Kernel panic - not syncing', '1 Multikernel instance 1 shutting down', '0 Instance 1 (spawn1) halted, CPUs parking in pool'],
      );
      // What the kernels and the truth file count: test/fixtures/lab/README.md.
      const ikc = new Map(
        (await ask(url, IKC_ROWS)).map(([kernel, event, count]) => [`${Number(kernel)} ${String(event)}`, Number(count)]),
      );
      assert.equal(ikc.get('0 ikc:mk_send'), 604 + 12);
      assert.equal(ikc.get('2 ikc:mk_send'), 610);
      assert.equal(ikc.get('2 ikc:mk_recv'), 60);
      assert.deepEqual(await waitForIncidents(url), ['panic spawn1 panicked: sysrq triggered crash 8']);
      const ledger = await new HubClient(url).getJson<{ rows: { state: string; stream: string }[] }>('/api/ledger');
      assert.deepEqual(
        ledger.rows.filter(({ state }) => state === 'unbalanced'),
        [],
      );
    } finally {
      demo.kill('SIGINT');
    }
    const { code } = await demo.ended;
    assert.equal(code, 0);
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.startsWith('mkscope-')),
      [],
    );
  });
});

test('import: a session that is imported again stores nothing twice', async () => {
  await withFolder(async (folder) => {
    const first = await runCli(['import', '--json', '--data', join(folder, 'data'), SESSION]);
    assert.equal(first.code, 0, first.stderr);
    const { kernels } = JSON.parse(first.stdout) as { kernels: { name: string; logs: number; events: number; refused: number }[] };
    assert.deepEqual(
      kernels.map(({ name }) => name),
      ['host', 'spawn1', 'spawn2'],
    );
    const again = await runCli(['import', '--data', join(folder, 'data'), SESSION]);
    assert.equal(again.code, 0, again.stderr);
    const hub = new RunningCli(['hub', '--data', join(folder, 'data'), ...ANY_PORTS]);
    try {
      await hub.waitFor(({ stdout }) => stdout.includes('page http'), 'the hub');
      const url = /page (http:[^,]+)/.exec(hub.stdout)?.[1] ?? '';
      const logs = await ask(
        url,
        "SELECT KernelId, count(), uniqExact(Stream, Sequence, BootId) FROM otel_logs WHERE Stream != '' GROUP BY ALL ORDER BY ALL",
      );
      const reports = await ask(url, "SELECT KernelId, EventName FROM otel_logs WHERE EventName LIKE 'kernel.%' ORDER BY ALL");
      assert.deepEqual(
        reports.map(([kernel, event]) => `${Number(kernel)} ${String(event)}`),
        ['1 kernel.panic'],
      );
      // Of both imports together one, as it was stored first.
      assert.deepEqual(await waitForIncidents(url), ['panic spawn1 panicked: sysrq triggered crash 8']);
      const events = await ask(url, 'SELECT KernelId, count() FROM events GROUP BY ALL ORDER BY ALL');
      assert.deepEqual(
        logs.map(([, count]) => Number(count)),
        kernels.map((kernel) => kernel.logs),
      );
      assert.deepEqual(
        logs.map(([, , unique]) => Number(unique)),
        kernels.map((kernel) => kernel.logs),
      );
      assert.deepEqual(
        events.map(([, count]) => Number(count)),
        kernels.map((kernel) => kernel.events),
      );
    } finally {
      hub.kill('SIGINT');
      await hub.ended;
    }
  });
});

test('import: what is wrong with a session is said, with its file', async () => {
  await withFolder(async (folder) => {
    const session = readFileSync(join(SESSION, 'session.json'), 'utf8');
    const broken = async (change: (dir: string) => void): Promise<string> => {
      const dir = join(folder, 'session');
      rmSync(dir, { recursive: true, force: true });
      cpSync(SESSION, dir, { recursive: true });
      change(dir);
      const temporary = join(folder, 'tmp');
      mkdirSync(temporary, { recursive: true });
      const { code, stderr } = await runCli(['import', '--data', join(folder, 'data'), dir], { env: { TMPDIR: temporary } });
      assert.equal(code, 1, stderr);
      const left = readdirSync(temporary).filter((name) => name.startsWith('mkscope-'));
      assert.deepEqual(left, [], 'nothing is left of what the other kernels were doing');
      return stderr;
    };
    assert.match(await broken((dir) => writeFileSync(join(dir, 'session.json'), '{')), /session\.json is not JSON.*E_INPUT_FORMAT/);
    assert.match(
      await broken((dir) => writeFileSync(join(dir, 'session.json'), session.replace('"version": 1', '"version": 7'))),
      /session\.json: version: .*E_INPUT_FORMAT/,
    );
    assert.match(
      await broken((dir) => writeFileSync(join(dir, 'session.json'), session.replace('"spawn1"', '"../spawn1"'))),
      /session\.json: kernels\.\d\.name: .*E_INPUT_FORMAT/,
    );
    assert.match(await broken((dir) => rmSync(join(dir, 'spawn1/stream.mkf.zst'))), /spawn1\/stream\.mkf.*E_INPUT_READ/);
    assert.match(await broken((dir) => writeFileSync(join(dir, 'host/stream.mkf.zst'), 'no zstd')), /host\/stream\.mkf.*E_INPUT_READ/);
    // A stream of another kernel than the file says.
    assert.match(
      await broken((dir) => {
        cpSync(join(dir, 'spawn2/stream.mkf.zst'), join(dir, 'spawn1/stream.mkf.zst'));
        cpSync(join(dir, 'spawn2/stream.mkf.at.zst'), join(dir, 'spawn1/stream.mkf.at.zst'));
      }),
      /says that it is kernel 2, and this stream is kernel 1.*E_INPUT_FORMAT/,
    );
    mkdirSync(join(folder, 'empty'));
    const empty = await runCli(['import', '--data', join(folder, 'data'), join(folder, 'empty')]);
    assert.match(empty.stderr, /is a folder.*E_INPUT_READ/);
    assert.ok(existsSync(SESSION));
  });
});
