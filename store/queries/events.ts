/** Raw trace events, newest last, and which kinds of them there are. */
import type { EventName, EventPage, EventQuery, EventRow } from '../../model/api.ts';
import type { Store } from '../store.ts';
import { addAlignedRange, addTimeBound, alignedTimeOfPage, cursorTime, STORED_TIME, type AlignedTime } from './aligned-time.ts';
import type { Revision } from './clocks.ts';
import { Conditions } from './conditions.ts';
import { decodeCursor, toCursorCondition, toPage, type Cursor, type KeyColumn } from './cursor.ts';

const DEFAULT_LIMIT = 200;

/** The kernel does not number events: what tells apart those of one CPU and one nanosecond is what they say. */
const KEY: readonly KeyColumn[] = [
  { expression: 'Timestamp', type: 'Int64', wrap: (param) => `fromUnixTimestamp64Nano(${param})` },
  { expression: 'toString(BootId)', type: 'String' },
  { expression: 'Cpu', type: 'UInt16' },
  { expression: 'toString(Event)', type: 'String' },
  { expression: 'cityHash64(Stream, Pid, Body, I0, I1, I2, I3, S0, S1)', type: 'UInt64' },
];

const toColumns = ({ time, error }: AlignedTime): string => `
  toString(toUnixTimestamp64Nano(${time})) AS unixNs, toString(RawTime) AS raw, ClockDomain AS clock, toFloat64(${error}) AS errorNs,
  KernelId AS kernelId, KernelName AS kernelName, BootId AS bootId, Stream AS stream, Cpu AS cpu, Pid AS pid, Comm AS comm,
  Event AS event, Flags AS flags, PreemptCount AS preemptCount, Body AS body, Fields AS fields,
  toString(cityHash64(Stream, Pid, Body, I0, I1, I2, I3, S0, S1)) AS tie`;

type StoredRow = EventRow & { tie: string };

/** `revisions`: stretches of clocks that older rows are read along. */
export async function queryEvents(store: Store, query: EventQuery, revisions: readonly Revision[] = []): Promise<EventPage> {
  const startMs = performance.now();
  const limit = query.limit ?? DEFAULT_LIMIT;
  const cursor = query.cursor === undefined ? undefined : decodeCursor(query.cursor, KEY.length);
  const stored = await fetchRows(store, query, { limit, cursor, aligned: STORED_TIME });
  const times = stored.map(({ unixNs }) => unixNs);
  const aligned = alignedTimeOfPage(times, { ...query, limit, cursor }, revisions);
  const fetched = aligned === STORED_TIME ? stored : await fetchRows(store, query, { limit, cursor, aligned });
  const page = toPage(fetched, limit, cursor?.direction, (row) => [row.unixNs, row.bootId, String(row.cpu), row.event, row.tie]);
  return { ...page, rows: page.rows.map(toEventRow), tookMs: performance.now() - startMs };
}

interface Fetch {
  readonly limit: number;
  readonly cursor: Cursor | undefined;
  readonly aligned: AlignedTime;
}

async function fetchRows(store: Store, query: EventQuery, { limit, cursor, aligned }: Fetch): Promise<StoredRow[]> {
  const where = toConditions(query, aligned);
  const key = KEY.with(0, { ...(KEY[0] as KeyColumn), expression: aligned.time });
  const order = cursor?.direction === 'newer' ? 'ASC' : 'DESC';
  const slackNs = order === 'ASC' ? aligned.slackNs : -aligned.slackNs;
  const edge = await findEdge(store, query, { limit, cursor, aligned });
  if (cursor !== undefined) {
    const { sql, params } = toCursorCondition(key, cursor);
    where.add(sql, params);
    if (slackNs !== 0n) addTimeBound(where, order === 'ASC' ? '>=' : '<=', 'cursorNs', cursorTime(cursor, -slackNs));
  }
  if (edge !== undefined) addTimeBound(where, order === 'ASC' ? '<=' : '>=', 'edgeNs', edge + 2n * slackNs);
  return store.query<StoredRow>(
    `SELECT ${toColumns(aligned)} FROM events${where.toSql()} ORDER BY ${key.map((column) => `${column.expression} ${order}`).join(', ')}
     LIMIT ${limit + 1}`,
    where.addParams(aligned.params).toOptions(),
  );
}

/**
 * The stored time at which a page ends, so that only its own rows are read whole: the table is sorted by boot and event before time,
 * and a sort over all columns of ten million rows takes seconds where this takes 50 ms. Where rows move by up to `slackNs`, no row
 * that lies beyond it by twice that can be among those of the page.
 */
async function findEdge(store: Store, query: EventQuery, { limit, cursor, aligned }: Fetch): Promise<bigint | undefined> {
  const where = toConditions(query, aligned);
  const order = cursor?.direction === 'newer' ? 'ASC' : 'DESC';
  const slackNs = order === 'ASC' ? aligned.slackNs : -aligned.slackNs;
  if (cursor !== undefined && slackNs !== 0n) addTimeBound(where, order === 'ASC' ? '>' : '<', 'cursorNs', cursorTime(cursor, slackNs));
  else if (cursor !== undefined) {
    const { sql, params } = toCursorCondition(KEY, cursor);
    where.add(sql, params);
  }
  const [edge] = await store.query<{ ns: string }>(
    `SELECT toString(toUnixTimestamp64Nano(Timestamp)) AS ns FROM events${where.toSql()} ORDER BY Timestamp ${order} LIMIT ${limit}, 1`,
    where.addParams(aligned.params).toOptions(),
  );
  return edge === undefined ? undefined : BigInt(edge.ns);
}

export async function queryEventNames(store: Store, query: { readonly kernel?: string; readonly boot?: string }): Promise<EventName[]> {
  const where = new Conditions().addKernel(query.kernel).addEqual('BootId', 'boot', 'String', query.boot);
  return store.query<EventName>(
    `SELECT Event AS event, toFloat64(count()) AS count FROM events${where.toSql()} GROUP BY event ORDER BY count DESC, event LIMIT 10000`,
    where.toOptions(),
  );
}

function toConditions(query: EventQuery, aligned: AlignedTime): Conditions {
  const where = addAlignedRange(new Conditions(), aligned, query.from, query.to)
    .addKernel(query.kernel)
    .addEqual('BootId', 'boot', 'String', query.boot)
    .addEqual('Cpu', 'cpu', 'UInt16', query.cpu)
    .addEqual('Pid', 'pid', 'Int32', query.pid)
    .addSearch(`concat(Event, ' ', Comm, ' ', Body, ' ', arrayStringConcat(mapValues(Fields), ' '))`, query.search);
  if (query.event === undefined) return where;
  const names = query.event.split(',').filter((name) => name !== '');
  const full = names.filter((name) => name.includes(':'));
  const bare = names.filter((name) => !name.includes(':'));
  return where.add(`(Event IN {events:Array(String)} OR splitByChar(':', toString(Event))[-1] IN {bareEvents:Array(String)})`, {
    events: full,
    bareEvents: bare,
  });
}

function toEventRow({ tie: _tie, ...row }: StoredRow): EventRow {
  if (row.body !== '') return row;
  const body = Object.entries(row.fields)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');
  return { ...row, body };
}
