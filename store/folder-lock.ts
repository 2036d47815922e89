/** One process per data folder. The lock names its owner by pid and start time, so neither a crash nor a reused pid keeps it. */
import { accessSync, constants, linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, messageOf, OperationalError } from '../base/errors.ts';

export interface FolderLock {
  release(): void;
}

/** Creates the folder where needed and locks it; throws E_DATA_DIR, E_DATA_LOCKED. */
export function lockFolder(folder: string): FolderLock {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new OperationalError(
      'E_DATA_DIR',
      `the data folder ${folder} cannot be written: ${messageOf(error)}`,
      'choose another with --data, or give this one to the user that mkscope runs as',
      error,
    );
  }
  const path = join(folder, 'lock');
  const own = `${process.pid} ${startTimeOf(process.pid) ?? ''}\n`;
  const draft = `${path}.${process.pid}`;
  try {
    writeFileSync(draft, own);
    for (let tries = 0; tries < 10; tries++) {
      if (tryLink(draft, path)) return { release: () => releaseLock(path, own) };
      refuseLiving(folder, path);
      // The owner is dead. Moved away rather than removed: of two starters only one can move it.
      moveAway(path, `${draft}.stale`);
    }
  } catch (error) {
    if (error instanceof OperationalError) throw error;
    const code = errnoOf(error) === 'ENOSPC' ? 'E_DISK_FULL' : 'E_DATA_DIR';
    throw new OperationalError(code, `the data folder ${folder} cannot be locked: ${messageOf(error)}`, 'check its disk and mode', error);
  } finally {
    rmSync(draft, { force: true });
    rmSync(`${draft}.stale`, { force: true });
  }
  throw new OperationalError('E_DATA_LOCKED', `the data folder ${folder} is being locked by others`, 'start only one mkscope on it');
}

/** A hard link appears whole or not at all, content included. */
function tryLink(draft: string, path: string): boolean {
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
}

function refuseLiving(folder: string, path: string): void {
  const [pid, startTime] = readLock(path).trim().split(' ');
  const living = startTimeOf(Number(pid));
  if (living === undefined || living !== startTime) return;
  throw new OperationalError(
    'E_DATA_LOCKED',
    `the data folder ${folder} is in use by process ${pid}`,
    `stop it (kill ${pid}), or start with another --data folder`,
  );
}

function moveAway(path: string, stale: string): void {
  try {
    renameSync(path, stale);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}

function readLock(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return '';
    throw error;
  }
}

function releaseLock(path: string, own: string): void {
  if (readLock(path) === own) rmSync(path, { force: true });
}

/** Start time of a living process in clock ticks since boot (field 22 of its stat line), undefined when there is none. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command name is in parentheses and may hold spaces and parentheses itself.
    return stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .at(19);
  } catch {
    // Gone, or never there: both mean that nobody holds the lock.
    return undefined;
  }
}
