import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteWriter, decodeUtf8, encodeUtf8, toHex } from '../../base/bytes.ts';
import { Int64Array } from '../../base/int64.ts';
import { Interner } from '../../base/interner.ts';
import { AttributeColumns } from '../../model/attribute-columns.ts';

test('int64: numbers, words and bigints agree', () => {
  const column = new Int64Array(1);
  fc.assert(
    fc.property(fc.maxSafeInteger(), (value) => {
      column.setNumber(0, value);
      assert.equal(column.getBigint(0), BigInt(value));
      assert.equal(column.getNumber(0), value);
    }),
  );
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
      column.setWords(0, Number(BigInt.asUintN(32, value)), Number(BigInt.asUintN(32, value >> 32n)));
      assert.equal(column.getBigint(0), value);
    }),
  );
});

test('interner: one id per distinct string, over growth and rehashing', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme', maxLength: 40 }), { maxLength: 2000 }), (texts) => {
      const interner = new Interner();
      const ids = texts.map((text) => interner.internString(text));
      assert.deepEqual(
        ids.map((id) => interner.get(id)),
        texts.map((text) => text.toWellFormed()),
      );
      assert.equal(interner.size, new Set(['', ...texts.map((text) => text.toWellFormed())]).size);
    }),
    { numRuns: 30 },
  );
});

test('interner: id 0 is the empty string', () => {
  const interner = new Interner();
  assert.equal(interner.internString(''), 0);
  assert.equal(interner.get(0), '');
});

test('byte writer: strings carry their length as varint at every boundary', () => {
  for (const length of [0, 1, 127, 128, 129, 16_383, 16_384, 20_000, 2_097_152]) {
    const writer = new ByteWriter(1);
    const text = 'ä'.repeat(length >> 1) + 'x'.repeat(length & 1);
    writer.writeString(text);
    const bytes = encodeUtf8(text);
    let at = 0;
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = writer.bytes[at++] as number;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    assert.equal(value, bytes.length);
    assert.deepEqual(writer.view().slice(at), bytes);
  }
});

test('byte writer: varints of all sizes, also above 32 bits', () => {
  fc.assert(
    fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), (value) => {
      const writer = new ByteWriter(1);
      writer.writeVarint(value);
      let read = 0n;
      writer.view().forEach((byte, index) => (read |= BigInt(byte & 0x7f) << BigInt(7 * index)));
      assert.equal(read, BigInt(value));
    }),
  );
});

test('bytes: decodeUtf8 takes the same text on its short and its long path', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
      assert.equal(decodeUtf8(encodeUtf8(text)), text.toWellFormed());
    }),
  );
  assert.equal(toHex(Uint8Array.of(0, 0x0f, 0xff)), '000fff');
});

test('attribute columns: rows keep their own pairs and kinds over growth', () => {
  const columns = new AttributeColumns(new Interner());
  for (let row = 0; row < 1000; row++) {
    if (row % 3 === 0) {
      columns.add('row', row);
      columns.add('even', row % 2 === 0);
      columns.add('ratio', row / 7);
      columns.add('name', `r${row}`);
      columns.add('big', 2n ** 62n + BigInt(row));
    }
    columns.closeRow();
  }
  assert.deepEqual(columns.rowOf(1), {});
  assert.deepEqual(columns.rowOf(999), { row: '999', even: 'false', ratio: String(999 / 7), name: 'r999', big: String(2n ** 62n + 999n) });
});
