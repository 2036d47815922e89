import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Books, OVERDUE_AFTER_MS } from '../../hub/books.ts';
import { queryLedger } from '../../hub/ledger.ts';
import type { Ledger, LedgerRow } from '../../model/api.ts';
import { ATTR, LEDGER_METRIC } from '../../model/attributes.ts';
import type { KernelIdentity } from '../../model/identity.ts';
import { MetricBatch } from '../../model/metric-batch.ts';
import { getJson, HOST, nowNs, post, runHub, toGapsBody, toLogsBody, toMetricsBody, type RunningHub } from './running-hub.ts';

let hub: RunningHub;
let nextSequence = 0;

before(async () => {
  hub = await runHub();
});
after(() => hub.stop());

/** An incarnation of its own for each test: their books do not mix. */
const kernelOf = (boot: string): KernelIdentity => ({ ...HOST, bootId: `boot-${boot}`, kernelName: boot });

async function sendLines(kernel: KernelIdentity, count: number): Promise<void> {
  const lines = Array.from({ length: count }, () => ({ text: 'x', unixNs: nowNs(), sequence: nextSequence++ }));
  assert.equal((await post(`${hub.addresses.otlp}/v1/logs`, toLogsBody(kernel, lines))).status, 200);
}

interface Counts {
  readonly written?: number;
  readonly read: number;
  readonly lost?: number;
  readonly dropped?: number;
  readonly startNs?: bigint;
}

function toSnapshot({ written, read, lost = 0, dropped, startNs = 1_700_000_000_000_000_000n }: Counts, timeNs = nowNs()): MetricBatch {
  const batch = new MetricBatch();
  const add = (name: string, value: number, more: Record<string, string> = {}): void =>
    batch.add({ name, description: '', unit: '{record}', type: 'counter', integer: true }, startNs, timeNs, value, {
      [ATTR.stream]: 'kmsg',
      ...more,
    });
  if (written !== undefined) add(LEDGER_METRIC.written, written);
  add(LEDGER_METRIC.read, read);
  add(LEDGER_METRIC.lost, lost);
  if (dropped !== undefined) add(LEDGER_METRIC.dropped, dropped, { [ATTR.lossReason]: 'spool_full' });
  return batch;
}

async function sendSnapshot(kernel: KernelIdentity, counts: Counts): Promise<void> {
  assert.equal((await post(`${hub.addresses.otlp}/v1/metrics`, toMetricsBody(kernel, toSnapshot(counts)))).status, 200);
}

async function rowOf(kernel: KernelIdentity): Promise<Partial<LedgerRow>> {
  return pick((await getJson<Ledger>(hub, '/api/ledger')).rows, kernel);
}

function pick(rows: readonly LedgerRow[], kernel: KernelIdentity): Partial<LedgerRow> {
  const own = rows.filter((row) => row.bootId === kernel.bootId);
  assert.equal(own.length, 1);
  const { written, stored, lost, dropped, inFlight, balance, state } = own[0] as LedgerRow;
  return { written, stored, lost, dropped, inFlight, balance, state };
}

test('ledger: written = stored + lost + dropped + in flight', async () => {
  const kernel = kernelOf('plain');
  await sendLines(kernel, 90);
  // Of 130 written 20 were overwritten, 7 are still in the kernel; of 103 read 3 were dropped and 10 are on their way.
  await sendSnapshot(kernel, { written: 130, read: 103, lost: 20, dropped: 3 });
  const expected = { written: 130, stored: 90, lost: 20, dropped: 3, inFlight: 17, balance: 0, state: 'balanced' };
  assert.deepEqual(await rowOf(kernel), expected);
  // What comes after the snapshot is not in its books: the picture stays that of one instant.
  await sendLines(kernel, 25);
  assert.deepEqual(await rowOf(kernel), expected);
  await sendSnapshot(kernel, { written: 138, read: 118, lost: 20, dropped: 3 });
  assert.deepEqual(await rowOf(kernel), { ...expected, written: 138, stored: 115, inFlight: 0 });
});

test('ledger: a row that is stored twice shows', async () => {
  const kernel = kernelOf('doubled');
  await sendLines(kernel, 11);
  await sendSnapshot(kernel, { written: 10, read: 10 });
  const row = await rowOf(kernel);
  assert.deepEqual([row.stored, row.balance, row.state], [11, -1, 'unbalanced']);
});

test('ledger: while records come without a pause the books of each moment balance', async () => {
  const kernel = kernelOf('busy');
  let sent = 0;
  // As seldom as this the books remember them all, however long an answer takes here.
  const sendUntil = async (endMs: number): Promise<void> => {
    do {
      await sendLines(kernel, 10);
      sent += 10;
    } while (Date.now() < endMs);
    await sendSnapshot(kernel, { written: sent, read: sent });
  };
  await sendUntil(0);
  const enough = new AbortController();
  const sending = (async () => {
    while (!enough.signal.aborted) await sendUntil(Date.now() + 300);
  })();
  // Another reader has what has just come loaded, too.
  const reading = (async () => {
    while (!enough.signal.aborted) await getJson(hub, '/api/logs?limit=1');
  })();
  try {
    for (let i = 0; i < 5; i++) {
      const { stored, written, balance, state } = await rowOf(kernel);
      assert.deepEqual([stored, balance, state], [written, 0, 'balanced']);
    }
  } finally {
    enough.abort();
    await Promise.all([sending, reading]);
  }
});

test('ledger: a writer that does not count is said to be uncounted', async () => {
  const kernel = kernelOf('uncounted');
  await sendLines(kernel, 4);
  await sendSnapshot(kernel, { read: 4 });
  assert.deepEqual(await rowOf(kernel), { written: -1, stored: 4, lost: 0, dropped: 0, inFlight: 0, balance: 0, state: 'uncounted' });
});

test('ledger: the counters of a collector that was restarted add up', async () => {
  const kernel = kernelOf('restarted');
  await sendLines(kernel, 30);
  await sendSnapshot(kernel, { written: 20, read: 18, lost: 2, startNs: 1_700_000_000_000_000_000n });
  await sendSnapshot(kernel, { written: 12, read: 12, startNs: 1_700_000_100_000_000_000n });
  const row = await rowOf(kernel);
  assert.deepEqual([row.written, row.stored, row.lost, row.balance, row.state], [32, 30, 2, 0, 'balanced']);
});

test('ledger: reports of gaps are lines of ours and not of the stream; what could not be read counts as dropped', async () => {
  const kernel = kernelOf('gaps');
  await sendLines(kernel, 5);
  const at = nowNs();
  const gap = { stream: 'kmsg', cpu: -1, fromUnixNs: at, toUnixNs: at, count: 2, reason: 'parse_error' } as const;
  await post(`${hub.addresses.otlp}/v1/logs`, toGapsBody(kernel, [gap]));
  await sendSnapshot(kernel, { written: 7, read: 7 });
  const row = await rowOf(kernel);
  assert.deepEqual([row.stored, row.dropped, row.balance, row.state], [5, 2, 0, 'balanced']);
});

test('ledger: rows that were read long ago and are not stored are missing, not in flight', async () => {
  const kernel = kernelOf('missing');
  const key = { bootId: kernel.bootId, stream: 'kmsg', cpu: -1 };
  const books = new Books();
  const startMs = Date.now();
  await sendLines(kernel, 95);
  books.accept(key, 95, nowNs(), startMs);
  const snapshot = toSnapshot({ written: 100, read: 100 });
  await post(`${hub.addresses.otlp}/v1/metrics`, toMetricsBody(kernel, snapshot));
  books.observe(kernel.bootId, snapshot, startMs);
  const at = async (nowMs: number): Promise<unknown[]> => {
    const row = pick((await queryLedger(hub.store, books, nowMs)).rows, kernel);
    return [row.inFlight, row.balance, row.state];
  };
  assert.deepEqual(await at(startMs + 1_000), [5, 0, 'balanced'], 'may still come');
  assert.deepEqual(await at(startMs + OVERDUE_AFTER_MS), [0, 5, 'unbalanced'], 'the stream stands still: they are gone');
});

test('ledger: while a stream is catching up, what it read is in flight', () => {
  const key = { bootId: 'b', stream: 'kmsg', cpu: -1 };
  const books = new Books();
  const timeNs = 1_700_000_000_000_000_000n;
  const snapshot = toSnapshot({ read: 100 }, timeNs);
  books.observe('b', snapshot, 0);
  const latest = books.snapshotAt(key, timeNs);
  assert.ok(latest !== undefined);
  books.accept(key, 10, timeNs - 60_000_000_000n, OVERDUE_AFTER_MS);
  assert.equal(books.dueOf(key, latest, OVERDUE_AFTER_MS + 1), undefined, 'batches come, from before the snapshot');
  books.accept(key, 10, timeNs + 60_000_000_000n, OVERDUE_AFTER_MS);
  assert.equal(books.dueOf(key, latest, OVERDUE_AFTER_MS + 1), 100, 'it has gone on to later records');
});
