import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter } from '../../base/bytes.ts';
import type { Gap } from '../../model/gap.ts';
import { LogBatch } from '../../model/log-batch.ts';
import { decodeLogs } from '../../otlp/decode.ts';
import { encodeGaps, readGaps } from '../../otlp/gap.ts';
import { oracleDecode } from './oracle.ts';
import { BASE_NS, RESOURCE, SCOPE } from './samples.ts';

const GAPS: readonly Gap[] = [
  { stream: 'kmsg', cpu: -1, fromUnixNs: BASE_NS, toUnixNs: BASE_NS + 5n, count: 12, reason: 'kmsg_sequence' },
  { stream: 'tracefs:mkscope', cpu: 3, fromUnixNs: BASE_NS, toUnixNs: BASE_NS, count: undefined, reason: 'ring_lost' },
  { stream: 'console:spawn', cpu: -1, fromUnixNs: 0n, toUnixNs: BASE_NS, count: 1, reason: 'console_dropped' },
];

test('gap: is a WARN log record that any backend can show', () => {
  const writer = new ByteWriter();
  encodeGaps(RESOURCE, SCOPE, GAPS.slice(1, 2), writer);
  const request = oracleDecode('ExportLogsServiceRequest', writer.view()) as { resourceLogs: { scopeLogs: { logRecords: unknown[] }[] }[] };
  assert.deepEqual(request.resourceLogs[0]?.scopeLogs[0]?.logRecords, [
    {
      timeUnixNano: BASE_NS.toString(),
      severityNumber: 13,
      severityText: 'WARN',
      body: {
        stringValue: 'lost an unknown number of records of tracefs:mkscope CPU 3: a trace page says that events before it were lost',
      },
      eventName: 'mk.gap',
      attributes: [
        { key: 'cpu.logical_number', value: { intValue: '3' } },
        { key: 'mk.stream', value: { stringValue: 'tracefs:mkscope' } },
        { key: 'mk.gap.from_ns', value: { intValue: BASE_NS.toString() } },
        { key: 'mk.gap.to_ns', value: { intValue: BASE_NS.toString() } },
        { key: 'mk.gap.reason', value: { stringValue: 'ring_lost' } },
      ],
    },
  ]);
});

test('gap: what was sent is what is read, and the log records stay', () => {
  const writer = new ByteWriter();
  encodeGaps(RESOURCE, SCOPE, GAPS, writer);
  const decoded = decodeLogs(writer.view());
  assert.ok(decoded.ok);
  const { batch, stream } = decoded.parts[0] as (typeof decoded.parts)[number];
  assert.deepEqual(readGaps(batch, stream), GAPS);
  assert.equal(batch.length, 3);
  assert.match(batch.textOf(0), /^lost 12 records of kmsg: /);
});

test('gap: other events, unknown reasons and missing windows are no gaps', () => {
  const batch = new LogBatch();
  const add = (event: string, attributes: Readonly<Record<string, string | bigint>>): void => {
    for (const [key, value] of Object.entries(attributes)) batch.attributes.add(key, value);
    batch.eventName[batch.addText('x', 4)] = batch.strings.internString(event);
  };
  const window = { 'mk.gap.from_ns': 1n, 'mk.gap.to_ns': 2n };
  add('other', { ...window, 'mk.gap.reason': 'ring_lost' });
  add('mk.gap', { ...window, 'mk.gap.reason': 'toString' });
  add('mk.gap', { 'mk.gap.from_ns': 1n, 'mk.gap.reason': 'ring_lost' });
  add('mk.gap', { ...window, 'mk.gap.to_ns': 'soon', 'mk.gap.reason': 'ring_lost' });
  add('', { ...window, 'mk.gap.reason': 'ring_lost' });
  assert.deepEqual(readGaps(batch, 's'), []);
  add('mk.gap', { ...window, 'mk.gap.reason': 'ring_lost', 'mk.gap.count': -4n });
  assert.deepEqual(readGaps(batch, 's'), [{ stream: 's', cpu: -1, fromUnixNs: 1n, toUnixNs: 2n, count: undefined, reason: 'ring_lost' }]);
});
