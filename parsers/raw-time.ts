/** Times from text into 64-bit word columns: exact ns, with no bigint and no rounding, at any magnitude. */
import { TWO_POW_32, type Int64Array } from '../base/int64.ts';

/** Below this many seconds, seconds × 1e9 is an exact double (104 days; clocks of longer uptimes take the slow path). */
const EXACT_SECONDS = 9_000_000;
const TWO_POW_16 = 0x1_0000;

/** Stores `seconds * 1e9 + nanos`; seconds below 2^33, nanos below 2^32. */
export function setSecondsNs(column: Int64Array, row: number, seconds: number, nanos: number): void {
  if (seconds < EXACT_SECONDS) {
    const total = seconds * 1e9 + nanos;
    const high = Math.floor(total / TWO_POW_32);
    column.words[row * 2] = total - high * TWO_POW_32;
    column.words[row * 2 + 1] = high;
  } else setLargeSecondsNs(column, row, seconds, nanos);
}

/** Schoolbook multiplication with 16-bit limbs of `seconds`: each partial product stays below 2^53. */
function setLargeSecondsNs(column: Int64Array, row: number, seconds: number, nanos: number): void {
  const upper = Math.floor(seconds / TWO_POW_16) * 1e9;
  const upperHigh = Math.floor(upper / TWO_POW_16);
  const low = (upper - upperHigh * TWO_POW_16) * TWO_POW_16 + (seconds % TWO_POW_16) * 1e9 + nanos;
  const carry = Math.floor(low / TWO_POW_32);
  column.words[row * 2] = low - carry * TWO_POW_32;
  column.words[row * 2 + 1] = upperHigh + carry;
}

/** Microseconds, below 2^53, as ns. */
export function setMicrosNs(column: Int64Array, row: number, micros: number): void {
  if (micros < EXACT_SECONDS * 1e6) {
    const total = micros * 1000;
    const high = Math.floor(total / TWO_POW_32);
    column.words[row * 2] = total - high * TWO_POW_32;
    column.words[row * 2 + 1] = high;
  } else {
    const seconds = Math.floor(micros / 1e6);
    setLargeSecondsNs(column, row, seconds, (micros - seconds * 1e6) * 1000);
  }
}
