/**
 * The wall clocks in front of log lines, in the forms of syslog daemons, of journalctl, and of what stamps a serial console:
 *
 *   Nov 26 14:28:28 · Nov 26 14:28:28.672542           rsyslog, syslog-ng, busybox; journalctl -o short, short-precise; ts
 *   2026-11-26T14:28:28.672542+00:00                   rsyslog 8, RFC 5424; journalctl -o short-iso, short-iso-precise
 *   2026-11-26 14:28:28.672                            templates, minicom, tio
 *   Thu 2026-11-26 14:28:28 UTC                        journalctl -o short-full, with-unit, verbose
 *   Thu Nov 26 14:28:28 2026                           conserver
 *   1795703308.672542                                  journalctl -o short-unix; ts %.s
 *   14:28:28.672                                       tio, ts -s: no day, so no time
 *
 * A time without a zone is taken as UTC. One without a year is of the last such day before the input was written.
 * Abbreviations of zones are those of ZONES; others are taken as UTC.
 */
const MONTHS = 'JanFebMarAprMayJunJulAugSepOctNovDec';
/** Hours east of UTC. Letters that several zones share stand for the one that most machines are in. */
const ZONES: Readonly<Record<string, number>> = {
  WEST: 1,
  BST: 1,
  CET: 1,
  CEST: 2,
  EET: 2,
  EEST: 3,
  MSK: 3,
  IST: 5.5,
  JST: 9,
  KST: 9,
  AEST: 10,
  AEDT: 11,
  NZST: 12,
  NZDT: 13,
  EST: -5,
  EDT: -4,
  CST: -6,
  CDT: -5,
  MST: -7,
  MDT: -6,
  PST: -8,
  PDT: -7,
};
const MINUTE_US = 60e6;
const SECOND_US = 1e6;
const DAY_US = 86_400e6;
/** Of an input that does not say when it was written: a leap year, as `dmesg -e` has it here. */
const YEAR_UNKNOWN = 1972;

const TRADITIONAL = /([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?= |\]|$)/y;
const ISO = /(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)?(?= |\]|$)/y;
const FULL = /[A-Z][a-z]{2} (\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))? ([A-Z][A-Za-z]{1,4}|[+-]\d\d(?:\d\d)?)(?= |$)/y;
const CTIME = /[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{4})(?= |\]|$)/y;
const UNIX = /(\d{9,10})\.(\d{1,9})(?= |\]|$)/y;
const OF_DAY = /\d\d:\d\d:\d\d(?:\.\d{1,6})?(?= |\]|$)/y;

export class WallTime {
  /** Unix µs; undefined where the text tells no day. */
  micros: number | undefined;
  /** What its last digit is worth, µs. */
  stepMicros = SECOND_US;
  /** The text says which zone it is in. */
  isZoned = false;
  /** Behind it in the text. */
  end = 0;
  /** From its beginning to its `14:28:28`; -1 where none stands in it. */
  clockAt = -1;
  readonly #writtenMicros: number | undefined;
  #form = 0;
  // Days repeat from line to line: the last one, and its first µs.
  #day = '';
  #dayMicros = 0;

  /** `writtenUnixNs`: when the input was written at last. */
  constructor(writtenUnixNs?: bigint) {
    this.#writtenMicros = writtenUnixNs === undefined ? undefined : Number(writtenUnixNs / 1000n);
  }

  /** Reads the time at `at`; false where there is none. The form of the line before is tried first. */
  read(text: string, at: number): boolean {
    if (this.#readForm(this.#form, text, at)) return true;
    for (let form = 0; form < FORMS; form++) {
      if (form === this.#form || !this.#readForm(form, text, at)) continue;
      this.#form = form;
      return true;
    }
    return false;
  }

  #readForm(form: number, text: string, at: number): boolean {
    const pattern = PATTERNS[form] as RegExp;
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match === null) return false;
    this.end = pattern.lastIndex;
    this.clockAt = CLOCK_AT[form] as number;
    this.isZoned = pattern === UNIX || (pattern !== TRADITIONAL && pattern !== CTIME && match[8] !== undefined);
    const groups = match as unknown as string[];
    if (pattern === OF_DAY) {
      this.micros = undefined;
      return true;
    }
    if (pattern === UNIX) {
      this.#setFraction(groups[2]);
      this.micros = Number(groups[1]) * SECOND_US + this.#fraction;
      return true;
    }
    if (pattern === TRADITIONAL) return this.#set(this.#startOfDay(groups[1], groups[2], undefined), groups, 3, 0);
    if (pattern === CTIME) return this.#set(this.#startOfDay(groups[1], groups[2], groups[6]), [...groups.slice(0, 6), ''], 3, 0);
    const day = Date.UTC(Number(groups[1]), Number(groups[2]) - 1, Number(groups[3])) * 1000;
    return this.#set(day, groups, 4, zoneMinutes(groups[8]));
  }

  #fraction = 0;

  #setFraction(digits: string | undefined): void {
    const length = digits === undefined ? 0 : Math.min(digits.length, 6);
    this.stepMicros = 10 ** (6 - length);
    this.#fraction = length === 0 ? 0 : Number((digits as string).slice(0, 6)) * this.stepMicros;
  }

  /** Hours, minutes, seconds and their fraction are `groups` from `first` on. */
  #set(dayMicros: number, groups: readonly (string | undefined)[], first: number, zone: number): boolean {
    const [hours, minutes, seconds] = [Number(groups[first]), Number(groups[first + 1]), Number(groups[first + 2])];
    this.#setFraction(groups[first + 3] === '' ? undefined : groups[first + 3]);
    if (Number.isNaN(dayMicros) || hours > 23 || minutes > 59 || seconds > 60) return false;
    this.micros = dayMicros + (hours * 60 + minutes - zone) * MINUTE_US + seconds * SECOND_US + this.#fraction;
    return true;
  }

  #startOfDay(month: string | undefined, day: string | undefined, year: string | undefined): number {
    const key = `${month}${day}${year}`;
    if (key === this.#day) return this.#dayMicros;
    const index = MONTHS.indexOf(month as string) / 3;
    if (!Number.isInteger(index) || index < 0) return Number.NaN;
    this.#dayMicros = year === undefined ? this.#lastSuchDay(index, Number(day)) : Date.UTC(Number(year), index, Number(day)) * 1000;
    this.#day = key;
    return this.#dayMicros;
  }

  #lastSuchDay(month: number, day: number): number {
    if (this.#writtenMicros === undefined) return Date.UTC(YEAR_UNKNOWN, month, day) * 1000;
    // Local time may be ahead of UTC by less than a day.
    const latest = this.#writtenMicros + DAY_US;
    const year = new Date(latest / 1000).getUTCFullYear();
    for (let back = 0; back < 9; back++) {
      const start = new Date(Date.UTC(year - back, month, day));
      if (start.getUTCDate() === day && start.getTime() * 1000 <= latest) return start.getTime() * 1000;
    }
    return Number.NaN;
  }
}

const PATTERNS: readonly RegExp[] = [TRADITIONAL, ISO, FULL, CTIME, UNIX, OF_DAY];
const FORMS = PATTERNS.length;
/** Of each pattern. */
const CLOCK_AT: readonly number[] = [7, 11, 15, 11, -1, -1];

function zoneMinutes(zone: string | undefined): number {
  if (zone === undefined || zone === 'Z') return 0;
  const sign = zone.startsWith('-') ? -1 : zone.startsWith('+') ? 1 : 0;
  if (sign === 0) return (ZONES[zone] ?? 0) * 60;
  const digits = zone.slice(1).replace(':', '');
  return sign * (Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2) || 0));
}
