/** Pages and lines → rows that a query sees, in the embedded store, CPU of its merges included. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toResource, toScope } from '../model/identity.ts';
import { LogBatch } from '../model/log-batch.ts';
import { openStore } from '../store/open.ts';
import type { Store } from '../store/store.ts';
import type { Bench, BenchResult } from './bench.ts';
import { feed, IDENTITY, MIXES, record, withStore, type Mix } from './event-recording.ts';

const ROUNDS = 3;

async function benchEvents(mix: Mix): Promise<BenchResult> {
  const recording = record(mix);
  return withStore(async (store) => {
    let events = 0;
    let cpuSeconds = 0;
    // The first round pays for the views and the engine's warm-up.
    const first = await feed(store, recording, 0);
    for (let round = 1; round <= ROUNDS; round++) {
      const fed = await feed(store, recording, round);
      events += fed.events;
      cpuSeconds += fed.cpuSeconds;
    }
    const { bytesOnDisk, rows } = await store.health();
    const queries = await timeQueries(store);
    return {
      value: events / cpuSeconds,
      unit: 'events/CPU-s',
      detail: `${first.events} events ${recording.source}; ${(bytesOnDisk / rows).toFixed(2)} bytes/event on disk; ${queries}; ${Math.round(process.memoryUsage.rss() / 1e6)} MB RSS`,
    };
  });
}

/** Best of five, ms. */
async function timeQueries(store: Store): Promise<string> {
  const best = async (sql: string): Promise<string> => {
    let least = Infinity;
    for (let i = 0; i < 5; i++) {
      const start = performance.now();
      await store.query(sql);
      least = Math.min(least, performance.now() - start);
    }
    return least.toFixed(1);
  };
  const group = await best('SELECT next_comm, count() AS n FROM sched_switch GROUP BY next_comm ORDER BY n DESC LIMIT 10');
  const window = await best(
    `SELECT Event, count() AS n FROM events WHERE BootId = '${IDENTITY.bootId}'
       AND Timestamp >= (SELECT max(Timestamp) FROM events) - INTERVAL 1 MINUTE GROUP BY Event ORDER BY n DESC LIMIT 10`,
  );
  return `group by next_comm ${group} ms, one kernel × one minute ${window} ms`;
}

/** Kernel log lines as a parser leaves them, this kernel's own where they can be read. */
function makeLines(rows: number): LogBatch {
  const texts = readKernelLines();
  const batch = new LogBatch(rows);
  for (let row = 0; row < rows; row++) {
    batch.addText(texts[row % texts.length] as string, row % 8);
    batch.sequence[row] = row;
    batch.rawTime.setBigint(row, BigInt(row) * 1_000_003n);
    batch.unixTime.setBigint(row, 1_795_400_000_000_000_000n + BigInt(row) * 1_000_003n);
    batch.observedTime.setBigint(row, 1_795_400_000_000_000_000n);
  }
  return batch;
}

function readKernelLines(): string[] {
  const { stdout, status } = spawnSync('dmesg', { encoding: 'utf8', maxBuffer: 64 << 20 });
  const text = status === 0 && stdout.length > 1000 ? stdout : readFileSync(join(import.meta.dirname, '..', 'README.md'), 'utf8');
  return text.split('\n').map((line, at) => `${line.replace(/^\[[^\]]*\] /, '')} ${at % 97}`);
}

async function benchLogs(): Promise<BenchResult> {
  return withStore(async (store) => {
    const scope = { ...toScope('kmsg', '1'), attributes: { 'mk.stream': 'kmsg', 'mk.clock.error_ns': '100' } };
    const batch = makeLines(50_000);
    const append = (): Promise<unknown> => store.append({ logs: [{ resource: toResource(IDENTITY), scope, batch }] });
    await append();
    await store.flush();
    const before = process.cpuUsage();
    const times = 10;
    for (let i = 0; i < times; i++) await append();
    await store.flush();
    const { user, system } = process.cpuUsage(before);
    const { bytesOnDisk, rows } = await store.health();
    return {
      value: (times * batch.length) / ((user + system) / 1e6),
      unit: 'rows/CPU-s',
      detail: `${(bytesOnDisk / rows).toFixed(1)} bytes/row on disk`,
    };
  });
}

async function benchReopen(): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'mkscope-bench-'));
  await (await openStore({ dataDir: folder })).close();
  const start = performance.now();
  const store = await openStore({ dataDir: folder });
  const value = performance.now() - start;
  await store.close();
  rmSync(folder, { recursive: true });
  return { value, unit: 'ms', detail: 'schema in place, engine library loaded' };
}

export const benches: Bench[] = [
  ...MIXES.map((mix): Bench => ({
    name: `store: pages → queryable rows (${mix.name})`,
    target: '≥ 1.5 M, ≤ 8 bytes/event',
    run: () => benchEvents(mix),
  })),
  { name: 'store: log batches → queryable rows', target: '≥ 0.4 M', run: benchLogs },
  { name: 'store: open again', run: benchReopen },
];
