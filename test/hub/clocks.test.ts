/** Rows that were stored before their clock was known better: read by the line that is known now, and stored as they were. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, test } from 'node:test';
import { encodeSegment, hashFormatSet, type HubLink, type SegmentHeader } from '../../model/segment.ts';
import type { Clocks, EventRow, KernelRow, LogRow } from '../../model/api.ts';
import { queryRevisions } from '../../store/queries/clocks.ts';
import { queryEvents } from '../../store/queries/events.ts';
import { queryLogs } from '../../store/queries/logs.ts';
import { readRingFixture } from '../support/ring-fixture.ts';
import { getJson, HOST, post, runHub, SPAWN, toLogsBody, type RunningHub } from './running-hub.ts';

const START = 1_788_510_993_000_000_000n;
const WRONG_NS = 700_000n;
const LINES = 60;
/** Each 100 µs a line, by turns of the host's and of the spawn's, whose stored times are 700 µs late. */
const trueNs = (line: number): bigint => START + BigInt(line) * 100_000n;
const toRaw = (unixNs: bigint): bigint => unixNs % 1_000_000_000_000n;

const hub = await runHub();
let isOpen = true;
after(async () => {
  if (isOpen) await hub.close();
  rmSync(hub.dataDir, { recursive: true, force: true });
});

async function fill(): Promise<void> {
  const of = (isSpawn: boolean): { text: string; unixNs: bigint; sequence: number }[] =>
    Array.from({ length: LINES }, (_, line) => line)
      .filter((line) => (line % 2 === 1) === isSpawn)
      .map((line) => ({ text: `line ${line}`, unixNs: trueNs(line) + (isSpawn ? WRONG_NS : 0n), sequence: line }));
  await post(`${hub.addresses.otlp}/v1/logs`, toLogsBody(HOST, of(false)));
  await post(`${hub.addresses.otlp}/v1/logs`, toLogsBody(SPAWN, of(true)));
  // Raw times are those of the stored ones: the line says that they are 700 µs earlier. It was drawn in two pieces.
  const middle = trueNs(30) + WRONG_NS;
  const row = { clock: 'printk', nsPerTick: 1, errorNs: 40, evidence: 'messages, reference', segment: 0, revision: 1, shiftNs: 750_000 };
  const rows = [
    { ...row, fromRaw: toRaw(trueNs(0)), toRaw: toRaw(middle), baseUnixNs: trueNs(0) - WRONG_NS },
    { ...row, fromRaw: toRaw(middle), toRaw: toRaw(trueNs(LINES) + WRONG_NS), baseUnixNs: middle - WRONG_NS },
  ];
  await hub.store.append({ clockFits: [{ identity: SPAWN, rows }] });
}

const bodies = (rows: readonly LogRow[]): string[] => rows.map(({ body }) => body);

test('aligned logs: pages come in the order of the line that is known now, in both directions, whatever their size', async () => {
  await fill();
  const expected = Array.from({ length: LINES }, (_, line) => `line ${line}`);
  const revisions = await queryRevisions(hub.store);
  assert.equal(revisions.length, 2);
  const stored = await queryLogs(hub.store, { limit: 1000 });
  assert.notDeepEqual(bodies(stored.rows), expected);
  for (const limit of [7, 59, 100]) {
    const walked: LogRow[] = [];
    let page = await queryLogs(hub.store, { limit }, revisions);
    walked.unshift(...page.rows);
    while (page.older !== undefined) {
      page = await queryLogs(hub.store, { limit, cursor: page.older }, revisions);
      walked.unshift(...page.rows);
    }
    assert.deepEqual(bodies(walked), expected, `pages of ${limit}`);
    const back: LogRow[] = [...page.rows];
    while (page.newer !== undefined) {
      page = await queryLogs(hub.store, { limit, cursor: page.newer }, revisions);
      back.push(...page.rows);
    }
    assert.deepEqual(bodies(back), expected, `pages of ${limit}, back`);
    for (const [line, row] of walked.entries()) {
      assert.equal(row.unixNs, String(trueNs(line)));
      assert.equal(row.errorNs, line % 2 === 1 ? 40 : 250);
    }
  }
});

test('aligned logs: a row is found by its name at the time that it has now', async () => {
  const revisions = await queryRevisions(hub.store);
  for (const { uid, body, unixNs } of (await queryLogs(hub.store, { limit: 1000 })).rows.slice(0, 6)) {
    const { rows } = await queryLogs(hub.store, { uid }, revisions);
    assert.deepEqual(bodies(rows), [body]);
    assert.equal(BigInt(unixNs) - BigInt(rows[0]?.unixNs ?? 0), rows[0]?.bootId === SPAWN.bootId ? WRONG_NS : 0n);
  }
});

test('aligned logs: a range is one of aligned times', async () => {
  const revisions = await queryRevisions(hub.store);
  const query = { from: String(trueNs(20)), to: String(trueNs(29)), limit: 100 };
  assert.deepEqual(
    bodies((await queryLogs(hub.store, query, revisions)).rows),
    Array.from({ length: 10 }, (_, at) => `line ${20 + at}`),
  );
});

test('aligned logs: the view says the same, and rows are as they were stored', async () => {
  const rows = await hub.store.query<{ body: string; aligned: string; moved: string; error: string }>(
    `SELECT Body AS body, toUnixTimestamp64Nano(AlignedTime) AS aligned, toUnixTimestamp64Nano(Timestamp) - aligned AS moved,
       AlignedErrorNs AS error FROM otel_logs_aligned ORDER BY AlignedTime`,
  );
  assert.deepEqual(
    rows.map(({ body, aligned, moved, error }) => [body, aligned, moved, error]),
    Array.from({ length: LINES }, (_, line) => [
      `line ${line}`,
      String(trueNs(line)),
      line % 2 === 1 ? '700000' : '0',
      line % 2 === 1 ? '40' : '250',
    ]),
  );
});

test('aligned events: pages come in the order of the line that is known now, in both directions, as logs do', async () => {
  const { set, segment } = readRingFixture();
  const identity = { ...segment.header.identity, bootId: '00000000-0000-4000-8000-00000000e0e0' };
  const { otlp } = hub.addresses;
  await fetch(`${otlp}/v1/mkscope/formats/${hashFormatSet(set)}`, { method: 'PUT', body: JSON.stringify(set) });
  const header = { ...segment.header, identity, fit: { ...segment.header.fit, errorNs: 900_000 } };
  const type = { 'content-type': 'application/vnd.mkscope.segment' };
  assert.equal((await post(`${otlp}/v1/mkscope/segments`, encodeSegment({ ...segment, header }), type)).status, 200);
  const stored = (await queryEvents(hub.store, { boot: identity.bootId, limit: 5000 })).rows;
  const middle = stored[stored.length >> 1];
  assert.ok(stored.length > 300 && middle !== undefined);
  // The older half is 700 µs earlier than it was thought, of which 40 µs are not sure: in time it moves behind nothing, but far.
  const raws = stored.map(({ raw }) => BigInt(raw)).sort((a, b) => (a < b ? -1 : 1));
  const [fromRaw = 0n] = raws;
  const toRaw = BigInt(middle.raw);
  const baseUnixNs = BigInt(stored.find(({ raw }) => BigInt(raw) === fromRaw)?.unixNs ?? 0) - WRONG_NS;
  const row = { clock: header.clock, fromRaw, toRaw, baseUnixNs, nsPerTick: header.fit.nsPerTick, errorNs: 40 };
  await hub.store.append({
    clockFits: [{ identity, rows: [{ ...row, evidence: 'messages, reference', segment: 0, revision: 1, shiftNs: 750_000 }] }],
  });
  const revisions = (await queryRevisions(hub.store)).filter(({ bootId }) => bootId === identity.bootId);
  assert.equal(revisions.length, 1);
  const keyOf = ({ cpu, raw, event, body }: EventRow): string => `${raw} ${cpu} ${event} ${body}`;
  const before = new Map(stored.map((one) => [keyOf(one), one]));
  for (const limit of [400, 5000]) {
    const walked: EventRow[] = [];
    let page = await queryEvents(hub.store, { boot: identity.bootId, limit }, revisions);
    walked.unshift(...page.rows);
    while (page.older !== undefined) {
      page = await queryEvents(hub.store, { boot: identity.bootId, limit, cursor: page.older }, revisions);
      walked.unshift(...page.rows);
    }
    const back: EventRow[] = [...page.rows];
    while (page.newer !== undefined) {
      page = await queryEvents(hub.store, { boot: identity.bootId, limit, cursor: page.newer }, revisions);
      back.push(...page.rows);
    }
    assert.deepEqual(walked.map(keyOf).toSorted(), [...before.keys()].toSorted(), `pages of ${limit}`);
    assert.deepEqual(back, walked, `pages of ${limit}, back`);
    for (const [at, one] of walked.entries()) {
      assert.ok(at === 0 || BigInt(one.unixNs) >= BigInt(walked[at - 1]?.unixNs ?? 0), `row ${at} of pages of ${limit}`);
      const isMoved = BigInt(one.raw) < toRaw;
      const movedNs = BigInt(before.get(keyOf(one))?.unixNs ?? 0) - BigInt(one.unixNs);
      assert.ok(isMoved ? movedNs >= WRONG_NS - 1n && movedNs <= WRONG_NS + 1n : movedNs === 0n, `${one.raw} moved by ${movedNs} ns`);
      assert.equal(one.errorNs, isMoved ? 40 : (before.get(keyOf(one))?.errorNs ?? 0));
    }
  }
  // A range is one of aligned times: the older half ends 700 µs earlier.
  const to = String(BigInt(middle.unixNs) - WRONG_NS - 2n);
  const early = await queryEvents(hub.store, { boot: identity.bootId, to, limit: 5000 }, revisions);
  assert.equal(early.rows.length, raws.filter((raw) => raw < toRaw).length);
});

test('clocks: a segment is evidence, its clock is listed, stored and shown, and known again after a restart', async () => {
  const { set, segment } = readRingFixture();
  const { bootId } = segment.header.identity;
  // The stamp of the first page: the fit is of a moment that is near to the events.
  const baseRaw = String(new DataView(segment.pages.buffer, segment.pages.byteOffset).getBigUint64(0, true));
  const send = async (running: RunningHub, fit: Partial<SegmentHeader['fit']>): Promise<void> => {
    const { otlp } = running.addresses;
    const put = await fetch(`${otlp}/v1/mkscope/formats/${hashFormatSet(set)}`, { method: 'PUT', body: JSON.stringify(set) });
    assert.equal(put.status, 200);
    const header: SegmentHeader = { ...segment.header, fit: { ...segment.header.fit, baseRaw, baseUnixNs: String(START), ...fit } };
    const type = { 'content-type': 'application/vnd.mkscope.segment' };
    const answer = await post(`${otlp}/v1/mkscope/segments`, encodeSegment({ ...segment, header }), type);
    assert.equal(answer.status, 200, await answer.text());
  };
  await send(hub, { errorNs: 5000 });
  const { clocks, audit } = await getJson<Clocks>(hub, '/api/clocks');
  assert.deepEqual(audit, { messages: 0, early: 0, impossible: 0, worstNs: 0 });
  const [clock] = clocks;
  assert.deepEqual([clocks.length, clock?.bootId, clock?.clock, clock?.steps], [1, bootId, segment.header.clock, 0]);
  assert.ok(clock !== undefined && clock.errorNs >= 5000 && clock.errorNs < 2_000_000, `${clock?.errorNs}`);
  const { kernels } = await getJson<{ kernels: readonly KernelRow[] }>(hub, '/api/kernels');
  assert.equal(kernels.find((kernel) => kernel.bootId === bootId)?.clockErrorNs, clock.errorNs);
  const metrics = await (await fetch(`${hub.addresses.page}/metrics`)).text();
  assert.match(metrics, /^mkscope_clock_error_seconds\{.*\} [\d.e-]+$/m);
  assert.match(metrics, /^mkscope_causality_impossible_total 0$/m);
  await hub.close();
  isOpen = false;
  const second = await runHub({ dataDir: hub.dataDir });
  try {
    const [stored] = await second.store.query<{ boot: string; fits: string }>(
      'SELECT any(BootId) AS boot, count() AS fits FROM clock_fits WHERE Revision = 0',
    );
    assert.deepEqual([stored?.boot, Number(stored?.fits) > 0], [bootId, true]);
    // The collector knows it worse now; the line from before still holds.
    await send(second, { errorNs: 50_000_000 });
    const [again] = (await getJson<Clocks>(second, '/api/clocks')).clocks;
    assert.ok(again !== undefined && again.errorNs < 3_000_000, `${again?.errorNs}`);
  } finally {
    await second.stop();
  }
});

test('clocks: lines of a kernel that tells its own wall clock are placed by the hub’s clock, or not believed', async (t) => {
  const running = await runHub();
  t.after(() => running.stop());
  const { otlp } = running.addresses;
  const { process: name } = (await (await fetch(`${otlp}/v1/mkscope/clock`)).json()) as { process: string };
  /** A clock of which Unix time is `aheadNs` of the truth; at START the hub's shows an hour. */
  const toLink = (aheadNs: bigint, process = name): HubLink => ({
    process,
    fit: { baseRaw: String(START + aheadNs), baseUnixNs: String(3_600_000_000_000n), nsPerTick: 1, errorNs: 300_000 },
  });
  const readLine = async (text: string): Promise<{ at: string; error: number; attributes: Record<string, string> } | undefined> =>
    (
      await running.store.query<{ at: string; error: number; attributes: Record<string, string> }>(
        `SELECT toString(toUnixTimestamp64Nano(Timestamp)) AS at, toFloat64(ClockErrorNs) AS error, ScopeAttributes AS attributes
         FROM otel_logs WHERE Body = '${text}'`,
      )
    )[0];
  const say = async (text: string, hub: HubLink | undefined): Promise<void> => {
    // Its clock is a day ahead; the line is of 2 s before the ping.
    const unixNs = START + 86_400_000_000_000n - 2_000_000_000n;
    assert.equal((await post(`${otlp}/v1/logs`, toLogsBody(SPAWN, [{ text, unixNs }], 'kmsg', hub))).status, 200);
  };
  await say('before the host', toLink(86_400_000_000_000n));
  assert.equal((await readLine('before the host'))?.error, 1e9, 'its own word, as sure as a wall clock');

  const { set, segment } = readRingFixture();
  await fetch(`${otlp}/v1/mkscope/formats/${hashFormatSet(set)}`, { method: 'PUT', body: JSON.stringify(set) });
  const baseRaw = String(new DataView(segment.pages.buffer, segment.pages.byteOffset).getBigUint64(0, true));
  const fit = { ...segment.header.fit, baseRaw, baseUnixNs: String(START), errorNs: 5000 };
  const header: SegmentHeader = { ...segment.header, identity: HOST, fit, wall: 'host', hub: toLink(0n) };
  const type = { 'content-type': 'application/vnd.mkscope.segment' };
  assert.equal((await post(`${otlp}/v1/mkscope/segments`, encodeSegment({ ...segment, header }), type)).status, 200);

  await say('behind the host', toLink(86_400_000_000_000n));
  const line = await readLine('behind the host');
  assert.ok(line !== undefined);
  const offNs = Number(BigInt(line.at) - (START - 2_000_000_000n));
  t.diagnostic(`off by ${offNs} ns, stated ± ${line.error} ns`);
  assert.ok(Math.abs(offNs) <= line.error && line.error < 50e6, `off by ${offNs} ns, ± ${line.error} ns`);
  assert.deepEqual(Object.keys(line.attributes).sort(), ['mk.clock.domain', 'mk.clock.error_ns', 'mk.stream']);
  await say('of another hub', toLink(86_400_000_000_000n, 'another'));
  assert.equal((await readLine('of another hub'))?.error, 1e9);
});
