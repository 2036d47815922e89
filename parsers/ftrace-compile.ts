/**
 * A template's program (ftrace-program.ts) as one straight function, made where an event comes often: labels are constants, values go
 * to their columns without a step in between.
 *
 *   " prev_pid="  decimal  " prev_prio="  …        if ((((view.getInt32(p, true) ^ 1919950880) | …) !== 0) return -1;
 *                                                  p = readNumber(bytes, view, p + 10, c1, row); if (p < 0) return -1;
 *
 * Nothing of a trace's text becomes part of the source: labels are in it as the numbers of their bytes, fields by their place. Where
 * Node may not make code from strings, the program is run as it is. On real sched, irq and timer events, alternating with the
 * version before, 1.0 to 1.3 times its lines per CPU-second, on system calls 1.0 to 1.5 (load 10 to 15).
 */
import type { Interner } from '../base/interner.ts';
import { HEX_VALUES, readNumber } from './ftrace-digits.ts';
import { COMMENT_TAIL, findCommentEnd, findLineEnd, findNext, type Program } from './ftrace-program.ts';
import { FIELD_VALUES, readOther, VALUE } from './ftrace-template.ts';

/**
 * Reads the text at `at`, up to the end of its line or (`isComment`) of the comment there, into a row of `columns`; returns where the text
 * ends, or -1 when it does not fit or needs care. Texts are interned only when all of it fits.
 */
export type BodyReader = (
  bytes: Uint8Array,
  view: DataView,
  at: number,
  limit: number,
  columns: readonly Uint32Array[],
  row: number,
  strings: Interner,
  isComment: boolean,
) => number;

/** `0x` as a word. */
const HEX_PREFIX = 0x7830;
const POINTER_DIGITS = 16;

const NAMES = ['findNext', 'findLineEnd', 'findCommentEnd', 'readNumber', 'readHex', 'readTwice'] as const;

/** By what they are made of: other files have the same events, and the engine optimises a function once. */
const READERS = new Map<string, BodyReader>();
const MOST_READERS = 2048;

/** undefined where code may not be made from strings. */
export function compileReader(program: Program): BodyReader | undefined {
  // What a function gets beside its source is in the key as well.
  const key = `${toSource(program)}\n${program.words.join()}`;
  const known = READERS.get(key);
  if (known !== undefined) return known;
  const made = makeReader(program);
  if (READERS.size >= MOST_READERS) READERS.clear();
  if (made !== undefined) READERS.set(key, made);
  return made;
}

function makeReader(program: Program): BodyReader | undefined {
  const source = `'use strict'; return function (bytes, view, at, limit, columns, row, strings, isComment) {\n${toSource(program)}\n};`;
  const scratch = FIELD_VALUES;
  const readTwice = (bytes: Uint8Array, at: number, form: number, column: Uint32Array, row: number): number => {
    const end = readOther(bytes, at, form, scratch, 0);
    column[row * 2] = scratch.low[0] as number;
    column[row * 2 + 1] = scratch.high[0] as number;
    return end;
  };
  let create: (...parts: unknown[]) => BodyReader;
  try {
    // oxlint-disable-next-line typescript/no-implied-eval -- all of the source is ours: see the top of the file
    create = new Function(...NAMES, 'words', source) as (...parts: unknown[]) => BodyReader;
  } catch (error) {
    if (error instanceof EvalError) return undefined;
    throw error;
  }
  return create(findNext, findLineEnd, findCommentEnd, readNumber, readHex, readTwice, program.words);
}

function toSource(program: Program): string {
  const { forms, sizes } = program;
  const count = forms.length;
  const lines = ['let p = at;'];
  for (let field = 0; field < count; field++) {
    lines.push(`if (p > limit || ${toTest(program, field, 'p')}) return -1;`, `p += ${sizes[field]};`);
    lines.push(...toValue(program, field), 'if (p < 0) return -1;');
    if (field === count - 1 && forms[field] === VALUE.text) lines.push(...toTextEnd(program, field));
  }
  if (forms[count - 1] !== VALUE.text) {
    lines.push(`if (p > limit || ${toTest(program, count, 'p')}) return -1;`, `p += ${sizes[count]};`);
    lines.push(`if (isComment ? view.getInt32(p, true) !== ${COMMENT_TAIL} : view.getUint8(p) !== 10) return -1;`);
  }
  for (const field of program.texts) {
    lines.push(`columns[${field}][row] = strings.internWords(view, bytes, start${field}, end${field});`);
  }
  return [...lines, 'return p;'].join('\n');
}

/** Is the label, or behind the last field the suffix, not at `at`? */
function toTest({ words, ends }: Program, label: number, at: string): string {
  const parts: string[] = [];
  const first = label === 0 ? 0 : (ends[label - 1] as number);
  for (let word = first, offset = 0; word < (ends[label] as number); word += 2, offset += 4) {
    const load = `view.getInt32(${at} + ${offset}, true)`;
    const mask = words[word] as number;
    parts.push(mask === -1 ? `(${load} ^ ${words[word + 1]})` : `((${load} & ${mask}) ^ ${words[word + 1]})`);
  }
  return parts.length === 0 ? 'false' : `(${parts.join(' | ')}) !== 0`;
}

function toValue({ forms, firsts, ends, words }: Program, field: number): string[] {
  const form = forms[field];
  if (form === VALUE.decimal) return [`p = readNumber(bytes, view, p, columns[${field}], row);`];
  if (form === VALUE.hex) return [`p = readHex(bytes, view, p, columns[${field}], row);`];
  if (form !== VALUE.text) return [`p = readTwice(bytes, p, ${form}, columns[${field}], row);`];
  const start = `const start${field} = p;`;
  if (field === forms.length - 1) return [start, 'p = isComment ? findCommentEnd(view, p, limit) : findLineEnd(view, p, limit);'];
  const found = `findNext(view, p, limit, ${firsts[field + 1]}, words, ${ends[field]}, ${ends[field + 1] ?? words.length})`;
  return [start, `p = ${found};`, `const end${field} = p;`];
}

function toTextEnd(program: Program, field: number): string[] {
  const end = `end${field}`;
  return [
    `const ${end} = p - ${program.sizes[field + 1]};`,
    `if (${end} < start${field} || ${toTest(program, field + 1, end)}) return -1;`,
  ];
}

/** `0x1f`, 16 bare digits as `%p` prints them, or a lone digit below ten, into a row of its column; returns its end or -1. */
function readHex(bytes: Uint8Array, view: DataView, at: number, column: Uint32Array, row: number): number {
  const isPrefixed = view.getUint16(at, true) === HEX_PREFIX;
  const from = isPrefixed ? at + 2 : at;
  let p = from;
  let low = 0;
  let high = 0;
  let digit = HEX_VALUES[bytes[p] as number] as number;
  while (digit < 16 && p < from + 8) {
    high = (high << 4) | digit;
    digit = HEX_VALUES[bytes[++p] as number] as number;
  }
  const digits = p - from;
  if (digits < 8 || digit > 15) {
    low = high;
    high = 0;
  } else {
    // The first eight digits are the high word once eight more have come.
    let count = 0;
    let carry = high;
    high = 0;
    while (digit < 16 && count < 8) {
      high = (high << 4) | (carry >>> 28);
      carry = (carry << 4) | digit;
      digit = HEX_VALUES[bytes[++p] as number] as number;
      count++;
    }
    low = carry;
    if (digit < 16) return -1;
  }
  const total = p - from;
  if (total === 0 || (!isPrefixed && total !== POINTER_DIGITS && !(total === 1 && low < 10))) return -1;
  column[row * 2] = low;
  column[row * 2 + 1] = high;
  return p;
}
