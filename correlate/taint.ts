/** What the letters behind `Tainted:` mean. Spec: kernel/panic.c (taint_flags), Documentation/admin-guide/tainted-kernels.rst. */
import type { TaintReason } from '../model/kernel-report.ts';

const MEANINGS: Readonly<Record<string, string>> = {
  P: 'a proprietary module was loaded',
  F: 'a module was loaded by force',
  S: 'the processor or system is out of its specification',
  R: 'a module was unloaded by force',
  M: 'a machine check was reported by the processor',
  B: 'a bad page was found, or a page flag was wrong',
  U: 'user space asked for it',
  D: 'the kernel died before (oops or BUG)',
  A: 'an ACPI table was overridden',
  W: 'a warning was issued before',
  C: 'a driver of the staging tree was loaded',
  I: 'a workaround for a bug of the firmware is active',
  O: 'a module from outside the kernel tree was loaded',
  E: 'an unsigned module was loaded',
  L: 'a soft lockup happened before',
  K: 'the kernel is live patched',
  X: 'the distribution says so',
  T: 'the kernel was built with struct randomization',
  N: 'a test of the kernel was run',
  J: 'user space used a mutating debug operation of fwctl',
};

/** Of `G        W  OE` or `[W]=WARN, [O]=OOT_MODULE`; `G` only says that no module is proprietary. */
export function explainTaint(letters: string): TaintReason[] {
  const found = letters.includes('[')
    ? [...letters.matchAll(/\[(\w)\]/g)].map((match) => match[1] as string)
    : letters.replaceAll(/\s/g, '').split('');
  return found
    .filter((letter) => letter !== 'G')
    .map((letter) => ({ letter, meaning: MEANINGS[letter] ?? 'a flag that mkscope does not know' }));
}
