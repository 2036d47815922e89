/**
 * `journalctl -o json`, `json-pretty`, `json-sse`, `json-seq`: one object for each entry, whatever stands between them.
 *
 *   {"MESSAGE":"usb 1-1: new device","PRIORITY":"6","_TRANSPORT":"kernel",…}      json: a line each
 *   data: {…}\n\n                                                                  json-sse: server-sent events
 *   \x1e{…}                                                                        json-seq: RFC 7464
 *
 * A value is a string, an array of bytes where it is no UTF-8, an array of both where the field stands more than once (the first counts),
 * or null where it is long (journalctl without -a).
 * Fields: journal-entry.ts. Spec: systemd JOURNAL_EXPORT_FORMATS.
 */
import { decodeUtf8 } from '../base/bytes.ts';
import type { LogParser } from '../model/parser.ts';
import { JournalSession, type JournalFields, type JournalPiece } from './journal-entry.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const MAX_ENTRY_BYTES = 4 << 20;
const MAX_BETWEEN_BYTES = 64;
/** In front of each object in RFC 7464. */
const SEPARATOR = '\u001e';
/** Behind `data: `. */
const FIRST = /^\s*(?:data: )?\{\s*"/;
const NAME = /"(?:__REALTIME_TIMESTAMP|__CURSOR|_BOOT_ID|__MONOTONIC_TIMESTAMP|_SOURCE_MONOTONIC_TIMESTAMP)"\s*:/;

export const journalJson: LogParser = {
  id: 'journal_json',
  title: 'journalctl -o json',
  yields: 'logs',
  sniff: (head) => {
    const text = decodeUtf8(head, 0, Math.min(head.length, 8192)).replace(SEPARATOR, '');
    return FIRST.test(text) && NAME.test(text);
  },
  open: () => new JournalSession(readObject),
};

function readObject(bytes: Uint8Array, at: number, atEnd: boolean): JournalPiece | undefined {
  if (bytes[at] !== OPEN_BRACE) {
    const next = bytes.indexOf(OPEN_BRACE, at);
    // `data: ` may be cut.
    if (next < 0 && !atEnd && bytes.length - at < MAX_BETWEEN_BYTES) return undefined;
    const end = next < 0 ? bytes.length : next;
    const between = decodeUtf8(bytes, at, Math.min(end, at + MAX_BETWEEN_BYTES)).replaceAll(SEPARATOR, '');
    return end - at <= MAX_BETWEEN_BYTES && /^[\s,[\]]*(?:data: ?|: ?)?$/.test(between) ? { end } : { end, malformed: 'not in an object' };
  }
  const end = findEnd(bytes, at);
  if (end < 0) {
    if (!atEnd && bytes.length - at <= MAX_ENTRY_BYTES) return undefined;
    return { end: bytes.length, malformed: atEnd ? 'unfinished entry' : 'entry too long' };
  }
  const fields = toFields(decodeUtf8(bytes, at, end));
  return fields === undefined ? { end, malformed: 'no JSON' } : { end, fields };
}

/** Behind the brace that closes the object at `at`; -1 where it is not there. */
function findEnd(bytes: Uint8Array, at: number): number {
  let depth = 0;
  for (let i = at; i < bytes.length; i++) {
    const byte = bytes[i];
    if (byte === QUOTE) {
      for (i++; i < bytes.length && bytes[i] !== QUOTE; i++) if (bytes[i] === BACKSLASH) i++;
    } else if (byte === OPEN_BRACE) depth++;
    else if (byte === CLOSE_BRACE && --depth === 0) return i + 1;
  }
  return -1;
}

function toFields(text: string): JournalFields | undefined {
  let entry: unknown;
  try {
    entry = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof entry !== 'object' || entry === null) return undefined;
  const fields = new Map<string, string>();
  for (const [name, value] of Object.entries(entry)) {
    const told = toText(value);
    if (told !== undefined) fields.set(name, told);
  }
  return fields;
}

function toText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return undefined;
  const items = value as unknown[];
  return items.every((item) => typeof item === 'number') ? decodeUtf8(Uint8Array.from(items)) : toText(items[0]);
}
