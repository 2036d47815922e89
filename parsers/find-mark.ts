/**
 * Finds the bytes that matter in a line of text, eight at a time: what lies below the space (line ends, NUL, escapes) and one
 * other byte of the caller's choice.
 *
 *   u s b   1 | - 1 :   | n e w ⏎
 *   word - 0x20202020    borrows into the top bit of a byte that is below 0x20
 *   word ^ 0x5b5b5b5b    is zero in a byte that is `[`
 *
 * A native search costs as much as some 60 bytes of this, and console lines need several (bench: console lines).
 */
const SPACES = 0x2020_2020;
const ONES = 0x0101_0101;
const TOP_BITS = 0x8080_8080 | 0;

/** Where the first byte of `[from, to)` stands that is below 0x20 or equal to `other`; `to` where there is none. */
export function findMark(view: DataView, from: number, to: number, other: number): number {
  const others = Math.imul(other, ONES);
  let at = from;
  for (; at + 8 <= to; at += 8) {
    const word = view.getInt32(at, true);
    const differing = word ^ others;
    const next = view.getInt32(at + 4, true);
    const nextDiffering = next ^ others;
    const marks = (((word - SPACES) & ~word) | ((differing - ONES) & ~differing)) & TOP_BITS;
    const nextMarks = (((next - SPACES) & ~next) | ((nextDiffering - ONES) & ~nextDiffering)) & TOP_BITS;
    if ((marks | nextMarks) === 0) continue;
    // Exact for the lowest byte that is marked; borrows may mark others above it.
    return marks !== 0 ? at + ((31 - Math.clz32(marks & -marks)) >> 3) : at + 4 + ((31 - Math.clz32(nextMarks & -nextMarks)) >> 3);
  }
  for (; at < to; at++) {
    const byte = view.getUint8(at);
    if (byte < 0x20 || byte === other) return at;
  }
  return to;
}
