/**
 * The texts of a traced kernel that both versions of trace.dat hold in the same form:
 *
 *   header_page\0 | u64 bytes | text | header_event\0 | u64 bytes | text            events/header_page, events/header_event
 *   u32 files × ( u64 bytes | text )                                                events/ftrace/<event>/format
 *   u32 systems × ( name\0 | u32 files × ( u64 bytes | text ) )                     events/<system>/<event>/format
 *   u32 bytes | text                                                                kallsyms; printk_formats
 *   u64 bytes | text                                                                saved_cmdlines: `pid name` lines
 */
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
  const text = cursor.readText(cursor.readSize(), MAX_SECTION_BYTES);
  if (cursor.failed) addProblem(parts, 'saved command lines are cut', start);
  // A task may rename itself to something with blanks in it, at the ends too.
  else for (const match of text.matchAll(/^(\d{1,10}) (.{1,64})$/gm)) parts.comms[match[1] as string] = match[2] as string;
}
