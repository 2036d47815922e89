/** When the events of a segment were: from the stamps at the head of its pages to the moment when it was cut. */
import { fromFitFields, toUnixNs } from '../clock/fit.ts';
import type { FormatSet, Segment } from '../model/segment.ts';

export interface PageWindow {
  readonly fromUnixNs: bigint;
  readonly toUnixNs: bigint;
}

/** Each page begins with the time of its first event, in the traced kernel's byte order; what was read is not later than now. */
export function windowOf({ header, pages }: Segment, endian: FormatSet['endian'], nowNs: bigint): PageWindow {
  const view = new DataView(pages.buffer, pages.byteOffset, pages.length);
  let earliest: bigint | undefined;
  let at = 0;
  for (const { pages: count } of header.chunks) {
    if (count > 0 && at + 8 <= view.byteLength) {
      // Pages of a CPU follow each other in time.
      const stamp = view.getBigUint64(at, endian === 'little');
      if (earliest === undefined || stamp < earliest) earliest = stamp;
    }
    at += count * header.pageSizeBytes;
  }
  if (earliest === undefined) return { fromUnixNs: nowNs, toUnixNs: nowNs };
  const fit = fromFitFields(header.fit);
  const fromNs = toUnixNs(fit, earliest) - BigInt(Math.ceil(fit.errorNs));
  return { fromUnixNs: fromNs < nowNs ? fromNs : nowNs, toUnixNs: nowNs };
}
