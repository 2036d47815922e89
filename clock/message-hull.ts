/**
 * Two kernels' clocks against each other, by the messages between them: none is received before it was sent.
 *
 *   sent at `from` time a, received at `to` time b:   to(a) ≤ b     a point above (clock/offset-hull.ts)
 *   sent at `to` time b, received at `from` time a:   to(a) ≥ b     a point below
 *   any other evidence: at `from` time a the other clock stood in [low, high]      one of each
 *
 * Messages are matched without ids, and a wrong match is a false bound. Each comes with the probability that it is right, so of a
 * slot of messages as many of the tightest are left out as may be wrong (a Poisson count that is exceeded once in MISS_ODDS); the
 * next one counts. It holds as long as no more are wrong than left out, whichever they are:
 *
 *   b - a │      ·  .    ·        ·    .
 *         │   .     ·  . (·)  .   ·  .     (×) left out: one of 60 may be wrong
 *         │  - - - - - - (×) - - - - -     (·) the bound of this slot
 *         └ slot ────────────────────┴──── a
 *
 * Sorting needs the slope, which is known from the hull when the slot is opened; what it may be wrong by over the slot is added.
 *
 * What contradicts the hull: an interval is certain, so a clock was stepped (or a wrong match got in): a new segment begins with
 * it. A slot's bound is left out and counted; REJECTIONS in a row are taken for a step, too.
 */
import { NANOSECOND_CLOCKS, OffsetHull, type RateDoubt } from './offset-hull.ts';

const SLOT_NS = 250e6;
/** Shorter at first, when nothing better is known than pings. */
const FIRST_SLOT_NS = 50e6;
const FIRST_SLOTS = 8;
/** A slot with too few messages stays open, at most so long. */
const LONG_SLOT_NS = 10e9;
/** Slots are closed with so many messages for each that is left out. */
const FULL_SLOT = 4;
const MAX_LEFT_OUT = 16;
const MISS_ODDS = 1e-7;
/** Less sure matches say nothing. */
const LEAST_CONFIDENCE = 0.9;
const REJECTIONS = 3;
const MAX_AGE_NS = 300e9;
/** Widening of the way back: what the offset can change by over the width of its own interval. */
const BACK_SLACK = 2e-3;

export interface TimeInterval {
  readonly low: bigint;
  readonly high: bigint;
}

interface Point {
  readonly x: number;
  readonly y: number;
}

/** What the slope is, to ± `error`. */
interface Slope {
  readonly of: number;
  readonly error: number;
}

/** Messages of one direction; y counts upwards. */
class Slot {
  count = 0;
  fromX = Number.POSITIVE_INFINITY;
  toX = Number.NEGATIVE_INFINITY;
  /** One for all its messages: two ranks by different slopes cannot be compared. */
  #slope: Slope = { of: 0, error: 0 };
  #zeroX = 0;
  /** How many are wrong, on average. */
  #wrong = 0;
  /** The tightest, in order of what they leave above the slope. */
  readonly #best: (Point & { readonly rank: number })[] = [];
  readonly #lengthNs: number;

  constructor(lengthNs: number) {
    this.#lengthNs = lengthNs;
  }

  /** `slope` counts for the first one. */
  add(x: number, y: number, confidence: number, slope: Slope): void {
    if (this.count++ === 0) {
      this.#slope = slope;
      this.#zeroX = x;
    }
    this.#wrong += Math.max(0, 1 - confidence);
    if (x < this.fromX) this.fromX = x;
    if (x > this.toX) this.toX = x;
    const rank = y - this.#slope.of * (x - this.#zeroX);
    let at = this.#best.length;
    if (at > MAX_LEFT_OUT && rank >= (this.#best[at - 1]?.rank ?? 0)) return;
    while (at > 0 && (this.#best[at - 1]?.rank ?? 0) > rank) at--;
    this.#best.splice(at, 0, { x, y, rank });
    if (this.#best.length > MAX_LEFT_OUT + 1) this.#best.pop();
  }

  get spanNs(): number {
    return this.toX - this.fromX;
  }

  get leftOut(): number {
    return countWrong(this.#wrong);
  }

  /** By the newest evidence, and for one that nothing follows by the moment that is asked for. */
  isFull(newestX: number, x: number): boolean {
    if (x - this.fromX >= LONG_SLOT_NS) return true;
    return newestX - this.fromX >= this.#lengthNs && this.count > FULL_SLOT * this.leftOut;
  }

  /** The bound, by what is known of the slope now; undefined where too few came. */
  bound(now: Slope): Point | undefined {
    const { leftOut } = this;
    const point = this.#best[leftOut];
    if (point === undefined || leftOut === 0) return point;
    const slopeError = Math.min(this.#slope.error, Math.abs(this.#slope.of - now.of) + now.error);
    return { x: point.x, y: point.y + slopeError * this.spanNs };
  }
}

/** What a Poisson count of this mean exceeds once in 1 / MISS_ODDS. */
export function countWrong(mean: number): number {
  let term = Math.exp(-mean);
  let rest = 1 - term;
  let count = 0;
  // Without a doubt there is none; a double says no better than 1e-16.
  while (rest > MISS_ODDS && count <= MAX_LEFT_OUT) {
    count++;
    term *= mean / count;
    rest -= term;
  }
  return count;
}

export class MessageHull {
  readonly #hull: OffsetHull;
  readonly #maxDrift: number;
  #base: { readonly from: bigint; readonly offset: bigint } | undefined;
  #newestX = Number.NEGATIVE_INFINITY;
  /** Above, and below with y mirrored. */
  #slots: [Slot, Slot] = [new Slot(FIRST_SLOT_NS), new Slot(FIRST_SLOT_NS)];
  /** Since the segment began. */
  #closed = 0;
  #slope = 0;
  #slopeError: number;
  /** By side: a clock that is set contradicts on one only. */
  #contradictions: [Point[], Point[]] = [[], []];
  /** Messages that were taken, those that were too doubtful not among them. */
  messages = 0;
  intervals = 0;
  /** Bounds of slots that contradicted the hull. */
  rejected = 0;
  /** Segments that ended in a contradiction. */
  steps = 0;

  constructor(rates: RateDoubt = NANOSECOND_CLOCKS) {
    this.#maxDrift = this.#slopeError = rates.maxDrift;
    this.#hull = new OffsetHull(rates);
  }

  /** A message of `from` to `to`. */
  addForward(sentFrom: bigint, receivedTo: bigint, confidence = 1): void {
    this.#addMessage(0, sentFrom, receivedTo, confidence);
  }

  /** A message of `to` to `from`. */
  addBackward(sentTo: bigint, receivedFrom: bigint, confidence = 1): void {
    this.#addMessage(1, receivedFrom, sentTo, confidence);
  }

  /** Certainly, at `from` the other clock stood in [low, high]. False when that began a new segment. */
  addInterval(from: bigint, low: bigint, high: bigint): boolean {
    if (low > high) return true;
    const x = this.#toX(from, low);
    const [yLow, yHigh] = [this.#toY(from, low), this.#toY(from, high)];
    this.intervals++;
    const known = this.#hull.bounds(x);
    const agrees = known !== undefined && yHigh >= known.low && yLow <= known.high;
    if (!agrees) this.restart();
    this.#hull.addUpper(x, yHigh);
    this.#hull.addLower(x, yLow);
    this.#advance(x);
    return agrees;
  }

  /** Where `to` stood at a moment of `from`; undefined before there are bounds on both sides. */
  at(from: bigint): TimeInterval | undefined {
    const base = this.#base;
    if (base === undefined) return undefined;
    const x = Number(from - base.from);
    for (const side of [0, 1] as const) this.#closeSlot(side, x);
    const bounds = this.#hull.bounds(x);
    if (bounds === undefined || !Number.isFinite(bounds.high - bounds.low)) return undefined;
    const zero = from + base.offset;
    return { low: zero + BigInt(Math.floor(bounds.low)), high: zero + BigInt(Math.ceil(bounds.high)) };
  }

  /** Where `from` stood at a moment of `to`. */
  back(to: bigint): TimeInterval | undefined {
    const base = this.#base;
    if (base === undefined) return undefined;
    const first = this.at(to - base.offset);
    if (first === undefined) return undefined;
    const near = to - base.offset - ((first.low + first.high) / 2n - to);
    const there = this.at(near);
    if (there === undefined) return undefined;
    const missNs = Math.abs(Number((there.low + there.high) / 2n - to)) + Number(there.high - there.low);
    const slack = BigInt(Math.ceil(missNs * BACK_SLACK));
    return { low: near + (to - there.high) - slack, high: near + (to - there.low) + slack };
  }

  /** ppm that `to` runs ahead of `from`: the middle of what is possible, and half the range. */
  get drift(): { readonly ppm: number; readonly errorPpm: number } {
    return { ppm: this.#slope * 1e6, errorPpm: this.#slopeError * 1e6 };
  }

  #addMessage(side: 0 | 1, from: bigint, to: bigint, confidence: number): void {
    if (confidence < LEAST_CONFIDENCE) return;
    const x = this.#toX(from, to);
    const y = this.#toY(from, to);
    this.messages++;
    if (x > this.#newestX) this.#newestX = x;
    this.#closeSlot(side, x);
    this.#slots[side].add(x, side === 0 ? y : -y, confidence, this.#slopeOf(side));
  }

  #closeSlot(side: 0 | 1, x: number): void {
    const slot = this.#slots[side];
    if (slot.count === 0 || !slot.isFull(this.#newestX, x)) return;
    this.#slots[side] = new Slot(++this.#closed < FIRST_SLOTS ? FIRST_SLOT_NS : SLOT_NS);
    this.#take(side, slot.bound(this.#slopeOf(side)));
  }

  #slopeOf(side: 0 | 1): Slope {
    return { of: side === 0 ? this.#slope : -this.#slope, error: this.#slopeError };
  }

  /** The bound of a slot, which is closed. */
  #take(side: 0 | 1, point: Point | undefined): void {
    if (point === undefined) return;
    const known = this.#hull.bounds(point.x);
    // Widened from here, older points may contradict each other although they did not when they came: the clock wandered more.
    if (known === undefined) this.restart();
    else if ((side === 0 ? point.y - known.low : point.y + known.high) < 0) {
      this.rejected++;
      const since = this.#contradictions[side];
      since.push(point);
      if (since.length < REJECTIONS) return;
      this.restart();
      for (const one of since) this.#addPoint(side, one);
      return this.#advance(point.x);
    }
    this.#contradictions[side] = [];
    this.#addPoint(side, point);
    this.#advance(point.x);
  }

  #addPoint(side: number, { x, y }: Point): void {
    if (side === 0) this.#hull.addUpper(x, y);
    else this.#hull.addLower(x, -y);
  }

  /** What was known is of before a step. */
  restart(): void {
    if (this.#hull.corners > 0) this.steps++;
    this.#hull.clear();
    this.#contradictions = [[], []];
    this.#slots = [new Slot(FIRST_SLOT_NS), new Slot(FIRST_SLOT_NS)];
    this.#closed = 0;
    this.#slope = 0;
    this.#slopeError = this.#maxDrift;
  }

  #advance(x: number): void {
    if (x > this.#newestX) this.#newestX = x;
    this.#hull.forgetBefore(this.#newestX - MAX_AGE_NS);
    const rates = this.#hull.rates(this.#newestX);
    if (rates === undefined) return;
    this.#slope = (rates.low + rates.high) / 2;
    this.#slopeError = (rates.high - rates.low) / 2;
  }

  #toX(from: bigint, to: bigint): number {
    this.#base ??= { from, offset: to - from };
    return Number(from - this.#base.from);
  }

  #toY(from: bigint, to: bigint): number {
    return Number(to - from - (this.#base?.offset ?? 0n));
  }
}
