/** What is in force: flags over environment over file over defaults, each value with where it came from. */
import { existsSync } from 'node:fs';
import { inspect } from 'node:util';

import { OperationalError } from '../base/errors.ts';
import { readConfigFile } from './config-file.ts';
import type { FileValue } from './config-file.ts';
import { CONFIG_KEY_NAMES, CONFIG_KEYS, toEnvironmentName } from './config-keys.ts';
import type { ConfigKey, ConfigValue } from './config-keys.ts';

export const CONFIG_PATHS = ['./mkscope.yaml', '/etc/mkscope/mkscope.yaml'] as const;

export interface ConfigInputs {
  /** `--config`; else the first of CONFIG_PATHS that exists. */
  readonly path?: string | undefined;
  /** Values of flags as text, by key. */
  readonly flags?: Readonly<Partial<Record<ConfigKey, FlagValue | undefined>>>;
  readonly env?: NodeJS.ProcessEnv;
}

export interface FlagValue {
  /** As typed: `--page`. */
  readonly flag: string;
  readonly value: unknown;
}

interface Found {
  readonly value: unknown;
  /** As the person wrote it: `30d`, where the value is in ms. */
  readonly written: unknown;
  /** `--page`, `MKSCOPE_HUB_PAGE`, `./mkscope.yaml:3`, `default`. */
  readonly origin: string;
}

export class Config {
  /** The file that was read; undefined = none was there. */
  readonly path: string | undefined;
  readonly #values: ReadonlyMap<ConfigKey, Found>;

  constructor(path: string | undefined, values: ReadonlyMap<ConfigKey, Found>) {
    this.path = path;
    this.#values = values;
  }

  get<Name extends ConfigKey>(name: Name): ConfigValue<Name> {
    return this.#values.get(name)?.value as ConfigValue<Name>;
  }

  /** The value of a key that has no default, or undefined. */
  find<Name extends ConfigKey>(name: Name): ConfigValue<Name> | undefined {
    return this.#values.get(name)?.value as ConfigValue<Name> | undefined;
  }

  writtenOf(name: ConfigKey): unknown {
    return this.#values.get(name)?.written;
  }

  originOf(name: ConfigKey): string {
    return this.#values.get(name)?.origin ?? 'default';
  }
}

/** Throws E_CONFIG_* (and E_ARGS for a flag's value) with the place of the first wrong value. */
export function loadConfig(inputs: ConfigInputs): Config {
  const path = inputs.path ?? CONFIG_PATHS.find((candidate) => existsSync(candidate));
  const file = path === undefined ? new Map<string, FileValue>() : readConfigFile(path, CONFIG_KEY_NAMES);
  const values = new Map<ConfigKey, Found>();
  for (const name of CONFIG_KEY_NAMES) {
    const found = findValue(name, inputs, file, path);
    if (found.written !== undefined) values.set(name, { ...found, value: checkValue(name, found) });
  }
  return new Config(path, values);
}

function findValue(
  name: ConfigKey,
  inputs: ConfigInputs,
  file: ReadonlyMap<string, FileValue>,
  path: string | undefined,
): Omit<Found, 'value'> {
  const flag = inputs.flags?.[name];
  if (flag?.value !== undefined) return { written: flag.value, origin: flag.flag };
  const environmentName = toEnvironmentName(name);
  const fromEnvironment = inputs.env?.[environmentName];
  if (fromEnvironment !== undefined && fromEnvironment !== '') return { written: fromEnvironment, origin: environmentName };
  const fromFile = file.get(name);
  if (fromFile?.value !== undefined) return { written: fromFile.value, origin: `${path}:${fromFile.line}` };
  return { written: CONFIG_KEYS[name].default, origin: 'default' };
}

function checkValue(name: ConfigKey, found: Omit<Found, 'value'>): unknown {
  const key = CONFIG_KEYS[name];
  const checked = key.kind.safeParse(found.written);
  if (checked.success) return checked.data;
  const [issue] = checked.error.issues;
  const inside = issue === undefined || issue.path.length === 0 ? '' : ` (at ${issue.path.join('.')})`;
  const written = 'secret' in key ? '' : ` ${describe(found.written)}`;
  const isFlag = found.origin.startsWith('--');
  throw new OperationalError(
    isFlag ? 'E_ARGS' : 'E_CONFIG_VALUE',
    `${found.origin}: ${isFlag ? 'the value' : name}${written} ${issue?.message ?? 'is not valid'}${inside}`,
    `${name}: ${key.about}; docs/config.md has an example`,
  );
}

/** On one line and short, whatever YAML made of it: an alias can even make a value that holds itself. */
function describe(value: unknown): string {
  return typeof value === 'string'
    ? JSON.stringify(value.slice(0, 100))
    : inspect(value, { depth: 1, maxArrayLength: 4, maxStringLength: 40, breakLength: Infinity });
}
