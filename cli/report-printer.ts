/** A thread that prints windows of a recording: one message says what of, each other one is a window. */
import { parentPort } from 'node:worker_threads';
import type { NamedFormat, ReportOptions, ReportSource } from '../export/report-lines.ts';
import type { TaskName } from '../export/report-tasks.ts';
import { WindowPrinter, type PrintedLane, type ReportWindow, type WindowText } from '../export/report-windows.ts';
import type { WasmSlot } from '../export/report-wasm.ts';
import { TextOut } from '../export/text-out.ts';
import type { WasmMemory } from '../export/wasm-runtime.ts';
import type { EventFileInfo } from '../model/event-file.ts';
import { toConversion } from './report-times.ts';
import { readSharedText, type SharedTexts } from './shared-text.ts';

export interface WorkerStart {
  readonly info: Pick<EventFileInfo, 'clock' | 'comms' | 'tscToNs' | 'timeShift' | 'dateOffsetNs' | 'offsetNs'>;
  readonly formats: Omit<ReportSource['formats'], 'events'>;
  /** Of each event; their formats, of which a recording needs some dozens, are read when they are. */
  readonly events: readonly { readonly system: string; readonly id: number }[];
  readonly formatTexts: SharedTexts;
  readonly kallsyms: Uint8Array;
  readonly options: Omit<ReportOptions, 'convert'>;
  readonly lanes: readonly PrintedLane[];
  readonly memory: WasmMemory;
}

export interface WorkerWindow {
  /** Its pages lie in the slot, or in memory of their own that is handed over. */
  readonly window: ReportWindow;
  readonly names: readonly TaskName[];
  readonly slot: WasmSlot;
}

export interface WorkerText extends WindowText {
  /** In the slot, or in memory of its own that is handed over. */
  readonly text: Uint8Array;
  /** CPU time of this thread for it. */
  readonly cpuMicros: number;
}

class SharedFormat implements NamedFormat {
  readonly system: string;
  readonly id: number;
  readonly #read: () => string;

  constructor(system: string, id: number, read: () => string) {
    this.system = system;
    this.id = id;
    this.#read = read;
  }

  get format(): string {
    return this.#read();
  }
}

const port = parentPort;
if (port === null) throw new Error('report-worker is a thread');
let printer: WindowPrinter | undefined;
let memory: WasmMemory | undefined;

port.on('message', (message: WorkerStart | WorkerWindow) => {
  if ('formats' in message) {
    const { info, kallsyms, formats, formatTexts, options, lanes } = message;
    const events = message.events.map(({ system, id }, i) => new SharedFormat(system, id, () => readSharedText(formatTexts, i)));
    const source = { info: { ...info, readKallsyms: () => kallsyms }, formats: { ...formats, events } };
    ({ memory } = message);
    printer = new WindowPrinter(source, { ...options, convert: toConversion(source.info) }, lanes, memory);
    return;
  }
  const before = process.threadCpuUsage();
  const printed = printWindow(message, printer as WindowPrinter, (memory as WasmMemory).buffer);
  const { user, system } = process.threadCpuUsage(before);
  const answer: WorkerText = { ...printed, cpuMicros: user + system };
  const { buffer } = answer.text;
  port.postMessage(answer, buffer instanceof ArrayBuffer ? [buffer] : []);
});

function printWindow({ window, names, slot }: WorkerWindow, by: WindowPrinter, buffer: SharedArrayBuffer): Omit<WorkerText, 'cpuMicros'> {
  const { textAt, textEnd } = slot;
  const inMemory = window.pages.buffer instanceof ArrayBuffer ? undefined : by.printInMemory(window, names, slot);
  if (inMemory !== undefined) {
    const { textEnd: end, ...printed } = inMemory;
    return { ...printed, text: new Uint8Array(buffer, textAt, end - textAt) };
  }
  const out = new TextOut(0, new Uint8Array(buffer, textAt, textEnd - textAt));
  return { ...by.print(window, names, out), text: out.view() };
}
