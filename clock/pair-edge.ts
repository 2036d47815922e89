/**
 * Two trace clocks against each other, by all that is known of both: the messages between them, and what both collectors say.
 *
 *   messages ─┬─► hull of messages alone ──┐
 *             └─► hull of both ────────────┴─► what both leave open
 *   collectors ──┘
 *
 * Together they mostly say more than either, since one bounds a side or a rate that the other does not. Not always: which of a slot's
 * messages is the tightest depends on the rate that is known, corners are limited in number, and newer intervals make older messages
 * expire. So the messages stand for themselves, too, and more evidence never widens the bound; the intervals alone are edges of the graph
 * already (clock/clock-graph.ts).
 */
import type { ClockEdge } from './clock-graph.ts';
import { MessageHull, type TimeInterval } from './message-hull.ts';

/** What collectors say changes slowly, and of 64 kernels there are 2,016 pairs to be told. */
const INTERVAL_EVERY_NS = 250_000_000n;

export class PairEdge implements ClockEdge {
  readonly from: string;
  readonly to: string;
  readonly #both = new MessageHull();
  readonly #messages = new MessageHull();
  #stepsSeen = 0;
  #toldNs: bigint | undefined;

  constructor(from: string, to: string) {
    this.from = from;
    this.to = to;
  }

  get evidence(): string {
    return this.#both.messages === 0 ? 'pings' : this.#both.intervals === 0 ? 'messages' : 'messages and pings';
  }

  get messages(): number {
    return this.#both.messages;
  }

  get rejected(): number {
    return this.#both.rejected;
  }

  get steps(): number {
    return this.#both.steps;
  }

  /** A message of `from` to `to`. */
  addForward(sentFrom: bigint, receivedTo: bigint, confidence: number): void {
    this.#both.addForward(sentFrom, receivedTo, confidence);
    this.#forgetAtStep();
    this.#messages.addForward(sentFrom, receivedTo, confidence);
  }

  /** A message of `to` to `from`. */
  addBackward(sentTo: bigint, receivedFrom: bigint, confidence: number): void {
    this.#both.addBackward(sentTo, receivedFrom, confidence);
    this.#forgetAtStep();
    this.#messages.addBackward(sentTo, receivedFrom, confidence);
  }

  /** An interval at this moment would say something. */
  isDue(from: bigint): boolean {
    return this.#toldNs === undefined || from - this.#toldNs >= INTERVAL_EVERY_NS || from < this.#toldNs;
  }

  addInterval(from: bigint, low: bigint, high: bigint): void {
    this.#toldNs = from;
    this.#both.addInterval(from, low, high);
    this.#forgetAtStep();
  }

  at(from: bigint): TimeInterval | undefined {
    return this.#meet(this.#both.at(from), () => this.#messages.at(from));
  }

  back(to: bigint): TimeInterval | undefined {
    return this.#meet(this.#both.back(to), () => this.#messages.back(to));
  }

  /** Where they exclude each other, a clock was set and the messages have not told so yet. */
  #meet(both: TimeInterval | undefined, messages: () => TimeInterval | undefined): TimeInterval | undefined {
    this.#forgetAtStep();
    const alone = this.#both.intervals === 0 || this.#both.messages === 0 ? undefined : messages();
    if (both === undefined || alone === undefined) return both ?? alone;
    const low = both.low > alone.low ? both.low : alone.low;
    const high = both.high < alone.high ? both.high : alone.high;
    return low <= high ? { low, high } : both;
  }

  /** The messages from before a step say nothing of what is after it. */
  #forgetAtStep(): void {
    if (this.#both.steps === this.#stepsSeen) return;
    this.#stepsSeen = this.#both.steps;
    this.#messages.restart();
  }
}
