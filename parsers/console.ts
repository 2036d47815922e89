/**
 * Console text: what a kernel wrote to a serial line, to mktty, netconsole or a file, and what `dmesg` prints.
 *
 *   Booting instance 'runtime-g3' (ID: 23)...\r\n                   firmware, boot loader, user space: no stamp
 *   \e[0m[    0.000000] Linux version 7.0.0 …\r\n                   ANSI escapes and NULs are taken out; a boot starts
 *   <4>[    1.204500][  T123] usb 1-1: …\n                          prefix: console-prefix.ts
 *   MK_AGENT_ST[    1.204511] virtio-pci 0000:00:01.0: …\n          a stamp in the middle of a line starts a new record;
 *   ART port=7103\n                                                 the part before it is flagged torn
 *   ** 123 printk messages dropped **\n                             loss
 *
 * A line without a stamp is a record of its own, in its place, with NO_RAW_TIME and flagged timeUncertain: show it under the
 * stamp of the record before it (the one after it at the start of an input), and never sort by time alone.
 * dmesg and vmcore-dmesg print the further lines of a record without a stamp, as far from the left as its text: each is a row with the
 * record's time and level, flagged continuation.
 * A carriage return ends a line as a newline does, and empty lines yield nothing. Bytes of serial noise stay in the text.
 * Not handled: syslog files (`Nov 23 07:39:46 host kernel: …`, syslog.ts), joining the lines of one report (correlate/ does).
 * Spec: kernel/printk/printk.c (print_prefix, console_prepend_dropped), util-linux sys-utils/dmesg.c.
 */
import { encodeUtf8 } from '../base/bytes.ts';
import { LOG_FLAG, type LogBatch } from '../model/log-batch.ts';
import { createCounts, type InputLoss, type LogParser, type ParserSession } from '../model/parser.ts';
import { LEVEL_UNKNOWN } from '../model/severity.ts';
import { BootPhase, startsWith } from './boot-phase.ts';
import { findMark } from './find-mark.ts';
import { ConsolePrefix, findMidLineStart, STAMP_LOOKAHEAD } from './console-prefix.ts';
import { ConsoleClock } from './console-clock.ts';
import { sniffConsole } from './console-sniff.ts';
import { guessLevel } from './printk-level.ts';
import { setSecondsNs } from './raw-time.ts';
import { stripControls } from './terminal-text.ts';

const NEWLINE = 10;
const CARRIAGE_RETURN = 13;
const ESCAPE = 27;
const OPEN = 91;
const STAR = 42;
const SPACE = 32;

/** A longer line is cut into records of this size, flagged torn. The kernel's lines are below 2 KiB. */
const MAX_LINE_BYTES = 16 << 10;
const NOTICE = encodeUtf8('** ');
const DROPPED = encodeUtf8(' printk messages dropped **');

export interface ConsoleOptions {
  /** Number of the first record: a follower that resumes goes on counting. */
  readonly firstSequence?: number;
}

export const consoleText: LogParser = {
  id: 'console',
  title: 'console and dmesg text',
  yields: 'logs',
  sniff: sniffConsole,
  open: () => openConsole(),
};

export function openConsole(options: ConsoleOptions = {}): ParserSession<LogBatch> {
  return new Session(options.firstSequence ?? 0);
}

/** What a record's further lines share with its first. */
interface RowSource {
  readonly facility: number;
  readonly pid: number;
  readonly cpu: number;
  readonly level: number;
  readonly flags: number;
}

const KEPT_FLAGS = LOG_FLAG.timeUncertain | LOG_FLAG.userSpace | LOG_FLAG.levelGuessed;

function sourceOf({ facility, pid, cpu, level, flags }: LogBatch, row: number): RowSource {
  return {
    facility: facility[row] as number,
    pid: pid[row] as number,
    cpu: cpu[row] as number,
    level: level[row] as number,
    flags: flags[row] as number,
  };
}

class Session implements ParserSession<LogBatch> {
  readonly counts = createCounts();
  readonly #clock = new ConsoleClock();
  readonly #phase = new BootPhase();
  readonly #prefix = new ConsolePrefix();
  /** For stamps in the middle of a line, so that the prefix at hand stays. */
  readonly #scratch = new ConsolePrefix();
  #sequence: number;
  /** Width of the prefix of the last line that had a time; 0 where a line without one came since. */
  #indent = 0;
  /** Of the last row of the batch before. */
  #last: RowSource = { facility: 0, pid: -1, cpu: -1, level: LEVEL_UNKNOWN, flags: 0 };
  // The segment at hand, filled by #findSegment.
  #textAt = 0;
  #end = 0;
  #next = 0;
  #dirty = false;
  #torn = false;
  #view: DataView = new DataView(new ArrayBuffer(0));

  constructor(firstSequence: number) {
    this.#sequence = firstSequence;
  }

  parse(bytes: Uint8Array, batch: LogBatch): number {
    return this.#read(bytes, batch, false);
  }

  finish(bytes: Uint8Array, batch: LogBatch): number {
    const at = this.#read(bytes, batch, true);
    this.#clock.closeLoss();
    return at;
  }

  takeLosses(): InputLoss[] {
    return this.#clock.losses.take();
  }

  #read(input: Uint8Array, batch: LogBatch, atEnd: boolean): number {
    // A Buffer is a second class of array, which makes each access slower.
    const bytes = input.constructor === Uint8Array ? input : new Uint8Array(input.buffer, input.byteOffset, input.length);
    const base = batch.appendText(bytes);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let at = 0;
    while (at < bytes.length) {
      if (!this.#findSegment(bytes, at, atEnd)) break;
      this.#takeSegment(batch, base + at, base + this.#textAt, base + this.#end);
      at = this.#next;
    }
    this.counts.parsedBytes += at;
    batch.textLength = base + at;
    if (batch.length > 0) this.#last = sourceOf(batch, batch.length - 1);
    if (this.#clock.domain === 'unix') batch.clock = 'unix';
    return at;
  }

  /** Finds the end of the record at `at` (a line, or the part of it up to a stamp); false while it may still grow. */
  #findSegment(bytes: Uint8Array, at: number, atEnd: boolean): boolean {
    const textAt = this.#prefix.readPlain(this.#view, at) || this.#readPrefix(bytes, at);
    const cutAt = at + MAX_LINE_BYTES;
    const to = Math.min(bytes.length, cutAt);
    this.#textAt = textAt;
    this.#torn = this.#dirty = false;
    for (let mark = textAt; ; mark++) {
      mark = findMark(this.#view, mark, to, OPEN);
      if (mark >= to) break;
      const byte = bytes[mark];
      if (byte === NEWLINE || byte === CARRIAGE_RETURN) {
        this.#end = mark;
        this.#next = mark + 1;
        return true;
      }
      if (byte === ESCAPE || byte === 0) this.#dirty = true;
      const start = byte === OPEN && mark > at ? findMidLineStart(this.#scratch, bytes, mark, textAt) : -1;
      if (start > at) {
        this.#torn = true;
        this.#end = this.#next = start;
        return true;
      }
    }
    // Cut only when all that could be a stamp across the cut is in sight, so that the cut does not depend on the chunks.
    this.#torn = bytes.length >= cutAt + STAMP_LOOKAHEAD || (atEnd && bytes.length > cutAt);
    this.#end = this.#next = this.#torn ? cutAt : bytes.length;
    return this.#torn || atEnd;
  }

  #readPrefix(bytes: Uint8Array, at: number): number {
    const textAt = this.#prefix.read(bytes, at);
    this.#prefix.learn(this.#view, at);
    return textAt;
  }

  /** Makes a row of the segment `[start, end)` of the arena, whose text starts at `textStart`. */
  #takeSegment(batch: LogBatch, start: number, textStart: number, end: number): void {
    const prefix = this.#prefix;
    let textAt = textStart;
    let textEnd = end;
    if (this.#dirty) {
      textEnd = stripControls(batch.text, start, end);
      // Something was taken out, so this byte is free; it keeps the prefix from reading on into the leftovers.
      batch.text[textEnd] = NEWLINE;
      textAt = prefix.read(batch.text, start);
    }
    if (textAt > textEnd) textAt = textEnd;
    if (textAt === textEnd && textEnd === start) return;
    const row = batch.openRow();
    let flags = this.#torn ? LOG_FLAG.torn : 0;
    if (
      prefix.stamped ? this.#clock.takeStamp(prefix.seconds, prefix.nanos) : prefix.time !== undefined && this.#clock.takeTime(prefix.time)
    ) {
      setSecondsNs(batch.rawTime, row, this.#clock.seconds, this.#clock.nanos);
      // What dmesg computes is off by suspends and clock steps; `-d` shows the stamp itself.
      if (!prefix.stamped && prefix.time?.kind !== 'printk') flags |= LOG_FLAG.timeUncertain;
      this.#indent = textAt - start;
    } else if (batch.text[start] === SPACE && this.#isIndented(batch.text, start, textEnd)) {
      this.#addContinuation(batch, row, start + this.#indent, textEnd, flags);
      return;
    } else {
      if (textAt < textEnd) this.#indent = 0;
      flags |= LOG_FLAG.timeUncertain;
      // A stamp on another clock than the input's first one stays in the text.
      if (prefix.stamped || prefix.time !== undefined) textAt = start;
    }
    batch.textStart[row] = textAt;
    batch.textEnd[row] = textEnd;
    batch.sequence[row] = this.#sequence++;
    batch.facility[row] = prefix.facility;
    batch.pid[row] = prefix.pid;
    batch.cpu[row] = prefix.cpu;
    batch.level[row] = prefix.level;
    batch.flags[row] = flags | this.#judgeText(batch, row, textAt, textEnd);
    batch.closeRow();
    this.counts.records++;
  }

  /** dmesg and vmcore-dmesg print further lines of a record below its text: without a stamp, so far from the left. */
  #isIndented(text: Uint8Array, start: number, end: number): boolean {
    if (this.#indent === 0 || end - start <= this.#indent) return false;
    for (let at = start; at < start + this.#indent; at++) if (text[at] !== SPACE) return false;
    return true;
  }

  /** A further line of the record in front of it. */
  #addContinuation(batch: LogBatch, row: number, textStart: number, textEnd: number, flags: number): void {
    setSecondsNs(batch.rawTime, row, this.#clock.seconds, this.#clock.nanos);
    batch.textStart[row] = textStart;
    batch.textEnd[row] = textEnd;
    batch.sequence[row] = this.#sequence++;
    const last = row > 0 ? sourceOf(batch, row - 1) : this.#last;
    batch.facility[row] = last.facility;
    batch.pid[row] = last.pid;
    batch.cpu[row] = last.cpu;
    batch.level[row] = last.level;
    batch.flags[row] = flags | LOG_FLAG.continuation | (last.flags & KEPT_FLAGS);
    batch.closeRow();
    this.counts.records++;
  }

  /** Flags that come from the text; sets a guessed level. */
  #judgeText(batch: LogBatch, row: number, start: number, end: number): number {
    if (this.#prefix.facility > 0) return LOG_FLAG.userSpace;
    const { text } = batch;
    if (text[start] === STAR && startsWith(text, start, end, NOTICE)) return this.#readNotice(text, start, end);
    // Between stamped lines an unstamped one is user space, which may well print /proc/version.
    if (this.#clock.domain !== undefined && !this.#prefix.stamped && this.#prefix.time === undefined) return 0;
    const flags = this.#phase.flagsOf(text, start, end, this.#clock.domain === 'printk' ? this.#clock.seconds : 0);
    if (this.#prefix.level !== LEVEL_UNKNOWN) return flags;
    const level = guessLevel(text, start, end);
    if (level === LEVEL_UNKNOWN) return flags;
    batch.level[row] = level;
    return flags | LOG_FLAG.levelGuessed;
  }

  /** `** 123 printk messages dropped **` (also `** replaying previous printk message **`, which loses nothing). */
  #readNotice(text: Uint8Array, start: number, end: number): number {
    let p = start + NOTICE.length;
    let count = 0;
    for (let byte = text[p] as number; p < end && byte >= 48 && byte <= 57 && count < 1e12; byte = text[++p] as number) {
      count = count * 10 + byte - 48;
    }
    if (p === start + NOTICE.length || !startsWith(text, p, end, DROPPED)) return 0;
    this.counts.lost += count;
    this.#clock.openLoss(count);
    return LOG_FLAG.lossNotice;
  }
}
