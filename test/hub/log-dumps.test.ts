/** ftrace dumps in recorded consoles (test/fixtures/console) become events beside the lines, at the time at which tracing ended. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import { importFile } from '../../hub/import-file.ts';
import { DumpReader, fitDump, noteDumpTimes, type DumpTimes } from '../../hub/log-dumps.ts';
import { LogBatch } from '../../model/log-batch.ts';
import { NO_RAW_TIME } from '../../model/time.ts';
import { consoleText } from '../../parsers/console.ts';
import { openStore } from '../../store/open.ts';
import { createRandom } from '../support/random.ts';
import { SPAWN } from './running-hub.ts';

const readConsole = (name: string): Buffer =>
  zstdDecompressSync(readFileSync(join(import.meta.dirname, `../fixtures/console/dump-${name}.log.zst`)));

/** The events of each dump by name, and what else there is to know of it, where rows come in batches of `rowsAtOnce()`. */
function readDumps(text: Uint8Array, rowsAtOnce: () => number): { index: number; events: string[]; times: DumpTimes; lost: number }[] {
  const batch = new LogBatch();
  const session = consoleText.open({});
  session.finish(text.subarray(session.parse(text, batch)), batch);
  const reader = new DumpReader();
  const found: { index: number; events: string[]; times: DumpTimes; lost: number }[] = [];
  const take = (): void => {
    const { start, events } = reader;
    if (start === undefined) return;
    const before = found[start.index];
    const times = noteDumpTimes(before?.times, events);
    const own = events.tables.flatMap(({ schema: { name }, rawTime, cpu, length }) =>
      Array.from({ length }, (_, row) => `${name} ${rawTime.getBigint(row)} ${cpu[row]}`),
    );
    const lost = reader.takeLosses().reduce((sum, { count = 0 }) => sum + count, before?.lost ?? 0);
    found[start.index] = { index: start.index, events: [...(before?.events ?? []), ...own], times, lost };
    events.clear();
  };
  for (let from = 0; from < batch.length;) {
    const to = Math.min(batch.length, from + rowsAtOnce());
    while (from < to) {
      from = reader.read(batch, from, to);
      take();
    }
  }
  reader.finish();
  take();
  for (const { events } of found) events.sort();
  return found;
}

test('ftrace dumps: each line between the rules is an event or a loss, in pieces of any size', () => {
  const random = createRandom(8);
  for (const [name, events, lost] of [
    ['oops', 673, 371],
    ['panic', 581, 245],
    ['graph', 419, 7_891_792],
  ] as const) {
    const text = readConsole(name);
    const whole = readDumps(text, () => Infinity);
    assert.equal(whole[0]?.events.length, events, name);
    assert.ok((whole[0]?.lost ?? 0) >= lost, name);
    for (const most of [1, 7, 300]) {
      const pieces = readDumps(text, () => 1 + Math.floor(random() * most));
      assert.deepEqual(pieces, whole, `${name}, ${most} rows at once`);
    }
  }
});

test('ftrace dumps: an empty one has no events, one that is cut off has what came', () => {
  assert.deepEqual(
    readDumps(readConsole('oops'), () => Infinity).map(({ events }) => events.length),
    [673, 0],
  );
  const text = readConsole('panic').toString('latin1');
  const cut = text.slice(0, text.length * 0.8);
  const [only, ...others] = readDumps(Buffer.from(cut, 'latin1'), () => 5);
  assert.equal(others.length, 0);
  assert.ok(only !== undefined && only.events.length > 50 && only.events.length < 581);
});

test('ftrace dumps: a file of nothing else costs no more than some of them', () => {
  const rule = '-'.repeat(33);
  const one = `[    1.000000] Dumping ftrace buffer:\n[    1.000000] ${rule}\n[    1.000000]   sh-1   0d..2. 7us : sched_switch: a=1\n[    1.000000] ${rule}\n`;
  const found = readDumps(Buffer.from(one.repeat(2000)), () => Infinity);
  assert.equal(found.length, 256);
  assert.ok(found.every(({ events }) => events.length === 1));
});

test('ftrace dumps: where its times are in the log', () => {
  const start = { index: 0, raw: 100_000_000_000n, unixNs: 5_000_000_000_000n, laterNs: 0 };
  const times = { firstRaw: 0n, lastRaw: 1_000_000_000n, silenceNs: 2e6, isTimed: true };
  // Reset 99 s after boot: the last event is where tracing ended.
  assert.deepEqual(fitDump(start, times, 500), { baseRaw: 1_000_000_000n, baseUnixNs: start.unixNs, nsPerTick: 1, errorNs: 2_000_500 });
  // Never reset: no longer silent before the dump than within it.
  const never = { ...times, lastRaw: 99_999_000_000n };
  assert.equal(fitDump(start, never, 500).baseUnixNs, start.unixNs - 1_000_000n);
  // On another clock that is ahead, without a stamp, and without times.
  assert.equal(fitDump(start, { ...times, lastRaw: 100_000_500_000n }, 500).baseUnixNs, start.unixNs);
  assert.equal(fitDump({ ...start, raw: NO_RAW_TIME }, never, 500).baseUnixNs, start.unixNs);
  assert.equal(fitDump(start, { ...times, isTimed: false }, 500).errorNs, -1);
  // A panic goes on tracing while it prints.
  assert.equal(fitDump({ ...start, laterNs: 40e6 }, times, 500).errorNs, 42_000_500);
});

test('ftrace dumps: an import puts them on the timeline, up to the first line of what killed the kernel, and once', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'mkscope-dumps-'));
  const store = await openStore({ dataDir });
  try {
    for (const [name, events, died, kernelId] of [
      ['oops', 673, 'BUG: kernel NULL pointer dereference%', 1],
      ['panic', 581, 'Kernel panic - not syncing: sysrq%', 2],
    ] as const) {
      const text = readConsole(name);
      const identity = { ...SPAWN, kernelId, kernelName: name, bootId: `boot of ${name}` };
      for (const again of [false, true]) {
        const input = (async function* () {
          yield await Promise.resolve(text);
        })();
        const options = { fileName: `${name}.log`, identity, modifiedUnixNs: 1_800_000_000_000_000_000n };
        const { dumpEvents, records, alreadyStored, malformed, gaps } = await importFile(store, input, options);
        assert.deepEqual([dumpEvents, malformed], [events, {}]);
        assert.ok(gaps >= 1);
        assert.equal(alreadyStored, again ? records : 0);
        const [row] = await store.query<{ count: string; last: string; stream: string; error: string }>(
          `SELECT count() AS count, toString(max(Timestamp)) AS last, any(Stream) AS stream, max(ClockErrorNs) AS error FROM events WHERE KernelName = '${name}'`,
        );
        const [line] = await store.query<{ at: string }>(
          `SELECT toString(Timestamp) AS at FROM otel_logs WHERE ServiceName = '${name}' AND Body LIKE '${died}' AND EventName NOT LIKE 'kernel.%' ORDER BY Timestamp LIMIT 1`,
        );
        assert.equal(Number(row?.count), events);
        assert.equal(row?.stream, `file:${name}.log/ftrace_dump`);
        assert.equal(row.last, line?.at);
        assert.ok(Number(row.error) > 0);
      }
    }
  } finally {
    await store.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
});
