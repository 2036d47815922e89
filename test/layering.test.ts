/** The folder table of STYLE as data: what each folder may import. Fails on anything else. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '..');

const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  base: [],
  model: ['base'],
  parsers: ['base', 'model'],
  export: ['base', 'model', 'parsers'],
  clock: ['base', 'model'],
  correlate: ['base', 'model', 'clock'],
  otlp: ['base', 'model'],
  store: ['base', 'model'],
  collector: ['base', 'model', 'parsers', 'clock', 'correlate', 'otlp'],
  hub: ['base', 'model', 'parsers', 'export', 'clock', 'correlate', 'otlp', 'store'],
  web: ['base'],
  cli: ['base', 'model', 'parsers', 'export', 'clock', 'correlate', 'otlp', 'store', 'collector', 'hub', 'deploy'],
  dashboards: ['base', 'store'],
  deploy: ['base'],
};
/** `import type` only: erased before anything runs. */
const MAY_IMPORT_TYPES: Readonly<Record<string, readonly string[]>> = { web: ['model', 'hub'] };

/** The collector is small and never loads the database; these packages belong to one folder each. */
const PACKAGE_OWNERS: Readonly<Record<string, readonly string[]>> = {
  chdb: ['store'],
  '@clickhouse/client': ['store'],
  preact: ['web'],
  uplot: ['web'],
  '@grafana/grafana-foundation-sdk': ['dashboards'],
  hono: ['hub', 'otlp'],
  '@hono/node-server': ['hub'],
  tail: ['collector'],
  yaml: ['cli'],
};

interface Import {
  readonly from: string;
  readonly specifier: string;
  readonly typeOnly: boolean;
}

function listSources(folder: string): string[] {
  if (!existsSync(join(ROOT, folder))) return [];
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|tsx|js)$/.test(name) && !name.split(sep).includes('dist'))
    .map((name) => join(folder, name));
}

function readImports(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const found: Import[] = [];
  for (const match of text.matchAll(/^(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm)) {
    found.push({ from: file, specifier: match[2] as string, typeOnly: match[1] !== undefined });
  }
  for (const match of text.matchAll(/\bimport\('([^']+)'\)/g)) found.push({ from: file, specifier: match[1] as string, typeOnly: false });
  return found;
}

function violationOf(found: Import): string | undefined {
  const folder = found.from.split(sep)[0] as string;
  if (found.specifier.startsWith('.')) {
    const target = relative(ROOT, resolve(ROOT, dirname(found.from), found.specifier)).split(sep)[0] as string;
    const allowed = [folder, ...(MAY_IMPORT[folder] ?? []), ...(found.typeOnly ? (MAY_IMPORT_TYPES[folder] ?? []) : [])];
    return allowed.includes(target) ? undefined : `${found.from} imports ${found.specifier}: ${folder}/ may not import ${target}/`;
  }
  const parts = found.specifier.split('/');
  const name = found.specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] as string);
  const owners = PACKAGE_OWNERS[name];
  return owners === undefined || owners.includes(folder) || found.typeOnly
    ? undefined
    : `${found.from} imports ${name}, which belongs to ${owners.join(', ')}/`;
}

test('layering: each folder imports only what the table allows', () => {
  const imports = Object.keys(MAY_IMPORT).flatMap((folder) => listSources(folder).flatMap(readImports));
  assert.ok(imports.length > 0, 'no imports found: the reader of this test is broken');
  assert.deepEqual(
    imports.map(violationOf).filter((found) => found !== undefined),
    [],
  );
});

test('layering: the rule itself refuses what it should', () => {
  assert.match(
    violationOf({ from: join('parsers', 'x.ts'), specifier: '../store/store.ts', typeOnly: false }) ?? '',
    /may not import store/,
  );
  assert.match(violationOf({ from: join('web', 'x.ts'), specifier: '../model/api.ts', typeOnly: false }) ?? '', /may not import model/);
  assert.equal(violationOf({ from: join('web', 'x.ts'), specifier: '../model/api.ts', typeOnly: true }), undefined);
  assert.match(violationOf({ from: join('collector', 'x.ts'), specifier: 'chdb', typeOnly: false }) ?? '', /belongs to store/);
});
