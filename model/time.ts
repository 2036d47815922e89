/**
 * Clocks as types: times of two clocks neither add nor compare. Only `clock/` converts between them.
 * All are 64-bit integers; in columns they are words (base/int64.ts), at the edges branded bigints.
 */
declare const clockBrand: unique symbol;
type ClockValue<Name extends string> = bigint & { readonly [clockBrand]: Name };

/** Nanoseconds since 1970-01-01 UTC on the machine's reference timeline. */
export type UnixNs = ClockValue<'unix'>;
/** Nanoseconds of the printk clock, which is the trace clock `perf` (`local` lacks an offset): starts near 0 at each kernel's own boot. */
export type PrintkNs = ClockValue<'printk'>;
/** Units of the trace clock that a tracefs instance runs on (ns for most, cycles for `x86-tsc`). */
export type TraceClockTicks = ClockValue<'trace'>;
/** Nanoseconds of CLOCK_MONOTONIC. */
export type MonotonicNs = ClockValue<'monotonic'>;

export const toUnixNs = (value: bigint): UnixNs => value as UnixNs;
export const toPrintkNs = (value: bigint): PrintkNs => value as PrintkNs;
export const toTraceClockTicks = (value: bigint): TraceClockTicks => value as TraceClockTicks;
export const toMonotonicNs = (value: bigint): MonotonicNs => value as MonotonicNs;

/**
 * The clocks a stored raw time can be on, by the names the kernel gives them (`trace_clock`), and `unix`; `relative` is ns since
 * a moment that the input does not tell (latency-format text counts from its first event).
 */
export const CLOCK_DOMAINS = [
  'unix',
  'printk',
  'local',
  'global',
  'counter',
  'uptime',
  'perf',
  'mono',
  'mono_raw',
  'boot',
  'tai',
  'x86-tsc',
  'relative',
] as const;
export type ClockDomain = (typeof CLOCK_DOMAINS)[number];

export function isClockDomain(name: string): name is ClockDomain {
  return (CLOCK_DOMAINS as readonly string[]).includes(name);
}

/** Counts ticks of the hardware, whose length a fit tells, and which may be one for all kernels of a machine. */
export function isCounter(clock: ClockDomain): boolean {
  return clock === 'x86-tsc';
}

/** A raw time column holds this where a record carries no stamp. */
export const NO_RAW_TIME = -1n;
