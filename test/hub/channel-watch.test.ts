/** What the hub says of channels and clocks on its own: from events and matches to an incident. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mock, test } from 'node:test';
import { IKC_PACKS } from '../../correlate/ikc-packs/index.ts';
import { ChannelWatch } from '../../hub/channel-watch.ts';
import { ClockWatch } from '../../hub/clock-watch.ts';
import { IkcJoin } from '../../hub/ikc-join.ts';
import { scanIncidents } from '../../hub/incident-scan.ts';
import { LiveFeed } from '../../hub/live.ts';
import { WatchRows } from '../../hub/watch-row.ts';
import type { Incident } from '../../model/incident.ts';
import type { KernelIdentity } from '../../model/identity.ts';
import type { SegmentHeader } from '../../model/segment.ts';
import { openStore } from '../../store/open.ts';
import type { Store } from '../../store/store.ts';
import { BASE_NS, toEventBatch } from '../support/ikc-events.ts';
import { HOST, SPAWN } from './running-hub.ts';

const SLOT_0 = 0xffff_c900_0020_0008n;
const MS = 1_000_000;
const MINUTE_MS = 60_000;
const HOUR_NS = 3_600_000_000_000n;

/** Nothing is written but when a test says so. */
async function inStore(run: (store: Store, rows: WatchRows) => Promise<void>): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'mkscope-channels-'));
  const store = await openStore({ dataDir });
  const live = new LiveFeed();
  mock.timers.enable({ apis: ['setInterval'] });
  try {
    await run(store, new WatchRows({ store, live, version: 'test', mark: () => undefined }));
  } finally {
    mock.timers.reset();
    live.close();
    await store.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

async function findIncidents(store: Store): Promise<readonly Incident[]> {
  const { changed } = await scanIncidents(store, HOST.machineId, BASE_NS - HOUR_NS, BASE_NS + HOUR_NS);
  return changed.map(({ incident }) => incident);
}

/** A message from the host to spawn1 at each of these moments, ms, received after `lateMs`; `lost` ones are not received. */
function exchange(
  sentMs: readonly number[],
  lateMs: number,
  lost: ReadonlySet<number>,
): { readonly sends: Events; readonly receives: Events } {
  const received = sentMs.filter((_, at) => !lost.has(at));
  const lengthOf = (atMs: number): number => 16 + (Math.round(atMs) % 50);
  return {
    sends: sentMs.flatMap((atMs) => [
      { event: 'ikc:mk_send', atNs: atMs * MS, pid: 7, fields: { inst: 1, type: 0x4000, sub: 1, len: lengthOf(atMs) } },
      { event: 'ikc:mk_send_ret', atNs: atMs * MS + 3_000, pid: 7, fields: { ret: 0 } },
    ]),
    receives: received.map((atMs, at) => ({
      event: 'ikc:mk_recv',
      atNs: Math.round((atMs + lateMs) * MS),
      fields: {
        slot: SLOT_0 + BigInt(at % 64) * 4120n,
        from_cpu: 0n,
        type: 0x4000,
        size: BigInt(24 + lengthOf(atMs)),
        sub: 1,
        msg_id: 0n,
        len: lengthOf(atMs),
      },
    })),
  };
}
type Events = Parameters<typeof toEventBatch>[0];

function openJoin(store: Store, rows: WatchRows): { readonly join: IkcJoin; readonly channels: ChannelWatch; at: number } {
  const channels = new ChannelWatch(rows);
  const clock = { at: 0 };
  const onDecided: ConstructorParameters<typeof IkcJoin>[0]['onDecided'] = (batch, kernels) =>
    channels.take(batch, kernels, Number(BASE_NS / 1_000_000n) + clock.at);
  return Object.assign(clock, { channels, join: new IkcJoin({ store, version: 'test', packs: IKC_PACKS, onDecided }) });
}

async function feed(of: ReturnType<typeof openJoin>, sentMs: readonly number[], lateMs: number, lost = new Set<number>()): Promise<void> {
  const { sends, receives } = exchange(sentMs, lateMs, lost);
  of.join.addEvents(HOST, toEventBatch(sends), 500, of.at);
  of.join.addEvents(SPAWN, toEventBatch(receives), 500, of.at);
  of.at = (sentMs.at(-1) ?? 0) + 10_000;
  for (const identity of [HOST, SPAWN]) of.join.noteFront(identity, BASE_NS + BigInt(of.at * MS));
  await of.join.advance(Date.now() + of.at);
  await of.channels.write(Number(BASE_NS / 1_000_000n) + of.at);
}

const each = (fromMs: number, count: number, stepMs: number): number[] => Array.from({ length: count }, (_, at) => fromMs + at * stepMs);

test('channels: messages that were not received are told with their number, those before the first match are not', () =>
  inStore(async (store, rows) => {
    const of = openJoin(store, rows);
    // The receiver began to record when 30 were sent.
    await feed(of, each(0, 100, 10), 0.02, new Set(each(0, 30, 1)));
    assert.deepEqual(await findIncidents(store), []);
    await feed(of, each(20_000, 100, 10), 0.02, new Set(each(40, 25, 1)));
    const [found, ...others] = await findIncidents(store);
    assert.deepEqual(others, []);
    assert.deepEqual(
      [found?.kind, found?.kernelName, found?.count, found?.title],
      ['ikc_unmatched', 'host', 25, 'host: 25 messages to instance 1 were not received'],
    );
    assert.equal(found?.firstUnixNs, BASE_NS + BigInt(20_400 * MS));
    await of.channels.close();
  }));

test('channels: a minute of messages that take ten times as long is told', () =>
  inStore(async (store, rows) => {
    const of = openJoin(store, rows);
    for (let minute = 0; minute < 7; minute++) await feed(of, each(minute * MINUTE_MS, 150, 100), minute === 6 ? 9 : 0.8);
    assert.deepEqual(await findIncidents(store), []);
    await feed(of, each(7 * MINUTE_MS, 150, 100), 0.8);
    const [found, ...others] = await findIncidents(store);
    assert.deepEqual(others, []);
    assert.match(
      found?.title ?? '',
      /^host to instance 1: p99 of a minute (8|9)\.\d+ ms \(150 messages\), of the 6 minutes before 0\.\d+ ms$/,
    );
    assert.deepEqual(
      [found?.kind, found?.firstUnixNs],
      ['latency_regression', BASE_NS - (BASE_NS % 60_000_000_000n) + 6n * 60_000_000_000n],
    );
    await of.channels.close();
  }));

test('clocks: messages received before they were sent, by more than the bounds, accuse the clock of the spawned kernel', () =>
  inStore(async (store, rows) => {
    const clocks = new ClockWatch(store, 'test', 'hub', rows);
    await clocks.start();
    const segment = (identity: KernelIdentity, raw: bigint): void => {
      const fit = { baseRaw: String(raw), baseUnixNs: String(BASE_NS + raw), nsPerTick: 1, errorNs: 1000 };
      const header = { identity, clock: 'mono', fit, wall: 'host', links: [] } satisfies Partial<SegmentHeader>;
      clocks.openSegment(header as unknown as SegmentHeader, raw - 1000n, raw);
    };
    const sendAt = (raw: bigint, lateNs: bigint, confidence = 0.999): void =>
      clocks.addMessage(HOST.machineId, { bootId: HOST.bootId, raw }, { bootId: SPAWN.bootId, raw: raw + lateNs }, confidence);
    for (let ms = 1n; ms <= 20n; ms++) {
      for (const identity of [HOST, SPAWN]) segment(identity, ms * 1_000_000n);
      sendAt(ms * 1_000_000n - 500_000n, 50_000n);
    }
    await clocks.close();
    await rows.write();
    assert.deepEqual(await findIncidents(store), []);
    for (let at = 0n; at < 4n; at++) sendAt(19_000_000n + at * 1000n, -3_000_000n);
    // A match that may be none says nothing.
    sendAt(19_500_000n, -9_000_000n, 0.5);
    await clocks.close();
    await rows.write();
    const [found, ...others] = await findIncidents(store);
    assert.deepEqual(others, []);
    assert.deepEqual([found?.kind, found?.kernelName, found?.count], ['clock_infeasible', 'spawn1', 4]);
    assert.match(
      found?.title ?? '',
      /^spawn1: its clock cannot be right: a message from host to spawn1 was received 3\d{6} ns before it was/,
    );
  }));
