/** Boots that are made up, or claim to be one kernel: in the tables of the hub, without a hub around them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Books, toStreamName } from '../../hub/books.ts';
import { findDoubles } from '../../hub/boot-doubles.ts';
import { PresenceTable } from '../../hub/presence.ts';
import type { KernelIdentity } from '../../model/identity.ts';
import { HOST, SPAWN } from './running-hub.ts';

const bootOf = (n: number): string => `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;

test('boots: boots that speak as one kernel at the same time are said, a restart is not', () => {
  const presence = new PresenceTable();
  const first = { ...SPAWN, bootId: bootOf(0x151) };
  const second = { ...SPAWN, bootId: bootOf(0x152) };
  const elsewhere = { ...SPAWN, bootId: bootOf(0x153), machineId: 'machine-2' };
  const kernels = [first, second, elsewhere];
  const speak = (identity: KernelIdentity, nowMs: number): void => {
    presence.see(identity, nowMs).lastLine = 'x';
  };
  for (let ms = 0; ms <= 60_000; ms += 1_000) {
    speak(first, ms);
    speak(elsewhere, ms);
  }
  // Restarted at 60 s; the old boot's last records come until 64 s.
  for (let ms = 60_000; ms <= 80_000; ms += 1_000) {
    speak(second, ms);
    speak(elsewhere, ms);
    if (ms <= 64_000) speak(first, ms);
    const isOverlap = ms >= 70_000 && ms < 74_000;
    assert.equal(findDoubles(kernels, presence, ms).size, isOverlap ? 2 : 0, `${ms} ms`);
  }
  for (let ms = 80_000; ms <= 100_000; ms += 1_000) for (const one of kernels) speak(one, ms);
  const found = findDoubles(kernels, presence, 100_000);
  assert.deepEqual([...found.keys()].toSorted(), [first.bootId, second.bootId]);
  assert.match(found.get(first.bootId) ?? '', /^boot 00000000 speaks as kernel 1, too, at the same time: one of them is not what it says$/);
});

test('boots: thousands of made-up boots push out each other, not the kernel that speaks', () => {
  const presence = new PresenceTable();
  const books = new Books();
  presence.see(HOST, 0).books = 7;
  const key = { bootId: HOST.bootId, stream: 'kmsg', cpu: -1 };
  for (let n = 0; n < 20_000; n++) {
    presence.see({ ...SPAWN, bootId: bootOf(0x10000 + n) }, n);
    books.accept({ ...key, bootId: bootOf(0x10000 + n) }, 1, 0n, n);
    if (n % 100 !== 0) continue;
    presence.see(HOST, n);
    books.accept(key, 1, 0n, n);
  }
  assert.equal([...presence.all()].length, 4_096);
  assert.equal(presence.find(HOST.bootId)?.books, 7);
  assert.equal(books.totals().size, 16_384);
  assert.equal(books.totals().get(toStreamName(key)), 200);
});
