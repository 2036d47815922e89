/**
 * Signals of one machine → its incidents. Signals come in the order of their time; one that comes late still joins what it
 * belongs to. What belongs together although it is of several kernels is joined when the incidents are asked for:
 *
 *   spawn1   ■ oops ─ Kernel panic ─ shutting down ──────────┐
 *   host         CPU 0, CPU 1: Ignoring REBOOT_VECTOR … ─────┼─► one panic of spawn1
 *   spawn2       CPU 0: Ignoring REBOOT_VECTOR … ────────────┤
 *   host                   Instance 1 (spawn1) halted … ─────┘
 *
 * Pure, and no state but what is open: `forget` drops what is over.
 */
import type { AffectedKernel, Incident, IncidentKind } from '../model/incident.ts';
import { INCIDENT_RULES, MAX_INCIDENT_MS, type IncidentRule } from './incident-rules.ts';
import { markOf, toIncidentId, type IncidentSignal, type KnownBoot } from './incident-signal.ts';
import { ACTIVE, DEATH_EVENTS, DeathTracker, explain, type KernelDeath } from './track-deaths.ts';

const NS_PER_MS = 1_000_000n;
const MAX_INCIDENT_NS = BigInt(MAX_INCIDENT_MS) * NS_PER_MS;
/** A fault that ends in a panic is a part of it. */
const BEFORE_PANIC_NS = 10_000_000_000n;
/** Other kernels note the stop signal of one that dies within a millisecond; their clocks are apart by more. */
const PEERS_BEFORE_NS = 2_000_000_000n;
const PEERS_AFTER_NS = 5_000_000_000n;
/** A kernel that died is silent from then on. */
const SILENCE_NEAR_NS = 60_000_000_000n;
/** The clocks of those who tell of a boot and of its beginning are apart by less. */
const KNOWN_BEFORE_NS = 10_000_000_000n;
/** Beginnings of one kernel that are remembered. */
const MAX_BEGUN = 64;
/** Groups held at once: a machine that has more is not described by incidents. */
const MAX_GROUPS = 10_000;

const BY_EVENT = new Map<string, IncidentRule[]>();
const BY_END = new Map<string, IncidentRule>();
for (const rule of INCIDENT_RULES) {
  for (const event of rule.events) BY_EVENT.set(event, [...(BY_EVENT.get(event) ?? []), rule]);
  if (rule.endEvent !== undefined) BY_END.set(rule.endEvent, rule);
}

const CAUSES: ReadonlySet<IncidentKind> = new Set(INCIDENT_RULES.flatMap(({ partOf }) => partOf ?? []));

/** Event names of all rows that can say anything here; gaps are asked for beside them. */
export const SIGNAL_EVENTS: readonly string[] = [
  ...new Set([...BY_EVENT.keys(), ...BY_END.keys(), ...DEATH_EVENTS, 'mk.instance.identity']),
];

/** Fields that rows must have in common to be one signal. */
export const SIGNAL_FIELDS: readonly string[] = [
  ...new Set([...INCIDENT_RULES.flatMap(({ key }) => key), 'mk.instance.id', 'mk.instance.name']),
];

/** How long after its last signal an incident may still go on, ms. */
export function joinMsOf(kind: IncidentKind): number {
  return INCIDENT_RULES.find((rule) => rule.kind === kind)?.joinMs ?? DEATH_JOIN_MS;
}
const DEATH_JOIN_MS = 45_000;
/** When an open incident is over if nothing more comes of it; undefined = something has to come for that. */
export function endsAt({ kind, lastUnixNs }: Incident): bigint | undefined {
  const rule = INCIDENT_RULES.find((one) => one.kind === kind);
  if (rule === undefined) return lastUnixNs + MAX_INCIDENT_NS;
  return rule.endEvent === undefined ? lastUnixNs + BigInt(rule.joinMs) * NS_PER_MS : undefined;
}

/** The longest of them. */
export const MAX_JOIN_MS = Math.max(DEATH_JOIN_MS, ...INCIDENT_RULES.map(({ joinMs, least }) => Math.max(joinMs, least?.withinMs ?? 0)));

interface Group {
  readonly rule: IncidentRule;
  readonly subject: AffectedKernel;
  first: IncidentSignal;
  lastNs: bigint;
  count: number;
  readonly others: Map<string, AffectedKernel>;
  /** While too few came: those of the last moments. Undefined = it is open. */
  few: IncidentSignal[] | undefined;
  endedNs: bigint | undefined;
}

export class IncidentTracker {
  readonly #boots: ReadonlyMap<string, KnownBoot>;
  readonly #deaths: DeathTracker;
  readonly #groups = new Map<string, Group[]>();
  /** When lives began, as the host says, by kernel. */
  readonly #begun = new Map<number, bigint[]>();
  #size = 0;
  /** Signals for which there was no room. */
  dropped = 0;

  constructor(boots: readonly KnownBoot[]) {
    this.#boots = new Map(boots.map((boot) => [boot.bootId, boot]));
    this.#deaths = new DeathTracker(this.#boots);
  }

  take(signal: IncidentSignal): void {
    this.#deaths.take(signal);
    if (signal.event === ACTIVE) this.#noteBegin(signal);
    const ends = BY_END.get(signal.event);
    if (ends !== undefined) this.#end(ends, signal);
    for (const rule of BY_EVENT.get(signal.event) ?? []) {
      const { except } = rule;
      if (except === undefined || !except.values.includes(signal.fields[except.field] ?? '')) this.#join(rule, signal);
    }
  }

  /** All that is known, as of a moment, oldest first. */
  incidents(nowNs: bigint): Incident[] {
    const groups = [...this.#groups.values()].flat().filter(({ few }) => few === undefined);
    const found: Incident[] = [];
    const taken = new Set<Group>();
    const { deaths } = this.#deaths;
    const ended = new Set(deaths.flatMap(({ bootId }) => bootId ?? []));
    for (const death of deaths) {
      const bootId = death.bootId ?? this.#bootOf(death, ended);
      if (bootId !== undefined) ended.add(bootId);
      const parts = groups.filter((group) => !taken.has(group) && isPartOf(group, death, bootId));
      for (const part of parts) taken.add(part);
      found.push(this.#toDeathIncident(death, bootId, parts, nowNs));
    }
    const causes = groups.filter(({ rule }) => CAUSES.has(rule.kind));
    for (const group of groups) {
      if (!taken.has(group) && !causes.some((cause) => isFollowOf(group, cause))) found.push(toIncident(group, nowNs));
    }
    return found.sort((a, b) => (a.firstUnixNs < b.firstUnixNs ? -1 : a.firstUnixNs > b.firstUnixNs ? 1 : a.id < b.id ? -1 : 1));
  }

  /** Drops what was over before a moment. */
  forget(beforeNs: bigint): void {
    this.#deaths.forget(beforeNs - MAX_INCIDENT_NS);
    for (const [key, groups] of this.#groups) {
      const kept = groups.filter(({ rule, lastNs, endedNs }) =>
        rule.endEvent === undefined ? lastNs + BigInt(rule.joinMs) * NS_PER_MS >= beforeNs : endedNs === undefined || endedNs >= beforeNs,
      );
      this.#size += kept.length - groups.length;
      if (kept.length === 0) this.#groups.delete(key);
      else this.#groups.set(key, kept);
    }
  }

  #noteBegin({ unixNs, fields }: IncidentSignal): void {
    const kernelId = Number(fields['mk.instance.id'] ?? NaN);
    const begun = [...(this.#begun.get(kernelId) ?? []), unixNs].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    if (Number.isSafeInteger(kernelId) && (this.#begun.has(kernelId) || this.#begun.size < MAX_GROUPS))
      this.#begun.set(kernelId, begun.slice(-MAX_BEGUN));
  }

  #join(rule: IncidentRule, signal: IncidentSignal): void {
    const group = this.#groupOf(rule, signal);
    if (group === undefined) return;
    group.count += signal.count;
    if (signal.unixNs < group.first.unixNs) group.first = signal;
    if (signal.lastNs > group.lastNs) group.lastNs = signal.lastNs;
    if (signal.bootId !== group.subject.bootId) group.others.set(signal.bootId, toAffected(signal));
    if (group.few !== undefined) countFew(group, signal);
  }

  #end(rule: IncidentRule, signal: IncidentSignal): void {
    const group = this.#groupOf(rule, signal);
    if (group === undefined) return;
    // Its beginning may lie before what was read: the row of its end tells when that was.
    if (group.first === signal) {
      const sinceNs = sinceOf(signal);
      group.first = { ...signal, unixNs: sinceNs, rawNs: sinceNs };
      group.count = 1;
    }
    group.endedNs = signal.unixNs;
    if (signal.unixNs > group.lastNs) group.lastNs = signal.unixNs;
  }

  #groupOf(rule: IncidentRule, signal: IncidentSignal): Group | undefined {
    const subject = this.#subjectOf(rule, signal);
    const key = [rule.kind, subject.bootId || subject.kernelId, ...rule.key.map((name) => signal.fields[name] ?? '')].join('\n');
    const groups = this.#groups.get(key) ?? [];
    const found = groups.findLast((group) => canJoin(group, signal));
    if (found !== undefined) return found;
    if (this.#size >= MAX_GROUPS) {
      this.dropped += signal.count;
      return undefined;
    }
    this.#size++;
    const few = rule.least === undefined ? undefined : [];
    const group: Group = { rule, subject, first: signal, lastNs: signal.lastNs, count: 0, others: new Map(), few, endedNs: undefined };
    this.#groups.set(key, [...groups, group]);
    return group;
  }

  #subjectOf({ subject }: IncidentRule, signal: IncidentSignal): AffectedKernel {
    if (subject === 'machine') return { kernelId: -1, kernelName: '', bootId: '' };
    const named = subject === 'named' ? Number(signal.fields['mk.instance.id'] ?? NaN) : NaN;
    if (!Number.isSafeInteger(named)) return toAffected(signal);
    const boot = this.#bootAt(named, signal.unixNs);
    const kernelName = boot?.kernelName ?? signal.fields['mk.instance.name'] ?? `instance ${named}`;
    return { kernelId: named, kernelName, bootId: boot?.bootId ?? '' };
  }

  /**
   * Whose end it is of which only the host tells: not one that has ended already, nor one that was known before the life began that
   * ends here. A kernel may end before anybody has heard its new boot.
   */
  #bootOf({ kernelId, firstNs }: KernelDeath, ended: ReadonlySet<string>): string | undefined {
    const boot = this.#bootAt(kernelId, firstNs);
    if (boot === undefined || ended.has(boot.bootId)) return undefined;
    const beganNs = this.#begun.get(kernelId)?.findLast((oneNs) => oneNs <= firstNs);
    return beganNs !== undefined && boot.firstNs + KNOWN_BEFORE_NS < beganNs ? undefined : boot.bootId;
  }

  /** The incarnation of a kernel that began last before a moment. */
  #bootAt(kernelId: number, atNs: bigint): KnownBoot | undefined {
    let latest: KnownBoot | undefined;
    for (const boot of this.#boots.values()) {
      if (boot.kernelId === kernelId && boot.firstNs <= atNs && (latest === undefined || boot.firstNs > latest.firstNs)) latest = boot;
    }
    return latest;
  }

  #toDeathIncident(death: KernelDeath, bootId: string | undefined, parts: readonly Group[], nowNs: bigint): Incident {
    const { kernelId, over } = death;
    const first = death.signals.reduce((least, one) => (one.unixNs < least.unixNs ? one : least));
    const kernelName = (this.#boots.get(bootId ?? '')?.kernelName ?? death.kernelName) || `instance ${kernelId}`;
    const explained = explain(
      death,
      parts.some(({ rule }) => rule.kind === 'peer_stopped'),
    );
    const faults = parts.filter(({ rule }) => rule.kind !== 'peer_stopped' && rule.endEvent === undefined);
    const opener = faults.reduce((least, { first: one }) => (one.unixNs < least.unixNs ? one : least), first);
    const others = new Map<string, AffectedKernel>();
    for (const signal of death.host) others.set(signal.bootId, toAffected(signal));
    for (const part of parts) for (const [boot, one] of part.others) others.set(boot, one);
    others.delete(bootId ?? '');
    const lastNs = parts
      .filter(({ rule }) => rule.endEvent === undefined)
      .reduce((most, part) => (part.lastNs > most ? part.lastNs : most), death.lastNs);
    const before = faults.map((fault) => fault.first.body);
    return {
      // A boot ends once: however it is told, and by whom first, it is the same.
      id:
        bootId === undefined
          ? toIncidentId(first.machineId, 'death', String(kernelId), markOf(first))
          : toIncidentId(first.machineId, 'death', bootId),
      kind: explained.kind,
      severity: explained.severity,
      title: `${kernelName} ${explained.what}`,
      machineId: first.machineId,
      machineName: first.machineName,
      kernelId,
      kernelName,
      bootId: bootId ?? '',
      firstUnixNs: opener.unixNs,
      lastUnixNs: lastNs,
      errorNs: opener.errorNs,
      ...stateOfDeath(explained.severity === 'info', death.lastNs, over, nowNs),
      count: [...death.signals, ...parts].reduce((sum, { count }) => sum + count, 0),
      reason: before.length === 0 ? explained.reason : `${explained.reason}; before it: ${before.join('; ')}`,
      evidence: explained.evidence,
      others: [...others.values()],
    };
  }
}

/** Too few so far: it opens when enough lie close together, and begins with the first of those. */
function countFew(group: Group, signal: IncidentSignal): void {
  const { least } = group.rule;
  if (least === undefined || group.few === undefined) return;
  const fromNs = signal.unixNs - BigInt(least.withinMs) * NS_PER_MS;
  group.few = [...group.few.filter(({ unixNs }) => unixNs >= fromNs), signal];
  const count = group.few.reduce((sum, one) => sum + one.count, 0);
  group.first = group.few.reduce((first, one) => (one.unixNs < first.unixNs ? one : first));
  group.count = count;
  if (count >= least.count) group.few = undefined;
}

function canJoin({ rule, first, lastNs }: Group, { unixNs }: IncidentSignal): boolean {
  // Those with an end of their own are told apart by their key.
  if (rule.endEvent !== undefined) return true;
  const joinNs = BigInt(rule.joinMs) * NS_PER_MS;
  return unixNs >= first.unixNs - joinNs && unixNs <= lastNs + joinNs && unixNs - first.unixNs <= MAX_INCIDENT_NS;
}

/** What is no incident of its own where a kernel ended. */
function isPartOf({ rule, subject, first, lastNs }: Group, death: KernelDeath, bootId: string | undefined): boolean {
  const { firstNs } = death;
  if (rule.kind === 'peer_stopped') return first.unixNs >= firstNs - PEERS_BEFORE_NS && first.unixNs <= death.lastNs + PEERS_AFTER_NS;
  if (rule.kind === 'collector_gone')
    return death.kernelId === 0 && first.unixNs >= firstNs - SILENCE_NEAR_NS && first.unixNs <= death.lastNs + SILENCE_NEAR_NS;
  if (bootId === undefined || subject.bootId !== bootId) return false;
  if (rule.kind === 'silent_kernel') return true;
  if (rule.subject !== 'writer' || rule.kind === 'loss_burst' || !rule.events.some((event) => event.startsWith('kernel.')))
    return rule.kind === 'cpu_lost';
  return death.own.some(({ event }) => event.endsWith('kernel.panic')) && lastNs >= firstNs - BEFORE_PANIC_NS;
}

/** A consequence of another incident between the same two kernels. */
function isFollowOf({ rule, subject, first, lastNs }: Group, cause: Group): boolean {
  if (rule.partOf !== cause.rule.kind || subject.bootId !== cause.subject.bootId) return false;
  if (rule.key.some((name) => first.fields[name] !== cause.first.fields[name])) return false;
  const joinNs = BigInt(Math.max(rule.joinMs, cause.rule.joinMs)) * NS_PER_MS;
  return first.unixNs <= cause.lastNs + joinNs && lastNs >= cause.first.unixNs - joinNs;
}

type State = Pick<Incident, 'state' | 'resolvedUnixNs' | 'resolution'>;

function stateOfDeath(isAsked: boolean, lastNs: bigint, over: KernelDeath['over'], nowNs: bigint): State {
  if (isAsked) return { state: 'resolved', resolvedUnixNs: lastNs, resolution: 'it was asked for' };
  const endNs = lastNs + MAX_INCIDENT_NS;
  if (over !== undefined && over.unixNs < endNs) return { state: 'resolved', resolvedUnixNs: over.unixNs, resolution: over.how };
  if (endNs <= nowNs) return { state: 'resolved', resolvedUnixNs: endNs, resolution: 'nobody started it again within an hour' };
  return { state: 'open', resolvedUnixNs: undefined, resolution: 'until it is started again or unloaded, at most an hour' };
}

function toIncident(group: Group, nowNs: bigint): Incident {
  const { rule, subject, first, lastNs, count, others } = group;
  return {
    id: toIncidentId(
      first.machineId,
      rule.kind,
      subject.bootId,
      ...rule.key.map((name) => first.fields[name] ?? ''),
      // Of what has an end of its own the key says which one it is.
      rule.endEvent === undefined ? markOf(first) : '',
    ),
    kind: rule.kind,
    severity: rule.severity,
    title: toTitle(group),
    machineId: first.machineId,
    machineName: first.machineName,
    ...subject,
    firstUnixNs: first.unixNs,
    lastUnixNs: lastNs,
    errorNs: first.errorNs,
    ...stateOf(group, nowNs),
    count,
    reason: first.body,
    evidence: first.body,
    others: [...others.values()],
  };
}

function stateOf({ rule, lastNs, endedNs }: Group, nowNs: bigint): State {
  if (rule.endEvent !== undefined) {
    if (endedNs === undefined) return { state: 'open', resolvedUnixNs: undefined, resolution: 'until something comes from it again' };
    return { state: 'resolved', resolvedUnixNs: endedNs, resolution: 'something came from it again' };
  }
  const seconds = rule.joinMs / 1000;
  const isOver = nowNs > lastNs + BigInt(rule.joinMs) * NS_PER_MS;
  return isOver
    ? { state: 'resolved', resolvedUnixNs: lastNs, resolution: `no more of it came for ${seconds} s` }
    : { state: 'open', resolvedUnixNs: undefined, resolution: `until no more of it comes for ${seconds} s` };
}

function toTitle({ rule, subject, first, count }: Group): string {
  return rule.title.replace(/\{([\w.]+)\}/g, (_whole, name: string) => {
    if (name === 'kernel') return subject.kernelName;
    if (name === 'machine') return first.machineName;
    if (name === 'body') return first.body.split('\n', 1)[0] ?? '';
    return name === 'count' ? String(count) : (first.fields[name] ?? '');
  });
}

/** Anybody who sends logs can say anything here. */
function sinceOf({ fields, unixNs }: IncidentSignal): bigint {
  const text = fields['mk.silent.since'] ?? '';
  const sinceNs = /^\d{1,19}$/.test(text) ? BigInt(text) : unixNs;
  return sinceNs < unixNs ? sinceNs : unixNs;
}

function toAffected({ kernelId, kernelName, bootId }: IncidentSignal): AffectedKernel {
  return { kernelId, kernelName, bootId };
}
