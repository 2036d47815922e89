/**
 * The comment block in front of ftrace text. The picture's arrows name the flag columns, left to right, since their number and
 * order differ between kernels:
 *
 *   # tracer: nop
 *   #
 *   # entries-in-buffer/entries-written: 369/11568   #P:2      <- the difference was overwritten before it was read
 *   #
 *   #                                _-----=> irqs-off/BH-disabled
 *   #                               / _----=> need-resched     (newer kernels add a legend behind the name)
 *   #                              | / _---=> hardirq/softirq
 *   #                              || / _--=> preempt-depth
 *   #                              ||| / _-=> migrate-disable
 *   #                              |||| /     delay
 *   #           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
 *
 * Tracers of latencies, and the option latency-format, say what they measured:
 *
 *   # wakeup latency trace v1.1.5 on 6.12.117+deb12-rt-amd64
 *   # latency: 17309 us, #6/6, CPU#1 | (M:preempt_rt VP:0, KP:0, SP:0 HP:0 #P:2)
 *   #    | task: rcuc/1-33 (uid:0 nice:0 policy:1 rt_prio:1)
 *   #  => started at: __schedule
 *   #  => ended at:   finish_task_switch
 *
 * function_graph names its columns:
 *
 *   #     TIME        CPU  TASK/PID         DURATION                  FUNCTION CALLS
 */
import { FLAG_COLUMN } from './ftrace-prefix.ts';

const ARROW = /^#[ |/]*_-*=> ([a-zA-Z/-]+)(#?)/;
const ENTRIES = /^# entries-in-buffer\/entries-written: (\d{1,15})\/(\d{1,15})/;
const TRACER = /^# tracer: (\S+)/;
const RELEASE = /^# \S+ latency trace \S+ on (\S+)/;
const LATENCY = /^# latency: (\d{1,15}) us, #(\d{1,15})\/(\d{1,15}), CPU#(\d{1,5}) \| \(M:(\S+)/;
const COUNTS = /^# latency: \d+ us, #(\d{1,15})\/(\d{1,15}),/;
const TASK = /^# +\| task: (.*)-(\d{1,10}) \(uid:(\d{1,10}) nice:(-?\d{1,10}) policy:(\d{1,10}) rt_prio:(\d{1,10})\)/;
const BOUND = /^# +=> (started|ended) at: +(.*\S)/;
const GRAPH = /^#.*\bFUNCTION CALLS/;
const EVENTS = /\bTASK-PID\b|\bcmd +pid\b/;

const COLUMN_OF: Readonly<Record<string, number>> = {
  'irqs-off': FLAG_COLUMN.irqs,
  'irqs-off/BH-disabled': FLAG_COLUMN.irqs,
  'need-resched': FLAG_COLUMN.reschedule,
  'need-resched-lazy': FLAG_COLUMN.rescheduleLazy,
  'hardirq/softirq': FLAG_COLUMN.context,
  'preempt-depth': FLAG_COLUMN.preempt,
  'migrate-disable': FLAG_COLUMN.migrate,
};

/** What a latency trace says of itself, by the names of its row's fields. */
export interface LatencyTrace {
  tracer: string;
  release: string;
  latency_us: number;
  entries: number;
  written: number;
  cpu: number;
  preemption: string;
  task: string;
  task_pid: number;
  uid: number;
  nice: number;
  policy: number;
  rt_prio: number;
  started_at: string;
  ended_at: string;
}

/** The fields of its row, in order. */
export const LATENCY_NAMES: readonly (readonly [name: keyof LatencyTrace, kind: 'string' | 'int64'])[] = [
  ['tracer', 'string'],
  ['release', 'string'],
  ['latency_us', 'int64'],
  ['entries', 'int64'],
  ['written', 'int64'],
  ['cpu', 'int64'],
  ['preemption', 'string'],
  ['task', 'string'],
  ['task_pid', 'int64'],
  ['uid', 'int64'],
  ['nice', 'int64'],
  ['policy', 'int64'],
  ['rt_prio', 'int64'],
  ['started_at', 'string'],
  ['ended_at', 'string'],
];

export class FtraceHeader {
  /** Empty for text without one, as trace_pipe is. */
  tracer = '';
  columns: number[] = [];
  /** A line of the picture named the columns of events, or of function_graph. */
  hasColumns = false;
  /** function_graph's line of column names; empty as long as it has none, which it has not with context-info off. */
  graph: string | undefined;
  latency: LatencyTrace | undefined;

  /** Takes one comment line; returns the events lost before the input was read, 0 for every other line. */
  take(line: string): number {
    const tracer = TRACER.exec(line);
    if (tracer !== null) this.#begin(tracer[1] as string);
    const arrow = ARROW.exec(line);
    // latency-format has the CPU in front of the flags.
    if (arrow !== null && arrow[2] === '') this.columns.push(COLUMN_OF[arrow[1] as string] ?? FLAG_COLUMN.other);
    if (EVENTS.test(line)) this.hasColumns = true;
    if (GRAPH.test(line)) {
      this.hasColumns = true;
      this.graph = line;
    }
    this.#takeLatency(line);
    const entries = ENTRIES.exec(line) ?? COUNTS.exec(line);
    return entries === null ? 0 : Math.max(0, Number(entries[2]) - Number(entries[1]));
  }

  #begin(tracer: string): void {
    this.tracer = tracer;
    this.columns = [];
    this.hasColumns = false;
    this.graph = tracer === 'function_graph' ? '' : undefined;
    this.latency = undefined;
  }

  #takeLatency(line: string): void {
    const release = RELEASE.exec(line);
    if (release !== null) this.latency = { ...NO_LATENCY, tracer: this.tracer, release: release[1] as string };
    const { latency } = this;
    if (latency === undefined) return;
    const found = LATENCY.exec(line);
    if (found !== null) {
      const [, micros, entries, written, cpu, preemption] = found;
      Object.assign(latency, {
        latency_us: Number(micros),
        entries: Number(entries),
        written: Number(written),
        cpu: Number(cpu),
        preemption,
      });
    }
    const task = TASK.exec(line);
    if (task !== null) {
      const [, name, ...numbers] = task;
      const [pid, uid, nice, policy, rtPrio] = numbers.map(Number);
      Object.assign(latency, { task: name, task_pid: pid, uid, nice, policy, rt_prio: rtPrio });
    }
    const bound = BOUND.exec(line);
    if (bound?.[1] === 'started') latency.started_at = bound[2] as string;
    if (bound?.[1] === 'ended') latency.ended_at = bound[2] as string;
  }
}

const NO_LATENCY: LatencyTrace = {
  tracer: '',
  release: '',
  latency_us: 0,
  entries: 0,
  written: 0,
  cpu: 0,
  preemption: '',
  task: '',
  task_pid: 0,
  uid: 0,
  nice: 0,
  policy: 0,
  rt_prio: 0,
  started_at: '',
  ended_at: '',
};
