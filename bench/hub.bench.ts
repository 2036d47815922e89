/** The hub through real HTTP over a real store: how long until a line is seen, how much it can take, how fast a picture is. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { startHub, type Hub } from '../hub/hub.ts';
import type { LogPage } from '../model/api.ts';
import type { KernelIdentity } from '../model/identity.ts';
import { encodeSegment, hashFormatSet, SEGMENT_CONTENT_TYPE, type Segment } from '../model/segment.ts';
import { queryTimeline } from '../store/queries/timeline.ts';
import { readRingFixture } from '../test/support/ring-fixture.ts';
import { HOST, toLogsBody } from '../test/hub/running-hub.ts';
import type { Bench, BenchResult } from './bench.ts';
import { appendSwitches } from './switches.ts';

const LINES = 300;
const TIMELINE_EVENTS = 10_000_000;
const SEGMENT_REPEATS = 60;
const SEGMENTS = 40;

async function withHub<T>(use: (hub: Hub) => Promise<T>): Promise<T> {
  const dataDir = mkdtempSync(join(tmpdir(), 'mkscope-bench-'));
  const any = { host: '127.0.0.1', port: 0 };
  const hub = await startHub({ dataDir, version: 'bench', page: any, otlp: any, webDir: dataDir });
  try {
    return await use(hub);
  } finally {
    await hub.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

function sendLine(hub: Hub, text: string, sequence: number): Promise<Response> {
  const body = toLogsBody(HOST, [{ text, unixNs: BigInt(Date.now()) * 1_000_000n, sequence }]);
  return fetch(`${hub.addresses.otlp}/v1/logs`, { method: 'POST', body, headers: { 'content-type': 'application/x-protobuf' } });
}

function toLatency(values: readonly number[]): BenchResult {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] as number;
  return { value: at(0.99), unit: 'ms p99', detail: `p50 ${at(0.5).toFixed(1)} ms, max ${at(1).toFixed(1)} ms, ${sorted.length} lines` };
}

async function measureLive(): Promise<BenchResult> {
  return withHub(async (hub) => {
    const abort = new AbortController();
    const response = await fetch(`${hub.addresses.page}/api/logs/live`, { signal: abort.signal });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const decoder = new TextDecoder();
    const latencies: number[] = [];
    for (let line = 0; line < LINES; line++) {
      const startMs = performance.now();
      const sent = sendLine(hub, `line-${line}-`, line);
      for (let text = ''; !text.includes(`line-${line}-`);) text += decoder.decode((await reader.read()).value, { stream: true });
      latencies.push(performance.now() - startMs);
      await sent;
    }
    abort.abort();
    return toLatency(latencies);
  });
}

async function measureVisible(): Promise<BenchResult> {
  return withHub(async (hub) => {
    const latencies: number[] = [];
    for (let line = 0; line < LINES; line++) {
      const startMs = performance.now();
      await sendLine(hub, `line-${line}-`, line);
      const page = (await (await fetch(`${hub.addresses.page}/api/logs?limit=1`)).json()) as LogPage;
      if (page.rows[0]?.sequence !== line) throw new Error(`line ${line} is not the newest`);
      latencies.push(performance.now() - startMs);
    }
    return toLatency(latencies);
  });
}

/** The recorded pages, many times over in one segment: as large as a collector's under load. */
function repeatSegment(segment: Segment, times: number): Segment {
  const pages = new Uint8Array(segment.pages.length * times);
  for (let time = 0; time < times; time++) pages.set(segment.pages, time * segment.pages.length);
  const chunks = Array.from({ length: times }, () => segment.header.chunks).flat();
  return { header: { ...segment.header, chunks }, pages };
}

async function measureSegments(): Promise<BenchResult> {
  return withHub(async (hub) => {
    const { set, segment } = readRingFixture();
    await fetch(`${hub.addresses.otlp}/v1/mkscope/formats/${hashFormatSet(set)}`, { method: 'PUT', body: JSON.stringify(set) });
    const body = zstdCompressSync(encodeSegment(repeatSegment(segment, SEGMENT_REPEATS)));
    const headers = { 'content-type': SEGMENT_CONTENT_TYPE, 'content-encoding': 'zstd' };
    const startMs = performance.now();
    const cpu = process.cpuUsage();
    for (let count = 0; count < SEGMENTS; count++) {
      const answer = await fetch(`${hub.addresses.otlp}/v1/mkscope/segments`, { method: 'POST', body, headers });
      if (answer.status !== 200) throw new Error(await answer.text());
    }
    const [row] = await hub.store.query<{ events: number }>('SELECT toFloat64(count()) AS events FROM events');
    const seconds = (performance.now() - startMs) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    const events = row?.events ?? 0;
    return {
      value: events / ((user + system) / 1e6),
      unit: 'events/CPU-s',
      detail: `${(events / seconds / 1e6).toFixed(2)} M events/s, ${events} events`,
    };
  });
}

async function measureTimeline(): Promise<BenchResult> {
  return withHub(async (hub) => {
    const identity: KernelIdentity = HOST;
    const { rows, from, to } = await appendSwitches(hub.store, identity, TIMELINE_EVENTS, 1_780_000_000_000_000_000n);
    const query = { boot: identity.bootId, width: 1600 };
    const first = await queryTimeline(hub.store, { ...query, from: String(from), to: String(to) });
    if (first.events !== rows) throw new Error(`${first.events} of ${rows} switches in the picture`);
    const middle = (from + to) / 2n;
    const zoomed = await queryTimeline(hub.store, { ...query, from: String(middle), to: String(middle + 1_000_000_000n) });
    return { value: first.tookMs, unit: 'ms', detail: `${rows} switches; one second of it ${zoomed.tookMs.toFixed(0)} ms` };
  });
}

export const benches: Bench[] = [
  { name: 'hub: POST /v1/logs → live tail', target: 'printk → page p99 ≤ 250 ms', run: measureLive },
  { name: 'hub: POST /v1/logs → GET /api/logs', target: 'printk → page p99 ≤ 250 ms', run: measureVisible },
  { name: 'hub: segments over HTTP → queryable rows', target: '≥ 0.5 M events per CPU-s', run: measureSegments },
  { name: 'hub: timeline, first picture of 10 M events', target: '≤ 1000 ms', run: measureTimeline },
];
