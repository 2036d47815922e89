/**
 * Keeps the spans of instances' lives up to date with what comes live:
 *
 *   batch stored ─► notice: a message that lives are told by ─► its machine falls silent ─► store-lives.ts
 *
 * What is looked at are stored rows, as with reports (report-watch.ts): a spawned kernel's own log, its console and the host's log come
 * over different ways and in any order. A machine is looked at once when the hub starts, so that nothing that an earlier process
 * took over stays untold.
 */
import { isOperational, messageOf } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import { LIFE_EVENTS } from '../correlate/tell-lives.ts';
import type { KernelIdentity } from '../model/identity.ts';
import type { LogBatch } from '../model/log-batch.ts';
import { queryMachinesWith } from '../store/queries/lives.ts';
import type { Store } from '../store/store.ts';
import type { HubCounters } from './counters.ts';
import { findLifeMessages, storeLives } from './store-lives.ts';

const TICK_MS = 500;
/** The last words of a kernel come over a console some seconds after the host's line about its end. */
const QUIET_MS = 3_000;
/** A machine that never falls silent is looked at this often. */
const EVERY_MS = 15_000;
/** After the start of the hub, when collectors have sent what waited. */
const START_DELAY_MS = 5_000;
const START_RANGE_NS = 86_400_000_000_000n;
/** More than a fleet has, and a bound for who makes machines up. */
const MAX_MACHINES = 4_096;

const log = createLogger('lives');

interface Machine {
  /** Since when, ms, there are messages that were not looked at; undefined = none. */
  newSinceMs: number | undefined;
  arrivedMs: number;
  /** All before it is told. */
  fromNs: bigint;
  /** Earliest message that was not looked at; undefined = none. A look that is under way has not seen it. */
  firstNewNs: bigint | undefined;
}

export interface LifeWatchParts {
  readonly store: Store;
  readonly counters: HubCounters;
  readonly version: string;
}

export class LifeWatch {
  readonly #parts: LifeWatchParts;
  readonly #machines = new Map<string, Machine>();
  readonly #timer: NodeJS.Timeout;
  readonly #starter: NodeJS.Timeout;
  #looking: Promise<void> | undefined;

  constructor(parts: LifeWatchParts) {
    this.#parts = parts;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#timer.unref();
    this.#starter = setTimeout(() => {
      this.#looking ??= this.#recall().finally(() => (this.#looking = undefined));
    }, START_DELAY_MS);
    this.#starter.unref();
  }

  /** Rows of a machine that are stored. */
  notice({ machineId, kernelId }: KernelIdentity, batch: LogBatch): void {
    const firstNs = findLifeMessages(batch, kernelId);
    if (firstNs !== undefined) this.mark(machineId, firstNs);
  }

  /** Tells what is not told yet. The store must still be open. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    clearTimeout(this.#starter);
    await this.#looking;
    for (const [machineId, machine] of this.#machines) if (machine.newSinceMs !== undefined) await this.#look(machineId, machine);
  }

  /** There is something new to tell of a machine, from this moment on. */
  mark(machineId: string, firstNs: bigint): void {
    const nowMs = Date.now();
    const known = this.#machines.get(machineId);
    if (known !== undefined) {
      known.newSinceMs ??= nowMs;
      known.arrivedMs = nowMs;
      known.firstNewNs = least(known.firstNewNs, firstNs);
      return;
    }
    if (this.#machines.size >= MAX_MACHINES) {
      this.#parts.counters.countDropped('life_watch_full', 1);
      return;
    }
    // Of a machine that is new to this process, all that is stored: its lives may have begun long ago.
    this.#machines.set(machineId, { newSinceMs: nowMs, arrivedMs: nowMs, fromNs: 0n, firstNewNs: firstNs });
  }

  async #recall(): Promise<void> {
    try {
      const sinceNs = BigInt(Date.now()) * 1_000_000n - START_RANGE_NS;
      for (const machineId of await queryMachinesWith(this.#parts.store, LIFE_EVENTS, sinceNs)) this.mark(machineId, 0n);
    } catch (error) {
      if (!isOperational(error)) throw error;
      log.warn('lives of instances are told when their machine speaks again', { error: messageOf(error) });
    }
  }

  #tick(): void {
    if (this.#looking !== undefined) return;
    const nowMs = Date.now();
    const due = [...this.#machines].filter(
      ([, { newSinceMs, arrivedMs }]) => newSinceMs !== undefined && (nowMs - arrivedMs >= QUIET_MS || nowMs - newSinceMs >= EVERY_MS),
    );
    if (due.length === 0) return;
    this.#looking = this.#lookAt(due).finally(() => (this.#looking = undefined));
  }

  async #lookAt(due: readonly (readonly [string, Machine])[]): Promise<void> {
    for (const [machineId, machine] of due) await this.#look(machineId, machine);
  }

  /** A store that is busy or away is asked again at the next turn: the rows are safe. */
  async #look(machineId: string, machine: Machine): Promise<void> {
    const { store, counters, version } = this.#parts;
    const { newSinceMs, firstNewNs } = machine;
    machine.newSinceMs = machine.firstNewNs = undefined;
    // Late: the life that it belongs to may have begun long before.
    const fromNs = firstNewNs !== undefined && firstNewNs < machine.fromNs ? 0n : machine.fromNs;
    const nowNs = BigInt(Date.now()) * 1_000_000n;
    try {
      const { spans, openSinceNs } = await storeLives(store, { machineId, fromNs, version });
      counters.rowsStored.spans += spans;
      machine.fromNs = openSinceNs ?? nowNs;
    } catch (error) {
      if (!isOperational(error)) throw error;
      machine.newSinceMs ??= newSinceMs;
      machine.firstNewNs = least(machine.firstNewNs, firstNewNs);
      log.warn('lives of instances wait', { machine: machineId, error: messageOf(error) });
    }
  }
}

function least(one: bigint | undefined, other: bigint | undefined): bigint | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return one < other ? one : other;
}
