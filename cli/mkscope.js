#!/usr/bin/env node
// Starts mkscope on a Node that can run it. This file is plain, old JavaScript on purpose: an old Node must get far enough to
// hand over to the newer one that the `node` package installs beside mkscope, or to say what is missing.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const LEAST_MAJOR = 24;
const here = dirname(fileURLToPath(import.meta.url));

if (Number(process.versions.node.split('.')[0]) >= LEAST_MAJOR) {
  if (nodeModule.enableCompileCache) nodeModule.enableCompileCache();
  // Node strips types everywhere but under node_modules: an installed package runs what `npm run build` wrote.
  const isInstalled = here.split(/[\\/]/).includes('node_modules');
  const useSources = !isInstalled && existsSync(join(here, 'main.ts'));
  await (useSources ? import('./main.ts') : import(new URL('../dist/cli/main.js', import.meta.url).href));
} else {
  const binary = findNewerNode(here);
  if (binary === undefined) {
    process.stderr.write(
      'mkscope: Node ' +
        process.versions.node +
        ' is too old, mkscope needs ' +
        LEAST_MAJOR +
        ' or newer [E_NODE_VERSION]\n' +
        '  hint: install a current Node (https://nodejs.org), or run `npm ci` in the mkscope folder, which brings one\n',
    );
    process.exit(1);
  }
  const child = spawn(binary, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  // A terminal signals both processes; what is sent to this one alone is passed on.
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  process.on('SIGINT', () => {});
  child.on('exit', (code, signal) => process.exit(code === null ? 128 + (signal === 'SIGINT' ? 2 : 15) : code));
}

/** The `node` package's binary: in the clone's node_modules, or beside mkscope where a package manager hoisted it. */
function findNewerNode(from) {
  const candidates = [join(from, '../node_modules/node/bin/node'), join(from, '../../node/bin/node')];
  return candidates.find((path) => existsSync(path));
}
