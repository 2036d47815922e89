/** Log batches as Native blocks of `otel_logs`. Columns that hold nothing in a batch are left out: the table fills them. */
import { ATTR } from '../model/attributes.ts';
import type { Resource, Scope } from '../model/identity.ts';
import type { LogBatch } from '../model/log-batch.ts';
import { toLevel, toSeverityNumber } from '../model/severity.ts';
import type { NativeWriter } from './native.ts';
import { writeIdentity, writeScope } from './resource-columns.ts';

/** Index = OTLP severity number. */
const SEVERITY_TEXTS: readonly string[] = [
  '',
  ...['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'].flatMap((name) => [name, `${name}2`, `${name}3`, `${name}4`]),
];
const NUMBER_OF_LEVEL = Uint8Array.from({ length: 256 }, (_, level) => toSeverityNumber(level));
const LEVEL_OF_NUMBER = Uint8Array.from({ length: 256 }, (_, number) => toLevel(number));

export function writeLogs(writer: NativeWriter, resource: Resource, scope: Scope, batch: LogBatch): void {
  const rows = batch.length;
  if (rows === 0) return;
  const severity = toSeverities(batch);
  writer.openBlock(rows);
  writer.words('Timestamp', 'DateTime64(9)', batch.unixTime);
  if (batch.traceId !== undefined) writer.hexIds('TraceId', batch.traceId, 16);
  if (batch.spanId !== undefined) writer.hexIds('SpanId', batch.spanId, 8);
  if (batch.traceFlags !== undefined) writer.numbers('TraceFlags', 'UInt8', batch.traceFlags);
  if (anyOf(batch.severityText, rows)) writer.lowCardinality('SeverityText', batch.severityText, batch.strings);
  else writer.lowCardinalityOf('SeverityText', severity.numbers, SEVERITY_TEXTS);
  writer.numbers('SeverityNumber', 'UInt8', severity.numbers);
  writer.texts('Body', batch.text, batch.textStart, batch.textEnd);
  writer.constantLowCardinality('ResourceSchemaUrl', resource.schemaUrl);
  writeScope(writer, scope, 'LowCardinality');
  writer.attributeMap('LogAttributes', batch.attributes);
  if (anyOf(batch.eventName, rows)) writer.stringsById('EventName', batch.eventName, batch.strings);
  writeIdentity(writer, resource);
  writer.words('ObservedTimestamp', 'DateTime64(9)', batch.observedTime);
  writer.constantLowCardinality('Stream', scope.attributes[ATTR.stream] ?? '');
  writer.integers('Sequence', 'UInt64', batch.sequence);
  writer.words('RawTime', 'Int64', batch.rawTime);
  writer.constantLowCardinality('ClockDomain', batch.clock);
  writer.constantBigint('ClockErrorNs', 'Int64', toClockError(scope));
  writer.numbers('Level', 'UInt8', severity.levels);
  writer.numbers('Facility', 'UInt16', batch.facility);
  writer.numbers('Cpu', 'Int32', batch.cpu);
  writer.numbers('Pid', 'Int32', batch.pid);
  writer.numbers('Flags', 'UInt16', batch.flags);
  writer.closeBlock();
}

/** Level and severity number of each row: a kernel's level rules, else what the sender said. */
function toSeverities(batch: LogBatch): { readonly levels: Uint8Array; readonly numbers: Uint8Array } {
  const rows = batch.length;
  const levels = batch.level.slice(0, rows);
  const numbers = new Uint8Array(rows);
  for (let row = 0; row < rows; row++) {
    const given = batch.severityNumber[row] as number;
    if (given === 0) {
      numbers[row] = NUMBER_OF_LEVEL[levels[row] as number] as number;
    } else {
      numbers[row] = given;
      if ((levels[row] as number) > 7) levels[row] = LEVEL_OF_NUMBER[given] as number;
    }
  }
  return { levels, numbers };
}

function toClockError(scope: Scope): bigint {
  const text = scope.attributes[ATTR.clockError];
  return text !== undefined && /^\d{1,18}$/.test(text) ? BigInt(text) : -1n;
}

function anyOf(ids: Uint32Array, rows: number): boolean {
  for (let row = 0; row < rows; row++) if (ids[row] !== 0) return true;
  return false;
}
