/** Lines of ftrace text in WebAssembly and without it: the same rows, dictionaries, counts and losses of whatever input. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { encodeUtf8 } from '../../base/bytes.ts';
import { FtraceWalker } from '../../parsers/ftrace-walker.ts';
import { findDifference, mutateLines, readAll, WITH_WASM } from '../support/ftrace-ways.ts';
import { loadFixtures } from '../support/parser-suite.ts';
import { createRandom } from '../support/random.ts';

const INPUT_BYTES = 16_000;
const FIXTURES = loadFixtures('ftrace', '.txt');
/** Of lines that differ in their event, task, CPU and stamp. */
const LINES = [
  '            bash-11843   [001] d..2.  2351.415237: sched_switch: prev_comm=bash prev_pid=11843 prev_prio=120 prev_state=R+ ==> next_comm=a b next_pid=0 next_prio=120',
  '          <idle>-0       [000] dNh3.  2351.415300: sched_wakeup: comm=bash pid=11843 prio=120 target_cpu=001',
  '     kworker/0:1-17      [000] .....  2352.000001: kmalloc: call_site=f+0x1/0x2 ptr=00000000af3dbda1 bytes_req=72 bytes_alloc=96 gfp_flags=GFP_KERNEL node=-1 accounted=false',
  '           <...>-99      [003] ..s1. 12352.999999: sys_read(fd: 3, buf: 0x7ffe12345678, count: 0x340)',
  '            bash-11843   [001] .....  2352.100000: sys_read -> 0xfffffffffffffff5',
  '            bash-11843   [001] d.h..  2353.415237: softirq_raise: vec=9 [action=RCU]',
];

/** Rows that WebAssembly made while `run` ran. */
function countWalked(t: TestContext, run: () => void): number {
  const walk = t.mock.method(FtraceWalker.prototype, 'addLines');
  run();
  return walk.mock.calls.reduce((sum, { result }) => sum + (result ?? 0), 0);
}

function longer(bytes: Uint8Array, sizeBytes = INPUT_BYTES): Uint8Array {
  const copies = Math.ceil(sizeBytes / bytes.length);
  return new Uint8Array(Buffer.concat(Array.from({ length: copies }, () => bytes))).subarray(0, sizeBytes);
}

function cutsOf(sizeBytes: number, pieceBytes: number): number[] {
  return Array.from({ length: Math.floor(sizeBytes / pieceBytes) }, (_, i) => (i + 1) * pieceBytes);
}

function assertSame(input: Uint8Array, ends: readonly number[], what: string): void {
  const difference = findDifference(input, ends);
  if (difference !== undefined) assert.fail(`${what}: ${difference}`);
}

for (const { name, bytes } of FIXTURES) {
  test(`ftrace walker: ${name} in WebAssembly is what it is without`, () => {
    const input = longer(bytes);
    for (const pieceBytes of [input.length, 5000]) assertSame(input, cutsOf(input.length, pieceBytes), `pieces of ${pieceBytes}`);
  });
  test(`ftrace walker: mutations of ${name} are what they are without`, () => {
    const random = createRandom(bytes.length);
    for (let round = 0; round < 3; round++) {
      const input = mutateLines(longer(bytes, 6000), random);
      assertSame(input, round % 2 === 0 ? [] : cutsOf(input.length, 2500), `round ${round}`);
    }
  });
}

test('ftrace walker: takes nearly all lines of what is common', (t) => {
  for (const name of ['nop', 'syscalls', 'tgid', 'no-irq-info', 'latency', 'report', 'report-r', 'clock-x86-tsc', 'fields']) {
    const bytes = FIXTURES.find((fixture) => fixture.name === `ftrace/${name}`)?.bytes as Uint8Array;
    const lines = Buffer.from(bytes).toString('latin1').split('\n');
    const isHead = (line: string): boolean => line.startsWith('#') || line.startsWith('cpus=');
    const rest = encodeUtf8(lines.filter((line) => !isHead(line)).join('\n'));
    const input = encodeUtf8(`${lines.filter(isHead).join('\n')}\n${Buffer.from(longer(rest, 200_000)).toString('latin1')}`);
    const count = Buffer.from(input).toString('latin1').split('\n').length;
    const walked = countWalked(t, () => readAll(WITH_WASM, input, []));
    assert.ok(walked > count * 0.8, `${name}: ${walked} of ${count} lines`);
  }
});

test('ftrace walker: windows and lanes that are full again and again give the same rows', () => {
  for (const name of ['nop', 'syscalls', 'report']) {
    const bytes = FIXTURES.find((fixture) => fixture.name === `ftrace/${name}`)?.bytes as Uint8Array;
    assertSame(longer(bytes, 500_000), [400_000], name);
  }
});

test('ftrace walker: lines cut at every offset give the same rows', () => {
  const input = encodeUtf8(`${Array.from({ length: 12 }, (_, i) => LINES[i % LINES.length]).join('\n')}\n`);
  for (let at = 1; at < input.length; at += 9) assertSame(input, [at], `cut at ${at}`);
});

test('ftrace walker: numbers, times and texts at their bounds are what they are without', (t) => {
  const values = [
    ...['0', '-0', '00', '7', '-7', '0007', '99999999', '100000000', '-2147483648', '4294967295', '4294967296', '999999999999999'],
    ...['1000000000000000', '-999999999999999', '18446744073709551615', '-', '+1', '1x', '', ' ', '0x0', '0xF', '0xffffffffffffffff'],
    ...[
      '0x1ffffffffffffffff',
      '0x',
      '0xg',
      '00000000af3dbda1',
      '00000000AF3DBDA1',
      'ffffffffffffffff0',
      'a',
      '9',
      'x'.repeat(15),
      'x'.repeat(16),
    ],
    ...['x'.repeat(17), 'y'.repeat(255), 'y'.repeat(257), 'z'.repeat(1000), 'a=b', 'a b', 'ä', '\u0000', 'a\r'],
  ];
  const stamps = [
    '0.000000',
    '1.000000',
    '4294967296.999999',
    '9999999999.123456',
    '2351.415237123',
    '2351.4152',
    '2351',
    '18446744073709551615',
    '.5',
  ];
  const flags = ['d..2.', '.....', 'dNhf.', 'DBH1f', 'd..2', '', 'd.', 'dbZ9fa1', 'd.h.1.2.3'];
  const cpus = ['000', '1', '4095', '4096', '65535', '65536', ''];
  const pids = ['0', '2147483647', '2147483648', '99999999999', '', 'x'];
  const line = (value: string, stamp = '2351.415237', flag = 'd..2.', cpu = '001', pid = '11'): string =>
    `            bash-${pid.padEnd(7)} [${cpu}] ${flag} ${stamp}: e: a=${value} b=${value} c=1`;
  const start = Array.from({ length: 40 }, (_, i) => line(String(i)));
  const all = [
    ...values.flatMap((value) => [line(value), line('5')]),
    ...stamps.flatMap((stamp) => [line('1', stamp), line('2')]),
    ...flags.flatMap((flag) => [line('1', undefined, flag), line('2')]),
    ...cpus.flatMap((cpu) => [line('1', undefined, undefined, cpu), line('2')]),
    ...pids.flatMap((pid) => [line('1', undefined, undefined, undefined, pid), line('2')]),
  ];
  const input = encodeUtf8([...start, ...all, ...start].join('\n'));
  assert.ok(countWalked(t, () => assertSame(input, [], 'bounds')) > start.length);
});

test('ftrace walker: a loss begins at the last event of its CPU, however late that is', () => {
  for (const seconds of ['7', '1795645651', '4294967295', '4294967296', '9999999999']) {
    const lines = Array.from(
      { length: 60 },
      (_, i) => `            bash-11      [00${i % 2}] d..2. ${seconds}.00${1000 + i}: e: a=${i} b=x`,
    );
    const input = [...lines, 'CPU:1 [LOST 5 EVENTS]', ...lines].join('\n');
    assertSame(encodeUtf8(`${input}\n`), [], seconds);
  }
});

test('ftrace walker: rows of lines with and without a thread group are in the order of the lines', () => {
  const lines = Array.from({ length: 60 }, (_, i) => {
    const group = i % 7 < 3 ? '' : '(     11) ';
    return `            bash-11      ${group}[001] d..2.  2351.41${1000 + i}: ${i % 3 === 0 ? 'other' : 'e'}: a=${i} b=x`;
  });
  assertSame(encodeUtf8(`${lines.join('\n')}\n`), [], 'groups');
});

test('ftrace walker: templates, texts and tasks without end are bounded', () => {
  const lines = Array.from({ length: 2500 }, (_, i) => {
    const task = `t${i}`.padStart(16);
    return `${task}-${String(i).padEnd(7)} [00${i % 8}] d..2.  2351.41${String(i % 10_000).padStart(4, '0')}: ev${i % 1500}: k${i % 40}=${i} text=word${i} c=x`;
  });
  const input = encodeUtf8(`${lines.join('\n')}\n`);
  assertSame(input, cutsOf(input.length, 200_000), 'many of all');
});

test('ftrace walker: text is read where there is no SIMD', () => {
  const script = `
    WebAssembly.validate = () => false;
    const { readFileSync } = await import('node:fs');
    const { FtraceSession } = await import('./parsers/ftrace-text.ts');
    const { FtraceWalker } = await import('./parsers/ftrace-walker.ts');
    const { EventBatch } = await import('./model/event-batch.ts');
    const bytes = new Uint8Array(readFileSync('test/fixtures/ftrace/nop.txt'));
    const session = new FtraceSession(0);
    session.finish(bytes, new EventBatch());
    console.log(FtraceWalker.create(), session.counts.malformedBytes, session.counts.records > 10);`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    cwd: join(import.meta.dirname, '..', '..'),
    encoding: 'utf8',
  });
  assert.equal(stdout.trim(), 'undefined 0 true');
});
