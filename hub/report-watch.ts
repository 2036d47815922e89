/**
 * Finds kernel reports in what comes live, and stores each once, as a record of its own beside its lines.
 *
 *   batch ─► notice: a row that may begin a report ─► watch.json ─► append (the batch is safe) ─► …
 *   timer ─► look: the kernel's lines from there on, out of the store, all its streams merged ─► recognise ─► append what is new
 *
 * What is looked at are stored rows, not batches as they come: lanes of a collector overtake each other, a console and kmsg
 * each bring a part, and a hub that was killed in the middle of a report finds the rest of its lines later. The places to look
 * at are on disk before the rows are, so that none is forgotten; a report is known by the stamp of its first line, so that
 * none is stored twice. docs/decisions/005-kernel-reports.md.
 */
import { isOperational, messageOf } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import { mergeStreams, type StreamRow } from '../correlate/merge-streams.ts';
import { ReportRecogniser, type RecognisedReport } from '../correlate/recognise-reports.ts';
import { addReport, toReportKey, type ReportSource } from '../correlate/report-rows.ts';
import { mayBeginReport } from '../correlate/report-starts.ts';
import { ATTR } from '../model/attributes.ts';
import { SCHEMA_URL, toResource, type KernelIdentity, type Scope } from '../model/identity.ts';
import { LOG_FLAG, LogBatch } from '../model/log-batch.ts';
import { isClockDomain, NO_RAW_TIME } from '../model/time.ts';
import { queryLines, queryReportKeys, type LineRow } from '../store/queries/reports.ts';
import type { Store } from '../store/store.ts';
import type { HubCounters } from './counters.ts';
import type { IncidentWatch } from './incident-watch.ts';
import type { LiveFeed } from './live.ts';
import { openState, writeState } from './state-file.ts';

const TICK_MS = 500;
/** A kernel is looked at when its rows pause, and while they do not, this often. */
const PAUSE_MS = 1_000;
const LOOK_EVERY_MS = 3_000;
/** After this silence what was printed to its end has no tail to come: a guest's console waits 2 s for its kmsg. */
const SETTLED_MS = 3_000;
/** After this one what is not over yet will not go on. */
const QUIET_MS = 6_000;
/** A kernel that never falls silent is not waited for any longer than this. */
const MAX_WAIT_MS = 60_000;
/** Lines that a slower lane of the collector still has to bring are waited for this long. */
const LATE_MS = 10_000;
/** Times of one kernel's rows move against each other by what its clock is fitted anew. */
const MARGIN_NS = 1_000_000_000n;
const MAX_ROWS_PER_LOOK = 20_000;
/** Kernels under watch at a time; more than a machine has, and a bound for who makes them up. */
const MAX_SPOTS = 1_024;

const log = createLogger('reports');

/** Where to look: a kernel, from its first line that may begin a report. */
interface Spot {
  readonly identity: KernelIdentity;
  fromNs: bigint;
  /** When it came to lie there. */
  sinceMs: number;
  arrivedMs: number;
  lookedMs: number;
  /** Earliest such line that came since the last look began. */
  nextNs: bigint | undefined;
  /** Batches with such lines that are not stored yet: what no look can have seen. */
  pending: number;
}

/** A batch on its way into the store. */
export interface NoticedBatch {
  readonly bootId: string;
  /** Time of its first line that may begin a report. */
  readonly firstNs: bigint;
}

export interface ReportWatchParts {
  readonly store: Store;
  readonly live: LiveFeed;
  readonly counters: HubCounters;
  /** Reports are what incidents are made of. */
  readonly incidents: IncidentWatch;
  readonly version: string;
  /** The file that survives the process. */
  readonly path: string;
}

export class ReportWatch {
  readonly #parts: ReportWatchParts;
  readonly #spots = new Map<string, Spot>();
  readonly #timer: NodeJS.Timeout;
  #looking: Promise<void> | undefined;
  #closed = false;

  /** Goes on where an earlier process was. */
  constructor(parts: ReportWatchParts) {
    this.#parts = parts;
    const nowMs = Date.now();
    for (const { identity, fromNs } of readSpots(parts.path)) {
      this.#spots.set(identity.bootId, { identity, fromNs, sinceMs: nowMs, arrivedMs: nowMs, lookedMs: 0, nextNs: undefined, pending: 0 });
    }
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#timer.unref();
  }

  /**
   * Rows of a kernel that are about to be stored; what it returns is to be handed to `settle` once they are, or could not be.
   * Throws E_DATA_DIR or E_DISK_FULL where the place cannot be written down.
   */
  notice(identity: KernelIdentity, batch: LogBatch): NoticedBatch | undefined {
    const { text, textStart, textEnd, flags } = batch;
    const known = this.#spots.get(identity.bootId);
    let firstNs: bigint | undefined;
    for (let row = 0; row < batch.length; row++) {
      if (!mayBeginReport(text, textStart[row] as number, textEnd[row] as number)) continue;
      if (((flags[row] as number) & LOG_FLAG.userSpace) !== 0) continue;
      const unixNs = batch.unixTime.getBigint(row);
      if (firstNs === undefined || unixNs < firstNs) firstNs = unixNs;
    }
    if (known !== undefined) known.arrivedMs = Date.now();
    if (firstNs === undefined) return undefined;
    if (known === undefined) this.#open(identity, firstNs);
    else if (firstNs < known.fromNs) {
      known.fromNs = firstNs;
      this.#save();
    }
    // Only now: a batch whose place cannot be written down is refused, and nobody settles it.
    const spot = this.#spots.get(identity.bootId);
    if (spot === undefined) return undefined;
    spot.pending++;
    return { bootId: identity.bootId, firstNs };
  }

  settle({ bootId, firstNs }: NoticedBatch): void {
    const spot = this.#spots.get(bootId);
    if (spot === undefined) return;
    spot.pending--;
    spot.arrivedMs = Date.now();
    if (spot.nextNs === undefined || firstNs < spot.nextNs) spot.nextNs = firstNs;
  }

  /** Stores what is over, leaves the rest to the next process, and looks no more. The store must still be open. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#looking;
    // A look takes its kernel off the list.
    for (const spot of Array.from(this.#spots.values())) await this.#lookSafely(spot, 'settled');
  }

  #open(identity: KernelIdentity, fromNs: bigint): void {
    if (this.#spots.size >= MAX_SPOTS) {
      this.#parts.counters.countDropped('report_watch_full', 1);
      return;
    }
    const nowMs = Date.now();
    this.#spots.set(identity.bootId, { identity, fromNs, sinceMs: nowMs, arrivedMs: nowMs, lookedMs: nowMs, nextNs: fromNs, pending: 0 });
    this.#save();
  }

  #tick(): void {
    if (this.#looking !== undefined || this.#closed) return;
    const nowMs = Date.now();
    const due = [...this.#spots.values()].filter(
      ({ arrivedMs, lookedMs }) => nowMs - lookedMs >= LOOK_EVERY_MS || (nowMs - arrivedMs >= PAUSE_MS && arrivedMs >= lookedMs),
    );
    if (due.length === 0) return;
    this.#looking = this.#lookAt(due).finally(() => {
      this.#looking = undefined;
    });
  }

  async #lookAt(spots: readonly Spot[]): Promise<void> {
    for (const spot of spots) {
      if (this.#closed) return;
      const nowMs = Date.now();
      const quietMs = nowMs - spot.arrivedMs;
      const isOver = quietMs >= QUIET_MS || nowMs - spot.sinceMs >= MAX_WAIT_MS;
      await this.#lookSafely(spot, isOver ? 'all' : quietMs >= SETTLED_MS ? 'settled' : 'none');
    }
  }

  /** A store that is busy or away is asked again at the next turn: the lines are safe, and so is the place. */
  async #lookSafely(spot: Spot, over: 'all' | 'settled' | 'none'): Promise<void> {
    try {
      await this.#look(spot, over);
    } catch (error) {
      if (!isOperational(error)) throw error;
      log.warn('kernel reports wait', { boot: spot.identity.bootId, error: messageOf(error) });
    }
  }

  async #look(spot: Spot, over: 'all' | 'settled' | 'none'): Promise<void> {
    const { identity, fromNs } = spot;
    spot.lookedMs = Date.now();
    spot.nextNs = undefined;
    const { store } = this.#parts;
    // While loads fail, queries answer without the newest rows: a report there would be missed, or stored twice.
    await store.flush();
    let rows = await queryLines(store, identity.bootId, fromNs - MARGIN_NS, MAX_ROWS_PER_LOOK);
    // In a storm of lines the margin alone fills a look.
    if (rows.length >= MAX_ROWS_PER_LOOK) rows = await queryLines(store, identity.bootId, fromNs, MAX_ROWS_PER_LOOK);
    const { batch, sources } = mergeStreams(rows.map(toStreamRow));
    const recogniser = new ReportRecogniser();
    recogniser.take(batch);
    const isFull = rows.length >= MAX_ROWS_PER_LOOK;
    if (over !== 'none' && !isFull) recogniser.finish(over);
    const isLate = Date.now() - spot.arrivedMs < LATE_MS && over !== 'all';
    const found = recogniser.takeReports().filter(({ first }) => first.unixNs >= fromNs);
    const whole = found.filter(({ hasGap }) => !hasGap || !isLate);
    await this.#store(identity, whole, rows, sources);
    const waiting = found.filter((one) => !whole.includes(one)).map(({ first }) => first.unixNs);
    const open = recogniser.openSince?.unixNs;
    if (open !== undefined && open >= fromNs) waiting.push(open);
    if (spot.nextNs !== undefined) waiting.push(spot.nextNs);
    if (isFull) waiting.push(BigInt((rows.at(-1) as LineRow).unixNs));
    this.#moveOn(spot, waiting, isFull);
  }

  /** The place is where the earliest of what is still to come begins; with nothing to come it is given up. */
  #moveOn(spot: Spot, waiting: readonly bigint[], isFull: boolean): void {
    const fromNs = waiting.reduce<bigint | undefined>((least, one) => (least === undefined || one < least ? one : least), undefined);
    if (fromNs === undefined && spot.pending > 0) return;
    if (fromNs === undefined) this.#spots.delete(spot.identity.bootId);
    else if (fromNs !== spot.fromNs) {
      spot.fromNs = fromNs;
      spot.sinceMs = Date.now();
    } else if (isFull) {
      // A report as long as all that is read at once will not be over with the next look either.
      this.#parts.counters.countDropped('report_too_long', 1);
      this.#spots.delete(spot.identity.bootId);
    } else return;
    this.#save();
  }

  async #store(
    identity: KernelIdentity,
    found: readonly RecognisedReport[],
    rows: readonly LineRow[],
    sources: ReadonlyMap<number, StreamRow>,
  ): Promise<void> {
    const [first] = found;
    if (first === undefined) return;
    const { store, live, counters, incidents, version } = this.#parts;
    const earliest = found.reduce((least, { first: mark }) => (mark.unixNs < least ? mark.unixNs : least), first.first.unixNs);
    const known = await queryReportKeys(store, identity.bootId, earliest - MARGIN_NS);
    const batch = new LogBatch();
    for (const one of found) {
      const source = toSource(one, sources);
      const key = toReportKey(one, source);
      if (known.has(key)) continue;
      known.add(key);
      addReport(batch, one, source);
    }
    if (batch.length === 0) return;
    const scope = toScopeOf(rows, version);
    const clock = scope.attributes[ATTR.clock];
    if (clock !== undefined && isClockDomain(clock)) batch.clock = clock;
    const resource = toResource(identity);
    incidents.notice(identity.machineId, batch);
    await store.append({ logs: [{ resource, scope, batch }] });
    counters.rowsStored.logs += batch.length;
    counters.reportsStored += batch.length;
    live.publish(resource, scope, batch);
  }

  #save(): void {
    writeState(
      this.#parts.path,
      [...this.#spots.values()].map(({ identity, fromNs }) => ({ identity, fromNs: fromNs.toString() })),
    );
  }
}

function readSpots(path: string): { identity: KernelIdentity; fromNs: bigint }[] {
  const spots = openState(
    path,
    (json) =>
      (json as { identity: KernelIdentity; fromNs: string }[]).map(({ identity, fromNs }) => ({ identity, fromNs: BigInt(fromNs) })),
    // The lines themselves are stored.
    (error) => log.warn('the places of unfinished kernel reports are lost', { path, error: messageOf(error) }),
  );
  return spots ?? [];
}

function toStreamRow({ stream, sequence, raw, unixNs, level, flags, cpu, pid, body }: LineRow): StreamRow {
  return { stream, sequence, rawNs: BigInt(raw), unixNs: BigInt(unixNs), level, flags, cpu, pid, body };
}

function toSource({ first, last }: RecognisedReport, sources: ReadonlyMap<number, StreamRow>): ReportSource {
  const from = sources.get(first.sequence);
  const to = sources.get(last.sequence);
  const stream = from?.stream ?? '';
  // A report whose end only the console brought ends, in the stream it began in, where that stream does.
  const lastSequence = to === undefined || to.stream !== stream ? lastOf(sources, stream, first.sequence, last.sequence) : to.sequence;
  return { stream, firstSequence: from?.sequence ?? 0, lastSequence };
}

function lastOf(sources: ReadonlyMap<number, StreamRow>, stream: string, from: number, to: number): number {
  for (let at = to; at >= from; at--) {
    const row = sources.get(at);
    if (row?.stream === stream) return row.sequence;
  }
  return 0;
}

/** Reports come without a stream, as gaps do: they are ours, and count in no books. */
function toScopeOf(rows: readonly LineRow[], version: string): Scope {
  const stamped = rows.find(({ raw }) => BigInt(raw) !== NO_RAW_TIME);
  const errorNs = rows.reduce((most, row) => Math.max(most, row.errorNs), -1);
  return {
    name: 'mkscope',
    version,
    schemaUrl: SCHEMA_URL,
    attributes: {
      ...(stamped === undefined ? {} : { [ATTR.clock]: stamped.clock }),
      ...(errorNs < 0 ? {} : { [ATTR.clockError]: String(errorNs) }),
    },
  };
}
