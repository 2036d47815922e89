/** Parts that are written here against rows that ClickHouse writes itself: the same answers, an order it can search in, checksums it accepts. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { cityHash128, cityHashOfFile, type Hash128 } from '../../base/city-hash.ts';
import type { KernelIdentity } from '../../model/identity.ts';
import { EventBatch } from '../../model/event-batch.ts';
import { BatchEncoder } from '../../store/batch-encoder.ts';
import { daysOf } from '../../store/day-of.ts';
import { openEmbedded } from '../../store/engine-embedded.ts';
import { encodeEventPart, type EventPart } from '../../store/event-part.ts';
import { migrate, readMigrations } from '../../store/migrations.ts';
import { readTables } from '../../store/table-columns.ts';
import { createRandom } from '../support/random.ts';
import { addEvents, BASE_NS, field, KERNEL, tempFolder } from './support.ts';

const MINUTE_NS = 60_000_000_000n;
const FIELDS = [
  field('small', 'int32'),
  field('mask', 'uint32', true),
  field('text', 'string'),
  field('large', 'int64'),
  field('address', 'uint64', true),
];
const WIDE = Array.from({ length: 22 }, (_, at) => field(`f${at}`, at % 3 === 0 ? 'string' : 'int32'));
const INSERTED = { ...KERNEL, bootId: 'inserted' };
const folder = tempFolder();
const engine = await openEmbedded(folder);
await migrate(engine, readMigrations());
const tables = await readTables(engine);
const columns = tables.structures.get('events') ?? [];
const dayOf = daysOf(engine.parts?.timeZone ?? '');
after(() => engine.close());
let stamps = BASE_NS;

async function read(sql: string): Promise<string> {
  const { bytes } = await engine.read(sql, 'TSV', {}, { maxSeconds: 60, maxRows: undefined });
  return Buffer.from(bytes).toString().trim();
}

/** Of several events; the rows of each in runs of rising time, as turns of CPUs leave them. */
function makeBatch(rows: number, spanNs: bigint): EventBatch {
  const random = createRandom(rows);
  const below = (bound: number): number => Math.floor(random() * bound);
  const values = (): (string | number | bigint)[] => [
    below(2 ** 32) - 2 ** 31,
    below(2 ** 32),
    below(3) === 0 ? '' : `text ${below(300)}`,
    BigInt(below(2 ** 52)) - 2n ** 51n,
    2n ** 63n + BigInt(below(1000)),
  ];
  const batch = new EventBatch();
  const list = (length: number, row: () => (string | number | bigint)[]): (string | number | bigint)[][] => Array.from({ length }, row);
  addEvents(batch, 'sched:sched_switch', FIELDS, list(rows, values));
  addEvents(
    batch,
    'a:rare',
    [],
    list(3, () => []),
  );
  addEvents(batch, 'é:named', FIELDS, list(rows >> 2, values));
  // As a text has it that spells an event in two ways.
  addEvents(
    batch,
    'é:named',
    FIELDS.slice(1, 4),
    list(rows >> 7, () => values().slice(1, 4)),
  );
  addEvents(
    batch,
    'wide:wide',
    WIDE,
    list(rows >> 4, () => WIDE.map(({ kind }) => (kind === 'string' ? `w${below(9)}` : below(99)))),
  );
  for (const table of batch.tables) placeInRuns(table, spanNs, below, batch);
  return batch;
}

function placeInRuns(table: EventBatch['tables'][number], spanNs: bigint, below: (bound: number) => number, batch: EventBatch): void {
  const runs = 5;
  for (let row = 0; row < table.length; row++) {
    const place = (row * runs) / table.length;
    const ns = BigInt(Math.floor((place - Math.floor(place)) * Number(spanNs)));
    table.unixTime.setBigint(row, BASE_NS + ns);
    table.rawTime.setBigint(row, ns + 5n);
    table.comm[row] = batch.strings.internString(`task-${below(50)}`);
    table.body[row] = below(4) === 0 ? batch.strings.internString(`body ${below(20)}`) : 0;
    table.flags[row] = below(3) === 0 ? 4 : 0;
    table.preemptCount[row] = below(2);
  }
}

function encode(batch: EventBatch, identity: KernelIdentity = KERNEL): EventPart | undefined {
  return encodeEventPart({ identity, stream: 's', clockErrorNs: 12, batch }, ++stamps, columns, dayOf);
}

async function attach(part: EventPart, again = false, storedNs = stamps): Promise<string> {
  const path = join(folder, `part-${storedNs}`);
  if (!existsSync(path)) {
    mkdirSync(path);
    for (const [name, bytes] of part.files) writeFileSync(join(path, name), bytes);
  }
  await engine.parts?.attach({ table: 'events', partition: part.partition, folder: path, storedNs, again });
  return path;
}

async function insert(batch: EventBatch): Promise<void> {
  const { blocks, parts } = new BatchEncoder([], undefined).encode({
    events: [{ identity: INSERTED, stream: 's', clockErrorNs: 12, batch }],
  });
  assert.equal(parts.length, 0);
  for (const [table, bytes] of blocks) {
    const file = join(folder, `${table}.native`);
    writeFileSync(file, bytes);
    const storedNs = tables.stamped.has(table) ? ++stamps : undefined;
    await engine.load({ table, columns: tables.structures.get(table) ?? [], file, name: `${stamps}`, storedNs, again: false });
  }
}

/** What can be asked of a boot's rows. */
async function ask(boot: string): Promise<string[]> {
  const where = `WHERE BootId = '${boot}'`;
  const between = `Timestamp >= fromUnixTimestamp64Nano(${BASE_NS + MINUTE_NS / 3n}) AND Timestamp < fromUnixTimestamp64Nano(${BASE_NS + MINUTE_NS * 2n})`;
  return [
    await read(`SELECT Event, count(), sum(cityHash64(*)), min(Timestamp), max(Timestamp), uniqExact(Comm), sum(length(IX)), sum(length(SX)), uniqExact(Body)
      FROM (SELECT * EXCEPT (StoredAt, BootId) FROM events ${where}) GROUP BY Event ORDER BY Event`),
    await read(`SELECT Event, toStartOfMinute(Timestamp) AS minute, count(), sum(I0), uniqExact(S0), sum(SX[1] = 'w1') FROM events
      ${where} AND ${between} GROUP BY Event, minute ORDER BY Event, minute`),
    await read(`SELECT count(), sum(I3) FROM events ${where} AND Event = 'é:named' AND ${between}`),
    await read(`SELECT Timestamp, Event, Pid, Fields FROM events ${where} ORDER BY Timestamp, Event, Pid, I0 LIMIT 30`),
  ];
}

test('event part: answers as inserted rows do, is in the order of its key, and merges with them', async () => {
  const batch = makeBatch(50_000, MINUTE_NS * 3n);
  const part = encode(batch);
  assert.ok(part !== undefined);
  await attach(part);
  await insert(batch);
  assert.equal(
    await read(`SELECT rows, part_type FROM system.parts WHERE table = 'events' AND active AND rows = ${batch.length} LIMIT 1`),
    `${batch.length}\tCompact`,
  );
  const inserted = await ask(INSERTED.bootId);
  assert.match(inserted[0] ?? '', /wide:wide\t3125\t/);
  assert.deepEqual(await ask(KERNEL.bootId), inserted);
  const key = 'tuple(BootId, toStartOfMinute(Timestamp), Event::String, Timestamp)';
  assert.equal(
    await read(`SELECT countIf(k < before) FROM (SELECT ${key} AS k, lagInFrame(${key}) OVER (PARTITION BY _part ORDER BY _part_offset) AS before,
      _part_offset FROM events WHERE BootId = '${KERNEL.bootId}') WHERE _part_offset > 0`),
    '0',
  );
  await engine.command('OPTIMIZE TABLE events FINAL');
  assert.equal(await read(`SELECT count() FROM system.parts WHERE table = 'events' AND active`), '1');
  assert.deepEqual(await ask(KERNEL.bootId), inserted);
});

test('event part: ClickHouse accepts its checksums, and a part that was damaged on the way is refused', async () => {
  const batch = makeBatch(3_000, MINUTE_NS);
  const part = encode(batch, { ...KERNEL, bootId: 'checked' });
  assert.ok(part !== undefined);
  await attach(part);
  assert.match(await read('CHECK TABLE events'), /^1$|\t1/m);
  assert.doesNotMatch(await read('CHECK TABLE events SETTINGS check_query_single_value_result = 0'), /\t0\t/);
  const damaged = new Map(part.files);
  const data = Uint8Array.from(damaged.get('data.bin') ?? []);
  damaged.set('data.bin', data.subarray(0, data.length - 5));
  stamps++;
  await assert.rejects(attach({ ...part, files: damaged }), /attach|size|checksum|corrupt/i);
});

test('event part: tried again, what was attached before goes first, whether or not it was', async () => {
  const batch = makeBatch(2_000, MINUTE_NS);
  const part = encode(batch, { ...KERNEL, bootId: 'again' });
  assert.ok(part !== undefined);
  const storedNs = stamps;
  await attach(part, true, storedNs);
  await attach(part, true, storedNs);
  await attach(part, true, storedNs);
  assert.equal(await read(`SELECT count(), uniqExact(_part) FROM events WHERE BootId = 'again'`), `${batch.length}\t1`);
});

test('event part: rows of two days, of two kinds of one event that take turns too often, and none are not made a part', () => {
  assert.equal(encode(makeBatch(100, 2n * 86_400_000_000_000n)), undefined);
  assert.equal(encode(new EventBatch()), undefined);
  const twice = new EventBatch();
  const TURNS = 10_000;
  const kinds = [[], [field('x', 'int32')]].map((fields) =>
    addEvents(
      twice,
      'a:b',
      fields,
      Array.from({ length: TURNS }, () => fields.map(() => 1)),
    ),
  );
  for (const [at, table] of kinds.entries())
    for (let row = 0; row < TURNS; row++) table.unixTime.setBigint(row, BASE_NS + BigInt(row * 2 + at));
  assert.equal(encode(twice), undefined);
  for (const table of kinds) table.length = 100;
  assert.ok(encode(twice) !== undefined);
  const early = new EventBatch();
  addEvents(early, 'a:b', [], [[]]).unixTime.setBigint(0, -MINUTE_NS * 60n * 48n);
  assert.equal(encode(early), undefined);
});

test('event part: days are those of the engine, in any time zone', async () => {
  for (const zone of ['UTC', 'Europe/Berlin', 'America/St_Johns', 'Pacific/Apia', 'Asia/Kathmandu']) {
    const day = daysOf(zone);
    const times = Array.from({ length: 200 }, (_, at) => BASE_NS - BigInt(at) * 7_654_321_000_000_000n);
    const answers = await read(`SELECT toUInt16(toDate(fromUnixTimestamp64Nano(arrayJoin([${times.join(',')}]), '${zone}')))`);
    assert.deepEqual(
      times.map((time) => String(day(time).number)),
      answers.split('\n'),
      zone,
    );
  }
});

test('city hash: is the one that ClickHouse puts in front of each frame, and into the list of its files', async () => {
  await insert(makeBatch(20_000, MINUTE_NS));
  const path = await read(`SELECT path FROM system.parts WHERE table = 'events' AND active ORDER BY modification_time DESC LIMIT 1`);
  const data = readFileSync(join(path, readdirSync(path).find((name) => name === 'data.bin') ?? ''));
  let frames = 0;
  const sizes = new Set<number>();
  for (let at = 0; at < data.length;) {
    const size = data.readUInt32LE(at + 17);
    const expected: Hash128 = [data.readBigUInt64LE(at), data.readBigUInt64LE(at + 8)];
    assert.deepEqual(cityHash128(data.subarray(at + 16, at + 16 + size)), expected, `frame of ${size} bytes at ${at}`);
    sizes.add(size);
    frames++;
    at += 16 + size;
  }
  assert.ok(frames > 50 && Math.min(...sizes) < 64 && Math.max(...sizes) > 4096, `${frames} frames`);
  const [low, high] = cityHashOfFile(data);
  const hash = Buffer.alloc(16);
  hash.writeBigUInt64LE(low);
  hash.writeBigUInt64LE(high, 8);
  assert.ok(readFileSync(join(path, 'checksums.txt')).includes(hash));
});
