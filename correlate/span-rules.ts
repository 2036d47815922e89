/**
 * Span rules as data: events that open and close something, and the fields that say which closing belongs to which opening. A rule is
 * an entry here; its samples are part of it and are run by the tests.
 *
 *   begin  irq:irq_handler_entry   cpu=0  irq=24 name=virtio0     ──┐ same cpu, same irq
 *   end    irq:irq_handler_exit    cpu=0  irq=24 ret=handled      ──┘ → span `irq virtio0`, from begin to end
 *
 * What takes long becomes a span, all of it counts in a histogram of durations.
 * A rule of a user's own may go over two kernels (`across`, pair-across.ts). Messages are matched in match-ikc.ts.
 */

/**
 * A field that both events have, or a pair: of the begin, of the end. `cpu` and `pid` are the row's own where the event has no field of
 * that name; the idle tasks, which all have pid 0, are told apart by their CPU.
 */
export type KeyPart = string | readonly [begin: string, end: string];

export interface SpanRule {
  /** How a configuration names it. */
  readonly name: string;
  readonly title: string;
  readonly begin: readonly string[];
  readonly end: readonly string[];
  /** Which of these events (event-filter.ts); not there = all. */
  readonly beginFilter?: string;
  readonly endFilter?: string;
  /** The begin is on one kernel of a machine and the end on another: paired in the hub, by aligned times. */
  readonly across?: true;
  /** Not there = spans and a histogram. */
  readonly tells?: 'spans' | 'histogram';
  readonly key: readonly KeyPart[];
  /** A 64-bit value shares the key with another: keys are texts, which are slow. */
  readonly wideKey?: true;
  /** A begin while one of its key is open: `replace` = the end of that one was lost, `keep` = it is the same still. */
  readonly onRepeat: 'replace' | 'keep';
  /** Ends come without a begin as a matter of course, and count as nothing. */
  readonly endsAlone?: true;
  /** What took as long becomes a span. */
  readonly minDurationNs: number;
  /** And of what was shorter one in so many, to see what is usual; 0 = none. */
  readonly sampleOneIn: number;
  /** `{field}` of the begin event. */
  readonly spanName: string;
  /** Field of the begin event by whose values durations are told apart. */
  readonly label?: string;
  /** OTLP attribute → field of the begin event. */
  readonly attributes: Readonly<Record<string, string>>;
  /** OTLP attribute → field of the end event. */
  readonly endAttributes: Readonly<Record<string, string>>;
  readonly samples: readonly SpanSample[];
}

export interface SampleEvent {
  readonly event: string;
  readonly rawNs: number;
  readonly cpu: number;
  readonly pid: number;
  readonly fields: Readonly<Record<string, number | string>>;
}

export interface SpanSample {
  readonly title: string;
  readonly events: readonly SampleEvent[];
  /** Spans that come out: name, start and duration. */
  readonly spans: readonly { readonly name: string; readonly startNs: number; readonly durationNs: number }[];
  readonly unmatched: number;
}

const MILLISECOND = 1_000_000;

const irqEvent = (event: string, rawNs: number, cpu: number, fields: SampleEvent['fields']): SampleEvent => ({
  event: `irq:${event}`,
  rawNs,
  cpu,
  pid: 0,
  fields,
});

const schedEvent = (event: string, rawNs: number, cpu: number, fields: SampleEvent['fields']): SampleEvent => ({
  event: `sched:${event}`,
  rawNs,
  cpu,
  pid: 0,
  fields,
});

const taskEvent = (event: string, rawNs: number, pid: number, fields: SampleEvent['fields']): SampleEvent => ({
  event,
  rawNs,
  cpu: 0,
  pid,
  fields,
});

export const SPAN_RULES: readonly SpanRule[] = [
  {
    name: 'irq',
    title: 'A hardware interrupt handler that ran for 1 ms or longer',
    begin: ['irq:irq_handler_entry'],
    end: ['irq:irq_handler_exit'],
    key: ['cpu', 'irq'],
    onRepeat: 'replace',
    minDurationNs: MILLISECOND,
    sampleOneIn: 0,
    spanName: 'irq {name}',
    label: 'name',
    attributes: { 'mk.irq.number': 'irq', 'mk.irq.name': 'name' },
    endAttributes: { 'mk.irq.ret': 'ret' },
    samples: [
      {
        title: 'a slow handler, with one on another CPU in between',
        events: [
          irqEvent('irq_handler_entry', 1_000, 0, { irq: 24, name: 'virtio0' }),
          irqEvent('irq_handler_entry', 5_000, 1, { irq: 24, name: 'virtio0' }),
          irqEvent('irq_handler_exit', 9_000, 1, { irq: 24, ret: 1 }),
          irqEvent('irq_handler_exit', 2_001_000, 0, { irq: 24, ret: 1 }),
        ],
        spans: [{ name: 'irq virtio0', startNs: 1_000, durationNs: 2_000_000 }],
        unmatched: 0,
      },
      {
        title: 'an end whose begin was lost',
        events: [irqEvent('irq_handler_exit', 9_000, 1, { irq: 24, ret: 1 })],
        spans: [],
        unmatched: 1,
      },
    ],
  },
  {
    name: 'softirq',
    title: 'A softirq that ran for 1 ms or longer',
    begin: ['irq:softirq_entry'],
    end: ['irq:softirq_exit'],
    key: ['cpu', 'vec'],
    onRepeat: 'replace',
    minDurationNs: MILLISECOND,
    sampleOneIn: 0,
    spanName: 'softirq {vec}',
    label: 'vec',
    attributes: { 'mk.softirq.vector': 'vec' },
    endAttributes: {},
    samples: [
      {
        title: 'a hardware interrupt does not close a softirq',
        events: [
          irqEvent('softirq_entry', 1_000, 0, { vec: 3 }),
          irqEvent('irq_handler_exit', 500_000, 0, { irq: 24, ret: 1 }),
          irqEvent('softirq_exit', 1_501_000, 0, { vec: 3 }),
        ],
        spans: [{ name: 'softirq NET_RX', startNs: 1_000, durationNs: 1_500_000 }],
        unmatched: 0,
      },
      {
        title: 'of two begins the later one counts: the end of the first was lost',
        events: [
          irqEvent('softirq_entry', 1_000, 0, { vec: 1 }),
          irqEvent('softirq_entry', 8_000_000, 0, { vec: 1 }),
          irqEvent('softirq_exit', 9_000_000, 0, { vec: 1 }),
        ],
        spans: [{ name: 'softirq TIMER', startNs: 8_000_000, durationNs: 1_000_000 }],
        unmatched: 1,
      },
    ],
  },
  {
    name: 'wakeup',
    title: 'A task that waited 100 ms or longer for a CPU after it was woken',
    begin: ['sched:sched_waking', 'sched:sched_wakeup', 'sched:sched_wakeup_new'],
    end: ['sched:sched_switch'],
    key: [['pid', 'next_pid']],
    // sched_wakeup follows sched_waking, and a task is woken again before it ran.
    onRepeat: 'keep',
    endsAlone: true,
    // On a busy machine waits of tens of milliseconds are common: the histogram has them.
    minDurationNs: 100 * MILLISECOND,
    sampleOneIn: 65_536,
    spanName: 'wakeup {comm}',
    attributes: { 'mk.wakeup.comm': 'comm', 'mk.wakeup.pid': 'pid', 'mk.wakeup.prio': 'prio', 'mk.wakeup.target_cpu': 'target_cpu' },
    endAttributes: { 'mk.wakeup.after_comm': 'prev_comm', 'mk.wakeup.after_pid': 'prev_pid' },
    samples: [
      {
        title: 'woken, woken again, and run; a switch to a task that nobody woke in between',
        events: [
          schedEvent('sched_waking', 1_000, 0, { comm: 'ls', pid: 7, prio: 120, target_cpu: 1 }),
          schedEvent('sched_wakeup', 2_000, 0, { comm: 'ls', pid: 7, prio: 120, target_cpu: 1 }),
          schedEvent('sched_switch', 500_000, 1, { prev_comm: 'sh', prev_pid: 3, next_comm: 'cat', next_pid: 9 }),
          schedEvent('sched_switch', 200_001_000, 1, { prev_comm: 'cat', prev_pid: 9, next_comm: 'ls', next_pid: 7 }),
        ],
        spans: [{ name: 'wakeup ls', startNs: 1_000, durationNs: 200_000_000 }],
        unmatched: 0,
      },
    ],
  },
  {
    name: 'syscall',
    title: 'A system call that took 100 ms or longer',
    begin: ['raw_syscalls:sys_enter'],
    end: ['raw_syscalls:sys_exit'],
    key: ['pid', 'id'],
    onRepeat: 'replace',
    minDurationNs: 100 * MILLISECOND,
    sampleOneIn: 0,
    spanName: 'syscall {id}',
    label: 'id',
    attributes: { 'mk.syscall.number': 'id' },
    endAttributes: { 'mk.syscall.ret': 'ret' },
    samples: [
      {
        title: 'two tasks in the same call, one of them long',
        events: [
          taskEvent('raw_syscalls:sys_enter', 1_000, 41, { id: 7 }),
          taskEvent('raw_syscalls:sys_enter', 2_000, 42, { id: 7 }),
          taskEvent('raw_syscalls:sys_exit', 3_000, 42, { id: 7, ret: 1 }),
          taskEvent('raw_syscalls:sys_exit', 200_001_000, 41, { id: 7, ret: 0 }),
        ],
        spans: [{ name: 'syscall 7', startNs: 1_000, durationNs: 200_000_000 }],
        unmatched: 0,
      },
    ],
  },
  {
    name: 'block',
    title: 'A block request that took 50 ms or longer',
    begin: ['block:block_rq_issue'],
    end: ['block:block_rq_complete'],
    key: ['dev', 'sector'],
    wideKey: true,
    onRepeat: 'replace',
    // Flushes and pass-through requests have no sector of their own.
    endsAlone: true,
    minDurationNs: 50 * MILLISECOND,
    sampleOneIn: 0,
    spanName: 'block {rwbs}',
    label: 'rwbs',
    attributes: {
      'mk.block.dev': 'dev',
      'mk.block.sector': 'sector',
      'mk.block.sectors': 'nr_sector',
      'mk.block.rwbs': 'rwbs',
      'mk.block.comm': 'comm',
    },
    endAttributes: { 'mk.block.error': 'error' },
    samples: [
      {
        title: 'requests of two devices for the same sector, done on another CPU',
        events: [
          taskEvent('block:block_rq_issue', 1_000, 5, { dev: 265_289_728, sector: 2048, nr_sector: 8, rwbs: 'W' }),
          taskEvent('block:block_rq_issue', 2_000, 5, { dev: 265_289_729, sector: 2048, nr_sector: 8, rwbs: 'R' }),
          taskEvent('block:block_rq_complete', 4_000, 0, { dev: 265_289_729, sector: 2048, nr_sector: 8, error: 0, rwbs: 'R' }),
          taskEvent('block:block_rq_complete', 60_001_000, 0, { dev: 265_289_728, sector: 2048, nr_sector: 8, error: 0, rwbs: 'W' }),
        ],
        spans: [{ name: 'block W', startNs: 1_000, durationNs: 60_000_000 }],
        unmatched: 0,
      },
    ],
  },
  {
    name: 'workqueue',
    title: 'A work item that ran for 10 ms or longer',
    begin: ['workqueue:workqueue_execute_start'],
    end: ['workqueue:workqueue_execute_end'],
    key: ['work'],
    onRepeat: 'replace',
    minDurationNs: 10 * MILLISECOND,
    sampleOneIn: 0,
    spanName: 'work {function}',
    attributes: { 'mk.work.function': 'function' },
    endAttributes: {},
    samples: [
      {
        title: 'a work item that is executed twice',
        events: [
          taskEvent('workqueue:workqueue_execute_start', 1_000, 5, { work: 4096, function: 8192 }),
          taskEvent('workqueue:workqueue_execute_end', 2_000, 5, { work: 4096, function: 8192 }),
          taskEvent('workqueue:workqueue_execute_start', 3_000, 6, { work: 4096, function: 8192 }),
          taskEvent('workqueue:workqueue_execute_end', 20_003_000, 6, { work: 4096, function: 8192 }),
        ],
        spans: [{ name: 'work 8192', startNs: 3_000, durationNs: 20_000_000 }],
        unmatched: 0,
      },
    ],
  },
  {
    name: 'workqueue-wait',
    title: 'A work item that waited 50 ms or longer to be run',
    begin: ['workqueue:workqueue_queue_work'],
    end: ['workqueue:workqueue_execute_start'],
    key: ['work'],
    onRepeat: 'keep',
    endsAlone: true,
    minDurationNs: 50 * MILLISECOND,
    sampleOneIn: 0,
    spanName: 'work waits {function}',
    attributes: { 'mk.work.function': 'function', 'mk.work.queue': 'workqueue' },
    endAttributes: {},
    samples: [
      {
        title: 'queued, queued again while it waits, run',
        events: [
          taskEvent('workqueue:workqueue_queue_work', 1_000, 5, { work: 4096, function: 8192 }),
          taskEvent('workqueue:workqueue_queue_work', 30_000_000, 5, { work: 4096, function: 8192 }),
          taskEvent('workqueue:workqueue_execute_start', 60_001_000, 6, { work: 4096, function: 8192 }),
        ],
        spans: [{ name: 'work waits 8192', startNs: 1_000, durationNs: 60_000_000 }],
        unmatched: 0,
      },
    ],
  },
  {
    name: 'timer',
    title: 'A timer function that ran for 1 ms or longer',
    begin: ['timer:timer_expire_entry'],
    end: ['timer:timer_expire_exit'],
    key: ['timer'],
    onRepeat: 'replace',
    minDurationNs: MILLISECOND,
    sampleOneIn: 0,
    spanName: 'timer {function}',
    attributes: { 'mk.timer.function': 'function' },
    endAttributes: {},
    samples: [
      {
        title: 'two timers on two CPUs',
        events: [
          taskEvent('timer:timer_expire_entry', 1_000, 0, { timer: 64, function: 8192 }),
          { ...taskEvent('timer:timer_expire_entry', 2_000, 0, { timer: 128, function: 8192 }), cpu: 1 },
          { ...taskEvent('timer:timer_expire_exit', 3_000, 0, { timer: 128 }), cpu: 1 },
          taskEvent('timer:timer_expire_exit', 2_001_000, 0, { timer: 64 }),
        ],
        spans: [{ name: 'timer 8192', startNs: 1_000, durationNs: 2_000_000 }],
        unmatched: 0,
      },
    ],
  },
  {
    name: 'hrtimer',
    title: 'A high-resolution timer function that ran for 1 ms or longer',
    begin: ['timer:hrtimer_expire_entry'],
    end: ['timer:hrtimer_expire_exit'],
    key: ['hrtimer'],
    onRepeat: 'replace',
    minDurationNs: MILLISECOND,
    sampleOneIn: 0,
    spanName: 'hrtimer {function}',
    attributes: { 'mk.timer.function': 'function' },
    endAttributes: {},
    samples: [
      {
        title: 'one that is long, and one that is not',
        events: [
          taskEvent('timer:hrtimer_expire_entry', 1_000, 0, { hrtimer: 64, function: 8192 }),
          taskEvent('timer:hrtimer_expire_exit', 9_000, 0, { hrtimer: 64 }),
          taskEvent('timer:hrtimer_expire_entry', 11_000, 0, { hrtimer: 64, function: 8192 }),
          taskEvent('timer:hrtimer_expire_exit', 1_011_000, 0, { hrtimer: 64 }),
        ],
        spans: [{ name: 'hrtimer 8192', startNs: 11_000, durationNs: 1_000_000 }],
        unmatched: 0,
      },
    ],
  },
  {
    name: 'kvm-exit',
    title: 'A virtual CPU that the host held for 10 ms or longer',
    begin: ['kvm:kvm_exit'],
    end: ['kvm:kvm_entry'],
    key: ['pid'],
    onRepeat: 'replace',
    endsAlone: true,
    minDurationNs: 10 * MILLISECOND,
    sampleOneIn: 0,
    spanName: 'kvm exit {exit_reason}',
    label: 'exit_reason',
    attributes: { 'mk.kvm.exit_reason': 'exit_reason', 'mk.kvm.vcpu': 'vcpu_id' },
    endAttributes: {},
    samples: [
      {
        title: 'the first entry has no exit before it',
        events: [
          taskEvent('kvm:kvm_entry', 500, 70, { vcpu_id: 0 }),
          taskEvent('kvm:kvm_exit', 1_000, 70, { exit_reason: 12, vcpu_id: 0 }),
          taskEvent('kvm:kvm_entry', 15_001_000, 70, { vcpu_id: 0 }),
        ],
        spans: [{ name: 'kvm exit 12', startNs: 1_000, durationNs: 15_000_000 }],
        unmatched: 0,
      },
    ],
  },
  {
    name: 'function-graph',
    title: 'A function that the function_graph tracer saw run for 10 ms or longer',
    begin: ['ftrace:funcgraph_entry'],
    end: ['ftrace:funcgraph_exit'],
    key: ['pid', 'depth'],
    onRepeat: 'replace',
    minDurationNs: 10 * MILLISECOND,
    sampleOneIn: 0,
    spanName: 'function {func}',
    attributes: { 'mk.function.address': 'func', 'mk.function.depth': 'depth' },
    endAttributes: {},
    samples: [
      {
        title: 'a call within a call, and the idle tasks of two CPUs',
        events: [
          taskEvent('ftrace:funcgraph_entry', 1_000, 0, { func: 4096, depth: 0 }),
          { ...taskEvent('ftrace:funcgraph_entry', 2_000, 0, { func: 8192, depth: 0 }), cpu: 1 },
          taskEvent('ftrace:funcgraph_entry', 3_000, 0, { func: 8192, depth: 1 }),
          taskEvent('ftrace:funcgraph_exit', 12_003_000, 0, { func: 8192, depth: 1 }),
          { ...taskEvent('ftrace:funcgraph_exit', 12_004_000, 0, { func: 8192, depth: 0 }), cpu: 1 },
          taskEvent('ftrace:funcgraph_exit', 13_001_000, 0, { func: 4096, depth: 0 }),
        ],
        spans: [
          { name: 'function 8192', startNs: 3_000, durationNs: 12_000_000 },
          { name: 'function 8192', startNs: 2_000, durationNs: 12_002_000 },
          { name: 'function 4096', startNs: 1_000, durationNs: 13_000_000 },
        ],
        unmatched: 0,
      },
    ],
  },
];

/** Names of values that the kernel gives as numbers: include/linux/interrupt.h. */
export const VALUE_NAMES: Readonly<Record<string, readonly string[]>> = {
  vec: ['HI', 'TIMER', 'NET_TX', 'NET_RX', 'BLOCK', 'IRQ_POLL', 'TASKLET', 'SCHED', 'HRTIMER', 'RCU'],
};
