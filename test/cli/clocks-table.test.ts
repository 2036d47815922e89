import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatOffset, renderAudit, renderClocks } from '../../cli/clocks-table.ts';
import type { ClockRow } from '../../model/api.ts';

const plain = (_style: string, text: string): string => text;
const ROW: ClockRow = {
  machine: 'alpha',
  kernelId: 1,
  kernelName: 'spawn1',
  bootId: 'b1',
  clock: 'mono',
  evidence: 'messages and pings, reference',
  offsetNs: '1788510993000000123',
  driftPpm: -12.345,
  errorNs: 734_000,
  toHostNs: 34_000,
  steps: 1,
  messages: 4200,
  rejectedBounds: 0,
  ageMs: 300,
};

test('clocks table: says bound, offset, drift and evidence, and escapes what a kernel calls itself', () => {
  const text = renderClocks(
    [
      { ...ROW, kernelName: 'sp\u001b[31m' },
      { ...ROW, errorNs: -1, toHostNs: -1, offsetNs: '', evidence: 'its own wall clock' },
    ],
    plain,
    undefined,
  );
  const [head, first, second] = text.split('\n');
  assert.match(head ?? '', /^ID {2}KERNEL +CLOCK +BOUND +TO HOST +OFFSET +DRIFT +STEPS +MESSAGES +AGE +KNOWN BY$/);
  assert.match(first ?? '', /mono +±734 µs +±34 µs +1788510993\.000000123 s +-12\.35 ppm +1 .* messages and pings, reference$/);
  assert.ok(!text.includes('\u001b'));
  assert.match(second ?? '', /±\? +±\? +- +- .* its own wall clock$/);
  assert.match(renderClocks([ROW, { ...ROW, machine: 'beta' }], plain, undefined), /^MACHINE/);
});

test('clocks table: the audit says what is impossible', () => {
  assert.match(renderAudit({ messages: 0, early: 0, impossible: 0, worstNs: 0 }, plain), /No messages/);
  assert.match(renderAudit({ messages: 10, early: 0, impossible: 0, worstNs: 0 }, plain), /none is received before/);
  assert.match(
    renderAudit({ messages: 10, early: 2, impossible: 0, worstNs: 2500 }, plain),
    /2 are received .* by 2\.5 µs at most, all within/,
  );
  assert.match(renderAudit({ messages: 10, early: 2, impossible: 1, worstNs: 2500 }, plain), /1 by more than the bounds allow/);
});

test('clocks table: an offset may be negative', () => {
  assert.equal(formatOffset(-1_500_000_000n), '-1.500000000 s');
});
