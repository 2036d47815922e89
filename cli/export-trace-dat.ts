/** `mkscope export --format trace.dat`: from a recording's pages, verbatim. */
import { statSync } from 'node:fs';

import { errnoOf, messageOf, OperationalError } from '../base/errors.ts';
import { writeRecording, type PageSelection } from '../hub/export-recording.ts';
import { FileSource } from '../hub/import-stage.ts';
import type { ByteSource, EventFile } from '../model/event-file.ts';
import { FILE_PARSERS, sniffParser } from '../parsers/index.ts';
import { DAT_COMPRESSIONS, type DatCompression } from '../parsers/trace-dat-writer.ts';
import type { ExportFlags } from './export-formats.ts';
import { ExportOutput } from './export-output.ts';
import type { ProgressBar } from './progress-bar.ts';
import { formatBytes, formatCount } from './units.ts';

const HEAD_BYTES = 64 << 10;

export async function writeTraceDatFile(path: string, flags: ExportFlags, bar: ProgressBar): Promise<string> {
  const compression = parseCompression(flags.compression);
  const source = openSource(path);
  try {
    const file = openRecording(source, path);
    const selection = parseSelection(flags, file);
    const output = ExportOutput.open(flags.output);
    try {
      const totalBytes = file.streams.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      // Bytes of pages: those of a packed file are fewer, so the bar may stand at its end for a while.
      const onPages = (bytes: number): void =>
        bar.update(`${path}: writing pages`, bytes, file.info.compression === 'none' ? totalBytes : 0);
      const { pages, tornBytes } = writeRecording(file, output, { compression, selection, onPages });
      await output.finish();
      const problems = [...file.counts.malformed.keys()].map((problem) => `  ${problem}\n`).join('');
      const torn = tornBytes > 0 ? `, ${formatBytes(tornBytes)} at the ends of CPUs are no whole page and left out` : '';
      return `${flags.output ?? 'standard output'}: ${formatCount(pages)} pages in ${formatBytes(output.sizeBytes)}${torn}\n${problems}`;
    } catch (error) {
      output.discard();
      throw error;
    }
  } finally {
    source.close();
  }
}

function parseCompression(written: string | undefined): DatCompression {
  const found = DAT_COMPRESSIONS.find((name) => name === (written ?? 'zstd'));
  if (found !== undefined) return found;
  throw new OperationalError('E_ARGS', `--compression ${written} is not known`, `one of ${DAT_COMPRESSIONS.join(', ')}`);
}

function parseSelection({ cpu, since, until }: ExportFlags, { info }: EventFile): PageSelection {
  const cpus = cpu.map((text) => {
    if (!/^\d{1,5}$/.test(text)) throw new OperationalError('E_ARGS', `--cpu ${text} is not the number of a CPU`, 'for example --cpu 3');
    return Number(text);
  });
  const isCount = ['x86-tsc', 'counter', 'uptime'].includes(info.clock);
  return {
    cpus: cpus.length === 0 ? undefined : new Set(cpus),
    fromRaw: since === undefined ? undefined : parseRawTime('since', since, isCount),
    toRaw: until === undefined ? undefined : parseRawTime('until', until, isCount),
  };
}

/** Seconds of a clock that counts ns, else its count. */
function parseRawTime(option: string, text: string, isCount: boolean): bigint {
  const match = /^(\d{1,19})(?:\.(\d{1,9}))?$/.exec(text);
  if (match === null || (isCount && match[2] !== undefined)) {
    const hint = isCount ? 'the clock of this recording counts: write a whole number' : 'write seconds of the trace clock: 12816.716874';
    throw new OperationalError('E_ARGS', `--${option} ${text} is not a time of the recording`, hint);
  }
  const whole = BigInt(match[1] as string);
  return isCount ? whole : whole * 1_000_000_000n + BigInt((match[2] ?? '').padEnd(9, '0'));
}

function openRecording(source: ByteSource, path: string): EventFile {
  const parser = sniffParser(source.read(0, HEAD_BYTES));
  if (parser?.yields === 'event_file') return parser.open(source);
  const known = FILE_PARSERS.filter(({ yields }) => yields === 'event_file').map(({ title }) => title);
  const what = parser === undefined ? 'is not recognised' : `is ${parser.title}`;
  throw new OperationalError('E_INPUT_FORMAT', `${path} ${what}, which holds no ring-buffer pages`, `give it a ${known.join(' or ')}`);
}

function openSource(path: string): FileSource {
  try {
    return new FileSource({ path, sizeBytes: statSync(path).size });
  } catch (error) {
    const reason = errnoOf(error) ?? messageOf(error);
    throw new OperationalError('E_INPUT_READ', `${path} cannot be read (${reason})`, 'check the path and its permissions', error);
  }
}
