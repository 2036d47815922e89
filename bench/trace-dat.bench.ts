/**
 * A trace.dat that trace-cmd extracts here and now (sched, irq, timer, syscalls, kmem, workqueue; ≥ 3 M events): file → typed
 * columns beside `trace-cmd report -R` on the same bytes, and file → rows that a query sees. Where nothing can be recorded,
 * the pages of test/fixtures/ring-buffer/ are repeated. Rates are by CPU time of this process, and of trace-cmd; that of the text
 * is by wall time of both commands.
 */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  createReadStream,
  existsSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { importFile } from '../hub/import-file.ts';
import { EventBatch } from '../model/event-batch.ts';
import type { ByteSource } from '../model/event-file.ts';
import { traceDat } from '../parsers/trace-dat.ts';
import { openStore } from '../store/open.ts';
import { readRingFixture } from '../test/support/ring-fixture.ts';
import { writeTraceDat } from '../test/support/trace-dat-writer.ts';
import { openTraceInstance } from '../test/support/trace-instance.ts';
import type { Bench, BenchResult } from './bench.ts';

/** Of the fixture's 12 pages: 3.6 M events. */
const COPIES = 3072;
const BUDGET_BYTES = 1 << 20;
const SYSTEMS = ['sched', 'irq', 'timer', 'syscalls', 'kmem', 'workqueue'];
/** Of each CPU: some 2 M events. */
const BUFFER_KB = 150_000;
const ROUNDS = 5;
const TIMES_MS = { timeout: 600_000 };

type Compression = 'none' | 'zstd';

const folder = mkdtempSync(join(tmpdir(), 'mkscope-bench-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const files = new Map<Compression, string>();

/** Path of the recording, in the wanted compression. */
function recordingOf(compression: Compression): string {
  const known = files.get(compression);
  if (known !== undefined) return known;
  if (files.size === 0 && !recordLive()) repeatFixture();
  return files.get(compression) as string;
}

function recordLive(): boolean {
  const instance = openTraceInstance('bench-dat');
  if (instance === undefined) return false;
  try {
    instance.set('trace_clock', 'mono');
    instance.set('buffer_size_kb', String(BUFFER_KB));
    for (const system of SYSTEMS) instance.set(`events/${system}/enable`, '1');
    for (let i = 0; i < 8; i++) spawnSync('/bin/sh', ['-c', 'ls -laR /usr/share >/dev/null 2>&1'], TIMES_MS);
    instance.set('tracing_on', '0');
    const path = (name: string): string => join(folder, `${name}.dat`);
    const trace = (args: string[]): boolean => spawnSync('trace-cmd', args, { stdio: 'ignore', ...TIMES_MS }).status === 0;
    if (!trace(['extract', '-B', basename(instance.path), '-o', path('zstd')])) return false;
    if (!trace(['convert', '--file-version', '7', '--compression', 'none', '-i', path('zstd'), '-o', path('none')])) return false;
    files.set('zstd', path('zstd')).set('none', path('none'));
    return true;
  } finally {
    // trace-cmd removes the instance with its events.
    if (existsSync(instance.path)) instance.remove();
  }
}

function repeatFixture(): void {
  const { set, segment } = readRingFixture();
  const { pageSizeBytes, chunks } = segment.header;
  let at = 0;
  const cpus = chunks.map(({ cpu, pages }) => {
    const own = segment.pages.subarray(at, (at += pages * pageSizeBytes));
    const many = new Uint8Array(own.length * COPIES);
    for (let i = 0; i < COPIES; i++) many.set(own, i * own.length);
    return { cpu, pages: many };
  });
  for (const compression of ['none', 'zstd'] as const) {
    const path = join(folder, `${compression}.dat`);
    writeFileSync(path, writeTraceDat({ formats: set, compression, buffers: [{ instance: '', clock: 'local', pageSizeBytes, cpus }] }));
    files.set(compression, path);
  }
}

interface Cost {
  cpuSeconds: number;
  wallSeconds: number;
}

async function readAhead(source: ByteSource, batch: EventBatch): Promise<number> {
  let events = 0;
  for (const stream of traceDat.open(source).streams) {
    for (let more = true; more;) {
      batch.clear();
      more = await stream.readAhead(BUDGET_BYTES, batch);
      events += batch.length;
    }
  }
  return events;
}

function cpuSeconds({ user, system }: NodeJS.CpuUsage): number {
  return (user + system) / 1e6;
}

/** The file at any place, and its descriptor. */
function openSource(path: string): { readonly source: ByteSource; readonly fd: number } {
  const fd = openSync(path, 'r');
  const { size } = fstatSync(fd);
  let memory = new Uint8Array(0);
  const source: ByteSource = {
    sizeBytes: size,
    read: (offset, length) => {
      if (memory.length < length) memory = new Uint8Array(length);
      return memory.subarray(0, readSync(fd, memory, 0, Math.min(length, size - offset), offset));
    },
  };
  return { source, fd };
}

/** The best of some rounds: what else runs on the machine only ever adds. */
async function benchColumns(compression: Compression): Promise<BenchResult> {
  const path = recordingOf(compression);
  const { source, fd } = openSource(path);
  const batch = new EventBatch();
  let events = 0;
  const best: Cost = { cpuSeconds: Number.POSITIVE_INFINITY, wallSeconds: Number.POSITIVE_INFINITY };
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    const before = process.cpuUsage();
    events = await readAhead(source, batch);
    best.cpuSeconds = Math.min(best.cpuSeconds, cpuSeconds(process.cpuUsage(before)));
    best.wallSeconds = Math.min(best.wallSeconds, (performance.now() - start) / 1000);
  }
  closeSync(fd);
  const size = `${events} events, ${(source.sizeBytes / 1e6).toFixed(0)} MB`;
  const detail = `${size}, ${best.wallSeconds.toFixed(2)} s; ${compareWithReport(path, best, ['-R'])}`;
  return { value: events / best.cpuSeconds, unit: 'events/CPU-s', detail };
}

/** The text of `trace-cmd report`, made and thrown away: two commands that start, print and end, by the clock on the wall. */
async function benchText(): Promise<BenchResult> {
  const path = recordingOf('zstd');
  const { source, fd } = openSource(path);
  const lines = await readAhead(source, new EventBatch());
  closeSync(fd);
  const cli = join(import.meta.dirname, '../cli/mkscope.js');
  const ours = Array.from({ length: ROUNDS }, () => wallSeconds(process.execPath, [cli, 'report', path]) ?? Number.POSITIVE_INFINITY);
  const best = Math.min(...ours);
  const theirs = wallSeconds('trace-cmd', ['report', '-i', path]);
  const compared =
    theirs === undefined ? 'no trace-cmd to compare with' : `${(theirs / best).toFixed(1)} x report (${theirs.toFixed(1)} s)`;
  return {
    value: lines / best,
    unit: 'lines/s',
    detail: `${lines} lines in ${best.toFixed(2)} s on ${availableParallelism()} CPUs; ${compared}`,
  };
}

/** undefined where the command fails. */
function wallSeconds(command: string, args: readonly string[]): number | undefined {
  const start = performance.now();
  const { status } = spawnSync(command, args, { stdio: 'ignore', ...TIMES_MS });
  return status === 0 ? (performance.now() - start) / 1000 : undefined;
}

/** By CPU time, and by the clock. */
function compareWithReport(path: string, ours: Cost, args: readonly string[]): string {
  const before = childTicks();
  const wall = wallSeconds('trace-cmd', ['report', ...args, '-i', path]);
  if (wall === undefined) return 'no trace-cmd to compare with';
  const cpu = (childTicks() - before) / 100;
  const times = `${(cpu / ours.cpuSeconds).toFixed(1)} and ${(wall / ours.wallSeconds).toFixed(1)} x`;
  return `${times} ${['report', ...args].join(' ')} (${cpu.toFixed(1)} CPU-s, ${wall.toFixed(1)} s)`;
}

/** CPU time of the children that ended, in hundredths of a second: fields 16 and 17 of proc_pid_stat(5). */
function childTicks(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return Number(fields[13]) + Number(fields[14]);
}

async function benchImport(): Promise<BenchResult> {
  const path = recordingOf('zstd');
  const store = await openStore({ dataDir: join(folder, 'data') });
  try {
    const before = process.cpuUsage();
    const { records } = await importFile(store, createReadStream(path, { highWaterMark: 1 << 20 }), { fileName: 'bench', workDir: folder });
    await store.flush();
    const seconds = cpuSeconds(process.cpuUsage(before));
    const { bytesOnDisk, rows } = await store.health();
    const resident = Math.round(process.resourceUsage().maxRSS / 1024);
    return {
      value: records / seconds,
      unit: 'events/CPU-s',
      detail: `${records} events; ${(bytesOnDisk / rows).toFixed(2)} bytes/event on disk; at most ${resident} MB resident, benches before it included`,
    };
  } finally {
    await store.close();
  }
}

export const benches: Bench[] = [
  { name: 'trace.dat: import to queryable rows', target: '>= 1.5 M, <= 8 bytes/event', run: benchImport },
  { name: 'trace.dat, not compressed: file -> typed columns', target: '>= 10 M, >= 20 x report -R', run: () => benchColumns('none') },
  { name: 'trace.dat, zstd: file -> typed columns', target: '>= 20 x report -R', run: () => benchColumns('zstd') },
  { name: 'trace.dat, zstd: text of trace-cmd report', target: '>= 1.5 M lines/s, >= 10 x report', run: benchText },
];
