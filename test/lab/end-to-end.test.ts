/**
 * The whole of mkscope against real kernels: a host kernel and a spawned one of another version boot under QEMU, a collector
 * and a hub observe them, they send each other messages, and one panics. What the hub says is held against what the kernels
 * count themselves and against the truth of the lab. The tests stand in the order of that one life.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { explainDeath } from '../../correlate/explain-death.ts';
import type { LabStatus } from '../../cli/lab/lab-service.ts';
import { askLab } from '../../deploy/lab/control.ts';
import { TruthClock } from '../../deploy/lab/truth-clock.ts';
import { pairMessages, readTruth, type Truth } from '../../deploy/lab/truth.ts';
import { parseCounts, type MessageCounts, type TrafficPlan } from '../../deploy/lab/traffic.ts';
import type { ClockRow, Clocks, Ledger, LedgerRow, LogPage, LogRow } from '../../model/api.ts';
import { runCli } from '../support/run-cli.ts';
import { assertOrder, judgeHull, judgeTimes, matchDebugLines, type TimedLine } from './judge.ts';
import { readKmsgCount, readMissedProbes, readTraceCounts, TRACE_STREAM, type TraceCounts } from './guest-counts.ts';
import { countStalled, judgeMatches, leastOf, MATCHED_ROWS, toMatchedRow, type MatchedRow } from './judge-messages.ts';
import { assertNothingLeft, type ProcessId } from './leftovers.ts';
import { RunningLab, until, whyNoLab } from './running-lab.ts';

const KERNELS = ['host', 'spawn1'] as const;
const MARKERS = 20;
const MESSAGES = 2600;
const REQUESTS = 100;
/** 1 to 6 ms measured, the latter with ten processes waiting for two cores. */
const MEDIAN_BOUND_NS = 50e6;
/** printk against the trace clock, both kernels' together: brackets of a guest that is emulated. */
const LINK_DOUBT_NS = 100e3;
/** What `/api/logs` gives at most at once. */
const PAGE_ROWS = 1000;

const skip = (await whyNoLab()) ?? false;
if (skip !== false) process.stderr.write(`end-to-end test of the lab is skipped: ${skip}\n`);

let lab: RunningLab | undefined;
let up: LabStatus | undefined;
let processes: readonly ProcessId[] = [];
/** The spawned kernel's clock before the first message. */
let ping: ClockRow | undefined;

after(async () => {
  await lab?.stop();
});

/** A test on the running lab; where it fails, the log of the lab says more. */
function labTest(name: string, run: (t: TestContext, lab: RunningLab, up: LabStatus) => Promise<void>): void {
  test(`lab: ${name}`, { skip }, async (t) => {
    assert.ok(lab !== undefined && up !== undefined, 'the lab is not up');
    const startMs = performance.now();
    try {
      await run(t, lab, up);
    } catch (error) {
      process.stderr.write(`log of the lab:\n${lab.log}\n`);
      throw error;
    }
    t.diagnostic(`${((performance.now() - startMs) / 1000).toFixed(1)} s`);
  });
}

const forBoth = <Result>(ask: (kernel: (typeof KERNELS)[number]) => Promise<Result>): Promise<Result[]> => Promise.all(KERNELS.map(ask));

function readCounts(of: RunningLab): Promise<MessageCounts[]> {
  return forBoth(async (kernel) => parseCounts(await of.run(kernel, 'cat /sys/kernel/mkikc/status')));
}

/** Lets a kernel send and waits until all is through. */
async function send(of: RunningLab, from: string, to: string, plan: Partial<TrafficPlan>): Promise<void> {
  const whole: TrafficPlan = { count: 1, rate: 0, size: '16-512', senders: 1, burst: 1, kind: 'user', whenFull: 'retry', ...plan };
  await askLab(of.name, { command: 'traffic', from, to, plan: whole });
}

async function waitSent(of: RunningLab): Promise<void> {
  await until('the end of the traffic', async () => (await readCounts(of)).every(({ generator }) => generator !== 'running'), 90_000);
  await until('the arrival of all messages', async () => {
    const [host, spawn] = await readCounts(of);
    return host?.sent === spawn?.received && spawn?.sent === host?.received;
  });
}

async function readLogs(of: RunningLab, query: Record<string, string>): Promise<readonly LogRow[]> {
  const { rows } = await of.getJson<LogPage>(`/api/logs?${new URLSearchParams({ limit: String(PAGE_ROWS), ...query }).toString()}`);
  assert.ok(rows.length < PAGE_ROWS);
  return rows;
}

/** The truth up to now: what the kernels wrote into their rings has been taken out. */
async function readWholeTruth(of: RunningLab, path: string): Promise<Truth> {
  const counts = await readCounts(of);
  let truth = readTruth(readFileSync(path));
  await until('the truth of all messages', () => {
    truth = readTruth(readFileSync(path));
    return counts.every(({ sent }, kernel) => truth.records.filter((one) => one.kind === 'send' && one.kernel === kernel).length >= sent);
  });
  return truth;
}

test('lab: boots two kernels of different versions, with a hub and a collector', { skip }, async (t) => {
  const startMs = performance.now();
  lab = new RunningLab(`e2e-${process.pid}`, ['--kernels', '2', '--linux', 'stable,newest', '--cpus', '2,1']);
  up = await lab.waitUp();
  t.diagnostic(`up after ${((performance.now() - startMs) / 1000).toFixed(1)} s`);
  processes = lab.processes();
  const { code, stdout } = await runCli(['lab', 'status', '--name', lab.name, '--json']);
  assert.equal(code, 0);
  const { page, kernels } = JSON.parse(stdout) as LabStatus;
  assert.equal(page, up.page);
  assert.deepEqual(
    kernels.map(({ name, guest, instance, cpus }) => [name, guest, instance, cpus]),
    [
      ['host', 'up', '', 2],
      ['spawn1', 'up', 'active', 1],
    ],
  );
  assert.notEqual(kernels[0]?.release, kernels[1]?.release);
  assert.ok(processes.filter(({ commandLine }) => commandLine.includes('qemu-system-x86_64')).length >= 2);
});

labTest('lines of both kernels are stored in true order, within their stated bounds', async (t, of, { truth: truthPath }) => {
  // On a machine that is busy the first seconds of a kernel are known to seconds only, and half of the lines were of those.
  await until('the clocks of both kernels', async () => {
    const { clocks } = await of.getJson<Clocks>('/api/clocks');
    const isKnown = ({ errorNs, toHostNs }: ClockRow): boolean => errorNs >= 0 && errorNs < MEDIAN_BOUND_NS && toHostNs >= 0;
    return KERNELS.every((name) =>
      ['mono', 'printk'].every((clock) => clocks.some((row) => row.kernelName === name && row.clock === clock && isKnown(row))),
    );
  });
  // Marked lines, one after the other, by turns.
  for (let marker = 0; marker < MARKERS; marker++) {
    await of.run(KERNELS[marker % 2] ?? 'host', `echo "e2e marker ${marker}" >/dev/kmsg`);
    await sleep(20);
  }
  ({ row: ping } = await spawnClock(of));
  // Messages that each say a line where they are sent and where they arrive, as on a Multikernel host.
  await forBoth((kernel) => of.run(kernel, 'echo "module mkikc +p" >/proc/dynamic_debug/control'));
  await Promise.all([send(of, 'host', 'spawn1', { count: 40, rate: 60 }), send(of, 'spawn1', 'host', { count: 40, rate: 60 })]);
  await waitSent(of);
  await send(of, 'host', 'spawn1', { count: 10, kind: 'request' });
  await waitSent(of);
  await forBoth((kernel) => of.run(kernel, 'echo "module mkikc -p" >/proc/dynamic_debug/control'));
  const truth = await readWholeTruth(of, truthPath);
  const clock = new TruthClock(truth);
  const expected = truth.records.filter(({ kind }) => kind === 'send' || kind === 'receive').length;
  assert.equal(expected, 2 * (40 + 40 + 10 + 10));
  const isLine = ({ stream }: LogRow): boolean => stream === 'kmsg';
  const readDebug = async (): Promise<LogRow[]> =>
    (await readLogs(of, { search: 'Multikernel message ', stream: 'kmsg' })).filter(({ body }) => /message (sent|received):/.test(body));
  await until('the lines of all messages', async () => (await readDebug()).length >= expected);
  const debug = await readDebug();
  const markers = (await readLogs(of, { search: 'e2e marker ' })).filter(isLine);
  assert.equal(debug.length, expected);
  assert.equal(markers.length, MARKERS);

  const [marked, spoken] = [judgeTimes(markers, clock), judgeTimes(debug, clock)];
  for (const [what, lines] of Object.entries({ marked, debug: spoken })) t.diagnostic(`${what}: ${describeTimes(lines)}`);
  // They were written one after the other.
  assert.deepEqual(
    marked.toSorted((a, b) => Number(a.trueUnixNs - b.trueUnixNs)).map(({ row }) => row.body),
    Array.from({ length: MARKERS }, (_marker, at) => `e2e marker ${at}`),
  );
  t.diagnostic(`order: ${assertOrder([...marked, ...spoken])}`);
  matchDebugLines(debug, truth, clock);
});

function describeTimes(lines: readonly TimedLine[]): string {
  const us = (ns: number): string => `${(ns / 1000).toFixed(1)} µs`;
  const errors = lines.map(({ offByNs }) => Math.abs(offByNs)).sort((a, b) => a - b);
  const bounds = lines.map(({ row }) => row.errorNs).sort((a, b) => a - b);
  const [error = NaN, bound = NaN] = [errors[errors.length >> 1], bounds[bounds.length >> 1]];
  // A bound of seconds would hold and say nothing. The first lines of a kernel may have one, on a machine that is busy.
  assert.ok(bound < MEDIAN_BOUND_NS, `half of the lines are no better than ± ${us(bound)}`);
  const widest = lines.find(({ row }) => row.errorNs === bounds.at(-1))?.row;
  return `${lines.length} lines, off by ${us(error)} (median) and ${us(errors.at(-1) ?? NaN)} (most), stated ± ${us(bound)} (median) and ${us(bounds.at(-1) ?? NaN)} (most, ${widest?.kernelName} «${widest?.body}»)`;
}

labTest('five thousand messages and a hundred requests: kernels, truth and hub count the same', async (t, of, { truth: truthPath }) => {
  await Promise.all([
    send(of, 'host', 'spawn1', { count: MESSAGES, senders: 2, burst: 8 }),
    send(of, 'spawn1', 'host', { count: MESSAGES, senders: 2, burst: 8 }),
  ]);
  await waitSent(of);
  await send(of, 'host', 'spawn1', { count: REQUESTS, kind: 'request' });
  await waitSent(of);
  const counts = await readCounts(of);
  const [host, spawn] = counts as [MessageCounts, MessageCounts];
  t.diagnostic(`host sent ${host.sent} (${host.failed} refused), spawn1 sent ${spawn.sent} (${spawn.failed} refused)`);
  assert.ok(host.sent + spawn.sent > 2 * MESSAGES + 2 * REQUESTS);
  assert.deepEqual([host.received, spawn.received], [spawn.sent, host.sent]);
  assert.equal(host.acksReceived, REQUESTS + 10);
  assert.deepEqual([host.timeouts, spawn.timeouts, host.truthLost, spawn.truthLost], [0, 0, 0, 0]);

  const truth = await readWholeTruth(of, truthPath);
  const { pairs, unreceived, unsent } = pairMessages(truth.records);
  assert.deepEqual([truth.lost, unreceived.length, unsent.length], [0, 0, 0]);
  assert.equal(pairs.length, host.sent + spawn.sent);
  for (const [kernel, { sent, received, failed }] of counts.entries()) {
    const countOf = (kind: string): number => truth.records.filter((one) => one.kind === kind && one.kernel === kernel).length;
    assert.deepEqual([countOf('send'), countOf('receive'), countOf('send_failed')], [sent, received, failed], KERNELS[kernel] ?? '');
  }
  const clock = new TruthClock(truth);
  const early = pairs.filter(({ send: sent, receive }) => (clock.timeOf(receive)?.unixNs ?? 0n) < (clock.timeOf(sent)?.unixNs ?? 0n));
  assert.deepEqual(early, [], 'received before it was sent');

  // The probes are hit by each message, also by those that a full ring refuses; the kernel counts the hits that it could not trace.
  const missed = await forBoth((kernel) => readMissedProbes(of, kernel));
  const probed = `SELECT KernelId, countIf(Event = 'ikc:mk_send'), countIf(Event = 'ikc:mk_recv') FROM events WHERE Event LIKE 'ikc:%' GROUP BY KernelId ORDER BY KernelId`;
  const known = `SELECT KernelId, sum(Count) FROM gaps WHERE Stream LIKE 'tracefs:%' GROUP BY KernelId`;
  const wanted = counts.map(({ sent, failed, received }, kernel) => {
    const missedOf = (probe: string): number => missed[kernel]?.get(probe) ?? NaN;
    return [kernel, sent + failed - missedOf('mk_send'), received - missedOf('mk_recv')];
  });
  let [rows, lost]: number[][][] = [];
  await until(
    'the probe events of all messages',
    async () => {
      rows = (await of.sql(probed)).map((row) => row.map(Number));
      lost = (await of.sql(known)).map((row) => row.map(Number));
      return wanted.every(([kernel = 0, sends = 0, receives = 0]) => {
        const [, stored = 0, received = 0] = rows?.[kernel] ?? [];
        assert.ok(stored <= sends && received <= receives, `${KERNELS[kernel]}: more events than messages`);
        return sends + receives - stored - received <= (lost?.find(([id]) => id === kernel)?.[1] ?? 0);
      });
    },
    30_000,
    () => `stored ${JSON.stringify(rows)}, known to be lost ${JSON.stringify(lost)}, wanted ${JSON.stringify(wanted)}`,
  );
  const missedText = missed.map((of) => `${of.get('mk_send')} and ${of.get('mk_recv')}`).join(', ');
  t.diagnostic(
    `probe events (kernel, sends, receives): ${JSON.stringify(rows)}, lost ${JSON.stringify(lost)}; hits missed by the kernels: ${missedText}`,
  );
  const [[, hostSends = 0, hostReceives = 0] = [], [, spawnSends = 0, spawnReceives = 0] = []] = rows ?? [];
  // A message of which both ends were recorded; fewer where each side lost other ones.
  const both = Math.min(hostSends - host.failed, spawnReceives) + Math.min(spawnSends - spawn.failed, hostReceives);
  const recorded = hostSends + hostReceives + spawnSends + spawnReceives;
  const unrecorded = counts.reduce((sum, { sent, failed, received }) => sum + sent + failed + received, 0) - recorded;
  await judgeMessages(t, of, truth, both, unrecorded);
});

/** What the hub matched, against the truth: no more wrong than it states, and hardly one missing. `lost`: records of either end. */
async function judgeMessages(t: TestContext, of: RunningLab, truth: Truth, both: number, lost: number): Promise<void> {
  let matches: readonly MatchedRow[] = [];
  const sumUp = (): string => JSON.stringify([...Map.groupBy(matches, ({ state }) => state)].map(([state, all]) => [state, all.length]));
  await until(
    'the matches of all messages',
    async () => {
      matches = (await of.sql(MATCHED_ROWS)).map(toMatchedRow);
      const troubled = lost + countStalled(matches);
      const found = matches.filter(({ state }) => state === 'matched').length;
      if (found < both * leastOf(troubled, both).recall || matches.some(({ state }) => state === 'waiting')) return false;
      const { recall, recorded } = judgeMatches(matches, truth);
      return recall >= leastOf(troubled, recorded).recall;
    },
    30_000,
    () => `of ${both}, ${lost} records lost, ${countStalled(matches)} sendings stalled: ${sumUp()}`,
  );
  const stalled = countStalled(matches);
  const { matched, wrong, statedWrong, recorded, unclear, precision, recall } = judgeMatches(matches, truth);
  t.diagnostic(
    `messages: ${matched} matched of ${recorded} with both ends, ${wrong} wrong, stated ${statedWrong.toFixed(1)}, ${unclear} unclear in the truth; precision ${precision.toFixed(5)}, recall ${recall.toFixed(5)}; ${lost} records lost, ${stalled} sendings stalled`,
  );
  assert.ok(unclear <= matched / 20, `${unclear} of ${matched} cannot be told by the truth`);
  const least = leastOf(lost + stalled, recorded);
  assert.ok(precision >= least.precision, `precision ${precision}, at least ${least.precision}`);
  assert.ok(wrong <= statedWrong * 1.5 + 3 * Math.sqrt(statedWrong) + 5, `${wrong} wrong, stated ${statedWrong}`);
  const exchanges = await of.sql(`SELECT toString(State), Result, count() FROM ikc_exchanges FINAL GROUP BY ALL ORDER BY ALL`);
  t.diagnostic(`exchanges (state, result, count): ${JSON.stringify(exchanges)}`);
  const answered = exchanges.filter(([state, result]) => state === 'answered' && Number(result) === 0);
  assert.ok(answered.reduce((sum, [, , count]) => sum + Number(count), 0) >= (REQUESTS + 10) * 0.9);
}

interface OwnCounts {
  readonly traces: readonly TraceCounts[];
  readonly kmsg: number;
}

/** What a kernel counts itself, once its trace buffers are read empty. */
async function readOwnCounts(of: RunningLab, kernel: string): Promise<OwnCounts> {
  let traces = await readTraceCounts(of, kernel);
  await until(`an empty trace buffer in ${kernel}`, async () => {
    traces = await readTraceCounts(of, kernel);
    return traces.every(({ entries }) => entries === 0);
  });
  return { traces, kmsg: await readKmsgCount(of, kernel) };
}

/** Streams that their kernel counts, when the hub has heard of all that the kernels wrote. */
async function readSettledLedger(t: TestContext, of: RunningLab, own: readonly OwnCounts[]): Promise<LedgerRow[]> {
  let rows: LedgerRow[] = [];
  const isSettled = ({ kernelId, stream, cpu, written, stored, lost, inFlight }: LedgerRow): boolean => {
    const { traces, kmsg } = own[kernelId] as OwnCounts;
    const least = stream === 'kmsg' ? kmsg : (traces.find((trace) => trace.cpu === cpu)?.written ?? NaN);
    return written >= least && inFlight === 0 && written === stored + lost;
  };
  try {
    await until('a settled ledger', async () => {
      rows = (await of.getJson<Ledger>('/api/ledger')).rows.filter(({ stream }) => !stream.startsWith('console:'));
      return rows.every(isSettled);
    });
  } finally {
    for (const { kernelName, stream, cpu, written, stored, lost, dropped, inFlight, state } of rows) {
      const counts = `written ${written}, stored ${stored}, lost ${lost}, dropped ${dropped}, in flight ${inFlight}: ${state}`;
      t.diagnostic(`${kernelName} ${stream}${cpu < 0 ? '' : ` CPU ${cpu}`}: ${counts}`);
    }
  }
  return rows;
}

labTest('messages bound the clocks better than pings do, and the truth stays inside', async (t, of, { truth: truthPath }) => {
  await until('the messages in the graph of clocks', async () => ((await spawnClock(of)).row?.messages ?? 0) > MESSAGES, 60_000);
  // Messages go on while lines are printed: a hull without new ones widens.
  await Promise.all([send(of, 'host', 'spawn1', { count: 150, rate: 20 }), send(of, 'spawn1', 'host', { count: 150, rate: 20 })]);
  // A line keeps the bound of its time, which may be wider than the last one.
  let widestNs = 0;
  for (let marker = 0; marker < MARKERS; marker++) {
    widestNs = Math.max(widestNs, (await spawnClock(of)).row?.toHostNs ?? 0);
    await of.run(KERNELS[marker % 2] ?? 'host', `echo "hull marker ${marker}" >/dev/kmsg`);
    await sleep(200);
  }
  await waitSent(of);
  const readMarkers = async (): Promise<LogRow[]> =>
    (await readLogs(of, { search: 'hull marker ' })).filter(({ stream }) => stream === 'kmsg');
  await until('the marked lines', async () => (await readMarkers()).length >= MARKERS);
  const truth = await readWholeTruth(of, truthPath);
  const clock = new TruthClock(truth);
  const lines = judgeTimes(await readMarkers(), clock);
  const { row, audit } = await spawnClock(of);
  assert.ok(row !== undefined && ping !== undefined);
  t.diagnostic(`by messages and pings: ${describeTimes(lines)}`);
  t.diagnostic(`order: ${assertOrder(lines)}`);
  const between = errorsBetween(lines);
  const doubtNs = between.doubtNs + 2 * Math.max(widestNs, row.toHostNs);
  t.diagnostic(
    `between the kernels: off by ${us(between.errorsNs, 0.5)} (median), ${us(between.errorsNs, 0.99)} (p99), ${us(between.errorsNs, 1)} (most); ± ${us([row.toHostNs], 0)}, by pings alone ± ${us([ping.toHostNs], 0)}`,
  );
  assert.ok(
    between.errorsNs.every((errorNs) => errorNs <= doubtNs),
    `${Math.max(...between.errorsNs)} ns, ± ${doubtNs}`,
  );
  const alone = judgeHull(truth, clock, 1);
  t.diagnostic(
    `by messages alone: off by ${us(alone.errorsNs, 0.5)} (median), ${us(alone.errorsNs, 0.99)} (p99), ${us(alone.errorsNs, 1)} (most), ± ${us(alone.boundsNs, 0.5)} (median); ${alone.errorsNs.length} of ${alone.errorsNs.length} inside`,
  );
  t.diagnostic(JSON.stringify({ ...row, audit }));
  assert.ok(row.toHostNs < ping.toHostNs / 3, `± ${row.toHostNs} ns, by pings ± ${ping.toHostNs} ns`);
  assert.ok(audit.messages > MESSAGES && audit.impossible === 0, JSON.stringify(audit));
  assert.equal(row.steps, 0);
});

const us = (values: readonly number[], share: number): string =>
  `${((values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * share)] ?? NaN) / 1000).toFixed(1)} µs`;

/** How the graph stands to the trace clock of the spawned kernel. */
async function spawnClock(of: RunningLab): Promise<{ row: ClockRow | undefined; audit: Clocks['audit'] }> {
  const { clocks, audit } = await of.getJson<Clocks>('/api/clocks');
  return { row: clocks.find(({ kernelId, clock }) => kernelId === 1 && clock === 'mono'), audit };
}

/** Of each line of the spawned kernel and the host's before it: what the distance of their times is wrong by. */
function errorsBetween(lines: readonly TimedLine[]): { readonly errorsNs: number[]; readonly doubtNs: number } {
  const sorted = lines.toSorted((a, b) => Number(a.trueUnixNs - b.trueUnixNs));
  const errorsNs: number[] = [];
  for (const [at, line] of sorted.entries()) {
    const before = sorted[at - 1];
    if (before !== undefined && before.row.kernelId !== line.row.kernelId) errorsNs.push(Math.abs(line.offByNs - before.offByNs));
  }
  // The truth of each, a stamp that is cut to µs, and the way from printk to the trace clock in each kernel.
  return { errorsNs, doubtNs: 2 * lines.reduce((most, { trueErrorNs }) => Math.max(most, trueErrorNs), 0) + LINK_DOUBT_NS };
}

labTest('the ledger balances: what each kernel says it wrote is stored or known to be lost', async (t, of, { kernels }) => {
  await forBoth((kernel) => of.run(kernel, `echo 0 >/sys/kernel/tracing/instances/${TRACE_STREAM}/tracing_on`));
  const own = await forBoth((kernel) => readOwnCounts(of, kernel));
  assert.deepEqual(
    own.map(({ traces }) => traces.length),
    kernels.map(({ cpus }) => cpus),
  );
  const ledger = await readSettledLedger(t, of, own);
  assert.equal(
    ledger.length,
    own.reduce((total, { traces }) => total + traces.length + 1, 0),
  );
  const counted = await of.sql(
    `SELECT BootId, Stream, toInt32(-1), count() FROM otel_logs WHERE Stream = 'kmsg' GROUP BY ALL UNION ALL SELECT BootId, Stream, toInt32(Cpu), count() FROM events GROUP BY ALL`,
  );
  // Counting prints one line: where nothing else was printed in between, the first of the two is the ledger's.
  const kmsgAfter = await forBoth((kernel) => readKmsgCount(of, kernel));
  for (const row of ledger) {
    const name = `${row.kernelName} ${row.stream} ${row.cpu}`;
    const trace = own[row.kernelId]?.traces.find(({ cpu }) => cpu === row.cpu);
    if (row.stream === 'kmsg') assert.ok(row.written < (kmsgAfter[row.kernelId] ?? 0), `${name}: ${row.written}`);
    else assert.deepEqual([row.written, row.lost], [trace?.written, trace?.lost], name);
    const found = counted.find(([boot, stream, cpu]) => boot === row.bootId && stream === row.stream && Number(cpu) === row.cpu);
    assert.equal(row.stored, Number(found?.[3]), `${name}: rows`);
    assert.deepEqual([row.dropped, row.balance, row.state], [0, 0, 'balanced'], name);
  }
  await forBoth((kernel) => of.run(kernel, `echo 1 >/sys/kernel/tracing/instances/${TRACE_STREAM}/tracing_on`));
});

labTest('after a panic the hub has the last words, and says why the kernel died', async (t, of, { root, kernels }) => {
  const bootId = kernels[1]?.bootId ?? '';
  processes = [...processes, ...of.processes()];
  await askLab(of.name, { command: 'fault', kernel: 'spawn1', fault: 'panic', value: '' });
  const dead = { boot: bootId, stream: 'console:spawn1' };
  await until('the panic’s line in the hub', async () => (await readLogs(of, dead)).some(({ body }) => body.startsWith('Kernel panic - ')));
  await until('the host’s line on it', async () => (await readLogs(of, { kernel: '0', search: 'Instance 1 (spawn1) halted' })).length > 0);
  const lastWords = await readLogs(of, dead);
  const hostLines = await readLogs(of, { kernel: '0', stream: 'kmsg', search: 'instance 1' });
  const panic = lastWords.find(({ body }) => body.startsWith('Kernel panic - not syncing: '));
  const halted = hostLines.find(({ body }) => body.startsWith('Instance 1 (spawn1) halted'));
  assert.ok(panic !== undefined && halted !== undefined);
  assert.deepEqual([panic.kernelId, panic.kernelName, panic.bootId], [1, 'spawn1', bootId]);
  const laterNs = Number(BigInt(halted.unixNs) - BigInt(panic.unixNs));
  t.diagnostic(
    `the host’s line comes ${laterNs / 1000} µs after the panic’s, which are ± ${halted.errorNs / 1000} and ± ${panic.errorNs / 1000} µs`,
  );
  assert.ok(laterNs > -(halted.errorNs + panic.errorNs));

  const bodies = (rows: readonly LogRow[]): string[] => rows.map(({ body }) => body);
  const death = explainDeath(1, bodies(lastWords), bodies(hostLines));
  assert.deepEqual([death.kind, death.reason], ['panic', 'panic: sysrq triggered crash']);
  assert.equal(death.evidence, panic.body);
  const status = join(root, 'sys/fs/multikernel/instances/spawn1/status');
  await until('the word of the host that it is down', () => readFileSync(status, 'utf8') === 'loaded\n');
  const { kernels: now } = await of.status();
  assert.deepEqual(
    now.map(({ guest, hasPanicked }) => [guest, hasPanicked]),
    [
      ['up', false],
      ['off', true],
    ],
  );
});

labTest('down leaves no process, no file and no mount', async (_t, of) => {
  processes = [...processes, ...of.processes()];
  const { code, stdout, stderr } = await runCli(['lab', 'down', '--name', of.name]);
  assert.deepEqual([code, stdout], [0, 'ended\n'], stderr);
  assert.deepEqual(await of.ended, { code: 0, signal: undefined });
  await assertNothingLeft(of.dir, processes, of.log);
});
