/**
 * Targets for what the kernel and trace-cmd write as binary: ring-buffer pages and trace.dat.
 *
 *   input of ring_buffer   01 | page | page | …      +-- the kernel that wrote them: byte order, width of a long, size of a page
 */
import { EventBatch } from '../../model/event-batch.ts';
import type { FormatSet } from '../../model/segment.ts';
import { openPageReader, type PageReader } from '../../parsers/ring-buffer.ts';
import { toSource } from '../../parsers/trace-dat-cursor.ts';
import { DatNumbers } from '../../export/trace-dat-writer.ts';
import { traceDat } from '../../parsers/trace-dat.ts';
import { renderEventFile, toTestSource } from '../support/event-file-suite.ts';
import { headerPageOf, PageWriter, payloadOf, type PageForm } from '../support/page-writer.ts';
import { loadFixtures } from '../support/parser-suite.ts';
import { readRingFixture } from '../support/ring-fixture.ts';
import { textOption, timeShiftOption, traceIdOption, tscToNsOption, writeTraceDat } from '../support/trace-dat-writer.ts';
import { arenaBytes, checkEventRows, checkReasons, noteReasons } from './text-target.ts';
import { countOutcome, Violation, type Runner, type Target } from './target.ts';

const MAX_ROWS = 8192;
/** The shortest record takes 8 bytes; a file may have the same pages in its table of CPUs once. */
const MAX_ROWS_PER_BYTE = 1;
const MAX_STRING_BYTES_PER_BYTE = 64;
/** What a file may unpack to, per byte: trace-dat-unpack.ts. */
const MAX_UNPACK_RATIO = 2048;

const FORMS: readonly PageForm[] = [
  { little: true, longBytes: 8, sizeBytes: 256 },
  { little: true, longBytes: 4, sizeBytes: 256 },
  { little: false, longBytes: 8, sizeBytes: 256 },
  { little: false, longBytes: 4, sizeBytes: 192 },
];

/** Every kind of field in two events, and two recorded ones. */
const EVENTS: FormatSet['events'] = [
  {
    system: 'fuzz',
    format: formatOf('shapes', 7, [
      ['u8 a', 8, 1, 0],
      ['s16 b', 10, 2, 1],
      ['unsigned long c', 12, 8, 0],
      ['char name[8]', 20, 8, 0],
      ['__data_loc char[] text', 28, 4, 0],
      ['__rel_loc u32[] list', 32, 4, 0],
      ['int fixed[2]', 36, 8, 1],
      ['__data_loc cpumask_t mask', 44, 4, 0],
      ['char tail[]', 48, 0, 0],
    ]),
  },
  {
    system: 'ftrace',
    format: formatOf('kernel_stack', 4, [
      ['int size', 8, 4, 1],
      ['unsigned long caller[8]', 16, 64, 0],
    ]),
  },
  {
    system: 'ftrace',
    format: formatOf('print', 5, [
      ['unsigned long ip', 8, 8, 0],
      ['char buf[]', 16, 0, 0],
    ]),
  },
  { system: 'fuzz', format: formatOf('tiny', 9, []) },
];

function formatOf(name: string, id: number, fields: readonly (readonly [string, number, number, number])[]): string {
  const common = [
    ['unsigned short common_type', 0, 2, 0],
    ['unsigned char common_flags', 2, 1, 0],
    ['unsigned char common_preempt_count', 3, 1, 0],
    ['int common_pid', 4, 4, 1],
  ] as const;
  const line = ([declared, offset, size, signed]: readonly [string, number, number, number]): string =>
    `\tfield:${declared};\toffset:${offset};\tsize:${size};\tsigned:${signed};`;
  return [`name: ${name}`, `ID: ${id}`, 'format:', ...common.map(line), '', ...fields.map(line), '', 'print fmt: "%x", REC->c', ''].join(
    '\n',
  );
}

function setOf(form: PageForm): FormatSet {
  return { headerPage: headerPageOf(form), endian: form.little ? 'little' : 'big', events: EVENTS, printkFormats: '' };
}

/** A page with each kind of record. */
function samplePage(form: PageForm, lost?: number | 'unknown'): Uint8Array {
  const { little } = form;
  const shapes = payloadOf(7, 42, 72, little, (view) => {
    view.setUint8(8, 200);
    view.setInt16(10, -2, little);
    view.setUint32(28, (5 << 16) | 52, little);
    view.setUint32(32, (8 << 16) | 20, little);
    view.setUint32(44, (8 << 16) | 64, little);
    new TextEncoder().encode('swapper\0').forEach((byte, i) => view.setUint8(20 + i, byte));
    new TextEncoder().encode('hello').forEach((byte, i) => view.setUint8(52 + i, byte));
  });
  return new PageWriter(1_000_000n, form)
    .event(10, shapes)
    .extend(1n << 33n)
    .event(0, payloadOf(9, 1, 8, little))
    .absolute((1n << 60n) + 5n)
    .discarded(3, 8)
    .event(1, payloadOf(9, 2, 8, little), true)
    .finish(lost);
}

function pageSeeds(): Uint8Array[] {
  const built = FORMS.flatMap((form, index) =>
    [undefined, 7, 'unknown' as const].map((lost) =>
      Uint8Array.of(index, ...samplePage(form, lost), ...(lost === undefined ? samplePage(form) : [])),
    ),
  );
  // Recorded pages are cut to what a small page holds: their commit word then says too much, until it is mutated.
  const { segment } = readRingFixture();
  const recorded = Array.from({ length: 8 }, (_none, page) => Uint8Array.of(0, ...segment.pages.subarray(page * 4096, page * 4096 + 256)));
  return [...built, ...recorded];
}

/** Makes the commit words fit their pages, so that the records are walked. */
function repairPages(input: Uint8Array): void {
  const form = formOf(input);
  const view = new DataView(input.buffer, input.byteOffset, input.length);
  for (let at = 1; at + form.sizeBytes <= input.length; at += form.sizeBytes) {
    const commitAt = at + (form.little || form.longBytes === 4 ? 8 : 12);
    const room = form.sizeBytes - 8 - form.longBytes;
    const commit = view.getUint32(commitAt, form.little);
    if ((commit & 0x07ff_ffff) > room) view.setUint32(commitAt, ((commit & 0xf800_0000) | (commit % (room + 1))) >>> 0, form.little);
  }
}

function formOf(input: Uint8Array): PageForm {
  return FORMS[(input[0] ?? 0) % FORMS.length] as PageForm;
}

class PageRunner implements Runner {
  readonly outcomes = new Map<string, number>();
  readonly #readers: readonly PageReader[] = FORMS.map((form) => openPageReader(setOf(form)));
  #batch = new EventBatch();
  #rows: number[] = [];

  run(input: Uint8Array, deep: boolean): void {
    const form = formOf(input);
    const pages = input.subarray(1);
    if (this.#batch.length > MAX_ROWS) {
      this.#batch = new EventBatch();
      this.#rows = [];
    }
    const batch = this.#batch;
    const reader = this.#readers[(input[0] ?? 0) % FORMS.length] as PageReader;
    const { counts } = reader;
    const bytes = counts.parsedBytes + counts.malformedBytes;
    const { records, malformed: reasons } = { records: counts.records, malformed: counts.malformed.size };
    const rows = batch.length;
    const strings = arenaBytes(batch.strings);
    reader.read(pages, form.sizeBytes, 3, batch);
    const taken = counts.parsedBytes + counts.malformedBytes - bytes;
    if (taken !== pages.length) throw new Violation(`bytes: ${taken} accounted of ${pages.length}`);
    if (counts.records - records !== batch.length - rows) throw new Violation(`records: ${counts.records - records} counted`);
    if (batch.length - rows > pages.length / 8) throw new Violation(`rows: ${batch.length - rows} for ${pages.length} bytes`);
    const grown = arenaBytes(batch.strings) - strings;
    if (grown > 1024 + pages.length * MAX_STRING_BYTES_PER_BYTE) throw new Violation(`strings: ${grown} bytes for ${pages.length} bytes`);
    if (counts.malformed.size > reasons) noteReasons(counts, this.outcomes, true);
    checkReasons(counts);
    checkEventRows(batch, this.#rows);
    for (let i = 0; i < batch.tables.length; i++) this.#rows[i] = batch.tables[i]?.length ?? 0;
    for (const { count } of reader.takeLosses()) if (count !== undefined && !(count >= 0)) throw new Violation(`lost: ${count}`);
    if (deep) checkPageByPage(pages, form);
  }
}

/** Pages one by one give what they give together. */
function checkPageByPage(pages: Uint8Array, form: PageForm): void {
  const read = (step: number): string => {
    const reader = openPageReader(setOf(form));
    const batch = new EventBatch();
    for (let at = 0; at < pages.length; at += step) reader.read(pages.slice(at, at + step), form.sizeBytes, 3, batch);
    const tables = batch.tables.map((table) =>
      [table.schema.name, ...table.rawTime.signed.subarray(0, table.length), ...table.pid.subarray(0, table.length)].join(),
    );
    return `${tables.sort().join('\n')}\n${reader
      .takeLosses()
      .map(({ fromRaw, toRaw, count }) => `${fromRaw} ${toRaw} ${count}`)
      .join()}`;
  };
  if (read(form.sizeBytes) !== read(Math.max(pages.length, 1))) throw new Violation('pieces: other rows page by page');
}

export const ringBuffer: Target = { id: 'ring_buffer', seeds: pageSeeds, open: () => new PageRunner(), repair: repairPages };

/** Whole files of about a kilobyte; of the recordings, which are larger, only the beginnings are taken. */
function datSeeds(): Uint8Array[] {
  const [little, , big] = FORMS as readonly [PageForm, PageForm, PageForm];
  const built = [writeSmallDat(little, 'none'), writeSmallDat(big, 'none'), writeSmallV6(little), writeSmallV6(big)];
  return [...built, ...loadFixtures('trace_dat', '.dat').map(({ bytes }) => bytes.slice(0, 1000))];
}

function packedSeeds(): Uint8Array[] {
  const [little] = FORMS as readonly [PageForm];
  return [writeSmallDat(little, 'zlib', 1), writeSmallDat(little, 'zstd', 1)];
}

const SMALL_FORMATS: FormatSet['events'] = [
  { system: 'fuzz', format: 'name: t\nID: 9\nformat:\n\tfield:u16 common_type;\toffset:0;\tsize:2;\n\tfield:int a;\toffset:4;\tsize:4;\n' },
];

function writeSmallDat(form: PageForm, compression: 'none' | 'zlib' | 'zstd', cpus = 2): Uint8Array {
  const small = { ...form, sizeBytes: 128 };
  const page = new PageWriter(1000n, small)
    .event(5, payloadOf(9, 1, 8, form.little))
    .event(6, payloadOf(9, 2, 8, form.little))
    .finish(3);
  const shift = { time: 5n, offset: -7n, scaling: 1n, fractionBits: 0 };
  const options = [
    textOption(1, '0x6611fd28'),
    textOption(2, 'CPU: 0\nentries: 1\noverrun: 4\nread events: 2\n'),
    textOption(4, '[local] global'),
    traceIdOption(77n, form.little),
    tscToNsOption(3, 2, -1n),
    timeShiftOption(9n, 1, [[shift]]),
    { id: 13, bytes: new DatNumbers(form.little).text('guest').u64(5n).u32(1).u32(0).u32(99).finish() },
  ];
  return writeTraceDat({
    formats: { ...setOf(small), events: SMALL_FORMATS },
    compression,
    comms: '1 init\n',
    options: form.little ? options : options.slice(0, 4),
    buffers: [
      {
        instance: '',
        clock: 'local',
        pageSizeBytes: 128,
        cpus: Array.from({ length: cpus }, (_none, cpu) => ({ cpu, pages: page })),
      },
    ],
  });
}

/** Version 6: one part after the other (parsers/trace-dat-v6.ts). */
function writeSmallV6(form: PageForm): Uint8Array {
  const { little } = form;
  const pages = new PageWriter(1000n, form).event(5, payloadOf(9, 1, 8, little)).finish();
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);
  const format = text(SMALL_FORMATS[0]?.format ?? '');
  const headerPage = text(headerPageOf(form));
  const head = new DatNumbers(little)
    .bytes(Uint8Array.of(0x17, 0x08, 0x44))
    .bytes(text('tracing'))
    .text('6');
  head.bytes(Uint8Array.of(little ? 0 : 1, form.longBytes)).u32(form.sizeBytes);
  head.text('header_page').u64(headerPage.length).bytes(headerPage).text('header_event').u64(0);
  head.u32(0).u32(1).text('fuzz').u32(1).u64(format.length).bytes(format);
  head.u32(0).u32(0).u64(7).bytes(text('1 init\n')).u32(1);
  head.bytes(text('options  \0')).u16(8).u32(4).u32(1).u16(0).bytes(text('flyrecord\0'));
  const clock = text('[local] global');
  const tableBytes = head.finish().length + 16 + 8 + clock.length;
  return head.u64(tableBytes).u64(pages.length).u64(clock.length).bytes(clock).bytes(pages).finish();
}

class DatRunner implements Runner {
  readonly outcomes = new Map<string, number>();

  run(input: Uint8Array, deep: boolean): void {
    // The one checks how it is read, hands out the same memory again and again, and takes time.
    const source = deep ? toTestSource(input) : { ...toSource(input), askedBytes: 0 };
    const file = traceDat.open(source);
    const symbols = file.info.readKallsyms().length;
    if (symbols > input.length * MAX_UNPACK_RATIO) throw new Violation(`text: ${symbols} characters of symbols`);
    let rows = 0;
    let mostBytes = input.length;
    for (const stream of file.streams) {
      stream.survey();
      for (let more = true; more;) {
        const batch = new EventBatch();
        more = stream.read(1 << 18, batch);
        rows += batch.length;
        checkEventRows(batch, []);
      }
      if (stream.readBytes > stream.sizeBytes) throw new Violation(`bytes: ${stream.readBytes} read of ${stream.sizeBytes}`);
      for (const { count } of stream.takeLosses()) if (count !== undefined && !(count >= 0)) throw new Violation(`lost: ${count}`);
    }
    const { counts } = file;
    mostBytes = Math.max(mostBytes, counts.parsedBytes + counts.malformedBytes);
    if (mostBytes > input.length * MAX_UNPACK_RATIO) throw new Violation(`bytes: ${mostBytes} bytes of pages from ${input.length}`);
    if (counts.records !== rows) throw new Violation(`records: ${counts.records} counted, ${rows} rows`);
    if (rows > mostBytes * MAX_ROWS_PER_BYTE) throw new Violation(`rows: ${rows} for ${mostBytes} bytes`);
    if (source.askedBytes > 1_000_000 + input.length * 4096)
      throw new Violation(`reads: ${source.askedBytes} bytes asked for of ${input.length}`);
    if (counts.malformed.size > 100) throw new Violation(`reasons: ${counts.malformed.size} of them`);
    if (rows > 0) countOutcome(this.outcomes, 'rows', rows);
    if (!deep) return;
    for (const reason of counts.malformed.keys()) countOutcome(this.outcomes, reason);
    const whole = renderEventFile(traceDat.open(toTestSource(input)), 1 << 30);
    const pieces = renderEventFile(traceDat.open(toTestSource(input)), 1);
    if (whole.join('\n') !== pieces.join('\n')) throw new Violation('pieces: other rows in small pieces');
  }
}

export const traceDatFile: Target = { id: 'trace_dat', maxBytes: 1400, seeds: datSeeds, open: () => new DatRunner() };
/** Apart, because opening a decompressor takes more time than all else. */
export const traceDatPacked: Target = { id: 'trace_dat_packed', maxBytes: 1400, seeds: packedSeeds, open: () => new DatRunner() };
