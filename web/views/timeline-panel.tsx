/** Below the canvas: who had the CPUs in the selected area, or in all that is in sight; and all about the thing clicked. */
import { useMemo } from 'preact/hooks';
import type { KernelRow } from '../../model/api.ts';
import { toRfc3339 } from '../format/command.ts';
import { formatCount, formatPercent } from '../format/number.ts';
import { escapeControls } from '../format/text.ts';
import { formatDuration } from '../format/time.ts';
import { CopyButton, Empty } from '../parts/controls.tsx';
import { LinesIcon } from '../parts/icons.tsx';
import { Property } from '../parts/properties.tsx';
import { isDark } from '../state/app-state.ts';
import { formatRoute } from '../state/route.ts';
import { toTaskColor } from '../timeline/colors.ts';
import { describeTarget, type HoverTarget } from '../timeline/hover.tsx';
import { type Summary, summarise } from '../timeline/picture.ts';
import type { TimelineModel, TimelineState } from '../timeline/timeline-model.ts';

const SHOWN_TASKS = 40;
const SHOWN_CPUS = 8;

interface TaskRow {
  readonly comm: string;
  readonly pids: readonly number[];
  readonly timeNs: number;
  readonly slices: number;
  /** ns by lane, in the order of the summary's lanes. */
  readonly byLane: readonly number[];
}

/** One row per task name over all lanes, longest first. */
function toRows(summary: Summary): readonly TaskRow[] {
  const rows = new Map<string, { pids: Set<number>; timeNs: number; slices: number; byLane: number[] }>();
  summary.lanes.forEach((lane, index) => {
    for (const task of lane.tasks) {
      const row = rows.get(task.comm) ?? { pids: new Set(), timeNs: 0, slices: 0, byLane: summary.lanes.map(() => 0) };
      task.pids.forEach((pid) => row.pids.add(pid));
      row.timeNs += task.timeNs;
      row.slices += task.slices;
      row.byLane[index] = task.timeNs;
      rows.set(task.comm, row);
    }
  });
  return [...rows]
    .map(([comm, row]) => ({ comm, pids: [...row.pids], timeNs: row.timeNs, slices: row.slices, byLane: row.byLane }))
    .sort((a, b) => b.timeNs - a.timeNs);
}

export function TimelinePanel({
  model,
  state,
  pinned,
  kernel,
}: {
  readonly model: TimelineModel;
  readonly state: TimelineState;
  readonly pinned: HoverTarget | undefined;
  readonly kernel: KernelRow;
}) {
  const { selection, picture } = state;
  const window = selection ?? model.view;
  const summary = useMemo(
    () => (picture === undefined ? undefined : summarise(picture, window.from, window.to, selection?.cpus)),
    [state.settled, picture, selection],
  );
  if (summary === undefined) return <section class="tl-panel" aria-busy="true" />;
  const spanNs = summary.to - summary.from;
  const busyNs = summary.lanes.reduce((total, lane) => total + lane.busyNs, 0);
  const range = { from: model.toUnixNs(summary.from), to: model.toUnixNs(summary.to) };
  return (
    <section class="tl-panel" aria-label="Statistics">
      <header class="tl-panel-head">
        <h2>{selection === undefined ? 'In sight' : 'Selection'}</h2>
        <span>{formatDuration(spanNs)}</span>
        {summary.lanes.length > 0 && (
          <span title="Share of these CPUs' time that was not idle">
            busy {formatPercent(busyNs / (spanNs * Math.max(1, summary.lanes.length)))}
          </span>
        )}
        {summary.mergedSlices > 0 && (
          <span
            class="muted"
            title="Slices narrower than a pixel come merged: sums are right, the split between tasks is not exact. Zoom in for exact figures."
          >
            ≈ {formatCount(summary.mergedSlices)} merged slices
          </span>
        )}
        <div class="spacer" />
        <a class="button" href={formatRoute('logs', { from: range.from.toString(), to: range.to.toString() })}>
          <LinesIcon /> Logs of this range
        </a>
        <CopyButton
          label="Copy as command"
          text={() => `mkscope logs --since ${toRfc3339(range.from)} --until ${toRfc3339(range.to)}`}
          command
        />
      </header>
      <div class="tl-panel-body">
        {summary.lanes.length === 0 ? <NoLanes kernel={kernel} /> : <TaskTable summary={summary} spanNs={spanNs} />}
        {pinned !== undefined && <Pinned target={pinned} model={model} />}
      </div>
    </section>
  );
}

function NoLanes({ kernel }: { readonly kernel: KernelRow }) {
  if (kernel.state === 'imported') {
    return (
      <Empty title="A log has no lanes">
        This kernel was imported from a log, which holds no trace events: above are its lines as marks.
      </Empty>
    );
  }
  return (
    <Empty title="No scheduler events are stored for this kernel" command="mkscope doctor">
      The lanes are drawn from sched_switch, which needs access to tracefs. This command says what is missing and how to get it.
    </Empty>
  );
}

function TaskTable({ summary, spanNs }: { readonly summary: Summary; readonly spanNs: number }) {
  const rows = toRows(summary);
  const dark = isDark();
  const lanes = summary.lanes.slice(0, SHOWN_CPUS);
  if (rows.length === 0) return <p class="muted page-note">Nothing ran here, or it is not recorded.</p>;
  return (
    <div class="table-scroll">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">Task</th>
            <th scope="col">Task ids</th>
            <th scope="col" class="num" title="Time on a CPU">
              CPU time
            </th>
            <th scope="col" class="num" title="Of one CPU's time in the range: 200 % is two CPUs">
              Share
            </th>
            <th scope="col" class="share-head" />
            <th scope="col" class="num" title="Times it was put on a CPU">
              Slices
            </th>
            {lanes.map((lane) => (
              <th key={lane.cpu} scope="col" class="num" title={`Time on CPU ${lane.cpu}`}>
                CPU {lane.cpu}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, SHOWN_TASKS).map((row) => (
            <tr key={row.comm}>
              <td class="mono">
                <span class="swatch" style={{ background: toTaskColor(row.comm, dark).fill }} />
                {escapeControls(row.comm)}
              </td>
              <td class="mono muted">
                {row.pids.slice(0, 4).join(' ')}
                {row.pids.length > 4 ? ' …' : ''}
              </td>
              <td class="num">{formatDuration(row.timeNs)}</td>
              <td class="num">{formatPercent(row.timeNs / spanNs)}</td>
              <td class="share">
                <span
                  style={{
                    width: `${Math.min(100, (row.timeNs / Math.max(1, rows[0]?.timeNs ?? 1)) * 100)}%`,
                    background: toTaskColor(row.comm, dark).fill,
                  }}
                />
              </td>
              <td class="num">{formatCount(row.slices)}</td>
              {lanes.map((lane, index) => (
                <td key={lane.cpu} class="num">
                  {(row.byLane[index] ?? 0) > 0 ? formatDuration(row.byLane[index] ?? 0) : <span class="muted">–</span>}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > SHOWN_TASKS && <p class="muted page-note">{formatCount(rows.length - SHOWN_TASKS)} more tasks with less time</p>}
    </div>
  );
}

function Pinned({ target, model }: { readonly target: HoverTarget; readonly model: TimelineModel }) {
  const { title, rows } = describeTarget(target, model);
  const { picture, index } = target;
  const timeNs =
    target.kind === 'mark'
      ? picture.marks.time[index]
      : target.kind === 'gap'
        ? picture.gaps[index]?.from
        : picture.lanes[target.lane]?.start[index];
  return (
    <aside class="tl-pinned" aria-label="Selected">
      <h3>{title}</h3>
      <dl class="properties">
        {rows.map(([name, value]) => (
          <Property key={name} name={name}>
            {value}
          </Property>
        ))}
      </dl>
      {timeNs !== undefined && (
        <a class="button" href={formatRoute('logs', { at: model.toUnixNs(timeNs).toString() })}>
          <LinesIcon /> Logs at this moment
        </a>
      )}
    </aside>
  );
}
