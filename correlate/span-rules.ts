/**
 * Span rules as data: two events that open and close something, and the fields that say which closing belongs to which
 * opening. A rule is an entry here; its sample is part of it and is run by the tests.
 *
 *   begin  irq:irq_handler_entry   cpu=0  irq=24 name=virtio0     ──┐ same cpu, same irq
 *   end    irq:irq_handler_exit    cpu=0  irq=24 ret=handled      ──┘ → span `irq virtio0`, from begin to end
 *
 * Not handled: an end that has several begins (the later begin wins), and pairs over two kernels (the hub's work).
 */

/** A field of either event, or the row's own `cpu` or `pid`. */
export type KeyPart = string;

export interface SpanRule {
  /** How a configuration names it. */
  readonly name: string;
  readonly title: string;
  readonly begin: string;
  readonly end: string;
  /** Both events have these, and they are equal. `cpu` and `pid` are the row's own. */
  readonly key: readonly KeyPart[];
  /** Shorter spans are counted, not made: the rule is for what is slow. */
  readonly minDurationNs: number;
  /** `{field}` of the begin event. */
  readonly spanName: string;
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

export const SPAN_RULES: readonly SpanRule[] = [
  {
    name: 'irq',
    title: 'A hardware interrupt handler that ran for 1 ms or longer',
    begin: 'irq:irq_handler_entry',
    end: 'irq:irq_handler_exit',
    key: ['cpu', 'irq'],
    minDurationNs: MILLISECOND,
    spanName: 'irq {name}',
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
    begin: 'irq:softirq_entry',
    end: 'irq:softirq_exit',
    key: ['cpu', 'vec'],
    minDurationNs: MILLISECOND,
    spanName: 'softirq {vec}',
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
];

/** Names of values that the kernel gives as numbers: include/linux/interrupt.h. */
export const VALUE_NAMES: Readonly<Record<string, readonly string[]>> = {
  vec: ['HI', 'TIMER', 'NET_TX', 'NET_RX', 'BLOCK', 'IRQ_POLL', 'TASKLET', 'SCHED', 'HRTIMER', 'RCU'],
};

export function findSpanRule(name: string): SpanRule | undefined {
  return SPAN_RULES.find((rule) => rule.name === name);
}
