/**
 * The columns of a LogBatch that travel as attributes of the record: written from the column, read back into it, and never
 * in the attribute list as well.
 *
 *   mk.seq, mk.clock.raw, mk.facility, mk.flags, cpu.logical_number, thread.id    integers
 *   mk.caller    text of foreign senders, `T1234` (thread) or `C3` (CPU); we send the two columns it fills
 *
 * A value that does not fit its column stays an attribute, so nothing is lost.
 */
import { encodeUtf8 } from '../base/bytes.ts';
import { TWO_POW_32 } from '../base/int64.ts';
import { ATTR } from '../model/attributes.ts';
import type { LogBatch } from '../model/log-batch.ts';
import type { AnyValueSlot } from './any-value.ts';
import { putBytes, putVarintWords } from './proto-writer.ts';
import { ANY_INT, ANY_STRING, KEY_VALUE_KEY, KEY_VALUE_VALUE, LOG_ATTRIBUTES } from './tags.ts';

export const LOG_COLUMN = { none: 0, sequence: 1, rawTime: 2, facility: 3, flags: 4, cpu: 5, threadId: 6, caller: 7 } as const;

interface ColumnKey {
  readonly column: number;
  readonly key: Uint8Array;
  /** `key: …, value:` of the pair, up to the value's length. */
  readonly prefix: Uint8Array;
}

const KEYS: readonly (readonly [number, string])[] = [
  [LOG_COLUMN.sequence, ATTR.sequence],
  [LOG_COLUMN.rawTime, ATTR.rawTime],
  [LOG_COLUMN.facility, ATTR.facility],
  [LOG_COLUMN.flags, ATTR.flags],
  [LOG_COLUMN.cpu, ATTR.cpu],
  [LOG_COLUMN.threadId, ATTR.threadId],
  [LOG_COLUMN.caller, ATTR.caller],
];

/** Found by length first: two keys at most have to be compared. */
const KEYS_BY_LENGTH: ColumnKey[][] = Array.from({ length: 32 }, () => []);
const PREFIXES: Uint8Array[] = [];
for (const [column, name] of KEYS) {
  const key = encodeUtf8(name);
  const prefix = Uint8Array.of(KEY_VALUE_KEY, key.length, ...key, KEY_VALUE_VALUE);
  (KEYS_BY_LENGTH[key.length] as ColumnKey[]).push({ column, key, prefix });
  PREFIXES[column] = prefix;
}

/** Most bytes that one column takes on the wire. */
export const COLUMN_FIELD_BYTES = 48;

/** Writes an integer column as an attribute where there is room for COLUMN_FIELD_BYTES; returns the offset behind it. */
export function putColumn(bytes: Uint8Array, at: number, column: number, low: number, high: number): number {
  const prefix = PREFIXES[column] as Uint8Array;
  bytes[at] = LOG_ATTRIBUTES;
  // The pair's length (under 128) and the value's are known once the varint is written.
  const valueAt = putBytes(bytes, at + 2, prefix, 0, prefix.length);
  bytes[valueAt + 1] = ANY_INT;
  const end = putVarintWords(bytes, valueAt + 2, low, high);
  bytes[valueAt] = end - valueAt - 1;
  bytes[at + 1] = end - at - 2;
  return end;
}

/** Which column the key `bytes[start, end)` names; LOG_COLUMN.none for all others. */
export function matchColumn(bytes: Uint8Array, start: number, end: number): number {
  const candidates = KEYS_BY_LENGTH[end - start];
  if (candidates === undefined) return LOG_COLUMN.none;
  for (const { column, key } of candidates) {
    let same = 0;
    while (same < key.length && key[same] === bytes[start + same]) same++;
    if (same === key.length) return column;
  }
  return LOG_COLUMN.none;
}

/** Puts a received value into its column; false when it is not of the column's type or range. */
export function setColumn(batch: LogBatch, row: number, column: number, value: AnyValueSlot, bytes: Uint8Array): boolean {
  if (column === LOG_COLUMN.caller) return value.tag === ANY_STRING && setCaller(batch, row, bytes, value.start, value.end);
  if (value.tag !== ANY_INT) return false;
  const { low, high } = value;
  if (column === LOG_COLUMN.rawTime) {
    batch.rawTime.setWords(row, low, high);
    return true;
  }
  if (column === LOG_COLUMN.sequence) {
    // Above 2^53 a double would round.
    if (high >= 0x20_0000) return false;
    batch.sequence[row] = high * TWO_POW_32 + low;
    return true;
  }
  if (high !== 0) return false;
  return setSmallColumn(batch, row, column, low);
}

function setSmallColumn(batch: LogBatch, row: number, column: number, value: number): boolean {
  switch (column) {
    case LOG_COLUMN.facility:
      if (value > 0xffff) return false;
      batch.facility[row] = value;
      return true;
    case LOG_COLUMN.flags:
      if (value > 0xffff) return false;
      batch.flags[row] = value;
      return true;
    case LOG_COLUMN.cpu:
      if (value > 0x7fff_ffff) return false;
      batch.cpu[row] = value;
      return true;
    default:
      if (value > 0x7fff_ffff) return false;
      batch.pid[row] = value;
      return true;
  }
}

const LETTER_T = 0x54;
const LETTER_C = 0x43;

function setCaller(batch: LogBatch, row: number, bytes: Uint8Array, start: number, end: number): boolean {
  const letter = bytes[start];
  if ((letter !== LETTER_T && letter !== LETTER_C) || end - start < 2 || end - start > 10) return false;
  let value = 0;
  for (let i = start + 1; i < end; i++) {
    const digit = (bytes[i] as number) - 0x30;
    if (digit < 0 || digit > 9) return false;
    value = value * 10 + digit;
  }
  if (letter === LETTER_T) batch.pid[row] = value;
  else batch.cpu[row] = value;
  return true;
}

/** The bytes of a decimal number at `at`; returns the offset behind it. Non-negative, below 2^53. */
export function putDecimal(bytes: Uint8Array, at: number, value: number): number {
  if (value < 10) {
    bytes[at] = 0x30 + value;
    return at + 1;
  }
  const rest = Math.floor(value / 10);
  const end = putDecimal(bytes, at, rest);
  bytes[end] = 0x30 + (value - rest * 10);
  return end + 1;
}
