/**
 * Bodies of fixed parts, described by a pattern and read without a regular expression:
 *
 *   #{seqnum} context {context:word} timer_latency {timer_latency} ns
 *   |         |                |                 |
 *   |         |                |                 +-- an integer of up to 15 digits, blanks in front of it
 *   |         |                +-- characters up to a blank, blanks in front of them
 *   |         +-- a blank in front of other characters stands for one or more
 *   +-- must stand there
 *
 * Other kinds: `char` one character; `rest` all up to the end; `ns` and `e5` a decimal fraction in 10^-9 and in 10^-5, as an integer. What stands in
 * `[| |]` may be missing: its fields are 0 then.
 */
import { encodeUtf8, isDigit } from '../base/bytes.ts';
import { TWO_POW_32 } from '../base/int64.ts';
import type { Interner } from '../base/interner.ts';
import type { EventField } from '../model/event-batch.ts';

const SPACE = 32;
const DOT = 46;
const MOST_DIGITS = 15;
const MOST_WHOLE_DIGITS = 10;
const HALF_WORD = 0x1_0000;
const POW_10 = [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9] as const;
const PART = /\[\|(.*?)\|\]|\{(\w+)(?::(\w+))?\}|([^[{]+|\[(?!\|))/g;

type ValueKind = 'integer' | 'word' | 'char' | 'rest' | 'ns' | 'e5';

type Step =
  | { readonly kind: 'literal'; readonly bytes: Uint8Array; readonly isPadded: boolean }
  | { readonly kind: ValueKind; readonly field: number }
  | { readonly kind: 'optional'; readonly steps: readonly Step[]; readonly fields: readonly number[] };

export class Scan {
  readonly fields: readonly EventField[];
  readonly #steps: readonly Step[];
  readonly #start: number[];
  readonly #end: number[];
  readonly #low: number[];
  readonly #high: number[];

  constructor(pattern: string) {
    const fields: EventField[] = [];
    this.#steps = compile(pattern, fields);
    this.fields = fields;
    this.#start = fields.map(() => 0);
    this.#end = fields.map(() => 0);
    this.#low = fields.map(() => 0);
    this.#high = fields.map(() => 0);
  }

  /** True when `[at, end)` is as the pattern says, to its end; `write` then has its values. */
  read(bytes: Uint8Array, at: number, end: number): boolean {
    return this.#readSteps(this.#steps, bytes, at, end) === end;
  }

  /** The fields of what was read last, into a row of their columns. */
  write(columns: readonly Uint32Array[], row: number, bytes: Uint8Array, strings: Interner): void {
    for (let field = 0; field < this.fields.length; field++) {
      const column = columns[field] as Uint32Array;
      if (this.fields[field]?.kind === 'string') {
        column[row] = strings.intern(bytes, this.#start[field] as number, this.#end[field] as number);
        continue;
      }
      column[row * 2] = this.#low[field] as number;
      column[row * 2 + 1] = this.#high[field] as number;
    }
  }

  /** Returns what follows, or -1. */
  #readSteps(steps: readonly Step[], bytes: Uint8Array, at: number, end: number): number {
    let p = at;
    for (let i = 0; i < steps.length && p >= 0; i++) {
      const step = steps[i] as Step;
      if (step.kind === 'literal') p = readLiteral(step.bytes, step.isPadded, bytes, p, end);
      else if (step.kind !== 'optional') p = this.#readValue(step.kind, step.field, bytes, p, end);
      else p = this.#readOptional(step.steps, step.fields, bytes, p, end);
    }
    return p;
  }

  #readOptional(steps: readonly Step[], fields: readonly number[], bytes: Uint8Array, at: number, end: number): number {
    const next = this.#readSteps(steps, bytes, at, end);
    if (next >= 0) return next;
    for (const field of fields) this.#low[field] = this.#high[field] = this.#start[field] = this.#end[field] = 0;
    return at;
  }

  #readValue(kind: ValueKind, field: number, bytes: Uint8Array, at: number, end: number): number {
    let p = at;
    if (kind === 'rest' || kind === 'char') {
      this.#start[field] = at;
      return (this.#end[field] = kind === 'rest' ? end : at < end && (bytes[at] as number) > SPACE ? at + 1 : -1);
    }
    while (p < end && bytes[p] === SPACE) p++;
    const from = p;
    if (kind === 'word') {
      while (p < end && (bytes[p] as number) > SPACE) p++;
      this.#start[field] = from;
      this.#end[field] = p;
      return p > from ? p : -1;
    }
    let value = 0;
    while (p < end && isDigit(bytes[p])) value = value * 10 + (bytes[p++] as number) - 48;
    const digits = p - from;
    if (digits === 0 || digits > MOST_DIGITS) return -1;
    if (kind !== 'integer') return digits > MOST_WHOLE_DIGITS ? -1 : this.#readFraction(value, kind === 'ns' ? 9 : 5, field, bytes, p, end);
    this.#high[field] = Math.floor(value / TWO_POW_32);
    this.#low[field] = value % TWO_POW_32;
    return p;
  }

  /** Behind `whole`, of which the sum with the fraction may be beyond an exact double. */
  #readFraction(whole: number, most: number, field: number, bytes: Uint8Array, at: number, end: number): number {
    if (bytes[at] !== DOT) return -1;
    let p = at + 1;
    let fraction = 0;
    while (p < end && isDigit(bytes[p]) && p - at <= most) fraction = fraction * 10 + (bytes[p++] as number) - 48;
    const digits = p - at - 1;
    if (digits === 0) return -1;
    const unit = POW_10[most] as number;
    const upper = Math.floor(whole / HALF_WORD) * unit;
    const rest = (whole % HALF_WORD) * unit + fraction * (POW_10[most - digits] as number) + (upper % HALF_WORD) * HALF_WORD;
    this.#high[field] = Math.floor(upper / HALF_WORD) + Math.floor(rest / TWO_POW_32);
    this.#low[field] = rest % TWO_POW_32;
    return p;
  }
}

function compile(pattern: string, fields: EventField[]): Step[] {
  return [...pattern.matchAll(PART)].map(([, optional, name, kind = 'integer', literal = '']): Step => {
    if (optional !== undefined) {
      const first = fields.length;
      const steps = compile(optional, fields);
      return { kind: 'optional', steps, fields: fields.slice(first).map((_field, index) => first + index) };
    }
    if (name === undefined) {
      const isPadded = literal.startsWith(' ') && literal.length > 1;
      return { kind: 'literal', bytes: encodeUtf8(isPadded ? literal.slice(1) : literal), isPadded };
    }
    const isText = kind === 'word' || kind === 'char' || kind === 'rest';
    fields.push({ name, kind: isText ? 'string' : 'int64', type: '', hex: false });
    return { kind: kind as ValueKind, field: fields.length - 1 };
  });
}

function readLiteral(literal: Uint8Array, isPadded: boolean, bytes: Uint8Array, at: number, end: number): number {
  let p = at;
  if (isPadded) {
    while (p < end && bytes[p] === SPACE) p++;
    if (p === at) return -1;
  }
  if (p + literal.length > end) return -1;
  for (let i = 0; i < literal.length; i++) if (bytes[p + i] !== literal[i]) return -1;
  return p + literal.length;
}
