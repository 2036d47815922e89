/** The page's one state: address, theme, what the hub last said, and whether it answers. */
import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { Health, IncidentRow, KernelList, KernelRow, UnseenKernel } from '../../model/api.ts';
import { type ApiError, getJson, toApiError } from '../api/client.ts';
import { formatRoute, type PageName, parseRoute, type Route } from './route.ts';
import { Store, useStore } from './store.ts';
import { toTones } from './tones.ts';

export type Theme = 'system' | 'light' | 'dark';

export interface AppState {
  readonly route: Route;
  readonly theme: Theme;
  readonly link: 'connecting' | 'up' | 'down';
  readonly linkError: ApiError | undefined;
  readonly health: Health | undefined;
  /** undefined until the hub has answered once. */
  readonly kernels: readonly KernelRow[] | undefined;
  /** Those that only their host kernel speaks of. */
  readonly unseen: readonly UnseenKernel[];
  /** Incidents that are not over. */
  readonly openAlarms: number;
  /** Boot id → colour of its kernel. */
  readonly tones: ReadonlyMap<string, number>;
  /** Browser time of the last answer, Unix ms. */
  readonly asOfMs: number;
}

export type Params = Readonly<Record<string, string | undefined>>;

const POLL_MS = 2000;
const REQUEST_TIMEOUT_MS = 10_000;
/** What the tab counts at most. */
const MAX_ALARMS = 99;
const THEME_KEY = 'mkscope.theme';

export class App {
  readonly state: Store<AppState>;
  /** Where each page was left, so that its tab leads back there. */
  readonly #left = new Map<PageName, Params>();
  #timer: number | undefined;
  #polling = false;

  constructor() {
    this.state = new Store<AppState>({
      route: parseRoute(location.hash),
      theme: readTheme(),
      link: 'connecting',
      linkError: undefined,
      health: undefined,
      kernels: undefined,
      unseen: [],
      openAlarms: 0,
      tones: new Map(),
      asOfMs: Date.now(),
    });
    applyTheme(this.state.get().theme);
  }

  start(): void {
    window.addEventListener('hashchange', () => this.#arrive());
    this.#arrive();
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) void this.poll();
    });
    void this.poll();
  }

  /** The address that leads to a page as it was left. */
  toHash(page: PageName): string {
    return formatRoute(page, this.#left.get(page) ?? {});
  }

  #arrive(): void {
    const route = parseRoute(location.hash);
    this.#left.set(route.page, route.params);
    this.state.set({ route });
  }

  /** Opens a page; a new entry in the browser's history. */
  go(page: PageName, params: Params = {}): void {
    location.hash = formatRoute(page, params);
  }

  /** Changes parameters of the current page in place; undefined removes one. */
  setParams(patch: Params): void {
    const { page, params } = this.state.get().route;
    const hash = formatRoute(page, { ...params, ...patch });
    if (hash === location.hash) return;
    history.replaceState(undefined, '', hash);
    this.#arrive();
  }

  toggleTheme(): void {
    const theme: Theme = isDark() ? 'light' : 'dark';
    localStorage.setItem(THEME_KEY, theme);
    applyTheme(theme);
    this.state.set({ theme });
  }

  /** Asks the hub now, and again every two seconds while the page is visible. */
  async poll(): Promise<void> {
    if (this.#polling) return;
    this.#polling = true;
    window.clearTimeout(this.#timer);
    try {
      const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
      const [health, { kernels, unseen }, { incidents }] = await Promise.all([
        getJson<Health>('/api/health', {}, signal),
        getJson<KernelList>('/api/kernels', {}, signal),
        getJson<{ incidents: readonly IncidentRow[] }>('/api/incidents', { state: 'open', limit: MAX_ALARMS }, signal),
      ]);
      const openAlarms = incidents.filter(({ severity }) => severity !== 'info').length;
      this.state.set({
        link: 'up',
        linkError: undefined,
        health,
        kernels,
        unseen,
        openAlarms,
        tones: toTones(kernels),
        asOfMs: Date.now(),
      });
    } catch (error) {
      this.state.set({ link: 'down', linkError: toApiError(error) });
    }
    this.#polling = false;
    if (!document.hidden) this.#timer = window.setTimeout(() => void this.poll(), POLL_MS);
  }
}

function readTheme(): Theme {
  const stored = localStorage.getItem(THEME_KEY);
  return stored === 'light' || stored === 'dark' ? stored : 'system';
}

function applyTheme(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
}

export function isDark(): boolean {
  const { theme } = document.documentElement.dataset;
  return theme === undefined ? matchMedia('(prefers-color-scheme: dark)').matches : theme === 'dark';
}

export const AppContext = createContext<App | undefined>(undefined);

export function useApp(): App {
  const app = useContext(AppContext);
  if (app === undefined) throw new Error('useApp outside of the app');
  return app;
}

export function useAppState<Part>(select: (state: AppState) => Part): Part {
  return useStore(useApp().state, select);
}

export function useParams(): Readonly<Record<string, string>> {
  return useAppState((state) => state.route.params);
}
