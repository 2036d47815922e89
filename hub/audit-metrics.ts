/** The audit of effects before their causes as metrics of a machine: what `mkscope clocks` says, over time. */
import type { AuditCounts } from '../clock/machine-clocks.ts';
import { AUDIT_METRIC } from '../model/attributes.ts';
import { MetricBatch, type MetricDefinition } from '../model/metric-batch.ts';

const counter = (name: string, unit: string, description: string): MetricDefinition => ({
  name,
  unit,
  description,
  type: 'counter',
  integer: true,
});

const MESSAGES = counter(AUDIT_METRIC.messages, '{message}', 'Matched messages that were looked at for effects before their causes.');
const EARLY = counter(AUDIT_METRIC.early, '{message}', 'Messages that are received before they were sent, as aligned.');
const IMPOSSIBLE = counter(AUDIT_METRIC.impossible, '{message}', 'Of those, the ones by more than the bounds of both ends.');
const WORST: MetricDefinition = {
  name: AUDIT_METRIC.worst,
  unit: 'ns',
  description: 'The most by which a message was received before it was sent.',
  type: 'gauge',
  integer: true,
};

export function toAuditBatch({ messages, early, impossible, worstNs }: AuditCounts, startNs: bigint, timeNs: bigint): MetricBatch {
  const batch = new MetricBatch(4);
  batch.add(MESSAGES, startNs, timeNs, messages, {});
  batch.add(EARLY, startNs, timeNs, early, {});
  batch.add(IMPOSSIBLE, startNs, timeNs, impossible, {});
  batch.add(WORST, startNs, timeNs, worstNs, {});
  return batch;
}
