/** Bodies of fixed parts: what a pattern takes, and what its fields are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeUtf8 } from '../../base/bytes.ts';
import { Interner } from '../../base/interner.ts';
import { Scan } from '../../parsers/ftrace-own-scan.ts';

/** The fields of a text by name; undefined where the pattern does not take it. */
function scan(pattern: string, text: string): Record<string, string> | undefined {
  const rule = new Scan(pattern);
  const bytes = encodeUtf8(`x${text}x`);
  if (!rule.read(bytes, 1, bytes.length - 1)) return undefined;
  const strings = new Interner();
  const columns = rule.fields.map(() => new Uint32Array(2));
  rule.write(columns, 0, bytes, strings);
  return Object.fromEntries(
    rule.fields.map(({ name, kind }, field) => {
      const [low = 0, high = 0] = columns[field] as Uint32Array;
      return [name, kind === 'string' ? strings.get(low) : String((BigInt(high) << 32n) | BigInt(low))];
    }),
  );
}

test('own scan: a literal with a blank in front takes several, a lone blank one, and all must be there to the end', () => {
  assert.deepEqual(scan('#{a} of {b:word} ns', '#7    of   x ns'), { a: '7', b: 'x' });
  assert.equal(scan('#{a} of {b:word} ns', '#7of x ns'), undefined);
  assert.equal(scan('#{a} of {b:word} ns', '#7 of x ns '), undefined);
  assert.equal(scan('#{a} of {b:word} ns', '#7 of x n'), undefined);
  assert.deepEqual(scan('{a} {b:rest}', '1  x y '), { a: '1', b: ' x y ' });
  assert.deepEqual(scan('{a}:{b:char} [{c}]', ' 1:R [002]'), { a: '1', b: 'R', c: '2' });
});

test('own scan: what may be missing is 0, each by itself', () => {
  const pattern = 'ts:{t:ns}[| count:{n}|][| nmi:{m}|]';
  assert.deepEqual(scan(pattern, 'ts:1.5'), { t: '1500000000', n: '0', m: '0' });
  assert.deepEqual(scan(pattern, 'ts:1.5 count:3'), { t: '1500000000', n: '3', m: '0' });
  assert.deepEqual(scan(pattern, 'ts:1.5 nmi:4'), { t: '1500000000', n: '0', m: '4' });
  assert.deepEqual(scan(pattern, 'ts:1.5 count:3 nmi:4'), { t: '1500000000', n: '3', m: '4' });
  assert.equal(scan(pattern, 'ts:1.5 count:'), undefined);
});

test('own scan: numbers are exact, and bounded', () => {
  assert.deepEqual(scan('{t:ns}', '1795652624.902697281'), { t: '1795652624902697281' });
  assert.deepEqual(scan('{t:ns}', '9999999999.999999999'), { t: '9999999999999999999' });
  assert.equal(scan('{t:ns}', '99999999999.9'), undefined);
  assert.equal(scan('{t:ns}', '1.1234567890'), undefined);
  assert.equal(scan('{t:ns}', '1.'), undefined);
  assert.deepEqual(scan('{p:e5}', '3.89634'), { p: '389634' });
  assert.deepEqual(scan('{n}', '999999999999999'), { n: '999999999999999' });
  assert.equal(scan('{n}', '9999999999999999'), undefined);
  assert.equal(scan('{n}', ''), undefined);
});
