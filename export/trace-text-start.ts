/**
 * When a buffer was last emptied: the latency format counts from there, and no file of tracefs says it. Each line that a copy
 * holds of that format narrows it down to a microsecond, all together mostly to some nanoseconds:
 *
 *         sh-3120      0d..2. 41950us+: …        its record: 478642108477 → emptied at 478600158477 ± 500
 *               sh    3120   0 1 00000002 00000000 [1c877fbc] 41.950ms (+0.079ms): …
 */
import type { PageCursor } from './page-cursor.ts';
import type { EventRecord } from './print-fmt-numbers.ts';
import type { TraceMerge } from './trace-text-merge.ts';

const SHORT_LINE = /^ *\S.{0,7}-(\d+) +(\d+)[\w.]{5} +(\d+)(us.)?: /;
const VERBOSE_LINE = /^ *\S.*? +(\d+) +(\d+) \d+ [\da-f]{8} [\da-f]{8} \[[\da-f]+\] (?:(\d+)\.(\d{3})ms \(\+|(\d+) \(\+)/;

/** Records that a line is no line of, at most: it may be text of a marker that looks like one. */
const MOST_SKIPPED = 4096;

/**
 * The raw time from which the lines of `text` count, which is of the records of `merge`; undefined where it holds none. `isLineOf`:
 * has the record a line with a time, and is it of this thread?
 */
export function findStart(text: string, merge: TraceMerge, isLineOf: (record: EventRecord, pid: number) => boolean): bigint | undefined {
  let least: bigint | undefined;
  let most: bigint | undefined;
  for (const [line] of text.matchAll(/^[^#\n].*$/gm)) {
    const since = readSince(line);
    if (since === undefined) continue;
    const bounds = takeBounds(since, merge, isLineOf, { least, most });
    // Text of a marker that looks like a line: what was found before it holds.
    if (bounds === undefined) break;
    ({ least, most } = bounds);
  }
  return least === undefined || most === undefined ? undefined : (least + most) / 2n;
}

interface Bounds {
  readonly least: bigint | undefined;
  readonly most: bigint | undefined;
}

/** Of the next record that the line can be of: one that is too long to be printed has none. */
function takeBounds(
  { pid, cpu, count, isUs }: LineTime,
  merge: TraceMerge,
  isLineOf: (record: EventRecord, pid: number) => boolean,
  { least, most }: Bounds,
): Bounds | undefined {
  for (let i = 0; i < MOST_SKIPPED; i++) {
    const next = merge.peek();
    const time = timeOf(next);
    if (next === undefined || time === undefined) return undefined;
    const isOwn = next.cpu === cpu && isLineOf(next.record, pid);
    merge.next();
    if (!isOwn) continue;
    const from = isUs ? time - count * 1000n - 499n : time - count;
    const to = isUs ? time - count * 1000n + 500n : from;
    const nextLeast = least === undefined || from > least ? from : least;
    const nextMost = most === undefined || to < most ? to : most;
    if (nextLeast <= nextMost) return { least: nextLeast, most: nextMost };
  }
  return undefined;
}

interface LineTime {
  readonly pid: number;
  readonly cpu: number;
  readonly count: bigint;
  readonly isUs: boolean;
}

function readSince(line: string): LineTime | undefined {
  const found = SHORT_LINE.exec(line);
  if (found !== null) return { pid: Number(found[1]), cpu: Number(found[2]), count: BigInt(found[3] ?? 0), isUs: found[4] !== undefined };
  const [, pid, cpu, ms, us, ticks] = VERBOSE_LINE.exec(line) ?? [];
  const place = { pid: Number(pid), cpu: Number(cpu) };
  if (ms !== undefined && us !== undefined) return { ...place, count: BigInt(ms) * 1000n + BigInt(us), isUs: true };
  return ticks === undefined ? undefined : { ...place, count: BigInt(ticks), isUs: false };
}

function timeOf(cursor: PageCursor | undefined): bigint | undefined {
  return cursor === undefined ? undefined : (BigInt(cursor.high >>> 0) << 32n) | BigInt(cursor.low >>> 0);
}
