/** The kernel's own buffer read twice: as text, in several of its forms, and as pages, which another parser reads. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeUtf8 } from '../../base/bytes.ts';
import { EventBatch, fieldText, type EventTable } from '../../model/event-batch.ts';
import { ftraceText } from '../../parsers/ftrace-text.ts';
import { openPageReader } from '../../parsers/ring-buffer.ts';
import { makeWork, openTraceInstance, type TraceInstance } from '../support/trace-instance.ts';

const SYSTEMS = ['sched', 'irq', 'timer', 'syscalls', 'workqueue', 'ftrace'];
const PAGE_BYTES = 4096;
/** Printed otherwise than stored: names for numbers, letters for states, symbols for addresses. */
const RENDERED = /^(?:prev_state|action|function|flags|mode|which|sig|code|ret|name|group|result|task_state|clone_flags|vec)$/;

interface Row {
  readonly table: EventTable;
  readonly row: number;
}

/** Rows by CPU and event, in order; text has no systems. */
function index(batch: EventBatch): Map<string, Row[]> {
  const found = new Map<string, (Row & { raw: bigint })[]>();
  for (const table of batch.tables) {
    for (let row = 0; row < table.length; row++) {
      // The header of a latency trace is a row of the text's own.
      if (table.schema.name === 'ftrace:latency') continue;
      const key = `${table.cpu[row]} ${table.schema.event}`;
      const rows = found.get(key) ?? [];
      rows.push({ table, row, raw: table.rawTime.getBigint(row) });
      found.set(key, rows);
    }
  }
  for (const rows of found.values()) rows.sort((a, b) => (a.raw < b.raw ? -1 : a.raw > b.raw ? 1 : 0));
  return found;
}

function readPages(instance: TraceInstance): EventBatch {
  const reader = openPageReader(instance.readFormats(SYSTEMS));
  const batch = new EventBatch();
  for (const cpu of instance.cpus) reader.read(instance.readPages(cpu, PAGE_BYTES), PAGE_BYTES, cpu, batch);
  return batch;
}

function readText(text: string): EventBatch {
  const session = ftraceText.open();
  const batch = new EventBatch();
  session.finish(encodeUtf8(text), batch);
  assert.deepEqual(Object.fromEntries(session.counts.malformed), {});
  return batch;
}

/** Compares numbers and task names of fields that both have; returns how many. */
function compareFields(text: EventBatch, textRow: Row, pages: EventBatch, pageRow: Row, where: string): number {
  let compared = 0;
  textRow.table.schema.fields.forEach((field, at) => {
    const other = pageRow.table.schema.fields.findIndex(({ name }) => name === field.name);
    if (other < 0 || RENDERED.test(field.name)) return;
    const shown = fieldText(text, textRow.table, at, textRow.row);
    const stored = fieldText(pages, pageRow.table, other, pageRow.row);
    if (field.kind === 'string') {
      if (!field.name.endsWith('comm')) return;
      assert.equal(shown, stored, `${where} ${field.name}`);
    } else {
      // Pointers are printed hashed.
      if (/^(?:0x)?[0-9a-f]{8,}$/.test(stored) && field.hex && !textRow.table.schema.name.startsWith('syscalls')) return;
      assert.equal(BigInt.asUintN(64, BigInt(shown)), BigInt.asUintN(64, BigInt(stored)), `${where} ${field.name}`);
    }
    compared++;
  });
  return compared;
}

/** `preemptMask`: the bits of the preempt count that the text shows. */
function compare(
  text: EventBatch,
  pages: EventBatch,
  shift: (raw: bigint) => bigint,
  preemptMask = 0xff,
): { rows: number; fields: number } {
  const shown = index(text);
  const stored = index(pages);
  let rows = 0;
  let fields = 0;
  const counts = (of: Map<string, Row[]>): Record<string, number> =>
    Object.fromEntries([...of].map(([key, list]) => [key, list.length] as const).sort(([a], [b]) => (a < b ? -1 : 1)));
  assert.deepEqual(counts(shown), counts(stored));
  for (const [key, list] of shown) {
    list.forEach((textRow, nth) => {
      const pageRow = stored.get(key)?.[nth] as Row;
      const where = `${key} #${nth}`;
      assert.equal(textRow.table.pid[textRow.row], pageRow.table.pid[pageRow.row], `${where} pid`);
      assert.equal(textRow.table.flags[textRow.row], pageRow.table.flags[pageRow.row], `${where} flags`);
      const preempt = (pageRow.table.preemptCount[pageRow.row] as number) & preemptMask;
      assert.equal(textRow.table.preemptCount[textRow.row], preempt, `${where} preempt`);
      const raw = pageRow.table.rawTime.getBigint(pageRow.row);
      assert.equal(textRow.table.rawTime.getBigint(textRow.row), shift(raw), `${where} time`);
      fields += compareFields(text, textRow, pages, pageRow, where);
      rows++;
    });
  }
  return { rows, fields };
}

/** Us, rounded as the kernel does. */
const toMicros = (raw: bigint): bigint => ((raw + 500n) / 1000n) * 1000n;

for (const [form, options, preemptMask] of [
  ['plain', [], 0xff],
  ['with thread groups', ['record-tgid'], 0xff],
  ['verbose', ['verbose'], 0xff],
  // Both together leave out how often migration was disabled.
  ['latency-format and verbose', ['latency-format', 'verbose'], 0x0f],
] as const) {
  test(`ftrace_text: ${form} text of this kernel tells the same as its pages`, (t) => {
    const instance = openTraceInstance('text');
    if (instance === undefined) return t.skip('no tracefs instance: needs root and a kernel with tracing');
    try {
      instance.set('buffer_size_kb', '2048');
      for (const option of options) instance.set('trace_options', option);
      for (const event of [
        'sched/sched_switch',
        'sched/sched_waking',
        'irq',
        'timer',
        'workqueue',
        'syscalls/sys_enter_read',
        'syscalls/sys_exit_read',
      ]) {
        instance.set(`events/${event}/enable`, '1');
      }
      makeWork(1);
      instance.set('trace_marker', 'several\nlines: a=1');
      instance.set('tracing_on', '0');
      const { rows, fields } = compare(readText(instance.get('trace')), readPages(instance), toMicros, preemptMask);
      assert.ok(rows > 100 && fields > 200, `${rows} rows, ${fields} fields`);
      t.diagnostic(`${rows} events, ${fields} field values`);
    } finally {
      instance.remove();
    }
  });
}
