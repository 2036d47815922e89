/** Runs the matcher over a simulated channel, whole or in pieces, and judges what comes out against the truth. */
import type { HalfBatch } from '../../correlate/ikc-halves.ts';
import { HalfBatch as Halves } from '../../correlate/ikc-halves.ts';
import { IkcMatcher } from '../../correlate/match-ikc.ts';
import { MESSAGE_REASON_NAMES, MESSAGE_STATES, MessageBatch } from '../../model/ikc-message.ts';
import type { KernelIdentity } from '../../model/identity.ts';
import { START_NS, type SimulatedChannel } from './ikc-channel.ts';

export function identityOf(kernelId: number, bootId: string): KernelIdentity {
  return { machineId: 'm', machineName: 'm', kernelId, kernelName: `k${kernelId}`, bootId, release: '', arch: '' };
}

export interface MessageRow {
  readonly sendId: number;
  readonly receiveId: number;
  readonly state: string;
  readonly reason: string;
  readonly confidence: number;
  readonly isFinal: boolean;
}

export function rowsOf(out: MessageBatch): MessageRow[] {
  const idAt = (ids: Uint8Array, row: number): number => new DataView(ids.buffer, ids.byteOffset).getUint32(row * 8 + 4);
  return Array.from({ length: out.length }, (_, row) => ({
    sendId: idAt(out.sendId, row),
    receiveId: idAt(out.receiveId, row),
    state: MESSAGE_STATES[out.state[row] as number] as string,
    reason: MESSAGE_REASON_NAMES[out.reason[row] as number] as string,
    confidence: out.confidence[row] as number,
    isFinal: out.isFinal[row] === 1,
  }));
}

export function slice(batch: HalfBatch, from: number, to: number): HalfBatch {
  const part = new Halves(Math.max(1, to - from));
  for (let row = from; row < Math.min(to, batch.length); row++) part.copyRow(part.openRow(), batch, row);
  return part;
}

const HEARD_NS = 60_000_000_000n;

/** Both sides at once, or in pieces of so many halves, as segments would bring them. */
export function matchChannel(sim: SimulatedChannel, piece = Infinity): MessageRow[] {
  const matcher = new IkcMatcher();
  const sender = matcher.kernels.note(identityOf(0, 'a'), START_NS - HEARD_NS);
  const receiver = matcher.kernels.note(identityOf(1, 'b'), START_NS - HEARD_NS);
  const out = new MessageBatch();
  const most = Math.max(sim.sends.length, sim.receives.length);
  const size = Math.min(piece, most);
  for (let from = 0; from < most; from += size) {
    for (const [kernel, halves] of [
      [sender, sim.sends],
      [receiver, sim.receives],
    ] as const) {
      matcher.add(kernel, slice(halves, from, from + size), 0, out);
      const last = Math.min(from + size, halves.length) - 1;
      if (last >= from) matcher.noteFront(kernel, halves.time.getBigint(last));
    }
    matcher.advance(0, out);
  }
  matcher.advance(0, out, true);
  return rowsOf(out);
}

export interface Judgement {
  readonly matched: number;
  readonly wrong: number;
  /** Wrong ones as the confidences state them. */
  readonly statedWrong: number;
  readonly precision: number;
  readonly recall: number;
}

export function judge(rows: readonly MessageRow[], sim: Pick<SimulatedChannel, 'truth' | 'recorded'>): Judgement {
  const matched = rows.filter(({ state }) => state === 'matched');
  const right = matched.filter(({ sendId, receiveId }) => sim.truth.get(sendId) === receiveId).length;
  return {
    matched: matched.length,
    wrong: matched.length - right,
    statedWrong: matched.reduce((sum, { confidence }) => sum + 1 - confidence, 0),
    precision: matched.length === 0 ? 1 : right / matched.length,
    recall: sim.recorded === 0 ? 1 : right / sim.recorded,
  };
}
