/** A recording written again as trace.dat: its pages verbatim, of some CPUs and some time where that is wanted. */
import { decodeUtf8 } from '../base/bytes.ts';
import type { EventFile, PageSequence } from '../model/event-file.ts';
import { parseHeaderPage } from '../parsers/page-header.ts';
import { OPTION } from '../parsers/trace-dat-options.ts';
import { TraceDatWriter, type ByteSink, type DatCompression } from '../export/trace-dat-writer.ts';

const RUN_BYTES = 256 << 10;

/** What of a recording is written; all of it where nothing is named. */
export interface PageSelection {
  readonly cpus: ReadonlySet<number> | undefined;
  readonly from: bigint | undefined;
  readonly to: bigint | undefined;
  /** What of a CPU's raw time is compared with `from` and `to`; undefined: the raw time, in units of each buffer's clock. */
  readonly toTime: ((cpu: number, raw: bigint) => bigint) | undefined;
}

export interface WrittenPages {
  pages: number;
  /** Bytes at the end of a CPU that are no whole page. */
  tornBytes: number;
}

/** As saved_cmdlines has them, a byte a character. */
export function toCommLines(comms: EventFile['info']['comms']): string {
  return Object.entries(comms)
    .map(([pid, comm]) => `${pid} ${comm}\n`)
    .join('');
}

/** Writes the file; `onPages` tells how many bytes of pages were written so far. */
export function writeRecording(
  file: EventFile,
  sink: ByteSink,
  { compression, selection, onPages }: { compression: DatCompression; selection: PageSelection; onPages: (bytes: number) => void },
): WrittenPages {
  const { info, formats, streams } = file;
  const isPart = selection.cpus !== undefined || selection.from !== undefined || selection.to !== undefined;
  const written: WrittenPages = { pages: 0, tornBytes: 0 };
  const writer = new TraceDatWriter(sink, {
    formats,
    compression,
    longBytes: info.longBytes,
    pageSizeBytes: info.pageSizeBytes,
    comms: toCommLines(info.comms),
    kallsyms: decodeUtf8(info.readKallsyms()),
    // The kernel's counters are those of the whole recording: beside a part of it they would tell of losses that are none.
    options: info.options.filter(({ id }) => !isPart || id !== OPTION.cpuStat),
  });
  let bytes = 0;
  for (const stream of streams) {
    const sequences = stream.pages().filter(({ cpu }) => selection.cpus?.has(cpu) ?? true);
    const { instance, clockName, pageSizeBytes } = stream;
    const runsOf = function* (sequence: PageSequence): Generator<Uint8Array> {
      for (const run of selectPages(sequence, pageSizeBytes, formats, selection, written)) {
        yield run;
        bytes += run.length;
        written.pages += run.length / pageSizeBytes;
        onPages(bytes);
      }
    };
    writer.addBuffer(
      { instance, clock: clockName, pageSizeBytes },
      sequences.map((sequence) => ({ cpu: sequence.cpu, runs: runsOf(sequence) })),
    );
  }
  return written;
}

/**
 * Whole pages that hold, or may hold, events of the wanted time: a page ends where the next one begins, so of those that begin
 * before the time only the last one counts.
 */
function* selectPages(
  sequence: PageSequence,
  pageSizeBytes: number,
  { headerPage, endian }: EventFile['formats'],
  { from: since, to: until, toTime = (_cpu, raw) => raw }: PageSelection,
  written: WrittenPages,
): Generator<Uint8Array> {
  const layout = parseHeaderPage(headerPage);
  const stampOffset = typeof layout === 'string' ? 0 : layout.timestampOffset;
  let held: Uint8Array | undefined;
  for (let run = sequence.take(RUN_BYTES); run.length > 0; run = sequence.take(RUN_BYTES)) {
    const whole = run.length - (run.length % pageSizeBytes);
    written.tornBytes += run.length - whole;
    if (since === undefined && until === undefined) {
      if (whole > 0) yield run.subarray(0, whole);
      continue;
    }
    const view = new DataView(run.buffer, run.byteOffset, run.byteLength);
    const timeOf = (at: number): bigint => toTime(sequence.cpu, view.getBigUint64(at + stampOffset, endian === 'little'));
    const from = since === undefined ? 0 : findPage(whole, pageSizeBytes, 0, (at) => timeOf(at) > since);
    if (from > 0) held = run.subarray(from - pageSizeBytes, from);
    if (from === whole) continue;
    const to = until === undefined ? whole : findPage(whole, pageSizeBytes, from, (at) => timeOf(at) >= until);
    if (held !== undefined) yield held;
    held = undefined;
    if (to > from) yield run.subarray(from, to);
    if (to < whole) return;
  }
  if (held !== undefined) yield held;
}

/** Offset of the first page from `start` on that is wanted; `end` where none is. */
function findPage(end: number, pageSizeBytes: number, start: number, isWanted: (at: number) => boolean): number {
  let at = start;
  while (at < end && !isWanted(at)) at += pageSizeBytes;
  return at;
}
