import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isOperational } from '../../base/errors.ts';
import { formatMoment, formatRawNs, parseMoment } from '../../cli/moment.ts';

const NOW_MS = Date.parse('2026-05-01T12:00:00.250Z');

test('moment: a duration is that long ago', () => {
  assert.equal(parseMoment('since', '5m', NOW_MS), BigInt(NOW_MS - 300_000) * 1_000_000n);
  assert.equal(parseMoment('since', 'now', NOW_MS), BigInt(NOW_MS) * 1_000_000n);
});

test('moment: ISO times and Unix seconds keep their nanoseconds', () => {
  assert.equal(parseMoment('since', '2026-05-01T14:05:06.123456789Z'), 1_777_644_306_123_456_789n);
  assert.equal(parseMoment('since', '2026-05-01T16:05:06+02:00'), 1_777_644_306_000_000_000n);
  assert.equal(parseMoment('since', '@1777644306.5'), 1_777_644_306_500_000_000n);
});

test('moment: a date and a clock time are local', () => {
  const local = (text: string): bigint => BigInt(Date.parse(text)) * 1_000_000n;
  assert.equal(parseMoment('since', '2026-05-01'), local('2026-05-01T00:00'));
  assert.equal(parseMoment('since', '2026-05-01 14:05'), local('2026-05-01T14:05'));
  const noon = new Date(NOW_MS);
  noon.setHours(14, 5, 0, 0);
  assert.equal(parseMoment('since', '14:05', NOW_MS), BigInt(noon.getTime()) * 1_000_000n);
});

test('moment: what is no time is refused with the forms that are', () => {
  for (const text of ['', 'soon', '5 minutes', '2026-13-40', '25:99', '@', '2026-05-01T14:05:06Zgarbage']) {
    assert.throws(
      () => parseMoment('since', text),
      (error) => isOperational(error) && error.code === 'E_ARGS' && error.hint !== '',
      text,
    );
  }
});

test('moment: columns have one width per style', () => {
  assert.equal(formatMoment(1_777_644_306_123_456_789n, 'utc'), '05-01 14:05:06.123456');
  assert.equal(formatMoment(1_777_644_306_123_456_789n, 'iso'), '2026-05-01T14:05:06.123456789Z');
  assert.equal(formatRawNs(12_345_678_901n), '[   12.345678]');
  assert.equal(formatRawNs(-1n).length, formatRawNs(12_345_678_901n).length);
});
