/** Log records, all kernels merged. The same filter over rows in memory is hub/log-filter.ts. */
import type { LogPage, LogQuery, LogRow } from '../../model/api.ts';
import { parseLogUid } from '../../model/log-uid.ts';
import type { Store } from '../store.ts';
import { addAlignedRange, addTimeBound, alignedTimeOfPage, cursorTime, STORED_TIME, type AlignedTime } from './aligned-time.ts';
import type { Revision } from './clocks.ts';
import { Conditions } from './conditions.ts';
import { decodeCursor, toCursorCondition, toPage, type Cursor, type KeyColumn } from './cursor.ts';

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
const toColumns = ({ time, error }: AlignedTime): string => `
  if(Stream = '', concat(BootId, '::', toString(toUnixTimestamp64Nano(Timestamp)), ':', toString(CRC32(Body))), LogUid) AS uid, toString(toUnixTimestamp64Nano(${time})) AS unixNs, toString(RawTime) AS raw, ClockDomain AS clock,
  toFloat64(${error}) AS errorNs, MachineName AS machine, KernelId AS kernelId, KernelName AS kernelName, BootId AS bootId,
  Stream AS stream, toFloat64(Sequence) AS sequence, Level AS level, Facility AS facility, Cpu AS cpu, Pid AS pid,
  Caller AS caller, Flags AS flags, Body AS body, EventName AS eventName, LogAttributes AS attributes,
  toString(cityHash64(Body)) AS tie, toString(Sequence) AS position`;

type StoredRow = LogRow & { tie: string; position: string };

interface BootsLogQuery extends LogQuery {
  readonly boots?: readonly string[];
}

/** `revisions`: stretches of clocks that older rows are read along. */
export async function queryLogs(store: Store, query: BootsLogQuery, revisions: readonly Revision[] = []): Promise<LogPage> {
  const startMs = performance.now();
  const limit = query.limit ?? DEFAULT_LIMIT;
  const cursor = query.cursor === undefined ? undefined : decodeCursor(query.cursor, KEY.length);
  const stored = await fetchRows(store, query, { limit, cursor, aligned: STORED_TIME, edge: undefined });
  const aligned = alignedTimeOfPage(
    stored.map(({ unixNs }) => unixNs),
    { ...query, limit, cursor },
    revisions,
  );
  const edge = aligned === STORED_TIME ? undefined : await findEdge(store, query, { limit, cursor, aligned });
  const fetched = aligned === STORED_TIME ? stored : await fetchRows(store, query, { limit, cursor, aligned, edge });
  const page = toPage(fetched, limit, cursor?.direction, (row) => [row.unixNs, row.bootId, row.stream, row.position, row.tie]);
  return { ...page, rows: page.rows.map(toLogRow), tookMs: performance.now() - startMs };
}

interface Fetch {
  readonly limit: number;
  readonly cursor: Cursor | undefined;
  readonly aligned: AlignedTime;
  /** No row of the page has a Timestamp beyond that, Unix ns; undefined = not known. */
  readonly edge: bigint | undefined;
}

async function fetchRows(store: Store, query: BootsLogQuery, { limit, cursor, aligned, edge }: Fetch): Promise<StoredRow[]> {
  const where = toConditions(query, aligned);
  const key = KEY.with(0, { ...(KEY[0] as KeyColumn), expression: aligned.time });
  const order = cursor?.direction === 'newer' ? 'ASC' : 'DESC';
  if (cursor !== undefined) {
    const { sql, params } = toCursorCondition(key, cursor);
    where.add(sql, params);
    if (aligned.slackNs > 0n)
      addTimeBound(
        where,
        order === 'ASC' ? '>=' : '<=',
        'cursorNs',
        cursorTime(cursor, order === 'ASC' ? -aligned.slackNs : aligned.slackNs),
      );
  }
  if (edge !== undefined) addTimeBound(where, order === 'ASC' ? '<=' : '>=', 'edgeNs', edge);
  // The leading expression is the table's sort key: rows are read in order and reading stops at the limit.
  const leading = aligned === STORED_TIME ? ['toStartOfFiveMinutes(Timestamp)'] : [];
  const sort = [...leading, ...key.map((column) => column.expression)].map((one) => `${one} ${order}`).join(', ');
  return store.query<StoredRow>(
    `SELECT ${toColumns(aligned)} FROM otel_logs${where.toSql()} ORDER BY ${sort} LIMIT ${limit + 1}`,
    where.addParams(aligned.params).toOptions(),
  );
}

/**
 * By stored times, the row that ends a page: with `slackNs` as the most that a time moves, no row beyond it by twice that can be
 * among those of the page by their aligned times.
 */
async function findEdge(store: Store, query: BootsLogQuery, { limit, cursor, aligned }: Omit<Fetch, 'edge'>): Promise<bigint | undefined> {
  const where = toConditions(query, aligned);
  const order = cursor?.direction === 'newer' ? 'ASC' : 'DESC';
  const slackNs = order === 'ASC' ? aligned.slackNs : -aligned.slackNs;
  if (cursor !== undefined) addTimeBound(where, order === 'ASC' ? '>' : '<', 'cursorNs', cursorTime(cursor, slackNs));
  const [row] = await store.query<{ ns: string }>(
    `SELECT toString(toUnixTimestamp64Nano(Timestamp)) AS ns FROM otel_logs${where.toSql()}
     ORDER BY toStartOfFiveMinutes(Timestamp) ${order}, Timestamp ${order} LIMIT ${limit}, 1`,
    where.addParams(aligned.params).toOptions(),
  );
  return row === undefined ? undefined : BigInt(row.ns) + 2n * slackNs;
}

function toConditions(query: BootsLogQuery, aligned: AlignedTime): Conditions {
  const where = addAlignedRange(new Conditions(), aligned, query.from, query.to)
    .addKernel(query.kernel)
    .addEqual('BootId', 'boot', 'String', query.boot)
    .addBoots(query.boots)
    .addEqual('Stream', 'stream', 'String', query.stream)
    .addNames('EventName', 'event', query.event)
    .addSearch('Body', query.search);
  if (query.uid !== undefined) addUid(where, query.uid);
  if (query.level !== undefined && query.level < 7) where.add('Level <= {level:UInt8}', { level: query.level });
  if (query.regex !== undefined) where.add('match(Body, {regex:String})', { regex: query.regex });
  return where;
}

/** By the columns that a name is made of, which are read far faster than the name itself. */
function addUid(where: Conditions, name: string): void {
  const uid = parseLogUid(name);
  if (uid === undefined) return void where.add('false');
  where.add('BootId = {uidBoot:String} AND Stream = {uidStream:String}', { uidBoot: uid.bootId, uidStream: uid.stream });
  if ('sequence' in uid) return void where.add('Sequence = {uidSequence:UInt64}', { uidSequence: uid.sequence });
  const { unixNs, bodyCrc } = uid;
  where.add('Timestamp = fromUnixTimestamp64Nano({uidNs:Int64}) AND CRC32(Body) = {uidCrc:UInt32}', { uidNs: unixNs, uidCrc: bodyCrc });
}

function toLogRow({ tie: _tie, position: _position, ...row }: StoredRow): LogRow {
  return row;
}
