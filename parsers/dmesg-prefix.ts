/**
 * What `dmesg` puts in front of a record when it is asked for other times than the kernel's, in the forms util-linux prints:
 *
 *   kern  :info  : [    1.309382] text                          -x           readDecodedPriority
 *   |      +-- level, padded to 6
 *   +-- facility, padded to 6
 *   [    1.309382 <    0.002281>] text                          -d           readBracket
 *   [<    0.002281>] text                                       --time-format delta
 *   [Mon Nov 23 09:12:36 2026] text                             -T           local time: taken as UTC
 *   [Mon Nov 23 09:12:36 2026 <    0.002281>] text              -T -d
 *   [Nov23 09:12] text  and  [  +0.002281] text                 -e           a minute without a year, then steps
 *   2026-11-23T09:12:36,309382+00:00 text                       --time-format iso
 *
 * All rare: these read one line through a string and a regular expression.
 * Spec: util-linux sys-utils/dmesg.c (print_record).
 */
import { decodeUtf8 } from '../base/bytes.ts';
import { LEVEL_NAMES } from '../model/severity.ts';

export type DmesgTime =
  /** On the printk clock. */
  | { readonly kind: 'printk'; readonly ns: bigint; readonly end: number }
  | { readonly kind: 'unix'; readonly ns: bigint; readonly end: number }
  /** Distance from the record before. */
  | { readonly kind: 'step'; readonly ns: bigint; readonly end: number }
  /** A minute of an unknown year: Unix ns as if the year were 1972 (a leap year). */
  | { readonly kind: 'minute'; readonly ns: bigint; readonly end: number };

export interface DecodedPriority {
  readonly facility: number;
  readonly level: number;
  /** Behind the colon and space. */
  readonly end: number;
}

const FACILITIES = ['kern', 'user', 'mail', 'daemon', 'auth', 'syslog', 'lpr', 'news', 'uucp', 'cron', 'authpriv', 'ftp'] as const;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;
const LONGEST_PREFIX = 64;

const DELTA = /^\[(?: *(\d+)\.(\d{6}) )?< *(\d+)\.(\d{6})>\]/;
const STEP = /^\[ *\+(\d+)\.(\d{6})\]/;
const MINUTE = /^\[([A-Z][a-z]{2}) ?(\d{1,2}) (\d\d):(\d\d)\]/;
const CTIME = /^\[(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})(?: < *\d+\.\d{6}>)?\]/;
const ISO = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)[,.](\d{6})([+-])(\d\d):?(\d\d) /;

/** The bracketed time at `at`, in any form but the kernel's own. */
export function readBracket(bytes: Uint8Array, at: number): DmesgTime | undefined {
  const text = decodeUtf8(bytes, at, Math.min(bytes.length, at + LONGEST_PREFIX));
  let match = DELTA.exec(text);
  if (match !== null) {
    const end = at + match[0].length;
    return match[1] === undefined
      ? { kind: 'step', ns: toNs(match[3], match[4]), end }
      : { kind: 'printk', ns: toNs(match[1], match[2]), end };
  }
  match = STEP.exec(text);
  if (match !== null) return { kind: 'step', ns: toNs(match[1], match[2]), end: at + match[0].length };
  match = MINUTE.exec(text);
  if (match !== null) {
    const ns = toUnix('1972', match[1], match[2], match[3], match[4], '0');
    return ns === undefined ? undefined : { kind: 'minute', ns, end: at + match[0].length };
  }
  match = CTIME.exec(text);
  if (match === null) return undefined;
  const ns = toUnix(match[6], match[1], match[2], match[3], match[4], match[5]);
  return ns === undefined ? undefined : { kind: 'unix', ns, end: at + match[0].length };
}

/** The ISO time at `at`; its end is in front of the space. */
export function readIso(bytes: Uint8Array, at: number): DmesgTime | undefined {
  const match = ISO.exec(decodeUtf8(bytes, at, Math.min(bytes.length, at + LONGEST_PREFIX)));
  if (match === null) return undefined;
  const month = MONTHS[Number(match[2]) - 1];
  const local = toUnix(match[1], month, match[3], match[4], match[5], match[6]);
  if (local === undefined) return undefined;
  const offsetMinutes = (Number(match[9]) * 60 + Number(match[10])) * (match[8] === '-' ? -1 : 1);
  const ns = local - BigInt(offsetMinutes) * 60_000_000_000n + BigInt(match[7] as string) * 1000n;
  return { kind: 'unix', ns, end: at + match[0].length - 1 };
}

/** `kern  :info  : ` at `at`. */
export function readDecodedPriority(bytes: Uint8Array, at: number): DecodedPriority | undefined {
  const text = decodeUtf8(bytes, at, Math.min(bytes.length, at + 20));
  const match = /^([a-z]+) *:([a-z]+) *: /.exec(text);
  if (match === null) return undefined;
  const facility = (FACILITIES as readonly string[]).indexOf(match[1] as string);
  const level = (LEVEL_NAMES as readonly string[]).indexOf(match[2] as string);
  return facility < 0 || level < 0 ? undefined : { facility, level, end: at + match[0].length };
}

/** The number of a facility name as dmesg writes it, -1 for none. */
export function facilityOf(name: string): number {
  return (FACILITIES as readonly string[]).indexOf(name);
}

function toNs(seconds: string | undefined, micros: string | undefined): bigint {
  return BigInt(seconds ?? '0') * 1_000_000_000n + BigInt(micros ?? '0') * 1000n;
}

function toUnix(
  year: string | undefined,
  month: string | undefined,
  day: string | undefined,
  hour: string | undefined,
  minute: string | undefined,
  second: string | undefined,
): bigint | undefined {
  const monthIndex = (MONTHS as readonly (string | undefined)[]).indexOf(month);
  const ms = Date.UTC(Number(year), monthIndex, Number(day), Number(hour), Number(minute), Number(second));
  return monthIndex < 0 || Number.isNaN(ms) ? undefined : BigInt(ms) * 1_000_000n;
}
