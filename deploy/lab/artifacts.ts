/**
 * What the lab is made of, in a cache so that the second start is quick: kernels, the modules built against each, the programs,
 * and the guests' root file systems. What depends on our own sources lies under their hash: an edit makes it anew.
 *
 *   <cache>/<release>/…                          kernels.ts
 *   <cache>/<release>/built-<hash>/*.ko          mkikc and mkfault
 *   <cache>/<release>/initramfs-<hash>.cpio
 *   <cache>/<release>/with-collector-<hash>.cpio for a guest with a collector inside
 *   <cache>/programs-<hash>/{mkfwd,mkbus}
 *   <cache>/inside-<hash>/…                      inside-programs.ts
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statfsSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { messageOf, OperationalError } from '../../base/errors.ts';
import { fetchKernel, isCached } from './kernels.ts';
import { writeInitramfs } from './initramfs.ts';
import { buildInside, listInsideInputs } from './inside-programs.ts';
import { runCommand } from './run-command.ts';

const LAB_DIR = import.meta.dirname;
const GUEST_DIR = join(LAB_DIR, '../guest');

/** What a build writes, at most. */
const BUILD_BYTES = 16 << 20;
const INSIDE_BYTES = 256 << 20;
const BUILD_HINT = 'the compiler must be of Debian’s own release: sudo apt-get install -y gcc make libc6-dev libelf1';

export interface LabPrograms {
  readonly bus: string;
  readonly forwarder: string;
}

export interface KernelFiles {
  readonly vmlinuz: string;
  readonly initramfs: string;
}

export interface ArtifactOptions {
  readonly cacheDir: string;
  /** Said before a step that takes a while. */
  readonly onStep: (what: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** `$XDG_CACHE_HOME/mkscope/lab`, as the base directory specification has it. */
export function defaultCacheDir(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'mkscope/lab');
}

export async function buildPrograms({ cacheDir, onStep, signal }: ArtifactOptions): Promise<LabPrograms> {
  const hash = hashFolders([join(LAB_DIR, 'bus'), join(LAB_DIR, 'mkikc'), GUEST_DIR]);
  const folder = join(cacheDir, `programs-${hash}`);
  if (!existsSync(folder)) {
    onStep('building the forwarder and the bus');
    await buildInto(folder, async (work) => {
      await runCommand('sh', [join(GUEST_DIR, 'build.sh'), join(work, 'mkfwd')], { code: 'E_LAB_BUILD', hint: BUILD_HINT, signal });
      await runCommand('sh', [join(LAB_DIR, 'bus/build.sh'), join(work, 'mkbus')], { code: 'E_LAB_BUILD', hint: BUILD_HINT, signal });
    });
    removeOthers(cacheDir, 'programs-', `programs-${hash}`);
  }
  return { bus: join(folder, 'mkbus'), forwarder: join(folder, 'mkfwd') };
}

/** Node and mkscope for guests that run a collector of their own: their folder. */
export async function buildInsidePrograms({ cacheDir, onStep, signal }: ArtifactOptions): Promise<string> {
  const name = `inside-${hashFiles(listInsideInputs(), process.version)}`;
  const folder = join(cacheDir, name);
  if (!existsSync(folder)) {
    onStep('packing Node and mkscope for the kernels that observe themselves');
    await buildInto(folder, (work) => buildInside(work, signal), INSIDE_BYTES);
    removeOthers(cacheDir, 'inside-', name, KEEP_INSIDE_MS);
  }
  return folder;
}

/** Fetches, builds and packs what is missing of one kernel; `insideDir`: with a collector of its own. */
export async function buildKernel(
  release: string,
  programs: LabPrograms,
  options: ArtifactOptions,
  insideDir?: string,
): Promise<KernelFiles> {
  const { cacheDir, onStep, signal } = options;
  if (!isCached(cacheDir, release)) {
    onStep(`fetching Linux ${release} and its headers`);
    await fetchKernel(cacheDir, release, signal);
  }
  const folder = join(cacheDir, release);
  const modulesHash = hashFolders([join(LAB_DIR, 'mkikc')]);
  const built = join(folder, `built-${modulesHash}`);
  if (!existsSync(built)) {
    onStep(`building mkikc for ${release}`);
    await buildInto(built, (work) =>
      runCommand('sh', [join(LAB_DIR, 'mkikc/build.sh'), join(folder, 'headers'), work], { code: 'E_LAB_BUILD', hint: BUILD_HINT, signal }),
    );
    removeOthers(folder, 'built-', `built-${modulesHash}`);
  }
  const init = join(LAB_DIR, 'guest/init.sh');
  const probes = join(LAB_DIR, 'guest/probes');
  const busybox = findBusybox();
  const salt = modulesHash + (insideDir === undefined ? '' : basename(insideDir));
  const imageHash = hashFiles([init, probes, programs.forwarder, busybox, join(LAB_DIR, 'initramfs.ts')], salt);
  const kind = insideDir === undefined ? 'initramfs-' : 'with-collector-';
  const initramfs = join(folder, `${kind}${imageHash}.cpio`);
  if (!existsSync(initramfs)) {
    writeInitramfs(initramfs, {
      busybox,
      init,
      forwarder: programs.forwarder,
      probes: readFileSync(probes, 'utf8'),
      modulesDir: join(folder, 'modules'),
      labModulesDir: built,
      insideDir,
    });
    removeOthers(folder, kind, basename(initramfs), insideDir === undefined ? KEEP_MS : KEEP_INSIDE_MS);
  }
  return { vmlinuz: join(folder, 'vmlinuz'), initramfs };
}

function findBusybox(): string {
  return ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path)) ?? '/bin/busybox';
}

/** A folder that is whole or not there, however the build ends; another lab may build the same at the same time. */
async function buildInto(folder: string, build: (work: string) => Promise<unknown>, needBytes = BUILD_BYTES): Promise<void> {
  mkdirSync(join(folder, '..'), { recursive: true });
  const work = mkdtempSync(`${folder}-`);
  try {
    await build(work);
    if (!existsSync(folder)) renameSync(work, folder);
  } catch (error) {
    // A compiler that finds the disk full says many things.
    const { bavail, bsize } = statfsSync(work);
    if (bavail * bsize > needBytes) throw error;
    throw new OperationalError(
      'E_DISK_FULL',
      `${work} is full, and ${messageOf(error)}`,
      'make room, or name another folder with --cache DIR',
      error,
    );
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** A lab that runs from an earlier build needs it whenever a kernel of it is started again, and another may be building. */
const KEEP_MS = 24 * 3600 * 1000;
/** 120 MB each, and every edit makes one. */
const KEEP_INSIDE_MS = 3600 * 1000;

/** Earlier builds. */
function removeOthers(folder: string, prefix: string, keep: string, keepMs = KEEP_MS): void {
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(prefix) || name === keep) continue;
    const path = join(folder, name);
    const { mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? { mtimeMs: Infinity };
    if (Date.now() - mtimeMs > keepMs) rmSync(path, { recursive: true, force: true });
  }
}

function hashFolders(folders: readonly string[]): string {
  return hashFiles(folders.flatMap((folder) => readdirSync(folder).map((name) => join(folder, name))));
}

function hashFiles(paths: readonly string[], salt = ''): string {
  const hash = createHash('sha256').update(salt);
  for (const path of paths.toSorted()) if (statSync(path).isFile()) hash.update(basename(path)).update(readFileSync(path));
  return hash.digest('hex').slice(0, 16);
}
