/**
 * The kernel's symbols, `/proc/kallsyms` as recorded: address → name.
 *
 *   ffffffff81000000 T _text
 *   ffffffffc0412000 t nf_conntrack_in	[nf_conntrack]
 *   |                |  |              +-- module, behind a tab
 *   |                |  +-- name: the first of several at one address is the one the kernel prints
 *   |                +-- type; A and a are no addresses (per-CPU offsets on x86-64)
 *   +-- address; the table is sorted but for the modules
 *
 * Kernel: kernel/kallsyms.c.
 */
import { TWO_POW_32 } from '../base/int64.ts';

export interface KernelSymbol {
  readonly name: string;
  readonly module: string;
  /** Address − address of the symbol. */
  readonly offset: number;
  /** Bytes to the next symbol. */
  readonly size: number;
}

/** Symbols of a kernel with all its modules: 250,000. */
const MAX_SYMBOLS = 4 << 20;
/** Addresses asked for repeat; a trace of all functions asks for some 30,000. */
const MAX_CACHED = 1 << 17;

const LINE = /^([\da-fA-F]{1,16}) ([A-Za-z?]) ([^\s\t]+)(?:[\t ]+\[([^\]\n]+)\])?/gm;

export class Kallsyms {
  readonly #read: () => string;
  #low = new Uint32Array(0);
  #high = new Uint32Array(0);
  #names: string[] = [];
  #modules: string[] = [];
  #isRead = false;
  readonly #found = new Map<number, Map<number, KernelSymbol | undefined>>();
  #cached = 0;
  readonly #pick: 'first' | 'bisected';

  /**
   * Of several names at one address, `first` is the one the kernel prints. `bisected` is the one that libtraceevent's binary
   * search meets, over a table sorted by address with equal ones in reverse order; it finds nothing above the last symbol.
   */
  constructor(read: () => string, pick: 'first' | 'bisected' = 'first') {
    this.#read = read;
    this.#pick = pick;
  }

  /** The symbol an address lies in; undefined below the first and where there are no symbols. */
  find(low: number, high: number): KernelSymbol | undefined {
    const lowWord = low >>> 0;
    const byLow = this.#found.get(high);
    const known = byLow?.get(lowWord);
    if (known !== undefined || byLow?.has(lowWord) === true) return known;
    if (!this.#isRead) this.#parse();
    const symbol = this.#search(lowWord, high >>> 0);
    if (++this.#cached > MAX_CACHED) {
      this.#found.clear();
      this.#cached = 1;
    }
    const cache = this.#found.get(high) ?? new Map<number, KernelSymbol | undefined>();
    this.#found.set(high, cache);
    cache.set(lowWord, symbol);
    return symbol;
  }

  /** The address of a symbol by its name. */
  addressOf(name: string): bigint | undefined {
    if (!this.#isRead) this.#parse();
    const at = this.#names.indexOf(name);
    return at < 0 ? undefined : (BigInt(this.#high[at] as number) << 32n) | BigInt(this.#low[at] as number);
  }

  #search(low: number, high: number): KernelSymbol | undefined {
    const at = this.#pick === 'first' ? this.#firstAt(this.#lastBelow(low, high)) : this.#bisect(low, high);
    if (at < 0) return undefined;
    const baseLow = this.#low[at] as number;
    const baseHigh = this.#high[at] as number;
    const offset = (high - baseHigh) * TWO_POW_32 + (low - baseLow);
    let next = at + 1;
    while (this.#low[next] === baseLow && this.#high[next] === baseHigh) next++;
    const size =
      next < this.#low.length ? ((this.#high[next] as number) - baseHigh) * TWO_POW_32 + ((this.#low[next] as number) - baseLow) : 0;
    return { name: this.#names[at] as string, module: this.#modules[at] as string, offset, size };
  }

  /** bsearch(3) over half-open intervals, step by step. */
  #bisect(low: number, high: number): number {
    const isAtOrBelow = (i: number): boolean =>
      (this.#high[i] as number) < high || (this.#high[i] === high && (this.#low[i] as number) <= low);
    let from = 0;
    let to = this.#low.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      const isHere = this.#low[middle] === low && this.#high[middle] === high;
      if (isHere || (isAtOrBelow(middle) && middle + 1 < this.#low.length && !isAtOrBelow(middle + 1))) return middle;
      if (isAtOrBelow(middle)) from = middle + 1;
      else to = middle;
    }
    return -1;
  }

  #firstAt(at: number): number {
    let first = at;
    while (first > 0 && this.#low[first - 1] === this.#low[at] && this.#high[first - 1] === this.#high[at]) first--;
    return first;
  }

  /** Index of the last symbol at or below an address, or -1. */
  #lastBelow(low: number, high: number): number {
    let from = 0;
    let to = this.#low.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      const middleHigh = this.#high[middle] as number;
      if (middleHigh < high || (middleHigh === high && (this.#low[middle] as number) <= low)) from = middle + 1;
      else to = middle;
    }
    return from - 1;
  }

  #parse(): void {
    this.#isRead = true;
    const low: number[] = [];
    const high: number[] = [];
    const names: string[] = [];
    const modules: string[] = [];
    for (const [, address = '', type, name = '', module = ''] of this.#read().matchAll(LINE)) {
      if (type === 'A' || type === 'a' || name.startsWith('$')) continue;
      const digits = address.padStart(16, '0');
      high.push(Number.parseInt(digits.slice(0, 8), 16));
      low.push(Number.parseInt(digits.slice(8), 16));
      names.push(name);
      modules.push(module);
      if (names.length === MAX_SYMBOLS) break;
    }
    const order = Uint32Array.from(names.keys());
    order.sort(
      (a, b) =>
        (high[a] as number) - (high[b] as number) || (low[a] as number) - (low[b] as number) || (this.#pick === 'first' ? a - b : b - a),
    );
    this.#low = Uint32Array.from(order, (i) => low[i] as number);
    this.#high = Uint32Array.from(order, (i) => high[i] as number);
    this.#names = Array.from(order, (i) => names[i] as string);
    this.#modules = Array.from(order, (i) => modules[i] as string);
  }
}
