/** How long the messages of one channel, or of all, took: over time, on a logarithmic scale. */
import type { IkcLatency } from '../../model/api.ts';
import { usePolled } from '../api/polled.ts';
import { formatCount } from '../format/number.ts';
import { formatDuration } from '../format/time.ts';
import { HeatCanvas } from '../ikc/heat-canvas.tsx';
import { ErrorNote } from '../parts/controls.tsx';
import { useApp, useParams } from '../state/app-state.ts';
import type { Bounds } from '../state/range.ts';
import type { IkcPair } from './ikc.tsx';

const REFRESH_MS = 2000;

export function IkcLatencyPicture(props: {
  readonly pair: IkcPair | undefined;
  readonly title: string;
  readonly rangeKey: string;
  readonly bounds: () => Bounds;
}) {
  const app = useApp();
  const kernel = useParams()['kernel'];
  const { pair, title } = props;
  const { answer, error } = usePolled<IkcLatency>(
    '/api/ikc/latency',
    JSON.stringify([pair, kernel, props.rangeKey]),
    () => ({ kernel, ...pair, ...props.bounds() }),
    REFRESH_MS,
  );
  const label = `Latency of ${title} over time`;
  return (
    <section aria-labelledby="ikc-latency">
      <h2 class="section-title" id="ikc-latency">
        Latency of {title}
        {answer !== undefined && (
          <small>
            {formatCount(answer.matched)} matched messages
            {answer.unordered > 0 && ` · ${formatCount(answer.unordered)} in unknown order`}
            {answer.columns > 0 && ` · ${formatDuration(answer.stepNs)} a column · drag to narrow the time`}
          </small>
        )}
        <span class="spacer" />
        <span class="heat-key">
          <i class="key-cell" aria-hidden="true" /> messages, stronger is more <i class="key-p50" aria-hidden="true" /> p50{' '}
          <i class="key-p99" aria-hidden="true" /> p99 <i class="key-bad" aria-hidden="true" /> failed or one end
        </span>
      </h2>
      {error !== undefined && <ErrorNote error={error} />}
      {answer === undefined ? (
        <div class="heat heat-wait" />
      ) : answer.columns === 0 ? (
        <p class="heat heat-wait muted">No message of this channel in this time.</p>
      ) : (
        <HeatCanvas
          latency={answer}
          label={label}
          onRange={(from, to) => app.setParams({ range: undefined, from: from.toString(), to: to.toString() })}
        />
      )}
    </section>
  );
}
