import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { IkcMatcher } from '../../correlate/match-ikc.ts';
import { MessageBatch } from '../../model/ikc-message.ts';
import { loseRun, simulateChannel, START_NS, type ChannelPlan } from '../support/ikc-channel.ts';
import { identityOf, judge, matchChannel, rowsOf, slice, type Judgement } from '../support/ikc-matching.ts';

const PLAN: ChannelPlan = {
  messages: 3000,
  seed: 1,
  gapNs: 200_000,
  senders: 1,
  labels: 500,
  lostSends: 0,
  lostReceives: 0,
  clockErrorNs: 1000,
  hasClaims: true,
};
const SECOND = 1_000_000_000n;

/** Of messages of many lengths, as user traffic has them; by share of lost records on each side. */
const LEAST = {
  0: { precision: 0.999, recall: 0.999 },
  0.01: { precision: 0.999, recall: 0.999 },
  0.1: { precision: 0.995, recall: 0.99 },
};

function assertHonest({ wrong, statedWrong }: Judgement, what: string): void {
  // Three standard deviations of what is stated, and two that chance may add to next to nothing.
  assert.ok(wrong <= statedWrong + 3 * Math.sqrt(statedWrong) + 2, `${what}: ${wrong} wrong, stated ${statedWrong.toFixed(1)}`);
}

for (const [lost, least] of Object.entries(LEAST)) {
  for (const senders of [1, 3]) {
    for (const clockErrorNs of [1000, 2_000_000]) {
      test(`ikc matching: ${Number(lost) * 100} % lost on each side, ${senders} senders, clocks ± ${clockErrorNs / 1000} µs`, (t) => {
        const sims = [1, 2].map((seed) =>
          simulateChannel({ ...PLAN, seed, senders, clockErrorNs, lostSends: Number(lost), lostReceives: Number(lost) }),
        );
        const found = sims.map((sim) => judge(matchChannel(sim), sim));
        for (const { precision, recall, wrong, statedWrong } of found) {
          t.diagnostic(`precision ${precision.toFixed(5)}, recall ${recall.toFixed(5)}, ${wrong} wrong, stated ${statedWrong.toFixed(1)}`);
          assert.ok(precision >= least.precision, `precision ${precision}`);
          assert.ok(recall >= least.recall, `recall ${recall}`);
        }
        for (const one of found) assertHonest(one, `lost ${lost}`);
      });
    }
  }
}

test('ikc matching: behind a hole of any width the order is found at once', (t) => {
  for (const side of ['sends', 'receives'] as const) {
    for (const count of [60, 150, 300, 700]) {
      for (const clockErrorNs of [1000, 6_000_000]) {
        const whole = simulateChannel({ ...PLAN, seed: count, senders: 2, gapNs: 30_000, clockErrorNs });
        const sim = loseRun(whole, side, 1100, count);
        const found = judge(matchChannel(sim), sim);
        t.diagnostic(
          `${count} ${side} lost, clocks ± ${clockErrorNs / 1000} µs: recall ${found.recall.toFixed(4)}, ${found.wrong} wrong, stated ${found.statedWrong.toFixed(1)}`,
        );
        assert.ok(found.recall >= 0.995 && found.precision >= 0.995);
        assertHonest(found, `${count} ${side} lost`);
      }
    }
  }
});

test('ikc matching: messages that are all alike go by their order, and say so where records are lost', (t) => {
  for (const [lost, gapNs] of [
    [0, 20_000],
    [0, 500_000],
    [0.01, 500_000],
    [0.1, 500_000],
    [0.01, 20_000],
    [0.1, 20_000],
  ] as const) {
    const sim = simulateChannel({ ...PLAN, labels: 1, gapNs, lostSends: lost, lostReceives: lost });
    const found = judge(matchChannel(sim), sim);
    t.diagnostic(
      `lost ${lost}, gap ${gapNs / 1000} µs: precision ${found.precision.toFixed(4)}, ${found.wrong} wrong, stated ${found.statedWrong.toFixed(1)}`,
    );
    if (lost === 0) assert.equal(found.wrong, 0);
    if (gapNs > 100_000 && lost < 0.1) assert.ok(found.precision >= 0.995);
    // Where nothing can tell them apart any more the statement is a rough one: within a tenth.
    assert.ok(
      found.wrong <= found.statedWrong * 1.1 + 3 * Math.sqrt(found.statedWrong) + 2,
      `${found.wrong} wrong, stated ${found.statedWrong}`,
    );
  }
});

test('ikc matching: wrong pairs are never more than stated, whatever the channel', () => {
  fc.assert(
    fc.property(
      fc.record({
        seed: fc.integer({ min: 1, max: 1_000_000 }),
        gapNs: fc.constantFrom(100_000, 400_000, 2_000_000),
        senders: fc.integer({ min: 1, max: 4 }),
        labels: fc.constantFrom(4, 30, 500),
        lostSends: fc.constantFrom(0, 0.01, 0.1),
        lostReceives: fc.constantFrom(0, 0.01, 0.1),
        clockErrorNs: fc.constantFrom(100, 50_000, 1_000_000),
        hasClaims: fc.boolean(),
      }),
      (plan) => {
        const sim = simulateChannel({ ...plan, messages: 800 });
        const rows = matchChannel(sim);
        assertHonest(judge(rows, sim), JSON.stringify(plan));
        // Every half is in one row of its own, and in no other.
        const last = rows.filter(({ isFinal }) => isFinal && rows.length > 0);
        const sends = last.filter(({ sendId }) => sendId !== 0).map(({ sendId }) => sendId);
        const receives = last.filter(({ state, receiveId }) => receiveId !== 0 && state !== 'superseded').map(({ receiveId }) => receiveId);
        assert.equal(new Set(sends).size, sim.sends.length);
        assert.equal(new Set(receives).size, sim.receives.length);
        assert.deepEqual([sends.length, receives.length], [sim.sends.length, sim.receives.length]);
        assert.equal(rows.filter(({ state }) => state === 'failed').length, failedOf(sim.sends.error, sim.sends.length));
      },
    ),
    { numRuns: 40, seed: 20_261_126 },
  );
});

function failedOf(errors: Int16Array, length: number): number {
  return errors.subarray(0, length).filter((error) => error < 0).length;
}

test('ikc matching: in pieces, as segments bring them, the same pairs are right', () => {
  const sim = simulateChannel({ ...PLAN, senders: 2, lostSends: 0.01, lostReceives: 0.01 });
  for (const piece of [37, 500]) {
    const { precision, recall } = judge(matchChannel(sim, piece), sim);
    assert.ok(precision >= 0.999 && recall >= 0.998, `${piece}: ${precision} ${recall}`);
  }
});

test('ikc matching: a full ring refuses, and what it refused is a row with its errno and no pair', () => {
  const sim = simulateChannel({ ...PLAN, gapNs: 300, senders: 4 });
  assert.ok(sim.failed > 100);
  const rows = matchChannel(sim);
  assert.equal(rows.filter(({ state, reason }) => state === 'failed' && reason === 'send_failed').length, sim.failed);
  assert.ok(judge(rows, sim).precision > 0.99);
});

test('ikc matching: one side that comes ten minutes late: rows that wait, then pairs in their place', () => {
  const sim = simulateChannel(PLAN);
  const matcher = new IkcMatcher();
  const [a, b] = [matcher.kernels.note(identityOf(0, 'a'), START_NS), matcher.kernels.note(identityOf(1, 'b'), START_NS)];
  const out = new MessageBatch();
  matcher.add(a, sim.sends, 0, out);
  matcher.noteFront(a, sim.endNs + 10n * SECOND);
  matcher.advance(1000, out);
  assert.equal(out.length, 0);
  matcher.advance(6000, out);
  assert.equal(out.length, sim.sends.length);
  assert.deepEqual(new Set(rowsOf(out).map(({ state, reason }) => `${state} ${reason}`)), new Set(['waiting no_peer_collector']));
  out.clear();
  matcher.advance(7000, out);
  assert.equal(out.length, 0, 'a row that waits is written once');
  assert.equal(matcher.oldestUnwrittenNs(), undefined);
  matcher.add(b, sim.receives, 600_000, out);
  matcher.noteFront(b, sim.endNs + 10n * SECOND);
  matcher.advance(600_000, out);
  const { precision, recall } = judge(rowsOf(out), sim);
  assert.deepEqual([precision, recall], [1, 1]);
  assert.equal(matcher.waiting, 0);
});

test('ikc matching: after a quarter of an hour what nobody received is given up, and its memory is free', () => {
  const sim = simulateChannel({ ...PLAN, messages: 200 });
  const matcher = new IkcMatcher();
  const a = matcher.kernels.note(identityOf(0, 'a'), START_NS);
  const out = new MessageBatch();
  matcher.add(a, sim.sends, 0, out);
  matcher.advance(16 * 60_000, out);
  const last = rowsOf(out).filter(({ isFinal }) => isFinal);
  assert.equal(last.length, 200);
  assert.ok(last.every(({ state, reason }) => state === 'unmatched' && reason === 'no_peer_collector'));
  assert.equal(matcher.waiting, 0);
});

test('ikc matching: a respawned receiver takes nothing that was sent to the one before it', () => {
  const first = simulateChannel({ ...PLAN, messages: 400, labels: 2 });
  const gapNs = Number(first.endNs - START_NS) + 1_000_000_000;
  const second = simulateChannel({ ...PLAN, messages: 400, labels: 2, seed: 9 }, gapNs, 10_000);
  const matcher = new IkcMatcher();
  const a = matcher.kernels.note(identityOf(0, 'a'), START_NS);
  const b = matcher.kernels.note(identityOf(1, 'b'), START_NS);
  const c = matcher.kernels.note(identityOf(1, 'c'), first.endNs + SECOND / 2n);
  const out = new MessageBatch();
  matcher.add(a, first.sends, 0, out);
  matcher.add(a, second.sends, 0, out);
  // It died in the middle: the last hundred messages were never taken out.
  const taken = slice(first.receives, 0, 300);
  matcher.add(b, taken, 0, out);
  matcher.noteFront(b, taken.time.getBigint(299));
  matcher.add(c, second.receives, 0, out);
  matcher.noteFront(a, second.endNs + 20n * SECOND);
  matcher.noteFront(c, second.endNs + 20n * SECOND);
  matcher.advance(0, out);
  const rows = rowsOf(out);
  const matched = rows.filter(({ state }) => state === 'matched');
  assert.equal(matched.length, 700);
  for (const { sendId, receiveId } of matched) assert.equal(receiveId, sendId | 0x4000_0000);
  const left = rows.filter(({ state }) => state === 'unmatched');
  assert.equal(left.length, 100);
  assert.deepEqual(new Set(left.map(({ reason }) => reason)), new Set(['kernel_died']));
});

test('ikc matching: slots say whether a message without a receiving was lost as a record or never came', () => {
  const sim = simulateChannel({ ...PLAN, messages: 600, lostReceives: 0.05 });
  const lost = matchChannel(sim).filter(({ state, isFinal }) => state === 'unmatched' && isFinal);
  assert.ok(lost.length > 10);
  const rows = matchChannel(sim).filter(({ state, isFinal }) => state === 'unmatched' && !isFinal);
  const reasons = Map.groupBy(rows, ({ reason }) => reason);
  assert.ok((reasons.get('lost_record')?.length ?? 0) >= rows.length - 1, JSON.stringify([...reasons.keys()]));
});

test('ikc matching: a host that nobody told whose CPU it was hears its only spawn, of two it says that it does not know', () => {
  const halves = simulateChannel({ ...PLAN, messages: 10 }).receives;
  halves.fromCpu.fill(8, 0, halves.length);
  const matcher = new IkcMatcher();
  const host = matcher.kernels.note(identityOf(0, 'h'), START_NS);
  matcher.kernels.note(identityOf(1, 'a'), START_NS);
  assert.equal(matcher.kernels.ownerOf('m', 0, 8), 1);
  matcher.kernels.note(identityOf(2, 'b'), START_NS);
  const out = new MessageBatch();
  matcher.add(host, halves, 0, out);
  matcher.advance(0, out, true);
  assert.deepEqual(new Set(rowsOf(out).map(({ reason }) => reason)), new Set(['unknown_sender']));
  matcher.kernels.setOwner('m', 8, 2);
  assert.equal(matcher.kernels.ownerOf('m', 0, 8), 2);
  assert.equal(matcher.kernels.ownerOf('m', 2, 8), 0, 'a spawn hears the host only');
});

test('ikc matching: another kernel of the same id that records no messages has no part in it', () => {
  const sim = simulateChannel(PLAN);
  const matcher = new IkcMatcher();
  const kernels = [identityOf(0, 'a'), identityOf(1, 'b')].map((identity) => matcher.kernels.note(identity, START_NS));
  for (const id of [0, 1]) matcher.kernels.note(identityOf(id, `other ${id}`), START_NS + SECOND / 10n);
  const out = new MessageBatch();
  for (const [at, halves] of [sim.sends, sim.receives].entries()) {
    const kernel = kernels[at];
    if (kernel !== undefined) matcher.add(kernel, halves, 0, out);
  }
  matcher.advance(0, out, true);
  assert.deepEqual([judge(rowsOf(out), sim).recall, matcher.counts.matched], [1, sim.receives.length]);
});

test('ikc matching: memory is bounded where the other side never comes', () => {
  const sim = simulateChannel({ ...PLAN, messages: 5000 });
  const matcher = new IkcMatcher();
  const a = matcher.kernels.note(identityOf(0, 'a'), START_NS);
  const out = new MessageBatch();
  for (let round = 0; round < 50; round++) {
    matcher.add(a, sim.sends, round, out);
    out.clear();
  }
  assert.ok(matcher.waiting <= 200_000);
  assert.equal(matcher.waiting + matcher.counts.dropped, 250_000);
});
