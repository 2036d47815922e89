/**
 * Every configuration key, in one table: its kind, its default, and what it is for. The YAML path is the name; the environment
 * variable follows from it (`hub.page` → MKSCOPE_HUB_PAGE). `docs/config.md` is checked against this table.
 */
import { z } from 'zod';

import { DEFAULT_TRACE_EVENTS } from '../collector/options.ts';
import { CLOCK_DOMAINS } from '../model/time.ts';
import {
  address,
  addresses,
  choice,
  count,
  durationMs,
  flag,
  list,
  names,
  senders,
  shipping,
  sizeBytes,
  streams,
  text,
  url,
} from './config-kinds.ts';

const MIB = 2 ** 20;
const TIB = 2 ** 40;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** Clocks that a tracefs instance can run on. */
export const TRACE_CLOCKS = CLOCK_DOMAINS.filter((name) => name !== 'unix' && name !== 'printk');

/** Whole days, since retention drops whole days. */
const days = durationMs(DAY_MS, 3650 * DAY_MS).refine((ms) => ms % DAY_MS === 0, 'must be whole days: 7d, 4w');

/** `default` is written as a person would write it in the file; undefined = not set, with what happens then in `unset`. */
interface Key<Value> {
  readonly kind: z.ZodType<Value>;
  readonly default: unknown;
  readonly unset?: string;
  readonly about: string;
  /** Never shown. */
  readonly secret?: true;
}

function key<Value>(kind: z.ZodType<Value>, fallback: unknown, about: string, more: Pick<Key<Value>, 'unset' | 'secret'> = {}): Key<Value> {
  return { kind, default: fallback, about, ...more };
}

const token = z.strictObject({
  token: text.optional(),
  file: text.optional(),
  grants: choice(['ingest', 'read']),
  kernel: z.number().int().min(0).optional(),
  machine: text.optional(),
});
const tokens = z
  .array(token, 'must be a list of tokens')
  .refine((all) => all.every((one) => (one.token === undefined) !== (one.file === undefined)), 'each token needs either "token" or "file"');

export const CONFIG_KEYS = {
  data: key(text, './data', 'folder of the store and of the collector’s disk buffer'),
  messages: key(list, [], 'files of your own kernel messages, beside those of the catalogue (docs/messages.md)'),
  ikc: key(list, [], 'files of your own packs of messages between kernels (docs/ikc.md)'),
  spans: key(list, [], 'files of your own span rules (docs/spans.md)'),

  'hub.page': key(address, '127.0.0.1:4319', 'address of the page and the API'),
  'hub.otlp': key(address, '127.0.0.1:4318', 'address that takes OTLP and segments'),
  'hub.clickhouse': key(address, '127.0.0.1:4320', 'address of the read-only ClickHouse interface, for Grafana and any ClickHouse client'),
  'hub.tokens': key(tokens, [], 'bearer tokens; needed off loopback', { secret: true }),
  'hub.server.url': key(url, undefined, 'a ClickHouse server that stores the rows', { unset: 'the embedded engine' }),
  'hub.server.username': key(text, undefined, 'its user', { unset: 'default' }),
  'hub.server.password': key(text, undefined, 'the password of that user', { unset: 'none', secret: true }),
  'hub.server.database': key(text, undefined, 'its database', { unset: 'default' }),
  'hub.spool': key(
    sizeBytes(16 * MIB, TIB),
    '1GiB',
    'most bytes that wait to be loaded into ClickHouse; beyond it senders are told to retry',
  ),
  'hub.query_timeout': key(durationMs(1000, HOUR_MS), '30s', 'how long a query may run'),
  'hub.forward.to': key(
    url,
    undefined,
    'OTLP/HTTP address that every span and latency histogram is sent on to: Jaeger, Tempo, a Collector',
    {
      unset: 'nowhere',
    },
  ),
  'hub.forward.headers': key(names, {}, 'headers of these requests, such as authorization', { secret: true }),
  'hub.forward.compression': key(choice(['none', 'gzip', 'zstd']), 'gzip', 'compression of these requests'),
  'hub.forward.ca': key(text, undefined, 'PEM file of the authority to trust there', { unset: 'the system’s' }),
  'hub.recorder.window': key(durationMs(1000, 600_000), '5s', 'how much to either side of an incident is asked of flight recorders'),
  'hub.retention.logs': key(days, '30d', 'how long logs are kept'),
  'hub.retention.quiet_logs': key(days, undefined, 'how long logs of level info and debug are kept', { unset: 'as the other logs' }),
  'hub.retention.traces': key(days, '30d', 'how long spans are kept'),
  'hub.retention.metrics': key(days, '30d', 'how long metrics are kept'),
  'hub.retention.events': key(days, '7d', 'how long trace events are kept'),
  'hub.retention.gaps': key(days, '90d', 'how long gaps, the record of what was lost, and incidents are kept'),

  'machine.id': key(text, undefined, 'id of this machine, the same for all its kernels', { unset: '/etc/machine-id' }),
  'machine.name': key(text, undefined, 'name of this machine', { unset: 'the host name' }),
  'kernel.id': key(count(0, 65_535), undefined, 'id of this kernel', { unset: 'discovered; 0 on an ordinary machine' }),
  'kernel.name': key(text, undefined, 'name of this kernel', { unset: 'discovered; "host" on an ordinary machine' }),

  'collector.root': key(text, '/', 'folder that stands for / where it is asked who this kernel is and where its consoles are'),
  'collector.to': key(url, undefined, 'OTLP/HTTP address to send to', {
    unset: 'OTEL_EXPORTER_OTLP_ENDPOINT, else the hub on this machine',
  }),
  'collector.headers': key(names, {}, 'headers of each request, such as authorization (besides OTEL_EXPORTER_OTLP_HEADERS)', {
    secret: true,
  }),
  'collector.compression': key(choice(['none', 'gzip', 'zstd']), undefined, 'compression of what is sent', {
    unset: 'OTEL_EXPORTER_OTLP_COMPRESSION, else gzip',
  }),
  'collector.tls.ca': key(text, undefined, 'PEM file of the authority to trust', {
    unset: 'OTEL_EXPORTER_OTLP_CERTIFICATE, else the system’s',
  }),
  'collector.tls.cert': key(text, undefined, 'PEM file of the client certificate', { unset: 'OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE' }),
  'collector.tls.key': key(text, undefined, 'PEM file of its key', { unset: 'OTEL_EXPORTER_OTLP_CLIENT_KEY' }),
  'collector.spool.dir': key(text, undefined, 'folder of the disk buffer', { unset: '"collector" under the data folder' }),
  'collector.spool.size': key(sizeBytes(MIB, TIB), '512MiB', 'most bytes of the disk buffer; beyond it the oldest go, severe logs last'),
  'collector.kmsg.enabled': key(flag, true, 'read /dev/kmsg'),
  'collector.kmsg.from': key(
    choice(['checkpoint', 'start', 'now']),
    'checkpoint',
    'where to begin: where the last run ended, with all that the kernel still holds, or with what comes',
  ),
  'collector.tracefs.enabled': key(flag, true, 'record trace events'),
  'collector.tracefs.events': key(list, DEFAULT_TRACE_EVENTS, 'which events: system:name, system:*, or system'),
  'collector.tracefs.clock': key(choice(TRACE_CLOCKS), 'mono', 'trace clock of our own instance'),
  'collector.tracefs.buffer': key(sizeBytes(64 * 1024, 1024 * MIB), undefined, 'ring buffer of each CPU', {
    unset: '64MiB over all CPUs, 512KiB to 4MiB each',
  }),
  'collector.tracefs.ship': key(
    shipping,
    true,
    'send all trace events to the hub; on-request = keep them in the flight recorder until an incident or a person asks; false = only the spans made of them',
  ),
  'collector.recorder.size': key(
    sizeBytes(MIB, TIB),
    '256MiB',
    'most bytes of the flight recorder, all kernels together; beyond it the oldest go',
  ),
  'collector.ikc': key(
    list,
    ['multikernel'],
    'probes for messages between kernels: packs, as multikernel, multikernel/g1, popcorn; [] = none; not set = also all of your own',
  ),
  'collector.spans': key(list, undefined, 'names of the span rules that run over trace events', { unset: 'all' }),
  'collector.console': key(names, {}, 'consoles to follow: name → file, FIFO, unix:PATH, tcp:HOST:PORT, mktty:ID, or - for standard input'),
  'collector.streams': key(
    streams,
    {},
    'kernels to read through a guest forwarder: name → address, or { from: address, kernel: id, console: address }',
  ),
  'collector.netconsole.listen': key(addresses, [], 'UDP addresses that take netconsole of other kernels, such as 10.77.0.1:6666'),
  'collector.netconsole.kernels': key(
    senders,
    {},
    'who sends netconsole: name → IP address, or { from: address, kernel: id }; ids left out count from 1, "host" is 0',
  ),
  'collector.netconsole.others': key(
    choice(['refuse', 'accept']),
    'refuse',
    'packets of other senders: counted and refused, or taken as kernels named by their address',
  ),
  'collector.pstore.enabled': key(flag, true, 'hand on the crash records that earlier boots of this kernel left'),
  'collector.pstore.folders': key(list, ['/sys/fs/pstore', '/var/lib/systemd/pstore'], 'where they are'),
  'collector.pstore.remove': key(flag, false, 'delete a crash record once it is in the disk buffer'),
  'collector.multikernel.enabled': key(
    flag,
    true,
    'follow the instances of a Multikernel host: their states and resources; nothing on other machines',
  ),
  'collector.multikernel.consoles': key(
    choice(['new', 'all', 'off']),
    'new',
    'read the consoles (mktty) of instances that are loaded or started from now on, of all, or of none; the latest reader of a console takes it',
  ),
  'collector.system.enabled': key(flag, true, 'sample CPU, memory, PSI and interrupts'),
  'collector.system.interval': key(durationMs(100, HOUR_MS), '1s', 'how often the system is sampled'),
  'collector.telemetry.endpoint': key(url, undefined, 'OTLP/HTTP address for the collector’s own spans', { unset: 'it makes none' }),
} as const;

export type ConfigKey = keyof typeof CONFIG_KEYS;
export type ConfigValue<Name extends ConfigKey> = (typeof CONFIG_KEYS)[Name] extends Key<infer Value> ? Value : never;

export const CONFIG_KEY_NAMES = Object.keys(CONFIG_KEYS) as readonly ConfigKey[];

/** The environment variable of a key. */
export function toEnvironmentName(name: string): string {
  return `MKSCOPE_${name.replaceAll('.', '_').toUpperCase()}`;
}
