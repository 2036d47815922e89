/** ClickHouse's exceptions as the errors an operator or the author of a query can act on. */
import { errnoOf, isOperational, messageOf, OperationalError, type ErrorCode } from '../base/errors.ts';

const CODES: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  '164': ['E_QUERY_READONLY', 'only SELECT, SHOW, DESCRIBE, EXISTS and EXPLAIN are possible here'],
  '158': ['E_QUERY_LIMIT', 'narrow the time range, or add a LIMIT'],
  '159': ['E_QUERY_LIMIT', 'narrow the time range, or filter by kernel'],
  '160': ['E_QUERY_LIMIT', 'narrow the time range, or filter by kernel'],
  '241': ['E_QUERY_LIMIT', 'narrow the time range, or group by fewer values'],
  '307': ['E_QUERY_LIMIT', 'narrow the time range, or filter by kernel'],
  '396': ['E_QUERY_LIMIT', 'add a LIMIT, or aggregate'],
  '243': ['E_DISK_FULL', 'free some space under the data folder'],
};

export function toQueryError(error: unknown): OperationalError {
  if (isOperational(error)) return error;
  const [code, hint] = CODES[errnoOf(error) ?? ''] ?? ['E_STORE_QUERY', 'see the message; DESCRIBE TABLE shows the columns of a table'];
  return new OperationalError(code, messageOf(error).trim(), hint, error);
}
