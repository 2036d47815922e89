/** A copy of tracefs on disk through the command line: as text of the kernel, of trace-cmd, and into an import. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { planImport } from '../../cli/import-plan.ts';
import { traceDat } from '../../parsers/trace-dat.ts';
import { unpackFolder, type FolderFiles } from '../support/folder-file.ts';
import { runCli } from '../support/run-cli.ts';

const FIXTURE = join(import.meta.dirname, '../fixtures/tracefs/6.12-probes.zst');

let dir = '';
let files: FolderFiles = new Map();

before(() => {
  dir = mkdtempSync(join(tmpdir(), 'mkscope-tracefs-'));
  files = unpackFolder(FIXTURE);
  for (const [path, bytes] of files) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), bytes);
  }
});

after(() => rmSync(dir, { recursive: true, force: true }));

test('report --as trace: prints a copy of tracefs as its file trace', async () => {
  const { code, stdout, stderr } = await runCli(['report', '--as', 'trace', dir]);
  assert.equal(stderr, '');
  assert.equal(code, 0);
  assert.equal(stdout, Buffer.from(files.get('trace') as Uint8Array).toString('utf8'));
});

test('report: prints a copy of tracefs as trace-cmd would its extract', async () => {
  const { code, stdout } = await runCli(['report', dir]);
  assert.equal(code, 0);
  assert.match(stdout, /^cpus=1\n/);
  assert.match(stdout, /kopen: +\(ffffffff[\da-f]{8}\) dfd=-100 name="\/dev\/null"/);
});

test('report --as: other options, other styles and other folders are refused', async () => {
  for (const args of [
    ['--as', 'trace', '-l', dir],
    ['--as', 'perf', dir],
  ]) {
    const { code, stderr } = await runCli(['report', ...args]);
    assert.equal(code, 2);
    assert.match(stderr, /E_ARGS/);
  }
  const { code, stderr } = await runCli(['report', '--as', 'trace', dirname(FIXTURE)]);
  assert.notEqual(code, 0);
  assert.match(stderr, /E_INPUT_FORMAT[\s\S]*tracefs_copy/);
});

test('import: a copy of tracefs is one file, a trace.dat', () => {
  const [planned, ...others] = planImport([], [dir]);
  assert.equal(others.length, 0);
  assert.ok(planned?.content !== undefined && traceDat.sniff(planned.content));
  assert.equal(planned.sizeBytes, planned.content.length);
});
