import assert from 'node:assert/strict';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { HubCounters } from '../../hub/counters.ts';
import { IncidentWatch } from '../../hub/incident-watch.ts';
import { LiveFeed } from '../../hub/live.ts';
import { PresenceTable } from '../../hub/presence.ts';
import { Recorders } from '../../hub/recorders.ts';
import { scanIncidents } from '../../hub/incident-scan.ts';
import { SilenceWatch } from '../../hub/silence-watch.ts';
import type { IncidentDetail, IncidentRow } from '../../model/api.ts';
import type { Gap } from '../../model/gap.ts';
import { toResource, toScope } from '../../model/identity.ts';
import { LogBatch } from '../../model/log-batch.ts';
import type { Incident } from '../../model/incident.ts';
import { openStore } from '../../store/open.ts';
import { RunningCli } from '../support/run-cli.ts';
import { getJson, HOST, nowNs, post, runHub, SPAWN, toGapsBody, toLogsBody, type Line, type RunningHub } from './running-hub.ts';

const WAIT_MS = 45_000;
const MS = 1_000_000n;

const panicLines = (startNs: bigint): Line[] => [
  { text: 'Kernel panic - not syncing: Attempted to kill init!', unixNs: startNs, level: 0, sequence: 10 },
  {
    text: `<script>alert(1)</script> ${String.fromCharCode(27)}[31m\u202e mk.token=f00 10.0.0.7`,
    unixNs: startNs + MS,
    level: 0,
    sequence: 12,
  },
  { text: 'Multikernel instance 1 shutting down', unixNs: startNs + 2n * MS, sequence: 13 },
];
const hostLines = (startNs: bigint): Line[] => [
  {
    text: 'CPU 0: Ignoring REBOOT_VECTOR from other kernel instance (stopping_cpu=-1)',
    unixNs: startNs + MS,
    level: 0,
    sequence: 20,
  },
  { text: 'Instance 1 (spawn1) halted, CPUs parking in pool', unixNs: startNs + 3n * MS, sequence: 21 },
];

async function sendTo(otlp: string, identity: typeof HOST, lines: readonly Line[], stream = 'kmsg'): Promise<void> {
  const answer = await post(`${otlp}/v1/logs`, toLogsBody(identity, lines, stream));
  assert.equal(answer.status, 200);
}

const send = (hub: RunningHub, identity: typeof HOST, lines: readonly Line[], stream = 'kmsg'): Promise<void> =>
  sendTo(hub.addresses.otlp, identity, lines, stream);

async function waitFor(hub: RunningHub, isThere: (rows: readonly IncidentRow[]) => boolean, query = ''): Promise<readonly IncidentRow[]> {
  for (const endMs = Date.now() + WAIT_MS; ;) {
    const { incidents } = await getJson<{ incidents: readonly IncidentRow[] }>(hub, `/api/incidents${query}`);
    if (isThere(incidents) || Date.now() > endMs) return incidents;
    await sleep(200);
  }
}

/** The file holds what it should, and nothing that a browser would run or turn around. */
function checkExport(html: string, id: string): void {
  assert.deepEqual(html.match(/<script[^>]*>/g), ['<script type="application/json" id="mkscope-incident">']);
  assert.ok(!html.includes(String.fromCharCode(27)) && !html.includes('\u202e'));
  assert.match(html, /&lt;script&gt;alert\(1\)&lt;\/script&gt; \\u001b\[31m\\u202e/);
  assert.doesNotMatch(html, /(?:src|href)=/);
  const [, json = ''] = /id="mkscope-incident">(.*?)<\/script>/.exec(html) ?? [];
  const data = JSON.parse(json) as { incident: IncidentRow; lines: readonly { kernelName: string }[] };
  assert.equal(data.incident.id, id);
  assert.deepEqual([...new Set(data.lines.map(({ kernelName }) => kernelName))], ['spawn1', 'host']);
  for (const text of ['Last words of spawn1', 'Kernels in the window', 'Log of all kernels', '± 250 ns'])
    assert.ok(html.includes(text), text);
}

test('incidents: a panic that the host tells of first is one when the last words come, and is told to those who follow', async () => {
  const hub = await runHub();
  try {
    const abort = new AbortController();
    const live = await fetch(`${hub.addresses.page}/api/incidents/live`, { signal: abort.signal });
    const startNs = (nowNs() / 1000n) * 1000n;
    // Another machine of the fleet that says more than an export holds.
    const other = { ...HOST, machineId: 'machine-2', machineName: 'beta', bootId: '00000000-0000-4000-8000-000000000003' };
    await send(
      hub,
      other,
      Array.from({ length: 3000 }, (_, at) => ({ text: `line ${at}`, unixNs: startNs + BigInt(at) })),
    );
    await send(hub, HOST, hostLines(startNs));
    const [early] = await waitFor(hub, (rows) => rows.length > 0);
    // Nobody knows the boot of kernel 1 yet; what its signal to the others says is an inference.
    assert.deepEqual([early?.kind, early?.bootId], ['panic', '']);
    await send(hub, SPAWN, panicLines(startNs));
    await send(hub, SPAWN, panicLines(startNs), 'console:spawn1');
    const rows = await waitFor(hub, ([one]) => one?.bootId === SPAWN.bootId && one.lastWords.length === 3);
    assert.equal(rows.length, 1);
    const [row] = rows as [IncidentRow];
    assert.equal(row.title, 'spawn1 panicked: Attempted to kill init!');
    assert.equal(row.state, 'open');
    assert.equal(row.firstUnixNs, String(startNs));
    assert.equal(row.errorNs, 250);
    assert.match(row.lastWords[0] ?? '', /^\[ *\d+\.\d{6}\] Kernel panic - not syncing: Attempted to kill init!$/);
    assert.deepEqual(
      row.others.map(({ kernelName }) => kernelName),
      ['host'],
    );
    // The first name of it leads to it, too.
    const detail = await getJson<IncidentDetail>(hub, `/api/incidents/${early?.id}`);
    assert.equal(detail.incident.id, row.id);
    assert.deepEqual(
      detail.kernels.map(({ kernelName, records, errorNs }) => [kernelName, records, errorNs]),
      [
        ['host', 2, 250],
        ['spawn1', 6, 250],
      ],
    );
    assert.equal(BigInt(detail.to) - BigInt(detail.from), 10_003n * MS);
    const page = await fetch(`${hub.addresses.page}/api/incidents/${row.id}/export`);
    assert.match(page.headers.get('content-security-policy') ?? '', /default-src 'none'/);
    checkExport(await page.text(), row.id);
    const clean = await (await fetch(`${hub.addresses.page}/api/incidents/${row.id}/export?redact=1`)).text();
    checkExport(clean, row.id);
    assert.doesNotMatch(clean, /f00|10\.0\.0\.7|alpha/);
    assert.match(clean, /mk\.token=\[redacted\] ip-1/);
    const metrics = await (await fetch(`${hub.addresses.page}/metrics`)).text();
    assert.match(metrics, /mkscope_hub_incidents_open\{severity="critical"\} 1\n/);
    assert.match(metrics, /mkscope_hub_incidents_total\{kind="panic"\} \d/);
    const events: string[] = [];
    for await (const chunk of live.body as ReadableStream<Uint8Array>) {
      events.push(new TextDecoder().decode(chunk));
      if (events.join('').includes(`"id":"${row.id}"`)) break;
    }
    assert.match(events.join(''), /event: incident\ndata: \{/);
    await getJson(hub, '/api/incidents/ffffffffffff', 404);
    await getJson(hub, '/api/incidents?state=closed', 400);
  } finally {
    await hub.stop();
  }
});

test('incidents: a hub that is killed looks again; what is open is read back, and ends with the next life', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'mkscope-incidents-'));
  t.after(() => rmSync(dataDir, { recursive: true, force: true }));
  const startNs = (nowNs() / 1000n) * 1000n;
  const killed = new RunningCli([
    'hub',
    '--data',
    dataDir,
    '--page',
    '127.0.0.1:0',
    '--otlp',
    '127.0.0.1:0',
    '--clickhouse',
    '127.0.0.1:0',
  ]);
  await killed.waitFor(({ stdout }) => stdout.includes('OTLP http'), 'the hub', 60_000);
  const [page = '', otlp = ''] = [/page (http:[^,\s]+)/, /OTLP (http:[^,\s]+)/].map((pattern) => pattern.exec(killed.stdout)?.[1] ?? '');
  await sendTo(otlp, SPAWN, panicLines(startNs));
  const addresses = { page, otlp, clickhouse: '' };
  const [found] = await waitFor({ addresses } as RunningHub, (rows) => rows.length > 0);
  assert.deepEqual([found?.kind, found?.state], ['panic', 'open']);
  await sendTo(otlp, HOST, [{ text: 'Multikernel instance 1 is now active', unixNs: startNs + 900n * MS, sequence: 30 }]);
  killed.kill('SIGKILL');
  await killed.ended;
  const second = await runHub({ dataDir });
  try {
    const metrics = await (await fetch(`${second.addresses.page}/metrics`)).text();
    assert.match(metrics, /mkscope_hub_incidents_open\{severity="critical"\} 1\n/);
    // The same lines over another way add nothing. With the report of the panic it is three signals.
    await send(second, SPAWN, panicLines(startNs), 'console:again');
    const rows = await waitFor(second, ([one]) => one?.state === 'resolved' && one.count === 3);
    assert.deepEqual(
      rows.map(({ id, resolution, count }) => [id, resolution, count]),
      [[found?.id, 'started again', 3]],
    );
  } finally {
    await second.close();
  }
});

test('incidents: while rows cannot be loaded the place to look at is kept', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'mkscope-incidents-'));
  const store = await openStore({ dataDir });
  const live = new LiveFeed();
  const path = join(dataDir, 'incidents', 'watch.json');
  const recorders = new Recorders({ path: join(dataDir, 'recorders', 'requests.json'), windowMs: 5_000 });
  const watch = new IncidentWatch({
    store,
    live,
    counters: new HubCounters(),
    presence: new PresenceTable(),
    recorders,
    version: 'test',
    path,
  });
  t.after(async () => {
    await watch.close();
    live.close();
    await store.close();
    rmSync(dataDir, { recursive: true, force: true });
  });
  await watch.ready;
  const batch = new LogBatch();
  const row = batch.addText('Kernel panic - not syncing: test', 0);
  batch.unixTime.setBigint(row, nowNs());
  batch.eventName[row] = batch.strings.internString('mk.kernel.panic');
  watch.notice(SPAWN.machineId, batch);
  await store.append({ logs: [{ resource: toResource(SPAWN), scope: toScope('mkscope', 'test'), batch }] });
  const [file = ''] = globSync(join(dataDir, 'spool', '*', 'otel_logs.native'));
  const bytes = readFileSync(file);
  writeFileSync(
    file,
    bytes.map(() => 255),
  );
  await watch.settle();
  writeFileSync(file, bytes);
  assert.deepEqual(watch.open, []);
  assert.match(readFileSync(path, 'utf8'), /"machine-1"/);
  await watch.settle();
  assert.deepEqual(
    watch.open.map(({ kind, bootId }) => [kind, bootId]),
    [['panic', SPAWN.bootId]],
  );
  assert.equal(readFileSync(path, 'utf8'), '[]');
});

test('incidents: losses in numbers are one, over when no more come, and filters find it', async () => {
  const hub = await runHub();
  try {
    const atNs = nowNs() - 61_000n * MS;
    const gap = (after: bigint, count: number): Gap => ({
      stream: 'tracefs:a',
      cpu: 0,
      fromUnixNs: atNs + after,
      toUnixNs: atNs + after + MS,
      count,
      reason: 'ring_overrun',
    });
    assert.equal((await post(`${hub.addresses.otlp}/v1/logs`, toGapsBody(SPAWN, [gap(0n, 60), gap(5n * MS, 70)]))).status, 200);
    const rows = await waitFor(hub, ([one]) => one !== undefined, '?severity=warning&kind=loss_burst&kernel=spawn1&state=resolved');
    assert.deepEqual(
      rows.map(({ title, count }) => [title, count]),
      [['spawn1: 130 records of tracefs:a lost', 130]],
    );
    assert.equal((await waitFor(hub, () => true, '?kind=panic')).length, 0);
    assert.equal((await waitFor(hub, () => true, '?machine=beta')).length, 0);
    assert.equal((await waitFor(hub, () => true, '?kernel=host')).length, 0);
  } finally {
    await hub.stop();
  }
});

test('incidents: silence is told once, of a kernel or of a whole machine, and so is the return', async (t) => {
  const startMs = Date.now();
  const dataDir = mkdtempSync(join(tmpdir(), 'mkscope-silence-'));
  const store = await openStore({ dataDir });
  const presence = new PresenceTable();
  const live = new LiveFeed();
  t.after(async () => {
    live.close();
    await store.close();
    rmSync(dataDir, { recursive: true, force: true });
  });
  const watch = new SilenceWatch({ store, live, presence, version: 'test', mark: () => undefined });
  const found = new Map<string, Incident>();
  const look = async (second: number): Promise<readonly Incident[]> => {
    const nowMs = startMs + second * 1000;
    const machines = new Set([...presence.all()].map(({ identity }) => identity.machineId));
    watch.beat(nowMs);
    await watch.look(
      nowMs,
      [...found.values()].filter(({ state }) => state === 'open'),
    );
    for (const machineId of machines) {
      const { changed } = await scanIncidents(store, machineId, BigInt(startMs) * MS, BigInt(nowMs) * MS);
      for (const { incident } of changed) found.set(incident.id, incident);
    }
    return [...found.values()];
  };
  const beat = (identity: typeof HOST, second: number): void => void (presence.see(identity, startMs + second * 1000).books += 5);
  const beta = { machineId: 'machine-2', machineName: 'beta' };
  const gone = [
    { ...HOST, ...beta, bootId: 'beta-0' },
    { ...SPAWN, ...beta, bootId: 'beta-1' },
  ];
  const stopped = { ...HOST, machineId: 'machine-3', bootId: 'gamma' };
  for (const identity of [...gone, stopped]) beat(identity, 0);
  presence.see(stopped, startMs).stoppedNs = 1n;
  // A guest without a collector may be silent for days.
  presence.see({ ...HOST, kernelId: 2, bootId: 'console-only' }, startMs);
  for (let second = 0; second <= 40; second += 4) {
    beat(HOST, second);
    if (second <= 8) beat(SPAWN, second);
    await look(second);
  }
  assert.deepEqual(
    [...found.values()].map(({ kind, title, state, firstUnixNs }) => [kind, title, state, Number(firstUnixNs / MS) - startMs]),
    [
      ['collector_gone', 'beta: nothing comes from its collector', 'open', 0],
      ['silent_kernel', 'spawn1: nothing comes from it', 'open', 8000],
    ],
  );
  for (const identity of [HOST, SPAWN, ...gone]) beat(identity, 44);
  await look(44);
  // A hub that was stopped for a minute has heard nobody, and says nothing of that.
  assert.deepEqual(
    (await look(120)).map(({ state, resolvedUnixNs }) => [state, Number((resolvedUnixNs ?? 0n) / MS) - startMs]),
    [
      ['resolved', 44_000],
      ['resolved', 44_000],
    ],
  );
  const [rows] = await store.query<{ n: string }>("SELECT count() AS n FROM otel_logs WHERE EventName LIKE 'mk.%' AND Stream = ''");
  assert.equal(Number(rows?.n), 4);
});
