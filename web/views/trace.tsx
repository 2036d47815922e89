/** One trace over all kernels: a waterfall, all about a span on a click, and what the kernels said meanwhile. */
import { useState } from 'preact/hooks';
import type { Trace, TraceSpan } from '../../model/api.ts';
import { usePolled } from '../api/polled.ts';
import { toQueryCommand } from '../format/command.ts';
import { formatCount } from '../format/number.ts';
import { escapeControls } from '../format/text.ts';
import { formatDateTime, formatDuration } from '../format/time.ts';
import { CopyButton, Empty, ErrorNote } from '../parts/controls.tsx';
import { KernelTag, useTone } from '../parts/kernel-tag.tsx';
import { useApp, useAppState, useParams } from '../state/app-state.ts';
import { useKeys } from '../state/keys.ts';
import { formatRoute } from '../state/route.ts';
import { toBar, toWaterfall, type Waterfall, type WaterfallRow } from '../../base/waterfall.ts';
import { SpanDetail } from './span-detail.tsx';
import { TraceLogs } from './trace-logs.tsx';

/** A trace may still grow: spans come some seconds after they end. */
const REFRESH_MS = 5000;
/** Rows in the document at most. */
const SHOWN_SPANS = 1000;
const AXIS_PARTS = [0, 0.25, 0.5, 0.75, 1] as const;

export function TraceView() {
  const app = useApp();
  const params = useParams();
  const id = params['id'] ?? '';
  const { answer, error } = usePolled<Trace>(id === '' ? undefined : `/api/traces/${encodeURIComponent(id)}`, id, () => ({}), REFRESH_MS);
  useKeys({ Escape: () => app.setParams({ span: undefined }) });
  if (id === '') {
    return (
      <Empty title="Which trace?">
        <a href={formatRoute('traces', {})}>Choose one from the list.</a>
      </Empty>
    );
  }
  if (answer?.traceId !== id) {
    if (error === undefined) return <p class="muted page-note">Asking the hub …</p>;
    return error.status === 404 ? (
      <Empty title="No span of this trace is stored">
        {error.hint}. <a href={formatRoute('traces', {})}>All traces</a>
      </Empty>
    ) : (
      <ErrorNote error={error} />
    );
  }
  return <OneTrace key={id} trace={answer} />;
}

function OneTrace({ trace }: { readonly trace: Trace }) {
  const app = useApp();
  const params = useParams();
  const [all, setAll] = useState(false);
  const waterfall = toWaterfall(trace.spans);
  const chosen = trace.spans.find(({ spanId }) => spanId === params['span']);
  const kernels = [...new Map(trace.spans.map((span) => [span.kernelName || span.service, span.bootId]))];
  const errors = trace.spans.filter(({ status }) => status === 'Error').length;
  const [first] = waterfall.rows;
  const rows = all ? waterfall.rows : waterfall.rows.slice(0, SHOWN_SPANS);
  const sql = `SELECT Timestamp, ServiceName, SpanName, Duration, StatusCode, SpanAttributes FROM otel_traces WHERE TraceId = '${trace.traceId}' ORDER BY Timestamp`;
  return (
    <div class="trace">
      <div class="trace-main">
        <div class="toolbar ikc-toolbar">
          <a class="button" href={app.toHash('traces')}>
            ← Traces
          </a>
          <strong class="trace-name">{escapeControls(first?.span.name ?? '')}</strong>
          {kernels.map(([name, bootId]) => (
            <KernelTag key={name} bootId={bootId} name={name} />
          ))}
          <span class="toolbar-note" role="status">
            {formatDateTime(waterfall.originNs, 6)} · {formatDuration(waterfall.durationNs)} · {formatCount(trace.spans.length)}{' '}
            {trace.spans.length === 1 ? 'span' : 'spans'}
            {errors > 0 && <span class="text-bad"> · {formatCount(errors)} with an error</span>}
          </span>
          <div class="spacer" />
          <a
            class="button"
            href={formatRoute('timeline', { boot: first?.span.bootId, at: waterfall.originNs.toString() })}
            title="Timeline at its beginning"
          >
            Timeline
          </a>
          <CopyButton label="Copy the trace id" text={() => trace.traceId} />
          <CopyButton label="Copy as command" text={() => toQueryCommand(sql)} command />
        </div>
        {trace.truncated && <p class="text-warn page-note">There are more spans than these; the oldest are shown.</p>}
        <Rows rows={rows} waterfall={waterfall} chosen={chosen} />
        {rows.length < waterfall.rows.length && (
          <button class="button" type="button" onClick={() => setAll(true)}>
            Show all {formatCount(waterfall.rows.length)} spans
          </button>
        )}
        <TraceLogs trace={trace} waterfall={waterfall} />
      </div>
      {chosen !== undefined && <SpanDetail span={chosen} trace={trace} onClose={() => app.setParams({ span: undefined })} />}
    </div>
  );
}

function Rows(props: {
  readonly rows: readonly WaterfallRow<TraceSpan>[];
  readonly waterfall: Waterfall<TraceSpan>;
  readonly chosen: TraceSpan | undefined;
}) {
  const { durationNs } = props.waterfall;
  return (
    <div class="waterfall" role="group" aria-label="Spans of the trace">
      <div class="waterfall-head">
        <span>kernel and span</span>
        <span class="waterfall-axis" aria-label="Time from its beginning">
          {AXIS_PARTS.map((part) => (
            <i key={part} style={{ left: `${part * 100}%` }}>
              {part === 0 ? '0' : formatDuration(durationNs * part)}
            </i>
          ))}
        </span>
      </div>
      {props.rows.map((row) => (
        <Row key={row.span.spanId} row={row} totalNs={durationNs} isChosen={row.span.spanId === props.chosen?.spanId} />
      ))}
    </div>
  );
}

function Row({ row, totalNs, isChosen }: { readonly row: WaterfallRow<TraceSpan>; readonly totalNs: number; readonly isChosen: boolean }) {
  const app = useApp();
  const tone = useTone(row.span.bootId);
  const isKnown = useAppState((state) => state.tones.has(row.span.bootId));
  const { span } = row;
  const bar = toBar(row, totalNs);
  const end = bar.left + bar.width;
  // Beside the bar where there is room: behind it, before it, else within it.
  const place = end < 70 ? 'is-behind' : bar.left > 40 ? 'is-before' : 'is-within';
  return (
    <button
      class={`waterfall-row ${isKnown ? tone : ''}`}
      type="button"

      aria-pressed={isChosen}
      onClick={() => app.setParams({ span: isChosen ? undefined : span.spanId })}
    >
      <span class="waterfall-name" style={{ paddingLeft: `${12 + Math.min(row.depth, 12) * 16}px` }}>
        {row.isOrphan && (
          <span class="muted" title={`Its parent ${span.parentSpanId} is not stored`}>
            ⋯{' '}
          </span>
        )}
        {row.depth > 0 && <span class="muted">└ </span>}
        <span class="kernel-tag">{span.kernelName || span.service}</span> {escapeControls(span.name)}
      </span>
      <span class="waterfall-track">
        <i
          class={`waterfall-bar ${span.durationNs === 0 ? 'is-moment' : ''} ${span.status === 'Error' ? 'is-error' : ''}`}
          style={{ left: `${bar.left}%`, width: `${bar.width}%` }}
        />
        {span.events.map((event) => (
          <i
            key={`${event.unixNs} ${event.name}`}
            class="waterfall-event"
            title={event.name}
            style={{
              left: `${toBar({ startNs: row.startNs + Number(BigInt(event.unixNs) - BigInt(span.startUnixNs)), span: { durationNs: 0 } }, totalNs).left}%`,
            }}
          />
        ))}
        <span
          class={`waterfall-time ${place}`}
          style={place === 'is-behind' ? { left: `${end}%` } : { right: `${100 - (place === 'is-before' ? bar.left : end)}%` }}
        >
          {span.status === 'Error' && <b class="text-bad">✕ {escapeControls(span.statusMessage)} </b>}
          {span.durationNs === 0 ? `at ${formatDuration(row.startNs)}` : formatDuration(span.durationNs)}
        </span>
      </span>
    </button>
  );
}
