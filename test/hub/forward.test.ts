/** Spans that a hub has, at an OTLP receiver behind it: through its absence, and over a restart of the hub. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ByteWriter } from '../../base/bytes.ts';
import { startHub } from '../../hub/hub.ts';
import { toResource, toScope } from '../../model/identity.ts';
import { SPAN_KIND, SpanBatch } from '../../model/span-batch.ts';
import { decodeSpans, type DecodedSpans } from '../../otlp/decode.ts';
import { encodeSpans } from '../../otlp/encode.ts';
import { Receiver } from '../collector/receiver.ts';
import { HOST, nowNs, post, runHub, SPAWN } from './running-hub.ts';

async function until(what: string, probe: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = Date.now() + 30_000;
  while (!(await probe())) {
    if (Date.now() > endMs) throw new Error(`${what}: not within 30 s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const traceId = (of: number): Uint8Array => Uint8Array.from({ length: 16 }, (_, at) => (at === 15 ? of : 7));
const spanId = (of: number): Uint8Array => Uint8Array.from({ length: 8 }, (_, at) => (at === 7 ? of : 9));

/** A send of the host and its receive in the spawned kernel, which names it as parent and as link. */
function toBody(of: number, startNs: bigint): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  for (const [identity, kind] of [
    [HOST, SPAN_KIND.producer],
    [SPAWN, SPAN_KIND.consumer],
  ] as const) {
    const batch = new SpanBatch();
    const row = batch.openRow();
    const isConsumer = kind === SPAN_KIND.consumer;
    batch.traceId.set(traceId(of));
    batch.spanId.set(spanId(isConsumer ? of + 100 : of));
    if (isConsumer) batch.parentSpanId.set(spanId(of));
    batch.name[row] = batch.strings.internString(`${isConsumer ? 'receive' : 'send'} ${of}`);
    batch.kind[row] = kind;
    batch.startTime.setBigint(row, startNs);
    batch.endTime.setBigint(row, startNs + 1234n);
    batch.attributes.add('messaging.system', 'multikernel');
    if (isConsumer) batch.links.add(traceId(of), spanId(of), 0);
    batch.events.attributes.add('what', 'x');
    batch.events.add(startNs + 1n, batch.strings.internString('queued'));
    batch.closeRow();
    encodeSpans(toResource(identity), toScope('ikc', '1'), batch, writer);
  }
  return writer.toBytes();
}

function spansOf(receiver: Receiver): DecodedSpans[] {
  return receiver.batches.flatMap(({ path, body }) => {
    const decoded = decodeSpans(body);
    assert.ok(path === '/v1/traces' && decoded.ok);
    return decoded.parts;
  });
}

/** Names of what came, once for each time that it did. */
const namesOf = (receiver: Receiver): string[] =>
  spansOf(receiver)
    .flatMap(({ batch }) => Array.from({ length: batch.length }, (_, row) => batch.strings.get(batch.name[row] as number)))
    .toSorted();

test('forward: spans go on as they came, wait while the receiver is away, and none is left out or repeated over a restart', async () => {
  const receiver = await new Receiver(false).open();
  const dataDir = mkdtempSync(join(tmpdir(), 'mkscope-forward-'));
  const options = { dataDir, forward: { endpoint: receiver.url } };
  let hub = await runHub(options);
  try {
    const startNs = nowNs();
    assert.equal((await post(`${hub.addresses.otlp}/v1/traces`, toBody(1, startNs))).status, 200);
    await until('both spans', () => namesOf(receiver).length === 2);
    const [sent, received] = spansOf(receiver).toSorted(
      (a, b) => Number(a.resource.identity?.kernelId) - Number(b.resource.identity?.kernelId),
    );
    assert.deepEqual([sent?.resource.attributes['service.name'], received?.resource.attributes['service.name']], ['host', 'spawn1']);
    assert.deepEqual([sent?.batch.kind[0], received?.batch.kind[0]], [SPAN_KIND.producer, SPAN_KIND.consumer]);
    assert.deepEqual(received?.batch.parentSpanId.subarray(0, 8), sent?.batch.spanId.subarray(0, 8));
    assert.deepEqual(received?.batch.links.traceId[0], traceId(1));
    assert.deepEqual([received?.batch.startTime.getBigint(0), received?.batch.endTime.getBigint(0)], [startNs, startNs + 1234n]);
    assert.deepEqual(received?.batch.attributes.rowOf(0), { 'messaging.system': 'multikernel' });
    assert.equal(received?.batch.events.timeNs[0], startNs + 1n);

    receiver.refuse = () => 503;
    assert.equal((await post(`${hub.addresses.otlp}/v1/traces`, toBody(2, startNs))).status, 200);
    await until('it is said', async () => (await hub.health()).problems.some((problem) => problem.includes('spans wait to be forwarded')));
    // The hub goes; what waits is in the store.
    await hub.close();
    receiver.refuse = () => undefined;
    hub = await runHub(options);
    assert.equal((await post(`${hub.addresses.otlp}/v1/traces`, toBody(3, startNs))).status, 200);
    await until('all', () => namesOf(receiver).length >= 6);
    assert.deepEqual(namesOf(receiver), ['receive 1', 'receive 2', 'receive 3', 'send 1', 'send 2', 'send 3']);
    const metrics = await (await fetch(`${hub.addresses.page}/metrics`)).text();
    assert.match(metrics, /^mkscope_forward_spans_total 4$/m);
  } finally {
    await hub.close();
    await receiver.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
});

test('forward: what the receiver refuses for good is counted and passed over; an address that cannot be is refused at the start', async () => {
  const receiver = await new Receiver(false).open();
  receiver.refuse = () => 400;
  const hub = await runHub({ forward: { endpoint: receiver.url } });
  try {
    assert.equal((await post(`${hub.addresses.otlp}/v1/traces`, toBody(1, nowNs()))).status, 200);
    const metricsOf = async (): Promise<string> => (await fetch(`${hub.addresses.page}/metrics`)).text();
    await until('they are counted', async () => /^mkscope_forward_refused_total 2$/m.test(await metricsOf()));
    receiver.refuse = () => undefined;
    assert.equal((await post(`${hub.addresses.otlp}/v1/traces`, toBody(2, nowNs()))).status, 200);
    await until('the next ones', () => namesOf(receiver).length === 2);
  } finally {
    await hub.stop();
    await receiver.close();
  }
  const dataDir = mkdtempSync(join(tmpdir(), 'mkscope-forward-'));
  const port = { host: '127.0.0.1', port: 0 };
  await assert.rejects(startHub({ version: 'test', dataDir, webDir: dataDir, page: port, otlp: port, forward: { endpoint: 'ftp://x' } }), {
    code: 'E_CONFIG_VALUE',
  });
  rmSync(dataDir, { recursive: true, force: true });
});
