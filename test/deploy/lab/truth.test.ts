/** The truth of a real lab session (test/fixtures/lab-truth), and what is said of files that are none. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';

import { isOperational } from '../../../base/errors.ts';
import { TruthClock } from '../../../deploy/lab/truth-clock.ts';
import { pairMessages, readTruth, type TruthKind } from '../../../deploy/lab/truth.ts';
import { randomBytes, createRandom } from '../../support/random.ts';

const HEADER_BYTES = 64;
const RECORD_BYTES = 128;

const BYTES = new Uint8Array(gunzipSync(readFileSync(join(import.meta.dirname, '../../fixtures/lab-truth/two-kernels.bin.gz'))));
const TRUTH = readTruth(BYTES);

const countOf = (kind: TruthKind, kernel: number, kernelEpoch: number): number =>
  TRUTH.records.filter((one) => one.kind === kind && one.kernel === kernel && one.kernelEpoch === kernelEpoch).length;

function assertRefused(bytes: Uint8Array, message: RegExp): void {
  assert.throws(
    () => readTruth(bytes),
    (error) => isOperational(error) && error.code === 'E_INPUT_FORMAT' && message.test(error.message),
  );
}

test('truth: has as many messages as the kernels counted themselves', () => {
  assert.equal(TRUTH.lost, 0);
  assert.equal(TRUTH.partialBytes, 0);
  assert.equal(countOf('send', 0, 1), 193);
  assert.equal(countOf('receive', 0, 1), 191);
  assert.equal(countOf('send', 1, 3), 20);
  assert.equal(countOf('receive', 1, 3), 20);
  assert.equal(countOf('send', 1, 2) + countOf('send', 1, 3), countOf('receive', 0, 1));
});

test('truth: each receive has its send, with the same bytes; what was in the ring of the dead stays unreceived', () => {
  const { pairs, unreceived, unsent } = pairMessages(TRUTH.records);
  assert.equal(pairs.length, 191 + 190);
  assert.deepEqual(unsent, []);
  assert.equal(unreceived.length, 3);
  for (const { kernel, destination, epoch } of unreceived) assert.deepEqual([kernel, destination, epoch], [0, 1, 2]);
  for (const { send, receive } of pairs) {
    assert.equal(receive.kernel, send.destination);
    assert.notEqual(receive.kernel, send.kernel);
    assert.deepEqual([receive.type, receive.subtype, receive.length], [send.type, send.subtype, send.length]);
    assert.equal(receive.payloadKey, send.payloadKey);
    assert.ok(receive.ticket > send.ticket);
  }
});

test('truth clock: nothing is received before it was sent, though each kernel has a counter of its own', () => {
  const clock = new TruthClock(TRUTH);
  const { pairs } = pairMessages(TRUTH.records);
  for (const { send, receive } of pairs) {
    const [sent, received] = [clock.timeOf(send), clock.timeOf(receive)];
    assert.ok(sent !== undefined && received !== undefined);
    assert.ok(received.unixNs > sent.unixNs, `${send.ticket}: received ${received.unixNs - sent.unixNs} ns after it was sent`);
  }
});

test('truth clock: agrees with the host’s clock page, whose age is all that may stand between', () => {
  const clock = new TruthClock(TRUTH);
  const ages: number[] = [];
  for (const record of TRUTH.records) {
    const time = clock.timeOf(record);
    assert.ok(time !== undefined && record.page !== undefined);
    assert.ok(time.errorNs < 5000, `± ${time.errorNs} ns`);
    ages.push(Number(time.unixNs - record.page.realNs));
    assert.ok((ages.at(-1) as number) >= -time.errorNs, `${ages.at(-1)} ns before its page`);
  }
  // mkbus writes one each 500 µs, where it gets a CPU.
  assert.ok((ages.sort((a, b) => a - b)[ages.length >> 1] as number) < 1_000_000);
});

test('truth clock: a printk stamp stands for the same moment as the counter next to it', () => {
  const clock = new TruthClock(TRUTH);
  assert.deepEqual([clock.epochsOf(0), clock.epochsOf(1)], [[1], [2, 3]]);
  const late: number[] = [];
  for (const record of TRUTH.records) {
    const byCounter = clock.timeOf(record);
    const byPrintk = clock.timeOfPrintk(record.kernel, record.kernelEpoch, record.printkNs);
    assert.ok(byCounter !== undefined && byPrintk !== undefined);
    late.push(Number(byPrintk.unixNs - byCounter.unixNs));
    assert.ok((late.at(-1) as number) >= -byPrintk.errorNs, `${late.at(-1)} ns`);
  }
  // It is read after the counter, with nothing in between but what takes the CPU away.
  assert.ok((late.sort((a, b) => a - b)[late.length >> 1] as number) < 1000);
});

test('truth clock: splits a boot where the guest’s counter was stopped', () => {
  const pauseTicks = 3_000_000_000n;
  const paused = BYTES.slice();
  const view = new DataView(paused.buffer);
  for (let at = HEADER_BYTES + 500 * RECORD_BYTES; at < paused.length; at += RECORD_BYTES) {
    if (view.getUint16(at + 6, true) === 0) view.setBigUint64(at + 48, view.getBigUint64(at + 48, true) - pauseTicks, true);
  }
  const { records } = readTruth(paused);
  const [clock, original] = [new TruthClock({ records, lost: 0, partialBytes: 0 }), new TruthClock(TRUTH)];
  for (const [at, record] of records.entries()) {
    const [time, expected] = [clock.timeOf(record), original.timeOf(TRUTH.records[at] ?? record)];
    assert.ok(time !== undefined && expected !== undefined);
    const distance = Math.abs(Number(time.unixNs - expected.unixNs));
    assert.ok(distance <= time.errorNs + expected.errorNs, `record ${at}: ${distance} ns`);
  }
});

test('truth: a later mkbus goes on in the same file with a header of its own; a file that is cut ends in a part of a record', () => {
  const twice = new Uint8Array(BYTES.length * 2);
  twice.set(BYTES);
  twice.set(BYTES, BYTES.length);
  assert.equal(readTruth(twice).records.length, TRUTH.records.length * 2);
  const cut = readTruth(BYTES.subarray(0, BYTES.length - 28));
  assert.equal(cut.records.length, TRUTH.records.length - 1);
  assert.equal(cut.partialBytes, RECORD_BYTES - 28);
});

test('truth: what is no truth file, or a damaged one, is an error for its operator', () => {
  assertRefused(new Uint8Array(0), /does not begin with MKTRUTH1/);
  assertRefused(BYTES.subarray(0, HEADER_BYTES - 1), /does not begin/);
  assertRefused(BYTES.subarray(HEADER_BYTES), /does not begin/);
  const later = BYTES.slice();
  later[8] = 2;
  assertRefused(later, /version 2 with records of 128 bytes/);
  const damaged = BYTES.slice();
  damaged.fill(0, HEADER_BYTES + 10 * RECORD_BYTES, HEADER_BYTES + 11 * RECORD_BYTES);
  assertRefused(damaged, /no record at byte 1344/);
  // A byte too few, and all that follows is out of step.
  const shifted = new Uint8Array([...BYTES.subarray(0, 5000), ...BYTES.subarray(5001)]);
  assertRefused(shifted, /damaged/);
  assert.throws(
    () => new TruthClock(readTruth(BYTES.subarray(0, HEADER_BYTES))),
    (error) => isOperational(error) && error.code === 'E_INPUT_FORMAT',
  );
});

test('truth: random bytes behind a header are read or refused, nothing else', () => {
  const random = createRandom(7);
  for (let round = 0; round < 200; round++) {
    const bytes = new Uint8Array([...BYTES.subarray(0, HEADER_BYTES), ...randomBytes(random, Math.floor(random() * 1000))]);
    try {
      readTruth(bytes);
    } catch (error) {
      assert.ok(isOperational(error), String(error));
    }
  }
});
