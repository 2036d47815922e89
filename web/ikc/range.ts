/** The time range of a page out of its address: `range` (a span up to now), or `from` and `to`; all that is stored otherwise. */
import { toRfc3339 } from '../format/command.ts';
import { parseSpan, parseUnixNs } from '../format/time.ts';

export const RANGES = [
  { value: '', label: 'all' },
  { value: '5m', label: 'last 5 min' },
  { value: '15m', label: 'last 15 min' },
  { value: '1h', label: 'last hour' },
  { value: '24h', label: 'last 24 h' },
] as const;

type Params = Readonly<Record<string, string>>;

export interface Bounds {
  readonly from?: string;
  readonly to?: string;
}

/** As the API takes it. */
export function toBounds(params: Params, nowMs: number): Bounds {
  const seconds = parseSpan(params['range'] ?? '');
  if (seconds !== undefined) return { from: (BigInt(Math.floor(nowMs) - seconds * 1000) * 1_000_000n).toString() };
  const [from, to] = [parseUnixNs(params['from']), parseUnixNs(params['to'])];
  return {
    ...(from === undefined ? {} : { from: from.toString() }),
    ...(to === undefined ? {} : { to: to.toString() }),
  };
}

/** Length in seconds; undefined = open. */
export function toSeconds(params: Params): number | undefined {
  const seconds = parseSpan(params['range'] ?? '');
  if (seconds !== undefined) return seconds;
  const [from, to] = [parseUnixNs(params['from']), parseUnixNs(params['to'])];
  return from === undefined || to === undefined || to <= from ? undefined : Number(to - from) / 1e9;
}

/** As the command line takes it: words for `--since` and `--until`. */
export function toRangeFlags(params: Params): readonly string[] {
  if (parseSpan(params['range'] ?? '') !== undefined) return ['--since', params['range'] as string];
  const [from, to] = [parseUnixNs(params['from']), parseUnixNs(params['to'])];
  return [...(from === undefined ? [] : ['--since', toRfc3339(from)]), ...(to === undefined ? [] : ['--until', toRfc3339(to)])];
}
