/**
 * Runs span rules over event tables. The events of one rule are walked in time order over all its tables (correlate/row-order.ts), since
 * its begin and its end stand in two. What is open at the end of a batch stays open for the next one.
 *
 * Keys are numbers where they can be: a text per event costs more than all the rest.
 */
import { createHash } from 'node:crypto';
import { ensureDefined } from '../base/assert.ts';
import { Int64Array, TWO_POW_32 } from '../base/int64.ts';
import { fieldText, type EventBatch, type EventTable } from '../model/event-batch.ts';
import { METRIC_TYPE, TEMPORALITY, type MetricBatch } from '../model/metric-batch.ts';
import { SPAN_KIND, type SpanBatch } from '../model/span-batch.ts';
import { ATTR } from '../model/attributes.ts';
import { toUnixNs, type ClockFit } from '../clock/fit.ts';
import { DurationHistogram } from './duration-histogram.ts';
import { baseOf, orderRows, type OrderedRows, type TimeBase } from './row-order.ts';
import { VALUE_NAMES, type SpanRule } from './span-rules.ts';

/** Begins that wait for their end, per rule: more than CPUs × vectors means that ends are being lost. */
const MAX_OPEN = 4096;
/** Durations are told apart by so many labels per rule; the rest share one. */
const MAX_LABELS = 128;
const OTHER = 'other';
/** Of two whole numbers in one key the second has 31 bits, the first what is left of a double: pids have 22. */
const SECOND_PART = 2 ** 31;
/** A pointer's high bits are the same for all; of the rest a double holds 53. */
const POINTER_HIGH = 0x1f_ffff;

export const DURATION_METRIC = 'mk.span.duration';
const RULE_ATTRIBUTE = 'mk.span.rule';
const LABEL_ATTRIBUTE = 'mk.span.label';

type Key = number | string;

interface SpanBegin {
  readonly name: string;
  readonly label: string;
  readonly cpu: number;
  readonly pid: number;
  readonly attributes: readonly (readonly [string, string | number])[];
}

interface OpenSpan {
  /** Since the base of the batch at hand; moved on with each batch. */
  time: number;
  /** Row of the batch at hand; once that has gone, `begin` is set. Most spans are short, and then nothing of this is read. */
  readonly table: EventTable;
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

/** One table of a rule, while a batch is walked. */
interface Walk extends OrderedRows {
  readonly table: EventTable;
  readonly isEnd: boolean;
  readonly keyOf: (row: number) => Key;
  at: number;
}

interface RuleState {
  readonly rule: SpanRule;
  readonly open: Map<Key, OpenSpan>;
  readonly histograms: Map<string, DurationHistogram>;
  /** The same by the label field's value in the batch at hand: number, or dictionary id. */
  readonly byValue: Map<number, DurationHistogram>;
  /** Short spans since the last one that was taken as a sample. */
  short: number;
}

export class SpanPairer {
  readonly counts: PairCounts = { matched: 0, short: 0, unmatched: 0 };
  readonly #rules: readonly RuleState[];
  readonly #idSeed: string;
  /** Of the times of open spans. */
  #base: TimeBase | undefined;

  /** `idSeed`: makes span ids repeatable and distinct between kernels (the boot id). */
  constructor(rules: readonly SpanRule[], idSeed: string) {
    this.#rules = rules.map((rule) => ({ rule, open: new Map(), histograms: new Map(), byValue: new Map(), short: 0 }));
    this.#idSeed = idSeed;
  }

  /** Adds the spans that end in this batch. */
  pair(events: EventBatch, fit: ClockFit, spans: SpanBatch): void {
    const first = events.tables.find((table) => table.length > 0);
    if (first === undefined) return;
    this.#moveBase(baseOf(first));
    for (const state of this.#rules) this.#pairRule(state, events, fit, spans);
  }

  /** All durations so far, by rule and label, as cumulative histograms. */
  addHistograms(batch: MetricBatch, startNs: bigint, timeNs: bigint): void {
    for (const { rule, histograms } of this.#rules) {
      for (const [label, histogram] of histograms) {
        const row = batch.openRow();
        batch.type[row] = METRIC_TYPE.expHistogram;
        batch.temporality[row] = TEMPORALITY.cumulative;
        batch.name[row] = batch.strings.internString(DURATION_METRIC);
        batch.description[row] = batch.strings.internString('How long what a span rule looks at took, short ones included.');
        batch.unit[row] = batch.strings.internString('s');
        batch.startTime.setBigint(row, startNs);
        batch.time.setBigint(row, timeNs);
        batch.distributions.set(row, histogram.toPoint());
        batch.exemplars.push(...histogram.takeExemplars(row));
        batch.attributes.add(RULE_ATTRIBUTE, rule.name);
        if (label !== '') batch.attributes.add(LABEL_ATTRIBUTE, label);
        batch.closeRow();
      }
    }
  }

  #moveBase(base: TimeBase): void {
    const before = this.#base;
    this.#base = base;
    if (before === undefined) return;
    const shift = (before.high - base.high) * TWO_POW_32 + (before.low - base.low);
    for (const { open } of this.#rules) for (const span of open.values()) span.time += shift;
  }

  #pairRule(state: RuleState, events: EventBatch, fit: ClockFit, spans: SpanBatch): void {
    const { rule, open, byValue } = state;
    byValue.clear();
    const base = ensureDefined(this.#base, 'the base of times');
    const walks = [...toWalks(events, rule, 0, base), ...toWalks(events, rule, 1, base)];
    if (walks.length === 0) return;
    for (let walk = earliest(walks); walk !== undefined; walk = earliest(walks)) {
      const at = walk.at++;
      const row = walk.rows[at] as number;
      const time = walk.times[at] as number;
      const key = walk.keyOf(row);
      if (walk.isEnd) this.#close(state, key, time, { events, table: walk.table, row }, fit, spans);
      else this.#open(state, key, { time, table: walk.table, row, begin: undefined });
    }
    // The batch goes: what is still open takes along what it needs of it.
    for (const span of open.values()) span.begin ??= describeBegin(rule, events, span.table, span.row);
  }

  #open({ rule, open }: RuleState, key: Key, span: OpenSpan): void {
    if (open.has(key)) {
      if (rule.onRepeat === 'keep') return;
      open.delete(key);
      this.counts.unmatched++;
    }
    open.set(key, span);
    if (open.size <= MAX_OPEN) return;
    open.delete(open.keys().next().value as Key);
    this.counts.unmatched++;
  }

  #close(
    state: RuleState,
    key: Key,
    time: number,
    end: { readonly events: EventBatch; readonly table: EventTable; readonly row: number },
    fit: ClockFit,
    spans: SpanBatch,
  ): void {
    const { rule, open } = state;
    const opened = open.get(key);
    if (opened === undefined) {
      if (rule.endsAlone !== true) this.counts.unmatched++;
      return;
    }
    open.delete(key);
    this.counts.matched++;
    const durationNs = (time - opened.time) * fit.nsPerTick;
    const histogram = histogramOf(state, end.events, opened);
    histogram.add(durationNs);
    if (durationNs < rule.minDurationNs) {
      this.counts.short++;
      if (rule.sampleOneIn === 0 || ++state.short < rule.sampleOneIn) return;
      state.short = 0;
    }
    const begin = opened.begin ?? describeBegin(rule, end.events, opened.table, opened.row);
    const endTime = end.table.rawTime.getBigint(end.row);
    const beginTime = endTime - BigInt(time - opened.time);
    const row = this.#addSpan(rule, beginTime, begin, endTime, fit, readFields(rule.endAttributes, end.events, end.table, end.row), spans);
    histogram.addExemplar({
      ns: durationNs,
      timeNs: spans.endTime.getBigint(row),
      traceId: spans.traceId.subarray(row * 16, row * 16 + 16),
      spanId: spans.spanId.subarray(row * 8, row * 8 + 8),
    });
  }

  #addSpan(
    rule: SpanRule,
    beginTime: bigint,
    begin: SpanBegin,
    endTime: bigint,
    fit: ClockFit,
    endAttributes: readonly (readonly [string, string | number])[],
    spans: SpanBatch,
  ): number {
    const row = spans.openRow();
    const id = createHash('sha256').update(`${this.#idSeed}/${rule.name}/${begin.cpu}/${begin.pid}/${beginTime}`).digest();
    spans.traceId.set(id.subarray(0, 16), row * 16);
    spans.spanId.set(id.subarray(16, 24), row * 8);
    spans.name[row] = spans.strings.internString(begin.name);
    spans.kind[row] = SPAN_KIND.internal;
    spans.startTime.setBigint(row, toUnixNs(fit, beginTime));
    spans.endTime.setBigint(row, toUnixNs(fit, endTime));
    spans.attributes.add(ATTR.cpu, begin.cpu);
    spans.attributes.add(ATTR.threadId, begin.pid);
    spans.attributes.add(RULE_ATTRIBUTE, rule.name);
    for (const [key, value] of [...begin.attributes, ...endAttributes]) spans.attributes.add(key, value);
    spans.closeRow();
    return row;
  }
}

function toWalks(events: EventBatch, rule: SpanRule, side: 0 | 1, base: TimeBase): Walk[] {
  return (side === 0 ? rule.begin : rule.end).flatMap((name) => {
    const table = events.find(name);
    if (table === undefined || table.length === 0) return [];
    const parts = rule.key.map((part) => (typeof part === 'string' ? part : part[side]));
    const keyOf = toKeyReader(parts, rule.wideKey === true, events, table);
    return [{ ...orderRows(table, base), table, isEnd: side === 1, keyOf, at: 0 }];
  });
}

/** The table whose next row is the earliest; at one stamp the begin goes first: nothing ends before it begins. */
function earliest(walks: readonly Walk[]): Walk | undefined {
  let first: Walk | undefined;
  let firstTime = Infinity;
  for (const walk of walks) {
    if (walk.at >= walk.rows.length) continue;
    const time = walk.times[walk.at] as number;
    if (time < firstTime) {
      first = walk;
      firstTime = time;
    }
  }
  return first;
}

function histogramOf(state: RuleState, events: EventBatch, { table, row, begin }: OpenSpan): DurationHistogram {
  if (begin !== undefined) return findHistogram(state, begin.label);
  const { label } = state.rule;
  const values = label === undefined ? undefined : table.column(label)?.values;
  if (values === undefined) return findHistogram(state, '');
  const value = values instanceof Int64Array ? values.getNumber(row) : (values[row] as number);
  const known = state.byValue.get(value);
  if (known !== undefined) return known;
  const histogram = findHistogram(state, readLabel(state.rule, events, table, row));
  state.byValue.set(value, histogram);
  return histogram;
}

function findHistogram({ histograms }: RuleState, label: string): DurationHistogram {
  const known = histograms.get(label);
  if (known !== undefined) return known;
  const name = histograms.size < MAX_LABELS ? label : OTHER;
  const histogram = histograms.get(name) ?? new DurationHistogram();
  histograms.set(name, histogram);
  return histogram;
}

function readLabel({ label }: SpanRule, events: EventBatch, table: EventTable, row: number): string {
  return label === undefined ? '' : String(readField(events, table, label, row) ?? '');
}

function describeBegin(rule: SpanRule, events: EventBatch, table: EventTable, row: number): SpanBegin {
  return {
    name: rule.spanName.replaceAll(/\{(\w+)\}/g, (_, field: string) => String(readField(events, table, field, row) ?? '?')),
    label: readLabel(rule, events, table, row),
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

/** A field as a number, as the kernel's name for the number, or as text; 64-bit numbers and addresses as text. */
function readField(events: EventBatch, table: EventTable, field: string, row: number): string | number | undefined {
  const index = table.schema.fields.findIndex((candidate) => candidate.name === field);
  const found = table.schema.fields[index];
  if (found === undefined) return undefined;
  const text = fieldText(events, table, index, row);
  if (found.kind === 'string' || found.hex) return text;
  const value = VALUE_NAMES[field]?.[Number(text)] ?? Number(text);
  return typeof value === 'string' || Number.isSafeInteger(value) ? value : text;
}

/** Key of a row: the numbers or texts of the rule's key fields. The form of a key follows from the rule alone: it outlives a batch. */
function toKeyReader(parts: readonly string[], wideKey: boolean, events: EventBatch, table: EventTable): (row: number) => Key {
  const [first, second] = parts.map((part) => toNumberReader(part, table, parts.length > 1));
  if (!wideKey && first !== undefined) {
    return second === undefined ? first : (row) => first(row) * SECOND_PART + (second(row) % SECOND_PART);
  }
  const readers = parts.map((part): ((row: number) => string) => {
    const index = table.schema.fields.findIndex((field) => field.name === part);
    if (index < 0) return (row) => String(toNumberReader(part, table, true)?.(row) ?? '?');
    return (row) => fieldText(events, table, index, row);
  });
  return (row) => readers.map((reader) => reader(row)).join('/');
}

/** undefined where the value is a text or missing. */
function toNumberReader(part: string, table: EventTable, shares: boolean): ((row: number) => number) | undefined {
  const column = table.column(part);
  const { cpu, pid } = table;
  if (column === undefined && part === 'cpu') return (row) => cpu[row] as number;
  if (column === undefined && part === 'pid') return (row) => (pid[row] === 0 ? -1 - (cpu[row] as number) : (pid[row] as number));
  if (column === undefined || column.kind === 'string') return undefined;
  const { values } = column;
  if (!(values instanceof Int64Array)) return (row) => values[row] as number;
  const { words } = values;
  if (shares) return (row) => words[row * 2] as number;
  return (row) => ((words[row * 2 + 1] as number) & POINTER_HIGH) * TWO_POW_32 + (words[row * 2] as number);
}
