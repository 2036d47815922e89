/**
 * The clocks of all machines while their records come in: evidence out of segments and matched messages, lines for what is about to
 * be stored, and what became of both, written to `clock_fits`.
 *
 *   segment ──fit, links──► MachineClocks ──line──► times of its events, of log lines         (before they are stored)
 *   matched messages ─────►      │
 *                                └─ a stretch drawn anew ──► clock_fits, and `revisions`: queries read older rows with it
 *
 * docs/decisions/011-realignment.md says why rows are not rewritten.
 */
import { createLogger } from '../base/log.ts';
import { isOperational, messageOf } from '../base/errors.ts';
import { keepLast } from '../base/recent-map.ts';
import { fromFitFields, toUnixNs, type ClockFit } from '../clock/fit.ts';
import { MachineClocks, type ChangedStretch, type ImpossibleMessages, type MessageMoment } from '../clock/machine-clocks.ts';
import type { AlignedClock } from '../clock/aligned-clock.ts';
import type { ClockRow, Clocks } from '../model/api.ts';
import { HOST_KERNEL_ID, toResource, toScope, type KernelIdentity } from '../model/identity.ts';
import { WATCH_EVENT } from '../model/incident.ts';
import type { LogBatch } from '../model/log-batch.ts';
import { parseHubLink, type SegmentHeader } from '../model/segment.ts';
import { isCounter, NO_RAW_TIME, type ClockDomain } from '../model/time.ts';
import { MAX_REVISIONS, queryLastFits, queryRevisions, toRevision, type Revision } from '../store/queries/clocks.ts';
import type { ClockFitRow } from '../store/clock-rows.ts';
import type { Store, StoreBatch } from '../store/store.ts';
import { toAuditBatch } from './audit-metrics.ts';
import { isPossible } from './time-guard.ts';
import type { WatchRows } from './watch-row.ts';

const STORE_INTERVAL_MS = 1_000;
const AUDIT_INTERVAL_MS = 10_000;
/** Changed stretches that wait for a store which does not take them. */
const MAX_WAITING = 10_000;
const MAX_MACHINES = 4_096;
/** Boots of all machines; of the one that was silent longest nothing more is known. */
const MAX_KERNELS = 8_192;
/** A segment's events are about as old as its fit; a stamp from elsewhere is no moment to know a clock by. */
const BEFORE_FIT_NS = 400e9;
const AFTER_FIT_NS = 10e9;
/** A wall clock that nobody compared with the host's is believed to so much, as that of a guest that is read without pings. */
const OWN_WALL_DOUBT_NS = 1e9;
/** The kernel slews a clock by at most so much. */
const UNSEEN_DRIFT = 500e-6;

const LEVEL_WARNING = 4;

const log = createLogger('clocks');

/** How the events of a segment get their times. */
export interface SegmentClock {
  readonly fit: ClockFit;
  /** The line of the machine's graph, where it says more than the collector. */
  readonly aligned: AlignedClock | undefined;
  /** Unix time of its newest event as the collector has it, where that cannot be: then the fit is one of arrival, without a bound. */
  readonly brokenNs?: bigint;
}

interface KnownKernel {
  readonly identity: KernelIdentity;
  heardMs: number;
  isOwnUnix: boolean;
}

export class ClockWatch {
  readonly #store: Store;
  readonly #version: string;
  readonly #processId: string;
  readonly #startNs = BigInt(Date.now()) * 1_000_000n;
  /** By machine: messages looked at when its audit was last stored. */
  readonly #audited = new Map<string, number>();
  #auditedMs = 0;
  readonly #rows: WatchRows | undefined;
  readonly #machines = new Map<string, MachineClocks>();
  /** The one that was heard last at the end. */
  readonly #kernels = new Map<string, KnownKernel>();
  #revisions: Revision[] = [];
  #waiting: { readonly identity: KernelIdentity; readonly rows: readonly ClockFitRow[] }[] = [];
  /** Last lines of an earlier process, until their kernel is heard. */
  readonly #stored = new Map<string, ClockFitRow>();
  #storing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** `processId` names this process's monotonic clock, which collectors ask for. `rows`: where it says which clocks cannot be right. */
  constructor(store: Store, version: string, processId: string, rows?: WatchRows) {
    this.#store = store;
    this.#version = version;
    this.#processId = processId;
    this.#rows = rows;
  }

  /** Reads what an earlier process knew, and begins. */
  async start(): Promise<void> {
    this.#revisions = await queryRevisions(this.#store);
    for (const one of await queryLastFits(this.#store)) this.#stored.set(`${one.bootId}\n${one.clock}`, one);
    this.#timer = setInterval(() => {
      this.#storing ??= this.#storeChanged().finally(() => (this.#storing = undefined));
    }, STORE_INTERVAL_MS);
    this.#timer.unref();
  }

  /** Stores what is left. The store must still be open. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#storing;
    this.#auditedMs = 0;
    await this.#storeChanged();
  }

  /** Stretches that are better now than when rows were stored with them, the newest last. */
  get revisions(): readonly Revision[] {
    return this.#revisions;
  }

  /** The clock of a segment whose events lie between two raw times, with what the segment says itself. */
  openSegment(header: SegmentHeader, fromRaw: bigint, toRaw: bigint): SegmentClock {
    const { identity, clock, links = [], wall, hub } = header;
    const fit = fromFitFields(header.fit);
    const distanceNs = Number(toRaw - fit.baseRaw) * fit.nsPerTick;
    const nowMs = Date.now();
    const nowNs = BigInt(nowMs) * 1_000_000n;
    const toldNs = toRaw === NO_RAW_TIME ? nowNs : toUnixNs(fit, toRaw);
    const isBroken = !isPossible(toldNs, nowNs);
    const used: SegmentClock = {
      fit: isBroken ? { ...fit, baseRaw: toRaw, baseUnixNs: nowNs, errorNs: -1 } : fit,
      aligned: undefined,
      ...(isBroken ? { brokenNs: toldNs } : {}),
    };
    if (toRaw === NO_RAW_TIME || distanceNs < -BEFORE_FIT_NS || distanceNs > AFTER_FIT_NS) return used;
    const machine = this.#machineOf(identity);
    const isOwnUnix = wall === 'own' || isBroken;
    this.#hear(identity, nowMs, isOwnUnix);
    machine.noteFit(identity, clock, toRaw, fit, isOwnUnix);
    if (hub?.process === this.#processId) machine.noteHub(identity.bootId, toRaw, fit, fromFitFields(hub.fit), isOwnUnix);
    this.#recall(machine, identity.bootId, clock);
    const aligned = machine.extend(identity.bootId, clock, fromRaw, toRaw);
    for (const link of links) {
      if (link.clock !== 'printk') continue;
      const raw = BigInt(link.fit.baseRaw);
      machine.noteLink(identity.bootId, raw, fromFitFields(link.fit));
      // Also while nothing is printed: the bound of a line that may come.
      machine.extend(identity.bootId, 'printk', raw, raw);
    }
    const errorNs = aligned?.find(toRaw)?.fit.errorNs;
    if (errorNs !== undefined && errorNs <= Math.max(fit.errorNs, isOwnUnix ? Infinity : 0)) return { ...used, aligned };
    return isOwnUnix && !isBroken ? { ...used, fit: { ...fit, errorNs: Math.max(fit.errorNs, OWN_WALL_DOUBT_NS) } } : used;
  }

  /** Sets the times of log lines where the graph says more than their sender; returns the bound, undefined where it does not. */
  alignLogs(identity: KernelIdentity, batch: LogBatch, senderErrorNs: number): number | undefined {
    const known = this.#kernels.get(identity.bootId);
    const machine = this.#machines.get(identity.machineId);
    if (batch.clock !== 'printk' || known === undefined || machine === undefined) return undefined;
    const range = rangeOf(batch);
    const aligned = range && machine.extend(identity.bootId, 'printk', range.from, range.to);
    if (range === undefined || aligned === undefined) return undefined;
    const worst = aligned.worstError(range.from, range.to);
    const isBetter = worst !== undefined && (senderErrorNs < 0 || known.isOwnUnix || worst <= senderErrorNs);
    return isBetter ? aligned.align(batch.rawTime, batch.unixTime, batch.length) : undefined;
  }

  /**
   * Moves log lines whose sender tells its own wall clock by what that clock is off, as the hub's clock tells, which is the way for lines
   * from before the first trace event. Returns the bound.
   */
  alignWall({ machineId }: KernelIdentity, batch: LogBatch, senderErrorNs: number, hubLink: string): number {
    const believedNs = Math.max(senderErrorNs, OWN_WALL_DOUBT_NS);
    const link = parseHubLink(hubLink);
    if (link?.process !== this.#processId || batch.length === 0) return believedNs;
    const toHub = fromFitFields(link.fit);
    const unix = this.#machines.get(machineId)?.hubToUnix(toHub.baseUnixNs);
    if (unix === undefined) return believedNs;
    const shiftNs = (unix.low + unix.high) / 2n - toHub.baseRaw;
    let oldestNs = toHub.baseRaw;
    for (let row = 0; row < batch.length; row++) {
      const ownNs = batch.unixTime.getBigint(row);
      // 0 = it has no time yet.
      if (ownNs === 0n) continue;
      if (ownNs < oldestNs) oldestNs = ownNs;
      batch.unixTime.setBigint(row, ownNs + shiftNs);
    }
    // How the two clocks ran against each other before the ping nobody saw.
    const unseenNs = Number(toHub.baseRaw - oldestNs) * UNSEEN_DRIFT;
    return Math.ceil(Math.max(0, senderErrorNs) + toHub.errorNs + Number(unix.high - unix.low) / 2 + unseenNs);
  }

  /** A message that was matched; the raw times are those of both kernels' trace clocks. */
  addMessage(machineId: string, send: MessageMoment, receive: MessageMoment, confidence: number): void {
    this.#machines.get(machineId)?.addMessage(send, receive, confidence);
  }

  /** Half-width of the bound of a record of now, ns; undefined where the graph knows nothing. */
  errorOf(bootId: string): number | undefined {
    const known = this.#kernels.get(bootId);
    return known && this.#machines.get(known.identity.machineId)?.errorOf(bootId);
  }

  list(): Clocks {
    const nowMs = Date.now();
    const clocks: ClockRow[] = [];
    const audit = { messages: 0, early: 0, impossible: 0, worstNs: 0 };
    for (const machine of this.#machines.values()) {
      for (const { bootId, clock, last, evidence, toHostNs = -1, messages, rejected, steps } of machine.standings()) {
        const known = this.#kernels.get(bootId);
        if (known === undefined) continue;
        const { machineName: machineLabel, kernelId, kernelName } = known.identity;
        clocks.push({
          machine: machineLabel,
          kernelId,
          kernelName,
          bootId,
          clock,
          evidence,
          offsetNs: last === undefined ? '' : String(last.fit.baseUnixNs - (isCounter(clock) ? 0n : last.fit.baseRaw)),
          driftPpm: last === undefined || isCounter(clock) ? 0 : (last.fit.nsPerTick - 1) * 1e6,
          errorNs: last?.fit.errorNs ?? -1,
          toHostNs,
          steps,
          messages,
          rejectedBounds: rejected,
          ageMs: nowMs - known.heardMs,
        });
      }
      audit.messages += machine.audit.messages;
      audit.early += machine.audit.early;
      audit.impossible += machine.audit.impossible;
      audit.worstNs = Math.max(audit.worstNs, machine.audit.worstNs);
    }
    clocks.sort((a, b) => a.machine.localeCompare(b.machine) || a.kernelId - b.kernelId || a.bootId.localeCompare(b.bootId));
    return { clocks, audit };
  }

  #hear(identity: KernelIdentity, heardMs: number, isOwnUnix: boolean): void {
    keepLast(this.#kernels, identity.bootId, { identity, heardMs, isOwnUnix }, MAX_KERNELS);
  }

  #machineOf({ machineId }: KernelIdentity): MachineClocks {
    const machine = this.#machines.get(machineId) ?? new MachineClocks();
    this.#machines.delete(machineId);
    this.#machines.set(machineId, machine);
    if (this.#machines.size > MAX_MACHINES) {
      const [oldest] = this.#machines.keys();
      this.#machines.delete(oldest as string);
      this.#audited.delete(oldest as string);
      for (const [bootId, { identity }] of this.#kernels) if (identity.machineId === oldest) this.#kernels.delete(bootId);
    }
    return machine;
  }

  #recall(machine: MachineClocks, bootId: string, clock: ClockDomain): void {
    const stored = this.#stored.get(`${bootId}\n${clock}`);
    if (stored === undefined) return;
    this.#stored.delete(`${bootId}\n${clock}`);
    const { fromRaw, toRaw, baseUnixNs, nsPerTick, errorNs } = stored;
    machine.noteStored(bootId, clock, { fromRaw, toRaw, fit: { baseRaw: fromRaw, baseUnixNs, nsPerTick, errorNs } });
  }

  async #storeChanged(): Promise<void> {
    for (const machine of this.#machines.values()) {
      for (const found of machine.takeImpossible()) this.#sayImpossible(found);
      for (const [bootId, changed] of Map.groupBy(machine.takeChanged(), (one) => one.bootId)) {
        const identity = this.#kernels.get(bootId)?.identity;
        if (identity !== undefined) this.#note(identity, changed);
      }
    }
    const waiting = this.#waiting;
    const metrics = this.#takeAudits(Date.now());
    if (waiting.length === 0 && metrics.length === 0) return;
    this.#waiting = [];
    try {
      await this.#store.append({ clockFits: waiting, metrics });
    } catch (error) {
      if (!isOperational(error)) throw error;
      log.warn('lines of clocks are not stored yet', { error: messageOf(error) });
      this.#waiting = [...waiting, ...this.#waiting].slice(-MAX_WAITING);
    }
  }

  /** Of two kernels it is the one whose clock is held against the host's, or that received. */
  #sayImpossible({ sender, receiver, count, worstNs, firstUnixNs }: ImpossibleMessages): void {
    const [accused, other] = receiver.kernelId === HOST_KERNEL_ID ? [sender, receiver] : [receiver, sender];
    const identity = this.#kernels.get(accused.bootId)?.identity;
    const from = this.#kernels.get(sender.bootId)?.identity.kernelName ?? `kernel ${sender.kernelId}`;
    const to = this.#kernels.get(receiver.bootId)?.identity.kernelName ?? `kernel ${receiver.kernelId}`;
    if (identity === undefined) return;
    const body = `a message from ${from} to ${to} was received ${worstNs} ns before it was sent, by more than both bounds`;
    const fields = { 'mk.kernel.other': String(other.kernelId) };
    this.#rows?.add(identity, { event: WATCH_EVENT.impossibleClock, body, level: LEVEL_WARNING, atNs: firstUnixNs, count, fields });
  }

  /** Of machines where messages were looked at since; a point that the store does not take is followed by one that counts on. */
  #takeAudits(nowMs: number): NonNullable<StoreBatch['metrics']> {
    if (nowMs - this.#auditedMs < AUDIT_INTERVAL_MS) return [];
    this.#auditedMs = nowMs;
    const kernels = Map.groupBy(this.#kernels.values(), ({ identity }) => identity.machineId);
    return [...this.#machines].flatMap(([machineId, { audit }]) => {
      const own = kernels.get(machineId) ?? [];
      const known = own.findLast(({ identity }) => identity.kernelId === HOST_KERNEL_ID) ?? own[0];
      if (known === undefined || audit.messages === (this.#audited.get(machineId) ?? 0)) return [];
      this.#audited.set(machineId, audit.messages);
      const batch = toAuditBatch(audit, this.#startNs, BigInt(nowMs) * 1_000_000n);
      return [{ resource: toResource(known.identity), scope: toScope('mkscope.clocks', this.#version), batch }];
    });
  }

  #note(identity: KernelIdentity, changed: readonly ChangedStretch[]): void {
    const rows = changed.map(({ clock, stretch }) => toRow(clock, stretch));
    this.#waiting.push({ identity, rows });
    for (const row of rows) {
      if (row.revision === 0) continue;
      const revision = toRevision(identity.bootId, row);
      this.#revisions = this.#revisions.filter(
        (one) => one.bootId !== revision.bootId || one.clock !== row.clock || one.fromRaw !== row.fromRaw,
      );
      this.#revisions.push(revision);
    }
    if (this.#revisions.length > MAX_REVISIONS) this.#revisions = this.#revisions.slice(-MAX_REVISIONS);
  }
}

function toRow(clock: ClockDomain, { fromRaw, toRaw, fit, evidence, segment, revision, shiftNs }: ChangedStretch['stretch']): ClockFitRow {
  return {
    clock,
    fromRaw,
    toRaw,
    baseUnixNs: fit.baseUnixNs,
    nsPerTick: fit.nsPerTick,
    errorNs: Math.ceil(fit.errorNs),
    evidence,
    segment,
    revision,
    shiftNs: Math.ceil(shiftNs),
  };
}

function rangeOf(batch: LogBatch): { readonly from: bigint; readonly to: bigint } | undefined {
  let from: bigint | undefined;
  let to: bigint | undefined;
  for (let row = 0; row < batch.length; row++) {
    const raw = batch.rawTime.getBigint(row);
    if (raw === NO_RAW_TIME) continue;
    if (from === undefined || raw < from) from = raw;
    if (to === undefined || raw > to) to = raw;
  }
  return from === undefined || to === undefined ? undefined : { from, to };
}
