/**
 * How kernels end, each end once, out of what two kernels say of it:
 *
 *   dead, its last words    … Kernel panic - not syncing: …  …  Multikernel instance 1 shutting down ─┐
 *   host, about it          … Instance 1 (spawn1) halted, CPUs parking in pool                       ─┴─ one end of boot f3f2…
 *   host, afterwards        … Multikernel instance 1 is now active                                    ── what comes now is another life
 *
 * Why it ended says explain-death.ts. What others said meanwhile (a burst of REBOOT_VECTOR) is joined in track-incidents.ts.
 */
import type { IncidentKind, IncidentSeverity } from '../model/incident.ts';
import { explainDeath, type DeathKind } from './explain-death.ts';
import type { IncidentSignal, KnownBoot } from './incident-signal.ts';

/** A graceful halt is waited for 30 s; the words of the dead may come late, from a console. */
const JOIN_NS = 35_000_000_000n;
/** A bound on a time that is wider than this says nothing about which of two ends it was. */
const MAX_ERROR_NS = 10_000_000_000n;

const ASKED = 'mk.instance.halt.request';
const LOST = 'mk.instance.lost';
const OWN_EVENTS: ReadonlySet<string> = new Set([
  'kernel.panic',
  'mk.kernel.panic',
  'mk.instance.killed',
  ASKED,
  'mk.instance.poweroff',
  'mk.instance.stopping',
]);
const HOST_EVENTS: ReadonlySet<string> = new Set([
  'mk.instance.halted',
  'mk.instance.halt.done',
  'mk.instance.halt.partial',
  'mk.instance.kill',
  LOST,
]);
/** What ends the absence of a kernel, and in which words. The second is printed by the new life itself. */
export const ACTIVE = 'mk.instance.active';
const BOOTED = 'mk.kernel.version';
const STARTED = 'started again';
const AFTERWARDS: Readonly<Record<string, string>> = {
  [ACTIVE]: STARTED,
  [BOOTED]: STARTED,
  'mk.instance.unloaded': 'unloaded',
  'mk.instance.release': 'removed',
};

export const DEATH_EVENTS: readonly string[] = [...OWN_EVENTS, ...HOST_EVENTS, ...Object.keys(AFTERWARDS)];

/** What an end is as an incident. A stop that somebody asked for, inside or from the host, is a life event and no alarm. */
const DEATHS: Readonly<Record<DeathKind | 'lost', { readonly kind: IncidentKind; readonly severity: IncidentSeverity }>> = {
  panic: { kind: 'panic', severity: 'critical' },
  lost: { kind: 'instance_lost', severity: 'critical' },
  force_kill: { kind: 'killed', severity: 'warning' },
  unknown: { kind: 'died', severity: 'warning' },
  halt: { kind: 'stopped', severity: 'info' },
  power_off: { kind: 'stopped', severity: 'info' },
  restart: { kind: 'stopped', severity: 'info' },
};

/** One end of one kernel. */
export class KernelDeath {
  readonly kernelId: number;
  /** Undefined until its own words come. */
  bootId: string | undefined;
  kernelName = '';
  own: IncidentSignal[] = [];
  host: IncidentSignal[] = [];
  /** It runs again, or is gone for good. */
  over: { readonly unixNs: bigint; readonly how: string } | undefined;
  /** When its kernel began its next life: what the host says from then on is about that. */
  nextLifeNs: bigint | undefined;

  constructor(kernelId: number) {
    this.kernelId = kernelId;
  }

  get signals(): readonly IncidentSignal[] {
    return [...this.own, ...this.host];
  }

  /** A request alone ends nothing. */
  get isReal(): boolean {
    return this.signals.some(({ event }) => event !== ASKED);
  }

  get firstNs(): bigint {
    return this.signals.reduce<bigint>((least, { unixNs }) => (unixNs < least ? unixNs : least), this.#any.unixNs);
  }

  get lastNs(): bigint {
    return this.signals.reduce((most, { lastNs }) => (lastNs > most ? lastNs : most), this.#any.lastNs);
  }

  get #any(): IncidentSignal {
    return (this.own[0] ?? this.host[0]) as IncidentSignal;
  }

  /** What is said of this end, and not of the next. */
  canTake(signal: IncidentSignal): boolean {
    return (this.nextLifeNs === undefined || signal.unixNs < this.nextLifeNs) && this.isNear(signal);
  }

  isNear({ unixNs, errorNs }: IncidentSignal): boolean {
    const error = BigInt(Math.max(0, errorNs));
    const slack = JOIN_NS + (error < MAX_ERROR_NS ? error : MAX_ERROR_NS);
    return unixNs >= this.firstNs - slack && unixNs <= this.lastNs + slack;
  }
}

export interface ExplainedDeath {
  readonly kind: IncidentKind;
  readonly severity: IncidentSeverity;
  /** Behind the kernel's name. */
  readonly what: string;
  readonly reason: string;
  readonly evidence: string;
}

export class DeathTracker {
  readonly #boots: ReadonlyMap<string, KnownBoot>;
  readonly #deaths = new Map<number, KernelDeath[]>();

  constructor(boots: ReadonlyMap<string, KnownBoot>) {
    this.#boots = boots;
  }

  get deaths(): readonly KernelDeath[] {
    return [...this.#deaths.values()].flat().filter(({ isReal }) => isReal);
  }

  take(signal: IncidentSignal): void {
    const { event } = signal;
    const own = this.#boots.get(signal.bootId)?.kernelId ?? signal.kernelId;
    const how = AFTERWARDS[event];
    if (how !== undefined) this.#endAbsence(event === BOOTED ? own : namedIn(signal), signal, how);
    else if (HOST_EVENTS.has(event)) this.#takeFromHost(namedIn(signal), signal);
    else if (OWN_EVENTS.has(event)) this.#takeOwn(own, signal);
  }

  forget(beforeNs: bigint): void {
    for (const [kernelId, deaths] of this.#deaths) {
      const kept = deaths.filter(({ lastNs }) => lastNs >= beforeNs);
      if (kept.length === 0) this.#deaths.delete(kernelId);
      else this.#deaths.set(kernelId, kept);
    }
  }

  #takeOwn(kernelId: number, signal: IncidentSignal): void {
    const death = this.#deathOf(kernelId, signal) ?? this.#open(kernelId);
    death.bootId = signal.bootId;
    death.kernelName = this.#boots.get(signal.bootId)?.kernelName ?? signal.kernelName;
    death.own.push(signal);
  }

  /** A boot ends once; a request that it outlived is no part of that. */
  #deathOf(kernelId: number, signal: IncidentSignal): KernelDeath | undefined {
    const deaths = this.#of(kernelId);
    const same = deaths.find(({ bootId }) => bootId === signal.bootId);
    if (same !== undefined && (same.isReal || same.isNear(signal))) return same;
    if (same !== undefined)
      this.#deaths.set(
        kernelId,
        deaths.filter((death) => death !== same),
      );
    return deaths.findLast((one) => one.bootId === undefined && one.canTake(signal));
  }

  #takeFromHost(kernelId: number | undefined, signal: IncidentSignal): void {
    if (kernelId === undefined) return;
    const death = this.#of(kernelId).findLast((one) => one.canTake(signal)) ?? this.#open(kernelId);
    death.kernelName ||= signal.fields['mk.instance.name'] ?? '';
    death.host.push(signal);
  }

  #endAbsence(kernelId: number | undefined, { event, unixNs, bootId }: IncidentSignal, how: string): void {
    for (const death of kernelId === undefined ? [] : this.#of(kernelId)) {
      const isItself = event === BOOTED && death.bootId === bootId;
      if (isItself || death.lastNs > unixNs) continue;
      if (death.over === undefined || death.over.unixNs > unixNs) death.over = { unixNs, how };
      if (how === STARTED && (death.nextLifeNs === undefined || death.nextLifeNs > unixNs)) death.nextLifeNs = unixNs;
    }
  }

  #of(kernelId: number): KernelDeath[] {
    return this.#deaths.get(kernelId) ?? [];
  }

  #open(kernelId: number): KernelDeath {
    const death = new KernelDeath(kernelId);
    this.#deaths.set(kernelId, [...this.#of(kernelId), death]);
    return death;
  }
}

/** `hasPeers`: other kernels were told to stop just then. */
export function explain(death: KernelDeath, hasPeers: boolean): ExplainedDeath {
  const inOrder = (signals: readonly IncidentSignal[]): string[] =>
    signals.toSorted((a, b) => (a.unixNs < b.unixNs ? -1 : a.unixNs > b.unixNs ? 1 : 0)).map(({ body }) => body);
  const { kind, reason, evidence } = explainDeath(death.kernelId, inOrder(death.own), inOrder(death.host));
  if (kind !== 'unknown') {
    const what = kind === 'panic' ? `panicked: ${reason.replace(/^panic: /, '')}` : kind === 'force_kill' ? `was ${reason}` : reason;
    return { ...DEATHS[kind], what, reason, evidence };
  }
  const report = death.own.find(({ event }) => event === 'kernel.panic');
  if (report !== undefined) return { ...DEATHS.panic, what: 'panicked', reason: report.body, evidence: report.body };
  const lost = death.host.find(({ event }) => event === LOST);
  if (lost !== undefined) {
    return {
      ...DEATHS.lost,
      what: 'was lost: it stopped without a word to the host',
      reason: 'stopped without a halt notification',
      evidence: lost.body,
    };
  }
  const last = death.host.at(-1)?.body ?? death.own.at(-1)?.body ?? '';
  if (hasPeers) {
    const inferred = 'panicked: it told all CPUs of the machine to stop just before it halted; its own last words are not here';
    return { ...DEATHS.panic, what: 'panicked, as its signal to the other kernels says', reason: inferred, evidence: last };
  }
  const why = death.own.length === 0 ? 'stopped; its own last words are not here' : reason;
  return { ...DEATHS.unknown, what: 'stopped without a word', reason: why, evidence: last };
}

function namedIn({ fields }: IncidentSignal): number | undefined {
  const id = Number(fields['mk.instance.id'] ?? NaN);
  return Number.isSafeInteger(id) ? id : undefined;
}
