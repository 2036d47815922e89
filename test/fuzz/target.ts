/** What can be fuzzed: real inputs to start from, and one run that throws where a promise of the parser is broken. */
export interface Target {
  readonly id: string;
  /** Small real inputs: runs per second fall with their size. */
  readonly seeds: () => readonly Uint8Array[];
  /** Longest input that mutation makes, 512 where nothing is said; now and then it is repeated to 64 KB. */
  readonly maxBytes?: number;
  /** Opens what the runs of one loop share: compiled formats, batches that are used again. */
  readonly open: () => Runner;
  /** Sets checksums right, so that most mutated inputs get behind them. In place. */
  readonly repair?: (input: Uint8Array) => void;
  /** An input made by the format's own structure, from another one; undefined where it cannot be. */
  readonly restructure?: (input: Uint8Array, random: () => number) => Uint8Array | undefined;
}

export interface Runner {
  /** Hands one input to the parser and checks what comes out. `deep`: also in pieces, and compared. */
  readonly run: (input: Uint8Array, deep: boolean) => void;
  /** What became of inputs, and how often: reasons of refusal, kinds of rows. Shows how far the fuzzing gets. */
  readonly outcomes: Map<string, number>;
}

/** A promise that a parser broke. Its message starts with which: findings are told apart by it. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

const MAX_OUTCOMES = 200;

/** Counts an outcome; numbers in it are left out, so that there are few. */
export function countOutcome(outcomes: Map<string, number>, outcome: string, count = 1): void {
  const exact = outcomes.get(outcome);
  if (exact !== undefined) {
    outcomes.set(outcome, exact + count);
    return;
  }
  const name = outcome.replaceAll(/\d+/g, 'N').slice(0, 80);
  const known = outcomes.get(name);
  if (known === undefined && outcomes.size >= MAX_OUTCOMES) return;
  outcomes.set(name, (known ?? 0) + count);
}
