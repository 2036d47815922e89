/** Moments as people write them on a command line, and as a column shows them; Unix ns in between. */
import { OperationalError } from '../base/errors.ts';
import { parseDurationMs } from './units.ts';

const NS_PER_MS = 1_000_000n;
const NS_PER_SECOND = 1_000_000_000n;

/**
 * `5m` (ago), `now`, `today`, `yesterday`, `14:05[:06]` (today), ISO 8601 (local time without a zone), `@1750000000.5` (Unix
 * seconds). Fractions keep their nanoseconds.
 */
export function parseMoment(option: string, text: string, nowMs = Date.now()): bigint {
  const agoMs = parseDurationMs(text.startsWith('-') ? text.slice(1) : text);
  if (agoMs !== undefined) return BigInt(nowMs - agoMs) * NS_PER_MS;
  if (text === 'now') return BigInt(nowMs) * NS_PER_MS;
  if (text === 'today') return BigInt(startOfDayMs(nowMs, 0)) * NS_PER_MS;
  if (text === 'yesterday') return BigInt(startOfDayMs(nowMs, -1)) * NS_PER_MS;
  const unix = /^@(\d{1,11})(?:\.(\d{1,9}))?$/.exec(text);
  if (unix !== null) return BigInt(unix[1] as string) * NS_PER_SECOND + fractionNs(unix[2]);
  const written = /^\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?$/.test(text)
    ? `${localDate(nowMs)}T${text}`
    : text.replace(/^(\d{4}-\d{2}-\d{2}) /, '$1T');
  return parseIso(written) ?? refuse(option, text);
}

function parseIso(text: string): bigint | undefined {
  const match = /^(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2}(?::\d{2})?)(?:[.,](\d{1,9}))?(Z|[+-]\d{2}:?\d{2})?)?$/.exec(text);
  if (match === null) return undefined;
  const [, date, clock, fraction, zone] = match;
  // A date alone is local midnight, where Date.parse would take it as UTC.
  const ms = Date.parse(`${date}T${clock ?? '00:00'}${zone ?? ''}`);
  return Number.isNaN(ms) ? undefined : BigInt(ms) * NS_PER_MS + fractionNs(fraction);
}

function refuse(option: string, text: string): never {
  throw new OperationalError(
    'E_ARGS',
    `--${option} ${text} is not a time`,
    'write how long ago (5m, 1h30m, 2d), a clock time (14:05), ISO 8601 (2026-05-01T14:05:06Z) or Unix seconds (@1777644306)',
  );
}

function fractionNs(digits: string | undefined): bigint {
  return digits === undefined ? 0n : BigInt(digits.padEnd(9, '0'));
}

function startOfDayMs(nowMs: number, days: number): number {
  const day = new Date(nowMs);
  return new Date(day.getFullYear(), day.getMonth(), day.getDate() + days).getTime();
}

function localDate(nowMs: number): string {
  const day = new Date(nowMs);
  return `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}`;
}

/** How a time column is written. `raw` is the record's own clock. */
export const TIME_STYLES = ['local', 'utc', 'iso', 'raw'] as const;
export type TimeStyle = (typeof TIME_STYLES)[number];

/** `05-01 14:05:06.123456`, or ISO 8601 with all nine digits. */
export function formatMoment(unixNs: bigint, style: Exclude<TimeStyle, 'raw'>): string {
  const ms = Number(unixNs / NS_PER_MS);
  const fraction = (unixNs % NS_PER_SECOND).toString().padStart(9, '0');
  const at = new Date(ms);
  if (style === 'iso') return `${at.toISOString().slice(0, 19)}.${fraction}Z`;
  const clock =
    style === 'utc'
      ? [at.getUTCMonth() + 1, at.getUTCDate(), at.getUTCHours(), at.getUTCMinutes(), at.getUTCSeconds()]
      : [at.getMonth() + 1, at.getDate(), at.getHours(), at.getMinutes(), at.getSeconds()];
  const [month, day, hour, minute, second] = clock.map(two);
  return `${month}-${day} ${hour}:${minute}:${second}.${fraction.slice(0, 6)}`;
}

/** A stamp in ns on a kernel's own clock, as dmesg shows it: `[   12.345678]`. */
export function formatRawNs(rawNs: bigint): string {
  if (rawNs < 0n) return '[           -]';
  const micros = (rawNs % NS_PER_SECOND) / 1000n;
  return `[${(rawNs / NS_PER_SECOND).toString().padStart(5)}.${micros.toString().padStart(6, '0')}]`;
}

function two(value: number): string {
  return value.toString().padStart(2, '0');
}
