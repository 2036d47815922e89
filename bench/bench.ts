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
  const warm = performance.now() + WARM_MS;
  for (let i = 0; i < 3 || performance.now() < warm; i++) once();
  const rates: number[] = [];
  const end = performance.now() + minMs;
  while (performance.now() < end || rates.length < 5) {
    const start = performance.now();
    once();
    rates.push((unitsPerRound * 1000) / (performance.now() - start));
  }
  rates.sort((a, b) => a - b);
  return rates[rates.length >> 1] as number;
}
