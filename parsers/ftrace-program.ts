/**
 * A template (ftrace-template.ts) as the quick way reads it: labels as words with masks, so that four bytes are compared at once.
 *
 *   " prev_pid="     20 70 72 65 | 76 5f 70 69 | 64 3d .. ..      three pairs of mask and word; the last mask leaves two bytes out
 */
import { TWO_POW_32 } from '../base/int64.ts';
import { findMark } from './find-mark.ts';
import { readOther, VALUE, type FieldValuesScratch, type Template } from './ftrace-template.ts';

const NEWLINE = 10;
const CARRIAGE_RETURN = 13;
const DASH = 45;
/** A number of more digits leaves the range of 32-bit arithmetic. */
const SHORT_DIGITS = 9;
const MOST_DIGITS = 15;
const LONGEST_LABEL = 200;
/** What ends a comment, with a blank in front, and the newline, as a word. */
export const COMMENT_TAIL = 0x0a2f_2a20;
const COMMENT_END_BYTES = 3;

export interface Program {
  readonly forms: Uint8Array;
  /** Fields that are text. */
  readonly texts: Uint8Array;
  /** Pairs of mask and word: of label `i` those up to `ends[i]`, then those of the suffix. */
  readonly words: Int32Array;
  readonly ends: Uint32Array;
  /** In bytes, of each label; then of the suffix. */
  readonly sizes: Uint32Array;
  /** First byte of each label and of the suffix. */
  readonly firsts: Uint8Array;
}

/** undefined for labels beyond the bytes that may be read behind a line. */
export function compileProgram({ labels, labelEnds, suffix, forms }: Template): Program | undefined {
  const parts = Array.from(labelEnds, (end, index) => labels.subarray(index === 0 ? 0 : labelEnds[index - 1], end));
  parts.push(suffix);
  if (parts.some((part) => part.length > LONGEST_LABEL)) return undefined;
  const words: number[] = [];
  const ends: number[] = [];
  for (const part of parts) {
    words.push(...toWords(part));
    ends.push(words.length);
  }
  return {
    forms,
    texts: Uint8Array.from([...forms.keys()].filter((field) => forms[field] === VALUE.text)),
    words: Int32Array.from(words),
    ends: Uint32Array.from(ends),
    sizes: Uint32Array.from(parts, (part) => part.length),
    firsts: Uint8Array.from(parts, (part) => part[0] ?? NEWLINE),
  };
}

/** Pairs of mask and word. */
export function toWords(part: Uint8Array): number[] {
  const words: number[] = [];
  for (let at = 0; at < part.length; at += 4) {
    let mask = 0;
    let word = 0;
    for (let i = 0; i < 4 && at + i < part.length; i++) {
      mask |= 0xff << (i * 8);
      word |= (part[at + i] as number) << (i * 8);
    }
    words.push(mask, word);
  }
  return words;
}

/** True when the pairs `[from, to)` stand at `at`. */
export function hasWords(view: DataView, at: number, words: Int32Array, from: number, to: number): boolean {
  let p = at;
  for (let i = from; i < to; i += 2, p += 4) {
    if ((view.getInt32(p, true) & (words[i] as number)) !== words[i + 1]) return false;
  }
  return true;
}

/**
 * Splits the text at `at`, up to the end of its line or (`isComment`) of the comment there, as `matchTemplate` does; returns where the text
 * ends, or -1 when it does not fit or needs care. Numbers are then in the row of their columns, the places of texts in `into`.
 */
export function runProgram(
  program: Program,
  bytes: Uint8Array,
  view: DataView,
  at: number,
  limit: number,
  columns: readonly Uint32Array[],
  row: number,
  into: FieldValuesScratch,
  isComment: boolean,
): number {
  const { forms, words, ends, sizes, firsts } = program;
  const count = forms.length;
  let p = at;
  let word = 0;
  for (let field = 0; field < count; field++) {
    const wordEnd = ends[field] as number;
    if (p > limit || !hasWords(view, p, words, word, wordEnd)) return -1;
    word = wordEnd;
    p += sizes[field] as number;
    const form = forms[field] as number;
    if (form === VALUE.decimal) p = readDecimal(bytes, p, columns[field] as Uint32Array, row);
    else if (form === VALUE.text) {
      into.start[field] = p;
      if (field === count - 1) return endText(program, view, p, limit, into, field, isComment);
      p = findNext(view, p, limit, firsts[field + 1] as number, words, word, ends[field + 1] as number);
      into.end[field] = p;
    } else {
      const column = columns[field] as Uint32Array;
      p = readOther(bytes, p, form, into, field);
      column[row * 2] = into.low[field] as number;
      column[row * 2 + 1] = into.high[field] as number;
    }
    if (p < 0) return -1;
  }
  if (p > limit || !hasWords(view, p, words, word, ends[count] as number)) return -1;
  p += sizes[count] as number;
  if (isComment) return view.getInt32(p, true) === COMMENT_TAIL ? p : -1;
  return bytes[p] === NEWLINE ? p : -1;
}

/** The end of a line whose last field is text. */
function endText(
  { words, ends, sizes }: Program,
  view: DataView,
  at: number,
  limit: number,
  into: FieldValuesScratch,
  field: number,
  isComment: boolean,
): number {
  const end = isComment ? findCommentEnd(view, at, limit) : findLineEnd(view, at, limit);
  if (end < 0) return -1;
  const valueEnd = end - (sizes[field + 1] as number);
  if (valueEnd < at || !hasWords(view, valueEnd, words, ends[field] as number, ends[field + 1] as number)) return -1;
  into.end[field] = valueEnd;
  return end;
}

/** The newline from `at`; -1 where there is none below `limit`, or a carriage return in front of it. */
export function findLineEnd(view: DataView, at: number, limit: number): number {
  for (let p = at; ; p++) {
    p = findMark(view, p, limit, NEWLINE);
    if (p >= limit) return -1;
    if (view.getUint8(p) === NEWLINE) return p > at && view.getUint8(p - 1) === CARRIAGE_RETURN ? -1 : p;
  }
}

/** As `findLineEnd`, for a line that ends a comment: where its text ends. */
export function findCommentEnd(view: DataView, at: number, limit: number): number {
  const end = findLineEnd(view, at, limit) - COMMENT_END_BYTES;
  return end >= at && view.getInt32(end, true) === COMMENT_TAIL ? end : -1;
}

/** Where the label that begins with `first` stands behind `at` in the line; -1 where it does not. */
export function findNext(view: DataView, at: number, limit: number, first: number, words: Int32Array, from: number, to: number): number {
  for (let p = at; ; p++) {
    p = findMark(view, p, limit, first);
    if (p >= limit) return -1;
    const byte = view.getUint8(p);
    if (byte === first && hasWords(view, p, words, from, to)) return p;
    if (byte === NEWLINE) return -1;
  }
}

/** A decimal of up to 15 digits into a row of its column; returns its end or -1. */
export function readDecimal(bytes: Uint8Array, start: number, column: Uint32Array, row: number): number {
  let p = start;
  let byte = bytes[p] as number;
  const isNegative = byte === DASH;
  if (isNegative) byte = bytes[++p] as number;
  const from = p;
  let value = 0;
  while (byte >= 48 && byte <= 57 && p < from + SHORT_DIGITS) {
    value = Math.imul(value, 10) + byte - 48;
    byte = bytes[++p] as number;
  }
  if (p === from) return -1;
  let scale = 1;
  let rest = 0;
  while (byte >= 48 && byte <= 57) {
    rest = Math.imul(rest, 10) + byte - 48;
    scale = Math.imul(scale, 10);
    byte = bytes[++p] as number;
    if (p - from > MOST_DIGITS) return -1;
  }
  if (scale > 1) setNumber(column, row, (value * scale + rest) * (isNegative ? -1 : 1));
  else {
    column[row * 2] = isNegative ? -value : value;
    column[row * 2 + 1] = isNegative && value > 0 ? -1 : 0;
  }
  return p;
}

/** An integer of magnitude below 2^53. */
export function setNumber(column: Uint32Array, row: number, value: number): void {
  const high = Math.floor(value / TWO_POW_32);
  column[row * 2] = value - high * TWO_POW_32;
  column[row * 2 + 1] = high;
}
