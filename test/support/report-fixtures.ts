/** Kernel reports of test/fixtures/kernel-reports as rows, and as readable lines. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatFrame } from '../../correlate/report-frames.ts';
import { parseReport, titleOf } from '../../correlate/parse-report.ts';
import { ReportRecogniser, type RecognisedReport } from '../../correlate/recognise-reports.ts';
import { LogBatch } from '../../model/log-batch.ts';
import { sniffParsers } from '../../parsers/index.ts';

export const REPORT_FOLDER = join(import.meta.dirname, '..', 'fixtures', 'kernel-reports');

export interface ReportFixture {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export function listReportFixtures(): ReportFixture[] {
  return readdirSync(REPORT_FOLDER, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(console|kmsg)$/.test(name))
    .sort()
    .map((name) => ({ name, bytes: new Uint8Array(readFileSync(join(REPORT_FOLDER, name))) }));
}

/** Rows of a log file, numbered; times as in the file. */
export function toRows(bytes: Uint8Array): LogBatch {
  const [parser] = sniffParsers(bytes.subarray(0, 64 << 10));
  if (parser?.yields !== 'logs') throw new Error('no log parser takes it');
  const batch = new LogBatch();
  parser.open().finish(bytes, batch);
  for (let row = 0; row < batch.length; row++) batch.unixTime.setBigint(row, batch.rawTime.getBigint(row));
  return batch;
}

export function recognise(batch: LogBatch): RecognisedReport[] {
  const recogniser = new ReportRecogniser();
  recogniser.take(batch);
  recogniser.finish();
  return recogniser.takeReports();
}

/** All that was read of a report, for goldens: no frame, register or detail is left out. */
export function renderReport(found: RecognisedReport): string[] {
  const report = parseReport(found);
  const { stacks, at, registers, userRegisters, code, modules, incomplete, taints, decoded, ...rest } = report;
  const pairs = (values: Readonly<Record<string, string>> = {}): string =>
    Object.entries(values)
      .map(([name, value]) => `${name}=${value}`)
      .join(' ');
  const lines = [
    titleOf(report),
    `  rows ${found.first.sequence}..${found.last.sequence}, ${found.lines.length} lines, first "${found.lines[0]?.text}"`,
    `  ${JSON.stringify(rest)}`,
  ];
  if (at !== undefined) lines.push(`  at ${formatFrame(at)}`);
  if (taints !== undefined) lines.push(`  taints ${taints.map(({ letter, meaning }) => `${letter}: ${meaning}`).join('; ')}`);
  for (const line of decoded ?? []) lines.push(`  decoded ${line}`);
  for (const { title, frames } of stacks) {
    lines.push(`  stack ${title}`);
    for (const frame of frames)
      lines.push(`    ${frame.certain ? '' : '? '}${formatFrame(frame)}${frame.stack === undefined ? '' : ` <${frame.stack}>`}`);
  }
  if (code !== undefined) lines.push(`  code ${code.bytes.length} words, fault at ${code.faultAt} ${code.bytes[code.faultAt] ?? ''}`);
  if (registers !== undefined) lines.push(`  registers ${pairs(registers)}`);
  if (userRegisters !== undefined) lines.push(`  user ${pairs(userRegisters)}`);
  if (modules !== undefined) lines.push(`  modules ${modules.join(' ')}`);
  if (incomplete.length > 0) lines.push(`  incomplete: ${incomplete.join('; ')}`);
  return lines;
}
