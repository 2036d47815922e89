/** Targets for what makes text of records: print formats in both dialects, and whole reports of mutated pages. */
import { encodeUtf8 } from '../../base/bytes.ts';
import { Kallsyms } from '../../export/kallsyms.ts';
import { EventRecord } from '../../export/print-fmt-numbers.ts';
import { compilePrintFormat, joinParts, type PrintContext } from '../../export/print-fmt.ts';
import { Reporter } from '../../export/report.ts';
import type { ReportOptions } from '../../export/report-lines.ts';
import { createMemory, type WasmSlot } from '../../export/report-wasm.ts';
import { WindowPrinter } from '../../export/report-windows.ts';
import { TextOut } from '../../export/text-out.ts';
import type { EventFile, EventFileInfo, EventFileStream } from '../../model/event-file.ts';
import { createCounts } from '../../model/parser.ts';
import type { FormatSet } from '../../model/segment.ts';
import { parseEventFormat } from '../../parsers/event-format.ts';
import { traceDat } from '../../parsers/trace-dat.ts';
import { toTestSource } from '../support/event-file-suite.ts';
import { readRingFixture } from '../support/ring-fixture.ts';
import { writeTraceDat } from '../support/trace-dat-writer.ts';
import { countOutcome, Violation, type Target } from './target.ts';

const RECORD_BYTES = 128;
/** A width takes 4 KB at most, a list six characters for a byte; a template of 512 characters has 170 conversions at most. */
const MAX_TEXT_BYTES = 1 << 20;
/** Of one record of a report, whose fields may name the same bytes again and again. */
const MAX_LINE_BYTES = 1 << 16;
const SYMBOLS = 'ffffffff81000000 T _text\nffffffff81000100 T vfs_read\nffffffff82000000 T _etext\n';
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

const PAGE_BYTES = 4096;
const PLAIN: ReportOptions = {
  latency: false,
  raw: false,
  nanoseconds: false,
  timeDifference: false,
  filter: undefined,
  convert: undefined,
};
const VARIANTS: readonly Partial<ReportOptions>[] = [{}, { raw: true }, { latency: true, nanoseconds: true, timeDifference: true }];

/** Pages of a recording, in a file whose formats are whole: what a record may claim, a line must survive. */
const report: Target = {
  id: 'report',
  maxBytes: 4096,
  seeds: () => {
    const { segment } = readRingFixture();
    return Array.from({ length: 6 }, (_, page) => segment.pages.slice(page * 4096, page * 4096 + 1024));
  },
  open: () => {
    const { set } = readRingFixture();
    const { info, formats } = traceDat.open(toTestSource(writeTraceDat({ formats: set, kallsyms: SYMBOLS, buffers: [] })));
    const out = new TextOut(1 << 16);
    const ways = new TwoWays(info, formats);
    return {
      outcomes: new Map(),
      run(input) {
        const pages = new Uint8Array(Math.ceil(input.length / PAGE_BYTES) * PAGE_BYTES);
        pages.set(input);
        const file: EventFile = { info, formats, counts: createCounts(), problems: new Map(), streams: [streamOf(pages)] };
        // A run costs a millisecond, which is the formats being compiled: one variant in each.
        const reporter = new Reporter(file, { ...PLAIN, ...VARIANTS[(input[0] ?? 0) % VARIANTS.length] });
        out.clear();
        while (reporter.write(out, 1));
        if (out.length > 64 + reporter.lines * MAX_LINE_BYTES) throw new Violation(`text: ${out.length} bytes of ${reporter.lines} lines`);
        const { parsedBytes, malformedBytes } = reporter.counts;
        if (parsedBytes + malformedBytes !== pages.length) throw new Violation(`bytes: ${parsedBytes + malformedBytes} of ${pages.length}`);
        countOutcome(this.outcomes, 'lines', reporter.lines);
        countOutcome(this.outcomes, ways.compare(pages) ? 'the same in WebAssembly' : 'left to JavaScript');
      },
    };
  },
};

/** Pages as a window, printed in WebAssembly and in JavaScript by the same printer, with all that it has kept of inputs before. */
class TwoWays {
  readonly #printer: WindowPrinter;
  readonly #memory: Uint8Array;
  readonly #slot: WasmSlot;

  constructor(info: EventFileInfo, formats: FormatSet) {
    const { memory, slots } = createMemory(1, 1 << 16, 1 << 20);
    this.#memory = new Uint8Array(memory.buffer);
    this.#slot = slots[0] as WasmSlot;
    this.#printer = new WindowPrinter({ info, formats }, PLAIN, [{ prefix: '', pageSizeBytes: PAGE_BYTES, cpu: 0 }], memory);
  }

  /** false where WebAssembly leaves it to JavaScript. */
  compare(pages: Uint8Array): boolean {
    const { pagesAt, textAt } = this.#slot;
    this.#memory.set(pages, pagesAt);
    const window = { pages, lanes: [{ bytes: pages.length, nextPage: 0, hasEnd: false }], since: undefined, until: undefined };
    const native = this.#printer.printInMemory(window, [], this.#slot);
    if (native === undefined) return false;
    const out = new TextOut(1 << 16);
    const { notes, ...printed } = this.#printer.print(window, [], out);
    const { textEnd, notes: nativeNotes, ...nativePrinted } = native;
    const isSame =
      Buffer.compare(this.#memory.subarray(textAt, textEnd), out.view()) === 0 &&
      String(notes) === String(nativeNotes) &&
      JSON.stringify(printed) === JSON.stringify(nativePrinted);
    if (!isSame) throw new Violation(`in WebAssembly ${textEnd - textAt} bytes, in JavaScript ${out.length}, or other notes`);
    return true;
  }
}

/** A stream of one CPU that has these pages and nothing else. */
function streamOf(pages: Uint8Array): EventFileStream {
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
    takeLosses: () => [],
  };
}

export const EXPORT_TARGETS: readonly Target[] = [printFmt, report];
