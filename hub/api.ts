/** The page and its API, as model/api.ts lists it. */
import type { Context } from 'hono';
import { decodeUtf8 } from '../base/bytes.ts';
import { OperationalError } from '../base/errors.ts';
import type { MessageMatcher } from '../correlate/match-messages.ts';
import type { Health } from '../model/api.ts';
import { HOST_KERNEL_ID } from '../model/identity.ts';
import { queryEventNames, queryEvents } from '../store/queries/events.ts';
import { queryGaps } from '../store/queries/gaps.ts';
import { queryIkcMessages, queryIkcSummary } from '../store/queries/ikc.ts';
import { queryIncidents } from '../store/queries/incidents.ts';
import { queryIkcLatency } from '../store/queries/ikc-latency.ts';
import { queryLogs } from '../store/queries/logs.ts';
import { queryMetricNames, querySeries } from '../store/queries/series.ts';
import { queryTimeline } from '../store/queries/timeline.ts';
import { queryTrace, queryTraces } from '../store/queries/traces.ts';
import type { Store } from '../store/store.ts';
import { AccessGuard, type AccessToken, type Address } from './access.ts';
import { decompress, type BodyReader } from './body.ts';
import type { Books } from './books.ts';
import type { ClockWatch } from './clock-watch.ts';
import type { HubCounters } from './counters.ts';
import type { Forwarder } from './forward.ts';
import type { HostClock } from './import-boots.ts';
import type { IkcLatency } from './ikc-latency.ts';
import type { IkcWatch } from './ikc-watch.ts';
import { IMPORTED_MACHINE, importFile } from './import-file.ts';
import { exportIncident } from './incident-export.ts';
import { queryIncidentDetail } from './incident-detail.ts';
import type { IncidentWatch } from './incident-watch.ts';
import type { KernelList } from './kernels.ts';
import { queryLedger } from './ledger.ts';
import { createApp, type HubApp, type HubEnv } from './listen.ts';
import type { LifeWatch } from './life-watch.ts';
import type { LiveFeed } from './live.ts';
import {
  EVENT_NAME_PARAMS,
  EVENT_PARAMS,
  EXPORT_PARAMS,
  GAP_PARAMS,
  IKC_LATENCY_PARAMS,
  IKC_MESSAGE_PARAMS,
  IKC_PARAMS,
  INCIDENT_PARAMS,
  IMPORT_PARAMS,
  LIVE_PARAMS,
  LOG_PARAMS,
  NO_PARAMS,
  readInput,
  readParams,
  RECORDER_BODY,
  SERIES_PARAMS,
  SQL_BODY,
  TIMELINE_PARAMS,
  TRACE_PARAMS,
  type Defined,
  type Schema,
} from './params.ts';
import { toOperational, toProblemResponse } from './problem.ts';
import type { Recorders } from './recorders.ts';
import { formatSelfMetrics, METRICS_CONTENT_TYPE, OPENMETRICS_CONTENT_TYPE } from './self-metrics.ts';
import { runSql } from './sql.ts';
import type { StaticFiles } from './static-files.ts';

export interface ApiSettings {
  readonly address: Address;
  readonly tokens: readonly AccessToken[];
  readonly version: string;
  readonly store: Store;
  readonly bodies: BodyReader;
  readonly books: Books;
  readonly counters: HubCounters;
  readonly kernels: KernelList;
  readonly live: LiveFeed;
  readonly ikc: IkcWatch;
  readonly incidents: IncidentWatch;
  readonly files: StaticFiles;
  /** Clocks of imported host kernels by machine: the logs of its guests are set against them. */
  readonly hostClocks: Map<string, HostClock>;
  readonly messages: MessageMatcher;
  readonly clocks: ClockWatch;
  readonly lives: LifeWatch;
  readonly latency: IkcLatency;
  readonly forwarder: Forwarder | undefined;
  readonly recorders: Recorders;
  /** Folder for files that are being imported. */
  readonly workDir: string;
  health(): Promise<Health>;
}

export function createApiApp(settings: ApiSettings): HubApp {
  const { store, counters, kernels, live, books, clocks } = settings;
  const app = createApp(settings.address, (error) => {
    counters.countApiError(toOperational(error).code);
    return toProblemResponse(error);
  });
  const guard = new AccessGuard(settings.tokens, 'read');
  app.use(async (c, next) => {
    guard.admit(c.req.raw.headers);
    await next();
  });
  const get = <T>(path: string, schema: Schema<T>, answer: (params: Defined<T>) => Promise<unknown>): void => {
    app.get(path, async (c) => {
      c.header('cache-control', 'no-store');
      return c.json((await answer(readParams(c.req.url, schema))) as object);
    });
  };

  get('/api/health', NO_PARAMS, () => settings.health());
  get('/api/kernels', NO_PARAMS, () => kernels.list());
  get('/api/logs', LOG_PARAMS, (params) => queryLogs(store, params, clocks.revisions));
  app.get('/api/logs/live', (c) => live.subscribe(readParams(c.req.url, LIVE_PARAMS)));
  get('/api/events', EVENT_PARAMS, (params) => queryEvents(store, params, clocks.revisions));
  get('/api/events/names', EVENT_NAME_PARAMS, async (params) => ({ names: await queryEventNames(store, params) }));
  get('/api/timeline', TIMELINE_PARAMS, (params) => queryTimeline(store, params, clocks.revisions));
  get('/api/metrics/names', NO_PARAMS, async () => ({ metrics: await queryMetricNames(store) }));
  get('/api/metrics/series', SERIES_PARAMS, async ({ step_ms: stepMs, ...params }) => ({
    series: await querySeries(store, { ...params, ...(stepMs === undefined ? {} : { stepMs }) }),
  }));
  get('/api/ledger', NO_PARAMS, () => queryLedger(store, books));
  get('/api/clocks', NO_PARAMS, () => Promise.resolve(clocks.list()));
  get('/api/gaps', GAP_PARAMS, async (params) => ({ gaps: await queryGaps(store, params) }));
  get('/api/ikc', IKC_PARAMS, (params) => queryIkcSummary(store, params));
  get('/api/ikc/messages', IKC_MESSAGE_PARAMS, async (params) => ({ messages: await queryIkcMessages(store, params) }));
  get('/api/incidents', INCIDENT_PARAMS, async (params) => ({ incidents: await queryIncidents(store, params) }));
  app.get('/api/incidents/live', (c) => {
    readParams(c.req.url, NO_PARAMS);
    return live.subscribeToIncidents();
  });
  app.get('/api/incidents/:id', async (c) => {
    c.header('cache-control', 'no-store');
    readParams(c.req.url, NO_PARAMS);
    return c.json(await queryIncidentDetail(store, settings.recorders, c.req.param('id')));
  });
  app.get('/api/incidents/:id/export', async (c) => {
    const { redact } = readParams(c.req.url, EXPORT_PARAMS);
    const detail = await queryIncidentDetail(store, settings.recorders, c.req.param('id'));
    c.header('cache-control', 'no-store');
    // The file brings its own rule of what a browser may do with it; opened from here it gets the same.
    c.header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'");
    c.header('content-disposition', `attachment; filename="incident-${detail.incident.id}.html"`);
    return c.html(await exportIncident(store, detail, settings.version, redact === '1'));
  });
  get('/api/ikc/latency', IKC_LATENCY_PARAMS, (params) => queryIkcLatency(store, params));
  get('/api/traces', TRACE_PARAMS, async ({ min_duration_ns: minDurationNs, ...params }) => ({
    traces: await queryTraces(store, { ...params, ...(minDurationNs === undefined ? {} : { minDurationNs }) }),
  }));
  app.get('/api/traces/:id', (c) => answerTrace(c, store));
  get('/api/recorders', NO_PARAMS, () => Promise.resolve(settings.recorders.list()));
  app.post('/api/recorders', (c) => answerRecorderRequest(c, settings));
  app.post('/api/sql', (c) => answerSql(c, settings));
  app.post('/api/import', (c) => answerImport(c, settings));
  app.get('/metrics', async (c) => {
    // OpenMetrics where it is asked for: with exemplars, which the older format has no room for.
    const isOpen = (c.req.header('accept') ?? '').includes('application/openmetrics-text');
    c.header('content-type', isOpen ? OPENMETRICS_CONTENT_TYPE : METRICS_CONTENT_TYPE);
    c.header('vary', 'accept');
    return c.body(formatSelfMetrics({ ...settings, clocks: clocks.list(), store: await store.health() }, isOpen));
  });
  app.get('/api/*', (c) => {
    throw new OperationalError('E_NOT_FOUND', `nothing under ${c.req.path}`, 'docs/api.md lists all addresses');
  });
  app.get('*', (c) => settings.files.answer(c.req.path, c.req.header('if-none-match')) ?? c.notFound());
  return app;
}

async function answerTrace(c: Context<HubEnv>, store: Store): Promise<Response> {
  readParams(c.req.url, NO_PARAMS);
  const id = c.req.param('id') ?? '';
  if (!/^[0-9a-f]{32}$/.test(id)) {
    throw new OperationalError('E_REQUEST', `${id} is no trace id`, 'a trace id has 32 hexadecimal digits, in lower case');
  }
  const trace = await queryTrace(store, id);
  if (trace.spans.length === 0) {
    throw new OperationalError('E_NOT_FOUND', `no span of trace ${id} is stored`, 'it may be on its way still, or past its retention');
  }
  c.header('cache-control', 'no-store');
  return c.json(trace);
}

async function answerSql(c: Context<HubEnv>, { store, bodies }: ApiSettings): Promise<Response> {
  // JSON only: a form or plain text could come from any web page without asking (CORS).
  requireJson(c.req.header('content-type'));
  const { sql } = await bodies.with(c.env.incoming, (bytes) => Promise.resolve(readInput(parseJson(bytes), SQL_BODY, 'member')));
  return c.json(await runSql(store, sql));
}

async function answerRecorderRequest(c: Context<HubEnv>, { recorders, bodies }: ApiSettings): Promise<Response> {
  requireJson(c.req.header('content-type'));
  const wanted = await bodies.with(c.env.incoming, (bytes) => Promise.resolve(readInput(parseJson(bytes), RECORDER_BODY, 'member')));
  if (BigInt(wanted.from) >= BigInt(wanted.to)) throw new OperationalError('E_REQUEST', 'from is not before to', 'give a window of time');
  const requests = recorders.ask(wanted.machine, wanted.from, wanted.to);
  if (requests.length > 0) return c.json({ requests });
  const where = wanted.machine === undefined ? '' : ` of a machine ${wanted.machine}`;
  throw new OperationalError(
    'E_NOT_FOUND',
    `no flight recorder${where} has reported here`,
    'collectors keep pages with collector.tracefs.ship: on-request',
  );
}

async function answerImport(
  c: Context<HubEnv>,
  { store, kernels, messages, lives, ikc, incidents, workDir, hostClocks }: ApiSettings,
): Promise<Response> {
  const params = readParams(c.req.url, IMPORT_PARAMS);
  const machine = params.machine ?? '';
  const host = params.kernel_id === undefined || params.kernel_id === HOST_KERNEL_ID ? undefined : hostClocks.get(machine);
  const result = await importFile(store, decompress(c.env.incoming), {
    fileName: params.name,
    workDir,
    messages,
    ikc,
    identity: {
      ...(params.machine === undefined ? {} : { machineId: params.machine, machineName: params.machine }),
      ...(params.kernel === undefined ? {} : { kernelName: params.kernel }),
      ...(params.kernel_id === undefined ? {} : { kernelId: params.kernel_id }),
    },
    ...(host === undefined ? {} : { host }),
    ...(params.format === undefined ? {} : { format: params.format }),
    ...(params.time_zero === undefined ? {} : { timeZeroUnixNs: BigInt(params.time_zero) }),
    ...(params.modified === undefined ? {} : { modifiedUnixNs: BigInt(params.modified) }),
    ...(params.modified_error === undefined ? {} : { modifiedErrorNs: Number(params.modified_error) }),
  });
  kernels.forget();
  const { boots, lifeMachine, ...answer } = result;
  // Not at once: another file of the machine may follow this one.
  if (lifeMachine !== undefined) lives.mark(lifeMachine, 0n);
  if (result.from !== '') {
    incidents.mark(params.machine ?? IMPORTED_MACHINE, BigInt(result.from));
    await incidents.settle();
  }
  const [boot] = boots;
  if ((params.kernel_id ?? HOST_KERNEL_ID) === HOST_KERNEL_ID && boot?.kvm !== undefined)
    hostClocks.set(machine, { kvm: boot.kvm, fit: boot.fit });
  return c.json(answer);
}

function requireJson(contentType: string | undefined): void {
  if (/^application\/json\s*(;|$)/i.test(contentType ?? '')) return;
  throw new OperationalError('E_MEDIA_TYPE', `content-type ${contentType ?? '(none)'} is not supported here`, 'send application/json');
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decodeUtf8(bytes));
  } catch (error) {
    throw new OperationalError('E_REQUEST', 'the body is not JSON', 'docs/api.md shows the body of each address', error);
  }
}
