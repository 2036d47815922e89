/**
 * Symbols in ftrace text, and what stands behind them:
 *
 *   virtnet_poll+0x1b/0x50 [virtio_net] <ffffffffa9fb348d>
 *   |           |          |            +-- address (sym-addr)
 *   |           |          +-- module
 *   |           +-- offset and size (sym-offset)
 *   +-- name
 */
import { hexDigit } from '../base/bytes.ts';

const SPACE = 32;
const LESS = 60;
const GREATER = 62;
const OPEN_BRACKET = 91;
const CLOSE_BRACKET = 93;
const LEAST_ADDRESS_DIGITS = 8;
const MOST_ADDRESS_DIGITS = 16;

/** ` [virtio_net]` at `at`; returns what follows, `at` where there is no module. */
export function skipModule(bytes: Uint8Array, at: number, end: number): number {
  if (bytes[at + 1] !== OPEN_BRACKET) return at;
  let p = at + 2;
  while (p < end && (bytes[p] as number) > SPACE && bytes[p] !== CLOSE_BRACKET) p++;
  return bytes[p] === CLOSE_BRACKET && p > at + 2 && p < end ? p + 1 : at;
}

/** Module and address behind a name that ends at `at`; returns what follows, `at` where there is neither. */
export function skipSymbolTail(bytes: Uint8Array, at: number, end: number): number {
  const p = skipModule(bytes, at, end);
  if (bytes[p] !== SPACE || bytes[p + 1] !== LESS) return p;
  let q = p + 2;
  while (q < end && hexDigit(bytes[q] as number) >= 0) q++;
  const digits = q - p - 2;
  return bytes[q] === GREATER && digits >= LEAST_ADDRESS_DIGITS && digits <= MOST_ADDRESS_DIGITS ? q + 1 : p;
}

/** Letters, digits, `_`, `.` and `$` alone. */
export function isSymbol(bytes: Uint8Array, start: number, end: number): boolean {
  for (let p = start; p < end; p++) {
    const byte = bytes[p] as number;
    const letter = byte | 32;
    if (!((letter >= 97 && letter <= 122) || (byte >= 48 && byte <= 57) || byte === 95 || byte === 46 || byte === 36)) return false;
  }
  return true;
}
