/**
 * Decimal numbers of ftrace text, four digits at a time:
 *
 *   3 7 2 8 | : …        word ^ 0x30303030 is 3, 7, 2, 8; where a byte is above nine the number has ended
 *   3*10+7 | 2*10+8      one multiplication makes pairs, another the value
 */
import { TWO_POW_32 } from '../base/int64.ts';
import { readDecimal } from './ftrace-program.ts';

const ZEROS = 0x3030_3030;
const TOP_BITS = 0x8080_8080 | 0;
/** Carries into the top bit of a byte above 9. */
const ABOVE_NINE = 0x7676_7676;
const POW_10 = [1, 10, 100, 1000] as const;
const MOST_DIGITS = 16;

/** By character: its value as a hexadecimal digit, 255 for none. */
export const HEX_VALUES = new Uint8Array(256).fill(255);
for (let digit = 0; digit < 16; digit++) {
  const character = digit.toString(16);
  HEX_VALUES[character.charCodeAt(0)] = HEX_VALUES[character.toUpperCase().charCodeAt(0)] = digit;
}

/** What `readDigits` has read; one object, filled again and again. */
export const DIGITS = { value: 0 };

/** A number below 2^53 of at most 16 digits into `DIGITS`; returns its end, or -1 where there is none. */
export function readDigits(view: DataView, at: number): number {
  let value = 0;
  let p = at;
  for (;;) {
    const word = view.getInt32(p, true) ^ ZEROS;
    const marks = ((word + ABOVE_NINE) | word) & TOP_BITS;
    if (marks === 0) {
      value = value * 10_000 + toValue(word);
      p += 4;
      if (p > at + MOST_DIGITS) return -1;
      continue;
    }
    const count = (31 - Math.clz32(marks & -marks)) >> 3;
    if (count > 0) value = value * (POW_10[count] as number) + toValue(word << (32 - count * 8));
    p += count;
    break;
  }
  if (p === at || p > at + MOST_DIGITS || value >= TWO_POW_32 * 0x20_0000) return -1;
  DIGITS.value = value;
  return p;
}

/** What `readHexDigits` has read: two words without a sign. */
export const HEX = { low: 0, high: 0 };

/** Up to 16 hexadecimal digits into `HEX`; returns their end, or -1 where there is none or more. */
export function readHexDigits(view: DataView, at: number): number {
  let low = 0;
  let high = 0;
  let p = at;
  let digit = HEX_VALUES[view.getUint8(p)] as number;
  while (digit < 16) {
    high = (high << 4) | (low >>> 28);
    low = (low << 4) | digit;
    if (++p > at + MOST_DIGITS) return -1;
    digit = HEX_VALUES[view.getUint8(p)] as number;
  }
  HEX.low = low >>> 0;
  HEX.high = high >>> 0;
  return p === at ? -1 : p;
}

/** As `readDecimal`. */
export function readNumber(bytes: Uint8Array, view: DataView, at: number, column: Uint32Array, row: number): number {
  const first = view.getInt32(at, true) ^ ZEROS;
  const marks = ((first + ABOVE_NINE) | first) & TOP_BITS;
  let value = 0;
  let end = at;
  if (marks !== 0) {
    const count = (31 - Math.clz32(marks & -marks)) >> 3;
    if (count === 0) return readDecimal(bytes, at, column, row);
    value = toValue(first << (32 - count * 8));
    end += count;
  } else {
    const second = view.getInt32(at + 4, true) ^ ZEROS;
    const more = ((second + ABOVE_NINE) | second) & TOP_BITS;
    if (more === 0) return readDecimal(bytes, at, column, row);
    const count = (31 - Math.clz32(more & -more)) >> 3;
    const rest = count === 0 ? 0 : toValue(second << (32 - count * 8));
    value = Math.imul(toValue(first), POW_10[count] as number) + rest;
    end += 4 + count;
  }
  column[row * 2] = value;
  column[row * 2 + 1] = 0;
  return end;
}

/** Four digits, the first one in the low byte, each as its value. */
function toValue(digits: number): number {
  const pairs = Math.imul(digits, 10) + (digits >>> 8);
  return (pairs & 0xff) * 100 + ((pairs >>> 16) & 0xff);
}
