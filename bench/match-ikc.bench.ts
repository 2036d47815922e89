/** Message halves to matched messages, as segments bring them: with nothing lost, and with one record in a hundred lost on each side. */
import type { HalfBatch } from '../correlate/ikc-halves.ts';
import { IkcMatcher } from '../correlate/match-ikc.ts';
import { MessageBatch } from '../model/ikc-message.ts';
import { simulateChannel, START_NS, type ChannelPlan } from '../test/support/ikc-channel.ts';
import { identityOf, slice } from '../test/support/ikc-matching.ts';
import type { Bench, BenchResult } from './bench.ts';

const MESSAGES = 100_000;
const PIECE = 2_000;
const RUNS = 6;

const PLAN: ChannelPlan = {
  messages: MESSAGES,
  seed: 1,
  gapNs: 50_000,
  senders: 1,
  labels: 500,
  lostSends: 0,
  lostReceives: 0,
  clockErrorNs: 100_000,
  hasClaims: true,
};

export const benches: Bench[] = [
  { name: 'ikc: messages matched, nothing lost', target: '>= 0.5 M/CPU-s', run: () => measure(PLAN) },
  {
    name: 'ikc: messages matched, two senders, 1 % lost each side',
    target: '>= 0.5 M/CPU-s',
    run: () => measure({ ...PLAN, senders: 2, lostSends: 0.01, lostReceives: 0.01 }),
  },
];

function measure(plan: ChannelPlan): BenchResult {
  const sim = simulateChannel(plan);
  const pieces: (readonly [HalfBatch, HalfBatch])[] = [];
  for (let from = 0; from < MESSAGES; from += PIECE) {
    pieces.push([slice(sim.sends, from, from + PIECE), slice(sim.receives, from, from + PIECE)]);
  }
  let best = 0;
  let matched = 0;
  for (let run = 0; run < RUNS; run++) {
    const before = process.cpuUsage();
    matched = match(pieces);
    const { user, system } = process.cpuUsage(before);
    best = Math.max(best, matched / ((user + system) / 1e6));
  }
  return { value: best, unit: 'messages/CPU-s', detail: `${matched} of ${sim.recorded} with both ends` };
}

function match(pieces: readonly (readonly [HalfBatch, HalfBatch])[]): number {
  const matcher = new IkcMatcher();
  const kernels = [matcher.kernels.note(identityOf(0, 'a'), START_NS), matcher.kernels.note(identityOf(1, 'b'), START_NS)] as const;
  const out = new MessageBatch(4096);
  for (const halves of pieces) {
    for (const side of [0, 1] as const) {
      matcher.add(kernels[side], halves[side], 0, out);
      if (halves[side].length > 0) matcher.noteFront(kernels[side], halves[side].time.getBigint(halves[side].length - 1));
    }
    matcher.advance(0, out);
    out.clear();
  }
  matcher.advance(0, out, true);
  return matcher.counts.matched;
}
