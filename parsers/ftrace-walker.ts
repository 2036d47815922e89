/**
 * The quick way of ftrace-quick.ts in WebAssembly, for inputs that are long enough to be worth it:
 *
 *   lines → window in its memory → walk (ftrace-wasm-walk.ts) → rows in lanes → columns of the batch
 *                                   |
 *                                   +-- stops in front of a line of which anything is new; JavaScript reads it, learns, and what
 *                                       it has learnt (names, templates, tables that are open) is put into the memory before the next walk
 *
 * Numbers, places of texts and bodies are the module's; the dictionary is JavaScript's, which is asked for each text that is not in the
 * module's table. Without WebAssembly or its SIMD everything goes the other ways, and where a walk ends after a few lines
 * again and again, for a while. Why and what it gains: docs/decisions/015-text-wasm.md.
 */
import type { BodyKind, EventEntry, FtraceBodies } from './ftrace-body.ts';
import { Lane } from './ftrace-lane.ts';
import { QUICK_MARGIN_BYTES, SWITCH_COLUMNS } from './ftrace-quick.ts';
import type { FtraceRows, Shape } from './ftrace-rows.ts';
import type { Template } from './ftrace-template.ts';
import type { FtraceTimes } from './ftrace-times.ts';
import { chunkBytes, giveBack, takeRoom, type WalkRoom } from './ftrace-walk-room.ts';
import * as M from './ftrace-wasm-memory.ts';

const NEWLINE = 10;
const { REGISTER, REASON, CPU } = M;
/** A walk of fewer rows costs more than it saves; then so many lines more go the other ways, at most. */
const FEW_ROWS = 16;
const MOST_PATIENCE = 256;
/** What a window is worth to be copied for. */
const LEAST_WINDOW_BYTES = 4 << 10;

/** An event in the memory. */
interface Upload {
  readonly address: number;
  readonly number: number;
  readonly entry: EventEntry;
  /** Shapes that are there. */
  shapes: number;
}

export class FtraceWalker {
  /** Of the last row: its line, whose newline is at `lastEnd`. */
  lastAt = 0;
  lastEnd = 0;
  readonly #leastBytes: number;
  readonly #rows: FtraceRows;
  readonly #bodies: FtraceBodies;
  readonly #times: FtraceTimes;
  readonly #room: WalkRoom;
  readonly #uploads: Upload[] = [];
  readonly #byEntry = new Map<EventEntry, Upload>();
  readonly #lanes: Lane[] = [];
  readonly #laneOf = new Map<string, Lane>();
  readonly #laneAt = new Map<number, Lane>();
  #names = 0;
  #session = -1;
  #opened = 0;
  #bytes: Uint8Array = new Uint8Array(0);
  /** Of the input, in the window. */
  #windowFrom = 0;
  #windowTo = 0;
  /** Lines that still go another way, and how many will after the next walk that ends too soon. */
  #rest = 0;
  #patience = 1;

  /** Undefined where there is no WebAssembly. Windows have `leastBytes`, or the input goes another way. */
  static create(rows: FtraceRows, bodies: FtraceBodies, times: FtraceTimes, leastBytes = LEAST_WINDOW_BYTES): FtraceWalker | undefined {
    const room = takeRoom();
    return room === undefined ? undefined : new FtraceWalker(room, rows, bodies, times, leastBytes);
  }

  private constructor(room: WalkRoom, rows: FtraceRows, bodies: FtraceBodies, times: FtraceTimes, leastBytes: number) {
    this.#room = room;
    this.#leastBytes = leastBytes;
    this.#rows = rows;
    this.#bodies = bodies;
    this.#times = times;
    room.owner = { internNew: (at, bytes) => this.#intern(at, bytes), flush: (lane) => this.#laneAt.get(lane)?.flush() };
  }

  /** After the input's end: its memory is for another one. */
  close(): void {
    for (const lane of this.#lanes) lane.unbind();
    giveBack(this.#room);
  }

  /** What the flags of lines mean, as their header says. */
  setColumns(columns: readonly number[] | undefined): void {
    this.#room.setColumns(columns);
  }

  /** Before each piece of input: ids of texts may be others. */
  begin(bytes: Uint8Array): void {
    const { words } = this.#room.views;
    this.#bytes = bytes;
    this.#windowFrom = this.#windowTo = 0;
    words[REGISTER.epoch >> 2] = (words[REGISTER.epoch >> 2] as number) + 1;
    words[REGISTER.textsEnd >> 2] = M.TEXTS;
  }

  /** So many lines at most are better left to the other ways now. */
  get restLines(): number {
    return this.#rest;
  }

  /** After lines went another way. */
  noteRest(lines: number): void {
    this.#rest = Math.max(0, this.#rest - lines);
  }

  /** Makes rows of the lines from `at` that are as those before, to be flushed; returns how many. */
  addLines(at: number, isLatency: boolean): number {
    if (this.#rest > 0) {
      this.#rest--;
      return 0;
    }
    const waiting = this.#times.waitingCpus();
    if (waiting?.includes(-1) === true) return 0;
    this.#updateEvents();
    this.#bindTables();
    if (waiting !== undefined) this.#setWaiting(waiting, 1);
    let rows = 0;
    for (let p = at; ;) {
      if ((p < this.#windowFrom || p >= this.#windowTo) && !this.#fillWindow(p)) break;
      const added = this.#walk(p, isLatency);
      rows += added;
      if (added > 0) p = this.lastEnd + 1;
      const reason = this.#room.views.words[REGISTER.reason >> 2] as number;
      if (reason === REASON.name ? !this.#learnName() : reason !== REASON.end && reason !== REASON.room) break;
    }
    if (waiting !== undefined) this.#setWaiting(waiting, 0);
    if (rows >= FEW_ROWS) this.#patience = 1;
    else {
      this.#rest = this.#patience;
      this.#patience = Math.min(MOST_PATIENCE, this.#patience * 2);
    }
    return rows;
  }

  /** To the tables, in their order. */
  flush(): void {
    for (let i = 0; i < this.#lanes.length; i++) (this.#lanes[i] as Lane).flush();
  }

  /** Whole lines from `at`; false where there are none, or too few. */
  #fillWindow(at: number): boolean {
    const bytes = this.#bytes;
    const limit = bytes.length - QUICK_MARGIN_BYTES;
    const most = Math.min(limit, at + M.WINDOW_BYTES);
    if (most - at < this.#leastBytes) return false;
    const end = bytes.lastIndexOf(NEWLINE, most - 1) + 1;
    if (end <= at) return false;
    this.#room.views.bytes.set(bytes.subarray(at, Math.min(bytes.length, end + M.WINDOW_MARGIN_BYTES)), M.WINDOW);
    this.#windowFrom = at;
    this.#windowTo = end;
    return true;
  }

  #walk(at: number, isLatency: boolean): number {
    const { strings } = this.#rows.batch;
    const { words } = this.#room.views;
    const shift = this.#windowFrom - M.WINDOW;
    const most = Math.min(M.MOST_SLICES - M.LINE_IDS, Math.ceil((this.#windowTo - at) / M.LEAST_LINE_BYTES));
    const firstId = strings.reserve(most + M.LINE_IDS);
    words[REGISTER.endId >> 2] = firstId + most;
    words[REGISTER.firstId >> 2] = words[REGISTER.nextId >> 2] = firstId;
    words[REGISTER.sliceBase >> 2] = this.#rows.sliceBase() + shift;
    words[REGISTER.times >> 2] = this.#times.plainKinds;
    words[REGISTER.hasTgid >> 2] = Number(this.#rows.hasTgid);
    words[REGISTER.touched >> 2] = 0;
    const { walk } = this.#room.instance.exports as { readonly walk: (...args: number[]) => number };
    walk(at - shift, this.#windowTo - shift, Number(isLatency));
    const rows = words[REGISTER.rows >> 2] as number;
    const from = M.SLICES >> 2;
    strings.takeSlices(firstId, words, from, from + M.MOST_SLICES, (words[REGISTER.nextId >> 2] as number) - firstId);
    if (rows === 0) return 0;
    this.lastAt = (words[REGISTER.lastAt >> 2] as number) + shift;
    this.lastEnd = (words[REGISTER.lastEnd >> 2] as number) + shift;
    this.#noteCpus();
    const open = this.#laneAt.get(words[REGISTER.lastLane >> 2] as number)?.open;
    if (open !== undefined) this.#rows.noteLast(open);
    return rows;
  }

  /** Of each CPU the last event and its time; of the last row once more, since its time is that of the input. */
  #noteCpus(): void {
    const { words } = this.#room.views;
    const touched = words[REGISTER.touched >> 2] as number;
    for (let i = 0; i < touched; i++) this.#noteCpu(words[(M.TOUCHED >> 2) + i] as number);
    if (touched > 1) this.#noteCpu(words[REGISTER.lastCpu >> 2] as number);
  }

  #noteCpu(cpu: number): void {
    const { words } = this.#room.views;
    const at = (M.CPUS + cpu * M.CPU_BYTES) >> 2;
    words[at + (CPU.isTouched >> 2)] = 0;
    this.#times.noteRow(cpu, words[at + (CPU.seconds >> 2)] as number, words[at + (CPU.nanos >> 2)] as number);
    const upload = this.#uploads[words[at + (CPU.event >> 2)] as number] as Upload;
    this.#bodies.noteEvent(cpu, upload.entry.event);
  }

  #setWaiting(cpus: readonly number[], value: number): void {
    for (const cpu of cpus) {
      if (cpu < M.MOST_CPUS) this.#room.views.words[(M.CPUS + cpu * M.CPU_BYTES + CPU.waits) >> 2] = value;
    }
  }

  /** A text that is not in the table: the dictionary's ids go on where the module's bodies are. */
  #intern(at: number, count: number): number {
    const { words } = this.#room.views;
    const { strings } = this.#rows.batch;
    const next = words[REGISTER.nextId >> 2] as number;
    strings.size = next;
    const start = at - M.WINDOW + this.#windowFrom;
    const id = strings.intern(this.#bytes, start, start + count);
    if (id === next) {
      const slice = (M.SLICES >> 2) + id - (words[REGISTER.firstId >> 2] as number);
      words[slice] = strings.starts[id] as number;
      words[slice + M.MOST_SLICES] = strings.ends[id] as number;
      words[REGISTER.nextId >> 2] = next + 1;
    }
    return id;
  }

  /** Lanes of tables that were opened since. */
  #bindTables(): void {
    const rows = this.#rows;
    if (rows.session !== this.#session) {
      this.#session = rows.session;
      this.#opened = 0;
      for (const lane of this.#lanes) lane.unbind();
    }
    for (; this.#opened < rows.openedShapes.length; this.#opened++) {
      const shape = rows.openedShapes[this.#opened] as Shape;
      const lane = this.#laneOf.get(shape.key);
      if (lane !== undefined && shape.open !== undefined) lane.bind(shape.open);
    }
  }

  /** Templates that were learnt since. */
  #updateEvents(): void {
    const { changed } = this.#bodies;
    if (changed.size === 0) return;
    for (const entry of changed) {
      const upload = this.#byEntry.get(entry);
      if (upload !== undefined) this.#update(upload);
    }
    changed.clear();
  }

  /** True when the event whose name the walk stopped at is there now, and it can go on. */
  #learnName(): boolean {
    const stop = this.#room.views.words[REGISTER.stop >> 2] as number;
    if (stop === 0) return false;
    const kind = this.#room.views.words[REGISTER.stopKind >> 2] as BodyKind;
    const at = stop - M.WINDOW + this.#windowFrom;
    const end = at + (this.#room.views.words[REGISTER.stopBytes >> 2] as number);
    const entry = this.#bodies.findEntry(kind, this.#bytes, at, end);
    if (entry === undefined || entry === this.#bodies.marker || entry === this.#bodies.graph || this.#names >= M.MOST_NAMES) return false;
    const upload = this.#byEntry.get(entry) ?? this.#upload(entry);
    if (upload === undefined) return false;
    const name = this.#bytes.subarray(at, end);
    const record = this.#room.take(M.NAME_HEAD_BYTES + chunkBytes(name));
    if (record === 0) return false;
    const { words } = this.#room.views;
    words.set([name.length, kind, upload.address, this.#room.putChunks(name, record + M.NAME_HEAD_BYTES)], record >> 2);
    // The name stands in the window still.
    const hash = (
      this.#room.instance.exports as unknown as { readonly hashText: (at: number, bytes: number, seed: number) => bigint }
    ).hashText(stop, name.length, kind + 1);
    let slot = Number(hash & BigInt(M.NAME_SLOTS - 1));
    while (words[(M.NAMES >> 2) + slot] !== 0) slot = (slot + 1) % M.NAME_SLOTS;
    words[(M.NAMES >> 2) + slot] = record;
    this.#names++;
    return true;
  }

  #upload(entry: EventEntry): Upload | undefined {
    const address = this.#room.take(M.EVENT_HEAD_BYTES + M.MOST_TEMPLATES * 4);
    if (address === 0) return undefined;
    const upload: Upload = { address, number: this.#uploads.length, entry, shapes: 0 };
    this.#room.views.words[(address + M.EVENT.number) >> 2] = upload.number;
    this.#uploads.push(upload);
    this.#byEntry.set(entry, upload);
    if (entry.plugin !== undefined) this.#putPlugin(address, entry.plugin);
    this.#update(upload);
    return upload;
  }

  /** Puts templates into the memory that it does not have. */
  #update(upload: Upload): void {
    const { entry, address } = upload;
    const { shapes } = entry;
    const at = (address + M.EVENT_HEAD_BYTES) >> 2;
    for (; upload.shapes < shapes.length; upload.shapes++) {
      const { program, template, shape } = shapes[upload.shapes] as EventEntry['shapes'][number];
      const put = program === undefined ? 0 : this.#putTemplate(template, shape);
      const { words } = this.#room.views;
      const count = words[(address + M.EVENT.templates) >> 2] as number;
      // One that is not there ends the search, so those before it are not reached.
      const kept = put === 0 ? 0 : count;
      words.copyWithin(at + 1, at, at + kept);
      if (put !== 0) words[at] = put;
      words[(address + M.EVENT.templates) >> 2] = put === 0 ? 0 : count + 1;
    }
    const isText = this.#bodies.isText(entry) && entry.plugin === undefined && shapes.every(({ program }) => program !== undefined);
    const text = (address + M.EVENT.text) >> 2;
    if (!isText || this.#room.views.words[text] !== 0) return;
    const lane = this.#laneFor(entry.text)?.address ?? 0;
    this.#room.views.words[text] = lane;
  }

  /** Room for the rows of what trace-cmd prints of it. */
  #putPlugin(address: number, shape: Shape): void {
    const lane = this.#laneFor(shape);
    if (lane === undefined) return;
    this.#room.views.words[(address + M.EVENT.plugin) >> 2] = lane.address;
    this.#room.views.words[(address + M.EVENT.isSwitch) >> 2] = Number(shape.fields.length === SWITCH_COLUMNS);
  }

  /** Where the template is; 0 where there is no room. */
  #putTemplate({ labels, labelEnds, suffix, forms }: Template, shape: Shape): number {
    const lane = this.#laneFor(shape);
    if (lane === undefined) return 0;
    const parts = Array.from(labelEnds, (end, i) => labels.subarray(i === 0 ? 0 : labelEnds[i - 1], end));
    parts.push(suffix);
    const sizes = parts.map((part) => M.STEP_HEAD_BYTES + chunkBytes(part));
    const template = this.#room.take(sizes.reduce((sum, size) => sum + size, M.TEMPLATE_HEAD_BYTES));
    if (template === 0) return 0;
    const { words } = this.#room.views;
    words[template >> 2] = lane.address;
    let at = template + M.TEMPLATE_HEAD_BYTES;
    for (const [i, part] of parts.entries()) {
      const chunks = this.#room.putChunks(part, at + M.STEP_HEAD_BYTES);
      const next = at + (sizes[i] as number);
      words.set([part.length, forms[i] ?? M.FORM_END, lane.columns[i]?.address ?? 0, chunks, part[0] ?? NEWLINE, next], at >> 2);
      at = next;
    }
    return template;
  }

  #laneFor(shape: Shape): Lane | undefined {
    const known = this.#laneOf.get(shape.key);
    if (known !== undefined) return known;
    const { sizeBytes } = new Lane(0, shape.fields, this.#room);
    const address = this.#room.take(sizeBytes);
    if (address === 0) return undefined;
    const lane = new Lane(address, shape.fields, this.#room);
    this.#lanes.push(lane);
    this.#laneOf.set(shape.key, lane);
    this.#laneAt.set(address, lane);
    if (shape.open !== undefined) lane.bind(shape.open);
    return lane;
  }
}
