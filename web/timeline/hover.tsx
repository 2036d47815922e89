/** What is under the pointer, and the note that says so. */
import { levelName } from '../format/level.ts';
import { formatCount } from '../format/number.ts';
import { escapeControls, toDisplayLine } from '../format/text.ts';
import { formatDuration, formatWall } from '../format/time.ts';
import { AXIS_PX, GUTTER_PX, laneAt, LANES_TOP_PX, type Layout, MAP_PX } from './layout.ts';
import { markAt, type Picture, sliceAt } from './picture.ts';
import type { TimelineModel } from './timeline-model.ts';
import { toTime, type View } from './viewport.ts';

export type HoverTarget =
  | { readonly kind: 'slice'; readonly picture: Picture; readonly lane: number; readonly cpu: number; readonly index: number }
  | { readonly kind: 'mark'; readonly picture: Picture; readonly index: number }
  | { readonly kind: 'gap'; readonly picture: Picture; readonly index: number };

const MARK_SLACK_PX = 4;
const SLICE_SLACK_PX = 1;
const NOTE_PX = 330;
const NOTE_HEIGHT_PX = 110;

export function targetAt(picture: Picture, layout: Layout, view: View, x: number, y: number): HoverTarget | undefined {
  if (x < GUTTER_PX) return undefined;
  const nsPerPx = (view.to - view.from) / layout.plotPx;
  const timeNs = toTime(view, layout.plotPx, x - GUTTER_PX);
  if (y < LANES_TOP_PX) {
    const index = y > MAP_PX + AXIS_PX ? markAt(picture.marks, timeNs, nsPerPx * MARK_SLACK_PX) : -1;
    return index < 0 ? undefined : { kind: 'mark', picture, index };
  }
  const laneIndex = laneAt(layout, y);
  const lane = picture.lanes[laneIndex];
  if (lane === undefined) return undefined;
  const gap = picture.gaps.findIndex(
    (candidate) => (candidate.cpu < 0 || candidate.cpu === lane.cpu) && candidate.from <= timeNs && candidate.to >= timeNs,
  );
  if (gap >= 0) return { kind: 'gap', picture, index: gap };
  const index = sliceAt(lane, timeNs, nsPerPx * SLICE_SLACK_PX);
  return index < 0 ? undefined : { kind: 'slice', picture, lane: laneIndex, cpu: lane.cpu, index };
}

/** Lines that describe a target: a title, then name and value. */
export function describeTarget(
  target: HoverTarget,
  model: TimelineModel,
): { readonly title: string; readonly rows: readonly (readonly [string, string])[] } {
  const { picture, index } = target;
  const wall = (timeNs: number): string => formatWall(model.toUnixNs(timeNs), 9);
  if (target.kind === 'mark') {
    const level = picture.marks.level[index] ?? 255;
    return {
      title: toDisplayLine(picture.marks.body[index] ?? '', 300),
      rows: [
        ['printk', levelName(level)],
        ['at', wall(picture.marks.time[index] ?? 0)],
      ],
    };
  }
  if (target.kind === 'gap') {
    const gap = picture.gaps[index];
    if (gap === undefined) return { title: 'gap', rows: [] };
    return {
      title: gap.count < 0 ? 'Records lost, number unknown' : `${formatCount(gap.count)} records lost`,
      rows: [
        ['reason', gap.reason.replaceAll('_', ' ')],
        ['from', wall(gap.from)],
        ['window', formatDuration(gap.to - gap.from)],
      ],
    };
  }
  const lane = picture.lanes[target.lane];
  const start = lane?.start[index] ?? 0;
  const end = lane?.end[index] ?? 0;
  const merged = lane?.merged[index] ?? 1;
  return {
    title: escapeControls(picture.comms[lane?.comm[index] ?? 0] ?? '?'),
    rows: [
      ['task', merged > 1 ? `${formatCount(merged)} slices, zoom in to part them` : String(lane?.pid[index] ?? 0)],
      ['CPU', String(target.cpu)],
      ['start', wall(start)],
      ['ran', formatDuration(end - start)],
    ],
  };
}

export function Hover(props: { readonly target: HoverTarget; readonly x: number; readonly y: number; readonly model: TimelineModel }) {
  const { title, rows } = describeTarget(props.target, props.model);
  // Beside the pointer in the window, not in the canvas, which may be lower than the note.
  const left = props.x + 16 + NOTE_PX > window.innerWidth ? props.x - NOTE_PX - 12 : props.x + 16;
  const top = props.y + 14 + NOTE_HEIGHT_PX > window.innerHeight ? props.y - NOTE_HEIGHT_PX - 14 : props.y + 14;
  return (
    <div class="tl-hover" role="tooltip" style={{ transform: `translate(${Math.max(0, left)}px, ${top}px)` }}>
      <strong>{title}</strong>
      <dl>
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
