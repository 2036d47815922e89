/**
 * `dmesg --json`.
 *
 *   {
 *      "dmesg": [
 *         {
 *            "fac": "kern",            <- with -x only, else no facility
 *            "pri": 6,                 <- level; with -x a name
 *            "time":     1.386931,     <- printk seconds, whatever --time-format says
 *            "caller": "T123",         <- where the kernel has CONFIG_PRINTK_CALLER
 *            "msg": "EXT4-fs (vda): …"
 *         },{
 *            …
 *
 * One record is one inner object, read with JSON.parse: these files are small, and made by people.
 * util-linux 2.38 makes `pri` of user-space records from facility | level without shifting: taken as printed.
 * Spec: util-linux sys-utils/dmesg.c (print_record), lib/jsonwrt.c.
 */
import { decodeUtf8, encodeUtf8 } from '../base/bytes.ts';
import { LOG_FLAG, type LogBatch } from '../model/log-batch.ts';
import { countMalformed, createCounts, type InputLoss, type LogParser, type ParserSession } from '../model/parser.ts';
import { LEVEL_NAMES, LEVEL_UNKNOWN } from '../model/severity.ts';
import { BootPhase } from './boot-phase.ts';
import { facilityOf } from './dmesg-prefix.ts';
import { setMicrosNs } from './raw-time.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const MAX_RECORD_BYTES = 64 << 10;

export const dmesgJson: LogParser = {
  id: 'dmesg_json',
  title: 'dmesg --json',
  yields: 'logs',
  sniff: (head) => /^\s*\{\s*"dmesg"\s*:\s*\[/.test(decodeUtf8(head, 0, Math.min(head.length, 256))),
  open: () => new Session(),
};

class Session implements ParserSession<LogBatch> {
  readonly counts = createCounts();
  readonly #phase = new BootPhase();
  #sequence = 0;

  parse(bytes: Uint8Array, batch: LogBatch): number {
    return this.#read(bytes, batch, false);
  }

  finish(bytes: Uint8Array, batch: LogBatch): number {
    return this.#read(bytes, batch, true);
  }

  /** The format has no way to report a loss. */
  takeLosses(): InputLoss[] {
    return [];
  }

  #read(bytes: Uint8Array, batch: LogBatch, atEnd: boolean): number {
    let at = 0;
    while (at < bytes.length) {
      const byte = bytes[at] as number;
      if (byte === OPEN_BRACE) {
        const end = findObjectEnd(bytes, at);
        if (end > bytes.length && !atEnd && bytes.length - at <= MAX_RECORD_BYTES) break;
        at = this.#takeObject(bytes, at, end, batch);
      } else if (byte <= 0x20 || byte === COMMA || byte === CLOSE_BRACKET || byte === CLOSE_BRACE) {
        this.counts.parsedBytes++;
        at++;
      } else {
        const next = bytes.indexOf(OPEN_BRACE, at);
        const end = next < 0 ? bytes.length : next;
        countMalformed(this.counts, 'not in an object', bytes, at, end);
        at = end;
      }
    }
    return at;
  }

  #takeObject(bytes: Uint8Array, at: number, end: number, batch: LogBatch): number {
    if (end > bytes.length || end - at > MAX_RECORD_BYTES) {
      const stop = Math.min(bytes.length, at + MAX_RECORD_BYTES);
      countMalformed(this.counts, end - at > MAX_RECORD_BYTES ? 'record too long' : 'unfinished record', bytes, at, stop);
      return stop;
    }
    // The opening of the document ends at its list.
    if (bytes[end - 1] === OPEN_BRACKET) {
      this.counts.parsedBytes += end - at;
      return end;
    }
    const fields = parseObject(decodeUtf8(bytes, at, end));
    const micros = Math.round(Number(fields?.['time'] ?? -1) * 1e6);
    if (fields === undefined || typeof fields['msg'] !== 'string' || !Number.isSafeInteger(micros)) {
      countMalformed(this.counts, 'no dmesg record', bytes, at, end);
      return end;
    }
    this.counts.parsedBytes += end - at;
    this.#addRow(fields, fields['msg'], micros, batch);
    return end;
  }

  #addRow(fields: Readonly<Record<string, unknown>>, message: string, micros: number, batch: LogBatch): void {
    const row = batch.openRow();
    const text = encodeUtf8(message);
    const start = batch.appendText(text);
    const facility = typeof fields['fac'] === 'string' ? facilityOf(fields['fac']) : 0;
    batch.textStart[row] = start;
    batch.textEnd[row] = batch.textLength;
    batch.sequence[row] = this.#sequence++;
    batch.level[row] = toLevel(fields['pri']);
    batch.facility[row] = Math.max(facility, 0);
    batch.flags[row] = facility > 0 ? LOG_FLAG.userSpace : this.#phase.flagsOf(text, 0, text.length, micros / 1e6);
    if (micros < 0) batch.flags[row] = (batch.flags[row] as number) | LOG_FLAG.timeUncertain;
    else setMicrosNs(batch.rawTime, row, micros);
    const caller = /^([TC])(\d{1,9})$/.exec(typeof fields['caller'] === 'string' ? fields['caller'] : '');
    if (caller?.[1] === 'T') batch.pid[row] = Number(caller[2]);
    else if (caller?.[1] === 'C') batch.cpu[row] = Number(caller[2]);
    batch.closeRow();
    this.counts.records++;
  }
}

/** Behind the brace that closes the object at `at`, or behind the `[` of a list in it; beyond the bytes when it is not closed. */
function findObjectEnd(bytes: Uint8Array, at: number): number {
  let quoted = false;
  for (let i = at + 1; i < bytes.length && i - at <= MAX_RECORD_BYTES; i++) {
    const byte = bytes[i];
    if (byte === QUOTE) quoted = !quoted;
    else if (quoted) {
      if (byte === BACKSLASH) i++;
    } else if (byte === CLOSE_BRACE || byte === OPEN_BRACKET) return i + 1;
  }
  return bytes.length + 1;
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function toLevel(priority: unknown): number {
  if (typeof priority === 'number' && priority >= 0) return priority & 7;
  const level = (LEVEL_NAMES as readonly unknown[]).indexOf(priority);
  return level < 0 ? LEVEL_UNKNOWN : level;
}
