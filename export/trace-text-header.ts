/**
 * The head of the kernel's text, by tracer and options:
 *
 *   # tracer: nop
 *   #
 *   # entries-in-buffer/entries-written: 57/57   #P:2        both from the buffer's own counters; #P: CPUs that are online
 *   #
 *   #                                _-----=> irqs-off/BH-disabled        a picture of the columns, by record-tgid and irq-info
 *   …
 *
 * The latency format names the kernel, its preemption, and the task whose latency it was; the function graph its columns.
 * blk has columns only for its classic lines.
 * Kernel: kernel/trace/trace.c (trace_default_header, print_trace_header), trace_functions_graph.c, trace_osnoise.c.
 */
import { CLASSIC_COLUMNS } from './trace-text-blk.ts';
import type { GraphFlags } from './trace-text-graph.ts';
import type { TraceSettings } from '../parsers/tracefs-settings.ts';
import type { TextOut } from './text-out.ts';

export interface BufferCounts {
  readonly entries: number;
  readonly overrun: number;
}

export function putTraceHeader(out: TextOut, settings: TraceSettings, counts: BufferCounts, graph: GraphFlags | undefined): void {
  out.putText(`# tracer: ${settings.tracer}\n#\n`);
  const { options } = settings;
  if (settings.tracer === 'blk') {
    if (options.get('blk_classic') === true) out.putText(CLASSIC_COLUMNS);
    return;
  }
  if (options.get('context-info') === false && !/^(?:osnoise|timerlat)$/.test(settings.tracer)) return;
  const isLatency = options.get('latency-format') === true;
  if (graph !== undefined) {
    if (isLatency && counts.entries === 0) return;
    if (isLatency) putLatencyHeader(out, settings, counts);
    putGraphColumns(out, graph, isLatency);
  } else if (settings.tracer === 'osnoise') putOsnoiseColumns(out, settings.isRealtime);
  else if (settings.tracer === 'timerlat') putTimerlatColumns(out, settings.isRealtime);
  else if (isLatency) {
    if (counts.entries === 0) return;
    putLatencyHeader(out, settings, counts);
    if (options.get('verbose') !== true) putLatencyColumns(out);
  } else if (options.get('verbose') !== true) putColumns(out, settings, counts);
}

function putColumns(out: TextOut, settings: TraceSettings, { entries, overrun }: BufferCounts): void {
  const withTgid = settings.options.get('record-tgid') === true;
  out.putText(`# entries-in-buffer/entries-written: ${entries}/${entries + overrun}   #P:${settings.onlineCpus}\n#\n`);
  if (settings.options.get('irq-info') === false) {
    out.putText(`#           TASK-PID    ${withTgid ? '   TGID   ' : ''} CPU#     TIMESTAMP  FUNCTION\n`);
    out.putText(`#              | |      ${withTgid ? '     |    ' : ''}   |         |         |\n`);
    return;
  }
  const gap = ' '.repeat(withTgid ? 12 : 2);
  const indent = `#                            ${gap}`;
  out.putText(`${indent}  _-----=> irqs-off/BH-disabled\n`);
  out.putText(`${indent} / _----=> need-resched\n`);
  out.putText(`${indent}| / _---=> hardirq/softirq\n`);
  out.putText(`${indent}|| / _--=> preempt-depth\n`);
  out.putText(`${indent}||| / _-=> migrate-disable\n`);
  out.putText(`${indent}|||| /     delay\n`);
  out.putText(`#           TASK-PID  ${withTgid ? '     TGID   ' : gap} CPU#  |||||  TIMESTAMP  FUNCTION\n`);
  out.putText(`#              | |    ${withTgid ? '       |    ' : gap}   |   |||||     |         |\n`);
}

function putLatencyHeader(out: TextOut, settings: TraceSettings, { entries, overrun }: BufferCounts): void {
  const { kept } = settings;
  out.putText(`# ${settings.tracer} latency trace v1.1.5 on ${settings.release}\n`);
  out.putText(`# ${'-'.repeat(68)}\n`);
  out.putText(`# latency: ${kept.latencyUs} us, #${entries}/${entries + overrun}, CPU#${kept.cpu} |`);
  out.putText(` (M:${kept.preemption ?? settings.preemption} VP:0, KP:0, SP:0 HP:0 #P:${settings.onlineCpus})\n`);
  out.putText('#    -----------------\n');
  out.putText(`#    | task: ${kept.task}\n`);
  out.putText('#    -----------------\n');
  out.putText(kept.critical);
  out.putText('#\n');
}

function putLatencyColumns(out: TextOut): void {
  out.putText('#                    _------=> CPU#            \n');
  out.putText('#                   / _-----=> irqs-off/BH-disabled\n');
  out.putText('#                  | / _----=> need-resched    \n');
  out.putText('#                  || / _---=> hardirq/softirq \n');
  out.putText('#                  ||| / _--=> preempt-depth   \n');
  out.putText('#                  |||| / _-=> migrate-disable \n');
  out.putText('#                  ||||| /     delay           \n');
  out.putText('#  cmd     pid     |||||| time  |   caller     \n');
  out.putText('#     \\   /        ||||||  \\    |    /       \n');
}

function putGraphColumns(out: TextOut, flags: GraphFlags, isLatency: boolean): void {
  const { time, relative, cpu, task, duration } = flags;
  if (isLatency) {
    const indent = `#${' '.repeat((time ? 16 : 0) + (relative ? 16 : 0) + (cpu ? 4 : 0) + (task ? 17 : 0))}`;
    out.putText(`${indent}  _-----=> irqs-off        \n`);
    out.putText(`${indent} / _----=> need-resched    \n`);
    out.putText(`${indent}| / _---=> hardirq/softirq \n`);
    out.putText(`${indent}|| / _--=> preempt-depth   \n`);
    out.putText(`${indent}||| /                      \n`);
  }
  const latency = isLatency ? '||||   ' : '';
  out.putText(`#${time ? '     TIME       ' : ''}${relative ? '   REL TIME     ' : ''}${cpu ? ' CPU' : ''}`);
  out.putText(`${task ? '  TASK/PID       ' : ''}${latency}${duration ? '  DURATION   ' : ''}               FUNCTION CALLS\n`);
  out.putText(`#${time ? '      |         ' : ''}${relative ? '      |         ' : ''}${cpu ? ' |  ' : ''}`);
  out.putText(`${task ? '   |    |        ' : ''}${latency}${duration ? '   |   |      ' : ''}               |   |   |   |\n`);
}

function putOsnoiseColumns(out: TextOut, isRealtime: boolean): void {
  putNoiseFlags(out, isRealtime);
  const flags = '|'.repeat(isRealtime ? 7 : 5);
  if (isRealtime) {
    out.putText(`#${' '.repeat(30)}|||||| /${' '.repeat(47)}MAX\n`);
    out.putText(`#${' '.repeat(30)}||||| /${' '.repeat(45)}SINGLE      Interference counters:\n`);
  } else {
    out.putText(`#${' '.repeat(30)}||| / _-=> migrate-disable${' '.repeat(25)}MAX\n`);
    out.putText(`#${' '.repeat(30)}|||| /     delay${' '.repeat(35)}SINGLE      Interference counters:\n`);
  }
  out.putText(`#${' '.repeat(30)}${flags}               RUNTIME      NOISE  %% OF CPU  NOISE    +-----------------------------+\n`);
  out.putText(
    `#           TASK-PID      CPU# ${flags}   TIMESTAMP    IN US       IN US  AVAILABLE  IN US     HW    NMI    IRQ   SIRQ THREAD\n`,
  );
  out.putText(
    `#              | |         |   ${flags}      |           |             |    |            |      |      |      |      |      |\n`,
  );
}

function putTimerlatColumns(out: TextOut, isRealtime: boolean): void {
  putNoiseFlags(out, isRealtime);
  if (isRealtime) {
    out.putText(`#${' '.repeat(30)}|||||| /\n#${' '.repeat(30)}|||||||             ACTIVATION\n`);
    out.putText('#           TASK-PID      CPU# |||||||   TIMESTAMP    ID            CONTEXT                LATENCY\n');
    out.putText('#              | |         |   |||||||      |         |                  |                       |\n');
    return;
  }
  out.putText(`#${' '.repeat(30)}||| / _-=> migrate-disable\n#${' '.repeat(30)}|||| /     delay\n`);
  out.putText(`#${' '.repeat(30)}|||||            ACTIVATION\n`);
  out.putText('#           TASK-PID      CPU# |||||   TIMESTAMP   ID            CONTEXT                 LATENCY\n');
  out.putText('#              | |         |   |||||      |         |                  |                       |\n');
}

/** PREEMPT_RT names two columns more than it prints. */
function putNoiseFlags(out: TextOut, isRealtime: boolean): void {
  const names = isRealtime
    ? ['irqs-off', 'need-resched', 'need-resched-lazy', 'hardirq/softirq', 'preempt-depth', 'preempt-lazy-depth', 'migrate-disable']
    : ['irqs-off', 'need-resched', 'hardirq/softirq', 'preempt-depth'];
  const dashes = isRealtime ? 7 : 5;
  for (const [i, name] of names.entries()) {
    const head = i === 0 ? '  ' : `${'|'.repeat(i - 1)} ${i === 0 ? '' : '/ '}`;
    out.putText(`#${' '.repeat(30)}${i === 0 ? head : head.padEnd(i + 2)}_${'-'.repeat(dashes - i)}=> ${name}\n`);
  }
}
