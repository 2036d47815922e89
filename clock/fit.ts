/**
 * From a raw clock to Unix time: a straight line with a bound on its error.
 *
 *   unix(raw) = baseUnixNs + (raw - baseRaw) × nsPerTick      the true time lies within ± errorNs
 *
 * A line is fitted through samples that are intervals, not points: at `raw` the true Unix time was somewhere in
 * [unixLow, unixHigh], because that is how the sample was bracketed. All lines through all intervals form a polygon; the fit
 * runs through the middle of it at both ends, so the error is exact, not a statistical guess:
 *
 *   unix - raw   |        ┬            ┬         U(x): highest line through all intervals, convex
 *                |  ┬     │     ┬      │         L(x): lowest, concave
 *                |  │  ───┼─────┼── f ─┼──       f: middle of [L, U] at the first and at the last moment, hence at most
 *                |  ┴     ┴     ┴      ┴            half their larger distance away from the truth everywhere between
 *                +-----------------------> raw
 *
 * No line through all intervals means that a clock was set, or that a sample is false: the caller begins a new segment.
 */
import { Int64Array, TWO_POW_32 } from '../base/int64.ts';
import type { ClockFitFields } from '../model/segment.ts';
import type { UnixNs } from '../model/time.ts';

export interface ClockFit {
  readonly baseRaw: bigint;
  readonly baseUnixNs: bigint;
  readonly nsPerTick: number;
  /** Half-width of the interval that holds the true time. */
  readonly errorNs: number;
}

/** At `raw` the true Unix time (ns) was in [unixLow, unixHigh]. */
export interface ClockSample {
  readonly raw: bigint;
  readonly unixLow: bigint;
  readonly unixHigh: bigint;
}

export interface FitOptions {
  /** What the rate can be, ns per tick. Equal bounds fix it. */
  readonly nsPerTick?: { readonly low: number; readonly high: number };
  /** The fit is used up to this raw time: its bound holds until then. Default: the last sample. */
  readonly untilRaw?: bigint;
}

/** A clock in ns: the kernel slews by at most 500 ppm, and a calibrated counter is wrong by less than that (297 ppm measured). */
const NANOSECOND_RATE = { low: 1 - 1e-3, high: 1 + 1e-3 };
/** Every pair of samples is compared: 1,024 take 4 ms (bench/clock.bench.ts). Of more, evenly spread ones are used. */
const MAX_SAMPLES = 1024;
/** Doubles hold the arithmetic of a fit to well under this, and the bases are whole ns. */
const ROUNDING_NS = 2;

/** The line through the middle of all lines through the samples; undefined where there is none. */
export function fitFromSamples(samples: readonly ClockSample[], options: FitOptions = {}): ClockFit | undefined {
  const used = thin(samples);
  const first = used[0];
  const last = used.at(-1);
  if (first === undefined || last === undefined) return undefined;
  const baseRaw = first.raw;
  const baseUnixNs = (first.unixLow + first.unixHigh) / 2n;
  const x = used.map((sample) => Number(sample.raw - baseRaw));
  const low = used.map((sample) => Number(sample.unixLow - baseUnixNs));
  const high = used.map((sample) => Number(sample.unixHigh - baseUnixNs));
  const rate = feasibleRates(x, low, high, options.nsPerTick ?? NANOSECOND_RATE);
  if (rate === undefined) return undefined;
  const until = options.untilRaw === undefined ? 0 : Number(options.untilRaw - baseRaw);
  const end = Math.max(until, x.at(-1) ?? 0);
  // At x = 0 the lowest line is the steepest and the highest the flattest; at the end it is the other way round.
  const startLow = maxOf(x, (xi, i) => (low[i] as number) - rate.high * xi);
  const startHigh = minOf(x, (xi, i) => (high[i] as number) - rate.low * xi);
  const endLow = maxOf(x, (xi, i) => (low[i] as number) + rate.low * (end - xi));
  const endHigh = minOf(x, (xi, i) => (high[i] as number) + rate.high * (end - xi));
  // Rounding can cross bounds that touch; a real crossing was excluded above for two samples, and here for a fixed rate.
  if (startLow > startHigh + ROUNDING_NS || endLow > endHigh + ROUNDING_NS) return undefined;
  const start = (startLow + startHigh) / 2;
  const slope = rate.low === rate.high || end === 0 ? (rate.low + rate.high) / 2 : ((endLow + endHigh) / 2 - start) / end;
  // Between stamps that are centuries apart doubles round by seconds: the line still keeps to a rate that was found possible.
  const nsPerTick = Math.min(rate.high, Math.max(rate.low, slope));
  const finish = start + nsPerTick * end;
  const errorNs = Math.max(startHigh - start, start - startLow, endHigh - finish, finish - endLow, 0);
  return { baseRaw, baseUnixNs: baseUnixNs + BigInt(Math.round(start)), nsPerTick, errorNs: Math.ceil(errorNs) + ROUNDING_NS };
}

/** In order of raw time, at most MAX_SAMPLES: the first, the last, and evenly between, the narrowest of each stretch. */
function thin(samples: readonly ClockSample[]): readonly ClockSample[] {
  const sorted = samples.toSorted((a, b) => (a.raw < b.raw ? -1 : a.raw > b.raw ? 1 : 0));
  if (sorted.length <= MAX_SAMPLES) return sorted;
  const stretch = Math.ceil((sorted.length - 2) / (MAX_SAMPLES - 2));
  const used = [sorted[0] as ClockSample];
  for (let at = 1; at < sorted.length - 1; at += stretch) {
    used.push(
      sorted.slice(at, Math.min(at + stretch, sorted.length - 1)).reduce((best, next) => (widthOf(next) < widthOf(best) ? next : best)),
    );
  }
  used.push(sorted.at(-1) as ClockSample);
  return used;
}

function widthOf(sample: ClockSample): bigint {
  return sample.unixHigh - sample.unixLow;
}

/** Least and greatest slope of a line through all intervals, within the bounds; undefined where there is none. */
function feasibleRates(
  x: readonly number[],
  low: readonly number[],
  high: readonly number[],
  bounds: { readonly low: number; readonly high: number },
): { readonly low: number; readonly high: number } | undefined {
  let least = bounds.low;
  let most = bounds.high;
  for (let i = 0; i < x.length; i++) {
    if ((low[i] as number) > (high[i] as number)) return undefined;
    for (let j = i + 1; j < x.length; j++) {
      const span = (x[j] as number) - (x[i] as number);
      const rise = (high[j] as number) - (low[i] as number);
      const fall = (low[j] as number) - (high[i] as number);
      if (span === 0) {
        if (rise < 0 || fall > 0) return undefined;
        continue;
      }
      most = Math.min(most, rise / span);
      least = Math.max(least, fall / span);
    }
  }
  if (least <= most) return { low: least, high: most };
  // A rate that is known exactly may miss by the rounding of the samples themselves.
  const span = (x.at(-1) as number) - (x[0] as number);
  return (least - most) * span <= ROUNDING_NS ? { low: most, high: least } : undefined;
}

function maxOf(values: readonly number[], score: (value: number, index: number) => number): number {
  return values.reduce((best, value, index) => Math.max(best, score(value, index)), Number.NEGATIVE_INFINITY);
}

function minOf(values: readonly number[], score: (value: number, index: number) => number): number {
  return values.reduce((best, value, index) => Math.min(best, score(value, index)), Number.POSITIVE_INFINITY);
}

/** From the first clock through the second to the third: `first` reaches the clock that `second` starts from. */
export function composeFits(first: ClockFit, second: ClockFit): ClockFit {
  const middle = Number(first.baseUnixNs - second.baseRaw) * second.nsPerTick;
  return {
    baseRaw: first.baseRaw,
    baseUnixNs: second.baseUnixNs + BigInt(Math.round(middle)),
    nsPerTick: first.nsPerTick * second.nsPerTick,
    errorNs: Math.ceil(first.errorNs * second.nsPerTick + second.errorNs) + ROUNDING_NS,
  };
}

/** One raw time on the Unix timeline; the same value that `alignTimes` writes. */
export function toUnixNs(fit: ClockFit, raw: bigint): UnixNs {
  const one = new Int64Array(1);
  const result = new Int64Array(1);
  one.setBigint(0, raw);
  alignTimes(one, result, 1, fit);
  return result.getBigint(0) as UnixNs;
}

/** The fit as it stands in a segment's header. */
export function toFitFields(fit: ClockFit): ClockFitFields {
  return { baseRaw: fit.baseRaw.toString(), baseUnixNs: fit.baseUnixNs.toString(), nsPerTick: fit.nsPerTick, errorNs: fit.errorNs };
}

/** From a segment's header, which `toSegmentHeader` has checked. */
export function fromFitFields(fields: ClockFitFields): ClockFit {
  return { ...fields, baseRaw: BigInt(fields.baseRaw), baseUnixNs: BigInt(fields.baseUnixNs) };
}

/**
 * Writes the Unix ns of `raw[from … length)`; rows without a stamp (NO_RAW_TIME) get 0. Exact where a tick is a nanosecond, else
 * rounded to the nearest, and never running backwards where `raw` does not.
 */
export function alignTimes(raw: Int64Array, unix: Int64Array, length: number, fit: ClockFit, from = 0): void {
  if (fit.nsPerTick === 1) alignShifted(raw.words, unix.words, from, length, BigInt.asIntN(64, fit.baseUnixNs - fit.baseRaw));
  else alignScaled(raw, unix, from, length, fit);
}

/** Adds a constant, modulo 2^64. */
function alignShifted(raw: Uint32Array, unix: Uint32Array, from: number, length: number, shift: bigint): void {
  const shiftLow = Number(BigInt.asUintN(32, shift));
  const shiftHigh = Number(BigInt.asUintN(32, shift >> 32n));
  for (let at = from * 2; at < length * 2; at += 2) {
    const low = raw[at] as number;
    const high = raw[at + 1] as number;
    if ((low & high) >>> 0 === 0xffff_ffff) {
      unix[at] = 0;
      unix[at + 1] = 0;
      continue;
    }
    const sum = (low + shiftLow) >>> 0;
    unix[at] = sum;
    unix[at + 1] = high + shiftHigh + (sum < shiftLow ? 1 : 0);
  }
}

/** Ticks from the base that doubles hold exactly, product included: 104 days of ns, 37 of a 2.8 GHz counter, either way. */
function nearTicks(fit: ClockFit): number {
  return Math.floor(2 ** 53 / Math.max(1, fit.nsPerTick));
}

/** unix = base + round(delta × rate), with delta and product in the range where a double is exact to the nanosecond. */
function alignScaled(raw: Int64Array, unix: Int64Array, first: number, length: number, fit: ClockFit): void {
  const from = raw.words;
  const to = unix.words;
  const baseLow = Number(BigInt.asUintN(32, fit.baseRaw));
  const baseHigh = Number(BigInt.asIntN(32, fit.baseRaw >> 32n));
  const unixLow = Number(BigInt.asUintN(32, fit.baseUnixNs));
  const unixHigh = Number(BigInt.asUintN(32, fit.baseUnixNs >> 32n));
  const { nsPerTick } = fit;
  const near = nearTicks(fit);
  for (let at = first * 2; at < length * 2; at += 2) {
    const low = from[at] as number;
    const high = from[at + 1] as number;
    if ((low & high) >>> 0 === 0xffff_ffff) {
      to[at] = 0;
      to[at + 1] = 0;
      continue;
    }
    const delta = ((high | 0) - baseHigh) * TWO_POW_32 + (low - baseLow);
    if (delta >= near || delta <= -near) {
      unix.setBigint(at / 2, scaleFar(raw.getBigint(at / 2), fit));
      continue;
    }
    const ns = Math.round(delta * nsPerTick);
    const nsHigh = Math.floor(ns / TWO_POW_32);
    const sum = unixLow + (ns - nsHigh * TWO_POW_32);
    to[at] = sum;
    to[at + 1] = unixHigh + nsHigh + (sum >= TWO_POW_32 ? 1 : 0);
  }
}

/** A stamp so far from the base that a double would round it: exact rational arithmetic, clamped to follow the near ones. */
function scaleFar(raw: bigint, fit: ClockFit): bigint {
  const delta = raw - fit.baseRaw;
  // A double is an integer times a power of two; 2^80 turns every rate from 2^-27 up into a whole number.
  const scaled = BigInt(Math.round(fit.nsPerTick * 2 ** 80));
  const ns = (delta * scaled + (1n << 79n)) >> 80n;
  const nearest = BigInt(Math.round((nearTicks(fit) - 1) * fit.nsPerTick));
  const clamped = delta > 0n ? (ns > nearest ? ns : nearest) : ns < -nearest ? ns : -nearest;
  return BigInt.asIntN(64, fit.baseUnixNs + clamped);
}
