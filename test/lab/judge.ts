/** Holds the hub's times against the truth of the lab. */
import assert from 'node:assert/strict';

import type { TruthClock } from '../../deploy/lab/truth-clock.ts';
import { pairMessages, type Truth, type TruthRecord } from '../../deploy/lab/truth.ts';
import { MessageHull } from '../../clock/message-hull.ts';
import type { LogRow } from '../../model/api.ts';

/** `/dev/kmsg` cuts a stamp to µs. */
const STAMP_NS = 1000;

export interface TimedLine {
  readonly row: LogRow;
  readonly trueUnixNs: bigint;
  /** Half-width of what the truth is uncertain by. */
  readonly trueErrorNs: number;
  /** Aligned less true time. */
  readonly offByNs: number;
}

/** Fails where a line's true time is outside of what is stated, by more than the truth itself is uncertain. */
export function judgeTimes(rows: readonly LogRow[], clock: TruthClock): TimedLine[] {
  return rows.map((row) => {
    const [epoch, ...more] = clock.epochsOf(row.kernelId);
    assert.ok(epoch !== undefined && more.length === 0, `one life of ${row.kernelName}`);
    const time = clock.timeOfPrintk(row.kernelId, epoch, BigInt(row.raw));
    assert.ok(time !== undefined);
    const offByNs = Number(BigInt(row.unixNs) - time.unixNs);
    assert.ok(row.errorNs >= 0, `${row.kernelName} «${row.body}» has no bound`);
    assert.ok(
      Math.abs(offByNs) <= row.errorNs + time.errorNs + STAMP_NS,
      `${row.kernelName} «${row.body}» is off by ${offByNs} ns, stated ± ${row.errorNs} ns, truth ± ${time.errorNs} ns`,
    );
    return { row, trueUnixNs: time.unixNs, trueErrorNs: time.errorNs, offByNs };
  });
}

/** Fails where two lines stand in the wrong order though they are further apart than their bounds. Resolves with what was compared. */
export function assertOrder(lines: readonly TimedLine[]): string {
  let decided = 0;
  let between = 0;
  for (const [at, a] of lines.entries()) {
    for (const b of lines.slice(at + 1)) {
      if (a.row.kernelId !== b.row.kernelId) between++;
      const trueNs = Number(b.trueUnixNs - a.trueUnixNs);
      // One kernel's own lines keep their order whatever the bounds.
      const apartNs = a.row.kernelId === b.row.kernelId ? 0 : a.row.errorNs + b.row.errorNs;
      if (Math.abs(trueNs) <= apartNs) continue;
      if (a.row.kernelId !== b.row.kernelId) decided++;
      const alignedNs = Number(BigInt(b.row.unixNs) - BigInt(a.row.unixNs));
      assert.ok(
        Math.sign(alignedNs) === Math.sign(trueNs) || alignedNs === 0,
        `«${a.row.body}» and «${b.row.body}» are ${trueNs} ns apart, and ${alignedNs} ns as aligned`,
      );
    }
  }
  assert.ok(decided > 0, 'no two lines of different kernels are further apart than their bounds');
  return `right in ${decided} pairs of lines of different kernels that are further apart than their bounds, of ${between}`;
}

export interface HullJudgement {
  /** Middle less truth, and half-widths, ns. */
  readonly errorsNs: readonly number[];
  readonly boundsNs: readonly number[];
}

/**
 * The printk clock of a spawned kernel against the host's by nothing but messages: fails where the truth is outside the bound, by
 * more than it is uncertain itself.
 */
export function judgeHull(truth: Truth, clock: TruthClock, spawn: number, confidence = 1): HullJudgement {
  const hull = new MessageHull();
  const [errorsNs, boundsNs]: [number[], number[]] = [[], []];
  const [hostEpoch = 0] = clock.epochsOf(0);
  const arrivals = pairMessages(truth.records).pairs.toSorted((a, b) => Number(a.receive.ticket - b.receive.ticket));
  const own = arrivals.filter(({ send, receive }) => send.kernel === spawn || receive.kernel === spawn);
  for (const [at, { send, receive }] of own.entries()) {
    if (send.kernel === spawn) hull.addForward(send.printkNs, receive.printkNs, confidence);
    else hull.addBackward(send.printkNs, receive.printkNs, confidence);
    if (at % 20 !== 0) continue;
    const ofSpawn = send.kernel === spawn ? send : receive;
    const found = hull.at(ofSpawn.printkNs);
    if (found === undefined) continue;
    const time = clock.timeOfPrintk(spawn, ofSpawn.kernelEpoch, ofSpawn.printkNs);
    const [low, high] = [clock.timeOfPrintk(0, hostEpoch, found.low), clock.timeOfPrintk(0, hostEpoch, found.high)];
    assert.ok(time !== undefined && low !== undefined && high !== undefined);
    const doubtNs = time.errorNs + low.errorNs;
    const [aboveNs, belowNs] = [Number(time.unixNs - low.unixNs), Number(high.unixNs - time.unixNs)];
    assert.ok(
      aboveNs >= -doubtNs && belowNs >= -doubtNs,
      `message ${at}: ${aboveNs} ns above the least, ${belowNs} below the most, truth ± ${doubtNs}`,
    );
    errorsNs.push(Math.abs(aboveNs - belowNs) / 2);
    boundsNs.push((aboveNs + belowNs) / 2);
  }
  return { errorsNs, boundsNs };
}

/**
 * Each line «message sent» or «received» belongs to a record of the truth: the n-th of its kernel, direction, type and size. It
 * is printed after the record was taken.
 */
export function matchDebugLines(rows: readonly LogRow[], truth: Truth, clock: TruthClock): void {
  const records = Map.groupBy(
    truth.records.filter(({ kind }) => kind === 'send' || kind === 'receive').toSorted((a, b) => Number(a.ticket - b.ticket)),
    toRecordKey,
  );
  for (const row of rows.toSorted((a, b) => a.sequence - b.sequence)) {
    const key = toLineKey(row);
    const record = records.get(key)?.shift();
    assert.ok(record !== undefined, `no message for «${row.body}»`);
    const lateNs = BigInt(row.raw) + BigInt(STAMP_NS) - record.printkNs;
    assert.ok(lateNs >= 0n, `«${row.body}» was printed ${-lateNs} ns before its message`);
    const time = clock.timeOf(record);
    assert.ok(time !== undefined);
    const alignedNs = Number(BigInt(row.unixNs) - time.unixNs);
    assert.ok(alignedNs >= -(row.errorNs + time.errorNs + STAMP_NS), `«${row.body}» stands ${alignedNs} ns before its message`);
  }
  const left = [...records].filter(([, of]) => of.length > 0).map(([key]) => key);
  assert.deepEqual(left, [], 'messages without a line');
}

function toRecordKey({ kernel, kind, type, subtype, length }: TruthRecord): string {
  return `${kernel} ${kind} ${type.toString(16)} ${subtype.toString(16)} ${length}`;
}

function toLineKey({ kernelId, body }: LogRow): string {
  const match = /message (sent|received): type=0x(\w+), subtype=0x(\w+), len=(\d+)/.exec(body);
  assert.ok(match !== null, body);
  const [, verb, type, subtype, length] = match;
  return `${kernelId} ${verb === 'sent' ? 'send' : 'receive'} ${type} ${subtype} ${length}`;
}
