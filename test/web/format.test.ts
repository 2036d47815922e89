import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERROR_CODES } from '../../base/errors.ts';
import { LEVEL_NAMES } from '../../model/severity.ts';
import type { LedgerRow, LogRow } from '../../model/api.ts';
import { explainBalance } from '../../web/format/balance.ts';
import { quoteShell, toLogsCommand, toQueryCommand, toRfc3339 } from '../../web/format/command.ts';
import { LEVELS } from '../../web/format/level.ts';
import { formatBytes, formatCompact, formatPercent, formatRate } from '../../web/format/number.ts';
import { isReport, readReport } from '../../web/format/report.ts';
import { escapeControls, escapeLines, splitMatches, toDisplayLine, toHighlight } from '../../web/format/text.ts';
import {
  compareDecimal,
  formatClockError,
  formatDuration,
  formatRaw,
  formatUptime,
  formatWall,
  parseSpan,
  parseUnixNs,
} from '../../web/format/time.ts';

const ESC = String.fromCharCode(27);
const NUL = String.fromCharCode(0);

test('page text: control characters, bidi overrides and zero-width marks are shown, not obeyed', () => {
  assert.equal(escapeControls(`a${ESC}[31mb`), String.raw`a\x1b[31mb`);
  assert.equal(escapeControls(`${NUL}\u009b\u202Etxt\u200b\u2066`), String.raw`\x00\x9b\u202etxt\u200b\u2066`);
  assert.equal(escapeControls('\u{e0041}'), String.raw`\u{e0041}`);
  assert.equal(escapeControls('one\ntwo\tthree'), 'one↵two  three');
  assert.equal(escapeLines('one\r\ntwo'), `one${String.raw`\x0d`}\ntwo`);
  assert.equal(escapeControls('<b>größe µs</b>'), '<b>größe µs</b>');
});

test('page text: a long line is cut before it is escaped', () => {
  assert.equal(toDisplayLine('x'.repeat(1000), 10), `${'x'.repeat(10)} …`);
  assert.equal(toDisplayLine('short', 10), 'short');
});

test('page text: parts put together give the text back, and hits are what matches', () => {
  for (const pattern of ['o', 'oo', '.*', 'x', '^$', '(foo|bar)']) {
    const parts = splitMatches('foo boo bar', toHighlight(pattern, true));
    assert.equal(parts.map((part) => part.text).join(''), 'foo boo bar', pattern);
  }
  const hits = splitMatches('A.b a.B axb', toHighlight('a.b', false)).filter((part) => part.hit);
  assert.deepEqual(
    hits.map((part) => part.text),
    ['A.b', 'a.B'],
  );
});

test('page text: a pattern that could backtrack for ever, or is none, is not used for highlighting', () => {
  assert.equal(toHighlight('(a+)+$', true), undefined);
  assert.equal(toHighlight('(a|a){30}', true), undefined);
  assert.equal(toHighlight('(', true), undefined);
  assert.equal(toHighlight('', false), undefined);
  assert.ok(toHighlight('(', false));
});

test('page time: all nine digits survive', () => {
  const unixNs = parseUnixNs('1763890125123456789');
  assert.equal(unixNs, 1763890125123456789n);
  assert.match(formatWall(unixNs as bigint, 9), /^\d\d:\d\d:\d\d\.123456789$/);
  assert.match(formatWall(unixNs as bigint, 0), /^\d\d:\d\d:\d\d$/);
  assert.equal(toRfc3339(1763890125123456789n), '2025-11-23T09:28:45.123456789Z');
  for (const bad of [undefined, '', 'now', '1e9', '12345678901234567890']) assert.equal(parseUnixNs(bad), undefined);
});

test('page time: decimal strings compare as the numbers they are', () => {
  assert.ok(compareDecimal('9', '10') < 0);
  assert.ok(compareDecimal('1763890125123456790', '1763890125123456789') > 0);
  assert.equal(compareDecimal('5', '5'), 0);
});

test('page time: durations keep three digits in the largest unit that fits', () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, '0'],
    [1, '1 ns'],
    [999, '999 ns'],
    [1234, '1.23 µs'],
    [999_999, '1 ms'],
    [1_500_000, '1.5 ms'],
    [61e9, '1.02 min'],
    [200e9, '3.33 min'],
    [-2e6, '-2 ms'],
  ];
  for (const [ns, text] of cases) assert.equal(formatDuration(ns), text);
  assert.equal(formatClockError(-1), '± unknown');
  assert.equal(formatClockError(810), '± 810 ns');
});

test('page time: a raw stamp looks as the kernel prints it', () => {
  assert.equal(formatRaw('12345678901', 'printk'), '12.345678');
  assert.equal(formatRaw('5', 'printk'), '0.000000');
  assert.equal(formatRaw('987654321', 'x86-tsc'), '987654321');
  assert.equal(formatRaw('-1', 'printk'), 'no stamp');
  assert.equal(formatUptime(93_784), '1 d 2 h');
  assert.equal(formatUptime(-1), 'unknown');
  assert.equal(parseSpan('15m'), 900);
  assert.equal(parseSpan('15'), undefined);
});

test('page numbers: units and digits', () => {
  assert.equal(formatBytes(0), '0 B');
  assert.equal(formatBytes(1536), '1.50 KiB');
  assert.equal(formatBytes(24105 * 2 ** 20), '23.5 GiB');
  assert.equal(formatCompact(9999), '9,999');
  assert.equal(formatCompact(1_284_032), '1.28 M');
  assert.equal(formatRate(0.04), '< 0.1');
  assert.equal(formatPercent(-1), '–');
  assert.equal(formatPercent(0.4217), '42 %');
});

test('page command: what is shown becomes a command that a shell takes as it is', () => {
  assert.equal(quoteShell("it's; rm -rf $HOME"), String.raw`'it'\''s; rm -rf $HOME'`);
  assert.equal(
    toLogsCommand({ kernel: 'host', level: 4, stream: 'kmsg', search: 'a.b', regex: false }, { since: '15m' }, true),
    String.raw`mkscope logs -f --kernel host --level warn --stream kmsg --grep '(?i)a\.b' --since 15m`,
  );
  assert.equal(toLogsCommand({ search: 'oom|panic', regex: true }, {}, false), "mkscope logs --grep 'oom|panic'");
  assert.equal(toQueryCommand(' SELECT 1 '), "mkscope query 'SELECT 1'");
});

test('page levels: the table is the one of the model', () => {
  assert.deepEqual(LEVELS, LEVEL_NAMES);
  assert.ok('E_HUB_UNREACHABLE' in ERROR_CODES, 'the page shows this code when the hub is away');
});

test('page ledger: each balance is explained in words', () => {
  const row: LedgerRow = {
    machine: 'm',
    kernelId: 0,
    kernelName: 'host',
    bootId: 'b',
    stream: 'kmsg',
    cpu: -1,
    written: 100,
    stored: 100,
    lost: 0,
    dropped: 0,
    kept: 0,
    overwritten: 0,
    inFlight: 0,
    balance: 0,
    state: 'balanced',
    asOfUnixNs: '0',
  };
  assert.equal(explainBalance(row), 'Every record written is stored.');
  assert.match(explainBalance({ ...row, stored: 90, lost: 7, inFlight: 3 }), /7 lost .* 3 on their way/);
  assert.match(
    explainBalance({ ...row, stored: 10, kept: 60, overwritten: 30 }),
    /60 in the flight recorder, 30 fell out of the flight recorder before/,
  );
  assert.match(explainBalance({ ...row, stored: 90, balance: 10, state: 'unbalanced' }), /^10 records were written .* missing/);
  assert.match(explainBalance({ ...row, stored: 110, balance: -10, state: 'unbalanced' }), /^10 records more/);
  assert.match(explainBalance({ ...row, written: -1, state: 'uncounted' }), /no count/);
});

/** The record of a report, as far as the page reads it. */
function toReportRow(report: unknown): LogRow {
  return { eventName: 'kernel.oops', attributes: { 'mk.report': JSON.stringify(report) } } as unknown as LogRow;
}

test('page report: says what a report says, in the kernel’s words', () => {
  const row = toReportRow({
    kind: 'oops',
    type: 'NULL pointer dereference',
    at: { symbol: 'fault_oops', offset: 10, size: 32, module: 'mkfault', certain: true },
    comm: 'sh',
    pid: 95,
    killed: [{ comm: 'hog', pid: 7, sizesKb: { 'anon-rss': 12 } }],
    stacks: [{ title: 'Call Trace', frames: [{ symbol: '', address: 'c0de', certain: false, stack: 'TASK' }] }],
    incomplete: ['lines were lost inside'],
  });
  assert.ok(isReport(row));
  const report = readReport(row);
  assert.deepEqual(report?.facts, [
    ['what', 'NULL pointer dereference'],
    ['where', 'fault_oops+0xa/0x20 [mkfault]'],
    ['task', 'sh (95)'],
    ['killed', 'hog (7), anon-rss 12 kB'],
  ]);
  assert.deepEqual(report.stacks, [{ title: 'Call Trace', frames: [{ text: '0xc0de', module: '', certain: false, stack: '' }] }]);
  assert.equal(report.incomplete, 'lines were lost inside');
});

test('page report: members of another type, from whoever sent them, break nothing', () => {
  const bad = [{ toString: 1, valueOf: 1 }, [null], 7, 'x', true, null];
  const frame = { symbol: 'f', certain: true };
  for (const value of bad) {
    const list = [value, { comm: value, pid: value, operation: value, values: { a: value }, sizesKb: value, letter: value, lock: value }];
    const report = readReport(
      toReportRow({
        type: value,
        at: { ...frame, offset: value, size: value, module: value },
        comm: value,
        cpu: value,
        killed: list,
        accesses: list,
        locks: list,
        machineChecks: list,
        taints: list,
        details: value,
        decoded: [value],
        registers: { RAX: value },
        code: { bytes: [value], faultAt: value },
        stacks: [
          value,
          { title: value, frames: value },
          { title: value, frames: [{ symbol: value, module: value, stack: value, offset: value }] },
        ],
        incomplete: value,
      }),
    );
    const texts = [report?.facts, report?.registers, report?.taints, report?.code?.bytes, report?.incomplete].flat(3);
    const stacks = report?.stacks.flatMap(({ title, frames: own }) => [title, own.map(({ text, module, stack }) => [text, module, stack])]);
    assert.ok([...texts, ...(stacks ?? [undefined])].flat(2).every((text) => typeof text === 'string'));
  }
});
