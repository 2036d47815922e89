/**
 * Says when a kernel that should speak does not. A collector sends its books each second, so one whose books were seen is
 * expected; one that said that it stops is not, nor is a kernel whose end is known, nor a guest without a collector, whose
 * console may be silent for days. What is said is a row of the log with a name, at the moment since when nothing came:
 *
 *   mk.kernel.silent   while others of the machine speak         mk.kernel.back      it, or a later boot of it, speaks
 *   mk.collector.gone  nobody of the machine does                mk.collector.back   somebody does
 *
 * Not handled: a kernel that fell silent while no hub ran.
 */
import { WATCH_EVENT, type Incident } from '../model/incident.ts';
import type { Presence, PresenceTable } from './presence.ts';
import { writeWatchRow, type WatchRowParts } from './watch-row.ts';

/** Twenty books of a collector that do not come; a machine that stalls on its disk is back before. */
const SILENT_MS = 20_000;
/** Books after which more are expected. */
const LEAST_BOOKS = 3;
/** A hub that was stopped itself hears nobody. */
const OWN_STALL_MS = 5_000;
const NS_PER_MS = 1_000_000n;
const LEVEL_ERR = 3;
const LEVEL_INFO = 6;
/** Boots whose end is remembered, and silences that were said. */
const MAX_ENDED = 10_000;

export interface SilenceParts extends WatchRowParts {
  readonly presence: PresenceTable;
}

export class SilenceWatch {
  readonly #parts: SilenceParts;
  readonly #ended = new Set<string>();
  /** Silences that were said, by boot and moment. */
  readonly #said = new Set<string>();
  readonly #startMs = Date.now();
  #beatMs = Date.now();
  #graceUntilMs = 0;

  constructor(parts: SilenceParts) {
    this.#parts = parts;
  }

  /** From now on this boot's silence has its reason. */
  noteEnd(bootId: string): void {
    this.#ended.add(bootId);
    if (this.#ended.size > MAX_ENDED) this.#ended.delete(this.#ended.values().next().value as string);
  }

  /** To be called often, whatever else is under way: where this stops, the hub was stopped itself. */
  beat(nowMs: number): void {
    if (nowMs - this.#beatMs > OWN_STALL_MS) this.#graceUntilMs = nowMs + SILENT_MS;
    this.#beatMs = nowMs;
  }

  async look(nowMs: number, open: readonly Incident[]): Promise<void> {
    await this.#lookForReturns(open);
    if (nowMs < this.#graceUntilMs) return;
    for (const [, kernels] of Map.groupBy(this.#parts.presence.all(), ({ identity }) => identity.machineId)) {
      const latest = latestOf(kernels);
      const silent = kernels.filter((kernel) => nowMs - kernel.lastMs >= SILENT_MS && this.#isExpected(kernel, latest));
      const [first] = silent.toSorted((a, b) => a.identity.kernelId - b.identity.kernelId);
      if (first === undefined) continue;
      const isHeard = kernels.some(({ lastMs }) => nowMs - lastMs < SILENT_MS);
      // Between one that fell silent a moment ago and one that is about to, wait for the other.
      const isDecided = !isHeard || silent.every(({ lastMs }) => kernels.some((other) => other.lastMs - lastMs > SILENT_MS / 4));
      if (!isDecided) continue;
      if (isHeard) for (const kernel of silent) await this.#say(kernel, WATCH_EVENT.kernelSilent, kernel.identity.kernelName, open);
      else await this.#say(first, WATCH_EVENT.collectorGone, first.identity.machineName, open);
    }
  }

  #isExpected(kernel: Presence, latest: ReadonlyMap<number, Presence>): boolean {
    const { identity, books, stoppedNs } = kernel;
    return books >= LEAST_BOOKS && stoppedNs === 0n && !this.#ended.has(identity.bootId) && !isReplaced(kernel, latest);
  }

  #note(said: string): void {
    this.#said.add(said);
    if (this.#said.size > MAX_ENDED) this.#said.delete(this.#said.values().next().value as string);
  }

  async #say(kernel: Presence, event: string, who: string, open: readonly Incident[]): Promise<void> {
    const { identity, lastMs } = kernel;
    const isKnown = open.some(({ kind, bootId, machineId }) =>
      kind === 'collector_gone' ? machineId === identity.machineId : kind === 'silent_kernel' && bootId === identity.bootId,
    );
    const key = `${identity.bootId} ${lastMs}`;
    if (isKnown || this.#said.has(key)) return;
    this.#note(key);
    const sinceNs = BigInt(lastMs) * NS_PER_MS;
    await this.#append(kernel, event, `nothing received from ${who} for ${SILENT_MS / 1000} s`, LEVEL_ERR, sinceNs, sinceNs);
  }

  async #lookForReturns(open: readonly Incident[]): Promise<void> {
    for (const { kind, machineId, kernelId, bootId, firstUnixNs } of open) {
      if (kind !== 'silent_kernel' && kind !== 'collector_gone') continue;
      const sinceMs = Math.max(this.#startMs, Number(firstUnixNs / NS_PER_MS) + 1);
      const heard = [...this.#parts.presence.all()].find(
        ({ identity, lastMs, firstMs }) =>
          identity.machineId === machineId &&
          lastMs > sinceMs &&
          (kind === 'collector_gone' || identity.bootId === bootId || (identity.kernelId === kernelId && firstMs > sinceMs)),
      );
      const key = `back ${machineId} ${bootId} ${firstUnixNs}`;
      if (heard === undefined || this.#said.has(key)) continue;
      this.#note(key);
      const { kernelName, machineName } = heard.identity;
      const isSame = heard.identity.bootId === bootId || kind === 'collector_gone';
      const body = `${kind === 'collector_gone' ? machineName : kernelName} is heard again${isSame ? '' : ', as another incarnation'}`;
      const event = kind === 'collector_gone' ? WATCH_EVENT.collectorBack : WATCH_EVENT.kernelBack;
      // Of the incarnation that fell silent: it is that one's incident that ends.
      const of = kind === 'collector_gone' ? heard : { ...heard, identity: { ...heard.identity, bootId } };
      await this.#append(of, event, body, LEVEL_INFO, BigInt(heard.lastMs) * NS_PER_MS, firstUnixNs);
    }
  }

  #append({ identity }: Presence, event: string, body: string, level: number, atNs: bigint, sinceNs: bigint): Promise<void> {
    const fields = { 'mk.silent.since': String(sinceNs) };
    return writeWatchRow(this.#parts, identity, { event, body, level, atNs, fromNs: sinceNs, fields });
  }
}

/** By kernel id, the boot that was heard first last. */
function latestOf(kernels: readonly Presence[]): ReadonlyMap<number, Presence> {
  const latest = new Map<number, Presence>();
  for (const kernel of kernels) {
    const known = latest.get(kernel.identity.kernelId);
    if (known === undefined || kernel.firstMs > known.firstMs) latest.set(kernel.identity.kernelId, kernel);
  }
  return latest;
}

/** A later boot of the same kernel speaks. */
function isReplaced({ identity: { kernelId, bootId }, lastMs }: Presence, latest: ReadonlyMap<number, Presence>): boolean {
  const other = latest.get(kernelId);
  return other !== undefined && other.identity.bootId !== bootId && other.firstMs >= lastMs;
}
