import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { unpackFolder } from '../support/folder-file.ts';
import { readRingFixture } from '../support/ring-fixture.ts';
import { MAIN, runCli, toEnvironment, withFolder } from '../support/run-cli.ts';
import { textOption, tscToNsOption, writeTraceDat } from '../support/trace-dat-writer.ts';
import { hasTraceCmd, runTraceCmd } from '../support/trace-cmd.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures/trace_dat');

/** The lines of `trace-cmd report`, without its `cpus=N`, which counts the CPUs that a file has pages of. */
function report(path: string): string[] {
  const text = runTraceCmd(['report', '-t', '-i', path]);
  assert.ok(text !== undefined, `trace-cmd cannot read ${path}`);
  return text.split('\n').filter((line) => !line.startsWith('cpus='));
}

async function withExport<T>(args: readonly string[], use: (path: string, stderr: string) => T | Promise<T>): Promise<T> {
  return withFolder(async (folder) => {
    const path = join(folder, 'out.dat');
    const { code, stderr } = await runCli(['export', '--format', 'trace.dat', '-o', path, ...args]);
    assert.equal(code, 0, stderr);
    return use(path, stderr);
  });
}

for (const [fixture, compression] of [
  ['v6-instance', 'zstd'],
  ['v7-lost', 'none'],
  ['v7-x86-tsc', 'zstd'],
  ['v7-zstd-instance', 'none'],
] as const) {
  test(`export: trace-cmd prints the same of ${fixture} and of its copy (${compression})`, async (t) => {
    if (!hasTraceCmd()) return t.skip('no trace-cmd');
    const original = join(FIXTURES, `${fixture}.dat`);
    await withExport(['--compression', compression, original], (path) => {
      const lines = report(original);
      assert.ok(lines.length > 600);
      assert.deepEqual(report(path), lines);
    });
  });
}

test('export: one CPU and a window of time are the pages that hold them', async (t) => {
  if (!hasTraceCmd()) return t.skip('no trace-cmd');
  const original = join(FIXTURES, 'v7-lost.dat');
  const timeOf = (line: string): number => Number(/\s(\d+\.\d+):/.exec(line)?.[1]);
  const ofCpu = report(original).filter((line) => line.includes(' [001] '));
  const since = timeOf(ofCpu[Math.floor(ofCpu.length / 3)] as string);
  const until = timeOf(ofCpu[Math.floor((2 * ofCpu.length) / 3)] as string);
  await withExport(['--cpu', '1', '--since', String(since), '--until', String(until), original], (path) => {
    const part = report(path).filter((line) => line.includes(' ['));
    assert.ok(part.length > 0 && part.length < ofCpu.length, `${part.length} of ${ofCpu.length} events`);
    // A part of the CPU's events without a hole, with all of the window.
    const at = ofCpu.indexOf(part[0] as string);
    assert.deepEqual(part, ofCpu.slice(at, at + part.length));
    const wanted = ofCpu.filter((line) => timeOf(line) >= since && timeOf(line) < until);
    assert.deepEqual(
      wanted.filter((line) => !part.includes(line)),
      [],
    );
  });
});

test('export: a window is of the times that the report shows, also where they are not the raw ones', async () => {
  const { set, segment } = readRingFixture();
  const { pageSizeBytes, chunks } = segment.header;
  let at = 0;
  const cpus = chunks.map(({ cpu, pages }) => ({ cpu, pages: segment.pages.subarray(at, (at += pages * pageSizeBytes)) }));
  await withFolder(async (folder) => {
    const original = join(folder, 'ticks.dat');
    // Three ns a tick.
    const options = [textOption(4, '[x86-tsc]'), tscToNsOption(3, 0, 0n)];
    writeFileSync(original, writeTraceDat({ formats: set, options, buffers: [{ instance: '', clock: 'x86-tsc', pageSizeBytes, cpus }] }));
    // From the CPU on: names of tasks are learnt from what was printed before.
    const linesOf = async (path: string): Promise<string[]> =>
      (await runCli(['report', '-t', path])).stdout.split('\n').flatMap((line) => / \[\d{3}\].*/.exec(line) ?? []);
    const all = await linesOf(original);
    const timeOf = (line: string): string => /\s(\d+\.\d{9}):/.exec(line)?.[1] as string;
    const [since, until] = [1, 2].map((third) => timeOf(all[Math.floor((third * all.length) / 3)] as string)) as [string, string];
    await withExport(['--since', since, '--until', until, original], async (path) => {
      const part = new Set(await linesOf(path));
      assert.ok(part.size < all.length * 0.9, `${part.size} of ${all.length} events`);
      const wanted = all.filter((line) => Number(timeOf(line)) >= Number(since) && Number(timeOf(line)) < Number(until));
      assert.ok(wanted.length > 100);
      assert.deepEqual(
        wanted.filter((line) => !part.has(line)),
        [],
      );
    });
  });
});

test('export: a copy of tracefs becomes a file that trace-cmd prints as the copy is reported', async (t) => {
  if (!hasTraceCmd()) return t.skip('no trace-cmd');
  await withFolder(async (folder) => {
    const dir = join(folder, 'tracing');
    for (const [path, bytes] of unpackFolder(join(import.meta.dirname, '../fixtures/tracefs/6.12-probes.zst'))) {
      mkdirSync(dirname(join(dir, path)), { recursive: true });
      writeFileSync(join(dir, path), bytes);
    }
    const reported = await runCli(['report', '-t', dir]);
    assert.equal(reported.code, 0, reported.stderr);
    await withExport([dir], (path) => {
      // An array of a probe is shown by trace-cmd as zeros.
      const withoutArrays = (lines: readonly string[]): string[] => lines.map((line) => line.replace(/ ar=\{[^}]*\}/, ''));
      const lines = report(path);
      assert.ok(lines.length > 20, `${lines.length} lines`);
      const wanted = reported.stdout.split('\n').filter((line) => !line.startsWith('cpus='));
      assert.deepEqual(withoutArrays(lines), withoutArrays(wanted));
    });
  });
});

test('export: of what is stored of a kernel trace-cmd prints what it prints of the recording', async (t) => {
  if (!hasTraceCmd()) return t.skip('no trace-cmd');
  // Losses; an instance, DATE and a time shift; probes.
  const kernels = { web: 'v7-lost', db: 'v7-zstd-instance', probed: 'v7-6.12-kprobes' };
  const files = new Map(Object.entries(kernels).map(([kernel, name]) => [kernel, join(FIXTURES, `${name}.dat`)]));
  await withFolder(async (folder) => {
    const data = join(folder, 'data');
    const imported = await runCli(['import', '--data', data, ...[...files].flatMap(([kernel, path]) => ['--kernel', `${kernel}=${path}`])]);
    assert.equal(imported.code, 0, imported.stderr);
    for (const [kernel, original] of files) {
      await withExport(['--data', data, '--kernel', kernel], (path, stderr) => {
        const lines = report(original);
        assert.match(stderr, /[\d,]+ events of boot/);
        assert.ok(lines.length > 250);
        assert.deepEqual(report(path), lines, kernel);
      });
    }
    const none = await runCli(['export', '--format', 'trace.dat', '--data', data, '--kernel', 'nobody', '-o', join(folder, 'none.dat')]);
    assert.ok(none.code !== 0 && none.stderr.includes('E_NOT_FOUND'), none.stderr);
  });
});

test('export: a reader that goes away leaves nothing in the folder of temporary files', async () => {
  await withFolder((folder) => {
    const args = ['export', '--format', 'trace.dat', '--compression', 'none', join(FIXTURES, 'v7-none-instance.dat')];
    const command = ['-c', '"$@" | head -c 10', 'sh', process.execPath, MAIN, ...args];
    const { stdout } = spawnSync('sh', command, { env: toEnvironment({ TMPDIR: folder }) });
    assert.equal(stdout.toString('latin1'), '\x17\x08Dtracing');
    assert.deepEqual(readdirSync(folder), []);
  });
});

test('export: what cannot be exported is said with a code and a hint, and leaves no file', async () => {
  await withFolder(async (folder) => {
    const path = join(folder, 'out.dat');
    const log = join(import.meta.dirname, '../../package.json');
    const socket = join(folder, 'socket');
    const server = createServer().listen(socket);
    await once(server, 'listening');
    for (const [args, code] of [
      [['export', '--format', 'trace.dat', '-o', path, log], 'E_INPUT_FORMAT'],
      [['export', '--format', 'tracedat', '-o', path, log], 'E_ARGS'],
      [['export', '-o', path, log], 'E_ARGS'],
      [['export', '--format', 'trace.dat', '--since', '14:05', '-o', path, join(FIXTURES, 'v7-lost.dat')], 'E_ARGS'],
      [['export', '--format', 'trace.dat', '-o', join(folder, 'no/such/out.dat'), join(FIXTURES, 'v7-lost.dat')], 'E_OUTPUT_WRITE'],
      // It would be replaced by the export.
      [['export', '--format', 'trace.dat', '-o', socket, join(FIXTURES, 'v7-lost.dat')], 'E_OUTPUT_WRITE'],
    ] as const) {
      const result = await runCli(args);
      assert.ok(result.code !== 0 && result.stderr.includes(code), `${args.join(' ')}: ${result.stderr}`);
      assert.match(result.stderr, /hint: /);
    }
    assert.throws(() => readFileSync(path), { code: 'ENOENT' });
    assert.deepEqual(readdirSync(folder), ['socket']);
    assert.ok(statSync(socket).isSocket());
    server.close();
  });
});
