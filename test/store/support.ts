/** Temporary folders and small batches for the tests of the store. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext } from 'node:test';
import { Int64Array } from '../../base/int64.ts';
import type { EventBatch, EventField, EventTable, FieldKind, FieldValues } from '../../model/event-batch.ts';
import { toResource, toScope, type KernelIdentity } from '../../model/identity.ts';
import { LogBatch } from '../../model/log-batch.ts';
import { SpanBatch } from '../../model/span-batch.ts';
import { openStore, type StoreOptions } from '../../store/open.ts';
import type { Store } from '../../store/store.ts';

export const BASE_NS = 1_795_430_000_000_000_000n;

export const KERNEL: KernelIdentity = {
  machineId: 'machine-1',
  machineName: 'box',
  kernelId: 3,
  kernelName: 'guest',
  bootId: '0f6b3c1e-7d0a-4b8e-9a55-2d1f6a0c9e11',
  release: '7.0.0-mk2',
  arch: 'amd64',
};
export const RESOURCE = toResource(KERNEL);
export const SCOPE = toScope('test', '1');

const folders: string[] = [];
// At the end of the file, when all stores are closed.
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

export function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mkscope-store-'));
  folders.push(folder);
  return folder;
}

/** A store that is closed after the test. chDB takes one folder per process, so a test file has one store at a time. */
export async function openTestStore(t: TestContext, options: Partial<StoreOptions> = {}): Promise<Store> {
  const dataDir = options.dataDir ?? tempFolder();
  const store = await openStore({ ...options, dataDir });
  t.after(() => store.close());
  return store;
}

/** Rows with the texts given, one ms apart. */
export function makeLogs(texts: readonly string[], sequence = 0): LogBatch {
  const batch = new LogBatch(4);
  for (const [at, text] of texts.entries()) {
    const row = batch.addText(text, 6);
    batch.sequence[row] = sequence + at;
    batch.unixTime.setBigint(row, BASE_NS + BigInt(sequence + at) * 1_000_000n);
    batch.observedTime.setBigint(row, BASE_NS);
  }
  return batch;
}

/** Spans whose trace and span ids say `sequence`. */
export function makeSpans(count: number, sequence: number): SpanBatch {
  const batch = new SpanBatch(2);
  for (let at = 0; at < count; at++) {
    const row = batch.openRow();
    new DataView(batch.traceId.buffer).setUint32(row * 16, sequence * 100 + at + 1);
    new DataView(batch.spanId.buffer).setUint32(row * 8, at + 1);
    batch.startTime.setBigint(row, BASE_NS);
    batch.endTime.setBigint(row, BASE_NS + 1000n);
    batch.name[row] = batch.strings.internString('send');
    batch.closeRow();
  }
  return batch;
}

export function field(name: string, kind: FieldKind, hex = false): EventField {
  return { name, kind, type: kind, hex };
}

/** A table of `values` by field, one event a µs. */
export function addEvents(
  batch: EventBatch,
  name: string,
  fields: readonly EventField[],
  rows: readonly (readonly (string | number | bigint)[])[],
): EventTable {
  const [system = '', event = ''] = name.split(':');
  const table = batch.addTable({ name, system, event, fields }, `${name} ${batch.tables.length}`);
  for (const values of rows) {
    const row = table.length++;
    if (row === table.capacity) table.grow();
    table.rawTime.setBigint(row, 5_000n + BigInt(row));
    table.unixTime.setBigint(row, BASE_NS + BigInt(row) * 1000n);
    table.cpu[row] = row % 4;
    table.pid[row] = 100 + row;
    for (const [at, value] of values.entries()) {
      const column = table.fields[at] as FieldValues;
      if (column.values instanceof Int64Array) column.values.setBigint(row, BigInt(value));
      else column.values[row] = column.kind === 'string' ? batch.strings.internString(String(value)) : Number(value);
    }
  }
  return table;
}
