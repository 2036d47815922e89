/** Messages that the lives of instances are told by, and the spans of them that are stored already. */
import type { Store } from '../store.ts';

export interface NamedRow {
  readonly event: string;
  readonly machineName: string;
  readonly bootId: string;
  readonly kernelId: number;
  readonly kernelName: string;
  readonly release: string;
  readonly arch: string;
  readonly stream: string;
  readonly sequence: number;
  readonly raw: string;
  readonly unixNs: string;
  readonly errorNs: number;
  readonly fields: Readonly<Record<string, string>>;
}

/** Of one boot: a kernel that prints such messages without end hides those of no other. */
const MAX_ROWS_PER_BOOT = 20_000;
const MAX_ROWS = 100_000;

/** Rows with these names of a machine from a moment on, newest first, the newest of each boot where there are too many. */
export async function queryNamedRows(store: Store, machineId: string, names: readonly string[], fromNs: bigint): Promise<NamedRow[]> {
  return store.query<NamedRow>(
    `SELECT EventName AS event, toString(MachineName) AS machineName, toString(BootId) AS bootId, KernelId AS kernelId,
       toString(KernelName) AS kernelName, ResourceAttributes['os.version'] AS release, ResourceAttributes['host.arch'] AS arch,
       toString(Stream) AS stream, toFloat64(Sequence) AS sequence, toString(RawTime) AS raw,
       toString(toUnixTimestamp64Nano(Timestamp)) AS unixNs, toFloat64(ClockErrorNs) AS errorNs,
       LogAttributes AS fields
     FROM otel_logs
     WHERE MachineId = {machine:String} AND Timestamp >= fromUnixTimestamp64Nano({fromNs:Int64}) AND EventName IN {names:Array(String)}
       AND Stream != '' AND KernelId >= 0
     ORDER BY Timestamp DESC LIMIT ${MAX_ROWS_PER_BOOT} BY BootId LIMIT ${MAX_ROWS}`,
    { params: { machine: machineId, names, fromNs: fromNs.toString() }, maxResultRows: MAX_ROWS },
  );
}

/** Ids of spans with these names of a machine, each with its trace. */
export async function queryKnownSpans(
  store: Store,
  machineId: string,
  names: readonly string[],
  fromNs: bigint,
): Promise<Map<string, string>> {
  const rows = await store.query<{ spanId: string; traceId: string }>(
    `SELECT SpanId AS spanId, TraceId AS traceId FROM otel_traces
     WHERE MachineId = {machine:String} AND SpanName IN {names:Array(String)} AND Timestamp >= fromUnixTimestamp64Nano({fromNs:Int64})
     LIMIT ${MAX_ROWS}`,
    { params: { machine: machineId, names, fromNs: fromNs.toString() }, maxResultRows: MAX_ROWS },
  );
  return new Map(rows.map(({ spanId, traceId }) => [spanId, traceId]));
}

/** Machines of which rows with these names were stored since a moment. */
export async function queryMachinesWith(store: Store, names: readonly string[], fromNs: bigint): Promise<string[]> {
  const rows = await store.query<{ machine: string }>(
    `SELECT DISTINCT toString(MachineId) AS machine FROM otel_logs
     WHERE StoredAt >= fromUnixTimestamp64Nano({fromNs:Int64}) AND EventName IN {names:Array(String)} LIMIT 1000`,
    { params: { names, fromNs: fromNs.toString() } },
  );
  return rows.map(({ machine }) => machine);
}

/** Boots of a machine that came in files. */
export async function queryImportedBoots(store: Store, machineId: string): Promise<Set<string>> {
  const rows = await store.query<{ boot: string }>(
    `SELECT BootId AS boot FROM kernels WHERE MachineId = {machine:String} GROUP BY BootId HAVING anyLast(Origin) = 'imported' LIMIT ${MAX_ROWS}`,
    { params: { machine: machineId }, maxResultRows: MAX_ROWS },
  );
  return new Set(rows.map(({ boot }) => boot));
}
