/** Batches as the objects that OpenTelemetry JS serializes: for comparing bytes and speed with it. */
import { VALUE_KIND, type AttributeColumns } from '../../model/attribute-columns.ts';
import { ATTR } from '../../model/attributes.ts';
import type { Resource, Scope } from '../../model/identity.ts';
import type { LogBatch } from '../../model/log-batch.ts';
import type { MetricBatch } from '../../model/metric-batch.ts';
import { toSeverityNumber, toSeverityText } from '../../model/severity.ts';
import type { SpanBatch } from '../../model/span-batch.ts';
import { toHex } from '../../base/bytes.ts';
import { NO_RAW_TIME } from '../../model/time.ts';

type PeerAttributes = Record<string, string | number | boolean>;

const hrTime = (ns: bigint): [number, number] => [Number(ns / 1_000_000_000n), Number(ns % 1_000_000_000n)];

function peerAttributes(columns: AttributeColumns, row: number): PeerAttributes {
  const found: PeerAttributes = {};
  for (let pair = columns.offsets[row] as number; pair < (columns.offsets[row + 1] as number); pair++) {
    const key = columns.strings.get(columns.keys[pair] as number);
    const kind = columns.kinds[pair];
    if (kind === VALUE_KIND.int) found[key] = Number(columns.ints.getBigint(pair));
    else if (kind === VALUE_KIND.double) found[key] = columns.doubles[pair] as number;
    else if (kind === VALUE_KIND.bool) found[key] = columns.ids[pair] === 1;
    else found[key] = columns.strings.get(columns.ids[pair] as number);
  }
  return found;
}

const peerResource = (resource: Resource): object => ({
  attributes: { ...resource.attributes, [ATTR.kernelId]: Number(resource.attributes[ATTR.kernelId]) },
  schemaUrl: resource.schemaUrl,
});

const peerScope = (scope: Scope): object => ({ name: scope.name, version: scope.version, schemaUrl: scope.schemaUrl });

export function toPeerLogs(resource: Resource, scope: Scope, batch: LogBatch): object[] {
  const shared = { resource: peerResource(resource), instrumentationScope: peerScope(scope), droppedAttributesCount: 0 };
  return Array.from({ length: batch.length }, (_, row) => {
    const attributes: PeerAttributes = {};
    if (batch.sequence[row] !== 0) attributes[ATTR.sequence] = batch.sequence[row] as number;
    if (batch.rawTime.getBigint(row) !== NO_RAW_TIME) attributes[ATTR.rawTime] = batch.rawTime.getNumber(row);
    if (batch.facility[row] !== 0) attributes[ATTR.facility] = batch.facility[row] as number;
    if ((batch.pid[row] as number) >= 0) attributes[ATTR.threadId] = batch.pid[row] as number;
    return {
      ...shared,
      hrTime: hrTime(batch.unixTime.getBigint(row)),
      hrTimeObserved: hrTime(batch.observedTime.getBigint(row)),
      severityNumber: toSeverityNumber(batch.level[row] as number),
      severityText: toSeverityText(batch.level[row] as number),
      body: batch.textOf(row),
      attributes: { ...attributes, ...peerAttributes(batch.attributes, row) },
    };
  });
}

export function toPeerSpans(resource: Resource, scope: Scope, batch: SpanBatch): object[] {
  const shared = { resource: peerResource(resource), instrumentationScope: peerScope(scope) };
  const { events, links } = batch;
  return Array.from({ length: batch.length }, (_, row) => {
    const traceId = toHex(batch.traceId, row * 16, row * 16 + 16);
    const context = { traceId, spanId: toHex(batch.spanId, row * 8, row * 8 + 8), traceFlags: batch.traceFlags[row] as number };
    const parent = toHex(batch.parentSpanId, row * 8, row * 8 + 8);
    const eventRows = range(events.offsets[row] as number, events.offsets[row + 1] as number);
    const linkRows = range(links.offsets[row] as number, links.offsets[row + 1] as number);
    return {
      ...shared,
      spanContext: () => context,
      parentSpanContext: /^0*$/.test(parent) ? undefined : { traceId, spanId: parent, traceFlags: 1 },
      name: batch.strings.get(batch.name[row] as number),
      kind: (batch.kind[row] as number) - 1,
      startTime: hrTime(batch.startTime.getBigint(row)),
      endTime: hrTime(batch.endTime.getBigint(row)),
      attributes: peerAttributes(batch.attributes, row),
      droppedAttributesCount: 0,
      droppedEventsCount: 0,
      droppedLinksCount: 0,
      status: { code: batch.statusCode[row] as number, message: batch.strings.get(batch.statusMessage[row] as number) },
      events: eventRows.map((event) => ({
        time: hrTime(events.timeNs[event] as bigint),
        name: batch.strings.get(events.name[event] as number),
        attributes: peerAttributes(events.attributes, event),
      })),
      links: linkRows.map((link) => ({
        context: { traceId: toHex(links.traceId[link] as Uint8Array), spanId: toHex(links.spanId[link] as Uint8Array), traceFlags: 0 },
      })),
    };
  });
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index);

/** Sums only: consecutive rows of one name are one metric. */
export function toPeerMetrics(resource: Resource, scope: Scope, batch: MetricBatch): object {
  const metrics: { descriptor: { name: string }; dataPoints: object[] }[] = [];
  for (let row = 0; row < batch.length; row++) {
    const name = batch.strings.get(batch.name[row] as number);
    if (metrics.at(-1)?.descriptor.name !== name) {
      const descriptor = {
        name,
        description: batch.strings.get(batch.description[row] as number),
        unit: batch.strings.get(batch.unit[row] as number),
        valueType: batch.isInteger[row] === 1 ? 0 : 1,
      };
      // DataPointType.SUM = 3, AggregationTemporality.CUMULATIVE = 1 in the SDK.
      metrics.push({ descriptor, dataPoints: [], ...{ dataPointType: 3, aggregationTemporality: 1, isMonotonic: true } });
    }
    metrics.at(-1)?.dataPoints.push({
      startTime: hrTime(batch.startTime.getBigint(row)),
      endTime: hrTime(batch.time.getBigint(row)),
      value: batch.value[row],
      attributes: peerAttributes(batch.attributes, row),
    });
  }
  return { resource: peerResource(resource), scopeMetrics: [{ scope: peerScope(scope), metrics }] };
}
