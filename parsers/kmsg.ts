/**
 * `/dev/kmsg` records, as read() returns them or as dumped to a file (one after the other, or separated by NULs).
 *
 *   6,341,1804081078,-,caller=T123;usb 1-1: new device\x0asecond line
 *   | |   |          | |           +-- text; bytes < 0x20, >= 0x7f and `\` stand as \xNN
 *   | |   |          | +-- further comma fields: `caller=` T<tid> or C<cpu>; unknown ones are skipped up to `;`
 *   | |   |          +-- `-` whole, `c` (old: `+`) a fragment that continues the previous record
 *   | |   +-- us on the printk clock
 *   | +-- sequence number, from 0 at each boot; a jump is a loss
 *   +-- facility << 3 | level
 *    SUBSYSTEM=usb        <- dictionary lines start with a space: attributes of the record
 *    DEVICE=c189:1
 *
 * A record ends where a line begins that is no dictionary line, so `parse` keeps the last one back. A live reader, whose
 * bytes are whole read()s, calls `finish` on each of them: it may be called any number of times.
 * Not handled: release and fragments of netconsole's extended form, which parsers/netconsole.ts takes off first.
 * Spec: Documentation/ABI/testing/dev-kmsg, kernel/printk/printk.c (info_print_ext_header, msg_add_ext_text).
 */
import { hexDigit } from '../base/bytes.ts';
import { NO_RAW_TIME } from '../model/time.ts';
import { LOG_FLAG, type LogBatch } from '../model/log-batch.ts';
import { countMalformed, createCounts, type InputLoss, type LogParser, type ParserSession } from '../model/parser.ts';
import { BootPhase } from './boot-phase.ts';
import { findMark } from './find-mark.ts';
import { LossList } from './losses.ts';
import { sniffNetconsole } from './netconsole.ts';
import { setMicrosNs } from './raw-time.ts';

const NEWLINE = 10;
const SPACE = 32;
const COMMA = 44;
const EQUALS = 61;
const SEMICOLON = 59;
const BACKSLASH = 92;
const SMALL_C = 99;
const SMALL_X = 120;
const PLUS = 43;

/** The kernel's own bound is 8 KiB (PRINTK_MESSAGE_MAX plus dictionary, escaped). */
const MAX_RECORD_BYTES = 64 << 10;
const MAX_PRIORITY = 0xffff * 8 + 7;
/** No header that the kernel writes is longer, but for further fields. */
const LONG_HEADER_BYTES = 80;
const UNFINISHED = -1;
const BAD = -1;
/** "caller=" after its comma. */
const CALLER = [99, 97, 108, 108, 101, 114, 61] as const;

export const kmsg: LogParser = {
  id: 'kmsg',
  title: '/dev/kmsg records',
  yields: 'logs',
  sniff,
  open: openKmsg,
};

export function openKmsg(): ParserSession<LogBatch> {
  return new Session();
}

class Session implements ParserSession<LogBatch> {
  readonly counts = createCounts();
  readonly #losses = new LossList();
  readonly #phase = new BootPhase();
  /** SEQ of the last record, -1 before the first. */
  #lastSequence = -1;
  /** Stamp of the last record, us; -1 before the first. */
  #lastMicros = -1;
  #view: DataView = new DataView(new ArrayBuffer(0));
  /** There is a backslash in the line that was looked through last. */
  #hasEscapes = false;
  // Header of the record at hand.
  #priority = 0;
  #sequence = 0;
  #micros = 0;
  #flag = 0;
  #fieldsAt = 0;

  parse(bytes: Uint8Array, batch: LogBatch): number {
    return this.#read(bytes, batch, false);
  }

  finish(bytes: Uint8Array, batch: LogBatch): number {
    return this.#read(bytes, batch, true);
  }

  takeLosses(): InputLoss[] {
    return this.#losses.take();
  }

  #read(input: Uint8Array, batch: LogBatch, atEnd: boolean): number {
    // A Buffer is a second class of array, which makes each access slower.
    const bytes = input.constructor === Uint8Array ? input : new Uint8Array(input.buffer, input.byteOffset, input.length);
    const base = batch.appendText(bytes);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let at = 0;
    while (at < bytes.length) {
      const next = this.#readRecord(bytes, at, batch, base, atEnd);
      if (next === UNFINISHED) break;
      at = next;
    }
    batch.textLength = base + at;
    return at;
  }

  /** Takes the record at `at` and returns where the next one starts. */
  #readRecord(bytes: Uint8Array, at: number, batch: LogBatch, base: number, atEnd: boolean): number {
    const first = bytes[at] as number;
    if (first === 0 || first === NEWLINE) {
      this.counts.parsedBytes++;
      return at + 1;
    }
    let textAt = at + LONG_HEADER_BYTES < bytes.length ? this.#readPlainHeader(bytes, at) : BAD;
    const end = this.#lineEnd(bytes, at, textAt === BAD ? at : textAt, atEnd);
    if (end === UNFINISHED) return UNFINISHED;
    const hasEscapes = this.#hasEscapes;
    if (end - at > MAX_RECORD_BYTES) return this.#refuse('record too long', bytes, at, at + MAX_RECORD_BYTES);
    if (textAt === BAD) textAt = this.#readHeader(bytes, at, end);
    if (textAt === BAD) {
      return this.#refuse(
        first === SPACE ? 'dictionary line without a record' : 'no kmsg header',
        bytes,
        at,
        Math.min(end + 1, bytes.length),
      );
    }
    const next = bytes[end + 1] === SPACE || end + 1 >= bytes.length ? this.#recordEnd(bytes, at, end, atEnd) : end + 1;
    if (next === UNFINISHED) return UNFINISHED;
    this.counts.parsedBytes += next - at;
    const textStart = base + textAt;
    const textEnd = hasEscapes ? unescape(batch.text, textStart, base + end) : base + end;
    const flags = this.#priority < 8 ? this.#phase.flagsOf(batch.text, textStart, textEnd, this.#micros / 1e6) : LOG_FLAG.userSpace;
    if (this.#sequence !== this.#lastSequence + 1) this.#noteJump();
    this.#lastSequence = this.#sequence;
    this.#lastMicros = this.#micros;
    this.#addRow(bytes, batch, textStart, textEnd, flags);
    if (next > end + 1) this.#addDictionary(batch, base + end + 1, base + next);
    batch.closeRow();
    this.counts.records++;
    return next;
  }

  /** A header without further fields, before the end of its line is known: where the text starts, or BAD. */
  #readPlainHeader(bytes: Uint8Array, at: number): number {
    const p = this.#readNumbers(bytes, at);
    return p !== BAD && this.#flag > SPACE && bytes[p] === SEMICOLON ? p + 1 : BAD;
  }

  /** `PRIO,SEQ,TS,FLAG` into the session's fields; returns where the text starts, or BAD. */
  #readHeader(bytes: Uint8Array, at: number, end: number): number {
    let p = this.#readNumbers(bytes, at);
    if (p === BAD) return BAD;
    while (p < end && bytes[p] !== SEMICOLON) p++;
    return p < end ? p + 1 : BAD;
  }

  /** The header up to its flag; returns what follows, or BAD. */
  #readNumbers(bytes: Uint8Array, at: number): number {
    let p = at;
    let byte = bytes[p] as number;
    let value = 0;
    while (byte >= 48 && byte <= 57) {
      value = value * 10 + byte - 48;
      byte = bytes[++p] as number;
    }
    if (byte !== COMMA || p === at || value > MAX_PRIORITY) return BAD;
    this.#priority = value;
    let from = ++p;
    byte = bytes[p] as number;
    value = 0;
    while (byte >= 48 && byte <= 57) {
      value = value * 10 + byte - 48;
      byte = bytes[++p] as number;
    }
    if (byte !== COMMA || p === from || value > Number.MAX_SAFE_INTEGER) return BAD;
    this.#sequence = value;
    from = ++p;
    byte = bytes[p] as number;
    value = 0;
    while (byte >= 48 && byte <= 57) {
      value = value * 10 + byte - 48;
      byte = bytes[++p] as number;
    }
    if (byte !== COMMA || p === from || value > Number.MAX_SAFE_INTEGER) return BAD;
    this.#micros = value;
    this.#flag = bytes[++p] as number;
    this.#fieldsAt = ++p;
    return p;
  }

  #addRow(bytes: Uint8Array, batch: LogBatch, textStart: number, textEnd: number, flags: number): void {
    const row = batch.openRow();
    setMicrosNs(batch.rawTime, row, this.#micros);
    batch.sequence[row] = this.#sequence;
    batch.level[row] = this.#priority & 7;
    batch.facility[row] = this.#priority >>> 3;
    batch.flags[row] = this.#flag === SMALL_C || this.#flag === PLUS ? flags | LOG_FLAG.continuation : flags;
    batch.textStart[row] = textStart;
    batch.textEnd[row] = textEnd;
    if (bytes[this.#fieldsAt] === COMMA) this.#readCaller(bytes, batch, row);
  }

  /** Looks for `,caller=T123` or `,caller=C0` among the extra fields. */
  #readCaller(bytes: Uint8Array, batch: LogBatch, row: number): void {
    let p = this.#fieldsAt;
    while (bytes[p] === COMMA) {
      let matched = 0;
      while (matched < CALLER.length && bytes[p + 1 + matched] === CALLER[matched]) matched++;
      if (matched === CALLER.length) {
        const kind = bytes[p + 1 + CALLER.length];
        let q = p + 2 + CALLER.length;
        let id = 0;
        for (let byte = bytes[q] as number; byte >= 48 && byte <= 57 && id < 1e8; byte = bytes[++q] as number) id = id * 10 + byte - 48;
        if (kind === 0x54) batch.pid[row] = id;
        else if (kind === 0x43) batch.cpu[row] = id;
        return;
      }
      p++;
      while (bytes[p] !== COMMA && bytes[p] !== SEMICOLON) p++;
    }
  }

  /** `[start, end)` of the arena holds lines ` KEY=value`; escapes are decoded where they stand. */
  #addDictionary(batch: LogBatch, start: number, end: number): void {
    const { text, strings, attributes } = batch;
    let at = start;
    while (at < end) {
      let lineEnd = at;
      while (lineEnd < end && text[lineEnd] !== NEWLINE && text[lineEnd] !== 0) lineEnd++;
      let equals = at + 1;
      while (equals < lineEnd && text[equals] !== EQUALS) equals++;
      if (equals < lineEnd) {
        const valueEnd = unescape(text, equals + 1, lineEnd);
        attributes.addString(strings.intern(text, at + 1, equals), strings.intern(text, equals + 1, valueEnd));
      }
      at = lineEnd + 1;
    }
  }

  /** Where the line from `start` ends (newline or NUL), or UNFINISHED while it may still grow within its record's bound. */
  #lineEnd(bytes: Uint8Array, recordAt: number, start: number, atEnd: boolean): number {
    const most = recordAt + MAX_RECORD_BYTES + 1;
    const to = Math.min(bytes.length, most);
    this.#hasEscapes = false;
    let end = findMark(this.#view, start, to, BACKSLASH);
    while (end < to && bytes[end] !== NEWLINE && bytes[end] !== 0) {
      this.#hasEscapes ||= bytes[end] === BACKSLASH;
      end = findMark(this.#view, end + 1, to, BACKSLASH);
    }
    return end < bytes.length || atEnd ? end : UNFINISHED;
  }

  /** End of the dictionary lines behind a record's first line; those beyond the bound are not taken. */
  #recordEnd(bytes: Uint8Array, at: number, firstEnd: number, atEnd: boolean): number {
    // A NUL closes the record, whatever follows.
    if (bytes[firstEnd] === 0) return firstEnd + 1;
    let next = firstEnd + 1;
    while (next < bytes.length) {
      if (bytes[next] !== SPACE) return next;
      const end = this.#lineEnd(bytes, at, next, atEnd);
      if (end === UNFINISHED) return UNFINISHED;
      if (end - at > MAX_RECORD_BYTES) return next;
      if (bytes[end] === 0) return end + 1;
      next = end + 1;
    }
    return atEnd ? bytes.length : UNFINISHED;
  }

  /** A higher number than the next one is a loss; a lower one is another boot in the same input. */
  #noteJump(): void {
    const missing = this.#sequence - this.#lastSequence - 1;
    if (missing < 0 || this.#lastSequence < 0) return;
    this.counts.lost += missing;
    this.#losses.add({
      cpu: -1,
      count: missing,
      fromRaw: this.#lastMicros < 0 ? NO_RAW_TIME : BigInt(this.#lastMicros) * 1000n,
      toRaw: BigInt(this.#micros) * 1000n,
      reason: 'kmsg_sequence',
    });
  }

  #refuse(reason: string, bytes: Uint8Array, start: number, end: number): number {
    countMalformed(this.counts, reason, bytes, start, end);
    return end;
  }
}

/** Decodes `\xNN` in place and returns the new end; anything else after a backslash stays as it is. */
function unescape(text: Uint8Array, start: number, end: number): number {
  let from = start;
  while (from < end && text[from] !== BACKSLASH) from++;
  let to = from;
  while (from < end) {
    const byte = text[from] as number;
    if (byte === BACKSLASH && from + 4 <= end && text[from + 1] === SMALL_X) {
      const high = hexDigit(text[from + 2] as number);
      const low = hexDigit(text[from + 3] as number);
      if (high >= 0 && low >= 0) {
        text[to++] = (high << 4) | low;
        from += 4;
        continue;
      }
    }
    text[to++] = byte;
    from++;
  }
  return to;
}

function sniff(head: Uint8Array): boolean {
  let at = 0;
  while (head[at] === 0) at++;
  const newline = head.indexOf(NEWLINE, at);
  const end = newline < 0 ? Math.min(head.length, at + MAX_RECORD_BYTES) : newline;
  const line = new TextDecoder('latin1').decode(head.subarray(at, Math.min(end, at + 256)));
  return /^\d{1,6},\d+,\d+,[-c+](?:,[^;]*)?;/.test(line) && !sniffNetconsole(head);
}
