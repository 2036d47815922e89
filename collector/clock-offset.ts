/**
 * The offset of one clock against another, kept as an interval that certainly holds it. Each bracket gives an interval at its
 * moment; between brackets the interval widens by what the clocks can drift apart; a new bracket is intersected with it:
 *
 *   offset │ ┌─┐╲
 *          │ │ │  ╲╲────┐         ┌─┐  bracket: high edge = offset ≤
 *          │ │ │  ╱╱────┤ widened │ │
 *          │ └─┘╱       └─────────┴─┘  bracket: low edge = offset ≥
 *          └──────────────────────────── time
 *
 * An empty intersection means that a clock was stepped, or that the drift was allowed too little: start anew from the bracket.
 * The rate between the clocks is learned from brackets far apart; what is allowed on top of it is MAX_DRIFT until then (the
 * kernel's clock discipline turns by at most 500 ppm), and after that what the rate was seen to change by.
 */
export const MAX_DRIFT = 500e-6;
/** Oscillators wander by about a ppm with temperature within minutes. */
const MIN_DRIFT = 2e-6;
/** Rates are measured over at least this long: a bracket of 4 µs over 20 s gives 0.2 ppm. */
const RATE_SPAN_NS = 20e9;

export class ClockOffset {
  /** `to = from + offset`, in ns, at the moment `#at` of the clock `from`. */
  #low = 0n;
  #high = 0n;
  #at = 0n;
  #known = false;
  /** ns per ns by which `to` runs ahead of `from`. */
  #rate = 0;
  readonly #maxDrift: number;
  #drift: number;
  #rateFrom: { readonly at: bigint; readonly middle: bigint } | undefined;
  /** Offset intervals that came out empty. */
  steps = 0;

  /** `maxDrift` = 0: the clocks differ by a constant. */
  constructor(maxDrift = MAX_DRIFT) {
    this.#maxDrift = this.#drift = maxDrift;
  }

  /** At `from` the other clock stood in [toLow, toHigh]; returns false when that contradicts what was known (a step). */
  addBracket(from: bigint, toLow: bigint, toHigh: bigint): boolean {
    const low = toLow - from;
    const high = toHigh - from;
    if (!this.#known) this.#restart(from, low, high);
    if (from <= this.#at) return true;
    const now = this.at(from);
    const narrowLow = low > now.low ? low : now.low;
    const narrowHigh = high < now.high ? high : now.high;
    if (narrowLow > narrowHigh) {
      this.steps++;
      this.#restart(from, low, high);
      return false;
    }
    this.#learnRate(from, low, high);
    this.#low = narrowLow;
    this.#high = narrowHigh;
    this.#at = from;
    return true;
  }

  /** The interval that holds the offset at a moment of `from`, and the rate; wide open before the first bracket. */
  at(from: bigint): { readonly low: bigint; readonly high: bigint } {
    const elapsed = Number(from - this.#at);
    const shift = BigInt(Math.round(elapsed * this.#rate));
    const widen = BigInt(Math.ceil(Math.abs(elapsed) * this.#drift));
    return { low: this.#low + shift - widen, high: this.#high + shift + widen };
  }

  get rate(): number {
    return this.#rate;
  }

  get known(): boolean {
    return this.#known;
  }

  #restart(from: bigint, low: bigint, high: bigint): void {
    this.#known = true;
    this.#low = low;
    this.#high = high;
    this.#at = from;
    this.#rate = 0;
    this.#drift = this.#maxDrift;
    this.#rateFrom = { at: from, middle: (low + high) / 2n };
  }

  #learnRate(from: bigint, low: bigint, high: bigint): void {
    const since = this.#rateFrom;
    const middle = (low + high) / 2n;
    if (since === undefined || Number(from - since.at) < RATE_SPAN_NS) return;
    const span = Number(from - since.at);
    const rate = Number(middle - since.middle) / span;
    // The brackets' own widths limit what the rate is known to.
    const doubt = Number(high - low) / span;
    if (doubt >= this.#maxDrift / 4) return;
    const unknown = this.#drift === this.#maxDrift;
    const change = unknown ? 0 : Math.abs(rate - this.#rate);
    this.#drift = Math.min(this.#maxDrift, Math.max(MIN_DRIFT, 2 * change, unknown ? 0 : this.#drift / 2) + doubt);
    this.#rate = rate;
    this.#rateFrom = { at: from, middle };
  }
}
