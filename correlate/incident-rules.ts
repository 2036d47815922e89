/**
 * Which signals make an incident, as data: one entry per kind. A signal is a stored row that has an event name (a kernel report,
 * a message of the catalogue, a row of the hub's own watch) or a gap.
 *
 *   ■ soft lockup   ■ soft lockup   ■ RCU stall                       of one kernel
 *   └────────────── one incident ─────────────┘   90 s of silence: it is over
 *
 * How a kernel ends is in track-deaths.ts: its signals come from two kernels, and another rule says why. Samples are tested.
 */
import type { IncidentKind, IncidentSeverity } from '../model/incident.ts';
import { WATCH_EVENT } from '../model/incident.ts';
import { GAP_EVENT } from '../model/attributes.ts';

export interface IncidentSample {
  readonly event: string;
  readonly body: string;
  readonly fields?: Readonly<Record<string, string>>;
  /** Rows or records that it stands for. */
  readonly count?: number;
  readonly title: string;
}

export interface IncidentRule {
  readonly kind: IncidentKind;
  /** One sentence for a person. */
  readonly about: string;
  readonly severity: IncidentSeverity;
  /** What opens it and what joins it. */
  readonly events: readonly string[];
  /** The kernel that the row names (`mk.instance.id`) where it names one, else the one that wrote it. */
  readonly subject: 'writer' | 'named' | 'machine';
  /** Fields whose values tell incidents of this kind apart. */
  readonly key: readonly string[];
  /** It opens when this many come within this time. */
  readonly least?: { readonly count: number; readonly withinMs: number };
  /** Signals with these values say nothing. */
  readonly except?: { readonly field: string; readonly values: readonly string[] };
  /** The next signal joins when it comes within this time; after it the incident is over. */
  readonly joinMs: number;
  /** Where one of that kind has the same subject and key within `joinMs`, it is a part of that one. */
  readonly partOf?: IncidentKind;
  /** What ends it at once; without such an event it is open until then, however long. */
  readonly endEvent?: string;
  /** `{kernel}`, `{machine}`, `{body}`, `{count}`, or a field. */
  readonly title: string;
  /** Why the times and numbers are as they are. */
  readonly why: string;
  readonly samples: readonly IncidentSample[];
}

/** An incident that goes on for longer is continued by a new one: what a look has to read again is bounded. */
export const MAX_INCIDENT_MS = 3_600_000;

export const INCIDENT_RULES: readonly IncidentRule[] = [
  {
    kind: 'oops',
    about: 'The kernel hit a fault of its own and killed the task that did it, or found itself in a state that must not be.',
    severity: 'error',
    events: ['kernel.oops', 'kernel.bug'],
    subject: 'writer',
    key: [],
    joinMs: 10_000,
    title: '{kernel}: {body}',
    why: 'what follows within seconds is most often a consequence of the first',
    samples: [
      {
        event: 'kernel.oops',
        body: 'NULL pointer dereference at fault_oops+0xa/0x20 [mkfault]',
        title: 'spawn1: NULL pointer dereference at fault_oops+0xa/0x20 [mkfault]',
      },
    ],
  },
  {
    kind: 'lockup',
    about: 'A CPU or a workqueue does not get on: soft and hard lockups, RCU stalls, workqueue lockups.',
    severity: 'error',
    events: ['kernel.soft_lockup', 'kernel.hard_lockup', 'kernel.rcu_stall', 'kernel.workqueue_lockup'],
    subject: 'writer',
    key: [],
    joinMs: 90_000,
    title: '{kernel}: {body}',
    why: 'one CPU that is stuck is told by several detectors; RCU repeats itself after 66 s, the soft lockup detector after 20 s',
    samples: [{ event: 'kernel.rcu_stall', body: 'RCU stall on CPU 1', title: 'spawn1: RCU stall on CPU 1' }],
  },
  {
    kind: 'hung_task',
    about: 'A task waits uninterruptibly for longer than the kernel allows.',
    severity: 'error',
    events: ['kernel.hung_task'],
    subject: 'writer',
    key: [],
    joinMs: 150_000,
    title: '{kernel}: {body}',
    why: 'the kernel looks every 120 s and names each task; tasks that hang together wait for the same',
    samples: [{ event: 'kernel.hung_task', body: 'hung task mkfault[95]', title: 'spawn1: hung task mkfault[95]' }],
  },
  {
    kind: 'oom',
    about: 'Memory ran out and the kernel killed.',
    severity: 'error',
    events: ['kernel.oom'],
    subject: 'writer',
    key: [],
    joinMs: 60_000,
    title: '{kernel}: {body}',
    why: 'one shortage kills several tasks, seconds apart',
    samples: [{ event: 'kernel.oom', body: 'out of memory: killed tail[101]', title: 'spawn1: out of memory: killed tail[101]' }],
  },
  {
    kind: 'memory_error',
    about: 'A checker found memory that was misused: KASAN, KFENCE, KMSAN, SLUB.',
    severity: 'error',
    events: ['kernel.kasan', 'kernel.kfence', 'kernel.kmsan', 'kernel.slub'],
    subject: 'writer',
    key: [],
    joinMs: 60_000,
    title: '{kernel}: {body}',
    why: 'one corruption is found in several places',
    samples: [{ event: 'kernel.kasan', body: 'KASAN: slab-out-of-bounds in f', title: 'spawn1: KASAN: slab-out-of-bounds in f' }],
  },
  {
    kind: 'machine_check',
    about: 'The hardware reports an error.',
    severity: 'critical',
    events: ['kernel.mce'],
    subject: 'writer',
    key: [],
    joinMs: 60_000,
    title: '{kernel}: {body}',
    why: 'each CPU and bank has its line',
    samples: [{ event: 'kernel.mce', body: 'machine check on CPU 3', title: 'spawn1: machine check on CPU 3' }],
  },
  {
    kind: 'irq_ignored',
    about: 'An interrupt that no driver took is switched off.',
    severity: 'error',
    events: ['kernel.irq_ignored'],
    subject: 'writer',
    key: [],
    joinMs: 60_000,
    title: '{kernel}: {body}',
    why: 'it is told once per interrupt',
    samples: [{ event: 'kernel.irq_ignored', body: 'irq 16: nobody cared', title: 'spawn1: irq 16: nobody cared' }],
  },
  {
    kind: 'locking',
    about: 'lockdep found an order of locks that can deadlock.',
    severity: 'warning',
    events: ['kernel.lockdep'],
    subject: 'writer',
    key: [],
    joinMs: 60_000,
    title: '{kernel}: {body}',
    why: 'lockdep tells once and goes off',
    samples: [{ event: 'kernel.lockdep', body: 'possible recursive locking', title: 'spawn1: possible recursive locking' }],
  },
  {
    kind: 'warn_storm',
    about: 'Warnings of the kernel in numbers: WARN, UBSAN, KCSAN, failed page allocations.',
    severity: 'warning',
    events: ['kernel.warning', 'kernel.ubsan', 'kernel.kcsan', 'kernel.alloc_failure'],
    subject: 'writer',
    key: [],
    least: { count: 5, withinMs: 60_000 },
    joinMs: 60_000,
    title: '{kernel}: {count} warnings, the first {body}',
    why: 'a single WARN is a report in the log; many boots have one, and nothing comes of it',
    samples: [
      {
        event: 'kernel.warning',
        body: 'WARNING at fault_warn+0x22/0x40 [mkfault]',
        count: 20,
        title: 'spawn1: 20 warnings, the first WARNING at fault_warn+0x22/0x40 [mkfault]',
      },
    ],
  },
  {
    kind: 'ring_full',
    about: 'Messages cannot be sent: the receiver does not read its ring.',
    severity: 'error',
    events: ['mk.ikc.ring_full'],
    subject: 'writer',
    key: ['mk.ikc.to'],
    joinMs: 30_000,
    title: '{kernel}: the ring of instance {mk.ikc.to} is full',
    why: 'the kernel limits the rate of the line to ten in five seconds; senders try again',
    samples: [
      {
        event: 'mk.ikc.ring_full',
        body: 'multikernel: IPI ring full for instance 3 (head=129, tail=66)',
        fields: { 'mk.ikc.to': '3' },
        title: 'spawn1: the ring of instance 3 is full',
      },
    ],
  },
  {
    kind: 'ikc_timeout',
    about: 'A request to another kernel got no answer in time.',
    severity: 'error',
    events: ['mk.ikc.timeout'],
    subject: 'writer',
    key: ['mk.ikc.operation'],
    joinMs: 60_000,
    title: '{kernel}: no answer to operation {mk.ikc.operation}',
    why: 'a graceful halt is waited for 30 s, all others 10 s at most: what is tried again comes within a minute',
    samples: [
      {
        event: 'mk.ikc.timeout',
        body: 'Timeout waiting for operation 0x2001 on resource 8',
        fields: { 'mk.ikc.operation': '0x2001', 'mk.ikc.resource': '8' },
        title: 'spawn1: no answer to operation 0x2001',
      },
    ],
  },
  {
    kind: 'ikc_unmatched',
    about: 'Messages were sent and not received, although the records of the receiver are whole there.',
    severity: 'warning',
    events: [WATCH_EVENT.notReceived],
    subject: 'writer',
    key: ['mk.ikc.to'],
    least: { count: 20, withinMs: 10_000 },
    joinMs: 30_000,
    partOf: 'ring_full',
    title: '{kernel}: {count} messages to instance {mk.ikc.to} were not received',
    why: 'a few stay open where a recording begins or ends; what lies in a ring that is full was not received either',
    samples: [
      {
        event: WATCH_EVENT.notReceived,
        body: '40 messages to instance 1 were not received',
        fields: { 'mk.ikc.to': '1' },
        count: 40,
        title: 'spawn1: 40 messages to instance 1 were not received',
      },
    ],
  },
  {
    kind: 'latency_regression',
    about: 'Messages of a channel take much longer than they did.',
    severity: 'warning',
    events: [WATCH_EVENT.slowMessages],
    subject: 'writer',
    key: ['mk.ikc.to'],
    joinMs: 150_000,
    partOf: 'ring_full',
    title: '{kernel} to instance {mk.ikc.to}: {body}',
    why: 'each minute is held against those before it (correlate/watch-latency.ts): two that are as before end it',
    samples: [
      {
        event: WATCH_EVENT.slowMessages,
        body: 'p99 of a minute 48 ms, 2.1 ms before',
        fields: { 'mk.ikc.to': '2' },
        title: 'spawn1 to instance 2: p99 of a minute 48 ms, 2.1 ms before',
      },
    ],
  },
  {
    kind: 'start_failed',
    about: 'The host could not start an instance.',
    severity: 'error',
    events: ['mk.instance.start.error', 'mk.cpu.handoff.error'],
    subject: 'named',
    key: [],
    joinMs: 30_000,
    title: '{kernel} did not start: {body}',
    why: 'one attempt prints several lines',
    samples: [
      {
        event: 'mk.instance.start.error',
        body: 'No multikernel image found with ID 1',
        fields: { 'mk.instance.id': '1' },
        title: 'spawn1 did not start: No multikernel image found with ID 1',
      },
    ],
  },
  {
    kind: 'cpu_lost',
    about: 'A CPU of an instance did not come back.',
    severity: 'error',
    events: ['mk.cpu.lost'],
    subject: 'named',
    key: [],
    joinMs: 30_000,
    title: '{kernel}: {body}',
    why: 'one line per CPU, then one for the memory that is given up',
    samples: [
      {
        event: 'mk.cpu.lost',
        body: 'Instance 1 (spawn1): CPU 10 is not parked: -110',
        fields: { 'mk.instance.id': '1' },
        title: 'spawn1: Instance 1 (spawn1): CPU 10 is not parked: -110',
      },
    ],
  },
  {
    kind: 'peer_stopped',
    about: 'A kernel told all CPUs of the machine to stop; the others went on. Which one it was is not known.',
    severity: 'warning',
    events: ['mk.peer.stopped'],
    subject: 'machine',
    key: [],
    joinMs: 5_000,
    title: '{machine}: another kernel panicked or restarted',
    why: 'one line per CPU of each kernel, within a millisecond of each other; it joins the end of a kernel where that is known',
    samples: [
      {
        event: 'mk.peer.stopped',
        body: 'CPU 8: Ignoring REBOOT_VECTOR from other kernel instance (stopping_cpu=-1)',
        title: 'alpha: another kernel panicked or restarted',
      },
    ],
  },
  {
    kind: 'silent_kernel',
    about: 'A kernel whose collector is known sends nothing any more, while others of its machine do.',
    severity: 'critical',
    events: [WATCH_EVENT.kernelSilent],
    subject: 'writer',
    key: ['mk.silent.since'],
    joinMs: 0,
    endEvent: WATCH_EVENT.kernelBack,
    title: '{kernel}: nothing comes from it',
    why: 'a collector sends its books every second: 20 s are twenty of them, and longer than a machine stalls',
    samples: [
      {
        event: WATCH_EVENT.kernelSilent,
        body: 'nothing received from spawn1 for 20 s',
        fields: { 'mk.silent.since': '1' },
        title: 'spawn1: nothing comes from it',
      },
    ],
  },
  {
    kind: 'collector_gone',
    about: 'Nothing comes from a machine any more, and its collector did not say that it stops.',
    severity: 'warning',
    events: [WATCH_EVENT.collectorGone],
    subject: 'machine',
    key: ['mk.silent.since'],
    joinMs: 0,
    endEvent: WATCH_EVENT.collectorBack,
    title: '{machine}: nothing comes from its collector',
    why: 'as for a silent kernel; the machine, its network or its collector may be what is gone',
    samples: [
      {
        event: WATCH_EVENT.collectorGone,
        body: 'nothing received from alpha for 20 s',
        fields: { 'mk.silent.since': '1' },
        title: 'alpha: nothing comes from its collector',
      },
    ],
  },
  {
    kind: 'loss_burst',
    about: 'Records were lost in numbers: what is concluded from their time may be wrong.',
    severity: 'warning',
    events: [GAP_EVENT],
    subject: 'writer',
    key: ['mk.stream'],
    least: { count: 100, withinMs: 10_000 },
    except: {
      field: 'mk.gap.reason',
      // Not a burst that anybody caused: known properties of an input, or told by another incident.
      values: [
        'kmsg_before_start',
        'probe_missed',
        'kmsg_sequence',
        'pstore_missing',
        'netconsole_missing',
        'file_truncated',
        'parse_error',
        'collector_restart',
      ],
    },
    joinMs: 60_000,
    title: '{kernel}: {count} records of {mk.stream} lost',
    why: 'a hundred records are what one look at a stream may miss on a machine that stalls',
    samples: [
      {
        event: GAP_EVENT,
        body: 'ring_overrun',
        fields: { 'mk.stream': 'tracefs:mkscope', 'mk.gap.reason': 'ring_overrun' },
        count: 5000,
        title: 'spawn1: 5000 records of tracefs:mkscope lost',
      },
    ],
  },
  {
    kind: 'clock_infeasible',
    about: 'The clocks of two kernels contradict each other: an effect stands before its cause by more than the bounds allow.',
    severity: 'warning',
    events: [WATCH_EVENT.impossibleClock],
    subject: 'writer',
    key: [],
    least: { count: 3, withinMs: 10_000 },
    joinMs: 60_000,
    title: '{kernel}: its clock cannot be right: {body}',
    why: 'one wrong bound shows in each message that is compared; of messages that are matched with 0.99 a few are not one',
    samples: [
      {
        event: WATCH_EVENT.impossibleClock,
        body: 'received 3 ms before it was sent',
        count: 12,
        title: 'spawn1: its clock cannot be right: received 3 ms before it was sent',
      },
    ],
  },
];
