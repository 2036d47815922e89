import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { errnoOf, messageOf, OperationalError } from '../base/errors.ts';
import type { ByteSource } from '../model/event-file.ts';

/** A file that is read at any place, into one piece of memory that grows to the longest read. Throws E_INPUT_READ. */
export class FileSource implements ByteSource {
  readonly sizeBytes: number;
  readonly #path: string;
  readonly #fd: number;
  #memory = new Uint8Array(0);

  constructor({ path, sizeBytes }: { readonly path: string; readonly sizeBytes: number }) {
    this.sizeBytes = sizeBytes;
    this.#path = path;
    this.#fd = tryRead(path, () => openSync(path, 'r'));
  }

  read(offset: number, length: number): Uint8Array {
    const wanted = Math.max(0, Math.min(length, this.sizeBytes - offset));
    if (this.#memory.length < wanted) this.#memory = new Uint8Array(wanted);
    let got = 0;
    while (got < wanted) {
      const at = got;
      const more = tryRead(this.#path, () => readSync(this.#fd, this.#memory, at, wanted - at, offset + at));
      if (more === 0) break;
      got += more;
    }
    return this.#memory.subarray(0, got);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** What the system says of a file that is read, as E_INPUT_READ. */
export function tryRead<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const hint = errnoOf(error) === 'ENOENT' ? 'check the path' : 'check its permissions';
    throw new OperationalError('E_INPUT_READ', `${path} cannot be read: ${messageOf(error)}`, hint, error);
  }
}

/** Can be read twice, and where it is. What proc and tracefs have is made while it is read, and has no size; a pipe neither. */
export function isStored(path: string): boolean {
  try {
    const stat = statSync(path);
    return stat.isFile() && stat.size > 0;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return false;
  }
}

/** First bytes of a file, to see what it is; none where it is no file, or cannot be read: whoever reads it next says why. */
export function readHead(path: string, most: number): Uint8Array {
  const head = new Uint8Array(most);
  let fd: number | undefined;
  try {
    // A pipe would wait for its writer, and cannot be read twice.
    if (!statSync(path).isFile()) return head.subarray(0, 0);
    fd = openSync(path, 'r');
    return head.subarray(0, readSync(fd, head, 0, most, 0));
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return head.subarray(0, 0);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
