/** A kernel's name in its colour: the same in each list and on each page. */
import type { KernelRow } from '../../model/api.ts';
import { useAppState } from '../state/app-state.ts';

export function useTone(bootId: string): string {
  return `tone-${useAppState((state) => state.tones.get(bootId)) ?? 0}`;
}

export function KernelTag({ bootId, name, title }: { readonly bootId: string; readonly name: string; readonly title?: string }) {
  return (
    <span class={`kernel-tag ${useTone(bootId)}`} title={title}>
      {name}
    </span>
  );
}

/** One name per kernel, for filters: several incarnations of a kernel are one choice. */
export function kernelNames(kernels: readonly KernelRow[] | undefined): readonly string[] {
  return [...new Set((kernels ?? []).map((kernel) => kernel.kernelName))];
}
