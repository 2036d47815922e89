/**
 * What the kernel prints in front of an event, by the options of the instance:
 *
 *               sh-3120    (   3120) [000] d..2.   478.642108: …          by default
 *                |          |         |    |       +-- s.µs, rounded; the bare count where the clock counts no ns
 *                |          |         |    +-- irq-info: interrupts and BH, resched, context, preemption, migration
 *                |          |         +-- CPU
 *                |          +-- record-tgid: `(-------)` where no group is known
 *                +-- task, right-aligned in 16: `<idle>`, `<...>` where no name is known
 *
 *         sh-3120      0d..2. 41950us+: …                                 latency-format: since the buffer was emptied
 *                                     +-- time to the next event: + 10 µs, ! 100 µs, # 1 ms, * 10 ms, @ 100 ms, $ 1 s
 *               sh    3120   0 1 00000002 00000000 [1c877fbc] 41.950ms (+0.079ms): …     and verbose
 *   3120 0 478642108477 …                                                 raw; hex and bin hold the same three
 *
 * Kernel: kernel/trace/trace_output.c (trace_print_context, trace_print_lat_context, trace_print_lat_fmt).
 */
import { TWO_POW_32 } from '../base/int64.ts';
import type { EventFormat } from '../parsers/event-format.ts';
import type { TracedCpu, TraceMerge } from './trace-text-merge.ts';
import { countsNanoseconds, type TraceSettings } from '../parsers/tracefs-settings.ts';
import type { EventRecord } from './print-fmt-numbers.ts';
import type { TextOut } from './text-out.ts';

const IRQS_OFF = 0x01;
/** Before 6.13 and on machines that cannot tell: whether interrupts were off is not known. */
const IRQS_NOSUPPORT_OR_LAZY = 0x02;
const NEED_RESCHED = 0x04;
const HARDIRQ = 0x08;
const SOFTIRQ = 0x10;
const PREEMPT_RESCHED = 0x20;
const NMI = 0x40;
const BH_OFF = 0x80;

const DOT = 46;
const COMM_WIDTH = 16;
const LATENCY_COMM_WIDTH = 8;
const US_PER_SECOND = 1_000_000;

const HEX = Uint8Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0));
const FLAGS = 5;
const MARKS: readonly (readonly [number, string])[] = [
  [1e9, '$'],
  [1e8, '@'],
  [1e7, '*'],
  [1e6, '#'],
  [1e5, '!'],
  [1e4, '+'],
];

/** ns → µs, rounded, below 2^53 µs. */
export function toMicroseconds(low: number, high: number): number {
  const upper = Math.floor(high / 1000);
  return upper * TWO_POW_32 + Math.floor(((high - upper * 1000) * TWO_POW_32 + low + 500) / 1000);
}

/** How much a wait or a call exceeds what is usual. */
export function findMark(ns: number): string {
  return MARKS.find(([least]) => ns > least)?.[1] ?? ' ';
}

/** What the kernel's buffer for the text of one record takes, since 6.8; a longer one has no newline. */
export const MAX_LINE_BYTES = 8155;

export class TraceContext {
  /** Where the text of the record at hand begins in what is printed. */
  startsAt = 0;
  readonly #settings: TraceSettings;
  readonly #isNs: boolean;
  readonly #hasLazy: boolean;
  readonly #withTgid: boolean;
  readonly #withFlags: boolean;
  readonly #comms = new Map<number, string>();
  readonly #pidOffset: number;
  readonly #flagsOffset: number;
  readonly #preemptOffset: number;
  /** The instant from which the latency format counts. */
  #startLow = 0;
  #startHigh = 0;

  /** `format`: of any event; the common fields are the same for all. */
  constructor(settings: TraceSettings, format: EventFormat | undefined, hasLazy: boolean) {
    this.#settings = settings;
    this.#isNs = countsNanoseconds(settings.clock);
    this.#hasLazy = hasLazy;
    this.#withTgid = settings.options.get('record-tgid') === true;
    this.#withFlags = settings.options.get('irq-info') !== false;
    const offsetOf = (name: string, otherwise: number): number =>
      format?.common.find((field) => field.name === name)?.offsetBytes ?? otherwise;
    this.#pidOffset = offsetOf('common_pid', 4);
    this.#flagsOffset = offsetOf('common_flags', 2);
    this.#preemptOffset = offsetOf('common_preempt_count', 3);
  }

  setStart(low: number, high: number): void {
    this.#startLow = low;
    this.#startHigh = high;
  }

  pidOf(record: EventRecord): number {
    const at = record.start + this.#pidOffset;
    return at + 4 > record.end ? 0 : record.view.getInt32(at, record.little);
  }

  commOf(pid: number): string {
    let comm = this.#comms.get(pid);
    if (comm === undefined) {
      // All three in angle brackets are the kernel's own words.
      comm = pid === 0 ? '<idle>' : pid < 0 ? '<XXX>' : (this.#settings.comms.get(pid) ?? '<...>');
      this.#comms.set(pid, comm);
    }
    return comm;
  }

  put(at: TracedCpu, out: TextOut): void {
    const pid = this.pidOf(at.record);
    this.#putComm(out, this.commOf(pid), COMM_WIDTH);
    out.putByte(45);
    this.#putLeft(out, pid, 7);
    out.putByte(32);
    if (this.#withTgid) this.#putTgid(out, pid);
    out.putByte(91);
    out.putPaddedDecimal(at.cpu, 3);
    out.putText('] ');
    if (this.#withFlags) this.putFlags(at.record, out);
    this.putTime(at.low, at.high, out);
    out.putText(': ');
  }

  putLatency(at: TracedCpu, index: number, merge: TraceMerge, out: TextOut): void {
    const { record } = at;
    const pid = this.pidOf(record);
    const next = merge.peek();
    const waited = next === undefined ? 0 : subtract(next.low, next.high, at.low, at.high);
    const since = subtract(at.low, at.high, this.#startLow, this.#startHigh);
    if (this.#settings.options.get('verbose') === true) this.#putVerbose(at, pid, index, since, waited, out);
    else {
      this.#putComm(out, this.commOf(pid).slice(0, LATENCY_COMM_WIDTH), LATENCY_COMM_WIDTH);
      out.putByte(45);
      this.#putLeft(out, pid, 7);
      out.putByte(32);
      this.#putRight(out, at.cpu, 3);
      this.putFlags(record, out);
      out.putByte(32);
      if (this.#isNs) {
        this.#putRight(out, toRoundedMicroseconds(since), 4);
        out.putText(`us${findMark(toRoundedMicroseconds(waited) * 1000)}: `);
      } else {
        this.#putRight(out, since, 4);
        out.putText(': ');
      }
    }
  }

  #putVerbose(at: TracedCpu, pid: number, index: number, since: number, waited: number, out: TextOut): void {
    const { record } = at;
    this.#putComm(out, this.commOf(pid), COMM_WIDTH);
    out.putByte(32);
    this.#putRight(out, pid, 7);
    out.putByte(32);
    this.#putRight(out, at.cpu, 3);
    out.putByte(32);
    out.putDecimal(this.#byteAt(record, this.#flagsOffset));
    out.putByte(32);
    putHex(out, this.#byteAt(record, this.#preemptOffset) & 15, 0, 8);
    out.putByte(32);
    putHex(out, index, 0, 8);
    out.putText(' [');
    if (this.#isNs) {
      const us = toMicroseconds(at.low, at.high);
      putHex(out, us | 0, Math.floor(us / TWO_POW_32), 8);
      out.putText('] ');
      putMilliseconds(out, toRoundedMicroseconds(since));
      out.putText('ms (+');
      putMilliseconds(out, toRoundedMicroseconds(waited));
      out.putText('ms): ');
      return;
    }
    putHex(out, at.low | 0, at.high | 0, 16);
    out.putText(`] ${since} (+${waited}): `);
  }

  putRaw(at: TracedCpu, out: TextOut): void {
    out.putDecimal(this.pidOf(at.record));
    out.putByte(32);
    out.putDecimal(at.cpu);
    out.putByte(32);
    out.putDecimalWords(at.low | 0, at.high | 0, false);
    out.putByte(32);
  }

  putHex(at: TracedCpu, out: TextOut): void {
    putHex(out, this.pidOf(at.record), 0, 8);
    out.putByte(32);
    putHex(out, at.cpu, 0, 8);
    out.putByte(32);
    putHex(out, at.low | 0, at.high | 0, 16);
    out.putByte(32);
  }

  putBinary(at: TracedCpu, out: TextOut): void {
    const { little } = at.record;
    putWord(out, this.pidOf(at.record), little);
    putWord(out, at.cpu, little);
    putWord(out, little ? at.low : at.high, little);
    putWord(out, little ? at.high : at.low, little);
  }

  /** A time in the unit of the clock, behind a blank. */
  putTime(low: number, high: number, out: TextOut): void {
    out.putByte(32);
    if (!this.#isNs) {
      const mark = out.length;
      out.putDecimalWords(low | 0, high | 0, false);
      out.pad(mark, 12);
      return;
    }
    const us = toMicroseconds(low, high);
    const seconds = Math.floor(us / US_PER_SECOND);
    out.putSeconds(seconds, us - seconds * US_PER_SECOND, 6, 5);
  }

  /** µs since the buffer was emptied, cut: `REL TIME` of the function graph. */
  relativeUs(at: TracedCpu): number {
    return Math.floor(subtract(at.low, at.high, this.#startLow, this.#startHigh) / 1000);
  }

  putFlags(record: EventRecord, out: TextOut): void {
    const flags = this.#byteAt(record, this.#flagsOffset);
    const preempt = this.#byteAt(record, this.#preemptOffset);
    out.reserve(FLAGS);
    const { bytes } = out;
    let at = out.length;
    bytes[at++] = this.#interruptsOf(flags);
    bytes[at++] = this.#reschedOf(flags);
    bytes[at++] = contextOf(flags);
    bytes[at++] = (preempt & 15) === 0 ? DOT : (HEX[preempt & 15] as number);
    bytes[at++] = preempt >> 4 === 0 ? DOT : (HEX[preempt >> 4] as number);
    out.length = at;
  }

  #interruptsOf(flags: number): number {
    const isBhOff = (flags & BH_OFF) !== 0;
    if ((flags & IRQS_OFF) !== 0) return isBhOff ? 68 : 100;
    if (isBhOff) return 98;
    return !this.#hasLazy && (flags & IRQS_NOSUPPORT_OR_LAZY) !== 0 ? 88 : DOT;
  }

  #reschedOf(flags: number): number {
    const now = (flags & NEED_RESCHED) !== 0;
    const preempt = (flags & PREEMPT_RESCHED) !== 0;
    const lazy = this.#hasLazy && (flags & IRQS_NOSUPPORT_OR_LAZY) !== 0;
    if (lazy) return (now ? (preempt ? 'B' : 'b') : preempt ? 'L' : 'l').charCodeAt(0);
    return (now ? (preempt ? 'N' : 'n') : preempt ? 'p' : '.').charCodeAt(0);
  }

  #putTgid(out: TextOut, pid: number): void {
    const tgid = this.#settings.tgids.get(pid);
    if (tgid === undefined) {
      out.putText('(-------) ');
      return;
    }
    out.putByte(40);
    this.#putRight(out, tgid, 7);
    out.putText(') ');
  }

  #putComm(out: TextOut, comm: string, width: number): void {
    out.putFill(32, width - comm.length);
    out.putText(comm);
  }

  #putLeft(out: TextOut, value: number, width: number): void {
    const mark = out.length;
    out.putDecimal(value);
    out.pad(mark, width, true);
  }

  #putRight(out: TextOut, value: number, width: number): void {
    const mark = out.length;
    out.putDecimal(value);
    out.pad(mark, width);
  }

  #byteAt(record: EventRecord, offset: number): number {
    return record.start + offset < record.end ? (record.bytes[record.start + offset] as number) : 0;
  }
}

function contextOf(flags: number): number {
  const isHard = (flags & HARDIRQ) !== 0;
  const isSoft = (flags & SOFTIRQ) !== 0;
  if ((flags & NMI) !== 0) return isHard ? 90 : 122;
  if (isHard) return isSoft ? 72 : 104;
  return isSoft ? 115 : DOT;
}

/** a − b, exact below 2^53. */
function subtract(lowA: number, highA: number, lowB: number, highB: number): number {
  return (highA - highB) * TWO_POW_32 + (lowA - lowB);
}

function toRoundedMicroseconds(ns: number): number {
  return Math.floor((ns + 500) / 1000);
}

function putMilliseconds(out: TextOut, us: number): void {
  const ms = Math.floor(us / 1000);
  out.putDecimal(ms);
  out.putByte(DOT);
  out.putPaddedDecimal(us - ms * 1000, 3);
}

/** At least so many hexadecimal digits. */
export function putHex(out: TextOut, low: number, high: number, digits: number): void {
  const mark = out.length;
  out.putHexWords(low, high);
  out.insertFill(mark, 48, digits - (out.length - mark));
}

/** 32 bits as the traced kernel holds them. */
export function putWord(out: TextOut, word: number, little: boolean): void {
  for (let i = 0; i < 4; i++) out.putByte((word >>> (little ? i * 8 : 24 - i * 8)) & 0xff);
}
