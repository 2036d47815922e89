/** Kernels: each incarnation that was seen, whether it speaks, and how it does. */
import type { ComponentChildren } from 'preact';
import type { InstanceRow, KernelRow, UnseenKernel } from '../../model/api.ts';
import { formatBytes, formatCompact, formatCount, formatPercent, formatRate } from '../format/number.ts';
import { toDisplayLine } from '../format/text.ts';
import { formatAge, formatClockError, formatDateTime, formatDuration, formatUptime, parseUnixNs } from '../format/time.ts';
import { Command, Empty } from '../parts/controls.tsx';
import { LinesIcon, TimelineIcon } from '../parts/icons.tsx';
import { useTone } from '../parts/kernel-tag.tsx';
import { Sparkline } from '../parts/sparkline.tsx';
import { useAppState } from '../state/app-state.ts';
import { formatRoute } from '../state/route.ts';

export function KernelsView() {
  const kernels = useAppState((state) => state.kernels);
  const unseen = useAppState((state) => state.unseen);
  const nowMs = useAppState((state) => state.asOfMs);
  if (kernels === undefined) return <KernelSkeleton />;
  if (kernels.length === 0 && unseen.length === 0) {
    return (
      <Empty title="No kernel has reported yet" command="mkscope up">
        A collector sends what its kernel prints and traces to this hub. This command runs one for this machine; on another machine{' '}
        <code>mkscope collect --to URL</code> sends here, and <code>mkscope import FILE</code> reads logs that you have.
      </Empty>
    );
  }
  const machines = [...new Set([...kernels, ...unseen].map((kernel) => kernel.machineName))];
  return (
    <div class="kernels">
      <Totals kernels={kernels} />
      {machines.map((machine) => (
        <section key={machine} aria-label={`Machine ${machine}`}>
          <h2 class="section-title">
            {machine === '' ? 'Machine without a name' : machine}
            <small>{countWord([...kernels, ...unseen].filter((kernel) => kernel.machineName === machine).length, 'kernel')}</small>
          </h2>
          <ul class="kernel-list">
            {kernels
              .filter((kernel) => kernel.machineName === machine)
              .map((kernel) => (
                <KernelCard key={`${kernel.bootId} ${kernel.kernelId}`} kernel={kernel} nowMs={nowMs} />
              ))}
            {unseen
              .filter((kernel) => kernel.machineName === machine)
              .map((kernel) => (
                <UnseenCard key={`unseen ${kernel.kernelId} ${kernel.kernelName}`} kernel={kernel} nowMs={nowMs} />
              ))}
          </ul>
        </section>
      ))}
      <p class="hint">
        Have a log of another machine? <code>mkscope import dmesg.log</code> puts it beside these.
      </p>
    </div>
  );
}

function countWord(count: number, word: string): string {
  return `${formatCount(count)} ${word}${count === 1 ? '' : 's'}`;
}

function Totals({ kernels }: { readonly kernels: readonly KernelRow[] }) {
  const sum = (pick: (kernel: KernelRow) => number): number => kernels.reduce((total, kernel) => total + Math.max(0, pick(kernel)), 0);
  const inState = (state: KernelRow['state']): number => kernels.filter((kernel) => kernel.state === state).length;
  const lost = sum((kernel) => kernel.lost);
  return (
    <dl class="totals">
      <Figure label="live" value={formatCount(inState('live'))} title="Incarnations that a collector reports on now" />
      <Figure
        label="silent"
        value={formatCount(inState('silent'))}
        tone={inState('silent') > 0 ? 'warn' : undefined}
        title="Were live, and no longer report"
      />
      <Figure label="imported" value={formatCount(inState('imported'))} title="Read from files" />
      <Figure label="log lines / s" value={formatRate(sum((kernel) => kernel.logsPerSecond))} title="All kernels together" />
      <Figure label="events / s" value={formatRate(sum((kernel) => kernel.eventsPerSecond))} title="Trace events of all kernels together" />
      <Figure
        label="lost records"
        value={formatCompact(lost)}
        tone={lost > 0 ? 'bad' : undefined}
        title="Since each kernel was first seen; the Ledger says where and why"
      />
    </dl>
  );
}

function Figure(props: {
  readonly label: string;
  readonly value: ComponentChildren;
  readonly title: string;
  readonly tone?: 'warn' | 'bad' | undefined;
}) {
  return (
    <div class="figure" title={props.title}>
      <dt>{props.label}</dt>
      <dd class={props.tone === undefined ? '' : `text-${props.tone}`}>{props.value}</dd>
    </div>
  );
}

const STATE_WORD = { live: 'live', silent: 'silent', imported: 'imported' } as const;
const STATE_DOT = { live: 'good', silent: 'warn', imported: 'idle' } as const;

function KernelCard({ kernel, nowMs }: { readonly kernel: KernelRow; readonly nowMs: number }) {
  const firstSeen = parseUnixNs(kernel.firstSeenUnixNs);
  const lastSeen = parseUnixNs(kernel.lastSeenUnixNs);
  const logs = formatRoute('logs', { boot: kernel.bootId });
  const isImported = kernel.state === 'imported';
  return (
    <li class={`kernel-card ${useTone(kernel.bootId)}`}>
      <div class="kernel-id">
        <div class="kernel-name">
          <a href={logs} title="Its log">
            {kernel.kernelName}
          </a>
          <span class="kernel-number" title="Kernel id on its machine; 0 = the host kernel">
            #{kernel.kernelId}
          </span>
          <span class={`state state-${STATE_DOT[kernel.state]}`}>
            <span class={`dot dot-${STATE_DOT[kernel.state]}`} aria-hidden="true" />
            {STATE_WORD[kernel.state]}
          </span>
        </div>
        <div class="kernel-release" title="Release and architecture">
          {kernel.release === '' ? 'release unknown' : `Linux ${kernel.release}`} {kernel.arch}
        </div>
        <div class="kernel-boot" title={`Boot id ${kernel.bootId}: the incarnation`}>
          boot {kernel.bootId.slice(0, 8)}
          {lastSeen !== undefined && <span> · last record {formatAge(lastSeen, nowMs)}</span>}
        </div>
      </div>
      {isImported ? <RecordedSpan firstSeen={firstSeen} lastSeen={lastSeen} /> : <KernelLoad kernel={kernel} />}
      <dl class="kernel-figures">
        <Figure
          label={isImported ? 'covers' : 'uptime'}
          value={isImported ? coveredTime(firstSeen, lastSeen) : formatUptime(kernel.uptimeSeconds)}
          title={firstSeen === undefined ? '' : `First record ${formatDateTime(firstSeen)}`}
        />
        <Figure label="logs / s" value={isImported ? NONE : formatRate(kernel.logsPerSecond)} title="Log lines per second" />
        <Figure label="events / s" value={isImported ? NONE : formatRate(kernel.eventsPerSecond)} title="Trace events per second" />
        <Figure
          label="lost"
          value={formatCompact(kernel.lost)}
          tone={kernel.lost > 0 ? 'bad' : undefined}
          title={`${formatCount(kernel.lost)} records lost; the Ledger says where and why`}
        />
        <Figure
          label="clock"
          value={kernel.clockErrorNs < 0 ? '± ?' : formatClockError(kernel.clockErrorNs)}
          title={
            kernel.clockErrorNs < 0
              ? `Clock ${kernel.clock || 'unknown'}: how far its times are from the machine's is not known`
              : `Clock ${kernel.clock}: the true time lies within ${formatClockError(kernel.clockErrorNs)} of what is shown`
          }
        />
      </dl>
      <nav class="kernel-links" aria-label={`Pages of ${kernel.kernelName}`}>
        <a class="button" href={logs}>
          <LinesIcon /> Logs
        </a>
        <a class="button" href={formatRoute('timeline', { boot: kernel.bootId })}>
          <TimelineIcon /> Timeline
        </a>
      </nav>
      {kernel.instance !== undefined && <HostView instance={kernel.instance} nowMs={nowMs} />}
      <LastLine kernel={kernel} nowMs={nowMs} />
    </li>
  );
}

/** Nothing ever came from it: there is no log to link to. */
function UnseenCard({ kernel, nowMs }: { readonly kernel: UnseenKernel; readonly nowMs: number }) {
  const tone = kernel.instance.state === 'active' ? 'warn' : 'idle';
  return (
    <li class="kernel-card">
      <div class="kernel-id">
        <div class="kernel-name">
          {toDisplayLine(kernel.kernelName, 64)}
          <span class="kernel-number" title="Kernel id on its machine">
            #{kernel.kernelId}
          </span>
          <span class={`state state-${tone}`}>
            <span class={`dot dot-${tone}`} aria-hidden="true" />
            unseen
          </span>
        </div>
      </div>
      <HostView instance={kernel.instance} nowMs={nowMs} />
      <div class="kernel-last">
        <span class={kernel.instance.state === 'active' ? 'text-warn' : 'muted'}>{kernel.why}</span>
      </div>
    </li>
  );
}

/** What the host kernel says of it. */
function HostView({ instance, nowMs }: { readonly instance: InstanceRow; readonly nowMs: number }) {
  const since = parseUnixNs(instance.sinceUnixNs);
  const told = [
    instance.cpus.length === 0 ? 'no CPUs' : `CPU ${instance.cpus.join(', ')}`,
    instance.memoryBytes > 0 ? formatBytes(instance.memoryBytes) : undefined,
    ...instance.devices,
    instance.image === '' ? undefined : instance.image,
  ].filter((part) => part !== undefined);
  const title = [
    'What the host kernel says of this instance; CPUs by physical id',
    instance.release === '' ? '' : `Release ${instance.release}`,
    instance.commandLine === '' ? '' : `Command line: ${instance.commandLine}`,
    instance.loadedAt === '' ? '' : `Loaded ${instance.loadedAt}`,
  ];
  return (
    <div class="kernel-host" title={toDisplayLine(title.filter((part) => part !== '').join('; '), 600)}>
      <span class="muted">host says</span>
      <b>{toDisplayLine(instance.state, 32)}</b>
      {since !== undefined && <span class="muted">for {formatUptime(Math.max(0, nowMs - Number(since / 1_000_000n)) / 1000)}</span>}
      <span>{toDisplayLine(told.join(' · '), 300)}</span>
      {instance.conflicts.length > 0 && <span class="text-warn">{toDisplayLine(instance.conflicts.join('; '), 400)}</span>}
    </div>
  );
}

/** Has no value here, and never will. */
const NONE = <span class="muted">–</span>;

function coveredTime(firstSeen: bigint | undefined, lastSeen: bigint | undefined): string {
  return firstSeen === undefined || lastSeen === undefined ? 'unknown' : formatDuration(Number(lastSeen - firstSeen));
}

/** Of an imported kernel: when its records were made. */
function RecordedSpan({ firstSeen, lastSeen }: { readonly firstSeen: bigint | undefined; readonly lastSeen: bigint | undefined }) {
  return (
    <dl class="kernel-span">
      <Figure
        label="first record"
        value={firstSeen === undefined ? 'unknown' : formatDateTime(firstSeen)}
        title="On the machine's timeline"
      />
      <Figure label="last record" value={lastSeen === undefined ? 'unknown' : formatDateTime(lastSeen)} title="On the machine's timeline" />
    </dl>
  );
}

function KernelLoad({ kernel }: { readonly kernel: KernelRow }) {
  const used = kernel.memoryTotal - kernel.memoryAvailable;
  const share = kernel.memoryTotal > 0 ? used / kernel.memoryTotal : 0;
  const hasCpu = kernel.cpuHistory.length > 1;
  return (
    <div class="kernel-load">
      <div class="load-row" title="Share of all CPUs' time, the last minute">
        <span class="load-name">{kernel.cpus > 0 ? countWord(kernel.cpus, 'CPU') : 'CPUs ?'}</span>
        {hasCpu ? (
          <Sparkline history={kernel.cpuHistory} label={`CPU ${formatPercent(kernel.cpuUtilization)}`} />
        ) : (
          <span class="sparkline sparkline-none">no samples</span>
        )}
        <span class="load-value">{formatPercent(kernel.cpuUtilization)}</span>
      </div>
      <div
        class="load-row"
        title={
          kernel.memoryTotal > 0
            ? `${formatBytes(used)} of ${formatBytes(kernel.memoryTotal)} in use, ${formatBytes(kernel.memoryAvailable)} available`
            : 'Memory unknown'
        }
      >
        <span class="load-name">memory</span>
        <meter class="bar" min={0} max={1} value={share} high={0.85} optimum={0.2} aria-label={`Memory ${formatPercent(share)}`} />
        <span class="load-value">{kernel.memoryTotal > 0 ? formatBytes(kernel.memoryTotal) : '–'}</span>
      </div>
    </div>
  );
}

function LastLine({ kernel, nowMs }: { readonly kernel: KernelRow; readonly nowMs: number }) {
  const at = parseUnixNs(kernel.lastLineUnixNs);
  return (
    <div class="kernel-last">
      {kernel.state !== 'imported' && kernel.stateDetail !== '' && <span class="text-warn">{toDisplayLine(kernel.stateDetail, 400)}</span>}
      {kernel.lastLine === '' || at === undefined ? (
        <span class="muted">no log line yet</span>
      ) : (
        <a href={formatRoute('logs', { boot: kernel.bootId, at: kernel.lastLineUnixNs })} title={`Last line, ${formatDateTime(at, 6)}`}>
          <time>{formatAge(at, nowMs)}</time>
          <code>{toDisplayLine(kernel.lastLine, 300)}</code>
        </a>
      )}
    </div>
  );
}

function KernelSkeleton() {
  return (
    <div class="kernels" aria-busy="true">
      <p class="muted">Asking the hub …</p>
      <div class="skeleton" />
      <div class="skeleton" />
      <Command text="mkscope doctor" />
    </div>
  );
}
