/**
 * One entry of systemd's journal as a row, and the session that the forms of `journalctl -o` share (journal-export.ts, journal-json.ts,
 * journal-verbose.ts):
 *
 *   MESSAGE                        text; of a program with its name and pid in front, as syslog has it
 *   PRIORITY, SYSLOG_FACILITY      level, facility
 *   _TRANSPORT=kernel              the kernel's, where its facility is 0; all others are userSpace
 *   _SOURCE_MONOTONIC_TIMESTAMP    µs on the printk clock: the stamp of a kernel's record
 *   __REALTIME_TIMESTAMP           when journald took it: observedTime; of a program, with _SOURCE_REALTIME_TIMESTAMP, all the time it has
 *   __MONOTONIC_TIMESTAMP          the same moment on the kernel's clock: how long the record had waited
 *   _BOOT_ID                       another one begins a boot
 *   _KERNEL_SUBSYSTEM, _KERNEL_DEVICE      attributes SUBSYSTEM and DEVICE, as /dev/kmsg has them
 *
 * Not kept: cursors, ids of machine and session, units, command lines.
 * Spec: systemd.journal-fields(7), systemd JOURNAL_EXPORT_FORMATS.
 */
import { encodeUtf8 } from '../base/bytes.ts';
import { LOG_FLAG, type LogBatch } from '../model/log-batch.ts';
import { countMalformed, createCounts, type InputLoss, type InputMoment, type ParserSession } from '../model/parser.ts';
import { LEVEL_UNKNOWN } from '../model/severity.ts';
import { BootPhase } from './boot-phase.ts';
import { MissedMessages } from './missed-messages.ts';
import { setMicrosNs } from './raw-time.ts';
import { SyslogClock } from './syslog-clock.ts';
import { ToldBoots } from './told-boots.ts';

/** Field → value; a value that is no UTF-8 is in it as far as it can be read. */
export type JournalFields = ReadonlyMap<string, string>;

export interface JournalPiece {
  /** Behind it in the bytes. */
  readonly end: number;
  /** Undefined = nothing of an entry: blank lines, or what `malformed` says. */
  readonly fields?: JournalFields;
  readonly malformed?: string;
}

/** Reads the piece at `at`; undefined while it is not all there. */
export type ReadJournalPiece = (bytes: Uint8Array, at: number, atEnd: boolean) => JournalPiece | undefined;

/** The clocks of kernel and journal part by some 100 ppm, and are cut to µs. */
const CLOCK_STEP_MICROS = 1000;
const MAX_MICROS = 2 ** 53;

export class JournalSession implements ParserSession<LogBatch> {
  readonly counts = createCounts();
  readonly #readPiece: ReadJournalPiece;
  readonly #phase = new BootPhase();
  readonly #clock = new SyslogClock();
  readonly #missed = new MissedMessages();
  readonly #boots = new ToldBoots();
  #bootId: string | undefined;
  #sequence = 0;

  constructor(readPiece: ReadJournalPiece) {
    this.#readPiece = readPiece;
  }

  parse(bytes: Uint8Array, batch: LogBatch): number {
    return this.#read(bytes, batch, false);
  }

  finish(bytes: Uint8Array, batch: LogBatch): number {
    const at = this.#read(bytes, batch, true);
    this.#missed.finish();
    return at;
  }

  takeLosses(): InputLoss[] {
    return this.#missed.take();
  }

  takeMoments(): InputMoment[] {
    return this.#clock.takeMoments();
  }

  #read(bytes: Uint8Array, batch: LogBatch, atEnd: boolean): number {
    let at = 0;
    while (at < bytes.length) {
      const piece = this.#readPiece(bytes, at, atEnd);
      if (piece === undefined) break;
      if (piece.malformed !== undefined) countMalformed(this.counts, piece.malformed, bytes, at, piece.end);
      else if (piece.fields !== undefined && !piece.fields.has('MESSAGE'))
        countMalformed(this.counts, 'entry without a message', bytes, at, piece.end);
      else {
        this.counts.parsedBytes += piece.end - at;
        if (piece.fields !== undefined) this.#addRow(piece.fields, batch);
      }
      at = piece.end;
    }
    return at;
  }

  #addRow(fields: JournalFields, batch: LogBatch): void {
    const facility = readNumber(fields, 'SYSLOG_FACILITY') ?? 0;
    const isKernel = fields.get('_TRANSPORT') === 'kernel' && facility === 0;
    const row = batch.openRow();
    const text = encodeUtf8(isKernel ? (fields.get('MESSAGE') as string) : nameOf(fields) + fields.get('MESSAGE'));
    batch.textStart[row] = batch.appendText(text);
    batch.textEnd[row] = batch.textLength;
    batch.sequence[row] = this.#sequence++;
    const level = readNumber(fields, 'PRIORITY') ?? LEVEL_UNKNOWN;
    batch.level[row] = level > 7 ? LEVEL_UNKNOWN : level;
    batch.facility[row] = facility & 0xffff;
    batch.pid[row] = isKernel ? -1 : (readNumber(fields, '_PID') ?? readNumber(fields, 'SYSLOG_PID') ?? -1) | 0;
    const observed = readNumber(fields, '__REALTIME_TIMESTAMP');
    const wall = isKernel ? observed : (readNumber(fields, '_SOURCE_REALTIME_TIMESTAMP') ?? observed);
    if (wall !== undefined) setMicrosNs(batch.observedTime, row, wall);
    this.#noteBoot(fields.get('_BOOT_ID'));
    const stamp = fields.get('_TRANSPORT') === 'kernel' ? readNumber(fields, '_SOURCE_MONOTONIC_TIMESTAMP') : undefined;
    const flags = this.#boots.mark(this.#judge(fields, text, isKernel, stamp ?? 0));
    batch.flags[row] = stamp === undefined ? flags | LOG_FLAG.timeUncertain : flags;
    this.#clock.follow(stamp ?? -1, (flags & LOG_FLAG.bootMark) !== 0);
    if (stamp !== undefined) {
      setMicrosNs(batch.rawTime, row, stamp);
      const taken = readNumber(fields, '__MONOTONIC_TIMESTAMP');
      const clocks = { stepMicros: CLOCK_STEP_MICROS, isZoned: true };
      if (observed !== undefined && taken !== undefined && taken >= stamp) this.#clock.compare(observed - (taken - stamp), stamp, clocks);
    }
    this.#missed.follow(stamp ?? -1);
    addAttribute(batch, 'SUBSYSTEM', fields.get('_KERNEL_SUBSYSTEM'));
    addAttribute(batch, 'DEVICE', fields.get('_KERNEL_DEVICE'));
    batch.closeRow();
    this.counts.records++;
  }

  #noteBoot(bootId: string | undefined): void {
    if (bootId === undefined || bootId === this.#bootId) return;
    if (this.#bootId !== undefined) this.#boots.announce();
    this.#bootId = bootId;
  }

  #judge(fields: JournalFields, text: Uint8Array, isKernel: boolean, stampMicros: number): number {
    if (isKernel) return this.#phase.flagsOf(text, 0, text.length, stampMicros / 1e6);
    const missed = fields.get('SYSLOG_IDENTIFIER') === 'systemd-journald' ? this.#missed.read(fields.get('MESSAGE') as string) : 0;
    this.counts.lost += missed;
    return missed > 0 ? LOG_FLAG.userSpace | LOG_FLAG.lossNotice : LOG_FLAG.userSpace;
  }
}

/** `sshd[812]: `, as a syslog daemon puts in front. */
function nameOf(fields: JournalFields): string {
  const name = fields.get('SYSLOG_IDENTIFIER') ?? fields.get('_COMM');
  if (name === undefined) return '';
  const pid = fields.get('_PID') ?? fields.get('SYSLOG_PID');
  return pid === undefined ? `${name}: ` : `${name}[${pid}]: `;
}

function readNumber(fields: JournalFields, name: string): number | undefined {
  const text = fields.get(name);
  const value = text === undefined || !/^\d{1,16}$/.test(text) ? Number.NaN : Number(text);
  return value < MAX_MICROS ? value : undefined;
}

function addAttribute(batch: LogBatch, key: string, value: string | undefined): void {
  if (value !== undefined) batch.attributes.add(key, value);
}
