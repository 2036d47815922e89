/** Flags of a command: a typed table in, typed values out; a wrong flag gets the nearest right one. */
import { parseArgs } from 'node:util';

import { OperationalError } from '../base/errors.ts';
import { suggest } from './nearest.ts';

export interface Option {
  readonly type: 'boolean' | 'string';
  readonly short?: string;
  readonly multiple?: boolean;
  /** Name of the value in the help: `URL`. */
  readonly value?: string;
  readonly help: string;
}
export type OptionTable = Readonly<Record<string, Option>>;

export type FlagValues<Options extends OptionTable> = {
  readonly [Name in keyof Options]: Options[Name] extends { readonly type: 'boolean' }
    ? boolean
    : Options[Name] extends { readonly multiple: true }
      ? readonly string[]
      : string | undefined;
};

/** Parses what stands after the command's name; throws E_ARGS on anything that the table does not have. */
export function parseFlags<Options extends OptionTable>(
  command: string,
  options: Options,
  argv: readonly string[],
  positionals: { readonly least: number; readonly most: number } = { least: 0, most: 0 },
): { readonly flags: FlagValues<Options>; readonly positionals: readonly string[] } {
  const { tokens } = parseArgs({
    args: [...argv],
    options: Object.fromEntries(Object.entries(options).map(([name, option]) => [name, toParseOption(option)])),
    strict: false,
    tokens: true,
    allowPositionals: true,
  });
  const found: Record<string, boolean | string | string[] | undefined> = {};
  for (const [name, option] of Object.entries(options)) {
    found[name] = option.type === 'boolean' ? false : option.multiple === true ? [] : undefined;
  }
  const rest: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') rest.push(token.value);
    if (token.kind !== 'option') continue;
    const option = Object.hasOwn(options, token.name) ? options[token.name] : undefined;
    if (option === undefined) throw unknownOption(command, token.rawName, options);
    const value = checkValue(command, token.rawName, option, token.value, options);
    const before = found[token.name];
    found[token.name] = Array.isArray(before) ? [...before, value as string] : value;
  }
  checkPositionals(command, rest, positionals);
  return { flags: found as FlagValues<Options>, positionals: rest };
}

function toParseOption(option: Option): { type: 'boolean' | 'string'; short?: string; multiple?: boolean } {
  return {
    type: option.type,
    ...(option.short === undefined ? {} : { short: option.short }),
    ...(option.multiple === undefined ? {} : { multiple: option.multiple }),
  };
}

function checkValue(command: string, rawName: string, option: Option, value: string | undefined, options: OptionTable): boolean | string {
  if (option.type === 'boolean') {
    if (value === undefined) return true;
    throw new OperationalError('E_ARGS', `${rawName} takes no value, but has "${value}"`, helpHint(command));
  }
  // `--kernel --json`: the value was forgotten, `--json` is not it.
  const isOption = value !== undefined && value.startsWith('--') && Object.hasOwn(options, value.slice(2));
  if (value === undefined || isOption) {
    throw new OperationalError('E_ARGS', `${rawName} needs a value: ${rawName} ${option.value ?? 'VALUE'}`, helpHint(command));
  }
  return value;
}

function unknownOption(command: string, rawName: string, options: OptionTable): OperationalError {
  const typed = rawName.replace(/^-+/, '');
  const known = rawName.startsWith('--') ? Object.keys(options) : [];
  const nearest = suggest(typed, known).replace('"', '"--');
  return new OperationalError('E_ARGS', `mkscope ${command} has no option ${rawName}${nearest}`, helpHint(command));
}

function checkPositionals(command: string, found: readonly string[], wanted: { readonly least: number; readonly most: number }): void {
  if (found.length > wanted.most) {
    const extra = found[wanted.most] as string;
    throw new OperationalError('E_ARGS', `mkscope ${command} does not take the argument "${extra}"`, helpHint(command));
  }
  if (found.length < wanted.least) {
    throw new OperationalError('E_ARGS', `mkscope ${command} needs ${wanted.least - found.length} more argument(s)`, helpHint(command));
  }
}

function helpHint(command: string): string {
  return `mkscope ${command} --help shows what it takes`;
}

/** A flag that must be a whole number from `least` to `most`. */
export function toCount(option: string, text: string | undefined, fallback: number, least = 1, most = Number.MAX_SAFE_INTEGER): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  const bounds = most === Number.MAX_SAFE_INTEGER ? `from ${least} up` : `from ${least} to ${most}`;
  throw new OperationalError('E_ARGS', `--${option} ${text} is not a whole number ${bounds}`, `for example --${option} ${fallback}`);
}

/** A flag that must be one of a few words. */
export function toChoice<Word extends string>(option: string, text: string | undefined, words: readonly Word[], fallback: Word): Word {
  if (text === undefined) return fallback;
  const found = words.find((word) => word === text);
  if (found !== undefined) return found;
  throw new OperationalError('E_ARGS', `--${option} ${text} is not known${suggest(text, words)}`, `one of: ${words.join(', ')}`);
}
