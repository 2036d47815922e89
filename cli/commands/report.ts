import { defineCommand } from '../command.ts';
import type { FlagValues } from '../flags.ts';

const OPTIONS = {
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
} as const;

export type ReportFlags = FlagValues<typeof OPTIONS>;

export const command = defineCommand({
  name: 'report',
  usage: '[options] FILE|DIR',
  about:
    'a recording of trace-cmd (trace.dat) as text, line for line what `trace-cmd report` prints of it, instances and losses included; or, with `--as trace`, a copy of tracefs as the text that the kernel itself gives in `trace`. On a terminal, control characters of kernel text are shown and not sent.',
  options: OPTIONS,
  examples: [
    ['mkscope report trace.dat', 'all of it'],
    ['mkscope report -t -e sched -e irq --cpu 1 trace.dat', 'what the scheduler and interrupts did on CPU 1'],
    ['mkscope report --as trace ./tracing', 'a copy of tracefs, as its file `trace` shows it'],
    ['mkscope report --since 13432.82 --until 13432.83 trace.dat | less', 'ten milliseconds'],
  ],
  positionals: { least: 1, most: 1 },
  run: async (flags, [path = '']) => (await import('../print-recording.ts')).printRecording(path, flags),
});
