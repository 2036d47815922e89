/**
 * A recording cut into windows of time, so that several threads can print it. What a window needs is in its pages: a page has a
 * time of its own, and those of its records count from there.
 *
 *   since = 40                until = 70
 *     |                         |
 *   [31 35 39|44 52][55 61 68|73 77][79 …            pages of CPU 0: the second one is in this window and in the next
 *        [33 38|41 45 66 69][71 …                    pages of CPU 1: the second one is only looked at, to see where the first ends
 *
 * The merge of CPUs prints the record whose time is least of those that are next on each CPU. So it stands, when all times below
 * `until` are printed, on each CPU at the first record that is not below: a window begins and ends there, whatever clocks do.
 * That this record is where the times of pages let it be looked for is checked by who prints the window; where it is not
 * (`isWhole` is false) the rest of the recording has to be printed in one go. So it has where lines depend on more of what was
 * printed before than names and LineState, or on what is behind it: the function graph, losses over several pages, damage.
 */
import { parseHeaderPage, type PageLayout } from '../parsers/page-header.ts';
import { COMMIT_BYTES_MASK } from '../parsers/page-records.ts';
import { isBefore, type Moment, type TimeConversion } from './moment.ts';
import type { ReportLane } from './report-lanes.ts';
import type { ReportSource } from './report-options.ts';

/** Pages of a window, all CPUs together: 3 to 4 times as much text. New memory costs 5 ns a byte here, so windows are small. */
const WINDOW_BYTES = 512 << 10;
const FIRST_WINDOW_BYTES = 64 << 10;
/** At least of each CPU, because two of its pages are looked at twice. */
const LANE_BYTES = 16 << 10;
/** Where times stand still over so many times the bytes of a window, there is nothing to cut at. */
const MAX_FILLS = 16;
const TAKE_BYTES = 64 << 10;

export interface ReportWindow {
  /** One CPU behind the other. */
  readonly pages: Uint8Array;
  readonly lanes: readonly WindowLane[];
  readonly since: Moment | undefined;
  /** undefined = to the end. */
  readonly until: Moment | undefined;
}

export interface WindowLane {
  readonly bytes: number;
  /** Number of the page that the next window begins with. */
  readonly nextPage: number;
  /** The last page has a time that is behind the window; otherwise the pages of this CPU end with it. */
  readonly hasEnd: boolean;
}

interface LanePage {
  /** What it was taken with, and where it begins there. */
  readonly run: Uint8Array;
  readonly at: number;
  readonly time: Moment;
  readonly isEmpty: boolean;
}

/** The pages of one CPU that are read and not printed yet. */
interface LaneQueue {
  readonly lane: ReportLane;
  pages: LanePage[];
  /** The latest time of these pages. */
  top: Moment;
  isAtEnd: boolean;
}

/** Cuts a recording; `next` gives the windows one after the other. */
export class WindowCutter {
  readonly #layout: PageLayout;
  readonly #little: boolean;
  readonly #convert: TimeConversion | undefined;
  readonly #queues: LaneQueue[];
  /** Grows to what is best for many, from what gives a first line soon. */
  #windowBytes: number;
  readonly #mostBytes: number;
  #since: Moment | undefined;
  #isAtEnd = false;
  /** There is no place to cut at: what is left has to be printed in one go. */
  isStuck = false;

  constructor({ formats }: ReportSource, lanes: readonly ReportLane[], convert: TimeConversion | undefined, windowBytes = WINDOW_BYTES) {
    const layout = parseHeaderPage(formats.headerPage);
    this.isStuck = typeof layout === 'string';
    this.#layout = layout as PageLayout;
    this.#little = formats.endian === 'little';
    this.#convert = convert;
    this.#mostBytes = windowBytes === WINDOW_BYTES ? Math.max(windowBytes, lanes.length * LANE_BYTES) : windowBytes;
    this.#windowBytes = Math.min(this.#mostBytes, FIRST_WINDOW_BYTES);
    this.#queues = lanes.map((lane) => ({ lane, pages: [], top: { low: 0, high: -1 }, isAtEnd: false }));
  }

  /** Where what was not given yet begins. */
  get since(): Moment | undefined {
    return this.#since;
  }

  /** The next window, in `room` if it suffices; undefined at the end, and where it is stuck. */
  next(room?: Uint8Array): ReportWindow | undefined {
    if (this.#isAtEnd || this.isStuck) return undefined;
    let until: Moment | undefined;
    for (let fills = 0; ; fills++) {
      this.#fill();
      until = this.#findCut();
      if (until === undefined || this.#since === undefined || isBefore(this.#since, until, false)) break;
      if (fills === MAX_FILLS) this.isStuck = true;
      if (this.isStuck) return undefined;
    }
    if (this.isStuck) return undefined;
    const window = this.#cut(until, room);
    this.#windowBytes = Math.min(this.#mostBytes, this.#windowBytes * 2);
    this.#since = until;
    this.#isAtEnd = until === undefined;
    return window;
  }

  /** Reads on where times are the earliest, for the bytes of a window. */
  #fill(): void {
    for (let bytes = 0; ;) {
      let earliest: LaneQueue | undefined;
      for (const queue of this.#queues) {
        if (!queue.isAtEnd && (earliest === undefined || isBefore(queue.top, earliest.top, false))) earliest = queue;
      }
      // Each CPU has to have a page, or there is no time up to which all is known.
      if (earliest === undefined || (bytes >= this.#windowBytes && earliest.top.high >= 0)) return;
      bytes += this.#take(earliest);
    }
  }

  #take(queue: LaneQueue): number {
    const { pages, pageSizeBytes } = queue.lane;
    const run = pages.take(Math.min(TAKE_BYTES, this.#windowBytes));
    if (run.length === 0) queue.isAtEnd = true;
    if (run.length % pageSizeBytes !== 0) this.isStuck = true;
    const view = new DataView(run.buffer, run.byteOffset, run.length);
    for (let at = 0; at + pageSizeBytes <= run.length; at += pageSizeBytes) {
      const page = this.#readPage(run, view, at, queue.lane);
      queue.pages.push(page);
      if (isBefore(queue.top, page.time, false)) queue.top = page.time;
    }
    return run.length;
  }

  #readPage(run: Uint8Array, view: DataView, at: number, { pages }: ReportLane): LanePage {
    const { timestampOffset, commitOffset, longBytes } = this.#layout;
    const little = this.#little;
    const stampAt = at + timestampOffset;
    const time = {
      cpu: pages.cpu,
      low: view.getUint32(little ? stampAt : stampAt + 4, little),
      high: view.getUint32(little ? stampAt + 4 : stampAt, little),
    };
    this.#convert?.(time);
    const commitAt = at + commitOffset;
    const commit = view.getUint32(little || longBytes === 4 ? commitAt : commitAt + 4, little);
    return { run, at, time, isEmpty: (commit & COMMIT_BYTES_MASK) === 0 };
  }

  /** The latest time before which all pages of all CPUs are read; undefined where all are. */
  #findCut(): Moment | undefined {
    let cut: Moment | undefined;
    for (const { top, isAtEnd } of this.#queues) if (!isAtEnd && (cut === undefined || isBefore(top, cut, false))) cut = top;
    return cut;
  }

  #cut(until: Moment | undefined, room: Uint8Array | undefined): ReportWindow {
    const ends = this.#queues.map(({ pages }) => (until === undefined ? -1 : pages.findIndex(({ time }) => !isBefore(time, until, false))));
    const counts = this.#queues.map(({ pages }, i) => ((ends[i] as number) < 0 ? pages.length : (ends[i] as number) + 1));
    const bytes = this.#queues.reduce((sum, { lane }, i) => sum + (counts[i] as number) * lane.pageSizeBytes, 0);
    const pages = room !== undefined && room.length >= bytes ? room.subarray(0, bytes) : new Uint8Array(bytes);
    let at = 0;
    const lanes = this.#queues.map((queue, i): WindowLane => {
      const { lane } = queue;
      const behind = ends[i] as number;
      const count = counts[i] as number;
      copyPages(queue.pages, count, lane.pageSizeBytes, pages, at);
      at += count * lane.pageSizeBytes;
      // The next window begins with the last page that may hold records of it: one that is not empty, before the first behind.
      let kept = (behind < 0 ? count : behind) - 1;
      while (kept > 0 && (queue.pages[kept] as LanePage).isEmpty) kept--;
      kept = Math.max(0, kept);
      dropPages(queue, kept);
      return { bytes: count * lane.pageSizeBytes, nextPage: kept, hasEnd: behind >= 0 };
    });
    return { pages, lanes, since: this.#since, until };
  }
}

/** Copies the first pages, those that lie one behind the other at once. */
function copyPages(pages: readonly LanePage[], count: number, pageSizeBytes: number, to: Uint8Array, offset: number): void {
  let at = offset;
  for (let from = 0, next = 1; from < count; from = next++) {
    const { run, at: start } = pages[from] as LanePage;
    while (next < count && pages[next]?.run === run) next++;
    const bytes = (next - from) * pageSizeBytes;
    to.set(run.subarray(start, start + bytes), at);
    at += bytes;
  }
}

/** Drops the first pages, and lets memory go that no other is in. */
function dropPages(queue: LaneQueue, count: number): void {
  const { pages, lane } = queue;
  for (let i = 0; i < count; i++) {
    const { run } = pages[i] as LanePage;
    if (pages[i + 1]?.run.buffer !== run.buffer) lane.pages.release?.(run);
  }
  queue.pages = pages.slice(count);
}
