/** All about one log record: the whole text, both clocks, where it came from, every attribute. */
import type { LogRow } from '../../model/api.ts';
import { quoteShell, toRfc3339 } from '../format/command.ts';
import { levelClass, levelName } from '../format/level.ts';
import { isReport } from '../format/report.ts';
import { escapeControls, escapeLines } from '../format/text.ts';
import { formatClockError, formatDateTime, formatRaw } from '../format/time.ts';
import { CopyButton } from '../parts/controls.tsx';
import { CloseIcon, TimelineIcon } from '../parts/icons.tsx';
import { KernelTag } from '../parts/kernel-tag.tsx';
import { Attributes, Property } from '../parts/properties.tsx';
import { formatRoute } from '../state/route.ts';
import { toCopyLine } from './log-list.tsx';
import { ReportDetail } from './report-detail.tsx';

/** What the drawer shows of one text at most; the copy button gives all. */
const MAX_SHOWN_CHARS = 50_000;
/** Shown in parts, not as they stand. */
const IN_REPORT: ReadonlySet<string> = new Set(['mk.report', 'exception.stacktrace']);
/** A command that finds the record again looks this far to either side. */
const AROUND_NS = 1_000_000n;

export function LogDetail({ row, onClose }: { readonly row: LogRow; readonly onClose: () => void }) {
  const unixNs = BigInt(row.unixNs);
  const command = `mkscope logs --kernel ${quoteShell(row.kernelName)} --since ${toRfc3339(unixNs - AROUND_NS)} --until ${toRfc3339(unixNs + AROUND_NS)}`;
  return (
    <aside class="drawer" aria-label="Log record">
      <header class="drawer-head">
        <span class={`level-badge ${levelClass(row.level)}`}>{row.level > 7 ? 'no level' : levelName(row.level)}</span>
        <KernelTag bootId={row.bootId} name={row.kernelName} />
        <div class="spacer" />
        <CopyButton label="Copy the line" text={() => toCopyLine(row)} short />
        <CopyButton label="Copy as command" text={() => command} short command />
        <button class="icon-button" type="button" aria-label="Close" title="Close  ·  Esc" onClick={onClose}>
          <CloseIcon />
        </button>
      </header>
      <pre class="drawer-body">{escapeLines(row.body.slice(0, MAX_SHOWN_CHARS))}</pre>
      <div class="drawer-actions">
        <a class="button" href={formatRoute('timeline', { boot: row.bootId, at: row.unixNs })} title="Timeline at this moment  ·  t">
          <TimelineIcon /> Timeline
        </a>
        <a class="button" href={formatRoute('logs', { at: row.unixNs, line: row.uid })} title="All kernels around this moment, no filters">
          In context
        </a>
      </div>
      {isReport(row) && <ReportDetail row={row} />}
      <dl class="properties">
        <Property name="time">
          {formatDateTime(unixNs, 9)} <span class="muted">{formatClockError(row.errorNs)}</span>
        </Property>
        <Property name="own stamp">
          {formatRaw(row.raw, row.clock)} <span class="muted">{row.clock || 'no clock'}</span>
        </Property>
        <Property name="machine">{row.machine}</Property>
        <Property name="boot">{row.bootId}</Property>
        <Property name="stream">
          {row.stream} <span class="muted">#{row.sequence}</span>
        </Property>
        {row.eventName !== '' && <Property name="event">{row.eventName}</Property>}
        {row.facility > 0 && <Property name="facility">{row.facility}</Property>}
        {row.cpu >= 0 && <Property name="CPU">{row.cpu}</Property>}
        {row.pid > 0 && <Property name="task">{row.pid}</Property>}
        {row.caller !== '' && <Property name="caller">{escapeControls(row.caller)}</Property>}
        <Attributes of={Object.entries(row.attributes).filter(([name]) => !IN_REPORT.has(name) || !isReport(row))} />
      </dl>
    </aside>
  );
}
