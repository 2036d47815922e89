import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProbeMisses } from '../../collector/probe-misses.ts';

const STREAM = 'tracefs:guest';

test('probe misses: what was counted since the last sample is a gap with its window', () => {
  const misses = new ProbeMisses(true);
  assert.equal(misses.take('', 1n, STREAM), undefined);
  assert.deepEqual(misses.take('ikc/mk_recv 6\nikc/ipi_irq 2\n', 5n, STREAM), {
    stream: STREAM,
    cpu: -1,
    fromUnixNs: 1n,
    toUnixNs: 5n,
    count: 8,
    reason: 'probe_missed',
  });
  assert.equal(misses.take('ikc/mk_recv 6\nikc/ipi_irq 2\n', 6n, STREAM), undefined);
  assert.equal(misses.take('ikc/mk_recv 7\nikc/ipi_irq 2\n', 7n, STREAM)?.count, 1);
});

test('probe misses: a probe made anew counts from 0, and a line that is none counts nothing', () => {
  const misses = new ProbeMisses(true);
  misses.take('ikc/mk_recv 100\n', 1n, STREAM);
  assert.equal(misses.take('ikc/mk_recv 3\nikc/mk_recv\n-1 x\n', 2n, STREAM)?.count, 3);
});

test('probe misses: a collector that comes back does not tell again what was told', () => {
  const misses = new ProbeMisses(false);
  assert.equal(misses.take('ikc/mk_recv 100\n', 1n, STREAM), undefined);
  assert.equal(misses.take('ikc/mk_recv 104\n', 2n, STREAM)?.count, 4);
});
