/** A row of a received batch as the API's LogRow: the same that store/queries/logs.ts reads back once it is loaded. */
import { crc32 } from 'node:zlib';
import type { LogRow } from '../model/api.ts';
import { ATTR } from '../model/attributes.ts';
import type { Resource, Scope } from '../model/identity.ts';
import type { LogBatch } from '../model/log-batch.ts';
import { formatLogUid } from '../model/log-uid.ts';
import { LEVEL_UNKNOWN, toLevel } from '../model/severity.ts';

export function toLogRow(resource: Resource, scope: Scope, batch: LogBatch, row: number): LogRow {
  const { identity } = resource;
  const bootId = identity?.bootId ?? '';
  const stream = scope.attributes[ATTR.stream] ?? '';
  const sequence = batch.sequence[row] as number;
  const cpu = batch.cpu[row] as number;
  const pid = batch.pid[row] as number;
  const unixNs = String(batch.unixTime.getBigint(row));
  const body = batch.textOf(row);
  const attributes = batch.attributes.rowOf(row);
  return {
    uid: formatLogUid(stream === '' ? { bootId, stream, unixNs, bodyCrc: crc32(body) } : { bootId, stream, sequence: String(sequence) }),
    unixNs,
    raw: String(batch.rawTime.getBigint(row)),
    clock: batch.clock,
    errorNs: clockErrorOf(scope),
    machine: identity?.machineName ?? resource.attributes[ATTR.hostName] ?? '',
    kernelId: identity?.kernelId ?? -1,
    kernelName: identity?.kernelName ?? '',
    bootId,
    stream,
    sequence,
    level: levelOf(batch, row),
    facility: batch.facility[row] as number,
    cpu,
    pid,
    caller: attributes[ATTR.caller] ?? (pid >= 0 ? `T${pid}` : cpu >= 0 ? `C${cpu}` : ''),
    flags: batch.flags[row] as number,
    body,
    eventName: batch.strings.get(batch.eventName[row] as number),
    attributes,
  };
}

/** Half-width of the time bound that a sender states; -1 where it does not. */
export function clockErrorOf(scope: Scope): number {
  const text = scope.attributes[ATTR.clockError];
  return text !== undefined && /^\d{1,18}$/.test(text) ? Number(text) : -1;
}

function levelOf(batch: LogBatch, row: number): number {
  const level = batch.level[row] as number;
  return level === LEVEL_UNKNOWN ? toLevel(batch.severityNumber[row] as number) : level;
}
