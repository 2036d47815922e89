/**
 * Which batches were taken: for each sender's stream its highest number, and the numbers below it that have not come. Kept
 * over restarts in the spool's journals, so a batch that is sent again is recognised; bounded in holes, streams and age.
 */
import type { BatchOrigin } from './store.ts';

/** A number this far below the highest counts as taken: senders have few batches under way at a time. */
const MAX_HOLES = 256;
const MAX_STREAMS = 10_000;
const FORGET_AFTER_MS = 7 * 24 * 3600 * 1000;

/** As it stands in a journal: stream → [highest, last seen (Unix ms), holes]. */
export type OriginMarks = Record<string, readonly [highest: number, seenMs: number, holes: readonly number[]]>;

interface Mark {
  highest: number;
  seenMs: number;
  readonly holes: Set<number>;
}

export class Origins {
  readonly #marks = new Map<string, Mark>();

  has({ stream, sequence }: BatchOrigin): boolean {
    const mark = this.#marks.get(stream);
    return mark !== undefined && sequence <= mark.highest && !mark.holes.has(sequence);
  }

  add({ stream, sequence }: BatchOrigin, nowMs: number): void {
    const mark = this.#marks.get(stream) ?? { highest: sequence, seenMs: nowMs, holes: holesBelow(sequence, sequence - MAX_HOLES) };
    // Last seen, last in the map: the oldest stream is the first to go.
    this.#marks.delete(stream);
    this.#marks.set(stream, mark);
    mark.seenMs = nowMs;
    if (sequence > mark.highest) {
      for (const hole of holesBelow(sequence, mark.highest + 1)) mark.holes.add(hole);
      mark.highest = sequence;
    } else {
      mark.holes.delete(sequence);
    }
    for (const hole of mark.holes) if (hole < mark.highest - MAX_HOLES) mark.holes.delete(hole);
    if (this.#marks.size > MAX_STREAMS) this.#marks.delete(this.#marks.keys().next().value as string);
  }

  /** The marks for a journal, without streams that were not heard of for a week. */
  toMarks(nowMs: number): OriginMarks {
    const marks: OriginMarks = {};
    for (const [stream, { highest, seenMs, holes }] of this.#marks) {
      if (nowMs - seenMs < FORGET_AFTER_MS) marks[stream] = [highest, seenMs, [...holes]];
      else this.#marks.delete(stream);
    }
    return marks;
  }

  /** Takes over the marks of a journal; journals come oldest first, each with all that the one before it knew. */
  load(marks: OriginMarks): void {
    for (const [stream, [highest, seenMs, holes]] of Object.entries(marks)) {
      this.#marks.delete(stream);
      this.#marks.set(stream, { highest, seenMs, holes: new Set(holes) });
    }
  }
}

function holesBelow(sequence: number, from: number): Set<number> {
  const holes = new Set<number>();
  for (let hole = Math.max(0, from, sequence - MAX_HOLES); hole < sequence; hole++) holes.add(hole);
  return holes;
}
