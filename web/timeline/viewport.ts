/** The visible span of time and how it moves. Times are ns relative to an origin: a double is exact for 104 days of them. */
export interface View {
  readonly from: number;
  readonly to: number;
}

/** Narrowest span: 200 ns over the screen. */
const MIN_SPAN_NS = 200;
/** Widest: about 60 days. */
const MAX_SPAN_NS = 5.2e15;

/** Factor below 1 zooms in; the anchor stays where it is on the screen. */
export function zoomAt(view: View, anchorNs: number, factor: number): View {
  const span = view.to - view.from;
  const wanted = Math.min(MAX_SPAN_NS, Math.max(MIN_SPAN_NS, span * factor));
  const share = span === 0 ? 0.5 : (anchorNs - view.from) / span;
  const from = anchorNs - wanted * share;
  return { from, to: from + wanted };
}

export function panBy(view: View, deltaNs: number): View {
  return { from: view.from + deltaNs, to: view.to + deltaNs };
}

/** Moves the view so that it touches the stored range; a view never loses the data out of sight. */
export function keepNear(view: View, stored: View): View {
  const span = view.to - view.from;
  if (view.from > stored.to - span * 0.1) return panBy(view, stored.to - span * 0.1 - view.from);
  if (view.to < stored.from + span * 0.1) return panBy(view, stored.from + span * 0.1 - view.to);
  return view;
}

export function toX(view: View, widthPx: number, timeNs: number): number {
  return ((timeNs - view.from) / (view.to - view.from)) * widthPx;
}

export function toTime(view: View, widthPx: number, x: number): number {
  return view.from + (x / widthPx) * (view.to - view.from);
}

/** The span to ask the hub for: the view and one screen on either side, so that panning meets data. */
export function toFetchSpan(view: View): View {
  const span = view.to - view.from;
  return { from: view.from - span, to: view.to + span };
}

/** Whether what is loaded no longer serves the view: it ends inside it, or is too coarse, or far too fine. */
export function needsFetch(view: View, loaded: View | undefined, loadedSpanPerScreen: number): boolean {
  if (loaded === undefined) return true;
  const span = view.to - view.from;
  if (view.from < loaded.from || view.to > loaded.to) return true;
  return span < loadedSpanPerScreen * 0.6 || span > loadedSpanPerScreen * 2.5;
}
