/** The hub: one process per machine or fleet that receives, stores and serves. */
import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { SpanRule } from '../correlate/span-rules.ts';
import { createMatcher } from '../correlate/match-messages.ts';
import type { MessageRule } from '../correlate/message-catalogue.ts';
import type { Health } from '../model/api.ts';
import { resolveEndpoint, type Endpoint, type EndpointOptions } from '../otlp/endpoint.ts';
import { openStore, type StoreOptions } from '../store/open.ts';
import type { Store } from '../store/store.ts';
import { AcrossWatch } from './across-watch.ts';
import { checkExposure, type AccessToken, type Address } from './access.ts';
import { createApiApp } from './api.ts';
import { BodyReader } from './body.ts';
import { Books } from './books.ts';
import { ChannelWatch } from './channel-watch.ts';
import { createClickhouseApp } from './clickhouse.ts';
import { ClockWatch } from './clock-watch.ts';
import { HubCounters } from './counters.ts';
import { FormatSets } from './format-sets.ts';
import { IncidentWatch } from './incident-watch.ts';
import { Forwarder } from './forward.ts';
import { IdentityWatch } from './identity-watch.ts';
import { Intake } from './intake.ts';
import { IKC_PACKS } from '../correlate/ikc-packs/index.ts';
import type { IkcPack } from '../correlate/ikc-pack.ts';
import { IkcLatency } from './ikc-latency.ts';
import { IkcWatch } from './ikc-watch.ts';
import { KernelList } from './kernels.ts';
import { listen, type HubApp, type Listener } from './listen.ts';
import { LifeWatch } from './life-watch.ts';
import { LiveFeed } from './live.ts';
import { PresenceTable } from './presence.ts';
import { BootJoins } from './boot-joins.ts';
import { createReceiveApp } from './receive.ts';
import { Recorders } from './recorders.ts';
import { ReportWatch } from './report-watch.ts';
import { StaticFiles } from './static-files.ts';
import { TaskNames } from './task-names.ts';
import { TimeGuard } from './time-guard.ts';
import { WatchRows } from './watch-row.ts';

/** A batch or query that takes longer to arrive is cut. */
const REQUEST_TIMEOUT_MS = 120_000;
/** Spooled data that waits this long means that loading is stuck. */
const STUCK_AFTER_MS = 30_000;

export interface HubOptions {
  /** Folder of the store, the format sets, and files on their way in. */
  readonly dataDir: string;
  /** Further settings of the store. */
  readonly store?: Omit<StoreOptions, 'dataDir'>;
  readonly version: string;
  /** Page, API and /metrics. Default 127.0.0.1:4319. */
  readonly page?: Address;
  /** OTLP/HTTP and segments. Default 127.0.0.1:4318. */
  readonly otlp?: Address;
  /** Read-only ClickHouse HTTP; undefined = not served. */
  readonly clickhouse?: Address;
  /** Folder of the built page. */
  readonly webDir: string;
  /** Without any, only loopback is served. */
  readonly tokens?: readonly AccessToken[];
  /** Messages beside those of the catalogue. */
  readonly messages?: readonly MessageRule[];
  /** Packs of messages between kernels; of several that name an event the first one has it. Default: those that mkscope brings. */
  readonly ikcPacks?: readonly IkcPack[];
  /** Span rules that go over kernels; others are the collectors'. */
  readonly spanRules?: readonly SpanRule[];
  /** An OTLP receiver that gets every span; undefined = none does. */
  readonly forward?: EndpointOptions;
  /** To either side of an incident, pages of this much are asked of flight recorders. Default 5 s. */
  readonly recorderWindowMs?: number;
  /** Bound of a request's body after decompression. Default 64 MiB. */
  readonly maxBodyBytes?: number;
}

export interface Hub {
  /** URLs as bound; `clickhouse` is empty when it is not served. */
  readonly addresses: { readonly page: string; readonly otlp: string; readonly clickhouse: string };
  readonly store: Store;
  health(): Promise<Health>;
  /** Stops receiving, loads what is pending, closes the store. */
  close(): Promise<void>;
}

export type { AccessToken, Address };

/** Throws OperationalError: E_PORT_IN_USE, E_LISTEN, E_CONFIG_VALUE, and those of the store. */
export async function startHub(options: HubOptions): Promise<Hub> {
  const page = options.page ?? { host: '127.0.0.1', port: 4319 };
  const otlp = options.otlp ?? { host: '127.0.0.1', port: 4318 };
  const tokens = options.tokens ?? [];
  checkExposure('the page', page, tokens, 'read');
  checkExposure('the OTLP receiver', otlp, tokens, 'ingest');
  if (options.clickhouse !== undefined) checkExposure('the ClickHouse interface', options.clickhouse, tokens, 'read');
  // The environment's endpoint is for a collector.
  const forwardTo =
    options.forward === undefined
      ? undefined
      : { spans: resolveEndpoint('traces', options.forward, {}), metrics: resolveEndpoint('metrics', options.forward, {}) };
  mkdirSync(options.dataDir, { recursive: true });
  const store = await openStore({ ...options.store, dataDir: options.dataDir });
  const parts = createParts(options, store, { page, otlp, tokens, forwardTo });
  const listeners: Listener[] = [];
  const open = async (app: HubApp, address: Address, name: string, option: string, timeoutMs = REQUEST_TIMEOUT_MS): Promise<string> => {
    const listener = await listen(app, address, name, option, timeoutMs);
    listeners.push(listener);
    return listener.url;
  };
  const close = async (): Promise<void> => {
    parts.live.close();
    await Promise.all(listeners.map((listener) => listener.close()));
    await parts.boots.close();
    await parts.reports.close();
    await parts.clocks.close();
    await parts.lives.close();
    await parts.ikc.close();
    await parts.latency.close();
    await parts.across.close();
    await parts.channels.close();
    await parts.incidents.close();
    await parts.forwarder?.close();
    await store.close();
  };
  try {
    parts.boots.start();
    await parts.clocks.start();
    // Before anything comes in: what an earlier process left is read out of the store.
    await parts.ikc.start();
    await parts.incidents.ready;
    await parts.forwarder?.start();
    const { addresses } = parts;
    // An import streams for as long as its file is.
    addresses.page = await open(parts.pageApp, page, 'the page', '--page', 0);
    addresses.otlp = await open(parts.otlpApp, otlp, 'the OTLP receiver', '--otlp');
    if (options.clickhouse !== undefined && parts.clickhouseApp !== undefined) {
      addresses.clickhouse = await open(parts.clickhouseApp, options.clickhouse, 'the ClickHouse interface', '--clickhouse');
    }
    return { addresses, store, health: () => parts.health(), close };
  } catch (error) {
    await close();
    throw error;
  }
}

interface HubParts {
  readonly addresses: { page: string; otlp: string; clickhouse: string };
  readonly live: LiveFeed;
  readonly reports: ReportWatch;
  readonly boots: BootJoins;
  readonly clocks: ClockWatch;
  readonly lives: LifeWatch;
  readonly ikc: IkcWatch;
  readonly latency: IkcLatency;
  readonly across: AcrossWatch;
  readonly channels: ChannelWatch;
  readonly incidents: IncidentWatch;
  readonly forwarder: Forwarder | undefined;
  readonly pageApp: HubApp;
  readonly otlpApp: HubApp;
  readonly clickhouseApp: HubApp | undefined;
  health(): Promise<Health>;
}

interface Settled {
  readonly page: Address;
  readonly otlp: Address;
  readonly tokens: readonly AccessToken[];
  readonly forwardTo: { readonly spans: Endpoint; readonly metrics: Endpoint } | undefined;
}

function createParts(options: HubOptions, store: Store, { page, otlp, tokens, forwardTo }: Settled): HubParts {
  const { version, dataDir, clickhouse } = options;
  const counters = new HubCounters();
  const bodies = new BodyReader(options.maxBodyBytes);
  const presence = new PresenceTable();
  const books = new Books();
  const live = new LiveFeed();
  const formats = new FormatSets(dataDir);
  const messages = createMatcher(options.messages);
  const processId = randomUUID();
  const watched = new WatchRows({ store, live, version, mark: (...of) => incidents.mark(...of) });
  const identities = new IdentityWatch(watched);
  const clocks = new ClockWatch(store, version, processId, watched);
  const channels = new ChannelWatch(watched);
  const packs = options.ikcPacks ?? IKC_PACKS;
  const forwarder =
    forwardTo === undefined
      ? undefined
      : new Forwarder({ store, to: forwardTo.spans, metricsTo: forwardTo.metrics, path: join(dataDir, 'forward', 'spans.json') });
  const latency = new IkcLatency({ store, version, packs, onStored: (stored) => forwarder?.metrics.take(stored) });
  const across = new AcrossWatch({
    store,
    version,
    rules: (options.spanRules ?? []).filter((rule) => rule.across === true),
    onStored: (stored) => forwarder?.metrics.take(stored),
  });
  const ikc = new IkcWatch({
    store,
    version,
    packs,
    presence,
    path: join(dataDir, 'ikc', 'watch.json'),
    onMatched: (...of) => clocks.addMessage(...of),
    onDecided: (batch, heard, traceIds) => {
      channels.take(batch, heard);
      latency.take(batch, heard, traceIds);
    },
  });
  const kernels = new KernelList({ store, presence, clocks, identities, books });
  const boots = new BootJoins({
    store,
    path: join(dataDir, 'boots', 'joins.json'),
    onJoined: (heard) => {
      presence.forget(heard);
      kernels.forget();
    },
  });
  const lives = new LifeWatch({ store, counters, version });
  const recorders = new Recorders({ path: join(dataDir, 'recorders', 'requests.json'), windowMs: options.recorderWindowMs ?? 5_000 });
  const path = join(dataDir, 'incidents', 'watch.json');
  const incidents = new IncidentWatch({ store, live, counters, presence, recorders, version, path });
  const reports = new ReportWatch({ store, live, counters, incidents, version, path: join(dataDir, 'reports', 'watch.json') });
  const intake = new Intake({
    store,
    version,
    formats,
    names: new TaskNames(),
    presence,
    identities,
    times: new TimeGuard(watched, counters),
    books,
    live,
    counters,
    reports,
    lives,
    messages,
    boots,
    clocks,
    ikc,
    incidents,
    across,
    onMetrics: (stored) => forwarder?.metrics.take(stored),
  });
  const files = new StaticFiles(options.webDir);
  const addresses = { page: '', otlp: '', clickhouse: '' };
  const health = (): Promise<Health> => readHealth(store, version, counters.startedMs, addresses, forwarder);
  return {
    addresses,
    live,
    reports,
    boots,
    clocks,
    lives,
    ikc,
    latency,
    across,
    channels,
    incidents,
    forwarder,
    health,
    pageApp: createApiApp({
      address: page,
      tokens,
      version,
      store,
      bodies,
      books,
      counters,
      kernels,
      live,
      incidents,
      files,
      messages,
      clocks,
      lives,
      ikc,
      latency,
      forwarder,
      recorders,
      hostClocks: new Map(),
      workDir: join(dataDir, 'imports'),
      health,
    }),
    otlpApp: createReceiveApp({ address: otlp, tokens, version, bodies, counters, formats, processId, intake, recorders }),
    clickhouseApp: clickhouse === undefined ? undefined : createClickhouseApp({ address: clickhouse, tokens, store, bodies }),
  };
}

async function readHealth(
  store: Store,
  version: string,
  startedMs: number,
  addresses: HubParts['addresses'],
  forwarder: Forwarder | undefined,
): Promise<Health> {
  const health = await store.health();
  const problems: string[] = [];
  if (health.lastError !== '') problems.push(`the store cannot load what it received: ${health.lastError}`);
  if (health.oldestPendingMs > STUCK_AFTER_MS) {
    problems.push(`received data has waited ${Math.round(health.oldestPendingMs / 1000)} s to be loaded`);
  }
  if (forwarder !== undefined && forwarder.counts.lastError !== '')
    problems.push(`spans wait to be forwarded: ${forwarder.counts.lastError}`);
  if (forwarder !== undefined && forwarder.metrics.counts.lastError !== '')
    problems.push(`latency histograms wait to be forwarded: ${forwarder.metrics.counts.lastError}`);
  return {
    status: problems.length === 0 ? 'ok' : 'degraded',
    version,
    startedUnixNs: `${startedMs}000000`,
    problems,
    store: { engine: health.engine, path: health.path, rows: health.rows, bytesOnDisk: health.bytesOnDisk },
    spool: { pendingBytes: health.pendingBytes, pendingFiles: health.pendingFiles, oldestMs: Math.round(health.oldestPendingMs) },
    listening: { ...addresses },
  };
}
