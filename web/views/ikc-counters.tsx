/** What went wrong between kernels, in numbers with their reasons; and the requests by operation. */
import type { ComponentChildren } from 'preact';
import type { IkcChannel, IkcExchangeSum, IkcSummary } from '../../model/api.ts';
import { explainReason } from '../format/ikc.ts';
import { formatCompact, formatCount } from '../format/number.ts';
import { formatDuration } from '../format/time.ts';
import { toEndName } from '../ikc/matrix.ts';
import { IkcCausality } from './ikc-causality.tsx';
import type { IkcPair } from './ikc.tsx';

export function IkcCounters(props: {
  readonly summary: IkcSummary;
  readonly chosen: readonly IkcChannel[];
  readonly pair: IkcPair | undefined;
}) {
  const { chosen, pair } = props;
  const exchanges = props.summary.exchanges.filter((sum) => isBetween(sum, pair));
  const total = (of: (channel: IkcChannel) => number): number => chosen.reduce((sum, channel) => sum + of(channel), 0);
  const timeouts = exchanges.reduce((sum, one) => sum + one.timeouts, 0);
  const reasons = new Map<string, number>();
  for (const { reasons: own } of chosen) {
    for (const [reason, count] of Object.entries(own)) reasons.set(reason, (reasons.get(reason) ?? 0) + count);
  }
  const [matched, expectedWrong] = [total((one) => one.matched), total((one) => one.expectedWrong)];
  return (
    <section class="ikc-side" aria-labelledby="ikc-counters">
      <h2 class="section-title" id="ikc-counters">
        What went wrong
        <small>{pair === undefined ? 'all channels' : 'the chosen channel; requests either way'}</small>
      </h2>
      <dl class="counters">
        <Counter
          name="ring full"
          value={total((one) => one.ringFull)}
          about="sendings that were refused because the receiver’s ring had no free place (-ENOSPC)"
        />
        <Counter name="timeouts" value={timeouts} about="requests that waited in vain for their answer" />
        <Counter name="failed" value={total((one) => one.failed)} about="sendings that the sender’s own kernel refused" />
        <Counter name="places missing" value={total((one) => one.missing)} about="places of the ring that no record names" />
      </dl>
      <ul class="reasons" aria-label="Why messages have one end">
        {[...reasons]
          .toSorted((a, b) => b[1] - a[1])
          .map(([reason, count]) => (
            <li key={reason}>
              <b>{formatCompact(count)}</b> <span>{explainReason(reason)}</span> <code class="muted">{reason}</code>
            </li>
          ))}
        {reasons.size === 0 && <li class="muted">Every message has both its ends.</li>}
        {matched > 0 && expectedWrong >= 0.5 && (
          <li class="text-warn">
            <b>≈ {formatCompact(Math.round(expectedWrong))}</b>{' '}
            <span>of {formatCompact(matched)} matches may join the wrong ends, as their confidences say</span>
          </li>
        )}
      </ul>
      <IkcCausality />
    </section>
  );
}

function isBetween(sum: IkcExchangeSum, pair: IkcPair | undefined): boolean {
  if (pair === undefined) return true;
  const ends = new Set([String(sum.requesterId), String(sum.responderId)]);
  return (pair.machine === '' || pair.machine === sum.machineId) && ends.has(pair.sender) && ends.has(pair.receiver);
}

function Counter({ name, value, about }: { readonly name: string; readonly value: number; readonly about: ComponentChildren & string }) {
  return (
    <div title={about}>
      <dd class={value > 0 ? 'text-bad' : 'muted'}>{formatCompact(value)}</dd>
      <dt>{name}</dt>
    </div>
  );
}

/** Requests that waited for an answer, by what they asked for. */
export function IkcExchanges({ summary, pair }: { readonly summary: IkcSummary; readonly pair: IkcPair | undefined }) {
  const exchanges = summary.exchanges.filter((sum) => isBetween(sum, pair));
  if (exchanges.length === 0) return undefined;
  const names = new Map(summary.channels.map((one) => [`${one.machineId} ${one.receiverId}`, one.receiverName]));
  const responder = (sum: IkcExchangeSum): string => toEndName(sum.responderId, names.get(`${sum.machineId} ${sum.responderId}`) ?? '');
  return (
    <div class="table-scroll ikc-exchanges">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">request</th>
            <th scope="col" class="num">
              count
            </th>
            <th scope="col" class="num">
              timeouts
            </th>
            <th scope="col" class="num">
              refused
            </th>
            <th scope="col" class="num">
              p50
            </th>
            <th scope="col" class="num">
              p99
            </th>
          </tr>
        </thead>
        <tbody>
          {exchanges.map((sum) => (
            <tr key={`${sum.machineId} ${sum.requesterId} ${sum.responderId} ${sum.system} ${sum.operationName}`}>
              <td title={`${sum.requesterName || sum.requesterId} asks kernel ${responder(sum)}, ${sum.system}`}>
                {sum.operationName}{' '}
                <span class="muted">
                  {sum.requesterName || sum.requesterId} → {responder(sum)}
                </span>
              </td>
              <td class="num">{formatCount(sum.count)}</td>
              <td class={`num ${sum.timeouts > 0 ? 'text-bad' : 'muted'}`}>{formatCount(sum.timeouts)}</td>
              <td class={`num ${sum.failed > 0 ? 'text-bad' : 'muted'}`}>{formatCount(sum.failed)}</td>
              <td class="num">{sum.count > sum.open ? formatDuration(sum.p50Ns) : '–'}</td>
              <td class="num">{sum.count > sum.open ? formatDuration(sum.p99Ns) : '–'}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
