/** Messages and exchanges between kernels as Native blocks of `ikc_messages` and `ikc_exchanges`. */
import { Int64Array } from '../base/int64.ts';
import { MESSAGE_REASON_NAMES, MESSAGE_STATE, MESSAGE_STATES, type IkcExchangeRow, type MessageBatch } from '../model/ikc-message.ts';
import type { KernelIdentity } from '../model/identity.ts';
import type { NativeWriter } from './native.ts';

/** Messages of one machine. */
export interface MessageRows {
  readonly machine: Pick<KernelIdentity, 'machineId' | 'machineName'>;
  readonly batch: MessageBatch;
  /** By the indices in `sender` and `receiver`. */
  readonly kernels: readonly KernelIdentity[];
  /** By `pack`. */
  readonly packs: readonly string[];
  /** By row. */
  readonly typeNames: readonly string[];
  readonly subtypeNames: readonly string[];
  /** 16 bytes each. */
  readonly traceId: Uint8Array;
}

/** A higher one replaces a lower one; what is final outdoes what is not. */
function versionOf(batch: MessageBatch, row: number): number {
  return (batch.state[row] as number) * 2 + (batch.isFinal[row] as number) + 1;
}

export function writeMessages(writer: NativeWriter, rows: MessageRows): void {
  const { batch, machine, kernels, packs } = rows;
  const { length } = batch;
  if (length === 0) return;
  const each = <Value>(of: (row: number) => Value): Value[] => Array.from({ length }, (_, row) => of(row));
  const sent = (row: number): boolean => batch.sendTime.getBigint(row) !== 0n;
  writer.openBlock(length);
  writer.bigints(
    'Timestamp',
    'DateTime64(9)',
    each((row) => (sent(row) ? batch.sendTime : batch.receiveTime).getBigint(row)),
  );
  writer.hexIds('MessageId', batch.id, 8);
  writer.numbers(
    'Version',
    'UInt8',
    Uint8Array.from({ length }, (_, row) => versionOf(batch, row)),
  );
  writer.numbers(
    'IsDeleted',
    'UInt8',
    Uint8Array.from({ length }, (_, row) => (batch.state[row] === MESSAGE_STATE.superseded ? 1 : 0)),
  );
  writer.constantLowCardinality('MachineId', machine.machineId);
  writer.constantLowCardinality('MachineName', machine.machineName);
  writer.numbers('SenderId', 'Int32', batch.senderId);
  writer.numbers('ReceiverId', 'Int32', batch.receiverId);
  writer.strings(
    'SenderName',
    each((row) => kernels[batch.sender[row] as number]?.kernelName ?? ''),
  );
  writer.strings(
    'SenderBootId',
    each((row) => kernels[batch.sender[row] as number]?.bootId ?? ''),
  );
  writer.strings(
    'ReceiverName',
    each((row) => kernels[batch.receiver[row] as number]?.kernelName ?? ''),
  );
  writer.strings(
    'ReceiverBootId',
    each((row) => kernels[batch.receiver[row] as number]?.bootId ?? ''),
  );
  writer.lowCardinalityOf('System', batch.pack, packs);
  writer.numbers('Type', 'UInt32', batch.type);
  writer.numbers('Subtype', 'UInt32', batch.subtype);
  writer.strings('TypeName', rows.typeNames);
  writer.strings('SubtypeName', rows.subtypeNames);
  writer.numbers('PayloadBytes', 'UInt32', batch.payloadBytes);
  writer.words('SendTime', 'DateTime64(9)', batch.sendTime);
  writer.words('ReceiveTime', 'DateTime64(9)', batch.receiveTime);
  writer.integers('SendErrorNs', 'Int64', batch.sendErrorNs.map(Math.round));
  writer.integers('ReceiveErrorNs', 'Int64', batch.receiveErrorNs.map(Math.round));
  writer.integers('SendNs', 'Int64', batch.sendNs.map(Math.round));
  writer.words('LatencyNs', 'Int64', toLatencies(batch));
  writer.numbers('Slot', 'Int16', batch.slot);
  writer.numbers('Missing', 'Int16', batch.missing);
  writer.numbers('Errno', 'Int32', Int32Array.from(batch.errno));
  writer.numbers('SendPid', 'Int32', batch.sendPid);
  writer.numbers('SendCpu', 'Int32', batch.sendCpu);
  writer.numbers('ReceiveCpu', 'Int32', batch.receiveCpu);
  writer.numbers('FromCpu', 'Int32', batch.fromCpu);
  writer.numbers('Confidence', 'Float64', batch.confidence);
  writer.lowCardinalityOf('State', batch.state, MESSAGE_STATES);
  writer.lowCardinalityOf('Reason', batch.reason, MESSAGE_REASON_NAMES);
  writer.numbers('IsFinal', 'UInt8', batch.isFinal);
  writer.numbers('IsPrinted', 'UInt8', batch.isPrinted);
  writer.numbers('Spans', 'UInt8', batch.spans);
  writer.hexIds('TraceId', rows.traceId, 16);
  writer.hexIds('SendSpanId', batch.sendId, 8);
  writer.hexIds('ReceiveSpanId', batch.receiveId, 8);
  writer.hexIds('ExchangeId', batch.exchangeId, 8);
  writer.numbers('KeyHash', 'UInt32', batch.key);
  writer.numbers('Queue', 'UInt32', batch.queue);
  writer.closeBlock();
}

function toLatencies({ length, sendTime, receiveTime }: MessageBatch): Int64Array {
  const latencies = new Int64Array(length);
  for (let row = 0; row < length; row++) {
    const sent = sendTime.getBigint(row);
    const received = receiveTime.getBigint(row);
    if (sent !== 0n && received !== 0n) latencies.setBigint(row, received - sent);
  }
  return latencies;
}

export interface ExchangeRows {
  /** The requester. */
  readonly identity: KernelIdentity;
  readonly rows: readonly IkcExchangeRow[];
}

export function writeExchanges(writer: NativeWriter, { identity, rows }: ExchangeRows): void {
  if (rows.length === 0) return;
  const texts = (name: string, of: (row: IkcExchangeRow) => string): void => writer.strings(name, rows.map(of));
  const times = (name: string, of: (row: IkcExchangeRow) => bigint): void => writer.bigints(name, 'DateTime64(9)', rows.map(of));
  const words = (name: string, type: string, of: (row: IkcExchangeRow) => bigint): void => writer.bigints(name, type, rows.map(of));
  writer.openBlock(rows.length);
  times('Timestamp', ({ startNs }) => startNs);
  texts('ExchangeId', ({ exchangeId }) => exchangeId);
  writer.constantLowCardinality('MachineId', identity.machineId);
  writer.constantLowCardinality('MachineName', identity.machineName);
  writer.constantNumber('RequesterId', 'Int32', 4, identity.kernelId);
  writer.constantLowCardinality('RequesterName', identity.kernelName);
  writer.constantLowCardinality('RequesterBootId', identity.bootId);
  writer.numbers(
    'ResponderId',
    'Int32',
    Int32Array.from(rows, ({ responderId }) => responderId),
  );
  texts('System', ({ system }) => system);
  writer.numbers(
    'Type',
    'UInt32',
    Uint32Array.from(rows, ({ type }) => type),
  );
  writer.numbers(
    'Operation',
    'UInt32',
    Uint32Array.from(rows, ({ operation }) => operation),
  );
  texts('OperationName', ({ operationName }) => operationName);
  words('Resource', 'UInt64', ({ resource }) => resource);
  texts('State', ({ state }) => state);
  writer.numbers(
    'Result',
    'Int32',
    Int32Array.from(rows, ({ result }) => result),
  );
  times('AnswerTime', ({ answerNs }) => answerNs);
  words('DurationNs', 'Int64', ({ startNs, endNs }) => (endNs === 0n ? -1n : endNs - startNs));
  words('ErrorNs', 'Int64', ({ errorNs }) => BigInt(Math.round(errorNs)));
  texts('TraceId', ({ traceId }) => traceId);
  writer.closeBlock();
}
