import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { startCollector, type Collector } from '../../collector/collector.ts';
import { findKnownBoot, readKnownBoots, writeKnownBoot } from '../../collector/known-boots.ts';
import { decodeLogs } from '../../otlp/decode-logs.ts';
import { tempFolder } from './live.ts';
import { Receiver, until } from './receiver.ts';

interface Setup {
  readonly receiver: Receiver;
  readonly folder: string;
  readonly spoolDir: string;
  readonly start: (remove?: boolean) => Promise<Collector>;
}

async function setUp(t: TestContext): Promise<Setup> {
  const receiver = await new Receiver().open();
  t.after(() => receiver.close());
  const root = tempFolder(t);
  const folder = join(root, 'pstore');
  const spoolDir = join(root, 'spool');
  mkdirSync(folder);
  const start = (remove = false): Promise<Collector> =>
    startCollector({
      to: { endpoint: receiver.url, timeoutMs: 2000 },
      spoolDir,
      sources: {},
      pstore: { folders: [folder, join(root, 'absent')], remove },
      version: 'test',
    });
  return { receiver, folder, spoolDir, start };
}

/** A record that was made so long ago: boots and their clocks are told apart by it. */
function writeRecord(path: string, text: string, madeMs: number): void {
  writeFileSync(path, text);
  utimesSync(path, madeMs / 1000, madeMs / 1000);
}

/** Kernel log rows as they came, with whose they are. */
function rowsOf(
  receiver: Receiver,
): { readonly bootId: string; readonly release: string; readonly text: string; readonly unixMs: number }[] {
  return receiver.batches
    .filter(({ path }) => path === '/v1/logs')
    .flatMap(({ body }) => {
      const decoded = decodeLogs(body);
      assert.ok(decoded.ok);
      return decoded.parts.flatMap(({ batch, resource }) =>
        Array.from({ length: batch.length }, (_, row) => ({
          bootId: resource.identity?.bootId ?? '',
          release: resource.identity?.release ?? '',
          text: batch.textOf(row),
          unixMs: Number(batch.unixTime.getBigint(row) / 1_000_000n),
        })),
      );
    });
}

const PANIC = 'Panic#1 Part1\n<6>[   10.000000] Linux version 6.9.0-test (x)\n<6>[  100.000000] before\n<0>[  200.000000] Kernel panic\n';
const MINUTE_MS = 60_000;

test('pstore: each crash is handed on once, as the log of a boot that is not this one, and stays where it is', async (t) => {
  const { receiver, folder, start } = await setUp(t);
  const madeMs = Math.floor(Date.now() / 1000) * 1000 - 60 * MINUTE_MS;
  writeRecord(join(folder, 'dmesg-ramoops-0'), PANIC, madeMs);
  writeFileSync(join(folder, 'pmsg-ramoops-0'), 'x');
  const first = await start();
  const rows = await until('the crash', () => rowsOf(receiver).length === 3 && rowsOf(receiver));
  assert.deepEqual(
    rows.map(({ text, release }) => [text, release]),
    [
      ['Linux version 6.9.0-test (x)', '6.9.0-test'],
      ['before', '6.9.0-test'],
      ['Kernel panic', '6.9.0-test'],
    ],
  );
  assert.ok(Math.abs((rows[2]?.unixMs ?? 0) - madeMs) <= 2000, 'it died when the record was made');
  assert.notEqual(rows[0]?.bootId, first.status().identity.bootId);
  assert.match(
    first.status().sources.find(({ id }) => id === 'pstore')?.detail ?? '',
    /1 crash records handed on; .*pmsg-ramoops-0: what programs wrote/,
  );
  await first.close();
  // Another crash of another boot came since: only that is new.
  writeRecord(join(folder, 'dmesg-ramoops-1'), 'Panic#1 Part1\n<0>[    5.000000] another panic\n', madeMs + 30 * MINUTE_MS);
  const second = await start();
  await until('the other crash', () => rowsOf(receiver).length === 4);
  assert.equal(rowsOf(receiver)[3]?.text, 'another panic');
  assert.equal(new Set(rowsOf(receiver).map(({ bootId }) => bootId)).size, 2);
  await second.close();
  const third = await start();
  await third.close();
  assert.equal(rowsOf(receiver).length, 4);
  assert.equal(receiver.repeats, 0);
  assert.deepEqual(readdirSync(folder), ['dmesg-ramoops-0', 'dmesg-ramoops-1', 'pmsg-ramoops-0']);
});

test('pstore: the log of a boot in which a collector ran goes to that incarnation', async (t) => {
  const { receiver, folder, spoolDir, start } = await setUp(t);
  const madeMs = Math.floor(Date.now() / 1000) * 1000 - 60 * MINUTE_MS;
  mkdirSync(spoolDir);
  writeKnownBoot(join(spoolDir, 'boots.json'), { bootId: 'boot-before', release: '6.9.0-known', zeroMs: madeMs - 200_500 });
  writeKnownBoot(join(spoolDir, 'boots.json'), { bootId: 'boot-long-ago', release: '6.1.0', zeroMs: madeMs - 500 * MINUTE_MS });
  writeRecord(join(folder, 'dmesg-ramoops-0'), PANIC, madeMs);
  const collector = await start();
  const rows = await until('the crash', () => rowsOf(receiver).length === 3 && rowsOf(receiver));
  assert.deepEqual(new Set(rows.map(({ bootId, release }) => `${bootId} ${release}`)), new Set(['boot-before 6.9.0-known']));
  // This boot is known to the next.
  assert.equal(readKnownBoots(join(spoolDir, 'boots.json')).at(-1)?.bootId, collector.status().identity.bootId);
  await collector.close();
});

test('pstore: what was collected of a boot while it lived is not handed on again', async (t) => {
  const { receiver, folder, spoolDir, start } = await setUp(t);
  const madeMs = Math.floor(Date.now() / 1000) * 1000 - 60 * MINUTE_MS;
  mkdirSync(spoolDir);
  writeKnownBoot(join(spoolDir, 'boots.json'), { bootId: 'boot-before', release: '6.9.0-known', zeroMs: madeMs - 200_500 });
  const kmsg = { bootId: 'boot-before', sequence: 812, counts: { origin: 0, lost: 0, micros: 100_000_000 } };
  writeFileSync(join(spoolDir, 'checkpoint.json'), JSON.stringify({ version: 1, acknowledged: {}, positions: { kmsg } }));
  writeRecord(join(folder, 'dmesg-ramoops-0'), PANIC, madeMs);
  const collector = await start();
  const rows = await until('the rest', () => rowsOf(receiver).length > 0 && rowsOf(receiver));
  // The line with the last stamp that was collected may have had others beside it.
  assert.deepEqual(
    rows.map(({ bootId, text }) => [bootId, text]),
    [
      ['boot-before', 'before'],
      ['boot-before', 'Kernel panic'],
    ],
  );
  await collector.close();
});

test('pstore: an oops that this boot survived is in its own kernel log, and another crash of a boot adds what is new', async (t) => {
  const { receiver, folder, start } = await setUp(t);
  const first = await start();
  await first.close();
  const [boot] = readKnownBoots(join(folder, '../spool/boots.json'));
  const zeroMs = boot?.zeroMs ?? 0;
  const seconds = Math.floor((Date.now() - zeroMs) / 1000);
  const oopsMs = Math.ceil(zeroMs / 1000 + seconds) * 1000;
  writeRecord(join(folder, 'dmesg-ramoops-5'), `Oops#1 Part1\n<4>[${String(seconds).padStart(5)}.000000] alive\n`, oopsMs);
  const madeMs = Math.floor(Date.now() / 1000) * 1000 - 600 * MINUTE_MS;
  writeRecord(join(folder, 'dmesg-ramoops-0'), 'Oops#1 Part1\n<4>[  100.000000] an oops\n', madeMs);
  const second = await start();
  await until('the oops of another boot', () => rowsOf(receiver).length > 0);
  await second.close();
  writeRecord(join(folder, 'dmesg-ramoops-1'), 'Panic#2 Part1\n<4>[  100.000000] an oops\n<0>[  130.000000] a panic\n', madeMs + 30_000);
  const third = await start(true);
  await until('the panic', () => rowsOf(receiver).length === 2);
  await third.close();
  assert.deepEqual(
    rowsOf(receiver).map(({ text }) => text),
    ['an oops', 'a panic'],
  );
  assert.equal(new Set(rowsOf(receiver).map(({ bootId }) => bootId)).size, 1);
  // It removes what it handed on, and no more.
  assert.equal(existsSync(join(folder, 'dmesg-ramoops-1')), false);
  assert.equal(existsSync(join(folder, 'dmesg-ramoops-0')), true);
});

test('pstore: a crash waits on disk for a hub that is away, and is sent once', async (t) => {
  const { receiver, folder, start } = await setUp(t);
  writeRecord(join(folder, 'dmesg-ramoops-0'), PANIC, Math.floor(Date.now() / 1000) * 1000 - 60 * MINUTE_MS);
  receiver.refuse = () => 503;
  const first = await start();
  await first.close();
  assert.equal(rowsOf(receiver).length, 0);
  receiver.refuse = () => undefined;
  const second = await start();
  await until('the crash', () => rowsOf(receiver).length === 3);
  await second.close();
  assert.equal(rowsOf(receiver).length, 3);
});

test('pstore: a boot is known by when its clock began', (t) => {
  const path = join(tempFolder(t), 'boots.json');
  assert.deepEqual(readKnownBoots(path), []);
  for (let at = 0; at < 40; at++) writeKnownBoot(path, { bootId: `b${at}`, release: '', zeroMs: at * MINUTE_MS });
  const boots = readKnownBoots(path);
  assert.equal(boots.length, 32);
  assert.equal(findKnownBoot(boots, 20 * MINUTE_MS + 4000, 1000)?.bootId, 'b20');
  assert.equal(findKnownBoot(boots, 20 * MINUTE_MS + 6000, 1000), undefined);
  assert.equal(findKnownBoot(boots, 20 * MINUTE_MS + 6000, 60 * MINUTE_MS)?.bootId, 'b20', 'clocks drift');
  writeFileSync(path, '{"not": "a list"}');
  assert.deepEqual(readKnownBoots(path), []);
});
