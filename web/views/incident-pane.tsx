/** All about one incident: reason, last words, who noticed, how sure the clocks are, and the ways to what is around it. */
import type { IncidentDetail } from '../../model/api.ts';
import { usePolled } from '../api/polled.ts';
import { describeRecorded, doubtsOf, INCIDENT_TONE, KIND_NAMES, lastedOf } from '../format/incident.ts';
import { formatCount } from '../format/number.ts';
import { escapeControls, escapeLines, toDisplayLine } from '../format/text.ts';
import { formatClockError, formatDateTime, formatWall } from '../format/time.ts';
import { CopyButton, ErrorNote } from '../parts/controls.tsx';
import { CloseIcon, LinesIcon, TimelineIcon } from '../parts/icons.tsx';
import { KernelTag } from '../parts/kernel-tag.tsx';
import { Property } from '../parts/properties.tsx';
import { formatRoute } from '../state/route.ts';

/** Of messages in flight the last ones; an export has all. */
const MAX_SHOWN_MESSAGES = 20;

interface PaneProps {
  readonly id: string;
  /** Changes with the incident; undefined = it is not in the list. */
  readonly revision: string | undefined;
  readonly onClose: () => void;
}

export function IncidentPane({ id, revision, onClose }: PaneProps) {
  const { answer: detail, error } = usePolled<IncidentDetail>(`/api/incidents/${encodeURIComponent(id)}`, revision ?? '', () => ({}));
  return (
    <aside class="drawer incident-pane" aria-label="Incident">
      <header class="drawer-head">
        {detail !== undefined && <Badge detail={detail} />}
        <div class="spacer" />
        <CopyButton label="Copy as command" text={() => `mkscope incidents show ${id}`} short command />
        <button class="icon-button" type="button" aria-label="Close" title="Close  ·  Esc" onClick={onClose}>
          <CloseIcon />
        </button>
      </header>
      {error !== undefined && <ErrorNote error={error} />}
      {detail !== undefined && <Detail detail={detail} />}
    </aside>
  );
}

function Badge({ detail: { incident } }: { readonly detail: IncidentDetail }) {
  const tone = INCIDENT_TONE[incident.severity];
  return (
    <>
      <span class={`state state-${tone}`}>
        <span class={`dot dot-${tone}`} aria-hidden="true" />
        {incident.severity}
      </span>
      <span class="muted">{KIND_NAMES[incident.kind]}</span>
    </>
  );
}

function Detail({ detail }: { readonly detail: IncidentDetail }) {
  const { incident, from, to, kernels, inFlight, recorded } = detail;
  const { bootId, kernelId, kernelName, firstUnixNs, resolvedUnixNs, evidence, reason, lastWords, others } = incident;
  return (
    <>
      <h2 class="incident-head">{escapeControls(incident.title)}</h2>
      <p class="incident-reason">{escapeControls(reason)}</p>
      {evidence !== '' && evidence !== reason && <pre class="drawer-body">{escapeLines(evidence)}</pre>}
      {doubtsOf(detail).map((doubt) => (
        <p key={doubt} class="incident-doubt">
          {escapeControls(doubt)}
        </p>
      ))}
      <div class="drawer-actions">
        <a class="button" href={formatRoute('logs', { from, to, at: firstUnixNs })} title="All kernels, five seconds to either side">
          <LinesIcon /> Logs around it
        </a>
        {bootId !== '' && (
          <a class="button" href={formatRoute('timeline', { boot: bootId, at: firstUnixNs })}>
            <TimelineIcon /> Timeline
          </a>
        )}
        <a class="button" href={`/api/incidents/${incident.id}/export`} download>
          Export
        </a>
        <a class="button" href={`/api/incidents/${incident.id}/export?redact=1`} download title="Without secrets, addresses and host names">
          Redacted
        </a>
      </div>
      <dl class="properties">
        <Property name="began">
          {formatDateTime(BigInt(firstUnixNs), 9)} <span class="muted">{formatClockError(incident.errorNs)}</span>
        </Property>
        <Property name="lasted">{lastedOf(incident)}</Property>
        <Property name="state">
          {resolvedUnixNs === '' ? 'open' : `over since ${formatWall(BigInt(resolvedUnixNs), 3)}`}{' '}
          <span class="muted">{escapeControls(incident.resolution)}</span>
        </Property>
        <Property name="machine">{escapeControls(incident.machineName)}</Property>
        {kernelId >= 0 && (
          <Property name="kernel">
            <KernelTag bootId={bootId} name={toDisplayLine(kernelName, 80)} /> <span class="muted">{kernelId}</span>
          </Property>
        )}
        {bootId !== '' && <Property name="boot">{bootId}</Property>}
        <Property name="signals">{formatCount(incident.count)}</Property>
        {others.length > 0 && (
          <Property name="noticed by">
            {others.map((other) => (
              <span key={other.bootId} class="incident-other">
                <KernelTag bootId={other.bootId} name={toDisplayLine(other.kernelName, 80)} />
              </span>
            ))}
          </Property>
        )}
        <Property name="id">{incident.id}</Property>
      </dl>
      {lastWords.length > 0 && (
        <section class="report-part">
          <h3>Last words of {toDisplayLine(kernelName, 80)}</h3>
          <pre class="drawer-body incident-words">{lastWords.map((line) => escapeLines(line)).join('\n')}</pre>
        </section>
      )}
      {recorded !== undefined && (
        <section class="report-part">
          <h3>Trace events of the flight recorders</h3>
          {describeRecorded(recorded).map((line) => (
            <p key={line}>{escapeControls(line)}</p>
          ))}
        </section>
      )}
      {inFlight.length > 0 && (
        <section class="report-part">
          <h3>{inFlight.length} messages in flight</h3>
          <p class="muted">Sent in the window, and nobody knows that they arrived.</p>
          <ul class="incident-messages">
            {inFlight.slice(-MAX_SHOWN_MESSAGES).map((message) => (
              <li key={message.messageId}>
                <span class="muted">{formatWall(BigInt(message.sendUnixNs), 6)}</span> {toDisplayLine(message.senderName, 40)} →{' '}
                {toDisplayLine(message.receiverName, 40)} {toDisplayLine(`${message.typeName} ${message.subtypeName}`, 60)}
              </li>
            ))}
          </ul>
        </section>
      )}
      {kernels.length > 0 && (
        <section class="report-part">
          <h3>Kernels in the window</h3>
          <dl class="properties">
            {kernels.map((kernel) => (
              <Property key={kernel.bootId} name={<KernelTag bootId={kernel.bootId} name={toDisplayLine(kernel.kernelName, 80)} />}>
                {formatCount(kernel.records)} records <span class="muted">{formatClockError(kernel.errorNs)}</span>
              </Property>
            ))}
          </dl>
        </section>
      )}
    </>
  );
}
