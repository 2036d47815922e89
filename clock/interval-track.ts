/**
 * One clock against another while samples keep coming: the last minutes of interval samples, and the line through them
 * (clock/fit.ts). Where a line through all fails, a clock was stepped, stood still, or changed its rate: a new segment begins
 * with as many of the newest samples as one line goes through.
 *
 *   to - from │ ┬ ┬ ┬                    ┬ ┬ ┬      a virtual machine that was stopped for a moment: its clock stood still
 *             │ ┴ ┴ ┴ ──── old segment   │ │ │
 *             │                          ┴ ┴ ┴ ──── new segment
 *             └──────────────────────────────── from
 *
 * Clocks are steered: within a segment the rate may wander by WANDER, so a sample widens as it gets older.
 */
import { fitFromSamples, type ClockFit, type ClockSample } from './fit.ts';

const MAX_SAMPLES = 128;
const MAX_AGE_NS = 300_000_000_000n;
/** A disciplined clock turns by about a ppm within minutes. */
const WANDER = 1e-6;
/** What a rate may have been while nobody looked: the kernel slews by at most 500 ppm. */
const UNSEEN_DRIFT = 500e-6;
/** Two clocks that count ns; the wide range is for a clock that is slewed by hand (adjtimex tick: ±10 %). */
const NANOSECOND_RATES = [
  { low: 1 - 1e-3, high: 1 + 1e-3 },
  { low: 0.85, high: 1.15 },
];

export interface RateRange {
  readonly low: number;
  readonly high: number;
}

export class IntervalTrack {
  readonly #rates: readonly RateRange[];
  #samples: ClockSample[] = [];
  #fit: ClockFit | undefined;
  #fitUntil = 0n;
  /** Segments that began because no line went through all samples. */
  steps = 0;

  /** `rate`: of a clock that does not count ns, `to` ns per tick of `from`. */
  constructor(rate?: RateRange) {
    this.#rates = rate === undefined ? NANOSECOND_RATES : [rate];
  }

  /** At least one sample; two for a clock whose rate is not known. */
  get known(): boolean {
    return this.#samples.length >= (this.#rates.length > 1 ? 1 : 2);
  }

  /** Takes a sample (`unixLow`, `unixHigh` on the clock `to`); false when it began a new segment. */
  add(sample: ClockSample): boolean {
    const last = this.#samples.at(-1);
    // A repetition, or one that was overtaken on its way: what came before it stands.
    if (sample.unixLow > sample.unixHigh || (last !== undefined && sample.raw <= last.raw)) return true;
    this.#samples.push(sample);
    this.#thin();
    const before = this.#samples.length;
    this.#fit = this.#fitNewest(sample.raw);
    this.#fitUntil = sample.raw;
    if (this.#samples.length === before) return true;
    this.steps++;
    return false;
  }

  /** Takes over another track's samples: those that come anew and are not newer then change nothing. */
  learnFrom(other: IntervalTrack): void {
    this.#samples = [...other.#samples];
    this.#fit = undefined;
  }

  /** The line for stamps from `fromRaw` to `toRaw`, its bound widened for what lies before the first sample. */
  fit(fromRaw: bigint, toRaw: bigint): ClockFit | undefined {
    const first = this.#samples[0];
    if (first === undefined || !this.known) return undefined;
    if (this.#fit === undefined || toRaw > this.#fitUntil) {
      // A little further than asked, so that the next records need no fit of their own.
      const ahead = BigInt(Math.round(200e6 / (this.#fit?.nsPerTick ?? 1)));
      this.#fit = this.#fitNewest(toRaw + ahead);
      this.#fitUntil = toRaw + ahead;
    }
    const fit = this.#fit;
    if (fit === undefined || fromRaw >= first.raw) return fit;
    const unseenNs = Number(first.raw - fromRaw) * fit.nsPerTick;
    return { ...fit, errorNs: fit.errorNs + Math.ceil(unseenNs * UNSEEN_DRIFT) };
  }

  /** The line for stamps of about now, now being `toNs` on the clock `to`. */
  fitAt(toNs: bigint): ClockFit | undefined {
    const last = this.#samples.at(-1);
    if (last === undefined) return undefined;
    const aheadTicks = Number(toNs - last.unixHigh) / (this.#fit?.nsPerTick ?? 1);
    return this.fit(last.raw, last.raw + BigInt(Math.round(Math.max(0, aheadTicks))));
  }

  /** Drops old samples until one line goes through the rest; one sample always has a line. */
  #fitNewest(untilRaw: bigint): ClockFit | undefined {
    for (;;) {
      const samples = this.#widened();
      for (const nsPerTick of this.#rates) {
        const fit = fitFromSamples(samples, { nsPerTick, untilRaw });
        if (fit !== undefined) return fit;
      }
      if (this.#samples.length <= 1) return undefined;
      this.#samples = this.#samples.slice(Math.ceil(this.#samples.length / 4));
    }
  }

  #widened(): ClockSample[] {
    const nowNs = (this.#samples.at(-1) as ClockSample).unixHigh;
    return this.#samples.map(({ raw, unixLow, unixHigh }) => {
      const widen = BigInt(Math.ceil(Number(nowNs - unixHigh) * WANDER));
      return { raw, unixLow: unixLow - widen, unixHigh: unixHigh + widen };
    });
  }

  /** Forgets by age; of too many, the wider one of each old pair goes. */
  #thin(): void {
    const nowNs = (this.#samples.at(-1) as ClockSample).unixHigh;
    const fresh = this.#samples.findIndex(({ unixHigh }) => nowNs - unixHigh <= MAX_AGE_NS);
    if (fresh > 0) this.#samples.splice(0, fresh);
    if (this.#samples.length <= MAX_SAMPLES) return;
    const old = this.#samples.splice(0, MAX_SAMPLES / 2);
    const kept: ClockSample[] = [];
    for (let at = 0; at < old.length; at += 2) {
      const [a, b] = [old[at] as ClockSample, old[at + 1] as ClockSample];
      kept.push(a.unixHigh - a.unixLow <= b.unixHigh - b.unixLow ? a : b);
    }
    this.#samples.unshift(...kept);
  }
}
