/**
 * Lines of the options raw and hex:
 *
 *   31316 1 12883614384322 type: 372                               raw: pid, CPU, time in units of the trace clock, then the body
 *   470 0 399019575652 ffffffffaa175100 ffffffffaa175dc4           function tracer: callee and caller
 *   00007a0c 00000000 00000bb7bea04d4c type: 375                   hex: 8, 8 and 16 digits, in front of the same bodies
 */
import { hexDigit } from '../base/bytes.ts';
import { TWO_POW_32 } from '../base/int64.ts';
import { DIGITS, HEX, readDigits, readHexDigits } from './ftrace-digits.ts';
import { MAX_CPU, TIME, type FtracePrefix } from './ftrace-prefix.ts';
import type { PredictedPrefix } from './ftrace-stamp.ts';

const SPACE = 32;
const HEX_BODY = 35;

/** True when the line at `at` is an event of the option raw; fills `into`. */
export function readRaw(bytes: Uint8Array, at: number, into: FtracePrefix): boolean {
  let p = at;
  let byte = bytes[p] as number;
  let pid = 0;
  while (byte >= 48 && byte <= 57 && pid < 2 ** 31) {
    pid = pid * 10 + byte - 48;
    byte = bytes[++p] as number;
  }
  if (p === at || byte !== SPACE || pid >= 2 ** 31) return false;
  byte = bytes[++p] as number;
  const cpuAt = p;
  let cpu = 0;
  while (byte >= 48 && byte <= 57 && cpu <= MAX_CPU) {
    cpu = cpu * 10 + byte - 48;
    byte = bytes[++p] as number;
  }
  if (p === cpuAt || byte !== SPACE || cpu > MAX_CPU) return false;
  const end = into.readNumber(bytes, p + 1);
  if (end === 0 || bytes[end] !== SPACE || into.time !== TIME.whole) return false;
  into.clear();
  into.time = TIME.ns;
  into.pid = pid;
  into.cpu = cpu;
  into.bodyStart = end + 1;
  return true;
}

/** True when the line at `at` is an event of the option hex; fills `into`. */
export function readHex(bytes: Uint8Array, at: number, into: FtracePrefix): boolean {
  if (bytes[at + 8] !== SPACE || bytes[at + 17] !== SPACE || bytes[at + 34] !== SPACE) return false;
  const pid = readWord(bytes, at);
  const cpu = readWord(bytes, at + 9);
  const high = readWord(bytes, at + 18);
  const low = readWord(bytes, at + 26);
  if (pid < 0 || cpu < 0 || cpu > MAX_CPU || high < 0 || low < 0) return false;
  into.clear();
  into.pid = pid | 0;
  into.cpu = cpu;
  setNs(into, low, high);
  into.bodyStart = at + HEX_BODY;
  return true;
}

/** Eight hexadecimal digits; -1 when they are not. */
function readWord(bytes: Uint8Array, at: number): number {
  let value = 0;
  for (let p = at; p < at + 8; p++) {
    const digit = hexDigit(bytes[p] as number);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

/** A whole number of ns in two 32-bit words. */
export function setNs(into: FtracePrefix, low: number, high: number): void {
  into.time = TIME.ns;
  if (high < 0x20_0000) {
    const value = high * 0x1_0000_0000 + low;
    into.seconds = Math.floor(value / 1e9);
    into.nanos = value - into.seconds * 1e9;
    return;
  }
  const value = (BigInt(high) << 32n) | BigInt(low);
  into.seconds = Number(value / 1_000_000_000n);
  into.nanos = Number(value % 1_000_000_000n);
}

/** As `readRaw`, for a line whose time is below 2^53. */
export function readRawLine(view: DataView, at: number, into: PredictedPrefix): boolean {
  const { head } = into;
  const pidEnd = readDigits(view, at);
  if (pidEnd < 0 || DIGITS.value >= 2 ** 31 || view.getUint8(pidEnd) !== SPACE) return false;
  head.pid = DIGITS.value;
  const cpuEnd = readDigits(view, pidEnd + 1);
  if (cpuEnd < 0 || DIGITS.value > MAX_CPU || view.getUint8(cpuEnd) !== SPACE) return false;
  head.cpu = DIGITS.value;
  const end = readDigits(view, cpuEnd + 1);
  if (end < 0 || view.getUint8(end) !== SPACE) return false;
  setLine(into, DIGITS.value, end + 1);
  return true;
}

/** As `readHex`, for a line whose time is below 2^53. */
export function readHexLine(view: DataView, at: number, into: PredictedPrefix): boolean {
  const { head } = into;
  if (readHexDigits(view, at) !== at + 8 || view.getUint8(at + 8) !== SPACE) return false;
  head.pid = HEX.low | 0;
  if (readHexDigits(view, at + 9) !== at + 17 || view.getUint8(at + 17) !== SPACE || HEX.low > MAX_CPU) return false;
  head.cpu = HEX.low;
  if (readHexDigits(view, at + 18) !== at + 34 || view.getUint8(at + 34) !== SPACE || HEX.high >= 0x20_0000) return false;
  setLine(into, HEX.high * TWO_POW_32 + HEX.low, at + HEX_BODY);
  return true;
}

function setLine(into: PredictedPrefix, ns: number, bodyStart: number): void {
  const { head } = into;
  head.bits = head.comm = 0;
  head.high = Math.floor(ns / TWO_POW_32);
  head.low = (ns - head.high * TWO_POW_32) | 0;
  into.seconds = Math.floor(ns / 1e9);
  into.nanos = ns - into.seconds * 1e9;
  into.bodyStart = bodyStart;
}
