/** Who wrote a record: machine, kernel, incarnation. One OTLP resource per incarnation (DESIGN §3). */
import { ATTR } from './attributes.ts';

/** The host kernel of a machine, and the only kernel of an ordinary one. */
export const HOST_KERNEL_ID = 0;
/** The stream of a kernel's log as the kernel itself gives it out. */
export const KMSG_STREAM = 'kmsg';

export interface KernelIdentity {
  /** `host.id`: stable over reboots (from /etc/machine-id). */
  readonly machineId: string;
  /** `host.name` of the machine (not of the kernel). */
  readonly machineName: string;
  /** Multikernel instance id; 0 = host. */
  readonly kernelId: number;
  readonly kernelName: string;
  /** Private to each boot of each kernel: the incarnation. */
  readonly bootId: string;
  /** `uname -r`. */
  readonly release: string;
  /** OTLP `host.arch`: `amd64`, `arm64`, … */
  readonly arch: string;
  /** Nobody said a boot id: who hears the kernel from outside made it up, and another may state the real one. */
  readonly isHeard?: boolean;
}

export type Attributes = Readonly<Record<string, string>>;

/** An OTLP resource; `identity` is set where the resource names a kernel of ours. */
export interface Resource {
  readonly attributes: Attributes;
  readonly schemaUrl: string;
  readonly identity: KernelIdentity | undefined;
}

export interface Scope {
  readonly name: string;
  readonly version: string;
  readonly attributes: Attributes;
  readonly schemaUrl: string;
}

export const SCHEMA_URL = 'https://opentelemetry.io/schemas/1.44.0';

export function toScope(name: string, version: string): Scope {
  return { name, version, attributes: {}, schemaUrl: SCHEMA_URL };
}

/** The resource of an incarnation; `extra` attributes win over nothing of the identity. */
export function toResource(identity: KernelIdentity, extra: Attributes = {}): Resource {
  return {
    attributes: {
      ...extra,
      [ATTR.serviceNamespace]: identity.machineName,
      [ATTR.serviceName]: identity.kernelName,
      [ATTR.serviceInstanceId]: identity.bootId,
      [ATTR.hostId]: identity.machineId,
      [ATTR.hostName]: identity.machineName,
      [ATTR.hostArch]: identity.arch,
      [ATTR.osType]: 'linux',
      [ATTR.osVersion]: identity.release,
      [ATTR.kernelId]: String(identity.kernelId),
      [ATTR.kernelName]: identity.kernelName,
      [ATTR.bootId]: identity.bootId,
      ...(identity.isHeard === true ? { [ATTR.bootHeard]: 'true' } : {}),
    },
    schemaUrl: SCHEMA_URL,
    identity,
  };
}

/** The identity that a received resource claims, or undefined when it is not a kernel's. */
export function toIdentity(attributes: Attributes): KernelIdentity | undefined {
  const kernelId = Number(attributes[ATTR.kernelId]);
  const bootId = attributes[ATTR.bootId];
  if (attributes[ATTR.kernelId] === undefined || !Number.isInteger(kernelId) || kernelId < 0 || bootId === undefined) return undefined;
  const machineName = attributes[ATTR.hostName] ?? attributes[ATTR.serviceNamespace] ?? '';
  return {
    machineId: attributes[ATTR.hostId] ?? machineName,
    machineName,
    kernelId,
    kernelName: attributes[ATTR.kernelName] ?? attributes[ATTR.serviceName] ?? `kernel-${kernelId}`,
    bootId,
    release: attributes[ATTR.osVersion] ?? '',
    arch: attributes[ATTR.hostArch] ?? '',
    ...(attributes[ATTR.bootHeard] === 'true' ? { isHeard: true } : {}),
  };
}

/** A resource from received attributes. */
export function fromAttributes(attributes: Attributes, schemaUrl = ''): Resource {
  return { attributes, schemaUrl, identity: toIdentity(attributes) };
}
