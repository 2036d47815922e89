import { OperationalError } from '../../base/errors.ts';
import { defineCommand } from '../command.ts';
import { HUB_FLAGS } from '../hub-flags.ts';
import { EXPORT_FORMATS } from '../export-formats.ts';
import { ProgressBar } from '../progress-bar.ts';

export const command = defineCommand({
  name: 'export',
  usage: '[options] FILE|DIR|--kernel NAME',
  about:
    'write a recording in the form of another tool. trace.dat: version 7, which `trace-cmd report` and KernelShark read, from a recording of either version or a copy of tracefs (a folder), its pages verbatim, or from what is stored of a kernel, in pages made anew.',
  options: {
    format: { type: 'string', short: 'f', value: 'NAME', help: `what to write: ${Object.keys(EXPORT_FORMATS).join(', ')}` },
    output: { type: 'string', short: 'o', value: 'FILE', help: 'where to (default: standard output, where that is no terminal)' },
    cpu: { type: 'string', multiple: true, value: 'N', help: 'only this CPU (repeatable)' },
    since: {
      type: 'string',
      value: 'TIME',
      help: 'from then on: of a FILE the trace clock as `trace-cmd report` prints it (12816.716874), of a kernel 5m, 14:05, ISO 8601 …',
    },
    until: { type: 'string', value: 'TIME', help: 'up to then' },
    kernel: { type: 'string', short: 'k', value: 'NAME', help: 'the newest boot of this kernel, as it is stored' },
    data: { type: 'string', value: 'DIR', help: 'the folder of a store that no hub holds, instead of the running hub' },
    compression: { type: 'string', value: 'NAME', help: 'none, zlib or zstd (default: zstd)' },
    config: { type: 'string', value: 'PATH', help: 'configuration file, for --data' },
    ...HUB_FLAGS,
  },
  examples: [
    ['mkscope export --format trace.dat -o night7.dat night6.dat', 'version 6 to version 7'],
    ['mkscope export --format trace.dat --cpu 3 --since 12816.7 --until 12817 -o part.dat night.dat', 'what one CPU did in 0.3 s'],
    ['mkscope export --format trace.dat --kernel web --since 5m -o web.dat', 'what the hub has of a kernel'],
    ['mkscope export --format trace.dat --compression none night.dat | ssh box "cat > night.dat"', 'through a pipe'],
  ],
  positionals: { least: 0, most: 1 },
  async run(flags, [path]) {
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
