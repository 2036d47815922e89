/**
 * Counter ticks → ns as the kernel's clock pages and trace-cmd do it, ns = (ticks × mult >> shift) + offset, with all 96 bits
 * of the product: trace-cmd's own 64-bit arithmetic drops the bits that the high word of the ticks shifts out.
 *
 * No bigint per event: from a base with product P = q × 2^shift + r, the next ticks are q + floor((r + Δ × mult) / 2^shift),
 * exact as long as the sum stays below 2^53, which at 2.8 GHz is a millisecond; then a new base is taken.
 */
import { TWO_POW_32, type Int64Array } from '../base/int64.ts';
import type { TscToNs } from '../model/event-file.ts';
import { NO_RAW_TIME } from '../model/time.ts';

/** With a larger shift the remainder alone would leave no room in a double. */
const MAX_FAST_SHIFT = 40;
const EXACT = 2 ** 53;

/** One time, exactly; ticks are unsigned. */
export function tscToNs(ticks: bigint, { mult, shift, offsetNs }: TscToNs): bigint {
  return BigInt.asIntN(64, ((BigInt.asUintN(64, ticks) * BigInt(mult)) >> BigInt(shift)) + offsetNs);
}

/** Writes the ns of `ticks[0 … length)`; rows without a stamp keep NO_RAW_TIME. The columns may be the same. */
export function convertTicks(ticks: Int64Array, ns: Int64Array, length: number, conversion: TscToNs): void {
  const { mult, shift } = conversion;
  const unit = 2 ** shift;
  const from = ticks.words;
  const to = ns.words;
  let baseLow = 0;
  let baseHigh = 0;
  let nsLow = 0;
  let nsHigh = 0;
  let rest = EXACT;
  for (let row = 0; row < length; row++) {
    const low = from[row * 2] as number;
    const high = from[row * 2 + 1] as number;
    const delta = (high - baseHigh) * TWO_POW_32 + (low - baseLow);
    const product = rest + delta * mult;
    if (delta < 0 || product >= EXACT) {
      const raw = ticks.getBigint(row);
      const exact = raw === NO_RAW_TIME ? raw : tscToNs(raw, conversion);
      ns.setBigint(row, exact);
      if (raw === NO_RAW_TIME || shift > MAX_FAST_SHIFT) continue;
      baseLow = low;
      baseHigh = high;
      nsLow = to[row * 2] as number;
      nsHigh = to[row * 2 + 1] as number;
      rest = Number(BigInt.asUintN(shift, BigInt.asUintN(64, raw) * BigInt(mult)));
      continue;
    }
    const more = Math.floor(product / unit);
    const moreHigh = Math.floor(more / TWO_POW_32);
    const sum = nsLow + (more - moreHigh * TWO_POW_32);
    to[row * 2] = sum;
    to[row * 2 + 1] = nsHigh + moreHigh + (sum >= TWO_POW_32 ? 1 : 0);
  }
}
