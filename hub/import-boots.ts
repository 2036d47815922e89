/**
 * The boots in one imported log, and when each of them was: a console file may hold several, one after the other.
 *
 *   … text of the firmware        ┐
 *   [    0.000000] Linux version  │ boot 0: a mark begins another boot where one was before it, or where time goes back to it
 *   [   12.000000] reboot         ┘
 *   [    0.000000] Linux version  ┐ boot 1
 *   …                             ┘
 *
 * A boot's clock is, best first: Unix stamps in the file; the time zero that the user gave (for the first boot); the host
 * kernel's clock through KVM; lines that tell the time (clock/printk-anchors.ts); the time at which a crash record was made; a
 * neighbouring boot that ends where this one
 * begins; the time at which the file was last written, taken for its last line.
 */
import { createHash } from 'node:crypto';
import { fitFromSamples, type ClockFit } from '../clock/fit.ts';
import { fitFromAnchors, fitFromKvmAnchors, PrintkAnchorScan, type KvmClockAnchor, type RowRange } from '../clock/printk-anchors.ts';
import { ensureDefined } from '../base/assert.ts';
import { decodeUtf8 } from '../base/bytes.ts';
import type { ImportResult } from '../model/api.ts';
import { LOG_FLAG, type LogBatch } from '../model/log-batch.ts';
import type { InputMoment } from '../model/parser.ts';
import { NO_RAW_TIME } from '../model/time.ts';

/** dmesg -T shows whole seconds, and drifts by what the machine slept. */
const UNIX_STAMP_ERROR_NS = 1_000_000_000;
/** A person copied the number from somewhere. */
export const GIVEN_ERROR_NS = 1_000_000;
/** A file is as a rule written while its kernel runs, but may have been copied long after. */
export const FILE_TIME_ERROR_NS = 30 * 86_400 * 1_000_000_000;

export interface Boot {
  readonly index: number;
  rows: number;
  /** Stamps, or NO_RAW_TIME where no row has one. */
  minRaw: bigint;
  maxRaw: bigint;
  release: string;
  /** What its lines say of its clock, over all pieces that the file is read in. */
  readonly scan: PrintkAnchorScan;
  /** What the file says of it beside its lines: at these stamps it was so late. */
  readonly moments: InputMoment[];
}

export interface HostClock {
  readonly kvm: KvmClockAnchor;
  readonly fit: ClockFit;
}

export type ClockOrigin = ImportResult['kernels'][number]['clock'];

export interface BootClock {
  readonly fit: ClockFit;
  readonly origin: ClockOrigin;
  /** Added to the wall clock in front of the lines: the zone in which it was, as far as other lines tell. */
  readonly wallShiftNs?: bigint;
}

export function createBoot(index: number): Boot {
  return { index, rows: 0, minRaw: NO_RAW_TIME, maxRaw: NO_RAW_TIME, release: '', scan: new PrintkAnchorScan(), moments: [] };
}

export interface BootRows extends RowRange {
  readonly boot: number;
}

/** Divides rows into boots as they come; what it knows of the last boot goes on from piece to piece. */
export class BootSplitter {
  #boot = 0;
  #hasMark = false;
  #maxRaw = NO_RAW_TIME;

  split(batch: LogBatch): BootRows[] {
    const ranges: BootRows[] = [];
    let from = 0;
    for (let row = 0; row < batch.length; row++) {
      const raw = batch.rawTime.getBigint(row);
      const isMark = ((batch.flags[row] as number) & LOG_FLAG.bootMark) !== 0;
      // Some lines of a boot come before its mark, at the same stamp.
      if (isMark && (this.#hasMark || this.#maxRaw > raw)) {
        if (row > from) ranges.push({ boot: this.#boot, from, to: row });
        from = row;
        this.#boot++;
        this.#maxRaw = NO_RAW_TIME;
      }
      this.#hasMark ||= isMark;
      if (raw > this.#maxRaw) this.#maxRaw = raw;
    }
    if (batch.length > from) ranges.push({ boot: this.#boot, from, to: batch.length });
    return ranges;
  }
}

/** Notes what rows of a boot say about it. */
export function surveyRows(boot: Boot, batch: LogBatch, range: RowRange): void {
  boot.rows += range.to - range.from;
  for (let row = range.from; row < range.to; row++) {
    if (boot.release === '' && isVersionLine(batch, row)) boot.release = releaseOf(batch, row);
    noteRaw(boot, batch.rawTime.getBigint(row));
  }
  boot.scan.add(batch, range);
}

export function noteRaw(boot: Boot, raw: bigint): void {
  if (raw === NO_RAW_TIME) return;
  if (boot.minRaw === NO_RAW_TIME || raw < boot.minRaw) boot.minRaw = raw;
  if (raw > boot.maxRaw) boot.maxRaw = raw;
}

const CAPITAL_L = 0x4c;

/** With the mark of a boot, or behind one that journalctl told. */
function isVersionLine(batch: LogBatch, row: number): boolean {
  const flags = batch.flags[row] as number;
  if ((flags & LOG_FLAG.bootMark) !== 0) return true;
  return (
    batch.text[batch.textStart[row] as number] === CAPITAL_L &&
    (flags & (LOG_FLAG.userSpace | LOG_FLAG.timeUncertain)) === LOG_FLAG.timeUncertain &&
    batch.rawTime.getBigint(row) !== NO_RAW_TIME
  );
}

const RELEASE = /Linux version (\S{1,128})/;

function releaseOf(batch: LogBatch, row: number): string {
  const start = batch.textStart[row] as number;
  return RELEASE.exec(decodeUtf8(batch.text, start, Math.min(batch.textEnd[row] as number, start + 256)))?.[1] ?? '';
}

export interface ClockHints {
  readonly isUnix: boolean;
  readonly timeZeroUnixNs: bigint | undefined;
  readonly modifiedUnixNs: bigint;
  /** How far from the end of the log that may be; default: FILE_TIME_ERROR_NS. */
  readonly modifiedErrorNs?: number | undefined;
  readonly host: HostClock | undefined;
}

/** The clock of each boot. */
export function fitBoots(boots: readonly Boot[], hints: ClockHints): BootClock[] {
  const clocks: (BootClock | undefined)[] = boots.map((boot) => fitAlone(boot, hints));
  const last = boots.length - 1;
  if (!clocks.some((clock) => clock !== undefined)) {
    clocks[last] = {
      fit: shift(hints.modifiedUnixNs - endOf(boots[last]), hints.modifiedErrorNs ?? FILE_TIME_ERROR_NS),
      origin: 'end of the file',
    };
  }
  // Backwards: a boot ends where the next one begins. Then forwards, for those behind the last known one.
  for (let index = last - 1; index >= 0; index--) {
    const next = clocks[index + 1];
    if (clocks[index] === undefined && next !== undefined) clocks[index] = fitBeside(next, unixAt(next.fit, 0n) - endOf(boots[index]));
  }
  for (let index = 1; index <= last; index++) {
    const before = clocks[index - 1];
    if (clocks[index] === undefined && before !== undefined) clocks[index] = fitBeside(before, unixAt(before.fit, endOf(boots[index - 1])));
  }
  return clocks.map((clock) => ensureDefined(clock, 'clock of a boot'));
}

function fitAlone(boot: Boot, hints: ClockHints): BootClock | undefined {
  if (hints.isUnix) return { fit: shift(0n, UNIX_STAMP_ERROR_NS), origin: 'unix stamps' };
  if (hints.timeZeroUnixNs !== undefined && boot.index === 0) {
    return { fit: shift(hints.timeZeroUnixNs, GIVEN_ERROR_NS), origin: 'time zero given' };
  }
  const { kvm, samples } = boot.scan.anchors();
  // Through the hypervisor a guest is set against its host to a microsecond; its own lines tell the time to some 100 ms.
  if (kvm !== undefined && hints.host !== undefined) {
    return { fit: fitFromKvmAnchors(kvm, hints.host.kvm, hints.host.fit), origin: 'clock of the host' };
  }
  const untilRaw = boot.maxRaw === NO_RAW_TIME ? undefined : boot.maxRaw;
  const fit = fitFromAnchors(samples, untilRaw);
  const ofLines = boot.moments.filter(({ ofLine }) => ofLine !== undefined);
  const stamped = fitFromMoments(ofLines, untilRaw);
  if (stamped !== undefined) return chooseClock(fit, stamped, ofLines[0]?.ofLine === 'zoned');
  if (fit !== undefined) return { fit, origin: 'log lines that tell the time' };
  const [moment] = boot.moments;
  if (moment === undefined) return undefined;
  const halfNs = (moment.unixHigh - moment.unixLow) / 2n;
  return { fit: shift(moment.unixLow + halfNs - moment.raw, Number(halfNs)), origin: 'time of the crash record' };
}

/** Moments that a fit is tried with: each round costs the square. */
const MAX_MOMENTS = 128;
const QUARTER_NS = 900_000_000_000;
/** Zones reach from 12 hours behind to 14 before. */
const MAX_QUARTERS = 57;
/** An RTC is that near to the wall clock. */
const NEAR_NS = 60_000_000_000;

/** Between what the kernel's lines say of UTC and the wall clock of who logged them, which may be another zone's, or right where an RTC is not. */
function chooseClock(told: ClockFit | undefined, stamped: ClockFit, isZoned: boolean): BootClock {
  const byStamps: BootClock = { fit: stamped, origin: 'wall clock in front of the lines' };
  if (told === undefined) return byStamps;
  const apartNs = Number(unixAt(told, stamped.baseRaw) - stamped.baseUnixNs);
  const quarters = Math.round(apartNs / QUARTER_NS);
  const isZone = Math.abs(quarters) <= MAX_QUARTERS && Math.abs(apartNs - quarters * QUARTER_NS) < NEAR_NS;
  if (!isZone || (isZoned && quarters !== 0) || (quarters === 0 && stamped.errorNs < told.errorNs)) return byStamps;
  return { fit: told, origin: 'log lines that tell the time', wallShiftNs: BigInt(quarters) * BigInt(QUARTER_NS) };
}

/** Lines are stamped late, never early: while no line goes through all moments, the latest is left out. */
function fitFromMoments(moments: readonly InputMoment[], untilRaw: bigint | undefined): ClockFit | undefined {
  const step = Math.ceil(moments.length / MAX_MOMENTS);
  const late = ({ raw, unixLow }: InputMoment): bigint => unixLow - raw;
  const kept: InputMoment[] = [];
  for (let at = 0; at < moments.length; at += step)
    kept.push(moments.slice(at, at + step).reduce((least, next) => (late(next) < late(least) ? next : least)));
  kept.sort((a, b) => (late(a) < late(b) ? -1 : 1));
  for (; kept.length > 0; kept.pop()) {
    const fit = fitFromSamples(
      kept.toSorted((a, b) => (a.raw < b.raw ? -1 : 1)),
      untilRaw === undefined ? {} : { untilRaw },
    );
    if (fit !== undefined) return fit;
  }
  return undefined;
}

/** The zero of a boot's clock, told by its neighbour. */
function fitBeside(neighbour: BootClock, zeroUnixNs: bigint): BootClock {
  return { fit: shift(zeroUnixNs, Math.max(neighbour.fit.errorNs, FILE_TIME_ERROR_NS)), origin: 'other boots of the file' };
}

function shift(zeroUnixNs: bigint, errorNs: number): ClockFit {
  return { baseRaw: 0n, baseUnixNs: zeroUnixNs, nsPerTick: 1, errorNs };
}

function unixAt(fit: ClockFit, raw: bigint): bigint {
  return fit.baseUnixNs + BigInt(Math.round(Number(raw - fit.baseRaw) * fit.nsPerTick));
}

function endOf(boot: Boot | undefined): bigint {
  return boot === undefined || boot.maxRaw === NO_RAW_TIME ? 0n : boot.maxRaw;
}

/** A boot id that the same file always gets: UUID-shaped, from the content, whose it is, and the boot's number. */
export function toBootId(importKey: string, boot: number): string {
  const hex = createHash('sha256').update(`${importKey}\n${boot}`).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
