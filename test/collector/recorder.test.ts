import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Exchange } from '../../collector/peer.ts';
import { windowOf } from '../../collector/page-window.ts';
import { RecorderLink } from '../../collector/recorder-link.ts';
import { Recorder, type KeptCounts, type KeptHeader } from '../../collector/recorder.ts';
import { Spool } from '../../collector/spool.ts';
import { Recorders } from '../../hub/recorders.ts';
import type { Incident } from '../../model/incident.ts';
import { toRecorderReport } from '../../model/recorder-wire.ts';
import { HOST, SPAWN } from '../hub/running-hub.ts';
import { readRingFixture } from '../support/ring-fixture.ts';

const MS = 1_000_000n;
const STREAM = 'tracefs:mkscope';
const NOW_MS = 100_000;
const MIN_FILE_BYTES = 64 << 10;

function tempFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'mkscope-recorder-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A record of ten events on each of two CPUs, from `fromMs` to `toMs`. */
function headerOf(fromMs: number, toMs: number, sequence = fromMs, identity = HOST): KeptHeader {
  return {
    identity,
    path: '/v1/mkscope/segments',
    contentType: 'application/vnd.mkscope.segment',
    encoding: 'identity',
    rows: [0, 1].map((cpu) => ({ stream: STREAM, cpu, count: 10 })),
    fromUnixNs: String(BigInt(fromMs) * MS),
    toUnixNs: String(BigInt(toMs) * MS),
    positions: { [STREAM]: { bootId: identity.bootId, sequence } },
    formatSet: 'f',
  };
}

const bodyOf = (byte: number, bytes = 100): Uint8Array => new Uint8Array(bytes).fill(byte);
const countsOf = (recorder: Recorder): [number, number, number][] =>
  [...recorder.counts].map(({ cpu, kept, overwritten }: KeptCounts) => [cpu, kept, overwritten]);
const windowIn = (recorder: Recorder, fromMs: number, toMs: number): number[] =>
  [...recorder.window(fromMs, toMs)].map(({ number }) => number);

test('recorder: gives back what touches a window, with its bytes, also to the next process', (t) => {
  const folder = tempFolder(t);
  const first = Recorder.open(folder, 1 << 20);
  for (let at = 0; at < 10; at++) assert.ok(first.keep(headerOf(at * 100, at * 100 + 50), bodyOf(at)));
  assert.deepEqual(windowIn(first, 320, 500), [3, 4, 5]);
  assert.deepEqual(windowIn(first, 360, 390), []);
  // Killed: nothing is closed.
  const second = Recorder.open(folder, 1 << 20);
  assert.equal(second.id, first.id);
  assert.deepEqual(windowIn(second, 320, 500), [3, 4, 5]);
  const [ref] = second.window(400, 400);
  assert.ok(ref !== undefined);
  assert.deepEqual(second.read(ref), { header: headerOf(400, 450), body: bodyOf(4) });
  assert.deepEqual([second.identity, second.positions.get(STREAM)?.sequence, second.sinceMs], [HOST, 900, 51]);
  second.keep(headerOf(1000, 1050), bodyOf(10));
  assert.deepEqual(windowIn(second, 900, 2000), [9, 10]);
});

test('recorder: at its bound the oldest file goes; what fell out unsent is counted once, over a kill, too', (t) => {
  const folder = tempFolder(t);
  const maxBytes = 3 * MIN_FILE_BYTES;
  const recorder = Recorder.open(folder, maxBytes);
  const [sent] = (recorder.keep(headerOf(0, 50), bodyOf(0, 10_000)), recorder.window(0, 50));
  assert.ok(sent !== undefined);
  recorder.markSent(sent, headerOf(0, 50));
  assert.deepEqual(countsOf(recorder), [
    [0, 0, 0],
    [1, 0, 0],
  ]);
  for (let at = 1; at < 60; at++) recorder.keep(headerOf(at * 100, at * 100 + 50), bodyOf(at, 10_000));
  assert.ok(recorder.sizeBytes <= maxBytes, `${recorder.sizeBytes}`);
  const [oldest = 0] = windowIn(recorder, 0, 10_000);
  const kept = (60 - oldest) * 10;
  assert.ok(oldest > 30 && kept > 0);
  const expected = [0, 1].map((cpu) => [cpu, kept, (oldest - 1) * 10]);
  assert.deepEqual(countsOf(recorder), expected);
  assert.equal(recorder.sinceMs, oldest * 100 + 51);
  assert.deepEqual(countsOf(Recorder.open(folder, maxBytes)).sort(), expected);
  // Killed when it was counted and its file was not removed yet.
  writeFileSync(join(folder, '000000000000.log'), '');
  assert.deepEqual(countsOf(Recorder.open(folder, maxBytes)).sort(), expected);
  assert.ok(!readdirSync(folder).includes('000000000000.log'));
});

test('recorder: a torn tail is cut, and a mark of what was torn is none', (t) => {
  const folder = tempFolder(t);
  const first = Recorder.open(folder, 1 << 20);
  for (let at = 0; at < 3; at++) first.keep(headerOf(at, at), bodyOf(at));
  const [, second] = first.window(0, 10);
  assert.ok(second !== undefined);
  first.markSent(second, headerOf(1, 1));
  appendFileSync(join(folder, '000000000000.log'), 'MKR1 torn');
  appendFileSync(join(folder, '000000000000.sent'), 'MKR1 torn');
  const recorder = Recorder.open(folder, 1 << 20);
  assert.deepEqual(
    [...recorder.window(0, 10)].map((ref) => recorder.isSent(ref)),
    [false, true, false],
  );
  assert.deepEqual(countsOf(recorder).sort(), [
    [0, 20, 0],
    [1, 20, 0],
  ]);
});

test('recorder: a record of another boot is in the books of that boot', (t) => {
  const recorder = Recorder.open(tempFolder(t), 1 << 20);
  recorder.keep(headerOf(0, 0), bodyOf(0));
  recorder.keep(headerOf(1, 1, 0, { ...HOST, bootId: 'later' }), bodyOf(1));
  assert.deepEqual(
    [...recorder.counts].map(({ identity, cpu, kept }) => [identity.bootId, cpu, kept]),
    [
      [HOST.bootId, 0, 10],
      [HOST.bootId, 1, 10],
      ['later', 0, 10],
      ['later', 1, 10],
    ],
  );
});

test('recorder: the window of pages begins with their first event, in the kernel’s byte order', () => {
  const { segment, set } = readRingFixture();
  const stamp = new DataView(segment.pages.buffer, segment.pages.byteOffset).getBigUint64(0, true);
  const fit = { baseRaw: String(stamp), baseUnixNs: '5000000000', nsPerTick: 1, errorNs: 100 };
  const first = { header: { ...segment.header, fit, chunks: segment.header.chunks.slice(0, 1) }, pages: segment.pages };
  assert.deepEqual(windowOf(first, set.endian, 6_000_000_000n), { fromUnixNs: 4_999_999_900n, toUnixNs: 6_000_000_000n });
  assert.deepEqual(windowOf({ ...first, header: { ...first.header, chunks: [] } }, set.endian, 7n), { fromUnixNs: 7n, toUnixNs: 7n });
  const swapped = new Uint8Array(8);
  new DataView(swapped.buffer).setBigUint64(0, stamp, false);
  const big = { header: { ...first.header, chunks: [{ cpu: 0, pages: 1 }], pageSizeBytes: 8 }, pages: swapped };
  assert.equal(windowOf(big, 'big', 6_000_000_000n).fromUnixNs, 4_999_999_900n);
});

interface Linked {
  readonly recorder: Recorder;
  readonly spool: Spool;
  readonly recorders: Recorders;
  readonly link: RecorderLink;
}

/** A recorder, and the hub's part without the wire in between. */
function openLink(folder: string): Linked {
  const spool = Spool.open(join(folder, 'spool'), 1 << 20);
  const recorder = Recorder.open(join(folder, 'recorder'), 1 << 20);
  const recorders = new Recorders({ path: join(folder, 'hub', 'requests.json'), windowMs: 100 });
  const exchange: Exchange = (_method, _path, _type, body) => {
    const report = toRecorderReport(body ?? new Uint8Array(0));
    assert.ok(typeof report !== 'string', String(report));
    const answer = new TextEncoder().encode(JSON.stringify({ requests: recorders.take(report, NOW_MS) }));
    return Promise.resolve({ status: 200, body: answer, error: '' });
  };
  const link = new RecorderLink({ recorder, spool, exchange, isHub: () => true, wake: () => undefined, onTurn: () => undefined });
  return { recorder, spool, recorders, link };
}

function spooled(spool: Spool): number[] {
  return [...spool.headers()].map(({ kept }) => kept?.number ?? -1);
}

const incidentAt = (atMs: number, more: Partial<Incident> = {}): Incident =>
  ({
    id: 'abc123',
    severity: 'error',
    machineId: HOST.machineId,
    firstUnixNs: BigInt(atMs) * MS,
    lastUnixNs: BigInt(atMs) * MS,
    ...more,
  }) as Incident;

test('recorder: windows that overlap are sent once, whoever asks, and over a kill between spool and mark', async (t) => {
  const folder = tempFolder(t);
  const first = openLink(folder);
  for (let at = 0; at < 20; at++) first.recorder.keep(headerOf(at * 100, at * 100 + 50), bodyOf(at));
  await first.link.poll(NOW_MS);
  assert.deepEqual(spooled(first.spool), []);
  first.recorders.askFor(incidentAt(500), NOW_MS);
  await first.link.poll(NOW_MS);
  assert.deepEqual(spooled(first.spool), [4, 5, 6]);
  await first.link.poll(NOW_MS);
  first.recorders.ask(undefined, '600000000', '900000000', NOW_MS);
  await first.link.poll(NOW_MS);
  assert.deepEqual(spooled(first.spool), [4, 5, 6, 7, 8, 9]);
  // Killed when record 12 was in the spool and not marked yet.
  const [twelfth] = first.recorder.window(1200, 1200);
  assert.ok(twelfth !== undefined);
  const { identity: _identity, ...header } = first.recorder.read(twelfth).header;
  first.spool.append('bulk', { ...header, positions: {}, kept: { recorder: first.recorder.id, number: 12 } }, bodyOf(12));
  writeFileSync(join(folder, 'spool', 'lock'), '999999999 1');

  const second = openLink(folder);
  second.recorders.ask(HOST.machineName, '0', '1300000000', NOW_MS);
  assert.deepEqual(second.recorders.ask('no such machine', '0', '1', NOW_MS), []);
  await second.link.poll(NOW_MS);
  second.recorders.ask(HOST.machineName, '0', '1300000000', NOW_MS);
  await second.link.poll(NOW_MS);
  assert.deepEqual(
    spooled(second.spool).toSorted((a, b) => a - b),
    Array.from({ length: 14 }, (_, at) => at),
  );
  assert.deepEqual(countsOf(second.recorder).sort(), [
    [0, 60, 0],
    [1, 60, 0],
  ]);
});

test('recorder: what came of a request is told, and that older pages are not kept any more', async (t) => {
  const { link, recorder, recorders, spool } = openLink(tempFolder(t));
  for (let at = 3; at < 10; at++) recorder.keep(headerOf(at * 100, at * 100 + 50), bodyOf(at));
  recorders.askFor(incidentAt(300), NOW_MS);
  await link.poll(NOW_MS);
  await link.poll(NOW_MS);
  const told = (): unknown => recorders.ofIncident('abc123');
  const kernel = { kernelId: 0, kernelName: 'host', events: 40, sentEvents: 0, isComplete: false, sinceUnixNs: '351000000' };
  assert.deepEqual(told(), { fromUnixNs: '200000000', toUnixNs: '400000000', kernels: [kernel] });
  for (let record = spool.peek('bulk'); record !== undefined; record = spool.peek('bulk')) spool.acknowledge('bulk', record.header.seq);
  await link.poll(NOW_MS);
  assert.deepEqual(told(), { fromUnixNs: '200000000', toUnixNs: '400000000', kernels: [{ ...kernel, sentEvents: 40, isComplete: true }] });
  assert.deepEqual(recorders.take({ ...HOST_REPORT, requests: [] }, NOW_MS), []);
  // It goes on: the rest is asked for.
  recorders.askFor(incidentAt(300, { lastUnixNs: 600n * MS }), NOW_MS);
  await link.poll(NOW_MS);
  await link.poll(NOW_MS);
  assert.equal(recorders.ofIncident('abc123')?.kernels[0]?.events, 100);
  assert.equal(recorders.list(NOW_MS).requests.length, 1);
});

const HOST_REPORT = { identity: HOST, sinceUnixNs: '', keptBytes: 0, maxBytes: 1, keptEvents: 0, requests: [] };

test('recorder: requests are of one machine, survive the hub, and are not made of stops that were asked for', (t) => {
  const path = join(tempFolder(t), 'recorders', 'requests.json');
  const first = new Recorders({ path, windowMs: 100 });
  first.askFor(incidentAt(1000), NOW_MS);
  first.askFor(incidentAt(2000, { id: 'stop', severity: 'info' }), NOW_MS);
  first.askFor(incidentAt(1000), NOW_MS);
  const second = new Recorders({ path, windowMs: 100 });
  const elsewhere = { ...HOST, machineId: 'machine-2' };
  assert.deepEqual(second.take({ ...HOST_REPORT, identity: elsewhere }, NOW_MS), []);
  const wanted = [{ id: 'abc123', fromUnixNs: '900000000', toUnixNs: '1100000000' }];
  assert.deepEqual(second.take(HOST_REPORT, NOW_MS), wanted);
  const done = { id: 'abc123', segments: 1, sentSegments: 1, events: 5, sentEvents: 5, isComplete: true };
  assert.deepEqual(second.take({ ...HOST_REPORT, requests: [done] }, NOW_MS), []);
  // The other kernel of the machine has not finished; one of another machine cannot finish it.
  second.take({ ...HOST_REPORT, identity: { ...SPAWN, machineId: 'machine-2' }, requests: [done] }, NOW_MS);
  assert.deepEqual(second.take({ ...HOST_REPORT, identity: SPAWN }, NOW_MS), wanted);
  assert.deepEqual(second.take({ ...HOST_REPORT, identity: SPAWN }, NOW_MS + 25 * 3_600_000), []);
});

test('recorder: a report that says nonsense is refused with the reason', () => {
  const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
  assert.deepEqual(toRecorderReport(encode(HOST_REPORT)), HOST_REPORT);
  for (const [change, reason] of [
    [{ identity: { ...HOST, kernelId: -1 } }, /kernelId/],
    [{ sinceUnixNs: 'now' }, /sinceUnixNs/],
    [{ keptBytes: 1e300 }, /size/],
    [{ requests: [{ id: 'a', segments: -1 }] }, /list of reports/],
    [{ requests: Array.from({ length: 65 }, () => ({})) }, /list of reports/],
  ] as const) {
    assert.match(String(toRecorderReport(encode({ ...HOST_REPORT, ...change }))), reason);
  }
  assert.match(String(toRecorderReport(Uint8Array.of(1, 2))), /no JSON/);
});
