/** Who the ends of a message are: incarnations of the kernels of a machine over time, and whose CPU was which. */
import type { KernelIdentity } from '../model/identity.ts';
import { HOST_KERNEL_ID } from '../model/identity.ts';
import { NONE } from './ikc-halves.ts';

/** Owners of CPUs are kept per machine; a machine has fewer. */
const MAX_OWNERS = 65_536;
/** Incarnations that are remembered; the oldest go first. */
const MAX_INCARNATIONS = 4096;

export interface Incarnation {
  readonly identity: KernelIdentity;
  readonly index: number;
  /** First and last that is known of it, Unix ns. */
  startNs: bigint;
  /** How far its message records have come, Unix ns; 0 = none has. */
  frontNs: bigint;
  /** It is over: nothing will come that is later than this. */
  endNs: bigint | undefined;
  /** Halves of its own have come. */
  hasHalves: boolean;
}

export class IkcKernels {
  readonly list: Incarnation[] = [];
  readonly #byBoot = new Map<string, Incarnation>();
  /** Machine and kernel id → its incarnations, by start. */
  readonly #byKernel = new Map<string, Incarnation[]>();
  /** Machine and physical CPU → kernel id. */
  readonly #owners = new Map<string, number>();

  /** An incarnation, known from `seenNs` on. */
  note(identity: KernelIdentity, seenNs: bigint): Incarnation {
    const known = this.#byBoot.get(identity.bootId);
    if (known !== undefined) {
      if (seenNs < known.startNs) {
        known.startNs = seenNs;
        this.#incarnationsOf(identity.machineId, identity.kernelId).sort(byStart);
      }
      return known;
    }
    const made: Incarnation = {
      identity,
      index: this.list.length,
      startNs: seenNs,
      frontNs: 0n,
      endNs: undefined,
      hasHalves: false,
    };
    this.list.push(made);
    this.#byBoot.set(identity.bootId, made);
    const key = `${identity.machineId}\n${identity.kernelId}`;
    const all = [...this.#incarnationsOf(identity.machineId, identity.kernelId), made].sort(byStart);
    this.#byKernel.set(key, all.slice(-MAX_INCARNATIONS));
    return made;
  }

  /** A kernel ended at a moment, as its host says: the life that ran then takes nothing more. */
  end(machineId: string, kernelId: number, atNs: bigint): void {
    const life = this.at(machineId, kernelId, atNs);
    if (life !== undefined && life.startNs <= atNs && life.endNs === undefined) life.endNs = atNs;
  }

  find(bootId: string): Incarnation | undefined {
    return this.#byBoot.get(bootId);
  }

  /** The incarnation that ran at a moment; before its first, that one. */
  at(machineId: string, kernelId: number, atNs: bigint): Incarnation | undefined {
    const all = this.of(machineId, kernelId);
    let found = all[0];
    for (const one of all) if (one.startNs <= atNs) found = one;
    return found;
  }

  /**
   * The incarnations of a kernel, by start: those that recorded messages, where any did. The collector of a lab, say, runs on a
   * kernel that has the host's id as well, and no part in this.
   */
  of(machineId: string, kernelId: number): readonly Incarnation[] {
    const all = this.#incarnationsOf(machineId, kernelId);
    const recorded = all.filter(({ hasHalves }) => hasHalves);
    return recorded.length === 0 ? all : recorded;
  }

  /** The one that followed it. */
  after({ identity, startNs }: Incarnation): Incarnation | undefined {
    return this.of(identity.machineId, identity.kernelId).find((one) => one.startNs > startNs);
  }

  /** Whose CPUs were whose is known to another one. */
  copyOwners(other: IkcKernels): void {
    for (const [cpu, owner] of other.#owners) this.#owners.set(cpu, owner);
  }

  setOwner(machineId: string, cpu: number, kernelId: number): void {
    const key = `${machineId}\n${cpu}`;
    if (this.#owners.size < MAX_OWNERS || this.#owners.has(key)) this.#owners.set(key, kernelId);
  }

  /** Whose CPU; a spawned kernel hears the host only; undefined = not known. */
  ownerOf(machineId: string, receiverId: number, cpu: number): number | undefined {
    if (receiverId !== HOST_KERNEL_ID) return HOST_KERNEL_ID;
    return this.#owners.get(`${machineId}\n${cpu}`) ?? this.onlySpawn(machineId);
  }

  /** The one kernel of a machine beside its host, where there is one only. */
  onlySpawn(machineId: string): number | undefined {
    const ids = new Set<number>();
    for (const key of this.#byKernel.keys()) {
      const [machine, id] = key.split('\n');
      if (machine === machineId && Number(id) !== HOST_KERNEL_ID) ids.add(Number(id));
    }
    const [first, ...others] = ids;
    return others.length === 0 ? first : undefined;
  }

  #incarnationsOf(machineId: string, kernelId: number): Incarnation[] {
    return this.#byKernel.get(`${machineId}\n${kernelId}`) ?? [];
  }
}

function byStart(a: Incarnation, b: Incarnation): number {
  return a.startNs < b.startNs ? -1 : a.startNs > b.startNs ? 1 : a.index - b.index;
}

/** A life by its place in the list, from a moment on, ns since the base of the matcher. */
export interface Life {
  readonly fromNs: number;
  readonly index: number;
}

/** The life that a moment is in; before the first, that one. */
export function lifeAt(lives: readonly Life[], atNs: number): number {
  for (const { fromNs, index } of lives) if (fromNs <= atNs) return index;
  return lives.at(-1)?.index ?? NONE;
}
