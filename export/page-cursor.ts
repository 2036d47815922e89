/**
 * The records of one CPU's pages, one after the other: for text, where each record is looked at once and in order of time.
 * (Tables are filled by ring-buffer.ts, which also draws the layout of pages and records.)
 */
import { EventRecord } from './print-fmt-numbers.ts';
import { isBefore, type Moment, type TimeConversion } from './moment.ts';
import type { PageLayout } from '../parsers/page-header.ts';
import { COMMIT_BYTES_MASK, LOST_FLAG, LOST_STORED_FLAG, PADDING, RECORD_CUT, RunningTime, skipSpecial } from '../parsers/page-records.ts';
import type { PageSequence } from '../model/event-file.ts';
import type { ParseCounts } from '../model/parser.ts';
import { countMalformed } from '../model/parser.ts';

/** Where a cursor met the end of its window. */
export interface CursorStop {
  /** Number of the page with the record that is behind the window, and whether it is that page's first. */
  readonly page: number;
  readonly isFirst: boolean;
  /** Losses told in front of it, and the first page since the record before. */
  readonly lost: number;
  readonly sincePage: number;
}

export interface CursorOptions {
  readonly source?: number;
  readonly convert?: TimeConversion | undefined;
  /** Whether the time of a discarded event passes: it does for libtraceevent, and not for the kernel's own reader. */
  readonly countsDiscarded?: boolean;
}

/** Pages taken at a time. */
const TAKE_BYTES = 256 << 10;
/** `lost` where a page says that events are missing, and not how many. */
export const LOST_UNKNOWN = -1;

export class PageCursor {
  readonly cpu: number;
  /** What the opener tells its cursors apart by. */
  readonly source: number;
  readonly record = new EventRecord();
  /** Time of the record at hand: raw, or what `convert` made of it. */
  low = 0;
  high = 0;
  /** Events lost before the record at hand; LOST_UNKNOWN = the page does not say how many. */
  lost = 0;
  /** The record at hand is the first of its page. */
  isFirstOfPage = false;
  readonly #pages: PageSequence;
  readonly #pageSizeBytes: number;
  readonly #layout: PageLayout;
  readonly #counts: ParseCounts;
  readonly #convert: TimeConversion | undefined;
  readonly #countsDiscarded: boolean;
  readonly #time = new RunningTime();
  #run = new Uint8Array(0);
  /** The next page in the run. */
  #pageAt = 0;
  /** The next record, and the end of the records of its page. */
  #at = 0;
  #end = 0;
  /** Number of the page at hand. */
  #page = -1;
  /** The first time behind the window. */
  #untilLow = 0;
  #untilHigh = Number.POSITIVE_INFINITY;
  #stop: CursorStop | undefined;

  constructor(
    pages: PageSequence,
    pageSizeBytes: number,
    layout: PageLayout,
    little: boolean,
    counts: ParseCounts,
    { source = 0, convert, countsDiscarded = true }: CursorOptions = {},
  ) {
    this.#countsDiscarded = countsDiscarded;
    this.cpu = pages.cpu;
    this.source = source;
    this.#pages = pages;
    this.#pageSizeBytes = pageSizeBytes;
    this.#layout = layout;
    this.#counts = counts;
    this.#convert = convert;
    this.record.little = little;
  }

  /** Ends in front of the first record of this time or a later one. */
  endBefore({ low, high }: Moment): void {
    this.#untilLow = low;
    this.#untilHigh = high;
  }

  /** Where that was; undefined when the pages ended before. */
  get stop(): CursorStop | undefined {
    return this.#stop;
  }

  /** Goes to the first record of this time or a later one; false where there is none. */
  seek(since: Moment): boolean {
    while (this.next()) if (!isBefore(this, since, false)) return true;
    return false;
  }

  /** Goes to the next record; false at the end. Damage ends its page, and is counted. */
  next(): boolean {
    const { record } = this;
    const pageBefore = this.#page;
    const { little } = record;
    const time = this.#time;
    this.lost = 0;
    this.isFirstOfPage = false;
    for (;;) {
      const at = this.#at;
      if (at + 4 > this.#end) {
        if (!this.#nextPage()) return false;
        this.isFirstOfPage = true;
        continue;
      }
      const { view } = record;
      const word = view.getUint32(at, little);
      const type = little ? word & 31 : word >>> 27;
      const delta = little ? word >>> 5 : word & 0x07ff_ffff;
      if (type >= PADDING) {
        const next = skipSpecial(time, type, delta, view, at, this.#end, little, this.#countsDiscarded);
        this.#at = next < 0 ? this.#endPage(next === RECORD_CUT ? 'record_cut' : 'record_length', at) : next;
        continue;
      }
      const low = (time.low + delta) >>> 0;
      if (low < delta) time.high = (time.high + 1) >>> 0;
      time.low = low;
      const payload = type === 0 ? at + 8 : at + 4;
      const length = type === 0 ? this.#readLength(at) : type * 4;
      if (length < 2 || length > this.#end - payload) {
        this.#at = this.#endPage('record_length', at);
        continue;
      }
      record.start = payload;
      record.end = payload + length;
      this.#at = payload + ((length + 3) & ~3);
      this.#counts.records++;
      this.low = low;
      this.high = time.high;
      this.#convert?.(this);
      if (this.high >= this.#untilHigh && (this.high > this.#untilHigh || this.low >= this.#untilLow)) {
        this.#stop = { page: this.#page, isFirst: this.isFirstOfPage, lost: this.lost, sincePage: pageBefore + 1 };
        return false;
      }
      return true;
    }
  }

  /** What is broken ends its page: there is nothing to find the next record by. */
  #endPage(reason: string, at: number): number {
    countMalformed(this.#counts, reason, this.record.bytes, at, this.#end);
    this.#counts.parsedBytes -= this.#end - at;
    return this.#end;
  }

  /** Opens the next page, and adds what its head says of losses; false at the end. */
  #nextPage(): boolean {
    const size = this.#pageSizeBytes;
    while (this.#pageAt + size > this.#run.length) if (!this.#nextRun()) return false;
    const at = this.#pageAt;
    this.#pageAt += size;
    this.#page++;
    const { little, view } = this.record;
    const { timestampOffset, commitOffset, longBytes, dataOffset } = this.#layout;
    const stampAt = at + timestampOffset;
    this.#time.low = view.getUint32(little ? stampAt : stampAt + 4, little);
    this.#time.high = view.getUint32(little ? stampAt + 4 : stampAt, little);
    const commitAt = at + commitOffset;
    const commit = view.getUint32(little || longBytes === 4 ? commitAt : commitAt + 4, little);
    this.#at = at + dataOffset;
    this.#end = this.#at + (commit & COMMIT_BYTES_MASK);
    if (this.#end > at + size) {
      countMalformed(this.#counts, 'commit_too_long', this.#run, at, at + size);
      this.#end = this.#at;
      return true;
    }
    this.#counts.parsedBytes += size;
    if ((commit & LOST_FLAG) !== 0) this.#addLost((commit & LOST_STORED_FLAG) === 0 ? LOST_UNKNOWN : this.#readLost(at + size));
    return true;
  }

  /** Takes the next pages; false at the end. */
  #nextRun(): boolean {
    if (this.#pageAt < this.#run.length) countMalformed(this.#counts, 'torn_page', this.#run, this.#pageAt, this.#run.length);
    const { record } = this;
    this.#run = this.#pages.take(TAKE_BYTES) as Uint8Array<ArrayBuffer>;
    this.#pageAt = 0;
    record.bytes = this.#run;
    record.view = new DataView(this.#run.buffer, this.#run.byteOffset, this.#run.length);
    return this.#run.length > 0;
  }

  /** Pages without a record in them may have lost some, too. */
  #addLost(lost: number): void {
    this.lost = this.lost === LOST_UNKNOWN || lost === LOST_UNKNOWN ? LOST_UNKNOWN : this.lost + lost;
  }

  #readLost(pageEnd: number): number {
    const { view, little } = this.record;
    const { longBytes } = this.#layout;
    if (this.#end + longBytes > pageEnd) return LOST_UNKNOWN;
    return view.getUint32(little || longBytes === 4 ? this.#end : this.#end + 4, little) || LOST_UNKNOWN;
  }

  #readLength(at: number): number {
    return at + 8 > this.#end ? 0 : this.record.view.getUint32(at + 4, this.record.little) - 4;
  }
}

/** Records of several CPUs in order of their times; of equal ones, the cursor that stands first in the list. */
export class CursorMerge {
  readonly #cursors: PageCursor[];
  #current: PageCursor | undefined;
  #index = -1;
  /** The earliest of the others, up to which the current one may go on; -1 = there is no other. */
  #bound = -1;
  #isBack = false;
  /** Those that have met the end of the window. */
  readonly #stopped: PageCursor[] = [];
  readonly #taken: number[];

  /** From the first records on that are not before `since`, without those of the sources in `taken`. */
  constructor(cursors: readonly PageCursor[], since?: Moment, taken: readonly number[] = []) {
    const left = new Set(taken);
    const start = (cursor: PageCursor): boolean => (since === undefined ? cursor.next() : cursor.seek(since));
    this.#cursors = cursors.filter((cursor) => {
      if (start(cursor) && (!left.delete(cursor.source) || cursor.next())) return true;
      this.#noteStop(cursor);
      return false;
    });
    this.#taken = [...left];
  }

  /** Sources whose first record behind the window is left out, since `skip` took it. */
  get taken(): readonly number[] {
    return this.#taken;
  }

  /** The cursor whose record is next; undefined at the end. */
  next(): PageCursor | undefined {
    const current = this.#current;
    if (this.#isBack) {
      this.#isBack = false;
      return current;
    }
    if (current !== undefined) {
      if (!current.next()) this.#end(this.#index);
      else if (this.#bound < 0 || isBefore(current, this.#cursors[this.#bound] as PageCursor, this.#index < this.#bound)) return current;
    }
    return this.#select();
  }

  /**
   * The next record of those cursors, whatever others have before it, be it the first one behind the window; undefined where they
   * have none. `skip` takes it out.
   */
  peek(isWanted: (cursor: PageCursor) => boolean): PageCursor | undefined {
    if (!this.#isBack) this.#isBack = this.next() !== undefined;
    return earliestOf(this.#cursors, isWanted) ?? earliestOf(this.#stopped, isWanted);
  }

  /** Leaves out the record that `peek` gave. */
  skip(cursor: PageCursor): void {
    if (cursor.stop !== undefined) {
      this.#taken.push(cursor.source);
      return;
    }
    if (!cursor.next()) this.#end(this.#cursors.indexOf(cursor));
    this.#isBack = this.#select() !== undefined;
  }

  #end(index: number): void {
    for (const cursor of this.#cursors.splice(index, 1)) this.#noteStop(cursor);
  }

  /** In the order of their list, as records of one time are. */
  #noteStop(cursor: PageCursor): void {
    if (cursor.stop === undefined) return;
    const behind = this.#stopped.findIndex(({ source }) => source > cursor.source);
    this.#stopped.splice(behind < 0 ? this.#stopped.length : behind, 0, cursor);
  }

  #select(): PageCursor | undefined {
    const cursors = this.#cursors;
    if (cursors.length === 0) return (this.#current = undefined);
    let first = 0;
    let second = -1;
    for (let i = 1; i < cursors.length; i++) {
      const cursor = cursors[i] as PageCursor;
      if (isBefore(cursor, cursors[first] as PageCursor, false)) {
        second = first;
        first = i;
      } else if (second < 0 || isBefore(cursor, cursors[second] as PageCursor, i < second)) second = i;
    }
    this.#index = first;
    this.#bound = second;
    return (this.#current = cursors[first]);
  }
}

/** Of equal times, the one that stands first. */
function earliestOf(cursors: readonly PageCursor[], isWanted: (cursor: PageCursor) => boolean): PageCursor | undefined {
  let first: PageCursor | undefined;
  for (const cursor of cursors) {
    if (isWanted(cursor) && (first === undefined || isBefore(cursor, first, false))) first = cursor;
  }
  return first;
}
