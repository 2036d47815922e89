/** Ticks of a time axis: steps that people count in, labels with just the digits that differ. */
import { formatDay, formatDuration, formatWall } from '../format/time.ts';
import type { View } from './viewport.ts';

export interface Tick {
  /** Relative to the origin. */
  readonly timeNs: number;
  readonly wall: string;
  /** Distance from the first tick. */
  readonly relative: string;
}

const SECOND = 1e9;
const LONG_STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400] as const;

/** The smallest step of the series that is at least `wantedNs`. */
export function toStep(wantedNs: number): number {
  if (wantedNs > SECOND / 2) {
    const step = LONG_STEPS_S.find((seconds) => seconds * SECOND >= wantedNs);
    return step === undefined ? Math.ceil(wantedNs / (86_400 * SECOND)) * 86_400 * SECOND : step * SECOND;
  }
  const decade = 10 ** Math.floor(Math.log10(Math.max(1, wantedNs)));
  const step = [1, 2, 5, 10].find((factor) => factor * decade >= wantedNs * 0.999);
  return Math.max(1, Math.round((step ?? 10) * decade));
}

/** Digits after the second that tell two ticks apart. */
export function toDigits(stepNs: number): number {
  if (stepNs >= SECOND) return 0;
  return Math.min(9, Math.max(1, 9 - Math.floor(Math.log10(stepNs))));
}

/** Minutes east of UTC at a moment, so that hours and days start where the reader's do. */
function zoneNs(unixNs: bigint): bigint {
  return BigInt(-new Date(Number(unixNs / 1_000_000n)).getTimezoneOffset()) * 60_000_000_000n;
}

export function toTicks(originNs: bigint, view: View, widthPx: number, minGapPx = 120): readonly Tick[] {
  const span = view.to - view.from;
  if (!(span > 0) || widthPx <= 0) return [];
  const step = toStep((span * minGapPx) / widthPx);
  const digits = toDigits(step);
  const start = originNs + BigInt(Math.floor(view.from));
  const zone = zoneNs(start);
  const stepNs = BigInt(step);
  const local = start + zone;
  const first = local - (((local % stepNs) + stepNs) % stepNs) + stepNs - zone;
  const ticks: Tick[] = [];
  const firstRelative = Number(first - originNs);
  for (let index = 0; index < 200; index++) {
    const timeNs = firstRelative + index * step;
    if (timeNs > view.to) break;
    const unixNs = first + BigInt(index) * stepNs;
    const wall = step >= 86_400 * SECOND ? formatDay(unixNs) : formatWall(unixNs, digits);
    ticks.push({ timeNs, wall, relative: index === 0 ? '' : `+${formatDuration(index * step)}` });
  }
  return ticks;
}
