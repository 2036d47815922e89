import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Int64Array } from '../../base/int64.ts';
import { alignTimes, fitFromSamples, fromFitFields, toFitFields, toUnixNs, type ClockFit, type ClockSample } from '../../clock/fit.ts';
import { toSegmentHeader } from '../../model/segment.ts';
import { NO_RAW_TIME } from '../../model/time.ts';
import { readRingFixture } from '../support/ring-fixture.ts';

const UNIX = 1_700_000_000_123_456_789n;

function fitOf(fields: Partial<ClockFit>): ClockFit {
  return { baseRaw: 0n, baseUnixNs: UNIX, nsPerTick: 1, errorNs: 0, ...fields };
}

function align(raws: readonly bigint[], fit: ClockFit): bigint[] {
  const raw = new Int64Array(raws.length);
  const unix = new Int64Array(raws.length);
  raws.forEach((value, index) => raw.setBigint(index, value));
  alignTimes(raw, unix, raws.length, fit);
  return raws.map((_, index) => unix.getBigint(index));
}

/** unix(raw) in exact rational arithmetic, rounded to the nearest. */
function exactly(fit: ClockFit, raw: bigint): bigint {
  const scaled = BigInt(Math.round(fit.nsPerTick * 2 ** 80));
  return fit.baseUnixNs + (((raw - fit.baseRaw) * scaled + (1n << 79n)) >> 80n);
}

test('align: nanosecond clocks are shifted exactly', () => {
  fc.assert(
    fc.property(
      fc.array(fc.bigInt({ min: 0n, max: (1n << 62n) - 1n }), { minLength: 1, maxLength: 20 }),
      fc.bigInt({ min: 0n, max: 1n << 61n }),
      (raws, baseRaw) => {
        const fit = fitOf({ baseRaw });
        assert.deepEqual(
          align(raws, fit),
          raws.map((raw) => raw - baseRaw + UNIX),
        );
      },
    ),
    { seed: 1 },
  );
});

test('align: carries between the words', () => {
  const shift = fitOf({ baseRaw: 0n, baseUnixNs: 0xffff_ffffn });
  assert.deepEqual(align([0n, 1n, 0xffff_fffen, 0xffff_ffffn, 0x1_0000_0000n], shift), [
    0xffff_ffffn,
    0x1_0000_0000n,
    0x1_ffff_fffdn,
    0x1_ffff_fffen,
    0x1_ffff_ffffn,
  ]);
  assert.deepEqual(align([5n], fitOf({ baseRaw: 7n, baseUnixNs: 1n << 32n })), [(1n << 32n) - 2n]);
});

test('align: rows without a stamp stay 0, a stamp with one full word does not', () => {
  for (const nsPerTick of [1, 1.000_000_3, 0.357]) {
    const [none, low] = align([NO_RAW_TIME, 0xffff_ffffn], fitOf({ nsPerTick }));
    assert.equal(none, 0n);
    assert.equal(low, exactly(fitOf({ nsPerTick }), 0xffff_ffffn));
  }
});

test('align: counters and drifting clocks are right to the nanosecond', () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: 1n << 62n }),
      fc.bigInt({ min: -(1n << 54n), max: 1n << 54n }),
      fc.oneof(fc.double({ min: 0.9995, max: 1.0005, noNaN: true }), fc.double({ min: 0.2, max: 2, noNaN: true }), fc.constant(1e6)),
      (baseRaw, delta, nsPerTick) => {
        const raw = baseRaw + delta;
        if (raw < 0n) return;
        const fit = fitOf({ baseRaw, nsPerTick });
        const [unix] = align([raw], fit) as [bigint];
        const wanted = BigInt.asIntN(64, exactly(fit, raw));
        const off = unix - wanted;
        assert.ok(off >= -1n && off <= 1n, `${off} ns off at ${delta} × ${nsPerTick}`);
      },
    ),
    { seed: 2, numRuns: 2000 },
  );
});

test('align: never runs backwards', () => {
  const edge = 1n << 53n;
  const near = fc.bigInt({ min: -40n, max: 40n });
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.bigInt({ min: -(1n << 55n), max: 1n << 55n }),
          near.map((step) => edge + step),
          near.map((step) => step - edge),
          near,
        ),
        { minLength: 2, maxLength: 60 },
      ),
      fc.oneof(fc.double({ min: 0.05, max: 1, noNaN: true }), fc.constant(1)),
      (deltas, nsPerTick) => {
        const fit = fitOf({ baseRaw: 1n << 60n, nsPerTick });
        const sorted = deltas.map((delta) => fit.baseRaw + delta).sort((a, b) => (a < b ? -1 : 1));
        const unix = align(sorted, fit);
        for (let i = 1; i < unix.length; i++) assert.ok((unix[i] as bigint) >= (unix[i - 1] as bigint), `row ${i}`);
      },
    ),
    { seed: 3, numRuns: 1000 },
  );
});

test('align: one value and a column agree, and a fit survives its trip in a segment header', () => {
  const fit = fitOf({ baseRaw: 84_643_894_950_799n, nsPerTick: 1 / 2.799_998, errorNs: 40 });
  const raw = 84_644_899_895_897n;
  assert.equal(toUnixNs(fit, raw), align([raw], fit)[0]);
  assert.equal(toUnixNs(fit, raw) - UNIX, 358_909_220n);
  const { header } = readRingFixture().segment;
  const received = toSegmentHeader(JSON.parse(JSON.stringify({ ...header, fit: toFitFields(fit) })));
  assert.ok(typeof received !== 'string', String(received));
  assert.deepEqual(fromFitFields(received.fit), fit);
});

/** Samples of a true line, bracketed at random. */
const truth = fc.record({
  rate: fc.double({ min: 0.9995, max: 1.0005, noNaN: true }),
  startRaw: fc.bigInt({ min: 0n, max: 1n << 52n }),
  brackets: fc.array(
    fc.record({
      afterNs: fc.integer({ min: 0, max: 2_000_000_000 }),
      before: fc.integer({ min: 1, max: 1_000_000 }),
      behind: fc.integer({ min: 1, max: 1_000_000 }),
    }),
    { minLength: 1, maxLength: 30 },
  ),
});

function sampleTruth({
  rate,
  startRaw,
  brackets,
}: {
  rate: number;
  startRaw: bigint;
  brackets: readonly { afterNs: number; before: number; behind: number }[];
}): {
  samples: ClockSample[];
  unixAt: (raw: bigint) => bigint;
} {
  const unixAt = (raw: bigint): bigint => exactly(fitOf({ baseRaw: startRaw, nsPerTick: rate }), raw);
  let raw = startRaw;
  const samples = brackets.map(({ afterNs, before, behind }) => {
    raw += BigInt(afterNs);
    return { raw, unixLow: unixAt(raw) - BigInt(before), unixHigh: unixAt(raw) + BigInt(behind) };
  });
  return { samples, unixAt };
}

test('fit: the truth lies within the bound, at every sample and between them', () => {
  fc.assert(
    fc.property(truth, (drawn) => {
      const { samples, unixAt } = sampleTruth(drawn);
      const fit = fitFromSamples(samples);
      assert.ok(fit !== undefined, 'a line goes through all of them');
      const raws = samples.flatMap(({ raw }, i) => [raw, (raw + (samples[i + 1]?.raw ?? raw)) / 2n]);
      for (const raw of raws) {
        const off = Math.abs(Number(toUnixNs(fit, raw) - unixAt(raw)));
        assert.ok(off <= fit.errorNs, `${off} ns off, bound ${fit.errorNs}`);
      }
      // No wider than the narrowest sample demands, where there is but one moment.
      if (samples.length === 1) {
        const width = Number((samples[0] as ClockSample).unixHigh - (samples[0] as ClockSample).unixLow);
        assert.ok(fit.errorNs <= width / 2 + 4);
      }
    }),
    { seed: 4, numRuns: 1000 },
  );
});

test('fit: the bound holds as far as it is asked to', () => {
  fc.assert(
    fc.property(truth, fc.integer({ min: 0, max: 2_000_000_000 }), (drawn, ahead) => {
      const { samples, unixAt } = sampleTruth(drawn);
      const untilRaw = (samples.at(-1) as ClockSample).raw + BigInt(ahead);
      const fit = fitFromSamples(samples, { untilRaw });
      assert.ok(fit !== undefined);
      const off = Math.abs(Number(toUnixNs(fit, untilRaw) - unixAt(untilRaw)));
      assert.ok(off <= fit.errorNs, `${off} ns off, bound ${fit.errorNs}`);
    }),
    { seed: 5, numRuns: 500 },
  );
});

test('fit: the order of samples does not matter', () => {
  fc.assert(
    fc.property(truth, (drawn) => {
      const { samples } = sampleTruth(drawn);
      const [a, b] = [fitFromSamples(samples), fitFromSamples(samples.toReversed())];
      assert.ok(a !== undefined && b !== undefined);
      assert.equal(toUnixNs(a, (samples[0] as ClockSample).raw) - toUnixNs(b, (samples[0] as ClockSample).raw), 0n);
    }),
    { seed: 6, numRuns: 200 },
  );
});

test('fit: a fixed rate gives the intersection of the offsets', () => {
  const at = (raw: bigint, low: bigint, high: bigint): ClockSample => ({ raw, unixLow: UNIX + raw + low, unixHigh: UNIX + raw + high });
  const samples = [at(0n, -500n, 900n), at(10_000_000_000n, -100n, 2000n), at(20_000_000_000n, -900n, 300n)];
  const fit = fitFromSamples(samples, { nsPerTick: { low: 1, high: 1 } });
  assert.ok(fit !== undefined);
  assert.equal(fit.nsPerTick, 1);
  assert.equal(toUnixNs(fit, 0n), UNIX + 100n);
  assert.ok(fit.errorNs >= 200 && fit.errorNs <= 204, `${fit.errorNs}`);
  assert.equal(fitFromSamples([...samples, at(30_000_000_000n, 400n, 900n)], { nsPerTick: { low: 1, high: 1 } }), undefined);
});

test('fit: finds the rate of a counter, and a longer span knows it better', () => {
  const rate = 1 / 2.799_998;
  const unixAt = (raw: bigint): bigint => exactly(fitOf({ baseRaw: 1_000_000_000_000n, nsPerTick: rate }), raw);
  const sampleAt = (seconds: number): ClockSample => {
    const raw = 1_000_000_000_000n + BigInt(Math.round(seconds * 2_799_998_000));
    return { raw, unixLow: unixAt(raw) - 200n, unixHigh: unixAt(raw) + 300n };
  };
  const options = { nsPerTick: { low: 0.1, high: 10 } };
  const short = fitFromSamples([sampleAt(0), sampleAt(1)], options);
  const long = fitFromSamples([sampleAt(0), sampleAt(1), sampleAt(1000)], options);
  assert.ok(short !== undefined && long !== undefined);
  assert.ok(Math.abs(short.nsPerTick - rate) < 5e-7);
  assert.ok(Math.abs(long.nsPerTick - rate) < 5e-10);
  assert.ok(long.errorNs < 260);
});

test('fit: a clock that was set, an empty interval and no samples give no fit', () => {
  const sampleAt = (raw: bigint, step: bigint): ClockSample => ({ raw, unixLow: UNIX + raw + step, unixHigh: UNIX + raw + step + 1000n });
  assert.equal(fitFromSamples([]), undefined);
  assert.equal(fitFromSamples([sampleAt(0n, 0n), sampleAt(1_000_000n, 2_000_000n)]), undefined);
  assert.equal(fitFromSamples([{ raw: 0n, unixLow: 2n, unixHigh: 1n }]), undefined);
  assert.equal(fitFromSamples([sampleAt(5n, 0n), sampleAt(5n, 5000n)]), undefined);
});

test('fit: many samples are thinned and the bound still holds for those kept', () => {
  const brackets = Array.from({ length: 5000 }, (_, i) => ({ afterNs: 1_000_000, before: 100 + (i % 7), behind: 100 + (i % 11) }));
  const { samples, unixAt } = sampleTruth({ rate: 1.000_297, startRaw: 5n, brackets });
  const fit = fitFromSamples(samples);
  assert.ok(fit !== undefined);
  assert.ok(Math.abs(fit.nsPerTick - 1.000_297) < 1e-7);
  for (const { raw } of samples) assert.ok(Math.abs(Number(toUnixNs(fit, raw) - unixAt(raw))) <= fit.errorNs);
});
