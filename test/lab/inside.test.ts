/**
 * The collector itself inside of a spawned kernel: who it is, its own probes on a real kernel, its halves of the messages, its clock by
 * pings of the hub, one incarnation with what the host's collector hears of it, and nothing left of it in the kernel when it ends.
 * The tests stand in the order of that one life.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test, type TestContext } from 'node:test';

import type { LabStatus } from '../../cli/lab/lab-service.ts';
import { askLab } from '../../deploy/lab/control.ts';
import { readTruth } from '../../deploy/lab/truth.ts';
import { parseCounts, type TrafficPlan } from '../../deploy/lab/traffic.ts';
import type { ClockRow, Clocks, KernelList, KernelRow, Ledger } from '../../model/api.ts';
import { judgeMatches, leastOf, MATCHED_ROWS, toMatchedRow } from './judge-messages.ts';
import { RunningLab, until, whyNoLab } from './running-lab.ts';

const MESSAGES = 200;
const TRACEFS = '/sys/kernel/tracing';
/** Node starts in 6.5 s of processor time under emulation, and has waited for minutes where other work had the processors. */
const START_MS = 220_000;
/** What is known by pings alone. Some ms measured; a guest that waits for a processor answers late. */
const PING_BOUND_NS = 100e6;

const skip = (await whyNoLab()) ?? false;
if (skip !== false) process.stderr.write(`test of the collector inside of a kernel is skipped: ${skip}\n`);

let lab: RunningLab | undefined;
let up: LabStatus | undefined;

after(async () => {
  await lab?.stop();
});

/** A test on the running lab; where it fails, the log of the lab and of the collector say more. */
function labTest(name: string, run: (t: TestContext, lab: RunningLab, up: LabStatus) => Promise<void>): void {
  test(`lab inside: ${name}`, { skip }, async (t) => {
    assert.ok(lab !== undefined && up !== undefined, 'the lab is not up');
    const startMs = performance.now();
    try {
      await run(t, lab, up);
    } catch (error) {
      const said = await lab.run('spawn1', 'cat /tmp/collector.log').catch(String);
      process.stderr.write(`log of the lab:\n${lab.log}\nof the collector inside:\n${said}\n`);
      throw error;
    }
    t.diagnostic(`${((performance.now() - startMs) / 1000).toFixed(1)} s`);
  });
}

const listInstances = async (of: RunningLab): Promise<string[]> =>
  (await of.run('spawn1', `ls ${TRACEFS}/instances`)).split('\n').filter((name) => name.startsWith('mkscope-'));
const listProbes = async (of: RunningLab): Promise<string[]> =>
  [...(await of.run('spawn1', `cat ${TRACEFS}/kprobe_events`)).matchAll(/^[pr]\d*:ikc\/(\w+) /gm)].map(([, name]) => name as string);
const readLog = (of: RunningLab): Promise<string> => of.run('spawn1', 'cat /tmp/collector.log');

async function spawnRows(of: RunningLab): Promise<readonly KernelRow[]> {
  return (await of.getJson<KernelList>('/api/kernels')).kernels.filter(({ kernelId }) => kernelId === 1);
}

async function spawnClock(of: RunningLab): Promise<{ row: ClockRow | undefined; audit: Clocks['audit'] }> {
  const { clocks, audit } = await of.getJson<Clocks>('/api/clocks');
  return { row: clocks.find(({ kernelId, clock }) => kernelId === 1 && clock === 'mono'), audit };
}

async function send(of: RunningLab, from: string, to: string, count: number, kind: TrafficPlan['kind']): Promise<void> {
  const plan: TrafficPlan = { count, rate: 100, size: '16-512', senders: 1, burst: 1, kind, whenFull: 'retry' };
  await askLab(of.name, { command: 'traffic', from, to, plan });
}

test('lab inside: a spawned kernel boots with Node and mkscope in it', { skip }, async (t) => {
  const startMs = performance.now();
  // Few, for a guest that is emulated, but some each second: what a segment says of clocks comes with its events.
  const events = ['--events', 'sched:sched_process_exec,workqueue:workqueue_execute_start'];
  lab = new RunningLab(`inside-${process.pid}`, ['--kernels', '2', '--linux', 'stable', '--cpus', '1', '--inside', 'spawn1', ...events]);
  up = await lab.waitUp(200_000);
  t.diagnostic(`up after ${((performance.now() - startMs) / 1000).toFixed(1)} s`);
});

labTest('it knows who it is, and installs its probes; functions that this kernel lacks are left out and said', async (t, of) => {
  await until('the start of the collector', async () => (await readLog(of)).includes('\n  to http'), START_MS);
  const said = await readLog(of);
  assert.match(said, /^spawn1 \(kernel 1 of inside-\d+\): Linux 6\./m);
  assert.match(said, /probes for messages between kernels installed=10 skipped=[1-9]/);
  assert.match(said, /^ {2}tracefs +10 probes, \d+ left out: .*no function mk_send_message_to/m);
  assert.deepEqual((await listProbes(of)).sort(), [
    ...['ipi_irq', 'ipi_send', 'ipi_send_ret', 'mk_recv', 'mk_send', 'mk_send_ret', 'pend_add', 'pend_done', 'pend_wait_ret', 'state'],
  ]);
  const [, own] = /^mkscope-(\d+)$/m.exec((await listInstances(of)).join('\n')) ?? [];
  const enabled = await of.run('spawn1', `cat ${TRACEFS}/instances/mkscope-${own}/set_event; cat ${TRACEFS}/set_event`);
  assert.match(enabled, /^ikc:mk_recv$/m);
  t.diagnostic(said.split('\n').find((line) => line.includes('installed=')) ?? '');
});

labTest('the pings of the hub alone bound its clock', async (t, of) => {
  let last: ClockRow | undefined;
  // The first pings of a kernel that is busy with its start bound little.
  const isBound = async (): Promise<boolean> => {
    last = (await spawnClock(of)).row;
    if (last?.evidence !== 'hub pings') return false;
    const { errorNs, toHostNs } = last;
    return errorNs > 0 && errorNs < PING_BOUND_NS && toHostNs > 0 && toHostNs < PING_BOUND_NS;
  };
  await until('a clock that is bound by pings', isBound, 60_000, () => JSON.stringify(last));
  t.diagnostic(JSON.stringify(last));
});

labTest('messages are matched with the host’s, and the truth agrees', async (t, of, { truth: truthPath }) => {
  await Promise.all([send(of, 'host', 'spawn1', MESSAGES, 'user'), send(of, 'spawn1', 'host', MESSAGES, 'user')]);
  const counts = async (kernel: string) => parseCounts(await of.run(kernel, 'cat /sys/kernel/mkikc/status'));
  await until('the end of the traffic', async () => {
    const [host, spawn] = [await counts('host'), await counts('spawn1')];
    return host.received >= MESSAGES && spawn.received >= MESSAGES && host.generator !== 'running' && spawn.generator !== 'running';
  });
  await send(of, 'host', 'spawn1', 10, 'request');
  const readMatches = async () => (await of.sql(MATCHED_ROWS)).map(toMatchedRow);
  let matches = await readMatches();
  await until(
    'the matched messages',
    async () => {
      matches = await readMatches();
      const ways = new Set(matches.filter(({ state }) => state === 'matched').map(({ senderId }) => senderId));
      const { recall, recorded } = judgeMatches(matches, readTruth(readFileSync(truthPath)));
      return ways.size === 2 && recorded >= 2 * MESSAGES * 0.95 && recall >= leastOf(0, recorded).recall;
    },
    60_000,
    () => `${matches.length} rows`,
  );
  const { matched, wrong, recorded, precision, recall } = judgeMatches(matches, readTruth(readFileSync(truthPath)));
  t.diagnostic(`${matched} matched of ${recorded} with both ends, ${wrong} wrong; precision ${precision}, recall ${recall}`);
  assert.ok(precision >= leastOf(0, recorded).precision, `precision ${precision}`);
  const answered = `SELECT count() FROM ikc_exchanges FINAL WHERE State = 'answered'`;
  await until('the answered requests', async () => Number((await of.sql(answered))[0]?.[0]) >= 9);
  const { row, audit } = await spawnClock(of);
  t.diagnostic(JSON.stringify({ ...row, audit }));
  assert.ok(row !== undefined && row.messages > MESSAGES);
  assert.equal(audit.impossible, 0, 'no effect before its cause by more than the bounds');
});

labTest('it and its console are one incarnation, with its resources; its log is whole', async (t, of, { kernels }) => {
  const bootId = kernels[1]?.bootId ?? '';
  await until('one incarnation', async () => (await spawnRows(of)).length === 1, 60_000);
  const [row] = await spawnRows(of);
  t.diagnostic(JSON.stringify(row));
  assert.ok(row !== undefined);
  assert.deepEqual([row.bootId, row.kernelName, row.state, row.cpus], [bootId, 'spawn1', 'live', 1]);
  assert.deepEqual([row.instance?.state, row.instance?.cpus.length, row.instance?.memoryBytes], ['active', 1, 640 << 20]);
  const streams = (await of.sql(`SELECT DISTINCT BootId, Stream FROM otel_logs WHERE KernelId = 1 AND Stream != '' ORDER BY Stream`)).map(
    String,
  );
  assert.deepEqual(streams, [`${bootId},console:spawn1`, `${bootId},kmsg`]);
  // From the first line on, though Node came up much later.
  const first = await of.sql(`SELECT Stream FROM otel_logs WHERE KernelId = 1 AND Body LIKE 'Linux version %' ORDER BY Stream`);
  assert.deepEqual(first.map(String), ['console:spawn1', 'kmsg']);
});

labTest('one that is killed leaves probes and an instance, which the next takes over', async (t, of) => {
  const before = (await listInstances(of)).find((name) => /^mkscope-\d+$/.test(name)) ?? '';
  await askLab(of.name, { command: 'fault', kernel: 'spawn1', fault: 'forwarder-kill', value: '' });
  assert.ok((await listInstances(of)).includes(before), 'a killed collector cannot tidy up');
  const isNext = async (): Promise<boolean> => (await of.run('spawn1', 'cat /run/reader.pid')).trim() !== before.slice('mkscope-'.length);
  await until('the next collector', async () => (await isNext()) && (await readLog(of)).includes('\n  to http'), START_MS);
  assert.match(await readLog(of), new RegExp(`removed the trace instance of a collector that was killed instance=${before}\\b`));
  assert.ok(!(await listInstances(of)).includes(before));
  assert.equal((await listProbes(of)).length, 10);
  t.diagnostic(await readLog(of));
});

labTest('told to end, it hands over, and leaves nothing in the kernel', async (t, of) => {
  const last = (await listInstances(of)).find((name) => /^mkscope-\d+$/.test(name)) ?? '';
  await of.run('spawn1', 'touch /run/hold; kill -TERM $(cat /run/reader.pid)');
  await until('its end', async () => !(await of.run('spawn1', 'ps')).includes('main.js collect'), 60_000);
  assert.deepEqual(await listInstances(of), []);
  assert.deepEqual(await listProbes(of), []);
  assert.equal(await of.run('spawn1', `cat ${TRACEFS}/set_event`), '');
  const { rows } = await of.getJson<Ledger>('/api/ledger');
  const own = rows.filter(({ kernelId, stream }) => kernelId === 1 && !stream.startsWith('console:'));
  for (const { stream, written, stored, lost, dropped, inFlight, state } of own) {
    t.diagnostic(`${stream}: written ${written}, stored ${stored}, lost ${lost}, dropped ${dropped}, in flight ${inFlight}: ${state}`);
    // What the killed one had read and not handed on nobody can count.
    if (stream === 'kmsg' || stream === `tracefs:${last}`) assert.deepEqual([state, inFlight], ['balanced', 0], stream);
  }
  assert.ok(own.length >= 2);
});
