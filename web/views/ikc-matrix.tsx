/** Kernel × kernel: a cell for each channel, with its counts and latencies; click to look at one. */
import type { IkcChannel } from '../../model/api.ts';
import { formatCompact, formatCount, formatRate } from '../format/number.ts';
import { formatClockError, formatDuration } from '../format/time.ts';
import { countMessages, HEAT_STEPS, type Matrix, type MatrixEnd, toEndName, toHeatStep, toPairKey } from '../ikc/matrix.ts';
import { KernelTag } from '../parts/kernel-tag.tsx';
import { useApp, useAppState } from '../state/app-state.ts';
import type { IkcPair } from './ikc.tsx';

export function IkcMatrix(props: {
  readonly matrix: Matrix;
  readonly pair: IkcPair | undefined;
  readonly seconds: number | undefined;
  readonly isOne: boolean;
}) {
  const { matrix } = props;
  return (
    <div class="table-scroll matrix-scroll">
      <table class="matrix" aria-label={`Messages between the kernels of ${matrix.machineName}`}>
        <thead>
          <tr>
            <th class="matrix-corner">{props.isOne ? 'from ╲ to' : matrix.machineName}</th>
            {matrix.ends.map((end) => (
              <th key={end.id} scope="col">
                <End end={end} machineId={matrix.machineId} />
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {matrix.ends.map((sender) => (
            <tr key={sender.id}>
              <th scope="row">
                <End end={sender} machineId={matrix.machineId} />
              </th>
              {matrix.ends.map((receiver) => (
                <td key={receiver.id} class={sender.id === receiver.id ? 'matrix-self' : ''}>
                  <Cell channel={matrix.cells.get(toPairKey(sender.id, receiver.id))} pair={props.pair} seconds={props.seconds} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      <ul class="heat-legend" aria-label="Latency scale">
        {HEAT_STEPS.map(({ label }, at) => (
          <li key={label}>
            <HeatBar step={at + 1} /> {label}
          </li>
        ))}
      </ul>
    </div>
  );
}

function End({ end, machineId }: { readonly end: MatrixEnd; readonly machineId: string }) {
  const bootId = useAppState((state) => state.kernels?.find((row) => row.machineId === machineId && row.kernelId === end.id)?.bootId);
  return <KernelTag bootId={bootId ?? ''} name={end.name} title={end.id < 0 ? 'not known' : `kernel ${end.id}`} />;
}

function HeatBar({ step }: { readonly step: number }) {
  return (
    <span class={`heat-bar heat-${step}`} aria-hidden="true">
      {HEAT_STEPS.map(({ label }, at) => (
        <i key={label} class={at < step ? 'on' : ''} />
      ))}
    </span>
  );
}

function Cell(props: {
  readonly channel: IkcChannel | undefined;
  readonly pair: IkcPair | undefined;
  readonly seconds: number | undefined;
}) {
  const app = useApp();
  const { channel, pair, seconds } = props;
  if (channel === undefined) return <span class="muted">–</span>;
  const count = countMessages(channel);
  const unmatched = channel.unmatchedSends + channel.unmatchedReceives;
  const isChosen =
    pair !== undefined &&
    pair.sender === String(channel.senderId) &&
    pair.receiver === String(channel.receiverId) &&
    (pair.machine === '' || pair.machine === channel.machineId);
  const step = toHeatStep(channel);
  const name = `${toEndName(channel.senderId, channel.senderName)} → ${toEndName(channel.receiverId, channel.receiverName)}`;
  return (
    <button
      class={`matrix-cell heat-${step}`}
      type="button"
      aria-pressed={isChosen}
      aria-label={`${name}: ${formatCount(count)} messages, p99 ${step === 0 ? 'not known' : formatDuration(channel.p99Ns)}`}
      title={toTitle(name, channel, count)}
      onClick={() =>
        app.setParams(
          isChosen
            ? { machine: undefined, sender: undefined, receiver: undefined }
            : { machine: channel.machineId, sender: String(channel.senderId), receiver: String(channel.receiverId) },
        )
      }
    >
      <strong>
        {seconds === undefined ? formatCompact(count) : `${formatRate(count / seconds)}/s`}
        <HeatBar step={step} />
      </strong>
      {step === 0 ? (
        <span class="muted">no latency</span>
      ) : (
        <span>
          p50 {formatDuration(channel.p50Ns)} · p99 {formatDuration(channel.p99Ns)}
        </span>
      )}
      <span class={unmatched + channel.failed > 0 ? 'matrix-bad' : 'muted'}>
        {formatCompact(unmatched)} unmatched · {formatCompact(channel.failed)} failed
      </span>
    </button>
  );
}

function toTitle(name: string, channel: IkcChannel, count: number): string {
  return [
    `${name}: ${formatCount(count)} messages`,
    `${formatCount(channel.matched)} matched${channel.matched > 0 ? `, latency at most ${formatDuration(channel.maxNs)}, median bound ${formatClockError(channel.errorNs)}` : ''}`,
    `${formatCount(channel.unmatchedSends)} sent without a receiving, ${formatCount(channel.unmatchedReceives)} received without a sending`,
    `${formatCount(channel.failed)} failed, ${formatCount(channel.ringFull)} of them at a full ring; ${formatCount(channel.waiting)} wait for the other end`,
  ].join('\n');
}
