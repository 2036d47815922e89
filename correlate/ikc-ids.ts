/**
 * Ids of message halves and traces, made of what the half is (boot, raw time, CPU), so that a second run makes the same ones.
 * Four 32-bit words, seeded by the boot; a cryptographic hash of each message would cost more than matching it (3 µs).
 */
import { createHash } from 'node:crypto';

export type IdSeed = readonly [number, number, number, number];

export function toIdSeed(bootId: string): IdSeed {
  const digest = createHash('sha256').update(`ikc\n${bootId}`).digest();
  return [digest.readUInt32LE(0), digest.readUInt32LE(4), digest.readUInt32LE(8), digest.readUInt32LE(12)];
}

/** One word of an id: murmur3's finaliser over the seed and three words. */
export function mixWords(seed: number, a: number, b: number, c: number): number {
  return finish(finish(finish(seed ^ a) + Math.imul(b, 0x9e37_79b1)) ^ Math.imul(c, 0x85eb_ca6b)) >>> 0;
}

function finish(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) | 0;
}

/** The two words of a row of `from` as the eight bytes of a row of `to`; zeros where there is none. */
export function writeId(to: Uint8Array, at: number, from: Uint32Array | undefined, row: number): void {
  const view = at * 8;
  for (let word = 0; word < 2; word++) {
    const value = from === undefined ? 0 : (from[row * 2 + word] as number);
    to[view + word * 4] = value >>> 24;
    to[view + word * 4 + 1] = value >>> 16;
    to[view + word * 4 + 2] = value >>> 8;
    to[view + word * 4 + 3] = value;
  }
}
