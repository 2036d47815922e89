/**
 * Lines that two tracers print instead of the columns that all others have, with what there is of a context in them:
 *
 *   254,16   1    26.359739685   255  Q  RM 2 + 2 [mount]         blk with blk_classic: device, CPU, time, pid, action, …
 *   R 4 42.347458 2 0xfebc100c 0x1 0x0 0                          mmiotrace: read, width, time, map, physical address, value, code, 0
 *   MAP 42.346994 2 0xfebc1000 0xffffd231c00bd000 0x40 0x0 0
 *   MARK 41.887388 text of a marker
 *
 * The body is the whole line, but for a marker, whose body is its text. Other events stand between them without a context.
 * Kernel: kernel/trace/blktrace.c, trace_mmiotrace.c.
 */
import { decodeUtf8 } from '../base/bytes.ts';
import { TIME, type FtracePrefix } from './ftrace-prefix.ts';

const CLASSIC = /^ *\d{1,4},\d{1,7} +(\d{1,5}) +(\d{1,10})\.(\d{9}) +(\d{1,10}) /;
const MMIO = /^(?:(?:[RW] \d{1,3}|UNKNOWN|MAP|UNMAP|MARK) (\d{1,10})\.(\d{6}) |rw what\?|map what\?)/;
const MARK = 'MARK ';
const LONGEST_HEAD = 96;

/** True when the line is one of the tracer's own. */
export function readTracerLine(tracer: string, bytes: Uint8Array, at: number, lineEnd: number, into: FtracePrefix): boolean {
  if (tracer !== 'blk' && tracer !== 'mmiotrace') return false;
  const head = decodeUtf8(bytes, at, Math.min(lineEnd, at + LONGEST_HEAD));
  const found = (tracer === 'blk' ? CLASSIC : MMIO).exec(head);
  if (found === null) return false;
  into.clear();
  into.bodyStart = at;
  if (tracer === 'blk') {
    into.cpu = Number(found[1]);
    into.pid = Number(found[4]);
    setTime(into, found[2], found[3]);
  } else setTime(into, found[1], found[2]);
  return true;
}

/** Where the text of a marker of mmiotrace begins in its line; -1 in other lines. */
export function findMmioMark(tracer: string, bytes: Uint8Array, at: number, end: number): number {
  if (tracer !== 'mmiotrace') return -1;
  const head = decodeUtf8(bytes, at, Math.min(end, at + LONGEST_HEAD));
  return head.startsWith(MARK) ? at + (MMIO.exec(head)?.[0].length ?? MARK.length) : -1;
}

function setTime(into: FtracePrefix, seconds: string | undefined, fraction: string | undefined): void {
  if (seconds === undefined || fraction === undefined) return;
  into.time = TIME.dotted;
  into.seconds = Number(seconds);
  into.nanos = Number(fraction.padEnd(9, '0'));
}
