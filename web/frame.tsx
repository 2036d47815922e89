/** What is around every page: header, connection banner, key help, and the switch between pages. */
import type { ComponentType } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { KeyHelp } from './key-help.tsx';
import { HubStatus } from './parts/hub-status.tsx';
import {
  AlarmIcon,
  BookIcon,
  DatabaseIcon,
  HelpIcon,
  LinesIcon,
  Mark,
  MessagesIcon,
  MoonIcon,
  ServerIcon,
  SunIcon,
  TimelineIcon,
  TraceIcon,
} from './parts/icons.tsx';
import { isDark, useApp, useAppState } from './state/app-state.ts';
import { useChord, useKeys } from './state/keys.ts';
import { formatRoute, type PageName } from './state/route.ts';
import { IkcView } from './views/ikc.tsx';
import { IncidentsView } from './views/incidents.tsx';
import { KernelsView } from './views/kernels.tsx';
import { LedgerView } from './views/ledger.tsx';
import { LogsView } from './views/logs.tsx';
import { SqlView } from './views/sql.tsx';
import { TimelineView } from './views/timeline.tsx';
import { TraceView } from './views/trace.tsx';
import { TracesView } from './views/traces.tsx';

interface PageEntry {
  readonly name: PageName;
  readonly title: string;
  /** Second key after `g`. */
  readonly key: string;
  readonly icon: ComponentType;
  readonly view: ComponentType;
}

const PAGE_TABLE: readonly PageEntry[] = [
  { name: 'kernels', title: 'Kernels', key: 'k', icon: ServerIcon, view: KernelsView },
  { name: 'logs', title: 'Logs', key: 'l', icon: LinesIcon, view: LogsView },
  { name: 'timeline', title: 'Timeline', key: 't', icon: TimelineIcon, view: TimelineView },
  { name: 'ikc', title: 'IKC', key: 'm', icon: MessagesIcon, view: IkcView },
  { name: 'traces', title: 'Traces', key: 'r', icon: TraceIcon, view: TracesView },
  { name: 'incidents', title: 'Incidents', key: 'i', icon: AlarmIcon, view: IncidentsView },
  { name: 'ledger', title: 'Ledger', key: 'e', icon: BookIcon, view: LedgerView },
  { name: 'sql', title: 'SQL', key: 'd', icon: DatabaseIcon, view: SqlView },
];

/** Pages without a tab of their own: opened from the one whose tab is marked. */
const INNER_PAGES: Readonly<Partial<Record<PageName, { readonly title: string; readonly under: PageName; readonly view: ComponentType }>>> =
  {
    trace: { title: 'Trace', under: 'traces', view: TraceView },
  };

export function Frame() {
  const app = useApp();
  const page = useAppState((state) => state.route.page);
  const [helpOpen, setHelpOpen] = useState(false);
  const main = useRef<HTMLElement>(null);
  useAppState((state) => state.route.params);
  const leave = (name: PageName): void => {
    location.hash = app.toHash(name);
  };
  useChord('g', Object.fromEntries(PAGE_TABLE.map((entry) => [entry.key, () => leave(entry.name)])));
  useKeys({
    ...Object.fromEntries(PAGE_TABLE.map((entry, index) => [String(index + 1), () => leave(entry.name)])),
    '?': () => setHelpOpen((open) => !open),
    '\\': () => app.toggleTheme(),
  });
  useEffect(() => {
    document.title = `${(INNER_PAGES[page] ?? PAGE_TABLE.find((entry) => entry.name === page))?.title ?? ''} · mkscope`;
  }, [page]);
  const View = (INNER_PAGES[page] ?? PAGE_TABLE.find((entry) => entry.name === page))?.view ?? KernelsView;
  const tab = INNER_PAGES[page]?.under ?? page;
  return (
    <div class="frame">
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        Skip to content
      </a>
      <header class="top">
        <a class="brand" href="#/kernels" aria-label="mkscope, kernels">
          <Mark />
          <span>mkscope</span>
        </a>
        <nav class="tabs" aria-label="Pages">
          {PAGE_TABLE.map((entry) => (
            <a
              key={entry.name}
              class="tab"
              href={entry.name === page ? formatRoute(entry.name, {}) : app.toHash(entry.name)}
              aria-current={entry.name === tab ? 'page' : undefined}
              title={`${entry.title}  ·  g ${entry.key}`}
            >
              <entry.icon />
              {entry.title}
              {entry.name === 'incidents' && <OpenAlarms />}
            </a>
          ))}
        </nav>
        <div class="spacer" />
        <HubStatus />
        <ThemeButton />
        <button
          class="icon-button"
          type="button"
          aria-label="Keyboard shortcuts"
          title="Keyboard shortcuts  ·  ?"
          onClick={() => setHelpOpen(true)}
        >
          <HelpIcon />
        </button>
      </header>
      <Banner />
      <main class="page" id="main" tabIndex={-1} ref={main}>
        <View key={page} />
      </main>
      {helpOpen && <KeyHelp onClose={() => setHelpOpen(false)} />}
    </div>
  );
}

/** Alarms that are not over, on whichever page the reader is. */
function OpenAlarms() {
  const count = useAppState((state) => state.openAlarms);
  if (count === 0) return null;
  return (
    <span class="tab-count" title={count === 1 ? 'one incident is not over' : `${count} incidents are not over`}>
      {count}
    </span>
  );
}

function ThemeButton() {
  const app = useApp();
  useAppState((state) => state.theme);
  const dark = isDark();
  return (
    <button
      class="icon-button"
      type="button"
      aria-label={dark ? 'Use the light theme' : 'Use the dark theme'}
      title={`${dark ? 'Light' : 'Dark'} theme  ·  \\`}
      onClick={() => app.toggleTheme()}
    >
      {dark ? <SunIcon /> : <MoonIcon />}
    </button>
  );
}

function Banner() {
  const app = useApp();
  const link = useAppState((state) => state.link);
  const error = useAppState((state) => state.linkError);
  const problems = useAppState((state) => state.health?.problems);
  const asOfMs = useAppState((state) => state.asOfMs);
  if (link === 'down') {
    return (
      <div class="banner banner-bad" role="alert">
        <strong>The hub does not answer.</strong>
        <span>
          {error !== undefined && error.status > 0 ? (
            `${error.message} ${error.hint}`
          ) : (
            <>
              What you see is from {new Date(asOfMs).toTimeString().slice(0, 8)}. Is <code>mkscope up</code> running? This page keeps
              trying.
            </>
          )}
        </span>
        <button class="button" type="button" onClick={() => void app.poll()}>
          Retry now
        </button>
      </div>
    );
  }
  if (problems === undefined || problems.length === 0) return undefined;
  return (
    <div class="banner banner-warn" role="status">
      <strong>{problems.length === 1 ? 'A problem:' : `${problems.length} problems:`}</strong>
      <ul>
        {problems.map((problem) => (
          <li key={problem}>{problem}</li>
        ))}
      </ul>
    </div>
  );
}
