/**
 * The usual form of a line that tells of a loss, read without an expression, since under load every other line is one:
 *
 *   CPU:1 [LOST 171 EVENTS]
 */
import { encodeUtf8, isDigit } from '../base/bytes.ts';
import { startsWith } from './boot-phase.ts';

const CPU = encodeUtf8('CPU:');
const COUNT = encodeUtf8(' [LOST ');
const END = encodeUtf8(' EVENTS]\n');
const MOST_CPU_DIGITS = 5;
const MOST_COUNT_DIGITS = 15;

/** Fills `into` from the line at `at`; returns where the next line is, -1 when this is no such one. */
export function readLost(bytes: Uint8Array, at: number, into: { cpu: number; count: number }): number {
  const cpuAt = at + CPU.length;
  if (!startsWith(bytes, at, bytes.length, CPU)) return -1;
  const cpuEnd = endOfDigits(bytes, cpuAt, MOST_CPU_DIGITS);
  const countAt = cpuEnd + COUNT.length;
  if (cpuEnd === cpuAt || !startsWith(bytes, cpuEnd, bytes.length, COUNT)) return -1;
  const countEnd = endOfDigits(bytes, countAt, MOST_COUNT_DIGITS);
  if (countEnd === countAt || !startsWith(bytes, countEnd, bytes.length, END)) return -1;
  into.cpu = toNumber(bytes, cpuAt, cpuEnd);
  into.count = toNumber(bytes, countAt, countEnd);
  return countEnd + END.length;
}

function endOfDigits(bytes: Uint8Array, at: number, most: number): number {
  let p = at;
  while (isDigit(bytes[p]) && p < at + most) p++;
  return p;
}

function toNumber(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let p = start; p < end; p++) value = value * 10 + (bytes[p] as number) - 48;
  return value;
}
