/** Targets for what makes text of records: print formats in both dialects, and whole reports of mutated pages. */
import { isDeepStrictEqual } from 'node:util';
import { encodeUtf8 } from '../../base/bytes.ts';
import { Kallsyms } from '../../export/kallsyms.ts';
import { EventRecord } from '../../export/print-fmt-numbers.ts';
import { compilePrintFormat, joinParts, type PrintContext } from '../../export/print-fmt.ts';
import { CursorMerge, PageCursor } from '../../export/page-cursor.ts';
import { Reporter } from '../../export/report.ts';
import { ReportLines } from '../../export/report-lines.ts';
import type { ReportOptions, ReportSource } from '../../export/report-options.ts';
import { createMemory, type WasmSlot } from '../../export/report-wasm-memory.ts';
import { WindowPrinter } from '../../export/report-window-printer.ts';
import { TextOut } from '../../export/text-out.ts';
import type { EventFile, EventFileInfo, EventFileStream, PageSequence } from '../../model/event-file.ts';
import { createCounts, type ParseCounts } from '../../model/parser.ts';
import type { FormatSet } from '../../model/segment.ts';
import { parseEventFormat } from '../../parsers/event-format.ts';
import { parseHeaderPage, type PageLayout } from '../../parsers/page-header.ts';
import { traceDat } from '../../parsers/trace-dat.ts';
import { toTestSource } from '../support/event-file-suite.ts';
import { readRingFixture } from '../support/ring-fixture.ts';
import { writeTraceDat } from '../support/trace-dat-writer.ts';
import { countOutcome, Violation, type Target } from './target.ts';

const RECORD_BYTES = 128;
/** A width takes 4 KB at most, a list six characters for a byte; a template of 512 characters has 170 conversions at most. */
export const MAX_TEXT_BYTES = 1 << 20;
/** After so many windows that WebAssembly had no chance at, since lines before take it from there, printers are new. */
const LEFT_IN_A_ROW = 256;
/** Of one record of a report, whose fields may name the same bytes again and again. */
const MAX_LINE_BYTES = 1 << 16;
export const SYMBOLS = 'ffffffff81000000 T _text\nffffffff81000100 T vfs_read\nffffffff82000000 T _etext\n';
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

const printFmt: Target = {
  id: 'print_fmt',
  maxBytes: 1200,
  seeds: () => readRingFixture().set.events.map(({ format }) => encodeUtf8(format)),
  open: () => {
    const contexts = (['kernel', 'trace-cmd'] as const).map((dialect): PrintContext => ({
      dialect,
      longBytes: 8,
      symbols: new Kallsyms(() => encodeUtf8(SYMBOLS), dialect === 'kernel' ? 'first' : 'bisected'),
      strings: new Map([['ffffffff82000010', 'a %d']]),
    }));
    const record = new EventRecord();
    record.bytes = Uint8Array.from({ length: RECORD_BYTES }, (_, i) => i * 37);
    record.view = new DataView(record.bytes.buffer);
    const out = new TextOut(1 << 12);
    return {
      outcomes: new Map(),
      run(input, deep) {
        const format = parseEventFormat(decoder.decode(input), 'fuzz');
        if (typeof format === 'string') return countOutcome(this.outcomes, 'no format');
        for (const context of contexts) {
          const parts = compilePrintFormat(format, context);
          if (typeof parts === 'string') {
            if (parts.length > 400) throw new Violation(`message: ${parts.length} characters`);
            countOutcome(this.outcomes, parts.replaceAll(/".*"|\b[a-z_]+\(\)|field \S+|says what \S+/g, '…'));
            continue;
          }
          countOutcome(this.outcomes, `compiled for ${context.dialect}`);
          const put = joinParts(parts);
          for (const end of deep ? [RECORD_BYTES, 64, 12, 8, 2] : [RECORD_BYTES, 12]) {
            record.end = end;
            out.clear();
            put(record, out);
            if (out.length > MAX_TEXT_BYTES) throw new Violation(`text: ${out.length} bytes of one record`);
          }
        }
      },
    };
  },
};

export const PAGE_BYTES = 4096;
/** Time and count. */
const PAGE_HEAD_BYTES = 16;
/** After so many runs, what they have told of threads is forgotten. */
const RUNS_PER_PRINTER = 4096;
export const PLAIN: ReportOptions = {
  latency: false,
  raw: false,
  nanoseconds: false,
  timeDifference: false,
  filter: undefined,
  convert: undefined,
};
export const VARIANTS: readonly Partial<ReportOptions>[] = [{}, { raw: true }, { latency: true, nanoseconds: true, timeDifference: true }];

/** Pages of a recording, in a file whose formats are whole: what a record may claim, a line must survive. */
const report: Target = {
  id: 'report',
  maxBytes: 4096,
  seeds: () => {
    const { segment } = readRingFixture();
    return Array.from({ length: 6 }, (_, page) => segment.pages.slice(page * 4096, page * 4096 + 1024));
  },
  repair: fitCommit,
  open: () => {
    const { set } = readRingFixture();
    const { info, formats } = traceDat.open(toTestSource(writeTraceDat({ formats: set, kallsyms: SYMBOLS, buffers: [] })));
    const out = new TextOut(1 << 16);
    let pages = new Uint8Array(PAGE_BYTES);
    let printers: readonly OldPrinter[] = [];
    let ways: TwoWays[] = [];
    let runs = 0;
    return {
      outcomes: new Map(),
      run(input, deep) {
        // Most of what a report takes is its formats being compiled. Printers keep all that lines have told of threads.
        if (runs++ % RUNS_PER_PRINTER === 0) {
          printers = VARIANTS.map((variant) => new OldPrinter(info, formats, { ...PLAIN, ...variant }));
          ways = [];
        }
        const variant = (input[0] ?? 0) % VARIANTS.length;
        const isRaw = VARIANTS[variant]?.raw === true;
        const way = (ways[Number(isRaw)] ??= new TwoWays(info, formats, isRaw));
        const pageBytes = Math.max(1, Math.ceil(input.length / PAGE_BYTES)) * PAGE_BYTES;
        if (pages.length !== pageBytes) pages = new Uint8Array(pageBytes);
        pages.fill(0, input.length);
        pages.set(input);
        const { lines, counts } = (printers[variant] as OldPrinter).print(pages, out);
        checkReport(out, lines, counts, pageBytes);
        countOutcome(this.outcomes, 'lines', lines);
        countOutcome(this.outcomes, way.compare(pages) ? 'the same in WebAssembly' : 'left to JavaScript');
        if (!deep) return;
        const file: EventFile = { info, formats, counts: createCounts(), problems: new Map(), streams: [streamOf(pages)] };
        const reporter = new Reporter(file, { ...PLAIN, ...VARIANTS[variant] });
        out.clear();
        while (reporter.write(out, 1));
        checkReport(out, reporter.lines, reporter.counts, pageBytes);
        if (reporter.lines !== lines)
          throw new Violation(`lines: ${lines} by a printer that had others before, ${reporter.lines} by a new one`);
      },
    };
  },
};

function checkReport(out: TextOut, lines: number, { parsedBytes, malformedBytes }: ParseCounts, pageBytes: number): void {
  if (out.length > 64 + lines * MAX_LINE_BYTES) throw new Violation(`text: ${out.length} bytes of ${lines} lines`);
  if (parsedBytes + malformedBytes !== pageBytes) throw new Violation(`bytes: ${parsedBytes + malformedBytes} of ${pageBytes}`);
}

/** Prints as a report does that has come to these pages: with its formats compiled, and the names of threads it was told before. */
class OldPrinter {
  readonly #lines: ReportLines;
  readonly #layout: PageLayout;

  constructor(info: EventFileInfo, formats: FormatSet, options: ReportOptions) {
    this.#lines = new ReportLines({ info, formats }, options, ['']);
    this.#layout = parseHeaderPage(formats.headerPage) as PageLayout;
  }

  print(pages: Uint8Array, out: TextOut): { readonly lines: number; readonly counts: ParseCounts } {
    const counts = createCounts();
    const lines = this.#lines;
    const before = lines.count;
    const [sequence] = streamOf(pages).pages();
    const cursor = new PageCursor(sequence as PageSequence, PAGE_BYTES, this.#layout, true, counts);
    out.clear();
    const merge = new CursorMerge([cursor]);
    while (lines.write(merge, out, 1 << 16));
    return { lines: lines.count - before, counts };
  }
}

/** A count that says more than the page has is damage, which WebAssembly leaves to JavaScript. */
export function fitCommit(page: Uint8Array): void {
  if (page.length < PAGE_HEAD_BYTES) return;
  const view = new DataView(page.buffer, page.byteOffset, page.length);
  const commit = view.getUint32(8, true);
  view.setUint32(8, ((commit & 0xf800_0000) | Math.min(commit & 0x07ff_ffff, page.length - PAGE_HEAD_BYTES)) >>> 0, true);
}

/** Pages as a window, printed in WebAssembly and in JavaScript by printers that have had the same windows before: those that it printed. */
export class TwoWays {
  readonly #source: ReportSource;
  readonly #raw: boolean;
  #pair: PrinterPair | undefined;
  #left = 0;

  constructor(info: EventFileInfo, formats: FormatSet, raw = false) {
    this.#source = { info, formats };
    this.#raw = raw;
  }

  /** false where WebAssembly leaves it to JavaScript. */
  compare(pages: Uint8Array): boolean {
    const { printer, oracle, memory, slot } = (this.#pair ??= openPair(this.#source, this.#raw));
    const { pagesAt, textAt } = slot;
    memory.set(pages, pagesAt);
    const window = { pages, lanes: [{ bytes: pages.length, nextPage: 0, hasEnd: false }], since: undefined, until: undefined };
    const native = printer.printInMemory(window, [], slot);
    if (native === undefined) {
      if (++this.#left >= LEFT_IN_A_ROW) this.#pair = undefined;
      return false;
    }
    this.#left = 0;
    const out = new TextOut(1 << 16);
    const printed = oracle.print(window, [], out);
    const { textEnd, ...said } = native;
    // A window that was left to JavaScript may have told the one printer that there is a state.
    const state = said.state === undefined ? undefined : printed.state;
    const isSame =
      Buffer.compare(memory.subarray(textAt, textEnd), out.view()) === 0 &&
      isDeepStrictEqual({ ...said, state: printed.state && said.state }, { ...printed, state });
    if (isSame) return true;
    this.#pair = undefined;
    throw new Violation(`in WebAssembly ${textEnd - textAt} bytes, in JavaScript ${out.length}, or other notes`);
  }
}

interface PrinterPair {
  readonly printer: WindowPrinter;
  readonly oracle: WindowPrinter;
  readonly memory: Uint8Array;
  readonly slot: WasmSlot;
}

function openPair(source: ReportSource, raw: boolean): PrinterPair {
  const { memory, slots } = createMemory(1, 1 << 16, 1 << 20);
  const lanes = [{ prefix: '', pageSizeBytes: PAGE_BYTES, cpu: 0 }];
  const options = { ...PLAIN, raw };
  return {
    printer: new WindowPrinter(source, options, lanes, memory),
    oracle: new WindowPrinter(source, options, lanes),
    memory: new Uint8Array(memory.buffer),
    slot: slots[0] as WasmSlot,
  };
}

/** A stream of one CPU that has these pages and nothing else. */
export function streamOf(pages: Uint8Array): EventFileStream {
  let left = pages;
  const take = (): Uint8Array => {
    const taken = left;
    left = left.subarray(left.length);
    return taken;
  };
  return {
    instance: '',
    clock: 'local',
    clockName: 'local',
    sizeBytes: pages.length,
    readBytes: 0,
    pageSizeBytes: PAGE_BYTES,
    pages: () => [{ cpu: 0, take }],
    survey: () => [],
    read: () => false,
    readAhead: () => Promise.resolve(false),
    takeLosses: () => [],
  };
}

export const EXPORT_TARGETS: readonly Target[] = [printFmt, report];
