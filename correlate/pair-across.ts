/**
 * Runs span rules that go over kernels: the begin is recorded on one kernel of a machine, the end on another, and both have aligned times.
 *
 *   web    app:request  id=7   ───────────┐ same key, another kernel, not before the begin (within the bounds of both clocks)
 *   db     app:done     id=7   ───────────┘ → span `request 7` of web, and its end as a span of db, linked
 *
 * Pages of two kernels come in any order, so a begin is decided once it has been here for three seconds; one whose end does not come
 * within a minute is given up. Memory: both ends of each rule are bounded, the oldest go first.
 */
import { createHash } from 'node:crypto';
import { ATTR } from '../model/attributes.ts';
import type { EventBatch, EventTable } from '../model/event-batch.ts';
import type { KernelIdentity } from '../model/identity.ts';
import type { MetricBatch } from '../model/metric-batch.ts';
import { SPAN_KIND, type SpanBatch } from '../model/span-batch.ts';
import type { DurationHistogram } from './duration-histogram.ts';
import { parseEventFilter, toFilterReader } from './event-filter.ts';
import { describeBegin, readFields, readKeyText, type SpanBegin } from './span-fields.ts';
import { addHistogramPoints, findHistogram, RULE_ATTRIBUTE } from './span-histograms.ts';
import type { SpanRule } from './span-rules.ts';

const SETTLE_MS = 3_000;
const WAIT_MS = 60_000;
/** Begins, and as many ends, of each rule. */
const MAX_WAITING = 65_536;
/** Of one key: a rule whose key says nothing must not take long. */
const MAX_OF_KEY = 1_024;

interface Moment {
  readonly kernel: KernelIdentity;
  readonly unixNs: bigint;
  readonly raw: bigint;
  readonly errorNs: number;
  readonly arrivedMs: number;
}

interface Begin extends Moment {
  readonly begin: SpanBegin;
}

interface End extends Moment {
  readonly cpu: number;
  readonly pid: number;
  readonly attributes: readonly (readonly [string, string | number])[];
}

/** Moments that wait, by key and there by time. */
class Waiting<Kind extends Moment> {
  readonly byKey = new Map<string, Kind[]>();
  size = 0;

  /** Returns how many older ones went for it. */
  add(key: string, moment: Kind): number {
    const known = this.byKey.get(key);
    if (known === undefined) this.byKey.set(key, [moment]);
    else {
      let at = known.length;
      while (at > 0 && (known[at - 1] as Kind).unixNs > moment.unixNs) at--;
      known.splice(at, 0, moment);
    }
    this.size++;
    let dropped = 0;
    const own = this.byKey.get(key) ?? [];
    while (own.length > MAX_OF_KEY) {
      this.remove(key, own[0] as Kind);
      dropped++;
    }
    for (; this.size > MAX_WAITING; dropped++) this.#removeOldest();
    return dropped;
  }

  remove(key: string, moment: Kind): void {
    const known = this.byKey.get(key);
    const at = known?.indexOf(moment) ?? -1;
    if (known === undefined || at < 0) return;
    known.splice(at, 1);
    this.size--;
    if (known.length === 0) this.byKey.delete(key);
  }

  /** The one whose key was seen first. */
  #removeOldest(): void {
    const [first] = this.byKey;
    if (first !== undefined && first[1][0] !== undefined) this.remove(first[0], first[1][0]);
  }
}

interface RuleState {
  readonly rule: SpanRule;
  readonly begins: Waiting<Begin>;
  readonly ends: Waiting<End>;
  /** By incarnation of the begin, then by label. */
  readonly histograms: Map<string, { readonly kernel: KernelIdentity; readonly byLabel: Map<string, DurationHistogram> }>;
  short: number;
}

/** Where the spans of a kernel go. */
export type SheetOf = (kernel: KernelIdentity) => SpanBatch;

export class AcrossPairer {
  readonly counts = { matched: 0, unmatched: 0 };
  readonly #rules: readonly RuleState[];

  constructor(rules: readonly SpanRule[]) {
    this.#rules = rules.map((rule) => ({ rule, begins: new Waiting(), ends: new Waiting(), histograms: new Map(), short: 0 }));
  }

  /** Events of a kernel of the machine, with aligned times; `errorNs`: their bound. */
  add(kernel: KernelIdentity, events: EventBatch, errorNs: number, nowMs: number): void {
    for (const { rule, begins, ends } of this.#rules) {
      for (const moment of readMoments(rule, 0, kernel, events, errorNs, nowMs)) {
        const begin = describeBegin(rule, events, moment.table, moment.row);
        this.counts.unmatched += begins.add(moment.key, { ...moment.of, begin });
      }
      for (const { key, of, table, row } of readMoments(rule, 1, kernel, events, errorNs, nowMs)) {
        const attributes = readFields(rule.endAttributes, events, table, row);
        const dropped = ends.add(key, { ...of, cpu: table.cpu[row] as number, pid: table.pid[row] as number, attributes });
        if (rule.endsAlone !== true) this.counts.unmatched += dropped;
      }
    }
  }

  /** Decides what has been here long enough. `isEnd`: nothing more will come. */
  advance(nowMs: number, sheetOf: SheetOf, isEnd = false): void {
    for (const state of this.#rules) {
      for (const [key, begins] of state.begins.byKey) {
        for (const begin of begins.slice()) {
          // One of them may have been the same as another, and gone with it.
          if (state.begins.byKey.get(key)?.includes(begin) !== true) continue;
          if (!isEnd && nowMs - begin.arrivedMs < SETTLE_MS) break;
          if (!this.#decide(state, key, begin, sheetOf, isEnd || nowMs - begin.arrivedMs > WAIT_MS)) break;
        }
      }
      for (const [key, ends] of state.ends.byKey) {
        for (const end of ends.filter(({ arrivedMs }) => isEnd || nowMs - arrivedMs > WAIT_MS)) {
          state.ends.remove(key, end);
          if (state.rule.endsAlone !== true) this.counts.unmatched++;
        }
      }
    }
  }

  /** All durations so far by incarnation of the begin. */
  addHistograms(startNs: bigint, timeNs: bigint, batchOf: (kernel: KernelIdentity) => MetricBatch): void {
    for (const { rule, histograms } of this.#rules)
      for (const { kernel, byLabel } of histograms.values()) addHistogramPoints(batchOf(kernel), rule, byLabel, startNs, timeNs);
  }

  /** False = the begin waits on. */
  #decide(state: RuleState, key: string, begin: Begin, sheetOf: SheetOf, isLate: boolean): boolean {
    const { rule, begins, ends } = state;
    const fits = (end: End): boolean =>
      end.kernel.bootId !== begin.kernel.bootId && Number(end.unixNs - begin.unixNs) >= -(begin.errorNs + end.errorNs);
    const end = ends.byKey.get(key)?.find(fits);
    const isRepeat = (other: Begin): boolean =>
      other !== begin && other.unixNs > begin.unixNs && (end === undefined || other.unixNs <= end.unixNs);
    const repeats = (begins.byKey.get(key) ?? []).filter(isRepeat);
    if (rule.onRepeat === 'keep') for (const repeat of repeats) begins.remove(key, repeat);
    else if (repeats.length > 0 && (end !== undefined || isLate)) {
      begins.remove(key, begin);
      this.counts.unmatched++;
      return true;
    }
    if (end === undefined) {
      if (!isLate) return false;
      begins.remove(key, begin);
      this.counts.unmatched++;
      return true;
    }
    begins.remove(key, begin);
    ends.remove(key, end);
    this.counts.matched++;
    this.#tell(state, begin, end, sheetOf);
    return true;
  }

  #tell(state: RuleState, begin: Begin, end: End, sheetOf: SheetOf): void {
    const { rule } = state;
    const durationNs = Math.max(0, Number(end.unixNs - begin.unixNs));
    const of = state.histograms.get(begin.kernel.bootId) ?? { kernel: begin.kernel, byLabel: new Map<string, DurationHistogram>() };
    state.histograms.set(begin.kernel.bootId, of);
    const histogram = findHistogram(of.byLabel, begin.begin.label);
    if (rule.tells !== 'spans') histogram.add(durationNs);
    if (rule.tells === 'histogram') return;
    if (durationNs < rule.minDurationNs) {
      if (rule.sampleOneIn === 0 || ++state.short < rule.sampleOneIn) return;
      state.short = 0;
    }
    const id = createHash('sha256').update(`${rule.name}/${begin.kernel.bootId}/${begin.begin.cpu}/${begin.raw}`).digest();
    addSpans(rule, begin, end, durationNs, id, sheetOf);
    if (rule.tells === 'spans') return;
    histogram.addExemplar({ ns: durationNs, timeNs: end.unixNs, traceId: id.subarray(0, 16), spanId: id.subarray(16, 24) });
  }
}

/** The whole of the begin's kernel, and its end of the other one: so that a service map shows the way. */
function addSpans(rule: SpanRule, begin: Begin, end: End, durationNs: number, id: Uint8Array, sheetOf: SheetOf): void {
  const [traceId, spanId, endId] = [id.subarray(0, 16), id.subarray(16, 24), id.subarray(24, 32)];
  const endNs = begin.unixNs + BigInt(Math.round(durationNs));
  const errorNs = Math.round(begin.errorNs + end.errorNs);
  const whole = sheetOf(begin.kernel);
  const row = whole.openRow();
  whole.traceId.set(traceId, row * 16);
  whole.spanId.set(spanId, row * 8);
  whole.name[row] = whole.strings.internString(begin.begin.name);
  whole.kind[row] = SPAN_KIND.producer;
  whole.startTime.setBigint(row, begin.unixNs);
  whole.endTime.setBigint(row, endNs);
  addAttributes(whole, rule, begin.begin.cpu, begin.begin.pid, errorNs, [...begin.begin.attributes, ...end.attributes]);
  whole.closeRow();
  const other = sheetOf(end.kernel);
  const at = other.openRow();
  other.traceId.set(traceId, at * 16);
  other.spanId.set(endId, at * 8);
  other.parentSpanId.set(spanId, at * 8);
  other.name[at] = other.strings.internString(`end of ${begin.begin.name}`);
  other.kind[at] = SPAN_KIND.consumer;
  other.startTime.setBigint(at, endNs);
  other.endTime.setBigint(at, endNs);
  addAttributes(other, rule, end.cpu, end.pid, errorNs, end.attributes);
  other.links.add(traceId, spanId, 0);
  other.closeRow();
}

function addAttributes(
  { attributes }: SpanBatch,
  rule: SpanRule,
  cpu: number,
  pid: number,
  errorNs: number,
  more: readonly (readonly [string, string | number])[],
): void {
  attributes.add(ATTR.cpu, cpu);
  attributes.add(ATTR.threadId, pid);
  attributes.add(ATTR.clockError, errorNs);
  attributes.add(RULE_ATTRIBUTE, rule.name);
  for (const [key, value] of more) attributes.add(key, value);
}

interface Read {
  readonly key: string;
  readonly of: Moment;
  readonly table: EventTable;
  readonly row: number;
}

function* readMoments(
  rule: SpanRule,
  side: 0 | 1,
  kernel: KernelIdentity,
  events: EventBatch,
  errorNs: number,
  arrivedMs: number,
): Generator<Read> {
  const filter = side === 0 ? rule.beginFilter : rule.endFilter;
  const parts = rule.key.map((part) => (typeof part === 'string' ? part : part[side]));
  const parsed = filter === undefined ? undefined : parseEventFilter(filter);
  for (const table of (side === 0 ? rule.begin : rule.end).flatMap((name) => events.tablesOf(name))) {
    const passes = parsed === undefined ? undefined : toFilterReader(parsed, events, table);
    for (let row = 0; row < table.length; row++) {
      if (passes?.(row) === false) continue;
      const of = { kernel, unixNs: table.unixTime.getBigint(row), raw: table.rawTime.getBigint(row), errorNs, arrivedMs };
      yield { key: parts.map((part) => readKeyText(events, table, part, row)).join('/'), of, table, row };
    }
  }
}
