import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';

import { isOperational } from '../../base/errors.ts';
import { planImport } from '../../cli/import-plan.ts';
import { withFolder } from '../support/run-cli.ts';

test('import: several files are several kernels; host is 0, numbers given are kept, the rest follow', async () => {
  await withFolder((folder) => {
    const path = (name: string): string => {
      writeFileSync(join(folder, name), 'x');
      return join(folder, name);
    };
    const plan = planImport(
      [`spawn2=${path('a.log')}`, `host=${path('b.log')}`, `spawn1:1=${path('c.log')}`, `x=${path('d=e.log')}`],
      [path('f.log'), '-'],
    );
    assert.deepEqual(
      plan.map(({ kernelName, kernelId, sizeBytes }) => [kernelName, kernelId, sizeBytes]),
      [
        ['spawn2', 2, 1],
        ['host', 0, 1],
        ['spawn1', 1, 1],
        ['x', 3, 1],
        ['f', 4, 1],
        ['stdin', 5, 0],
      ],
    );
  });
});

test('import: logs of a Multikernel machine say which kernel they are of; the host is stored first, and what the user says counts', async () => {
  await withFolder((folder) => {
    const write = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const spawn = (id: number): string =>
      `[    0.000000] platform-quirks: hardware_subarch=5 (MULTIKERNEL=5)\n[    0.045055] DTB contains instance ID ${id}, name 'web-${id}'\n`;
    const paths = [
      write('a.log', spawn(7)),
      write('b.log', 'an ordinary log\n'),
      write('c.log', '[    0.000000] platform-quirks: hardware_subarch=0 (MULTIKERNEL=5)\n'),
    ];
    const other = write('d.log', spawn(9));
    const shown = (named: readonly string[]): unknown =>
      planImport(named, paths).map(({ kernelName, kernelId, path }) => [kernelName, kernelId, basename(path)]);
    assert.deepEqual(shown([`mine=${other}`]), [
      ['host', 0, 'c.log'],
      ['mine', 9, 'd.log'],
      ['web-7', 7, 'a.log'],
      ['b', 1, 'b.log'],
    ]);
    assert.deepEqual(
      planImport([], [write('e.log', spawn(65_536))]).map(({ kernelName, kernelId }) => [kernelName, kernelId]),
      [['e', 0]],
    );
    const pipe = join(folder, 'pipe');
    execFileSync('/usr/bin/mkfifo', [pipe]);
    assert.deepEqual(
      planImport([], [pipe]).map(({ kernelName }) => kernelName),
      ['pipe'],
    );
    assert.deepEqual(
      planImport([`mine:3=${other}`], []).map(({ kernelName, kernelId }) => [kernelName, kernelId]),
      [['mine', 3]],
    );
  });
});

test('import: what cannot be read is said before anything is sent', () => {
  const cases: readonly (readonly [readonly string[], readonly string[], string])[] = [
    [[], [], 'E_ARGS'],
    [['no-file'], [], 'E_ARGS'],
    [['=x'], [], 'E_ARGS'],
    [['a:99999=x'], [], 'E_ARGS'],
    [[], ['/nonexistent'], 'E_INPUT_READ'],
    [[], ['/tmp'], 'E_INPUT_READ'],
  ];
  for (const [named, paths, code] of cases) {
    assert.throws(
      () => planImport(named, paths),
      (error) => isOperational(error) && error.code === code && error.hint !== '',
      [...named, ...paths].join(' '),
    );
  }
});

test('import: a folder of a pstore is one kernel, an input for each boot that left records', async () => {
  await withFolder((folder) => {
    const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
    write('dmesg-efi_pstore-179565259801001', 'Oops#1 Part1\n<4>[    2.000000] an oops\n');
    write('dmesg-efi_pstore-179565260101002', 'Panic#2 Part1\n<4>[    2.000000] an oops\n<0>[    5.000000] a panic\n');
    write('dmesg-efi_pstore-179565266601001', 'Panic#1 Part1\n<0>[    1.000000] another panic\n');
    write('pmsg-ramoops-0', 'words of programs');
    write('dmesg-ramoops-0.enc.z', 'no deflate');
    write('README', 'not a record');
    // As systemd-pstore moves them.
    mkdirSync(join(folder, '1795652800/001'), { recursive: true });
    write('1795652800/001/dmesg-efi_pstore-179565280001001', 'Panic#1 Part1\n<0>[    3.000000] a third\n');
    write('1795652800/001/dmesg.txt', 'the same, joined');
    const skipped: string[] = [];
    const plan = planImport([`rack:7=${folder}`], [], (path, reason) => skipped.push(`${basename(path)}: ${reason.slice(0, 20)}`));
    assert.deepEqual(
      plan.map(({ path, kernelName, kernelId }) => [basename(path), kernelName, kernelId]),
      [
        ['dmesg-efi_pstore-179565260101002', 'rack', 7],
        ['dmesg-efi_pstore-179565266601001', 'rack', 7],
        ['dmesg-efi_pstore-179565280001001', 'rack', 7],
      ],
    );
    assert.deepEqual(skipped, ['dmesg-ramoops-0.enc.z: compressed by lzo, l', 'pmsg-ramoops-0: what programs wrote ']);
    // Named one by one they are the same; the next boot's records do not change what the first one is.
    const named = planImport([], [join(folder, 'dmesg-efi_pstore-179565259801001'), join(folder, 'dmesg-efi_pstore-179565260101002')]);
    assert.deepEqual(
      named.map(({ content, kernelName }) => [content, kernelName]),
      [[plan[0]?.content, 'host']],
    );
  });
});

test('import: the log of a crash dump has the time that its folder tells', async () => {
  await withFolder((folder) => {
    const path = join(folder, '127.0.0.1-2026-11-25-21:59:03/vmcore-dmesg.txt');
    mkdirSync(dirname(path));
    writeFileSync(path, '[    1.000000] x\n');
    const written = new Date('2026-11-25T22:59:40Z');
    utimesSync(path, written, written);
    const [kept] = planImport([], [path]);
    assert.deepEqual([kept?.modifiedUnixNs, kept?.modifiedErrorNs], [BigInt(written.getTime()) * 1_000_000n, 120e9]);
    utimesSync(path, 1_900_000_000, 1_900_000_000);
    const [copied] = planImport([], [path]);
    assert.deepEqual(
      [copied?.modifiedUnixNs, copied?.modifiedErrorNs],
      [BigInt(Date.UTC(2026, 10, 25, 21, 59, 3)) * 1_000_000n, 14 * 3600e9],
    );
    writeFileSync(join(folder, 'dmesg.202611252159'), 'x');
    utimesSync(join(folder, 'dmesg.202611252159'), 1_900_000_000, 1_900_000_000);
    const [debian] = planImport([], [join(folder, 'dmesg.202611252159')]);
    assert.equal(debian?.modifiedUnixNs, BigInt(Date.UTC(2026, 10, 25, 21, 59)) * 1_000_000n);
    writeFileSync(join(folder, 'dmesg.txt'), 'x');
    assert.equal(planImport([], [join(folder, 'dmesg.txt')])[0]?.modifiedErrorNs, undefined);
  });
});
