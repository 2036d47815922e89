/** Rows of one table that WebAssembly has made of lines and that wait in its memory (ftrace-wasm-memory.ts), to be copied column by column. */
import type { EventField } from '../model/event-batch.ts';
import type { OpenTable, PendingRows } from './ftrace-rows.ts';
import * as M from './ftrace-wasm-memory.ts';
import type { WalkRoom } from './ftrace-walk-room.ts';

const { LANE } = M;

/** Up to so many values are copied one by one: a view of its own for `set` costs as much. */
const FEW_VALUES = 24;

export class Lane implements PendingRows {
  readonly address: number;
  /** Address and words of a value, of each field. */
  readonly columns: readonly { readonly address: number; readonly words: 1 | 2 }[];
  readonly sizeBytes: number;
  open: OpenTable | undefined;
  readonly #room: WalkRoom;

  constructor(address: number, fields: readonly EventField[], room: WalkRoom) {
    let at = address + LANE.fields;
    this.address = address;
    this.columns = fields.map(({ kind }) => {
      const words = kind === 'string' ? 1 : 2;
      const column = { address: at, words } as const;
      at += M.LANE_ROWS * words * 4;
      return column;
    });
    this.sizeBytes = at - address;
    this.#room = room;
  }

  bind(open: OpenTable): void {
    this.open = open;
    open.pending = this;
    this.#room.views.words[(this.address + LANE.isOpen) >> 2] = 1;
  }

  unbind(): void {
    this.open = undefined;
    this.#room.views.words[(this.address + LANE.isOpen) >> 2] = 0;
  }

  /** Copies the rows that wait to the end of the table. */
  flush(): void {
    const { address, open } = this;
    const { words, halves, bytes } = this.#room.views;
    const rows = words[address >> 2] as number;
    if (rows === 0 || open === undefined) return;
    words[address >> 2] = 0;
    const { table } = open;
    const row = table.length;
    table.reserve(row + rows);
    open.refresh();
    copy(words, (address + LANE.rawTime) >> 2, rows * 2, open.rawTime, row * 2);
    copy(words, (address + LANE.comm) >> 2, rows, open.comm, row);
    copy(words, (address + LANE.body) >> 2, rows, open.body, row);
    copy(words, (address + LANE.pid) >> 2, rows, open.pid, row);
    if (open.tgid !== undefined) copy(words, (address + LANE.tgid) >> 2, rows, open.tgid, row);
    copy(halves, (address + LANE.cpu) >> 1, rows, open.cpu, row);
    copy(bytes, address + LANE.flags, rows, open.flags, row);
    copy(bytes, address + LANE.preempt, rows, open.preemptCount, row);
    for (let field = 0; field < this.columns.length; field++) {
      const column = this.columns[field] as Lane['columns'][number];
      const width = column.words;
      copy(words, column.address >> 2, rows * width, open.columns[field] as Uint32Array, row * width);
    }
    table.length = row + rows;
  }
}

type Values = Uint32Array | Int32Array | Uint16Array | Uint8Array;

function copy(from: Values, at: number, count: number, to: Values, into: number): void {
  if (count > FEW_VALUES) to.set(from.subarray(at, at + count), into);
  else for (let i = 0; i < count; i++) to[into + i] = from[at + i] as number;
}
