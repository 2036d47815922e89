/** Metrics over time: gauges as means per step, monotonic sums as rates per second, histograms as the mean of their values. */
import type { MetricName, Series } from '../../model/api.ts';
import type { Store } from '../store.ts';
import { Conditions } from './conditions.ts';

export interface SeriesQuery {
  readonly name: string;
  readonly kernel?: string;
  readonly boot?: string;
  readonly from?: string;
  readonly to?: string;
  readonly stepMs?: number;
}

const MAX_SERIES = 500;
const MAX_POINTS = 2_000;
const DEFAULT_POINTS = 300;
const DEFAULT_SPAN_MS = 3_600_000;
const CUMULATIVE = 2;

export async function queryMetricNames(store: Store): Promise<MetricName[]> {
  const part = (table: string, kind: string): string =>
    `SELECT toString(MetricName) AS name, toString(any(MetricUnit)) AS unit, toString(any(MetricDescription)) AS description, '${kind}' AS kind
     FROM ${table} GROUP BY name`;
  return store.query<MetricName>(
    `SELECT name, unit, description, kind FROM (${part('otel_metrics_gauge', 'gauge')} UNION ALL ${part('otel_metrics_sum', 'sum')}
     UNION ALL ${part('otel_metrics_histogram', 'histogram')}) ORDER BY name LIMIT 10000`,
  );
}

/** The last point of one series in one step; `start` tells a restarted counter. */
interface Step {
  readonly bootId: string;
  readonly kernelName: string;
  readonly unit: string;
  readonly attributes: Record<string, string>;
  readonly stepMs: number;
  readonly atMs: number;
  readonly startMs: number;
  readonly value: number;
  readonly total: number;
  readonly count: number;
  readonly monotonic: boolean;
  readonly temporality: number;
}

export async function querySeries(store: Store, query: SeriesQuery): Promise<Series[]> {
  const toMs = query.to === undefined ? Date.now() : Number(BigInt(query.to) / 1_000_000n);
  const fromMs = query.from === undefined ? toMs - DEFAULT_SPAN_MS : Number(BigInt(query.from) / 1_000_000n);
  const span = Math.max(1, toMs - fromMs);
  const stepMs = Math.max(query.stepMs ?? Math.max(1_000, Math.round(span / DEFAULT_POINTS)), Math.ceil(span / MAX_POINTS));
  const window = { from: `${fromMs}000000`, to: `${toMs}000000` };
  const gauges = await queryGauges(store, query, window, stepMs);
  const sums = await querySteps(store, query, window, stepMs, 'otel_metrics_sum', SUM_COLUMNS);
  const histograms = await querySteps(store, query, window, stepMs, 'otel_metrics_histogram', HISTOGRAM_COLUMNS);
  return [
    ...group(gauges).map((steps) => toSeries(query.name, steps, (step) => step.value)),
    ...group(sums).map((steps) =>
      steps[0]?.monotonic ? toRates(query.name, steps, stepMs) : toSeries(query.name, steps, (step) => step.value),
    ),
    ...group(histograms).map((steps) => toMeans(query.name, steps)),
  ].filter((series) => series.timesMs.length > 0);
}

const KEY_COLUMNS = `toString(BootId) AS bootId, toString(any(KernelName)) AS kernelName, toString(any(MetricUnit)) AS unit, Attributes AS attributes,
  intDiv(toUnixTimestamp64Milli(TimeUnix), {stepMs:Int64}) * {stepMs:Int64} AS step, toFloat64(step) AS stepMs,
  toFloat64(max(toUnixTimestamp64Milli(TimeUnix))) AS atMs`;
const SUM_COLUMNS = `toFloat64(argMax(toUnixTimestamp64Milli(StartTimeUnix), TimeUnix)) AS startMs, argMax(Value, TimeUnix) AS value,
  sum(Value) AS total, 0. AS count, any(IsMonotonic) AS monotonic, any(AggregationTemporality) AS temporality`;
const HISTOGRAM_COLUMNS = `toFloat64(argMax(toUnixTimestamp64Milli(StartTimeUnix), TimeUnix)) AS startMs, argMax(Sum, TimeUnix) AS value,
  sum(Sum) AS total, toFloat64(if(any(AggregationTemporality) = ${CUMULATIVE}, argMax(Count, TimeUnix), sum(Count))) AS count, true AS monotonic,
  any(AggregationTemporality) AS temporality`;
const GAUGE_COLUMNS = `0. AS startMs, avg(Value) AS value, 0. AS total, 0. AS count, false AS monotonic, 0 AS temporality`;

type TimeWindow = { readonly from: string; readonly to: string };

function queryGauges(store: Store, query: SeriesQuery, window: TimeWindow, stepMs: number): Promise<Step[]> {
  return querySteps(store, query, window, stepMs, 'otel_metrics_gauge', GAUGE_COLUMNS);
}

async function querySteps(
  store: Store,
  query: SeriesQuery,
  window: TimeWindow,
  stepMs: number,
  table: string,
  columns: string,
): Promise<Step[]> {
  const where = new Conditions()
    .addEqual('MetricName', 'name', 'String', query.name)
    .addRange('TimeUnix', window.from, window.to)
    .addKernel(query.kernel)
    .addEqual('BootId', 'boot', 'String', query.boot);
  return store.query<Step>(
    `SELECT ${KEY_COLUMNS}, ${columns} FROM ${table}${where.toSql()}
     GROUP BY bootId, attributes, step ORDER BY bootId, toString(attributes), step LIMIT ${MAX_SERIES * MAX_POINTS}`,
    { params: { ...where.params, stepMs } },
  );
}

/** Runs of one series; rows come sorted. */
function group(steps: readonly Step[]): Step[][] {
  const groups = new Map<string, Step[]>();
  for (const step of steps) {
    const key = `${step.bootId} ${JSON.stringify(step.attributes)}`;
    const known = groups.get(key);
    if (known !== undefined) known.push(step);
    else if (groups.size < MAX_SERIES) groups.set(key, [step]);
  }
  return [...groups.values()];
}

function headOf(name: string, steps: readonly Step[]): Omit<Series, 'timesMs' | 'values'> {
  const [first] = steps;
  return {
    name,
    unit: first?.unit ?? '',
    kernelName: first?.kernelName ?? '',
    bootId: first?.bootId ?? '',
    attributes: first?.attributes ?? {},
  };
}

function toSeries(name: string, steps: readonly Step[], valueOf: (step: Step) => number): Series {
  return { ...headOf(name, steps), timesMs: steps.map((step) => step.stepMs), values: steps.map(valueOf) };
}

/** Growth per second between the last points of neighbouring steps; a restarted counter has grown from 0 since its start. */
function toRates(name: string, steps: readonly Step[], stepMs: number): Series {
  const head = headOf(name, steps);
  if (steps[0]?.temporality !== CUMULATIVE) return toSeries(name, steps, (step) => (step.total * 1000) / stepMs);
  const timesMs: number[] = [];
  const values: number[] = [];
  for (let i = 1; i < steps.length; i++) {
    const before = steps[i - 1] as Step;
    const step = steps[i] as Step;
    const restarted = step.startMs !== before.startMs || step.value < before.value;
    const elapsedMs = step.atMs - (restarted ? Math.max(step.startMs, before.atMs) : before.atMs);
    if (elapsedMs <= 0) continue;
    timesMs.push(step.stepMs);
    values.push(((restarted ? step.value : step.value - before.value) * 1000) / elapsedMs);
  }
  return { ...head, timesMs, values };
}

function toMeans(name: string, steps: readonly Step[]): Series {
  const timesMs: number[] = [];
  const values: number[] = [];
  let before: Step | undefined;
  for (const step of steps) {
    const cumulative = step.temporality === CUMULATIVE;
    const continues = cumulative && before !== undefined && before.startMs === step.startMs && before.count <= step.count;
    const sum = (cumulative ? step.value : step.total) - (continues ? (before?.value ?? 0) : 0);
    const count = step.count - (continues ? (before?.count ?? 0) : 0);
    if (count > 0 && (continues || !cumulative)) {
      timesMs.push(step.stepMs);
      values.push(sum / count);
    }
    before = step;
  }
  return { ...headOf(name, steps), timesMs, values };
}
