/** A report printed by several threads: this one reads and unpacks pages and writes the text, the others make it, window by window. */
import { statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { headerOf, openLanes, type ReportLane, type ReportStart } from '../export/report.ts';
import { readFormatId, type ReportOptions } from '../export/report-lines.ts';
import { TaskNames, type TaskName } from '../export/report-tasks.ts';
import { isCuttable, WindowCutter, type ReportWindow } from '../export/report-windows.ts';
import type { EventFile } from '../model/event-file.ts';
import type { WorkerStart, WorkerText, WorkerWindow } from './report-printer.ts';
import { shareTexts } from './shared-text.ts';

/** Below, starting threads takes longer than printing: half a million events, packed by zstd. */
const LEAST_FILE_BYTES = 4 << 20;
/** Windows that are printed or wait for it, of each thread: 512 KB of pages and some 2 MB of text each. */
const WINDOWS_PER_THREAD = 3;

export interface ThreadedReport {
  readonly records: number;
  /** Where it has to go on in one go; undefined = all is printed. */
  readonly rest: ReportStart | undefined;
}

/** Threads for a recording without filters; undefined where they don't help. They start while the file is opened. */
export function startReportThreads(path: string, options: Omit<ReportOptions, 'filter' | 'convert'>): ReportThreads | undefined {
  const count = availableParallelism();
  const sizeBytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  const isUseful = count > 0 && sizeBytes >= LEAST_FILE_BYTES && isCuttable({ ...options, filter: undefined, convert: undefined });
  return isUseful ? new ReportThreads(count) : undefined;
}

interface Waiter {
  readonly resolve: (text: WorkerText) => void;
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
}

/** Of one report. */
export class ReportThreads {
  readonly #threads: Thread[];
  /** Told by lines that are written. */
  readonly #names: TaskName[] = [];
  /** Memory of texts that are written, and of pages that are printed. */
  readonly #texts: ArrayBuffer[] = [];
  readonly #pages: ArrayBuffer[] = [];

  constructor(count: number) {
    // Sources or what `npm run build` made of them; the file that starts a thread is beside the sources.
    const isSource = import.meta.url.endsWith('.ts');
    const file = new URL(isSource ? './report-worker.js' : '../../cli/report-worker.js', import.meta.url);
    const workerData = { module: new URL(isSource ? './report-printer.ts' : './report-printer.js', import.meta.url).href };
    this.#threads = Array.from({ length: count }, () => {
      const thread: Thread = { worker: new Worker(file, { workerData }), waiters: [], failure: undefined, names: 0 };
      thread.worker.on('message', (text: WorkerText) => thread.waiters.shift()?.resolve(text));
      thread.worker.on('error', (error) => {
        thread.failure = error;
        for (const { reject } of thread.waiters.splice(0)) reject(error);
      });
      return thread;
    });
  }

  async print(file: EventFile, options: ReportOptions, write: (text: Uint8Array) => Promise<void>): Promise<ThreadedReport> {
    const lanes = openLanes(file, undefined);
    this.#start(file, options, lanes);
    const cutter = new WindowCutter(file, lanes, options.convert);
    const names = new TaskNames(file.info.comms, options.latency);
    const printed: { readonly window: ReportWindow; readonly text: Promise<WorkerText> }[] = [];
    let records = 0;
    await write(Buffer.from(headerOf(file), 'latin1'));
    for (;;) {
      while (printed.length < this.#threads.length * WINDOWS_PER_THREAD) {
        const window = cutter.next(this.#pages.pop());
        if (window === undefined) break;
        printed.push({ window, text: this.#send(window) });
      }
      const first = printed.shift();
      if (first === undefined) break;
      const { isWhole, text, notes, told, memory, ...counted } = await first.text;
      if (!isWhole) return { records, rest: { since: first.window.since, names: this.#names } };
      records += counted.records;
      for (const piece of names.rename(text, notes, told)) await write(piece);
      this.#names.push(...told);
      this.#texts.push(text.buffer);
      this.#pages.push(memory);
    }
    return { records, rest: cutter.isStuck ? { since: cutter.since, names: this.#names } : undefined };
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()));
  }

  #start({ info, formats }: EventFile, options: ReportOptions, lanes: readonly ReportLane[]): void {
    const { readKallsyms, ...rest } = info;
    const { events, ...header } = formats;
    const { latency, raw, nanoseconds, timeDifference, filter } = options;
    const start: WorkerStart = {
      info: rest,
      formats: header,
      events: events.map((event) => ({ system: event.system, id: readFormatId(event) })),
      formatTexts: shareTexts(events.map(({ format }) => format)),
      kallsyms: shareTexts([readKallsyms()]),
      options: { latency, raw, nanoseconds, timeDifference, filter },
      lanes: lanes.map(({ prefix, pageSizeBytes, pages }) => ({ prefix, pageSizeBytes, cpu: pages.cpu })),
    };
    for (const { worker } of this.#threads) worker.postMessage(start, []);
  }

  /** To the thread that has the least to do. */
  #send(window: ReportWindow): Promise<WorkerText> {
    const thread = this.#threads.reduce((least, other) => (other.waiters.length < least.waiters.length ? other : least));
    if (thread.failure !== undefined) throw thread.failure;
    const memory = this.#texts.pop();
    const message: WorkerWindow = { window, names: this.#names.slice(thread.names), memory };
    thread.names = this.#names.length;
    thread.worker.postMessage(message, memory === undefined ? [window.pages.buffer] : [window.pages.buffer, memory]);
    return new Promise((resolve, reject) => thread.waiters.push({ resolve, reject }));
  }
}
