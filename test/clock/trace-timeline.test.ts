import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { shiftErrorTicks, shiftTime } from '../../clock/time-shift.ts';
import { convertTicks, tscToNs } from '../../clock/tsc-to-ns.ts';
import { Int64Array } from '../../base/int64.ts';
import type { RawOption, TimeShift, TimeShiftSample } from '../../model/event-file.ts';
import { NO_RAW_TIME } from '../../model/time.ts';
import { createRandom } from '../support/random.ts';
import { readRingFixture } from '../support/ring-fixture.ts';
import { hasTraceCmd, reportBytes } from '../support/trace-cmd.ts';
import { textOption, timeShiftOption, traceIdOption, tscToNsOption, writeTraceDat } from '../support/trace-dat-writer.ts';

test('trace clock: ticks become ns with all bits of the product, whatever their order', () => {
  const random = createRandom(96);
  for (let round = 0; round < 300; round++) {
    const mult = 1 + Math.floor(random() * 0xffff_fffe);
    const shift = Math.floor(random() * 64);
    const offsetNs = BigInt(Math.floor((random() - 0.5) * 2 ** 52));
    const conversion = { mult, shift, offsetNs };
    const ticks = new Int64Array(200);
    let at = BigInt(Math.floor(random() * 2 ** 53)) << BigInt(Math.floor(random() * 10));
    const step = 2 ** (random() * 40);
    for (let row = 0; row < 200; row++) {
      at += BigInt(Math.floor((random() - 0.1) * step));
      if (at < 0n) at = 1n;
      ticks.setBigint(row, row % 50 === 49 ? NO_RAW_TIME : at);
    }
    const ns = new Int64Array(200);
    convertTicks(ticks, ns, 200, conversion);
    for (let row = 0; row < 200; row++) {
      const raw = ticks.getBigint(row);
      const exact = raw === NO_RAW_TIME ? raw : BigInt.asIntN(64, ((raw * BigInt(mult)) >> BigInt(shift)) + offsetNs);
      assert.equal(ns.getBigint(row), exact, `round ${round} row ${row}: ${raw} × ${mult} >> ${shift}`);
    }
    convertTicks(ticks, ticks, 200, conversion);
    assert.deepEqual(ticks.signed, ns.signed, 'in place');
  }
});

test('trace clock: a counter that ran for a year converts exactly where 64 bits overflow', () => {
  const conversion = { mult: 0xffff_ffff, shift: 32, offsetNs: 0n };
  const ticks = 2_800_000_000n * 86_400n * 365n;
  assert.equal(tscToNs(ticks, conversion), (ticks * 0xffff_ffffn) >> 32n);
  assert.equal(tscToNs(0xffff_ffff_ffff_ff00n, { mult: 1, shift: 1, offsetNs: 5n }), 0x7fff_ffff_ffff_ff85n);
});

function sample(time: bigint, offset: bigint, scaling = 1n, fractionBits = 0): TimeShiftSample {
  return { time, offset, scaling, fractionBits };
}

function shiftOf(interpolate: boolean, ...cpus: TimeShiftSample[][]): TimeShift {
  return { peerTraceId: 1n, interpolate, cpus };
}

test('time shift: offsets lie on a line between samples, or are those of the earlier one', () => {
  const samples = [sample(1000n, 100n), sample(2000n, 300n), sample(3000n, 200n)];
  const line = shiftOf(true, samples);
  assert.deepEqual(
    [1000n, 1500n, 1999n, 2000n, 2500n, 3000n].map((raw) => shiftTime(line, 0, raw) - raw),
    [100n, 200n, 300n, 300n, 250n, 200n],
  );
  const steps = shiftOf(false, samples);
  assert.deepEqual(
    [500n, 1000n, 1999n, 2000n, 2999n, 3000n, 9000n].map((raw) => shiftTime(steps, 0, raw) - raw),
    [100n, 100n, 100n, 300n, 300n, 200n, 200n],
  );
});

test('time shift: scaling with fraction bits takes the whole product', () => {
  // KVM scales a guest of 2.1 GHz on a host of 2.8 GHz with 48 bits of fraction.
  const bits = 48;
  const scaling = (4n << BigInt(bits)) / 3n;
  const raw = 2_100_000_000n * 86_400n * 30n;
  const shift = shiftOf(true, [sample(raw, -77n, scaling, bits), sample(raw + 10n, -77n, scaling, bits)]);
  assert.equal(shiftTime(shift, 0, raw + 5n), (((raw + 5n) * scaling) >> 48n) - 77n);
  const wrong = BigInt.asUintN(64, raw * scaling) >> 48n;
  assert.notEqual(shiftTime(shift, 0, raw), wrong - 77n, 'what 64 bits make of it');
});

test('time shift: beyond the samples the bound grows, and holds both the line and the last sample', () => {
  const shift = shiftOf(true, [sample(0n, 0n), sample(1_000_000n, 500n), sample(2_000_000n, 1000n)]);
  const inside = shiftErrorTicks(shift, 0, 1_500_000n);
  assert.ok(inside < 2000);
  for (const away of [1_000_000n, 10_000_000n, 1_000_000_000n]) {
    const raw = 2_000_000n + away;
    const bound = shiftErrorTicks(shift, 0, raw);
    const held = raw + 1000n;
    assert.ok(bound > inside + Number(away) * 400e-6, `${bound} at ${away}`);
    assert.ok(Math.abs(Number(shiftTime(shift, 0, raw) - held)) <= bound);
    assert.ok(bound >= shiftErrorTicks(shift, 0, raw - 1n), 'never shrinks');
  }
  assert.ok(shiftErrorTicks(shiftOf(true, [sample(0n, 9n)]), 0, 5_000_000n) > 2000, 'one sample is true at its time only');
});

test('time shift: a CPU without samples takes those of another, no sample leaves the time', () => {
  const shift = shiftOf(true, [], [sample(0n, 5n), sample(10n, 5n)]);
  for (const cpu of [0, 1, 7]) assert.equal(shiftTime(shift, cpu, 100n), 105n);
  assert.equal(shiftTime(shiftOf(true, []), 0, 100n), 100n);
  assert.equal(shiftErrorTicks(shiftOf(true, []), 0, 100n), Number.POSITIVE_INFINITY);
});

/** A real recording with options added, by its raw times and by those that trace-cmd makes of them. */
function reportWith(
  t: TestContext,
  clock: string,
  options: readonly RawOption[],
): { readonly raw: bigint; readonly cpu: number; readonly shown: bigint }[] {
  const { set, segment } = readRingFixture();
  const { pageSizeBytes, chunks } = segment.header;
  let at = 0;
  const cpus = chunks.map(({ cpu, pages }) => ({ cpu, pages: segment.pages.subarray(at, (at += pages * pageSizeBytes)) }));
  const all = [textOption(4, `[${clock}]`), ...options];
  const bytes = writeTraceDat({ formats: set, options: all, buffers: [{ instance: '', clock, pageSizeBytes, cpus }] });
  const raw = reportBytes(bytes)?.events ?? [];
  const shown = reportBytes(bytes, false)?.events ?? [];
  assert.ok(raw.length > 1000 && raw.length === shown.length);
  t.diagnostic(`${raw.length} events`);
  return raw.map((event, i) => ({ raw: event.raw, cpu: event.cpu, shown: shown[i]?.raw ?? 0n }));
}

test('trace clock: trace-cmd shows the same ns of a counter', (t) => {
  if (!hasTraceCmd()) return t.skip('no trace-cmd');
  for (const { raw, shown } of reportWith(t, 'x86-tsc', [tscToNsOption(2_386_092, 22, 0n)])) {
    assert.equal(tscToNs(raw, { mult: 2_386_092, shift: 22, offsetNs: 0n }), shown);
  }
  // It keeps the offset of the option for its callers, and shows times without it.
  for (const { raw, shown } of reportWith(t, 'x86-tsc', [tscToNsOption(2_386_092, 22, 1000n)])) {
    assert.equal(tscToNs(raw, { mult: 2_386_092, shift: 22, offsetNs: 1000n }), shown + 1000n);
  }
});

test('time shift: trace-cmd shows the same times of the host, as far as its 64 bits reach', (t) => {
  if (!hasTraceCmd()) return t.skip('no trace-cmd');
  // The recording runs from 2,458,274 ms to 2,458,306 ms: the samples lie before, in and behind it.
  const times = [2_458_270_000_000n, 2_458_280_000_000n, 2_458_290_000_000n, 2_458_300_000_000n];
  const samples = times.map((time, i) => sample(time, 5_000n + BigInt(i * i) * 700n, 3n << 10n, 11));
  for (const interpolate of [true, false]) {
    const shift = shiftOf(interpolate, samples, samples);
    const events = reportWith(t, 'local', [traceIdOption(5n), timeShiftOption(6n, interpolate ? 1 : 0, shift.cpus as TimeShiftSample[][])]);
    for (const { raw, cpu, shown } of events) {
      // Behind the last sample it takes the offset of the last but one where it does not interpolate.
      const late =
        !interpolate && raw >= 2_458_300_000_000n ? (samples[2] as TimeShiftSample).offset - (samples[3] as TimeShiftSample).offset : 0n;
      assert.equal(shiftTime(shift, cpu, raw) + late, shown, `${raw} of CPU ${cpu}`);
    }
  }
});
