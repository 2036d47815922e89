/**
 * Lines of a console → log batches with times. The console of another kernel carries that kernel's printk stamps, and what is
 * known of its clock is when its lines came to us: unix ≤ seen, so the smallest (seen - stamp) of a boot is the best offset.
 *
 *   stamp   0.000 ─── 1.204 ─── 1.950 ───►   seen - stamp:  smallest = offset; the others came late
 *   seen       t0+3      t0+1.21    t0+1.96
 *
 * The doubt is that even the promptest line was on its way: a UART line takes 7 ms, a file's writer may buffer a second.
 */
import type { Gap } from '../model/gap.ts';
import { LOG_FLAG, LogBatch } from '../model/log-batch.ts';
import type { ParserSession } from '../model/parser.ts';
import { NO_RAW_TIME } from '../model/time.ts';
import { openConsole } from '../parsers/console.ts';

/** A line without an end is given to the parser in pieces of this size. */
const MAX_TAIL_BYTES = 64 << 10;
export const CONSOLE_DOUBT_NS = 1_000_000_000;

export interface ConsoleBatch {
  readonly batch: LogBatch;
  readonly gaps: readonly Gap[];
}

export class ConsoleLines {
  readonly #stream: string;
  readonly #session: ParserSession<LogBatch>;
  #tail: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  /** Smallest (seen - stamp) of this boot. */
  #offset: bigint | undefined;
  records: number;
  lost = 0;

  constructor(stream: string, firstSequence = 0) {
    this.#stream = stream;
    this.#session = openConsole({ firstSequence });
    this.records = firstSequence;
  }

  /** Bytes held because their line has no end yet. */
  get heldBytes(): number {
    return this.#tail.length;
  }

  /** Parses what came; `seenNs`: when, Unix ns. */
  add(bytes: Uint8Array, seenNs: bigint, atEnd = false): ConsoleBatch {
    const joined = new Uint8Array(this.#tail.length + bytes.length);
    joined.set(this.#tail);
    joined.set(bytes, this.#tail.length);
    const batch = new LogBatch(64);
    let taken = atEnd ? this.#session.finish(joined, batch) : this.#session.parse(joined, batch);
    // The parser cuts a line of its own bound; this bounds what it may hold back.
    if (joined.length - taken > MAX_TAIL_BYTES) taken += this.#session.finish(joined.subarray(taken), batch);
    this.#tail = joined.slice(taken);
    this.#align(batch, seenNs);
    this.records += batch.length;
    return { batch, gaps: this.#takeGaps(seenNs) };
  }

  #align(batch: LogBatch, seenNs: bigint): void {
    for (let row = 0; row < batch.length; row++) {
      batch.observedTime.setBigint(row, seenNs);
      const raw = batch.rawTime.getBigint(row);
      if (((batch.flags[row] as number) & LOG_FLAG.bootMark) !== 0) this.#offset = undefined;
      if (raw === NO_RAW_TIME) continue;
      const late = seenNs - raw;
      if (this.#offset === undefined || late < this.#offset) this.#offset = late;
    }
    // A line without a stamp has the time of the stamped line before it.
    let last = seenNs;
    for (let row = 0; row < batch.length; row++) {
      const raw = batch.rawTime.getBigint(row);
      if (raw !== NO_RAW_TIME) last = raw + (this.#offset ?? seenNs - raw);
      batch.unixTime.setBigint(row, last);
    }
  }

  #takeGaps(seenNs: bigint): Gap[] {
    return this.#session.takeLosses().map(({ cpu, count, fromRaw, toRaw, reason }) => {
      this.lost += count ?? 0;
      const toUnix = (raw: bigint): bigint => (raw === NO_RAW_TIME ? seenNs : raw + (this.#offset ?? seenNs - raw));
      return { stream: this.#stream, cpu, count, reason, fromUnixNs: toUnix(fromRaw), toUnixNs: toUnix(toRaw) };
    });
  }
}
