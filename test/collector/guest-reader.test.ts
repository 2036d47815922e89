/** The same bytes read live, from a recording, and from a recording that nobody timed. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { appendFileSync, closeSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import { AckFrontier } from '../../collector/ack-frontier.ts';
import { parseGuestAddress } from '../../collector/guest-address.ts';
import { GuestReader, type GuestItem } from '../../collector/guest-reader.ts';
import { parseArrivals, readGuestRecording } from '../../collector/guest-recording.ts';
import type { MetricBatch } from '../../model/metric-batch.ts';
import type { SourceRecord } from '../../model/pipeline.ts';
import { encodeUtf8 } from '../../base/bytes.ts';
import { GUEST_FRAME, encodeFrame } from '../../parsers/guest-stream.ts';
import { systemPayload } from '../support/guest-system.ts';
import {
  buildForwarder,
  drained,
  nextInstance,
  openMeddler,
  openReceiver,
  startForwarder,
  startStream,
  stopRecording,
  sum,
  tempFolder,
  whyNoForwarder,
} from './guest-forwarder.ts';
import { until } from './receiver.ts';

const MACHINE = { machineId: 'm1', machineName: 'machine' };

async function readAll(path: string, reader = new GuestReader({ machine: MACHINE })): Promise<{ items: GuestItem[]; reader: GuestReader }> {
  const items: GuestItem[] = [];
  for await (const item of readGuestRecording(path, reader)) items.push(item);
  return { items, reader };
}

function recordsOf<Kind extends SourceRecord['kind']>(items: readonly GuestItem[], kind: Kind): Extract<SourceRecord, { kind: Kind }>[] {
  return items
    .flatMap((item) => (item.kind === 'record' ? [item.record] : []))
    .filter((record): record is Extract<SourceRecord, { kind: Kind }> => record.kind === kind);
}

function eventsOf(items: readonly GuestItem[]): number {
  return recordsOf(items, 'segment').reduce((total, { events }) => total + events.reduce((part, { count }) => part + count, 0), 0);
}

function pointsOf(
  batch: MetricBatch,
): { name: string; value: number; attributes: Record<string, string>; timeNs: bigint; startNs: bigint }[] {
  return Array.from({ length: batch.length }, (_, row) => ({
    name: batch.strings.get(batch.name[row] as number),
    value: batch.value[row] as number,
    attributes: batch.attributes.rowOf(row),
    timeNs: batch.time.getBigint(row),
    startNs: batch.startTime.getBigint(row),
  }));
}

function timeOf(items: readonly GuestItem[], text: string): { readonly unixNs: bigint; readonly errorNs: number } | undefined {
  for (const { batch, clockErrorNs } of recordsOf(items, 'logs')) {
    for (let row = 0; row < batch.length; row++) {
      if (batch.textOf(row) === text) return { unixNs: batch.unixTime.getBigint(row), errorNs: clockErrorNs ?? 0 };
    }
  }
  return undefined;
}

test('guest reader: a recording with its index gives what was read live, in the same times', async (t) => {
  const why = whyNoForwarder();
  if (why !== undefined) return t.skip(why);
  const receiver = await openReceiver(t);
  const folder = tempFolder(t);
  const path = join(folder, 'guest.sock');
  const recording = join(folder, 'guest.stream');
  const collector = await startStream(t, receiver, { name: 'guest', from: `unix-listen:${path}` });
  const meddler = await openMeddler(t, folder, path);
  meddler.meddle = (bytes) => {
    appendFileSync(recording, bytes);
    appendFileSync(`${recording}.at`, `${BigInt(Date.now()) * 1_000_000n} ${bytes.length}\n`);
    return [bytes];
  };
  const { instance, end } = startForwarder(t, nextInstance(t), `unix:${meddler.path}`, ['--events', 'sched,irq']);
  // Records from before the forwarder ran have a wider bound, and share it with what comes in the same batch.
  await until('what the ring held', () => receiver.logs().length > 0);
  await sleep(300);
  const mark = `recorded ${process.pid} ${Date.now()}`;
  writeFileSync('/dev/kmsg', `<5>${mark}\n`);
  const live = await until('the log', () => receiver.logs().find(({ text }) => text === mark));
  const uptimes = () => receiver.metrics().filter(({ name }) => name === 'system.uptime');
  await until('samples', () => uptimes().length >= 2);
  // A connection that is lost and made again repeats frames in the recording: they count once.
  meddler.cut();
  await sleep(500);
  stopRecording(instance);
  await drained(collector, instance);
  await end('SIGTERM');

  const { items, reader } = await readAll(recording);
  assert.deepEqual(reader.identity, { ...collector.status().guests[0]?.identity, ...MACHINE });
  assert.equal(eventsOf(items), sum(collector, 'read'));
  assert.equal(recordsOf(items, 'formats').length, 1);
  const samples = recordsOf(items, 'metrics').flatMap(({ batch }) => pointsOf(batch).filter(({ name }) => name === 'system.uptime'));
  const seen = uptimes();
  // The cut may have kept one from the collector that is in the recording.
  for (const { value, timeNs } of seen) {
    const same = samples.find((sample) => sample.value === value);
    assert.ok(same !== undefined && Math.abs(Number(same.timeNs - timeNs)) < 20e6, 'on the same clock');
  }
  const read = timeOf(items, mark);
  assert.ok(read !== undefined);
  // The recorder's clock counts whole milliseconds.
  assert.ok(live.errorNs > 0);
  assert.ok(
    Math.abs(Number(read.unixNs - live.unixNs)) < read.errorNs + live.errorNs + 2e6,
    `${read.unixNs - live.unixNs} ns apart, ± ${read.errorNs} and ± ${live.errorNs}`,
  );
  assert.ok(read.errorNs < 20e6, `± ${read.errorNs}`);
  for (const { written, read: taken, lost } of reader.books()) assert.ok((written ?? 0) >= taken + lost);

  writeFileSync(`${recording}.untimed`, readFileSync(recording));
  const untimed = await readAll(`${recording}.untimed`);
  assert.equal(eventsOf(untimed.items), eventsOf(items));
  const guessed = timeOf(untimed.items, mark);
  assert.ok(guessed !== undefined && guessed.errorNs >= 1e9 && Math.abs(Number(guessed.unixNs - live.unixNs)) < guessed.errorNs);
});

test('guest reader: a one-way stream needs nobody to ask', async (t) => {
  const why = whyNoForwarder();
  if (why !== undefined) return t.skip(why);
  const path = join(tempFolder(t), 'one-way.stream');
  const instance = nextInstance(t);
  const out = openSync(path, 'w');
  const child = spawn(buildForwarder(), ['--to', '-', '--one-way', '--id', '4', '--instance', instance, '--events', 'sched'], {
    stdio: ['ignore', out, 'ignore'],
  });
  closeSync(out);
  for (const endMs = Date.now() + 20_000; Date.now() < endMs; await sleep(100)) {
    const { items } = await readAll(path);
    if (eventsOf(items) > 0 && recordsOf(items, 'metrics').length > 0) break;
  }
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await gone;
  const { items, reader } = await readAll(path);
  assert.equal(reader.identity?.kernelName, 'kernel-4');
  assert.ok(eventsOf(items) > 0);
  assert.equal(items.at(-1)?.kind, 'bye');
  assert.deepEqual(reader.counts().malformed, new Map());
  assert.ok(recordsOf(items, 'metrics').length > 0, 'samples of the system');
  for (const { written, read, lost } of reader.books()) assert.equal(written, read + lost);
});

test('guest reader: a device is read like a socket', async (t) => {
  const why = whyNoForwarder();
  if (why !== undefined) return t.skip(why);
  const pair = await openTerminalPair(t);
  if (pair === undefined) return t.skip('needs socat for a pair of terminals');
  const receiver = await openReceiver(t);
  const collector = await startStream(t, receiver, { name: 'guest', from: pair.host });
  const { instance } = startForwarder(t, nextInstance(t), pair.guest, ['--events', 'irq']);
  await until('hello', () => collector.status().guests[0]?.identity, 20_000);
  stopRecording(instance);
  await drained(collector, instance);
  await until('the log', () => receiver.logs().length > 10);
});

/** Two terminals whose bytes go from one to the other, as a serial line; undefined without socat. */
async function openTerminalPair(t: TestContext): Promise<{ host: string; guest: string } | undefined> {
  const folder = tempFolder(t);
  const [host, guest] = [join(folder, 'host'), join(folder, 'guest')];
  const child = spawn('socat', [`pty,raw,echo=0,link=${host}`, `pty,raw,echo=0,link=${guest}`], { stdio: ['ignore', 'ignore', 'inherit'] });
  t.after(() => child.kill());
  let isThere = true;
  for (const end of ['error', 'exit']) child.once(end, () => (isThere = false));
  await until('a pair of terminals', () => !isThere || (existsSync(host) && existsSync(guest)));
  return isThere ? { host, guest } : undefined;
}

const HELLO = 'version=1\nsession=77\nkernel_id=2\nboot_id=b1\nrelease=6.1\nmachine=aarch64\nfirst_frame=1\nkmsg=open\n';

function kmsgPayload(...records: readonly string[]): Uint8Array {
  const parts = records.map((record) => {
    const bytes = encodeUtf8(record);
    const part = new Uint8Array(4 + bytes.length);
    new DataView(part.buffer).setUint32(0, bytes.length, true);
    part.set(bytes, 4);
    return part;
  });
  return new Uint8Array(Buffer.concat(parts));
}

test('guest reader: a frame that is missing is asked for once, and those behind it wait', () => {
  const reader = new GuestReader({
    machine: MACHINE,
    timeline: { nowNs: () => 0n, unixOffset: () => ({ low: 0n, high: 0n }), hubLink: () => undefined },
  });
  const hello = encodeFrame(GUEST_FRAME.hello, encodeUtf8(HELLO));
  const kmsg = (frame: number): Uint8Array => encodeFrame(GUEST_FRAME.kmsg, kmsgPayload(`6,${frame - 1},1000000,-;line ${frame}\n`), frame);
  assert.deepEqual(
    reader.add(hello, 0n).map(({ kind }) => kind),
    ['incarnation', 'session'],
  );
  assert.equal(recordsOf(reader.add(kmsg(1), 0n), 'logs').length, 1);
  assert.deepEqual(reader.add(kmsg(3), 0n), [{ kind: 'again' }]);
  assert.deepEqual(reader.add(kmsg(4), 0n), []);
  // Asked again, the forwarder says hello and repeats what was not acknowledged.
  assert.deepEqual(
    reader.add(hello, 0n).map((item) => item.kind === 'session' && item.isNew),
    [false],
  );
  const texts = [1, 2, 3, 4].flatMap((frame) => recordsOf(reader.add(kmsg(frame), 0n), 'logs').map(({ batch }) => batch.textOf(0)));
  assert.deepEqual(texts, ['line 2', 'line 3', 'line 4']);
});

/** A host's PING at `hostNs`, Unix, answered at once when the guest's monotonic clock was `guestNs`. */
function pongFrame(session: number, hostNs: bigint, guestNs: bigint): Uint8Array {
  const payload = new BigInt64Array([hostNs - 1n, hostNs, BigInt(session), guestNs, guestNs]);
  return encodeFrame(GUEST_FRAME.pong, new Uint8Array(payload.buffer));
}

const PROC = {
  stat: 'cpu  100 0 100 800\ncpu0 50 0 50 400\ncpu1 50 0 50 400\nintr 7\nctxt 9\nprocesses 5\nprocs_running 2\nprocs_blocked 1\n',
  meminfo: 'MemTotal: 1000 kB\nMemFree: 400 kB\nMemAvailable: 600 kB\n',
  uptime: '12.50 20.00\n',
};
const sample = (session: number, momentNs: bigint, proc: Readonly<Record<string, string>> = PROC): Uint8Array =>
  encodeFrame(GUEST_FRAME.system, systemPayload(session, momentNs, proc));

test('guest reader: a sample of the system is metrics on the guest’s clock, moved with the recording', () => {
  const unixNs = 1_700_000_000_000_000_000n;
  const shiftNs = 3_600_000_000_000n;
  const reader = new GuestReader({ machine: MACHINE, shiftNs });
  reader.add(encodeFrame(GUEST_FRAME.hello, encodeUtf8(HELLO)), unixNs + shiftNs);
  assert.deepEqual(reader.add(sample(77, 4_000_000_000n), unixNs + shiftNs), [], 'nothing is known of its clock yet');
  reader.add(pongFrame(77, unixNs, 5_000_000_000n), unixNs + shiftNs);
  const busy = { ...PROC, stat: PROC.stat.replace('cpu1 50 0 50 400', 'cpu1 150 0 50 500'), uptime: '13.50 20.00\n' };
  const items = [
    sample(77, 6_000_000_000n),
    sample(77, 7_000_000_000n, busy),
    sample(77, 7_000_000_000n),
    sample(78, 8_000_000_000n),
    sample(77, 9_000_000_000n, { loadavg: '0.5 0 0 1/1 1' }),
  ].flatMap((frame) => reader.add(frame, unixNs + shiftNs + 9_000_000_000n));
  const [first = [], second = [], third = [], ...more] = recordsOf(items, 'metrics').map(({ batch }) => pointsOf(batch));
  assert.deepEqual(more, [], 'each moment once, and none of another session');
  assert.ok(first.every(({ timeNs }) => Math.abs(Number(timeNs - (unixNs + shiftNs + 1_000_000_000n))) < 2e6));
  assert.ok(second.every(({ timeNs }) => Math.abs(Number(timeNs - (unixNs + shiftNs + 2_000_000_000n))) < 4e6));
  const value = (points: typeof first, name: string, cpu?: string): number | undefined =>
    points.find((point) => point.name === name && point.attributes['cpu.logical_number'] === cpu)?.value;
  assert.deepEqual(
    ['system.cpu.logical.count', 'system.memory.limit', 'system.memory.linux.available', 'system.uptime'].map((name) => value(first, name)),
    [2, 1_024_000, 614_400, 12.5],
  );
  assert.equal(value(first, 'system.cpu.utilization', '1'), undefined);
  assert.equal(value(second, 'system.cpu.utilization', '1'), 0.5);
  assert.deepEqual(
    third.map(({ name, value: load }) => [name, load]),
    [['mk.load', 0.5]],
    'what a kernel lacks is not there as zero',
  );
  assert.ok([...first, ...second, ...third].every(({ startNs }) => startNs === first[0]?.startNs));
});

test('guest reader: frames of types that a newer forwarder sends are counted, and cost nothing else', () => {
  const reader = new GuestReader({
    machine: MACHINE,
    timeline: { nowNs: () => 0n, unixOffset: () => ({ low: 0n, high: 0n }), hubLink: () => undefined },
  });
  const bytes = [
    encodeFrame(GUEST_FRAME.hello, encodeUtf8(HELLO)),
    encodeFrame(40, encodeUtf8('unnumbered')),
    encodeFrame(41, encodeUtf8('numbered'), 1),
    encodeFrame(GUEST_FRAME.kmsg, kmsgPayload('6,0,1000000,-;behind it\n'), 2),
  ];
  const items = bytes.flatMap((frame) => reader.add(frame, 0n));
  assert.deepEqual(
    items.map(({ kind }) => kind),
    ['incarnation', 'session', 'done', 'record'],
  );
  assert.deepEqual(reader.counts().malformed, new Map([['unknown_type', 2]]));
  assert.equal(reader.counts().missingFrames, 0);
});

test('guest reader: another boot is another incarnation with books of its own', () => {
  const reader = new GuestReader({ machine: MACHINE });
  const say = (hello: string, frame: number, record: string): GuestItem[] => [
    ...reader.add(encodeFrame(GUEST_FRAME.hello, encodeUtf8(hello)), 1n),
    ...reader.add(encodeFrame(GUEST_FRAME.kmsg, kmsgPayload(record), frame), 2n),
  ];
  say(HELLO, 1, '6,9,1000000,-;first boot\n');
  // A recording may begin in the middle of a boot: what came before was not lost. What it misses of a later boot was.
  assert.deepEqual(reader.books(), [{ ...reader.books()[0], written: 1, read: 1, lost: 0 }]);
  const second = say(HELLO.replace('=b1', '=b2').replace('=77', '=78'), 1, '6,3,1,-;Memory: 1K\n');
  assert.equal(second.find(({ kind }) => kind === 'incarnation')?.kind, 'incarnation');
  assert.deepEqual(reader.books(), [{ ...reader.books()[0], written: 4, read: 1, lost: 3 }]);
  assert.equal(reader.identity?.arch, 'arm64');
});

test('guest reader: who a guest may be', () => {
  const kindOf = (hello: string, kernel?: number | 'any'): string | undefined =>
    new GuestReader({ machine: MACHINE, kernel }).add(encodeFrame(GUEST_FRAME.hello, encodeUtf8(hello)), undefined)[0]?.kind;
  const host = HELLO.replace('kernel_id=2', 'kernel_id=0');
  const unknown = HELLO.replace('kernel_id=2\n', '');
  assert.equal(kindOf(HELLO), 'incarnation');
  assert.equal(kindOf(HELLO, 3), 'refused');
  assert.equal(kindOf(host), 'refused');
  assert.equal(kindOf(host, 'any'), 'incarnation');
  assert.equal(kindOf(host, 0), 'incarnation');
  assert.equal(kindOf(unknown), 'refused');
  assert.equal(kindOf(unknown, 5), 'incarnation');
});

test('guest reader: frames become safe in any order, and are acknowledged in theirs', () => {
  const frontier = new AckFrontier();
  frontier.begin(7, 5);
  assert.equal(frontier.finish(7, [6]), false);
  assert.equal(frontier.finish(7, [5]), true);
  assert.equal(frontier.through, 6);
  assert.equal(frontier.finish(8, [7]), false, 'of another session');
  assert.equal(frontier.finish(7, [9, 8, 7]), true);
  assert.equal(frontier.through, 9);
});

test('guest reader: the index of a recording is lines of time and bytes', () => {
  assert.deepEqual(parseArrivals('12 3\n\nnonsense\n13 4'), [
    { unixNs: 12n, bytes: 3 },
    { unixNs: 13n, bytes: 4 },
  ]);
  assert.deepEqual(parseArrivals('2000000 3'), [{ unixNs: 2_999_999n, bytes: 3 }], 'in whole ms');
});

test('guest reader: addresses', () => {
  assert.deepEqual(parseGuestAddress('unix:/run/g.sock'), { kind: 'unix', path: '/run/g.sock' });
  assert.deepEqual(parseGuestAddress('tcp-listen:[::]:5000'), { kind: 'tcp-listen', host: '::', port: 5000 });
  assert.deepEqual(parseGuestAddress('mktty:3@/run/mktty.sock'), { kind: 'greeted-socket', path: '/run/mktty.sock', greeting: '3\n' });
  assert.deepEqual(parseGuestAddress('mktty:12'), { kind: 'device', path: '/dev/mktty', greeting: '12\n' });
  assert.deepEqual(parseGuestAddress('session/guest1.stream'), { kind: 'file', path: 'session/guest1.stream' });
  for (const wrong of ['mktty:x', 'tcp:host', 'unix:', 'vsock:3:5000']) assert.equal(typeof parseGuestAddress(wrong), 'string', wrong);
});
