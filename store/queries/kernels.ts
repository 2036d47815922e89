/** Every incarnation ever seen, with what its metrics, log and gaps say last. */
import { CLOCK_ERROR_METRIC } from '../../model/attributes.ts';
import type { Store } from '../store.ts';

export interface StoredKernel {
  readonly machineId: string;
  readonly machineName: string;
  readonly kernelId: number;
  readonly kernelName: string;
  readonly bootId: string;
  readonly release: string;
  readonly arch: string;
  readonly origin: 'live' | 'imported';
  readonly firstSeenUnixNs: string;
  readonly lastSeenUnixNs: string;
}

const MAX_KERNELS = 1_000;

export async function queryKernels(store: Store): Promise<StoredKernel[]> {
  return store.query<StoredKernel>(
    `SELECT MachineId AS machineId, anyLast(MachineName) AS machineName, KernelId AS kernelId, anyLast(KernelName) AS kernelName,
       BootId AS bootId, anyLast(Release) AS release, anyLast(Arch) AS arch, anyLast(Origin) AS origin,
       toString(toUnixTimestamp64Nano(min(FirstSeen))) AS firstSeenUnixNs, toString(toUnixTimestamp64Nano(max(LastSeen))) AS lastSeenUnixNs
     FROM kernels GROUP BY MachineId, KernelId, BootId ORDER BY max(LastSeen) DESC LIMIT ${MAX_KERNELS}`,
  );
}

export interface LastLine {
  readonly bootId: string;
  readonly body: string;
  readonly unixNs: string;
  readonly clock: string;
  readonly clockErrorNs: number;
}

/** The last log record of each of these boots. */
export async function queryLastLines(store: Store, boots: readonly string[]): Promise<LastLine[]> {
  if (boots.length === 0) return [];
  // Two passes: the time of the last line from two small columns, then one row per boot, so that no body is read in vain.
  const last = await store.query<{ bootId: string; at: string }>(
    `SELECT BootId AS bootId, toString(toUnixTimestamp64Nano(max(Timestamp))) AS at FROM otel_logs
     WHERE BootId IN {boots:Array(String)} GROUP BY BootId`,
    { params: { boots } },
  );
  if (last.length === 0) return [];
  const times = last.map((row) => BigInt(row.at));
  return store.query<LastLine>(
    `SELECT BootId AS bootId, Body AS body, toString(toUnixTimestamp64Nano(Timestamp)) AS unixNs, ClockDomain AS clock,
       toFloat64(ClockErrorNs) AS clockErrorNs
     FROM otel_logs WHERE BootId IN {boots:Array(String)} AND toUnixTimestamp64Nano(Timestamp) IN {times:Array(Int64)}
       AND Timestamp >= fromUnixTimestamp64Nano({least:Int64})
     ORDER BY Timestamp DESC, Sequence DESC, Stream DESC LIMIT 1 BY BootId`,
    { params: { boots, times, least: times.reduce((a, b) => (b < a ? b : a)) } },
  );
}

export interface SystemMetric {
  readonly bootId: string;
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly unixMs: number;
  readonly value: number;
}

const SYSTEM_METRICS = [
  'system.cpu.logical.count',
  'system.memory.limit',
  'system.memory.usage',
  'system.memory.linux.available',
  'system.uptime',
  CLOCK_ERROR_METRIC,
];
/** A value older than this says nothing of now. */
const FRESH_SECONDS = 120;

/** The last value of each system metric of each boot, up to two minutes before the boot was last heard. */
export async function querySystemMetrics(store: Store): Promise<SystemMetric[]> {
  const part = (table: string): string => `
    SELECT toString(BootId) AS bootId, toString(MetricName) AS name, Attributes AS attributes,
      toFloat64(max(toUnixTimestamp64Milli(TimeUnix))) AS unixMs, argMax(Value, TimeUnix) AS value
    FROM ${table} WHERE MetricName IN {names:Array(String)} GROUP BY bootId, name, attributes`;
  return store.query<SystemMetric>(
    `SELECT * FROM (${part('otel_metrics_gauge')} UNION ALL ${part('otel_metrics_sum')}) ORDER BY unixMs LIMIT 20000`,
    { params: { names: SYSTEM_METRICS } },
  );
}

export interface CpuLoad {
  readonly bootId: string;
  readonly unixMs: number;
  readonly utilization: number;
}

/** Share of all CPUs' time that was not idle, per snapshot of the last two minutes, from `system.cpu.time`. */
export async function queryCpuLoad(store: Store): Promise<CpuLoad[]> {
  return store.query<CpuLoad>(
    `SELECT bootId, unixMs, greatest(0, least(1, 1 - (idle - lagInFrame(idle) OVER w) / (total - lagInFrame(total) OVER w))) AS utilization
     FROM (
       SELECT toString(BootId) AS bootId, toFloat64(toUnixTimestamp64Milli(TimeUnix)) AS unixMs, sum(Value) AS total,
         sumIf(Value, Attributes['cpu.mode'] IN ('idle', 'iowait')) AS idle, toFloat64(toUnixTimestamp64Milli(any(StartTimeUnix))) AS startMs
       FROM otel_metrics_sum
       WHERE MetricName = 'system.cpu.time' AND TimeUnix >= now64(9) - INTERVAL ${FRESH_SECONDS} SECOND
       GROUP BY bootId, TimeUnix
     )
     WINDOW w AS (PARTITION BY bootId ORDER BY unixMs ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
     QUALIFY total > lagInFrame(total) OVER w AND lagInFrame(total) OVER w > 0
     ORDER BY unixMs`,
  );
}

/** Records lost per boot, where the number is known. */
export async function queryLostByBoot(store: Store): Promise<Map<string, number>> {
  const rows = await store.query<{ bootId: string; lost: number }>(
    `SELECT BootId AS bootId, toFloat64(sumIf(Count, Count > 0)) AS lost FROM gaps GROUP BY BootId`,
  );
  return new Map(rows.map((row) => [row.bootId, row.lost]));
}
