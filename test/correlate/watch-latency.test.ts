import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LatencyWatch, type Regression } from '../../correlate/watch-latency.ts';

const MINUTE_NS = 60_000_000_000n;
const MS = 1e6;

/** Feeds minutes of so many messages each, whose latencies go from half of `p99Ms` up to it; the last is ended. */
function feed(minutes: readonly (readonly [p99Ms: number, messages?: number, errorMs?: number])[]): (Regression | undefined)[] {
  const watch = new LatencyWatch();
  const found: (Regression | undefined)[] = [];
  for (const [minute, [p99Ms, messages = 200, errorMs = 0]] of minutes.entries()) {
    for (let at = 0; at < messages; at++) {
      const sentNs = BigInt(minute) * MINUTE_NS + BigInt(at) * 100_000_000n;
      const result = watch.add(sentNs, p99Ms * MS * (0.5 + (0.5 * at) / messages), errorMs * MS);
      if (at === 0 && minute > 0) found.push(result);
      else assert.equal(result, undefined);
    }
  }
  found.push(watch.endMinute());
  return found;
}

const minutesFound = (minutes: Parameters<typeof feed>[0]): number[] => feed(minutes).flatMap((one, at) => (one === undefined ? [] : [at]));
const calm = (count: number): [number][] => Array.from({ length: count }, (_, at) => [2 + (at % 3) * 0.2]);

test('latency: a minute three times as slow as those before is one, with both figures; a doubled one is not', () => {
  const [last] = feed([...calm(10), [48]]).slice(-1);
  assert.ok(last !== undefined);
  assert.deepEqual([last.fromNs, last.messages, last.baselineMinutes], [10n * MINUTE_NS, 200, 10]);
  assert.ok(Math.abs(last.p99Ns / (48 * MS) - 1) < 0.13 && Math.abs(last.baselineNs / (2.4 * MS) - 1) < 0.13, JSON.stringify(feed));
  assert.deepEqual(minutesFound([...calm(10), [4.5]]), []);
});

test('latency: it is not learnt from few minutes, nor told of few messages', () => {
  assert.deepEqual(minutesFound([...calm(4), [48]]), []);
  assert.deepEqual(minutesFound([...calm(5), [48]]), [5]);
  assert.deepEqual(minutesFound([...calm(10), [48, 99]]), []);
});

test('latency: what happened before in a single minute, or is within the bounds of the clocks, is no news', () => {
  assert.deepEqual(minutesFound([...calm(3), [40], ...calm(6), [48]]), []);
  assert.deepEqual(minutesFound([...calm(10), [48, 200, 30]]), []);
  assert.deepEqual(minutesFound([...calm(10), [48, 200, 10]]), [10]);
  assert.deepEqual(minutesFound([...Array.from({ length: 10 }, (): [number] => [0.01]), [0.1]]), []);
});

test('latency: minutes that are worse are told one by one until half an hour of them is how it is now', () => {
  const told = minutesFound([...calm(10), ...Array.from({ length: 40 }, (): [number] => [48])]);
  assert.deepEqual(
    told,
    Array.from({ length: 31 }, (_, at) => at + 10),
  );
});
