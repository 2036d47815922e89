/** Runs the samples of a user's span rules as collector and hub run the rules. */
import { AcrossPairer } from '../correlate/pair-across.ts';
import { SpanPairer } from '../correlate/pair-spans.ts';
import type { SpanRule } from '../correlate/span-rules.ts';
import type { KernelIdentity } from '../model/identity.ts';
import { MetricBatch } from '../model/metric-batch.ts';
import { SPAN_KIND, SpanBatch } from '../model/span-batch.ts';
import type { OwnSpanRule, SpanFileSample } from './span-file.ts';
import { bareOf, parseTraceLines } from './trace-lines.ts';
import { formatNs } from './units.ts';

export interface SpanProblem {
  readonly own: OwnSpanRule;
  readonly line: number;
  readonly about: string;
  readonly problem: string;
}

interface Found {
  readonly spans: readonly { readonly name: string; readonly ns: number }[];
  readonly unmatched: number;
  readonly counted: number;
}

/** Stamps of text are Unix ns here. */
const FIT = { baseRaw: 0n, baseUnixNs: 0n, nsPerTick: 1, errorNs: 0 };

export function runSpanSamples(rules: readonly OwnSpanRule[]): SpanProblem[] {
  return rules.flatMap((own) =>
    own.samples.flatMap(({ sample, line }) => {
      const rule = withBareNames(own.rule);
      const found = sample.traces === undefined ? runWithin(rule, sample.trace ?? []) : runAcross(rule, sample.traces);
      const problem = typeof found === 'string' ? found : compare(sample, found);
      return problem === undefined ? [] : [{ own, line, about: sample.about, problem }];
    }),
  );
}

function runWithin(rule: SpanRule, lines: readonly string[]): Found | string {
  const events = parseTraceLines(lines);
  if (typeof events === 'string') return events;
  const pairer = new SpanPairer([rule], 'sample');
  const spans = new SpanBatch();
  pairer.pair(events, FIT, spans);
  const metrics = new MetricBatch();
  pairer.addHistograms(metrics, 0n, 1n);
  return { spans: toSpans([spans]), unmatched: pairer.counts.unmatched, counted: countOf(metrics) };
}

function runAcross(rule: SpanRule, traces: Readonly<Record<string, readonly string[]>>): Found | string {
  const pairer = new AcrossPairer([rule]);
  for (const [name, lines] of Object.entries(traces)) {
    const events = parseTraceLines(lines);
    if (typeof events === 'string') return `${name}: ${events}`;
    pairer.add(identityOf(name), events, 0, 0);
  }
  const sheets = new Map<string, SpanBatch>();
  const sheetOf = ({ bootId }: KernelIdentity): SpanBatch => {
    const sheet = sheets.get(bootId) ?? new SpanBatch();
    sheets.set(bootId, sheet);
    return sheet;
  };
  pairer.advance(0, sheetOf, true);
  const metrics = new MetricBatch();
  pairer.addHistograms(0n, 1n, () => metrics);
  return { spans: toSpans([...sheets.values()]), unmatched: pairer.counts.unmatched, counted: countOf(metrics) };
}

function compare({ spans, unmatched, counted }: SpanFileSample, found: Found): string | undefined {
  const describe = (all: readonly { readonly name: string; readonly ns: number }[]): string =>
    all.length === 0 ? 'no span' : all.map(({ name, ns }) => `«${name}» of ${formatNs(ns)}`).join(', ');
  const wanted = spans.map(({ name, took }) => ({ name, ns: took }));
  const isSame =
    wanted.length === found.spans.length && wanted.every(({ name, ns }, at) => found.spans[at]?.name === name && found.spans[at].ns === ns);
  if (!isSame) return `it makes ${describe(found.spans)}, not ${describe(wanted)}`;
  if (found.unmatched !== unmatched) return `${found.unmatched} begins and ends are without their other end, not ${unmatched}`;
  if (counted !== undefined && found.counted !== counted) return `${found.counted} durations are counted, not ${counted}`;
  return undefined;
}

/** By their ends, without what a rule over kernels says at the other one. */
function toSpans(sheets: readonly SpanBatch[]): Found['spans'] {
  return sheets
    .flatMap((spans) =>
      Array.from({ length: spans.length }, (_, row) => ({
        kind: spans.kind[row],
        name: spans.strings.get(spans.name[row] as number),
        endNs: spans.endTime.getBigint(row),
        ns: Number(spans.endTime.getBigint(row) - spans.startTime.getBigint(row)),
      })),
    )
    .filter(({ kind }) => kind !== SPAN_KIND.consumer)
    .toSorted((a, b) => Number(a.endNs - b.endNs));
}

function countOf({ distributions }: MetricBatch): number {
  return [...distributions.values()].reduce((sum, { count }) => sum + Number(count), 0);
}

function withBareNames(rule: SpanRule): SpanRule {
  return { ...rule, begin: rule.begin.map(bareOf), end: rule.end.map(bareOf) };
}

function identityOf(name: string): KernelIdentity {
  return { machineId: 'sample', machineName: 'sample', kernelId: 0, kernelName: name, bootId: name, release: '', arch: '' };
}
