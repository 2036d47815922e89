/**
 * A clock on the reference timeline, while it goes on: lines from knot to knot, each with its bound.
 *
 *   unix - raw │    ┌ bound ┐        ╎ evidence that the line so far does not agree with: the next stretch sets out where it
 *              │  ──●───────●───     ╎ should be, and the older ones are drawn anew (`revise`)
 *              │                 ●───●───●
 *              └──────────────────────────── raw
 *
 * A stretch ends a little ahead of what is known, so that what comes in the meantime is aligned by it; the next one begins at its
 * end, so a clock does not jump as its bounds get narrower. Bounds are convex between knots (clock/fit.ts), so those at both ends
 * hold for all of it.
 */
import type { Int64Array } from '../base/int64.ts';
import { NO_RAW_TIME } from '../model/time.ts';
import { alignTimes, toUnixNs, type ClockFit } from './fit.ts';
import type { TimeInterval } from './message-hull.ts';

/** Older ones are in the store. */
const MAX_STRETCHES = 256;
const ROUNDING_NS = 2;
/** A stretch is drawn anew where the bound comes down to this share. */
const WORTH_REVISING = 0.7;

/** Where a moment of the clock is: certainly in [low, high], and taken for `best`. */
export interface Placing extends TimeInterval {
  readonly best: bigint;
  readonly evidence: string;
}

export interface FitStretch {
  readonly fromRaw: bigint;
  /** First raw time behind it. */
  readonly toRaw: bigint;
  readonly fit: ClockFit;
  readonly evidence: string;
  /** Counts the steps before it. */
  readonly segment: number;
  /** How often it was drawn anew. */
  readonly revision: number;
  /** How far away times can be that were made with it before it was drawn anew, ns. */
  readonly shiftNs: number;
}

export class AlignedClock {
  readonly stretches: FitStretch[] = [];

  get last(): FitStretch | undefined {
    return this.stretches.at(-1);
  }

  /** The stretch of a raw time; undefined before the first and behind the last. */
  find(raw: bigint): FitStretch | undefined {
    let low = 0;
    let high = this.stretches.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.stretches[middle] as FitStretch).toRaw > raw) high = middle;
      else low = middle + 1;
    }
    const found = this.stretches[low];
    return found !== undefined && found.fromRaw <= raw ? found : undefined;
  }

  /** Goes on to `toRaw`, from the end of the last stretch or, at first and after a step, from `fromRaw`. */
  extend(fromRaw: bigint, toRaw: bigint, place: (raw: bigint) => Placing | undefined, segment: number): FitStretch | undefined {
    const last = this.last;
    const goesOn = last !== undefined && last.segment === segment;
    if (last !== undefined && !goesOn) this.#cut(fromRaw);
    const begin = goesOn ? last.toRaw : fromRaw;
    if (toRaw <= begin) return undefined;
    const [start, end] = [place(begin), place(toRaw)];
    if (start === undefined || end === undefined) return undefined;
    const reached = goesOn ? toUnixNs(last.fit, begin) : undefined;
    const startUnix = reached !== undefined && reached >= start.low && reached <= start.high ? reached : start.best;
    const stretch = draw({ fromRaw: begin, toRaw, segment, revision: 0, shiftNs: 0 }, { ...start, best: startUnix }, end);
    if (stretch === undefined) return undefined;
    this.stretches.push(stretch);
    if (this.stretches.length > MAX_STRETCHES) this.stretches.shift();
    return stretch;
  }

  /** Draws stretches of the segment at hand that begin at `sinceRaw` or later anew where they get better by it; returns those. */
  revise(sinceRaw: bigint, place: (raw: bigint) => Placing | undefined): FitStretch[] {
    const revised: FitStretch[] = [];
    const segment = this.last?.segment;
    // What comes in now is aligned by the last one: it stays.
    for (let at = this.stretches.length - 2; at >= 0; at--) {
      const old = this.stretches[at] as FitStretch;
      if (old.segment !== segment || old.fromRaw < sinceRaw) break;
      const [start, end] = [place(old.fromRaw), place(old.toRaw)];
      if (start === undefined || end === undefined) continue;
      const drawn = draw({ ...old, revision: old.revision + 1 }, start, end);
      if (drawn === undefined || drawn.fit.errorNs > old.fit.errorNs * WORTH_REVISING) continue;
      // The truth is within both bounds.
      const anew = { ...drawn, shiftNs: old.shiftNs + old.fit.errorNs + drawn.fit.errorNs };
      this.stretches[at] = anew;
      revised.push(anew);
    }
    return revised;
  }

  /** Unix time and bound of one moment. */
  toUnix(raw: bigint): { readonly unixNs: bigint; readonly errorNs: number } | undefined {
    const stretch = this.find(raw);
    return stretch && { unixNs: toUnixNs(stretch.fit, raw), errorNs: stretch.fit.errorNs };
  }

  /** As `toUnix`, along the nearest stretch where the moment lies in none; undefined where there is no stretch at all. */
  nearest(raw: bigint): bigint | undefined {
    const stretch = this.find(raw) ?? (raw < (this.stretches[0]?.fromRaw ?? raw) ? this.stretches[0] : this.last);
    return stretch && toUnixNs(stretch.fit, raw);
  }

  /** The widest bound from one moment to another; undefined where no line covers all of it. */
  worstError(fromRaw: bigint, toRaw: bigint): number | undefined {
    let worst = 0;
    let at = fromRaw;
    for (;;) {
      const stretch = this.find(at);
      if (stretch === undefined) return undefined;
      worst = Math.max(worst, stretch.fit.errorNs);
      if (toRaw < stretch.toRaw) return worst;
      at = stretch.toRaw;
    }
  }

  /** Writes the times of rows that lie in a stretch; returns the widest bound of them, or undefined where some lie in none. */
  align(raw: Int64Array, unix: Int64Array, length: number): number | undefined {
    let errorNs = 0;
    const runs: { readonly from: number; readonly stretch: FitStretch | undefined }[] = [];
    for (let row = 0; row < length; row++) {
      const time = raw.getBigint(row);
      const current = runs.at(-1)?.stretch;
      if (time === NO_RAW_TIME || (current !== undefined && time >= current.fromRaw && time < current.toRaw)) continue;
      const stretch = this.find(time);
      if (stretch === undefined) return undefined;
      runs.push({ from: row, stretch });
    }
    for (const [at, { from, stretch }] of runs.entries()) {
      if (stretch === undefined) continue;
      errorNs = Math.max(errorNs, stretch.fit.errorNs);
      alignRows(raw, unix, from, runs[at + 1]?.from ?? length, stretch.fit);
    }
    return errorNs;
  }

  #cut(raw: bigint): void {
    const last = this.stretches.pop();
    if (last === undefined) return;
    if (last.fromRaw >= raw) this.#cut(raw);
    else this.stretches.push(last.toRaw > raw ? { ...last, toRaw: raw } : last);
  }
}

/** Rows without a stamp keep the time that they have. */
function alignRows(raw: Int64Array, unix: Int64Array, from: number, to: number, fit: ClockFit): void {
  let begin = from;
  for (let row = from; row <= to; row++) {
    const isEnd = row === to || raw.getBigint(row) === NO_RAW_TIME;
    if (!isEnd) continue;
    alignTimes(raw, unix, row, fit, begin);
    begin = row + 1;
  }
}

type Frame = Pick<FitStretch, 'fromRaw' | 'toRaw' | 'segment' | 'revision' | 'shiftNs'>;

function draw({ fromRaw, toRaw, segment, revision, shiftNs }: Frame, start: Placing, end: Placing): FitStretch | undefined {
  const nsPerTick = Number(end.best - start.best) / Number(toRaw - fromRaw);
  if (!(nsPerTick > 0)) return undefined;
  const away = [start.high - start.best, start.best - start.low, end.high - end.best, end.best - end.low];
  const errorNs = Math.max(...away.map(Number), 0) + ROUNDING_NS;
  return {
    fromRaw,
    toRaw,
    fit: { baseRaw: fromRaw, baseUnixNs: start.best, nsPerTick, errorNs },
    evidence: end.evidence,
    segment,
    revision,
    shiftNs,
  };
}
