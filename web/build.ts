/** Builds the page into web/dist: index.html, app.js, app.css. Says nothing and loads nothing when they are up to date. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

const WEB = import.meta.dirname;
const ROOT = join(WEB, '..');
const DIST = join(WEB, 'dist');
const INDEX = join(DIST, 'index.html');

/** Everything the output is made of: our sources, and the lockfile for those of others. */
function listInputs(): string[] {
  const sources = ['web', 'base'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(ROOT, folder, name)),
  );
  const ours = sources.filter((path) => /\.(ts|tsx|css|html|json)$/.test(path) && !path.startsWith(DIST));
  return [...ours, join(ROOT, 'package.json'), join(ROOT, 'package-lock.json')];
}

/** Hash of the paths, sizes and times of all inputs: a changed, added or removed file changes it. */
function stampOf(inputs: readonly string[]): string {
  const hash = createHash('sha256');
  for (const path of [...inputs].sort()) {
    const { size, mtimeMs } = statSync(path);
    hash.update(`${relative(ROOT, path)} ${size} ${mtimeMs}\n`);
  }
  return hash.digest('hex').slice(0, 16);
}

function isCurrent(stamp: string): boolean {
  const outputs = [INDEX, join(DIST, 'app.js'), join(DIST, 'app.css')];
  return outputs.every((path) => existsSync(path)) && readFileSync(INDEX, 'utf8').includes(`build ${stamp}`);
}

async function bundle(stamp: string): Promise<void> {
  const { build } = await import('esbuild');
  const { outputFiles } = await build({
    absWorkingDir: ROOT,
    entryPoints: [
      { in: 'web/main.tsx', out: 'app' },
      { in: 'web/style/main.css', out: 'app' },
    ],
    outdir: DIST,
    write: false,
    bundle: true,
    minify: true,
    format: 'esm',
    // `light-dark()` and `oklch()` reach the browser as they are written.
    target: ['chrome123', 'firefox121', 'safari17.5'],
    tsconfig: join(WEB, 'tsconfig.json'),
    legalComments: 'none',
    logLevel: 'error',
  });
  mkdirSync(DIST, { recursive: true });
  let html = readFileSync(join(WEB, 'index.html'), 'utf8').replace('{{stamp}}', stamp);
  for (const file of outputFiles) {
    const name = relative(DIST, file.path);
    writeWhole(file.path, file.contents);
    // The hash in the address makes a browser fetch a new build and keep an old one.
    html = html.replace(`${name}"`, `${name}?v=${createHash('sha256').update(file.contents).digest('hex').slice(0, 12)}"`);
  }
  // Last, since it names the stamp: a build that stops half-way is built again.
  writeWhole(INDEX, html);
}

/** A hub that serves the folder meanwhile sees the old file or the new one. */
function writeWhole(path: string, contents: Uint8Array | string): void {
  writeFileSync(`${path}.tmp`, contents);
  renameSync(`${path}.tmp`, path);
}

const startedMs = performance.now();
const stamp = stampOf(listInputs());
if (!isCurrent(stamp)) {
  await bundle(stamp);
  console.log(`page built in ${Math.round(performance.now() - startedMs)} ms`);
}
