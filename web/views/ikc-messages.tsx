/** Single messages: the slowest, the newest that failed, the newest with one end; each leads to its trace, its logs, its moment. */
import type { IkcMessage } from '../../model/api.ts';
import { usePolled } from '../api/polled.ts';
import { explainOrder, explainReason, isUnordered, toIkcCommand, toLatencyErrorNs } from '../format/ikc.ts';
import { formatBytes, formatPercent } from '../format/number.ts';
import { escapeControls } from '../format/text.ts';
import { formatClockError, formatDateTime, formatDuration, formatWall, parseUnixNs } from '../format/time.ts';
import { toEndName } from '../ikc/matrix.ts';
import { CopyButton, ErrorNote, Segmented } from '../parts/controls.tsx';
import { KernelTag } from '../parts/kernel-tag.tsx';
import { useApp, useParams } from '../state/app-state.ts';
import { type Bounds, toRangeFlags } from '../state/range.ts';
import { formatRoute } from '../state/route.ts';
import type { IkcPair } from './ikc.tsx';

const REFRESH_MS = 2000;
const SHOWN = 100;

const LISTS = [
  { value: '', label: 'Slowest', title: 'Matched messages that took longest', query: { order: 'slowest' }, flags: ['--slowest'] },
  {
    value: 'failed',
    label: 'Failed',
    title: 'Newest that were refused',
    query: { state: 'failed' },
    flags: ['--messages', '--state', 'failed'],
  },
  {
    value: 'unmatched',
    label: 'One end',
    title: 'Newest of which one end is known',
    query: { state: 'unmatched,waiting' },
    flags: ['--messages', '--state', 'unmatched,waiting'],
  },
  { value: 'newest', label: 'Newest', title: 'Newest of all', query: { order: 'newest' }, flags: ['--messages'] },
] as const;

export function IkcMessages(props: {
  readonly pair: IkcPair | undefined;
  readonly kernel: string | undefined;
  readonly rangeKey: string;
  readonly bounds: () => Bounds;
}) {
  const app = useApp();
  const params = useParams();
  const { pair, kernel } = props;
  const list = LISTS.find(({ value }) => value === (params['list'] ?? '')) ?? LISTS[0];
  const { answer, error } = usePolled<{ readonly messages: readonly IkcMessage[] }>(
    '/api/ikc/messages',
    JSON.stringify([pair, kernel, list.value, props.rangeKey]),
    () => ({ kernel, ...pair, ...list.query, ...props.bounds(), limit: SHOWN }),
    REFRESH_MS,
  );
  const command = toIkcCommand([
    ...list.flags,
    ...(kernel === undefined ? [] : ['--kernel', kernel]),
    ...(pair === undefined ? [] : ['--from', pair.sender, '--to', pair.receiver]),
    ...toRangeFlags(params),
  ]);
  return (
    <section aria-labelledby="ikc-messages">
      <h2 class="section-title ikc-list-title" id="ikc-messages">
        Messages
        <Segmented label="Which messages" value={list.value} choices={LISTS} onChange={(value) => app.setParams({ list: value })} />
        <span class="spacer" />
        <CopyButton label="Copy as command" text={() => command} command />
      </h2>
      {error !== undefined && <ErrorNote error={error} />}
      {answer !== undefined && answer.messages.length === 0 && <p class="muted">No such message in this time.</p>}
      {answer !== undefined && answer.messages.length > 0 && <MessageTable messages={answer.messages} />}
    </section>
  );
}

function MessageTable({ messages }: { readonly messages: readonly IkcMessage[] }) {
  const app = useApp();
  return (
    <div class="table-scroll">
      <table class="table ikc-table">
        <thead>
          <tr>
            <th scope="col" class="num">
              latency
            </th>
            <th scope="col">channel</th>
            <th scope="col">type</th>
            <th scope="col" class="num">
              length
            </th>
            <th scope="col">sent</th>
            <th scope="col">received</th>
            <th scope="col" class="num" title="How likely the two ends are one message">
              sure
            </th>
            <th scope="col" class="wide">
              what is known
            </th>
            <th scope="col" />
          </tr>
        </thead>
        <tbody>
          {messages.map((message) => (
            <tr
              key={message.messageId}
              class={message.traceId === '' ? '' : 'is-link'}
              onClick={(event) => {
                if (message.traceId === '' || (event.target as HTMLElement).closest('a') !== null) return;
                app.go('trace', { id: message.traceId });
              }}
            >
              <MessageCells message={message} />
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function MessageCells({ message }: { readonly message: IkcMessage }) {
  const isMatched = message.state === 'matched';
  return (
    <>
      <td class="num">
        {isMatched ? (
          <>
            <strong>{formatDuration(message.latencyNs)}</strong> <span class="muted">{formatClockError(toLatencyErrorNs(message))}</span>
          </>
        ) : (
          <span class="muted">–</span>
        )}
      </td>
      <td>
        <KernelTag bootId={message.senderBootId} name={toEndName(message.senderId, message.senderName)} /> →{' '}
        <KernelTag bootId={message.receiverBootId} name={toEndName(message.receiverId, message.receiverName)} />
      </td>
      <td title={`${message.system} type ${message.type}, subtype ${message.subtype}`}>
        {escapeControls(message.typeName)}/{escapeControls(message.subtypeName)}
      </td>
      <td class="num">{formatBytes(message.payloadBytes)}</td>
      <Moment unixNs={message.sendUnixNs} errorNs={message.sendErrorNs} />
      <Moment unixNs={message.receiveUnixNs} errorNs={message.receiveErrorNs} />
      <td class={`num ${isMatched && message.confidence < 0.5 ? 'text-warn' : ''}`}>
        {isMatched ? formatPercent(message.confidence) : '–'}
      </td>
      <td class="wide">
        <Known message={message} />
      </td>
      <td class="ikc-links">
        {message.traceId !== '' && <a href={formatRoute('trace', { id: message.traceId })}>trace</a>}
        <a href={formatRoute('logs', { at: message.unixNs })}>logs</a>
        <a href={formatRoute('timeline', { boot: message.senderBootId || message.receiverBootId, at: message.unixNs })}>timeline</a>
      </td>
    </>
  );
}

function Moment({ unixNs, errorNs }: { readonly unixNs: string; readonly errorNs: number }) {
  const moment = parseUnixNs(unixNs);
  if (moment === undefined) return <td class="muted">not recorded</td>;
  return (
    <td class="mono" title={`${formatDateTime(moment, 9)} ${formatClockError(errorNs)}`}>
      {formatWall(moment, 6)} <span class="muted">{formatClockError(errorNs)}</span>
    </td>
  );
}

function Known({ message }: { readonly message: IkcMessage }) {
  if (message.state === 'failed') {
    return (
      <span class="text-bad">
        {explainReason(message.reason || 'send_failed')}: errno {message.errno}
        {message.errno === -28 ? ', ring full' : ''}
      </span>
    );
  }
  if (message.state !== 'matched') return <span class="text-warn">{explainReason(message.reason)}</span>;
  if (isUnordered(message)) {
    return (
      <span class="text-warn" title={explainOrder(message)}>
        order not known: within the bounds
      </span>
    );
  }
  return <span class="muted">{message.isPrinted ? 'an end is from a printed line' : 'sent, then received'}</span>;
}
