/**
 * What every parser of files that are read at any place must hold, on its own recordings: golden rows, the same rows in
 * pieces of any size, no throw and bounded memory on truncated and mutated files, books that balance, and `sniff`.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventBatch } from '../../model/event-batch.ts';
import type { ByteSource, EventFile, EventFileParser } from '../../model/event-file.ts';
import { assertGolden } from './golden.ts';
import { checkSniff, collectEvents, renderLosses, type Fixture } from './parser-suite.ts';
import { createRandom, randomBytes } from './random.ts';

const MUTATIONS = 400;
const TRUNCATIONS = 200;
const AHEAD_ROUNDS = 12;
/** Several pieces for each run of pages. */
const AHEAD_BUDGET_BYTES = 20_000;
/** A mutated file may claim anything; what comes out of it is bounded by what a page can hold. */
const MAX_EVENTS_PER_BYTE = 3;

/** Bytes as a file that counts what is asked of it, and always hands out the same memory. */
export function toTestSource(bytes: Uint8Array): ByteSource & { readonly askedBytes: number } {
  let shared = new Uint8Array(0);
  const source = {
    sizeBytes: bytes.length,
    askedBytes: 0,
    read: (offset: number, length: number): Uint8Array => {
      assert.ok(Number.isInteger(offset) && offset >= 0 && Number.isInteger(length) && length >= 0, `read(${offset}, ${length})`);
      const part = bytes.subarray(Math.min(offset, bytes.length), Math.min(bytes.length, offset + length));
      source.askedBytes += part.length;
      shared.fill(0xee);
      if (shared.length < part.length) shared = new Uint8Array(part.length);
      shared.set(part);
      return shared.subarray(0, part.length);
    },
  };
  return source;
}

/** All rows, sorted, and losses, stream by stream. */
export function renderEventFile(file: EventFile, budgetBytes: number): string[] {
  const { comms, readKallsyms, options, ...info } = file.info;
  const lines = [
    JSON.stringify(info, (_key, value: unknown) => (typeof value === 'bigint' ? value.toString() : value)),
    `options ${options.map(({ id, bytes }) => `${id} of ${bytes.length} bytes`).join(', ')}`,
    `${Object.keys(comms).length} task names, ${readKallsyms().length} bytes of symbols, ${file.formats.events.length} formats`,
  ];
  for (const stream of file.streams) {
    const spans = stream.survey().map(({ cpu, firstRaw, lastRaw }) => `cpu ${cpu} ${firstRaw}..${lastRaw}`);
    lines.push(`instance ${JSON.stringify(stream.instance)} on ${stream.clock}, ${stream.sizeBytes} bytes: ${spans.join(', ')}`);
    const rows: { readonly raw: bigint; readonly line: string }[] = [];
    for (let more = true; more;) {
      const batch = new EventBatch();
      more = stream.read(budgetBytes, batch);
      collectEvents(batch, rows);
    }
    assert.ok(stream.readBytes <= stream.sizeBytes);
    rows.sort((a, b) => (a.raw < b.raw ? -1 : a.raw > b.raw ? 1 : a.line < b.line ? -1 : 1));
    lines.push(...rows.map(({ line }) => line), ...renderLosses(stream.takeLosses()));
  }
  const { counts } = file;
  lines.push(...[...counts.malformed].map(([reason, count]) => `malformed ${reason}: ${count}`));
  return lines;
}

/** Reads all of a file that may be damaged. */
export function readAll(parser: EventFileParser, bytes: Uint8Array): { readonly events: number; readonly problems: number } {
  const source = toTestSource(bytes);
  const file = parser.open(source);
  file.info.readKallsyms();
  let events = 0;
  for (const stream of file.streams) {
    stream.survey();
    for (let more = true; more;) {
      const batch = new EventBatch();
      more = stream.read(1 << 18, batch);
      events += batch.length;
    }
    stream.takeLosses();
  }
  const { counts } = file;
  assert.equal(counts.records, events);
  assert.ok(counts.malformed.size < 100, 'problems are bounded');
  return { events, problems: counts.malformed.size };
}

/** What each piece has, what is lost in it, and the file's books after the last one. */
async function renderPieces(file: EventFile, isAhead: boolean): Promise<string[]> {
  const lines: string[] = [];
  for (const stream of file.streams) {
    for (let more = true; more;) {
      const batch = new EventBatch();
      more = isAhead ? await stream.readAhead(AHEAD_BUDGET_BYTES, batch) : stream.read(AHEAD_BUDGET_BYTES, batch);
      const rows: { readonly raw: bigint; readonly line: string }[] = [];
      collectEvents(batch, rows);
      lines.push(`piece up to byte ${stream.readBytes}`, ...rows.map(({ line }) => line), ...renderLosses(stream.takeLosses()));
    }
  }
  lines.push(...[...file.counts.malformed].map(([reason, count]) => `malformed ${reason}: ${count}`));
  return lines;
}

export function testEventFileParser(parser: EventFileParser, fixtures: readonly Fixture[]): void {
  const { id } = parser;
  for (const { name, bytes } of fixtures) {
    test(`${id}: reads ${name} as its golden, in pieces of any size`, () => {
      const whole = renderEventFile(parser.open(toTestSource(bytes)), 1 << 30);
      assertGolden(`parsers/${name}`, whole);
      for (const budget of [1, 4096, 5000, 100_000]) assert.deepEqual(renderEventFile(parser.open(toTestSource(bytes)), budget), whole);
    });
    test(`${id}: ${name} may end anywhere`, () => {
      const whole = readAll(parser, bytes).events;
      const step = Math.max(1, Math.floor(bytes.length / TRUNCATIONS));
      for (let end = 0; end < bytes.length; end += step) {
        const { events, problems } = readAll(parser, bytes.subarray(0, end));
        assert.ok(
          events === whole || (events < whole && problems > 0),
          `cut at ${end}: ${events} of ${whole} events, ${problems} problems`,
        );
      }
    });
    test(`${id}: reads ${name} ahead in the same pieces, also where it is damaged`, async () => {
      const random = createRandom(bytes.length + 1);
      for (let round = 0; round < AHEAD_ROUNDS; round++) {
        const damaged = round === 0 ? bytes : mutate(bytes, random, round);
        const expected = await renderPieces(parser.open(toTestSource(damaged)), false);
        assert.deepEqual(await renderPieces(parser.open(toTestSource(damaged)), true), expected, `round ${round}`);
      }
    });
    test(`${id}: survives mutations of ${name}`, () => {
      const random = createRandom(bytes.length);
      for (let round = 0; round < MUTATIONS; round++) {
        const mutated = mutate(bytes, random, round);
        assert.ok(readAll(parser, mutated).events <= bytes.length * MAX_EVENTS_PER_BYTE, `round ${round}`);
      }
    });
  }
  test(`${id}: survives random bytes behind its magic`, () => {
    const random = createRandom(11);
    for (let round = 0; round < 300; round++) {
      const bytes = randomBytes(random, 20 + Math.floor(random() * 3000));
      bytes.set([0x17, 0x08, 0x44, 0x74, 0x72, 0x61, 0x63, 0x69, 0x6e, 0x67, round % 2 === 0 ? 0x36 : 0x37, 0, round % 3 === 0 ? 1 : 0, 8]);
      readAll(parser, bytes);
    }
  });
  test(`${id}: sniff takes its own and refuses the others'`, () => checkSniff(parser, fixtures));
}

/** Some bytes changed, blocks moved, or whole numbers made large: the last in the first and last kilobytes, where sizes are. */
function mutate(bytes: Uint8Array, random: () => number, round: number): Uint8Array {
  const mutated = bytes.slice();
  const changes = 1 + Math.floor(random() * 20);
  for (let i = 0; i < changes; i++) {
    const near = round % 2 === 0 ? mutated.length : Math.min(mutated.length, 2000);
    const at = round % 4 === 3 ? mutated.length - 1 - Math.floor(random() * near) : Math.floor(random() * near);
    const kind = random();
    if (kind < 0.4) mutated[at] = Math.floor(random() * 256);
    else if (kind < 0.7) mutated.fill(random() < 0.5 ? 0xff : 0, at, at + 1 + Math.floor(random() * 8));
    else mutated.copyWithin(at, Math.floor(random() * mutated.length), Math.floor(random() * mutated.length));
  }
  return mutated;
}
