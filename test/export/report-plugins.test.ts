/**
 * Events that libtraceevent's plugins print: records made up from the format files of real kernels (test/fixtures/plugin_formats), and
 * what trace-cmd makes of them.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Reporter } from '../../export/report.ts';
import { PageEncoder } from '../../export/page-encoder.ts';
import { TextOut } from '../../export/text-out.ts';
import { parseEventFormat, type EventFormat, type FormatField } from '../../parsers/event-format.ts';
import { parseHeaderPage } from '../../parsers/page-header.ts';
import { traceDat } from '../../parsers/trace-dat.ts';
import { toTestSource } from '../support/event-file-suite.ts';
import { createRandom, randomBytes } from '../support/random.ts';
import { readRingFixture } from '../support/ring-fixture.ts';
import { hasTraceCmd, runTraceCmd, withFolder } from '../support/trace-cmd.ts';
import { writeTraceDat } from '../support/trace-dat-writer.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures/plugin_formats');
const ROUNDS = 40;
const COMMAND_CODES = [0x08, 0x0a, 0x28, 0x2a, 0x2f, 0x41, 0xa8, 0xaa, 0xaf, 0x88, 0x8a, 0x8f, 0x93, 0x42, 0x9e, 0x7f, 0x12];
const TAIL_BYTES = 36;
/** Of an event that a plugin prints. */
const MOST_FIELDS = 10;

type Random = () => number;

interface NamedFormat {
  readonly system: string;
  readonly format: string;
}

/** Format files one after the other, each behind `system: NAME`. */
function readFormats(name: string): NamedFormat[] {
  return readFileSync(join(FIXTURES, name), 'utf8')
    .split(/^system: /m)
    .slice(1)
    .map((part) => ({ system: part.slice(0, part.indexOf('\n')), format: part.slice(part.indexOf('\n') + 1) }));
}

/** Values that plugins have a name for come more often than chance would have them. */
function makeField(field: FormatField, random: Random, round: number): Uint8Array<ArrayBuffer> {
  const bytes = randomBytes(random, field.sizeBytes);
  if (random() < 0.5) bytes.fill(0, 1);
  const small = (below: number): void => {
    bytes.fill(0);
    bytes[0] = Math.floor(random() * below);
  };
  if (/^isa_?$/.test(field.name)) bytes.fill(0).set([1 + (round % 3)]);
  else if (/^exit_(?:reason|code)_?$/.test(field.name)) small(160);
  else if (/^(?:len|cmd_len|op)_?$/.test(field.name)) small(field.name.startsWith('op') ? 60 : 16);
  else if (field.shape === 'fixed' && field.element === 'char') bytes.fill(0).set(Buffer.from(`name${round}`).subarray(0, bytes.length));
  return bytes;
}

function makeTail(field: FormatField, random: Random, round: number): Uint8Array {
  if (field.element === 'char') return Buffer.from(`text${round}\0`);
  const tail = randomBytes(random, TAIL_BYTES);
  if (!field.name.startsWith('cmnd')) return tail;
  const code = COMMAND_CODES[round % COMMAND_CODES.length] as number;
  tail[0] = code;
  if (code === 0x7f) tail.set([0, 9 + (Math.floor(round / 17) % 5)], 8);
  if (code === 0x9e && round % 3 > 0) tail[1] = 0x10 + 2 * (round % 2);
  return tail;
}

function makeRecord(format: EventFormat, random: Random, round: number): Uint8Array {
  const fields = [...format.common, ...format.fields];
  const fixedBytes = Math.max(...fields.map(({ offsetBytes, sizeBytes }) => offsetBytes + sizeBytes));
  let record = Buffer.alloc((fixedBytes + 3) & ~3);
  for (const field of format.fields) {
    const bytes = makeField(field, random, round);
    if (field.shape === 'data_loc') {
      const tail = makeTail(field, random, round);
      new DataView(bytes.buffer).setUint32(0, (tail.length << 16) | record.length, true);
      record = Buffer.concat([record, tail, Buffer.alloc(-tail.length & 3)]);
    }
    record.set(bytes, field.offsetBytes);
  }
  record.writeUInt16LE(format.id, 0);
  record.writeInt32LE(77, 4);
  return record;
}

function makeRecording(events: readonly NamedFormat[], seed: number, rounds = ROUNDS): Uint8Array<ArrayBuffer> {
  const { set } = readRingFixture();
  const layout = parseHeaderPage(set.headerPage);
  assert.ok(typeof layout !== 'string', String(layout));
  const random = createRandom(seed);
  const encoder = new PageEncoder(layout, true);
  let time = 0n;
  for (const { system, format } of events) {
    const parsed = parseEventFormat(format, system);
    assert.ok(typeof parsed !== 'string', String(parsed));
    for (let round = 0; round < rounds; round++) assert.ok(encoder.add((time += 1000n), makeRecord(parsed, random, round)));
  }
  const pages = Buffer.concat(encoder.finish());
  const buffers = [{ instance: '', clock: 'local', pageSizeBytes: layout.pageSizeBytes, cpus: [{ cpu: 0, pages }] }];
  return writeTraceDat({ formats: { ...set, events }, comms: '77 guest\n', buffers });
}

function report(bytes: Uint8Array, raw: boolean): string {
  const options = { latency: false, raw, nanoseconds: false, timeDifference: false, filter: undefined, convert: undefined };
  const reporter = new Reporter(traceDat.open(toTestSource(bytes)), options);
  const out = new TextOut();
  while (reporter.write(out, 1 << 16));
  return Buffer.from(out.view()).toString('latin1');
}

/** The format with one of its fields under another name, as other kernels have it; undefined where it has fewer. */
function renameField({ system, format }: NamedFormat, index: number): NamedFormat | undefined {
  const own = format.slice(format.indexOf('\n\n\tfield:'));
  const field = [...own.matchAll(/^\tfield:.*?(\w+)(?:\[\w*\])?;/gm)][index]?.[1];
  if (field === undefined || field === 'name') return undefined;
  return { system, format: format.replaceAll(new RegExp(`(?<!name: )\\b${field}\\b`, 'g'), `${field}_`) };
}

function assertSame(bytes: Uint8Array, leastLines: number): void {
  withFolder((folder) => {
    const path = join(folder, 'made.dat');
    writeFileSync(path, bytes);
    for (const [raw, args] of [
      [false, []],
      [true, ['-R']],
    ] as const) {
      const theirs = (runTraceCmd(['report', ...args, '-i', path]) ?? '').split('\n');
      const ours = report(bytes, raw).split('\n');
      const at = theirs.findIndex((line, i) => line !== ours[i]);
      assert.equal(ours[at], theirs[at], `line ${at + 1}`);
      assert.equal(ours.length, theirs.length);
      assert.ok(theirs.length > leastLines, `${theirs.length} lines`);
    }
  });
}

for (const name of readdirSync(FIXTURES).filter((file) => file.endsWith('.txt'))) {
  const events = readFormats(name);
  test(`report plugins: trace-cmd prints the same of made-up records of ${name}`, (t) => {
    if (!hasTraceCmd()) return t.skip('no trace-cmd');
    assertSame(makeRecording(events, 5), events.length * ROUNDS);
  });

  test(`report plugins: trace-cmd says the same of fields that ${name} would not have`, (t) => {
    if (!hasTraceCmd()) return t.skip('no trace-cmd');
    for (let index = 0; index < MOST_FIELDS; index++) {
      const renamed = events.flatMap((event) => renameField(event, index) ?? []);
      assertSame(makeRecording(renamed, 6, 4), renamed.length * 4);
    }
  });
}
