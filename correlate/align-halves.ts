/**
 * Which sending of a channel is which receiving, without ids: an alignment of two sequences that both have holes, and for each pair
 * how likely it is among all alignments.
 *
 *        receives   r0   r1        r2   r3            path: matched · sending left over → · receiving left over ↓
 *   sends  s0       ·                                 T(i, j)  = weight of all paths that have used i sendings and j receivings
 *          s1            ·  →                           = T(i-1, j-1) · match(i, j)      same label, time fits
 *          s2                      ·                    + T(i-1, j)   · lostReceive(j)   the slots jumped here, or not
 *          s3                           ↓ ·             + T(i, j-1)   · lostSend
 *
 * Forward and backward sums give the probability of each pair; the band of T that can be is narrow, because a ring holds 63
 * messages and nothing is received before it is sent. Where labels tell (anchor-halves.ts) it lies between the anchors around a row,
 * and how wide the holes there are is known; elsewhere it follows the best cell. Rare labels weigh more than common ones, usual
 * delays more than others.
 *
 * Two senders may claim slots in another order than they began: a pair out of order is found afterwards, by its label, and a pair
 * that could as well be the other way round says so in its probability.
 */
import { Anchors } from './anchor-halves.ts';
import { NONE } from './ikc-halves.ts';
import { copyInto } from '../model/log-batch.ts';

/** Sendings, in order of their claims, and receivings, in order of their slots. Times are ns on one base. */
export interface AlignInput {
  sends: number;
  receives: number;
  /** Earliest and latest moment of the claim. */
  readonly claimNs: Float64Array;
  readonly claimEndNs: Float64Array;
  readonly sendLabel: Uint32Array;
  /** The label without what a record may lack; compared where `isLoose`. */
  readonly sendLoose: Uint32Array;
  readonly isLoose: Uint8Array;
  /** 1 = nobody knows whether it was sent. */
  readonly isDoubtful: Uint8Array;
  readonly receiveNs: Float64Array;
  readonly receiveLabel: Uint32Array;
  readonly receiveLoose: Uint32Array;
  /** Ring positions right before a receiving that no record names; NONE = not known. */
  readonly skipped: Float64Array;
  /** Bound of the difference of two times. */
  toleranceNs: number;
  /** Usual delay, as times say it: from low to high. */
  delayLowNs: number;
  delayHighNs: number;
  /** By receiving: how likely its sending has no record. */
  readonly lostSend: Float64Array;
  /** Share of receivings without a record where the slots do not tell. */
  lostReceives: number;
  /** Messages that can be under way at a time. */
  ringSlots: number;
}

export interface Alignment {
  /** By sending: its receiving, or NONE. */
  readonly match: Int32Array;
  readonly confidence: Float64Array;
  /** By receiving: its sending, or NONE. */
  readonly back: Int32Array;
  /** Receivings whose sending the labels around them name as well. */
  anchored: number;
}

/** Cells of a row of T: while all goes well, and for a while where the order is lost (bench ikc: 2.2 times the rate). */
const NARROW = 16;
const NARROW_LOSSY = 64;
const LOSSY = 0.02;
const MAX_WIDTH = 160;
const WIDE_ROWS = 48;
/** Between two anchors all cells are looked at, where they are no more than this. */
const MAX_GAP_CELLS = 1 << 18;
/** A hole between two anchors is wide where so many more are on one side than on the other. */
const WIDE_GAP = 8;
/** So many receivings in a row that nothing explains, or so large a jump, and the order is lost. */
const LOST_ORDER = 0.05;
const LOST_ROWS = 3;
const LARGE_JUMP = 5;
/** Losses that nobody knows of are rarer than this. */
const CLEAN_LOSS = 1e-4;
/** A message that is taken out later than this after it was sent is not looked for in order. */
const MAX_LAG_NS = 20e9;
/** Pairs less likely than this are no pairs. */
const LEAST_CONFIDENCE = 0.2;
/**
 * The model is simpler than kernels are: what it leaves open is stated as so much more. By test/correlate/match-recorded.test.ts, where
 * delays are those of real kernels and 10 % of the records are gone on each side: 1.5 stated 132 wrong where 218 were.
 */
const CAUTION = 2.75;
const LEAST_STATED = 0.05;
/** What no evidence of ours can exceed. */
const MOST_CONFIDENCE = 0.9999;
/** A sending without a receiving where the slots do not jump. */
const NO_JUMP = 1e-4;
const DOUBTFUL = 0.05;
/** Beyond this many the weight is as good as none. */
const MOST_LOST_AT_END = 8;
const LABEL_SLOTS = 8192;
/** A delay this far out of the usual is as unlikely as any. */
const LEAST_TIME_WEIGHT = 1e-4;
/** Pairs out of order that are further apart than neighbours: how sure where nothing else has the label. */
const REPAIRED = 0.9;
const OVERLAP_DISTANCE = 8;
/** A sender that is interrupted in the call claims somewhere in it: nobody says more. */
const MOST_SWAPPED = 0.95;

export function createAlignInput(capacity: number): AlignInput {
  return {
    sends: 0,
    receives: 0,
    claimNs: new Float64Array(capacity),
    claimEndNs: new Float64Array(capacity),
    sendLabel: new Uint32Array(capacity),
    sendLoose: new Uint32Array(capacity),
    isLoose: new Uint8Array(capacity),
    isDoubtful: new Uint8Array(capacity),
    receiveNs: new Float64Array(capacity),
    receiveLabel: new Uint32Array(capacity),
    receiveLoose: new Uint32Array(capacity),
    skipped: new Float64Array(capacity),
    toleranceNs: 0,
    delayLowNs: 0,
    delayHighNs: 0,
    lostSend: new Float64Array(capacity),
    lostReceives: 0.01,
    ringSlots: 64,
  };
}

export class Aligner {
  readonly #labels = new Uint32Array(LABEL_SLOTS);
  #rowLow = new Int32Array(0);
  #rowAt = new Int32Array(0);
  /** What each row of T was divided by. */
  #rowScale = new Float64Array(0);
  #cells = new Float64Array(0);
  /** By sending: odds that it claimed after the next one. */
  #swapped = new Float64Array(0);
  #rarity = new Float64Array(0);
  /** By row: weight of leaving a sending out before its receiving, and of the receiving before it having no sending. */
  #jump = new Float64Array(0);
  #lost = new Float64Array(0);
  /** By row: sendings between the anchors around it, last exclusive (NONE = no anchor follows), and how many cells that gap has. */
  #gapFrom = new Int32Array(0);
  #gapTo = new Int32Array(0);
  #gapCells = new Float64Array(0);
  #rows: readonly [Float64Array, Float64Array, Float64Array] = [new Float64Array(0), new Float64Array(0), new Float64Array(0)];
  #shares = new Float64Array(0);
  readonly #anchors = new Anchors();
  #kinds = 1;
  #out: Alignment = { match: new Int32Array(0), confidence: new Float64Array(0), back: new Int32Array(0), anchored: 0 };

  /** The result is valid until the next call. */
  align(input: AlignInput): Alignment {
    this.#prepare(input);
    if (this.#alignClean(input)) return this.#out;
    this.#frame(input);
    this.#forward(input);
    this.#backward(input);
    this.#repair(input);
    this.#doubtOverlaps(input);
    for (let j = 0; j < input.receives; j++)
      if (this.#out.back[j] !== NONE && this.#out.back[j] === this.#anchors.of[j]) this.#out.anchored++;
    return this.#out;
  }

  #prepare(input: AlignInput): void {
    const { sends, receives, sendLoose, claimNs, claimEndNs } = input;
    if (this.#out.match.length < sends || this.#out.back.length < receives) {
      const capacity = Math.max(sends, receives, 1024) * 2;
      this.#out = { match: new Int32Array(capacity), confidence: new Float64Array(capacity), back: new Int32Array(capacity), anchored: 0 };
      this.#rowLow = new Int32Array(capacity + 2);
      this.#rowAt = new Int32Array(capacity + 2);
      this.#rowScale = new Float64Array(capacity + 2);
      this.#jump = new Float64Array(capacity + 2);
      this.#lost = new Float64Array(capacity + 2);
      this.#gapFrom = new Int32Array(capacity + 2);
      this.#gapTo = new Int32Array(capacity + 2);
      this.#gapCells = new Float64Array(capacity + 2);
      this.#cells = new Float64Array((capacity + 1) * NARROW_LOSSY);
      this.#rows = [new Float64Array(capacity + 3), new Float64Array(capacity + 3), new Float64Array(capacity + 3)];
      this.#shares = new Float64Array(capacity + 4);
      this.#swapped = new Float64Array(capacity);
      this.#rarity = new Float64Array(capacity);
    }
    this.#out.match.fill(NONE, 0, sends);
    this.#out.confidence.fill(0, 0, sends);
    this.#out.back.fill(NONE, 0, receives);
    this.#out.anchored = 0;
    const labels = this.#labels.fill(0);
    for (let i = 0; i < sends; i++) {
      const slot = (sendLoose[i] as number) & (LABEL_SLOTS - 1);
      labels[slot] = (labels[slot] as number) + 1;
    }
    let alike = 0;
    for (let slot = 0; slot < LABEL_SLOTS; slot++) alike += (labels[slot] as number) ** 2;
    this.#kinds = alike === 0 ? 1 : (sends * sends) / alike;
    for (let i = 0; i < sends; i++) {
      this.#rarity[i] = sends / (labels[(sendLoose[i] as number) & (LABEL_SLOTS - 1)] as number);
      const isApart = i + 1 >= sends || (claimNs[i + 1] as number) >= (claimEndNs[i] as number);
      this.#swapped[i] = isApart ? 0 : oddsLater(input, i);
    }
  }

  /** Most blocks have no hole and no doubt: then the n-th is the n-th (bench ikc: 1.7 times the rate without losses). */
  #alignClean(input: AlignInput): boolean {
    const { sends, receives, sendLabel, receiveLabel, claimNs, receiveNs, skipped, lostSend, isDoubtful, toleranceNs } = input;
    if (sends < receives || countOverdue(input) > receives) return false;
    for (let j = 0; j < receives; j++) {
      if (sendLabel[j] !== receiveLabel[j] || skipped[j] !== 0 || (lostSend[j] as number) > CLEAN_LOSS) return false;
      if ((receiveNs[j] as number) < (claimNs[j] as number) - toleranceNs || this.#swapped[j] !== 0 || isDoubtful[j] === 1) return false;
    }
    for (let j = 0; j < receives; j++) {
      this.#out.match[j] = this.#out.back[j] = j;
      this.#out.confidence[j] = MOST_CONFIDENCE;
    }
    return true;
  }

  /** How much more likely two halves are one message than two; 0 = they cannot be. */
  #weigh(input: AlignInput, i: number, j: number): number {
    if (input.sendLabel[i] !== input.receiveLabel[j] && (input.isLoose[i] === 0 || input.sendLoose[i] !== input.receiveLoose[j])) return 0;
    const delayNs = (input.receiveNs[j] as number) - (input.claimNs[i] as number);
    if (delayNs < -input.toleranceNs || delayNs > MAX_LAG_NS) return 0;
    const rarity = this.#rarity[i] as number;
    const width = input.delayHighNs - input.delayLowNs;
    let outNs = input.delayLowNs - delayNs;
    if (delayNs > input.delayHighNs) {
      // A message behind others waits for as long as they take: only the first of a run says how long delays are.
      if (j > 0 && (input.receiveNs[j] as number) - (input.receiveNs[j - 1] as number) <= width) return rarity;
      outNs = delayNs - input.delayHighNs;
    }
    if (outNs <= width) return rarity;
    const far = width / outNs;
    return rarity * Math.max(LEAST_TIME_WEIGHT, far * far);
  }

  /** Sendings `i` and `i + 1` as receivings `j + 1` and `j`; 0 = they cannot be. */
  #weighSwap(input: AlignInput, i: number, j: number): number {
    const odds = this.#swapped[i] as number;
    if (odds === 0 || j + 1 >= input.receives || j < 0) return 0;
    const later = this.#weigh(input, i, j + 1);
    return later === 0 ? 0 : odds * later * this.#weigh(input, i + 1, j);
  }

  /** Where each row's cells are, as far as the labels tell, and what holes cost there. */
  #frame(input: AlignInput): void {
    const { sends, receives, isLoose, lostSend } = input;
    let loose = 0;
    for (let i = 0; i < sends; i++) loose += isLoose[i] as number;
    const areLoose = loose * 2 > sends;
    this.#anchors.find(
      areLoose ? input.sendLoose : input.sendLabel,
      sends,
      areLoose ? input.receiveLoose : input.receiveLabel,
      receives,
      this.#kinds,
      (i, j) => this.#weigh(input, i, j) > 0,
    );
    const { of } = this.#anchors;
    let [lastReceive, lastSend] = [NONE, NONE];
    while (lastReceive < receives) {
      let next = lastReceive + 1;
      while (next < receives && of[next] === NONE) next++;
      const isEnd = next === receives;
      const to = isEnd ? NONE : (of[next] as number);
      const [inSends, inReceives] = [isEnd ? 0 : to - lastSend - 1, next - lastReceive - 1];
      const more = isEnd ? 0 : inSends - inReceives;
      for (let j = lastReceive + 1; j <= next; j++) {
        this.#gapFrom[j] = lastSend + 1;
        this.#gapTo[j] = to;
        this.#gapCells[j] = inSends * inReceives;
        const jump = weighJump(input, j);
        this.#jump[j] = more >= WIDE_GAP ? Math.max(jump, more / (more + 1)) : jump;
        const lost = j === 0 ? 0 : (lostSend[j - 1] as number);
        this.#lost[j] = j > lastReceive + 1 && -more >= WIDE_GAP ? Math.max(lost, -more / (inReceives + 1)) : lost;
      }
      [lastReceive, lastSend] = [next, to];
    }
  }

  #forward(input: AlignInput): void {
    const { sends, receives, claimNs, receiveNs, toleranceNs, ringSlots, isDoubtful, lostSend, skipped } = input;
    let cells = this.#cells;
    const swapped = this.#swapped;
    let before = 0;
    let until = 0;
    let center = 0;
    const narrow = receives > 0 && (lostSend[receives - 1] as number) > LOSSY ? NARROW_LOSSY : NARROW;
    let wide = WIDE_ROWS;
    let unexplained = 0;
    let at = 0;
    let previousAt = 0;
    let previousLow = 0;
    let previousHigh = -1;
    for (let j = 0; j <= receives; j++) {
      const lastNs = j === 0 ? -Infinity : (receiveNs[j - 1] as number);
      const nextNs = j === receives ? Infinity : (receiveNs[j] as number);
      while (before < sends && (claimNs[before] as number) < lastNs - toleranceNs) before++;
      while (until < sends && (claimNs[until] as number) <= nextNs + toleranceNs) until++;
      const jump = this.#jump[j] as number;
      const lost = this.#lost[j] as number;
      if (j < receives && (skipped[j] === NONE || (skipped[j] as number) >= LARGE_JUMP)) wide = WIDE_ROWS;
      const width = wide > 0 ? MAX_WIDTH : narrow;
      const gapTo = this.#gapTo[j] as number;
      const margin = narrow >> 1;
      let low = Math.max(0, (this.#gapFrom[j] as number) - margin);
      let high = gapTo === NONE ? until : Math.min(until, gapTo + margin);
      if (gapTo === NONE) low = Math.max(low, previousLow, Math.min(before - ringSlots, previousHigh + 1));
      if (high - low >= width && (gapTo === NONE || (this.#gapCells[j] as number) > MAX_GAP_CELLS)) {
        low = Math.max(low, Math.min(center - (width >> 2), high - width + 1));
        high = Math.min(high, low + width - 1);
      }
      high = Math.max(low, high);
      if (at + high - low + 1 > cells.length) cells = this.#cells = copyInto(new Float64Array(cells.length * 2 + high - low), cells);
      let most = 0;
      const twoAt = j < 2 ? 0 : (this.#rowAt[j - 2] as number);
      const twoLow = j < 2 ? 0 : (this.#rowLow[j - 2] as number);
      const twoHigh = twoLow + previousAt - twoAt - 1;
      const scale = j < 1 ? 1 : (this.#rowScale[j - 1] as number);
      for (let i = low; i <= high; i++) {
        let weight = j === 0 && i === 0 ? 1 : 0;
        if (i > previousLow && i - 1 <= previousHigh) {
          const match = this.#weigh(input, i - 1, j - 1);
          if (match > 0) weight = (cells[previousAt + i - 1 - previousLow] as number) * match;
        }
        if (i >= previousLow && i <= previousHigh) weight += (cells[previousAt + i - previousLow] as number) * lost;
        if (j >= 2 && i >= 2 && swapped[i - 2] !== 0 && i - 2 >= twoLow && i - 2 <= twoHigh) {
          weight += ((cells[twoAt + i - 2 - twoLow] as number) * this.#weighSwap(input, i - 2, j - 2)) / scale;
        }
        if (i > low) weight += (cells[at + i - 1 - low] as number) * (isDoubtful[i - 1] === 1 ? Math.max(jump, DOUBTFUL) : jump);
        cells[at + i - low] = weight;
        if (weight > most) {
          most = weight;
          center = i;
        }
      }
      unexplained = most < LOST_ORDER ? unexplained + 1 : 0;
      wide = unexplained >= LOST_ROWS ? WIDE_ROWS : wide - 1;
      // Nothing of ours explains these halves: the order begins anew behind them.
      if (most === 0) cells.fill(1, at, at + high - low + 1);
      else for (let cell = at; cell <= at + high - low; cell++) cells[cell] = (cells[cell] as number) / most;
      this.#rowLow[j] = low;
      this.#rowAt[j] = at;
      this.#rowScale[j] = most === 0 ? Infinity : most;
      previousAt = at;
      previousLow = low;
      previousHigh = high;
      at += high - low + 1;
    }
    this.#rowAt[receives + 1] = at;
  }

  #backward(input: AlignInput): void {
    const { receives, isDoubtful, sends } = input;
    const overdue = countOverdue(input);
    const cells = this.#cells;
    const shares = this.#shares;
    let [now, next, second] = this.#rows;
    let [nextLow, nextHigh, secondLow, secondHigh] = [0, -1, 0, -1];
    let nextScale = 1;
    for (let j = receives; j >= 0; j--) {
      const low = this.#rowLow[j] as number;
      const at = this.#rowAt[j] as number;
      const high = low + (this.#rowAt[j + 1] as number) - at - 1;
      const jump = this.#jump[j] as number;
      const lost = j === receives ? 0 : (this.#lost[j + 1] as number);
      let most = 0;
      let total = 0;
      shares.fill(0, 0, high - low + 3);
      for (let i = high; i >= low; i--) {
        // Behind the last receiving stand sendings that are under way; older ones were lost there as anywhere.
        let weight = j === receives ? NO_JUMP ** Math.min(MOST_LOST_AT_END, Math.max(0, overdue - i)) : 0;
        if (j < receives) {
          const before = cells[at + i - low] as number;
          if (i + 1 >= nextLow && i + 1 <= nextHigh && i < sends) {
            const match = this.#weigh(input, i, j);
            if (match > 0) {
              weight = match * (next[i + 1 - nextLow] as number);
              shares[i - low] = (shares[i - low] as number) + before * weight;
              total += before * weight;
            }
          }
          if (i >= nextLow && i <= nextHigh) {
            const left = lost * (next[i - nextLow] as number);
            weight += left;
            total += before * left;
          }
          if (i + 2 >= secondLow && i + 2 <= secondHigh && i + 1 < sends) {
            const swap = this.#weighSwap(input, i, j);
            if (swap > 0) {
              const crossed = (swap * (second[i + 2 - secondLow] as number)) / nextScale;
              weight += crossed;
              shares[i + 1 - low] = (shares[i + 1 - low] as number) + before * crossed;
              total += before * crossed;
            }
          }
          if (i < high) weight += (now[i + 1 - low] as number) * (isDoubtful[i] === 1 ? Math.max(jump, DOUBTFUL) : jump);
        }
        now[i - low] = weight;
        if (weight > most) most = weight;
      }
      if (j < receives) this.#claimBest(input, j, low, high, total + this.#addSwapsInto(input, j, low, high, next, nextLow, nextHigh));
      if (most > 0) for (let cell = 0; cell <= high - low; cell++) now[cell] = (now[cell] as number) / most;
      [now, next, second] = [second, now, next];
      [secondLow, secondHigh, nextLow, nextHigh] = [nextLow, nextHigh, low, high];
      nextScale = most > 0 ? most : 1;
    }
  }

  /** Swaps that begin one row before: receiving `j` is the sending that came first. Returns their weight. */
  #addSwapsInto(input: AlignInput, j: number, low: number, high: number, next: Float64Array, nextLow: number, nextHigh: number): number {
    if (j === 0) return 0;
    const beforeAt = this.#rowAt[j - 1] as number;
    const beforeLow = this.#rowLow[j - 1] as number;
    const beforeHigh = beforeLow + (this.#rowAt[j] as number) - beforeAt - 1;
    let total = 0;
    for (let i = Math.max(beforeLow, low); i <= beforeHigh && i + 1 < input.sends && i <= high; i++) {
      if (this.#swapped[i] === 0 || i + 2 < nextLow || i + 2 > nextHigh) continue;
      const swap = this.#weighSwap(input, i, j - 1);
      if (swap === 0) continue;
      const weight =
        ((this.#cells[beforeAt + i - beforeLow] as number) * swap * (next[i + 2 - nextLow] as number)) / (this.#rowScale[j] as number);
      this.#shares[i - low] = (this.#shares[i - low] as number) + weight;
      total += weight;
    }
    return total;
  }

  #claimBest({ sends }: AlignInput, j: number, low: number, high: number, total: number): void {
    if (!(total > 0)) return;
    let best = 0;
    let bestAt = NONE;
    for (let i = low; i <= high + 1 && i < sends; i++) {
      if ((this.#shares[i - low] as number) <= best) continue;
      best = this.#shares[i - low] as number;
      bestAt = i;
    }
    if (bestAt !== NONE) this.#claim(bestAt, j, best / total);
  }

  #claim(i: number, j: number, confidence: number): void {
    const { match, back, confidence: known } = this.#out;
    if (confidence < LEAST_CONFIDENCE || (match[i] !== NONE && confidence <= (known[i] as number))) return;
    const before = match[i] as number;
    if (before !== NONE) back[before] = NONE;
    match[i] = j;
    back[j] = i;
    known[i] = Math.min(Math.max(LEAST_STATED, 1 - CAUTION * (1 - confidence)), MOST_CONFIDENCE);
  }

  /** Pairs out of order by more than one: both are left over, have one label, and the sendings between them overlap. */
  #repair(input: AlignInput): void {
    const { receives, sends } = input;
    const { match, back, confidence } = this.#out;
    for (let j = 0; j < receives; j++) {
      if (back[j] !== NONE) continue;
      const place = this.#placeOf(j);
      if (place === NONE) continue;
      let found = NONE;
      let candidates = 0;
      for (let i = Math.max(0, place - MAX_WIDTH); i < Math.min(sends, place + MAX_WIDTH); i++) {
        if (match[i] !== NONE || this.#weigh(input, i, j) === 0 || !overlapsUpTo(input, i, place)) continue;
        candidates++;
        found = i;
      }
      if (found === NONE) continue;
      match[found] = j;
      back[j] = found;
      confidence[found] = Math.max(LEAST_CONFIDENCE, REPAIRED / candidates);
    }
  }

  /** The sending that the receiving before `j` is matched with. */
  #placeOf(j: number): number {
    for (let before = j - 1; before >= 0 && before >= j - OVERLAP_DISTANCE; before--) {
      if (this.#out.back[before] !== NONE) return this.#out.back[before] as number;
    }
    return NONE;
  }

  /** Sendings of one label, not next to each other, whose claims could have come the other way round. */
  #doubtOverlaps({ sends, claimNs, claimEndNs, sendLoose }: AlignInput): void {
    const { match, confidence } = this.#out;
    for (let i = 0; i + 2 < sends; i++) {
      const endNs = claimEndNs[i] as number;
      if (match[i] === NONE || (claimNs[i + 2] as number) >= endNs) continue;
      for (let k = i + 2; k <= i + OVERLAP_DISTANCE && k < sends; k++) {
        if ((claimNs[k] as number) >= endNs) break;
        if (match[k] === NONE || sendLoose[k] !== sendLoose[i]) continue;
        const swapped = probabilityLater(claimNs[i] as number, endNs, claimNs[k] as number, claimEndNs[k] as number);
        confidence[i] = (confidence[i] as number) * (1 - swapped);
        confidence[k] = (confidence[k] as number) * (1 - swapped);
      }
    }
  }
}

/** Weight of leaving sendings out before receiving `j`. */
function weighJump(input: AlignInput, j: number): number {
  if (j === input.receives) return NO_JUMP;
  const skipped = input.skipped[j] as number;
  if (skipped > 0) return Math.min(0.98, skipped / (skipped + 1));
  return skipped === NONE ? Math.min(0.5, Math.max(0.02, input.lostReceives)) : NO_JUMP;
}

/** Sendings that would usually have come by the last receiving. */
function countOverdue({ sends, claimNs, receives, receiveNs, delayHighNs }: AlignInput): number {
  let count = sends;
  const lastNs = receives === 0 ? -Infinity : (receiveNs[receives - 1] as number);
  while (count > 0 && (claimNs[count - 1] as number) > lastNs - delayHighNs) count--;
  return count;
}

/** All sendings between `i` and `place` could have claimed on its other side. */
function overlapsUpTo({ claimNs, claimEndNs }: AlignInput, i: number, place: number): boolean {
  if (i === place) return true;
  if (i < place) return (claimNs[place] as number) <= (claimEndNs[i] as number);
  for (let k = place + 1; k < i; k++) if ((claimNs[i] as number) > (claimEndNs[k] as number)) return false;
  return i > place + 1;
}

/** Odds that sending `i` claimed after the next one. */
function oddsLater({ claimNs, claimEndNs }: AlignInput, i: number): number {
  const later = Math.min(
    MOST_SWAPPED,
    probabilityLater(claimNs[i] as number, claimEndNs[i] as number, claimNs[i + 1] as number, claimEndNs[i + 1] as number),
  );
  return later / (1 - later);
}

/** That a moment somewhere in [a0, a1] is later than one somewhere in [b0, b1]. */
function probabilityLater(a0: number, a1: number, b0: number, b1: number): number {
  const lengthA = a1 - a0;
  const lengthB = b1 - b0;
  if (lengthA <= 0 || lengthB <= 0) return a0 > b0 ? 1 : 0;
  const low = Math.max(a0, b0);
  const high = Math.min(a1, b1);
  const below = Math.max(0, Math.min(b1, a0) - b0) / lengthB;
  if (high <= low) return below;
  return below + ((a1 - low + (a1 - high)) * (high - low)) / (2 * lengthA * lengthB);
}
