/** Flags of a record's head, `common_flags`. Kernel: include/linux/trace_events.h (enum trace_flag_type). */
export const FLAG = {
  irqsOff: 0x01,
  /** The architecture does not tell. */
  irqsUnknown: 0x02,
  needResched: 0x04,
  hardirq: 0x08,
  softirq: 0x10,
} as const;
