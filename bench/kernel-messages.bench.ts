/** Kernel messages: what looking for them costs rows that are none, beside the parser alone, and naming those that are. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MessageMatcher } from '../correlate/match-messages.ts';
import { MESSAGE_RULES } from '../correlate/message-catalogue.ts';
import { MessageRecogniser } from '../correlate/recognise-messages.ts';
import { LogBatch } from '../model/log-batch.ts';
import { consoleText } from '../parsers/console.ts';
import { kmsg } from '../parsers/kmsg.ts';
import type { LogParser } from '../model/parser.ts';
import { measureRate, type Bench, type BenchResult } from './bench.ts';

const INPUT_BYTES = 1 << 20;
const ROWS = 32_768;

export const benches: Bench[] = [
  { name: 'kernel messages: rows of kmsg looked through', target: '>= 8 M rows/s', run: () => lookThrough(kmsg, 'kmsg/live.kmsg') },
  {
    name: 'kernel messages: console lines looked through',
    target: '>= 8 M rows/s',
    run: () => lookThrough(consoleText, 'dmesg/plain.txt'),
  },
  { name: 'kernel messages: named, each row one of the catalogue', run: nameAll },
];

function repeat(recording: Uint8Array): Uint8Array {
  return new Uint8Array(Buffer.concat(Array.from({ length: Math.ceil(INPUT_BYTES / recording.length) }, () => recording)));
}

function parse(parser: LogParser, input: Uint8Array): LogBatch {
  const batch = new LogBatch(ROWS);
  parser.open().finish(input, batch);
  return batch;
}

function lookThrough(parser: LogParser, fixture: string): BenchResult {
  const input = repeat(readFileSync(join(import.meta.dirname, '../test/fixtures', fixture)));
  const batch = parse(parser, input);
  const recogniser = new MessageRecogniser(new MessageMatcher(MESSAGE_RULES));
  const named = recogniser.take(batch);
  const alone = measureRate(batch.length, () => parse(parser, input), 700);
  // Rows with a name are passed by: they are few, and stay named.
  const value = measureRate(batch.length, () => recogniser.take(batch), 700);
  return {
    value,
    unit: 'rows/s',
    detail: `the parser alone ${(alone / 1e6).toFixed(1)} M; ${((100 * alone) / value).toFixed(0)} % on top of it; ${named} of ${batch.length} rows named`,
  };
}

function nameAll(): BenchResult {
  const lines = MESSAGE_RULES.flatMap(({ samples, fromUser }) => (fromUser ? [] : samples.map(({ line }) => `[    1.000000] ${line}\n`)));
  const batch = parse(consoleText, repeat(Buffer.from(lines.join(''))));
  const recogniser = new MessageRecogniser(new MessageMatcher(MESSAGE_RULES));
  const { offsets, pairs } = batch.attributes;
  const clean = offsets.slice();
  const value = measureRate(
    batch.length,
    () => {
      batch.eventName.fill(0);
      batch.attributes.offsets.set(clean);
      batch.attributes.pairs = pairs;
      if (recogniser.take(batch) < batch.length * 0.99) throw new Error('rows without a name');
    },
    700,
  );
  return { value, unit: 'rows/s', detail: `${MESSAGE_RULES.length} rules, ${batch.length} rows` };
}
