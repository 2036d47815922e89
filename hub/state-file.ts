/**
 * A small JSON file that a part of the hub leaves to its next process. It is renamed into place, so that a killed process leaves the
 * old one or the new one; a power cut can leave it empty.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf, messageOf, OperationalError } from '../base/errors.ts';

/** What an earlier process left, and makes the folder; undefined = nothing, or what `parse` throws at, which `onLost` is told. */
export function openState<State>(path: string, parse: (json: unknown) => State, onLost: (error: unknown) => void): State | undefined {
  let text: string;
  try {
    mkdirSync(dirname(path), { recursive: true });
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw new OperationalError('E_DATA_DIR', `${path} cannot be read: ${messageOf(error)}`, 'check its owner and mode', error);
  }
  try {
    return parse(JSON.parse(text));
  } catch (error) {
    onLost(error);
    return undefined;
  }
}

/** Throws E_DISK_FULL or E_DATA_DIR; the file then stays as it was. */
export function writeState(path: string, state: unknown): void {
  try {
    writeFileSync(`${path}.new`, JSON.stringify(state), { mode: 0o640 });
    renameSync(`${path}.new`, path);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOSPC' || errno === 'EDQUOT') {
      throw new OperationalError('E_DISK_FULL', `no room left for ${path}`, 'free some space', error);
    }
    throw new OperationalError('E_DATA_DIR', `${path} cannot be written: ${messageOf(error)}`, 'check its owner and mode', error);
  }
}
