import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ReportThreads } from '../../cli/report-threads.ts';
import { toConversion } from '../../cli/report-times.ts';
import { Reporter, type ReportStart } from '../../export/report.ts';
import { headerOf, openLanes } from '../../export/report-lanes.ts';
import { PageCursor } from '../../export/page-cursor.ts';
import { readFormatId, type LineState } from '../../export/report-lines.ts';
import { isSequential, type NamedFormat, type ReportFilter, type ReportOptions, type ReportSource } from '../../export/report-options.ts';
import { TaskNames, type TaskName } from '../../export/report-tasks.ts';
import { createMemory, type WasmSlot } from '../../export/report-wasm-memory.ts';
import { WindowPrinter, type PrintedLane, type WindowText } from '../../export/report-window-printer.ts';
import { WindowCutter, type ReportWindow } from '../../export/report-windows.ts';
import { TextOut } from '../../export/text-out.ts';
import { packTraceDat } from '../../export/trace-dat-pack.ts';
import type { PageSequence } from '../../model/event-file.ts';
import { createCounts } from '../../model/parser.ts';
import { parseEventFormat } from '../../parsers/event-format.ts';
import { parseHeaderPage, type PageLayout } from '../../parsers/page-header.ts';
import { traceDat } from '../../parsers/trace-dat.ts';
import { openTracefsCopy } from '../../parsers/tracefs-copy.ts';
import { toTestSource } from '../support/event-file-suite.ts';
import { openFolderFiles, unpackFolder } from '../support/folder-file.ts';
import { createRandom, randomBytes } from '../support/random.ts';
import { repeatPages } from '../support/repeat-pages.ts';
import { readRingFixture } from '../support/ring-fixture.ts';
import { readBytes } from '../support/trace-cmd.ts';
import { writeTraceDat } from '../support/trace-dat-writer.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures/trace_dat');
const PLAIN: ReportOptions = {
  latency: false,
  raw: false,
  nanoseconds: false,
  timeDifference: false,
  filter: undefined,
  convert: undefined,
};

function writeAll(bytes: Uint8Array, options: ReportOptions, start?: ReportStart): string {
  const reporter = new Reporter(traceDat.open(toTestSource(bytes)), options, start);
  const out = new TextOut();
  while (reporter.write(out, 1 << 16));
  return Buffer.from(out.view()).toString('latin1');
}

interface Windowed {
  readonly text: string;
  readonly windows: number;
  /** How many of them WebAssembly has printed, too. */
  readonly native: number;
  readonly isCutToEnd: boolean;
}

const SLOT_PAGE_BYTES = 2 << 20;
const SLOT_TEXT_BYTES = 8 << 20;

/** One that prints each window in both ways, which have to be the same in all that they say. */
class BothPrinter {
  native = 0;
  readonly #printer: WindowPrinter;
  /** In JavaScript alone; lines may go on from those before, so each has its own. */
  readonly #oracle: WindowPrinter;
  readonly #memory: Uint8Array;
  readonly #slot: WasmSlot;

  constructor(file: ReportSource, options: ReportOptions, lanes: readonly PrintedLane[]) {
    const { memory, slots } = createMemory(1, SLOT_PAGE_BYTES, SLOT_TEXT_BYTES);
    this.#memory = new Uint8Array(memory.buffer);
    this.#slot = slots[0] as WasmSlot;
    this.#printer = new WindowPrinter(file, options, lanes, memory);
    this.#oracle = new WindowPrinter(file, options, lanes);
  }

  print(window: ReportWindow, known: readonly TaskName[]): WindowText & { readonly out: TextOut } {
    const { pagesAt, textAt } = this.#slot;
    assert.ok(window.pages.length <= SLOT_PAGE_BYTES);
    this.#memory.set(window.pages, pagesAt);
    const native = this.#printer.printInMemory(window, known, this.#slot);
    const out = new TextOut(16);
    const printed = this.#oracle.print(window, known, out);
    if (native === undefined) {
      const again = this.#printer.print(window, known, new TextOut(16));
      // One that is not whole may be left at any place.
      if (printed.isWhole) assert.deepEqual(again, printed);
      else assert.equal(again.isWhole, false);
      return { ...printed, out };
    }
    this.native++;
    const { textEnd, ...said } = native;
    const text = Buffer.from(this.#memory.subarray(textAt, textEnd));
    assert.equal(text.toString('latin1'), Buffer.from(out.view()).toString('latin1'));
    assert.deepEqual(said, printed);
    return { ...printed, out };
  }
}

const PRINTERS = 3;

/** By some printers in turn, none of which sees what the others tell before all the windows of a round are printed. */
function writeWindows(bytes: Uint8Array, options: ReportOptions, windowBytes: number, printers: number): Windowed {
  const file = traceDat.open(toTestSource(bytes));
  const lanes = openLanes(file, options.filter?.cpus);
  const cutter = new WindowCutter(file, lanes, options.convert, windowBytes);
  const printed = lanes.map(({ prefix, pageSizeBytes, pages }) => ({ prefix, pageSizeBytes, cpu: pages.cpu }));
  const pool = Array.from({ length: isSequential(options) ? 1 : printers }, () => new BothPrinter(file, options, printed));
  const countNative = (): number => pool.reduce((sum, { native }) => sum + native, 0);
  const names = new TaskNames(file.info.comms, options.latency);
  const known: TaskName[] = [];
  let text = headerOf(file);
  let state: LineState | undefined;
  let windows = 0;
  const goOn = (start: ReportStart): Windowed => {
    return {
      text: text + writeAll(bytes, options, start),
      windows,
      native: countNative(),
      isCutToEnd: false,
    };
  };
  for (;;) {
    const round = pool.flatMap((printer) => {
      const window = cutter.next();
      if (window === undefined) return [];
      return [{ window, ...printer.print(window, known) }];
    });
    for (const { out, window, isWhole, notes, told, state: next } of round) {
      if (!isWhole || (next !== undefined && pool.length > 1)) return goOn({ since: window.since, names: known, state });
      state = next;
      for (const piece of names.rename(out.view(), notes, told)) text += Buffer.from(piece).toString('latin1');
      known.push(...told);
      windows++;
    }
    if (cutter.isStuck) return goOn({ since: cutter.since, names: known, state });
    if (round.length === 0) return { text, windows, native: countNative(), isCutToEnd: true };
  }
}

function assertSame(windowed: Windowed, whole: string, where: string): void {
  if (windowed.text === whole) return;
  const [left, right] = [windowed.text.split('\n'), whole.split('\n')];
  const at = right.findIndex((line, i) => line !== left[i]);
  assert.equal(left[at], right[at], `${where}: line ${at + 1} of ${right.length}`);
}

/** Asserts that windows of some sizes join to the text in one go; tells how many there were, `+` where the rest was not cut. */
function compareSizes(bytes: Uint8Array, variant: Partial<ReportOptions>, where: string, sizes: readonly number[]): string {
  const options = { ...PLAIN, ...variant, convert: toConversion(traceDat.open(toTestSource(bytes)).info) };
  const whole = writeAll(bytes, options);
  const seen = sizes.map((windowBytes) => {
    const said = [PRINTERS, 1].map((printers) => {
      const windowed = writeWindows(bytes, options, windowBytes, printers);
      assertSame(windowed, whole, `${where} ${Object.keys(variant).join()} ${windowBytes} ${printers}`);
      return `${windowed.windows}${windowed.isCutToEnd ? '' : '+'} (${windowed.native})`;
    });
    return [...new Set(said)].join(' / ');
  });
  return seen.join(', ');
}

test('report windows: joined, they are the text that is printed in one go, whatever their size', (t) => {
  for (const name of readdirSync(FIXTURES).filter((file) => file.endsWith('.dat'))) {
    const bytes = readBytes(join(FIXTURES, name));
    for (const variant of [{}, { nanoseconds: true }, { latency: true }, { raw: true, nanoseconds: true }, { raw: true, latency: true }]) {
      const windows = compareSizes(bytes, variant, name, [1, 20_000, 1 << 20]);
      t.diagnostic(`${name} ${Object.keys(variant).join()}: ${windows} windows`);
    }
  }
});

const ALL: ReportFilter = { cpus: undefined, pids: undefined, events: undefined, since: undefined, until: undefined };

test('report windows: with filters and differences of time, windows that are printed one after the other go on from each other', (t) => {
  for (const name of readdirSync(FIXTURES).filter((file) => file.endsWith('.dat'))) {
    const bytes = readBytes(join(FIXTURES, name));
    const whole = writeAll(bytes, PLAIN).split('\n').slice(1, -1);
    const [pids, times] = [/-(\d+) +\[/, /\] +(\d+)\.(\d+):/].map((pattern) => whole.map((line) => pattern.exec(line)));
    const middle = times?.[whole.length >> 1];
    const since = middle?.[1] === undefined ? undefined : BigInt(`${middle[1]}${middle[2]}000`);
    const variants: Partial<ReportOptions>[] = [
      { timeDifference: true },
      { timeDifference: true, nanoseconds: true, latency: true },
      { filter: { ...ALL, events: (system) => system === 'sched' } },
      { filter: { ...ALL, pids: new Set(pids?.flatMap((found, i) => (i % 7 === 0 ? Number(found?.[1] ?? 0) : []))) } },
      { filter: { ...ALL, cpus: new Set([1]), events: (_system, event) => event !== 'sched_switch' }, latency: true },
      { filter: { ...ALL, since }, timeDifference: true },
      { filter: { ...ALL, until: since } },
      { filter: { ...ALL, until: since }, raw: true, timeDifference: true },
    ];
    for (const variant of variants) {
      const what = Object.keys(variant).join();
      t.diagnostic(`${name} ${what}: ${compareSizes(bytes, variant, `${name} ${what}`, [1, 20_000])} windows`);
    }
  }
});

test('report windows: where lines look back or ahead, as those of functions do, one printer has to print all of them', (t) => {
  const folder = join(import.meta.dirname, '../fixtures/tracefs');
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.zst'))) {
    const files = openFolderFiles(unpackFolder(join(folder, name)));
    const copy = openTracefsCopy(files);
    assert.ok(typeof copy !== 'string', String(copy));
    const source = packTraceDat(copy, files);
    const bytes = source.read(0, source.sizeBytes).slice();
    t.diagnostic(`${name}: ${compareSizes(bytes, {}, name, [1, 30_000])} windows`);
    // Without functions, and with the stacks of every other event.
    const filter: ReportFilter = { ...ALL, events: (_system, event) => !event.startsWith('func') && event.length % 2 === 0 };
    t.diagnostic(`${name} filtered: ${compareSizes(bytes, { filter }, name, [1, 30_000])} windows`);
  }
});

/** The pages of the fixture again and again, each time so many ns later; threads have no names but those that lines tell. */
function repeatFixture(copies: number, stepNs: bigint): Uint8Array {
  const { set, segment } = readRingFixture();
  const { pageSizeBytes, chunks } = segment.header;
  let at = 0;
  const cpus = chunks.map(({ cpu, pages }) => {
    const own = segment.pages.subarray(at, (at += pages * pageSizeBytes));
    return { cpu, pages: repeatPages(own, pageSizeBytes, copies, stepNs) };
  });
  return writeTraceDat({
    formats: set,
    compression: 'zstd',
    comms: '1 init\n',
    buffers: [{ instance: '', clock: 'local', pageSizeBytes, cpus }],
  });
}

/** Puts other bytes into this share of the records, and other events on them; how they follow each other stays. */
function spoilRecords(pages: Uint8Array, layout: PageLayout, ids: readonly number[], random: () => number, share = 1): void {
  let left = pages;
  const take = (): Uint8Array => {
    const taken = left;
    left = left.subarray(left.length);
    return taken;
  };
  const cursor = new PageCursor({ cpu: 0, take }, layout.pageSizeBytes, layout, true, createCounts());
  while (cursor.next()) {
    const { start, end, view } = cursor.record;
    if (random() >= share) continue;
    if (random() < 0.4) view.setUint16(start, ids[Math.floor(random() * ids.length)] as number, true);
    while (random() < 0.5) pages.set(randomBytes(random, 1), start + 2 + Math.floor(random() * (end - start - 2)));
    // Few values are small by chance.
    if (random() < 0.3 && end - start >= 12) view.setUint32(start + 8, Math.floor(random() * 64), true);
  }
}

test('report windows: in WebAssembly, records with any bytes are the lines that JavaScript makes of them', (t) => {
  const random = createRandom(Number(process.env['MKSCOPE_SEED'] ?? 8));
  const { set, segment } = readRingFixture();
  const layout = parseHeaderPage(set.headerPage) as PageLayout;
  // Calls of functions are left to JavaScript, and all that follows them.
  const ids = set.events.filter(({ system }) => system !== 'ftrace').map(readFormatId);
  const file = traceDat.open(toTestSource(repeatFixture(1, LATER_NS)));
  const both = new BothPrinter(file, PLAIN, [{ prefix: '', pageSizeBytes: layout.pageSizeBytes, cpu: 0 }]);
  const runs = Number(process.env['MKSCOPE_RUNS'] ?? 30);
  let rawNative = 0;
  let rawLeft = 0;
  const { pageSizeBytes } = layout;
  for (let run = 0; run < runs; run++) {
    const pages = segment.pages.slice();
    spoilRecords(pages, layout, ids, random);
    const lanes = [{ bytes: pages.length, nextPage: 0, hasEnd: false }];
    both.print({ pages, lanes, since: undefined, until: undefined }, []);
    // From a text that cannot be printed on, fields depend on what was before.
    const rarely = segment.pages.slice();
    spoilRecords(rarely, layout, ids, random, 0.04);
    const raw = new BothPrinter(file, { ...PLAIN, raw: true }, [{ prefix: '', pageSizeBytes: layout.pageSizeBytes, cpu: 0 }]);
    let page = 0;
    for (; raw.native === page && (page + 1) * pageSizeBytes <= rarely.length; page++) {
      const some = rarely.subarray(page * pageSizeBytes, (page + 1) * pageSizeBytes);
      raw.print({ pages: some, lanes: [{ bytes: some.length, nextPage: 0, hasEnd: false }], since: undefined, until: undefined }, []);
    }
    rawNative += raw.native;
    rawLeft += page - raw.native;
  }
  t.diagnostic(`${both.native} of ${runs}, pages with -R ${rawNative}, left to JavaScript ${rawLeft}`);
  assert.equal(both.native, runs);
  assert.ok(rawNative > runs && rawLeft > 0);
});

test('report windows: in WebAssembly, calls of function_graph with any bytes are the lines that JavaScript makes of them', (t) => {
  const random = createRandom(Number(process.env['MKSCOPE_SEED'] ?? 10));
  const bytes = readBytes(join(FIXTURES, 'v7-6.12-graph.dat'));
  const file = traceDat.open(toTestSource(bytes));
  const layout = parseHeaderPage(file.formats.headerPage) as PageLayout;
  const lanes = openLanes(file, undefined).map(({ prefix, pageSizeBytes, pages }) => ({ prefix, pageSizeBytes, cpu: pages.cpu, pages }));
  const cpus = lanes.map(({ pages }) => Buffer.concat([...takeAll(pages)]));
  const ids = file.formats.events.filter(({ format }) => /^name: (funcgraph_e|sched_switch)/.test(format)).map(readFormatId);
  const runs = Number(process.env['MKSCOPE_RUNS'] ?? 20);
  let native = 0;
  let windows = 0;
  for (let run = 0; run < runs; run++) {
    const options: ReportOptions = {
      ...PLAIN,
      latency: run % 3 === 1,
      filter: run % 4 === 3 ? { ...ALL, pids: new Set([0, 1]) } : undefined,
    };
    const both = new BothPrinter(file, options, lanes);
    const spoiled = cpus.map((pages) => Buffer.from(pages));
    for (const pages of spoiled) spoilRecords(pages, layout, ids, random, run % 2 === 0 ? 0.02 : 0.5);
    for (let page = 0; page * layout.pageSizeBytes < (spoiled[0]?.length ?? 0); page++) {
      // What is not native is printed by both, too, and takes the state with it.
      const some = spoiled.map((pages) => pages.subarray(page * layout.pageSizeBytes, (page + 1) * layout.pageSizeBytes));
      const window = some.map(({ length }) => ({ bytes: length, nextPage: 0, hasEnd: false }));
      both.print({ pages: Buffer.concat(some), lanes: window, since: undefined, until: undefined }, []);
      windows++;
    }
    native += both.native;
  }
  t.diagnostic(`${native} of ${windows} windows`);
  assert.ok(native > windows / 2 && native < windows);
});

test('report windows: calls that end before their thread is told, up to the last byte of a page, are lines of thread 0', () => {
  const file = traceDat.open(toTestSource(readBytes(join(FIXTURES, 'v7-6.12-graph.dat'))));
  const { pageSizeBytes, dataOffset, commitOffset } = parseHeaderPage(file.formats.headerPage) as PageLayout;
  const records = (pageSizeBytes - dataOffset) / 8;
  const entry = readFormatId(file.formats.events.find(({ format }) => format.startsWith('name: funcgraph_entry')) as NamedFormat);
  const pages = new Uint8Array(pageSizeBytes);
  const view = new DataView(pages.buffer);
  view.setUint32(commitOffset, records * 8, true);
  for (let at = dataOffset; at < pageSizeBytes; at += 8) {
    // Four bytes, no time since the one before.
    view.setUint32(at, 1, true);
    view.setUint16(at + 4, entry, true);
  }
  const both = new BothPrinter(file, PLAIN, [{ prefix: '', pageSizeBytes, cpu: 0 }]);
  const window = { pages, lanes: [{ bytes: pageSizeBytes, nextPage: 0, hasEnd: false }], since: undefined, until: undefined };
  const lines = Buffer.from(both.print(window, []).out.view()).toString('latin1').split('\n').slice(0, -1);
  assert.equal(both.native, 1);
  assert.equal(lines.length, records);
  assert.match(lines.at(-1) ?? '', /-0 .* funcgraph_entry: +\| +0\(\) \{$/);
});

function* takeAll(pages: PageSequence): Generator<Uint8Array> {
  for (let run = pages.take(1 << 20); run.length > 0; run = pages.take(1 << 20)) yield run.slice();
}

const CONVERSIONS =
  '%d %u %x %X %o %5d %-6u| %08x %#x %#12x %-#9x| %03d %+d %.4d %ld %lu %lx %08lx %-20lx| %020llu %lld %hd %hhu %hx %p %ps %pS'.split(' ');
const OPERATORS = ['+', '-', '*', '/', '%', '<<', '>>', '&', '|', '^', '==', '!=', '<', '>', '<=', '>=', '&&', '||'];

/** The format with a print format of its own: numbers by all conversions, of fields and what can be computed from them, and strings. */
function withOtherPrint(named: NamedFormat, random: () => number): NamedFormat {
  const format = parseEventFormat(named.format, named.system);
  assert.ok(typeof format !== 'string');
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
  const numbers = format.fields.filter(({ shape, sizeBytes }) => shape === 'scalar' && [1, 2, 4, 8].includes(sizeBytes));
  const toNumber = (depth: number): string => {
    const kind = random();
    if (kind < 0.5 && numbers.length > 0) return `REC->${pick(numbers).name}`;
    if (depth > 3 || kind < 0.6) return pick(['0', '1', '7', '63', '4096', '0xffffffff', '0x8000000000000000', '-1']);
    if (kind < 0.7) return `(${pick(['u8', 's16', 'unsigned int', 'unsigned long', 'u64'])})(${toNumber(depth + 1)})`;
    if (kind < 0.75) return `${pick(['-', '~', '!'])}(${toNumber(depth + 1)})`;
    if (kind < 0.8) return `(${toNumber(depth + 1)}) ? (${toNumber(depth + 1)}) : (${toNumber(depth + 1)})`;
    return `(${toNumber(depth + 1)}) ${pick(OPERATORS)} (${toNumber(depth + 1)})`;
  };
  const strings = format.fields.filter(({ shape, element }) => shape !== 'scalar' && element === 'char');
  const parts = Array.from({ length: 6 }, () => {
    const field = random() < 0.3 ? pick(strings) : undefined;
    if (field === undefined) return [pick(CONVERSIONS), toNumber(0)];
    return [pick(['%s', '%-18s|', '%.3s']), field.shape === 'fixed' ? `REC->${field.name}` : `__get_str(${field.name})`];
  });
  const template = parts.map(([conversion]) => conversion).join(' and a text that is long ');
  const print = `"${template}", ${parts.map(([, argument]) => argument).join(', ')}`;
  return { system: named.system, format: named.format.replace(/\nprint fmt: .*/s, `\nprint fmt: ${print}\n`) };
}

test('report windows: in WebAssembly, any print format is the line that JavaScript makes of it', (t) => {
  const random = createRandom(Number(process.env['MKSCOPE_SEED'] ?? 9));
  const { set, segment } = readRingFixture();
  const layout = parseHeaderPage(set.headerPage) as PageLayout;
  const { info, formats } = traceDat.open(toTestSource(repeatFixture(1, LATER_NS)));
  const wanted = formats.events.filter(({ system }) => system !== 'ftrace');
  const runs = Number(process.env['MKSCOPE_RUNS'] ?? 6);
  let native = 0;
  for (let run = 0; run < runs; run++) {
    const events = formats.events.map((event) => (event.system === 'ftrace' ? event : withOtherPrint(event, random)));
    const both = new BothPrinter({ info, formats: { ...formats, events } }, PLAIN, [{ prefix: '', pageSizeBytes: 4096, cpu: 0 }]);
    const pages = segment.pages.slice();
    spoilRecords(pages, layout, wanted.map(readFormatId), random);
    const lanes = [{ bytes: pages.length, nextPage: 0, hasEnd: false }];
    both.print({ pages, lanes, since: undefined, until: undefined }, []);
    native += both.native;
  }
  t.diagnostic(`${native} of ${runs}`);
  assert.ok(native > runs / 2);
});

/** More than the fixture lasts. */
const LATER_NS = 3_600_000_000_000n;

test('report windows: names told by lines of windows before are in those behind, also where nobody knew them yet', (t) => {
  const bytes = repeatFixture(6, LATER_NS);
  assert.match(writeAll(bytes, PLAIN), /^ +<\.\.\.>-\d+ /m);
  const windows = compareSizes(bytes, {}, 'repeated', [1, 5000, 50_000, 1 << 20]);
  t.diagnostic(`${windows} windows`);
  assert.doesNotMatch(windows, /\+/);
  compareSizes(bytes, { latency: true }, 'repeated', [1, 50_000]);
});

test('report windows: times that run backwards, or not at all, are printed as they come', (t) => {
  for (const [what, stepNs] of [
    ['backwards', -1_000_000n],
    ['again', 0n],
    ['overlapping', 1_000_000n],
  ] as const)
    t.diagnostic(`${what}: ${compareSizes(repeatFixture(8, stepNs), {}, what, [1, 5000, 40_000, 1 << 20])} windows`);
});

test('report windows: behind damage the rest is printed in one go', () => {
  const random = createRandom(5);
  const bytes = repeatFixture(3, LATER_NS);
  for (let run = 0; run < 25; run++) {
    const damaged = bytes.slice();
    const from = Math.floor(random() * damaged.length);
    damaged.set(randomBytes(random, Math.min(damaged.length - from, 1 + Math.floor(random() * 64))), from);
    compareSizes(damaged.subarray(0, Math.floor(damaged.length * (0.3 + random()))), {}, `run ${run}`, [1, 20_000]);
  }
});

test('report threads: what they print is the text in one go', async () => {
  const bytes = repeatFixture(40, LATER_NS);
  const threads = new ReportThreads(2, 2);
  const parts: Buffer[] = [];
  // The memory of a text is filled again when it is written.
  const write = async (text: Uint8Array): Promise<void> => {
    parts.push(Buffer.from(text));
  };
  try {
    const { rest, records } = await threads.print(traceDat.open(toTestSource(bytes)), { options: PLAIN, filter: undefined }, write);
    assert.equal(rest, undefined);
    assert.ok(records > 0);
  } finally {
    await threads.close();
  }
  assertSame({ text: Buffer.concat(parts).toString('latin1'), windows: 0, native: 0, isCutToEnd: true }, writeAll(bytes, PLAIN), 'threads');
});
