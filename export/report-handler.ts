/** What plugins are given and what they are: a function that prints a record, and readers of its fields. */
import type { EventRecord, Arithmetic } from './print-fmt-numbers.ts';
import { readField } from './print-fmt-numbers.ts';
import type { Kallsyms } from './kallsyms.ts';
import type { PageCursor } from './page-cursor.ts';
import type { TaskNames } from './report-tasks.ts';
import type { TextOut } from './text-out.ts';

/** What handlers look up, and what they leave for each other. */
export interface ReportTools {
  readonly symbols: Kallsyms;
  readonly longBytes: 4 | 8;
  /** Scheduler events add those that are missing. */
  readonly names: TaskNames;
  /** Says that what is printed depends on records before it. */
  readonly notePast: () => void;
}

/** Prints a record; true = its format is printed behind. */
export type ReportHandler = (place: RecordPlace, out: TextOut) => boolean;

/** A record with its CPU, whose source it is, and the time it has in the report. */
export type RecordPlace = Pick<PageCursor, 'record' | 'source' | 'cpu' | 'low' | 'high'>;

/** 64 bits of a field, unsigned: the low word, and `high` of the record. */
export type FieldReader = (record: EventRecord) => number;

export function fieldReader(name: string, of: Arithmetic): FieldReader | undefined {
  return readField(name, of);
}
