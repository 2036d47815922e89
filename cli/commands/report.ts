import { encodeUtf8 } from '../../base/bytes.ts';
import { OperationalError } from '../../base/errors.ts';
import { Kallsyms } from '../../export/kallsyms.ts';
import { Reporter, type ReportStart } from '../../export/report.ts';
import type { ReportFilter, ReportOptions } from '../../export/report-lines.ts';
import { TextOut } from '../../export/text-out.ts';
import { TraceText } from '../../export/trace-text.ts';
import type { EventFileInfo } from '../../model/event-file.ts';
import { defineCommand } from '../command.ts';
import { openRecording } from '../recording.ts';
import { startReportThreads, type ReportThreads, type ThreadedReport } from '../report-threads.ts';
import { parseReportTime, toConversion } from '../report-times.ts';
import { openCopyFolder } from '../tracefs-folder.ts';
import { createPaint, escapeControls, print, printAll } from '../terminal.ts';

/** Written at a time. */
const CHUNK_BYTES = 256 << 10;
const MAX_FORMAT_PROBLEMS = 8;
const MAX_PROBLEM_CHARS = 200;

export const command = defineCommand({
  name: 'report',
  usage: '[options] FILE|DIR',
  about:
    'a recording of trace-cmd (trace.dat) as text, line for line what `trace-cmd report` prints of it, instances and losses included; or, with `--as trace`, a copy of tracefs as the text that the kernel itself gives in `trace`. On a terminal, control characters of kernel text are shown and not sent.',
  options: {
    as: {
      type: 'string',
      value: 'STYLE',
      help: 'trace-cmd (default), or trace: what the kernel prints, by the options and tracer in the copy',
    },
    latency: { type: 'boolean', short: 'l', help: 'flags of each event: interrupts off, need-resched, context, preemption depth' },
    raw: { type: 'boolean', short: 'R', help: 'the fields of each event instead of its print format' },
    nanoseconds: { type: 'boolean', short: 't', help: 'all nine digits of a time' },
    'ts-diff': { type: 'boolean', help: 'time since the line before' },
    event: {
      type: 'string',
      short: 'e',
      multiple: true,
      value: 'PATTERN',
      help: 'only these events: sched, sched:sched_switch, irq_* (repeatable)',
    },
    cpu: { type: 'string', value: 'LIST', help: 'only these CPUs: 0,2-3' },
    pid: { type: 'string', value: 'LIST', help: 'only events of these threads: 1,812' },
    since: { type: 'string', value: 'TIME', help: 'from this time on, as the report shows it: 13432.829484' },
    until: { type: 'string', value: 'TIME', help: 'up to this time' },
  },
  examples: [
    ['mkscope report trace.dat', 'all of it'],
    ['mkscope report -t -e sched -e irq --cpu 1 trace.dat', 'what the scheduler and interrupts did on CPU 1'],
    ['mkscope report --as trace ./tracing', 'a copy of tracefs, as its file `trace` shows it'],
    ['mkscope report --since 13432.82 --until 13432.83 trace.dat | less', 'ten milliseconds'],
  ],
  positionals: { least: 1, most: 1 },
  async run(flags, [path = '']) {
    if (flags.as === 'trace') return printTraceText(path, flags);
    if (flags.as !== undefined && flags.as !== 'trace-cmd') {
      throw new OperationalError('E_ARGS', `--as ${flags.as} is no style`, 'trace-cmd, or trace for a copy of tracefs');
    }
    const { latency, raw, nanoseconds } = flags;
    const options = { latency, raw, nanoseconds, timeDifference: flags['ts-diff'] };
    const isFiltered = flags.event.length > 0 || [flags.cpu, flags.pid, flags.since, flags.until].some((value) => value !== undefined);
    const threads = isFiltered ? undefined : startReportThreads(path, options);
    try {
      const printed = threads === undefined ? undefined : await printByThreads(path, options, threads);
      if (printed !== undefined && printed.rest === undefined) return endReport(path, printed.problems, printed.records);
      return await printInOneGo(path, options, flags, printed?.rest);
    } finally {
      await threads?.close();
    }
  },
});

interface PrintedReport extends Omit<ThreadedReport, 'problems'> {
  readonly problems: readonly Problem[];
}

/** What is wrong, and how often. */
type Problem = readonly [string, number];

async function printByThreads(path: string, options: FixedOptions, threads: ReportThreads): Promise<PrintedReport> {
  const recording = openRecording(path);
  const { file } = recording;
  try {
    const printed = await threads.print(file, { ...options, filter: undefined, convert: toConversion(file.info) }, show);
    return { ...printed, problems: [...file.problems, ...toProblems(printed.problems)] };
  } finally {
    recording.close();
  }
}

async function printInOneGo(path: string, options: FixedOptions, flags: FilterFlags, start: ReportStart | undefined): Promise<number> {
  const recording = openRecording(path);
  const { file } = recording;
  try {
    const filter = toFilter(flags, file.info);
    const reporter = new Reporter(file, { ...options, filter, convert: toConversion(file.info) }, start);
    const out = new TextOut(CHUNK_BYTES * 2);
    for (let more = true; more;) {
      more = reporter.write(out, CHUNK_BYTES);
      await show(out.view());
      out.clear();
    }
    const problems = [...file.problems, ...toProblems(reporter.problems), ...reporter.counts.malformed];
    return endReport(path, problems, reporter.counts.records);
  } finally {
    recording.close();
  }
}

/** The first of those of formats, which may be long. */
function toProblems(formats: readonly string[]): Problem[] {
  return formats.slice(0, MAX_FORMAT_PROBLEMS).map((problem) => [problem.slice(0, MAX_PROBLEM_CHARS), 1]);
}

/** The exit code: a script should see that there was nothing to read in a file that is broken. */
function endReport(path: string, problems: readonly Problem[], records: number): number {
  reportProblems(path, problems);
  return problems.length > 0 && records === 0 ? 1 : 0;
}

/** The kernel's own text has its options in the copy; those of trace-cmd would make it another text. */
async function printTraceText(path: string, flags: Readonly<Record<string, unknown>>): Promise<number> {
  const foreign = ['latency', 'raw', 'nanoseconds', 'ts-diff', 'cpu', 'pid', 'since', 'until'].find((name) => Boolean(flags[name]));
  if (foreign !== undefined || (Array.isArray(flags['event']) && flags['event'].length > 0)) {
    const name = foreign ?? 'event';
    throw new OperationalError('E_ARGS', `--${name} does not go with --as trace`, "the copy's trace_options say what is printed");
  }
  const { copy } = openCopyFolder(path);
  const symbols = new Kallsyms(() => encodeUtf8(copy.readText('kallsyms') ?? ''));
  const text = new TraceText({ ...copy, symbols });
  const out = new TextOut(CHUNK_BYTES * 2);
  for (let more = true; more;) {
    more = text.write(out, CHUNK_BYTES);
    await show(out.view());
    out.clear();
  }
  reportProblems(path, [
    ...[...text.problems].map(([event, why]) => [`${event} as its fields: ${why}`, 1] as const),
    ...text.counts.malformed,
  ]);
  return 0;
}

function show(bytes: Uint8Array): Promise<void> {
  return process.stdout.isTTY ? print(escapeControls(Buffer.from(bytes).toString('utf8'))) : printAll(bytes);
}

function reportProblems(path: string, problems: readonly Problem[]): void {
  const paint = createPaint(process.stderr);
  for (const [what, count] of problems) {
    process.stderr.write(`${paint('yellow', 'warning:')} ${escapeControls(`${path}: ${what}`)}${count > 1 ? ` (${count} times)` : ''}\n`);
  }
}

type FixedOptions = Omit<ReportOptions, 'filter' | 'convert'>;

interface FilterFlags {
  readonly event: readonly string[];
  readonly cpu: string | undefined;
  readonly pid: string | undefined;
  readonly since: string | undefined;
  readonly until: string | undefined;
}

function toFilter({ event, cpu, pid, since, until }: FilterFlags, info: EventFileInfo): ReportFilter | undefined {
  if (event.length === 0 && [cpu, pid, since, until].every((value) => value === undefined)) return undefined;
  return {
    cpus: cpu === undefined ? undefined : parseList('cpu', cpu),
    pids: pid === undefined ? undefined : parseList('pid', pid),
    events: event.length === 0 ? undefined : matchEvents(event),
    since: since === undefined ? undefined : parseReportTime('since', since, info),
    until: until === undefined ? undefined : parseReportTime('until', until, info),
  };
}

/** `sched`, `sched:sched_switch`, `irq_*`: a word alone is a system or an event. */
function matchEvents(patterns: readonly string[]): (system: string, event: string) => boolean {
  const toExpression = (pattern: string): RegExp =>
    new RegExp(
      `^${pattern
        .replace(/[.+^${}()|[\]\\]/g, '\\$&')
        .replaceAll('*', '.*')
        .replaceAll('?', '.')}$`,
    );
  const matchers = patterns.map((pattern) => {
    const [system = '', event] = pattern.split(':');
    const [first, second] = [toExpression(system), toExpression(event ?? '*')];
    if (event !== undefined) return (of: string, name: string) => first.test(of) && second.test(name);
    return (of: string, name: string) => first.test(of) || first.test(name);
  });
  return (system, event) => matchers.some((matches) => matches(system, event));
}

const MAX_LIST = 1 << 16;

function parseList(option: string, text: string): ReadonlySet<number> {
  const numbers = new Set<number>();
  for (const part of text.split(',')) {
    const [, from, to = from] = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(part) ?? [];
    const [first, last] = [Number(from ?? Number.NaN), Number(to ?? Number.NaN)];
    if (!(first <= last) || last - first >= MAX_LIST) {
      throw new OperationalError('E_ARGS', `--${option} ${text} is no list of numbers`, `write it as --${option} 0,2-3`);
    }
    for (let number = first; number <= last; number++) numbers.add(number);
  }
  return numbers;
}
