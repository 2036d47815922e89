/** Text formats to columns: recordings of test/fixtures repeated to some MB, handed over in chunks into one batch, as an import does. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EventBatch } from '../model/event-batch.ts';
import { LogBatch } from '../model/log-batch.ts';
import type { EventTextParser, LogParser, ParserSession } from '../model/parser.ts';
import { consoleText } from '../parsers/console.ts';
import { FtraceSession, ftraceText } from '../parsers/ftrace-text.ts';
import { kmsg } from '../parsers/kmsg.ts';
import { syslog } from '../parsers/syslog.ts';
import { systrace } from '../parsers/systrace.ts';
import { measureRates, type Bench, type BenchResult } from './bench.ts';

const INPUT_BYTES = 8 << 20;
const CHUNK_BYTES = 1 << 20;
const LOGS = new LogBatch();
const EVENTS = new EventBatch();
const NEWLINE = 10;
const HASH = 35;
/** The first line of `trace-cmd report`. */
const REPORT = Buffer.from('cpus=');

const withoutWasm: EventTextParser = { ...ftraceText, open: () => new FtraceSession(Number.POSITIVE_INFINITY) };

/** The peers: what one writes first, an expression per line and its groups into columns. */
const KMSG_LINE = /^(\d+),(\d+),(\d+),[-c+](?:,[^;]*)?;(.*)$/;
const CONSOLE_LINE = /^(?:<(\d+)>)?\[ *(\d+)\.(\d{6})\](?:\[ *[TC]\d+\])? ?(.*)$/;

/** Shapes of ftrace text, and the recording of each. */
const FTRACE = [
  ['sched and irq', 'nop'],
  ['raw system calls', 'trace-pipe'],
  ['system calls', 'syscalls'],
  ['thread groups', 'tgid'],
  ['without irq-info', 'no-irq-info'],
  ['option fields', 'fields'],
  ['probes', 'probes'],
  ['x86-tsc', 'clock-x86-tsc'],
  ['latency-format', 'latency'],
  ['verbose', 'latency-verbose'],
  ['option raw', 'raw'],
  ['option hex', 'hex'],
  ['context-info off', 'no-context'],
  ['stack traces', 'stack'],
  ['markers of several lines', 'markers'],
  ['function tracer', 'function'],
  ['function_graph', 'graph'],
  ['function_graph with tails', 'graph-tail'],
  ['trace-cmd report', 'report'],
  ['trace-cmd report -R', 'report-r'],
  ['trace-cmd report -l', 'report-l'],
  ['trace-cmd report -t', 'report-t'],
  ['trace-cmd report --ts-diff', 'report-ts-diff'],
  ['trace-cmd report --raw-ts', 'report-raw-ts'],
  ['trace-cmd report of function_graph', 'report-graph'],
] as const;

export const benches: Bench[] = [
  bench('kmsg records -> columns', '>= 8 M records/s', kmsg, 'kmsg/live.kmsg', KMSG_LINE),
  bench('console lines -> columns', '>= 8 M records/s', consoleText, 'dmesg/plain.txt', CONSOLE_LINE),
  bench('console lines with levels -> columns', '>= 8 M records/s', consoleText, 'dmesg/raw.txt', CONSOLE_LINE),
  bench('console lines, CRLF, torn, ANSI -> columns', '>= 4 M records/s', consoleText, 'console/spawn.txt'),
  bench('syslog lines of the kernel -> columns', undefined, syslog, 'syslog/rsyslog-traditional.log'),
  ...FTRACE.map(([shape, file]) => bench(`ftrace text, ${shape} -> columns`, '>= 4 M lines/s', ftraceText, `ftrace/${file}.txt`)),
  bench('ftrace text, sched and irq without WebAssembly', undefined, withoutWasm, 'ftrace/nop.txt'),
  bench('systrace, atrace of markers -> columns', '>= 4 M lines/s', systrace, 'systrace/atrace.txt'),
  { name: 'ftrace text, sched and irq: one regex per line (peer)', run: runPeer },
];

function bench(name: string, target: string | undefined, parser: LogParser | EventTextParser, fixture: string, peer?: RegExp): Bench {
  return { name, ...(target === undefined ? {} : { target }), run: () => run(parser, fixture, peer) };
}

function run(parser: LogParser | EventTextParser, fixture: string, peer: RegExp | undefined): BenchResult {
  const input = readLong(fixture);
  const rows = parseAll(parser, input);
  const isEvents = parser.yields === 'events';
  const records = isEvents ? countLines(input) : rows;
  const unit = isEvents ? 'lines/CPU-s' : 'records/CPU-s';
  const { byCpu, byWall } = measureRates(records, () => parseAll(parser, input));
  const detail = `${((byCpu / records) * (input.length / 1e6)).toFixed(0)} MB/CPU-s; by the clock ${(byWall / 1e6).toFixed(2)} M/s`;
  if (peer === undefined) return { value: byCpu, unit, detail };
  const peerRate = measureRates(records, () => matchAll(peer, input)).byCpu;
  const times = (byCpu / peerRate).toFixed(1);
  return { value: byCpu, unit: 'records/CPU-s', detail: `${detail}; a regex per line ${(peerRate / 1e6).toFixed(2)} M/CPU-s, ${times} x` };
}

function countLines(input: Uint8Array): number {
  let lines = 0;
  for (let at = input.indexOf(NEWLINE); at >= 0; at = input.indexOf(NEWLINE, at + 1)) lines++;
  return lines;
}

/** Lines that match; three numbers and the text of each go to columns. */
function matchAll(line: RegExp, input: Uint8Array): number {
  let rows = 0;
  const numbers = [new Float64Array(INPUT_BYTES / 16), new Float64Array(INPUT_BYTES / 16), new Float64Array(INPUT_BYTES / 16)];
  const texts: string[] = [];
  for (const text of Buffer.from(input.buffer, input.byteOffset, input.length).toString('utf8').split('\n')) {
    const match = line.exec(text);
    if (match === null) continue;
    for (let i = 0; i < numbers.length; i++) (numbers[i] as Float64Array)[rows] = Number(match[i + 1]);
    texts.push(match[4] as string);
    rows++;
  }
  return texts.length;
}

/** A long recording: the records of a short one again and again, behind its header. */
function readLong(fixture: string): Uint8Array {
  const recording = readFileSync(join(import.meta.dirname, '../test/fixtures', fixture));
  let at = 0;
  while (recording[at] === HASH || recording.subarray(at, at + REPORT.length).equals(REPORT)) at = recording.indexOf(NEWLINE, at) + 1;
  const records = recording.subarray(at);
  const copies = Math.ceil(INPUT_BYTES / records.length);
  return new Uint8Array(Buffer.concat([recording.subarray(0, at), ...Array.from({ length: copies }, () => records)]));
}

const PEER = /^\s*(.{1,16})-(\d+)\s+(?:\(\s*[\d-]+\)\s+)?\[(\d+)\]\s+(\S+)\s+(\d+)\.(\d+): (\w+): (.*)$/;

/** What a script does: lines as strings, one expression for each, its parts in arrays; no fields. */
function runPeer(): BenchResult {
  const text = Buffer.from(readLong('ftrace/nop.txt')).toString('latin1');
  const parse = (): number => {
    const rows: { comm: string; pid: number; cpu: number; time: number; event: string; body: string }[] = [];
    for (const line of text.split('\n')) {
      const [, comm = '', pid, cpu, , seconds, micros, event = '', body = ''] = PEER.exec(line) ?? [];
      if (event !== '') rows.push({ comm, pid: Number(pid), cpu: Number(cpu), time: Number(seconds) * 1e6 + Number(micros), event, body });
    }
    return rows.length;
  };
  const rows = parse();
  return { value: measureRates(rows, parse).byCpu, unit: 'records/CPU-s' };
}

function parseAll(parser: LogParser | EventTextParser, input: Uint8Array): number {
  return parser.yields === 'logs' ? parseWith(parser.open(), LOGS, input) : parseWith(parser.open(), EVENTS, input);
}

function parseWith<Batch extends { clear(): void }>(session: ParserSession<Batch>, batch: Batch, input: Uint8Array): number {
  for (let at = 0; at < input.length;) {
    const end = Math.min(at + CHUNK_BYTES, input.length);
    const chunk = input.subarray(at, end);
    batch.clear();
    at += end === input.length ? session.finish(chunk, batch) : session.parse(chunk, batch);
  }
  return session.counts.records;
}
