/**
 * One clock against another, known only by points that it lies below and points that it lies above:
 *
 *   to - from │  ×      ×    ×           ×    upper: at this moment of `from` the offset was at most that
 *             │    ×___     ____×____---
 *             │  -------×---                  their lower hull: only its corners can touch a straight line from above
 *             │  ═══════════════════════════  the clock
 *             │  ____○____---○---_____○___    upper hull of the points below
 *             │   ○       ○        ○     ○
 *             └───────────────────────────── from
 *
 * A message that is received no earlier than it is sent is a point, one direction above, the other below; an interval is one of
 * each. All straight lines between both hulls form a polygon; `bounds` is exact: no line of it leaves [low, high] there, and the
 * clock is one of them, give or take its wander over the distance from the moment that is asked for.
 *
 * A point costs O(1), amortised, where points come in order; corners are bounded in number and age, and to leave a point out
 * only widens the bounds.
 */

export interface RateDoubt {
  /** By how much the rate of `to` against `from` can differ from 1. */
  readonly maxDrift: number;
  /** What it may turn by while it is looked at. */
  readonly wander: number;
}

/** The kernel slews by at most 500 ppm, a counter is calibrated better than that; the wander is that of clock/interval-track.ts. */
export const NANOSECOND_CLOCKS: RateDoubt = { maxDrift: 1e-3, wander: 1e-6 };
/** Two clocks that are one, but for an offset. */
export const STEERED_TOGETHER: RateDoubt = { maxDrift: 0, wander: 0 };

const MAX_CORNERS = 64;
/** Stamps are whole ns, and so are bases. */
const ROUNDING_NS = 1;
/** A third goes with each: less than a double resolves is left of a range of 2e-3. */
const SEARCH_STEPS = 80;

/** Half of the hull: corners of the line that runs below all points. */
class Chain {
  readonly x: number[] = [];
  readonly y: number[] = [];

  add(x: number, y: number): void {
    let at = this.x.length;
    while (at > 0 && (this.x[at - 1] as number) > x) at--;
    const hasSame = at > 0 && this.x[at - 1] === x;
    if (hasSame && (this.y[at - 1] as number) <= y) return;
    if (hasSame) this.#remove(--at);
    if (at > 0 && at < this.x.length && !this.#turnsUp(at - 1, x, y, at)) return;
    this.x.splice(at, 0, x);
    this.y.splice(at, 0, y);
    while (at > 1 && !this.#isCorner(at - 1)) this.#remove(--at);
    while (at + 2 < this.x.length && !this.#isCorner(at + 1)) this.#remove(at + 1);
    if (this.x.length > MAX_CORNERS) this.#thin();
  }

  dropBefore(x: number): void {
    let count = 0;
    while (count < this.x.length && (this.x[count] as number) < x) count++;
    if (count === 0) return;
    this.x.splice(0, count);
    this.y.splice(0, count);
  }

  clear(): void {
    this.x.length = this.y.length = 0;
  }

  #remove(at: number): void {
    this.x.splice(at, 1);
    this.y.splice(at, 1);
  }

  #isCorner(at: number): boolean {
    return this.#turnsUp(at - 1, this.x[at] as number, this.y[at] as number, at + 1);
  }

  /** The point lies below the line between two corners. */
  #turnsUp(before: number, x: number, y: number, after: number): boolean {
    const [x0, y0] = [this.x[before] as number, this.y[before] as number];
    const [x1, y1] = [this.x[after] as number, this.y[after] as number];
    return (y - y0) * (x1 - x0) < (y1 - y0) * (x - x0);
  }

  /** Of the older half, each second corner goes. */
  #thin(): void {
    for (let at = MAX_CORNERS >> 1; at > 0; at -= 2) this.#remove(at);
  }
}

export interface Bounds {
  readonly low: number;
  readonly high: number;
}

export class OffsetHull {
  readonly #above = new Chain();
  /** Mirrored. */
  readonly #below = new Chain();
  readonly #rates: RateDoubt;

  constructor(rates: RateDoubt = NANOSECOND_CLOCKS) {
    this.#rates = rates;
  }

  /** The clock is at most `y` ahead at `x`, ns. */
  addUpper(x: number, y: number): void {
    this.#above.add(x, y + ROUNDING_NS);
  }

  /** The clock is at least `y` ahead at `x`, ns. */
  addLower(x: number, y: number): void {
    this.#below.add(x, ROUNDING_NS - y);
  }

  forgetBefore(x: number): void {
    this.#above.dropBefore(x);
    this.#below.dropBefore(x);
  }

  clear(): void {
    this.#above.clear();
    this.#below.clear();
  }

  get corners(): number {
    return this.#above.x.length + this.#below.x.length;
  }

  /** Where the offset is at `x`; infinite on a side without a point; undefined where no line goes through. */
  bounds(x: number): Bounds | undefined {
    const rates = this.rates(x);
    if (rates === undefined) return undefined;
    const { wander } = this.#rates;
    return {
      low: -highest(this.#below, x, { low: -rates.high, high: -rates.low }, wander),
      high: highest(this.#above, x, rates, wander),
    };
  }

  /** The slopes of all lines between the points, seen from `x`. */
  rates(x: number): Bounds | undefined {
    const { wander, maxDrift } = this.#rates;
    let low = -maxDrift;
    let high = maxDrift;
    const { x: aboveX, y: aboveY } = this.#above;
    const { x: belowX, y: belowY } = this.#below;
    for (let i = 0; i < aboveX.length; i++) {
      const x1 = aboveX[i] as number;
      const y1 = (aboveY[i] as number) + wander * Math.abs(x1 - x);
      for (let j = 0; j < belowX.length; j++) {
        const x0 = belowX[j] as number;
        const room = y1 + (belowY[j] as number) + wander * Math.abs(x0 - x);
        if (x1 > x0) high = Math.min(high, room / (x1 - x0));
        else if (x1 < x0) low = Math.max(low, room / (x1 - x0));
        else if (room < 0) return undefined;
      }
    }
    return low <= high ? { low, high } : undefined;
  }
}

/** How high a line of these slopes can be at `x` and stay below the chain: a concave function of the slope. */
function highest({ x: xs, y: ys }: Chain, x: number, slopes: Bounds, wander: number): number {
  if (xs.length === 0) return Number.POSITIVE_INFINITY;
  const heightOf = (slope: number): number => {
    let lowest = Number.POSITIVE_INFINITY;
    for (let i = 0; i < xs.length; i++) {
      const away = x - (xs[i] as number);
      const height = (ys[i] as number) + wander * Math.abs(away) + slope * away;
      if (height < lowest) lowest = height;
    }
    return lowest;
  };
  let { low, high } = slopes;
  for (let step = 0; step < SEARCH_STEPS && low < high; step++) {
    const third = (high - low) / 3;
    if (heightOf(low + third) < heightOf(high - third)) low += third;
    else high -= third;
  }
  return Math.max(heightOf(low), heightOf(high));
}
