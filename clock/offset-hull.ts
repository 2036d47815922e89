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

/**
 * Half of the hull: points that others do not make superfluous. Seen from afar that is the line that runs below all points; a point
 * above it counts as long as the wander between its neighbours leaves more open at its place than it does itself:
 *
 *         ○ ╱╲ ×   ○        ○ corners   × above the line between them, and still of use
 *          ╱    ╲╱          ╱╲ what the two of them say in between: at most wander × distance more than the line
 */
class Chain {
  readonly x: number[] = [];
  readonly y: number[] = [];
  readonly #wander: number;

  constructor(wander: number) {
    this.#wander = wander;
  }

  add(x: number, y: number): void {
    let at = this.x.length;
    while (at > 0 && (this.x[at - 1] as number) > x) at--;
    const hasSame = at > 0 && this.x[at - 1] === x;
    if (hasSame && (this.y[at - 1] as number) <= y) return;
    if (hasSame) this.#remove(--at);
    if (at > 0 && at < this.x.length && this.#gain(at - 1, x, y, at) <= 0) return;
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
    return this.#gain(at - 1, this.x[at] as number, this.y[at] as number, at + 1) > 0;
  }

  /** How much less a point leaves open at its own place than two others do, ns. Where that is nothing, it is nothing anywhere. */
  #gain(before: number, x: number, y: number, after: number): number {
    const [x0, y0] = [this.x[before] as number, this.y[before] as number];
    const [x1, y1] = [this.x[after] as number, this.y[after] as number];
    const span = x1 - x0;
    if (span <= 0) return 0;
    return (y0 * (x1 - x) + y1 * (x - x0) + 2 * this.#wander * (x - x0) * (x1 - x)) / span - y;
  }

  /** Of the older half the one goes that says least. */
  #thin(): void {
    let least = 1;
    let leastGain = Number.POSITIVE_INFINITY;
    for (let at = 1; at <= MAX_CORNERS >> 1; at++) {
      const gain = this.#gain(at - 1, this.x[at] as number, this.y[at] as number, at + 1);
      if (gain >= leastGain) continue;
      least = at;
      leastGain = gain;
    }
    this.#remove(least);
  }
}

export interface Bounds {
  readonly low: number;
  readonly high: number;
}

export class OffsetHull {
  readonly #above: Chain;
  /** Mirrored. */
  readonly #below: Chain;
  readonly #rates: RateDoubt;

  constructor(rates: RateDoubt = NANOSECOND_CLOCKS) {
    this.#rates = rates;
    this.#above = new Chain(rates.wander);
    this.#below = new Chain(rates.wander);
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

/** A line of the heights that a point allows, by the slope. */
interface Limit {
  readonly height: number;
  readonly away: number;
}

/** The point that allows least at a slope; of several the one that allows less further on, or before. */
function tightest({ x: xs, y: ys }: Chain, x: number, slope: number, wander: number, isFurther: boolean): Limit {
  let found = 0;
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < xs.length; i++) {
    const away = x - (xs[i] as number);
    const height = (ys[i] as number) + wander * Math.abs(away) + slope * away;
    if (height > least || (height === least && isFurther === away > x - (xs[found] as number))) continue;
    found = i;
    least = height;
  }
  const away = x - (xs[found] as number);
  return { height: (ys[found] as number) + wander * Math.abs(away), away };
}

/**
 * How high a line of these slopes can be at `x` and stay below the chain: a concave function of the slope, of straight pieces. Its top
 * is an end of the range, or where a piece that rises meets one that falls; each step takes the piece that undercuts the two.
 */
function highest(chain: Chain, x: number, slopes: Bounds, wander: number): number {
  if (chain.x.length === 0) return Number.POSITIVE_INFINITY;
  let rising = tightest(chain, x, slopes.low, wander, true);
  if (rising.away <= 0) return rising.height + slopes.low * rising.away;
  let falling = tightest(chain, x, slopes.high, wander, false);
  if (falling.away >= 0) return falling.height + slopes.high * falling.away;
  for (let step = 0; step < chain.x.length; step++) {
    const slope = (falling.height - rising.height) / (rising.away - falling.away);
    const top = rising.height + slope * rising.away;
    const under = tightest(chain, x, slope, wander, true);
    const height = under.height + slope * under.away;
    if (height >= top || under.away === rising.away || under.away === falling.away) return top;
    if (under.away > 0) rising = under;
    else if (under.away < 0) falling = under;
    else return height;
  }
  return rising.height + ((falling.height - rising.height) / (rising.away - falling.away)) * rising.away;
}
