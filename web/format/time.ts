/** Unix ns travel as decimal strings and are bigints here; a double would round them to 256 ns. */

/** Decimal text → ns; undefined for empty or malformed text. */
export function parseUnixNs(text: string | undefined): bigint | undefined {
  return text !== undefined && /^-?\d{1,19}$/.test(text) ? BigInt(text) : undefined;
}

/** Orders two decimal strings of non-negative integers without a bigint each. */
export function compareDecimal(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

const NS_PER_MS = 1_000_000n;

export function toUnixMs(unixNs: bigint): number {
  return Number(unixNs / NS_PER_MS);
}

/** Local `HH:MM:SS` with `digits` (0 … 9) of the second after the point. */
export function formatWall(unixNs: bigint, digits: number): string {
  const date = new Date(toUnixMs(unixNs));
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return digits === 0 ? clock : `${clock}.${fraction(unixNs, digits)}`;
}

/** Local `YYYY-MM-DD`. */
export function formatDay(unixNs: bigint): string {
  const date = new Date(toUnixMs(unixNs));
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

export function formatDateTime(unixNs: bigint, digits = 3): string {
  return `${formatDay(unixNs)} ${formatWall(unixNs, digits)}`;
}

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}

function fraction(unixNs: bigint, digits: number): string {
  const ns = ((unixNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return ns.toString().padStart(9, '0').slice(0, digits);
}

const CYCLE_CLOCKS: ReadonlySet<string> = new Set(['x86-tsc', 'counter', 'uptime']);

/** A record's own stamp as the kernel prints it: seconds for the clocks in ns, the bare count for the others. */
export function formatRaw(raw: string, clock: string): string {
  if (!/^\d+$/.test(raw)) return 'no stamp';
  if (CYCLE_CLOCKS.has(clock)) return raw;
  const padded = raw.padStart(10, '0');
  return `${padded.slice(0, -9)}.${padded.slice(-9, -3)}`;
}

const DURATION_UNITS = [
  { ns: 86_400e9, name: 'd' },
  { ns: 3_600e9, name: 'h' },
  { ns: 60e9, name: 'min' },
  { ns: 1e9, name: 's' },
  { ns: 1e6, name: 'ms' },
  { ns: 1e3, name: 'µs' },
  { ns: 1, name: 'ns' },
] as const;

/** Three significant digits in the largest unit that fits: `1.23 ms`. */
export function formatDuration(ns: number): string {
  if (!Number.isFinite(ns)) return '–';
  const size = Math.abs(ns);
  if (size === 0) return '0';
  const unit = DURATION_UNITS.find((candidate) => size >= candidate.ns * 0.9995) ?? DURATION_UNITS[DURATION_UNITS.length - 1];
  const value = ns / (unit?.ns ?? 1);
  return `${trimZeros(value, unit?.ns === 1 ? 0 : 3)} ${unit?.name ?? 'ns'}`;
}

function trimZeros(value: number, significant: number): string {
  const whole = Math.trunc(Math.abs(value)).toString().length;
  const fixed = value.toFixed(Math.max(0, significant - whole));
  return fixed.includes('.') ? fixed.replace(/\.?0+$/, '') : fixed;
}

/** Two units at most: `3 d 4 h`, `12 min 5 s`. */
export function formatUptime(seconds: number): string {
  if (seconds < 0) return 'unknown';
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

/** How long ago, from `nowMs`. */
export function formatAge(unixNs: bigint, nowMs: number): string {
  const seconds = (nowMs - toUnixMs(unixNs)) / 1000;
  if (seconds < 1.5) return 'now';
  return `${formatUptime(seconds)} ago`;
}

export function formatClockError(errorNs: number): string {
  return errorNs < 0 ? '± unknown' : errorNs === 0 ? '± 0' : `± ${formatDuration(errorNs)}`;
}

const RANGE_UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** `15m`, `1h`, … → seconds. */
export function parseSpan(text: string): number | undefined {
  const match = /^(\d{1,5})([smhd])$/.exec(text);
  const unit = match?.[2] === undefined ? undefined : RANGE_UNITS[match[2]];
  return match?.[1] === undefined || unit === undefined ? undefined : Number(match[1]) * unit;
}
