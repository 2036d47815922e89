/** Kernels that lie, flood, come from another time, restart without end, or are too many: said plainly, nothing mixed up, bounded. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Clocks, EventPage, IncidentRow, KernelList, KernelRow, LogPage, Problem } from '../../model/api.ts';
import { ATTR, LEDGER_METRIC } from '../../model/attributes.ts';
import type { KernelIdentity } from '../../model/identity.ts';
import { MetricBatch, type MetricDefinition } from '../../model/metric-batch.ts';
import { encodeSegment, hashFormatSet } from '../../model/segment.ts';
import { grownBytes, heldBytes } from '../support/memory.ts';
import { readRingFixture } from '../support/ring-fixture.ts';
import { getJson, HOST, nowNs, post, runHub, SPAWN, toLogsBody, toMetricsBody, type Line, type RunningHub } from './running-hub.ts';

const HOUR_NS = 3_600_000_000_000n;
const YEAR_NS = 8_766n * HOUR_NS;

let hub: RunningHub;

before(async () => {
  hub = await runHub();
});
after(() => hub.stop());

const bootOf = (n: number): string => `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;
const send = (identity: KernelIdentity, lines: readonly Line[], stream?: string): Promise<Response> =>
  post(`${hub.addresses.otlp}/v1/logs`, toLogsBody(identity, lines, stream));

async function say(identity: KernelIdentity, text: string, unixNs = nowNs()): Promise<void> {
  const answer = await send(identity, [{ text, unixNs }]);
  assert.equal(answer.status, 200, await answer.text());
}

async function kernelOf(bootId: string): Promise<KernelRow> {
  const { kernels } = await getJson<KernelList>(hub, '/api/kernels');
  const found = kernels.find((kernel) => kernel.bootId === bootId);
  assert.ok(found !== undefined, `no kernel of boot ${bootId}`);
  return found;
}

async function logsOf(query: string): Promise<LogPage['rows']> {
  return (await getJson<LogPage>(hub, `/api/logs?${query}`)).rows;
}

async function waitForLog(query: string): Promise<LogPage['rows'][number]> {
  for (const endMs = Date.now() + 20_000; ;) {
    const [row] = await logsOf(query);
    if (row !== undefined) return row;
    assert.ok(Date.now() < endMs, `no row of ${query} within 20 s`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function metricOf(name: string): Promise<number> {
  const text = await (await fetch(`${hub.addresses.page}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `) || one.startsWith(`${name}{`));
  return Number(line?.split(' ').at(-1) ?? 0);
}

test('bad input: a boot id that speaks cannot be claimed as another kernel or machine: refused, said to its holder, not mixed', async () => {
  const mine = { ...SPAWN, bootId: bootOf(0x100) };
  await say(mine, 'mine');
  for (const liar of [
    { ...mine, kernelId: 2, kernelName: 'spawn2' },
    { ...mine, machineId: 'machine-2', machineName: 'beta' },
  ]) {
    const refused = await send(liar, [{ text: 'not mine', unixNs: nowNs() }]);
    assert.equal(refused.status, 503);
    assert.ok(refused.headers.get('retry-after') !== null, 'a sender that was configured anew tries again');
    assert.match(
      await refused.text(),
      /E_IDENTITY_TAKEN: boot 0{8}-\S+ is kernel 1 \(spawn1\) of machine alpha, heard \d s ago; the request says/,
    );
  }
  await say(mine, 'still mine');
  assert.deepEqual(
    (await logsOf(`boot=${mine.bootId}&stream=kmsg`)).map(({ body, kernelId, machine }) => [body, kernelId, machine]),
    [
      ['mine', 1, 'alpha'],
      ['still mine', 1, 'alpha'],
    ],
  );
  const row = await waitForLog(`boot=${mine.bootId}&event=mk.kernel.contested`);
  assert.match(row.body, /^a sender claims the boot id of spawn1 as kernel 2 \(spawn2\) of machine alpha: what it sends is refused$/);
  assert.match((await kernelOf(mine.bootId)).stateDetail, /another sender claims its boot id as kernel 1 \(spawn1\) of machine beta/);
  assert.equal(await metricOf('mkscope_hub_errors_total{reason="E_IDENTITY_TAKEN"}'), 2);
});

test('bad input: an id that no kernel can have is refused, and does not become another one’s', async () => {
  // In 32 bits, which tables have, it would be kernel 1.
  const wrapped = await send({ ...SPAWN, bootId: bootOf(0x110), kernelId: 2 ** 32 + 1 }, [{ text: 'wrapped', unixNs: nowNs() }]);
  assert.equal(wrapped.status, 400);
  assert.match(await wrapped.text(), /the sender has the kernel id 4294967297/);
  const long = await send({ ...SPAWN, bootId: 'b'.repeat(100_000) }, [{ text: 'long', unixNs: nowNs() }]);
  assert.equal(long.status, 400);
  assert.equal((await logsOf('search=wrapped')).length, 0);
});

test('bad input: times that cannot be are replaced by that of arrival, and said; the raw stamps stay', async () => {
  const from = nowNs();
  const now = from;
  const times = [0n, 1n, 5n * 1_000_000_000n, now + 2n * HOUR_NS, now + 40n * HOUR_NS, now + 40n * YEAR_NS, 2n ** 63n, 2n ** 64n - 1n, -1n];
  const broken = { ...SPAWN, bootId: bootOf(0x120) };
  const answer = await send(
    broken,
    times.map((unixNs, at) => ({ text: `time ${at}`, unixNs: BigInt.asIntN(64, unixNs) })),
  );
  assert.equal(answer.status, 200, await answer.text());
  const rows = new Map((await logsOf(`boot=${broken.bootId}&stream=kmsg&limit=100`)).map((row) => [row.body, row]));
  assert.equal(rows.size, times.length);
  const to = nowNs() + 1_000_000n;
  for (const [at] of times.entries()) {
    const row = rows.get(`time ${at}`);
    assert.ok(row !== undefined);
    if (at === 3) assert.equal(row.unixNs, String(now + 2n * HOUR_NS), 'two hours ahead is what another clock may say');
    else assert.ok(BigInt(row.unixNs) >= from - 1_000_000_000n && BigInt(row.unixNs) <= to, `time ${at}: ${row.unixNs}`);
    assert.equal(row.errorNs, -1);
  }
  const said = await waitForLog(`boot=${broken.bootId}&event=mk.clock.broken`);
  assert.match(said.body, /^7 records of spawn1 say that it is 1970-01-01T00:00:00.000Z: they are stored with the time they came at$/);
  assert.equal(await metricOf('mkscope_hub_times_replaced_total'), 7);
  const { rows: days } = (await (
    await fetch(`${hub.addresses.page}/api/sql`, {
      method: 'POST',
      body: JSON.stringify({ sql: `SELECT count(DISTINCT toDate(Timestamp)) FROM otel_logs WHERE BootId = '${broken.bootId}'` }),
      headers: { 'content-type': 'application/json' },
    })
  ).json()) as { rows: [string][] };
  assert.ok(Number(days[0]?.[0]) <= 2);
});

test('bad input: a kernel whose clock is ahead says so beside its state, and its last line is the last one', async () => {
  const fast = { ...SPAWN, bootId: bootOf(0x130) };
  await say(fast, 'from the future', nowNs() + 3n * HOUR_NS);
  assert.match((await kernelOf(fast.bootId)).stateDetail, /^its clock is 3.0 h ahead of this hub's$/);
  await say(fast, 'set right');
  const row = await kernelOf(fast.bootId);
  assert.deepEqual([row.lastLine, row.stateDetail, row.state], ['set right', '', 'live']);
});

test('bad input: trace events of a collector that lives in another century come now, and are no evidence for clocks', async () => {
  const { set, segment } = readRingFixture();
  await fetch(`${hub.addresses.otlp}/v1/mkscope/formats/${hashFormatSet(set)}`, { method: 'PUT', body: JSON.stringify(set) });
  const identity = { ...HOST, bootId: bootOf(0x140), machineId: 'machine-9', machineName: 'iota' };
  const baseRaw = String(new DataView(segment.pages.buffer, segment.pages.byteOffset).getBigUint64(0, true));
  const fromNs = nowNs();
  for (const baseUnixNs of [fromNs + 70n * YEAR_NS, 0n]) {
    const header = { ...segment.header, identity, fit: { ...segment.header.fit, baseRaw, baseUnixNs: String(baseUnixNs), errorNs: 10 } };
    const answer = await post(`${hub.addresses.otlp}/v1/mkscope/segments`, encodeSegment({ ...segment, header }), {
      'content-type': 'application/vnd.mkscope.segment',
    });
    assert.equal(answer.status, 200, await answer.text());
  }
  const { rows } = await getJson<EventPage>(hub, `/api/events?boot=${identity.bootId}&limit=5000`);
  const recorded = BigInt(rows.at(-1)?.unixNs ?? 0) - BigInt(rows[0]?.unixNs ?? 0);
  assert.ok(rows.length > 300 && recorded < HOUR_NS);
  for (const { unixNs, errorNs } of rows) {
    assert.ok(BigInt(unixNs) > fromNs - HOUR_NS && BigInt(unixNs) <= nowNs() + 1_000_000n, unixNs);
    assert.equal(errorNs, -1);
  }
  const { clocks } = await getJson<Clocks>(hub, '/api/clocks');
  assert.deepEqual(
    clocks.filter(({ bootId }) => bootId === identity.bootId).map(({ errorNs, evidence }) => [errorNs, evidence]),
    [[-1, 'its own wall clock']],
  );
  assert.match((await waitForLog(`boot=${identity.bootId}&event=mk.clock.broken`)).body, /trace events of host say that it is 20[89]\d-/);
});

const READ: MetricDefinition = { name: LEDGER_METRIC.read, description: '', unit: '{record}', type: 'counter', integer: true };

test('bad input: two collectors that count for one boot, are said beside its state', async () => {
  const shared = { ...SPAWN, bootId: bootOf(0x150), kernelId: 5, kernelName: 'spawn5' };
  await say(shared, 'hello');
  for (const startNs of [1n, 2n, 1n]) {
    const batch = new MetricBatch(1);
    batch.add(READ, nowNs() - startNs, nowNs(), 10, { [ATTR.stream]: 'kmsg' });
    // The start is what tells runs of counters apart.
    batch.startTime.setBigint(0, 1_788_510_993_000_000_000n + startNs);
    assert.equal((await post(`${hub.addresses.otlp}/v1/metrics`, toMetricsBody(shared, batch))).status, 200);
  }
  assert.match((await kernelOf(shared.bootId)).stateDetail, /two collectors send as this boot: their counters jump to and fro/);
});

test('bad input: spans that begin in another century are refused with the reason', async () => {
  const span = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), name: 'x' };
  const start = nowNs() + 3n * YEAR_NS;
  const body = JSON.stringify({
    resourceSpans: [{ scopeSpans: [{ spans: [{ ...span, startTimeUnixNano: String(start), endTimeUnixNano: String(start + 5n) }] }] }],
  });
  const answer = await post(`${hub.addresses.otlp}/v1/traces`, body, { 'content-type': 'application/json' });
  assert.equal(answer.status, 400);
  assert.match(await answer.text(), /a span begins at 20\d\d-.*set the clock of the sender/);
});

test('bad input: a batch whose times lie on thousands of days is refused, and the store goes on', async () => {
  const lines = Array.from({ length: 1_500 }, (_, day) => ({
    text: `day ${day}`,
    unixNs: 700_000_000_000_000_000n + BigInt(day) * 24n * HOUR_NS,
  }));
  const refused = await send({ ...SPAWN, bootId: bootOf(0x160) }, lines);
  assert.equal(refused.status, 400);
  assert.match(await refused.text(), /lie on more than 1100 days/);
  await say({ ...SPAWN, bootId: bootOf(0x160) }, 'the next one');
  assert.equal((await logsOf(`boot=${bootOf(0x160)}`)).length, 1);
  const problem = await fetch(`${hub.addresses.page}/api/health`);
  assert.equal(((await problem.json()) as Partial<Problem> & { status: unknown }).status, 'ok');
});

test('bad input: a kernel that restarts every second is one kernel with hundreds of boots, each with its own lines, in bounded memory', async (t) => {
  const BOOTS = 300;
  const LINES = 5;
  const restarting = { ...SPAWN, machineId: 'machine-r', machineName: 'rho', kernelId: 3, kernelName: 'spawn3' };
  const live = async (from: number, to: number): Promise<void> => {
    for (let n = from; n < to; n++) {
      const lines = Array.from({ length: LINES }, (_, line) => ({ text: `boot ${n} line ${line}`, unixNs: nowNs(), sequence: line }));
      const answer = await send({ ...restarting, bootId: bootOf(0x200000 + n) }, lines);
      assert.equal(answer.status, 200, await answer.text());
    }
  };
  await live(0, BOOTS / 3);
  const before = heldBytes();
  await live(BOOTS / 3, BOOTS);
  const most = ((BOOTS * 2) / 3) * 32_768;
  const grown = await grownBytes(before, most);
  t.diagnostic(`${((grown / ((BOOTS * 2) / 3)) | 0).toString()} bytes a boot`);
  assert.ok(grown < most, `${grown} bytes for ${(BOOTS * 2) / 3} boots`);
  const { kernels } = await getJson<KernelList>(hub, '/api/kernels');
  const own = kernels.filter(({ machineId }) => machineId === restarting.machineId);
  assert.equal(own.length, BOOTS);
  for (const { bootId, kernelId, lastLine } of own) {
    const n = Number.parseInt(bootId.slice(-12), 16) - 0x200000;
    assert.deepEqual([kernelId, lastLine], [3, `boot ${n} line ${LINES - 1}`]);
  }
  const mixed = await hub.store.query<{ n: string }>(
    `SELECT count() AS n FROM otel_logs WHERE MachineId = 'machine-r' AND Body LIKE 'boot %'
       AND toInt64(extract(Body, 'boot (\\\\d+)')) != reinterpretAsInt64(reverse(unhex(right(BootId, 12)))) - 2097152`,
  );
  assert.equal(Number(mixed[0]?.n), 0);
});

test('bad input: 64 kernels at once: each has its own lines, and messages of all channels with the host find their ends', async (t) => {
  const KERNELS = 64;
  const machine = { machineId: 'machine-64', machineName: 'xi' };
  const kernels = Array.from({ length: KERNELS }, (_, id): KernelIdentity => {
    return { ...HOST, ...machine, kernelId: id, kernelName: id === 0 ? 'host' : `spawn${id}`, bootId: bootOf(0x640000 + id) };
  });
  const [host, ...spawns] = kernels as [KernelIdentity, ...KernelIdentity[]];
  const cpuOf = (id: number): number => 100 + id;
  const assigned = spawns.map(({ kernelId, kernelName }): Line => {
    const text = `Transferred 1 CPUs from pool to instance ${kernelId} (${kernelName}): ${cpuOf(kernelId)}`;
    return { text, unixNs: nowNs(), sequence: kernelId };
  });
  const startNs = nowNs();
  await send(host, assigned);
  const before = heldBytes();
  const sent = (to: number, at: bigint, sequence: number): Line => {
    return { text: `Multikernel message sent: type=0x1000, subtype=0x10, len=${to} to instance ${to}`, level: 7, unixNs: at, sequence };
  };
  const received = (cpu: number, length: number, at: bigint, sequence: number): Line => {
    const text = `Multikernel message received: type=0x1000, subtype=0x10, len=${length} from CPU ${cpu}`;
    return { text, level: 7, unixNs: at, sequence };
  };
  const atNs = (id: number, step: bigint): bigint => startNs + BigInt(id) * 5_000_000n + step * 1_000_000n;
  const ofHost: Line[] = [];
  for (const { kernelId: id } of spawns) {
    ofHost.push(sent(id, atNs(id, 0n), 1_000 + id * 2), received(cpuOf(id), 1_000 + id, atNs(id, 3n), 1_001 + id * 2));
  }
  assert.equal((await send(host, ofHost)).status, 200);
  const answers = await Promise.all(
    spawns.map((spawn) => {
      const id = spawn.kernelId;
      const toHost = {
        ...sent(0, atNs(id, 2n), 11),
        text: `Multikernel message sent: type=0x1000, subtype=0x10, len=${1_000 + id} to instance 0`,
      };
      return send(spawn, [received(0, id, atNs(id, 1n), 10), toHost, { text: `I am ${id}`, unixNs: atNs(id, 4n), sequence: 12 }]);
    }),
  );
  for (const answer of answers) assert.equal(answer.status, 200, await answer.text());
  const most = KERNELS * 512 * 1024;
  const grown = await grownBytes(before, most);
  t.diagnostic(`${(grown / KERNELS / 1024).toFixed(0)} KB a kernel`);
  assert.ok(grown < most, `${grown} bytes`);
  type Match = { sender: number; receiver: number; bytes: number };
  let matches: Match[] = [];
  for (const endMs = Date.now() + 30_000; matches.length < 2 * (KERNELS - 1);) {
    assert.ok(Date.now() < endMs, `${matches.length} messages are matched`);
    // How far a kernel has been heard goes on as long as it speaks.
    await Promise.all(kernels.map((kernel) => say(kernel, 'still here')));
    await new Promise((resolve) => setTimeout(resolve, 500));
    matches = await hub.store.query<Match>(
      `SELECT SenderId AS sender, ReceiverId AS receiver, PayloadBytes AS bytes FROM ikc_messages FINAL
       WHERE MachineId = 'machine-64' AND State = 'matched'`,
    );
  }
  for (const { sender, receiver, bytes } of matches) {
    assert.ok(sender === 0 ? bytes === receiver : receiver === 0 && bytes === 1_000 + sender, `${sender} → ${receiver}: ${bytes} bytes`);
  }
  const told = await hub.store.query<{ id: number; body: string }>(
    `SELECT KernelId AS id, Body AS body FROM otel_logs WHERE MachineId = 'machine-64' AND Body LIKE 'I am %' ORDER BY id`,
  );
  assert.deepEqual(
    told.map(({ id, body }) => `${id} ${body}`),
    spawns.map(({ kernelId }) => `${kernelId} I am ${kernelId}`),
  );
});

test('bad input: a kernel that floods takes nothing from another one, and what it sends does not stay in memory', async (t) => {
  const ROWS = 8_000;
  const ROUNDS = 4;
  const BATCHES = 6;
  const flooding = { ...SPAWN, bootId: bootOf(0x300000), machineId: 'machine-f', machineName: 'phi' };
  const quiet = { ...HOST, bootId: bootOf(0x300001), machineId: 'machine-f', machineName: 'phi' };
  const body = toLogsBody(
    flooding,
    Array.from({ length: ROWS }, (_, line) => ({ text: `flood ${line}`, unixNs: nowNs(), sequence: line })),
  );
  const count = async (bootId: string): Promise<number> => {
    const [row] = await hub.store.query<{ n: string }>(`SELECT count() AS n FROM otel_logs WHERE BootId = '${bootId}' AND Stream = 'kmsg'`);
    return Number(row?.n);
  };
  let taken = 0;
  const held: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const floods = Array.from({ length: BATCHES }, () => post(`${hub.addresses.otlp}/v1/logs`, body));
    const said = Array.from({ length: 4 }, (_, at) => send(quiet, [{ text: `quiet ${at}`, unixNs: nowNs(), sequence: round * 4 + at }]));
    for (const answer of await Promise.all(said)) assert.equal(answer.status, 200, await answer.text());
    for (const answer of await Promise.all(floods)) {
      if (answer.status === 200) taken++;
      else assert.ok(answer.status === 503 && answer.headers.get('retry-after') !== null, `${answer.status}`);
      await answer.arrayBuffer();
    }
    assert.deepEqual([await count(flooding.bootId), await count(quiet.bootId)], [taken * ROWS, (round + 1) * 4]);
    held.push(heldBytes());
  }
  assert.ok(taken > 0);
  // The first rounds fill what is bounded: the last lines for whoever looks, buffers that are used again.
  const before = held[1] as number;
  const bodies = (ROUNDS - 2) * BATCHES;
  const most = (bodies / 2) * body.length;
  const grown = await grownBytes(before, most);
  t.diagnostic(`${taken} of ${ROUNDS * BATCHES} batches taken; ${(grown / body.length).toFixed(2)} bodies are held of the last ${bodies}`);
  assert.ok(grown < most, `${grown} bytes after ${bodies} bodies of ${body.length}`);
});

test('bad input: of a machine without the host’s log, a spawn’s own words tell its life and its end, and nobody is made up', async () => {
  const text = [
    '[    0.000000] Linux version 7.0.0-mk2 (build@host) (gcc 12.2.0) #1 SMP PREEMPT_DYNAMIC Fri Sep  4 08:00:00 UTC 2026',
    "[    0.064143] Successfully restored multikernel root instance 23 ('runtime') from manifest (256 bytes)",
    '[    0.180476] Run /init as init process',
    '[    0.400000] audit: type=1403 audit(1788511080.996:1): auid=4294967295 ses=4294967295 lsm=selinux res=1',
    '[    2.305827] reboot: Power down',
    '[    2.305842] Multikernel instance 23 shutting down',
  ].join('\n');
  const imported = await fetch(`${hub.addresses.page}/api/import?name=console.log&kernel=runtime&kernel_id=23&machine=solo`, {
    method: 'POST',
    body: `${text}\n`,
  });
  assert.equal(imported.status, 200, await imported.text());
  type Span = { name: string; end: string; ms: number };
  let spans: Span[] = [];
  for (const endMs = Date.now() + 20_000; spans.length < 3;) {
    assert.ok(Date.now() < endMs, JSON.stringify(spans));
    await new Promise((resolve) => setTimeout(resolve, 250));
    spans = await hub.store.query<Span>(
      `SELECT SpanName AS name, SpanAttributes['mk.instance.end'] AS end, Duration / 1e6 AS ms FROM otel_traces
       WHERE ResourceAttributes['host.id'] = 'solo' ORDER BY Timestamp, name`,
    );
  }
  const life = spans.find(({ name }) => name === 'instance life');
  assert.deepEqual([life?.end, Math.round(life?.ms ?? 0)], ['power_off', 2306]);
  const { kernels, unseen } = await getJson<KernelList>(hub, '/api/kernels');
  assert.deepEqual(
    kernels.filter(({ machineId }) => machineId === 'solo').map(({ kernelId, state }) => [kernelId, state]),
    [[23, 'imported']],
  );
  assert.deepEqual(
    unseen.filter(({ machineId }) => machineId === 'solo'),
    [],
  );
  const { incidents } = await getJson<{ incidents: IncidentRow[] }>(hub, '/api/incidents');
  const incident = incidents.find(({ machineId }) => machineId === 'solo');
  assert.deepEqual([incident?.kind, incident?.title], ['stopped', 'runtime powered itself off']);
});
