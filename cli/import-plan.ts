/**
 * Which file is which kernel's: several files are several kernels of one machine.
 *
 *   mkscope import --kernel host=dmesg.txt --kernel spawn1=console1.log --kernel spawn7:7=console7.log
 *                           |                      +-- next free number: 1          +-- number given
 *                           +-- `host` is kernel 0
 *   mkscope import a.log b.log                     kernels "a" (0) and "b" (1)
 */
import { statSync } from 'node:fs';
import { basename, extname } from 'node:path';

import { errnoOf, OperationalError } from '../base/errors.ts';
import { HOST_KERNEL_ID } from '../model/identity.ts';

export interface PlannedFile {
  /** `-` = standard input. */
  readonly path: string;
  readonly kernelName: string;
  readonly kernelId: number;
  /** 0 where it is not known (FIFO, standard input). */
  readonly sizeBytes: number;
  /** Unix ns; undefined where the input has no time of its own. */
  readonly modifiedUnixNs: bigint | undefined;
}

const MAX_KERNEL_ID = 65_535;

interface Wanted {
  readonly path: string;
  readonly name: string;
  readonly id: number | undefined;
}

/** `named` are the values of --kernel, `paths` the plain arguments. Throws E_ARGS and E_INPUT_READ before anything is sent. */
export function planImport(named: readonly string[], paths: readonly string[]): PlannedFile[] {
  const wanted: Wanted[] = [...named.map(parseNamed), ...paths.map((path) => ({ path, name: nameOf(path), id: undefined }))];
  if (wanted.length === 0) throw new OperationalError('E_ARGS', 'no file to import', 'mkscope import FILE, or --kernel NAME=FILE');
  const taken = new Set(wanted.map(({ id }) => id).filter((id) => id !== undefined));
  return wanted.map((one) => {
    const kernelId = one.id ?? nextFree(taken);
    taken.add(kernelId);
    const { sizeBytes, modifiedUnixNs } = inspectFile(one.path);
    return { path: one.path, kernelName: one.name, kernelId, sizeBytes, modifiedUnixNs };
  });
}

function parseNamed(text: string): Wanted {
  const match = /^([^=:]{1,128})(?::(\d{1,5}))?=(.+)$/.exec(text);
  const id = match?.[2] === undefined ? undefined : Number(match[2]);
  if (match === null || (id ?? 0) > MAX_KERNEL_ID) {
    throw new OperationalError('E_ARGS', `--kernel ${text} is not NAME=FILE or NAME:ID=FILE`, 'for example --kernel spawn1=console1.log');
  }
  const name = match[1] as string;
  return { path: match[3] as string, name, id: id ?? (name === 'host' ? HOST_KERNEL_ID : undefined) };
}

function nextFree(taken: ReadonlySet<number>): number {
  let id = HOST_KERNEL_ID;
  while (taken.has(id)) id++;
  return id;
}

function nameOf(path: string): string {
  return path === '-' ? 'stdin' : basename(path, extname(path)) || basename(path);
}

function inspectFile(path: string): { readonly sizeBytes: number; readonly modifiedUnixNs: bigint | undefined } {
  if (path === '-') return { sizeBytes: 0, modifiedUnixNs: undefined };
  try {
    const stat = statSync(path, { bigint: true });
    if (stat.isDirectory()) throw new OperationalError('E_INPUT_READ', `${path} is a folder`, 'name the files in it');
    return stat.isFile() ? { sizeBytes: Number(stat.size), modifiedUnixNs: stat.mtimeNs } : { sizeBytes: 0, modifiedUnixNs: undefined };
  } catch (error) {
    if (error instanceof OperationalError) throw error;
    throw new OperationalError(
      'E_INPUT_READ',
      `${path} cannot be read (${errnoOf(error) ?? 'unknown'})`,
      'check the path and its permissions',
      error,
    );
  }
}
