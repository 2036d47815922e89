/** Opens a recording of trace events that lies on this disk. */
import { openSync, readSync, closeSync, statSync } from 'node:fs';
import { errnoOf, messageOf, OperationalError } from '../base/errors.ts';
import { FileSource } from '../hub/import-stage.ts';
import type { EventFile } from '../model/event-file.ts';
import { packTraceDat } from '../export/trace-dat-pack.ts';
import { traceDat } from '../parsers/trace-dat.ts';
import { isCopyFolder, openCopyFolder } from './tracefs-folder.ts';

export interface Recording {
  readonly file: EventFile;
  close(): void;
}

const HEAD_BYTES = 64;

/** Throws E_INPUT_READ and E_INPUT_FORMAT. */
export function openRecording(path: string): Recording {
  if (isCopyFolder(path)) {
    const { folder, copy } = openCopyFolder(path);
    return { file: traceDat.open(packTraceDat(copy, folder)), close: () => undefined };
  }
  const sizeBytes = sizeOf(path);
  if (!traceDat.sniff(readHead(path))) {
    throw new OperationalError(
      'E_INPUT_FORMAT',
      `${path} holds no recorded pages: it does not begin as a trace.dat does`,
      'text of ftrace is text already; `mkscope import` takes it',
    );
  }
  const source = new FileSource({ path, sizeBytes });
  return { file: traceDat.open(source), close: () => source.close() };
}

function sizeOf(path: string): number {
  try {
    const stat = statSync(path);
    if (stat.isFile()) return stat.size;
  } catch (error) {
    throw unreadable(path, error);
  }
  throw new OperationalError(
    'E_INPUT_READ',
    `${path} is no file`,
    'name a trace.dat, which is read at any place, or a copy of tracefs (docs/formats/tracefs_copy.md)',
  );
}

function readHead(path: string): Uint8Array {
  const head = new Uint8Array(HEAD_BYTES);
  try {
    const fd = openSync(path, 'r');
    try {
      return head.subarray(0, readSync(fd, head));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown): OperationalError {
  const hint = errnoOf(error) === 'ENOENT' ? 'check the path' : 'check its permissions';
  return new OperationalError('E_INPUT_READ', `${path} cannot be read: ${messageOf(error)}`, hint, error);
}
