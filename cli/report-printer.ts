/** A thread that prints windows of a recording: one message says what of, each other one is a window. */
import { parentPort } from 'node:worker_threads';
import type { FixedOptions, ReportSource } from '../export/report-options.ts';
import type { TaskName } from '../export/report-tasks.ts';
import type { WasmSlot } from '../export/report-wasm-memory.ts';
import { WindowPrinter, type PrintedLane, type WindowText } from '../export/report-window-printer.ts';
import type { ReportWindow } from '../export/report-windows.ts';
import { TextOut } from '../export/text-out.ts';
import type { WasmMemory } from '../base/wasm-runtime.ts';
import type { EventFileInfo } from '../model/event-file.ts';
import { toFilter, type FilterWords } from './report-filter.ts';
import { toConversion } from './report-times.ts';

export interface PrinterStart {
  readonly info: Pick<EventFileInfo, 'clock' | 'comms' | 'tscToNs' | 'timeShift' | 'dateOffsetNs' | 'offsetNs'>;
  readonly formats: ReportSource['formats'];
  readonly options: FixedOptions;
  readonly filter: FilterWords | undefined;
  readonly lanes: readonly PrintedLane[];
  readonly memory: WasmMemory;
}

/** Comes behind the start and before windows, because reading it takes as long as the printer takes to be ready for it. */
export interface PrinterSymbols {
  readonly kallsyms: Uint8Array;
}

export interface PrinterWindow {
  /** Its pages lie in the slot, or in memory of their own that is handed over. */
  readonly window: ReportWindow;
  readonly names: readonly TaskName[];
  readonly slot: WasmSlot;
}

export interface PrinterText extends WindowText {
  /** In the slot, or in memory of its own that is handed over. */
  readonly text: Uint8Array;
  /** CPU time of this thread for it. */
  readonly cpuMicros: number;
}

const port = parentPort;
if (port === null) throw new Error('report-printer is a thread');
let printer: WindowPrinter | undefined;
let buffer = new SharedArrayBuffer(0);
let kallsyms: Uint8Array = new Uint8Array(0);

port.on('message', (message: PrinterStart | PrinterSymbols | PrinterWindow) => {
  if ('formats' in message) {
    const { info, formats, options, filter, lanes, memory } = message;
    const source: ReportSource = { info: { ...info, readKallsyms: () => kallsyms }, formats };
    printer = new WindowPrinter(source, { ...options, filter: toFilter(filter), convert: toConversion(info) }, lanes, memory);
    ({ buffer } = memory);
    return;
  }
  if ('kallsyms' in message) {
    ({ kallsyms } = message);
    return;
  }
  const before = process.threadCpuUsage();
  const printed = printWindow(message, printer as WindowPrinter);
  const { user, system } = process.threadCpuUsage(before);
  const answer: PrinterText = { ...printed, cpuMicros: user + system };
  port.postMessage(answer, answer.text.buffer instanceof ArrayBuffer ? [answer.text.buffer] : []);
});

function printWindow({ window, names, slot }: PrinterWindow, by: WindowPrinter): Omit<PrinterText, 'cpuMicros'> {
  const { textAt, textEnd } = slot;
  const inMemory = window.pages.buffer instanceof ArrayBuffer ? undefined : by.printInMemory(window, names, slot);
  if (inMemory !== undefined) {
    const { textEnd: end, ...printed } = inMemory;
    return { ...printed, text: new Uint8Array(buffer, textAt, end - textAt) };
  }
  const out = new TextOut(0, new Uint8Array(buffer, textAt, textEnd - textAt));
  return { ...by.print(window, names, out), text: out.view() };
}
