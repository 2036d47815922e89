/**
 * The collector in a process of its own, as `up` starts it, against a receiver on loopback: what it costs while two threads wake
 * each other on this kernel, and how long a kernel log line takes to arrive. Needs tracefs and /dev/kmsg.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { COLLECTOR_NODE_FLAGS } from '../collector/options.ts';
import { whyNoKmsg, whyNoTracefs } from '../test/collector/live.ts';
import { Receiver, until } from '../test/collector/receiver.ts';
import type { Bench, BenchResult } from './bench.ts';

const MEASURE_MS = 15_000;
const LATENCY_LINES = 100;
/** Ticks of utime and stime per second: USER_HZ. */
const TICKS = 100;

/** Two threads that wake each other: four to five events a round trip. */
const LOAD = `
  const { Worker, isMainThread, workerData } = require('node:worker_threads');
  const turns = new Int32Array(isMainThread ? new SharedArrayBuffer(8) : workerData);
  if (isMainThread) {
    new Worker(process.argv[1] ?? '', { eval: true, workerData: turns.buffer });
    const rounds = Number(process.env.ROUNDS);
    setInterval(() => {
      for (let i = 0; i < rounds / 50; i++) { Atomics.add(turns, 0, 1); Atomics.notify(turns, 0); Atomics.wait(turns, 1, i & 1 ? 1 : 0, 1); }
    }, 20);
  } else for (;;) { Atomics.wait(turns, 0, turns[0], 100); Atomics.xor(turns, 1, 1); Atomics.notify(turns, 1); }
`;

const COLLECTOR = `
  import { startCollector } from '${join(import.meta.dirname, '../collector/collector.ts')}';
  import { DEFAULT_TRACE_EVENTS } from '${join(import.meta.dirname, '../collector/options.ts')}';
  const collector = await startCollector({
    to: { endpoint: process.argv[1] }, spoolDir: process.argv[2], version: 'bench',
    sources: { kmsg: { from: 'now' }, tracefs: { events: DEFAULT_TRACE_EVENTS }, system: { intervalMs: 1000 } },
  });
  console.log('ready');
  process.once('SIGTERM', () => collector.close().then(() => process.exit(0)));
`;

interface Run {
  readonly receiver: Receiver;
  readonly child: ChildProcess;
  end(): Promise<void>;
}

async function startRun(): Promise<Run> {
  const receiver = await new Receiver().open();
  const folder = mkdtempSync(join(tmpdir(), 'mkscope-bench-'));
  const flags = [...COLLECTOR_NODE_FLAGS, '--input-type=module-typescript', '-e', COLLECTOR, receiver.url, join(folder, 'spool')];
  const env = { ...process.env, NODE_COMPILE_CACHE: join(folder, 'cache') };
  const launch = async (): Promise<ChildProcess> => {
    const started = spawn(process.execPath, flags, { stdio: ['ignore', 'pipe', 'ignore'], env });
    await new Promise((resolve) => started.stdout.once('data', resolve));
    return started;
  };
  // The first one fills the compile cache, as the first start of an installation does.
  await stop(await launch());
  const child = await launch();
  return {
    receiver,
    child,
    end: async () => {
      await stop(child);
      await receiver.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function stop(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill('SIGTERM');
  });
}

function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

const sleep = (delayMs: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, delayMs);
  });

/** Sum of a ledger counter's last points over the CPUs. */
function eventsRead(receiver: Receiver, pid: number): number {
  const last = new Map<string, number>();
  for (const { name, value, attributes } of receiver.metrics()) {
    if (name === 'mk.stream.read' && attributes['mk.stream'] === `tracefs:mkscope-${pid}`)
      last.set(attributes['cpu.logical_number'] ?? '', value);
  }
  return [...last.values()].reduce((sum, value) => sum + value, 0);
}

interface Cost {
  readonly eventsPerSecond: number;
  readonly cpuPercent: number;
  readonly rssMb: number;
  readonly lost: number;
}

let measured: Promise<Cost> | undefined;

async function measureCost(): Promise<Cost> {
  const run = await startRun();
  const pid = run.child.pid as number;
  const load = spawn(process.execPath, ['-e', LOAD, LOAD], { stdio: 'ignore', env: { ...process.env, ROUNDS: '3000' } });
  await sleep(3000);
  const eventsBefore = eventsRead(run.receiver, pid);
  const cpuBefore = cpuSeconds(pid);
  const startMs = performance.now();
  await sleep(MEASURE_MS);
  const cpu = cpuSeconds(pid) - cpuBefore;
  const seconds = (performance.now() - startMs) / 1000;
  const events = eventsRead(run.receiver, pid) - eventsBefore;
  const rssKb = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]);
  const lost = run.receiver.metrics().filter(({ name }) => name === 'mk.stream.lost');
  load.kill();
  await run.end();
  return {
    eventsPerSecond: events / seconds,
    cpuPercent: (100 * cpu) / seconds,
    rssMb: rssKb / 1024,
    lost: lost.slice(-8).reduce((sum, { value }) => sum + value, 0),
  };
}

async function cost(pick: (of: Cost) => number, unit: string): Promise<BenchResult> {
  const why = whyNoTracefs() ?? whyNoKmsg();
  if (why !== undefined) return { value: Number.NaN, unit, detail: `skipped: ${why}` };
  measured ??= measureCost();
  const of = await measured;
  return { value: pick(of), unit, detail: `${Math.round(of.eventsPerSecond)} events/s, ${of.lost} lost` };
}

async function latency(): Promise<BenchResult> {
  const why = whyNoTracefs() ?? whyNoKmsg();
  if (why !== undefined) return { value: Number.NaN, unit: 'ms', detail: `skipped: ${why}` };
  const run = await startRun();
  const latencies: number[] = [];
  for (let i = 0; i < LATENCY_LINES; i++) {
    await sleep(23 + (i % 17));
    const mark = `mkscope-bench-${process.pid}-${i}`;
    run.receiver.batches.length = 0;
    const startMs = performance.now();
    const fd = openSync('/dev/kmsg', 'w');
    writeSync(fd, `${mark}\n`);
    closeSync(fd);
    await until(mark, () => run.receiver.logs().some(({ text }) => text === mark));
    latencies.push(performance.now() - startMs);
  }
  await run.end();
  latencies.sort((a, b) => a - b);
  const at = (share: number): number => latencies[Math.floor(share * (latencies.length - 1))] as number;
  return { value: at(0.99), unit: 'ms', detail: `p50 ${at(0.5).toFixed(1)} ms of ${LATENCY_LINES} lines, seen at 10 ms steps` };
}

export const benches: Bench[] = [
  { name: 'collector: CPU', target: '≤ 3 % of a core at 10 k events/s', run: () => cost((of) => of.cpuPercent, '% of a core') },
  { name: 'collector: memory', target: '≤ 90 MB RSS at 10 k events/s', run: () => cost((of) => of.rssMb, 'MiB') },
  { name: 'collector: kernel log line → receiver, p99', target: '≤ 250 ms to the page', run: latency },
];
