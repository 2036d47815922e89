/**
 * CityHash128 of version 1.0.2, which ClickHouse stays with for the checksums of its files: later versions give other values.
 * Blocks of 64 bytes, which are all of a long input, are mixed in pairs of 32-bit words, some 50 times as fast as with bigints;
 * the ends are bigints. Source of the algorithm: CityHash 1.0.2 (Google).
 */
import { TWO_POW_32 } from './int64.ts';

/** Low and high 64 bits. */
export type Hash128 = readonly [low: bigint, high: bigint];

const K0 = 0xc3a5c85c97cb3127n;
const K1 = 0xb492b66fbe98f273n;
const K1_LOW = 0xbe98f273 | 0;
const K1_HIGH = 0xb492b66f | 0;
const K2 = 0x9ae16a3b2f90404fn;
const K3 = 0xc949d7c7509e6557n;
const MIX = 0x9ddfea08eb382d69n;
const LEAST_LONG = 128;
const STEP = 64;

/** Of 8 bytes and more: a frame has a head of nine. */
export function cityHash128(bytes: Uint8Array): Hash128 {
  const { length } = bytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  if (length >= 16) return hashWithSeed(view, 16, length, [view.getBigUint64(0, true) ^ K3, view.getBigUint64(8, true)]);
  const ends: Hash128 = [view.getBigUint64(0, true) ^ wrap(BigInt(length) * K0), view.getBigUint64(length - 8, true) ^ K1];
  return hashWithSeed(view, 0, 0, ends);
}

/** Of `bytes` in pieces of 2048, each seeded with the hash of the one before: ClickHouse's checksum of a file. */
export function cityHashOfFile(bytes: Uint8Array): Hash128 {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let hash: Hash128 = [0n, 0n];
  for (let at = 0; at < bytes.length; at += 2048) hash = hashWithSeed(view, at, Math.min(at + 2048, bytes.length), hash);
  return hash;
}

function wrap(value: bigint): bigint {
  return BigInt.asUintN(64, value);
}

function rotate(value: bigint, by: bigint): bigint {
  return wrap((value >> by) | (value << (64n - by)));
}

function shiftMix(value: bigint): bigint {
  return value ^ (value >> 47n);
}

function hash16(low: bigint, high: bigint): bigint {
  const first = shiftMix(wrap((low ^ high) * MIX));
  return wrap(shiftMix(wrap((high ^ first) * MIX)) * MIX);
}

/** Of fewer than 17 bytes from `at` on. */
function hashUpTo16(view: DataView, at: number, length: number): bigint {
  const size = BigInt(length);
  if (length > 8) {
    const last = view.getBigUint64(at + length - 8, true);
    return hash16(view.getBigUint64(at, true), rotate(wrap(last + size), size)) ^ last;
  }
  if (length >= 4) return hash16(size + (BigInt(view.getUint32(at, true)) << 3n), BigInt(view.getUint32(at + length - 4, true)));
  if (length === 0) return K2;
  const first = view.getUint8(at) + (view.getUint8(at + (length >> 1)) << 8);
  const last = length + (view.getUint8(at + length - 1) << 2);
  return wrap(shiftMix(wrap(BigInt(first) * K2) ^ wrap(BigInt(last) * K3)) * K2);
}

function hashShort(view: DataView, from: number, to: number, seed: Hash128): Hash128 {
  const length = to - from;
  let [a, b] = seed;
  let c: bigint;
  let d: bigint;
  if (length <= 16) {
    a = wrap(shiftMix(wrap(a * K1)) * K1);
    c = wrap(wrap(b * K1) + hashUpTo16(view, from, length));
    d = shiftMix(wrap(a + (length >= 8 ? view.getBigUint64(from, true) : c)));
  } else {
    c = hash16(wrap(view.getBigUint64(to - 8, true) + K1), a);
    d = hash16(wrap(b + BigInt(length)), wrap(c + view.getBigUint64(to - 16, true)));
    a = wrap(a + d);
    for (let at = from; at < to - 16; at += 16) {
      a = wrap((a ^ wrap(shiftMix(wrap(view.getBigUint64(at, true) * K1)) * K1)) * K1);
      b ^= a;
      c = wrap((c ^ wrap(shiftMix(wrap(view.getBigUint64(at + 8, true) * K1)) * K1)) * K1);
      d ^= c;
    }
  }
  a = hash16(a, c);
  b = hash16(d, b);
  return [a ^ b, hash16(b, a)];
}

/** x, y, z, v and w of the algorithm, low words first. */
const state = new Int32Array(14);
const words = new BigUint64Array(state.buffer);

function hashWithSeed(view: DataView, from: number, to: number, seed: Hash128): Hash128 {
  const length = to - from;
  if (length < LEAST_LONG) return hashShort(view, from, to, seed);
  let [x, y] = seed;
  let z = wrap(BigInt(length) * K1);
  let v1 = wrap(wrap(rotate(y ^ K1, 49n) * K1) + view.getBigUint64(from, true));
  let v2 = wrap(wrap(rotate(v1, 42n) * K1) + view.getBigUint64(from + 8, true));
  let w1 = wrap(wrap(rotate(wrap(y + z), 35n) * K1) + x);
  let w2 = wrap(rotate(wrap(x + view.getBigUint64(from + 88, true)), 53n) * K1);
  words.set([x, y, z, v1, v2, w1, w2]);
  const bulkEnd = from + length - (length % LEAST_LONG);
  mixSteps(view, from, bulkEnd);
  [x = 0n, y = 0n, z = 0n, v1 = 0n, v2 = 0n, w1 = 0n, w2 = 0n] = words;
  y = wrap(y + wrap(rotate(w1, 37n) * K0) + z);
  x = wrap(x + wrap(rotate(wrap(v1 + z), 49n) * K0));
  // What is left is hashed from its end, 32 bytes at a time, also over bytes that were mixed already.
  for (let done = 32; done < to - bulkEnd + 32; done += 32) {
    y = wrap(wrap(rotate(wrap(y - x), 42n) * K0) + v2);
    w1 = wrap(w1 + view.getBigUint64(to - done + 16, true));
    x = wrap(wrap(rotate(x, 49n) * K0) + w1);
    w1 = wrap(w1 + v1);
    [v1, v2] = hashWeakly(view, to - done, v1, v2);
  }
  x = hash16(x, v1);
  y = hash16(y, w1);
  return [wrap(hash16(wrap(x + v2), w2) + y), hash16(wrap(x + w2), wrap(y + v2))];
}

function hashWeakly(view: DataView, at: number, seedA: bigint, seedB: bigint): Hash128 {
  const start = wrap(seedA + view.getBigUint64(at, true));
  const last = view.getBigUint64(at + 24, true);
  const a = wrap(start + view.getBigUint64(at + 8, true) + view.getBigUint64(at + 16, true));
  const b = wrap(rotate(wrap(seedB + start + last), 21n) + start + rotate(a, 44n));
  return [wrap(a + last), wrap(b)];
}

/** High word of what `add`, `multiply` and `turn` returned the low word of. */
let high = 0;

function add(al: number, ah: number, bl: number, bh: number): number {
  const low = (al + bl) | 0;
  high = (ah + bh + (low >>> 0 < al >>> 0 ? 1 : 0)) | 0;
  return low;
}

/** By K1. A double of the product of two words is off by less than 2^11: what is left above the low word rounds to the right one. */
function multiply(low: number, up: number): number {
  const product = Math.imul(low, K1_LOW);
  const upper = (((low >>> 0) * (K1_LOW >>> 0) - (product >>> 0)) / TWO_POW_32 + 0.5) >>> 0;
  high = (upper + Math.imul(low, K1_HIGH) + Math.imul(up, K1_LOW)) | 0;
  return product;
}

/** Rotates to the right by `by`, 1 to 31; by 32 more when the words are given the other way round. */
function turn(low: number, up: number, by: number): number {
  high = (up >>> by) | (low << (32 - by));
  return (low >>> by) | (up << (32 - by));
}

/** The loop of CityHash128, 64 bytes a step; an even number of steps, since x and z change places in each. */
function mixSteps(view: DataView, from: number, to: number): void {
  let [xl = 0, xh = 0, yl = 0, yh = 0, zl = 0, zh = 0, v1l = 0, v1h = 0, v2l = 0, v2h = 0, w1l = 0, w1h = 0, w2l = 0, w2h = 0] = state;
  for (let at = from; at < to; at += STEP) {
    // x = rotate(x + y + v1 + bytes[16], 37) * K1 ^ w2
    let low = add(xl, xh, yl, yh);
    low = add(low, high, v1l, v1h);
    low = add(low, high, view.getInt32(at + 16, true), view.getInt32(at + 20, true));
    low = turn(high, low, 5);
    low = multiply(low, high);
    xl = low ^ w2l;
    xh = high ^ w2h;
    // y = rotate(y + v2 + bytes[48], 42) * K1 ^ v1
    low = add(yl, yh, v2l, v2h);
    low = add(low, high, view.getInt32(at + 48, true), view.getInt32(at + 52, true));
    low = turn(high, low, 10);
    low = multiply(low, high);
    yl = low ^ v1l;
    yh = high ^ v1h;
    // z = rotate(z ^ w1, 33)
    low = turn(zh ^ w1h, zl ^ w1l, 1);
    zl = low;
    zh = high;
    // v = weakly(bytes[0…32], v2 * K1, x + w1)
    const al = multiply(v2l, v2h);
    const ah = high;
    const bl = add(xl, xh, w1l, w1h);
    weakly(view, at, al, ah, bl, high);
    v1l = firstLow;
    v1h = firstHigh;
    v2l = secondLow;
    v2h = secondHigh;
    // w = weakly(bytes[32…64], z + w2, y)
    low = add(zl, zh, w2l, w2h);
    weakly(view, at + 32, low, high, yl, yh);
    w1l = firstLow;
    w1h = firstHigh;
    w2l = secondLow;
    w2h = secondHigh;
    const [swapLow, swapHigh] = [xl, xh];
    xl = zl;
    xh = zh;
    zl = swapLow;
    zh = swapHigh;
  }
  state.set([xl, xh, yl, yh, zl, zh, v1l, v1h, v2l, v2h, w1l, w1h, w2l, w2h]);
}

let firstLow = 0;
let firstHigh = 0;
let secondLow = 0;
let secondHigh = 0;

/** `hashWeakly` on words: its two results are left in `first…` and `second…`. */
function weakly(view: DataView, at: number, seedAl: number, seedAh: number, seedBl: number, seedBh: number): void {
  const startLow = add(seedAl, seedAh, view.getInt32(at, true), view.getInt32(at + 4, true));
  const startHigh = high;
  const lastLow = view.getInt32(at + 24, true);
  const lastHigh = view.getInt32(at + 28, true);
  let low = add(seedBl, seedBh, startLow, startHigh);
  low = add(low, high, lastLow, lastHigh);
  const bl = turn(low, high, 21);
  const bh = high;
  low = add(startLow, startHigh, view.getInt32(at + 8, true), view.getInt32(at + 12, true));
  low = add(low, high, view.getInt32(at + 16, true), view.getInt32(at + 20, true));
  const al = low;
  const ah = high;
  firstLow = add(al, ah, lastLow, lastHigh);
  firstHigh = high;
  // rotate(a, 44)
  low = turn(ah, al, 12);
  low = add(low, high, bl, bh);
  secondLow = add(low, high, startLow, startHigh);
  secondHigh = high;
}
