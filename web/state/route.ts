/**
 * The address is the state: `#/<page>?key=value…`. Everything that a colleague must see when given a link is here; the rest
 * (selection in a list, scroll position) is a view's own.
 */
export const PAGES = ['kernels', 'logs', 'timeline', 'ikc', 'traces', 'trace', 'incidents', 'ledger', 'sql'] as const;
export type PageName = (typeof PAGES)[number];

export interface Route {
  readonly page: PageName;
  readonly params: Readonly<Record<string, string>>;
}

export interface LogFilter {
  readonly kernel?: string;
  readonly boot?: string;
  readonly level?: number;
  readonly stream?: string;
  /** Kernel reports only. */
  readonly reports?: true;
  readonly search: string;
  readonly regex: boolean;
}

export function parseRoute(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const page = PAGES.find((name) => name === path) ?? 'kernels';
  return { page, params: Object.fromEntries(new URLSearchParams(query)) };
}

/** Empty and undefined parameters are left out; the order is that of `params`. */
export function formatRoute(page: PageName, params: Readonly<Record<string, string | undefined>>): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) if (value !== undefined && value !== '') query.set(key, value);
  const text = query.toString();
  return text === '' ? `#/${page}` : `#/${page}?${text}`;
}

export function toLogFilter(params: Readonly<Record<string, string>>): LogFilter {
  const level = /^[0-7]$/.test(params['level'] ?? '') ? Number(params['level']) : undefined;
  return {
    ...(params['kernel'] ? { kernel: params['kernel'] } : {}),
    ...(params['boot'] ? { boot: params['boot'] } : {}),
    ...(level === undefined ? {} : { level }),
    ...(params['stream'] ? { stream: params['stream'] } : {}),
    ...(params['reports'] === '1' ? { reports: true as const } : {}),
    search: params['q'] ?? '',
    regex: params['re'] === '1',
  };
}

/** The filter as query parameters of /api/logs. */
export function toLogQuery(filter: LogFilter): Record<string, string> {
  const query: Record<string, string> = {};
  if (filter.kernel !== undefined) query['kernel'] = filter.kernel;
  if (filter.boot !== undefined) query['boot'] = filter.boot;
  if (filter.level !== undefined) query['level'] = String(filter.level);
  if (filter.stream !== undefined) query['stream'] = filter.stream;
  if (filter.reports === true) query['event'] = 'kernel.*';
  if (filter.search !== '') query[filter.regex ? 'regex' : 'search'] = filter.search;
  return query;
}
