/** The spool by itself: what commits, what a crash leaves, and what happens when loading fails. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isOperational } from '../../base/errors.ts';
import { OpenGeneration, type SpoolPart } from '../../store/generation.ts';
import { Spool, type LoadTable, type SpoolLoad, type SpoolOptions } from '../../store/spool.ts';
import { createRandom, randomBytes } from '../support/random.ts';
import { tempFolder } from './support.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

interface Loaded {
  readonly tokens: string[];
  /** Table → all that was loaded, in order. */
  readonly text: Map<string, string>;
  readonly load: LoadTable;
}

/** Keeps what is loaded, the same file once. */
function openTarget(): Loaded {
  const text = new Map<string, string>();
  const tokens: string[] = [];
  return {
    text,
    tokens,
    load: ({ table, file, name: token }) => {
      if (!tokens.includes(token)) text.set(table, (text.get(table) ?? '') + readFileSync(file, 'latin1'));
      tokens.push(token);
      return Promise.resolve();
    },
  };
}

function openSpool(t: TestContext, folder: string, load: LoadTable, options: Partial<SpoolOptions> = {}): Spool {
  const spool = new Spool({ folder, maxBytes: 1 << 30, sealAfterMs: 3_600_000, sealAtBytes: 1 << 30, ...options }, load);
  t.after(() => spool.close());
  return spool;
}

/** A spool whose process was killed: it never closes and never loads. */
function abandon(folder: string, appends: readonly (readonly [string, string, number?])[]): void {
  const spool = new Spool({ folder, maxBytes: 1 << 30, sealAfterMs: 3_600_000, sealAtBytes: 1 << 30 }, () => Promise.resolve());
  for (const [table, text, sequence] of appends) {
    spool.append(new Map([[table, bytes(text)]]), sequence === undefined ? undefined : { stream: 's', sequence });
  }
}

const generations = (folder: string): string[] => readdirSync(folder).filter((name) => /^\d{13}-/.test(name));

test('spool: loads what was appended, in order, once, and leaves nothing behind', async (t) => {
  const folder = tempFolder();
  const target = openTarget();
  const spool = openSpool(t, folder, target.load);
  spool.append(
    new Map([
      ['a', bytes('one ')],
      ['b', bytes('x')],
    ]),
    undefined,
  );
  spool.append(new Map([['a', bytes('two ')]]), undefined);
  await Promise.all([spool.flush(), spool.flush()]);
  spool.append(new Map([['a', bytes('three')]]), undefined);
  await spool.flush();
  assert.deepEqual(
    [...target.text],
    [
      ['a', 'one two three'],
      ['b', 'x'],
    ],
  );
  assert.equal(spool.pendingBytes, 0);
  assert.equal(generations(folder).length, 1);
  assert.equal(new Set(target.tokens).size, 3);
});

test('spool: knows an origin again, also after restarts and out of order', async (t) => {
  const folder = tempFolder();
  abandon(folder, [
    ['a', '5 ', 5],
    ['a', '6 ', 6],
    ['a', '9 ', 9],
  ]);
  for (let restart = 0; restart < 3; restart++) {
    const target = openTarget();
    const spool = openSpool(t, folder, target.load);
    for (const known of [5, 6, 9]) assert.ok(spool.has({ stream: 's', sequence: known }), `${known} after restart ${restart}`);
    for (const fresh of [4, 7, 8, 10]) assert.ok(!spool.has({ stream: 's', sequence: fresh }));
    assert.ok(!spool.has({ stream: 'other', sequence: 5 }));
    await spool.close();
    if (restart === 0) assert.deepEqual([...target.text], [['a', '5 6 9 ']]);
  }
  const spool = openSpool(t, folder, openTarget().load);
  spool.append(new Map([['a', bytes('x')]]), { stream: 's', sequence: 1000 });
  assert.ok(spool.has({ stream: 's', sequence: 7 }), 'a hole far below the highest counts as taken');
  assert.ok(!spool.has({ stream: 's', sequence: 999 }));
});

test('spool: a tail that was never committed is cut and counted', async (t) => {
  const folder = tempFolder();
  abandon(folder, [
    ['a', 'whole ', 1],
    ['b', 'kept', 2],
  ]);
  const [id = ''] = generations(folder);
  appendFileSync(join(folder, id, 'a.native'), 'torn block');
  writeFileSync(join(folder, id, 'c.native'), 'never committed');
  appendFileSync(join(folder, id, 'journal'), 'MKR1\x40\x00\x00\x00half a rec');
  const target = openTarget();
  const spool = openSpool(t, folder, target.load);
  await spool.flush();
  assert.deepEqual(
    [...target.text],
    [
      ['a', 'whole '],
      ['b', 'kept'],
    ],
  );
  assert.equal(spool.cutBytes, 'torn block'.length + 'never committed'.length + 18);
});

test('spool: any cut of the journal leaves whole appends only', async (t) => {
  const appends = Array.from({ length: 6 }, (_, at) => [at % 2 === 0 ? 'a' : 'b', `<${at}>`, at] as const);
  const whole = tempFolder();
  abandon(whole, appends);
  const length = statSync(join(whole, generations(whole)[0] ?? '', 'journal')).size;
  const random = createRandom(7);
  for (let round = 0; round < 40; round++) {
    const folder = join(tempFolder(), 'spool');
    abandon(folder, appends);
    const journal = join(folder, generations(folder)[0] ?? '', 'journal');
    truncateSync(journal, Math.floor(random() * length));
    if (round % 2 === 1) appendFileSync(journal, randomBytes(random, 40));
    const target = openTarget();
    const spool = openSpool(t, folder, target.load);
    await spool.flush();
    const text = `${target.text.get('a') ?? ''}${target.text.get('b') ?? ''}`;
    const count = text.split('<').length - 1;
    for (const [table, mark, sequence] of appends.slice(0, count)) {
      assert.ok(target.text.get(table)?.includes(mark));
      assert.ok(spool.has({ stream: 's', sequence }));
    }
    for (const [, mark, sequence] of appends.slice(count)) {
      assert.ok(!text.includes(mark));
      assert.ok(!spool.has({ stream: 's', sequence }) || count === 0);
    }
  }
});

test('spool: a table file that a power cut left short takes the journal back to what is whole', async (t) => {
  const folder = tempFolder();
  abandon(folder, [
    ['a', 'one ', 1],
    ['a', 'two ', 2],
    ['a', 'three', 3],
  ]);
  const [id = ''] = generations(folder);
  truncateSync(join(folder, id, 'a.native'), 10);
  const target = openTarget();
  const spool = openSpool(t, folder, target.load);
  await spool.flush();
  assert.deepEqual([...target.text], [['a', 'one two ']]);
  assert.ok(spool.has({ stream: 's', sequence: 2 }));
  assert.ok(!spool.has({ stream: 's', sequence: 3 }));
});

test('spool: a part is there whole or not at all, and each with its own stamp', async (t) => {
  const folder = tempFolder();
  const part = (storedNs: bigint): SpoolPart => ({
    table: 'events',
    partition: '20261126',
    storedNs,
    files: new Map([
      ['data.bin', Uint8Array.of(1, 2, 3)],
      ['count.txt', Uint8Array.of(0x31)],
    ]),
  });
  const stopped = new OpenGeneration(folder, '1795430000123-9f3c21aa-000017', {});
  stopped.append(new Map([['events', Uint8Array.of(9)]]), { stream: 's', sequence: 1 }, [part(11n), part(12n)]);
  const id = stopped.seal().folder;
  // Begun when the process was killed: its append is in no journal.
  mkdirSync(join(id, 'events.20261126.13.part'));
  writeFileSync(join(id, 'events.20261126.13.part', 'data.bin'), 'x');
  const loads: SpoolLoad[] = [];
  const files = new Map<string, string[]>();
  const spool = openSpool(t, folder, async (load) => {
    loads.push(load);
    if (load.partition !== undefined) files.set(basename(load.file), readdirSync(load.file).sort());
  });
  await spool.flush();
  assert.deepEqual(
    loads.map(({ table, partition, storedNs, again }) => ({ table, partition, isOwn: storedNs === 11n || storedNs === 12n, again })),
    [
      { table: 'events', partition: '20261126', isOwn: true, again: true },
      { table: 'events', partition: '20261126', isOwn: true, again: true },
      { table: 'events', partition: undefined, isOwn: false, again: true },
    ],
  );
  assert.deepEqual(
    [...files.values()],
    [
      ['count.txt', 'data.bin'],
      ['count.txt', 'data.bin'],
    ],
  );
  assert.ok(!existsSync(id));
  assert.ok(spool.has({ stream: 's', sequence: 1 }));
});

test('spool: a part that a power cut left short takes its append back', async (t) => {
  const folder = tempFolder();
  const open = new OpenGeneration(folder, '1795430000123-9f3c21aa-000017', {});
  open.append(new Map(), { stream: 's', sequence: 1 }, [
    { table: 'events', partition: 'a', storedNs: 11n, files: new Map([['x', Uint8Array.of(1, 2)]]) },
  ]);
  open.append(new Map(), { stream: 's', sequence: 2 }, [
    { table: 'events', partition: 'a', storedNs: 12n, files: new Map([['x', Uint8Array.of(1, 2)]]) },
  ]);
  truncateSync(join(open.seal().folder, 'events.a.12.part', 'x'), 1);
  const stamps: bigint[] = [];
  const spool = openSpool(t, folder, async ({ storedNs }) => void stamps.push(storedNs));
  await spool.flush();
  assert.deepEqual(stamps, [11n]);
  assert.ok(spool.has({ stream: 's', sequence: 1 }) && !spool.has({ stream: 's', sequence: 2 }));
});

test('spool: a failing load is told, tried again with the same token, and nothing is lost', async (t) => {
  const folder = tempFolder();
  const target = openTarget();
  const tries: SpoolLoad[] = [];
  let away = true;
  const spool = openSpool(t, folder, async (file) => {
    tries.push(file);
    if (away) throw Object.assign(new Error('connection refused'), { code: 'ECONNREFUSED' });
    await target.load(file);
  });
  spool.append(new Map([['a', bytes('one ')]]), undefined);
  await assert.rejects(spool.flush(), /connection refused/);
  assert.ok(spool.isFailing);
  assert.match(spool.lastError, /connection refused/);
  spool.append(new Map([['a', bytes('two')]]), undefined);
  away = false;
  await spool.flush();
  assert.deepEqual([...target.text], [['a', 'one two']]);
  assert.equal(tries[0]?.name, tries[1]?.name);
  assert.equal(tries[0]?.storedNs, tries[1]?.storedNs);
  assert.notEqual(tries[0]?.storedNs, tries[2]?.storedNs);
  assert.deepEqual(
    tries.map((file) => file.again),
    [false, true, false],
  );
  assert.equal(spool.lastError, '');
  assert.equal(spool.pendingBytes, 0);
});

test('spool: while somebody holds it nothing later is loaded; then it goes on', async (t) => {
  const target = openTarget();
  const spool = openSpool(t, tempFolder(), target.load);
  const append = (text: string): void => spool.append(new Map([['a', bytes(text)]]), undefined);
  const holdNothing = await spool.flushAndHold();
  append('one ');
  const first = spool.flushAndHold();
  append('two ');
  const second = spool.flushAndHold();
  append('three');
  const rest = spool.flush();
  const loaded = async (): Promise<string | undefined> => {
    await sleep(20);
    return target.text.get('a');
  };
  assert.equal(await loaded(), undefined);
  holdNothing();
  const letFirstGo = await first;
  assert.equal(await loaded(), 'one ');
  letFirstGo();
  const letSecondGo = await second;
  assert.equal(await loaded(), 'one two ');
  letSecondGo();
  await rest;
  assert.equal(await loaded(), 'one two three');
});

test('spool: what waits is bounded in bytes, and the bound opens again', async (t) => {
  let away = true;
  const load: LoadTable = () => (away ? Promise.reject(new Error('away')) : Promise.resolve());
  const spool = openSpool(t, tempFolder(), load, { maxBytes: 1000 });
  for (let i = 0; i < 11; i++) spool.append(new Map([['a', new Uint8Array(100)]]), { stream: 's', sequence: i });
  assert.throws(
    () => spool.append(new Map([['a', new Uint8Array(1)]]), { stream: 's', sequence: 11 }),
    (error) => isOperational(error) && error.code === 'E_STORE_BUSY',
  );
  assert.ok(!spool.has({ stream: 's', sequence: 11 }));
  away = false;
  await spool.flush();
  spool.append(new Map([['a', new Uint8Array(1)]]), { stream: 's', sequence: 11 });
});

test('spool: a file that ClickHouse calls malformed is set aside, the rest is loaded', async (t) => {
  const folder = tempFolder();
  const target = openTarget();
  const spool = openSpool(t, folder, async (file) => {
    if (file.table === 'bad') throw Object.assign(new Error('cannot read all data'), { code: '33' });
    await target.load(file);
  });
  spool.append(
    new Map([
      ['bad', bytes('?')],
      ['good', bytes('fine')],
    ]),
    undefined,
  );
  for (let tries = 0; tries < 2; tries++) await assert.rejects(spool.flush(), /cannot read all data/);
  await spool.flush();
  assert.deepEqual([...target.text], [['good', 'fine']]);
  assert.equal(readdirSync(join(folder, 'rejected')).length, 1);
  assert.ok(spool.rejectedBytes > 0);
});

test('spool: a full disk refuses the append whole, and goes on when there is room', async (t) => {
  const folder = tempFolder();
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'mkscope-test', folder]).status === 0;
  if (!mounted) {
    t.skip('a small tmpfs cannot be mounted here (needs root)');
    return;
  }
  t.after(() => spawnSync('umount', [folder]));
  const target = openTarget();
  const spool = new Spool({ folder, maxBytes: 1 << 30, sealAfterMs: 3_600_000, sealAtBytes: 1 << 30 }, target.load);
  const ballast = join(folder, 'ballast');
  writeFileSync(ballast, Buffer.alloc(400 << 10));
  let taken = 0;
  const append = (): void =>
    spool.append(
      new Map([
        ['a', Buffer.alloc(50_000, 65 + taken)],
        ['b', bytes(`${taken} `)],
      ]),
      { stream: 's', sequence: taken },
    );
  assert.throws(
    () => {
      for (; taken < 1000; taken++) append();
    },
    (error) => isOperational(error) && error.code === 'E_DISK_FULL',
  );
  assert.ok(taken > 3 && taken < 30, `${taken} appends in 600 KiB`);
  assert.ok(!spool.has({ stream: 's', sequence: taken }));
  rmSync(ballast);
  append();
  taken++;
  await spool.close();
  assert.equal(target.text.get('b'), Array.from({ length: taken }, (_, at) => `${at} `).join(''));
  assert.equal(target.text.get('a')?.length, taken * 50_000);
  assert.ok(existsSync(folder));
});

test('spool: a generation that someone removed keeps nothing waiting', async (t) => {
  const folder = tempFolder();
  const target = openTarget();
  let away = true;
  const spool = openSpool(t, folder, (file) => (away ? Promise.reject(new Error('away')) : target.load(file)));
  spool.append(new Map([['a', bytes('gone')]]), undefined);
  await assert.rejects(spool.flush());
  const [first = ''] = generations(folder);
  rmSync(join(folder, first), { recursive: true });
  away = false;
  spool.append(new Map([['a', bytes('kept')]]), undefined);
  await spool.flush();
  assert.deepEqual([...target.text], [['a', 'kept']]);
});

test('spool: leftovers that are no generations are left alone', (t) => {
  const folder = tempFolder();
  mkdirSync(join(folder, 'rejected'));
  writeFileSync(join(folder, 'note.txt'), 'mine');
  openSpool(t, folder, openTarget().load);
  assert.equal(readFileSync(join(folder, 'note.txt'), 'utf8'), 'mine');
});
