import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Reporter } from '../../export/report.ts';
import { TextOut } from '../../export/text-out.ts';
import { traceDat } from '../../parsers/trace-dat.ts';
import { toTestSource } from '../support/event-file-suite.ts';
import { repeatTraceDat } from '../support/repeat-pages.ts';
import { runCli } from '../support/run-cli.ts';
import { hasTraceCmd, runTraceCmd } from '../support/trace-cmd.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures/trace_dat');
const FIXTURE = join(FIXTURES, 'v7-lost.dat');
/** More than the fixtures last. */
const LATER_NS = 3_600_000_000_000n;
const PLAIN = { latency: false, raw: false, nanoseconds: false, timeDifference: false, filter: undefined, convert: undefined };

test('report: prints a recording, filtered, and says what is wrong with a damaged one', async (t) => {
  const whole = await runCli(['report', '-e', 'raw_syscalls:*', '--cpu', '1', FIXTURE]);
  assert.equal(whole.code, 0, whole.stderr);
  assert.match(whole.stdout, /^cpus=2\n/);
  assert.match(whole.stdout, / \[001\] +\d+\.\d{6}: sys_exit: /);
  assert.doesNotMatch(whole.stdout, / \[000\] /);
  const folder = mkdtempSync(join(tmpdir(), 'mkscope-report-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'cut.dat');
  writeFileSync(path, readFileSync(FIXTURE).subarray(0, 3000));
  const cut = await runCli(['report', path]);
  assert.equal(cut.code, 1);
  assert.match(cut.stderr, /warning: .*cut\.dat: .* at byte \d+/);
});

test(
  'report: a recording that threads begin to print, and one of calls of functions, is the text of one in one go',
  { timeout: 120_000 },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'mkscope-report-'));
    t.after(() => rmSync(folder, { recursive: true }));
    for (const name of ['v7-6.12-function', 'v7-6.12-graph', 'v7-lost']) {
      const bytes = repeatTraceDat(new Uint8Array(readFileSync(join(FIXTURES, `${name}.dat`))), name === 'v7-lost' ? 400 : 80, LATER_NS);
      assert.ok(bytes.length > 5 << 20, 'threads take it');
      const path = join(folder, `${name}.dat`);
      writeFileSync(path, bytes);
      const { stdout, stderr, code } = await runCli(['report', path]);
      assert.equal(code, 0, stderr);
      assert.equal(stderr, '');
      const reporter = new Reporter(traceDat.open(toTestSource(bytes)), PLAIN);
      const out = new TextOut();
      while (reporter.write(out, 1 << 20));
      const text = Buffer.from(out.view()).toString('latin1');
      // Not by assert.equal, which would draw the differences of some MB.
      assert.ok(stdout === text, `${name}: ${stdout.length} and ${text.length} characters, ${stdout.slice(0, 60)}`);
      const theirs = hasTraceCmd() ? runTraceCmd(['report', '-i', path]) : undefined;
      assert.ok(theirs === undefined || theirs === text, `${name}: trace-cmd prints other lines`);
      t.diagnostic(`${name}: ${reporter.lines} lines${theirs === undefined ? '' : ', as trace-cmd prints them'}`);
    }
  },
);

test('report: names what it cannot print', async () => {
  for (const [args, code, exitCode] of [
    [['report', '/nonexistent.dat'], 'E_INPUT_READ', 1],
    [['report', import.meta.filename], 'E_INPUT_FORMAT', 1],
    [['report', '--cpu', 'x', FIXTURE], 'E_ARGS', 2],
    [['report', '--since', 'noon', FIXTURE], 'E_ARGS', 2],
    [['report', '--as', 'verse', FIXTURE], 'E_ARGS', 2],
  ] as const) {
    const { stderr, code: got } = await runCli([...args]);
    assert.equal(got, exitCode, stderr);
    assert.match(stderr, new RegExp(`\\[${code}\\]\\n +hint: `));
  }
});
