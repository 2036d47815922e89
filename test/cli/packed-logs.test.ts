import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { text as readAll } from 'node:stream/consumers';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { join } from 'node:path';
import { OperationalError } from '../../base/errors.ts';
import { groupRotated } from '../../cli/rotated-logs.ts';
import { findQuote } from '../../cli/quoted-text.ts';
import { sniffParsers } from '../../parsers/index.ts';
import { isPlain, unpackInput } from '../../cli/unpack-input.ts';
import { MAIN, withFolder } from '../support/run-cli.ts';

const TEXT = Buffer.from('[    1.000000] usb 1-1: new device\n'.repeat(2000));

async function unpack(bytes: Uint8Array, pieceBytes = 100): Promise<Buffer> {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
    await Promise.resolve();
  }
  const got: Uint8Array[] = [];
  for await (const chunk of unpackInput(pieces(), 'a file')) got.push(chunk);
  return Buffer.concat(got);
}

test('import: packed files are unpacked, others are left as they are', async () => {
  assert.deepEqual(await unpack(TEXT), TEXT);
  assert.deepEqual(await unpack(new Uint8Array(0)), Buffer.alloc(0));
  assert.deepEqual(await unpack(gzipSync(TEXT)), TEXT);
  assert.deepEqual(await unpack(zstdCompressSync(TEXT)), TEXT);
  // Two gzip files one behind the other are one.
  assert.deepEqual(await unpack(Buffer.concat([gzipSync(TEXT), gzipSync(TEXT)])), Buffer.concat([TEXT, TEXT]));
});

test('import: text that Windows wrote is UTF-8 without a mark, however it is cut', async () => {
  const text = '[    1.000000] usb 1-1: “new” device\r\n';
  const little = Buffer.from(`\ufeff${text}`, 'utf16le');
  assert.equal((await unpack(little, 3)).toString(), text);
  assert.equal((await unpack(Buffer.from(little).swap16(), 3)).toString(), text);
  assert.equal((await unpack(Buffer.from(`\ufeff${text}`), 5)).toString(), text);
});

const TRACE =
  '# tracer: nop\n#\n          cat-135   [003] d..2    16.185999: sched_waking: comm=sh pid=7 prio=120\n\n<idle>-0 [003] 16.2: x: y';

test('import: a trace out of a mail loses what stands in front of its lines, however it is cut', async () => {
  for (const quote of ['> ', '> >   ', '>', '    ', '\t', '| ']) {
    const quoted = TRACE.replaceAll(/^/gm, quote);
    const mailed = `Hi,\nthis is it:\n\n${quoted.replaceAll(/ +$/gm, '')}\nThanks\n`;
    assert.equal(findQuote(Buffer.from(mailed)), quote);
    for (const pieceBytes of [1, 2, 7, 1000]) {
      // What quotes is known by the first piece: a file's is a megabyte.
      const pieces = pieceBytes === 1000 ? mailed : quoted;
      const got = (await unpack(Buffer.from(pieces), Math.max(pieceBytes, quote.length + TRACE.indexOf('\n')))).toString();
      assert.equal(got, pieces === mailed ? `Hi,\nthis is it:\n\n${TRACE}\nThanks\n` : TRACE);
    }
  }
  // A line that has no end, and one that is shorter than what stands in front of it.
  assert.equal((await unpack(Buffer.from('> > # tracer: nop\n> > a\n>'), 18)).toString(), '# tracer: nop\na\n>');
});

const OOPS = [
  'BUG: kernel NULL pointer dereference, address: 0000000000000010',
  'Oops: 0002 [#1] PREEMPT SMP NOPTI',
  'CPU: 1 PID: 96 Comm: sh Not tainted 6.12.0 #1',
  'RIP: 0010:fault_oops+0xa/0x20 [mkfault]',
  'Call Trace:',
  ' ksys_write+0x5/0x10',
].map((line) => `${line}\n`);

test('import: a report that was pasted without times is console text, also out of a mail', async () => {
  assert.deepEqual(
    sniffParsers(Buffer.from(OOPS.join(''))).map(({ id }) => id),
    ['console'],
  );
  const mailed = Buffer.from(`On my board:\n\n${OOPS.map((line) => `>     ${line}`).join('')}`);
  assert.equal(findQuote(mailed), '>     ');
  assert.equal((await unpack(mailed, mailed.length)).toString(), `On my board:\n\n${OOPS.join('')}`);
  const powerpc = 'Oops: Kernel access of bad area, sig: 11 [#1]\nNIP [c01de598] kfence_protect+0x44/0x6c\n';
  assert.deepEqual(
    sniffParsers(Buffer.from(powerpc)).map(({ id }) => id),
    ['console'],
  );
  // One line alone may be anybody's.
  assert.deepEqual(sniffParsers(Buffer.from(`The headline is\n${OOPS[0]}`)), []);
});

test('import: text that only looks quoted is left as it is', async () => {
  for (const text of [
    TRACE,
    '> hello\n> you\n',
    '[    1.000000] a\n> [    2.000000] b\n',
    ' => [<ffffffff8100000>] x\n',
    '  # tracer:\n',
    `> \0\n> ${TRACE}`,
  ]) {
    assert.equal(findQuote(Buffer.from(text)), undefined, text);
    assert.ok(isPlain(Buffer.from(text)));
    assert.equal((await unpack(Buffer.from(text))).toString(), text);
  }
});

test('import: a file that is to be changed first is not read in place', async () => {
  await withFolder(async (folder) => {
    const texts = {
      utf16: Buffer.from(`\ufeff${TRACE}\n`, 'utf16le'),
      marked: Buffer.from(`\ufeff${TRACE}\n`),
      quoted: Buffer.from(TRACE.replaceAll(/^/gm, '> ')),
    };
    const paths = Object.entries(texts).map(([name, bytes]) => {
      writeFileSync(join(folder, `${name}.txt`), bytes);
      return join(folder, `${name}.txt`);
    });
    const child = spawn(process.execPath, [MAIN, 'import', '--data', join(folder, 'data'), ...paths], { stdio: 'pipe' });
    const [out, err] = await Promise.all([readAll(child.stdout), readAll(child.stderr)]);
    assert.equal(err, '');
    assert.equal(out.match(/ftrace_text, \d+ B, 2 records/g)?.length, 3, out);
    assert.doesNotMatch(out, /not understood/);
    assert.match(out, /^ {2}quoted: "> " in front of its lines is left out$/m);
  });
});

test('import: xz is unpacked by its program', async (context) => {
  const packed = spawnSync('xz', ['-c'], { input: TEXT });
  if (packed.error !== undefined) return context.skip('xz is not installed');
  assert.deepEqual(await unpack(packed.stdout), TEXT);
  await assert.rejects(unpack(packed.stdout.subarray(0, 60)), { code: 'E_INPUT_READ', message: /^a file cannot be unpacked \(xz: / });
  return undefined;
});

test('import: a packed file that is cut, or made to fill the disk, is told', async () => {
  await assert.rejects(unpack(gzipSync(TEXT).subarray(0, 60)), { code: 'E_INPUT_READ', message: /cannot be unpacked/ });
  const zeros = zstdCompressSync(Buffer.alloc(300 << 20));
  await assert.rejects(unpack(zeros, 1 << 16), { code: 'E_INPUT_READ', message: /grows more than 1000 times/ });
});

test('import: a packed file that cannot be read any further is told as such', async () => {
  for (const packed of [gzipSync(TEXT), spawnSync('xz', ['-c'], { input: TEXT }).stdout]) {
    if (packed === null) continue;
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield await Promise.resolve(packed.subarray(0, 60));
      throw new OperationalError('E_INPUT_READ', 'a file cannot be read (EIO)', 'check the disk');
    }
    await assert.rejects(Array.fromAsync(unpackInput(failing(), 'a file')), {
      code: 'E_INPUT_READ',
      message: 'a file cannot be read (EIO)',
    });
  }
});

test('import: a log that was rotated is one, oldest first; files that only look alike are not', () => {
  const groups = groupRotated([
    '/l/kern.log',
    '/l/kern.log.1',
    '/l/kern.log.10.gz',
    '/l/kern.log.2.gz',
    '/m/kern.log.1',
    '/l/messages-20261122',
    '/l/messages',
    '/l/messages-20261115.xz',
    '/l/console.1',
    '/l/console.2',
  ]);
  assert.deepEqual(groups, [
    { path: '/l/kern.log', parts: ['/l/kern.log.10.gz', '/l/kern.log.2.gz', '/l/kern.log.1', '/l/kern.log'] },
    { path: '/m/kern.log.1', parts: ['/m/kern.log.1'] },
    { path: '/l/messages', parts: ['/l/messages-20261115.xz', '/l/messages-20261122', '/l/messages'] },
    { path: '/l/console.1', parts: ['/l/console.1'] },
    { path: '/l/console.2', parts: ['/l/console.2'] },
  ]);
});

test('import: a packed log comes through standard input, into a folder that is not there yet', async () => {
  await withFolder(async (folder) => {
    const child = spawn(process.execPath, [MAIN, 'import', '--json', '--data', join(folder, 'data'), '-'], { stdio: 'pipe' });
    child.stdin.end(gzipSync('[    1.000000] Linux version 6.12.1\n[    2.000000] usb 1-1: new device\n'));
    const [out, err] = await Promise.all([readAll(child.stdout), readAll(child.stderr)]);
    const result = JSON.parse(out || '{}') as { format?: string; records?: number };
    assert.deepEqual([result.format, result.records, err], ['console', 2, '']);
  });
});
