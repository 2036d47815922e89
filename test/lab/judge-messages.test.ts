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
  for (const [lost, recorded, recall] of [
    [7, 5397, 1],
    [25, 5491, 0.869],
    [47, 5357, 0.99888],
    [49, 5454, 0.9954],
    [63, 5437, 0.984],
    [125, 5384, 0.815],
    [306, 5194, 0.918],
  ] as const) {
    const least = leastOf(lost, recorded);
    assert.ok(least.recall <= recall && least.recall >= 0.75, `${lost}: ${least.recall}`);
  }
  assert.deepEqual(leastOf(5000, 5400), { precision: 0.97, recall: 0.75 });
});

test('lab judge: a sending is stalled while many others of its channel begin', () => {
  const steady = Array.from({ length: 20 }, (_, at) => row(String(1000 + at * 100), 250));
  const stalled = row('1050', 1500);
  const other = Array.from({ length: 20 }, (_, at) => row(String(1000 + at * 100), 250, 1));
  assert.equal(countStalled([...steady, ...other]), 0);
  assert.equal(countStalled([...other, stalled, ...steady, { ...stalled, sendRaw: '', state: 'unmatched' }]), 1);
});
