/**
 * Hits of probes that the kernel did not trace, from its running counts: a probe that is hit while another one runs on the same
 * CPU is only counted (`kprobe_profile`). No page and no `stats` file tells of it, so it becomes a gap here.
 */
import type { Gap } from '../model/gap.ts';

export class ProbeMisses {
  /** By probe, as last counted. */
  #counts: Map<string, number> | undefined;
  #sampledNs = 0n;

  /** `isFresh`: nobody has read this boot before, so that what was missed so far is to be told; otherwise it was told. */
  constructor(isFresh: boolean) {
    if (isFresh) this.#counts = new Map();
  }

  /** `text`: a line `group/name missed` for each probe that missed any; `unixNs`: of the sample. */
  take(text: string, unixNs: bigint, stream: string): Gap | undefined {
    const counts = new Map<string, number>();
    let missed = 0;
    for (const line of text.split('\n')) {
      const match = /^(\S+) (\d{1,15})$/.exec(line);
      if (match === null) continue;
      const [probe, count] = [match[1] as string, Number(match[2])];
      counts.set(probe, count);
      const before = this.#counts?.get(probe) ?? 0;
      // A probe that was made anew counts from 0.
      if (this.#counts !== undefined) missed += count >= before ? count - before : count;
    }
    const fromUnixNs = this.#sampledNs === 0n ? unixNs : this.#sampledNs;
    this.#counts = counts;
    this.#sampledNs = unixNs;
    return missed === 0 ? undefined : { stream, cpu: -1, fromUnixNs, toUnixNs: unixNs, count: missed, reason: 'probe_missed' };
  }
}
