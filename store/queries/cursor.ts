/**
 * Cursors of paged lists: the sort key of the row at the edge of a page and the direction to go on in, as opaque text. Rows
 * have a total order (time, boot, stream, position, and a hash where a writer does not number), so that pages neither overlap
 * nor skip, however many rows share a stamp and however many arrive meanwhile.
 */
import { OperationalError } from '../../base/errors.ts';

export interface Cursor {
  readonly direction: 'older' | 'newer';
  /** Values of the sort key, in its order; 64-bit integers as text. */
  readonly key: readonly string[];
}

export function encodeCursor(direction: Cursor['direction'], key: readonly string[]): string {
  return Buffer.from(JSON.stringify([direction === 'older' ? 0 : 1, ...key])).toString('base64url');
}

/** Throws E_REQUEST for a cursor that is none, or one of another list. */
export function decodeCursor(text: string, keyLength: number): Cursor {
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
  } catch {
    throw invalid();
  }
  if (!Array.isArray(parts) || parts.length !== keyLength + 1) throw invalid();
  const [direction, ...key] = parts as unknown[];
  if ((direction !== 0 && direction !== 1) || !key.every((part) => typeof part === 'string')) throw invalid();
  return { direction: direction === 0 ? 'older' : 'newer', key };
}

function invalid(): OperationalError {
  return new OperationalError('E_REQUEST', 'cursor is not one of this list', 'use `older` or `newer` of a page of the same query');
}

/** One column of a sort key: its SQL expression and type. */
export interface KeyColumn {
  readonly expression: string;
  readonly type: string;
  /** The parameter as the expression's type, where it cannot be passed as such. */
  readonly wrap?: (param: string) => string;
}

/** `(a, b, …) < (…)` for rows older than the cursor, `>` for newer ones, and the parameters. */
export function toCursorCondition(columns: readonly KeyColumn[], cursor: Cursor): { sql: string; params: Record<string, string> } {
  const params: Record<string, string> = {};
  const values = columns.map(({ type, wrap }, index) => {
    params[`key${index}`] = cursor.key[index] as string;
    const param = `{key${index}:${type}}`;
    return wrap === undefined ? param : wrap(param);
  });
  const than = cursor.direction === 'older' ? '<' : '>';
  const tuple = `(${columns.map((column) => column.expression).join(', ')}) ${than} (${values.join(', ')})`;
  // The first column alone lets ClickHouse skip by its primary key, which it does not do for a tuple with hashes in it.
  return { sql: `${columns[0]?.expression} ${than}= ${values[0]} AND ${tuple}`, params };
}

/** Rows as fetched with one more than the limit, put in time order, with the cursors to both sides. */
export function toPage<Row>(
  fetched: Row[],
  limit: number,
  direction: Cursor['direction'] | undefined,
  keyOf: (row: Row) => readonly string[],
): { readonly rows: Row[]; readonly older?: string; readonly newer?: string } {
  const more = fetched.length > limit;
  const rows = more ? fetched.slice(0, limit) : fetched;
  if (direction !== 'newer') rows.reverse();
  const [first] = rows;
  const last = rows.at(-1);
  if (first === undefined || last === undefined) return { rows };
  // A page reached from the other side has a neighbour there for certain.
  const hasOlder = direction === 'newer' || more;
  const hasNewer = direction === 'older' || (direction === 'newer' && more);
  return {
    rows,
    ...(hasOlder ? { older: encodeCursor('older', keyOf(first)) } : {}),
    ...(hasNewer ? { newer: encodeCursor('newer', keyOf(last)) } : {}),
  };
}
