import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventBatch, fieldText, type EventTable } from '../../model/event-batch.ts';
import type { FormatSet } from '../../model/segment.ts';
import { EventEncoder } from '../../export/event-encoder.ts';
import { parseEventFormat, type EventFormat } from '../../parsers/event-format.ts';
import { PageEncoder } from '../../export/page-encoder.ts';
import { parseHeaderPage, type PageLayout } from '../../parsers/page-header.ts';
import { openPageReader } from '../../parsers/ring-buffer.ts';
import { headerPageOf, PageWriter, payloadOf, type PageForm } from '../support/page-writer.ts';
import { readRingFixture } from '../support/ring-fixture.ts';

interface Row {
  readonly raw: bigint;
  readonly table: EventTable;
  readonly row: number;
}

function rowsOf(batch: EventBatch): Row[] {
  const rows = batch.tables.flatMap((table) =>
    Array.from({ length: table.length }, (_, row) => ({ raw: table.rawTime.getBigint(row), table, row })),
  );
  return rows.sort((a, b) => (a.raw < b.raw ? -1 : a.raw > b.raw ? 1 : 0));
}

function toLine(batch: EventBatch, { raw, table, row }: Row): string {
  const fields = table.schema.fields.map((field, i) => `${field.name}=${fieldText(batch, table, i, row)}`);
  return [raw, table.schema.name, table.pid[row], table.flags[row], table.preemptCount[row], ...fields].join(' ');
}

function layoutOf(set: FormatSet): PageLayout {
  const layout = parseHeaderPage(set.headerPage);
  assert.ok(typeof layout !== 'string', String(layout));
  return layout;
}

/** Encodes all rows of a batch anew. */
function encode(set: FormatSet, batch: EventBatch): Uint8Array {
  const layout = layoutOf(set);
  const little = set.endian === 'little';
  const formats = set.events
    .map(({ system, format }) => parseEventFormat(format, system))
    .filter((format): format is EventFormat => typeof format !== 'string');
  const encoders = new Map(
    formats.map((format) => [`${format.system}:${format.event}`, new EventEncoder(format, layout.longBytes, little)]),
  );
  const pages = new PageEncoder(layout, little);
  for (const { raw, table, row } of rowsOf(batch)) {
    const integers: string[] = [];
    const texts: string[] = [];
    for (const column of table.fields) {
      if (column.kind === 'string') texts.push(batch.strings.get(column.values[row] as number));
      else if (column.kind === 'int64' || column.kind === 'uint64') integers.push(column.values.getBigint(row).toString());
      else integers.push(String((column.values as Int32Array)[row]));
    }
    const encoder = encoders.get(table.schema.name);
    const common = { pid: table.pid[row] as number, flags: table.flags[row] as number, preemptCount: table.preemptCount[row] as number };
    const payload = encoder?.encode({ ...common, integers, texts });
    assert.ok(payload !== undefined, table.schema.name);
    assert.ok(pages.add(raw, payload));
  }
  return Buffer.concat(pages.finish());
}

function assertSame(set: FormatSet, batch: EventBatch): void {
  const reader = openPageReader(set);
  const again = new EventBatch();
  const { pageSizeBytes } = layoutOf(set);
  const pages = encode(set, batch);
  assert.equal(pages.length % pageSizeBytes, 0);
  reader.read(pages, pageSizeBytes, 0, again);
  assert.deepEqual([...reader.counts.malformed], []);
  const wanted = rowsOf(batch).map((row) => toLine(batch, row));
  const found = rowsOf(again).map((row) => toLine(again, row));
  // Rows of one stamp have no order of their own.
  assert.deepEqual(found.sort(), wanted.sort());
}

test('event encoder: the recorded events read the same when they are encoded anew', () => {
  const { set, segment } = readRingFixture();
  const batch = new EventBatch();
  openPageReader(set).read(segment.pages, segment.header.pageSizeBytes, 0, batch);
  assert.ok(batch.length > 1000 && batch.tables.length > 5, `${batch.length} events of ${batch.tables.length} kinds`);
  assertSame(set, batch);
});

for (const form of [
  { little: true, longBytes: 8, sizeBytes: 4096 },
  { little: false, longBytes: 8, sizeBytes: 65_536 },
  { little: false, longBytes: 4, sizeBytes: 1024 },
] as const satisfies readonly PageForm[]) {
  test(`event encoder: every shape of field, ${form.little ? 'little' : 'big'}-endian, ${form.longBytes * 8} bits, over time extends`, () => {
    const format = [
      'name: shapes',
      'ID: 12',
      'format:',
      '\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;',
      '\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;',
      '\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;',
      '\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;',
      '',
      '\tfield:u64 big;\toffset:8;\tsize:8;\tsigned:0;',
      '\tfield:s16 small;\toffset:16;\tsize:2;\tsigned:1;',
      '\tfield:u8 mac[6];\toffset:18;\tsize:6;\tsigned:0;',
      '\tfield:int list[3];\toffset:24;\tsize:12;\tsigned:1;',
      '\tfield:char comm[16];\toffset:36;\tsize:16;\tsigned:0;',
      '\tfield:__data_loc char[] name;\toffset:52;\tsize:4;\tsigned:0;',
      '\tfield:__rel_loc u8[] key;\toffset:56;\tsize:4;\tsigned:0;',
      '\tfield:__data_loc cpumask_t cpus;\toffset:60;\tsize:4;\tsigned:0;',
      '',
      'print fmt: "%s", __get_str(name)',
      '',
    ].join('\n');
    const set: FormatSet = {
      headerPage: headerPageOf(form),
      endian: form.little ? 'little' : 'big',
      events: [{ system: 'lab', format }],
      printkFormats: '',
    };
    const payload = (n: number): Uint8Array =>
      payloadOf(12, 70 + n, 64 + 8 + 4 + 16, form.little, (view) => {
        view.setUint8(2, n);
        view.setBigUint64(8, 0xfedc_ba98_7654_3210n + BigInt(n), form.little);
        view.setInt16(16, -2 - n, form.little);
        for (let i = 0; i < 6; i++) view.setUint8(18 + i, 0xa0 + i + n);
        for (const [i, value] of [1, -2, n].entries()) view.setInt32(24 + i * 4, value, form.little);
        for (const [i, byte] of Buffer.from(`kworker/${n}`).entries()) view.setUint8(36 + i, byte);
        view.setUint32(52, (5 << 16) | 64, form.little);
        for (const [i, byte] of Buffer.from('eth0').entries()) view.setUint8(64 + i, byte);
        // From the end of the location (60) to 72.
        view.setUint32(56, (3 << 16) | 12, form.little);
        for (let i = 0; i < 3; i++) view.setUint8(72 + i, i + n);
        view.setUint32(60, (form.longBytes << 16) | 76, form.little);
        if (form.longBytes === 8) view.setBigUint64(76, 0b1_0000_1111n, form.little);
        else view.setUint32(76, 0b1_0000_1111, form.little);
      });
    const batch = new EventBatch();
    const reader = openPageReader(set);
    for (let n = 0; n < 40; n++) {
      reader.read(new PageWriter(1000n + (BigInt(n) << 26n) * BigInt(n), form).event(5, payload(n)).finish(), form.sizeBytes, 0, batch);
    }
    assert.equal(batch.length, 40);
    assertSame(set, batch);
  });
}

test('event encoder: a text that is no value of its field is refused, not guessed', () => {
  const text =
    'name: m\nID: 9\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n\tfield:__data_loc cpumask_t cpus;\toffset:4;\tsize:4;\tsigned:0;\n\tfield:int list[2];\toffset:8;\tsize:8;\tsigned:1;\n\nprint fmt: ""\n';
  const format = parseEventFormat(text, 'lab');
  assert.ok(typeof format !== 'string');
  const encoder = new EventEncoder(format, 8, true);
  const row = { pid: 1, flags: 0, preemptCount: 0, integers: [] };
  assert.ok(encoder.encode({ ...row, texts: ['0-3,8', '{1,2}'] }) !== undefined);
  assert.equal(encoder.encode({ ...row, texts: ['many', '{1,2}'] }), undefined);
  assert.equal(encoder.encode({ ...row, texts: ['0', '{1,two}'] }), undefined);
  assert.equal(encoder.encode({ ...row, texts: ['0', 'xyz'] }), undefined);
});

test('page encoder: a loss stands before the event it is told of, with its number where the page has room', () => {
  const { set } = readRingFixture();
  const layout = layoutOf(set);
  const losses = (payloadBytes: number, count: number | undefined): unknown[] => {
    const encoder = new PageEncoder(layout, true);
    const payload = new Uint8Array(payloadBytes);
    assert.ok(encoder.add(10n, payload));
    encoder.lose(count);
    encoder.lose(0);
    assert.ok(encoder.add(20n, payload));
    assert.ok(encoder.add(30n, payload));
    const reader = openPageReader(set);
    reader.read(Buffer.concat(encoder.finish()), layout.pageSizeBytes, 3, new EventBatch());
    return reader.takeLosses().map((loss) => [loss.cpu, loss.count, loss.toRaw]);
  };
  assert.deepEqual(losses(12, 7), [[3, 7, 20n]]);
  assert.deepEqual(losses(12, undefined), [[3, undefined, 20n]]);
  assert.deepEqual(losses(layout.pageSizeBytes - layout.dataOffset - 8, 7), [[3, undefined, 20n]]);
});
