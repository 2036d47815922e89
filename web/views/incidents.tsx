/** Incidents: what went wrong on any kernel, each thing once, and all about the chosen one. */
import { useEffect, useRef } from 'preact/hooks';
import type { IncidentRow } from '../../model/api.ts';
import { usePolled } from '../api/polled.ts';
import { INCIDENT_TONE, KIND_NAMES, lastedOf } from '../format/incident.ts';
import { formatCount } from '../format/number.ts';
import { toDisplayLine } from '../format/text.ts';
import { formatClockError, formatDateTime, parseUnixNs } from '../format/time.ts';
import { Empty, ErrorNote, Segmented, Select } from '../parts/controls.tsx';
import { kernelNames, KernelTag } from '../parts/kernel-tag.tsx';
import { useApp, useAppState, useParams } from '../state/app-state.ts';
import { useKeys } from '../state/keys.ts';
import { IncidentPane } from './incident-pane.tsx';

const REFRESH_MS = 2000;
const LIMIT = 500;
const SHOWN_SEVERITIES = {
  '': 'critical,error,warning,info',
  alarms: 'critical,error,warning',
  worst: 'critical,error',
} as const;

export function IncidentsView() {
  const app = useApp();
  const params = useParams();
  const severity = SHOWN_SEVERITIES[(params['show'] ?? '') as keyof typeof SHOWN_SEVERITIES] ?? SHOWN_SEVERITIES[''];
  const query = { severity, state: params['state'], kind: params['kind'], kernel: params['kernel'], limit: LIMIT };
  const { answer, error } = usePolled<{ readonly incidents: readonly IncidentRow[] }>(
    '/api/incidents',
    JSON.stringify(query),
    () => query,
    REFRESH_MS,
  );
  const rows = answer?.incidents;
  const chosen = params['id'];
  const choose = (id: string | undefined): void => app.setParams({ id });
  const move = (step: number): void => {
    const at = rows?.findIndex(({ id }) => id === chosen) ?? -1;
    const next = rows?.[Math.min(Math.max(at + step, 0), rows.length - 1)];
    if (next !== undefined) choose(next.id);
  };
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    Escape: () => choose(undefined),
  });
  return (
    <div class="incidents">
      <FilterBar />
      {error !== undefined && <ErrorNote error={error} />}
      <div class="incidents-body">
        <div class="incidents-main">
          {rows === undefined ? (
            error === undefined && <p class="muted page-note">Looking …</p>
          ) : rows.length === 0 ? (
            <Nothing />
          ) : (
            <IncidentTable rows={rows} chosen={chosen} onChoose={choose} />
          )}
        </div>
        {chosen !== undefined && (
          <IncidentPane
            key={chosen}
            id={chosen}
            revision={JSON.stringify(rows?.find(({ id }) => id === chosen))}
            onClose={() => choose(undefined)}
          />
        )}
      </div>
    </div>
  );
}

function FilterBar() {
  const app = useApp();
  const params = useParams();
  const kernels = useAppState((state) => state.kernels);
  return (
    <div class="toolbar" role="search">
      <Segmented
        label="Severity"
        value={params['show'] ?? ''}
        choices={[
          { value: '', label: 'All', title: 'Life events too: stops that were asked for' },
          { value: 'alarms', label: 'Alarms', title: 'Warnings and worse' },
          { value: 'worst', label: 'Errors', title: 'Errors and worse' },
        ]}
        onChange={(show) => app.setParams({ show })}
      />
      <Select
        label="State"
        value={params['state'] ?? ''}
        choices={[
          { value: '', label: 'all' },
          { value: 'open', label: 'open' },
          { value: 'resolved', label: 'over' },
        ]}
        onChange={(state) => app.setParams({ state })}
      />
      <Select
        label="Kind"
        value={params['kind'] ?? ''}
        choices={[{ value: '', label: 'all' }, ...Object.entries(KIND_NAMES).map(([value, label]) => ({ value, label }))]}
        onChange={(kind) => app.setParams({ kind })}
      />
      <Select
        label="Kernel"
        value={params['kernel'] ?? ''}
        choices={[{ value: '', label: 'all' }, ...kernelNames(kernels).map((name) => ({ value: name, label: name }))]}
        onChange={(kernel) => app.setParams({ kernel })}
      />
    </div>
  );
}

function Nothing() {
  const app = useApp();
  const params = useParams();
  const isFiltered = ['show', 'state', 'kind', 'kernel'].some((name) => (params[name] ?? '') !== '');
  const hasKernels = useAppState((state) => (state.kernels?.length ?? 0) > 0);
  if (isFiltered) {
    return (
      <Empty title="No incident matches">
        The filters leave nothing over.{' '}
        <button class="button" type="button" onClick={() => app.go('incidents')}>
          Remove all filters
        </button>
      </Empty>
    );
  }
  if (!hasKernels) {
    return (
      <Empty title="No incident, and no kernel yet" command="mkscope up">
        Nothing has been received, so nothing can have gone wrong. Collectors bring what happens, <code>mkscope import</code> what happened.
      </Empty>
    );
  }
  return (
    <Empty title="No incident">
      Nothing went wrong on any kernel that is known here: no panic or other end, no oops, lockup, OOM, full ring, silence, or burst of
      losses. What comes appears here within seconds.
    </Empty>
  );
}

function IncidentTable(props: {
  readonly rows: readonly IncidentRow[];
  readonly chosen: string | undefined;
  readonly onChoose: (id: string) => void;
}) {
  const { rows, chosen, onChoose } = props;
  const hasMachines = new Set(rows.map(({ machineId }) => machineId)).size > 1;
  const current = useRef<HTMLTableRowElement>(null);
  useEffect(() => current.current?.scrollIntoView({ block: 'nearest' }), [chosen]);
  return (
    <div class="table-scroll">
      <table class="table incident-table">
        <thead>
          <tr>
            <th scope="col">Began</th>
            <th scope="col">Severity</th>
            <th scope="col">State</th>
            <th scope="col" class="wide">
              What
            </th>
            <th scope="col" class="minor">
              Kind
            </th>
            {hasMachines && <th scope="col">Machine</th>}
            <th scope="col">Kernel</th>
            <th scope="col" class="num minor" title="From the first signal to the last">
              Lasted
            </th>
            <th scope="col" class="num minor" title="Kernel reports, messages and lost records that it is made of">
              Signals
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr
              key={row.id}
              {...(row.id === chosen ? { ref: current } : {})}
              class={row.id === chosen ? 'is-chosen' : ''}
              aria-selected={row.id === chosen}
              onClick={() => onChoose(row.id)}
            >
              <td class="mono" title={formatClockError(row.errorNs)}>
                {formatDateTime(parseUnixNs(row.firstUnixNs) ?? 0n, 3)}
              </td>
              <td>
                <span class={`state state-${INCIDENT_TONE[row.severity]}`}>
                  <span class={`dot dot-${INCIDENT_TONE[row.severity]}`} aria-hidden="true" />
                  {row.severity}
                </span>
              </td>
              <td class={row.state === 'open' ? 'text-bad' : 'muted'} title={row.resolution}>
                {row.state === 'open' ? 'open' : 'over'}
              </td>
              <td class="wide">
                <button class="incident-title" type="button">
                  {toDisplayLine(row.title, 240)}
                </button>
              </td>
              <td class="muted minor">{KIND_NAMES[row.kind]}</td>
              {hasMachines && <td>{toDisplayLine(row.machineName, 60)}</td>}
              <td>
                {row.kernelId < 0 ? (
                  <span class="muted">–</span>
                ) : (
                  <KernelTag bootId={row.bootId} name={toDisplayLine(row.kernelName, 60)} />
                )}
              </td>
              <td class="num minor">{lastedOf(row)}</td>
              <td class="num minor">{formatCount(row.count)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
