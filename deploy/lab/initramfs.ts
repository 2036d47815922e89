/**
 * The guests' root file system as a cpio archive, uncompressed since an emulated CPU would unpack it slower than QEMU copies it.
 * Layout of the `newc` format: Documentation/driver-api/early-userspace/buffer-format.rst; one member is
 *
 *   070701 00000001 000081ed … 00000006 00000000 | init\0 | pad to 4 | content | pad to 4
 *   magic  ino      mode       name     check      name
 *          +-- 13 fields of 8 hex digits
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { listInsideFiles } from './inside-programs.ts';
import { GUEST_MODULES } from './kernels.ts';

const MODE = { file: 0o100_644, program: 0o100_755, folder: 0o040_755, link: 0o120_777 } as const;

interface Member {
  readonly path: string;
  readonly mode: number;
  readonly content: Uint8Array;
}

export interface InitramfsParts {
  readonly busybox: string;
  readonly init: string;
  readonly forwarder: string;
  /** kprobe definitions, one per line. */
  readonly probes: string;
  /** Folder of the kernel's own modules. */
  readonly modulesDir: string;
  /** Folder of mkikc.ko and mkfault.ko. */
  readonly labModulesDir: string;
  /** Folder of inside-programs.ts, where the guest runs a collector of its own. */
  readonly insideDir?: string | undefined;
}

/** Writes the archive whole or not at all. */
export function writeInitramfs(path: string, parts: InitramfsParts): void {
  const present = new Set(readdirSync(parts.modulesDir));
  const modules = GUEST_MODULES.filter((name) => present.has(`${name}.ko`));
  const file = (name: string, source: string, mode: number = MODE.program): Member => ({ path: name, mode, content: readFileSync(source) });
  const text = (name: string, content: string): Member => ({ path: name, mode: MODE.file, content: Buffer.from(content) });
  const members: Member[] = [
    ...['bin', 'lib', 'lib/modules'].map((name) => ({ path: name, mode: MODE.folder, content: new Uint8Array(0) })),
    file('bin/busybox', parts.busybox),
    { path: 'bin/sh', mode: MODE.link, content: Buffer.from('busybox') },
    file('bin/mkfwd', parts.forwarder),
    file('init', parts.init),
    text('lib/probes', parts.probes),
    text('lib/modules/order', `${modules.join('\n')}\n`),
    ...modules.map((name) => file(`lib/modules/${name}.ko`, join(parts.modulesDir, `${name}.ko`), MODE.file)),
    ...['mkikc.ko', 'mkfault.ko'].map((name) => file(`lib/modules/${name}`, join(parts.labModulesDir, name), MODE.file)),
    ...(parts.insideDir === undefined ? [] : toMembers(listInsideFiles(parts.insideDir), ['bin', 'lib', 'lib/modules'])),
  ];
  const work = mkdtempSync(`${path}-`);
  try {
    writeFileSync(join(work, 'cpio'), encodeCpio(members));
    renameSync(join(work, 'cpio'), path);
  } finally {
    rmSync(work, { recursive: true });
  }
}

/** Files with the folders above them, but those that are `there`. */
function toMembers(files: readonly { readonly path: string; readonly content: Uint8Array }[], there: readonly string[]): Member[] {
  const known = new Set(there);
  const foldersOf = (path: string): string[] => {
    const folder = dirname(path);
    if (folder === '.' || known.has(folder)) return [];
    known.add(folder);
    return [...foldersOf(folder), folder];
  };
  return files.flatMap(({ path, content }) => [
    ...foldersOf(path).map((folder) => ({ path: folder, mode: MODE.folder, content: new Uint8Array(0) })),
    { path, mode: MODE.program, content },
  ]);
}

export function encodeCpio(members: readonly Member[]): Uint8Array {
  const parts: Uint8Array[] = [];
  [...members, { path: 'TRAILER!!!', mode: 0, content: new Uint8Array(0) }].forEach(({ path, mode, content }, index) => {
    const name = Buffer.from(`${path}\0`);
    // ino, mode, uid, gid, nlink, mtime, size, device (2), rdevice (2), name, check
    const fields = [index + 1, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length, 0];
    const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`);
    parts.push(header, name, pad(header.length + name.length), content, pad(content.length));
  });
  return Buffer.concat(parts);
}

function pad(length: number): Uint8Array {
  return new Uint8Array((4 - (length % 4)) % 4);
}
