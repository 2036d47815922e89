/** What a kernel report says: where, who, the call trace, code and registers, as the drawer of its record shows it. */
import type { LogRow } from '../../model/api.ts';
import { escapeControls } from '../format/text.ts';
import { type ShownFrame, type ShownReport, readReport } from '../format/report.ts';
import { Property } from '../parts/properties.tsx';
import { formatRoute } from '../state/route.ts';

export function ReportDetail({ row }: { readonly row: LogRow }) {
  const report = readReport(row);
  if (report === undefined) return null;
  const count = row.attributes['mk.report.lines'] ?? '';
  return (
    <section class="report" aria-label="Kernel report">
      {report.incomplete !== '' && <p class="report-cut">Not whole: {escapeControls(report.incomplete)}.</p>}
      <dl class="properties report-facts">
        {report.facts.map(([name, value], index) => (
          <Property key={index} name={report.facts[index - 1]?.[0] === name ? '' : name}>
            {escapeControls(value)}
          </Property>
        ))}
      </dl>
      {report.stacks.map((stack, index) => (
        <Stack key={index} title={stack.title} frames={stack.frames} />
      ))}
      <Code code={report.code} />
      {report.registers.length > 0 && (
        <details class="report-part">
          <summary>{report.registers.length} registers</summary>
          <dl class="report-registers">
            {report.registers.map(([name, value]) => (
              <div key={name}>
                <dt>{escapeControls(name)}</dt>
                <dd>{escapeControls(value)}</dd>
              </div>
            ))}
          </dl>
        </details>
      )}
      {report.taints.length > 0 && (
        <details class="report-part">
          <summary>tainted: {report.taints.length === 1 ? '1 reason' : `${report.taints.length} reasons`}</summary>
          <ul>
            {report.taints.map((taint) => (
              <li key={taint}>{escapeControls(taint)}</li>
            ))}
          </ul>
        </details>
      )}
      <p class="report-lines">
        <a href={formatRoute('logs', { boot: row.bootId, at: row.unixNs, line: row.uid })}>Its {count} lines in the log</a>{' '}
        <span class="muted">{row.attributes['mk.stream']}</span>
      </p>
    </section>
  );
}

function Stack({ title, frames }: { readonly title: string; readonly frames: readonly ShownFrame[] }) {
  return (
    <div class="report-part">
      <h3>{escapeControls(title)}</h3>
      <ol class="report-frames">
        {frames.map((frame, index) => (
          <li
            key={index}
            class={frame.certain ? '' : 'is-doubtful'}
            title={frame.certain ? '' : 'found on the stack, not by unwinding: it may be stale'}
          >
            {frame.certain ? '' : '? '}
            {escapeControls(frame.text)}
            {frame.module !== '' && <span class="report-module"> [{escapeControls(frame.module)}]</span>}
            {frame.stack !== '' && frame.stack !== frames[index - 1]?.stack && <span class="muted"> {escapeControls(frame.stack)}</span>}
          </li>
        ))}
      </ol>
    </div>
  );
}

function Code({ code }: { readonly code: ShownReport['code'] }) {
  if (code === undefined) return null;
  return (
    <div class="report-part">
      <h3>Code</h3>
      <p class="report-code">{code.bytes.map((byte, index) => (index === code.faultAt ? <mark key={index}>{byte}</mark> : `${byte} `))}</p>
    </div>
  );
}
