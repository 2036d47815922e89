/** Raw trace pages → typed columns, on pages recorded on a live kernel (test/fixtures/ring-buffer), repeated. */
import { EventBatch } from '../model/event-batch.ts';
import { openPageReader } from '../parsers/ring-buffer.ts';
import { readRingFixture } from '../test/support/ring-fixture.ts';
import { measureRate, type Bench, type BenchResult } from './bench.ts';

/** Of the fixture's 12 pages: 2.3 MB, what a collector's segment holds. */
const COPIES = 48;

function run(): BenchResult {
  const { set, segment } = readRingFixture();
  const { pageSizeBytes } = segment.header;
  const pages = new Uint8Array(segment.pages.length * COPIES);
  for (let i = 0; i < COPIES; i++) pages.set(segment.pages, i * segment.pages.length);
  const reader = openPageReader(set);
  let batch = new EventBatch();
  reader.read(pages, pageSizeBytes, 0, batch);
  const events = batch.length;
  const mix = batch.tables
    .toSorted((a, b) => b.length - a.length)
    .slice(0, 6)
    .map((table) => `${table.schema.event} ${Math.round((table.length * 100) / events)} %`);
  const value = measureRate(events, () => {
    batch = new EventBatch();
    reader.read(pages, pageSizeBytes, 0, batch);
  });
  const megabytes = (value / events) * (pages.length / 1e6);
  return { value, unit: 'events/s', detail: `${megabytes.toFixed(0)} MB/s; ${mix.join(', ')}` };
}

export const benches: Bench[] = [{ name: 'ring buffer: pages → typed columns', target: '≥ 10 M events/s per core', run }];
