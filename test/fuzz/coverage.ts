/**
 * Which code an input reaches, told by V8 itself: block counts since the last look. A look costs about half a millisecond, so
 * the loop looks after some hundred runs and goes through them again one by one only where they reached something new.
 */
import { Session, type Profiler } from 'node:inspector';
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';

const ROOT = `${pathToFileURL(join(import.meta.dirname, '..', '..')).href}/`;
/** What runs the parsers is not asked for, but for what is planted. */
const TESTS = `${ROOT}test/`;
const PLANTED = `${TESTS}fuzz/planted.ts`;

/** Per function, by script and offset: which of its characters have run. */
type Taken = readonly { readonly key: string; readonly ran: Uint8Array }[];

export class Coverage {
  readonly #session = new Session();
  readonly #reached = new Map<string, Uint8Array>();
  /** Characters of code that have run. */
  reachedChars = 0;

  constructor() {
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** What ran since the last call, in our own code. */
  take(): Taken {
    let result: readonly Profiler.ScriptCoverage[] = [];
    // A session of the own thread answers before `post` returns.
    this.#session.post('Profiler.takePreciseCoverage', (error, answer) => {
      if (error !== null) throw error;
      ({ result } = answer);
    });
    const taken: { key: string; ran: Uint8Array }[] = [];
    for (const { url, scriptId, functions } of result) {
      if (!url.startsWith(ROOT) || (url.startsWith(TESTS) && url !== PLANTED)) continue;
      for (const { ranges } of functions) {
        const ran = paint(ranges);
        if (ran !== undefined) taken.push({ key: `${scriptId}:${ranges[0]?.startOffset}`, ran });
      }
    }
    return taken;
  }

  /** Whether there is code in it that had not run before. */
  isNew(taken: Taken): boolean {
    return taken.some(({ key, ran }) => {
      const reached = this.#reached.get(key);
      return reached === undefined || ran.some((mark, i) => mark > (reached[i] as number));
    });
  }

  add(taken: Taken): void {
    for (const { key, ran } of taken) {
      const reached = this.#reached.get(key) ?? new Uint8Array(ran.length);
      this.#reached.set(key, reached);
      for (let i = 0; i < ran.length; i++) {
        if ((ran[i] as number) <= (reached[i] as number)) continue;
        reached[i] = 1;
        this.reachedChars++;
      }
    }
  }

  close(): void {
    this.#session.disconnect();
  }
}

/** Ranges nest: each one says whether its part ran, and corrects the one around it. */
function paint(ranges: readonly Profiler.CoverageRange[]): Uint8Array | undefined {
  const outer = ranges[0];
  if (outer === undefined || outer.count === 0) return undefined;
  const { startOffset, endOffset } = outer;
  const ran = new Uint8Array(endOffset - startOffset);
  for (const range of ranges) ran.fill(range.count > 0 ? 1 : 0, range.startOffset - startOffset, range.endOffset - startOffset);
  return ran;
}
