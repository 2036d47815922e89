/** A copy of tracefs on this disk, as a folder that parsers read. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { OperationalError } from '../base/errors.ts';
import { FileSource, tryRead } from '../hub/file-source.ts';
import { isTracefsCopy, openTracefsCopy, type FolderSource, type TracefsCopy } from '../parsers/tracefs-copy.ts';

export interface CopyFolder {
  readonly folder: FolderSource;
  readonly copy: TracefsCopy;
}

export function isCopyFolder(path: string): boolean {
  return existsSync(join(path, 'events', 'header_page')) && isTracefsCopy(openFolder(path));
}

/** Throws E_INPUT_READ and E_INPUT_FORMAT. */
export function openCopyFolder(path: string): CopyFolder {
  const folder = openFolder(path);
  if (!isTracefsCopy(folder)) {
    throw new OperationalError(
      'E_INPUT_FORMAT',
      `${path} is no copy of tracefs: events/header_page and per_cpu/cpu0 are missing`,
      'docs/formats/tracefs_copy.md says how to make one',
    );
  }
  const copy = openTracefsCopy(folder);
  if (typeof copy === 'string') {
    throw new OperationalError('E_INPUT_FORMAT', `${path}: ${copy}`, 'copy events/header_page from the top of tracefs');
  }
  return { folder, copy };
}

function openFolder(root: string): FolderSource {
  return {
    list: (path) => readNames(join(root, path)),
    sizeOf: (path) => {
      const stat = statSync(join(root, path), { throwIfNoEntry: false });
      return stat?.isFile() === true ? stat.size : 0;
    },
    read: (path, offset, length) => readBytes(join(root, path), offset, length),
  };
}

function readNames(path: string): string[] {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat?.isDirectory() === true ? readdirSync(path) : [];
}

function readBytes(path: string, offset: number, length: number): Uint8Array {
  const source = new FileSource({ path, sizeBytes: tryRead(path, () => statSync(path)).size });
  try {
    return source.read(offset, length);
  } finally {
    source.close();
  }
}
