/**
 * Node and mkscope for a guest that runs a collector of its own: this process's own Node without its symbol table, the shared
 * libraries that it needs, and mkscope in one folder of JavaScript, since an emulated CPU would strip the types of some hundred
 * files in tens of seconds.
 *
 *   <cache>/inside-<hash>/node              116 MB
 *   <cache>/inside-<hash>/mkscope/          package.json, cli/main.js and its chunks
 *   <cache>/inside-<hash>/lib/…             loader and libraries under the paths that node looks for
 */
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { messageOf, OperationalError } from '../../base/errors.ts';
import { runCommand } from './run-command.ts';

const PACKAGE_DIR = join(import.meta.dirname, '../..');
const SOURCE_FOLDERS = ['base', 'model', 'parsers', 'export', 'clock', 'correlate', 'otlp', 'store', 'collector', 'hub', 'cli', 'deploy'];
/** Of a hub only: native, and never loaded by a collector. */
const LEFT_OUT = ['chdb', '@clickhouse/client', 'esbuild'];
/** `require` of packages that are no modules, under a name that no module of ours imports. */
const BANNER = `import { createRequire as requireOfPackages } from 'node:module'; const require = requireOfPackages(import.meta.url);`;

/** Everything that decides what comes out, but Node itself. */
export function listInsideInputs(): string[] {
  const sources = SOURCE_FOLDERS.flatMap((folder) =>
    readdirSync(join(PACKAGE_DIR, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(PACKAGE_DIR, folder, name)),
  );
  return [...sources, join(PACKAGE_DIR, 'package-lock.json')];
}

/** Fills the folder; throws E_LAB_BUILD. */
export async function buildInside(folder: string, signal?: AbortSignal): Promise<void> {
  const options = { code: 'E_LAB_BUILD', hint: 'strip and ldd come with binutils and libc-bin', signal } as const;
  await runCommand('strip', ['-o', join(folder, 'node'), process.execPath], options);
  for (const path of readLibraries(await runCommand('ldd', [process.execPath], options))) {
    const target = join(folder, 'lib', path);
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(path, target);
  }
  await bundleInside(join(folder, 'mkscope/cli'));
  cpSync(join(PACKAGE_DIR, 'package.json'), join(folder, 'mkscope/package.json'));
}

/** Paths out of `libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x…)` and of the loader's line, which has no arrow. */
function readLibraries(text: string): string[] {
  return [...text.matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm)].map(([, path]) => path as string);
}

/** All commands as JavaScript; `main.js` is to be run with `package.json` above it. Throws E_LAB_BUILD. */
export async function bundleInside(folder: string): Promise<void> {
  try {
    const { build } = await import('esbuild');
    await build({
      absWorkingDir: PACKAGE_DIR,
      entryPoints: ['cli/main.ts'],
      outdir: folder,
      bundle: true,
      splitting: true,
      format: 'esm',
      platform: 'node',
      target: `node${process.versions.node.split('.')[0]}`,
      external: LEFT_OUT,
      banner: { js: BANNER },
      logLevel: 'silent',
    });
  } catch (error) {
    throw new OperationalError(
      'E_LAB_BUILD',
      `mkscope cannot be packed for a guest: ${messageOf(error)}`,
      'esbuild comes with the development packages: npm install',
      error,
    );
  }
}

/** Files of a built folder as they lie in the guest: `/opt/node`, `/opt/mkscope/…`, libraries where they lie here. */
export function listInsideFiles(folder: string): { readonly path: string; readonly content: Uint8Array }[] {
  const filesIn = (from: string, to: string): { path: string; content: Uint8Array }[] =>
    readdirSync(from, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => ({ path: join(to, path.slice(from.length + 1)), content: readFileSync(path) }));
  return [
    { path: 'opt/node', content: readFileSync(join(folder, 'node')) },
    ...filesIn(join(folder, 'mkscope'), 'opt/mkscope'),
    ...filesIn(join(folder, 'lib'), ''),
  ];
}
