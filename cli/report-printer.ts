/** A thread that prints windows of a recording: one message says what of, each other one is a window. */
import { parentPort } from 'node:worker_threads';
import type { NamedFormat, ReportOptions, ReportSource } from '../export/report-lines.ts';
import type { TaskName } from '../export/report-tasks.ts';
import { WindowPrinter, type PrintedLane, type ReportWindow, type WindowText } from '../export/report-windows.ts';
import { TextOut } from '../export/text-out.ts';
import type { EventFileInfo } from '../model/event-file.ts';
import { toConversion } from './report-times.ts';
import { readSharedText, type SharedTexts } from './shared-text.ts';

export interface WorkerStart {
  readonly info: Omit<EventFileInfo, 'readKallsyms'>;
  readonly formats: Omit<ReportSource['formats'], 'events'>;
  /** Of each event; their formats, of which a recording needs some dozens, are read when they are. */
  readonly events: readonly { readonly system: string; readonly id: number }[];
  readonly formatTexts: SharedTexts;
  readonly kallsyms: SharedTexts;
  readonly options: Omit<ReportOptions, 'convert'>;
  readonly lanes: readonly PrintedLane[];
}

export interface WorkerWindow {
  readonly window: ReportWindow;
  readonly names: readonly TaskName[];
  /** For the text; of an earlier answer. */
  readonly memory: ArrayBuffer | undefined;
}

export interface WorkerText extends WindowText {
  readonly text: Uint8Array<ArrayBuffer>;
  /** That of the pages, to be filled again. */
  readonly memory: ArrayBuffer;
}

/** Of text that the pages of a window become: it grows where that is not enough. */
const TEXT_BYTES = 5 << 19;

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

port.on('message', (message: WorkerStart | WorkerWindow) => {
  if ('formats' in message) {
    const { info, kallsyms, formats, formatTexts, options, lanes } = message;
    const events = message.events.map(({ system, id }, i) => new SharedFormat(system, id, () => readSharedText(formatTexts, i)));
    const source = { info: { ...info, readKallsyms: () => readSharedText(kallsyms, 0) }, formats: { ...formats, events } };
    printer = new WindowPrinter(source, { ...options, convert: toConversion(source.info) }, lanes);
    return;
  }
  const { window, names, memory } = message;
  const out = new TextOut(TEXT_BYTES, memory);
  const printed = (printer as WindowPrinter).print(window, names, out);
  const answer: WorkerText = { ...printed, text: out.view(), memory: window.pages.buffer };
  port.postMessage(answer, [out.bytes.buffer, window.pages.buffer]);
});
