/** All about one span: times, status, where it hangs, links, events, every attribute. */
import type { Trace, TraceSpan } from '../../model/api.ts';
import { escapeControls } from '../format/text.ts';
import { formatClockError, formatDateTime, formatDuration } from '../format/time.ts';
import { CopyButton } from '../parts/controls.tsx';
import { CloseIcon, TimelineIcon } from '../parts/icons.tsx';
import { KernelTag } from '../parts/kernel-tag.tsx';
import { Attributes, Property } from '../parts/properties.tsx';
import { formatRoute } from '../state/route.ts';

export function SpanDetail({ span, trace, onClose }: { readonly span: TraceSpan; readonly trace: Trace; readonly onClose: () => void }) {
  const parent = trace.spans.find(({ spanId }) => spanId === span.parentSpanId);
  const startNs = BigInt(span.startUnixNs);
  const errorNs = span.attributes['mk.clock.error_ns'];
  const to = (spanId: string, traceId = trace.traceId): string => formatRoute('trace', { id: traceId, span: spanId });
  return (
    <aside class="drawer" aria-label="Span">
      <header class="drawer-head">
        <KernelTag bootId={span.bootId} name={span.kernelName || span.service} />
        <span class="muted">{span.kind.toLowerCase()}</span>
        <div class="spacer" />
        <CopyButton label="Copy the span as JSON" text={() => JSON.stringify(span, undefined, 2)} short />
        <button class="icon-button" type="button" aria-label="Close" title="Close  ·  Esc" onClick={onClose}>
          <CloseIcon />
        </button>
      </header>
      <pre class="drawer-body">{escapeControls(span.name)}</pre>
      <div class="drawer-actions">
        <a class="button" href={formatRoute('timeline', { boot: span.bootId, at: span.startUnixNs })}>
          <TimelineIcon /> Timeline
        </a>
        <a class="button" href={formatRoute('logs', { at: span.startUnixNs })}>
          Logs
        </a>
      </div>
      <dl class="properties">
        <Property name="start">
          {formatDateTime(startNs, 9)} {errorNs !== undefined && <span class="muted">{formatClockError(Number(errorNs))}</span>}
        </Property>
        <Property name="duration">{formatDuration(span.durationNs)}</Property>
        <Property name="status">
          <span class={span.status === 'Error' ? 'text-bad' : ''}>
            {span.status.toLowerCase()} {escapeControls(span.statusMessage)}
          </span>
        </Property>
        <Property name="parent">
          {span.parentSpanId === '' ? (
            'none'
          ) : parent === undefined ? (
            `${span.parentSpanId}, which is not stored`
          ) : (
            <a href={to(parent.spanId)}>{escapeControls(parent.name)}</a>
          )}
        </Property>
        {span.links.map((link) => (
          <Property key={`${link.traceId} ${link.spanId}`} name="link">
            <a href={to(link.spanId, link.traceId)}>
              {link.traceId === trace.traceId
                ? escapeControls(trace.spans.find(({ spanId }) => spanId === link.spanId)?.name ?? link.spanId)
                : `trace ${link.traceId.slice(0, 8)}…`}
            </a>
          </Property>
        ))}
        <Property name="span">{span.spanId}</Property>
        <Property name="scope">{span.scope}</Property>
        <Property name="machine">{span.machine}</Property>
        {span.events.map((event) => (
          <Property key={`${event.unixNs} ${event.name}`} name="event">
            {escapeControls(event.name)} <span class="muted">+{formatDuration(Number(BigInt(event.unixNs) - startNs))}</span>
          </Property>
        ))}
        <Attributes of={Object.entries(span.attributes)} />
      </dl>
    </aside>
  );
}
