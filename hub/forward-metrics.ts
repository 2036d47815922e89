/**
 * Sends the latency histograms on to the OTLP receiver that gets the spans, with their exemplars: those of messages between kernels, which
 * the hub makes, and those of span rules, which collectors do. They are cumulative, so what is left out while the receiver is away is
 * in the next point: nothing is kept on disk, and of what waits the oldest goes first.
 */
import { ByteWriter } from '../base/bytes.ts';
import { createLogger } from '../base/log.ts';
import type { Resource, Scope } from '../model/identity.ts';
import { METRIC_TYPE, type MetricBatch } from '../model/metric-batch.ts';
import { encodeMetrics } from '../otlp/encode-metrics.ts';
import type { Endpoint } from '../otlp/endpoint.ts';
import { OtlpClient } from '../otlp/transport.ts';
import { isMendedByOperator, retryDelayMs } from './forward-retry.ts';

const SEND_MS = 2_000;
/** Of a request; several parts are joined by writing them one after the other. */
const REQUEST_BYTES = 1 << 20;
const MAX_WAITING_BYTES = 16 << 20;
const log = createLogger('forward-metrics');

interface Waiting {
  readonly body: Uint8Array;
  readonly points: number;
}

export class MetricForwarder {
  /** Points: taken by the receiver, refused by it for good, and left out while it was away. */
  readonly counts = { sent: 0, refused: 0, dropped: 0, lastError: '' };
  readonly #client: OtlpClient;
  readonly #sendMs: number;
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #sending: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(to: Endpoint, sendMs = SEND_MS) {
    const { url, headers, timeoutMs, compression, tls } = to;
    this.#client = new OtlpClient({ baseUrl: url, headers, timeoutMs, compression, tls });
    this.#sendMs = sendMs;
    this.#schedule(sendMs);
  }

  /** Takes the parts that are histograms of ours; others their senders can send there themselves. */
  take(parts: readonly { readonly resource: Resource; readonly scope: Scope; readonly batch: MetricBatch }[]): void {
    for (const { resource, scope, batch } of parts) {
      if (!isOurs(batch)) continue;
      const writer = new ByteWriter();
      encodeMetrics(resource, scope, batch, writer);
      this.#waiting.push({ body: writer.toBytes(), points: batch.length });
      this.#waitingBytes += writer.length;
    }
    while (this.#waitingBytes > MAX_WAITING_BYTES) this.counts.dropped += this.#shift()?.points ?? 0;
  }

  /** What waits is tried once more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#sending;
    await this.#send();
    this.#client.close();
  }

  #schedule(delayMs: number): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#sending = this.#send().then((nextMs) => this.#schedule(nextMs));
    }, delayMs).unref();
  }

  /** Returns how long to wait. */
  async #send(): Promise<number> {
    while (this.#waiting.length > 0) {
      const taken: Waiting[] = [];
      let bytes = 0;
      for (const one of this.#waiting) {
        if (bytes > 0 && bytes + one.body.length > REQUEST_BYTES) break;
        taken.push(one);
        bytes += one.body.length;
      }
      const outcome = await this.#client.send('', 'application/x-protobuf', Buffer.concat(taken.map(({ body }) => body)));
      if (outcome.kind === 'retry') return this.#wait(outcome.reason, outcome.afterMs);
      if (outcome.kind === 'refused' && isMendedByOperator(outcome.status)) return this.#wait(outcome.message);
      this.#failures = 0;
      this.counts.lastError = '';
      // What the queue lost meanwhile was counted as dropped.
      let points = 0;
      for (const one of taken) if (this.#waiting[0] === one) points += this.#shift()?.points ?? 0;
      const rejected = outcome.kind === 'refused' ? points : outcome.kind === 'partial' ? Math.min(points, outcome.rejected) : 0;
      this.counts.refused += rejected;
      this.counts.sent += points - rejected;
    }
    return this.#sendMs;
  }

  #wait(reason: string, afterMs?: number): number {
    if (this.#failures++ === 0) log.warn('histograms wait to be forwarded', { error: reason });
    this.counts.lastError = reason;
    return retryDelayMs(this.#failures, this.#sendMs, afterMs);
  }

  #shift(): Waiting | undefined {
    const one = this.#waiting.shift();
    this.#waitingBytes -= one?.body.length ?? 0;
    return one;
  }
}

function isOurs({ length, type, name, strings }: MetricBatch): boolean {
  if (length === 0) return false;
  for (let row = 0; row < length; row++) {
    if (type[row] !== METRIC_TYPE.expHistogram || !strings.get(name[row] as number).startsWith('mk.')) return false;
  }
  return true;
}
