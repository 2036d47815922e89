/**
 * Syslog files (`kern.log`, `messages`, `syslog`, of rsyslog, syslog-ng, busybox), text of journalctl in its short forms, and consoles that
 * something stamped with the wall clock on their way (ts, minicom, conserver). Lines: syslog-line.ts; times: syslog-time.ts.
 *
 *   -- Boot 5f1d0a3c9d4e4a5b8c7d6e5f4a3b2c1d --                             journalctl's own: no row, a boot begins
 *   Nov 26 14:28:28 web1 kernel: [    0.000000] Linux version 6.12.117 …    the kernel's: its stamp is the row's time
 *   Nov 26 14:28:29 web1 sshd[812]: Accepted publickey …                    a program's: userSpace; no raw time but the daemon's, as observedTime
 *   Nov 26 14:28:30 web1 kernel: first line of a record
 *                                second line                                indented: of the record before
 *   Nov 26 14:28:31 web1 systemd-journald[101]: Missed 13 kernel messages   loss
 *
 * Where no line of the kernel carries a stamp (journalctl -o short) all times are Unix, as the daemon noted them, and uncertain.
 * Not handled: `#033` for control bytes (rsyslog cannot be undone: `#` is not escaped), `last message repeated 5 times` (a row as it stands).
 * Spec: RFC 3164, RFC 5424, rsyslog templates, systemd src/shared/logs-show.c.
 */
import { encodeUtf8 } from '../base/bytes.ts';
import { ATTR } from '../model/attributes.ts';
import { LOG_FLAG, type LogBatch } from '../model/log-batch.ts';
import { createCounts, type InputHints, type InputLoss, type InputMoment, type LogParser, type ParserSession } from '../model/parser.ts';
import { LEVEL_UNKNOWN } from '../model/severity.ts';
import type { ClockDomain } from '../model/time.ts';
import { BootPhase, startsWith } from './boot-phase.ts';
import { ConsolePrefix } from './console-prefix.ts';
import { MissedMessages } from './missed-messages.ts';
import { guessLevel } from './printk-level.ts';
import { setMicrosNs } from './raw-time.ts';
import { SyslogClock } from './syslog-clock.ts';
import { SyslogLine } from './syslog-line.ts';
import { judgeSyslog, SYSLOG_HEAD_BYTES, type SyslogShape } from './syslog-sniff.ts';
import { stripControls } from './terminal-text.ts';
import { ToldBoots } from './told-boots.ts';

const NEWLINE = 10;
const CARRIAGE_RETURN = 13;
const TAB = 9;
const SPACE = 32;
const DASH = 45;
const ESCAPE = 27;
const MAX_RECORD_BYTES = 64 << 10;
const NEW_BOOT = /^-- (?:Boot [0-9a-f]{32}|Reboot) --/;
const OWN_LINE = /^-- (?:Boot [0-9a-f]{32} --|Reboot --|Logs begin at |Journal begins at |No entries --)/;
const JOURNALD = encodeUtf8('systemd-journald[');
/** Without a head to judge by. */
const DEFAULT_SHAPE: SyslogShape = { style: 'host', domain: 'unix', host: '' };

export const syslog: LogParser = {
  id: 'syslog',
  title: 'syslog files and text of journalctl',
  yields: 'logs',
  sniff: (head) => judgeSyslog(head) !== undefined,
  open: (hints) => new Session(hints),
};

class Session implements ParserSession<LogBatch> {
  readonly counts = createCounts();
  readonly #line: SyslogLine;
  readonly #prefix = new ConsolePrefix();
  readonly #phase = new BootPhase();
  readonly #clock = new SyslogClock();
  readonly #missed = new MissedMessages();
  readonly #boots = new ToldBoots();
  #shape: SyslogShape | undefined;
  #sequence = 0;
  constructor(hints: InputHints | undefined) {
    this.#line = new SyslogLine(hints?.writtenUnixNs);
  }

  parse(bytes: Uint8Array, batch: LogBatch): number {
    // What kind of file it is shows in its first lines, wherever they are cut.
    if (this.#shape === undefined && bytes.length < SYSLOG_HEAD_BYTES) return 0;
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
    this.#shape ??= judgeSyslog(bytes) ?? DEFAULT_SHAPE;
    const base = batch.appendText(bytes);
    const input = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    let at = 0;
    while (at < bytes.length) {
      const end = findRecordEnd(bytes, at, atEnd);
      if (end < 0) break;
      this.#takeRecord(input, at, end, batch, base);
      at = end;
    }
    this.counts.parsedBytes += at;
    batch.textLength = base + at;
    batch.clock = this.#shape.domain satisfies ClockDomain as ClockDomain;
    return at;
  }

  /** A line and what is indented behind it; `end` is behind its newline. */
  #takeRecord(input: Buffer, at: number, end: number, batch: LogBatch, base: number): void {
    const last = trimEnd(input, at, end);
    if (last === at) return;
    if (input[at] === DASH && input[at + 1] === DASH) {
      const head = input.toString('latin1', at, Math.min(last, at + 80));
      if (NEW_BOOT.test(head)) this.#boots.announce();
      if (OWN_LINE.test(head)) return;
    }
    const { style, domain, host } = this.#shape as SyslogShape;
    const line = this.#line;
    const newline = input.indexOf(NEWLINE, at);
    const isDated = line.read(input, at, newline < 0 || newline > last ? last : newline, style);
    const isKernel = isDated && (style === 'capture' || line.isKernel);
    const row = batch.openRow();
    let textAt = base + line.textAt;
    let textEnd = joinLines(batch.text, textAt, base + last, line.messageAt - at);
    const prefix = this.#prefix;
    let isStamped = false;
    if (isKernel) {
      if (style === 'capture') textEnd = cleanUp(batch.text, textAt, textEnd);
      // A stamp of another kind, or beside one of the journal, is text.
      const stampedAt = prefix.read(batch.text, textAt);
      isStamped = prefix.stamped && domain === 'printk' && style !== 'monotonic' && stampedAt <= textEnd;
      if (isStamped) textAt = stampedAt;
    }
    batch.textStart[row] = textAt;
    batch.textEnd[row] = textEnd;
    batch.sequence[row] = this.#sequence++;
    // What a capture shows without a stamp may be anybody's: firmware, user space, the second line of a record.
    let flags = isKernel && (style !== 'capture' || isStamped) ? 0 : LOG_FLAG.userSpace;
    this.#setSource(batch, row, isStamped);
    if (line.host !== '' && host !== '' && line.host !== host) batch.attributes.add(ATTR.hostName, line.host);
    const stampMicros = isStamped ? prefix.seconds * 1e6 + prefix.nanos / 1000 : ((isDated ? line.monotonicMicros : undefined) ?? -1);
    flags |= this.#judgeText(batch, row, flags, stampMicros);
    const wallMicros = isDated ? line.wall.micros : undefined;
    if (wallMicros !== undefined && wallMicros >= 0) setMicrosNs(batch.observedTime, row, wallMicros);
    const isMark = (flags & LOG_FLAG.bootMark) !== 0;
    batch.flags[row] = flags | this.#setTime(batch, row, stampMicros, wallMicros, isMark);
    this.#missed.follow(domain === 'unix' ? (wallMicros ?? -1) : stampMicros);
    batch.closeRow();
    this.counts.records++;
  }

  #setSource(batch: LogBatch, row: number, isStamped: boolean): void {
    const line = this.#line;
    const prefix = this.#prefix;
    const hasLevel = isStamped && prefix.level !== LEVEL_UNKNOWN;
    batch.level[row] = hasLevel ? prefix.level : line.level;
    batch.facility[row] = hasLevel ? prefix.facility : line.facility;
    batch.pid[row] = isStamped && prefix.pid >= 0 ? prefix.pid : line.pid;
    if (isStamped) batch.cpu[row] = prefix.cpu;
  }

  /** Sets the row's time; returns its flag. */
  #setTime(batch: LogBatch, row: number, stampMicros: number, wallMicros: number | undefined, isMark: boolean): number {
    if (this.#shape?.domain === 'unix') {
      if (wallMicros !== undefined && wallMicros >= 0) setMicrosNs(batch.rawTime, row, wallMicros);
      return LOG_FLAG.timeUncertain;
    }
    if (stampMicros >= 0) {
      this.#clock.follow(stampMicros, isMark);
      if (wallMicros !== undefined) this.#clock.compare(wallMicros, stampMicros, this.#line.wall);
      setMicrosNs(batch.rawTime, row, stampMicros);
      return 0;
    }
    this.#clock.follow(-1, isMark);
    return LOG_FLAG.timeUncertain;
  }

  /** Flags that come from the text; sets a guessed level. */
  #judgeText(batch: LogBatch, row: number, known: number, stampMicros: number): number {
    const { text } = batch;
    const start = batch.textStart[row] as number;
    const end = batch.textEnd[row] as number;
    if ((known & LOG_FLAG.userSpace) !== 0) {
      const missed = startsWith(text, start, end, JOURNALD) ? this.#missed.read(batch.textOf(row)) : 0;
      this.counts.lost += missed;
      return this.#boots.mark(missed > 0 ? LOG_FLAG.lossNotice : 0);
    }
    const flags = this.#boots.mark(this.#phase.flagsOf(text, start, end, Math.max(stampMicros, 0) / 1e6));
    if (batch.level[row] !== LEVEL_UNKNOWN) return flags;
    const level = guessLevel(text, start, end);
    if (level === LEVEL_UNKNOWN) return flags;
    batch.level[row] = level;
    return flags | LOG_FLAG.levelGuessed;
  }
}

/** Behind the line at `at` and those that go on with it; -1 while that is not known. */
function findRecordEnd(bytes: Uint8Array, at: number, atEnd: boolean): number {
  for (let from = at; ;) {
    const newline = bytes.indexOf(NEWLINE, from);
    if (newline < 0 || newline - at > MAX_RECORD_BYTES) {
      if (bytes.length - at > MAX_RECORD_BYTES) return at + MAX_RECORD_BYTES;
      return atEnd ? bytes.length : -1;
    }
    const next = bytes[newline + 1];
    if (next === undefined) return atEnd ? bytes.length : -1;
    // A record that begins indented is one of its own: nothing stands before it.
    if (next !== SPACE && next !== TAB) return newline + 1;
    from = newline + 1;
  }
}

function trimEnd(bytes: Uint8Array, at: number, end: number): number {
  let last = end;
  while (last > at && (bytes[last - 1] === NEWLINE || bytes[last - 1] === CARRIAGE_RETURN)) last--;
  return last;
}

/** Takes out, in place, what indents the further lines of `text[start, end)`, at most `width`; returns the new end. */
function joinLines(text: Uint8Array, start: number, end: number, width: number): number {
  let from = text.indexOf(NEWLINE, start);
  if (from < 0 || from >= end) return end;
  let to = from;
  while (from < end) {
    text[to++] = text[from++] as number;
    if (text[to - 1] !== NEWLINE) continue;
    for (const stop = Math.min(end, from + width); from < stop && (text[from] === SPACE || text[from] === TAB);) from++;
  }
  return to;
}

/** Of a terminal's controls, as a console's text is. */
function cleanUp(text: Uint8Array, start: number, end: number): number {
  for (let at = start; at < end; at++) if (text[at] === ESCAPE || text[at] === 0) return stripControls(text, start, end);
  return end;
}
