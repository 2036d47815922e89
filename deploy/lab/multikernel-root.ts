/**
 * A folder that looks as a Multikernel host does to a collector (`--root DIR`), and follows what the lab's kernels really do:
 *
 *   sys/fs/multikernel/device_tree                        the pool
 *   sys/fs/multikernel/instances/<name>/{id,status,device_tree}
 *   proc/kimage                                           loaded images
 *   var/lib/kerf/instances/<name>.json                    what kerf writes on load
 *   dev/mktty                                             a socket: write "<id>\n", then read and write that kernel's console
 *   etc/machine-id, proc/sys/kernel/…                     who the host kernel is
 *
 * `status` is what the host kernel's mkikc says. A socket stands for the character device, since only a kernel can make one; and
 * addresses and the number of segments stand for those of a kexec image, since QEMU loads the kernels here.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { encodeDeviceTree, text, u32, u64 } from './device-tree.ts';

export interface RootInstance {
  readonly id: number;
  readonly name: string;
  readonly release: string;
  readonly cpus: readonly number[];
  readonly memoryMib: number;
  readonly vmlinuz: string;
  readonly initramfs: string;
  readonly commandLine: string;
}

export type InstanceState = 'ready' | 'loaded' | 'active';

/** Where the pool's memory begins; each instance has a range of its own. */
const POOL_BASE = 0x1_0000_0000;
const MIB = 1 << 20;

export class MultikernelRoot {
  readonly path: string;
  readonly #instances = new Map<string, { readonly instance: RootInstance; state: InstanceState }>();

  constructor(path: string) {
    this.path = path;
    mkdirSync(join(path, 'sys/fs/multikernel/instances'), { recursive: true });
    mkdirSync(join(path, 'sys/fs/multikernel/overlays'), { recursive: true });
    mkdirSync(join(path, 'dev'), { recursive: true });
    this.#writeImages();
  }

  /** Who the host kernel is, as collector/identity.ts reads it. */
  writeHost(host: { readonly machineId: string; readonly machineName: string; readonly bootId: string; readonly release: string }): void {
    this.#write('etc/machine-id', `${host.machineId}\n`);
    this.#write('proc/sys/kernel/hostname', `${host.machineName}\n`);
    this.#write('proc/sys/kernel/random/boot_id', `${host.bootId}\n`);
    this.#write('proc/sys/kernel/osrelease', `${host.release}\n`);
  }

  /** The state of an instance changed; `instance` makes it, undefined removes it. */
  set(name: string, state: InstanceState | undefined, instance?: RootInstance): void {
    const folder = `sys/fs/multikernel/instances/${name}`;
    const known = this.#instances.get(name)?.instance ?? instance;
    if (state === undefined || known === undefined) {
      this.#instances.delete(name);
      rmSync(join(this.path, folder), { recursive: true, force: true });
      rmSync(join(this.path, `var/lib/kerf/instances/${name}.json`), { force: true });
    } else {
      const isNew = !this.#instances.has(name);
      const before = this.#instances.get(name)?.state;
      this.#instances.set(name, { instance: known, state });
      if (isNew) this.#writeInstance(folder, known);
      this.#write(`${folder}/status`, `${state}\n`);
      if (state === 'loaded' && before === 'ready') this.#writeKerf(known);
    }
    this.#writePool();
    this.#writeImages();
  }

  #writeInstance(folder: string, instance: RootInstance): void {
    const tree = encodeDeviceTree({
      properties: { compatible: text('multikernel-v1'), model: text(instance.name), id: u32(instance.id) },
      children: {
        resources: {
          properties: {
            'memory-base': u64(memoryBase(instance)),
            'memory-bytes': u64(instance.memoryMib * MIB),
            cpus: u64(...instance.cpus),
          },
        },
      },
    });
    this.#write(`${folder}/id`, `${instance.id}\n`);
    this.#write(`${folder}/device_tree`, tree);
  }

  #writePool(): void {
    const instances = [...this.#instances.values()].map(({ instance }) => instance);
    const memory = instances.map((instance) => [
      `memory@${memoryBase(instance).toString(16)}`,
      {
        properties: {
          device_type: text('memory'),
          reg: u64(memoryBase(instance), instance.memoryMib * MIB),
          'numa-node-id': u32(0),
        },
      },
    ]);
    const tree = encodeDeviceTree({
      properties: { compatible: text('multikernel-v1'), id: u32(0) },
      children: {
        resources: {
          properties: { cpus: u64(...instances.flatMap(({ cpus }) => cpus)), 'cpus-available': u64() },
          children: Object.fromEntries(memory) as Record<string, object>,
        },
      },
    });
    this.#write('sys/fs/multikernel/device_tree', tree);
  }

  #writeImages(): void {
    const rows = [...this.#instances.values()]
      .filter(({ state }) => state !== 'ready')
      .map(({ instance: { id, commandLine } }) => {
        const start = `0x${(POOL_BASE + 0x100_0000).toString(16).padStart(12, '0')}`;
        return `${String(id).padStart(5)}  ${'multikernel'.padEnd(10)}  ${start}  ${'4'.padStart(8)}  file  "${commandLine}"`;
      });
    const header = 'MK_ID  Type        Start Address   Segments  Mode  Cmdline';
    this.#write('proc/kimage', `${[header, '-'.repeat(header.length), ...rows].join('\n')}\n`);
  }

  #writeKerf({ name, vmlinuz, initramfs, release }: RootInstance): void {
    const metadata = {
      kernel: { path: vmlinuz, format: 'bzImage', version: release },
      initrd: { path: initramfs, compression: 'none' },
      rootfs: null,
      loaded_at: new Date().toISOString(),
    };
    this.#write(`var/lib/kerf/instances/${name}.json`, `${JSON.stringify(metadata, undefined, 2)}\n`);
  }

  #write(path: string, content: string | Uint8Array): void {
    const target = join(this.path, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, content);
  }
}

/** 4 GiB apart: no range of one instance reaches into another's. */
function memoryBase({ id }: RootInstance): number {
  return POOL_BASE * (id + 1);
}
