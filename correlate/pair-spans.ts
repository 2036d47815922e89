/**
 * Runs span rules over event tables. The events of one rule are walked in time order (of each table by its own column, merged),
 * since its two events stand in two tables. What is open at the end of a batch stays open for the next one.
 */
import { createHash } from 'node:crypto';
import { TWO_POW_32 } from '../base/int64.ts';
import { fieldText, type EventBatch, type EventTable } from '../model/event-batch.ts';
import { SPAN_KIND, type SpanBatch } from '../model/span-batch.ts';
import { ATTR } from '../model/attributes.ts';
import { toUnixNs, type ClockFit } from '../clock/fit.ts';
import { VALUE_NAMES, type SpanRule } from './span-rules.ts';

/** Begins that wait for their end, per rule: more than CPUs × vectors means that ends are being lost. */
const MAX_OPEN = 4096;

interface SpanBegin {
  readonly name: string;
  readonly cpu: number;
  readonly pid: number;
  readonly attributes: readonly (readonly [string, string | number])[];
}

interface OpenSpan {
  readonly rawTime: bigint;
  /** Row of the batch at hand; once that has gone, `begin` is set. Most spans are short, and then nothing of this is read. */
  readonly row: number;
  begin: SpanBegin | undefined;
}

export interface PairCounts {
  matched: number;
  /** Shorter than the rule's least duration. */
  short: number;
  /** Ends without a begin, begins without an end. */
  unmatched: number;
}

export class SpanPairer {
  readonly counts: PairCounts = { matched: 0, short: 0, unmatched: 0 };
  readonly #rules: readonly { readonly rule: SpanRule; readonly open: Map<string, OpenSpan> }[];
  readonly #idSeed: string;

  /** `idSeed`: makes span ids repeatable and distinct between kernels (the boot id). */
  constructor(rules: readonly SpanRule[], idSeed: string) {
    this.#rules = rules.map((rule) => ({ rule, open: new Map() }));
    this.#idSeed = idSeed;
  }

  /** Adds the spans that end in this batch. */
  pair(events: EventBatch, fit: ClockFit, spans: SpanBatch): void {
    for (const { rule, open } of this.#rules) {
      const begins = events.find(rule.begin);
      const ends = events.find(rule.end);
      this.#pairRule(rule, open, events, begins, ends, fit, spans);
    }
  }

  #pairRule(
    rule: SpanRule,
    open: Map<string, OpenSpan>,
    events: EventBatch,
    begins: EventTable | undefined,
    ends: EventTable | undefined,
    fit: ClockFit,
    spans: SpanBatch,
  ): void {
    const beginRows = rowsInOrder(begins);
    const endRows = rowsInOrder(ends);
    const beginKey = begins === undefined ? undefined : toKeyReader(rule, events, begins);
    const endKey = ends === undefined ? undefined : toKeyReader(rule, events, ends);
    let b = 0;
    let e = 0;
    while (b < beginRows.length || e < endRows.length) {
      const beginTime = b < beginRows.length ? begins?.rawTime.getBigint(beginRows[b] as number) : undefined;
      const endTime = e < endRows.length ? ends?.rawTime.getBigint(endRows[e] as number) : undefined;
      // At one stamp the begin goes first: nothing ends before it begins.
      if (begins !== undefined && beginKey !== undefined && beginTime !== undefined && (endTime === undefined || beginTime <= endTime)) {
        const row = beginRows[b++] as number;
        this.#open(open, beginKey(row), { rawTime: begins.rawTime.getBigint(row), row, begin: undefined });
      } else if (ends !== undefined && endKey !== undefined) {
        const row = endRows[e++] as number;
        this.#close(rule, open, endKey(row), events, begins, ends, row, fit, spans);
      }
    }
    // The batch goes: what is still open takes along what it needs of it.
    if (begins !== undefined) for (const of of open.values()) of.begin ??= describeBegin(rule, events, begins, of.row);
  }

  #open(open: Map<string, OpenSpan>, key: string, span: OpenSpan): void {
    if (open.delete(key)) this.counts.unmatched++;
    open.set(key, span);
    if (open.size <= MAX_OPEN) return;
    open.delete(open.keys().next().value as string);
    this.counts.unmatched++;
  }

  #close(
    rule: SpanRule,
    open: Map<string, OpenSpan>,
    key: string,
    events: EventBatch,
    begins: EventTable | undefined,
    ends: EventTable,
    row: number,
    fit: ClockFit,
    spans: SpanBatch,
  ): void {
    const opened = open.get(key);
    if (opened === undefined) {
      this.counts.unmatched++;
      return;
    }
    open.delete(key);
    this.counts.matched++;
    const endTime = ends.rawTime.getBigint(row);
    if (Number(endTime - opened.rawTime) * fit.nsPerTick < rule.minDurationNs) {
      this.counts.short++;
      return;
    }
    const begin = opened.begin ?? (begins === undefined ? undefined : describeBegin(rule, events, begins, opened.row));
    if (begin === undefined) return;
    this.#addSpan(rule, opened.rawTime, begin, endTime, fit, readFields(rule.endAttributes, events, ends, row), spans);
  }

  #addSpan(
    rule: SpanRule,
    beginTime: bigint,
    begin: SpanBegin,
    endTime: bigint,
    fit: ClockFit,
    endAttributes: readonly (readonly [string, string | number])[],
    spans: SpanBatch,
  ): void {
    const row = spans.openRow();
    const id = createHash('sha256').update(`${this.#idSeed}/${rule.name}/${begin.cpu}/${beginTime}`).digest();
    spans.traceId.set(id.subarray(0, 16), row * 16);
    spans.spanId.set(id.subarray(16, 24), row * 8);
    spans.name[row] = spans.strings.internString(begin.name);
    spans.kind[row] = SPAN_KIND.internal;
    spans.startTime.setBigint(row, toUnixNs(fit, beginTime));
    spans.endTime.setBigint(row, toUnixNs(fit, endTime));
    spans.attributes.add(ATTR.cpu, begin.cpu);
    spans.attributes.add(ATTR.threadId, begin.pid);
    spans.attributes.add('mk.span.rule', rule.name);
    for (const [key, value] of [...begin.attributes, ...endAttributes]) spans.attributes.add(key, value);
    spans.closeRow();
  }
}

function describeBegin(rule: SpanRule, events: EventBatch, table: EventTable, row: number): SpanBegin {
  return {
    name: rule.spanName.replaceAll(/\{(\w+)\}/g, (_, field: string) => String(readField(events, table, field, row) ?? '?')),
    cpu: table.cpu[row] as number,
    pid: table.pid[row] as number,
    attributes: readFields(rule.attributes, events, table, row),
  };
}

function readFields(
  wanted: Readonly<Record<string, string>>,
  events: EventBatch,
  table: EventTable,
  row: number,
): (readonly [string, string | number])[] {
  return Object.entries(wanted).flatMap(([attribute, field]) => {
    const value = readField(events, table, field, row);
    return value === undefined ? [] : [[attribute, value] as const];
  });
}

/** A field as a number, as the kernel's name for the number, or as text. */
function readField(events: EventBatch, table: EventTable, field: string, row: number): string | number | undefined {
  const index = table.schema.fields.findIndex((candidate) => candidate.name === field);
  if (index < 0) return undefined;
  const text = fieldText(events, table, index, row);
  const kind = table.schema.fields[index]?.kind;
  if (kind === 'string') return text;
  return VALUE_NAMES[field]?.[Number(text)] ?? Number(text);
}

/** Key of a row: the numbers and texts of the rule's key fields. */
function toKeyReader(rule: SpanRule, events: EventBatch, table: EventTable): (row: number) => string {
  const parts = rule.key.map((part): ((row: number) => string | number) => {
    if (part === 'cpu') return (row) => table.cpu[row] as number;
    if (part === 'pid') return (row) => table.pid[row] as number;
    const index = table.schema.fields.findIndex((field) => field.name === part);
    const column = table.fields[index];
    if (column === undefined) return () => '?';
    if (column.kind === 'int32' || column.kind === 'uint32') return (row) => column.values[row] as number;
    return (row) => fieldText(events, table, index, row);
  });
  return (row) => parts.map((part) => part(row)).join('/');
}

/** Row numbers by time: the rows of each CPU are in order, those of several CPUs stand one CPU after the other. */
function rowsInOrder(table: EventTable | undefined): Uint32Array {
  const rows = new Uint32Array(table?.length ?? 0);
  if (table === undefined) return rows;
  // The difference of two stamps is exact in a double where the stamps themselves may not be.
  const { words } = table.rawTime;
  const compare = (a: number, b: number): number =>
    ((words[a * 2 + 1] as number) - (words[b * 2 + 1] as number)) * TWO_POW_32 + (words[a * 2] as number) - (words[b * 2] as number);
  let sorted = true;
  for (let row = 0; row < rows.length; row++) {
    rows[row] = row;
    if (row > 0 && compare(row - 1, row) > 0) sorted = false;
  }
  return sorted ? rows : rows.sort((a, b) => compare(a, b) || a - b);
}
