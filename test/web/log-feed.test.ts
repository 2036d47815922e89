import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LogPage, LogRow } from '../../model/api.ts';
import { LogFeed } from '../../web/logs/log-feed.ts';

// The feed is a browser's; of its window it uses timers alone.
Object.assign(globalThis, { window: globalThis });

const AT_NS = BigInt(Date.now()) * 1_000_000n;

function rowAt(uid: string, unixNs: bigint): LogRow {
  return { uid, unixNs: unixNs.toString(), bootId: 'b', stream: 'kmsg', sequence: 0 } as LogRow;
}

/** A hub that stores another of the rows with each question that is asked of it. */
function useHub(t: { after: (run: () => void) => void }, rows: readonly LogRow[]): { asked: number } {
  const hub = { asked: 0 };
  const { fetch: before } = globalThis;
  t.after(() => {
    globalThis.fetch = before;
  });
  globalThis.fetch = (path) => {
    const query = new URL(String(path), 'http://hub').searchParams;
    const stored = rows.slice(0, 3 + Math.floor(hub.asked++ / 3));
    const uid = query.get('uid');
    if (uid !== null) return Promise.resolve(Response.json({ rows: stored.filter((row) => row.uid === uid), tookMs: 1 }));
    const [way, place] = (query.get('cursor') ?? '').split(' ');
    const limit = Number(query.get('limit'));
    let [from, to] = [0, stored.findLastIndex(({ unixNs }) => BigInt(unixNs) <= BigInt(query.get('to') ?? '9999999999999999999')) + 1];
    if (way === 'older') to = Number(place);
    if (way === 'newer') from = Number(place);
    else from = Math.max(0, to - limit);
    const older = from > 0 ? { older: `older ${from}` } : {};
    const newer = query.has('cursor') ? { newer: `newer ${to}` } : {};
    const page: Partial<LogPage> = { rows: stored.slice(from, to), ...older, ...newer, tookMs: 1 };
    return Promise.resolve(Response.json(page));
  };
  return hub;
}

const ROWS = Array.from({ length: 8 }, (_, at) => rowAt(`row ${at}`, AT_NS + BigInt(at - 5) * 1000n));

test('log feed: a line that the live tail showed before it was stored is waited for', { timeout: 20_000 }, async (t) => {
  const hub = useHub(t, ROWS);
  const feed = new LogFeed();
  await feed.open({ filter: {}, live: false, at: AT_NS.toString(), uid: 'row 5' });
  const at = feed.buffer.indexOfMoment(AT_NS.toString(), 'row 5');
  assert.equal(feed.buffer.rows[at]?.uid, 'row 5');
  assert.deepEqual(
    feed.buffer.rows.map(({ uid }) => uid),
    ROWS.slice(0, feed.buffer.length).map(({ uid }) => uid),
  );
  assert.ok(hub.asked >= 9, 'it was not there at once');
  assert.equal(feed.state.get().loading, undefined);
});

test('log feed: a line whose clock was drawn anew since it was shown is opened where it is now', { timeout: 20_000 }, async (t) => {
  useHub(t, [...ROWS, ...ROWS]);
  const feed = new LogFeed();
  const shownNs = (AT_NS - 2_500n).toString();
  await feed.open({ filter: {}, live: false, at: shownNs, uid: 'row 1' });
  const at = feed.buffer.indexOfMoment(shownNs, 'row 1');
  assert.equal(feed.buffer.rows[at]?.uid, 'row 1');
  assert.equal(feed.buffer.rows[at + 1]?.uid, 'row 2', 'it stands where it is, not where it was');
});

test(
  'log feed: a moment of which no row is known is asked for once, and one of long ago is not waited for',
  { timeout: 20_000 },
  async (t) => {
    const longAgo = ROWS.map((row) => rowAt(row.uid, BigInt(row.unixNs) - 3_600_000_000_000n));
    const hub = useHub(t, longAgo);
    const feed = new LogFeed();
    await feed.open({ filter: {}, live: false, at: AT_NS.toString() });
    assert.equal(hub.asked, 3);
    await feed.open({ filter: {}, live: false, at: (AT_NS - 3_600_000_000_000n).toString(), uid: 'row 7' });
    assert.equal(hub.asked, 7);
  },
);
