/** Days as ClickHouse's toDate() counts them: of a time zone, which has midnights of its own. */
import type { DayOf } from './event-part.ts';

const NS_PER_MS = 1_000_000n;
const MS_PER_DAY = 86_400_000;

/** `timeZone` as the time zone database names it. */
export function daysOf(timeZone: string): DayOf {
  const parts = new Intl.DateTimeFormat('en-CA', { timeZone, year: 'numeric', month: '2-digit', day: '2-digit' });
  return (unixNs) => {
    // Divided towards zero: the ms around 1970 come out as 0, which is the same day.
    const texts = new Map(parts.formatToParts(Number(unixNs / NS_PER_MS)).map(({ type, value }) => [type, value]));
    const [year = '', month = '', day = ''] = ['year', 'month', 'day'].map((type) => texts.get(type as Intl.DateTimeFormatPartTypes));
    return { number: Date.UTC(Number(year), Number(month) - 1, Number(day)) / MS_PER_DAY, name: `${year}${month}${day}` };
  };
}
