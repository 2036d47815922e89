/** The latency picture without a canvas: which buckets are in sight, where they lie, how dark a count is, what a point stands for. */
import type { IkcLatency } from '../../model/api.ts';

export interface HeatBox {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface HeatScale {
  readonly box: HeatBox;
  readonly columns: number;
  /** Lowest and highest bucket of the axis, both in sight, on whole decades. */
  readonly low: number;
  readonly high: number;
  readonly perDecade: number;
  /** A row below the axis for latencies that the clocks give as none or less. */
  readonly hasNone: boolean;
  readonly maxCount: number;
}

/** Height of the row for none or less, and of the gap above it, px. */
export const NONE_PX = 14;
const NONE_GAP_PX = 10;
const MIN_DECADES = 2;

export function toHeatScale(latency: IkcLatency, box: HeatBox): HeatScale {
  const perDecade = latency.bucketsPerDecade;
  const buckets = latency.cells.bucket.filter((bucket) => bucket >= 0);
  const hasNone = buckets.length < latency.cells.bucket.length;
  let low = Math.floor(buckets.reduce((least, bucket) => Math.min(least, bucket), Infinity) / perDecade);
  let high = Math.floor(buckets.reduce((most, bucket) => Math.max(most, bucket), -Infinity) / perDecade);
  // Only latencies of none or less: the axis is about the microseconds that they may be.
  if (buckets.length === 0) [low, high] = [3, 4];
  if (high - low + 1 < MIN_DECADES) low = Math.max(0, high - MIN_DECADES + 1);
  return {
    box,
    columns: Math.max(1, latency.columns),
    low: low * perDecade,
    high: (high + 1) * perDecade - 1,
    perDecade,
    hasNone,
    maxCount: latency.cells.count.reduce((most, count) => Math.max(most, count), 1),
  };
}

/** Height of the logarithmic part, px. */
function axisPx({ box, hasNone }: HeatScale): number {
  return box.height - (hasNone ? NONE_PX + NONE_GAP_PX : 0);
}

export function toX(scale: HeatScale, column: number): number {
  return scale.box.left + (column * scale.box.width) / scale.columns;
}

/** Upper edge of what lies at `bucket` (which may be between two); -1 = the row for none or less. */
export function toY(scale: HeatScale, bucket: number): number {
  if (bucket < 0) return scale.box.top + scale.box.height - NONE_PX;
  const share = (bucket - scale.low) / (scale.high + 1 - scale.low);
  return scale.box.top + axisPx(scale) * (1 - share);
}

/** Where a latency lies; percentiles of none or less lie in the middle of their row. */
export function toLatencyY(scale: HeatScale, latencyNs: number): number {
  if (latencyNs < 1) return toY(scale, -1) + NONE_PX / 2;
  const bucket = Math.log10(latencyNs) * scale.perDecade;
  return toY(scale, Math.min(scale.high + 1, Math.max(scale.low, bucket)));
}

export interface Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Whole pixels, so that neighbours neither overlap nor leave a seam. */
export function toCellRect(scale: HeatScale, column: number, bucket: number): Rect {
  const x = Math.round(toX(scale, column));
  const right = Math.round(toX(scale, column + 1));
  const top = Math.round(bucket < 0 ? toY(scale, -1) : toY(scale, bucket + 1));
  const bottom = Math.round(bucket < 0 ? toY(scale, -1) + NONE_PX : toY(scale, bucket));
  return { x, y: top, width: Math.max(1, right - x), height: Math.max(1, bottom - top) };
}

/** 0 … 1: a single message is well in sight, and the fullest cell is the darkest. */
export function toShade(count: number, maxCount: number): number {
  return maxCount <= 1 ? 0.55 : 0.22 + 0.78 * (Math.log(Math.max(1, count)) / Math.log(maxCount));
}

export interface HeatPoint {
  readonly column: number;
  /** -1 = none or less; undefined = beside the axis. */
  readonly bucket: number | undefined;
}

/** What lies under a point of the canvas; undefined = outside. */
export function toHeatPoint(scale: HeatScale, x: number, y: number): HeatPoint | undefined {
  const { box } = scale;
  if (x < box.left || x >= box.left + box.width || y < box.top || y > box.top + box.height) return undefined;
  const column = Math.min(scale.columns - 1, Math.floor(((x - box.left) / box.width) * scale.columns));
  if (scale.hasNone && y >= toY(scale, -1)) return { column, bucket: -1 };
  const share = 1 - (y - box.top) / axisPx(scale);
  if (share < 0 || share > 1) return { column, bucket: undefined };
  return { column, bucket: Math.min(scale.high, scale.low + Math.floor(share * (scale.high + 1 - scale.low))) };
}

/** First and past-the-last ns of a bucket. */
export function toBucketBounds(bucket: number, perDecade: number): readonly [number, number] {
  return [10 ** (bucket / perDecade), 10 ** ((bucket + 1) / perDecade)];
}

export function countAt({ cells }: IkcLatency, column: number, bucket: number): number {
  const at = cells.column.findIndex((one, index) => one === column && cells.bucket[index] === bucket);
  return at < 0 ? 0 : (cells.count[at] as number);
}
