/**
 * The true time of each record of a lab's truth, as Unix time of the machine that runs the lab, with a bound.
 *
 *   guest TSC ── minus c, constant in one boot ──► host TSC ── slope of the file ──► ns ── nearby clock pages ──► Unix ns
 *                c = min(guest_tsc - host_tsc)
 *   printk ns ── lower hull of (host ns, printk ns - host ns) ──► ns
 *
 * Every reading is late by an unknown time that is never negative: each guest reads its counter after the clock page, and its
 * printk clock after its counter. So the extreme value of many is nearly the truth, and how close the next ones come says how
 * nearly. That is an estimate with a margin, not a proof.
 *
 * Not handled: a guest stopped by QMP for less than PAUSE_NS, and a printk clock that changes its rate (the hull takes it as
 * straight).
 */
import { ensureDefined } from '../../base/assert.ts';
import { OperationalError } from '../../base/errors.ts';
import type { Truth, TruthPage, TruthRecord } from './truth.ts';

/** QMP stop and cont take their length from c; mkbus, kept from its CPU, has been seen to be late by some ms only. */
const PAUSE_NS = 100e6;
/** c is taken from the best of all readings, its bound from the distance to this many next ones. */
const NEXT_READINGS = 4;
/** Of a boot with fewer readings: a clock page is up to 500 µs old. */
const FEW_READINGS_NS = 500_000;
/** Reading one clock after the other, at best: tens of ns on the host, hundreds in a guest that QEMU emulates. */
const READ_NS = 1000;
/** CLOCK_REALTIME is followed by its best page of each second. */
const ANCHOR_NS = 1e9;

export interface TrueTime {
  readonly unixNs: bigint;
  /** The truth is within ± this. */
  readonly errorNs: number;
}

/** One boot of one kernel between two pauses. */
interface Stretch {
  readonly kernel: number;
  readonly kernelEpoch: number;
  readonly offsetTicks: bigint;
  readonly errorNs: number;
  readonly records: readonly TruthRecord[];
  /** Corners of the hull: host ns since the first page, printk ns less that. */
  readonly printk: readonly Point[];
}

interface Point {
  readonly x: number;
  readonly y: number;
}

export class TruthClock {
  readonly #first: TruthPage;
  readonly nsPerTick: number;
  readonly #anchors: readonly Point[];
  readonly #stretches: readonly Stretch[];
  readonly #stretchOf = new Map<TruthRecord, Stretch>();

  /** Throws E_INPUT_FORMAT where the file spans too little to tell the counter's rate. */
  constructor({ records }: Truth) {
    const pages = listPages(records);
    const [first, last] = [pages[0], pages.at(-1)];
    if (first === undefined || last === undefined || last.tsc === first.tsc) {
      throw new OperationalError(
        'E_INPUT_FORMAT',
        'the truth file has no two readings of the host’s clock',
        'let the lab run for a second',
      );
    }
    this.#first = first;
    this.nsPerTick = Number(last.rawNs - first.rawNs) / Number(last.tsc - first.tsc);
    this.#anchors = this.#toAnchors(pages);
    this.#stretches = this.#toStretches(records);
    for (const stretch of this.#stretches) for (const record of stretch.records) this.#stretchOf.set(record, stretch);
  }

  /** When the record's `guestTsc` was read; undefined where the host's clock is not known. */
  timeOf(record: TruthRecord): TrueTime | undefined {
    const stretch = this.#stretchOf.get(record);
    return stretch && this.#toUnix(this.#hostNs(record, stretch.offsetTicks), stretch.errorNs);
  }

  /** ns between `guestTscBefore` and `guestTsc`: the moment of a message lies in it. */
  spanNs(record: TruthRecord): number {
    return record.guestTscBefore === 0n ? 0 : Number(record.guestTsc - record.guestTscBefore) * this.nsPerTick;
  }

  /** When the kernel's printk clock showed `printkNs`; undefined for a kernel of which the file knows nothing. */
  timeOfPrintk(kernel: number, kernelEpoch: number, printkNs: bigint): TrueTime | undefined {
    const of = this.#stretches.filter((one) => one.kernel === kernel && one.kernelEpoch === kernelEpoch && one.printk.length > 1);
    const stretch = of.find(({ records }) => ensureDefined(records.at(-1), 'records of a stretch').printkNs >= printkNs) ?? of.at(-1);
    if (stretch === undefined) return undefined;
    const stamp = Number(printkNs);
    // The rate differs from 1 by ppm: the second step is exact.
    let hostNs = stamp - interpolate(stretch.printk, 0);
    for (let step = 0; step < 2; step++) hostNs = stamp - interpolate(stretch.printk, hostNs);
    return this.#toUnix(hostNs, stretch.errorNs + READ_NS);
  }

  /** The incarnations of a kernel of which the file has readings, in order. */
  epochsOf(kernel: number): number[] {
    return [...new Set(this.#stretches.filter((one) => one.kernel === kernel).map(({ kernelEpoch }) => kernelEpoch))];
  }

  #hostNs({ guestTsc }: TruthRecord, offsetTicks: bigint): number {
    return Number(guestTsc - offsetTicks - this.#first.tsc) * this.nsPerTick;
  }

  #pageNs(page: TruthPage): number {
    return Number(page.tsc - this.#first.tsc) * this.nsPerTick;
  }

  #toUnix(hostNs: number, errorNs: number): TrueTime {
    const [before, after] = bracket(this.#anchors, hostNs);
    const share = before.x === after.x ? 0 : Math.min(1, Math.max(0, (hostNs - before.x) / (after.x - before.x)));
    const offset = before.y + (after.y - before.y) * share;
    return {
      unixNs: this.#first.realNs + BigInt(Math.round(hostNs + offset)),
      // Clocks steered apart, a step of the system time, and a page that was written late all show in the next anchor.
      errorNs: Math.ceil(errorNs + READ_NS + Math.abs(after.y - before.y)),
    };
  }

  /** mkbus reads CLOCK_REALTIME first, so a page that it was long in writing has too early a time: the best is the latest. */
  #toAnchors(pages: readonly TruthPage[]): Point[] {
    const best = new Map<number, Point>();
    for (const page of pages) {
      const x = this.#pageNs(page);
      const y = Number(page.realNs - this.#first.realNs) - x;
      const second = Math.floor(x / ANCHOR_NS);
      const known = best.get(second);
      if (known === undefined || y > known.y) best.set(second, { x, y });
    }
    return [...best.values()];
  }

  #toStretches(records: readonly TruthRecord[]): Stretch[] {
    const boots = Map.groupBy(
      records.filter((record) => record.page !== undefined && record.kind !== 'lost'),
      (record) => `${record.kernel}:${record.kernelEpoch}`,
    );
    return [...boots.values()].flatMap((of) => this.#cutAtPauses(of).map((part) => this.#toStretch(part)));
  }

  #cutAtPauses(records: readonly TruthRecord[]): TruthRecord[][] {
    const parts: TruthRecord[][] = [];
    const pauseTicks = BigInt(Math.round(PAUSE_NS / this.nsPerTick));
    let least: bigint | undefined;
    for (const record of records) {
      const distance = distanceOf(record);
      if (least === undefined || distance < least - pauseTicks) {
        parts.push([]);
        least = distance;
      }
      parts.at(-1)?.push(record);
      if (distance < least) least = distance;
    }
    return parts;
  }

  #toStretch(records: readonly TruthRecord[]): Stretch {
    const { kernel, kernelEpoch } = ensureDefined(records[0], 'records of a stretch');
    const distances = records.map(distanceOf).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    const offsetTicks = ensureDefined(distances[0], 'records of a stretch');
    const next = distances[NEXT_READINGS];
    const errorNs = next === undefined ? FEW_READINGS_NS : Number(next - offsetTicks) * this.nsPerTick + READ_NS;
    const points = records.map((record) => {
      const x = this.#hostNs(record, offsetTicks);
      return { x, y: Number(record.printkNs) - x };
    });
    return { kernel, kernelEpoch, offsetTicks, errorNs, records, printk: lowerHull(points) };
  }
}

/** c plus the age of the clock page. */
function distanceOf({ guestTsc, page }: TruthRecord): bigint {
  return guestTsc - ensureDefined(page, 'a record with a clock page').tsc;
}

function listPages(records: readonly TruthRecord[]): TruthPage[] {
  const pages = new Map<bigint, TruthPage>();
  for (const { page } of records) if (page !== undefined) pages.set(page.tsc, page);
  return [...pages.values()].sort((a, b) => (a.tsc < b.tsc ? -1 : 1));
}

/** Of points in any order, the corners of the line that runs below all of them. */
function lowerHull(points: readonly Point[]): Point[] {
  const hull: Point[] = [];
  for (const point of points.toSorted((a, b) => a.x - b.x || a.y - b.y)) {
    if (hull.at(-1)?.x === point.x) continue;
    while (hull.length > 1 && !turnsUp(hull.at(-2) as Point, hull.at(-1) as Point, point)) hull.pop();
    hull.push(point);
  }
  return hull;
}

function turnsUp(a: Point, b: Point, c: Point): boolean {
  return (b.y - a.y) * (c.x - a.x) < (c.y - a.y) * (b.x - a.x);
}

/** On the longest side of the hull: its ends are mere readings that happen to be the first and the last. */
function interpolate(hull: readonly Point[], x: number): number {
  let [from, to] = [hull[0] as Point, hull[1] as Point];
  for (let at = 1; at + 1 < hull.length; at++) {
    const [left, right] = [hull[at] as Point, hull[at + 1] as Point];
    if (right.x - left.x > to.x - from.x) [from, to] = [left, right];
  }
  return from.y + ((to.y - from.y) * (x - from.x)) / (to.x - from.x);
}

/** The anchors around `x`; outside of them the two nearest ones. */
function bracket(anchors: readonly Point[], x: number): [Point, Point] {
  const found = anchors.findIndex((anchor) => anchor.x > x);
  const at = Math.max(1, found < 0 ? anchors.length - 1 : found);
  const before = anchors[at - 1] as Point;
  return [before, anchors[at] ?? before];
}
