/**
 * Runs span rules over event tables. The events of one rule are walked in time order over all its tables (correlate/row-order.ts), since
 * its begin and its end stand in two. What is open at the end of a batch stays open for the next one.
 *
 * Keys are numbers where they can be: a text per event costs more than all the rest.
 */
import { createHash } from 'node:crypto';
import { ensureDefined } from '../base/assert.ts';
import { Int64Array, TWO_POW_32 } from '../base/int64.ts';
import { toUnixNs, type ClockFit } from '../clock/fit.ts';
import { ATTR } from '../model/attributes.ts';
import type { EventBatch, EventTable } from '../model/event-batch.ts';
import type { MetricBatch } from '../model/metric-batch.ts';
import { SPAN_KIND, type SpanBatch } from '../model/span-batch.ts';
import type { DurationHistogram } from './duration-histogram.ts';
import { parseEventFilter, toFilterReader } from './event-filter.ts';
import { baseOf, orderRows, type OrderedRows, type TimeBase } from './row-order.ts';
import { describeBegin, readFields, readLabel, toKeyReader, type Key, type SpanBegin } from './span-fields.ts';
import { addHistogramPoints, findHistogram, RULE_ATTRIBUTE } from './span-histograms.ts';
import type { SpanRule } from './span-rules.ts';

/** Begins that wait for their end, per rule: more than CPUs × vectors means that ends are being lost. */
const MAX_OPEN = 4096;
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
    for (const { rule, histograms } of this.#rules) addHistogramPoints(batch, rule, histograms, startNs, timeNs);
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
    if (rule.tells !== 'spans') histogram.add(durationNs);
    if (rule.tells === 'histogram') return;
    if (durationNs < rule.minDurationNs) {
      this.counts.short++;
      if (rule.sampleOneIn === 0 || ++state.short < rule.sampleOneIn) return;
      state.short = 0;
    }
    const begin = opened.begin ?? describeBegin(rule, end.events, opened.table, opened.row);
    const endTime = end.table.rawTime.getBigint(end.row);
    const beginTime = endTime - BigInt(time - opened.time);
    const row = this.#addSpan(rule, beginTime, begin, endTime, fit, readFields(rule.endAttributes, end.events, end.table, end.row), spans);
    if (rule.tells === 'spans') return;
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
  const filter = side === 0 ? rule.beginFilter : rule.endFilter;
  const parsed = filter === undefined ? undefined : parseEventFilter(filter);
  const parts = rule.key.map((part) => (typeof part === 'string' ? part : part[side]));
  const tables = (side === 0 ? rule.begin : rule.end).flatMap((name) => events.tablesOf(name)).filter(({ length }) => length > 0);
  return tables.map((table): Walk => {
    const keyOf = toKeyReader(parts, rule.wideKey === true, events, table);
    const ordered = orderRows(table, base);
    const { rows, times } = parsed === undefined ? ordered : selectRows(ordered, toFilterReader(parsed, events, table));
    return { rows, times, table, isEnd: side === 1, keyOf, at: 0 };
  });
}

function selectRows({ rows, times }: OrderedRows, passes: (row: number) => boolean): OrderedRows {
  const kept = Array.from(rows.keys()).filter((at) => passes(rows[at] as number));
  return {
    rows: Uint32Array.from(kept, (at) => rows[at] as number),
    times: Float64Array.from(kept, (at) => times[at] as number),
  };
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
  if (begin !== undefined) return findHistogram(state.histograms, begin.label);
  const { label } = state.rule;
  const values = label === undefined ? undefined : table.column(label)?.values;
  if (values === undefined) return findHistogram(state.histograms, '');
  const value = values instanceof Int64Array ? values.getNumber(row) : (values[row] as number);
  const known = state.byValue.get(value);
  if (known !== undefined) return known;
  const histogram = findHistogram(state.histograms, readLabel(state.rule, events, table, row));
  state.byValue.set(value, histogram);
  return histogram;
}
