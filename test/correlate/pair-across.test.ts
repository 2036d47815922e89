import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '../../base/bytes.ts';
import { AcrossPairer } from '../../correlate/pair-across.ts';
import type { SpanRule } from '../../correlate/span-rules.ts';
import type { KernelIdentity } from '../../model/identity.ts';
import { MetricBatch } from '../../model/metric-batch.ts';
import { SPAN_KIND, SpanBatch } from '../../model/span-batch.ts';
import { BASE_NS, toEventBatch } from '../support/ikc-events.ts';
import { identityOf } from '../support/ikc-matching.ts';

const RULE: SpanRule = {
  name: 'order',
  title: 'x',
  begin: ['app:order'],
  end: ['app:deliver'],
  across: true,
  key: ['id'],
  onRepeat: 'replace',
  minDurationNs: 0,
  sampleOneIn: 0,
  spanName: 'order {id}',
  attributes: { 'app.id': 'id' },
  endAttributes: { 'app.by': 'by' },
  samples: [],
};
const WEB = identityOf(0, 'boot-web');
const DB = identityOf(1, 'boot-db');

class Run {
  readonly pairer: AcrossPairer;
  readonly sheets = new Map<string, SpanBatch>();

  constructor(rule: Partial<SpanRule> = {}) {
    this.pairer = new AcrossPairer([{ ...RULE, ...rule }]);
  }

  begin(atNs: number, id: number | string, kernel = WEB, nowMs = 0, errorNs = 0): this {
    this.pairer.add(kernel, toEventBatch([{ event: 'app:order', atNs, pid: 5, fields: { id } }]), errorNs, nowMs);
    return this;
  }

  end(atNs: number, id: number | string, kernel = DB, nowMs = 0, errorNs = 0): this {
    this.pairer.add(kernel, toEventBatch([{ event: 'app:deliver', atNs, pid: 6, fields: { id, by: 3 } }]), errorNs, nowMs);
    return this;
  }

  /** Spans of the begins so far: name, start, duration. */
  advance(nowMs: number, isEnd = false): (readonly [string, number, number])[] {
    const sheetOf = ({ bootId }: KernelIdentity): SpanBatch => {
      const sheet = this.sheets.get(bootId) ?? new SpanBatch();
      this.sheets.set(bootId, sheet);
      return sheet;
    };
    this.pairer.advance(nowMs, sheetOf, isEnd);
    return [...this.sheets.values()].flatMap((spans) =>
      Array.from({ length: spans.length }, (_, row) => row)
        .filter((row) => spans.kind[row] === SPAN_KIND.producer)
        .map((row) => {
          const startNs = spans.startTime.getBigint(row);
          const tookNs = Number(spans.endTime.getBigint(row) - startNs);
          return [spans.strings.get(spans.name[row] as number), Number(startNs - BASE_NS), tookNs] as const;
        }),
    );
  }
}

test('pair-across: a begin on one kernel and an end on another are a span of each, linked, with the bound of both clocks', () => {
  const run = new Run().begin(1_000, 7, WEB, 0, 100).end(251_000, 7, DB, 0, 150);
  assert.deepEqual(run.advance(0), []);
  assert.deepEqual(run.advance(3_000), [['order 7', 1_000, 250_000]]);
  const [whole, other] = ['boot-web', 'boot-db'].map((boot) => run.sheets.get(boot));
  assert.ok(whole !== undefined && other !== undefined);
  assert.deepEqual([whole.length, other.length], [1, 1]);
  assert.equal(toHex(other.traceId.subarray(0, 16)), toHex(whole.traceId.subarray(0, 16)));
  assert.equal(toHex(other.parentSpanId.subarray(0, 8)), toHex(whole.spanId.subarray(0, 8)));
  assert.equal(other.kind[0], SPAN_KIND.consumer);
  assert.equal(other.startTime.getBigint(0), whole.endTime.getBigint(0));
  assert.deepEqual(whole.attributes.rowOf(0), {
    'cpu.logical_number': '0',
    'thread.id': '5',
    'mk.clock.error_ns': '250',
    'mk.span.rule': 'order',
    'app.id': '7',
    'app.by': '3',
  });
  const metrics = new MetricBatch();
  run.pairer.addHistograms(0n, 1n, () => metrics);
  assert.deepEqual([metrics.distributions.get(0)?.count, metrics.exemplars[0]?.value], [1n, 0.00025]);
  assert.equal(toHex(metrics.exemplars[0]?.spanId ?? new Uint8Array()), toHex(whole.spanId.subarray(0, 8)));
});

test('pair-across: an end may come before its begin, as text or as number, and is no end of its own kernel’s', () => {
  const run = new Run().end(500, '0x7').end(300, 7, WEB).begin(100, 7);
  assert.deepEqual(run.advance(3_000), [['order 7', 100, 400]]);
  assert.equal(run.pairer.counts.unmatched, 0);
  run.advance(61_000);
  assert.deepEqual(run.pairer.counts, { matched: 1, unmatched: 1 });
});

test('pair-across: what seems to end before it began is paired within the bounds of the clocks, and takes no time', () => {
  assert.deepEqual(new Run().begin(1_000, 7, WEB, 0, 300).end(500, 7, DB, 0, 300).advance(3_000), [['order 7', 1_000, 0]]);
  const apart = new Run().begin(1_000, 7, WEB, 0, 100).end(500, 7, DB, 0, 100);
  assert.deepEqual(apart.advance(3_000), []);
  apart.advance(61_000);
  assert.deepEqual(apart.pairer.counts, { matched: 0, unmatched: 2 });
});

test('pair-across: a begin of a key that is open takes its place, or is the same still', () => {
  const events = (onRepeat: SpanRule['onRepeat']): Run =>
    new Run({ onRepeat }).begin(100, 7).begin(200, 7).end(300, 7).begin(400, 7).end(450, 7);
  const replaced = events('replace');
  assert.deepEqual(replaced.advance(3_000), [
    ['order 7', 200, 100],
    ['order 7', 400, 50],
  ]);
  assert.deepEqual(replaced.pairer.counts, { matched: 2, unmatched: 1 });
  const kept = events('keep');
  assert.deepEqual(kept.advance(3_000), [
    ['order 7', 100, 200],
    ['order 7', 400, 50],
  ]);
  assert.deepEqual(kept.pairer.counts, { matched: 2, unmatched: 0 });
});

test('pair-across: filters, least durations, samples and what is told are as the rule says', () => {
  const filtered = new Run({ beginFilter: 'id > 7', endFilter: 'by == 3' }).begin(1, 7).end(2, 7).begin(1, 8).end(9, 8);
  assert.deepEqual(filtered.advance(0, true), [['order 8', 1, 8]]);
  const sampled = new Run({ minDurationNs: 50, sampleOneIn: 2 });
  for (const id of [1, 2, 3, 4]) sampled.begin(id * 100, id).end(id * 100 + (id === 1 ? 60 : 10), id);
  assert.deepEqual(
    sampled.advance(0, true).map(([name]) => name),
    ['order 1', 'order 3'],
  );
  const counted = new Run({ tells: 'histogram', label: 'id' }).begin(1, 7).end(9, 7);
  assert.deepEqual(counted.advance(0, true), []);
  const metrics = new MetricBatch();
  counted.pairer.addHistograms(0n, 1n, () => metrics);
  assert.deepEqual([metrics.length, metrics.attributes.rowOf(0)], [1, { 'mk.span.rule': 'order', 'mk.span.label': '7' }]);
});

test('pair-across: ends and begins that find nothing stay bounded, also of one key', () => {
  const run = new Run();
  for (let at = 0; at < 3_000; at++) run.begin(at, 7).end(at, 7, WEB);
  run.advance(0);
  assert.equal(run.pairer.counts.unmatched, 2 * (3_000 - 1_024));
  run.advance(0, true);
  assert.equal(run.pairer.counts.unmatched, 6_000);
});
