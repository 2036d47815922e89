/** Lost data is data: a gap says which stream lost how many records, when, and why. */
export interface Gap {
  /** `kmsg`, `console:<name>`, `tracefs:<instance>`, … */
  readonly stream: string;
  /** Logical CPU of a per-CPU stream, -1 for others. */
  readonly cpu: number;
  /** Window of the loss on the reference timeline, Unix ns; equal where only one side is known. */
  readonly fromUnixNs: bigint;
  readonly toUnixNs: bigint;
  /** Lost records; undefined = the kernel does not say. */
  readonly count: number | undefined;
  readonly reason: GapReason;
}

export const GAP_REASONS = {
  kmsg_overwritten: 'the kernel log ring was overwritten before the collector read it',
  kmsg_before_start: 'the kernel log ring had been overwritten before a collector first looked at it',
  kmsg_sequence: 'kernel log sequence numbers jumped',
  console_dropped: 'the console reported dropped printk messages',
  pstore_missing: 'the crash records of the kernel do not hold this part of its log',
  netconsole_missing: 'numbered records did not come: lost on the way, or kept back by the log level of the consoles',
  file_truncated: 'the file was cut before its end was read',
  ring_overrun: 'the trace ring buffer was overwritten before the collector read it',
  ring_dropped: 'the trace ring buffer was full and dropped new events',
  ring_lost: 'a trace page says that events before it were lost',
  probe_missed: 'a probe was hit while another probe ran on the same CPU, and the kernel did not trace it',
  parse_error: 'bytes that no parser could read',
  spool_full: 'the disk spool was at its bound',
  queue_full: 'a memory queue was at its bound',
  refused: 'the receiver refused the batch for good',
  collector_restart: 'the collector was not running',
  resized_or_stolen: 'another reader took the events or the buffer was reset',
} as const;
export type GapReason = keyof typeof GAP_REASONS;
