/**
 * Where things lie in the memory that a window of a report is printed in (report-wasm.ts), shared by the thread that prints and the
 * one that reads pages and writes text:
 *
 *   0        tables of digits, the second of the line before, a stack of numbers, registers
 *   LANES    a struct of each CPU                     ORDER    those with a record left, in their order
 *   FORMATS  program of each event, by id             PROGRAMS steps of lines, and their texts
 *   NOTES    names that lines before may have told    TABLE    texts by tag and value       TEXTS  their bytes
 *   SLOTS    pages of a window and the text that they become, some times
 *
 *   program  u32 room | u32 bytes of the name | …16 | step | step | … | step with kind END
 *   step     u32 kind | text at | text bytes | value at | least | shift | a | b | c | d | …48
 *                       +-- stands in front    +-- u64 at this offset of the record, shifted to its bytes and back; 0 in one
 *                                                  of less than `least` bytes. -1: what the numbers at `least` compute
 */
import { Memory, type WasmMemory } from '../base/wasm-runtime.ts';

export const DIGIT_PAIRS = 64;
/** u64 ns of the second of the line before, u32 bytes of its text, …16 its text with the dot. */
export const SECOND = 512;
export const DIGITS = 640;
/** Of the 16 numbers that value-operations.ts has on it at most. */
export const STACK = 768;
/** A text that is not kept. */
export const PASSING_ENTRY = 960;
export const REGISTERS = 1024;
export const REGISTER = {
  damaged: 0,
  records: 4,
  notes: 8,
  epoch: 12,
  hasSince: 16,
  hasUntil: 20,
  since: 24,
  until: 32,
  lastShown: 40,
  /** The lane whose record is printed. */
  lane: 48,
  /** Whether the record behind a call is its end, and what it took, in ns. */
  isLeaf: 52,
  duration: 56,
  /** The source whose next record is such an end, in this window or the next one; -1 = none. */
  taken: 64,
} as const;
/** A lane as it was, while the record behind it is looked at. */
export const HELD = 1280;
export const ORDER = 2048;
/** The digits of each byte. */
export const HEX_PAIRS = 0x7000;
export const LANES = 0x8000;
export const MAX_LANES = 4096;
export const LANE_BYTES = 96;
export const LANE = {
  time: 0,
  at: 8,
  end: 12,
  pageAt: 16,
  pagesEnd: 20,
  start: 24,
  recordEnd: 28,
  page: 32,
  lost: 36,
  isFirst: 40,
  pageSize: 44,
  source: 48,
  stopPage: 52,
  stopIsFirst: 56,
  stopLost: 60,
  stopSince: 64,
  /** The record before was shown: a stack belongs to it. */
  wasShown: 68,
} as const;
export const FORMATS = 0x7_0000;
export const NOTES = 0xb_0000;
export const NOTE_BYTES = 16;
export const MAX_NOTES = 1 << 15;
export const TABLE = 0x13_0000;
export const ENTRY_BYTES = 32;
/** A power of two; a half of them are filled. */
export const ENTRIES = 1 << 16;
export const ENTRY = { value: 0, tag: 8, epoch: 12, text: 16, length: 20, noteAt: 24, noteLength: 28 } as const;
export const PROGRAMS = 0x33_0000;
export const PROGRAMS_END = 0x53_0000;
export const TEXTS = 0x53_0000;
/** Behind it a text that is not kept. */
export const TEXTS_END = 0x92_0000;
export const PASSING_TEXT_BYTES = 0x1_0000;
/** Begins a page of 64 KB. */
export const SLOTS = TEXTS_END + PASSING_TEXT_BYTES;

/** In FORMATS, of an event that is not shown. */
export const HIDDEN = 1;

export const PROGRAM_HEAD_BYTES = 16;
export const STEP_BYTES = 48;
export const STEP = { kind: 0, text: 4, length: 8, at: 12, least: 16, shift: 20, a: 24, b: 28, c: 32, d: 36 } as const;
/**
 *   unsigned signed hex   a: 64 − bits shown
 *   pointer               `(nil)`, or in hexadecimal
 *   kept                  a: tag of the texts, by which is asked for those that are missing
 *   fixed                 text of a: offset, b: bytes, 0 = to the end of the record
 *   located               text of a: offset of where and how long it is, b: counted from there
 *   task                  a, b: as of `fixed`, c: who tells the name; behind it the number
 *   padded                a: 64 − bits shown, b: width, c: flags
 *   bytes characters      a: offset, b: bytes; where c is 1 as of `located`
 *   other                 a: who puts it
 *   called                duration, if the record behind is the end of the call, and indent by the value
 *   returned              a, b: offsets of when it began and ended; duration and indent by the value
 *   brace                 of a call that is not its own end, or both
 */
export const KIND = {
  end: 0,
  unsigned: 1,
  signed: 2,
  hex: 3,
  pointer: 4,
  kept: 5,
  fixed: 6,
  located: 7,
  task: 8,
  padded: 9,
  bytes: 10,
  characters: 11,
  other: 12,
  called: 13,
  returned: 14,
  brace: 15,
} as const;
export const PADDED = { signed: 1, hex: 2, zero: 4, left: 8, alternate: 16 } as const;
/** Of a step that has no offset but a computation. */
export const COMPUTED = -1;

/** u32 operation | u32 a | u64 b. A load has its offset in a, and in b what it takes at least, and above it the shift. */
export const OPERATION_BYTES = 16;
export const OPERATION = {
  end: 0,
  constant: 1,
  load: 2,
  '0-': 3,
  '~': 4,
  '!': 5,
  select: 6,
  '+': 7,
  '-': 8,
  '*': 9,
  '/': 10,
  '%': 11,
  '<<': 12,
  '>>': 13,
  '&': 14,
  '|': 15,
  '^': 16,
  '==': 17,
  '!=': 18,
  '<': 19,
  '>': 20,
  '<=': 21,
  '>=': 22,
  '&&': 23,
  '||': 24,
} as const;

/** Of texts by value: what is at a thread's head has the number of its CPU's lane + 1. */
export const TAG_KNOWN = MAX_LANES + 1;
/** Threads that a filter lets through. */
export const TAG_WANTED = MAX_LANES + 2;
export const FIRST_KEPT_TAG = MAX_LANES + 3;

/** All that stands in front of a body but the name and the head: the time. */
export const TIME_ROOM = 64;
/** Free behind what is written: 16 bytes are stored at once. */
export const SLACK_BYTES = 64;

/** What memory grows by. */
export const MEMORY_PAGE_BYTES = 1 << 16;

/** Where a window lies in memory, and where its text goes. */
export interface WasmSlot {
  readonly pagesAt: number;
  readonly textAt: number;
  readonly textEnd: number;
}

/** Memory with so many slots for pages and text of these sizes. */
export function createMemory(
  count: number,
  pageBytes: number,
  textBytes: number,
): { readonly memory: WasmMemory; readonly slots: readonly WasmSlot[] } {
  const slots = Array.from({ length: count }, (_, i): WasmSlot => {
    const pagesAt = SLOTS + i * (pageBytes + textBytes);
    return { pagesAt, textAt: pagesAt + pageBytes, textEnd: pagesAt + pageBytes + textBytes };
  });
  const pages = Math.ceil((SLOTS + count * (pageBytes + textBytes)) / MEMORY_PAGE_BYTES);
  return { memory: new Memory({ initial: pages, maximum: pages, shared: true }), slots };
}
