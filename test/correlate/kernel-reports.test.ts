import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { encodeUtf8 } from '../../base/bytes.ts';
import { mergeStreams, type StreamRow } from '../../correlate/merge-streams.ts';
import { parseReport } from '../../correlate/parse-report.ts';
import { ReportRecogniser } from '../../correlate/recognise-reports.ts';
import { REPORT_RULES } from '../../correlate/report-kinds.ts';
import { matchRule, mayBeginReport } from '../../correlate/report-starts.ts';
import { readKernelReport, REPORT_KINDS } from '../../model/kernel-report.ts';
import { LOG_FLAG, LogBatch } from '../../model/log-batch.ts';
import { assertGolden } from '../support/golden.ts';
import { createRandom } from '../support/random.ts';
import { listReportFixtures, recognise, renderReport, toRows } from '../support/report-fixtures.ts';

const FIXTURES = listReportFixtures();
const FIXTURE_FOLDER = join(import.meta.dirname, '..', 'fixtures');
/** These end in a panic, and are no quiet logs. */
const NOT_QUIET: ReadonlySet<string> = new Set(['console/spawn.txt', 'dmesg/vmcore.txt']);

test('kernel reports: each rule takes its own samples, and the look at a few bytes lets them through', () => {
  for (const rule of REPORT_RULES) {
    assert.ok(rule.samples.length > 0, `${rule.kind} has no sample`);
    for (const sample of rule.samples) {
      assert.equal(matchRule(sample)?.rule, rule, sample);
      const bytes = encodeUtf8(`before ${sample}`);
      assert.ok(mayBeginReport(bytes, 7, bytes.length), `dismissed: ${sample}`);
    }
  }
  assert.deepEqual(new Set(REPORT_RULES.map(({ kind }) => kind)), new Set(REPORT_KINDS));
});

for (const { name, bytes } of FIXTURES) {
  test(`kernel reports: reads ${name} as its golden, in batches of any size`, () => {
    const batch = toRows(bytes);
    const whole = recognise(batch).flatMap(renderReport);
    assertGolden(`correlate/kernel-reports/${name.replace(/\.\w+$/, '').replace('/', '-')}`, whole);
    for (const size of [1, 7, 100]) {
      const recogniser = new ReportRecogniser();
      for (let from = 0; from < batch.length; from += size) recogniser.take(batch, from, Math.min(batch.length, from + size));
      recogniser.finish();
      assert.deepEqual(recogniser.takeReports().flatMap(renderReport), whole);
    }
  });
}

test('kernel reports: a frame whose headline is still to come is where a report may begin', () => {
  const batch = toRows(encodeUtf8('[    1.000001] usb 1-1: new device\n[    2.000001] ------------[ cut here ]------------\n'));
  const recogniser = new ReportRecogniser();
  recogniser.take(batch);
  assert.equal(recogniser.openSince?.sequence, batch.sequence[1]);
  recogniser.finish();
  assert.equal(recogniser.openSince, undefined);
});

test('kernel reports: a log that ends anywhere gives what it has, and says that it is cut', () => {
  for (const { bytes } of FIXTURES) {
    const batch = toRows(bytes);
    const total = recognise(batch).length;
    // Some 40 places of the long recordings, all of the short ones.
    const step = Math.max(1, Math.floor(batch.length / 40));
    for (let end = 0; end < batch.length; end += step) {
      const recogniser = new ReportRecogniser();
      recogniser.take(batch, 0, end);
      recogniser.finish();
      const found = recogniser.takeReports();
      for (const one of found) parseReport(one);
      assert.ok(found.length <= total + 1);
    }
  }
  const oops = toRows(
    encodeUtf8(
      '[    1.000000] BUG: kernel NULL pointer dereference, address: 0000000000000010\n[    1.000001] #PF: supervisor write access in kernel mode\n',
    ),
  );
  assert.deepEqual(parseReport(recognise(oops)[0] as never).incomplete, ['the log ends before it does']);
});

test('kernel reports: damaged text never throws', () => {
  const random = createRandom(4);
  for (const { bytes } of FIXTURES) {
    for (let round = 0; round < 20; round++) {
      const damaged = bytes.slice();
      for (let i = 0; i < 200; i++) damaged[Math.floor(random() * damaged.length)] = Math.floor(random() * 256);
      const cut = damaged.subarray(Math.floor(random() * damaged.length));
      const parsed = new LogBatch();
      for (const line of Buffer.from(cut).toString('latin1').split('\n')) parsed.addText(line.replace(/^\[ *[\d.]+\] /, ''), 255);
      for (const one of recognise(parsed)) parseReport(one);
    }
  }
});

/** Rows of a fixture's reports, as a kernel with CONFIG_PRINTK_CALLER prints them on one CPU or in one task. */
function linesOf(name: string): string[] {
  const fixture = FIXTURES.find((one) => one.name === name);
  assert.ok(fixture !== undefined, name);
  const batch = toRows(fixture.bytes);
  return Array.from({ length: batch.length }, (_, row) => batch.textOf(row));
}

function interleave(
  lanes: readonly { readonly lines: readonly string[]; readonly pid: number; readonly cpu: number }[],
  random: () => number,
): LogBatch {
  const batch = new LogBatch();
  const at = lanes.map(() => 0);
  for (let stamp = 1_000_000_000n; ; stamp += 1000n) {
    const left = lanes.flatMap(({ lines }, lane) => ((at[lane] as number) < lines.length ? [lane] : []));
    if (left.length === 0) return batch;
    const lane = left[Math.floor(random() * left.length)] as number;
    const { lines, pid, cpu } = lanes[lane] as (typeof lanes)[number];
    const row = batch.addText(lines[at[lane] as number] as string, 6);
    at[lane] = (at[lane] as number) + 1;
    batch.rawTime.setBigint(row, stamp);
    batch.unixTime.setBigint(row, stamp);
    batch.sequence[row] = row;
    batch.pid[row] = pid;
    batch.cpu[row] = cpu;
  }
}

test('kernel reports: any interleaving of two CPUs with callers gives both as if alone', () => {
  const names = [
    'written/arm64.console',
    'written/kasan.console',
    'written/lockdep.console',
    'written/x86-gp-kasan.console',
    'written/mce.console',
    'written/kcsan.console',
  ];
  const strip = (batch: LogBatch): string[] =>
    recognise(batch)
      .map((one) =>
        renderReport(one)
          .filter((line) => !line.startsWith('  rows '))
          .join('\n'),
      )
      .sort();
  for (let seed = 1; seed <= 60; seed++) {
    const random = createRandom(seed);
    const pick = (): string => names[Math.floor(random() * names.length)] as string;
    const first = { lines: linesOf(pick()), pid: 101, cpu: -1 };
    const second = { lines: linesOf(pick()), pid: -1, cpu: 0 };
    const alone = [first, second].flatMap((lane) => strip(interleave([lane], random))).sort();
    assert.deepEqual(strip(interleave([first, second], random)), alone, `seed ${seed}`);
  }
});

test('kernel reports: without callers, two reports that begin together are still two, each with its own task', () => {
  const soft = [
    'watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [spin:77]',
    'CPU: 1 PID: 77 Comm: spin Not tainted 6.1.0 #1',
    'RIP: 0010:spin+0x1/0x10',
    'RAX: 0000000000000001 RBX: 0000000000000002 RCX: 0000000000000003',
  ];
  const oops = [
    'BUG: kernel NULL pointer dereference, address: 0000000000000010',
    'Oops: 0002 [#1] SMP',
    'CPU: 0 PID: 55 Comm: sh Not tainted 6.1.0 #1',
    'RIP: 0010:bad+0x1/0x10',
    'RAX: 0000000000000009 RBX: 0000000000000008 RCX: 0000000000000007',
    '---[ end trace 0000000000000000 ]---',
  ];
  const batch = new LogBatch();
  for (const [index, line] of [soft[0], oops[0], oops[1], soft[1], oops[2], soft[2], oops[3], soft[3], oops[4], oops[5]].entries()) {
    const row = batch.addText(line as string, 4);
    batch.rawTime.setBigint(row, BigInt(index + 1) * 1000n);
    batch.sequence[row] = index;
  }
  const reports = recognise(batch).map(parseReport);
  assert.deepEqual(new Set(reports.map(({ kind, comm }) => `${kind} ${comm}`)), new Set(['soft_lockup spin', 'oops sh']));
});

test('kernel reports: after decode_stacktrace.sh, where the fault is is still known, and each frame', () => {
  const text = [
    'BUG: KASAN: slab-use-after-free in do_fault (mm/memory.c:2856 (discriminator 2))',
    'BUG: unable to handle page fault for address: ffff88028a488f98',
    'Oops: 0000 [#1] PREEMPT SMP',
    'CPU: 10 PID: 8890 Comm: modprobe Not tainted 6.12.0 #753',
    'RIP: 0010:do_read_fault.isra.40 (mm/memory.c:2856 mm/memory.c:2889) ',
    'RSP: 0018:ffff8801c6a0bc78 EFLAGS: 00010297',
    'Call Trace:',
    ' <TASK>',
    ' ? handle_mm_fault (mm/memory.c:3202 (discriminator 1)) mkfault',
    ' do_page_fault (arch/x86/mm/fault.c:1)',
    '---[ end trace 0000000000000000 ]---',
  ];
  const [kasan, oops] = recognise(toRows(encodeUtf8(text.map((line, i) => `[    1.00000${i}] ${line}\n`).join('')))).map(parseReport);
  assert.equal(kasan?.at?.symbol, 'do_fault');
  assert.equal(oops?.at?.symbol, 'do_read_fault.isra.40');
  assert.equal(oops?.registers?.['RIP'], 'do_read_fault.isra.40 (mm/memory.c:2856 mm/memory.c:2889)');
  assert.deepEqual(
    oops?.stacks.at(-1)?.frames.map(({ symbol, certain }) => [symbol, certain]),
    [
      ['handle_mm_fault', false],
      ['do_page_fault', true],
    ],
  );
});

test('kernel reports: what user space writes is none, and a line without a stamp among stamped ones neither', () => {
  const batch = new LogBatch();
  const forged = batch.addText('Kernel panic - not syncing: forged', 0);
  batch.flags[forged] = LOG_FLAG.userSpace;
  batch.rawTime.setBigint(forged, 1_000_000n);
  const plain = batch.addText('hello', 6);
  batch.rawTime.setBigint(plain, 2_000_000n);
  batch.addText('Kernel panic - not syncing: printed by a program', 0);
  assert.deepEqual(recognise(batch), []);
});

test('kernel reports: no log without a report yields one', () => {
  let rows = 0;
  for (const folder of ['dmesg', 'kmsg', 'console', 'lab']) {
    for (const name of readdirSync(join(FIXTURE_FOLDER, folder), { recursive: true, encoding: 'utf8' })) {
      if (!/\.(txt|json|kmsg)$/.test(name) || NOT_QUIET.has(`${folder}/${name}`) || name === 'session.json') continue;
      const batch = toRows(new Uint8Array(readFileSync(join(FIXTURE_FOLDER, folder, name))));
      rows += batch.length;
      assert.deepEqual(recognise(batch).flatMap(renderReport), [], `${folder}/${name}`);
    }
  }
  assert.ok(rows > 200, `${rows} rows`);
  const alike = new LogBatch();
  for (const line of [
    'WARNING: unmet direct dependencies',
    'BUG tracker: see bugzilla.kernel.org',
    'INFO: lockdep is turned off.',
    'INFO: task scheduler ready',
    'rcu: INFO: nothing',
    'watchdog: Delayed init of the lockup detector failed: -19',
    'NMI watchdog: Enabled. Permanently consumes one hw-PMU counter.',
    'Oops, something else',
    'Internal error: none',
    'mce: CPU0: Thermal monitoring enabled (TM1)',
    'mce: [Hardware Error]: Machine check events logged',
    'irq 16: handler set',
    '==================',
    '------------[ cut here ]------------',
    'nothing follows',
    'UBSAN: enabled',
    'my invoked oom-killer is a function 1',
    'Killed process group',
    'CPU 0: not a report',
    'debug: off',
  ]) {
    alike.addText(line, 6);
  }
  assert.deepEqual(recognise(alike), []);
});

test('kernel reports: a report longer than is kept is cut, said so, and keeps what happened', () => {
  const batch = new LogBatch();
  const add = (text: string): void => {
    const row = batch.addText(text, 4);
    batch.rawTime.setBigint(row, BigInt(row + 1) * 1000n);
    batch.sequence[row] = row;
  };
  add('stress invoked oom-killer: gfp_mask=0x140dca(GFP_USER), order=0, oom_score_adj=0');
  add('[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name');
  for (let pid = 1; pid < 5000; pid++)
    add(`[${String(pid).padStart(7)}]  1000 ${pid}   100 ${pid % 977}   28672        0             0 worker/${pid}`);
  add(
    'Out of memory: Killed process 976 (worker/976) total-vm:400kB, anon-rss:3904kB, file-rss:0kB, shmem-rss:0kB, UID:1000 pgtables:28kB oom_score_adj:0',
  );
  const [found] = recognise(batch);
  assert.ok(found !== undefined && found.lines.length < 1100);
  const report = parseReport(found);
  assert.equal(report.killed?.[0]?.pid, 976);
  assert.match(report.incomplete.join(), /lines more than are kept/);
});

function toStreamRows(batch: LogBatch, stream: string): StreamRow[] {
  return Array.from({ length: batch.length }, (_, row) => ({
    stream,
    sequence: batch.sequence[row] as number,
    rawNs: batch.rawTime.getBigint(row),
    unixNs: batch.unixTime.getBigint(row),
    level: batch.level[row] as number,
    flags: batch.flags[row] as number,
    cpu: batch.cpu[row] as number,
    pid: batch.pid[row] as number,
    body: batch.textOf(row),
  }));
}

test('kernel reports: over kmsg and console together each is found once, wherever kmsg ends', () => {
  const fixture = FIXTURES.find(({ name }) => name === '6.1-cloud.console');
  assert.ok(fixture !== undefined);
  const rows = toStreamRows(toRows(fixture.bytes), 'kmsg').filter(({ rawNs }) => rawNs > 0n);
  const alone = recognise(mergeStreams(rows).batch).flatMap(renderReport);
  const onConsole = rows.map((row) => ({ ...row, stream: 'console:ttyS0' }));
  for (let end = 0; end <= rows.length; end += 37) {
    const { batch, sources } = mergeStreams([...onConsole, ...rows.slice(0, end)]);
    assert.equal(batch.length, rows.length);
    assert.deepEqual(recognise(batch).flatMap(renderReport), alone);
    assert.equal(sources.get(0)?.stream, end === 0 ? 'console:ttyS0' : 'kmsg');
  }
  const holed = mergeStreams(rows.filter((_, index) => index !== 20).map((row) => row)).batch;
  assert.ok(recognise(holed)[0]?.hasGap, 'a number that is missing inside a report is a gap');
});

test('kernel reports: a structured attribute that is none is refused', () => {
  for (const json of [
    undefined,
    '',
    'null',
    '[]',
    '{}',
    '{"kind":"oops"}',
    '{"kind":"oops","stacks":[null],"incomplete":[]}',
    '{"kind":"oops","stacks":[],"incomplete":[],"killed":[{}]}',
    '{"kind":"oops","stacks":[],"incomplete":[],"hardware":{}}',
  ]) {
    assert.equal(readKernelReport(json), undefined, json ?? 'undefined');
  }
  assert.equal(readKernelReport('{"kind":"oops","stacks":[],"incomplete":[]}')?.kind, 'oops');
});
