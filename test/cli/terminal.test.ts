import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LogLineWriter } from '../../cli/log-line.ts';
import { cut, renderTable } from '../../cli/table.ts';
import { escapeControls, escapeLine } from '../../cli/terminal.ts';
import type { LogRow } from '../../model/api.ts';

const plain = (_style: string, text: string): string => text;

test('terminal: kernel text cannot steer the terminal', () => {
  assert.equal(escapeControls('a\x1b]0;owned\x07b'), String.raw`a\x1b]0;owned\x07b`);
  assert.equal(escapeControls('x\r\x9b31m\x7f'), String.raw`x\x0d\x9b31m\x7f`);
  assert.equal(escapeControls('left \u202e right'), String.raw`left \u202e right`);
  assert.equal(escapeControls('tab\tand\nline stay, ± and 字 too'), 'tab\tand\nline stay, ± and 字 too');
  assert.equal(escapeLine('two\nlines\tone'), String.raw`two\nlines one`);
});

test('terminal: no byte below 0x20 but tab and newline passes, whatever comes', () => {
  for (let code = 0; code < 0xa0; code++) {
    const shown = escapeControls(String.fromCharCode(code));
    const isControl = code < 0x20 || code >= 0x7f;
    if (!isControl || code === 9 || code === 10) assert.equal(shown, String.fromCharCode(code));
    else assert.match(shown, /^\\x[0-9a-f]{2}$/);
  }
});

test('table: aligns numbers right and cuts the last column to the width', () => {
  const table = renderTable(
    [{ title: 'NAME' }, { title: 'N', align: 'right' }, { title: 'TEXT' }],
    [
      ['a', '1', 'short'],
      ['long name', '1,000', 'x'.repeat(100)],
    ],
    { paint: plain, width: 40 },
  );
  assert.equal(table, ['NAME           N  TEXT', 'a              1  short', `long name  1,000  ${'x'.repeat(21)}…`, ''].join('\n'));
  assert.equal(cut('unchanged', undefined), 'unchanged');
});

const ROW: LogRow = {
  uid: 'b:kmsg:1',
  unixNs: '1777644306123456789',
  raw: '12345678901',
  clock: 'printk',
  errorNs: 100,
  machine: 'm',
  kernelId: 1,
  kernelName: 'spawn1',
  bootId: 'b',
  stream: 'kmsg',
  sequence: 1,
  level: 3,
  facility: 0,
  cpu: -1,
  pid: -1,
  caller: '',
  flags: 0,
  body: 'first\nsecond \x1b[31m',
  eventName: '',
  attributes: {},
};

test('logs: later lines of a record stand under its body', () => {
  const writer = new LogLineWriter(plain, 'raw');
  const [first = '', second = ''] = writer.write(ROW).split('\n');
  assert.equal(first, '[   12.345678]  spawn1 err    first');
  assert.equal(second, `${' '.repeat(first.indexOf('first'))}second ${String.raw`\x1b`}[31m`);
});

test('logs: bodies stay aligned when a longer kernel name turns up', () => {
  const writer = new LogLineWriter(plain, 'utc');
  const column = (row: LogRow): number => writer.write(row).indexOf('first');
  const wide = column({ ...ROW, kernelName: 'database-kernel' });
  assert.equal(column(ROW), wide);
});
