/**
 * Where two sequences with holes run side by side, told without a path: runs of `k` labels that occur once among the sendings and
 * once among the receivings, as many of them as keep the order of both.
 *
 *   sendings    … a b c d e │ f g … 300 of which the receivings are lost … │ p q r s t …
 *   receivings  … a b c d e │                                              p q r s t …
 *               └ anchors  ┘                                               └ anchors ┘
 *
 * An alignment that follows its best cells has to guess how wide a hole is; between two anchors it is known. `k` is so long that
 * a run fits by chance in one block of a thousand; where labels are too much alike for that there are no anchors.
 */
import { NONE } from './ikc-halves.ts';

const MOST_BY_CHANCE = 1e-3;
const MAX_RUN = 16;
const LEAST_KINDS = 1.5;
/** Odd, so that each step of the hash can be taken back. */
const FACTOR = 0x9e37_79b1;
/** In the table: this run occurs more than once. */
const TWICE = -2;

export class Anchors {
  /** By receiving: its sending, or NONE. Rising. */
  of = new Int32Array(0);
  #table = new Int32Array(0);
  #keys = new Uint32Array(0);
  #fits = new Int32Array(0);
  /** Of chains of 1, 2, … runs: the receiving at the end of the one that ends earliest; and by receiving what stands before it. */
  #ends = new Int32Array(0);
  #before = new Int32Array(0);

  /**
   * `kinds`: how many different labels there are in effect (1 / probability that two sendings have the same one). `canBe` tells
   * whether a sending and a receiving of one label can be one message. The result is in `of`.
   */
  find(
    sendLabels: Uint32Array,
    sends: number,
    receiveLabels: Uint32Array,
    receives: number,
    kinds: number,
    canBe: (send: number, receive: number) => boolean,
  ): void {
    this.#grow(sends, receives);
    this.of.fill(NONE, 0, receives);
    if (kinds < LEAST_KINDS || sends === 0 || receives === 0) return;
    const run = Math.max(1, Math.ceil(Math.log((sends * receives) / MOST_BY_CHANCE) / Math.log(kinds)));
    if (run > MAX_RUN || run > Math.min(sends, receives)) return;
    this.#index(sendLabels, sends, run);
    this.#lookUp(sendLabels, receiveLabels, receives, run, canBe);
    this.#chain(receives, run);
  }

  #grow(sends: number, receives: number): void {
    if (this.of.length < receives) {
      this.of = new Int32Array(receives * 2);
      this.#fits = new Int32Array(receives * 2);
      this.#ends = new Int32Array(receives * 2);
      this.#before = new Int32Array(receives * 2);
    }
    if (this.#table.length < sends * 2) {
      const size = 2 ** Math.ceil(Math.log2(sends * 2 + 2));
      this.#table = new Int32Array(size);
      this.#keys = new Uint32Array(size);
    }
  }

  #index(labels: Uint32Array, count: number, run: number): void {
    const [table, keys] = [this.#table.fill(NONE), this.#keys];
    const mask = table.length - 1;
    eachRun(labels, count, run, (at, hash) => {
      let slot = hash & mask;
      while (table[slot] !== NONE && keys[slot] !== hash) slot = (slot + 1) & mask;
      table[slot] = table[slot] === NONE ? at : TWICE;
      keys[slot] = hash;
    });
  }

  /** By receiving: the sending at which the run that begins with it begins. */
  #lookUp(
    sendLabels: Uint32Array,
    labels: Uint32Array,
    count: number,
    run: number,
    canBe: (send: number, receive: number) => boolean,
  ): void {
    const [table, keys, fits] = [this.#table, this.#keys, this.#fits.fill(NONE, 0, count)];
    const mask = table.length - 1;
    eachRun(labels, count, run, (at, hash) => {
      let slot = hash & mask;
      while (table[slot] !== NONE && keys[slot] !== hash) slot = (slot + 1) & mask;
      const send = table[slot] as number;
      if (send < 0 || !canBe(send, at)) return;
      for (let step = 0; step < run; step++) if (sendLabels[send + step] !== labels[at + step]) return;
      fits[at] = send;
    });
  }

  /** The longest rising chain of the runs that fit; each makes anchors of all its places that still rise. */
  #chain(count: number, run: number): void {
    const [fits, ends, before] = [this.#fits, this.#ends, this.#before];
    let length = 0;
    for (let at = 0; at < count; at++) {
      const send = fits[at] as number;
      if (send === NONE) continue;
      let low = 0;
      let high = length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if ((fits[ends[middle] as number] as number) < send) low = middle + 1;
        else high = middle;
      }
      ends[low] = at;
      before[at] = low === 0 ? NONE : (ends[low - 1] as number);
      if (low === length) length++;
    }
    const chain: number[] = [];
    for (let at = length === 0 ? NONE : (ends[length - 1] as number); at !== NONE; at = before[at] as number) chain.push(at);
    let [lastReceive, lastSend] = [NONE, NONE];
    for (const start of chain.reverse()) {
      for (let step = 0; step < run; step++) {
        const [receive, send] = [start + step, (fits[start] as number) + step];
        if (receive <= lastReceive || send <= lastSend) continue;
        this.of[receive] = send;
        [lastReceive, lastSend] = [receive, send];
      }
    }
  }
}

/** Hash of each `run` labels in a row, by the place of the first: a polynomial that loses the oldest with each step. */
function eachRun(labels: Uint32Array, count: number, run: number, use: (at: number, hash: number) => void): void {
  let oldest = 1;
  for (let step = 1; step < run; step++) oldest = Math.imul(oldest, FACTOR);
  let hash = 0;
  for (let at = 0; at < count; at++) {
    if (at >= run) hash = (hash - Math.imul(labels[at - run] as number, oldest)) | 0;
    hash = (Math.imul(hash, FACTOR) + (labels[at] as number)) | 0;
    if (at >= run - 1) use(at - run + 1, (hash ^ (hash >>> 15)) >>> 0);
  }
}
