/** Text formats to columns: recordings of test/fixtures repeated to some MB, handed over in chunks into one batch, as an import does. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EventBatch } from '../model/event-batch.ts';
import { LogBatch } from '../model/log-batch.ts';
import type { EventTextParser, LogParser, ParserSession } from '../model/parser.ts';
import { consoleText } from '../parsers/console.ts';
import { ftraceText } from '../parsers/ftrace-text.ts';
import { kmsg } from '../parsers/kmsg.ts';
import { measureRate, type Bench, type BenchResult } from './bench.ts';

const INPUT_BYTES = 8 << 20;
const CHUNK_BYTES = 1 << 20;
const LOGS = new LogBatch();
const EVENTS = new EventBatch();
const NEWLINE = 10;
const HASH = 35;

/** The peers: what one writes first, an expression per line and its groups into columns. */
const KMSG_LINE = /^(\d+),(\d+),(\d+),[-c+](?:,[^;]*)?;(.*)$/;
const CONSOLE_LINE = /^(?:<(\d+)>)?\[ *(\d+)\.(\d{6})\](?:\[ *[TC]\d+\])? ?(.*)$/;

export const benches: Bench[] = [
  bench('kmsg records -> columns', '>= 8 M records/s', kmsg, 'kmsg/live.kmsg', KMSG_LINE),
  bench('console lines -> columns', '>= 8 M records/s', consoleText, 'dmesg/plain.txt', CONSOLE_LINE),
  bench('console lines with levels -> columns', '>= 8 M records/s', consoleText, 'dmesg/raw.txt', CONSOLE_LINE),
  bench('console lines, CRLF, torn, ANSI -> columns', '>= 4 M records/s', consoleText, 'console/spawn.txt'),
  bench('ftrace text, sched and irq -> columns', '>= 4 M lines/s', ftraceText, 'ftrace/nop.txt'),
  bench('ftrace text, raw system calls -> columns', '>= 4 M lines/s', ftraceText, 'ftrace/trace-pipe.txt'),
  bench('ftrace text, latency-format -> columns', '>= 4 M lines/s', ftraceText, 'ftrace/latency.txt'),
  bench('ftrace text, function tracer -> columns', '>= 4 M lines/s', ftraceText, 'ftrace/function.txt'),
  bench('ftrace text, function_graph -> columns', '>= 4 M lines/s', ftraceText, 'ftrace/graph.txt'),
  { name: 'ftrace text, sched and irq: one regex per line (peer)', run: runPeer },
];

function bench(name: string, target: string, parser: LogParser | EventTextParser, fixture: string, peer?: RegExp): Bench {
  return { name, target, run: () => run(parser, fixture, peer) };
}

function run(parser: LogParser | EventTextParser, fixture: string, peer: RegExp | undefined): BenchResult {
  const input = readLong(fixture);
  const records = parseAll(parser, input);
  const rate = measureRate(records, () => parseAll(parser, input));
  const detail = `${((rate / records) * (input.length / 1e6)).toFixed(0)} MB/s`;
  if (peer === undefined) return { value: rate, unit: 'records/s', detail };
  const peerRate = measureRate(records, () => matchAll(peer, input));
  const times = (rate / peerRate).toFixed(1);
  return { value: rate, unit: 'records/s', detail: `${detail}; a regex per line ${(peerRate / 1e6).toFixed(2)} M/s, ${times} x` };
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
  while (recording[at] === HASH) at = recording.indexOf(NEWLINE, at) + 1;
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
  return { value: measureRate(rows, parse), unit: 'records/s' };
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
