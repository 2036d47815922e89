/**
 * The clocks of a machine as a graph, and the way from one to another that says most.
 *
 *   [spawn printk] ──brackets──► [spawn mono] ──messages──► [host mono] ──ticks──► [Unix]
 *                                     └────────── pings, by the collector ───────────┘
 *                                [spawn tsc] ═══ one counter ═══ [host tsc]
 *
 * An edge gives an interval that certainly holds the other clock at a moment. `convert` sets out with one moment of one clock and
 * settles the nodes by the width of their interval, the narrowest first; what several edges say of a node is intersected. All
 * edges being true, so is the result. Where two contradict each other the wider one is left out and counted.
 *
 * Of 64 kernels that all talk to each other there are 2,016 edges, and an edge costs some µs. So a way that goes on from a clock which is
 * less sure than what is known already at its end is not gone: what an edge was worth last time tells, and is looked up anew now and
 * then. Leaving a way out only widens; edges from the start are always asked.
 */
import type { TimeInterval } from './message-hull.ts';

export interface ClockEdge {
  readonly from: string;
  readonly to: string;
  /** What it is known by, for people. */
  readonly evidence: string;
  /** Where `to` stood at a moment of `from`, and the other way round. */
  at(from: bigint): TimeInterval | undefined;
  back(to: bigint): TimeInterval | undefined;
}

export interface Conversion extends TimeInterval {
  /** Of the edges on the way, from the start. */
  readonly evidence: readonly string[];
}

/** What an edge last added to the width of an interval, and how often it was left out since. */
interface Worth {
  width: bigint;
  leftOut: number;
}

/** As long is an edge left out that got better meanwhile. */
const ASK_AGAIN = 32;

interface Reached {
  low: bigint;
  high: bigint;
  evidence: readonly string[];
}

export class ClockGraph {
  readonly #edges = new Map<string, Set<ClockEdge>>();
  readonly #worth = new WeakMap<ClockEdge, Worth>();
  /** Edges that said what no other could be reconciled with, in all conversions. */
  contradictions = 0;

  add(edge: ClockEdge): void {
    for (const node of [edge.from, edge.to]) {
      const edges = this.#edges.get(node) ?? new Set();
      edges.add(edge);
      this.#edges.set(node, edges);
    }
  }

  remove(edge: ClockEdge): void {
    for (const node of [edge.from, edge.to]) {
      const edges = this.#edges.get(node);
      edges?.delete(edge);
      if (edges?.size === 0) this.#edges.delete(node);
    }
  }

  edgesOf(node: string): Iterable<ClockEdge> {
    return this.#edges.get(node) ?? [];
  }

  /** The interval of clock `to` at the moment when `from` showed `raw`; undefined where no way leads there. */
  convert(from: string, raw: bigint, to: string): Conversion | undefined {
    const open = new Map<string, Reached>([[from, { low: raw, high: raw, evidence: [] }]]);
    const settled = new Set<string>();
    for (;;) {
      const node = narrowest(open, settled);
      if (node === undefined) return undefined;
      const reached = open.get(node) as Reached;
      if (node === to) return reached;
      settled.add(node);
      for (const edge of this.edgesOf(node)) {
        const next = edge.from === node ? edge.to : edge.from;
        if (settled.has(next) || (node !== from && this.#isWorse(edge, reached, open.get(next)))) continue;
        const found = follow(edge, node, reached);
        if (found !== undefined) this.#worth.set(edge, { width: widthOf(found) - widthOf(reached), leftOut: 0 });
        this.#reach(open, next, found);
      }
    }
  }

  /** On this way the clock at the end would be known no better than it is. */
  #isWorse(edge: ClockEdge, reached: Reached, known: Reached | undefined): boolean {
    const worth = this.#worth.get(edge);
    if (worth === undefined || known === undefined || widthOf(reached) + worth.width < widthOf(known)) return false;
    return ++worth.leftOut < ASK_AGAIN;
  }

  #reach(open: Map<string, Reached>, node: string, found: Reached | undefined): void {
    if (found === undefined) return;
    const known = open.get(node);
    if (known === undefined) {
      open.set(node, found);
      return;
    }
    const low = known.low > found.low ? known.low : found.low;
    const high = known.high < found.high ? known.high : found.high;
    const best = widthOf(found) < widthOf(known) ? found : known;
    if (low > high) this.contradictions++;
    open.set(node, low > high ? best : { low, high, evidence: best.evidence });
  }
}

function follow(edge: ClockEdge, node: string, { low, high, evidence }: Reached): Reached | undefined {
  const isForward = edge.from === node;
  const first = isForward ? edge.at(low) : edge.back(low);
  const last = low === high ? first : isForward ? edge.at(high) : edge.back(high);
  return first && last && { low: first.low, high: last.high, evidence: [...evidence, edge.evidence] };
}

function widthOf({ low, high }: TimeInterval): bigint {
  return high - low;
}

function narrowest(open: ReadonlyMap<string, Reached>, settled: ReadonlySet<string>): string | undefined {
  let found: string | undefined;
  let least: bigint | undefined;
  for (const [node, { low, high }] of open) {
    if (settled.has(node) || (least !== undefined && high - low >= least)) continue;
    found = node;
    least = high - low;
  }
  return found;
}
