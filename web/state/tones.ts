/** Which of the eight kernel colours (style/theme.css) an incarnation has. */
import type { KernelRow } from '../../model/api.ts';
import { compareDecimal } from '../format/time.ts';

const TONES = 8;

/**
 * Boot id → tone. Kernels take the tones in the order of their first records, so that a new one changes nothing for the others
 * (only the import of older records does), and all incarnations of a kernel have the same.
 */
export function toTones(kernels: readonly KernelRow[]): ReadonlyMap<string, number> {
  const byKernel = new Map<string, number>();
  const byBoot = new Map<string, number>();
  const inOrder = [...kernels].sort((a, b) => compareDecimal(a.firstSeenUnixNs, b.firstSeenUnixNs) || (a.bootId < b.bootId ? -1 : 1));
  for (const kernel of inOrder) {
    const key = `${kernel.machineId} ${kernel.kernelId}`;
    const tone = byKernel.get(key) ?? byKernel.size % TONES;
    byKernel.set(key, tone);
    byBoot.set(kernel.bootId, tone);
  }
  return byBoot;
}
