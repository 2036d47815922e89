/**
 * Pages of this machine's kernel for the benches of the store, recorded when they are first asked for; where there is no
 * permission for that, those of test/fixtures/ring-buffer/ are repeated, and bytes on disk mean nothing.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { alignTimes } from '../clock/fit.ts';
import { EventBatch } from '../model/event-batch.ts';
import type { KernelIdentity } from '../model/identity.ts';
import type { FormatSet } from '../model/segment.ts';
import { openPageReader } from '../parsers/ring-buffer.ts';
import { openStore } from '../store/open.ts';
import type { Store } from '../store/store.ts';
import { readRingFixture } from '../test/support/ring-fixture.ts';
import { openTraceInstance, type TraceInstance } from '../test/support/trace-instance.ts';

export const IDENTITY: KernelIdentity = {
  machineId: '5f1c9b1de3c64d0a8d55a2b0c1d2e3f4',
  machineName: 'bench',
  kernelId: 0,
  kernelName: 'host',
  bootId: '0f6b3c1e-7d0a-4b8e-9a55-2d1f6a0c9e11',
  release: '7.0.0',
  arch: 'amd64',
};
const PAGE_BYTES = 4096;
/** What a collector puts into a segment. */
const SEGMENT_BYTES = 512 * PAGE_BYTES;
const EVENTS_WANTED = 1_000_000;
const ROUND_NS = 60_000_000_000n;

export interface Recording {
  readonly set: FormatSet;
  /** By CPU. */
  readonly pages: readonly Uint8Array[];
  readonly source: string;
}

export interface Mix {
  readonly name: string;
  readonly events: readonly string[];
  /** Shell text that makes the kernel busy. */
  readonly work: string;
}

export const MIXES: readonly Mix[] = [
  {
    name: 'sched, irq, timer',
    events: ['sched', 'irq', 'timer'],
    work: 'i=0; while [ $i -lt 200000 ]; do echo $i; i=$((i+1)); done | while read n; do :; done',
  },
  {
    name: 'syscalls, kmem, sched, irq',
    events: ['sched', 'irq', 'syscalls', 'kmem/kmalloc', 'kmem/kfree', 'kmem/kmem_cache_alloc', 'kmem/kmem_cache_free'],
    work: 'ls -laR /usr/share >/dev/null 2>&1',
  },
];

const recordings = new Map<Mix, Recording>();

export function record(mix: Mix): Recording {
  const known = recordings.get(mix);
  if (known !== undefined) return known;
  const instance = openTraceInstance('bench');
  const recording = instance === undefined ? repeatFixture() : recordLive(instance, mix);
  recordings.set(mix, recording);
  return recording;
}

function recordLive(instance: TraceInstance, mix: Mix): Recording {
  try {
    instance.set('trace_clock', 'mono');
    instance.set('buffer_size_kb', '65536');
    for (const event of mix.events) instance.set(`events/${event}/enable`, '1');
    const entries = (): number =>
      instance.cpus.reduce((sum, cpu) => sum + Number(/entries: (\d+)/.exec(instance.get(`per_cpu/cpu${cpu}/stats`))?.[1] ?? 0), 0);
    for (let i = 0; i < 40 && entries() < EVENTS_WANTED; i++) spawnSync('/bin/sh', ['-c', mix.work]);
    instance.set('tracing_on', '0');
    const systems = mix.events.map((event) => event.split('/')[0] as string);
    const set = instance.readFormats([...new Set(systems)]);
    return { set, pages: instance.cpus.map((cpu) => instance.readPages(cpu, PAGE_BYTES)), source: 'recorded now' };
  } finally {
    instance.remove();
  }
}

function repeatFixture(): Recording {
  const { set, segment } = readRingFixture();
  const pages = new Uint8Array(segment.pages.length * 500);
  for (let at = 0; at < pages.length; at += segment.pages.length) pages.set(segment.pages, at);
  return { set, pages: [pages], source: 'a small recording, repeated' };
}

export async function withStore<T>(use: (store: Store, folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'mkscope-bench-'));
  const store = await openStore({ dataDir: folder });
  try {
    return await use(store, folder);
  } finally {
    await store.close();
    rmSync(folder, { recursive: true });
  }
}

/** Every page through the reader into the store, as segments that alternate between the CPUs; returns events and CPU seconds. */
export async function feed(store: Store, { set, pages }: Recording, round: number): Promise<{ events: number; cpuSeconds: number }> {
  const reader = openPageReader(set);
  const fit = { baseRaw: 0n, baseUnixNs: 1_795_400_000_000_000_000n + BigInt(round) * ROUND_NS, nsPerTick: 1, errorNs: 50 };
  const longest = Math.max(...pages.map((bytes) => bytes.length));
  const before = process.cpuUsage();
  let events = 0;
  for (let at = 0; at < longest; at += SEGMENT_BYTES) {
    for (const [cpu, bytes] of pages.entries()) {
      if (at >= bytes.length) continue;
      const batch = new EventBatch();
      batch.clock = 'mono';
      reader.read(bytes.subarray(at, at + SEGMENT_BYTES), PAGE_BYTES, cpu, batch);
      for (const { rawTime, unixTime, length } of batch.tables) alignTimes(rawTime, unixTime, length, fit);
      await store.append({ events: [{ identity: IDENTITY, stream: 'tracefs:bench', clockErrorNs: 50, batch }] });
      events += batch.length;
    }
  }
  await store.flush();
  const { user, system } = process.cpuUsage(before);
  return { events, cpuSeconds: (user + system) / 1e6 };
}
