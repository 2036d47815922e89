/** The command line of one guest, and why each part of it is there (facts of QEMU 7.2 with software emulation). */
import { join } from 'node:path';

/** Sockets of a running kernel in its folder: the lab listens, QEMU connects. */
export const PORTS = ['qmp', 'console', 'control', 'stream'] as const;
export type PortName = (typeof PORTS)[number];

export interface GuestSpec {
  readonly id: number;
  readonly name: string;
  readonly release: string;
  readonly cpus: number;
  readonly memoryMib: number;
  readonly vmlinuz: string;
  readonly initramfs: string;
  /** Folder of the kernel's sockets. */
  readonly dir: string;
  /** Socket of the bus (ivshmem). */
  readonly busPath: string;
  /** Ids of the spawns, for the host kernel's network links; a spawn has one link of its own. */
  readonly spawnIds: readonly number[];
  /** Folder of the links' sockets. */
  readonly netDir: string;
  readonly events: readonly string[];
  readonly clock: string;
  readonly bufferKb: number;
  readonly useKvm: boolean;
  /** It runs a collector of its own instead of the forwarder, which reaches the hub through this machine's loopback. */
  readonly isInside: boolean;
  /** Added to the kernel's command line. */
  readonly append: string;
}

/** The machine that runs QEMU, its loopback included: to a guest an address of QEMU's user network, under a name that a hub on loopback takes. */
export const MACHINE_NAME = 'localhost';

export function toQemuArgs(spec: GuestSpec): string[] {
  return [
    // Several threads hung or killed kernels whose tracepoints were switched (3 of 3 runs); one thread per guest did not.
    spec.useKvm
      ? ['-accel', 'kvm', '-cpu', 'host']
      : ['-accel', 'tcg,thread=single', '-cpu', spec.isInside ? INSIDE_CPU : cpuModel(spec.release)],
    ['-M', 'q35', '-smp', String(spec.cpus), '-m', `${spec.memoryMib}M`],
    ['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    // QEMU would power off before the backtrace of a panic is printed.
    ['-action', 'panic=none', '-device', 'pvpanic-pci'],
    ['-kernel', spec.vmlinuz, '-initrd', spec.initramfs, '-append', toCommandLine(spec)],
    PORTS.flatMap((name) => ['-chardev', `socket,id=${name},path=${join(spec.dir, name)}`]),
    ['-mon', 'chardev=qmp,mode=control', '-serial', 'chardev:console'],
    ['-device', 'virtio-serial-pci,max_ports=4'],
    ['-device', 'virtserialport,chardev=control,name=control', '-device', 'virtserialport,chardev=stream,name=stream'],
    ['-chardev', `socket,id=bus,path=${spec.busPath}`, '-device', 'ivshmem-doorbell,chardev=bus,vectors=1'],
    networkArgs(spec),
  ].flat();
}

/** Node computes with whatever vectors there are: without AVX, which is slow to emulate, it starts in three quarters of the time. */
const INSIDE_CPU = 'qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt';

/** 6.1 does not come up with every feature that QEMU can emulate; later kernels need more than the plain model. */
function cpuModel(release: string): string {
  return release.startsWith('6.1.') ? 'qemu64' : 'max,la57=off';
}

/** Of the kernel, as it boots. */
export function toCommandLine(spec: GuestSpec): string {
  return [
    'console=ttyS0',
    'mitigations=off',
    'panic=-1',
    'tsc=reliable',
    // QEMU's emulated RTC and PIT are enough; without these waits a guest is up some 2 s earlier.
    'random.trust_cpu=on',
    'raid=noautodetect',
    `multikernel.id=${spec.id}`,
    `multikernel.name=${spec.name}`,
    `mkscope.events=${spec.events.join(',')}`,
    `mkscope.clock=${spec.clock}`,
    `mkscope.buffer_kb=${spec.bufferKb}`,
    spec.isInside ? 'mkscope.inside=1' : '',
    spec.append,
  ]
    .filter((word) => word !== '')
    .join(' ');
}

/** The last byte of an address names the spawn at the other end. */
function networkArgs({ id, spawnIds, netDir, isInside }: GuestSpec): string[] {
  const peers = id === 0 ? spawnIds : [id];
  const links = peers.flatMap((spawn) => [
    '-netdev',
    `stream,id=net${spawn},server=${id === 0 ? 'on' : 'off'},addr.type=unix,addr.path=${join(netDir, `net${spawn}`)}`,
    '-device',
    `virtio-net-pci,netdev=net${spawn},romfile=,mac=52:54:00:4d:${id === 0 ? '00' : '01'}:${spawn.toString(16).padStart(2, '0')}`,
  ]);
  return isInside ? [...links, '-netdev', 'user,id=hub', '-device', 'virtio-net-pci,netdev=hub,romfile=,mac=52:54:00:4d:02:00'] : links;
}
