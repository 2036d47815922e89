/**
 * All clocks of one machine on its reference timeline, which is the Unix time of its host kernel.
 *
 *   spawn printk ──link──► spawn trace clock ──pair: messages, and what both collectors say──► host trace clock
 *                                  └───own: fits of the collector───► Unix ◄───own───┘
 *                                  └──pings──► hub ◄──pings── Unix
 *                          spawn x86-tsc ═══ shared counter, where both trace on it ═══ host x86-tsc
 *
 * Evidence goes into hulls (clock/message-hull.ts), which are the edges of the machine's graph (clock/clock-graph.ts). Out of it
 * each clock gets a line (clock/aligned-clock.ts). Bounds come from the graph alone. Within them a kernel is placed so that
 * nothing it received from a kernel that is placed already (the host, then by id) comes before it was sent.
 *
 * A spawned kernel that is observed by a collector of its own tells its own Unix time, which nobody compared with the host's: that
 * is no evidence. Such a kernel is placed by the hub's clock, which its collector and the host's both ask for, and by messages; without
 * either not at all, and its rows then keep the times they came with.
 */
import { HOST_KERNEL_ID } from '../model/identity.ts';
import { isCounter, type ClockDomain } from '../model/time.ts';
import { AlignedClock, type FitStretch, type Placing } from './aligned-clock.ts';
import { ClockGraph, type ClockEdge, type Conversion } from './clock-graph.ts';
import { toUnixNs, type ClockFit } from './fit.ts';
import { MessageHull, type TimeInterval } from './message-hull.ts';
import { NANOSECOND_CLOCKS, STEERED_TOGETHER, type RateDoubt } from './offset-hull.ts';
import { PairEdge } from './pair-edge.ts';

const UNIX = 'unix';
/** The monotonic clock of the hub's process: what several collectors ask for. */
const HUB = 'hub';
/** What is known no better is a guess (a console's arrival, a wall clock), and no bound. */
const MAX_EVIDENCE_NS = 100e6;
/** A stretch reaches this far beyond what is known: short at first, as long as the bounds get narrower quickly. */
const FIRST_AHEAD_NS = 1e9;
const AHEAD_NS = 4e9;
const FIRST_STRETCHES = 12;
/** A stretch that is so much better than the one before says more of the older ones, too. */
const BETTER = 0.8;
const REVISE_NS = 240e9;
/** How far a line may go on without evidence. */
const MAX_UNSEEN_NS = 60_000_000_000n;
/** Boots whose clocks are kept: of the one that was silent longest nothing more is learnt. */
const MAX_KERNELS = 256;
/** How far the counters of two sockets may be apart: what a kernel that checks them lets pass. */
const COUNTER_ERROR_NS = 50n;
/** Counters that are apart by less, by all that is known besides, are one: of two machines they differ by seconds to years. */
const SAME_COUNTER_NS = 20_000_000n;
/** Matches below this are not audited: a wrong one looks like an effect before its cause. */
const SURE = 0.99;

export interface MessageMoment {
  readonly bootId: string;
  /** On the kernel's trace clock. */
  readonly raw: bigint;
}

export interface AuditCounts {
  messages: number;
  /** Received before they were sent, as aligned. */
  early: number;
  /** Of those, by more than both bounds: one of them is wrong, or the match is. */
  impossible: number;
  worstNs: number;
}

/** Messages of one kernel to another that were received before they were sent, by more than both bounds. */
export interface ImpossibleMessages {
  readonly sender: { readonly bootId: string; readonly kernelId: number };
  readonly receiver: { readonly bootId: string; readonly kernelId: number };
  readonly count: number;
  readonly worstNs: number;
  /** When the first was received, as aligned. */
  readonly firstUnixNs: bigint;
}

export interface ChangedStretch {
  readonly bootId: string;
  readonly clock: ClockDomain;
  readonly stretch: FitStretch;
}

/** What is known of a clock now. */
export interface ClockStanding {
  readonly bootId: string;
  readonly clock: ClockDomain;
  readonly last: FitStretch | undefined;
  readonly evidence: string;
  /** Half-width of what is known of it against the host's trace clock, which both have in common with Unix time; undefined = nothing. */
  readonly toHostNs: number | undefined;
  readonly messages: number;
  readonly rejected: number;
  readonly steps: number;
}

/** A hull with a place in the graph. */
class HullEdge implements ClockEdge {
  readonly from: string;
  readonly to: string;
  readonly evidence: string;
  readonly hull: MessageHull;

  constructor(from: string, to: string, evidence: string, rates: RateDoubt = NANOSECOND_CLOCKS) {
    this.from = from;
    this.to = to;
    this.evidence = evidence;
    this.hull = new MessageHull(rates);
  }

  at(from: bigint): TimeInterval | undefined {
    return this.hull.at(from);
  }

  back(to: bigint): TimeInterval | undefined {
    return this.hull.back(to);
  }
}

/** One counter in two kernels: the same number at the same moment, on any two CPUs of the machine. */
class SharedCounter implements ClockEdge {
  readonly evidence = 'shared counter';
  readonly from: string;
  readonly to: string;

  constructor(from: string, to: string) {
    this.from = from;
    this.to = to;
  }

  at(ns: bigint): TimeInterval {
    return { low: ns - COUNTER_ERROR_NS, high: ns + COUNTER_ERROR_NS };
  }

  back(ns: bigint): TimeInterval {
    return this.at(ns);
  }
}

interface Scale {
  readonly baseRaw: bigint;
  readonly nsPerTick: number;
}

interface NodeClock {
  readonly clock: ClockDomain;
  readonly name: string;
  readonly aligned: AlignedClock;
  /** Latest moment that evidence is of, raw. */
  newestRaw: bigint;
}

interface KernelClocks {
  readonly bootId: string;
  readonly kernelId: number;
  readonly trace: NodeClock;
  printk: NodeClock | undefined;
  readonly own: HullEdge;
  link: HullEdge | undefined;
  /** To the hub's clock, by pings: of kernels whose collector tells its own Unix time. */
  hub: HullEdge | undefined;
  /** By the other's boot id. */
  readonly pairs: Map<string, PairEdge>;
  readonly shared: Map<string, SharedCounter>;
}

export class MachineClocks {
  readonly audit: AuditCounts = { messages: 0, early: 0, impossible: 0, worstNs: 0 };
  readonly #graph = new ClockGraph();
  /** Unix → the hub's clock, by the pings of the host's collector. */
  #unixToHub: HullEdge | undefined;
  /** The one that was heard last at the end. */
  readonly #kernels = new Map<string, KernelClocks>();
  /** Of counters, one for all kernels: where they share the counter, its ns are the same. */
  #scale: Scale | undefined;
  #changed: ChangedStretch[] = [];
  /** By both boots. */
  readonly #impossible = new Map<string, ImpossibleMessages>();

  /**
   * A collector says that the trace clock of a kernel is on this line at `raw`, ± its bound. `isOwnUnix`: the Unix time is that of
   * the kernel itself, and it is not the host.
   */
  noteFit(
    kernel: { readonly bootId: string; readonly kernelId: number },
    clock: ClockDomain,
    raw: bigint,
    fit: ClockFit,
    isOwnUnix: boolean,
  ): void {
    const known = this.#kernelOf(kernel, clock, fit);
    if (raw > known.trace.newestRaw) known.trace.newestRaw = raw;
    const ns = this.#toNs(clock, raw);
    if (isCounter(clock)) this.#compareCounters(known, ns);
    if (isOwnUnix || fit.errorNs > MAX_EVIDENCE_NS) return;
    addPoint(known.own, ns, toUnixNs(fit, raw), fit.errorNs);
    this.#tellPairs(known, ns);
  }

  /** The way from the Unix time of `noteFit`'s fit to the hub's clock at the same moment. */
  noteHub(bootId: string, raw: bigint, fit: ClockFit, toHub: ClockFit, isOwnUnix: boolean): void {
    const kernel = this.#kernels.get(bootId);
    if (kernel === undefined) return;
    const unixNs = toUnixNs(fit, raw);
    const hubNs = toUnixNs(toHub, unixNs);
    if (isOwnUnix) {
      kernel.hub ??= this.#openHub(kernel.trace.name);
      const ns = this.#toNs(kernel.trace.clock, raw);
      addPoint(kernel.hub, ns, hubNs, fit.errorNs + toHub.errorNs);
      this.#tellPairs(kernel, ns);
    } else if (kernel.kernelId === HOST_KERNEL_ID) {
      this.#unixToHub ??= this.#openHub(UNIX);
      addPoint(this.#unixToHub, unixNs, hubNs, toHub.errorNs);
    }
  }

  /** Unix time of a moment of the hub's clock; undefined where the host's collector has not pinged it. */
  hubToUnix(hubNs: bigint): TimeInterval | undefined {
    return this.#unixToHub?.back(hubNs);
  }

  #openHub(from: string): HullEdge {
    const edge = new HullEdge(from, HUB, 'hub pings');
    this.#graph.add(edge);
    return edge;
  }

  /** The line of the printk clock to the trace clock of the same kernel, good at `raw`. */
  noteLink(bootId: string, raw: bigint, fit: ClockFit): void {
    const kernel = this.#kernels.get(bootId);
    if (kernel === undefined || fit.errorNs > MAX_EVIDENCE_NS) return;
    if (kernel.link === undefined) {
      kernel.printk = createNode(bootId, 'printk');
      kernel.link = new HullEdge(kernel.printk.name, kernel.trace.name, 'tracer');
      this.#graph.add(kernel.link);
    }
    if (kernel.printk !== undefined && raw > kernel.printk.newestRaw) kernel.printk.newestRaw = raw;
    const ns = this.#toNs(kernel.trace.clock, toUnixNs(fit, raw));
    // The link's bound is in ticks of the trace clock.
    const error = BigInt(Math.ceil(fit.errorNs * (isCounter(kernel.trace.clock) ? (this.#scale?.nsPerTick ?? 1) : 1)));
    kernel.link.hull.addInterval(raw, ns - error, ns + error);
  }

  /** A line that was stored by an earlier process: as good as it says, unless the clock was set since. */
  noteStored(bootId: string, clock: ClockDomain, stretch: Pick<FitStretch, 'fromRaw' | 'toRaw' | 'fit'>): void {
    const kernel = this.#kernels.get(bootId);
    if (kernel === undefined || kernel.trace.clock !== clock || stretch.fit.errorNs > MAX_EVIDENCE_NS) return;
    const error = BigInt(Math.ceil(stretch.fit.errorNs));
    // Both ends: they tell the rate, too.
    for (const raw of [stretch.fromRaw, stretch.toRaw]) {
      const unixNs = toUnixNs(stretch.fit, raw);
      kernel.own.hull.addInterval(this.#toNs(clock, raw), unixNs - error, unixNs + error);
    }
  }

  /** A matched message, `confidence` being the probability that it is one. */
  addMessage(send: MessageMoment, receive: MessageMoment, confidence: number): void {
    const sender = this.#kernels.get(send.bootId);
    const receiver = this.#kernels.get(receive.bootId);
    if (sender === undefined || receiver === undefined || sender === receiver) return;
    const pair = sender.pairs.get(receiver.bootId) ?? this.#openPair(sender, receiver);
    const sentNs = this.#toNs(sender.trace.clock, send.raw);
    const receivedNs = this.#toNs(receiver.trace.clock, receive.raw);
    if (pair.from === sender.trace.name) pair.addForward(sentNs, receivedNs, confidence);
    else pair.addBackward(sentNs, receivedNs, confidence);
    if (confidence >= SURE) this.#auditMessage(sender, receiver, send.raw, receive.raw);
  }

  /** The clock's line, drawn on from `fromRaw` to `toRaw` where it does not reach there; undefined where nothing is known of it. */
  extend(bootId: string, clock: ClockDomain, fromRaw: bigint, toRaw: bigint): AlignedClock | undefined {
    const kernel = this.#kernels.get(bootId);
    const node =
      kernel === undefined ? undefined : clock === 'printk' ? kernel.printk : kernel.trace.clock === clock ? kernel.trace : undefined;
    if (kernel === undefined || node === undefined) return undefined;
    const { aligned } = node;
    const segment = this.#stepsOf(kernel);
    const before = aligned.last;
    if (before !== undefined && before.segment === segment && toRaw < before.toRaw) return aligned;
    // A stamp from nowhere would draw a line to there, and all that follows would lie on it.
    if (this.#toNs(clock, toRaw) - this.#toNs(clock, node.newestRaw) > MAX_UNSEEN_NS) return undefined;
    const aheadNs = aligned.stretches.length < FIRST_STRETCHES ? FIRST_AHEAD_NS : AHEAD_NS;
    const ahead = BigInt(Math.round(isCounter(clock) ? aheadNs / (this.#scale?.nsPerTick ?? 1) : aheadNs));
    const place = (raw: bigint): Placing | undefined =>
      node === kernel.printk ? this.#placePrintk(kernel, raw) : this.#placeTrace(kernel, raw);
    const stretch = aligned.extend(fromRaw, toRaw + ahead, place, segment);
    if (stretch === undefined) return aligned;
    const changed = [stretch];
    if (before !== undefined && stretch.fit.errorNs < before.fit.errorNs * BETTER) {
      changed.push(...aligned.revise(toRaw - (ahead * BigInt(REVISE_NS)) / BigInt(aheadNs), place));
    }
    for (const one of changed) this.#changed.push({ bootId, clock, stretch: one });
    return aligned;
  }

  /** The line of a clock so far. */
  find(bootId: string, clock: ClockDomain): AlignedClock | undefined {
    const kernel = this.#kernels.get(bootId);
    return clock === 'printk' ? kernel?.printk?.aligned : kernel?.trace.clock === clock ? kernel.trace.aligned : undefined;
  }

  /** Stretches that are new or drawn anew since the last call. */
  takeChanged(): ChangedStretch[] {
    const changed = this.#changed;
    this.#changed = [];
    return changed;
  }

  /** What the audit found since the last call. */
  takeImpossible(): ImpossibleMessages[] {
    const found = [...this.#impossible.values()];
    this.#impossible.clear();
    return found;
  }

  standings(): ClockStanding[] {
    const host = [...this.#kernels.values()].findLast(({ kernelId }) => kernelId === HOST_KERNEL_ID);
    return [...this.#kernels.values()].flatMap((kernel) => {
      const nodes = kernel.printk === undefined ? [kernel.trace] : [kernel.trace, kernel.printk];
      return nodes.map((node) => this.#standingOf(kernel, node, host));
    });
  }

  /** Half-width of the bound of a record of now, of all clocks of a kernel, ns; undefined where none has a line. */
  errorOf(bootId: string): number | undefined {
    const kernel = this.#kernels.get(bootId);
    const errors = [kernel?.trace, kernel?.printk].flatMap((node) => node?.aligned.last?.fit.errorNs ?? []);
    return errors.length === 0 ? undefined : Math.max(...errors);
  }

  #standingOf(
    kernel: KernelClocks,
    { clock, name, newestRaw, aligned: { last } }: NodeClock,
    host: KernelClocks | undefined,
  ): ClockStanding {
    const pairs = [...kernel.pairs.values()];
    // Where evidence is of: a line reaches some seconds further, and there less is known.
    const there = host && last && this.#graph.convert(name, this.#toNs(clock, newestRaw), host.trace.name);
    return {
      bootId: kernel.bootId,
      clock,
      last,
      evidence: last?.evidence ?? 'its own wall clock',
      toHostNs: there && Math.ceil(Number(there.high - there.low) / 2),
      messages: pairs.reduce((sum, { messages }) => sum + messages, 0),
      rejected: pairs.reduce((sum, { rejected }) => sum + rejected, 0),
      steps: this.#stepsOf(kernel),
    };
  }

  #kernelOf({ bootId, kernelId }: { readonly bootId: string; readonly kernelId: number }, clock: ClockDomain, fit: ClockFit): KernelClocks {
    const known = this.#kernels.get(bootId);
    // Heard last; a kernel that changes its trace clock begins anew.
    this.#kernels.delete(bootId);
    if (known !== undefined && known.trace.clock === clock) {
      this.#kernels.set(bootId, known);
      return known;
    }
    if (known !== undefined) this.#forget(known);
    if (isCounter(clock)) this.#scale ??= { baseRaw: fit.baseRaw, nsPerTick: fit.nsPerTick };
    const trace = createNode(bootId, clock);
    const isSteady = kernelId === HOST_KERNEL_ID && fit.nsPerTick === 1;
    const own = new HullEdge(
      trace.name,
      UNIX,
      kernelId === HOST_KERNEL_ID ? 'reference' : 'pings',
      isSteady ? STEERED_TOGETHER : undefined,
    );
    const kernel: KernelClocks = {
      bootId,
      kernelId,
      trace,
      printk: undefined,
      own,
      link: undefined,
      hub: undefined,
      pairs: new Map(),
      shared: new Map(),
    };
    this.#graph.add(own);
    this.#kernels.set(bootId, kernel);
    if (this.#kernels.size > MAX_KERNELS) {
      const [oldest] = this.#kernels.values();
      this.#forget(oldest as KernelClocks);
      this.#kernels.delete((oldest as KernelClocks).bootId);
    }
    return kernel;
  }

  #forget({ own, link, hub, pairs, shared, bootId }: KernelClocks): void {
    for (const edge of [own, link, hub, ...pairs.values(), ...shared.values()]) if (edge !== undefined) this.#graph.remove(edge);
    for (const other of pairs.keys()) this.#kernels.get(other)?.pairs.delete(bootId);
    for (const other of shared.keys()) this.#kernels.get(other)?.shared.delete(bootId);
  }

  /** Two kernels that trace on the hardware's counter: one counter, as long as nothing that is known besides excludes it. */
  #compareCounters(kernel: KernelClocks, ns: bigint): void {
    for (const peer of this.#kernels.values()) {
      if (peer === kernel || !isCounter(peer.trace.clock)) continue;
      const found = this.#evidenceBetween(kernel, peer, ns);
      if (found === undefined) continue;
      const isExcluded = ns + COUNTER_ERROR_NS < found.low || ns - COUNTER_ERROR_NS > found.high;
      const edge = kernel.shared.get(peer.bootId);
      if (edge !== undefined && isExcluded) {
        this.#graph.remove(edge);
        kernel.shared.delete(peer.bootId);
        peer.shared.delete(kernel.bootId);
      } else if (edge === undefined && !isExcluded && found.high - found.low <= SAME_COUNTER_NS) {
        const added = new SharedCounter(kernel.trace.name, peer.trace.name);
        kernel.shared.set(peer.bootId, added);
        peer.shared.set(kernel.bootId, added);
        this.#graph.add(added);
      }
    }
  }

  /** Where the peer's trace clock stood, by both collectors and by messages. */
  #evidenceBetween(kernel: KernelClocks, peer: KernelClocks, ns: bigint): TimeInterval | undefined {
    const unix = this.#unixOf(kernel, ns);
    const pings = unix && this.#traceOf(peer, unix);
    const pair = kernel.pairs.get(peer.bootId);
    const messages = pair === undefined ? undefined : pair.from === kernel.trace.name ? pair.at(ns) : pair.back(ns);
    if (pings === undefined || messages === undefined) return pings ?? messages;
    return { low: maxOf(pings.low, messages.low), high: minOf(pings.high, messages.high) };
  }

  #openPair(a: KernelClocks, b: KernelClocks): PairEdge {
    const [from, to] = isBefore(a, b) ? [b, a] : [a, b];
    const pair = new PairEdge(from.trace.name, to.trace.name);
    from.pairs.set(to.bootId, pair);
    to.pairs.set(from.bootId, pair);
    this.#graph.add(pair);
    return pair;
  }

  /** What both collectors say, as evidence between the two clocks: it bounds the side that has no messages. */
  #tellPairs(kernel: KernelClocks, ns: bigint): void {
    const unix = this.#unixOf(kernel, ns);
    if (unix === undefined) return;
    for (const [bootId, pair] of kernel.pairs) {
      const peer = this.#kernels.get(bootId);
      if (peer === undefined || pair.from !== kernel.trace.name || !pair.isDue(ns)) continue;
      const there = this.#traceOf(peer, unix);
      if (there !== undefined) pair.addInterval(ns, there.low, there.high);
    }
  }

  /** By what the collector says: of its Unix time, or through the hub's clock. */
  #unixOf({ own, hub }: KernelClocks, ns: bigint): TimeInterval | undefined {
    return hub === undefined ? own.at(ns) : backAlong(this.#unixToHub, hub.at(ns));
  }

  #traceOf({ own, hub }: KernelClocks, unix: TimeInterval): TimeInterval | undefined {
    return hub === undefined ? backAlong(own, unix) : backAlong(hub, along(this.#unixToHub, unix));
  }

  #placeTrace(kernel: KernelClocks, raw: bigint): Placing | undefined {
    const ns = this.#toNs(kernel.trace.clock, raw);
    const found = this.#graph.convert(kernel.trace.name, ns, UNIX);
    if (found === undefined) return undefined;
    let { low, high } = found;
    for (const [bootId, pair] of [...kernel.pairs, ...kernel.shared]) {
      const peer = this.#kernels.get(bootId);
      if (peer === undefined || !isBefore(peer, kernel)) continue;
      const there = pair.from === kernel.trace.name ? pair.at(ns) : pair.back(ns);
      const least = there && peer.trace.aligned.nearest(this.#toRaw(peer.trace.clock, there.low));
      const most = there && peer.trace.aligned.nearest(this.#toRaw(peer.trace.clock, there.high));
      if (least === undefined || most === undefined || least > high || most < low) continue;
      if (least > low) low = least;
      if (most < high) high = most;
    }
    return { ...found, best: (low + high) / 2n, evidence: nameEvidence(found) };
  }

  /** Beside the trace clock's line, so that both tell one time. */
  #placePrintk({ printk, link, trace }: KernelClocks, raw: bigint): Placing | undefined {
    const found = printk && this.#graph.convert(printk.name, raw, UNIX);
    const there = link?.at(raw);
    if (found === undefined || there === undefined) return undefined;
    const beside = trace.aligned.nearest(this.#toRaw(trace.clock, (there.low + there.high) / 2n));
    const isInside = beside !== undefined && beside >= found.low && beside <= found.high;
    return { ...found, best: isInside ? beside : (found.low + found.high) / 2n, evidence: nameEvidence(found) };
  }

  #noteImpossible(sender: KernelClocks, receiver: KernelClocks, earlyNs: number, receivedNs: bigint): void {
    this.audit.impossible++;
    const key = `${sender.bootId}\n${receiver.bootId}`;
    const known = this.#impossible.get(key);
    if (known === undefined && this.#impossible.size >= MAX_KERNELS) return;
    this.#impossible.set(key, {
      sender,
      receiver,
      count: (known?.count ?? 0) + 1,
      worstNs: Math.max(known?.worstNs ?? 0, earlyNs),
      firstUnixNs: known !== undefined && known.firstUnixNs < receivedNs ? known.firstUnixNs : receivedNs,
    });
  }

  #auditMessage(sender: KernelClocks, receiver: KernelClocks, sendRaw: bigint, receiveRaw: bigint): void {
    const sent = sender.trace.aligned.toUnix(sendRaw);
    const received = receiver.trace.aligned.toUnix(receiveRaw);
    if (sent === undefined || received === undefined) return;
    this.audit.messages++;
    const earlyNs = Number(sent.unixNs - received.unixNs);
    if (earlyNs <= 0) return;
    this.audit.early++;
    if (earlyNs > sent.errorNs + received.errorNs) this.#noteImpossible(sender, receiver, earlyNs, received.unixNs);
    if (earlyNs > this.audit.worstNs) this.audit.worstNs = earlyNs;
  }

  /** Segments of a kernel's clocks: a step of a pair is laid to the kernel that is placed by it. */
  #stepsOf({ own, link, hub, pairs, trace }: KernelClocks): number {
    let steps = own.hull.steps + (link?.hull.steps ?? 0) + (hub?.hull.steps ?? 0);
    for (const pair of pairs.values()) if (pair.from === trace.name) steps += pair.steps;
    return steps;
  }

  #toNs(clock: ClockDomain, raw: bigint): bigint {
    if (!isCounter(clock) || this.#scale === undefined) return raw;
    return BigInt(Math.round(Number(raw - this.#scale.baseRaw) * this.#scale.nsPerTick));
  }

  #toRaw(clock: ClockDomain, ns: bigint): bigint {
    if (!isCounter(clock) || this.#scale === undefined) return ns;
    return this.#scale.baseRaw + BigInt(Math.round(Number(ns) / this.#scale.nsPerTick));
  }
}

/** Each kind once: a way through the hub's clock has pings at both ends. */
function nameEvidence({ evidence }: Conversion): string {
  return [...new Set(evidence)].join(', ');
}

function addPoint({ hull }: HullEdge, at: bigint, to: bigint, errorNs: number): void {
  if (errorNs > MAX_EVIDENCE_NS) return;
  const error = BigInt(Math.ceil(errorNs));
  hull.addInterval(at, to - error, to + error);
}

function along(edge: HullEdge | undefined, from: TimeInterval | undefined): TimeInterval | undefined {
  const low = from && edge?.at(from.low);
  const high = from && edge?.at(from.high);
  return low && high && { low: low.low, high: high.high };
}

function backAlong(edge: HullEdge | undefined, to: TimeInterval | undefined): TimeInterval | undefined {
  const low = to && edge?.back(to.low);
  const high = to && edge?.back(to.high);
  return low && high && { low: low.low, high: high.high };
}

function maxOf(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function minOf(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function createNode(bootId: string, clock: ClockDomain): NodeClock {
  return { clock, name: `${bootId} ${clock}`, aligned: new AlignedClock(), newestRaw: 0n };
}

/** The host is placed first, then by id; of one kernel's boots one before the other. */
function isBefore(a: KernelClocks, b: KernelClocks): boolean {
  return a.kernelId === b.kernelId ? a.bootId < b.bootId : a.kernelId < b.kernelId;
}
