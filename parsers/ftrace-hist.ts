/**
 * Dumps of histogram triggers: the file `hist` of an event, one or several after each other.
 *
 *   # event histogram
 *   #
 *   # trigger info: hist:keys=common_pid.execname,next_comm:vals=hitcount,prev_prio:sort=hitcount:size=2048 [active]
 *   #
 *
 *   { common_pid: sh              [       470], next_comm: swapper/1       } hitcount:          5  prev_prio:        600
 *     |           |                             |                            |                     +-- a value
 *     |           +-- a key's value, with its number behind: text            +-- how often
 *     +-- a key
 *   { call_site: [ffffffffa9fb8bbd] tracing_log_err+0x19d/0x1c0 } …      { bytes_req: ~ 2^13 } …      { target_cpu: ~ 0-1, pid: 655 } …
 *   { stacktrace:                                                            a stack has a line for each function
 *            swake_up_one+0x2e/0x60
 *   } hitcount:          1
 *
 *   Totals:
 *       Hits: 146
 *       Entries: 38
 *       Dropped: 0
 *
 * A line of a histogram is a row of `ftrace:hist`: the trigger, keys (numbers where all of the text is one), hitcount, values.
 * The totals are one of `ftrace:hist_totals`: hits that found no room are in its `dropped`. There is no time in the text: rows are
 * on the clock `counter`, in their order. The dump does not name its event.
 * Spec: kernel/trace/trace_events_hist.c (hist_trigger_entry_print), Documentation/trace/histogram.rst.
 */
import { decodeUtf8 } from '../base/bytes.ts';
import type { EventBatch, EventField } from '../model/event-batch.ts';
import { countMalformed, createCounts, type EventTextParser, type InputLoss, type ParserSession } from '../model/parser.ts';
import { FtracePrefix } from './ftrace-prefix.ts';
import { createShape, FtraceRows, toVariant, type Shape } from './ftrace-rows.ts';

const NEWLINE = 10;
const OPEN_BRACE = 123;
const MAX_ENTRY_BYTES = 64 << 10;
const MAX_SHAPES = 256;
const MAX_FIELDS = 64;

const TITLE = /^# event histogram\s*$/;
const TRIGGER = /^# trigger info: (.*?)(?: \[(\w+)\])?\s*$/;
/** What stands behind the keys. */
const VALUES = /^[\w.$-]+(?: \(%\))?: /;
const KEY = /(?:^|, )([\w.$-]+):\s/g;
const VALUE = /([\w.$-]+)( \(%\))?: +(-?[\d.]+|[#*]*)(?=\s|$)/g;
const TOTAL = /^\s+(Hits|Entries|Dropped|Duplicates): (\d{1,15})\s*$/;

export const ftraceHist: EventTextParser = {
  id: 'ftrace_hist',
  title: 'histograms of trace events (hist triggers)',
  yields: 'events',
  sniff: (head) => TITLE.test(decodeUtf8(head, 0, Math.min(head.length, 64)).split('\n', 1)[0] ?? ''),
  open: () => new Session(),
};

interface Total {
  hits: number;
  entries: number;
  dropped: number;
}

class Session implements ParserSession<EventBatch> {
  readonly counts = createCounts();
  readonly #rows = new FtraceRows();
  readonly #prefix = new FtracePrefix();
  readonly #shapes = new Map<string, Shape>();
  readonly #totals = createShape('ftrace', 'hist_totals', [text('trigger'), number('hits'), number('entries'), number('dropped')]);
  readonly #unparsed = createShape('ftrace', 'unparsed', [text('reason')]);
  #trigger = '';
  #total: Total | undefined;
  #ordinal = 0;

  parse(bytes: Uint8Array, batch: EventBatch): number {
    return this.#read(bytes, batch, false);
  }

  finish(bytes: Uint8Array, batch: EventBatch): number {
    const at = this.#read(bytes, batch, true);
    this.#takeTotal(bytes);
    return at;
  }

  takeLosses(): InputLoss[] {
    return [];
  }

  #read(bytes: Uint8Array, batch: EventBatch, atEnd: boolean): number {
    batch.clock = 'counter';
    this.#rows.begin(bytes, batch);
    let at = 0;
    while (at < bytes.length) {
      const next = findEnd(bytes, at, atEnd);
      if (next < 0) break;
      this.#takeEntry(bytes, at, next);
      at = next;
    }
    return at;
  }

  /** A line, or the several lines of an entry with a stack. */
  #takeEntry(bytes: Uint8Array, at: number, next: number): void {
    const line = decodeUtf8(bytes, at, next).trimEnd();
    const total = TOTAL.exec(line);
    if (total !== null) {
      this.#total ??= { hits: 0, entries: 0, dropped: 0 };
      const name = (total[1] as string).toLowerCase();
      if (name === 'hits' || name === 'entries' || name === 'dropped') this.#total[name] = Number(total[2]);
    } else {
      if (line !== '') this.#takeTotal(bytes);
      const trigger = TRIGGER.exec(line);
      if (trigger !== null) this.#trigger = trigger[1] as string;
      else if (line !== '' && !line.startsWith('#') && line !== 'Totals:') {
        if (!this.#addEntry(line, bytes, at, next)) this.#addUnparsed(bytes, at, next);
        return;
      }
    }
    this.counts.parsedBytes += next - at;
  }

  #addEntry(line: string, bytes: Uint8Array, at: number, next: number): boolean {
    // Keys may be on several lines, and hold braces.
    const close = line.lastIndexOf('} ');
    const behind = line.slice(close + 2);
    if (close < 0 || !line.startsWith('{ ') || !VALUES.test(behind)) return false;
    const keys = readKeys(line.slice(2, close).trimEnd());
    const values = [...behind.matchAll(VALUE)].slice(0, MAX_FIELDS);
    if (keys.length === 0 || values.length === 0) return false;
    const names = [...keys.map(([name]) => name), ...values.map((value) => `${value[1]}${value[2] === undefined ? '' : '_percent'}`)];
    const texts = [...keys.map(([, value]) => value), ...values.map((value) => value[3] as string)];
    const shape = this.#shapeOf(names, texts);
    if (shape === undefined) return false;
    const row = this.#add(shape, bytes);
    this.#rows.setBody(shape, row, at, trimEnd(bytes, at, next));
    this.#rows.setString(shape, row, 0, this.#trigger);
    texts.forEach((value, index) => {
      if (shape.fields[index + 1]?.kind === 'string') this.#rows.setString(shape, row, index + 1, value);
      else this.#rows.setNumber(shape, row, index + 1, Number(value));
    });
    this.counts.records++;
    this.counts.parsedBytes += next - at;
    return true;
  }

  #shapeOf(names: readonly string[], texts: readonly string[]): Shape | undefined {
    const kinds = texts.map((value) => (/^-?\d{1,15}$/.test(value) ? 'n' : 't')).join('');
    const key = `${names.join()} ${kinds}`;
    const known = this.#shapes.get(key);
    if (known !== undefined || this.#shapes.size >= MAX_SHAPES) return known;
    const unique = names.map((name, index) => (names.indexOf(name) === index && name !== 'trigger' ? name : `${name}_${index}`));
    const fields = unique.map((name, index) => (kinds[index] === 'n' ? number(name) : text(name)));
    const all = [text('trigger'), ...fields];
    const shape = createShape('ftrace', 'hist', all, toVariant(all));
    this.#shapes.set(key, shape);
    return shape;
  }

  /** The totals of a histogram, once all their lines have been read. */
  #takeTotal(bytes: Uint8Array): void {
    const total = this.#total;
    if (total === undefined) return;
    this.#total = undefined;
    const shape = this.#totals;
    const row = this.#add(shape, bytes);
    this.#rows.setString(shape, row, 0, this.#trigger);
    [total.hits, total.entries, total.dropped].forEach((value, index) => this.#rows.setNumber(shape, row, index + 1, value));
    this.counts.records++;
  }

  #addUnparsed(bytes: Uint8Array, at: number, end: number): void {
    const reason = 'no histogram entry';
    countMalformed(this.counts, reason, bytes, at, end);
    const row = this.#add(this.#unparsed, bytes);
    this.#rows.setString(this.#unparsed, row, 0, reason);
    this.#rows.setBody(this.#unparsed, row, at, trimEnd(bytes, at, end));
    this.counts.records++;
  }

  #add(shape: Shape, bytes: Uint8Array): number {
    this.#ordinal++;
    this.#prefix.seconds = Math.floor(this.#ordinal / 1e9);
    this.#prefix.nanos = this.#ordinal % 1e9;
    return this.#rows.add(shape, this.#prefix, bytes);
  }
}

/** Where a line ends, or an entry whose keys reach over several; -1 when more bytes are needed. */
function findEnd(bytes: Uint8Array, at: number, atEnd: boolean): number {
  const newline = bytes[at] === OPEN_BRACE ? findEntryEnd(bytes, at) : bytes.indexOf(NEWLINE, at);
  if (newline >= 0 && newline - at <= MAX_ENTRY_BYTES) return newline + 1;
  return atEnd || bytes.length - at > MAX_ENTRY_BYTES ? Math.min(bytes.length, at + MAX_ENTRY_BYTES) : -1;
}

/** The keys are closed by `} hitcount`, at the end of their line or on one of its own; -1 when more bytes are needed. */
function findEntryEnd(bytes: Uint8Array, at: number): number {
  for (let from = at, newline = bytes.indexOf(NEWLINE, at); newline >= 0; newline = bytes.indexOf(NEWLINE, from)) {
    if (newline - at > MAX_ENTRY_BYTES || decodeUtf8(bytes, from, newline).includes('} ')) return newline;
    from = newline + 1;
    if (from === bytes.length) return -1;
    // Another entry, or the totals: this one was cut.
    if (bytes[from] === NEWLINE || bytes[from] === OPEN_BRACE) return newline;
  }
  return -1;
}

function trimEnd(bytes: Uint8Array, at: number, end: number): number {
  let p = end;
  while (p > at && (bytes[p - 1] as number) <= 32) p--;
  return p;
}

/** Names and values; a value reaches to the next key, and the lines of a stack become one text. */
function readKeys(keys: string): (readonly [string, string])[] {
  const found = [...keys.matchAll(KEY)].slice(0, MAX_FIELDS);
  return found.map((key, index) => {
    const from = key.index + key[0].length;
    const value = keys.slice(from, found[index + 1]?.index ?? keys.length);
    const lines = value.split('\n').map((line) => line.trim());
    return [
      key[1] as string,
      lines
        .filter((line) => line !== '')
        .join('\n')
        .replaceAll(/ +\[ */g, ' ['),
    ] as const;
  });
}

function text(name: string): EventField {
  return { name, kind: 'string', type: '', hex: false };
}

function number(name: string): EventField {
  return { name, kind: 'int64', type: '', hex: false };
}
