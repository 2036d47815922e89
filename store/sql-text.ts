/**
 * The little of ClickHouse's syntax that has to be known outside ClickHouse: where a statement ends, and how values are
 * written. Strings and quoted names may hold anything; comments are `-- …`, `# …`, `#! …` and `/* … *\/`.
 */

/** One lexical element; whitespace and comments are elements of kind `space`. */
export interface SqlToken {
  readonly kind: 'space' | 'word' | 'quoted' | 'string' | 'symbol';
  readonly text: string;
}

const TOKEN =
  /(?<space>\s+|--[^\n]*|#[ !][^\n]*|\/\*[\s\S]*?(?:\*\/|$))|(?<string>'(?:[^'\\]|\\[\s\S]|'')*(?:'|$))|(?<quoted>`(?:[^`\\]|\\[\s\S]|``)*(?:`|$)|"(?:[^"\\]|\\[\s\S]|"")*(?:"|$))|(?<word>[A-Za-z_$][\w$]*|\d[\w.]*)|(?<symbol>[\s\S])/gy;

export function* tokenize(sql: string): Generator<SqlToken> {
  for (const { groups } of sql.matchAll(TOKEN)) {
    for (const kind of ['space', 'word', 'quoted', 'string', 'symbol'] as const) {
      const text = groups?.[kind];
      if (text !== undefined) yield { kind, text };
    }
  }
}

/** The statements of a script, without their semicolons; comments stay where they are, empty statements go. */
export function splitStatements(script: string): string[] {
  const statements: string[] = [];
  let statement = '';
  let hasContent = false;
  for (const token of tokenize(`${script};`)) {
    if (token.kind !== 'symbol' || token.text !== ';') {
      statement += token.text;
      hasContent ||= token.kind !== 'space';
      continue;
    }
    if (hasContent) statements.push(statement.trim());
    statement = '';
    hasContent = false;
  }
  return statements;
}

/** `'it''s'`: a string literal. */
export function quoteText(text: string): string {
  return `'${text.replace(/\\/g, '\\\\').replace(/'/g, "\\'")}'`;
}

/** `` `name` ``: an identifier that may hold anything. */
export function quoteName(name: string): string {
  return `\`${name.replace(/\\/g, '\\\\').replace(/`/g, '\\`')}\``;
}

/**
 * The text of a query parameter, as `param_<name>` wants it: a string in the escapes of tab-separated values, an array as a
 * literal.
 */
export function toParamText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(toElementText).join(',')}]`;
  if (typeof value === 'boolean') return value ? '1' : '0';
  if (value === null) return '\\N';
  return String(value as string | number | bigint).replace(/[\\\t\n\r\0]/g, (found) => PARAM_ESCAPES[found] as string);
}

const PARAM_ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r', '\0': '\\0' };

function toElementText(value: unknown): string {
  if (Array.isArray(value)) return toParamText(value);
  if (value === null) return 'NULL';
  return typeof value === 'string' ? quoteText(value) : toParamText(value);
}
