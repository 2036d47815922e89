import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuestConsole, type ConsoleRecord } from '../../collector/guest-console.ts';
import type { KernelClock } from '../../collector/kernel-clock.ts';
import { LogBatch } from '../../model/log-batch.ts';
import { NO_RAW_TIME, toUnixNs } from '../../model/time.ts';

const SECOND = 1_000_000_000n;
const BOOT = 1_790_000_000n * SECOND;

/** A guest whose printk clock stood at 0 at `bootNs`, exactly. */
function exactClock(bootNs: bigint): KernelClock {
  return {
    nowUnixNs: () => toUnixNs(bootNs),
    toUnixNs: (raw) => toUnixNs(raw + bootNs),
    traceFit: () => ({ baseRaw: '0', baseUnixNs: String(bootNs), nsPerTick: 1, errorNs: 0 }),
    traceLinks: () => ({}),
    wallLink: () => undefined,
    addMetrics: () => undefined,
    alignLogs: (batch) => {
      for (let row = 0; row < batch.length; row++) {
        const raw = batch.rawTime.getBigint(row);
        batch.unixTime.setBigint(row, raw === NO_RAW_TIME ? batch.observedTime.getBigint(row) : raw + bootNs);
      }
      return 7;
    },
  };
}

function log(...records: readonly (readonly [seconds: number, text: string])[]): LogBatch {
  const batch = new LogBatch(16);
  for (const [seconds, text] of records) batch.rawTime.setBigint(batch.addText(text, 6), BigInt(Math.round(seconds * 1e6)) * 1000n);
  return batch;
}

const bytes = (text: string): Uint8Array => Buffer.from(text);
const textsOf = (record: ConsoleRecord | undefined): string[] =>
  record === undefined ? [] : Array.from({ length: record.batch.length }, (_row, row) => record.batch.textOf(row));

function begun(): GuestConsole {
  const guest = new GuestConsole('console:spawn1');
  guest.begin(exactClock(BOOT), BOOT);
  return guest;
}

test('guest console: what the kernel log brings as well is stored once, whichever comes first', () => {
  const guest = begun();
  guest.noteLog(log([1, 'first'], [1.5, 'two\nlines']), BOOT + SECOND);
  guest.add(bytes('[    1.000000] first\n[    1.500000] two\n[    1.500000] lines\n[    2.000000] later\n'), BOOT + SECOND);
  assert.deepEqual(textsOf(guest.take(BOOT + SECOND)), []);
  guest.noteLog(log([2, 'later']), BOOT + 3n * SECOND);
  assert.deepEqual(textsOf(guest.take(BOOT + 10n * SECOND)), []);
  assert.equal(guest.repeated, 4);
});

test('guest console: a line that the serial port tore is known by what is left of it', () => {
  const guest = begun();
  guest.noteLog(log([1, 'ACPI: Interrupt link LNKE configured for IRQ 10'], [2, 'short']), BOOT + 2n * SECOND);
  guest.add(bytes('[    1.000000] ACPI: Iterrupt lnk LNKE configred for IRQ 10\n[    2.000000] shorter than that\n'), BOOT + 2n * SECOND);
  assert.deepEqual(textsOf(guest.take(BOOT + 9n * SECOND)), ['shorter than that']);
});

test('guest console: last words that never reach the log are handed on, on the guest’s clock', () => {
  const guest = begun();
  guest.noteLog(log([1, 'alive']), BOOT + SECOND);
  guest.add(bytes('[    1.000000] alive\n[    9.100000] Kernel panic - not syncing: test\n'), BOOT + 9n * SECOND);
  assert.equal(guest.take(BOOT + 10n * SECOND), undefined);
  const record = guest.take(BOOT + 11n * SECOND);
  assert.deepEqual(textsOf(record), ['Kernel panic - not syncing: test']);
  assert.equal(record?.batch.unixTime.getBigint(0), BOOT + 9_100_000_000n);
  assert.equal(record?.clockErrorNs, 7);
});

test('guest console: a line that the log has left behind is lost there, and waits no longer', () => {
  const guest = begun();
  guest.add(bytes('[    3.000000] overwritten in the ring\n'), BOOT + 3n * SECOND);
  guest.noteLog(log([4, 'after the flood']), BOOT + 4n * SECOND);
  assert.deepEqual(textsOf(guest.take(BOOT + 3n * SECOND)), ['overwritten in the ring']);
});

test('guest console: as long as the log is on its way, nothing is taken for lost', () => {
  const guest = begun();
  guest.add(bytes('[    1.000000] first\n[    2.000000] second\n'), BOOT);
  assert.deepEqual(textsOf(guest.take(BOOT + 9n * SECOND)), []);
  guest.noteLog(log([1, 'first']), BOOT + 9n * SECOND);
  assert.deepEqual(textsOf(guest.take(BOOT + 10n * SECOND)), []);
  guest.noteLog(log([2, 'second']), BOOT + 10n * SECOND);
  assert.deepEqual(textsOf(guest.take(BOOT + 30n * SECOND)), []);
  assert.equal(guest.repeated, 2);
});

test('guest console: a line without a stamp has the time at which it came, and says how sure that is', () => {
  const guest = begun();
  guest.add(bytes('hello from user space\n'), BOOT + 3n * SECOND);
  const record = guest.take(BOOT + 12n * SECOND);
  assert.deepEqual(textsOf(record), ['hello from user space']);
  assert.equal(record?.batch.unixTime.getBigint(0), BOOT + 3n * SECOND);
  assert.equal(record?.clockErrorNs, 1e9);
});

test('guest console: the next boot waits for its forwarder, and is not the old one’s', () => {
  const guest = begun();
  guest.add(bytes('[   50.000000] Kernel panic - not syncing: old\n'), BOOT + 50n * SECOND);
  guest.add(bytes('[    0.000000] Linux version 6.1.0 (builder@lab) #1\n[    0.500000] new boot\n'), BOOT + 60n * SECOND);
  const old = guest.take(BOOT + 63n * SECOND);
  assert.deepEqual(textsOf(old), ['Kernel panic - not syncing: old']);
  guest.begin(exactClock(BOOT + 59n * SECOND), BOOT + 64n * SECOND);
  guest.noteLog(log([0, 'Linux version 6.1.0 (builder@lab) #1']), BOOT + 65n * SECOND);
  const next = guest.take(BOOT + 67n * SECOND);
  assert.deepEqual(textsOf(next), ['new boot']);
  assert.equal(next?.batch.unixTime.getBigint(0), BOOT + 59_500_000_000n);
});

test('guest console: a kernel that never says who it is costs bounded memory, and what goes is counted', () => {
  const guest = new GuestConsole('console:silent');
  for (let at = 0; at < 20_000; at++) guest.add(bytes(`[    1.${String(at).padStart(6, '0')}] line\n`), BOOT);
  assert.equal(guest.take(BOOT + 60n * SECOND, true), undefined);
  assert.equal(guest.dropped, 20_000 - 16_384);
});
