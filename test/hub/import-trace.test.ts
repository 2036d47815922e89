import type { RawOption } from '../../model/event-file.ts';
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { encodeUtf8 } from '../../base/bytes.ts';
import type { ImportResult, KernelRow, Problem } from '../../model/api.ts';
import { importFile } from '../../hub/import-file.ts';
import type { Store } from '../../store/store.ts';
import { readRingFixture } from '../support/ring-fixture.ts';
import { textOption, timeShiftOption, traceIdOption, tscToNsOption, writeTraceDat, type ShiftSample } from '../support/trace-dat-writer.ts';
import { getJson, runHub, type RunningHub } from './running-hub.ts';

const ZERO = 1_600_000_000_000_000_000n;

let hub: RunningHub;

before(async () => {
  hub = await runHub();
});
after(() => hub.stop());

async function send(bytes: Uint8Array<ArrayBuffer>, query: string): Promise<ImportResult & Problem> {
  const response = await fetch(`${hub.addresses.page}/api/import?${query}`, { method: 'POST', body: bytes });
  const answer = (await response.json()) as ImportResult & Problem;
  assert.equal(response.status, 200, JSON.stringify(answer));
  return answer;
}

function fixtureOf(name: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(join(import.meta.dirname, '../fixtures/trace_dat', `${name}.dat`)));
}

interface EventTime {
  readonly raw: bigint;
  readonly unix: bigint;
  readonly error: number;
  readonly cpu: number;
}

/** Times of all events of a kernel, in order of raw time. */
async function timesOf(kernel: string): Promise<EventTime[]> {
  const rows = await hub.store.query<{ raw: string; unix: string; error: string; cpu: number }>(
    `SELECT toString(RawTime) AS raw, toString(toUnixTimestamp64Nano(Timestamp)) AS unix, toString(ClockErrorNs) AS error, toFloat64(Cpu) AS cpu
     FROM events WHERE KernelName = '${kernel}' ORDER BY RawTime, Cpu`,
  );
  return rows.map(({ raw, unix, error, cpu }) => ({ raw: BigInt(raw), unix: BigInt(unix), error: Number(error), cpu }));
}

/** The recorded pages, with options and a clock of choice. */
function recording(clock: string, options: readonly RawOption[], copies = 1): Uint8Array<ArrayBuffer> {
  const { set, segment } = readRingFixture();
  const { pageSizeBytes, chunks } = segment.header;
  let at = 0;
  const cpus = chunks.map(({ cpu, pages }) => {
    const own = segment.pages.subarray(at, (at += pages * pageSizeBytes));
    return { cpu, pages: Buffer.concat(Array.from({ length: copies }, () => own)) };
  });
  return writeTraceDat({
    formats: set,
    compression: 'zlib',
    comms: '1 init\n',
    options: [textOption(4, `[${clock}]`), textOption(5, 'Linux box 6.1.0-lab aarch64'), ...options],
    buffers: [{ instance: '', clock, pageSizeBytes, cpus }],
  });
}

test('import: a trace.dat brings its clock, release, names, and each instance as a stream', async () => {
  const result = await send(fixtureOf('v7-zstd-instance'), 'name=night.dat&kernel=night&machine=box');
  const [kernel] = result.kernels;
  assert.deepEqual([result.format, result.records, result.malformed, result.gaps], ['trace_dat', 692, {}, 0]);
  assert.deepEqual([kernel?.release, kernel?.clock, kernel?.records], ['6.18.44-fc-v782', 'date of the file', 692]);
  assert.ok((kernel?.clockErrorNs ?? 0) >= 1_000_000 && (kernel?.clockErrorNs ?? 0) < 2_000_000);
  const streams = await hub.store.query<{ stream: string; rows: number; named: number }>(
    "SELECT Stream AS stream, toFloat64(count()) AS rows, toFloat64(countIf(Comm != '')) AS named FROM events WHERE KernelName = 'night' GROUP BY ALL ORDER BY 1",
  );
  assert.deepEqual(
    streams.map(({ stream, rows }) => [stream, rows]),
    [
      ['file:night.dat', 209],
      ['file:night.dat/mks1', 483],
    ],
  );
  // The fixture's own list of names was shortened: the others come from the switches, which are in the instance.
  assert.ok(
    streams.every(({ rows, named }) => named > rows / 2),
    JSON.stringify(streams),
  );
  const times = await timesOf('night');
  for (const { raw, unix } of times) assert.equal(unix - raw, 1_795_639_164_031_078_000n, 'DATE of the file, to its microsecond');
  assert.deepEqual([result.from, result.to], [String(times[0]?.unix), String(times.at(-1)?.unix)]);
  const { kernels } = await getJson<{ kernels: KernelRow[] }>(hub, '/api/kernels');
  assert.equal(kernels.find(({ bootId }) => bootId === kernel?.bootId)?.state, 'imported');
});

test('import: a trace.dat that is imported again stores nothing twice', async () => {
  const again = await send(fixtureOf('v7-zstd-instance'), 'name=night.dat&kernel=night&machine=box');
  assert.deepEqual([again.records, again.alreadyStored], [692, 692]);
  assert.equal((await timesOf('night')).length, 692);
  // The same recording in another version is another file.
  const other = await send(fixtureOf('v6-instance'), 'name=night6.dat&kernel=night6&machine=box');
  assert.deepEqual([other.records, other.alreadyStored], [692, 0]);
  assert.deepEqual(
    (await timesOf('night6')).map(({ raw, unix }) => [raw, unix]),
    (await timesOf('night')).map(({ raw, unix }) => [raw, unix]),
  );
});

for (const { kind, file, records } of [
  { kind: 'trace.dat', file: recording('mono', [textOption(1, '0x1000')], 100), records: 119_400 },
  { kind: 'text', file: textOf(60_000), records: 60_000 },
]) {
  test(`import: a ${kind} that was cut off goes on behind the last piece stored, in pieces of any size`, async () => {
    const { store } = hub;
    let appends = 0;
    const dying: Store = {
      append: (batch) => ((batch.events?.length ?? 0) > 0 && ++appends > 2 ? Promise.reject(new Error('killed')) : store.append(batch)),
      holds: (origin) => store.holds(origin),
      flush: () => store.flush(),
      query: (sql, options) => store.query(sql, options),
      queryRaw: (sql, format, options) => store.queryRaw(sql, format, options),
      renameBoot: (from, to) => store.renameBoot(from, to),
      health: () => store.health(),
      close: () => store.close(),
    };
    const kernelName = `cut-${kind}`;
    const options = { fileName: 'cut', identity: { kernelName, kernelId: 0 } };
    const input = async function* (): AsyncGenerator<Uint8Array> {
      yield file;
    };
    await assert.rejects(importFile(dying, input(), { ...options, appendBytes: 1 }), /killed/);
    const count = async (): Promise<number> => (await timesOf(kernelName)).length;
    const stored = await count();
    assert.ok(stored > records / 6 && stored < records * 0.9, `${stored} stored before`);
    const rest = await importFile(store, input(), options);
    assert.deepEqual([rest.records, rest.alreadyStored, await count()], [records, stored, records]);
    const again = await importFile(store, input(), { ...options, appendBytes: 64 << 20 });
    assert.deepEqual([again.records, again.alreadyStored, await count()], [records, records, records]);
  });
}

/** Of two spellings of one event that take turns. */
function textOf(lines: number): Uint8Array {
  let text = '# tracer: nop\n';
  for (let i = 0; i < lines; i++) {
    const body = i % 1000 === 7 ? `call: a=0x${i.toString(16)}, b=none` : `call: a=${i} b=${i % 7}`;
    text += `            task-${1000 + (i % 5)}    [00${i % 2}] ..... ${(1000 + i / 1000).toFixed(6)}: ${body}\n`;
  }
  return encodeUtf8(text);
}

test('import: a file is read where it is; what is made while it is read is copied first', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'mkscope-import-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'there.dat');
  writeFileSync(path, fixtureOf('v7-zstd-instance'));
  const untouched = (): AsyncIterable<Uint8Array> => ({
    [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error('the input was read')) }),
  });
  const options = { fileName: 'night.dat', path, workDir: join(folder, 'work'), identity: { kernelName: 'there', kernelId: 0 } };
  const { records, alreadyStored, bytes } = await importFile(hub.store, untouched(), options);
  assert.deepEqual([records, alreadyStored, bytes], [692, 0, fixtureOf('v7-zstd-instance').length]);
  assert.ok(existsSync(path) && !existsSync(options.workDir));
  const copied = async function* (): AsyncGenerator<Uint8Array> {
    yield fixtureOf('v7-zstd-instance');
  };
  const again = await importFile(hub.store, copied(), { fileName: options.fileName, identity: options.identity });
  assert.equal(again.alreadyStored, 692, 'known by its content, however it came');
  writeFileSync(path, '[    1.000000] one\n');
  const log = await importFile(hub.store, untouched(), options);
  assert.deepEqual([log.records, existsSync(path)], [1, true]);
  // No size, as all of proc and tracefs.
  await assert.rejects(importFile(hub.store, untouched(), { ...options, path: '/proc/version' }), /the input was read/);
});

test('import: losses of a trace.dat are gaps; without a date its last event is from when the file was written', async () => {
  const result = await send(fixtureOf('v7-lost'), `name=lost.dat&kernel=lost&modified=${ZERO}`);
  assert.deepEqual([result.kernels[0]?.clock, result.to, result.gaps], ['end of the file', String(ZERO), 2]);
  const { gaps } = await getJson<{ gaps: { cpu: number; count: number; reason: string; fromUnixNs: string; toUnixNs: string }[] }>(
    hub,
    '/api/gaps?kernel=lost',
  );
  const byReason = new Map(gaps.map((gap) => [gap.reason, gap]));
  assert.deepEqual([byReason.get('ring_lost')?.cpu, byReason.get('ring_lost')?.count], [1, 1015]);
  assert.deepEqual([byReason.get('resized_or_stolen')?.cpu, byReason.get('resized_or_stolen')?.count], [0, 103]);
  for (const { fromUnixNs, toUnixNs } of gaps) assert.ok(fromUnixNs >= result.from && toUnixNs <= result.to);
});

test('import: a counter with TSC2NSEC is converted exactly; the time zero that is given is its zero', async () => {
  const result = await send(
    recording('x86-tsc', [tscToNsOption(2_386_092, 22, 17n), textOption(1, '0x1000')]),
    `name=t.dat&kernel=tsc&time_zero=${ZERO}`,
  );
  assert.deepEqual([result.kernels[0]?.clock, result.kernels[0]?.release], ['time zero given', '6.1.0-lab']);
  const times = await timesOf('tsc');
  assert.equal(times.length, 1194);
  for (const { raw, unix } of times) assert.equal(unix, ZERO + ((raw * 2_386_092n) >> 22n) + 17n);
  const dated = await send(recording('x86-tsc', [textOption(1, '0x1000')]), 'name=d.dat&kernel=dated');
  assert.equal(dated.kernels[0]?.clock, 'end of the file', 'a date in ns means nothing to a counter');
});

test('import: a guest is set against its host by trace id, with a bound that grows beyond the samples', async () => {
  const mult = 1_500_000;
  const shift = 22;
  const sample = (time: bigint, offset: bigint): ShiftSample => ({ time, offset, scaling: 3n << 30n, fractionBits: 31 });
  // The recording runs from 2,458,274 ms to 2,458,306 ms of raw time; the samples end in its middle.
  const samples = [sample(2_458_270_000_000n, -5_000n), sample(2_458_290_000_000n, -4_000n)];
  const guest = recording('x86-tsc', [traceIdOption(78n), timeShiftOption(77n, 1, [samples, samples]), tscToNsOption(9, 1, 0n)]);
  const alone = await send(guest, 'name=g0.dat&kernel=guest0&kernel_id=1&machine=rack');
  assert.equal(alone.kernels[0]?.clock, 'end of the file', 'its host is not known yet');
  const host = await send(
    recording('x86-tsc', [traceIdOption(77n), tscToNsOption(mult, shift, 0n)]),
    `name=h.dat&kernel=host&kernel_id=0&machine=rack&time_zero=${ZERO}`,
  );
  assert.equal(host.kernels[0]?.clock, 'time zero given');
  const result = await send(guest, 'name=g.dat&kernel=guest&kernel_id=2&machine=rack');
  assert.deepEqual([result.kernels[0]?.clock, result.records], ['clock of the host', 1194]);
  const times = await timesOf('guest');
  for (const { raw, unix, error } of times) {
    const offset = -5_000n + ((raw - 2_458_270_000_000n) * 1_000n + 10_000_000n) / 20_000_000n;
    assert.equal(unix, ZERO + (((((raw * 3n) >> 1n) + offset) * BigInt(mult)) >> BigInt(shift)), `raw ${raw}`);
    assert.ok(error >= 1_000_000);
  }
  const beyondTicks = Number((times.at(-1)?.raw ?? 0n) - 2_458_290_000_000n);
  assert.ok(beyondTicks > 10_000_000, 'the recording goes on behind the samples');
  assert.ok((result.kernels[0]?.clockErrorNs ?? 0) > 1_000_000 + beyondTicks * 500e-6 * (mult / 2 ** shift));
});

test('import: a trace.dat that is cut is imported as far as it goes, and says where it ends', async () => {
  const whole = fixtureOf('v7-none-instance');
  const result = await send(whole.slice(0, whole.length - 9_000), 'name=cut.dat&kernel=cut');
  assert.ok(result.records > 0 && result.records < 692, `${result.records}`);
  assert.match(Object.keys(result.malformed).join('\n'), /at byte \d+/);
  const v6 = fixtureOf('v6-instance');
  const cut = await send(v6.slice(0, v6.length - 6_000), 'name=cut6.dat&kernel=cut6');
  assert.ok(cut.records > 0 && cut.records < 692);
  assert.match(Object.keys(cut.malformed).join('\n'), /pages of CPU 1 are cut by 6000 bytes at byte \d+/);
  const { gaps } = await getJson<{ gaps: { reason: string }[] }>(hub, '/api/gaps?kernel=cut6');
  assert.ok(gaps.some(({ reason }) => reason === 'file_truncated'));
  const stump = await send(v6.slice(0, 300), 'name=stump.dat&kernel=stump');
  assert.equal(stump.records, 0);
});
