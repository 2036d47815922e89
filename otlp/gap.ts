/**
 * Gaps as OTLP log records, so that any backend shows them: EventName `mk.gap`, severity WARN, a sentence as body, and the
 * numbers as attributes (`mk.stream`, `mk.gap.from_ns`, `mk.gap.to_ns`, `mk.gap.count`, `mk.gap.reason`,
 * `cpu.logical_number`). The record's time is the window's end: when the loss was over.
 */
import type { ByteWriter } from '../base/bytes.ts';
import { ATTR, GAP_EVENT } from '../model/attributes.ts';
import { VALUE_KIND } from '../model/attribute-columns.ts';
import { GAP_REASONS, type Gap, type GapReason } from '../model/gap.ts';
import type { Resource, Scope } from '../model/identity.ts';
import { LogBatch } from '../model/log-batch.ts';
import { encodeLogs } from './encode-logs.ts';

const WARN_LEVEL = 4;

/** Appends the gaps to the logs request in `writer`. */
export function encodeGaps(resource: Resource, scope: Scope, gaps: readonly Gap[], writer: ByteWriter): void {
  encodeLogs(resource, scope, toGapLogs(gaps), writer);
}

export function toGapLogs(gaps: readonly Gap[]): LogBatch {
  const batch = new LogBatch(Math.max(gaps.length, 1));
  const eventName = batch.strings.internString(GAP_EVENT);
  for (const gap of gaps) {
    const { attributes } = batch;
    attributes.add(ATTR.stream, gap.stream);
    attributes.add(ATTR.lossFrom, gap.fromUnixNs);
    attributes.add(ATTR.lossTo, gap.toUnixNs);
    if (gap.count !== undefined) attributes.add(ATTR.lossCount, gap.count);
    attributes.add(ATTR.lossReason, gap.reason);
    const row = batch.addText(toSentence(gap), WARN_LEVEL);
    batch.eventName[row] = eventName;
    batch.unixTime.setBigint(row, gap.toUnixNs);
    batch.cpu[row] = gap.cpu;
  }
  return batch;
}

function toSentence(gap: Gap): string {
  const count = gap.count === undefined ? 'an unknown number of records' : gap.count === 1 ? '1 record' : `${gap.count} records`;
  const where = gap.cpu < 0 ? gap.stream : `${gap.stream} CPU ${gap.cpu}`;
  return `lost ${count} of ${where}: ${GAP_REASONS[gap.reason]}`;
}

/**
 * The gaps among a received batch's records; the records stay where they are. `stream` is the batch's own, for records that
 * do not name one. A gap record with a reason or window that does not exist is an ordinary log record.
 */
export function readGaps(batch: LogBatch, stream: string): Gap[] {
  const gaps: Gap[] = [];
  const names = new Map<number, boolean>();
  for (let row = 0; row < batch.length; row++) {
    const id = batch.eventName[row] as number;
    if (id === 0) continue;
    let isGap = names.get(id);
    if (isGap === undefined) names.set(id, (isGap = batch.strings.get(id) === GAP_EVENT));
    const gap = isGap ? readGap(batch, row, stream) : undefined;
    if (gap !== undefined) gaps.push(gap);
  }
  return gaps;
}

function readGap(batch: LogBatch, row: number, stream: string): Gap | undefined {
  const values = new Map<string, { readonly text: string; readonly integer: bigint | undefined }>();
  const { attributes, strings } = batch;
  for (let pair = attributes.offsets[row] as number; pair < (attributes.offsets[row + 1] as number); pair++) {
    const integer = attributes.kinds[pair] === VALUE_KIND.int ? attributes.ints.getBigint(pair) : undefined;
    values.set(strings.get(attributes.keys[pair] as number), { text: attributes.textOf(pair), integer });
  }
  const reason = values.get(ATTR.lossReason)?.text;
  const fromUnixNs = values.get(ATTR.lossFrom)?.integer;
  const toUnixNs = values.get(ATTR.lossTo)?.integer;
  if (reason === undefined || !isGapReason(reason) || fromUnixNs === undefined || toUnixNs === undefined) return undefined;
  const count = values.get(ATTR.lossCount)?.integer;
  return {
    stream: values.get(ATTR.stream)?.text ?? stream,
    cpu: batch.cpu[row] as number,
    fromUnixNs,
    toUnixNs,
    count: count === undefined || count < 0n ? undefined : Number(count),
    reason,
  };
}

function isGapReason(text: string): text is GapReason {
  return Object.hasOwn(GAP_REASONS, text);
}
