import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOST_UNKNOWN, PageCursor } from '../../export/page-cursor.ts';
import { createCounts } from '../../model/parser.ts';
import { parseHeaderPage, type PageLayout } from '../../parsers/page-header.ts';
import { headerPageOf, PageWriter, payloadOf, type PageForm } from '../support/page-writer.ts';

const FORM: PageForm = { little: true, longBytes: 8, sizeBytes: 64 };

function openCursor(
  pages: Uint8Array,
  sizeBytes = FORM.sizeBytes,
): { readonly cursor: PageCursor; readonly counts: ReturnType<typeof createCounts> } {
  const layout = parseHeaderPage(headerPageOf(FORM));
  assert.ok(typeof layout !== 'string', String(layout));
  const counts = createCounts();
  let left = pages;
  const take = (bytes: number): Uint8Array => {
    const taken = left.subarray(0, bytes);
    left = left.subarray(bytes);
    return taken;
  };
  return { cursor: new PageCursor({ cpu: 3, take }, sizeBytes, layout as PageLayout, true, counts), counts };
}

test('page cursor: a file of empty pages ends, however many they are', () => {
  const pages = new Uint8Array(200_000 * FORM.sizeBytes);
  const { cursor, counts } = openCursor(pages);
  assert.equal(cursor.next(), false);
  assert.equal(counts.parsedBytes, pages.length);
});

test('page cursor: losses told by pages without records are of the next record', () => {
  const payload = payloadOf(7, 1, 8, true);
  const empty = (lost: number | 'unknown'): Uint8Array => new PageWriter(5n, FORM).finish(lost);
  const full = new PageWriter(9n, FORM).event(1, payload).event(2, payload).finish(3);
  const join = (...pages: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(pages));
  const { cursor } = openCursor(join(empty(4), full));
  assert.equal(cursor.next(), true);
  assert.deepEqual([cursor.lost, cursor.isFirstOfPage, cursor.low], [7, true, 10]);
  assert.equal(cursor.next(), true);
  assert.deepEqual([cursor.lost, cursor.isFirstOfPage, cursor.low], [0, false, 12]);
  assert.equal(cursor.next(), false);
  const unknown = openCursor(join(empty('unknown'), full)).cursor;
  assert.equal(unknown.next(), true);
  assert.equal(unknown.lost, LOST_UNKNOWN);
});

test('page cursor: each byte is parsed or malformed once', () => {
  const page = new PageWriter(1n, FORM).event(1, payloadOf(7, 1, 8, true)).finish();
  new DataView(page.buffer, page.byteOffset).setUint32(16, 0x1f, true);
  const { cursor, counts } = openCursor(page);
  while (cursor.next());
  assert.equal(counts.parsedBytes + counts.malformedBytes, page.length);
});
