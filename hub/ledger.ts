/**
 * `GET /api/ledger`: does what each kernel wrote equal what is stored, lost, dropped and on its way?
 *
 *   written (kernel's count)
 *   |-- lost       before the collector, by its count
 *   |-- still in the kernel     = written - lost - read      ┐ inFlight, as of the collector's last snapshot
 *   +-- read (collector's count)                             │
 *       |-- dropped  by the collector, or unreadable here    │
 *       |-- kept     in its flight recorder, and not asked for (docs/collector.md)
 *       |-- overwritten   fell out of that unsent
 *       |-- stored   rows in the tables, less those that came after the snapshot
 *       +-- on the way = what is left, unless it is overdue  ┘
 *
 * `stored` is a count of rows, `read` is a count of the sender: two independent figures. More stored than read means doubled
 * rows, less for too long (hub/books.ts) means rows lost without a word; both show as a balance that is not 0.
 */
import type { Ledger, LedgerRow } from '../model/api.ts';
import { LEDGER_METRIC } from '../model/attributes.ts';
import { queryGaps } from '../store/queries/gaps.ts';
import { queryLedgerCounters, queryStoredCounts, queryUnreadable, type LedgerCounter, type StoredCount } from '../store/queries/ledger.ts';
import type { Store } from '../store/store.ts';
import { toStreamName, type Books, type StreamKey } from './books.ts';

const MAX_GAPS = 500;

export async function queryLedger(store: Store, books: Books, nowMs = Date.now()): Promise<Ledger> {
  const counters = await queryLedgerCounters(store);
  const streams = Map.groupBy(counters, toStreamName);
  const boots = [...new Set(counters.map((counter) => counter.bootId))];
  // In one step: what was taken over up to here is what is counted.
  const accepted = books.totals();
  const stored = toCounts(await queryStoredCounts(store, boots));
  const unreadable = toCounts(await queryUnreadable(store, boots));
  const rows = [...streams].map(([name, of]) =>
    toRow(of, { stored: stored.get(name) ?? 0, unreadable: unreadable.get(name) ?? 0, accepted: accepted.get(name) ?? 0, nowMs }, books),
  );
  return { rows, gaps: await queryGaps(store, { limit: MAX_GAPS }) };
}

function toCounts(rows: readonly StoredCount[]): Map<string, number> {
  return new Map(rows.map((row) => [toStreamName(row), row.rows]));
}

/** All runs of a counter together: the last value of each. */
function sumOf(counters: readonly LedgerCounter[], name: string): number | undefined {
  const found = counters.filter((counter) => counter.name === name);
  return found.length === 0 ? undefined : found.reduce((total, counter) => total + counter.value, 0);
}

function toRow(
  counters: readonly LedgerCounter[],
  counts: { readonly stored: number; readonly unreadable: number; readonly accepted: number; readonly nowMs: number },
  books: Books,
): LedgerRow {
  const [first] = counters as readonly [LedgerCounter, ...LedgerCounter[]];
  const key: StreamKey = { bootId: first.bootId, stream: first.stream, cpu: first.cpu };
  const latest = counters.reduce((a, b) => (BigInt(b.timeNs) > BigInt(a.timeNs) ? b : a));
  const snapshot = books.snapshotAt(key, BigInt(latest.timeNs));
  const written = sumOf(counters, LEDGER_METRIC.written);
  const read = sumOf(counters, LEDGER_METRIC.read) ?? 0;
  const lost = sumOf(counters, LEDGER_METRIC.lost) ?? 0;
  const dropped = (sumOf(counters, LEDGER_METRIC.dropped) ?? 0) + counts.unreadable;
  const kept = sumOf(counters, LEDGER_METRIC.kept) ?? 0;
  const overwritten = sumOf(counters, LEDGER_METRIC.overwritten) ?? 0;
  const stored = counts.stored - (snapshot === undefined ? 0 : counts.accepted - snapshot.accepted);
  const onTheWay = read - dropped - kept - overwritten - stored;
  const due = snapshot === undefined ? undefined : books.dueOf(key, snapshot, counts.nowMs);
  // Earlier runs of the counter are over: what they handed on is as overdue as the oldest snapshot of this one.
  const notDue = snapshot === undefined || due === undefined ? Math.max(0, onTheWay) : snapshot.handedOn - due;
  const underWay = Math.min(Math.max(0, onTheWay), notDue);
  const inKernel = written === undefined ? 0 : Math.max(0, written - lost - read);
  const inFlight = inKernel + underWay;
  const balance = (written ?? read + lost) - stored - lost - dropped - kept - overwritten - inFlight;
  return {
    machine: first.machine,
    kernelId: first.kernelId,
    kernelName: first.kernelName,
    bootId: first.bootId,
    stream: first.stream,
    cpu: first.cpu,
    written: written ?? -1,
    stored,
    lost,
    dropped,
    kept,
    overwritten,
    inFlight,
    balance,
    state: stateOf(written, balance, snapshot !== undefined),
    asOfUnixNs: latest.timeNs,
  };
}

/**
 * A writer that ended without a last snapshot (killed, or with an earlier hub) leaves rows behind it that it never counted:
 * then more is stored than counted, and nobody can say whether that is all.
 */
function stateOf(written: number | undefined, balance: number, isCurrent: boolean): LedgerRow['state'] {
  if (written === undefined || (balance < 0 && !isCurrent)) return 'uncounted';
  return balance === 0 ? 'balanced' : 'unbalanced';
}
