/** Golden files: one readable line per event; `npm run golden` rewrites them and the diff is the review. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const UPDATE = process.env['MKSCOPE_GOLDEN'] === 'update';
const FOLDER = join(import.meta.dirname, '..', 'golden');

/** Compares `lines` with `test/golden/<name>.txt`. */
export function assertGolden(name: string, lines: readonly string[]): void {
  const path = join(FOLDER, `${name}.txt`);
  const text = `${lines.join('\n')}\n`;
  if (UPDATE) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return;
  }
  assert.ok(existsSync(path), `no golden file ${path}: run npm run golden and review it`);
  assert.equal(text, readFileSync(path, 'utf8'), `differs from test/golden/${name}.txt; npm run golden rewrites it`);
}
