/**
 * Unix time out of the kernel's own log, for logs that come as files. Two kinds of lines carry a wall clock, one carries what
 * is needed to align guests of one hypervisor with each other:
 *
 *   [    9.376169] audit: type=1400 audit(1788511001.502:192): …
 *        |                                +-- when the record was begun, cut to ms, from a clock that moves once per tick
 *        +-- when kauditd printed it: later, so the true time at the stamp is never less
 *   [    1.373349] rtc_cmos 00:00: setting system clock to 2026-09-04T08:36:33 UTC (1788510993)
 *                                                                                    +-- RTC second that had begun
 *   [    0.000001] kvm-clock: using sched offset of 8825062526 cycles       S, in ns despite the word
 *   [    1.395049] sched_clock: Marking stable (1223003662, 171052727)->(1446942832, -52886443)
 *                                                           +-- g                     +-- d
 *   host time = child time + (S_child - d_child) - (S_host - d_host), for stamps behind both "Marking stable" lines
 *
 * Before "Marking stable" the printk clock runs on ticks and is off by up to |g| + |d|; anchors there are widened by it.
 *
 * Not handled: NTP steps inside of a log (the anchors of the longer side win); time zones (RTCs in local time are an hour or
 * more off, and then miss the audit lines, which win).
 */
import { decodeUtf8 } from '../base/bytes.ts';
import type { LogBatch } from '../model/log-batch.ts';
import { NO_RAW_TIME } from '../model/time.ts';
import { fitFromSamples, type ClockFit, type ClockSample } from './fit.ts';

/** A wall clock in a log line. `samples` are tested: each must match, and give this Unix time. */
export interface AnchorPattern {
  readonly id: string;
  /** Group 1: seconds; group 2, where there is one: ms. */
  readonly pattern: RegExp;
  /** The true Unix time at the stamp is between what the line says and this much later. */
  readonly widthNs: bigint;
  readonly samples: readonly { readonly line: string; readonly unixNs: bigint }[];
}

export const ANCHOR_PATTERNS: readonly AnchorPattern[] = [
  {
    id: 'audit',
    pattern: /^audit: type=\d+ audit\((\d{9,11})\.(\d{3}):\d+\):/,
    // 1 ms cut, a tick of up to 10 ms, and the wait for kauditd, which nothing bounds: 14 ms is the longest seen.
    widthNs: 50_000_000n,
    samples: [
      { line: 'audit: type=2000 audit(1700000000.125:1): state=initialized audit_enabled=0 res=1', unixNs: 1_700_000_000_125_000_000n },
      { line: 'audit: type=1400 audit(1700000021.007:33): apparmor="STATUS"', unixNs: 1_700_000_021_007_000_000n },
    ],
  },
  {
    id: 'rtc',
    pattern: /^\S*rtc\S* .*setting system clock to .* UTC \((\d{9,11})\)$/,
    widthNs: 1_000_000_000n,
    samples: [
      { line: 'rtc_cmos 00:00: setting system clock to 2023-11-14T22:13:20 UTC (1700000000)', unixNs: 1_700_000_000_000_000_000n },
      { line: 'rtc-pl031 9010000.pl031: setting system clock to 2023-11-14T22:13:21 UTC (1700000001)', unixNs: 1_700_000_001_000_000_000n },
    ],
  },
];

const STABLE = /^sched_clock: Marking stable \((-?\d{1,18}), (-?\d{1,18})\)->\((-?\d{1,18}), (-?\d{1,18})\)/;
const KVM_OFFSET = /^kvm-clock: using sched offset of (\d{1,18}) cycles/;
/** Lines that can match: most rows need no more than this test. */
const FIRST_BYTES = new Set(['audit', 'rtc', 'sched_clock', 'kvm-clock'].map((word) => word.charCodeAt(0)));
/** The longest part of a line that a pattern needs. */
const MAX_LINE_BYTES = 160;
/** printk stamps are cut to µs, on both sides, and the shifts are as good as the log's two points showed: some tens of µs. */
const KVM_ERROR_NS = 50_000;

/** Anchors kept of one boot. */
const MAX_FOUND = 4096;

/** Rows of a batch that belong to one boot. */
export interface RowRange {
  readonly from: number;
  readonly to: number;
}

/** What the lines of one boot say about its printk clock. */
export interface PrintkAnchors {
  readonly samples: readonly ClockSample[];
  /** Set where the log has both lines that align guests of one hypervisor. */
  readonly kvm: KvmClockAnchor | undefined;
  /** Stamp of "Marking stable": what is before it is uncertain by `unstableNs`. */
  readonly stableRaw: bigint | undefined;
  readonly unstableNs: bigint;
}

export interface KvmClockAnchor {
  /** S: kvm-clock at the printk clock's zero, ns. */
  readonly schedOffsetNs: bigint;
  /** d: what "Marking stable" added to the printk clock, ns. */
  readonly stableShiftNs: bigint;
}

/** Finds all anchors of one boot that lies in one batch. */
export function readPrintkAnchors(batch: LogBatch, rows?: RowRange): PrintkAnchors {
  const scan = new PrintkAnchorScan();
  scan.add(batch, rows);
  return scan.anchors();
}

/** Collects the anchors of one boot over as many batches as it takes: the lines belong together wherever a batch was cut. */
export class PrintkAnchorScan {
  #found: { readonly raw: bigint; readonly unixNs: bigint; readonly widthNs: bigint }[] = [];
  #schedOffsetNs: bigint | undefined;
  #stable: { readonly raw: bigint; readonly gtodNs: bigint; readonly shiftNs: bigint } | undefined;

  /** The texts are those of kmsg or a console, without the stamp. */
  add(batch: LogBatch, rows: RowRange = { from: 0, to: batch.length }): void {
    for (let row = rows.from; row < rows.to; row++) {
      const start = batch.textStart[row] as number;
      if (!FIRST_BYTES.has(batch.text[start] as number)) continue;
      const raw = batch.rawTime.getBigint(row);
      if (raw === NO_RAW_TIME) continue;
      this.#addLine(raw, decodeUtf8(batch.text, start, Math.min(batch.textEnd[row] as number, start + MAX_LINE_BYTES)));
    }
  }

  anchors(): PrintkAnchors {
    const stable = this.#stable;
    const schedOffsetNs = this.#schedOffsetNs;
    const unstableNs = stable === undefined ? 0n : absolute(stable.gtodNs) + absolute(stable.shiftNs);
    return {
      samples: this.#found.map(({ raw, unixNs, widthNs }) => {
        const doubt = stable !== undefined && raw < stable.raw ? unstableNs : 0n;
        return { raw, unixLow: unixNs - doubt, unixHigh: unixNs + widthNs + doubt };
      }),
      kvm: schedOffsetNs === undefined || stable === undefined ? undefined : { schedOffsetNs, stableShiftNs: stable.shiftNs },
      stableRaw: stable?.raw,
      unstableNs,
    };
  }

  #addLine(raw: bigint, line: string): void {
    const kvm = KVM_OFFSET.exec(line);
    if (kvm !== null) this.#schedOffsetNs = BigInt(kvm[1] as string);
    const marking = STABLE.exec(line);
    if (marking !== null) this.#stable = { raw, gtodNs: BigInt(marking[2] as string), shiftNs: BigInt(marking[4] as string) };
    const anchor = matchAnchor(line);
    if (anchor === undefined) return;
    if (this.#found.push({ raw, ...anchor }) < MAX_FOUND) return;
    // A machine that audits much: of each two neighbours the one that was printed with less delay.
    this.#found = this.#found.filter((_, i, all) => {
      const [own, other] = [all[i], all[i ^ 1]];
      if (own === undefined || other === undefined) return true;
      const later = own.unixNs - own.raw - (other.unixNs - other.raw);
      return later === 0n ? i % 2 === 0 : later > 0n;
    });
  }
}

/** The wall clock that a line carries, ns. */
export function matchAnchor(line: string): { readonly unixNs: bigint; readonly widthNs: bigint } | undefined {
  for (const { pattern, widthNs } of ANCHOR_PATTERNS) {
    const match = pattern.exec(line);
    if (match !== null) return { unixNs: BigInt(match[1] as string) * 1_000_000_000n + BigInt(match[2] ?? 0) * 1_000_000n, widthNs };
  }
  return undefined;
}

/** Anchors that a fit is tried with: each round costs the square, and there are as many rounds as anchors at worst. */
const MAX_ANCHORS = 256;

/**
 * The fit of most anchors that agree: while no line goes through all, the one is left out that sits farthest before the others
 * (printed late, or before the clock was set).
 */
export function fitFromAnchors(samples: readonly ClockSample[], untilRaw?: bigint): ClockFit | undefined {
  const rest = leastDelayed(samples).sort((a, b) => compare(b.unixHigh - b.raw, a.unixHigh - a.raw));
  while (rest.length > 0) {
    const fit = fitFromSamples(rest, untilRaw === undefined ? {} : { untilRaw });
    if (fit !== undefined) return fit;
    rest.pop();
  }
  return undefined;
}

/** At most MAX_ANCHORS, spread over the log: of each stretch the one that was printed with the least delay. */
function leastDelayed(samples: readonly ClockSample[]): ClockSample[] {
  const stretch = Math.ceil(samples.length / MAX_ANCHORS);
  const kept: ClockSample[] = [];
  for (let at = 0; at < samples.length; at += stretch) {
    kept.push(samples.slice(at, at + stretch).reduce((best, next) => (next.unixLow - next.raw > best.unixLow - best.raw ? next : best)));
  }
  return kept;
}

/** The two lines that align guests of one hypervisor, or undefined where a log lacks one. */
export function readKvmClockAnchor(batch: LogBatch, rows?: RowRange): KvmClockAnchor | undefined {
  return readPrintkAnchors(batch, rows).kvm;
}

/** The child's printk clock through the host's: what is added to a child's stamp is known, so only the base moves. */
export function fitFromKvmAnchors(child: KvmClockAnchor, host: KvmClockAnchor, hostFit: ClockFit): ClockFit {
  const shift = child.schedOffsetNs - child.stableShiftNs - (host.schedOffsetNs - host.stableShiftNs);
  return { ...hostFit, baseRaw: hostFit.baseRaw - shift, errorNs: hostFit.errorNs + KVM_ERROR_NS };
}

function absolute(value: bigint): bigint {
  return value < 0n ? -value : value;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
