/** LogQuery as a predicate over rows in memory, for the live tail. The same query as SQL is in store/queries/logs.ts. */
import { setFlagsFromString } from 'node:v8';
import { messageOf, OperationalError } from '../base/errors.ts';
import type { LogQuery, LogRow } from '../model/api.ts';

// The pattern comes from a person and the text from a kernel nobody trusts: matching must be linear, as RE2 is in ClickHouse.
// V8 has such an engine behind the `l` flag of RegExp; like RE2 it refuses look-around and back-references.
setFlagsFromString('--enable-experimental-regexp-engine');

const LINEAR = 'l';

export type LogPredicate = (row: LogRow) => boolean;

/** Throws E_REQUEST for a regular expression that does not compile. */
export function toLogPredicate(query: LogQuery): LogPredicate {
  const tests: LogPredicate[] = [];
  const { level, boot, stream, event } = query;
  if (query.kernel !== undefined) {
    const wanted = new Set(query.kernel.split(','));
    tests.push((row) => wanted.has(String(row.kernelId)) || wanted.has(row.kernelName));
  }
  if (boot !== undefined) tests.push((row) => row.bootId === boot);
  if (stream !== undefined) tests.push((row) => row.stream === stream);
  if (event !== undefined) {
    const names = event.split(',').filter((one) => one !== '');
    tests.push((row) => names.some((name) => (name.endsWith('*') ? row.eventName.startsWith(name.slice(0, -1)) : row.eventName === name)));
  }
  if (level !== undefined && level < 7) tests.push((row) => row.level <= level);
  if (query.search !== undefined) {
    const needle = query.search.toLowerCase();
    tests.push((row) => row.body.toLowerCase().includes(needle));
  }
  if (query.regex !== undefined) {
    const pattern = compileLinear(query.regex);
    tests.push((row) => pattern.test(row.body));
  }
  return (row) => tests.every((test) => test(row));
}

function compileLinear(source: string): RegExp {
  try {
    return new RegExp(source, LINEAR);
  } catch (error) {
    throw new OperationalError(
      'E_REQUEST',
      `regex does not compile: ${messageOf(error)}`,
      'use RE2 syntax; look-around and back-references are not supported',
      error,
    );
  }
}
