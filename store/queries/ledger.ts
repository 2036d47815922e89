/** The raw figures of the ledger: what the collectors counted, and what the tables hold. hub/ledger.ts makes the balance. */
import { ATTR, GAP_EVENT, LEDGER_METRIC } from '../../model/attributes.ts';
import { REPORT_EVENTS } from '../../model/kernel-report.ts';
import type { Store } from '../store.ts';

/** Last value of one counter in one run of it: another run begins when its writer restarts. */
export interface LedgerCounter {
  readonly machine: string;
  readonly kernelId: number;
  readonly kernelName: string;
  readonly bootId: string;
  readonly stream: string;
  readonly cpu: number;
  readonly name: string;
  readonly startNs: string;
  readonly timeNs: string;
  readonly value: number;
}

export async function queryLedgerCounters(store: Store): Promise<LedgerCounter[]> {
  return store.query<LedgerCounter>(
    `SELECT machine, kernelId, kernelName, bootId, stream, cpu, name, startNs, max(lastNs) AS timeNs, sum(last) AS value FROM (
       SELECT toString(any(MachineName)) AS machine, any(KernelId) AS kernelId, toString(any(KernelName)) AS kernelName, toString(BootId) AS bootId,
         Attributes['${ATTR.stream}'] AS stream, toInt32OrDefault(Attributes['${ATTR.cpu}'], toInt32(-1)) AS cpu,
         Attributes['${ATTR.lossReason}'] AS reason, toString(MetricName) AS name,
         toString(toUnixTimestamp64Nano(StartTimeUnix)) AS startNs, toString(toUnixTimestamp64Nano(max(TimeUnix))) AS lastNs,
         argMax(Value, TimeUnix) AS last
       FROM otel_metrics_sum WHERE MetricName IN {names:Array(String)}
       GROUP BY bootId, stream, cpu, reason, name, StartTimeUnix
     )
     GROUP BY machine, kernelId, kernelName, bootId, stream, cpu, name, startNs ORDER BY bootId, stream, cpu, startNs LIMIT 100000`,
    { params: { names: Object.values(LEDGER_METRIC) } },
  );
}

export interface StoredCount {
  readonly bootId: string;
  readonly stream: string;
  readonly cpu: number;
  readonly rows: number;
}

/**
 * Rows of the tables by stream and CPU, as of the call: of what is acknowledged later, none is counted. Records of gaps and of
 * kernel reports are ours, not the stream's.
 */
export async function queryStoredCounts(store: Store, boots: readonly string[]): Promise<StoredCount[]> {
  if (boots.length === 0) return [];
  return store.query<StoredCount>(
    `SELECT toString(BootId) AS bootId, toString(Stream) AS stream, toInt32(-1) AS cpu, toFloat64(count()) AS rows
     FROM otel_logs WHERE BootId IN {boots:Array(String)} AND EventName NOT IN {ours:Array(String)} GROUP BY bootId, stream
     UNION ALL
     SELECT toString(BootId) AS bootId, toString(Stream) AS stream, toInt32(Cpu) AS cpu, toFloat64(count()) AS rows
     FROM events WHERE BootId IN {boots:Array(String)} GROUP BY bootId, stream, cpu`,
    { params: { boots, ours: [GAP_EVENT, ...REPORT_EVENTS] }, exact: true },
  );
}

/** Records that arrived and could not be read: the hub's own loss, which no collector counts. Of what is loaded. */
export async function queryUnreadable(store: Store, boots: readonly string[]): Promise<StoredCount[]> {
  if (boots.length === 0) return [];
  return store.query<StoredCount>(
    `SELECT toString(BootId) AS bootId, toString(Stream) AS stream, Cpu AS cpu, toFloat64(sumIf(Count, Count > 0)) AS rows
     FROM gaps WHERE BootId IN {boots:Array(String)} AND Reason = 'parse_error' GROUP BY bootId, stream, cpu`,
    { params: { boots }, stale: true },
  );
}
