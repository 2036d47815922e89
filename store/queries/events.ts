/** Raw trace events, newest last, and which kinds of them there are. */
import type { EventName, EventPage, EventQuery, EventRow } from '../../model/api.ts';
import type { Store } from '../store.ts';
import { Conditions } from './conditions.ts';
import { decodeCursor, toCursorCondition, toPage, type KeyColumn } from './cursor.ts';

const DEFAULT_LIMIT = 200;

/** The kernel does not number events: what tells apart those of one CPU and one nanosecond is what they say. */
const KEY: readonly KeyColumn[] = [
  { expression: 'Timestamp', type: 'Int64', wrap: (param) => `fromUnixTimestamp64Nano(${param})` },
  { expression: 'toString(BootId)', type: 'String' },
  { expression: 'Cpu', type: 'UInt16' },
  { expression: 'toString(Event)', type: 'String' },
  { expression: 'cityHash64(Stream, Pid, Body, I0, I1, I2, I3, S0, S1)', type: 'UInt64' },
];

const COLUMNS = `
  toString(toUnixTimestamp64Nano(Timestamp)) AS unixNs, toString(RawTime) AS raw, ClockDomain AS clock, KernelId AS kernelId,
  KernelName AS kernelName, BootId AS bootId, Stream AS stream, Cpu AS cpu, Pid AS pid, Comm AS comm, Event AS event,
  Flags AS flags, PreemptCount AS preemptCount, Body AS body, Fields AS fields,
  toString(cityHash64(Stream, Pid, Body, I0, I1, I2, I3, S0, S1)) AS tie`;

type StoredRow = EventRow & { tie: string };

export async function queryEvents(store: Store, query: EventQuery): Promise<EventPage> {
  const startMs = performance.now();
  const limit = query.limit ?? DEFAULT_LIMIT;
  const cursor = query.cursor === undefined ? undefined : decodeCursor(query.cursor, KEY.length);
  const where = toConditions(query);
  if (cursor !== undefined) {
    const { sql, params } = toCursorCondition(KEY, cursor);
    where.add(sql, params);
  }
  const order = cursor?.direction === 'newer' ? 'ASC' : 'DESC';
  const edge = await findEdge(store, where, limit, order);
  if (edge !== undefined) {
    where.add(`Timestamp ${order === 'ASC' ? '<=' : '>='} fromUnixTimestamp64Nano({edgeNs:Int64})`, { edgeNs: edge });
  }
  const fetched = await store.query<StoredRow>(
    `SELECT ${COLUMNS} FROM events${where.toSql()} ORDER BY ${KEY.map((column) => `${column.expression} ${order}`).join(', ')}
     LIMIT ${limit + 1}`,
    where.toOptions(),
  );
  const page = toPage(fetched, limit, cursor?.direction, (row) => [row.unixNs, row.bootId, String(row.cpu), row.event, row.tie]);
  return { ...page, rows: page.rows.map(toEventRow), tookMs: performance.now() - startMs };
}

/**
 * The time at which a page ends, so that only its own rows are read whole: the table is sorted by boot and event before time,
 * and a sort over all columns of ten million rows takes seconds where this takes 50 ms.
 */
async function findEdge(store: Store, where: Conditions, limit: number, order: 'ASC' | 'DESC'): Promise<string | undefined> {
  const [edge] = await store.query<{ ns: string }>(
    `SELECT toString(toUnixTimestamp64Nano(Timestamp)) AS ns FROM events${where.toSql()} ORDER BY Timestamp ${order} LIMIT ${limit}, 1`,
    where.toOptions(),
  );
  return edge?.ns;
}

export async function queryEventNames(store: Store, query: { readonly kernel?: string; readonly boot?: string }): Promise<EventName[]> {
  const where = new Conditions().addKernel(query.kernel).addEqual('BootId', 'boot', 'String', query.boot);
  return store.query<EventName>(
    `SELECT Event AS event, toFloat64(count()) AS count FROM events${where.toSql()} GROUP BY event ORDER BY count DESC, event LIMIT 10000`,
    where.toOptions(),
  );
}

function toConditions(query: EventQuery): Conditions {
  const where = new Conditions()
    .addRange('Timestamp', query.from, query.to)
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
