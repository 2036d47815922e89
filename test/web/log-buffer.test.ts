import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LogRow } from '../../model/api.ts';
import { compareDecimal } from '../../web/format/time.ts';
import { LogBuffer } from '../../web/logs/log-buffer.ts';
import { createRandom } from '../support/random.ts';

function toRow(sequence: number, unixNs: bigint, bootId = 'a'): LogRow {
  return {
    uid: `${bootId}/kmsg/${sequence}`,
    unixNs: String(unixNs),
    raw: '-1',
    clock: 'printk',
    errorNs: 0,
    machine: 'm',
    kernelId: 0,
    kernelName: 'host',
    bootId,
    stream: 'kmsg',
    sequence,
    level: 6,
    facility: 0,
    cpu: -1,
    pid: -1,
    caller: '',
    flags: 0,
    body: `line ${sequence}`,
    eventName: '',
    attributes: {},
  };
}

const sequences = (buffer: LogBuffer): readonly number[] => buffer.rows.map((row) => row.sequence);

test('log buffer: rows in any order and twice end up once and in time order', () => {
  const random = createRandom(7);
  const all = Array.from({ length: 3000 }, (_, index) => toRow(index, 1000n + BigInt(index >> 2)));
  const buffer = new LogBuffer();
  let added = 0;
  for (let round = 0; round < 400; round++) {
    const start = Math.floor(random() * all.length);
    const batch = all.slice(start, start + Math.floor(random() * 40)).sort(() => random() - 0.5);
    added += buffer.insert(batch).added;
  }
  added += buffer.insert(all).added;
  assert.equal(added, all.length);
  assert.deepEqual(
    sequences(buffer),
    all.map((row) => row.sequence),
  );
});

test('log buffer: counts the rows that come before the first one', () => {
  const buffer = new LogBuffer();
  assert.deepEqual(buffer.insert([toRow(10, 100n), toRow(11, 110n)]), { added: 2, before: 0 });
  assert.deepEqual(buffer.insert([toRow(8, 80n), toRow(9, 90n), toRow(10, 100n), toRow(12, 105n)]), { added: 3, before: 2 });
  assert.deepEqual(sequences(buffer), [8, 9, 10, 12, 11]);
  assert.deepEqual(buffer.insert([toRow(11, 110n)]), { added: 0, before: 0 });
});

test('log buffer: records with one stamp keep the order of their stream', () => {
  const buffer = new LogBuffer();
  buffer.insert([toRow(3, 5n), toRow(10, 5n), toRow(9, 5n)]);
  assert.deepEqual(sequences(buffer), [3, 9, 10]);
});

test('log buffer: trims the oldest rows and takes them again later', () => {
  const buffer = new LogBuffer();
  buffer.insert(Array.from({ length: 100 }, (_, index) => toRow(index, BigInt(index))));
  assert.equal(buffer.trimStart(30), 70);
  assert.equal(buffer.length, 30);
  assert.equal(buffer.insert([toRow(5, 5n)]).before, 1);
});

test('log buffer: finds a moment', () => {
  const buffer = new LogBuffer();
  buffer.insert([9n, 10n, 100n, 100n, 101n].map((time, index) => toRow(index, time)));
  for (const moment of ['0', '9', '10', '11', '99', '100', '101', '500']) {
    const wanted = buffer.rows.findIndex((row) => compareDecimal(row.unixNs, moment) >= 0);
    assert.equal(buffer.indexAt(moment), wanted < 0 ? buffer.length : wanted, moment);
  }
});

test('log buffer: the moment is that of the row that was opened, also where its time is another now, else the first at or after it', () => {
  const buffer = new LogBuffer();
  buffer.insert([9n, 10n, 10n, 10n, 11n].map((time, index) => toRow(index, time)));
  for (const at of [1, 2, 3]) assert.equal(buffer.indexOfMoment('10', buffer.rows[at]?.uid), at);
  assert.equal(buffer.indexOfMoment('10', buffer.rows[4]?.uid), 4);
  assert.equal(buffer.indexOfMoment('12', buffer.rows[1]?.uid), 1);
  assert.equal(buffer.indexOfMoment('10', 'no such row'), 1);
  assert.equal(buffer.indexOfMoment('10', undefined), 1);
  assert.equal(buffer.indexOfMoment('12', undefined), 5);
});
