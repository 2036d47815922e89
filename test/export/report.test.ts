import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { RawOption } from '../../model/event-file.ts';
import { toConversion } from '../../cli/report-times.ts';
import type { FormatSet } from '../../model/segment.ts';
import { Reporter } from '../../export/report.ts';
import type { ReportFilter, ReportOptions } from '../../export/report-options.ts';
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
  // Of raw data and short stacks trace-cmd prints with -R what lies behind the record as well; an array of texts it cannot read.
  const withoutRawData = (text: string): string => text.replace(/^.* (?:raw_data: |kernel_stack: +size=[1-7] |k_sarr: ).*\n/gm, '');
  // Of texts that a probe could not read, too, and line ends among it.
  const withFaults = new Set(['6.1-eprobes.zst', '6.12-eprobes.zst']);
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.zst'))) {
    const unpacked = new Map(unpackFolder(join(folder, name)));
    // A name with a line end, or none, ends trace-cmd's list.
    const names = Buffer.from(unpacked.get('saved_cmdlines') ?? []).toString('latin1');
    unpacked.set('saved_cmdlines', Buffer.from((names.match(/^\d+ [^\n]+\n/gm) ?? []).join(''), 'latin1'));
    const files = openFolderFiles(unpacked);
    const copy = openTracefsCopy(files);
    assert.ok(typeof copy !== 'string', String(copy));
    const source = packTraceDat(copy, files);
    const bytes = source.read(0, source.sizeBytes).slice();
    for (const variant of VARIANTS.slice(0, 3).filter(([{ raw }]) => raw !== true || !withFaults.has(name))) {
      // Behind the first conversion that it does not know, trace-cmd prints every text of trace_printk as fields.
      const cut = (all: string): string => (variant[0].raw === true ? all : all.replace(/^.* bprint: .*\n(?:lines \d\n)?/gm, ''));
      t.diagnostic(`${name}: ${compare(bytes, name, [variant], (all) => withoutRawData(cut(all)))} lines equal`);
    }
  }
});

test('report: what another CPU did behind a call decides whether it is a leaf, also where that CPU is not printed', (t) => {
  const files = openFolderFiles(unpackFolder(join(import.meta.dirname, '../fixtures/tracefs/6.1-graph.zst')));
  const copy = openTracefsCopy(files);
  assert.ok(typeof copy !== 'string', String(copy));
  const source = packTraceDat(copy, files);
  const bytes = source.read(0, source.sizeBytes).slice();
  const filterOf = (cpu: number): ReportFilter => ({
    cpus: new Set([cpu]),
    pids: undefined,
    events: undefined,
    since: undefined,
    until: undefined,
  });
  const all = report(bytes).split('\n');
  for (const cpu of [0, 1]) {
    const lines = report(bytes, { filter: filterOf(cpu) }).split('\n');
    const ofCpu = new Set(all.filter((line) => line.includes(` [00${cpu}] `)).map((line) => line.slice(line.indexOf('['))));
    assert.ok(lines.length > 100);
    for (const line of lines.filter((one) => one.includes('funcgraph_'))) assert.ok(ofCpu.has(line.slice(line.indexOf('['))), line);
    if (hasTraceCmd())
      t.diagnostic(`CPU ${cpu}: ${compare(bytes, 'graph', [[{ filter: filterOf(cpu) }, ['--cpu', String(cpu)]]])} lines equal`);
  }
});

test('report: in an instance a call is a leaf whatever other buffers have in between', (t) => {
  const files = unpackFolder(join(import.meta.dirname, '../fixtures/tracefs/6.1-graph.zst'));
  const copy = openTracefsCopy(openFolderFiles(files));
  assert.ok(typeof copy !== 'string', String(copy));
  const cpus = [0, 1].map((cpu) => ({ cpu, pages: files.get(`per_cpu/cpu${cpu}/trace_pipe_raw`) as Uint8Array }));
  const pages = { clock: 'local', pageSizeBytes: copy.pageSizeBytes, cpus };
  const kallsyms = copy.readText('kallsyms') ?? '';
  const bytes = writeTraceDat({
    formats: copy.formats,
    compression: 'zstd',
    kallsyms,
    buffers: [
      { instance: '', ...pages },
      { instance: 'graph', ...pages },
    ],
  });
  const lines = report(bytes).split('\n');
  const [own, others] = [true, false].map((isOwn) =>
    lines.filter((line) => line.includes(' us |  ') && line.startsWith('graph:') === isOwn),
  );
  assert.ok(own !== undefined && others !== undefined && own.some((line) => line.includes('();')));
  assert.deepEqual(
    own.map((line) => line.slice(line.indexOf('['))),
    others.map((line) => line.slice(line.indexOf('['))),
  );
  if (hasTraceCmd()) t.diagnostic(`${compare(bytes, 'instance', VARIANTS.slice(0, 1))} lines equal`);
});

test('report: texts of trace_printk, also those that trace-cmd cannot print', () => {
  const files = openFolderFiles(unpackFolder(join(import.meta.dirname, '../fixtures/tracefs/6.12-printk.zst')));
  const copy = openTracefsCopy(files);
  assert.ok(typeof copy !== 'string', String(copy));
  const source = packTraceDat(copy, files);
  const texts = [...report(source.read(0, source.sizeBytes).slice()).matchAll(/ bprint: +inner: (.*)/g)].map(([, text]) => text);
  const wanted = [
    'plain words, 1 of 20',
    'no line end 1',
    's=stack text 1 w=static word 10s=stack text 1 -10s=static word .3s=sta|',
    'ld=-6 lld=-6 lu=7 llx=deadbeefcafe hhd=-1 hd=-300 x %',
    '00000001|0x1|01|+1| 1|    1|1    |00001|      1|1      |',
    // As trace-cmd, a letter that it does not know behind %p is text.
    'pS=inner+0x0 ps=kernel_read pB=set+0x19/0x20 [ptest]B pSR=kernel_write+0x5',
    'p=0xffffffffc0245010 px=0xffffffffc0245010x',
    'mac=02:00:5e:10:ab:01 ip=10.77.0.1 v6=2001:db8::7 u=12345678-9abc-def0-0102-030405060708',
    'hex=02 00 5e 10 ab 01 bits=0005,00000000,0000f00fb list=0-3,12-15,64,66bl',
    'two',
    'zu=40 td=-9',
  ];
  assert.deepEqual(texts.slice(0, wanted.length), wanted);
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

test('report: names of tasks are bytes, padded as such, also where one is cut within a character', (t) => {
  if (!hasTraceCmd()) return t.skip('no trace-cmd');
  const { set, segment } = readRingFixture();
  const { pageSizeBytes, chunks } = segment.header;
  let at = 0;
  const cpus = chunks.map(({ cpu, pages }) => ({ cpu, pages: segment.pages.subarray(at, (at += pages * pageSizeBytes)) }));
  const buffers = [{ instance: '', clock: 'local', pageSizeBytes, cpus }];
  const pids = new Set(
    report(writeTraceDat({ formats: set, buffers }))
      .split('\n')
      .flatMap((line) => /-(\d+) +\[\d{3}\]/.exec(line)?.[1] ?? []),
  );
  const names = ['\u00e9t\u00e9', '\u65e5\u672c\u8a9e\u65e5\u672c', 'a b-1', '%s%n'];
  const comms = [...pids].map((pid, i) => `${pid} ${names[i % names.length]}\n`).join('');
  compare(writeTraceDat({ formats: set, comms, buffers }), 'names', VARIANTS.slice(0, 3));
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
  // As trace-cmd has it: neither task nor time.
  assert.match(none, /^\[UNKNOWN EVENT\]\[UNKNOWN EVENT\] \(NULL\): {15}\[UNKNOWN EVENT\]$/m);
});
