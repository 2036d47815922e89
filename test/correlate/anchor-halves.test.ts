import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Anchors } from '../../correlate/anchor-halves.ts';
import { createRandom } from '../support/random.ts';

interface Case {
  readonly sendLabels: Uint32Array;
  readonly receiveLabels: Uint32Array;
  /** By receiving: its sending, or -1 where that has no record. */
  readonly truth: readonly number[];
}

/** Messages with labels from a few kinds; records go one by one, and in runs. */
function makeCase(messages: number, kinds: number, lost: number, random: () => number): Case {
  const labels = Array.from({ length: messages }, () => Math.floor(random() * kinds) * 0x1_0003);
  const isGone = (): boolean[] => {
    const gone = labels.map(() => random() < lost);
    const from = Math.floor(random() * messages);
    return gone.fill(true, from, from + Math.floor((random() * messages) / 4));
  };
  const [sendGone, receiveGone] = [isGone(), isGone()];
  const sent = labels.map((_, at) => at).filter((at) => sendGone[at] === false);
  const received = labels.map((_, at) => at).filter((at) => receiveGone[at] === false);
  const place = new Map(sent.map((at, index) => [at, index]));
  return {
    sendLabels: Uint32Array.from(sent, (at) => labels[at] as number),
    receiveLabels: Uint32Array.from(received, (at) => labels[at] as number),
    truth: received.map((at) => place.get(at) ?? -1),
  };
}

function find({ sendLabels, receiveLabels }: Case, kinds: number, anchors = new Anchors()): Int32Array {
  anchors.find(sendLabels, sendLabels.length, receiveLabels, receiveLabels.length, kinds, () => true);
  return anchors.of.slice(0, receiveLabels.length);
}

test('anchors: they rise, most receivings have one, and hardly any is wrong', () => {
  const random = createRandom(11);
  const anchors = new Anchors();
  let [all, wrong, known] = [0, 0, 0];
  for (let round = 0; round < 200; round++) {
    const kinds = 10 ** (0.5 + random() * 2.5);
    const one = makeCase(50 + Math.floor(random() * 2000), kinds, random() * 0.03, random);
    const found = find(one, Math.max(2, Math.floor(kinds)), anchors);
    const held = [...found].filter((send) => send !== -1);
    assert.deepEqual(
      held,
      [...new Set(held)].sort((a, b) => a - b),
    );
    for (const [receive, send] of found.entries()) {
      if (one.truth[receive] !== -1) known++;
      if (send === -1) continue;
      all++;
      if (send !== one.truth[receive]) wrong++;
    }
  }
  assert.ok(all > known / 2, `${all} of ${known}`);
  // Of two equal labels in a row one may be lost on each side: then its anchor is right but for one place.
  assert.ok(wrong <= all / 200, `${wrong} of ${all}`);
});

test('anchors: where labels are all alike, or there is nothing, there are none', () => {
  const alike = makeCase(500, 1, 0.01, createRandom(2));
  assert.ok(find(alike, 1).every((send) => send === -1));
  assert.ok(find(alike, 2).every((send) => send === -1));
  assert.deepEqual([...find({ sendLabels: new Uint32Array(0), receiveLabels: new Uint32Array(3), truth: [] }, 9)], [-1, -1, -1]);
});

test('anchors: a pair that cannot be is none', () => {
  const one = makeCase(600, 300, 0, createRandom(3));
  const anchors = new Anchors();
  const { sendLabels, receiveLabels } = one;
  anchors.find(sendLabels, sendLabels.length, receiveLabels, receiveLabels.length, 300, (send) => send >= 200);
  const held = [...anchors.of.slice(0, receiveLabels.length)].filter((send) => send !== -1);
  assert.ok(held.length > 100 && held.every((send) => send >= 200));
});
