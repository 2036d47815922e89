/**
 * ftrace text of the `nop` tracer: the files `trace` and `trace_pipe`, and what `trace-cmd report` prints.
 *
 *   # tracer: nop                                     header: ftrace-header.ts; absent in trace_pipe
 *               bash-11843   (  11843) [001] d..2.  2351.415237: sched_switch: prev_comm=bash prev_pid=11843 …
 *               |    |          |       |    |      |            +-- body: ftrace-body.ts
 *               |    |          |       |    |      +-- s.us, or a whole number (clocks counter, uptime, x86-tsc)
 *               |    |          |       |    +-- flags, as the header names them; absent with irq-info off
 *               |    |          |       +-- CPU
 *               |    |          +-- thread group, with record-tgid only
 *               |    +-- pid
 *               +-- task name, 16 wide: may hold spaces, dashes, brackets; <...> = unknown
 *   CPU:1 [LOST 1872 EVENTS]                          before the next event of that CPU
 *   ##### CPU 1 buffer started ####                   this CPU's data begins here
 *    => ttwu_do_activate                              no prefix: belongs to the event before (stacks, markers with newlines)
 *
 * Text has no name for its clock: dotted times are taken as `local` (`tai` when they are beyond any uptime), whole numbers as
 * `x86-tsc`, or `counter` when they are below 2^32.
 * Not handled: other tracers (function_graph, latency, hist), latency-format and verbose lines; thread groups are dropped.
 * Spec: kernel/trace/trace_output.c, trace.c (trace_print_context, print_trace_header).
 */
import { decodeUtf8 } from '../base/bytes.ts';
import type { EventBatch } from '../model/event-batch.ts';
import { countMalformed, createCounts, type EventTextParser, type InputLoss, type ParserSession } from '../model/parser.ts';
import { NO_RAW_TIME, type ClockDomain } from '../model/time.ts';
import { FtraceBodies } from './ftrace-body.ts';
import { FtraceHeader } from './ftrace-header.ts';
import { FtracePrefix } from './ftrace-prefix.ts';
import { LossList } from './losses.ts';

const NEWLINE = 10;
const CARRIAGE_RETURN = 13;
const HASH = 35;
const CAPITAL_C = 0x43;

/** One event with its further lines; the kernel's own bound for a line is a page. */
const MAX_EVENT_BYTES = 64 << 10;
const LONGEST_REMARK = 256;
const LOST = /^CPU:(\d{1,5}) \[(?:LOST (\d{1,15}) EVENTS|LOST EVENTS|EVENTS DROPPED|(\d{1,15}) EVENTS DROPPED)\]/;
const STARTED = /^##### CPU \d+ buffer started ####/;
/** Lines of trace-cmd report before its first event. */
const REPORT_HEADER = /^(?:cpus=\d+|version = \d+|CPU \d+ is empty|trace-cmd version .*)?\s*$/;
const TRACER = '# tracer: ';

export const ftraceText: EventTextParser = {
  id: 'ftrace_text',
  title: 'ftrace text (trace, trace_pipe, trace-cmd report)',
  yields: 'events',
  sniff,
  open: () => new Session(),
};

class Session implements ParserSession<EventBatch> {
  readonly counts = createCounts();
  readonly #losses = new LossList();
  readonly #header = new FtraceHeader();
  readonly #bodies = new FtraceBodies();
  /** Of the event that may still get further lines, and of the line after it; they change places. */
  #current = new FtracePrefix();
  #next = new FtracePrefix();
  #currentAt = -1;
  #currentEnd = 0;
  #inHeader = false;
  #clock: ClockDomain | undefined;
  /** Raw time of each CPU's last event, as seconds and ns; NaN before the first. */
  #lastSeconds = new Float64Array(0);
  #lastNanos = new Float64Array(0);
  /** Losses that wait for the next event of their CPU, by CPU (-1 = any); `undefined` = not counted. */
  readonly #open = new Map<number, { count: number | undefined; fromRaw: bigint }>();

  parse(bytes: Uint8Array, batch: EventBatch): number {
    return this.#read(bytes, batch, false);
  }

  finish(bytes: Uint8Array, batch: EventBatch): number {
    const at = this.#read(bytes, batch, true);
    for (const cpu of this.#open.keys()) this.#closeLoss(cpu, NO_RAW_TIME);
    return at;
  }

  takeLosses(): InputLoss[] {
    return this.#losses.take();
  }

  #read(input: Uint8Array, batch: EventBatch, atEnd: boolean): number {
    const bytes = Buffer.from(input.buffer, input.byteOffset, input.length);
    if (this.#clock !== undefined) batch.clock = this.#clock;
    this.#currentAt = -1;
    let at = 0;
    while (at < bytes.length) {
      const newline = bytes.indexOf(NEWLINE, at);
      let lineEnd = newline;
      if (newline < 0 || newline - at > MAX_EVENT_BYTES) {
        if (!atEnd && bytes.length - at <= MAX_EVENT_BYTES) break;
        lineEnd = Math.min(bytes.length, at + MAX_EVENT_BYTES);
      }
      const next = lineEnd === newline ? newline + 1 : lineEnd;
      if (this.#next.read(bytes, at, lineEnd)) {
        this.#takeCurrent(bytes, at, batch);
        const read = this.#next;
        this.#next = this.#current;
        this.#current = read;
        this.#currentAt = at;
        this.#currentEnd = lineEnd;
        this.#inHeader = false;
      } else this.#takeOther(bytes, at, lineEnd, next, batch);
      at = next;
    }
    if (atEnd) this.#takeCurrent(bytes, at, batch);
    return this.#currentAt >= 0 ? this.#currentAt : at;
  }

  /** Makes a row of the event at hand, whose bytes end at `end`. */
  #takeCurrent(bytes: Uint8Array, end: number, batch: EventBatch): void {
    const at = this.#currentAt;
    if (at < 0) return;
    this.#currentAt = -1;
    const prefix = this.#current;
    let bodyEnd = this.#currentEnd;
    while (bodyEnd > prefix.bodyStart && (bytes[bodyEnd - 1] === NEWLINE || bytes[bodyEnd - 1] === CARRIAGE_RETURN)) bodyEnd--;
    const reason = this.#acceptsClock(prefix, batch)
      ? this.#bodies.add(bytes, prefix, bodyEnd, batch)
      : 'another clock than the first event';
    if (reason !== undefined) {
      countMalformed(this.counts, reason, bytes, at, end);
      return;
    }
    this.counts.parsedBytes += end - at;
    this.counts.records++;
    this.#noteTime(prefix);
  }

  /** A line that starts no event: a comment, a loss, more of the event before, or nothing known. */
  #takeOther(bytes: Uint8Array, at: number, lineEnd: number, next: number, batch: EventBatch): void {
    const first = bytes[at] as number;
    if (first === HASH || first === CAPITAL_C || this.#currentAt < 0) {
      const line = decodeUtf8(bytes, at, Math.min(lineEnd, at + LONGEST_REMARK));
      if (this.#takeRemark(line, bytes, at, batch)) {
        this.counts.parsedBytes += next - at;
        return;
      }
    }
    if (this.#currentAt >= 0 && next - this.#currentAt <= MAX_EVENT_BYTES) {
      this.#currentEnd = lineEnd;
      return;
    }
    this.#takeCurrent(bytes, at, batch);
    countMalformed(this.counts, 'no event line', bytes, at, next);
  }

  /** Header lines and loss notices; they end the event before them. */
  #takeRemark(line: string, bytes: Uint8Array, at: number, batch: EventBatch): boolean {
    const lost = LOST.exec(line);
    const isHeader = line.startsWith(TRACER) || (this.#inHeader && line.startsWith('#'));
    const isReport = this.#currentAt < 0 && REPORT_HEADER.test(line);
    if (lost === null && !isHeader && !isReport && !STARTED.test(line)) return false;
    this.#takeCurrent(bytes, at, batch);
    if (lost !== null) {
      const count = lost[2] ?? lost[3];
      this.#openLoss(Number(lost[1]), count === undefined ? undefined : Number(count));
    } else if (isHeader) {
      this.#inHeader = true;
      const overwritten = this.#header.take(line);
      if (overwritten > 0) this.#openLoss(-1, overwritten);
      this.#current.columns = this.#next.columns = this.#header.columns;
    }
    return true;
  }

  /** The first event decides the clock; lines on another kind of clock cannot stand beside it. */
  #acceptsClock(prefix: FtracePrefix, batch: EventBatch): boolean {
    if (this.#clock === undefined) {
      if (prefix.dotted) this.#clock = prefix.seconds > 1e9 ? 'tai' : 'local';
      else this.#clock = prefix.seconds * 1e9 + prefix.nanos < 2 ** 32 ? 'counter' : 'x86-tsc';
      batch.clock = this.#clock;
      return true;
    }
    return prefix.dotted === (this.#clock === 'local' || this.#clock === 'tai');
  }

  #noteTime(prefix: FtracePrefix): void {
    const { cpu } = prefix;
    if (cpu >= this.#lastSeconds.length) {
      const grow = (from: Float64Array): Float64Array<ArrayBuffer> => {
        const grown = new Float64Array(Math.max(64, cpu + 1, from.length * 2)).fill(Number.NaN);
        grown.set(from);
        return grown;
      };
      this.#lastSeconds = grow(this.#lastSeconds);
      this.#lastNanos = grow(this.#lastNanos);
    }
    this.#lastSeconds[cpu] = prefix.seconds;
    this.#lastNanos[cpu] = prefix.nanos;
    if (this.#open.size === 0) return;
    const raw = toRaw(prefix.seconds, prefix.nanos);
    this.#closeLoss(cpu, raw);
    this.#closeLoss(-1, raw);
  }

  #openLoss(cpu: number, count: number | undefined): void {
    if (count === undefined) this.counts.lostUnknown++;
    else this.counts.lost += count;
    const known = this.#open.get(cpu);
    if (known !== undefined) {
      known.count = known.count === undefined || count === undefined ? undefined : known.count + count;
      return;
    }
    const seconds = this.#lastSeconds[cpu] ?? Number.NaN;
    const fromRaw = Number.isNaN(seconds) ? NO_RAW_TIME : toRaw(seconds, this.#lastNanos[cpu] as number);
    this.#open.set(cpu, { count, fromRaw });
  }

  #closeLoss(cpu: number, toRawTime: bigint): void {
    const open = this.#open.get(cpu);
    if (open === undefined) return;
    this.#open.delete(cpu);
    const reason = cpu < 0 ? 'ring_overrun' : 'ring_lost';
    this.#losses.add({ cpu, count: open.count, fromRaw: open.fromRaw, toRaw: toRawTime, reason });
  }
}

function toRaw(seconds: number, nanos: number): bigint {
  return BigInt(seconds) * 1_000_000_000n + BigInt(nanos);
}

/** A tracer's header, or an event among the first lines. */
function sniff(head: Uint8Array): boolean {
  if (decodeUtf8(head, 0, Math.min(head.length, 32)).startsWith(TRACER)) return true;
  const prefix = new FtracePrefix();
  let at = 0;
  for (let lines = 0; lines < 20 && at < head.length; lines++) {
    const newline = head.indexOf(NEWLINE, at);
    const end = newline < 0 ? head.length : newline;
    if (prefix.read(head, at, end)) return true;
    at = end + 1;
  }
  return false;
}
