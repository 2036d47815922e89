/**
 * Why a kernel stopped, from its last words and from what the host kernel printed about it. The host's line alone cannot tell:
 * «Instance 21 (name) halted, CPUs parking in pool» stands after a panic, a power-off, a halt and a forced one alike.
 *
 *   last words of the dead   Kernel panic - not syncing: …            ──┐
 *                            Shutdown requested by instance 0           ├─ the first rule that finds its line wins
 *   host, about it           Force halting multikernel instance 1 …   ──┘
 *
 * Not handled: which lines belong to which incarnation (the caller cuts them), and faults that a kernel survived.
 */

export type DeathKind = 'panic' | 'force_kill' | 'halt' | 'power_off' | 'restart' | 'unknown';

export interface Death {
  readonly kind: DeathKind;
  /** One line for a person. */
  readonly reason: string;
  /** The line that says so; empty where none does. */
  readonly evidence: string;
}

interface DeathSample {
  readonly lastWords: readonly string[];
  readonly hostLines: readonly string[];
  readonly reason: string;
}

interface DeathRule {
  readonly kind: DeathKind;
  /** Whose line it is. */
  readonly side: 'own' | 'host';
  /** The first group, where there is one, goes into `reason` for `$1`. `ID` stands for the kernel's id. */
  readonly pattern: string;
  readonly reason: string;
  readonly samples: readonly DeathSample[];
}

/** In order of weight: a panic may be followed by an orderly line, never the other way round. */
export const DEATH_RULES: readonly DeathRule[] = [
  {
    kind: 'panic',
    side: 'own',
    pattern: String.raw`Kernel panic - not syncing: (.*)`,
    reason: 'panic: $1',
    samples: [
      {
        lastWords: ['[    9.1] Kernel panic - not syncing: sysrq triggered crash', '[    9.2] Multikernel instance 1 shutting down'],
        hostLines: ['Instance 1 (spawn1) halted, CPUs parking in pool'],
        reason: 'panic: sysrq triggered crash',
      },
    ],
  },
  {
    kind: 'force_kill',
    side: 'own',
    pattern: String.raw`CPU \d+: Forcible shutdown via NMI`,
    reason: 'halted by force by the host',
    samples: [
      {
        lastWords: ['[   12.0] CPU 0: Forcible shutdown via NMI (instance 2)'],
        hostLines: [],
        reason: 'halted by force by the host',
      },
    ],
  },
  {
    kind: 'force_kill',
    side: 'host',
    pattern: String.raw`Force halting multikernel instance ID\b`,
    reason: 'halted by force by the host',
    samples: [
      {
        lastWords: [],
        hostLines: ['Force halting multikernel instance 22 via NMI', 'Sent NMI to 2 CPUs in instance 22'],
        reason: 'halted by force by the host',
      },
    ],
  },
  {
    kind: 'halt',
    side: 'own',
    pattern: String.raw`Shutdown requested by instance (\d+)`,
    reason: 'halted because instance $1 asked for it',
    samples: [
      {
        lastWords: ['[   30.0] Shutdown requested by instance 0', '[   30.1] reboot: Power down'],
        hostLines: ['Instance 1 (spawn1) halted, CPUs parking in pool'],
        reason: 'halted because instance 0 asked for it',
      },
    ],
  },
  {
    kind: 'halt',
    side: 'host',
    pattern: String.raw`Multikernel instance ID halted \(graceful\)`,
    reason: 'halted because the host asked for it',
    samples: [{ lastWords: [], hostLines: ['Multikernel instance 22 halted (graceful)'], reason: 'halted because the host asked for it' }],
  },
  {
    kind: 'power_off',
    side: 'own',
    pattern: String.raw`reboot: (?:Power down|Power off not available: System halted instead|System halted)`,
    reason: 'powered itself off',
    samples: [{ lastWords: ['[   30.1] reboot: Power down'], hostLines: [], reason: 'powered itself off' }],
  },
  {
    kind: 'restart',
    side: 'own',
    pattern: String.raw`reboot: (?:Restarting system|machine restart)`,
    reason: 'restarted itself',
    samples: [{ lastWords: ['[   30.1] reboot: Restarting system'], hostLines: [], reason: 'restarted itself' }],
  },
];

/** Lines in the order in which they were printed; those of the host may be about other kernels too. */
export function explainDeath(kernelId: number, lastWords: readonly string[], hostLines: readonly string[]): Death {
  for (const { kind, side, pattern, reason } of DEATH_RULES) {
    const wanted = new RegExp(pattern.replace('ID', String(kernelId)));
    const lines = side === 'own' ? lastWords : hostLines;
    for (let at = lines.length - 1; at >= 0; at--) {
      const line = lines[at] as string;
      const match = wanted.exec(line);
      if (match !== null) return { kind, reason: reason.replace('$1', match[1]?.trim() ?? ''), evidence: line };
    }
  }
  return { kind: 'unknown', reason: 'stopped without a word', evidence: '' };
}
