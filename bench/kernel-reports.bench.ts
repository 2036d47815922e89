/** Kernel reports: what looking for them costs a log that has none, beside the parser alone, and reading one where there is. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseReport } from '../correlate/parse-report.ts';
import { ReportRecogniser } from '../correlate/recognise-reports.ts';
import { LogBatch } from '../model/log-batch.ts';
import { consoleText } from '../parsers/console.ts';
import { kmsg } from '../parsers/kmsg.ts';
import type { LogParser } from '../model/parser.ts';
import { measureRate, type Bench, type BenchResult } from './bench.ts';

const INPUT_BYTES = 1 << 20;
const ROWS = 32_768;

export const benches: Bench[] = [
  { name: 'kernel reports: rows of kmsg looked through', target: '>= 8 M rows/s', run: () => lookThrough(kmsg, 'kmsg/live.kmsg') },
  { name: 'kernel reports: console lines looked through', target: '>= 8 M rows/s', run: () => lookThrough(consoleText, 'dmesg/plain.txt') },
  { name: 'kernel reports: recognised and parsed', run: readReports },
];

function repeat(fixture: string): Uint8Array {
  const recording = readFileSync(join(import.meta.dirname, '../test/fixtures', fixture));
  return new Uint8Array(Buffer.concat(Array.from({ length: Math.ceil(INPUT_BYTES / recording.length) }, () => recording)));
}

function parse(parser: LogParser, input: Uint8Array): LogBatch {
  const batch = new LogBatch(ROWS);
  parser.open().finish(input, batch);
  return batch;
}

function lookThrough(parser: LogParser, fixture: string): BenchResult {
  const input = repeat(fixture);
  const batch = parse(parser, input);
  const recogniser = new ReportRecogniser();
  const alone = measureRate(batch.length, () => parse(parser, input), 700);
  const value = measureRate(batch.length, () => recogniser.take(batch), 700);
  return {
    value,
    unit: 'rows/s',
    detail: `the parser alone ${(alone / 1e6).toFixed(1)} M; ${((100 * alone) / value).toFixed(0)} % on top of it`,
  };
}

function readReports(): BenchResult {
  const batch = parse(consoleText, repeat('kernel-reports/6.12-cloud.console'));
  let reports = 0;
  const read = (): void => {
    const recogniser = new ReportRecogniser();
    recogniser.take(batch);
    recogniser.finish();
    reports = recogniser.takeReports().map(parseReport).length;
  };
  read();
  const value = measureRate(batch.length, read, 700);
  return {
    value,
    unit: 'rows/s',
    detail: `${((value / batch.length) * reports).toFixed(0)} reports/s, ${reports} in ${batch.length} rows`,
  };
}
