import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { RecordLog } from '../../base/record-log.ts';
import { createRandom, randomBytes } from '../support/random.ts';

function inFolder(run: (path: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'mkscope-record-log-'));
  try {
    run(join(folder, 'log'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function readAll(path: string): Uint8Array[] {
  const log = RecordLog.open(path);
  const payloads = log.recovered.map((position) => log.read(position));
  log.close();
  return payloads;
}

test('record log: gives back what was appended, over reopening', () => {
  inFolder((path) => {
    const random = createRandom(1);
    const payloads = [0, 1, 11, 12, 13, 4096, 100_000].map((length) => randomBytes(random, length));
    const log = RecordLog.open(path);
    const positions = payloads.map((payload) => log.append(payload));
    assert.deepEqual(
      positions.map((position) => log.read(position)),
      payloads,
    );
    log.close();
    assert.deepEqual(readAll(path), payloads);
  });
});

test('record log: cuts a torn tail at every possible byte and keeps the whole records', () => {
  inFolder((path) => {
    const log = RecordLog.open(path);
    log.append(Uint8Array.of(1, 2, 3));
    const whole = log.sizeBytes;
    log.append(Uint8Array.of(4, 5, 6, 7, 8));
    const full = log.sizeBytes;
    log.close();
    const bytes = readFileSync(path);
    for (let cut = whole; cut < full; cut++) {
      writeFileSync(path, bytes);
      truncateSync(path, cut);
      const reopened = RecordLog.open(path);
      assert.equal(reopened.recovered.length, 1, `cut at ${cut}`);
      assert.equal(reopened.cutBytes, cut - whole);
      reopened.close();
      assert.equal(statSync(path).size, whole, 'the tail is gone from the file');
    }
  });
});

test('record log: stops at a record whose bytes were changed', () => {
  inFolder((path) => {
    const log = RecordLog.open(path);
    log.append(Uint8Array.of(1, 2, 3));
    const second = log.append(Uint8Array.of(4, 5, 6));
    log.append(Uint8Array.of(7, 8, 9));
    log.close();
    const bytes = readFileSync(path);
    bytes[second.offset] = 0xff;
    writeFileSync(path, bytes);
    assert.deepEqual(readAll(path), [Uint8Array.of(1, 2, 3)]);
  });
});

test('record log: appends behind a cut tail', () => {
  inFolder((path) => {
    const log = RecordLog.open(path);
    log.append(Uint8Array.of(1));
    log.close();
    appendFileSync(path, 'MKR1garbage');
    const reopened = RecordLog.open(path);
    assert.equal(reopened.cutBytes, 11);
    reopened.append(Uint8Array.of(2));
    reopened.close();
    assert.deepEqual(readAll(path), [Uint8Array.of(1), Uint8Array.of(2)]);
  });
});

test('record log: a length beyond the file is a torn tail, not an allocation', () => {
  inFolder((path) => {
    const header = Buffer.alloc(12);
    header.write('MKR1', 0, 'latin1');
    header.writeUInt32LE(0xffff_ffff, 4);
    writeFileSync(path, header);
    assert.deepEqual(readAll(path), []);
  });
});
