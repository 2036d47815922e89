/** A trace.dat of recorded pages, repeated: file → typed columns, beside `trace-cmd report -R` on the same file where it is there. */
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { EventBatch } from '../model/event-batch.ts';
import type { ByteSource } from '../model/event-file.ts';
import { traceDat } from '../parsers/trace-dat.ts';
import { readRingFixture } from '../test/support/ring-fixture.ts';
import { writeTraceDat } from '../test/support/trace-dat-writer.ts';
import { measureRate, type Bench, type BenchResult } from './bench.ts';

/** Of the fixture's 12 pages: 38 MB and 920,000 events, what trace-cmd prints in some seconds. */
const COPIES = 768;
const BUDGET_BYTES = 1 << 20;

export const benches: Bench[] = (['none', 'zstd'] as const).map((compression) => ({
  name: `trace.dat, ${compression === 'none' ? 'not compressed' : compression}: file -> typed columns`,
  target: '>= 20 x report -R',
  run: () => run(compression),
}));

function run(compression: 'none' | 'zstd'): BenchResult {
  const folder = mkdtempSync(join(tmpdir(), 'mkscope-bench-'));
  const path = join(folder, 'trace.dat');
  try {
    const bytes = repeatFixture(compression);
    writeFileSync(path, bytes);
    const fd = openSync(path, 'r');
    const memory = new Uint8Array(bytes.length);
    const source: ByteSource = {
      sizeBytes: bytes.length,
      read: (offset, length) => memory.subarray(0, readSync(fd, memory, 0, Math.min(length, bytes.length - offset), offset)),
    };
    const events = readAll(source);
    const value = measureRate(events, () => readAll(source));
    closeSync(fd);
    return { value, unit: 'events/s', detail: compareWithReport(path, events, value) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function repeatFixture(compression: 'none' | 'zstd'): Uint8Array<ArrayBuffer> {
  const { set, segment } = readRingFixture();
  const { pageSizeBytes, chunks } = segment.header;
  let at = 0;
  const cpus = chunks.map(({ cpu, pages }) => {
    const own = segment.pages.subarray(at, (at += pages * pageSizeBytes));
    const many = new Uint8Array(own.length * COPIES);
    for (let i = 0; i < COPIES; i++) many.set(own, i * own.length);
    return { cpu, pages: many };
  });
  return writeTraceDat({ formats: set, compression, buffers: [{ instance: '', clock: 'local', pageSizeBytes, cpus }] });
}

function readAll(source: ByteSource): number {
  let events = 0;
  for (const stream of traceDat.open(source).streams) {
    for (let more = true; more;) {
      const batch = new EventBatch();
      more = stream.read(BUDGET_BYTES, batch);
      events += batch.length;
    }
  }
  return events;
}

function compareWithReport(path: string, events: number, rate: number): string {
  const start = process.hrtime.bigint();
  const { status } = spawnSync('trace-cmd', ['report', '-R', '-i', path], { stdio: ['ignore', 'ignore', 'ignore'], timeout: 300_000 });
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  return status === 0 ? `${((seconds * rate) / events).toFixed(0)} x report -R (${seconds.toFixed(1)} s)` : 'no trace-cmd to compare with';
}
