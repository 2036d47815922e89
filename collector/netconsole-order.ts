/**
 * The order of a kernel's records that came over UDP: by their own numbers, each once, with what did not come.
 *
 *   came     7 8 8 11 9 12        taken  7 8 9 | (10 does not come within the window) | 11 12
 *                ^ a duplicate                        └─ a loss of 1
 *
 * A number that was had before is a duplicate where the stamp is the same, and another boot of the sender where it is not. To tell
 * these apart the stamps of numbers are remembered, thinned out in the middle: within a boot they only grow.
 *
 *   remembered  0:0.000  1:0.000 …  350:17.2  360:17.9 …  1200:99.1
 *   came        355 at 17.5: between its neighbours, the same boot sent it again     355 at 3.1: a new boot
 *
 * The first records of every boot are stamped 0: they pass for repetitions until one comes that does not, and are then given back.
 *
 * Not handled: a sender whose module is loaded anew and sends the start of its log, which we did not hear: taken for a new boot.
 */
import type { NetconsoleRecord } from '../parsers/netconsole.ts';

/** A packet that was overtaken is here by then: on one link they come within some ms. */
const WINDOW_MS = 500;
/** Held for their turn: beyond it the oldest gap is given up. */
const MAX_PENDING = 4096;
const MAX_PENDING_BYTES = 1 << 20;
const MAX_MARKS = 8192;
/** CPUs take the stamp before the number. */
const SLACK_MICROS = 100_000;
/** A step down of the clock by more than this, at a number that goes on, is another boot. */
const STEP_DOWN_MICROS = 1_000_000;
/** From before all that was heard of a boot: sent again by the network, not by a kernel that began to log again. */
const UNHEARD_MICROS = 5_000_000;
/** A number farther ahead is noise: a kernel prints no more in the time that anybody is deaf. */
const MAX_JUMP = 10_000_000;
/** Numbers given up that may still come. */
const MAX_MISSING = 65_536;

/** Numbers between `fromMicros` and `toMicros` that did not come. */
export interface MissingRecords {
  readonly count: number;
  readonly fromMicros: number;
  readonly toMicros: number;
}

export interface OrderedRecords {
  readonly records: readonly NetconsoleRecord[];
  readonly missing: readonly MissingRecords[];
}

export class NetconsoleOrder {
  readonly #pending = new Map<number, { readonly record: NetconsoleRecord; readonly sinceMs: number }>();
  readonly #marks: { readonly sequence: number; readonly micros: number }[] = [];
  /** Given up: what of it comes late is taken all the same. */
  readonly #missing = new Set<number>();
  #late: NetconsoleRecord[] = [];
  /** Taken for repetitions since the last record that was new. */
  #again: NetconsoleRecord[] = [];
  #pendingBytes = 0;
  #firstMs: number | undefined;
  /** Last number taken; -1 before the first. */
  lastSequence: number;
  lastMicros: number;
  duplicates = 0;

  get isFull(): boolean {
    return this.#pending.size > MAX_PENDING || this.#pendingBytes > MAX_PENDING_BYTES;
  }

  /** Numbers that were given up and came all the same, since the start. */
  recovered = 0;

  /** Goes on behind what an earlier run took of the same boot. */
  constructor(lastSequence = -1, lastMicros = -1) {
    this.lastSequence = lastSequence;
    this.lastMicros = lastMicros;
    if (lastSequence >= 0) this.#marks.push({ sequence: lastSequence, micros: lastMicros });
  }

  /** `'reboot'`: it is not of this boot, and was not taken, nor were those that `takeAgain` gives. */
  add(record: NetconsoleRecord, nowMs: number): 'taken' | 'duplicate' | 'reboot' | 'malformed' {
    const { sequence, micros } = record;
    const waiting = this.#pending.get(sequence);
    if (waiting !== undefined) return waiting.record.micros === micros ? this.#noteDuplicate(record) : 'reboot';
    if (sequence <= this.lastSequence) return this.#addOld(record);
    if (micros + STEP_DOWN_MICROS < this.lastMicros) return 'reboot';
    if (this.lastSequence >= 0 && sequence - this.lastSequence > MAX_JUMP) return 'malformed';
    this.#firstMs ??= nowMs;
    this.#again = [];
    this.#pending.set(sequence, { record, sinceMs: nowMs });
    this.#pendingBytes += record.bytes.length;
    return 'taken';
  }

  /** What has its turn, or has waited long enough. */
  take(nowMs: number, all = false): OrderedRecords {
    const records = this.#late;
    this.#late = [];
    const missing: MissingRecords[] = [];
    while (this.#pending.size > 0) {
      const next = this.#pending.get(this.lastSequence + 1);
      if (next !== undefined && this.lastSequence >= 0) {
        this.#accept(next.record, records);
        continue;
      }
      if (!all && !this.#isDue(nowMs)) break;
      const least = this.#leastPending();
      const { record } = this.#pending.get(least) as { record: NetconsoleRecord };
      if (this.lastSequence >= 0) {
        missing.push({ count: least - this.lastSequence - 1, fromMicros: this.lastMicros, toMicros: record.micros });
        this.#noteMissing(this.lastSequence + 1, least);
      }
      this.#accept(record, records);
    }
    return { records, missing };
  }

  /** What came before this first record of another boot, and passed for repetitions of ours. */
  takeAgain({ sequence, micros }: NetconsoleRecord): NetconsoleRecord[] {
    const taken = this.#again.filter((one) => one.sequence < sequence && one.micros <= micros);
    this.#again = [];
    this.duplicates -= taken.length;
    return taken;
  }

  #addOld(record: NetconsoleRecord): 'taken' | 'duplicate' | 'reboot' {
    const { sequence, micros } = record;
    if (!this.#fits(sequence, micros)) return 'reboot';
    if (!this.#missing.delete(sequence)) return this.#noteDuplicate(record);
    this.#late.push(record);
    this.recovered++;
    return 'taken';
  }

  #noteDuplicate(record: NetconsoleRecord): 'duplicate' {
    this.duplicates++;
    if (this.#again.length < MAX_PENDING) this.#again.push(record);
    return 'duplicate';
  }

  /** The first record of all waits for those that overtook it, too. */
  #isDue(nowMs: number): boolean {
    if (this.isFull) return true;
    if (this.lastSequence < 0) return nowMs - (this.#firstMs ?? nowMs) >= WINDOW_MS;
    // In order of arrival, so the first is the oldest.
    const oldest = this.#pending.values().next().value;
    return oldest !== undefined && nowMs - oldest.sinceMs >= WINDOW_MS;
  }

  #leastPending(): number {
    let least = Infinity;
    for (const sequence of this.#pending.keys()) if (sequence < least) least = sequence;
    return least;
  }

  #accept(record: NetconsoleRecord, records: NetconsoleRecord[]): void {
    this.#pending.delete(record.sequence);
    this.#pendingBytes -= record.bytes.length;
    this.lastSequence = record.sequence;
    this.lastMicros = record.micros;
    records.push(record);
    this.#marks.push({ sequence: record.sequence, micros: record.micros });
    if (this.#marks.length <= MAX_MARKS) return;
    // Of the middle half each second one goes: the start tells boots apart best, the end is what is sent twice.
    const quarter = MAX_MARKS / 4;
    const thinned = this.#marks.filter((_, index) => index < quarter || index >= 3 * quarter || index % 2 === 0);
    this.#marks.length = 0;
    this.#marks.push(...thinned);
  }

  #noteMissing(from: number, to: number): void {
    for (let sequence = Math.max(from, to - MAX_MISSING); sequence < to; sequence++) this.#missing.add(sequence);
    for (const sequence of this.#missing) {
      if (this.#missing.size <= MAX_MISSING) break;
      this.#missing.delete(sequence);
    }
  }

  /** Can a record of this boot have this number and stamp? */
  #fits(sequence: number, micros: number): boolean {
    let low = 0;
    let high = this.#marks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#marks[middle] as { sequence: number }).sequence < sequence) low = middle + 1;
      else high = middle;
    }
    const next = this.#marks[low];
    if (next?.sequence === sequence) return next.micros === micros;
    const before = this.#marks[low - 1];
    const least = before === undefined ? (next?.micros ?? 0) - UNHEARD_MICROS : before.micros - SLACK_MICROS;
    if (micros < least) return false;
    return micros <= (next?.micros ?? this.lastMicros) + SLACK_MICROS;
  }
}
