/** What went wrong on a machine, as one thing: what it is made of is in correlate/incident-rules.ts, docs/incidents.md says it in words. */

export const INCIDENT_KINDS = [
  'panic',
  'instance_lost',
  'killed',
  'died',
  'stopped',
  'oops',
  'lockup',
  'hung_task',
  'oom',
  'memory_error',
  'machine_check',
  'irq_ignored',
  'locking',
  'warn_storm',
  'ring_full',
  'ikc_timeout',
  'ikc_unmatched',
  'latency_regression',
  'start_failed',
  'cpu_lost',
  'peer_stopped',
  'silent_kernel',
  'collector_gone',
  'loss_burst',
  'clock_infeasible',
] as const;
export type IncidentKind = (typeof INCIDENT_KINDS)[number];

/** Worst first. `info` is a life event: a stop that was asked for. */
export const INCIDENT_SEVERITIES = ['critical', 'error', 'warning', 'info'] as const;
export type IncidentSeverity = (typeof INCIDENT_SEVERITIES)[number];

/** The kinds that are a kernel's end: each boot has at most one. */
export const DEATH_KINDS: readonly IncidentKind[] = ['panic', 'instance_lost', 'killed', 'died', 'stopped'];

export interface AffectedKernel {
  readonly kernelId: number;
  readonly kernelName: string;
  readonly bootId: string;
}

export interface Incident {
  /** Of what opened it: the same however often and in whichever way that comes. */
  readonly id: string;
  readonly kind: IncidentKind;
  readonly severity: IncidentSeverity;
  readonly title: string;
  readonly machineId: string;
  readonly machineName: string;
  /** Whose trouble it is; -1 and empty = not known. */
  readonly kernelId: number;
  readonly kernelName: string;
  readonly bootId: string;
  readonly firstUnixNs: bigint;
  readonly lastUnixNs: bigint;
  /** Half-width of the interval that holds the true time of the first; -1 = unknown. */
  readonly errorNs: number;
  readonly state: 'open' | 'resolved';
  /** Undefined while it is open. */
  readonly resolvedUnixNs: bigint | undefined;
  /** Why it is over, or what it still waits for. */
  readonly resolution: string;
  /** Signals that it is made of: kernel reports, messages, lost records. */
  readonly count: number;
  readonly reason: string;
  /** The line that says so; empty where none does. */
  readonly evidence: string;
  /** Other kernels that gave signals of it. */
  readonly others: readonly AffectedKernel[];
}

/** Rows that incidents are made of, beside those of the catalogue of messages and the kernel reports: the hub writes them. */
export const WATCH_EVENT = {
  kernelSilent: 'mk.kernel.silent',
  kernelBack: 'mk.kernel.back',
  collectorGone: 'mk.collector.gone',
  collectorBack: 'mk.collector.back',
  notReceived: 'mk.ikc.unmatched',
  slowMessages: 'mk.ikc.slow',
  impossibleClock: 'mk.clock.infeasible',
} as const;

/** Attribute of such a row that stands for more than one of what it tells. */
export const SIGNAL_COUNT = 'mk.signal.count';
