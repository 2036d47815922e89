import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeUtf8 } from '../../base/bytes.ts';
import { Interner } from '../../base/interner.ts';

test('interner: appended strings keep their ids and stay apart from interned ones, through every growth', () => {
  const strings = new Interner();
  const ids = new Map<number, string>();
  for (let i = 0; i < 5000; i++) {
    const text = `${'x'.repeat(i % 90)}${i}`;
    const bytes = encodeUtf8(text);
    const appended = strings.append(bytes, 0, bytes.length);
    const interned = strings.internString(text);
    assert.notEqual(appended, interned);
    assert.equal(strings.internString(text), interned);
    ids.set(appended, text).set(interned, text);
  }
  assert.equal(strings.size, ids.size + 1);
  for (const [id, text] of ids) assert.equal(strings.get(id), text);
  assert.equal(strings.append(new Uint8Array(4), 2, 2), 0);
});
