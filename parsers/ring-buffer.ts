/**
 * Ring-buffer pages as `per_cpu/cpuN/trace_pipe_raw` gives them: one sub-buffer per read, zero-filled behind its data.
 *
 *   c0 8e 5b 9a 3b 02 00 00 | d8 0f 00 c0 ff ff ff ff | records … | 2a 00 00 00 00 00 00 00
 *   +-- u64 time of the page   |  +-- sign-extended: only     +-- header_page says    +-- stored loss count, a `long`,
 *                              |      the low 32 bits count       where data begins       only where bit 30 is set
 *                              +-- bytes of data (27 bits) | bit 31: events were lost before this page | bit 30: count stored
 *
 * A record, 4-byte aligned, its first word in the traced kernel's byte order:
 *
 *   8b 0a 00 00 | 74 01 00 12 | 2d 05 00 00 | …
 *   |              +-- u16 id    +-- s32 pid: the common fields of event-format.ts
 *   +-- type_len in the low 5 bits (top 5 bits on big-endian), 27 bits of time since the previous record
 *
 *   type_len  1…28  payload of 4 × type_len bytes        29  delta 0: rest of page empty; else u32 length of a discarded event
 *             0     u32 length (itself included), payload 30  time extend: u32 << 27 is added to the delta
 *                                                         31  absolute time: u32 << 27 | delta, 59 bits; the top 5 are restored
 *
 * A discarded event's delta counts, as libtraceevent has it. A broken record ends its page (there is nothing to find the
 * next one by); the next page stands for itself.
 *
 * Not handled: the ring buffer's in-memory layout (persistent and mmapped buffers), print formats, pre-2.6.30 records.
 * Kernel: kernel/trace/ring_buffer.c, include/linux/ring_buffer.h.
 */
import type { EventBatch, EventSchema, EventTable, FieldValues } from '../model/event-batch.ts';
import { countMalformed, createCounts, type ParseCounts } from '../model/parser.ts';
import type { FormatSet } from '../model/segment.ts';
import { NO_RAW_TIME } from '../model/time.ts';
import { minRecordBytes, NameCache, planColumns, readInt32s, type ColumnPlan, type RecordRun } from './event-columns.ts';
import type { EventFormat } from './event-format.ts';
import { indexFormats, type FormatIndex } from './format-index.ts';
import type { PageLayout } from './page-header.ts';
import { COMMIT_BYTES_MASK, LOST_FLAG, LOST_STORED_FLAG, PADDING, RECORD_CUT, RunningTime, skipSpecial } from './page-records.ts';

/** Pages gathered before their columns are filled: the offsets of 64 pages stay in the second-level cache. */
const PAGES_PER_RUN = 64;
/** Values of one record lie side by side, so they take its bytes once; a name that is stored twice may share them. */
const BUDGET_FACTOR = 4;

/** Events that a page says were lost before it. */
export interface PageLoss {
  readonly cpu: number;
  /** Time of the previous event of this CPU, or NO_RAW_TIME where there was none, in units of the trace clock. */
  readonly fromRaw: bigint;
  /** Time of the page that reports the loss. */
  readonly toRaw: bigint;
  /** undefined = the kernel does not say. */
  readonly count: number | undefined;
}

/** `records` counts events; bytes count whole pages. */
export interface PageCounts extends ParseCounts {
  pages: number;
  /** Events that their writer took back. */
  discarded: number;
}

/** The records of one event in the current run of pages, and how they become rows. */
class EventReader {
  readonly schema: EventSchema;
  readonly minBytes: number;
  readonly plans: readonly ColumnPlan[];
  readonly pidOffset: number;
  readonly flagsOffset: number;
  readonly preemptOffset: number;
  count = 0;
  capacity = 64;
  starts = new Uint32Array(64);
  ends = new Uint32Array(64);
  /** Low and high word of each record's time. */
  times = new Uint32Array(128);
  /** Records with the stamp of the record before them, of whatever event: index and rank of each. */
  readonly ties: number[] = [];

  constructor(format: EventFormat, longBytes: 4 | 8) {
    this.plans = planColumns(format, longBytes);
    this.minBytes = minRecordBytes(format);
    this.schema = {
      name: `${format.system}:${format.event}`,
      system: format.system,
      event: format.event,
      fields: this.plans.map((plan) => plan.field),
    };
    const offsetOf = (name: string): number => format.common.find((field) => field.name === name)?.offsetBytes ?? -1;
    this.pidOffset = offsetOf('common_pid');
    this.flagsOffset = offsetOf('common_flags');
    this.preemptOffset = offsetOf('common_preempt_count');
  }

  noteTie(index: number, rank: number): void {
    this.ties.push(index, rank);
  }

  grow(): void {
    this.capacity *= 2;
    this.starts = copyWords(this.starts, this.capacity);
    this.ends = copyWords(this.ends, this.capacity);
    this.times = copyWords(this.times, this.capacity * 2);
  }
}

function copyWords(words: Uint32Array<ArrayBuffer>, capacity: number): Uint32Array<ArrayBuffer> {
  const copy = new Uint32Array(capacity);
  copy.set(words);
  return copy;
}

/** Time of the last record seen on a CPU, and its last event. */
interface LastTime {
  low: number;
  high: number;
  eventLow: number;
  eventHigh: number;
  /** How many events before the last one have its stamp. */
  rank: number;
}

export class PageReader {
  readonly counts: PageCounts = { ...createCounts(), pages: 0, discarded: 0 };
  readonly formats: FormatSet;
  readonly #layout: PageLayout | undefined;
  readonly #little: boolean;
  /** By `common_type`; one is made when the first record of its event comes, since a kernel has thousands of events. */
  readonly #readers: (EventReader | undefined)[] = [];
  readonly #index: FormatIndex;
  /** Readers that have records in the current run. */
  readonly #active: EventReader[] = [];
  readonly #names = new NameCache();
  readonly #lastTimes = new Map<number, LastTime>();
  #losses: PageLoss[] = [];
  /** Of the page being walked, while a rare record changes it. */
  readonly #time = new RunningTime();

  constructor(set: FormatSet) {
    this.formats = set;
    this.#index = indexFormats(set);
    this.#layout = this.#index.layout;
    this.#little = set.endian === 'little';
  }

  /** What is wrong with the format set, for which all of it is parsed; its events are then counted as unknown. */
  get problems(): readonly string[] {
    return this.#index.problems;
  }

  /** Bytes of a page as the traced kernel states them; undefined where it did not. */
  get pageSizeBytes(): number | undefined {
    return this.#layout?.pageSizeBytes;
  }

  /** Losses reported by pages read since the last call. */
  takeLosses(): PageLoss[] {
    const losses = this.#losses;
    this.#losses = [];
    return losses;
  }

  /** Appends the events of whole pages of one CPU, in the order they were read from the kernel, to the batch's tables. */
  read(pages: Uint8Array, pageSizeBytes: number, cpu: number, batch: EventBatch): void {
    const layout = this.#layout;
    if (layout === undefined || !(pageSizeBytes >= layout.dataOffset)) {
      countMalformed(this.counts, 'page_layout', pages, 0, pages.length);
      return;
    }
    const view = new DataView(pages.buffer, pages.byteOffset, pages.byteLength);
    const last = this.#lastTimeOf(cpu);
    const whole = pages.length - (pages.length % pageSizeBytes);
    let inRun = 0;
    for (let at = 0; at < whole; at += pageSizeBytes) {
      this.#readPage(pages, view, at, pageSizeBytes, cpu, layout, last);
      if (++inRun < PAGES_PER_RUN) continue;
      this.#fillTables(pages, view, cpu, batch);
      inRun = 0;
    }
    this.#fillTables(pages, view, cpu, batch);
    this.#names.clear();
    if (whole < pages.length) countMalformed(this.counts, 'torn_page', pages, whole, pages.length);
  }

  #lastTimeOf(cpu: number): LastTime {
    let last = this.#lastTimes.get(cpu);
    if (last === undefined) {
      last = {
        low: Number(BigInt.asUintN(32, NO_RAW_TIME)),
        high: Number(BigInt.asUintN(32, NO_RAW_TIME >> 32n)),
        eventLow: 0,
        eventHigh: 0,
        rank: 0,
      };
      this.#lastTimes.set(cpu, last);
    }
    return last;
  }

  #readPage(pages: Uint8Array, view: DataView, at: number, sizeBytes: number, cpu: number, layout: PageLayout, last: LastTime): void {
    const little = this.#little;
    const stampAt = at + layout.timestampOffset;
    const low = view.getUint32(little ? stampAt : stampAt + 4, little);
    const high = view.getUint32(little ? stampAt + 4 : stampAt, little);
    const commitAt = at + layout.commitOffset;
    const commit = view.getUint32(little || layout.longBytes === 4 ? commitAt : commitAt + 4, little);
    const start = at + layout.dataOffset;
    const end = start + (commit & COMMIT_BYTES_MASK);
    const { counts } = this;
    counts.pages++;
    if (end > at + sizeBytes) {
      countMalformed(counts, 'commit_too_long', pages, at, at + sizeBytes);
      return;
    }
    if ((commit & LOST_FLAG) !== 0) {
      const count = (commit & LOST_STORED_FLAG) === 0 ? undefined : readLong(view, end, at + sizeBytes, layout.longBytes, little);
      this.#addLoss(cpu, last, low, high, count);
    }
    const malformedBytes = counts.malformedBytes;
    this.#gather(pages, view, start, end, low, high, last);
    counts.parsedBytes += sizeBytes - (counts.malformedBytes - malformedBytes);
  }

  #addLoss(cpu: number, last: LastTime, low: number, high: number, count: number | undefined): void {
    if (count === undefined) this.counts.lostUnknown++;
    else this.counts.lost += count;
    this.#losses.push({ cpu, fromRaw: toSigned(last.low, last.high), toRaw: toSigned(low, high), count });
  }

  /** Walks the records of a page and notes where each event's payload lies and when it happened. */
  #gather(pages: Uint8Array, view: DataView, start: number, end: number, pageLow: number, pageHigh: number, last: LastTime): void {
    const little = this.#little;
    const readers = this.#readers;
    const active = this.#active;
    const time = this.#time;
    let { eventLow, eventHigh, rank } = last;
    let low = pageLow;
    let high = pageHigh;
    let events = 0;
    let at = start;
    while (at + 4 <= end) {
      const word = view.getUint32(at, little);
      const type = little ? word & 31 : word >>> 27;
      const delta = little ? word >>> 5 : word & 0x07ff_ffff;
      if (type >= PADDING) {
        time.low = low;
        time.high = high;
        const next = skipSpecial(time, type, delta, view, at, end, little);
        if (type === PADDING && delta !== 0 && next >= 0) this.counts.discarded++;
        at = next < 0 ? this.#endPage(next, pages, at, end) : next;
        ({ low, high } = time);
        continue;
      }
      low = (low + delta) >>> 0;
      if (low < delta) high = (high + 1) >>> 0;
      const payload = type === 0 ? at + 8 : at + 4;
      const length = type === 0 ? readLength(view, at, end, little) : type * 4;
      if (length < 2 || length > end - payload) {
        countMalformed(this.counts, 'record_length', pages, at, end);
        break;
      }
      const id = view.getUint16(payload, little);
      const reader = readers[id] ?? this.#openReader(id);
      if (reader === undefined || length < reader.minBytes) {
        countMalformed(this.counts, reader === undefined ? 'unknown_event' : 'record_too_short', pages, at, payload + length);
      } else {
        const index = reader.count++;
        if (index === 0) active.push(reader);
        if (index === reader.capacity) reader.grow();
        reader.starts[index] = payload;
        reader.ends[index] = payload + length;
        reader.times[index * 2] = low;
        reader.times[index * 2 + 1] = high;
        if (low === eventLow && high === eventHigh) reader.noteTie(index, ++rank);
        else rank = 0;
        eventLow = low;
        eventHigh = high;
        events++;
      }
      at = payload + ((length + 3) & ~3);
    }
    last.low = low;
    last.high = high;
    last.eventLow = eventLow;
    last.eventHigh = eventHigh;
    last.rank = rank;
    this.counts.records += events;
  }

  #openReader(id: number): EventReader | undefined {
    const format = this.#index.find(id);
    return format === undefined ? undefined : (this.#readers[id] = new EventReader(format, this.#layout?.longBytes ?? 8));
  }

  /** Counts a broken record, which ends its page. */
  #endPage(outcome: number, pages: Uint8Array, at: number, end: number): number {
    countMalformed(this.counts, outcome === RECORD_CUT ? 'record_cut' : 'record_length', pages, at, end);
    return end;
  }

  /** Turns what was gathered into rows, one event after the other, one column after the other. */
  #fillTables(pages: Uint8Array, view: DataView, cpu: number, batch: EventBatch): void {
    for (const reader of this.#active) {
      const { count, starts, ends, ties } = reader;
      const table = findTable(batch, reader.schema);
      const row = table.length;
      table.reserve(row + count);
      table.length = row + count;
      table.rawTime.words.set(reader.times.subarray(0, count * 2), row * 2);
      table.cpu.fill(cpu, row, row + count);
      let payloadBytes = 0;
      for (let i = 0; i < count; i++) payloadBytes += (ends[i] as number) - (starts[i] as number);
      const run: RecordRun = {
        view,
        bytes: pages,
        little: this.#little,
        starts,
        ends,
        count,
        strings: batch.strings,
        names: this.#names,
        budgetBytes: payloadBytes * BUDGET_FACTOR,
      };
      fillCommon(reader, run, table, row);
      let outside = 0;
      for (let i = 0; i < reader.plans.length; i++) {
        outside += (reader.plans[i] as ColumnPlan).read(run, table.fields[i] as FieldValues, row);
      }
      if (outside > 0) this.#countOutside(outside);
      for (let i = 0; i < ties.length; i += 2) batch.ties.add(table, row + (ties[i] as number), ties[i + 1] as number);
      ties.length = 0;
      reader.count = 0;
    }
    this.#active.length = 0;
  }

  /** Values whose location points out of their record: the row stands, the value is empty. */
  #countOutside(values: number): void {
    const { malformed } = this.counts;
    malformed.set('value_outside_record', (malformed.get('value_outside_record') ?? 0) + values);
  }
}

/** Compiles a format set: one set serves all pages of one boot of one kernel. */
export function openPageReader(set: FormatSet): PageReader {
  return new PageReader(set);
}

/** The pid, flags and preemption columns; a remote event has none of these fields. */
function fillCommon(reader: EventReader, run: RecordRun, table: EventTable, row: number): void {
  const { bytes, starts, count } = run;
  if (reader.pidOffset < 0) table.pid.fill(-1, row, row + count);
  else readInt32s(reader.pidOffset)(run, { kind: 'int32', values: table.pid }, row);
  const { flagsOffset, preemptOffset } = reader;
  fillBytes(table.flags, flagsOffset, bytes, starts, row, count);
  fillBytes(table.preemptCount, preemptOffset, bytes, starts, row, count);
}

function fillBytes(column: Uint8Array, offset: number, bytes: Uint8Array, starts: Uint32Array, row: number, count: number): void {
  if (offset < 0) column.fill(0, row, row + count);
  else for (let i = 0; i < count; i++) column[row + i] = bytes[(starts[i] as number) + offset] as number;
}

/** The batch's table of an event; events of one name and other fields (of another kernel) have a table of their own. */
function findTable(batch: EventBatch, schema: EventSchema): EventTable {
  const table = batch.find(schema.name);
  if (table === undefined) return batch.addTable(schema);
  if (table.schema === schema || signatureOf(table.schema) === signatureOf(schema)) return table;
  const key = `${schema.name} ${signatureOf(schema)}`;
  return batch.find(key) ?? batch.addTable(schema, key);
}

function signatureOf(schema: EventSchema): string {
  return schema.fields.map((field) => `${field.name}:${field.kind}:${field.type}`).join(' ');
}

/** Payload bytes of a record in the long form; its length word counts itself. Negative where the page ends before it. */
function readLength(view: DataView, at: number, end: number, little: boolean): number {
  return at + 8 > end ? -1 : view.getUint32(at + 4, little) - 4;
}

/** An unsigned `long` at `at`; undefined where it does not fit before `end` or in a double. */
function readLong(view: DataView, at: number, end: number, longBytes: 4 | 8, little: boolean): number | undefined {
  if (at + longBytes > end) return undefined;
  if (longBytes === 4) return view.getUint32(at, little);
  const value = Number(view.getBigUint64(at, little));
  return Number.isSafeInteger(value) ? value : undefined;
}

function toSigned(low: number, high: number): bigint {
  return BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low));
}
