/**
 * What a command loads before it runs. `mkscope import --help` took 0.9 s when it loaded all that an import needs, and half a
 * millisecond is what each module costs with a warm compile cache.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, symlinkSync } from 'node:fs';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { loadedWith } from '../support/loaded-with.ts';
import { withFolder } from '../support/run-cli.ts';

const ROOT = join(import.meta.dirname, '../..');
const MOST_MODULES = 20;
/** Packages that are needed to show a command's table. */
const LIGHT = /^(?:node:|split2$)/;

function listCommands(): string[] {
  const folder = join(ROOT, 'cli/commands');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name));
}

test('start: the file of a command loads its table, and what runs it is imported by run', () => {
  const commands = listCommands();
  assert.ok(commands.length > 20, `${commands.length} commands found: the reader of this test is broken`);
  for (const command of commands) {
    const loaded = [...loadedWith(command)];
    const modules = loaded.filter((path) => path.startsWith(ROOT)).map((path) => relative(ROOT, path));
    const name = relative(ROOT, command);
    assert.ok(modules.length <= MOST_MODULES, `${name} loads ${modules.length} modules: ${modules.join(', ')}`);
    assert.deepEqual(
      loaded.filter((path) => !path.startsWith(ROOT) && !LIGHT.test(path)),
      [],
      `packages that ${name} loads`,
    );
  }
});

test('start: what a command runs is more than it may load with its table', () => {
  const loaded = [...loadedWith(join(ROOT, 'cli/import-files.ts'))];
  assert.ok(loaded.length > 2 * MOST_MODULES && loaded.includes('zod'), loaded.join(', '));
  // Not before there is a hub to ask.
  for (const late of ['node:http', '@clickhouse/client']) assert.ok(!loaded.includes(late), late);
});

test('start: the launcher starts one Node, the one beside mkscope, also through a link', () =>
  withFolder(async (folder) => {
    const link = join(folder, 'mkscope');
    symlinkSync(join(ROOT, 'cli/mkscope'), link);
    const { stdout, stderr, status } = spawnSync(link, ['check', '--help'], {
      encoding: 'utf8',
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    });
    assert.equal(stderr, '');
    assert.equal(status, 0);
    assert.match(stdout, /^mkscope check: /);
  }));
