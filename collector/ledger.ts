/**
 * The collector's books. Per stream (and CPU): what the kernel says it wrote, what the sources took over, what was lost before
 * them, and what mkscope itself dropped after them. Sent as the metrics LEDGER_METRIC.
 */
import { ATTR, LEDGER_METRIC } from '../model/attributes.ts';
import type { GapReason } from '../model/gap.ts';
import type { MetricBatch, MetricDefinition } from '../model/metric-batch.ts';
import type { StreamCounts } from '../model/pipeline.ts';
import type { KeptCounts } from './recorder.ts';

const counter = (name: string, description: string): MetricDefinition => ({
  name,
  description,
  unit: '{record}',
  type: 'counter',
  integer: true,
});
const WRITTEN = counter(LEDGER_METRIC.written, 'Records that the kernel says it wrote.');
const READ = counter(LEDGER_METRIC.read, 'Records that the collector took over.');
const LOST = counter(LEDGER_METRIC.lost, 'Records known to be lost before the collector.');
const DROPPED = counter(LEDGER_METRIC.dropped, 'Records that mkscope itself dropped.');

const KEPT: MetricDefinition = {
  name: LEDGER_METRIC.kept,
  description: 'Records that the flight recorder keeps and has not sent.',
  unit: '{record}',
  type: 'updown',
  integer: true,
};
const OVERWRITTEN = counter(LEDGER_METRIC.overwritten, 'Records that fell out of the flight recorder unsent.');

interface Drop {
  readonly stream: string;
  readonly cpu: number;
  readonly reason: GapReason;
  count: number;
}

export class Ledger {
  readonly #drops = new Map<string, Drop>();

  countDropped(stream: string, cpu: number, count: number, reason: GapReason): void {
    const key = `${stream}\n${cpu}\n${reason}`;
    const known = this.#drops.get(key);
    if (known === undefined) this.#drops.set(key, { stream, cpu, reason, count });
    else known.count += count;
  }

  droppedOf(stream: string): number {
    let total = 0;
    for (const drop of this.#drops.values()) if (drop.stream === stream) total += drop.count;
    return total;
  }

  get dropped(): number {
    let total = 0;
    for (const drop of this.#drops.values()) total += drop.count;
    return total;
  }

  /** Adds the points of the streams that `includes` names. */
  addMetrics(
    batch: MetricBatch,
    streams: readonly StreamCounts[],
    includes: (stream: string) => boolean,
    startNs: bigint,
    timeNs: bigint,
  ): void {
    const since = new Map<string, bigint>();
    for (const of of streams.filter(({ stream }) => includes(stream))) {
      const from = of.sinceUnixNs ?? startNs;
      since.set(of.stream, from);
      const attributes = streamAttributes(of.stream, of.cpu);
      if (of.written !== undefined) batch.add(WRITTEN, from, timeNs, of.written, attributes);
      batch.add(READ, from, timeNs, of.read, attributes);
      batch.add(LOST, from, timeNs, of.lost, attributes);
    }
    for (const drop of this.#drops.values()) {
      if (!includes(drop.stream)) continue;
      batch.add(DROPPED, since.get(drop.stream) ?? startNs, timeNs, drop.count, {
        ...streamAttributes(drop.stream, drop.cpu),
        [ATTR.lossReason]: drop.reason,
      });
    }
  }
}

/** Points of one boot's records in its flight recorder. They have no start: what they count outlives collectors. */
export function addKeptMetrics(batch: MetricBatch, counts: readonly KeptCounts[], timeNs: bigint): void {
  for (const { stream, cpu, kept, overwritten } of counts) {
    const attributes = streamAttributes(stream, cpu);
    batch.add(KEPT, 0n, timeNs, kept, attributes);
    batch.add(OVERWRITTEN, 0n, timeNs, overwritten, attributes);
  }
}

function streamAttributes(stream: string, cpu: number): Record<string, string | number> {
  return cpu < 0 ? { [ATTR.stream]: stream } : { [ATTR.stream]: stream, [ATTR.cpu]: cpu };
}
