/** A copy of tracefs as the text that the kernel itself gives in `trace`. */
import { encodeUtf8 } from '../base/bytes.ts';
import { OperationalError } from '../base/errors.ts';
import { Kallsyms } from '../export/kallsyms.ts';
import { TextOut } from '../export/text-out.ts';
import { TraceText } from '../export/trace-text.ts';
import { CHUNK_BYTES, reportProblems, show } from './report-output.ts';
import { openCopyFolder } from './tracefs-folder.ts';

/** The kernel's own text has its options in the copy; those of trace-cmd would make it another text. */
export async function printTraceText(path: string, flags: Readonly<Record<string, unknown>>): Promise<number> {
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
  reportProblems(path, [...[...text.problems].map(([event, why]) => [`${event} ${why}`, 1] as const), ...text.counts.malformed]);
  return 0;
}
