/**
 * From the body of an ftrace text line to a row of its event's table. What the body looks like depends on who printed it:
 *
 *   sched_wakeup: comm=rcu_preempt pid=15 prio=120 target_cpu=001      most events: fields by template
 *   sys_exit: NR 13 = 0                                                text: body only
 *   sys_openat(dfd: 0xffffff9c, filename: 0x7f44…, flags: 0)           -> syscalls:sys_enter_openat
 *   sys_openat -> 0x3                                                  -> syscalls:sys_exit_openat
 *   sys_enter_openat: dfd: 0xffffff9c, …   sys_exit_openat: 0x3        the same, as trace-cmd prints them
 *   tracing_mark_write: any text, also over several lines              -> ftrace:print (`0:` where the symbol is unknown)
 *   <stack trace>\n => ttwu_do_activate\n => …                         -> ftrace:kernel_stack; <user stack trace> likewise
 *   # 4d4c buf: 00 01                                                  -> ftrace:raw_data
 *
 * Text names no event system, so other events keep their bare name. The body goes into the batch verbatim as well.
 */
import { Interner } from '../base/interner.ts';
import { encodeUtf8 } from '../base/bytes.ts';
import type { EventBatch, EventTable } from '../model/event-batch.ts';
import { startsWith } from './boot-phase.ts';
import type { FtracePrefix } from './ftrace-prefix.ts';
import {
  FieldValuesScratch,
  learnBareCall,
  learnCall,
  learnKeyValues,
  learnReturn,
  matchTemplate,
  NO_FIELDS,
  type Template,
} from './ftrace-template.ts';
import { setSecondsNs } from './raw-time.ts';

const SPACE = 32;
const HASH = 35;
const OPEN_PAREN = 40;
const DASH = 45;
const COLON = 58;
const LESS = 60;
const GREATER = 62;

/** Names and shapes are bounded, so that garbage cannot fill the memory with tables. */
const MAX_EVENTS = 4096;
const MAX_TEMPLATES = 8;
/** Lines of an event that no template fits before it is taken for free text, and learning (a regular expression) ends. */
const MAX_LEARNT_LINES = 16;
const MAX_LEARNT_BYTES = 1024;
const MAX_NAME_BYTES = 128;

const SYSCALL = encodeUtf8('sys_');
const ENTER = 'sys_enter_';
const EXIT = 'sys_exit_';
const MARK_WRITE = encodeUtf8('tracing_mark_write');
const PRINT = encodeUtf8('print');
const UNKNOWN_COMM = encodeUtf8('<...>');
const STACK = encodeUtf8('<stack trace>');
const USER_STACK = encodeUtf8('<user stack trace>');

type Learn = (bytes: Uint8Array, at: number, end: number, known: Template | undefined) => Template;

interface Shape {
  readonly template: Template;
  readonly key: string;
  /** Table in the batch at hand. */
  table: EventTable | undefined;
}

interface EventEntry {
  readonly name: string;
  /** For lines `name: …`. */
  readonly learn: Learn;
  readonly system: string;
  readonly event: string;
  /** The last one is tried first: it is the one with the most text fields. */
  readonly shapes: Shape[];
  learntLines: number;
}

export class FtraceBodies {
  readonly #names = new Interner();
  /** By id of the name as the line spells it, one list for each way of calling. */
  readonly #plain: (EventEntry | undefined)[] = [];
  readonly #enters: (EventEntry | undefined)[] = [];
  readonly #exits: (EventEntry | undefined)[] = [];
  /** All of them, by full name. */
  readonly #entries = new Map<string, EventEntry>();
  readonly #values = new FieldValuesScratch();
  #batch: EventBatch | undefined;

  /** Adds a row for the event; returns why not when it cannot. */
  add(bytes: Uint8Array, prefix: FtracePrefix, bodyEnd: number, batch: EventBatch): string | undefined {
    if (batch !== this.#batch) this.#forgetTables(batch);
    const at = prefix.bodyStart;
    const first = bytes[at] as number;
    if (first === LESS || first === HASH) return this.#addFixed(bytes, prefix, at, bodyEnd, batch);
    let p = at;
    let byte = first;
    while (p < bodyEnd && byte > SPACE && byte !== COLON && byte !== OPEN_PAREN) byte = bytes[++p] as number;
    if (p === at || p === bodyEnd || p - at > MAX_NAME_BYTES) return 'no event name';
    const id = this.#names.intern(bytes, at, p);
    if (id >= MAX_EVENTS) return 'too many event names';
    if (byte === COLON) {
      // Of a marker's text only the one space is taken.
      if (isMarker(bytes, at, p)) return this.#addText(this.#tracerEntry('print'), bytes, prefix, p + 2, bodyEnd, batch);
      let textAt = p + 1;
      // trace-cmd pads the name, and has one for markers.
      while (bytes[textAt] === SPACE && textAt < bodyEnd) textAt++;
      if (startsWith(bytes, textAt, bodyEnd, MARK_WRITE) && startsWith(bytes, at, p, PRINT)) {
        const colon = bytes.indexOf(COLON, textAt);
        if (colon > 0) return this.#addText(this.#tracerEntry('print'), bytes, prefix, colon + 2, bodyEnd, batch);
      }
      const entry = (this.#plain[id] ??= this.#plainEntry(this.#names.get(id)));
      return this.#addMatched(entry, entry.learn, bytes, prefix, textAt, textAt, bodyEnd, batch);
    }
    if (!startsWith(bytes, at, p, SYSCALL)) return 'no event name';
    if (byte === OPEN_PAREN) {
      const entry = (this.#enters[id] ??= this.#entry('syscalls', ENTER + this.#names.get(id).slice(SYSCALL.length), learnBareCall));
      return this.#addMatched(entry, learnCall, bytes, prefix, at, p + 1, bodyEnd, batch);
    }
    if (bytes[p + 1] !== DASH || bytes[p + 2] !== GREATER || bytes[p + 3] !== SPACE) return 'no event name';
    const entry = (this.#exits[id] ??= this.#entry('syscalls', EXIT + this.#names.get(id).slice(SYSCALL.length), learnReturn));
    return this.#addMatched(entry, learnReturn, bytes, prefix, at, p + 4, bodyEnd, batch);
  }

  /** Events that the tracer itself prints. */
  #addFixed(bytes: Uint8Array, prefix: FtracePrefix, at: number, end: number, batch: EventBatch): string | undefined {
    if (startsWith(bytes, at, end, STACK)) {
      return this.#addText(this.#tracerEntry('kernel_stack'), bytes, prefix, at + STACK.length + 1, end, batch);
    }
    if (startsWith(bytes, at, end, USER_STACK)) {
      return this.#addText(this.#tracerEntry('user_stack'), bytes, prefix, at + USER_STACK.length + 1, end, batch);
    }
    if (bytes[at] === HASH) return this.#addText(this.#tracerEntry('raw_data'), bytes, prefix, at + 2, end, batch);
    return 'no event name';
  }

  #plainEntry(event: string): EventEntry {
    if (event.startsWith(ENTER)) return this.#entry('syscalls', event, learnBareCall);
    if (event.startsWith(EXIT)) return this.#entry('syscalls', event, learnReturn);
    return this.#entry('', event, learnKeyValues);
  }

  #entry(system: string, event: string, learn: Learn): EventEntry {
    const name = system === '' ? event : `${system}:${event}`;
    const known = this.#entries.get(name);
    if (known !== undefined) return known;
    const entry: EventEntry = { name, system, event, learn, shapes: [], learntLines: 0 };
    this.#entries.set(name, entry);
    return entry;
  }

  #tracerEntry(event: string): EventEntry {
    const entry = this.#entry('ftrace', event, learnNothing);
    if (entry.shapes.length === 0) entry.shapes.push({ template: ONE_TEXT, key: entry.name, table: undefined });
    return entry;
  }

  /** A row whose one field, `buf`, is the whole text. */
  #addText(entry: EventEntry, bytes: Uint8Array, prefix: FtracePrefix, at: number, end: number, batch: EventBatch): undefined {
    const table = this.#tableOf(entry, entry.shapes[0] as Shape, batch);
    const row = addRow(table, bytes, prefix, batch);
    const text = at < end ? batch.strings.intern(bytes, at, end) : 0;
    table.body[row] = text;
    const column = table.fields[0];
    if (column?.kind === 'string') column.values[row] = text;
  }

  /** A row with fields; `[at, end)` is matched, `[bodyAt, end)` is the body. */
  #addMatched(
    entry: EventEntry,
    learn: Learn,
    bytes: Uint8Array,
    prefix: FtracePrefix,
    bodyAt: number,
    at: number,
    end: number,
    batch: EventBatch,
  ): undefined {
    const shape = this.#findShape(entry, bytes, at, end) ?? this.#learnShape(entry, learn, bytes, at, end);
    const table = this.#tableOf(entry, shape, batch);
    const row = addRow(table, bytes, prefix, batch);
    table.body[row] = batch.strings.append(bytes, bodyAt, end);
    const values = this.#values;
    const { fields } = table;
    for (let field = 0; field < fields.length; field++) {
      const column = fields[field] as (typeof fields)[number];
      switch (column.kind) {
        case 'int64':
        case 'uint64':
          column.values.words[row * 2] = values.low[field] as number;
          column.values.words[row * 2 + 1] = values.high[field] as number;
          break;
        case 'string':
          column.values[row] = batch.strings.intern(bytes, values.start[field] as number, values.end[field] as number);
          break;
        default:
          break;
      }
    }
  }

  #findShape(entry: EventEntry, bytes: Uint8Array, at: number, end: number): Shape | undefined {
    const { shapes } = entry;
    for (let i = shapes.length - 1; i >= 0; i--) {
      const shape = shapes[i] as Shape;
      if (shape.template.fields.length > 0 && matchTemplate(shape.template, bytes, at, end, this.#values)) return shape;
    }
    return undefined;
  }

  /** A shape that fits this line; the one without fields when none can be learnt. */
  #learnShape(entry: EventEntry, learn: Learn, bytes: Uint8Array, at: number, end: number): Shape {
    const { shapes } = entry;
    if (shapes.length < MAX_TEMPLATES && entry.learntLines < MAX_LEARNT_LINES && end - at <= MAX_LEARNT_BYTES) {
      entry.learntLines++;
      const template = learn(bytes, at, end, shapes.at(-1)?.template);
      if (template.fields.length > 0 && matchTemplate(template, bytes, at, end, this.#values)) {
        const shape = { template, key: `${entry.name}#${shapes.length}`, table: undefined };
        shapes.push(shape);
        return shape;
      }
    }
    const textOnly = shapes.find((shape) => shape.template.fields.length === 0);
    if (textOnly !== undefined) return textOnly;
    const shape = { template: NO_FIELDS, key: `${entry.name}#text`, table: undefined };
    shapes.unshift(shape);
    return shape;
  }

  #tableOf(entry: EventEntry, shape: Shape, batch: EventBatch): EventTable {
    const known = shape.table;
    if (known !== undefined) return known;
    const { name, system, event } = entry;
    const found = batch.find(shape.key);
    const table = found ?? batch.addTable({ name, system, event, fields: shape.template.fields }, shape.key);
    shape.table = table;
    return table;
  }

  #forgetTables(batch: EventBatch): void {
    this.#batch = batch;
    for (const entry of this.#entries.values()) for (const shape of entry.shapes) shape.table = undefined;
  }
}

const ONE_TEXT: Template = { ...NO_FIELDS, fields: [{ name: 'buf', kind: 'string', type: '', hex: false }] };

function learnNothing(): Template {
  return NO_FIELDS;
}

function isMarker(bytes: Uint8Array, start: number, end: number): boolean {
  return (end - start === 1 && bytes[start] === 48) || startsWith(bytes, start, end, MARK_WRITE);
}

function addRow(table: EventTable, bytes: Uint8Array, prefix: FtracePrefix, batch: EventBatch): number {
  const row = table.length++;
  if (row === table.capacity) table.grow();
  setSecondsNs(table.rawTime, row, prefix.seconds, prefix.nanos);
  table.cpu[row] = prefix.cpu;
  table.pid[row] = prefix.pid;
  table.flags[row] = prefix.flags;
  table.preemptCount[row] = prefix.preemptCount;
  const unknown = bytes[prefix.commStart] === LESS && startsWith(bytes, prefix.commStart, prefix.commEnd, UNKNOWN_COMM);
  table.comm[row] = unknown ? 0 : batch.strings.intern(bytes, prefix.commStart, prefix.commEnd);
  return row;
}
