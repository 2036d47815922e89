/**
 * What every walk over the records of a ring-buffer page has to know (the layout is drawn in ring-buffer.ts): the bits of the
 * commit word, the kinds of records, and how padding and time records move the running time.
 */

/** Of the commit word's low 32 bits. */
export const COMMIT_BYTES_MASK = 0x07ff_ffff;
export const LOST_FLAG = 0x8000_0000;
export const LOST_STORED_FLAG = 0x4000_0000;

/** `type_len`: below PADDING a record of an event. */
export const PADDING = 29;
export const ABSOLUTE = 31;

/** Absolute stamps have 59 bits; these are the others, in the high word. */
const TOP_BITS = 0xf800_0000;

/** What `skipSpecial` says instead of an offset. */
export const RECORD_CUT = -1;
export const RECORD_LENGTH = -2;

/** Time within a page: the stamp of the page and all deltas since, as two words. */
export class RunningTime {
  low = 0;
  high = 0;

  add(low: number, high: number): void {
    this.low = (this.low + low) >>> 0;
    this.high = (this.high + high + (this.low < low ? 1 : 0)) >>> 0;
  }

  /** An absolute stamp has 59 bits: the rest comes from the running time, one step up where it would run backwards. */
  setAbsolute(low: number, high: number): void {
    const top = (this.high & TOP_BITS) >>> 0;
    let full = (high | top) >>> 0;
    if (top !== 0 && (full < this.high || (full === this.high && low < this.low))) full = (full + 0x0800_0000) >>> 0;
    this.low = low;
    this.high = full;
  }
}

/**
 * Passes a record of type PADDING or above at `at`: moves `time` and returns where the next record begins (`end` where the rest
 * of the page is empty), RECORD_CUT or RECORD_LENGTH where it is broken. `countsDiscarded`: the delta of a discarded event is time
 * that passed, as libtraceevent has it, and the kernel's own reader has not.
 */
export function skipSpecial(
  time: RunningTime,
  type: number,
  delta: number,
  view: DataView,
  at: number,
  end: number,
  little: boolean,
  countsDiscarded = true,
): number {
  if (type === PADDING && delta === 0) return end;
  if (at + 8 > end) return RECORD_CUT;
  const extra = view.getUint32(at + 4, little);
  if (type === PADDING) {
    if (countsDiscarded) time.add(delta, 0);
    // The length counts itself: less than 4 would stand still.
    return extra < 4 || extra > end - at - 4 ? RECORD_LENGTH : at + 4 + ((extra + 3) & ~3);
  }
  const low = ((extra << 27) | delta) >>> 0;
  if (type === ABSOLUTE) time.setAbsolute(low, extra >>> 5);
  else time.add(low, extra >>> 5);
  return at + 8;
}
