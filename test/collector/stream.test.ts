/** The real forwarder on this kernel, read by a real collector: what the kernel counts must be what arrived and what was lost. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fromFitFields, toUnixNs } from '../../clock/fit.ts';
import { EventBatch } from '../../model/event-batch.ts';
import { PageReader } from '../../parsers/ring-buffer.ts';
import { createRandom, randomBytes } from '../support/random.ts';
import {
  buildForwarder,
  gapsOf,
  kmsgSequences,
  nextInstance,
  openMeddler,
  openReceiver,
  readKernelStats,
  settleBooks,
  sizeOfForwarder,
  startForwarder,
  startStream,
  stopRecording,
  sum,
  tempFolder,
  whyNoForwarder,
} from './guest-forwarder.ts';
import { until } from './receiver.ts';

const EVENTS = ['--events', 'sched:sched_switch,sched:sched_wakeup,irq'];
const NOISY = ['--events', 'sched:*,raw_syscalls:*', '--buffer-kb', '64'];

/** System calls, which `raw_syscalls` records. */
function makeNoise(calls: number): void {
  for (let i = 0; i < calls; i++) existsSync('/proc/self');
}

function say(text: string): void {
  writeFileSync('/dev/kmsg', `<5>${text}\n`);
}

const upTo = (end: number): number[] => Array.from({ length: end }, (_, i) => i);
const sorted = (of: readonly number[]): number[] => [...of].sort((a, b) => a - b);
/** The kernel log came whole: each SEQ once, but for those that are in gaps. */
function assertKmsgWhole(sequences: readonly number[]): void {
  const all = sorted(sequences);
  const first = all[0] ?? 0;
  assert.deepEqual(
    all,
    upTo(all.length).map((i) => i + first),
  );
}

test('stream: a guest’s log, pages, formats and books arrive under its own identity', async (t) => {
  const why = whyNoForwarder();
  if (why !== undefined) return t.skip(why);
  const receiver = await openReceiver(t);
  const path = join(tempFolder(t), 'guest.sock');
  const collector = await startStream(t, receiver, { name: 'guest', from: `unix-listen:${path}`, kernel: 3 });
  const { instance, end } = startForwarder(t, nextInstance(t), `unix:${path}`, EVENTS);
  const mark = `mkfwd-test-${process.pid}-${Date.now()}`;
  await until('hello', () => collector.status().guests[0]?.identity, 5000);
  const beforeMs = Date.now();
  say(mark);
  const afterMs = Date.now();
  const found = await until('its log', () => receiver.logs().find(({ text }) => text === mark), 2000);
  const foundMs = Number(found.unixNs) / 1e6;
  const doubtMs = 1 + found.errorNs / 1e6;
  assert.ok(
    doubtMs < 50 && foundMs > beforeMs - doubtMs && foundMs < afterMs + doubtMs,
    `${foundMs} ± ${doubtMs}, ${beforeMs} to ${afterMs} ms`,
  );
  await until('segments', () => receiver.segments().length > 2);
  const { header } = receiver.segments()[0] as ReturnType<typeof receiver.segments>[number];
  assert.equal(header.identity.kernelId, 3);
  assert.equal(header.identity.kernelName, 'spawn3');
  assert.equal(header.identity.bootId, readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
  assert.equal(header.stream, `tracefs:${instance}`);
  assert.ok(header.fit.errorNs < 20e6, `± ${header.fit.errorNs} ns`);
  await settleBooks(collector, receiver, instance);
  assertKmsgWhole(kmsgSequences(receiver));
  await end('SIGTERM');
  assert.equal(existsSync(join('/sys/kernel/tracing/instances', instance)), false, 'its instance is gone');
  t.diagnostic(`mkfwd is ${Math.round(sizeOfForwarder() / 1024)} KiB`);
  assert.ok(sizeOfForwarder() <= 2 << 20);
});

test('stream: the state of a guest’s system arrives as metrics of the guest, beside those of our own kernel', async (t) => {
  const why = whyNoForwarder();
  if (why !== undefined) return t.skip(why);
  const receiver = await openReceiver(t);
  const path = join(tempFolder(t), 'guest.sock');
  const sources = { system: { intervalMs: 100 } };
  await startStream(t, receiver, { name: 'guest', from: `unix-listen:${path}`, kernel: 3 }, { sources });
  startForwarder(t, nextInstance(t), `unix:${path}`, [...EVENTS, '--system-ms', '1000']);
  const of = (kernel: 'own' | 'guest') => receiver.metrics().filter(({ kernelName }) => (kernelName === 'spawn3') === (kernel === 'guest'));
  const timesOf = (kernel: 'own' | 'guest'): bigint[] => [
    ...new Set(of(kernel).flatMap(({ name, timeNs }) => (name === 'system.uptime' ? [timeNs] : []))),
  ];
  await until('four samples', () => timesOf('guest').length >= 4);
  const guest = of('guest');
  const last = (name: string): number => guest.findLast((point) => point.name === name)?.value ?? NaN;
  const total = Number(/MemTotal: +(\d+)/.exec(readFileSync('/proc/meminfo', 'latin1'))?.[1]) * 1024;
  assert.equal(last('system.memory.limit'), total);
  assert.ok(last('system.memory.linux.available') > 0 && last('system.memory.linux.available') < total);
  const cpus = readFileSync('/proc/stat', 'latin1').match(/^cpu\d+ /gm)?.length;
  assert.equal(last('system.cpu.logical.count'), cpus);
  assert.equal(new Set(guest.filter(({ name }) => name === 'system.cpu.time').map((p) => p.attributes['cpu.logical_number'])).size, cpus);
  assert.ok(guest.some(({ name, value }) => name === 'system.cpu.utilization' && value >= 0 && value <= 1));
  assert.ok(Math.abs(last('system.uptime') - Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0])) < 10);
  assert.equal(existsSync('/proc/pressure/memory'), !Number.isNaN(last('mk.pressure.time')));
  // The same names as of our own kernel, and each kernel's samples at its own pace: none goes under the other's name.
  const names = (kernel: 'own' | 'guest') =>
    new Set(of(kernel).flatMap(({ name }) => (/^(system|mk\.(pressure|load))/.test(name) ? [name] : [])));
  assert.deepEqual([...names('guest')].sort(), [...names('own')].sort());
  const times = timesOf('guest').sort();
  for (let i = 1; i < times.length; i++) assert.ok(Number((times[i] as bigint) - (times[i - 1] as bigint)) > 500e6, String(times));
  assert.ok(timesOf('own').length > timesOf('guest').length * 2);
  assert.ok(Math.abs(Number(times.at(-1)) / 1e6 - Date.now()) < 5000);
});

test('stream: a forwarder that is killed is followed by one that goes on; what it had taken out is a counted gap', async (t) => {
  const why = whyNoForwarder();
  if (why !== undefined) return t.skip(why);
  const receiver = await openReceiver(t);
  const path = join(tempFolder(t), 'guest.sock');
  const collector = await startStream(t, receiver, { name: 'guest', from: `unix-listen:${path}` });
  const instance = nextInstance(t);
  let written = 0;
  for (let round = 0; round < 4; round++) {
    const { end } = startForwarder(t, instance, `unix:${path}`, NOISY);
    await until(
      'it runs',
      () => collector.status().sources[0]?.state === 'running' && existsSync(join('/sys/kernel/tracing/instances', instance)),
    );
    for (let i = 0; i < 20; i++) {
      say(`killed ${round} ${written++}`);
      makeNoise(500);
      await sleep(5);
    }
    await end('SIGKILL');
    say(`between ${written++}`);
    makeNoise(2000);
    await until('the end is seen', () => collector.status().sources[0]?.state === 'waiting');
  }
  startForwarder(t, instance, `unix:${path}`, NOISY);
  await until('it is back', () => collector.status().sources[0]?.state === 'running');
  const stats = await settleBooks(collector, receiver, instance);
  const ringLost = stats.reduce((total, of) => total + of.overrun + of.commitOverrun + of.droppedEvents, 0);
  const gaps = gapsOf(receiver, 'tracefs:');
  assert.equal((gaps.get('collector_restart') ?? 0) + ringLost, sum(collector, 'lost'));
  assert.equal(gaps.has('resized_or_stolen'), false);
  await until('the log', () => receiver.logs().some(({ text }) => text === `between ${written - 1}`));
  assertKmsgWhole(kmsgSequences(receiver));
});

test('stream: cut in the middle of frames and fed with garbage, nothing is lost or doubled', async (t) => {
  const why = whyNoForwarder();
  if (why !== undefined) return t.skip(why);
  const receiver = await openReceiver(t);
  const folder = tempFolder(t);
  const path = join(folder, 'guest.sock');
  const collector = await startStream(t, receiver, { name: 'guest', from: `unix-listen:${path}` });
  const meddler = await openMeddler(t, folder, path);
  const random = createRandom(20_261_125);
  let bytesToCut = 20_000;
  let garbage = 0;
  meddler.meddle = (bytes) => {
    bytesToCut -= bytes.length;
    if (bytesToCut < 0) {
      bytesToCut = 5000 + random() * 150_000;
      setImmediate(() => meddler.cut());
      return [bytes.subarray(0, Math.floor(random() * bytes.length))];
    }
    if (random() > 0.3) return [bytes];
    garbage++;
    const at = random() < 0.5 ? 0 : Math.floor(random() * bytes.length);
    const noise = random() < 0.5 ? Buffer.from('[    1.234567] console text MKGF\n') : Buffer.from(randomBytes(random, 200));
    return [bytes.subarray(0, at), noise, bytes.subarray(at)];
  };
  const { instance } = startForwarder(t, nextInstance(t), `unix:${meddler.path}`, NOISY);
  await until('hello', () => collector.status().guests[0]?.identity, 20_000);
  // How many bytes a time of noise is, and in how many pieces they come, is the machine's: it goes on until enough was done to them.
  const isEnough = (): boolean => meddler.cuts > 10 && garbage > 10;
  const deadlineMs = Date.now() + 60_000;
  let said = 0;
  while (said < 150 || (!isEnough() && Date.now() < deadlineMs)) {
    say(`cut ${said++}`);
    makeNoise(300);
    await sleep(10);
  }
  const doneTo = `${meddler.cuts} cuts, garbage put in ${garbage} times`;
  t.diagnostic(doneTo);
  assert.ok(isEnough(), doneTo);
  meddler.meddle = (bytes) => [bytes];
  await settleBooks(collector, receiver, instance);
  assert.equal(gapsOf(receiver, 'tracefs:').size, 0, 'only the ring itself lost events');
  await until('the log', () => receiver.logs().some(({ text }) => text === `cut ${said - 1}`));
  assertKmsgWhole(kmsgSequences(receiver));
});

test('stream: a collector that is killed goes on where its disk says', async (t) => {
  const why = whyNoForwarder();
  if (why !== undefined) return t.skip(why);
  const receiver = await openReceiver(t);
  const folder = tempFolder(t);
  const path = join(folder, 'guest.sock');
  const spool = join(folder, 'spool');
  const { instance } = startForwarder(t, nextInstance(t), `unix:${path}`, NOISY);
  const random = createRandom(7);
  let said = 0;
  for (let round = 0; round < 5; round++) {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'run-stream.ts'), receiver.url, spool, path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const gone = new Promise((resolve) => child.once('exit', resolve));
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const endMs = Date.now() + 300 + random() * 500;
    while (Date.now() < endMs) {
      say(`collected ${said++}`);
      makeNoise(200);
      await sleep(10);
    }
    child.kill('SIGKILL');
    await gone;
  }
  const collector = await startStream(t, receiver, { name: 'guest', from: `unix-listen:${path}` }, { spoolDir: spool });
  await until('hello', () => collector.status().guests[0]?.identity);
  const stats = await settleBooks(collector, receiver, instance);
  const ringLost = stats.reduce((total, of) => total + of.overrun + of.commitOverrun + of.droppedEvents, 0);
  assert.equal(sum(collector, 'lost'), ringLost, 'what was not acknowledged was sent again');
  await until('the log', () => receiver.logs().some(({ text }) => text === `collected ${said - 1}`));
  assertKmsgWhole(kmsgSequences(receiver));
});

test('stream: while nobody reads, the kernel’s own ring runs over, and its count is in the books', async (t) => {
  const why = whyNoForwarder();
  if (why !== undefined) return t.skip(why);
  const receiver = await openReceiver(t);
  const path = join(tempFolder(t), 'guest.sock');
  const first = await startStream(t, receiver, { name: 'guest', from: `unix-listen:${path}` });
  const { instance, child } = startForwarder(t, nextInstance(t), `unix:${path}`, [...NOISY, '--queue-kb', '256']);
  await until('hello', () => first.status().guests[0]?.identity);
  await first.close();
  for (let i = 0; i < 40; i++) {
    makeNoise(5000);
    await sleep(2);
  }
  const rss = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]);
  assert.ok(rss < 8192, `the forwarder holds ${rss} KiB`);
  assert.ok(
    readKernelStats(instance).some(({ overrun }) => overrun > 0),
    'the ring was meant to run over',
  );
  const collector = await startStream(t, receiver, { name: 'guest', from: `unix-listen:${path}` });
  await until('hello', () => collector.status().guests[0]?.identity);
  stopRecording(instance);
  await until('the ring is empty', () => readKernelStats(instance).every(({ entries }) => entries === 0), 20_000);
  const stats = readKernelStats(instance);
  const ringLost = stats.reduce((total, of) => total + of.overrun + of.commitOverrun + of.droppedEvents, 0);
  await until('the loss is in the books', () => sum(collector, 'lost') === ringLost);
  await until('the books are closed', () => sum(collector, 'written') === sum(collector, 'read') + ringLost);
});

test('stream: a guest may not be another kernel than it is allowed to be', async (t) => {
  const why = whyNoForwarder();
  if (why !== undefined) return t.skip(why);
  const receiver = await openReceiver(t);
  const path = join(tempFolder(t), 'guest.sock');
  const collector = await startStream(t, receiver, { name: 'guest', from: `unix-listen:${path}`, kernel: 2 });
  const { end } = startForwarder(t, nextInstance(t), `unix:${path}`, EVENTS);
  const status = await until('refused', () => collector.status().sources.find(({ state }) => state === 'failed'));
  assert.match(status.detail, /says that it is kernel 3, and this stream is kernel 2/);
  assert.match(collector.healthLine(), /stream:guest failed/);
  await end('SIGKILL');
  assert.equal(receiver.logs().length, 0);
});

test('stream: trace clocks that count otherwise are aligned through the guest’s own samples', async (t) => {
  const why = whyNoForwarder();
  if (why !== undefined) return t.skip(why);
  for (const clock of ['x86-tsc', 'mono_raw', 'perf']) {
    if (!readFileSync('/sys/kernel/tracing/trace_clock', 'utf8').includes(clock)) continue;
    const receiver = await openReceiver(t);
    const path = join(tempFolder(t), 'guest.sock');
    await startStream(t, receiver, { name: 'guest', from: `unix-listen:${path}` });
    const { instance, end } = startForwarder(t, nextInstance(t), `unix:${path}`, ['--events', 'irq', '--clock', clock]);
    await until('segments', () => receiver.segments().length > 3);
    const beforeMs = Date.now();
    writeFileSync(join('/sys/kernel/tracing/instances', instance, 'trace_marker'), 'tick of the clock');
    const afterMs = Date.now();
    const unixNs = await until('the marker', () => markerTime(receiver, 'tick of the clock'), 3000);
    assert.ok(
      Number(unixNs.at) / 1e6 > beforeMs - 1 - unixNs.errorNs / 1e6 && Number(unixNs.at) / 1e6 < afterMs + 1 + unixNs.errorNs / 1e6,
      `${clock}: ${Number(unixNs.at) / 1e6 - beforeMs} ms off, bound ± ${unixNs.errorNs / 1e6} ms`,
    );
    t.diagnostic(`${clock}: ± ${unixNs.errorNs} ns`);
    await end('SIGTERM');
  }
});

test('stream: an idle forwarder takes under a hundredth of a CPU', async (t) => {
  const why = whyNoForwarder();
  if (why !== undefined) return t.skip(why);
  const receiver = await openReceiver(t);
  const path = join(tempFolder(t), 'guest.sock');
  const collector = await startStream(t, receiver, { name: 'guest', from: `unix-listen:${path}` });
  const { child } = startForwarder(t, nextInstance(t), `unix:${path}`);
  await until('hello', () => collector.status().guests[0]?.identity);
  const ticks = (): number => {
    const fields = readFileSync(`/proc/${child.pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
    return Number(fields[11]) + Number(fields[12]);
  };
  await sleep(2000);
  const before = ticks();
  await sleep(5000);
  const percent = (ticks() - before) / 5;
  t.diagnostic(`${percent} % of a CPU`);
  assert.ok(percent <= 2, `${percent} %`);
});

test('stream: the forwarder skips probes of functions that are not there, and removes its own', async (t) => {
  const why = whyNoForwarder();
  if (why !== undefined) return t.skip(why);
  if (!existsSync('/sys/kernel/tracing/kprobe_events')) return t.skip('needs kprobes');
  const receiver = await openReceiver(t);
  const path = join(tempFolder(t), 'guest.sock');
  const collector = await startStream(t, receiver, { name: 'guest', from: `unix-listen:${path}` });
  const { end } = startForwarder(t, nextInstance(t), `unix:${path}`, [
    ...EVENTS,
    '--probe',
    'p:mktest/there do_sys_openat2',
    '--probe',
    'p:mktest/not_there mk_send_message inst=%di:s32',
  ]);
  await until('hello', () => collector.status().guests[0]?.identity);
  await until('formats', () =>
    [...receiver.formats.values()].some(({ events }) => events.some(({ format }) => format.includes('name: there'))),
  );
  assert.match(readFileSync('/sys/kernel/tracing/kprobe_events', 'utf8'), /mktest\/there/);
  await end('SIGTERM');
  assert.doesNotMatch(readFileSync('/sys/kernel/tracing/kprobe_events', 'utf8'), /mktest/);
});

function markerTime(receiver: Awaited<ReturnType<typeof openReceiver>>, text: string): { at: bigint; errorNs: number } | undefined {
  for (const { header, pages } of receiver.segments()) {
    if (!Buffer.from(pages).includes(text)) continue;
    const set = receiver.formats.get(header.formatSet);
    if (set === undefined) continue;
    const batch = new EventBatch();
    let at = 0;
    for (const { cpu, pages: number } of header.chunks) {
      const end = at + number * header.pageSizeBytes;
      new PageReader(set).read(pages.subarray(at, end), header.pageSizeBytes, cpu, batch);
      at = end;
    }
    const table = batch.tables.find(({ schema }) => schema.event === 'print');
    if (table !== undefined) return { at: toUnixNs(fromFitFields(header.fit), table.rawTime.getBigint(0)), errorNs: header.fit.errorNs };
  }
  return undefined;
}

test('stream: the forwarder says what is wrong with its command line', () => {
  if (whyNoForwarder() !== undefined) return;
  const run = (...args: string[]): number | null => spawnSync(buildForwarder(), args, { stdio: 'ignore' }).status;
  assert.equal(run(), 2);
  assert.equal(run('--to', 'tcp:host:1'), 2, 'names need a name service');
  assert.equal(run('--to', '-', '--id', 'x'), 2);
  assert.equal(run('--help'), 0);
});

test('stream: a pipe that breaks is asked once, and is well again', async (t) => {
  const why = whyNoForwarder();
  if (why !== undefined) return t.skip(why);
  const receiver = await openReceiver(t);
  const folder = tempFolder(t);
  const path = join(folder, 'guest.sock');
  const collector = await startStream(t, receiver, { name: 'guest', from: `unix-listen:${path}` });
  const meddler = await openMeddler(t, folder, path);
  let hellos = 0;
  meddler.meddle = (bytes) => {
    if (bytes.includes('session=')) hellos++;
    return [bytes];
  };
  startForwarder(t, nextInstance(t), `unix:${meddler.path}`, EVENTS);
  await until('hello', () => collector.status().sources[0]?.state === 'running');
  meddler.cut();
  await until('away', () => collector.status().sources[0]?.state === 'waiting');
  await until('back', () => collector.status().sources[0]?.state === 'running');
  await sleep(3500);
  assert.equal(hellos, 2);
});
