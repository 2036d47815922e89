/** The configuration that is in force here, every value with where it comes from. */
import { existsSync } from 'node:fs';
import { CONFIG_PATHS, loadConfig } from './config.ts';
import { CONFIG_KEY_NAMES, CONFIG_KEYS, toEnvironmentName } from './config-keys.ts';
import type { ConfigKey } from './config-keys.ts';
import { suggest } from './nearest.ts';
import { readMessages, readSpanRules } from './settings.ts';
import { renderTable } from './table.ts';
import { createPaint, escapeLine, print, printLine, terminalWidth } from './terminal.ts';
import type { CheckFlags } from './commands/check.ts';

/** Variables that are no configuration keys. */
const OTHER_VARIABLES = ['MKSCOPE_LOG', 'MKSCOPE_HUB', 'MKSCOPE_TOKEN', 'MKSCOPE_GOLDEN'];

export async function checkConfig(path: string | undefined, flags: CheckFlags): Promise<number> {
  const config = loadConfig({ path: path ?? flags.config, env: process.env });
  // What it names is part of it.
  readMessages(config);
  readSpanRules(config);
  const rows = CONFIG_KEY_NAMES.map((name) => ({ name, value: show(name, config.writtenOf(name)), origin: config.originOf(name) }));
  if (flags.json) {
    const values = Object.fromEntries(rows.map(({ name, value, origin }) => [name, { value, origin }]));
    await printLine(JSON.stringify({ file: config.path, values }, undefined, 2));
    return 0;
  }
  const paint = createPaint(process.stdout);
  const table = rows.map((row) => [row.name, row.origin, escapeLine(row.value)]);
  await print(
    renderTable([{ title: 'KEY' }, { title: 'FROM' }, { title: 'VALUE' }], table, {
      paint,
      width: terminalWidth(process.stdout),
      style: (cell, row, column) => (column === 1 && rows[row]?.origin === 'default' ? paint('dim', cell) : cell),
    }),
  );
  for (const warning of findUnknownVariables()) await printLine(`${paint('yellow', 'warn')}  ${warning}`);
  const shadowed = CONFIG_PATHS.filter((candidate) => candidate !== config.path && existsSync(candidate));
  if (config.path !== undefined && shadowed.length > 0) await printLine(paint('dim', `${shadowed.join(', ')} is there too, and not read`));
  await printLine(`${paint('green', 'ok')}  ${config.path ?? `no file (${CONFIG_PATHS.join(', ')}): defaults`}`);
  return 0;
}

function show(name: ConfigKey, value: unknown): string {
  const key = CONFIG_KEYS[name];
  if (value === undefined) return 'unset' in key ? `(${key.unset})` : '';
  if ('secret' in key) return isEmpty(value) ? '(none)' : '(set, not shown)';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

/** `MKSCOPE_HUB_PGAE` is most likely a typing error, and nothing else would tell. */
function findUnknownVariables(): string[] {
  const known = [...OTHER_VARIABLES, ...CONFIG_KEY_NAMES.map(toEnvironmentName)];
  return Object.keys(process.env)
    .filter((name) => name.startsWith('MKSCOPE_') && !known.includes(name))
    .map((name) => `the environment variable ${name} means nothing to mkscope${suggest(name, known)}`);
}
