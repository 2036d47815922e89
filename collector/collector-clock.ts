/**
 * The clocks of this kernel against Unix time, sampled while the collector runs:
 *
 *   printk = perf ───(a)──► mono ──(b)──► Unix          trace clock X ──(a)──► mono
 *
 *   (a) brackets by the tracer (clock-bracket.ts), some µs wide; where tracefs cannot be had, brackets of live reads: a record
 *       that was not there at one read and is at the next was printed between the two.
 *   (b) ticks of Date.now() caught between two readings of CLOCK_MONOTONIC, under 1 µs wide. The difference is constant in
 *       Linux but for steps and suspend, so all samples narrow one interval; one that contradicts it is a step.
 *
 * printk stamps with local_clock(), which is the trace clock `perf`. The trace clock `local` is sched_clock() without the offset
 * that `sched_clock: Marking stable (a, b)->(c, d)` prints as d: here it was 34 ms away from the stamps of printk.
 *
 * Records from before the collector started lie outside what was sampled: their error grows by what a disciplined clock can
 * have drifted since (500 ppm), at most by what the clocks differ since boot.
 */
import { uptime } from 'node:os';
import { alignTimes, toFitFields, toUnixNs as fitToUnixNs, type ClockFit } from '../clock/fit.ts';
import { IntervalTrack } from '../clock/interval-track.ts';
import { OperationalError, messageOf } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import type { LogBatch } from '../model/log-batch.ts';
import type { MetricBatch } from '../model/metric-batch.ts';
import type { ClockFitFields, HubLink } from '../model/segment.ts';
import { isCounter, NO_RAW_TIME, toUnixNs, type ClockDomain, type MonotonicNs, type PrintkNs, type UnixNs } from '../model/time.ts';
import { ClockBracket } from './clock-bracket.ts';
import { ClockOffset, MAX_DRIFT } from './clock-offset.ts';
import type { HubClock } from './hub-clock.ts';
import { addClockMetrics, type HostTimeline, type KernelClock, type OffsetInterval, type TraceLinks } from './kernel-clock.ts';
import { TraceInstance, findOrphans } from './tracefs.ts';

/** Each second at first, until the rate between the clocks is known (clock-offset.ts): a sample takes under 1 ms. */
const FIRST_INTERVAL_MS = 1000;
const FIRST_SAMPLES = 22;
const SAMPLE_INTERVAL_MS = 30_000;
/** printk's clock and CLOCK_MONOTONIC start within this of each other at boot (tick-driven stamps before `sched_clock: Marking stable`). */
const BOOT_DOUBT_NS = 200e6;
/** Clocks that tick in ns, and the counter, whose ticks are measured. The others only order events. */
const TRACE_CLOCKS: readonly ClockDomain[] = ['local', 'global', 'perf', 'mono', 'mono_raw', 'boot', 'tai', 'x86-tsc'];
/** Counters from 50 MHz to 10 GHz. */
const TICK_RATES = { low: 0.1, high: 20 };
/** The rate of a counter is known by two samples, at least this far apart. */
const COUNTER_SPAN_MS = 50;
const UNKNOWN_NS = 1e9;

const log = createLogger('clock');

export class CollectorClock implements KernelClock, HostTimeline {
  /** mono → Unix: no drift, only steps. */
  readonly #unix = new ClockOffset(0);
  /** printk → mono. */
  readonly #printk = new ClockOffset();
  /** Trace clock → mono, where it is neither mono nor printk's. */
  readonly #trace = new ClockOffset();
  /** Ticks of the counter → mono, where it is the trace clock. */
  readonly #counter = new IntervalTrack(TICK_RATES);
  readonly #traceClock: ClockDomain;
  #printkBracket: ClockBracket | undefined;
  #traceBracket: ClockBracket | undefined;
  /** Stamp of the first printk sample: what is older was never observed. */
  #observedSince = 0n;
  #timer: NodeJS.Timeout | undefined;
  #samples = 0;
  #tracefs: string | undefined;
  #saidNoTracer = false;

  readonly #isHost: boolean;
  /** Set once there is somebody to ask. */
  hub: HubClock | undefined;

  /** `isHost`: this kernel's Unix time is the machine's. */
  constructor(traceClock: ClockDomain = 'mono', isHost = true) {
    this.#isHost = isHost;
    if (!TRACE_CLOCKS.includes(traceClock)) {
      throw new OperationalError(
        'E_TRACEFS_CLOCK',
        `the trace clock ${traceClock} is no time that can be aligned`,
        `choose one of: ${TRACE_CLOCKS.join(', ')}`,
      );
    }
    this.#traceClock = traceClock;
  }

  /** Takes the first samples; `tracefs` = undefined: without the tracer. */
  start(tracefs: string | undefined): void {
    this.#sampleUnix();
    this.#tracefs = tracefs;
    this.#openBrackets();
    if (!this.#printk.known) this.#assumePrintk();
    this.#sampleTracer();
    if (isCounter(this.#traceClock) && this.hasTracer) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, COUNTER_SPAN_MS);
      this.#sampleTracer();
    }
    this.#schedule();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#closeBrackets();
  }

  nowUnixNs(): UnixNs {
    const mono = process.hrtime.bigint();
    return toUnixNs(mono + middleOf(this.#unix.at(mono)));
  }

  /** The monotonic clock of this process. */
  nowNs(): bigint {
    return process.hrtime.bigint();
  }

  unixOffset(monoNs: bigint): OffsetInterval {
    return this.#unix.at(monoNs);
  }

  /** True where the tracer gives the brackets: live reads then add nothing. */
  get hasTracer(): boolean {
    return this.#printkBracket !== undefined;
  }

  /** A printk record stamped `rawNs` came to light between two moments of the monotonic clock. */
  addLiveRead(rawNs: PrintkNs, monoLow: MonotonicNs, monoHigh: MonotonicNs): void {
    if (!this.hasTracer) this.#printk.addBracket(rawNs, monoLow, monoHigh);
  }

  /** Fills `unixTime` from the batch's clock; returns the half-width of the error of its worst row, ns. */
  alignLogs(batch: LogBatch): number {
    if (batch.clock === 'unix') return this.#copyUnix(batch);
    const { fit, errorNs } = this.#printkFit(oldestOf(batch));
    alignTimes(batch.rawTime, batch.unixTime, batch.length, fit);
    this.#fillUnstamped(batch);
    return errorNs;
  }

  /** Unix time of one printk stamp, for gaps. */
  toUnixNs(printkNs: PrintkNs): UnixNs {
    const { fit } = this.#printkFit(printkNs);
    return toUnixNs(fit.baseUnixNs + BigInt(Math.round(Number(printkNs - fit.baseRaw) * fit.nsPerTick)));
  }

  /** How the pages that are read now are aligned. */
  traceFit(): ClockFitFields {
    const { baseRaw, baseUnixNs, nsPerTick, errorNs } = this.#fitNow(this.#traceClock);
    return { baseRaw: String(baseRaw), baseUnixNs: String(baseUnixNs), nsPerTick, errorNs };
  }

  hubLink(): HubLink | undefined {
    const mono = process.hrtime.bigint();
    return this.hub?.link(mono, this.#unix.at(mono));
  }

  wallLink(): HubLink | undefined {
    return this.#isHost ? undefined : this.hubLink();
  }

  traceLinks(): TraceLinks {
    const hub = this.hubLink();
    return { wall: this.#isHost ? 'host' : 'own', ...(hub === undefined ? {} : { hub }), ...this.#printkLinks() };
  }

  #printkLinks(): Pick<TraceLinks, 'links'> {
    if (isCounter(this.#traceClock)) {
      const link = this.#linkCounter();
      return link === undefined ? {} : { links: [{ clock: 'printk', fit: toFitFields(link) }] };
    }
    if (this.#traceClock !== 'mono') return {};
    const mono = process.hrtime.bigint();
    const raw = mono - middleOf(this.#printk.at(mono));
    const toMono = this.#printk.at(raw);
    const fit = { baseRaw: raw, baseUnixNs: raw + middleOf(toMono), nsPerTick: 1 + this.#printk.rate, errorNs: halfOf(toMono) };
    return { links: [{ clock: 'printk', fit: toFitFields(fit) }] };
  }

  addMetrics(batch: MetricBatch, startNs: bigint, timeNs: bigint): void {
    const errors: [ClockDomain, number][] = [
      ['printk', this.#fitNow('perf').errorNs],
      [this.#traceClock, this.#fitNow(this.#traceClock).errorNs],
    ];
    addClockMetrics(batch, startNs, timeNs, errors, this.#unix.steps + this.#printk.steps + this.#trace.steps + this.#counter.steps);
  }

  /** Tried again at each sampling: the reason may pass (a tracefs that is mounted later, a machine short of memory). */
  #openBrackets(): void {
    if (this.#tracefs === undefined || this.#printkBracket !== undefined) return;
    removeOrphanTools(this.#tracefs);
    try {
      this.#printkBracket = new ClockBracket(this.#tracefs, 'perf');
      if (!this.#isDirect(this.#traceClock)) this.#traceBracket = new ClockBracket(this.#tracefs, this.#traceClock, 'trace');
    } catch (error) {
      this.#closeBrackets();
      if (!this.#saidNoTracer)
        log.warn('the tracer cannot be used to align printk times; live reads are used instead', { error: messageOf(error) });
      this.#saidNoTracer = true;
    }
  }

  #isDirect(clock: ClockDomain): boolean {
    return clock === 'mono' || clock === 'perf';
  }

  #schedule(): void {
    const delayMs = this.#samples++ < FIRST_SAMPLES ? FIRST_INTERVAL_MS : SAMPLE_INTERVAL_MS;
    this.#timer = setTimeout(() => {
      this.#sampleUnix();
      this.#openBrackets();
      this.#sampleTracer();
      this.#schedule();
    }, delayMs);
  }

  /** Catches a tick of the millisecond clock between two readings of the monotonic one; waits up to 1 ms for it. */
  #sampleUnix(): void {
    // On a busy machine each tick may be missed: a time to the millisecond is far better than none.
    if (!this.#unix.known) {
      const earliest = process.hrtime.bigint();
      const unixNs = BigInt(Date.now()) * 1_000_000n;
      const latest = process.hrtime.bigint();
      this.#unix.addBracket(latest, unixNs, unixNs + 1_000_000n + (latest - earliest));
    }
    let width = 1_000_000n;
    for (let attempt = 0; attempt < 4 && width > 2000n; attempt++) {
      let before = process.hrtime.bigint();
      const start = Date.now();
      let tick = start;
      let mono = before;
      while (tick === start) {
        before = mono;
        mono = process.hrtime.bigint();
        tick = Date.now();
      }
      // The tick lies between the reading before the last unchanged Date.now() and the one after the changed one.
      const after = process.hrtime.bigint();
      width = after - before;
      const edge = BigInt(tick) * 1_000_000n;
      if (tick - start === 1 && !this.#unix.addBracket(after, edge, edge + width)) log.info('the system time was stepped');
    }
  }

  #sampleTracer(): void {
    try {
      const sample = this.#printkBracket?.sample();
      if (sample !== undefined) {
        if (!this.#printk.known || this.#observedSince === 0n) this.#observedSince = sample.raw;
        this.#printk.addBracket(sample.raw, sample.monoLowNs, sample.monoHighNs);
      }
      const traced = this.#traceBracket?.sample();
      if (traced === undefined) return;
      if (isCounter(this.#traceClock)) this.#counter.add({ raw: traced.raw, unixLow: traced.monoLowNs, unixHigh: traced.monoHighNs });
      else this.#trace.addBracket(traced.raw, traced.monoLowNs, traced.monoHighNs);
    } catch (error) {
      // Somebody removed the instances: what is known goes on, its bound grows, and live reads narrow it again.
      log.warn('the tracer cannot be used any more to align times', { error: messageOf(error) });
      this.#closeBrackets();
    }
  }

  #closeBrackets(): void {
    try {
      this.#printkBracket?.close();
      this.#traceBracket?.close();
    } catch (error) {
      log.warn('a trace instance of ours could not be removed', { error: messageOf(error) });
    }
    this.#printkBracket = this.#traceBracket = undefined;
  }

  /** Without any sample: both clocks start at boot. */
  #assumePrintk(): void {
    if (this.hasTracer) return;
    const mono = process.hrtime.bigint();
    const doubt = BigInt(Math.round(BOOT_DOUBT_NS + Number(mono) * MAX_DRIFT));
    this.#printk.addBracket(mono, mono - doubt, mono + doubt);
    this.#observedSince = mono;
  }

  #fitNow(clock: ClockDomain): ClockFit {
    const mono = process.hrtime.bigint();
    const unix = this.#unix.at(mono);
    if (clock === 'mono') return { baseRaw: mono, baseUnixNs: mono + middleOf(unix), nsPerTick: 1, errorNs: halfOf(unix) };
    if (isCounter(clock)) return this.#fitCounter(mono, unix);
    const offset = clock === 'perf' ? this.#printk : this.#trace;
    const raw = mono - middleOf(offset.at(mono));
    const toMono = offset.at(raw);
    return {
      baseRaw: raw,
      baseUnixNs: raw + middleOf(toMono) + middleOf(unix),
      nsPerTick: 1 + offset.rate,
      errorNs: halfOf(toMono) + halfOf(unix),
    };
  }

  /** The line of the counter, at about now. */
  #fitCounter(mono: bigint, unix: OffsetInterval): ClockFit {
    const toMono = this.#counter.fitAt(mono);
    // No tracer, or it said nothing yet: there are no ticks to align either.
    if (toMono === undefined) return { baseRaw: 0n, baseUnixNs: mono + middleOf(unix), nsPerTick: 1, errorNs: UNKNOWN_NS };
    const baseRaw = toMono.baseRaw + BigInt(Math.round(Number(mono - toMono.baseUnixNs) / toMono.nsPerTick));
    return {
      ...toMono,
      baseRaw,
      baseUnixNs: fitToUnixNs(toMono, baseRaw) + middleOf(unix),
      errorNs: toMono.errorNs + halfOf(unix),
    };
  }

  /** The line of the printk clock to the counter, in ticks. */
  #linkCounter(): ClockFit | undefined {
    const mono = process.hrtime.bigint();
    const counter = this.#counter.fitAt(mono);
    if (counter === undefined) return undefined;
    const raw = mono - middleOf(this.#printk.at(mono));
    const toMono = this.#printk.at(raw);
    const ticks = Number(raw + middleOf(toMono) - counter.baseUnixNs) / counter.nsPerTick;
    return {
      baseRaw: raw,
      baseUnixNs: counter.baseRaw + BigInt(Math.round(ticks)),
      nsPerTick: (1 + this.#printk.rate) / counter.nsPerTick,
      errorNs: Math.ceil((halfOf(toMono) + counter.errorNs) / counter.nsPerTick),
    };
  }

  #printkFit(oldestRaw: bigint): { readonly fit: ClockFit; readonly errorNs: number } {
    const fit = this.#fitNow('perf');
    if (oldestRaw >= this.#observedSince) return { fit, errorNs: fit.errorNs };
    // Backwards from the first sample at a rate of 1.
    const unseenNs = Number(this.#observedSince - oldestRaw);
    const atFirst = middleOf(this.#printk.at(this.#observedSince));
    const unix = this.#unix.at(process.hrtime.bigint());
    const boundNs = Math.max(BOOT_DOUBT_NS, Math.abs(Number(atFirst)) + BOOT_DOUBT_NS);
    const baseUnixNs = this.#observedSince + atFirst + middleOf(unix);
    const errorNs = fit.errorNs + Math.min(unseenNs * MAX_DRIFT, boundNs) + suspendedNs();
    return { fit: { baseRaw: this.#observedSince, baseUnixNs, nsPerTick: 1, errorNs }, errorNs };
  }

  #copyUnix(batch: LogBatch): number {
    for (let row = 0; row < batch.length; row++) batch.unixTime.setBigint(row, batch.rawTime.getBigint(row));
    this.#fillUnstamped(batch);
    return halfOf(this.#unix.at(process.hrtime.bigint()));
  }

  /** A record without a stamp happened at the latest when it was seen. */
  #fillUnstamped(batch: LogBatch): void {
    let nowNs = 0n;
    for (let row = 0; row < batch.length; row++) {
      if (batch.rawTime.getBigint(row) !== NO_RAW_TIME) continue;
      const seen = batch.observedTime.getBigint(row);
      if (seen === 0n && nowNs === 0n) nowNs = this.nowUnixNs();
      batch.unixTime.setBigint(row, seen === 0n ? nowNs : seen);
    }
  }
}

/** Two collectors may start at once and find the same left-overs: whoever comes second finds them gone. */
function removeOrphanTools(tracefs: string): void {
  for (const name of findOrphans(tracefs, 'tools')) {
    try {
      new TraceInstance(tracefs, name).remove();
    } catch (error) {
      log.info('a left-over trace instance was not removed', { instance: name, error: messageOf(error) });
    }
  }
}

function oldestOf(batch: LogBatch): bigint {
  for (let row = 0; row < batch.length; row++) {
    const raw = batch.rawTime.getBigint(row);
    if (raw !== NO_RAW_TIME) return raw;
  }
  return process.hrtime.bigint();
}

/** printk's clock and CLOCK_MONOTONIC stop in suspend, Unix time does not: how long this boot was suspended is not known by when. */
function suspendedNs(): number {
  const missingNs = uptime() * 1e9 - Number(process.hrtime.bigint());
  return missingNs > 1e9 ? missingNs : 0;
}

function middleOf(interval: { readonly low: bigint; readonly high: bigint }): bigint {
  return (interval.low + interval.high) / 2n;
}

function halfOf(interval: { readonly low: bigint; readonly high: bigint }): number {
  return Math.ceil(Number(interval.high - interval.low) / 2);
}
