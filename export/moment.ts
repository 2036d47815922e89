/** A time as two words. */
export interface Moment {
  readonly low: number;
  readonly high: number;
}

/** Sets a raw time of a CPU to another clock. */
export type TimeConversion = (time: { readonly cpu: number; low: number; high: number }) => void;

export function isBefore(a: Moment, b: Moment, orEqual: boolean): boolean {
  if (a.high !== b.high) return a.high < b.high;
  return orEqual ? a.low <= b.low : a.low < b.low;
}
