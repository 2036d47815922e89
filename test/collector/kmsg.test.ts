import assert from 'node:assert/strict';
import { closeSync, openSync, writeSync } from 'node:fs';
import { test } from 'node:test';
import { KmsgQueue } from '../../collector/kmsg-queue.ts';
import { Ledger } from '../../collector/ledger.ts';
import { KmsgSource, type KmsgOptions } from '../../collector/sources/kmsg.ts';
import { isOperational } from '../../base/errors.ts';
import { KeepingSink, openClock, whyNoKmsg } from './live.ts';
import { until } from './receiver.ts';

const BOOT = 'boot-1';

/** One open per record: the kernel limits what one open file writes (printk_devkmsg = ratelimit). */
function writeKernelLog(text: string): void {
  const fd = openSync('/dev/kmsg', 'w');
  writeSync(fd, `${text}\n`);
  closeSync(fd);
}

const record = (level: number, sequence: number): { bytes: Uint8Array; sequence: number; level: number; micros: number } => ({
  bytes: new Uint8Array(100),
  sequence,
  level,
  micros: sequence * 10,
});

test('kmsg queue: gives up the least severe, of these the oldest, and counts them', () => {
  const queue = new KmsgQueue(500);
  queue.push(record(3, 0));
  queue.push(record(6, 1));
  queue.push(record(7, 2));
  queue.push(record(6, 3));
  queue.push(record(0, 4));
  assert.equal(queue.takeDrop(), undefined);
  queue.push(record(4, 5));
  queue.push(record(4, 6));
  assert.deepEqual(queue.takeDrop(), { count: 2, fromMicros: 10, toMicros: 20 });
  assert.deepEqual(
    queue.take(2).map(({ sequence }) => sequence),
    [0, 3],
  );
  queue.push(record(7, 7));
  assert.deepEqual(
    queue.take(99).map(({ sequence }) => sequence),
    [4, 5, 6, 7],
  );
  assert.equal(queue.length, 0);
});

test('kmsg: a severe record survives a flood that the sink does not take', () => {
  const queue = new KmsgQueue(10_000);
  queue.push(record(2, 0));
  for (let i = 1; i < 5000; i++) queue.push(record(6, i));
  assert.equal(queue.take(1)[0]?.sequence, 0);
  assert.equal(queue.takeDrop()?.count, 4900);
});

test('kmsg: odd texts come back as they were written, live', async (t) => {
  const why = whyNoKmsg();
  if (why !== undefined) return t.skip(why);
  const sink = new KeepingSink();
  const source = new KmsgSource({ from: 'now', bootId: BOOT, resume: undefined, clock: openClock(t), ledger: new Ledger() });
  await source.start(sink);
  t.after(() => source.stop());
  const mark = `mkscope-test-${process.pid}`;
  const texts = [
    `${mark} plain`,
    `${mark} ünïcode → 核`,
    `${mark} back\\slash "quotes"; semi, comma =`,
    `${mark} tab\there`,
    `${mark} ${'x'.repeat(900)}`,
  ];
  for (const text of texts) writeKernelLog(`<4>${text}`);
  await until('all records', () => texts.every((text) => sink.texts().includes(text)));
  assert.equal(
    sink.texts().some((text) => text.startsWith('Linux version')),
    false,
    'from now on: nothing old',
  );
  const [last] = sink.of('logs').slice(-1);
  assert.equal(last?.batch.level[last.batch.length - 1], 4);
  const { written, read, lost } = source.status().streams[0] as { written: number; read: number; lost: number };
  assert.equal(written, read + lost);
});

test('kmsg: resumes behind the checkpoint of the same boot, and says what it missed', async (t) => {
  const why = whyNoKmsg();
  if (why !== undefined) return t.skip(why);
  const run = async (options: Partial<KmsgOptions>): Promise<{ sink: KeepingSink; source: KmsgSource }> => {
    const sink = new KeepingSink();
    const source = new KmsgSource({
      from: 'checkpoint',
      bootId: BOOT,
      resume: undefined,
      clock: openClock(t),
      ledger: new Ledger(),
      ...options,
    });
    await source.start(sink);
    await source.stop();
    return { sink, source };
  };
  writeKernelLog(`mkscope-test-${process.pid} first`);
  const first = await run({});
  const position = first.sink.of('logs').at(-1)?.position;
  assert.ok(position !== undefined && position.sequence > 0);

  writeKernelLog(`mkscope-test-${process.pid} second`);
  const second = await run({ resume: position });
  assert.equal(second.sink.of('logs')[0]?.batch.sequence[0], position.sequence + 1);
  assert.deepEqual(second.sink.of('gaps'), []);
  const { written, read, lost, sinceUnixNs } = second.source.status().streams[0] ?? {};
  assert.equal(written, (read ?? 0) + (lost ?? 0), 'the books go on over the restart');
  assert.equal(sinceUnixNs, first.source.status().streams[0]?.sinceUnixNs);

  const otherBoot = await run({ resume: { ...position, bootId: 'boot-0' } });
  assert.ok(otherBoot.sink.texts().length > second.sink.texts().length, 'another boot: all of the ring');
});

test('kmsg: a device that is not there is an operational error with a hint', async (t) => {
  const source = new KmsgSource({
    path: '/nonexistent/kmsg',
    from: 'start',
    bootId: BOOT,
    resume: undefined,
    clock: openClock(t),
    ledger: new Ledger(),
  });
  await assert.rejects(
    source.start(new KeepingSink()),
    (error) => isOperational(error) && error.code === 'E_KMSG_OPEN' && error.hint !== '',
  );
});
