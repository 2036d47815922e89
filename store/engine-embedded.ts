/**
 * chDB in this process. All connections share one engine and one data folder; settings stick to a connection, so each query
 * gets a connection of its own (1.7 ms) with `readonly` set last: nothing it says can outlive or undo that.
 */
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient, type ClickHouseClient } from '@clickhouse/client';
import type { createChdbConnection } from 'chdb/connection';
import { messageOf, OperationalError } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import { LOAD_SETTINGS, READ_SETTINGS, readAll, stampSql, toLoadColumns, type Engine, type Load, type QueryLimits } from './engine.ts';
import { quoteText, toParamText } from './sql-text.ts';
import type { RawResult } from './store.ts';

const log = createLogger('store');
const DATABASE = 'mkscope';
/** libuv has four threads, and a query holds one while it runs: readers must leave some for the loader and for files. */
const MAX_READERS = 2;

/** The allocator keeps what a large load or query took (0.4 GB); given back when there was this long nothing to do. */
const PURGE_AFTER_MS = 2_000;
const PURGE_ABOVE_BYTES = 400 << 20;
/** A query is asked to end at its time limit, and looks at the clock now and then. */
const DRAIN_MS = 15_000;

/**
 * The engine's allocator, unless the environment says otherwise: one arena, whose freed pages go back after a second. Blocks
 * of columns come and go by the megabyte, each load on another thread: with an arena per CPU an import had 400 MB more.
 */
const ALLOCATOR = 'narenas:1,percpu_arena:disabled,dirty_decay_ms:1000';

type Connection = NonNullable<NonNullable<Parameters<typeof createClient>[0]>['connection']>;
/** chDB's declaration is of another release of the client's interface; the two agree in what runs. */
type Connect = (options: Parameters<typeof createChdbConnection>[0]) => Connection;

export async function openEmbedded(folder: string): Promise<Engine> {
  // CommonJS, and 0.4 s to load: only a process that opens a store pays for it.
  process.env['JE_MALLOC_CONF'] ??= ALLOCATOR;
  const load = createRequire(import.meta.url);
  const { createChdbConnection } = load('chdb/connection') as { createChdbConnection: Connect };
  const { drainPending } = load('chdb') as { drainPending: () => Promise<void> };
  const path = `${folder}/clickhouse`;
  mkdirSync(path, { recursive: true });
  let client: ClickHouseClient;
  try {
    client = createClient({ connection: createChdbConnection({ path }) });
  } catch (error) {
    throw toOpenError(path, error);
  }
  return EmbeddedEngine.open(client, createChdbConnection, path, drainPending);
}

class EmbeddedEngine implements Engine {
  readonly title: string;
  readonly path: string;
  readonly database = DATABASE;
  readonly #client: ClickHouseClient;
  readonly #connect: Connect;
  /** Resolves when nothing runs in the engine any more. */
  readonly #drain: () => Promise<void>;
  #readers = 0;
  readonly #waiting: (() => void)[] = [];
  readonly #purge = setTimeout(() => void this.#giveMemoryBack(), PURGE_AFTER_MS).unref();

  private constructor(client: ClickHouseClient, connect: Connect, path: string, version: string, drain: () => Promise<void>) {
    this.#client = client;
    this.#connect = connect;
    this.#drain = drain;
    this.path = path;
    this.title = `embedded ClickHouse ${version}`;
  }

  static async open(client: ClickHouseClient, connect: Connect, path: string, drain: () => Promise<void>): Promise<Engine> {
    const answer = await readAll(client, 'SELECT version()', { default_format: 'TSVRaw' });
    const version = Buffer.from(answer.bytes).toString().trim();
    await client.command({ query: `CREATE DATABASE IF NOT EXISTS ${DATABASE} ENGINE = Atomic` });
    await client.command({ query: `USE ${DATABASE}` });
    return new EmbeddedEngine(client, connect, path, version, drain);
  }

  async command(sql: string): Promise<void> {
    await this.#client.command({ query: sql });
  }

  async read(sql: string, format: string, params: Readonly<Record<string, unknown>>, limits: QueryLimits): Promise<RawResult> {
    await this.#acquire();
    const connection = this.#connect({ path: this.path });
    const client = createClient({ connection });
    try {
      return await readAll(client, `USE ${DATABASE}; ${sql}`, {
        ...READ_SETTINGS,
        ...toParamSettings(params),
        ...(limits.maxRows === undefined ? {} : { limit: String(limits.maxRows) }),
        max_execution_time: limits.maxSeconds,
        readonly: '1',
        default_format: format,
      });
    } finally {
      await client.close();
      this.#release();
      this.#purge.refresh();
    }
  }

  /**
   * The deduplication token is of no use over a killed process: ClickHouse logs it before the part is there, and would leave
   * out on the second try what the first one never stored. So what an earlier try left goes first, by its stamp.
   */
  async load(load: Load): Promise<void> {
    if (load.again && load.storedNs !== undefined) await this.#undo(load.table, load.storedNs);
    const settings = Object.entries(LOAD_SETTINGS).map(([name, value]) => `${name} = ${value}`);
    const { names, structure, values } = toLoadColumns(load);
    await this.#client.command({
      query: `INSERT INTO ${DATABASE}.${load.table} (${names}) SETTINGS insert_deduplicate = 0, ${settings.join(', ')}
        SELECT ${values} FROM file(${quoteText(load.file)}, 'Native', ${quoteText(structure)})`,
    });
    this.#purge.refresh();
  }

  async #undo(table: string, storedNs: bigint): Promise<void> {
    const where = `StoredAt = ${stampSql(storedNs)}`;
    const { bytes } = await readAll(this.#client, `SELECT count() FROM ${DATABASE}.${table} WHERE ${where}`, { default_format: 'TSVRaw' });
    if (Buffer.from(bytes).toString().trim() === '0') return;
    await this.#client.command({ query: `ALTER TABLE ${DATABASE}.${table} DELETE WHERE ${where} SETTINGS mutations_sync = 1` });
  }

  /**
   * A query that was given up runs on in the engine. Whoever opens another folder, or ends the process, while one does meets a
   * refusal or a crash of the engine: so its end is waited for, within bounds.
   */
  async close(): Promise<void> {
    clearTimeout(this.#purge);
    await this.#client.close();
    const patience = new AbortController();
    const isDrained = await Promise.race([
      this.#drain().then(() => true),
      sleep(DRAIN_MS, false, { signal: patience.signal }).catch(() => false),
    ]);
    patience.abort();
    if (!isDrained) log.warn('a query still runs in the engine while the store is closed', { path: this.path });
  }

  async #giveMemoryBack(): Promise<void> {
    if (process.memoryUsage.rss() < PURGE_ABOVE_BYTES) return;
    try {
      await this.#client.command({ query: 'SYSTEM JEMALLOC PURGE' });
    } catch (error) {
      log.debug('memory is not given back', { error: messageOf(error) });
    }
  }

  async #acquire(): Promise<void> {
    if (this.#readers >= MAX_READERS) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#readers++;
  }

  /** Hands the place on to the next in line, or frees it. */
  #release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#readers--;
    else next();
  }
}

/** The connection writes settings as `SET name = 'value'` and doubles quotes only: backslashes are ours to escape. */
function toParamSettings(params: Readonly<Record<string, unknown>>): Record<string, string> {
  const settings: Record<string, string> = {};
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined) settings[`param_${name}`] = toParamText(value).replace(/\\/g, '\\\\');
  }
  return settings;
}

function toOpenError(path: string, error: unknown): OperationalError {
  return new OperationalError(
    'E_STORE_OPEN',
    `the embedded store in ${path} cannot be opened: ${messageOf(error).trim()}`,
    'if another program has it open, stop that; else move the folder away and start anew',
    error,
  );
}
