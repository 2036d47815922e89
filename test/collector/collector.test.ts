import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { startCollector, type Collector } from '../../collector/collector.ts';
import type { CollectorOptions } from '../../collector/options.ts';
import { isOperational } from '../../base/errors.ts';
import type { SegmentHeader } from '../../model/segment.ts';
import { createRandom } from '../support/random.ts';
import { tempFolder, whyNoKmsg, whyNoTracefs } from './live.ts';
import { Receiver, until } from './receiver.ts';

async function open(t: TestContext, isHub = true): Promise<Receiver> {
  const receiver = await new Receiver(isHub).open();
  t.after(() => receiver.close());
  return receiver;
}

async function start(t: TestContext, receiver: Receiver, options: Partial<CollectorOptions>): Promise<Collector> {
  const folder = mkdtempSync(join(tmpdir(), 'mkscope-test-'));
  const collector = await startCollector({
    to: { endpoint: receiver.url, timeoutMs: 2000 },
    spoolDir: join(folder, 'spool'),
    sources: {},
    version: 'test',
    ...options,
  });
  t.after(async () => {
    await collector.close();
    rmSync(folder, { recursive: true });
  });
  return collector;
}

function makeConsole(t: TestContext, text = ''): { path: string; write: (from: number, to: number) => void } {
  const path = join(tempFolder(t), 'console.log');
  writeFileSync(path, text);
  return {
    path,
    write: (from, to) => appendFileSync(path, Array.from({ length: to - from }, (_, i) => `[  1.000000] line ${from + i}\n`).join('')),
  };
}

const consoleNumbers = (receiver: Receiver): number[] =>
  receiver
    .logs()
    .filter(({ stream }) => stream === 'console:spawn1')
    .map(({ text }) => Number(/line (\d+)/.exec(text)?.[1]));
const upTo = (end: number): number[] => Array.from({ length: end }, (_, i) => i);
const sorted = (of: readonly number[]): number[] => [...of].sort((a, b) => a - b);

test('collector: kernel log, trace events, system state and books of this kernel reach the hub', async (t) => {
  const why = whyNoKmsg() ?? whyNoTracefs();
  if (why !== undefined) return t.skip(why);
  const receiver = await open(t);
  const collector = await start(t, receiver, {
    sources: { kmsg: { from: 'checkpoint' }, tracefs: { events: ['sched:sched_switch'], bufferSizeKb: 512 }, system: { intervalMs: 100 } },
  });
  assert.deepEqual(collector.status().problems, []);
  const mark = `mkscope-test-${process.pid}-${Date.now()}`;
  writeFileSync('/dev/kmsg', `<3>${mark}\n`);
  const found = await until('the kernel log line', () => receiver.logs().find(({ text }) => text === mark), 2000);
  assert.ok(Math.abs(Number(found.unixNs - BigInt(Date.now()) * 1_000_000n)) < 3e9, 'its time is now');
  // Of its own instance: a collector that another test killed may have left one, which is then read here too.
  const own = (): SegmentHeader[] =>
    receiver.segments().flatMap(({ header }) => (header.stream.endsWith(`-${process.pid}`) ? [header] : []));
  await until('segments', () => own().length > 1);
  await until('their formats', () => own().every(({ formatSet }) => receiver.formats.has(formatSet)));
  await until('books', () => receiver.metrics().some(({ name }) => name === 'mk.stream.written'), 3000);
  for (const name of ['system.cpu.time', 'system.memory.usage', 'mk.clock.error', 'mk.stream.read', 'mk.stream.lost'])
    await until(name, () => receiver.metrics().some((metric) => metric.name === name));
  // Before the collector ends: they are read while events are on their way, and take as long as the kernel takes to write them.
  const kallsyms = readFileSync('/proc/kallsyms', 'latin1');
  if (/^0*[1-9a-f][0-9a-f]* /m.test(kallsyms))
    await until('the symbols', () => [...receiver.symbols.values()].some((text) => text.includes(' _stext\n')));
  assert.match(collector.healthLine(), /^well: /);
  await collector.close();
  const last = (name: string, stream: string): number =>
    receiver
      .metrics()
      .filter((of) => of.name === name && of.attributes['mk.stream'] === stream)
      .reduce((_, of) => of.value, 0);
  assert.equal(last('mk.stream.written', 'kmsg'), last('mk.stream.read', 'kmsg') + last('mk.stream.lost', 'kmsg'));
  const streams = new Set(receiver.batches.map(({ stream }) => stream));
  for (const stream of streams) {
    const seqs = receiver.batches.filter((batch) => batch.stream === stream).map(({ seq }) => seq);
    assert.deepEqual(seqs, upTo(seqs.length), 'numbered without a hole');
  }
});

test('collector: a hub that is down, then slow, then failing, then up misses nothing', async (t) => {
  const receiver = await open(t);
  await receiver.close();
  const console1 = makeConsole(t);
  const collector = await start(t, receiver, { sources: { console: [{ name: 'spawn1', from: console1.path }] } });
  console1.write(0, 50);
  await until('the health line says so', () => /away for/.test(collector.healthLine()));
  let failures = 0;
  receiver.refuse = (path) => (path === '/v1/logs' && failures++ < 3 ? [503, 0, 429][failures - 1] : undefined);
  await receiver.open();
  await until('caught up', () => consoleNumbers(receiver).length === 50, 15_000);
  console1.write(50, 60);
  await until('goes on', () => consoleNumbers(receiver).length === 60);
  assert.deepEqual(consoleNumbers(receiver), upTo(60));
  assert.doesNotMatch(collector.healthLine(), /away for/);
});

test('collector: messages of the kernel have their names for any receiver, and their level decides the lane', async (t) => {
  const receiver = await open(t, false);
  const console1 = makeConsole(t);
  writeFileSync(console1.path, '[    1.000000] Multikernel instance 3 is now active\n');
  await start(t, receiver, { sources: { console: [{ name: 'spawn1', from: console1.path }] } });
  const named = (): string[] =>
    receiver
      .logs()
      .flatMap(({ eventName, attributes }) => (eventName === '' ? [] : [`${eventName} ${attributes['mk.instance.id'] ?? ''}`]));
  await until('the name', () => named().length === 1);
  // A console has no levels: this one is an error by what it says.
  appendFileSync(console1.path, '[    2.000000] Timeout waiting for operation 0x2001 on resource 8\n');
  await until('the second name', () => named().length === 2);
  assert.deepEqual(named(), ['mk.instance.active 3', 'mk.ikc.timeout ']);
  const lanes = receiver.batches.filter(({ path }) => path === '/v1/logs').map(({ stream }) => stream);
  assert.equal(new Set(lanes).size, 2, 'a lane of its own');
});

test('collector: a batch that was taken without an answer is sent again under the same number', async (t) => {
  const receiver = await open(t);
  const console1 = makeConsole(t);
  receiver.cutAfterTaking = true;
  await start(t, receiver, { sources: { console: [{ name: 'spawn1', from: console1.path }] } });
  console1.write(0, 10);
  await until('repeats', () => receiver.repeats > 0);
  receiver.cutAfterTaking = false;
  console1.write(10, 20);
  await until('the rest', () => consoleNumbers(receiver).length === 20);
  assert.deepEqual(consoleNumbers(receiver), upTo(20));
});

test('collector: any OTLP backend gets logs and metrics, gzipped, and no trace pages', async (t) => {
  const why = whyNoTracefs();
  if (why !== undefined) return t.skip(why);
  const receiver = await open(t, false);
  const console1 = makeConsole(t);
  const collector = await start(t, receiver, {
    sources: {
      console: [{ name: 'spawn1', from: console1.path }],
      tracefs: { events: ['sched:sched_switch'], bufferSizeKb: 512 },
      system: { intervalMs: 50 },
    },
  });
  console1.write(0, 200);
  await until('logs', () => consoleNumbers(receiver).length === 200);
  await until('metrics', () => receiver.metrics().some(({ name }) => name === 'system.cpu.time'));
  await new Promise((resolve) => {
    setTimeout(resolve, 400);
  });
  assert.equal(collector.status().receiver.kind, 'otlp');
  assert.equal(
    receiver.batches.some(({ path }) => path.includes('mkscope')),
    false,
  );
  assert.equal(receiver.formats.size + receiver.symbols.size, 0);
  assert.ok(receiver.batches.every(({ encoding }) => encoding !== 'zstd'));
});

test('collector: a batch that is refused for good is dropped, counted, and said as a gap', async (t) => {
  const receiver = await open(t);
  const console1 = makeConsole(t);
  let refused = false;
  receiver.refuse = (path) => {
    if (path !== '/v1/logs' || refused) return undefined;
    refused = true;
    return 400;
  };
  const collector = await start(t, receiver, { sources: { console: [{ name: 'spawn1', from: console1.path }] } });
  console1.write(0, 7);
  const gap = await until('gap', () => receiver.logs().find(({ eventName }) => eventName === 'mk.gap'));
  assert.deepEqual(
    [gap.attributes['mk.stream'], gap.attributes['mk.gap.count'], gap.attributes['mk.gap.reason']],
    ['console:spawn1', '7', 'refused'],
  );
  assert.equal(collector.status().dropped, 7);
  console1.write(7, 9);
  await until('goes on', () => consoleNumbers(receiver).length === 2);
});

test('collector: a full spool drops the oldest, and the books balance', async (t) => {
  const receiver = await open(t);
  await receiver.close();
  const console1 = makeConsole(t);
  const collector = await start(t, receiver, {
    spoolMaxBytes: 1 << 20,
    sources: { console: [{ name: 'spawn1', from: console1.path }], system: { intervalMs: 1000 } },
  });
  // Texts that do not compress, so that they fill the spool.
  const random = createRandom(7);
  const noise = (): string => Array.from({ length: 100 }, () => random().toString(36).slice(2)).join('');
  let written = 0;
  for (let round = 0; round < 40; round++) {
    const text = Array.from({ length: 50 }, () => `[  1.000000] line ${written++} ${noise()}\n`).join('');
    appendFileSync(console1.path, text);
    await new Promise((resolve) => {
      setTimeout(resolve, 15);
    });
  }
  await until('all read', () => collector.status().sources.find(({ id }) => id === 'console:spawn1')?.streams[0]?.read === written);
  assert.ok(collector.status().spool.bytes <= 1 << 20);
  await receiver.open();
  await until(
    'caught up',
    () => collector.status().sender.awaySinceMs === undefined && consoleNumbers(receiver).includes(written - 1),
    40_000,
  );
  const dropped = (): number =>
    receiver
      .logs()
      .filter(({ attributes }) => attributes['mk.gap.reason'] === 'spool_full' && attributes['mk.stream'] === 'console:spawn1')
      .reduce((sum, { attributes }) => sum + Number(attributes['mk.gap.count']), 0);
  // What tells of the gap is sent in a lane of its own, which may be the later one.
  await until('stored + dropped = read', () => consoleNumbers(receiver).length + dropped() === written);
  assert.ok(dropped() > 0, 'the spool was meant to run over');
  const counted = (): number | undefined =>
    receiver.metrics().findLast(({ name, attributes }) => name === 'mk.stream.dropped' && attributes['mk.stream'] === 'console:spawn1')
      ?.value;
  await until('the counter says the same', () => counted() === dropped());
});

test('collector: killed at random moments and started again, nothing is lost or doubled', async (t) => {
  const receiver = await open(t);
  const console1 = makeConsole(t);
  const spool = join(tempFolder(t), 'spool');
  const random = createRandom(20_261_123);
  let written = 0;
  receiver.refuse = () => (random() < 0.2 ? 503 : undefined);
  const run = async (): Promise<ChildProcess> => {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'run-collector.ts'), receiver.url, spool, console1.path], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    return child;
  };
  const end = (child: ChildProcess, signal: NodeJS.Signals): Promise<void> =>
    new Promise((resolve) => {
      child.once('exit', () => resolve());
      child.kill(signal);
    });
  for (let round = 0; round < 6; round++) {
    const child = await run();
    const burst = setInterval(() => {
      console1.write(written, written + 20);
      written += 20;
    }, 5);
    await new Promise((resolve) => {
      setTimeout(resolve, 60 + random() * 240);
    });
    clearInterval(burst);
    await end(child, 'SIGKILL');
  }
  receiver.refuse = () => undefined;
  const child = await run();
  await until('all arrived', () => consoleNumbers(receiver).length >= written, 20_000);
  await end(child, 'SIGTERM');
  assert.deepEqual(sorted(consoleNumbers(receiver)), upTo(written));
});

test('collector: what cannot be read is said with its remedy, and the rest goes on', async (t) => {
  const receiver = await open(t);
  const console1 = makeConsole(t);
  const collector = await start(t, receiver, {
    sources: {
      kmsg: { from: 'start', path: '/nonexistent/kmsg' },
      tracefs: { events: ['sched'], root: '/nonexistent' },
      console: [{ name: 'spawn1', from: console1.path }],
    },
  });
  console1.write(0, 3);
  await until('the rest', () => consoleNumbers(receiver).length === 3);
  const { problems } = collector.status();
  assert.deepEqual(
    problems.map(({ source, code }) => `${source} ${code}`),
    ['kmsg E_KMSG_OPEN', 'tracefs E_TRACEFS_MISSING'],
  );
  assert.ok(problems.every(({ hint }) => hint.length > 0));
  assert.match(collector.healthLine(), /kmsg not read/);
});

test('collector: a wrong setting is an operational error, and nothing stays behind', async (t) => {
  const spoolDir = join(tempFolder(t), 'spool');
  const wrong: Partial<CollectorOptions>[] = [{ to: { endpoint: 'gopher://x' } }, { spans: ['nonsense'] }, { spoolDir: '/dev/null/spool' }];
  for (const options of wrong) {
    await assert.rejects(
      startCollector({ to: { endpoint: 'http://127.0.0.1:1' }, spoolDir, sources: {}, version: 'test', ...options }),
      (error) => isOperational(error) && error.hint !== '',
    );
  }
});

test('collector: its instances are gone after close', async (t) => {
  const why = whyNoTracefs();
  if (why !== undefined) return t.skip(why);
  const receiver = await open(t);
  const collector = await start(t, receiver, { sources: { tracefs: { events: ['irq'] } } });
  await collector.close();
  const left = readdirSync('/sys/kernel/tracing/instances').filter((name) => name.endsWith(`-${process.pid}`));
  assert.deepEqual(left, []);
});

test('collector: its own spans go to their endpoint through the SDK, and nowhere without one', async (t) => {
  const receiver = await open(t);
  const own = await open(t, false);
  const console1 = makeConsole(t);
  const collector = await start(t, receiver, {
    sources: { console: [{ name: 'spawn1', from: console1.path }] },
    telemetry: { endpoint: own.url },
  });
  console1.write(0, 3);
  await until('the data', () => consoleNumbers(receiver).length === 3);
  await collector.close();
  const bodies = own.batches.filter(({ path }) => path === '/v1/traces').map(({ body }) => Buffer.from(body).toString('utf8'));
  assert.ok(bodies.some((body) => body.includes('mkscope send') && body.includes('mkscope-collector')));
  assert.equal(
    receiver.batches.some(({ path }) => path === '/v1/traces'),
    false,
  );
});
