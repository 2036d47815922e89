import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IkcChannel, IkcLatency, TraceSpan } from '../../model/api.ts';
import { describeAudit, explainReason, isUnordered, toIkcCommand, toLatencyErrorNs } from '../../web/format/ikc.ts';
import { countAt, NONE_PX, toBucketBounds, toCellRect, toHeatPoint, toHeatScale, toLatencyY, toShade, toY } from '../../web/ikc/heat.ts';
import { countMessages, toHeatStep, toMatrices, toPairKey } from '../../web/ikc/matrix.ts';
import { toBounds, toRangeFlags, toSeconds } from '../../web/state/range.ts';
import { MESSAGE_REASON_NAMES } from '../../model/ikc-message.ts';
import { toBar, toWaterfall } from '../../base/waterfall.ts';

const CHANNEL: IkcChannel = {
  machineId: 'm',
  machineName: 'lab',
  senderId: 0,
  senderName: 'host',
  receiverId: 1,
  receiverName: '',
  matched: 10,
  waiting: 1,
  failed: 2,
  ringFull: 1,
  unmatchedSends: 3,
  unmatchedReceives: 4,
  missing: 0,
  payloadBytes: 100,
  p50Ns: 1e5,
  p99Ns: 9.9e6,
  maxNs: 1e7,
  errorNs: 10,
  expectedWrong: 0,
  reasons: {},
  lastUnixNs: '1',
};

function toLatency(cells: readonly (readonly [column: number, bucket: number, count: number])[], columns = 10): IkcLatency {
  return {
    fromUnixNs: '1000000000',
    stepNs: 1e6,
    columns,
    bucketsPerDecade: 8,
    cells: { column: cells.map(([column]) => column), bucket: cells.map(([, bucket]) => bucket), count: cells.map(([, , count]) => count) },
    series: { column: [], matched: [], other: [], p50Ns: [], p99Ns: [] },
    matched: 0,
    unordered: 0,
    tookMs: 0,
  };
}

const BOX = { left: 50, top: 20, width: 400, height: 224 };

test('ikc matrix: each kernel once, named by whoever knows its name, unknown ones last, machines apart', () => {
  const back = { ...CHANNEL, senderId: 1, senderName: 'spawn1', receiverId: 0, receiverName: 'host' };
  const unknown = { ...CHANNEL, senderId: -1, senderName: '', receiverId: 7, receiverName: '' };
  const [lab, other, ...rest] = toMatrices([unknown, CHANNEL, back, { ...CHANNEL, machineId: 'n', machineName: 'other' }]);
  assert.deepEqual(rest, []);
  assert.deepEqual(
    lab?.ends.map(({ id, name }) => `${id} ${name}`),
    ['0 host', '1 spawn1', '7 kernel 7', '-1 unknown'],
  );
  assert.equal(lab?.cells.get(toPairKey(1, 0)), back);
  assert.equal(lab?.cells.get(toPairKey(0, 7)), undefined);
  assert.equal(other?.machineName, 'other');
});

test('ikc matrix: a channel counts each message once, and its colour is that of p99, none where nothing is matched', () => {
  assert.equal(countMessages(CHANNEL), 20);
  assert.equal(toHeatStep(CHANNEL), 3);
  assert.equal(toHeatStep({ ...CHANNEL, p99Ns: 1e7 }), 4);
  assert.equal(toHeatStep({ ...CHANNEL, p99Ns: 0 }), 1);
  assert.equal(toHeatStep({ ...CHANNEL, p99Ns: 1e12 }), 5);
  assert.equal(toHeatStep({ ...CHANNEL, matched: 0 }), 0);
});

test('ikc picture: the axis holds whole decades around what is there, and a row below for none or less', () => {
  const scale = toHeatScale(
    toLatency([
      [0, 44, 1],
      [3, 50, 5],
      [4, -1, 2],
    ]),
    BOX,
  );
  assert.deepEqual([scale.low, scale.high, scale.hasNone, scale.maxCount], [40, 55, true, 5]);
  assert.equal(toY(scale, 56), BOX.top);
  assert.equal(toY(scale, 40), BOX.top + 200);
  assert.equal(toLatencyY(scale, 1e6), BOX.top + 100);
  assert.equal(toLatencyY(scale, -5), BOX.top + BOX.height - NONE_PX / 2);
  assert.equal(toLatencyY(scale, 1e12), BOX.top);
  const only = toHeatScale(toLatency([[0, -1, 2]]), BOX);
  assert.ok(only.high > only.low && only.hasNone);
});

test('ikc picture: cells touch without a gap or an overlap, and the point over a cell is that cell', () => {
  const cells = [
    [0, 40, 1],
    [1, 40, 2],
    [9, 55, 3],
    [2, -1, 4],
  ] as const;
  const latency = toLatency(cells, 13);
  const scale = toHeatScale(latency, BOX);
  for (let column = 0; column < 12; column++) {
    const [here, next] = [toCellRect(scale, column, 41), toCellRect(scale, column + 1, 41)];
    assert.equal(here.x + here.width, next.x);
    assert.equal(toCellRect(scale, column, 42).y + toCellRect(scale, column, 42).height, here.y);
  }
  for (const [column, bucket, count] of cells) {
    const { x, y, width, height } = toCellRect(scale, column, bucket);
    const point = toHeatPoint(scale, x + width / 2, y + height / 2);
    assert.deepEqual(point, { column, bucket });
    assert.equal(countAt(latency, column, bucket), count);
  }
  assert.equal(countAt(latency, 5, 40), 0);
  assert.equal(toHeatPoint(scale, BOX.left - 1, BOX.top + 5), undefined);
  assert.equal(toHeatPoint(scale, BOX.left + 1, BOX.top + 201)?.bucket, undefined);
});

test('ikc picture: more messages are never fainter, one is in sight, and buckets join', () => {
  const shades = [1, 2, 10, 100].map((count) => toShade(count, 100));
  assert.deepEqual(
    shades,
    shades.toSorted((a, b) => a - b),
  );
  assert.ok((shades[0] as number) > 0.2 && shades[3] === 1 && toShade(1, 1) > 0.5);
  assert.equal(toBucketBounds(7, 8)[1], toBucketBounds(8, 8)[0]);
  assert.equal(toBucketBounds(24, 8)[0], 1000);
});

test('ikc range: span, window or all, for the API and for the command line', () => {
  assert.deepEqual(toBounds({ range: '5m' }, 1_000_000), { from: '700000000000' });
  assert.deepEqual(toBounds({ from: '5', to: 'x' }, 0), { from: '5' });
  assert.deepEqual(toBounds({ range: '5m', to: '9' }, 0), { to: '9' });
  assert.deepEqual(toBounds({}, 0), {});
  assert.equal(toSeconds({ range: '1h' }), 3600);
  assert.equal(toSeconds({ from: '1000000000', to: '2500000000' }), 1.5);
  assert.equal(toSeconds({ from: '1000000000' }), undefined);
  assert.deepEqual(toRangeFlags({ range: '5m' }), ['--since', '5m']);
  assert.deepEqual(toRangeFlags({ from: '1000000001' }), ['--since', '1970-01-01T00:00:01.000000001Z']);
  assert.equal(toIkcCommand(['--from', 'my kernel', undefined, '-m']), "mkscope ikc --from 'my kernel' -m");
});

test('ikc words: the order is known only when the latency is larger than both bounds, and each reason is explained', () => {
  const message = { latencyNs: 1000, sendErrorNs: 400, receiveErrorNs: 500 };
  assert.equal(toLatencyErrorNs(message), 900);
  assert.equal(isUnordered(message), false);
  assert.equal(isUnordered({ ...message, latencyNs: 900 }), true);
  assert.equal(isUnordered({ ...message, latencyNs: -900 }), true);
  assert.equal(isUnordered({ ...message, sendErrorNs: -1 }), true);
  for (const reason of MESSAGE_REASON_NAMES) if (reason !== '') assert.notEqual(explainReason(reason), reason.replaceAll('_', ' '));
  assert.equal(explainReason('not_yet_invented'), 'not yet invented');
});

function toSpan(spanId: string, parentSpanId: string, startNs: number, durationNs: number): TraceSpan {
  return {
    spanId,
    parentSpanId,
    name: spanId,
    kind: 'Internal',
    service: 'host',
    scope: '',
    machine: 'lab',
    kernelId: 0,
    kernelName: 'host',
    bootId: 'b',
    startUnixNs: (1_795_670_103_208_982_278n + BigInt(startNs)).toString(),
    durationNs,
    status: 'Unset',
    statusMessage: '',
    attributes: {},
    events: [],
    links: [],
  };
}

test('waterfall: children stand below their parent in time order; orphans and circles are shown; ns are kept', () => {
  const { originNs, durationNs, rows } = toWaterfall([
    toSpan('late', 'root', 7, 2),
    toSpan('root', '', 3, 10),
    toSpan('early', 'root', 4, 1),
    toSpan('below', 'early', 5, 30),
    toSpan('lost', 'nowhere', 0, 1),
    toSpan('ring-a', 'ring-b', 20, 1),
    toSpan('ring-b', 'ring-a', 21, 1),
    toSpan('self', 'self', 22, 1),
  ]);
  assert.equal(originNs, 1_795_670_103_208_982_278n);
  assert.equal(durationNs, 35);
  assert.deepEqual(
    rows.map(({ span, depth, startNs, isOrphan }) => `${span.spanId} ${depth} ${startNs}${isOrphan ? ' orphan' : ''}`),
    ['lost 0 0 orphan', 'root 0 3', 'early 1 4', 'below 2 5', 'late 1 7', 'self 0 22', 'ring-a 0 20', 'ring-b 1 21'],
  );
  assert.deepEqual(toWaterfall([]).rows, []);
});

test('waterfall: bars stay within the whole, also where it takes no time', () => {
  assert.deepEqual(toBar({ startNs: 25, span: { durationNs: 50 } }, 100), { left: 25, width: 50 });
  assert.deepEqual(toBar({ startNs: 90, span: { durationNs: 50 } }, 100), { left: 90, width: 10 });
  assert.deepEqual(toBar({ startNs: 0, span: { durationNs: 0 } }, 0), { left: 0, width: 100 });
});

test('waterfall: a chain of 20,000 spans is laid out', () => {
  const chain = Array.from({ length: 20_000 }, (_, at) => toSpan(`s${at}`, at === 0 ? '' : `s${at - 1}`, at, 1));
  assert.equal(toWaterfall(chain).rows.at(-1)?.depth, 19_999);
});

test('ikc: the audit says how many effects come before their causes, and whether the bounds allow it', () => {
  const none = { messages: 0, early: 0, impossible: 0, worstNs: 0 };
  assert.equal(describeAudit(none).tone, 'muted');
  assert.deepEqual(describeAudit({ ...none, messages: 1200 }), {
    text: 'Of 1,200 matched messages none is received before it was sent.',
    tone: 'muted',
  });
  const early = { messages: 1200, early: 3, impossible: 0, worstNs: 45_300 };
  assert.deepEqual(describeAudit(early), {
    text: 'Of 1,200 matched messages 3 are received before they were sent, by 45.3 µs at most, all within the bounds of their times.',
    tone: 'text-warn',
  });
  assert.equal(describeAudit({ ...early, impossible: 1 }).tone, 'text-bad');
});
