import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SpanPairer } from '../../correlate/pair-spans.ts';
import { SPAN_RULES, type SampleEvent, type SpanRule } from '../../correlate/span-rules.ts';
import { EventBatch, type FieldKind } from '../../model/event-batch.ts';
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
      const open = sample.events.filter((event) => event.event === rule.begin).length;
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
    event: rule.begin,
    rawNs: i,
    cpu: 0,
    pid: 0,
    fields: { irq: i, name: 'x' },
  }));
  const pairer = new SpanPairer([rule], 'boot');
  pairer.pair(toBatch(events), FIT, new SpanBatch());
  assert.equal(pairer.counts.unmatched, 10_000 - 4096);
});
