/** The read-only ClickHouse HTTP interface over the store: Grafana and every ClickHouse client work without a server. */
import { promisify } from 'node:util';
import { gzip, zstdCompress } from 'node:zlib';
import type { Context } from 'hono';
import { decodeUtf8 } from '../base/bytes.ts';
import { errnoOf, OperationalError } from '../base/errors.ts';
import type { RawResult, Store } from '../store/store.ts';
import { AccessGuard, type AccessToken, type Address } from './access.ts';
import type { BodyReader } from './body.ts';
import { readClickhouseQuery, type ClickhouseQuery } from './clickhouse-query.ts';
import { createApp, type HubApp, type HubEnv } from './listen.ts';
import { toOperational, toStatus } from './problem.ts';

const gzipAsync = promisify(gzip);
const zstdAsync = promisify(zstdCompress);
/** Below this a compressed answer is not smaller by more than its work. */
const MIN_COMPRESS_BYTES = 1_024;

/** ClickHouse's own numbers and names for what we refuse ourselves (src/Common/ErrorCodes.cpp). */
const EXCEPTIONS: Readonly<Record<string, readonly [number, string]>> = {
  E_QUERY_READONLY: [164, 'READONLY'],
  E_QUERY_LIMIT: [159, 'TIMEOUT_EXCEEDED'],
  E_UNAUTHENTICATED: [516, 'AUTHENTICATION_FAILED'],
  E_FORBIDDEN: [497, 'ACCESS_DENIED'],
  E_BODY_TOO_LARGE: [307, 'TOO_MANY_BYTES'],
  E_MEDIA_TYPE: [48, 'NOT_IMPLEMENTED'],
  E_REQUEST: [62, 'SYNTAX_ERROR'],
};
/** From this revision on, Native blocks begin with a block info that the engine's files do not have. */
const BLOCK_INFO_REVISION = 51_903;
const UNKNOWN_EXCEPTION = [1002, 'UNKNOWN_EXCEPTION'] as const;

const CONTENT_TYPES: readonly (readonly [RegExp, string])[] = [
  [/^JSON(Compact)?(Strings)?$/, 'application/json; charset=UTF-8'],
  [/^JSON.*EachRow|^NDJSON/i, 'application/x-ndjson; charset=UTF-8'],
  [/^JSON/, 'application/json; charset=UTF-8'],
  [/^CSV/, 'text/csv; charset=UTF-8; header=present'],
  [/^(TabSeparated|TSV)/, 'text/tab-separated-values; charset=UTF-8'],
  [/^(Native|RowBinary|Parquet|Arrow|ORC|Avro|MsgPack|Npy)/, 'application/octet-stream'],
];

export interface ClickhouseSettings {
  readonly address: Address;
  readonly tokens: readonly AccessToken[];
  readonly store: Store;
  readonly bodies: BodyReader;
}

export function createClickhouseApp({ address, tokens, store, bodies }: ClickhouseSettings): HubApp {
  const app = createApp(address, toException);
  const guard = new AccessGuard(tokens, 'read');
  app.get('/ping', (c) => c.text('Ok.\n'));
  app.on(['GET', 'POST'], '/', async (c) => {
    guard.admit(c.req.raw.headers);
    const url = new URL(c.req.url);
    if (c.req.method === 'GET' && !url.searchParams.has('query')) return c.text('Ok.\n');
    const query = await readRequest(c, url, bodies);
    await checkRequest(query, store);
    const result = await store.queryRaw(query.sql, query.format, query.options);
    return toResponse(query, result, c.req.header('accept-encoding') ?? '');
  });
  return app;
}

async function readRequest(c: Context<HubEnv>, url: URL, bodies: BodyReader): Promise<ClickhouseQuery> {
  const read = (body: string) => readClickhouseQuery(url, c.req.raw.headers, body);
  if (c.req.method === 'GET') return read('');
  return bodies.with(c.env.incoming, async (bytes) => read(decodeUtf8(bytes)));
}

async function checkRequest(query: ClickhouseQuery, store: Store): Promise<void> {
  if (query.sql === '') throw new OperationalError('E_REQUEST', 'Empty query', 'send SQL in the body or as ?query=');
  if (query.wantsBlockCompression) {
    throw new OperationalError('E_MEDIA_TYPE', 'compress=1 is not supported', 'use enable_http_compression=1 with Accept-Encoding: gzip');
  }
  if (query.protocolRevision >= BLOCK_INFO_REVISION && query.format === 'Native') {
    throw new OperationalError('E_MEDIA_TYPE', 'Native blocks of the TCP protocol are not supported', 'leave client_protocol_version out');
  }
  if (query.database === '' || query.database === 'default') return;
  const [own] = await store.query<{ name: string }>('SELECT currentDatabase() AS name', { stale: true });
  if (query.database !== own?.name) {
    throw new OperationalError('E_REQUEST', `Database ${query.database} does not exist`, `all tables are in the database ${own?.name}`);
  }
}

async function toResponse(query: ClickhouseQuery, result: RawResult, accepted: string): Promise<Response> {
  const headers: Record<string, string> = {
    'content-type': CONTENT_TYPES.find(([pattern]) => pattern.test(query.format))?.[1] ?? 'text/plain; charset=UTF-8',
    'x-clickhouse-format': query.format,
    'x-clickhouse-query-id': query.queryId,
    'x-clickhouse-server-display-name': 'mkscope',
    'x-clickhouse-timezone': 'UTC',
    'x-clickhouse-summary': toSummary(result),
  };
  if (!query.compressible || result.bytes.length < MIN_COMPRESS_BYTES) return respond(result.bytes, headers);
  if (/\bgzip\b/.test(accepted)) return respond(await gzipAsync(result.bytes), { ...headers, 'content-encoding': 'gzip' });
  if (/\bzstd\b/.test(accepted)) return respond(await zstdAsync(result.bytes), { ...headers, 'content-encoding': 'zstd' });
  return respond(result.bytes, headers);
}

function respond(bytes: Uint8Array, headers: Record<string, string>): Response {
  return new Response(bytes as Uint8Array<ArrayBuffer>, { headers });
}

/** Numbers are strings, as ClickHouse writes them. */
function toSummary(result: RawResult): string {
  return JSON.stringify({
    read_rows: String(result.rowsRead),
    read_bytes: String(result.bytesRead),
    written_rows: '0',
    written_bytes: '0',
    total_rows_to_read: String(result.rowsRead),
    result_rows: '0',
    result_bytes: String(result.bytes.length),
    elapsed_ns: String(Math.round(result.elapsedSeconds * 1e9)),
  });
}

/** Errors in ClickHouse's form: the code in a header, the text in the body as its clients parse it. */
function toException(error: unknown): Response {
  const operational = toOperational(error);
  const [code, name] = exceptionOf(operational);
  const headers: Record<string, string> = { 'content-type': 'text/plain; charset=UTF-8', 'x-clickhouse-exception-code': String(code) };
  if (toStatus(error) === 401) headers['www-authenticate'] = 'Basic realm="mkscope"';
  const text = operational.message.replace(/^Code: \d+\. DB::Exception: /, '');
  return new Response(`Code: ${code}. DB::Exception: ${text} (${operational.hint}). (${name})\n`, { status: toStatus(error), headers });
}

/** The engine's own code and name where it threw, else those of what we refused. */
function exceptionOf(error: OperationalError): readonly [number | string, string] {
  const { cause } = error;
  const code = errnoOf(cause);
  if (code !== undefined && /^\d+$/.test(code)) {
    const name =
      typeof cause === 'object' && cause !== null && 'type' in cause && typeof cause.type === 'string' ? cause.type : UNKNOWN_EXCEPTION[1];
    return [code, name];
  }
  return EXCEPTIONS[error.code] ?? UNKNOWN_EXCEPTION;
}
