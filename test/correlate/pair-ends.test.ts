import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { pairEnds, type EndSpan } from '../../correlate/pair-ends.ts';

const JOIN = 35n;
const span = (firstNs: bigint, errorNs = 0n, lastNs = firstNs): EndSpan => ({ firstNs, lastNs, errorNs });
const begun = (...times: readonly bigint[]) => times.map((unixNs) => ({ unixNs }));

test('pair ends: what is nearest, in their order, and no beginning between for sure', () => {
  assert.deepEqual(pairEnds([span(10n), span(50n)], [span(11n), span(52n)], begun(30n), JOIN), [0, 1]);
  // The host's words of the second are missing, then those of the first.
  assert.deepEqual(pairEnds([span(10n), span(50n)], [span(11n)], begun(30n), JOIN), [0, undefined]);
  assert.deepEqual(pairEnds([span(10n), span(50n)], [span(51n)], begun(30n), JOIN), [undefined, 0]);
  assert.deepEqual(pairEnds([span(10n)], [span(46n)], [], JOIN), [undefined]);
  assert.deepEqual(pairEnds([span(10n)], [span(46n)], [], JOIN + 1n), [0]);
});

test('pair ends: bounds wider than a life: the order tells', () => {
  // Said at 18 and at 34, by clocks that are 12 late and 2 late: nearest alone would take the first for the second.
  assert.deepEqual(pairEnds([span(30n, 14n), span(36n, 14n)], [span(18n), span(34n)], begun(20n), JOIN), [0, 1]);
  // One that lived for seconds seems to have ended after its next life began.
  assert.deepEqual(pairEnds([span(26n, 14n)], [span(18n)], begun(10n, 22n), JOIN), [0]);
  assert.deepEqual(pairEnds([span(26n, 3n)], [span(18n)], begun(10n, 22n), JOIN), [undefined]);
});

test('pair ends: as good as the best of all pairings, on small ones', () => {
  const spans = fc
    .array(fc.tuple(fc.integer({ min: 0, max: 120 }), fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 20 })), { maxLength: 5 })
    .map((all) =>
      all
        .map(([first, long, error]) => span(BigInt(first), BigInt(error), BigInt(first + long)))
        .toSorted((a, b) => Number(a.firstNs - b.firstNs)),
    );
  const lives = fc
    .array(fc.integer({ min: 0, max: 120 }), { maxLength: 4 })
    .map((all) => begun(...all.toSorted((a, b) => a - b).map(BigInt)));
  fc.assert(
    fc.property(spans, spans, lives, (own, hosts, begins) => {
      const pairs = pairEnds(own, hosts, begins, JOIN);
      const used = pairs.filter((at) => at !== undefined);
      assert.deepEqual(
        used,
        [...new Set(used)].toSorted((a, b) => a - b),
      );
      const found = scoreOf(pairs, own, hosts, begins);
      assert.ok(found !== undefined);
      for (const other of allPairings(own.length, hosts.length)) {
        const score = scoreOf(other, own, hosts, begins);
        assert.ok(score === undefined || score.count < found.count || (score.count === found.count && score.away >= found.away));
      }
    }),
    { numRuns: 300 },
  );
});

test('pair ends: ten thousand ends of a kernel in a loop are paired, in a moment', () => {
  const at = (index: number): bigint => BigInt(index) * 1_000n;
  const own = Array.from({ length: 10_000 }, (_, index) => span(at(index) + 300n, 100n));
  const hosts = own.map((_, index) => span(at(index) + 400n));
  const lives = begun(...own.map((_, index) => at(index)));
  assert.deepEqual(
    pairEnds(own, hosts, lives, 35_000n),
    own.map((_, index) => index),
  );
  // Of the first half the host says nothing.
  assert.deepEqual(
    pairEnds(own, hosts.slice(5_000), lives, 35_000n),
    own.map((_, index) => (index < 5_000 ? undefined : index - 5_000)),
  );
});

type Pairs = readonly (number | undefined)[];

function* allPairings(owns: number, hosts: number, from = 0): Generator<Pairs> {
  if (owns === 0) {
    yield [];
    return;
  }
  for (const rest of allPairings(owns - 1, hosts, from)) yield [undefined, ...rest];
  for (let at = from; at < hosts; at++) for (const rest of allPairings(owns - 1, hosts, at + 1)) yield [at, ...rest];
}

/** Told once more, from what it is to be: undefined = not allowed. */
function scoreOf(pairs: Pairs, own: readonly EndSpan[], hosts: readonly EndSpan[], lives: readonly { unixNs: bigint }[]) {
  let count = 0;
  let away = 0;
  for (const [index, at] of pairs.entries()) {
    if (at === undefined) continue;
    const one = own[index] as EndSpan;
    const other = hosts[at] as EndSpan;
    const error = one.errorNs + other.errorNs;
    const [fromNs, toNs] =
      other.firstNs > one.lastNs + error
        ? [one.lastNs + error, other.firstNs]
        : other.lastNs < one.firstNs - error
          ? [other.lastNs, one.firstNs - error]
          : [0n, 0n];
    if (toNs - fromNs > JOIN || lives.some(({ unixNs }) => unixNs >= fromNs && unixNs < toNs)) return undefined;
    count++;
    away += Math.max(0, Number(other.firstNs - one.lastNs), Number(one.firstNs - other.lastNs));
  }
  return { count, away };
}
