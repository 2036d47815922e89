import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAtEnd, scrollTopFor, toWindow } from '../../web/logs/virtual-list.ts';

test('virtual list: draws the rows in sight and a few more, never others', () => {
  const rowPx = 21;
  for (const count of [0, 1, 30, 200_000]) {
    for (const scrollTop of [0, 10, 630, count * rowPx - 600, count * rowPx + 5000]) {
      const { from, to, topPx, totalPx } = toWindow(Math.max(0, scrollTop), 600, rowPx, count);
      assert.ok(from >= 0 && from <= to && to <= count, `${count} ${scrollTop}: ${from}…${to}`);
      assert.ok(to - from <= 600 / rowPx + 2 + 24);
      assert.equal(topPx, from * rowPx);
      assert.equal(totalPx, count * rowPx);
      const visible = Math.floor(Math.max(0, scrollTop) / rowPx);
      if (visible < count) assert.ok(from <= visible && to > visible, 'the first row in sight is drawn');
    }
  }
});

test('virtual list: shows a row by the least movement, or in the middle', () => {
  assert.equal(scrollTopFor(5, 0, 200, 20), 0);
  assert.equal(scrollTopFor(10, 0, 200, 20), 20);
  assert.equal(scrollTopFor(2, 100, 200, 20), 40);
  assert.equal(scrollTopFor(100, 0, 200, 20, true), 1910);
  assert.equal(scrollTopFor(0, 500, 200, 20, true), 0);
});

test('virtual list: knows when it is at its end', () => {
  assert.equal(isAtEnd(800, 200, 1000, 20), true);
  assert.equal(isAtEnd(770, 200, 1000, 20), true);
  assert.equal(isAtEnd(700, 200, 1000, 20), false);
  assert.equal(isAtEnd(0, 600, 100, 20), true);
});
