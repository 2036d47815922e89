/**
 * What the kernel prints behind `%p` from the bytes an argument points to, where these bytes are in the record.
 *
 *   %pM %pm %pMR %pMF        00:11:22:33:44:55, without colons, reversed, with dashes
 *   %pI4 %pi4 %pI6 %pI6c     192.0.2.1, 192.000.002.001, 2001:0db8:…, 2001:db8::1
 *   %pIS %pISpc              a sockaddr, with its port, compressed
 *   %pU %pUl %pUB %pUL       a UUID; little-endian, upper case
 *   %*ph %*phC %*phD %*phN   bytes in hexadecimal, parted by blanks, colons, dashes, nothing
 *   %*pb %*pbl               a bitmap: ff,ffffffff; 0-7,12
 *
 * Kernel: lib/vsprintf.c.
 */
import type { TextOut } from './text-out.ts';

const COLON = 58;
const AF_INET = 2;
const AF_INET6 = 10;
const MAC_BYTES = 6;
const GUID_ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15] as const;

export function putMac(out: TextOut, bytes: Uint8Array, from: number, kind: string): void {
  for (let i = 0; i < MAC_BYTES; i++) {
    if (i > 0 && kind.startsWith('M')) out.putByte(kind === 'MF' ? 45 : COLON);
    out.putHexByte(bytes[from + (kind.endsWith('R') ? MAC_BYTES - 1 - i : i)] as number);
  }
}

/** `kind`: `I4`, `i4`, behind it the byte order. */
export function putIpv4(out: TextOut, bytes: Uint8Array, from: number, kind: string, little: boolean): void {
  const order = kind[2];
  const reversed = order === 'l' || (order === 'h' && little);
  for (let i = 0; i < 4; i++) {
    if (i > 0) out.putByte(46);
    out.putPaddedDecimal(bytes[from + (reversed ? 3 - i : i)] as number, kind.startsWith('i') ? 3 : 1);
  }
}

export function putIpv6(out: TextOut, bytes: Uint8Array, from: number, kind: string): void {
  if (kind.includes('c')) {
    putCompressed(out, bytes, from);
    return;
  }
  for (let i = 0; i < 16; i += 2) {
    if (i > 0 && kind.startsWith('I')) out.putByte(COLON);
    out.putHexByte(bytes[from + i] as number);
    out.putHexByte(bytes[from + i + 1] as number);
  }
}

/** The longest run of zeros becomes `::`; what maps IPv4 ends as such. */
function putCompressed(out: TextOut, bytes: Uint8Array, from: number): void {
  const words = Array.from({ length: 8 }, (_, i) => ((bytes[from + i * 2] as number) << 8) | (bytes[from + i * 2 + 1] as number));
  const isMapped = words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff;
  const isIsatap = ((words[4] as number) | 0x0200) === 0x0200 && words[5] === 0x5efe;
  const range = isMapped || isIsatap ? 6 : 8;
  let runAt = -1;
  let runLength = 1;
  for (let i = 0; i < range; i++) {
    let length = 0;
    while (i + length < range && words[i + length] === 0) length++;
    if (length > runLength) {
      runAt = i;
      runLength = length;
    }
  }
  let needsColon = false;
  for (let i = 0; i < range; i++) {
    if (i === runAt) {
      if (needsColon || i === 0) out.putByte(COLON);
      out.putByte(COLON);
      needsColon = false;
      i += runLength - 1;
      continue;
    }
    if (needsColon) out.putByte(COLON);
    out.putHexWords(words[i] as number, 0);
    needsColon = true;
  }
  if (range === 8) return;
  if (needsColon) out.putByte(COLON);
  putIpv4(out, bytes, from + 12, 'I4', true);
}

/** A sockaddr in `bytes[from, to)`; false where the bytes don't suffice or belong to another family. */
export function putSockaddr(out: TextOut, bytes: Uint8Array, from: number, to: number, kind: string, little: boolean): boolean {
  if (to - from < 8) return false;
  const family = little
    ? (bytes[from] as number) | ((bytes[from + 1] as number) << 8)
    : ((bytes[from] as number) << 8) | (bytes[from + 1] as number);
  const port = ((bytes[from + 2] as number) << 8) | (bytes[from + 3] as number);
  const withPort = kind.slice(2).includes('p');
  if (family === AF_INET) {
    putIpv4(out, bytes, from + 4, 'I4', little);
    if (withPort) putPort(out, port);
    return true;
  }
  if (family !== AF_INET6 || to - from < 24) return false;
  if (withPort) out.putByte(91);
  putIpv6(out, bytes, from + 8, kind.slice(2).includes('c') ? 'I6c' : 'I6');
  if (!withPort) return true;
  out.putByte(93);
  putPort(out, port);
  return true;
}

function putPort(out: TextOut, port: number): void {
  out.putByte(COLON);
  out.putDecimal(port);
}

export function putUuid(out: TextOut, bytes: Uint8Array, from: number, kind: string): void {
  const little = /^U[lL]/.test(kind);
  const upper = /^U[BL]/.test(kind);
  for (let i = 0; i < 16; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) out.putByte(45);
    const byte = bytes[from + (little ? (GUID_ORDER[i] as number) : i)] as number;
    out.putHexWords(byte >> 4, 0, upper);
    out.putHexWords(byte & 15, 0, upper);
  }
}

const SEPARATORS: Readonly<Record<string, number>> = { h: 32, hC: COLON, hD: 45 };

export function putHexBytes(out: TextOut, bytes: Uint8Array, from: number, to: number, kind: string): void {
  const separator = SEPARATORS[kind];
  for (let at = from; at < to; at++) {
    if (at > from && separator !== undefined) out.putByte(separator);
    out.putHexByte(bytes[at] as number);
  }
}

/** Words of a bitmap, an array of `long`: the 32 bits at `bit`. */
function bitmapWord(view: DataView, from: number, bit: number, little: boolean, longBytes: 4 | 8): number {
  const word = (bit >> 5) * 4;
  return view.getUint32(from + (little || longBytes === 4 ? word : word ^ 4), little);
}

/** `ff,ffffffff`: 32 bits at a time, the highest first. */
export function putBitmap(out: TextOut, view: DataView, from: number, to: number, little: boolean, longBytes: 4 | 8): void {
  const bits = ((to - from) & ~3) * 8;
  for (let bit = bits - 32; bit >= 0; bit -= 32) {
    if (bit !== bits - 32) out.putByte(44);
    const mark = out.length;
    out.putHexWords(bitmapWord(view, from, bit, little, longBytes), 0);
    out.insertFill(mark, 48, 8 - (out.length - mark));
  }
}

/** `0-7,12`. */
export function putBitmapList(out: TextOut, view: DataView, from: number, to: number, little: boolean, longBytes: 4 | 8): void {
  const bits = ((to - from) & ~3) * 8;
  let first = -1;
  let isFirst = true;
  let word = 0;
  for (let bit = 0; bit <= bits; bit++) {
    if ((bit & 31) === 0 && bit < bits) word = bitmapWord(view, from, bit, little, longBytes);
    const isSet = bit < bits && (word & (1 << (bit & 31))) !== 0;
    if (isSet && first < 0) first = bit;
    if (isSet || first < 0) continue;
    if (!isFirst) out.putByte(44);
    isFirst = false;
    out.putDecimal(first);
    if (bit - 1 > first) {
      out.putByte(45);
      out.putDecimal(bit - 1);
    }
    first = -1;
  }
}
