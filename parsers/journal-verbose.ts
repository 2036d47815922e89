/**
 * `journalctl -o verbose`: a line with time and cursor, and a field on each line below it.
 *
 *   Thu 2026-11-26 15:11:12.757783 UTC [s=5ccd…;i=f85;b=aef1898ee953…;m=f88260d1d;t=6612f5aaab417;x=4502…]
 *   |                                         |                    |           +-- __REALTIME_TIMESTAMP, hexadecimal µs
 *   |                                         |                    +-- __MONOTONIC_TIMESTAMP
 *   |                                         +-- _BOOT_ID
 *   +-- in the zone of who printed it: not needed
 *       _TRANSPORT=kernel
 *       MESSAGE=first line
 *               second line            further lines of a value: as far from the left as its first
 *
 * Fields: journal-entry.ts. Spec: systemd src/shared/logs-show.c (output_verbose).
 */
import { decodeUtf8 } from '../base/bytes.ts';
import type { LogParser } from '../model/parser.ts';
import { JournalSession, type JournalPiece } from './journal-entry.ts';

const NEWLINE = 10;
const SPACE = 32;
const MAX_ENTRY_BYTES = 4 << 20;
const HEADER = /^[^\n[]{0,64}\[s=[0-9a-f]{32};i=[0-9a-f]+;b=([0-9a-f]{32});m=([0-9a-f]{1,13});t=([0-9a-f]{1,13});x=[0-9a-f]+\]/;
const FIELD = /^ {4}([A-Z0-9_]{1,64})=/;

export const journalVerbose: LogParser = {
  id: 'journal_verbose',
  title: 'journalctl -o verbose',
  yields: 'logs',
  sniff: (head) => HEADER.test(decodeUtf8(head, 0, Math.min(head.length, 512)).replace(/^(?:-- .*\n)+/, '')),
  open: () => new JournalSession(readEntry),
};

function readEntry(bytes: Uint8Array, at: number, atEnd: boolean): JournalPiece | undefined {
  const end = findEnd(bytes, at);
  if (end < 0 && !atEnd) return bytes.length - at <= MAX_ENTRY_BYTES ? undefined : { end: bytes.length, malformed: 'entry too long' };
  const stop = end < 0 ? bytes.length : end;
  const [first, ...lines] = decodeUtf8(bytes, at, stop).trimEnd().split('\n');
  const header = HEADER.exec(first ?? '');
  if (header === null) return /^(?:--.*)?$/.test(first ?? '') ? { end: stop } : { end: stop, malformed: 'not an entry' };
  const fields = new Map<string, string>([
    ['_BOOT_ID', header[1] as string],
    ['__MONOTONIC_TIMESTAMP', String(Number.parseInt(header[2] as string, 16))],
    ['__REALTIME_TIMESTAMP', String(Number.parseInt(header[3] as string, 16))],
  ]);
  let name = '';
  for (const line of lines) {
    const field = FIELD.exec(line);
    if (field !== null) {
      name = field[1] as string;
      fields.set(name, line.slice(field[0].length));
    } else if (name !== '') fields.set(name, `${fields.get(name)}\n${line.slice(Math.min(indentOf(line), name.length + 5))}`);
  }
  return { end: stop, fields };
}

/** Behind the last line that is indented; -1 where it is not known. */
function findEnd(bytes: Uint8Array, at: number): number {
  for (let from = at; ;) {
    const newline = bytes.indexOf(NEWLINE, from);
    if (newline < 0 || newline + 1 >= bytes.length) return -1;
    if (bytes[newline + 1] !== SPACE) return newline + 1;
    from = newline + 1;
  }
}

function indentOf(line: string): number {
  return /^ */.exec(line)?.[0].length ?? 0;
}
