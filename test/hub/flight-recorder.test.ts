/**
 * Trace pages that are kept by a collector's feed and asked for by a hub, over HTTP and into the store: nothing is sent unasked, what an
 * incident wants comes once, and the ledger balances at each step.
 */
import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clocks, IncidentDetail, IncidentRow, Ledger, LedgerRow } from '../../model/api.ts';
import type { RecorderRequestRow, Recorders } from '../../model/recorder.ts';
import { runCli } from '../support/run-cli.ts';
import { SEGMENT_EVENTS, STREAM } from './recording-feed.ts';
import { getJson, HOST, post, runHub, SPAWN, toLogsBody } from './running-hub.ts';

const SECOND = 1_000_000_000n;
const WAIT_MS = 40_000;
/** Of the first segment; those after it follow at ten seconds. */
const START = (BigInt(Date.now()) / 1000n - 110n) * SECOND;
const perSegment = SEGMENT_EVENTS.reduce((sum, { count }) => sum + count, 0);

const hub = await runHub();
let isOpen = true;
const folder = mkdtempSync(join(tmpdir(), 'mkscope-flight-'));
let feed: ChildProcess | undefined;

/** Returns what it says: behind which segment its stream resumes. */
async function startFeed(): Promise<string> {
  feed = fork(join(import.meta.dirname, 'recording-feed.ts'), [hub.addresses.otlp, folder, String(START)]);
  const [first] = (await once(feed, 'message')) as [string];
  return first;
}

async function killFeed(): Promise<void> {
  const isThere = feed?.exitCode === null && feed.signalCode === null;
  const gone = isThere ? once(feed as ChildProcess, 'exit') : undefined;
  feed?.kill('SIGKILL');
  await gone;
}

async function tell(command: object): Promise<void> {
  feed?.send(command);
  await once(feed as ChildProcess, 'message');
}

after(async () => {
  await killFeed();
  if (isOpen) await hub.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function until<Answer>(what: string, ask: () => Promise<Answer>, isThere: (answer: Answer) => boolean): Promise<Answer> {
  for (const endMs = Date.now() + WAIT_MS; ;) {
    const answer = await ask();
    if (isThere(answer)) return answer;
    assert.ok(Date.now() < endMs, `${what}: ${JSON.stringify(answer)}`);
    await sleep(100);
  }
}

/** Segments whose events are stored, and whether any event is there twice. */
async function storedSegments(): Promise<readonly number[]> {
  const rows = await hub.store.query<{ segment: string; n: number; distinct: number }>(
    `SELECT toString(intDiv(toUnixTimestamp64Nano(Timestamp) - ${START}, 10000000000)) AS segment, toFloat64(count()) AS n,
       toFloat64(uniqExact((RawTime, Cpu, Event, Pid))) AS distinct FROM events GROUP BY segment ORDER BY toInt64(segment)`,
  );
  for (const { segment, n } of rows) assert.equal(n, perSegment, `events of segment ${segment}`);
  return rows.map(({ segment }) => Number(segment));
}

type Sums = Pick<LedgerRow, 'written' | 'stored' | 'kept' | 'overwritten' | 'inFlight' | 'balance'> & { states: string };
async function readBooks(): Promise<Sums> {
  const { rows } = await getJson<Ledger>(hub, '/api/ledger');
  const own = rows.filter(({ stream }) => stream === STREAM);
  const sum = (pick: (row: LedgerRow) => number): number => own.reduce((total, row) => total + pick(row), 0);
  return {
    written: sum((row) => row.written),
    stored: sum((row) => row.stored),
    kept: sum((row) => row.kept),
    overwritten: sum((row) => row.overwritten),
    inFlight: sum((row) => row.inFlight),
    balance: own.reduce((most, row) => Math.max(most, Math.abs(row.balance)), 0),
    states: [...new Set(own.map(({ state }) => state))].join(),
  };
}

test('flight recorder: pages stay where they are; clocks, names and books come', async () => {
  assert.equal(await startFeed(), 'resumes behind -1');
  await tell({ segments: [0, 9], books: 9 });
  const books = await until('books', readBooks, ({ kept, states }) => kept === 9 * perSegment && states === 'balanced');
  assert.deepEqual(books, {
    written: 9 * perSegment,
    stored: 0,
    kept: 9 * perSegment,
    overwritten: 0,
    inFlight: 0,
    balance: 0,
    states: 'balanced',
  });
  assert.deepEqual(await storedSegments(), []);
  const { clocks } = await until(
    'the clock',
    () => getJson<Clocks>(hub, '/api/clocks'),
    ({ clocks: all }) => all.length > 0,
  );
  assert.deepEqual(
    clocks.map(({ bootId, clock: domain }) => [bootId, domain]),
    [[HOST.bootId, 'mono']],
  );
});

let incident: IncidentRow;
test('flight recorder: an incident of any kernel of the machine brings the pages around it', async () => {
  // It is of another kernel, in the middle of segment 3: five seconds to either side are its own ten.
  const line = { text: 'Kernel panic - not syncing: test', unixNs: START + 35n * SECOND, level: 0 };
  assert.equal((await post(`${hub.addresses.otlp}/v1/logs`, toLogsBody(SPAWN, [line]))).status, 200);
  await until('the pages', storedSegments, (found) => found.length > 0);
  await until(
    'the incident',
    () => getJson<{ incidents: IncidentRow[] }>(hub, '/api/incidents'),
    ({ incidents: [first] }) => {
      if (first !== undefined) incident = first;
      return first !== undefined;
    },
  );
  const { recorded: found } = await until(
    'what came',
    () => getJson<IncidentDetail>(hub, `/api/incidents/${incident.id}`),
    (detail) => detail.recorded?.kernels[0]?.isComplete === true,
  );
  assert.deepEqual(await storedSegments(), [3]);
  const [kernel] = found?.kernels ?? [];
  assert.deepEqual([kernel?.kernelName, kernel?.events, kernel?.sentEvents], ['host', perSegment, perSegment]);
  assert.equal(BigInt(found?.toUnixNs ?? 0) - BigInt(found?.fromUnixNs ?? 0), 10n * SECOND);
  await tell({ books: 9 });
  const books = await until('books', readBooks, ({ kept, states }) => kept === 8 * perSegment && states === 'balanced');
  assert.deepEqual([books.stored, books.inFlight, books.balance], [perSegment, 0, 0]);
  const { stdout } = await runCli(['incidents', 'show', incident.id, '--hub', hub.addresses.page]);
  assert.match(stdout, /Trace events of the flight recorders\n {2}host \(0\): [\d,]+ requested, [\d,]+ arrived\n/);
  const html = await (await fetch(`${hub.addresses.page}/api/incidents/${incident.id}/export`)).text();
  assert.match(html, /Trace events of the flight recorders.*<td>host \(0\)<\/td><td class="n">\d+<\/td><td class="n">\d+<\/td>/s);
});

test('flight recorder: a person asks for more, over a collector that is killed, and nothing comes twice', async () => {
  await killFeed();
  assert.equal(await startFeed(), 'resumes behind 8');
  const from = new Date(Number((START + 22n * SECOND) / 1_000_000n)).toISOString();
  const until60 = new Date(Number((START + 45n * SECOND) / 1_000_000n)).toISOString();
  const { code, stdout, stderr } = await runCli([
    'recorder',
    'get',
    '--since',
    from,
    '--until',
    until60,
    '--json',
    '--hub',
    hub.addresses.page,
  ]);
  assert.equal(code, 0, stderr);
  const { requests } = JSON.parse(stdout) as { requests: readonly RecorderRequestRow[] };
  assert.deepEqual(
    requests.map(({ machineName, by, kernels }) => [machineName, by, kernels.map(({ events: of, sentEvents }) => [of, sentEvents])]),
    [['alpha', 'a person', [[3 * perSegment, 3 * perSegment]]]],
  );
  assert.deepEqual(await storedSegments(), [2, 3, 4]);
  await tell({ segments: [9, 10], books: 10 });
  const books = await until('books', readBooks, ({ written: all, states }) => all === 10 * perSegment && states === 'balanced');
  assert.deepEqual([books.stored, books.kept, books.overwritten, books.inFlight, books.balance], [3 * perSegment, 7 * perSegment, 0, 0, 0]);
  const { recorders } = await until(
    'its report',
    () => getJson<Recorders>(hub, '/api/recorders'),
    ({ recorders: [one] }) => one?.keptEvents === 7 * perSegment,
  );
  assert.deepEqual([recorders.length, recorders[0]?.kernelName, recorders[0]?.isHeard], [1, 'host', true]);
});

test('flight recorder: what is sent of a kernel that says nothing more is in the books, too', async () => {
  const body = JSON.stringify({ from: String(START + 53n * SECOND), to: String(START + 54n * SECOND) });
  const answer = await fetch(`${hub.addresses.page}/api/recorders`, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json' },
  });
  assert.equal(answer.status, 200);
  const books = await until('books', readBooks, ({ kept }) => kept === 6 * perSegment);
  const settled =
    books.states === 'balanced' && books.stored === 4 * perSegment
      ? books
      : await until('stored', readBooks, ({ stored }) => stored === 4 * perSegment);
  assert.deepEqual([settled.written, settled.balance, settled.states], [10 * perSegment, 0, 'balanced']);
});

test('flight recorder: a credential of one kernel cannot ask as another, and a wrong window is refused', async () => {
  // A process has one embedded store.
  await killFeed();
  isOpen = false;
  await hub.stop();
  const guarded = await runHub({
    tokens: [
      { token: 'one', grants: 'ingest', kernel: { kernelId: 1 } },
      { token: 'all', grants: 'read' },
    ],
  });
  try {
    const report = { sinceUnixNs: '', keptBytes: 0, maxBytes: 1, keptEvents: 0, requests: [] };
    const ask = (identity: typeof HOST, token: string): Promise<Response> =>
      fetch(`${guarded.addresses.otlp}/v1/mkscope/recorder`, {
        method: 'POST',
        body: JSON.stringify({ identity, ...report }),
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      });
    assert.deepEqual(
      await Promise.all([ask(SPAWN, 'one'), ask(HOST, 'one'), ask(SPAWN, 'all')].map(async (sent) => (await sent).status)),
      [200, 403, 401],
    );
    const wish = async (body: object, token = 'all'): Promise<number> =>
      (
        await fetch(`${guarded.addresses.page}/api/recorders`, {
          method: 'POST',
          body: JSON.stringify(body),
          headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
        })
      ).status;
    assert.deepEqual(
      [
        await wish({ from: '2', to: '1' }),
        await wish({ from: '1', to: '2', machine: 'nobody' }),
        await wish({ from: '1', to: '2' }),
        await wish({ from: '1', to: '2' }, 'one'),
      ],
      [400, 404, 200, 401],
    );
  } finally {
    await guarded.stop();
  }
});
