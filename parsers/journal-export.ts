/**
 * `journalctl -o export`, what systemd-journal-remote takes: entries of fields, a blank line behind each.
 *
 *   __REALTIME_TIMESTAMP=1795705872757783
 *   MESSAGE=usb 1-1: new device                    text: up to the newline
 *   MESSAGE                                        anything else (here a record of two lines): its name,
 *   \x10\0\0\0\0\0\0\0first\nsecond line           8 bytes of length, little-endian, the bytes, a newline
 *
 * Fields: journal-entry.ts. Spec: systemd JOURNAL_EXPORT_FORMATS.
 */
import { decodeUtf8 } from '../base/bytes.ts';
import type { LogParser } from '../model/parser.ts';
import { JournalSession, type JournalPiece } from './journal-entry.ts';

const NEWLINE = 10;
const EQUALS = 61;
const LENGTH_BYTES = 8;
const MAX_ENTRY_BYTES = 4 << 20;
const FIRST_LINE = /^(?:__CURSOR|__REALTIME_TIMESTAMP|__SEQNUM)=/;

export const journalExport: LogParser = {
  id: 'journal_export',
  title: 'journalctl -o export',
  yields: 'logs',
  sniff: (head) => FIRST_LINE.test(decodeUtf8(head, 0, Math.min(head.length, 64))),
  open: () => new JournalSession(readEntry),
};

function readEntry(bytes: Uint8Array, start: number, atEnd: boolean): JournalPiece | undefined {
  const fields = new Map<string, string>();
  let at = start;
  while (at < bytes.length) {
    if (bytes[at] === NEWLINE) return fields.size === 0 ? { end: at + 1 } : { end: at + 1, fields };
    const newline = bytes.indexOf(NEWLINE, at);
    const lineEnd = newline < 0 ? bytes.length : newline;
    if (newline < 0 && !atEnd) break;
    const equals = bytes.subarray(at, lineEnd).indexOf(EQUALS);
    if (equals >= 0) {
      fields.set(decodeUtf8(bytes, at, at + equals), decodeUtf8(bytes, at + equals + 1, lineEnd));
      at = Math.min(bytes.length, lineEnd + 1);
      continue;
    }
    const dataAt = lineEnd + 1 + LENGTH_BYTES;
    if (dataAt > bytes.length) break;
    const length = new DataView(bytes.buffer, bytes.byteOffset + lineEnd + 1, LENGTH_BYTES);
    const size = length.getUint32(4, true) === 0 ? length.getUint32(0, true) : MAX_ENTRY_BYTES;
    if (size >= MAX_ENTRY_BYTES) return { end: lineEnd + 1, malformed: 'length of a field' };
    if (dataAt + size >= bytes.length && !(atEnd && dataAt + size === bytes.length)) break;
    fields.set(decodeUtf8(bytes, at, lineEnd), decodeUtf8(bytes, dataAt, dataAt + size));
    at = Math.min(bytes.length, dataAt + size + 1);
  }
  if (bytes.length - start > MAX_ENTRY_BYTES) return { end: bytes.length, malformed: 'entry too long' };
  if (!atEnd) return undefined;
  return at >= bytes.length && fields.size > 0 ? { end: bytes.length, fields } : { end: bytes.length, malformed: 'unfinished entry' };
}
