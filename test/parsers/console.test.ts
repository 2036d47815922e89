import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeUtf8 } from '../../base/bytes.ts';
import { LOG_FLAG, LogBatch } from '../../model/log-batch.ts';
import type { ParserSession } from '../../model/parser.ts';
import { LEVEL_UNKNOWN } from '../../model/severity.ts';
import { NO_RAW_TIME } from '../../model/time.ts';
import { consoleText, openConsole } from '../../parsers/console.ts';

function parse(text: string): { batch: LogBatch; session: ParserSession<LogBatch>; texts: string[] } {
  const session = openConsole();
  const batch = new LogBatch();
  const bytes = encodeUtf8(text);
  assert.equal(session.finish(bytes, batch), bytes.length);
  assert.equal(session.counts.parsedBytes, bytes.length);
  return { batch, session, texts: Array.from({ length: batch.length }, (_row, row) => batch.textOf(row)) };
}

/** One line's row as [level, facility, ns, pid, cpu, text]. */
function readLine(line: string): (number | bigint | string)[] {
  const { batch } = parse(`${line}\n`);
  assert.equal(batch.length, 1, line);
  return [
    batch.level[0] as number,
    batch.facility[0] as number,
    batch.rawTime.getBigint(0),
    batch.pid[0] as number,
    batch.cpu[0] as number,
    batch.textOf(0),
  ];
}

test('console: reads each form of prefix', () => {
  const U = LEVEL_UNKNOWN;
  const cases: [string, (number | bigint | string)[]][] = [
    ['[   12.345678] text', [U, 0, 12_345_678_000n, -1, -1, 'text']],
    ['<6>[   12.345678] text', [6, 0, 12_345_678_000n, -1, -1, 'text']],
    ['<30>[12345.345678] text', [6, 3, 12_345_345_678_000n, -1, -1, 'text']],
    ['<4>text without a time', [4, 0, NO_RAW_TIME, -1, -1, 'text without a time']],
    ['[   12.345678][  T123] text', [U, 0, 12_345_678_000n, 123, -1, 'text']],
    ['[   12.345678][    C0] text', [U, 0, 12_345_678_000n, -1, 0, 'text']],
    ['[   12.345678] [    T0] text', [U, 0, 12_345_678_000n, 0, -1, 'text']],
    ['[   12.345678][T1234567] text', [U, 0, 12_345_678_000n, 1_234_567, -1, 'text']],
    ['[   12.345678] [T1] is text', [U, 0, 12_345_678_000n, -1, -1, '[T1] is text']],
    ['kern  :info  : [   12.345678] text', [6, 0, 12_345_678_000n, -1, -1, 'text']],
    ['authpriv:crit  : [   12.345678] text', [2, 10, 12_345_678_000n, -1, -1, 'text']],
    ['[Mon Nov 23 09:12:36 2026] text', [U, 0, 1_795_425_156_000_000_000n, -1, -1, 'text']],
    ['2026-11-23T10:12:36,309382+01:00 text', [U, 0, 1_795_425_156_309_382_000n, -1, -1, 'text']],
    ['[    1.309382 <    0.002281>] text', [U, 0, 1_309_382_000n, -1, -1, 'text']],
    ['[    1.309382]  indented', [U, 0, 1_309_382_000n, -1, -1, ' indented']],
    ['[    1.309382] ', [U, 0, 1_309_382_000n, -1, -1, '']],
    ['[... 47 lines cut ...]', [U, 0, NO_RAW_TIME, -1, -1, '[... 47 lines cut ...]']],
    ['[  OK  ] Started getty', [U, 0, NO_RAW_TIME, -1, -1, '[  OK  ] Started getty']],
    ['[Mon Foo 99 09:12:36 2026] text', [U, 0, NO_RAW_TIME, -1, -1, '[Mon Foo 99 09:12:36 2026] text']],
    ['<9999>text', [U, 0, NO_RAW_TIME, -1, -1, '<9999>text']],
  ];
  for (const [line, expected] of cases) assert.deepEqual(readLine(line), expected, line);
});

test('console: a stamp in the middle of a line starts a record and marks the one before as torn', () => {
  const { batch, texts } = parse(
    'MK_AGENT_ST[    1.204511] virtio-pci: probe\nART\n[    2.000000] half of a<4>[    2.000001][   T12] whole\n',
  );
  assert.deepEqual(texts, ['MK_AGENT_ST', 'virtio-pci: probe', 'ART', 'half of a', 'whole']);
  assert.deepEqual(
    Array.from({ length: 5 }, (_row, row) => (batch.flags[row] as number) & LOG_FLAG.torn),
    [LOG_FLAG.torn, 0, 0, LOG_FLAG.torn, 0],
  );
  assert.equal(batch.level[4], 4);
});

test('console: brackets in the text are no stamps', () => {
  const text = '[    0.000000] BIOS-e820: [mem 0x0-0x9] usable [12.5] [    1.23456] [1.234567]x\n';
  assert.deepEqual(parse(text).texts, ['BIOS-e820: [mem 0x0-0x9] usable [12.5] [    1.23456] [1.234567]x']);
});

test('console: takes out ANSI sequences and NULs, ends lines at CR and LF, drops empty lines', () => {
  const { texts, batch } = parse(
    '\0\0\u001b[2J\u001b[1;1H\u001b[0m[    0.000001] a\u001b[31mb\u001b[0m\r\r\n\n\r\n\u001b]0;title\u0007c\0d\n10%\r20%\r\n\u001b(B\u001b[\n',
  );
  assert.deepEqual(texts, ['ab', 'cd', '10%', '20%']);
  assert.equal(batch.rawTime.getBigint(0), 1000n);
});

test('console: dropped notices are losses with the window around them', () => {
  const { batch, session } = parse(
    '** 2 printk messages dropped **\n[    1.000000] a\n** 123 printk messages dropped ** [    5.000000] b\n** replaying previous printk message **\n[    5.000000] b\n** 7 printk messages dropped **\n',
  );
  assert.equal(session.counts.lost, 132);
  assert.equal(batch.length, 7);
  const notices = Array.from({ length: 7 }, (_row, row) => ((batch.flags[row] as number) & LOG_FLAG.lossNotice) > 0);
  assert.deepEqual(notices, [true, false, true, false, false, false, true]);
  assert.deepEqual(
    session.takeLosses().map(({ count, fromRaw, toRaw }) => [count, fromRaw, toRaw]),
    [
      [2, NO_RAW_TIME, 1_000_000_000n],
      [123, 1_000_000_000n, 5_000_000_000n],
      [7, 5_000_000_000n, NO_RAW_TIME],
    ],
  );
});

test('console: guesses a level only in clear cases, and says so', () => {
  const { batch } = parse(
    '[    1.000000] Kernel panic - not syncing: x\n[    1.000000] BUG: unable to handle page fault\n[    1.000000] all is well\n<6>[    1.000000] BUG: told to be info\nBUG: from user space\n',
  );
  assert.deepEqual([...batch.level.subarray(0, 5)], [0, 1, LEVEL_UNKNOWN, 6, LEVEL_UNKNOWN]);
  assert.deepEqual(
    Array.from({ length: 5 }, (_row, row) => ((batch.flags[row] as number) & LOG_FLAG.levelGuessed) > 0),
    [true, true, false, false, false],
  );
});

test('console: each kernel banner is a boot; one that user space prints is not', () => {
  const { batch } = parse(
    '[    0.000000] Linux version 7.0\n[    9.000000] up\nLinux version 7.0 (cat /proc/version)\n[    0.000000] Linux version 7.1\n',
  );
  assert.deepEqual(
    Array.from({ length: 4 }, (_row, row) => ((batch.flags[row] as number) & LOG_FLAG.bootMark) > 0),
    [true, false, false, true],
  );
});

test('console: without any time the banner still marks the boot', () => {
  const { batch } = parse('<5>Linux version 7.0\n<6>x86/fpu: x87\n');
  assert.equal(batch.flags[0], LOG_FLAG.bootMark | LOG_FLAG.timeUncertain);
});

test('console: dmesg -e sums its steps up, whole minutes correct them', () => {
  const { batch } = parse('[Nov23 07:39] a\n[  +0.500000] b\n[  +0.000005] c\n[Nov23 07:41] d\n[  +1.000000] e\n');
  const times = Array.from({ length: 5 }, (_row, row) => batch.rawTime.getBigint(row));
  assert.deepEqual(times, [0n, 500_000_000n, 500_005_000n, 120_000_000_000n, 121_000_000_000n]);
  assert.ok((batch.flags[1] as number) & LOG_FLAG.timeUncertain);
});

test('console: a stamp on another clock than the first stays in the text', () => {
  const { batch, texts } = parse('[    1.000000] a\n2026-11-23T09:12:36,309382+00:00 b\n');
  assert.equal(batch.clock, 'printk');
  assert.deepEqual(texts, ['a', '2026-11-23T09:12:36,309382+00:00 b']);
  assert.equal(batch.rawTime.getBigint(1), NO_RAW_TIME);
});

test('console: a line without an end is cut into torn records', () => {
  const session = openConsole();
  const batch = new LogBatch();
  const flood = new Uint8Array(1 << 20).fill(0x61);
  const used = session.parse(flood, batch);
  assert.ok(flood.length - used <= 17 << 10, `keeps ${flood.length - used} bytes`);
  assert.equal(batch.length, 63);
  assert.equal(batch.flags[0], LOG_FLAG.torn | LOG_FLAG.timeUncertain);
});

test('console: a follower counts on from where it stopped', () => {
  const session = openConsole({ firstSequence: 41 });
  const batch = new LogBatch();
  session.finish(encodeUtf8('a\nb\n'), batch);
  assert.deepEqual([...batch.sequence.subarray(0, 2)], [41, 42]);
});

test('console: sniff needs one line that only a kernel prints', () => {
  const accept = [
    'text\n\n<6>[    1.000000] a\n',
    '[    1.000000] a',
    'kern  :info  : no time\n',
    '<6>a\n<4>b\n',
    '\u001b[0m[    0.000000] Linux\r\n',
  ];
  const refuse = [
    'text\n',
    '[1] a\n',
    '{"dmesg": []}\n',
    '6,1,1,-;[    1.000000] a\n',
    '# tracer: nop\n[    1.000000] a\n',
    '<html>\n<p>a\n',
  ];
  for (const text of accept) assert.equal(consoleText.sniff(encodeUtf8(text)), true, text);
  for (const text of refuse) assert.equal(consoleText.sniff(encodeUtf8(text)), false, text);
});

test('console: a line that looks like the one before it, but for its bytes, has no stamp', () => {
  const fill = '[    0.473630] a\n'.repeat(3);
  const { batch } = parse(
    `[${'\0'.repeat(6)}473630] b ${'.'.repeat(40)}\n${fill}[    0.4736:0] b\n[    0.47363/] b\n[    0x473630] b\n${fill}`,
  );
  const stamped = Array.from({ length: batch.length }, (_, row) => batch.rawTime.getBigint(row) !== NO_RAW_TIME);
  assert.deepEqual(stamped, [false, true, true, true, false, false, false, true, true, true]);
});
