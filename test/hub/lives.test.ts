import assert from 'node:assert/strict';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { createMatcher } from '../../correlate/match-messages.ts';
import { MessageRecogniser } from '../../correlate/recognise-messages.ts';
import { importFile } from '../../hub/import-file.ts';
import { HubCounters } from '../../hub/counters.ts';
import { LifeWatch } from '../../hub/life-watch.ts';
import { storeLives } from '../../hub/store-lives.ts';
import { decodeLogs } from '../../otlp/decode-logs.ts';
import { openStore } from '../../store/open.ts';
import type { Store } from '../../store/store.ts';
import { HOST, nowNs, post, runHub, SPAWN, toLogsBody, type Line, type RunningHub } from './running-hub.ts';

const HOST_TEXT = [
  [0, "Overlay tx2: Creating instance 'web-1'"],
  [0.0003, 'Created instance pool 1: 1 chunks, total size=2147483648 bytes'],
  [0.0004, "Overlay tx2: Instance 'web-1' created successfully"],
  [0.2, 'kexec_file: kexec_file_load: multikernel load - flags=0x30, extracted mk_id=1'],
  [2.2, 'mk_e820: instance 1: 2048 MB RAM in 1 regions'],
  [3, 'kexec_core: multikernel kexec: using physical CPU 8 (logical 4), 2 CPUs assigned'],
  [3.0125, 'Multikernel instance 1 is now active'],
  [9.1, 'Instance 1 (web-1) halted, CPUs parking in pool'],
  [9.2, 'kexec_file: Unloading kernel from multikernel instance 1'],
  [9.3, "Overlay tx3: Removing instance 'web-1' (ID: 1)"],
  [9.3007, "Overlay tx3: Instance 'web-1' removed successfully"],
] as const;
const SPAWN_TEXT = [
  [0, 'platform-quirks: hardware_subarch=5 (MULTIKERNEL=5)'],
  [0, 'Linux version 7.0.0-lab (user@build) (gcc 14) #1 SMP'],
  [0.045, "DTB contains instance ID 1, name 'web-1'"],
  [0.19, 'Run /init as init process'],
  [5.9, 'Kernel panic - not syncing: test'],
  [6, 'Multikernel instance 1 shutting down'],
] as const;
const SPANS = [
  'host instance create 0.4 ',
  'host instance life 9300.7 ',
  'host instance load 2000 ',
  'host instance remove 0.7 ',
  'host instance run 6087.5 panic: test',
  'host instance start 12.5 ',
  'spawn1 kernel boot 190 ',
  'spawn1 kernel stop 100 panic: test',
];

function toLines(text: readonly (readonly [seconds: number, text: string])[], zeroNs: bigint): Line[] {
  return text.map(([seconds, one], sequence) => ({ text: one, unixNs: zeroNs + BigInt(Math.round(seconds * 1e9)), sequence }));
}

async function readSpans(store: Store): Promise<{ spans: string[]; traces: number; orphans: number }> {
  const rows = await store.query<{ name: string; service: string; ns: string; error: string; trace: string; id: string; parent: string }>(
    `SELECT SpanName AS name, ServiceName AS service, toString(Duration) AS ns, StatusMessage AS error, TraceId AS trace, SpanId AS id,
       ParentSpanId AS parent FROM otel_traces WHERE ScopeName = 'mkscope lives' ORDER BY service, name`,
  );
  const ids = new Set(rows.map(({ id }) => id));
  return {
    spans: rows.map(({ name, service, ns, error }) => `${service} ${name} ${Number(ns) / 1e6} ${error}`),
    traces: new Set(rows.map(({ trace }) => trace)).size,
    orphans: rows.filter(({ parent }) => parent !== '' && !ids.has(parent)).length,
  };
}

async function waitForSpans(hub: RunningHub, least: number): Promise<Awaited<ReturnType<typeof readSpans>>> {
  for (const endMs = Date.now() + 45_000; ;) {
    const found = await readSpans(hub.store);
    if (found.spans.length >= least || Date.now() > endMs) return found;
    await sleep(250);
  }
}

test('lives: old messages that come while their machine is being looked at are told, too', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'mkscope-lives-'));
  const store = await openStore({ dataDir });
  try {
    const zeroNs = nowNs() - 3_600_000_000_000n;
    const decoded = decodeLogs(toLogsBody(HOST, toLines(HOST_TEXT, zeroNs)));
    assert.ok(decoded.ok);
    for (const { batch } of decoded.parts) new MessageRecogniser(createMatcher()).take(batch);
    const watch = new LifeWatch({ store, counters: new HubCounters(), version: 'test' });
    watch.mark(HOST.machineId, zeroNs);
    // The look begins at once, and finds nothing: all is told up to now.
    const looking = watch.close();
    await store.flush();
    watch.mark(HOST.machineId, zeroNs);
    await looking;
    await store.append({ logs: decoded.parts });
    await watch.close();
    const { spans } = await readSpans(store);
    assert.ok(spans.includes('host instance life 9300.7 '), spans.join(', '));
  } finally {
    await store.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
});

test('lives: while rows cannot be loaded nothing is told twice', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'mkscope-lives-'));
  const store = await openStore({ dataDir });
  try {
    const decoded = decodeLogs(toLogsBody(HOST, toLines(HOST_TEXT, nowNs() - 3_600_000_000_000n)));
    assert.ok(decoded.ok);
    for (const { batch } of decoded.parts) new MessageRecogniser(createMatcher()).take(batch);
    await store.append({ logs: decoded.parts });
    const range = { machineId: HOST.machineId, fromNs: 0n, version: 'test' };
    const { spans } = await storeLives(store, range);
    assert.ok(spans > 0);
    const [file = ''] = globSync(join(dataDir, 'spool', '*', 'otel_traces.native'));
    const bytes = readFileSync(file);
    writeFileSync(
      file,
      bytes.map(() => 255),
    );
    await assert.rejects(storeLives(store, range), { name: 'OperationalError' });
    writeFileSync(file, bytes);
    assert.equal((await storeLives(store, range)).spans, 0);
    assert.equal((await readSpans(store)).spans.length, spans);
  } finally {
    await store.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
});

test('lives: spans of what comes live, late and over two ways, are stored once, over a restart too', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'mkscope-lives-'));
  try {
    const zeroNs = (nowNs() / 1_000_000n) * 1_000_000n - 60_000_000_000n;
    const host = toLines(HOST_TEXT, zeroNs);
    const spawn = toLines(SPAWN_TEXT, zeroNs + 3_100_000_000n);
    const first = await runHub({ dataDir });
    await post(`${first.addresses.otlp}/v1/logs`, toLogsBody(HOST, host.slice(4)));
    await post(`${first.addresses.otlp}/v1/logs`, toLogsBody(SPAWN, spawn));
    await post(`${first.addresses.otlp}/v1/logs`, toLogsBody(HOST, host.slice(0, 4)));
    await post(`${first.addresses.otlp}/v1/logs`, toLogsBody(HOST, host, 'console:ttyS0'));
    assert.deepEqual(await waitForSpans(first, SPANS.length), { spans: SPANS, traces: 1, orphans: 0 });
    await first.close();
    // All of it once more: a collector that lost its place.
    const second = await runHub({ dataDir });
    await post(`${second.addresses.otlp}/v1/logs`, toLogsBody(HOST, host));
    await post(`${second.addresses.otlp}/v1/logs`, toLogsBody(SPAWN, spawn));
    await second.close();
    const store = await openStore({ dataDir });
    assert.deepEqual(await readSpans(store), { spans: SPANS, traces: 1, orphans: 0 });
    await store.close();
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
});

test('lives: imported logs of a machine make one trace, in any order and however often', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'mkscope-lives-'));
  const store = await openStore({ dataDir });
  try {
    const take = async (text: readonly (readonly [number, string])[], kernelId: number, zero: number): Promise<void> => {
      const log = text.map(([seconds, one]) => `[${(100 + seconds).toFixed(6).padStart(12)}] ${one}\n`).join('');
      const { lifeMachine } = await importFile(store, toStream(log), {
        fileName: `${kernelId}.log`,
        workDir: dataDir,
        identity: { machineId: 'm', machineName: 'm', kernelId, kernelName: kernelId === 0 ? 'host' : 'spawn1' },
        timeZeroUnixNs: BigInt(Math.round(zero * 1000)) * 1_000_000n,
      });
      assert.equal(lifeMachine, 'm');
      await storeLives(store, { machineId: 'm', fromNs: 0n, version: 'test' });
    };
    await take(SPAWN_TEXT, 1, 1_800_000_003.1);
    for (const _again of [false, true]) await take(HOST_TEXT, 0, 1_800_000_000);
    const { spans, traces, orphans } = await readSpans(store);
    // The whole was told by the spawned kernel alone, before the host's file came.
    const expected = [...SPANS.filter((span) => !span.includes('life')), 'spawn1 instance life 6000 panic: test'];
    assert.deepEqual({ spans: spans.sort(), traces, orphans }, { spans: expected.sort(), traces: 1, orphans: 0 });
  } finally {
    await store.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
});

async function* toStream(text: string): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  yield new TextEncoder().encode(text);
}
