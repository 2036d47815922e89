import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { bundleInside } from '../../../deploy/lab/inside-programs.ts';
import { withFolder } from '../../support/run-cli.ts';

const PACKAGE = join(import.meta.dirname, '../../../package.json');

test('inside: what is packed for a guest starts there without any package, and reads a configuration', () =>
  withFolder(async (folder) => {
    await bundleInside(join(folder, 'cli'));
    copyFileSync(PACKAGE, join(folder, 'package.json'));
    writeFileSync(join(folder, 'mkscope.yaml'), 'collector:\n  tracefs:\n    clock: nonsense\n');
    const run = (...args: string[]) =>
      spawnSync(process.execPath, [join(folder, 'cli/main.js'), ...args], { encoding: 'utf8', cwd: folder, env: { PATH: '/usr/bin' } });
    const help = run('collect', '--help');
    assert.deepEqual([help.status, help.stderr], [0, '']);
    // Loads all that a collector runs, and stops before it reads the kernel.
    const refused = run('collect', '--config', 'mkscope.yaml');
    assert.match(
      refused.stderr,
      /^mkscope: mkscope\.yaml:3: collector\.tracefs\.clock "nonsense" must be one of: [\s\S]*\[E_CONFIG_VALUE\]/,
    );
  }));
