/** Where things are on the timeline's canvas, px. Pure. */
export const GUTTER_PX = 92;
export const MAP_PX = 14;
export const AXIS_PX = 40;
export const MARKS_PX = 30;
const LANE_GAP_PX = 5;
const MIN_LANE_PX = 12;
const MAX_LANE_PX = 44;

export interface Layout {
  readonly widthPx: number;
  readonly heightPx: number;
  /** Width right of the gutter: what the view is mapped to. */
  readonly plotPx: number;
  readonly lanePx: number;
  readonly lanes: number;
}

export const LANES_TOP_PX = MAP_PX + AXIS_PX + MARKS_PX;

/** Height at which lanes need no more room. */
export function toWantedHeight(lanes: number): number {
  return LANES_TOP_PX + LANE_GAP_PX * 3 + Math.max(2, lanes) * (MAX_LANE_PX + LANE_GAP_PX);
}

/** Lanes share the height there is, within bounds; the canvas grows where they do not fit. */
export function toLayout(widthPx: number, availablePx: number, lanes: number): Layout {
  const room = availablePx - LANES_TOP_PX - LANE_GAP_PX;
  const lanePx = Math.max(MIN_LANE_PX, Math.min(MAX_LANE_PX, Math.floor(room / Math.max(1, lanes)) - LANE_GAP_PX));
  const needed = LANES_TOP_PX + LANE_GAP_PX + lanes * (lanePx + LANE_GAP_PX);
  return { widthPx, heightPx: Math.max(availablePx, needed), plotPx: Math.max(1, widthPx - GUTTER_PX), lanePx, lanes };
}

export function laneTop(layout: Layout, index: number): number {
  return LANES_TOP_PX + LANE_GAP_PX + index * (layout.lanePx + LANE_GAP_PX);
}

/** Index of the lane at a height; the gap below a lane counts as its own. -1 = none. */
export function laneAt(layout: Layout, y: number): number {
  const index = Math.floor((y - LANES_TOP_PX - LANE_GAP_PX) / (layout.lanePx + LANE_GAP_PX));
  return index >= 0 && index < layout.lanes ? index : -1;
}

/** Lanes between two heights, in either order. */
export function lanesBetween(layout: Layout, yA: number, yB: number): readonly number[] {
  const [top, bottom] = yA < yB ? [yA, yB] : [yB, yA];
  const touched: number[] = [];
  for (let index = 0; index < layout.lanes; index++) {
    const laneY = laneTop(layout, index);
    if (laneY <= bottom && laneY + layout.lanePx >= top) touched.push(index);
  }
  return touched;
}
