import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fieldsOfFilter, joinEventFilters, parseEventFilter, toFilterReader } from '../../correlate/event-filter.ts';
import { toEventBatch } from '../support/ikc-events.ts';

/** One event with fields of each kind, and the same as text. */
const FIELDS = { small: -5, wide: 0xffff_8000_0000_0001n, name: 'eth0', text: '0x1f' } as const;

function passes(filter: string): boolean {
  const batch = toEventBatch([{ event: 'a:b', atNs: 1, fields: FIELDS }]);
  const [table] = batch.tables;
  assert.ok(table !== undefined);
  return toFilterReader(parseEventFilter(filter), batch, table)(0);
}

test('event filter: compares numbers of any width, numbers that stand as text, and texts', () => {
  for (const yes of [
    'small == -5',
    'small < 0 && small >= -5',
    'wide == 0xffff800000000001',
    'wide > 0x7fffffffffffffff',
    'wide & 1',
    'text == 31',
    'text <= 0x1f',
    'name == eth0',
    'name == "eth0"',
    "name != 'eth1'",
    'name ~ "et*"',
    'name ~ "e?h0"',
    '!(name ~ "*1")',
    'small == 1 || (small == -5 && name == eth0)',
    'small == 1 && name == eth0 || text & 0x10',
    'name != 5',
  ])
    assert.equal(passes(yes), true, yes);
  for (const no of [
    'small == 5',
    'wide < 5',
    'wide & 2',
    'name == eth',
    'name ~ "eth"',
    'missing == 0',
    'missing != 0',
    'name == 5',
    '!small == -5',
  ])
    assert.equal(passes(no), false, no);
});

test('event filter: what is none is said', () => {
  for (const [filter, why] of [
    ['', /its end where the name of a field should be/],
    ['small', /its end behind small/],
    ['small = 5', /"= 5" is no part of a filter/],
    ['small == ', /its end where a value should be/],
    ['small < eth0', /"eth0" behind <, where a number should be/],
    ['(small == 1', /a "\(" without its "\)"/],
    ['small == 1)', /"\)" where && or \|\| should be/],
    ['small == 1 name == 2', /"name" where && or \|\| should be/],
    [`${'('.repeat(20)}a == 1${')'.repeat(20)}`, /nested deeper/],
    ['name ~ "*a*b*c*d*e*"', /more than 4/],
    [`a == ${'1'.repeat(600)}`, /more than 512/],
    ['a == 1\n|| b == 1;', /";" is no part/],
  ] as const)
    assert.throws(() => parseEventFilter(filter), { message: why }, filter);
});

test('event filter: several are one for the kernel, with texts in quotes; one that takes all makes it none', () => {
  assert.equal(joinEventFilters(['name == eth0', 'len > 5 && name ~ mk-*']), '(name == "eth0") || ((len > 5) && (name ~ "mk-*"))');
  assert.equal(joinEventFilters(["name == 'a' "]), 'name == "a"');
  assert.equal(joinEventFilters(['a == 1', undefined]), undefined);
  assert.equal(joinEventFilters([]), undefined);
  assert.deepEqual(fieldsOfFilter(parseEventFilter('a == 1 && !(b ~ x || c & 2)')), ['a', 'b', 'c']);
});

test('event filter: what is written for the kernel means what was read', () => {
  const leaf = fc
    .record({
      field: fc.constantFrom('small', 'wide', 'text', 'missing'),
      operator: fc.constantFrom('==', '!=', '<', '<=', '>', '>=', '&'),
      value: fc.integer({ min: -9, max: 40 }),
    })
    .map(({ field, operator, value }) => `${field} ${operator} ${value}`);
  const { tree } = fc.letrec<{ tree: string }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 3 },
      leaf,
      fc.tuple(tie('tree'), fc.constantFrom('&&', '||'), tie('tree')).map(([a, op, b]) => `(${a}) ${op} (${b})`),
      tie('tree').map((inner) => `!(${inner})`),
    ),
  }));
  fc.assert(fc.property(tree, (source) => source.length > 500 || passes(joinEventFilters([source]) ?? '') === passes(source)));
});
