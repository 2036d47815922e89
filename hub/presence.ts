/** Which incarnations are sending now, how fast, and on which clock: what only the receiving process knows. */
import { keepLast } from '../base/recent-map.ts';
import type { KernelIdentity } from '../model/identity.ts';

/** Rates are means over this window. */
const WINDOW_SECONDS = 10;
/** A kernel from which nothing came for this long is silent. */
export const SILENT_AFTER_MS = 10_000;
/** Incarnations remembered; the one that was silent longest goes first. */
const MAX_KERNELS = 4_096;

export interface Presence {
  readonly identity: KernelIdentity;
  firstMs: number;
  lastMs: number;
  clock: string;
  /** -1 = unknown. */
  clockErrorNs: number;
  /** Last log line; 0 = none in this life of the hub. */
  lastLine: string;
  lastLineNs: bigint;
  /** How far its newest record was ahead of the hub's clock when it came, ns; 0 = not. */
  aheadNs: bigint;
  /** Batches of metrics that came: a collector's books among them. */
  books: number;
  /** When its collector said that it stops, Unix ns; 0 = it did not. */
  stoppedNs: bigint;
  /** When the store last got a row about it; 0 = never. */
  sightedMs: number;
  readonly logs: RateWindow;
  readonly events: RateWindow;
}

/** Count per second over the last seconds, in a ring of one-second slots. */
export class RateWindow {
  readonly #counts = new Float64Array(WINDOW_SECONDS + 1);
  readonly #seconds = new Float64Array(WINDOW_SECONDS + 1);

  add(count: number, nowMs: number): void {
    const second = Math.floor(nowMs / 1000);
    const slot = second % this.#counts.length;
    if (this.#seconds[slot] !== second) {
      this.#seconds[slot] = second;
      this.#counts[slot] = 0;
    }
    this.#counts[slot] = (this.#counts[slot] as number) + count;
  }

  /** Mean of the last whole seconds; `sinceMs` shortens the window for a kernel that has just appeared. */
  perSecond(nowMs: number, sinceMs: number): number {
    const now = Math.floor(nowMs / 1000);
    let total = 0;
    for (let slot = 0; slot < this.#counts.length; slot++) {
      const age = now - (this.#seconds[slot] as number);
      if (age >= 1 && age <= WINDOW_SECONDS) total += this.#counts[slot] as number;
    }
    const seconds = Math.min(WINDOW_SECONDS, Math.max(1, now - Math.floor(sinceMs / 1000)));
    return total / seconds;
  }
}

export class PresenceTable {
  /** The one that was heard last at the end. */
  readonly #byBoot = new Map<string, Presence>();

  /** Notes that something of this incarnation came in. */
  see(identity: KernelIdentity, nowMs = Date.now()): Presence {
    const known = this.#byBoot.get(identity.bootId);
    if (known !== undefined) {
      known.lastMs = nowMs;
      this.#byBoot.delete(identity.bootId);
      this.#byBoot.set(identity.bootId, known);
      return known;
    }
    const presence: Presence = {
      identity,
      firstMs: nowMs,
      lastMs: nowMs,
      clock: '',
      clockErrorNs: -1,
      lastLine: '',
      lastLineNs: 0n,
      aheadNs: 0n,
      books: 0,
      stoppedNs: 0n,
      sightedMs: 0,
      logs: new RateWindow(),
      events: new RateWindow(),
    };
    keepLast(this.#byBoot, identity.bootId, presence, MAX_KERNELS);
    return presence;
  }

  find(bootId: string): Presence | undefined {
    return this.#byBoot.get(bootId);
  }

  /** An incarnation that turned out to be another's. */
  forget(bootId: string): void {
    this.#byBoot.delete(bootId);
  }

  all(): Iterable<Presence> {
    return this.#byBoot.values();
  }
}
