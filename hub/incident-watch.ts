/**
 * Finds incidents in what comes live and in what is imported, and says when a kernel that should speak does not.
 *
 *   batch ─► mark: a row that may be a signal ─► incidents/watch.json ─► append ─► …
 *   timer ─► scan: the machine's signals from there on, out of the store ─► store what is new ─► tell those who follow
 *   timer ─► kernels whose collector is known and from which nothing came for 20 s ─► a row that says so, a signal like others
 *
 * As with kernel reports, what is looked at are stored rows, and the place to look at is on disk before the rows are: a hub
 * that is killed looks again. docs/decisions/009-incidents.md.
 */
import { isOperational, messageOf } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import { GAP_EVENT } from '../model/attributes.ts';
import { endsAt, SIGNAL_EVENTS } from '../correlate/track-incidents.ts';
import { DEATH_KINDS, type Incident } from '../model/incident.ts';
import type { LogBatch } from '../model/log-batch.ts';
import { queryEndedBoots, queryOpenIncidents } from '../store/queries/incidents.ts';
import type { Store } from '../store/store.ts';
import type { HubCounters } from './counters.ts';
import { toIncidentRow } from './incident-row.ts';
import { scanIncidents } from './incident-scan.ts';
import type { LiveFeed } from './live.ts';
import { SilenceWatch } from './silence-watch.ts';
import type { PresenceTable } from './presence.ts';
import type { Recorders } from './recorders.ts';
import { openState, writeState } from './state-file.ts';

const TICK_MS = 500;
/** A machine is looked at when its signals pause, and while they do not, this often. */
const PAUSE_MS = 1_000;
const LOOK_EVERY_MS = 3_000;
/** Machines under watch at a time; a bound for who makes them up. */
const MAX_MACHINES = 1_024;
const NS_PER_MS = 1_000_000n;

const log = createLogger('incidents');
const SIGNALS: ReadonlySet<string> = new Set(SIGNAL_EVENTS);

interface Spot {
  fromNs: bigint;
  markedMs: number;
  sinceMs: number;
}

export interface IncidentWatchParts {
  readonly store: Store;
  readonly live: LiveFeed;
  readonly counters: HubCounters;
  readonly presence: PresenceTable;
  readonly recorders: Recorders;
  readonly version: string;
  /** The file that survives the process. */
  readonly path: string;
}

export class IncidentWatch {
  readonly #parts: IncidentWatchParts;
  readonly #spots = new Map<string, Spot>();
  /** By machine. */
  readonly #open = new Map<string, readonly Incident[]>();
  readonly #silence: SilenceWatch;
  readonly #timer: NodeJS.Timeout;
  /** What was open before this process is known. */
  readonly ready: Promise<void>;
  #working: Promise<void> | undefined;
  #closed = false;

  /** Goes on where an earlier process was. */
  constructor(parts: IncidentWatchParts) {
    this.#parts = parts;
    this.#silence = new SilenceWatch({ ...parts, mark: (machineId, fromNs) => this.mark(machineId, fromNs) });
    const nowMs = Date.now();
    for (const [machineId, fromNs] of readSpots(parts.path)) this.#spots.set(machineId, { fromNs, markedMs: nowMs, sinceMs: nowMs });
    this.ready = this.#readBack();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#timer.unref();
  }

  /** Incidents that are not over, of all machines. */
  get open(): readonly Incident[] {
    return [...this.#open.values()].flat();
  }

  /** Rows of a machine that are stored in the same step. Throws E_DATA_DIR or E_DISK_FULL where the place cannot be written down. */
  notice(machineId: string, batch: LogBatch): void {
    const fromNs = findFirst(batch);
    if (fromNs !== undefined) this.mark(machineId, fromNs);
  }

  /** Something that may belong to an incident has come, of that time or later. */
  mark(machineId: string, fromNs: bigint): void {
    const nowMs = Date.now();
    const spot = this.#spots.get(machineId);
    if (spot !== undefined) {
      spot.markedMs = nowMs;
      if (spot.fromNs <= fromNs) return;
      spot.fromNs = fromNs;
    } else if (this.#spots.size >= MAX_MACHINES) {
      this.#parts.counters.countDropped('incident_watch_full', 1);
      return;
    } else this.#spots.set(machineId, { fromNs, markedMs: nowMs, sinceMs: nowMs });
    this.#save();
  }

  /** Looks now at all that is marked; resolves when it is stored. */
  async settle(): Promise<void> {
    await this.ready;
    await this.#working;
    await this.#scanAll([...this.#spots.keys()]);
  }

  /** Looks once more and then no more. The store must still be open. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#closed = true;
    await this.ready;
    await this.#working;
    await this.#scanAll([...this.#spots.keys()]);
  }

  async #readBack(): Promise<void> {
    try {
      for (const [machineId, open] of Map.groupBy(await queryOpenIncidents(this.#parts.store), (one) => one.machineId)) {
        if (!this.#open.has(machineId)) this.#open.set(machineId, open);
        // Those that were stored just before this process's predecessor was killed.
        for (const one of open) this.#parts.recorders.askFor(one);
      }
      for (const bootId of await queryEndedBoots(this.#parts.store, DEATH_KINDS)) this.#silence.noteEnd(bootId);
    } catch (error) {
      if (!isOperational(error)) throw error;
      log.warn('open incidents are not known yet', { error: messageOf(error) });
    }
  }

  #tick(): void {
    this.#silence.beat(Date.now());
    if (this.#working !== undefined || this.#closed) return;
    this.#working = this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  async #work(): Promise<void> {
    await this.ready;
    const nowMs = Date.now();
    await this.#look(() => this.#silence.look(nowMs, this.open));
    this.#markOver(nowMs);
    const due = [...this.#spots].filter(([, { markedMs, sinceMs }]) => nowMs - markedMs >= PAUSE_MS || nowMs - sinceMs >= LOOK_EVERY_MS);
    await this.#scanAll(due.map(([machineId]) => machineId));
  }

  /** What is over because nothing more came is seen by looking at it again. */
  #markOver(nowMs: number): void {
    const nowNs = BigInt(nowMs) * NS_PER_MS;
    for (const [machineId, open] of this.#open) {
      for (const incident of open) {
        const endNs = endsAt(incident);
        if (endNs !== undefined && endNs < nowNs) this.mark(machineId, incident.lastUnixNs);
      }
    }
  }

  async #scanAll(machines: readonly string[]): Promise<void> {
    for (const machineId of machines) await this.#look(() => this.#scan(machineId));
  }

  /** A store that is busy or away is asked again at the next turn: the signals are safe, and so is the place. */
  async #look(look: () => Promise<void>): Promise<void> {
    try {
      await look();
    } catch (error) {
      if (!isOperational(error)) throw error;
      log.warn('incidents wait', { error: messageOf(error) });
    }
  }

  async #scan(machineId: string): Promise<void> {
    const spot = this.#spots.get(machineId);
    if (spot === undefined) return;
    const { store, counters, live, recorders } = this.#parts;
    // What is marked from now on opens the place anew.
    this.#spots.delete(machineId);
    try {
      // While loads fail, queries answer without the newest rows: what is not there yet would be looked at never again.
      await store.flush();
      const { changed, opened, open, dropped } = await scanIncidents(store, machineId, spot.fromNs, BigInt(Date.now()) * NS_PER_MS);
      if (open.length === 0) this.#open.delete(machineId);
      else this.#open.set(machineId, open);
      counters.countDropped('incident_signals', dropped);
      for (const { kind } of opened) counters.countIncident(kind);
      for (const { incident, lastWords, mergedInto } of changed) {
        if (mergedInto === '' && DEATH_KINDS.includes(incident.kind) && incident.bootId !== '') this.#silence.noteEnd(incident.bootId);
        if (mergedInto === '') recorders.askFor(incident);
        if (mergedInto === '') live.publishIncident(toIncidentRow(incident, lastWords));
      }
    } catch (error) {
      const since = this.#spots.get(machineId);
      this.#spots.set(machineId, since === undefined || since.fromNs > spot.fromNs ? { ...spot, sinceMs: Date.now() } : since);
      throw error;
    }
    this.#save();
  }

  #save(): void {
    writeState(
      this.#parts.path,
      [...this.#spots].map(([machineId, { fromNs }]) => [machineId, fromNs.toString()]),
    );
  }
}

function findFirst(batch: LogBatch): bigint | undefined {
  const { eventName, strings, unixTime } = batch;
  const judged = new Map<number, boolean>();
  let firstNs: bigint | undefined;
  for (let row = 0; row < batch.length; row++) {
    const id = eventName[row] as number;
    if (id === 0) continue;
    let isSignal = judged.get(id);
    if (isSignal === undefined) judged.set(id, (isSignal = SIGNALS.has(strings.get(id)) && strings.get(id) !== GAP_EVENT));
    if (!isSignal) continue;
    const unixNs = unixTime.getBigint(row);
    if (firstNs === undefined || unixNs < firstNs) firstNs = unixNs;
  }
  return firstNs;
}

function readSpots(path: string): [machineId: string, fromNs: bigint][] {
  const spots = openState(
    path,
    (json) => (json as [string, string][]).map(([machineId, fromNs]): [string, bigint] => [machineId, BigInt(fromNs)]),
    // The signals themselves are stored.
    (error) => log.warn('the places of unfinished looks for incidents are lost', { path, error: messageOf(error) }),
  );
  return spots ?? [];
}
