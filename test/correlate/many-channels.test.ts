/** Many kernels, and kernels that make others up: what a matcher holds is bounded, and nobody's messages become another's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HALF, HalfBatch, NONE } from '../../correlate/ikc-halves.ts';
import { IkcMatcher } from '../../correlate/match-ikc.ts';
import { MESSAGE_STATE, MessageBatch } from '../../model/ikc-message.ts';
import { START_NS } from '../support/ikc-channel.ts';
import { identityOf } from '../support/ikc-matching.ts';
import { heldBytes } from '../support/memory.ts';

const KERNELS = 64;

function addHalf(halves: HalfBatch, isSend: boolean, peer: number, atNs: number, id: number): void {
  const at = halves.openRow();
  halves.kind[at] = isSend ? HALF.send : HALF.receive;
  halves.time.setBigint(at, START_NS + BigInt(atNs));
  halves.raw.setBigint(at, BigInt(atNs));
  halves.claimNs[at] = 0;
  halves.endNs[at] = 1_000;
  halves.errorNs[at] = 1_000;
  halves.peer[at] = peer;
  halves.fromCpu[at] = NONE;
  halves.type[at] = 0x1000;
  halves.subtype[at] = 1;
  halves.messageBytes[at] = 100 + (id % 400);
  halves.key[at] = 0;
  halves.slot[at] = NONE;
  halves.missing[at] = NONE;
  halves.error[at] = 0;
  halves.pid[at] = 1;
  halves.cpu[at] = 0;
  halves.pack[at] = 0;
  halves.queue[at] = 0;
  halves.printed[at] = 0;
  halves.id.set([0, id], at * 2);
  halves.exchange.set([0, 0], at * 2);
}

test('many channels: 64 kernels that all talk to each other are matched, each with its own, in a few KB a channel', (t) => {
  const ROUNDS = 5;
  const before = heldBytes();
  const matcher = new IkcMatcher();
  const kernels = Array.from({ length: KERNELS }, (_, id) => matcher.kernels.note(identityOf(id, `boot ${id}`), START_NS));
  const out = new MessageBatch();
  const batches = kernels.map(() => new HalfBatch());
  let id = 0;
  for (let round = 0; round < ROUNDS; round++) {
    for (let from = 0; from < KERNELS; from++) {
      for (let to = 0; to < KERNELS; to++) {
        if (from === to) continue;
        const atNs = round * 2e8 + from * 1e6 + to * 10_000;
        addHalf(batches[from] as HalfBatch, true, to, atNs, ++id);
        addHalf(batches[to] as HalfBatch, false, from, atNs + 50_000, id);
      }
    }
  }
  for (const [at, kernel] of kernels.entries()) matcher.add(kernel, batches[at] as HalfBatch, 0, out);
  for (const kernel of kernels) matcher.noteFront(kernel, START_NS + 60_000_000_000n);
  const channels = KERNELS * (KERNELS - 1);
  const perChannel = (heldBytes() - before) / channels;
  matcher.advance(0, out);
  matcher.advance(2_000, out, true);
  t.diagnostic(
    `${channels} channels: ${(perChannel / 1024).toFixed(1)} KB each with ${ROUNDS} messages waiting, ${matcher.counts.matched} matched`,
  );
  assert.equal(matcher.counts.matched, channels * ROUNDS);
  const idAt = (ids: Uint8Array, row: number): number => new DataView(ids.buffer, ids.byteOffset).getUint32(row * 8 + 4);
  for (let row = 0; row < out.length; row++) {
    if (out.state[row] === MESSAGE_STATE.matched) assert.equal(idAt(out.sendId, row), idAt(out.receiveId, row));
  }
  assert.ok(perChannel < 24 * 1024, `${perChannel} bytes`);
});

test('many channels: a kernel that names 40,000 others opens no more channels than there is room for', () => {
  const matcher = new IkcMatcher();
  const [liar, a, b] = [0, 1, 2].map((id) => matcher.kernels.note(identityOf(id, `boot ${id}`), START_NS));
  assert.ok(liar !== undefined && a !== undefined && b !== undefined);
  const out = new MessageBatch();
  const made = new HalfBatch();
  const before = heldBytes();
  const MADE_UP = 40_000;
  for (let peer = 0; peer < MADE_UP; peer++) addHalf(made, true, 1_000 + peer, peer, peer);
  matcher.add(liar, made, 0, out);
  const [sends, receives] = [new HalfBatch(), new HalfBatch()];
  for (let i = 0; i < 50; i++) {
    addHalf(sends, true, 2, i * 1e7, 1e6 + i);
    addHalf(receives, false, 1, i * 1e7 + 20_000, 1e6 + i);
  }
  matcher.advance(0, out);
  matcher.add(a, sends, 1_000, out);
  matcher.add(b, receives, 1_000, out);
  for (const kernel of [liar, a, b]) matcher.noteFront(kernel, START_NS + 60_000_000_000n);
  const held = heldBytes() - before;
  out.clear();
  matcher.advance(1_000, out);
  matcher.advance(3_000, out);
  assert.ok(held < 200e6, `${held} bytes`);
  assert.ok(matcher.counts.sends === MADE_UP + 50);
  // What it sent into the void takes room; honest channels have theirs once that is given up.
  matcher.advance(16 * 60_000, out);
  const [more, answers] = [new HalfBatch(), new HalfBatch()];
  for (let i = 0; i < 50; i++) {
    addHalf(more, true, 2, 61e9 + i * 1e7, 2e6 + i);
    addHalf(answers, false, 1, 61e9 + i * 1e7 + 20_000, 2e6 + i);
  }
  matcher.add(a, more, 16 * 60_000, out);
  matcher.add(b, answers, 16 * 60_000, out);
  for (const kernel of [a, b]) matcher.noteFront(kernel, START_NS + 120_000_000_000n);
  const matched = matcher.counts.matched;
  matcher.advance(16 * 60_000 + 2_000, out);
  assert.equal(matcher.counts.matched - matched, 50);
});

test('many channels: of a million and more halves that wait, the fullest channels give way', () => {
  const matcher = new IkcMatcher();
  const out = new MessageBatch();
  const small = matcher.kernels.note(identityOf(9, 'small'), START_NS);
  const few = new HalfBatch();
  for (let i = 0; i < 10; i++) addHalf(few, true, 8, i, i);
  matcher.add(small, few, 0, out);
  const floods = Array.from({ length: 6 }, (_, at) => matcher.kernels.note(identityOf(at + 1, `flood ${at}`), START_NS));
  const batch = new HalfBatch();
  for (let i = 0; i < 30_000; i++) addHalf(batch, true, 0, i, i);
  for (let round = 0; round < 6; round++) for (const kernel of floods) matcher.add(kernel, batch, round, out);
  assert.equal(matcher.waiting, 6 * 6 * 30_000 + 10);
  out.clear();
  matcher.advance(0, out);
  assert.ok(matcher.waiting <= 1_000_000, `${matcher.waiting}`);
  assert.equal(matcher.waiting + matcher.counts.dropped, 6 * 6 * 30_000 + 10);
  const gaveUp = new Set(Array.from({ length: out.length }, (_, row) => out.sender[row] as number));
  assert.ok(!gaveUp.has(small.index), 'the small one keeps its own');
});
