/** IKC: who sends to whom, how long it takes, what goes wrong, and the messages themselves. */
import type { IkcChannel, IkcSummary } from '../../model/api.ts';
import { usePolled } from '../api/polled.ts';
import { toIkcCommand } from '../format/ikc.ts';
import { formatCompact, formatRate } from '../format/number.ts';
import { countMessages, toMatrices } from '../ikc/matrix.ts';
import { CopyButton, Empty, ErrorNote, Select } from '../parts/controls.tsx';
import { CloseIcon } from '../parts/icons.tsx';
import { kernelNames } from '../parts/kernel-tag.tsx';
import { useApp, useAppState, useParams } from '../state/app-state.ts';
import { useKeys } from '../state/keys.ts';
import { type Bounds, RANGES, toBounds, toRangeFlags, toSeconds } from '../state/range.ts';
import { IkcCounters, IkcExchanges } from './ikc-counters.tsx';
import { IkcLatencyPicture } from './ikc-latency.tsx';
import { IkcMatrix } from './ikc-matrix.tsx';
import { IkcMessages } from './ikc-messages.tsx';

const REFRESH_MS = 2000;

/** One channel of the matrix; without one it is about all. */
export interface IkcPair {
  readonly machine: string;
  readonly sender: string;
  readonly receiver: string;
}

export function IkcView() {
  const app = useApp();
  const params = useParams();
  const pair = toPair(params);
  const kernel = params['kernel'];
  const bounds = (): Bounds => toBounds(params, Date.now());
  const rangeKey = JSON.stringify([params['range'], params['from'], params['to']]);
  const { answer, error } = usePolled<IkcSummary>(
    '/api/ikc',
    JSON.stringify([kernel, rangeKey]),
    () => ({ kernel, ...bounds() }),
    REFRESH_MS,
  );
  const unselect = (): void => app.setParams({ machine: undefined, sender: undefined, receiver: undefined });
  useKeys({ Escape: unselect });
  const matrices = toMatrices(answer?.channels ?? []);
  const chosen = answer?.channels.filter((channel) => isOf(channel, pair)) ?? [];
  const isEmpty = answer !== undefined && answer.channels.length === 0 && answer.exchanges.length === 0;
  return (
    <div class="ikc">
      <IkcToolbar channels={answer?.channels} pair={pair} />
      {error !== undefined && <ErrorNote error={error} />}
      {answer === undefined && error === undefined && <p class="muted page-note">Adding up …</p>}
      {isEmpty && <NoMessages />}
      {answer !== undefined && !isEmpty && (
        <>
          <div class="ikc-top">
            <section aria-labelledby="ikc-matrix">
              <h2 class="section-title" id="ikc-matrix">
                Who sends to whom
                <small>rows send, columns receive; colour and bar: 99th percentile of the latency</small>
              </h2>
              {matrices.map((matrix) => (
                <IkcMatrix key={matrix.machineId} matrix={matrix} pair={pair} seconds={toSeconds(params)} isOne={matrices.length === 1} />
              ))}
              <IkcExchanges summary={answer} pair={pair} />
            </section>
            <IkcCounters summary={answer} chosen={chosen} pair={pair} />
          </div>
          <IkcLatencyPicture pair={pair} title={toTitle(chosen, pair)} rangeKey={rangeKey} bounds={bounds} />
          <IkcMessages pair={pair} kernel={kernel} rangeKey={rangeKey} bounds={bounds} />
        </>
      )}
    </div>
  );
}

function toPair(params: Readonly<Record<string, string>>): IkcPair | undefined {
  const { machine = '', sender, receiver } = params;
  return sender === undefined || receiver === undefined ? undefined : { machine, sender, receiver };
}

export function isOf(channel: IkcChannel, pair: IkcPair | undefined): boolean {
  if (pair === undefined) return true;
  const { machine, sender, receiver } = pair;
  return (
    (machine === '' || machine === channel.machineId) && sender === String(channel.senderId) && receiver === String(channel.receiverId)
  );
}

function toTitle(chosen: readonly IkcChannel[], pair: IkcPair | undefined): string {
  if (pair === undefined) return 'all channels';
  const [channel] = chosen;
  return channel === undefined
    ? `${pair.sender} → ${pair.receiver}`
    : `${channel.senderName || pair.sender} → ${channel.receiverName || pair.receiver}`;
}

function IkcToolbar({ channels, pair }: { readonly channels: readonly IkcChannel[] | undefined; readonly pair: IkcPair | undefined }) {
  const app = useApp();
  const params = useParams();
  const names = kernelNames(useAppState((state) => state.kernels));
  const kernel = params['kernel'] ?? '';
  const seconds = toSeconds(params);
  const count = (channels ?? []).reduce((sum, channel) => sum + countMessages(channel), 0);
  const isSpan = params['from'] !== undefined || params['to'] !== undefined;
  const command = toIkcCommand([
    ...(kernel === '' ? [] : ['--kernel', kernel]),
    ...(pair === undefined ? [] : ['--messages', '--from', pair.sender, '--to', pair.receiver]),
    ...toRangeFlags(params),
  ]);
  return (
    <div class="toolbar ikc-toolbar">
      <Select
        label="Time"
        value={params['range'] ?? ''}
        choices={RANGES}
        onChange={(range) => app.setParams({ range, from: undefined, to: undefined })}
      />
      {isSpan && (
        <span class="chip">
          {seconds === undefined ? 'a part of it' : `${seconds < 10 ? seconds.toPrecision(3) : Math.round(seconds)} s of it`}
          <button type="button" aria-label="All times" onClick={() => app.setParams({ from: undefined, to: undefined })}>
            <CloseIcon />
          </button>
        </span>
      )}
      <Select
        label="Kernel"
        value={kernel}
        choices={[{ value: '', label: 'all' }, ...names.map((name) => ({ value: name, label: name }))]}
        onChange={(name) => app.setParams({ kernel: name, machine: undefined, sender: undefined, receiver: undefined })}
      />
      {channels !== undefined && (
        <span class="toolbar-note" role="status">
          {formatCompact(count)} messages{seconds !== undefined && ` · ${formatRate(count / seconds)} a second`}
        </span>
      )}
      <div class="spacer" />
      <CopyButton label="Copy as command" text={() => command} command />
    </div>
  );
}

function NoMessages() {
  const app = useApp();
  const params = useParams();
  const isNarrow = ['range', 'from', 'to', 'kernel'].some((name) => (params[name] ?? '') !== '');
  if (isNarrow) {
    return (
      <Empty title="No message between kernels here">
        None was recorded in this time{params['kernel'] === undefined ? '' : ` to or from ${params['kernel']}`}.
        <br />
        <button
          class="button"
          type="button"
          onClick={() => app.setParams({ range: undefined, from: undefined, to: undefined, kernel: undefined })}
        >
          Show all
        </button>
      </Empty>
    );
  }
  return (
    <Empty title="No message between kernels is recorded yet" command="mkscope doctor">
      Messages are seen by kprobes in each kernel, or by its lines where probes cannot be set. This command says which of them work here and
      what is missing. <code>mkscope demo</code> shows three real kernels that talk, <code>mkscope lab up</code> boots some.
    </Empty>
  );
}
