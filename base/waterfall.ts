/** Intervals that name their parents → rows of a waterfall: children below their parents, in the order in which they began. */

export interface Interval {
  readonly spanId: string;
  /** Empty = none. */
  readonly parentSpanId: string;
  readonly startUnixNs: string;
  readonly durationNs: number;
}

export interface WaterfallRow<Span extends Interval> {
  readonly span: Span;
  readonly depth: number;
  /** From the first start of the trace, ns. */
  readonly startNs: number;
  /** It names a parent that is not among the spans. */
  readonly isOrphan: boolean;
}

export interface Waterfall<Span extends Interval> {
  readonly originNs: bigint;
  readonly durationNs: number;
  readonly rows: readonly WaterfallRow<Span>[];
}

export function toWaterfall<Span extends Interval>(spans: readonly Span[]): Waterfall<Span> {
  const originNs = spans.reduce<bigint | undefined>((least, { startUnixNs }) => {
    const startNs = BigInt(startUnixNs);
    return least === undefined || startNs < least ? startNs : least;
  }, undefined);
  if (originNs === undefined) return { originNs: 0n, durationNs: 0, rows: [] };
  const startOf = (span: Span): number => Number(BigInt(span.startUnixNs) - originNs);
  const ids = new Set(spans.map(({ spanId }) => spanId));
  const hasParent = ({ parentSpanId, spanId }: Span): boolean => parentSpanId !== spanId && ids.has(parentSpanId);
  const children = Map.groupBy(spans.filter(hasParent), ({ parentSpanId }) => parentSpanId);
  const rows: WaterfallRow<Span>[] = [];
  const placed = new Set<string>();
  const byStart = (a: Span, b: Span): number => startOf(a) - startOf(b) || b.durationNs - a.durationNs;
  const place = (first: Span): void => {
    // A stack of its own: a chain of spans may be longer than calls can be deep.
    const stack = [{ span: first, depth: 0 }];
    for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
      const { span, depth } = top;
      if (placed.has(span.spanId)) continue;
      placed.add(span.spanId);
      rows.push({ span, depth, startNs: startOf(span), isOrphan: span.parentSpanId !== '' && !ids.has(span.parentSpanId) });
      const below = (children.get(span.spanId) ?? []).toSorted(byStart).toReversed();
      for (const child of below) stack.push({ span: child, depth: depth + 1 });
    }
  };
  const roots = spans.filter((span) => !hasParent(span)).toSorted(byStart);
  for (const root of roots) place(root);
  // Spans that name each other as parents have no root: each is shown all the same.
  for (const span of spans) if (!placed.has(span.spanId)) place(span);
  return { originNs, durationNs: spans.reduce((most, span) => Math.max(most, startOf(span) + span.durationNs), 0), rows };
}

/** Left edge and width of a bar, percent of the whole. */
export function toBar(
  { startNs, span }: Pick<WaterfallRow<Interval>, 'startNs'> & { readonly span: Pick<Interval, 'durationNs'> },
  totalNs: number,
): { readonly left: number; readonly width: number } {
  if (totalNs <= 0) return { left: 0, width: 100 };
  const left = Math.min(100, (startNs / totalNs) * 100);
  return { left, width: Math.min(100 - left, (span.durationNs / totalNs) * 100) };
}
