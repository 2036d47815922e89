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

test('interner: finds strings by words as by bytes, of any length and at any place', () => {
  const strings = new Interner();
  const bytes = encodeUtf8('sched_switch: prev_comm=swapper/1 sched_switch: prev_comm=swapper/2 ....');
  const view = new DataView(bytes.buffer);
  for (let round = 0; round < 2; round++) {
    for (let start = 0; start < bytes.length - 4; start++) {
      for (let end = start; end <= bytes.length - 4; end++) {
        const id = strings.internWords(view, bytes, start, end);
        assert.equal(id, strings.intern(bytes, start, end));
        assert.equal(strings.get(id), Buffer.from(bytes.subarray(start, end)).toString());
      }
    }
  }
});

test('interner: begins anew after it is cleared', () => {
  const strings = new Interner();
  const fill = (prefix: string): number[] => Array.from({ length: 1000 }, (_, i) => strings.internString(`${prefix}${i}`));
  const bytes = encodeUtf8('old7....');
  fill('old');
  strings.adopt(bytes);
  strings.clear();
  assert.equal(strings.size, 1);
  assert.equal(strings.find(bytes, 0, 4), -1);
  assert.equal(strings.get(0), '');
  const ids = fill('new');
  assert.deepEqual(
    ids,
    Array.from({ length: 1000 }, (_, i) => i + 1),
  );
  ids.forEach((id, i) => assert.equal(strings.get(id), `new${i}`));
});
