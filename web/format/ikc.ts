/** Messages between kernels in words. */
import type { CausalityAudit, IkcMessage } from '../../model/api.ts';
import type { MessageReason } from '../../model/ikc-message.ts';
import { quoteShell } from './command.ts';
import { formatCount } from './number.ts';
import { formatClockError, formatDuration } from './time.ts';

/** Why a message has one end only. */
const REASONS: Readonly<Record<Exclude<MessageReason, ''>, string>> = {
  in_flight: 'the other end has not been heard that far yet',
  send_failed: 'the sender’s kernel refused it',
  lost_record: 'the record of the other end was lost',
  not_received: 'the receiver’s records are whole there, and it is not among them',
  kernel_died: 'the receiver ended before it took it out',
  no_peer_collector: 'nobody records messages at the other end',
  unknown_sender: 'nobody knows whose the sender’s CPU was',
};

export function explainReason(reason: string): string {
  return REASONS[reason as keyof typeof REASONS] ?? reason.replaceAll('_', ' ');
}

type Timed = Pick<IkcMessage, 'latencyNs' | 'sendErrorNs' | 'receiveErrorNs'>;

/** Half-width of the bound of a latency, ns: both ends' together; -1 = not known. */
export function toLatencyErrorNs({ sendErrorNs, receiveErrorNs }: Timed): number {
  return sendErrorNs < 0 || receiveErrorNs < 0 ? -1 : sendErrorNs + receiveErrorNs;
}

/** Whether the clocks cannot tell that it was received after it was sent. */
export function isUnordered(message: Timed): boolean {
  const errorNs = toLatencyErrorNs(message);
  return errorNs < 0 || Math.abs(message.latencyNs) <= errorNs;
}

export function explainOrder(message: Timed): string {
  const errorNs = toLatencyErrorNs(message);
  if (errorNs < 0) return 'the bounds of its times are not known, so neither is which came first';
  return `which came first cannot be known by the clocks: ${formatDuration(message.latencyNs)} lies within ${formatClockError(errorNs)}`;
}

/** What was found of effects before their causes, and how bad that is. */
export function describeAudit({ messages, early, impossible, worstNs }: CausalityAudit): {
  readonly text: string;
  /** Style of the text. */
  readonly tone: 'muted' | 'text-warn' | 'text-bad';
} {
  if (messages === 0) return { text: 'No match has been held against the clocks yet.', tone: 'muted' };
  const counted = `Of ${formatCount(messages)} matched messages`;
  if (early === 0) return { text: `${counted} none is received before it was sent.`, tone: 'muted' };
  const found = `${counted} ${formatCount(early)} are received before they were sent, by ${formatDuration(worstNs)} at most`;
  if (impossible === 0) return { text: `${found}, all within the bounds of their times.`, tone: 'text-warn' };
  return { text: `${found}; ${formatCount(impossible)} by more than the bounds allow: a bound or a match is wrong.`, tone: 'text-bad' };
}

/** `mkscope ikc …` with these words. */
export function toIkcCommand(words: readonly (string | undefined)[]): string {
  return ['mkscope', 'ikc', ...words.filter((word) => word !== undefined)].map(quoteShell).join(' ');
}
