/** A row of a message as it is stored, from its halves in a channel and what was decided of them. */
import { NONE } from './ikc-halves.ts';
import type { Channel } from './ikc-channel.ts';
import { writeId } from './ikc-ids.ts';
import type { IkcKernels } from './ikc-kernels.ts';
import { MESSAGE_REASON_NAMES, MESSAGE_SPANS, MESSAGE_STATE, type MessageBatch, type MessageReason } from '../model/ikc-message.ts';

/** Its last records within this of a message: it was the kernel that ended. */
const NEAR_END_NS = 1e9;

export interface Verdict {
  readonly state: keyof typeof MESSAGE_STATE;
  readonly reason: MessageReason;
  readonly confidence: number;
  readonly isFinal: boolean;
}

/** `sendRow`, `receiveRow`: rows of the channel's pools; NONE = no such end. */
export function writeMessage(
  kernels: IkcKernels,
  channel: Channel,
  sendRow: number,
  receiveRow: number,
  verdict: Verdict,
  out: MessageBatch,
): void {
  const { state, reason, confidence, isFinal } = verdict;
  const { sends, receives, senderId, receiverId, machineId } = channel;
  const at = out.openRow();
  const isSend = sendRow !== NONE;
  const hasReceive = receiveRow !== NONE;
  const first = isSend ? sends.rows : receives.rows;
  const row = isSend ? sendRow : receiveRow;
  writeId(out.id, at, first.id, row);
  writeId(out.sendId, at, isSend ? sends.rows.id : undefined, sendRow);
  writeId(out.receiveId, at, hasReceive ? receives.rows.id : undefined, receiveRow);
  const isLate = isSend && sends.isWritten[sendRow] === 2;
  // The spans of one message are of one trace: where the sender's is written already, it names that.
  const ofReceive =
    hasReceive && !isLate && (receives.rows.exchange[receiveRow * 2] !== 0 || receives.rows.exchange[receiveRow * 2 + 1] !== 0);
  if (ofReceive) writeId(out.exchangeId, at, receives.rows.exchange, receiveRow);
  else writeId(out.exchangeId, at, isSend ? sends.rows.exchange : undefined, sendRow);
  const momentNs = first.time.getBigint(row);
  const peerOf = (kernelId: number): number => kernels.at(machineId, kernelId, momentNs)?.index ?? NONE;
  out.sender[at] = isSend ? (sends.kernel[sendRow] as number) : peerOf(senderId);
  out.receiver[at] = hasReceive ? (receives.kernel[receiveRow] as number) : peerOf(receiverId);
  out.senderId[at] = senderId;
  out.receiverId[at] = receiverId;
  out.sendTime.setBigint(at, isSend ? sends.rows.time.getBigint(sendRow) : 0n);
  out.receiveTime.setBigint(at, hasReceive ? receives.rows.time.getBigint(receiveRow) : 0n);
  out.sendRaw.setBigint(at, isSend ? sends.rows.raw.getBigint(sendRow) : 0n);
  out.receiveRaw.setBigint(at, hasReceive ? receives.rows.raw.getBigint(receiveRow) : 0n);
  out.sendNs[at] = isSend ? (sends.rows.endNs[sendRow] as number) : NONE;
  out.sendErrorNs[at] = isSend ? (sends.rows.errorNs[sendRow] as number) : NONE;
  out.receiveErrorNs[at] = hasReceive ? (receives.rows.errorNs[receiveRow] as number) : NONE;
  // A receiving knows all of the message; a sending of which the inner call only was recorded does not.
  const known = hasReceive ? receives.rows : sends.rows;
  const knownRow = hasReceive ? receiveRow : sendRow;
  out.type[at] = known.type[knownRow] as number;
  out.subtype[at] = known.subtype[knownRow] as number;
  out.payloadBytes[at] = known.messageBytes[knownRow] as number;
  out.slot[at] = hasReceive ? (receives.rows.slot[receiveRow] as number) : NONE;
  out.missing[at] = hasReceive ? (receives.rows.missing[receiveRow] as number) : NONE;
  out.errno[at] = isSend ? Math.min(0, sends.rows.error[sendRow] as number) : 0;
  out.sendPid[at] = isSend ? (sends.rows.pid[sendRow] as number) : NONE;
  out.sendCpu[at] = isSend ? (sends.rows.cpu[sendRow] as number) : NONE;
  out.receiveCpu[at] = hasReceive ? (receives.rows.cpu[receiveRow] as number) : NONE;
  out.fromCpu[at] = hasReceive ? (receives.rows.fromCpu[receiveRow] as number) : NONE;
  out.confidence[at] = confidence;
  out.state[at] = MESSAGE_STATE[state];
  out.reason[at] = MESSAGE_REASON_NAMES.indexOf(reason);
  out.isFinal[at] = isFinal ? 1 : 0;
  out.pack[at] = first.pack[row] as number;
  out.isPrinted[at] = (isSend && sends.rows.printed[sendRow] === 1) || (hasReceive && receives.rows.printed[receiveRow] === 1) ? 1 : 0;
  out.spans[at] = isSend && sends.isWritten[sendRow] === 2 ? MESSAGE_SPANS.producer : 0;
  out.isAnswer[at] = ofReceive ? 1 : 0;
  out.key[at] = first.key[row] as number;
  out.queue[at] = first.queue[row] as number;
}

/** Why a sending has no receiving, where its receiver was there: `otherwise`. `baseNs`: Unix ns of the channel's moment 0. */
export function whyLost(
  kernels: IkcKernels,
  { machineId, receiverId, sends }: Channel,
  row: number,
  baseNs: bigint,
  otherwise: MessageReason,
): MessageReason {
  const atNs = baseNs + BigInt(Math.floor(sends.atNs[row] as number));
  const peer = kernels.at(machineId, receiverId, atNs);
  if (peer === undefined || !peer.hasHalves) return 'no_peer_collector';
  // Its records end before the message: it was the kernel that ended, not a record that is missing.
  const lastNs = peer.endNs ?? (kernels.after(peer) === undefined ? undefined : peer.frontNs);
  if (lastNs !== undefined && lastNs < atNs + BigInt(NEAR_END_NS)) return 'kernel_died';
  return otherwise;
}

export function whyOrphan(kernels: IkcKernels, { machineId, senderId }: Channel, otherwise: MessageReason): MessageReason {
  if (senderId === NONE) return 'unknown_sender';
  const isRecorded = kernels.list.some(
    ({ identity, hasHalves }) => hasHalves && identity.machineId === machineId && identity.kernelId === senderId,
  );
  return isRecorded ? otherwise : 'no_peer_collector';
}
