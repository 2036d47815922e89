/** Which records of a recording are asked for, by the flags of `mkscope report`. */
import { OperationalError } from '../base/errors.ts';
import type { ReportFilter } from '../export/report-options.ts';
import type { EventFileInfo } from '../model/event-file.ts';
import { parseReportTime } from './report-times.ts';

export interface FilterFlags {
  readonly event: readonly string[];
  readonly cpu: string | undefined;
  readonly pid: string | undefined;
  readonly since: string | undefined;
  readonly until: string | undefined;
}

/** A filter that can be sent to a thread. */
export interface FilterWords extends Omit<ReportFilter, 'events'> {
  readonly patterns: readonly string[];
}

/** undefined: all. Throws E_ARGS. */
export function readFilter({ event, cpu, pid, since, until }: FilterFlags, info: EventFileInfo): FilterWords | undefined {
  if (event.length === 0 && [cpu, pid, since, until].every((value) => value === undefined)) return undefined;
  return {
    cpus: cpu === undefined ? undefined : parseList('cpu', cpu),
    pids: pid === undefined ? undefined : parseList('pid', pid),
    patterns: event,
    since: since === undefined ? undefined : parseReportTime('since', since, info),
    until: until === undefined ? undefined : parseReportTime('until', until, info),
  };
}

export function toFilter(words: FilterWords | undefined): ReportFilter | undefined {
  return words && { ...words, events: words.patterns.length === 0 ? undefined : matchEvents(words.patterns) };
}

/** `sched`, `sched:sched_switch`, `irq_*`: a word alone is a system or an event. */
function matchEvents(patterns: readonly string[]): (system: string, event: string) => boolean {
  const toExpression = (pattern: string): RegExp =>
    new RegExp(
      `^${pattern
        .replace(/[.+^${}()|[\]\\]/g, '\\$&')
        .replaceAll('*', '.*')
        .replaceAll('?', '.')}$`,
    );
  const matchers = patterns.map((pattern) => {
    const [system = '', event] = pattern.split(':');
    const [first, second] = [toExpression(system), toExpression(event ?? '*')];
    if (event !== undefined) return (of: string, name: string) => first.test(of) && second.test(name);
    return (of: string, name: string) => first.test(of) || first.test(name);
  });
  return (system, event) => matchers.some((matches) => matches(system, event));
}

const MAX_LIST = 1 << 16;

function parseList(option: string, text: string): ReadonlySet<number> {
  const numbers = new Set<number>();
  for (const part of text.split(',')) {
    const [, from, to = from] = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(part) ?? [];
    const [first, last] = [Number(from ?? Number.NaN), Number(to ?? Number.NaN)];
    if (!(first <= last) || last - first >= MAX_LIST) {
      throw new OperationalError('E_ARGS', `--${option} ${text} is no list of numbers`, `write it as --${option} 0,2-3`);
    }
    for (let number = first; number <= last; number++) numbers.add(number);
  }
  return numbers;
}
