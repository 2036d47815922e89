/** Targets that are broken on purpose, each in one way: the tests ask whether the fuzzing finds it. */
import { Violation, type Target } from './target.ts';

const SEED = new TextEncoder().encode('6,341,1804081078,-;usb 1-1: new device\n');

function planted(id: string, run: (input: Uint8Array, text: string) => void): Target {
  return {
    id,
    seeds: () => [SEED],
    open: () => ({ outcomes: new Map(), run: (input) => run(input, new TextDecoder('latin1').decode(input)) }),
  };
}

/** Memory that a run takes is told apart from that of the others only while nobody holds it. */
let held: Uint8Array | undefined;
/** Is reached step by step: only who keeps what reaches new code gets there. */
function isReached(text: string): boolean {
  if (!text.startsWith(';')) return false;
  if (text[1] !== ';') return false;
  return text[2] === ',';
}

export const TARGETS: readonly Target[] = [
  planted('throws', (_input, text) => {
    if (text.includes(';;')) throw new RangeError('offset 12 is outside');
  }),
  planted('deep', (_input, text) => {
    if (isReached(text)) throw new Violation('deep: reached');
  }),
  planted('slow', (input) => {
    // More than quadratic: nothing for a line, some tenths of a second for 64 KB, in V8's own code, which is as fast where ours is counted.
    let sum = 0;
    for (let i = 0; i < input.length; i += 400) sum += input.toSorted()[0] as number;
    if (sum < 0) throw new Violation('sum: negative');
  }),
  planted('large', (input, text) => {
    held = text.includes('--') ? new Uint8Array(200 << 20) : undefined;
    if (held !== undefined && held.length < input.length) throw new Violation('held: too little');
  }),
  planted('hangs', (_input, text) => {
    while (text.includes(',,')) if (text.length < 0) break;
  }),
  planted('grows', (_input, text) => {
    const lists: string[][] = [];
    while (text.includes('  ')) lists.push(Array.from({ length: 1000 }, (_none, i) => `${text}${i}`));
  }),
  planted('holds', () => undefined),
];
