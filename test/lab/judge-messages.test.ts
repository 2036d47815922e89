/** The judge of the lab's messages without the lab. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countStalled, leastOf, type MatchedRow } from './judge-messages.ts';

const row = (sendRaw: string, sendNs: number, senderId = 0): MatchedRow => ({
  state: 'matched',
  senderId,
  receiverId: 1 - senderId,
  sendRaw,
  sendNs,
  sendCpu: 0,
  receiveRaw: '',
  type: 1,
  subtype: 0,
  length: 16,
  confidence: 1,
});

test('lab judge: what a run has to reach follows from what it lost, and the measured runs reach it', () => {
  assert.deepEqual(leastOf(0, 5400), { precision: 0.995, recall: 0.99 });
  for (const [lost, recorded, precision, recall] of [
    [4, 5500, 1, 1],
    [82, 5378, 0.98232, 0.98159],
    [160, 5343, 0.99401, 0.99401],
    [216, 5281, 0.99488, 0.99432],
    [297, 5227, 1, 1],
  ] as const) {
    const least = leastOf(lost, recorded);
    assert.ok(least.recall <= recall && least.precision <= precision, `${lost}: ${JSON.stringify(least)}`);
  }
  assert.deepEqual(leastOf(5000, 5400), { precision: 0.95, recall: 0.9 });
});

test('lab judge: a sending is stalled while many others of its channel begin', () => {
  const steady = Array.from({ length: 20 }, (_, at) => row(String(1000 + at * 100), 250));
  const stalled = row('1050', 1500);
  const other = Array.from({ length: 20 }, (_, at) => row(String(1000 + at * 100), 250, 1));
  assert.equal(countStalled([...steady, ...other]), 0);
  assert.equal(countStalled([...other, stalled, ...steady, { ...stalled, sendRaw: '', state: 'unmatched' }]), 1);
});
