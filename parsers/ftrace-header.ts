/**
 * The comment block in front of ftrace text. The picture's arrows name the flag columns, left to right, since their number and
 * order differ between kernels:
 *
 *   # tracer: nop
 *   #
 *   # entries-in-buffer/entries-written: 369/11568   #P:2      <- the difference was overwritten before it was read
 *   #
 *   #                                _-----=> irqs-off/BH-disabled
 *   #                               / _----=> need-resched     (newer kernels add a legend behind the name)
 *   #                              | / _---=> hardirq/softirq
 *   #                              || / _--=> preempt-depth
 *   #                              ||| / _-=> migrate-disable
 *   #                              |||| /     delay
 *   #           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
 */
import { FLAG_COLUMN } from './ftrace-prefix.ts';

const ARROW = /^#[ |/]*_-*=> ([a-zA-Z/-]+)/;
const ENTRIES = /^# entries-in-buffer\/entries-written: (\d{1,15})\/(\d{1,15})/;
const TRACER = /^# tracer: (\S+)/;

const COLUMN_OF: Readonly<Record<string, number>> = {
  'irqs-off': FLAG_COLUMN.irqs,
  'irqs-off/BH-disabled': FLAG_COLUMN.irqs,
  'need-resched': FLAG_COLUMN.reschedule,
  'need-resched-lazy': FLAG_COLUMN.rescheduleLazy,
  'hardirq/softirq': FLAG_COLUMN.context,
  'preempt-depth': FLAG_COLUMN.preempt,
  'migrate-disable': FLAG_COLUMN.migrate,
};

export class FtraceHeader {
  columns: number[] = [];

  /** Takes one comment line; returns the events lost before the input was read, 0 for every other line. */
  take(line: string): number {
    if (TRACER.test(line)) this.columns = [];
    const arrow = ARROW.exec(line);
    if (arrow !== null) this.columns.push(COLUMN_OF[arrow[1] as string] ?? FLAG_COLUMN.other);
    const entries = ENTRIES.exec(line);
    return entries === null ? 0 : Math.max(0, Number(entries[2]) - Number(entries[1]));
  }
}
