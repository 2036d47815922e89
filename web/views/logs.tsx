/** Logs: all kernels merged in true order, live or around a moment. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Ledger, LogRow } from '../../model/api.ts';
import { usePolled } from '../api/polled.ts';
import { toLogsCommand } from '../format/command.ts';
import { LEVELS } from '../format/level.ts';
import { formatCount } from '../format/number.ts';
import { toHighlight } from '../format/text.ts';
import { formatDateTime, parseUnixNs } from '../format/time.ts';
import { LogFeed } from '../logs/log-feed.ts';
import { CopyButton, Empty, ErrorNote, SearchField, Segmented, Select } from '../parts/controls.tsx';
import { CloseIcon, SearchIcon } from '../parts/icons.tsx';
import { kernelNames } from '../parts/kernel-tag.tsx';
import { useApp, useAppState, useParams } from '../state/app-state.ts';
import { useKeys } from '../state/keys.ts';
import { RANGES, toBounds, toCommandRange } from '../state/range.ts';
import { type LogFilter, toLogFilter, toLogQuery } from '../state/route.ts';
import { useStore } from '../state/store.ts';
import { LogDetail } from './log-detail.tsx';
import { LogList } from './log-list.tsx';

const LOG_RANGES = [{ value: '', label: 'all, live' }, ...RANGES.slice(1)];

export function LogsView() {
  const app = useApp();
  const params = useParams();
  const feed = useMemo(() => new LogFeed(), []);
  const filter = toLogFilter(params);
  const range = toCommandRange(params);
  const at = parseUnixNs(params['at'])?.toString();
  const line = at === undefined ? undefined : params['line'];
  const live = range.until === undefined && at === undefined;
  const [reloads, setReloads] = useState(0);
  const [selected, setSelected] = useState<LogRow | undefined>(undefined);
  const query = JSON.stringify([toLogQuery(filter), params['range'], params['from'], params['to'], at, line, reloads]);
  useEffect(() => {
    void feed.open({
      filter: toLogQuery(filter),
      live,
      ...toBounds(params, Date.now()),
      ...(at === undefined ? {} : { at }),
      ...(line === undefined ? {} : { uid: line }),
    });
  }, [query, feed]);
  useEffect(() => () => feed.close(), [feed]);

  const [detailOpen, setDetailOpen] = useState(false);
  const highlight = useMemo(() => toHighlight(filter.search, filter.regex), [filter.search, filter.regex]);
  const raw = params['clock'] === 'raw';
  const searchInput = useRef<HTMLInputElement>(null);
  useKeys({
    '/': () => searchInput.current?.select(),
    r: () => app.setParams({ clock: raw ? undefined : 'raw' }),
    e: () => app.setParams({ reports: filter.reports ? undefined : '1' }),
    Escape: () => setDetailOpen(false),
  });
  const bootKernel = useAppState((state) => state.kernels?.find((kernel) => kernel.bootId === filter.boot)?.kernelName);
  const error = useStore(feed.state, (state) => state.error);
  const isFirst = useStore(feed.state, (state) => state.loading === 'first');
  const version = useStore(feed.state, (state) => state.version);
  const isEmpty = !isFirst && error === undefined && feed.buffer.length === 0 && version > 0;

  return (
    <div class="logs">
      <FilterBar
        filter={filter}
        command={toLogsCommand({ ...filter, ...(bootKernel === undefined ? {} : { kernel: bootKernel }) }, range, live)}
        raw={raw}
        searchInput={searchInput}
      />
      {error !== undefined && <ErrorNote error={error} onRetry={() => setReloads(reloads + 1)} />}
      <div class="logs-body">
        <div class="logs-main">
          {isEmpty ? (
            <NoLines filter={filter} />
          ) : (
            <LogList
              feed={feed}
              at={at}
              line={line}
              raw={raw}
              highlight={highlight}
              selectedUid={selected?.uid}
              onSelect={setSelected}
              onOpen={() => setDetailOpen(true)}
              onLive={() => app.setParams({ at: undefined, line: undefined, from: undefined, to: undefined })}
            />
          )}
        </div>
        {detailOpen && selected !== undefined && <LogDetail row={selected} onClose={() => setDetailOpen(false)} />}
      </div>
      <FeedLine feed={feed} />
    </div>
  );
}

function FilterBar(props: {
  readonly filter: LogFilter;
  readonly command: string;
  readonly raw: boolean;
  readonly searchInput: { current: HTMLInputElement | null };
}) {
  const app = useApp();
  const { filter } = props;
  const kernels = useAppState((state) => state.kernels);
  const params = useParams();
  const from = parseUnixNs(params['from']);
  const to = parseUnixNs(params['to']);
  const at = parseUnixNs(params['at']);
  const kernelOfBoot = kernels?.find((kernel) => kernel.bootId === filter.boot)?.kernelName;
  return (
    <div class="toolbar" role="search">
      <SearchField
        inputRef={props.searchInput}
        icon={<SearchIcon />}
        placeholder={filter.regex ? 'Regular expression (RE2)' : 'Search the text'}
        value={filter.search}
        onInput={(q) => app.setParams({ q: q === '' ? undefined : q })}
      >
        <button
          class="toggle"
          type="button"
          aria-pressed={filter.regex}
          title="Regular expression (RE2 syntax)"
          onClick={() => app.setParams({ re: filter.regex ? undefined : '1' })}
        >
          .*
        </button>
        <kbd>/</kbd>
      </SearchField>
      <Select
        label="Kernel"
        value={filter.kernel ?? ''}
        choices={[{ value: '', label: 'all' }, ...kernelNames(kernels).map((name) => ({ value: name, label: name }))]}
        onChange={(kernel) => app.setParams({ kernel, boot: undefined })}
      />
      <Select
        label="Level"
        value={filter.level === undefined ? '' : String(filter.level)}
        choices={[
          { value: '', label: 'all' },
          ...LEVELS.map((name, level) => ({ value: String(level), label: level === 0 ? name : `${name} and worse` })),
        ]}
        onChange={(level) => app.setParams({ level })}
      />
      <StreamSelect value={filter.stream ?? ''} />
      <Select
        label="Time"
        value={from === undefined && to === undefined ? (params['range'] ?? '') : ''}
        choices={LOG_RANGES}
        onChange={(range) => app.setParams({ range, from: undefined, to: undefined, at: undefined, line: undefined })}
      />
      {filter.boot !== undefined && (
        <FilterChip
          label={`boot ${filter.boot.slice(0, 8)}${kernelOfBoot === undefined ? '' : ` (${kernelOfBoot})`}`}
          onRemove={() => app.setParams({ boot: undefined })}
        />
      )}
      {(from !== undefined || to !== undefined) && (
        <FilterChip
          label={`${from === undefined ? '…' : formatDateTime(from)} – ${to === undefined ? 'now' : formatDateTime(to)}`}
          onRemove={() => app.setParams({ from: undefined, to: undefined })}
        />
      )}
      {at !== undefined && (
        <FilterChip label={`at ${formatDateTime(at, 6)}`} onRemove={() => app.setParams({ at: undefined, line: undefined })} />
      )}
      <button
        class="reports-switch"
        type="button"
        aria-pressed={filter.reports === true}
        title="Kernel reports only: panic, oops, BUG, WARN, lockups, OOM, …  ·  e"
        onClick={() => app.setParams({ reports: filter.reports ? undefined : '1' })}
      >
        Reports
      </button>
      <div class="spacer" />
      <Segmented
        label="Clock"
        value={props.raw ? 'raw' : 'wall'}
        choices={[
          { value: 'wall', label: 'Aligned', title: "Wall time on the machine's one timeline  ·  r" },
          { value: 'raw', label: 'Raw', title: "Each record's own stamp, as its kernel wrote it  ·  r" },
        ]}
        onChange={(clock) => app.setParams({ clock: clock === 'raw' ? 'raw' : undefined })}
      />
      <CopyButton label="Copy as command" text={() => props.command} command />
    </div>
  );
}

/** The streams that the ledger knows of; asked once per visit. */
function StreamSelect({ value }: { readonly value: string }) {
  const app = useApp();
  // Without the ledger the choice is short; the banner says that the hub is away.
  const { answer } = usePolled<Ledger>('/api/ledger', '', () => ({}));
  const streams = [...new Set(['kmsg', ...(answer?.rows ?? []).map((row) => row.stream)])].sort();
  const known = streams.includes(value) || value === '' ? streams : [...streams, value];
  return (
    <Select
      label="Stream"
      value={value}
      choices={[{ value: '', label: 'all' }, ...known.map((name) => ({ value: name, label: name }))]}
      onChange={(stream) => app.setParams({ stream })}
    />
  );
}

function FilterChip({ label, onRemove }: { readonly label: string; readonly onRemove: () => void }) {
  return (
    <span class="chip">
      {label}
      <button type="button" aria-label={`Remove the filter ${label}`} onClick={onRemove}>
        <CloseIcon />
      </button>
    </span>
  );
}

function NoLines({ filter }: { readonly filter: LogFilter }) {
  const app = useApp();
  const isFiltered = Object.keys(toLogQuery(filter)).length > 0 || app.state.get().route.params['range'] !== undefined;
  if (isFiltered) {
    return (
      <Empty title="No line matches">
        The filters leave nothing over; new lines appear here as they come.{' '}
        <button class="button" type="button" onClick={() => app.go('logs')}>
          Remove all filters
        </button>
      </Empty>
    );
  }
  return (
    <Empty title="No log line is stored yet" command="mkscope doctor">
      The collector reads <code>/dev/kmsg</code>, which needs root or <code>CAP_SYSLOG</code>. This command says what is missing and how to
      get it.
    </Empty>
  );
}

function FeedLine({ feed }: { readonly feed: LogFeed }) {
  const state = useStore(feed.state, (now) => now);
  const tail = {
    off: 'not live: a moment or a fixed range is shown',
    connecting: 'connecting to the live tail',
    live: 'live',
    lost: 'live tail lost, trying again',
  }[state.tail];
  return (
    <footer class="status-line">
      <span class={`dot dot-${state.tail === 'live' ? 'good' : state.tail === 'lost' ? 'bad' : 'idle'}`} aria-hidden="true" />
      <span role="status">{tail}</span>
      <span>
        {formatCount(feed.buffer.length)} lines loaded{state.hasOlder ? ', older ones load on scrolling up' : ''}
      </span>
      {state.skipped > 0 && (
        <span class="text-warn" title="They came faster than they can be shown; they are stored, and a reload shows them">
          {formatCount(state.skipped)} left out of the live view
        </span>
      )}
      <div class="spacer" />
      {state.tookMs > 0 && <span title="Time the hub took for the last page">{Math.round(state.tookMs)} ms</span>}
    </footer>
  );
}
