/**
 * Task names for trace events: pages carry pids only. Names come from the segment's own list (saved_cmdlines) and from the
 * events themselves, and are kept per incarnation.
 */
import type { Interner } from '../base/interner.ts';
import { keepLast } from '../base/recent-map.ts';
import type { EventBatch, EventTable, FieldValues } from '../model/event-batch.ts';

/** Pids remembered per incarnation, and incarnations remembered; the oldest go first. */
const MAX_TASKS = 65_536;
const MAX_BOOTS = 256;
const IDLE = '<idle>';

/** (pid field, name field) in which an event tells a task's name. */
const NAMING_FIELDS = [
  ['prev_pid', 'prev_comm'],
  ['next_pid', 'next_comm'],
  ['pid', 'comm'],
  ['pid', 'newcomm'],
  ['child_pid', 'child_comm'],
  ['parent_pid', 'parent_comm'],
] as const;

export class TaskNames {
  readonly #byBoot = new Map<string, Map<number, string>>();

  /** Fills the `comm` column of every table of the batch where it is still empty, from the table's row in `from` on. */
  fill(bootId: string, batch: EventBatch, comms: Readonly<Record<string, string>>, from: readonly number[] = []): void {
    this.learn(bootId, comms);
    const names = this.#namesOf(bootId);
    for (const [at, table] of batch.tables.entries()) learn(names, table, from[at] ?? 0, batch.strings);
    const ids = new Map<number, number>([[0, batch.strings.internString(IDLE)]]);
    for (const [at, table] of batch.tables.entries()) fillTable(table, from[at] ?? 0, names, ids, batch.strings);
  }

  /** Names that are known before the first batch. */
  learn(bootId: string, comms: Readonly<Record<string, string>>): void {
    const names = this.#namesOf(bootId);
    for (const [pid, comm] of Object.entries(comms)) remember(names, Number(pid), comm);
  }

  #namesOf(bootId: string): Map<number, string> {
    let names = this.#byBoot.get(bootId);
    if (names === undefined) {
      names = new Map();
      keepLast(this.#byBoot, bootId, names, MAX_BOOTS);
    }
    return names;
  }
}

function remember(names: Map<number, string>, pid: number, comm: string): void {
  if (pid <= 0 || comm === '' || names.get(pid) === comm) return;
  keepLast(names, pid, comm, MAX_TASKS);
}

function learn(names: Map<number, string>, table: EventTable, from: number, strings: Interner): void {
  for (const [pidField, commField] of NAMING_FIELDS) {
    const pids = table.column(pidField);
    const comms = table.column(commField);
    if (pids?.kind === 'int32' && comms?.kind === 'string') learnColumns(names, pids, comms, [from, table.length], strings);
  }
}

function learnColumns(
  names: Map<number, string>,
  pids: FieldValues & { kind: 'int32' },
  comms: FieldValues & { kind: 'string' },
  [from, to]: readonly [number, number],
  strings: Interner,
): void {
  // Within a batch the same few (pid, name) pairs repeat: the last dictionary id per pid keeps strings out of the loop.
  const last = new Map<number, number>();
  for (let row = from; row < to; row++) last.set(pids.values[row] as number, comms.values[row] as number);
  for (const [pid, id] of last) remember(names, pid, strings.get(id));
}

function fillTable(table: EventTable, from: number, names: Map<number, string>, ids: Map<number, number>, strings: Interner): void {
  const { comm, pid, length } = table;
  // The switching task's own name stands in the event: right even where the task is renamed within the batch.
  const own = table.schema.event === 'sched_switch' ? table.column('prev_comm') : undefined;
  const ownIds = own?.kind === 'string' ? own.values : undefined;
  for (let row = from; row < length; row++) {
    if (comm[row] !== 0) continue;
    const task = pid[row] as number;
    if (ownIds !== undefined && task !== 0) {
      comm[row] = ownIds[row] as number;
      continue;
    }
    let id = ids.get(task);
    if (id === undefined) {
      id = strings.internString(names.get(task) ?? '');
      ids.set(task, id);
    }
    comm[row] = id;
  }
}
