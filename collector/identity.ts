/**
 * Who this kernel is (DESIGN §3): read from files only, below a root folder that tests replace.
 *
 *   /etc/machine-id                           → machineId       else the DMI or device-tree serial, else the host name
 *   /etc/hostname, /proc/sys/kernel/hostname  → machineName
 *   /proc/sys/kernel/random/boot_id           → bootId          private to each boot of each kernel
 *   /proc/sys/kernel/osrelease                → release
 *   /sys/firmware/devicetree/base/{model,id}  → a spawned kernel: its name, and its id as 4 bytes big-endian
 *   /sys/fs/multikernel/instances/<name>/id   → the same, where the device tree is silent; only inside a spawn
 *   /dev/kmsg                                 → the same, from the line in which the kernel itself says it; only inside a spawn
 *
 * A spawned kernel has no machine id of its own: the host's is given to it by configuration (`overrides`). Not handled: what
 * the host knows of its spawns (that is discovery on the host side, not identity).
 */
import { closeSync, constants, existsSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { errnoOf } from '../base/errors.ts';
import { HOST_KERNEL_ID, type KernelIdentity } from '../model/identity.ts';

/** Spawn ids are 9 bits wide in kerf; a board's own `id` property that is larger is no multikernel id. */
const MAX_KERNEL_ID = 511;
/** `hdr.hardware_subarch` in struct boot_params (Documentation/arch/x86/boot.rst), and its value for a spawned kernel. */
const SUBARCH_OFFSET = 0x23c;
const SUBARCH_MULTIKERNEL = 5;
/** `multikernel.id=3` or `multikernel_id=3`: for operators whose spawn has neither of the above. */
const COMMAND_LINE_ID = /\bmultikernel[._]id=(\d+)/;
/** A spawned kernel finds its id in the tree that its host left it, and prints it among its first some hundred lines. */
const IDENTITY_LINE = /DTB contains instance ID (\d{1,9}), name '([^'\n]{1,255})'/;
const MAX_LOG_RECORDS = 4096;
/** PRINTKRB_RECORD_MAX of the newest kernels; less would be EINVAL. */
const LOG_RECORD_BYTES = 8192;

/** OTLP `host.arch` values of Node's names. */
const ARCH: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: 'x86',
  arm64: 'arm64',
  arm: 'arm32',
  ppc64: 'ppc64',
  s390x: 's390x',
};

export interface IdentitySettings {
  /** Folder that stands for `/`. */
  readonly root?: string;
  /** Win over everything discovered. */
  readonly overrides?: Partial<KernelIdentity>;
}

export function discoverIdentity(settings: IdentitySettings = {}): KernelIdentity {
  const root = settings.root ?? '/';
  const machineName = readText(root, 'proc/sys/kernel/hostname') || readText(root, 'etc/hostname') || hostname();
  const spawn = discoverSpawn(root);
  const discovered: KernelIdentity = {
    machineId: discoverMachineId(root, machineName),
    machineName,
    kernelId: spawn?.id ?? HOST_KERNEL_ID,
    kernelName: spawn?.name ?? 'host',
    bootId: discoverBootId(root),
    release: readText(root, 'proc/sys/kernel/osrelease'),
    arch: ARCH[process.arch] ?? process.arch,
  };
  const overrides = settings.overrides ?? {};
  // A kernel that is renumbered by hand should not keep the name `host`.
  const renamed =
    overrides.kernelId !== undefined && overrides.kernelId !== HOST_KERNEL_ID && overrides.kernelName === undefined && spawn === undefined;
  return { ...discovered, ...(renamed ? { kernelName: `kernel-${overrides.kernelId}` } : {}), ...overrides };
}

function discoverMachineId(root: string, machineName: string): string {
  for (const path of ['etc/machine-id', 'var/lib/dbus/machine-id']) {
    const id = readText(root, path);
    // systemd writes `uninitialized` on first boot.
    if (/^[0-9a-f]{32}$/.test(id)) return id;
  }
  for (const path of ['sys/class/dmi/id/product_uuid', 'sys/firmware/devicetree/base/serial-number']) {
    const serial = readText(root, path);
    if (serial.length >= 6) return createHash('sha256').update(serial).digest('hex').slice(0, 32);
  }
  return createHash('sha256').update(`hostname:${machineName}`).digest('hex').slice(0, 32);
}

function discoverBootId(root: string): string {
  const id = readText(root, 'proc/sys/kernel/random/boot_id');
  if (id !== '') return id;
  // Without CONFIG_SYSCTL the boot is named by its time, which is the same for every reader of this boot.
  const bootTime = /^btime (\d+)$/m.exec(readText(root, 'proc/stat'))?.[1] ?? '0';
  return `btime-${bootTime}`;
}

function discoverSpawn(root: string): { readonly id: number; readonly name: string } | undefined {
  const tree = join(root, 'sys/firmware/devicetree/base');
  const idBytes = readBytes(join(tree, 'id'));
  // An arm64 board has a `model` too; only a multikernel tree has `id` and the multikernel properties below `chosen`.
  if (idBytes?.length === 4 && isMultikernelTree(tree)) {
    const id = idBytes.readUInt32BE(0);
    if (id > 0 && id <= MAX_KERNEL_ID) return { id, name: readText(tree, 'model') || `kernel-${id}` };
  }
  return isSpawnedKernel(root) ? discoverFromInstances(root) : undefined;
}

function isMultikernelTree(tree: string): boolean {
  if (existsSync(join(tree, 'resources/cpus'))) return true;
  return listNames(join(tree, 'chosen')).some((name) => name.startsWith('multikernel,'));
}

/**
 * A host lists its spawns in the same place as a spawn lists itself. What tells them apart is the x86 boot protocol's
 * `hardware_subarch` (MULTIKERNEL = 5, printed by the first line of a spawn's log), or an id on the command line.
 */
function isSpawnedKernel(root: string): boolean {
  const bootParams = readBytes(join(root, 'sys/kernel/boot_params/data'));
  if (bootParams !== undefined && bootParams.length >= SUBARCH_OFFSET + 4) {
    if (bootParams.readUInt32LE(SUBARCH_OFFSET) === SUBARCH_MULTIKERNEL) return true;
  }
  return COMMAND_LINE_ID.test(readText(root, 'proc/cmdline'));
}

function discoverFromInstances(root: string): { readonly id: number; readonly name: string } | undefined {
  const folder = join(root, 'sys/fs/multikernel/instances');
  const [name, ...others] = listNames(folder);
  if (name !== undefined && others.length === 0) {
    const id = Number(readText(folder, `${name}/id`));
    if (Number.isInteger(id) && id > 0 && id <= MAX_KERNEL_ID) return { id, name };
  }
  const said = readIdentityLine(root);
  if (said !== undefined) return said;
  const id = Number(COMMAND_LINE_ID.exec(readText(root, 'proc/cmdline'))?.[1]);
  return id > 0 && id <= MAX_KERNEL_ID ? { id, name: `kernel-${id}` } : undefined;
}

/** What the kernel's log says; undefined where the line is gone, or the log is not ours to read. */
function readIdentityLine(root: string): { readonly id: number; readonly name: string } | undefined {
  let fd: number;
  try {
    fd = openSync(join(root, 'dev/kmsg'), constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const record = Buffer.alloc(LOG_RECORD_BYTES);
    for (let count = 0; count < MAX_LOG_RECORDS; count++) {
      const sizeBytes = readLogRecord(fd, record);
      if (sizeBytes === 0) return undefined;
      const [, digits, name] = IDENTITY_LINE.exec(record.toString('utf8', 0, sizeBytes)) ?? [];
      const id = Number(digits);
      if (name !== undefined && id > 0 && id <= MAX_KERNEL_ID) return { id, name };
    }
    return undefined;
  } finally {
    closeSync(fd);
  }
}

/** Bytes of the next record; 0 at the end. One that was overwritten while we read (EPIPE) is passed over. */
function readLogRecord(fd: number, into: Buffer): number {
  for (;;) {
    try {
      return readSync(fd, into, 0, into.length, null);
    } catch (error) {
      if (errnoOf(error) !== 'EPIPE') return 0;
    }
  }
}

function listNames(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function readBytes(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

/** Text of a small file without its line end and NULs; empty where it cannot be read. */
function readText(root: string, path: string): string {
  return readBytes(join(root, path))?.toString('utf8').replaceAll('\0', '').trim() ?? '';
}
