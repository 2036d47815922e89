/**
 * What a ClickHouse HTTP client asks: the URL's parameters and the body, as the server of ClickHouse reads them.
 *
 *   POST /?query=SELECT+…&database=default&default_format=JSON&param_boot=…&max_execution_time=60 HTTP/1.1
 *          +-- and the body: one text    |                     |            +-- settings: limits are taken, the rest ignored
 *                                        +-- FORMAT in the SQL wins, then this, then X-ClickHouse-Format, then TabSeparated
 *                                                              +-- value as in TabSeparated, with its escapes
 *
 * Not handled: sessions, multipart bodies with external tables, `compress=1` (ClickHouse's own block compression; HTTP
 * compression is there), inserts (the endpoint is read-only).
 */
import { randomUUID } from 'node:crypto';
import type { QueryOptions } from '../store/store.ts';

export interface ClickhouseQuery {
  readonly sql: string;
  readonly format: string;
  readonly options: QueryOptions;
  readonly queryId: string;
  readonly database: string;
  /** `compress=1`: refused. */
  readonly wantsBlockCompression: boolean;
  /** Answer compressed where the client accepts it. */
  readonly compressible: boolean;
  /** Native blocks carry what this revision of the protocol adds; 0 = none. */
  readonly protocolRevision: number;
}

const DEFAULT_FORMAT = 'TabSeparated';
/** The last clause of a statement, or before SETTINGS. */
const FORMAT_CLAUSE = /\bFORMAT\s+([A-Za-z][A-Za-z0-9]*)\s*(?=;?\s*$|SETTINGS\b)/i;

export function readClickhouseQuery(url: URL, headers: Headers, body: string): ClickhouseQuery {
  const { searchParams } = url;
  const inUrl = searchParams.get('query') ?? '';
  const text = [inUrl, body].filter((part) => part.trim() !== '').join('\n');
  const { sql, format } = splitFormat(text);
  const params: Record<string, unknown> = {};
  for (const [key, value] of searchParams) if (key.startsWith('param_')) params[key.slice('param_'.length)] = readParam(value);
  return {
    sql,
    format: format ?? searchParams.get('default_format') ?? headers.get('x-clickhouse-format') ?? DEFAULT_FORMAT,
    options: { params, ...limitsOf(searchParams) },
    queryId: searchParams.get('query_id') ?? randomUUID(),
    database: searchParams.get('database') ?? headers.get('x-clickhouse-database') ?? '',
    wantsBlockCompression: searchParams.get('compress') === '1',
    compressible: ['1', 'true'].includes(searchParams.get('enable_http_compression') ?? ''),
    protocolRevision: Number(searchParams.get('client_protocol_version') ?? 0),
  };
}

/** Takes the FORMAT clause out of a statement, since the store asks for the format on its own. */
export function splitFormat(text: string): { readonly sql: string; readonly format: string | undefined } {
  const trimmed = text.trim().replace(/;\s*$/, '');
  const found = FORMAT_CLAUSE.exec(trimmed);
  if (found === null) return { sql: trimmed, format: undefined };
  return { sql: (trimmed.slice(0, found.index) + trimmed.slice(found.index + found[0].length)).trim(), format: found[1] };
}

function limitsOf(params: URLSearchParams): Pick<QueryOptions, 'maxSeconds' | 'maxResultRows'> {
  const seconds = Number(params.get('max_execution_time') ?? 0);
  const rows = Number(params.get('max_result_rows') ?? 0);
  return { ...(seconds > 0 ? { maxSeconds: seconds } : {}), ...(rows > 0 ? { maxResultRows: rows } : {}) };
}

const UNESCAPED: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', b: '\b', f: '\f', 0: '\0', '\\': '\\', "'": "'" };

function unescapeTab(text: string): string {
  return text.replace(/\\(.)/gs, (whole, of: string) => UNESCAPED[of] ?? whole);
}

/** A parameter as the store takes it: `\N`, an array literal, or text (numbers too: the query says what they are). */
export function readParam(text: string): unknown {
  if (text === '\\N') return null;
  if (text.startsWith('[')) {
    const literal = new ArrayLiteral(text).read();
    if (literal !== undefined) return literal;
  }
  return unescapeTab(text);
}

/** Reads `['it\'s', 'x']`, `[1, -2.5, NULL]`, `[['a'], []]`. */
class ArrayLiteral {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** undefined where the text is no such array. */
  read(): unknown[] | undefined {
    const values = this.#readArray(0);
    return this.#at === this.#text.length ? values : undefined;
  }

  #readArray(depth: number): unknown[] | undefined {
    if (depth > 8 || !this.#take('[')) return undefined;
    const values: unknown[] = [];
    if (this.#take(']')) return values;
    for (;;) {
      const value = this.#readValue(depth);
      if (value === undefined) return undefined;
      values.push(value);
      if (this.#take(']')) return values;
      if (!this.#take(',')) return undefined;
    }
  }

  #readValue(depth: number): unknown {
    if (this.#text[this.#at] === '[') return this.#readArray(depth + 1);
    const quoted = this.#match(/'((?:[^'\\]|\\.)*)'\s*/sy);
    if (quoted !== undefined) return unescapeTab(quoted);
    const word = this.#match(/(NULL|true|false|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*/y);
    if (word === undefined) return undefined;
    if (word === 'NULL') return null;
    if (word === 'true' || word === 'false') return word === 'true';
    return /^-?\d+$/.test(word) ? BigInt(word) : Number(word);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found === null) return undefined;
    this.#at = pattern.lastIndex;
    return found[1];
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    while (this.#text[this.#at] === ' ') this.#at++;
    return true;
  }
}
