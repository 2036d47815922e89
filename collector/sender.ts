/**
 * Spool → the other end: one record in flight per lane, in order, tried until it is taken or refused for good. This is the one
 * place that retries; the spool bounds what waits.
 */
import { createLogger } from '../base/log.ts';
import { BATCH_SEQUENCE_HEADER, BATCH_STREAM_HEADER, SEGMENT_PATH } from '../model/segment.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { Peer } from './peer.ts';
import { LANES, type Lane, type Spool, type SpoolHeader, type SpooledRecord } from './spool.ts';
import type { OwnTelemetry } from './telemetry.ts';
import { toWireBody, type WireForm } from './wire-form.ts';

const FIRST_BACKOFF_MS = 250;
const MAX_BACKOFF_MS = 30_000;

const log = createLogger('sender');

/** What became of one attempt. */
export type Delivery =
  | { readonly kind: 'taken'; readonly rejected: number; readonly message: string }
  | { readonly kind: 'formats' }
  | { readonly kind: 'retry'; readonly message: string; readonly afterMs: number | undefined; readonly unreachable: boolean }
  | { readonly kind: 'refused'; readonly message: string };

export interface Outgoing {
  readonly path: string;
  readonly contentType: string;
  readonly encoding: SpoolHeader['encoding'];
  readonly body: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}

export interface SenderParts {
  readonly spool: Spool;
  readonly checkpoint: Checkpoint;
  readonly peer: Peer;
  /** How a receiver that is no hub is configured to take data. */
  readonly otherForm: WireForm;
  readonly deliver: (outgoing: Outgoing) => Promise<Delivery>;
  readonly onRefused: (lane: Lane, header: SpoolHeader) => void;
  readonly telemetry: OwnTelemetry;
}

export interface SenderStatus {
  /** The last attempt failed: since when, Unix ms; undefined while all is well. */
  readonly awaySinceMs: number | undefined;
  readonly lastError: string;
  readonly sent: number;
  readonly retries: number;
  readonly refused: number;
}

interface LaneState {
  running: boolean;
  failures: number;
  wait: { readonly timer: NodeJS.Timeout; readonly resolve: () => void } | undefined;
}

export class Sender {
  readonly #parts: SenderParts;
  readonly #lanes = new Map<Lane, LaneState>();
  #awaySinceMs: number | undefined;
  #lastError = '';
  #sent = 0;
  #retries = 0;
  #refused = 0;
  #stopping = false;

  constructor(parts: SenderParts) {
    this.#parts = parts;
    for (const lane of LANES) this.#lanes.set(lane, { running: false, failures: 0, wait: undefined });
  }

  status(): SenderStatus {
    return {
      awaySinceMs: this.#awaySinceMs,
      lastError: this.#lastError,
      sent: this.#sent,
      retries: this.#retries,
      refused: this.#refused,
    };
  }

  /** A record lies in the lane. */
  wake(lane: Lane): void {
    const state = this.#lanes.get(lane) as LaneState;
    if (state.running || this.#stopping) return;
    state.running = true;
    this.#run(lane, state)
      .catch((error: unknown) => {
        // Everything that can go wrong outside is a Delivery: this is a bug, which only the process may judge.
        queueMicrotask(() => {
          throw error;
        });
      })
      .finally(() => {
        state.running = false;
      });
  }

  /** Sends what waits, for at most `graceMs`; what is left stays in the spool. */
  async stop(graceMs: number): Promise<void> {
    const endMs = performance.now() + graceMs;
    for (const lane of LANES) this.wake(lane);
    while (performance.now() < endMs && this.#awaySinceMs === undefined && LANES.some((lane) => this.#isBusy(lane))) await sleep(5);
    this.#stopping = true;
    for (const { wait } of this.#lanes.values()) {
      clearTimeout(wait?.timer);
      wait?.resolve();
    }
    const patienceMs = performance.now() + 1000;
    while (performance.now() < patienceMs && [...this.#lanes.values()].some((state) => state.running)) await sleep(5);
  }

  #isBusy(lane: Lane): boolean {
    return this.#parts.spool.pendingRecords(lane) > 0 || this.#lanes.get(lane)?.running === true;
  }

  async #run(lane: Lane, state: LaneState): Promise<void> {
    const { spool } = this.#parts;
    while (!this.#stopping) {
      const record = spool.peek(lane);
      if (record === undefined) return;
      const delivery = await this.#attempt(record);
      if (delivery.kind === 'retry') {
        await this.#backOff(state, delivery);
        continue;
      }
      state.failures = 0;
      this.#settle(record, delivery);
    }
  }

  async #attempt(record: SpooledRecord): Promise<Delivery> {
    const { peer, deliver, spool, telemetry } = this.#parts;
    if (peer.kind === 'unknown' && !(await peer.meet())) return noAnswer();
    const { header } = record;
    const isSegment = header.path === SEGMENT_PATH;
    if (isSegment && peer.kind === 'otlp') return { kind: 'refused', message: 'the receiver is not a hub' };
    if (isSegment && header.formatSet !== undefined) {
      const formats = await peer.offerFormats(header.formatSet);
      if (formats === 'lost') return { kind: 'refused', message: 'the event formats of the segment are gone' };
      if (formats === 'failed') return noAnswer();
    }
    const headers = { [BATCH_STREAM_HEADER]: spool.streamOf(record.lane), [BATCH_SEQUENCE_HEADER]: String(header.seq) };
    const outgoing = { path: header.path, headers, ...toWireBody(record, peer.kind === 'hub' ? undefined : this.#parts.otherForm) };
    const delivery = await telemetry.span('send', { lane: record.lane, bytes: outgoing.body.length }, () => deliver(outgoing));
    if (isSegment && delivery.kind === 'taken') void peer.offerSymbols(Date.now());
    if (delivery.kind === 'formats' && header.formatSet !== undefined) {
      peer.forgetFormats(header.formatSet);
      return { kind: 'retry', message: 'the hub asks for the event formats', afterMs: 0, unreachable: false };
    }
    return delivery;
  }

  #settle(record: SpooledRecord, delivery: Delivery): void {
    const { spool, checkpoint, onRefused } = this.#parts;
    if (this.#awaySinceMs !== undefined) {
      log.info('the receiver answers again', { away_ms: Math.round(Date.now() - this.#awaySinceMs) });
      this.#awaySinceMs = undefined;
      this.#lastError = '';
    }
    const { header, lane } = record;
    if (delivery.kind === 'refused') {
      this.#refused++;
      log.warn('the receiver refused a batch for good; it is dropped and counted', { path: header.path, error: delivery.message });
    } else if (delivery.kind === 'taken' && delivery.rejected > 0) {
      log.warn('the receiver rejected some records', { path: header.path, count: delivery.rejected, message: delivery.message });
    }
    checkpoint.settle(lane, header);
    // A full spool may have dropped the record while it was on its way: then it has been counted already.
    const waited = spool.acknowledge(lane, header.seq);
    if (delivery.kind === 'refused' && waited) onRefused(lane, header);
    else this.#sent++;
  }

  async #backOff(state: LaneState, delivery: Extract<Delivery, { kind: 'retry' }>): Promise<void> {
    if (delivery.afterMs === 0) return;
    this.#retries++;
    if (this.#awaySinceMs === undefined) {
      this.#awaySinceMs = Date.now();
      log.warn('the receiver does not take data now; it is kept and sent again', { error: delivery.message });
    }
    if (delivery.unreachable) this.#parts.peer.forget();
    this.#lastError = delivery.message;
    const cappedMs = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(state.failures++, 10));
    // Full range of jitter above a half, so that a thousand collectors do not come back in step.
    const delayMs = delivery.afterMs ?? cappedMs * (0.5 + Math.random() / 2);
    await new Promise<void>((resolve) => {
      state.wait = { timer: setTimeout(resolve, delayMs), resolve };
    });
    state.wait = undefined;
  }
}

function noAnswer(): Delivery {
  return { kind: 'retry', message: 'the receiver does not answer', afterMs: undefined, unreachable: true };
}

function sleep(delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, delayMs);
  });
}
