/** A ClickHouse server or cluster over HTTP: spool files are sent as they are, `INSERT … FORMAT Native`. */
import { createReadStream } from 'node:fs';
import { ClickHouseLogLevel, createClient, type ClickHouseClient } from '@clickhouse/client';
import { messageOf, OperationalError } from '../base/errors.ts';
import { LOAD_SETTINGS, READ_SETTINGS, toLoadColumns, type Engine, type Load, type QueryLimits, type ServerAddress } from './engine.ts';
import { quoteName, quoteText } from './sql-text.ts';
import type { RawResult } from './store.ts';

/** A load of a large file over a slow line takes its time. */
const REQUEST_TIMEOUT_MS = 300_000;

export async function openServer(address: ServerAddress): Promise<Engine> {
  const database = address.database ?? 'mkscope';
  const credentials = {
    url: address.url,
    username: address.username ?? 'default',
    password: address.password ?? '',
    request_timeout: REQUEST_TIMEOUT_MS,
    // Errors are thrown as well, and told once, by whoever catches them.
    log: { level: ClickHouseLogLevel.OFF },
  };
  // The database may not be there yet, so this one client names none.
  const first = createClient(credentials);
  try {
    const { bytes } = await readAll(first, 'SELECT version()', { default_format: 'TSVRaw' });
    await first.command({ query: `CREATE DATABASE IF NOT EXISTS ${quoteName(database)}` });
    const version = Buffer.from(bytes).toString().trim();
    return new ServerEngine(createClient({ ...credentials, database }), address.url, database, version);
  } catch (error) {
    throw new OperationalError(
      'E_STORE_OPEN',
      `ClickHouse at ${address.url} cannot be used: ${messageOf(error).trim()}`,
      'check the address, the user and its rights (CREATE, INSERT, SELECT)',
      error,
    );
  } finally {
    await first.close();
  }
}

class ServerEngine implements Engine {
  readonly title: string;
  readonly path: string;
  readonly database: string;
  readonly parts = undefined;
  readonly #client: ClickHouseClient;

  constructor(client: ClickHouseClient, url: string, database: string, version: string) {
    this.#client = client;
    this.path = url;
    this.database = database;
    this.title = `ClickHouse server ${version}`;
  }

  async command(sql: string): Promise<void> {
    await this.#client.command({ query: sql });
  }

  async read(sql: string, format: string, params: Readonly<Record<string, unknown>>, limits: QueryLimits): Promise<RawResult> {
    return readAll(
      this.#client,
      sql,
      {
        ...READ_SETTINGS,
        ...(limits.maxRows === undefined ? {} : { limit: String(limits.maxRows) }),
        max_execution_time: limits.maxSeconds,
        readonly: '1',
        default_format: format,
        wait_end_of_query: 1,
      },
      Object.fromEntries(Object.entries(params).filter(([, value]) => value !== undefined)),
    );
  }

  /**
   * After a lost answer the server may still be at the insert, so nothing can be undone from here: the token keeps a second
   * try from adding rows again.
   */
  async load(load: Load): Promise<void> {
    const { names, structure, values } = toLoadColumns(load);
    const { stream } = await this.#client.exec({
      query: `INSERT INTO ${quoteName(load.table)} (${names}) SELECT ${values} FROM input(${quoteText(structure)}) FORMAT Native`,
      values: createReadStream(load.file),
      clickhouse_settings: { ...LOAD_SETTINGS, insert_deduplication_token: load.name, wait_end_of_query: 1 } as Record<
        string,
        string | number
      >,
    });
    for await (const chunk of stream) void chunk;
  }

  async close(): Promise<void> {
    await this.#client.close();
  }
}

/** Runs a reading query of a client and collects the answer. */
async function readAll(
  client: ClickHouseClient,
  sql: string,
  settings: Record<string, string | number>,
  params?: Record<string, unknown>,
): Promise<RawResult> {
  const startMs = performance.now();
  const { stream, summary } = await client.exec({
    query: sql,
    clickhouse_settings: settings,
    ...(params === undefined ? {} : { query_params: params }),
  });
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk as Uint8Array);
  const bytes = chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks);
  return {
    bytes,
    rowsRead: Number(summary?.read_rows ?? 0),
    bytesRead: Number(summary?.read_bytes ?? 0),
    elapsedSeconds: (performance.now() - startMs) / 1000,
  };
}
