/** The way of a recording's raw times to Unix ns: onto the host's clock, to ns, and by a line to Unix time. */
import { Int64Array } from '../base/int64.ts';
import type { EventTable } from '../model/event-batch.ts';
import type { TimeShift, TscToNs } from '../model/event-file.ts';
import { NO_RAW_TIME } from '../model/time.ts';
import { alignTimes, toUnixNs, type ClockFit } from './fit.ts';
import { shiftErrorTicks, shiftTime, shiftTimes } from './time-shift.ts';
import { convertTicks, tscToNs } from './tsc-to-ns.ts';

export interface TraceTimeline {
  readonly shift: TimeShift | undefined;
  readonly tscToNs: TscToNs | undefined;
  /** From what the steps before make of a raw time. */
  readonly fit: ClockFit;
}

/** Fills the table's Unix times. */
export function alignTable({ shift, tscToNs: conversion, fit }: TraceTimeline, table: EventTable): void {
  const { rawTime, unixTime, cpu, length } = table;
  if (shift === undefined && conversion === undefined) return alignTimes(rawTime, unixTime, length, fit);
  const steps = new Int64Array(length);
  if (shift !== undefined) shiftTimes(shift, cpu, rawTime, steps, length);
  if (conversion !== undefined) convertTicks(shift === undefined ? rawTime : steps, steps, length, conversion);
  alignTimes(steps, unixTime, length, fit);
}

/** One raw time of a CPU in ns, before the fit. */
export function toTraceNs({ shift, tscToNs: conversion }: Omit<TraceTimeline, 'fit'>, cpu: number, raw: bigint): bigint {
  const ticks = shift === undefined ? raw : shiftTime(shift, cpu, raw);
  return conversion === undefined ? ticks : tscToNs(ticks, conversion);
}

/** One raw time of a CPU on the Unix timeline; the same value that `alignTable` writes. */
export function toTraceUnixNs(timeline: TraceTimeline, cpu: number, raw: bigint): bigint {
  return toUnixNs(timeline.fit, toTraceNs(timeline, cpu, raw));
}

/** Bound on the error of Unix times of a CPU at the given raw times. */
export function traceErrorNs({ shift, tscToNs: conversion, fit }: TraceTimeline, cpu: number, raws: readonly bigint[]): number {
  if (shift === undefined) return fit.errorNs;
  const nsPerTick = conversion === undefined ? fit.nsPerTick : conversion.mult / 2 ** conversion.shift;
  const ticks = raws.filter((raw) => raw !== NO_RAW_TIME).map((raw) => shiftErrorTicks(shift, cpu, raw));
  return fit.errorNs + Math.ceil(Math.max(0, ...ticks) * nsPerTick);
}
