import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  formatBytes,
  formatCount,
  formatErrorNs,
  formatNs,
  formatRate,
  formatSeconds,
  parseDurationMs,
  parseDurationNs,
  parseSizeBytes,
} from '../../cli/units.ts';

test('units: durations are read with their unit, and only so', () => {
  const cases: readonly (readonly [string, number | undefined])[] = [
    ['500ms', 500],
    ['5m', 300_000],
    ['1h30m', 5_400_000],
    ['1.5s', 1500],
    ['2d', 172_800_000],
    ['5', undefined],
    ['', undefined],
    ['5x', undefined],
    ['m5', undefined],
    ['5m garbage', undefined],
  ];
  for (const [text, ms] of cases) assert.equal(parseDurationMs(text), ms, text);
});

test('units: short durations are read, and written with three digits', () => {
  const cases: readonly (readonly [string, number | undefined])[] = [
    ['250us', 250_000],
    ['1.5µs', 1500],
    ['12ns', 12],
    ['0.5ms', 500_000],
    ['1m30s', 90_000_000_000],
    ['5', undefined],
    ['5us3ms', undefined],
  ];
  for (const [text, ns] of cases) assert.equal(parseDurationNs(text), ns, text);
  assert.deepEqual([0, 999, 12_345, 123_456, 1_234_567, 123_456_789, 1.5e9, -2000].map(formatNs), [
    '0 ns',
    '999 ns',
    '12.3 µs',
    '123 µs',
    '1.2 ms',
    '123 ms',
    '1.5 s',
    '-2.0 µs',
  ]);
});

test('units: sizes are read in powers of two and of ten', () => {
  const cases: readonly (readonly [string, number | undefined])[] = [
    ['4096', 4096],
    ['64MiB', 67_108_864],
    ['64 MB', 64_000_000],
    ['1.5G', 1_610_612_736],
    ['-1', undefined],
    ['big', undefined],
    ['1 furlong', undefined],
  ];
  for (const [text, bytes] of cases) assert.equal(parseSizeBytes(text), bytes, text);
});

test('units: numbers are written for people', () => {
  assert.equal(formatBytes(0), '0 B');
  assert.equal(formatBytes(1536), '1.5 KiB');
  assert.equal(formatBytes(550 * 2 ** 20), '550 MiB');
  assert.equal(formatCount(1_234_567), '1,234,567');
  assert.equal(formatCount(12), '12');
  assert.equal(formatRate(0), '0');
  assert.equal(formatRate(0.25), '0.3');
  assert.equal(formatRate(12_345.6), '12,346');
  assert.equal(formatSeconds(0.42), '0.4s');
  assert.equal(formatSeconds(3723), '1h 2m');
  assert.equal(formatSeconds(86_400), '1d');
  assert.equal(formatErrorNs(-1), '±?');
  assert.equal(formatErrorNs(340), '±340 ns');
  assert.equal(formatErrorNs(1_234_567), '±1.2 ms');
  assert.equal(formatErrorNs(233_382_318), '±233 ms');
});
