/** Incidents as they stand, and the rows that they are made of. */
import type { IncidentDetail, IncidentQuery, IncidentRow } from '../../model/api.ts';
import { ATTR, GAP_EVENT } from '../../model/attributes.ts';
import { SIGNAL_COUNT, type Incident } from '../../model/incident.ts';
import type { IncidentRevision } from '../incident-rows.ts';
import type { Store } from '../store.ts';
import { Conditions } from './conditions.ts';

const DEFAULT_LIMIT = 200;

const COLUMNS = `Id AS id, Revision AS revision, Kind AS kind, Severity AS severity, State AS state, Title AS title,
  MachineId AS machineId, MachineName AS machineName, KernelId AS kernelId, KernelName AS kernelName, BootId AS bootId,
  toString(toUnixTimestamp64Nano(FirstTime)) AS firstUnixNs, toString(toUnixTimestamp64Nano(LastTime)) AS lastUnixNs,
  toString(toUnixTimestamp64Nano(ResolvedTime)) AS resolvedUnixNs, toFloat64(ErrorNs) AS errorNs, toFloat64(Count) AS count,
  Reason AS reason, Evidence AS evidence, Resolution AS resolution, LastWords AS lastWords,
  arrayMap((i, n, b) -> (toInt32(i), n, b), OtherKernelIds, OtherKernels, OtherBoots) AS others, MergedInto AS mergedInto`;

interface StoredRow extends Omit<IncidentRow, 'others'> {
  readonly revision: number;
  readonly others: readonly (readonly [number, string, string])[];
  readonly mergedInto: string;
}

/** Newest first. */
export async function queryIncidents(store: Store, query: IncidentQuery): Promise<IncidentRow[]> {
  const where = new Conditions()
    .add("MergedInto = ''")
    .addKernel(query.kernel)
    .addEqual('State', 'state', 'String', query.state)
    .addNames('Kind', 'kind', query.kind)
    .addNames('Severity', 'severity', query.severity)
    .addNames('MachineName', 'machine', query.machine);
  if (query.from !== undefined) where.add('LastTime >= fromUnixTimestamp64Nano({fromNs:Int64})', { fromNs: query.from });
  if (query.to !== undefined) where.add('FirstTime <= fromUnixTimestamp64Nano({toNs:Int64})', { toNs: query.to });
  const rows = await store.query<StoredRow>(
    `SELECT ${COLUMNS} FROM incidents FINAL${where.toSql()} ORDER BY FirstTime DESC, Id LIMIT ${query.limit ?? DEFAULT_LIMIT}`,
    where.toOptions(),
  );
  return rows.map(toRow);
}

/** Those whose id begins so; one that became a part of another is found as that one. At most two: a beginning may be too short. */
export async function findIncidents(store: Store, id: string): Promise<IncidentRow[]> {
  const rows = await store.query<StoredRow>(
    `SELECT ${COLUMNS} FROM incidents FINAL
     WHERE MergedInto = '' AND (startsWith(Id, {id:String}) OR Id IN (SELECT MergedInto FROM incidents FINAL WHERE startsWith(Id, {id:String})))
     ORDER BY Id LIMIT 2`,
    { params: { id } },
  );
  return rows.map(toRow);
}

/** What a look has to compare with: all of a machine that began at a moment or later, or were not over by then. */
export async function queryRevisions(store: Store, machineId: string, fromNs: bigint): Promise<IncidentRevision[]> {
  const rows = await store.query<StoredRow>(
    `SELECT ${COLUMNS} FROM incidents FINAL
     WHERE MachineId = {machine:String} AND (LastTime >= fromUnixTimestamp64Nano({fromNs:Int64}) OR State = 'open')`,
    { params: { machine: machineId, fromNs: fromNs.toString() } },
  );
  return rows.map(toRevision);
}

export async function queryOpenIncidents(store: Store): Promise<Incident[]> {
  const rows = await store.query<StoredRow>(`SELECT ${COLUMNS} FROM incidents FINAL WHERE State = 'open' AND MergedInto = ''`);
  return rows.map((row) => toRevision(row).incident);
}

/** Boots of a machine that have ended. */
export async function queryEndedBoots(store: Store, kinds: readonly string[]): Promise<string[]> {
  const rows = await store.query<{ boot: string }>(
    `SELECT DISTINCT BootId AS boot FROM incidents FINAL WHERE Kind IN {kinds:Array(String)} AND MergedInto = '' AND BootId != ''
     ORDER BY FirstTime DESC LIMIT 10000`,
    { params: { kinds } },
  );
  return rows.map(({ boot }) => boot);
}

export interface SignalRow {
  readonly event: string;
  readonly unixNs: string;
  readonly lastNs: string;
  readonly raw: string;
  readonly errorNs: number;
  readonly count: number;
  readonly machineName: string;
  readonly kernelId: number;
  readonly kernelName: string;
  readonly bootId: string;
  readonly body: string;
  readonly fields: Readonly<Record<string, string>>;
}

export interface SignalQuery {
  readonly machineId: string;
  readonly fromNs: bigint;
  readonly events: readonly string[];
  /** Of these each row counts for itself; of the others those of a second do that have the same fields. */
  readonly singleEvents: readonly string[];
  readonly fields: readonly string[];
  readonly limit: number;
}

/** Rows with these names from a moment on, in the order of time; a line that came over two ways counts once. */
export async function querySignals(store: Store, query: SignalQuery): Promise<SignalRow[]> {
  const { machineId, fromNs, events, singleEvents, fields, limit } = query;
  return store.query<SignalRow>(
    `SELECT toString(EventName) AS event, toString(min(ns)) AS unixNs, toString(max(ns)) AS lastNs, toString(argMin(RawTime, at)) AS raw,
       toFloat64(argMin(ClockErrorNs, at)) AS errorNs, toFloat64(greatest(sum(weight), uniqExact((if(RawTime < 0, ns, intDiv(RawTime, 1000)), text)))) AS count,
       any(MachineName) AS machineName, any(KernelId) AS kernelId, any(KernelName) AS kernelName, toString(BootId) AS bootId,
       argMin(text, at) AS body, argMin(picked, at) AS fields
     FROM (
       SELECT EventName, BootId, RawTime, ClockErrorNs, MachineName, KernelId, KernelName, trimRight(Body) AS text,
         toUnixTimestamp64Nano(Timestamp) AS ns, (Timestamp, Sequence) AS at,
         toUInt64OrZero(LogAttributes['${SIGNAL_COUNT}']) AS weight, mapFilter((k, v) -> k IN {fields:Array(String)}, LogAttributes) AS picked,
         if(EventName IN {singles:Array(String)}, ns, intDiv(ns, 1000000000) * 1000000000) AS slot
       FROM otel_logs
       WHERE MachineId = {machine:String} AND Timestamp >= fromUnixTimestamp64Nano({fromNs:Int64}) AND EventName IN {events:Array(String)}
         AND KernelId >= 0
     )
     GROUP BY BootId, EventName, slot, picked
     ORDER BY min(ns), BootId, EventName LIMIT ${limit}`,
    {
      params: {
        machine: machineId,
        fromNs: fromNs.toString(),
        fields,
        singles: singleEvents,
        events: events.filter((event) => event !== GAP_EVENT),
      },
      maxResultRows: limit,
    },
  );
}

/** Losses that were noticed at a moment or later, as signals. */
export async function queryGapSignals(store: Store, machineId: string, fromNs: bigint, limit: number): Promise<SignalRow[]> {
  return store.query<SignalRow>(
    `SELECT '${GAP_EVENT}' AS event, toString(min(ns)) AS unixNs, toString(max(ns)) AS lastNs, '-1' AS raw, toFloat64(-1) AS errorNs,
       toFloat64(sum(if(Count < 0, 1, Count))) AS count, any(MachineName) AS machineName, any(KernelId) AS kernelId,
       any(KernelName) AS kernelName, toString(BootId) AS bootId, concat('lost: ', toString(Reason)) AS body,
       map('${ATTR.stream}', toString(Stream), '${ATTR.lossReason}', toString(Reason)) AS fields
     FROM (
       SELECT *, toUnixTimestamp64Nano(ToTime) AS ns FROM gaps
       WHERE MachineId = {machine:String} AND ToTime >= fromUnixTimestamp64Nano({fromNs:Int64})
     )
     GROUP BY BootId, Stream, Reason, intDiv(ns, 1000000000) ORDER BY min(ns), BootId, Stream, Reason LIMIT ${limit}`,
    { params: { machine: machineId, fromNs: fromNs.toString() }, maxResultRows: limit },
  );
}

export interface BootRow {
  readonly bootId: string;
  readonly kernelId: number;
  readonly kernelName: string;
  readonly firstUnixNs: string;
}

/** The incarnations of a machine. A file may have been imported under another number than its kernel says that it has. */
export async function queryBoots(store: Store, machineId: string): Promise<BootRow[]> {
  return store.query<BootRow>(
    `SELECT bootId, if(own.id > 0, own.id, kernelId) AS kernelId, kernelName, firstUnixNs FROM (
       SELECT BootId AS bootId, any(KernelId) AS kernelId, anyLast(KernelName) AS kernelName, anyLast(Origin) AS origin,
         toString(toUnixTimestamp64Nano(min(FirstSeen))) AS firstUnixNs
       FROM kernels WHERE MachineId = {machine:String} GROUP BY BootId ORDER BY min(FirstSeen) DESC LIMIT 5000
     ) AS known
     LEFT JOIN (
       SELECT toString(BootId) AS boot, toInt32OrZero(argMax(LogAttributes['mk.instance.id'], Timestamp)) AS id
       FROM otel_logs
       WHERE MachineId = {machine:String} AND EventName = 'mk.instance.identity'
         AND BootId IN (SELECT BootId FROM kernels WHERE MachineId = {machine:String} AND Origin = 'imported')
       GROUP BY BootId
     ) AS own ON own.boot = known.bootId`,
    { params: { machine: machineId } },
  );
}

/** Kernels of a machine that wrote log records in a window. */
export async function queryWindowKernels(
  store: Store,
  machineId: string,
  from: string,
  to: string,
): Promise<IncidentDetail['kernels'][number][]> {
  return store.query(
    `SELECT toInt32(any(KernelId)) AS kernelId, any(KernelName) AS kernelName, toString(BootId) AS bootId,
       any(ResourceAttributes['os.version']) AS release, toFloat64(count()) AS records,
       toString(anyLast(ClockDomain)) AS clock, toFloat64(if(min(ClockErrorNs) < 0, -1, max(ClockErrorNs))) AS errorNs
     FROM otel_logs
     WHERE MachineId = {machine:String} AND KernelId >= 0 AND Timestamp >= fromUnixTimestamp64Nano({fromNs:Int64})
       AND Timestamp <= fromUnixTimestamp64Nano({toNs:Int64}) AND Stream != ''
     GROUP BY BootId ORDER BY kernelId, bootId LIMIT 200`,
    { params: { machine: machineId, fromNs: from, toNs: to } },
  );
}

export interface WordRow {
  readonly stream: string;
  readonly sequence: number;
  readonly raw: string;
  readonly unixNs: string;
  readonly level: number;
  readonly flags: number;
  readonly cpu: number;
  readonly pid: number;
  readonly body: string;
}

/** The last lines of an incarnation up to a moment, of each stream that many. */
export async function queryLastWords(store: Store, bootId: string, toNs: bigint, lines: number): Promise<WordRow[]> {
  return store.query<WordRow>(
    `SELECT toString(Stream) AS stream, toFloat64(Sequence) AS sequence, toString(RawTime) AS raw,
       toString(toUnixTimestamp64Nano(Timestamp)) AS unixNs, Level AS level, Flags AS flags, Cpu AS cpu, Pid AS pid, Body AS body
     FROM otel_logs
     WHERE BootId = {boot:String} AND Timestamp <= fromUnixTimestamp64Nano({toNs:Int64})
       AND Timestamp >= fromUnixTimestamp64Nano({toNs:Int64}) - INTERVAL 1 HOUR AND Stream != ''
     ORDER BY Timestamp DESC, Sequence DESC LIMIT ${lines} BY Stream`,
    { params: { boot: bootId, toNs: toNs.toString() } },
  );
}

function toRow({ revision: _revision, mergedInto: _mergedInto, others, resolvedUnixNs, ...row }: StoredRow): IncidentRow {
  return {
    ...row,
    resolvedUnixNs: row.state === 'open' ? '' : resolvedUnixNs,
    others: others.map(([kernelId, kernelName, bootId]) => ({ kernelId, kernelName, bootId })),
  };
}

function toRevision(stored: StoredRow): IncidentRevision {
  const { lastWords, firstUnixNs, lastUnixNs, resolvedUnixNs, ...row } = toRow(stored);
  return {
    incident: {
      ...row,
      firstUnixNs: BigInt(firstUnixNs),
      lastUnixNs: BigInt(lastUnixNs),
      resolvedUnixNs: row.state === 'open' ? undefined : BigInt(resolvedUnixNs),
    },
    revision: stored.revision,
    lastWords,
    mergedInto: stored.mergedInto,
  };
}
