/**
 * Pairs of clocks, read with the tracer itself: a marker into an instance on clock X, one into an instance on `mono`, one more
 * into the first. The kernel stamps each inside the write, so user space's own delays do not count:
 *
 *   instance a (clock X)    x1 ───────── x3
 *   instance b (mono)            m2              x1 ≤ X at m2 ≤ x3: the bracket is x3 - x1, some µs
 *
 * The narrowest of some rounds is kept. Nothing of the user's tracing is touched: both instances are ours, with the smallest
 * buffers, no event enabled. printk's clock is the trace clock `perf`.
 */
import { closeSync, readSync, writeSync } from 'node:fs';
import { errnoOf } from '../base/errors.ts';
import { toMonotonicNs, toTraceClockTicks, type ClockDomain, type MonotonicNs, type TraceClockTicks } from '../model/time.ts';
import { EventBatch } from '../model/event-batch.ts';
import { PageReader } from '../parsers/ring-buffer.ts';
import { readFormatSet } from './format-set.ts';
import { INSTANCE_PREFIX, TraceInstance } from './tracefs.ts';

const ROUNDS = 12;
const BUFFER_KB = 8;

/** At `raw` on clock X the monotonic clock stood in [monoLow, monoHigh]. */
export interface MonoBracket {
  readonly raw: TraceClockTicks;
  readonly monoLowNs: MonotonicNs;
  readonly monoHighNs: MonotonicNs;
}

interface Side {
  readonly instance: TraceInstance;
  readonly marker: number;
  readonly pages: readonly { readonly cpu: number; readonly fd: number }[];
}

export class ClockBracket {
  readonly #sides: readonly [Side, Side];
  readonly #reader: PageReader;
  readonly #page: Uint8Array;
  #round = 0;

  /** Makes both instances; throws OperationalError where tracefs cannot be used. */
  constructor(tracefs: string, clock: ClockDomain, tag = 'clock') {
    const made: Side[] = [];
    try {
      made.push(openSide(tracefs, `${INSTANCE_PREFIX}${tag}a-${process.pid}`, clock));
      made.push(openSide(tracefs, `${INSTANCE_PREFIX}${tag}b-${process.pid}`, 'mono'));
    } catch (error) {
      made.forEach(closeSide);
      throw error;
    }
    this.#sides = made as [Side, Side];
    this.#reader = new PageReader(readFormatSet(tracefs, ['ftrace:print']).set);
    this.#page = new Uint8Array(this.#sides[0].instance.pageSizeBytes());
  }

  /** The narrowest bracket of some rounds; undefined when no round came back whole. */
  sample(): MonoBracket | undefined {
    const [a, b] = this.#sides;
    const first = this.#round;
    for (let i = 0; i < ROUNDS; i++) {
      const mark = Buffer.from(`mkscope ${this.#round++}\n`);
      writeSync(a.marker, mark);
      writeSync(b.marker, mark);
      writeSync(a.marker, mark);
    }
    const stampsA = this.#readStamps(a, first);
    const stampsB = this.#readStamps(b, first);
    let best: MonoBracket | undefined;
    let bestWidth = 0n;
    for (let round = 0; round < ROUNDS; round++) {
      const [x1, x3] = stampsA[round] ?? [];
      const [m2] = stampsB[round] ?? [];
      if (x1 === undefined || x3 === undefined || m2 === undefined || x3 < x1) continue;
      if (best === undefined || x3 - x1 < bestWidth) {
        // In ticks of a counter the width is more than in ns: counters are faster than 1 GHz.
        bestWidth = x3 - x1;
        best = { raw: toTraceClockTicks(x1), monoLowNs: toMonotonicNs(m2 - bestWidth), monoHighNs: toMonotonicNs(m2) };
      }
    }
    return best;
  }

  close(): void {
    this.#sides.forEach(closeSide);
  }

  /** Stamps of this sample's rounds, by round, in time order. */
  #readStamps(side: Side, firstRound: number): bigint[][] {
    const stamps: bigint[][] = [];
    const batch = new EventBatch();
    for (const { cpu, fd } of side.pages) {
      while (readPage(fd, this.#page)) this.#reader.read(this.#page, this.#page.length, cpu, batch);
    }
    const table = batch.tables.find((candidate) => candidate.schema.event === 'print');
    const texts = table?.column('buf');
    if (table === undefined || texts?.kind !== 'string') return stamps;
    for (let row = 0; row < table.length; row++) {
      const round = Number(/^mkscope (\d+)/.exec(batch.strings.get(texts.values[row] as number))?.[1] ?? -1) - firstRound;
      if (round < 0 || round >= ROUNDS) continue;
      (stamps[round] ??= []).push(table.rawTime.getBigint(row));
    }
    for (const of of stamps) of?.sort((x, y) => (x < y ? -1 : x > y ? 1 : 0));
    return stamps;
  }
}

function openSide(tracefs: string, name: string, clock: ClockDomain): Side {
  const instance = new TraceInstance(tracefs, name);
  instance.create(clock, BUFFER_KB);
  return { instance, marker: instance.openMarker(), pages: instance.cpus().map((cpu) => ({ cpu, fd: instance.openPages(cpu) })) };
}

function closeSide(side: Side): void {
  closeSync(side.marker);
  for (const { fd } of side.pages) closeSync(fd);
  side.instance.remove();
}

/** One raw page; false when there is none now. */
export function readPage(fd: number, page: Uint8Array): boolean {
  try {
    return readSync(fd, page, 0, page.length, null) > 0;
  } catch (error) {
    if (errnoOf(error) === 'EAGAIN') return false;
    throw error;
  }
}
