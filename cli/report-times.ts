/** Times of a recording as its report shows them. */
import { toTraceNs } from '../clock/trace-timeline.ts';
import type { EventFileInfo } from '../model/event-file.ts';
import type { TimeConversion } from '../export/page-cursor.ts';

/** A guest's times onto its host's clock, ticks to ns, and what the recording says is to be added. */
export function toConversion({ timeShift, tscToNs, dateOffsetNs, offsetNs }: EventFileInfo): TimeConversion | undefined {
  const added = (dateOffsetNs ?? 0n) + offsetNs;
  if (timeShift === undefined && tscToNs === undefined && added === 0n) return undefined;
  const steps = { shift: timeShift, tscToNs };
  return (cursor) => {
    const raw = (BigInt(cursor.high) << 32n) | BigInt(cursor.low);
    const ns = BigInt.asUintN(64, toTraceNs(steps, cursor.cpu, raw) + added);
    cursor.low = Number(ns & 0xffff_ffffn);
    cursor.high = Number(ns >> 32n);
  };
}
