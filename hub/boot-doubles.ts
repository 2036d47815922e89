/** Two boots that claim to be one kernel: by who speaks when. */
import type { KernelIdentity } from '../model/identity.ts';
import { SILENT_AFTER_MS, type PresenceTable } from './presence.ts';

/**
 * Boots of one kernel id of one machine that speak at the same time. After a restart the old boot's last records may come late; who
 * goes on for longer than it takes to be silent is another kernel.
 */
export function findDoubles(kernels: readonly KernelIdentity[], presence: PresenceTable, nowMs: number): ReadonlyMap<string, string> {
  const speaking = kernels.filter(({ bootId }) => {
    const seen = presence.find(bootId);
    // A kernel of which nothing but metrics comes is the one that a lab runs on.
    return seen !== undefined && seen.lastLine !== '' && nowMs - seen.lastMs < SILENT_AFTER_MS && nowMs - seen.firstMs >= SILENT_AFTER_MS;
  });
  const found = new Map<string, string>();
  for (const own of Map.groupBy(speaking, ({ machineId, kernelId }) => `${machineId}\n${kernelId}`).values()) {
    if (own.length < 2) continue;
    for (const { bootId, kernelId } of own) {
      const others = own.filter((other) => other.bootId !== bootId).map((other) => other.bootId.slice(0, 8));
      found.set(bootId, `boot ${others.join(', ')} speaks as kernel ${kernelId}, too, at the same time: one of them is not what it says`);
    }
  }
  return found;
}
