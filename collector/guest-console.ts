/**
 * What a guest's console says that its kernel log did not bring: the last words of a panic, what came while the forwarder was
 * away, what user space printed. The same line comes both ways as long as all is well; it is stored once, as kmsg has it.
 *
 *   console  ──► lines ──► waiting ──┬─ kmsg brought it (same stamp, same text): dropped
 *                                    └─ kmsg is past it, or it waited PATIENCE: handed on, on the guest's own clock
 *   boot mark ─► waits for the next incarnation, whose forwarder has not said hello yet
 *
 * Not handled: fragments that the console shows as one line (pr_cont) and kmsg as several: they come twice.
 */
import type { Gap } from '../model/gap.ts';
import { LOG_FLAG, LogBatch } from '../model/log-batch.ts';
import { NO_RAW_TIME } from '../model/time.ts';
import { ConsoleLines, CONSOLE_DOUBT_NS } from './console-lines.ts';
import type { KernelClock } from './kernel-clock.ts';

/** Since the log last brought something: the forwarder reads it each 20 ms; a busy guest may take longer. */
const PATIENCE_NS = 2_000_000_000n;
/** After its hello a forwarder sends formats first; on an overloaded machine that takes a while. */
const FIRST_PATIENCE_NS = 10_000_000_000n;
/** Lines of a kernel that never says who it is. */
const MAX_HELD_LINES = 16_384;
/** Of the kernel log, to know a line again by. */
const MAX_KNOWN_STAMPS = 16_384;

interface Line {
  readonly raw: bigint;
  readonly seenNs: bigint;
  readonly level: number;
  readonly severityNumber: number;
  readonly flags: number;
  readonly pid: number;
  readonly text: string;
}

export interface ConsoleRecord {
  readonly batch: LogBatch;
  readonly clockErrorNs: number;
}

export class GuestConsole {
  readonly #lines: ConsoleLines;
  /** Lines of the kernel log by their stamp, µs. */
  readonly #known = new Map<bigint, string[]>();
  /** Newest stamp that came in the kernel log. */
  #logRaw = NO_RAW_TIME;
  /** When the kernel log last brought something, Unix. */
  #logAtNs = 0n;
  /** Of the incarnation at hand, oldest first. */
  #waiting: Line[] = [];
  /** Of the boot whose forwarder has not said hello. */
  #next: Line[] = [];
  #bootBegan = true;
  #clock: KernelClock | undefined;
  #sequence = 0;
  /** Lines that kmsg had as well. */
  repeated = 0;
  /** Lines given up because nobody said whose they are. */
  dropped = 0;

  constructor(stream: string) {
    this.#lines = new ConsoleLines(stream);
  }

  get lost(): number {
    return this.#lines.lost;
  }

  /** Lines that were handed on or given up. */
  get records(): number {
    return this.#sequence + this.dropped;
  }

  /** An incarnation has said hello: what waited for it is its own. What is left of the one before goes with `take` first. */
  begin(clock: KernelClock, nowNs: bigint): void {
    this.#clock = clock;
    // The log of the whole boot is on its way.
    this.#logAtNs = nowNs + FIRST_PATIENCE_NS - PATIENCE_NS;
    this.#known.clear();
    this.#logRaw = NO_RAW_TIME;
    this.#waiting = this.#next;
    this.#next = [];
    this.#bootBegan = false;
  }

  /** Rows of the kernel log, as they came through the forwarder. */
  noteLog(batch: LogBatch, nowNs: bigint): void {
    if (batch.length > 0) this.#logAtNs = nowNs;
    for (let row = 0; row < batch.length; row++) {
      const raw = batch.rawTime.getBigint(row);
      const lines = batch.textOf(row).split('\n');
      const stamp = raw / 1000n;
      const others = this.#known.get(stamp);
      if (others === undefined) this.#known.set(stamp, lines);
      else others.push(...lines);
      if (raw > this.#logRaw) this.#logRaw = raw;
    }
    for (const stamp of this.#known.keys()) {
      if (this.#known.size <= MAX_KNOWN_STAMPS) break;
      this.#known.delete(stamp);
    }
  }

  /** What came from the console at `seenNs`, Unix. Returns what the text itself says was lost. */
  add(bytes: Uint8Array, seenNs: bigint, atEnd = false): readonly Gap[] {
    const { batch, gaps } = this.#lines.add(bytes, seenNs, atEnd);
    for (let row = 0; row < batch.length; row++) {
      if (((batch.flags[row] as number) & LOG_FLAG.bootMark) !== 0) this.#bootBegan = true;
      const line: Line = {
        raw: batch.rawTime.getBigint(row),
        seenNs,
        level: batch.level[row] as number,
        severityNumber: batch.severityNumber[row] as number,
        flags: batch.flags[row] as number,
        pid: batch.pid[row] as number,
        text: batch.textOf(row),
      };
      (this.#bootBegan ? this.#next : this.#waiting).push(line);
    }
    while (this.#next.length > MAX_HELD_LINES) {
      this.#next.shift();
      this.dropped++;
    }
    return gaps;
  }

  /** The lines whose time has come, of the incarnation at hand; `all` = whatever still waits. */
  take(nowNs: bigint, all = false): ConsoleRecord | undefined {
    const clock = this.#clock;
    if (clock === undefined) return undefined;
    const fresh: Line[] = [];
    const rest: Line[] = [];
    for (const line of this.#waiting) {
      if (this.#isKnown(line)) this.repeated++;
      else if (all || this.#isDue(line, nowNs)) fresh.push(line);
      else rest.push(line);
    }
    this.#waiting = rest;
    if (fresh.length === 0) return undefined;
    const batch = this.#toBatch(fresh);
    return { batch, clockErrorNs: Math.max(clock.alignLogs(batch), fresh.some(({ raw }) => raw === NO_RAW_TIME) ? CONSOLE_DOUBT_NS : 0) };
  }

  /** The log has it: both ways show whole µs. */
  #isKnown({ raw, text }: Line): boolean {
    if (raw === NO_RAW_TIME) return false;
    const shown = text.trimEnd();
    return this.#known.get(raw / 1000n)?.some((line) => isTornFrom(shown, line)) === true;
  }

  /** A line whose turn is before one that still waits waits with it, unless the log is past both. */
  #isDue({ raw, seenNs }: Line, nowNs: bigint): boolean {
    if (raw !== NO_RAW_TIME && raw < this.#logRaw) return true;
    const sinceNs = seenNs > this.#logAtNs ? seenNs : this.#logAtNs;
    return nowNs - sinceNs >= PATIENCE_NS;
  }

  #toBatch(lines: readonly Line[]): LogBatch {
    const batch = new LogBatch(Math.max(16, lines.length));
    batch.clock = 'printk';
    for (const { raw, seenNs, level, severityNumber, flags, pid, text } of lines) {
      const row = batch.addText(text, level);
      batch.rawTime.setBigint(row, raw);
      batch.observedTime.setBigint(row, seenNs);
      batch.severityNumber[row] = severityNumber;
      batch.flags[row] = flags;
      batch.pid[row] = pid;
      batch.sequence[row] = this.#sequence++;
    }
    return batch;
  }
}

/** A UART that is not emptied in time loses characters; it invents none. So what is torn is still known by what is left of it. */
function isTornFrom(text: string, whole: string): boolean {
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    at = whole.indexOf(text[i] as string, at) + 1;
    if (at === 0) return false;
  }
  return true;
}
