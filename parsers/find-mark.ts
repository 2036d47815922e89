/**
 * Finds the bytes that matter in a line of text, four at a time: what lies below the space (line ends, NUL, escapes) and one
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
  for (; at + 4 <= to; at += 4) {
    const word = view.getInt32(at, true);
    const differing = word ^ others;
    const marks = (((word - SPACES) & ~word) | ((differing - ONES) & ~differing)) & TOP_BITS;
    // Exact for the lowest byte that is marked; borrows may mark others above it.
    if (marks !== 0) return at + ((31 - Math.clz32(marks & -marks)) >> 3);
  }
  for (; at < to; at++) {
    const byte = view.getUint8(at);
    if (byte < 0x20 || byte === other) return at;
  }
  return to;
}
