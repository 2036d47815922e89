/**
 * Who a sender says it is, held against who was heard before. A boot id is one boot of one kernel, and all that the hub keeps of a
 * kernel hangs on it: were two kernels to share one, their lines, clocks and books would be mixed up.
 *
 *   boot id  ── first heard as ──► kernel 1 of machine A       holds it as long as it speaks, and for a minute after
 *            ── claimed as ──────► kernel 2, or machine B      refused (E_IDENTITY_TAKEN), said in the log of the holder
 *
 * A sender that was configured anew keeps its records and tries again, so after a minute nothing is lost. Who has a credential that is
 * bound to a kernel cannot claim another one at all (hub/access.ts). Not told apart: two senders that make up all of one identity; where
 * both count what they read, their counters jump to and fro (hub/books.ts).
 */
import { OperationalError } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import { keepLast } from '../base/recent-map.ts';
import type { KernelIdentity } from '../model/identity.ts';
import type { WatchRows } from './watch-row.ts';

const HOLD_MS = 60_000;
/** As often is one claim said; while it lasts, the holder's card says it, too. */
const SAY_EVERY_MS = 60_000;
const SHOWN_MS = 5 * 60_000;
/** Boots that are held at a time: that of the longest silent one goes first. */
const MAX_BOOTS = 8_192;
/** What the tables can hold, and what is no text to show. */
const MAX_KERNEL_ID = 0x7fffffff;
const MAX_ID_CHARS = 256;
const LEVEL_WARNING = 4;

/** EventName of the row that says that a boot id is claimed by another. */
export const CONTESTED_EVENT = 'mk.kernel.contested';

const log = createLogger('hub');

interface Holder {
  readonly identity: KernelIdentity;
  lastMs: number;
  claim: string;
  claimedMs: number;
  saidMs: number;
  claims: number;
}

export class IdentityWatch {
  readonly #rows: WatchRows;
  /** By boot, the one that was heard last at the end. */
  readonly #holders = new Map<string, Holder>();

  constructor(rows: WatchRows) {
    this.#rows = rows;
  }

  /** Throws E_REQUEST for an identity that no kernel has, E_IDENTITY_TAKEN for one whose boot id is another kernel's. */
  admit(identity: KernelIdentity, nowMs = Date.now()): void {
    checkShape(identity);
    const holder = this.#holders.get(identity.bootId);
    if (holder !== undefined && !isSame(holder.identity, identity) && nowMs - holder.lastMs < HOLD_MS)
      this.#refuse(holder, identity, nowMs);
    const isKept = holder !== undefined && isSame(holder.identity, identity);
    const kept: Holder = isKept ? holder : { identity, lastMs: nowMs, claim: '', claimedMs: 0, saidMs: 0, claims: 0 };
    kept.lastMs = nowMs;
    keepLast(this.#holders, identity.bootId, kept, MAX_BOOTS);
  }

  /** What is to be said beside a kernel's state; empty = nothing. */
  detailOf(bootId: string, nowMs: number): string {
    const holder = this.#holders.get(bootId);
    if (holder === undefined || holder.claim === '' || nowMs - holder.claimedMs > SHOWN_MS) return '';
    return `another sender claims its boot id as ${holder.claim}: it is refused (${holder.claims} times)`;
  }

  #refuse(holder: Holder, claimed: KernelIdentity, nowMs: number): never {
    holder.claim = nameOf(claimed);
    holder.claimedMs = nowMs;
    holder.claims++;
    const { identity } = holder;
    const silentSeconds = Math.round((nowMs - holder.lastMs) / 1000);
    const message = `boot ${identity.bootId} is ${nameOf(identity)}, heard ${silentSeconds} s ago; the request says that it is ${holder.claim}`;
    if (nowMs - holder.saidMs >= SAY_EVERY_MS) {
      holder.saidMs = nowMs;
      log.warn('a boot id is claimed by two kernels', { message });
      const body = `a sender claims the boot id of ${identity.kernelName} as ${holder.claim}: what it sends is refused`;
      this.#rows.add(identity, { event: CONTESTED_EVENT, body, level: LEVEL_WARNING, atNs: BigInt(nowMs) * 1_000_000n });
    }
    throw new OperationalError(
      'E_IDENTITY_TAKEN',
      message,
      `give each kernel its own boot id, or correct its kernel and machine id; after ${HOLD_MS / 1000} s of silence the id is taken over`,
    );
  }
}

function isSame(a: KernelIdentity, b: KernelIdentity): boolean {
  return a.machineId === b.machineId && a.kernelId === b.kernelId;
}

function nameOf({ kernelId, kernelName, machineName, machineId }: KernelIdentity): string {
  return `kernel ${kernelId} (${kernelName}) of machine ${machineName === '' ? machineId : machineName}`;
}

function checkShape({ kernelId, machineId, machineName, kernelName, bootId, release, arch }: KernelIdentity): void {
  const isLong = [machineId, machineName, kernelName, bootId, release, arch].some((text) => text.length > MAX_ID_CHARS);
  if (!isLong && kernelId <= MAX_KERNEL_ID && bootId !== '') return;
  const what = isLong ? `a name of more than ${MAX_ID_CHARS} characters` : bootId === '' ? 'an empty boot id' : `the kernel id ${kernelId}`;
  throw new OperationalError('E_REQUEST', `the sender has ${what}`, 'correct mk.kernel.id, mk.boot.id, host.id or the names of the sender');
}
