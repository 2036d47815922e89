/** Messages between kernels from what comes in to rows, spans and answers: over imports, over a hub that is killed, over one that waits. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mock, test } from 'node:test';
import { IKC_PACKS } from '../../correlate/ikc-packs/index.ts';
import { IkcWatch } from '../../hub/ikc-watch.ts';
import { PresenceTable } from '../../hub/presence.ts';
import type { IkcMessage, IkcSummary } from '../../model/api.ts';
import { AttributeColumns } from '../../model/attribute-columns.ts';
import { LogBatch } from '../../model/log-batch.ts';
import { LEVEL_UNKNOWN } from '../../model/severity.ts';
import { openStore } from '../../store/open.ts';
import type { Store } from '../../store/store.ts';
import { BASE_NS, toEventBatch } from '../support/ikc-events.ts';
import type { IkcPack, IkcSample } from '../../correlate/ikc-pack.ts';
import { runCli } from '../support/run-cli.ts';
import { HOST, runHub, SPAWN, toLogsBody } from './running-hub.ts';

type Events = IkcSample['events'];

const SLOT_0 = 0xffff_c900_0020_0008n;
const US = 1_000;

/** A message each 100 µs from the host to spawn1, received 20 µs later; `lost` are not recorded by the receiver. */
function hostSends(count: number, from = 0): Events {
  return Array.from({ length: count }, (_, at) => at + from).flatMap((at) => [
    { event: 'ikc:mk_send', atNs: at * 100 * US, pid: 7, fields: { inst: 1, type: 0x4000, sub: 1, len: 16 + (at % 50) } },
    { event: 'ikc:mk_send_ret', atNs: at * 100 * US + 3 * US, pid: 7, fields: { ret: 0 } },
  ]);
}

function spawnReceives(count: number, lost: readonly number[] = [], from = 0): Events {
  return Array.from({ length: count }, (_, at) => at + from)
    .filter((at) => !lost.includes(at))
    .map((at) => ({
      event: 'ikc:mk_recv',
      atNs: at * 100 * US + 20 * US,
      fields: {
        slot: SLOT_0 + BigInt(at % 64) * 4120n,
        from_cpu: 0n,
        type: 0x4000,
        size: BigInt(40 + (at % 50)),
        sub: 1,
        msg_id: 0n,
        len: 16 + (at % 50),
      },
    }));
}

interface Counts {
  readonly state: string;
  readonly count: number;
}

const statesOf = (store: Store): Promise<Counts[]> =>
  store.query<Counts>('SELECT toString(State) AS state, toFloat64(count()) AS count FROM ikc_messages FINAL GROUP BY state ORDER BY state');

async function spansOf(store: Store): Promise<Record<string, number>> {
  const rows = await store.query<{ kind: string; count: number }>(
    'SELECT toString(SpanKind) AS kind, toFloat64(count()) AS count FROM otel_traces GROUP BY kind ORDER BY kind',
  );
  return Object.fromEntries(rows.map(({ kind, count }) => [kind, count]));
}

async function inStore(
  run: (store: Store, open: () => Promise<IkcWatch>, path: string) => Promise<void>,
  packs: readonly IkcPack[] = IKC_PACKS,
): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'mkscope-ikc-'));
  const store = await openStore({ dataDir });
  const path = join(dataDir, 'ikc', 'watch.json');
  const watches: IkcWatch[] = [];
  // Nothing is decided but when a test says so: a watch that is left alone is as a process that was killed.
  mock.timers.enable({ apis: ['setInterval'] });
  try {
    await run(
      store,
      async () => {
        const watch = new IkcWatch({ store, version: 'test', packs, presence: new PresenceTable(), path });
        watches.push(watch);
        await watch.start();
        return watch;
      },
      path,
    );
  } finally {
    mock.timers.reset();
    await watches.at(-1)?.close();
    await store.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** As the intake does with a segment. */
async function take(store: Store, watch: IkcWatch, identity: typeof HOST, events: Events): Promise<void> {
  const batch = toEventBatch(events);
  watch.notice(batch);
  const seen = { identity, seenUnixNs: BigInt(Date.now()) * 1_000_000n, origin: 'live' as const };
  await store.append({ events: [{ identity, stream: 'tracefs:t', clockErrorNs: 500, batch }], kernels: [seen] });
  watch.takeEvents(identity, batch, undefined, 500, BASE_NS + BigInt(events.at(-1)?.atNs ?? 0));
}

test('ikc: both sides become rows with times, names and states, and two spans of one trace', () =>
  inStore(async (store, open) => {
    const watch = await open();
    await take(store, watch, HOST, hostSends(200));
    await take(store, watch, SPAWN, spawnReceives(200, [50, 51]));
    watch.join.noteFront(HOST, BASE_NS + 60_000_000_000n);
    watch.join.noteFront(SPAWN, BASE_NS + 60_000_000_000n);
    await watch.join.advance(Date.now());
    assert.deepEqual(await statesOf(store), [
      { state: 'matched', count: 198 },
      { state: 'unmatched', count: 2 },
    ]);
    assert.deepEqual(await spansOf(store), { Consumer: 198, Producer: 200 });
    const [pairs] = await store.query<{ linked: number; late: number; names: string[] }>(
      `SELECT toFloat64(countIf(c.Links.SpanId = [p.SpanId] AND c.Links.TraceId = [p.TraceId] AND c.TraceId = p.TraceId)) AS linked,
         toFloat64(countIf(c.Timestamp >= p.Timestamp)) AS late,
         groupUniqArray(concat(p.SpanName, ' → ', c.SpanName, ' ', p.SpanAttributes['messaging.system'], ' ', p.ServiceName, ' ', c.ServiceName)) AS names
       FROM otel_traces AS p JOIN otel_traces AS c ON c.ParentSpanId = p.SpanId`,
    );
    assert.deepEqual(pairs, { linked: 198, late: 198, names: ['send spawn1 → process spawn1 multikernel host spawn1'] });
    const rows = await store.query<Record<string, unknown>>(
      `SELECT SenderName, ReceiverName, TypeName, toFloat64(LatencyNs) AS latency, toFloat64(SendErrorNs) AS error, toFloat64(SendNs) AS took, Slot, Reason, Missing
       FROM ikc_messages FINAL WHERE Slot = 52 OR Reason != '' ORDER BY Timestamp LIMIT 3`,
    );
    const common = { SenderName: 'host', ReceiverName: 'spawn1', TypeName: 'USER', error: 500, took: 3000 };
    assert.deepEqual(rows, [
      { ...common, latency: 0, Slot: -1, Reason: 'lost_record', Missing: -1 },
      { ...common, latency: 0, Slot: -1, Reason: 'lost_record', Missing: -1 },
      { ...common, latency: 20_000, Slot: 52, Reason: '', Missing: 2 },
    ]);
  }));

/** A protocol of a user, with two links between the same two kernels, the second one slower. */
const LINKS: IkcPack = {
  name: 'links',
  title: 'two links',
  events: [
    {
      event: 'ikc:link_send',
      role: 'send',
      fields: { peer: 'to', type: 'type', length: 'len', queue: 'link' },
      fixed: { subtype: 0 },
      filter: 'type != 9',
      probe: { at: 'entry', function: 'link_send', args: 'to=$arg1:s32 type=$arg2:u32 len=$arg3:u32 link=$arg4:u32' },
    },
    {
      event: 'ikc:link_recv',
      role: 'receive',
      fields: { fromKernel: 'from', slot: 'at', type: 'type', length: 'len', queue: 'link' },
      fixed: { subtype: 0 },
      probe: { at: 'entry', function: 'link_recv', args: 'from=$arg1:s32 type=$arg2:u32 len=$arg3:u32 link=$arg4:u32 at=$arg5:u32' },
    },
  ],
  lines: [{ event: 'ikc.links.send', role: 'send', fields: { peer: 'ikc.links.to', type: 'ikc.links.type' }, fixed: { subtype: 0 } }],
  rings: { any: { slots: 8, slotBytes: 0, headerBytes: 0 } },
  headerBytes: 0,
  rawTypes: [],
  typeNames: { 1: 'WORD' },
  subtypeNames: {},
  answerSubtypes: [],
  samples: [],
};

test('ikc: a pack of a user has queues of its own, each in order, and takes what its filter takes; a new process goes on with both', () =>
  inStore(
    async (store, open) => {
      // Ten seconds later, where the rings go on as they stood.
      const NEXT = 100_040;
      const first = await open();
      const send = (at: number): Events => [
        {
          event: 'ikc:link_send',
          atNs: at * 100 * US,
          cpu: 1,
          pid: 9,
          fields: { to: 1, type: at % 10 === 0 ? 9 : 1, len: at % 37, link: at % 2 },
        },
        ...hostSends(1, at),
      ];
      // Link 1 takes longer, so that each of its messages is out of the order of link 0; and of some of them the record is lost.
      const receive = (at: number): Events[number][] =>
        at % 10 === 0 || at % 50 === 5
          ? []
          : [
              {
                event: 'ikc:link_recv',
                cpu: 1,
                atNs: at * 100 * US + (at % 2 === 1 ? 150 : 20) * US,
                fields: {
                  from: 0,
                  type: 1,
                  len: at % 37,
                  link: at % 2,
                  at: at % 2 === 1 ? (at - 1) / 2 : Math.floor(at / 10) * 4 + (at % 10) / 2 - 1,
                },
              },
            ];
      const times = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, at) => at + from);
      const receives = (from: number, to: number): Events =>
        [...times(from, to).flatMap(receive), ...spawnReceives(to - from, [], from)].toSorted((a, b) => a.atNs - b.atNs);
      await take(store, first, HOST, times(0, 200).flatMap(send));
      await take(store, first, SPAWN, receives(0, 200));
      for (const one of [HOST, SPAWN]) first.join.noteFront(one, BASE_NS + 3_000_000_000n);
      await first.join.advance(Date.now());
      await take(store, first, HOST, times(NEXT, NEXT + 200).flatMap(send));
      await take(store, first, SPAWN, receives(NEXT, NEXT + 200));
      const second = await open();
      for (const one of [HOST, SPAWN]) second.join.noteFront(one, BASE_NS + 60_000_000_000n);
      await second.join.advance(Date.now());
      const rows = await store.query<Record<string, unknown>>(
        `SELECT toString(System) AS system, Queue AS queue, toString(State) AS state, toFloat64(count()) AS count,
           toFloat64(countIf(State = 'matched' AND LatencyNs = if(System = 'links' AND Queue = 1, 150000, 20000))) AS right, any(TypeName) AS name
         FROM ikc_messages FINAL GROUP BY ALL ORDER BY ALL`,
      );
      assert.deepEqual(rows, [
        { system: 'links', queue: 0, state: 'matched', count: 160, right: 160, name: 'WORD' },
        { system: 'links', queue: 1, state: 'matched', count: 192, right: 192, name: 'WORD' },
        { system: 'links', queue: 1, state: 'unmatched', count: 8, right: 0, name: 'WORD' },
        { system: 'multikernel', queue: 0, state: 'matched', count: 400, right: 400, name: 'USER' },
      ]);
    },
    [LINKS, ...IKC_PACKS],
  ));

test('ikc: lines of a pack make messages where its probes are not, whatever other probes the kernel has', () =>
  inStore(
    async (store, open) => {
      const watch = await open();
      await take(store, watch, HOST, hostSends(2));
      const logs = new LogBatch();
      for (const [at, event] of ['ikc.links.send', 'mk.ikc.send'].entries()) {
        const row = logs.addText('a line', LEVEL_UNKNOWN);
        logs.unixTime.setBigint(row, BASE_NS + BigInt(at * US));
        logs.eventName[row] = logs.strings.internString(event);
      }
      for (const name of ['to', 'type', 'subtype', 'length']) {
        const more = new AttributeColumns(logs.strings);
        for (const event of ['ikc.links', 'mk.ikc']) {
          more.add(`${event}.${name}`, '1');
          more.closeRow();
        }
        logs.attributes.addToRows([0, 1], more);
      }
      watch.takeLogs(HOST, 'kmsg', logs, 0);
      watch.join.noteFront(HOST, BASE_NS + 60_000_000_000n);
      await watch.join.advance(Date.now(), true);
      assert.deepEqual(
        await store.query(
          'SELECT toString(System) AS system, toFloat64(count()) AS count, max(IsPrinted) AS printed FROM ikc_messages FINAL GROUP BY system ORDER BY system',
        ),
        [
          { system: 'links', count: 1, printed: 1 },
          { system: 'multikernel', count: 2, printed: 0 },
        ],
      );
    },
    [LINKS, ...IKC_PACKS],
  ));

test('ikc: killed between storing events and matching them, the next process matches each once', () =>
  inStore(async (store, open) => {
    const first = await open();
    await take(store, first, HOST, hostSends(100));
    await take(store, first, SPAWN, spawnReceives(100));
    first.join.noteFront(HOST, BASE_NS + 3_000_000_000n);
    first.join.noteFront(SPAWN, BASE_NS + 3_000_000_000n);
    await first.join.advance(Date.now());
    // More of both sides is stored, nothing of it decided: here the process ends without a word.
    await take(store, first, HOST, hostSends(100, 100));
    await take(store, first, SPAWN, spawnReceives(100, [], 100));
    const second = await open();
    for (const one of [HOST, SPAWN]) second.join.noteFront(one, BASE_NS + 60_000_000_000n);
    await second.join.advance(Date.now());
    assert.deepEqual(await statesOf(store), [{ state: 'matched', count: 200 }]);
    assert.deepEqual(await spansOf(store), { Consumer: 200, Producer: 200 });
    const [{ parts } = { parts: 0 }] = await store.query<{ parts: number }>(
      'SELECT toFloat64(uniqExact(MessageId)) AS parts FROM ikc_messages',
    );
    assert.equal(parts, 200);
  }));

test('ikc: a process that ends before it has taken up what waits leaves that to the next one', () =>
  inStore(async (store, open, path) => {
    const first = await open();
    await take(store, first, HOST, hostSends(10));
    const moment = readFileSync(path, 'utf8');
    assert.match(moment, /^{"fromNs":"\d+"}$/);
    const second = new IkcWatch({ store, version: 'test', packs: IKC_PACKS, presence: new PresenceTable(), path });
    const starting = second.start();
    await second.close();
    assert.equal(readFileSync(path, 'utf8'), moment);
    await starting;
  }));

test('ikc: a side that comes after a restart finds what the first process stored as waiting', () =>
  inStore(async (store, open) => {
    const first = await open();
    await take(store, first, HOST, hostSends(80));
    await first.join.advance(Date.now() + 6_000);
    assert.deepEqual(await statesOf(store), [{ state: 'waiting', count: 80 }]);
    assert.deepEqual(await spansOf(store), {});
    await first.close();
    const second = await open();
    await take(store, second, SPAWN, spawnReceives(80));
    for (const one of [HOST, SPAWN]) second.join.noteFront(one, BASE_NS + 60_000_000_000n);
    await second.join.advance(Date.now());
    assert.deepEqual(await statesOf(store), [{ state: 'matched', count: 80 }]);
    assert.deepEqual(await spansOf(store), { Consumer: 80, Producer: 80 });
  }));

test('ikc: a request and its answer are one trace of four messages’ ends, a CLIENT and a SERVER span', () =>
  inStore(async (store, open) => {
    const watch = await open();
    const request = { type: 0x2000, op: 0x2003, res: 0x100n };
    const ackAt = (slot: bigint): Record<string, number | bigint> => ({
      slot: SLOT_0 + slot * 4120n,
      from_cpu: 16n,
      type: 0x2000,
      size: 40n,
      sub: 0x2100,
      msg_id: 0n,
      len: 16,
    });
    await take(store, watch, HOST, [
      { event: 'ikc:pend_add', atNs: 100 * US, pid: 5, fields: request },
      { event: 'ikc:mk_send', atNs: 110 * US, pid: 5, fields: { inst: 1, type: 0x2000, sub: 0x2003, len: 28 } },
      { event: 'ikc:mk_send_ret', atNs: 115 * US, pid: 5, fields: { ret: 0 } },
      { event: 'ikc:mk_recv', atNs: 400 * US, flags: 8, fields: ackAt(0n) },
      { event: 'ikc:pend_done', atNs: 401 * US, flags: 8, fields: { ...request, result: 0 } },
      { event: 'ikc:pend_wait_ret', atNs: 450 * US, pid: 5, fields: { ret: 0 } },
      { event: 'ikc:pend_add', atNs: 900 * US, pid: 5, fields: { ...request, res: 0x200n } },
      { event: 'ikc:pend_wait_ret', atNs: 2000 * US, pid: 5, fields: { ret: -110 } },
    ]);
    await take(store, watch, SPAWN, [
      {
        event: 'ikc:mk_recv',
        atNs: 130 * US,
        flags: 8,
        fields: { slot: SLOT_0, from_cpu: 0n, type: 0x2000, size: 52n, sub: 0x2003, msg_id: 0n, len: 28 },
      },
      { event: 'ikc:mk_send', atNs: 380 * US, pid: 9, fields: { inst: 0, type: 0x2000, sub: 0x2100, len: 16 } },
      { event: 'ikc:mk_send_ret', atNs: 384 * US, pid: 9, fields: { ret: 0 } },
    ]);
    for (const one of [HOST, SPAWN]) watch.join.noteFront(one, BASE_NS + 60_000_000_000n);
    await watch.join.advance(Date.now());
    const spans = await store.query<Record<string, unknown>>(
      `SELECT SpanName AS name, toString(SpanKind) AS kind, ServiceName AS service, toFloat64(Duration) AS ns, SpanId AS id, ParentSpanId AS parentId
       FROM otel_traces WHERE TraceId IN (SELECT TraceId FROM ikc_exchanges WHERE State = 'answered') ORDER BY Timestamp, SpanName DESC`,
    );
    const nameOf = (id: unknown): unknown => spans.find((one) => one['id'] === id)?.['name'] ?? '';
    assert.deepEqual(
      spans.map(({ name, kind, service, ns, parentId }) => [name, kind, service, ns, nameOf(parentId)]),
      [
        ['request RESOURCE/MEM_ADD spawn1', 'Client', 'host', 350_000, ''],
        ['send spawn1', 'Producer', 'host', 5_000, 'request RESOURCE/MEM_ADD spawn1'],
        ['process spawn1', 'Consumer', 'spawn1', 0, 'send spawn1'],
        ['answer RESOURCE/MEM_ADD', 'Server', 'spawn1', 250_000, 'request RESOURCE/MEM_ADD spawn1'],
        ['send host', 'Producer', 'spawn1', 4_000, 'answer RESOURCE/MEM_ADD'],
        ['process host', 'Consumer', 'host', 0, 'send host'],
      ],
    );
    const exchanges = await store.query<Record<string, unknown>>(
      'SELECT toString(State) AS state, Result AS result, toFloat64(DurationNs) AS ns, ResponderId AS to, OperationName AS operation FROM ikc_exchanges FINAL ORDER BY Timestamp',
    );
    assert.deepEqual(exchanges, [
      { state: 'answered', result: 0, ns: 350_000, to: 1, operation: 'RESOURCE/MEM_ADD' },
      { state: 'timeout', result: -110, ns: 1_100_000, to: -1, operation: 'RESOURCE/MEM_ADD' },
    ]);
  }));

const line = (us: number, name: string, body: string): string =>
  `    sender-7       [000] .....  ${(1 + us / 1e6).toFixed(6)}: ${name}: ${body}\n`;

test('ikc: imported traces of two kernels, and the debug lines of two others, answered by the API', async () => {
  const hub = await runHub();
  try {
    const post = async (text: string, query: string): Promise<void> => {
      const response = await fetch(`${hub.addresses.page}/api/import?${query}`, { method: 'POST', body: text });
      assert.equal(response.status, 200, await response.text());
    };
    const sends = Array.from({ length: 30 }, (_, at) =>
      line(at * 1000, 'mk_send', `(mk_send_message+0x0/0x90) inst=1 type=0x4000 sub=0x1 len=${16 + at}`),
    );
    const returns = Array.from({ length: 30 }, (_, at) =>
      line(at * 1000 + 4, 'mk_send_ret', `(caller+0x10/0x20 <- mk_send_message) ret=${at === 7 ? -28 : 0}`),
    );
    const receives = Array.from({ length: 30 }, (_, at) => at)
      .filter((at) => at !== 7)
      .map((at, position) =>
        line(
          at * 1000 + 40,
          'mk_recv',
          `(mk_message_type_ipi_callback+0x0/0x90) slot=0x${(SLOT_0 + BigInt(position) * 4120n).toString(16)} from_cpu=0 type=0x4000 size=${40 + at} sub=0x1 msg_id=0 len=${16 + at}`,
        ),
      );
    const all = [...sends, ...returns].sort((a, b) => Number(/([\d.]+): mk/.exec(a)?.[1]) - Number(/([\d.]+): mk/.exec(b)?.[1]));
    const zero = 'time_zero=1600000000000000000&machine=box';
    await post(`# tracer: nop\n#\n${all.join('')}`, `name=h.trace&kernel=host&kernel_id=0&${zero}`);
    await post(`# tracer: nop\n#\n${receives.join('')}`, `name=s.trace&kernel=spawn1&kernel_id=1&${zero}`);
    const lines = (verb: string, end: string): { text: string; unixNs: bigint }[] =>
      Array.from({ length: 5 }, (_, at) => ({
        text: `Multikernel message ${verb}: type=0x3000, subtype=0x3004, len=${8 + at} ${end}`,
        unixNs: 1_700_000_000_000_000_000n + BigInt(at) * 1_000_000n,
      }));
    for (const [identity, verb, end] of [
      [SPAWN, 'sent', 'to instance 0'],
      [HOST, 'received', 'from CPU 16'],
    ] as const) {
      const headers = { 'content-type': 'application/x-protobuf' };
      const response = await fetch(`${hub.addresses.otlp}/v1/logs`, {
        method: 'POST',
        headers,
        body: toLogsBody(identity, lines(verb, end)),
      });
      assert.equal(response.status, 200);
    }
    const getJson = async <Answer>(path: string): Promise<Answer> => {
      const response = await fetch(`${hub.addresses.page}${path}`);
      const text = await response.text();
      assert.equal(response.status, 200, text);
      return JSON.parse(text) as Answer;
    };
    let summary: IkcSummary | undefined;
    for (let tries = 0; tries < 100; tries++) {
      summary = await getJson<IkcSummary>('/api/ikc');
      if (summary.channels.reduce((sum, { matched }) => sum + matched, 0) === 34) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.deepEqual(
      summary?.channels.map(({ machineId, senderName, receiverName, matched, failed, unmatchedSends, p50Ns }) => [
        machineId,
        senderName,
        receiverName,
        matched,
        failed,
        unmatchedSends,
        p50Ns,
      ]),
      [
        ['box', 'host', 'spawn1', 29, 1, 0, 40_000],
        ['machine-1', 'spawn1', 'host', 5, 0, 0, 0],
      ],
    );
    const { messages } = await getJson<{ messages: IkcMessage[] }>('/api/ikc/messages?sender=host&state=failed,matched&limit=50');
    assert.equal(messages.length, 30);
    assert.deepEqual(
      messages
        .filter(({ state }) => state === 'failed')
        .map(({ errno, reason, typeName, payloadBytes }) => [errno, reason, typeName, payloadBytes]),
      [[-28, 'send_failed', 'USER', 23]],
    );
    const slowest = await getJson<{ messages: IkcMessage[] }>('/api/ikc/messages?order=slowest&limit=3');
    assert.deepEqual(
      slowest.messages.map(({ latencyNs }) => latencyNs),
      [40_000, 40_000, 40_000],
    );
    assert.equal((await fetch(`${hub.addresses.page}/api/ikc?nonsense=1`)).status, 400);
    const metrics = await (await fetch(`${hub.addresses.page}/metrics`)).text();
    const counted = [...metrics.matchAll(/^mkscope_ikc_(\S+) (\d+)$/gm)].map(([, name, value]) => [name, Number(value)]);
    assert.deepEqual(counted, [
      ['halves_total{end="send"}', 34],
      ['halves_total{end="receive"}', 34],
      ['halves_left_total{end="send"}', 0],
      ['halves_left_total{end="receive"}', 0],
      ['halves_waiting', 0],
      ['halves_dropped_total', 0],
      ['halves_restored_total', 0],
      ['messages_matched_total', 34],
      ['messages_failed_total', 1],
      ['slots_missing_total', 0],
    ]);
    const table = await runCli(['ikc', '--hub', hub.addresses.page]);
    assert.match(
      table.stdout,
      /^FROM +TO +MATCHED .*\nhost +spawn1 +29 +40.0 µs +40.0 µs .* send_failed 1\nspawn1 +host +5 /,
      table.stderr,
    );
    const listed = await runCli(['ikc', '-m', '--from', 'host', '--state', 'failed', '--json', '--hub', hub.addresses.page]);
    assert.equal((JSON.parse(listed.stdout) as IkcMessage).errno, -28, listed.stderr);
    const slow = await runCli(['ikc', '--slowest', '-n', '1', '--hub', hub.addresses.page]);
    assert.match(slow.stdout, /host +spawn1 +40.0 µs +>?99.9 % +matched +\d+ +USER\/0x1\n$/, slow.stderr);
  } finally {
    await hub.stop();
  }
});
