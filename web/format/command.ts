/** What the page shows, as the command that shows it in a terminal. */
import type { LogFilter } from '../state/route.ts';
import { LEVELS } from './level.ts';

/** A word for a POSIX shell. */
export function quoteShell(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** Unix ns → RFC 3339 in UTC, all nine digits kept. */
export function toRfc3339(unixNs: bigint): string {
  const seconds = new Date(Number(unixNs / 1_000_000_000n) * 1000).toISOString().slice(0, 19);
  return `${seconds}.${(unixNs % 1_000_000_000n).toString().padStart(9, '0')}Z`;
}

export interface CommandRange {
  readonly since?: string;
  readonly until?: string;
}

export function toLogsCommand(filter: LogFilter, range: CommandRange, follow: boolean): string {
  const words = ['mkscope', 'logs'];
  const add = (flag: string, value: string | undefined): void => {
    if (value !== undefined && value !== '') words.push(flag, quoteShell(value));
  };
  if (follow) words.push('-f');
  if (filter.reports === true) words.push('--reports');
  add('--kernel', filter.kernel);
  add('--level', filter.level === undefined ? undefined : LEVELS[filter.level]);
  add('--stream', filter.stream);
  add('--grep', filter.regex ? filter.search : toPattern(filter.search));
  add('--since', range.since);
  add('--until', range.until);
  return words.join(' ');
}

/** The page's search takes text in either case, the command's a regular expression. */
function toPattern(search: string): string {
  return search === '' ? '' : `(?i)${search.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)}`;
}

export function toQueryCommand(sql: string): string {
  return `mkscope query ${quoteShell(sql.trim())}`;
}
