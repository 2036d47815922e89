/** What a new process reads back to go on matching: messages with one end, and probe events that no row stands for yet. */
import type { Store } from '../store.ts';

export interface OpenMessageRow {
  readonly machineId: string;
  readonly senderBootId: string;
  readonly receiverBootId: string;
  readonly senderId: number;
  readonly isSend: number;
  readonly messageId: string;
  readonly unixNs: string;
  readonly errorNs: number;
  readonly sendNs: number;
  readonly receiverId: number;
  readonly type: number;
  readonly subtype: number;
  readonly payloadBytes: number;
  readonly slot: number;
  readonly missing: number;
  readonly fromCpu: number;
  readonly pid: number;
  readonly cpu: number;
  readonly system: string;
  readonly isPrinted: number;
  readonly exchangeId: string;
  readonly keyHash: number;
  readonly queue: number;
  readonly spans: number;
}

const MAX_OPEN = 400_000;
const MAX_EVENTS = 1_000_000;

/** Messages with one end that an earlier process stored since a moment, oldest first. */
export async function queryOpenMessages(store: Store, sinceUnixMs: number): Promise<OpenMessageRow[]> {
  return store.query<OpenMessageRow>(
    `SELECT toString(MachineId) AS machineId, toString(SenderBootId) AS senderBootId, toString(ReceiverBootId) AS receiverBootId,
       SenderId AS senderId, SendSpanId != '' AS isSend, MessageId AS messageId, toString(toUnixTimestamp64Nano(Timestamp)) AS unixNs,
       toFloat64(if(isSend, SendErrorNs, ReceiveErrorNs)) AS errorNs, toFloat64(SendNs) AS sendNs, ReceiverId AS receiverId, Type AS type,
       Subtype AS subtype, PayloadBytes AS payloadBytes, Slot AS slot, Missing AS missing, FromCpu AS fromCpu, SendPid AS pid,
       if(isSend, SendCpu, ReceiveCpu) AS cpu, toString(System) AS system, IsPrinted AS isPrinted, ExchangeId AS exchangeId,
       KeyHash AS keyHash, Queue AS queue, Spans AS spans
     FROM ikc_messages FINAL
     WHERE State IN ('waiting', 'unmatched') AND IsFinal = 0 AND StoredAt >= fromUnixTimestamp64Milli({since:Int64})
     ORDER BY Timestamp, MessageId LIMIT ${MAX_OPEN}`,
    { params: { since: Math.floor(sinceUnixMs) }, maxResultRows: MAX_OPEN },
  );
}

/** Ids of all halves and exchanges that rows stand for since a moment. */
export async function queryKnownIds(store: Store, fromNs: bigint): Promise<Set<string>> {
  const rows = await store.query<{ id: string }>(
    `SELECT DISTINCT arrayJoin([SendSpanId, ReceiveSpanId]) AS id FROM ikc_messages
     WHERE Timestamp >= fromUnixTimestamp64Nano({fromNs:Int64})
     UNION DISTINCT SELECT ExchangeId AS id FROM ikc_exchanges WHERE Timestamp >= fromUnixTimestamp64Nano({fromNs:Int64})`,
    { params: { fromNs: fromNs.toString() }, maxResultRows: 2 * MAX_EVENTS },
  );
  return new Set(rows.map(({ id }) => id));
}

export interface ProbeEventRow {
  readonly machineId: string;
  readonly machineName: string;
  readonly kernelId: number;
  readonly kernelName: string;
  readonly bootId: string;
  readonly event: string;
  readonly unixNs: string;
  readonly raw: string;
  readonly errorNs: number;
  readonly cpu: number;
  readonly pid: number;
  readonly flags: number;
  readonly fields: Readonly<Record<string, string>>;
}

/** Events of these names from a moment on, by incarnation and time. */
export async function queryProbeEvents(store: Store, events: readonly string[], fromNs: bigint): Promise<ProbeEventRow[]> {
  return store.query<ProbeEventRow>(
    `SELECT toString(MachineId) AS machineId, toString(MachineName) AS machineName, KernelId AS kernelId, toString(KernelName) AS kernelName,
       toString(BootId) AS bootId, toString(Event) AS event, toString(toUnixTimestamp64Nano(Timestamp)) AS unixNs,
       toString(RawTime) AS raw, toFloat64(ClockErrorNs) AS errorNs, Cpu AS cpu, Pid AS pid, Flags AS flags, Fields AS fields
     FROM events WHERE Event IN {events:Array(String)} AND Timestamp >= fromUnixTimestamp64Nano({fromNs:Int64})
     ORDER BY BootId, Timestamp LIMIT ${MAX_EVENTS}`,
    { params: { events, fromNs: fromNs.toString() }, maxResultRows: MAX_EVENTS },
  );
}

/** Which CPUs went to which kernel, as the hosts said it, oldest first. */
export async function queryCpuOwners(
  store: Store,
): Promise<{ readonly machineId: string; readonly kernelId: number; readonly cpus: string }[]> {
  return store.query(
    `SELECT toString(MachineId) AS machineId, toInt32OrZero(LogAttributes['mk.instance.id']) AS kernelId, LogAttributes['mk.cpu.list'] AS cpus
     FROM otel_logs WHERE EventName = 'mk.instance.cpu.assign' ORDER BY Timestamp LIMIT 100000`,
    { maxResultRows: 100_000 },
  );
}
