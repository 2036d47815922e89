/**
 * The format of one event, and lines of three records of it as trace-cmd and the kernel print them: both have ways of their own for events
 * of some names, which take fields by theirs.
 *
 *   sched⏎name: sched_switch⏎ID: 316⏎format:⏎ …      the system, and the format file
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeUtf8 } from '../../base/bytes.ts';
import { Kallsyms } from '../../export/kallsyms.ts';
import { Reporter } from '../../export/report.ts';
import { readFormatId } from '../../export/report-lines.ts';
import { TextOut } from '../../export/text-out.ts';
import { TraceText } from '../../export/trace-text.ts';
import type { EventFile, EventFileInfo } from '../../model/event-file.ts';
import { createCounts } from '../../model/parser.ts';
import type { FormatSet } from '../../model/segment.ts';
import { traceDat } from '../../parsers/trace-dat.ts';
import { readTraceSettings } from '../../parsers/tracefs-settings.ts';
import { toTestSource } from '../support/event-file-suite.ts';
import { headerPageOf, PageWriter, payloadOf, THIS_KERNEL } from '../support/page-writer.ts';
import { readRingFixture } from '../support/ring-fixture.ts';
import { writeTraceDat } from '../support/trace-dat-writer.ts';
import { MAX_TEXT_BYTES, PAGE_BYTES, PLAIN, streamOf, SYMBOLS, TwoWays, VARIANTS } from './export-target.ts';
import { countOutcome, Violation, type Runner, type Target } from './target.ts';

const PLUGIN_FORMATS = join(import.meta.dirname, '..', 'fixtures', 'plugin_formats');
const RECORD_BYTES = 96;
/** Where the records of the page begin. */
const RECORDS_AT = [20, 24 + RECORD_BYTES, 28 + 2 * RECORD_BYTES];
const TRACERS = ['nop', 'function_graph', 'mmiotrace', 'blk', 'hwlat'] as const;
/** Of a report before its first line, and of the kernel's text. */
const HEAD_BYTES = 4096;
const MAX_MESSAGE_CHARS = 400;
const decoder = new TextDecoder('latin1');

type NamedFormat = FormatSet['events'][number];

/** Formats of the recording, and those of the events that trace-cmd has plugins for, of which fields are taken by name. */
function listFormats(): NamedFormat[] {
  const files = readdirSync(PLUGIN_FORMATS).filter((name) => name.endsWith('.txt'));
  const texts = files.flatMap((name) =>
    readFileSync(join(PLUGIN_FORMATS, name), 'latin1')
      .split(/^system: /m)
      .slice(1),
  );
  return [...readRingFixture().set.events, ...texts.map(toNamedFormat)];
}

function toNamedFormat(text: string): NamedFormat {
  const newline = text.indexOf('\n');
  return { system: text.slice(0, Math.max(0, newline)), format: text.slice(newline + 1) };
}

function samplePage(): Uint8Array<ArrayBuffer> {
  const payload = payloadOf(0, 7, RECORD_BYTES, true, (view) => {
    for (let at = 8; at < RECORD_BYTES; at++) view.setUint8(at, at * 37);
  });
  const page = new PageWriter(5n).event(1, payload).event(2, payload).event(3, payload.subarray(0, 12)).finish();
  return new Uint8Array(page);
}

class EventTextRunner implements Runner {
  readonly outcomes = new Map<string, number>();
  readonly #page = samplePage();
  readonly #view = new DataView(this.#page.buffer);
  readonly #info: EventFileInfo;
  readonly #headerPage = headerPageOf(THIS_KERNEL);
  readonly #symbols = new Kallsyms(() => encodeUtf8(SYMBOLS));
  readonly #settings = TRACERS.map((tracer) => readTraceSettings((path) => (path === 'current_tracer' ? tracer : undefined), [0]));
  readonly #out = new TextOut(1 << 14);

  constructor() {
    const { set } = readRingFixture();
    this.#info = traceDat.open(toTestSource(writeTraceDat({ formats: set, kallsyms: SYMBOLS, buffers: [] }))).info;
  }

  run(input: Uint8Array, deep: boolean): void {
    const event = toNamedFormat(decoder.decode(input));
    const id = readFormatId(event);
    if (!(id >= 0 && id <= 0xffff)) return countOutcome(this.outcomes, 'no format');
    for (const at of RECORDS_AT) this.#view.setUint16(at, id, true);
    const formats: FormatSet = { headerPage: this.#headerPage, endian: 'little', events: [event], printkFormats: '' };
    this.#report(formats, id);
    this.#printText(formats, id);
    if (deep)
      countOutcome(
        this.outcomes,
        new TwoWays(this.#info, formats, id % 2 === 1).compare(this.#page) ? 'the same in WebAssembly' : 'left to JavaScript',
      );
  }

  #report(formats: FormatSet, id: number): void {
    const streams = [streamOf(this.#page)];
    const file: EventFile = { info: this.#info, formats, counts: createCounts(), problems: new Map(), streams };
    const reporter = new Reporter(file, { ...PLAIN, ...VARIANTS[id % VARIANTS.length] });
    this.#out.clear();
    while (reporter.write(this.#out, 1));
    this.#check(reporter.lines, reporter.problems);
    countOutcome(this.outcomes, 'lines', reporter.lines);
  }

  #printText(formats: FormatSet, id: number): void {
    const settings = this.#settings[id % TRACERS.length];
    if (settings === undefined) return;
    const openPages = () => streamOf(this.#page).pages();
    const text = new TraceText({ formats, settings, pageSizeBytes: PAGE_BYTES, openPages, symbols: this.#symbols });
    this.#out.clear();
    while (text.write(this.#out, 1));
    this.#check(text.records, [...text.problems.values()]);
    for (const problem of text.problems.values()) {
      countOutcome(this.outcomes, problem.replaceAll(/".*"|\b[a-z_]+\(\)|field \S+|says what \S+/g, '…'));
    }
  }

  #check(lines: number, problems: readonly string[]): void {
    if (this.#out.length > HEAD_BYTES + lines * MAX_TEXT_BYTES) throw new Violation(`text: ${this.#out.length} bytes of ${lines} lines`);
    for (const problem of problems) if (problem.length > MAX_MESSAGE_CHARS) throw new Violation(`message: ${problem.length} characters`);
  }
}

export const eventText: Target = {
  id: 'event_text',
  maxBytes: 1200,
  seeds: () => listFormats().map(({ system, format }) => encodeUtf8(`${system}\n${format}`)),
  open: () => new EventTextRunner(),
};
