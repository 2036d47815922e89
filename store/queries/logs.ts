/** Log records, all kernels merged. The same filter over rows in memory is hub/log-filter.ts. */
import type { LogPage, LogQuery, LogRow } from '../../model/api.ts';
import type { Store } from '../store.ts';
import { Conditions } from './conditions.ts';
import { decodeCursor, toCursorCondition, toPage, type KeyColumn } from './cursor.ts';

const DEFAULT_LIMIT = 200;

/** Equal stamps keep the order of their source; rows that nobody numbers are told apart by their text. */
const KEY: readonly KeyColumn[] = [
  { expression: 'Timestamp', type: 'Int64', wrap: (param) => `fromUnixTimestamp64Nano(${param})` },
  { expression: 'toString(BootId)', type: 'String' },
  { expression: 'toString(Stream)', type: 'String' },
  { expression: 'Sequence', type: 'UInt64' },
  { expression: 'cityHash64(Body)', type: 'UInt64' },
];

// Rows of a stream are numbered by it; the others (gap reports, foreign senders) are named by their time and text.
const COLUMNS = `
  if(Stream = '', concat(BootId, '::', toString(toUnixTimestamp64Nano(Timestamp)), ':', toString(CRC32(Body))), LogUid) AS uid, toString(toUnixTimestamp64Nano(Timestamp)) AS unixNs, toString(RawTime) AS raw, ClockDomain AS clock,
  toFloat64(ClockErrorNs) AS errorNs, MachineName AS machine, KernelId AS kernelId, KernelName AS kernelName, BootId AS bootId,
  Stream AS stream, toFloat64(Sequence) AS sequence, Level AS level, Facility AS facility, Cpu AS cpu, Pid AS pid,
  Caller AS caller, Flags AS flags, Body AS body, EventName AS eventName, LogAttributes AS attributes,
  toString(cityHash64(Body)) AS tie, toString(Sequence) AS position`;

type StoredRow = LogRow & { tie: string; position: string };

export async function queryLogs(store: Store, query: LogQuery): Promise<LogPage> {
  const startMs = performance.now();
  const limit = query.limit ?? DEFAULT_LIMIT;
  const cursor = query.cursor === undefined ? undefined : decodeCursor(query.cursor, KEY.length);
  const where = toConditions(query);
  if (cursor !== undefined) {
    const { sql, params } = toCursorCondition(KEY, cursor);
    where.add(sql, params);
  }
  const order = cursor?.direction === 'newer' ? 'ASC' : 'DESC';
  // The leading expression is the table's sort key: rows are read in order and reading stops at the limit.
  const sort = ['toStartOfFiveMinutes(Timestamp)', ...KEY.map((column) => column.expression)].map((key) => `${key} ${order}`).join(', ');
  const fetched = await store.query<StoredRow>(
    `SELECT ${COLUMNS} FROM otel_logs${where.toSql()} ORDER BY ${sort} LIMIT ${limit + 1}`,
    where.toOptions(),
  );
  const page = toPage(fetched, limit, cursor?.direction, (row) => [row.unixNs, row.bootId, row.stream, row.position, row.tie]);
  return { ...page, rows: page.rows.map(toLogRow), tookMs: performance.now() - startMs };
}

function toConditions(query: LogQuery): Conditions {
  const where = new Conditions()
    .addRange('Timestamp', query.from, query.to)
    .addKernel(query.kernel)
    .addEqual('BootId', 'boot', 'String', query.boot)
    .addEqual('Stream', 'stream', 'String', query.stream)
    .addNames('EventName', 'event', query.event)
    .addSearch('Body', query.search);
  if (query.level !== undefined && query.level < 7) where.add('Level <= {level:UInt8}', { level: query.level });
  if (query.regex !== undefined) where.add('match(Body, {regex:String})', { regex: query.regex });
  return where;
}

function toLogRow({ tie: _tie, position: _position, ...row }: StoredRow): LogRow {
  return row;
}
