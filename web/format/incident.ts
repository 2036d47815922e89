/** How an incident is shown in words and colours. */
import type { IncidentDetail, IncidentRow } from '../../model/api.ts';
import type { RecordedWindow } from '../../model/recorder.ts';
import type { IncidentKind } from '../../model/incident.ts';
import { formatCount } from './number.ts';
import { formatDuration, formatWall } from './time.ts';

export const INCIDENT_TONE = { critical: 'bad', error: 'bad', warning: 'warn', info: 'idle' } as const;

/** Worst ends first, as docs/incidents.md lists them. */
export const KIND_NAMES: Readonly<Record<IncidentKind, string>> = {
  panic: 'panic',
  instance_lost: 'instance lost',
  killed: 'killed',
  died: 'died',
  stopped: 'stopped',
  oops: 'oops',
  lockup: 'lockup',
  hung_task: 'hung task',
  oom: 'out of memory',
  memory_error: 'memory error',
  machine_check: 'machine check',
  irq_ignored: 'irq ignored',
  locking: 'locking',
  warn_storm: 'warn storm',
  ring_full: 'ring full',
  ikc_timeout: 'IKC timeout',
  ikc_unmatched: 'IKC unmatched',
  latency_regression: 'IKC slower',
  start_failed: 'start failed',
  cpu_lost: 'CPU lost',
  peer_stopped: 'peer stopped',
  silent_kernel: 'silent kernel',
  collector_gone: 'collector gone',
  loss_burst: 'loss burst',
  clock_infeasible: 'clock infeasible',
};

export function lastedOf({ firstUnixNs, lastUnixNs }: IncidentRow): string {
  const ns = Number(BigInt(lastUnixNs) - BigInt(firstUnixNs));
  return ns === 0 ? 'a moment' : formatDuration(ns);
}

/** What flight recorders had of the window, a line for each kernel. */
export function describeRecorded({ fromUnixNs, kernels }: RecordedWindow): readonly string[] {
  return kernels.map(({ kernelName, events, sentEvents, isComplete, sinceUnixNs }) => {
    const came = `${kernelName}: ${formatCount(events)} events requested, ${formatCount(sentEvents)} arrived${isComplete ? '' : ' so far'}`;
    if (sinceUnixNs === '') return `${came}, nothing is kept`;
    return BigInt(sinceUnixNs) <= BigInt(fromUnixNs) ? came : `${came}, not kept any more before ${formatWall(BigInt(sinceUnixNs), 3)}`;
  });
}

/** What a reader must know before he concludes anything from the window; empty = nothing. */
export function doubtsOf({ kernels, gaps }: IncidentDetail): readonly string[] {
  const doubts: string[] = [];
  if (gaps.length > 0) {
    const streams = [...new Set(gaps.map(({ kernelName, stream }) => `${kernelName} ${stream}`))];
    doubts.push(
      `${gaps.length === 1 ? 'A known loss touches' : `${gaps.length} known losses touch`} this window (${streams.slice(0, 4).join(', ')}): what is not here may have been.`,
    );
  }
  if (kernels.some(({ errorNs }) => errorNs < 0)) doubts.push('A kernel here has a clock without a bound: its lines may stand anywhere.');
  return doubts;
}
