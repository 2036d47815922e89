/** Many sched_switch events for benches: the recorded ones of test/fixtures/ring-buffer/, one round after the other. */
import { EventBatch, type EventTable, type FieldValues } from '../model/event-batch.ts';
import type { KernelIdentity } from '../model/identity.ts';
import { openPageReader } from '../parsers/ring-buffer.ts';
import type { Store } from '../store/store.ts';
import { readRingFixture } from '../test/support/ring-fixture.ts';

export const SWITCH_STREAM = 'tracefs:bench';

/** Appends at least `wanted` switches and returns their number and the window they lie in. */
export async function appendSwitches(
  store: Store,
  identity: KernelIdentity,
  wanted: number,
  startUnixNs: bigint,
): Promise<{ rows: number; from: bigint; to: bigint }> {
  const recorded = readSwitches();
  const first = recorded.rawTime.getBigint(0);
  const roundNs = recorded.rawTime.getBigint(recorded.length - 1) - first + 50_000n;
  const roundsPerBatch = Math.ceil(500_000 / recorded.length);
  let rows = 0;
  let at = startUnixNs;
  while (rows < wanted) {
    const batch = new EventBatch();
    const table = batch.addTable(recorded.table.schema);
    for (let round = 0; round < roundsPerBatch; round++, at += roundNs) recorded.copyTo(batch, table, at - first);
    await store.append({ events: [{ identity, stream: SWITCH_STREAM, clockErrorNs: 100, batch }] });
    rows += table.length;
  }
  await store.flush();
  return { rows, from: startUnixNs, to: at };
}

function readSwitches() {
  const { set, segment } = readRingFixture();
  const reader = openPageReader(set);
  const source = new EventBatch();
  let offset = 0;
  for (const { cpu, pages } of segment.header.chunks) {
    const bytes = pages * segment.header.pageSizeBytes;
    reader.read(segment.pages.subarray(offset, offset + bytes), segment.header.pageSizeBytes, cpu, source);
    offset += bytes;
  }
  const table = source.find('sched:sched_switch') as EventTable;
  const order = [...Array(table.length).keys()].sort((a, b) => Number(table.rawTime.getBigint(a) - table.rawTime.getBigint(b)));
  const rawTime = { getBigint: (row: number) => table.rawTime.getBigint(order[row] as number) };
  const copyTo = (batch: EventBatch, target: EventTable, shift: bigint): void => {
    const ids = new Map<number, number>();
    const idOf = (id: number): number => {
      let known = ids.get(id);
      if (known === undefined) ids.set(id, (known = batch.strings.internString(source.strings.get(id))));
      return known;
    };
    for (const row of order) {
      if (target.length === target.capacity) target.grow();
      const at = target.length++;
      target.rawTime.setBigint(at, table.rawTime.getBigint(row));
      target.unixTime.setBigint(at, table.rawTime.getBigint(row) + shift);
      target.cpu[at] = table.cpu[row] as number;
      target.pid[at] = table.pid[row] as number;
      for (const [index, from] of table.fields.entries()) {
        copyValue(from, row, target.fields[index] as FieldValues, at, idOf);
      }
    }
  };
  return { table, length: table.length, rawTime, copyTo };
}

function copyValue(from: FieldValues, row: number, to: FieldValues, at: number, idOf: (id: number) => number): void {
  if (from.kind === 'string' && to.kind === 'string') to.values[at] = idOf(from.values[row] as number);
  else if (from.kind === 'int32' && to.kind === 'int32') to.values[at] = from.values[row] as number;
  else if (from.kind === 'uint32' && to.kind === 'uint32') to.values[at] = from.values[row] as number;
  else if ((from.kind === 'int64' || from.kind === 'uint64') && (to.kind === 'int64' || to.kind === 'uint64')) {
    to.values.setBigint(at, from.values.getBigint(row));
  }
}
