/**
 * Targets for the parsers of text: one input is one file. Batches serve many runs, as a follower's do, and are then replaced;
 * what a run adds to them is checked row by row.
 */
import { EventBatch, type EventTable } from '../../model/event-batch.ts';
import { LogBatch } from '../../model/log-batch.ts';
import type { EventTextParser, InputLoss, LogParser, ParseCounts } from '../../model/parser.ts';
import { LEVEL_UNKNOWN } from '../../model/severity.ts';
import { loadFixtures, parseInChunks } from '../support/parser-suite.ts';
import { createRandom } from '../support/random.ts';
import { countOutcome, Violation, type Runner, type Target } from './target.ts';

const PIECE_BYTES = 200;
const MOST_HEADER_BYTES = 700;
const MAX_ROWS = 4096;
const MAX_TABLES = 256;
/** A record of text takes at least two bytes: something, and what ends it. */
const MAX_ROWS_PER_BYTE = 1;
/** Names and values are held once, and task names beside them. */
const MAX_STRING_BYTES_PER_BYTE = 4;
/** A table of an event that comes once has room for 64 rows: some KB for a line of 20 bytes. */
const MAX_TABLE_BYTES_PER_BYTE = 512;
const MAX_SAMPLES = 8;
const MAX_SAMPLE_BYTES = 256;
const MAX_LOSSES = 4096;

/** A folder of recordings and the ending of their names. */
export type Recordings = readonly [folder: string, ending: string];

export function textTarget(parser: LogParser | EventTextParser, ...recordings: readonly Recordings[]): Target {
  return {
    id: parser.id,
    seeds: () => recordings.flatMap(([folder, ending]) => loadFixtures(folder, ending)).flatMap(({ bytes }) => cutAtLines(bytes)),
    // A header of comment lines and an event.
    maxBytes: parser.yields === 'logs' ? 512 : 900,
    open: () => (parser.yields === 'logs' ? new LogRunner(parser) : new EventRunner(parser)),
  };
}

/** Pieces of whole lines; comment lines at the start, which say how to read the others, stand in front of the first piece too. */
export function cutAtLines(bytes: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const newline = bytes.lastIndexOf(10, at + (bytes[at] === 35 ? MOST_HEADER_BYTES : PIECE_BYTES));
    const end = newline < at ? Math.min(bytes.length, at + PIECE_BYTES) : newline + 1;
    pieces.push(bytes.slice(at, end));
    at = end;
  }
  return pieces;
}

class LogRunner implements Runner {
  readonly outcomes = new Map<string, number>();
  readonly #parser: LogParser;
  readonly #pieces: PieceCheck;
  #batch = new LogBatch(64);

  constructor(parser: LogParser) {
    this.#parser = parser;
    this.#pieces = new PieceCheck(parser);
  }

  run(input: Uint8Array, deep: boolean): void {
    if (this.#batch.length > MAX_ROWS || this.#batch.textLength > MAX_ROWS * 256) this.#batch = new LogBatch(64);
    const batch = this.#batch;
    const { length: firstRow, textLength: textStart } = batch;
    const stringBytes = arenaBytes(batch.strings);
    const session = this.#parser.open();
    checkUsed(session.finish(input, batch), input);
    checkCounts(session.counts, batch.length - firstRow, input);
    checkLosses(session.takeLosses());
    checkStrings(arenaBytes(batch.strings) - stringBytes, input);
    checkLogRows(batch, firstRow, textStart, input);
    checkSamples(session.counts, input);
    noteReasons(session.counts, this.outcomes, deep);
    if (deep) this.#pieces.check(input);
  }
}

function checkLogRows(batch: LogBatch, firstRow: number, textStart: number, input: Uint8Array): void {
  const { attributes } = batch;
  if (batch.textLength - textStart > input.length * 3) throw new Violation(`text: ${batch.textLength - textStart} bytes of text`);
  if (attributes.rows !== batch.length) throw new Violation(`columns: ${attributes.rows} rows of attributes for ${batch.length} rows`);
  if (attributes.offsets[batch.length] !== attributes.pairs) throw new Violation('columns: attributes end elsewhere than their last row');
  for (let row = firstRow; row < batch.length; row++) {
    const start = batch.textStart[row] as number;
    const end = batch.textEnd[row] as number;
    if (start < textStart || start > end || end > batch.textLength) throw new Violation(`columns: text [${start}, ${end}) of row ${row}`);
    const level = batch.level[row] as number;
    if (level > 7 && level !== LEVEL_UNKNOWN) throw new Violation(`columns: level ${level}`);
    if (!Number.isSafeInteger(batch.sequence[row])) throw new Violation(`columns: sequence ${batch.sequence[row]}`);
    if ((attributes.offsets[row] as number) > (attributes.offsets[row + 1] as number)) throw new Violation('columns: attributes run back');
  }
}

class EventRunner implements Runner {
  readonly outcomes = new Map<string, number>();
  readonly #parser: EventTextParser;
  readonly #pieces: PieceCheck;
  #batch = new EventBatch();
  /** Rows that each table had before the run. */
  #rows: number[] = [];

  constructor(parser: EventTextParser) {
    this.#parser = parser;
    this.#pieces = new PieceCheck(parser);
  }

  run(input: Uint8Array, deep: boolean): void {
    if (this.#batch.tables.length > MAX_TABLES) this.#batch = new EventBatch();
    else if (this.#batch.length > MAX_ROWS) this.#batch.clear();
    if (this.#batch.length === 0) this.#rows = [];
    const batch = this.#batch;
    const rows = batch.length;
    const tables = batch.tables.length;
    const stringBytes = arenaBytes(batch.strings);
    const session = this.#parser.open();
    checkUsed(session.finish(input, batch), input);
    checkCounts(session.counts, batch.length - rows, input);
    checkLosses(session.takeLosses());
    checkStrings(arenaBytes(batch.strings) - stringBytes, input);
    checkEventRows(batch, this.#rows);
    const tableBytes = batch.tables.slice(tables).reduce((sum, table) => sum + sizeOf(table), 0);
    if (tableBytes > 65_536 + input.length * MAX_TABLE_BYTES_PER_BYTE) {
      throw new Violation(`tables: ${batch.tables.length - tables} tables of ${tableBytes} bytes for ${input.length} bytes`);
    }
    for (let i = 0; i < batch.tables.length; i++) this.#rows[i] = (batch.tables[i] as EventTable).length;
    checkSamples(session.counts, input);
    noteReasons(session.counts, this.outcomes, deep);
    if (deep) this.#pieces.check(input);
  }
}

/** Columns as long as their table says, and dictionary ids that are there. */
export function checkEventRows(batch: EventBatch, knownRows: readonly number[]): void {
  const { size } = batch.strings;
  for (let i = 0; i < batch.tables.length; i++) {
    const table = batch.tables[i] as EventTable;
    const { length, schema, fields, comm, body } = table;
    const from = knownRows[i] ?? 0;
    if (from === length && from > 0) continue;
    if (length > table.capacity || fields.length !== schema.fields.length) throw new Violation(`columns: ${schema.name} is out of step`);
    for (let row = from; row < length; row++) {
      if ((comm[row] as number) >= size || (body[row] as number) >= size) throw new Violation('columns: text of a row is not there');
    }
    for (let field = 0; field < fields.length; field++) {
      const column = fields[field] as EventTable['fields'][number];
      if (column.kind !== schema.fields[field]?.kind) throw new Violation(`columns: field ${field} is ${column.kind}`);
      if (column.kind !== 'string') continue;
      for (let row = from; row < length; row++) {
        if ((column.values[row] as number) >= size) throw new Violation('columns: string of a field is not there');
      }
    }
  }
}

function sizeOf(table: EventTable): number {
  let bytes = table.capacity * 32;
  for (const { kind } of table.fields) bytes += table.capacity * (kind === 'int64' || kind === 'uint64' ? 8 : 4);
  return bytes;
}

/** The same rows however an input is cut, and nothing that one input leaves behind for the next one. */
class PieceCheck {
  readonly #parser: LogParser | EventTextParser;
  /** The first input there was, and its rows. */
  #first: { readonly input: Uint8Array; readonly rows: string } | undefined;

  constructor(parser: LogParser | EventTextParser) {
    this.#parser = parser;
  }

  check(input: Uint8Array): void {
    const whole = this.#rowsOf(input, []);
    this.#first ??= { input: input.slice(), rows: whole };
    if (this.#rowsOf(this.#first.input, []) !== this.#first.rows) throw new Violation('state: an input left something behind');
    const random = createRandom(input.length + (input[0] ?? 0) * 65_537 + (input.at(-1) ?? 0) * 257);
    const cuts = Array.from({ length: 1 + Math.floor(random() * 4) }, () => Math.floor(random() * (input.length + 1)));
    cuts.sort((a, b) => a - b);
    if (this.#rowsOf(input, cuts) !== whole) throw new Violation(`pieces: other rows when cut at ${cuts.join(', ')}`);
  }

  #rowsOf(input: Uint8Array, cuts: readonly number[]): string {
    return parseInChunks(this.#parser, input, cuts).join('\n');
  }
}

export function arenaBytes(strings: LogBatch['strings']): number {
  return strings.usedBytes;
}

function checkUsed(used: number, input: Uint8Array): void {
  if (used !== input.length) throw new Violation(`bytes: finish took ${used} of ${input.length}`);
}

export function checkCounts(counts: ParseCounts, rows: number, input: Uint8Array): void {
  const seen = counts.parsedBytes + counts.malformedBytes;
  if (seen !== input.length)
    throw new Violation(`bytes: ${counts.parsedBytes} parsed + ${counts.malformedBytes} malformed of ${input.length}`);
  if (counts.records !== rows) throw new Violation(`records: ${counts.records} counted, ${rows} rows`);
  if (rows > input.length * MAX_ROWS_PER_BYTE) throw new Violation(`rows: ${rows} for ${input.length} bytes`);
  checkReasons(counts);
}

export function checkReasons(counts: ParseCounts): void {
  if (counts.samples.length > MAX_SAMPLES) throw new Violation(`samples: ${counts.samples.length}`);
  for (const { bytes } of counts.samples) if (bytes.length > MAX_SAMPLE_BYTES) throw new Violation(`samples: one of ${bytes.length} bytes`);
  if (counts.malformed.size > 100) throw new Violation(`reasons: ${counts.malformed.size} of them`);
  if (!(counts.lost >= 0) || !Number.isFinite(counts.lost)) throw new Violation(`lost: ${counts.lost}`);
}

/** A sample stands where it says: offsets are right only if all bytes are counted in order. */
function checkSamples({ samples }: ParseCounts, input: Uint8Array): void {
  for (const { reason, offset, bytes } of samples) {
    for (let i = 0; i < bytes.length; i++) {
      if (bytes[i] !== input[offset + i]) throw new Violation(`offset: ${reason} does not stand at byte ${offset}`);
    }
  }
}

export function checkLosses(losses: readonly InputLoss[]): void {
  if (losses.length > MAX_LOSSES) throw new Violation(`losses: ${losses.length} wait`);
  for (const { count } of losses) if (count !== undefined && !(count >= 0)) throw new Violation(`lost: ${count}`);
}

function checkStrings(bytes: number, input: Uint8Array): void {
  if (bytes > 1024 + input.length * MAX_STRING_BYTES_PER_BYTE) throw new Violation(`strings: ${bytes} bytes for ${input.length} bytes`);
}

export function noteReasons(counts: ParseCounts, outcomes: Map<string, number>, always: boolean): void {
  if (counts.records > 0) countOutcome(outcomes, 'rows', counts.records);
  if (!always) return;
  for (const [reason, count] of counts.malformed) countOutcome(outcomes, reason, count);
  if (counts.lost + counts.lostUnknown > 0) countOutcome(outcomes, 'lost');
}
