/** The times of one console or dmesg input: which clock they are on, steps summed up, and the windows of reported losses. */
import { NO_RAW_TIME, type ClockDomain } from '../model/time.ts';
import type { DmesgTime } from './dmesg-prefix.ts';
import { LossList } from './losses.ts';

const NS_PER_SECOND = 1_000_000_000n;

export class ConsoleClock {
  /** Clock of the input, which its first stamp decides; undefined until then. */
  domain: ClockDomain | undefined;
  /** The last time taken. */
  seconds = 0;
  nanos = 0;
  readonly losses = new LossList();
  #hasTime = false;
  /** First whole minute of `dmesg -e`; its sum starts there at 0, for the year and the second are not in the text. */
  #firstMinuteNs: bigint | undefined;
  #stepNs = 0n;
  #openCount: number | undefined;
  #openFromRaw = NO_RAW_TIME;

  /** Takes a printk stamp; false when the input is on another clock. */
  takeStamp(seconds: number, nanos: number): boolean {
    if (this.domain === undefined) this.domain = 'printk';
    else if (this.domain !== 'printk') return false;
    this.seconds = seconds;
    this.nanos = nanos;
    this.#hasTime = true;
    if (this.#openCount !== undefined) this.closeLoss();
    return true;
  }

  /** Takes one of dmesg's times; false when the input is on another clock. */
  takeTime(time: DmesgTime): boolean {
    const domain = time.kind === 'unix' ? 'unix' : 'printk';
    this.domain ??= domain;
    if (this.domain !== domain) return false;
    const ns = this.#resolve(time);
    this.seconds = Number(ns / NS_PER_SECOND);
    this.nanos = Number(ns % NS_PER_SECOND);
    this.#hasTime = true;
    if (this.#openCount !== undefined) this.closeLoss();
    return true;
  }

  /** Notes a loss behind the last time; the next time closes its window. */
  openLoss(count: number): void {
    if (this.#openCount === undefined) this.#openFromRaw = this.#lastRaw();
    this.#openCount = (this.#openCount ?? 0) + count;
  }

  closeLoss(): void {
    if (this.#openCount === undefined) return;
    const raw = this.#lastRaw();
    // At the end of the input no later time is known.
    const toRaw = raw === this.#openFromRaw ? NO_RAW_TIME : raw;
    this.losses.add({ cpu: -1, count: this.#openCount, fromRaw: this.#openFromRaw, toRaw, reason: 'console_dropped' });
    this.#openCount = undefined;
  }

  #resolve(time: DmesgTime): bigint {
    switch (time.kind) {
      case 'unix':
        return time.ns;
      case 'printk':
        this.#stepNs = time.ns;
        return time.ns;
      case 'step':
        this.#stepNs += time.ns;
        return this.#stepNs;
      case 'minute': {
        this.#firstMinuteNs ??= time.ns;
        const sinceFirst = time.ns - this.#firstMinuteNs;
        if (sinceFirst > this.#stepNs) this.#stepNs = sinceFirst;
        return this.#stepNs;
      }
    }
  }

  #lastRaw(): bigint {
    return this.#hasTime ? BigInt(this.seconds) * NS_PER_SECOND + BigInt(this.nanos) : NO_RAW_TIME;
  }
}
