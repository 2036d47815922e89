import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ReportThreads } from '../../cli/report-threads.ts';
import { toConversion } from '../../cli/report-times.ts';
import { headerOf, openLanes, Reporter, type ReportStart } from '../../export/report.ts';
import type { ReportOptions } from '../../export/report-lines.ts';
import { TaskNames, type TaskName } from '../../export/report-tasks.ts';
import { isCuttable, WindowCutter, WindowPrinter } from '../../export/report-windows.ts';
import { TextOut } from '../../export/text-out.ts';
import { packTraceDat } from '../../export/trace-dat-pack.ts';
import { traceDat } from '../../parsers/trace-dat.ts';
import { openTracefsCopy } from '../../parsers/tracefs-copy.ts';
import { toTestSource } from '../support/event-file-suite.ts';
import { openFolderFiles, unpackFolder } from '../support/folder-file.ts';
import { createRandom, randomBytes } from '../support/random.ts';
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
  readonly isCutToEnd: boolean;
}

/** By some printers in turn, none of which sees what the others tell before all the windows of a round are printed. */
function writeWindows(bytes: Uint8Array, options: ReportOptions, windowBytes: number, printers = 3): Windowed {
  const file = traceDat.open(toTestSource(bytes));
  const lanes = openLanes(file, undefined);
  const cutter = new WindowCutter(file, lanes, options.convert, windowBytes);
  const printed = lanes.map(({ prefix, pageSizeBytes, pages }) => ({ prefix, pageSizeBytes, cpu: pages.cpu }));
  const pool = Array.from({ length: printers }, () => new WindowPrinter(file, options, printed));
  const names = new TaskNames(file.info.comms, options.latency);
  const known: TaskName[] = [];
  let text = headerOf(file);
  let windows = 0;
  const goOn = (start: ReportStart): Windowed => {
    return { text: (start.since === undefined ? '' : text) + writeAll(bytes, options, start), windows, isCutToEnd: false };
  };
  for (;;) {
    const round = pool.flatMap((printer) => {
      const window = cutter.next();
      if (window === undefined) return [];
      const out = new TextOut(16);
      return [{ out, window, ...printer.print(window, known, out) }];
    });
    for (const { out, window, isWhole, notes, told } of round) {
      if (!isWhole) return goOn({ since: window.since, names: known });
      for (const piece of names.rename(out.view(), notes, told)) text += Buffer.from(piece).toString('latin1');
      known.push(...told);
      windows++;
    }
    if (cutter.isStuck) return goOn({ since: cutter.since, names: known });
    if (round.length === 0) return { text, windows, isCutToEnd: true };
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
  assert.ok(isCuttable(options));
  const whole = writeAll(bytes, options);
  const seen = sizes.map((windowBytes) => {
    const windowed = writeWindows(bytes, options, windowBytes);
    assertSame(windowed, whole, `${where} ${JSON.stringify(variant)} ${windowBytes}`);
    return `${windowed.windows}${windowed.isCutToEnd ? '' : '+'}`;
  });
  return seen.join(', ');
}

test('report windows: joined, they are the text that is printed in one go, whatever their size', (t) => {
  for (const name of readdirSync(FIXTURES).filter((file) => file.endsWith('.dat'))) {
    const bytes = readBytes(join(FIXTURES, name));
    for (const variant of [{}, { latency: true }, { raw: true, nanoseconds: true }]) {
      const windows = compareSizes(bytes, variant, name, [1, 20_000, 1 << 20]);
      t.diagnostic(`${name} ${Object.keys(variant).join()}: ${windows} windows`);
    }
  }
});

test('report windows: where lines look back, as those of functions do, the rest is printed in one go', (t) => {
  const folder = join(import.meta.dirname, '../fixtures/tracefs');
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.zst'))) {
    const files = openFolderFiles(unpackFolder(join(folder, name)));
    const copy = openTracefsCopy(files);
    assert.ok(typeof copy !== 'string', String(copy));
    const source = packTraceDat(copy, files);
    const bytes = source.read(0, source.sizeBytes).slice();
    t.diagnostic(`${name}: ${compareSizes(bytes, {}, name, [1, 30_000])} windows`);
  }
});

/** The pages of the fixture again and again, each time so many ns later; threads have no names but those that lines tell. */
function repeatFixture(copies: number, stepNs: bigint): Uint8Array {
  const { set, segment } = readRingFixture();
  const { pageSizeBytes, chunks } = segment.header;
  let at = 0;
  const cpus = chunks.map(({ cpu, pages }) => {
    const own = segment.pages.subarray(at, (at += pages * pageSizeBytes));
    const many = new Uint8Array(own.length * copies);
    const view = new DataView(many.buffer);
    for (let i = 0; i < copies; i++) {
      many.set(own, i * own.length);
      for (let page = i * own.length; page < (i + 1) * own.length; page += pageSizeBytes)
        view.setBigUint64(page, view.getBigUint64(page, true) + BigInt(i) * stepNs, true);
    }
    return { cpu, pages: many };
  });
  return writeTraceDat({
    formats: set,
    compression: 'zstd',
    comms: '1 init\n',
    buffers: [{ instance: '', clock: 'local', pageSizeBytes, cpus }],
  });
}

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
  const threads = new ReportThreads(2);
  const parts: Buffer[] = [];
  // The memory of a text is filled again when it is written.
  const write = async (text: Uint8Array): Promise<void> => {
    parts.push(Buffer.from(text));
  };
  try {
    const { rest, records } = await threads.print(traceDat.open(toTestSource(bytes)), PLAIN, write);
    assert.equal(rest, undefined);
    assert.ok(records > 0);
  } finally {
    await threads.close();
  }
  assertSame({ text: Buffer.concat(parts).toString('latin1'), windows: 0, isCutToEnd: true }, writeAll(bytes, PLAIN), 'threads');
});
