/**
 * A recording as text. The thread that prints it starts first, and what this one needs is loaded while it does: the start is what
 * a report of some millions of lines takes longest for.
 */
import { OperationalError } from '../base/errors.ts';
import { endReport, show, toProblems, type Problem } from './report-output.ts';
import type { FixedOptions } from '../export/report-options.ts';
import { startReportThreads, type ReportThreads, type ThreadedReport } from './report-threads.ts';
import type { ReportFlags } from './commands/report.ts';

export async function printRecording(path: string, flags: ReportFlags): Promise<number> {
  if (flags.as === 'trace') return (await import('./print-trace-text.ts')).printTraceText(path, flags);
  if (flags.as !== undefined && flags.as !== 'trace-cmd') {
    throw new OperationalError('E_ARGS', `--as ${flags.as} is no style`, 'trace-cmd, or trace for a copy of tracefs');
  }
  const { latency, raw, nanoseconds } = flags;
  const options = { latency, raw, nanoseconds, timeDifference: flags['ts-diff'] };
  const isFiltered = flags.event.length > 0 || [flags.cpu, flags.pid, flags.since, flags.until].some((value) => value !== undefined);
  const threads = startReportThreads(path, isFiltered || options.timeDifference);
  try {
    const printed = threads === undefined ? undefined : await printByThreads(path, options, flags, threads);
    if (printed !== undefined && printed.rest === undefined) return endReport(path, printed.problems, printed.records);
    const { printInOneGo } = await import('./print-in-one-go.ts');
    return await printInOneGo(path, options, flags, printed?.rest);
  } finally {
    await threads?.close();
  }
}

interface PrintedReport extends Omit<ThreadedReport, 'problems'> {
  readonly problems: readonly Problem[];
}

async function printByThreads(path: string, options: FixedOptions, flags: ReportFlags, threads: ReportThreads): Promise<PrintedReport> {
  const [{ openRecording }, { readFilter }] = await Promise.all([import('./recording.ts'), import('./report-filter.ts')]);
  const recording = await openRecording(path);
  const { file } = recording;
  try {
    const printed = await threads.print(file, { options, filter: readFilter(flags, file.info) }, show);
    return { ...printed, problems: [...file.problems, ...toProblems(printed.problems)] };
  } finally {
    recording.close();
  }
}
