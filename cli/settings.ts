/** Configuration → the options of hub and collector. Types only from both: who needs one never loads the other. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { messageOf, OperationalError } from '../base/errors.ts';
import type { CollectorOptions, SourceOptions } from '../collector/options.ts';
import { eventsOf, type IkcEvent, type IkcPack } from '../correlate/ikc-pack.ts';
import { IKC_PACKS } from '../correlate/ikc-packs/index.ts';
import type { SpanRule } from '../correlate/span-rules.ts';
import type { MessageRule } from '../correlate/message-catalogue.ts';
import type { AccessToken, HubOptions } from '../hub/hub.ts';
import { HOST_KERNEL_ID } from '../model/identity.ts';
import type { Config } from './config.ts';
import type { ConfigValue } from './config-keys.ts';
import { readIkcFiles, type OwnPack } from './ikc-file.ts';
import { readSpanFiles } from './span-file.ts';
import { readMessageFile } from './message-file.ts';
import { findPackageRoot, readVersion } from './package-root.ts';

const DAY_MS = 86_400_000;

export function toHubOptions(config: Config): HubOptions {
  return {
    dataDir: resolve(config.get('data')),
    version: readVersion(),
    webDir: join(findPackageRoot(), 'web/dist'),
    page: config.get('hub.page'),
    otlp: config.get('hub.otlp'),
    clickhouse: config.get('hub.clickhouse'),
    tokens: readTokens(config.get('hub.tokens')),
    messages: readMessages(config),
    ikcPacks: readIkcPacks(config),
    spanRules: readSpanRules(config),
    ...toForward(config),
    recorderWindowMs: config.get('hub.recorder.window'),
    store: toStoreOptions(config),
  };
}

function toForward(config: Config): Pick<HubOptions, 'forward'> {
  const endpoint = config.find('hub.forward.to');
  if (endpoint === undefined) return {};
  const compression = config.get('hub.forward.compression');
  return {
    forward: { endpoint, headers: config.get('hub.forward.headers'), compression, ...defined('caFile', config.find('hub.forward.ca')) },
  };
}

/** Of all files together, and the lines of the user's packs. Throws E_CONFIG_* with file and line. */
export function readMessages(config: Config): MessageRule[] {
  const own = config.get('messages').flatMap((path) => readMessageFile(path).map(({ rule }) => rule));
  return [...own, ...readOwnPacks(config).flatMap(({ rules }) => rules)];
}

/** Packs of the user's files, then ours. Throws E_CONFIG_* with file and line. */
export function readIkcPacks(config: Config): IkcPack[] {
  return [...readOwnPacks(config).map(({ pack }) => pack), ...IKC_PACKS];
}

/** Throws E_CONFIG_* with file and line. */
export function readSpanRules(config: Config): SpanRule[] {
  return readSpanFiles(config.get('spans')).map(({ rule }) => rule);
}

function readOwnPacks(config: Config): OwnPack[] {
  return readIkcFiles(config.get('ikc')).flatMap(({ packs }) => packs);
}

export function toStoreOptions(config: Config): NonNullable<HubOptions['store']> {
  const quietMs = config.find('hub.retention.quiet_logs');
  const serverUrl = config.find('hub.server.url');
  return {
    maxSpoolBytes: config.get('hub.spool'),
    maxQuerySeconds: config.get('hub.query_timeout') / 1000,
    retention: {
      logsDays: config.get('hub.retention.logs') / DAY_MS,
      ...(quietMs === undefined ? {} : { quietLogsDays: quietMs / DAY_MS }),
      tracesDays: config.get('hub.retention.traces') / DAY_MS,
      metricsDays: config.get('hub.retention.metrics') / DAY_MS,
      eventsDays: config.get('hub.retention.events') / DAY_MS,
      gapsDays: config.get('hub.retention.gaps') / DAY_MS,
    },
    ...(serverUrl === undefined
      ? {}
      : {
          clickhouse: {
            url: serverUrl,
            ...defined('username', config.find('hub.server.username')),
            ...defined('password', config.find('hub.server.password')),
            ...defined('database', config.find('hub.server.database')),
          },
        }),
  };
}

function readTokens(tokens: ConfigValue<'hub.tokens'>): AccessToken[] {
  return tokens.map(({ token, file, grants, kernel, machine }) => ({
    token: token ?? readTokenFile(file ?? ''),
    grants,
    ...(kernel === undefined ? {} : { kernel: { kernelId: kernel, ...defined('machineId', machine) } }),
  }));
}

function readTokenFile(path: string): string {
  let token: string;
  try {
    token = readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new OperationalError(
      'E_CONFIG_VALUE',
      `hub.tokens: ${path} cannot be read: ${messageOf(error)}`,
      'name a file with one token in it',
      error,
    );
  }
  // An empty file would otherwise open the hub to every empty password.
  if (token === '')
    throw new OperationalError(
      'E_CONFIG_VALUE',
      `hub.tokens: ${path} is empty`,
      'write a token into it, for example from: openssl rand -hex 32',
    );
  return token;
}

/** Events of packs by `pack` or `pack/generation`. Of Multikernel the newest is a superset of the one before: what is not there is left out. */
function readProbes(config: Config): IkcEvent[] {
  const packs = readIkcPacks(config);
  const isChosen = config.originOf('collector.ikc') !== 'default';
  const own = isChosen ? [] : packs.slice(0, packs.length - IKC_PACKS.length).map(({ name }) => name);
  return [...config.get('collector.ikc'), ...own].flatMap((name) => {
    const [packName = '', generation] = name.split('/');
    const pack = packs.find((one) => one.name === packName);
    if (pack === undefined || (generation !== undefined && pack.rings[generation] === undefined)) {
      const known = packs.map((one) => [one.name, Object.keys(one.rings).map((of) => `${one.name}/${of}`)]).flat(2);
      throw new OperationalError('E_CONFIG_VALUE', `collector.ikc: there is no pack ${name}`, `packs are ${known.join(', ')}`);
    }
    return eventsOf(pack, generation ?? (packName === 'multikernel' ? 'g3' : undefined));
  });
}

export function toCollectorOptions(config: Config): CollectorOptions {
  const instanceConsoles = config.get('collector.multikernel.consoles');
  const telemetryEndpoint = config.find('collector.telemetry.endpoint');
  return {
    version: readVersion(),
    to: {
      ...defined('endpoint', config.find('collector.to')),
      ...defined('compression', config.find('collector.compression')),
      ...defined('caFile', config.find('collector.tls.ca')),
      ...defined('certFile', config.find('collector.tls.cert')),
      ...defined('keyFile', config.find('collector.tls.key')),
      headers: config.get('collector.headers'),
    },
    root: resolve(config.get('collector.root')),
    spoolDir: resolve(config.find('collector.spool.dir') ?? join(config.get('data'), 'collector')),
    spoolMaxBytes: config.get('collector.spool.size'),
    identity: {
      ...defined('machineId', config.find('machine.id')),
      ...defined('machineName', config.find('machine.name')),
      ...defined('kernelId', config.find('kernel.id')),
      ...defined('kernelName', config.find('kernel.name')),
    },
    sources: toSources(config),
    streams: Object.entries(config.get('collector.streams')).map(([name, of]) => ({
      name,
      from: of.from,
      kernel: of.kernel,
      console: of.console,
    })),
    netconsole: toNetconsole(config),
    ...(instanceConsoles === 'off' ? {} : { instanceConsoles }),
    ...(config.get('collector.pstore.enabled')
      ? { pstore: { folders: config.get('collector.pstore.folders'), remove: config.get('collector.pstore.remove') } }
      : {}),
    spans: config.find('collector.spans'),
    spanRules: readSpanRules(config),
    messages: readMessages(config),
    events: toEvents(config.get('collector.tracefs.ship')),
    recorderMaxBytes: config.get('collector.recorder.size'),
    ...(telemetryEndpoint === undefined ? {} : { telemetry: { endpoint: telemetryEndpoint } }),
  };
}

function toEvents(ship: boolean | 'on-request'): NonNullable<CollectorOptions['events']> {
  return ship === 'on-request' ? 'keep' : ship ? 'ship' : 'off';
}

function toNetconsole(config: Config): CollectorOptions['netconsole'] {
  const listen = config.get('collector.netconsole.listen');
  const kernels = Object.entries(config.get('collector.netconsole.kernels'));
  if (listen.length === 0) return undefined;
  const others = Object.values(config.get('collector.streams'));
  const taken = new Set([0, ...[...kernels.map(([, sender]) => sender), ...others].map(({ kernel }) => kernel)]);
  return {
    listen,
    others: config.get('collector.netconsole.others'),
    kernels: kernels.map(([name, { from, kernel }]) => ({
      name,
      from,
      kernelId: kernel ?? (name === 'host' ? HOST_KERNEL_ID : takeNext(taken)),
    })),
  };
}

function takeNext(taken: Set<unknown>): number {
  let id = 1;
  while (taken.has(id)) id++;
  taken.add(id);
  return id;
}

/** What is asked for, and what the user's span rules need. */
function readEvents(config: Config): string[] {
  const ofRules = readSpanRules(config).flatMap(({ begin, end }) => begin.concat(end));
  return [...new Set([...config.get('collector.tracefs.events'), ...ofRules])];
}

function toSources(config: Config): SourceOptions {
  const bufferBytes = config.find('collector.tracefs.buffer');
  return {
    ...(config.get('collector.kmsg.enabled') ? { kmsg: { from: config.get('collector.kmsg.from') } } : {}),
    ...(config.get('collector.tracefs.enabled')
      ? {
          tracefs: {
            events: readEvents(config),
            probes: readProbes(config),
            clock: config.get('collector.tracefs.clock'),
            ...defined('bufferSizeKb', bufferBytes === undefined ? undefined : Math.ceil(bufferBytes / 1024)),
          },
        }
      : {}),
    console: Object.entries(config.get('collector.console')).map(([name, from]) => ({ name, from })),
    ...(config.get('collector.multikernel.enabled') ? { multikernel: {} } : {}),
    ...(config.get('collector.system.enabled') ? { system: { intervalMs: config.get('collector.system.interval') } } : {}),
  };
}

/** `{ name: value }`, or nothing where there is no value (exactOptionalPropertyTypes). */
function defined<Name extends string, Value>(name: Name, value: Value | undefined): { readonly [N in Name]?: Value } {
  return value === undefined ? {} : ({ [name]: value } as { [N in Name]: Value });
}
