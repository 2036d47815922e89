/** Rows around kernel reports, for the hub that looks for them, and the reports that are stored already. */
import { ATTR } from '../../model/attributes.ts';
import { REPORT_EVENTS } from '../../model/kernel-report.ts';
import type { Store } from '../store.ts';

export interface LineRow {
  readonly stream: string;
  readonly sequence: number;
  readonly raw: string;
  readonly unixNs: string;
  readonly clock: string;
  readonly errorNs: number;
  readonly level: number;
  readonly flags: number;
  readonly cpu: number;
  readonly pid: number;
  readonly body: string;
}

/** Log lines of an incarnation from a moment on, oldest first. */
export async function queryLines(store: Store, bootId: string, fromNs: bigint, limit: number): Promise<LineRow[]> {
  return store.query<LineRow>(
    `SELECT toString(Stream) AS stream, toFloat64(Sequence) AS sequence, toString(RawTime) AS raw,
       toString(toUnixTimestamp64Nano(Timestamp)) AS unixNs, toString(ClockDomain) AS clock, toFloat64(ClockErrorNs) AS errorNs,
       Level AS level, Flags AS flags, Cpu AS cpu, Pid AS pid, Body AS body
     FROM otel_logs
     WHERE BootId = {boot:String} AND Timestamp >= fromUnixTimestamp64Nano({fromNs:Int64}) AND Stream != ''
     ORDER BY toStartOfFiveMinutes(Timestamp), Timestamp, Stream, Sequence LIMIT ${limit}`,
    { params: { boot: bootId, fromNs: fromNs.toString() }, maxResultRows: limit },
  );
}

/** Keys of the reports of an incarnation that began at a moment or later. */
export async function queryReportKeys(store: Store, bootId: string, fromNs: bigint): Promise<Set<string>> {
  const rows = await store.query<{ key: string }>(
    `SELECT DISTINCT LogAttributes['${ATTR.reportKey}'] AS key FROM otel_logs
     WHERE BootId = {boot:String} AND Timestamp >= fromUnixTimestamp64Nano({fromNs:Int64}) AND EventName IN {events:Array(String)}`,
    { params: { boot: bootId, fromNs: fromNs.toString(), events: REPORT_EVENTS } },
  );
  return new Set(rows.map(({ key }) => key));
}
