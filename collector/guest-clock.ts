/**
 * The clocks of a guest on our timeline. Its realtime clock takes no part, so a step of it does not matter.
 *
 *   printk ──(b)──► guest mono ──(a)──► host mono ──(c)──► Unix         trace clock X ──(b)──► guest mono
 *
 *   (a) pings:    host   t0 ──────────────────── t3         the guest received it between t0 and t3 less the time the answer
 *                 guest       received · answered           waited there: an interval, some 10 µs to some ms wide
 *   (b) brackets that the forwarder takes in the guest (deploy/guest/clock.c), some µs wide
 *   (c) CollectorClock; for a recording (a) ends in Unix time already
 *
 * Through the samples of (a) and of (b) goes a line with a hard bound (clock/interval-track.ts). A virtual machine that was
 * stopped, or a clock slewed beyond reason, makes them contradict each other: a new segment begins and is counted.
 *
 * Without an answered ping (a one-way stream) the earliest arrival counts, as for a console: ± 1 s. Without arrival times (a
 * recording without an index) the guest's own realtime clock is believed, ± 1 s: the last resort.
 */
import { alignTimes, composeFits, toFitFields, toUnixNs as fitToUnixNs, type ClockFit } from '../clock/fit.ts';
import { IntervalTrack } from '../clock/interval-track.ts';
import type { LogBatch } from '../model/log-batch.ts';
import type { MetricBatch } from '../model/metric-batch.ts';
import type { ClockFitFields } from '../model/segment.ts';
import { NO_RAW_TIME, isClockDomain, toUnixNs, type ClockDomain, type PrintkNs, type UnixNs } from '../model/time.ts';
import type { GuestBracket, GuestClocks } from '../parsers/guest-payloads.ts';
import { addClockMetrics, type HostTimeline, type KernelClock, type OffsetInterval, type TraceLinks } from './kernel-clock.ts';

/** Without a ping: how late the promptest frame may have come, and how wrong a guest's wall clock may be. */
const GUESSED_DOUBT_NS = 1_000_000_000n;
/** printk's clock and CLOCK_MONOTONIC start within this of each other at boot. */
const BOOT_DOUBT_NS = 200e6;
const UNSEEN_DRIFT = 500e-6;
/** Counters from 50 MHz to 10 GHz. */
const TICK_RATES = { low: 0.1, high: 20 };

export class GuestClock implements KernelClock {
  readonly #timeline: HostTimeline;
  readonly #traceClock: ClockDomain;
  /** guest mono → host. */
  readonly #mono = new IntervalTrack();
  /** printk → guest mono. */
  readonly #printk = new IntervalTrack();
  /** trace clock → guest mono. */
  readonly #trace: IntervalTrack;
  /** The latest moment of guest mono that is known to have been, and when we learnt it (host). */
  #guestSeenNs = 0n;
  #seenAtNs = 0n;
  /** host less guest, by the promptest arrival. */
  #arrivalOffset: bigint | undefined;
  /** Guest realtime less guest mono. */
  #realOffset: bigint | undefined;

  constructor(timeline: HostTimeline, traceClock: string) {
    this.#timeline = timeline;
    this.#traceClock = isClockDomain(traceClock) ? traceClock : 'mono';
    this.#trace = new IntervalTrack(traceClock === 'x86-tsc' ? TICK_RATES : undefined);
  }

  /** A ping sent at `sentNs` was answered at `arrivedNs` (host); the guest received it and answered at its own times. */
  addPong(sentNs: bigint, arrivedNs: bigint, receivedNs: bigint, answeredNs: bigint): void {
    if (answeredNs < receivedNs || arrivedNs < sentNs) return;
    // The guest's clock may itself run fast: nine tenths of what it says it waited are safe to take off.
    const waited = ((answeredNs - receivedNs) * 9n) / 10n;
    this.#mono.add({ raw: receivedNs, unixLow: sentNs, unixHigh: arrivedNs - waited });
    this.#see(answeredNs);
  }

  /** What it has learnt by now, apart from what it learns later. */
  copy(): GuestClock {
    const copy = new GuestClock(this.#timeline, this.#traceClock);
    copy.learnFrom(this);
    return copy;
  }

  /** Takes over what another reading of the same boot learnt, so that the first records are as well timed as the later ones. */
  learnFrom(other: GuestClock): void {
    this.#mono.learnFrom(other.#mono);
    this.#printk.learnFrom(other.#printk);
    this.#trace.learnFrom(other.#trace);
  }

  /** What the forwarder sampled; `arrivedNs` (host) is undefined where nobody knows when it came. */
  addClocks(clocks: GuestClocks, arrivedNs: bigint | undefined): void {
    const { perf, trace, real } = clocks;
    if (perf !== undefined) this.#printk.add(toSample(perf));
    if (trace !== undefined) this.#trace.add(toSample(trace));
    const newest = trace ?? perf ?? real;
    if (newest !== undefined) this.#see(newest.after);
    if (real !== undefined) this.#realOffset ??= real.at - (real.before + real.after) / 2n;
    if (newest === undefined || arrivedNs === undefined) return;
    const offset = arrivedNs - newest.after;
    if (this.#arrivalOffset === undefined || offset < this.#arrivalOffset) this.#arrivalOffset = offset;
  }

  /** A ping was answered: times are bounded by more than a guess. */
  get isSynchronized(): boolean {
    return this.#mono.known;
  }

  /** Anything at all is known of where its moments are: by an answer, an arrival, or its own wall clock. */
  get isPlaced(): boolean {
    return this.isSynchronized || this.#arrivalOffset !== undefined || this.#realOffset !== undefined;
  }

  /** Segments of any of the clocks that ended in a contradiction. */
  get steps(): number {
    return this.#mono.steps + this.#printk.steps + this.#trace.steps;
  }

  nowUnixNs(): UnixNs {
    const now = this.#timeline.nowNs();
    return toUnixNs(now + middleOf(this.#timeline.unixOffset(now)));
  }

  alignLogs(batch: LogBatch): number {
    let oldest = NO_RAW_TIME;
    let newest = NO_RAW_TIME;
    for (let row = 0; row < batch.length; row++) {
      const raw = batch.rawTime.getBigint(row);
      if (raw === NO_RAW_TIME) continue;
      if (oldest === NO_RAW_TIME || raw < oldest) oldest = raw;
      if (raw > newest) newest = raw;
    }
    const fit = this.#printkToUnix(oldest, newest);
    alignTimes(batch.rawTime, batch.unixTime, batch.length, fit);
    for (let row = 0; row < batch.length; row++) {
      if (batch.rawTime.getBigint(row) === NO_RAW_TIME) batch.unixTime.setBigint(row, batch.observedTime.getBigint(row));
    }
    return fit.errorNs;
  }

  toUnixNs(printkNs: PrintkNs): UnixNs {
    return fitToUnixNs(this.#printkToUnix(printkNs, printkNs), printkNs);
  }

  /** Unix time of a moment of the guest's CLOCK_MONOTONIC, once the clock `isPlaced`. */
  monoToUnixNs(monoNs: bigint): UnixNs {
    return fitToUnixNs(this.#monoToUnix({ baseRaw: monoNs, baseUnixNs: monoNs, nsPerTick: 1, errorNs: 0 }, monoNs, monoNs), monoNs);
  }

  traceFit(): ClockFitFields {
    const now = this.#guestNow();
    return toFitFields(this.#monoToUnix(this.#traceToMono(now), now, now));
  }

  /** The way between the kernel's own clocks, without the pings that the fits to Unix time have in common. */
  traceLinks(): TraceLinks {
    const now = this.#guestNow();
    const hub = this.#timeline.hubLink();
    const told = hub === undefined ? {} : { hub };
    // A trace clock that counts ticks would need the way back from mono to it.
    if (this.#traceClock !== 'mono' || !this.#printk.known) return told;
    const fit = this.#perfToMono(now);
    // At this moment, not where the line was begun.
    const baseRaw = fit.baseRaw + BigInt(Math.round(Number(now - fit.baseUnixNs) / fit.nsPerTick));
    return { ...told, links: [{ clock: 'printk', fit: toFitFields({ ...fit, baseRaw, baseUnixNs: fitToUnixNs(fit, baseRaw) }) }] };
  }

  /** Its times are on the timeline of who reads it. */
  wallLink(): undefined {
    return undefined;
  }

  addMetrics(batch: MetricBatch, startNs: bigint, timeNs: bigint): void {
    const now = this.#guestNow();
    const errors: [ClockDomain, number][] = [
      ['printk', this.#monoToUnix(this.#perfToMono(now), now, now).errorNs],
      [this.#traceClock, this.#monoToUnix(this.#traceToMono(now), now, now).errorNs],
    ];
    addClockMetrics(batch, startNs, timeNs, errors, this.steps);
  }

  /** Guest mono, about now. */
  #guestNow(): bigint {
    return this.#guestSeenNs + (this.#timeline.nowNs() - this.#seenAtNs);
  }

  #see(guestNs: bigint): void {
    if (guestNs <= this.#guestSeenNs) return;
    this.#guestSeenNs = guestNs;
    this.#seenAtNs = this.#timeline.nowNs();
  }

  /** The line for printk stamps of this range. */
  #printkToUnix(oldest: bigint, newest: bigint): ClockFit {
    const toMono = this.#boundByBoot(this.#printk.fit(oldest, newest), newest);
    return this.#monoToUnix(toMono, fitToUnixNs(toMono, oldest), fitToUnixNs(toMono, newest));
  }

  #perfToMono(now: bigint): ClockFit {
    return this.#boundByBoot(this.#printk.fitAt(now), now);
  }

  /** printk's clock starts at boot with CLOCK_MONOTONIC: where it was never sampled, and beyond what was. */
  #boundByBoot(fit: ClockFit | undefined, raw: bigint): ClockFit {
    const boundNs = Math.ceil(BOOT_DOUBT_NS + Number(this.#guestSeenNs) * UNSEEN_DRIFT);
    if (fit === undefined) return { baseRaw: raw, baseUnixNs: raw, nsPerTick: 1, errorNs: boundNs };
    return { ...fit, errorNs: Math.min(fit.errorNs, boundNs) };
  }

  #traceToMono(now: bigint): ClockFit {
    const same = { baseRaw: now, baseUnixNs: now, nsPerTick: 1, errorNs: 0 };
    if (this.#traceClock === 'mono') return same;
    if (this.#traceClock === 'perf') return this.#perfToMono(now);
    return this.#trace.fitAt(now) ?? { ...same, errorNs: Number(GUESSED_DOUBT_NS) };
  }

  /** Puts the way from guest mono to Unix time behind a fit that reaches guest mono, for moments of this range. */
  #monoToUnix(toMono: ClockFit, fromNs: bigint, toNs: bigint): ClockFit {
    const toHost = this.#mono.fit(fromNs, toNs);
    if (toHost === undefined) return composeFits(toMono, this.#guessedFit());
    const through = composeFits(toMono, toHost);
    const offset = this.#timeline.unixOffset(fitToUnixNs(toHost, toNs));
    return {
      ...through,
      baseUnixNs: through.baseUnixNs + middleOf(offset),
      errorNs: through.errorNs + Math.ceil(Number(offset.high - offset.low) / 2),
    };
  }

  #guessedFit(): ClockFit {
    const errorNs = Number(GUESSED_DOUBT_NS);
    const baseRaw = this.#guestSeenNs;
    if (this.#arrivalOffset === undefined) return { baseRaw, baseUnixNs: baseRaw + (this.#realOffset ?? 0n), nsPerTick: 1, errorNs };
    const hostNs = baseRaw + this.#arrivalOffset - GUESSED_DOUBT_NS / 2n;
    return { baseRaw, baseUnixNs: hostNs + middleOf(this.#timeline.unixOffset(hostNs)), nsPerTick: 1, errorNs: errorNs / 2 };
  }
}

function toSample({ before, at, after }: GuestBracket): { raw: bigint; unixLow: bigint; unixHigh: bigint } {
  return { raw: at, unixLow: before, unixHigh: after };
}

function middleOf({ low, high }: OffsetInterval): bigint {
  return (low + high) / 2n;
}
