import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { startCollector, type Collector } from '../../collector/collector.ts';
import { HeardBoot, type HeardRecords } from '../../collector/heard-boot.ts';
import { NetconsoleOrder } from '../../collector/netconsole-order.ts';
import { SeenClock } from '../../collector/seen-clock.ts';
import type { Gap } from '../../model/gap.ts';
import { LogBatch } from '../../model/log-batch.ts';
import { toUnixNs } from '../../model/time.ts';
import { readNetconsoleHeader, type NetconsoleRecord } from '../../parsers/netconsole.ts';
import { netconsole } from '../../parsers/netconsole-text.ts';
import { NetconsoleFragments } from '../../parsers/netconsole-fragments.ts';
import { assertGolden } from '../support/golden.ts';
import { createRandom, randomBytes } from '../support/random.ts';
import { tempFolder } from './live.ts';
import { Receiver, until } from './receiver.ts';

type Target = 'replay' | 'extended' | 'legacy';

/** Packets of a recording that went to one target. */
function loadPackets(name: string, target: Target): Buffer[] {
  const text = readFileSync(join(import.meta.dirname, '../fixtures/netconsole', `${name}.packets`), 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, of]) => of === target)
    .map(([, , base64]) => Buffer.from(base64 as string, 'base64'));
}

const NOW = toUnixNs(1_800_000_000_000_000_000n);
const STREAMS = { extended: 'netconsole:x', text: 'netconsole-text:x' };

function openBoot(): HeardBoot {
  return new HeardBoot(STREAMS, new SeenClock(() => NOW), 0);
}

/** One packet a millisecond, and what comes out of them. */
function hear(boot: HeardBoot, packets: readonly Uint8Array[]): { lines: string[]; gaps: Gap[] } {
  packets.forEach((packet, index) => assert.deepEqual(boot.add(packet, NOW + BigInt(index) * 1_000_000n, index), [], `packet ${index}`));
  const heard = boot.take(packets.length + 10_000, true);
  return { lines: heard.flatMap(renderRows), gaps: heard.flatMap(({ gaps }) => gaps) };
}

function renderRows({ kind, batch }: HeardRecords): string[] {
  return Array.from({ length: batch.length }, (_, row) => {
    const attributes = Object.entries(batch.attributes.rowOf(row)).map(([key, value]) => ` ${key}=${value}`);
    const head = `${kind} ${batch.sequence[row]} ${batch.rawTime.getBigint(row)} ${batch.level[row]}.${batch.facility[row]}`;
    return `${head} flags=${batch.flags[row]} cpu=${batch.cpu[row]} ${JSON.stringify(batch.textOf(row))}${attributes.join('')}`;
  });
}

function record(sequence: number, micros = sequence * 1000): NetconsoleRecord {
  return { sequence, micros, bytes: Buffer.from(`6,${sequence},${micros},-;line ${sequence}\n`), isTorn: false, arrivedNs: NOW };
}

const numbersOf = (records: readonly NetconsoleRecord[]): number[] => records.map(({ sequence }) => sequence);

for (const name of ['linux-6.1', 'linux-6.12']) {
  for (const target of ['replay', 'extended', 'legacy'] as const) {
    const packets = loadPackets(name, target);
    if (packets.length === 0) continue;
    test(`netconsole: reads the ${target} packets of ${name} as their golden`, () => {
      const { lines, gaps } = hear(openBoot(), packets);
      const lost = gaps.map(({ count, fromUnixNs, toUnixNs: to, reason }) => `lost ${count} ${fromUnixNs - NOW}..${to - NOW} ${reason}`);
      assertGolden(`netconsole/${name}-${target}`, [...lines, ...lost]);
    });
    if (target === 'legacy') continue;
    test(`netconsole: the ${target} packets of ${name} give the same rows in any order and sent twice`, () => {
      const whole = hear(openBoot(), packets).lines;
      const random = createRandom(packets.length);
      for (let round = 0; round < 20; round++) {
        const mixed = packets
          .flatMap((packet, index) =>
            random() < 0.2
              ? [
                  { packet, index },
                  { packet, index: index + random() * 9 },
                ]
              : [{ packet, index }],
          )
          .map(({ packet, index }) => ({ packet, key: index + random() * 6 }))
          .toSorted((a, b) => a.key - b.key);
        const boot = openBoot();
        assert.deepEqual(
          hear(
            boot,
            mixed.map(({ packet }) => packet),
          ).lines,
          whole,
        );
        assert.ok(boot.duplicates > 0);
      }
    });
    test(`netconsole: what is missing of the ${target} packets of ${name} is counted in its place`, () => {
      const random = createRandom(3);
      for (let round = 0; round < 20; round++) {
        const kept = packets.filter((_, index) => index === 0 || index === packets.length - 1 || random() > 0.1);
        const boot = openBoot();
        const { lines, gaps } = hear(boot, kept);
        const all = hear(openBoot(), packets);
        const known = all.gaps.reduce((sum, { count }) => sum + (count ?? 0), 0);
        const lost = gaps.reduce((sum, { count }) => sum + (count ?? 0), 0);
        assert.equal(lines.length + lost, all.lines.length + known);
        assert.equal(boot.lastSequence + 1 - boot.origin, lines.length + boot.lost);
      }
    });
  }
}

test('netconsole: a header is read with release, caller and fragment, and console text is none', () => {
  const read = (text: string): unknown => readNetconsoleHeader(Buffer.from(text));
  assert.deepEqual(read('6.4.0,6,444,501151268,-,ncfrag=16/33;the 2nd chunk.'), {
    release: '6.4.0',
    sequence: 444,
    micros: 501_151_268,
    kmsg: '6,444,501151268,-;',
    bodyAt: 37,
    fragment: { offset: 16, totalBytes: 33 },
  });
  assert.deepEqual(read('6,416,1758426,-,caller=T12;x'), {
    release: '',
    sequence: 416,
    micros: 1_758_426,
    kmsg: '6,416,1758426,-,caller=T12;',
    bodyAt: 27,
    fragment: undefined,
  });
  assert.match(JSON.stringify(read('6,416,1758426,c,caller=C0,ncfrag=0/9;x')), /"kmsg":"6,416,1758426,c,caller=C0;"/);
  for (const text of ['', '[    1.000000] x\n', '6,1,2;x', '6,1,2,x;y', ',6,1,2,-;x', '6.4.0,6,1,2,-'])
    assert.equal(read(text), undefined, text);
});

test('netconsole: a record in pieces is whole in any order; without all of them it is what its start tells, flagged torn', () => {
  const pieces = loadPackets('linux-6.12', 'extended').filter((packet) => packet.includes('ncfrag='));
  assert.equal(pieces.length, 3);
  const add = (fragments: NetconsoleFragments, packet: Buffer): unknown => {
    const header = readNetconsoleHeader(packet);
    assert.ok(header !== undefined);
    return fragments.add(header, packet.subarray(header.bodyAt), 0, NOW);
  };
  const [a, b, c] = pieces as [Buffer, Buffer, Buffer];
  const whole = [a, b, c].map((piece) => add(new NetconsoleFragments(), piece) === 'open');
  assert.deepEqual(whole, [true, true, true]);
  for (const order of [
    [a, b, c],
    [c, b, a],
    [b, a, c],
    [b, c, b, a],
  ]) {
    const fragments = new NetconsoleFragments();
    const results = order.map((piece) => add(fragments, piece));
    const done = results.at(-1) as NetconsoleRecord;
    assert.equal(done.bytes.length - '12,379,19487897,-;'.length, 2058);
    assert.ok(Buffer.from(done.bytes).toString().endsWith(' rack=r7\n role=storage node\n'));
    assert.equal(results.includes('duplicate'), order.length === 4);
  }
  const torn = new NetconsoleFragments();
  add(torn, a);
  add(torn, c);
  assert.deepEqual(torn.takeStale(-1), []);
  const [start] = torn.takeStale(1);
  assert.ok(start?.isTorn === true && start.bytes.length < 1100 && torn.size === 0 && torn.incomplete === 1);
  // A start that did not come leaves nothing to show.
  add(torn, b);
  assert.deepEqual(torn.takeStale(1), []);
});

test('netconsole: pieces that cannot be are refused, and what waits is bounded', () => {
  const fragments = new NetconsoleFragments();
  const add = (text: string, body: string): unknown => {
    const header = readNetconsoleHeader(Buffer.from(text));
    assert.ok(header !== undefined);
    return fragments.add(header, Buffer.from(body), 0, NOW);
  };
  assert.equal(add('6,1,1,-,ncfrag=0/999999;', 'x'), 'malformed');
  assert.equal(add('6,1,1,-,ncfrag=5/6;', 'too long'), 'malformed');
  assert.equal(add('6,1,1,-,ncfrag=0/8;', ''), 'malformed');
  assert.equal(add('6,1,1,-,ncfrag=0/8;', 'abcd'), 'open');
  assert.equal(add('6,1,1,-,ncfrag=4/9;', 'efgh'), 'malformed');
  for (let sequence = 2; sequence < 1000; sequence++) add(`6,${sequence},1,-,ncfrag=0/8;`, 'abcd');
  assert.ok(fragments.size <= 64);
  assert.equal(fragments.incomplete, 999 - 64);
});

test('netconsole: in a file, what is no record and what has no start is counted', () => {
  const input = Buffer.from('6.1,9999999,1,1,-;priority\n6.1,6,2,2,-,ncfrag=4/8;rest6.1,6,3,3,-;whole\n');
  const session = netconsole.open();
  const batch = new LogBatch();
  session.finish(input, batch);
  const { malformed, parsedBytes, malformedBytes } = session.counts;
  assert.deepEqual(
    [batch.length, [...malformed]],
    [
      1,
      [
        ['no record of /dev/kmsg', 1],
        ['pieces of a record without its start', 1],
      ],
    ],
  );
  assert.equal(parsedBytes + malformedBytes, input.length);
});

test('netconsole: records are taken by number, each once; a number that does not come is a loss after the window', () => {
  const order = new NetconsoleOrder();
  for (const [sequence, atMs] of [
    [8, 0],
    [7, 1],
    [8, 2],
    [9, 3],
  ] as const)
    order.add(record(sequence), atMs);
  assert.deepEqual(order.take(100), { records: [], missing: [] }, 'the first waits for those before it');
  assert.deepEqual(numbersOf(order.take(600).records), [7, 8, 9]);
  assert.equal(order.duplicates, 1);
  order.add(record(12), 700);
  order.add(record(10), 800);
  assert.deepEqual(numbersOf(order.take(801).records), [10]);
  assert.deepEqual(order.take(1100).records, []);
  const { records, missing } = order.take(1200);
  assert.deepEqual([numbersOf(records), missing], [[12], [{ count: 1, fromMicros: 10_000, toMicros: 12_000 }]]);
  assert.equal(order.add(record(11), 5000), 'taken', 'late is better than never');
  assert.equal(order.add(record(11), 5001), 'duplicate');
  assert.deepEqual([numbersOf(order.take(5002).records), order.recovered], [[11], 1]);
});

test('netconsole: a number that starts anew is a reboot where its stamp is another, and a repetition where it is the same', () => {
  const order = new NetconsoleOrder();
  for (let sequence = 0; sequence < 20_000; sequence++) {
    order.add(record(sequence), sequence);
    order.take(sequence + 600);
  }
  for (const sequence of [0, 5, 3000, 10_001, 15_000, 19_999]) {
    assert.equal(order.add(record(sequence), 21_000), 'duplicate', String(sequence));
    assert.equal(order.add(record(sequence, 400_000_000 + sequence), 21_000), 'reboot', String(sequence));
  }
  assert.equal(order.add(record(3, 2999), 21_000), 'reboot');
  // It went on counting, but its clock began anew.
  assert.equal(order.add(record(20_005, 7_000_000), 21_000), 'reboot');
  assert.equal(order.add(record(20_000), 21_000), 'taken');
  assert.equal(order.add(record(900_000_000), 21_000), 'malformed');
});

test('netconsole: a flood of numbers is bounded, and random packets are console text at worst', () => {
  const order = new NetconsoleOrder();
  for (let sequence = 0; sequence < 20_000; sequence += 2) order.add(record(sequence), 0);
  assert.ok(order.isFull);
  const { records, missing } = order.take(1);
  assert.ok(records.length > 5000 && missing.length > 5000);
  const random = createRandom(11);
  const real = [...loadPackets('linux-6.12', 'extended'), ...loadPackets('linux-6.1', 'legacy')];
  for (let round = 0; round < 300; round++) {
    const boot = openBoot();
    const noise = randomBytes(random, Math.floor(random() * 1200));
    const mutated = Buffer.from(real[Math.floor(random() * real.length)] ?? noise);
    for (let change = 0; change < 6; change++) mutated[Math.floor(random() * mutated.length)] = Math.floor(random() * 256);
    for (const packet of [noise, mutated, mutated.subarray(0, Math.floor(random() * mutated.length))]) boot.add(packet, NOW, round);
    boot.take(round + 10_000, true);
  }
});

test('netconsole: the first records of the next boot, all stamped 0, are its own once another shows that it is one', () => {
  const boot = openBoot();
  const line = (sequence: number, micros: number): Buffer => Buffer.from(`6,${sequence},${micros},-;line ${sequence}\n`);
  for (const [sequence, micros] of [
    [0, 0],
    [1, 0],
    [2, 0],
    [3, 900_000],
    [4, 60_000_000],
  ] as const)
    boot.add(line(sequence, micros), NOW, 0);
  boot.take(2000);
  assert.deepEqual(boot.add(line(4, 60_000_000), NOW, 3000), [], 'sent twice by the network');
  for (const sequence of [0, 1, 2]) assert.deepEqual(boot.add(line(sequence, 0), NOW, 3000), []);
  const next = boot.add(line(3, 800_000), NOW, 3001).map((bytes) => Buffer.from(bytes).toString());
  assert.deepEqual(next, [line(0, 0), line(1, 0), line(2, 0), line(3, 800_000)].map(String));
  assert.equal(boot.duplicates, 1);
});

test('netconsole: nothing is known of what came before the first record that was heard, but when', () => {
  const order = new NetconsoleOrder(100, 60_000_000);
  assert.equal(order.add(record(99, 59_999_000), 0), 'duplicate');
  assert.equal(order.add(record(99, 3_000_000), 0), 'reboot');
  assert.equal(order.add(record(0, 0), 0), 'reboot');
});

test('netconsole: legacy lines that were cut into packets are whole, and one that never ends is given up', () => {
  const boot = openBoot();
  boot.add(Buffer.from('[    1.000000] first\n[    2.000000] sec'), NOW, 0);
  boot.add(Buffer.from('ond\n[    3.000000] cut o'), NOW, 1);
  const texts = (heard: readonly HeardRecords[]): string[] =>
    heard.flatMap(({ batch }) => Array.from({ length: batch.length }, (_, row) => batch.textOf(row)));
  assert.deepEqual(texts(boot.take(100)), ['first', 'second']);
  assert.deepEqual(texts(boot.take(1000)), []);
  assert.deepEqual(texts(boot.take(3000)), ['cut o']);
  const [rest] = boot.add(Buffer.from('[   60.000000] old\n[    0.000000] Linux version 6.1.0\n'), NOW, 4000);
  assert.equal(Buffer.from(rest ?? []).toString(), '[    0.000000] Linux version 6.1.0\n');
});

/** Sends from an address of its own: all of 127.0.0.0/8 is loopback. */
class Sender {
  readonly #socket: Socket;
  readonly #port: number;

  private constructor(socket: Socket, port: number) {
    this.#socket = socket;
    this.#port = port;
  }

  static async open(t: TestContext, address: string, port: number): Promise<Sender> {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => {
      socket.bind({ address, port: 0 }, resolve);
    });
    t.after(() => socket.close());
    return new Sender(socket, port);
  }

  async send(...packets: readonly (string | Uint8Array)[]): Promise<void> {
    for (const packet of packets) {
      await new Promise<void>((resolve, reject) => {
        this.#socket.send(packet, this.#port, '127.0.0.1', (error) => (error === null ? resolve() : reject(error)));
      });
    }
  }
}

test('netconsole: the IPv6 address of a sender may be written in any way', async (t) => {
  if (!existsSync('/proc/net/if_inet6')) return t.skip('no IPv6 here');
  const receiver = await new Receiver().open();
  t.after(() => receiver.close());
  const [port, sender] = [await freePort('udp6', '::1'), createSocket('udp6')];
  const collector = await startCollector({
    to: { endpoint: receiver.url, timeoutMs: 2000 },
    spoolDir: join(tempFolder(t), 'spool'),
    sources: {},
    netconsole: {
      listen: [{ host: '::1', port }],
      kernels: [
        { name: 'six', from: '0:0:0:0:0:0:0:1', kernelId: 6 },
        { name: 'seven', from: '[2001:DB8:0::7]:6665', kernelId: 7 },
      ],
    },
    version: 'test',
  });
  t.after(() => collector.close());
  sender.send(extended(1, 10, 'shortest'), port, '::1');
  await until('a line', () => textsOf(receiver, 'netconsole:six')[0] === 'shortest');
  sender.close();
  await collector.close();
});

interface Setup {
  readonly receiver: Receiver;
  readonly port: number;
  readonly start: (others?: 'accept') => Promise<Collector>;
}

function freePort(type: 'udp4' | 'udp6', address: string): Promise<number> {
  const free = createSocket(type);
  return new Promise((resolve) => {
    free.bind({ address, port: 0 }, () => {
      const { port } = free.address();
      free.close(() => resolve(port));
    });
  });
}

async function setUp(t: TestContext): Promise<Setup> {
  const receiver = await new Receiver().open();
  t.after(() => receiver.close());
  const spoolDir = join(tempFolder(t), 'spool');
  const port = await freePort('udp4', '127.0.0.1');
  const start = async (others?: 'accept'): Promise<Collector> => {
    const collector = await startCollector({
      to: { endpoint: receiver.url, timeoutMs: 2000 },
      spoolDir,
      sources: {},
      netconsole: {
        listen: [{ host: '127.0.0.1', port }],
        others,
        kernels: [
          { name: 'alpha', from: '127.0.0.2', kernelId: 1 },
          { name: 'beta', from: '127.0.0.3', kernelId: 2 },
        ],
      },
      version: 'test',
    });
    t.after(() => collector.close());
    return collector;
  };
  return { receiver, port, start };
}

const extended = (sequence: number, micros: number, text: string): string => `6,${sequence},${micros},-;${text}\n`;
const textsOf = (receiver: Receiver, stream: string): string[] =>
  receiver
    .logs()
    .filter((log) => log.stream === stream && log.eventName === '')
    .map(({ text }) => text);

/** The last value of a counter of the books. */
function booksOf(receiver: Receiver, stream: string): Record<string, number> {
  const points = receiver.metrics().filter(({ attributes }) => attributes['mk.stream'] === stream);
  return Object.fromEntries(points.map(({ name, value }) => [name.replace('mk.stream.', ''), value]));
}

test('netconsole: two kernels over UDP, with reordering, repetitions, losses, missing pieces, noise and strangers', async (t) => {
  const { receiver, port, start } = await setUp(t);
  const collector = await start();
  assert.deepEqual(collector.status().problems, []);
  const [alpha, beta, stranger] = [
    await Sender.open(t, '127.0.0.2', port),
    await Sender.open(t, '127.0.0.3', port),
    await Sender.open(t, '127.0.0.9', port),
  ];
  await alpha.send(extended(101, 2_000_000, 'two'), extended(100, 1_000_000, 'one'), extended(101, 2_000_000, 'two'));
  await alpha.send(extended(104, 5_000_000, 'five'), '6,105,6000000,-,ncfrag=0/8;six ', 'noise, and no line end');
  await alpha.send('6,106,7000000,-,ncfrag=6/12;seven\n', '6,106,7000000,-,ncfrag=0/12;seven ');
  await beta.send('[    1.000000] a line\n[    2.0000', '00] a cut line\n', '[    2.500000] a line\n');
  await stranger.send('[    1.000000] let me in\n', extended(1, 1, 'and me'));
  const stream = 'netconsole:alpha';
  await until('the records of alpha', () => textsOf(receiver, stream).length === 5);
  assert.deepEqual(textsOf(receiver, stream).toSorted(), ['five', 'one', 'seven seven', 'six ', 'two']);
  await until('the lines of beta', () => textsOf(receiver, 'netconsole-text:beta').length === 3);
  assert.deepEqual(textsOf(receiver, 'netconsole-text:beta'), ['a line', 'a cut line', 'a line']);
  const gap = await until('the gap', () => receiver.logs().find(({ eventName }) => eventName === 'mk.gap'));
  assert.match(JSON.stringify(gap.attributes), /netconsole_missing/);
  await until('the books', () => booksOf(receiver, stream)['written'] === 7);
  assert.deepEqual(booksOf(receiver, stream), { written: 7, read: 5, lost: 2 });
  const source = collector.status().sources.find(({ id }) => id === 'netconsole');
  assert.match(
    source?.detail ?? '',
    /alpha: 8 packets, 1 twice, 2 records missing, 1 in pieces.*refused 2 packets of 1 unknown senders \(127\.0\.0\.9\)/,
  );
  assert.deepEqual(
    collector.status().guests.map(({ name, identity }) => [name, identity?.kernelId]),
    [
      ['alpha', 1],
      ['beta', 2],
    ],
  );
  const late = Number(receiver.logs().find(({ text }) => text === 'five')?.unixNs ?? 0n) / 1e6 - Date.now();
  assert.ok(Math.abs(late) < 10_000, `its time is ${late} ms away`);
  await collector.close();
});

test('netconsole: a reboot is another incarnation; a collector that starts again goes on with the boot it knew', async (t) => {
  const { receiver, port, start } = await setUp(t);
  const alpha = await Sender.open(t, '127.0.0.2', port);
  const first = await start();
  const began = performance.now();
  const micros = (): number => 5_000_000_000 + Math.round((performance.now() - began) * 1000);
  await alpha.send(extended(10, micros(), 'before 1'), extended(11, micros(), 'before 2'));
  await until('the first records', () => textsOf(receiver, 'netconsole:alpha').length === 2);
  const bootId = first.status().guests[0]?.identity?.bootId;
  await first.close();
  const second = await start();
  const repeated = extended(13, micros(), 'after 2');
  await alpha.send(extended(12, micros(), 'after 1'), repeated, repeated);
  await until('what came after', () => textsOf(receiver, 'netconsole:alpha').length === 4);
  assert.equal(second.status().guests[0]?.identity?.bootId, bootId);
  // 12 and 13 follow 10 and 11: nothing is missing over the restart.
  assert.equal(second.status().sources[0]?.streams[0]?.lost, 0);
  await alpha.send(extended(0, 0, 'Linux version 6.12.0 (x)'), extended(1, 1000, 'another boot'));
  await until('the next boot', () => textsOf(receiver, 'netconsole:alpha').length === 6);
  assert.notEqual(second.status().guests[0]?.identity?.bootId, bootId);
  await second.close();
});

test('netconsole: a burst is taken whole, and senders that nobody listed are taken where that is wanted', async (t) => {
  const { receiver, port, start } = await setUp(t);
  const collector = await start('accept');
  const [alpha, other] = [await Sender.open(t, '127.0.0.2', port), await Sender.open(t, '127.0.0.7', port)];
  const count = 5000;
  for (let sequence = 0; sequence < count; sequence++) await alpha.send(extended(sequence, sequence * 10, `line ${sequence}`));
  await other.send('[    1.000000] hello\n');
  await until('a line of the other', () => textsOf(receiver, 'netconsole-text:127.0.0.7')[0] === 'hello');
  await until('all records in the books', () => booksOf(receiver, 'netconsole:alpha')['written'] === count);
  const { read = 0, lost = 0 } = booksOf(receiver, 'netconsole:alpha');
  await until('all that were read', () => textsOf(receiver, 'netconsole:alpha').length === read);
  // The system drops what its buffer does not hold; that is a gap, and the rest is in order.
  assert.equal(read + lost, count);
  const numbers = textsOf(receiver, 'netconsole:alpha').map((text) => Number(text.slice(5)));
  assert.deepEqual(
    numbers,
    numbers.toSorted((a, b) => a - b),
  );
  assert.equal(collector.status().guests.length, 3);
  await collector.close();
});
