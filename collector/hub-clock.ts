/**
 * The hub's clock as this collector sees it, by pings. A spawned kernel has no clock that was ever compared with the host's: that its
 * collector and the host's both know the hub's clock places it on the host's timeline (clock/machine-clocks.ts).
 *
 *   we   t0 ──────────────────────── t3       GET /v1/mkscope/clock → {"process":"…","atNs":"…"}
 *   hub            atNs                       at t0 its clock had not reached atNs, and lacked at most what passed until t3
 *
 * The hub's clock is the CLOCK_MONOTONIC of one process, which is named: another process has another clock, and all begins anew.
 */
import { toFitFields, toUnixNs } from '../clock/fit.ts';
import { IntervalTrack } from '../clock/interval-track.ts';
import { HUB_CLOCK_PATH, type HubLink } from '../model/segment.ts';
import type { OffsetInterval } from './kernel-clock.ts';
import type { Exchange } from './peer.ts';

/** At first quickly: the narrowest counts, and the first records want a bound, too. */
const FIRST_PINGS = 8;
const FIRST_INTERVAL_MS = 250;
const INTERVAL_MS = 2000;

export interface HubClockOptions {
  readonly exchange: Exchange;
  /** Nothing but a hub is asked. */
  readonly isHub: () => boolean;
}

export class HubClock {
  readonly #options: HubClockOptions;
  #process = '';
  /** Our monotonic clock → the hub's. */
  #track = new IntervalTrack();
  #pings = 0;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: HubClockOptions) {
    this.#options = options;
  }

  /** Pings now and then until `stop`. */
  async start(): Promise<void> {
    if (this.#options.isHub()) await this.ping();
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => void this.start(), this.#pings < FIRST_PINGS ? FIRST_INTERVAL_MS : INTERVAL_MS);
    this.#timer.unref();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  /** One exchange; what is no answer of a hub says nothing. */
  async ping(): Promise<void> {
    const sentNs = process.hrtime.bigint();
    const { status, body } = await this.#options.exchange('GET', HUB_CLOCK_PATH);
    const passedNs = process.hrtime.bigint() - sentNs;
    const reading = status === 200 ? parseReading(body) : undefined;
    if (reading === undefined) return;
    if (reading.process !== this.#process) {
      this.#process = reading.process;
      this.#track = new IntervalTrack();
      this.#pings = 0;
    }
    this.#pings++;
    // Our clock may itself run slowly: a tenth more than it says may have passed.
    this.#track.add({ raw: sentNs, unixLow: reading.atNs - (passedNs * 10n) / 9n, unixHigh: reading.atNs });
  }

  /** The line from our Unix time to the hub's clock at a moment of our monotonic clock; undefined before the first answer. */
  link(monoNs: bigint, { low, high }: OffsetInterval): HubLink | undefined {
    const toHub = this.#track.fit(monoNs, monoNs);
    if (toHub === undefined) return undefined;
    const fit = {
      baseRaw: monoNs + (low + high) / 2n,
      baseUnixNs: toUnixNs(toHub, monoNs),
      nsPerTick: toHub.nsPerTick,
      errorNs: toHub.errorNs + Math.ceil(Number(high - low) / 2),
    };
    return { process: this.#process, fit: toFitFields(fit) };
  }
}

function parseReading(body: Uint8Array): { readonly process: string; readonly atNs: bigint } | undefined {
  try {
    const { process: name, atNs } = JSON.parse(Buffer.from(body).toString('utf8')) as { process?: unknown; atNs?: unknown };
    return typeof name === 'string' && name !== '' && typeof atNs === 'string' && /^\d{1,19}$/.test(atNs)
      ? { process: name, atNs: BigInt(atNs) }
      : undefined;
  } catch {
    return undefined;
  }
}
