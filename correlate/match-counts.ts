/** What a matcher did, since it began. */
export interface MatchCounts {
  sends: number;
  receives: number;
  matched: number;
  unmatchedSends: number;
  unmatchedReceives: number;
  failed: number;
  /** Ring positions that no record names. */
  slotJumps: number;
  /** Halves that went without their other end because there was no room for more. */
  dropped: number;
  /** Of sends and receives, those that an earlier process had left. */
  restored: number;
}

export const NO_COUNTS: Readonly<MatchCounts> = {
  sends: 0,
  receives: 0,
  matched: 0,
  unmatchedSends: 0,
  unmatchedReceives: 0,
  failed: 0,
  slotJumps: 0,
  dropped: 0,
  restored: 0,
};

export function addCounts(one: Readonly<MatchCounts>, other: Readonly<MatchCounts>): MatchCounts {
  const sum = { ...one };
  for (const name of Object.keys(NO_COUNTS) as (keyof MatchCounts)[]) sum[name] += other[name];
  return sum;
}
