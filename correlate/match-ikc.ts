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
import { mixWords, writeId } from './ikc-ids.ts';
import { IkcKernels, lifeAt, type Incarnation, type Life } from './ikc-kernels.ts';
import { NO_SUBTYPE } from './ikc-pack.ts';
import type { TimeOrder } from './ikc-queue.ts';
import {
  createChannel,
  fullest,
  LEAST_LOSS,
  learnDelays,
  lostReason,
  MAX_BLOCK,
  MOST_LOSS,
  mostCertain,
  someKey,
  toleranceOf,
  type Channel,
} from './ikc-channel.ts';
import { NO_COUNTS, type MatchCounts } from './match-counts.ts';
import { HOST_KERNEL_ID } from '../model/identity.ts';
import { MESSAGE_REASON_NAMES, MESSAGE_SPANS, MESSAGE_STATE, type MessageBatch, type MessageReason } from '../model/ikc-message.ts';

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
/** Where a sending's return was not recorded, its claim was no later than this. */
const UNKNOWN_CALL_NS = 50_000;
const FIRST_ROUNDS = 3;
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
      while (this.#alignBlock(channel, isEnd, out)) continue;
      this.#giveUpSends(channel, isEnd, out);
      if (channel.hasLate) this.#alignLeft(channel, out);
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
      this.#emit(channel, at, NONE, out, 'failed', 'send_failed', 0, true);
      channel.sends.free(at);
      return;
    }
    this.counts.sends++;
    const claimNs = channel.sends.atNs[at] as number;
    if (claimNs < channel.decidedNs - LAG_NS && claimNs < channel.decidedNs - LAG_NS - toleranceOf(channel))
      this.#addLate(channel, channel.sendLeft, at);
    else channel.sendOrder.insert(at);
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
    if ((channel.receives.atNs[at] as number) < channel.decidedNs) this.#addLate(channel, channel.receiveLeft, at);
    else channel.receiveOrder.insert(at);
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

  /** The other end of such a half is decided already, or it never comes. */
  #addLate(channel: Channel, left: TimeOrder, row: number): void {
    left.insert(row);
    left.pool.isLate[row] = 1;
    channel.hasLate = true;
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
    const toleranceNs = toleranceOf(channel);
    const ready = isEnd ? receiveOrder.length : receiveOrder.after(heardNs - toleranceNs);
    const count = Math.min(ready, MAX_BLOCK);
    if (count === 0) return false;
    const lastNs = receives.atNs[receiveOrder.rows[count - 1] as number] as number;
    const isWhole = count === ready;
    const sendCount = Math.min(sendOrder.after(lastNs + toleranceNs), MAX_BLOCK * 2);
    const input = this.#fillInput(channel, sendOrder, sendCount, receiveOrder, count, toleranceNs);
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

  #fillInput(
    channel: Channel,
    sendOrder: TimeOrder,
    sendCount: number,
    receiveOrder: TimeOrder,
    receiveCount: number,
    toleranceNs: number,
  ): AlignInput {
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
    const hasKeys = someKey(sendOrder, sendCount) && someKey(receiveOrder, receiveCount);
    for (let i = 0; i < sendCount; i++) {
      const row = sendOrder.rows[i] as number;
      const { rows } = sends;
      const end = rows.endNs[row] as number;
      const claim = sends.atNs[row] as number;
      input.claimNs[i] = claim;
      input.claimEndNs[i] = end === NONE ? claim + UNKNOWN_CALL_NS : claim - (rows.claimNs[row] as number) + end;
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
      const row = receiveOrder.rows[j] as number;
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

  #decide(channel: Channel, { match, back, confidence }: Alignment, decided: number, sendCount: number, out: MessageBatch): void {
    const { sendOrder, receiveOrder, receives } = channel;
    if (this.#goes.length < sendCount || this.#goes.length < decided) this.#goes = new Uint8Array(Math.max(sendCount, decided) * 2);
    const goes = this.#goes.fill(0, 0, Math.max(sendCount, decided));
    let lastSend = NONE;
    let lost = 0;
    const most = mostCertain(this.#input, back, decided);
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
      this.#emitSend(channel, row, out, this.#whyLost(channel, row, lostReason(this.#input, match, i)), false);
    }
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
    if (receives.isWritten[receiveRow] === 1) this.#emit(channel, NONE, receiveRow, out, 'superseded', '', 0, true);
    this.#emit(channel, sendRow, receiveRow, out, 'matched', '', confidence, true);
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
      this.#emitSend(channel, row, out, this.#whyLost(channel, row, 'not_received'), false);
    }
    if (this.#goes.length < count) this.#goes = new Uint8Array(count * 2);
    sendOrder.cut(count, this.#goes.fill(1, 0, count));
  }

  /** What was left over on both sides, once more among themselves: one of the ends came late. */
  #alignLeft(channel: Channel, out: MessageBatch): void {
    channel.hasLate = false;
    const { sendLeft, receiveLeft } = channel;
    const sendCount = Math.min(sendLeft.length, MAX_BLOCK * 2);
    const receiveCount = Math.min(receiveLeft.length, MAX_BLOCK);
    if (sendCount === 0 || receiveCount === 0) return;
    const input = this.#fillInput(channel, sendLeft, sendCount, receiveLeft, receiveCount, toleranceOf(channel));
    input.lostSend.fill(0.3, 0, receiveCount);
    input.lostReceives = 0.3;
    input.skipped.fill(NONE, 0, receiveCount);
    const { match, confidence } = this.#aligner.align(input);
    const goes = new Uint8Array(Math.max(sendCount, receiveCount));
    const taken = new Uint8Array(receiveCount);
    for (let i = 0; i < sendCount; i++) {
      const j = match[i] as number;
      if (j === NONE) continue;
      // Neither was late: their other ends were lost, and it is by chance that they fit each other.
      if (channel.sends.isLate[sendLeft.rows[i] as number] === 0 && channel.receives.isLate[receiveLeft.rows[j] as number] === 0) continue;
      goes[i] = taken[j] = 1;
      this.#pair(channel, sendLeft.rows[i] as number, receiveLeft.rows[j] as number, (confidence[i] as number) * 0.95, out);
    }
    sendLeft.cut(sendCount, goes);
    receiveLeft.cut(receiveCount, taken);
  }

  /** A row for what has waited for a while, so that it can be seen. */
  #sayWaiting(channel: Channel, nowMs: number, out: MessageBatch): void {
    const { sendOrder, receiveOrder, sends, receives } = channel;
    for (let place = 0; place < sendOrder.length; place++) {
      const row = sendOrder.rows[place] as number;
      if (nowMs - (sends.arrivedMs[row] as number) < WAIT_MS) break;
      if (sends.isWritten[row] !== 0) continue;
      sends.isWritten[row] = 1;
      this.#emit(channel, row, NONE, out, 'waiting', this.#whyLost(channel, row, 'in_flight'), 0, false);
    }
    for (let place = 0; place < receiveOrder.length; place++) {
      const row = receiveOrder.rows[place] as number;
      if (nowMs - (receives.arrivedMs[row] as number) < WAIT_MS) break;
      if (receives.isWritten[row] === 1) continue;
      receives.isWritten[row] = 1;
      this.#emit(channel, NONE, row, out, 'waiting', this.#whyOrphan(channel, 'in_flight'), 0, false);
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
      if (isSend) this.#emitSend(channel, row, out, this.#whyLost(channel, row, 'not_received'), true);
      else this.#emitReceive(channel, row, out, true);
      order.pool.free(row);
    }
    if (this.#goes.length < count) this.#goes = new Uint8Array(count * 2);
    order.cut(count, this.#goes.fill(1, 0, count));
  }

  #emitSend(channel: Channel, row: number, out: MessageBatch, reason: MessageReason, isFinal: boolean): void {
    if (channel.sends.isWritten[row] !== 2) this.counts.unmatchedSends++;
    this.#emit(channel, row, NONE, out, 'unmatched', reason, 0, isFinal);
    channel.sends.isWritten[row] = 2;
  }

  #emitReceive(channel: Channel, row: number, out: MessageBatch, isFinal: boolean): void {
    if (channel.receives.isWritten[row] === 0) this.counts.unmatchedReceives++;
    channel.receives.isWritten[row] = 1;
    this.#emit(channel, NONE, row, out, 'unmatched', this.#whyOrphan(channel, 'lost_record'), 0, isFinal);
  }

  #whyLost({ machineId, receiverId, sends }: Channel, row: number, otherwise: MessageReason): MessageReason {
    const atNs = (this.#baseNs ?? 0n) + BigInt(Math.floor(sends.atNs[row] as number));
    const peer = this.kernels.at(machineId, receiverId, atNs);
    if (peer === undefined || !peer.hasHalves) return 'no_peer_collector';
    // Its records end before the message: it was the kernel that ended, not a record that is missing.
    const lastNs = peer.endNs ?? (this.kernels.after(peer) === undefined ? undefined : peer.frontNs);
    if (lastNs !== undefined && lastNs < atNs + BigInt(EDGE_NS)) return 'kernel_died';
    return otherwise;
  }

  #whyOrphan({ machineId, senderId }: Channel, otherwise: MessageReason): MessageReason {
    if (senderId === NONE) return 'unknown_sender';
    const isRecorded = this.kernels.list.some(
      ({ identity, hasHalves }) => hasHalves && identity.machineId === machineId && identity.kernelId === senderId,
    );
    return isRecorded ? otherwise : 'no_peer_collector';
  }

  #emit(
    channel: Channel,
    sendRow: number,
    receiveRow: number,
    out: MessageBatch,
    state: keyof typeof MESSAGE_STATE,
    reason: MessageReason,
    confidence: number,
    isFinal: boolean,
  ): void {
    const { sends, receives, senderId, receiverId, machineId } = channel;
    const at = out.openRow();
    const isSend = sendRow !== NONE;
    const hasReceive = receiveRow !== NONE;
    const first = isSend ? sends.rows : receives.rows;
    const row = isSend ? sendRow : receiveRow;
    writeId(out.id, at, first.id, row);
    writeId(out.sendId, at, isSend ? sends.rows.id : undefined, sendRow);
    writeId(out.receiveId, at, hasReceive ? receives.rows.id : undefined, receiveRow);
    const isLate = isSend && sends.isWritten[sendRow] === 2;
    // The spans of one message are of one trace: where the sender's is written already, it names that.
    const ofReceive =
      hasReceive && !isLate && (receives.rows.exchange[receiveRow * 2] !== 0 || receives.rows.exchange[receiveRow * 2 + 1] !== 0);
    if (ofReceive) writeId(out.exchangeId, at, receives.rows.exchange, receiveRow);
    else writeId(out.exchangeId, at, isSend ? sends.rows.exchange : undefined, sendRow);
    const momentNs = first.time.getBigint(row);
    const peerOf = (kernelId: number): number => this.kernels.at(machineId, kernelId, momentNs)?.index ?? NONE;
    out.sender[at] = isSend ? (sends.kernel[sendRow] as number) : peerOf(senderId);
    out.receiver[at] = hasReceive ? (receives.kernel[receiveRow] as number) : peerOf(receiverId);
    out.senderId[at] = senderId;
    out.receiverId[at] = receiverId;
    out.sendTime.setBigint(at, isSend ? sends.rows.time.getBigint(sendRow) : 0n);
    out.receiveTime.setBigint(at, hasReceive ? receives.rows.time.getBigint(receiveRow) : 0n);
    out.sendRaw.setBigint(at, isSend ? sends.rows.raw.getBigint(sendRow) : 0n);
    out.receiveRaw.setBigint(at, hasReceive ? receives.rows.raw.getBigint(receiveRow) : 0n);
    out.sendNs[at] = isSend ? (sends.rows.endNs[sendRow] as number) : NONE;
    out.sendErrorNs[at] = isSend ? (sends.rows.errorNs[sendRow] as number) : NONE;
    out.receiveErrorNs[at] = hasReceive ? (receives.rows.errorNs[receiveRow] as number) : NONE;
    // A receiving knows all of the message; a sending of which the inner call only was recorded does not.
    const known = hasReceive ? receives.rows : sends.rows;
    const knownRow = hasReceive ? receiveRow : sendRow;
    out.type[at] = known.type[knownRow] as number;
    out.subtype[at] = known.subtype[knownRow] as number;
    out.payloadBytes[at] = known.messageBytes[knownRow] as number;
    out.slot[at] = hasReceive ? (receives.rows.slot[receiveRow] as number) : NONE;
    out.missing[at] = hasReceive ? (receives.rows.missing[receiveRow] as number) : NONE;
    out.errno[at] = isSend ? Math.min(0, sends.rows.error[sendRow] as number) : 0;
    out.sendPid[at] = isSend ? (sends.rows.pid[sendRow] as number) : NONE;
    out.sendCpu[at] = isSend ? (sends.rows.cpu[sendRow] as number) : NONE;
    out.receiveCpu[at] = hasReceive ? (receives.rows.cpu[receiveRow] as number) : NONE;
    out.fromCpu[at] = hasReceive ? (receives.rows.fromCpu[receiveRow] as number) : NONE;
    out.confidence[at] = confidence;
    out.state[at] = MESSAGE_STATE[state];
    out.reason[at] = MESSAGE_REASON_NAMES.indexOf(reason);
    out.isFinal[at] = isFinal ? 1 : 0;
    out.pack[at] = first.pack[row] as number;
    out.isPrinted[at] = (isSend && sends.rows.printed[sendRow] === 1) || (hasReceive && receives.rows.printed[receiveRow] === 1) ? 1 : 0;
    out.spans[at] = isSend && sends.isWritten[sendRow] === 2 ? MESSAGE_SPANS.producer : 0;
    out.isAnswer[at] = ofReceive ? 1 : 0;
    out.key[at] = first.key[row] as number;
    out.queue[at] = first.queue[row] as number;
  }
}
