/** The commands that ask a hub, as child processes, against a real one with this kernel's data. */
import assert from 'node:assert/strict';
import { statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';

import type { KernelRow, LogRow } from '../../model/api.ts';
import type { StreamRate } from '../../cli/stream-rates.ts';
import { startLiveHub } from '../support/live-hub.ts';
import type { LiveHub } from '../support/live-hub.ts';
import { FileSource } from '../../hub/file-source.ts';
import { traceDat } from '../../parsers/trace-dat.ts';
import { runCli, RunningCli, withFolder } from '../support/run-cli.ts';
import type { CliResult } from '../support/run-cli.ts';

let live: LiveHub;

before(async () => {
  live = await startLiveHub();
});

after(() => live.close());

const ask = (...args: string[]): Promise<CliResult> => runCli(args, { env: { MKSCOPE_HUB: live.hub.addresses.page } });

async function askJsonLines<T>(...args: string[]): Promise<T[]> {
  const { code, stdout, stderr } = await ask(...args);
  assert.equal(code, 0, stderr);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
}

/** A dmesg of `count` lines, one per second. */
function writeDmesg(path: string, count: number): void {
  const lines = ['[    0.000000] Linux version 6.1.0-test (builder@host) #1 SMP', '[    0.000000] Command line: quiet'];
  for (let i = 1; i <= count; i++) lines.push(`[${String(i).padStart(5)}.000000] test: line ${i} of ${count}`);
  writeFileSync(path, `${lines.join('\n')}\n`);
}

test('logs: --json has the marker line, once, with its level and kernel', async (t) => {
  if (!live.reads.has('kmsg')) return t.skip('needs /dev/kmsg');
  const rows = await askJsonLines<LogRow>('logs', '--json', '-n', '1000');
  const marked = rows.filter((row) => row.body === live.marker);
  assert.equal(marked.length, 1);
  assert.equal(marked[0]?.kernelName, live.identity.kernelName);
  assert.equal(marked[0]?.stream, 'kmsg');
});

test('export: what is stored of a live kernel has its symbols and the texts of its print formats', async (t) => {
  if (!live.reads.has('tracefs')) return t.skip('needs tracefs');
  const { kernelName } = live.identity;
  await withFolder(async (folder) => {
    const path = join(folder, 'live.dat');
    // They come behind the first events.
    const found = (): Promise<{ n: string }[]> =>
      askJsonLines('query', '--json', "SELECT count() AS n FROM recording_texts WHERE Kind = 'kallsyms'");
    for (const endMs = Date.now() + 60_000; String((await found())[0]?.n) === '0';) assert.ok(Date.now() < endMs, 'no symbols came');
    const { code, stderr } = await ask('export', '--format', 'trace.dat', '--kernel', kernelName, '--cpu', '0', '-o', path);
    assert.equal(code, 0, stderr);
    const source = new FileSource({ path, sizeBytes: statSync(path).size });
    const { info, formats } = traceDat.open(source);
    assert.match(Buffer.from(info.readKallsyms()).toString('latin1'), /^[0-9a-f]*[1-9a-f][0-9a-f]* [tT] schedule$/m);
    assert.match(formats.printkFormats, /^0x[0-9a-f]+ : "/m);
    assert.ok(Object.keys(info.comms).length > 0);
    source.close();
  });
});

test('logs: filters reach the hub', async (t) => {
  if (!live.reads.has('kmsg')) return t.skip('needs /dev/kmsg');
  const pid = `^mkscope test marker ${process.pid} `;
  assert.equal((await askJsonLines('logs', '--json', '--grep', pid)).length, 1);
  assert.equal(
    (await askJsonLines('logs', '--json', '--grep', pid, '--kernel', live.identity.kernelName, '--stream', 'kmsg', '--since', '1h')).length,
    1,
  );
  assert.equal((await askJsonLines('logs', '--json', '--grep', pid, '--kernel', '12345')).length, 0);
  assert.equal((await askJsonLines('logs', '--json', '--grep', pid, '--level', 'emerg')).length, 0);
  assert.equal((await askJsonLines('logs', '--json', '--grep', pid, '--until', '1h')).length, 0);
});

test('logs: a wrong kernel name is pointed out, a wrong pattern is an error of the hub', async () => {
  const { code, stdout, stderr } = await ask('logs', '--kernel', `${live.identity.kernelName}x`);
  assert.equal(code, 0);
  assert.equal(stdout, '');
  assert.match(stderr, new RegExp(`there is no kernel ${live.identity.kernelName}x; did you mean "${live.identity.kernelName}"`));
  const wrong = await ask('logs', '--grep', '(');
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /^mkscope: .*\[E_(STORE_QUERY|REQUEST)\]/);
});

test('logs -f: shows what is stored, then what comes, each line once, and ends on SIGINT', async (t) => {
  if (!live.reads.has('kmsg')) return t.skip('needs /dev/kmsg');
  const run = new RunningCli(['logs', '-f', '--json', '--grep', `mkscope test .*${process.pid}`], {
    env: { MKSCOPE_HUB: live.hub.addresses.page },
  });
  await run.waitFor(({ stdout }) => stdout.includes(live.marker), 'the stored line');
  const fresh = Array.from({ length: 20 }, (_, i) => `mkscope test follow ${process.pid} ${i}`);
  for (const line of fresh) {
    // The kernel cuts bursts of user space to 10 lines in 5 s (printk_devkmsg), and a cut line is in no log.
    if (fresh.indexOf(line) === 8) break;
    writeFileSync('/dev/kmsg', `${line}\n`);
  }
  await run.waitFor(({ stdout }) => stdout.includes(fresh[7] as string), 'the eighth line');
  run.kill('SIGINT');
  const { code, stdout, stderr } = await run.ended;
  assert.equal(code, 0, stderr);
  const bodies = stdout
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as LogRow).body);
  assert.deepEqual(bodies, [live.marker, ...fresh.slice(0, 8)]);
});

test('kernels: the table and the JSON name this kernel', async () => {
  const table = await ask('kernels');
  assert.equal(table.code, 0, table.stderr);
  assert.match(table.stdout, /^ID +KERNEL +STATE/);
  assert.match(table.stdout, new RegExp(`^ *0 +${live.identity.kernelName} +live +${live.identity.release.replaceAll('.', '\\.')}`, 'm'));
  const kernels = JSON.parse((await ask('kernels', '--json')).stdout) as KernelRow[];
  assert.deepEqual(
    kernels.map(({ bootId, state }) => ({ bootId, state })),
    [{ bootId: live.identity.bootId, state: 'live' }],
  );
});

test('top: prints once without a terminal, with rates of the interval', async () => {
  const { stdout, code } = await ask('top', '--interval', '500ms');
  assert.equal(code, 0);
  assert.match(stdout, /^KERNEL +STREAM +WRITTEN\/S/m);
  // In an interval in which the collector had no processor nothing was written.
  for (const endMs = Date.now() + 60_000; ;) {
    const { stdout: json } = await ask('top', '--json', '-i', '1s');
    const { kernels, streams } = JSON.parse(json) as { kernels: KernelRow[]; streams: StreamRate[] };
    assert.equal(kernels.length, 1);
    if (!live.reads.has('tracefs')) return;
    const tracing = streams.find(({ stream }) => stream === `tracefs:mkscope-${process.pid}`);
    assert.notEqual(tracing?.state, 'unbalanced');
    if (tracing !== undefined && tracing.stored > 0 && tracing.writtenPerSecond > 0) return;
    assert.ok(Date.now() < endMs, JSON.stringify(streams));
  }
});

test('query: table, JSON lines, any format, standard input', async () => {
  const sql = "SELECT 1 AS one, 'a\\tb' AS text, [1, 2] AS list, NULL AS nothing";
  assert.equal((await ask('query', sql)).stdout, 'one  text  list   nothing\n  1  a b   [1,2]  NULL\n');
  assert.equal((await ask('query', '--json', sql)).stdout, '{"one":1,"text":"a\\tb","list":[1,2],"nothing":null}\n');
  assert.equal((await ask('query', '--format', 'CSVWithNames', sql)).stdout, '"one","text","list","nothing"\n1,"a\tb","[1,2]",\\N\n');
  const piped = await runCli(['query', '--json', '-'], { env: { MKSCOPE_HUB: live.hub.addresses.page }, input: 'SELECT 2 AS two' });
  assert.equal(piped.stdout, '{"two":2}\n');
});

test('query: what would write or is wrong is refused with a code', async () => {
  const writes = await ask('query', 'DROP TABLE otel_logs');
  assert.equal(writes.code, 1);
  assert.match(writes.stderr, /\[E_QUERY_READONLY\]/);
  const byFormat = await ask('query', '--format', 'CSV', 'INSERT INTO otel_logs SELECT * FROM otel_logs');
  assert.equal(byFormat.code, 1);
  assert.match(byFormat.stderr, /^mkscope: /);
  const wrong = await ask('query', 'SELECT nothing FROM nowhere');
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /nowhere.*\[E_STORE_QUERY\]/);
});

test('import: files become kernels of a machine, a second time nothing is stored twice', async () => {
  await withFolder(async (folder) => {
    const [host, spawn] = [join(folder, 'host.log'), join(folder, 'spawn.log')];
    writeDmesg(host, 2500);
    writeDmesg(spawn, 10);
    const args = [
      'import',
      '--json',
      '--machine',
      'lab',
      '--time-zero',
      '@1750000000',
      '--kernel',
      `host=${host}`,
      '--kernel',
      `spawn1=${spawn}`,
    ];
    const first = await askJsonLines<{ records: number; alreadyStored: number }>(...args);
    assert.deepEqual(
      first.map(({ records, alreadyStored }) => [records, alreadyStored]),
      [
        [2502, 0],
        [12, 0],
      ],
    );
    const second = await askJsonLines<{ records: number; alreadyStored: number }>(...args);
    for (const { records, alreadyStored } of second) assert.equal(alreadyStored, records);

    // More than a page of the hub's, so the range is walked back and forth; oldest first, nothing twice.
    const rows = await askJsonLines<LogRow>(
      'logs',
      '--json',
      '--since',
      '@1750000000',
      '--until',
      '@1750003000',
      '--kernel',
      'host',
      '--grep',
      '^test: line',
    );
    assert.deepEqual(
      rows.filter(({ machine }) => machine === 'lab').map(({ body }) => body),
      Array.from({ length: 2500 }, (_, i) => `test: line ${i + 1} of 2500`),
    );
    const last = await askJsonLines<LogRow>('logs', '--json', '-n', '3', '--kernel', 'spawn1');
    assert.deepEqual(
      last.map(({ body, unixNs }) => [body, unixNs]),
      [8, 9, 10].map((i) => [`test: line ${i} of 10`, String((1_750_000_000n + BigInt(i)) * 1_000_000_000n)]),
    );
    const kernels = JSON.parse((await ask('kernels', '--json')).stdout) as KernelRow[];
    const lab = kernels
      .filter(({ machineName }) => machineName === 'lab')
      .map(({ kernelId, kernelName, state }) => [kernelId, kernelName, state]);
    assert.deepEqual(lab.sort(), [
      [0, 'host', 'imported'],
      [1, 'spawn1', 'imported'],
    ]);
  });
});

test('import: one file that no parser knows does not stop the others, and the exit code tells', async () => {
  await withFolder(async (folder) => {
    const [good, bad, mixed] = [join(folder, 'good.log'), join(folder, 'bad.bin'), join(folder, 'mixed.log')];
    writeFileSync(mixed, '6,1,1000,-;a\n[    1.000000] b\n');
    writeDmesg(good, 3);
    writeFileSync(bad, Buffer.from([0, 1, 2, 3, 255, 254, 0, 0, 7]));
    const { code, stdout, stderr } = await ask('import', '--machine', 'other', bad, mixed, good);
    assert.equal(code, 1);
    assert.match(stderr, /bad\.bin: no parser recognises the file \[E_INPUT_FORMAT\]\n  hint: name its format with --format: /);
    assert.match(
      stderr,
      /mixed\.log: it may be kmsg or console \[E_INPUT_FORMAT\]\n  hint: name its format with --format: kmsg, console\n/,
    );
    assert.match(stdout, /good\.log: console, .* 5 records/);
  });
});

test('import: a folder that a hub holds is refused, a free one is filled without a hub', async () => {
  await withFolder(async (folder) => {
    const file = join(folder, 'dmesg.txt');
    writeDmesg(file, 5);
    const { path } = (await live.hub.health()).store;
    const held = await runCli(['import', '--data', dirname(path), file]);
    assert.equal(held.code, 1);
    assert.match(held.stderr, /\[E_DATA_LOCKED\]/);
    const data = join(folder, 'data');
    const direct = await runCli(['import', '--data', data, '--json', file]);
    assert.equal(direct.code, 0, direct.stderr);
    assert.equal((JSON.parse(direct.stdout) as { records: number }).records, 7);
  });
});
