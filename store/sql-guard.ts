/**
 * What a user's query may not say. `readonly = 1` stops writes, settings and most table functions; an embedded engine leaves
 * open what is harmless on a server: the scalar `file()` reads any file of this machine, `INTO OUTFILE` writes one, several
 * statements may stand in one text, and `DESCRIBE file(…)` reads as well (docs/decisions/002-read-only-queries.md).
 *
 * The text is judged in ClickHouse's own spelling of it (`formatQuery`, which takes one statement only), and that spelling is
 * what runs: so a comment, an odd quote or a heredoc can't make this file and the parser see two different queries.
 */
import { OperationalError } from '../base/errors.ts';
import { tokenize, type SqlToken } from './sql-text.ts';

const FIRST_WORDS = new Set(['SELECT', 'WITH', 'FROM', 'SHOW', 'DESCRIBE', 'DESC', 'EXPLAIN', 'EXISTS']);

/** Table functions that touch nothing outside the store. All others are refused by name, as `system.table_functions` lists them. */
const HARMLESS_TABLE_FUNCTIONS = new Set([
  'numbers',
  'numbers_mt',
  'zeros',
  'zeros_mt',
  'values',
  'generateseries',
  'generate_series',
  'generaterandom',
  'primes',
  'merge',
  'view',
  'viewifpermitted',
  'viewexplain',
  'null',
  'loop',
  'format',
  'dictionary',
  'mergetreeindex',
  'mergetreeprojection',
]);

/** Functions that read files or reach other machines; refused as a bare name too, since `arrayMap(file, …)` calls one. */
const REFUSED_FUNCTIONS = new Set([
  'file',
  'catboostevaluate',
  'showcertificate',
  'aigenerate',
  'aiclassify',
  'aiembed',
  'aiextract',
  'aitranslate',
  'addresstoline',
  'addresstolinewithinlines',
  'addresstosymbol',
  'sleep',
  'sleepeachrow',
]);

/** Tables of `system` that interrupt every thread of this process to answer. */
const REFUSED_TABLES = new Set(['stack_trace', 'jemalloc_profile_text']);

/** Throws E_QUERY_READONLY when `canonical`, the output of formatQuery, says what it may not. */
export function refuseUnsafe(canonical: string, tableFunctions: ReadonlySet<string>): void {
  const tokens = [...tokenize(canonical)].filter((token) => token.kind !== 'space');
  const first = tokens.find((token) => token.text !== '(');
  if (first === undefined || first.kind !== 'word' || !FIRST_WORDS.has(first.text.toUpperCase())) {
    throw refused(`a query that starts with ${first?.text ?? 'nothing'}`);
  }
  for (const [at, token] of tokens.entries()) refuseToken(token, tokens[at - 1], tokens[at + 1], tableFunctions);
}

function refuseToken(
  token: SqlToken,
  before: SqlToken | undefined,
  after: SqlToken | undefined,
  tableFunctions: ReadonlySet<string>,
): void {
  if (token.kind !== 'word' && token.kind !== 'quoted') return;
  const name = (token.kind === 'quoted' ? token.text.slice(1, -1) : token.text).toLowerCase();
  if (token.kind === 'word' && name === 'outfile' && before?.text.toUpperCase() === 'INTO') throw refused('INTO OUTFILE');
  // A parameter of this type can name what the text does not: `arrayMap({f:Identifier}, …)` with f = file.
  if (name === 'identifier' && before?.text === ':') throw refused('a parameter of type Identifier');
  if (REFUSED_TABLES.has(name)) throw refused(`system.${name}`);
  if (after?.text === '(' && tableFunctions.has(name) && !HARMLESS_TABLE_FUNCTIONS.has(name)) throw refused(`the function ${name}()`);
  // A column of this name is reached through its table: `e.file`.
  if (REFUSED_FUNCTIONS.has(name) && (before?.text !== '.' || after?.text === '(')) throw refused(`the function ${name}()`);
}

function refused(what: string): OperationalError {
  return new OperationalError(
    'E_QUERY_READONLY',
    `${what} is not possible here`,
    'one SELECT, SHOW, DESCRIBE, EXISTS or EXPLAIN over the tables of the store is; a column named like a function is written `t.name`',
  );
}
