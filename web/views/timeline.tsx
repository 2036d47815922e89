/** Timeline: what each CPU of one kernel ran, with its printk marks and its gaps. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { KernelRow } from '../../model/api.ts';
import { formatCount } from '../format/number.ts';
import { formatDuration, parseUnixNs } from '../format/time.ts';
import { Empty, ErrorNote, Select } from '../parts/controls.tsx';
import { useApp, useAppState, useParams } from '../state/app-state.ts';
import { useKeys } from '../state/keys.ts';
import { useStore } from '../state/store.ts';
import { TimelineCanvas } from '../timeline/canvas.tsx';
import type { HoverTarget } from '../timeline/hover.tsx';
import { TimelineModel } from '../timeline/timeline-model.ts';
import { TimelinePanel } from './timeline-panel.tsx';

/** A link to a moment opens this much around it. */
const AROUND_NS = 50_000_000n;

export function TimelineView() {
  const kernels = useAppState((state) => state.kernels);
  const params = useParams();
  if (kernels === undefined) return <p class="muted page-note">Asking the hub …</p>;
  const kernel =
    kernels.find((candidate) => candidate.bootId === params['boot']) ??
    kernels.find((candidate) => candidate.state === 'live') ??
    kernels[0];
  if (kernel === undefined) {
    return (
      <Empty title="No kernel has reported yet" command="mkscope up">
        The timeline is drawn from a kernel's scheduler events; this command runs a collector for this machine.
      </Empty>
    );
  }
  return <KernelTimeline key={kernel.bootId} kernel={kernel} kernels={kernels} />;
}

/** A range of the address as one comparable value. */
function toRangeKey(from: bigint | string | undefined, to: bigint | string | undefined): string {
  return `${from ?? ''}-${to ?? ''}`;
}

function KernelTimeline({ kernel, kernels }: { readonly kernel: KernelRow; readonly kernels: readonly KernelRow[] }) {
  const app = useApp();
  const params = useParams();
  const model = useMemo(() => new TimelineModel(), []);
  const state = useStore(model.state, (now) => now);
  const [pinned, setPinned] = useState<HoverTarget | undefined>(undefined);
  const pointerTime = useRef<number | undefined>(undefined);
  const at = parseUnixNs(params['at']);
  const from = parseUnixNs(params['from']);
  const to = parseUnixNs(params['to']);
  const written = useRef('');

  // Opens what the address says, unless it only says what this view wrote into it.
  useEffect(() => {
    if (written.current !== '' && written.current === toRangeKey(from, to)) return;
    model.open(kernel, from ?? (at === undefined ? undefined : at - AROUND_NS), to ?? (at === undefined ? undefined : at + AROUND_NS));
    if (params['follow'] === '1') model.setFollow(true);
  }, [kernel.bootId, toRangeKey(from, to), at?.toString()]);
  useEffect(() => () => model.close(), [model]);
  // The address follows the view once that is at rest.
  useEffect(() => {
    if (state.settled === 0) return;
    if (state.follow) {
      written.current = toRangeKey(undefined, undefined);
      app.setParams({ boot: kernel.bootId, from: undefined, to: undefined, at: undefined, follow: '1' });
      return;
    }
    const range = { from: model.toUnixNs(model.view.from).toString(), to: model.toUnixNs(model.view.to).toString() };
    written.current = toRangeKey(range.from, range.to);
    app.setParams({ boot: kernel.bootId, ...range, follow: undefined });
  }, [state.settled, state.follow]);

  const logsAt = (timeNs: number | undefined): void => {
    if (timeNs !== undefined) app.go('logs', { at: model.toUnixNs(timeNs).toString() });
  };
  useKeys({
    f: () => model.fit(),
    l: () => model.setFollow(!state.follow),
    m: () => logsAt(pointerTime.current ?? (model.view.from + model.view.to) / 2),
    Escape: () => {
      model.select(undefined);
      setPinned(undefined);
    },
  });
  const isEmpty = state.picture !== undefined && state.stored === undefined;
  return (
    <div class="timeline">
      <div class="toolbar">
        <Select
          label="Kernel"
          plain
          value={kernel.bootId}
          choices={kernels.map((row) => ({
            value: row.bootId,
            label: `${row.kernelName} · ${row.bootId.slice(0, 8)}${row.state === 'live' ? '' : ` · ${row.state}`}`,
          }))}
          onChange={(boot) => app.go('timeline', { boot })}
        />
        <button class="button" type="button" onClick={() => model.fit()} title="Show all that is stored, or the selection  ·  f">
          Fit
        </button>
        <button
          class="button"
          type="button"
          aria-pressed={state.follow}
          disabled={kernel.state !== 'live'}
          title={kernel.state === 'live' ? 'Keep the present in sight  ·  l' : 'Only a live kernel has a present'}
          onClick={() => model.setFollow(!state.follow)}
        >
          <span class={`dot ${state.follow ? 'dot-good' : 'dot-idle'}`} aria-hidden="true" /> Follow
        </button>
        <span class="toolbar-note" role="status">
          {formatDuration(model.view.to - model.view.from)} in sight
          {state.picture !== undefined && ` · from ${formatCount(state.picture.events)} events in ${Math.round(state.picture.tookMs)} ms`}
        </span>
        <div class="spacer" />
        <span class="toolbar-note keys">
          <kbd>W</kbd>
          <kbd>S</kbd> zoom <kbd>A</kbd>
          <kbd>D</kbd> pan <kbd>Shift</kbd> drag to select <kbd>F</kbd> fit
        </span>
        <span class={`busy ${state.loading ? 'busy-on' : ''}`} aria-hidden="true" />
      </div>
      {state.error !== undefined && <ErrorNote error={state.error} onRetry={() => model.open(kernel, from, to)} />}
      {isEmpty ? (
        <Empty title="Nothing of this kernel is stored yet" command="mkscope doctor">
          Its records may still be on their way. This command says what its collector can and cannot see.
        </Empty>
      ) : (
        <>
          <TimelineCanvas
            model={model}
            moment={at === undefined ? undefined : Number(at - model.origin)}
            pinned={pinned}
            onPin={setPinned}
            pointerTime={pointerTime}
          />
          <TimelinePanel model={model} state={state} pinned={pinned} kernel={kernel} />
        </>
      )}
    </div>
  );
}
