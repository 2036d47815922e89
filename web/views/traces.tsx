/** Traces: the newest that fit a kernel, a name and a least duration. */
import { useRef } from 'preact/hooks';
import type { TraceRow } from '../../model/api.ts';
import { usePolled } from '../api/polled.ts';
import { quoteShell } from '../format/command.ts';
import { formatCount } from '../format/number.ts';
import { escapeControls } from '../format/text.ts';
import { formatDateTime, formatDuration, formatWall } from '../format/time.ts';
import { CopyButton, Empty, ErrorNote, SearchField, Select } from '../parts/controls.tsx';
import { SearchIcon } from '../parts/icons.tsx';
import { KernelTag, kernelNames } from '../parts/kernel-tag.tsx';
import { useApp, useAppState, useParams } from '../state/app-state.ts';
import { useKeys } from '../state/keys.ts';
import { RANGES, toBounds } from '../state/range.ts';
import { formatRoute } from '../state/route.ts';

const REFRESH_MS = 3000;
const COUNTS = ['100', '300', '1000'] as const;
const DURATIONS = [
  { value: '', label: 'any' },
  { value: '100000', label: '≥ 100 µs' },
  { value: '1000000', label: '≥ 1 ms' },
  { value: '10000000', label: '≥ 10 ms' },
  { value: '100000000', label: '≥ 100 ms' },
  { value: '1000000000', label: '≥ 1 s' },
] as const;

export function TracesView() {
  const app = useApp();
  const params = useParams();
  const names = kernelNames(useAppState((state) => state.kernels));
  const searchInput = useRef<HTMLInputElement>(null);
  useKeys({ '/': () => searchInput.current?.select() });
  const query = { kernel: params['kernel'], name: params['q'], min_duration_ns: params['min'], limit: params['n'] ?? COUNTS[0] };
  const { answer, error } = usePolled<{ readonly traces: readonly TraceRow[] }>(
    '/api/traces',
    JSON.stringify([query, params['range'], params['from'], params['to']]),
    () => ({ ...query, ...toBounds(params, Date.now()) }),
    REFRESH_MS,
  );
  const isFiltered = ['kernel', 'q', 'min', 'range', 'from', 'to'].some((name) => (params[name] ?? '') !== '');
  return (
    <div class="traces">
      <div class="toolbar ikc-toolbar">
        <SearchField
          value={params['q'] ?? ''}
          placeholder="Span name: send, request, instance …"
          inputRef={searchInput}
          icon={<SearchIcon />}
          onInput={(q) => app.setParams({ q })}
        />
        <Select
          label="Kernel"
          value={params['kernel'] ?? ''}
          choices={[{ value: '', label: 'all' }, ...names.map((name) => ({ value: name, label: name }))]}
          onChange={(kernel) => app.setParams({ kernel })}
        />
        <Select label="Lasts" value={params['min'] ?? ''} choices={DURATIONS} onChange={(min) => app.setParams({ min })} />
        <Select
          label="Time"
          value={params['range'] ?? ''}
          choices={RANGES}
          onChange={(range) => app.setParams({ range, from: undefined, to: undefined })}
        />
        <Select
          label="Show"
          plain
          value={query.limit}
          choices={COUNTS.map((value) => ({ value, label: `last ${value}` }))}
          onChange={(n) => app.setParams({ n: n === COUNTS[0] ? undefined : n })}
        />
        <div class="spacer" />
        {answer !== undefined && (
          <span class="toolbar-note" role="status">
            {formatCount(answer.traces.length)} traces
          </span>
        )}
        <CopyButton label="Copy as command" text={() => toCommand(query)} command />
      </div>
      {error !== undefined && <ErrorNote error={error} />}
      {answer === undefined && error === undefined && <p class="muted page-note">Looking …</p>}
      {answer !== undefined &&
        (answer.traces.length > 0 ? (
          <TraceTable traces={answer.traces} />
        ) : isFiltered ? (
          <Empty title="No trace fits">
            Widen the search: one span must have the name and the kernel.
            <br />
            <button class="button" type="button" onClick={() => app.go('traces')}>
              Show all
            </button>
          </Empty>
        ) : (
          <Empty title="No trace is stored yet" command="mkscope doctor">
            Traces are made of matched messages between kernels, of the lives of instances, and of spans that are sent to the hub over OTLP.
            This command says what can be observed here; <code>mkscope demo</code> shows some.
          </Empty>
        ))}
    </div>
  );
}

/** Of the hub's own words for it: a table of the newest spans that fit. */
function toCommand(query: {
  readonly kernel: string | undefined;
  readonly name: string | undefined;
  readonly min_duration_ns: string | undefined;
  readonly limit: string;
}): string {
  const text = (value: string): string => `'${value.replaceAll('\\', '\\\\').replaceAll("'", String.raw`\'`)}'`;
  const conditions = [
    `TraceId != ''`,
    ...(query.kernel ? [`KernelName = ${text(query.kernel)}`] : []),
    ...(query.name ? [`positionCaseInsensitive(SpanName, ${text(query.name)}) > 0`] : []),
  ];
  const least = query.min_duration_ns ? ` HAVING ns >= ${Number(query.min_duration_ns)}` : '';
  const end = 'toUnixTimestamp64Nano(Timestamp)';
  return `mkscope query ${quoteShell(
    `SELECT TraceId, min(Timestamp) AS start, max(${end} + Duration) - min(${end}) AS ns, groupUniqArray(SpanName) AS spans, groupUniqArray(ServiceName) AS kernels FROM otel_traces WHERE ${conditions.join(' AND ')} GROUP BY TraceId${least} ORDER BY start DESC LIMIT ${Number(query.limit)}`,
  )}`;
}

function TraceTable({ traces }: { readonly traces: readonly TraceRow[] }) {
  const app = useApp();
  const longest = traces.reduce((most, { durationNs }) => Math.max(most, durationNs), 1);
  return (
    <div class="table-scroll traces-table">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">started</th>
            <th scope="col" class="wide">
              trace
            </th>
            <th scope="col">kernels</th>
            <th scope="col" class="num">
              spans
            </th>
            <th scope="col" class="num">
              errors
            </th>
            <th scope="col" class="num">
              duration
            </th>
            <th scope="col">logarithmic</th>
          </tr>
        </thead>
        <tbody>
          {traces.map((trace) => {
            const start = BigInt(trace.startUnixNs);
            return (
              <tr
                key={trace.traceId}
                class="is-link"
                onClick={(event) => (event.target as HTMLElement).closest('a') === null && app.go('trace', { id: trace.traceId })}
              >
                <td class="mono" title={formatDateTime(start, 9)}>
                  {formatWall(start, 6)}
                </td>
                <td class="wide">
                  <KernelTag bootId={trace.bootId} name={trace.kernelName} />{' '}
                  <a href={formatRoute('trace', { id: trace.traceId })}>{escapeControls(trace.name)}</a>
                </td>
                <td>
                  <Kernels names={trace.kernels} />
                </td>
                <td class="num">{formatCount(trace.spans)}</td>
                <td class={`num ${trace.errors > 0 ? 'text-bad' : 'muted'}`}>{formatCount(trace.errors)}</td>
                <td class="num">{formatDuration(trace.durationNs)}</td>
                <td class="trace-length">
                  <i style={{ width: `${(Math.log1p(trace.durationNs) / Math.log1p(longest)) * 100}%` }} />
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Kernels({ names }: { readonly names: readonly string[] }) {
  const kernels = useAppState((state) => state.kernels);
  return (
    <>
      {names.map((name, at) => {
        const bootId = kernels?.find((kernel) => kernel.kernelName === name)?.bootId ?? '';
        return (
          <span key={name}>
            {at > 0 && <span class="muted"> · </span>}
            <KernelTag bootId={bootId} name={name} />
          </span>
        );
      })}
    </>
  );
}
