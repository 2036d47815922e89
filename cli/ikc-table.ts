/** Messages between kernels as tables, for `mkscope ikc`. */
import type { IkcChannel, IkcExchangeSum, IkcMessage } from '../model/api.ts';
import { formatMoment } from './moment.ts';
import { type Column, renderRows } from './table.ts';
import { escapeLine, type Paint, type Style } from './terminal.ts';
import { formatCount, formatNs } from './units.ts';

const STATE_STYLES: Readonly<Partial<Record<IkcMessage['state'], Style>>> = { failed: 'red', unmatched: 'yellow', waiting: 'dim' };

const CHANNEL_COLUMNS: readonly Column<IkcChannel>[] = [
  { title: 'FROM', text: ({ senderName, senderId }) => kernelOf(senderName, senderId) },
  { title: 'TO', text: ({ receiverName, receiverId }) => kernelOf(receiverName, receiverId) },
  { title: 'MATCHED', align: 'right', text: ({ matched }) => formatCount(matched) },
  { title: 'P50', align: 'right', text: ({ matched, p50Ns }) => (matched === 0 ? '-' : formatNs(p50Ns)) },
  { title: 'P99', align: 'right', text: ({ matched, p99Ns }) => (matched === 0 ? '-' : formatNs(p99Ns)) },
  { title: 'MAX', align: 'right', text: ({ matched, maxNs }) => (matched === 0 ? '-' : formatNs(maxNs)) },
  { title: '±', align: 'right', text: ({ errorNs }) => (errorNs < 0 ? '-' : formatNs(errorNs)) },
  { title: 'UNMATCHED', align: 'right', text: ({ unmatchedSends, unmatchedReceives }) => formatCount(unmatchedSends + unmatchedReceives) },
  { title: 'FAILED', align: 'right', text: ({ failed }) => formatCount(failed) },
  { title: 'WAITING', align: 'right', text: ({ waiting }) => formatCount(waiting) },
  {
    title: 'WHY',
    text: ({ reasons }) =>
      Object.entries(reasons)
        .map(([reason, count]) => `${reason} ${count}`)
        .join(', '),
  },
];

export function renderChannels(channels: readonly IkcChannel[], paint: Paint, width: number | undefined): string {
  return renderRows(CHANNEL_COLUMNS, channels, paint, width);
}

export function renderExchanges(
  exchanges: readonly IkcExchangeSum[],
  names: ReadonlyMap<number, string>,
  paint: Paint,
  width: number | undefined,
): string {
  const columns: readonly Column<IkcExchangeSum>[] = [
    { title: 'REQUESTER', text: ({ requesterName, requesterId }) => kernelOf(requesterName, requesterId) },
    { title: 'RESPONDER', text: ({ responderId }) => kernelOf(names.get(responderId) ?? '', responderId) },
    { title: 'COUNT', align: 'right', text: ({ count }) => formatCount(count) },
    { title: 'P50', align: 'right', text: ({ p50Ns }) => formatNs(p50Ns) },
    { title: 'P99', align: 'right', text: ({ p99Ns }) => formatNs(p99Ns) },
    { title: 'TIMEOUTS', align: 'right', text: ({ timeouts }) => formatCount(timeouts) },
    { title: 'FAILED', align: 'right', text: ({ failed }) => formatCount(failed) },
    { title: 'REQUEST', text: ({ operationName }) => escapeLine(operationName) },
  ];
  return renderRows(columns, exchanges, paint, width);
}

const MESSAGE_COLUMNS: readonly Column<IkcMessage>[] = [
  { title: 'TIME', text: ({ unixNs }) => formatMoment(BigInt(unixNs), 'local') },
  { title: 'FROM', text: ({ senderName, senderId }) => kernelOf(senderName, senderId) },
  { title: 'TO', text: ({ receiverName, receiverId }) => kernelOf(receiverName, receiverId) },
  { title: 'LATENCY', align: 'right', text: ({ state, latencyNs }) => (state === 'matched' ? formatNs(latencyNs) : '-') },
  { title: 'SURE', align: 'right', text: ({ state, confidence }) => (state === 'matched' ? formatConfidence(confidence) : '-') },
  { title: 'STATE', text: ({ state }) => state, style: ({ state }) => STATE_STYLES[state] },
  { title: 'BYTES', align: 'right', text: ({ payloadBytes }) => String(payloadBytes) },
  { title: 'MESSAGE', text: describe },
];

export function renderMessages(messages: readonly IkcMessage[], paint: Paint, width: number | undefined): string {
  return renderRows(MESSAGE_COLUMNS, messages, paint, width);
}

/** One line for a tail. */
export function formatMessage(message: IkcMessage, paint: Paint): string {
  const style = STATE_STYLES[message.state];
  const what = message.state === 'matched' ? `${formatNs(message.latencyNs)} (${formatConfidence(message.confidence)})` : message.state;
  const ends = `${kernelOf(message.senderName, message.senderId)} → ${kernelOf(message.receiverName, message.receiverId)}`;
  const time = formatMoment(BigInt(message.unixNs), 'local');
  return `${time}  ${ends}  ${describe(message)}, ${message.payloadBytes} bytes: ${style === undefined ? what : paint(style, what)}`;
}

function describe({ typeName, subtypeName, reason, errno, sendSpanId }: IkcMessage): string {
  const name = subtypeName === '' ? typeName : `${typeName}/${subtypeName}`;
  const end = reason === '' ? '' : ` (${sendSpanId === '' ? 'received only' : 'sent only'}: ${reason}${errno < 0 ? ` ${errno}` : ''})`;
  return escapeLine(name + end);
}

function kernelOf(name: string, id: number): string {
  return name !== '' ? escapeLine(name) : id < 0 ? '?' : `kernel ${id}`;
}

function formatConfidence(confidence: number): string {
  return confidence >= 0.9995 ? '>99.9 %' : `${(confidence * 100).toFixed(confidence >= 0.99 ? 1 : 0)} %`;
}
