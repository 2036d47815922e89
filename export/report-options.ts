/** What a report is asked for, and what is to be known of a recording to make one. */
import type { EventFileInfo } from '../model/event-file.ts';
import type { FormatSet } from '../model/segment.ts';
import type { TimeConversion } from './moment.ts';

export interface ReportOptions {
  /** -l: flags of each event, short task names. */
  readonly latency: boolean;
  /** -R: fields as they are. */
  readonly raw: boolean;
  /** -t: all nine digits. */
  readonly nanoseconds: boolean;
  /** --ts-diff: time since the line before. */
  readonly timeDifference: boolean;
  /** Which records are printed; undefined = all. */
  readonly filter: ReportFilter | undefined;
  /** From raw times of a CPU to those shown. */
  readonly convert: TimeConversion | undefined;
}

/** What does not depend on the recording. */
export type FixedOptions = Omit<ReportOptions, 'filter' | 'convert'>;

export interface ReportFilter {
  readonly cpus: ReadonlySet<number> | undefined;
  readonly pids: ReadonlySet<number> | undefined;
  /** By event; undefined = all. */
  readonly events: ((system: string, event: string) => boolean) | undefined;
  /** Times shown, in ns or ticks of the clock, both included. */
  readonly since: bigint | undefined;
  readonly until: bigint | undefined;
}

/** What is to be known of a recording to print its records. */
export interface ReportSource {
  readonly info: Pick<EventFileInfo, 'clock' | 'tscToNs' | 'comms' | 'readKallsyms'>;
  readonly formats: Omit<FormatSet, 'events'> & { readonly events: readonly NamedFormat[] };
}

export interface NamedFormat {
  readonly system: string;
  readonly format: string;
  /** That of its records, where it was read from the format before. */
  readonly id?: number;
}

/** Clocks whose times trace-cmd shows in seconds, be they or not; those of the others are the bare number. */
const SECONDS_CLOCK = /^(?:local|global|uptime|perf|tai|mono.*)$/;

/** Are times shown in seconds, and not as the bare number that the clock counts? */
export function showsSeconds({ clock, tscToNs }: Pick<EventFileInfo, 'clock' | 'tscToNs'>): boolean {
  return SECONDS_CLOCK.test(clock) || tscToNs !== undefined;
}

/** Do lines take something from those before them, other than names? Then one thread prints all of them. */
export function isSequential({ filter, timeDifference }: Pick<ReportOptions, 'filter' | 'timeDifference'>): boolean {
  return filter !== undefined || timeDifference;
}
