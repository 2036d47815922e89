/** Draws the latency picture: cells, the lines of p50 and p99, messages without a latency on top, axes with units. */
import type { IkcLatency } from '../../model/api.ts';
import { formatDuration } from '../format/time.ts';
import { toTicks } from '../timeline/axis.ts';
import { type HeatBox, type HeatScale, NONE_PX, toCellRect, toLatencyY, toShade, toX, toY } from './heat.ts';

/** Room for the labels, px; the strip of messages without a latency lies above the box. */
export const MARGIN = { left: 76, right: 12, top: 36, bottom: 24 } as const;
const STRIP_PX = 16;
/** Between the strip and the box: half a label of the axis. */
const STRIP_GAP_PX = 10;

export interface HeatColors {
  readonly text: string;
  readonly faint: string;
  readonly ground: string;
  readonly cell: string;
  readonly middle: string;
  readonly tail: string;
  readonly bad: string;
}

export function toHeatBox(width: number, height: number): HeatBox {
  return {
    left: MARGIN.left,
    top: MARGIN.top,
    width: Math.max(10, width - MARGIN.left - MARGIN.right),
    height: Math.max(10, height - MARGIN.top - MARGIN.bottom),
  };
}

export function paintHeat(context: CanvasRenderingContext2D, latency: IkcLatency, scale: HeatScale, colors: HeatColors): void {
  const { box } = scale;
  context.font = '11px system-ui, sans-serif';
  context.fillStyle = colors.ground;
  context.fillRect(box.left, box.top, box.width, box.height);
  paintAxes(context, latency, scale, colors);
  context.fillStyle = colors.cell;
  latency.cells.count.forEach((count, at) => {
    const rect = toCellRect(scale, latency.cells.column[at] as number, latency.cells.bucket[at] as number);
    context.globalAlpha = toShade(count, scale.maxCount);
    context.fillRect(rect.x, rect.y, rect.width, rect.height);
  });
  context.globalAlpha = 1;
  paintLine(context, latency, scale, latency.series.p99Ns, colors.tail, [5, 3]);
  paintLine(context, latency, scale, latency.series.p50Ns, colors.middle, []);
  paintStrip(context, latency, scale, colors);
}

function paintAxes(context: CanvasRenderingContext2D, latency: IkcLatency, scale: HeatScale, colors: HeatColors): void {
  const { box } = scale;
  context.textBaseline = 'middle';
  context.textAlign = 'right';
  for (let bucket = scale.low; bucket <= scale.high + 1; bucket += scale.perDecade) {
    const y = Math.round(toY(scale, bucket)) + 0.5;
    context.fillStyle = colors.faint;
    context.fillRect(box.left, y - 0.5, box.width, 1);
    context.fillStyle = colors.text;
    context.fillText(formatDuration(10 ** (bucket / scale.perDecade)), box.left - 8, y);
  }
  if (scale.hasNone) context.fillText('≤ 0', box.left - 8, toY(scale, -1) + NONE_PX / 2);
  context.textAlign = 'center';
  context.textBaseline = 'top';
  const spanNs = latency.columns * latency.stepNs;
  for (const { timeNs, wall } of toTicks(BigInt(latency.fromUnixNs), { from: 0, to: spanNs }, box.width)) {
    const x = Math.round(box.left + (timeNs / spanNs) * box.width);
    context.fillStyle = colors.faint;
    context.fillRect(x, box.top, 1, box.height + 4);
    context.fillStyle = colors.text;
    // A label at the edge would be cut.
    const half = context.measureText(wall).width / 2;
    if (x + half <= box.left + box.width + MARGIN.right) context.fillText(wall, x, box.top + box.height + 7);
  }
}

/** Points of columns beside each other are joined; one that stands alone is a short dash. */
function paintLine(
  context: CanvasRenderingContext2D,
  { series }: IkcLatency,
  scale: HeatScale,
  values: readonly number[],
  color: string,
  dash: readonly number[],
): void {
  context.strokeStyle = color;
  context.lineWidth = 1.75;
  context.lineJoin = 'round';
  context.setLineDash([...dash]);
  context.beginPath();
  let last = -2;
  values.forEach((value, at) => {
    const column = series.column[at] as number;
    if ((series.matched[at] as number) === 0) return;
    const y = toLatencyY(scale, value);
    if (column === last + 1) context.lineTo(toX(scale, column + 0.5), y);
    else context.moveTo(toX(scale, column), y);
    if (column !== last + 1) context.lineTo(toX(scale, column + 0.5), y);
    if (series.column[at + 1] !== column + 1) context.lineTo(toX(scale, column + 1), y);
    last = column;
  });
  context.stroke();
  context.setLineDash([]);
}

/** Failed messages and those with one end, as bars above the picture. */
function paintStrip(context: CanvasRenderingContext2D, { series }: IkcLatency, scale: HeatScale, colors: HeatColors): void {
  const most = series.other.reduce((high, count) => Math.max(high, count), 0);
  context.textAlign = 'right';
  context.textBaseline = 'middle';
  context.fillStyle = colors.text;
  context.fillText('no latency', scale.box.left - 8, scale.box.top - STRIP_GAP_PX - STRIP_PX / 2);
  context.fillStyle = colors.faint;
  context.fillRect(scale.box.left, scale.box.top - STRIP_GAP_PX, scale.box.width, 1);
  if (most === 0) return;
  context.fillStyle = colors.bad;
  series.other.forEach((count, at) => {
    if (count === 0) return;
    const x = Math.round(toX(scale, series.column[at] as number));
    const right = Math.round(toX(scale, (series.column[at] as number) + 1));
    const height = Math.max(2, Math.round((count / most) * STRIP_PX));
    context.fillRect(x, scale.box.top - STRIP_GAP_PX - height, Math.max(1, right - x - (right - x > 4 ? 1 : 0)), height);
  });
}
