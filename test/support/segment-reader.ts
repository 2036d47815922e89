/** A segment (model/segment.ts) → rows: the pages of each chunk, CPU after CPU, through the reader of its format set. */
import type { EventBatch } from '../../model/event-batch.ts';
import { countMalformed } from '../../model/parser.ts';
import type { Segment } from '../../model/segment.ts';
import type { PageReader } from '../../parsers/ring-buffer.ts';

/** Appends a segment's events to the batch and sets the batch's clock. Chunks that the pages do not fill are counted. */
export function readSegment(segment: Segment, reader: PageReader, batch: EventBatch): void {
  const { header, pages } = segment;
  batch.clock = header.clock;
  let at = 0;
  for (const { cpu, pages: count } of header.chunks) {
    const end = at + count * header.pageSizeBytes;
    reader.read(pages.subarray(at, Math.min(end, pages.length)), header.pageSizeBytes, cpu, batch);
    at = end;
    if (at > pages.length) break;
  }
  if (at < pages.length) countMalformed(reader.counts, 'pages_without_chunk', pages, at, pages.length);
  if (at > pages.length) countMalformed(reader.counts, 'chunk_without_pages', pages, pages.length, pages.length);
}
