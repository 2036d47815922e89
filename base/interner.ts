/**
 * Byte strings → small ids, for the dictionaries of batches. Open addressing over a 32-bit FNV-1a hash; the bytes live in
 * one arena. Id 0 is always the empty string, so a zeroed column means "none".
 */
import { decodeUtf8, encodeUtf8 } from './bytes.ts';

/** In place of FNV's constant: a sender who knows the start can make keys that all collide, and each lookup then walks them all. */
const HASH_SEED = (crypto.getRandomValues(new Uint32Array(1))[0] as number) | 0;
const FNV_PRIME = 0x01000193;

export class Interner {
  /** Number of distinct strings, ids are 0 … size - 1. */
  size = 0;
  /** All strings one after the other; string `id` is `[offsets[id], offsets[id + 1])`. */
  arena = new Uint8Array(4096);
  offsets = new Uint32Array(257);
  #hashes = new Uint32Array(256);
  #slots = new Int32Array(512).fill(-1);
  #strings: (string | undefined)[] = [];
  /** Strings that `intern` can find. */
  #hashed = 0;

  constructor() {
    this.intern(new Uint8Array(0), 0, 0);
  }

  /** The id of `bytes[start, end)`; the bytes are copied when they are new. */
  intern(bytes: Uint8Array, start: number, end: number): number {
    let hash = HASH_SEED;
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ (bytes[i] as number), FNV_PRIME);
    hash >>>= 0;
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (;;) {
      const id = this.#slots[slot] as number;
      if (id < 0) return this.#add(bytes, start, end, hash, slot);
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

  internString(text: string): number {
    const bytes = encodeUtf8(text);
    return this.intern(bytes, 0, bytes.length);
  }

  /** The string of an id, decoded once. */
  get(id: number): string {
    const known = this.#strings[id];
    if (known !== undefined) return known;
    const text = decodeUtf8(this.arena, this.offsets[id] as number, this.offsets[id + 1] as number);
    this.#strings[id] = text;
    return text;
  }

  #equals(id: number, bytes: Uint8Array, start: number, end: number): boolean {
    let at = this.offsets[id] as number;
    if ((this.offsets[id + 1] as number) - at !== end - start) return false;
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
    const id = this.size++;
    const at = this.offsets[id] as number;
    const count = end - start;
    if (at + count > this.arena.length) {
      const grown = new Uint8Array(Math.max(this.arena.length * 2, at + count));
      grown.set(this.arena);
      this.arena = grown;
    }
    if (count < 48) {
      const { arena } = this;
      for (let i = 0; i < count; i++) arena[at + i] = bytes[start + i] as number;
    } else this.arena.set(bytes.subarray(start, end), at);
    if (id + 1 >= this.offsets.length) this.#growIds();
    this.offsets[id + 1] = at + count;
    return id;
  }

  #growIds(): void {
    const offsets = new Uint32Array(this.offsets.length * 2);
    offsets.set(this.offsets);
    this.offsets = offsets;
    const hashes = new Uint32Array(offsets.length);
    hashes.set(this.#hashes);
    this.#hashes = hashes;
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
