/** One measurable thing. `run` measures in the real code on real (or recorded, replicated) input. */
export interface Bench {
  readonly name: string;
  /** The target of DESIGN §12, in words. */
  readonly target?: string;
  run(): Promise<BenchResult> | BenchResult;
}

export interface BenchResult {
  readonly value: number;
  readonly unit: string;
  readonly detail?: string;
}

/** On a busy machine the compiler's own thread needs this long for the code that counts. */
const WARM_MS = 700;

/** Repeats `once` for at least `minMs` after a warm-up and returns units per second of the median round. */
export function measureRate(unitsPerRound: number, once: () => void, minMs = 1500): number {
  return measureRates(unitsPerRound, once, minMs).byWall;
}

/** As `measureRate`, and per second of this process's CPU time, which what else runs on the machine does not take. */
export function measureRates(unitsPerRound: number, once: () => void, minMs = 1500): { readonly byWall: number; readonly byCpu: number } {
  const warm = performance.now() + WARM_MS;
  for (let i = 0; i < 3 || performance.now() < warm; i++) once();
  const wallMs: number[] = [];
  const cpuMs: number[] = [];
  const end = performance.now() + minMs;
  while (performance.now() < end || wallMs.length < 5) {
    const start = performance.now();
    const before = process.cpuUsage();
    once();
    const { user, system } = process.cpuUsage(before);
    cpuMs.push((user + system) / 1000);
    wallMs.push(performance.now() - start);
  }
  const rate = (rounds: number[]): number => (unitsPerRound * 1000) / (rounds.sort((a, b) => a - b)[rounds.length >> 1] as number);
  return { byWall: rate(wallMs), byCpu: rate(cpuMs) };
}
