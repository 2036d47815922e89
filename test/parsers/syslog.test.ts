import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeUtf8 } from '../../base/bytes.ts';
import { LOG_FLAG, LogBatch } from '../../model/log-batch.ts';
import { NO_RAW_TIME } from '../../model/time.ts';
import { journalExport } from '../../parsers/journal-export.ts';
import { journalJson } from '../../parsers/journal-json.ts';
import { sniffParsers } from '../../parsers/index.ts';
import { syslog } from '../../parsers/syslog.ts';
import { WallTime } from '../../parsers/syslog-time.ts';

const WRITTEN = BigInt(Date.UTC(2026, 0, 2)) * 1_000_000n;

function read(text: string, parser = syslog): { batch: LogBatch; session: ReturnType<typeof syslog.open> } {
  const batch = new LogBatch();
  const session = parser.open({ writtenUnixNs: WRITTEN });
  session.finish(encodeUtf8(text), batch);
  return { batch, session };
}

function readTime(text: string, at = 0): string | undefined {
  const wall = new WallTime(WRITTEN);
  return wall.read(text, at) && wall.micros !== undefined ? new Date(wall.micros / 1000).toISOString() : undefined;
}

test('syslog: reads each wall clock; one without a year is of the last such day before the file was written', () => {
  assert.equal(readTime('Jan  1 23:59:59 web1'), '2026-01-01T23:59:59.000Z');
  assert.equal(readTime('Dec 31 23:59:59 web1'), '2025-12-31T23:59:59.000Z');
  // Local time may be ahead.
  assert.equal(readTime('Jan  2 09:00:00 web1'), '2026-01-02T09:00:00.000Z');
  assert.equal(readTime('Feb 29 01:02:03.250000 web1'), '2024-02-29T01:02:03.250Z');
  assert.equal(readTime('2026-11-26T14:28:28.672542+01:00 web1'), '2026-11-26T13:28:28.672Z');
  assert.equal(readTime('2026-11-26T14:28:28-0530 web1'), '2026-11-26T19:58:28.000Z');
  assert.equal(readTime('Thu 2026-11-26 14:28:28 CET web1'), '2026-11-26T13:28:28.000Z');
  assert.equal(readTime('[Thu Nov 26 14:28:28 2026] text', 1), '2026-11-26T14:28:28.000Z');
  assert.equal(readTime('1795703308.672542 web1'), '2026-11-26T14:28:28.672Z');
  assert.equal(readTime('14:28:28.672 text'), undefined);
  assert.equal(readTime('Foo 12 14:28:28 text'), undefined);
  assert.equal(readTime('Jan 12 25:28:28 text'), undefined);
});

test('syslog: the least delayed line of a boot tells its time, and each boot its own', () => {
  const boot = (minute: number): string =>
    [
      `Jan  1 10:0${minute}:20 web1 kernel: [    0.000000] Linux version 6.12.1`,
      `Jan  1 10:0${minute}:20 web1 kernel: [    3.500000] read with the rest`,
      `Jan  1 10:0${minute}:31 web1 kernel: [   22.250000] read at once`,
      `Jan  1 10:0${minute}:40 web1 sshd[812]: Accepted`,
    ].join('\n');
  const { batch, session } = read(`${boot(1)}\n${boot(5)}\n`);
  const moments = session.takeMoments?.() ?? [];
  assert.deepEqual(
    moments.map(({ boot: index, raw, unixHigh, ofLine }) => [index, raw, new Date(Number(unixHigh / 1_000_000n)).toISOString(), ofLine]),
    [
      [0, 22_250_000_000n, '2026-01-01T10:01:32.000Z', 'local'],
      [1, 22_250_000_000n, '2026-01-01T10:05:32.000Z', 'local'],
    ],
  );
  assert.equal(batch.rawTime.getBigint(3), NO_RAW_TIME);
  assert.equal(batch.observedTime.getBigint(3), BigInt(Date.UTC(2026, 0, 1, 10, 1, 40)) * 1_000_000n);
});

test('syslog: a program cannot write the kernel’s lines', () => {
  const { batch } = read(
    'Jan  1 10:01:20 web1 kernel: [    1.000000] a\nJan  1 10:01:20 web1 evil[1]: kernel: [    2.000000] Kernel panic - not syncing: no\n',
  );
  assert.equal((batch.flags[1] as number) & LOG_FLAG.userSpace, LOG_FLAG.userSpace);
  assert.equal(batch.rawTime.getBigint(1), NO_RAW_TIME);
});

test('syslog: what journald missed is a loss, a boot that journalctl tells is one', () => {
  const { batch, session } = read(
    [
      '-- Journal begins at Thu 2026-01-01 10:00:00 UTC, ends at Thu 2026-01-01 11:00:00 UTC. --',
      'Jan 01 10:01:20 web1 kernel: usb 1-1: new device',
      'Jan 01 10:01:21 web1 systemd-journald[101]: Missed 13 kernel messages',
      'Jan 01 10:01:22 web1 kernel: usb 1-1: gone',
      '-- Boot 5f1d0a3c9d4e4a5b8c7d6e5f4a3b2c1d --',
      'Jan 01 10:03:22 web1 kernel: microcode: updated early',
      'Jan 01 10:03:22 web1 kernel: Linux version 6.12.1',
    ].join('\n'),
  );
  assert.equal(batch.length, 5);
  assert.deepEqual(
    Array.from({ length: 5 }, (_, row) => (batch.flags[row] as number) & LOG_FLAG.bootMark),
    [0, 0, 0, LOG_FLAG.bootMark, 0],
  );
  const second = 1_000_000_000n;
  const missedNs = BigInt(Date.UTC(2026, 0, 1, 10, 1, 21)) * 1_000_000n;
  assert.deepEqual(session.takeLosses(), [{ cpu: -1, count: 13, fromRaw: missedNs - second, toRaw: missedNs, reason: 'kmsg_overwritten' }]);
  assert.equal(session.counts.lost, 13);
});

test('syslog: lines of another host say so', () => {
  const line = (host: string): string => `Jan  1 10:01:20 ${host} kernel: [    1.000000] a\n`;
  const { batch } = read(line('web1') + line('web1') + line('web2'));
  assert.deepEqual(
    [0, 1, 2].map((row) => batch.attributes.rowOf(row)),
    [{}, {}, { 'host.name': 'web2' }],
  );
});

test('syslog: text of others is not taken for it', () => {
  for (const text of [
    '2026-11-23T09:12:36,309382+00:00 usb 1-1: new device\n2026-11-23T09:12:36,309383+00:00 usb 1-2: new device\n',
    '[    1.000000] web1 text: of a kernel\n[    1.000000] usb 1-1: new device\n',
    '[Mon Nov 23 09:12:36 2026] usb 1-1: new device\n[Mon Nov 23 09:12:37 2026] usb 1-1: gone\n',
  ])
    assert.deepEqual(
      sniffParsers(encodeUtf8(text)).map(({ id }) => id),
      ['console'],
      text,
    );
});

test('journal: a field of bytes is text, an entry cut off is told', () => {
  const entry = (message: string): string =>
    `{"__REALTIME_TIMESTAMP":"1","_TRANSPORT":"kernel","SYSLOG_FACILITY":"0","MESSAGE":${message}}\n`;
  const { batch, session } = read(`${entry('[97,98,27]')}${entry('null')}{"MESSAGE":"x`, journalJson);
  assert.equal(batch.textOf(0), 'ab\u001b');
  assert.deepEqual(
    [...session.counts.malformed],
    [
      ['entry without a message', 1],
      ['unfinished entry', 1],
    ],
  );
  const cut = read('__CURSOR=1\nMESSAGE\n\u0010\0\0\0\0\0\0\0first', journalExport);
  assert.deepEqual([cut.batch.length, ...cut.session.counts.malformed], [0, ['unfinished entry', 1]]);
});
