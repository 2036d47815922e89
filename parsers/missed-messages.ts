/** What journald says it could not read: `Missed 13 kernel messages`, with the window from the record before it to this one, or to the next that has a time. */
import type { InputLoss } from '../model/parser.ts';
import { NO_RAW_TIME } from '../model/time.ts';
import { LossList } from './losses.ts';

const MISSED = /^(?:systemd-journald(?:\[\d+\])?: )?Missed (\d{1,12}) kernel messages/;

export class MissedMessages {
  readonly #losses = new LossList();
  #open = 0;
  #lastMicros = -1;

  /** The number that a record of journald tells, or 0. */
  read(text: string): number {
    const count = Number(MISSED.exec(text)?.[1] ?? 0);
    this.#open += count;
    return count;
  }

  /** The time of each record as they come, µs on the input's clock; -1 = none. */
  follow(micros: number): void {
    if (micros < 0) return;
    if (this.#open > 0) this.#add(micros);
    this.#lastMicros = micros;
  }

  /** The input is over: nothing closes the window. */
  finish(): void {
    if (this.#open > 0) this.#add(-1);
  }

  take(): InputLoss[] {
    return this.#losses.take();
  }

  #add(toMicros: number): void {
    const [fromRaw, toRaw] = [toRawNs(this.#lastMicros), toRawNs(toMicros)];
    this.#losses.add({ cpu: -1, count: this.#open, fromRaw, toRaw, reason: 'kmsg_overwritten' });
    this.#open = 0;
  }
}

function toRawNs(micros: number): bigint {
  return micros < 0 ? NO_RAW_TIME : BigInt(Math.round(micros)) * 1000n;
}
