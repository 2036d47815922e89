/** Messages between kernels as tables, for `mkscope ikc`. */
import type { IkcChannel, IkcExchangeSum, IkcMessage } from '../model/api.ts';
import { formatMoment } from './moment.ts';
import { renderTable } from './table.ts';
import { escapeLine, type Paint, type Style } from './terminal.ts';
import { formatCount } from './units.ts';

const STATE_STYLES: Readonly<Partial<Record<IkcMessage['state'], Style>>> = { failed: 'red', unmatched: 'yellow', waiting: 'dim' };
const STATE_COLUMN = 5;

export function renderChannels(channels: readonly IkcChannel[], paint: Paint, width: number | undefined): string {
  const right = (title: string): { title: string; align: 'right' } => ({ title, align: 'right' });
  return renderTable(
    [
      { title: 'FROM' },
      { title: 'TO' },
      right('MATCHED'),
      right('P50'),
      right('P99'),
      right('MAX'),
      right('±'),
      right('UNMATCHED'),
      right('FAILED'),
      right('WAITING'),
      { title: 'WHY' },
    ],
    channels.map((channel) => [
      kernelOf(channel.senderName, channel.senderId),
      kernelOf(channel.receiverName, channel.receiverId),
      formatCount(channel.matched),
      channel.matched === 0 ? '-' : formatNs(channel.p50Ns),
      channel.matched === 0 ? '-' : formatNs(channel.p99Ns),
      channel.matched === 0 ? '-' : formatNs(channel.maxNs),
      channel.errorNs < 0 ? '-' : formatNs(channel.errorNs),
      formatCount(channel.unmatchedSends + channel.unmatchedReceives),
      formatCount(channel.failed),
      formatCount(channel.waiting),
      Object.entries(channel.reasons)
        .map(([reason, count]) => `${reason} ${count}`)
        .join(', '),
    ]),
    { paint, width },
  );
}

export function renderExchanges(
  exchanges: readonly IkcExchangeSum[],
  names: ReadonlyMap<number, string>,
  paint: Paint,
  width: number | undefined,
): string {
  return renderTable(
    [
      { title: 'REQUESTER' },
      { title: 'RESPONDER' },
      { title: 'COUNT', align: 'right' },
      { title: 'P50', align: 'right' },
      { title: 'P99', align: 'right' },
      { title: 'TIMEOUTS', align: 'right' },
      { title: 'FAILED', align: 'right' },
      { title: 'REQUEST' },
    ],
    exchanges.map((one) => [
      kernelOf(one.requesterName, one.requesterId),
      kernelOf(names.get(one.responderId) ?? '', one.responderId),
      formatCount(one.count),
      formatNs(one.p50Ns),
      formatNs(one.p99Ns),
      formatCount(one.timeouts),
      formatCount(one.failed),
      escapeLine(one.operationName),
    ]),
    { paint, width },
  );
}

export function renderMessages(messages: readonly IkcMessage[], paint: Paint, width: number | undefined): string {
  return renderTable(
    [
      { title: 'TIME' },
      { title: 'FROM' },
      { title: 'TO' },
      { title: 'LATENCY', align: 'right' },
      { title: 'SURE', align: 'right' },
      { title: 'STATE' },
      { title: 'BYTES', align: 'right' },
      { title: 'MESSAGE' },
    ],
    messages.map((message) => [
      formatMoment(BigInt(message.unixNs), 'local'),
      kernelOf(message.senderName, message.senderId),
      kernelOf(message.receiverName, message.receiverId),
      message.state === 'matched' ? formatNs(message.latencyNs) : '-',
      message.state === 'matched' ? formatConfidence(message.confidence) : '-',
      message.state,
      String(message.payloadBytes),
      describe(message),
    ]),
    {
      paint,
      width,
      style: (cell, row, column) => {
        const style = column === STATE_COLUMN ? STATE_STYLES[messages[row]?.state ?? 'matched'] : undefined;
        return style === undefined ? cell : paint(style, cell);
      },
    },
  );
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

/** Three digits and a unit. */
function formatNs(ns: number): string {
  const size = Math.abs(ns);
  if (size < 1e3) return `${ns.toFixed(0)} ns`;
  if (size < 1e6) return `${(ns / 1e3).toFixed(size < 1e5 ? 1 : 0)} µs`;
  if (size < 1e9) return `${(ns / 1e6).toFixed(size < 1e8 ? 1 : 0)} ms`;
  return `${(ns / 1e9).toFixed(1)} s`;
}
