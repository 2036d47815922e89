import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { RawOption } from '../../model/event-file.ts';
import { toConversion } from '../../cli/report-times.ts';
import type { FormatSet } from '../../model/segment.ts';
import { Reporter } from '../../export/report.ts';
import type { ReportOptions } from '../../export/report-lines.ts';
import { TextOut } from '../../export/text-out.ts';
import { packTraceDat } from '../../export/trace-dat-pack.ts';
import { traceDat } from '../../parsers/trace-dat.ts';
import { openTracefsCopy } from '../../parsers/tracefs-copy.ts';
import { toTestSource } from '../support/event-file-suite.ts';
import { openFolderFiles, unpackFolder } from '../support/folder-file.ts';
import { assertGolden } from '../support/golden.ts';
import { createRandom, randomBytes } from '../support/random.ts';
import { readRingFixture } from '../support/ring-fixture.ts';
import { hasTraceCmd, readBytes, recordTrace, runTraceCmd, withFolder } from '../support/trace-cmd.ts';
import { textOption, tscToNsOption, writeTraceDat } from '../support/trace-dat-writer.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures/trace_dat');
const NAMES = readdirSync(FIXTURES).filter((name) => name.endsWith('.dat'));
const PLAIN: ReportOptions = {
  latency: false,
  raw: false,
  nanoseconds: false,
  timeDifference: false,
  filter: undefined,
  convert: undefined,
};

/** Options of ours, and the same for trace-cmd. */
const VARIANTS: readonly (readonly [Partial<ReportOptions>, readonly string[]])[] = [
  [{}, []],
  [{ raw: true }, ['-R']],
  [{ latency: true }, ['-l']],
  [{ nanoseconds: true }, ['-t']],
  [{ timeDifference: true }, ['--ts-diff']],
  [{ latency: true, raw: true, nanoseconds: true }, ['-l', '-R', '-t']],
];

function report(bytes: Uint8Array, options: Partial<ReportOptions> = {}, budgetBytes = 1 << 16): string {
  const file = traceDat.open(toTestSource(bytes));
  const reporter = new Reporter(file, { ...PLAIN, convert: toConversion(file.info), ...options });
  const out = new TextOut(16);
  while (reporter.write(out, budgetBytes));
  return Buffer.from(out.view()).toString('latin1');
}

/** Asserts that trace-cmd prints the same text, and returns how many lines that is. */
function compare(bytes: Uint8Array, where: string, variants = VARIANTS, cut = (text: string): string => text): number {
  return withFolder((folder) => {
    const path = join(folder, 'trace.dat');
    writeFileSync(path, bytes);
    let lines = 0;
    for (const [options, args] of variants) {
      const theirs = runTraceCmd(['report', ...args, '-i', path]);
      assert.ok(theirs !== undefined, `${where}: trace-cmd cannot read it`);
      assertSameLines(cut(report(bytes, options)), cut(theirs), `${where} ${args.join(' ')}`);
      lines += theirs.split('\n').length;
    }
    return lines;
  });
}

function assertSameLines(ours: string, theirs: string, where: string): void {
  if (ours === theirs) return;
  const [left, right] = [ours.split('\n'), theirs.split('\n')];
  const at = left.findIndex((line, i) => line !== right[i]);
  assert.equal(left[at], right[at], `${where}: line ${at + 1}`);
  assert.equal(left.length, right.length, where);
}

test('report: the fixtures as their golden, whatever the pieces', () => {
  for (const name of NAMES) {
    const bytes = readBytes(join(FIXTURES, name));
    const text = report(bytes);
    assertGolden(`report/${name}`, text.trimEnd().split('\n').slice(0, 120));
    assert.equal(report(bytes, {}, 1), text, name);
  }
});

test('report: trace-cmd prints the same of the fixtures, in each variant', (t) => {
  if (!hasTraceCmd()) return t.skip('no trace-cmd');
  for (const name of NAMES) t.diagnostic(`${name}: ${compare(readBytes(join(FIXTURES, name)), name)} lines equal`);
});

/** Records on this kernel and compares. */
function compareLive(t: TestContext, clock: string, events: readonly string[], bufferKb: number): void {
  withFolder((folder) => {
    const path = recordTrace(`report-${clock}`, join(folder, 'trace.dat'), { clock, events, bufferKb, rounds: 1 });
    if (path === undefined) return t.skip('no tracefs instance to extract: needs root and a kernel with tracing');
    const where = `${clock} ${events.join('+')}`;
    t.diagnostic(`${where}: ${compare(readBytes(path), where, VARIANTS.slice(0, 3))} lines equal`);
  });
}

test('report: trace-cmd prints the same of what this kernel records now', (t) => {
  if (!hasTraceCmd()) return t.skip('no trace-cmd');
  compareLive(t, 'local', ['sched', 'irq', 'timer', 'workqueue', 'rcu'], 128);
  compareLive(t, 'mono', ['syscalls', 'raw_syscalls', 'kmem'], 128);
  compareLive(t, 'tai', ['ext4', 'block', 'writeback', 'net', 'sock', 'skb', 'signal', 'task', 'filelock'], 128);
});

test('report: trace-cmd prints the same of what the kernels of the lab recorded: function, function_graph, probes, osnoise', (t) => {
  if (!hasTraceCmd()) return t.skip('no trace-cmd');
  const folder = join(import.meta.dirname, '../fixtures/tracefs');
  // Of raw data trace-cmd prints with -R what lies behind the record as well.
  const withoutRawData = (text: string): string => text.replace(/^.* raw_data: .*\n/gm, '');
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.zst'))) {
    const files = openFolderFiles(unpackFolder(join(folder, name)));
    const copy = openTracefsCopy(files);
    assert.ok(typeof copy !== 'string', String(copy));
    const source = packTraceDat(copy, files);
    const bytes = source.read(0, source.sizeBytes).slice();
    t.diagnostic(`${name}: ${compare(bytes, name, VARIANTS.slice(0, 3), withoutRawData)} lines equal`);
  }
});

function ringDat(options: readonly RawOption[], clock = 'local', instance = ''): Uint8Array<ArrayBuffer> {
  const { set, segment } = readRingFixture();
  const { pageSizeBytes, chunks } = segment.header;
  let at = 0;
  const cpus = chunks.map(({ cpu, pages }) => ({ cpu, pages: segment.pages.subarray(at, (at += pages * pageSizeBytes)) }));
  return writeTraceDat({
    formats: set,
    compression: 'zstd',
    comms: '1 init\n77 a b\n',
    kallsyms: 'ffffffff81000000 T _text\nffffffff81000000 t alias\nffffffff82000000 T _etext\n',
    options,
    buffers: [{ instance, clock, pageSizeBytes, cpus }],
  });
}

test('report: clocks that count no ns show the bare number, as trace-cmd has it', (t) => {
  if (!hasTraceCmd()) return t.skip('no trace-cmd');
  for (const clock of ['local', 'global', 'uptime', 'perf', 'mono', 'mono_raw', 'tai', 'boot', 'counter', 'x86-tsc']) {
    const bytes = ringDat([textOption(4, `x [${clock}] y`)], clock);
    compare(bytes, clock, [VARIANTS[0], VARIANTS[4]] as typeof VARIANTS);
  }
});

test('report: filters by event, CPU, thread and time leave what they should', () => {
  const bytes = ringDat([]);
  const all = report(bytes).split('\n');
  const only = (filter: Partial<NonNullable<ReportOptions['filter']>>): string[] =>
    report(bytes, { filter: { cpus: undefined, pids: undefined, events: undefined, since: undefined, until: undefined, ...filter } }).split(
      '\n',
    );
  const isLine = (line: string): boolean => line.includes('] ');
  // Names are learnt from what is printed: fewer CPUs, fewer names.
  const nameless = (line: string): string => line.slice(17);
  assert.deepEqual(
    only({ cpus: new Set([0]) })
      .filter(isLine)
      .map(nameless),
    all.filter((line) => line.includes(' [000] ')).map(nameless),
  );
  const switches = only({ events: (_system, event) => event === 'sched_switch' }).filter(isLine);
  assert.ok(switches.length > 0);
  assert.ok(switches.every((line) => line.includes(' sched_switch: ')));
  const pid = /-(\d+) +\[/.exec(all[5] ?? '')?.[1] ?? '';
  assert.deepEqual(
    only({ pids: new Set([Number(pid)]) }).filter(isLine),
    all.filter((line) => new RegExp(`-${pid} +\\[`).test(line)),
  );
  const times = all.flatMap((line) => /\] +(\d+)\.(\d{6}):/.exec(line)?.slice(1, 3).join('') ?? []);
  const middle = BigInt(times[Math.floor(times.length / 2)] as string) * 1000n;
  const before = only({ until: middle - 1n }).filter(isLine);
  const after = only({ since: middle }).filter(isLine);
  assert.equal(before.length + after.length, times.length);
  assert.ok(before.length > 0 && after.length > 0);
});

test('report: a ticking counter with its conversion becomes seconds', (t) => {
  if (!hasTraceCmd()) return t.skip('no trace-cmd');
  const bytes = ringDat([textOption(4, '[x86-tsc]'), tscToNsOption(1, 0, 0n)], 'x86-tsc');
  compare(bytes, 'tsc2nsec', VARIANTS.slice(0, 1));
});

test('report: damaged recordings never throw', () => {
  const random = createRandom(11);
  const bytes = ringDat([]);
  for (let run = 0; run < 150; run++) {
    const damaged = bytes.slice();
    const from = Math.floor(random() * damaged.length);
    damaged.set(randomBytes(random, Math.min(damaged.length - from, 1 + Math.floor(random() * 64))), from);
    report(damaged.subarray(0, Math.floor(damaged.length * (0.3 + random()))), { raw: run % 2 === 0 });
  }
});

test('report: an event without a format that can be read is shown by its fields, or as unknown', () => {
  const { set } = readRingFixture();
  const broken: FormatSet = {
    ...set,
    events: set.events.map(({ system, format }) => ({
      system,
      format: format.replace(/\nprint fmt: .*/s, '\nprint fmt: "%d", unknown(REC->x)'),
    })),
  };
  const { segment } = readRingFixture();
  const { pageSizeBytes, chunks } = segment.header;
  let at = 0;
  const cpus = chunks.map(({ cpu, pages }) => ({ cpu, pages: segment.pages.subarray(at, (at += pages * pageSizeBytes)) }));
  const text = report(writeTraceDat({ formats: broken, buffers: [{ instance: '', clock: 'local', pageSizeBytes, cpus }] }));
  assert.match(text, /irq_handler_entry: +\[FAILED TO PARSE\] irq=\d+ name=|\[FAILED TO PARSE\] /);
  const none = report(writeTraceDat({ formats: { ...set, events: [] }, buffers: [{ instance: '', clock: 'local', pageSizeBytes, cpus }] }));
  assert.match(none, /\[UNKNOWN EVENT\]/);
});
