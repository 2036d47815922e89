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
import { firstFrom, pairEnds, type EndSpan } from './pair-ends.ts';

/** A graceful halt is waited for 30 s; the words of the dead may come late, from a console. */
const JOIN_NS = 35_000_000_000n;
/** A bound on a time that is wider than this says nothing about which of two ends it was. */
const MAX_ERROR_NS = 60_000_000_000n;
const LATEST_NS = 2n ** 63n;

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

/** One end of one kernel: what it said itself, what the host said, or both. */
export class KernelDeath {
  readonly kernelId: number;
  /** Undefined where it said nothing itself. */
  readonly bootId: string | undefined;
  readonly kernelName: string;
  readonly own: readonly IncidentSignal[];
  readonly host: readonly IncidentSignal[];
  /** It runs again, or is gone for good. */
  readonly over: { readonly unixNs: bigint; readonly how: string } | undefined;

  constructor(kernelId: number, own: End | undefined, host: End | undefined, over: Afterwards | undefined) {
    this.kernelId = kernelId;
    this.bootId = own?.bootId;
    this.kernelName = own?.kernelName ?? host?.kernelName ?? '';
    this.own = own?.signals ?? [];
    this.host = host?.signals ?? [];
    this.over = over;
  }

  get signals(): readonly IncidentSignal[] {
    return [...this.own, ...this.host];
  }

  get firstNs(): bigint {
    return this.signals.reduce((least, { unixNs }) => (unixNs < least ? unixNs : least), LATEST_NS);
  }

  get lastNs(): bigint {
    return this.signals.reduce((most, { lastNs }) => (lastNs > most ? lastNs : most), 0n);
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

/** What one kernel says of an end: itself, which is by its boot, or the host. */
class End {
  /** Undefined for the host's. */
  readonly bootId: string | undefined;
  kernelName = '';
  readonly signals: IncidentSignal[] = [];
  firstNs = LATEST_NS;
  lastNs = 0n;
  errorNs = 0n;

  constructor(bootId: string | undefined) {
    this.bootId = bootId;
  }

  add(signal: IncidentSignal): void {
    const { unixNs, lastNs } = signal;
    this.signals.push(signal);
    if (unixNs < this.firstNs) this.firstNs = unixNs;
    if (lastNs > this.lastNs) this.lastNs = lastNs;
    if (errorOf(signal) > this.errorNs) this.errorNs = errorOf(signal);
  }

  get isReal(): boolean {
    return isReal(this.signals);
  }

  isNear({ unixNs }: IncidentSignal): boolean {
    return unixNs >= this.firstNs - JOIN_NS && unixNs <= this.lastNs + JOIN_NS;
  }
}

interface Afterwards {
  readonly unixNs: bigint;
  readonly errorNs: bigint;
  readonly how: string;
  /** Of the life that says so itself; the host's words have none. */
  readonly bootId: string | undefined;
}

/** What is said of one kernel, in no order: signals may come late. */
class KernelEnds {
  readonly own = new Map<string, End>();
  host: IncidentSignal[] = [];
  afterwards: Afterwards[] = [];

  /** The host's words of each end: near each other, and no life begins between. */
  hostEnds(): End[] {
    const lives = inOrder(this.afterwards.filter(({ how }) => how === STARTED));
    const ends: End[] = [];
    for (const signal of inOrder(this.host)) {
      let end = ends.at(-1);
      if (end === undefined || !end.isNear(signal) || hasBegun(lives, end.lastNs, signal.unixNs)) {
        end = new End(undefined);
        ends.push(end);
      }
      end.kernelName ||= signal.fields['mk.instance.name'] ?? '';
      end.add(signal);
    }
    return ends;
  }
}

export class DeathTracker {
  readonly #boots: ReadonlyMap<string, KnownBoot>;
  readonly #kernels = new Map<number, KernelEnds>();

  constructor(boots: ReadonlyMap<string, KnownBoot>) {
    this.#boots = boots;
  }

  get deaths(): readonly KernelDeath[] {
    return [...this.#kernels].flatMap(([kernelId, ends]) => this.#deathsOf(kernelId, ends));
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
    for (const [kernelId, ends] of this.#kernels) {
      for (const [bootId, end] of ends.own) if (end.lastNs < beforeNs) ends.own.delete(bootId);
      const kept = ends.hostEnds().filter(({ lastNs }) => lastNs >= beforeNs);
      ends.host = kept.flatMap(({ signals }) => signals);
      ends.afterwards = ends.afterwards.filter(({ unixNs }) => unixNs >= beforeNs);
      if (ends.own.size + ends.host.length + ends.afterwards.length === 0) this.#kernels.delete(kernelId);
    }
  }

  /** A boot ends once; a request that it outlived is no part of that. */
  #takeOwn(kernelId: number, signal: IncidentSignal): void {
    const { bootId } = signal;
    const { own } = this.#of(kernelId);
    const known = own.get(bootId);
    const end = known !== undefined && (known.isReal || known.isNear(signal)) ? known : new End(bootId);
    own.set(bootId, end);
    end.kernelName = this.#boots.get(bootId)?.kernelName ?? signal.kernelName;
    end.add(signal);
  }

  #takeFromHost(kernelId: number | undefined, signal: IncidentSignal): void {
    if (kernelId !== undefined) this.#of(kernelId).host.push(signal);
  }

  #endAbsence(kernelId: number | undefined, signal: IncidentSignal, how: string): void {
    if (kernelId === undefined) return;
    const bootId = signal.event === BOOTED ? signal.bootId : undefined;
    this.#of(kernelId).afterwards.push({ unixNs: signal.unixNs, errorNs: errorOf(signal), how, bootId });
  }

  #of(kernelId: number): KernelEnds {
    let ends = this.#kernels.get(kernelId);
    if (ends === undefined) {
      ends = new KernelEnds();
      this.#kernels.set(kernelId, ends);
    }
    return ends;
  }

  /**
   * What a kernel says and what the host says of it are put together last, when all is here: a kernel that lived for seconds has a
   * clock that is known to seconds, and its last words may seem to be later than the beginning of its next life.
   */
  #deathsOf(kernelId: number, ends: KernelEnds): KernelDeath[] {
    const owns = [...ends.own.values()].sort((a, b) => compare(this.#beganNs(a), this.#beganNs(b)));
    const hosts = ends.hostEnds();
    const later = inOrder(ends.afterwards);
    const lives = later.filter(({ how, bootId }) => how === STARTED && bootId === undefined);
    const pairs = pairEnds(owns.map(toSpan), hosts.map(toSpan), lives, JOIN_NS);
    const told = new Set(pairs);
    const alone = hosts.filter((_, at) => !told.has(at));
    return [
      ...owns.map((own, at) => {
        const host = hosts[pairs[at] ?? -1];
        return new KernelDeath(kernelId, own, host, this.#overOf(host ?? own, own.bootId, later));
      }),
      ...alone.map((host) => new KernelDeath(kernelId, undefined, host, this.#overOf(host, undefined, later))),
    ].filter(({ signals }) => isReal(signals));
  }

  #beganNs({ bootId, firstNs }: End): bigint {
    return this.#boots.get(bootId ?? '')?.firstNs ?? firstNs;
  }

  /** The first that is no earlier than its last words; what another life says of itself may be of one that was before. */
  #overOf({ lastNs }: End, bootId: string | undefined, later: readonly Afterwards[]): Afterwards | undefined {
    const beganNs = this.#boots.get(bootId ?? '')?.firstNs;
    for (let at = firstFrom(later, lastNs); at < later.length; at++) {
      const one = later[at] as Afterwards;
      const otherNs = this.#boots.get(one.bootId ?? '')?.firstNs;
      const isNext = beganNs !== undefined && otherNs !== undefined ? otherNs > beganNs : one.unixNs - one.errorNs >= lastNs;
      if (one.bootId === undefined || (one.bootId !== bootId && isNext)) return one;
    }
    return undefined;
  }
}

function toSpan({ firstNs, lastNs, errorNs }: End): EndSpan {
  return { firstNs, lastNs, errorNs };
}

/** A request alone ends nothing. */
function isReal(signals: readonly IncidentSignal[]): boolean {
  return signals.some(({ event }) => event !== ASKED);
}

/** A life, for sure between the two. The host's words have one clock; a life that speaks for itself has its own. */
function hasBegun(lives: readonly Afterwards[], fromNs: bigint, toNs: bigint): boolean {
  for (let at = firstFrom(lives, fromNs); at < lives.length; at++) {
    const { unixNs, errorNs, bootId } = lives[at] as Afterwards;
    if (unixNs > toNs) return false;
    if (bootId === undefined || (unixNs - errorNs >= fromNs && unixNs + errorNs <= toNs)) return true;
  }
  return false;
}

function inOrder<Timed extends { readonly unixNs: bigint }>(timed: readonly Timed[]): Timed[] {
  return timed.toSorted((a, b) => compare(a.unixNs, b.unixNs));
}

function errorOf({ errorNs }: IncidentSignal): bigint {
  const error = BigInt(Math.max(0, errorNs));
  return error < MAX_ERROR_NS ? error : MAX_ERROR_NS;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** `hasPeers`: other kernels were told to stop just then. */
export function explain(death: KernelDeath, hasPeers: boolean): ExplainedDeath {
  const bodies = (signals: readonly IncidentSignal[]): string[] => inOrder(signals).map(({ body }) => body);
  const { kind, reason, evidence } = explainDeath(death.kernelId, bodies(death.own), bodies(death.host));
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
