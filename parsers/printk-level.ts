/**
 * Levels of kernel messages whose text alone says how bad they are, for consoles, which carry no level. Only beginnings that
 * the kernel itself prints at this level (or, for the lines of an oops, at KERN_DEFAULT as part of one), so that a guess is
 * never louder than the kernel was. The full catalogue of messages lives in correlate/.
 */
import { encodeUtf8 } from '../base/bytes.ts';
import { LEVEL_UNKNOWN } from '../model/severity.ts';
import { startsWith } from './boot-phase.ts';

const CLEAR_CASES: readonly (readonly [beginning: string, level: number])[] = [
  ['Kernel panic - not syncing', 0],
  ['---[ end Kernel panic', 0],
  ['watchdog: BUG: soft lockup', 0],
  ['BUG: soft lockup', 0],
  ['watchdog: Watchdog detected hard LOCKUP', 0],
  ['NMI watchdog: Watchdog detected hard LOCKUP', 0],
  ['Internal error: Oops', 0],
  ['BUG: unable to handle', 1],
  ['BUG: kernel NULL pointer dereference', 1],
  ['Unable to handle kernel', 1],
  ['kernel BUG at ', 2],
  ['Oops: ', 2],
  ['BUG: ', 3],
  ['INFO: task ', 3],
  ['rcu: INFO: rcu_', 3],
  ['Out of memory: Killed process', 3],
  ['WARNING: ', 4],
];

/** By first byte, in table order: most texts are dismissed by one lookup. */
const BY_FIRST_BYTE: (readonly { readonly beginning: Uint8Array; readonly level: number }[] | undefined)[] = [];
for (const [text, level] of CLEAR_CASES) {
  const beginning = encodeUtf8(text);
  const first = beginning[0] as number;
  BY_FIRST_BYTE[first] = [...(BY_FIRST_BYTE[first] ?? []), { beginning, level }];
}

/** The level that `text[start, end)` speaks for, or LEVEL_UNKNOWN. */
export function guessLevel(text: Uint8Array, start: number, end: number): number {
  const cases = BY_FIRST_BYTE[text[start] as number];
  if (cases === undefined) return LEVEL_UNKNOWN;
  for (const { beginning, level } of cases) if (startsWith(text, start, end, beginning)) return level;
  return LEVEL_UNKNOWN;
}
