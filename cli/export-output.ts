/** Where an export goes: a file beside which it grows until it is whole, or, through a temporary file without a name, standard output. */
import { randomUUID } from 'node:crypto';
import { closeSync, createReadStream, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { errnoOf, messageOf, OperationalError } from '../base/errors.ts';
import { print } from './terminal.ts';

export class ExportOutput {
  sizeBytes = 0;
  readonly #target: string | undefined;
  readonly #path: string;
  readonly #fd: number;

  private constructor(target: string | undefined, path: string) {
    this.#target = target;
    this.#path = path;
    // Others may look into the folder of temporary files.
    this.#fd = tryWrite(target ?? path, () => openSync(path, 'wx+', target === undefined ? 0o600 : 0o644));
    // It goes with the process, however that ends: `| head` ends it in the middle.
    if (target === undefined) rmSync(path);
  }

  /** `target` undefined or `-` = standard output. */
  static open(target: string | undefined): ExportOutput {
    const toStdout = target === undefined || target === '-';
    if (toStdout && process.stdout.isTTY)
      throw new OperationalError('E_ARGS', 'the export is binary, and standard output is a terminal', 'name a file: -o trace.dat');
    if (toStdout) return new ExportOutput(undefined, join(tmpdir(), `mkscope-export-${randomUUID()}`));
    // The file takes the place of what has its name: a device (-o /dev/null) would be gone.
    const isOther = tryWrite(target, () => statSync(target, { throwIfNoEntry: false })?.isFile() === false);
    if (isOther) throw new OperationalError('E_OUTPUT_WRITE', `${target} is no file`, 'leave out -o to write to standard output');
    return new ExportOutput(target, `${target}.${randomUUID().slice(0, 8)}.part`);
  }

  write(bytes: Uint8Array, offset: number): void {
    for (let done = 0; done < bytes.length;) {
      done += this.#try(() => writeSync(this.#fd, bytes, done, bytes.length - done, offset + done));
    }
    this.sizeBytes = Math.max(this.sizeBytes, offset + bytes.length);
  }

  /** The whole file is in place, or has gone through standard output. */
  async finish(): Promise<void> {
    if (this.#target !== undefined) {
      closeSync(this.#fd);
      this.#try(() => renameSync(this.#path, this.#target as string));
      return;
    }
    for await (const chunk of createReadStream('', { fd: this.#fd, start: 0, highWaterMark: 1 << 20 })) await print(chunk as Buffer);
  }

  /** Takes back what was written. */
  discard(): void {
    rmSync(this.#path, { force: true });
  }

  #try<T>(write: () => T): T {
    return tryWrite(this.#target ?? this.#path, write);
  }
}

function tryWrite<T>(where: string, write: () => T): T {
  try {
    return write();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOSPC' || errno === 'EDQUOT')
      throw new OperationalError('E_DISK_FULL', `no room for ${where}`, 'free some space, or name another file with -o', error);
    throw new OperationalError(
      'E_OUTPUT_WRITE',
      `${where} cannot be written (${errno ?? messageOf(error)})`,
      'name another file with -o',
      error,
    );
  }
}
