/** A loaded timeline as typed arrays on the page's own origin, with the searches that drawing and pointing need. */
import type { Timeline } from '../../model/api.ts';
import type { View } from './viewport.ts';

export interface Lane {
  readonly cpu: number;
  readonly count: number;
  /** ns relative to the origin, ascending, not overlapping. */
  readonly start: Float64Array;
  readonly end: Float64Array;
  readonly pid: Int32Array;
  /** Index into Picture.comms. */
  readonly comm: Uint32Array;
  readonly merged: Uint32Array;
}

export interface Mark {
  readonly time: Float64Array;
  readonly level: Uint8Array;
  readonly body: readonly string[];
}

export interface GapMark {
  readonly cpu: number;
  readonly from: number;
  readonly to: number;
  readonly count: number;
  readonly reason: string;
}

export interface Picture {
  readonly bootId: string;
  readonly kernelName: string;
  readonly loaded: View;
  readonly comms: readonly string[];
  readonly lanes: readonly Lane[];
  readonly marks: Mark;
  readonly gaps: readonly GapMark[];
  readonly events: number;
  readonly tookMs: number;
}

function shifted(values: readonly number[], offset: number): Float64Array {
  const out = new Float64Array(values.length);
  for (let i = 0; i < out.length; i++) out[i] = (values[i] ?? 0) + offset;
  return out;
}

export function toPicture(timeline: Timeline, originNs: bigint): Picture {
  const offset = Number(BigInt(timeline.from) - originNs);
  return {
    bootId: timeline.bootId,
    kernelName: timeline.kernelName,
    loaded: { from: offset, to: Number(BigInt(timeline.to) - originNs) },
    comms: timeline.comms,
    lanes: timeline.lanes.map((lane) => ({
      cpu: lane.cpu,
      count: lane.startNs.length,
      start: shifted(lane.startNs, offset),
      end: shifted(lane.endNs, offset),
      pid: Int32Array.from(lane.pid),
      comm: Uint32Array.from(lane.comm),
      merged: Uint32Array.from(lane.merged),
    })),
    marks: {
      time: shifted(timeline.marks.timeNs, offset),
      level: Uint8Array.from(timeline.marks.level),
      body: timeline.marks.body,
    },
    gaps: timeline.gaps.map((gap) => ({
      cpu: gap.cpu,
      from: gap.startNs + offset,
      to: gap.endNs + offset,
      count: gap.count,
      reason: gap.reason,
    })),
    events: timeline.events,
    tookMs: timeline.tookMs,
  };
}

/** Index of the first value above `bound` in an ascending array; its length where there is none. */
export function firstAbove(values: Float64Array, bound: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((values[middle] as number) > bound) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The slice that covers a moment, or the nearest one within `slackNs`; -1 = none. */
export function sliceAt(lane: Lane, timeNs: number, slackNs: number): number {
  const next = firstAbove(lane.end, timeNs);
  const candidates = [next - 1, next];
  let best = -1;
  let bestGap = slackNs;
  for (const index of candidates) {
    if (index < 0 || index >= lane.count) continue;
    const gap = Math.max((lane.start[index] as number) - timeNs, timeNs - (lane.end[index] as number), 0);
    if (gap <= bestGap) {
      best = index;
      bestGap = gap;
    }
  }
  return best;
}

/** The mark nearest to a moment within `slackNs`; the more severe one where two are as near. -1 = none. */
export function markAt(marks: Mark, timeNs: number, slackNs: number): number {
  let best = -1;
  for (let i = firstAbove(marks.time, timeNs - slackNs); i < marks.time.length && (marks.time[i] as number) <= timeNs + slackNs; i++) {
    if (best < 0 || isBetterMark(marks, i, best, timeNs)) best = i;
  }
  return best;
}

function isBetterMark(marks: Mark, a: number, b: number, timeNs: number): boolean {
  const nearer = Math.abs((marks.time[b] as number) - timeNs) - Math.abs((marks.time[a] as number) - timeNs);
  return nearer > 0 || (nearer === 0 && (marks.level[a] as number) < (marks.level[b] as number));
}

export interface TaskShare {
  readonly comm: string;
  /** Task ids under that name, lowest first; a handful at most. */
  readonly pids: readonly number[];
  readonly timeNs: number;
  readonly slices: number;
}

export interface LaneSummary {
  readonly cpu: number;
  readonly busyNs: number;
  readonly tasks: readonly TaskShare[];
}

export interface Summary {
  readonly from: number;
  readonly to: number;
  readonly lanes: readonly LaneSummary[];
  /** Slices that stand for several: their time is right in sum, their task is the longest of them. */
  readonly mergedSlices: number;
}

/** CPU time per task and lane inside a window: what each task's slices have in common with it. */
export function summarise(picture: Picture, from: number, to: number, cpus?: ReadonlySet<number>): Summary {
  let mergedSlices = 0;
  const lanes: LaneSummary[] = [];
  for (const lane of picture.lanes) {
    if (cpus !== undefined && !cpus.has(lane.cpu)) continue;
    const byComm = new Map<number, { timeNs: number; slices: number; pids: Set<number> }>();
    let busyNs = 0;
    for (let i = firstAbove(lane.end, from); i < lane.count && (lane.start[i] as number) < to; i++) {
      const timeNs = Math.min(lane.end[i] as number, to) - Math.max(lane.start[i] as number, from);
      const comm = lane.comm[i] as number;
      const share = byComm.get(comm) ?? { timeNs: 0, slices: 0, pids: new Set<number>() };
      share.timeNs += timeNs;
      share.slices += lane.merged[i] as number;
      if (share.pids.size < 8) share.pids.add(lane.pid[i] as number);
      byComm.set(comm, share);
      busyNs += timeNs;
      if ((lane.merged[i] as number) > 1) mergedSlices++;
    }
    const tasks = [...byComm].map(([comm, share]) => ({
      comm: picture.comms[comm] ?? '?',
      pids: [...share.pids].sort((a, b) => a - b),
      timeNs: share.timeNs,
      slices: share.slices,
    }));
    lanes.push({ cpu: lane.cpu, busyNs, tasks: tasks.sort((a, b) => b.timeNs - a.timeNs) });
  }
  return { from, to, lanes, mergedSlices };
}
