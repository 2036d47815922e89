import { OperationalError } from '../../base/errors.ts';
import { defineCommand } from '../command.ts';
import { EXPORT_FORMATS } from '../export-formats.ts';
import { ProgressBar } from '../progress-bar.ts';

export const command = defineCommand({
  name: 'export',
  usage: '[options] FILE',
  about:
    'write a recording in the form of another tool. trace.dat: version 7, which `trace-cmd report` and KernelShark read, from a recording of either version, its pages verbatim.',
  options: {
    format: { type: 'string', short: 'f', value: 'NAME', help: `what to write: ${Object.keys(EXPORT_FORMATS).join(', ')}` },
    output: { type: 'string', short: 'o', value: 'FILE', help: 'where to (default: standard output, where that is no terminal)' },
    cpu: { type: 'string', multiple: true, value: 'N', help: 'only this CPU (repeatable)' },
    since: { type: 'string', value: 'TIME', help: 'from this time of the trace clock on, as `trace-cmd report` prints it: 12816.716874' },
    until: { type: 'string', value: 'TIME', help: 'up to this time of the trace clock' },
    compression: { type: 'string', value: 'NAME', help: 'none, zlib or zstd (default: zstd)' },
  },
  examples: [
    ['mkscope export --format trace.dat -o night7.dat night6.dat', 'version 6 to version 7'],
    ['mkscope export --format trace.dat --cpu 3 --since 12816.7 --until 12817 -o part.dat night.dat', 'what one CPU did in 0.3 s'],
    ['mkscope export --format trace.dat --compression none night.dat | ssh box "cat > night.dat"', 'through a pipe'],
  ],
  positionals: { least: 1, most: 1 },
  async run(flags, [path = '']) {
    if (flags.format === undefined)
      throw new OperationalError('E_ARGS', 'no format to export to', `--format ${Object.keys(EXPORT_FORMATS).join(' or --format ')}`);
    const format = EXPORT_FORMATS[flags.format];
    if (format === undefined) {
      const known = Object.keys(EXPORT_FORMATS);
      throw new OperationalError('E_ARGS', `there is no format ${flags.format} to export to`, `formats are ${known.join(', ')}`);
    }
    const bar = new ProgressBar();
    const said = await format.write(path, flags, bar);
    bar.clear();
    process.stderr.write(said);
    return 0;
  },
});
