/** Batches of real shape: log records are this project's recording of `/dev/kmsg`, repeated; spans and metrics are made of them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KernelIdentity, Resource, Scope } from '../../model/identity.ts';
import { toResource, toScope } from '../../model/identity.ts';
import { LogBatch } from '../../model/log-batch.ts';
import { MetricBatch } from '../../model/metric-batch.ts';
import { SPAN_KIND, SpanBatch } from '../../model/span-batch.ts';
import { createRandom } from '../support/random.ts';

export const IDENTITY: KernelIdentity = {
  machineId: '5f1c0a7e9b2d4c3f8a6e1d0b9c8f7e6d',
  machineName: 'rack1-node7',
  kernelId: 2,
  kernelName: 'spawn-2',
  bootId: '0d9b7c52-36e5-4c0e-9c6a-64f5a9d4c8e1',
  release: '6.18.44',
  arch: 'amd64',
};
export const RESOURCE: Resource = toResource(IDENTITY);
export const SCOPE: Scope = toScope('mkscope', '0.1.0');
export const BASE_NS = 1_790_000_000_123_456_789n;

interface Recorded {
  readonly level: number;
  readonly facility: number;
  readonly sequence: number;
  readonly micros: number;
  readonly text: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** The recording, read here in the simplest way: the tests of otlp/ do not depend on our parser. */
function readRecording(): Recorded[] {
  const path = join(import.meta.dirname, '..', 'fixtures', 'otlp', 'kmsg.txt');
  const records: (Recorded & { fields: Record<string, string> })[] = [];
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    const head = /^(\d+),(\d+),(\d+),[^;]*;(.*)$/.exec(line);
    const field = /^ ([^=]+)=(.*)$/.exec(line);
    if (head !== null) {
      const priority = Number(head[1]);
      const [, , sequence, micros, text] = head;
      records.push({
        level: priority & 7,
        facility: priority >> 3,
        sequence: Number(sequence),
        micros: Number(micros),
        text: text ?? '',
        fields: {},
      });
    } else if (field !== null) (records.at(-1) as { fields: Record<string, string> }).fields[field[1] as string] = field[2] as string;
  }
  return records;
}

export function sampleLogs(rows: number): LogBatch {
  const recorded = readRecording();
  const batch = new LogBatch(rows);
  for (let i = 0; i < rows; i++) {
    const { level, facility, sequence, micros, text, fields } = recorded[i % recorded.length] as Recorded;
    for (const [key, value] of Object.entries(fields)) batch.attributes.add(key, value);
    const row = batch.addText(text, level);
    batch.facility[row] = facility;
    batch.sequence[row] = sequence + i;
    batch.rawTime.setNumber(row, micros * 1000 + i);
    batch.unixTime.setBigint(row, BASE_NS + BigInt(micros * 1000 + i));
    batch.observedTime.setBigint(row, BASE_NS + BigInt(micros * 1000 + i + 40_000));
    batch.pid[row] = i & 1023;
  }
  return batch;
}

/** Message spans of the IKC kind: eight attributes, some with an event, some with a link. */
export function sampleSpans(rows: number): SpanBatch {
  const random = createRandom(7);
  const batch = new SpanBatch(rows);
  const { attributes, events, links, strings } = batch;
  const fill = (bytes: Uint8Array, start: number, count: number): void => {
    for (let i = 0; i < count; i++) bytes[start + i] = 1 + Math.floor(random() * 255);
  };
  for (let i = 0; i < rows; i++) {
    const row = batch.openRow();
    const receives = i % 2 === 1;
    fill(batch.traceId, row * 16, 16);
    fill(batch.spanId, row * 8, 8);
    if (receives) fill(batch.parentSpanId, row * 8, 8);
    batch.name[row] = strings.internString(receives ? 'process ring-0-2' : 'send ring-0-2');
    batch.kind[row] = receives ? SPAN_KIND.consumer : SPAN_KIND.producer;
    batch.traceFlags[row] = 1;
    batch.startTime.setBigint(row, BASE_NS + BigInt(i) * 1500n);
    batch.endTime.setBigint(row, BASE_NS + BigInt(i) * 1500n + 900n);
    attributes.add('messaging.system', 'multikernel');
    attributes.add('messaging.operation.name', receives ? 'process' : 'send');
    attributes.add('messaging.destination.name', 'ring-0-2');
    attributes.add('messaging.message.body.size', 64 + (i % 4000));
    attributes.add('messaging.message.type', i % 7);
    attributes.add('mk.peer.kernel.id', receives ? 0 : 2);
    attributes.add('cpu.logical_number', i % 64);
    attributes.add('thread.id', 300 + (i % 900));
    if (i % 50 === 0) {
      batch.statusCode[row] = 2;
      batch.statusMessage[row] = strings.internString('ring full');
      events.attributes.add('attempt', 3);
      events.add(BASE_NS + BigInt(i) * 1500n + 300n, strings.internString('retry'));
    }
    if (i % 10 === 1) {
      const traceId = new Uint8Array(16);
      const spanId = new Uint8Array(8);
      fill(traceId, 0, 16);
      fill(spanId, 0, 8);
      links.add(traceId, spanId, 0);
    }
    batch.closeRow();
  }
  return batch;
}

export function sampleMetrics(rows: number): MetricBatch {
  const batch = new MetricBatch(rows);
  for (let i = 0; i < rows; i++) {
    const cpu = i % 64;
    const definition = {
      name: 'system.cpu.time',
      description: 'Seconds each logical CPU spent on each mode',
      unit: 's',
      type: 'counter',
      integer: false,
    } as const;
    const records = {
      name: 'mk.stream.read',
      description: 'Records taken over',
      unit: '{record}',
      type: 'counter',
      integer: true,
    } as const;
    if (i % 128 < 64)
      batch.add(definition, BASE_NS, BASE_NS + 10_000_000_000n, i * 0.25, { 'cpu.mode': 'user', 'cpu.logical_number': cpu });
    else batch.add(records, BASE_NS, BASE_NS + 10_000_000_000n, i * 1000, { 'mk.stream': 'tracefs:mkscope', 'cpu.logical_number': cpu });
  }
  return batch;
}
