/** ftrace text in WebAssembly beside ftrace text without: the input again and again, since only what was learnt from lines before is read so. */
import { loadFixtures } from '../support/parser-suite.ts';
import { findDifference, readAll, WITH_WASM } from '../support/ftrace-ways.ts';
import { countOutcome, Violation, type Target } from './target.ts';
import { cutAtLines } from './text-target.ts';

/** Of the last ones JavaScript reads the lines. */
const LEAST_BYTES = 1200;
const MOST_COPIES = 8;

export const ftraceWalk: Target = {
  id: 'ftrace_walk',
  maxBytes: 900,
  seeds: () => loadFixtures('ftrace', '.txt').flatMap(({ bytes }) => cutAtLines(bytes)),
  open: () => {
    const outcomes = new Map<string, number>();
    return { outcomes, run: (input, deep) => compare(input, deep, outcomes) };
  },
};

function compare(input: Uint8Array, deep: boolean, outcomes: Map<string, number>): void {
  if (input.length === 0) return;
  const copies = Math.min(MOST_COPIES, Math.ceil(LEAST_BYTES / input.length));
  const text = new Uint8Array(Buffer.concat(Array.from({ length: copies }, () => input)));
  const ends = deep ? [Math.floor(text.length / 3), Math.floor(text.length / 2) + 7] : [];
  const difference = findDifference(text, ends);
  if (difference !== undefined) throw new Violation(`walk: ${difference.slice(0, 300)}`);
  if (deep) countOutcome(outcomes, 'rows', readAll(WITH_WASM, text, []).length);
}
