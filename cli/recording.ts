/** Opens a recording of trace events that lies on this disk. */
import { statSync } from 'node:fs';
import { OperationalError } from '../base/errors.ts';
import { FileSource, tryRead } from '../hub/file-source.ts';
import type { EventFile } from '../model/event-file.ts';
import { traceDat } from '../parsers/trace-dat.ts';

export interface Recording {
  readonly file: EventFile;
  close(): void;
}

const HEAD_BYTES = 64;

/** Throws E_INPUT_READ and E_INPUT_FORMAT. */
export async function openRecording(path: string): Promise<Recording> {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
    const [{ packTraceDat }, { openCopyFolder }] = await Promise.all([
      import('../export/trace-dat-pack.ts'),
      import('./tracefs-folder.ts'),
    ]);
    const { folder, copy } = openCopyFolder(path);
    return { file: traceDat.open(packTraceDat(copy, folder)), close: () => undefined };
  }
  const recording = openTraceDat(path);
  if (recording !== undefined) return recording;
  throw new OperationalError(
    'E_INPUT_FORMAT',
    `${path} holds no recorded pages: it does not begin as a trace.dat does`,
    'text of ftrace is text already; `mkscope import` takes it',
  );
}

/** undefined where the file is no trace.dat. Throws E_INPUT_READ. */
export function openTraceDat(path: string): Recording | undefined {
  const source = new FileSource({ path, sizeBytes: sizeOf(path) });
  const close = (): void => source.close();
  if (traceDat.sniff(source.read(0, HEAD_BYTES))) return { file: traceDat.open(source), close };
  close();
  return undefined;
}

function sizeOf(path: string): number {
  const stat = tryRead(path, () => statSync(path));
  if (stat.isFile()) return stat.size;
  throw new OperationalError(
    'E_INPUT_READ',
    `${path} is no file`,
    'name a trace.dat, which is read at any place, or a copy of tracefs (docs/formats/tracefs_copy.md)',
  );
}
