/** Holds the hub's matches of messages against the truth of the lab. */
import { pairMessages, type Truth, type TruthRecord } from '../../deploy/lab/truth.ts';

/** A row of `ikc_messages` with the stamps of its probe events on CLOCK_MONOTONIC of their kernels; empty = no such end. */
export interface MatchedRow {
  readonly state: string;
  readonly senderId: number;
  readonly receiverId: number;
  readonly sendRaw: string;
  readonly sendNs: number;
  readonly sendCpu: number;
  readonly receiveRaw: string;
  readonly type: number;
  readonly subtype: number;
  readonly length: number;
  readonly confidence: number;
}

/** The lab's tracer runs on `mono`, which is the clock of `TruthRecord.monoNs`. */
export const MATCHED_ROWS = `
  WITH sent AS (SELECT BootId, Timestamp, any(RawTime) AS Raw FROM events WHERE Event = 'ikc:mk_send' GROUP BY ALL),
    received AS (SELECT BootId, Timestamp, any(RawTime) AS Raw FROM events WHERE Event = 'ikc:mk_recv' GROUP BY ALL)
  SELECT toString(State), SenderId, ReceiverId, if(SendSpanId = '', '', toString(sent.Raw)), toFloat64(SendNs), SendCpu,
    if(ReceiveSpanId = '', '', toString(received.Raw)), Type, Subtype, PayloadBytes, Confidence
  FROM (SELECT * FROM ikc_messages FINAL WHERE State != 'failed') AS m
  LEFT JOIN sent ON sent.BootId = m.SenderBootId AND sent.Timestamp = m.SendTime
  LEFT JOIN received ON received.BootId = m.ReceiverBootId AND received.Timestamp = m.ReceiveTime`;

export function toMatchedRow(row: readonly unknown[]): MatchedRow {
  const [state, senderId, receiverId, sendRaw, sendNs, sendCpu, receiveRaw, type, subtype, length, confidence] = row;
  return {
    state: String(state),
    senderId: Number(senderId),
    receiverId: Number(receiverId),
    sendRaw: String(sendRaw),
    sendNs: Number(sendNs),
    sendCpu: Number(sendCpu),
    receiveRaw: String(receiveRaw),
    type: Number(type),
    subtype: Number(subtype),
    length: Number(length),
    confidence: Number(confidence),
  };
}

export interface MatchJudgement {
  readonly matched: number;
  readonly wrong: number;
  readonly statedWrong: number;
  /** Messages of which both ends are in rows. */
  readonly recorded: number;
  /** Ends that no record of the truth, or more than one, can be. */
  readonly unclear: number;
  readonly precision: number;
  readonly recall: number;
}

export function judgeMatches(rows: readonly MatchedRow[], truth: Truth): MatchJudgement {
  const pairs = new Map(pairMessages(truth.records).pairs.map(({ send, receive }) => [send, receive]));
  const byTime = (a: TruthRecord, b: TruthRecord): number => (a.monoNs < b.monoNs ? -1 : 1);
  const of = (kind: 'send' | 'receive'): Map<number, TruthRecord[]> =>
    Map.groupBy(truth.records.filter((one) => one.kind === kind).toSorted(byTime), ({ kernel }) => kernel);
  const [sends, receives] = [of('send'), of('receive')];
  const sentOf = new Map(rows.map((row) => [row, row.sendRaw === '' ? undefined : findSend(row, sends.get(row.senderId) ?? [])]));
  const receivedOf = new Map(
    rows.map((row) => [row, row.receiveRaw === '' ? undefined : findReceive(row, receives.get(row.receiverId) ?? [])]),
  );
  const seen = new Set([...sentOf.values(), ...receivedOf.values()]);
  let [matched, wrong, statedWrong, unclear] = [0, 0, 0, 0];
  for (const row of rows) {
    if (row.state !== 'matched') continue;
    const [send, receive] = [sentOf.get(row), receivedOf.get(row)];
    if (send === undefined || receive === undefined) {
      unclear++;
      continue;
    }
    matched++;
    statedWrong += 1 - row.confidence;
    if (pairs.get(send) !== receive) wrong++;
  }
  const recorded = [...pairs].filter(([send, receive]) => seen.has(send) && seen.has(receive)).length;
  return {
    matched,
    wrong,
    statedWrong,
    recorded,
    unclear,
    precision: matched === 0 ? 1 : (matched - wrong) / matched,
    recall: recorded === 0 ? 1 : (matched - wrong) / recorded,
  };
}

/** Requests of the lab, and their answers, one after the other: nothing but their order and time tells them apart. */
const ALIKE = 110;

/**
 * What a run has to reach follows from what happened to it: each record that its kernels lost, and each sending whose processor QEMU took
 * away in the middle of the call, may cost its own message and a few beside it, and where it is among those that are all alike, the whole
 * run of them. Measured, of 5,200 to 5,500 messages with both ends, 14 runs with 4 to 313 troubled ones: recall 0.9816 (147 troubled) to 1,
 * precision 0.9823 to 1.
 */
export function leastOf(troubled: number, recorded: number): { readonly precision: number; readonly recall: number } {
  const all = Math.max(1, recorded);
  const share = troubled / all;
  const shifted = troubled > 0 ? ALIKE / all : 0;
  return { precision: Math.max(0.95, 0.995 - shifted - share), recall: Math.max(0.9, 0.99 - shifted - 5 * share) };
}

/** More sendings of its channel began within the call than two senders explain. */
const STALLED = 8;

/** Sendings that were held up in the middle of their call. */
export function countStalled(rows: readonly MatchedRow[]): number {
  let stalled = 0;
  for (const own of Map.groupBy(
    rows.filter(({ sendRaw }) => sendRaw !== ''),
    ({ senderId, receiverId }) => `${senderId} ${receiverId}`,
  ).values()) {
    const calls = own.map(({ sendRaw, sendNs }) => ({ at: BigInt(sendRaw), ns: sendNs })).sort((a, b) => (a.at < b.at ? -1 : 1));
    for (const [index, { at, ns }] of calls.entries()) {
      const next = calls[index + STALLED];
      if (next !== undefined && Number(next.at - at) < ns) stalled++;
    }
  }
  return stalled;
}

/** The record is taken within the call; the CPU may be another one only where the task was moved in between. */
function findSend(row: MatchedRow, sends: readonly TruthRecord[]): TruthRecord | undefined {
  const from = BigInt(row.sendRaw);
  const to = from + BigInt(Math.max(0, Math.round(row.sendNs)));
  const fitting = sends.filter(
    ({ monoNs, type, subtype, length, destination }) =>
      monoNs >= from &&
      monoNs <= to &&
      type === row.type &&
      subtype === row.subtype &&
      length === row.length &&
      destination === row.receiverId,
  );
  const own = fitting.filter(({ cpu }) => cpu === row.sendCpu);
  const [only, ...more] = own.length > 0 ? own : fitting;
  return more.length === 0 ? only : undefined;
}

/** The record is taken right before the function that is probed, one after the other. */
function findReceive(row: MatchedRow, receives: readonly TruthRecord[]): TruthRecord | undefined {
  const at = BigInt(row.receiveRaw);
  let [low, high] = [0, receives.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((receives[middle] as TruthRecord).monoNs <= at) low = middle + 1;
    else high = middle;
  }
  const found = receives[low - 1];
  return found?.type === row.type && found.subtype === row.subtype && found.length === row.length ? found : undefined;
}
