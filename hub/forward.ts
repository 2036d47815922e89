/**
 * Sends every span on to an OTLP receiver (Jaeger, Tempo, a Collector …): those that collectors sent, and those that the hub made of
 * messages and lives. They are read back from the store behind a cursor that is kept on disk, so that nothing is lost while the receiver
 * is away or the hub restarts; what was sent last before a crash may come twice, as OTLP allows.
 *
 *   otel_traces ──(StoredAt, TraceId, SpanId) > cursor──► OTLP request ──► receiver
 *                              ▲                                              │ taken, or refused for good
 *                              └──────────────── forward.json ◄───────────────┘
 *
 * A forwarder that is new begins with what is stored from then on. Attributes come as text, which is what the store keeps.
 */
import { ByteWriter } from '../base/bytes.ts';
import { isOperational, messageOf } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import { SCHEMA_URL, toIdentity, type Resource } from '../model/identity.ts';
import { SpanBatch } from '../model/span-batch.ts';
import { encodeSpans } from '../otlp/encode-spans.ts';
import type { Endpoint } from '../otlp/endpoint.ts';
import { OtlpClient } from '../otlp/transport.ts';
import { KIND_TEXTS, STATUS_TEXTS } from '../store/span-rows.ts';
import { queryLastStored, queryStoredSpans, type SpanCursor, type StoredSpan } from '../store/queries/stored-spans.ts';
import type { Store } from '../store/store.ts';
import { MetricForwarder } from './forward-metrics.ts';
import { isMendedByOperator, retryDelayMs } from './forward-retry.ts';
import { openState, writeState } from './state-file.ts';

const LOOK_MS = 2000;
/** Some 1 MB of OTLP. */
const SPANS_PER_REQUEST = 2000;
const log = createLogger('forward');

export interface ForwardCounts {
  sent: number;
  /** Refused by the receiver for good: not sent again. */
  refused: number;
  /** Requests that are to be sent again. */
  retries: number;
  /** Why the last request failed; empty while all is well. */
  lastError: string;
}

export interface ForwarderParts {
  readonly store: Store;
  readonly to: Endpoint;
  /** Where histograms go. */
  readonly metricsTo: Endpoint;
  /** The file of the cursor. */
  readonly path: string;
  readonly lookMs?: number;
}

export class Forwarder {
  readonly counts: ForwardCounts = { sent: 0, refused: 0, retries: 0, lastError: '' };
  readonly metrics: MetricForwarder;
  readonly #parts: ForwarderParts;
  readonly #client: OtlpClient;
  readonly #contentType = 'application/x-protobuf';
  readonly #writer = new ByteWriter(1 << 16);
  #cursor: SpanCursor | undefined;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();
  #closed = false;

  /** Throws E_DATA_DIR or E_DISK_FULL where the cursor cannot be kept. */
  constructor(parts: ForwarderParts) {
    this.#parts = parts;
    this.metrics = new MetricForwarder(parts.metricsTo, parts.lookMs);
    const { url, headers, timeoutMs, compression, tls } = parts.to;
    this.#client = new OtlpClient({ baseUrl: url, headers, timeoutMs, compression, tls });
    this.#cursor = readCursor(parts.path);
  }

  /** Goes on behind the cursor; without one, with what comes from now on. Call it before anything comes in. */
  async start(): Promise<void> {
    const { store, lookMs = LOOK_MS } = this.#parts;
    if (this.#cursor === undefined) this.#save(await queryLastStored(store));
    this.#schedule(lookMs);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#looking;
    this.#client.close();
    await this.metrics.close();
  }

  #schedule(delayMs: number): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#looking = this.#look().then((nextMs) => this.#schedule(nextMs));
    }, delayMs).unref();
  }

  /** Sends what there is; returns how long to wait. */
  async #look(): Promise<number> {
    const { store, lookMs = LOOK_MS } = this.#parts;
    try {
      while (!this.#closed && this.#cursor !== undefined) {
        const spans = await queryStoredSpans(store, this.#cursor, SPANS_PER_REQUEST);
        const last = spans.at(-1);
        if (last === undefined) break;
        const waitMs = await this.#send(spans);
        if (waitMs !== undefined) return waitMs;
        this.#save({ storedNs: last.storedNs, traceId: last.traceId, spanId: last.spanId });
        if (spans.length < SPANS_PER_REQUEST) break;
      }
    } catch (error) {
      if (!isOperational(error)) throw error;
      // The store is busy or away, or the cursor cannot be written: nothing is lost by waiting.
      return this.#wait(messageOf(error));
    }
    return lookMs;
  }

  /** undefined = they are done with; else how long to wait before they are sent again. */
  async #send(spans: readonly StoredSpan[]): Promise<number | undefined> {
    const outcome = await this.#client.send('', this.#contentType, this.#encode(spans));
    if (outcome.kind === 'retry') return this.#wait(outcome.reason, outcome.afterMs);
    if (outcome.kind === 'refused' && isMendedByOperator(outcome.status)) return this.#wait(outcome.message);
    this.#failures = 0;
    this.counts.lastError = '';
    const rejected = outcome.kind === 'refused' ? spans.length : outcome.kind === 'partial' ? outcome.rejected : 0;
    this.counts.refused += rejected;
    this.counts.sent += spans.length - rejected;
    if (rejected > 0 && outcome.kind !== 'ok') log.warn('the receiver refused spans', { spans: rejected, error: outcome.message });
    return undefined;
  }

  #wait(reason: string, afterMs?: number): number {
    if (this.#failures++ === 0) log.warn('spans wait to be forwarded', { error: reason });
    this.counts.retries++;
    this.counts.lastError = reason;
    const { lookMs = LOOK_MS } = this.#parts;
    return retryDelayMs(this.#failures, lookMs, afterMs);
  }

  /** One ResourceSpans per kernel and scope; requests of protobuf are joined by writing them one after the other. */
  #encode(spans: readonly StoredSpan[]): Uint8Array {
    const groups = Map.groupBy(spans, ({ resource, scopeName, scopeVersion }) => JSON.stringify([scopeName, scopeVersion, resource]));
    this.#writer.reset();
    for (const group of groups.values()) {
      const [first] = group;
      if (first === undefined) continue;
      const resource: Resource = { attributes: first.resource, schemaUrl: SCHEMA_URL, identity: toIdentity(first.resource) };
      const scope = { name: first.scopeName, version: first.scopeVersion, attributes: {}, schemaUrl: '' };
      encodeSpans(resource, scope, toBatch(group), this.#writer);
    }
    return this.#writer.view();
  }

  #save(cursor: SpanCursor): void {
    this.#cursor = cursor;
    writeState(this.#parts.path, cursor);
  }
}

function readCursor(path: string): SpanCursor | undefined {
  return openState(
    path,
    (json) => {
      const { storedNs = '', traceId = '', spanId = '' } = json as Partial<SpanCursor>;
      if (!/^\d{1,19}$/.test(storedNs)) throw new TypeError('no cursor');
      return { storedNs, traceId, spanId };
    },
    () => log.warn('where forwarding stood is not known any more: it goes on with what is stored from now on', { path }),
  );
}

function toBatch(spans: readonly StoredSpan[]): SpanBatch {
  const batch = new SpanBatch(Math.max(16, spans.length));
  for (const span of spans) {
    const row = batch.openRow();
    const { strings } = batch;
    batch.traceId.set(Buffer.from(span.traceId, 'hex').subarray(0, 16), row * 16);
    batch.spanId.set(Buffer.from(span.spanId, 'hex').subarray(0, 8), row * 8);
    batch.parentSpanId.set(Buffer.from(span.parentSpanId, 'hex').subarray(0, 8), row * 8);
    batch.traceState[row] = strings.internString(span.traceState);
    batch.name[row] = strings.internString(span.name);
    batch.kind[row] = Math.max(0, KIND_TEXTS.indexOf(span.kind));
    batch.statusCode[row] = Math.max(0, STATUS_TEXTS.indexOf(span.statusCode));
    batch.statusMessage[row] = strings.internString(span.statusMessage);
    batch.startTime.setBigint(row, BigInt(span.startNs));
    batch.endTime.setBigint(row, BigInt(span.startNs) + BigInt(span.durationNs));
    for (const [key, value] of Object.entries(span.attributes)) batch.attributes.add(key, value);
    for (const [at, time] of span.eventTimes.entries()) {
      for (const [key, value] of Object.entries(span.eventAttributes[at] ?? {})) batch.events.attributes.add(key, value);
      batch.events.add(BigInt(time), strings.internString(span.eventNames[at] ?? ''));
    }
    for (const [at, traceId] of span.linkTraceIds.entries()) {
      for (const [key, value] of Object.entries(span.linkAttributes[at] ?? {})) batch.links.attributes.add(key, value);
      const linked = Buffer.from(span.linkSpanIds[at] ?? '', 'hex');
      batch.links.add(Buffer.from(traceId, 'hex'), linked, strings.internString(span.linkTraceStates[at] ?? ''));
    }
    batch.closeRow();
  }
  return batch;
}
