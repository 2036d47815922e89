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
import { toPiece, type Piece, type TextOut } from './text-out.ts';

const PAGE_BYTES = 4096;

/** The symbol that an address lies in. */
export class KernelSymbol {
  readonly name: string;
  /** Of the name: functions of one name are told apart by nobody. */
  readonly nameId: number;
  readonly module: string;
  /** Address − address of the symbol. */
  readonly offset: number;
  /** Bytes to the next symbol. */
  readonly size: number;
  /** The name as it is printed: a symbol is, again and again. */
  readonly piece: Piece;
  #withOffset: Piece | undefined;

  constructor(name: string, nameId: number, module: string, offset: number, size: number) {
    this.name = name;
    this.nameId = nameId;
    this.module = module;
    this.offset = offset;
    this.size = size;
    this.piece = toPiece(name);
  }

  /** `vfs_read+0x1f` */
  get withOffset(): Piece {
    return (this.#withOffset ??= toPiece(`${this.name}+0x${(this.offset >>> 0).toString(16)}`));
  }
}

/** Symbols of a kernel with all its modules: 250,000. */
const MAX_SYMBOLS = 4 << 20;
/** Addresses asked for repeat; a trace of all functions asks for some 30,000. */
const MAX_CACHED = 1 << 17;
const RECENT_MASK = 0xfff;

/** A line up to its name and what ends it, and how long it can be before the name. */
const SYMBOL_LINE = /(?:^|\n)([\da-fA-F]{1,16}) [^Aa] (\S+)\s?$/;
const MAX_BEFORE_NAME = 20;
const NAME = /^([^\s]+)(?:[\t ]+\[([^\]]+)\])?/;
const SPACE = 32;
const LETTER_A = 97;
const DOLLAR = 36;
const NEWLINE = 10;
/** Of each byte; -1 = it is no digit. */
const HEX_VALUES = Int8Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  return /[\da-f]/i.test(character) ? Number.parseInt(character, 16) : -1;
});

/** Before the first symbol is found, and copied then. */
const NO_SYMBOLS: (KernelSymbol | undefined)[] = Array.from({ length: RECENT_MASK + 1 }, () => undefined);
const NO_WORDS = new Int32Array(0);

export class Kallsyms {
  readonly #read: () => Uint8Array;
  #low = new Uint32Array(0);
  #high = new Uint32Array(0);
  /** Where each name begins in the bytes. */
  #starts = new Uint32Array(0);
  /** The whole text, of which strings are only made of what is asked for. */
  #bytes: Buffer = Buffer.alloc(0);
  #addressLow = 0;
  #addressHigh = 0;
  #isRead = false;
  readonly #found = new Map<number, Map<number, KernelSymbol | undefined>>();
  readonly #names: string[] = [];
  readonly #nameIds = new Map<string, number>();
  #cached = 0;
  /** What was found last, by some bits of the address: a tenth of the time of a map whose keys are beyond 31 bits. */
  #recent = NO_SYMBOLS;
  #recentLow = NO_WORDS;
  #recentHigh = NO_WORDS;
  readonly #pick: 'first' | 'bisected';
  /** Of the names that were asked for: those that formats leave as they are. */
  readonly #addresses = new Map<string, bigint | undefined>();

  /**
   * Of several names at one address, `first` is the one the kernel prints. `bisected` is the one that libtraceevent's binary
   * search meets, over a table sorted by address with equal ones in reverse order; it finds nothing above the last symbol.
   */
  constructor(read: () => Uint8Array, pick: 'first' | 'bisected' = 'first') {
    this.#read = read;
    this.#pick = pick;
  }

  /** The symbol an address lies in; undefined below the first and where there are no symbols. */
  find(low: number, high: number): KernelSymbol | undefined {
    const slot = (low ^ (low >>> 12)) & RECENT_MASK;
    const recent = this.#recent[slot];
    if (recent !== undefined && this.#recentLow[slot] === (low | 0) && this.#recentHigh[slot] === (high | 0)) return recent;
    const symbol = this.#findCached(low, high);
    if (this.#recent === NO_SYMBOLS) {
      this.#recent = [...NO_SYMBOLS];
      this.#recentLow = new Int32Array(RECENT_MASK + 1);
      this.#recentHigh = new Int32Array(RECENT_MASK + 1);
    }
    this.#recentLow[slot] = low;
    this.#recentHigh[slot] = high;
    this.#recent[slot] = symbol;
    return symbol;
  }

  #findCached(low: number, high: number): KernelSymbol | undefined {
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

  /** The number of a name, be it one of a symbol or not. */
  idOf(name: string): number {
    const id = this.#nameIds.get(name) ?? this.#names.push(name) - 1;
    this.#nameIds.set(name, id);
    return id;
  }

  nameOf(id: number): string {
    return this.#names[id] as string;
  }

  /** The address of a symbol by its name. */
  addressOf(name: string): bigint | undefined {
    if (!this.#addresses.has(name)) this.#addresses.set(name, this.#findAddress(name));
    return this.#addresses.get(name);
  }

  #findAddress(name: string): bigint | undefined {
    if (!this.#isRead) this.#parse();
    // In the bytes, because it is asked for once or twice, of names that mostly are no symbols; and for the name first, which is
    // 50 times as fast as an expression that begins with an address.
    const wanted = ` ${name}`;
    for (let at = this.#bytes.indexOf(wanted, 0, 'latin1'); at >= 0; at = this.#bytes.indexOf(wanted, at + 1, 'latin1')) {
      const line = this.#bytes.toString('latin1', Math.max(0, at - MAX_BEFORE_NAME), at + wanted.length + 1);
      const [, address, found] = SYMBOL_LINE.exec(line) ?? [];
      if (found === name) return BigInt(`0x${address}`);
    }
    return undefined;
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
    const { name, module } = this.#nameAt(at);
    return new KernelSymbol(name, this.idOf(name), module, offset, size);
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

  /** The text is walked once and kept: names are cut from it when they are asked for. */
  #parse(): void {
    this.#isRead = true;
    const read = this.#read();
    const bytes = Buffer.from(read.buffer, read.byteOffset, read.length);
    this.#bytes = bytes;
    // A line of this kernel's has 45 bytes, with 24 at least none is too many.
    let capacity = Math.max(16, Math.ceil(bytes.length / 40));
    let low = new Uint32Array(capacity);
    let high = new Uint32Array(capacity);
    let starts = new Uint32Array(capacity);
    let count = 0;
    let isSorted = true;
    for (let at = 0; at < bytes.length && count < MAX_SYMBOLS;) {
      const name = this.#readAddress(bytes, at);
      const newline = bytes.indexOf(NEWLINE, name < 0 ? at : name);
      at = newline < 0 ? bytes.length : newline + 1;
      if (name < 0) continue;
      if (count === capacity) {
        capacity *= 2;
        [low, high, starts] = [copyWords(low, capacity), copyWords(high, capacity), copyWords(starts, capacity)];
      }
      low[count] = this.#addressLow;
      high[count] = this.#addressHigh;
      starts[count] = name;
      if (count > 0 && isBelow(low, high, count, count - 1)) isSorted = false;
      count++;
    }
    if (isSorted && this.#pick === 'first') {
      this.#low = low.subarray(0, count);
      this.#high = high.subarray(0, count);
      this.#starts = starts.subarray(0, count);
      return;
    }
    if (isSorted) {
      reverseTies(low, high, starts, count);
      [this.#low, this.#high, this.#starts] = [low.subarray(0, count), high.subarray(0, count), starts.subarray(0, count)];
      return;
    }
    const tie = this.#pick === 'first' ? 1 : -1;
    const order = Uint32Array.from({ length: count }, (_, i) => i);
    order.sort((a, b) => (high[a] as number) - (high[b] as number) || (low[a] as number) - (low[b] as number) || (a - b) * tie);
    this.#low = order.map((i) => low[i] as number);
    this.#high = order.map((i) => high[i] as number);
    this.#starts = order.map((i) => starts[i] as number);
  }

  /** Reads the address and type at the beginning of a line; returns where the name begins, or -1 for a line that is no address. */
  #readAddress(bytes: Uint8Array, at: number): number {
    let low = 0;
    let high = 0;
    let p = at;
    for (; ; p++) {
      const digit = HEX_VALUES[bytes[p] ?? 0] as number;
      if (digit < 0) break;
      high = (high << 4) | (low >>> 28);
      low = (low << 4) | digit;
    }
    if (p === at || p - at > 16 || bytes[p] !== SPACE || bytes[p + 2] !== SPACE || (bytes[p + 3] ?? NEWLINE) === NEWLINE) return -1;
    const type = (bytes[p + 1] as number) | 32;
    if (type === LETTER_A || bytes[p + 3] === DOLLAR) return -1;
    this.#addressLow = low >>> 0;
    this.#addressHigh = high >>> 0;
    return p + 3;
  }

  /** Name and module of a symbol. */
  #nameAt(index: number): { readonly name: string; readonly module: string } {
    const start = this.#starts[index] as number;
    const newline = this.#bytes.indexOf(NEWLINE, start);
    const [, name = '', module = ''] = NAME.exec(this.#bytes.toString('latin1', start, newline < 0 ? this.#bytes.length : newline)) ?? [];
    return { name, module };
  }
}

/** Of symbols at one address, the last comes first. */
function reverseTies(low: Uint32Array, high: Uint32Array, starts: Uint32Array, count: number): void {
  for (let from = 0, to = 1; from < count; from = to++) {
    while (to < count && low[to] === low[from] && high[to] === high[from]) to++;
    if (to - from > 1) starts.subarray(from, to).reverse();
  }
}

function copyWords(words: Uint32Array<ArrayBuffer>, capacity: number): Uint32Array<ArrayBuffer> {
  const copy = new Uint32Array(capacity);
  copy.set(words);
  return copy;
}

function isBelow(low: Uint32Array, high: Uint32Array, a: number, b: number): boolean {
  if (high[a] !== high[b]) return (high[a] as number) < (high[b] as number);
  return (low[a] as number) < (low[b] as number);
}

/** `name+0x1f/0x60 [module]`, as the kernel prints an address; the bare number where no symbol is known. */
export function putSymbol(out: TextOut, symbols: Kallsyms, low: number, high: number, withOffset: boolean): void {
  const symbol = symbols.find(low, high);
  if (symbol === undefined || isNoCode(symbol)) {
    out.putText('0x');
    out.putHexWords(low, high);
    return;
  }
  out.putPiece(symbol.piece);
  if (withOffset) {
    out.putText('+0x');
    out.putHexWords(symbol.offset | 0, 0);
    out.putText('/0x');
    out.putHexWords(symbol.size | 0, 0);
  }
  if (symbol.module === '') return;
  out.putText(` [${symbol.module}]`);
}

/** Behind the last symbol of all, or a module's own record: code of a module that is gone. */
function isNoCode({ name, module, offset, size }: KernelSymbol): boolean {
  return module !== '' && (name === '__this_module' || (size === 0 && offset >= PAGE_BYTES));
}
