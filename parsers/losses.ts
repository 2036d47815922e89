/** Losses an input reports, until the caller takes them. Bounded: a flood of them folds into the last one. */
import type { InputLoss } from '../model/parser.ts';

const MAX_PENDING = 4096;

export class LossList {
  #pending: InputLoss[] = [];

  add(loss: InputLoss): void {
    const last = this.#pending.at(-1);
    if (last === undefined || this.#pending.length < MAX_PENDING) {
      this.#pending.push(loss);
      return;
    }
    this.#pending[this.#pending.length - 1] = {
      ...last,
      cpu: last.cpu === loss.cpu ? last.cpu : -1,
      count: last.count === undefined || loss.count === undefined ? undefined : last.count + loss.count,
      toRaw: loss.toRaw,
    };
  }

  take(): InputLoss[] {
    const taken = this.#pending;
    this.#pending = [];
    return taken;
  }
}
