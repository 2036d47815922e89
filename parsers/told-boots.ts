/**
 * Boots that a log tells apart by itself (`-- Boot … --`, another `_BOOT_ID`): the record behind it carries the mark, and the kernel's own
 * `Linux version` of that boot, which may come a few records later, is none.
 */
import { LOG_FLAG } from '../model/log-batch.ts';

export class ToldBoots {
  #begins = false;
  #isTold = false;

  /** The next record is the first of a boot. */
  announce(): void {
    this.#begins = true;
  }

  /** The flags of a record that its text gave, with the mark where it belongs. */
  mark(flags: number): number {
    if (this.#begins) {
      this.#begins = false;
      this.#isTold = (flags & LOG_FLAG.bootMark) === 0;
      return flags | LOG_FLAG.bootMark;
    }
    if ((flags & LOG_FLAG.bootMark) === 0 || !this.#isTold) return flags;
    this.#isTold = false;
    return flags & ~LOG_FLAG.bootMark;
  }
}
