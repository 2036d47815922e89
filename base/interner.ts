/**
 * Byte strings → small ids, for the dictionaries of batches. Open addressing over a 32-bit FNV-1a hash; the bytes live in
 * one arena. Id 0 is always the empty string, so a zeroed column means "none".
 */
import { decodeUtf8, encodeUtf8 } from './bytes.ts';

/** In place of FNV's constant: a sender who knows the start can make keys that all collide, and each lookup then walks them all. */
const HASH_SEED = (crypto.getRandomValues(new Uint32Array(1))[0] as number) | 0;
const FNV_PRIME = 0x01000193;
const WORD_PRIME = 0x9e37_79b1 | 0;
const RECENT = 512;
const FIRST_IDS = 64;
const FIRST_SLOTS = 128;
/** Behind adopted bytes, for the strings that follow. */
const ADOPTED_ROOM = 16 << 10;
/** Kept free at the end of the arena, so that a string's last bytes can be read as a word. */
const WORD_BYTES = 4;

const SHORT_CHARS = 64;
const SHORT = new Uint8Array(SHORT_CHARS);

export class Interner {
  /** Number of distinct strings, ids are 0 … size - 1. */
  size = 1;
  /** String `id` is `arena[starts[id], ends[id])`. */
  arena = new Uint8Array(1024);
  starts = new Uint32Array(FIRST_IDS);
  ends = new Uint32Array(FIRST_IDS);
  /** Of the arena. */
  usedBytes = 0;
  /** Of the three tables below: a piece of memory for each takes most of the time of a batch of few rows. */
  readonly #memory = new ArrayBuffer((RECENT + FIRST_IDS + FIRST_SLOTS) * 4);
  /** Ids by length and some of their bytes: most strings of a trace come again within a few rows, and comparing is cheaper than hashing. */
  readonly #recent = new Uint32Array(this.#memory, 0, RECENT);
  #hashes = new Uint32Array(this.#memory, RECENT * 4, FIRST_IDS);
  /** On the arena. */
  #view = new DataView(this.arena.buffer);
  #slots = new Int32Array(this.#memory, (RECENT + FIRST_IDS) * 4, FIRST_SLOTS).fill(-1);
  #strings: (string | undefined)[] = [];
  /** Strings that `intern` can find. */
  #hashed = 0;

  /** The id of `bytes[start, end)`; the bytes are copied when they are new. */
  intern(bytes: Uint8Array, start: number, end: number): number {
    return this.#seek(bytes, start, end, true);
  }

  /**
   * As `intern`, where a view on `bytes` is at hand: compares four bytes at a time. At least four bytes must follow `start`,
   * whatever the length.
   */
  internWords(view: DataView, bytes: Uint8Array, start: number, end: number): number {
    const length = end - start;
    if (length <= 0) return 0;
    const first = length < 4 ? view.getInt32(start, true) & ((1 << (length * 8)) - 1) : view.getInt32(start, true);
    const last = length < 4 ? 0 : view.getInt32(end - 4, true);
    const slot = Math.imul(first ^ Math.imul(last ^ length, WORD_PRIME), WORD_PRIME) >>> 23;
    const recent = this.#recent[slot] as number;
    if (recent !== 0 && this.#hasWords(recent, view, start, length, first, last)) return recent;
    return (this.#recent[slot] = this.#lookUp(bytes, start, end, true));
  }

  /** `arena` has room for a word behind each string. */
  #hasWords(id: number, view: DataView, start: number, length: number, first: number, last: number): boolean {
    const at = this.starts[id] as number;
    if ((this.ends[id] as number) - at !== length) return false;
    const known = this.#view;
    if (length < 4) return (known.getInt32(at, true) & ((1 << (length * 8)) - 1)) === first;
    if (known.getInt32(at + length - 4, true) !== last || known.getInt32(at, true) !== first) return false;
    for (let i = 4; i < length - 4; i += 4) if (known.getInt32(at + i, true) !== view.getInt32(start + i, true)) return false;
    return true;
  }

  /** The id of `bytes[start, end)` if it was interned, else -1. */
  find(bytes: Uint8Array, start: number, end: number): number {
    return this.#seek(bytes, start, end, false);
  }

  #seek(bytes: Uint8Array, start: number, end: number, add: boolean): number {
    if (end <= start) return 0;
    const edges = (bytes[start] as number) * 11 + (bytes[end - 1] as number) * 5;
    const slot = ((end - start) * 37 + edges + (bytes[(start + end) >> 1] as number)) & (RECENT - 1);
    const recent = this.#recent[slot] as number;
    if (recent !== 0 && this.#equals(recent, bytes, start, end)) return recent;
    const id = this.#lookUp(bytes, start, end, add);
    if (id > 0) this.#recent[slot] = id;
    return id;
  }

  #lookUp(bytes: Uint8Array, start: number, end: number, add: boolean): number {
    let hash = HASH_SEED;
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ (bytes[i] as number), FNV_PRIME);
    hash >>>= 0;
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (;;) {
      const id = this.#slots[slot] as number;
      if (id < 0) return add ? this.#add(bytes, start, end, hash, slot) : -1;
      if (this.#hashes[id] === hash && this.#equals(id, bytes, start, end)) return id;
      slot = (slot + 1) & mask;
    }
  }

  /**
   * Adds `bytes[start, end)` without looking for an equal string: for texts that hardly repeat, where hashing would cost more
   * than the copy. `intern` does not find them.
   */
  append(bytes: Uint8Array, start: number, end: number): number {
    return end === start ? 0 : this.#store(bytes, start, end);
  }

  /**
   * Copies bytes that many texts will be pieces of, in one go; returns where they begin in the arena. `slice` makes a string of
   * such a piece.
   */
  adopt(bytes: Uint8Array): number {
    const at = this.usedBytes;
    if (at + bytes.length + WORD_BYTES > this.arena.length) this.#growArena(at + bytes.length + ADOPTED_ROOM);
    this.arena.set(bytes, at);
    this.usedBytes = at + bytes.length;
    return at;
  }

  /** The string `arena[start, end)` of adopted bytes; like `append`, it is not found by `intern`. */
  slice(start: number, end: number): number {
    if (end <= start) return 0;
    const id = this.size++;
    if (id === this.starts.length) this.#growIds();
    this.starts[id] = start;
    this.ends[id] = end;
    return id;
  }

  /** Room for so many more ids without another table; returns the next one. `size` may then be set as far. */
  reserve(ids: number): number {
    while (this.size + ids >= this.starts.length) this.#growIds();
    return this.size;
  }

  /** As `slice`, for `count` strings from the id `first` on, for which `reserve` has made room; their starts and ends are in `words`. */
  takeSlices(first: number, words: Uint32Array, starts: number, ends: number, count: number): void {
    this.starts.set(words.subarray(starts, starts + count), first);
    this.ends.set(words.subarray(ends, ends + count), first);
    this.size = first + count;
  }

  /** Forgets all strings and keeps the memory: ids begin anew. */
  clear(): void {
    this.size = 1;
    this.usedBytes = 0;
    this.#hashed = 0;
    this.#recent.fill(0);
    this.#slots.fill(-1);
    this.#strings = [];
  }

  internString(text: string): number {
    const { length } = text;
    if (length <= SHORT_CHARS) {
      // Names of attributes, mostly: the encoder's call and its array take longer than their characters.
      let seen = 0;
      for (let i = 0; i < length; i++) {
        const code = text.charCodeAt(i);
        seen |= code;
        SHORT[i] = code;
      }
      if (seen < 0x80) return this.intern(SHORT, 0, length);
    }
    const bytes = encodeUtf8(text);
    return this.intern(bytes, 0, bytes.length);
  }

  /** The string of an id, decoded once. */
  get(id: number): string {
    const known = this.#strings[id];
    if (known !== undefined) return known;
    const text = decodeUtf8(this.arena, this.starts[id] as number, this.ends[id] as number);
    this.#strings[id] = text;
    return text;
  }

  #equals(id: number, bytes: Uint8Array, start: number, end: number): boolean {
    let at = this.starts[id] as number;
    if ((this.ends[id] as number) - at !== end - start) return false;
    const { arena } = this;
    for (let i = start; i < end; i++) if (arena[at++] !== bytes[i]) return false;
    return true;
  }

  #add(bytes: Uint8Array, start: number, end: number, hash: number, slot: number): number {
    const id = this.#store(bytes, start, end);
    this.#hashes[id] = hash;
    this.#slots[slot] = id;
    if (++this.#hashed * 2 > this.#slots.length) this.#rehash();
    return id;
  }

  #store(bytes: Uint8Array, start: number, end: number): number {
    const at = this.usedBytes;
    const count = end - start;
    if (at + count + WORD_BYTES > this.arena.length) this.#growArena(at + count + WORD_BYTES);
    const { arena } = this;
    if (count < 48) for (let i = 0; i < count; i++) arena[at + i] = bytes[start + i] as number;
    else arena.set(bytes.subarray(start, end), at);
    this.usedBytes = at + count;
    const id = this.size++;
    if (id === this.starts.length) this.#growIds();
    this.starts[id] = at;
    this.ends[id] = at + count;
    return id;
  }

  #growArena(wanted: number): void {
    const grown = new Uint8Array(Math.max(this.arena.length * 2, wanted));
    grown.set(this.arena.subarray(0, this.usedBytes));
    this.arena = grown;
    this.#view = new DataView(grown.buffer);
  }

  #growIds(): void {
    const grow = (from: Uint32Array): Uint32Array<ArrayBuffer> => {
      const grown = new Uint32Array(from.length * 2);
      grown.set(from);
      return grown;
    };
    this.starts = grow(this.starts);
    this.ends = grow(this.ends);
    this.#hashes = grow(this.#hashes);
  }

  #rehash(): void {
    const old = this.#slots;
    const slots = new Int32Array(old.length * 2).fill(-1);
    const mask = slots.length - 1;
    for (const id of old) {
      if (id < 0) continue;
      let slot = (this.#hashes[id] as number) & mask;
      while ((slots[slot] as number) >= 0) slot = (slot + 1) & mask;
      slots[slot] = id;
    }
    this.#slots = slots;
  }
}
