/**
 * What plugins of trace-cmd print of scheduling events, read from its end, where a name that holds colons leaves no doubt:
 *
 *   kworker/u8:0:123 [120] R ==> sleep:710 [120]        sched_switch
 *   kworker/u8:0:123 [120] CPU:001                      sched_wakeup, sched_wakeup_new
 *   |            |    +-- priority
 *   |            +-- pid
 *   +-- name
 */
import { isDigit } from '../base/bytes.ts';

const SPACE = 32;
const DASH = 45;
const COLON = 58;
const OPEN = 91;
const CLOSE = 93;
const MOST_PID_DIGITS = 10;
const MOST_CPU_DIGITS = 5;
/** ` ==>` and `CPU:` as words. */
const ARROW = 0x3e3d_3d20;
const CPU = 0x3a55_5043;
const ARROW_BYTES = 5;

/** What `readTaskBefore` has read; one object, filled again and again. */
const TASK = { nameEnd: 0, pid: 0, priority: 0 };

/** Where the texts of a line are, and its numbers. */
export class PluginValues {
  /** Of the first task, or the one that wakes up. */
  nameEnd = 0;
  pid = 0;
  priority = 0;
  stateStart = 0;
  stateEnd = 0;
  nextStart = 0;
  nextEnd = 0;
  nextPid = 0;
  nextPriority = 0;
  cpu = 0;
}

/** True when the line `[start, end)` is a switch. */
export function readSwitch(bytes: Uint8Array, view: DataView, start: number, end: number, into: PluginValues): boolean {
  const arrow = findArrow(view, start, end);
  if (arrow < 0 || findArrow(view, arrow + 1, end) >= 0) return false;
  let state = arrow;
  while (state > start && (bytes[state - 1] as number) > SPACE) state--;
  if (state === arrow || bytes[state - 1] !== SPACE || !readTaskBefore(bytes, start, state - 1)) return false;
  into.nameEnd = TASK.nameEnd;
  into.pid = TASK.pid;
  into.priority = TASK.priority;
  into.stateStart = state;
  into.stateEnd = arrow;
  into.nextStart = arrow + ARROW_BYTES;
  if (!readTaskBefore(bytes, into.nextStart, end)) return false;
  into.nextEnd = TASK.nameEnd;
  into.nextPid = TASK.pid;
  into.nextPriority = TASK.priority;
  return true;
}

/** True when the line `[start, end)` is a wakeup with its CPU. */
export function readWakeup(bytes: Uint8Array, view: DataView, start: number, end: number, into: PluginValues): boolean {
  let p = end;
  while (p > start && isDigit(bytes[p - 1])) p--;
  const digits = end - p;
  if (digits === 0 || digits > MOST_CPU_DIGITS || p - 5 < start) return false;
  if (view.getInt32(p - 4, true) !== CPU || bytes[p - 5] !== SPACE || !readTaskBefore(bytes, start, p - 5)) return false;
  into.nameEnd = TASK.nameEnd;
  into.pid = TASK.pid;
  into.priority = TASK.priority;
  into.cpu = toNumber(bytes, p, end);
  return true;
}

function findArrow(view: DataView, start: number, end: number): number {
  for (let p = start; p + ARROW_BYTES <= end; p++) {
    if (view.getUint8(p) === SPACE && view.getInt32(p, true) === ARROW && view.getUint8(p + 4) === SPACE) return p;
  }
  return -1;
}

/** `name:123 [120]`, all of `[start, end)`. */
function readTaskBefore(bytes: Uint8Array, start: number, end: number): boolean {
  let p = end - 1;
  if (bytes[p] !== CLOSE) return false;
  const priorityEnd = p;
  while (p > start && isDigit(bytes[p - 1])) p--;
  const priorityAt = p;
  const isNegative = bytes[p - 1] === DASH;
  if (isNegative) p--;
  if (priorityAt === priorityEnd || priorityEnd - priorityAt > MOST_PID_DIGITS || bytes[p - 1] !== OPEN || bytes[p - 2] !== SPACE)
    return false;
  const pidEnd = p - 2;
  p = pidEnd;
  while (p > start && isDigit(bytes[p - 1])) p--;
  if (p === pidEnd || pidEnd - p > MOST_PID_DIGITS || p <= start || bytes[p - 1] !== COLON) return false;
  const priority = toNumber(bytes, priorityAt, priorityEnd);
  TASK.nameEnd = p - 1;
  TASK.pid = toNumber(bytes, p, pidEnd);
  TASK.priority = isNegative ? -priority : priority;
  return true;
}

function toNumber(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let p = start; p < end; p++) value = value * 10 + (bytes[p] as number) - 48;
  return value;
}
