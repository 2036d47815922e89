/** What sources and the pipeline ask of a kernel's clock: of the kernel we run on (CollectorClock), or of a guest (GuestClock). */
import { ATTR, CLOCK_ERROR_METRIC } from '../model/attributes.ts';
import type { LogBatch } from '../model/log-batch.ts';
import type { MetricBatch, MetricDefinition } from '../model/metric-batch.ts';
import type { ClockFitFields, HubLink, SegmentHeader } from '../model/segment.ts';
import type { ClockDomain, PrintkNs, UnixNs } from '../model/time.ts';

const ERROR_METRIC: MetricDefinition = {
  name: CLOCK_ERROR_METRIC,
  description: 'Half-width of the interval that holds the true time of a record stamped now.',
  unit: 'ns',
  type: 'gauge',
  integer: true,
};
const STEPS_METRIC: MetricDefinition = {
  name: 'mk.clock.steps',
  description: 'Times that a clock was found stepped.',
  unit: '{step}',
  type: 'counter',
  integer: true,
};

/** `errors`: half-width of each clock's interval, ns; `steps`: how often a clock was found stepped. */
export function addClockMetrics(
  batch: MetricBatch,
  startNs: bigint,
  timeNs: bigint,
  errors: readonly (readonly [ClockDomain, number])[],
  steps: number,
): void {
  for (const [clock, errorNs] of errors) batch.add(ERROR_METRIC, startNs, timeNs, errorNs, { [ATTR.clock]: clock });
  batch.add(STEPS_METRIC, startNs, timeNs, steps, {});
}

/** What a segment says of clocks beside its fit. */
export type TraceLinks = Pick<SegmentHeader, 'wall' | 'links' | 'hub'>;

export interface KernelClock {
  /** Now, on the reference timeline. */
  nowUnixNs(): UnixNs;
  /** Fills `unixTime` from the batch's clock; returns the half-width of the error of its worst row, ns. */
  alignLogs(batch: LogBatch): number;
  /** Unix time of one printk stamp, for gaps. */
  toUnixNs(printkNs: PrintkNs): UnixNs;
  /** How the pages that are read now are aligned. */
  traceFit(): ClockFitFields;
  /** What else a segment says of the clocks: whose Unix time that is, and how the kernel's other clocks lie to the trace clock. */
  traceLinks(): TraceLinks;
  /** How the Unix time of `alignLogs` lies to the hub's clock, where it is this kernel's own and no other's. */
  wallLink(): HubLink | undefined;
  /** How well the clocks are known, and how often they were found stepped. */
  addMetrics(batch: MetricBatch, startNs: bigint, timeNs: bigint): void;
}

/** An interval that holds the difference between two clocks, ns. */
export interface OffsetInterval {
  readonly low: bigint;
  readonly high: bigint;
}

/** The clock of whoever reads a guest, and its way to Unix time. */
export interface HostTimeline {
  nowNs(): bigint;
  /** Unix time less this clock at a moment of this clock. */
  unixOffset(hostNs: bigint): OffsetInterval;
  /** How that Unix time lies to the hub's clock; undefined where nobody asked the hub. */
  hubLink(): HubLink | undefined;
}

/** A timeline that is Unix time itself: for recordings, whose moments are those of the recorder. */
export class RecordedTimeline implements HostTimeline {
  unixNs = 0n;

  nowNs(): bigint {
    return this.unixNs;
  }

  unixOffset(): OffsetInterval {
    return { low: 0n, high: 0n };
  }

  hubLink(): undefined {
    return undefined;
  }
}
