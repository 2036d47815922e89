import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { toHex } from '../../base/bytes.ts';
import { SpanPairer } from '../../correlate/pair-spans.ts';
import { SPAN_RULES, type SampleEvent, type SpanRule } from '../../correlate/span-rules.ts';
import { EventBatch, type FieldKind } from '../../model/event-batch.ts';
import { MetricBatch } from '../../model/metric-batch.ts';
import { SpanBatch } from '../../model/span-batch.ts';

const FIT = { baseRaw: 0n, baseUnixNs: 1_700_000_000_000_000_000n, nsPerTick: 1, errorNs: 100 };

function toBatch(events: readonly SampleEvent[]): EventBatch {
  const batch = new EventBatch();
  for (const { event, rawNs, cpu, pid, fields } of events) {
    const [system = '', name = ''] = event.split(':');
    const names = Object.keys(fields);
    const kindOf = (field: string): FieldKind => (typeof fields[field] === 'string' ? 'string' : 'int32');
    const table =
      batch.find(event) ??
      batch.addTable({
        name: event,
        system,
        event: name,
        fields: names.map((of) => ({ name: of, kind: kindOf(of), type: '', hex: false })),
      });
    if (table.length === table.capacity) table.grow();
    const row = table.length++;
    table.rawTime.setNumber(row, rawNs);
    table.cpu[row] = cpu;
    table.pid[row] = pid;
    names.forEach((field, index) => {
      const column = table.fields[index];
      const value = fields[field];
      if (column?.kind === 'string') column.values[row] = batch.strings.internString(String(value));
      else if (column?.kind === 'int32') column.values[row] = Number(value);
    });
  }
  return batch;
}

function spansOf(rule: SpanRule, batches: readonly (readonly SampleEvent[])[]): { found: object[]; unmatched: number } {
  const pairer = new SpanPairer([rule], 'boot');
  const spans = new SpanBatch();
  for (const events of batches) pairer.pair(toBatch(events), FIT, spans);
  const found = Array.from({ length: spans.length }, (_, row) => ({
    name: spans.strings.get(spans.name[row] as number),
    startNs: Number(spans.startTime.getBigint(row) - FIT.baseUnixNs),
    durationNs: Number(spans.endTime.getBigint(row) - spans.startTime.getBigint(row)),
  }));
  return { found, unmatched: pairer.counts.unmatched };
}

for (const rule of SPAN_RULES) {
  for (const sample of rule.samples) {
    test(`span rule ${rule.name}: ${sample.title}`, () => {
      const { found, unmatched } = spansOf(rule, [sample.events]);
      assert.deepEqual(found, sample.spans);
      const open = sample.events.filter((event) => rule.begin.includes(event.event)).length;
      assert.equal(unmatched, sample.unmatched, `of ${open} begins`);
    });

    test(`span rule ${rule.name}: ${sample.title}: the same when each event comes in a batch of its own`, () => {
      const { found } = spansOf(
        rule,
        sample.events.map((event) => [event]),
      );
      assert.deepEqual(found, sample.spans);
    });
  }
}

test('pair-spans: an end before its begin in the next batch does not pair backwards', () => {
  const rule = SPAN_RULES[0] as SpanRule;
  const events = rule.samples[0]?.events ?? [];
  const [begin, end] = [events[0] as SampleEvent, events[3] as SampleEvent];
  assert.deepEqual(spansOf(rule, [[end], [begin]]).found, []);
});

test('pair-spans: begins without ends stay bounded', () => {
  const rule = SPAN_RULES[0] as SpanRule;
  const events = Array.from({ length: 10_000 }, (_, i): SampleEvent => ({
    event: rule.begin[0] as string,
    rawNs: i,
    cpu: 0,
    pid: 0,
    fields: { irq: i, name: 'x' },
  }));
  const pairer = new SpanPairer([rule], 'boot');
  pairer.pair(toBatch(events), FIT, new SpanBatch());
  assert.equal(pairer.counts.unmatched, 10_000 - 4096);
});

test('pair-spans: every duration counts in a histogram by label, over batches; short spans are sampled as the rule says', () => {
  const [irq] = SPAN_RULES;
  const rule = { ...(irq as SpanRule), sampleOneIn: 10 };
  const pairer = new SpanPairer([rule], 'boot');
  const spans = new SpanBatch();
  const event = (kind: 'entry' | 'exit', rawNs: number, name: string): SampleEvent => ({
    event: `irq:irq_handler_${kind}`,
    rawNs,
    cpu: 0,
    pid: 0,
    fields: kind === 'entry' ? { irq: 24, name } : { irq: 24, ret: 1 },
  });
  for (let i = 0; i < 100; i++) {
    const name = i < 60 ? 'virtio0' : 'virtio1';
    const events = [event('entry', i * 10_000, name), event('exit', i * 10_000 + 1000, name)];
    // Every third pair is cut by the end of a batch.
    for (const batch of i % 3 === 0 ? events.map((one) => [one]) : [events]) pairer.pair(toBatch(batch), FIT, spans);
  }
  assert.equal(spans.length, 10);
  const batch = new MetricBatch();
  pairer.addHistograms(batch, 1n, 2n);
  const points = Array.from({ length: batch.length }, (_, row) => ({
    attributes: batch.attributes.rowOf(row),
    point: batch.distributions.get(row),
  }));
  assert.deepEqual(
    points.map(({ attributes, point }) => [attributes['mk.span.label'], point?.count, point?.min]),
    [
      ['virtio0', 60n, 1e-6],
      ['virtio1', 40n, 1e-6],
    ],
  );
  // An exemplar of each histogram that has spans, of one that is there, and none twice.
  const ids = Array.from({ length: spans.length }, (_, row) => toHex(spans.spanId.subarray(row * 8, row * 8 + 8)));
  assert.deepEqual(
    batch.exemplars.map(({ row, value, timeNs, spanId, traceId }) => {
      const at = ids.indexOf(toHex(spanId));
      assert.equal(toHex(traceId), toHex(spans.traceId.subarray(at * 16, at * 16 + 16)));
      return [row, value, timeNs === spans.endTime.getBigint(at)];
    }),
    [
      [0, 1e-6, true],
      [1, 1e-6, true],
    ],
  );
  const next = new MetricBatch();
  pairer.addHistograms(next, 1n, 3n);
  assert.deepEqual([next.length, next.exemplars.length], [2, 0]);
  // All in the bucket that holds 1 us: (2^(offset/8), 2^((offset+1)/8)] s.
  const { positiveOffset = 0, positiveCounts = [] } = points[0]?.point ?? {};
  assert.deepEqual(positiveCounts, [60n]);
  assert.ok(2 ** (positiveOffset / 8) <= 1e-6 && 2 ** ((positiveOffset + 1) / 8) >= 1e-6);
});

test('pair-spans: CPUs that stand one after the other in a batch are walked in the order of time', () => {
  const wakeup = SPAN_RULES.find(({ name }) => name === 'wakeup') as SpanRule;
  const wake = (rawNs: number, cpu: number, pid: number): SampleEvent => ({
    event: 'sched:sched_wakeup',
    rawNs,
    cpu,
    pid: 0,
    fields: { comm: `t${pid}`, pid, prio: 120, target_cpu: 0 },
  });
  const run = (rawNs: number, cpu: number, pid: number): SampleEvent => ({
    event: 'sched:sched_switch',
    rawNs,
    cpu,
    pid: 0,
    fields: { prev_comm: 'x', prev_pid: 0, next_comm: `t${pid}`, next_pid: pid },
  });
  // CPU 0, then CPU 1, then CPU 2, each from the start of time.
  const events = [
    wake(300_000_000, 0, 7),
    wake(600_000_000, 0, 8),
    run(450_000_000, 1, 7),
    run(900_000_000, 1, 8),
    wake(100_000_000, 2, 9),
    run(200_000_000, 2, 9),
  ];
  assert.deepEqual(
    spansOf(wakeup, [events]).found.map((span) => Object.values(span)),
    [
      ['wakeup t9', 100_000_000, 100_000_000],
      ['wakeup t7', 300_000_000, 150_000_000],
      ['wakeup t8', 600_000_000, 300_000_000],
    ],
  );
});

test('span rules: their fields are in the formats of this kernel', (t) => {
  const root = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'].find((path) => existsSync(`${path}/events/sched`));
  if (root === undefined) return t.skip('needs tracefs');
  let checked = 0;
  for (const { name, begin, end, key, spanName, label, attributes, endAttributes } of SPAN_RULES) {
    const shown = [...spanName.matchAll(/\{(\w+)\}/g)].map((match) => match[1] as string);
    const wanted = (side: 0 | 1): string[] => [
      ...key.map((part) => (typeof part === 'string' ? part : part[side])).filter((part) => part !== 'cpu' && part !== 'pid'),
      ...(side === 0 ? [...shown, ...(label === undefined ? [] : [label]), ...Object.values(attributes)] : Object.values(endAttributes)),
    ];
    for (const [side, events] of [begin, end].entries()) {
      for (const event of events) {
        const path = `${root}/events/${event.replace(':', '/')}/format`;
        if (!existsSync(path)) continue;
        const format = readFileSync(path, 'utf8');
        for (const field of wanted(side as 0 | 1)) {
          assert.match(format, new RegExp(`\\b${field}(?:\\[[^\\]]*\\])?;`), `${name}: ${event} has no ${field}`);
          checked++;
        }
      }
    }
  }
  t.diagnostic(`${checked} fields`);
  assert.ok(checked > 10);
});
