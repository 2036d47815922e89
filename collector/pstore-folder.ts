/**
 * The files of a pstore in a folder: /sys/fs/pstore itself, a copy of it, or what systemd-pstore made of it.
 *
 *   /sys/fs/pstore/dmesg-efi_pstore-179565232501001
 *   /var/lib/systemd/pstore/1795652325/001/dmesg-efi_pstore-179565232501001     moved there at boot, by time and count (efi)
 *   /var/lib/systemd/pstore/7712267718803587073/dmesg-erst-7712267718803587073  … or by id (erst)
 *   /var/lib/systemd/pstore/…/dmesg.txt                                          parts joined by systemd-pstore: passed over
 */
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, messageOf } from '../base/errors.ts';
import { parsePstoreName, type PstoreFile } from '../parsers/pstore-record.ts';

/** Of systemd's folders: as deep as they go. */
const MAX_DEPTH = 3;
/** The largest stores hold some MiB. */
const MAX_FILE_BYTES = 16 << 20;
const MAX_FILES = 4096;

export interface FoundPstoreFile extends PstoreFile {
  readonly path: string;
}

export interface PstoreFolder {
  readonly files: readonly FoundPstoreFile[];
  /** What is there and was not read, and why. */
  readonly skipped: readonly { readonly path: string; readonly reason: string }[];
}

/** Throws the system's error where the folder itself cannot be read. */
export function readPstoreFolder(folder: string): PstoreFolder {
  const files: FoundPstoreFile[] = [];
  const skipped: { path: string; reason: string }[] = [];
  for (const path of listPstoreFiles(folder, MAX_DEPTH)) {
    const read = files.length < MAX_FILES ? readPstoreFile(path) : 'more files than a pstore holds';
    if (typeof read === 'string') skipped.push({ path, reason: read });
    else files.push(read);
  }
  return { files, skipped };
}

/** Paths of the files with a pstore name, sorted; nothing is opened. */
export function listPstoreFiles(folder: string, depth = MAX_DEPTH): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return depth > 1 && /^\d+$/.test(entry.name) ? listPstoreFiles(path, depth - 1) : [];
      return entry.isFile() && parsePstoreName(entry.name) !== undefined ? [path] : [];
    });
}

/** A string says why it is not read. */
export function readPstoreFile(path: string): FoundPstoreFile | string {
  try {
    const { size, mtimeNs } = lstatSync(path, { bigint: true });
    if (size > MAX_FILE_BYTES) return `${size} bytes are more than a record of pstore`;
    return { path, name: path.slice(path.lastIndexOf('/') + 1), bytes: new Uint8Array(readFileSync(path)), modifiedUnixNs: mtimeNs };
  } catch (error) {
    return `cannot be read (${errnoOf(error) ?? messageOf(error)})`;
  }
}
