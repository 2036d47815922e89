/**
 * The clock of a kernel that is only heard: its printk stamps, and when they came. Nothing comes before it was printed, so the
 * smallest (seen - stamp) is the best offset, as in console-lines.ts. The clocks drift apart: only what came in the last
 * minutes counts.
 *
 *   seen - stamp   .  '  .:  .  | .  '  ,:  . |  .  :           two spans of SPAN_NS: the one at hand, and the one before
 *   smallest            of the one before ───┴── and of the one at hand
 */
import type { LogBatch } from '../model/log-batch.ts';
import type { MetricBatch } from '../model/metric-batch.ts';
import type { ClockFitFields } from '../model/segment.ts';
import { NO_RAW_TIME, toUnixNs, type PrintkNs, type UnixNs } from '../model/time.ts';
import { toFitFields } from '../clock/fit.ts';
import { addClockMetrics, type KernelClock, type TraceLinks } from './kernel-clock.ts';

/** Even the promptest record was on its way, and its kernel may have held it back. */
export const SEEN_DOUBT_NS = 1_000_000_000;
const SPAN_NS = 600_000_000_000n;

export class SeenClock implements KernelClock {
  readonly #now: () => UnixNs;
  readonly #errorNs: number;
  #spanBeganNs = 0n;
  #before: bigint | undefined;
  #current: bigint | undefined;

  /** `errorNs`: how late the promptest may have come. */
  constructor(now: () => UnixNs, errorNs = SEEN_DOUBT_NS) {
    this.#now = now;
    this.#errorNs = errorNs;
  }

  /** A record stamped `raw` was here at `seenNs`, Unix. */
  see(raw: bigint, seenNs: bigint): void {
    if (seenNs - this.#spanBeganNs > SPAN_NS) {
      this.#before = this.#current;
      this.#current = undefined;
      this.#spanBeganNs = seenNs;
    }
    const late = seenNs - raw;
    if (this.#current === undefined || late < this.#current) this.#current = late;
  }

  /** Unix time of the clock's zero; undefined until something was seen. */
  get zeroUnixNs(): bigint | undefined {
    if (this.#before === undefined || this.#current === undefined) return this.#current ?? this.#before;
    return this.#before < this.#current ? this.#before : this.#current;
  }

  nowUnixNs(): UnixNs {
    return this.#now();
  }

  toUnixNs(printkNs: PrintkNs): UnixNs {
    return toUnixNs(printkNs + (this.zeroUnixNs ?? this.#now() - printkNs));
  }

  alignLogs(batch: LogBatch): number {
    for (let row = 0; row < batch.length; row++) {
      const raw = batch.rawTime.getBigint(row);
      const seenNs = batch.observedTime.getBigint(row);
      batch.unixTime.setBigint(row, raw === NO_RAW_TIME ? seenNs : raw + (this.zeroUnixNs ?? seenNs - raw));
    }
    return this.#errorNs;
  }

  traceFit(): ClockFitFields {
    return toFitFields({ baseRaw: 0n, baseUnixNs: this.zeroUnixNs ?? this.#now(), nsPerTick: 1, errorNs: this.#errorNs });
  }

  traceLinks(): TraceLinks {
    return {};
  }

  wallLink(): undefined {
    return undefined;
  }

  addMetrics(batch: MetricBatch, startNs: bigint, timeNs: bigint): void {
    addClockMetrics(batch, startNs, timeNs, [['printk', this.#errorNs]], 0);
  }
}
