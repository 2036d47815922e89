/**
 * The text files of /proc that the metrics of a system are made of, as numbers. Missing files and lines give undefined: kernels differ.
 *
 *   /proc/stat          cpu0 2718 0 1352 133438 56 0 21 9 0 0        user nice system idle iowait irq softirq steal, in 1/100 s
 *                       intr 390052 …   ctxt 812345   btime …   processes 9012   procs_running 2   procs_blocked 0
 *   /proc/meminfo       MemTotal:       24683656 kB
 *   /proc/pressure/cpu  some avg10=0.25 avg60=0.70 avg300=0.43 total=16765946       total in us
 *   /proc/vmstat        pgmajfault 1234
 *
 * Guest time is part of user time in /proc/stat, so it is not added again.
 */
export const CPU_MODES = ['user', 'nice', 'system', 'idle', 'iowait', 'interrupt', 'softirq', 'steal'] as const;
/** USER_HZ: the unit of /proc/stat is fixed by the ABI at 100 on all architectures but alpha and ia64. */
const TICKS_PER_SECOND = 100;
/** A guest's text is not to be trusted: beyond Linux's largest NR_CPUS there is none. */
const MAX_CPUS = 8192;

export interface CpuTimes {
  /** -1 = all CPUs together. */
  readonly cpu: number;
  /** Seconds, in the order of CPU_MODES. */
  readonly seconds: readonly number[];
}

export interface StatFile {
  readonly cpus: readonly CpuTimes[];
  readonly interrupts: number | undefined;
  readonly contextSwitches: number | undefined;
  readonly processesCreated: number | undefined;
  readonly running: number | undefined;
  readonly blocked: number | undefined;
}

export function parseStat(text: string): StatFile {
  const cpus: CpuTimes[] = [];
  const values = new Map<string, number>();
  for (const line of text.split('\n')) {
    const cpu = /^cpu(\d*) +(.*)$/.exec(line);
    if (cpu === null) {
      const [name, value] = line.split(' ', 2);
      if (name !== undefined && value !== undefined && Number.isFinite(Number(value))) values.set(name, Number(value));
      continue;
    }
    const number = cpu[1] === '' ? -1 : Number(cpu[1]);
    if (number >= MAX_CPUS || cpus.length > MAX_CPUS) continue;
    const ticks = (cpu[2] as string).split(' ').map(Number);
    cpus.push({
      cpu: number,
      seconds: CPU_MODES.map((_, index) => (ticks[index] ?? 0) / TICKS_PER_SECOND),
    });
  }
  return {
    cpus,
    interrupts: values.get('intr'),
    contextSwitches: values.get('ctxt'),
    processesCreated: values.get('processes'),
    running: values.get('procs_running'),
    blocked: values.get('procs_blocked'),
  };
}

/** Bytes by name. */
export function parseMeminfo(text: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const match of text.matchAll(/^([^:\n]+): +(\d{1,15}) kB$/gm)) found.set(match[1] as string, Number(match[2]) * 1024);
  return found;
}

export interface Pressure {
  readonly scope: 'some' | 'full';
  /** Share of the last 10 s in which tasks were stalled, 0 … 1. */
  readonly share10s: number;
  readonly totalSeconds: number;
}

export function parsePressure(text: string): Pressure[] {
  return [...text.matchAll(/^(some|full) avg10=([\d.]+) .*total=(\d+)$/gm)].map((match) => ({
    scope: match[1] === 'full' ? 'full' : 'some',
    share10s: Number(match[2]) / 100,
    totalSeconds: Number(match[3]) / 1e6,
  }));
}

/** `name value` lines, the wanted ones only. */
export function parseCounters(text: string, wanted: readonly string[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const name of wanted) {
    const at = text.startsWith(`${name} `) ? 0 : text.indexOf(`\n${name} `) + 1;
    if (at === 0 && !text.startsWith(`${name} `)) continue;
    found.set(name, Number.parseInt(text.slice(at + name.length + 1, at + name.length + 24), 10));
  }
  return found;
}
