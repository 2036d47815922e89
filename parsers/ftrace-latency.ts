/**
 * Lines of the option latency-format, which the wakeup and irqsoff tracers always use, and of `trace-cmd report -l`:
 *
 *        sh-31316     1d..2. 20720us!: sched_switch: …
 *        |  |         ||     |      +-- delay before the next event: + > 10 us, ! > 100 us, # > 1 ms, * > 10 ms, @ > 100 ms, $ > 1 s
 *        |  |         ||     +-- us since the buffer's first event; a whole number without `us` on clocks without a unit
 *        |  |         |+-- flags
 *        |  |         +-- CPU
 *        |  +-- pid
 *        +-- task name, cut to 8
 *   mks1: node-Mai-18622   0d..2. 1795645152.122066: sched_switch: …        trace-cmd: with the absolute time
 *
 * and of latency-format with verbose:
 *
 *               sh   31316   1 9 00000002 00000000 [2ffe96bc6] 49.948ms (+0.055ms): sched_waking: …
 *               |    |       | | |        |        |           +-- since the first event, and until the next one
 *               |    |       | | |        |        +-- us, hexadecimal: absolute
 *               |    |       | | |        +-- number of the line
 *               |    |       | | +-- preempt depth
 *               |    |       | +-- common_flags, decimal
 *               |    |       +-- CPU
 *               |    +-- pid
 *               +-- task name, 16 wide
 *
 * The delay is the distance to the next line and is not kept.
 */
import { hexDigit } from '../base/bytes.ts';
import { MAX_CPU, TIME, type FtracePrefix } from './ftrace-prefix.ts';

const NEWLINE = 10;
const SPACE = 32;
const DASH = 45;
const COLON = 58;
const OPEN = 91;
const CLOSE = 93;
const SMALL_S = 0x73;
const GLUED_FLAGS = 5;
const SMALL_U = 0x75;

const SHORT_DASH_COLUMN = 8;
const LAST_DASH_COLUMN = 64;
const COMM_WIDTH = 16;

/** True when the line at `at` is an event in latency format; fills `into`. */
export function readLatency(bytes: Uint8Array, at: number, into: FtracePrefix): boolean {
  if (bytes[at + SHORT_DASH_COLUMN] === DASH && readFrom(bytes, at, at + SHORT_DASH_COLUMN, into)) return true;
  const last = Math.min(at + LAST_DASH_COLUMN, bytes.length);
  for (let dash = at + 1; dash < last && bytes[dash] !== NEWLINE; dash++) {
    if (bytes[dash] === DASH && dash !== at + SHORT_DASH_COLUMN && readFrom(bytes, at, dash, into)) {
      into.skipInstance(bytes, at);
      return true;
    }
  }
  return false;
}

function readFrom(bytes: Uint8Array, at: number, dash: number, into: FtracePrefix): boolean {
  let p = into.readPid(bytes, dash + 1);
  if (p === 0) return false;
  let byte = bytes[p] as number;
  const { pid } = into;
  const cpuAt = p;
  let cpu = 0;
  while (byte >= 48 && byte <= 57 && cpu <= MAX_CPU) {
    cpu = cpu * 10 + byte - 48;
    byte = bytes[++p] as number;
  }
  if (p === cpuAt || cpu > MAX_CPU || !(byte > SPACE)) return false;
  const flagsAt = p;
  while (byte > SPACE) byte = bytes[++p] as number;
  let flagsEnd = p;
  // trace-cmd puts no blank between its five flags and a count of more than eleven digits: `0d.h..1795651631082969373:`.
  if (bytes[p - 1] === COLON && p - flagsAt > GLUED_FLAGS) p = flagsEnd = flagsAt + GLUED_FLAGS;
  byte = bytes[p] as number;
  while (byte === SPACE) byte = bytes[++p] as number;
  const bodyStart = readLatencyTime(bytes, p, into);
  if (bodyStart === 0) return false;
  into.readFlags(bytes, flagsAt, flagsEnd);
  into.setTask(bytes, at, dash, pid);
  into.hasTgid = false;
  into.cpu = cpu;
  into.bodyStart = bodyStart;
  return true;
}

/** `20720us!: `, `68325117: ` or `12.345678: `; returns where the body starts, or 0. */
function readLatencyTime(bytes: Uint8Array, at: number, into: FtracePrefix): number {
  const p = into.readNumber(bytes, at);
  if (p === 0) return 0;
  if (bytes[p] === SMALL_U && bytes[p + 1] === SMALL_S) {
    if (into.time !== TIME.whole || bytes[p + 3] !== COLON) return 0;
    setMicros(into, into.seconds * 1e9 + into.nanos, TIME.relative);
    return bytes[p + 4] === SPACE ? p + 5 : p + 4;
  }
  if (bytes[p] !== COLON) return 0;
  return bytes[p + 1] === SPACE ? p + 2 : p + 1;
}

/** Us below 2^53. */
function setMicros(into: FtracePrefix, micros: number, kind: typeof TIME.relative | typeof TIME.ns): void {
  into.time = kind;
  into.seconds = Math.floor(micros / 1e6);
  into.nanos = (micros - into.seconds * 1e6) * 1000;
}

/** True when the line at `at` is an event in verbose latency format; fills `into`. */
export function readVerbose(bytes: Uint8Array, at: number, into: FtracePrefix): boolean {
  if (bytes[at + COMM_WIDTH] !== SPACE) return false;
  const pid = new Column(bytes, at + COMM_WIDTH, 10);
  const cpu = pid.next(10);
  const flags = cpu.next(10);
  const preempt = flags.next(16);
  const index = preempt.next(16);
  let p = index.end;
  if (!index.found || bytes[p] !== SPACE || bytes[p + 1] !== OPEN) return false;
  if (pid.value >= 2 ** 31 || cpu.value > MAX_CPU || flags.value > 0xff) return false;
  const from = p + 2;
  const stamp = new Column(bytes, from, 16);
  p = stamp.end;
  if (!stamp.found || p - from > 16 || bytes[p] !== CLOSE || bytes[p + 1] !== SPACE) return false;
  const hasUnit = p - from < 16;
  // `49.948ms (+0.055ms): `, and without a unit `8 (+1): `.
  while ((bytes[p] as number) > NEWLINE && !(bytes[p] === COLON && bytes[p - 1] === 41)) p++;
  if (bytes[p] !== COLON) return false;
  if (hasUnit) setMicros(into, stamp.value, TIME.ns);
  else splitHex(bytes, from, into);
  into.setTask(bytes, at, at + COMM_WIDTH, pid.value);
  into.hasTgid = false;
  into.cpu = cpu.value;
  into.flags = flags.value;
  into.preemptCount = preempt.value & 0xff;
  into.bodyStart = bytes[p + 1] === SPACE ? p + 2 : p + 1;
  return true;
}

/** A whole number of 16 hexadecimal digits, split at 10^9. */
function splitHex(bytes: Uint8Array, at: number, into: FtracePrefix): void {
  let value = 0n;
  for (let p = at; p < at + 16; p++) value = (value << 4n) | BigInt(hexDigit(bytes[p] as number));
  into.time = TIME.whole;
  into.seconds = Number(value / 1_000_000_000n);
  into.nanos = Number(value % 1_000_000_000n);
}

/** A number behind spaces, at most 16 digits. */
class Column {
  readonly value: number;
  readonly end: number;
  readonly found: boolean;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, at: number, radix: 10 | 16) {
    this.#bytes = bytes;
    let p = at;
    while (bytes[p] === SPACE) p++;
    const from = p;
    let value = 0;
    for (let digit = hexDigit(bytes[p] as number); digit >= 0 && digit < radix && p < from + 17; digit = hexDigit(bytes[++p] as number)) {
      value = value * radix + digit;
    }
    this.value = value;
    this.end = p;
    this.found = p > from;
  }

  /** The next column; not found when this one was not. */
  next(radix: 10 | 16): Column {
    return this.found && this.#bytes[this.end] === SPACE ? new Column(this.#bytes, this.end, radix) : new Column(NOTHING, 0, radix);
  }
}

const NOTHING = new Uint8Array(1);
