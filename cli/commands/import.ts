import { defineCommand } from '../command.ts';
import { CONFIG_FLAG } from '../config-flags.ts';
import { HUB_FLAGS } from '../hub-flags.ts';
import type { FlagValues } from '../flags.ts';

const OPTIONS = {
  kernel: {
    type: 'string',
    short: 'k',
    multiple: true,
    value: 'NAME[:ID]=FILE',
    help: 'the file of this kernel (repeatable); "host" is kernel 0',
  },
  machine: { type: 'string', value: 'NAME', help: 'machine that the kernels belong to (default: imported)' },
  format: { type: 'string', value: 'ID', help: 'kmsg, console, ftrace_text, trace_dat … (default: recognised by content)' },
  'time-zero': { type: 'string', value: 'TIME', help: 'when the clock of the file stood at 0, for logs that do not tell' },
  json: { type: 'boolean', help: 'one JSON object per file' },
  ...CONFIG_FLAG,
  ...HUB_FLAGS,
} as const;

export type ImportFlags = FlagValues<typeof OPTIONS>;

export const command = defineCommand({
  name: 'import',
  usage: '[options] FILE|DIR…',
  about:
    'load recorded files: dmesg and console text, kmsg dumps, syslog files, what journalctl prints, netconsole, ftrace text and histograms, systrace, trace.dat of trace-cmd (of a host and its guests in any order), a copy of tracefs, crash records of a pstore (its folder or files), vmcore-dmesg.txt, and the folder of a session that `mkscope lab record` wrote. Files packed with gzip, zstd, xz, bzip2 or lz4 are unpacked. Text in UTF-16 is read, and a trace or log out of a mail, where each line has `> ` or blanks in front of it. Several files are several kernels of one machine; logs of a Multikernel machine say themselves which, and a log that was rotated (kern.log, kern.log.1, kern.log.2.gz) is one. Goes to the running hub, or with --data straight into a folder that no hub holds. A file that is imported again stores nothing twice.',
  options: OPTIONS,
  examples: [
    ['mkscope import dmesg.txt', 'one log'],
    ['mkscope import --machine rack7 *.log', 'the host and the spawned kernels of a Multikernel machine, in any order'],
    ['mkscope import --machine rack7 --kernel host=host.log --kernel spawn1=s1.log', 'three kernels on one timeline'],
    ['mkscope import --machine rack7 --kernel host=trace.dat --kernel web=trace-web.dat', 'a host and its guest, recorded by trace-cmd'],
    ['dmesg --raw | mkscope import --kernel host=-', 'from standard input'],
    ['mkscope import --machine rack7 /sys/fs/pstore', 'the last words of kernels that died, each boot for itself'],
    ['mkscope import ./session', 'all kernels of a recorded lab, on one timeline'],
    ['mkscope import --data ./old-incident trace.txt', 'into a folder of its own; then: mkscope hub --data ./old-incident'],
  ],
  positionals: { least: 0, most: 1000 },
  run: async (flags, paths) => (await import('../import-files.ts')).importFiles(paths, flags),
});
