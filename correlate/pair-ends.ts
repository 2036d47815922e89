/**
 * Which words of the host are about which end of a kernel, when both tell of several and their clocks are apart:
 *
 *   spawn1, ± 10 s      power-off ───┐         shut down by NMI ───┐
 *   host             halted ─────────┘   ▲   halted ───────────────┘    ▲
 *                                   active again                   active again
 *
 * Both sides are in their order and each end has at most one of each side, so what is too far from its time to tell by itself is told
 * by its place. Of all such pairings: the one with most pairs, and of those the one that moves times least.
 *
 * Not handled: a kernel that ended twice where each side tells of another end, nearer than the longest wait and with no beginning between.
 */
export interface EndSpan {
  readonly firstNs: bigint;
  readonly lastNs: bigint;
  /** Its times may be wrong by this, each way. */
  readonly errorNs: bigint;
}

/** When the host says that the kernel began to live. */
export interface Begun {
  readonly unixNs: bigint;
}

/** Looked at together: a kernel that ends more often is in a loop, and what stands at the edge of two looks is paired with what is left. */
const MAX_OWN = 256;
const MAX_HOST = 512;

/**
 * For each of `own` an index into `hosts`, or undefined. `own` in the order in which they lived, `hosts` and `lives` in that of
 * their times. What is further apart than `joinNs`, bounds aside, is no pair.
 */
export function pairEnds(
  own: readonly EndSpan[],
  hosts: readonly EndSpan[],
  lives: readonly Begun[],
  joinNs: bigint,
): readonly (number | undefined)[] {
  const pairs: (number | undefined)[] = [];
  for (let ownAt = 0, hostAt = 0; ownAt < own.length; ownAt += MAX_OWN) {
    const some = own.slice(ownAt, ownAt + MAX_OWN);
    const earliestNs = some.reduce((least, { firstNs, errorNs }) => (firstNs - errorNs < least ? firstNs - errorNs : least), 2n ** 63n);
    const isTooEarly = ({ lastNs, errorNs }: EndSpan): boolean => lastNs + errorNs < earliestNs - joinNs;
    while (hostAt < hosts.length && isTooEarly(hosts[hostAt] as EndSpan)) hostAt++;
    const found = pairSome(some, hosts.slice(hostAt, hostAt + MAX_HOST), lives, joinNs);
    pairs.push(...found.map((at) => (at === undefined ? undefined : hostAt + at)));
    hostAt = Math.max(hostAt, ...pairs.slice(-some.length).map((at) => (at ?? -1) + 1));
  }
  return pairs;
}

/** Best of the first `i` of one and the first `j` of the other, from the best of fewer. */
function pairSome(own: readonly EndSpan[], hosts: readonly EndSpan[], lives: readonly Begun[], joinNs: bigint): (number | undefined)[] {
  const width = hosts.length + 1;
  const counts = new Int32Array((own.length + 1) * width);
  const moves = new Float64Array(counts.length);
  const isPair = new Uint8Array(counts.length);
  const isBetter = (a: number, count: number, move: number): boolean =>
    count > (counts[a] as number) || (count === counts[a] && move < (moves[a] as number));
  for (let i = 1; i <= own.length; i++) {
    for (let j = 1; j < width; j++) {
      const at = i * width + j;
      for (const fewer of [at - width, at - 1]) {
        if (!isBetter(at, counts[fewer] as number, moves[fewer] as number) && fewer !== at - width) continue;
        counts[at] = counts[fewer] as number;
        moves[at] = moves[fewer] as number;
      }
      const awayNs = awayOf(own[i - 1] as EndSpan, hosts[j - 1] as EndSpan, lives, joinNs);
      if (awayNs === undefined) continue;
      const count = (counts[at - width - 1] as number) + 1;
      const move = (moves[at - width - 1] as number) + Number(awayNs);
      if (!isBetter(at, count, move)) continue;
      counts[at] = count;
      moves[at] = move;
      isPair[at] = 1;
    }
  }
  const pairs = Array.from<number | undefined>({ length: own.length });
  for (let i = own.length, j = hosts.length; i > 0 && j > 0;) {
    const at = i * width + j;
    if (isPair[at] === 1) pairs[--i] = --j;
    else if (counts[at] === counts[at - 1] && moves[at] === moves[at - 1]) j--;
    else i--;
  }
  return pairs;
}

/** How far the two are from each other, ns; undefined = they are of two ends: too far, or a life began between for sure. */
function awayOf(own: EndSpan, host: EndSpan, lives: readonly Begun[], joinNs: bigint): bigint | undefined {
  const errorNs = own.errorNs + host.errorNs;
  const isHostLater = host.firstNs > own.lastNs + errorNs;
  const isHostEarlier = host.lastNs < own.firstNs - errorNs;
  if (isHostLater || isHostEarlier) {
    const fromNs = isHostLater ? own.lastNs + errorNs : host.lastNs;
    const toNs = isHostLater ? host.firstNs : own.firstNs - errorNs;
    const life = lives[firstFrom(lives, fromNs)];
    if (toNs - fromNs > joinNs || (life !== undefined && life.unixNs < toNs)) return undefined;
  }
  if (host.firstNs > own.lastNs) return host.firstNs - own.lastNs;
  return host.lastNs < own.firstNs ? own.firstNs - host.lastNs : 0n;
}

/** The index of the first that is not before a moment; `sorted` by time. */
export function firstFrom(sorted: readonly { readonly unixNs: bigint }[], fromNs: bigint): number {
  let from = 0;
  for (let to = sorted.length; from < to;) {
    const middle = (from + to) >>> 1;
    if ((sorted[middle] as Begun).unixNs < fromNs) from = middle + 1;
    else to = middle;
  }
  return from;
}
