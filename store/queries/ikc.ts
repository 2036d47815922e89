/** Messages between kernels: sums by channel and by kind of request, and single ones. */
import type { IkcChannel, IkcExchangeSum, IkcMessage, IkcMessageQuery, IkcQuery, IkcSummary } from '../../model/api.ts';
import type { Store } from '../store.ts';
import { Conditions } from './conditions.ts';

const DEFAULT_LIMIT = 200;
const MAX_CHANNELS = 4_096;
/** -ENOSPC: what a sender is told when the receiver's ring has no free place. */
const RING_FULL = -28;

export async function queryIkcSummary(store: Store, query: IkcQuery): Promise<IkcSummary> {
  const startMs = performance.now();
  const where = new Conditions().addRange('Timestamp', query.from, query.to);
  addEnds(where, query);
  const channels = await store.query<IkcChannel>(
    `SELECT toString(MachineId) AS machineId, toString(any(MachineName)) AS machineName, SenderId AS senderId,
       toString(anyIf(SenderName, SenderName != '')) AS senderName, ReceiverId AS receiverId,
       toString(anyIf(ReceiverName, ReceiverName != '')) AS receiverName, toFloat64(countIf(State = 'matched')) AS matched,
       toFloat64(countIf(State = 'waiting')) AS waiting, toFloat64(countIf(State = 'failed')) AS failed,
       toFloat64(countIf(State = 'failed' AND Errno = ${RING_FULL})) AS ringFull,
       toFloat64(countIf(State = 'unmatched' AND SendSpanId != '')) AS unmatchedSends,
       toFloat64(countIf(State = 'unmatched' AND SendSpanId = '')) AS unmatchedReceives,
       toFloat64(sumIf(Missing, Missing > 0)) AS missing, toFloat64(sum(PayloadBytes)) AS payloadBytes,
       ifNotFinite(quantileTDigestIf(0.5)(LatencyNs, State = 'matched'), 0) AS p50Ns,
       ifNotFinite(quantileTDigestIf(0.99)(LatencyNs, State = 'matched'), 0) AS p99Ns,
       toFloat64(maxIf(LatencyNs, State = 'matched')) AS maxNs,
       ifNotFinite(quantileTDigestIf(0.5)(SendErrorNs + ReceiveErrorNs, State = 'matched'), -1) AS errorNs,
       ifNotFinite(sumIf(1 - Confidence, State = 'matched'), 0) AS expectedWrong,
       CAST(mapFilter((reason, count) -> reason != '', sumMap(map(toString(Reason), toUInt32(1)))), 'Map(String, UInt32)') AS reasons,
       toString(toUnixTimestamp64Nano(max(Timestamp))) AS lastUnixNs
     FROM ikc_messages FINAL${where.toSql()}
     GROUP BY MachineId, SenderId, ReceiverId ORDER BY machineId, senderId, receiverId LIMIT ${MAX_CHANNELS}`,
    where.toOptions(),
  );
  return { channels, exchanges: await queryExchangeSums(store, query), tookMs: performance.now() - startMs };
}

async function queryExchangeSums(store: Store, query: IkcQuery): Promise<IkcExchangeSum[]> {
  const where = new Conditions().addRange('Timestamp', query.from, query.to);
  if (query.kernel !== undefined) {
    const { names, ids } = splitKernels(query.kernel);
    where.add('(RequesterName IN {names:Array(String)} OR RequesterId IN {ids:Array(Int32)} OR ResponderId IN {ids:Array(Int32)})', {
      names,
      ids,
    });
  }
  return store.query<IkcExchangeSum>(
    `SELECT toString(MachineId) AS machineId, RequesterId AS requesterId, toString(any(RequesterName)) AS requesterName,
       ResponderId AS responderId, toString(System) AS system, toString(OperationName) AS operationName, toFloat64(count()) AS count,
       toFloat64(countIf(State = 'timeout')) AS timeouts, toFloat64(countIf(State = 'open')) AS open,
       toFloat64(countIf(State = 'answered' AND Result < 0)) AS failed,
       ifNotFinite(quantileTDigestIf(0.5)(DurationNs, DurationNs >= 0), 0) AS p50Ns,
       ifNotFinite(quantileTDigestIf(0.99)(DurationNs, DurationNs >= 0), 0) AS p99Ns
     FROM ikc_exchanges FINAL${where.toSql()}
     GROUP BY MachineId, RequesterId, ResponderId, System, OperationName
     ORDER BY machineId, requesterId, responderId, operationName LIMIT ${MAX_CHANNELS}`,
    where.toOptions(),
  );
}

/** Newest first, or slowest first. */
export async function queryIkcMessages(store: Store, query: IkcMessageQuery): Promise<IkcMessage[]> {
  const where = new Conditions()
    .addRange('Timestamp', query.from, query.to)
    .addEqual('TraceId', 'trace', 'String', query.trace)
    .addEqual('ExchangeId', 'exchange', 'String', query.exchange)
    .addNames('State', 'states', query.state)
    .addNames('Reason', 'reasons', query.reason)
    .addNames('TypeName', 'types', query.type);
  addEnds(where, query);
  if (query.order === 'slowest') where.add(`State = 'matched'`);
  const order = query.order === 'slowest' ? 'LatencyNs DESC, Timestamp DESC, MessageId' : 'Timestamp DESC, MessageId DESC';
  return store.query<IkcMessage>(
    `SELECT MessageId AS messageId, toString(toUnixTimestamp64Nano(Timestamp)) AS unixNs, toString(MachineName) AS machine,
       SenderId AS senderId, toString(SenderName) AS senderName, toString(SenderBootId) AS senderBootId, ReceiverId AS receiverId,
       toString(ReceiverName) AS receiverName, toString(ReceiverBootId) AS receiverBootId, toString(System) AS system, Type AS type,
       Subtype AS subtype, toString(TypeName) AS typeName, toString(SubtypeName) AS subtypeName, PayloadBytes AS payloadBytes,
       if(SendSpanId = '', '', toString(toUnixTimestamp64Nano(SendTime))) AS sendUnixNs,
       if(ReceiveSpanId = '', '', toString(toUnixTimestamp64Nano(ReceiveTime))) AS receiveUnixNs,
       toFloat64(SendErrorNs) AS sendErrorNs, toFloat64(ReceiveErrorNs) AS receiveErrorNs, toFloat64(SendNs) AS sendNs,
       toFloat64(LatencyNs) AS latencyNs, Slot AS slot, Missing AS missing, Errno AS errno, SendPid AS sendPid, SendCpu AS sendCpu,
       ReceiveCpu AS receiveCpu, FromCpu AS fromCpu, Confidence AS confidence, toString(State) AS state, toString(Reason) AS reason,
       toBool(IsFinal) AS isFinal, toBool(IsPrinted) AS isPrinted, TraceId AS traceId, SendSpanId AS sendSpanId, ReceiveSpanId AS receiveSpanId,
       ExchangeId AS exchangeId
     FROM ikc_messages FINAL${where.toSql()} ORDER BY ${order} LIMIT ${query.limit ?? DEFAULT_LIMIT}`,
    where.toOptions(),
  );
}

export type Ends = Pick<IkcMessageQuery, 'kernel' | 'machine' | 'sender' | 'receiver'>;

/** Either end is one of these kernels; or each is the one named. */
export function addEnds(where: Conditions, { kernel, machine, sender, receiver }: Ends): void {
  where.addEqual('MachineId', 'machine', 'String', machine);
  if (sender !== undefined) addEnd(where, 'Sender', sender);
  if (receiver !== undefined) addEnd(where, 'Receiver', receiver);
  if (kernel === undefined) return;
  const { names, ids } = splitKernels(kernel);
  where.add(
    `(SenderName IN {ends:Array(String)} OR ReceiverName IN {ends:Array(String)} OR SenderId IN {endIds:Array(Int32)} OR ReceiverId IN {endIds:Array(Int32)})`,
    { ends: names, endIds: ids },
  );
}

function addEnd(where: Conditions, column: 'Sender' | 'Receiver', kernel: string): void {
  const { names, ids } = splitKernels(kernel);
  const [nameParam, idParam] = [`names${column}`, `ids${column}`];
  where.add(`(${column}Name IN {${nameParam}:Array(String)} OR ${column}Id IN {${idParam}:Array(Int32)})`, {
    [nameParam]: names,
    [idParam]: ids,
  });
}

function splitKernels(kernel: string): { names: string[]; ids: number[] } {
  const names = kernel.split(',').filter((name) => name !== '');
  return { names, ids: names.filter((name) => /^\d{1,9}$/.test(name)).map(Number) };
}
