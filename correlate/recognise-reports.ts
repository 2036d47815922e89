/**
 * Finds kernel reports in the rows of one stream of one kernel, as they come, in bounded memory.
 *
 *   ------------[ cut here ]------------            frame: held until a rule's line says what it frames, or dropped
 *   mkfault: warning 1 of 2                         the message of a WARN
 *   WARNING: CPU: 1 PID: 96 at mkfault.c:61 …       headline: the first line that a rule of report-kinds.ts takes
 *   usb 1-1: new device                             no shape of a report: printed in between, left out
 *   Call Trace: …                                   report-shapes.ts
 *   ---[ end trace 0000000000000000 ]---            end; x86 repeats registers behind it: the tail
 *
 * CPUs that print at once are told apart by the caller (`[ T123]`, `[ C0]`): each is a lane. Without callers all is one lane,
 * in which a line goes to the report that lacks one of its kind, the newest first. An NMI backtrace that another CPU prints
 * joins the stall that asked for it.
 * A report ends by its grammar, when another one begins, when nothing more comes for a while, or when it grows too long.
 * Not handled: who is behind lines of two traces that are mixed without callers (they go to the newer report).
 */
import { LOG_FLAG, type LogBatch } from '../model/log-batch.ts';
import { NO_RAW_TIME } from '../model/time.ts';
import type { ReportKind } from '../model/kernel-report.ts';
import type { ReportRule } from './report-kinds.ts';
import { shapeOf, type LineShape } from './report-shapes.ts';
import { isFrameLine, matchRule, mayBeginReport, type RuleMatch } from './report-starts.ts';

/** On the printk clock: a report that was printed to its end, one that was not. */
const TAIL_QUIET_NS = 2_000_000_000n;
const QUIET_NS = 10_000_000_000n;
/** Banks of one machine check are printed at once. */
const SAME_MCE_NS = 500_000_000n;
/** Behind the end of a report these are another's. */
const IN_NO_TAIL: ReadonlySet<LineShape> = new Set(['frame', 'trace', 'task']);
const SLUB_WARNS = /^WARNING: .*\bmm\/slub\.c:\d+/;
/** Between a frame and its headline stand a WARN's message and what other CPUs print. */
const MAX_FRAME_LINES = 12;
/** Lines of other things within a lane: after these a report whose trace was seen, or any other, is over. */
const MAX_FOREIGN_AFTER_TRACE = 16;
const MAX_FOREIGN = 64;
/** Behind the end stand at most the registers once more, and a note. */
const MAX_TAIL_LINES = 40;
/** Kept of one report; of an OOM's task table, as a rule. The lines that say what happened are kept beyond it. */
const MAX_KEPT_LINES = 1024;
const MAX_LINES = 65_536;
const MAX_LINE_CHARS = 2048;
const MAX_OPEN = 64;
/** Rows looked back for a stamp, to know whether lines without one are the kernel's. */
const STAMP_LOOKBACK = 64;
const NO_CALLER = Number.MIN_SAFE_INTEGER;

/** Kinds that make other CPUs print where they are. */
const ASKS_OTHERS: ReadonlySet<ReportKind> = new Set(['rcu_stall', 'soft_lockup', 'hard_lockup', 'hung_task', 'workqueue_lockup']);

export interface ReportLine {
  readonly text: string;
  readonly shape: LineShape | 'headline' | 'frame_line' | 'message';
}

export interface RowMark {
  readonly rawNs: bigint;
  readonly unixNs: bigint;
  readonly sequence: number;
}

export interface RecognisedReport {
  readonly rule: ReportRule;
  readonly match: RegExpExecArray;
  readonly lines: readonly ReportLine[];
  readonly first: RowMark;
  readonly last: RowMark;
  /** Caller of its first line, -1 = not printed. */
  readonly pid: number;
  readonly cpu: number;
  /** Why it is not whole, in words. */
  readonly incomplete: readonly string[];
  /** Lines between its first and last did not come. */
  readonly hasGap: boolean;
}

interface Frame {
  readonly lines: ReportLine[];
  readonly first: RowMark;
}

class OpenReport {
  readonly rule: ReportRule;
  readonly match: RegExpExecArray;
  readonly lines: ReportLine[];
  readonly first: RowMark;
  readonly lanes = new Set<number>();
  readonly pid: number;
  readonly cpu: number;
  readonly incomplete: string[] = [];
  /** Names in front of a colon that a report has once: who lacks it takes the line. */
  readonly singles = new Set<string>();
  last: RowMark;
  seen = 0;
  leftOut = 0;
  foreign = 0;
  tailLines = 0;
  hasDetail: boolean;
  hasTrace = false;
  /** The end was printed. */
  ended = false;
  /** All tasks of a control group are killed (`memory.oom.group`), and each is told. */
  killsGroup = false;
  lost = 0;
  torn = false;

  constructor({ rule, match }: RuleMatch, frame: Frame | undefined, first: RowMark, pid: number, cpu: number) {
    this.rule = rule;
    this.match = match;
    this.lines = frame?.lines ?? [];
    this.first = frame?.first ?? first;
    this.last = first;
    this.pid = pid;
    this.cpu = cpu;
    this.hasDetail = rule.role === 'detail';
  }

  /** Its trace stands: what is still to come may be nothing. */
  get mayBeOver(): boolean {
    return this.ended || this.rule.kind === 'panic' || (this.hasTrace && this.rule.end === undefined);
  }

  add(text: string, shape: ReportLine['shape'], mark: RowMark): void {
    this.last = mark;
    this.foreign = 0;
    this.seen++;
    if (this.ended && !this.killsGroup) this.tailLines++;
    if (shape === 'frame' || shape === 'trace') this.hasTrace = true;
    this.singles.add(singleOf(text));
    if (this.lines.length < MAX_KEPT_LINES || (shape !== 'text' && this.lines.length < MAX_KEPT_LINES * 2)) {
      this.lines.push({ text: text.slice(0, MAX_LINE_CHARS), shape });
    } else this.leftOut++;
  }

  close(why: string | undefined): RecognisedReport {
    const { rule, match, lines, first, last, pid, cpu } = this;
    const incomplete = [...this.incomplete];
    if (this.lost > 0) incomplete.push('lines were lost inside');
    if (this.torn) incomplete.push('a line was torn on its way');
    if (this.leftOut > 0) incomplete.push(`${this.leftOut} lines more than are kept`);
    if (why !== undefined && !this.ended && rule.end !== undefined) incomplete.push(why);
    return { rule, match, lines, first, last, pid, cpu, incomplete, hasGap: this.lost > 0 };
  }
}

export class ReportRecogniser {
  readonly #open: OpenReport[] = [];
  readonly #frames = new Map<number, Frame>();
  #found: RecognisedReport[] = [];
  #lastSequence = -1;
  #hasStamps = false;

  /** Where the first of the reports that are not over begins, or of the frames that wait for their headline. */
  get openSince(): RowMark | undefined {
    return [...this.#open, ...this.#frames.values()].reduce<RowMark | undefined>(
      (least, { first }) => (least === undefined || first.sequence < least.sequence ? first : least),
      undefined,
    );
  }

  /** Rows in the order of their stream. */
  take(batch: LogBatch, from = 0, to = batch.length): void {
    const { text, textStart, textEnd } = batch;
    let isIdle = this.#open.length === 0 && this.#frames.size === 0;
    for (let row = from; row < to; row++) {
      if (isIdle && !mayBeginReport(text, textStart[row] as number, textEnd[row] as number)) continue;
      this.#takeRow(batch, row);
      isIdle = this.#open.length === 0 && this.#frames.size === 0;
    }
  }

  /** The input ends: what is open is over. `settled` = only what was printed to its end, and may but have a tail. */
  finish(which: 'all' | 'settled' = 'all'): void {
    for (const report of this.#open.slice()) if (which === 'all' || report.mayBeOver) this.#close(report, 'the log ends before it does');
    if (which === 'all') this.#frames.clear();
  }

  /** Reports that are over, in the order of their ends. */
  takeReports(): RecognisedReport[] {
    const found = this.#found;
    this.#found = [];
    return found;
  }

  #takeRow(batch: LogBatch, row: number): void {
    const flags = batch.flags[row] as number;
    const sequence = batch.sequence[row] as number;
    if ((flags & LOG_FLAG.lossNotice) !== 0 || (this.#open.length > 0 && sequence > this.#lastSequence + 1)) this.#noteLoss();
    this.#lastSequence = sequence;
    // User space can write what it likes to the log; the kernel marks it.
    if ((flags & LOG_FLAG.userSpace) !== 0) return;
    const rawNs = batch.rawTime.getBigint(row);
    if (rawNs !== NO_RAW_TIME) this.#hasStamps = true;
    else if (this.#hasStamps || hasStampBefore(batch, row)) return;
    const mark: RowMark = { rawNs, unixNs: batch.unixTime.getBigint(row), sequence };
    this.#closeQuiet(rawNs);
    const pid = batch.pid[row] as number;
    const cpu = batch.cpu[row] as number;
    const lane = pid >= 0 ? pid : cpu >= 0 ? -1 - cpu : NO_CALLER;
    if ((flags & LOG_FLAG.torn) !== 0) for (const report of this.#open) if (report.lanes.has(lane)) report.torn = true;
    const body = batch.textOf(row);
    if (!body.includes('\n')) this.#takeLine(body.trimEnd(), lane, mark, pid, cpu);
    else for (const line of body.split('\n')) this.#takeLine(line.trimEnd(), lane, mark, pid, cpu);
  }

  #takeLine(line: string, lane: number, mark: RowMark, pid: number, cpu: number): void {
    const found = matchRule(line);
    if (found !== undefined) {
      if (this.#addDetail(found, line, lane, mark)) return;
      this.#begin(found, line, lane, mark, pid, cpu);
      return;
    }
    if (isFrameLine(line) && !this.#closeByRuler(line, lane, mark)) {
      this.#beginFrame(line, lane, mark);
      return;
    }
    const frame = this.#frames.get(lane);
    if (frame !== undefined && !this.#isOfOpen(line, lane)) {
      frame.lines.push({ text: line, shape: 'message' });
      if (frame.lines.length > MAX_FRAME_LINES) this.#frames.delete(lane);
      return;
    }
    this.#addToOpen(line, lane, mark);
  }

  /** SLUB says in front of its ruler what was overwritten, lists in front of their BUG what is corrupt: both are the frame. */
  #beginFrame(line: string, lane: number, mark: RowMark): void {
    const before = this.#frames.get(lane);
    const own: ReportLine = { text: line, shape: /^[-=]/.test(line) ? 'frame_line' : 'message' };
    if (before?.lines.length === 1 && before.lines[0]?.shape === 'message') before.lines.push(own);
    else this.#frames.set(lane, { lines: [own], first: mark });
  }

  #isOfOpen(line: string, lane: number): boolean {
    return this.#open.some((one) => one.lanes.has(lane) && shapeOf(one.rule.kind, line) !== undefined);
  }

  /** A second line of the report that is open: the number of the oops, the task that was killed, a further bank. */
  #addDetail({ rule }: RuleMatch, line: string, lane: number, mark: RowMark): boolean {
    const report = this.#open.findLast((one) => one.lanes.has(lane) && takesDetail(one, rule, line, mark));
    if (report === undefined) return false;
    report.hasDetail = true;
    for (const framed of this.#frames.get(lane)?.lines ?? []) report.add(framed.text, framed.shape, mark);
    this.#frames.delete(lane);
    report.add(line, 'headline', mark);
    report.ended ||= isLastOfOom(rule);
    return true;
  }

  #begin(found: RuleMatch, line: string, lane: number, mark: RowMark, pid: number, cpu: number): void {
    const frame = this.#frames.get(lane);
    this.#frames.delete(lane);
    for (const report of this.#open.filter((one) => one.lanes.has(lane))) {
      const goesOn =
        lane === NO_CALLER && found.rule.kind !== 'panic' && report.rule.kind !== found.rule.kind && !report.mayBeOver && !report.hasTrace;
      if (!goesOn) this.#close(report, 'another report began before its end');
    }
    while (this.#open.length >= MAX_OPEN) this.#close(this.#open[0] as OpenReport, 'too many reports at once');
    const report = new OpenReport(found, frame, mark, pid, cpu);
    report.lanes.add(lane);
    report.add(line, 'headline', mark);
    report.ended = isLastOfOom(found.rule);
    this.#open.push(report);
  }

  /** True where a line of `=` is the end of an open report and not the beginning of another. */
  #closeByRuler(line: string, lane: number, mark: RowMark): boolean {
    if (!line.startsWith('=')) return false;
    const report = this.#open.findLast((one) => one.lanes.has(lane) && one.rule.end === 'ruler' && !one.ended);
    if (report === undefined) return false;
    report.add(line, 'frame_line', mark);
    report.ended = true;
    this.#close(report, undefined);
    return true;
  }

  #addToOpen(line: string, lane: number, mark: RowMark): void {
    if (line.startsWith('NMI backtrace for cpu ') || line.startsWith('CPU: ')) this.#adopt(lane);
    const inLane = this.#open.filter((one) => one.lanes.has(lane));
    if (inLane.length === 0) return;
    const fitting = inLane.length === 1 ? inLane : inLane.filter((one) => shapeOf(one.rule.kind, line) !== undefined);
    const report = pickReport(fitting.length === 0 ? inLane : fitting, line);
    if (beginsAnotherTrace(report, line)) {
      this.#close(report, undefined);
      return;
    }
    const shape = shapeOf(report.rule.kind, line);
    if (shape === undefined || (report.ended && IN_NO_TAIL.has(shape))) {
      this.#noteForeign(report);
      return;
    }
    report.add(line, shape, mark);
    report.killsGroup ||= line.endsWith(' due to memory.oom.group set');
    if (shape === 'end') {
      report.ended = true;
      if (line.includes('end Kernel panic')) this.#close(report, undefined);
    } else if (report.tailLines > MAX_TAIL_LINES || report.seen > MAX_LINES) {
      if (report.seen > MAX_LINES) report.incomplete.push('it is longer than any report');
      this.#close(report, undefined);
    }
  }

  #noteForeign(report: OpenReport): void {
    report.foreign++;
    if (report.foreign > (report.mayBeOver ? MAX_FOREIGN_AFTER_TRACE : MAX_FOREIGN))
      this.#close(report, 'other lines follow where it should go on');
  }

  /** What a CPU prints because a stall asked it where it is belongs to the stall. */
  #adopt(lane: number): void {
    if (lane === NO_CALLER || this.#open.some((one) => one.lanes.has(lane))) return;
    this.#open.findLast((one) => ASKS_OTHERS.has(one.rule.kind))?.lanes.add(lane);
  }

  #noteLoss(): void {
    for (const report of this.#open) report.lost++;
  }

  #closeQuiet(rawNs: bigint): void {
    if (rawNs === NO_RAW_TIME) return;
    for (const [lane, { first }] of this.#frames)
      if (first.rawNs !== NO_RAW_TIME && rawNs - first.rawNs > TAIL_QUIET_NS) this.#frames.delete(lane);
    for (const report of this.#open.slice()) {
      if (report.last.rawNs === NO_RAW_TIME) continue;
      const quietNs = rawNs - report.last.rawNs;
      // A clock that goes back is another boot.
      if (quietNs > (report.mayBeOver ? TAIL_QUIET_NS : QUIET_NS) || quietNs < -QUIET_NS) this.#close(report, 'nothing more of it came');
    }
  }

  #close(report: OpenReport, why: string | undefined): void {
    this.#open.splice(this.#open.indexOf(report), 1);
    this.#found.push(report.close(why));
  }
}

/** Who was killed. */
function isLastOfOom({ kind, role }: ReportRule): boolean {
  return kind === 'oom' && role === 'detail';
}

/** `dump_stack()` of somebody else, behind a report that may be over. */
function beginsAnotherTrace(report: OpenReport, line: string): boolean {
  return line.startsWith('CPU: ') && report.mayBeOver && report.singles.has('CPU') && !ASKS_OTHERS.has(report.rule.kind);
}

function takesDetail(report: OpenReport, rule: ReportRule, line: string, mark: RowMark): boolean {
  const { kind } = report.rule;
  // Firmware's errors are one report each.
  if (kind === 'mce')
    return rule === report.rule && rule.type === 'machine check' && !report.ended && mark.rawNs - report.last.rawNs < SAME_MCE_NS;
  // Since 6.15, and in stable kernels: SLUB's own trace is that of a WARN.
  if (kind === 'slub') return rule.kind === 'warning' && !report.hasDetail && !report.ended && SLUB_WARNS.test(line);
  if (rule.role !== 'detail') return false;
  if (rule.kind === 'oom') return kind === 'oom' && (!report.ended || report.killsGroup);
  return (kind === 'oops' || kind === 'bug') && !report.hasDetail && !report.ended;
}

/** Without callers: the report that names the task, the newest that lacks such a line, else the one that was printed last. */
function pickReport(reports: readonly OpenReport[], line: string): OpenReport {
  if (reports.length === 1) return reports[0] as OpenReport;
  const single = singleOf(line);
  const without = single === '' ? [] : reports.filter((one) => !one.ended && !one.singles.has(single));
  const task = /^CPU: (\d+) (?:UID: \d+ )?PID: (\d+) /.exec(line);
  const named = task === null ? undefined : without.find((one) => namesTask(one, task[1] as string, task[2] as string));
  const lacking = named ?? without.at(-1);
  return lacking ?? reports.reduce((newest, one) => (one.last.sequence >= newest.last.sequence ? one : newest));
}

/** `soft lockup - CPU#1 stuck for 8s! [spin:77]`, `WARNING: CPU: 1 PID: 77 at …` */
function namesTask({ match }: OpenReport, cpu: string, pid: string): boolean {
  const headline = match[0];
  return headline.includes(`:${pid}]`) || headline.includes(`CPU#${cpu} `) || headline.includes(`PID: ${pid} `);
}

function singleOf(line: string): string {
  if (line.startsWith('---[')) return '---[';
  const colon = line.indexOf(':');
  return colon < 0 || colon > 20 || line.startsWith(' ') ? '' : line.slice(0, colon);
}

/** Between stamped lines a line without a stamp is user space's. */
function hasStampBefore(batch: LogBatch, row: number): boolean {
  for (let at = row - 1; at >= 0 && at > row - STAMP_LOOKBACK; at--) if (batch.rawTime.getBigint(at) !== NO_RAW_TIME) return true;
  return false;
}
