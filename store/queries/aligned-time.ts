/**
 * The time of a row by all that is known now: rows keep the time that they were stored with, and those of a stretch that was
 * drawn anew since (`clock_fits`, Revision > 0) are read along it. Only queries that touch such a stretch pay for it.
 */
import type { Conditions } from './conditions.ts';
import type { Revision } from './clocks.ts';
import type { Cursor } from './cursor.ts';

/** SQL over a table with Timestamp, ClockErrorNs, BootId, ClockDomain and RawTime; `params` go with both expressions. */
export interface AlignedTime {
  readonly time: string;
  readonly error: string;
  readonly params: Readonly<Record<string, unknown>>;
  /** The time lies within this of Timestamp. */
  readonly slackNs: bigint;
}

export const STORED_TIME: AlignedTime = { time: 'Timestamp', error: 'ClockErrorNs', params: {}, slackNs: 0n };

/** For rows with a Timestamp between two moments (both inclusive, Unix ns; undefined = open), and, where given, of one boot. */
export function toAlignedTime(
  revisions: readonly Revision[],
  from: bigint | undefined,
  to: bigint | undefined,
  boot?: string,
): AlignedTime {
  const found = revisions.filter(
    (one) =>
      (from === undefined || one.toNs >= from) && (to === undefined || one.fromNs <= to) && (boot === undefined || one.bootId === boot),
  );
  if (found.length === 0) return STORED_TIME;
  const list = (values: readonly bigint[]): string => `[${values.join(', ')}]::Array(Int64)`;
  // A row whose sender knew its time better than the graph did was not aligned by it, and is not now.
  const at = `arrayFirstIndex((boot, clock, first, behind, error) -> boot = BootId AND clock = ClockDomain AND RawTime >= first
    AND RawTime < behind AND (ClockErrorNs < 0 OR ClockErrorNs >= error), {revisedBoots:Array(String)}, {revisedClocks:Array(String)},
    ${list(found.map((one) => one.fromRaw))}, ${list(found.map((one) => one.toRaw))}, ${list(found.map((one) => BigInt(one.errorNs)))})`;
  const since = `(RawTime - ${list(found.map((one) => one.fromRaw))}[${at}])`;
  const slower = `[${found.map((one) => `toFloat64(${one.nsPerTick - 1})`).join(', ')}][${at}]`;
  const unix = `${list(found.map((one) => one.baseUnixNs))}[${at}] + ${since} + toInt64(round(${since} * ${slower}))`;
  return {
    time: `if(${at} = 0, Timestamp, fromUnixTimestamp64Nano(${unix}))`,
    error: `if(${at} = 0, ClockErrorNs, ${list(found.map((one) => BigInt(one.errorNs)))}[${at}])`,
    params: { revisedBoots: found.map((one) => one.bootId), revisedClocks: found.map((one) => one.clock) },
    slackNs: found.reduce((most, { shiftNs }) => (shiftNs > most ? shiftNs : most), 0n),
  };
}

/** Rows between two moments, both inclusive, by their aligned time; Timestamp narrows what is read. */
export function addAlignedRange(
  where: Conditions,
  { time, params, slackNs }: AlignedTime,
  from: string | undefined,
  to: string | undefined,
): Conditions {
  if (slackNs === 0n) return where.addRange('Timestamp', from, to);
  const moved = (bound: string | undefined, byNs: bigint): string | undefined =>
    bound === undefined ? undefined : String(BigInt(bound) + byNs);
  const [first, last] = [moved(from, -slackNs), moved(to, slackNs)];
  if (first !== undefined) where.add('Timestamp >= fromUnixTimestamp64Nano({firstNs:Int64})', { firstNs: first });
  if (last !== undefined) where.add('Timestamp <= fromUnixTimestamp64Nano({lastNs:Int64})', { lastNs: last });
  return where.addRange(`(${time})`, from, to).addParams(params);
}

/** What a page of a list by time is asked for. */
interface PageRange {
  readonly limit: number;
  readonly cursor: Cursor | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly boot?: string | undefined;
}

/** How a page has to be read, by the times (Unix ns) that its rows would have as they were stored; one more than the limit are given. */
export function alignedTimeOfPage(
  storedNs: readonly string[],
  { limit, cursor, from, to, boot }: PageRange,
  revisions: readonly Revision[],
): AlignedTime {
  if (revisions.length === 0) return STORED_TIME;
  const slackNs = 2n * revisions.reduce((most, { shiftNs }) => (shiftNs > most ? shiftNs : most), 0n);
  const times = storedNs.map(BigInt);
  if (cursor !== undefined) times.push(cursorTime(cursor, 0n));
  for (const bound of [from, to]) if (bound !== undefined) times.push(BigInt(bound));
  const isWhole = storedNs.length <= limit;
  const least = times.reduce((a, b) => (a < b ? a : b), times[0] ?? 0n);
  const most = times.reduce((a, b) => (a > b ? a : b), times[0] ?? 0n);
  return toAlignedTime(revisions, isWhole && from === undefined ? undefined : least - slackNs, most + slackNs, boot);
}

export function addTimeBound(where: Conditions, than: '<' | '<=' | '>' | '>=', name: string, ns: bigint): void {
  where.add(`Timestamp ${than} fromUnixTimestamp64Nano({${name}:Int64})`, { [name]: String(ns) });
}

/** The moment that a cursor stands at, moved. */
export function cursorTime(cursor: Cursor, byNs: bigint): bigint {
  const text = cursor.key[0] ?? '';
  return /^-?\d{1,19}$/.test(text) ? BigInt(text) + byNs : byNs;
}
