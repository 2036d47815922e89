/** Span rules over the pages of this kernel, before they are shipped: only the events that a rule names are decoded. */
import { EventBatch } from '../model/event-batch.ts';
import type { KernelIdentity } from '../model/identity.ts';
import type { ClockFitFields, FormatSet } from '../model/segment.ts';
import { SpanBatch } from '../model/span-batch.ts';
import { fromFitFields } from '../clock/fit.ts';
import { SpanPairer } from '../correlate/pair-spans.ts';
import type { SpanRule } from '../correlate/span-rules.ts';
import { PageReader } from '../parsers/ring-buffer.ts';
import type { PageChunk } from './trace-reader.ts';

export class PageSpans {
  readonly #reader: PageReader;
  readonly #pairer: SpanPairer;

  constructor(formats: FormatSet, rules: readonly SpanRule[], identity: KernelIdentity) {
    const wanted = new Set(rules.flatMap((rule) => [rule.begin, rule.end]));
    const events = formats.events.filter(({ system, format }) => wanted.has(`${system}:${/^name: (\S+)/m.exec(format)?.[1] ?? ''}`));
    this.#reader = new PageReader({ ...formats, events });
    this.#pairer = new SpanPairer(rules, identity.bootId);
  }

  /** The spans that end in these pages; undefined where there is none. */
  read(pages: Uint8Array, pageSizeBytes: number, chunks: readonly PageChunk[], fit: ClockFitFields): SpanBatch | undefined {
    const events = new EventBatch();
    let at = 0;
    for (const chunk of chunks) {
      const sizeBytes = chunk.pages * pageSizeBytes;
      this.#reader.read(pages.subarray(at, at + sizeBytes), pageSizeBytes, chunk.cpu, events);
      at += sizeBytes;
    }
    this.#reader.takeLosses();
    const spans = new SpanBatch(16);
    this.#pairer.pair(events, fromFitFields(fit), spans);
    return spans.length === 0 ? undefined : spans;
  }
}
