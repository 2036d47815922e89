/** The two ways in which ftrace text is read: with WebAssembly from its first line on, and without. */
import { EventBatch, fieldText, type EventTable } from '../../model/event-batch.ts';
import { FtraceSession } from '../../parsers/ftrace-text.ts';

/** From so many bytes on there is WebAssembly. */
export const WITH_WASM = 0;
export const WITHOUT_WASM = Number.POSITIVE_INFINITY;

/** All that comes out of the input, in its order: what each piece leaves, tables and their rows, counts and losses. */
export function readAll(from: number, input: Uint8Array, ends: readonly number[], batch = new EventBatch()): string[] {
  const session = new FtraceSession(from);
  const lines: string[] = [];
  let at = 0;
  for (const end of [...ends.filter((place) => place < input.length), input.length]) {
    const piece = input.slice(at, end);
    batch.clear();
    at += end === input.length ? session.finish(piece, batch) : session.parse(piece, batch);
    lines.push(`${at} ${batch.clock}`);
    for (const table of batch.tables) {
      if (table.length === 0) continue;
      lines.push(`${table.schema.name}: ${table.schema.fields.map(({ name, kind, hex }) => `${name} ${kind} ${hex}`).join()}`);
      for (let row = 0; row < table.length; row++) lines.push(toText(batch, table, row));
    }
  }
  const { parsedBytes, malformedBytes, records, malformed, samples, lost, lostUnknown } = session.counts;
  lines.push([parsedBytes, malformedBytes, records, lost, lostUnknown, ...[...malformed].flat()].join());
  lines.push(samples.map(({ reason, offset }) => `${reason} ${offset}`).join());
  for (const { cpu, count, fromRaw, toRaw, reason } of session.takeLosses()) lines.push([cpu, count, fromRaw, toRaw, reason].join());
  return lines;
}

function toText(batch: EventBatch, table: EventTable, row: number): string {
  const { strings } = batch;
  const texts = [strings.get(table.comm[row] as number), strings.get(table.body[row] as number)];
  const numbers = [table.rawTime.getBigint(row), table.cpu[row], table.pid[row], table.flags[row], table.preemptCount[row]];
  return [...numbers, ...texts, ...table.fields.map((_field, field) => fieldText(batch, table, field, row))].join('|');
}

/** The first thing that the two ways make otherwise of the input; undefined where there is none. */
export function findDifference(input: Uint8Array, ends: readonly number[]): string | undefined {
  const alone = readAll(WITHOUT_WASM, input, ends);
  const walked = readAll(WITH_WASM, input, ends);
  const place = alone.findIndex((line, i) => line !== walked[i]);
  if (place < 0) return walked.length === alone.length ? undefined : `${walked.length} lines and not ${alone.length}`;
  return `${walked[place]} and not ${alone[place]}`;
}

const PIECES = ['\n', ' ', '-', ':', ': ', '0', '9', '0x', 'f', '[', ']', '(', ')', '=', ' ==> ', '\r', '\t', '.', '<...>', '5 '] as const;

/** A byte or a few of some lines changed, taken out or put in. */
export function mutateLines(input: Uint8Array, random: () => number): Uint8Array {
  const parts: Uint8Array[] = [];
  let from = 0;
  while (from < input.length) {
    const to = Math.min(input.length, from + 1 + Math.floor(random() * 700));
    const kind = Math.floor(random() * 4);
    parts.push(input.subarray(from, to));
    if (kind === 0) parts.push(Buffer.from(PIECES[Math.floor(random() * PIECES.length)] as string, 'latin1'));
    else if (kind === 1) parts.push(Uint8Array.of(Math.floor(random() * 256)));
    from = kind >= 2 ? to + Math.floor(random() * 3) : to + (kind === 1 ? 1 : 0);
  }
  return new Uint8Array(Buffer.concat(parts));
}
