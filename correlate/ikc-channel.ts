/** A channel (sender kernel → receiver kernel, in one queue of one protocol): what waits in it, and what is usual in it. */
import type { AlignInput, Alignment } from './align-halves.ts';
import { NONE, PRINTED_LATE_NS } from './ikc-halves.ts';
import type { MessageReason } from '../model/ikc-message.ts';
import { HalfPool, TimeOrder } from './ikc-queue.ts';

/** Before a channel has a history: the usual delay, beyond what the clocks leave open. */
const FIRST_DELAY_NS = 2e5;
const DELAYS = 512;
const LEAST_DELAY_WIDTH_NS = 20_000;
/** Where a sending's return was not recorded, its claim was no later than this. */
const UNKNOWN_CALL_NS = 50_000;
/** Share of receivings whose sending has no record: before anything is known, and at least and at most. */
const FIRST_LOSS = 1e-4;
/** Receivings that are decided together. */
export const MAX_BLOCK = 2048;
export const LEAST_LOSS = 2e-6;
export const MOST_LOSS = 0.3;
/** Where so many receivings find nothing the rest is not to be trusted either. */
const ORDER_LOST = 0.2;
const ORDER_LOST_CERTAINTY = 0.3;
/** Unless the labels around so many of the others say the same. */
const ORDER_KEPT = 0.5;

export interface Channel {
  readonly machineId: string;
  readonly senderId: number;
  readonly receiverId: number;
  readonly pack: number;
  readonly queue: number;
  readonly sends: HalfPool;
  readonly receives: HalfPool;
  readonly sendOrder: TimeOrder;
  readonly receiveOrder: TimeOrder;
  readonly sendLeft: TimeOrder;
  readonly receiveLeft: TimeOrder;
  /** Count of ring positions at the last receiving that was decided. */
  lastCumulative: number;
  lastCount: number;
  /** Moment up to which receivings are decided, ns since the base. */
  decidedNs: number;
  /** Claim of the last sending that is matched, ns since the base: what was sent before it has no receiving that is still to come. */
  matchedClaimNs: number;
  /** Halves that came after their channel was decided beyond them, and have not been tried yet: the first and the last; none = ∞, -∞. */
  lateFromNs: number;
  lateToNs: number;
  lostSends: number;
  /** Empty until one is known. */
  delays: Float64Array;
  delayCount: number;
  delayLowNs: number;
  delayHighNs: number;
}

export function createChannel(ends: Pick<Channel, 'machineId' | 'senderId' | 'receiverId' | 'pack' | 'queue'>): Channel {
  const sends = new HalfPool();
  const receives = new HalfPool();
  return {
    ...ends,
    sends,
    receives,
    sendOrder: new TimeOrder(sends),
    receiveOrder: new TimeOrder(receives),
    sendLeft: new TimeOrder(sends),
    receiveLeft: new TimeOrder(receives),
    lastCumulative: 0,
    lastCount: NONE,
    decidedNs: -Infinity,
    matchedClaimNs: -Infinity,
    lateFromNs: Infinity,
    lateToNs: -Infinity,
    lostSends: FIRST_LOSS,
    delays: new Float64Array(0),
    delayCount: 0,
    delayLowNs: 0,
    delayHighNs: FIRST_DELAY_NS,
  };
}

/**
 * How sure any pair of a block can be. Messages that are all alike and follow each other faster than delays differ are told apart
 * by their order alone, and where records of sendings are lost the order does not tell.
 */
export function mostCertain(input: AlignInput, { back, anchored }: Alignment, decided: number): number {
  const { sends, sendLoose, claimNs, delayLowNs, delayHighNs } = input;
  if (sends < 2) return 1;
  let alike = 0;
  for (let i = 1; i < sends; i++) if (sendLoose[i] === sendLoose[i - 1]) alike++;
  const sameness = Math.max(0, (2 * alike) / (sends - 1) - 1);
  let lost = 0;
  for (let j = 0; j < decided; j++) if (back[j] === NONE) lost++;
  if (lost / decided > ORDER_LOST && anchored < (input.receives - lost) * ORDER_KEPT) return ORDER_LOST_CERTAINTY;
  if (sameness === 0) return 1;
  const lostShare = Math.max(lost / decided, input.lostSend[decided - 1] as number);
  const spacingNs = ((claimNs[sends - 1] as number) - (claimNs[0] as number)) / (sends - 1);
  const rivals = Math.max(0, (delayHighNs - delayLowNs) / Math.max(1, spacingNs) - 0.3) * sameness;
  return 1 / (1 + rivals * Math.min(1, lostShare * 1000));
}

/**
 * The usual delay: the shortest interval with half of the delays in it, and as much again around it. What is matched wrongly is
 * spread over the gaps between messages, what is right lies close together.
 */
export function learnDelays(channel: Channel, input: AlignInput, { match, confidence }: Alignment, least: number): void {
  if (channel.delays.length === 0) channel.delays = new Float64Array(DELAYS);
  const { delays } = channel;
  const step = Math.max(1, Math.floor(input.sends / DELAYS));
  for (let i = 0; i < input.sends; i += step) {
    const j = match[i] as number;
    if (j === NONE || (confidence[i] as number) < least) continue;
    delays[channel.delayCount++ % DELAYS] = (input.receiveNs[j] as number) - (input.claimNs[i] as number);
  }
  const count = Math.min(channel.delayCount, DELAYS);
  if (count === 0) return;
  const sorted = delays.slice(0, count).sort();
  const half = count >> 1;
  let best = 0;
  const lengthAt = (at: number): number => (sorted[at + half] as number) - (sorted[at] as number);
  for (let at = 1; at + half < count; at++) if (lengthAt(at) < lengthAt(best)) best = at;
  const width = Math.max(LEAST_DELAY_WIDTH_NS, lengthAt(best));
  channel.delayLowNs = (sorted[best] as number) - width / 2;
  channel.delayHighNs = (sorted[best + half] as number) + width;
}

/** Some rows of an order, from a place on. */
export interface OrderPart {
  readonly order: TimeOrder;
  readonly from: number;
  readonly count: number;
}

/** Those after one moment and up to another, ns since the base; the first `most` of them. */
export function partFrom(order: TimeOrder, fromNs: number, toNs: number, most: number): OrderPart {
  const from = order.after(fromNs);
  return { order, from, count: Math.max(0, Math.min(most, order.after(toNs) - from)) };
}

/** A half came after its channel was decided beyond it: its other end may have been given up. */
export function noteLate(channel: Channel, pool: HalfPool, row: number): void {
  const atNs = pool.atNs[row] as number;
  pool.isLate[row] = 1;
  channel.lateFromNs = Math.min(channel.lateFromNs, atNs);
  channel.lateToNs = Math.max(channel.lateToNs, atNs);
}

/** Moment of the last, ns since the base. */
export function lastOf({ order, from, count }: OrderPart): number {
  return order.pool.atNs[order.rows[from + count - 1] as number] as number;
}

/** Latest moment of a sending's claim, ns since the base. */
export function claimEndOf({ atNs, rows }: HalfPool, row: number): number {
  const end = rows.endNs[row] as number;
  const claim = atNs[row] as number;
  return end === NONE ? claim + UNKNOWN_CALL_NS : claim - (rows.claimNs[row] as number) + end;
}

/** Bound of the difference of two times of the channel, from what waits at its heads. */
export function headTolerance({ sendOrder, receiveOrder }: Channel): number {
  const head = (order: TimeOrder): OrderPart => ({ order, from: 0, count: Math.min(order.length, MAX_BLOCK) });
  return toleranceOf(head(sendOrder), head(receiveOrder));
}

/** As far as a sample of both says. */
export function toleranceOf(sending: OrderPart, receiving: OrderPart): number {
  let printed = 0;
  const worst = ({ order, from, count }: OrderPart): number => {
    let errorNs = 0;
    for (let place = from; place < from + count; place += 16) {
      const row = order.rows[place] as number;
      errorNs = Math.max(errorNs, order.pool.rows.errorNs[row] as number);
      if (order === sending.order && order.pool.rows.printed[row] === 1) printed = PRINTED_LATE_NS;
    }
    return errorNs;
  };
  return worst(sending) + worst(receiving) + printed;
}

/** Whether any half has key fields. */
export function someKey({ order: { pool, rows }, from, count }: OrderPart): boolean {
  for (let place = from; place < from + count; place++) if (pool.rows.key[rows[place] as number] !== 0) return true;
  return false;
}

/** The one in which most waits. */
export function fullest(channels: Iterable<Channel>): Channel | undefined {
  let found: Channel | undefined;
  for (const channel of channels) {
    const waiting = Math.max(channel.sends.size, channel.receives.size);
    if (waiting > 0 && (found === undefined || waiting > Math.max(found.sends.size, found.receives.size))) found = channel;
  }
  return found;
}

/** Why a sending between others was not received, by the slots of the receivings around it. */
export function lostReason(input: AlignInput, match: Int32Array, i: number): MessageReason {
  for (let k = i + 1; k < input.sends; k++) {
    const j = match[k] as number;
    if (j === NONE) continue;
    return input.skipped[j] === 0 ? 'not_received' : 'lost_record';
  }
  return 'lost_record';
}
