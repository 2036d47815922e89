/** Span rules over the pages of this kernel, before they are shipped: only the events that a rule names are decoded. */
import { EventBatch } from '../model/event-batch.ts';
import type { KernelIdentity } from '../model/identity.ts';
import { MetricBatch } from '../model/metric-batch.ts';
import type { ClockFitFields, FormatSet } from '../model/segment.ts';
import { SpanBatch } from '../model/span-batch.ts';
import { fromFitFields } from '../clock/fit.ts';
import { SpanPairer } from '../correlate/pair-spans.ts';
import type { SpanRule } from '../correlate/span-rules.ts';
import { PageReader } from '../parsers/ring-buffer.ts';
import type { PageChunk } from './trace-reader.ts';

/** Histograms are cumulative: how often they are sent is how fine their curve is over time. */
const HISTOGRAM_INTERVAL_NS = 10_000_000_000n;

export interface FoundSpans {
  /** That end in these pages. */
  readonly spans: SpanBatch | undefined;
  /** Of the durations so far, each ten seconds. */
  readonly histograms: MetricBatch | undefined;
}

export class PageSpans {
  readonly #reader: PageReader;
  readonly #pairer: SpanPairer;
  readonly #events = new EventBatch();
  #startNs: bigint | undefined;
  #toldNs = 0n;

  constructor(formats: FormatSet, rules: readonly SpanRule[], identity: KernelIdentity) {
    const wanted = new Set(rules.flatMap((rule) => [...rule.begin, ...rule.end]));
    const events = formats.events.filter(({ system, format }) => wanted.has(`${system}:${/^name: (\S+)/m.exec(format)?.[1] ?? ''}`));
    this.#reader = new PageReader({ ...formats, events });
    this.#pairer = new SpanPairer(rules, identity.bootId);
  }

  read(pages: Uint8Array, pageSizeBytes: number, chunks: readonly PageChunk[], fit: ClockFitFields, nowNs: bigint): FoundSpans {
    const events = this.#events;
    events.clear();
    let at = 0;
    for (const chunk of chunks) {
      const sizeBytes = chunk.pages * pageSizeBytes;
      this.#reader.read(pages.subarray(at, at + sizeBytes), pageSizeBytes, chunk.cpu, events);
      at += sizeBytes;
    }
    this.#reader.takeLosses();
    const spans = new SpanBatch(16);
    this.#pairer.pair(events, fromFitFields(fit), spans);
    return { spans: spans.length === 0 ? undefined : spans, histograms: this.#takeHistograms(nowNs) };
  }

  #takeHistograms(nowNs: bigint): MetricBatch | undefined {
    this.#startNs ??= nowNs;
    if (nowNs - this.#toldNs < HISTOGRAM_INTERVAL_NS) return undefined;
    this.#toldNs = nowNs;
    const batch = new MetricBatch(16);
    this.#pairer.addHistograms(batch, this.#startNs, nowNs);
    return batch.length === 0 ? undefined : batch;
  }
}
