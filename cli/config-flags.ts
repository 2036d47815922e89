/** Flags that stand for a configuration key, in groups; which key each stands for is in one table. */
import { OperationalError } from '../base/errors.ts';
import type { ConfigInputs } from './config.ts';
import type { ConfigKey } from './config-keys.ts';
import type { OptionTable } from './flags.ts';

export const CONFIG_FLAG = {
  config: { type: 'string', value: 'PATH', help: 'configuration file (default ./mkscope.yaml, then /etc/mkscope/mkscope.yaml)' },
  data: { type: 'string', value: 'DIR', help: 'data folder (default ./data)' },
} as const satisfies OptionTable;

export const LISTEN_FLAGS = {
  page: { type: 'string', value: 'HOST:PORT', help: 'page and API (default 127.0.0.1:4319)' },
  otlp: { type: 'string', value: 'HOST:PORT', help: 'OTLP and segments (default 127.0.0.1:4318)' },
  clickhouse: { type: 'string', value: 'HOST:PORT', help: 'read-only ClickHouse interface (default 127.0.0.1:4320)' },
} as const satisfies OptionTable;

export const SOURCE_FLAGS = {
  'no-kmsg': { type: 'boolean', help: 'do not read /dev/kmsg' },
  'no-tracefs': { type: 'boolean', help: 'do not record trace events' },
  'no-system': { type: 'boolean', help: 'do not sample CPU, memory, PSI and interrupts' },
  events: { type: 'string', value: 'LIST', help: 'trace events: sched:sched_switch,irq, …' },
  clock: { type: 'string', value: 'NAME', help: 'trace clock (default mono)' },
  console: {
    type: 'string',
    multiple: true,
    value: 'NAME=PATH',
    help: 'follow a console: file, FIFO, unix:PATH, tcp:HOST:PORT, mktty:ID, or - (repeatable)',
  },
  stream: {
    type: 'string',
    multiple: true,
    value: 'NAME=ADDRESS',
    help: 'read another kernel through its guest forwarder: unix:PATH, tcp:HOST:PORT, unix-listen:, tcp-listen:, a device, a recording (repeatable)',
  },
  spool: { type: 'string', value: 'DIR', help: 'disk buffer (default: collector, under the data folder)' },
} as const satisfies OptionTable;

/** Which key a flag sets; `no-…` sets it to false. */
const FLAG_KEYS: Readonly<Record<string, ConfigKey>> = {
  data: 'data',
  page: 'hub.page',
  otlp: 'hub.otlp',
  clickhouse: 'hub.clickhouse',
  to: 'collector.to',
  root: 'collector.root',
  header: 'collector.headers',
  spool: 'collector.spool.dir',
  'kernel-id': 'kernel.id',
  'kernel-name': 'kernel.name',
  'no-kmsg': 'collector.kmsg.enabled',
  'no-tracefs': 'collector.tracefs.enabled',
  'no-system': 'collector.system.enabled',
  events: 'collector.tracefs.events',
  clock: 'collector.tracefs.clock',
  console: 'collector.console',
  stream: 'collector.streams',
};

/** The flags that were given, as configuration values. */
export function toFlagValues(
  flags: Readonly<Record<string, boolean | string | readonly string[] | undefined>>,
): NonNullable<ConfigInputs['flags']> {
  const values: Partial<Record<ConfigKey, { flag: string; value: unknown }>> = {};
  for (const [name, given] of Object.entries(flags)) {
    const key = FLAG_KEYS[name];
    if (key === undefined || given === undefined || given === false) continue;
    if (typeof given === 'object') {
      if (given.length > 0) values[key] = { flag: `--${name}`, value: toPairs(name, given) };
    } else values[key] = { flag: `--${name}`, value: given === true ? false : given };
  }
  return values;
}

function toPairs(name: string, given: readonly string[]): Record<string, string> {
  const pairs: Record<string, string> = {};
  for (const item of given) {
    const pair = splitPairs(item);
    if (pair === undefined)
      throw new OperationalError(
        'E_ARGS',
        `--${name} ${item} is not NAME=VALUE`,
        `for example --${name} ${EXAMPLES[name] ?? 'name=value'}`,
      );
    Object.assign(pairs, pair);
  }
  return pairs;
}

export function splitPairs(written: string): Record<string, string> | undefined {
  const pairs: Record<string, string> = {};
  for (const item of written.split(',').filter((part) => part.trim() !== '')) {
    const at = item.indexOf('=');
    if (at <= 0 || at === item.length - 1) return undefined;
    pairs[item.slice(0, at).trim()] = item.slice(at + 1).trim();
  }
  return pairs;
}

const EXAMPLES: Readonly<Record<string, string>> = {
  console: 'spawn1=/dev/ttyS1',
  stream: 'spawn1=unix:/run/spawn1.sock',
  header: 'authorization="Bearer …"',
};

/** The given flags as arguments again, for a child that takes the same ones. */
export function toArguments(
  flags: Readonly<Record<string, boolean | string | readonly string[] | undefined>>,
  names: readonly string[],
): string[] {
  return names.flatMap((name) => {
    const given = flags[name];
    if (given === undefined || given === false) return [];
    if (given === true) return [`--${name}`];
    return (typeof given === 'string' ? [given] : given).map((value) => `--${name}=${value}`);
  });
}
