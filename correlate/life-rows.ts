/** Spans of lives as batches, one for each kernel that tells of them, with ids that are the same however often they are made. */
import { createHash } from 'node:crypto';
import { SPAN_KIND, SpanBatch } from '../model/span-batch.ts';
import type { Life } from './tell-lives.ts';
import { keyOf, toLifeSpans, type LifeSpan } from './life-spans.ts';

/** Spans that are stored: id of the span → id of its trace, hex. */
export type KnownSpans = ReadonlyMap<string, string>;

const TRACE_BYTES = 16;
const SPAN_BYTES = 8;
const STATUS_ERROR = 2;
/** W3C: sampled. */
const SAMPLED = 1;

/**
 * New spans of these lives by the boot whose they are. A life of which a span is stored goes on in that trace, so that the
 * files of a machine may come in any order.
 */
export function toLifeRows(
  lives: readonly Life[],
  machineId: string,
  known: KnownSpans,
  isFinal: (bootId: string) => boolean,
): Map<string, SpanBatch> {
  const batches = new Map<string, SpanBatch>();
  for (const life of lives) {
    const spans = toLifeSpans(life, isFinal).map((span) => ({ span, ids: span.keys.map((key) => toId(machineId, key, SPAN_BYTES)) }));
    const [first] = spans;
    if (first === undefined) continue;
    const stored = spans.flatMap(({ ids }) => ids.map((id) => known.get(id.toString('hex')))).find((trace) => trace !== undefined);
    const traceId = stored === undefined ? toTraceId(life, machineId, first.span) : Buffer.from(stored, 'hex');
    for (const { span, ids } of spans) {
      const id = span.name === 'instance life' ? toRootId(traceId) : (ids[0] as Buffer);
      if ([id, ...ids].some((one) => known.has(one.toString('hex')))) continue;
      const batch = batches.get(span.bootId) ?? new SpanBatch(16);
      batches.set(span.bootId, batch);
      addSpan(batch, span, traceId, id, parentIdOf(span, life, machineId, traceId));
    }
  }
  return batches;
}

function toTraceId({ host, boots, id }: Life, machineId: string, fallback: LifeSpan): Buffer {
  const first = host?.first ?? boots[0]?.first;
  return toId(
    machineId,
    first === undefined ? (fallback.keys[0] as string) : `life\n${first.bootId}\n${id}\n${first.rawNs}\n${first.sequence}`,
    TRACE_BYTES,
  );
}

/** There is one whole in a trace, whatever it was found to begin with. */
function toRootId(traceId: Buffer): Buffer {
  return toId('', `root\n${traceId.toString('hex')}`, SPAN_BYTES);
}

/** A span may come before the one above it: that one's id is known all the same. */
function parentIdOf({ parent }: LifeSpan, { host, id }: Life, machineId: string, traceId: Buffer): Buffer | undefined {
  if (parent === undefined) return undefined;
  if (parent === 'instance life' || host?.active === undefined) return toRootId(traceId);
  return toId(machineId, keyOf(parent, id, host.active), SPAN_BYTES);
}

function addSpan(batch: SpanBatch, span: LifeSpan, traceId: Buffer, id: Buffer, parentId: Buffer | undefined): void {
  const { strings, attributes, events } = batch;
  const row = batch.openRow();
  batch.traceId.set(traceId, row * TRACE_BYTES);
  batch.spanId.set(id, row * SPAN_BYTES);
  if (parentId !== undefined) batch.parentSpanId.set(parentId, row * SPAN_BYTES);
  batch.traceFlags[row] = SAMPLED;
  batch.name[row] = strings.internString(span.name);
  batch.kind[row] = SPAN_KIND.internal;
  batch.startTime.setBigint(row, span.startNs);
  batch.endTime.setBigint(row, span.endNs);
  if (span.error !== undefined) {
    batch.statusCode[row] = STATUS_ERROR;
    batch.statusMessage[row] = strings.internString(span.error);
  }
  for (const [name, value] of Object.entries(span.attributes)) attributes.add(name, value);
  for (const { timeNs, name } of span.events) events.add(timeNs, strings.internString(name));
  batch.closeRow();
}

function toId(machineId: string, key: string, length: number): Buffer {
  return createHash('sha256').update(`${machineId}\n${key}`).digest().subarray(0, length);
}
