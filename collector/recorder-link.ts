/**
 * Between a flight recorder and the hub. A collector does not listen: it asks, every other second, and twice a second while something
 * is under way, whether anybody wants pages of its kernel, and says with that what it has and what became of earlier wishes.
 *
 *   → {"identity":{…},"sinceUnixNs":"…","keptBytes":…,"requests":[{"id":"7f…","events":5210,"sentEvents":5210,"isComplete":true}]}
 *   ← {"requests":[{"id":"7f…","fromUnixNs":"…","toUnixNs":"…"}]}
 *
 * What is wanted goes through the spool as anything else, while that is less than half full, so it pushes nothing out; a record
 * is marked as sent in the step in which it lies in the spool. The spool's record names its place in the recorder: a process that
 * is killed between the two steps is told so by it.
 */
import { messageOf } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import type { KernelIdentity } from '../model/identity.ts';
import { RECORDER_PATH, toRecorderAnswer, type RecorderReport, type RecorderRequest, type RequestReport } from '../model/recorder-wire.ts';
import type { Exchange } from './peer.ts';
import type { KeptHeader, KeptRef, Recorder } from './recorder.ts';
import { isDiskFull, type Spool } from './spool.ts';

const POLL_MS = 2_000;
/** While something is wanted that has not come yet. */
const BUSY_POLL_MS = 500;
/** Records that are cut late, as those of a guest that stood still, are taken until then. */
const LATE_MS = 10_000;
const JSON_TYPE = 'application/json';
const NS_PER_MS = 1_000_000n;

const log = createLogger('recorder');

export interface RecorderLinkParts {
  readonly recorder: Recorder;
  readonly spool: Spool;
  readonly exchange: Exchange;
  readonly isHub: () => boolean;
  /** A record lies in the bulk lane. */
  readonly wake: () => void;
  /** Called behind each turn: what is kept may be less. */
  readonly onTurn: () => void;
}

interface Wish extends RecorderRequest {
  readonly fromMs: number;
  readonly toMs: number;
}

export class RecorderLink {
  readonly #parts: RecorderLinkParts;
  /** Records that wait in the spool, with their number there. */
  readonly #spooled = new Map<number, number>();
  #wishes: readonly Wish[] = [];
  #timer: NodeJS.Timeout | undefined;
  #nextMs = 0;
  #isBusy = false;
  #polling: Promise<void> | undefined;

  constructor(parts: RecorderLinkParts) {
    this.#parts = parts;
    const { recorder, spool } = parts;
    for (const { seq, kept } of spool.headers()) {
      if (kept?.recorder !== recorder.id) continue;
      this.#spooled.set(kept.number, seq);
      const ref = recorder.find(kept.number);
      if (ref !== undefined) recorder.markSent(ref, recorder.read(ref).header);
    }
  }

  start(): void {
    this.#timer = setInterval(() => {
      if (performance.now() < this.#nextMs) return;
      this.#polling ??= this.poll().finally(() => {
        this.#polling = undefined;
        this.#nextMs = performance.now() + (this.#isBusy ? 0 : POLL_MS - BUSY_POLL_MS / 2);
        this.#parts.onTurn();
      });
    }, BUSY_POLL_MS);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#polling;
  }

  /** Asks, and hands over what is wanted. */
  async poll(nowMs = Date.now()): Promise<void> {
    const { recorder, exchange, isHub } = this.#parts;
    const { identity } = recorder;
    if (identity === undefined || !isHub()) return;
    this.#pump();
    const body = new TextEncoder().encode(JSON.stringify(this.#report(identity, nowMs)));
    const { status, body: answer, error } = await exchange('POST', RECORDER_PATH, JSON_TYPE, body);
    if (status !== 200) {
      // An older hub has no such path; one that is away is the sender's to tell.
      log.debug('the hub does not say what it wants', { status, error });
      return;
    }
    const requests = toRecorderAnswer(answer);
    if (typeof requests === 'string') log.warn('the hub says in no known form what it wants', { error: requests });
    else this.#wishes = requests.map(toWish);
    this.#isBusy = this.#wishes.length > 0;
    this.#pump();
  }

  #report(identity: KernelIdentity, nowMs: number): RecorderReport {
    const { recorder } = this.#parts;
    const { sinceMs } = recorder;
    let keptEvents = 0;
    for (const { kept } of recorder.counts) keptEvents += kept;
    return {
      identity,
      sinceUnixNs: sinceMs === undefined ? '' : String(BigInt(sinceMs) * NS_PER_MS),
      keptBytes: recorder.sizeBytes,
      maxBytes: recorder.maxBytes,
      keptEvents,
      requests: this.#wishes.map((wish) => this.#reportOf(wish, nowMs)),
    };
  }

  #reportOf({ id, fromMs, toMs }: Wish, nowMs: number): RequestReport {
    const { recorder, spool } = this.#parts;
    const waiting = spool.firstPending('bulk');
    const report = { id, segments: 0, sentSegments: 0, events: 0, sentEvents: 0, isComplete: nowMs >= toMs + LATE_MS };
    for (const ref of recorder.window(fromMs, toMs)) {
      const events = ref.file.events(ref.index);
      report.segments++;
      report.events += events;
      if (!recorder.isSent(ref) || (this.#spooled.get(ref.number) ?? -1) >= waiting) report.isComplete = false;
      else {
        report.sentSegments++;
        report.sentEvents += events;
      }
    }
    return report;
  }

  /** Moves what is wanted into the spool, as far as there is room. */
  #pump(): void {
    const { recorder, spool, wake } = this.#parts;
    const waiting = spool.firstPending('bulk');
    for (const [number, seq] of this.#spooled) if (seq < waiting) this.#spooled.delete(number);
    let moved = 0;
    for (const { fromMs, toMs } of this.#wishes) {
      for (const ref of recorder.window(fromMs, toMs)) {
        if (recorder.isSent(ref)) continue;
        if (!this.#move(ref)) break;
        moved++;
      }
    }
    if (moved > 0) wake();
  }

  #move(ref: KeptRef): boolean {
    const { recorder, spool } = this.#parts;
    const { header, body } = recorder.read(ref);
    if (spool.sizeBytes + body.length > spool.maxBytes / 2) return false;
    try {
      const kept = { recorder: recorder.id, number: ref.number };
      const { seq } = spool.append('bulk', { ...toSpoolHeader(header), kept }, body);
      this.#spooled.set(ref.number, seq);
      recorder.markSent(ref, header);
      return true;
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      log.warn('no room on the disk for what the hub wants', { error: messageOf(error) });
      return false;
    }
  }
}

function toSpoolHeader({ identity: _identity, positions: _positions, ...header }: KeptHeader): Parameters<Spool['append']>[1] {
  // The source is long behind them.
  return { ...header, positions: {} };
}

function toWish(request: RecorderRequest): Wish {
  return {
    ...request,
    fromMs: Number(BigInt(request.fromUnixNs) / NS_PER_MS),
    toMs: Number(BigInt(request.toUnixNs) / NS_PER_MS) + 1,
  };
}
