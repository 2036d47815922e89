/**
 * Which file is which kernel's: several files are several kernels of one machine.
 *
 *   mkscope import --kernel host=dmesg.txt --kernel spawn1=console1.log --kernel spawn7:7=console7.log
 *                           |                      +-- next free number: 1          +-- number given
 *                           +-- `host` is kernel 0
 *   mkscope import a.log b.log                     kernels "a" (0) and "b" (1)
 *   mkscope import *.log                           logs of a Multikernel machine say themselves which kernel's they are
 *   mkscope import /var/log/kern.log*              one kernel: a log that was rotated (rotated-logs.ts)
 *   mkscope import ./tracing                       a copy of tracefs: one kernel
 *   mkscope import /sys/fs/pstore                  the boots of one kernel, "host": crash records, an input for each boot
 */
import { statSync } from 'node:fs';
import { basename, extname } from 'node:path';

import { errnoOf, OperationalError } from '../base/errors.ts';
import { HOST_KERNEL_ID } from '../model/identity.ts';
import { parsePstoreName } from '../parsers/pstore-record.ts';
import { packTraceDat } from '../export/trace-dat-pack.ts';
import { findCrashTime } from './crash-time.ts';
import { groupByFolder, readPstoreInputs, readPstorePaths } from './import-pstore.ts';
import type { OnSkipped, PstoreInput } from './import-pstore.ts';
import { groupRotated, unpackedName } from './rotated-logs.ts';
import { tellKernel } from './tell-kernel.ts';
import { isCopyFolder, openCopyFolder } from './tracefs-folder.ts';

export interface PlannedFile {
  /** `-` = standard input. */
  readonly path: string;
  readonly kernelName: string;
  readonly kernelId: number;
  /** 0 where it is not known (FIFO, standard input). */
  readonly sizeBytes: number;
  /** Unix ns; undefined where the input has no time of its own. */
  readonly modifiedUnixNs: bigint | undefined;
  /** How long that may have been after its last line; undefined = nobody knows. */
  readonly modifiedErrorNs?: number;
  /** What is imported, where it is not the file itself. */
  readonly content?: Uint8Array;
  /** Files that are read one behind the other, where it is more than one. */
  readonly parts?: readonly string[];
}

const MAX_KERNEL_ID = 65_535;
/** Sent as a whole. */
const MAX_COPY_BYTES = 1 << 30;

interface Wanted {
  readonly path: string;
  /** Records of a pstore that were named one by one. */
  readonly records?: readonly string[];
  /** Of a log that was rotated, oldest first. */
  readonly parts?: readonly string[];
  readonly name: string;
  readonly id: number | undefined;
  /** By the user. */
  readonly isNamed?: boolean;
  /** The log itself said the id. */
  readonly isTold?: boolean;
}

/**
 * `named` are the values of --kernel, `paths` the plain arguments. Throws E_ARGS and E_INPUT_READ before anything is sent.
 * `onSkipped` is told of files of a pstore that hold no kernel log, or none that can be read.
 */
export function planImport(named: readonly string[], paths: readonly string[], onSkipped: OnSkipped = () => undefined): PlannedFile[] {
  const isRecord = (path: string): boolean => path !== '-' && parsePstoreName(basename(path)) !== undefined;
  const wanted: Wanted[] = [
    ...named.map(parseNamed),
    ...groupRotated(paths.filter((path) => !isRecord(path))).map(({ path, parts }) => ({ path, parts, name: nameOf(path), id: undefined })),
    ...groupByFolder(paths.filter(isRecord)).map((records) => ({ path: records[0] as string, records, name: 'host', id: undefined })),
  ];
  if (wanted.length === 0) throw new OperationalError('E_ARGS', 'no file to import', 'mkscope import FILE, or --kernel NAME=FILE');
  const told = wanted.map(askLog);
  const taken = new Set(told.map(({ id }) => id).filter((id) => id !== undefined));
  const plan = told.flatMap((one) => {
    const kernelId = one.id ?? nextFree(taken);
    taken.add(kernelId);
    return planOne(one, kernelId, onSkipped);
  });
  // The clock of a spawned kernel is told by its host's.
  const tellsHost = told.some(({ isTold, id }) => isTold === true && id === HOST_KERNEL_ID);
  return tellsHost ? plan.toSorted((a, b) => Number(a.kernelId !== HOST_KERNEL_ID) - Number(b.kernelId !== HOST_KERNEL_ID)) : plan;
}

/** What the user said counts; of the rest, what the log says of itself. */
function askLog(one: Wanted): Wanted {
  if (one.id !== undefined || one.records !== undefined || one.path === '-') return one;
  const kernel = tellKernel(one.path);
  if (kernel === undefined || kernel.id > MAX_KERNEL_ID) return one;
  return { ...one, id: kernel.id, name: one.isNamed === true ? one.name : kernel.name, isTold: true };
}

function planOne({ path, name: kernelName, records, parts = [] }: Wanted, kernelId: number, onSkipped: OnSkipped): PlannedFile[] {
  const kernel = { kernelName, kernelId };
  const toPlanned = ({ path: newest, content }: PstoreInput): PlannedFile => ({
    path: newest,
    content,
    sizeBytes: content.length,
    modifiedUnixNs: undefined,
    ...kernel,
  });
  if (records !== undefined) return readPstorePaths(records, onSkipped).map(toPlanned);
  const { isFolder, sizeBytes, modifiedUnixNs } = inspectFile(path);
  if (isFolder && isCopyFolder(path)) return [toPlanned({ path, content: packCopy(path) })];
  if (isFolder) return readPstoreInputs(path, onSkipped).map(toPlanned);
  if (parts.length > 1) {
    const partBytes = parts.reduce((sum, part) => sum + inspectFile(part).sizeBytes, 0);
    return [{ path, parts, sizeBytes: partBytes, modifiedUnixNs, ...kernel }];
  }
  const crash = findCrashTime(path, modifiedUnixNs);
  if (crash === undefined) return [{ path, sizeBytes, modifiedUnixNs, ...kernel }];
  return [{ path, sizeBytes, modifiedUnixNs: crash.unixNs, modifiedErrorNs: crash.errorNs, ...kernel }];
}

/** A copy of tracefs, as the trace.dat that it could have been. */
function packCopy(path: string): Uint8Array {
  const { folder, copy } = openCopyFolder(path);
  const source = packTraceDat(copy, folder);
  if (source.sizeBytes > MAX_COPY_BYTES) {
    throw new OperationalError('E_INPUT_READ', `${path} holds ${source.sizeBytes} bytes`, 'copies of tracefs are imported up to 1 GiB');
  }
  return source.read(0, source.sizeBytes);
}

function parseNamed(text: string): Wanted {
  const match = /^([^=:]{1,128})(?::(\d{1,5}))?=(.+)$/.exec(text);
  const id = match?.[2] === undefined ? undefined : Number(match[2]);
  if (match === null || (id ?? 0) > MAX_KERNEL_ID) {
    throw new OperationalError('E_ARGS', `--kernel ${text} is not NAME=FILE or NAME:ID=FILE`, 'for example --kernel spawn1=console1.log');
  }
  const name = match[1] as string;
  return { path: match[3] as string, name, isNamed: true, id: id ?? (name === 'host' ? HOST_KERNEL_ID : undefined) };
}

function nextFree(taken: ReadonlySet<number>): number {
  let id = HOST_KERNEL_ID;
  while (taken.has(id)) id++;
  return id;
}

function nameOf(path: string): string {
  if (path === '-') return 'stdin';
  const file = unpackedName(path);
  const name = basename(file, extname(file)) || basename(file);
  // /sys/fs/pstore and /var/lib/systemd/pstore.
  return name === 'pstore' ? 'host' : name;
}

function inspectFile(path: string): {
  readonly isFolder: boolean;
  readonly sizeBytes: number;
  readonly modifiedUnixNs: bigint | undefined;
} {
  if (path === '-') return { isFolder: false, sizeBytes: 0, modifiedUnixNs: undefined };
  try {
    const stat = statSync(path, { bigint: true });
    if (!stat.isFile()) return { isFolder: stat.isDirectory(), sizeBytes: 0, modifiedUnixNs: undefined };
    return { isFolder: false, sizeBytes: Number(stat.size), modifiedUnixNs: stat.mtimeNs };
  } catch (error) {
    throw new OperationalError(
      'E_INPUT_READ',
      `${path} cannot be read (${errnoOf(error) ?? 'unknown'})`,
      'check the path and its permissions',
      error,
    );
  }
}
