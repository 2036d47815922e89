/** Which rows of a long list of equal heights are drawn, and where it scrolls to. Pure. */
export interface ListWindow {
  /** First and one past the last row to draw. */
  readonly from: number;
  readonly to: number;
  /** Height of the rows left out above, px. */
  readonly topPx: number;
  readonly totalPx: number;
}

export function toWindow(scrollTopPx: number, viewportPx: number, rowPx: number, count: number, overscan = 12): ListWindow {
  const first = Math.floor(scrollTopPx / rowPx) - overscan;
  const last = Math.ceil((scrollTopPx + viewportPx) / rowPx) + overscan;
  const to = Math.max(0, Math.min(count, last));
  const from = Math.max(0, Math.min(first, to));
  return { from, to, topPx: from * rowPx, totalPx: count * rowPx };
}

/** Scroll position that shows a row, moving no more than it must; `center` puts it in the middle. */
export function scrollTopFor(row: number, scrollTopPx: number, viewportPx: number, rowPx: number, center = false): number {
  const top = row * rowPx;
  if (center) return Math.max(0, top - (viewportPx - rowPx) / 2);
  if (top < scrollTopPx) return top;
  if (top + rowPx > scrollTopPx + viewportPx) return top + rowPx - viewportPx;
  return scrollTopPx;
}

/** Within two rows of the end: the list follows new rows. */
export function isAtEnd(scrollTopPx: number, viewportPx: number, totalPx: number, rowPx: number): boolean {
  return totalPx - scrollTopPx - viewportPx < rowPx * 2;
}
