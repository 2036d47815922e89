/**
 * Joins sendings with receivings, channel by channel (sender kernel → receiver kernel), as both come in.
 *
 *   halves of kernel A ─► order by claim ─┐  both ends heard up to a moment   ┌─► matched: a row, its probability
 *   halves of kernel B ─► order by slot  ─┴─► block ─► align-halves ──────────┼─► left over: a row with the reason, and kept
 *                                                                            └─► too near the end of the block: waits
 *   left over (15 min, bounded)  ◄──────── one end comes late: tried again among themselves
 *
 * Memory: halves that wait, and those left over, each bounded per channel; the oldest go first, with what is known of them.
 * Nothing here does I/O: what must outlive the process is in the rows that come out (docs/decisions/008-ikc-matching.md).
 */
import { Aligner, createAlignInput, type AlignInput, type Alignment } from './align-halves.ts';
import { HALF, NONE, type HalfBatch } from './ikc-halves.ts';
import { mixWords } from './ikc-ids.ts';
import { IkcKernels, lifeAt, type Incarnation, type Life } from './ikc-kernels.ts';
import { NO_SUBTYPE } from './ikc-pack.ts';
import type { TimeOrder } from './ikc-queue.ts';
import {
  claimEndOf,
  createChannel,
  fullest,
  headTolerance,
  lastOf,
  LEAST_LOSS,
  learnDelays,
  lostReason,
  MAX_BLOCK,
  MOST_LOSS,
  mostCertain,
  noteLate,
  partFrom,
  someKey,
  toleranceOf,
  type Channel,
  type OrderPart,
} from './ikc-channel.ts';
import { NO_COUNTS, type MatchCounts } from './match-counts.ts';
import { whyLost, whyOrphan, writeMessage } from './message-rows.ts';
import { HOST_KERNEL_ID } from '../model/identity.ts';
import type { MessageBatch, MessageReason } from '../model/ikc-message.ts';

/**
 * Pages of several CPUs come one after the other, and what a kernel lost is told a second later: records this much older than the
 * newest can still come.
 */
const SETTLE_NS = 1e9;
/** Receivings at the end of a block that wait for what follows, unless they are this old. */
const EDGE = 48;
const EDGE_NS = 1e9;
/** A sending is left over when its receiver has been heard this far beyond it. */
const LAG_NS = 3e9;
/** A half that waits this long gets a row that says so. */
const WAIT_MS = 5_000;
/** A half that is left over is kept this long for an end that comes late. */
const LATE_MS = 15 * 60_000;
/** Halves of one channel and direction in memory. */
const MAX_HALVES = 200_000;
/** Of all channels together, some 150 bytes each; the fullest channels give way. */
const MAX_WAITING = 1_000_000;
/** 64 kernels have 4,032, at some 20 KB each. A kernel can name any id as the one it sends to. */
const MAX_CHANNELS = 8_192;
/** Of a ring that goes, positions are counted anew. */
const MAX_RINGS = 16_384;
const FIRST_ROUNDS = 3;
/** Of a pair whose one end came when the other had been given up. */
const LATE_CERTAINTY = 0.95;
/** Near a loss that the sender's kernel tells of. */
const KNOWN_LOSS = 0.05;
const NEAR_LOSS_NS = 50e6;
const MAX_LOSSES = 1024;
/** Only such pairs tell what is usual. */
const SURE = 0.5;

interface Loss {
  readonly fromNs: number;
  readonly toNs: number;
}

/** Ring positions without a record so far, and which count that is: it begins anew behind a hole of unknown width. */
interface RingCount {
  missing: number;
  count: number;
}

export class IkcMatcher {
  readonly kernels = new IkcKernels();
  readonly counts: MatchCounts = { ...NO_COUNTS };
  readonly #channels = new Map<string, Channel>();
  #recent: Channel[] = [];
  #isFull = false;
  readonly #aligner = new Aligner();
  #input = createAlignInput(MAX_BLOCK * 2);
  #goes = new Uint8Array(MAX_BLOCK * 2);
  #baseNs: bigint | undefined;
  #baseLow = 0;
  #baseHigh = 0;
  /** By receiver, pack and queue. */
  readonly #rings = new Map<number, RingCount>();
  #nextCount = 1;
  #restoring = 0;
  /** By incarnation, Unix ns. */
  readonly #losses = new Map<number, { readonly fromNs: bigint; readonly toNs: bigint }[]>();

  /** Halves of one incarnation, as they come. Failed sendings become rows at once. */
  add(kernel: Incarnation, halves: HalfBatch, nowMs: number, out: MessageBatch): void {
    if (halves.length === 0) return;
    if (this.#baseNs === undefined) {
      this.#baseNs = halves.time.getBigint(0);
      this.#baseLow = Number(BigInt.asUintN(32, this.#baseNs));
      this.#baseHigh = Number(BigInt.asUintN(32, this.#baseNs >> 32n));
    }
    kernel.hasHalves = true;
    for (let row = 0; row < halves.length; row++) {
      if (halves.kind[row] === HALF.receive) this.#addReceive(kernel, halves, row, nowMs, out);
      else this.#addSend(kernel, halves, row, nowMs, out);
    }
  }

  /** Halves whose rows an earlier process stored, and which may still find their other end. `hasSpan`: of the sendings. */
  restore(kernel: Incarnation, halves: HalfBatch, hasSpan: boolean, nowMs: number, out: MessageBatch): void {
    const before = this.counts.sends + this.counts.receives;
    this.#restoring = hasSpan ? 2 : 1;
    this.add(kernel, halves, nowMs, out);
    this.#restoring = 0;
    this.counts.restored += this.counts.sends + this.counts.receives - before;
  }

  /** Everything of this kernel up to `frontNs` has been handed over. */
  noteFront(kernel: Incarnation, frontNs: bigint): void {
    if (frontNs > kernel.frontNs) kernel.frontNs = frontNs;
  }

  /** The kernel says that records of its probes are missing between two moments. */
  noteLoss(kernel: Incarnation, fromNs: bigint, toNs: bigint): void {
    const losses = this.#losses.get(kernel.index) ?? [];
    if (losses.length >= MAX_LOSSES) losses.shift();
    losses.push({ fromNs, toNs });
    this.#losses.set(kernel.index, losses);
  }

  /** Decides what can be decided. `isEnd`: nothing more will come. */
  advance(nowMs: number, out: MessageBatch, isEnd = false): void {
    this.#isFull = false;
    for (const channel of Array.from(this.#channels.values()))
      if (channel.senderId === NONE || channel.receiverId === NONE) this.#rehome(channel);
    for (const channel of this.#channels.values()) {
      if (channel.lateFromNs <= channel.lateToNs) this.#alignLate(channel, out);
      while (this.#alignBlock(channel, isEnd, out)) continue;
      this.#giveUpSends(channel, isEnd, out);
      this.#sayWaiting(channel, nowMs, out);
      this.#forget(channel, nowMs, isEnd, out);
    }
    this.#makeRoom(out);
  }

  #makeRoom(out: MessageBatch): void {
    for (let total = this.waiting; total > MAX_WAITING; total = this.waiting) {
      const channel = fullest(this.#channels.values());
      if (channel === undefined) return;
      const isSend = channel.sends.size >= channel.receives.size;
      if (isSend) this.#dropOldest(channel, channel.sendOrder, channel.sendLeft, true, out);
      else this.#dropOldest(channel, channel.receiveOrder, channel.receiveLeft, false, out);
    }
  }

  /** Earliest half without a stored row, Unix ns: what a new process has to read again from there. */
  oldestUnwrittenNs(): bigint | undefined {
    let oldest: number | undefined;
    for (const { sendOrder, receiveOrder } of this.#channels.values()) {
      for (const { rows, length, pool } of [sendOrder, receiveOrder]) {
        for (let place = 0; place < length; place++) {
          const row = rows[place] as number;
          if (pool.isWritten[row] !== 0) continue;
          const at = (pool.atNs[row] as number) - (pool.rows.claimNs[row] as number);
          if (oldest === undefined || at < oldest) oldest = at;
          break;
        }
      }
    }
    return oldest === undefined || this.#baseNs === undefined ? undefined : this.#baseNs + BigInt(Math.floor(oldest));
  }

  get waiting(): number {
    let total = 0;
    for (const { sends, receives } of this.#channels.values()) total += sends.size + receives.size;
    return total;
  }

  #addSend(kernel: Incarnation, halves: HalfBatch, row: number, nowMs: number, out: MessageBatch): void {
    const { machineId, kernelId } = kernel.identity;
    const peer = this.#peerOf(kernel, halves, row);
    const channel = this.#channelOf(machineId, kernelId, peer, halves, row);
    const at = channel.sends.add(halves, row, this.#baseLow, this.#baseHigh);
    channel.sends.kernel[at] = kernel.index;
    channel.sends.arrivedMs[at] = nowMs;
    channel.sends.isWritten[at] = this.#restoring;
    if (halves.kind[row] === HALF.failed) {
      this.counts.failed++;
      writeMessage(this.kernels, channel, at, NONE, { state: 'failed', reason: 'send_failed', confidence: 0, isFinal: true }, out);
      channel.sends.free(at);
      return;
    }
    this.counts.sends++;
    const claimNs = channel.sends.atNs[at] as number;
    const isOld = claimNs < channel.decidedNs - LAG_NS && claimNs < channel.decidedNs - LAG_NS - headTolerance(channel);
    // Sent before one that is matched, its receiving has been decided as well; else it may still come.
    const isOver = isOld || claimEndOf(channel.sends, at) < channel.matchedClaimNs;
    (isOver ? channel.sendLeft : channel.sendOrder).insert(at);
    if (isOver || claimNs < channel.decidedNs) noteLate(channel, channel.sends, at);
    if (channel.sends.size > MAX_HALVES) this.#dropOldest(channel, channel.sendOrder, channel.sendLeft, true, out);
  }

  #addReceive(kernel: Incarnation, halves: HalfBatch, row: number, nowMs: number, out: MessageBatch): void {
    const { machineId, kernelId } = kernel.identity;
    const sender = this.#senderOf(kernel, halves, row);
    const channel = this.#channelOf(machineId, sender, kernelId, halves, row);
    const at = channel.receives.add(halves, row, this.#baseLow, this.#baseHigh);
    channel.receives.kernel[at] = kernel.index;
    channel.receives.arrivedMs[at] = nowMs;
    channel.receives.isWritten[at] = Math.min(1, this.#restoring);
    const ring = this.#countPosition(kernel.index, halves, row);
    channel.receives.cumulative[at] = ring.missing;
    channel.receives.count[at] = ring.count;
    this.counts.receives++;
    const isDecided = (channel.receives.atNs[at] as number) < channel.decidedNs;
    (isDecided ? channel.receiveLeft : channel.receiveOrder).insert(at);
    if (isDecided) noteLate(channel, channel.receives, at);
    if (channel.receives.size > MAX_HALVES) this.#dropOldest(channel, channel.receiveOrder, channel.receiveLeft, false, out);
  }

  /** Halves whose other end was not known when they came: by now it may be. */
  #rehome(channel: Channel): void {
    for (const order of [channel.sendOrder, channel.receiveOrder]) {
      const { pool, rows, length } = order;
      if (this.#goes.length < length) this.#goes = new Uint8Array(length * 2);
      const goes = this.#goes.fill(0, 0, length);
      for (let place = 0; place < length; place++) {
        const row = rows[place] as number;
        const own = this.kernels.list[pool.kernel[row] as number];
        if (own === undefined) continue;
        const isSend = order === channel.sendOrder;
        const peer = isSend ? this.#peerOf(own, pool.rows, row) : this.#senderOf(own, pool.rows, row);
        if (peer === NONE) continue;
        const { kernelId } = own.identity;
        const target = this.#channelOf(channel.machineId, isSend ? kernelId : peer, isSend ? peer : kernelId, pool.rows, row);
        if (target === channel) continue;
        (isSend ? target.sendOrder : target.receiveOrder).insert((isSend ? target.sends : target.receives).adopt(pool, row));
        pool.free(row);
        goes[place] = 1;
      }
      order.cut(length, goes);
    }
  }

  /** A network's packet does not name its peer: from a spawn it goes to the host. */
  #peerOf({ identity: { machineId, kernelId } }: Incarnation, halves: HalfBatch, row: number): number {
    const named = halves.peer[row] as number;
    if (named !== NONE) return named;
    return kernelId === HOST_KERNEL_ID ? (this.kernels.onlySpawn(machineId) ?? NONE) : HOST_KERNEL_ID;
  }

  #senderOf({ identity: { machineId, kernelId } }: Incarnation, halves: HalfBatch, row: number): number {
    const told = halves.peer[row] as number;
    return told !== NONE ? told : (this.kernels.ownerOf(machineId, kernelId, halves.fromCpu[row] as number) ?? NONE);
  }

  /** All channels into a ring count together. */
  #countPosition(kernel: number, halves: HalfBatch, row: number): RingCount {
    const key = (kernel * 256 + (halves.pack[row] as number)) * 2 ** 32 + (halves.queue[row] as number);
    const known = this.#rings.get(key) ?? { missing: 0, count: 0 };
    this.#rings.set(key, known);
    if (this.#rings.size > MAX_RINGS) this.#rings.delete(this.#rings.keys().next().value as number);
    const missing = halves.missing[row] as number;
    if (missing === NONE) {
      known.missing = 0;
      known.count = this.#nextCount++;
    } else {
      known.missing += missing;
      this.counts.slotJumps += missing;
    }
    return known;
  }

  /** Order holds within the messages of one protocol, and of one of its queues. */
  #channelOf(machineId: string, senderId: number, receiverId: number, halves: HalfBatch, row: number): Channel {
    const pack = halves.pack[row] as number;
    const queue = halves.queue[row] as number;
    // Halves come in runs of one channel.
    for (const recent of this.#recent) {
      if (recent.receiverId !== receiverId || recent.senderId !== senderId || recent.pack !== pack || recent.queue !== queue) continue;
      if (recent.machineId === machineId) return recent;
    }
    const key = [machineId, senderId, receiverId, pack, queue].join('\n');
    let channel = this.#channels.get(key);
    if (channel === undefined) {
      const hasRoom = this.#channels.size < MAX_CHANNELS || this.#closeIdle();
      // Not one is idle: what is more has no channel of its own, and so no other end.
      if (!hasRoom) return this.#overflowOf(machineId);
      channel = createChannel({ machineId, senderId, receiverId, pack, queue });
      this.#channels.set(key, channel);
    }
    this.#recent = [channel, ...this.#recent.slice(0, 1)];
    return channel;
  }

  #overflowOf(machineId: string): Channel {
    const known = this.#channels.get(machineId) ?? createChannel({ machineId, senderId: NONE, receiverId: NONE, pack: 0, queue: 0 });
    this.#channels.set(machineId, known);
    return known;
  }

  /** Those in which nothing waits go, with what is usual in them; false where there is none. Looked for once until the next advance. */
  #closeIdle(): boolean {
    if (this.#isFull) return false;
    for (const [key, { sends, receives }] of this.#channels) if (sends.size + receives.size === 0) this.#channels.delete(key);
    this.#recent = [];
    this.#isFull = this.#channels.size >= MAX_CHANNELS;
    return !this.#isFull;
  }

  /** How far a kernel has been heard, ns since the base. */
  #frontOf(machineId: string, kernelId: number, isEnd: boolean): number {
    if (isEnd) return Infinity;
    const lives = this.kernels.of(machineId, kernelId);
    // Nothing more will come of a kernel that has ended.
    if (lives.at(-1)?.endNs !== undefined) return Infinity;
    const front = lives.reduce(
      (most, { frontNs }) => (frontNs === 0n ? most : Math.max(most, Number(frontNs - (this.#baseNs ?? 0n)))),
      -Infinity,
    );
    return front - SETTLE_NS;
  }

  /** One block of a channel; true when there may be more to do at once. */
  #alignBlock(channel: Channel, isEnd: boolean, out: MessageBatch): boolean {
    const { sendOrder, receiveOrder, receives } = channel;
    const senderFront = this.#frontOf(channel.machineId, channel.senderId, isEnd);
    const receiverFront = this.#frontOf(channel.machineId, channel.receiverId, isEnd);
    const heardNs = Math.min(senderFront, receiverFront);
    const toleranceNs = headTolerance(channel);
    const ready = isEnd ? receiveOrder.length : receiveOrder.after(heardNs - toleranceNs);
    const count = Math.min(ready, MAX_BLOCK);
    if (count === 0) return false;
    const lastNs = receives.atNs[receiveOrder.rows[count - 1] as number] as number;
    const isWhole = count === ready;
    const sendCount = Math.min(sendOrder.after(lastNs + toleranceNs), MAX_BLOCK * 2);
    const sending = { order: sendOrder, from: 0, count: sendCount };
    const input = this.#fillInput(channel, sending, { order: receiveOrder, from: 0, count }, toleranceNs);
    const aligned = this.#alignLearning(channel, input);
    let decided = count;
    const wholeCount = isWhole ? count : 0;
    if (!isEnd || !isWhole) {
      decided = Math.max(0, count - EDGE);
      while (decided < wholeCount && (receives.atNs[receiveOrder.rows[decided] as number] as number) < heardNs - toleranceNs - EDGE_NS)
        decided++;
    }
    if (decided === 0) return false;
    this.#decide(channel, aligned, decided, sendCount, out);
    return !isWhole;
  }

  #fillInput(channel: Channel, sending: OrderPart, receiving: OrderPart, toleranceNs: number): AlignInput {
    const [sendCount, receiveCount] = [sending.count, receiving.count];
    if (this.#input.claimNs.length < Math.max(sendCount, receiveCount))
      this.#input = createAlignInput(Math.max(sendCount, receiveCount) * 2);
    const input = this.#input;
    const { sends, receives } = channel;
    const receiverLives = this.#lives(channel.machineId, channel.receiverId);
    const senderLives = this.#lives(channel.machineId, channel.senderId);
    input.sends = sendCount;
    input.receives = receiveCount;
    input.toleranceNs = toleranceNs;
    input.delayLowNs = channel.delayLowNs - (channel.delayCount === 0 ? toleranceNs : 0);
    input.delayHighNs = channel.delayHighNs + (channel.delayCount === 0 ? toleranceNs : 0);
    // Where one end does not record them (an older collector, lines) they tell nothing apart.
    const hasKeys = someKey(sending) && someKey(receiving);
    for (let i = 0; i < sendCount; i++) {
      const row = sending.order.rows[sending.from + i] as number;
      const { rows } = sends;
      const claim = sends.atNs[row] as number;
      input.claimNs[i] = claim;
      input.claimEndNs[i] = claimEndOf(sends, row);
      const boots = (sends.kernel[row] as number) * 65_536 + lifeAt(receiverLives, claim);
      const isLoose = rows.subtype[row] === NO_SUBTYPE;
      const key = hasKeys && !isLoose ? (rows.key[row] as number) : 0;
      input.sendLoose[i] = mixWords(boots, rows.type[row] as number, rows.messageBytes[row] as number, key);
      input.sendLabel[i] = mixWords(input.sendLoose[i] as number, rows.subtype[row] as number, 0, 0);
      input.isLoose[i] = isLoose ? 1 : 0;
      input.isDoubtful[i] = rows.error[row] === 1 ? 1 : 0;
    }
    const losses = this.#lossesOf(channel.machineId, channel.senderId);
    let nextLoss = 0;
    let cumulative = channel.lastCumulative;
    let count = channel.lastCount;
    for (let j = 0; j < receiveCount; j++) {
      const row = receiving.order.rows[receiving.from + j] as number;
      const { rows } = receives;
      const at = receives.atNs[row] as number;
      input.receiveNs[j] = at;
      while (nextLoss < losses.length && (losses[nextLoss] as Loss).toNs + NEAR_LOSS_NS < at) nextLoss++;
      const isNearLoss = nextLoss < losses.length && (losses[nextLoss] as Loss).fromNs - NEAR_LOSS_NS <= at;
      input.lostSend[j] = isNearLoss ? Math.max(KNOWN_LOSS, channel.lostSends) : channel.lostSends;
      const boots = lifeAt(senderLives, at) * 65_536 + (receives.kernel[row] as number);
      const [type, bytes, key] = [rows.type[row] as number, rows.messageBytes[row] as number, hasKeys ? (rows.key[row] as number) : 0];
      input.receiveLoose[j] = mixWords(boots, type, bytes, 0);
      input.receiveLabel[j] = mixWords(mixWords(boots, type, bytes, key), rows.subtype[row] as number, 0, 0);
      const own = receives.cumulative[row] as number;
      const isKnown = rows.slot[row] !== NONE && receives.count[row] === count && own >= cumulative;
      input.skipped[j] = isKnown ? own - cumulative : NONE;
      cumulative = own;
      count = receives.count[row] as number;
    }
    return input;
  }

  /** Losses of a kernel's lives, by their ends, ns since the base. */
  #lossesOf(machineId: string, kernelId: number): Loss[] {
    const base = this.#baseNs ?? 0n;
    return this.kernels
      .of(machineId, kernelId)
      .flatMap(({ index }) => this.#losses.get(index) ?? [])
      .map(({ fromNs, toNs }) => ({ fromNs: Number(fromNs - base), toNs: Number(toNs - base) }))
      .sort((a, b) => a.toNs - b.toNs);
  }

  /** The incarnations of a kernel as (start since the base, index), last first. */
  #lives(machineId: string, kernelId: number): Life[] {
    const base = this.#baseNs ?? 0n;
    return this.kernels
      .of(machineId, kernelId)
      .map(({ startNs, index }) => ({ fromNs: Number(startNs - base), index }))
      .reverse();
  }

  /** Aligns; with the first messages of a channel several times, until the usual delay is known. */
  #alignLearning(channel: Channel, input: AlignInput): Alignment {
    const isFirst = channel.delayCount === 0;
    let aligned = this.#aligner.align(input);
    learnDelays(channel, input, aligned, isFirst ? 0 : SURE);
    if (!isFirst) return aligned;
    for (let round = 0; channel.delayCount > 0 && round < FIRST_ROUNDS; round++) {
      input.delayLowNs = channel.delayLowNs;
      input.delayHighNs = channel.delayHighNs;
      aligned = this.#aligner.align(input);
      channel.delayCount = 0;
      learnDelays(channel, input, aligned, round === FIRST_ROUNDS - 1 ? SURE : 0);
    }
    return aligned;
  }

  #decide(channel: Channel, aligned: Alignment, decided: number, sendCount: number, out: MessageBatch): void {
    const { match, back, confidence } = aligned;
    const { sendOrder, receiveOrder, receives } = channel;
    if (this.#goes.length < sendCount || this.#goes.length < decided) this.#goes = new Uint8Array(Math.max(sendCount, decided) * 2);
    const goes = this.#goes.fill(0, 0, Math.max(sendCount, decided));
    let lastSend = NONE;
    let lost = 0;
    const most = mostCertain(this.#input, aligned, decided);
    for (let j = 0; j < decided; j++) {
      const i = back[j] as number;
      if (i === NONE) {
        lost++;
        channel.receiveLeft.insert(receiveOrder.rows[j] as number);
        this.#emitReceive(channel, receiveOrder.rows[j] as number, out, false);
        continue;
      }
      lastSend = Math.max(lastSend, i);
      goes[i] = 1;
      this.#pair(channel, sendOrder.rows[i] as number, receiveOrder.rows[j] as number, Math.min(most, confidence[i] as number), out);
    }
    channel.lostSends = Math.min(MOST_LOSS, Math.max(LEAST_LOSS, channel.lostSends / 2 + lost / decided / 2));
    for (let i = 0; i < lastSend; i++) {
      if (goes[i] === 1 || match[i] !== NONE) continue;
      goes[i] = 1;
      const row = sendOrder.rows[i] as number;
      channel.sendLeft.insert(row);
      this.#emitSend(channel, row, out, whyLost(this.kernels, channel, row, this.#baseNs ?? 0n, lostReason(this.#input, match, i)), false);
    }
    if (lastSend !== NONE) channel.matchedClaimNs = Math.max(channel.matchedClaimNs, this.#input.claimNs[lastSend] as number);
    sendOrder.cut(sendCount, goes);
    const lastRow = receiveOrder.rows[decided - 1] as number;
    channel.lastCumulative = receives.cumulative[lastRow] as number;
    channel.lastCount = receives.count[lastRow] as number;
    channel.decidedNs = receives.atNs[lastRow] as number;
    receiveOrder.cut(decided, goes.fill(1, 0, decided));
  }

  #pair(channel: Channel, sendRow: number, receiveRow: number, confidence: number, out: MessageBatch): void {
    const { sends, receives } = channel;
    this.counts.matched++;
    if (receives.isWritten[receiveRow] === 1)
      writeMessage(this.kernels, channel, NONE, receiveRow, { state: 'superseded', reason: '', confidence: 0, isFinal: true }, out);
    writeMessage(this.kernels, channel, sendRow, receiveRow, { state: 'matched', reason: '', confidence, isFinal: true }, out);
    sends.free(sendRow);
    receives.free(receiveRow);
  }

  /** Sendings whose receiver has been heard well beyond them, and took none of them out. */
  #giveUpSends(channel: Channel, isEnd: boolean, out: MessageBatch): void {
    const { sendOrder, receiveOrder, receives } = channel;
    const front = Math.min(
      this.#frontOf(channel.machineId, channel.receiverId, isEnd),
      this.#frontOf(channel.machineId, channel.senderId, isEnd),
    );
    // What waits at the head of the receivings can still be theirs.
    const first = receiveOrder.length === 0 ? Infinity : (receives.atNs[receiveOrder.rows[0] as number] as number);
    const count = Math.min(isEnd ? sendOrder.length : sendOrder.after(Math.min(front - LAG_NS, first - LAG_NS)), MAX_HALVES);
    if (count === 0) return;
    for (let place = 0; place < count; place++) {
      const row = sendOrder.rows[place] as number;
      channel.sendLeft.insert(row);
      this.#emitSend(channel, row, out, whyLost(this.kernels, channel, row, this.#baseNs ?? 0n, 'not_received'), false);
    }
    if (this.#goes.length < count) this.#goes = new Uint8Array(count * 2);
    sendOrder.cut(count, this.#goes.fill(1, 0, count));
  }

  /** What was left over around late ends, once more; also sendings that wait for a receiving to come, which may have been decided. */
  #alignLate(channel: Channel, out: MessageBatch): void {
    const { lateFromNs, lateToNs, sendLeft, sendOrder, receiveLeft } = channel;
    const toNs = lateToNs + LAG_NS;
    [channel.lateFromNs, channel.lateToNs] = [Infinity, -Infinity];
    for (const order of [sendLeft, sendOrder]) {
      for (let fromNs = lateFromNs - LAG_NS; fromNs < toNs;) {
        const sending = partFrom(order, fromNs, Math.min(toNs, channel.decidedNs), MAX_BLOCK * 2);
        const receiving = partFrom(receiveLeft, fromNs, toNs, MAX_BLOCK);
        if (sending.count === 0 || receiving.count === 0) break;
        const lastNs = Math.min(
          sending.count === MAX_BLOCK * 2 ? lastOf(sending) : Infinity,
          receiving.count === MAX_BLOCK ? lastOf(receiving) : Infinity,
        );
        this.#alignPart(channel, sending, receiving, out);
        // The next part overlaps this one, for at most its half: there has to be an end.
        fromNs = lastNs - Math.min(LAG_NS, (lastNs - fromNs) / 2);
      }
    }
  }

  #alignPart(channel: Channel, sending: OrderPart, receiving: OrderPart, out: MessageBatch): void {
    const { sends, receives } = channel;
    const input = this.#fillInput(channel, sending, receiving, toleranceOf(sending, receiving));
    input.lostSend.fill(0.3, 0, receiving.count);
    input.lostReceives = 0.3;
    input.skipped.fill(NONE, 0, receiving.count);
    const { match, confidence } = this.#aligner.align(input);
    const sent = new Uint8Array(sending.from + sending.count);
    const received = new Uint8Array(receiving.from + receiving.count);
    for (let i = 0; i < sending.count; i++) {
      const j = match[i] as number;
      if (j === NONE) continue;
      const sendRow = sending.order.rows[sending.from + i] as number;
      const receiveRow = receiving.order.rows[receiving.from + j] as number;
      // Neither was late: their other ends were lost, and it is by chance that they fit each other.
      if (sends.isLate[sendRow] === 0 && receives.isLate[receiveRow] === 0) continue;
      sent[sending.from + i] = received[receiving.from + j] = 1;
      this.#pair(channel, sendRow, receiveRow, (confidence[i] as number) * LATE_CERTAINTY, out);
    }
    sending.order.cut(sent.length, sent);
    receiving.order.cut(received.length, received);
  }

  /** A row for what has waited for a while, so that it can be seen. */
  #sayWaiting(channel: Channel, nowMs: number, out: MessageBatch): void {
    const { sendOrder, receiveOrder, sends, receives } = channel;
    for (let place = 0; place < sendOrder.length; place++) {
      const row = sendOrder.rows[place] as number;
      if (nowMs - (sends.arrivedMs[row] as number) < WAIT_MS) break;
      if (sends.isWritten[row] !== 0) continue;
      sends.isWritten[row] = 1;
      writeMessage(
        this.kernels,
        channel,
        row,
        NONE,
        { state: 'waiting', reason: whyLost(this.kernels, channel, row, this.#baseNs ?? 0n, 'in_flight'), confidence: 0, isFinal: false },
        out,
      );
    }
    for (let place = 0; place < receiveOrder.length; place++) {
      const row = receiveOrder.rows[place] as number;
      if (nowMs - (receives.arrivedMs[row] as number) < WAIT_MS) break;
      if (receives.isWritten[row] === 1) continue;
      receives.isWritten[row] = 1;
      writeMessage(
        this.kernels,
        channel,
        NONE,
        row,
        { state: 'waiting', reason: whyOrphan(this.kernels, channel, 'in_flight'), confidence: 0, isFinal: false },
        out,
      );
    }
  }

  /** What has been left over for long, and what a peer that never came has left waiting, goes. */
  #forget(channel: Channel, nowMs: number, isEnd: boolean, out: MessageBatch): void {
    for (const order of [channel.sendOrder, channel.sendLeft])
      this.#forgetOf(channel, order, nowMs, isEnd && order === channel.sendLeft, true, out);
    for (const order of [channel.receiveOrder, channel.receiveLeft])
      this.#forgetOf(channel, order, nowMs, isEnd && order === channel.receiveLeft, false, out);
  }

  #forgetOf(channel: Channel, order: TimeOrder, nowMs: number, isEnd: boolean, isSend: boolean, out: MessageBatch): void {
    const { pool } = order;
    const lateMs = isEnd ? -Infinity : LATE_MS;
    let count = 0;
    while (count < order.length && nowMs - (pool.arrivedMs[order.rows[count] as number] as number) >= lateMs) count++;
    if (count > 0) this.#end(channel, order, count, isSend, out);
  }

  #dropOldest(channel: Channel, order: TimeOrder, left: TimeOrder, isSend: boolean, out: MessageBatch): void {
    const from = left.length > 0 ? left : order;
    const count = Math.min(from.length, MAX_HALVES >> 4);
    this.counts.dropped += count;
    this.#end(channel, from, count, isSend, out);
  }

  /** The first rows of an order, for good. */
  #end(channel: Channel, order: TimeOrder, count: number, isSend: boolean, out: MessageBatch): void {
    for (let place = 0; place < count; place++) {
      const row = order.rows[place] as number;
      if (isSend) this.#emitSend(channel, row, out, whyLost(this.kernels, channel, row, this.#baseNs ?? 0n, 'not_received'), true);
      else this.#emitReceive(channel, row, out, true);
      order.pool.free(row);
    }
    if (this.#goes.length < count) this.#goes = new Uint8Array(count * 2);
    order.cut(count, this.#goes.fill(1, 0, count));
  }

  #emitSend(channel: Channel, row: number, out: MessageBatch, reason: MessageReason, isFinal: boolean): void {
    if (channel.sends.isWritten[row] !== 2) this.counts.unmatchedSends++;
    writeMessage(this.kernels, channel, row, NONE, { state: 'unmatched', reason, confidence: 0, isFinal }, out);
    channel.sends.isWritten[row] = 2;
  }

  #emitReceive(channel: Channel, row: number, out: MessageBatch, isFinal: boolean): void {
    if (channel.receives.isWritten[row] === 0) this.counts.unmatchedReceives++;
    channel.receives.isWritten[row] = 1;
    writeMessage(
      this.kernels,
      channel,
      NONE,
      row,
      { state: 'unmatched', reason: whyOrphan(this.kernels, channel, 'lost_record'), confidence: 0, isFinal },
      out,
    );
  }
}
