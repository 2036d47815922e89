import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isOperational } from '../../base/errors.ts';
import { parseFlags, toChoice, toCount } from '../../cli/flags.ts';
import type { OptionTable } from '../../cli/flags.ts';

const OPTIONS = {
  follow: { type: 'boolean', short: 'f', help: '' },
  lines: { type: 'string', short: 'n', value: 'N', help: '' },
  kernel: { type: 'string', short: 'k', multiple: true, value: 'NAME', help: '' },
} as const satisfies OptionTable;

const parse = (...argv: string[]) => parseFlags('logs', OPTIONS, argv, { least: 0, most: 1 });

function assertRefused(run: () => unknown, message: RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(isOperational(error));
    assert.equal(error.code, 'E_ARGS');
    assert.match(error.message, message);
    assert.notEqual(error.hint, '');
    return true;
  });
}

test('flags: short, long, joined and repeated forms are the same', () => {
  const { flags, positionals } = parse('-fn', '5', '--kernel=a', '-k', 'b', 'rest');
  assert.deepEqual({ ...flags }, { follow: true, lines: '5', kernel: ['a', 'b'] });
  assert.deepEqual(positionals, ['rest']);
  assert.deepEqual({ ...parse().flags }, { follow: false, lines: undefined, kernel: [] });
});

test('flags: a value may begin with a dash, and everything after -- is an argument', () => {
  assert.equal(parse('--lines', '-5').flags.lines, '-5');
  assert.deepEqual(parse('--', '--follow').positionals, ['--follow']);
});

test('flags: what the table does not have is refused with the nearest name', () => {
  assertRefused(() => parse('--folow'), /no option --folow; did you mean "--follow"\?/);
  assertRefused(() => parse('-x'), /no option -x$/);
  assertRefused(() => parse('--follow=yes'), /--follow takes no value/);
  assertRefused(() => parse('--lines'), /--lines needs a value: --lines N/);
  assertRefused(() => parse('--kernel', '--follow'), /--kernel needs a value/);
  assertRefused(() => parse('a', 'b'), /does not take the argument "b"/);
  assertRefused(() => parseFlags('query', {}, [], { least: 1, most: 1 }), /needs 1 more/);
});

test('flags: names of Object.prototype are no options', () => {
  assertRefused(() => parse('--constructor'), /no option --constructor/);
  assertRefused(() => parse('--__proto__'), /no option --__proto__/);
});

test('flags: numbers and words are checked', () => {
  assert.equal(toCount('lines', '5', 50), 5);
  assert.equal(toCount('lines', undefined, 50), 50);
  assert.equal(toCount('lines', '9', 50, 1, 9), 9);
  assertRefused(() => toCount('lines', '10', 50, 1, 9), /from 1 to 9/);
  for (const wrong of ['-1', '1.5', '', 'x', '1e3', '99999999999999999999'])
    assertRefused(() => toCount('lines', wrong, 50), /whole number/);
  assert.equal(toChoice('time', 'utc', ['local', 'utc'], 'local'), 'utc');
  assertRefused(() => toChoice('time', 'utcc', ['local', 'utc'], 'local'), /did you mean "utc"/);
});
