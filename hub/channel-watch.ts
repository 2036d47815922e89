/**
 * Watches the channels between kernels as their messages are decided, and says in the log what is wrong with one: messages that
 * were not received, and messages that take longer than before (correlate/watch-latency.ts). A row of the log each, once a
 * second at most, which is a signal like others.
 *
 * Live only: what is older than two minutes when it is decided is an import or a backlog. What was noted in the second before a
 * `kill -9` is not said, and a new process learns latencies anew.
 */
import { keepLast } from '../base/recent-map.ts';
import { LatencyWatch, type Regression } from '../correlate/watch-latency.ts';
import { MESSAGE_REASON_NAMES, MESSAGE_STATE, type MessageBatch } from '../model/ikc-message.ts';
import type { KernelIdentity } from '../model/identity.ts';
import { WATCH_EVENT } from '../model/incident.ts';
import type { WatchRow, WatchRows } from './watch-row.ts';

const LOOK_MS = 1_000;
const LIVE_NS = 120_000_000_000n;
/** The channel that was silent longest goes first. */
const MAX_CHANNELS = 1_024;
const SURE = 0.9;
const LEVEL_WARNING = 4;
const NOT_RECEIVED = MESSAGE_REASON_NAMES.indexOf('not_received');

/** One incarnation to another. */
interface Channel {
  readonly sender: KernelIdentity;
  readonly receiver: KernelIdentity;
  /** Sent first of those that were matched: before it, one of both may not have been recorded yet. */
  matchedNs: bigint | undefined;
  readonly latency: LatencyWatch;
  heardMs: number;
  lostCount: number;
  lostFromNs: bigint;
}

export class ChannelWatch {
  readonly #rows: WatchRows;
  /** By the boots of both ends, the one that was heard last at the end. */
  readonly #channels = new Map<string, Channel>();
  readonly #timer: NodeJS.Timeout;
  #writing: Promise<void> | undefined;

  constructor(rows: WatchRows) {
    this.#rows = rows;
    this.#timer = setInterval(() => {
      this.#writing ??= this.write(Date.now()).finally(() => (this.#writing = undefined));
    }, LOOK_MS);
    this.#timer.unref();
  }

  /** Rows of messages that were just decided. */
  take(batch: MessageBatch, kernels: readonly KernelIdentity[], nowMs = Date.now()): void {
    const sinceNs = BigInt(nowMs) * 1_000_000n - LIVE_NS;
    for (let row = 0; row < batch.length; row++) {
      const state = batch.state[row];
      if (state !== MESSAGE_STATE.matched && state !== MESSAGE_STATE.unmatched) continue;
      const sentNs = batch.sendTime.getBigint(row);
      const [sender, receiver] = [kernels[batch.sender[row] as number], kernels[batch.receiver[row] as number]];
      if (sentNs < sinceNs || sender === undefined || receiver === undefined) continue;
      const channel = this.#channelOf(sender, receiver);
      channel.heardMs = nowMs;
      if (state === MESSAGE_STATE.matched) this.#noteMatched(channel, batch, row, sentNs);
      else if (batch.reason[row] === NOT_RECEIVED && batch.isFinal[row] === 0) noteLost(channel, sentNs);
    }
  }

  /** Sums up what was noted, and writes it. */
  async write(nowMs: number): Promise<void> {
    for (const channel of this.#channels.values()) this.#sumUp(channel, nowMs);
    await this.#rows.write();
  }

  /** The store must still be open. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#writing;
    await this.write(Date.now());
  }

  #noteMatched(channel: Channel, batch: MessageBatch, row: number, sentNs: bigint): void {
    if (channel.matchedNs === undefined || sentNs < channel.matchedNs) channel.matchedNs = sentNs;
    if ((batch.confidence[row] as number) < SURE || batch.isPrinted[row] === 1) return;
    const errorNs = Math.max(0, batch.sendErrorNs[row] as number) + Math.max(0, batch.receiveErrorNs[row] as number);
    this.#say(channel, channel.latency.add(sentNs, Number(batch.receiveTime.getBigint(row) - sentNs), errorNs));
  }

  #say({ sender, receiver }: Channel, found: Regression | undefined): void {
    if (found === undefined) return;
    const { fromNs, messages, p99Ns, baselineNs, baselineMinutes } = found;
    const body = `p99 of a minute ${ms(p99Ns)} ms (${messages} messages), of the ${baselineMinutes} minutes before ${ms(baselineNs)} ms`;
    this.#rows.add(sender, toRow(WATCH_EVENT.slowMessages, body, fromNs, receiver));
  }

  #sumUp(channel: Channel, nowMs: number): void {
    const { sender, receiver, lostCount, lostFromNs } = channel;
    if (nowMs - channel.heardMs > Number(LIVE_NS / 1_000_000n)) {
      this.#say(channel, channel.latency.endMinute());
      channel.heardMs = Infinity;
    }
    if (lostCount === 0) return;
    channel.lostCount = 0;
    const body = `${lostCount} messages to instance ${receiver.kernelId} (${receiver.kernelName}) were not received`;
    this.#rows.add(sender, { ...toRow(WATCH_EVENT.notReceived, body, lostFromNs, receiver), count: lostCount });
  }

  #channelOf(sender: KernelIdentity, receiver: KernelIdentity): Channel {
    const key = `${sender.bootId}\n${receiver.bootId}`;
    const channel = this.#channels.get(key) ?? {
      sender,
      receiver,
      matchedNs: undefined,
      latency: new LatencyWatch(),
      heardMs: 0,
      lostCount: 0,
      lostFromNs: 0n,
    };
    keepLast(this.#channels, key, channel, MAX_CHANNELS);
    return channel;
  }
}

function noteLost(channel: Channel, sentNs: bigint): void {
  if (channel.matchedNs === undefined || sentNs < channel.matchedNs) return;
  if (channel.lostCount === 0 || sentNs < channel.lostFromNs) channel.lostFromNs = sentNs;
  channel.lostCount++;
}

function toRow(event: string, body: string, atNs: bigint, { kernelId }: KernelIdentity): WatchRow {
  return { event, body, level: LEVEL_WARNING, atNs, fields: { 'mk.ikc.to': String(kernelId) } };
}

function ms(ns: number): string {
  return (ns / 1e6).toPrecision(3);
}
