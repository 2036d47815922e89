/**
 * Fuzzes one target for some runs: inputs are made and run by the batch, and each run is checked. A loop that scouts also asks V8 what
 * code they reached; an input that reached new code becomes a base for others. Code that is counted runs 4 to 20 times slower,
 * for as long as its isolate lives: another loop, in a worker that counts nothing, makes most of the runs from the bases of the first.
 *
 *   generate 2048 inputs → run each (throws? slow? large?) → reached new code? → run them again one by one, keep those → …
 */
import { setImmediate } from 'node:timers/promises';
import { getHeapStatistics } from 'node:v8';
import { createRandom } from '../support/random.ts';
import { Coverage } from './coverage.ts';
import { Mutator } from './mutate.ts';
import { minimise } from './minimise.ts';
import { countOutcome, Violation, type Runner, type Target } from './target.ts';

export const BATCH_RUNS = 2048;
/** Runs that are gone through again together when the batch reached something new. */
const GROUP_RUNS = 64;
const MAX_INPUT_BYTES = 512;
/** What a short input is repeated to now and then: finds what takes more than linear time. */
export const LONG_BYTES = 64 << 10;
const LONG_EVERY = 4096;
const ARENA_BYTES = 4 << 20;
/** Of the runs, those that are also cut in pieces and compared. */
const DEEP_EVERY = 128;
const MAX_CORPUS = 4096;
/** A parser takes some ns per byte: this is more than a hundred times as much, and the least of some runs counts. */
const SLOW_MS = 60;
/** The kernel counts a thread's time in ticks: on a busy machine three readings in a row were wrong once in ten million runs. */
const SLOW_TRIES = 6;
const SLOW_MS_PER_BYTE = 0.001;
/** Memory is looked at after so many runs. */
const HEAP_EVERY = 16;
const MAX_GROWTH_BYTES = 96 << 20;
const MAX_RUN_BYTES = 24 << 20;
const MAX_RUN_BYTES_PER_BYTE = 1024;

/** Sees each input before it is run, so that one that never comes back is known. */
export interface Watch {
  begin(input: Uint8Array): void;
}

export interface LoopOptions {
  readonly seed: number;
  /** Asks what code is reached. */
  readonly isScout: boolean;
  readonly watch?: Watch;
}

/** A part of the runs of a loop. */
export interface Leg {
  readonly runs: number;
  readonly seconds: number;
  /** Runs that there were before, of all loops: findings are told with the number of their run. */
  readonly runsBefore: number;
  /** The loop ends when it has found so much. */
  readonly mostFindings: number;
  /** What another loop found worth keeping. */
  readonly bases: readonly Uint8Array[];
}

export interface Finding {
  readonly target: string;
  /** What was broken and where, without numbers: tells findings apart. */
  readonly key: string;
  readonly message: string;
  readonly seed: number;
  readonly run: number;
  readonly input: Uint8Array;
}

/** What one leg did; corpus, characters, memory, outcomes and findings are of its loop from the beginning. */
export interface LegReport {
  readonly runs: number;
  readonly seconds: number;
  /** Inputs that new ones are made from, recordings included. */
  readonly corpus: number;
  /** Those that were added in this leg. */
  readonly bases: readonly Uint8Array[];
  readonly reachedChars: number;
  readonly peakBytes: number;
  readonly outcomes: readonly (readonly [string, number])[];
  readonly findings: readonly Finding[];
}

interface Trial {
  readonly input: Uint8Array;
  readonly deep: boolean;
}

export class FuzzLoop {
  readonly #target: Target;
  readonly #options: LoopOptions;
  readonly #random: () => number;
  readonly #maxBytes: number;
  readonly #mutator: Mutator;
  readonly #runner: Runner;
  readonly #coverage: Coverage | undefined;
  readonly #arena = new Uint8Array(ARENA_BYTES);
  /** Views of the arena, copied where they are kept. */
  #batch: readonly Trial[] = [];
  readonly #findings = new Map<string, Finding>();
  /** Inputs of the corpus that the last leg had. */
  #known: number;
  #runs = 0;
  #runsBefore = 0;
  #mostFindings = 0;
  #peakBytes = 0;

  constructor(target: Target, options: LoopOptions) {
    this.#target = target;
    this.#options = options;
    this.#random = createRandom(options.seed);
    this.#maxBytes = target.maxBytes ?? MAX_INPUT_BYTES;
    this.#mutator = new Mutator(target.seeds(), this.#maxBytes, this.#random);
    this.#known = this.#mutator.corpus.length;
    this.#coverage = options.isScout ? new Coverage() : undefined;
    this.#runner = target.open();
  }

  async run({ runs, seconds, runsBefore, mostFindings, bases }: Leg): Promise<LegReport> {
    const start = performance.now();
    const { corpus } = this.#mutator;
    const isFirst = runsBefore === 0;
    corpus.push(...bases);
    this.#known += bases.length;
    this.#runs = 0;
    this.#runsBefore = runsBefore;
    this.#mostFindings = mostFindings;
    if (isFirst) this.#runSeeds();
    while (this.#runs < runs && performance.now() - start < seconds * 1000 && this.#findings.size < mostFindings) {
      this.#generate(Math.min(BATCH_RUNS, runs - this.#runs));
      this.#runBatch();
      if (this.#findings.size < mostFindings && this.#coverage !== undefined) this.#look(this.#coverage);
      // Node frees the streams of its zlib that failed when its loop turns: 2 KB each, which fills a heap in two million runs.
      await setImmediate();
    }
    const added = corpus.slice(this.#known);
    this.#known = corpus.length;
    return {
      runs: this.#runs,
      seconds: (performance.now() - start) / 1000,
      corpus: corpus.length,
      bases: added,
      reachedChars: this.#coverage?.reachedChars ?? 0,
      peakBytes: this.#peakBytes,
      outcomes: [...this.#runner.outcomes],
      findings: [...this.#findings.values()],
    };
  }

  close(): void {
    this.#coverage?.close();
  }

  /** The recordings themselves, as they are: what they reach is nothing new later. */
  #runSeeds(): void {
    this.#batch = this.#mutator.corpus.map((input, index) => ({ input, deep: index % 8 === 0 }));
    this.#runBatch();
    this.#coverage?.add(this.#coverage.take());
  }

  #generate(count: number): void {
    const batch: Trial[] = [];
    let at = 0;
    while (batch.length < count && at + this.#maxBytes + LONG_BYTES <= this.#arena.length) {
      const room = this.#arena.subarray(at, at + this.#maxBytes + LONG_BYTES);
      let length = this.#make(room);
      if (this.#random() * LONG_EVERY < 1) length = repeat(room, length, LONG_BYTES);
      batch.push({ input: room.subarray(0, length), deep: this.#random() * DEEP_EVERY < 1 });
      at += length;
    }
    this.#batch = batch;
  }

  #make(room: Uint8Array<ArrayBuffer>): number {
    const random = this.#random;
    const { restructure, repair } = this.#target;
    const base = this.#mutator.pick();
    const rebuilt = restructure === undefined || random() < 0.5 ? undefined : restructure(base, random);
    let length: number;
    if (rebuilt !== undefined && random() < 0.7) {
      length = Math.min(rebuilt.length, this.#maxBytes);
      room.set(rebuilt.subarray(0, length));
    } else length = this.#mutator.mutate(rebuilt ?? base, room);
    if (repair !== undefined && random() < 0.8) repair(room.subarray(0, length));
    return length;
  }

  #runBatch(): void {
    let heapBytes = externalBytes();
    for (const [index, { input, deep }] of this.#batch.entries()) {
      if (this.#findings.size >= this.#mostFindings) return;
      this.#runs++;
      this.#options.watch?.begin(input);
      this.#runOne(input, deep);
      if (index % HEAP_EVERY !== HEAP_EVERY - 1) continue;
      const nowBytes = externalBytes();
      if (nowBytes - heapBytes > MAX_GROWTH_BYTES) this.#findLarge(this.#batch.slice(index + 1 - HEAP_EVERY, index + 1));
      heapBytes = externalBytes();
      this.#peakBytes = Math.max(this.#peakBytes, nowBytes);
    }
  }

  #look(coverage: Coverage): void {
    const taken = coverage.take();
    if (!coverage.isNew(taken)) return;
    this.#keepReaching(coverage);
    // What the same inputs do not reach a second time is not asked for again.
    coverage.add(taken);
  }

  #runOne(input: Uint8Array, deep: boolean): void {
    const start = performance.now();
    try {
      this.#runner.run(input, deep);
    } catch (error) {
      this.#note(error, input, deep);
      return;
    }
    const limitMs = SLOW_MS + input.length * SLOW_MS_PER_BYTE;
    // The machine may have been busy with something else: processor time is asked for only then, because it costs more.
    if (performance.now() - start > limitMs && leastMs(this.#runner, input, deep) > limitMs) {
      this.#note(new Violation(`time: more than ${limitMs.toFixed(0)} ms for ${input.length} bytes`), input, deep);
    }
  }

  /** Which of these runs took the memory, if one did it alone. */
  #findLarge(batch: readonly Trial[]): void {
    for (const { input, deep } of batch) {
      const before = externalBytes();
      this.#runOne(input, deep);
      const grown = externalBytes() - before;
      if (grown <= MAX_RUN_BYTES + input.length * MAX_RUN_BYTES_PER_BYTE) continue;
      this.#note(new Violation(`memory: ${grown} bytes for ${input.length} bytes`), input, deep);
    }
  }

  /** Goes through the last inputs again, in groups, and keeps those that reach something new. */
  #keepReaching(coverage: Coverage): void {
    for (let from = 0; from < this.#batch.length; from += GROUP_RUNS) {
      this.#searchReaching(coverage, this.#batch.slice(from, from + GROUP_RUNS));
    }
  }

  /** Halves a group as long as it reaches something new; a look costs as much as a hundred runs. */
  #searchReaching(coverage: Coverage, group: readonly Trial[]): void {
    for (const { input, deep } of group) this.#runQuietly(input, deep);
    const taken = coverage.take();
    if (!coverage.isNew(taken)) return;
    const [only] = group;
    if (group.length === 1 && only !== undefined) {
      coverage.add(taken);
      if (only.input.length <= this.#maxBytes && this.#mutator.corpus.length < MAX_CORPUS) this.#mutator.corpus.push(only.input.slice());
      return;
    }
    this.#searchReaching(coverage, group.slice(0, group.length >> 1));
    this.#searchReaching(coverage, group.slice(group.length >> 1));
  }

  #runQuietly(input: Uint8Array, deep: boolean): void {
    // A batch of a slow target takes longer than one run may.
    this.#options.watch?.begin(input);
    try {
      this.#runner.run(input, deep);
    } catch {
      // Known: it was noted when it ran first.
    }
  }

  #note(error: unknown, input: Uint8Array, deep: boolean): void {
    const key = keyOf(error);
    countOutcome(this.#runner.outcomes, `broken: ${key}`);
    if (this.#findings.has(key) || this.#findings.size >= this.#mostFindings) return;
    const { target, seed } = { target: this.#target, seed: this.#options.seed };
    const breaks = (candidate: Uint8Array): boolean => {
      this.#options.watch?.begin(candidate);
      return keyOfRun(target, candidate, deep) === key;
    };
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    // Time and memory come from the length: such an input is kept as it is.
    const isSize = error instanceof Violation && /^(?:time|memory):/.test(error.message);
    const shortest = isSize ? input.slice() : minimise(input.slice(), breaks);
    this.#findings.set(key, { target: target.id, key, message, seed, run: this.#runsBefore + this.#runs, input: shortest });
  }
}

/** What a run of its own breaks; undefined where it holds. */
function keyOfRun(target: Target, input: Uint8Array, deep: boolean): string | undefined {
  try {
    target.open().run(input, deep);
    return undefined;
  } catch (error) {
    return keyOf(error);
  }
}

/** Processor time of this thread: the least of some runs, because memory may have been collected in one. */
function leastMs(runner: Runner, input: Uint8Array, deep: boolean): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < SLOW_TRIES && least > SLOW_MS; i++) {
    const before = process.threadCpuUsage();
    runner.run(input, deep);
    const { user, system } = process.threadCpuUsage(before);
    least = Math.min(least, (user + system) / 1000);
  }
  return least;
}

/** `RangeError Offset is outside the bounds of the DataView #readPage`: the message without numbers, and the function. */
function keyOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const message = (error.message.split('\n')[0] as string).slice(0, 80).replaceAll(/\d+/g, 'N');
  // A promise is told by what stands before the colon.
  if (error instanceof Violation) return message.split(':')[0] as string;
  return `${error.name} ${message} ${/^\s+at (\S+) /m.exec(error.stack ?? '')?.[1] ?? ''}`.trim();
}

function externalBytes(): number {
  return getHeapStatistics().external_memory;
}

/** Repeats `[0, length)` until there are so many bytes. */
function repeat(bytes: Uint8Array, length: number, most: number): number {
  if (length === 0) return 0;
  let end = length;
  while (end < most) {
    const count = Math.min(end, most - end);
    bytes.copyWithin(end, 0, count);
    end += count;
  }
  return end;
}
