/** The recorded pages of test/fixtures/ring-buffer/, for tests and benches. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { splitSegment, toSegmentHeader, type FormatSet, type Segment } from '../../model/segment.ts';

const FOLDER = join(import.meta.dirname, '..', 'fixtures', 'ring-buffer');

export interface RingFixture {
  readonly set: FormatSet;
  readonly segment: Segment;
  /** The kernel's own text of the same events, with the trace option `fields`. */
  readonly text: string;
}

export function readRingFixture(): RingFixture {
  const read = (name: string): Uint8Array => new Uint8Array(gunzipSync(readFileSync(join(FOLDER, name))));
  const split = splitSegment(read('sched-irq-timer.segment.gz'));
  if (typeof split === 'string') throw new Error(split);
  const header = toSegmentHeader(split.header);
  if (typeof header === 'string') throw new Error(header);
  const decoder = new TextDecoder();
  return {
    set: JSON.parse(decoder.decode(read('formats.json.gz'))) as FormatSet,
    segment: { header, pages: split.pages },
    text: decoder.decode(read('sched-irq-timer.txt.gz')),
  };
}
