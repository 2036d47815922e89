/**
 * Columns of function_graph, each read by itself; ftrace-graph.ts draws them. And the lines around a switch of tasks:
 *
 *  ------------------------------------------
 *   0)    <idle>-0    =>     ls-534
 *         |      |           |  +-- pid
 *         |      |           +-- the last arrow with a pid in front: names may hold arrows, dashes and spaces
 *         +------+-- as behind it
 *  ------------------------------------------
 */
import { encodeUtf8, isDigit } from '../base/bytes.ts';
import { startsWith } from './boot-phase.ts';
import { MAX_CPU, TIME, type FtracePrefix } from './ftrace-prefix.ts';

const NEWLINE = 10;
const CARRIAGE_RETURN = 13;
const SPACE = 32;
const CLOSE_PAREN = 41;
const DASH = 45;
const EQUALS = 61;
const GREATER = 62;
const BAR = 124;
const SHORTEST_RULE = 20;
const LONGEST_SWITCH = 80;
const MOST_PID_DIGITS = 10;
const COLON = 58;
const GRAPH_EVENT = encodeUtf8('funcgraph_');

/** A task, whose name is `[start, end)`. */
class SwitchedTask {
  start = 0;
  end = 0;
  pid = 0;

  /** Reads name, dash and pid that end at `end`; false where they do not stand there, behind `at`. */
  read(bytes: Uint8Array, at: number, end: number): boolean {
    let p = end;
    while (p > at && bytes[p - 1] === SPACE) p--;
    const pidEnd = p;
    let unit = 1;
    this.pid = 0;
    for (; isDigit(bytes[p - 1]) && p > at && pidEnd - p < MOST_PID_DIGITS; unit *= 10) this.pid += ((bytes[--p] as number) - 48) * unit;
    if (p === pidEnd || bytes[p - 1] !== DASH || p - 1 <= at || bytes[p - 2] === SPACE) return false;
    let start = at;
    while (bytes[start] === SPACE) start++;
    this.start = start;
    this.end = p - 1;
    return start < p - 1;
  }
}

/** The tasks of a switch; one object is filled again and again. */
export class TaskSwitch {
  readonly prev = new SwitchedTask();
  readonly next = new SwitchedTask();

  /** True when `[at, end)` behind the column of the CPU is a switch. */
  read(bytes: Uint8Array, at: number, end: number): boolean {
    for (let arrow = end - 3; arrow > at; arrow--) {
      if (bytes[arrow] !== EQUALS || bytes[arrow + 1] !== GREATER || bytes[arrow + 2] !== SPACE || bytes[arrow - 1] !== SPACE) continue;
      if (this.prev.read(bytes, at, arrow) && this.next.read(bytes, arrow + 2, end)) return true;
    }
    return false;
  }
}

/** `=>` in front of any bar, as in the short line of a switch. */
export function hasArrow(bytes: Uint8Array, at: number, end: number): boolean {
  if (end - at >= LONGEST_SWITCH) return false;
  for (let p = at; p < end && bytes[p] !== BAR; p++) if (bytes[p] === 61 && bytes[p + 1] === 62) return true;
  return false;
}

/** ` ------------------------------------------` */
export function isRule(bytes: Uint8Array, at: number, end: number): boolean {
  let p = at + 1;
  while (p < end && bytes[p] === DASH) p++;
  const dashes = p - at - 1;
  while (p < end && (bytes[p] === SPACE || bytes[p] === CARRIAGE_RETURN)) p++;
  return dashes >= SHORTEST_RULE && p === end;
}

/** `402.924639 |  ` or `   5 us |  `; returns what follows, `at` where there is no such column. */
export function readStamp(bytes: Uint8Array, at: number, end: number, into: FtracePrefix): number {
  let p = at;
  while (p < end && bytes[p] === SPACE) p++;
  if (!isDigit(bytes[p])) return at;
  p = into.readNumber(bytes, p);
  const isRelative = bytes[p] === SPACE && bytes[p + 1] === 0x75 && bytes[p + 2] === 0x73 && bytes[p + 3] === SPACE;
  if (isRelative && into.time === TIME.whole) {
    p += 3;
    const micros = into.seconds * 1e9 + into.nanos;
    into.seconds = Math.floor(micros / 1e6);
    into.nanos = (micros - into.seconds * 1e6) * 1000;
    into.time = TIME.relative;
  }
  if (p === 0 || into.time === TIME.whole || bytes[p] !== SPACE || bytes[p + 1] !== BAR) {
    into.time = TIME.none;
    return at;
  }
  return p + 2;
}

/** ` 0)`; returns what follows, or -1. */
export function readCpu(bytes: Uint8Array, at: number, end: number, into: FtracePrefix): number {
  let p = at;
  while (p < end && bytes[p] === SPACE) p++;
  let cpu = 0;
  const from = p;
  while (isDigit(bytes[p]) && cpu <= MAX_CPU) cpu = cpu * 10 + (bytes[p++] as number) - 48;
  if (p === from || cpu > MAX_CPU || bytes[p] !== CLOSE_PAREN) return -1;
  into.cpu = cpu;
  return p + 1;
}

/** `     sh-470     |`; returns what follows, `at` where there is no such column. */
export function readTask(bytes: Uint8Array, at: number, end: number, into: FtracePrefix): number {
  const limit = Math.min(end, at + 40);
  let bar = at;
  while (bar < limit && bytes[bar] !== BAR && bytes[bar] !== NEWLINE) bar++;
  if (bytes[bar] !== BAR) return at;
  let p = bar - 1;
  while (p > at && bytes[p] === SPACE) p--;
  const last = p;
  let pid = 0;
  let unit = 1;
  for (; isDigit(bytes[p]) && unit < 1e10; unit *= 10) pid += ((bytes[p--] as number) - 48) * unit;
  if (p === last || p <= at || bytes[p] !== DASH) return at;
  into.setTask(bytes, at, p, pid);
  return bar + 1;
}

/** `  ...1. |`; returns what follows, `at` where there is no such column. */
export function readFlags(bytes: Uint8Array, at: number, end: number, into: FtracePrefix): number {
  let p = at;
  while (p < end && bytes[p] === SPACE) p++;
  const from = p;
  while (p < end && (bytes[p] as number) > SPACE && bytes[p] !== BAR) p++;
  const count = p - from;
  if (count < 4 || count > 8 || bytes[p] !== SPACE || bytes[p + 1] !== BAR) return at;
  into.readFlags(bytes, from, p);
  return p + 2;
}

/**
 * Where duration and function of a body begin: trace-cmd's `funcgraph_entry:        1.234 us   |  func();`, or ` 7)   1.692 us    |  func();`
 * where another tracer prints what function_graph has recorded. -1 = it is neither.
 */
export function findGraphText(bytes: Uint8Array, at: number, end: number): number {
  if (startsWith(bytes, at, end, GRAPH_EVENT)) {
    const colon = bytes.indexOf(COLON, at);
    return colon < 0 || colon >= end ? -1 : colon + 1;
  }
  let p = at;
  while (bytes[p] === SPACE && p < end) p++;
  const digits = p;
  while (isDigit(bytes[p]) && p < end) p++;
  return p > digits && p < end && bytes[p] === CLOSE_PAREN ? p + 1 : -1;
}
