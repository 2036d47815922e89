import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { HalfExtractor, type IkcExchange } from '../../correlate/extract-halves.ts';
import { HALF, HalfBatch, NONE } from '../../correlate/ikc-halves.ts';
import { eventsOf, NO_SUBTYPE, toProbeDefinition, type IkcSample } from '../../correlate/ikc-pack.ts';
import { IKC_PACKS } from '../../correlate/ikc-packs/index.ts';
import { lab } from '../../correlate/ikc-packs/lab.ts';
import { multikernel } from '../../correlate/ikc-packs/multikernel.ts';
import { BASE_NS, toEventBatch } from '../support/ikc-events.ts';

const KINDS = ['send', 'receive', 'failed'] as const;

function halvesOf(
  packs: typeof IKC_PACKS,
  batches: readonly IkcSample['events'][],
): { halves: object[]; exchanges: IkcExchange[]; batch: HalfBatch } {
  const extractor = new HalfExtractor(packs, 'boot');
  const out = new HalfBatch(1);
  for (const events of batches) extractor.extract(toEventBatch(events), 100, out);
  extractor.finish(out);
  const halves = Array.from({ length: out.length }, (_, row) => ({
    kind: KINDS[out.kind[row] as number],
    atNs: Number(out.time.getBigint(row) - BASE_NS),
    ...(out.peer[row] === NONE ? {} : { peer: out.peer[row] }),
    ...(out.fromCpu[row] === NONE ? {} : { fromCpu: out.fromCpu[row] }),
    type: out.type[row],
    ...(out.subtype[row] === NO_SUBTYPE ? {} : { subtype: out.subtype[row] }),
    length: out.messageBytes[row],
    ...(out.slot[row] === NONE ? {} : { slot: out.slot[row] }),
    ...(out.kind[row] === HALF.failed ? { error: out.error[row] } : {}),
  }));
  return { halves, exchanges: extractor.takeExchanges(), batch: out };
}

for (const pack of IKC_PACKS) {
  for (const { title, events, halves } of pack.samples) {
    test(`ikc pack ${pack.name}: ${title}`, () => assert.deepEqual(halvesOf([pack], [events]).halves, halves));

    test(`ikc pack ${pack.name}: ${title}: the same when each event comes in a batch of its own`, () => {
      assert.deepEqual(
        halvesOf(
          [pack],
          events.map((one) => [one]),
        ).halves,
        halves,
      );
    });
  }

  test(`ikc pack ${pack.name}: each event with a field of a role has a sample or shares its shape`, () => {
    assert.ok(pack.samples.length > 0);
    for (const sample of pack.samples) {
      for (const { event, fields } of sample.events) {
        const known = pack.events.find((one) => one.event === event);
        assert.ok(known !== undefined, event);
        const wanted = Object.values(known.fields).flat();
        for (const field of wanted) assert.ok(field in fields, `${event} has no ${field}`);
        // What the probe fetches is what the sample has, by name.
        const fetched = [...(known.probe?.args ?? '').matchAll(/(?:^|\s)(\w+)=/g)].map(([, name]) => name);
        if (known.probe !== undefined) assert.deepEqual(Object.keys(fields), fetched, event);
      }
    }
  });
}

test('ikc pack lab: is what the forwarders of the lab are given', () => {
  const file = readFileSync(join(import.meta.dirname, '../../deploy/lab/guest/probes'), 'utf8');
  assert.deepEqual(
    file.trimEnd().split('\n'),
    lab.events.map((event) => toProbeDefinition(event, 'amd64')),
  );
});

test('ikc packs: definitions name portable arguments off x86-64, and the module of a function that comes later', () => {
  const send = multikernel.events.find(({ event }) => event === 'ikc:mk_send');
  assert.ok(send !== undefined);
  assert.equal(
    toProbeDefinition(send, 'arm64'),
    'p:ikc/mk_send mk_send_message inst=$arg1:s32 type=$arg2:x32 sub=$arg3:x32 len=$arg5:u32 p0=+0($arg4):x64 p1=+8($arg4):x64',
  );
  assert.equal(
    toProbeDefinition({ ...send, probe: { at: 'entry', function: 'mk_send_pkt', module: 'mk_transport', args: '' } }, 'arm64'),
    'p:ikc/mk_send mk_transport:mk_send_pkt',
  );
});

test('ikc packs: a generation has its own layout and the functions that it has', () => {
  const names = (generation?: string): string[] => eventsOf(multikernel, generation).map(({ event }) => event.slice(4));
  assert.ok(names().includes('mk_recv') && !names().includes('mk_recv_g1') && !names().includes('mk_send_to'));
  assert.ok(names('g3').includes('mk_send_to'));
  assert.ok(names('g1').includes('mk_recv_g1') && !names('g1').includes('mk_recv'));
  assert.deepEqual(names('rfc1'), ['ipi_send', 'ipi_send_ret', 'ipi_irq', 'state']);
  for (const generation of Object.keys(multikernel.rings)) {
    const known = names(generation);
    assert.equal(new Set(known).size, known.length, generation);
  }
});

test('ikc halves: what only the inner call told has the ids of a sending of its own, and ids are repeatable', () => {
  const sample = multikernel.samples[0]?.events ?? [];
  const [once, again] = [halvesOf([multikernel], [sample]).batch, halvesOf([multikernel], [sample]).batch];
  assert.deepEqual([...once.id.subarray(0, 2)], [...again.id.subarray(0, 2)]);
  assert.deepEqual([once.claimNs[0], once.endNs[0]], [200, 1000]);
});

test('ikc halves: a sending whose return was lost is given up when its task sends again', () => {
  const send = (atNs: number): IkcSample['events'][number] => ({
    event: 'ikc:mk_send',
    atNs,
    pid: 7,
    fields: { inst: 1, type: 0x4000, sub: 1, len: 8 },
  });
  const { batch } = halvesOf([multikernel], [[send(10), send(500)], [send(3_000_000_000)]]);
  assert.deepEqual([...batch.error.subarray(0, 3)], [1, 1, 1]);
  assert.deepEqual([...batch.endNs.subarray(0, 3)], [NONE, NONE, NONE]);
});

test('ikc halves: ring positions without a record are counted, over the end of the ring', () => {
  const receive = (atNs: number, slot: number): IkcSample['events'][number] => ({
    event: 'ikc:mk_recv',
    atNs,
    fields: { slot: 0xffff_c900_0020_0008n + BigInt(slot) * 4120n, from_cpu: 0n, type: 0x4000, size: 32n, sub: 1, msg_id: 0n, len: 8 },
  });
  const { batch } = halvesOf(
    [multikernel],
    [
      [receive(1, 61), receive(2, 62), receive(3, 1)],
      [receive(4, 2), receive(5, 2)],
    ],
  );
  assert.deepEqual([...batch.missing.subarray(0, 5)], [NONE, 0, 2, 0, 63]);
});

test('ikc halves: the words of a payload count as far as it is long, whatever lies behind it', () => {
  const send = (len: number, p0: bigint, p1: bigint): IkcSample['events'] => [
    { event: 'ikc:mk_send', atNs: 10, pid: 7, fields: { inst: 1, type: 0x4000, sub: 1, len, p0, p1 } },
    { event: 'ikc:mk_send_ret', atNs: 20, pid: 7, fields: { ret: 0 } },
  ];
  const keyOf = (len: number, p0: bigint, p1: bigint): number | undefined => halvesOf([multikernel], [send(len, p0, p1)]).batch.key[0];
  assert.equal(keyOf(0, 0xaan, 0xbbn), 0);
  assert.equal(keyOf(3, 0x11_2233n, 5n), keyOf(3, 0xffff_ff11_2233n, 6n));
  assert.notEqual(keyOf(4, 0x11_2233n, 5n), keyOf(4, 0xff11_2233n, 5n));
  assert.equal(keyOf(8, 0x1122_3344_5566_7788n, 5n), keyOf(8, 0x1122_3344_5566_7788n, 6n));
  assert.notEqual(keyOf(12, 7n, 5n), keyOf(12, 7n, 6n));
  assert.equal(keyOf(12, 7n, 5n), keyOf(12, 7n, 0xff_0000_0005n));
});

test('ikc exchanges: a request is the next sending of its task, its answer the receiving right before', () => {
  const common = { type: 0x2000, op: 0x2003, res: 0x100n };
  const events: IkcSample['events'] = [
    { event: 'ikc:pend_add', atNs: 100, pid: 5, cpu: 1, fields: common },
    { event: 'ikc:mk_send', atNs: 200, pid: 5, cpu: 1, fields: { inst: 1, type: 0x2000, sub: 0x2003, len: 28 } },
    { event: 'ikc:mk_send_ret', atNs: 300, pid: 5, cpu: 1, fields: { ret: 0 } },
    {
      event: 'ikc:mk_recv',
      atNs: 9000,
      pid: 80,
      flags: 8,
      fields: { slot: 0xffff_c900_0020_0008n, from_cpu: 16n, type: 0x2000, size: 40n, sub: 0x2100, msg_id: 0n, len: 16 },
    },
    { event: 'ikc:pend_done', atNs: 9100, pid: 80, flags: 8, fields: { ...common, result: -16 } },
    { event: 'ikc:pend_wait_ret', atNs: 9900, pid: 5, cpu: 1, fields: { ret: -16 } },
    { event: 'ikc:pend_add', atNs: 10_000, pid: 5, fields: { ...common, res: 0xffff_ffff_8000_0001n } },
    { event: 'ikc:pend_wait_ret', atNs: 20_000, pid: 5, fields: { ret: -110 } },
  ];
  const { exchanges, batch } = halvesOf([multikernel], [events]);
  assert.deepEqual(
    exchanges.map(({ operation, resource, result, state, startNs, endNs, answerNs }) => [
      operation,
      resource,
      result,
      state,
      Number(startNs - BASE_NS),
      Number(endNs - BASE_NS),
      answerNs === 0n ? 0 : Number(answerNs - BASE_NS),
    ]),
    [
      [0x2003, 0x100n, -16, 'answered', 100, 9900, 9100],
      [0x2003, 0xffff_ffff_8000_0001n, -110, 'timeout', 10_000, 20_000, 0],
    ],
  );
  const id = [...(exchanges[0]?.id ?? [])];
  assert.deepEqual([...batch.exchange.subarray(0, 4)], [...id, ...id]);
});
