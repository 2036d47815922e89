/**
 * Debian's kernels for the lab: which there are, and how one gets into the cache. Packages are downloaded and unpacked, never
 * installed: an installed kernel would pull in boot loaders and upgrades.
 *
 *   <cache>/<release>/vmlinuz
 *   <cache>/<release>/modules/*.ko      what a guest needs to talk to QEMU, uncompressed
 *   <cache>/<release>/headers/usr/…     what mkikc is built against
 *   <cache>/<release>/complete          written last: a folder without it is made anew
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { OperationalError } from '../../base/errors.ts';
import { runCommand } from './run-command.ts';

/** Which kernel: Debian stable's, the newest that Debian has for this release, or the newest with PREEMPT_RT. */
export const KERNEL_CHOICES = ['stable', 'newest', 'rt'] as const;
export type KernelChoice = (typeof KERNEL_CHOICES)[number];

/** In one lab. kerf's bound is 511; the bus has room for 16, and a machine for fewer. */
export const MAX_KERNELS = 8;

/** Modules of the guests, in the order of loading; a kernel that has one built in lacks its file. */
export const GUEST_MODULES: readonly string[] = [
  'virtio_ring',
  'virtio',
  'virtio_pci_legacy_dev',
  'virtio_pci_modern_dev',
  'virtio_pci',
  'virtio_console',
  'failover',
  'net_failover',
  'virtio_net',
  'pvpanic',
  'pvpanic-pci',
];

const LISTS_HINT = 'update the package lists: sudo apt-get update';

/** `6.1.0-56-cloud-amd64` of a choice; throws E_LAB_KERNEL where Debian has none. */
export async function findRelease(choice: KernelChoice, signal?: AbortSignal): Promise<string> {
  const options = { code: 'E_LAB_KERNEL', hint: LISTS_HINT, signal } as const;
  if (choice === 'stable') {
    const text = await runCommand('apt-cache', ['depends', 'linux-image-cloud-amd64'], options);
    const release = /Depends: linux-image-(\S+)/.exec(text)?.[1];
    if (release !== undefined) return release;
    throw new OperationalError('E_LAB_KERNEL', 'apt knows no linux-image-cloud-amd64', LISTS_HINT);
  }
  const names = (await runCommand('apt-cache', ['pkgnames', 'linux-image-'], options)).split('\n');
  const pattern = choice === 'rt' ? /^linux-image-(\d.*-rt-amd64)$/ : /^linux-image-(\d.*-cloud-amd64)$/;
  const releases = names.flatMap((name) => pattern.exec(name)?.[1] ?? []);
  const newest = releases.sort(compareReleases).at(-1);
  if (newest !== undefined) return newest;
  throw new OperationalError('E_LAB_KERNEL', `apt knows no ${choice} kernel`, LISTS_HINT);
}

/** By their numbers: 6.12.117 is newer than 6.12.9. */
export function compareReleases(a: string, b: string): number {
  const left = a.match(/\d+/g) ?? [];
  const right = b.match(/\d+/g) ?? [];
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const difference = Number(left[at] ?? -1) - Number(right[at] ?? -1);
    if (difference !== 0) return difference;
  }
  return a < b ? -1 : a > b ? 1 : 0;
}

export function isCached(cacheDir: string, release: string): boolean {
  return existsSync(join(cacheDir, release, 'complete'));
}

/** Brings a kernel into the cache; what was interrupted before leaves nothing that counts. */
export async function fetchKernel(cacheDir: string, release: string, signal?: AbortSignal): Promise<void> {
  if (isCached(cacheDir, release)) return;
  mkdirSync(cacheDir, { recursive: true });
  const work = mkdtempSync(join(cacheDir, 'fetch-'));
  try {
    const packages = [`linux-image-${release}`, ...(await findHeaders(release, signal))];
    const debs = await download(packages, work, signal);
    const root = join(work, 'root');
    mkdirSync(join(root, 'modules'), { recursive: true });
    for (const deb of debs) {
      if (basename(deb).startsWith('linux-image-')) await unpackImage(deb, release, root, signal);
      else await unpackDeb(deb, join(root, 'headers'), ['./usr'], signal);
      rmSync(deb);
    }
    writeFileSync(join(root, 'complete'), `${packages.join('\n')}\n`);
    rmSync(join(cacheDir, release), { recursive: true, force: true });
    renameSync(root, join(cacheDir, release));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The headers of a release, those shared by its flavours, and the build programs. */
async function findHeaders(release: string, signal?: AbortSignal): Promise<string[]> {
  const text = await runCommand('apt-cache', ['depends', `linux-headers-${release}`], { code: 'E_LAB_KERNEL', hint: LISTS_HINT, signal });
  const wanted = [...text.matchAll(/Depends: (linux-(?:headers|kbuild)-\S+)/g)].map((match) => match[1] as string);
  return [`linux-headers-${release}`, ...wanted];
}

async function download(packages: readonly string[], folder: string, signal?: AbortSignal): Promise<string[]> {
  await runCommand('apt-get', ['download', '-q', ...packages], {
    code: 'E_LAB_KERNEL',
    hint: `${LISTS_HINT}; the packages are ${packages.join(' ')}`,
    cwd: folder,
    signal,
  });
  return readdirSync(folder)
    .filter((name) => name.endsWith('.deb'))
    .map((name) => join(folder, name));
}

/** Of an image only what a guest needs: unpacking all of its modules takes ten times as long. */
async function unpackImage(deb: string, release: string, root: string, signal?: AbortSignal): Promise<void> {
  const image = join(root, 'image');
  const modules = GUEST_MODULES.map((name) => `*/${name}.ko*`);
  await unpackDeb(deb, image, ['./boot/vmlinuz-*', ...modules], signal);
  renameSync(join(image, 'boot', `vmlinuz-${release}`), join(root, 'vmlinuz'));
  for (const name of readdirSync(image, { recursive: true, encoding: 'utf8' })) {
    const file = basename(name);
    if (!/\.ko(\.xz)?$/.test(file)) continue;
    renameSync(join(image, name), join(root, 'modules', file));
    if (file.endsWith('.xz')) {
      await runCommand('xz', ['-d', join(root, 'modules', file)], { code: 'E_LAB_KERNEL', hint: 'is the disk full?', signal });
    }
  }
  rmSync(image, { recursive: true });
}

/** tar calls a pattern that matches nothing (a module that is built in) an error: that one is let pass, every other is not. */
const UNPACK_SCRIPT = `
deb=$1; target=$2; shift 2
{ dpkg-deb --fsys-tarfile "$deb" || echo "$deb is damaged" >&2; } 2>"$target/tar.log" |
  tar -x -C "$target" --wildcards --no-same-owner "$@" 2>>"$target/tar.log"
! grep -v -e "Not found in archive" -e "due to previous errors" "$target/tar.log" >&2`;

async function unpackDeb(deb: string, target: string, patterns: readonly string[], signal?: AbortSignal): Promise<void> {
  mkdirSync(target, { recursive: true });
  await runCommand('sh', ['-c', UNPACK_SCRIPT, 'unpack', deb, target, ...patterns], {
    code: 'E_LAB_KERNEL',
    hint: 'is the disk full? df -h',
    signal,
  });
  rmSync(join(target, 'tar.log'), { force: true });
}
