import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Int64Array } from '../../base/int64.ts';
import { AlignedClock, type Placing } from '../../clock/aligned-clock.ts';
import { ClockGraph, type ClockEdge } from '../../clock/clock-graph.ts';
import type { TimeInterval } from '../../clock/message-hull.ts';
import { NO_RAW_TIME } from '../../model/time.ts';
import { createRandom } from '../support/random.ts';

/** An edge between two clocks of known origin, wrong by less than `width` either way. */
function edgeOf(from: string, to: string, origins: Readonly<Record<string, bigint>>, width: number, random: () => number): ClockEdge {
  const offset = (origins[from] ?? 0n) - (origins[to] ?? 0n);
  const low = BigInt(Math.floor(random() * width));
  const high = BigInt(Math.floor(random() * width));
  return {
    from,
    to,
    evidence: `${from}-${to}`,
    at: (raw) => ({ low: raw + offset - low, high: raw + offset + high }),
    back: (raw) => ({ low: raw - offset - high, high: raw - offset + low }),
  };
}

test('clock graph: the truth is inside, whatever edges there are, and no single way says more', () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 2, max: 8 }), fc.integer({ min: 1, max: 20 }), (seed, nodes, count) => {
      const random = createRandom(seed);
      const names = Array.from({ length: nodes }, (_, i) => `c${i}`);
      const origins = Object.fromEntries(names.map((name) => [name, BigInt(Math.floor(random() * 1e12))]));
      const graph = new ClockGraph();
      const direct: ClockEdge[] = [];
      for (let i = 0; i < count; i++) {
        const [a, b] = [names[Math.floor(random() * nodes)] ?? '', names[Math.floor(random() * nodes)] ?? ''];
        if (a === b) continue;
        const edge = edgeOf(a, b, origins, 10 ** (1 + random() * 6), random);
        graph.add(edge);
        if (a === 'c0' && b === 'c1') direct.push(edge);
      }
      const raw = BigInt(Math.floor(random() * 1e12));
      const found = graph.convert('c0', raw, 'c1');
      const truth = raw + (origins['c0'] ?? 0n) - (origins['c1'] ?? 0n);
      if (found === undefined) assert.equal(direct.length, 0);
      else {
        assert.ok(found.low <= truth && truth <= found.high);
        for (const edge of direct) {
          const alone = edge.at(raw);
          assert.ok(alone !== undefined && found.high - found.low <= alone.high - alone.low);
        }
      }
      assert.equal(graph.contradictions, 0);
    }),
    { numRuns: 300 },
  );
});

test('clock graph: takes the way of least uncertainty, says by what, and forgets edges', () => {
  const origins = { spawn: 5000n, host: 100n, unix: 0n };
  const graph = new ClockGraph();
  const pings = edgeOf('spawn', 'unix', origins, 1_000_000, () => 0.9);
  const messages = edgeOf('spawn', 'host', origins, 1000, () => 0.5);
  for (const edge of [pings, messages, edgeOf('host', 'unix', origins, 100, () => 0.5)]) graph.add(edge);
  const found = graph.convert('spawn', 0n, 'unix');
  assert.deepEqual(found?.evidence, ['spawn-host', 'host-unix']);
  assert.deepEqual([found?.low, found?.high], [5000n - 550n, 5000n + 550n]);
  graph.remove(messages);
  assert.deepEqual(graph.convert('spawn', 0n, 'unix')?.evidence, ['spawn-unix']);
  graph.remove(pings);
  assert.equal(graph.convert('spawn', 0n, 'unix'), undefined);
});

test('clock graph: of two edges that exclude each other the narrower one is believed, and it is counted', () => {
  const graph = new ClockGraph();
  const at = (offset: bigint, width: bigint) => (raw: bigint) => ({ low: raw + offset - width, high: raw + offset + width });
  graph.add({ from: 'a', to: 'b', evidence: 'wide', at: at(0n, 100n), back: at(0n, 100n) });
  graph.add({ from: 'a', to: 'b', evidence: 'narrow', at: at(1000n, 10n), back: at(-1000n, 10n) });
  assert.deepEqual(graph.convert('a', 0n, 'b')?.evidence, ['narrow']);
  assert.equal(graph.contradictions, 1);
});

test('clock graph: of 64 clocks that are all known against each other, few ways are gone for one that is asked for often', () => {
  const random = createRandom(7);
  const names = Array.from({ length: 64 }, (_, i) => `c${i}`);
  const origins = Object.fromEntries(names.map((name) => [name, BigInt(Math.floor(random() * 1e12))]));
  const graph = new ClockGraph();
  let asked = 0;
  for (const [i, a] of names.entries()) {
    for (const b of names.slice(i + 1)) {
      const edge = edgeOf(a, b, origins, 100_000, random);
      const asking = (ask: () => TimeInterval | undefined): TimeInterval | undefined => {
        asked++;
        return ask();
      };
      graph.add({ ...edge, at: (raw) => asking(() => edge.at(raw)), back: (raw) => asking(() => edge.back(raw)) });
    }
  }
  const first = graph.convert('c63', 0n, 'c0');
  const all = asked;
  asked = 0;
  const TIMES = 200;
  for (let i = 0; i < TIMES; i++) {
    const found = graph.convert('c63', BigInt(i), 'c0');
    const truth = BigInt(i) + (origins['c63'] ?? 0n) - (origins['c0'] ?? 0n);
    assert.ok(first !== undefined && found !== undefined && found.low <= truth && truth <= found.high);
  }
  // Those from the start are 63.
  assert.ok(asked / TIMES < 63 + all / 8, `${asked / TIMES} edges a time, ${all} at first`);
});

const second = (seconds: number): bigint => BigInt(Math.round(seconds * 1e9));
const OFFSET = 1_788_510_993_000_000_000n;
/** The truth is raw + OFFSET; `best` is wrong by up to the bound. */
const placed =
  (width: bigint, wrong = 0n) =>
  (raw: bigint): Placing => ({
    low: raw + OFFSET - width,
    high: raw + OFFSET + width,
    best: raw + OFFSET + wrong,
    evidence: 'test',
  });

test('aligned clock: stretches join, narrow, and are drawn anew when more is known', () => {
  const clock = new AlignedClock();
  assert.ok(clock.extend(0n, second(2), placed(1_000_000n, 700_000n), 0) !== undefined);
  assert.ok(clock.extend(second(2), second(4), placed(1_000_000n, -200_000n), 0) !== undefined);
  const joint = clock.toUnix(second(2));
  assert.deepEqual(joint, { unixNs: second(2) + OFFSET + 700_000n, errorNs: 1_700_002 });
  // Now it is known to 10 µs: what the last stretch says is excluded.
  const better = clock.extend(second(4), second(6), placed(10_000n), 0);
  assert.equal(better?.fit.errorNs, 10_002);
  const revised = clock.revise(0n, placed(15_000n));
  assert.deepEqual(
    revised.map(({ fromRaw, revision, fit }) => [fromRaw, revision, fit.errorNs]),
    [
      [second(2), 1, 15_002],
      [0n, 1, 15_002],
    ],
  );
  for (const raw of [0n, second(1), second(3), second(5.9)]) {
    const found = clock.toUnix(raw);
    assert.ok(found !== undefined && Math.abs(Number(found.unixNs - raw - OFFSET)) <= found.errorNs);
  }
  // A second time there is nothing to gain.
  assert.deepEqual(clock.revise(0n, placed(14_000n)), []);
  assert.equal(clock.toUnix(second(6)), undefined);
});

test('aligned clock: a step ends the segment, and what is older stays as it was', () => {
  const clock = new AlignedClock();
  clock.extend(0n, second(4), placed(100n), 0);
  const stepped = (raw: bigint): Placing => placed(10n)(raw + 50_000_000n);
  const next = clock.extend(second(3), second(5), stepped, 1);
  assert.deepEqual([next?.fromRaw, next?.segment, clock.stretches[0]?.toRaw], [second(3), 1, second(3)]);
  assert.deepEqual(clock.revise(0n, placed(1n)), []);
  assert.equal(clock.toUnix(second(2))?.unixNs, second(2) + OFFSET);
  assert.equal(clock.toUnix(second(4))?.unixNs, second(4) + OFFSET + 50_000_000n);
});

test('aligned clock: a column over several stretches, with rows that have no stamp', () => {
  const clock = new AlignedClock();
  clock.extend(0n, second(1), placed(100n), 0);
  clock.extend(0n, second(2), placed(300n), 0);
  const raws = [second(0.5), NO_RAW_TIME, second(0.6), second(1.5), second(0.7), NO_RAW_TIME];
  const raw = new Int64Array(raws.length);
  const unix = new Int64Array(raws.length);
  raws.forEach((time, row) => raw.setBigint(row, time));
  for (const row of [1, 5]) unix.setBigint(row, 77n);
  assert.equal(clock.align(raw, unix, raws.length), 302);
  assert.deepEqual(
    raws.map((_, row) => unix.getBigint(row)),
    raws.map((time) => (time === NO_RAW_TIME ? 77n : time + OFFSET)),
  );
  raw.setBigint(0, second(3));
  assert.equal(clock.align(raw, unix, raws.length), undefined);
});
