/**
 * The log of one kernel over all ways it came: rows of `kmsg` and of consoles in one order, each line once. A console that
 * shows what kmsg has adds nothing; where kmsg ends, because its reader had no turn any more, the console goes on.
 *
 *   kmsg            [9.1] BUG: …   [9.2] #PF: …
 *   console:ttyS0   [9.1] BUG: …   [9.2] #PF: …   [9.3] Oops: …   [9.4] CPU: …
 *                   known          known          added           added
 *
 * Not handled: parts of a line that kmsg has as records of their own (pr_cont) and the console as one line: they stand twice.
 */
import { LOG_FLAG, LogBatch } from '../model/log-batch.ts';
import { NO_RAW_TIME } from '../model/time.ts';

export interface StreamRow {
  readonly stream: string;
  readonly sequence: number;
  readonly rawNs: bigint;
  readonly unixNs: bigint;
  readonly level: number;
  readonly flags: number;
  readonly cpu: number;
  readonly pid: number;
  readonly body: string;
}

export interface MergedLog {
  /** Rows numbered from 0, with a number left out where rows of kmsg are missing. */
  readonly batch: LogBatch;
  /** By number in `batch.sequence`. */
  readonly sources: ReadonlyMap<number, StreamRow>;
}

interface PlacedRow {
  readonly row: StreamRow;
  /** Its stamp; without one, that of the row before it in its stream. */
  readonly placeNs: bigint;
  readonly afterLoss: boolean;
}

/** Rows in any order. */
export function mergeStreams(rows: readonly StreamRow[]): MergedLog {
  const streams = Map.groupBy(rows, (row) => row.stream);
  // kmsg first: it has every line whole.
  const names = [...streams.keys()].sort((a, b) => Number(b === 'kmsg') - Number(a === 'kmsg') || (a < b ? -1 : 1));
  const known = new Map<bigint, string[]>();
  const placed: PlacedRow[] = [];
  for (const name of names) {
    const own = placeRows((streams.get(name) as StreamRow[]).sort((a, b) => a.sequence - b.sequence));
    const fresh = own.filter(({ row }) => !isKnown(known, row));
    for (const { row } of fresh) noteLines(known, row);
    placed.push(...fresh);
  }
  // Stable: rows with the same stamp keep the order of their stream.
  placed.sort((a, b) => (a.placeNs < b.placeNs ? -1 : a.placeNs > b.placeNs ? 1 : 0));
  return toBatch(placed);
}

function placeRows(rows: readonly StreamRow[]): PlacedRow[] {
  const placed: PlacedRow[] = [];
  let placeNs = rows.find(({ rawNs }) => rawNs !== NO_RAW_TIME)?.rawNs ?? 0n;
  let before = -1;
  for (const row of rows) {
    if (row.rawNs !== NO_RAW_TIME) placeNs = row.rawNs;
    placed.push({ row, placeNs, afterLoss: before >= 0 && row.sequence > before + 1 && row.stream === 'kmsg' });
    before = row.sequence;
  }
  return placed;
}

function toBatch(placed: readonly PlacedRow[]): MergedLog {
  const batch = new LogBatch(Math.max(16, placed.length));
  const sources = new Map<number, StreamRow>();
  let sequence = 0;
  for (const { row, afterLoss } of placed) {
    if (afterLoss) sequence++;
    const at = batch.addText(row.body, row.level);
    batch.rawTime.setBigint(at, row.rawNs);
    batch.unixTime.setBigint(at, row.unixNs);
    batch.flags[at] = row.flags;
    batch.cpu[at] = row.cpu;
    batch.pid[at] = row.pid;
    batch.sequence[at] = sequence;
    sources.set(sequence, row);
    sequence++;
  }
  return { batch, sources };
}

/** Both ways show whole µs. */
function isKnown(known: ReadonlyMap<bigint, readonly string[]>, { rawNs, body, flags }: StreamRow): boolean {
  if (rawNs === NO_RAW_TIME) return false;
  const shown = body.trimEnd();
  const lines = known.get(rawNs / 1000n);
  return lines !== undefined && lines.some((line) => line === shown || ((flags & LOG_FLAG.torn) !== 0 && line.includes(shown)));
}

function noteLines(known: Map<bigint, string[]>, { rawNs, body }: StreamRow): void {
  if (rawNs === NO_RAW_TIME) return;
  const stamp = rawNs / 1000n;
  const lines = body.split('\n').map((line) => line.trimEnd());
  const others = known.get(stamp);
  if (others === undefined) known.set(stamp, lines);
  else others.push(...lines);
}
