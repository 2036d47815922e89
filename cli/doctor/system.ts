/** The machine around the kernel: pressure counters, multikernel, Node, disk. */
import { accessSync, constants, existsSync, readFileSync, statfsSync } from 'node:fs';
import { release } from 'node:os';
import { dirname, resolve } from 'node:path';

import { errnoOf, messageOf } from '../../base/errors.ts';
import { formatBytes } from '../units.ts';
import { fail, ok, warn } from './finding.ts';
import type { Finding } from './finding.ts';

const LEAST_NODE_MAJOR = 24;
const LITTLE_DISK_BYTES = 2 * 2 ** 30;
const NO_DISK_BYTES = 256 * 2 ** 20;

export function checkNode(): Finding {
  const id = 'node';
  const title = 'Node';
  const major = Number(process.versions.node.split('.')[0]);
  if (major >= LEAST_NODE_MAJOR) return ok(id, title, process.versions.node);
  return fail(
    id,
    title,
    `${process.versions.node} is older than ${LEAST_NODE_MAJOR}`,
    'mkscope does not run',
    'npm ci in the mkscope folder brings a current Node',
  );
}

export function checkPressure(): Finding {
  const id = 'psi';
  const title = 'pressure stall information';
  try {
    readFileSync('/proc/pressure/cpu', 'utf8');
    return ok(id, title, 'there');
  } catch (error) {
    const errno = errnoOf(error) ?? messageOf(error);
    const fix = errno === 'ENOENT' ? 'needs a kernel with CONFIG_PSI=y' : 'boot the kernel with psi=1';
    return warn(
      id,
      title,
      errno === 'ENOENT' ? 'not in this kernel' : `switched off (${errno})`,
      'no CPU, memory and I/O pressure metrics',
      fix,
    );
  }
}

/** Is this a multikernel host or a spawned kernel, and can its instances be seen? */
export function checkMultikernel(): Finding {
  const id = 'multikernel';
  const title = 'multikernel';
  const known = readText('/proc/filesystems').includes('multikernel') || existsSync('/proc/kimage');
  if (!known) return ok(id, title, `${release()} is an ordinary kernel: this machine has one kernel, id 0`);
  if (existsSync('/sys/fs/multikernel/instances')) return ok(id, title, 'the multikernel filesystem is mounted');
  return warn(
    id,
    title,
    'this kernel has it, its filesystem is not mounted',
    'the other kernels of this machine cannot be listed',
    'sudo mount -t multikernel none /sys/fs/multikernel',
  );
}

/** Room and permission for the data folder, or for the nearest folder above it that exists. */
export function checkDisk(folder: string): Finding {
  const id = 'disk';
  const title = 'data folder';
  const path = resolve(folder);
  const existing = nearestExisting(path);
  try {
    accessSync(existing, constants.W_OK | constants.X_OK);
  } catch (error) {
    const fix = `sudo install -d -o $(id -un) ${path}, or choose another with --data`;
    return fail(id, title, `${existing} cannot be written (${errnoOf(error) ?? messageOf(error)})`, 'nothing can be stored', fix);
  }
  const { bavail, bsize } = statfsSync(existing);
  const freeBytes = bavail * bsize;
  const detail = `${path}, ${formatBytes(freeBytes)} free`;
  if (freeBytes >= LITTLE_DISK_BYTES) return ok(id, title, detail);
  const fix = `make room on the disk of ${existing}, or choose another folder with --data`;
  if (freeBytes >= NO_DISK_BYTES) return warn(id, title, detail, 'a busy kernel fills this within hours', fix);
  return fail(id, title, detail, 'the store stops taking data when the disk is full', fix);
}

function nearestExisting(path: string): string {
  return existsSync(path) ? path : nearestExisting(dirname(path));
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
