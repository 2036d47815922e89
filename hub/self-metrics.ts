/** `GET /metrics`: the hub about itself, in Prometheus text format 0.0.4, or in OpenMetrics 1.0, which has exemplars. */
import type { ClockRow, Clocks } from '../model/api.ts';
import type { StoreHealth } from '../store/store.ts';
import type { BodyReader } from './body.ts';
import { SIGNALS, type HubCounters } from './counters.ts';
import type { IncidentWatch } from './incident-watch.ts';
import { INCIDENT_SEVERITIES } from '../model/incident.ts';
import type { Forwarder } from './forward.ts';
import type { IkcLatency } from './ikc-latency.ts';
import type { IkcWatch } from './ikc-watch.ts';
import { formatLabels, formatLatency } from './latency-text.ts';
import type { LiveFeed } from './live.ts';

export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
export const OPENMETRICS_CONTENT_TYPE = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

export interface SelfState {
  readonly version: string;
  readonly counters: HubCounters;
  readonly live: LiveFeed;
  readonly bodies: BodyReader;
  readonly incidents: IncidentWatch;
  readonly ikc: IkcWatch;
  readonly latency: IkcLatency;
  readonly store: StoreHealth;
  readonly forwarder: Forwarder | undefined;
  readonly clocks: Clocks;
}

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

export function formatSelfMetrics(state: SelfState, isOpen = false): string {
  const text = formatAll(state) + formatLatency(state.latency.list(), isOpen);
  // A counter's family has its name without the ending of its sample.
  return isOpen ? `${text.replaceAll(/^(# (?:HELP|TYPE) \S+)_total /gm, '$1 ')}# EOF\n` : text;
}

function formatAll({ version, counters, live, bodies, incidents, ikc, store, clocks, forwarder }: SelfState): string {
  const memory = process.memoryUsage();
  const cpu = process.cpuUsage();
  return [
    metric('mkscope_build_info', 'gauge', 'Version of mkscope and of Node.', [[{ version, node: process.version }, 1]]),
    metric('mkscope_hub_start_time_seconds', 'gauge', 'When the hub started.', [[{}, counters.startedMs / 1000]]),
    metric('mkscope_hub_batches_received_total', 'counter', 'Batches received.', [[{}, counters.batchesReceived]]),
    metric('mkscope_hub_received_bytes_total', 'counter', 'Bytes received, after decompression.', [[{}, counters.bytesReceived]]),
    metric('mkscope_hub_batches_stored_total', 'counter', 'Batches taken over into the spool.', [[{}, counters.batchesStored]]),
    metric('mkscope_hub_batches_duplicate_total', 'counter', 'Batches sent again, and not stored again.', [
      [{}, counters.batchesDuplicate],
    ]),
    metric('mkscope_hub_batches_empty_total', 'counter', 'Requests without rows: empty ones, and format sets.', [
      [{}, counters.batchesEmpty],
    ]),
    metric('mkscope_hub_errors_total', 'counter', 'Batches refused, by reason.', labelled('reason', counters.batchesRefused)),
    metric(
      'mkscope_hub_rows_stored_total',
      'counter',
      'Rows taken over into the spool, by signal.',
      SIGNALS.map((signal): Sample => [{ signal }, counters.rowsStored[signal]]),
    ),
    metric('mkscope_hub_kernel_reports_total', 'counter', 'Kernel reports (panic, oops, …) found in the lines.', [
      [{}, counters.reportsStored],
    ]),
    metric('mkscope_hub_times_replaced_total', 'counter', 'Times that cannot be, replaced by that of arrival.', [
      [{}, counters.timesReplaced],
    ]),
    metric('mkscope_hub_incidents_total', 'counter', 'Incidents found, by kind.', labelled('kind', counters.incidents)),
    metric(
      'mkscope_hub_incidents_open',
      'gauge',
      'Incidents that are not over, by severity.',
      INCIDENT_SEVERITIES.map((severity): Sample => [{ severity }, incidents.open.filter((one) => one.severity === severity).length]),
    ),
    metric(
      'mkscope_hub_dropped_total',
      'counter',
      'Rows that could not be read out of accepted batches.',
      labelled('reason', counters.rowsDropped),
    ),
    metric(
      'mkscope_hub_api_errors_total',
      'counter',
      'API requests answered with an error, by code.',
      labelled('code', counters.apiErrors),
    ),
    metric('mkscope_hub_held_bytes', 'gauge', 'Request bodies in memory.', [[{}, bodies.heldBytes]]),
    metric('mkscope_hub_live_subscribers', 'gauge', 'Clients that follow the live tail.', [[{}, live.subscribers]]),
    metric('mkscope_hub_live_sent_total', 'counter', 'Rows sent to live clients.', [[{}, live.counts.sent]]),
    metric('mkscope_hub_live_lost_total', 'counter', 'Rows that slow live clients missed.', [[{}, live.counts.lost]]),
    ...forwardMetrics(forwarder),
    ...messageMetrics(ikc),
    ...clockMetrics(clocks),
    metric('mkscope_store_spool_bytes', 'gauge', 'Acknowledged, not loaded yet.', [[{}, store.pendingBytes]]),
    metric('mkscope_store_spool_files', 'gauge', 'Spool files not loaded yet.', [[{}, store.pendingFiles]]),
    metric('mkscope_store_spool_oldest_seconds', 'gauge', 'Age of the oldest spool file.', [[{}, store.oldestPendingMs / 1000]]),
    metric('mkscope_store_rows', 'gauge', 'Rows stored.', [[{}, store.rows]]),
    metric('mkscope_store_bytes', 'gauge', 'Bytes on disk.', [[{}, store.bytesOnDisk]]),
    metric('process_resident_memory_bytes', 'gauge', 'Resident memory.', [[{}, memory.rss]]),
    metric('process_cpu_seconds_total', 'counter', 'CPU time, user and system.', [[{}, (cpu.user + cpu.system) / 1e6]]),
  ].join('');
}

function forwardMetrics(forwarder: Forwarder | undefined): string[] {
  if (forwarder === undefined) return [];
  const { sent, refused, retries } = forwarder.counts;
  const points = forwarder.metrics.counts;
  return [
    metric('mkscope_forward_spans_total', 'counter', 'Spans that the OTLP receiver took.', [[{}, sent]]),
    metric('mkscope_forward_refused_total', 'counter', 'Spans that the OTLP receiver refused for good.', [[{}, refused]]),
    metric('mkscope_forward_retries_total', 'counter', 'Requests that had to wait.', [[{}, retries]]),
    metric('mkscope_forward_points_total', 'counter', 'Points of latency histograms that the OTLP receiver took.', [[{}, points.sent]]),
    metric('mkscope_forward_points_refused_total', 'counter', 'Points that the OTLP receiver refused for good.', [[{}, points.refused]]),
    metric('mkscope_forward_points_dropped_total', 'counter', 'Points left out while it was away; later ones count the same.', [
      [{}, points.dropped],
    ]),
  ];
}

function messageMetrics({ join }: IkcWatch): string[] {
  return [
    metric('mkscope_ikc_halves_total', 'counter', 'Sendings and receivings of messages between kernels that were taken in.', [
      [{ end: 'send' }, join.count('sends')],
      [{ end: 'receive' }, join.count('receives')],
    ]),
    metric('mkscope_ikc_halves_left_total', 'counter', 'Those left without their other end; it may still come late.', [
      [{ end: 'send' }, join.count('unmatchedSends')],
      [{ end: 'receive' }, join.count('unmatchedReceives')],
    ]),
    metric('mkscope_ikc_halves_waiting', 'gauge', 'Those in memory that may still find their other end.', [[{}, join.waiting]]),
    metric('mkscope_ikc_halves_dropped_total', 'counter', 'Those given up because there was no room for more.', [
      [{}, join.count('dropped')],
    ]),
    metric('mkscope_ikc_halves_restored_total', 'counter', 'Those that an earlier process had left.', [[{}, join.count('restored')]]),
    metric('mkscope_ikc_messages_matched_total', 'counter', 'Messages of which both ends were found.', [[{}, join.count('matched')]]),
    metric('mkscope_ikc_messages_failed_total', 'counter', 'Sendings that the kernel refused.', [[{}, join.count('failed')]]),
    metric('mkscope_ikc_slots_missing_total', 'counter', 'Ring positions that no record of a receiver names.', [
      [{}, join.count('slotJumps')],
    ]),
  ];
}

function clockMetrics({ clocks, audit }: Clocks): string[] {
  const of = (value: (row: ClockRow) => number): Sample[] =>
    clocks.map((row): Sample => [{ machine: row.machine, kernel: row.kernelName, boot: row.bootId, clock: row.clock }, value(row)]);
  return [
    metric(
      'mkscope_clock_error_seconds',
      'gauge',
      'Half-width of the bound of a record of now.',
      of(({ errorNs }) => (errorNs < 0 ? Number.NaN : errorNs / 1e9)),
    ),
    metric(
      'mkscope_clock_steps_total',
      'counter',
      'Times that a clock was found set or stopped.',
      of(({ steps }) => steps),
    ),
    metric('mkscope_causality_messages_total', 'counter', 'Matched messages that were looked at for effects before their causes.', [
      [{}, audit.messages],
    ]),
    metric('mkscope_causality_early_total', 'counter', 'Messages received before they were sent, as aligned.', [[{}, audit.early]]),
    metric('mkscope_causality_impossible_total', 'counter', 'Of those, by more than the bounds of both ends.', [[{}, audit.impossible]]),
    metric('mkscope_causality_worst_seconds', 'gauge', 'The most by which a message was received before it was sent.', [
      [{}, audit.worstNs / 1e9],
    ]),
  ];
}

function labelled(name: string, counts: ReadonlyMap<string, number>): Sample[] {
  return [...counts].map(([value, count]): Sample => [{ [name]: value }, count]);
}

function metric(name: string, type: 'counter' | 'gauge', help: string, samples: readonly Sample[]): string {
  let text = `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
  for (const [labels, value] of samples) text += `${name}${formatLabels(labels)} ${value}\n`;
  return text;
}
