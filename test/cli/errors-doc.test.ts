import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { test } from 'node:test';

import { ERROR_CODES } from '../../base/errors.ts';

const ROOT = join(import.meta.dirname, '../..');
const SOURCE_FOLDERS = ['base', 'model', 'parsers', 'clock', 'correlate', 'otlp', 'store', 'collector', 'hub', 'cli', 'deploy'];

test('errors: docs/errors.md has each code with its meaning and what to do, and no other', () => {
  const text = readFileSync(join(ROOT, 'docs/errors.md'), 'utf8');
  const rows = [...text.matchAll(/^\| `(E_[A-Z_]+)` \| (.+?) \| (.+) \|$/gm)];
  assert.deepEqual(Object.fromEntries(rows.map(([, code, meaning]) => [code, meaning])), { ...ERROR_CODES });
  for (const [, code, , remedy] of rows) assert.ok((remedy ?? '').length > 10, `${code} has no remedy`);
});

test('errors: each code of the table is used somewhere', () => {
  const files = SOURCE_FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(ts|js)$/.test(name) && !`${folder}${sep}${name}`.endsWith(join('base', 'errors.ts')))
      .map((name) => readFileSync(join(ROOT, folder, name), 'utf8')),
  );
  const unused = Object.keys(ERROR_CODES).filter((code) => !files.some((text) => text.includes(code)));
  assert.deepEqual(unused, []);
});
