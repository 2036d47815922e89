/** `mkscope export --format trace.dat`: from a recording's pages, verbatim, or from what is stored. */
import { OperationalError } from '../base/errors.ts';
import { writeRecording, type PageSelection } from '../hub/export-recording.ts';
import type { EventFile } from '../model/event-file.ts';
import { DAT_COMPRESSIONS, type DatCompression } from '../export/trace-dat-writer.ts';
import type { ExportFlags } from './export-formats.ts';
import { ExportOutput } from './export-output.ts';
import { writeStored } from './export-stored.ts';
import type { ProgressBar } from './progress-bar.ts';
import { openRecording } from './recording.ts';
import { parseReportTime, toReportTime } from './report-times.ts';
import { formatBytes, formatCount } from './units.ts';

export async function writeTraceDatFile(path: string | undefined, flags: ExportFlags, bar: ProgressBar): Promise<string> {
  const compression = parseCompression(flags.compression);
  const cpus = parseCpus(flags.cpu);
  if ((path === undefined) === (flags.kernel === undefined))
    throw new OperationalError(
      'E_ARGS',
      'one thing is exported at a time',
      'name a recording, or with --kernel what is stored of a kernel',
    );
  const output = ExportOutput.open(flags.output);
  try {
    const said =
      path === undefined
        ? await writeStored(flags.kernel as string, flags, { cpus, compression }, output)
        : await writeFile(path, flags, { cpus, compression }, output, bar);
    await output.finish();
    return `${flags.output ?? 'standard output'}: ${formatBytes(output.sizeBytes)}, ${said}`;
  } catch (error) {
    output.discard();
    throw error;
  }
}

async function writeFile(
  path: string,
  flags: ExportFlags,
  { cpus, compression }: { cpus: ReadonlySet<number> | undefined; compression: DatCompression },
  output: ExportOutput,
  bar: ProgressBar,
): Promise<string> {
  const recording = await openRecording(path);
  try {
    const { file } = recording;
    const selection = { cpus, ...parseWindow(flags, file) };
    const totalBytes = file.streams.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    // Bytes of pages: those of a packed file are fewer, so their end is not known.
    const onPages = (bytes: number): void => bar.update(`${path}: writing pages`, bytes, file.info.compression === 'none' ? totalBytes : 0);
    const { pages, tornBytes } = writeRecording(file, output, { compression, selection, onPages });
    const problems = [...file.counts.malformed.keys()].map((problem) => `  ${problem}\n`).join('');
    const torn = tornBytes > 0 ? `; ${formatBytes(tornBytes)} at the ends of CPUs are no whole page and left out` : '';
    return `${formatCount(pages)} pages verbatim${torn}\n${problems}`;
  } finally {
    recording.close();
  }
}

function parseCompression(written: string | undefined): DatCompression {
  const found = DAT_COMPRESSIONS.find((name) => name === (written ?? 'zstd'));
  if (found !== undefined) return found;
  throw new OperationalError('E_ARGS', `--compression ${written} is not known`, `one of ${DAT_COMPRESSIONS.join(', ')}`);
}

function parseCpus(written: readonly string[]): ReadonlySet<number> | undefined {
  for (const text of written) {
    if (!/^\d{1,5}$/.test(text)) throw new OperationalError('E_ARGS', `--cpu ${text} is not the number of a CPU`, 'for example --cpu 3');
  }
  return written.length === 0 ? undefined : new Set(written.map(Number));
}

function parseWindow({ since, until }: ExportFlags, { info }: EventFile): Omit<PageSelection, 'cpus'> {
  return {
    from: since === undefined ? undefined : parseReportTime('since', since, info),
    to: until === undefined ? undefined : parseReportTime('until', until, info),
    toTime: toReportTime(info),
  };
}
