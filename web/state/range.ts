/** The time range of a page out of its address: `from` and `to`, else `range` (a span up to now); all that is stored otherwise. */
import { type CommandRange, toRfc3339 } from '../format/command.ts';
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

interface Range {
  readonly from: bigint | undefined;
  readonly to: bigint | undefined;
  /** Where neither is given. */
  readonly spanSeconds: number | undefined;
}

function readRange(params: Params): Range {
  const [from, to] = [parseUnixNs(params['from']), parseUnixNs(params['to'])];
  return { from, to, spanSeconds: from === undefined && to === undefined ? parseSpan(params['range'] ?? '') : undefined };
}

/** As the API takes it. */
export function toBounds(params: Params, nowMs: number): Bounds {
  const { from, to, spanSeconds } = readRange(params);
  if (spanSeconds !== undefined) return { from: (BigInt(Math.floor(nowMs) - spanSeconds * 1000) * 1_000_000n).toString() };
  return {
    ...(from === undefined ? {} : { from: from.toString() }),
    ...(to === undefined ? {} : { to: to.toString() }),
  };
}

/** Length in seconds; undefined = open. */
export function toSeconds(params: Params): number | undefined {
  const { from, to, spanSeconds } = readRange(params);
  return from === undefined || to === undefined || to <= from ? spanSeconds : Number(to - from) / 1e9;
}

/** As the command line takes it. */
export function toCommandRange(params: Params): CommandRange {
  const { from, to, spanSeconds } = readRange(params);
  if (spanSeconds !== undefined) return { since: params['range'] as string };
  return {
    ...(from === undefined ? {} : { since: toRfc3339(from) }),
    ...(to === undefined ? {} : { until: toRfc3339(to) }),
  };
}

/** The same as flags. */
export function toRangeFlags(params: Params): readonly string[] {
  return Object.entries(toCommandRange(params)).flatMap(([name, value]) => [`--${name}`, value as string]);
}
