/**
 * What every file parser must hold, on its own recordings: golden rows, the same rows however the input is cut, no throw and
 * every byte accounted for on truncated, mutated and random input, and a `sniff` that takes its own and refuses the others'.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { EventBatch, fieldText } from '../../model/event-batch.ts';
import type { EventFileParser } from '../../model/event-file.ts';
import { LogBatch } from '../../model/log-batch.ts';
import type { EventTextParser, InputLoss, LogParser, ParseCounts } from '../../model/parser.ts';
import { LEVEL_UNKNOWN } from '../../model/severity.ts';
import { NO_RAW_TIME } from '../../model/time.ts';
import { FILE_PARSERS, sniffParsers } from '../../parsers/index.ts';
import { assertGolden } from './golden.ts';
import { createRandom, randomBytes } from './random.ts';

const FIXTURES = join(import.meta.dirname, '..', 'fixtures');
/** Longer recordings are cut at so many random offsets instead of at every one; byte by byte all of them are cut everywhere. */
const EVERY_OFFSET_BYTES = 1000;
const RANDOM_OFFSETS = 400;

/** Less than is looked at in one go. */
const PIECE_BYTES = 150;
const REPEATS = 5;

type FileParser = LogParser | EventTextParser;

export interface Fixture {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Recordings of `test/fixtures/<folder>` with this ending. */
export function loadFixtures(folder: string, ending: string): Fixture[] {
  return readdirSync(join(FIXTURES, folder))
    .filter((name) => name.endsWith(ending))
    .sort()
    .map((name) => ({ name: `${folder}/${basename(name, ending)}`, bytes: new Uint8Array(readFileSync(join(FIXTURES, folder, name))) }));
}

/** Registers the suite for one parser. */
export function testParser(parser: FileParser, fixtures: readonly Fixture[]): void {
  const { id } = parser;
  for (const { name, bytes } of fixtures) {
    test(`${id}: reads ${name} as its golden`, () => {
      assertGolden(`parsers/${name}`, parseInChunks(parser, bytes, [bytes.length]));
    });
    test(`${id}: ${name} gives the same rows wherever it is cut`, () => checkCuts(parser, bytes));
    test(`${id}: ${name} may end anywhere`, () => checkTruncations(parser, bytes));
    test(`${id}: survives mutations of ${name}`, () => checkMutations(parser, bytes));
    test(`${id}: ${name} again and again gives the same rows in one piece as in small ones`, () => checkRepeats(parser, bytes));
  }
  test(`${id}: survives random bytes`, () => {
    const random = createRandom(7);
    for (let round = 0; round < 200; round++) parseInChunks(parser, randomBytes(random, Math.floor(random() * 4000)), [1000, 4000]);
  });
  test(`${id}: sniff takes its own and refuses the others'`, () => checkSniff(parser, fixtures));
}

/** Parses with chunks that end at the given offsets, one after the other into one batch as an import does, and renders all rows. */
export function parseInChunks(parser: FileParser, bytes: Uint8Array, ends: readonly number[]): string[] {
  return parser.yields === 'logs' ? parseLogs(parser, bytes, ends) : parseEvents(parser, bytes, ends);
}

function parseLogs(parser: LogParser, bytes: Uint8Array, ends: readonly number[]): string[] {
  const session = parser.open();
  const lines: string[] = [];
  const batch = new LogBatch(4);
  feed(bytes, ends, session.counts, (chunk, last) => {
    batch.clear();
    const used = last ? session.finish(chunk, batch) : session.parse(chunk, batch);
    checkLogBatch(batch);
    for (let row = 0; row < batch.length; row++) lines.push(renderLog(batch, row));
    return used;
  });
  assert.equal(session.counts.records, lines.length);
  return [...lines, ...renderLosses(session.takeLosses())];
}

function parseEvents(parser: EventTextParser, bytes: Uint8Array, ends: readonly number[]): string[] {
  const session = parser.open();
  const rows: { readonly raw: bigint; readonly line: string }[] = [];
  const batch = new EventBatch();
  feed(bytes, ends, session.counts, (chunk, last) => {
    batch.clear();
    const used = last ? session.finish(chunk, batch) : session.parse(chunk, batch);
    collectEvents(batch, rows);
    return used;
  });
  assert.equal(session.counts.records, rows.length);
  rows.sort((a, b) => (a.raw < b.raw ? -1 : a.raw > b.raw ? 1 : a.line < b.line ? -1 : 1));
  return [...rows.map(({ line }) => line), ...renderLosses(session.takeLosses())];
}

/** Hands the input over as a caller does: what a call leaves comes again in front of the next bytes. */
function feed(bytes: Uint8Array, ends: readonly number[], counts: ParseCounts, take: (chunk: Uint8Array, last: boolean) => number): void {
  let at = 0;
  for (const end of [...ends.filter((end) => end < bytes.length), bytes.length]) {
    const chunk = bytes.slice(at, end);
    const used = take(chunk, end === bytes.length);
    assert.ok(used >= 0 && used <= chunk.length, `used ${used} of ${chunk.length} bytes`);
    at += used;
    assert.equal(counts.parsedBytes + counts.malformedBytes, at, 'every byte that was used is counted');
  }
  assert.equal(at, bytes.length, 'finish takes everything');
}

function checkCuts(parser: FileParser, bytes: Uint8Array): void {
  const whole = parseInChunks(parser, bytes, []);
  const random = createRandom(bytes.length);
  const every = bytes.length <= EVERY_OFFSET_BYTES;
  const rounds = every ? bytes.length : RANDOM_OFFSETS;
  for (let round = 0; round < rounds; round++) {
    const cut = every ? round : Math.floor(random() * bytes.length);
    assert.deepEqual(parseInChunks(parser, bytes, [cut]), whole, `cut at ${cut}`);
  }
  const crumbs = Array.from(bytes, (_byte, index) => index);
  assert.deepEqual(parseInChunks(parser, bytes, crumbs), whole, 'byte by byte');
}

function checkTruncations(parser: FileParser, bytes: Uint8Array): void {
  const step = Math.max(1, Math.floor(bytes.length / RANDOM_OFFSETS));
  for (let end = 0; end < bytes.length; end += step) parseInChunks(parser, bytes.subarray(0, end), []);
}

function checkMutations(parser: FileParser, bytes: Uint8Array): void {
  const random = createRandom(bytes.length + 1);
  for (let round = 0; round < 100; round++) {
    const mutated = bytes.slice();
    const changes = 1 + Math.floor(random() * 40);
    for (let i = 0; i < changes; i++) {
      const at = Math.floor(random() * mutated.length);
      if (random() < 0.5) mutated[at] = Math.floor(random() * 256);
      else mutated.copyWithin(at, Math.floor(random() * mutated.length), Math.floor(random() * mutated.length));
    }
    const cut = Math.floor(random() * mutated.length);
    assert.deepEqual(parseInChunks(parser, mutated, [cut]), parseInChunks(parser, mutated, []), `round ${round}, cut at ${cut}`);
  }
}

/** Parsers read lines that are as those before them in a quick way, as long as much follows: pieces of a few bytes have none of it. */
function checkRepeats(parser: FileParser, bytes: Uint8Array): void {
  const input = new Uint8Array(bytes.length * REPEATS);
  for (let at = 0; at < input.length; at += bytes.length) input.set(bytes, at);
  const ends = Array.from({ length: Math.ceil(input.length / PIECE_BYTES) }, (_, index) => (index + 1) * PIECE_BYTES);
  assert.deepEqual(parseInChunks(parser, input, []), parseInChunks(parser, input, ends));
}

export function checkSniff(parser: FileParser | EventFileParser, fixtures: readonly Fixture[]): void {
  assert.ok(fixtures.length > 0, 'no recordings');
  for (const { name, bytes } of fixtures) {
    for (const other of FILE_PARSERS) assert.equal(other.sniff(bytes), other === parser, `${other.id} on ${name}`);
    assert.deepEqual(sniffParsers(bytes), [parser], name);
  }
  const random = createRandom(3);
  assert.equal(parser.sniff(new Uint8Array(0)), false);
  for (let round = 0; round < 50; round++) assert.equal(parser.sniff(randomBytes(random, 2000)), false, `random bytes, round ${round}`);
}

function checkLogBatch(batch: LogBatch): void {
  assert.equal(batch.attributes.rows, batch.length);
  for (let row = 0; row < batch.length; row++) {
    const start = batch.textStart[row] as number;
    const end = batch.textEnd[row] as number;
    assert.ok(start <= end && end <= batch.textLength, `row ${row}: text [${start}, ${end}) of ${batch.textLength}`);
    const level = batch.level[row] as number;
    assert.ok(level < 8 || level === LEVEL_UNKNOWN, `row ${row}: level ${level}`);
    assert.ok((batch.attributes.offsets[row] as number) <= (batch.attributes.offsets[row + 1] as number));
  }
  assert.equal(batch.attributes.offsets[batch.length], batch.attributes.pairs);
}

/** `seq raw level.facility flags cpu pid | text | attributes` */
function renderLog(batch: LogBatch, row: number): string {
  const attributes = Object.entries(batch.attributes.rowOf(row)).map(([key, value]) => ` ${key}=${value}`);
  const raw = batch.rawTime.getBigint(row);
  return (
    `${batch.sequence[row]} ${raw === NO_RAW_TIME ? 'no time' : `${batch.clock}:${raw}`} ${batch.level[row]}.${batch.facility[row]} ` +
    `flags=${batch.flags[row]} cpu=${batch.cpu[row]} pid=${batch.pid[row]} ${JSON.stringify(batch.textOf(row))}${attributes.join('')}`
  );
}

/** Rows of a batch as lines, with what they are sorted by. */
export function collectEvents(batch: EventBatch, rows: { readonly raw: bigint; readonly line: string }[]): void {
  for (const table of batch.tables) {
    for (let row = 0; row < table.length; row++) {
      const raw = table.rawTime.getBigint(row);
      for (const id of [table.comm[row], table.body[row]]) assert.ok((id as number) < batch.strings.size, 'dictionary id out of range');
      const fields = table.schema.fields.map((field, index) => `${field.name}:${field.kind}=${fieldText(batch, table, index, row)}`);
      const line =
        `${raw === NO_RAW_TIME ? 'no time' : `${batch.clock}:${raw}`} cpu=${table.cpu[row]} ${JSON.stringify(batch.strings.get(table.comm[row] as number))}-${table.pid[row]} ` +
        `flags=${table.flags[row]} preempt=${table.preemptCount[row]} ${table.schema.name} ${JSON.stringify(fields)} ` +
        JSON.stringify(batch.strings.get(table.body[row] as number));
      rows.push({ raw, line });
    }
  }
}

export function renderLosses(losses: readonly InputLoss[]): string[] {
  return losses.map(({ cpu, count, fromRaw, toRaw, reason }) => `lost ${count ?? '?'} cpu=${cpu} ${fromRaw}..${toRaw} ${reason}`);
}
