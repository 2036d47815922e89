/** Who a guest is: what it says of itself, within what the operator allows. */
import { HOST_KERNEL_ID, type KernelIdentity } from '../model/identity.ts';
import type { GuestHello } from '../parsers/guest-payloads.ts';

/** Which kernel a stream may be: exactly one, or any that it says. */
export type KernelRule = number | 'any';

/** OTLP `host.arch` values of `uname -m`. */
const ARCH: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  i686: 'x86',
  aarch64: 'arm64',
  armv7l: 'arm32',
  ppc64le: 'ppc64',
  ppc64: 'ppc64',
  s390x: 's390x',
};

/** The identity of the guest's incarnation; a string says why it may not have it. A guest is never the host unless it is told so. */
export function toGuestIdentity(
  hello: GuestHello,
  machine: Pick<KernelIdentity, 'machineId' | 'machineName'>,
  rule: KernelRule | undefined,
  name: string | undefined,
): KernelIdentity | string {
  const kernelId = hello.kernelId ?? (typeof rule === 'number' ? rule : undefined);
  if (kernelId === undefined) return 'the guest does not know its kernel id: say it with "kernel" here, or with mkfwd --id there';
  if (typeof rule === 'number' && kernelId !== rule)
    return `the guest says that it is kernel ${kernelId}, and this stream is kernel ${rule}`;
  if (rule === undefined && kernelId === HOST_KERNEL_ID) {
    return 'the guest says that it is kernel 0, the host: only "kernel: 0" or "kernel: any" allows that';
  }
  return {
    machineId: machine.machineId,
    machineName: machine.machineName,
    kernelId,
    kernelName: name ?? (hello.kernelName === '' ? `kernel-${kernelId}` : hello.kernelName),
    bootId: hello.bootId,
    release: hello.release,
    arch: ARCH[hello.machine] ?? hello.machine,
  };
}
