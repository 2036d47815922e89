/**
 * A channel as Multikernel has it, in numbers: senders that claim slots of a ring of 64, a receiver that takes them out in order,
 * records that get lost on either side, clocks that are off within their bounds. Gives both kernels' halves, and the truth.
 */
import { HALF, HalfBatch, NONE } from '../../correlate/ikc-halves.ts';

export interface ChannelPlan {
  readonly messages: number;
  readonly seed: number;
  /** Mean time between two messages of a sender, ns. */
  readonly gapNs: number;
  readonly senders: number;
  /** Different (type, subtype, length); 1 = all alike. */
  readonly labels: number;
  readonly lostSends: number;
  readonly lostReceives: number;
  /** Bound of each clock; the true offset is somewhere within, another one for each kernel. */
  readonly clockErrorNs: number;
  /** The inner call's entry is recorded. */
  readonly hasClaims: boolean;
}

export interface SimulatedChannel {
  readonly sends: HalfBatch;
  readonly receives: HalfBatch;
  /** Id of a sending → id of its receiving, of all that were received. */
  readonly truth: ReadonlyMap<number, number>;
  /** Pairs of which both ends were recorded. */
  readonly recorded: number;
  readonly failed: number;
  readonly endNs: bigint;
}

export const START_NS = 1_800_000_000_000_000_000n;
const SLOTS = 64;

/** mulberry32 */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b_79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

interface Call {
  readonly startNs: number;
  readonly innerNs: number;
  readonly claimNs: number;
  readonly endNs: number;
  readonly label: number;
}

export function simulateChannel(plan: ChannelPlan, fromNs = 0, firstId = 1): SimulatedChannel {
  const random = createRandom(plan.seed);
  const calls = makeCalls(plan, random, fromNs);
  const sendOffset = (random() * 2 - 1) * plan.clockErrorNs * 0.98;
  const receiveOffset = (random() * 2 - 1) * plan.clockErrorNs * 0.98;
  const sends = new HalfBatch(plan.messages);
  const receives = new HalfBatch(plan.messages);
  const truth = new Map<number, number>();
  const taken: number[] = [];
  let oldest = 0;
  let recorded = 0;
  let failed = 0;
  let lastTaken = fromNs;
  let lastSlot = NONE;
  let position = 0;
  const rows = calls.map((call, index) => ({ call, id: firstId + index })).sort((a, b) => a.call.claimNs - b.call.claimNs);
  for (const { call, id } of rows) {
    while (oldest < taken.length && (taken[oldest] as number) <= call.claimNs) oldest++;
    const isFull = taken.length - oldest >= SLOTS - 1;
    const isSendLost = random() < plan.lostSends;
    if (isFull) failed++;
    if (!isSendLost) addSend(sends, call, id, isFull, plan, sendOffset);
    if (isFull) continue;
    lastTaken = Math.max(lastTaken + 1500 + random() * 500, call.claimNs + 2000 - Math.log(1 - random()) * 12_000);
    taken.push(lastTaken);
    const receiveId = id | 0x4000_0000;
    truth.set(id, receiveId);
    const slot = position++ % SLOTS;
    if (random() < plan.lostReceives) continue;
    const missing = lastSlot === NONE ? NONE : (slot - lastSlot - 1 + SLOTS) % SLOTS;
    lastSlot = slot;
    addReceive(receives, call.label, lastTaken + receiveOffset, receiveId, slot, missing, plan);
    if (!isSendLost) recorded++;
  }
  return { sends: byStart(sends), receives, truth, recorded, failed, endNs: START_NS + BigInt(Math.ceil(lastTaken)) };
}

/** The channel without so many records of one side, one after the other; what the slots say of a hole is modulo the ring. */
export function loseRun(sim: SimulatedChannel, side: 'sends' | 'receives', from: number, count: number): SimulatedChannel {
  const kept = new HalfBatch(sim[side].length);
  const known = new Set<number>();
  let positions = 0;
  for (let row = 0; row < sim[side].length; row++) {
    if (row >= from && row < from + count) {
      positions += 1 + (sim[side].missing[row] as number);
      continue;
    }
    const at = kept.openRow();
    kept.copyRow(at, sim[side], row);
    known.add(kept.id[at * 2 + 1] as number);
    if (side === 'receives' && row === from + count) kept.missing[at] = ((kept.missing[at] as number) + positions) % SLOTS;
  }
  const isKnown = (sendId: number, receiveId: number): boolean => known.has(side === 'sends' ? sendId : receiveId);
  const gone = [...sim.truth].filter(([sendId, receiveId]) => !isKnown(sendId, receiveId)).length;
  return { ...sim, [side]: kept, recorded: sim.recorded - gone };
}

function makeCalls(plan: ChannelPlan, random: () => number, fromNs: number): Call[] {
  const calls: Call[] = [];
  const next = Array.from({ length: plan.senders }, () => fromNs + random() * plan.gapNs);
  for (let message = 0; message < plan.messages; message++) {
    const sender = next.indexOf(Math.min(...next));
    const startNs = next[sender] as number;
    const innerNs = startNs + 200 + random() * 300;
    // Now and then the sender is interrupted within the call.
    const lengthNs = random() < 0.002 ? 300_000 * random() : 800 + random() * 2000;
    const claimNs = innerNs + random() * lengthNs;
    const endNs = innerNs + lengthNs + 100;
    calls.push({ startNs, innerNs, claimNs, endNs, label: Math.floor(random() * plan.labels) });
    next[sender] = endNs - Math.log(1 - random()) * plan.gapNs;
  }
  return calls;
}

function addSend(to: HalfBatch, call: Call, id: number, isFull: boolean, plan: ChannelPlan, offset: number): void {
  const row = to.openRow();
  fill(to, row, call.label, call.startNs + offset, id, plan);
  to.kind[row] = isFull ? HALF.failed : HALF.send;
  to.error[row] = isFull ? -28 : 0;
  to.claimNs[row] = plan.hasClaims ? call.innerNs - call.startNs : 0;
  to.endNs[row] = call.endNs - call.startNs;
  to.peer[row] = 1;
}

function addReceive(to: HalfBatch, label: number, atNs: number, id: number, slot: number, missing: number, plan: ChannelPlan): void {
  const row = to.openRow();
  fill(to, row, label, atNs, id, plan);
  to.kind[row] = HALF.receive;
  to.claimNs[row] = 0;
  to.endNs[row] = NONE;
  to.peer[row] = NONE;
  to.slot[row] = slot;
  to.missing[row] = missing;
}

function fill(to: HalfBatch, row: number, label: number, atNs: number, id: number, plan: ChannelPlan): void {
  to.time.setBigint(row, START_NS + BigInt(Math.round(atNs)));
  to.errorNs[row] = plan.clockErrorNs;
  to.fromCpu[row] = 0;
  to.type[row] = 0x4000;
  to.subtype[row] = 1;
  to.messageBytes[row] = 16 + label;
  to.key[row] = 0;
  to.slot[row] = NONE;
  to.missing[row] = NONE;
  to.error[row] = 0;
  to.pid[row] = 100;
  to.cpu[row] = 0;
  to.pack[row] = 0;
  to.printed[row] = 0;
  to.id[row * 2] = 0;
  to.id[row * 2 + 1] = id;
  to.exchange[row * 2] = 0;
  to.exchange[row * 2 + 1] = 0;
}

/** As a collector gives them: by their stamp, not by their claim. */
function byStart(batch: HalfBatch): HalfBatch {
  const order = Array.from({ length: batch.length }, (_, row) => row).sort((a, b) =>
    batch.time.getBigint(a) < batch.time.getBigint(b) ? -1 : 1,
  );
  const sorted = new HalfBatch(Math.max(1, batch.length));
  for (const row of order) sorted.copyRow(sorted.openRow(), batch, row);
  return sorted;
}
