import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { composeFits, toUnixNs } from '../../clock/fit.ts';
import { IntervalTrack } from '../../clock/interval-track.ts';
import { createRandom } from '../support/random.ts';

const START = 1_788_510_993_000_000_000n;

/** Pings of a clock that runs at `rate`, each second; the truth is inside each, somewhere. */
function feed(track: IntervalTrack, rate: number, seconds: number, seed: number, from = 0, shiftNs = 0n): void {
  const random = createRandom(seed);
  for (let i = from; i < from + seconds; i++) {
    const raw = BigInt(i) * 1_000_000_000n + BigInt(Math.floor(random() * 1e8));
    const truth = truthOf(raw, rate) + shiftNs;
    track.add({ raw, unixLow: truth - BigInt(Math.floor(random() * 200_000)), unixHigh: truth + BigInt(Math.floor(random() * 200_000)) });
  }
}

const truthOf = (raw: bigint, rate: number): bigint => START + BigInt(Math.round(Number(raw) * rate));

test('interval track: the truth is inside the bound, for any rate that a kernel may slew to', () => {
  fc.assert(
    fc.property(fc.double({ min: -400e-6, max: 400e-6, noNaN: true }), fc.integer({ min: 2, max: 200 }), fc.nat(), (ppm, seconds, seed) => {
      const track = new IntervalTrack();
      feed(track, 1 + ppm, seconds, seed);
      const raw = BigInt(seconds) * 1_000_000_000n;
      const fit = track.fit(raw, raw);
      assert.ok(fit !== undefined);
      const off = Number(toUnixNs(fit, raw) - truthOf(raw, 1 + ppm));
      assert.ok(Math.abs(off) <= fit.errorNs, `${off} ns off, ± ${fit.errorNs}`);
      assert.equal(track.steps, 0);
    }),
    { numRuns: 60 },
  );
});

test('interval track: a clock that stood still begins a new segment, once', () => {
  const track = new IntervalTrack();
  feed(track, 1, 60, 1);
  const before = track.fit(59_000_000_000n, 59_000_000_000n);
  assert.ok(before !== undefined && before.errorNs < 300_000);
  // Stopped for ten seconds: the other clock went on.
  feed(track, 1, 60, 2, 60, 10_000_000_000n);
  assert.equal(track.steps, 1);
  const raw = 119_000_000_000n;
  const after = track.fit(raw, raw);
  assert.ok(after !== undefined);
  assert.ok(Math.abs(Number(toUnixNs(after, raw) - truthOf(raw, 1)) - 10e9) <= after.errorNs);
});

test('interval track: a clock slewed by hand is followed', () => {
  const track = new IntervalTrack();
  feed(track, 1.05, 30, 3);
  const raw = 29_500_000_000n;
  const fit = track.fit(raw, raw);
  assert.ok(fit !== undefined && Math.abs(fit.nsPerTick - 1.05) < 1e-4);
  assert.ok(Math.abs(Number(toUnixNs(fit, raw) - truthOf(raw, 1.05))) <= fit.errorNs);
});

test('interval track: a counter’s rate is learnt, and two lines compose to one', () => {
  const counter = new IntervalTrack({ low: 0.1, high: 20 });
  const ticksPerNs = 2.445;
  for (let i = 0; i < 20; i++) {
    const mono = BigInt(i) * 500_000_000n;
    counter.add({ raw: BigInt(Math.round(Number(mono) * ticksPerNs)), unixLow: mono - 300n, unixHigh: mono + 300n });
  }
  assert.equal(counter.steps, 0);
  const mono = new IntervalTrack();
  feed(mono, 1 + 30e-6, 20, 5);
  const now = 9_500_000_000n;
  const first = counter.fitAt(now);
  const second = mono.fit(now, now);
  assert.ok(first !== undefined && second !== undefined);
  const through = composeFits(first, second);
  const ticks = BigInt(Math.round(9e9 * ticksPerNs));
  const off = Number(toUnixNs(through, ticks) - truthOf(9_000_000_000n, 1 + 30e-6));
  assert.ok(Math.abs(off) <= through.errorNs, `${off} ns off, ± ${through.errorNs}`);
});

test('interval track: what lies before the first sample is known the less the older it is', () => {
  const track = new IntervalTrack();
  feed(track, 1, 10, 1, 1000);
  const at = (seconds: number): number => track.fit(BigInt(seconds) * 1_000_000_000n, 1_005_000_000_000n)?.errorNs ?? 0;
  assert.ok(at(0) > 400e6 && at(900) < 60e6 && at(1005) < 1e6);
});

test('interval track: any samples give no answer or a finite one', () => {
  const wild = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
  fc.assert(
    fc.property(fc.array(fc.tuple(wild, wild, wild), { maxLength: 20 }), (samples) => {
      const track = new IntervalTrack();
      for (const [raw, a, b] of samples) track.add({ raw, unixLow: a, unixHigh: b });
      const fit = track.fitAt(2n ** 62n);
      assert.ok(fit === undefined || (Number.isFinite(fit.nsPerTick) && Number.isFinite(fit.errorNs)));
    }),
  );
});
