import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { EventBatch, fieldText, type EventTable } from '../../model/event-batch.ts';
import type { FormatSet } from '../../model/segment.ts';
import { NO_RAW_TIME } from '../../model/time.ts';
import { openPageReader, type PageReader } from '../../parsers/ring-buffer.ts';
import { readSegment } from '../support/segment-reader.ts';
import { assertGolden } from '../support/golden.ts';
import { compareWithText, parseTextEvents } from '../support/kernel-text.ts';
import { headerPageOf, PageWriter, payloadOf, THIS_KERNEL, type PageForm } from '../support/page-writer.ts';
import { createRandom, randomBytes } from '../support/random.ts';
import { readRingFixture } from '../support/ring-fixture.ts';
import { makeWork, openTraceInstance } from '../support/trace-instance.ts';

const COMMON = `	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:unsigned char common_flags;	offset:2;	size:1;	signed:0;
	field:unsigned char common_preempt_count;	offset:3;	size:1;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;
`;

function formatOf(event: string, id: number, fields: string, print = '""', common = COMMON): string {
  return `name: ${event}\nID: ${id}\nformat:\n${common}\n${fields}\nprint fmt: ${print}\n`;
}

const TICK = formatOf('tick', 7, '\tfield:int n;\toffset:8;\tsize:4;\tsigned:1;\n');

function openOf(formats: readonly string[], form: PageForm = THIS_KERNEL, system = 'lab'): PageReader {
  const set: FormatSet = {
    headerPage: headerPageOf(form),
    endian: form.little ? 'little' : 'big',
    events: formats.map((format) => ({ system, format })),
    printkFormats: '',
  };
  const reader = openPageReader(set);
  assert.deepEqual(reader.problems, []);
  return reader;
}

function tick(n: number, little = true): Uint8Array {
  return payloadOf(7, 100 + n, 12, little, (view) => view.setInt32(8, n, little));
}

function readPages(reader: PageReader, pages: readonly Uint8Array[], cpu = 0): EventBatch {
  const batch = new EventBatch();
  for (const page of pages) reader.read(page, page.length, cpu, batch);
  return batch;
}

function tableOf(batch: EventBatch, name = 'lab:tick'): EventTable {
  const table = batch.find(name);
  assert.ok(table !== undefined, `no table ${name}`);
  return table;
}

function timesOf(table: EventTable): bigint[] {
  return Array.from({ length: table.length }, (_, row) => table.rawTime.getBigint(row));
}

/** Values of all fields of one row, as text. */
function rowText(batch: EventBatch, table: EventTable, row = 0): Record<string, string> {
  return Object.fromEntries(table.schema.fields.map((field, index) => [field.name, fieldText(batch, table, index, row)]));
}

/** All bytes handed in are parsed or malformed. */
function assertAccounted(reader: PageReader, bytes: number): void {
  assert.equal(reader.counts.parsedBytes + reader.counts.malformedBytes, bytes);
}

test('ring buffer: the recorded pages hold what the kernel printed of them', () => {
  const { set, segment, text } = readRingFixture();
  const reader = openPageReader(set);
  const batch = new EventBatch();
  readSegment(segment, reader, batch);
  const events = parseTextEvents(text);
  assert.ok(events.length > 1000, `only ${events.length} events in the text`);
  assert.equal(batch.length, events.length);
  assert.equal(reader.counts.records, events.length);
  const { differences, fields } = compareWithText(batch, events);
  assert.deepEqual(differences, []);
  assert.ok(fields > 4000, `only ${fields} fields compared`);
  assert.equal(reader.counts.malformedBytes, 0);
  assertAccounted(reader, segment.pages.length);
  assert.equal(batch.clock, 'mono');
});

test('ring buffer: golden of the recorded pages', () => {
  const { set, segment } = readRingFixture();
  const batch = new EventBatch();
  readSegment(segment, openPageReader(set), batch);
  const lines: { readonly key: bigint; readonly line: string }[] = [];
  for (const table of batch.tables) {
    for (let row = 0; row < Math.min(table.length, 12); row++) {
      const fields = Object.entries(rowText(batch, table, row)).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
      const head = [table.rawTime.getBigint(row), table.cpu[row], table.pid[row], table.flags[row], table.preemptCount[row]];
      lines.push({ key: table.rawTime.getBigint(row), line: `${head.join(' ')} ${table.schema.name} ${fields.join(' ')}` });
    }
  }
  lines.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.line < b.line ? -1 : 1));
  assertGolden(
    'ring-buffer',
    lines.map(({ line }) => line),
  );
});

for (const form of [
  { little: true, longBytes: 8, sizeBytes: 4096 },
  { little: false, longBytes: 8, sizeBytes: 65536 },
  { little: true, longBytes: 4, sizeBytes: 4096 },
  { little: false, longBytes: 4, sizeBytes: 1024 },
] as const) {
  test(`ring buffer: reads ${form.little ? 'little' : 'big'}-endian pages of ${form.longBytes * 8}-bit kernels, ${form.sizeBytes} bytes each`, () => {
    const wide = formatOf(
      'wide',
      9,
      [
        '\tfield:u64 big;\toffset:8;\tsize:8;\tsigned:0;',
        '\tfield:s64 negative;\toffset:16;\tsize:8;\tsigned:1;',
        '\tfield:short small;\toffset:24;\tsize:2;\tsigned:1;',
        '\tfield:u8 byte;\toffset:26;\tsize:1;\tsigned:0;',
        '\tfield:s8 tiny;\toffset:27;\tsize:1;\tsigned:1;',
        '\tfield:u16 port;\toffset:28;\tsize:2;\tsigned:0;',
        '\tfield:__data_loc char[] name;\toffset:32;\tsize:4;\tsigned:0;',
        '\tfield:__data_loc cpumask_t cpus;\toffset:36;\tsize:4;\tsigned:0;\n',
      ].join('\n'),
    );
    const maskBytes = form.longBytes;
    const payload = payloadOf(9, -1, 40 + 8 + maskBytes, form.little, (view) => {
      view.setBigUint64(8, 0xfedc_ba98_7654_3210n, form.little);
      view.setBigInt64(16, -5_000_000_000n, form.little);
      view.setInt16(24, -2, form.little);
      view.setUint8(26, 250);
      view.setInt8(27, -3);
      view.setUint16(28, 0xbeef, form.little);
      view.setUint32(32, (6 << 16) | 40, form.little);
      for (const [i, byte] of Buffer.from('eth0\0x').entries()) view.setUint8(40 + i, byte);
      view.setUint32(36, (maskBytes << 16) | 48, form.little);
      if (maskBytes === 8) view.setBigUint64(48, 0b1_0000_1111n, form.little);
      else view.setUint32(48, 0b1_0000_1111, form.little);
    });
    const reader = openOf([TICK, wide], form);
    const page = new PageWriter(1_000n, form)
      .event(5, tick(1, form.little))
      .extend(1n << 40n)
      .event(7, payload)
      .event(0, tick(-2, form.little))
      .finish(3);
    const batch = readPages(reader, [page], 2);
    const ticks = tableOf(batch);
    assert.deepEqual(timesOf(ticks), [1005n, 1012n + (1n << 40n)]);
    assert.deepEqual([...(ticks.pid.subarray(0, 2) as Int32Array)], [101, 98]);
    assert.deepEqual([ticks.cpu[0], ticks.cpu[1]], [2, 2]);
    assert.deepEqual(rowText(batch, ticks, 1), { n: '-2' });
    const table = tableOf(batch, 'lab:wide');
    assert.deepEqual(rowText(batch, table), {
      big: String(0xfedc_ba98_7654_3210n),
      negative: '-5000000000',
      small: '-2',
      byte: '250',
      tiny: '-3',
      port: '48879',
      name: 'eth0',
      cpus: '0-3,8',
    });
    assert.deepEqual(reader.takeLosses(), [{ cpu: 2, fromRaw: NO_RAW_TIME, toRaw: 1000n, count: 3 }]);
    assertAccounted(reader, form.sizeBytes);
  });
}

test('ring buffer: losses carry their window, with and without a stored count', () => {
  const reader = openOf([TICK]);
  const pages = [
    new PageWriter(100n).event(5, tick(1)).finish(),
    new PageWriter(900n).event(1, tick(2)).finish('unknown'),
    new PageWriter(2000n).event(1, tick(3)).finish(780),
  ];
  readPages(reader, pages, 1);
  // Another CPU has a history of its own.
  readPages(reader, [new PageWriter(50n).event(1, tick(3)).finish(2)], 0);
  assert.deepEqual(reader.takeLosses(), [
    { cpu: 1, fromRaw: 105n, toRaw: 900n, count: undefined },
    { cpu: 1, fromRaw: 901n, toRaw: 2000n, count: 780 },
    { cpu: 0, fromRaw: NO_RAW_TIME, toRaw: 50n, count: 2 },
  ]);
  assert.deepEqual(reader.takeLosses(), []);
  assert.equal(reader.counts.lost, 782);
  assert.equal(reader.counts.lostUnknown, 1);
});

test('ring buffer: a page too full for its loss count reports an unknown one', () => {
  const reader = openOf([TICK]);
  const writer = new PageWriter(1n);
  for (let i = 0; i < 255; i++) writer.event(1, tick(i));
  const page = writer.finish('unknown');
  // 4080 bytes of data: nothing behind them to hold a count.
  new DataView(page.buffer).setUint32(8, (0xc000_0000 | 4080) >>> 0, true);
  readPages(reader, [page]);
  assert.equal(reader.counts.records, 255);
  assert.deepEqual([reader.counts.lost, reader.counts.lostUnknown], [0, 1]);
});

test('ring buffer: a discarded event is skipped and its time counts', () => {
  const reader = openOf([TICK]);
  const page = new PageWriter(0n).event(10, tick(1)).discarded(7, 20).event(3, tick(2)).finish();
  assert.deepEqual(timesOf(tableOf(readPages(reader, [page]))), [10n, 20n]);
  assert.equal(reader.counts.discarded, 1);
  assertAccounted(reader, 4096);
});

test('ring buffer: padding with delta 0 ends the page', () => {
  const reader = openOf([TICK]);
  const page = new PageWriter(0n).event(1, tick(1)).word(29, 0).event(1, tick(2)).finish();
  assert.equal(readPages(reader, [page]).length, 1);
  assertAccounted(reader, 4096);
});

test('ring buffer: absolute stamps get their top five bits from the running time', () => {
  const reader = openOf([TICK]);
  const tai = 1_795_420_027_972_445_123n;
  assert.ok(tai > 1n << 59n);
  const page = new PageWriter(tai)
    .absolute(tai + 5n)
    .event(0, tick(1))
    .finish();
  assert.deepEqual(timesOf(tableOf(readPages(reader, [page]))), [tai + 5n]);
  // The 59 bits have turned over since the running time.
  const before = (3n << 59n) - 2n;
  const turned = new PageWriter(before)
    .absolute((3n << 59n) + 1n)
    .event(0, tick(1))
    .finish();
  assert.deepEqual(timesOf(tableOf(readPages(reader, [turned]))), [(3n << 59n) + 1n]);
  // Below 2^59 an absolute stamp may go back: nested writers do.
  const back = new PageWriter(1000n).absolute(990n).event(0, tick(1)).finish();
  assert.deepEqual(timesOf(tableOf(readPages(reader, [back]))), [990n]);
});

test('ring buffer: events of a CPU with one stamp come a nanosecond apart in aligned time, in the order they were written', () => {
  const tock = formatOf('tock', 8, '\tfield:int n;\toffset:8;\tsize:4;\tsigned:1;\n');
  const reader = openOf([TICK, tock]);
  const of8 = (n: number): Uint8Array => payloadOf(8, 1, 12, true, (view) => view.setInt32(8, n, true));
  const batch = new EventBatch();
  const writtenOf = (): string[] => {
    for (const { unixTime, rawTime, length } of batch.tables) {
      for (let row = 0; row < length; row++) unixTime.setBigint(row, rawTime.getBigint(row) + 1000n);
    }
    batch.ties.separate();
    const rows = batch.tables.flatMap((table) =>
      Array.from({ length: table.length }, (_, row) => ({
        at: table.unixTime.getBigint(row),
        said: `${table.rawTime.getBigint(row)} ${table.schema.event} ${fieldText(batch, table, 0, row)}`,
      })),
    );
    return rows.sort((a, b) => Number(a.at - b.at)).map(({ at, said }) => `${at} ${said}`);
  };
  const first = new PageWriter(0n).event(5, of8(1)).event(0, tick(2)).event(0, of8(3)).event(7, tick(4)).finish();
  reader.read(first, 4096, 0, batch);
  // Another CPU has stamps of its own.
  reader.read(new PageWriter(12n).event(0, of8(9)).finish(), 4096, 1, batch);
  assert.deepEqual(writtenOf(), ['1005 5 tock 1', '1006 5 tick 2', '1007 5 tock 3', '1012 12 tock 9', '1012 12 tick 4']);
  batch.clear();
  // The stamp of the last event of the batch before; and an extended delta of 0 behind it.
  reader.read(new PageWriter(12n).event(0, of8(5)).extend(0n).event(0, tick(6)).finish(), 4096, 0, batch);
  assert.deepEqual(writtenOf(), ['1013 12 tock 5', '1014 12 tick 6']);
});

test('ring buffer: deltas carry over 32 bits', () => {
  const reader = openOf([TICK]);
  const page = new PageWriter(0xffff_ffffn)
    .event(1, tick(1))
    .event(0x7ff_ffff, tick(2))
    .extend(0xffff_ffff_ffffn)
    .event(0, tick(3))
    .finish();
  assert.deepEqual(timesOf(tableOf(readPages(reader, [page]))), [
    0x1_0000_0000n,
    0x1_0000_0000n + 0x7ff_ffffn,
    0x1_0000_0000n + 0x7ff_ffffn + 0xffff_ffff_ffffn,
  ]);
});

test('ring buffer: takes payloads in the long form', () => {
  const text = formatOf('note', 11, '\tfield:char text[];\toffset:8;\tsize:0;\tsigned:0;\n');
  const reader = openOf([TICK, text]);
  const long = 'x'.repeat(501);
  const payload = payloadOf(11, 1, 8 + 502, true, (view) => {
    for (let i = 0; i < long.length; i++) view.setUint8(8 + i, 0x78);
    view.setUint8(8 + long.length, 0x0a);
  });
  const page = new PageWriter(0n).event(1, payload).event(1, tick(5), true).finish();
  const batch = readPages(reader, [page]);
  assert.deepEqual(rowText(batch, tableOf(batch, 'lab:note')), { text: long });
  assert.deepEqual(rowText(batch, tableOf(batch)), { n: '5' });
});

test('ring buffer: renders arrays, bytes, masks, relative locations and pointers', () => {
  const format = formatOf(
    'shapes',
    12,
    [
      '\tfield:unsigned long args[2];\toffset:8;\tsize:16;\tsigned:0;',
      '\tfield:int list[3];\toffset:24;\tsize:12;\tsigned:1;',
      '\tfield:u8 mac[6];\toffset:36;\tsize:6;\tsigned:0;',
      '\tfield:__rel_loc u8[] key;\toffset:44;\tsize:4;\tsigned:0;',
      '\tfield:void * ptr;\toffset:48;\tsize:8;\tsigned:0;',
      '\tfield:__data_loc unsigned long[] mask;\toffset:56;\tsize:4;\tsigned:0;',
      '\tfield:struct pair pair;\toffset:60;\tsize:12;\tsigned:0;',
      '\tfield:__data_loc s32[] deltas;\toffset:72;\tsize:4;\tsigned:0;\n',
    ].join('\n'),
    '"%lx %s", REC->args[0], __get_bitmask(mask)',
  );
  const payload = payloadOf(12, 1, 104, true, (view) => {
    view.setBigUint64(8, 255n, true);
    view.setBigUint64(16, 0xffff_ffff_8260_8fc1n, true);
    for (const [i, value] of [1, -2, 3].entries()) view.setInt32(24 + i * 4, value, true);
    for (let i = 0; i < 6; i++) view.setUint8(36 + i, 0xa0 + i);
    // From the end of the location (48) to 80.
    view.setUint32(44, (3 << 16) | 32, true);
    for (let i = 0; i < 3; i++) view.setUint8(80 + i, i + 1);
    view.setBigUint64(48, 0xffff_8881_0000_1000n, true);
    view.setUint32(56, (8 << 16) | 84, true);
    view.setUint8(84, 0b1000_0001);
    view.setUint8(91, 0x80);
    for (let i = 0; i < 12; i++) view.setUint8(60 + i, i);
    view.setUint32(72, (8 << 16) | 96, true);
    view.setInt32(96, -7, true);
    view.setInt32(100, 7, true);
  });
  const reader = openOf([format]);
  const batch = readPages(reader, [new PageWriter(0n).event(1, payload).finish()]);
  assert.deepEqual(rowText(batch, tableOf(batch, 'lab:shapes')), {
    args: '{0xff,0xffffffff82608fc1}',
    list: '{1,-2,3}',
    mac: 'a0a1a2a3a4a5',
    key: '010203',
    ptr: '0xffff888100001000',
    mask: '0,7,63',
    pair: '000102030405060708090a0b',
    deltas: '{-7,7}',
  });
});

test('ring buffer: hexadecimal lists are the numbers, of any width and byte order', () => {
  const random = createRandom(3);
  const fields = [2, 4, 8].map((width, i) => `\tfield:u${width * 8} w${width}[4];\toffset:${8 + i * 32};\tsize:${width * 4};\tsigned:0;\n`);
  const format = formatOf('lists', 12, fields.join(''), '"%x %x %llx", REC->w2[0], REC->w4[0], REC->w8[0]');
  for (let run = 0; run < 400; run++) {
    const form = { ...THIS_KERNEL, little: run % 2 === 0 };
    // Many zeros: small numbers, and those that end with them.
    const bytes = randomBytes(random, 96).map((byte) => (random() < 0.6 ? 0 : byte));
    const payload = payloadOf(12, 1, 104, form.little, (view) => bytes.forEach((byte, i) => view.setUint8(8 + i, byte)));
    const batch = readPages(openOf([format], form), [new PageWriter(0n, form).event(1, payload).finish()]);
    const listOf = (width: number, from: number): string => {
      const numbers = [0, 1, 2, 3].map((i) => Buffer.from(bytes.slice(from + i * width, from + (i + 1) * width)));
      return `{${numbers.map((own) => `0x${BigInt(`0x${(form.little ? own.reverse() : own).toString('hex')}`).toString(16)}`).join(',')}}`;
    };
    assert.deepEqual(rowText(batch, tableOf(batch, 'lab:lists')), { w2: listOf(2, 0), w4: listOf(4, 32), w8: listOf(8, 64) });
  }
});

test('ring buffer: remote events have no common fields but the type, and lie unaligned', () => {
  const common = '\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n';
  const reader = openOf([formatOf('ffa', 13, '\tfield:u64 func;\toffset:2;\tsize:8;\tsigned:0;\n', '""', common)]);
  const payload = payloadOf(13, 0, 10, true, (view) => view.setBigUint64(2, 0x8400_0061n, true));
  const batch = readPages(reader, [new PageWriter(0n).event(1, payload).finish()]);
  const table = tableOf(batch, 'lab:ffa');
  assert.deepEqual(rowText(batch, table), { func: String(0x8400_0061) });
  assert.equal(table.pid[0], -1);
});

test('ring buffer: stacks are as long as their record', () => {
  const stack = formatOf(
    'kernel_stack',
    4,
    '\tfield:int size;\toffset:8;\tsize:4;\tsigned:1;\n\tfield:unsigned long caller[8];\toffset:16;\tsize:64;\tsigned:0;\n',
    '"=> %ps", (void *)REC->caller[0]',
  );
  const reader = openOf([stack], THIS_KERNEL, 'ftrace');
  const payload = payloadOf(4, 1, 16 + 16, true, (view) => {
    view.setInt32(8, 2, true);
    view.setBigUint64(16, 0x10n, true);
    view.setBigUint64(24, 0x20n, true);
  });
  const batch = readPages(reader, [new PageWriter(0n).event(1, payload).finish()]);
  assert.deepEqual(rowText(batch, tableOf(batch, 'ftrace:kernel_stack')), { size: '2', caller: '{0x10,0x20}' });
  assert.equal(reader.counts.malformedBytes, 0);
});

test('ring buffer: markers keep their lines, raw markers are bytes', () => {
  const { set, segment } = readRingFixture();
  const batch = new EventBatch();
  readSegment(segment, openPageReader(set), batch);
  const print = tableOf(batch, 'ftrace:print');
  assert.equal(rowText(batch, print)['buf'], 'mkscope: first line\nsecond line');
  const raw = tableOf(batch, 'ftrace:raw_data');
  assert.equal(rowText(batch, raw)['id'], '0x2a');
  assert.ok(rowText(batch, raw)['buf']?.startsWith(Buffer.from('raw bytes').toString('hex')));
});

test('ring buffer: an event without a format is counted, and the rest of its page read', () => {
  const reader = openOf([TICK]);
  const page = new PageWriter(0n)
    .event(1, tick(1))
    .event(1, payloadOf(999, 1, 24, true))
    .event(1, tick(2))
    .event(1, payloadOf(7, 1, 8, true))
    .event(1, tick(3))
    .finish();
  assert.deepEqual(timesOf(tableOf(readPages(reader, [page]))), [1n, 3n, 5n]);
  assert.deepEqual(
    [...reader.counts.malformed],
    [
      ['unknown_event', 1],
      ['record_too_short', 1],
    ],
  );
  assert.equal(reader.counts.malformedBytes, 28 + 12);
  assertAccounted(reader, 4096);
});

test('ring buffer: a broken record ends its page and the next page stands', () => {
  const broken: readonly (readonly [string, (writer: PageWriter) => PageWriter])[] = [
    ['record_length', (writer) => writer.word(0, 1).u32(0xffff_fff0)],
    ['record_length', (writer) => writer.word(0, 1).u32(0)],
    ['record_length', (writer) => writer.word(28, 1)],
    ['record_length', (writer) => writer.word(29, 1).u32(0)],
    ['record_length', (writer) => writer.word(29, 1).u32(0xffff_ffff)],
    ['record_cut', (writer) => writer.word(30, 1)],
  ];
  for (const [reason, write] of broken) {
    const reader = openOf([TICK]);
    const pages = [write(new PageWriter(0n).event(1, tick(1))).finish(), new PageWriter(50n).event(1, tick(2)).finish()];
    assert.deepEqual(timesOf(tableOf(readPages(reader, pages))), [1n, 51n]);
    assert.deepEqual([...reader.counts.malformed], [[reason, 1]]);
    assertAccounted(reader, 8192);
  }
});

test('ring buffer: counts pages that cannot be read at all', () => {
  const reader = openOf([TICK]);
  const page = new PageWriter(0n).event(1, tick(1)).finish();
  new DataView(page.buffer).setUint32(8, 5000, true);
  readPages(reader, [page]);
  reader.read(new Uint8Array(100), 4096, 0, new EventBatch());
  reader.read(new Uint8Array(8), 8, 0, new EventBatch());
  assert.deepEqual(
    [...reader.counts.malformed],
    [
      ['commit_too_long', 1],
      ['torn_page', 1],
      ['page_layout', 1],
    ],
  );
  assertAccounted(reader, 4096 + 100 + 8);
});

test('ring buffer: a format set that is broken is said, and reads nothing', () => {
  const reader = openPageReader({ headerPage: '', endian: 'little', events: [{ system: 'lab', format: 'name: x' }], printkFormats: '' });
  assert.equal(reader.problems.length, 2);
  const batch = readPages(reader, [new PageWriter(0n).event(1, tick(1)).finish()]);
  assert.equal(batch.length, 0);
  assert.deepEqual([...reader.counts.malformed], [['page_layout', 1]]);
});

test('ring buffer: a location outside of its record leaves the value empty', () => {
  const format = formatOf('named', 14, '\tfield:__data_loc char[] name;\toffset:8;\tsize:4;\tsigned:0;\n');
  const reader = openOf([format]);
  const at = (location: number): Uint8Array => payloadOf(14, 1, 16, true, (view) => view.setUint32(8, location, true));
  const page = new PageWriter(0n)
    .event(1, at((4000 << 16) | 12))
    .event(1, at(0xffff))
    .event(1, at((4 << 16) | 12))
    .finish();
  const batch = readPages(reader, [page]);
  assert.equal(tableOf(batch, 'lab:named').length, 3);
  assert.deepEqual(rowText(batch, tableOf(batch, 'lab:named')), { name: '' });
  assert.equal(reader.counts.malformed.get('value_outside_record'), 2);
});

test('ring buffer: overlapping locations cannot multiply a page', () => {
  const fields = Array.from({ length: 400 }, (_, i) => `\tfield:__data_loc u8[] f${i};\toffset:${8 + i * 4};\tsize:4;\tsigned:0;`);
  const reader = openOf([formatOf('greedy', 15, `${fields.join('\n')}\n`)]);
  const payload = payloadOf(15, 1, 4000, true, (view) => {
    for (let i = 0; i < 400; i++) view.setUint32(8 + i * 4, (3990 << 16) | (i % 10), true);
  });
  const batch = readPages(reader, [new PageWriter(0n).event(1, payload).finish()]);
  assert.ok(batch.strings.arena.length < 128 * 1024, `${batch.strings.arena.length} bytes of text from one page`);
  assert.ok((reader.counts.malformed.get('value_outside_record') ?? 0) > 390);
});

test('ring buffer: names that look alike in their first bytes stay apart', () => {
  const format = formatOf(
    'comms',
    16,
    '\tfield:char comm[16];\toffset:8;\tsize:16;\tsigned:0;\n\tfield:__data_loc char[] name;\toffset:24;\tsize:4;\tsigned:0;\n',
  );
  const reader = openOf([format]);
  const names = ['', 'a', 'ab', 'abc', 'abcd', 'abcde', 'kworker/0:1', 'kworker/0:10', 'fifteen-letters', 'sixteen-letters!'];
  const writer = new PageWriter(0n);
  const wanted: Record<string, string>[] = [];
  for (let round = 0; round < 2; round++) {
    for (const [i, comm] of names.entries()) {
      const name = names[(i * 7 + 3) % names.length] as string;
      // Behind the NUL a task name keeps what was there before.
      const bytes = `${comm}\0zzzzzzzzzzzzzzzz`.slice(0, 16);
      const payload = payloadOf(16, 1, 28 + ((name.length + 3) & ~3), true, (view) => {
        for (let at = 0; at < 16; at++) view.setUint8(8 + at, bytes.charCodeAt(at));
        view.setUint32(24, (name.length << 16) | 28, true);
        for (let at = 0; at < name.length; at++) view.setUint8(28 + at, name.charCodeAt(at));
      });
      writer.event(1, payload);
      wanted.push({ comm, name });
    }
  }
  const batch = readPages(reader, [writer.finish()]);
  const table = tableOf(batch, 'lab:comms');
  assert.deepEqual(
    wanted.map((_, row) => rowText(batch, table, row)),
    wanted,
  );
});

test('ring buffer: events of one name and other fields get tables of their own in one batch', () => {
  const other = formatOf('tick', 8, '\tfield:u64 n;\toffset:8;\tsize:8;\tsigned:0;\n');
  const batch = new EventBatch();
  const page = new PageWriter(0n).event(1, tick(1)).finish();
  openOf([TICK]).read(page, 4096, 0, batch);
  const wide = new PageWriter(0n).event(1, payloadOf(8, 1, 16, true)).finish();
  for (let i = 0; i < 2; i++) openOf([other]).read(wide, 4096, 0, batch);
  openOf([TICK]).read(page, 4096, 0, batch);
  assert.deepEqual(
    batch.tables.map((table) => [table.schema.name, table.length]),
    [
      ['lab:tick', 2],
      ['lab:tick', 2],
    ],
  );
});

test('ring buffer: a batch that is cleared and read into again has the rows of a new one', () => {
  const { set, segment } = readRingFixture();
  const textOf = (batch: EventBatch): string[] =>
    batch.tables.flatMap((table) =>
      Array.from({ length: table.length }, (_, row) =>
        [table.schema.name, table.rawTime.getBigint(row), table.pid[row], table.flags[row], table.preemptCount[row], table.comm[row]]
          .concat(table.schema.fields.map((_field, i) => fieldText(batch, table, i, row)))
          .join(' '),
      ),
    );
  const kept = new EventBatch();
  const reader = openPageReader(set);
  // Other pages first, so that every column holds something else; then two that have fewer rows.
  reader.read(segment.pages.subarray(4096 * 4), 4096, 3, kept);
  for (const table of kept.tables) {
    table.comm.fill(7);
    for (const column of table.fields) if (column.kind === 'string') column.values.fill(kept.strings.internString('stale'));
  }
  for (let page = 0; page < 2; page++) {
    const pages = segment.pages.subarray(4096 * page, 4096 * (page + 1));
    const fresh = new EventBatch();
    openPageReader(set).read(pages, 4096, 1, fresh);
    kept.clear();
    reader.read(pages, 4096, 1, kept);
    assert.equal(kept.length, fresh.length);
    assert.deepEqual(textOf(kept).sort(), textOf(fresh).sort());
  }
});

test('ring buffer: sub-buffers of other sizes are read as the kernel hands them out', (t) => {
  const instance = openTraceInstance('subbuf');
  if (instance === undefined) return t.skip('no tracefs instance: needs root and a kernel with tracing');
  try {
    if (!existsSync(`${instance.path}/buffer_subbuf_size_kb`)) return t.skip('this kernel has sub-buffers of one size');
    for (const sizeKb of [8, 64]) {
      instance.set('buffer_subbuf_size_kb', String(sizeKb));
      // In steps of pages of the machine, the kernel says what it made of it.
      const sizeBytes = Number(instance.get('buffer_subbuf_size_kb')) * 1024;
      instance.set('tracing_on', '1');
      instance.set('events/sched/enable', '1');
      makeWork(1);
      instance.set('tracing_on', '0');
      instance.set('events/sched/enable', '0');
      const reader = openPageReader(instance.readFormats(['sched']));
      for (const cpu of instance.cpus) reader.read(instance.readPages(cpu, sizeBytes), sizeBytes, cpu, new EventBatch());
      const readEvents: number = instance.cpus.reduce(
        (sum: number, cpu) => sum + Number(/^read events: (\d+)/m.exec(instance.get(`per_cpu/cpu${cpu}/stats`))?.[1]),
        0,
      );
      assert.ok(reader.counts.records > 0);
      assert.equal(reader.counts.records, readEvents);
      assert.equal(reader.counts.malformedBytes, 0);
      instance.set('trace', '');
    }
  } finally {
    instance.remove();
  }
});

test('ring buffer: pages cut anywhere lose only their tail', () => {
  const { set, segment } = readRingFixture();
  for (let cut = 0; cut < 4096 * 3; cut += 97) {
    const reader = openPageReader(set);
    reader.read(segment.pages.subarray(0, cut), 4096, 0, new EventBatch());
    assert.equal(reader.counts.pages, Math.floor(cut / 4096));
    assertAccounted(reader, cut);
  }
});

test('ring buffer: survives flipped and random bytes with its books balanced', () => {
  const { set, segment } = readRingFixture();
  const random = createRandom(20_261_123);
  for (let round = 0; round < 300; round++) {
    const reader = openPageReader(set);
    const batch = new EventBatch();
    const pages = round % 3 === 0 ? randomBytes(random, 4096 * 2) : segment.pages.slice(0, 4096 * 2);
    const flips = round % 3 === 0 ? 0 : 1 + Math.floor(random() * 200);
    for (let i = 0; i < flips; i++) pages[Math.floor(random() * pages.length)] = Math.floor(random() * 256);
    // Plausible commits, so that the records are walked.
    if (round % 3 === 0) for (const at of [8, 4104]) new DataView(pages.buffer).setUint32(at, 4080, true);
    reader.read(pages, 4096, round, batch);
    assertAccounted(reader, pages.length);
    assert.equal(batch.length, reader.counts.records);
    for (const table of batch.tables) assert.ok(table.length <= table.capacity);
  }
});

test('ring buffer: a segment whose chunks and pages differ is read as far as it goes', () => {
  const { set, segment } = readRingFixture();
  const short = openPageReader(set);
  readSegment({ header: segment.header, pages: segment.pages.subarray(0, 4096 * 7) }, short, new EventBatch());
  assert.equal(short.counts.pages, 7);
  assert.equal(short.counts.malformed.get('chunk_without_pages'), 1);
  const long = openPageReader(set);
  readSegment({ header: { ...segment.header, chunks: [{ cpu: 1, pages: 2 }] }, pages: segment.pages }, long, new EventBatch());
  assert.equal(long.counts.pages, 2);
  assertAccounted(long, segment.pages.length);
});

test('ring buffer: every event of this kernel reads as the kernel prints it', (t) => {
  const instance = openTraceInstance('all-events');
  if (instance === undefined) return t.skip('no tracefs instance: needs root and a kernel with tracing');
  try {
    instance.set('trace_clock', 'mono');
    instance.set('options/fields', '1');
    instance.set('options/hash-ptr', '0');
    instance.set('buffer_size_kb', '4096');
    instance.set('events/enable', '1');
    makeWork(1);
    instance.set('tracing_on', '0');
    instance.set('events/enable', '0');
    const text = instance.get('trace');
    const reader = openPageReader(instance.readFormats());
    assert.deepEqual(reader.problems, []);
    const batch = new EventBatch();
    for (const cpu of instance.cpus) reader.read(instance.readPages(cpu, 4096), 4096, cpu, batch);
    const events = parseTextEvents(text);
    assert.equal(batch.length, events.length);
    const { differences, fields } = compareWithText(batch, events);
    assert.deepEqual(differences.slice(0, 20), []);
    assert.equal(reader.counts.malformedBytes, 0);
    t.diagnostic(`${events.length} events of ${batch.tables.length} kinds, ${fields} fields`);
  } finally {
    instance.remove();
  }
});

test('ring buffer: read and lost events add up to what the kernel wrote', (t) => {
  const instance = openTraceInstance('ledger');
  if (instance === undefined) return t.skip('no tracefs instance: needs root and a kernel with tracing');
  try {
    instance.set('buffer_size_kb', '16');
    const reader = openPageReader(instance.readFormats(['sched', 'irq', 'timer', 'raw_syscalls', 'ftrace']));
    const read = (most?: number): void => {
      for (const cpu of instance.cpus) reader.read(instance.readPages(cpu, 4096, most), 4096, cpu, new EventBatch());
    };
    for (const system of ['sched', 'irq', 'timer', 'raw_syscalls']) instance.set(`events/${system}/enable`, '1');
    for (let i = 0; i < 4; i++) {
      makeWork(1);
      read(8);
    }
    instance.set('tracing_on', '0');
    read();
    const total = (name: string): number =>
      instance.cpus.reduce(
        (sum, cpu) => sum + Number(new RegExp(`^${name}: (\\d+)`, 'm').exec(instance.get(`per_cpu/cpu${cpu}/stats`))?.[1]),
        0,
      );
    const { records, lost, lostUnknown } = reader.counts;
    assert.equal(records, total('read events'));
    assert.equal(total('entries'), 0);
    assert.ok(total('overrun') > 0, 'the buffer did not overrun: the test shows nothing');
    if (lostUnknown === 0) assert.equal(lost, total('overrun'));
    assert.ok(lost <= total('overrun'));
    t.diagnostic(`${records} read, ${lost} lost, ${lostUnknown} pages with an unknown loss`);
  } finally {
    instance.remove();
  }
});
