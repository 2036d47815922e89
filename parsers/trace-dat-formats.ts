/**
 * The texts of a traced kernel that both versions of trace.dat hold in the same form:
 *
 *   header_page\0 | u64 bytes | text | header_event\0 | u64 bytes | text            events/header_page, events/header_event
 *   u32 files × ( u64 bytes | text )                                                events/ftrace/<event>/format
 *   u32 systems × ( name\0 | u32 files × ( u64 bytes | text ) )                     events/<system>/<event>/format
 *   u32 bytes | text                                                                kallsyms; printk_formats
 *   u64 bytes | text                                                                saved_cmdlines: `pid name` lines
 */
import { latin1 } from '../base/bytes.ts';
import type { DatCursor } from './trace-dat-cursor.ts';
import {
  addProblem,
  MAX_EVENTS,
  MAX_FORMAT_BYTES,
  MAX_FORMATS_BYTES,
  MAX_NAME_BYTES,
  MAX_SECTION_BYTES,
  type DatParts,
} from './trace-dat-parts.ts';

/** A kernel's names have 15 bytes, which may be no UTF-8. */
const MAX_COMM_CHARS = 64;

export function readHeaderInfo(cursor: DatCursor, parts: DatParts): void {
  const start = cursor.at;
  const name = cursor.readString(MAX_NAME_BYTES);
  const text = cursor.readText(cursor.readSize(), MAX_FORMAT_BYTES);
  if (cursor.failed || name !== 'header_page') addProblem(parts, 'no header_page', start);
  else parts.headerPage = text;
  cursor.readString(MAX_NAME_BYTES);
  cursor.readText(cursor.readSize(), MAX_FORMAT_BYTES);
}

export function readFtraceFormats(cursor: DatCursor, parts: DatParts): void {
  readFormats(cursor, parts, 'ftrace');
}

export function readEventFormats(cursor: DatCursor, parts: DatParts): void {
  const systems = cursor.readU32();
  for (let i = 0; i < systems; i++) {
    const start = cursor.at;
    const system = cursor.readString(MAX_NAME_BYTES);
    const hasCount = cursor.left >= 4;
    if (hasCount && i < MAX_EVENTS && parts.events.length < MAX_EVENTS) readFormats(cursor, parts, system);
    else cursor.failed = true;
    if (!cursor.failed) continue;
    // Where the formats of this system are cut, readFormats has said so.
    if (!hasCount || i >= MAX_EVENTS) addProblem(parts, `system ${i + 1} of ${systems} with event formats is cut or too much`, start);
    return;
  }
}

function readFormats(cursor: DatCursor, parts: DatParts, system: string): void {
  const count = cursor.readU32();
  for (let i = 0; i < count; i++) {
    const start = cursor.at;
    const sizeBytes = cursor.readSize();
    parts.formatBytes += sizeBytes;
    if (parts.formatBytes > MAX_FORMATS_BYTES || parts.events.length >= MAX_EVENTS) cursor.failed = true;
    const format = cursor.readText(sizeBytes, MAX_FORMAT_BYTES);
    if (cursor.failed) {
      addProblem(parts, `format ${i + 1} of ${count} of ${system.slice(0, 64)} is cut or too large`, start);
      return;
    }
    parts.events.push({ system, format });
  }
}

export function readPrintkFormats(cursor: DatCursor, parts: DatParts): void {
  const start = cursor.at;
  const text = cursor.readText(cursor.readU32(), MAX_SECTION_BYTES);
  if (cursor.failed) addProblem(parts, 'printk formats are cut', start);
  else parts.printkFormats = text;
}

export function readCmdlines(cursor: DatCursor, parts: DatParts): void {
  const start = cursor.at;
  const bytes = cursor.readBytes(cursor.readSize(), MAX_SECTION_BYTES);
  const text = latin1(bytes, 0, bytes.length);
  if (cursor.failed) addProblem(parts, 'saved command lines are cut', start);
  // A task may rename itself to something with blanks in it, at the ends too.
  else addComms(text, parts.comms);
}

function addComms(text: string, comms: Record<string, string>): void {
  for (let at = 0; at < text.length;) {
    const newline = text.indexOf('\n', at);
    const end = newline < 0 ? text.length : newline;
    const space = text.indexOf(' ', at);
    const pidChars = space - at;
    const nameChars = end - space - 1;
    if (space >= 0 && pidChars >= 1 && pidChars <= 10 && nameChars >= 1 && nameChars <= MAX_COMM_CHARS) {
      const pid = text.slice(at, space);
      if (/^\d+$/.test(pid)) comms[pid] = text.slice(space + 1, end);
    }
    at = end + 1;
  }
}
