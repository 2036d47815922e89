/**
 * A kernel report as one log record: EventName `kernel.<kind>`, `exception.*` for any backend, columns and attributes to
 * filter by, and all that was read as one structured attribute. Its body is one line; the kernel's own lines stay where they are.
 */
import { crc32 } from 'node:zlib';
import { ATTR } from '../model/attributes.ts';
import { toReportEvent, type KernelReport } from '../model/kernel-report.ts';
import { LogBatch } from '../model/log-batch.ts';
import { NO_RAW_TIME } from '../model/time.ts';
import { formatStacks, parseReport, titleOf } from './parse-report.ts';
import type { RecognisedReport } from './recognise-reports.ts';
import { formatFrame } from './report-frames.ts';

/** Where the lines of a report lie. */
export interface ReportSource {
  readonly stream: string;
  /** Numbers of its first and last line in the stream. */
  readonly firstSequence: number;
  readonly lastSequence: number;
}

/** The same for a report however often and over whichever way it comes: its first line, by stamp (in whole µs) or number. */
export function toReportKey({ first, lines }: RecognisedReport, { stream, firstSequence }: ReportSource): string {
  const text = crc32(lines[0]?.text ?? '')
    .toString(16)
    .padStart(8, '0');
  return first.rawNs === NO_RAW_TIME ? `${stream}#${firstSequence}-${text}` : `${first.rawNs / 1000n}-${text}`;
}

/** Records of reports that were found in one stream whose rows are numbered. */
export function toReportRows(found: readonly RecognisedReport[], stream: string): LogBatch {
  const batch = new LogBatch(Math.max(1, found.length));
  for (const one of found) addReport(batch, one, { stream, firstSequence: one.first.sequence, lastSequence: one.last.sequence });
  return batch;
}

/** Adds the record to a batch of reports. The time is that of the first line. */
export function addReport(batch: LogBatch, found: RecognisedReport, source: ReportSource): void {
  const report = parseReport(found);
  addAttributes(batch, found, report, source);
  const row = batch.addText(titleOf(report), report.level);
  batch.eventName[row] = batch.strings.internString(toReportEvent(report.kind));
  batch.rawTime.setBigint(row, found.first.rawNs);
  batch.unixTime.setBigint(row, found.first.unixNs);
  batch.observedTime.setBigint(row, found.last.unixNs);
  batch.sequence[row] = source.firstSequence;
  batch.cpu[row] = report.cpu ?? -1;
  batch.pid[row] = report.pid ?? -1;
}

function addAttributes({ attributes, strings }: LogBatch, found: RecognisedReport, report: KernelReport, source: ReportSource): void {
  const add = (name: string, value: string | number | undefined): void => {
    if (value !== undefined && value !== '') attributes.add(name, value);
  };
  add(ATTR.exceptionType, report.type);
  add(ATTR.exceptionMessage, report.message);
  add(ATTR.exceptionStacktrace, formatStacks(report));
  add(ATTR.codeFunction, report.at?.symbol);
  add(ATTR.codeFile, report.file);
  add(ATTR.codeLine, report.line);
  add(ATTR.threadName, report.comm);
  add(ATTR.reportKind, report.kind);
  add(ATTR.reportKey, toReportKey(found, source));
  add(ATTR.reportAt, report.at === undefined ? undefined : formatFrame(report.at));
  add(ATTR.reportModule, report.at?.module);
  add(ATTR.reportTaint, report.taint);
  add(ATTR.reportIncomplete, report.incomplete.join('; '));
  add(ATTR.reportLines, found.lines.length);
  add(ATTR.stream, source.stream);
  add(ATTR.reportFirst, source.firstSequence);
  add(ATTR.reportLast, source.lastSequence);
  attributes.add(ATTR.reportLastTime, found.last.unixNs);
  attributes.addJson(strings.internString(ATTR.report), strings.internString(JSON.stringify(report)));
}
