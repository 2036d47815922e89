/**
 * A recorded lab (test/fixtures/lab: three real kernels that talk at the same time) without some of its records: what is matched, and how
 * well the messages alone bound the clocks, against the truth of the recording.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import { HALF, HalfBatch, NONE } from '../../correlate/ikc-halves.ts';
import { IkcMatcher } from '../../correlate/match-ikc.ts';
import { TruthClock } from '../../deploy/lab/truth-clock.ts';
import { pairMessages, readTruth, type TruthRecord } from '../../deploy/lab/truth.ts';
import { MessageBatch } from '../../model/ikc-message.ts';
import { judgeHull } from '../lab/judge.ts';
import { identityOf, rowsOf } from '../support/ikc-matching.ts';
import { createRandom } from '../support/random.ts';

const TRUTH = readTruth(new Uint8Array(zstdDecompressSync(readFileSync(join(import.meta.dirname, '../fixtures/lab/truth.zst')))));
const CLOCK = new TruthClock(TRUTH);
const { pairs } = pairMessages(TRUTH.records);
/** Both ends have been heard well beyond the last message. */
const TRUTH_END_NS =
  pairs.reduce((most, { receive }) => {
    const unixNs = CLOCK.timeOf(receive)?.unixNs ?? 0n;
    return unixNs > most ? unixNs : most;
  }, 0n) + 20_000_000_000n;
const KERNELS = 3;
const SLOTS = 64;

/** Halves of a kernel as probes would record them, on a clock that is off by `offNs`, known to ± `errorNs`. */
function toHalves(records: readonly (readonly [id: number, record: TruthRecord])[], offNs: number, errorNs: number): HalfBatch {
  const halves = new HalfBatch();
  let lastIndex = -1;
  for (const [id, record] of records) {
    const isSend = record.kind === 'send';
    const at = halves.openRow();
    halves.kind[at] = isSend ? HALF.send : HALF.receive;
    halves.time.setBigint(at, (CLOCK.timeOf(record)?.unixNs ?? 0n) + BigInt(Math.round(offNs)));
    halves.raw.setBigint(at, record.monoNs);
    halves.claimNs[at] = 0;
    halves.endNs[at] = isSend ? 20_000 : NONE;
    halves.errorNs[at] = errorNs;
    halves.peer[at] = isSend ? record.destination : NONE;
    halves.fromCpu[at] = isSend ? NONE : record.senderCpu;
    halves.type[at] = record.type;
    halves.subtype[at] = record.subtype;
    halves.messageBytes[at] = record.length;
    halves.key[at] = 0;
    halves.slot[at] = isSend ? NONE : record.index % SLOTS;
    halves.missing[at] = isSend || lastIndex < 0 ? NONE : Math.min(SLOTS, record.index - lastIndex - 1);
    if (!isSend) lastIndex = record.index;
    halves.error[at] = 0;
    halves.pid[at] = 1;
    halves.cpu[at] = record.cpu;
    halves.pack[at] = 0;
    halves.queue[at] = 0;
    halves.printed[at] = 0;
    halves.id.set([0, id], at * 2);
    halves.exchange.set([0, 0], at * 2);
  }
  return halves;
}

interface Outcome {
  readonly matched: number;
  readonly wrong: number;
  readonly stated: number;
  readonly recorded: number;
}

interface Trouble {
  readonly errorNs: number;
  readonly seed: number;
  /** Records that no kernel has. */
  readonly isLost?: (record: TruthRecord, random: () => number) => boolean;
  /** Records that come when their channels have been decided without them. */
  readonly isLate?: (record: TruthRecord) => boolean;
}

function matchInTrouble({ errorNs, seed, isLost = () => false, isLate = () => false }: Trouble): Outcome {
  const random = createRandom(seed);
  const ids = new Map(pairs.flatMap(({ send, receive }) => [send, receive]).map((record, at) => [record, at + 1]));
  const kept = new Map([...ids].filter(([record]) => CLOCK.timeOf(record) !== undefined && !isLost(record, random)));
  const matcher = new IkcMatcher();
  const out = new MessageBatch();
  const kernels = Array.from({ length: KERNELS }, (_, id) => matcher.kernels.note(identityOf(id, `boot ${id}`), 0n));
  const late: (() => void)[] = [];
  for (const kernel of kernels) {
    const own = [...kept].filter(([record]) => record.kernel === kernel.identity.kernelId);
    const sorted = own.toSorted(([a], [b]) => Number((CLOCK.timeOf(a)?.unixNs ?? 0n) - (CLOCK.timeOf(b)?.unixNs ?? 0n)));
    for (const [{ kind, kernel: receiver, senderCpu }] of sorted) {
      const sender = kind === 'receive' && receiver === 0 ? senders.get(senderCpu) : undefined;
      if (sender !== undefined) matcher.kernels.setOwner('m', senderCpu, sender);
    }
    const offNs = (random() * 2 - 1) * errorNs * 0.98;
    const add = (isWanted: (record: TruthRecord) => boolean): void => {
      const records = sorted.filter(([record]) => isWanted(record)).map(([record, id]): [number, TruthRecord] => [id, record]);
      matcher.add(kernel, toHalves(records, offNs, errorNs), 0, out);
    };
    add((record) => !isLate(record));
    late.push(() => add(isLate));
    matcher.noteFront(kernel, TRUTH_END_NS);
  }
  matcher.advance(0, out);
  for (const add of late) {
    add();
    matcher.advance(0, out);
  }
  matcher.advance(0, out, true);
  const right = new Map(pairs.map(({ send, receive }) => [ids.get(send), ids.get(receive)]));
  const matched = [...new Map(rowsOf(out).map((row) => [row.sendId === 0 ? -row.receiveId : row.sendId, row])).values()].filter(
    ({ state }) => state === 'matched',
  );
  return {
    matched: matched.length,
    wrong: matched.filter(({ sendId, receiveId }) => right.get(sendId) !== receiveId).length,
    stated: matched.reduce((sum, { confidence }) => sum + 1 - confidence, 0),
    recorded: pairs.filter(({ send, receive }) => kept.has(send) && kept.has(receive)).length,
  };
}

const matchWithout = (lost: number, errorNs: number, seed: number): Outcome =>
  matchInTrouble({ errorNs, seed, isLost: (_record, random) => random() < lost });

/** Whose CPU the receiver sees; one number is of one kernel only where it is of no other. */
const senders = new Map<number, number>();
for (const { send, receive } of pairs) if (receive.kernel === 0) senders.set(receive.senderCpu, send.kernel);

test('recorded matching: at 0 %, 1 % and 10 % lost records, with kernels that send at the same time', (t) => {
  for (const errorNs of [50_000, 1_000_000]) {
    for (const lost of [0, 0.01, 0.1]) {
      let [matched, wrong, stated, recorded] = [0, 0, 0, 0];
      for (const seed of [1, 2, 3]) {
        const found = matchWithout(lost, errorNs, seed);
        matched += found.matched;
        wrong += found.wrong;
        stated += found.stated;
        recorded += found.recorded;
      }
      const precision = (matched - wrong) / matched;
      const recall = (matched - wrong) / recorded;
      t.diagnostic(
        `${lost * 100} % lost on each side, clocks ± ${errorNs / 1000} µs: precision ${precision.toFixed(5)}, recall ${recall.toFixed(5)}, ${wrong} wrong of ${matched}, stated ${stated.toFixed(1)}`,
      );
      assert.ok(precision >= (lost > 0.05 ? 0.9 : 0.998) && recall >= (lost > 0.05 ? 0.9 : 0.99), `${precision} ${recall}`);
      assert.ok(wrong <= stated * 1.5 + 3 * Math.sqrt(stated) + 3, `${wrong} wrong, stated ${stated}`);
    }
  }
});

/** So many records of one kind, one after the other, of the kernel that has most of them. */
function runOf(kind: 'send' | 'receive', count: number, from: number): ReadonlySet<TruthRecord> {
  const own = Map.groupBy(
    pairs.map((pair) => pair[kind]).filter((record) => CLOCK.timeOf(record) !== undefined),
    ({ kernel }) => kernel,
  );
  const [longest = []] = [...own.values()].sort((a, b) => b.length - a.length);
  assert.ok(longest.length > from + count + 100, `${longest.length} records`);
  return new Set(longest.toSorted((a, b) => (a.monoNs < b.monoNs ? -1 : 1)).slice(from, from + count));
}

test('recorded matching: what comes after its channel was decided finds its other end', (t) => {
  for (const kind of ['send', 'receive'] as const) {
    for (const from of [0, 120, 250]) {
      const late = runOf(kind, 150, from);
      const found = matchInTrouble({ errorNs: 1_000_000, seed: 6, isLate: (record) => late.has(record) });
      t.diagnostic(`150 of kind ${kind} late: ${found.matched} of ${found.recorded} matched, ${found.wrong} wrong`);
      assert.ok(found.matched - found.wrong >= found.recorded * 0.99);
    }
  }
});

test('recorded clocks: by the messages of the lab alone the truth is inside of each bound', (t) => {
  const at = (values: readonly number[], share: number): string =>
    `${((values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * share)] ?? NaN) / 1000).toFixed(1)} µs`;
  for (const [spawn, confidence] of [
    [1, 1],
    [1, 0.9999],
    [2, 1],
    [2, 0.9999],
  ] as const) {
    const { errorsNs, boundsNs } = judgeHull(TRUTH, CLOCK, spawn, confidence);
    assert.ok(errorsNs.length > 20);
    t.diagnostic(
      `spawn${spawn}, matches of ${confidence}: off by ${at(errorsNs, 0.5)} (median), ${at(errorsNs, 0.99)} (p99), ${at(errorsNs, 1)} (most); ± ${at(boundsNs, 0.5)} (median), ${at(boundsNs, 0.99)} (p99); ${errorsNs.length} of ${errorsNs.length} inside`,
    );
  }
});
