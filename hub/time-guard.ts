/**
 * Times that cannot be: more than a day ahead of the hub, or from before Multikernel's, or anybody's, collectors. A kernel without a
 * clock of its own lives in 1970, one with a broken clock in 2087. Stored so, its rows would be found by nobody, expire at once or never,
 * and stand for ever as the newest. So they get the time they came at, without a bound; the raw stamp stays, and it is said.
 *
 * What is ahead by less is stored as it is told: between hosts, clocks differ. It is said beside the kernel's state.
 */
import type { Int64Array } from '../base/int64.ts';
import { OperationalError } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import { keepLast } from '../base/recent-map.ts';
import type { KernelIdentity } from '../model/identity.ts';
import type { LogBatch } from '../model/log-batch.ts';
import type { MetricBatch } from '../model/metric-batch.ts';
import type { SpanBatch } from '../model/span-batch.ts';
import type { HubCounters } from './counters.ts';
import type { WatchRows } from './watch-row.ts';

const MOST_AHEAD_NS = 86_400_000_000_000n;
/** 1990-01-01: before Linux. */
const LEAST_NS = 631_152_000_000_000_000n;
/** Later than this hub by more is said beside the state of its kernel. */
export const NOTABLE_AHEAD_NS = 60_000_000_000n;
const SAY_EVERY_MS = 60_000;
const MAX_SAID = 4_096;
const LEVEL_WARNING = 4;

/** EventName of the row that says that a kernel's times cannot be. */
export const BROKEN_TIME_EVENT = 'mk.clock.broken';

const log = createLogger('hub');

export function isPossible(unixNs: bigint, nowNs: bigint): boolean {
  return unixNs >= LEAST_NS && unixNs <= nowNs + MOST_AHEAD_NS;
}

export class TimeGuard {
  readonly #rows: WatchRows;
  readonly #counters: HubCounters;
  /** By boot: when it was last said. */
  readonly #said = new Map<string, number>();

  constructor(rows: WatchRows, counters: HubCounters) {
    this.#rows = rows;
    this.#counters = counters;
  }

  /** A record without a time has the time at which it was seen, at the latest now; so has one whose time cannot be. Returns how many those are. */
  fillLogs(identity: KernelIdentity | undefined, batch: LogBatch, nowNs: bigint): number {
    const { unixTime, observedTime } = batch;
    const when = (row: number): bigint => {
      const observed = observedTime.getBigint(row);
      return isPossible(observed, nowNs) ? observed : nowNs;
    };
    const broken = fill(unixTime, batch.length, nowNs, when);
    this.say(identity, 'records', broken, nowNs);
    return broken.count;
  }

  fillMetrics(identity: KernelIdentity | undefined, batch: MetricBatch, nowNs: bigint): void {
    this.say(
      identity,
      'points of metrics',
      fill(batch.time, batch.length, nowNs, () => nowNs),
      nowNs,
    );
  }

  /** A span is what its two times are: one that cannot be is refused. Throws E_REQUEST. */
  checkSpans(batch: SpanBatch, nowNs: bigint): void {
    for (let row = 0; row < batch.length; row++) {
      const [start, end] = [batch.startTime.getBigint(row), batch.endTime.getBigint(row)];
      if (isPossible(start, nowNs) && end <= nowNs + MOST_AHEAD_NS) continue;
      throw new OperationalError(
        'E_REQUEST',
        `a span begins at ${toText(start)} and ends at ${toText(end)}, and here it is ${toText(nowNs)}`,
        'set the clock of the sender',
      );
    }
  }

  /** Says it in the log of the kernel, once a minute at most. */
  say(identity: KernelIdentity | undefined, what: string, { count, sample }: Broken, nowNs: bigint): void {
    if (count === 0) return;
    this.#counters.timesReplaced += count;
    if (identity === undefined) return;
    const nowMs = Number(nowNs / 1_000_000n);
    if (nowMs - (this.#said.get(identity.bootId) ?? Number.NEGATIVE_INFINITY) < SAY_EVERY_MS) return;
    keepLast(this.#said, identity.bootId, nowMs, MAX_SAID);
    const body = `${count} ${what} of ${identity.kernelName} say that it is ${toText(sample)}: they are stored with the time they came at`;
    log.warn('times cannot be', { kernel: identity.kernelName, boot: identity.bootId, time: toText(sample) });
    this.#rows.add(identity, { event: BROKEN_TIME_EVENT, body, level: LEVEL_WARNING, atNs: nowNs });
  }
}

export interface Broken {
  readonly count: number;
  /** The first of them. */
  readonly sample: bigint;
}

function fill(times: Int64Array, rows: number, nowNs: bigint, when: (row: number) => bigint): Broken {
  let count = 0;
  let sample = 0n;
  const { words } = times;
  const [leastHigh, mostHigh] = [Number(LEAST_NS >> 32n), Number((nowNs + MOST_AHEAD_NS) >> 32n)];
  for (let row = 0; row < rows; row++) {
    const high = words[row * 2 + 1] as number;
    if (high > leastHigh && high < mostHigh) continue;
    const time = times.getBigint(row);
    if (isPossible(time, nowNs)) continue;
    times.setBigint(row, when(row));
    // Without a time is not the same as with a wrong one.
    if (time !== 0n && count++ === 0) sample = time;
  }
  return { count, sample };
}

/** As far as a date can say it. */
function toText(unixNs: bigint): string {
  const date = new Date(Number(unixNs / 1_000_000n));
  return Number.isNaN(date.getTime()) ? `${unixNs} ns` : date.toISOString();
}
