/**
 * Filters of trace events, in the kernel's own language, which both sides of mkscope read: a collector writes one to the `filter`
 * file of an event, and the hub applies it again to what was recorded without it (a file, another tool's instance).
 *
 *   sub == 0x2100 && (name == "eth0" || name ~ "mk-*")
 *   +-- field  +-- number, text, or a pattern with * and ?
 *
 *   ==  !=  <  <=  >  >=      numbers; == and != also texts
 *   &                         bits that the number has in common
 *   ~                         a text like the pattern
 *   &&  ||  !  ( )            as in C
 *
 * Not handled: fields that the kernel adds to each event (common_pid, CPU, COMM), functions (`.function`), stack traces.
 * Source: kernel/trace/trace_events_filter.c.
 */
import { Int64Array } from '../base/int64.ts';
import type { EventBatch, EventTable } from '../model/event-batch.ts';

export type EventFilter =
  | { readonly kind: 'all' | 'any'; readonly parts: readonly EventFilter[] }
  | { readonly kind: 'not'; readonly part: EventFilter }
  | {
      readonly kind: 'compare';
      readonly field: string;
      readonly operator: string;
      readonly number: bigint | undefined;
      readonly text: string;
    };

const MAX_CHARS = 512;
const MAX_DEPTH = 16;
/** Each `*` of a pattern is another loop over the text. */
const MAX_STARS = 4;
const NUMBER = /^-?(?:0x[0-9a-f]{1,16}|\d{1,20})$/i;
const TOKEN = /\s*(?:(&&|\|\||==|!=|<=|>=|[<>&~!()])|"([^"\n]*)"|'([^'\n]*)'|([\w.*?:/-]+))/y;

interface Token {
  readonly text: string;
  readonly kind: 'operator' | 'quoted' | 'word' | 'end';
}

/** Throws an Error that says what is wrong. */
export function parseEventFilter(source: string): EventFilter {
  if (source.length > MAX_CHARS) throw new Error(`it has ${source.length} characters, more than ${MAX_CHARS}`);
  return new FilterReader(source).read();
}

/** Names of the fields that a filter looks at. */
export function fieldsOfFilter(filter: EventFilter): string[] {
  if (filter.kind === 'compare') return [filter.field];
  return filter.kind === 'not' ? fieldsOfFilter(filter.part) : filter.parts.flatMap(fieldsOfFilter);
}

/** What passes any of the filters, as the kernel takes it; undefined = everything does. */
export function joinEventFilters(sources: readonly (string | undefined)[]): string | undefined {
  const given = sources.filter((source) => source !== undefined);
  if (given.length < sources.length || given.length === 0) return undefined;
  const parts = given.map((source) => parseEventFilter(source));
  return formatEventFilter(parts.length === 1 ? (parts[0] as EventFilter) : { kind: 'any', parts });
}

/** Texts in quotes: the kernel takes no others. One with double quotes in it was written in single ones. */
function formatEventFilter(filter: EventFilter): string {
  if (filter.kind === 'compare') {
    const { field, operator, number, text } = filter;
    const quote = text.includes('"') ? "'" : '"';
    return `${field} ${operator} ${number === undefined ? `${quote}${text}${quote}` : text}`;
  }
  if (filter.kind === 'not') return `!(${formatEventFilter(filter.part)})`;
  return filter.parts.map((part) => `(${formatEventFilter(part)})`).join(filter.kind === 'all' ? ' && ' : ' || ');
}

class FilterReader {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(source: string) {
    this.#tokens = tokensOf(source);
  }

  read(): EventFilter {
    const filter = this.#readAny(0);
    const { kind, text } = this.#next();
    if (kind !== 'end') throw new Error(`"${text}" where && or || should be`);
    return filter;
  }

  #readAny(depth: number): EventFilter {
    const parts = [this.#readAll(depth)];
    while (this.#takes('||')) parts.push(this.#readAll(depth));
    return parts.length === 1 ? (parts[0] as EventFilter) : { kind: 'any', parts };
  }

  #readAll(depth: number): EventFilter {
    const parts = [this.#readOne(depth)];
    while (this.#takes('&&')) parts.push(this.#readOne(depth));
    return parts.length === 1 ? (parts[0] as EventFilter) : { kind: 'all', parts };
  }

  #readOne(depth: number): EventFilter {
    if (depth > MAX_DEPTH) throw new Error(`it is nested deeper than ${MAX_DEPTH}`);
    if (this.#takes('!')) return { kind: 'not', part: this.#readOne(depth + 1) };
    if (this.#takes('(')) {
      const inner = this.#readAny(depth + 1);
      if (!this.#takes(')')) throw new Error('a "(" without its ")"');
      return inner;
    }
    const field = this.#next();
    if (field.kind !== 'word' || !/^[A-Za-z_]\w*$/.test(field.text))
      throw new Error(`${nameOf(field)} where the name of a field should be`);
    const operator = this.#next();
    if (operator.kind !== 'operator' || !['==', '!=', '<', '<=', '>', '>=', '&', '~'].includes(operator.text))
      throw new Error(`${nameOf(operator)} behind ${field.text}, where ==, !=, <, <=, >, >=, & or ~ should be`);
    const value = this.#next();
    if (value.kind !== 'word' && value.kind !== 'quoted') throw new Error(`${nameOf(value)} where a value should be`);
    const number = value.kind === 'word' && NUMBER.test(value.text) ? toBigint(value.text) : undefined;
    if (number === undefined && !['==', '!=', '~'].includes(operator.text))
      throw new Error(`"${value.text}" behind ${operator.text}, where a number should be`);
    if (operator.text === '~' && value.text.split('*').length > MAX_STARS + 1) throw new Error(`a pattern with more than ${MAX_STARS} "*"`);
    return { kind: 'compare', field: field.text, operator: operator.text, number, text: value.text };
  }

  #takes(operator: string): boolean {
    const token = this.#tokens[this.#at];
    if (token?.kind !== 'operator' || token.text !== operator) return false;
    this.#at++;
    return true;
  }

  #next(): Token {
    return this.#tokens[this.#at++] ?? { text: '', kind: 'end' };
  }
}

function nameOf({ kind, text }: Token): string {
  return kind === 'end' ? 'its end' : `"${text}"`;
}

function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  const rest = source.trimEnd();
  while (TOKEN.lastIndex < rest.length) {
    const from = TOKEN.lastIndex;
    const match = TOKEN.exec(rest);
    if (match === null) throw new Error(`"${rest.slice(from).trimStart().slice(0, 20)}" is no part of a filter`);
    const [, operator, double, single, word] = match;
    if (operator !== undefined) tokens.push({ text: operator, kind: 'operator' });
    else if (word !== undefined) tokens.push({ text: word, kind: 'word' });
    else tokens.push({ text: double ?? single ?? '', kind: 'quoted' });
  }
  return tokens;
}

function toBigint(text: string): bigint {
  return text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text);
}

/** Whether a row passes; what the event does not have never does. */
export function toFilterReader(filter: EventFilter, batch: EventBatch, table: EventTable): (row: number) => boolean {
  if (filter.kind === 'not') {
    const inner = toFilterReader(filter.part, batch, table);
    return (row) => !inner(row);
  }
  if (filter.kind !== 'compare') {
    const inner = filter.parts.map((part) => toFilterReader(part, batch, table));
    return filter.kind === 'all' ? (row) => inner.every((passes) => passes(row)) : (row) => inner.some((passes) => passes(row));
  }
  return toComparison(filter, batch, table);
}

function toComparison(
  { field, operator, number, text }: Extract<EventFilter, { kind: 'compare' }>,
  batch: EventBatch,
  table: EventTable,
): (row: number) => boolean {
  const column = table.column(field);
  if (column === undefined) return () => false;
  const valueOf = (row: number): string | bigint => {
    if (column.kind === 'string') return batch.strings.get(column.values[row] as number);
    const { values } = column;
    if (!(values instanceof Int64Array)) return BigInt(values[row] as number);
    return column.kind === 'int64' ? values.getBigint(row) : BigInt.asUintN(64, values.getBigint(row));
  };
  const like = operator === '~' ? toGlob(text) : undefined;
  return (row) => {
    const value = valueOf(row);
    if (like !== undefined) return like.test(String(value));
    if (number === undefined) return operator === '==' ? String(value) === text : String(value) !== text;
    // Text input has numbers as texts.
    const own = typeof value === 'bigint' ? value : NUMBER.test(value) ? toBigint(value) : undefined;
    return own === undefined ? operator === '!=' : compares(own, operator, number);
  };
}

function compares(value: bigint, operator: string, other: bigint): boolean {
  switch (operator) {
    case '==':
      return value === other;
    case '!=':
      return value !== other;
    case '<':
      return value < other;
    case '<=':
      return value <= other;
    case '>':
      return value > other;
    case '>=':
      return value >= other;
    default:
      return (value & other) !== 0n;
  }
}

function toGlob(pattern: string): RegExp {
  const source = pattern.replaceAll(/[.*+?^${}()|[\]\\]/g, (one) => (one === '*' ? '.*' : one === '?' ? '.' : `\\${one}`));
  return new RegExp(`^${source.replaceAll(/(?:\.\*)+/g, '.*')}$`, 's');
}
