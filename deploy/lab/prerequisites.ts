/** What the lab needs of this machine, checked before anything is made: programs, memory, disk, architecture. */
import { accessSync, constants, statfsSync } from 'node:fs';
import { freemem } from 'node:os';
import { delimiter, join } from 'node:path';
import { OperationalError } from '../../base/errors.ts';

/** Program → the Debian package that has it. */
const PROGRAMS: Readonly<Record<string, string>> = {
  'qemu-system-x86_64': 'qemu-system-x86',
  'apt-get': 'apt',
  'dpkg-deb': 'dpkg',
  tar: 'tar',
  xz: 'xz-utils',
  busybox: 'busybox-static',
  gcc: 'gcc libc6-dev',
  make: 'make libelf1',
  setpriv: 'util-linux',
};
/** Resident memory of one guest: 240–490 MB measured, and the bus. */
const GUEST_BYTES = 512 << 20;
/** Image and headers of one kernel while they are unpacked. */
const KERNEL_DISK_BYTES = 400 << 20;

/** Throws OperationalError with the command that mends it. `absentKernels`: those that have to be downloaded first. */
export function checkPrerequisites(needs: {
  readonly kernels: number;
  readonly absentKernels: number;
  readonly cacheDir: string;
  readonly useKvm: boolean;
}): void {
  if (process.arch !== 'x64') {
    throw new OperationalError('E_LAB_TOOLS', `the lab boots x86-64 kernels, and this machine is ${process.arch}`, 'use an x86-64 machine');
  }
  const missing = Object.entries(PROGRAMS).filter(([program]) => !isOnPath(program));
  if (missing.length > 0) {
    const packages = [...new Set(missing.flatMap(([, names]) => names.split(' ')))].join(' ');
    throw new OperationalError(
      'E_LAB_TOOLS',
      `the lab needs ${missing.map(([program]) => program).join(', ')}`,
      `sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages}`,
    );
  }
  if (needs.useKvm && !isWritable('/dev/kvm')) {
    throw new OperationalError(
      'E_LAB_TOOLS',
      '--kvm needs /dev/kvm, which is not there or not ours to use',
      'leave --kvm out: emulation works everywhere',
    );
  }
  const memoryBytes = needs.kernels * GUEST_BYTES;
  if (freemem() < memoryBytes) {
    throw new OperationalError(
      'E_LAB_TOOLS',
      `${needs.kernels} kernels need ${toMib(memoryBytes)} MiB of memory, ${toMib(freemem())} MiB are free`,
      'start fewer: mkscope lab up --kernels 2',
    );
  }
  const { bavail, bsize } = statfsSync(needs.cacheDir);
  const diskBytes = needs.absentKernels * KERNEL_DISK_BYTES;
  if (bavail * bsize < diskBytes) {
    throw new OperationalError(
      'E_DISK_FULL',
      `${needs.absentKernels} kernels to unpack need ${toMib(diskBytes)} MiB in ${needs.cacheDir}, ${toMib(bavail * bsize)} MiB are free`,
      'make room, or name another folder with --cache DIR',
    );
  }
}

function isOnPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function toMib(bytes: number): number {
  return Math.round(bytes / (1 << 20));
}
