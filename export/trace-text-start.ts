/**
 * When a buffer was last emptied: the latency format counts from there, and no file of tracefs says it. Each line that a copy
 * holds of that format narrows it down to a microsecond, all together mostly to some nanoseconds:
 *
 *         sh-3120      0d..2. 41950us+: …        its record: 478642108477 → emptied at 478600158477 ± 500
 *               sh    3120   0 1 00000002 00000000 [1c877fbc] 41.950ms (+0.079ms): …
 */
import type { PageCursor } from './page-cursor.ts';
import type { TraceMerge } from './trace-text-merge.ts';

const SHORT_LINE = /^ *\S.{0,7}-\d+ +\d+[\w.]{5} +(\d+)(us.)?: /;
const VERBOSE_LINE = /^ *\S.*? +\d+ +\d+ \d+ [\da-f]{8} [\da-f]{8} \[[\da-f]+\] (?:(\d+)\.(\d{3})ms \(\+|(\d+) \(\+)/;

/** The raw time from which the lines of `text` count, which is of the records of `merge`; undefined where it holds none. */
export function findStart(text: string, merge: TraceMerge): bigint | undefined {
  let least: bigint | undefined;
  let most: bigint | undefined;
  for (const line of text.matchAll(/^[^#\n].*$/gm)) {
    const since = readSince(line[0]);
    if (since === undefined) continue;
    const time = timeOf(merge.peek());
    if (time === undefined || merge.next() === undefined) break;
    const from = since.isUs ? time - since.count * 1000n - 499n : time - since.count;
    const to = since.isUs ? time - since.count * 1000n + 500n : from;
    const nextLeast: bigint = least === undefined || from > least ? from : least;
    const nextMost: bigint = most === undefined || to < most ? to : most;
    // A line of a marker that looks like an event: what was found before it holds.
    if (nextLeast > nextMost) break;
    least = nextLeast;
    most = nextMost;
  }
  return least === undefined || most === undefined ? undefined : (least + most) / 2n;
}

function readSince(line: string): { readonly count: bigint; readonly isUs: boolean } | undefined {
  const [, count, unit] = SHORT_LINE.exec(line) ?? [];
  if (count !== undefined) return { count: BigInt(count), isUs: unit !== undefined };
  const [, ms, us, ticks] = VERBOSE_LINE.exec(line) ?? [];
  if (ms !== undefined && us !== undefined) return { count: BigInt(ms) * 1000n + BigInt(us), isUs: true };
  return ticks === undefined ? undefined : { count: BigInt(ticks), isUs: false };
}

function timeOf(cursor: PageCursor | undefined): bigint | undefined {
  return cursor === undefined ? undefined : (BigInt(cursor.high >>> 0) << 32n) | BigInt(cursor.low >>> 0);
}
