import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCli } from '../support/run-cli.ts';

const FIXTURE = join(import.meta.dirname, '../fixtures/trace_dat/v7-lost.dat');

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
