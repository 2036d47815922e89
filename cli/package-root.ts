/** Where this package lies: from sources one folder up, from `dist/cli` two. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { ensureDefined } from '../base/assert.ts';

export function findPackageRoot(): string {
  const candidates = ['..', '../..'].map((up) => join(import.meta.dirname, up));
  return ensureDefined(
    candidates.find((candidate) => existsSync(join(candidate, 'package.json'))),
    'package.json of mkscope',
  );
}

export function readVersion(): string {
  const { version } = JSON.parse(readFileSync(join(findPackageRoot(), 'package.json'), 'utf8')) as { version: string };
  return version;
}
