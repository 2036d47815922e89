import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { EventPage, Timeline, TimelineLane } from '../../model/api.ts';
import { encodeSegment, hashFormatSet } from '../../model/segment.ts';
import { readRingFixture } from '../support/ring-fixture.ts';
import { getJson, post, runHub, type RunningHub } from './running-hub.ts';

const { set, segment } = readRingFixture();
const SEGMENT = { 'content-type': 'application/vnd.mkscope.segment' };
const { bootId } = segment.header.identity;
let hub: RunningHub;

before(async () => {
  hub = await runHub();
});
after(() => hub.stop());

interface Switch {
  readonly timeNs: bigint;
  readonly cpu: number;
  readonly prevPid: number;
  readonly nextPid: number;
}

/** The same slices by brute force from the events as the API lists them. */
async function readSwitches(): Promise<Switch[]> {
  const { rows } = await getJson<EventPage>(hub, '/api/events?event=sched_switch&limit=5000');
  return rows.map((row) => ({
    timeNs: BigInt(row.unixNs),
    cpu: row.cpu,
    prevPid: Number(row.fields['prev_pid']),
    nextPid: Number(row.fields['next_pid']),
  }));
}

/** Who leaves at a switch ran since the switch before; behind the last one runs who came with it. */
function busyNs(switches: readonly Switch[], cpu: number, from: bigint, to: bigint): number {
  const own = switches.filter((of) => of.cpu === cpu);
  let busy = 0n;
  let since = from;
  for (const { timeNs, prevPid } of own) {
    if (prevPid !== 0) busy += timeNs - since;
    since = timeNs;
  }
  return Number(own.at(-1)?.nextPid === 0 ? busy : busy + to - since);
}

function inkNs(lane: TimelineLane): number {
  return lane.endNs.reduce((total, end, index) => total + end - (lane.startNs[index] as number), 0);
}

test('segments: a segment of an unknown format set is refused with 424, and taken once the set is there', async () => {
  const body = encodeSegment(segment);
  const refused = await post(`${hub.addresses.otlp}/v1/mkscope/segments`, body, SEGMENT);
  assert.equal(refused.status, 424);
  assert.equal(((await refused.json()) as { code: string }).code, 'E_FORMAT_SET_UNKNOWN');
  const hash = hashFormatSet(set);
  const wrong = await fetch(`${hub.addresses.otlp}/v1/mkscope/formats/${'0'.repeat(32)}`, { method: 'PUT', body: JSON.stringify(set) });
  assert.equal(wrong.status, 400);
  const put = await fetch(`${hub.addresses.otlp}/v1/mkscope/formats/${hash}`, { method: 'PUT', body: JSON.stringify(set) });
  assert.equal(put.status, 200);
  const hello = (await (await fetch(`${hub.addresses.otlp}/v1/mkscope/hello`)).json()) as { mkscope: string; formats: string[] };
  assert.deepEqual(hello, { mkscope: 'test', formats: [hash] });
  const origin = { 'x-mkscope-batch-stream': 'spool-1', 'x-mkscope-batch-seq': '7' };
  for (let time = 0; time < 2; time++) {
    const taken = await post(`${hub.addresses.otlp}/v1/mkscope/segments`, body, { ...SEGMENT, ...origin });
    assert.equal(taken.status, 200, await taken.text());
  }
  const [count] = await hub.store.query<{ events: number }>('SELECT toFloat64(count()) AS events FROM events');
  const names = await getJson<{ names: { event: string; count: number }[] }>(hub, '/api/events/names');
  assert.ok((count?.events ?? 0) > 100);
  assert.equal(
    names.names.reduce((total, of) => total + of.count, 0),
    count?.events,
    'sent twice under one number, stored once',
  );
});

test('segments: events have their task, time and fields', async () => {
  const { rows } = await getJson<EventPage>(hub, '/api/events?event=sched:sched_switch&limit=5000');
  assert.ok(rows.length > 10);
  for (const row of rows) {
    assert.equal(row.bootId, bootId);
    assert.equal(row.clock, segment.header.clock);
    assert.equal(row.comm, row.pid === 0 ? '<idle>' : row.fields['prev_comm']);
    assert.equal(String(row.pid), row.fields['prev_pid']);
    assert.match(row.body, /prev_comm=.* next_pid=\d+/);
  }
  const times = rows.map((row) => BigInt(row.unixNs));
  assert.deepEqual(
    times,
    times.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0)),
  );
});

test('timeline: slices are exact where a pixel holds one switch', async () => {
  const switches = await readSwitches();
  const from = switches[0]?.timeNs as bigint;
  const to = (switches[Math.min(20, switches.length - 1)]?.timeNs as bigint) + 1n;
  const picture = await getJson<Timeline>(hub, `/api/timeline?boot=${bootId}&from=${from}&to=${to}&width=8192`);
  const seen = switches.filter((of) => of.timeNs >= from && of.timeNs <= to);
  assert.equal(picture.events, seen.length);
  const wholes = picture.lanes
    .flatMap((lane) => lane.merged.map((merged, index) => ({ lane, merged, index })))
    .filter(({ merged }) => merged === 1);
  assert.ok(wholes.length > 0);
  for (const { lane, index } of wholes) {
    const endNs = from + BigInt(lane.endNs[index] as number);
    const atEnd = seen.find((of) => of.cpu === lane.cpu && of.timeNs === endNs);
    if (atEnd !== undefined) assert.equal(lane.pid[index], atEnd.prevPid);
    else assert.ok(endNs >= (seen.findLast((of) => of.cpu === lane.cpu)?.timeNs ?? 0n));
    assert.notEqual(lane.pid[index], 0, 'idle is empty');
  }
});

test('timeline: the ink of a lane is the time its tasks ran, at every width', async () => {
  const switches = await readSwitches();
  const from = switches[0]?.timeNs as bigint;
  const to = switches.at(-1)?.timeNs as bigint;
  for (const width of [1, 7, 100, 1600, 8192]) {
    const picture = await getJson<Timeline>(hub, `/api/timeline?boot=${bootId}&from=${from}&to=${to}&width=${width}`);
    assert.equal(picture.events, switches.length);
    for (const lane of picture.lanes) {
      const expected = busyNs(switches, lane.cpu, from, to);
      assert.ok(Math.abs(inkNs(lane) - expected) <= 1, `width ${width} CPU ${lane.cpu}: ${inkNs(lane)} ns drawn, ${expected} ns ran`);
      assert.ok(lane.startNs.length <= width * 2 + 1);
    }
  }
});

test('timeline: a window without switches keeps the state of the last switch before it', async () => {
  const switches = await readSwitches();
  const isFollowed = (of: Switch, index: number): boolean => switches.slice(index + 1).some((later) => later.cpu === of.cpu);
  const start = switches.find((of, index) => of.nextPid !== 0 && isFollowed(of, index)) as Switch;
  const end = switches.find((of) => of.cpu === start.cpu && of.timeNs > start.timeNs) as Switch;
  const picture = await getJson<Timeline>(hub, `/api/timeline?boot=${bootId}&from=${start.timeNs + 1n}&to=${end.timeNs - 1n}&width=10`);
  const lane = picture.lanes.find((of) => of.cpu === start.cpu) as TimelineLane;
  assert.deepEqual(lane.pid, [start.nextPid]);
  assert.deepEqual([lane.startNs, lane.endNs], [[0], [Number(end.timeNs - start.timeNs) - 2]]);
});

test('timeline: an unknown boot is an empty picture, and wrong parameters are named', async () => {
  const empty = await getJson<Timeline>(hub, '/api/timeline?boot=nobody');
  assert.deepEqual([empty.lanes, empty.storedFrom, empty.events], [[], '', 0]);
  const problem = await getJson<{ detail: string }>(hub, '/api/timeline?boot=x&width=0', 400);
  assert.match(problem.detail, /width/);
});

test('events: pages join without overlap and without a hole', async () => {
  const all = (await getJson<EventPage>(hub, '/api/events?limit=5000')).rows;
  const walked: EventPage['rows'][number][] = [];
  let cursor = '';
  do {
    const page = await getJson<EventPage>(hub, `/api/events?limit=37${cursor && `&cursor=${cursor}`}`);
    walked.unshift(...page.rows);
    cursor = page.older ?? '';
  } while (cursor !== '');
  assert.equal(walked.length, all.length);
  assert.deepEqual(walked, all);
});

test('segments: truncated and garbled segments are refused or counted, and never crash the hub', async () => {
  const body = encodeSegment(segment);
  const statuses = new Set<number>();
  for (let cut = 0; cut < body.length; cut += Math.max(1, Math.floor(body.length / 40))) {
    statuses.add((await post(`${hub.addresses.otlp}/v1/mkscope/segments`, body.slice(0, cut), SEGMENT)).status);
  }
  assert.deepEqual([...statuses], [400]);
  const garbled = body.slice();
  garbled.fill(0xff, garbled.length - segment.pages.length);
  assert.equal((await post(`${hub.addresses.otlp}/v1/mkscope/segments`, garbled, SEGMENT)).status, 200);
  const { gaps } = await getJson<{ gaps: { reason: string; count: number }[] }>(hub, '/api/gaps');
  assert.ok(gaps.some((gap) => gap.reason === 'parse_error'));
  const metrics = await (await fetch(`${hub.addresses.page}/metrics`)).text();
  assert.match(metrics, /mkscope_hub_dropped_total\{reason="\w+"\} [1-9]/);
});
