/** Durations of span rules as points of a metric. */
import type { MetricBatch } from '../model/metric-batch.ts';
import { DurationHistogram } from './duration-histogram.ts';
import type { SpanRule } from './span-rules.ts';

/** Durations are told apart by so many labels per rule; the rest share one. */
const MAX_LABELS = 128;
const OTHER = 'other';

const DURATION_METRIC = 'mk.span.duration';
const DESCRIPTION = 'How long what a span rule looks at took, short ones included.';
export const RULE_ATTRIBUTE = 'mk.span.rule';
const LABEL_ATTRIBUTE = 'mk.span.label';

/** By label; those beyond the bound share one. */
export function findHistogram(histograms: Map<string, DurationHistogram>, label: string): DurationHistogram {
  const known = histograms.get(label);
  if (known !== undefined) return known;
  const name = histograms.size < MAX_LABELS ? label : OTHER;
  const histogram = histograms.get(name) ?? new DurationHistogram();
  histograms.set(name, histogram);
  return histogram;
}

/** All durations of a rule so far, by label, as cumulative histograms. */
export function addHistogramPoints(
  batch: MetricBatch,
  rule: SpanRule,
  histograms: ReadonlyMap<string, DurationHistogram>,
  startNs: bigint,
  timeNs: bigint,
): void {
  for (const [label, histogram] of histograms) {
    if (histogram.count === 0) continue;
    histogram.openRow(batch, { name: DURATION_METRIC, description: DESCRIPTION, startNs, timeNs });
    batch.attributes.add(RULE_ATTRIBUTE, rule.name);
    if (label !== '') batch.attributes.add(LABEL_ATTRIBUTE, label);
    batch.closeRow();
  }
}
