/** Two readings of the ledger → rates per stream. */
import type { Ledger, LedgerRow } from '../model/api.ts';

export interface StreamRate {
  readonly machine: string;
  readonly kernelId: number;
  readonly kernelName: string;
  readonly bootId: string;
  readonly stream: string;
  /** Records per second between the readings, all CPUs together; -1 where it is not known. */
  readonly writtenPerSecond: number;
  readonly storedPerSecond: number;
  /** Since the start of the stream. */
  readonly stored: number;
  readonly lost: number;
  readonly dropped: number;
  /** In a flight recorder. */
  readonly kept: number;
  readonly inFlight: number;
  readonly state: LedgerRow['state'];
}

export interface Reading {
  readonly ledger: Ledger;
  readonly atMs: number;
}

export function toStreamRates(before: Reading, after: Reading): StreamRate[] {
  const seconds = Math.max(0.001, (after.atMs - before.atMs) / 1000);
  const earlier = sumByStream(before.ledger.rows);
  const rates: StreamRate[] = [];
  for (const [key, now] of sumByStream(after.ledger.rows)) {
    const then = earlier.get(key);
    // A stream that is new since the first reading has no rate yet.
    const rate = (a: number, b: number | undefined): number => (a < 0 || b === undefined || b < 0 ? -1 : Math.max(0, a - b) / seconds);
    rates.push({ ...now, writtenPerSecond: rate(now.written, then?.written), storedPerSecond: rate(now.stored, then?.stored) });
  }
  return rates;
}

type StreamSum = Omit<StreamRate, 'writtenPerSecond' | 'storedPerSecond'> & { readonly written: number };

const WORSE: readonly LedgerRow['state'][] = ['balanced', 'uncounted', 'unbalanced'];

/** The rows of a stream's CPUs added up; the worst state wins. */
function sumByStream(rows: readonly LedgerRow[]): Map<string, StreamSum> {
  const sums = new Map<string, StreamSum>();
  for (const row of rows) {
    const key = `${row.bootId}\0${row.kernelId}\0${row.stream}`;
    const sum = sums.get(key);
    sums.set(key, {
      machine: row.machine,
      kernelId: row.kernelId,
      kernelName: row.kernelName,
      bootId: row.bootId,
      stream: row.stream,
      written: sum !== undefined && (sum.written < 0 || row.written < 0) ? -1 : row.written + (sum?.written ?? 0),
      stored: row.stored + (sum?.stored ?? 0),
      lost: row.lost + (sum?.lost ?? 0),
      dropped: row.dropped + (sum?.dropped ?? 0),
      kept: row.kept + (sum?.kept ?? 0),
      inFlight: row.inFlight + (sum?.inFlight ?? 0),
      state: sum !== undefined && WORSE.indexOf(sum.state) > WORSE.indexOf(row.state) ? sum.state : row.state,
    });
  }
  return sums;
}
