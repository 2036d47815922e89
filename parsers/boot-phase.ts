/**
 * Follows one stream of kernel messages through its boots, for the two flags that depend on what came before:
 *
 *   [    0.000000] Linux version 7.0.0 …                          <- boot mark; the clock starts at 0 again
 *   [    0.045055] DTB contains instance ID 23, …                 |  uncertain: many records share one stamp, the clock
 *   [    0.045055] …                                              |  lags by up to the D of the line below
 *   [    0.046001] sched_clock: Marking stable (…)->(…, -130687483)  <- from the next record on the stamps are good
 *
 * Kernels that never mark their clock stable leave the phase when they start user space, or a minute later at the latest: these
 * lines may be missing from an input.
 */
import { encodeUtf8 } from '../base/bytes.ts';
import { LOG_FLAG } from '../model/log-batch.ts';

const BOOT_MARK = encodeUtf8('Linux version ');
const STABLE = encodeUtf8('sched_clock: Marking ');
const FREEING = encodeUtf8('Freeing unused kernel image');
const INIT = encodeUtf8('Run /');

const LATEST_SECONDS = 60;

const CAPITAL_L = 0x4c;
const SMALL_S = 0x73;
const CAPITAL_F = 0x46;
const CAPITAL_R = 0x52;

export class BootPhase {
  #early = false;

  /** LOG_FLAG bits for a record of the kernel with this text and stamp (0 where it has none). */
  flagsOf(text: Uint8Array, start: number, end: number, seconds: number): number {
    const first = text[start];
    if (first === CAPITAL_L && startsWith(text, start, end, BOOT_MARK)) {
      this.#early = true;
      return LOG_FLAG.bootMark | LOG_FLAG.timeUncertain;
    }
    if (!this.#early) return 0;
    if (seconds > LATEST_SECONDS) {
      this.#early = false;
      return 0;
    }
    if (
      (first === SMALL_S && startsWith(text, start, end, STABLE)) ||
      (first === CAPITAL_F && startsWith(text, start, end, FREEING)) ||
      (first === CAPITAL_R && startsWith(text, start, end, INIT))
    ) {
      this.#early = false;
    }
    return LOG_FLAG.timeUncertain;
  }
}

export function startsWith(text: Uint8Array, start: number, end: number, prefix: Uint8Array): boolean {
  if (end - start < prefix.length) return false;
  for (let i = 0; i < prefix.length; i++) if (text[start + i] !== prefix[i]) return false;
  return true;
}
