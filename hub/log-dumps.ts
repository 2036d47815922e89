/**
 * ftrace dumps in a log: what a kernel had in its trace buffer when it died (ftrace_dump_on_oops), or was asked (sysrq-z).
 *
 *   [   35.085802] Dumping ftrace buffer:
 *   [   35.086177] ---------------------------------
 *   [   35.089488] CPU:0 [LOST 245 EVENTS]
 *   [   35.089488]       tr-185       0...1. 119895us : sys_execve(filename: 5ac272, …)
 *   …
 *   [   35.637023]     init-187       0..... 1361115us : vfs_write <-ksys_write
 *   [   35.637633] ---------------------------------
 *
 * The lines stay in the log as they are; here they become events. Their times count from when the buffer was last reset, which
 * nobody prints. But a kernel stops tracing when it begins an oops (oops_enter), else when it begins to dump, and what led to that
 * is traced as a rule: the last event is laid upon that line. How far it can be from there is told by the longest time in which
 * the dump has no event.
 */
import type { ClockFit } from '../clock/fit.ts';
import { EventBatch } from '../model/event-batch.ts';
import type { LogBatch } from '../model/log-batch.ts';
import type { InputLoss, ParserSession } from '../model/parser.ts';
import { NO_RAW_TIME } from '../model/time.ts';
import { ftraceText } from '../parsers/ftrace-text.ts';

const BEGIN = 'Dumping ftrace buffer:';
const RULE = '-'.repeat(33);
const EMPTY = '(ftrace buffer empty)';
/** Lines of other CPUs between those of the dump; they are in the log. */
const NOT_UNDERSTOOD = 'ftrace:unparsed';
/** First lines of an oops, x86 and arm64; before its dump ends nothing ends it. */
const OOPS =
  /^(?:BUG: (?:unable to handle|kernel NULL)|Oops: |kernel BUG at |general protection fault|invalid opcode: |divide error: |Unable to handle kernel |Internal error: )/;
/** Other CPUs have stopped, this one prints: few events come after that line. */
const PANIC = 'Kernel panic - not syncing: ';
const REPORT_END = '---[ end ';
/** First two bytes of the lines above: most lines of a log need no further look. */
const BEGINNINGS = new Set(
  ['Du', 'BU', 'Oo', 'ke', 'ge', 'in', 'di', 'Un', 'In', 'Ke', '--'].map((two) => two.charCodeAt(0) * 256 + two.charCodeAt(1)),
);
/** A report whose dump has not begun after this has none. */
const MOST_REPORT_NS = 60e9;
/** A kernel dies once, and people ask a few times: of a file that says more, the others stay lines alone. */
const MAX_DUMPS = 256;
/** A line longer than this is no event of a dump. */
const MAX_LINE_BYTES = 8192;

/** What one dump says of its times, over all pieces that it was read in; ns since its own zero. */
export interface DumpTimes {
  firstRaw: bigint;
  lastRaw: bigint;
  silenceNs: number;
  /** False: its lines have no times (function_graph), or count events. */
  isTimed: boolean;
}

/** A line: its stamp on the log's clock, NO_RAW_TIME where it has none, and Unix ns. */
interface LineTime {
  readonly raw: bigint;
  readonly unixNs: bigint;
}

/** When tracing ended for a dump: at this line, or up to `laterNs` after it. */
export interface DumpStart extends LineTime {
  /** Of the log's dumps, from 0. */
  readonly index: number;
  readonly laterNs: number;
}

export class DumpReader {
  /** Of the dump that `start` is of; the caller takes them and clears it. */
  readonly events = new EventBatch();
  #start: DumpStart | undefined;
  #count = 0;
  #isOpen = false;
  /** First line of the report that goes on. */
  #died: (LineTime & { readonly isOops: boolean }) | undefined;
  /** The line that begins it has come; the next such line ends it. */
  #hasRule = false;
  #session: ParserSession<EventBatch> = ftraceText.open();
  #pending = Buffer.alloc(0);
  #losses: InputLoss[] = [];

  get start(): DumpStart | undefined {
    return this.#start;
  }

  /** Reads rows until one dump ends, or all; returns the row behind the last one read. */
  read(batch: LogBatch, from: number, to: number): number {
    const lines: string[] = [];
    for (let row = from; row < to; row++) {
      const start = batch.textStart[row] as number;
      const bytes = (batch.textEnd[row] as number) - start;
      if (!this.#isOpen && (bytes < 2 || !BEGINNINGS.has((batch.text[start] as number) * 256 + (batch.text[start + 1] as number))))
        continue;
      const text = bytes > MAX_LINE_BYTES ? '' : batch.textOf(row);
      if (text === BEGIN) {
        if (this.#isOpen) {
          this.#close(lines);
          return row;
        }
        if (this.#count < MAX_DUMPS) this.#open(batch, row);
      } else if (this.#isOpen && (text.trim() === EMPTY || (text === RULE && this.#hasRule))) {
        this.#close(lines);
        return row + 1;
      } else if (this.#isOpen && text === RULE) this.#hasRule = true;
      else if (this.#isOpen) lines.push(text);
      else this.#noteReport(text, batch, row);
    }
    if (this.#isOpen) this.#parse(lines);
    return to;
  }

  /** The log ends, or its kernel: a dump that is cut off is one. */
  finish(): void {
    if (this.#isOpen) this.#close([]);
  }

  takeLosses(): InputLoss[] {
    return this.#losses.splice(0);
  }

  #noteReport(text: string, batch: LogBatch, row: number): void {
    if (text.startsWith(REPORT_END)) this.#died = undefined;
    else if (this.#died === undefined) {
      const isOops = OOPS.test(text);
      if (isOops || text.startsWith(PANIC)) this.#died = { ...timeOf(batch, row), isOops };
    }
  }

  #open(batch: LogBatch, row: number): void {
    const begin = timeOf(batch, row);
    const { isOops, ...died } = this.#died ?? { ...begin, isOops: true };
    const sinceNs = Number(begin.unixNs - died.unixNs);
    const start = sinceNs > MOST_REPORT_NS ? begin : died;
    this.#start = { ...start, index: this.#count++, laterNs: isOops || start === begin ? 0 : sinceNs };
    this.#died = undefined;
    this.#isOpen = true;
    this.#hasRule = false;
    this.#session = ftraceText.open();
    this.#pending = Buffer.alloc(0);
  }

  #parse(lines: readonly string[]): void {
    if (lines.length === 0) return;
    const bytes = Buffer.concat([this.#pending, Buffer.from(`${lines.join('\n')}\n`)]);
    const end = this.#session.parse(bytes, this.events);
    this.#pending = Buffer.from(bytes.subarray(end));
    this.#taken();
  }

  #close(lines: readonly string[]): void {
    this.#parse(lines);
    this.#session.finish(this.#pending, this.events);
    this.#pending = Buffer.alloc(0);
    this.#taken();
    this.#isOpen = false;
  }

  #taken(): void {
    const others = this.events.find(NOT_UNDERSTOOD);
    if (others !== undefined) others.length = 0;
    this.#losses.push(...this.#session.takeLosses());
  }
}

function timeOf(batch: LogBatch, row: number): LineTime {
  return { raw: batch.rawTime.getBigint(row), unixNs: batch.unixTime.getBigint(row) };
}

/** Adds what the events of a piece say of the times of their dump. */
export function noteDumpTimes(known: DumpTimes | undefined, events: EventBatch): DumpTimes {
  const raws = events.tables
    .flatMap(({ rawTime, length }) => Array.from({ length }, (_, row) => rawTime.getBigint(row)))
    .filter((raw) => raw !== NO_RAW_TIME)
    .sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const times = known ?? { firstRaw: NO_RAW_TIME, lastRaw: NO_RAW_TIME, silenceNs: 0, isTimed: false };
  times.isTimed ||= raws.length > 0 && events.clock === 'relative';
  const first = raws[0];
  if (first !== undefined && (times.firstRaw === NO_RAW_TIME || first < times.firstRaw)) times.firstRaw = first;
  for (const raw of raws) {
    if (times.lastRaw !== NO_RAW_TIME) times.silenceNs = Math.max(times.silenceNs, Number(raw - times.lastRaw));
    if (times.lastRaw === NO_RAW_TIME || raw > times.lastRaw) times.lastRaw = raw;
  }
  return times;
}

/**
 * The clock of a dump. `logErrorNs`: bound of the log's own times. Where no event is missing between the last one and the dump if
 * both are on one clock, they are: then the buffer was never reset, and its times are those of the log.
 */
export function fitDump({ raw, unixNs, laterNs }: DumpStart, { lastRaw, silenceNs, isTimed }: DumpTimes, logErrorNs: number): ClockFit {
  const sinceLastNs = raw === NO_RAW_TIME ? -1 : Number(raw - lastRaw);
  const isOneClock = isTimed && sinceLastNs >= 0 && sinceLastNs <= silenceNs;
  return {
    baseRaw: lastRaw === NO_RAW_TIME ? 0n : lastRaw,
    baseUnixNs: isOneClock ? unixNs - BigInt(sinceLastNs) : unixNs,
    nsPerTick: 1,
    errorNs: isTimed ? logErrorNs + silenceNs + laterNs : -1,
  };
}
