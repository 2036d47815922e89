/** `node dashboards/build.ts` writes generated/*.json; with `--check` it writes nothing and fails when one is stale. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { DASHBOARDS } from './index.ts';

const FOLDER = join(import.meta.dirname, 'generated');

/** Names of the generated files that are missing, differ, or belong to no dashboard any more. */
export function findStale(): string[] {
  const wanted = renderAll();
  const names = new Set([...wanted.keys(), ...listGenerated()]);
  return [...names].filter((name) => wanted.get(name) !== readGenerated(name)).sort();
}

function renderAll(): Map<string, string> {
  return new Map(Object.entries(DASHBOARDS).map(([name, build]) => [`${name}.json`, `${JSON.stringify(build(), undefined, 2)}\n`]));
}

function listGenerated(): string[] {
  mkdirSync(FOLDER, { recursive: true });
  return readdirSync(FOLDER).filter((name) => name.endsWith('.json'));
}

function readGenerated(name: string): string | undefined {
  return listGenerated().includes(name) ? readFileSync(join(FOLDER, name), 'utf8') : undefined;
}

function writeAll(): void {
  const wanted = renderAll();
  for (const name of listGenerated()) if (!wanted.has(name)) rmSync(join(FOLDER, name));
  for (const [name, text] of wanted) writeFileSync(join(FOLDER, name), text);
  console.log(`dashboards: ${wanted.size} written to dashboards/generated`);
}

if (import.meta.main) {
  const stale = findStale();
  if (!process.argv.includes('--check')) writeAll();
  else if (stale.length === 0) console.log('dashboards: up to date');
  else {
    console.error(`dashboards: stale: ${stale.join(', ')}; run npm run dashboards`);
    process.exitCode = 1;
  }
}
