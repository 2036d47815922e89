/**
 * Counts the events of ring-buffer pages without decoding them: what the books need of a page that is shipped verbatim (the
 * layout is drawn in parsers/ring-buffer.ts). Byte order and word size are the traced kernel's.
 */
import { COMMIT_BYTES_MASK, PADDING } from '../parsers/page-records.ts';

export interface PageLayout {
  readonly dataOffset: number;
  readonly commitOffset: number;
  /** 4 or 8: on a big-endian kernel the low bytes of the commit word stand at its end. */
  readonly commitBytes: number;
}

/** Where a page's data begins, from the kernel's `events/header_page`. */
export function readPageLayout(headerPage: string): PageLayout {
  const numberOf = (field: string, what: string, otherwise: number): number =>
    Number(new RegExp(`\\b${field};[^\\n]*?\\b${what}:(\\d+);`).exec(headerPage)?.[1] ?? otherwise);
  return {
    commitOffset: numberOf('commit', 'offset', 8),
    commitBytes: numberOf('commit', 'size', 8),
    dataOffset: numberOf('char data', 'offset', 16),
  };
}

/** Bytes of data in a page. */
export function dataBytes(view: DataView, at: number, layout: PageLayout, little: boolean): number {
  const low = little ? 0 : layout.commitBytes - 4;
  return view.getUint32(at + layout.commitOffset + low, little) & COMMIT_BYTES_MASK;
}

/** Events in the page at `at`; discarded ones and time records do not count, as in the kernel's own `read events`. */
export function countEvents(view: DataView, at: number, pageSizeBytes: number, layout: PageLayout, little: boolean): number {
  const start = at + layout.dataOffset;
  const end = Math.min(start + dataBytes(view, at, layout, little), at + pageSizeBytes);
  let events = 0;
  for (let p = start; p + 4 <= end;) {
    const word = view.getUint32(p, little);
    const type = little ? word & 31 : word >>> 27;
    if (type === 0) {
      if (p + 8 > end) break;
      // The length counts itself and is rounded up to a whole word.
      const size = view.getUint32(p + 4, little);
      if (size < 4) break;
      p += 4 + ((size + 3) & ~3);
      events++;
    } else if (type < PADDING) {
      p += 4 + type * 4;
      events++;
    } else if (type === PADDING) {
      const delta = little ? word >>> 5 : word & 0x07ff_ffff;
      if (delta === 0 || p + 8 > end) break;
      p += 4 + ((view.getUint32(p + 4, little) + 3) & ~3);
    } else {
      p += 8;
    }
  }
  return events;
}
