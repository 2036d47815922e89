/** Draws the timeline. Everything is drawn anew for each frame: from typed arrays, only what is in sight. */
import { escapeControls } from '../format/text.ts';
import { formatWall } from '../format/time.ts';
import { toTicks } from './axis.ts';
import type { TaskColor } from './colors.ts';
import { AXIS_PX, GUTTER_PX, type Layout, LANES_TOP_PX, laneTop, MAP_PX, MARKS_PX } from './layout.ts';
import { firstAbove, type GapMark, type Lane, type Picture } from './picture.ts';
import { toX, type View } from './viewport.ts';

export interface Palette {
  readonly dark: boolean;
  readonly background: string;
  readonly lane: string;
  readonly text: string;
  readonly muted: string;
  readonly line: string;
  readonly accent: string;
  readonly selection: string;
  readonly bad: string;
  readonly sans: string;
  readonly mono: string;
  /** Index = kernel level; the last is for records without one. */
  readonly levels: readonly string[];
}

export interface Scene {
  readonly origin: bigint;
  readonly view: View;
  readonly layout: Layout;
  readonly palette: Palette;
  readonly picture: Picture | undefined;
  /** Parallel to the picture's comms. */
  readonly colors: readonly TaskColor[];
  /** Part of the canvas that is scrolled into sight, px. */
  readonly visible: { readonly top: number; readonly bottom: number };
  readonly stored: View | undefined;
  readonly selection: { readonly from: number; readonly to: number; readonly cpus: ReadonlySet<number> } | undefined;
  /** x of the pointer on the canvas, undefined outside. */
  readonly pointerX: number | undefined;
  /** Slice under the pointer, or the one that was clicked. */
  readonly lit: { readonly cpu: number; readonly index: number } | undefined;
  /** The moment that the page was opened at. */
  readonly moment: number | undefined;
}

const LABEL_MIN_PX = 44;
const FONT_PX = 11;

export function paint(context: CanvasRenderingContext2D, scene: Scene): void {
  const { layout, palette, picture } = scene;
  context.fillStyle = palette.background;
  context.fillRect(0, 0, layout.widthPx, layout.heightPx);
  context.textBaseline = 'middle';
  context.save();
  context.beginPath();
  context.rect(GUTTER_PX, 0, layout.plotPx, layout.heightPx);
  context.clip();
  context.translate(GUTTER_PX, 0);
  paintMap(context, scene);
  paintAxis(context, scene);
  picture?.lanes.forEach((lane, index) => paintLane(context, scene, picture, lane, laneTop(layout, index)));
  if (picture !== undefined) {
    paintGaps(context, scene, picture);
    paintMarks(context, scene, picture);
  }
  paintSelection(context, scene);
  paintPointer(context, scene);
  context.restore();
  paintGutter(context, scene);
}

/** A bar of all that is stored, with the view in it. */
function paintMap(context: CanvasRenderingContext2D, { layout, palette, stored, view }: Scene): void {
  if (stored === undefined || stored.to <= stored.from) return;
  context.fillStyle = palette.lane;
  context.fillRect(0, 3, layout.plotPx, MAP_PX - 7);
  const all = toMapSpan(stored, view);
  const from = toX(all, layout.plotPx, view.from);
  const to = toX(all, layout.plotPx, view.to);
  context.fillStyle = palette.accent;
  context.fillRect(Math.min(from, layout.plotPx - 4), 3, Math.max(4, to - from), MAP_PX - 7);
}

/** The map shows the stored range, and the view where that reaches beyond it. */
export function toMapSpan(stored: View, view: View): View {
  return { from: Math.min(stored.from, view.from), to: Math.max(stored.to, view.to) };
}

function paintAxis(context: CanvasRenderingContext2D, { origin, view, layout, palette }: Scene): void {
  const top = MAP_PX;
  context.fillStyle = palette.line;
  context.fillRect(0, top + AXIS_PX - 1, layout.plotPx, 1);
  for (const tick of toTicks(origin, view, layout.plotPx)) {
    const x = Math.round(toX(view, layout.plotPx, tick.timeNs));
    context.fillStyle = palette.line;
    context.fillRect(x, top + 6, 1, layout.heightPx - top - 6);
    context.font = `${FONT_PX}px ${palette.mono}`;
    context.fillStyle = palette.text;
    context.fillText(tick.wall, x + 5, top + 13);
    context.font = `${FONT_PX - 1}px ${palette.sans}`;
    context.fillStyle = palette.muted;
    context.fillText(tick.relative, x + 5, top + 28);
  }
}

function paintLane(context: CanvasRenderingContext2D, scene: Scene, picture: Picture, lane: Lane, top: number): void {
  const { view, layout, palette, lit, colors, visible } = scene;
  const height = layout.lanePx;
  if (top > visible.bottom || top + height < visible.top) return;
  context.fillStyle = palette.lane;
  context.fillRect(0, top, layout.plotPx, height);
  const scale = layout.plotPx / (view.to - view.from);
  context.font = `${FONT_PX}px ${palette.sans}`;
  // A slice that stands for several is drawn lower, so that a busy CPU does not look like one task that runs through.
  const mergedInset = Math.round(height * 0.18);
  let paintedTo = -1;
  for (let i = firstAbove(lane.end, view.from); i < lane.count; i++) {
    const x = ((lane.start[i] as number) - view.from) * scale;
    if (x > layout.plotPx) break;
    const end = ((lane.end[i] as number) - view.from) * scale;
    // Nothing to see where the last slice has filled the pixel.
    if (end < paintedTo) continue;
    const width = end - x;
    // Narrow slices stand on whole pixels: a lone one is a crisp line, and one pixel is painted once.
    const isNarrow = width < 2;
    const left = isNarrow ? Math.floor(x) : x;
    paintedTo = isNarrow ? left + Math.max(1, Math.round(width)) : end;
    const color = colors[lane.comm[i] as number];
    if (color === undefined) continue;
    const isMerged = (lane.merged[i] as number) > 1;
    const inset = isMerged ? mergedInset : 0;
    context.fillStyle = color.fill;
    context.fillRect(left, top + inset, width > 3 ? width - 0.5 : paintedTo - left, height - inset * 2);
    if (width < LABEL_MIN_PX || isMerged) continue;
    context.fillStyle = color.ink;
    paintLabel(context, layout, picture.comms[lane.comm[i] as number] ?? '', lane.pid[i] as number, x, width, top);
  }
  if (lit !== undefined && lit.cpu === lane.cpu && lit.index < lane.count) {
    const x = toX(view, layout.plotPx, lane.start[lit.index] as number);
    const end = toX(view, layout.plotPx, lane.end[lit.index] as number);
    context.strokeStyle = palette.text;
    context.lineWidth = 1.5;
    context.strokeRect(x - 0.75, top - 0.75, Math.max(1, end - x) + 1.5, height + 1.5);
  }
}

function paintLabel(
  context: CanvasRenderingContext2D,
  layout: Layout,
  comm: string,
  pid: number,
  x: number,
  width: number,
  top: number,
): void {
  const from = Math.max(0, x) + 5;
  const room = Math.min(layout.plotPx, x + width) - from - 4;
  if (room < LABEL_MIN_PX - 8) return;
  const chars = Math.floor(room / (FONT_PX * 0.56));
  const name = escapeControls(comm);
  const full = `${name} ${pid}`;
  const text = full.length <= chars ? full : name.length <= chars ? name : `${name.slice(0, Math.max(1, chars - 1))}…`;
  context.fillText(text, from, top + layout.lanePx / 2 + 0.5, room);
}

/** Lost data is hatched: over its own lane, or over all where the stream has no CPU. */
function paintGaps(context: CanvasRenderingContext2D, scene: Scene, picture: Picture): void {
  const { layout, view } = scene;
  for (const gap of picture.gaps) {
    if (gap.to < view.from || gap.from > view.to) continue;
    const index = picture.lanes.findIndex((lane) => lane.cpu === gap.cpu);
    const top = index < 0 ? LANES_TOP_PX : laneTop(layout, index);
    const bottom = index < 0 ? laneTop(layout, Math.max(0, picture.lanes.length - 1)) + layout.lanePx : top + layout.lanePx;
    hatch(context, scene, gap, top, bottom);
  }
}

function hatch(context: CanvasRenderingContext2D, { view, layout, palette }: Scene, gap: GapMark, top: number, bottom: number): void {
  const from = Math.max(0, toX(view, layout.plotPx, gap.from));
  const to = Math.min(layout.plotPx, Math.max(toX(view, layout.plotPx, gap.to), from + 3));
  context.save();
  context.beginPath();
  context.rect(from, top, to - from, bottom - top);
  context.clip();
  context.fillStyle = palette.background;
  context.globalAlpha = 0.7;
  context.fillRect(from, top, to - from, bottom - top);
  context.globalAlpha = 1;
  context.strokeStyle = palette.bad;
  context.lineWidth = 1;
  context.beginPath();
  const height = bottom - top;
  for (let x = from - height - ((from - height) % 7); x < to; x += 7) {
    context.moveTo(x, bottom);
    context.lineTo(x + height, top);
  }
  context.stroke();
  context.strokeRect(from + 0.5, top + 0.5, to - from - 1, height - 1);
  context.restore();
}

function paintMarks(context: CanvasRenderingContext2D, { view, layout, palette }: Scene, picture: Picture): void {
  const top = MAP_PX + AXIS_PX;
  const { time, level } = picture.marks;
  for (let i = firstAbove(time, view.from); i < time.length && (time[i] as number) <= view.to; i++) {
    const x = Math.round(toX(view, layout.plotPx, time[i] as number));
    const severity = level[i] as number;
    const isSevere = severity <= 4;
    context.fillStyle = palette.levels[Math.min(severity, 8)] ?? palette.muted;
    context.fillRect(x - 1, top + (isSevere ? 5 : 10), 2, MARKS_PX - (isSevere ? 5 : 10));
    context.beginPath();
    context.arc(x, top + (isSevere ? 6 : 11), isSevere ? 3.5 : 2.5, 0, Math.PI * 2);
    context.fill();
  }
}

function paintSelection(context: CanvasRenderingContext2D, { view, layout, palette, selection, picture }: Scene): void {
  if (selection === undefined) return;
  const from = toX(view, layout.plotPx, selection.from);
  const to = toX(view, layout.plotPx, selection.to);
  const touched = (picture?.lanes ?? []).map((lane, index) => (selection.cpus.has(lane.cpu) ? index : -1)).filter((index) => index >= 0);
  const top = touched.length === 0 ? LANES_TOP_PX : laneTop(layout, touched[0] ?? 0) - 2;
  const bottom = touched.length === 0 ? layout.heightPx : laneTop(layout, touched[touched.length - 1] ?? 0) + layout.lanePx + 2;
  context.fillStyle = palette.selection;
  context.fillRect(from, top, to - from, bottom - top);
  context.fillStyle = palette.accent;
  context.fillRect(from, MAP_PX + AXIS_PX - 3, to - from, 3);
  context.fillRect(Math.round(from), MAP_PX + AXIS_PX, 1, layout.heightPx);
  context.fillRect(Math.round(to), MAP_PX + AXIS_PX, 1, layout.heightPx);
}

function paintPointer(context: CanvasRenderingContext2D, { origin, view, layout, palette, pointerX, moment }: Scene): void {
  if (moment !== undefined) {
    const x = Math.round(toX(view, layout.plotPx, moment));
    context.fillStyle = palette.accent;
    context.fillRect(x - 1, MAP_PX + AXIS_PX - 6, 2, layout.heightPx);
  }
  if (pointerX === undefined || pointerX < GUTTER_PX) return;
  const x = Math.round(pointerX - GUTTER_PX);
  context.fillStyle = palette.muted;
  context.fillRect(x, MAP_PX + AXIS_PX, 1, layout.heightPx);
  const spanNs = view.to - view.from;
  const digits = Math.max(3, Math.min(9, Math.ceil(9 - Math.log10(spanNs / layout.plotPx))));
  const label = formatWall(origin + BigInt(Math.round(view.from + (x / layout.plotPx) * spanNs)), digits);
  context.font = `${FONT_PX}px ${palette.mono}`;
  const width = context.measureText(label).width + 12;
  const left = Math.max(0, Math.min(layout.plotPx - width, x - width / 2));
  context.fillStyle = palette.text;
  context.fillRect(left, MAP_PX + AXIS_PX - 18, width, 17);
  context.fillStyle = palette.background;
  context.fillText(label, left + 6, MAP_PX + AXIS_PX - 9);
}

function paintGutter(context: CanvasRenderingContext2D, { layout, palette, picture }: Scene): void {
  context.fillStyle = palette.background;
  context.fillRect(0, 0, GUTTER_PX, layout.heightPx);
  context.fillStyle = palette.line;
  context.fillRect(GUTTER_PX - 1, MAP_PX, 1, layout.heightPx);
  context.fillStyle = palette.muted;
  context.font = `${FONT_PX}px ${palette.sans}`;
  context.fillText('wall time', 12, MAP_PX + 13);
  context.fillText('from 1st tick', 12, MAP_PX + 28);
  context.fillStyle = palette.text;
  context.fillText('printk', 12, MAP_PX + AXIS_PX + MARKS_PX / 2 + 1);
  context.font = `500 ${FONT_PX}px ${palette.sans}`;
  picture?.lanes.forEach((lane, index) => {
    context.fillStyle = palette.text;
    context.fillText(`CPU ${lane.cpu}`, 12, laneTop(layout, index) + layout.lanePx / 2 + 0.5);
  });
}
