/**
 * What a pstore becomes on import: one input per boot that left crash records, so that the same boot is the same input however
 * often its folder is imported.
 */
import { dirname } from 'node:path';

import { errnoOf, messageOf, OperationalError } from '../base/errors.ts';
import { readPstoreFile, readPstoreFolder } from '../collector/pstore-folder.ts';
import type { FoundPstoreFile } from '../collector/pstore-folder.ts';
import { packPstore } from '../parsers/pstore.ts';
import { toPstoreBoots } from '../parsers/pstore-boots.ts';
import { readPstoreRecord } from '../parsers/pstore-record.ts';

export interface PstoreInput {
  /** Of its newest record, for people. */
  readonly path: string;
  readonly content: Uint8Array;
}

export type OnSkipped = (path: string, reason: string) => void;

/** The boots in a folder; throws E_INPUT_READ where there is no pstore in it. */
export function readPstoreInputs(folder: string, onSkipped: OnSkipped): PstoreInput[] {
  let found: ReturnType<typeof readPstoreFolder>;
  try {
    found = readPstoreFolder(folder);
  } catch (error) {
    throw new OperationalError(
      'E_INPUT_READ',
      `${folder} cannot be read (${errnoOf(error) ?? messageOf(error)})`,
      'check the path and its permissions; /sys/fs/pstore is for root',
      error,
    );
  }
  for (const { path, reason } of found.skipped) onSkipped(path, reason);
  if (found.files.length === 0) {
    throw new OperationalError(
      'E_INPUT_READ',
      `${folder} is a folder without files of a pstore (dmesg-*)`,
      'name the files in it, or a copy of /sys/fs/pstore, or the folder of a session',
    );
  }
  return toInputs(found.files, onSkipped);
}

/** The boots in files of one pstore. */
export function readPstorePaths(paths: readonly string[], onSkipped: OnSkipped): PstoreInput[] {
  const files: FoundPstoreFile[] = [];
  for (const path of paths) {
    const read = readPstoreFile(path);
    if (typeof read !== 'string') files.push(read);
    else throw new OperationalError('E_INPUT_READ', `${path} ${read}`, 'check the path and its permissions');
  }
  return toInputs(files, onSkipped);
}

function toInputs(files: readonly FoundPstoreFile[], onSkipped: OnSkipped): PstoreInput[] {
  const byName = new Map(files.map((file) => [file.name, file]));
  const records = [...byName.values()].flatMap((file) => {
    const read = readPstoreRecord(file);
    if (typeof read !== 'string') return [read];
    onSkipped(file.path, read);
    return [];
  });
  return toPstoreBoots(records).map(({ crashes }) => {
    const parts = crashes.flatMap((crash) => crash.parts);
    const bytesOf = (name: string): Uint8Array => byName.get(name)?.bytes ?? new Uint8Array(0);
    const own = parts.map(({ name, madeUnixNs }) => ({ name, bytes: bytesOf(name), modifiedUnixNs: madeUnixNs }));
    return { path: byName.get(own.at(-1)?.name ?? '')?.path ?? '', content: packPstore(own) };
  });
}

/** Files that belong together: the records of one folder. */
export function groupByFolder(paths: readonly string[]): string[][] {
  const groups = new Map<string, string[]>();
  for (const path of paths) groups.set(dirname(path), [...(groups.get(dirname(path)) ?? []), path]);
  return [...groups.values()];
}
