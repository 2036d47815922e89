/**
 * How long messages between kernels take, as histograms with exemplars: one for each pair of incarnations and protocol, cumulative since
 * the hub began or the pair was first heard.
 *
 *   otel_metrics_exp_histogram   mk.ikc.latency, of the receiver; each 10 s where something came
 *   OTLP                                 the same, where spans are forwarded
 *   /metrics                             mkscope_ikc_latency_seconds
 */
import { isOperational, messageOf } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import { keepLast } from '../base/recent-map.ts';
import { DurationHistogram, type SpanExemplar } from '../correlate/duration-histogram.ts';
import type { IkcPack } from '../correlate/ikc-pack.ts';
import { LATENCY_METRIC } from '../model/attributes.ts';
import { MESSAGE_STATE, type MessageBatch } from '../model/ikc-message.ts';
import { toResource, toScope, type KernelIdentity } from '../model/identity.ts';
import { MetricBatch } from '../model/metric-batch.ts';
import type { Store, StoreBatch } from '../store/store.ts';

const DESCRIPTION = 'How long messages between kernels took, from their sending to their receiving.';
const STORE_MS = 10_000;
/** What is older when it is decided is an import, and no latency of now. */
const LIVE_NS = 15n * 60n * 1_000_000_000n;
/** Pairs that are less sure say little of how long a message took. */
const SURE = 0.5;
/** The pair that was silent longest goes first. */
const MAX_PAIRS = 4_096;

const log = createLogger('ikc-latency');

export interface LatencyPair {
  readonly sender: KernelIdentity;
  readonly receiver: KernelIdentity;
  readonly system: string;
  readonly histogram: DurationHistogram;
  readonly startNs: bigint;
  storedCount: number;
}

type MetricParts = NonNullable<StoreBatch['metrics']>;

export interface LatencyParts {
  readonly store: Store;
  readonly version: string;
  readonly packs: readonly IkcPack[];
  /** Told of what is stored. */
  readonly onStored: (parts: MetricParts) => void;
}

export class IkcLatency {
  readonly #parts: LatencyParts;
  readonly #pairs = new Map<string, LatencyPair>();
  readonly #timer: NodeJS.Timeout;
  #writing: Promise<void> | undefined;

  constructor(parts: LatencyParts) {
    this.#parts = parts;
    this.#timer = setInterval(() => {
      this.#writing ??= this.write(nowNs()).finally(() => (this.#writing = undefined));
    }, STORE_MS);
    this.#timer.unref();
  }

  /** Rows of messages that were just decided. `traceIds`: 16 bytes each. */
  take(batch: MessageBatch, kernels: readonly KernelIdentity[], traceIds: Uint8Array, atNs = nowNs()): void {
    for (let row = 0; row < batch.length; row++) {
      if (batch.state[row] !== MESSAGE_STATE.matched || (batch.confidence[row] as number) < SURE || batch.isPrinted[row] === 1) continue;
      const [sender, receiver] = [kernels[batch.sender[row] as number], kernels[batch.receiver[row] as number]];
      const sentNs = batch.sendTime.getBigint(row);
      if (sender === undefined || receiver === undefined || sentNs < atNs - LIVE_NS) continue;
      const timeNs = batch.receiveTime.getBigint(row);
      // Within the bounds of both clocks it may seem to come before it was sent.
      const ns = Math.max(0, Number(timeNs - sentNs));
      const { histogram } = this.#pairOf(sender, receiver, this.#parts.packs[batch.pack[row] as number]?.name ?? '', atNs);
      histogram.add(ns);
      const [traceId, spanId] = [traceIds.subarray(row * 16, row * 16 + 16), batch.receiveId.subarray(row * 8, row * 8 + 8)];
      histogram.addExemplar({ ns, timeNs, traceId, spanId } satisfies SpanExemplar);
    }
  }

  list(): readonly LatencyPair[] {
    return [...this.#pairs.values()];
  }

  /** Stores the histograms that have changed; a store that is busy gets them the next time. */
  async write(timeNs: bigint): Promise<void> {
    const changed = this.list().filter(({ histogram, storedCount }) => histogram.count > storedCount);
    if (changed.length === 0) return;
    const counts = changed.map(({ histogram }) => histogram.count);
    const metrics = [...Map.groupBy(changed, ({ receiver }) => receiver.bootId).values()].map((own) =>
      toPart(own, timeNs, this.#parts.version),
    );
    try {
      await this.#parts.store.append({ metrics });
    } catch (error) {
      if (!isOperational(error)) throw error;
      log.warn('latencies wait to be stored', { error: messageOf(error) });
      return;
    }
    for (const [at, pair] of changed.entries()) pair.storedCount = counts[at] as number;
    this.#parts.onStored(metrics);
  }

  /** The store must still be open. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#writing;
    await this.write(nowNs());
  }

  #pairOf(sender: KernelIdentity, receiver: KernelIdentity, system: string, startNs: bigint): LatencyPair {
    const key = [sender.bootId, receiver.bootId, system].join('\n');
    const pair = this.#pairs.get(key) ?? { sender, receiver, system, histogram: new DurationHistogram(), startNs, storedCount: 0 };
    keepLast(this.#pairs, key, pair, MAX_PAIRS);
    return pair;
  }
}

/** Of the pairs of one receiver. */
function toPart(pairs: readonly LatencyPair[], timeNs: bigint, version: string): MetricParts[number] {
  const batch = new MetricBatch(pairs.length);
  for (const { sender, system, histogram, startNs } of pairs) {
    histogram.openRow(batch, { name: LATENCY_METRIC, description: DESCRIPTION, startNs, timeNs });
    batch.attributes.add('messaging.system', system);
    batch.attributes.add('mk.ikc.sender', sender.kernelName);
    batch.attributes.add('mk.ikc.sender.id', sender.kernelId);
    batch.closeRow();
  }
  return { resource: toResource((pairs[0] as LatencyPair).receiver), scope: toScope('mkscope.ikc', version), batch };
}

function nowNs(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}
