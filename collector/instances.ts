/**
 * The instances of a Multikernel host, as its files show them (all below a root folder that a lab replaces):
 *
 *   /sys/fs/multikernel/instances/<name>/{id,status}      cheap: read each time
 *   /sys/fs/multikernel/instances/<name>/device_tree      CPUs, memory, devices; some kernels log each reading, so only on change
 *   /proc/kimage                                          command line of the loaded image, by id
 *   /var/lib/kerf/instances/<name>.json                   what kerf loaded, and when; not there without kerf
 *
 * An instance can vanish between two of these reads: what is gone is left out. One that becomes another between them (its id or state is
 * not what it was before its tree was read) has no resources until the next look. The fields of generations differ (`loading` was
 * `loaded`, `device_tree_source` was `device_tree`): words are handed on as they stand there.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../base/errors.ts';
import { redactSecrets } from '../model/redact.ts';
import { parseDeviceTree, readU64List, type DeviceTreeNode } from '../parsers/device-tree.ts';
import { parseKimage } from '../parsers/kimage.ts';

const FOLDER = 'sys/fs/multikernel';
const INSTANCES = `${FOLDER}/instances`;
const KERF = 'var/lib/kerf/instances';
/** kerf gives ids up to 511. */
const MAX_INSTANCES = 512;
/** The kernel takes overlays of at most 1 MB; what it shows is no larger. */
const MAX_FILE_BYTES = 4 << 20;
/** The names are the operator's; the kernel's own bound is a file name. */
const MAX_NAME_CHARS = 255;
/** CPUs and devices in one line. */
const MAX_SAID = 32;

export interface InstanceStatus {
  readonly name: string;
  /** -1 where it cannot be read. */
  readonly id: number;
  /** `ready`, `loaded`, `active`, … as the kernel says it; empty where it cannot be read. */
  readonly state: string;
}

export interface InstanceResources {
  /** Physical ids (APIC, MPIDR, hartid). */
  readonly cpus: readonly bigint[];
  readonly memoryBytes: bigint;
  /** First physical address; undefined where the tree does not say. */
  readonly memoryBase: bigint | undefined;
  /** `0000:03:00.0` of PCI devices, the node's name of others. */
  readonly devices: readonly string[];
  /** What is loaded: path and version of the image, and its command line without secrets. Empty where nobody says. */
  readonly image: string;
  readonly release: string;
  readonly commandLine: string;
  /** ISO 8601; empty where nobody says. */
  readonly loadedAt: string;
  /** What could not be read, in words; empty = nothing. */
  readonly problem: string;
}

/** Is this the host of a Multikernel machine, with its filesystem mounted? */
export function hasInstances(root: string): boolean {
  return existsSync(join(root, INSTANCES));
}

/** What is said of an instance whose tree and state are not of one moment. */
export const CHANGED_MEANWHILE = 'it changed while it was read';

/** All instances, by name. Throws what the system says where the folder cannot be listed. */
export function listInstances(root: string): InstanceStatus[] {
  const names = readdirSync(join(root, INSTANCES), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name.length <= MAX_NAME_CHARS)
    .map((entry) => entry.name)
    .sort();
  return names.slice(0, MAX_INSTANCES).flatMap((name) => {
    const status = readStatus(root, name);
    return status === undefined ? [] : [status];
  });
}

function readStatus(root: string, name: string): InstanceStatus | undefined {
  const id = readFile(root, `${INSTANCES}/${name}/id`);
  const state = readFile(root, `${INSTANCES}/${name}/status`);
  if (id === undefined && state === undefined) return undefined;
  const number = /^\d{1,9}\s*$/.test(id?.toString() ?? '') ? Number(id) : -1;
  return { name, id: number, state: (state?.toString() ?? '').trim().slice(0, 64) };
}

function isStill(root: string, { name, id, state }: InstanceStatus): boolean {
  const now = readStatus(root, name);
  return now?.id === id && now.state === state;
}

/** Pairs of instances that are said to have the same CPU, device or memory, in words. */
export function findOverlaps(instances: readonly { readonly status: InstanceStatus; readonly resources: InstanceResources }[]): string[] {
  const found: string[] = [];
  for (const [at, one] of instances.entries()) {
    for (const other of instances.slice(at + 1)) {
      const shared = [
        toList('CPU', one.resources.cpus, other.resources.cpus),
        toList('device', one.resources.devices, other.resources.devices),
        hasSameMemory(one.resources, other.resources) ? 'memory' : '',
      ].filter((part) => part !== '');
      const names = [one, other].map(({ status: { id, name } }) => `${id} (${name})`);
      if (shared.length > 0) found.push(`Instances ${names.join(' and ')} are both said to have ${shared.join(', ')}`);
    }
  }
  return found;
}

function toList<Of extends bigint | string>(word: string, a: readonly Of[], b: readonly Of[]): string {
  const others = new Set(b);
  const both = a.filter((one) => others.has(one));
  return both.length === 0 ? '' : `${word} ${both.slice(0, MAX_SAID).join(',')}${both.length > MAX_SAID ? ', …' : ''}`;
}

function hasSameMemory(a: InstanceResources, b: InstanceResources): boolean {
  if (a.memoryBase === undefined || b.memoryBase === undefined || a.memoryBytes === 0n || b.memoryBytes === 0n) return false;
  return a.memoryBase < b.memoryBase + b.memoryBytes && b.memoryBase < a.memoryBase + a.memoryBytes;
}

/** Changes whenever an overlay was applied or rolled back: CPUs, memory and devices move with overlays only. */
export function overlayMark(root: string): string {
  try {
    return readdirSync(join(root, `${FOLDER}/overlays`))
      .sort()
      .join(' ');
  } catch {
    // RFC kernels have no such folder: then only a change of state has the trees read again.
    return '';
  }
}

export function readResources(root: string, status: InstanceStatus): InstanceResources {
  const { name, id } = status;
  const blob = readFile(root, `${INSTANCES}/${name}/device_tree`) ?? readFile(root, `${INSTANCES}/${name}/device_tree_source`);
  const tree = blob === undefined ? 'it has no device tree' : isStill(root, status) ? parseDeviceTree(blob) : CHANGED_MEANWHILE;
  const image = parseKimage(readFile(root, 'proc/kimage')?.toString() ?? '').find((one) => one.id === id && one.type === 'multikernel');
  const kerf = readKerf(root, name);
  return {
    ...readTree(typeof tree === 'string' ? undefined : tree),
    ...kerf,
    commandLine: redactSecrets(image?.commandLine ?? ''),
    problem: typeof tree === 'string' ? tree : '',
  };
}

function readTree(tree: DeviceTreeNode | undefined): Pick<InstanceResources, 'cpus' | 'memoryBytes' | 'memoryBase' | 'devices'> {
  const resources = tree?.children.get('resources');
  const devices = resources?.children.get('devices') ?? tree?.children.get('devices');
  return {
    cpus: readU64List(resources, 'cpus'),
    memoryBytes: readU64List(resources, 'memory-bytes')[0] ?? 0n,
    memoryBase: readU64List(resources, 'memory-base')[0],
    devices: [...(devices?.children ?? [])].map(([node, { properties }]) => {
      const pciId = properties.get('pci-id');
      return pciId === undefined ? node : Buffer.from(pciId).toString('latin1').replace(/\0.*$/s, '');
    }),
  };
}

/** Written by a tool in a language of its own: any part may be missing or of another kind. */
function readKerf(root: string, name: string): Pick<InstanceResources, 'image' | 'release' | 'loadedAt'> {
  const none = { image: '', release: '', loadedAt: '' };
  const bytes = readFile(root, `${KERF}/${name}.json`);
  if (bytes === undefined) return none;
  try {
    const { kernel, loaded_at: loadedAt } = JSON.parse(bytes.toString()) as {
      kernel?: { path?: unknown; version?: unknown };
      loaded_at?: unknown;
    };
    return { image: toText(kernel?.path), release: toText(kernel?.version), loadedAt: toText(loadedAt) };
  } catch {
    // It is being written, or is none of kerf's; the next change has it read again.
    return none;
  }
}

function toText(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, 1024) : '';
}

/** undefined where it is not there, not ours to read, or too large to be what it should be. */
function readFile(root: string, path: string): Buffer | undefined {
  const full = join(root, path);
  try {
    if (statSync(full).size > MAX_FILE_BYTES) return undefined;
    return readFileSync(full);
  } catch (error) {
    // Anything but a refusal of the system is a bug.
    if (errnoOf(error) === undefined) throw error;
    return undefined;
  }
}
