/** Runs the real forwarder (deploy/guest) on this kernel, as if it were a guest, with an instance of its own. */
import assert from 'node:assert/strict';
import { spawn, spawnSync, execFileSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, rmdirSync, statSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { startCollector, type Collector } from '../../collector/collector.ts';
import type { CollectorOptions, StreamOptions } from '../../collector/options.ts';
import { parseStats, type CpuStats } from '../../collector/tracefs.ts';
import { EventBatch } from '../../model/event-batch.ts';
import { PageReader } from '../../parsers/ring-buffer.ts';
import { Receiver, until } from './receiver.ts';

const SOURCE = join(import.meta.dirname, '../../deploy/guest');
const TRACEFS = '/sys/kernel/tracing';

/** Why the forwarder cannot run here. */
export function whyNoForwarder(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root: the forwarder makes a trace instance';
  if (!existsSync(join(TRACEFS, 'instances'))) return `needs tracefs at ${TRACEFS}`;
  if (!existsSync('/dev/kmsg')) return 'needs /dev/kmsg';
  if (spawnSync('cc', ['--version']).status !== 0) return 'needs a C compiler';
  return undefined;
}

const cleanups = new WeakMap<TestContext, (() => unknown)[]>();

/** What is opened last is closed first; `t.after` itself goes the other way round, and stops at the first that fails. */
function atEnd(t: TestContext, cleanup: () => unknown): void {
  const known = cleanups.get(t);
  if (known !== undefined) {
    known.push(cleanup);
    return;
  }
  const all = [cleanup];
  cleanups.set(t, all);
  t.after(async () => {
    for (const one of all.toReversed()) await one();
  });
}

export function tempFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'mkscope-test-'));
  atEnd(t, () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

let built: string | undefined;

export function buildForwarder(): string {
  if (built !== undefined) return built;
  const folder = mkdtempSync(join(tmpdir(), 'mkscope-mkfwd-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  built = join(folder, 'mkfwd');
  execFileSync(join(SOURCE, 'build.sh'), [built], { env: { ...process.env, CFLAGS: '-Werror' } });
  return built;
}

export function sizeOfForwarder(): number {
  return statSync(buildForwarder()).size;
}

let count = 0;

export interface Forwarder {
  readonly instance: string;
  readonly child: ChildProcess;
  /** Ends it and waits until it is gone. */
  readonly end: (signal: NodeJS.Signals) => Promise<void>;
}

export function nextInstance(t: TestContext): string {
  const instance = `mkscope-test${count++}-${process.pid}`;
  atEnd(t, () => {
    const path = join(TRACEFS, 'instances', instance);
    if (!existsSync(path)) return;
    writeFileSync(join(path, 'events/enable'), '0');
    rmdirSync(path);
  });
  return instance;
}

export function startForwarder(t: TestContext, instance: string, to: string, more: readonly string[] = []): Forwarder {
  const child = spawn(buildForwarder(), ['--to', to, '--id', '3', '--name', 'spawn3', '--instance', instance, ...more], {
    stdio: ['ignore', 'ignore', 'ignore'],
  });
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    await gone;
  };
  atEnd(t, () => end('SIGKILL'));
  return { instance, child, end };
}

export async function openReceiver(t: TestContext): Promise<Receiver> {
  const receiver = await new Receiver(true).open();
  atEnd(t, () => receiver.close());
  return receiver;
}

export async function startStream(
  t: TestContext,
  receiver: Receiver,
  stream: StreamOptions,
  more: Partial<CollectorOptions> = {},
): Promise<Collector> {
  const folder = tempFolder(t);
  const collector = await startCollector({
    to: { endpoint: receiver.url, timeoutMs: 2000 },
    spoolDir: join(folder, 'spool'),
    sources: {},
    streams: [stream],
    version: 'test',
    ...more,
  });
  atEnd(t, () => collector.close());
  return collector;
}

/** Stops the recording of an instance, so that its counters stand still. */
export function stopRecording(instance: string): void {
  writeFileSync(join(TRACEFS, 'instances', instance, 'tracing_on'), '0');
}

export function readKernelStats(instance: string): CpuStats[] {
  const folder = join(TRACEFS, 'instances', instance, 'per_cpu');
  return readdirSync(folder).map((cpu) => parseStats(readFileSync(join(folder, cpu, 'stats'), 'utf8')));
}

/** What the kernel says it wrote into the instance: read, waiting, and lost. */
export function writtenBy(stats: readonly CpuStats[]): number {
  return stats.reduce((sum, of) => sum + of.entries + of.readEvents + of.overrun + of.commitOverrun + of.droppedEvents, 0);
}

/** Waits until nothing of a stopped instance is left in the kernel, and the books say so. */
export async function drained(collector: Collector, instance: string): Promise<CpuStats[]> {
  await until('the ring is empty', () => readKernelStats(instance).every(({ entries }) => entries === 0), 20_000);
  const stats = readKernelStats(instance);
  await until(
    'the books are closed',
    () => sum(collector, 'written') >= writtenBy(stats) && sum(collector, 'read') + sum(collector, 'lost') >= writtenBy(stats),
    20_000,
  );
  return stats;
}

/** Over the CPUs of the guest's trace instance. */
export function sum(collector: Collector, what: 'written' | 'read' | 'lost'): number {
  const streams = collector.status().sources.flatMap((source) => source.streams);
  return streams.filter(({ stream }) => stream.startsWith('tracefs:')).reduce((total, of) => total + (of[what] ?? 0), 0);
}

/** Events in the pages that the receiver got, decoded. */
export function decodedEvents(receiver: Receiver): number {
  const readers = new Map([...receiver.formats].map(([hash, set]) => [hash, new PageReader(set)]));
  for (const { header, pages } of receiver.segments()) {
    let at = 0;
    for (const { cpu, pages: number } of header.chunks) {
      const end = at + number * header.pageSizeBytes;
      readers.get(header.formatSet)?.read(pages.subarray(at, end), header.pageSizeBytes, cpu, new EventBatch());
      at = end;
    }
  }
  return [...readers.values()].reduce((total, reader) => total + reader.counts.records, 0);
}

/** Losses that were said as gaps, by reason. */
export function gapsOf(receiver: Receiver, stream: string): Map<string, number> {
  const gaps = new Map<string, number>();
  for (const { eventName, attributes } of receiver.logs()) {
    if (eventName !== 'mk.gap' || !String(attributes['mk.stream']).startsWith(stream)) continue;
    const reason = String(attributes['mk.gap.reason']);
    gaps.set(reason, (gaps.get(reason) ?? 0) + Number(attributes['mk.gap.count']));
  }
  return gaps;
}

/** SEQs of the guest's kernel log as they were received. */
export function kmsgSequences(receiver: Receiver): number[] {
  return receiver
    .logs()
    .filter(({ stream, eventName }) => stream === 'kmsg' && eventName !== 'mk.gap')
    .map(({ sequence }) => sequence);
}

export interface Meddler {
  readonly path: string;
  /** Changes what the guest says on its way; default: nothing. */
  meddle: (bytes: Buffer) => readonly Buffer[];
  /** Cuts what is connected. */
  cut(): void;
  readonly cuts: number;
}

/** A pipe between forwarder and collector that can be made to misbehave: listens at `path`, connects to `target`. */
export async function openMeddler(t: TestContext, folder: string, target: string): Promise<Meddler> {
  const path = join(folder, 'meddler.sock');
  const pairs = new Set<readonly [Socket, Socket]>();
  const meddler = {
    path,
    meddle: (bytes: Buffer): readonly Buffer[] => [bytes],
    cuts: 0,
    cut(): void {
      for (const pair of pairs) for (const side of pair) side.destroy();
      pairs.clear();
      meddler.cuts++;
    },
  };
  const server = createServer((guest) => {
    const host = connect({ path: target });
    const pair = [guest, host] as const;
    pairs.add(pair);
    guest.on('data', (bytes) => {
      for (const part of meddler.meddle(bytes as Buffer)) host.write(part);
    });
    host.on('data', (bytes) => guest.write(bytes));
    for (const side of pair) {
      side.on('error', () => side.destroy());
      side.on('close', () => pair.forEach((other) => other.destroy()));
    }
  });
  await new Promise<void>((resolve) => {
    server.listen(path, resolve);
  });
  atEnd(t, () => {
    meddler.cut();
    server.close();
  });
  return meddler;
}

/** Stops the tracing and waits for the rest: what was read and what was lost is then what the kernel wrote, and all is decoded. */
export async function settleBooks(collector: Collector, receiver: Receiver, instance: string): Promise<CpuStats[]> {
  stopRecording(instance);
  const stats = await drained(collector, instance);
  assert.equal(sum(collector, 'read') + sum(collector, 'lost'), writtenBy(stats));
  await until('all pages', () => decodedEvents(receiver) === sum(collector, 'read'));
  return stats;
}
