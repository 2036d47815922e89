/** A thread that prints windows of a recording: one message says what of, each other one is a window. */
import { parentPort } from 'node:worker_threads';
import type { ReportOptions, ReportSource } from '../export/report-lines.ts';
import type { TaskName } from '../export/report-tasks.ts';
import { WindowPrinter, type PrintedLane, type ReportWindow, type WindowText } from '../export/report-windows.ts';
import { TextOut } from '../export/text-out.ts';
import type { EventFileInfo } from '../model/event-file.ts';
import { toConversion } from './report-times.ts';
import { readSharedText, type SharedText } from './shared-text.ts';

export interface WorkerStart {
  readonly info: Omit<EventFileInfo, 'readKallsyms'>;
  readonly formats: Omit<ReportSource['formats'], 'events'>;
  /** Of each event its system, and where its format ends in the text of all. */
  readonly systems: readonly string[];
  readonly formatEnds: readonly number[];
  readonly formatText: SharedText;
  readonly kallsyms: SharedText;
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

/** Of text that 1 MB of pages become: it grows where that is not enough. */
const TEXT_BYTES = 5 << 20;

function readFormats({ formats, systems, formatEnds, formatText }: WorkerStart): ReportSource['formats'] {
  const text = readSharedText(formatText);
  const events = systems.map((system, i) => ({ system, format: text.slice(formatEnds[i - 1] ?? 0, formatEnds[i]) }));
  return { ...formats, events };
}

const port = parentPort;
if (port === null) throw new Error('report-worker is a thread');
let printer: WindowPrinter | undefined;

port.on('message', (message: WorkerStart | WorkerWindow) => {
  if ('formats' in message) {
    const { info, kallsyms, options, lanes } = message;
    const source = { info: { ...info, readKallsyms: () => readSharedText(kallsyms) }, formats: readFormats(message) };
    printer = new WindowPrinter(source, { ...options, convert: toConversion(source.info) }, lanes);
    return;
  }
  const { window, names, memory } = message;
  const out = new TextOut(TEXT_BYTES, memory);
  const printed = (printer as WindowPrinter).print(window, names, out);
  const answer: WorkerText = { ...printed, text: out.view(), memory: window.pages.buffer };
  port.postMessage(answer, [out.bytes.buffer, window.pages.buffer]);
});
