/**
 * The last boots of this kernel in which a collector ran, on disk: a crash record says neither whose it is nor which boot, only when
 * it was made, and so when its clock began. Written to a new file and renamed, as the checkpoint.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { errnoOf, messageOf } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';

const MAX_BOOTS = 32;
/** Between our clock at the time of that boot, the kernel's own at its death, and records that are stamped to the second. */
const SAME_BOOT_MS = 5000;
/** printk's clock is not disciplined. */
const DRIFT = 500e-6;

const log = createLogger('known-boots');

export interface KnownBoot {
  readonly bootId: string;
  readonly release: string;
  /** Unix ms at which its printk clock stood at 0. */
  readonly zeroMs: number;
}

/** Oldest first; what cannot be read is none, and said. */
export function readKnownBoots(path: string): KnownBoot[] {
  try {
    const found: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return Array.isArray(found) ? found.filter(isKnownBoot) : [];
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') log.warn('cannot be read, starting afresh', { path, error: messageOf(error) });
    return [];
  }
}

/** Puts a boot behind the others, once. */
export function writeKnownBoot(path: string, boot: KnownBoot): void {
  const boots = [...readKnownBoots(path).filter(({ bootId }) => bootId !== boot.bootId), boot].slice(-MAX_BOOTS);
  try {
    writeFileSync(`${path}.new`, JSON.stringify(boots));
    renameSync(`${path}.new`, path);
  } catch (error) {
    log.warn('cannot be written: the crash of this boot will be taken for an unknown one', { path, error: messageOf(error) });
  }
}

/** The boot whose clock began at `zeroMs`, give or take; `runMs`: how long it ran. */
export function findKnownBoot(boots: readonly KnownBoot[], zeroMs: number, runMs: number): KnownBoot | undefined {
  const apart = (boot: KnownBoot): number => Math.abs(boot.zeroMs - zeroMs);
  const nearest = boots.toSorted((a, b) => apart(a) - apart(b))[0];
  return nearest !== undefined && apart(nearest) <= SAME_BOOT_MS + runMs * DRIFT ? nearest : undefined;
}

function isKnownBoot(value: unknown): value is KnownBoot {
  const boot = value as Partial<KnownBoot> | null;
  return typeof boot?.bootId === 'string' && typeof boot.release === 'string' && typeof boot.zeroMs === 'number';
}
