/** A recording as text, or the rest of one, by this thread alone. */
import { Reporter, type ReportStart } from '../export/report.ts';
import { TextOut } from '../export/text-out.ts';
import { openRecording } from './recording.ts';
import { readFilter, toFilter, type FilterFlags } from './report-filter.ts';
import { CHUNK_BYTES, endReport, show, toProblems } from './report-output.ts';
import type { FixedOptions } from '../export/report-options.ts';
import { toConversion } from './report-times.ts';

export async function printInOneGo(
  path: string,
  options: FixedOptions,
  flags: FilterFlags,
  start: ReportStart | undefined,
): Promise<number> {
  const recording = await openRecording(path);
  const { file } = recording;
  try {
    const filter = toFilter(readFilter(flags, file.info));
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
