/**
 * The live tail: rows go to the subscribers straight from the received batch, once it is safe in the spool and before it is
 * loaded into ClickHouse. A slow client never slows the hub: its queue is bounded, and what does not fit is counted and told
 * to it as a `lost` event.
 */
import { encodeUtf8 } from '../base/bytes.ts';
import type { IncidentRow, LogQuery, LogRow } from '../model/api.ts';
import type { Resource, Scope } from '../model/identity.ts';
import type { LogBatch } from '../model/log-batch.ts';
import { toLogPredicate, type LogPredicate } from './log-filter.ts';
import { toLogRow } from './log-row.ts';

/** Bytes that may wait for one client: some seconds of a kernel that floods. */
const QUEUE_BYTES = 1 << 20;
const HEARTBEAT_MS = 15_000;

class Subscriber {
  /** Undefined: it follows incidents, and no rows. */
  readonly matches: LogPredicate | undefined;
  #lost = 0;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;

  constructor(matches: LogPredicate | undefined) {
    this.matches = matches;
  }

  attach(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller;
  }

  /** True when the event found room. */
  send(event: Uint8Array): boolean {
    const controller = this.#controller;
    if (controller === undefined) return false;
    if ((controller.desiredSize ?? 0) <= 0) {
      this.#lost++;
      return false;
    }
    this.reportLoss();
    controller.enqueue(event);
    return true;
  }

  /** Tells the client what it missed, when there is room again. */
  reportLoss(): void {
    if (this.#lost === 0 || (this.#controller?.desiredSize ?? 0) <= 0) return;
    this.#controller?.enqueue(encodeEvent('lost', { count: this.#lost }));
    this.#lost = 0;
  }

  close(): void {
    this.#controller?.close();
    this.#controller = undefined;
  }

  detach(): void {
    this.#controller = undefined;
  }
}

export interface LiveCounts {
  sent: number;
  lost: number;
}

export class LiveFeed {
  readonly counts: LiveCounts = { sent: 0, lost: 0 };
  readonly #subscribers = new Set<Subscriber>();
  readonly #heartbeat: NodeJS.Timeout;

  constructor() {
    const beat = encodeUtf8(': alive\n\n');
    this.#heartbeat = setInterval(() => {
      for (const subscriber of this.#subscribers) subscriber.send(beat);
    }, HEARTBEAT_MS);
    this.#heartbeat.unref();
  }

  get subscribers(): number {
    return this.#subscribers.size;
  }

  /** The event stream of one client: rows that match. */
  subscribe(query: LogQuery): Response {
    return this.#subscribe(new Subscriber(toLogPredicate(query)));
  }

  /** The event stream of one client: incidents, new and changed ones. */
  subscribeToIncidents(): Response {
    return this.#subscribe(new Subscriber(undefined));
  }

  #subscribe(subscriber: Subscriber): Response {
    const stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          subscriber.attach(controller);
          controller.enqueue(encodeUtf8('retry: 1000\n\n'));
          this.#subscribers.add(subscriber);
        },
        pull: () => subscriber.reportLoss(),
        cancel: () => {
          subscriber.detach();
          this.#subscribers.delete(subscriber);
        },
      },
      new ByteLengthQueuingStrategy({ highWaterMark: QUEUE_BYTES }),
    );
    return new Response(stream, {
      headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' },
    });
  }

  /** Rows become objects only while somebody looks. */
  publish(resource: Resource, scope: Scope, batch: LogBatch): void {
    if (this.#subscribers.size === 0) return;
    for (let row = 0; row < batch.length; row++) this.#publishRow(toLogRow(resource, scope, batch, row));
  }

  publishIncident(incident: IncidentRow): void {
    const event = encodeEvent('incident', incident);
    for (const subscriber of this.#subscribers) if (subscriber.matches === undefined) this.#send(subscriber, event);
  }

  #publishRow(row: LogRow): void {
    let event: Uint8Array | undefined;
    for (const subscriber of this.#subscribers) {
      if (subscriber.matches?.(row) !== true) continue;
      event ??= encodeEvent('log', row);
      this.#send(subscriber, event);
    }
  }

  #send(subscriber: Subscriber, event: Uint8Array): void {
    if (subscriber.send(event)) this.counts.sent++;
    else this.counts.lost++;
  }

  close(): void {
    clearInterval(this.#heartbeat);
    for (const subscriber of this.#subscribers) subscriber.close();
    this.#subscribers.clear();
  }
}

/** JSON has no raw newline, so one `data:` line carries it whole. */
function encodeEvent(name: string, value: unknown): Uint8Array {
  return encodeUtf8(`event: ${name}\ndata: ${JSON.stringify(value)}\n\n`);
}
