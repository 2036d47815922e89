/** A report printed by several threads: this one reads and unpacks pages and writes the text, the others make it, window by window. */
import { statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Moment } from '../export/moment.ts';
import type { ReportStart } from '../export/report.ts';
import { headerOf, openLanes } from '../export/report-lanes.ts';
import type { LineState } from '../export/report-lines.ts';
import { TaskNames, type TaskName } from '../export/report-tasks.ts';
import type { ReportLane } from '../export/report-lanes.ts';
import { createMemory, type WasmSlot } from '../export/report-wasm-memory.ts';
import type { WasmMemory } from '../base/wasm-runtime.ts';
import { WindowCutter, type ReportWindow } from '../export/report-windows.ts';
import type { EventFile } from '../model/event-file.ts';
import { toConversion } from './report-times.ts';
import type { PrinterStart, PrinterSymbols, PrinterText, PrinterWindow } from './report-printer.ts';

/** Below, starting threads takes longer than printing: half a million events, packed by zstd. */
const LEAST_FILE_BYTES = 4 << 20;
/** Windows that are printed or wait for it, of each thread: 512 KB of pages and some 2 MB of text each. */
const WINDOWS_PER_THREAD = 3;
/** A window of more pages, as those of many CPUs are, has memory of its own. What is not used of this takes none. */
const SLOT_PAGE_BYTES = 4 << 20;
const SLOT_TEXT_BYTES = 12 << 20;
/**
 * A thread costs 0.3 s of CPU time until it is as fast as the first one, which prints as fast as this one unpacks. Where it does
 * not, because lines need JavaScript, there are as many as CPUs: seen at this window, when all code is compiled, by the last of them.
 */
const DECIDE_AT = 32;
const DECIDE_OVER = 8;
const SLOWER_TIMES = 2;

export interface ThreadedReport {
  readonly records: number;
  /** Where it has to go on in one go; undefined = all is printed. */
  readonly rest: ReportStart | undefined;
  /** What is wrong with formats of events that came. */
  readonly problems: readonly string[];
}

/** undefined where they don't help. They start while the file is opened. */
export function startReportThreads(path: string, isSequential: boolean): ReportThreads | undefined {
  const sizeBytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  return sizeBytes < LEAST_FILE_BYTES ? undefined : new ReportThreads(1, isSequential ? 1 : availableParallelism());
}

/** A thread has a window to print while the texts of others wait to be written. */
interface Slot {
  readonly place: WasmSlot;
  readonly pages: Uint8Array;
}

interface Waiter {
  readonly resolve: (text: PrinterText) => void;
  readonly reject: (error: unknown) => void;
}

/** One of the threads, and who waits for its answers, which come in the order of what it was sent. */
interface Thread {
  readonly worker: Worker;
  readonly waiters: Waiter[];
  /** It has ended: a bug. */
  failure: unknown;
  /** How many of the names it knows. */
  names: number;
  readonly memory: WasmMemory;
  /** Those of its memory that nothing is printed in, or written from. */
  readonly slots: Slot[];
}

/** A window on its way to be printed and written. */
interface PrintedWindow {
  readonly since: Moment | undefined;
  readonly thread: Thread;
  readonly slot: Slot;
  readonly answer: Promise<PrinterText>;
}

/** Of one report. */
export class ReportThreads {
  readonly #threads: Thread[] = [];
  readonly #most: number;
  /** Told by lines that are written. */
  readonly #names: TaskName[] = [];

  /** `count` of them now, and up to `most` where these are too slow. */
  constructor(count: number, most: number) {
    this.#most = most;
    for (let i = 0; i < count; i++) this.#threads.push(startThread());
  }

  async print(
    file: EventFile,
    { options, filter }: Pick<PrinterStart, 'options' | 'filter'>,
    write: (text: Uint8Array) => Promise<void>,
  ): Promise<ThreadedReport> {
    const lanes = openLanes(file, filter?.cpus);
    const tell = (thread: Thread): void => tellStart(thread, file, { options, filter }, lanes);
    for (const thread of this.#threads) tell(thread);
    const cutter = new WindowCutter(file, lanes, toConversion(file.info));
    let state: LineState | undefined;
    // Of threads that the recording does not name: the others never change.
    const names = new TaskNames({}, options.latency);
    const printed: PrintedWindow[] = [];
    const problems = new Set<string>();
    const pace = new Pace();
    let records = 0;
    let written = write(Buffer.from(headerOf(file), 'latin1'));
    for (;;) {
      this.#sendWindows(cutter, printed);
      const first = printed.shift();
      if (first === undefined) break;
      // While a text is written, the next windows are unpacked and printed.
      const [{ isWhole, text, notes, told, state: next, ...counted }] = await Promise.all([first.answer, written]);
      for (const problem of counted.problems) problems.add(problem);
      // What lines take from those before is known to a thread that printed all of them.
      if (!isWhole || (next !== undefined && this.#threads.length > 1))
        return { records, rest: { since: first.since, names: this.#names, state }, problems: [...problems] };
      records += counted.records;
      written = writeAll(names.rename(text, notes, told), write).then(() => void first.thread.slots.push(first.slot));
      this.#names.push(...told);
      state = next;
      if (pace.isTooSlow(counted.cpuMicros) && next === undefined) {
        while (this.#threads.length < this.#most) tell(this.#add());
      }
    }
    await written;
    const rest = cutter.isStuck ? { since: cutter.since, names: this.#names, state } : undefined;
    return { records, rest, problems: [...problems] };
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()));
  }

  #add(): Thread {
    const thread = startThread();
    this.#threads.push(thread);
    return thread;
  }

  /** As many windows as there are slots. */
  #sendWindows(cutter: WindowCutter, printed: PrintedWindow[]): void {
    for (let thread = this.#idlest(); thread !== undefined; thread = this.#idlest()) {
      const slot = thread.slots.pop() as Slot;
      const window = cutter.next(slot.pages);
      if (window === undefined) {
        thread.slots.push(slot);
        return;
      }
      printed.push({ since: window.since, thread, slot, answer: this.#send(window, thread, slot) });
    }
  }

  /** The thread that has the least to do, and a slot. */
  #idlest(): Thread | undefined {
    const free = this.#threads.filter(({ slots }) => slots.length > 0);
    return free.toSorted((a, b) => a.waiters.length - b.waiters.length)[0];
  }

  #send(window: ReportWindow, thread: Thread, { place }: Slot): Promise<PrinterText> {
    if (thread.failure !== undefined) throw thread.failure;
    const message: PrinterWindow = { window, names: this.#names.slice(thread.names), slot: place };
    thread.names = this.#names.length;
    const { buffer } = window.pages;
    thread.worker.postMessage(message, buffer instanceof ArrayBuffer ? [buffer] : []);
    return new Promise((resolve, reject) => thread.waiters.push({ resolve, reject }));
  }
}

async function writeAll(pieces: readonly Uint8Array[], write: (text: Uint8Array) => Promise<void>): Promise<void> {
  for (const piece of pieces) await write(piece);
}

/** Compares what windows cost the threads with what they cost this one, which unpacks and writes them. */
class Pace {
  #windows = 0;
  #printMicros = 0;
  #since: NodeJS.CpuUsage | undefined;

  /** Is it worth it to have more threads? Told once, with the CPU time of each window. */
  isTooSlow(printMicros: number): boolean {
    this.#windows++;
    if (this.#windows === DECIDE_AT - DECIDE_OVER) this.#since = process.threadCpuUsage();
    else if (this.#windows <= DECIDE_AT) this.#printMicros += printMicros;
    if (this.#windows < DECIDE_AT - DECIDE_OVER) this.#printMicros = 0;
    if (this.#windows !== DECIDE_AT) return false;
    const { user, system } = process.threadCpuUsage(this.#since);
    return this.#printMicros > SLOWER_TIMES * (user + system);
  }
}

function startThread(): Thread {
  // Sources or what `npm run build` made of them; the file that starts a thread is beside the sources.
  const isSource = import.meta.url.endsWith('.ts');
  const file = new URL(isSource ? './report-worker.js' : '../../cli/report-worker.js', import.meta.url);
  const workerData = { module: new URL(isSource ? './report-printer.ts' : './report-printer.js', import.meta.url).href };
  const { memory, slots } = createMemory(WINDOWS_PER_THREAD, SLOT_PAGE_BYTES, SLOT_TEXT_BYTES);
  const thread: Thread = {
    worker: new Worker(file, { workerData }),
    waiters: [],
    failure: undefined,
    names: 0,
    memory,
    slots: slots.map((place) => ({ place, pages: new Uint8Array(memory.buffer, place.pagesAt, SLOT_PAGE_BYTES) })),
  };
  thread.worker.on('message', (text: PrinterText) => thread.waiters.shift()?.resolve(text));
  thread.worker.on('error', (error) => {
    thread.failure = error;
    for (const { reject } of thread.waiters.splice(0)) reject(error);
  });
  return thread;
}

/** All but its memory is copied: some 2 MB of formats. Symbols are not; what they take is read while the thread gets ready. */
function tellStart(
  { worker, memory }: Thread,
  { info, formats }: EventFile,
  { options, filter }: Pick<PrinterStart, 'options' | 'filter'>,
  lanes: readonly ReportLane[],
): void {
  const { clock, comms, tscToNs, timeShift, dateOffsetNs, offsetNs, readKallsyms } = info;
  const start: PrinterStart = {
    info: { clock, comms, tscToNs, timeShift, dateOffsetNs, offsetNs },
    formats,
    options,
    filter,
    lanes: lanes.map(({ prefix, pageSizeBytes, pages }) => ({ prefix, pageSizeBytes, cpu: pages.cpu })),
    memory,
  };
  worker.postMessage(start, []);
  const symbols: PrinterSymbols = { kallsyms: readKallsyms() };
  const { buffer } = symbols.kallsyms;
  worker.postMessage(symbols, buffer instanceof ArrayBuffer && buffer.byteLength > Buffer.poolSize * 2 ? [buffer] : []);
}
