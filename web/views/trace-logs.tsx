/** What the kernels of a trace said while it went on, and a little before and after. */
import type { LogPage, LogRow, Trace, TraceSpan } from '../../model/api.ts';
import { usePolled } from '../api/polled.ts';
import { toLogsCommand, toRfc3339 } from '../format/command.ts';
import { levelClass, levelName } from '../format/level.ts';
import { toDisplayLine } from '../format/text.ts';
import { formatClockError, formatDateTime, formatDuration, formatWall } from '../format/time.ts';
import { CopyButton, ErrorNote } from '../parts/controls.tsx';
import { KernelTag } from '../parts/kernel-tag.tsx';
import { formatRoute } from '../state/route.ts';
import type { Waterfall } from '../../base/waterfall.ts';

const REFRESH_MS = 5000;
const SHOWN = 200;
const SHOWN_CHARS = 600;
/** Before and after the trace: a tenth of it, and at least as long as what leads to a message takes to be printed. */
const LEAST_AROUND_NS = 250_000_000n;

export function TraceLogs({ trace, waterfall }: { readonly trace: Trace; readonly waterfall: Waterfall<TraceSpan> }) {
  const kernel = [...new Set(trace.spans.map(({ kernelName }) => kernelName))].filter((name) => name !== '').join(',');
  const tenth = BigInt(Math.round(waterfall.durationNs / 10));
  const aroundNs = tenth > LEAST_AROUND_NS ? tenth : LEAST_AROUND_NS;
  const from = waterfall.originNs - aroundNs;
  const to = waterfall.originNs + BigInt(waterfall.durationNs) + aroundNs;
  const query = { kernel, from: from.toString(), to: to.toString(), limit: SHOWN };
  const { answer, error } = usePolled<LogPage>('/api/logs', JSON.stringify(query), () => query, REFRESH_MS);
  const rows = answer?.rows ?? [];
  return (
    <section aria-labelledby="trace-logs">
      <h2 class="section-title" id="trace-logs">
        Logs meanwhile
        <small>
          {kernel.replaceAll(',', ', ')} · the trace and {formatDuration(Number(aroundNs))} around it
          {answer?.newer !== undefined || rows.length === SHOWN ? ` · the last ${SHOWN} lines` : ''}
        </small>
        <span class="spacer" />
        <a href={formatRoute('logs', { from: query.from, to: query.to })}>all kernels</a>
        <CopyButton
          label="Copy as command"
          text={() => toLogsCommand({ kernel, search: '', regex: false }, { since: toRfc3339(from), until: toRfc3339(to) }, false)}
          command
          short
        />
      </h2>
      {error !== undefined && <ErrorNote error={error} />}
      {answer !== undefined && rows.length === 0 && <p class="muted">None of its kernels printed a line in this time.</p>}
      {rows.length > 0 && (
        <div class="table-scroll">
          <table class="table trace-logs">
            <tbody>
              {rows.map((row) => (
                <Line key={row.uid} row={row} waterfall={waterfall} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Line({ row, waterfall }: { readonly row: LogRow; readonly waterfall: Waterfall<TraceSpan> }) {
  const unixNs = BigInt(row.unixNs);
  const sinceNs = Number(unixNs - waterfall.originNs);
  const isWithin = sinceNs >= 0 && sinceNs <= waterfall.durationNs;
  return (
    <tr class={`${levelClass(row.level)} ${isWithin ? 'is-within' : ''}`}>
      <td class="mono">
        <a
          href={formatRoute('logs', { at: row.unixNs, line: row.uid })}
          title={`${formatDateTime(unixNs, 9)} ${formatClockError(row.errorNs)}`}
        >
          {formatWall(unixNs, 6)}
        </a>
      </td>
      <td class="num muted" title="From the beginning of the trace">
        {sinceNs < 0 ? '−' : '+'}
        {formatDuration(Math.abs(sinceNs))}
      </td>
      <td>
        <KernelTag bootId={row.bootId} name={row.kernelName} />
      </td>
      <td class="trace-level">{row.level > 7 ? '' : levelName(row.level)}</td>
      <td class="wide mono">{toDisplayLine(row.body, SHOWN_CHARS)}</td>
    </tr>
  );
}
