/** Prints windows of a recording, which report-windows.ts draws and cuts. */
import { createCounts } from '../model/parser.ts';
import { parseHeaderPage, type PageLayout } from '../parsers/page-header.ts';
import type { TimeConversion } from './moment.ts';
import { CursorMerge, PageCursor, type CursorStop } from './page-cursor.ts';
import type { ReportLane } from './report-lanes.ts';
import { ReportLines, type LineState } from './report-lines.ts';
import { isSequential, type ReportOptions, type ReportSource } from './report-options.ts';
import type { TaskName } from './report-tasks.ts';
import { WasmPrinter } from './report-wasm.ts';
import type { WasmSlot } from './report-wasm-memory.ts';
import type { ReportWindow, WindowLane } from './report-windows.ts';
import type { TextOut } from './text-out.ts';
import type { WasmMemory } from '../base/wasm-runtime.ts';

/** A text and what it takes to join it to the one before; `isWhole` false: it is not what is to be printed. */
export interface WindowText {
  readonly isWhole: boolean;
  /** Scheduler events told these names, and names stand at these places that the text before may have told. */
  readonly told: readonly TaskName[];
  readonly notes: Int32Array<ArrayBuffer>;
  readonly records: number;
  /** What lines behind it go on from; told where they take anything. */
  readonly state: LineState | undefined;
  /** What is wrong with formats of events that came, in this window or before. */
  readonly problems: readonly string[];
}

/** What a thread that prints windows is told of their CPUs. */
export type PrintedLane = Pick<ReportLane, 'prefix' | 'pageSizeBytes'> & { readonly cpu: number };

/** Prints windows, of which each may be any. */
export class WindowPrinter {
  readonly #lines: ReportLines;
  readonly #lanes: readonly PrintedLane[];
  readonly #layout: PageLayout;
  readonly #little: boolean;
  readonly #convert: TimeConversion | undefined;
  readonly #wasm: WasmPrinter | undefined;
  readonly #isSequential: boolean;
  readonly #leavesOutCpus: boolean;

  /** `memory`: for `printInMemory`. */
  constructor(source: ReportSource, options: ReportOptions, lanes: readonly PrintedLane[], memory?: WasmMemory) {
    this.#lines = new ReportLines(
      source,
      options,
      lanes.map(({ prefix }) => prefix),
    );
    this.#lanes = lanes;
    this.#layout = parseHeaderPage(source.formats.headerPage) as PageLayout;
    this.#little = source.formats.endian === 'little';
    this.#convert = options.convert;
    this.#isSequential = isSequential(options);
    this.#leavesOutCpus = options.filter?.cpus !== undefined;
    this.#wasm = memory && WasmPrinter.open(source, options, this.#lines, lanes, memory);
  }

  /** Appends the text of a window; `names` are those that lines before it are known to have told. */
  print(window: ReportWindow, names: readonly TaskName[], out: TextOut): WindowText {
    const counts = createCounts();
    let from = 0;
    const cursors = window.lanes.map(({ bytes }, source) => {
      const { cpu, pageSizeBytes } = this.#lanes[source] as PrintedLane;
      let left = window.pages.subarray(from, (from += bytes));
      const take = (): Uint8Array => {
        const taken = left;
        left = left.subarray(left.length);
        return taken;
      };
      const cursor = new PageCursor({ cpu, take }, pageSizeBytes, this.#layout, this.#little, counts, { source, convert: this.#convert });
      if (window.until !== undefined) cursor.endBefore(window.until);
      return cursor;
    });
    const lines = this.#lines;
    lines.names.startPart(names);
    const merge = new CursorMerge(cursors, window.since, lines.taken);
    while (!lines.hasPast && lines.write(merge, out, 1 << 16));
    const isWhole =
      !lines.hasPast &&
      counts.malformed.size === 0 &&
      this.#areEndsKnown(
        window,
        cursors.map(({ stop }) => stop),
      );
    return { isWhole, ...lines.names.endPart(), records: counts.records, state: this.#state, problems: lines.problems };
  }

  /** The same of a window that lies in memory, into it; undefined where only `print` can. */
  printInMemory(window: ReportWindow, names: readonly TaskName[], slot: WasmSlot): (WindowText & { readonly textEnd: number }) | undefined {
    if (this.#wasm === undefined || this.#lines.hasPast) return undefined;
    const { state } = this.#lines;
    this.#lines.names.startPart(names);
    const printed = this.#wasm.print(window, slot);
    if (printed === undefined) {
      this.#lines.state = state;
      return undefined;
    }
    const { end: textEnd, records, notes, stops } = printed;
    const { problems, names: tasks } = this.#lines;
    return {
      isWhole: this.#areEndsKnown(window, stops),
      ...tasks.endPart(notes, slot.textAt),
      records,
      state: this.#state,
      problems,
      textEnd,
    };
  }

  get #state(): LineState | undefined {
    const { state, hasLookedAhead } = this.#lines;
    return this.#isSequential || hasLookedAhead || state.calls.length > 0 ? state : undefined;
  }

  #areEndsKnown({ lanes }: ReportWindow, stops: readonly (CursorStop | undefined)[]): boolean {
    // The record behind a call may be of any CPU.
    if (this.#lines.hasLookedAhead && this.#leavesOutCpus) return false;
    return stops.every((stop, i) => isEndKnown(stop, lanes[i] as WindowLane, this.#lanes[i] as PrintedLane));
  }
}

/** Has the cursor met the end of the window where the next window looks for it, with all losses in front of it? */
function isEndKnown(stop: CursorStop | undefined, { nextPage, hasEnd, bytes }: WindowLane, { pageSizeBytes }: PrintedLane): boolean {
  if (stop === undefined) return !hasEnd;
  const isBehind = hasEnd && stop.page === bytes / pageSizeBytes - 1;
  if (stop.page < nextPage || (isBehind && !stop.isFirst && stop.page > nextPage)) return false;
  return stop.lost === 0 || stop.sincePage >= nextPage;
}
