/**
 * What the ledger needs besides the tables: how many rows the hub took over, and how many it had taken over when each ledger
 * snapshot of a collector came in. So the books are compared as of the snapshot, not as of now, and a record that is still on
 * its way is told from a lost one.
 *
 *   snapshots    S1 (read 100)        S2 (read 250)        S3 (read 400)
 *   accepted         90                   250                  380
 *                                                               +-- 20 read and not here: on their way, they were read just now
 *                    +-- what S1 had read must be here by S3: were it not, it would be lost
 *
 * Within a lane of the collector's spool batches come in the order they were read; the lanes (metrics, bulk) overtake each
 * other. So a record is overdue once a snapshot of OVERDUE_AFTER_MS ago had counted it and its stream either has gone on to
 * later records or stands still.
 */
import { keepLast } from '../base/recent-map.ts';
import type { MetricBatch } from '../model/metric-batch.ts';
import { ATTR, LEDGER_METRIC } from '../model/attributes.ts';

export const OVERDUE_AFTER_MS = 15_000;
/** Clocks of a collector's records and of its snapshots agree to this at least. */
const CLOCK_MARGIN_NS = 1_000_000_000n;
const MAX_SNAPSHOTS = 32;
/** Of the one that was touched longest ago nothing more is known. A machine of 64 kernels has some 3,000. */
const MAX_STREAMS = 16_384;
/** Runs of counters that take turns so lately are of two senders. */
const CONTESTED_MS = 60_000;
const MAX_CONTESTED = 4_096;

export interface StreamKey {
  readonly bootId: string;
  readonly stream: string;
  /** -1 = a stream without CPUs. */
  readonly cpu: number;
}

export interface Snapshot {
  readonly timeNs: bigint;
  /** Start of this run of counters: another one begins when its writer restarts. */
  readonly startNs: bigint;
  /** Records read, less those that the collector dropped, in this run. */
  readonly taken: number;
  /** Of those, the ones that are not in its flight recorder, nor fell out of it. */
  readonly handedOn: number;
  /** Rows of the stream that the hub had taken over when the snapshot came in. */
  readonly accepted: number;
  readonly receivedMs: number;
}

type Counted = 'read' | 'dropped' | 'kept' | 'overwritten';
const COUNTED: ReadonlyMap<string, Counted> = new Map([
  [LEDGER_METRIC.read, 'read'],
  [LEDGER_METRIC.dropped, 'dropped'],
  [LEDGER_METRIC.kept, 'kept'],
  [LEDGER_METRIC.overwritten, 'overwritten'],
]);

interface Point extends Record<Counted, number> {
  readonly key: StreamKey;
  timeNs: bigint;
  /** Undefined = it says only what is kept. */
  startNs: bigint | undefined;
}

interface Book {
  accepted: number;
  /** When rows last came, and the latest time they bear. */
  acceptedMs: number;
  frontNs: bigint;
  readonly snapshots: Snapshot[];
}

export function toStreamName({ bootId, stream, cpu }: StreamKey): string {
  return `${bootId}\n${stream}\n${cpu}`;
}

export class Books {
  /** The one that was touched last at the end. */
  readonly #books = new Map<string, Book>();
  /** By boot: when a run of counters last came back after another one. */
  readonly #contestedMs = new Map<string, number>();

  /** Rows of a stream are in the spool; `frontNs` is the latest time among them. */
  accept(key: StreamKey, rows: number, frontNs: bigint, nowMs = Date.now()): void {
    const book = this.#bookOf(key);
    book.accepted += rows;
    book.acceptedMs = nowMs;
    if (frontNs > book.frontNs) book.frontNs = frontNs;
  }

  /** Takes the ledger counters out of a metrics batch, when it comes in. */
  observe(bootId: string, batch: MetricBatch, nowMs = Date.now()): void {
    const points = new Map<string, Point>();
    for (let row = 0; row < batch.length; row++) {
      const name = COUNTED.get(batch.strings.get(batch.name[row] as number));
      if (name === undefined) continue;
      const attributes = batch.attributes.rowOf(row);
      const stream = attributes[ATTR.stream];
      if (stream === undefined) continue;
      const key = { bootId, stream, cpu: Number(attributes[ATTR.cpu] ?? -1) };
      const id = toStreamName(key);
      const point = points.get(id) ?? { key, timeNs: 0n, startNs: undefined, read: 0, dropped: 0, kept: 0, overwritten: 0 };
      point.timeNs = batch.time.getBigint(row);
      if (name === 'read') point.startNs = batch.startTime.getBigint(row);
      point[name] += batch.value[row] as number;
      points.set(id, point);
    }
    for (const point of points.values()) this.#note(point, nowMs);
  }

  #note({ key, timeNs, startNs, read, dropped, kept, overwritten }: Point, nowMs: number): void {
    const book = this.#bookOf(key);
    const last = book.snapshots.at(-1);
    if (startNs !== undefined && isReturn(book.snapshots, startNs)) this.#contest(key.bootId, nowMs);
    // Of a kernel that is silent only what is kept changes: nothing more was read of it.
    const of = startNs === undefined ? last : { startNs, taken: read - dropped };
    if (of === undefined) return;
    const handedOn = of.taken - kept - overwritten;
    book.snapshots.push({ timeNs, startNs: of.startNs, taken: of.taken, handedOn, accepted: book.accepted, receivedMs: nowMs });
    if (book.snapshots.length > MAX_SNAPSHOTS) book.snapshots.shift();
  }

  /** Two senders count for this boot. */
  isContested(bootId: string, nowMs: number): boolean {
    return nowMs - (this.#contestedMs.get(bootId) ?? Number.NEGATIVE_INFINITY) < CONTESTED_MS;
  }

  #contest(bootId: string, nowMs: number): void {
    keepLast(this.#contestedMs, bootId, nowMs, MAX_CONTESTED);
  }

  /** Rows taken over so far, by stream. */
  totals(): ReadonlyMap<string, number> {
    return new Map([...this.#books].map(([name, book]) => [name, book.accepted]));
  }

  /** The snapshot taken at `timeNs`; undefined when it came to an earlier life of the hub. */
  snapshotAt(key: StreamKey, timeNs: bigint): Snapshot | undefined {
    return this.#books.get(toStreamName(key))?.snapshots.find((snapshot) => snapshot.timeNs === timeNs);
  }

  /** What the stream had handed on long enough ago that it must be stored, in the run of `latest`; undefined = not known yet. */
  dueOf(key: StreamKey, latest: Snapshot, nowMs = Date.now()): number | undefined {
    const book = this.#books.get(toStreamName(key));
    if (book === undefined) return undefined;
    const standsStill = nowMs - book.acceptedMs >= OVERDUE_AFTER_MS;
    return book.snapshots.findLast(
      (snapshot) =>
        snapshot.startNs === latest.startNs &&
        nowMs - snapshot.receivedMs >= OVERDUE_AFTER_MS &&
        (standsStill || book.frontNs > snapshot.timeNs + CLOCK_MARGIN_NS),
    )?.handedOn;
  }

  #bookOf(key: StreamKey): Book {
    const id = toStreamName(key);
    const book = this.#books.get(id) ?? { accepted: 0, acceptedMs: 0, frontNs: 0n, snapshots: [] };
    keepLast(this.#books, id, book, MAX_STREAMS);
    return book;
  }
}

/** A run of counters that another one had followed: a sender that restarts does not go back. */
function isReturn(snapshots: readonly Snapshot[], startNs: bigint): boolean {
  const last = snapshots.at(-1);
  return last !== undefined && last.startNs !== startNs && snapshots.some((one) => one.startNs === startNs);
}
