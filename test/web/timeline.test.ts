import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Timeline } from '../../model/api.ts';
import { toDigits, toStep, toTicks } from '../../web/timeline/axis.ts';
import { toTaskColor } from '../../web/timeline/colors.ts';
import { laneAt, lanesBetween, laneTop, toLayout } from '../../web/timeline/layout.ts';
import { firstAbove, type Lane, markAt, sliceAt, summarise, toPicture } from '../../web/timeline/picture.ts';
import { keepNear, needsFetch, panBy, toFetchSpan, toTime, toX, zoomAt } from '../../web/timeline/viewport.ts';
import { createRandom } from '../support/random.ts';

const ORIGIN = 1_763_890_125_000_000_000n;

function toTimeline(seed: number): Timeline {
  const random = createRandom(seed);
  const lanes = [0, 1, 2].map((cpu) => {
    const startNs: number[] = [];
    const endNs: number[] = [];
    for (let at = 0; at < 1e6;) {
      at += Math.floor(random() * 900);
      startNs.push(at);
      at += 1 + Math.floor(random() * 600);
      endNs.push(at);
    }
    const filled = (most: number): number[] => startNs.map(() => Math.floor(random() * most));
    return { cpu, startNs, endNs, pid: filled(50), comm: filled(4), merged: startNs.map(() => 1) };
  });
  return {
    bootId: 'b',
    kernelName: 'host',
    from: String(ORIGIN + 500n),
    to: String(ORIGIN + 1_000_500n),
    comms: ['a', 'b', 'c', 'd'],
    lanes,
    marks: { timeNs: [10, 20, 20, 400_000], level: [6, 6, 3, 4], body: ['one', 'two', 'three', 'four'] },
    gaps: [{ cpu: 1, startNs: 5, endNs: 9, count: 3, reason: 'ring_overrun' }],
    events: 1,
    storedFrom: '',
    storedTo: '',
    tookMs: 1,
  };
}

test('timeline axis: steps are ones that people count in, and never finer than asked', () => {
  for (let wanted = 1; wanted < 1e14; wanted *= 1.7) {
    const step = toStep(wanted);
    assert.ok(step >= wanted * 0.999 && step <= Math.max(1, wanted) * 3, `${wanted} → ${step}`);
    assert.ok(Number.isInteger(step));
  }
  assert.equal(toStep(3), 5);
  assert.equal(toStep(60_000), 100_000);
  assert.equal(toStep(1.2e9), 2e9);
  assert.equal(toStep(61e9), 120e9);
  assert.equal(toDigits(1e9), 0);
  assert.equal(toDigits(100_000_000), 1);
  assert.equal(toDigits(1), 9);
});

test('timeline axis: ticks stand on multiples of the step, apart, inside the view, with labels that differ', () => {
  for (const span of [400, 3e4, 2e6, 7e8, 9e9, 4e11, 6e13]) {
    const view = { from: 123_456, to: 123_456 + span };
    const ticks = toTicks(ORIGIN, view, 1200);
    assert.ok(ticks.length >= 2 && ticks.length <= 10, `${span}: ${ticks.length} ticks`);
    const labels = new Set(ticks.map((tick) => tick.wall));
    assert.equal(labels.size, ticks.length, `${span}: ${[...labels].join(' ')}`);
    for (const [index, tick] of ticks.entries()) {
      assert.ok(tick.timeNs >= view.from && tick.timeNs <= view.to);
      if (index > 0) assert.ok(toX(view, 1200, tick.timeNs) - toX(view, 1200, (ticks[index - 1] as { timeNs: number }).timeNs) >= 119);
    }
  }
  assert.deepEqual(toTicks(ORIGIN, { from: 5, to: 5 }, 1200), []);
});

test('timeline view: zooming keeps the time under the pointer, and stays in its bounds', () => {
  const view = { from: 1000, to: 5000 };
  const zoomed = zoomAt(view, 2000, 0.5);
  assert.deepEqual(zoomed, { from: 1500, to: 3500 });
  assert.equal(toX(zoomed, 800, 2000), toX(view, 800, 2000));
  assert.equal(toTime(view, 800, toX(view, 800, 3210)), 3210);
  let narrow = view;
  for (let i = 0; i < 200; i++) narrow = zoomAt(narrow, 2000, 0.1);
  assert.equal(Math.round(narrow.to - narrow.from), 200);
  let wide = view;
  for (let i = 0; i < 200; i++) wide = zoomAt(wide, 2000, 10);
  assert.ok(Number.isFinite(wide.from) && wide.to - wide.from <= 5.2e15 * 1.001);
});

test('timeline view: never leaves the stored data out of sight', () => {
  const stored = { from: 0, to: 1000 };
  assert.deepEqual(keepNear({ from: 100, to: 300 }, stored), { from: 100, to: 300 });
  assert.deepEqual(keepNear({ from: 5000, to: 5100 }, stored), { from: 990, to: 1090 });
  assert.deepEqual(keepNear({ from: -500, to: -400 }, stored), { from: -90, to: 10 });
});

test('timeline view: asks again when it leaves what is loaded or needs finer slices', () => {
  const view = { from: 0, to: 100 };
  const loaded = toFetchSpan(view);
  assert.equal(needsFetch(view, undefined, 0), true);
  assert.equal(needsFetch(panBy(view, 90), loaded, 100), false);
  assert.equal(needsFetch(panBy(view, 110), loaded, 100), true);
  assert.equal(needsFetch({ from: 20, to: 70 }, loaded, 100), true);
});

test('timeline layout: heights and lanes agree', () => {
  for (const lanes of [1, 2, 64, 256]) {
    const layout = toLayout(1200, 500, lanes);
    assert.ok(layout.heightPx >= 500);
    for (let index = 0; index < lanes; index++) {
      assert.equal(laneAt(layout, laneTop(layout, index)), index);
      assert.equal(laneAt(layout, laneTop(layout, index) + layout.lanePx - 1), index);
      assert.ok(laneTop(layout, index) + layout.lanePx <= layout.heightPx);
    }
    assert.equal(laneAt(layout, 0), -1);
  }
  const layout = toLayout(1200, 500, 4);
  assert.deepEqual(lanesBetween(layout, laneTop(layout, 2) + 1, laneTop(layout, 1) + 1), [1, 2]);
});

test('timeline picture: binary search finds what a scan finds', () => {
  const lane = toPicture(toTimeline(3), ORIGIN).lanes[0] as Lane;
  const random = createRandom(5);
  for (let round = 0; round < 500; round++) {
    const time = random() * 1.1e6;
    const scanned = lane.end.findIndex((end) => end > time);
    assert.equal(firstAbove(lane.end, time), scanned < 0 ? lane.count : scanned);
    const covering = [...lane.start.keys()].find((i) => (lane.start[i] as number) <= time && (lane.end[i] as number) > time) ?? -1;
    if (covering >= 0) assert.equal(sliceAt(lane, time, 0), covering);
    else if (sliceAt(lane, time, 0) >= 0) assert.equal(lane.end[sliceAt(lane, time, 0)], time);
  }
});

test('timeline picture: times are moved to the origin of the page', () => {
  const picture = toPicture(toTimeline(3), ORIGIN);
  assert.deepEqual(picture.loaded, { from: 500, to: 1_000_500 });
  assert.equal(picture.marks.time[0], 510);
  assert.equal(picture.gaps[0]?.from, 505);
});

test('timeline picture: of two marks at one moment the severe one is found', () => {
  const { marks } = toPicture(toTimeline(3), ORIGIN);
  assert.equal(marks.body[markAt(marks, 521, 5)], 'three');
  assert.equal(marks.body[markAt(marks, 509, 3)], 'one');
  assert.equal(markAt(marks, 90_000, 5), -1);
});

test('timeline statistics: shares add up to the busy time, and the parts of a range to the whole', () => {
  const picture = toPicture(toTimeline(11), ORIGIN);
  const whole = summarise(picture, 500, 1_000_500);
  const [first, second] = [summarise(picture, 500, 333_333), summarise(picture, 333_333, 1_000_500)];
  for (const [index, lane] of whole.lanes.entries()) {
    const sum = lane.tasks.reduce((total, task) => total + task.timeNs, 0);
    assert.equal(Math.round(sum), Math.round(lane.busyNs));
    assert.equal(Math.round((first.lanes[index]?.busyNs ?? 0) + (second.lanes[index]?.busyNs ?? 0)), Math.round(lane.busyNs));
    assert.ok(lane.busyNs > 0 && lane.busyNs <= 1_000_000);
  }
  assert.deepEqual(
    summarise(picture, 500, 9000, new Set([1])).lanes.map((lane) => lane.cpu),
    [1],
  );
});

/** WCAG relative luminance of `#rrggbb`. */
function luminance(hex: string): number {
  const [red, green, blue] = [1, 3, 5]
    .map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * (red ?? 0) + 0.7152 * (green ?? 0) + 0.0722 * (blue ?? 0);
}

test('timeline colours: each label can be read on its slice', () => {
  const names = [...Array.from({ length: 300 }, (_, index) => `task${index}`), ...Array.from({ length: 50 }, (_, index) => `rcu_${index}`)];
  for (const name of names) {
    for (const isDark of [true, false]) {
      const { fill, ink } = toTaskColor(name, isDark);
      assert.match(fill, /^#[0-9a-f]{6}$/);
      const [low, high] = [luminance(fill), luminance(ink)].sort((a, b) => a - b) as [number, number];
      assert.ok((high + 0.05) / (low + 0.05) >= 4.5, `${name} ${fill} on ${ink}`);
    }
  }
});

test('timeline colours: one name, one colour; workers of a kind look alike', () => {
  assert.deepEqual(toTaskColor('node', true), toTaskColor('node', true));
  assert.deepEqual(toTaskColor('kworker/3:1-events', false), toTaskColor('kworker/0:2', false));
  assert.deepEqual(toTaskColor('ksoftirqd/0', false), toTaskColor('ksoftirqd/7', false));
  assert.notEqual(toTaskColor('node', true).fill, toTaskColor('node', false).fill);
});
