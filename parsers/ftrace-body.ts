/**
 * From the body of an ftrace text line to a row of its event's table. What the body looks like depends on who printed it:
 *
 *   sched_wakeup: comm=rcu_preempt pid=15 prio=120 target_cpu=001      most events: fields by template
 *   myopen: (do_sys_openat2+0x0/0x170) dfd=0xffffff9c                  probes: __probe_ip, or __probe_ret_ip and __probe_func
 *   sys_exit: NR 13 = 0                                                text: body only
 *   sys_openat(dfd: 0xffffff9c, filename: 0x7f44…, flags: 0)           -> syscalls:sys_enter_openat
 *   sys_openat -> 0x3                                                  -> syscalls:sys_exit_openat
 *   sys_enter_openat: dfd: 0xffffff9c, …   sys_exit_openat: 0x3        the same, as trace-cmd prints them
 *   tracing_mark_write: any text, also over several lines              -> ftrace:print (`0:` where the symbol is unknown)
 *   <stack trace>\n => ttwu_do_activate\n => …                         -> ftrace:kernel_stack; <user stack trace> likewise
 *   # 4d4c buf: 00 01                                                  -> ftrace:raw_data, and other bodies of tracers: ftrace-own.ts
 *
 * Text names no event system, so other events keep their bare name. The body goes into the batch verbatim as well.
 */
import { encodeUtf8 } from '../base/bytes.ts';
import { Interner } from '../base/interner.ts';
import type { EventField } from '../model/event-batch.ts';
import { startsWith } from './boot-phase.ts';
import type { BodyReader } from './ftrace-compile.ts';
import {
  CALLEE,
  CALLEE_AND_CALLER,
  learnBareCall,
  learnCall,
  learnFunction,
  learnKeyValues,
  learnReturn,
  type Learn,
} from './ftrace-learn.ts';
import { FtraceOwn, type OwnBody } from './ftrace-own.ts';
import { compileProgram, type Program } from './ftrace-program.ts';
import type { FtracePrefix } from './ftrace-prefix.ts';
import { createShape, toVariant, type FtraceRows, type OpenTable, type Shape } from './ftrace-rows.ts';
import { FIELD_VALUES, matchTemplate, NO_FIELDS, VALUE, type Template } from './ftrace-template.ts';

const NEWLINE = 10;
const CARRIAGE_RETURN = 13;
const SPACE = 32;
const HASH = 35;
const OPEN_PAREN = 40;
const DASH = 45;
const QUOTE = 34;
const EQUALS = 61;
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
const FUNCTION_GRAPH = encodeUtf8('funcgraph_');
const TYPE = encodeUtf8('type: ');
const STACK = encodeUtf8('<stack trace>');
const STACK_FIELD = encodeUtf8('=STACK:');
const USER_STACK = encodeUtf8('<user stack trace>');
const TEXT_FIELD: EventField = { name: 'buf', kind: 'string', type: '', hex: false };
const OF_FIELD: EventField = { name: 'event', kind: 'string', type: '', hex: false };

/** Ways of writing an event: `name: …`, `name(…)`, `name -> …`. */
export const BODY = { plain: 0, enter: 1, exit: 2 } as const;
export type BodyKind = (typeof BODY)[keyof typeof BODY];

export interface LearntShape {
  readonly template: Template;
  /** The template for the quick way; undefined where it is too long for it. */
  readonly program: Program | undefined;
  readonly shape: Shape;
  /** Lines that the program has read, until a function is made of it. */
  runs: number;
  reader: BodyReader | undefined;
}

export interface EventEntry {
  /** For lines `name: …`. */
  readonly learn: Learn;
  readonly system: string;
  readonly event: string;
  /** The last one is tried first: it is the one with the most text fields. */
  readonly shapes: LearntShape[];
  /** Takes what no template fits. */
  readonly text: Shape;
  learntLines: number;
  /** Rows of what a plugin of trace-cmd prints of it. */
  readonly plugin: Shape | undefined;
}

export class FtraceBodies {
  readonly #rows: FtraceRows;
  readonly #own: FtraceOwn;
  readonly #names = new Interner();
  /** By id of the name as the line spells it, one list for each way of calling. */
  readonly #plain: (EventEntry | undefined)[] = [];
  readonly #enters: (EventEntry | undefined)[] = [];
  readonly #exits: (EventEntry | undefined)[] = [];
  /** All of them, by full name. */
  readonly #entries = new Map<string, EventEntry>();
  readonly #values = FIELD_VALUES;
  /** Rows of markers and stacks. */
  readonly print = createShape('ftrace', 'print', [TEXT_FIELD]);
  readonly kernelStack = createShape('ftrace', 'kernel_stack', [TEXT_FIELD, OF_FIELD]);
  readonly userStack = createShape('ftrace', 'user_stack', [TEXT_FIELD, OF_FIELD]);
  /** In place of the entry of an event, for markers. */
  readonly marker: EventEntry;
  /** The same for trace-cmd's `funcgraph_entry: …` and `funcgraph_exit: …`. */
  readonly graph: EventEntry;
  /** Events of which something was learnt, for who has a copy of their templates; he empties it. */
  readonly changed = new Set<EventEntry>();
  /** Name of the event each CPU had last: a stack belongs to it. */
  readonly #lastOf: string[] = [];

  constructor(rows: FtraceRows) {
    this.#rows = rows;
    this.#own = new FtraceOwn(rows);
    this.marker = this.#createEntry('ftrace', 'print', learnKeyValues);
    this.graph = this.#createEntry('ftrace', 'funcgraph', learnKeyValues);
  }

  /**
   * The quick way for a line of a kind that is known: adds a row and returns where the line ends, or -1 when the line takes the
   * careful way: `add`, with its end known. Nothing is learnt here, since the line may have more lines that belong to it.
   */
  addLine(bytes: Uint8Array, prefix: FtracePrefix, end: number): number {
    const at = prefix.bodyStart;
    let p = at;
    let byte = bytes[p] as number;
    while (byte > SPACE && byte !== COLON && byte !== OPEN_PAREN) byte = bytes[++p] as number;
    if (byte === COLON) {
      if (bytes[p + 1] !== SPACE) return -1;
      const entry = this.#plain[this.#names.find(bytes, at, p)];
      let textAt = p + 2;
      while (bytes[textAt] === SPACE) textAt++;
      return entry === undefined ? -1 : this.#addKnown(entry, bytes, prefix, textAt, textAt, end);
    }
    if (byte === OPEN_PAREN) {
      const entry = this.#enters[this.#names.find(bytes, at, p)];
      return entry === undefined ? -1 : this.#addKnown(entry, bytes, prefix, at, p + 1, end);
    }
    if (byte !== SPACE || p === at) return -1;
    if (bytes[p + 1] === LESS) {
      const lineEnd = this.#own.addFunction(bytes, prefix, p, end);
      if (lineEnd >= 0) this.#lastOf[prefix.cpu] = 'function';
      return lineEnd;
    }
    if (bytes[p + 1] !== DASH || bytes[p + 2] !== GREATER || bytes[p + 3] !== SPACE) return -1;
    const entry = this.#exits[this.#names.find(bytes, at, p)];
    return entry === undefined ? -1 : this.#addKnown(entry, bytes, prefix, at, p + 4, end);
  }

  #addKnown(entry: EventEntry, bytes: Uint8Array, prefix: FtracePrefix, bodyAt: number, at: number, end: number): number {
    const { shapes } = entry;
    for (let i = shapes.length - 1; i >= 0; i--) {
      const { template, shape } = shapes[i] as LearntShape;
      const lineEnd = matchTemplate(template, bytes, at, end, true, this.#values);
      if (lineEnd < 0) continue;
      this.#addRow(entry, template, shape, bytes, prefix, bodyAt, lineEnd);
      return lineEnd;
    }
    // What trace-cmd's plugin prints of it is read with care.
    if (canLearn(entry) || entry.plugin !== undefined) return -1;
    let lineEnd = at;
    while (lineEnd < end && bytes[lineEnd] !== NEWLINE) lineEnd++;
    if (lineEnd === end || bytes[lineEnd - 1] === CARRIAGE_RETURN) return -1;
    this.#addRow(entry, NO_FIELDS, entry.text, bytes, prefix, bodyAt, lineEnd);
    return lineEnd;
  }

  /** The event whose name is `[at, end)`, if it has been met. */
  findEntry(kind: BodyKind, bytes: Uint8Array, at: number, end: number): EventEntry | undefined {
    if (kind === BODY.plain && isMarker(bytes, at, end)) return this.marker;
    if (kind === BODY.plain && startsWith(bytes, at, end, FUNCTION_GRAPH)) return this.graph;
    const entries = kind === BODY.plain ? this.#plain : kind === BODY.enter ? this.#enters : this.#exits;
    return entries[this.#names.find(bytes, at, end)];
  }

  /** True when an event's lines are taken for free text where no template fits. */
  isText(entry: EventEntry): boolean {
    return !canLearn(entry);
  }

  /** The event that a CPU had last. */
  noteEvent(cpu: number, event: string): void {
    this.#lastOf[cpu] = event;
  }

  /** See `noteEvent`; empty before the first one. */
  lastOf(cpu: number): string {
    return this.#lastOf[cpu] ?? '';
  }

  /** See `FtraceOwn.scan`. */
  scanOwn(bytes: Uint8Array, at: number, end: number): OwnBody | undefined {
    return this.#own.scan(bytes, at, end);
  }

  get untyped(): Shape {
    return this.#own.untyped;
  }

  /** Rows of `callee <-caller`, and of `callee <-caller (repeats: 2, last_ts: …)`. */
  get functions(): Shape {
    return this.#own.functions;
  }

  get repeats(): Shape {
    return this.#own.repeats;
  }

  /** False when the body is its first line alone, which ends at `lineEnd`: then what follows up to `end` is no part of it. */
  hasLines(bytes: Uint8Array, prefix: FtracePrefix, lineEnd: number, end: number): boolean {
    const at = prefix.bodyStart;
    const first = bytes[at] as number;
    if (first === LESS || first === HASH) return true;
    let p = at;
    while (p < lineEnd && (bytes[p] as number) > SPACE && bytes[p] !== COLON && bytes[p] !== OPEN_PAREN) p++;
    if (startsWith(bytes, at, lineEnd, MARK_WRITE)) return true;
    if (bytes[p] !== COLON) return false;
    if (isMarker(bytes, at, p)) return true;
    let textAt = p + 1;
    while (bytes[textAt] === SPACE && textAt < lineEnd) textAt++;
    // A stack among the fields of a synthetic event: each call on a line.
    if (startsWith(bytes, lineEnd - STACK_FIELD.length, lineEnd, STACK_FIELD)) return true;
    // The text of a probe's argument has lines of its own until its quotes end.
    if (isInQuotes(bytes, textAt, lineEnd)) return true;
    const entry = this.#plain[this.#names.find(bytes, at, p)];
    if (entry === undefined)
      return learnKeyValues(bytes, textAt, Math.min(lineEnd, textAt + MAX_LEARNT_BYTES), undefined).fields.length === 0;
    return this.#findShape(entry, bytes, textAt, end) !== undefined || this.#findShape(entry, bytes, textAt, lineEnd) === undefined;
  }

  /** A marker of which the line has the text alone. */
  addMarker(bytes: Uint8Array, prefix: FtracePrefix, end: number): void {
    this.#addText(this.print, bytes, prefix, prefix.bodyStart, end);
  }

  /** A function and its caller of which the record has the addresses alone. */
  addAddresses(bytes: Uint8Array, prefix: FtracePrefix, addresses: readonly string[]): void {
    this.#own.addAddresses(bytes, prefix, addresses);
  }

  /** Adds a row for the event; returns why not when it cannot. */
  add(bytes: Uint8Array, prefix: FtracePrefix, bodyEnd: number): string | undefined {
    const at = prefix.bodyStart;
    const first = bytes[at] as number;
    if (first === LESS || first === HASH || first === SPACE || (first >= 48 && first <= 57)) {
      if (this.#addFixed(bytes, prefix, at, bodyEnd)) return undefined;
    }
    let p = at;
    let byte = first;
    while (p < bodyEnd && byte > SPACE && byte !== COLON && byte !== OPEN_PAREN) byte = bytes[++p] as number;
    if (p === bodyEnd || p === at) return this.#addOwn(bytes, prefix, bodyEnd);
    if (p - at > MAX_NAME_BYTES) return 'no event name';
    if (byte === COLON) {
      if (startsWith(bytes, at, bodyEnd, TYPE) && this.#addOwn(bytes, prefix, bodyEnd) === undefined) return undefined;
      return this.#addNamed(bytes, prefix, p, bodyEnd);
    }
    if (byte === SPACE && startsWith(bytes, at, bodyEnd, MARK_WRITE)) {
      // Option sym-addr: `tracing_mark_write+0xdd/0x240 <ffffffffa9fb348d>: text`.
      const colon = bytes.indexOf(COLON, p);
      if (colon > 0 && colon < bodyEnd) return this.#addText(this.print, bytes, prefix, colon + 2, bodyEnd);
    }
    if (!startsWith(bytes, at, p, SYSCALL)) return this.#addOwn(bytes, prefix, bodyEnd);
    const isCall = byte === OPEN_PAREN && bytes[bodyEnd - 1] === 41;
    const isReturn = !isCall && bytes[p + 1] === DASH && bytes[p + 2] === GREATER && bytes[p + 3] === SPACE;
    if (!isCall && !isReturn) return this.#addOwn(bytes, prefix, bodyEnd);
    const id = this.#nameId(bytes, at, p);
    if (id < 0) return 'too many event names';
    if (isCall) {
      const entry = (this.#enters[id] ??= this.#entry('syscalls', ENTER + this.#names.get(id).slice(SYSCALL.length), learnBareCall));
      return this.#addMatched(entry, learnCall, bytes, prefix, at, p + 1, bodyEnd);
    }
    const entry = (this.#exits[id] ??= this.#entry('syscalls', EXIT + this.#names.get(id).slice(SYSCALL.length), learnReturn));
    return this.#addMatched(entry, learnReturn, bytes, prefix, at, p + 4, bodyEnd);
  }

  /** `name: …`, whose colon is at `p`. */
  #addNamed(bytes: Uint8Array, prefix: FtracePrefix, p: number, end: number): string | undefined {
    const at = prefix.bodyStart;
    // Of a marker's text only the one space is taken.
    if (isMarker(bytes, at, p)) return this.#addText(this.print, bytes, prefix, p + 2, end);
    let textAt = p + 1;
    // trace-cmd pads the name, and has one for markers.
    while (bytes[textAt] === SPACE && textAt < end) textAt++;
    if (startsWith(bytes, textAt, end, MARK_WRITE) && startsWith(bytes, at, p, PRINT)) {
      const colon = bytes.indexOf(COLON, textAt);
      if (colon > 0) return this.#addText(this.print, bytes, prefix, colon + 2, end);
    }
    const id = this.#nameId(bytes, at, p);
    if (id < 0) return 'too many event names';
    // A line of these may be a marker or a function: never one for the quick way.
    const isMixed = startsWith(bytes, at, p, PRINT) || startsWith(bytes, at, p, FUNCTION_GRAPH);
    const entry = isMixed ? this.#plainEntry(this.#names.get(id)) : (this.#plain[id] ??= this.#plainEntry(this.#names.get(id)));
    return this.#addMatched(entry, entry.learn, bytes, prefix, textAt, textAt, end);
  }

  /** The id of an event's name; -1 for a new one beyond the bound. */
  #nameId(bytes: Uint8Array, start: number, end: number): number {
    return this.#names.size > MAX_EVENTS ? this.#names.find(bytes, start, end) : this.#names.intern(bytes, start, end);
  }

  #addOwn(bytes: Uint8Array, prefix: FtracePrefix, end: number): string | undefined {
    const event = this.#own.add(bytes, prefix, prefix.bodyStart, end) ?? this.#addTrimmed(bytes, prefix, end);
    if (event === undefined) return 'no event name';
    this.#lastOf[prefix.cpu] = event;
    return undefined;
  }

  /** What was copied from a terminal or a page may have blanks behind it. */
  #addTrimmed(bytes: Uint8Array, prefix: FtracePrefix, end: number): ReturnType<FtraceOwn['add']> {
    let textEnd = end;
    while (textEnd > prefix.bodyStart && bytes[textEnd - 1] === SPACE) textEnd--;
    return textEnd < end ? this.#own.add(bytes, prefix, prefix.bodyStart, textEnd) : undefined;
  }

  /** Events that the tracer itself prints. */
  #addFixed(bytes: Uint8Array, prefix: FtracePrefix, at: number, end: number): boolean {
    if (bytes[at] === LESS) {
      if (startsWith(bytes, at, end, STACK)) this.#addStack(this.kernelStack, bytes, prefix, at + STACK.length + 1, end);
      else if (startsWith(bytes, at, end, USER_STACK)) this.#addStack(this.userStack, bytes, prefix, at + USER_STACK.length + 1, end);
      else return false;
      return true;
    }
    if (this.#addOwn(bytes, prefix, end) === undefined) return true;
    // Option raw: `# ffffffffa9fb348d text` is a marker.
    if (bytes[at] !== HASH || bytes[at + 1] !== SPACE) return false;
    const textAt = bytes.indexOf(SPACE, at + 2) + 1;
    this.#addText(this.print, bytes, prefix, textAt > 0 && textAt < end ? textAt : at + 2, end);
    return true;
  }

  #addStack(shape: Shape, bytes: Uint8Array, prefix: FtracePrefix, at: number, end: number): void {
    this.#addText(shape, bytes, prefix, at, end);
    const table = (shape.open as OpenTable).table;
    this.#rows.setString(shape, table.length - 1, 1, this.#lastOf[prefix.cpu] ?? '');
  }

  #plainEntry(event: string): EventEntry {
    if (event.startsWith(ENTER)) return this.#entry('syscalls', event, learnBareCall);
    if (event.startsWith(EXIT)) return this.#entry('syscalls', event, learnReturn);
    return event === 'function' ? this.#entry('ftrace', event, learnFunction) : this.#entry('', event, learnKeyValues);
  }

  #createEntry(system: string, event: string, learn: Learn): EventEntry {
    const text = createShape(system, event, [], 'text');
    return { system, event, learn, shapes: [], text, learntLines: 0, plugin: this.#own.pluginShape(event) };
  }

  #entry(system: string, event: string, learn: Learn): EventEntry {
    const name = system === '' ? event : `${system}:${event}`;
    const known = this.#entries.get(name);
    if (known !== undefined) return known;
    const entry = this.#createEntry(system, event, learn);
    this.#entries.set(name, entry);
    return entry;
  }

  /** A row whose first field, `buf`, is the whole text. */
  #addText(shape: Shape, bytes: Uint8Array, prefix: FtracePrefix, at: number, end: number): undefined {
    const row = this.#rows.add(shape, prefix, bytes);
    if (at >= end) {
      this.#rows.setText(shape, row, 0, bytes, 0, 0);
      return;
    }
    this.#rows.setText(shape, row, 0, bytes, at, end);
    this.#rows.setBody(shape, row, at, end);
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
  ): undefined {
    const learnt = this.#findShape(entry, bytes, at, end);
    if (learnt !== undefined) return this.#addRow(entry, learnt.template, learnt.shape, bytes, prefix, bodyAt, end);
    if (this.#own.addPlugin(entry.event, bytes, prefix, at, end)) {
      this.#lastOf[prefix.cpu] = entry.event;
      return undefined;
    }
    const fresh = this.#learnShape(entry, learn, bytes, at, end);
    if (fresh === undefined) return this.#addRow(entry, NO_FIELDS, entry.text, bytes, prefix, bodyAt, end);
    return this.#addRow(entry, fresh.template, fresh.shape, bytes, prefix, bodyAt, end);
  }

  #addRow(
    entry: EventEntry,
    template: Template,
    shape: Shape,
    bytes: Uint8Array,
    prefix: FtracePrefix,
    bodyAt: number,
    end: number,
  ): undefined {
    const rows = this.#rows;
    const row = rows.add(shape, prefix, bytes);
    rows.setBody(shape, row, bodyAt, end);
    this.#lastOf[prefix.cpu] = entry.event;
    const { forms } = template;
    const { columns } = shape.open as OpenTable;
    const { start, low, high } = this.#values;
    const ends = this.#values.end;
    const { strings } = rows.batch;
    for (let field = 0; field < forms.length; field++) {
      const column = columns[field] as Uint32Array;
      if (forms[field] === VALUE.text) column[row] = strings.intern(bytes, start[field] as number, ends[field] as number);
      else {
        column[row * 2] = low[field] as number;
        column[row * 2 + 1] = high[field] as number;
      }
    }
  }

  #findShape(entry: EventEntry, bytes: Uint8Array, at: number, end: number): LearntShape | undefined {
    const { shapes } = entry;
    for (let i = shapes.length - 1; i >= 0; i--) {
      const learnt = shapes[i] as LearntShape;
      if (matchTemplate(learnt.template, bytes, at, end, false, this.#values) >= 0) return learnt;
    }
    return undefined;
  }

  /** A shape that fits this line; undefined when none can be learnt. */
  #learnShape(entry: EventEntry, learn: Learn, bytes: Uint8Array, at: number, end: number): LearntShape | undefined {
    if (!canLearn(entry) || end - at > MAX_LEARNT_BYTES) return undefined;
    const { shapes } = entry;
    entry.learntLines++;
    this.changed.add(entry);
    const template = learn(bytes, at, end, shapes.at(-1)?.template);
    if (template.fields.length === 0 || matchTemplate(template, bytes, at, end, false, this.#values) < 0) return undefined;
    const learnt = this.#addShape(entry, template);
    if (template === CALLEE) this.#addShape(entry, CALLEE_AND_CALLER);
    return learnt;
  }

  #addShape({ shapes, system, event }: EventEntry, template: Template): LearntShape {
    const learnt: LearntShape = {
      template,
      program: compileProgram(template),
      shape: createShape(system, event, template.fields, toVariant(template.fields)),
      runs: 0,
      reader: undefined,
    };
    shapes.push(learnt);
    return learnt;
  }
}

function canLearn({ shapes, learntLines }: EventEntry): boolean {
  return shapes.length < MAX_TEMPLATES && learntLines < MAX_LEARNT_LINES;
}

function isMarker(bytes: Uint8Array, start: number, end: number): boolean {
  return (end - start === 1 && bytes[start] === 48) || startsWith(bytes, start, end, MARK_WRITE);
}

/** Does a `="` stand in the text whose quotes do not end there? */
function isInQuotes(bytes: Uint8Array, start: number, end: number): boolean {
  let quotes = 0;
  let opens = false;
  for (let p = start; p < end; p++) {
    if (bytes[p] !== QUOTE) continue;
    quotes++;
    opens ||= bytes[p - 1] === EQUALS;
  }
  return opens && quotes % 2 === 1;
}
