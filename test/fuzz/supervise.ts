/**
 * Fuzzes targets in two workers, of which one runs at a time. The scout's code is counted block by block, which makes it 4 to 20 times
 * slower: it finds the bases of which the sprinter, whose code is not, makes most of the inputs.
 *
 *   scout     2 batches ─┐ bases     1 batch ─┐            1 batch ─┐ bases     …
 *   sprinter             └─ 30 batches        └─ 60 …               └─ 30 …
 *
 * Where the scout finds no new base, the sprinter's next leg is twice as long, up to 240 batches.
 */
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { BATCH_RUNS, type Finding, type LegReport } from './loop.ts';
import { Seat, type Broken } from './seat.ts';

/** Processor time of one run, of which most take microseconds. */
const HANG_CPU_MS = 10_000;
const MAX_HEAP_MB = 512;
const MAX_FINDINGS = 20;
const LEAST_SPRINT_RUNS = 30 * BATCH_RUNS;
const MOST_SPRINT_RUNS = 240 * BATCH_RUNS;
/** The sprinter's inputs are others than the scout's. */
const SPRINT_SEED = 0x5bd1_e995;
const TABLE = pathToFileURL(join(import.meta.dirname, 'targets.ts')).href;

export interface SuperviseOptions {
  readonly seed: number;
  readonly runs: number;
  readonly seconds: number;
  /** Module that exports TARGETS; ours by default. */
  readonly table?: string;
  readonly hangCpuMs?: number;
  readonly heapMb?: number;
  /** 20 where nothing is said. */
  readonly mostFindings?: number;
}

export interface FuzzReport {
  readonly target: string;
  readonly seed: number;
  readonly runs: number;
  readonly seconds: number;
  /** Inputs that new ones are made from, recordings included. */
  readonly corpus: number;
  readonly reachedChars: number;
  readonly peakBytes: number;
  readonly outcomes: readonly (readonly [string, number])[];
  readonly findings: readonly Finding[];
}

interface Seats {
  readonly scout: Seat;
  readonly sprinter: Seat;
}

/** Fuzzes some targets, one after the other; a hang or a full heap ends that target. */
export async function supervise(targets: readonly string[], options: SuperviseOptions): Promise<FuzzReport[]> {
  const { table = TABLE, hangCpuMs = HANG_CPU_MS, heapMb = MAX_HEAP_MB } = options;
  const openSeat = (isScout: boolean): Seat => new Seat({ table, isScout, hangCpuMs, heapMb });
  const seats: Seats = { scout: openSeat(true), sprinter: openSeat(false) };
  const reports: FuzzReport[] = [];
  try {
    for (const target of targets) reports.push(await new Chase(target, seats, options).run());
    return reports;
  } finally {
    await seats.scout.close();
    await seats.sprinter.close();
  }
}

/** The legs of one target. */
class Chase {
  readonly #target: string;
  readonly #seats: Seats;
  readonly #options: SuperviseOptions;
  readonly #mostFindings: number;
  readonly #start = performance.now();
  readonly #findings = new Map<string, Finding>();
  readonly #last = new Map<keyof Seats, LegReport>();
  #runs = 0;

  constructor(target: string, seats: Seats, options: SuperviseOptions) {
    this.#target = target;
    this.#seats = seats;
    this.#options = options;
    this.#mostFindings = options.mostFindings ?? MAX_FINDINGS;
  }

  async run(): Promise<FuzzReport> {
    let bases = (await this.#leg('scout', 2 * BATCH_RUNS, []))?.bases;
    for (let sprintRuns = LEAST_SPRINT_RUNS; bases !== undefined;) {
      if ((await this.#leg('sprinter', sprintRuns, bases)) === undefined) break;
      bases = (await this.#leg('scout', BATCH_RUNS, []))?.bases;
      sprintRuns = bases?.length === 0 ? Math.min(MOST_SPRINT_RUNS, sprintRuns * 2) : LEAST_SPRINT_RUNS;
    }
    return this.#report();
  }

  /** undefined where the runs, the time or the target is at its end. */
  async #leg(name: keyof Seats, mostRuns: number, bases: readonly Uint8Array[]): Promise<LegReport | undefined> {
    const { seed, seconds } = this.#options;
    const runs = Math.min(this.#options.runs - this.#runs, mostRuns);
    const secondsLeft = Math.max(0, seconds - this.#seconds());
    const isOver = runs <= 0 || this.#findings.size >= this.#mostFindings || (secondsLeft === 0 && this.#runs > 0);
    if (isOver) return undefined;
    const leg = { runs, seconds: secondsLeft, runsBefore: this.#runs, mostFindings: this.#mostFindings, bases };
    const answer = await this.#seats[name].run({ target: this.#target, seed: name === 'scout' ? seed : seed ^ SPRINT_SEED, leg });
    this.#runs += answer.runs;
    if ('key' in answer) {
      this.#findings.set(answer.key, this.#toFinding(answer));
      return undefined;
    }
    for (const finding of answer.findings) if (!this.#findings.has(finding.key)) this.#findings.set(finding.key, finding);
    this.#last.set(name, answer);
    return answer;
  }

  #toFinding({ key, message, input }: Broken): Finding {
    return { target: this.#target, key, message, seed: this.#options.seed, run: this.#runs, input };
  }

  #seconds(): number {
    return (performance.now() - this.#start) / 1000;
  }

  #report(): FuzzReport {
    const { corpus = 0, reachedChars = 0 } = this.#last.get('scout') ?? {};
    const outcomes = new Map<string, number>();
    let peakBytes = 0;
    for (const report of this.#last.values()) {
      peakBytes = Math.max(peakBytes, report.peakBytes);
      for (const [outcome, count] of report.outcomes) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + count);
    }
    return {
      target: this.#target,
      seed: this.#options.seed,
      runs: this.#runs,
      seconds: this.#seconds(),
      corpus,
      reachedChars,
      peakBytes,
      outcomes: [...outcomes].sort((a, b) => b[1] - a[1]),
      findings: [...this.#findings.values()],
    };
  }
}
